"""Rules of users over the wire: ACL SETUSER, DRYRUN and LOAD."""
import os
import random
import signal
import tempfile
import time

from damage import damage
from fuzzing.target import Barrage, as_bytes, nasty
from resp import Disconnected, ProtocolError
from servers import Server

RULES = [
    b"on", b"off", b"+@all", b"-@all", b"+@read", b"-@write", b"+get", b"-get", b"+set", b"+config|get", b"-config|set",
    b"+config", b"~*", b"~k*", b"%R~r*", b"%W~w*", b"%RW~a", b"~a", b"&*", b"&ch*", b"resetkeys", b"resetchannels",
    b"allkeys", b"allchannels", b"allcommands", b"nocommands", b"nopass", b"resetpass", b">pw", b"<pw",
    b"#" + b"a" * 64, b"!" + b"a" * 64, b"reset", b"(+get ~x)", b"(%R~b +@read)", b"clearselectors", b"+select|0",
    b"-select|1", b"+@nosuch", b"+nosuch", b"%X~a", b"%R", b"(", b"((+get))", b"(+get", b"sanitize-payload",
    b"skip-sanitize-payload", b"+mget", b"+bitfield", b"+sort", b"+copy"
]
LINES = [("GET", "a"), ("SET", "a", "1"), ("MGET", "ka", "kb"),
         ("COPY", "r1", "w1"), ("BITFIELD", "a", "GET", "u8", "0"), ("BITFIELD", "a", "SET", "u8", "0", "1"),
         ("CONFIG", "GET", "maxmemory"), ("SORT", "a", "BY", "x*"), ("SET", "w1", "v", "GET"), ("STRLEN", "r1"),
         ("SPUBLISH", "ch1", "m"), ("ZUNIONSTORE", "w1", "2", "r1", "r2"), ("XREAD", "STREAMS", "a", "0"),
         ("LMOVE", "ka", "kb", "LEFT", "LEFT"), ("EVAL", "return 1", "1", "a"), ("OBJECT", "ENCODING", "a"),
         ("PFCOUNT", "x"), ("GEORADIUS", "a", "0", "0", "1", "m", "STORE", "b"), ("GETEX", "a"), ("SELECT", "0"),
         ("PUBLISH", "other", "m")]


def rule(chance):
    if chance.random() < 0.6:
        return chance.choice(RULES)
    if chance.random() < 0.5:
        return damage(chance.choice(RULES), chance)[1]
    return chance.choice(
        (b"~", b"%R~", b"%W~", b"&", b"+", b"-", b"+@", b">", b"#", b"(")) + as_bytes(nasty(chance))[:200]


def fuzz(options, rounds, plant=None):
    """Users of random rules. What ACL LIST says of one makes the same user again; what DRYRUN says is what happens to
    its commands. Gives (passed, problems)."""

    def batch(chance, number):
        commands = [("ACL", "SETUSER", "u", "reset", "on", "nopass")]
        commands += [("ACL", "SETUSER", "u", *[rule(chance) for _ in range(chance.randrange(1, 4))])
                     for _ in range(chance.randrange(1, 6))]
        commands += [("ACL", "GETUSER", "u"), ("ACL", "LIST"), ("ACL", "CAT", nasty(chance)),
                     ("ACL", "GENPASS", nasty(chance)), ("ACL", "LOG", nasty(chance)),
                     ("ACL", "SETUSER", nasty(chance), rule(chance)), ("ACL", "USERS")]
        return commands + [("ACL", "DRYRUN", "u", *words) for words in chance.sample(LINES, 6)]

    barrage = Barrage(options, "rules", batch, settings={"acllog-max-len": "20"}, plant=plant)

    def check(commands, replies):
        described = next(reply for command, reply in zip(commands, replies) if command[:2] == ("ACL", "LIST"))
        mine = [line for _, line in described[1] if line.startswith(b"user u ")]
        yield from read_back(barrage.client, mine[0]) if mine else ["the user is gone"]
        verdicts = [(command[3:], reply) for command, reply in zip(commands, replies)
                    if command[:2] == ("ACL", "DRYRUN")]
        yield from happens(barrage.server, options, mine[0], verdicts)
        others = [name for _, name in replies[commands.index(("ACL", "USERS"))][1] if name not in (b"default", b"u")]
        for name in others + [b"u", b"again"]:
            barrage.client.call("ACL", "DELUSER", name)

    barrage.check = check
    return barrage.run(rounds)


def read_back(client, line):
    """The described user under another name is described alike."""
    words = rules_of(line)
    reply = client.call("ACL", "SETUSER", "again", "reset", *words)
    if reply[0] != "+":
        yield f"{line!r} does not read back: {reply}"
        return
    again = [text for _, text in client.call("ACL", "LIST")[1] if text.startswith(b"user again ")]
    if again[0][len(b"user again "):] != line[len(b"user u "):]:
        yield f"{line!r} reads back as {again[0]!r}"


def rules_of(line):
    """The words behind the name; selectors stand in parentheses and may hold blanks."""
    words, open_words = [], []
    for word in line.split(b" ")[2:]:
        if open_words or word.startswith(b"("):
            open_words.append(word)
            if word.endswith(b")"):
                words.append(b" ".join(open_words))
                open_words = []
        else:
            words.append(word)
    return words + open_words


def happens(server, options, line, verdicts):
    if b" nopass " not in line or not line.startswith(b"user u on "):
        return
    with server.client(timeout=options.patience) as client:
        if client.call("AUTH", "u", "x")[0] != "+":
            yield "a user without a password can't come in"
            return
        for words, verdict in verdicts:
            real = client.call(*words)
            refused = real[0] == "-" and real[1].startswith(b"NOPERM")
            if refused == (verdict == ("+", b"OK")):
                yield f"{line!r}: DRYRUN of {words} says {verdict}, and what happens is {real}"


def plant(words):
    """A server that dies of a selector which never ends."""
    return words[:2] == [b"ACL", b"SETUSER"] and any(
        word.startswith(b"(") and not word.endswith(b")") for word in words[3:])


GOOD_FILE = b"""user default on nopass ~* &* +@all
user ann on >one ~ann:* &ann:* +@read -@dangerous +config|get (~shared:* +set)
user bob off #%b ~a"b resetchannels -@all +get %%R~in* %%W~out* +@write
user carl on nopass ~* +@all -debug -acl
""" % (b"ab" * 32)


def files(options, rounds, plant=None):
    """ACL LOAD of damaged files: refused, with nothing changed, or taken, and saved and loaded again to the same."""
    problems, passed, taken, begin, after = [], 0, 0, time.monotonic(), ("*", [])
    directory = tempfile.mkdtemp(prefix="fuzz-acl-")
    path = os.path.join(directory, "users.acl")
    with open(path, "wb") as file:
        file.write(GOOD_FILE)
    server = Server(options.server, {"aclfile": path}, directory, options.config).start()
    for number in range(rounds):
        chance = random.Random(f"{options.seed}/aclfile/{number}")
        data = damage(GOOD_FILE, chance)[1]
        if chance.random() < 0.5:
            at = chance.choice([at for at in range(len(GOOD_FILE)) if GOOD_FILE[at:at + 1] == b"\n"])
            data = GOOD_FILE[:at] + b" " + rule(chance) + GOOD_FILE[at:]
        if plant and plant(data):
            server.process.send_signal(signal.SIGILL)
            server.process.wait()
        try:
            with server.client(timeout=options.patience) as client:
                before = client.call("ACL", "LIST")
                with open(path, "wb") as file:
                    file.write(data)
                reply = client.call("ACL", "LOAD")
            with server.client(timeout=options.patience) as client:
                after = client.call("ACL", "LIST")
                if reply[0] == "-" and after[0] == "*" and after != before:
                    problems.append(
                        f"aclfile {options.seed}/{number}: refused ({reply[1]!r}), but {before} became {after}")
                if reply[0] == "-" and b":" not in reply[1]:
                    problems.append(f"aclfile {options.seed}/{number}: no position: {reply}")
                taken += reply[0] == "+"
                if reply[0] == "+" and after[0] == "*":
                    client.call("ACL", "SAVE")
                    again = client.call("ACL", "LOAD"), client.call("ACL", "LIST")
                    if again != (("+", b"OK"), after):
                        problems.append(f"aclfile {options.seed}/{number}: saved and loaded, {after} became {again}")
            passed += 1
        except (Disconnected, ProtocolError, TimeoutError) as error:
            problems.append(f"aclfile {options.seed}/{number}: {type(error).__name__}, status {server.process.poll()}; "
                            f"{data!r}\n{server.log()[-500:]}")
            server.kill()
        if server.process.poll() is not None or after[0] != "*":      # the default user may be locked out by now
            server.kill()
            with open(path, "wb") as file:
                file.write(GOOD_FILE)
            server.start()
        if len(problems) >= 10 or (plant and problems):
            break
    server.kill()
    if not plant:
        print(f"aclfile: {passed} files, {taken} taken, {time.monotonic() - begin:.1f} s", flush=True)
    return passed, problems


def files_plant(data):
    """A server that dies of a file which ends within a line."""
    return not data.endswith(b"\n")
