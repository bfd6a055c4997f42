"""The written cases of tools/compat.d: how they are read and run.

One command per line, quoted as in redis-cli; an empty line begins a new case (both servers are flushed, all
connections are new). Before each line:
    # …            comment                          % sort | shape | float | ignore WHY   how to compare the next reply
    = REPLY        the reply before must read so (the notation of resp.show); %new cases have nothing else
Of the whole case, at its beginning:
    % resp3        HELLO 3 first                     % new VERSION   the yardstick is older: run ours alone, check `=`
    % nostate      don't compare the state at the end
    % own OPTIONS  on two servers of its own, started with these options (name value name value …)
In a command:
    @2 CMD …       on connection 2 (it may block; then its reply is read when `@2` stands alone, or at the end)
    <id:2>         the number that the server gave to connection 2 (which the case has used before)
    <abc*50>       the text 50 times                 <f#*600>  600 arguments f1 … f600     <f#,v#*600>  f1 v1 f2 v2 …
    % wait MS      both sides rest
    % raw "BYTES"  sent as they are on a connection of its own; all that comes back, and whether it was closed, compares
"""
import concurrent.futures
import os
import re
import time

from compare import name_of
from resp import Disconnected, ProtocolError, encode, show
from sides import Difference, command_text

REPEAT = re.compile(rb"<([^<>]*)\*(\d+)>")
ESCAPES = {"n": 10, "r": 13, "t": 9, "b": 8, "a": 7}

# For good: a server that a thread started dies with the thread.
POOL = concurrent.futures.ThreadPoolExecutor(2)


class Step:
    def __init__(self, line, client, arguments, mode=None):
        self.line, self.client, self.arguments, self.mode = line, client, arguments, mode
        self.expected = None
        self.wait = 0
        self.raw = None


class Case:
    def __init__(self, group, line):
        self.group, self.line, self.steps, self.flags = group, line, [], {}

    @property
    def label(self):
        return f"tools/compat.d/{self.group}.txt:{self.line}"

    def stepwise(self):
        return any(step.client != 1 or step.wait or step.raw is not None
                   or any(b"<id:" in part for part in step.arguments) for step in self.steps)


def split(text):
    """redis-cli's quoting: \"…\" with escapes, '…' with \\' alone, bare words. Gives (bytes, was quoted) pairs."""
    words, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word, quoted = bytearray(), False
        while at < len(text) and not text[at].isspace():
            mark = text[at]
            at += 1
            if mark not in "\"'":
                word += mark.encode()
                continue
            quoted = True
            while text[at] != mark:
                if text[at] == "\\" and mark == '"' and text[at + 1] == "x":
                    word.append(int(text[at + 2:at + 4], 16))
                    at += 4
                elif text[at] == "\\" and (mark == '"' or text[at + 1] == "'"):
                    word += bytes([ESCAPES.get(text[at + 1]) or ord(text[at + 1])])
                    at += 2
                else:
                    word += text[at].encode()
                    at += 1
            at += 1
        words.append((bytes(word), quoted))
    return words


def expand(text):
    arguments = []
    for word, quoted in split(text):
        match = None if quoted else REPEAT.fullmatch(word)
        if match and b"#" in match.group(1):
            for number in range(1, int(match.group(2)) + 1):
                arguments += [part.replace(b"#", b"%d" % number) for part in match.group(1).split(b",")]
        elif quoted:
            arguments.append(word)
        else:
            arguments.append(REPEAT.sub(lambda m: m.group(1) * int(m.group(2)), word))
    return arguments


def read_cases(path):
    group = os.path.splitext(os.path.basename(path))[0]
    cases, case, mode = [], None, None
    with open(path, encoding="utf-8") as file:
        for number, raw in enumerate(file, 1):
            line = raw.strip()
            if line.startswith("#"):
                continue
            if not line:
                case = None
                continue
            if case is None:
                case, mode = Case(group, number), None
                cases.append(case)
            if line.startswith("%"):
                word, _, rest = line[1:].strip().partition(" ")
                if word in ("resp3", "new", "nostate", "own"):
                    case.flags[word] = rest
                elif word in ("sort", "shape", "float", "ignore"):
                    mode = word
                elif word == "raw":
                    step = Step(number, 2, [], mode)
                    step.raw, mode = b"".join(expand(rest)), None
                    case.steps.append(step)
                elif word == "wait":
                    step = Step(number, 1, [])
                    step.wait = int(rest) / 1000
                    case.steps.append(step)
                else:
                    raise SystemExit(f"{path}:{number}: unknown directive {line}")
            elif line.startswith("="):
                case.steps[-1].expected = line[1:].strip()
            else:
                client = 1
                if re.match(r"@\d", line):
                    head, _, line = line.partition(" ")
                    client = int(head[1:])
                case.steps.append(Step(number, client, expand(line) if line.strip() else [], mode))
                mode = None
    return cases


def play(side, case):
    """Runs a case on one side. Gives (step, reply) pairs; a blocked reply is read at the end."""
    protocol = 3 if "resp3" in case.flags else 2
    try:
        side.fresh(protocol)
        if not case.stepwise():
            steps = [step for step in case.steps if step.arguments]
            return list(zip(steps, side.client().pipeline([step.arguments for step in steps])))
        return play_stepwise(side, case, protocol)
    except (Disconnected, ProtocolError, TimeoutError) as error:
        raise Difference("DEATH", f"{side.label}: {side.describe_death(error)}") from error


def play_stepwise(side, case, protocol):
    results, pending, numbers = [], {}, {}
    asks = any(b"<id:" in argument for step in case.steps for argument in step.arguments)
    # What the tool asks in between would be seen there.
    is_watched = any(step.arguments[:1] == [b"MONITOR"] for step in case.steps)

    def named(step):
        """The step's arguments with the numbers of connections in them; a new connection is asked for its own."""
        if asks and step.client not in numbers:
            numbers[step.client] = b"%d" % side.client(step.client, protocol).call("CLIENT", "ID")[1]
        return [re.sub(rb"<id:(\d)>", lambda match: numbers[int(match.group(1))], part) for part in step.arguments]

    def collect(number, seconds):
        step = pending.get(number)
        if step and side.client(number, protocol).readable(seconds):
            results.append((step, side.client(number, protocol).read()))
            del pending[number]

    for step in case.steps:
        if step.wait:
            time.sleep(step.wait)
        elif step.raw is not None:
            results.append((step, side.exchange(step.raw)))
        elif not step.arguments:
            collect(step.client, 3)
        elif step.client == 1:
            results.append((step, side.client(1, protocol).call(*named(step))))
        else:
            collect(step.client, 3)
            arguments, client = named(step), side.client(step.client, protocol)
            client.send_raw(encode(arguments))
            pending[step.client] = step
            collect(step.client, 0.03)
            if step.client in pending and not is_watched:
                side.catch_up()
                collect(step.client, 0)
    for number in sorted(pending):
        collect(number, 0.2)
    results.extend((step, ("-", b"(still blocked)")) for step in pending.values())
    return sorted(results, key=lambda pair: pair[0].line)


def check_expected(step, reply, label):
    if step.expected is not None and show(reply, 100000) != step.expected:
        raise Difference(name_of(step.arguments),
                         f"{command_text(step.arguments)}\n      {label} {show(reply)}\n      wanted {step.expected}")


def run_case(pair, case, ours_is_new, answered=lambda command, reply: None):
    """Gives (number of checks that passed, differences, useful). Not useful: a %new case when ours is old itself.
    `answered` is told each command and what ours answered."""
    good, found, queue = 0, [], []

    def check(call, *arguments):
        nonlocal good
        try:
            call(*arguments)
            good += 1
        except Difference as difference:
            if found and difference.name == "DEATH":
                raise
            found.append(difference)

    if "new" in case.flags:
        if not ours_is_new:
            return 0, [], False
        for step, reply in play(pair.ours, case):
            answered(step.arguments, reply)
            check(check_expected, step, reply, "ours  ")
        return good, found, True
    if case.stepwise():     # mostly waiting: both sides at once
        ours, theirs = POOL.map(play, pair.sides(), (case, case))
    else:
        ours, theirs = play(pair.ours, case), play(pair.theirs, case)
    for (step, left), (_, right) in zip(ours, theirs):
        answered(step.arguments or [b"RAW", step.raw], left)
        if step.raw is not None:
            check(pair.check, [b"RAW", step.raw], left, right, step.mode)
        elif step.client == 1:
            check(pair.check_next, queue, step.arguments, left, right, step.mode)
        else:
            check(pair.check, step.arguments, left, right, step.mode)
        if step.expected is not None:
            check(check_expected, step, left, "ours  ")
    if "nostate" not in case.flags:
        for side in pair.sides():
            side.clients.pop(1).close()
        check(pair.compare_state)
    return good, found, True
