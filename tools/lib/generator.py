"""Seeded random commands per group, over a small space of keys, fields and values.

Only commands whose reply and effect are determined by the data (or whose reply compares modulo order) are drawn, so
that two correct servers stay equal for ever. Most arguments are plausible; one in twelve is not.
"""
import os
import random

KEYS = [b"k%d" % number for number in range(6)]
FIELDS = [b"f%d" % number for number in range(12)]
ODD_VALUES = [b"", b"0", b"-1", b"1", b"12345", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
              b"007", b"+5", b" 1", b"1.5", b"-0", b"3e2", b"a\x00\xff\r\n", b"x" * 44, b"y" * 45, b"z" * 64, b"w" * 65,
              b"abcabcabc" * 40, b"0123456789" * 300, "höß".encode(), b"inf", b"nan"]
BAD_NUMBERS = [b"", b"abc", b"1.5", b"99999999999999999999", b" 1", b"1 ", b"0x10", b"+1"]
SCORES = [b"0", b"1", b"-1", b"0.5", b"-2.25", b"1e3", b"100000", b"inf", b"-inf", b"+3", b"17179869184", b"7.125"]
BAD_SCORES = [b"", b"nan", b"abc", b"1,5", b"infi"]
LEX = [b"-", b"+", b"[a", b"(a", b"[f3", b"(f3", b"[f9", b"(zz"]
BAD_LEX = [b"a", b"", b"{f"]
RANGES = [b"0", b"1", b"-1", b"5", b"-5", b"(1", b"(0.5", b"-inf", b"+inf", b"inf", b"100", b"(1e3"]


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


def absent():
    """The commands of tools/compat.d/absent: a file that a stock server wrote with them can't be read yet."""
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "compat.d", "absent")
    if not os.path.exists(path):
        return set()
    with open(path) as file:
        return {name for line in file for name in line.split("#")[0].split()}


class Generator:
    def __init__(self, group, seed, excluded=()):
        self.random = random.Random(f"{group}/{seed}")
        self.group = group
        groups = [g for g in TABLE if g != "mixed"] if group == "mixed" else [group, "common"]
        rows = [row for name in groups for row in TABLE[name]]
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

    def ttl(self):
        return self.random.choice((b"100", b"1000", b"5000", b"100000", b"0", b"-1", b"abc", b"9223372036854775807"))

    def ttlms(self):
        return self.random.choice((b"100000", b"1000000", b"9000000", b"0", b"-1", b"abc", b"9223372036854775807"))

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

    def draw(self, word):
        """The arguments that one word of a row stands for."""
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
            for part in word.rstrip("?").split("~"):
                arguments += self.draw(part)
        if row[1] in ("SPOP", "SORT"):
            return arguments
        chance = self.random.random()
        if chance < 0.01 and len(arguments) > 1:
            arguments.pop()
        elif chance < 0.02:
            arguments.append(self.v())
        elif chance < 0.03:
            arguments[0] = arguments[0].lower()
        return arguments


def rows(text):
    """Each line: weight, then the command; `<x>` draws, `a|b` chooses, `…?` is there half of the time, `~` joins."""
    out = []
    for line in text.strip().splitlines():
        weight, _, rest = line.strip().partition(" ")
        name = rest.split()[0]
        if name in ("OBJECT", "XGROUP", "XINFO"):
            name = "|".join(rest.split()[:2])
        out.append((int(weight), name, rest))
    return out


TABLE = {
    "common": rows("""
        1 DEL <keys>
        1 TYPE <k>
        1 EXISTS <keys>
        1 OBJECT ENCODING <k>
    """),
    "generic": rows("""
        6 SET <k> <v>
        2 SADD <k> <vs>
        2 RPUSH <k> <vs>
        2 HSET <k> <fv>
        2 ZADD <k> <sm>
        2 DEL <keys>
        2 UNLINK <keys>
        2 EXISTS <keys>
        2 TOUCH <keys>
        3 TYPE <k>
        3 OBJECT ENCODING <k>
        1 OBJECT REFCOUNT nothing
        3 RENAME <k> <k>
        3 RENAMENX <k> <k>
        3 COPY <k> <k> REPLACE?
        1 COPY <k> <k> DB <n> REPLACE?
        1 MOVE <k> <n>
        3 EXPIRE <k> <ttl> NX|XX|GT|LT?
        3 PEXPIRE <k> <ttlms> NX|XX|GT|LT?
        2 EXPIREAT <k> <at> NX|XX|GT|LT?
        1 PEXPIREAT <k> <at> NX|XX|GT|LT?
        2 TTL <k>
        2 PTTL <k>
        2 EXPIRETIME <k>
        2 PEXPIRETIME <k>
        3 PERSIST <k>
        2 KEYS <pat>
        2 DBSIZE
        2 SCAN 0 COUNT 100000 MATCH~<pat>?
        1 SCAN 0 COUNT 100000 TYPE string|list|set|zset|hash|stream|none
        2 SORT <k> LIMIT 0 <n> ALPHA
        2 SORT <k> ALPHA ASC|DESC?
        1 SORT <k>
        1 SORT <k> GET # GET k*->f1 ALPHA
        2 SORT <k> ALPHA STORE <k>
        1 SORT_RO <k> ALPHA DESC
        1 ECHO <v>
        1 SELECT 0
    """),
    "string": rows("""
        8 SET <k> <v>
        1 SET <k> <v> NX|XX GET?
        1 SET <k> <v> EX <ttl> GET?
        1 SET <k> <v> PX <ttlms> XX?
        1 SET <k> <v> KEEPTTL GET?
        1 SET <k> <v> EXAT <at>
        1 SET <k> <v> NX|XX|KEEPTTL|GET|BAD NX|XX|KEEPTTL|GET|EX
        4 GET <k>
        2 GETSET <k> <v>
        2 GETDEL <k>
        2 GETEX <k> EX|PX|EXAT~<ttl>?
        1 GETEX <k> PERSIST
        2 SETNX <k> <v>
        1 SETEX <k> <ttl> <v>
        1 PSETEX <k> <ttlms> <v>
        3 APPEND <k> <v>
        2 STRLEN <k>
        3 INCR <k>
        2 DECR <k>
        2 INCRBY <k> <i>
        2 DECRBY <k> <i>
        3 INCRBYFLOAT <k> <fl>
        3 SETRANGE <k> <small> <v>
        3 GETRANGE <k> <i> <i>
        1 SUBSTR <k> <i> <i>
        2 MGET <keys>
        2 MSET <kv>
        2 MSETNX <kv>
        2 LCS <k> <k> LEN?
        1 LCS <k> <k> IDX MINMATCHLEN~<n>? WITHMATCHLEN?
        3 SETBIT <k> <off> <bit>
        3 GETBIT <k> <off>
        2 BITCOUNT <k> <i> <i> BYTE|BIT?
        1 BITCOUNT <k>
        2 BITPOS <k> <bit> <i>? <i>? BIT?
        2 BITOP AND|OR|XOR|NOT <k> <keys>
        2 BITFIELD <k> SET u8|i5|u63|i64|u64 <small> <i> GET i8|u4 <small>
        2 BITFIELD <k> OVERFLOW WRAP|SAT|FAIL INCRBY u8|i7|i64 #1|0|#3 <i>
        1 BITFIELD_RO <k> GET u8 <small>
        2 PFADD <k> <fs>
        1 PFCOUNT <keys>
        1 PFMERGE <k> <keys>
        1 TTL <k>
    """),
    "bitmap": rows("""
        3 SET <k> <v>
        1 APPEND <k> <v>
        1 SETRANGE <k> <small> <v>
        1 GETRANGE <k> <i> <i>
        1 GETSET <k> <v>
        1 EXPIRE <k> <ttl>
        1 RPUSH <k> <v>
        6 SETBIT <k> <off> <bit>
        4 GETBIT <k> <off>
        3 BITCOUNT <k> <spot> <spot> BYTE|BIT?
        1 BITCOUNT <k>
        2 BITPOS <k> <bit>
        2 BITPOS <k> <bit> <spot>
        4 BITPOS <k> <bit> <spot> <spot> BYTE|BIT?
        4 BITOP AND|OR|XOR <k> <keys>
        2 BITOP NOT <k> <k>
        8 BITFIELD <k> <fields>
        2 BITFIELD_RO <k> GET <type> <at_bit> GET <type> <at_bit>
    """),
    "hyperloglog": rows("""
        10 PFADD <k> <elements>
        1 PFADD <k>
        5 PFCOUNT <k>
        3 PFCOUNT <keys>
        3 PFMERGE <k> <keys>
        1 PFDEBUG ENCODING <k>
        1 PFDEBUG DECODE <k>
        1 PFDEBUG TODENSE|ENCODING|DECODE|FOO <k>
        1 PFDEBUG GETREG|DECODE|ENCODING <k>
        1 SET <k> <v>
        2 DEL <k>
        2 COPY <k> <k> REPLACE
        1 GETRANGE <k> 0 40
        1 SETRANGE <k> 15 x
        1 EXPIRE <k> <ttl>
        2 STRLEN <k>
    """),
    "list": rows("""
        6 RPUSH <k> <vs>
        5 LPUSH <k> <vs>
        2 LPUSHX <k> <vs>
        2 RPUSHX <k> <vs>
        4 LPOP <k> <n>?
        4 RPOP <k> <n>?
        2 LLEN <k>
        4 LRANGE <k> <i> <i>
        3 LINDEX <k> <i>
        4 LSET <k> <i> <v>
        4 LINSERT <k> BEFORE|AFTER <v> <v>
        4 LREM <k> <i> <v>
        3 LTRIM <k> <i> <i>
        2 RPOPLPUSH <k> <k>
        3 LMOVE <k> <k> LEFT|RIGHT LEFT|RIGHT
        3 LPOS <k> <v> RANK~<i>? COUNT~<i>? MAXLEN~<i>?
        2 LPOS <k> <f> RANK -1 COUNT 0
        2 LMPOP <numkeys> LEFT|RIGHT COUNT~<n>?
        1 SORT <k> ALPHA
        1 SORT <k> BY nosort LIMIT <i> <i> GET # GET k*
        1 SET <k> <v>
    """),
    "set": rows("""
        8 SADD <k> <vs>
        4 SREM <k> <vs>
        2 SCARD <k>
        3 SMEMBERS <k>
        3 SISMEMBER <k> <v>
        3 SMISMEMBER <k> <vs>
        3 SMOVE <k> <k> <v>
        2 SINTER <keys>
        2 SUNION <keys>
        2 SDIFF <keys>
        2 SINTERSTORE <k> <keys>
        2 SUNIONSTORE <k> <keys>
        2 SDIFFSTORE <k> <keys>
        2 SINTERCARD <numkeys> LIMIT~<i>?
        1 SPOP <k> 100000
        1 SPOP <k> 0
        1 SRANDMEMBER <k> <n>
        2 SSCAN <k> 0 COUNT 100000 MATCH~<pat>?
        1 SORT <k> ALPHA
        1 SET <k> <v>
    """),
    "hash": rows("""
        8 HSET <k> <fv>
        2 HMSET <k> <fv>
        3 HSETNX <k> <f> <v>
        3 HGET <k> <f>
        3 HMGET <k> <fs>
        3 HGETALL <k>
        4 HDEL <k> <fs>
        2 HLEN <k>
        2 HEXISTS <k> <f>
        2 HSTRLEN <k> <f>
        2 HKEYS <k>
        2 HVALS <k>
        3 HINCRBY <k> <f> <i>
        3 HINCRBYFLOAT <k> <f> <fl>
        1 HRANDFIELD <k> <n>
        1 HRANDFIELD <k> 100000 WITHVALUES
        2 HSCAN <k> 0 COUNT 100000 MATCH~<pat>?
        1 SET <k> <v>
    """),
    "sorted-set": rows("""
        8 ZADD <k> <sm>
        4 ZADD <lk> <lm>
        3 ZADD <k> NX|XX|GT|LT CH? <sm>
        2 ZADD <k> NX|XX|GT|LT|CH GT|LT|INCR <sm>
        3 ZINCRBY <k> <s> <f>
        3 ZREM <k> <fs>
        2 ZSCORE <k> <f>
        2 ZMSCORE <k> <fs>
        2 ZCARD <k>
        2 ZCOUNT <k> <r> <r>
        2 ZLEXCOUNT <lk> <lex> <lex>
        2 ZRANK <k> <f>
        2 ZREVRANK <k> <f>
        3 ZRANGE <k> <i> <i> REV? WITHSCORES?
        3 ZRANGE <k> <r> <r> BYSCORE REV? LIMIT <i> <i>
        2 ZRANGE <lk> <lex> <lex> BYLEX REV?
        2 ZREVRANGE <k> <i> <i> WITHSCORES?
        2 ZRANGEBYSCORE <k> <r> <r> WITHSCORES?
        2 ZREVRANGEBYSCORE <k> <r> <r> LIMIT <i> <i>
        1 ZRANGEBYLEX <lk> <lex> <lex>
        1 ZREVRANGEBYLEX <lk> <lex> <lex>
        2 ZRANGESTORE <k> <k> <i> <i> REV?
        1 ZRANGESTORE <k> <k> <r> <r> BYSCORE LIMIT <i> <i>
        2 ZPOPMIN <k> <n>?
        2 ZPOPMAX <k> <n>?
        2 ZMPOP <numkeys> MIN|MAX COUNT~<n>?
        2 ZREMRANGEBYRANK <k> <i> <i>
        2 ZREMRANGEBYSCORE <k> <r> <r>
        2 ZREMRANGEBYLEX <lk> <lex> <lex>
        2 ZUNION <numkeys> WITHSCORES?
        2 ZINTER <numkeys> AGGREGATE SUM|MIN|MAX WITHSCORES?
        2 ZDIFF <numkeys> WITHSCORES?
        2 ZUNIONSTORE <k> 2 <k> <k> WEIGHTS <w> <w> AGGREGATE SUM|MIN|MAX
        2 ZINTERSTORE <k> <numkeys>
        2 ZDIFFSTORE <k> <numkeys>
        2 ZINTERCARD <numkeys> LIMIT~<i>?
        1 ZRANDMEMBER <k> <n>
        2 ZSCAN <k> 0 COUNT 100000 MATCH~<pat>?
        1 SADD <k> <fs>
        1 SET <k> <v>
    """),
    "geo": rows("""
        8 GEOADD <k> <places>
        3 GEOADD <k> NX|XX|CH <places>
        3 GEOPOS <k> <fs>
        3 GEOHASH <k> <fs>
        3 GEODIST <k> <f> <f> <unit>?
        2 ZREM <k> <f>
        5 GEOSEARCH <k> <around> WITHDIST? WITHHASH? WITHCOORD?
        4 GEOSEARCH <k> <around> ASC|DESC COUNT <n> WITHDIST?
        3 GEOSEARCH <k> <around> COUNT <n> ANY?
        2 GEOSEARCHSTORE <k> <k> <around>
        1 GEOSEARCHSTORE <k> <k> <around> ASC|DESC? COUNT <n>
        2 GEORADIUS <k> <lon> <dist> <unit> WITHDIST? WITHHASH? WITHCOORD? ASC|DESC?
        1 GEORADIUS <k> <lon> <dist> <unit> COUNT <n> STORE <k>
        1 GEORADIUS_RO <k> <lon> <dist> <unit> COUNT <n> ANY?
        2 GEORADIUSBYMEMBER <k> <f> <dist> <unit> WITHDIST? ASC|DESC?
        1 GEORADIUSBYMEMBER <k> <f> <dist> <unit> STORE <k>
        1 GEORADIUSBYMEMBER_RO <k> <f> <dist> <unit> ASC|DESC
        2 ZRANGE <k> 0 -1 WITHSCORES
        1 SET <k> <v>
    """),
    "stream": rows("""
        9 XADD <k> <newid> <f> <v>
        2 XADD <k> NOMKSTREAM? MAXLEN =? <n> <newid> <f> <v>
        1 XADD <k> MINID <id> <newid> <f> <v>
        2 XLEN <k>
        3 XRANGE <k> <id> <id>
        2 XRANGE <k> - + COUNT <n>
        2 XREVRANGE <k> + - COUNT <n>
        3 XDEL <k> <id> <id>
        2 XTRIM <k> MAXLEN =? <n>
        1 XTRIM <k> MINID <id>
        2 XREAD COUNT <n> STREAMS <k> <id>
        2 XGROUP CREATE <k> g1|g2 <id>
        1 XGROUP CREATE <k> g1|g2 $ MKSTREAM?
        1 XGROUP SETID <k> g1|g2 <id>
        1 XGROUP DESTROY <k> g1|g2
        1 XGROUP CREATECONSUMER <k> g1|g2 c1|c2
        1 XGROUP DELCONSUMER <k> g1|g2 c1|c2
        4 XREADGROUP GROUP g1|g2 c1|c2 COUNT <n> STREAMS <k> >
        2 XREADGROUP GROUP g1|g2 c1|c2 STREAMS <k> 0
        3 XACK <k> g1|g2 <id> <id>
        2 XPENDING <k> g1|g2
        1 XCLAIM <k> g1|g2 c1|c2 0 <id> JUSTID
        1 XAUTOCLAIM <k> g1|g2 c1|c2 0 0 JUSTID
        1 XSETID <k> <newid>
        1 SET <k> <v>
    """),
    "transactions": rows("""
        4 MULTI
        5 EXEC
        1 DISCARD
        2 WATCH <keys>
        1 UNWATCH
        4 SET <k> <v>
        3 INCR <k>
        2 GET <k>
        2 RPUSH <k> <v>
        2 SADD <k> <v>
        1 NOSUCH <k>
        1 HSET <k> <f>
    """),
}
TABLE["mixed"] = []
