"""One workload on two servers, then what each of them counted: commandstats, errorstats and the counters of Stats."""
import random
import time

from generator import Generator
from truth.probe import Probe, encode, until

SEED = 5
# Exactly the same after the same requests.
EXACT = ["total_commands_processed", "keyspace_hits", "keyspace_misses", "total_error_replies", "total_net_input_bytes",
         "expired_keys", "rdb_changes_since_last_save", "total_connections_received", "rejected_connections",
         "acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel",
         "number_of_cached_scripts", "number_of_functions", "number_of_libraries", "blocked_clients",
         "pubsub_channels", "pubsub_patterns", "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes"]
# 7.4 looks at keys in another order than 7.0 (BITPOS, BITCOUNT), or without counting (SCAN TYPE). SPOP of a whole set
# is a SUNION within, which counts as a hit. BITFIELD that only made a value longer is a change here.
LEFT_OUT = frozenset(["BITPOS", "BITCOUNT", "SCAN", "SPOP", "BITFIELD"])
# What 7.4 counts besides: a waiting client that is served runs its command, and what it takes is a change.
NEWER = {"rdb_changes_since_last_save": 1}
POLL = ("CLIENT", "LIST")
polls = []


def seen(client, text):
    """Asks CLIENT LIST, which is not counted as work."""
    polls.append(POLL)
    return text in client.call(*POLL)[1]


def errors():
    """Requests that fail in each way that has a code or a counter of its own."""
    return [
        ("NOSUCH", "a"), ("GET",), ("GET", "a", "b"), ("SET", "s", "x"), ("LPUSH", "s", "1"), ("HSET", "s", "f", "v"),
        ("INCR", "s"), ("CLIENT", "NOSUCH"), ("CONFIG", "SET", "hz", "x"), ("EXEC",), ("MULTI",), ("SET", "a"),
        ("EXEC",),
        ("MULTI",), ("INCR", "s"), ("LPUSH", "s", "1"), ("GET", "s"), ("EXEC",), ("EVAL",
        "return redis.call('nosuch')", 0),
        ("EVAL", "return redis.pcall('lpush', KEYS[1], 1)", 1, "s"), ("EVAL", "redis.call('lpush', KEYS[1], 1)", 1,
        "s"),
        ("EVAL", "return redis.error_reply('MY own error')", 0), ("EVAL", "syntax error here", 0),
        ("EVAL", "redis.call('set', KEYS[1], 1) redis.call('get', KEYS[1]) return redis.call('get', 'gone')", 1, "t"),
        ("EVALSHA", "0" * 40, 0), ("FCALL", "gone", 0), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">"),
        ("AUTH", "wrong"), ("AUTH", "nobody", "wrong"), ("RESTORE", "r", 0, "bad"), ("OBJECT", "ENCODING", "gone"),
        ("RENAME", "gone", "other"), ("SELECT", "99"), ("SETRANGE", "s", "-1", "x"), ("EXPIRE", "s", "x"), ("TYPE",
        "gone"),
        ("TTL", "gone"), ("EXISTS", "s", "gone", "s"), ("TOUCH", "s", "gone"), ("MGET", "s", "gone"), ("GETDEL",
        "gone"),
        ("SUNION", "gone", "gone2"), ("COPY", "s", "copy"), ("DEL", "copy", "gone"), ("UNLINK", "gone"), ("DUMP",
        "gone"),
        ("OBJECT", "FREQ", "s"), ("SORT", "gone"), ("BITCOUNT", "gone"), ("STRLEN", "gone"), ("GETEX", "s", "EX",
        "1000"),
    ]


def restricted(server):
    """What a user without rights is refused."""
    with server.client() as owner, server.client() as guest:
        owner.call("ACL", "SETUSER", "guest", "on", "nopass", "~a*", "resetchannels", "+@read", "+subscribe", "+multi",
                   "+exec", "+auth")
        guest.call("AUTH", "guest", "x")
        for command in [("GET", "a"), ("GET", "b"), ("SET", "a", "1"), ("SUBSCRIBE", "c"), ("MULTI",), ("SET", "a",
            "1"),
                        ("EXEC",), ("MGET", "a", "b")]:
            guest.call(*command)
        guest.close()
        until(lambda: not seen(owner, b"user=guest"))


def blocking(server):
    with server.client() as waiter, server.client() as other:
        waiter.send("BLPOP", "queue", "0")
        until(lambda: seen(other, b"cmd=blpop"))
        other.call("RPUSH", "queue", "x")
        waiter.read()
        waiter.call("BLPOP", "queue", "0.01")
        waiter.call("SUBSCRIBE", "a", "b")
        waiter.read()
        other.call("PUBLISH", "a", "x")
        waiter.read()


def expiring(client):
    client.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    client.pipeline([("SET", f"dies{i}", "v", "PX", "1") for i in range(20)])
    time.sleep(0.05)
    client.pipeline([("GET", f"dies{i}") for i in range(10)] + [("EXISTS", f"dies{i}") for i in range(10, 15)]
                    + [("SET", f"dies{i}", "w") for i in range(15, 20)])


def work(server, client):
    for number in range(6):
        generator = Generator("mixed", f"twin/{SEED}/{number}", LEFT_OUT)
        client.pipeline([generator.command() for _ in range(800)], 50)
        client.call("FLUSHALL")
    client.pipeline(errors(), 1)
    chance = random.Random(SEED)
    client.pipeline([(chance.choice(["GET", "INCR", "DEL", "EXISTS"]), f"n{chance.randrange(40)}")
        for _ in range(2000)])
    restricted(server)
    blocking(server)
    expiring(client)


def measured(board, which, configuration):
    """(differences of counters, commandstats, errorstats, bytes sent) of one server."""
    with Probe(board, which, {}, configuration) as probe:
        until(lambda: probe.field("connected_clients") == "1")
        probe.call("CONFIG", "RESETSTAT")
        before = probe.info()
        # INFO's own length is each server's.
        counted = int(probe.field("total_net_output_bytes")), len(probe.text())
        polls.clear()
        work(probe.server, probe.client)
        after = probe.info()
        grown = {name: int(after[name]) - int(before[name]) for name in EXACT if name in after and name in before}
        grown["total_commands_processed"] -= len(polls)
        grown["total_net_input_bytes"] -= len(polls) * len(encode(POLL))
        calls = {name: value for name, value in after.items() if name.startswith("cmdstat_")
                 and name != "cmdstat_client|list"}
        failed = {name: value for name, value in after.items() if name.startswith("errorstat_")}
        sent = int(after["total_net_output_bytes"]) - counted[0] - counted[1]
        keys = {name: ",".join(after[name].split(",")[:2]) for name in after if name.startswith("db")}
        return grown, calls, failed, sent, keys


def counts(text):
    parts = dict(pair.split("=") for pair in text.split(","))
    return {name: parts.get(name) for name in ("calls", "rejected_calls", "failed_calls")}


def both(board, which, configuration):
    own, other = measured(board, which, configuration), measured(board, "redis", None)
    for name in own[0]:
        if name in other[0]:
            wanted = other[0][name] + (NEWER.get(name, 0) if which != "redis" else 0)
            board.true(name, f"redis-server counts {other[0][name]}", str(own[0][name]), own[0][name] == wanted)
    for name in sorted(set(own[1]) | set(other[1])):
        one, two = counts(own[1].get(name, "calls=0")), counts(other[1].get(name, "calls=0"))
        board.true(name, f"redis-server: {' '.join(map(str, two.values()))}", " ".join(map(str, one.values())),
            one == two)
    for name in sorted(set(own[2]) | set(other[2])):
        board.true(name, f"redis-server: {other[2].get(name)}", str(own[2].get(name)),
            own[2].get(name) == other[2].get(name))
    board.true("total_net_output_bytes", f"redis-server: {other[3]}, within 2 %", str(own[3]),
               abs(own[3] - other[3]) < 0.02 * other[3])
    board.true("db%d", f"redis-server: {other[4]}", str(own[4]), own[4] == other[4])


def all_parts():
    return [both]
