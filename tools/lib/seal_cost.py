"""What the seal costs (tools/bench --only seal): bytes of the log, processor time and instructions per SET, with
`aof-seal` yes and no, values of 150 bytes. Here `ours` is with seals and `theirs` without, both by our server."""
import os
import re
import statistics
import subprocess
import sys

from resp import encode
from servers import ROOT, binary, info

VALUE = 150
MOST_BYTES = 3.0
MOST_WORK = 2.0


def run(server, requests, clients, pipeline):
    before = server.cpu_seconds()
    subprocess.run([binary("redis-benchmark"), "-p", str(server.port), "-n", str(requests), "-c", str(clients), "-P",
                    str(pipeline), "-r", "100000", "-d", str(VALUE), "-t", "set", "-q"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600)
    return (server.cpu_seconds() - before) / requests * 1e6


def log_bytes(server):
    folder = os.path.join(server.directory, "appendonlydir")
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".incr.aof"))


def sealed_share(bench, policy, clients, pipeline):
    """Bytes beside the records, in percent of these, and the bytes of a batch."""
    settings = {"appendonly": "yes", "appendfsync": policy, "auto-aof-rewrite-percentage": "0"}
    with bench.server("ours", settings).start() as server:
        requests = bench.scale(20000 if clients == 1 else 200000)
        run(server, requests, clients, pipeline)
        plain = len(encode(("SET", "key:" + "0" * 12, "x" * VALUE))) * requests + len(encode(("SELECT", 0)))
        with server.client() as client:
            batches = int(info(client, "persistence")["aof_batches"])
        return (log_bytes(server) - plain) / plain * 100, plain / batches


def instructions(policy, pipeline, seal):
    """User-mode instructions per SET, counted by valgrind."""
    words = ["--appendonly", "yes", "--appendfsync", policy, "--aof-seal", seal]
    command = [sys.executable, os.path.join(ROOT, "tools", "profile"), "--pipeline", str(pipeline), "--top", "0"]
    for word in words:
        command.append("--option=" + word)
    done = subprocess.run(command + ["--", "SET", "key:__rand_int__", "v" * VALUE], capture_output=True, text=True,
                          timeout=600, check=True)
    return float(re.search(r"(\d+) instructions per command", done.stdout).group(1))


def processor_time(bench, policy, pipeline):
    """Microseconds per SET, medians of rounds that alternate: without seals, with."""
    settings = {"appendonly": "yes", "appendfsync": policy, "auto-aof-rewrite-percentage": "0"}
    servers = {seal: bench.server("ours", dict(settings, **{"aof-seal": seal})).start() for seal in ("no", "yes")}
    values = {"no": [], "yes": []}
    for _ in range(bench.options.rounds):
        for seal, server in servers.items():
            values[seal].append(run(server, bench.scale(200000), 50, pipeline))
    for server in servers.values():
        server.kill()
    return statistics.median(values["no"]), statistics.median(values["yes"])


def bench_seal(bench):
    print(f"# the seal's cost, SET of {VALUE} bytes; wanted: bytes at most {MOST_BYTES} %, work at most {MOST_WORK} %")
    for policy in ("everysec", "always"):
        for clients, pipeline in ((50, 1), (50, 16), (1, 1)):
            share, batch = sealed_share(bench, policy, clients, pipeline)
            name = f"{policy}, {clients} clients P{pipeline}"
            # Of a lone client each batch is one record, whatever the seal.
            verdict = "a record a batch" if clients == 1 else "ok" if share <= MOST_BYTES else "TOO MUCH"
            print(f"{name:28} +{share:.2f} % bytes, batches of {batch:,.0f} bytes: {verdict}", flush=True)
            if verdict == "TOO MUCH":
                bench.failed += 1
            bench.rows.append({"name": "seal: bytes, " + name, "unit": "%", "ours": share, "theirs": 0, "ratio": 0})
    for policy in ("everysec", "always"):
        for pipeline in (1, 16):
            without, with_seal = processor_time(bench, policy, pipeline)
            print(f"{policy}, 50 clients P{pipeline}: {without:.2f} us of processor per SET without, "
                  f"{with_seal:.2f} with ({(with_seal / without - 1) * 100:+.1f} %)", flush=True)
    for pipeline in (1, 16):
        without, with_seal = (instructions("everysec", pipeline, seal) for seal in ("no", "yes"))
        print(f"everysec, 10 clients P{pipeline}: {without:.0f} instructions per SET without, {with_seal:.0f} with "
              f"({(with_seal / without - 1) * 100:+.1f} %)", flush=True)
