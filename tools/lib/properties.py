"""Properties that a yardstick's reply cannot tell: the guarantee of the SCAN family, fairness of random choices, active
expiry, deep pipelines. Each takes a Side and a seed, and raises AssertionError with a reason.
"""
import random
import time

from resp import encode


def scan_all(client, command, change=None):
    """All items of a full iteration (of the keyspace: `command` is ["SCAN"]); `change` is called between calls."""
    cursor, seen, calls = b"0", [], 0
    while True:
        reply = client.call(command[0], *command[1:], cursor)
        assert reply[0] == "*", f"{command}: {reply}"
        cursor, items = reply[1][0][1], [item[1] for item in reply[1][1][1]]
        seen += items[::2] if command[0] in ("HSCAN", "ZSCAN") else items
        calls += 1
        assert calls < 100000, f"{command}: the iteration has no end"
        if cursor == b"0":
            return seen
        if change:
            change()


SCANS = {"SCAN": ("SET", lambda name: ("SET", name, "v"), lambda name: ("DEL", name)),
         "SSCAN": ("SADD", lambda name: ("SADD", "c", name), lambda name: ("SREM", "c", name)),
         "HSCAN": ("HSET", lambda name: ("HSET", "c", name, "v"), lambda name: ("HDEL", "c", name)),
         "ZSCAN": ("ZADD", lambda name: ("ZADD", "c", "1", name), lambda name: ("ZREM", "c", name))}


def scan_guarantee(side, seed):
    """What is there from the beginning to the end of an iteration is returned, while the table grows and shrinks."""
    chance = random.Random(seed)
    for command, (_, add, remove) in SCANS.items():
        for direction in ("grow", "shrink", "still"):
            client = side.fresh()
            stay = [b"stay%d" % number for number in range(700)]
            extra = [b"extra%d" % number for number in range(0 if direction == "grow" else 6000)]
            client.pipeline([add(name) for name in stay + extra])
            chance.shuffle(extra)
            fresh = iter(range(10 ** 9))

            def change(direction=direction, extra=extra, fresh=fresh, add=add, remove=remove):
                if direction == "grow":
                    client.pipeline([add(b"new%d" % next(fresh)) for _ in range(60)])
                elif direction == "shrink":
                    client.pipeline([remove(extra.pop()) for _ in range(min(60, len(extra)))])

            words = [command] if command == "SCAN" else [command, "c"]
            steps = [0]

            def limited(change=change, steps=steps):
                steps[0] += 1
                if steps[0] < 150:
                    change()

            seen = set(scan_all(client, words, limited))
            lost = [name for name in stay if name not in seen]
            assert not lost, f"{command} while the table is to {direction}: {len(lost)} of {len(stay)} lost: {lost[:3]}"


def fairness(side, seed):
    """Random choices are near to uniform: chi-square over 100 items, 5,000 draws.

    A fair choice gives about 99, redis-server's sampling 150 to 400, bucket first and chain second 1,500."""
    client = side.fresh()
    names = [b"item%d" % number for number in range(100)]
    makers = {"SRANDMEMBER": ("SADD", "s", *names),
              "HRANDFIELD": ("HSET", "h", *[p for n in names for p in (n, b"v" * 70)]),
              "ZRANDMEMBER": ("ZADD", "z", *[p for n, name in enumerate(names) for p in (n, name)])}
    for command, maker in makers.items():
        client.call(*maker)
        check_uniform(command, client.pipeline([(command, maker[1])] * 5000), names)
    client.call("SADD", "ints", *range(100))
    check_uniform("SRANDMEMBER (intset)", client.pipeline([("SRANDMEMBER", "ints")] * 5000),
                  [b"%d" % number for number in range(100)])
    client.call("FLUSHALL")
    client.pipeline([("SET", name, "v") for name in names])
    check_uniform("RANDOMKEY", client.pipeline([("RANDOMKEY",)] * 5000), names)
    popped = []
    client.call("SADD", "many", *[b"m%d" % number for number in range(100)])
    for _ in range(1500):
        member = client.call("SPOP", "many")[1]
        popped.append(("$", member))
        client.call("SADD", "many", member)
    check_uniform("SPOP", popped, [b"m%d" % number for number in range(100)], limit=320)


def check_uniform(what, replies, names, limit=600):
    counts = dict.fromkeys(names, 0)
    for reply in replies:
        assert reply[1] in counts, f"{what}: {reply} was never put in"
        counts[reply[1]] += 1
    expected = len(replies) / len(names)
    square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert square < limit, f"{what}: chi-square {square:.0f} for {len(names) - 1} degrees of freedom (limit {limit})"


def active_expiry(side, _):
    """Keys that nobody reads go away by themselves."""
    client = side.fresh()
    client.pipeline([("SET", f"k{number}", "v", "PX", "50") for number in range(2000)])
    client.pipeline([("SET", f"stay{number}", "v", "EX", "1000") for number in range(50)])
    deadline = time.monotonic() + 60
    while client.call("DBSIZE")[1] != 50:
        assert time.monotonic() < deadline, f"DBSIZE {client.call('DBSIZE')[1]} after 60 s, 50 wanted"
        time.sleep(0.05)


def deep_pipeline(side, _):
    """20,000 commands are sent before the first reply is read; large arguments and replies come through whole."""
    client = side.fresh()
    count = 20000
    client.send_raw(b"".join(encode(("INCR", "n")) for _ in range(count)))
    replies = [client.read() for _ in range(count)]
    assert replies == [(":", number + 1) for number in range(count)], "replies out of order or lost"
    big = random.Random(1).randbytes(20 << 20)
    assert client.call("SET", "big", big) == ("+", b"OK")
    assert client.call("GET", "big") == ("$", big), "20 MB did not come back as they went"
    members = [b"member-%d" % number for number in range(100000)]
    assert client.call("RPUSH", "l", *members) == (":", 100000)
    found = [item[1] for item in client.call("LRANGE", "l", 0, -1)[1]]
    assert found == members, "a list of 100,000 elements came back otherwise"
    command = encode(("SET", "k", "x" * 300))
    for byte in command:                    # one byte per write: the parser resumes anywhere
        client.socket.sendall(bytes([byte]))
    assert client.read() == ("+", b"OK")


PROPERTIES = {"scan-guarantee": scan_guarantee, "fairness": fairness, "active-expiry": active_expiry,
              "deep-pipeline": deep_pipeline}
