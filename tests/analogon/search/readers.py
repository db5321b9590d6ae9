"""Run by test_readers.py in processes of their own: one writes, others ask meanwhile and compare with numpy.

Every commit is a state with a number. A recording called the anchor, whose vector is the query's own, carries it in its
metadata, so that an answer tells of itself which state it is of; the journal says what each state holds. An answer is
right where all of it is that of the one state, and no older than what the journal had when it was asked.

    python readers.py make FOLDER
    python readers.py write FOLDER SEED SECONDS
    python readers.py read FOLDER SEED SECONDS THREADS
    python readers.py both FOLDER SEED SECONDS THREADS      all of it in one process, on one open library
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from analogon import phrases
from analogon.search.background import Background
from analogon.search.library import Library
from embed import load
from embed.errors import SpaceMismatch, UsageError
from embed.media import Media
from indexes.collection import Collection, KnownSpace
from indexes.exchange import export_parquet
from indexes.words import words_of
from indexes.writer import Done, Entry, Writer, writing

TABLE, NAMES, SECOND = ({"family": "toy", "model": dim} for dim in ("16", "8", "4"))
QUERY = "zebra granite"
WORDS = ("zebra", "granite", "velvet", "copper", "amber", "willow")
GROUPS = ("amber", "copper", "zebra")
ANCHOR = "/lib/anchor.wav"
MOST = 60  # files at a time


def toy(text: str, dim: int) -> Any:
    """The toy encoder's vector of a text, written out."""
    row = np.zeros(dim)
    for word in text.lower().split():
        row[zlib.crc32(word.encode()) % dim] += 1
    row[-1] += 1
    return (row / np.linalg.norm(row)).astype(np.float32)


def vector(content: int, dim: int) -> Any:
    if content == 0:
        return toy(QUERY, dim)
    row = np.random.default_rng([content, dim]).standard_normal(dim)
    return (row / np.linalg.norm(row)).astype(np.float32)


# -- the journal -------------------------------------------------------------------------------------------------------


class Journal:
    """What each state holds: ``files`` is path -> (content, group), ``second`` the contents that a second space has.

    A state is announced before it is committed, and its line is written once it is: with the items' ids.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal"
        self.path.touch()
        self._file = self.path.open("rb")
        self._rest = b""
        self._lock = threading.Lock()
        self.announced: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}
        self.last = -1

    def write(self, line: dict[str, Any]) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")

    def read(self) -> int:
        """Take in what was written since; gives the last state that is known to be committed."""
        with self._lock:
            *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
            for line in lines:
                one = json.loads(line)
                if "items" in one:
                    self.done[one["n"]] = self.announced[one["n"]] | one
                    self.last = max(self.last, one["n"])
                else:
                    self.announced[one["n"]] = one
            return self.last

    def state(self, number: int) -> dict[str, Any]:
        until = time.monotonic() + 60
        while number not in self.done:  # committed, and its line not yet written
            self.read()
            assert time.monotonic() < until, f"state {number} was never committed"
            time.sleep(0.0005)
        return self.done[number]


# -- the writer --------------------------------------------------------------------------------------------------------


class Writing:
    def __init__(self, collection: Collection, folder: Path, seed: int) -> None:
        self.collection, self.journal, self.chance = collection, Journal(folder), random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.space, self.second = load("toy:16").space, load("toy:4").space
        self.recover()

    def recover(self) -> None:
        """Say of the last state, if a killed writer could not, that it was committed."""
        last, source = self.journal.read(), self.collection.catalog.source(ANCHOR)
        self.number = -1 if source is None else source.metadata["state"]
        if self.number > last:
            self.tell(self.journal.announced[self.number])
        self.journal.read()
        empty: dict[str, Any] = {"files": {}, "second": []}
        self.state = self.journal.done.get(self.number, empty)

    def tell(self, state: dict[str, Any]) -> None:
        catalog = self.collection.catalog
        ids = dict(
            catalog.query("SELECT s.path, i.id FROM source s JOIN item i ON i.content = s.content ORDER BY s.path")
        )
        self.journal.write({"n": state["n"], "items": ids})

    def commit(self, writer: Writer, files: dict[str, Any], second: list[int]) -> None:
        """One transaction, which is one state."""
        catalog, before = self.collection.catalog, self.state["files"]
        self.number += 1
        # A killed writer's state was announced under this number if it was never committed; the last word counts.
        state = {"n": self.number, "files": files, "second": sorted(set(second) & {c for c, _ in files.values()})}
        self.journal.write(state)
        with catalog.transaction():
            catalog.transaction = nullcontext  # type: ignore[method-assign,assignment]
            try:
                self.inside(writer, state, before)
            finally:
                del catalog.transaction  # type: ignore[method-assign]
        self.tell(state)
        self.state = state
        self.counts["commits"] += 1

    def inside(self, writer: Writer, state: dict[str, Any], before: dict[str, Any]) -> None:
        catalog, files = self.collection.catalog, state["files"]
        put = {path: one for path, one in files.items() if before.get(path) != one}
        put[ANCHOR] = [0, "anchor"]
        contents = {}
        for path, (content, group) in put.items():
            contents[path] = catalog.put_content(f"{content:040x}", {}, None)
            said = {"group": group} | ({"state": state["n"]} if path == ANCHOR else {})
            catalog.put_source(path, None, contents[path], ("audio",), 1, 1, said)
        gone = [source for path in before.keys() - files.keys() if (source := catalog.source(path)) is not None]
        for space, chosen in ((self.space, None), (self.second, set(state["second"]))):
            new = {
                content: Entry(contents[path], Media("audio", path=path), vector(content, space.dim))
                for path, (content, _) in put.items()
                if chosen is None or content in chosen
            }
            if new:
                done = [Done(entry.content, "audio", 1) for entry in new.values()]
                writer.commit(space, list(new.values()), done)
        if gone:
            self.counts["prunes"] += 1
            catalog.remove_sources([source.id for source in gone])

    def step(self, writer: Writer) -> None:
        chance, files = self.chance, dict(self.state["files"])
        second = list(self.state["second"])
        kind = chance.random()
        removable = sorted(files.keys() - {ANCHOR})
        if (kind < 0.25 and len(removable) > 10) or len(files) > MOST:
            many = len(removable) // 2 if chance.random() < 0.3 else chance.randint(1, 4)
            for path in chance.sample(removable, many):
                del files[path]
        elif kind < 0.4 and removable:
            for path in chance.sample(removable, min(3, len(removable))):
                files[path] = [files[path][0], chance.choice(GROUPS)]
        else:
            for _ in range(chance.randint(1, 5)):
                content = chance.choice([c for c, _ in files.values()] or [1]) if chance.random() < 0.15 else 0
                content = content or chance.randint(1, 10**6)
                place = f"{chance.choice(WORDS)}/{chance.choice(WORDS)} {chance.choice(WORDS)}"
                files[f"/lib/{place} {chance.randint(10000, 99999)}.wav"] = [content, chance.choice(GROUPS)]
                second += [content] * (content % 2)
        files[ANCHOR] = [0, "anchor"]
        # Only what is new gets a vector in the second space: all else there stays as it is.
        kept = {c for c, _ in self.state["files"].values()}
        second = [c for c in second if c in self.state["second"] or c not in kept]
        self.commit(writer, files, second)
        stores = self.collection.catalog.stores()
        writer.compact()
        self.counts["compactions"] += len(set(self.collection.catalog.stores()) - set(stores))

    def session(self) -> None:
        """What one run does: several commits, and perhaps the caches."""
        with writing(self.collection) as writer:
            self.counts["sessions"] += 1
            writer.add_space(self.space, dict(TABLE))
            writer.add_space(self.second, dict(SECOND))
            for _ in range(self.chance.randint(1, 6)):
                self.step(writer)
            if self.counts["sessions"] % 20 == 1 or self.collection.names is None:
                writer.build_names(load("toy:8"), dict(NAMES))
                writer.build_index(KnownSpace(self.space, dict(TABLE)), "audio")
            if self.counts["sessions"] % 30 == 0:
                self.drop_second(writer)

    def drop_second(self, writer: Writer) -> None:
        """Take the second space away: one commit, and then the manifest."""
        catalog, forget = self.collection.catalog, self.collection.catalog.remove_space
        self.number += 1
        state = {"n": self.number, "files": self.state["files"], "second": []}
        self.journal.write(state)

        def with_number(space: str) -> None:
            forget(space)
            source = catalog.source(ANCHOR)
            assert source is not None
            said = {"group": "anchor", "state": state["n"]}
            catalog.put_source(ANCHOR, None, source.content, ("audio",), 1, 1, said)

        catalog.remove_space = with_number  # type: ignore[method-assign]
        try:
            writer.remove_space(self.second)
        finally:
            del catalog.remove_space  # type: ignore[method-assign]
        self.tell(state)
        self.state = state
        self.counts["commits"] += 1
        self.counts["spaces dropped"] += 1


# -- the readers -------------------------------------------------------------------------------------------------------


class Wrong(AssertionError):
    """An answer that is of no one state."""


def same(what: str, got: Any, expected: Any) -> None:
    if got != expected:
        raise Wrong(f"{what}: {got!r}, not {expected!r}"[:2000])


def close(what: str, got: Any, expected: Any) -> None:
    if len(got) != len(expected) or not np.allclose(got, expected, atol=2e-5):
        raise Wrong(f"{what}: {got!r}, not {expected!r}"[:2000])


class Asking:
    """One thread that asks; several share a library."""

    def __init__(self, library: Library, journal: Journal, folder: Path, seed: int) -> None:
        self.library, self.journal, self.chance = library, journal, random.Random(seed)
        self.target = folder / f"export-{seed}-{threading.get_ident()}.parquet"
        self.counts: Counter[str] = Counter()
        self.states: set[int] = set()
        self.newest = 0
        texts = [text for text in phrases.bank("audio") if text.lower() != QUERY]
        self.bank = np.stack([toy(text, 16) for text in texts])

    def ask(self) -> None:
        kinds: dict[str, Callable[[], int]] = {
            "content": self.content,
            "filter": lambda: self.content("group = 'amber' or group = 'anchor'", "amber"),
            "rerank": lambda: self.content(rerank="nnn"),
            "name": self.name,
            "both": self.both,
            "second space": self.other_space,
            "rows": self.rows,
            "describe": self.describe,
            "export": self.export,
        }
        weights = [4, 4, 2, 4, 2, 3, 4, 2, 1]
        kind = self.chance.choices(list(kinds), weights)[0]
        before = self.journal.read()
        number = kinds[kind]()
        if number < before:
            raise Wrong(f"{kind}: state {number} was answered when {before} had been committed")
        self.counts[kind] += 1
        self.states.add(number)
        self.counts["behind the journal's end"] += number < self.journal.read()

    def number_of(self, hits: Any) -> int:
        found = [hit.metadata["state"] for hit in hits if hit.paths == (ANCHOR,)]
        same("anchors", len(found), 1)
        return int(found[0])

    def by_content(self, state: dict[str, Any], group: str | None = None) -> dict[tuple[str, ...], int]:
        """The paths of each content, of those files that the filter lets through."""
        held: dict[int, list[str]] = {}
        for path, (content, of) in sorted(state["files"].items()):
            if group is None or of in (group, "anchor"):
                held.setdefault(content, []).append(path)
        return {tuple(paths): content for content, paths in held.items()}

    def content(self, where: str | None = None, group: str | None = None, rerank: str = "none") -> int:
        hits = self.library.search(QUERY, by="content", k=100, where=where, spaces=["toy:16"], rerank=rerank)
        number = self.number_of(hits)
        state = self.journal.state(number)
        held = self.by_content(state, group)
        rows = np.stack([vector(content, 16) for content in held.values()])
        cosines = rows @ toy(QUERY, 16)
        ranked = cosines
        if rerank == "nnn":
            ranked = cosines - 0.75 * np.sort(self.bank @ rows.T, axis=0)[-128:].mean(axis=0)
        paths = list(held)
        place = {path: at for at, path in enumerate(paths)}
        same("paths", {hit.paths for hit in hits}, set(paths))
        at = [place[hit.paths] for hit in hits]
        close("scores", [hit.score for hit in hits], cosines[at])
        close("order", ranked[at], np.sort(ranked)[::-1])
        same("ids", [hit.id for hit in hits], [state["items"][hit.paths[0]] for hit in hits])
        same("groups", [hit.metadata["group"] for hit in hits], [state["files"][hit.paths[0]][1] for hit in hits])
        scores = np.array([hit.score for hit in hits])
        percentiles = 100 * (self.bank @ rows[at].T < scores).mean(axis=0)
        told = [hit.percentile for hit in hits]
        if None in told or np.abs(np.array(told, float) - percentiles).max() > 200 / len(self.bank):
            raise Wrong(f"percentiles: {told}, not {percentiles}")
        return number

    def name(self) -> int:
        hits = self.library.search(QUERY, by="name", k=100)
        number = self.number_of(hits)
        files = self.journal.state(number)["files"]
        question, asked = toy(QUERY, 8), set(QUERY.split())
        cosines, found = {}, set()
        for path, (content, group) in files.items():
            called = words_of(path, None, {"group": group})
            texts = [(text, 1.0) for text in (called.name, *called.captions) if text]
            texts += [(called.folder, 0.9)] if called.folder else []
            cosines[path] = max(float(toy(text, 8) @ question) * weight for text, weight in texts)
            if cosines[path] >= 0.4 or asked & {word for text, _ in texts for word in text.split()}:
                found.add(content)
        of = {path: content for path, (content, _) in files.items()}
        same("contents", {of.get(hit.paths[0]) for hit in hits}, found)
        for hit in hits:
            same("files of a content", sorted(hit.paths), sorted(path for path in of if of[path] == of[hit.paths[0]]))
            if min(abs(hit.score - cosines[path]) for path in hit.paths) > 2e-5:
                raise Wrong(f"{hit.paths}: {hit.score}, not {[cosines[path] for path in hit.paths]}")
        fused = [hit.fused for hit in hits]
        same("order", fused, sorted(fused, reverse=True))
        return number

    def both(self) -> int:
        hits = self.library.search(QUERY, k=100, spaces=["toy:16"])
        number = self.number_of(hits)
        held = self.by_content(self.journal.state(number))
        scores = {paths: float(vector(content, 16) @ toy(QUERY, 16)) for paths, content in held.items()}
        same("paths", {tuple(sorted(hit.paths)) for hit in hits}, set(scores))
        close("scores", [hit.score for hit in hits], [scores[tuple(sorted(hit.paths))] for hit in hits])
        return number

    def other_space(self) -> int:
        """A space that comes and goes: it is asked within a snapshot, which says of which state."""
        collection = self.library.collection
        with collection.snapshot():
            number = self.number()
            try:
                hits = self.library.search(QUERY, by="content", k=100, spaces=["toy:4"])
                got = {hit.paths: hit.score for hit in hits}
            except (SpaceMismatch, UsageError):
                got = {}
        state = self.journal.state(number)
        second = set(state["second"])
        held = {paths: content for paths, content in self.by_content(state).items() if content in second}
        same("paths of the second space", set(got), set(held))
        expected = [float(vector(content, 4) @ toy(QUERY, 4)) for content in held.values()]
        close("scores of the second space", [got[paths] for paths in held], expected)
        return number

    def number(self) -> int:
        source = self.library.collection.catalog.source(ANCHOR)
        assert source is not None
        return int(source.metadata["state"])

    def rows(self) -> int:
        """Rows and items belong together, also some time after the snapshot was taken."""
        collection = self.library.collection
        with collection.snapshot():
            number = self.number()
            time.sleep(self.chance.choice([0, 0, 0.01, 0.1]))
            space = load("toy:16").space
            vectors = collection.vectors(space, "audio")
            found = collection.nearest(space, "audio", toy(QUERY, 16), 100)
            got = {one.item.id: np.array(vectors[one.row]) for one in found}
            single = {one: collection.vector(space, one) for one in list(got)[:5]}
            live = int(collection.live(space, "audio").sum())
            same("again", self.number(), number)
        state = self.journal.state(number)
        of = {item: vector(state["files"][path][0], 16) for path, item in state["items"].items()}
        same("items", set(got), set(of))
        same("rows that count", live, len(of))
        for item, row in (*got.items(), *single.items()):
            close("a row", row, of[item])
        return number

    def describe(self) -> int:
        with self.library.collection.snapshot():
            number = self.number()
            said = self.library.describe().to_json()
        state = self.journal.state(number)
        contents = {content for content, _ in state["files"].values()}
        same("sources", said["sources"], len(state["files"]))
        same("contents", said["contents"], len(contents))
        same("items", said["items"], len(set(state["items"].values())))
        held = [side["modalities"].get("audio", {"vectors": 0})["vectors"] for side in said["spaces"]]
        if held[0] < len(contents) or (len(held) > 1 and held[1] < len(state["second"])):
            raise Wrong(f"vectors: {held}, fewer than {len(contents)} and {len(state['second'])}")
        return number

    def export(self) -> int:
        export_parquet(self.library.collection, self.target, space=load("toy:16").space)
        rows = pq.read_table(self.target).to_pylist()
        self.target.unlink()
        anchors = [row for row in rows if row["path"] == ANCHOR]
        same("anchors", len(anchors), 1)
        number = int(json.loads(anchors[0]["metadata"])["state"])
        state = self.journal.state(number)
        same(
            "exported ids",
            {row["path"]: row["id"] for row in rows},
            {p: state["items"][p] for p, *_ in self.by_content(state)},
        )
        for row in rows:
            close("an exported vector", row["vector"], vector(state["files"][row["path"]][0], 16))
        return number


def read(library: Library, folder: Path, seed: int, until: float, told: list[dict[str, Any]], journal: Journal) -> None:
    one = Asking(library, journal, folder, seed)
    failures = []
    while time.monotonic() < until and len(failures) < 3 and not (folder / "stop").exists():
        try:
            one.ask()
        except Exception:
            failures.append(traceback.format_exc()[-3000:])
    told.append({"answers": dict(one.counts), "states": len(one.states), "failures": failures})


def reading(library: Library, folder: Path, seed: int, seconds: float, threads: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    journal, until = Journal(folder), time.monotonic() + seconds
    those = [
        threading.Thread(target=read, args=(library, folder, seed * 100 + at, until, told, journal))
        for at in range(threads)
    ]
    for thread in those:
        thread.start()
    for thread in those:
        thread.join()
    return told


def write(collection: Collection, folder: Path, seed: int, seconds: float) -> dict[str, Any]:
    one, until = Writing(collection, folder, seed), time.monotonic() + seconds
    while time.monotonic() < until:
        one.session()
    return dict(one.counts)


def both(folder: Path, seed: int, seconds: float, threads: int) -> dict[str, Any]:
    with Library.open(folder / "c") as library:
        wrote: list[Any] = []
        failures: list[str] = []

        def work() -> None:
            try:
                wrote.append(write(library.collection, folder, seed, seconds))
            except Exception:
                failures.append(traceback.format_exc()[-3000:])

        thread = threading.Thread(target=work)
        thread.start()
        told = reading(library, folder, seed, seconds, threads)
        thread.join()
    return {"wrote": wrote, "read": told, "failures": failures}


def make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with Collection.create(folder / "c") as collection:
        one = Writing(collection, folder, 1)
        one.session()
        Background.make(collection, collection.spaces[0], "audio")


def main(command: str, folder: Path, *rest: str) -> None:
    if command == "make":
        make(folder)
        return
    seed, seconds, *threads = rest
    if command == "both":
        print(json.dumps(both(folder, int(seed), float(seconds), int(threads[0]))))
    elif command == "write":
        with Collection.open(folder / "c") as collection:
            print(json.dumps(write(collection, folder, int(seed), float(seconds))))
    else:
        with Library.open(folder / "c") as library:
            print(json.dumps(reading(library, folder, int(seed), float(seconds), int(threads[0]))))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
