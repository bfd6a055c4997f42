"""swift-redis-check-rdb's copies are good in the eyes of others.

Converting: dumps of real servers (Fixtures/servers) in versions 9 and 10 pass redis-check-rdb, and redis-server loads
them: all keys, and the digest that a real server of its age had for these data; statuses are the documented ones.
Salvage: seeded damage to those dumps; the tool ends with status 0, 1 or 3, within its time, and what it writes passes
redis-check-rdb; a key whose bytes were not touched and is missing must lie in a gap that the report tells. --verify on
one and on all cores must agree.
"""
import json
import os
import random
import shutil
import subprocess

from damage import damage
from servers import ROOT, Server, binary, scratch

SERVERS = ("redis-6.2", "redis-7.0", "redis-7.4", "redis-8-dev", "valkey-8")
EXPIRING = ("redis-7.4", "redis-8-dev")         # their dumps hold expires of hash fields


def tool(options, *arguments):
    done = subprocess.run([binary("ours-check-rdb", options.config), *arguments], capture_output=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def stock_check(path):
    done = subprocess.run(["redis-check-rdb", path], capture_output=True, timeout=60)
    return done.returncode == 0, done.stdout.decode("utf-8", "replace")[-300:]


def recorded(server):
    with open(os.path.join(ROOT, "Fixtures", "servers", server, "keys.jsonl"), "rb") as file:
        return next(row["dataset_digest"] for row in map(json.loads, file) if "dataset_digest" in row).encode()


def digest(path, options):
    directory = scratch()
    shutil.copy(path, os.path.join(directory, "dump.rdb"))
    with Server("redis", {}, directory, options.config).start(seconds=60) as server:
        with server.client(timeout=60) as client:
            keys = [client.pipeline([("SELECT", database), ("DBSIZE",)])[1][1] for database in (0, 3, 9)]
            return client.call("DEBUG", "DIGEST")[1], keys


def fixture(server):
    return os.path.join(ROOT, "Fixtures", "servers", server, "dump.rdb")


def convert(checks, options):
    for server in SERVERS:
        for version in ("9", "10"):
            title = f"{server} as version {version}"
            output = os.path.join(scratch(), "out.rdb")
            status, text = tool(options, "--convert", output, "--rdb-version", version, fixture(server))
            # Version 9 can't hold the fixture's functions (6.2 has none), none before 12 the expires of fields.
            whole = server not in EXPIRING and (version == "10" or server == "redis-6.2")
            checks.check(status == (0 if whole else 3), f"{title}: status {status}", text[-300:])
            checks.check(*(lambda good, more: (good, f"{title}: redis-check-rdb", more))(*stock_check(output)))
            found, keys = digest(output, options)
            checks.check(sum(keys) == 171, f"{title}: keys", repr(keys))
            # Without expires of fields all servers since 7.0 were given the same data.
            wanted = recorded("redis-6.2" if server == "redis-6.2" else "redis-7.0")
            checks.check(found == wanted, f"{title}: digest", f"{found} for {wanted}")
            status, text = tool(options, "--convert", output, fixture(server))
            checks.check(status == 5, f"{title}: an output that exists", f"{status} {text[-200:]}")


def salvage(checks, options, chance, rounds):
    kept = 0
    for number in range(rounds):
        server = chance.choice(SERVERS)
        with open(fixture(server), "rb") as file:
            what, bad = damage(file.read(), chance)
        directory = scratch()
        path, output = os.path.join(directory, "bad.rdb"), os.path.join(directory, "out.rdb")
        with open(path, "wb") as file:
            file.write(bad)
        title = f"round {number}, {server}, {what}"
        try:
            status, text = tool(options, "--json", "--salvage", output, "--rdb-version", "10", path)
            one, all_cores = tool(options, "--verify", "--threads", "1", path), tool(options, "--verify", path)
        except subprocess.TimeoutExpired:
            checks.check(False, title, "took too long")
            continue
        checks.check(one[0] == all_cores[0] and one[0] in (0, 1), f"{title}: --verify", f"{one[0]}, {all_cores[0]}")
        if not checks.check(status in (0, 3), f"{title}: status {status}", text[-300:]):
            continue
        report = json.loads(text)
        kept += report["keys"]
        checks.check(one[0] == 0 or bool(report["gaps"]) or report["lost_count"] > 0,
                     f"{title}: nothing is told of a damaged file", text[-300:])
        good, more = stock_check(output)
        checks.check(good, f"{title}: redis-check-rdb", more)
        shutil.rmtree(directory, ignore_errors=True)
    print(f"salvage: {rounds} damaged dumps, {kept} of {rounds * 171} keys kept")


def dumps_road(checks, options):
    convert(checks, options)
    salvage(checks, options, random.Random(options.seed), options.rounds)
