"""CONFIG: every directive of Redis 7.4 (Fixtures/config.tsv) is got, set, refused as it should be, rewritten, and read
again by another start."""
import os

from certificates import Authority
from servers import ROOT, Server, free_port, scratch
from truth.probe import Probe, until

UNITS = ("sds", "string")
# Set to another value by themselves, with a reason why the ordinary way is not theirs.
NOT_SET = {
    "activedefrag": "refused: there is no active defragmentation, as in every build without jemalloc",
    "cluster-enabled": "yes stops the start: there is no cluster",
    "replicaof": "stops the start: there are no replicas",
    "daemonize": "the process would leave this tool; StartAndStopTests has it",
    "loadmodule": "stops the start: there are no modules",
    "rename-command": "stops the start: rights are given by users",
}
FILE_ONLY = ["include", "user", "list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"]


def table():
    with open(os.path.join(ROOT, "Fixtures", "config.tsv")) as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return [dict(zip(["name", "alias", "type", "flags", "default", "values", "notes"], row)) for row in rows]


def other_values(directory):
    """Values that are not the default, where the type alone does not tell one."""
    path = lambda name: os.path.join(directory, name)
    return {
        "dbfilename": "other.rdb", "replica-announce-ip": "10.1.2.3", "cluster-announce-ip": "10.1.2.3",
        "cluster-announce-hostname": "host.example", "cluster-announce-human-nodename": "node-1",
        "proc-title-template": "{title} {listen-addr}", "bind-source-addr": "127.0.0.1", "locale-collate": "C",
        "ignore-warnings": "ARM64-COW-BUG", "masteruser": "someone", "masterauth": "a \"secret\" 'x'",
        "requirepass": "pass word", "shutdown-on-sigint": "nosave now", "shutdown-on-sigterm": "save",
        "save": "100 10 1 1000", "client-output-buffer-limit": "normal 1000000000 500000000 60",
        "oom-score-adj-values": "1 100 300", "notify-keyspace-events": "AKE", "bind": "127.0.0.1 -::1",
        "latency-tracking-info-percentiles": "50 90 99.99", "maxmemory": "1073741824", "maxmemory-clients": "50%",
        "hz": "25", "loglevel": "verbose", "unixsocket": path("other.sock"), "unixsocketperm": "700",
        "pidfile": path("other.pid"), "aclfile": path("users.acl"), "cluster-config-file": "other.conf",
        "syslog-ident": "other", "appendfilename": "other.aof", "appenddirname": "otherdir",
        "logfile": path("other.log"),
        "req-res-logfile": path("rr.log"), "server-cpulist": "0", "bio-cpulist": "0", "aof-rewrite-cpulist": "0",
        "bgsave-cpulist": "0", "supervised": "auto", "tls-protocols": "TLSv1.3", "tls-ciphers": "HIGH",
        "tls-ciphersuites": "TLS_AES_128_GCM_SHA256", "databases": "20", "io-threads": "2", "tcp-backlog": "100",
        "socket-mark-id": "0", "proto-max-bulk-len": "1073741824", "client-query-buffer-limit": "2147483648",
        "appendfsync": "no", "rdb-key-save-delay": "1", "key-load-delay": "1", "maxclients": "5000",
        "min-replicas-to-write": "0", "timeout": "4000", "watchdog-period": "500",
        "loading-process-events-interval-bytes": "4096", "latency-monitor-threshold": "100",
    }


def another(row, special):
    """A value that is not the row's default."""
    if row["name"] in special:
        return special[row["name"]]
    default = row["default"]
    if row["type"] == "bool":
        return "no" if default == "yes" else "yes"
    if row["type"] == "enum":
        return next(word for word in row["values"].split("|") if word != default)
    low, high = row["values"].split("..")
    number = int(default) + 1
    return str(number if number <= int(high) else int(low))


def wrong(row):
    """A value that must be refused, and words of the refusal; None: every text is good."""
    kind = row["type"]
    if kind == "bool":
        return "maybe", "argument must be 'yes' or 'no'"
    if kind == "enum":
        return "nonsense", "must be one of the following"
    if kind in ("special",) or kind in UNITS or ".." not in row["values"]:
        return None
    if "memory-units" in row["notes"]:
        return "12parsecs", "argument must be a memory"
    if "octal" in row["notes"]:
        return "9z", "octal"
    return "nonsense", "argument couldn't be parsed into an integer"


def beyond(row):
    """A number outside of the bounds."""
    if ".." not in row["values"] or row["type"] in ("ulonglong",
        ) or "percent" in row["notes"] or "octal" in row["notes"]:
        return None
    low, high = (int(word) for word in row["values"].split(".."))
    if low > -(1 << 31):
        return str(low - 1) if low > 0 or row["type"] in ("int", "longlong") else None
    return str(high + 1) if high < (1 << 62) else None


class Own:
    """A server that is started by a configuration file alone."""

    def __init__(self, which, configuration, lines):
        self.directory = scratch()
        self.port = free_port()
        self.file = os.path.join(self.directory, "own.conf")
        base = [f"port {self.port}", f"dir {self.directory}", "enable-protected-configs yes"]
        with open(self.file, "w") as file:
            file.write("\n".join(base + lines) + "\n")
        self.which, self.configuration = which, configuration
        self.password = None

    def start(self, board):
        server = Server(self.which, {}, self.directory, self.configuration)
        server.command_line = lambda: [server.path, self.file]
        server.start(wait=False)
        server.port = self.port
        probe = Probe(board, self.which, server=server, wait=False)
        until(lambda: self.connects(probe, server), 30)
        return probe

    def connects(self, probe, server):
        if server.process.poll() is not None:
            raise AssertionError(f"did not start: {server.log()[-800:]}")
        try:
            client = server.client(timeout=30)
        except Exception:
            return False
        if self.password:
            client.call("AUTH", self.password)
        if client.call("PING")[1] != b"PONG":
            client.close()
            return False
        probe.client = client
        return True


def got(probe, name):
    """The value of one directive; None: there is no such one."""
    reply = probe.call("CONFIG", "GET", name)[1]
    return reply[1][1].decode() if reply else None


def same(row, one, other, whole=False):
    """Whether two values mean the same: words in any order, and limits of one class within those of all."""
    if row["name"] in ("client-output-buffer-limit",):
        return other in one if not whole else one == other
    if row["type"] == "special" or "multi-arg" in row["flags"]:
        return sorted(one.split()) == sorted(other.split())
    return one == other


def present(probe, row):
    return got(probe, row["name"]) is not None


def modifiable(board, which, configuration):
    own = Own(which, configuration, [])
    rows = [row for row in table() if row["type"] != "file-directive"]
    special = other_values(own.directory)
    with own.start(board) as probe:
        for row in rows:
            if not present(probe, row):
                board.left_out.append(row["name"])
                if which != "redis":
                    board.check(row["name"], False, "CONFIG GET knows it not")
                continue
            default(board, probe, row)
            if "immutable" in row["flags"]:
                refuses(board, probe, row, special.get(row["name"], "1"), "can't set immutable config")
            elif row["name"] == "activedefrag":
                refuses(board, probe, row, "yes", "Active defragmentation cannot be enabled")
            elif ordinary(row):
                refusals(board, probe, row)
                sets(board, probe, row, another(row, special))
        last(board, probe, own, special)
        wanted = {row["name"]: got(probe, row["name"]) for row in rows if present(probe, row)}
        reply = probe.call("CONFIG", "REWRITE")
        board.check("CONFIG REWRITE", reply[1] == b"OK", str(reply))
        probe.client.close()
        probe.client = None
        probe.server.stop()
    own.port = int(wanted["port"])
    own.password = special["requirepass"]
    with own.start(board) as probe:
        for row in rows:
            if row["name"] in wanted:
                value = got(probe, row["name"])
                board.true(row["name"], "rewritten, and read by another start", value,
                           same(row, value, wanted[row["name"]], whole=True))


def ordinary(row):
    """Set one by one, in any order."""
    return row["name"] not in ("dir", "port", "appendonly", "tls-port", "tls-cert-file", "tls-key-file",
                               "tls-key-file-pass", "tls-client-cert-file", "tls-client-key-file",
                               "tls-client-key-file-pass", "tls-dh-params-file", "tls-ca-cert-file", "tls-ca-cert-dir",
                               "tls-protocols", "tls-ciphers", "tls-ciphersuites", "tls-replication", "tls-cluster")


def default(board, probe, row):
    value, wanted = got(probe, row["name"]), row["default"].strip('"')
    here = {"dir": probe.server.directory, "port": str(probe.server.port), "enable-protected-configs": "yes",
            "bind": "* -::*", "pidfile": value}
    if probe.server.which == "redis" and row["name"] in ("syslog-facility", "watchdog-period"):
        return
    board.true(row["name"], f"the default is {wanted or 'empty'}", value,
               same(row, value, here.get(row["name"], wanted), whole=True))
    if row["alias"] != "-":
        board.true(row["name"], f"also by its old name {row['alias']}", str(got(probe, row["alias"])),
                   got(probe, row["alias"]) == value)


def refuses(board, probe, row, value, words):
    before = got(probe, row["name"])
    reply = probe.call("CONFIG", "SET", row["name"], value)
    text = reply[1].decode()
    prefix = f"ERR CONFIG SET failed (possibly related to argument '{row['name']}') - "
    board.true(row["name"], f"CONFIG SET {value} is refused", text,
               reply[0] == "-" and text.startswith(prefix) and words in text and got(probe, row["name"]) == before)


def refusals(board, probe, row):
    bad = wrong(row)
    if bad:
        refuses(board, probe, row, *bad)
    if bad and beyond(row):
        refuses(board, probe, row, beyond(row), "argument must be")


def sets(board, probe, row, value):
    reply = probe.call("CONFIG", "SET", row["name"], value)
    now = got(probe, row["name"])
    board.true(row["name"], f"CONFIG SET {value}", f"{now} ({reply[1].decode()})", reply[1] == b"OK" and same(row,
        now, value))


def last(board, probe, own, special):
    """Those that need others, or move the server."""
    rows = {row["name"]: row for row in table()}
    authority = Authority(own.directory)
    certificate, key = authority.issue("server")
    locked, locked_key = authority.issue("locked", password="key word")
    parameters = os.path.join(own.directory, "dh.pem")
    with open(parameters, "w") as file:
        file.write(DH_PARAMETERS)
    together = {"tls-cert-file": locked, "tls-key-file": locked_key, "tls-key-file-pass": "key word",
                "tls-client-cert-file": certificate, "tls-client-key-file": key, "tls-dh-params-file": parameters,
                "tls-ca-cert-file": authority.file, "tls-ca-cert-dir": own.directory,
                "tls-protocols": "TLSv1.2 TLSv1.3",
                "tls-ciphers": "HIGH", "tls-ciphersuites": "TLS_AES_128_GCM_SHA256", "tls-cluster": "yes",
                "tls-replication": "yes", "tls-port": str(free_port()), "tls-client-key-file-pass": "unused"}
    reply = probe.call("CONFIG", "SET", *sum(([name, value] for name, value in together.items()), []))
    for name, value in together.items():
        now = got(probe, name)
        if now is not None:
            board.true(name, f"CONFIG SET {os.path.basename(value)}, with the other tls-… ones",
                       f"{now} ({reply[1].decode()[:80]})", now == value)
    other = os.path.join(own.directory, "elsewhere")
    os.mkdir(other)
    for name, value in [("dir", other), ("port", str(free_port()))]:
        sets(board, probe, rows[name], value)
    probe.server.port = int(got(probe, "port"))
    with probe.server.client() as client:
        board.true("port", "clients are taken at the new port", got(probe, "port"),
                   client.call("AUTH", special["requirepass"])[1] == b"OK")
    refuses(board, probe, rows["appendonly"], "maybe", "argument must be 'yes' or 'no'")
    sets(board, probe, rows["appendonly"], "yes")
    until(lambda: probe.field("aof_rewrite_in_progress") == "0")


def immutable(board, which, configuration):
    """Another value in the file of a start; CONFIG REWRITE keeps it; the next start reads it again."""
    own = Own(which, configuration, [])
    special = other_values(own.directory)
    with open(special["aclfile"], "w") as file:
        file.write("user default on nopass ~* &* +@all\n")
    with own.start(board) as probe:
        rows = [row for row in table() if "immutable" in row["flags"] and row["type"] != "file-directive"
                and row["name"] not in NOT_SET and row["name"] != "enable-protected-configs" and present(probe, row)]
        probe.server.stop()
    wanted = {row["name"]: another(row, special) for row in rows}
    with open(own.file, "a") as file:
        for name, value in wanted.items():
            file.write(f'{name} "{value}"\n')
    for how in ["another value in the file", "after CONFIG REWRITE and another start"]:
        with own.start(board) as probe:
            for row in rows:
                value = got(probe, row["name"])
                board.true(row["name"], how, value, same(row, value, wanted[row["name"]]))
            reply = probe.call("CONFIG", "REWRITE")
            board.check("CONFIG REWRITE", reply[1] == b"OK", str(reply))
            probe.client.close()
            probe.client = None
            probe.server.stop()
    for name, why in NOT_SET.items():
        board.still(name, why, "not set")


def in_files(board, which, configuration):
    """What only files hold."""
    more = os.path.join(scratch(), "more.conf")
    with open(more, "w") as file:
        file.write("maxmemory-samples 7\n")
    own = Own(which, configuration, [
        f"include {more}", "user alice on nopass ~a* +get", "list-max-ziplist-entries 512", "list-max-ziplist-value 64",
        "lua-replicate-commands yes"])
    for round_number in (1, 2):
        with own.start(board) as probe:
            how = "in the file" if round_number == 1 else "after CONFIG REWRITE"
            board.true("include", how, got(probe, "maxmemory-samples"), got(probe, "maxmemory-samples") == "7")
            users = [line.decode() for _, line in probe.call("ACL", "LIST")[1]]
            board.true("user", how, users[-1] if users else "", any("alice" in line and "~a*" in line
                for line in users))
            for name in FILE_ONLY[2:]:
                board.still(name, "accepted, without a meaning, as in Redis", how)
            probe.call("CONFIG", "REWRITE")
    for name in ("loadmodule", "rename-command"):
        if which != "redis":
            refused = Own(which, configuration, [f"{name} one two"])
            try:
                refused.start(board).__exit__()
                said = "it started"
            except AssertionError as error:
                said = str(error)[-200:]
            board.true(name, "stops the start, with a reason", " ".join(said.split()), said != "it started")


# RFC 7919, ffdhe2048.
DH_PARAMETERS = """-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


def all_parts():
    return [modifiable, immutable, in_files]
