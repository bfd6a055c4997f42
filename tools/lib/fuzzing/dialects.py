"""Dumps of Valkey, KeyDB, Dragonfly and newer Redis, made by an encoder of this tool's own, and what swift-redis-
check-rdb makes of them and of real ones when they are damaged: --stats, --json, --salvage, --convert, --diff,
--verify."""
import os
import random
import shutil
import tempfile
import time

from damage import damage, with_checksum
from fuzzing.files import fixture_seeds
from fuzzing.judge import boot, check

STATUSES = {0, 1, 3, 4}


def length(value):
    if value < 64:
        return bytes([value])
    return bytes([0x40 | value >> 8, value & 255]) if value < 16384 else b"\x80" + value.to_bytes(4, "big")


def string(text):
    return length(len(text)) + text


def aux(name, value):
    return b"\xfa" + string(name) + string(value)


def key(kind, name):
    return bytes([kind]) + string(name)


def little(value):
    return value.to_bytes(8, "little", signed=True)


def listpack(*elements):
    body = b"".join(bytes([0x80 | len(text)]) + text + bytes([len(text) + 1]) for text in elements)
    return (len(body) + 7).to_bytes(4, "little") + len(elements).to_bytes(2, "little") + body + b"\xff"


def finished(body):
    return with_checksum(body + b"\xff" + bytes(8))


def valkey():
    body = aux(b"valkey-ver", b"9.0.0") + b"\xfe\x00\xfb\x03\x00" + key(0, b"s") + string(b"v" * 40)
    body += key(22, b"h") + length(2) + string(b"a") + string(b"1") + little(-1)
    body += string(b"b") + string(b"2") + little(1_900_000_000_000)
    return finished(b"VALKEY080" + body + key(16, b"pack") + string(listpack(b"f", b"v")))


def keydb():
    body = b"\xfe\x00" + aux(b"mvcc-tstamp", b"1650000000000000") + key(4, b"h") + length(2)
    body += b"".join(string(text) for text in (b"a", b"1", b"b", b"2"))
    body += aux(b"keydb-subexpire-key", b"b") + aux(b"keydb-subexpire-when", b"1900000000000")
    body += b"\xfc" + little(1_950_000_000_000) + aux(b"mvcc-tstamp", b"1650000000000001")
    return finished(b"REDIS0009" + body + key(2, b"set") + length(2) + string(b"x") + string(b"y"))


def dragonfly():
    body = aux(b"df-ver", b"1.20") + b"\xfe\x00" + key(31, b"h") + length(2)
    body += b"".join(string(text) for text in (b"a", b"1", b"-1", b"b", b"2", b"200000000"))
    body += key(32, b"set") + length(1) + string(b"m") + string(b"-1")
    body += key(0, b"s") + string(b"text")
    return finished(b"REDIS0009" + body)


def newer_redis():
    body = aux(b"redis-ver", b"8.6.0") + b"\xfe\x00" + b"\xf2" + length(7) + length(2) + string(b"f") + string(b"g")
    body += key(32, b"h") + length(7) + string(b"1") + string(b"2") + key(0, b"s") + string(b"v")
    return finished(b"REDIS0015" + body)


def good_files():
    """(name, bytes)"""
    made = [("valkey", valkey()), ("keydb", keydb()), ("dragonfly", dragonfly()), ("redis-8", newer_redis())]
    real = [(os.path.basename(os.path.dirname(seed.path)), seed.data) for seed in fixture_seeds()
            if seed.kind == "rdb" and len(seed.data) < 300_000]
    return made * 6 + real


def fuzz(options, rounds):
    """Gives (passed, problems). What an output is promised for must be there, checked, and loadable."""
    problems, passed, begin, written = [], 0, time.monotonic(), 0
    files = good_files()
    for name, data in dict(files).items():
        problems += [f"the good file {name}: {text}" for text in whole(options, data)]
    for number in range(rounds):
        chance = random.Random(f"{options.seed}/dialect/{number}")
        name, good = chance.choice(files)
        what, data = damage(good, chance)
        if chance.random() < 0.5 and len(data) > 17:
            data = with_checksum(data)
        with tempfile.TemporaryDirectory(prefix="fuzz-dialect-") as directory:
            wrong, made = one(options, chance, directory, good, data)
        written += made
        passed += not wrong
        problems += [f"dialect {options.seed}/{number}: {name}: {what}: {text}" for text in wrong]
        if len(problems) >= 20:
            break
    print(f"dialects: {passed} dumps, {written} outputs written, checked and loaded, {time.monotonic() - begin:.1f} s",
          flush=True)
    return passed, problems


def whole(options, data):
    """An undamaged dump is good to the tool, and loads."""
    with tempfile.TemporaryDirectory(prefix="fuzz-dialect-") as directory:
        path = os.path.join(directory, "dump.rdb")
        with open(path, "wb") as file:
            file.write(data)
        verdict = check(options, "ours-check-rdb", "--skip-unsupported", path)
        outcome = boot(options, directory, {"rdb-skip-unsupported": "yes"})
        bad = verdict.problems + ([] if verdict.status in (0, 3) else [verdict.text[-300:]])
        return bad + ([] if outcome.kind == "loaded" else [outcome.text[-300:]])


def one(options, chance, directory, good, data):
    """Complaints about one damaged dump, and how many outputs were written."""
    path, other, output = (os.path.join(directory, name) for name in ("dump.rdb", "good.rdb", "out.rdb"))
    for place, content in ((path, data), (other, good)):
        with open(place, "wb") as file:
            file.write(content)
    skips = ["--skip-unsupported"] if chance.random() < 0.7 else []
    which = chance.randrange(6)
    version = str(chance.choice((9, 10, 11, 12)))
    arguments = (["--stats", path], ["--json", path], ["--salvage", output,
                                                       path], ["--convert", output, "--rdb-version", version,
                                                               path], ["--diff", other, path], ["--verify",
                                                                                                path])[which]
    verdict = check(options, "ours-check-rdb", *skips, *arguments, size=len(data), clear=which != 1)
    problems = list(verdict.problems)
    if verdict.status not in STATUSES and not problems:
        problems.append(f"check-rdb {arguments[0]}: status {verdict.status}: {verdict.text[-300:]!r}")
    if os.path.exists(output) != (which in (2, 3) and verdict.status in (0, 3)):
        problems.append(f"check-rdb {arguments[0]}: status {verdict.status}, and the output is "
                        f"{'there' if os.path.exists(output) else 'missing'}: {verdict.text[-300:]!r}")
    if not os.path.exists(output):
        return problems, 0
    again = check(options, "ours-check-rdb", output)
    if again.status != 0:
        problems.append(f"check-rdb {arguments[0]}: its output is not good: {again.text[-300:]!r}")
    place = os.path.join(directory, "loads")
    os.mkdir(place)
    shutil.copy(output, os.path.join(place, "dump.rdb"))
    outcome = boot(options, place, {})
    if outcome.kind != "loaded":
        problems.append(f"check-rdb {arguments[0]}: its output does not load: {outcome.text[-300:]!r}")
    return problems, 1
