"""Stages of tools/lib/sanitize: `leaks`, a run of all command groups by a server that LeakSanitizer looks at when it
ends; `load`, everything that threads share at once; `restarts`, files that all processors load, after kill -9 and after
a shutdown under load."""
import contextlib
import os
import random
import subprocess
import sys
import threading
import time

from generator import TABLE, Generator
from resp import Client, Disconnected, ProtocolError
from servers import Server, scratch, wait_for

LIBRARY = "#!lua name=one\nredis.register_function('f', function(keys, args) return redis.call('incr', keys[1]) end)"
SETTINGS = (("appendfsync", ("always", "everysec", "no")), ("maxmemory", ("0", "60mb")),
            ("maxmemory-policy", ("allkeys-lru", "allkeys-lfu", "volatile-ttl")),
            ("lazyfree-lazy-user-del", ("yes", "no")), ("latency-tracking", ("yes", "no")),
            ("slowlog-log-slower-than", ("0", "-1")), ("loglevel", ("debug", "notice")), ("aof-seal", ("yes", "no")),
            ("hz", ("10", "100")), ("activerehashing", ("yes", "no")), ("latency-monitor-threshold", ("0", "1")),
            ("aof-preallocate", ("yes", "no")), ("aof-timestamp-enabled", ("yes", "no")), ("save", ("", "1 1")),
            ("aof-scrub", ("yes", "no")), ("aof-scrub-rate", ("64kb", "1gb")), ("aof-history-keep", ("0", "2")),
            ("aof-archive-compression", ("none", "gzip", "lz4")), ("aof-use-rdb-preamble", ("yes", "no")),
            ("no-appendfsync-on-rewrite", ("yes", "no")), ("rdbcompression", ("yes", "no")),
            ("appendonly", ("yes", "yes", "yes", "no")), ("io-threads-always-active", ("yes", "no")))
OPERATIONS = (("BGSAVE", ), ("BGREWRITEAOF", ), ("SAVE", ), ("INFO", "everything"), ("UNLINK", "big"),
              ("FLUSHALL", "ASYNC"), ("CLIENT", "LIST"), ("MEMORY", "STATS"), ("MEMORY", "PURGE"), ("LATENCY", "RESET"),
              ("CONFIG", "RESETSTAT"), ("DURABILITY", "STATUS"), ("WAITAOF", "1", "0", "100"), ("BACKUP", "START"),
              ("BACKUP", "START"), ("BACKUP", "SEAL"), ("BACKUP", "SEAL"), ("BACKUP", "CLEANUP"), ("BACKUP", "ABORT"),
              ("BACKUP", "STATUS"), ("DEBUG", "RELOAD"), ("DEBUG", "LOADAOF"), ("DEBUG", "DIGEST"),
              ("FUNCTION", "FLUSH", "ASYNC"), ("SCRIPT", "FLUSH", "ASYNC"), ("DEBUG", "POPULATE", "20000", "p", "40"))


def leaks():
    """Everything once more through a server that ends by itself."""
    lines = os.environ.get("ASAN_OPTIONS", "").replace("detect_leaks=0", "detect_leaks=1")
    options = {"appendonly": "yes", "appendfsync": "always", "io-threads": "2"}
    server = Server("ours", options, configuration=sys.argv[2], environment={"ASAN_OPTIONS": lines})
    with server.start():
        with server.client(timeout=120) as client:
            for group in sorted(TABLE):
                if group == "common":
                    continue
                generator = Generator(group, 1)
                client.pipeline([generator.command() for _ in range(1500)])
                client.call("DISCARD")
            client.call("FUNCTION", "LOAD", "REPLACE", LIBRARY)
            for command in (("FCALL", "f", "1", "n"), ("EVAL", "return {1, 'a', {2}}", "0"), ("SCRIPT", "FLUSH"),
                            ("FUNCTION", "FLUSH"), ("ACL", "SETUSER", "u", "on", ">p", "~a*", "+@all",
                                                    "(~b +get)"), ("ACL", "DELUSER", "u"), ("BGREWRITEAOF", ),
                            ("CONFIG", "SET", "maxmemory-clients", "1g"), ("INFO", "everything"), ("FLUSHALL", "ASYNC"),
                            ("CLIENT", "TRACKING", "ON", "BCAST"), ("SUBSCRIBE", "a"), ("DEBUG", "RELOAD")):
                client.call(*command)
        time.sleep(1)
        status = server.stop(60)
        print(server.log()[-1500:])
    print(f"ended with status {status}")
    return 0 if status == 0 else 1


def change_settings(server, end, archive, seed):
    """A client that sets, saves, rewrites, backs up, loads and frees while others write."""
    chance = random.Random(seed)
    settings = SETTINGS + (("aof-archive-dir", (archive, "")), )
    with server.client(timeout=120) as client:
        while time.monotonic() < end:
            name, values = chance.choice(settings)
            client.call("CONFIG", "SET", name, chance.choice(values))
            client.call(*chance.choice(OPERATIONS))
            client.call("EVAL", "for i = 1, 2000 do redis.call('hset', 'big', i, i) end", "0")
            client.call("SET", "x", "y" * 100_000)


def benchmark(server, seconds=300):
    subprocess.run([
        "redis-benchmark", "-p",
        str(server.port), "-n", "20000", "-c", "20", "-P", "4", "-r", "1000", "-q", "-t",
        "set,get,lpush,lpop,sadd,hset,zadd,spop,mset"
    ], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds)


def answers(server):
    """It takes writes under `always`."""
    with server.client(timeout=120) as client:
        for setting in (("maxmemory", "0"), ("appendonly", "yes"), ("appendfsync", "always")):
            client.call("CONFIG", "SET", *setting)
        wait_for(lambda: client.call("SET", "a", "b") == ("+", b"OK"), 120, "a write")


def load():
    """redis-benchmark and `change_settings` on one server, for half a minute with each number of I/O threads."""
    failed = 0
    for threads in (4, 1):
        archive = scratch()
        options = {
            "appendonly": "yes", "appendfsync": "always", "io-threads": threads, "io-threads-do-reads": "yes",
            "io-threads-always-active": "yes", "metrics-port": "0", "save": "1 1", "aof-scrub-interval": "1",
            "enable-protected-configs": "yes", "backupdirname": "backup"
        }
        server = Server("ours", options, configuration=sys.argv[2]).start()
        end = time.monotonic() + 40
        others = [threading.Thread(target=change_settings, args=(server, end, archive, seed)) for seed in (1, 2)]
        for other in others:
            other.start()
        while time.monotonic() < end and server.process.poll() is None:
            benchmark(server)
        for other in others:
            other.join()
        try:
            answers(server)
        except (Disconnected, ProtocolError, TimeoutError) as error:
            print(f"{threads} threads: {error}: {server.log()[-2000:]}")
            failed += 1
        status = server.stop(120)
        print(f"{threads} threads: ended with status {status}")
        failed += status != 0
    return failed


def write_until_gone(address):
    """A client that writes until the server is gone."""
    gone = contextlib.suppress(Disconnected, ProtocolError, TimeoutError, OSError)
    with gone, Client(address, timeout=120) as client:
        number = 0
        while True:
            client.pipeline([("SET", f"w{number + i}", "v" * 50) for i in range(64)])
            number += 64


def fill(client):
    """Half a million keys, with collections among them, as the log's base, and 200,000 commands behind it."""
    client.call("DEBUG", "POPULATE", "500000", "key", "30")
    client.call("EVAL", "for i = 1, 1000 do for j = 1, 40 do local k = i .. ':' .. j "
                "redis.call('hset', 'h' .. i, j, k) redis.call('zadd', 'z' .. i, j, k) "
                "redis.call('rpush', 'l' .. i, k) redis.call('sadd', 's' .. i, k) "
                "redis.call('xadd', 'x' .. i, '*', 'f', k) end end", "0")
    client.call("BGREWRITEAOF")
    wait_for(lambda: b"aof_rewrite_in_progress:0" in client.call("INFO", "persistence")[1], 300, "a rewrite")
    client.pipeline([("SET", f"key:{i % 90_000}", f"value {i}") for i in range(200_000)])


def restarts():
    """The same data after DEBUG RELOAD, DEBUG LOADAOF, kill -9 and SIGTERM; and under load a start of whatever is
    there."""
    failed = 0
    for policy, seal in (("always", "yes"), ("everysec", "no")):
        options = {"appendonly": "yes", "appendfsync": policy, "aof-seal": seal, "io-threads": 2}
        server = Server("ours", options, configuration=sys.argv[2]).start()
        with server.client(timeout=600) as client:
            fill(client)
            digests = [client.call("DEBUG", "DIGEST")]
            for way in ("RELOAD", "LOADAOF"):
                print(policy, way, client.call("DEBUG", way))
                digests.append(client.call("DEBUG", "DIGEST"))
        for end in (server.kill, lambda: server.stop(120)):
            end()
            server.start(seconds=300)
            with server.client(timeout=600) as client:
                digests.append(client.call("DEBUG", "DIGEST"))
        print(policy, digests)
        failed += len(set(digests)) != 1
        for end in (server.kill, lambda: server.stop(120)):
            writers = [threading.Thread(target=write_until_gone, args=(server.address, )) for _ in range(4)]
            for writer in writers:
                writer.start()
            time.sleep(3)
            end()
            for writer in writers:
                writer.join()
            server.start(seconds=300)
            answers(server)
        status = server.stop(120)
        print(f"{policy}: ended with status {status}")
        failed += status != 0
    return failed


if __name__ == "__main__":
    sys.exit({"leaks": leaks, "load": load, "restarts": restarts}[sys.argv[1]]())
