"""`bench --only groups`: every command of every group against redis-server, pipelined, by rate and by CPU a request.

The requests of a case (lib/bench_cases.py) are made once and sent to both servers in turns by tools/load/load.c, which
reads the server's CPU time itself. With two processors the load generator limits the rate of cheap commands, and other
work on the machine changes it. The CPU time of a request is the steadier figure, and as other work can only add to
it, the least of the rounds counts. A case below the floor by the medians of the rates and by CPU is measured once
more, with three times the rounds, and then listed and counted as failed.
"""
import hashlib
import math
import os
import random
import re
import statistics
import subprocess

from bench_cases import CASES
from resp import encode
from servers import ROOT, scratch

SIDES = ("ours", "theirs")
PLACE = re.compile(r"\{(i|f|r:\d+|v:\d+|sha:[^}]+|dump:[^}]+)\}")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def generator():
    """Path of the load generator, built when missing or old."""
    source, program = os.path.join(ROOT, "tools", "load", "load.c"), os.path.join(ROOT, ".build", "load")
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(program), exist_ok=True)
        subprocess.run(["gcc", "-O2", "-o", program, source], check=True)
    return program


def request(template, number, chance, dumps):
    """The words of one request."""
    def place(match):
        kind, _, argument = match.group(1).partition(":")
        if kind == "i":
            return str(number).encode()
        if kind == "f":
            return f"{chance.random() * 1000:.3f}".encode()
        if kind == "r":
            return str(chance.randrange(int(argument))).encode()
        if kind == "v":
            return "".join(chance.choices(LETTERS, k=int(argument))).encode()
        if kind == "sha":
            return hashlib.sha1(argument.replace("~", " ").encode()).hexdigest().encode()
        return dumps(argument)

    out = []
    for word in filter(None, template.split(" ")):
        parts, end = [], 0
        spaced = word.replace("~", " ") if len(word) > 1 else word
        for match in PLACE.finditer(word):
            parts += [spaced[end:match.start()].encode(), place(match)]
            end = match.end()
        out.append(b"".join(parts + [spaced[end:].encode()]))
    return out


class Groups:
    def __init__(self, bench, pipeline):
        self.bench, self.pipeline = bench, pipeline
        self.path = os.path.join(scratch("bench-"), "requests")
        self.servers = {side: bench.server(side).start() for side in SIDES}
        self.clients = {side: self.servers[side].client(timeout=120) for side in SIDES}
        self.setup = {side: None for side in SIDES}
        self.rows = []

    def close(self):
        for side in SIDES:
            self.clients[side].close()
            self.servers[side].kill()

    def prepare(self, case):
        """Both servers hold the case's data (a group shares one set of it), and its requests are in the file."""
        chance = random.Random(1)
        commands = [request(text, n, chance, None) for n, text in enumerate(case.setup)]
        for side in SIDES:
            if self.setup[side] is case.setup:
                continue
            self.clients[side].call("FLUSHALL")
            for reply, command in zip(self.clients[side].pipeline(commands, window=64), commands):
                if reply[0] == "-":
                    raise RuntimeError(f"{side}: {command[:3]}: {reply[1]}")
            self.setup[side] = case.setup
        unit = len(case.unit)
        batch = self.pipeline if self.pipeline > 1 else unit
        if batch % unit:
            batch = unit * math.ceil(batch / unit)
        units = math.ceil(case.pool / batch) * batch // unit
        dumps = {}

        def dump(key):
            if key not in dumps:
                dumps[key] = self.clients["theirs"].call("DUMP", key)[1]
            return dumps[key]

        with open(self.path, "wb") as file:
            for number in range(units):
                for text in case.unit:
                    file.write(encode(request(text, number, chance, dump)))
        return batch

    def run(self, side, case, batch, warm, count):
        server = self.servers[side]
        numbers = (50, batch, warm, count, case.subscribers)
        done = subprocess.run([generator(), str(server.port), str(server.process.pid), self.path,
                               *[str(number) for number in numbers]], capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"{side}: {done.stderr.strip()}")
        seconds, cpu, answered, errors = done.stdout.split()
        if int(cpu) == 0:
            # The kernel had not counted yet. Once more, or the figure would be without bounds.
            return self.run(side, case, batch, warm, count * 2)
        return {"rate": int(answered) / float(seconds), "cpu": max(int(cpu), 1) / int(answered) / 1000,
                "errors": int(errors)}

    def measure(self, case):
        row = self.measured(case, self.bench.options.rounds)
        again = max(row["cpu"], row["rate"]) < self.bench.options.floor
        return self.measured(case, self.bench.options.rounds * 3) if again else row

    def measured(self, case, rounds):
        batch = self.prepare(case)
        first = {side: self.run(side, case, batch, 0, batch * 10) for side in SIDES}
        slowest = max(first[side]["cpu"] for side in SIDES)
        seconds = self.bench.options.seconds
        count = int(min(max(seconds * 1e6 / slowest, batch * 10), seconds * 2e6))
        found = {side: [] for side in SIDES}
        for _ in range(rounds):
            for side in SIDES:
                found[side].append(self.run(side, case, batch, min(count // 5, batch * 50), count))
        rate = {side: statistics.median(one["rate"] for one in found[side]) for side in SIDES}
        cpu = {side: min(one["cpu"] for one in found[side]) for side in SIDES}
        errors = {side: sum(one["errors"] for one in found[side]) for side in SIDES}
        return {"group": case.group, "command": case.command, "variant": case.variant, "pipeline": self.pipeline,
                "rate": rate["ours"] / rate["theirs"], "cpu": cpu["theirs"] / cpu["ours"],
                "ours": cpu["ours"], "theirs": cpu["theirs"], "errors": errors}


def show(row, floor):
    failed = sum(row["errors"].values())
    mark = " <" if max(row["cpu"], row["rate"]) < floor else (" (cpu)" if row["cpu"] < floor else "")
    print(f"{row['group']:13} {named(row):52} {row['rate']:6.2f} {row['cpu']:6.2f} {row['ours']:10.2f} "
          f"{row['theirs']:10.2f}{mark}"
          + (f" errors: {row['errors']['ours']}, {row['errors']['theirs']}" if failed else ""), flush=True)


def named(row):
    return f"{row['command']} ({row['variant']})" if row["variant"] else row["command"]


def markdown(rows):
    """The CPU ratios for docs/SPEED.md: a line a group, then each case."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    lines = ["| group | cases | median | least | below 1.0 |", "|---|---|---|---|---|"]
    for group in groups:
        ratios = sorted(row["cpu"] for row in rows if row["group"] == group)
        least = min((row for row in rows if row["group"] == group), key=lambda row: row["cpu"])
        lines.append(f"| {group} | {len(ratios)} | {statistics.median(ratios):.2f} | {ratios[0]:.2f} {named(least)} "
                     f"| {sum(1 for ratio in ratios if ratio < 1)} |")
    for group in groups:
        lines += ["", f"**{group}**", ""]
        line = ""
        for row in rows:
            if row["group"] != group:
                continue
            text = f"{named(row)} {row['cpu']:.2f}"
            if line and len(line) + len(text) > 110:
                lines.append(line + " ·")
                line = ""
            line += (" · " if line else "") + text
        lines.append(line)
    return "\n".join(lines) + "\n"


def chosen(case, options):
    groups = options.groups.split(",") if options.groups else None
    text = f"{case.command} ({case.variant})"
    return (not groups or case.group in groups) and (not options.match or re.search(options.match, text))


def bench_groups(bench):
    options = bench.options
    print(f"{'group':13} {'command':52} {'rate':>6} {'CPU':>6} {'ours us':>10} {'theirs us':>10}")
    rows = []
    for pipeline in [int(word) for word in options.pipelines.split(",")]:
        print(f"# pipeline {pipeline}, 50 clients, {options.rounds} rounds of {options.seconds} s")
        groups = Groups(bench, pipeline)
        for case in CASES:
            if chosen(case, options):
                rows.append(groups.measure(case))
                show(rows[-1], options.floor)
        groups.close()
    bench.group_rows = rows
    if options.table:
        with open(options.table, "w") as file:
            file.write(markdown(rows))
    below = [row for row in rows if max(row["cpu"], row["rate"]) < options.floor]
    doubtful = [row for row in rows if row["cpu"] < options.floor and row not in below]
    print(f"# {len(rows)} cases; median ratio: rate {statistics.median(row['rate'] for row in rows):.2f}, "
          f"CPU {statistics.median(row['cpu'] for row in rows):.2f}")
    for title, some in ((f"below {options.floor} by rate and CPU", below), ("by CPU alone", doubtful)):
        print(f"# {title}: {len(some)}")
        for row in sorted(some, key=lambda row: row["cpu"]):
            show(row, options.floor)
    bench.failed += len(below) + sum(1 for row in rows if row["errors"]["ours"] != row["errors"]["theirs"])
