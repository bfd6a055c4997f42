"""`bench --only big`: what values cost in memory by type and encoding, what keys of a million elements cost to delete,
and how long a client waits while the table of keys grows."""
import subprocess
import threading
import time

from servers import binary, info

SIDES = ("ours", "theirs")


def each(count, make, at_once=500):
    """Batches of `make(n)`."""
    for start in range(0, count, at_once):
        yield [make(n) for n in range(start, min(start + at_once, count))]


def into_one(verb, key, count, words, at_once=1000):
    """Batches of one command that adds many elements to one key."""
    for start in range(0, count, at_once):
        parts = [part for n in range(start, min(start + at_once, count)) for part in words(n)]
        yield [(verb, key, *parts)]


def keys_of(verb, size, words):
    """Many keys of `size` elements each: gives for a count of elements the batches, and the key to ask about."""
    return lambda count: each(max(count // size, 1), lambda n: (verb, f"key:{n:09}", *[part for m in range(size)
                                                                                     for part in words(m)]))


MEMORY = [
    ("string, integer", "key:000000001", lambda count: each(count, lambda n: ("SET", f"key:{n:09}", n))),
    ("string of 20 bytes", "key:000000001", lambda count: each(count, lambda n: ("SET", f"key:{n:09}", "v" * 20))),
    ("string of 100 bytes", "key:000000001", lambda count: each(count, lambda n: ("SET", f"key:{n:09}", "v" * 100))),
    ("string of 1000 bytes", "key:000000001",
     lambda count: each(count // 10, lambda n: ("SET", f"key:{n:09}", "v" * 1000))),
    ("string with an expire", "key:000000001",
     lambda count: each(count, lambda n: ("SET", f"key:{n:09}", "v" * 20, "EX", 100000))),
    ("lists of 10 elements", "key:000000001", keys_of("RPUSH", 10, lambda m: (f"element {m}",))),
    ("one list", "big", lambda count: into_one("RPUSH", "big", count, lambda n: (f"element {n}",))),
    ("intsets of 100", "key:000000001", keys_of("SADD", 100, lambda m: (m * 7919,))),
    ("sets of 10 strings", "key:000000001", keys_of("SADD", 10, lambda m: (f"member {m}",))),
    ("one set", "big", lambda count: into_one("SADD", "big", count, lambda n: (f"member {n}",))),
    ("hashes of 5 fields", "key:000000001", keys_of("HSET", 5, lambda m: (f"field {m}", f"value {m}"))),
    ("one hash", "big", lambda count: into_one("HSET", "big", count, lambda n: (f"field {n}", f"value {n}"))),
    ("sorted sets of 10", "key:000000001", keys_of("ZADD", 10, lambda m: (m * 7, f"member {m}"))),
    ("one sorted set", "big", lambda count: into_one("ZADD", "big", count, lambda n: (n * 7919 % 1000003, f"m {n}"))),
    ("streams of 10 entries", "key:000000000",
     lambda count: each(count, lambda n: ("XADD", f"key:{n // 10:09}", f"{n + 1}-1", "name", f"value {n}"))),
    ("one stream", "big", lambda count: each(count, lambda n: ("XADD", "big", f"{n + 1}-1", "name", f"value {n}"))),
    ("HyperLogLogs of 10", "key:000000001", keys_of("PFADD", 10, lambda m: (f"element {m}",))),
]


def count_of(batch):
    """Elements that a batch of MEMORY adds, by the rows' own measure."""
    total = 0
    for command in batch:
        verb = command[0]
        if verb in ("RPUSH", "SADD", "PFADD"):
            total += len(command) - 2
        elif verb in ("HSET", "ZADD"):
            total += (len(command) - 2) // 2
        else:
            total += 1
    return total


def bench_memory_of_types(bench):
    print(f"{'bytes an element':30} {'resident':>9} {'':>9} {'ratio':>6} {'used':>9} {'':>9} {'ratio':>6} "
          f"{'MEMORY USAGE of a key':>12}")
    for title, asked, batches in MEMORY:
        found = {}
        for side in SIDES:
            with bench.server(side).start() as server, server.client(timeout=600) as client:
                empty = server.rss_bytes(), int(info(client, "memory")["used_memory"])
                elements = 0
                for batch in batches(bench.scale(1000000)):
                    client.pipeline(batch)
                    elements += count_of(batch)
                found[side] = ((server.rss_bytes() - empty[0]) / elements,
                               (int(info(client, "memory")["used_memory"]) - empty[1]) / elements,
                               client.call("MEMORY", "USAGE", asked)[1])
        (rss, used, usage), (their_rss, their_used, their_usage) = found["ours"], found["theirs"]
        print(f"{title:30} {rss:9.1f} {their_rss:9.1f} {their_rss / rss:6.2f} {used:9.1f} {their_used:9.1f} "
              f"{their_used / used:6.2f} {usage:12,} {their_usage:12,}", flush=True)
        bench.rows.append({"name": f"memory: {title}", "unit": "B/element", "ours": rss, "theirs": their_rss,
                           "ratio": their_rss / rss, "rounds": {"used": [used, their_used]}})


BIG = [(title, batches) for title, asked, batches in MEMORY if asked == "big"]


def timed(client, *words):
    begin = time.perf_counter()
    reply = client.call(*words)
    if reply[0] == "-":
        raise RuntimeError(f"{words}: {reply[1]}")
    return (time.perf_counter() - begin) * 1000


OPERATIONS = {"one list": [("LINDEX", "big", 500000), ("LRANGE", "big", 0, 99), ("LPUSH", "big", "x")],
              "one set": [("SISMEMBER", "big", "member 5"), ("SRANDMEMBER", "big", 10), ("SADD", "big", "x")],
              "one hash": [("HGET", "big", "field 5"), ("HSET", "big", "field 5", "x"), ("HRANDFIELD", "big", 10)],
              "one sorted set": [("ZRANK", "big", "m 5"), ("ZADD", "big", 5.5, "m 7"),
                                 ("ZRANGE", "big", 500000, 500099)],
              "one stream": [("XRANGE", "big", 500000, "+", "COUNT", 10), ("XADD", "big", "*", "name", "value")]}


def bench_big_keys(bench):
    rounds = max(bench.options.rounds, 3)
    for title, batches in BIG:
        rows = {}
        for side in SIDES:
            with bench.server(side).start() as server, server.client(timeout=600) as client:
                for batch in batches(bench.scale(1000000)):
                    client.pipeline(batch)
                for words in OPERATIONS[title]:
                    values = sorted(timed(client, *words) for _ in range(1000))
                    rows.setdefault(f"{title}: {words[0]}", {})[side] = [values[500] * 1000]
                for verb in ("DEL", "UNLINK"):
                    for _ in range(rounds):
                        client.call("COPY", "big", "copy")
                        rows.setdefault(f"{title}: {verb}", {}).setdefault(side, []).append(
                            timed(client, verb, "copy") * 1000)
        for name, values in rows.items():
            # Other work on the machine only adds: the least of the rounds counts.
            bench.note(name, "us", {side: [min(values[side])] for side in SIDES}, "less")


def bench_growth(bench):
    """The slowest of the PINGs that a client sends while others add keys, as fast as they can."""
    count = bench.scale(10000000)
    rows = {}
    for side in SIDES:
        with bench.server(side).start() as server, server.client(timeout=600) as client:
            load = subprocess.Popen([binary("redis-benchmark"), "-p", str(server.port), "-c", "8", "-P", "16", "-r",
                                     str(count * 10), "-n", str(count), "-q", "SET", "key:__rand_int__", "value"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            waits, ended = [], threading.Event()
            threading.Thread(target=lambda: (load.wait(), ended.set()), daemon=True).start()
            while not ended.is_set():
                waits.append(timed(client, "PING"))
                time.sleep(0.0005)
            waits.sort()
            rows.setdefault("slowest", {})[side] = [waits[-1]]
            rows.setdefault("p99.9", {})[side] = [waits[int(len(waits) * 0.999)]]
    bench.note(f"PING beside {count:,} new keys: slowest", "ms", rows["slowest"], "less")
    bench.note(f"PING beside {count:,} new keys: p99.9", "ms", rows["p99.9"], "less")


def bench_big(bench):
    bench_big_keys(bench)
    bench_growth(bench)
