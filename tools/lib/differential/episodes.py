"""Random episodes of tools/compat: what surrounds the random commands, how an episode runs, and how it is shrunk.

An episode is a list of actions from an empty state:
    ("call", command, inner)    on client 1; `inner` is the command that a script calls, or None
    ("block", n, command)       on client 2 or 3, which may wait; what it waited for comes with a later "wake"
    ("wake",)                   replies of the waiting clients; those still waiting are unblocked by CLIENT UNBLOCK
    ("expire", key)             the key, if it is there, is past its time; only who asks for it finds out
and of modes: multi, script, blocking, expiry, reload, aof (the log is on, DEBUG LOADAOF in between), observe (a client
listens to all keyspace events and one to MONITOR: both must hear the same on both sides).
Actions stand on their own, so that any of them can be left out when a difference is shrunk.
"""
import collections
import hashlib
import random
import re
import time

from compare import name_of
from generator import BLOCKING, CONTROL, DEFAULTS, PRESETS, Generator, preset
from resp import Disconnected, ProtocolError, encode, show
from servers import info, wait_for
from sides import Difference, command_text

# Not for the nodes of streams, by which XADD ~ trims.
SMALLEST = [part for name, values in PRESETS.items() if not name.startswith("stream")
            for part in (name, min(values, key=lambda text: abs(int(text))))]
CHECKPOINT = 100    # actions between two comparisons of the state
SCRIPTS = [b"return redis.call(unpack(ARGV))", b"return redis.pcall(unpack(ARGV))",
           b"redis.setresp(3) return redis.call(unpack(ARGV))", b"return {redis.pcall(unpack(ARGV))}",
           b"redis.setresp(3) return redis.pcall(unpack(ARGV))"]
LIBRARY = (b"#!lua name=compat\n"
           b"redis.register_function('run', function(keys, args) return redis.call(unpack(args)) end)\n"
           b"redis.register_function{function_name='read', flags={'no-writes'}, "
           b"callback=function(keys, args) return redis.pcall(unpack(args)) end}")
MONITORED = re.compile(rb'^\d+\.\d+ \[(\d+) (lua|unix:)?[^\]]*\] (.*)$', re.S)
# What the tool asks itself; ZRANK with an argument more, which 7.0 refuses before anybody is told; EXEC with arguments,
# which is refused, but which Redis tells of as the end of a transaction.
TOOL = re.compile(rb'"(client|CLIENT)" "(unblock|id|UNBLOCK|ID|list)"'
                  rb'|^\[\d+( lua)?\] "(?i:(zrank|zrevrank)" \S+ \S+ \S|exec" \S)')
EXPIRED = re.compile(r" expired$|:expired ")
MORE_CONSUMERS = {b"xgroup-createconsumer", b"xgroup-delconsumer"}      # 7.2+ makes them in more cases
EVENTS, MONITOR, WATCHER = 7, 8, 9      # numbers of clients


class Episode:
    def __init__(self, actions, protocol, modes, settings):
        self.actions, self.protocol, self.modes, self.settings = actions, protocol, modes, settings

    def with_actions(self, actions):
        return Episode(actions, self.protocol, self.modes, self.settings)

    def describe(self):
        text = f"RESP{self.protocol}" + "".join(f" {mode}" for mode in sorted(self.modes))
        return text if self.settings[-len(DEFAULTS):] == DEFAULTS else text + "\n      with " + " ".join(self.settings)


def script_of(chance, command):
    """The command, called by a script or a function."""
    kind = chance.random()
    if kind < 0.1:
        return [b"FCALL", b"run", b"0"] + command
    if kind < 0.15:
        return [b"FCALL_RO", b"read", b"0"] + command
    script = chance.choice(SCRIPTS)
    if kind < 0.25:
        return [b"EVAL_RO", script, b"0"] + command
    if kind < 0.35:
        return [b"EVALSHA", hashlib.sha1(script).hexdigest().encode(), b"0"] + command
    return [b"EVAL", script, b"0"] + command


def modes_of(group, chance):
    if group in CONTROL:
        return {mode for mode, share in (("multi", 0.5), ("observe", 0.3)) if group != "connection"
                and chance.random() < share} - ({"observe"} if group in ("server", "scripting") else set())
    shares = {"multi": 0.5, "script": 0.5, "expiry": 0.5, "observe": 0.5, "reload": 0.3, "aof": 0.2, "blocking": 0.6}
    modes = {mode for mode, share in shares.items() if chance.random() < share}
    if group in ("transactions", "mixed"):      # have MULTI among their rows
        modes -= {"multi", "script"}
    if "aof" in modes:      # what a replayed log tells depends on how it was written
        modes.discard("observe")
    if group not in BLOCKING:
        modes.discard("blocking")
    return modes


def episode(group, label, excluded, count):
    """A random episode of `count` commands of a group; None when all of them are excluded."""
    chance = random.Random(f"modes/{group}/{label}")
    modes = modes_of(group, chance)
    if "expiry" in modes:
        excluded = set(excluded) | {"SCAN"}     # ours takes away what has expired before it looks at the pattern
    generator = Generator(group, label, excluded)
    if not generator.rows:
        return None
    waiting = Generator(group, label, excluded, blocking=True) if "blocking" in modes else None
    out = []
    if modes & {"script"}:
        out += [("call", [b"SCRIPT", b"LOAD", script], None) for script in SCRIPTS]
        out.append(("call", [b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY], None))
    queued = waits = 0      # commands until EXEC; until the waiting clients are woken
    in_transaction = False  # the group's own MULTI
    for _ in range(count):
        command = generator.command()
        name = name_of(command)
        free = not queued and not in_transaction
        if "multi" in modes and free and chance.random() < 0.04:
            queued = chance.randint(2, 9)
            out.append(("call", [b"MULTI"], None))
        if "expiry" in modes and free and not queued and chance.random() < 0.03:
            key = generator.k()
            out.append(("expire", key))
        if waiting and free and not queued and not waits and chance.random() < 0.08:
            waits = chance.randint(1, 8)
            out += [("block", number, waiting.command()) for number in (2, 3)[:chance.choice((1, 2))]]
        for mode, word in (("reload", b"RELOAD"), ("aof", b"LOADAOF")):
            if mode in modes and free and not queued and not waits and chance.random() < 0.008:
                out.append(("call", [b"DEBUG", word], None))
        if "script" in modes and chance.random() < 0.3:
            out.append(("call", script_of(chance, command), command))
        else:
            out.append(("call", command, None))
        if group in ("transactions", "mixed"):
            in_transaction = name == "MULTI" or in_transaction and name not in ("EXEC", "DISCARD")
        if queued:
            queued -= 1
            if not queued:
                out.append(("call", [b"EXEC" if chance.random() < 0.9 else b"DISCARD"], None))
        if waits:
            waits -= 1
            if not waits:
                out.append(("wake",))
    if queued:
        out.append(("call", [b"EXEC"], None))
    protocol = 3 if chance.random() < 0.45 else 2
    # The slow log of the control groups must stay empty.
    settings = ["slowlog-log-slower-than", "-1"] + DEFAULTS if group in CONTROL else preset(label, group)
    return Episode(out + [("wake",)], protocol, modes, settings)


class Stage:
    """One run of an episode on both sides."""

    def __init__(self, pair, protocol, modes):
        self.pair, self.protocol, self.modes = pair, protocol, modes
        self.queue = []
        self.waiting = {}       # client number: command
        self.numbers = [{}, {}]
        for side in pair.sides():
            side.fresh(protocol)
        self.each(lambda side: side.client(1, protocol).pipeline(
            [("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH"), ("SLOWLOG", "RESET"), ("DEBUG", "SET-ACTIVE-EXPIRE", "0")]))
        if "aof" in modes:
            self.each(lambda side: self.ask(side, "CONFIG", "SET", "appendonly", "yes"))
            for side in pair.sides():
                wait_for(lambda side=side: info(side.client(WATCHER))["aof_rewrite_in_progress"] == "0"
                         and info(side.client(WATCHER))["aof_rewrite_scheduled"] == "0", 20,
                             "the first base of the log")
        if "observe" in modes:
            self.each(self.observe)
            self.heard()

    def each(self, action):
        return [action(side) for side in self.pair.sides()]

    @staticmethod
    def ask(side, *command):
        reply = side.client(WATCHER).call(*command)
        if reply[0] == "-":
            raise Difference(name_of(command), f"{side.label}: {' '.join(command)}: {show(reply)}")
        return reply

    def observe(self, side):
        self.ask(side, "CONFIG", "SET", "notify-keyspace-events", "KEA")
        side.client(EVENTS).call("PSUBSCRIBE", "__key*")
        side.client(MONITOR).call("MONITOR")

    def heard(self):
        """What the listening clients heard since the last time: (events, lines) of each side."""
        return self.each(lambda side: (self.events(side), self.lines(side)))

    @staticmethod
    def events(side):
        client, out = side.client(EVENTS), []
        client.send("PING", "end")
        while True:
            message = client.read()
            if message[1][0][1] == b"pong":
                break
            channel, payload = message[1][2][1], message[1][3][1]
            if {payload, channel.partition(b":")[2]} & MORE_CONSUMERS:
                continue
            out.append(channel.decode("utf-8", "backslashreplace") + " " + payload.decode("utf-8", "backslashreplace"))
        return out

    def lines(self, side):
        client, out = side.client(MONITOR), []
        side.client(WATCHER).call("ECHO", "end-of-lines")
        while True:
            line = client.read()[1]
            if line.endswith(b'"ECHO" "end-of-lines"'):
                return out
            found = MONITORED.match(line)
            text = b"[%s%s] %s" % (found.group(1), b" lua" if found.group(2) == b"lua" else b"", found.group(3))
            if not TOOL.search(text):
                out.append(text.decode("utf-8", "backslashreplace"))

    def compare_heard(self):
        for what, left, right in zip(("EVENTS", "MONITOR"), *self.heard()):
            if what == "EVENTS":
                left, right = self.without_expired(left, right)
            at = 0
            while at < max(len(left), len(right)):
                if left[at:at + 1] == right[at:at + 1]:
                    at += 1
                    continue
                shown = [lines[at:at + 2] for lines in (left, right)]
                if not self.pair.differences.allows(f"STATE {what}", *map(" / ".join, shown)):
                    raise Difference(f"STATE {what}", f"what {what} tell differs at line {at}:\n      ours   "
                                     + "\n             ".join(line[:200] for line in left[at:at + 4])
                                     + "\n      theirs "
                                     + "\n             ".join(line[:200] for line in right[at:at + 4]))
                # An event is two lines; one that is explained is left out where it is the only one.
                if right[at:at + 2] == left[at + 2:at + 4]:
                    del left[at:at + 2]
                else:
                    del left[at:at + 2], right[at:at + 2]

    def without_expired(self, left, right):
        """Which of a command's keys had expired is told before its own events, or between them; and who deletes such a
        key learns that it had expired, or that it was deleted."""
        expired = [collections.Counter(filter(EXPIRED.search, lines)) for lines in (left, right)]
        rest = [[line for line in lines if not EXPIRED.search(line)] for lines in (left, right)]
        for which in (0, 1):
            for line in (expired[which] - expired[1 - which]).elements():
                deleted = line.replace(" expired", " del").replace(":expired ", ":del ")
                if deleted in rest[1 - which]:
                    rest[1 - which].remove(deleted)
                else:
                    rest[which].append(line)
        return rest

    def calls(self, actions, tally):
        commands = [action[1] for action in actions]
        ours, theirs = self.pair.both(commands)
        for number, ((_, command, inner), left, right) in enumerate(zip(actions, ours, theirs)):
            if tally is not None:
                tally.drawn(inner or command)
                if inner:
                    tally.drawn(command)
            try:
                self.pair.check_next(self.queue, command, left, right, None, inner)
            except Difference as difference:
                difference.within = number + 1
                raise

    def expire(self, key):
        # Not 1: redis-server reads the clock again to see whether that time is past, and about once in a thousand times
        # a millisecond begins in between. Then it deletes the key at once, and tells `del` where ours tells `expire`.
        command = [b"PEXPIRE", key, b"4"]
        self.pair.check_next(self.queue, command, *(side.client(1).call(*command) for side in self.pair.sides()))
        time.sleep(0.007)

    def block(self, number, command, tally):
        if number in self.waiting:
            return
        if tally is not None:
            tally.drawn(command)
        for which, side in enumerate(self.pair.sides()):
            if number not in self.numbers[which]:
                self.numbers[which][number] = side.client(number, self.protocol).call("CLIENT", "ID")[1]
            client = side.client(number, self.protocol)
            client.send_raw(encode(command))
            wait_for(lambda side=side, which=which, client=client: client.readable(0.0005)
                     or self.blocked(side, self.numbers[which][number]), 10, f"{command_text(command)} to block")
        self.waiting[number] = command

    @staticmethod
    def blocked(side, identifier):
        line = side.client(WATCHER).call("CLIENT", "LIST", "ID", identifier)[1]
        return b" flags=b" in line

    def wake(self):
        for number, command in sorted(self.waiting.items()):
            replies = []
            for which, side in enumerate(self.pair.sides()):
                client = side.client(number, self.protocol)
                if not client.readable(0.002):
                    side.client(WATCHER).call("CLIENT", "UNBLOCK", self.numbers[which][number])
                replies.append(client.read())
            del self.waiting[number]
            self.pair.check([b"(waiting)"] + command, *replies, None, command)

    def checkpoint(self):
        if "observe" in self.modes:
            self.compare_heard()
        # The connection may stand in MULTI: the state is asked on another one.
        kept = [side.clients.pop(1) for side in self.pair.sides()]
        # A table that was reloaded as a listpack has no order of its own.
        self.pair.compare_state(dumps=not self.modes & {"reload", "aof"})
        for side, client in zip(self.pair.sides(), kept):
            side.clients.pop(1).close()
            side.clients[1] = client
        if "observe" in self.modes:
            self.heard()

    def end(self):
        for side in self.pair.sides():
            try:
                client = side.client(WATCHER)
                client.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")
                if "aof" in self.modes:
                    client.call("CONFIG", "SET", "appendonly", "no")
                if "observe" in self.modes:
                    client.call("CONFIG", "SET", "notify-keyspace-events", "")
                    client.call("CLIENT", "KILL", "TYPE", "pubsub")
            except (Disconnected, ProtocolError, TimeoutError, Difference):
                side.restart()


def configure(pair, pairs):
    for side in pair.sides():
        if pair.is_twin and side is pair.theirs:
            pairs = SMALLEST + [part for at in range(0, len(pairs), 2) if pairs[at].startswith("stream")
                                for part in pairs[at:at + 2]]
        reply = side.fresh().call("CONFIG", "SET", *pairs)
        if reply != ("+", b"OK"):
            raise Difference("CONFIG|SET", f"{side.label}: CONFIG SET {' '.join(pairs)}: {reply}")


def run_episode(pair, episode, tally=None):
    """Raises Difference; its `upto` is the number of actions that were run."""
    configure(pair, episode.settings)
    stage = Stage(pair, episode.protocol, episode.modes)
    done = since = 0
    try:
        while done < len(episode.actions):
            kind = episode.actions[done][0]
            if kind == "call":
                end = done + 1
                limit = min(len(episode.actions), done + CHECKPOINT - since % CHECKPOINT)
                while end < limit and episode.actions[end][0] == "call":
                    end += 1
                part = episode.actions[done:end]
                since += len(part)
                stage.calls(part, tally)
                done = end
            else:
                if kind == "block":
                    stage.block(*episode.actions[done][1:], tally)
                elif kind == "wake":
                    stage.wake()
                else:
                    stage.expire(episode.actions[done][1])
                done += 1
                since += 1
            if since >= CHECKPOINT and not stage.waiting:
                since = 0
                stage.checkpoint()
        stage.wake()
        stage.checkpoint()
    except Difference as difference:
        difference.upto = done + getattr(difference, "within", 1)
        raise
    except (Disconnected, ProtocolError, TimeoutError) as error:
        difference = Difference("DEATH", f"{type(error).__name__}: {error}; logs: "
                                + " | ".join(side.server.log()[-300:] for side in pair.sides()))
        difference.upto = done + 1
        raise difference from error
    finally:
        stage.end()


def shrink(pair, episode, revive, seconds=12.0):
    """The smallest episode found that still differs (chunks are left out, in halves down to single actions)."""
    deadline = time.monotonic() + seconds
    last = None

    def differs(actions):
        nonlocal last
        try:
            run_episode(pair, episode.with_actions(actions))
            return False
        except Difference as difference:
            revive(pair, difference)
            last = difference
            return True

    actions = episode.actions
    if not actions or not differs(actions):
        return episode, None
    actions = actions[:last.upto]
    size = max(len(actions) // 2, 1)
    while time.monotonic() < deadline:
        start, removed = 0, False
        while start < len(actions) and time.monotonic() < deadline:
            candidate = actions[:start] + actions[start + size:]
            if candidate and differs(candidate):
                actions, removed = candidate, True
            else:
                start += size
        if size == 1 and not removed:
            break
        size = max(size // 2, 1)
    for mode in sorted(episode.modes - {"aof"}):
        smaller = Episode(actions, episode.protocol, episode.modes - {mode}, episode.settings)
        kept, episode = episode, smaller
        if not differs(actions):
            episode = kept
    differs(actions)
    return episode.with_actions(actions), last


def action_text(action):
    if action[0] == "call":
        return command_text(action[1])
    if action[0] == "block":
        return f"@{action[1]} {command_text(action[2])}"
    return " ".join(map(str, action))


def blame(episode, difference):
    """A difference of state is the fault of the last command that is left."""
    calls = [action for action in episode.actions if action[0] in ("call", "block")]
    if not difference.name.startswith(("STATE", "DEATH")) or not calls:
        return difference.name
    last = calls[-1]
    return name_of(last[2] or last[1]) if last[0] == "call" else name_of(last[2])
