"""Parts of tools/network: what clients may take, and what their sockets are told."""
import re
import socket
import subprocess
import time

from resp import Disconnected, encode
from servers import Server, info, io_threads, scratch, wait_for

MB = 1 << 20
PONG = ("+", b"PONG")
OK = ("+", b"OK")


def serve(arguments, **settings):
    options = io_threads(arguments.io_threads)
    options.update({name.replace("_", "-"): value for name, value in settings.items()})
    return Server(arguments.server, options, scratch("network-"), arguments.config).start()


def is_gone(client, seconds=40):
    """Whether the server ends the connection."""
    client.socket.settimeout(seconds)
    try:
        while client.socket.recv(1 << 20):
            pass
        return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def is_served(client):
    try:
        return client.call("PING") == PONG
    except (Disconnected, TimeoutError):
        return False


def half_a_request(client, size):
    send_until_gone(client, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (size * 2) + b"x" * size)


def stat(client, name, section="stats"):
    return int(info(client, section)[name])


def send_until_gone(client, data):
    """The server may be done with the client before it has sent everything."""
    try:
        client.send_raw(data)
    except Disconnected:
        pass


def eviction_of_clients(place, arguments):
    """maxmemory-clients: the biggest go, CLIENT NO-EVICT protects, the rest is served; counted and logged."""
    with serve(arguments, maxmemory_clients="3mb") as server, server.client() as control:
        assert control.call("CLIENT", "NO-EVICT", "ON") == OK
        small = [server.client() for _ in range(10)]
        for client in small:
            half_a_request(client, 50_000)
        big, protected = server.client(), server.client()
        assert protected.call("CLIENT", "NO-EVICT", "ON") == OK
        half_a_request(protected, 400_000)
        time.sleep(0.2)
        wait_for(lambda: stat(control, "mem_clients_normal", "memory") > 1_500_000, 40, "half requests are held")
        assert stat(control, "evicted_clients") == 0
        half_a_request(big, 2 * MB)
        assert is_gone(big), "the biggest client"
        wait_for(lambda: stat(control, "evicted_clients") >= 1, 40, "the eviction is counted")
        assert stat(control, "evicted_clients") == 1, info(control, "stats")["evicted_clients"]
        for client in [*small, protected]:
            client.socket.settimeout(0.05)
            try:
                assert client.socket.recv(1), "a smaller client, or a protected one, was evicted"
            except TimeoutError:
                pass
        assert "Evicting client: id=" in server.log(), server.log()[-500:]
        # Output that is not taken, queued commands, names of channels: all of it counts.
        control.call("SETRANGE", "big", 16 * MB, "x")
        greedy = server.client()
        greedy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        send_until_gone(greedy, encode(("GET", "big")) * 50)
        wait_for(lambda: stat(control, "evicted_clients") == 2, 40, "eviction of a client that takes no replies")
        queueing = server.client()
        queueing.call("MULTI")
        send_until_gone(queueing, encode(("SET", "k", b"x" * 100_000)) * 40)
        assert is_gone(queueing), "a client with a long queue"
        listening = server.client()
        send_until_gone(listening, b"".join(encode(("SUBSCRIBE", b"%d" % number + b"x" * 100_000))
                                            for number in range(40)))
        assert is_gone(listening), "a client that listens to long names"
        waiting = server.client()
        send_until_gone(waiting, encode(("BLPOP", b"x" * (3 * MB), "0")))
        assert is_gone(waiting), "a waiting client"
        assert stat(control, "evicted_clients") == 5
        # No limit, then one that everybody is over; a share of maxmemory.
        assert control.call("CONFIG", "SET", "maxmemory-clients", 0) == OK
        half_a_request(other := server.client(), 3 * MB)
        time.sleep(0.2)
        assert stat(control, "evicted_clients") == 5
        assert control.call("CONFIG", "SET", "maxmemory-clients", "10%", "maxmemory", 20 * MB) == OK
        assert is_gone(other), "a share of maxmemory"
        assert is_served(control) and is_served(server.client())
    return "input, output, queue, names, waiting"


def query_buffer_limit(place, arguments):
    """client-query-buffer-limit counts what is unexecuted, queued commands too; disconnections are counted."""
    with serve(arguments, client_query_buffer_limit="1mb") as server, server.client() as control:
        long = server.client()
        long.send_raw(b"*2\r\n$4\r\nECHO\r\n$3000000\r\n" + b"x" * 1_200_000)
        assert is_gone(long)
        assert stat(control, "client_query_buffer_limit_disconnections") == 1
        queueing = server.client()
        queueing.call("MULTI")
        try:
            queueing.send_raw(encode(("SET", "k", b"x" * 1000)) * 3000)
        except Disconnected:
            pass
        assert is_gone(queueing)
        assert stat(control, "client_query_buffer_limit_disconnections") == 2
        assert control.call("EXISTS", "k") == (":", 0)
        assert "Closing client that reached max query buffer length" in server.log()
    return "input, queue"


def output_limits(place, arguments):
    """client-output-buffer-limit of the pubsub class: the hard limit at once, the soft one after its seconds."""
    with serve(arguments, client_output_buffer_limit="pubsub 8mb 1mb 2") as server, server.client() as control:
        def listener():
            client = server.client()
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            assert client.call("SUBSCRIBE", "news")[0] == "*"
            return client

        hard = listener()
        for _ in range(60):
            control.call("PUBLISH", "news", b"x" * 300_000)
        assert stat(control, "client_output_buffer_limit_disconnections") == 1 and control.call("PING") == PONG
        assert control.call("PUBLISH", "news", "x") == (":", 0), "a client over its hard limit is gone"
        hard.close()
        soft, begin, closed = listener(), time.monotonic(), None
        while time.monotonic() - begin < 60 and closed is None:
            # Refilled a little at a time, so that the kernel's buffers fill and then 1 to 8 MB stay unsent.
            line = [text for text in control.call("CLIENT", "LIST", "TYPE", "PUBSUB")[1].decode().splitlines()]
            unsent = sum(int(size) for size in re.findall(r" (?:obl|omem)=(\d+)", line[0])) if line else None
            if unsent is None:
                closed = time.monotonic()
            elif unsent < 2 * MB:
                control.call("PUBLISH", "news", b"x" * 300_000)
                over = time.monotonic()
            else:
                time.sleep(0.05)
        assert closed is not None, "the soft limit: never"
        assert closed - begin > 2 and closed - over < 30, f"the soft limit: {closed - begin} s, {closed - over} s"
        assert stat(control, "client_output_buffer_limit_disconnections") == 2
        soft.close()
        # Other classes have limits of their own, and 0 is none.
        assert control.call("CONFIG", "SET", "client-output-buffer-limit", "normal 2mb 0 0 pubsub 0 0 0") == OK
        control.call("SET", "big", b"x" * (20 * MB))
        greedy = server.client()
        greedy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.send("GET", "big")
        wait_for(lambda: stat(control, "client_output_buffer_limit_disconnections") == 3, 40, "the normal class' limit")
        assert "for overcoming of output buffer limits" in server.log()
    return "hard, soft, per class"


def strangers(place, arguments):
    """Clients that have not authenticated can't make the server hold much for them."""
    with serve(arguments) as server, server.client() as control:
        assert control.call("CONFIG", "SET", "requirepass", "secret") == OK
        before, rude = server.rss_bytes(), []
        for _ in range(20):
            client = server.client()
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.socket.settimeout(0.5)
            try:
                for _ in range(100):
                    client.send_raw(encode(("GET", "k")) * 10_000)
            except (TimeoutError, Disconnected, OSError):
                pass
            rude.append(client)
        grown = server.rss_bytes() - before
        assert grown < 40 * MB, f"{grown // MB} MB for 20 strangers"
        assert all(is_gone(client) for client in rude)
        assert control.call("PING") == PONG
    return f"{grown // MB} MB for 20 strangers that send 25 MB each and read nothing"


def silent_clients(place, arguments):
    """timeout closes silent clients, but none that listens or waits."""
    with serve(arguments) as server:
        silent, listening, waiting = server.client(), server.client(), server.client()
        listening.call("SUBSCRIBE", "news")
        waiting.send("BLPOP", "list", 0)
        wait_for(lambda: stat(silent, "blocked_clients", "clients") == 1, 40, "BLPOP waits")
        silent.call("CONFIG", "SET", "timeout", 1)
        assert is_gone(silent)
        with server.client() as other:
            assert other.call("PUBLISH", "news", "x") == (":", 1)
            assert listening.read()[0] == "*"
            assert other.call("RPUSH", "list", "a") == (":", 1) and waiting.read()[0] == "*"
    return "silent, listening, waiting"


def sockets(place, arguments):
    """tcp-keepalive, tcp-backlog and socket-mark-id reach the kernel."""
    with serve(arguments, tcp_backlog=77, tcp_keepalive=123) as server, server.client() as client:
        def kernel(*words):
            return subprocess.run(["ss", "-H", "-t", "-n", *words], capture_output=True, text=True).stdout

        port = client.socket.getsockname()[1]
        mine = ["sport", "=", str(server.port), "and", "dport", "=", str(port)]
        assert re.search(r"^LISTEN +\d+ +77 ", kernel("-l", "sport", "=", str(server.port))), "tcp-backlog"
        timer = kernel("-o", *mine)
        assert re.search(r"timer:\(keepalive,(2min|1min)", timer), timer
        assert client.call("CONFIG", "SET", "tcp-keepalive", 0) == OK
        with server.client() as other:
            mine[-1] = str(other.socket.getsockname()[1])
            assert "keepalive" not in kernel("-o", *mine)
    with serve(arguments, socket_mark_id=77) as server, server.client() as client:
        mine = ["sport", "=", str(server.port)]
        marks = subprocess.run(["ss", "-H", "-t", "-n", "-e", "-a", *mine], capture_output=True, text=True).stdout
        if "Failed to mark" in server.log():
            return "keepalive, backlog (no right to set marks)"
        assert marks.count("fwmark:0x4d") == 2, marks
    return "keepalive, backlog, mark"


def tracking_table(place, arguments):
    """tracking-table-max-keys: the table stays below, and who loses a key is told."""
    with serve(arguments, tracking_table_max_keys=10) as server, server.client() as control:
        with server.client(protocol=3) as client:
            assert client.call("CLIENT", "TRACKING", "ON") == OK
            for number in range(200):
                client.send("GET", f"key:{number}")
            told, replies = 0, 0
            while replies < 200:
                kind, _ = client.read()
                told, replies = told + (kind == ">"), replies + (kind != ">")
            wait_for(lambda: stat(control, "tracking_total_keys") <= 10, 40, "the table is short")
            client.send("PING")
            while (message := client.read()) != PONG:
                told += message[0] == ">"
            assert told >= 190, f"{told} of 190 told"
    return f"{told} told"


def io_threads_at_work(place, arguments):
    """With io-threads 4 many clients get their own replies, in order; the counters show that threads took part."""
    with serve(arguments, io_threads=4, io_threads_do_reads="yes") as server:
        clients = [server.client() for _ in range(100)]
        for turn in range(20):
            for number, client in enumerate(clients):
                client.send_raw(b"".join(encode(("INCRBY", f"k{number}", step)) + encode(("ECHO", f"{number}.{turn}"))
                                         for step in range(turn)) + encode(("GET", f"k{number}")))
            for number, client in enumerate(clients):
                for _ in range(turn):
                    assert client.read()[0] == ":" and client.read() == ("$", b"%d.%d" % (number, turn))
                total = sum(step for past in range(turn + 1) for step in range(past))
                assert client.read() == ("$", b"%d" % total if turn else None), f"client {number}, turn {turn}"
        control = clients[0]
        reads, writes = (stat(control, f"io_threaded_{what}_processed") for what in ("reads", "writes"))
        assert reads > 500 and writes > 500, f"{reads} reads, {writes} writes"
        assert info(control, "server")["io_threads_active"] == "1"
        assert control.call("CONFIG", "GET", "io-threads")[1][1] == ("$", b"4")
    return f"{reads} reads, {writes} writes"


PARTS = (io_threads_at_work, eviction_of_clients, query_buffer_limit, output_limits, strangers, silent_clients,
         sockets, tracking_table)
