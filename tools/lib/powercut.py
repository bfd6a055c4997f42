"""A power cut, played on the files that a killed server left: what was not synced may be gone.

The library tools/preload/powercut.c keeps a journal of syncs, renames, creations and removals. After the kill, a
random suffix of the directory operations that no directory fsync covered is undone, and every file keeps its synced
bytes and a random part of the others; of what was overwritten since the last sync each sector may stand there as it
was. Whoever syncs right loses nothing that was acknowledged.
"""
import os
import shutil
import subprocess

from servers import ROOT, scratch


def built(name):
    """Path of a library of tools/preload, built when missing or old."""
    source, library = os.path.join(ROOT, "tools", "preload", name + ".c"), os.path.join(ROOT, ".build", name + ".so")
    if not os.path.exists(library) or os.path.getmtime(library) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(library), exist_ok=True)
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


class PowerCut:
    def __init__(self, directory, chance, zeros=False):
        self.directory, self.chance, self.zeros = os.path.realpath(directory), chance, zeros
        self.place = scratch("powercut-")
        self.journal, self.backup = os.path.join(self.place, "journal"), os.path.join(self.place, "backup")
        self.told = ""
        self.begin()

    @property
    def environment(self):
        return {"LD_PRELOAD": built("powercut"), "POWERCUT_JOURNAL": self.journal, "POWERCUT_BACKUP": self.backup}

    def files(self):
        for folder, _, names in os.walk(self.directory):
            for name in names:
                if name != "server.log":
                    yield os.path.join(folder, name)

    def begin(self):
        """Before a start: what is there is durable."""
        shutil.rmtree(self.backup, ignore_errors=True)
        os.makedirs(self.backup)
        open(self.journal, "w").close()
        self.overwritten = {}                       # by inode: [offset, count, place]
        self.synced = {os.stat(path).st_ino: os.path.getsize(path) for path in self.files()}

    def read(self):
        """Gives the directory operations that are not durable, in order."""
        pending = []
        with open(self.journal) as journal:
            for line in journal:
                kind, *fields = line.split()
                if kind == "O":
                    self.overwritten.setdefault(int(fields[0]), []).append([int(field) for field in fields[1:]])
                    continue
                if kind == "S":
                    self.overwritten.pop(int(fields[0]), None)
                    self.synced[int(fields[0])] = max(int(fields[1]), self.synced.get(int(fields[0]), 0))
                elif kind == "T":
                    number = int(fields[0])
                    self.synced[number] = min(int(fields[1]), self.synced.get(number, 0))
                elif kind == "D":
                    pending = [row for row in pending if os.path.dirname(row[-1]) != fields[0].rstrip("/")]
                else:
                    if kind == "C":
                        self.synced[int(fields[0])] = 0
                    if fields[-1].startswith(self.directory) and not fields[-1].endswith("server.log"):
                        pending.append((kind, *fields))
        return pending

    def undo(self, row):
        kind, path = row[0], row[-1]
        if kind == "C" and os.path.exists(path):
            os.unlink(path)
        elif kind == "U" and row[1] != "-" and not os.path.exists(path):
            os.rename(row[1], path)
        elif kind == "R" and os.path.exists(path):
            os.rename(path, row[2])
            if row[1] != "-":
                os.rename(row[1], path)

    def restore(self, path, size):
        """Puts back sectors of what was overwritten and not synced; says how many bytes."""
        rows, total = self.overwritten.get(os.stat(path).st_ino, []), 0
        odds = self.chance.choice((0, 0.5, 1))
        for offset, count, place in reversed(rows):
            with open(os.path.join(self.backup, "overwritten"), "rb") as kept:
                kept.seek(place)
                old = kept.read(count)
            with open(path, "r+b") as file:
                start = offset
                while start < min(offset + count, size):
                    end = min((start // 512 + 1) * 512, offset + count, size)
                    if self.chance.random() < odds:
                        file.seek(start)
                        file.write(old[start - offset:end - offset])
                        total += end - start
                    start = end
        return total

    def strike(self):
        """Takes away what may be lost; `told` says what that was."""
        pending, told = self.read(), []
        lost = pending[self.chance.randint(0, len(pending)):]
        for row in reversed(lost):
            self.undo(row)
            told.append(f"{row[0]} {os.path.basename(row[-1])} undone")
        for path in sorted(self.files()):
            size, durable = os.path.getsize(path), self.synced.get(os.stat(path).st_ino, 0)
            restored = self.restore(path, size)
            if restored:
                told.append(f"{os.path.basename(path)}: {restored} overwritten bytes as they were")
            if size <= durable:
                continue
            keep = self.chance.choice((durable, size, self.chance.randint(durable, size)))
            if keep < size:
                os.truncate(path, keep)
                told.append(f"{os.path.basename(path)}: {size - keep} of {size - durable} bytes cut")
                if self.zeros and self.chance.random() < 0.5:
                    os.truncate(path, self.chance.randint(keep, size))
                    told.append("then zeros")
        self.told = "; ".join(told) or "nothing was lost"
        self.begin()
