"""INFO: Server, Clients, Replication, CPU, Cluster, Modules, Keyspace."""
import os
import platform
import re
import socket as sockets
import subprocess
import time

from truth.board import AtLeast
from truth.probe import Probe, Server, grows, preload, until
from servers import io_threads, scratch


def server_facts(board, which, configuration):
    with Probe(board, which, {"hz": 10}, configuration) as probe:
        info = probe.info()
        version = subprocess.run([probe.server.path, "--version"], capture_output=True, text=True, check=True).stdout
        hello = dict(zip(*[iter(probe.call("HELLO")[1])] * 2))
        told = {key[1].decode(): value[1] for key, value in hello.items()}
        board.true("redis_version", "as --version and HELLO say", info["redis_version"],
                   f"v={info['redis_version']} " in version and told["version"].decode() == info["redis_version"])
        board.true("redis_git_sha1", "as --version says", info["redis_git_sha1"],
                   f"sha={info['redis_git_sha1']}:" in version)
        board.true("redis_git_dirty", "as --version says", info["redis_git_dirty"],
                   f":{info['redis_git_dirty']} " in version)
        board.true("redis_build_id", "16 hex digits", info["redis_build_id"],
                   re.fullmatch("[0-9a-f]{12,16}", info["redis_build_id"]) is not None)
        board.true("redis_mode", "as HELLO says", info["redis_mode"], told["mode"].decode() == info["redis_mode"])
        board.true("os", "as uname says", info["os"],
                   info["os"] == f"{platform.system()} {platform.release()} {platform.machine()}")
        with open(probe.server.path, "rb") as file:
            bits = {1: "32", 2: "64"}[file.read(5)[4]]
        board.true("arch_bits", "as the ELF header says", info["arch_bits"], info["arch_bits"] == bits)
        board.true("monotonic_clock", "names the clock that is read", info["monotonic_clock"],
                   "clock_gettime" in info["monotonic_clock"] or "X86 TSC" in info["monotonic_clock"])
        held = [os.readlink(f"/proc/{probe.server.process.pid}/fd/{name}")
                for name in os.listdir(f"/proc/{probe.server.process.pid}/fd")]
        board.true("multiplexing_api", "an epoll descriptor is held", info["multiplexing_api"],
                   info["multiplexing_api"] == "epoll" and "anon_inode:[eventpoll]" in held)
        board.true("atomicvar_api", "C11's, of the compiler", info["atomicvar_api"],
                   info["atomicvar_api"] == "c11-builtin")
        board.true("gcc_version", "0.0.0 when it was not GCC", info["gcc_version"],
                   re.fullmatch(r"\d+\.\d+\.\d+", info["gcc_version"]) is not None)
        board.true("process_id", "the process' own", info["process_id"],
                   info["process_id"] == str(probe.server.process.pid))
        board.true("tcp_port", "the port that was dialled", info["tcp_port"],
                   info["tcp_port"] == str(probe.server.port))
        board.true("executable", "/proc/PID/exe", info["executable"],
                   os.path.realpath(info["executable"])
                   == os.readlink(f"/proc/{probe.server.process.pid}/exe").replace(" (deleted)", ""))
        now = time.time()
        board.true("server_time_usec", "the time of day", info["server_time_usec"],
                   abs(int(info["server_time_usec"]) / 1e6 - now) < 20)
        board.true("lru_clock", "seconds modulo 2^24", info["lru_clock"],
                   min(abs(int(info["lru_clock"]) - (int(now) & 0xffffff)), 1 << 23) < 20)
        probe.comes("time passes", {"server_time_usec": grows, "lru_clock": grows, "uptime_in_seconds": grows})
        probe.moves("CONFIG SET hz 50", lambda: probe.set("hz", 50), {"hz": 40, "configured_hz": 40})
        frequency(probe)
        run_id(probe, info)


def frequency(probe):
    """More clients than a turn of the cron should look after raise hz, unless dynamic-hz is off."""
    probe.set("hz", 1)
    for _ in range(450):
        probe.connect()
    probe.comes("450 clients at hz 1 (200 a turn)", {"hz": lambda before, now: now >= 2})
    probe.board.true("configured_hz", "stays when hz is raised", probe.field("configured_hz"),
                     probe.field("configured_hz") == "1")


def run_id(probe, info):
    for client in probe.others:
        client.close()
    probe.others = []
    probe.server.kill()
    probe.server.start()
    probe.client.close()
    probe.client = probe.server.client()
    again = probe.info()
    probe.board.moved("run_id", "another run has another", info["run_id"], again["run_id"],
                      lambda before, after: before != after and len(info["run_id"]) == 40)
    probe.board.moved("master_replid", "another run has another", info["master_replid"], again["master_replid"],
                      lambda before, after: before != after and len(again["master_replid"]) == 40)
    probe.board.true("redis_build_id", "the same executable, the same id", again["redis_build_id"],
                     again["redis_build_id"] == info["redis_build_id"])


def started_otherwise(board, which, configuration):
    """A configuration file, a Unix socket, a supervisor, threads, and a clock that runs ahead."""
    directory = scratch()
    file, socket = os.path.join(directory, "own.conf"), os.path.join(directory, "own.sock")
    with open(file, "w") as text:
        text.write(f"unixsocket {socket}\nsupervised systemd\n")
    supervisor = sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM)
    supervisor.bind(os.path.join(directory, "notify"))
    server = Server(which, {}, directory, configuration, {"NOTIFY_SOCKET": os.path.join(directory, "notify")})
    plain = server.command_line
    server.command_line = lambda: [plain()[0], file] + plain()[1:]
    with Probe(board, which, server=server) as probe:
        info = probe.info()
        board.true("config_file", "the file that it was started with", info["config_file"], info["config_file"] == file)
        board.true("process_supervised", "supervised systemd, with a NOTIFY_SOCKET", info["process_supervised"],
                   info["process_supervised"] == "systemd")
        lines = [value for name, value in info.items() if name.startswith("listener")]
        board.true("listener%d", "a TCP port and a Unix socket", " ".join(lines) or None,
                   any(f"port={probe.server.port}" in line for line in lines) and any(socket in line for line in lines))
    threads(board, which, configuration)
    later(board, which, configuration)


def threads(board, which, configuration):
    options = io_threads(4)
    if which == "redis":
        del options["io-threads-always-active"]
    with Probe(board, which, options, configuration) as probe:
        clients = [probe.connect() for _ in range(24)]

        def storm():
            for client in clients:
                client.send_raw(b"PING\r\n" * 20)
            for client in clients:
                for _ in range(20):
                    client.read()

        def busy():
            storm()
            now = probe.info()
            return now["io_threads_active"] == "1" and now["io_threaded_reads_processed"] != "0" \
                and now["io_threaded_writes_processed"] != "0"

        before = probe.info()
        until(busy)
        after = probe.info()
        for name in ["io_threaded_reads_processed", "io_threaded_writes_processed"]:
            board.moved(name, "24 clients' pipelines with io-threads 4", before[name], after[name], grows)
        board.moved("io_threads_active", "24 clients' pipelines with io-threads 4", "0", after["io_threads_active"], 1)
        board.true("io_threaded_reads_processed", "no more than all reads", after["io_threaded_reads_processed"],
                   int(after["io_threaded_reads_processed"]) <= int(after["total_reads_processed"]) + 25)
        board.true("io_threaded_writes_processed", "no more than all writes", after["io_threaded_writes_processed"],
                   int(after["io_threaded_writes_processed"]) <= int(after["total_writes_processed"]) + 25)


def later(board, which, configuration):
    """Days can't be waited for: the clock of this server can be set forward."""
    ahead = os.path.join(scratch(), "ahead")
    with open(ahead, "w") as file:
        file.write("0")
    environment = {"LD_PRELOAD": preload("laterclock"), "LATERCLOCK_FILE": ahead}
    with Probe(board, which, {}, configuration, environment=environment) as probe:
        before = probe.info()
        with open(ahead, "w") as file:
            file.write(str(3 * 86400))
        probe.comes("the clock is set three days forward", {"uptime_in_days": lambda first, now: now - first == 3},
                    before=before)
        probe.comes("the clock is set three days forward", {
            "uptime_in_seconds": lambda first, now: 0 <= now - first - 3 * 86400 < 60}, before=before)


def clients(board, which, configuration):
    with Probe(board, which, {"client-query-buffer-limit": "64mb"}, configuration) as probe:
        def open_three():
            for _ in range(3):
                probe.connect().call("PING")
        probe.moves("three more connections", open_three, {"connected_clients": 3, "total_connections_received": 3})
        blocker, watcher, tracker, listener, group = (probe.connect() for _ in range(5))
        for client in (blocker, watcher, tracker, listener, group):
            client.call("PING")

        def block():
            blocker.send("BLPOP", "a", "b", "100")
            until(lambda: probe.field("blocked_clients") == "1")
        probe.moves("BLPOP a b 100", block, {"blocked_clients": 1, "clients_in_timeout_table": 1,
                                             "total_blocking_keys": 2, "total_blocking_keys_on_nokey": 0})
        probe.call("XGROUP", "CREATE", "stream", "g", "$", "MKSTREAM")

        def block_group():
            group.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "stream", ">")
            until(lambda: probe.field("blocked_clients") == "2")
        probe.moves("XREADGROUP BLOCK 0", block_group, {
            "blocked_clients": 1, "clients_in_timeout_table": 0, "total_blocking_keys": 1,
            "total_blocking_keys_on_nokey": 1})

        def release():
            probe.call("RPUSH", "b", "x")
            probe.call("DEL", "stream")
            until(lambda: probe.field("blocked_clients") == "0")
        probe.moves("RPUSH b x, DEL stream", release, {
            "blocked_clients": -2, "clients_in_timeout_table": -1, "total_blocking_keys": -3,
            "total_blocking_keys_on_nokey": -1})
        probe.moves("WATCH of two keys", lambda: watcher.call("WATCH", "a", "b"),
                    {"watching_clients": 1, "total_watched_keys": 2})
        probe.moves("UNWATCH", lambda: watcher.call("UNWATCH"), {"watching_clients": -1, "total_watched_keys": -2})
        probe.moves("CLIENT TRACKING ON", lambda: tracker.call("CLIENT", "TRACKING", "ON"), {"tracking_clients": 1})
        probe.moves("CLIENT TRACKING OFF", lambda: tracker.call("CLIENT", "TRACKING", "OFF"), {"tracking_clients": -1})

        def subscribe():
            listener.call("SUBSCRIBE", "ch")
            listener.call("PSUBSCRIBE", "p*")
        probe.moves("SUBSCRIBE and PSUBSCRIBE by one client", subscribe,
                    {"pubsub_clients": 1, "pubsub_channels": 1, "pubsub_patterns": 1})
        probe.moves("SSUBSCRIBE", lambda: tracker.call("SSUBSCRIBE", "sh"), {"pubsubshard_channels": 1})
        probe.moves("CONFIG SET maxclients", lambda: probe.set("maxclients", 500),
                    {"maxclients": lambda before, after: after == 500})
        board.still("cluster_connections", "there is no cluster bus", probe.field("cluster_connections"),
                    probe.field("cluster_connections") == "0")
        buffers(probe, watcher)


def buffers(probe, client):
    """Half a request of 3 MB; then a reply of 3 MB that nobody reads."""
    before = probe.info()
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$3000000\r\n" + b"x" * 2000000)
    probe.comes("2 MB of a request that is not whole", {
        "client_recent_max_input_buffer": lambda first, now: 2000000 <= now - first < 8000000}, before=before)
    client.send_raw(b"x" * 1000000 + b"\r\n")
    client.read()
    before = probe.info()
    client.send_raw(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" * 5)
    probe.comes("replies of 15 MB that nobody reads", {
        "client_recent_max_output_buffer": lambda first, now: now - first >= 2000000}, before=before)


def replication(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        info = probe.info()
        active = info["io_threads_active"]
        board.true("io_threads_active", "0 with io-threads 1", active, active == "0")
        board.true("role", "as ROLE says", info["role"], info["role"] == probe.call("ROLE")[1][0][1].decode())
        alone = "a stand-alone server has no replicas and no primary"
        for name, value in [("connected_slaves", "0"), ("master_failover_state", "no-failover"),
                            ("master_replid2", "0" * 40), ("master_repl_offset", "0"), ("second_repl_offset", "-1"),
                            ("repl_backlog_active", "0"), ("repl_backlog_first_byte_offset", "0"),
                            ("repl_backlog_histlen", "0")]:
            board.still(name, alone, info[name], info[name] == value)
        probe.moves("CONFIG SET repl-backlog-size 2mb", lambda: probe.set("repl-backlog-size", "2mb"),
                    {"repl_backlog_size": lambda before, after: after == 2 << 20 and before != after})
        probe.set("min-replicas-to-write", 2)
        board.true("min_slaves_good_slaves", "appears with min-replicas-to-write; none is there",
                   probe.field("min_slaves_good_slaves"), probe.field("min_slaves_good_slaves") == "0")
        probe.set("min-replicas-to-write", 0)
        board.check("min_slaves_good_slaves", probe.field("min_slaves_good_slaves") is None,
                    "goes with min-replicas-to-write 0")
        board.true("cluster_enabled", "no cluster", info["cluster_enabled"], info["cluster_enabled"] == "0")
        board.still("module", "no modules: MODULE LOAD is refused", str(info.get("module")),
                    info.get("module") is None and probe.call("MODULE", "LIST")[1] == [])


def processor(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        before = probe.info()
        probe.fill(60000, "y" * 100)
        probe.comes("a script that sets 60,000 keys", {"used_cpu_user": grows, "used_cpu_user_main_thread": grows},
                    before=before)
        before = probe.info()
        until(lambda: probe.client.pipeline([("PING",)] * 500)
              and probe.value("used_cpu_sys_main_thread") > float(before["used_cpu_sys_main_thread"]))
        probe.comes("PINGs", {"used_cpu_sys": grows, "used_cpu_sys_main_thread": grows}, before=before)
        info = probe.info()
        for kind in ("sys", "user"):
            whole, main = info[f"used_cpu_{kind}"], info[f"used_cpu_{kind}_main_thread"]
            board.true(f"used_cpu_{kind}", "no less than the main thread's", whole, float(whole) + 0.05 >= float(main))
        with open(f"/proc/{probe.server.process.pid}/stat") as file:
            ticks = file.read().rsplit(")", 1)[1].split()[11:13]
        for name, value in zip(("used_cpu_user", "used_cpu_sys"), ticks):
            board.true(name, "as /proc says", info[name], abs(float(info[name]) - int(value) / 100) < 1)

        names, before = ["used_cpu_user_children", "used_cpu_sys_children"], probe.info()

        def saved():
            """The kernel may book a short child's time as user time alone."""
            probe.call("BGSAVE")
            until(lambda: probe.field("rdb_bgsave_in_progress") == "0")
            now = probe.info()
            return all(float(now[name]) > float(before[name]) for name in names)
        until(saved, 60)
        probe.comes("BGSAVE", {name: grows for name in names}, before=before, seconds=1)


def keyspace(board, which, configuration):
    def parts(text):
        return dict(pair.split("=") for pair in (text or "").split(",") if "=" in pair)
    with Probe(board, which, {}, configuration) as probe:
        board.check("db%d", probe.field("db0") is None, "no line for an empty database")
        probe.client.pipeline([("SET", f"k{i}", "v") for i in range(10)]
                              + [("PEXPIRE", f"k{i}", 100000) for i in range(4)])
        line = parts(probe.field("db0"))
        board.true("db%d", "10 keys, 4 with an expire", probe.field("db0"),
                   line["keys"] == "10" and line["expires"] == "4")
        until(lambda: 0 < int(parts(probe.field("db0"))["avg_ttl"]) <= 100000)
        board.true("db%d", "avg_ttl: up to the 100 s that were set", probe.field("db0"),
                   0 < int(parts(probe.field("db0"))["avg_ttl"]) <= 100000)
        if "subexpiry" in line:
            probe.client.pipeline([("HSET", "h", "f", "v"), ("HPEXPIRE", "h", "100000", "FIELDS", 1, "f")])
            board.true("db%d", "subexpiry: a hash with a field's expire", probe.field("db0"),
                       parts(probe.field("db0"))["subexpiry"] == "1")
        probe.client.pipeline([("SELECT", 5), ("SET", "k", "v"), ("SELECT", 0)])
        board.true("db%d", "a key in database 5", probe.field("db5"), parts(probe.field("db5"))["keys"] == "1")
        probe.call("FLUSHALL")
        board.check("db%d", probe.field("db0") is None and probe.field("db5") is None, "FLUSHALL: no lines")


def all_parts():
    return [server_facts, started_otherwise, clients, replication, processor, keyspace]


__all__ = ["AtLeast", "all_parts"]
