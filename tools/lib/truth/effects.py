"""Settings whose effect shows nowhere else in these parts."""

from certificates import Authority
from servers import scratch
from truth.probe import Probe, Server, log_that_fails, until


def migration(board, which, configuration):
    """bind-source-addr, and tls-cluster: how MIGRATE reaches the other server."""
    if which == "redis":
        return
    directory = scratch()
    authority, stranger = Authority(directory), Authority(directory, "other")
    certificate, key = authority.issue("server")
    secured = {"tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": authority.file}
    with Probe(board, which, {}, configuration) as target, Probe(board, which, secured, configuration) as source:
        source.set("bind-source-addr", "127.0.0.2")
        source.client.pipeline([("SET", f"k{i}", "x" * 100000) for i in range(40)])
        move = ("MIGRATE", "127.0.0.1", str(target.server.port))
        source.call(*move, "k0", "0", "5000", "AUTH2", "nobody", "wrong")
        entries = str(target.call("ACL", "LOG")[1])
        board.true("bind-source-addr", "ACL LOG of MIGRATE's target", entries[-300:], " addr=127.0.0.2:" in entries)
        said = source.call(*move, "k0", "0", "5000")
        board.true("bind-source-addr", "a key moves", str(said), said[1] == b"OK" and target.call("DBSIZE")[1] == 1)
        source.set("bind-source-addr", "192.0.2.1")
        said = source.call(*move, "k1", "0", "1000")
        board.true("bind-source-addr", "an address that is not ours", str(said), said[1].startswith(b"IOERR"))
        source.set("bind-source-addr", "")
        over_tls(board, which, configuration, source, secured, authority, stranger)


def over_tls(board, which, configuration, source, secured, authority, stranger):
    context = authority.client_context((secured["tls-cert-file"], secured["tls-key-file"]))
    with Server(which, secured, configuration=configuration, tls=context) as target:
        move = ("MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000")
        keys = ("KEYS", *(f"k{i}" for i in range(1, 40)))
        said = source.call(*move[:5], "500", *keys)
        board.true("tls-cluster", "no: a TLS port is not understood", str(said), said[1].startswith(b"IOERR"))
        source.set("tls-cluster", "yes")
        source.set("tls-ca-cert-file", stranger.file)
        said = source.call(*move, *keys)
        board.true("tls-cluster", "the target's authority is not ours", str(said), said[1].startswith(b"IOERR"))
        source.set("tls-ca-cert-file", authority.file)
        said = source.call(*move, *keys)
        with target.client() as client:
            board.true("tls-cluster", "yes: 39 keys of 100 KB move over TLS", str(said), said[1] == b"OK"
                       and client.call("DBSIZE")[1] == 39 and client.call("GET", "k7")[1] == b"x" * 100000
                       and source.call("DBSIZE")[1] == 0)


def scripts(board, which, configuration):
    with Probe(board, which, {}, configuration) as probe:
        probe.set("min-replicas-to-write", "1")
        said = probe.call("EVAL", "#!lua\nreturn 1", 0)
        board.true("min-replicas-to-write", "a script that may write", str(said), said[1].startswith(b"NOREPLICAS"))
        said = probe.call("EVAL", "#!lua flags=no-writes\nreturn 1", 0)
        board.true("min-replicas-to-write", "one that doesn't", str(said), said == (":", 1))
        probe.set("min-replicas-to-write", "0")
        if which != "redis":
            hungry = "local t = {} for i = 1, 300000 do t[i] = i .. 'x' end return #t"
            board.true("script-memory-limit", "1gb", "", probe.call("EVAL", hungry, 0) == (":", 300000))
            probe.set("script-memory-limit", "4mb")
            said = probe.call("EVAL", hungry + " ", 0)
            board.true("script-memory-limit", "4mb", str(said), said[0] == "-" and b"not enough memory" in said[1])
            board.true("script-memory-limit", "others run on", "", probe.call("EVAL", "return 5", 0) == (":", 5))


def failing_records(board, which, configuration):
    """propagation-error-behavior panic: a log with a record that fails is not loaded."""
    if which == "redis":
        return
    directory = log_that_fails(board, which, configuration)
    server = Server(which, {"appendonly": "yes", "propagation-error-behavior": "panic"}, directory, configuration)
    server.start(wait=False)
    ended = until(lambda: server.process.poll() is not None)
    board.true("propagation-error-behavior", "panic: the start ends", server.log()[-200:],
               ended and "propagation-error-behavior is panic" in server.log())
    server.kill()


def all_parts():
    return [migration, scripts, failing_records]
