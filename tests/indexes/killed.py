"""Run by test_kill.py in a process of its own: index a folder again and again, each time killed at a random instant.

Everything is imported once; each round forks a child that indexes and reports every commit on a pipe, and kills it.
Prints one JSON line a round: what the child had reported as committed when it died, and what was found afterwards.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from embed import load
from indexes import build as module
from indexes import columns
from indexes import where as filters
from indexes.build import Listener, Plan, build
from indexes.catalog import Catalog
from indexes.collection import Collection
from indexes.fields import column_of
from indexes.words import file_name, key_of, texts_of, words_of
from indexes.writer import Entry, writing

module.COMMIT_VECTORS = 6
columns.LATE = 0  # a file of columns at the end of each run
TABLE = {"family": "toy", "model": "16"}
NAMES = {"family": "toy", "model": "8"}


class Telling(Listener):
    """Writes each committed vector's content and span to a pipe."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def committed(self, entries: Sequence[Entry]) -> None:
        told = [[entry.part.path, entry.part.span.start if entry.part.span else None] for entry in entries]
        os.write(self.pipe, (json.dumps(told) + "\n").encode())


def index(path: Path, folder: Path, prune: bool, pipe: int) -> None:
    collection = Collection.open(path) if (path / "manifest.json").exists() else Collection.create(path)
    below = [folder / "a", folder / "b"]  # roots of their own: one may be gone, and forgotten already
    roots = [str(root) for root in below if root.exists() or collection.catalog.places_under(str(root))]
    build(
        collection,
        [(load("toy:16"), TABLE)],
        Plan(tuple(roots), prune=prune, force=prune),
        Telling(pipe),
        names=(load("toy:8"), NAMES),
    )


def start(path: Path, folder: Path, prune: bool) -> tuple[int, int]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            index(path, folder, prune, write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    return child, read


def drain(read: int) -> list[list[object]]:
    """Every line that was written whole."""
    data = b""
    while chunk := os.read(read, 1 << 16):
        data += chunk
    os.close(read)
    return [entry for line in data.split(b"\n")[:-1] for entry in json.loads(line)]


def found(path: Path) -> dict[str, str]:
    """Each (path, start) of a collection and its vector; opening it is all the recovery there is."""
    if not (path / "manifest.json").exists():
        return {}
    with Collection.open(path) as collection:
        vectors = {}
        for store in collection.catalog.stores():
            space = next(known.space for known in collection.spaces if known.space.id == store.space)
            live = collection.live_rows(space, store.modality).tolist()
            assert live == collection.catalog.live_rows(store.space, store.modality).tolist()
        for item in collection.catalog.all_items():
            for known in collection.spaces:
                if collection.catalog.row_of_item(known.space.id, item.id) is not None:
                    start = item.span.start if item.span else None
                    for source in item.sources:
                        vectors[json.dumps([source.path, start])] = (
                            collection.vector(known.space, item.id).tobytes().hex()
                        )
        return vectors


def names_fit(path: Path, *, whole: bool = False) -> bool:
    """Whether the words of names are those of the sources, in the indexes as well, and their vectors are there.

    ``whole``: a run has come to its end, so that every text has its vector.
    """
    if not (path / "manifest.json").exists():
        return not whole
    with Collection.open(path) as collection:
        catalog = collection.catalog
        sources = [
            catalog.source(p, None if row < 0 else row) for p, row in catalog.query("SELECT path, row FROM source")
        ]
        called = {s.id: words_of(s.path, s.row, s.metadata) for s in sources if s is not None}
        expected = [(i, w.name, w.folder, "\n".join(w.captions)) for i, w in sorted(called.items())]
        with catalog.transaction():  # each raises where the index is not that of what it was made of
            catalog._db.execute("INSERT INTO names (names, rank) VALUES ('integrity-check', 1)")
            catalog._db.execute("INSERT INTO parts (parts, rank) VALUES ('integrity-check', 1)")
        files = sorted((s.id, *file_name(s.path)) for s in sources if s is not None and s.row is None)
        letters = catalog.query("SELECT id, stem, suffix FROM called ORDER BY id") == files
        texts = {(key_of(text), i, weight) for i, *words in expected for text, weight in texts_of(*words)}
        said = catalog.query("SELECT t.key, s.source, s.weight FROM said s JOIN text t ON t.id = s.text")
        meanings = sorted(said) == sorted(texts)
        (last,) = catalog.query("SELECT ifnull(max(id), 0) FROM text")[0]
        counted = [
            (rows, (path / "indexes" / file).stat().st_size // (4 * 8))
            for file, rows in catalog.query("SELECT file, rows FROM meant")
        ]
        there = all(rows <= have for rows, have in counted)
        done = [rows >= last for rows, _ in counted] == [True]
        filtered = filters_fit(collection, whole=whole)
        return catalog.names() == expected and letters and meanings and there and filtered and (not whole or done)


def filters_fit(collection: Collection, *, whole: bool) -> bool:
    """Whether a filter leaves by columns what it leaves by SQL; ``whole``: the columns are there."""
    long = "duration > 0.6 or " if "duration" in collection.fields() else ""  # an import may know of none
    condition = filters.compile(where := filters.parse(f"{long}size < 9000"), column_of)
    used = collection.catalog.columns_file() is not None
    with collection.snapshot():
        if used and "duration" in collection.fields() and collection._columns_for(where) is None:
            return False
        for store in collection.catalog.stores():
            space = next(known.space for known in collection.spaces if known.space.id == store.space)
            mask = collection._all_that_fulfil(space, store.modality, where, condition)
            rows = collection.catalog.matching_rows(space.id, store.modality, condition.sql, condition.parameters)
            left = (mask & collection.live(space, store.modality)).nonzero()[0].tolist()
            if left != sorted(set(rows.tolist())):
                return False
    return used or not whole


def main(folder: Path, path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    # How long an undisturbed run takes, so that the kills fall everywhere in one.
    whole = path.with_name("whole")
    began = time.monotonic()
    child, read = start(whole, folder, prune=False)
    drain(read)
    os.waitpid(child, 0)
    length = time.monotonic() - began
    done = 0
    while done < kills:
        began = time.monotonic()
        child, read = start(path, folder, prune=done % 3 == 2)
        ready, _, _ = select.select([read], [], [], chance.uniform(0.0, length))
        if ready and chance.random() < 0.7:  # the first commit came: die a moment after it
            time.sleep(chance.uniform(0.0, length))
        os.kill(child, signal.SIGKILL)
        committed = drain(read)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        if not killed and committed:
            length = (length + time.monotonic() - began) / 2  # the machine may have other work now than at first
        done += killed
        there = found(path)
        lost = [entry for entry in committed if json.dumps(entry) not in there]
        integrity = "ok"
        if (path / "manifest.json").exists():
            integrity = Catalog(path / "catalog.sqlite").query("PRAGMA integrity_check")[0][0]
        complete = not killed
        line = {
            "names": names_fit(path, whole=complete),
            "killed": killed,
            "committed": len(committed),
            "there": len(there),
            "lost": lost,
            "integrity": integrity,
        }
        if complete or chance.random() < 0.25:
            # Start again from nothing, after letting the run come to its end and comparing.
            if not complete:
                child, read = start(path, folder, prune=True)
                drain(read)
                os.waitpid(child, 0)
            line["equal"] = found(path) == found(whole) and names_fit(path, whole=True)
            path = path.with_name(f"again-{done}-{chance.random()}")
        print(json.dumps(line), flush=True)
    child, read = start(path, folder, prune=True)
    drain(read)
    os.waitpid(child, 0)
    equal = found(path) == found(whole)
    print(json.dumps({"killed": False, "lost": [], "integrity": "ok", "names": names_fit(path), "equal": equal}))


def half_gone(folder: Path) -> set[str]:
    """Take half of the files out, which writes the vectors anew; gives those of which nothing may change."""
    for file in sorted(folder.rglob("*.wav"))[::2]:
        file.unlink()
    return set(map(str, folder.rglob("*.wav")))


def root_gone(folder: Path) -> set[str]:
    """Take a folder out whole that is a root of the run."""
    shutil.rmtree(folder / "a")
    return set(map(str, folder.rglob("*.wav")))


def rewritten(folder: Path) -> set[str]:
    """Put other content of equal size under the old mtime into some files, and change nothing but the ctime of others.

    One in three stands as it did.
    """
    files = sorted(folder.rglob("*.wav"))
    for number, file in enumerate(files):
        times = file.stat()
        if number % 3 == 0:
            header, samples = file.read_bytes()[:44], bytearray(file.read_bytes()[44:])
            samples[::2] = bytes(byte ^ 1 for byte in samples[::2])
            file.write_bytes(header + samples)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        elif number % 3 == 1:
            file.chmod(0o600)
    return set(map(str, (file for number, file in enumerate(files) if number % 3)))


CHANGES = {"prune": half_gone, "root": root_gone, "rewritten": rewritten}


def changed(folder: Path, path: Path, kills: int, seed: int, mode: str) -> None:
    """Kill runs after a change to the files; each from the same collection.

    The instants lie within as long as a run takes, which is measured again by every one that comes to its end first.
    """
    chance = random.Random(seed)
    child, read = start(path, folder, prune=False)
    drain(read)
    os.waitpid(child, 0)
    whole = found(path)
    standing = CHANGES[mode](folder)
    kept = {key: vector for key, vector in whole.items() if json.loads(key)[0] in standing}
    fresh = path.with_name("fresh")
    child, read = start(fresh, folder, prune=False)
    drain(read)
    os.waitpid(child, 0)
    left = found(fresh)
    length = 0.0
    done = number = 0
    while done < kills and number < 4 * kills:
        copy = path.with_name(f"copy-{number}")
        shutil.copytree(path, copy)
        began = time.monotonic()
        child, read = start(copy, folder, prune=True)
        if length:
            time.sleep(chance.uniform(0.0, length))
            os.kill(child, signal.SIGKILL)
        committed = drain(read)
        ended = time.monotonic()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        if not killed:
            length = ended - began if not length else min(length, ended - began) * 0.9
        done += killed
        there = found(copy)
        line = {"killed": killed, "before": there == whole, "after": there == left, "committed": len(committed)}
        line["kept"] = kept.items() <= there.items() and names_fit(copy)
        line["lost"] = [entry for entry in committed if json.dumps(entry) not in there]
        child, read = start(copy, folder, prune=True)
        drain(read)
        os.waitpid(child, 0)
        line["equal"] = found(copy) == left and names_fit(copy, whole=True)
        with Collection.open(copy) as collection, writing(collection):
            pass  # a compacted file's predecessor stays until the next writer comes, for readers about to open it
        line["files"] = len(list((copy / "vectors").iterdir()))
        assert len(list((copy / "indexes").glob("columns*"))) == 1
        print(json.dumps(line), flush=True)
        shutil.rmtree(copy)
        number += 1


if __name__ == "__main__":
    where, rounds = (Path(sys.argv[1]), Path(sys.argv[2])), (int(sys.argv[3]), int(sys.argv[4]))
    if sys.argv[5:]:
        changed(*where, *rounds, sys.argv[5])
    else:
        main(*where, *rounds)
