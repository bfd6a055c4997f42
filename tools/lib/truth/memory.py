"""MEMORY: STATS against INFO, USAGE against the growth of used_memory, DOCTOR's findings, PURGE, MALLOC-STATS."""
import re

from truth.probe import Probe, until

# What STATS says, and the field of INFO that says the same.
SAME = {
    "peak.allocated": "used_memory_peak", "total.allocated": "used_memory", "startup.allocated": "used_memory_startup",
    "replication.backlog": "mem_replication_backlog", "clients.slaves": "mem_clients_slaves",
    "clients.normal": "mem_clients_normal", "cluster.links": "mem_cluster_links", "aof.buffer": "mem_aof_buffer",
    "overhead.total": "used_memory_overhead", "dataset.bytes": "used_memory_dataset",
    "overhead.db.hashtable.rehashing": "mem_overhead_db_hashtable_rehashing",
    "dataset.percentage": "used_memory_dataset_perc", "peak.percentage": "used_memory_peak_perc",
    "allocator.allocated": "allocator_allocated", "allocator.active": "allocator_active",
    "allocator.resident": "allocator_resident", "allocator.muzzy": "allocator_muzzy",
    "allocator-fragmentation.ratio": "allocator_frag_ratio", "allocator-fragmentation.bytes": "allocator_frag_bytes",
    "allocator-rss.ratio": "allocator_rss_ratio", "allocator-rss.bytes": "allocator_rss_bytes",
    "rss-overhead.ratio": "rss_overhead_ratio", "rss-overhead.bytes": "rss_overhead_bytes",
    "fragmentation": "mem_fragmentation_ratio", "fragmentation.bytes": "mem_fragmentation_bytes",
    "lua.caches": "used_memory_scripts_eval", "functions.caches": "used_memory_functions",
}
OWN = ["overhead.db.hashtable.lut", "db.dict.rehashing.count", "keys.count", "keys.bytes-per-key"]


def plain(reply):
    kind, payload = reply
    if kind == "%":
        return {plain(key): plain(value) for key, value in payload}
    if kind == "*":
        return [plain(item) for item in payload]
    return payload.decode() if isinstance(payload, bytes) else payload


def stats_of(probe):
    reply = plain(probe.call("MEMORY", "STATS"))
    out = reply if isinstance(reply, dict) else dict(zip(*[iter(reply)] * 2))
    return {key: dict(zip(*[iter(value)] * 2)) if isinstance(value, list) else value for key, value in out.items()}


def stats(board, which, configuration):
    with Probe(board, which, {"appendonly": "yes", "appendfsync": "everysec"}, configuration) as probe:
        probe.fill(20000, "x" * 100)
        key = ("SET", "k", "v", "EX", 1000)
        probe.client.pipeline([key, ("SELECT", 3), key, ("SELECT", 0)])
        probe.call("SCRIPT", "LOAD", "return 1")
        probe.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)")
        until(lambda: int(probe.field("mem_overhead_db_hashtable_rehashing") or 0) == 0)
        told, info = stats_of(probe), probe.info()
        for name, field in SAME.items():
            if name not in told:
                board.true(name, "MEMORY STATS", None if which == "redis" else "absent", False)
                continue
            one, other = float(told[name]), float(info.get(field, "nan").rstrip("%"))
            # Both are read one after the other, with buffers and the log between them.
            board.true(name, f"INFO's {field}: {info.get(field)}", str(told[name]),
                       abs(one - other) <= 0.02 * abs(other) + (300000 if abs(other) > 1000 else 0.1))
        for name in OWN:
            absent = None if which == "redis" else "absent"
            board.true(name, "MEMORY STATS", str(told.get(name, absent)) if name in told else absent, name in told)
        # The fill's, and one in each database; the script is no key.
        board.true("keys.count", "20,001 keys in database 0 and one in 3", str(told["keys.count"]),
                   told["keys.count"] == 20002)
        each = (told["total.allocated"] - told["startup.allocated"]) // told["keys.count"]
        board.true("keys.bytes-per-key", "what was not in use at the start, by keys", str(told["keys.bytes-per-key"]),
                   abs(told["keys.bytes-per-key"] - each) <= 1)
        databases = {name: value for name, value in told.items() if re.fullmatch(r"db\.\d+", name)}
        board.true("db.N", "one map for each database that has keys", " ".join(databases),
                   set(databases) == {"db.0", "db.3"})
        main, expires = "overhead.hashtable.main", "overhead.hashtable.expires"
        board.true("db.N", "tables of 20,001 keys and one expire", str(databases["db.0"]),
                   databases["db.0"][main] > 20001 * 8 and 0 < databases["db.0"][expires] < 4000)
        # Without the parts that INFO has no field for, the sum is not less than any of its parts.
        parts = sum(value[main] + value[expires] for value in databases.values()) + told["startup.allocated"]
        board.true("overhead.total", "no less than the start's and the tables'", str(told["overhead.total"]),
                   told["overhead.total"] >= 0.98 * parts)


KINDS = {
    "integers": (3000, lambda key, i: [("SET", key, 100000 + i)]),
    "short strings": (3000, lambda key, i: [("SET", key, f"value {i}")]),
    "strings of 100 to 300 bytes": (3000, lambda key, i: [("SET", key, "x" * (100 + i % 200))]),
    "strings of 20 KB": (100, lambda key, i: [("SET", key, "x" * 20000)]),
    "strings that were appended to": (500, lambda key, i: [("SET", key, "x" * 300), ("APPEND", key, "y" * 300)]),
    "strings with an expire": (3000, lambda key, i: [("SET", key, "x" * 40, "EX", 10000)]),
    "small lists": (1000, lambda key, i: [("RPUSH", key, *(f"element {n}" for n in range(10)))]),
    "long lists": (20, lambda key, i: [("RPUSH", key, *(f"element {n}" for n in range(5000)))]),
    "sets of integers": (1000, lambda key, i: [("SADD", key, *range(i, i + 50))]),
    "small sets": (1000, lambda key, i: [("SADD", key, *(f"member {n}" for n in range(20)))]),
    "big sets": (20, lambda key, i: [("SADD", key, *(f"member {n}" for n in range(3000)))]),
    "small hashes": (1000, lambda key, i: [("HSET", key, *sum([[f"field {n}", f"value {n}"] for n in range(10)], []))]),
    "big hashes": (20, lambda key, i: [("HSET", key, *sum([[f"field {n}", f"value {n}"] for n in range(2000)], []))]),
    "hashes with expiring fields": (200, lambda key, i: [
        ("HSET", key, *sum([[f"field {n}", f"value {n}"] for n in range(30)], [])),
        ("HPEXPIRE", key, 10000000, "FIELDS", 10, *(f"field {n}" for n in range(10)))]),
    "small sorted sets": (1000, lambda key, i: [("ZADD", key, *sum([[n, f"member {n}"] for n in range(10)], []))]),
    "big sorted sets": (20, lambda key, i: [("ZADD", key, *sum([[n, f"member {n}"] for n in range(2000)], []))]),
    "streams": (100, lambda key, i: [("XADD", key, "*", "field", f"value {n}", "other", "x" * 20) for n in range(100)]),
    "streams with groups": (50, lambda key, i: [("XADD", key, "*", "f", f"v{n}") for n in range(50)] + [
        ("XGROUP", "CREATE", key, "g", "0"), ("XREADGROUP", "GROUP", "g", "c", "COUNT", 40, "STREAMS", key, ">")]),
    "HyperLogLogs": (100, lambda key, i: [("PFADD", key, *range(i * 1000, i * 1000 + 500))]),
    "bitmaps": (100, lambda key, i: [("SETBIT", key, 40000, 1)]),
}


def usage(board, which, configuration):
    """The sum of USAGE over keys of one kind is what used_memory grew by, without the database's own tables."""
    with Probe(board, which, {"activerehashing": "yes"}, configuration) as probe:
        probe.call("SET", "warm", "up")

        def settled():
            """used_memory without buffers of clients, when nothing moves any more."""
            seen = []

            def same():
                told = stats_of(probe)
                if told.get("db.dict.rehashing.count"):
                    return False
                tables = sum(value["overhead.hashtable.main"] + value["overhead.hashtable.expires"]
                             for name, value in told.items() if name.startswith("db.") and isinstance(value, dict))
                seen.append(told["dataset.bytes"] + told.get("overhead.db.hashtable.lut", tables))
                return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]
            until(same)
            return seen[-1]
        for kind, (count, commands) in KINDS.items():
            if "expiring" in kind and probe.call("COMMAND", "INFO", "HPEXPIRE")[1][0][1] is None:
                continue
            before = settled()
            with probe.server.client() as other:
                for i in range(count):
                    other.pipeline(commands(f"{kind}:{i}", i))
                told = sum(reply[1] for reply in other.pipeline(
                    [("MEMORY", "USAGE", f"{kind}:{i}", "SAMPLES", 0) for i in range(count)]))
            grown = settled() - before
            # The yardstick's own figures for collections of many allocations leave out what its allocator rounds up.
            close = 0.07 if which != "redis" else 0.4
            board.true(f"USAGE of {kind}", f"{count} keys: used_memory grew by {grown}, off by "
                       f"{100 * (told - grown) / max(grown, 1):+.1f} %", str(told), abs(told - grown) < close * grown)
            probe.call("FLUSHALL")
        board.true("USAGE", "nothing for a key that is not there", str(probe.call("MEMORY", "USAGE", "gone")[1]),
                   probe.call("MEMORY", "USAGE", "gone") == ("$", None))


def doctor(board, which, configuration):
    def asks(probe):
        return probe.call("MEMORY", "DOCTOR")[1].decode()

    def finds(probe, what, how, wanted):
        until(lambda: what in asks(probe), 15)
        text = asks(probe)
        board.true("DOCTOR", f"{how}: {what}", " ".join(text.split())[:300], (what in text) == wanted)
    with Probe(board, which, {}, configuration) as probe:
        finds(probe, "empty", "a server without data", True)
        probe.fill(20000, "x" * 1000)
        text = asks(probe)
        board.true("DOCTOR", "20 MB of data and nothing wrong", text.strip(),
                   not any(word in text for word in ["Peak memory", "Big client", "Many scripts", "empty"]))
        probe.client.pipeline([("SCRIPT", "LOAD", f"return {i}") for i in range(1001)])
        finds(probe, "Many scripts", "1001 scripts", True)
        probe.call("SCRIPT", "FLUSH")
        text = asks(probe)
        board.true("DOCTOR", "none any more", text.strip()[:80], "Many scripts" not in text)
        for _ in range(3):
            client = probe.connect()
            client.call("PING")
            client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n" + b"x" * 3000000)
        finds(probe, "Big client buffers", "three clients with 3 MB of input each", True)
        for client in probe.others:
            client.close()
        probe.others = []
    with Probe(board, which, {}, configuration) as probe:
        probe.fill(60000, "x" * 1000)
        gone = [("DEL", f"fill:{i}") for i in range(1, 60001) if i % 8]
        probe.client.pipeline(gone)
        finds(probe, "Peak memory", "60 MB once, 8 MB now", True)
        finds(probe, "High total RSS", "one value in eight is left", True)
        before = probe.server.rss_bytes()
        reply = probe.call("MEMORY", "PURGE")
        board.true("PURGE", f"resident memory was {before}", str(probe.server.rss_bytes()),
                   reply[1] == b"OK" and probe.server.rss_bytes() <= before + (1 << 20))
        probe.call("FLUSHALL")
        probe.call("MEMORY", "PURGE")
        board.true("PURGE", "after FLUSHALL memory goes back", str(probe.server.rss_bytes()),
                   until(lambda: probe.call("MEMORY", "PURGE") and probe.server.rss_bytes() < before - (10 << 20)))
        text = probe.call("MEMORY", "MALLOC-STATS")[1].decode()
        board.true("MALLOC-STATS", "the allocator's own words", " ".join(text.split())[:80],
                   len(re.findall(r"\d+", text)) > 5 or which == "redis")


def all_parts():
    return [stats, usage, doctor]
