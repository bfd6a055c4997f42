"""Stages of tools/lib/sanitize: `leaks`, a run of all command groups by a server that LeakSanitizer looks at when it
ends; `load`, everything that threads share at once, for ThreadSanitizer."""
import os
import random
import subprocess
import sys
import threading
import time

from generator import TABLE, Generator
from resp import Disconnected, ProtocolError
from servers import Server, wait_for

LIBRARY = "#!lua name=one\nredis.register_function('f', function(keys, args) return redis.call('incr', keys[1]) end)"
SETTINGS = (("appendfsync", ("always", "everysec", "no")), ("io-threads-do-reads", ("yes", "no")),
            ("maxmemory", ("0", "60mb")), ("maxmemory-policy", ("allkeys-lru", "allkeys-lfu", "volatile-ttl")),
            ("lazyfree-lazy-user-del", ("yes", "no")), ("latency-tracking", ("yes", "no")),
            ("slowlog-log-slower-than", ("0", "-1")), ("loglevel", ("debug", "notice")), ("aof-seal", ("yes", "no")),
            ("hz", ("10", "100")), ("activerehashing", ("yes", "no")), ("latency-monitor-threshold", ("0", "1")))


def leaks():
    """Everything once more through a server that ends by itself."""
    lines = os.environ.get("ASAN_OPTIONS", "").replace("detect_leaks=0", "detect_leaks=1")
    options = {"appendonly": "yes", "appendfsync": "always", "io-threads": "2"}
    server = Server("ours", options, configuration="debug", environment={"ASAN_OPTIONS": lines})
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


def change_settings(server, end, seed):
    """A client that sets, saves, rewrites and frees while others write."""
    chance = random.Random(seed)
    with server.client(timeout=60) as client:
        while time.monotonic() < end:
            name, values = chance.choice(SETTINGS)
            client.call("CONFIG", "SET", name, chance.choice(values))
            client.call(*chance.choice((("BGSAVE", ), ("BGREWRITEAOF", ), ("INFO", "everything"), ("UNLINK", "big"),
                                        ("FLUSHALL", "ASYNC"), ("DEBUG", "JMAP"), ("CLIENT", "LIST"),
                                        ("MEMORY", "STATS"), ("LATENCY", "RESET"), ("MEMORY", "PURGE"),
                                        ("CONFIG", "RESETSTAT"), ("DURABILITY", "STATUS"), ("WAITAOF", "1", "0",
                                                                                            "100"))))
            client.call("EVAL", "for i = 1, 2000 do redis.call('hset', 'big', i, i) end", "0")
            client.call("SET", "x", "y" * 100_000)


def load():
    """redis-benchmark and `change_settings` on one server, for half a minute with each number of I/O threads."""
    failed = 0
    for threads in (4, 1):
        options = {
            "appendonly": "yes", "appendfsync": "always", "io-threads": threads, "io-threads-do-reads": "yes",
            "io-threads-always-active": "yes", "metrics-port": "0", "save": "1 1"
        }
        server = Server("ours", options, configuration="debug").start()
        end = time.monotonic() + 30
        others = [threading.Thread(target=change_settings, args=(server, end, seed)) for seed in (1, 2)]
        for other in others:
            other.start()
        while time.monotonic() < end and server.process.poll() is None:
            subprocess.run([
                "redis-benchmark", "-p",
                str(server.port), "-n", "20000", "-c", "20", "-P", "4", "-r", "1000", "-q", "-t",
                "set,get,lpush,lpop,sadd,hset,zadd,spop,mset"
            ],
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL,
                           timeout=300)
        for other in others:
            other.join()
        try:
            with server.client(timeout=60) as client:
                client.call("CONFIG", "SET", "appendfsync", "always")
                wait_for(lambda: client.call("SET", "a", "b") == ("+", b"OK"), 60, "a write")
        except (Disconnected, ProtocolError, TimeoutError) as error:
            print(f"{threads} threads: {error}: {server.log()[-2000:]}")
            failed += 1
        status = server.stop(60)
        print(f"{threads} threads: ended with status {status}")
        failed += status != 0
    return failed


if __name__ == "__main__":
    sys.exit({"leaks": leaks, "load": load}[sys.argv[1]]())
