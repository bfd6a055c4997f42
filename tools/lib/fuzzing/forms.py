"""Every command in every form that COMMAND DOCS gives it, and with things wrong in it."""
from fuzzing.target import Barrage, as_bytes, mutated
from resp import Client
from servers import Server

# What would end, mute or lock the connection or the server, turn it into something else, or has a kind of its own.
LEFT_OUT = {
    "shutdown", "debug", "monitor", "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe",
    "sunsubscribe", "quit", "reset", "hello", "auth", "sync", "psync", "replconf", "migrate", "failover", "replicaof",
    "slaveof", "client|reply", "client|kill", "client|pause", "client|caching", "client|tracking", "client|durability",
    "config|set", "config|rewrite", "acl|setuser", "acl|deluser", "acl|load", "acl|save", "script|debug", "script|kill",
    "function|kill", "multi", "exec", "discard", "select", "swapdb", "function|restore", "restore", "restore-asking",
    "backup|start", "module|load", "module|loadex", "asking", "readonly", "readwrite", "pfselftest", "pfdebug", "save",
    "bgsave", "bgrewriteaof", "wait", "waitaof"
}
KEYS = [b"s", b"n", b"l", b"h", b"z", b"x", b"e", b"i", b"p", b"g", b"b", b"none"]
SETUP = [("FLUSHALL", ), ("SET", "s", "value " * 9), ("SET", "n", "41"), ("RPUSH", "l", *range(9)),
         ("HSET", "h", "f", "v", "g", "1", "m", "2.5"), ("HPEXPIRE", "h", "100000", "FIELDS", "1", "g"),
         ("ZADD", "z", "1", "m", "2", "f", "3", "g"), ("XADD", "x", "1-1", "f", "v"), ("XADD", "x", "2-1", "f", "v"),
         ("XGROUP", "CREATE", "x", "group", "0"),
         ("XREADGROUP", "GROUP", "group", "me", "COUNT", "1", "STREAMS", "x", ">"), ("SADD", "e", "a", "m", "f"),
         ("SADD", "i", *range(7)), ("PFADD", "p", *range(50)),
         ("GEOADD", "g", "13.36", "38.11", "m", "15.08", "37.5", "f"), ("SETBIT", "b", "77", "1"),
         ("EXPIRE", "s", "1000")]
WORDS = [
    b"m", b"f", b"g", b"v", b"group", b"me", b"a", b"1-1", b"2", b">", b"$", b"-", b"+", b"[a", b"(m", b"(1", b"*", b"#"
]


class Docs:
    """What the server says of its commands: their forms, and which of them wait."""

    def __init__(self, client):
        self.forms, self.blocking, self.vocabulary = {}, set(), set()
        _, rows = client.call("COMMAND")
        self.read_info(rows)
        for name, document in pairs(client.call("COMMAND", "DOCS")):
            self.read(name.decode(), document)
        self.names = sorted(self.forms)

    def read_info(self, rows):
        for _, row in rows:
            if b"blocking" in [flag for _, flag in row[2][1]]:
                self.blocking.add(row[0][1].decode())
            if len(row) > 9:
                self.read_info(row[9][1])

    def read(self, name, document):
        fields = dict((key.decode(), value) for key, value in pairs(document))
        if name in LEFT_OUT:
            return
        if "subcommands" in fields:
            for sub, inner in pairs(fields["subcommands"]):
                self.read(sub.decode(), inner)
            return
        self.forms[name] = [argument(item) for item in (fields["arguments"][1] if "arguments" in fields else [])]
        self.collect(self.forms[name])

    def collect(self, arguments):
        for item in arguments:
            if item.get("token"):
                self.vocabulary.add(item["token"])
            self.collect(item["inner"])


def pairs(reply):
    """A map as RESP2 or RESP3 has it, keys as bytes."""
    kind, items = reply
    if kind == "%":
        return [(key[1], value) for key, value in items]
    return [(items[at][1], items[at + 1]) for at in range(0, len(items), 2)]


def argument(reply):
    fields = dict((key.decode(), value) for key, value in pairs(reply))
    return {
        "name": fields["name"][1].decode(), "type": fields["type"][1].decode(),
        "token": fields["token"][1] if "token" in fields else None,
        "flags": {flag
                  for _, flag in fields["flags"][1]} if "flags" in fields else set(),
        "inner": [argument(item) for item in fields["arguments"][1]] if "arguments" in fields else []
    }


def values(chance, item):
    """What one argument is written as, without its token."""
    kind, name = item["type"], item["name"]
    if kind == "oneof":
        return written(chance, chance.choice(item["inner"]), always=True)
    if kind == "block":
        return [word for inner in item["inner"] for word in written(chance, inner)]
    if kind == "pure-token":
        return []
    if kind == "key":
        return [chance.choice(KEYS)]
    if name in ("numkeys", "numfields", "numids", "count"):
        return [chance.choice((b"1", b"1", b"2", b"3"))]
    if kind == "integer":
        return [b"%d" % chance.choice((0, 1, 1, 2, 5, -1, 100, 7))]
    if kind == "double":
        return [chance.choice((b"0", b"1", b"0.5", b"-2", b"10"))]
    if kind == "unix-time":
        return [chance.choice((b"1", b"2000000000", b"2000000000000"))]
    if kind == "pattern":
        return [chance.choice((b"*", b"a*", b"[ab]", b"?", b"s"))]
    if name == "script":
        return [chance.choice((b"return 1", b"return KEYS", b"return redis.call('get', KEYS[1])", b"return {1, {2}}"))]
    return [chance.choice(WORDS)]


def written(chance, item, always=False):
    if not always and b"optional" in item["flags"] and chance.random() < 0.6:
        return []
    times = chance.choice((1, 1, 2, 3)) if b"multiple" in item["flags"] else 1
    out = []
    for number in range(times):
        if item["token"] is not None and (number == 0 or b"multiple_token" in item["flags"]):
            out.append(item["token"])
        out += values(chance, item)
    return out


def is_too_long(words):
    """Whether its reply has no bound: a negative count draws as many as one asks for."""
    if words[0].upper() not in (b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER"):
        return False
    return any(word.startswith(b"-") and len(word) > 4 for word in words)


def fuzz(options, rounds, plant=None):
    """Gives (passed, problems). A round is 40 commands."""
    with Server(options.server, configuration=options.config).start() as server:
        with Client(server.address) as client:
            docs = Docs(client)
    vocabulary, met, refused = sorted(docs.vocabulary) + WORDS, set(), [0, 0]

    def one(chance):
        name = chance.choice(docs.names)
        met.add(name)
        words = [as_bytes(part) for part in name.split("|")]
        words += [word for item in docs.forms[name] for word in written(chance, item)]
        if chance.random() < 0.6:
            words = words[:1] + mutated(chance, words[1:], vocabulary) if "|" in name and len(words) > 1 \
                else mutated(chance, words, vocabulary)
        if is_too_long(words):
            return [(b"PING", )]
        # What waits is run where nothing does.
        return [("MULTI", ), words, ("EXEC", )] if name.split("|")[0] in docs.blocking or name == "eval" else [words]

    def batch(chance, number):
        commands = list(SETUP) if number % 5 == 0 else []
        for _ in range(40):
            commands += one(chance)
        return commands + [("DISCARD", )]

    def check(commands, replies):
        refused[0] += len(replies)
        refused[1] += sum(reply[0] == "-" for reply in replies)
        return []

    settings = {"maxmemory": "200mb", "maxmemory-policy": "allkeys-random", "busy-reply-threshold": "2000"}
    passed, problems = Barrage(options, "forms", batch, check, settings, plant).run(rounds)
    if not plant:
        print(f"forms: {len(met)} of {len(docs.names)} commands, {refused[1] * 100 // max(refused[0], 1)} % refused",
              flush=True)
    return passed, problems


def plant(words):
    """A server that dies of a range's bound beyond 64 bits."""
    return b"RANGE" in words[0].upper() and any(len(word) > 18 and word.isdigit() for word in words[2:])
