"""A server under observation: INFO before something is done and after it."""
import os
import subprocess
import time

from resp import Client, encode
from servers import ROOT, Server, scratch

PRELOADS = {}


def preload(name):
    """The shared object of tools/preload/NAME.c, made once a run."""
    if name not in PRELOADS:
        made = os.path.join(scratch(), name + ".so")
        source = os.path.join(ROOT, "tools", "preload", name + ".c")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
        PRELOADS[name] = made
    return PRELOADS[name]


def until(condition, seconds=30.0, pause=0.02):
    """Waits for something to come true; whether it did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


class Probe:
    """A private server, a client that asks INFO, and the board that what it finds goes to."""

    def __init__(self, board, which, options=None, configuration=None, directory=None, environment=None, wait=True,
                 server=None):
        self.board = board
        self.server = server or Server(which, options, directory, configuration, environment)
        if not self.server.process:
            self.server.start(wait=wait)
        self.client = self.server.client(timeout=60) if wait else None
        self.others = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.others + ([self.client] if self.client else []):
            client.close()
        self.server.kill()

    def connect(self, *hello):
        client = self.server.client(timeout=60)
        self.others.append(client)
        return client

    def call(self, *arguments):
        return self.client.call(*arguments)

    def set(self, *pairs):
        """CONFIG SET that must succeed."""
        reply = self.call("CONFIG", "SET", *pairs)
        if reply[0] == "-":
            raise AssertionError(f"CONFIG SET {pairs}: {reply[1]}")

    def text(self, *sections):
        return self.call("INFO", *(sections or ("everything",)))[1].decode()

    def info(self, *sections):
        text = self.text(*(sections or ("everything", "debug")))
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))

    def field(self, name):
        return self.info().get(name)

    def value(self, name):
        text = self.field(name)
        return None if text is None else float(text.rstrip("%"))

    def moves(self, how, action, wanted):
        """Does `action` between two looks at INFO; `wanted` maps field to what must come of it."""
        before = self.info()
        action()
        after = self.info()
        for name, expected in wanted.items():
            self.board.moved(name, how, before.get(name), after.get(name), expected)
        return before, after

    def comes(self, how, wanted, seconds=30.0, before=None):
        """Waits until each field fulfils its condition on (before, now)."""
        before = before or self.info()
        for name, condition in wanted.items():
            if name not in before and name not in self.info():
                self.board.moved(name, how, None, None, condition)
                continue
            first, last = float(before.get(name, "0").rstrip("%")), {}

            def fulfilled():
                last.update(self.info())
                return name in last and condition(first, float(last[name].rstrip("%")))
            until(fulfilled, seconds)
            self.board.moved(name, how, before.get(name), last.get(name), condition)

    def comes_word(self, how, name, first, then, seconds=60.0):
        """Waits until a field that is a word is `then`."""
        until(lambda: self.field(name) == then, seconds)
        self.board.moved(name, how, first, self.field(name), lambda before, now: now == then)

    def fill(self, keys, value="x", extra=()):
        """Many keys by one script, quickly."""
        script = ("for i=1,tonumber(ARGV[1]) do redis.call('set','fill:'..i,ARGV[2]"
                  + "".join(f",'{word}'" for word in extra) + ") end")
        return self.call("EVAL", script, 0, keys, value)


def grows(before, after):
    return after > before


__all__ = ["Client", "Probe", "Server", "encode", "grows", "preload", "until"]


def log_that_fails(board, which, configuration):
    """Gives a server's directory with a log whose last record fails when it is replayed."""
    directory = scratch()
    with Probe(board, which, {"appendonly": "yes"}, configuration, directory=directory) as probe:
        probe.call("SET", "text", "x")
        until(lambda: probe.field("aof_pending_bio_fsync") == "0")
        probe.server.stop()
    folder = os.path.join(directory, "appendonlydir")
    last = sorted(name for name in os.listdir(folder) if name.endswith(".incr.aof"))[-1]
    with open(os.path.join(folder, last), "ab") as file:
        file.write(encode(("SELECT", 0)) + encode(("LPUSH", "text", "1")))
    return directory
