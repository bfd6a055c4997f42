"""Numbers where they hurt: places on earth, and bits at any distance."""
from fuzzing.target import FLOATS, NUMBERS, Barrage, as_bytes, mutated

LONGITUDES = [
    b"180", b"-180", b"179.9999999999", b"180.0000000001", b"0", b"-0", b"1e-320", b"13.361389", b"nan", b"inf"
]
LATITUDES = [
    b"85.05112878", b"-85.05112878", b"85.05112879", b"90", b"-90", b"0", b"-0", b"38.115556", b"84.99", b"nan"
]
UNITS = [b"m", b"km", b"ft", b"mi", b"M", b"", b"yd"]
TYPES = [
    b"u1", b"u8", b"u63", b"u64", b"i1", b"i8", b"i64", b"i65", b"u0", b"i0", b"u-1", b"i", b"u08", b"U8", b"x8", b"u 8"
]
OFFSETS = [
    b"0", b"1", b"7", b"8", b"63", b"64", b"100", b"8388607", b"8388608", b"-1", b"#0", b"#1", b"#8", b"#-1", b"#",
    b"4294967295", b"4294967296", b"#4294967295", b"#9223372036854775807", b"9223372036854775807",
    b"#288230376151711744", b"18446744073709551615"
]
MEMBERS = [b"a", b"b", b"c", b"", b"\x00", b"missing"]
GEO_WORDS = [
    b"WITHCOORD", b"WITHDIST", b"WITHHASH", b"COUNT", b"ANY", b"ASC", b"DESC", b"STORE", b"STOREDIST", b"FROMMEMBER",
    b"FROMLONLAT", b"BYRADIUS", b"BYBOX", b"BYPOLYGON", b"NX", b"XX", b"CH"
]
BIT_WORDS = [b"GET", b"SET", b"INCRBY", b"OVERFLOW", b"WRAP", b"SAT", b"FAIL", b"BIT", b"BYTE", b"AND", b"NOT", b"DIFF"]


def point(chance):
    if chance.random() < 0.5:
        return [b"%.6f" % chance.uniform(-180, 180), b"%.6f" % chance.uniform(-85, 85)]
    return [chance.choice(LONGITUDES), chance.choice(LATITUDES)]


def distance(chance):
    return chance.choice(FLOATS) if chance.random() < 0.4 else b"%g" % 10**chance.uniform(-3, 9)


def search(chance):
    words = [b"FROMMEMBER", chance.choice(MEMBERS)] if chance.random() < 0.4 else [b"FROMLONLAT"] + point(chance)
    kind = chance.randrange(3)
    if kind == 0:
        words += [b"BYRADIUS", distance(chance), chance.choice(UNITS)]
    elif kind == 1:
        words += [b"BYBOX", distance(chance), distance(chance), chance.choice(UNITS)]
    else:
        count = chance.choice((1, 2, 3, 4, 12))
        words = [b"BYPOLYGON", b"%d" % chance.choice((count, count, count + 1, -1, 2**62))]
        words += [word for _ in range(count) for word in point(chance)]
    if chance.random() < 0.4:
        words += [b"COUNT", chance.choice(NUMBERS)]
    return words + [word for word in GEO_WORDS[:3] + [b"ASC"] if chance.random() < 0.3]


def geo_command(chance):
    kind = chance.randrange(7)
    key = chance.choice((b"g", b"q", b"s"))
    if kind == 0:
        return [b"GEOADD", key] + [word for _ in range(3) for word in point(chance) + [chance.choice(MEMBERS)]]
    if kind == 1:
        return [b"GEOSEARCH", key] + search(chance)
    if kind == 2:
        return [b"GEOSEARCHSTORE", chance.choice((b"q", b"g")), key] + search(chance)
    if kind == 3:
        return [b"GEORADIUS", key] + point(chance) + [distance(chance), chance.choice(UNITS)] + chance.sample(
            GEO_WORDS, 3)
    if kind == 4:
        return [
            b"GEORADIUSBYMEMBER", key,
            chance.choice(MEMBERS),
            distance(chance),
            chance.choice(UNITS),
            chance.choice(GEO_WORDS),
            chance.choice((b"q", b"1"))
        ]
    if kind == 5:
        return [b"GEODIST", key, chance.choice(MEMBERS), chance.choice(MEMBERS), chance.choice(UNITS)]
    # Scores that are no geohash are read as one all the same.
    return [b"ZADD", key, chance.choice(FLOATS), chance.choice(MEMBERS)] if chance.random() < 0.5 \
        else [chance.choice((b"GEOHASH", b"GEOPOS")), key] + chance.sample(MEMBERS, 3)


def bit_command(chance):
    kind = chance.randrange(7)
    key = chance.choice((b"b", b"c", b"h", b"n"))
    if kind < 3:
        words = [chance.choice((b"BITFIELD", b"BITFIELD", b"BITFIELD_RO")), key]
        for _ in range(chance.randrange(1, 5)):
            words += chance.choice(
                ([b"GET"], [b"SET"], [b"INCRBY"], [b"OVERFLOW", chance.choice(BIT_WORDS[4:7]), b"INCRBY"]))
            words += [chance.choice(TYPES), chance.choice(OFFSETS)]
            words += [] if words[-3] == b"GET" else [chance.choice(NUMBERS)]
        return words
    if kind == 3:
        operation = chance.choice((b"AND", b"OR", b"XOR", b"NOT", b"DIFF", b"DIFF1", b"ANDOR", b"ONE", b"NAND"))
        return [b"BITOP", operation, key] + chance.choices((b"b", b"c", b"h", b"none", b"n"), k=chance.randrange(1, 5))
    if kind == 4:
        return [b"BITCOUNT", key, chance.choice(NUMBERS),
                chance.choice(NUMBERS)] + chance.choice(([], [b"BIT"], [b"BYTE"]))
    if kind == 5:
        return [
            b"BITPOS", key,
            chance.choice((b"0", b"1", b"2")),
            chance.choice(NUMBERS),
            chance.choice(NUMBERS),
            chance.choice((b"BIT", b"BYTE"))
        ]
    return chance.choice(([b"SETBIT", key, chance.choice(OFFSETS),
                           chance.choice((b"0", b"1", b"2"))], [b"SETRANGE", key,
                                                                chance.choice(NUMBERS),
                                                                b"x"], [b"GETBIT", key,
                                                                        chance.choice(OFFSETS)],
                          [b"GETRANGE", key, chance.choice(NUMBERS),
                           chance.choice(NUMBERS)]))


def geo(options, rounds, plant=None):
    setup = [("FLUSHALL", ), ("GEOADD", "g", "13.36", "38.11", "a", "15.08", "37.5", "b", "-179.9", "85", "c"),
             ("SET", "s", "v")]
    return numbers(options, "geo", rounds, geo_command, setup, GEO_WORDS, plant)


def bits(options, rounds, plant=None):
    setup = [("FLUSHALL", ), ("SET", "b", b"\xff\x00\xaa" * 30), ("SET", "n", "12345"), ("PFADD", "h", "a")]
    return numbers(options, "bits", rounds, bit_command, setup, BIT_WORDS, plant)


def numbers(options, name, rounds, command, setup, vocabulary, plant):
    """A round is 50 commands. Gives (passed, problems)."""

    def batch(chance, number):
        commands = list(setup) if number % 4 == 0 else []
        for _ in range(50):
            words = command(chance)
            commands.append(mutated(chance, words, vocabulary) if chance.random() < 0.3 else words)
        return commands

    return Barrage(options, name, batch, plant=plant).run(rounds)


def geo_plant(words):
    """A server that dies of a box of infinite width."""
    return b"BYBOX" in words[:-1] and as_bytes(words[words.index(b"BYBOX") + 1]) in (b"inf", b"+inf")


def bits_plant(words):
    """A server that multiplies an offset by a width without looking."""
    return words[0] == b"BITFIELD" and b"#9223372036854775807" in words
