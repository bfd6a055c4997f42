"""Seeded random commands per group, over a small space of keys, fields and values.

Only commands whose reply and effect are determined by the data (or whose reply compares modulo order) are drawn, so
that two correct servers stay equal for ever. Most arguments are plausible; one in twelve is not. The rows stand in
tools/compat.d/tables: random-data, random-control, random-newer.
"""
import os
import random

from compare import CONTAINERS

KEYS = [b"k%d" % number for number in range(6)]
FIELDS = [b"f%d" % number for number in range(12)]
ODD_VALUES = [b"", b"0", b"-1", b"1", b"12345", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
              b"007", b"+5", b" 1", b"1.5", b"-0", b"3e2", b"a\x00\xff\r\n", b"x" * 44, b"y" * 45, b"z" * 64, b"w" * 65,
              b"abcabcabc" * 40, b"0123456789" * 300, "höß".encode(), b"inf", b"nan"]
DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "compat.d")
BAD_NUMBERS = [b"", b"abc", b"1.5", b"99999999999999999999", b" 1", b"1 ", b"0x10", b"+1"]
SCORES = [b"0", b"1", b"-1", b"0.5", b"-2.25", b"1e3", b"100000", b"inf", b"-inf", b"+3", b"17179869184", b"7.125"]
BAD_SCORES = [b"", b"nan", b"abc", b"1,5", b"infi"]
LEX = [b"-", b"+", b"[a", b"(a", b"[f3", b"(f3", b"[f9", b"(zz"]
BAD_LEX = [b"a", b"", b"{f"]
RANGES = [b"0", b"1", b"-1", b"5", b"-5", b"(1", b"(0.5", b"-inf", b"+inf", b"inf", b"100", b"(1e3"]

PAYLOADS = [bytes.fromhex(text) for text in (
    "000568656c6c6f0a006372df766534200a", "00c00c0a003c2af8515c04bcd5",
        "00c3091e017878e011000178780a00f0673fdf2001eb95",
    "12010213130000000300010181620285636363636306ff0a00fdd64db4123141a1",
    "0b0e0200000003000000010002002c010a00e510b28e7b9529aa",
    "101414000000040082663103817602826632030101ff0a00604d790365ce5af1",
    "11161600000004008266310301018266320383322e3504ff0a00decf011a9fc67582",
    "130110000000000000000500000000000000011d1d0000000a0001010001010181660201010201000100018176020401ff0105010501000001"
    "000a00b9dc3931cba8a05d")]
DIRECTIVES = {          # what CONFIG SET is tried on: good and bad settings; none that changes what other commands do
    b"hash-max-listpack-entries": [b"512", b"4", b"-1", b"x", b""], b"latency-monitor-threshold": [b"0", b"100", b"-5"],
    b"slowlog-max-len": [b"128", b"0", b"-1"], b"maxmemory-samples": [b"5", b"0", b"3"], b"hz": [b"10", b"50", b"x"],
    b"lazyfree-lazy-expire": [b"yes", b"no", b"maybe"], b"maxmemory-policy": [b"noeviction", b"nosuch"],
    b"notify-keyspace-events": [b"", b"KEA", b"Kx", b"?"], b"list-compress-depth": [b"0", b"1", b"-1"],
    b"proto-max-bulk-len": [b"512mb", b"536870912", b"5", b"1x"], b"nosuch": [b"x"], b"repl-timeout": [b"60", b"0"],
    b"lua-time-limit": [b"5000", b"-1"], b"min-replicas-max-lag": [b"10", b"-1"], b"databases": [b"16"],
    b"tcp-keepalive": [b"300", b"x"], b"save": [b"", b"10", b"x 1"], b"active-defrag-cycle-min": [b"1", b"100"],
    b"client-output-buffer-limit": [b"normal 0 0 0", b"normal 0 0", b"nosuch 0 0 0"]}
RULES = [b"on", b"off", b"nopass", b"resetpass", b">x", b"<x", b"~*", b"~k*", b"%R~k*", b"%RW~f*", b"allkeys",
    b"resetkeys",
         b"&*", b"&c*", b"allchannels", b"resetchannels", b"+@all", b"-@all", b"+get", b"-set", b"+@read",
         b"-@dangerous",
         b"+client|id", b"-config|set", b"(+set ~a*)", b"clearselectors", b"+nosuch", b"foo", b"", b"-@nosuch", b"%X~a",
         b"#00", b"+get|x", b"~a b"]
LUA_CALLS = [
    b"return redis.call('%s', KEYS[1])" % name for name in (b"GET", b"TYPE", b"LLEN", b"INCR", b"TTL", b"HGETALL",
    b"DUMPX")
] + [
    b"return redis.pcall('SET', KEYS[1], ARGV[1], 'XX', 'GET')", b"return redis.call('SET', KEYS[1], ARGV[1])",
    b"return {redis.pcall('GET', KEYS[1]), redis.pcall('INCR', KEYS[1]), redis.pcall('GET', KEYS[2])}",
    b"local r = redis.pcall('LPUSH', KEYS[1], unpack(ARGV)) return type(r) == 'table' and r.err or r",
    b"redis.setresp(3) return redis.call('HGETALL', KEYS[2] or KEYS[1])",
    b"redis.setresp(3) return redis.call('GET', 'none')",
    b"redis.setresp(3) redis.call('ZADD', 'zz', '1.5', 'a') local d = redis.call('ZSCORE', 'zz', 'a') return d",
    b"redis.call('SELECT', 1) return redis.call('SET', KEYS[1], 'db')", b"return redis.call()",
    b"return redis.call(1, {})",
    b"return redis.call('SET', KEYS[1])", b"return redis.pcall('SUBSCRIBE', 'c')", b"return redis.sha1hex(KEYS[1])",
    b"return redis.error_reply('MY ' .. ARGV[1])", b"return redis.status_reply(KEYS[1])", b"return {KEYS, ARGV, #KEYS}",
    b"local a = redis.call('RPUSH', KEYS[1], 'x', 2, 3.7) return {a, redis.call('LRANGE', KEYS[1], 0, -1)}",
    b"return tonumber(redis.call('STRLEN', KEYS[1])) / 3", b"error({err = 'ERR mine'})", b"error('plain')",
    b"return nosuch",
    b"redis.call('SET', KEYS[1], 1) error('after the write')", b"return redis.call('APPEND', KEYS[1], ARGV[1] or '')"]


PRESETS = {
    "list-max-listpack-size": ("-2", "-2", "-1", "-5", "4", "1", "128"), "list-compress-depth": ("0", "0", "1", "2"),
    "hash-max-listpack-entries": ("512", "512", "4", "0"), "hash-max-listpack-value": ("64", "64", "8"),
    "set-max-intset-entries": ("512", "512", "4"), "zset-max-listpack-entries": ("128", "128", "4", "0"),
    "zset-max-listpack-value": ("64", "64", "2"), "stream-node-max-entries": ("100", "3", "1"),
    "hll-sparse-max-bytes": ("3000", "3000", "64", "500", "14000"),
}


LIST_SIZE = "list-max-listpack-size"
DEFAULTS = [part for name, values in PRESETS.items() for part in (name, values[0])]


def preset(label, group=None):
    """CONFIG SET pairs for one episode: the defaults more often than not, small thresholds otherwise. Not for the
    nodes of lists that SORT stores: 7.0 makes them with the default size whatever is set."""
    chance = random.Random(f"preset/{label}")
    small = chance.random() < 0.4
    kept = LIST_SIZE if group in ("generic", "mixed") else None
    return [part for name, values in PRESETS.items()
            for part in (name, chance.choice(values) if small and name != kept else values[0])]


class Generator:
    def __init__(self, group, seed, excluded=(), blocking=False):
        self.random = random.Random(f"{group}/{seed}" + ("/blocking" if blocking else ""))
        self.group, self.lifetimes = group, 0
        if blocking:
            self.rows = [row for row in BLOCKING[group] if row[1] not in excluded]
            self.weights, self.fresh = [row[0] for row in self.rows], 0
            return
        groups = [g for g in TABLE if g != "mixed"] if group == "mixed" else [group, "common"]
        rows = [row for name in groups for row in ALL[name]]
        # A set has no order that SORT BY nosort could keep.
        self.rows = [row for row in rows if row[1] not in excluded and not (group == "mixed" and "nosort" in row[2])]
        self.weights = [row[0] for row in self.rows]
        self.fresh = 0

    # The vocabulary of the table: each gives one argument (bytes) or a list of them.
    def k(self):
        return self.random.choice(KEYS)

    def keys(self):
        return [self.k() for _ in range(self.random.choice((1, 1, 2, 2, 3)))]

    def numkeys(self):
        keys = self.keys()
        count = len(keys) if self.random.random() > 0.05 else self.random.choice((0, -1, 9, len(keys) + 1))
        return [b"%d" % count] + keys

    def v(self):
        chance = self.random.random()
        if chance < 0.35:
            return b"%d" % self.random.randint(-200, 200)
        if chance < 0.7:
            return self.f()
        return self.random.choice(ODD_VALUES)

    def vs(self):
        if self.random.random() < 0.04:
            self.fresh += 1
            return [b"m%d-%d" % (self.fresh, i) for i in range(self.random.choice((90, 130, 520)))]
        if self.random.random() < 0.04:
            return [b"%d" % i for i in range(self.random.choice((100, 513, 600)))]
        return [self.v() for _ in range(self.random.choice((1, 1, 2, 3, 5)))]

    def f(self):
        return self.random.choice(FIELDS)

    def fs(self):
        return [self.f() for _ in range(self.random.choice((1, 1, 2, 3)))]

    def fv(self):
        if self.random.random() < 0.03:
            self.fresh += 1
            return [p for i in range(self.random.choice((100, 513)))
                    for p in (b"n%d-%d" % (self.fresh, i), b"%d" % i)]
        out = []
        for _ in range(self.random.choice((1, 1, 2, 4))):
            out += [self.f() if self.random.random() < 0.95 else self.v(), self.v()]
        return out if self.random.random() > 0.03 else out[:-1]

    def kv(self):
        return [p for key in self.keys() for p in (key, self.v())]

    def i(self):
        if self.random.random() < 0.08:
            return self.random.choice(BAD_NUMBERS)
        return b"%d" % self.random.choice((0, 1, 2, 3, 5, 10, 100, -1, -2, -3, -10, -100, 7, 128, 9223372036854775807))

    def small(self):
        return b"%d" % self.random.choice((0, 1, 2, 3, 5, 10, 64, 100, -1, -2, 1000))

    def n(self):
        return b"%d" % self.random.choice((1, 2, 3, 5)) if self.random.random() > 0.1 else self.i()

    def bit(self):
        return self.random.choice((b"0", b"1", b"1", b"2"))

    def off(self):
        return b"%d" % self.random.choice((0, 1, 7, 8, 63, 64, 100, 1000, -1, 70000))

    def spot(self):
        return b"%d" % self.random.choice((0, 1, 5, 7, 8, 9, 15, 31, 63, 64, 65, 127, 500, 1000, -1, -8, -9, -64, -500))

    def type(self):
        if self.random.random() < 0.02:
            return self.random.choice((b"u64", b"i0", b"i65", b"8", b"U8", b"i-1", b""))
        return self.random.choice((b"i%d", b"u%d")) % self.random.choice((1, 2, 5, 8, 13, 16, 31, 33, 62, 63))

    def at_bit(self):
        if self.random.random() < 0.02:
            return self.random.choice((b"-1", b"#", b"#-1", b"x", b"8589934592", b"#9223372036854775807"))
        offset = self.random.choice((0, 1, 3, 7, 8, 9, 60, 63, 64, 100, 1500))
        return self.random.choice((b"%d", b"%d", b"#%d")) % offset

    def wide(self):
        if self.random.random() < 0.02:
            return self.random.choice(BAD_NUMBERS)
        return b"%d" % (self.random.randint(-2 ** 63, 2 ** 63 - 1) >> self.random.choice((0, 0, 1, 8, 30, 50, 60)))

    def fields(self):
        """Operations of BITFIELD."""
        out = []
        for _ in range(self.random.choice((1, 1, 2, 4))):
            if self.random.random() < 0.4:
                out += [b"OVERFLOW", self.random.choice((b"WRAP", b"SAT", b"FAIL"))]
            name = self.random.choice((b"GET", b"SET", b"INCRBY", b"INCRBY"))
            out += [name, self.type(), self.at_bit()] + ([] if name == b"GET" else [self.wide()])
        return out

    def elements(self):
        """What a HyperLogLog counts: mostly a few, at times enough to make it dense."""
        count = self.random.choice((1, 1, 2, 3, 10, 60, 300) if self.random.random() < 0.97 else (2000, 5000))
        span = self.random.choice((20, 2000, 10 ** 9))
        return [b"%d" % self.random.randrange(span) for _ in range(count)]

    def s(self):
        return self.random.choice(SCORES if self.random.random() > 0.05 else BAD_SCORES)

    def sm(self):
        if self.random.random() < 0.04:
            self.fresh += 1
            return [p for i in range(self.random.choice((100, 129, 140)))
                    for p in (b"%d" % (i % 50), b"z%d-%d" % (self.fresh, i))]
        return [p for _ in range(self.random.choice((1, 1, 2, 4))) for p in (self.s(), self.f())]

    def w(self):
        """Weights; no big ones, for 7.0 prints and digests numbers beyond 2^53 in another way."""
        return self.random.choice((b"0", b"1", b"2", b"-1", b"0.5", b"-2.25", b"inf", b"-inf", b"x", b"nan"))

    def fl(self):
        return self.random.choice((b"0.5", b"-1.25", b"3", b"1e2", b"abc", b"", b"nan", b"inf", b"10.75"))

    def lex(self):
        return self.random.choice(LEX if self.random.random() > 0.05 else BAD_LEX)

    def lk(self):
        """Keys whose members all have score 0: on others the BYLEX commands are undefined."""
        return self.random.choice((b"x0", b"x1"))

    def lm(self):
        return [part for _ in range(self.random.choice((1, 2, 4))) for part in (b"0", self.f())]

    def r(self):
        return self.random.choice(RANGES if self.random.random() > 0.05 else [b"", b"x", b"(", b"nan"])

    def id(self):
        chance = self.random.random()
        if chance < 0.1:
            return self.random.choice((b"-", b"+", b"0", b"abc", b"5-", b"0-0", b"1-2-3", b"(3"))
        return b"%d-%d" % (self.random.randint(0, 30), self.random.randint(0, 3))

    def newid(self):
        if self.random.random() < 0.8:
            self.fresh += 1
            return b"%d-%d" % (10 + self.fresh, self.random.randint(0, 2))
        return self.id()

    def lifetime(self):
        """A number of seconds that no other command has, so that GT and LT need no clock to decide; and long enough to
        outlive the run as milliseconds, too."""
        self.lifetimes += 1
        return 100_000 + 100 * (self.lifetimes * 733 % 5000)

    def ttl(self):
        return self.random.choice([b"%d" % self.lifetime()] * 4 + [b"0", b"-1", b"abc", b"9223372036854775807"])

    def ttlms(self):
        lifetime = b"%d000" % self.lifetime()
        return self.random.choice([lifetime] * 3 + [b"0", b"-1", b"abc", b"9223372036854775807"])

    def at(self):
        return self.random.choice((b"4000000000", b"3000000000", b"1", b"0", b"-5", b"x"))

    def pat(self):
        return self.random.choice((b"*", b"k*", b"k[1-3]", b"k?", b"f*", b"[^k]*", b"nothing", b"f[0-5]", b"\\k1"))

    def lon(self):
        """A longitude and a latitude: mostly close together, so that searches find something; also edges and poles."""
        chance = self.random.random()
        if chance < 0.05:
            return self.random.choice(([b"181", b"0"], [b"0", b"-86"], [b"x", b"1"], [b"inf", b"2"]))
        if chance < 0.15:
            return [self.random.choice((b"180", b"-180", b"179.99", b"0", b"-0")),
                    self.random.choice((b"85.05112878", b"-85.05112878", b"0", b"84", b"-84"))]
        spread = self.random.choice((0.01, 1, 30, 180))
        return [b"%.6f" % self.random.uniform(-spread, spread),
                b"%.6f" % self.random.uniform(-min(spread, 85), min(spread, 85))]

    def places(self):
        few = self.random.random() < 0.9
        count = self.random.choice((1, 2, 3)) if few else self.random.choice((20, 140))
        if not few:
            self.fresh += 1
        return [part for number in range(count)
                for part in self.lon() + [self.f() if few else b"g%d-%d" % (self.fresh, number)]]

    def unit(self):
        return self.random.choice((b"m", b"km", b"km", b"ft", b"mi", b"KM", b"yd"))

    def dist(self):
        if self.random.random() < 0.05:
            return self.random.choice((b"-1", b"x", b"inf", b"0", b"1e300"))
        return b"%.3f" % (10 ** self.random.uniform(0, 5))

    def around(self):
        """Where and how far GEOSEARCH looks."""
        here = [b"FROMMEMBER", self.f()] if self.random.random() < 0.4 else [b"FROMLONLAT"] + self.lon()
        box = self.random.random() < 0.5
        return here + ([b"BYBOX", self.dist(), self.dist()] if box else [b"BYRADIUS", self.dist()]) + [self.unit()]

    def ttlms0(self):
        return self.random.choice((b"0", b"0", b"100000", b"-1", b"x"))

    def atms(self):
        return self.random.choice((b"4000000000000", b"3000000000000", b"1", b"0", b"-5", b"x", b"9223372036854775807"))

    def payload(self):
        payload = self.random.choice(PAYLOADS)
        if self.random.random() < 0.1:
            at = self.random.randrange(len(payload))
            payload = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1:self.random.choice((None, -1))]
        return payload

    def numkeys2(self):
        return [b"2", self.k(), self.k()]

    def numfields(self):
        fields = self.fs()
        return [b"%d" % (len(fields) if self.random.random() > 0.05 else self.random.choice((0, -1, 9)))] + fields

    def real(self):
        return b"%r" % (self.random.uniform(-1, 1) * 10 ** self.random.randint(-8, 15))

    def seqid(self):
        self.fresh += 1
        return b"%d-*" % (10 + self.fresh - self.random.choice((0, 0, 1, 2, 5)))

    def badttl(self):
        """No time that is up while the test runs: none at all, past, or far away."""
        return self.random.choice((b"0", b"-1", b"x", b"", b"1.5", b"9223372036854775807", b"99999999999999999999",
                                   b"4000000000000", b"9223372036854775"))

    def badtime(self):
        return self.random.choice((b"x", b"-1", b"", b"99999999999999999999", b"1e300"))

    def near(self):
        return b"~"

    def approx(self):
        return self.random.choice((b"~", b"="))

    def digest(self):
        return self.random.choice((b"0000000000000000", b"x", b"b6acb9d84a38ff74", b"E1B1B6DD66F4D3DC"))

    def channel(self):
        return self.random.choice((b"c1", b"c2", b"news", b"k1", b"f2", b""))

    def rule(self):
        return self.random.choice(RULES)

    def directive(self):
        self.last = self.random.choice(list(DIRECTIVES))
        return self.last

    def setting(self):
        return self.random.choice(DIRECTIVES[self.last])

    def asked(self):
        """A whole command of another group, to ask about."""
        return self.random.choice((
            [b"GET", self.k()], [b"MSET", self.k(), b"1", self.k(), b"2"], [b"ZUNIONSTORE", self.k()] + self.numkeys(),
            [b"XREAD", b"COUNT", b"1", b"STREAMS", self.k(), self.k(), b"0", b"0"],
            [b"LMPOP"] + self.numkeys() + [b"LEFT"],
            [b"SORT", self.k(), b"STORE", self.k()], [b"EVAL", b"return 1"] + self.numkeys(), [b"NOSUCH", self.k()],
            [b"MIGRATE", b"h", b"1", b"", b"0", b"1", b"KEYS", self.k(), self.k()], [b"SET", self.k(), b"v", b"GET"],
            [b"GEORADIUS", self.k(), b"1", b"1", b"1", b"m", b"STORE", self.k()], [b"XGROUP", b"CREATE", self.k(),
            b"g"],
            [b"OBJECT", b"ENCODING", self.k()], [b"CONFIG", b"GET", b"*"], [b"RENAME", self.k(), self.k()],
            [b"BITFIELD", self.k(), b"GET", b"u8", b"0"], [b"BZMPOP", b"0"] + self.numkeys() + [b"MIN"],
            [b"MEMORY", b"USAGE", self.k()], [b"PUBLISH", b"c", b"x"], [b"FCALL", b"f"] + self.numkeys(),
            [b"COPY", self.k()]))

    def lua(self):
        return b"return " + self.expression(3)

    def luacall(self):
        return self.random.choice(LUA_CALLS)

    def expression(self, depth):
        """A Lua expression whose value has one conversion to a reply."""
        pick = self.random.choice
        if depth == 0 or self.random.random() < 0.4:
            return pick((b"1", b"-7", b"3.99", b"-3.99", b"1e15", b"true", b"false", b"nil", b"'a'", b"''",
                         b"'a\\0b'", b"0", b"2^53",
                         b"KEYS[1]", b"ARGV[1]", b"#ARGV", b"tostring(1.5)", b"redis.sha1hex('')", b"1 == 1",
                         b"cjson.encode({1, 2})", b"bit.band(255, 15)", b"bit.tohex(-1)", b"tostring(10 / 4)",
                         b"7 % 3"))
        inner = self.expression(depth - 1)
        return pick((
            lambda: b"{%s}" % b", ".join(self.expression(depth - 1) for _ in range(self.random.randint(0, 3))),
            lambda: b"{ok = 'fine'}", lambda: b"{err = 'My error'}", lambda: b"{double = 3.25}",
            lambda: b"{map = {a = %s}}" % inner, lambda: b"{set = {x = true}}", lambda: b"{big_number = '123456789'}",
            lambda: b"{verbatim_string = {string = 'txt', format = 'mkd'}}", lambda: b"{%s, nil, 3}" % inner,
            lambda: b"tostring(%s)" % pick((b"1", b"nil", b"true", b"-0.5", b"1e100")), lambda: b"type(%s)" % inner,
            lambda: b"cjson.decode('[1,2.5,\"x\",null,{\"a\":[true]}]')",
            lambda: b"cmsgpack.unpack(cmsgpack.pack(%s))" % inner,
            lambda: b"{struct.unpack('>I2s', struct.pack('>I2s', 7, 'ab'))}", lambda: b"redis.error_reply('E x')",
            lambda: b"redis.status_reply('S')", lambda: b"select('#', %s)" % inner,
            lambda: b"#cmsgpack.pack(%s)" % inner,
            lambda: b"cjson.encode(%s)" % pick((b"{a = 1}", b"{1, 'x', false}", b"'q\"'", b"1/3", b"{}", b"1e20")),
            lambda: b"string.format('%%5.2f|%%s|%%d', 1.005, 'x', 3.0)", lambda: b"{%s, {%s}}" % (inner, inner)))()

    def library(self):
        """A function library: good, or with one of the mistakes that FUNCTION LOAD tells apart."""
        name = self.random.choice((b"l1", b"l2"))
        call = b"redis.register_function"
        return self.random.choice((
            b"#!lua name=%s\n%s('f1', function(k, a) return {#k, a[1]} end)" % (name, call),
            b"#!lua name=%s\n%s('f2', function(k, a) return redis.call('SET', k[1], a[1]) end)" % (name, call),
            b"#!lua name=%s\n%s{function_name='f3', callback=function(k, a) return redis.call('GET', k[1]) end, "
            b"flags={'no-writes'}, description='reads'}" % (name, call),
            b"#!lua name=%s\nlocal x = 5\n%s('f1', function() x = x + 1 return x end)" % (name, call),
            b"#!lua name=%s" % name, b"#!lua\nreturn", b"#!python name=x\n", b"return 1",
            b"#!lua name=%s foo=1\n" % name,
            b"#!lua name=%s\nsyntax error" % name, b"#!lua name=a-b\n%s('f', print)" % call,
            b"#!lua name=%s\n%s('f 1', function() end)" % (name, call), b"#!lua name=%s\n%s('f1')" % (name, call),
            b"#!lua name=%s\n%s{function_name='f1', callback=function() end, flags={'bad'}}" % (name, call)))

    def draw(self, word):
        """The arguments that one word of a row stands for."""
        if "/" in word and not word.startswith("/"):
            return [part for piece in self.random.choice(word.split("/")).split("~") for part in self.draw(piece)]
        if word == '""':
            return [b""]
        if word.startswith("<"):
            given = getattr(self, word[1:-1])()
            return given if isinstance(given, list) else [given]
        if "|" in word:
            return [self.random.choice(word.split("|")).encode()]
        return [word.encode()]

    def command(self):
        row = self.random.choices(self.rows, self.weights)[0]
        arguments = []
        for word in row[2].split():
            optional = word.endswith("?")
            if optional and self.random.random() < 0.5:
                continue
            word = word.rstrip("?") or "?"
            for part in [word] if "/" in word else word.split("~"):
                arguments += self.draw(part)
        if row[1] in ("SPOP", "SORT", "HELLO", "RESET", "CLIENT|PAUSE", "CLIENT|KILL", "SHUTDOWN", "WAIT", "BLMOVEM",
                      "COMMAND|GETKEYS", "COMMAND|GETKEYSANDFLAGS", "ACL|DRYRUN",
                      "LATENCY|HISTOGRAM", "COMMAND|DOCS", "COMMAND|INFO", "COMMAND|LIST"):
            return arguments
        chance = self.random.random()
        if chance < 0.01 and len(arguments) > 1:
            arguments.pop()
        elif chance < 0.02:
            arguments.append(self.v())
        elif chance < 0.03:
            arguments[0] = arguments[0].lower()
        return arguments


def read_rows(name):
    """Groups of a file of tools/compat.d/tables, in its order: rows of (weight, command, words)."""
    groups, group = {}, None
    with open(os.path.join(DIRECTORY, "tables", name)) as file:
        for line in map(str.strip, file):
            if line.startswith("["):
                group = groups.setdefault(line.strip("[]"), [])
            elif line and not line.startswith("#"):
                weight, _, rest = line.partition(" ")
                words = rest.split()
                command = "|".join(words[:2]) if words[0] in CONTAINERS else words[0]
                group.append((int(weight), command, rest))
    return groups


TABLE = read_rows("random-data")
TABLE["mixed"] = []
CONTROL, NEWER, BLOCKING = (read_rows(f"random-{name}") for name in ("control", "newer", "blocking"))
ALL = {**TABLE, **CONTROL, **NEWER}
