"""What a run of tools/compat covers: cases, random calls and error cases of every command, every option of the
generator's groups, every error text of Fixtures/errors.tsv.

What may be missing stands in tools/compat.d/tables/left-out, three or four words and then a reason:
    random COMMAND - why        no random calls (a container stands for its subcommands)
    cases COMMAND - why         no case whose answer is not an error
    errors COMMAND - why        no error case
    option COMMAND TOKEN why    an option that the generator never draws
"""
import os
import re

from compare import name_of
from generator import BLOCKING, CONTROL, DIRECTORY, NEWER, TABLE, Generator
from servers import ROOT

DRY_RUN = 6000      # commands a group's generator draws to show its options


def plain(reply):
    """A RESP3 reply as strings, numbers, lists and dictionaries."""
    kind, payload = reply
    if payload is None or kind in ":#":
        return payload
    if kind == "%":
        return {plain(key): plain(value) for key, value in payload}
    if kind in "*~>":
        return [plain(item) for item in payload]
    return payload.decode("utf-8", "backslashreplace")


def tokens(arguments):
    for argument in arguments:
        if argument.get("token"):
            yield argument["token"].upper()
        yield from tokens(argument.get("arguments", []))


def documented(server):
    """Commands and subcommands that a server has: name → (group, options, whether it is a container)."""
    out = {}

    def walk(entries):
        for name, entry in entries.items():
            inner = entry.get("subcommands", {})
            out[name.upper()] = (entry["group"], set(tokens(entry.get("arguments", []))), bool(inner))
            walk(inner)

    with server.client(3) as client:
        walk(plain(client.call("COMMAND", "DOCS")))
    return out


def debug_subcommands(server):
    """DEBUG has no table of subcommands, but its help has: names in capitals at the beginning of a line."""
    with server.client(2) as client:
        lines = [line[1].decode() for line in client.call("DEBUG", "HELP")[1]]
    return {"DEBUG|" + line.split()[0] for line in lines[1:] if re.match(r"[A-Z][A-Z-]+", line)}


def errors_in(reply):
    kind, payload = reply
    if kind == "-":
        yield payload.decode("utf-8", "backslashreplace")
    elif kind == "$" and payload and payload.startswith(b"-") or kind == "$" and payload and b"\r\n-" in payload:
        for line in payload.split(b"\r\n"):     # raw exchanges
            if line.startswith(b"-"):
                yield line[1:].decode("utf-8", "backslashreplace").removesuffix(" (closed)")
    elif isinstance(payload, list):
        for item in payload:
            for part in item if kind == "%" else [item]:
                yield from errors_in(part)


class Tally:
    """What was called, and what differed, by command."""

    def __init__(self):
        self.cases, self.random, self.errors, self.differing, self.options = {}, {}, {}, {}, {}
        self.texts = set()          # of errors that ours answered
        self.passed = self.failed = self.skipped = self.shown = 0
        self.shown_missing = set()

    @staticmethod
    def add(table, name, count=1):
        table[name] = table.get(name, 0) + count

    def answered(self, command, reply):
        """A written case's command and what ours answered."""
        found = list(errors_in(reply))
        self.texts.update(found)
        if command[0] == b"RAW":
            for line in command[1].split(b"\r\n"):
                if line[:1].isalpha():
                    self.add(self.cases, name_of(line.split()))
            return
        self.add(self.errors if reply[0] == "-" else self.cases, name_of(command))

    def drawn(self, command):
        name = name_of(command)
        self.add(self.random, name)
        for word in command[1:]:
            if word[:1].isalpha() and len(word) < 20:
                self.add(self.options, (name, word.upper().decode("utf-8", "replace")))

    def missing(self, reason):
        self.failed += 1
        print(f"COVERAGE {reason}", flush=True)


def read_left_out():
    out = {"random": {}, "cases": {}, "errors": {}, "option": {}}
    with open(os.path.join(DIRECTORY, "tables", "left-out")) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                kind, name, token, reason = line.split(None, 3)
                out[kind][(name, token) if kind == "option" else name] = reason
    return out


def stands(names, name):
    return name in names or "|" in name and name.partition("|")[0] in names


def drawn_by(group):
    """What a dry run of a group's generators draws: command → words."""
    out = {}
    for blocking in (False, True):
        if blocking and group not in BLOCKING:
            continue
        for number in range(DRY_RUN // 200):
            generator = Generator(group, f"dry/{number}", blocking=blocking)
            for _ in range(200):
                command = generator.command()
                out.setdefault(name_of(command), set()).update(
                    word.upper().decode("utf-8", "replace") for word in command[1:] if len(word) < 20)
    return out


def check_options(tally, ours):
    """Every command that the server has and every option of it is drawn by the rows of some group. Prints nothing but
    what is missing. Gives command → options."""
    left_out = read_left_out()
    drawn, wanted = {}, {}
    for group in [name for name in TABLE if name not in ("common", "mixed")] + list(CONTROL) + list(NEWER):
        for name, words in drawn_by(group).items():
            drawn.setdefault(name, set()).update(words)
    for name, (_, options, container) in ours.items():
        if container or stands(left_out["random"], name):
            continue
        if name not in drawn:
            tally.missing(f"{name}: no random row, and no reason in left-out")
            continue
        wanted[name] = options
        for option in sorted(options):
            if option not in drawn[name] and (name, option) not in left_out["option"]:
                tally.missing(f"{name} {option}: never drawn by the generator, and no reason in left-out")
    return wanted


def read_errors(path=os.path.join(ROOT, "Fixtures", "errors.tsv")):
    """Rows (text, reason why no case can show it or `-`)."""
    with open(path) as file:
        return [tuple(line.rstrip("\n").split("\t")) for line in file if line.strip() and not line.startswith("#")]


def pattern_of(text):
    """A regular expression for a text with printf's placeholders, cut texts ending in `...`."""
    whole = not text.endswith("...")
    parts = re.split(r"%(?:\.\d+)?(?:z|l|ll)?[sSdiucf]", text if whole else text[:-3].rstrip())
    literal = ".*".join(re.escape(part.strip("\r\n")) for part in parts)
    return re.compile(literal + (r"( script: .*)?$" if whole else ""), re.S)


def check_errors(tally, verbose=False):
    shown = unreachable = 0
    for text, reason in read_errors():
        words = text.partition(" ")[2]      # of what Lua raises: other words stand before them
        found = any(pattern_of(text).match(seen) or "%" not in text and len(words) > 12 and words in seen
                    for seen in tally.texts)
        if reason != "-":
            unreachable += 1
            if found:
                tally.missing(f"error text that is said to be out of reach, but was answered: {text}")
        elif found:
            shown += 1
        else:
            tally.missing(f"error text that no case shows: {text}")
        if verbose:
            print(f"{'shown' if found else 'not shown: ' + reason:40} {text}")
    print(f"error texts: {shown} shown by cases, {unreachable} out of their reach (Fixtures/errors.tsv says why)")


def print_table(options, tally, ours, extra, complete):
    left_out = read_left_out()
    names = sorted(set(ours) | extra)
    if options.table:
        print(f"{'command':28} {'cases':>6} {'random':>7} {'errors':>6}")
        for name in sorted(set(names) | set(tally.differing)):
            counts = [table.get(name, 0) for table in (tally.cases, tally.random, tally.errors)]
            note = f"  {tally.differing[name]} DIFFER" if name in tally.differing else ""
            if any(counts) or note:
                print(f"{name:28} {counts[0]:6} {counts[1] or '-':>7} {counts[2]:6}{note}")
    if not complete or options.no_cases or options.group or options.line:
        return
    for name in names:
        container = name == "DEBUG" or name in ours and ours[name][2]
        if not tally.cases.get(name) and not container and not stands(left_out["cases"], name):
            tally.missing(f"{name}: no case")
        if not tally.errors.get(name) and not stands(left_out["errors"], name):
            tally.missing(f"{name}: no error case")
    print(f"{len(names)} commands and subcommands; with random calls: "
          f"{sum(1 for name in names if tally.random.get(name))}")


def print_options(tally, wanted):
    """How often each option of each command was sent."""
    for name, options in sorted(wanted.items()):
        if options:
            print(f"{name:24} {tally.random.get(name, 0):6}  "
                  + " ".join(f"{option}={tally.options.get((name, option), 0)}" for option in sorted(options)))


