"""A server under fire, and what it may not do: die, hang, lose count of its replies, or keep memory."""
import random
import re
import resource
import signal
import subprocess
import time

from resp import Disconnected, ProtocolError, encode, quote
from servers import BUILD, Server

MEMORY = 3 << 30      # address space of a process under test grows no further
RESIDENT = 600 << 20      # resident memory that some kilobytes of bad input may cost
GROWTH = 48 << 20      # what a server may hold after a run, when all keys are gone, beyond what it held early in it
IS_SANITIZED = re.search("asan|tsan", BUILD) is not None      # shadow and quarantine make memory say nothing


def died(status):
    return status is not None and (status < 0 or 128 <= status <= 160)


def limit_memory():
    """What a process under test is started with."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not IS_SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


class Barrage:
    """Batches of commands on one server.

    `batch(chance, number)` gives the commands of a batch, or raw bytes; `check(commands, replies)` what is odd about
    the replies (a list of texts). `plant(command)` stands for a bug of the server's: it dies of such a command, and
    the fuzzer must have sent one. `raw`: batches are bytes, and a connection of its own takes each to its end."""

    def __init__(self, options, name, batch, check=None, settings=None, plant=None, protocols=(2, 3)):
        self.options, self.name, self.batch, self.check, self.plant = options, name, batch, check, plant
        self.protocols = protocols
        self.problems, self.passed, self.early = [], 0, None
        self.server = Server(options.server,
                             dict({"proto-max-bulk-len": "1mb"}, **(settings or {})),
                             configuration=options.config)
        self.client = None

    def run(self, rounds, before=None):
        """Gives (passed, problems). `before(client)` prepares each new connection."""
        begin = time.monotonic()
        self.server.start()
        try:
            for number in range(rounds):
                self.one(number, before)
                if number % 25 == 24 or number == rounds - 1:
                    self.weigh(number, rounds)
                if len(self.problems) >= 10 or (self.plant and self.problems):
                    break
        finally:
            self.server.kill()
        if not self.plant:
            print(f"{self.name}: {self.passed} run, {time.monotonic() - begin:.1f} s", flush=True)
        return self.passed, self.problems

    def one(self, number, before):
        chance = random.Random(f"{self.options.seed}/{self.name}/{number}")
        commands = []
        try:
            if self.client is None:
                self.client = self.server.client(protocol=chance.choice(self.protocols), timeout=self.options.patience)
                if before:
                    before(self.client)
            commands = self.batch(chance, number)
            replies = self.ask(commands, number)
            for oddity in self.check(commands, replies) if self.check else []:
                self.tell(number, oddity)
            self.passed += len(commands)
        except (Disconnected, ProtocolError, TimeoutError, ValueError, IndexError) as error:
            self.client = None
            try:
                self.server.process.wait(2)
            except subprocess.TimeoutExpired:
                pass
            shown = "; ".join(" ".join(quote(as_bytes(word))[:100] for word in command) for command in commands)
            self.tell(
                number, f"{type(error).__name__} {error}, status {self.server.process.poll()}; {shown}"[-3000:] +
                self.server.log()[-800:])
            self.server.kill()
            self.server.start()

    def ask(self, commands, number):
        """The replies, without what is pushed between them."""
        if self.plant and any(self.plant([as_bytes(word) for word in command]) for command in commands):
            self.server.process.send_signal(signal.SIGILL)
            self.server.process.wait()
        marker = b"end %d" % number
        self.client.send_raw(b"".join(encode(command) for command in commands) + encode(("ECHO", marker)))
        replies = [self.reply() for _ in range(len(commands) + 1)]
        if replies.pop() != ("$", marker):
            raise ProtocolError("replies out of step")
        return replies

    def reply(self):
        while True:
            reply = self.client.read()
            if reply[0] != ">":
                return reply

    def tell(self, number, text):
        self.problems.append(f"{self.name} {self.options.seed}/{number}: {text}")

    def weigh(self, number, rounds):
        """Memory now, and with all keys gone at two moments of the run."""
        if IS_SANITIZED or self.server.process.poll() is not None:
            return
        if self.server.rss_bytes() > RESIDENT:
            self.tell(number, f"{self.server.rss_bytes() >> 20} MB resident")
        is_last = number == rounds - 1
        if not is_last and (self.early is not None or number < rounds // 4):
            return
        try:
            with self.server.client(timeout=self.options.patience) as client:
                for command in (("FLUSHALL", ), ("SCRIPT", "FLUSH"), ("FUNCTION", "FLUSH"), ("SLOWLOG", "RESET"),
                                ("MEMORY", "PURGE")):
                    client.call(*command)
        except (Disconnected, ProtocolError, TimeoutError):
            return      # the next batch tells it
        held = self.server.rss_bytes()
        if is_last and self.early is not None and held > self.early + GROWTH:
            self.tell(
                number, f"memory grows: {self.early >> 20} MB resident with no keys early in the run, "
                f"{held >> 20} MB at its end")
        if self.early is None:
            self.early = held


def as_bytes(word):
    return word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")


NUMBERS = [
    b"0", b"1", b"-1", b"2", b"3", b"10", b"100", b"-2", b"127", b"128", b"255", b"256", b"65535", b"65536",
    b"2147483647", b"2147483648", b"-2147483648", b"-2147483649", b"4294967295", b"4294967296", b"9223372036854775807",
    b"-9223372036854775808", b"9223372036854775808", b"18446744073709551615", b"18446744073709551616",
    b"99999999999999999999", b"4611686018427387904", b"-4611686018427387905"
]
FLOATS = [
    b"0", b"-0", b"0.5", b"-1.5", b"1e308", b"-1e308", b"1e309", b"5e-324", b"inf", b"-inf", b"+inf", b"nan", b"-nan",
    b"0x10", b"1e", b".", b"1.7976931348623157e308", b"9007199254740993", b"3.0e-320", b"infinity", b"1 ", b" 1"
]
BYTES = [b"", b" ", b"\x00", b"\xff\xfe", b"\r\n", b"*", b"a" * 70, b"\xc3\xa9", b"%s%n", b"[", b"\\", b"{", b"(", b"~"]


def nasty(chance):
    """One argument that nobody would send on purpose."""
    kind = chance.random()
    if kind < 0.4:
        return chance.choice(NUMBERS)
    if kind < 0.6:
        return chance.choice(FLOATS)
    if kind < 0.8:
        return chance.choice(BYTES)
    if kind < 0.97:
        return chance.randbytes(chance.randrange(12))
    return chance.randbytes(1) * chance.choice((100, 1000, 20_000))


def mutated(chance, words, vocabulary=()):
    """A command line with one to three things wrong with it; the command's name stays."""
    words = [as_bytes(word) for word in words]
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(1, len(words)) if len(words) > 1 else 1
        what = chance.randrange(7)
        if what == 0 and len(words) > 1:
            del words[at]
        elif what == 1 and len(words) > 1:
            words.insert(at, words[at])
        elif what == 2 and len(words) > 2:
            other = chance.randrange(1, len(words))
            words[at], words[other] = words[other], words[at]
        elif what == 3 and vocabulary:
            words.insert(at, as_bytes(chance.choice(vocabulary)))
        elif what == 4:
            words.insert(at, nasty(chance))
        elif what == 5 and len(words) > 1:
            del words[at + 1:]
        elif len(words) > 1:
            words[at] = nasty(chance)
    return words
