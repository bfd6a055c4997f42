"""Random scripts: bytes for everything that decodes, and values for the conversion of replies."""

DECODERS = [
    ("return {cmsgpack.unpack(ARGV[1])}", b"\x81\x91\x92\xa1\xc0\xca\xcb\xcf\xd9\xdb\xdc\xdd\xde\xdf"),
    ("return {cmsgpack.unpack_one(ARGV[1], 1)}", b"\x81\x92\xa2\xdc\xde\x00\x01"),
    ("return {cmsgpack.unpack_limit(ARGV[1], 3)}", b"\x93\xa3\xda\xdf\x00\x01"),
    ("return cjson.decode(ARGV[1])", b"{}[]\":,\\u0dn1e-.t"),
    ("return cjson.encode(cjson.decode(ARGV[1]))", b"{}[]\":,\\u0dn1e-.t"),
    ("return {struct.unpack(ARGV[1], ARGV[1])}", b"bBhHiIlLTfdxsc!<> 0123456789"),
    ("return struct.pack(ARGV[1], 1, -2, 3.5, 'abc', 'abc', 2^63, 5)", b"bBhHiIlLTfdxsc!<> 0123456789"),
    ("return struct.size(ARGV[1])", b"bBhHiIlLTfdxc!<> 0123456789"),
    ("return {pcall(loadstring, ARGV[1])} and 1", b"[=]\"'()-end 1.5{}\x1b"),
    ("return {pcall(string.find, ARGV[1], ARGV[1])}", b"[]()%*+-?.^$bf"),
    ("return {pcall(string.format, ARGV[1], 1, 2, 'a')}", b"%dsqxXeEgGiucf.0123456789-+# "),
]
ATOMS = ["1", "-1.5", "1/0", "0/0", "2^63", "''", "'a\\r\\nb'", "true", "false", "nil", "type", "cjson.null", "_G"]
KEYS = ["ok=", "err=", "map=", "set=", "double=", "big_number=", "verbatim_string=", "format=", "string=", "", "", "",
        "[1.5]=", "x="]


def value(chance, depth=0):
    if depth > 4 or chance.random() < 0.35:
        return chance.choice(ATOMS)
    return "{" + ",".join(chance.choice(KEYS) + value(chance, depth + 1) for _ in range(chance.randrange(5))) + "}"


def decoding(chance):
    """A script and its argument."""
    source, favourites = chance.choice(DECODERS)
    data = bytes(chance.choice(favourites) if chance.random() < 0.6 else chance.randrange(256)
                 for _ in range(chance.randrange(60)))
    return source, data


def answering(chance):
    return f"redis.setresp({chance.choice((2, 3))}) return {value(chance)}", b""
