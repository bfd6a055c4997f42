"""Damaged RDB files, logs and manifests: the server and the check tools on each, and whether they agree."""
import functools
import glob
import os
import random
import shutil
import tempfile
import threading

from damage import damage, with_checksum
from fuzzing.judge import NUMBER, boot, check, contents, kept_files
from fuzzing.target import IS_SANITIZED, RESIDENT
from generator import TABLE, Generator
from servers import ROOT, Server, info, wait_for


class Seed:
    """A good file, and how a server is started on it. `kind`: rdb, aof (one old file), incr, base, manifest.
    `states`: for the last file of a sealed log, (size, digest) after each step of its history. `is_last`: no file
    behind it holds anything, so that its end may be torn."""

    def __init__(self, kind, path, folder=None, states=None, is_sealed=False, is_last=True):
        self.kind, self.path, self.folder, self.states, self.is_sealed = kind, path, folder, states, is_sealed
        self.is_last = is_last
        self.data = contents(path)
        self.lock, self.known = threading.Lock(), None

    @functools.cached_property
    def has_checksum(self):
        if self.is_sealed:
            return True
        return self.data[:5] == b"REDIS" and len(self.data) < 200_000 and with_checksum(self.data) == self.data

    @property
    def is_rdb(self):
        return self.kind in ("rdb", "base") and self.data[:5] == b"REDIS"

    @property
    def is_log(self):
        return self.kind != "rdb"

    def digest(self, options, again=False):
        """What a server holds that started on the good file. `again`: keys may have expired since."""
        with self.lock:
            if self.known is None or again:
                with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
                    _, settings = self.lay_out(directory, self.data)
                    self.known = boot(options, directory, settings).digest
            return self.known

    def lay_out(self, directory, data):
        """Writes the damaged file and its good neighbours; gives the path of the damaged one and server options."""
        if self.kind == "rdb":
            path, options = os.path.join(directory, "dump.rdb"), {"appendonly": "no"}
        elif self.kind == "aof":
            path, options = os.path.join(directory, "appendonly.aof"), {"appendonly": "yes"}
        else:
            folder = os.path.join(directory, "appendonlydir")
            shutil.copytree(self.folder, folder)
            path, options = os.path.join(folder, os.path.basename(self.path)), {"appendonly": "yes"}
        with open(path, "wb") as file:
            file.write(data)
        return path, options

    def entry(self, directory):
        """What check-aof is given: the manifest, or the old file."""
        if self.kind == "aof":
            return os.path.join(directory, "appendonly.aof")
        manifest = next(name for name in os.listdir(self.folder) if name.endswith(".manifest"))
        return os.path.join(directory, "appendonlydir", manifest)


def fresh_seeds(directory, seed):
    """Small files of all types written by a stock redis-server (small: damage hits structure more often)."""
    seeds = []
    for number, preamble in enumerate(("yes", "no")):
        place = os.path.join(directory, f"fresh-{preamble}")
        os.makedirs(place)
        with Server(
                "redis", {
                    "appendonly": "yes", "aof-use-rdb-preamble": preamble, "appendfsync": "always",
                    "aof-timestamp-enabled": preamble, "rdbchecksum": preamble
                }, place).start() as server:
            with server.client() as client:
                for group in TABLE:
                    if group not in ("common", "transactions"):
                        generator = Generator(group, f"{seed}/{number}")
                        client.pipeline([generator.command() for _ in range(60)])
                client.call("DISCARD")      # the mixed group may have left a MULTI open
                client.call("SET", "expires", "v", "EX", "100000")
                client.call("BGREWRITEAOF")
                wait_for(lambda: info(client, "persistence")["aof_rewrite_in_progress"] == "0", 30, "BGREWRITEAOF")
                client.pipeline([("MULTI", ), ("SET", "a", "1"), ("INCR", "a"), ("EXEC", )])
                for group in ("string", "hash", "stream"):
                    generator = Generator(group, f"{seed}/{number}/more")
                    client.pipeline([generator.command() for _ in range(60)])
                client.call("SAVE")
        seeds.append(Seed("rdb", os.path.join(place, "dump.rdb")))
        seeds += folder_seeds(os.path.join(place, "appendonlydir"))
    return seeds


def folder_seeds(folder):
    seeds = []
    for name in sorted(name for name in os.listdir(folder) if not name.endswith(".reached")):
        kind = "manifest" if name.endswith(".manifest") else "incr" if ".incr." in name else "base"
        seeds.append(Seed(kind, os.path.join(folder, name), folder))
    return seeds


def fixture_seeds():
    top = os.path.join(ROOT, "Fixtures", "servers")
    seeds = [Seed("rdb", path) for path in sorted(glob.glob(os.path.join(top, "*", "*.rdb")))]
    seeds += [Seed("aof", path) for path in sorted(glob.glob(os.path.join(top, "*", "appendonly.aof")))]
    for folder in sorted(glob.glob(os.path.join(top, "*", "appendonlydir"))):
        seeds += folder_seeds(folder)
    return [seed for seed in seeds if seed.data]


class Case:
    """One damage to one file."""

    def __init__(self, options, number, seeds):
        self.options, self.number = options, number
        chance = random.Random(f"{options.seed}/{number}")
        small = [seed for seed in seeds if len(seed.data) < 100_000]
        self.seed = chance.choice(small if small and chance.random() < 0.85 else seeds)
        self.is_torn = self.seed.kind == "incr" and self.seed.is_last and chance.random() < 0.25
        if self.is_torn:
            at = chance.randrange(len(self.seed.data))
            self.data = self.seed.data[:at] + bytes(chance.choice((0, 0, 1, 100, 4096)))
            self.what = f"torn at {at}"
        else:
            self.what, self.data = damage(self.seed.data, chance)
            if chance.random() < 0.3:
                more, self.data = damage(self.data, chance)
                self.what += " + " + more
        self.upset, self.is_protected = None, self.seed.has_checksum
        rdb = self.data[:5] == b"REDIS" and len(self.data) > 9
        if rdb and len(self.data) < 100_000 and chance.random() < 0.5 and self.seed.is_rdb and not self.seed.is_sealed:
            self.data = with_checksum(self.data)
            self.what += ", checksum made right"
            self.is_protected = False

    @property
    def label(self):
        return f"case {self.options.seed}/{self.number}: {os.path.relpath(self.seed.path, ROOT)}: {self.what}"

    @property
    def first_difference(self):
        """Where the damage begins."""
        good, bad = self.seed.data, self.data
        if good == bad:
            return len(good)
        return next((at for at in range(min(len(good), len(bad))) if good[at] != bad[at]), min(len(good), len(bad)))

    def right(self, digest, lacks_end):
        """Whether a loaded state is one that may come of this damage: the whole one, or, if the end of a sealed log
        was cut off and that was told, one of its history that has all before the damage."""
        if self.seed.states and lacks_end:
            intact = [at for at, (size, _) in enumerate(self.seed.states) if size <= self.first_difference]
            return digest in [state for _, state in self.seed.states[intact[-1] if intact else 0:]]
        if self.seed.states:
            return digest == self.seed.states[-1][1]
        return digest in (self.seed.digest(self.options), self.seed.digest(self.options, again=True))


def run_case(case, tally):
    """Gives the case and what is wrong."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        path, settings = case.seed.lay_out(directory, case.data)
        verdicts = tool_verdicts(case, directory, path)
        problems = [problem for verdict in verdicts for problem in verdict.problems]
        problems += fix_cases(case, verdicts, tally) if case.options.server == "ours" else []
        outcome = boot(case.options, directory, settings, case.upset)
        problems += outcome_problems(case, outcome, path, tally)
        if case.options.server == "ours":
            problems += agreement(case, verdicts, outcome, tally)
        return case, problems


def tool_verdicts(case, directory, path):
    suffix = "ours-" if case.options.server == "ours" else "redis-"
    verdicts = []
    if case.seed.is_rdb:
        verdicts.append(check(case.options, suffix + "check-rdb", path, size=len(case.data)))
    if case.seed.is_log:
        verdicts.append(check(case.options, suffix + "check-aof", case.seed.entry(directory), size=len(case.data)))
    return verdicts


def was_cut(outcome):
    return any(".torn-" in name for name in outcome.kept)


def lacks_end(outcome):
    """What was loaded is told to end early: what was torn was cut off, or the log ends before it had come to."""
    return was_cut(outcome) or "ends too early" in outcome.text


def outcome_problems(case, outcome, path, tally):
    """What is wrong with how the server took it."""
    row = "torn" if case.is_torn else "damages"
    if outcome.kind in ("died", "hangs"):
        tally.add(row, "did not boot" if case.is_torn else "died or hung")
        return [f"server: {outcome.kind}: {outcome.text[-800:]}"]
    problems = []
    if outcome.kind == "refused":
        tally.add(row, "did not boot" if case.is_torn else "refused")
        if case.is_torn and case.options.server == "ours":
            problems.append(f"server: a torn end does not boot: {outcome.text[-600:]!r}")
        is_clear = os.path.basename(path) in outcome.text and NUMBER.search(outcome.text)
        tally.add("refusals", *([] if is_clear else ["without file or position"]))
        if case.options.server == "ours" and not is_clear:
            problems.append(f"server: refuses without naming file and position: {outcome.text[-400:]!r}")
        return problems
    tally.add(row, "loaded")
    if case.is_protected and not case.right(outcome.digest, lacks_end(outcome)):
        tally.add(row, *([] if case.is_torn else ["silently wrong"]))
        problems.append(
            "server: silently wrong: the file has a checksum, it was loaded, and its data is not what it was "
            f"before the damage; {outcome.text[-300:]!r}")
    if not IS_SANITIZED and outcome.resident > RESIDENT + 20 * len(case.data):
        problems.append(f"server: {outcome.resident >> 20} MB resident")
    if was_cut(outcome):
        kept = b"".join(contents(name) for name in outcome.kept if ".torn-" in name)
        is_kept = len(kept) > 0 and case.data.endswith(kept)
        tally.add("repairs", *([] if is_kept else ["cut bytes thrown away"]))
        if not is_kept:
            problems.append(f"server: what it cut off is not what it kept: {outcome.kept}")
    return problems


def agreement(case, verdicts, outcome, tally):
    """Whether the check tools and the server came to the same."""
    if not verdicts or outcome.kind not in ("loaded", "refused"):
        return []
    worst = max(verdict.status for verdict in verdicts)
    if worst == 0:
        if "handle more than 16 databases" in outcome.text:
            return []      # a matter of `databases`, not of the file
        tally.add("fine", *(["refused or misread by the server"] if outcome.kind == "refused" else []))
        return [f"check tool: good; server: {outcome.text[-600:]!r}"] if outcome.kind == "refused" else []
    if worst != 1:
        return []      # statuses of their own: left out, unsupported
    disagrees = outcome.kind == "loaded" and not lacks_end(outcome)
    tally.add("bad", *(["loaded by the server nevertheless"] if disagrees else []))
    return [f"check tool: damaged; the server loads it: {[v.text[-300:] for v in verdicts]}"] if disagrees else []


def fix_cases(case, verdicts, tally):
    """--fix and --salvage of a damaged log, on copies: what they make loads, and nothing they cut is gone."""
    if not case.seed.is_log or not verdicts or verdicts[-1].status == 0:
        return []
    problems = []
    for option in ("--fix", "--salvage"):
        with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
            path, settings = case.seed.lay_out(directory, case.data)
            verdict = check(case.options,
                            "ours-check-aof",
                            option,
                            "--yes",
                            case.seed.entry(directory),
                            size=len(case.data),
                            clear=False)
            problems += verdict.problems
            if verdict.status != 0:
                continue
            left = contents(path) if os.path.exists(path) else b""
            problems += kept_after(case, option, directory, left, tally)
            outcome = boot(case.options, directory, settings)
            is_right = outcome.kind == "loaded"
            if is_right and option == "--fix" and case.is_protected:
                is_right = case.right(outcome.digest, True)
            row, column = ("fixes", "did not load, or other data") if option == "--fix" else ("salvages",
                                                                                              "did not load")
            tally.add(row, *([] if is_right else [column]))
            if not is_right:
                problems.append(
                    f"check-aof {option}: the result: {outcome.kind}, {outcome.digest}: {outcome.text[-500:]!r}; "
                    f"the tool said {verdict.text[-400:]!r}")
    return problems


def kept_after(case, option, directory, left, tally):
    """Bytes of the damaged file that are neither in it any more nor kept beside it."""
    if left == case.data:
        return []
    kept = [contents(name) for name in kept_files(directory)]
    whole = any(case.data == left + piece or case.data == piece or case.data.endswith(piece) and piece
                for piece in kept)
    tally.add("repairs", *([] if whole else ["cut bytes thrown away"]))
    return [] if whole else [f"check-aof {option}: what it took out of the file is kept nowhere"]
