"""CONFIG SET of any value, and configuration files with damage in them."""
import os
import random
import signal
import subprocess
import tempfile
import time

from damage import damage
from fuzzing.target import Barrage, as_bytes, died, limit_memory, nasty
from servers import Server, binary, free_port

# Settings that take the server or this connection away from the fuzzer, or cost what they say.
LEFT_OUT = {
    b"port", b"tls-port", b"bind", b"requirepass", b"maxclients", b"unixsocket", b"dir", b"maxmemory-clients",
    b"timeout", b"watchdog-period", b"proto-max-bulk-len", b"client-query-buffer-limit", b"busy-reply-threshold",
    b"lua-time-limit", b"protected-mode", b"metrics-port", b"key-load-delay", b"rdb-key-save-delay", b"io-threads",
    b"appendonly", b"client-output-buffer-limit"
}
VALUES = [
    b"yes", b"no", b"0", b"1", b"-1", b"100", b"1gb", b"1mb", b"10kb", b"1g b", b"1tb", b"50%", b"101%", b"-5%",
    b"always", b"everysec", b"allkeys-lru", b"900 1", b"900 1 300", b"", b"\"\"", b"debug", b"notice", b"KEA",
    b"normal 0 0 0", b"0 200 800", b"16kb 1", b"9223372036854775807", b"9223372036854775808", b"99999999999999999999",
    b"18446744073709551615b", b"1e3", b"0x10", b"077"
]

EXTREMES = (b"9223372036854775807", b"-9223372036854775808", b"9223372036854775806", b"2147483647", b"4294967295",
            b"2147483648", b"18446744073709551615", b"9007199254740993", b"1000000000000", b"-1", b"0", b"1")
# What looks at settings.
WALK = (("SET", "k", "v"), ("GET", "k"), ("HSET", "h", "f", "v"), ("ZADD", "z", "1", "m"), ("XADD", "x", "*", "f", "v"),
        ("LPUSH", "l", "v"), ("SADD", "s", "1", "a"), ("PFADD", "p", "a"), ("EVAL", "return 1", "0"),
        ("INFO", "everything"), ("CLIENT", "LIST"), ("MEMORY", "STATS"), ("SLOWLOG", "GET"), ("LATENCY", "DOCTOR"),
        ("DURABILITY", "STATUS"), ("EXPIRE", "k", "100"), ("SCAN", "0"))


def fuzz(options, rounds, plant=None):
    """Values for all directives that can be set; a round sweeps one through the largest and smallest. What CONFIG GET
    says afterwards can be set. Gives (passed, problems)."""
    with Server(options.server, configuration=options.config).start() as server:
        with server.client() as client:
            listed = client.call("CONFIG", "GET", "*")[1]
    names = [name for _, name in listed[::2] if name not in LEFT_OUT]
    held = dict(zip([name for _, name in listed[::2]], [value for _, value in listed[1::2]]))

    def value(chance, name):
        kind = chance.random()
        if kind < 0.45:
            return chance.choice(VALUES)
        return damage(as_bytes(held[name]), chance)[1] if kind < 0.65 else nasty(chance)

    def batch(chance, number):
        swept, commands = names[number % len(names)], []
        for extreme in EXTREMES:
            commands += [("CONFIG", "SET", swept, extreme), ("CONFIG", "GET", swept), *WALK]
        commands += [("CONFIG", "SET", swept, held[swept]), ("CONFIG", "GET", swept)]
        for _ in range(12):
            name = chance.choice(names)
            pairs = [name, value(chance, name)]
            if chance.random() < 0.2:
                other = chance.choice(names)
                pairs += [other, value(chance, other)]
            commands += [("CONFIG", "SET", *pairs), ("CONFIG", "GET", name), ("SET", "k", "v"), ("GET", "k")]
        return commands + [("CONFIG", "GET", chance.choice((b"*", b"[a-", b"\\", nasty(chance)))),
                           ("CONFIG", "RESETSTAT")]

    def check(commands, replies):
        for at, command in enumerate(commands):
            if command[:2] != ("CONFIG", "SET") or replies[at][0] != "+":
                continue
            name, pairs = command[2], replies[at + 1][1]
            shown = pairs[1][1] if replies[at + 1][0] == "*" else pairs[0][1][1]
            again = barrage.client.call("CONFIG", "SET", name, shown)
            if again[0] != "+" and b"can't set immutable" not in again[1]:
                yield f"CONFIG GET {name.decode()} gives {shown!r} after {command[3]!r}, and that can't be set: {again}"
        # A server that another setting would hinder: what was the value before comes back.
        for command, reply in zip(commands, replies):
            if command[:2] == ("CONFIG", "SET") and reply[0] == "+":
                for name in command[2::2]:
                    barrage.client.call("CONFIG", "SET", name, held[name])

    barrage = Barrage(options, "settings", batch, check, plant=plant)
    return barrage.run(rounds)


def plant(words):
    """A server that multiplies a size by its unit without looking."""
    return words[:2] == [b"CONFIG", b"SET"] and any(word.endswith(b"615b") for word in words[3::2])


GOOD_FILE = b"""# a comment
maxmemory 100mb
maxmemory-policy allkeys-lru
save 900 1 300 10
appendfsync everysec
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit pubsub 32mb 8mb 60
notify-keyspace-events "KEA"
hash-max-listpack-entries 512
save ""
user ann on >secret ~ann:* +@read
proc-title-template "{title} {listen-addr} {server-mode}"
loglevel notice
slowlog-log-slower-than 10000
"""


def files(options, rounds, plant=None):
    """Starts on damaged files: the server serves, or ends with status 1 and says which line it is."""
    problems, passed, served, begin = [], 0, 0, time.monotonic()
    for number in range(rounds):
        chance = random.Random(f"{options.seed}/file/{number}")
        data = damage(GOOD_FILE, chance)[1]
        if chance.random() < 0.6:
            lines = GOOD_FILE.split(b"\n")
            at = chance.randrange(len(lines) - 1)
            words = (lines[at].split(b" ") + [b"x"])[:5]
            words[chance.randrange(len(words))] = chance.choice(VALUES) if chance.random() < 0.6 else nasty(chance)
            lines[at] = b" ".join(words)
            data = b"\n".join(lines)
        verdict = start(options, data, plant)
        served += verdict == "serves"
        passed += verdict in ("serves", "refuses")
        if verdict not in ("serves", "refuses"):
            problems.append(f"file {options.seed}/{number}: {verdict}: {data!r}")
        if len(problems) >= 10 or (plant and problems):
            break
    if not plant:
        print(f"configuration files: {passed}, {served} served, {time.monotonic() - begin:.1f} s", flush=True)
    return passed, problems


def start(options, data, plant):
    """`serves`, `refuses`, or what is wrong."""
    with tempfile.TemporaryDirectory(prefix="fuzz-conf-") as directory:
        path, log = os.path.join(directory, "redis.conf"), os.path.join(directory, "log")
        # The last word on what would lead it astray.
        rest = ("--port", str(free_port()), "--dir", directory, "--daemonize", "no", "--logfile", "", "--bind",
                "127.0.0.1", "--unixsocket", "", "--syslog-enabled", "no", "--supervised", "no")
        with open(path, "wb") as file:
            file.write(data)
        with open(log, "wb") as output:
            process = subprocess.Popen([binary(options.server, options.config), path, *rest],
                                       stdout=output,
                                       stderr=output,
                                       stdin=subprocess.DEVNULL,
                                       preexec_fn=limit_memory,
                                       cwd=directory)
        is_planted = plant is not None and plant(data)
        if is_planted:
            process.send_signal(signal.SIGILL)
        deadline = time.monotonic() + options.patience
        try:
            while time.monotonic() < deadline:
                status = process.poll()
                with open(log, "rb") as file:
                    text = file.read()
                if b"Ready to accept connections" in text and not is_planted:
                    return "serves"
                if status is not None:
                    if died(status):
                        return f"died with status {status}: {text[-500:]!r}"
                    names_it = any(word in text for word in (b"line", b"FATAL", b"rror", b"Failed", b"an't"))
                    return "refuses" if status == 1 and names_it else f"ends with status {status}: {text[-500:]!r}"
                time.sleep(0.005)
            return f"neither serves nor ends: {text[-300:]!r}"
        finally:
            process.kill()
            process.wait()


def files_plant(data):
    """A server that dies of a number beyond 64 bits in its file."""
    return b"99999999999999999999" in data or b"18446744073709551616" in data
