"""What arrives in one argument and is decoded: DUMP payloads, libraries of functions, and what scripts unpack."""
import base64
import glob
import json
import os

from damage import damage, with_checksum
from fuzzing.target import Barrage
from scripts import answering, decoding
from servers import ROOT, Server

WALKS = [("TYPE", "p"), ("OBJECT", "ENCODING", "p"), ("DEBUG", "DIGEST-VALUE", "p"), ("DUMP", "p"), ("COPY", "p", "q"),
         ("LRANGE", "p", "0", "-1"), ("SMEMBERS", "p"), ("HGETALL", "p"), ("ZRANGE", "p", "0", "-1", "WITHSCORES"),
         ("XRANGE", "p", "-", "+"), ("XINFO", "STREAM", "p", "FULL"), ("LPOP", "p"), ("RPUSH", "p", "x"),
         ("LINSERT", "p", "BEFORE", "x", "y"), ("SADD", "p", "x"), ("SREM", "p", "x"), ("SPOP", "p"),
         ("HSET", "p", "x", "y"), ("HDEL", "p", "x"), ("ZADD", "p", "1", "x"), ("ZREM", "p", "x"), ("ZPOPMIN", "p"),
         ("APPEND", "p", "x"), ("XADD", "p", "*", "a", "b"), ("XREVRANGE", "p", "+", "-"), ("DEL", "p", "q")]
LIBRARIES = [
    "#!lua name=one\nredis.register_function('f1', function(keys, args) return args[1] end)\n",
    "#!lua name=two\nlocal n = 0\nredis.register_function{function_name='f2', callback=function(k, a) "
    "n = n + 1 return redis.call('incr', k[1]) end, flags={'allow-oom'}, description='counts'}\n" + "-- padding " * 40
]
SOURCE_BYTES = b"#!lua name=x\n redis.register_function{flags='no-writes'}()[[]]--\x00\x1bLua"


def good_payloads():
    """DUMP payloads of all types from the fixtures of real servers."""
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, "Fixtures", "servers", "*", "keys.jsonl"))):
        with open(path) as file:
            for line in file:
                row = json.loads(line)
                if row.get("dump") and len(row["dump"]) < 6000:
                    found.append(base64.b64decode(row["dump"]))
    return found


def restore(options, rounds, plant=None):
    """RESTORE of damaged payloads, most of them with a checksum made right again; what is accepted is walked."""
    good, accepted = good_payloads(), [0]

    def batch(chance, number):
        commands = []
        for _ in range(5):
            _, data = damage(chance.choice(good), chance)
            if len(data) > 10 and chance.random() < 0.8:
                data = with_checksum(data[:-10] + b"\x0a\x00" + data[-8:])
            commands += [("RESTORE", "p", "0", data)] + WALKS
        return commands

    def check(commands, replies):
        for command, reply in zip(commands, replies):
            if command[0] == "RESTORE":
                accepted[0] += reply[0] == "+"
                if reply[0] != "+" and not (reply[0] == "-" and reply[1].startswith((b"ERR", b"BUSYKEY"))):
                    yield f"odd reply {reply} to {command}"

    passed, problems = Barrage(options, "payloads", batch, check, {"sanitize-dump-payload": "yes"}, plant).run(rounds)
    if not plant:
        print(f"payloads: {accepted[0]} of {rounds * 5} accepted and walked", flush=True)
    return passed // (len(WALKS) + 1), problems


def restore_plant(words):
    """A server that believes a length of 2^64 - 1."""
    return words[0] == b"RESTORE" and b"\x81" + b"\xff" * 8 in words[3]


def functions(options, rounds, plant=None):
    """Damaged FUNCTION DUMP payloads, and sources of libraries of any bytes."""
    with Server(options.server, configuration=options.config).start() as server:
        with server.client() as client:
            for library in LIBRARIES:
                client.call("FUNCTION", "LOAD", library)
            good = client.call("FUNCTION", "DUMP")[1]
    calls = [("FUNCTION", "LIST", "WITHCODE"), ("FUNCTION", "STATS"), ("FCALL", "f1", "0", "x"),
             ("FCALL", "f2", "1", "n"), ("FCALL_RO", "f1", "0", "y"), ("FUNCTION", "DUMP")]

    def source(chance):
        if chance.random() < 0.5:
            return damage(chance.choice(LIBRARIES).encode(), chance)[1]
        start = chance.choice((b"", b"#!lua name=x\n"))
        return start + bytes(chance.choice(SOURCE_BYTES) for _ in range(chance.randrange(120)))

    def batch(chance, number):
        commands = [("FUNCTION", "FLUSH", chance.choice(("SYNC", "ASYNC")))]
        for _ in range(6):
            if chance.random() < 0.6:
                _, data = damage(good, chance)
                if len(data) > 10 and chance.random() < 0.8:
                    data = with_checksum(data[:-10] + good[-10:-8] + data[-8:])
                commands.append(("FUNCTION", "RESTORE", data, chance.choice(("FLUSH", "APPEND", "REPLACE"))))
            else:
                commands.append(("FUNCTION", "LOAD", source(chance)))
            commands += calls
        return commands

    def check(commands, replies):
        """A restore that is refused changes nothing."""
        before = refused = None
        for command, reply in zip(commands, replies):
            if command[:2] == ("FUNCTION", "RESTORE") and reply[0] == "-":
                refused = before
            elif command[:2] == ("FUNCTION", "DUMP"):
                if command is calls[-1] and refused is not None and reply != refused:
                    yield "a restore that was refused changed the libraries"
                before, refused = reply, None
                continue
            elif command[:2] in (("FUNCTION", "FLUSH"), ("FUNCTION", "RESTORE"), ("FUNCTION", "LOAD")):
                refused = None
                before = None if command[1] == "FLUSH" else before

    return Barrage(options, "functions", batch, check, {"busy-reply-threshold": "1000"}, plant).run(rounds)


def functions_plant(words):
    """A server that dies of a library's source with a byte 0 in it."""
    return words[:2] == [b"FUNCTION", b"LOAD"] and b"\x00" in words[2]


def evaluated(options, rounds, plant=None):
    """Random scripts, each of which answers one reply."""

    def batch(chance, number):
        made = [(answering if chance.random() < 0.4 else decoding)(chance) for _ in range(50)]
        return [("EVAL", source, "0", data) for source, data in made]

    return Barrage(options, "scripts", batch, settings={"busy-reply-threshold": "1000"}, plant=plant).run(rounds)


def evaluated_plant(words):
    """A cmsgpack that believes the length of a map."""
    return b"cmsgpack.unpack(" in words[1] and b"\xdf" in words[3]
