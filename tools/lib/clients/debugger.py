"""The debugger of scripts: `redis-cli --ldb`, and what the debugger says beside what redis-server says."""
import os
import re
import socket
import subprocess

from certificates import tls_server
from servers import Server, scratch, wait_for

SCRIPT = "\n".join(["local a = 1", "local t = {1, 2, x='y', n={3}}", "redis.call('set', KEYS[1], ARGV[1])",
                    "for i=1,2 do", "  a = a + i", "  redis.call('rpush', 'l', a)", "end", "redis.debug('hi', a, t)",
                    "local s = string.rep('z', 300)", "local l = redis.call('lrange', 'l', 0, -1)", "return a"])
NESTED = "\n".join(["local function f(n)", " if n == 0 then", "  redis.breakpoint()", "  return 0", " end",
                    " return f(n - 1) + 1", "end", "local g = function()", " return f(2)", "end", "return g()"])

# Scripts, each with the commands that are given; the differences of the two servers must be none but those below.
SESSIONS = [
    (SCRIPT, ["list", "l 2", "list 3 1", "l 3 x", "whole", "list 100", "b 5", "break 6", "b 100", "b x", "b", "c",
              "p", "p a", "p t", "p zz", "print KEYS", "p ARGV", "trace", "b -5", "b -5", "n", "n", "c", "b 0", "b",
              "n", "n", "n", "s", "maxlen", "p s", "m 20", "p s", "p t", "m 0", "p s", "n", "n"]),
    (SCRIPT, ["e return 1+1", "e return {1,{2}},3", "e error('q')", "e x x", "e return nosuch", "e nosuch = 1", "e",
              "e return true", "e redis.call('set','q','1') return redis.call('get','q')", "r get none", "r rpush l 1",
              "r incr l", "r nosuch", "r get", "r lrange l 0 -1", "redis", "r hset h a 1", "r hgetall h",
              "r config get x", "r rpush m 1 2 3 4 5 6 7 8 9 10 11 12", "foo", "S", "LIST", "abort"]),
    (NESTED, ["c", "t", "p", "p n", "n", "t", "c"]),
    ("redis.setresp(3)\nlocal y = redis.call('hgetall', 'h')\nreturn y",
     ["n", "r hset h a 1", "r sadd st a", "n", "r smembers st", "r zadd z 1.5 a", "r zscore z a", "r get none", "p",
      "c"]),
    ("local a={}\na.self=a\nlocal bo=true\nlocal ni=nil\nlocal q='q\"\\n\\1z'\nlocal d=1.25\nlocal e=12345678\n"
     "return {1,'s'}",
     ["b 8", "c", "p", "c"]),
    ("redis.breakpoint()\nlocal ok = redis.breakpoint()\nredis.debug()\nredis.debug(ok, nil, 1.5, 1e100, {true})\n"
     "return redis.pcall('set','a')", ["n", "n", "n", "n", "n"]),
    ("error('x')", ["c"]), ("return redis.call('nosuch')", ["n"]), ("this is not lua", []), ("", ["n"]),
    ("local x = redis.pcall('incr', 'h')\nreturn x", ["r hset h a 1", "n", "n"]),
    ("#!lua flags=no-writes\nlocal a = 1\n\nredis.call('set','x','y')\nreturn 1", ["w", "n", "n"]),
    ("local a=1\r\nlocal b=2\r\n\r\nreturn a\n\n", ["w", "n", "n", "n"]),
    ("local i = 0\nwhile true do\n i = i + 1\nend", ["b 3", "c", "c", "p", "abort"]),
]


class Raw:
    """A connection that reads as much as is due: lines of a debugger, or all until the end."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        if server.tls:
            self.socket = server.tls.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def send(self, *words):
        words = [word.encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))

    def lines(self):
        """What the debugger shows; None behind its last line, when the script's reply follows."""
        head = self.file.readline()
        assert head.startswith(b"*"), head
        return [self.file.readline().decode().rstrip("\r\n") for _ in range(int(head[1:]))]


def session(server, mode, script, commands, keys=("k1",), arguments=("v1",)):
    """All that a session shows, and the reply."""
    client = Raw(server)
    client.send("SCRIPT", "DEBUG", mode)
    assert client.file.readline() == b"+OK\r\n"
    client.send("EVAL", script, str(len(keys)), *keys, *arguments)
    shown = [("", client.lines())]
    for command in commands:
        if shown[-1][1][-1:] == ["+<endsession>"]:
            break
        # Code and values may have spaces, as redis-cli splits them.
        client.send(*command.split(" ", 1 if command.startswith("e ") else -1))
        shown.append((command, client.lines()))
    shown.append(("reply", client.file.read().decode()))
    client.socket.close()
    return shown


def alike(text):
    """Addresses differ, and the sandbox says in other words which variable there is not."""
    text = re.sub(r"@0x[0-9a-f]+", "@address", str(text))
    return re.sub(r"Attempt to modify a readonly table[^\"',]*|Script attempted to [^\"',]*", "sandbox", text)


def debugger_says_what_redis_says(server):
    with Server("redis") as other:
        for mode in ("YES", "SYNC"):
            for script, commands in SESSIONS:
                ours, theirs = [], []
                for side, shown in ((server, ours), (other, theirs)):
                    with side.client() as client:
                        client.call("FLUSHALL")
                    shown += session(side, mode, script, commands)
                for (command, mine), (_, yours) in zip(ours, theirs):
                    assert alike(mine) == alike(yours), (mode, script, command, mine, yours)
                assert len(ours) == len(theirs), (mode, script)


def debugger_of_redis_cli(server):
    path = os.path.join(scratch(), "s.lua")
    with open(path, "w") as file:
        file.write(SCRIPT)

    def run(*options, text):
        done = subprocess.run(["redis-cli", "-p", str(server.port), *options, "--eval", path, "k", ",", "v"],
                              input=text, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    out = run("--ldb", text="b 5\nc\np a\nc\np a\nb 0\nc\n")
    assert "Stopped at 1, stop reason = step over" in out and "->#5" in out, out
    assert "<value> 1" in out and "<value> 2" in out and "<debug> line 8: \"hi\", 4" in out, out
    assert "(integer) 4" in out and "dataset changes rolled back" in out, out
    with server.client() as client:
        assert client.call("EXISTS", "k", "l")[1] == 0
        out = run("--ldb", text="s\ns\nrestart\nw\nabort\nquit\n")
        assert out.count("Stopped at 1,") == 2 and "script aborted for user request" in out, out
        assert client.call("EXISTS", "k", "l")[1] == 0
        out = run("--ldb-sync-mode", text="c\n")
        assert "(integer) 4" in out, out
        assert client.call("LRANGE", "l", "0", "-1")[1] == [("$", b"2"), ("$", b"4")]


def children(server):
    return subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True).stdout.split()


def debugger_leaves_others_alone(server):
    """Forked sessions see their own moment; many at once; users that leave; nothing remains."""
    with server.client() as client:
        client.call("SET", "seen", "1")
        sessions = [Raw(server) for _ in range(5)]
        for raw in sessions:
            raw.send("SCRIPT", "DEBUG", "YES")
            assert raw.file.readline() == b"+OK\r\n"
            raw.send("EVAL", "local a = redis.call('incr', 'seen')\nreturn redis.call('get', 'seen')", "0")
            raw.lines()
        client.call("SET", "seen", "100")
        assert len(children(server)) == 5
        for raw in sessions[:3]:
            raw.send("c")
            assert raw.lines()[-1] == "+<endsession>" and raw.file.read() == b"$1\r\n2\r\n"
        for raw in sessions[3:]:
            raw.file.close()
            raw.socket.close()
        wait_for(lambda: not children(server), 20, "the children's end")
        assert client.call("GET", "seen")[1] == b"100"
        assert client.call("EVAL", "return redis.breakpoint()", "0")[1] is None


def debugger_over_tls(server):
    settings, tls = tls_server(scratch("certificates-"))
    with Server(server.which, settings, tls=tls, configuration=server.configuration) as secret:
        for mode in ("YES", "SYNC"):
            for script, commands in SESSIONS[:2]:
                plain, encrypted = session(server, mode, script, commands), session(secret, mode, script, commands)
                assert alike(plain) == alike(encrypted), (mode, plain, encrypted)


CHECKS = [debugger_over_tls, debugger_says_what_redis_says, debugger_of_redis_cli, debugger_leaves_others_alone]
