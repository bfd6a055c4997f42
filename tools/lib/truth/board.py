"""What was shown of each field: how it was moved, by how much, or why it can't move."""


class AtLeast:
    """A field that grows by this much or more."""

    def __init__(self, least, most=None):
        self.least, self.most = least, most

    def holds(self, delta):
        return delta >= self.least and (self.most is None or delta <= self.most)

    def __str__(self):
        return f">= {self.least}" + (f", <= {self.most}" if self.most is not None else "")


def number(text):
    """A value of INFO as a number; percentages without their sign; None for words."""
    try:
        return float(text.rstrip("%"))
    except ValueError:
        return None


class Board:
    """One row a showing. `show` names each row as it comes."""

    def __init__(self, title, show=False):
        self.title, self.show = title, show
        self.rows = []
        self.left_out = []

    def add(self, name, kind, how, value, good):
        self.rows.append((name, kind, how, value, good))
        if self.show or not good:
            print(f"{'ok' if good else 'FAILED':6} {self.title} {name:34} {kind:6} {how}: {value}", flush=True)
        return good

    def moved(self, name, how, before, after, wanted):
        """`wanted` is an exact difference, AtLeast, or a function of the values before and after."""
        if before is None and after is None:
            self.left_out.append(name)
            return True
        try:
            good = self._fits(before, after, wanted)
        except TypeError:
            good = False
        text = f"{before} -> {after}" + (f" (wanted {wanted})" if not good and not callable(wanted) else "")
        return self.add(name, "moved", how, text, good)

    @staticmethod
    def _fits(before, after, wanted):
        if callable(wanted):
            return bool(wanted(number(before) if number(before) is not None else before,
                               number(after) if number(after) is not None else after))
        delta = number(after) - (number(before) or 0)
        return wanted.holds(delta) if isinstance(wanted, AtLeast) else abs(delta - wanted) < 0.005

    def true(self, name, how, value, good):
        """A field that tells a fact: `value` is what it says, `good` whether that is so."""
        if value is None:
            self.left_out.append(name)
            return True
        return self.add(name, "true", how, value, good)

    def still(self, name, why, value, good=True):
        """A field that cannot move here, which must say so."""
        if value is None:
            self.left_out.append(name)
            return True
        return self.add(name, "still", why, value, good)

    def check(self, what, good, detail=""):
        return self.add(what, "check", detail or "-", "", good)

    def lacking(self, names):
        """Names that nothing was shown of."""
        shown = {row[0] for row in self.rows} | set(self.left_out)
        return [name for name in names if name not in shown]

    def table(self):
        for name, kind, how, value, good in self.rows:
            print(f"{'' if good else 'FAILED '}{name:42} {kind:6} {str(value)[:60]:60} {how}")

    def counts(self):
        good = sum(1 for row in self.rows if row[4])
        return good, len(self.rows) - good
