"""INFO: Memory."""
import os

from truth.board import AtLeast
from truth.probe import Probe, grows, preload, until

MEGABYTE = 1 << 20


def human(count):
    """As INFO writes bytes for people."""
    value, unit = float(count), "B"
    for unit in "BKMGTP":
        if value < 1024 or unit == "P":
            break
        value /= 1024
    return f"{int(value)}B" if unit == "B" else f"{value:.2f}{unit}"


def amounts(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        probe.call("SET", "first", "x")
        start = probe.info()
        near = lambda first, now: 0.95 * 8 * MEGABYTE < now - first < 1.3 * 8 * MEGABYTE
        before = probe.info()
        with probe.server.client() as other:
            other.call("SET", "big", b"x" * 8 * MEGABYTE)
        grown = lambda first, now: now - first > 6 * MEGABYTE
        probe.comes("SET of 8 MB by another client", {
            "used_memory": near, "used_memory_dataset": near, "allocator_allocated": near, "allocator_active": grown,
            "used_memory_peak": grown, "used_memory_dataset_perc": lambda first, now: now != first,
            "used_memory_rss": grown, "allocator_resident": grown,
            "used_memory_startup": lambda first, now: first == now}, before=before)
        after = probe.info()
        consistent(probe)
        before = probe.info()
        probe.call("DEL", "big")
        probe.comes("DEL of it", {
            "used_memory": lambda first, now: first - now > 0.95 * 8 * MEGABYTE,
            "used_memory_peak": lambda first, now: now == first,
            "used_memory_peak_perc": lambda first, now: now < first}, before=before)
        before = probe.info()
        probe.fill(20000)
        probe.comes("20,000 small keys", {
            "used_memory_overhead": lambda first, now: now - first > 20000 * 8,
            "used_memory": lambda first, now: now - first > 20000 * 16}, before=before)
        board.true("used_memory_overhead", "what was in use at the start is part of it", after["used_memory_overhead"],
                   int(start["used_memory_startup"]) <= int(after["used_memory_overhead"]) < int(after["used_memory"]))
        probe.moves("CONFIG RESETSTAT", lambda: probe.call("CONFIG", "RESETSTAT"), {"used_memory_peak": 0})
        settings(probe)
        started(board, which, configuration, start)


def started(board, which, configuration, other):
    """Another start of the same program uses the same before it has data."""
    with Probe(board, which, {}, configuration) as probe:
        first = probe.info()
        board.true("used_memory_startup", "the same at every start, within 2 %", first["used_memory_startup"],
                   abs(int(first["used_memory_startup"]) - int(other["used_memory_startup"]))
                   < 0.02 * int(other["used_memory_startup"]) + 4096)
        board.true("used_memory_startup", "what an empty server uses, without clients", first["used_memory_startup"],
                   0.5 * int(first["used_memory"]) < int(first["used_memory_startup"]) <= int(first["used_memory"]))


def consistent(probe):
    """Fields that follow from others."""
    board, info = probe.board, probe.info()
    value = {name: float(text.rstrip("%")) for name, text in info.items()
             if text.rstrip("%").replace(".", "", 1).replace("-", "", 1).isdigit()}
    for name in ["used_memory", "used_memory_rss", "used_memory_peak", "total_system_memory", "used_memory_vm_total",
                 "used_memory_scripts", "maxmemory"]:
        if name in info:
            board.true(name + "_human", "the number for people", info[name + "_human"],
                       info[name + "_human"] == human(int(info[name])))
    board.true("used_memory_lua_human", "the number for people", info["used_memory_lua_human"],
               info["used_memory_lua_human"] == human(int(info["used_memory_lua"])))
    board.true("total_system_memory", "what the system has", info["total_system_memory"],
               int(info["total_system_memory"]) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    board.true("used_memory_rss", "as /proc says, within 10 %", info["used_memory_rss"],
               abs(value["used_memory_rss"] - probe.server.rss_bytes()) < 0.1 * value["used_memory_rss"])
    board.true("used_memory_peak_perc", "used_memory of used_memory_peak", info["used_memory_peak_perc"],
               abs(value["used_memory_peak_perc"] - 100 * value["used_memory"] / value["used_memory_peak"]) < 0.2)
    board.true("used_memory_dataset", "used_memory without overhead", info["used_memory_dataset"],
               value["used_memory_dataset"] == value["used_memory"] - value["used_memory_overhead"])
    net = value["used_memory"] - value["used_memory_startup"]
    board.true("used_memory_dataset_perc", "of what was not in use at the start", info["used_memory_dataset_perc"],
               abs(value["used_memory_dataset_perc"] - 100 * value["used_memory_dataset"] / net) < 0.2)
    board.true("allocator_resident", "no more than what the process holds", info["allocator_resident"],
               value["allocator_allocated"] <= value["allocator_active"] * 1.001
               and (value["allocator_resident"] <= value["used_memory_rss"] * 1.01 or probe.server.which == "redis"))
    if "allocator_muzzy" in value:
        board.still("allocator_muzzy", "glibc's malloc has no such pages", info["allocator_muzzy"],
                    info["allocator_muzzy"] == "0")
    ratios(board, info, value)


def ratios(board, info, value):
    for ratio, size, above, below in [
            ("allocator_frag_ratio", "allocator_frag_bytes", "allocator_active", "allocator_allocated"),
            ("allocator_rss_ratio", "allocator_rss_bytes", "allocator_resident", "allocator_active"),
            ("rss_overhead_ratio", "rss_overhead_bytes", "used_memory_rss", "allocator_resident"),
            ("mem_fragmentation_ratio", "mem_fragmentation_bytes", "used_memory_rss", "used_memory")]:
        board.true(ratio, f"{above} / {below}", info[ratio],
                   abs(value[ratio] - value[above] / value[below]) < 0.02 + 0.03 * value[ratio])
        board.true(size, f"{above} - {below}", info[size],
                   abs(value[size] - (value[above] - value[below])) < 2 * MEGABYTE)


def settings(probe):
    probe.moves("CONFIG SET maxmemory 3gb", lambda: probe.set("maxmemory", "3gb"),
                {"maxmemory": lambda before, after: after == 3 << 30})
    said = probe.field("maxmemory_human")
    probe.board.true("maxmemory_human", "3gb", said, said == "3.00G")
    probe.set("maxmemory", 0)
    probe.moves("CONFIG SET maxmemory-policy", lambda: probe.set("maxmemory-policy", "volatile-ttl"),
                {"maxmemory_policy": lambda before, after: (before, after) == ("noeviction", "volatile-ttl")})
    info = probe.info()
    probe.board.true("mem_allocator", "as --version says", info["mem_allocator"],
                     info["mem_allocator"].split("-")[0] in ("libc", "jemalloc"))
    alone = "a stand-alone server has no replicas, no primary, no cluster"
    for name in ["mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves", "mem_cluster_links"]:
        probe.board.still(name, alone, info.get(name), info.get(name) == "0")


def scripting(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        long = "-- " + "x" * 20000 + "\n"
        probe.moves("SCRIPT LOAD of 20 KB", lambda: probe.call("SCRIPT", "LOAD", long + "return 1"), {
            "number_of_cached_scripts": 1, "used_memory_scripts_eval": AtLeast(20000, 45000),
            "used_memory_scripts": AtLeast(20000, 90000)})
        heavy = "local t = {} for i = 1, {} do t[i] = i .. 'x' end return #t"
        probe.moves("a script that fills a table", lambda: probe.call("EVAL", heavy.replace("{}", "20000", 2).replace(
            "local t = 20000", "local t = {}"), 0), {
            "used_memory_lua": AtLeast(1), "used_memory_vm_eval": AtLeast(1), "used_memory_vm_total": AtLeast(1),
            "allocator_allocated_lua": AtLeast(1), "allocator_active_lua": AtLeast(1),
            "allocator_resident_lua": AtLeast(1)} if which != "redis" else {
            "used_memory_lua": AtLeast(1), "used_memory_vm_eval": AtLeast(1), "used_memory_vm_total": AtLeast(1)})
        code = "#!lua name=lib\n" + long + "redis.register_function('f1', function() return 1 end)\n" \
            "redis.register_function('f2', function() return 2 end)"
        probe.moves("FUNCTION LOAD: one library, two functions", lambda: probe.call("FUNCTION", "LOAD", code), {
            "number_of_libraries": 1, "number_of_functions": 2, "used_memory_functions": AtLeast(20000, 60000),
            "used_memory_vm_functions": AtLeast(1), "used_memory_scripts": AtLeast(20000, 90000)})
        info = {name: value for name, value in probe.info().items()}
        total = int(info["used_memory_vm_eval"]) + int(info["used_memory_vm_functions"])
        board.true("used_memory_vm_total", "scripts' and functions'", info["used_memory_vm_total"],
                   int(info["used_memory_vm_total"]) == total)
        if "allocator_frag_bytes_lua" in info:
            board.true("allocator_frag_bytes_lua", "active less allocated", info["allocator_frag_bytes_lua"],
                       int(info["allocator_frag_bytes_lua"])
                       == int(info["allocator_active_lua"]) - int(info["allocator_allocated_lua"]))
            board.true("allocator_allocated_lua", "what both interpreters hold", info["allocator_allocated_lua"],
                       abs(int(info["allocator_allocated_lua"]) - total) < 0.05 * total or which == "redis")

        def empty():
            probe.call("SCRIPT", "FLUSH")
            probe.call("FUNCTION", "FLUSH")
        probe.moves("SCRIPT FLUSH, FUNCTION FLUSH", empty, {
            "number_of_cached_scripts": lambda before, after: after == 0,
            "number_of_libraries": -1, "number_of_functions": -2,
            "used_memory_scripts_eval": lambda before, after: before - after >= 20000,
            "used_memory_functions": lambda before, after: before - after >= 20000})


def clients(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        def gather():
            for _ in range(10):
                client = probe.connect()
                client.call("PING")
                client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$200000\r\n" + b"x" * 150000)
        before = probe.info()
        gather()
        probe.comes("ten clients with 150 KB of input each", {
            "mem_clients_normal": lambda first, now: 1500000 <= now - first < 5000000,
            "used_memory_overhead": lambda first, now: 1500000 <= now - first < 5000000}, before=before)


def waiting_log(board, which, configuration):
    """An fsync of 2.6 s: what gathers behind it is memory that does not count for maxmemory."""
    environment = {"LD_PRELOAD": preload("slowsync"), "SLOWSYNC_MICROSECONDS": "2600000"}
    options = {"appendonly": "yes", "appendfsync": "everysec"}
    with Probe(board, which, options, configuration, environment=environment) as probe:
        writer = probe.connect()
        value = "x" * 400000
        highest = {}
        base = probe.info()
        names = ["mem_aof_buffer", "mem_not_counted_for_evict", "aof_buffer_length"]

        def seen():
            writer.send("SET", "k", value)
            now = probe.info()
            for name in names:
                highest[name] = max(highest.get(name, 0), int(now[name]))
            return all(highest[name] >= int(base[name]) + 400000 for name in names)
        until(seen, 60, 0.1)
        for name in names:
            board.moved(name, "SETs of 400 KB while an fsync takes 2.6 s", base[name], str(highest[name]),
                        AtLeast(400000))
        before = probe.info()
        until(lambda: probe.field("aof_pending_bio_fsync") == "1")
        board.moved("aof_pending_bio_fsync", "an fsync of 2.6 s is under way", "0",
                    "1" if until(lambda: writer.send("SET", "k", "v") or probe.field("aof_pending_bio_fsync") == "1")
                    else "0", 1)
        until(lambda: writer.send("SET", "k", value) or probe.field("aof_delayed_fsync") != before["aof_delayed_fsync"],
              60, 0.05)
        board.moved("aof_delayed_fsync", "writes that find an fsync under way", before["aof_delayed_fsync"],
                    probe.field("aof_delayed_fsync"), grows)


def tables(board, which, configuration):
    """A table that grows, and objects that are freed behind the client's back."""
    with Probe(board, which, {"activerehashing": "no"}, configuration) as probe:
        name = "mem_overhead_db_hashtable_rehashing"
        highest = 0
        if probe.field(name) is not None:
            script = "for i=1,500 do redis.call('set',ARGV[1]..':'..i,'x') end"
            for batch in range(400):
                probe.call("EVAL", script, 0, batch)
                highest = max(highest, int(probe.field(name)))
                if highest:
                    break
            board.moved(name, "keys are added until their table grows", "0", str(highest), grows)
            probe.set("activerehashing", "yes")
            probe.comes("activerehashing yes: it is soon done", {name: lambda first, now: now == 0})
        else:
            board.left_out.append(name)
        probe.call("EVAL", "for i=1,20000 do redis.call('sadd','set'..i%20,string.rep('x',40)..i) end", 0)
        before = probe.info()
        probe.client.pipeline([("UNLINK", f"set{i}") for i in range(20)])
        probe.comes("UNLINK of 20 sets of 1000 members", {
            "lazyfreed_objects": lambda first, now: now - first == 20}, before=before)
        pending(probe)


def pending(probe):
    """FLUSHALL ASYNC of many keys, asked in the same pipeline how many wait."""
    seen = []

    def once():
        probe.fill(30000, "x" * 300)
        probe.client.send_raw(b"FLUSHALL ASYNC\r\n" + b"INFO memory\r\n" * 3)
        probe.client.read()
        for _ in range(3):
            text = probe.client.read()[1].decode()
            seen.extend(int(line.split(":")[1]) for line in text.splitlines()
                        if line.startswith("lazyfree_pending_objects"))
        return max(seen) > 0
    before = probe.field("lazyfree_pending_objects")
    until(once, 60)
    probe.board.moved("lazyfree_pending_objects", "FLUSHALL ASYNC of 30,000 keys, INFO behind it", before,
                      str(max(seen)), grows)
    probe.comes("the background thread is done", {"lazyfree_pending_objects": lambda first, now: now == 0})


def all_parts():
    return [amounts, scripting, clients, waiting_log, tables]
