"""redis-cli, redis-benchmark and the exporter."""
import json
import os
import re
import select
import subprocess
import time
import urllib.request

from clients import slow
from servers import Server, free_port, scratch, wait_for


def cli(server, *words, text="", seconds=60, status=0):
    done = subprocess.run(["redis-cli", "-p", str(server.port), *words], input=text, capture_output=True, text=True,
                          timeout=seconds)
    assert status is None or done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def shows(server, wanted, *words):
    """Whether a mode that may never end prints what is wanted."""
    process = subprocess.Popen(["stdbuf", "-oL", "redis-cli", "-p", str(server.port), *words], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    said, deadline = b"", time.monotonic() + 60
    while not re.search(wanted, said, re.M) and time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 1)[0]:
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                break
            said += part
    process.terminate()
    process.communicate(timeout=60)
    return re.search(wanted, said, re.M) is not None


def fill(server):
    commands = "".join(f"SET s{n} x{'x' * n}\r\nRPUSH l{n % 5} {n}\r\nHSET h{n % 3} f{n} v\r\nZADD z {n} m{n}\r\n"
                       for n in range(200))
    out = cli(server, "--pipe", text=commands)
    assert "errors: 0, replies: 800" in out, out


def redis_cli_looks_at_all_keys(server):
    fill(server)
    assert len(cli(server, "--scan").split()) == 209
    assert len(cli(server, "--scan", "--pattern", "l*").split()) == 5
    out = cli(server, "--bigkeys")
    assert "209 keys in the keyspace" in out and "Biggest string" in out, out
    out = cli(server, "--memkeys")
    assert "209 keys in the keyspace" in out, out
    cli(server, "config", "set", "maxmemory-policy", "allkeys-lfu")
    for _ in range(5):
        cli(server, "get", "s7")
    assert "hot key" in cli(server, "--hotkeys")


def redis_cli_takes_dumps(server):
    fill(server)
    cli(server, "function", "load", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
    for option, wanted in (("--rdb", (b"redis.register_function", b"s199")), ("--functions-rdb", (b"lib",))):
        path = os.path.join(scratch(), "remote.rdb")
        assert "Transfer finished with success" in cli(server, option, path)
        with open(path, "rb") as file:
            dump = file.read()
        assert dump.startswith(b"REDIS00") and all(word in dump for word in wanted), (option, dump[:200])
        assert option == "--rdb" or b"s199" not in dump


def redis_cli_formats(server):
    cli(server, "hset", "h", "f", "v")
    assert cli(server, "--csv", "lrange", "none", "0", "-1").strip() == ""
    assert json.loads(cli(server, "-3", "--json", "hgetall", "h")) == {"f": "v"}
    assert cli(server, "-3", "--no-raw", "hgetall", "h") == '1# "f" => "v"\n'
    assert cli(server, "--no-raw", "hgetall", "h") == '1) "f"\n2) "v"\n'
    assert cli(server, "--csv", "hgetall", "h") == '"f","v"\n'
    assert cli(server, "-n", "3", "set", "k", "v") == "OK\n" and cli(server, "-n", "3", "get", "k") == "v\n"
    assert cli(server, "-x", "set", "k", text="from stdin") == "OK\n" and cli(server, "get", "k") == "from stdin\n"
    assert cli(server, "-r", "3", "incr", "n") == "1\n2\n3\n"
    assert "ERR" in cli(server, "-e", "incr", "k", status=1)
    script = os.path.join(scratch(), "s.lua")
    with open(script, "w") as file:
        file.write("return {KEYS[1], ARGV[1], redis.call('incr', KEYS[1])}")
    assert cli(server, "--eval", script, "key", ",", "arg") == "key\narg\n1\n"
    assert "# Server" in cli(server, "info", "server") and "arity" not in cli(server, "command", "count")
    assert cli(server, text="SET a 1\nGET a\n").split() == ["OK", "1"]


def redis_cli_watches(server):
    assert shows(server, rb"^\d", "--stat")
    assert shows(server, rb"\d+ \d+ \d", "--latency")
    assert shows(server, rb"\d+ \d+ [\d.]+ \d+", "--latency-history", "-i", "1")
    monitor = subprocess.Popen(["redis-cli", "-p", str(server.port), "monitor"], stdout=subprocess.PIPE, text=True)
    assert monitor.stdout.readline() == "OK\n"
    cli(server, "set", "seen", "1")
    assert '"set" "seen" "1"' in monitor.stdout.readline()
    monitor.kill()
    listener = subprocess.Popen(["redis-cli", "-p", str(server.port), "subscribe", "ch"], stdout=subprocess.PIPE,
                                text=True)
    assert [listener.stdout.readline() for _ in range(3)] == ["subscribe\n", "ch\n", "1\n"]
    cli(server, "publish", "ch", "hello")
    assert [listener.stdout.readline() for _ in range(3)] == ["message\n", "ch\n", "hello\n"]
    listener.kill()


def redis_cli_is_told_what_is_not_there(server):
    """Modes that need replication or a cluster end with a reason, not in silence."""
    out = cli(server, "--replica", status=None)
    assert re.search("err|unknown|fail", out, re.I), out
    out = cli(server, "--cluster", "check", f"127.0.0.1:{server.port}", status=None)
    assert "cluster" in out.lower(), out
    assert "disabled" in cli(server, "cluster", "info")


def redis_benchmark(server, requests=300, tests=None):
    words = ["redis-benchmark", "-p", str(server.port), "-n", str(requests), "-q", "--csv"]
    out = subprocess.run(words + (["-t", tests] if tests else []), capture_output=True, text=True, timeout=300)
    assert out.returncode == 0 and "rror" not in out.stdout + out.stderr, out.stdout + out.stderr
    for name in ("SET", "GET", "INCR", "LPUSH", "LRANGE_600", "MSET", "ZADD", "SPOP"):
        assert f'"{name}' in out.stdout, (name, out.stdout)


@slow
def redis_benchmark_in_its_modes(server):
    for words in (["-P", "16"], ["-c", "200"], ["--threads", "2"], ["-r", "1000", "-d", "4096"], ["-3"], ["-k", "0"]):
        out = subprocess.run(["redis-benchmark", "-p", str(server.port), "-n", "5000", "-q", "-t", "set,get", *words],
                             capture_output=True, text=True, timeout=300)
        assert out.returncode == 0 and "rror" not in out.stdout + out.stderr, (words, out.stdout, out.stderr)
    out = subprocess.run(["redis-benchmark", "-p", str(server.port), "-n", "2000", "-r", "100", "zadd", "z",
                          "__rand_int__", "m"], capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr


def exposed(address):
    return urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()


def families(text):
    return dict(re.findall(r"^# TYPE (redis_\S+) (\w+)$", text, re.M))


def prometheus_exporter(server):
    """The exporter reads our INFO as it reads redis-server's, and our own page has all of its names."""
    def scraped(address):
        port = free_port()
        process = subprocess.Popen(["prometheus-redis-exporter", "-redis.addr", f"redis://{address[0]}:{address[1]}",
                                    "-web.listen-address", f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: answers(port), 10, "the exporter")
            return exposed(f"127.0.0.1:{port}")
        finally:
            process.kill()
            process.wait()

    def answers(port):
        try:
            return "redis_up 1" in exposed(f"127.0.0.1:{port}")
        except OSError:
            return False

    port = free_port()
    use = [("SET", "k", "v", "EX", "1000"), ("GET", "k"), ("INCR", "k"),
           ("CONFIG", "SET", "slowlog-log-slower-than", "0"), ("GET", "none")]
    stock = Server("redis", {"appendonly": "yes"}).start()
    try:
        for each in (stock, server):
            with each.client() as client:
                for command in use:
                    client.call(*command)
        theirs, ours = families(scraped(stock.address)), families(scraped(server.address))
        lost = {name: kind for name, kind in theirs.items() if ours.get(name) != kind}
        assert not lost, f"the exporter finds at redis-server, and not here: {lost}"
        with server.client() as client:
            assert client.call("CONFIG", "SET", "metrics-port", str(port))[0] == "+"
        page = families(exposed(f"127.0.0.1:{port}"))
        about_itself = re.compile("redis_exporter_|redis_last_key_groups|redis_target_scrape")
        lost = {name: kind for name, kind in theirs.items()
                if page.get(name) != kind and not about_itself.match(name)}
        assert not lost, f"not on our own page: {lost}"
    finally:
        stock.kill()


CHECKS = [redis_cli_looks_at_all_keys, redis_cli_takes_dumps, redis_cli_formats, redis_cli_watches,
          redis_cli_is_told_what_is_not_there, redis_benchmark, redis_benchmark_in_its_modes, prometheus_exporter]
