"""Sealed logs whose history is known, step by step: small ones for damage of all kinds, big ones for single flipped
bits."""
import concurrent.futures
import os
import random
import sys
import tempfile
import time

from fuzzing.files import Seed, was_cut
from fuzzing.judge import NUMBER, boot, check, contents
from servers import Server, info, scratch, wait_for

KINDS = ("incr", "base-rdb", "base-aof", "manifest")


def step(chance, number, width):
    """Commands of one acknowledged step, in one unit; nothing in them expires."""
    value = chance.randbytes(width) if width else b"%d" % chance.randrange(1000)
    key = b"%d" % chance.randrange(12)
    one = chance.choice(
        ([b"SET", b"s" + key, value], [b"RPUSH", b"l" + key, value, b"x"], [b"HSET", b"h" + key, key,
                                                                            value], [b"SADD", b"e" + key, value],
         [b"ZADD", b"z" + key, b"%d" % number,
          value], [b"XADD", b"x" + key, b"%d-1" % (number + 1), b"f",
                   value], [b"APPEND", b"s" + key, value], [b"LPOP", b"l" + key], [b"DEL",
                                                                                   b"h" + key], [b"INCR", b"steps"]))
    counts = [b"SET", b"last", b"%d" % number]      # no two states are alike
    if chance.random() < 0.2:
        return [(b"MULTI", ), one, counts, (b"EXEC", )]
    return [one, counts] if chance.random() < 0.3 else [counts if chance.random() < 0.2 else one]


def write_steps(client, chance, path, count, width):
    """Gives (size of the file, digest) before the first and after each step, under appendfsync always. With wide values
    the last digest alone: they would take too long."""
    states = [(os.path.getsize(path), None if width else client.call("DEBUG", "DIGEST"))]
    for number in range(count):
        client.pipeline(step(chance, number, width))
        known = None if width and number < count - 1 else client.call("DEBUG", "DIGEST")
        states.append((os.path.getsize(path), known))
    return states


def newest(folder):
    """The last increment."""
    names = [name for name in os.listdir(folder) if name.endswith(".incr.aof")]
    return os.path.join(folder, max(names, key=lambda name: int(name.split(".")[-3])))


def reached(folder):
    """The last batch that is known to be durable beside the log; None: nothing is known yet."""
    path = os.path.join(folder, "appendonly.aof.reached")
    words = contents(path).split() if os.path.exists(path) else []
    return int(words[1], 16) if len(words) == 4 else None


def history(directory, configuration, seed, preamble="yes", steps=100, width=0, increments=1, seal="yes"):
    """A directory with a BASE and increments that our server wrote. Gives its seeds: one for each file."""
    chance = random.Random(f"{seed}/history/{preamble}/{increments}")
    options = {
        "appendonly": "yes", "appendfsync": "always", "aof-use-rdb-preamble": preamble, "aof-seal": seal,
        "auto-aof-rewrite-percentage": "0"
    }
    folder = os.path.join(directory, "appendonlydir")
    with Server("ours", options, directory, configuration).start() as server:
        with server.client() as client:
            write_steps(client, chance, newest(folder), steps, width)
            client.call("BGREWRITEAOF")
            wait_for(lambda: info(client, "persistence")["aof_rewrite_in_progress"] == "0", 60, "BGREWRITEAOF")
            first = newest(folder)
            earlier = states = write_steps(client, chance, first, steps, width)
            if increments > 1:
                client.call("CONFIG", "SET", "rdb-key-save-delay", "1000000")
                reply = client.call("BGREWRITEAOF")      # cut off by the end of the server
                # The file is there before the log goes on in it; when the child is there, too, it does.
                wait_for(lambda: server.log().count("rewriting started by pid") == 2, 60, f"the second child ({reply})")
                assert newest(folder) != first
                states = write_steps(client, chance, newest(folder), steps, width)
            if seal == "yes":
                wait_for(lambda: reached(folder) == int(info(client, "persistence")["aof_batches"]), 60,
                         "the last batch is known beside the log")
        server.kill()
    for name in os.listdir(folder):
        if name.startswith("temp-"):
            os.unlink(os.path.join(folder, name))
    last, seeds = newest(folder), []
    for name in sorted(name for name in os.listdir(folder) if not name.endswith(".reached")):
        path = os.path.join(folder, name)
        kind = "manifest" if name.endswith(".manifest") else "incr" if ".incr." in name else "base"
        # Another file than the last is whole or refused by the server: the state it comes to is the last one. What
        # --fix leaves of an increment before the last may end with any state of that one.
        known = states if path == last else states[-1:]
        if path == first != last:
            known = earlier + [(sys.maxsize, states[-1][1])]
        seeds.append(Seed(kind, path, folder, known, is_sealed=True, is_last=path == last))
    return seeds


def small(directory, options):
    """Seeds for damage of all kinds."""
    seeds = []
    for number, (preamble, increments) in enumerate((("yes", 1), ("no", 1), ("yes", 2))):
        place = os.path.join(directory, f"sealed-{number}")
        os.makedirs(place)
        seeds += history(place, options.config, options.seed, preamble, 60, 0, increments)
    return seeds


class Flip:
    """One bit of one file."""

    def __init__(self, options, kind, seed, number):
        self.options, self.kind, self.seed = options, kind, seed
        bits = len(seed.data) * 8
        self.bit = number % bits if kind == "manifest" else random.Random(f"{options.seed}/{kind}/{number}").randrange(
            bits)

    def judge(self):
        """What became of it: `refused`, `cut` (the end, kept aside), `harmless`, or what is wrong."""
        data = bytearray(self.seed.data)
        data[self.bit >> 3] ^= 1 << (self.bit & 7)
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        with tempfile.TemporaryDirectory(prefix="fuzz-flip-", dir=place) as directory:
            path, settings = self.seed.lay_out(directory, data)
            verdict = check(self.options, "ours-check-aof", self.seed.entry(directory), size=len(data))
            outcome = boot(self.options, directory, settings)
            if verdict.problems:
                return "; ".join(verdict.problems)
            if outcome.kind == "refused":
                if os.path.basename(path) not in outcome.text or not NUMBER.search(outcome.text):
                    return f"refused without file and position: {outcome.text[-300:]!r}"
                return "refused" if verdict.status != 0 else "the check tool calls it good, the server refuses"
            if outcome.kind != "loaded":
                return f"{outcome.kind}: {outcome.text[-500:]!r}"
            if was_cut(outcome):
                right = outcome.digest == self.state_before() and verdict.status != 0
                return "cut" if right else f"cut, but not where it should be: {outcome.text[-300:]!r}"
            if outcome.digest != self.seed.states[-1][1]:
                return f"silently wrong: {outcome.text[-300:]!r}"
            return "harmless" if verdict.status == 0 else "the check tool calls it damaged, the server loads it"

    def state_before(self):
        """What the log holds up to the batch with the flipped bit."""
        end = max(size for size, _ in self.seed.states if size <= self.bit >> 3)
        with tempfile.TemporaryDirectory(prefix="fuzz-flip-") as directory:
            _, settings = self.seed.lay_out(directory, self.seed.data[:end])
            return boot(self.options, directory, settings).digest


def big(options):
    """Kind → seed: files of a megabyte and more (the manifest has some hundred bytes)."""
    seeds = {}
    for preamble in ("yes", "no"):
        for seed in history(scratch(f"fuzz-big-{preamble}-"), options.config, options.seed, preamble, 700, 5000):
            if seed.kind == "base":
                seeds["base-rdb" if preamble == "yes" else "base-aof"] = seed
            elif preamble == "yes":
                seeds[seed.kind] = seed
    return {kind: seeds[kind] for kind in KINDS}


def flips(options, count):
    """Single flipped bits, `count` in each kind of file: refused, cut off and kept, or proven harmless. Gives (passed,
    problems)."""
    begin, problems, passed = time.monotonic(), [], 0
    seeds = big(options)
    for kind, seed in seeds.items():
        results = {}
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            judged = pool.map(lambda number: (number, Flip(options, kind, seed, number).judge()), range(count))
            for number, result in judged:
                if result in ("refused", "cut", "harmless"):
                    results[result] = results.get(result, 0) + 1
                    passed += 1
                elif len(problems) < 20:
                    problems.append(f"flip {options.seed}/{kind}/{number}: {result}")
        parts = ", ".join(f"{results.get(name, 0)} {name}" for name in ("refused", "cut", "harmless"))
        print(f"flips in {kind} ({len(seed.data):,} bytes): {count}: {parts}", flush=True)
    print(f"flips: {passed} of {count * len(seeds)} right, {time.monotonic() - begin:.1f} s", flush=True)
    return passed, problems


def unsealed_flips(options, count):
    """Flips in a log without seals: what must be found wrong if this tool looks at all."""
    place = scratch("fuzz-unsealed-")
    seed = next(seed for seed in history(place, options.config, options.seed, "yes", 20, 2000, seal="no")
                if seed.kind == "incr")
    return [
        result for result in (Flip(options, "incr", seed, number).judge() for number in range(count))
        if result.startswith("silently wrong")
    ]
