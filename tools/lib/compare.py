"""When are two replies (ours, theirs) the same? Determinism rules, and the written list of design differences.

Rules, in this order: exact; the same multiset for commands whose order is the hash table's; the same shape for random
ones; close in time for clocks and TTLs; the same number for doubles (7.0 prints 17 digits, 7.2+ the shortest form);
and last the lines of tools/compat.d/differences.
"""
import os
import re

from resp import show
from servers import ROOT

UNORDERED = {"SMEMBERS", "SINTER", "SUNION", "SDIFF", "KEYS", "HKEYS", "HVALS", "SPOP", "COMMAND|LIST",
             "PUBSUB|CHANNELS", "STATE KEYS"}
PAIRS = {"HGETALL", "CONFIG|GET"}
SCANS = {"SCAN": 1, "SSCAN": 1, "HSCAN": 2, "ZSCAN": 2}
SHAPE = {"RANDOMKEY", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "INFO", "TIME", "LASTSAVE", "CLIENT|ID",
         "CLIENT|INFO", "CLIENT|LIST", "OBJECT|FREQ", "OBJECT|IDLETIME", "MEMORY|USAGE", "MEMORY|STATS",
         "MEMORY|DOCTOR", "HELLO", "DEBUG|OBJECT",
         "DEBUG|HTSTATS", "SLOWLOG|GET", "BGSAVE", "BGREWRITEAOF", "LATENCY|DOCTOR",
         "CLIENT|GETREDIR", "ACL|GENPASS", "COMMAND|DOCS", "COMMAND", "COMMAND|COUNT", "COMMAND|INFO", "LOLWUT", "ROLE"}
CLOSE = {"TTL": 20, "PTTL": 20000, "EXPIRETIME": 20, "PEXPIRETIME": 20000, "STATE EXPIRE": 20000,
         "HTTL": 20, "HPTTL": 20000, "HEXPIRETIME": 20, "HPEXPIRETIME": 20000}
FLOATS = {"ZSCORE", "ZMSCORE", "ZINCRBY", "ZADD", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZPOPMIN",
          "ZPOPMAX", "BZPOPMIN", "BZPOPMAX", "ZMPOP", "BZMPOP", "ZSCAN", "ZUNION", "ZINTER", "ZDIFF", "ZRANDMEMBER",
          "GEODIST", "GEOPOS", "GEOSEARCH", "GEORADIUS", "EXEC"}
CONTAINERS = {"OBJECT", "DEBUG", "CLIENT", "CONFIG", "COMMAND", "MEMORY", "XGROUP", "XINFO", "SCRIPT", "FUNCTION",
              "ACL", "LATENCY", "SLOWLOG", "PUBSUB", "CLUSTER", "MODULE",
              "COMMANDLOG", "HIMPORT", "HOTKEYS", "DURABILITY",
                  "BACKUP"}


def text_of(argument):
    return argument.decode("utf-8", "backslashreplace") if isinstance(argument, bytes) else str(argument)


def name_of(arguments):
    """The command's name as in COMMAND LIST: upper case, `CONTAINER|SUB`."""
    if not arguments:
        return "?"
    name = text_of(arguments[0]).upper()
    if name in CONTAINERS and len(arguments) > 1:
        name += "|" + text_of(arguments[1]).upper()
    return name


def multiset(reply):
    kind, payload = reply
    return (kind, sorted(map(repr, payload))) if isinstance(payload, list) else reply


def pairs(items):
    return sorted((repr(items[i]), repr(items[i + 1])) for i in range(0, len(items) - 1, 2))


def flat_multiset(reply):
    """HGETALL and its like: pairs in any order, nested lists and maps included."""
    kind, payload = reply
    if kind == "%":
        return (kind, sorted(map(repr, payload)))
    return (kind, pairs(payload)) if isinstance(payload, list) and len(payload) % 2 == 0 else reply


def scan_form(reply, width):
    kind, payload = reply
    if kind != "*" or not payload or len(payload) != 2 or not isinstance(payload[1][1], list):
        return reply
    cursor, (inner, items) = payload
    return (kind, cursor, inner, pairs(items) if width == 2 else sorted(map(repr, items)))


def shape(reply):
    kind, payload = reply
    if isinstance(payload, list) and kind != "%":
        return (kind, len(payload), {item[0] for item in payload})
    return (kind, payload if kind == "-" else payload is None)


SINCE_STREAMS_OF_7_2 = (b"lag", b"entries-read", b"consumers", b"inactive", b"active-time", b"seen-time", b"idle",
                        b"pel")


def is_idle_consumer(item):
    """An entry of XINFO CONSUMERS with nothing pending: 7.0 may not have it."""
    kind, payload = item
    if kind == "%":
        return (("$", b"pending"), (":", 0)) in payload and len(payload) in (3, 4) and payload[0][0][1] == b"name"
    return kind == "*" and len(payload or []) in (6, 8) and payload[2:4] == [("$", b"pending"), (":", 0)]


def old_stream(reply):
    """What XINFO tells without what 7.2 to 7.4.1 changed: how the lag is estimated, consumers that exist although they
    got nothing, when one was seen; and times."""
    kind, payload = reply
    if not isinstance(payload, list):
        return reply
    if kind == "%":
        return (kind, [(key, old_stream(value)) for key, value in payload if key[1] not in SINCE_STREAMS_OF_7_2
                       and not (key[1] == b"pending" and isinstance(value[1], list))])
    out, skip = [], False
    for item, after in zip(payload, payload[1:] + [(None, None)]):
        if is_idle_consumer(item):
            continue
        if skip:
            skip = False
        elif item[0] == "$" and (item[1] in SINCE_STREAMS_OF_7_2
                                 or item[1] == b"pending" and isinstance(after[1], list)):
            skip = True
        else:
            out.append(old_stream(item))
    return (kind, out)


def without_idle(reply):
    """XPENDING's entries without how long each is pending."""
    kind, payload = reply
    if kind != "*" or not payload or payload[0][0] != "*" or len(payload[0][1]) != 4:
        return reply
    return (kind, [(inner, items[:2] + items[3:]) for inner, items in payload])


def what_was_denied(reply):
    """ACL LOG without who, when, and the numbers of 7.2+."""
    kind, payload = reply
    if kind != "*" or not isinstance(payload, list):
        return reply
    entries = []
    for inner, items in payload:
        facts = items if inner == "%" else list(zip(items[::2], items[1::2]))
        entries.append([(key[1], value) for key, value in facts
                        if key[1] in (b"count", b"reason", b"context", b"object", b"username")])
    return (kind, entries)


def same_number(left, right):
    try:
        return float(left) == float(right) and len(left) <= len(right)
    except ValueError:
        return False


def same_floats(ours, theirs):
    """Equal, but for doubles whose text differs; ours must not be the longer one."""
    (kind, left), (other, right) = ours, theirs
    if kind != other:
        return False
    if kind == "%":
        return len(left) == len(right) and all(
            same_floats(a, c) and same_floats(b, d) for (a, b), (c, d) in zip(left, right))
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_floats, left, right))
    if left == right:
        return True
    return kind in "$," and left is not None and right is not None and same_number(left, right)


def same_times(ours, theirs, tolerance):
    (kind, left), (other, right) = ours, theirs
    if kind != other:
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same_times(a, b, tolerance) for a, b in zip(left, right))
    if kind != ":":
        return left == right
    return (left < 0) == (right < 0) and abs(left - right) <= tolerance and (left >= 0 or left == right)


class Differences:
    """tools/compat.d/differences: command, ours, theirs (regular expressions, tab-separated) and a reason."""

    def __init__(self, path=os.path.join(ROOT, "tools", "compat.d", "differences")):
        self.rows = []
        self.used = {}
        if not os.path.exists(path):
            return
        with open(path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip() or line.startswith("#"):
                    continue
                fields = [field for field in line.rstrip("\n").split("\t") if field]
                if len(fields) != 4:
                    raise SystemExit(f"{path}:{number}: four tab-separated fields wanted, {len(fields)} found")
                self.rows.append(tuple(re.compile(field, re.S) for field in fields[:3]) + (fields[3],))

    def allows(self, command, ours, theirs):
        for command_pattern, ours_pattern, theirs_pattern, reason in self.rows:
            if command_pattern.search(command) and ours_pattern.search(ours) and theirs_pattern.search(theirs):
                self.used[reason] = self.used.get(reason, 0) + 1
                return True
        return False


def same(name, command, ours, theirs, differences, mode=None):
    """`mode` overrules the table: sort, shape, float, ignore."""
    if ours == theirs or mode == "ignore":
        return True
    if mode == "shape" or (mode is None and name in SHAPE):
        if shape(ours) == shape(theirs):
            return True
    elif mode == "sort" or name in UNORDERED:
        if multiset(ours) == multiset(theirs):
            return True
    elif name in PAIRS:
        if flat_multiset(ours) == flat_multiset(theirs):
            return True
    elif name.startswith("XINFO"):
        if old_stream(ours) == old_stream(theirs):
            return True
    elif name == "ACL|LOG":
        if what_was_denied(ours) == what_was_denied(theirs):
            return True
    elif name == "XPENDING":
        if without_idle(ours) == without_idle(theirs):
            return True
    elif name in SCANS:
        width = 1 if "NOVALUES" in command.upper() or "NOSCORES" in command.upper() else SCANS[name]
        if scan_form(ours, width) == scan_form(theirs, width):
            return True
    elif name in CLOSE:
        if same_times(ours, theirs, CLOSE[name]):
            return True
    if (mode == "float" or name in FLOATS) and same_floats(ours, theirs):
        return True
    return differences.allows(command, show(ours, 4000), show(theirs, 4000))
