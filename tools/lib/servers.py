"""Starts private servers (ours or a stock redis-server), waits until they answer, and takes them down again.

Every server gets a port and a directory of its own, dies with the tool that started it, and is only ever
signalled by its own process id.
"""
import atexit
import ctypes
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from resp import Client, Disconnected

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SWIFT_REDIS_BUILD", ".build")       # another build folder: tools/lib/sanitize
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_started = []


class StartFailed(Exception):
    """The server ended, or never answered, before it was ready."""


def binary(which, configuration=None):
    """Path of a program: `ours`, `ours-check-rdb`, `ours-check-aof`, `redis`, `redis-check-rdb` …, or a path."""
    if which.startswith("ours"):
        name = "swift-redis" + (which[4:] or "-server")
        for choice in [configuration] if configuration else ["release", "debug"]:
            path = os.path.join(ROOT, BUILD, choice, name)
            if os.path.exists(path):
                return path
        raise SystemExit(f"no {name} in {BUILD}/{configuration or '{release,debug}'}: build it first (swift build)")
    if which == "redis":
        which = "redis-server"
    found = which if "/" in which else shutil.which(which)
    if not found or not os.path.exists(found):
        raise SystemExit(f"{which} is not installed (apt-get install redis-server redis-tools)")
    return found


_ports = itertools.count(random.SystemRandom().randrange(10_000))


def free_port():
    """None that the kernel gives to outgoing connections, which could take it before the server does; nor one that a
    unit test may try (from 20,000 on)."""
    for _ in range(10_000):
        port = 10_000 + next(_ports) % 10_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StartFailed("no free port")


def scratch(prefix="swift-redis-"):
    """A temporary directory that is removed at the end of the tool."""
    path = tempfile.mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


class Server:
    """One server process. `options` maps directive to value (a list gives several values). With `tls`, an SSLContext of
    its clients, it listens on a TLS port alone (certificates are among the options)."""

    def __init__(self, which, options=None, directory=None, configuration=None, environment=None, tls=None):
        self.which = which
        self.configuration = configuration
        self.path = binary(which, configuration)
        self.directory = directory or scratch()
        self.options = {"save": "", "appendonly": "no", "enable-debug-command": "yes",
                        "bind": "127.0.0.1", "protected-mode": "no", "daemonize": "no"}
        self.options.update(options or {})
        self.environment = environment
        self.tls = tls
        self.process = None
        self.port = 0
        self.log_path = os.path.join(self.directory, "server.log")

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def command_line(self):
        line = [self.path, "--port", str(0 if self.tls else self.port), "--dir", self.directory]
        if self.tls:
            line += ["--tls-port", str(self.port)]
        for name, value in self.options.items():
            line.append("--" + name)
            line.extend([str(item) for item in value] if isinstance(value, list) else [str(value)])
        return line

    def start(self, wait=True, seconds=60):
        for attempt in range(4):
            self.port = free_port()
            environment = dict(os.environ, **(self.environment or {}))
            self._log_start = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen(self.command_line(), stdout=log, stderr=log, env=environment,
                                                stdin=subprocess.DEVNULL, cwd=self.directory,
                                                preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
            _started.append(self.process)
            if not wait:
                return self
            try:
                return self.wait_ready(seconds)
            except StartFailed:
                if "Failed listening" not in self.log() or attempt == 3:
                    raise
        return self

    def log(self):
        """What this run of the server has printed."""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "backslashreplace")

    def wait_ready(self, seconds=60):
        """Returns when PING is answered with PONG (loading is done)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartFailed(f"{self.which} ended with status {self.process.returncode}:\n{self.log()[-2000:]}")
            try:
                with self.client(timeout=5) as client:
                    if client.call("PING") in (("+", b"PONG"), ("-", b"NOAUTH Authentication required.")):
                        return self
            except (Disconnected, TimeoutError):
                pass
            time.sleep(0.005)
        self.kill()
        raise StartFailed(f"{self.which} was not ready after {seconds} s:\n{self.log()[-2000:]}")

    def client(self, protocol=2, timeout=20.0):
        return Client(self.address, protocol, timeout, self.tls)

    def kill(self):
        """SIGKILL, and wait for the end."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
            if self.process in _started:
                _started.remove(self.process)

    def stop(self, seconds=20):
        """SIGTERM; SIGKILL when it does not end in time. Returns the exit status (negative: a signal)."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        status = self.process.poll() if self.process else None
        self.kill()
        return status

    def cpu_seconds(self):
        """User + system time of the process so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.kill()


@atexit.register
def _reap():
    for process in _started:
        if process.poll() is None:
            process.kill()


def io_threads(count):
    """Options of a server with that many I/O threads, which share even a single client's work; none: none."""
    if not count:
        return {}
    return {"io-threads": count, "io-threads-do-reads": "yes", "io-threads-always-active": "yes"}


def info(client, section="everything"):
    """INFO as a dictionary of strings."""
    kind, payload = client.call("INFO", section)
    text = payload.decode() if kind in "$=" else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def wait_for(condition, seconds, what):
    """Polls until `condition()` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {seconds} s")
        time.sleep(0.01)
