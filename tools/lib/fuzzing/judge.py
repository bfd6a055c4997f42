"""One directory of files, put before the server and the check tools: what each makes of it, and the count of all."""
import collections
import os
import re
import subprocess
import tempfile
import threading
import time

from fuzzing.target import IS_SANITIZED, RESIDENT, died, limit_memory
from resp import Disconnected, ProtocolError
from servers import Server, StartFailed, binary

NUMBER = re.compile(r"(?:offset|position|byte|line|at|up to|up_to|0x)\D{0,12}\d+", re.I)
KEPT = re.compile(r"\.(torn|damaged)-\d+")
ROWS = (("damages", "damaged files", ("loaded", "refused", "silently wrong", "died or hung")),
        ("torn", "torn ends of logs", ("loaded", "did not boot", "other data")),
        ("repairs", "cuts, by a start or --fix", ("cut bytes thrown away", )),
        ("refusals", "refusals", ("without file or position", )), ("fine", "called good by a check tool",
                                                                   ("refused or misread by the server", )),
        ("bad", "called damaged by a check tool", ("loaded by the server nevertheless", )),
        ("fixes", "--fix results", ("did not load, or other data", )), ("salvages", "--salvage results",
                                                                        ("did not load", )))


class Tally:
    """How often each thing happened; the table that is printed at the end."""

    def __init__(self):
        self.lock, self.counts = threading.Lock(), collections.Counter()

    def add(self, row, *columns):
        with self.lock:
            self.counts[row] += 1
            for column in columns:
                self.counts[row, column] += 1

    def show(self):
        for row, title, columns in ROWS:
            if self.counts[row]:
                parts = ", ".join(f"{column} {self.counts[row, column]}" for column in columns)
                print(f"  {title}: {self.counts[row]}: {parts}", flush=True)


class Outcome:
    """What came of a start. `kind`: loaded, refused, died, hangs."""

    def __init__(self, kind, text, digest=None, kept=None, resident=0):
        self.kind, self.text, self.digest, self.kept, self.resident = kind, text, digest, kept or [], resident


def boot(options, directory, settings, upset=None):
    """Starts a server there, and walks and saves what it has. `upset(server, client)`: a planted bug."""
    server = Server(options.server, settings, directory, options.config)
    try:
        server.start(seconds=options.patience)
        with server.client(timeout=options.patience) as client:
            if upset:
                upset(server, client)
            _, digest, _ = [client.call(*command) for command in (("DBSIZE", ), ("DEBUG", "DIGEST"), ("SAVE", ))]
            return Outcome("loaded", server.log(), digest, kept_files(directory), server.rss_bytes())
    except (Disconnected, ProtocolError, TimeoutError) as error:
        try:
            server.process.wait(2)
        except subprocess.TimeoutExpired:
            pass
        return Outcome(
            "died", f"loaded it, then {type(error).__name__} (status {server.process.poll()}): {server.log()[-600:]}")
    except StartFailed as error:
        status, text = server.process.returncode, server.log()
        if "was not ready" in str(error):
            return Outcome("hangs", text)
        return Outcome("died" if died(status) else "refused", text)
    finally:
        server.kill()


def kept_files(directory):
    """Paths of what was put aside."""
    return sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names if KEPT.search(name))


class Verdict:
    """What a check tool said: exit status, text, and what is wrong with how it said it."""

    def __init__(self, status, text, problems):
        self.status, self.text, self.problems = status, text, problems


def check(options, name, *arguments, size=0, clear=True):
    """Runs a check tool. `clear`: a status other than 0 must come with a position."""
    try:
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen([binary(name, options.config), *arguments],
                                       stdout=output,
                                       stderr=output,
                                       stdin=subprocess.DEVNULL,
                                       preexec_fn=limit_memory)
            deadline = time.monotonic() + options.patience
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > deadline:
                    process.kill()      # the process itself is reaped here, not by subprocess
                    os.wait4(process.pid, 0)
                    process.returncode = -9
                    return Verdict(-9, "", [f"{name}: hangs"])
                time.sleep(0.002)
            process.returncode = status = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
    except OSError as error:
        return Verdict(-1, "", [f"{name}: {error}"])
    problems = []
    what = " ".join([name, *[word for word in arguments if word.startswith("-")]])
    if died(status):
        problems.append(f"{what}: died with status {status}: {text[-600:]}")
    if not IS_SANITIZED and usage.ru_maxrss * 1024 > RESIDENT + 20 * size:
        problems.append(f"{what}: {usage.ru_maxrss >> 10} MB resident")
    # What is missing or empty has no positions, nor has what is good and only another file than the one compared with.
    is_clear = NUMBER.search(text) or "No such file or directory" in text or "empty AOF manifest" in text or (
        status == 4 and "--diff" in arguments)
    if clear and status != 0 and not died(status) and not name.startswith("redis") and not is_clear:
        problems.append(f"{what}: status {status} without a position: {text[-300:]!r}")
    return Verdict(status, text, problems)


def contents(path):
    """A file's bytes."""
    with open(path, "rb") as file:
        return file.read()
