"""Bytes on a connection: requests in RESP and in lines, whole and damaged, in pieces of any size."""
import random
import re
import signal
import time

from damage import damage
from fuzzing.target import IS_SANITIZED, RESIDENT, nasty
from resp import Disconnected, ProtocolError, encode, quote
from servers import Server

PIECES = [
    b"*-1\r\n", b"*0\r\n", b"*1\r\n$-1\r\n", b"*2147483648\r\n", b"*1048577\r\n", b"*1048576\r\n$1\r\n", b"\r\n", b"\n",
    b"$5\r\nhello\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n$99999999999999999999\r\n", b"*1\r\n$4\r\nPING\n\n",
    b"*1\r\n+PING\r\n", b"*+1\r\n$4\r\nPING\r\n", b"* 1\r\n", b"*1\r\n$ 4\r\n", b"*1\r\n$4\r\r\nPING", b"\x00",
    b"\x16\x03\x01\x02\x00", b"PING\x00\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\n",
    b'SET a "\\x4', b"SET a 'x\r\n", b'ECHO "\\n\\x41"z\r\n', b'ECHO "unfinished\r\n',
    b"*3\r\n$3\r\nSET\r\n$1\r\nq\r\n$1048576\r\n", b"*-9223372036854775808\r\n", b"*1e3\r\n"
]


def line(chance):
    """A request as one types it."""
    words = [chance.choice((b"PING", b"GET k", b"SET k v", b"ECHO hi", b"INCR n", b"LPUSH l a b"))]
    if chance.random() < 0.4:
        words.append(chance.choice((b'"a b"', b"'c d'", b'"\\x41\\n\\""', b"\\", b'""', b"''", b'"', b"'")))
    return b" ".join(words) + chance.choice((b"\r\n", b"\n"))


def stream(chance):
    """(bytes, whether they are damaged)"""
    parts = []
    for _ in range(chance.randrange(1, 12)):
        kind = chance.random()
        if kind < 0.6:
            parts.append(
                encode(
                    chance.choice(
                        (("PING", ), ("SET", "k", chance.randbytes(chance.randrange(300))), ("GET", "k"),
                         ("ECHO", "x" * chance.choice(
                             (0, 1, 40_000))), ("MGET", ) + ("k", ) * 30, ("INCR", "n"), ("APPEND", "k", "y")))))
        else:
            parts.append(chance.choice((b"PING\r\n", b"GET k\n", b"SET k 'v w'\r\n", b'ECHO "\\x41"\r\n')))
    data = b"".join(parts)
    if chance.random() < 0.35:
        return data, False
    kind = chance.random()
    if kind < 0.4:
        data = damage(data, chance)[1]
    elif kind < 0.8:
        at = chance.choice([0, len(data)] + [sum(map(len, parts[:i])) for i in range(len(parts))])
        data = data[:at] + chance.choice(PIECES) + data[at:]
    else:
        data = b"".join(line(chance) if chance.random() < 0.6 else nasty(chance) for _ in range(6))
    return data, True


def answer(server, data, chance, patience):
    """All that the server says to the bytes, sent in pieces, until it ends the connection."""
    with server.client(timeout=patience) as client:
        sock = client.socket
        said = bytearray()
        try:
            at = 0
            while at < len(data):
                count = len(data) if chance is None else chance.choice((1, 2, 3, 7, 64, 1000, 16_384, len(data)))
                sock.sendall(data[at:at + count])
                at += count
                if chance is not None and chance.random() < 0.2:
                    time.sleep(0.0005)
            sock.shutdown(1)
        except OSError:
            pass      # it has hung up, which is its right
        while True:
            try:
                piece = sock.recv(1 << 16)
            except ConnectionError:
                return bytes(said)
            if not piece:
                return bytes(said)
            said += piece


def fuzz(options, rounds, plant=None):
    """Gives (passed, problems). Undamaged bytes are answered alike however they are cut."""
    problems, passed, begin = [], 0, time.monotonic()
    server = Server(options.server, {"proto-max-bulk-len": "1mb"}, configuration=options.config).start()
    for number in range(rounds):
        chance = random.Random(f"{options.seed}/protocol/{number}")
        data, is_damaged = stream(chance)
        try:
            if plant and plant(data):
                server.process.send_signal(signal.SIGILL)
                server.process.wait()
            answers = []
            for cuts in (chance, ) if is_damaged else (chance, None):
                with server.client(timeout=options.patience) as client:
                    client.call("FLUSHALL")
                answers.append(answer(server, data, cuts, options.patience))
            if not is_damaged and answers[0] != answers[1]:
                problems.append(f"protocol {options.seed}/{number}: pieces change the answer: {quote(data)[:500]}")
            if not IS_SANITIZED and server.rss_bytes() > RESIDENT:
                problems.append(f"protocol {options.seed}/{number}: {server.rss_bytes() >> 20} MB resident")
            passed += 1
        except (Disconnected, ProtocolError, TimeoutError, OSError) as error:
            problems.append(
                f"protocol {options.seed}/{number}: {type(error).__name__}, status {server.process.poll()}; "
                f"{quote(data)[:600]}\n{server.log()[-500:]}")
            server.kill()
            server.start()
        if len(problems) >= 10 or (plant and problems):
            break
    server.kill()
    if not plant:
        print(f"protocol: {passed} streams, {time.monotonic() - begin:.1f} s", flush=True)
    return passed, problems


def plant(data):
    """A server that dies of an argument whose length is negative or beyond 2^63."""
    return re.search(rb"\$(-1|9{20})\r\n", data) is not None
