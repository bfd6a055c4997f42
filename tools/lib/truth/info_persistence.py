"""INFO: Persistence."""
import os
import signal
import time

from truth.board import AtLeast
from truth.probe import Probe, Server, grows, preload, until
from servers import scratch


def children(process):
    """Processes that a server forked."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    if int(file.read().rsplit(")", 1)[1].split()[1]) == process:
                        found.append(int(name))
            except (OSError, ValueError):
                pass
    return found


def snapshots(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        probe.fill(4000, "x" * 1000)
        probe.moves("three SETs and a GET", lambda: probe.client.pipeline(
            [("SET", "a", i) for i in range(3)] + [("GET", "a")]), {"rdb_changes_since_last_save": 3})
        # Behind the start's second, so that the time of the last save can be seen to move.
        time.sleep(1.1)
        probe.set("rdb-key-save-delay", 2500)
        before = probe.info()
        probe.call("BGSAVE")
        # Both systems look after the child about once a second.
        writes = iter(range(1 << 30))

        def dirty(condition):
            probe.fill(1000, "y" * 1000 + str(next(writes)))
            return condition(probe.info())
        probe.comes("BGSAVE with rdb-key-save-delay", {"rdb_bgsave_in_progress": lambda first, now: now == 1},
                    before=before)
        seen = {}

        def sees(now):
            """Notes the highest of each; whether all were above 0, or it is over."""
            for name in ["current_cow_size", "current_cow_peak", "current_cow_size_age", "current_fork_perc",
                         "current_save_keys_processed", "current_save_keys_total", "rdb_current_bgsave_time_sec"]:
                seen[name] = max(seen.get(name, 0.0), float(now.get(name, 0)))
            return now["rdb_bgsave_in_progress"] == "0" or all(
                value > 0 for name, value in seen.items() if name != "current_cow_size_age")
        until(lambda: dirty(sees), 60)
        # Its last report grows old when the child stands still.
        for signal_number in (signal.SIGSTOP, signal.SIGCONT):
            for child in children(probe.server.process.pid):
                os.kill(child, signal_number)
            if signal_number == signal.SIGSTOP:
                until(lambda: (sees(probe.info()), seen["current_cow_size_age"] >= 1)[1])
        probe.set("rdb-key-save-delay", 0)
        conditions = {
            "current_cow_size": seen["current_cow_size"] > 4096, "current_cow_peak": seen["current_cow_peak"] > 4096,
            "current_cow_size_age": 0 < seen["current_cow_size_age"] < 60,
            "current_fork_perc": 0 < seen["current_fork_perc"] <= 100,
            "current_save_keys_processed": 0 < seen["current_save_keys_processed"] <= 4001,
            "current_save_keys_total": seen["current_save_keys_total"] == 4001,
            "rdb_current_bgsave_time_sec": 1 <= seen["rdb_current_bgsave_time_sec"] < 60}
        for name, good in conditions.items():
            board.moved(name, "BGSAVE of 4001 keys beside writes", before.get(name), str(seen[name]),
                        lambda first, now, good=good: good)
        until(lambda: probe.field("rdb_bgsave_in_progress") == "0", 60)
        after = probe.info()
        for name, wanted in {"rdb_saves": 1, "rdb_last_bgsave_time_sec": lambda first, now: first == -1 and now >= 0,
                             "rdb_last_cow_size": AtLeast(4096), "rdb_last_save_time": AtLeast(1, 3600),
                             "rdb_last_bgsave_status": lambda first, now: now == "ok"}.items():
            board.moved(name, "BGSAVE is done", before.get(name), after.get(name), wanted)
        for name in ["current_cow_size", "current_cow_peak", "current_save_keys_total"]:
            board.true(name, "0 without a child", after[name], after[name] == "0")
        board.true("rdb_last_save_time", "as LASTSAVE says", after["rdb_last_save_time"],
                   after["rdb_last_save_time"] == str(probe.call("LASTSAVE")[1]))
        failing(probe)


def failing(probe):
    """dump.rdb is a directory: the dump can't take its name."""
    dump = os.path.join(probe.server.directory, "dump.rdb")
    os.remove(dump)
    os.mkdir(dump)
    probe.call("BGSAVE")
    probe.comes_word("dump.rdb is a directory", "rdb_last_bgsave_status", "ok", "err")
    os.rmdir(dump)
    probe.call("BGSAVE")
    probe.comes_word("it is gone", "rdb_last_bgsave_status", "err", "ok")
    info = probe.info()
    probe.board.still("async_loading", "only a replica loads while it serves", info["async_loading"],
                      info["async_loading"] == "0")
    for name in ["module_fork_in_progress", "module_fork_last_cow_size"]:
        probe.board.still(name, "no modules: MODULE LOAD is refused", info[name], info[name] == "0")


def loading(board, which, configuration):
    directory = scratch()
    with Probe(board, which, {}, configuration, directory=directory) as probe:
        board.true("loading", "0 when it is done", probe.field("loading"), probe.field("loading") == "0")
        probe.fill(3000, "x" * 200)
        probe.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        probe.client.pipeline([("SET", f"dies{i}", "v", "PX", 1500) for i in range(5)])
        probe.call("SAVE")
        size = os.path.getsize(os.path.join(directory, "dump.rdb"))
        probe.server.kill()
    time.sleep(1.6)
    began = time.time()
    options = {"key-load-delay": 4000, "loading-process-events-interval-bytes": 1024}
    server = Server(which, options, directory, configuration)
    server.start(wait=False)
    with Probe(board, which, server=server, wait=False) as probe:
        probe.client = None
        until(lambda: connects(probe))
        seen = {}

        def half():
            now = probe.info("persistence")
            if now.get("loading") == "1":
                seen.update(now)
            return now.get("loading") == "0" or float(now.get("loading_loaded_perc", 0)) > 40
        until(half, 60, 0.05)
        facts = {
            "loading": seen.get("loading") == "1",
            "loading_start_time": abs(float(seen.get("loading_start_time", 0)) - began) < 30,
            "loading_total_bytes": seen.get("loading_total_bytes") == str(size),
            "loading_rdb_used_mem": int(seen.get("loading_rdb_used_mem", 0)) > 0,
            "loading_loaded_bytes": 0 < int(seen.get("loading_loaded_bytes", 0)) <= size,
            "loading_loaded_perc": abs(float(seen.get("loading_loaded_perc", 0))
                                       - 100 * int(seen.get("loading_loaded_bytes", 0)) / size) < 1.5,
            "loading_eta_seconds": int(seen.get("loading_eta_seconds", -1)) >= 1}
        for name, good in facts.items():
            board.moved(name, f"a dump of {size} bytes is being loaded", "absent", seen.get(name, "absent"),
                        lambda first, now, good=good: good)
        until(lambda: probe.info("persistence").get("loading") == "0", 60)
        after = probe.info()
        board.moved("rdb_last_load_keys_loaded", "3000 keys, and 5 past their time", "0",
                    after.get("rdb_last_load_keys_loaded"), 3000)
        board.moved("rdb_last_load_keys_expired", "3000 keys, and 5 past their time", "0",
                    after.get("rdb_last_load_keys_expired"), 5)
        board.check("loading_*", not any(name.startswith("loading_") for name in after), "gone when it is done")


def connects(probe):
    try:
        probe.client = probe.server.client(timeout=30)
        return True
    except Exception:
        return False


def log(board, which, configuration):
    options = {"appendfsync": "everysec", "auto-aof-rewrite-percentage": "0"}
    with Probe(board, which, options, configuration) as probe:
        names = ["aof_current_size", "aof_base_size", "aof_pending_rewrite", "aof_buffer_length",
                 "aof_pending_bio_fsync", "aof_delayed_fsync"]
        info = probe.info()
        board.check("aof_current_size", not any(name in info for name in names), "appendonly no: no fields of files")
        before = probe.info()
        probe.set("appendonly", "yes")
        probe.comes("CONFIG SET appendonly yes", {"aof_enabled": lambda first, now: now == 1}, before=before)
        until(lambda: probe.field("aof_rewrite_in_progress") == "0" and probe.field("aof_rewrite_scheduled") == "0")
        probe.fill(2000, "x" * 100)
        before = probe.info()
        probe.call("SET", "k", b"x" * 100000)
        probe.comes("SET of 100 KB", {"aof_current_size": lambda first, now: 100000 <= now - first < 101000},
                    before=before)
        probe.board.still("aof_pending_rewrite", "a rewrite starts at once or is scheduled; Redis writes 0, too",
                          info_of(probe, "aof_pending_rewrite"), info_of(probe, "aof_pending_rewrite") == "0")
        rewrites(probe)
        scheduled(probe)
        failing_rewrite(probe)
        before = probe.info()
        probe.call("CONFIG", "RESETSTAT")
        board.moved("eventloop_duration_aof_sum", "CONFIG RESETSTAT", before.get("eventloop_duration_aof_sum"),
                    probe.field("eventloop_duration_aof_sum"), lambda first, now: now <= first)
        before = probe.info()
        probe.client.pipeline([("SET", "k", "x" * 1000)] * 2000)
        probe.comes("2000 SETs are logged", {"eventloop_duration_aof_sum": grows}, before=before)


def info_of(probe, name):
    return probe.info().get(name)


def rewrites(probe):
    probe.set("rdb-key-save-delay", 2500)
    before = probe.info()
    seen = {"aof_current_rewrite_time_sec": -1.0, "current_save_keys_total": 0.0}
    probe.call("BGREWRITEAOF")
    probe.comes("BGREWRITEAOF with rdb-key-save-delay", {"aof_rewrite_in_progress": lambda first, now: now == 1},
                before=before)

    def sees():
        probe.fill(50, "z" * 5000)
        now = probe.info()
        seen["aof_current_rewrite_time_sec"] = max(seen["aof_current_rewrite_time_sec"],
                                                   float(now["aof_current_rewrite_time_sec"]))
        return seen["aof_current_rewrite_time_sec"] >= 1 or now["aof_rewrite_in_progress"] == "0"
    until(sees, 60)
    name = "aof_current_rewrite_time_sec"
    probe.board.moved(name, "a rewrite that takes seconds", before[name], str(seen[name]),
                      lambda first, now: first == -1 and now >= 1)
    probe.set("rdb-key-save-delay", 0)
    until(lambda: probe.field("aof_rewrite_in_progress") == "0", 60)
    after = probe.info()
    for name, wanted in {"aof_rewrites": 1, "aof_last_rewrite_time_sec": lambda first, now: now >= 1,
                         "aof_last_bgrewrite_status": lambda first, now: now == "ok",
                         "aof_last_cow_size": lambda first, now: now > 0,
                         "aof_base_size": lambda first, now: now != first and now > 100000}.items():
        probe.board.moved(name, "the rewrite is done", before.get(name), after.get(name), wanted)


def scheduled(probe):
    probe.set("rdb-key-save-delay", 2000)
    before = probe.info()
    probe.call("BGSAVE")
    probe.moves("BGREWRITEAOF while a BGSAVE runs", lambda: probe.call("BGREWRITEAOF"), {"aof_rewrite_scheduled": 1})
    probe.set("rdb-key-save-delay", 0)
    for child in children(probe.server.process.pid):
        os.kill(child, signal.SIGKILL)
    probe.comes("the BGSAVE ends", {"aof_rewrite_scheduled": lambda first, now: now == 0,
                                    "aof_rewrites": lambda first, now: now - first == 1}, before=before, seconds=60)
    until(lambda: probe.field("aof_rewrite_in_progress") == "0", 60)


def failing_rewrite(probe):
    """Its child is killed."""
    probe.set("rdb-key-save-delay", 2000)
    before = probe.info()
    probe.call("BGREWRITEAOF")
    until(lambda: probe.field("aof_rewrite_in_progress") == "1" and children(probe.server.process.pid) != [])
    for child in children(probe.server.process.pid):
        os.kill(child, signal.SIGKILL)
    probe.set("rdb-key-save-delay", 0)
    probe.comes_word("the rewrite's child is killed", "aof_last_bgrewrite_status", "ok", "err")
    name = "aof_rewrites_consecutive_failures"
    probe.board.moved(name, "the rewrite's child is killed", before.get(name), probe.field(name), 1)
    probe.call("BGREWRITEAOF")
    probe.comes_word("the next one goes well", "aof_last_bgrewrite_status", "err", "ok")
    probe.comes("the next one goes well", {"aof_rewrites_consecutive_failures": lambda first, now: now == 0})


def failing_write(board, which, configuration):
    control = os.path.join(scratch(), "control")
    with open(control, "w") as file:
        file.write("")
    environment = {"LD_PRELOAD": preload("faulty"), "FAULTY_CONTROL": control}
    options = {"appendonly": "yes", "appendfsync": "everysec"}
    with Probe(board, which, options, configuration, environment=environment) as probe:
        probe.call("SET", "k", "v")
        with open(control, "w") as file:
            file.write("1 write ENOSPC 0 -1 0 .incr.aof\n")
        # Its reply may wait until the log can be written.
        writer = probe.connect()
        writer.send("SET", "k", "v")
        probe.comes_word("writes to the log fail (ENOSPC)", "aof_last_write_status", "ok", "err")
        with open(control, "w") as file:
            file.write("2 write ENOSPC 0 0 0 none\n")
        probe.comes_word("they don't any more", "aof_last_write_status", "err", "ok")


def all_parts():
    return [snapshots, loading, log, failing_write]
