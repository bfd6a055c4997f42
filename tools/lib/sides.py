"""The two servers of a differential test, and the comparison of their whole state."""
from compare import Differences, name_of, same, text_of
from resp import Disconnected, ProtocolError, quote, show
from servers import Server

OPTIONS = {"save": "", "hz": "10", "proto-max-bulk-len": "536870912"}


class Difference(Exception):
    """Something differed. `name` is the command (or STATE …) that gets the blame."""

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


class Side:
    """One server with clients by number; restarted when it died."""

    def __init__(self, label, which, configuration=None, options=None):
        self.label = label
        self.server = Server(which, {**OPTIONS, **(options or {})}, configuration=configuration)
        self.server.start()
        self.clients = {}
        self.restarts = 0

    def client(self, number=1, protocol=2):
        if number not in self.clients:
            self.clients[number] = self.server.client(protocol, timeout=15)
        return self.clients[number]

    def drop_clients(self):
        for client in self.clients.values():
            client.close()
        self.clients = {}

    def fresh(self, protocol=2):
        """New connections and empty databases."""
        self.drop_clients()
        client = self.client(1, protocol)
        client.call("FLUSHALL")
        return client

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

    def sides(self):
        return (self.ours, self.theirs)

    def both(self, commands):
        return self.ours.run(commands), self.theirs.run(commands)

    def check(self, arguments, ours, theirs, mode=None):
        name, text = name_of(arguments), command_text(arguments, 4000)
        if not same(name, text, ours, theirs, self.differences, mode):
            raise Difference(name, f"{command_text(arguments)}\n      ours   {show(ours)}\n      theirs {show(theirs)}")

    def check_next(self, queue, arguments, ours, theirs, mode=None):
        """As check, but knows what was queued since MULTI (in `queue`): EXEC is compared reply by reply."""
        if theirs == ("+", b"QUEUED"):
            queue.append((arguments, mode))
        elif name_of(arguments) in ("EXEC", "DISCARD", "RESET"):
            queued = queue[:]
            queue.clear()
            inner = [reply[1] for reply in (ours, theirs)]
            if all(isinstance(items, list) and len(items) == len(queued) for items in inner):
                for (command, how), left, right in zip(queued, *inner):
                    self.check(command, left, right, how)
                return
        self.check(arguments, ours, theirs, mode)

    def check_state(self, label, ours, theirs):
        name = " ".join(label.split()[:2])
        if not same(name, label, ours, theirs, self.differences):
            raise Difference(name, f"{label}\n      ours   {show(ours)}\n      theirs {show(theirs)}")

    def compare_state(self, blame=None):
        """Keys, types, encodings, expiry, digests and dump payloads of database 0; the digest of all databases."""
        try:
            self._compare_state()
        except Difference as difference:
            raise Difference(blame or difference.name, difference.text) from None

    def _compare_state(self):
        listed = [side.run([("SELECT", 0), ("KEYS", "*")])[1] for side in self.sides()]
        self.check_state("STATE KEYS", *listed)
        keys = sorted(item[1] for item in listed[1][1])
        questions = []
        for key in keys:
            questions += [("TYPE", key), ("OBJECT", "ENCODING", key), ("PEXPIRETIME", key),
                          ("DEBUG", "DIGEST-VALUE", key)] + ([("DUMP", key)] if self.check_dump else [])
        ours, theirs = self.both(questions)
        width = 5 if self.check_dump else 4
        for number, key in enumerate(keys):
            left, right = (replies[number * width:(number + 1) * width] for replies in (ours, theirs))
            shown = quote(key[:40])
            kind = text_of(right[0][1])
            encodings = [text_of(side[1][1]) for side in (left, right)]
            self.check_state(f"STATE TYPE {shown}", left[0], right[0])
            self.check_state(f"STATE ENCODING {kind} {shown}", left[1], right[1])
            self.check_state(f"STATE EXPIRE {shown}", left[2], right[2])
            self.check_state(f"STATE DIGEST {kind} {shown}", left[3], right[3])
            if self.check_dump and encodings[0] == encodings[1] and encodings[0] not in ("hashtable", "stream"):
                bodies = [("$", side[4][1][:-10]) if side[4][1] else side[4] for side in (left, right)]
                self.check_state(f"STATE DUMP {kind}/{encodings[0]} {shown}", *bodies)
