"""A small RESP2/RESP3 client over one blocking socket, with pipelining.

A reply is a pair (kind, payload), so that replies compare exactly:
    ('+', bytes) simple string    ('-', bytes) error          (':', int) integer
    ('$', bytes) bulk string      ('$', None) null bulk       ('*', list) array    ('*', None) null array
    ('_', None) null              (',', bytes) double         ('#', bool)          ('(', bytes) big number
    ('=', bytes) verbatim         ('%', list of pairs) map    ('~', list) set      ('>', list) push
Attributes ('|') are read and dropped.
"""
import socket
import ssl


class Disconnected(Exception):
    """The server closed the connection (or died)."""


class ProtocolError(Exception):
    """The server sent bytes that are not RESP."""


def encode(arguments):
    """One command as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        if not isinstance(argument, bytes):
            argument = str(argument).encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
    return b"".join(parts)


class Client:
    """`address` is (host, port) or the path of a Unix socket; `tls` an SSLContext."""

    def __init__(self, address, protocol=2, timeout=20.0, tls=None):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(timeout)
        self.buffer = bytearray()
        self.position = 0
        try:
            self.socket.connect(address)
            if tls:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        except OSError as error:
            self.socket.close()
            raise Disconnected(str(error)) from error
        self.protocol = 2
        if protocol == 3:
            self.hello(3)

    def hello(self, protocol):
        reply = self.call("HELLO", protocol)
        if reply[0] == "-":
            raise ProtocolError(reply[1].decode("utf-8", "replace"))
        self.protocol = protocol

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as error:
            raise Disconnected(str(error)) from error

    def send(self, *arguments):
        self.send_raw(encode(arguments))

    def call(self, *arguments):
        self.send_raw(encode(arguments))
        return self.read()

    def pipeline(self, commands, window=256):
        """Sends many commands, a window at a time (both sides' socket buffers stay bounded); returns the replies."""
        replies = []
        for start in range(0, len(commands), window):
            chunk = commands[start:start + window]
            self.send_raw(b"".join([encode(command) for command in chunk]))
            replies.extend([self.read() for _ in chunk])
        return replies

    def readable(self, seconds):
        """True when bytes of a reply arrive within `seconds`."""
        if self.position < len(self.buffer):
            return True
        previous = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            return self._fill(quiet=True)
        finally:
            self.socket.settimeout(previous)

    def _fill(self, quiet=False):
        try:
            data = self.socket.recv(1 << 18)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError) as error:
            if quiet:
                return False
            raise TimeoutError("no reply in time") from error
        except (ConnectionError, ssl.SSLError) as error:
            raise Disconnected(str(error)) from error
        if not data:
            raise Disconnected("end of stream")
        if self.position == len(self.buffer):
            self.buffer = bytearray(data)
            self.position = 0
        else:
            self.buffer += data
        return True

    def _line(self):
        while True:
            end = self.buffer.find(b"\r\n", self.position)
            if end >= 0:
                line = bytes(self.buffer[self.position:end])
                self.position = end + 2
                return line
            self._fill()

    def _exactly(self, count):
        while len(self.buffer) - self.position < count + 2:
            self._fill()
        data = bytes(self.buffer[self.position:self.position + count])
        self.position += count + 2
        return data

    def read(self):
        line = self._line()
        kind, rest = chr(line[0]) if line else "", line[1:]
        if kind in "+-,(" and kind:
            return (kind, rest)
        if kind == ":":
            return (":", int(rest))
        if kind in "$=" and kind:
            return (kind, None) if rest == b"-1" else (kind, self._exactly(int(rest)))
        if kind in "*~>" and kind:
            return (kind, None) if rest == b"-1" else (kind, [self.read() for _ in range(int(rest))])
        if kind == "%":
            return ("%", [(self.read(), self.read()) for _ in range(int(rest))])
        if kind == "_":
            return ("_", None)
        if kind == "#":
            return ("#", rest == b"t")
        if kind == "|":
            for _ in range(int(rest)):
                self.read(), self.read()
            return self.read()
        raise ProtocolError(f"not a reply: {line[:80]!r}")


def show(reply, limit=200):
    """A reply as one readable line (the notation of `=` lines in tools/compat.d)."""
    kind, payload = reply
    if kind in "+-,(":
        text = kind + payload.decode("utf-8", "backslashreplace")
    elif kind == ":":
        text = f":{payload}"
    elif kind == "_":
        text = "_"
    elif kind == "#":
        text = "#t" if payload else "#f"
    elif kind in "$=":
        text = f"{kind}-1" if payload is None else (kind if kind == "=" else "") + quote(payload)
    elif payload is None:
        text = f"{kind}-1"
    elif kind == "%":
        text = "%[" + " ".join(show(k, limit) + "=>" + show(v, limit) for k, v in payload) + "]"
    elif kind in "*~>":
        text = ("" if kind == "*" else kind) + "[" + " ".join(show(item, limit) for item in payload) + "]"
    else:
        text = f"{kind} {payload!r}"
    return text if len(text) <= limit else text[:limit - 12] + f"...({len(text)})"


def quote(data):
    """Bytes as redis-cli prints them, in double quotes."""
    out = ['"']
    for byte in data:
        if byte in (34, 92):
            out.append("\\" + chr(byte))
        elif byte == 10:
            out.append("\\n")
        elif byte == 13:
            out.append("\\r")
        elif byte == 9:
            out.append("\\t")
        elif 32 <= byte < 127:
            out.append(chr(byte))
        else:
            out.append("\\x%02x" % byte)
    out.append('"')
    return "".join(out)
