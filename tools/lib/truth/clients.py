"""CLIENT: every field of CLIENT LIST's line is made to move, every filter of LIST and KILL chooses whom it should."""
import time

from resp import Disconnected
from truth.probe import Probe, until

FIELDS = ["id", "addr", "laddr", "fd", "name", "age", "idle", "flags", "db", "sub", "psub", "ssub", "multi", "watch",
          "qbuf", "qbuf-free", "argv-mem", "multi-mem", "rbs", "rbp", "obl", "oll", "omem", "tot-mem", "events", "cmd",
          "user", "redir", "resp", "lib-name", "lib-ver"]
NEWER = ["io-thread", "tot-net-in", "tot-net-out", "tot-cmds", "capa"]


def lines(client, *arguments):
    kind, payload = client.call("CLIENT", "LIST", *arguments)
    if kind == "-":
        return payload.decode()
    return [dict(pair.split("=", 1) for pair in line.split(" ")) for line in payload.decode().splitlines()]


class Watch:
    """One client as another sees it."""

    def __init__(self, probe, board):
        self.probe, self.board = probe, board
        self.client = probe.connect()
        self.id = self.client.call("CLIENT", "ID")[1]

    def line(self):
        return next(line for line in lines(self.probe.client) if line["id"] == str(self.id))

    def shows(self, how, **wanted):
        """Waits until the line fulfils all; `wanted` maps a field (with _ for -) to a value or a condition."""
        names = {name.replace("_", "-"): value for name, value in wanted.items()}
        holds = lambda line: {name: (value(line[name]) if callable(value) else line[name] == str(value))
                              for name, value in names.items() if name in line}
        line = {}

        def has_come():
            line.update(self.line())
            return all(holds(line).values())
        until(has_come)
        for name, good in holds(line).items():
            self.board.true(name, how, line[name], good)
        for name in names:
            if name not in line:
                self.board.left_out.append(name)


def above(least):
    return lambda text: int(text) > least


def fields(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        one = Watch(probe, board)
        local = "%s:%d" % one.client.socket.getsockname()[:2]
        peer = "%s:%d" % one.client.socket.getpeername()[:2]
        found = [name for name in one.line() if name in FIELDS]
        board.check("order", found == [name for name in FIELDS if name in found] and (which == "redis"
            or found == FIELDS),
                    " ".join(found))
        one.shows("a new client", id=one.id, addr=local, laddr=peer, fd=above(2), name="", flags="N", db=0, sub=0,
            psub=0,
                  multi=-1, watch=0, qbuf=0, qbuf_free=above(-1), obl=0, oll=0, omem=0, tot_mem=above(100),
                  rbs=above(100),
                  events="r", cmd="client|id", user="default", redir=-1, resp=2, lib_name="", lib_ver="", io_thread=0,
                  rbp=above(-1), argv_mem=above(-1), ssub=0, multi_mem=0, capa="")
        began = time.monotonic()
        one.shows("a second later", age=above(0), idle=above(0))
        board.check("age", time.monotonic() - began < 10, "it came in time")
        one.client.pipeline([("CLIENT", "SETNAME", "me"), ("SELECT", 3), ("CLIENT", "SETINFO", "LIB-NAME", "lib"),
                             ("CLIENT", "SETINFO", "LIB-VER", "1.2")])
        one.shows("CLIENT SETNAME and SETINFO, SELECT", name="me", db=3, lib_name=lambda text: text in ("lib", ""),
                  lib_ver=lambda text: text in ("1.2", ""), idle=0)
        one.client.pipeline([("WATCH", "a", "b"), ("MULTI",), ("SET", "x", "y" * 1000), ("GET", "x")])
        one.shows("WATCH of two keys, MULTI, two commands", watch=2, multi=2, flags="x", multi_mem=above(1000),
                  cmd="get")
        one.client.call("DISCARD")
        before = int(one.line().get("tot-net-in", 0)), int(one.line().get("tot-net-out", 0)), int(
            one.line().get("tot-cmds", 0))
        one.client.pipeline([("SET", "big", "x" * 100000), ("GET", "big")])
        one.shows("SET and GET of 100 KB", tot_net_in=lambda text: int(text) - before[0] == 100000 + len(
            b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$100000\r\n\r\n*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n"),
            tot_net_out=lambda text: int(text) - before[1] == 100000 + len(b"+OK\r\n$100000\r\n\r\n"),
            tot_cmds=lambda text: int(text) - before[2] == 2)
        one.client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n" + b"x" * 200000)
        one.shows("200 KB of a request of 300 KB", qbuf=above(100000), tot_mem=above(100000))
        one.client.send_raw(b"x" * 100000 + b"\r\n")
        one.client.read()
        one.client.call("HELLO", 3)
        other = probe.connect()
        other_id = other.call("CLIENT", "ID")[1]
        one.client.call("CLIENT", "TRACKING", "ON", "REDIRECT", other_id)
        one.client.call("CLIENT", "CAPA", "REDIRECT")
        one.shows("HELLO 3, TRACKING ON REDIRECT, CAPA REDIRECT", resp=3, redir=other_id, flags="t", capa="r")
        one.client.call("CLIENT", "TRACKING", "OFF")
        one.client.send("BLPOP", "queue", "100", )
        one.shows("BLPOP", flags="b", cmd="blpop", argv_mem=above(0))
        probe.call("CLIENT", "UNBLOCK", one.id)
        one.client.read()
        probe.call("ACL", "SETUSER", "alice", "on", "nopass", "~*", "&*", "+@all")
        one.client.call("AUTH", "alice", "x")
        one.client.call("SUBSCRIBE", "a")
        one.client.call("PSUBSCRIBE", "b*")
        one.client.call("SSUBSCRIBE", "c")
        one.shows("AUTH alice, three kinds of subscriptions", user="alice", sub=1, psub=1, ssub=1, flags="P")
        unread(probe, Watch(probe, board), other)


def unread(probe, deaf, other):
    """Replies that nobody reads fill the buffer, then the list."""
    other.call("SET", "long", "x" * 4000000)
    deaf.client.send_raw(b"*2\r\n$3\r\nGET\r\n$4\r\nlong\r\n" * 5)
    deaf.shows("20 MB of replies that nobody reads", oll=above(0), omem=above(100000), tot_mem=above(100000),
               events=lambda text: "w" in text)


def filters(board, which, configuration):
    if which == "redis":
        board.left_out.append("filters")
        return
    with Probe(board, which, {}, configuration) as probe:
        probe.call("ACL", "SETUSER", "alice", "on", "nopass", "~*", "&*", "+@all")
        a, b, c = (Watch(probe, board) for _ in range(3))
        names = {a.id: "a", b.id: "b", c.id: "c", probe.call("CLIENT", "ID")[1]: "me"}
        a.client.pipeline([("CLIENT", "SETNAME", "one"), ("SELECT", 2), ("CLIENT", "SETINFO", "LIB-NAME", "lib"),
                           ("CLIENT", "SETINFO", "LIB-VER", "1")])
        b.client.pipeline([("AUTH", "alice", "x"), ("CLIENT", "CAPA", "redirect"), ("CLIENT", "NO-EVICT", "ON")])
        c.client.call("SUBSCRIBE", "x")
        # The client of the start may not be gone yet.
        until(lambda: len(lines(probe.client)) == 4)
        address = "%s:%d" % a.client.socket.getsockname()[:2]
        here = "%s:%d" % a.client.socket.getpeername()[:2]
        cases = [
            ("", "abc me"), (f"ID {a.id} {c.id}", "ac"), (f"NOT-ID {a.id} {c.id}", "b me"), ("TYPE pubsub", "c"),
            ("NOT-TYPE pubsub", "ab me"), ("USER alice", "b"), ("NOT-USER alice", "ac me"), (f"ADDR {address}", "a"),
            (f"NOT-ADDR {address}", "bc me"), (f"LADDR {here}", "abc me"), (f"NOT-LADDR {here}", ""),
            ("IP 127.0.0.1", "abc me"), ("NOT-IP 127.0.0.1", ""), ("NAME one", "a"), ("NOT-NAME one", "bc me"),
            ("LIB-NAME lib", "a"), ("NOT-LIB-NAME lib", "bc me"), ("LIB-VER 1", "a"), ("NOT-LIB-VER 1", "bc me"),
            ("DB 2", "a"), ("NOT-DB 2", "bc me"), ("FLAGS P", "c"), ("NOT-FLAGS P", "ab me"), ("FLAGS e", "b"),
            ("CAPA r", "b"), ("NOT-CAPA r", "ac me"), ("MAXAGE 100000", ""), ("IDLE 100000", ""), ("SKIPME yes", "abc"),
            ("SKIPME no TYPE normal", "ab me"), ("NOT-TYPE pubsub NOT-USER alice SKIPME yes", "a"),
            ("DB 2 NAME one USER default", "a"), ("DB 2 NAME two", ""), ("db 0 skipme YES", "bc"),
            (f"TYPE normal ID {a.id} {c.id} DB 2", "a")]
        for text, wanted in cases:
            found = lines(probe.client, *text.split())
            got = "".join(sorted(names[int(line["id"])] for line in found if names[int(line["id"])] != "me")) + (
                " me" if any(names[int(line["id"])] == "me" for line in found) else "") if isinstance(found,
                list) else found
            board.true("LIST " + text, f"shows {wanted or 'nobody'}", got, got.strip() == wanted.strip())
        until(lambda: all(int(one.line()["idle"]) >= 1 for one in (a, b, c)))
        found = [names[int(line["id"])] for line in lines(probe.client, "IDLE", "1", "MAXAGE", "1")]
        board.true("LIST IDLE 1", "silent clients, not this one", " ".join(found), set("abc") <= set(found)
            and "me" not in found)
        for text, wanted in [
                ("NOSUCH x", "ERR syntax error"), ("ID", "ERR syntax error"), ("ID x", "ERR Invalid client ID"),
                ("TYPE x", "ERR Unknown client type 'x'"), ("USER x", "ERR No such user 'x'"), ("MAXAGE x",
                "ERR maxage is not"),
                ("IDLE 0", "ERR idle should be greater than 0"), ("DB 99", "ERR DB number should be between 0 and 15"),
                ("NOT-DB x", "ERR NOT-DB number should be between 0 and 15"), ("FLAGS z",
                "ERR Unknown flags found in the"),
                ("NOT-CAPA z", "ERR Unknown capa found in the NOT-CAPA filter: z"), ("SKIPME maybe",
                "ERR syntax error")]:
            said = lines(probe.client, *text.split())
            board.true("LIST " + text, "is refused", str(said), isinstance(said, str) and said.startswith(wanted))
        reply = probe.call("CLIENT", "KILL", "ID", "x")
        board.true("KILL ID x", "is refused", str(reply[1]), reply[1] == b"ERR client-id should be greater than 0")
        kills(board, probe, a, b, c)
        modes(board, probe)


def gone(client):
    try:
        client.socket.settimeout(20)
        while True:
            client.read()
    except (Disconnected, OSError):
        return True


def kills(board, probe, a, b, c):
    for text, killed, whom in [("NAME one DB 2", 1, a), ("NOT-USER default NOT-TYPE pubsub", 1, b), ("FLAGS P", 1, c),
                               ("NOT-ID 1", 0, None)]:
        reply = probe.call("CLIENT", "KILL", *text.split())
        board.true("KILL " + text, f"closes {killed}", str(reply[1]),
                   reply == (":", killed) and (whom is None or gone(whom.client)))


def modes(board, probe):
    board.true("IMPORT-SOURCE", "ON is refused: there is no import mode", str(probe.call("CLIENT", "IMPORT-SOURCE",
        "ON")[1]),
               probe.call("CLIENT", "IMPORT-SOURCE", "ON")[1] == b"ERR Server is not in import mode")
    board.true("IMPORT-SOURCE", "OFF", "OK", probe.call("CLIENT", "IMPORT-SOURCE", "OFF")[1] == b"OK")
    probe.call("CLIENT", "CAPA", "nonsense", "redirect")
    shown = probe.call("CLIENT", "INFO")[1].decode()
    board.true("CAPA", "what is unknown is passed over", shown.strip()[-40:], " capa=r" in shown)
    probe.call("RESET")
    board.true("CAPA", "RESET", "", " capa=r" not in probe.call("CLIENT", "INFO")[1].decode())
    probe.call("SET", "k", "v")
    until(lambda: probe.call("OBJECT", "IDLETIME", "k")[1] >= 1)
    probe.call("CLIENT", "NO-TOUCH", "ON")
    probe.call("GET", "k")
    board.true("NO-TOUCH", "a read leaves the idle time alone", str(probe.call("OBJECT", "IDLETIME", "k")[1]),
               probe.call("OBJECT", "IDLETIME", "k")[1] >= 1)
    probe.call("CLIENT", "NO-TOUCH", "OFF")
    idle = []

    def begins_anew():
        probe.call("GET", "k")
        idle.append(probe.call("OBJECT", "IDLETIME", "k")[1])
        return idle[-1] == 0        # 1 where a second begins in between
    board.true("NO-TOUCH", "OFF: it begins anew", str(idle), until(begins_anew))


def all_parts():
    return [fields, filters]
