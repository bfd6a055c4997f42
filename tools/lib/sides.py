"""The two servers of a differential test, and the comparison of their whole state."""
from compare import Differences, name_of, same, text_of
from resp import Disconnected, ProtocolError, quote, show
from servers import Server

# A script that answers a command's reply in an array (tools/lib/differential/episodes.py), and its name.
WRAPPING = (b"return {redis.pcall(unpack(ARGV))}", b"a21be56621b3ba4dd116e8291921ce2320480f27")
OPTIONS = {"save": "", "hz": "10", "proto-max-bulk-len": "536870912"}


class Difference(Exception):
    """Something differed. `name` is the command (or STATE …) that gets the blame."""

    missing = False     # ours does not know the command

    def __init__(self, name, text):
        super().__init__(text)
        self.name, self.text = name, text


def command_text(arguments, limit=160):
    parts = []
    for argument in arguments:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        plain = data and all(33 <= byte < 127 and byte not in b"\"'\\" for byte in data)
        parts.append(data.decode() if plain else quote(data))
    text = " ".join(parts)
    return text if len(text) <= limit else text[:limit - 12] + f"...({len(text)})"


def unknown(reply):
    return reply[0] == "-" and reply[1].startswith((b"ERR unknown command", b"ERR unknown subcommand '"))


def only_in(ours, theirs):
    """For long arrays: the elements that only one side has."""
    lists = [reply[1] for reply in (ours, theirs)]
    if ours[0] == "%" or not all(isinstance(items, list) and len(items) > 3 for items in lists):
        return ""
    left, right = (set(map(repr, items)) for items in lists)
    shown = [[show(item, 60) for item in items if repr(item) not in other][:5]
             for items, other in zip(lists, (right, left))]
    return f"\n      {len(lists[0])} and {len(lists[1])} elements; only ours: {shown[0]}; only theirs: {shown[1]}"


class Side:
    """One server with clients by number; restarted when it died."""

    def __init__(self, label, which, configuration=None, options=None, tls=None):
        self.label = label
        self.server = Server(which, {**OPTIONS, **(options or {})}, configuration=configuration, tls=tls)
        self.server.start()
        self.clients = {}
        self.restarts = 0

    def client(self, number=1, protocol=2):
        if number not in self.clients:
            try:
                self.clients[number] = self.server.client(2, timeout=15)
                if protocol == 3:
                    self.clients[number].hello(3)
            except ProtocolError as error:
                raise Difference("HELLO", f"{self.label}: HELLO 3: {error}") from error
            except (Disconnected, TimeoutError) as error:
                raise Difference("DEATH", f"{self.label}: {self.describe_death(error)}") from error
        return self.clients[number]

    def exchange(self, data, quiet=0.03):
        """Raw bytes out, raw bytes in until nothing more comes; says whether the server closed the connection."""
        received, closed = bytearray(), False
        try:
            client = self.server.client(timeout=5)
        except Disconnected:
            return ("$", b" (refused)")
        with client:
            try:
                client.send_raw(data)
                self.catch_up()
                client.socket.settimeout(0.25 if data else quiet)
                while not closed:
                    part = client.socket.recv(1 << 16)
                    received += part
                    closed = not part
                    client.socket.settimeout(quiet)
            except TimeoutError:
                pass
            except (ConnectionError, Disconnected):
                closed = True
        return ("$", bytes(received) + (b" (closed)" if closed else b""))

    def catch_up(self):
        """Returns when the server has seen, and answered if it does, what all clients have sent so far: however slow
        the machine is, what it says to that is in our sockets then. (It may read another connection's requests first:
        so three times.)"""
        try:
            with self.server.client(timeout=5) as other:
                for _ in range(3):
                    other.call("PING")
        except (Disconnected, ProtocolError, TimeoutError):
            pass        # It has been told to end, or takes no more clients.

    def drop_clients(self):
        for client in self.clients.values():
            client.close()
        self.clients = {}

    def fresh(self, protocol=2):
        """New connections and empty databases."""
        self.drop_clients()
        self.client(1, protocol)
        if unknown(self.run([("FLUSHALL",)])[0]):      # a young server: empty it the hard way
            self.drop_clients()
            self.server.kill()
            self.server.start()
        return self.client(1, protocol)

    def run(self, commands):
        """Replies of a pipeline; a Difference when the server dies or hangs."""
        try:
            return self.client().pipeline(commands)
        except (Disconnected, ProtocolError, TimeoutError) as error:
            raise Difference("DEATH", f"{self.label}: {self.describe_death(error)}") from error

    def describe_death(self, error):
        try:
            self.server.process.wait(1)
        except Exception:
            pass
        status = self.server.process.poll()
        state = "still running" if status is None else f"ended with status {status}"
        return f"{type(error).__name__}: {error}; the server {state}; log: ...{self.server.log()[-600:]}"

    def restart(self):
        self.restarts += 1
        self.drop_clients()
        self.server.kill()
        self.server.start()


class Pair:
    def __init__(self, ours, theirs, check_dump=True):
        self.ours, self.theirs = ours, theirs
        self.differences = Differences()
        self.check_dump = check_dump
        self.is_twin = False    # two of our own servers, which differ in all thresholds
        self.missing = set()

    def sides(self):
        return (self.ours, self.theirs)

    def both(self, commands):
        return self.ours.run(commands), self.theirs.run(commands)

    def check(self, arguments, ours, theirs, mode=None, inner=None):
        """`inner` is the command that a script calls: it says what is equal."""
        name, text = name_of(inner or arguments), command_text(inner or arguments, 4000)
        if inner and arguments[1] in WRAPPING and all(
                kind == "*" and payload and len(payload) == 1 for kind, payload in (ours, theirs)):
            ours, theirs = ours[1][0], theirs[1][0]
        if unknown(ours) and not unknown(theirs):
            self.missing.add(name)
            difference = Difference(name, "ours does not know this command")
            difference.missing = True
            raise difference
        if self.is_twin and name == "OBJECT|ENCODING":
            return
        if not same(name, text, ours, theirs, self.differences, mode):
            raise Difference(name, f"{command_text(arguments)}\n      ours   {show(ours)}\n      theirs {show(theirs)}"
                             + only_in(ours, theirs))

    def check_next(self, queue, arguments, ours, theirs, mode=None, inner=None):
        """As check, but knows what was queued since MULTI (in `queue`): EXEC is compared reply by reply."""
        if theirs == ("+", b"QUEUED"):
            queue.append((arguments, mode, inner))
        elif name_of(arguments) in ("EXEC", "DISCARD", "RESET"):
            queued = queue[:]
            queue.clear()
            both = [reply[1] for reply in (ours, theirs)]
            if all(isinstance(items, list) and len(items) == len(queued) for items in both):
                for (command, how, called), left, right in zip(queued, *both):
                    self.check(command, left, right, how, called)
                return
        self.check(arguments, ours, theirs, mode, inner)

    def check_state(self, label, ours, theirs):
        name = " ".join(label.split()[:2])
        if unknown(ours):
            self.missing.add(name)
            return
        if not same(name, label, ours, theirs, self.differences):
            raise Difference(name, f"{label}\n      ours   {show(ours)}\n      theirs {show(theirs)}")

    def same_scores(self, key):
        """7.0 digests the text of a score with 17 digits, 7.2+ the shortest one: the numbers decide."""
        return same("ZRANGE", "", *(side.run([("ZRANGE", key, 0, -1, "WITHSCORES")])[0] for side in self.sides()),
                    self.differences)

    def compare_state(self, blame=None, dumps=True):
        """Keys, types, encodings, expiry, digests and dump payloads of database 0; the digest of all databases."""
        try:
            self._compare_state(self.check_dump and dumps)
        except Difference as difference:
            raise Difference(blame or difference.name, difference.text) from None

    def _compare_state(self, dumps):
        listed = [side.run([("SELECT", 0), ("KEYS", "*")])[1] for side in self.sides()]
        self.check_state("STATE KEYS", *listed)
        keys = sorted(item[1] for item in listed[1][1])
        questions = []
        for key in keys:
            questions += [("TYPE", key), ("OBJECT", "ENCODING", key), ("PEXPIRETIME", key),
                          ("DEBUG", "DIGEST-VALUE", key)] + ([("DUMP", key)] if dumps else [])
        ours, theirs = self.both(questions)
        width = 5 if dumps else 4
        for number, key in enumerate(keys):
            left, right = (replies[number * width:(number + 1) * width] for replies in (ours, theirs))
            shown = quote(key[:40])
            kind = text_of(right[0][1])
            encodings = [text_of(side[1][1]) for side in (left, right)]
            self.check_state(f"STATE TYPE {shown}", left[0], right[0])
            if not self.is_twin:
                self.check_state(f"STATE ENCODING {kind} {shown}", left[1], right[1])
            self.check_state(f"STATE EXPIRE {shown}", left[2], right[2])
            if kind != "zset" or left[3] == right[3] or not self.same_scores(key):
                self.check_state(f"STATE DIGEST {kind} {shown}", left[3], right[3])
            if dumps and encodings[0] == encodings[1] and encodings[0] not in ("hashtable", "stream"):
                bodies = [("$", side[4][1][:-10]) if side[4][0] == "$" and side[4][1] else side[4]
                          for side in (left, right)]
                self.check_state(f"STATE DUMP {kind}/{encodings[0]} {shown}", *bodies)
