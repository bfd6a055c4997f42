"""INFO: Stats, Commandstats, Errorstats, Latencystats, Debug."""
import time

from resp import Disconnected, encode
from truth.board import AtLeast
from truth.probe import Probe, grows, log_that_fails, until


def counters(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        probe.info()
        commands = [("SET", "k", "v"), ("GET", "k"), ("GET", "k"), ("GET", "gone"), ("EXISTS", "k", "gone"), ("PING",)]
        asked = encode(("INFO", "everything", "debug"))
        sent = sum(len(encode(command)) for command in commands) + len(asked)
        before = probe.info()
        for command in commands:
            probe.call(*command)
        after = probe.info()
        how = "SET, 2 GETs that hit, 1 that misses, EXISTS of both, PING, one by one"
        wanted = {"total_commands_processed": len(commands) + 1, "keyspace_hits": 3, "keyspace_misses": 2,
                  "total_net_input_bytes": sent, "total_reads_processed": len(commands) + 1,
                  "total_writes_processed": len(commands) + 1, "eventloop_cycles": AtLeast(len(commands)),
                  "total_error_replies": 0, "total_connections_received": 0}
        for name, expected in wanted.items():
            board.moved(name, how, before.get(name), after.get(name), expected)
        # The reply to the first INFO stands in the difference too.
        replies = len(b"+OK\r\n$1\r\nv\r\n$1\r\nv\r\n$-1\r\n:1\r\n+PONG\r\n")
        spent = int(after["total_net_output_bytes"]) - int(before["total_net_output_bytes"]) - replies
        board.moved("total_net_output_bytes", how + ", and an INFO", before["total_net_output_bytes"],
                    after["total_net_output_bytes"], lambda first, now: 3000 < spent < 20000)
        still(probe)
        durations(probe)
        rates(probe)


def still(probe):
    info = probe.info()
    alone = "a stand-alone server has no replicas and no primary"
    for name in ["total_net_repl_input_bytes", "total_net_repl_output_bytes", "sync_full", "sync_partial_ok",
                 "sync_partial_err", "slave_expires_tracked_keys"]:
        probe.board.still(name, alone, info.get(name), info.get(name) == "0")
    for name in ["instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps"]:
        probe.board.still(name, alone, info.get(name), info.get(name) == "0.00")
    for name in ["active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses",
                 "total_active_defrag_time", "current_active_defrag_time", "active_defrag_running"]:
        probe.board.still(name, "no active defragmentation, as in every build without jemalloc", info.get(name),
                          info.get(name) == "0")


def durations(probe):
    probe.moves("DEBUG SLEEP 0.2", lambda: probe.call("DEBUG", "SLEEP", "0.2"), {
        "eventloop_duration_sum": AtLeast(200000), "eventloop_duration_cmd_sum": AtLeast(200000),
        "eventloop_duration_max": lambda before, after: after >= 200000})
    probe.comes("turns of the cron", {"eventloop_duration_cron_sum": grows})
    probe.moves("a pipeline of 40", lambda: probe.client.pipeline([("PING",)] * 40),
                {"eventloop_cmd_per_cycle_max": lambda before, after: after >= 40})
    probe.moves("100 more pings", lambda: [probe.call("PING") for _ in range(100)], {
        "eventloop_cycles": AtLeast(100), "eventloop_duration_sum": AtLeast(1)})


def rates(probe):
    """Load for some seconds, and what INFO says of it against this side's own count."""
    value = b"x" * 1000
    request, began, done = encode(("SET", "rate", value)) * 50, time.monotonic(), 0
    history, found = [], {}
    names = {"instantaneous_ops_per_sec": 1.0, "instantaneous_input_kbps": len(request) / 50 / 1024,
             "instantaneous_output_kbps": 5 / 1024}
    while time.monotonic() - began < 40 and len(found) < len(names):
        probe.client.send_raw(request)
        for _ in range(50):
            probe.client.read()
        done += 50
        now = time.monotonic()
        history.append((now, done))
        if done % 1000:
            continue
        past = next((entry for entry in history if now - entry[0] < 1.6), history[0])
        if now - past[0] < 0.8:
            continue
        rate = (done - past[1]) / (now - past[0])
        info = probe.info("stats")
        for name, each in names.items():
            told = float(info[name])
            # The replies are small beside INFO's own.
            most = 1.5 * rate * each + (1000 if "output" in name else 0)
            if name not in found and 0.5 * rate * each < told < most:
                found[name] = (told, rate * each)
    for name in names:
        told, own = found.get(name, (probe.field(name), "its own count"))
        probe.board.moved(name, f"SETs of 1000 bytes, here counted {own if isinstance(own, str) else round(own, 1)}",
                          "0", str(told), lambda before, after, name=name: name in found)
    before = probe.info()
    for name in ["instantaneous_eventloop_cycles_per_sec", "instantaneous_eventloop_duration_usec"]:
        probe.board.moved(name, "load: rounds of the loop", "0" if name in before else None, before.get(name),
                          lambda first, now: now > 0)
    probe.comes("the load ends", {name: (lambda first, now, loaded=found.get(name, (1e9,))[0]: now < loaded / 4)
                                  for name in ["instantaneous_ops_per_sec", "instantaneous_input_kbps"]})


def rejections(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        # The clients of the start are gone.
        until(lambda: probe.field("connected_clients") == "1")
        for _ in range(2):
            probe.connect().call("PING")
        probe.set("maxclients", 3)

        def one_more():
            extra = probe.server.client()
            reply = extra.read()
            board.check("rejected_connections", reply[1] == b"ERR max number of clients reached", str(reply))
            extra.close()
        probe.moves("a fourth client with maxclients 3", one_more, {"rejected_connections": 1})
        probe.set("maxclients", 100)
        limits(probe)


def ended(client):
    try:
        while True:
            client.read()
    except (Disconnected, OSError):
        return True


def limits(probe):
    probe.set("client-query-buffer-limit", "1mb")

    def greedy():
        client = probe.connect()
        try:
            client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n" + b"x" * 2900000)
        except Disconnected:
            pass
        ended(client)
    probe.moves("a request above client-query-buffer-limit", greedy, {"client_query_buffer_limit_disconnections": 1})
    probe.set("client-query-buffer-limit", "1gb")
    probe.set("client-output-buffer-limit", "pubsub 100kb 0 0")
    name = "client_output_buffer_limit_disconnections"
    before = probe.info()
    deaf = probe.connect()
    deaf.call("SUBSCRIBE", "loud")
    for _ in range(200):
        probe.call("PUBLISH", "loud", "x" * 100000)
        if probe.field(name) != before.get(name):
            break
    probe.comes("a subscriber who does not read, above client-output-buffer-limit",
                {name: lambda first, now: now - first == 1}, before=before)
    if probe.call("CONFIG", "GET", "maxmemory-clients")[1]:
        before = probe.info()
        big = probe.connect()
        probe.set("maxmemory-clients", "1mb")
        try:
            big.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\n" + b"x" * 4000000)
        except Disconnected:
            pass
        probe.comes("a client with 4 MB of input, maxmemory-clients 1mb",
                    {"evicted_clients": lambda first, now: now - first == 1}, before=before)
        probe.set("maxmemory-clients", "0")
    before = probe.info()
    client = probe.connect()
    client.call("SET", "long", "x" * 200000)
    client.call("GET", "long")
    probe.comes("a reply of 200 KB", {"reply_buffer_expands": grows, "reply_buffer_shrinks": grows},
                before=before) if probe.server.which != "redis" else reply_buffers_of_redis(probe, client)


def reply_buffers_of_redis(probe, client):
    """There the buffer starts at 16 KB: it shrinks first and grows when it is full."""
    before = probe.info()
    probe.comes("a silent client", {"reply_buffer_shrinks": grows}, before=before)

    def load():
        client.call("MGET", *["long"] * 3)
        return probe.value("reply_buffer_expands") > float(before["reply_buffer_expands"])
    until(load)
    probe.board.moved("reply_buffer_expands", "replies of 600 KB", before["reply_buffer_expands"],
                      probe.field("reply_buffer_expands"), grows)


def expiry(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        probe.client.pipeline([("SET", f"e{i}", "v", "PX", "1") for i in range(7)])

        def look():
            time.sleep(0.05)
            probe.client.pipeline([("GET", f"e{i}") for i in range(7)])
        probe.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        probe.client.pipeline([("SET", f"e{i}", "v", "PX", "1") for i in range(7)])
        probe.moves("seven keys past their time are asked for", look, {"expired_keys": 7, "keyspace_misses": 7})
        if probe.field("expired_subkeys") is not None:
            before = probe.info()
            probe.call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
            probe.client.pipeline([("HSET", "h", "a", 1, "b", 2, "c", 3),
                                   ("HPEXPIRE", "h", 1, "FIELDS", 2, "a", "b")])
            probe.comes("two fields of a hash expire", {"expired_subkeys": lambda first, now: now - first == 2},
                        before=before)
            probe.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        before = probe.info()
        probe.fill(150000, "x", ("px", "1"))
        probe.call("DEBUG", "SET-ACTIVE-EXPIRE", 1)
        probe.comes("the cycle finds 150,000 keys past their time", {
            "expired_stale_perc": grows, "expired_time_cap_reached_count": grows,
            "expire_cycle_cpu_milliseconds": grows,
            "expired_keys": lambda first, now: now - first == 150000}, before=before, seconds=90)


def eviction(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        probe.fill(3000, "x" * 1000)
        before = probe.info()
        probe.set("maxmemory-policy", "allkeys-lru")
        probe.set("maxmemory", int(probe.value("used_memory")) - 1000000)
        probe.call("SET", "one", "more")
        keys = 3001

        def settled():
            return keys - probe.call("DBSIZE")[1] == probe.value("evicted_keys") - float(before["evicted_keys"]) > 300
        until(settled)
        after = probe.info()
        board.moved("evicted_keys", "maxmemory 1 MB below what 3000 keys of 1 KB take: as many as are gone",
                    before["evicted_keys"], after["evicted_keys"],
                    lambda first, now: now - first == keys - probe.call("DBSIZE")[1] and now - first > 300)
        probe.set("maxmemory-policy", "noeviction")
        probe.set("maxmemory", 100000)
        before = probe.info()
        board.check("current_eviction_exceeded_time", probe.call("SET", "no", "room")[0] == "-", "noeviction refuses")
        probe.comes("over maxmemory, with nothing that may go", {
            "current_eviction_exceeded_time": lambda first, now: now >= 50}, before=before)
        probe.comes("the same", {"total_eviction_exceeded_time": lambda first, now: now - first >= 50}, before=before)
        probe.set("maxmemory", "1gb")
        probe.call("SET", "now", "room")
        probe.comes("maxmemory 1gb", {"current_eviction_exceeded_time": lambda first, now: now == 0})
        after = probe.info()
        board.true("total_eviction_exceeded_time", "stays when it is over", after.get("total_eviction_exceeded_time"),
                   float(after.get("total_eviction_exceeded_time", 50)) >= 50)


def scripts(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        if probe.field("evicted_scripts") is not None:
            probe.moves("600 different EVALs, 500 are kept",
                        lambda: probe.client.pipeline([("EVAL", f"return {i}", 0) for i in range(600)]),
                        {"evicted_scripts": 100, "number_of_cached_scripts": 500})
        else:
            board.left_out.append("evicted_scripts")


def tracking(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        one, two, wide = probe.connect(), probe.connect(), probe.connect()
        for client in (one, two):
            client.hello(3)
            client.call("CLIENT", "TRACKING", "ON")

        def read():
            one.call("MGET", "a", "b")
            two.call("GET", "a")
        probe.moves("MGET a b by one tracking client, GET a by another", read,
                    {"tracking_total_keys": 2, "tracking_total_items": 3})
        wide.hello(3)
        probe.moves("TRACKING ON BCAST with two prefixes",
                    lambda: wide.call("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "x", "PREFIX", "y"),
                    {"tracking_total_prefixes": 2})
        probe.moves("SET a", lambda: probe.call("SET", "a", "1"),
                    {"tracking_total_keys": -1, "tracking_total_items": -2})


def access(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        probe.call("ACL", "SETUSER", "alice", "on", ">secret", "+@all", "-set", "~a*", "resetchannels", "&a*")
        client = probe.connect()
        probe.moves("AUTH with a wrong password", lambda: client.call("AUTH", "alice", "wrong"),
                    {"acl_access_denied_auth": 1, "total_error_replies": 1})
        client.call("AUTH", "alice", "secret")
        probe.moves("a command that is not allowed", lambda: client.call("SET", "a", "1"), {"acl_access_denied_cmd": 1})
        probe.moves("a key that is not allowed, twice", lambda: client.pipeline([("GET", "b")] * 2),
                    {"acl_access_denied_key": 2})
        probe.moves("a channel that is not allowed", lambda: client.call("SUBSCRIBE", "b"),
                    {"acl_access_denied_channel": 1})


def restoring(board, which, configuration):
    with Probe(board, which, {"sanitize-dump-payload": "yes"}, configuration) as probe:
        probe.client.pipeline([("RPUSH", "l", 1, 2), ("HSET", "h", "f", "v")])
        payloads = [probe.call("DUMP", key)[1] for key in "lh"]
        probe.moves("RESTORE of a list and a hash", lambda: [
            probe.call("RESTORE", f"copy{i}", 0, payload) for i, payload in enumerate(payloads)],
                    {"dump_payload_sanitizations": lambda before, after: after - before >= 2})
        client = probe.connect()
        probe.call("ACL", "SETUSER", "trusted", "on", "nopass", "~*", "+@all", "skip-sanitize-payload")
        client.call("AUTH", "trusted", "x")
        probe.set("sanitize-dump-payload", "clients")
        probe.moves("RESTORE by a user with skip-sanitize-payload, sanitize-dump-payload clients",
                    lambda: client.call("RESTORE", "copy9", 0, payloads[0]), {"dump_payload_sanitizations": 0})
        probe.moves("RESTORE by another user", lambda: probe.call("RESTORE", "copy10", 0, payloads[0]),
                    {"dump_payload_sanitizations": AtLeast(1)})
        before = probe.info()
        probe.call("BGSAVE")
        probe.comes("BGSAVE", {"total_forks": lambda first, now: now - first == 1, "latest_fork_usec": grows},
                    before=before)
        board.still("migrate_cached_sockets", "MIGRATE keeps no connections", probe.field("migrate_cached_sockets"),
                    probe.field("migrate_cached_sockets") == "0")


def failing_log(board, which, configuration):
    """A log with a record that fails when it is replayed."""
    directory = log_that_fails(board, which, configuration)
    with Probe(board, which, {"appendonly": "yes"}, configuration, directory=directory) as probe:
        board.moved("unexpected_error_replies", "a record of the log fails when it is replayed", "0",
                    probe.field("unexpected_error_replies"), 1)


def by_command(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        def parts(name):
            return dict(pair.split("=") for pair in (probe.field(name) or "calls=0").split(","))
        probe.call("CONFIG", "RESETSTAT")
        for command in [("SET", "s", "x"), ("SET", "s", "x"), ("LPUSH", "s", "1"), ("LPUSH", "s"), ("NOSUCH",),
                        ("CLIENT", "ID"), ("INCR", "s")]:
            probe.call(*command)
        board.true("cmdstat_%s", "two SETs", probe.field("cmdstat_set"),
                   parts("cmdstat_set")["calls"] == "2" and parts("cmdstat_set")["failed_calls"] == "0"
                   and float(parts("cmdstat_set")["usec_per_call"]) > 0)
        push = parts("cmdstat_lpush")
        board.true("cmdstat_%s", "LPUSH on a string, and one without enough arguments", probe.field("cmdstat_lpush"),
                   (push["calls"], push["rejected_calls"], push["failed_calls"]) == ("1", "1", "1"))
        board.true("cmdstat_%s", "a subcommand", probe.field("cmdstat_client|id"),
                   parts("cmdstat_client|id")["calls"] == "1")
        info = probe.info()
        errors = {name: value for name, value in info.items() if name.startswith("errorstat_")}
        board.true("errorstat_%s", "WRONGTYPE, arity, unknown command, no integer", str(errors),
                   errors == {"errorstat_ERR": "count=3", "errorstat_WRONGTYPE": "count=1"})
        board.true("total_error_replies", "the same", info["total_error_replies"], info["total_error_replies"] == "4")
        probe.call("DEBUG", "SLEEP", "0.1")
        times = dict(pair.split("=") for pair in info_line(probe, "latency_percentiles_usec_debug").split(","))
        board.true("latency_percentiles_usec_%s", "DEBUG SLEEP 0.1", str(times),
                   set(times) == {"p50", "p99", "p99.9"} and all(1e5 <= float(value) < 5e5 for value in times.values()))
        probe.set("latency-tracking", "no")
        board.check("latency_percentiles_usec_%s", not any(name.startswith("latency_p") for name in probe.info()),
                    "latency-tracking no: no lines")
        reset(probe)


def info_line(probe, name):
    return probe.field(name) or "none=0"


def reset(probe):
    """CONFIG RESETSTAT sets counters back."""
    probe.call("CONFIG", "RESETSTAT")
    info = probe.info()
    for name in ["keyspace_hits", "keyspace_misses", "expired_keys", "evicted_keys", "total_error_replies",
                 "rejected_connections", "total_connections_received", "unexpected_error_replies"]:
        probe.board.true(name, "CONFIG RESETSTAT", info[name], info[name] == "0")
    probe.board.true("total_commands_processed", "CONFIG RESETSTAT", info["total_commands_processed"],
                     int(info["total_commands_processed"]) <= 2)
    probe.board.check("errorstat_%s", not any(name.startswith("errorstat_") for name in info), "CONFIG RESETSTAT")


def all_parts():
    return [counters, rejections, expiry, eviction, scripts, tracking, access, restoring, failing_log, by_command]
