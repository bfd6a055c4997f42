"""Seeded damage to files and payloads, and the checksum (CRC-64/Jones) that RDB files and DUMP payloads end with."""

POLYNOMIAL = 0x95AC9329AC4BC9B5     # reflected
KINDS = ("flip", "flip", "flips", "cut", "zero-tail", "garbage", "splice", "insert", "delete", "repeat", "length")

LENGTHS = (b"\x80\xff\xff\xff\xff", b"\x81" + b"\xff" * 8, b"\x81\x7f" + b"\xff" * 7, b"\x7f\xff",
           b"\xff\xff\xff\xff", b"\xf0\xff\xff\xff\xff", b"\xfe\xff\xff\xff\xff")


def _table():
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def crc64(data):
    value = 0
    for byte in data:
        value = TABLE[(value ^ byte) & 255] ^ (value >> 8)
    return value


def with_checksum(data):
    """The bytes with their last eight replaced by the checksum of the others."""
    return data[:-8] + crc64(data[:-8]).to_bytes(8, "little")


def damage(data, chance):
    """Gives (what was done, damaged bytes)."""
    kind = chance.choice(KINDS)
    data = bytearray(data)
    size = max(len(data), 1)
    at = chance.randrange(size)
    if kind in ("flip", "flips") and data:
        for _ in range(1 if kind == "flip" else chance.randint(2, 12)):
            spot = chance.randrange(size)
            data[spot] ^= 1 << chance.randrange(8)
            at = spot
    elif kind == "cut":
        del data[at:]
    elif kind == "zero-tail":
        if chance.random() < 0.5:
            data[at:] = bytes(len(data) - at)
        else:
            at = len(data)
            data += bytes(chance.choice((1, 7, 100, 4096)))
    elif kind == "garbage":
        length = min(chance.choice((1, 2, 4, 8, 64)), size - at)
        data[at:at + length] = chance.randbytes(length)
    elif kind == "splice":
        source, length = chance.randrange(size), chance.randint(1, 200)
        data[at:at + length] = data[source:source + length]
    elif kind == "insert":
        data[at:at] = chance.randbytes(chance.choice((1, 2, 9, 100)))
    elif kind == "delete":
        del data[at:at + chance.choice((1, 2, 9, 100))]
    elif kind == "repeat":
        length = chance.randint(1, 100)
        data[at:at] = data[at:at + length]
    elif kind == "length":      # what a length field must survive: the largest values of its forms
        data[at:at + 9] = chance.choice(LENGTHS)
    return f"{kind} at {at}", bytes(data)
