"""Which rows of a vector file count: beside a plain model of it, in every snapshot, and after earlier versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from embed import Media, load
from indexes.collection import Collection
from indexes.writer import Done, Entry, Writer, writing
from tests.indexes.runs import without_dead

SPACE = load("toy:8").space
TABLE = {"family": "toy", "model": "8"}


def row(number: int) -> Any:
    made = np.random.default_rng(number).standard_normal(8).astype(np.float32)
    return made / np.linalg.norm(made)


def put(writer: Writer, numbers: Sequence[int]) -> None:
    catalog, entries = writer.catalog, []
    with catalog.transaction():
        for number in numbers:
            content = catalog.put_content(f"{number:040x}", {}, None)
            catalog.put_source(f"/lib/{number}.wav", None, content, ("audio",), 1, 1, {"number": number})
            entries.append(Entry(content, Media("audio", path=f"/lib/{number}.wav"), row(number)))
    writer.commit(SPACE, entries, [Done(entry.content, "audio", 1) for entry in entries])


def forget(writer: Writer, numbers: Sequence[int]) -> None:
    writer.remove([source for n in numbers for source in writer.catalog.sources_of_path(f"/lib/{n}.wav")])


def of(collection: Collection, numbers: Sequence[int]) -> list[int]:
    """The number whose vector each row has that counts."""
    vectors, live = collection.vectors(SPACE, "audio"), collection.live_rows(SPACE, "audio")
    known = {row(number).tobytes(): number for number in numbers}
    return [known[np.array(vectors[one]).tobytes()] for one in live]


def test_rows_that_count_are_those_of_a_plain_list_through_all_that_a_writer_does(collection: Collection) -> None:
    random, there, ever = np.random.default_rng(5), [], 0
    with Collection.open(collection.path) as reader, Collection.open(collection.path) as late:
        for step in range(60):
            with late.snapshot():
                before = list(there)
                with writing(collection) as writer:
                    if step == 0:
                        writer.add_space(SPACE, TABLE)
                    if step % 3 < 2:
                        new = list(range(ever, ever + int(random.integers(1, 9))))
                        put(writer, new)
                        there, ever = there + new, ever + len(new)
                    else:
                        gone = random.choice(there, min(len(there), int(random.integers(1, 8))), replace=False).tolist()
                        forget(writer, gone)  # compacts now and then
                        there = [number for number in there if number not in gone]
                if step:
                    assert of(late, before) == before
            for one in (collection, reader):
                assert of(one, there) == there
                assert one.count(SPACE, "audio") == len(there)
                assert one.live_rows(SPACE, "audio").tolist() == one.catalog.live_rows(SPACE.id, "audio").tolist()
        with Collection.open(collection.path) as anew:
            assert of(anew, there) == there
        assert int(collection.file(SPACE, "audio")[0].split("-")[2].split(".")[0]) > 2  # it did compact


def test_what_a_transaction_took_back_did_not_die(collection: Collection) -> None:
    with writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        put(writer, range(20))
        with pytest.raises(ZeroDivisionError), collection.catalog.transaction():
            collection.catalog.remove_sources([1, 2])
            raise ZeroDivisionError
        assert of(collection, range(20)) == list(range(20))
        forget(writer, [4])
        writer.forget_vectors(SPACE, "audio", 8)  # the eighth content
        assert of(collection, range(20)) == [n for n in range(20) if n not in (4, 7)]
        writer.compact(0.0)
        assert of(collection, range(20)) == [n for n in range(20) if n not in (4, 7)]
        assert collection.file(SPACE, "audio") == (f"{SPACE.id}-audio-2.f32", 18)
        assert collection.catalog.query("SELECT count(*) FROM dead") == [(0,)]
        writer.remove_space(SPACE)
        assert collection.catalog.query("SELECT (SELECT count(*) FROM dead), (SELECT count(*) FROM died)") == [(0, 0)]


@pytest.mark.parametrize("writable", [True, False])
def test_a_catalog_that_has_not_noted_the_dead_finds_them_once(
    writable: bool, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        put(writer, range(40))
        forget(writer, [0, 3, 39])
    collection.close()
    with sqlite3.connect(collection.path / "catalog.sqlite") as database:
        without_dead(database)
    database.close()
    left = [n for n in range(40) if n not in (0, 3, 39)]
    if not writable:
        monkeypatch.setattr("os.access", lambda *_: False)
    content = (collection.path / "catalog.sqlite").read_bytes()
    for _ in range(2):
        with Collection.open(collection.path) as opened:
            assert of(opened, left) == left and opened.count(SPACE, "audio") == 37
    if not writable:
        assert (collection.path / "catalog.sqlite").read_bytes() == content
        return
    with Collection.open(collection.path) as opened, writing(opened) as writer:
        forget(writer, [7])
        put(writer, [40])
        assert of(opened, [*left, 40]) == [n for n in left if n != 7] + [40]


def test_a_filter_gives_what_counts_alone(collection: Collection) -> None:
    with writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        put(writer, range(40))
        forget(writer, [1, 2, 39])
    where = collection.filter("number >= 30")
    found = collection.nearest(SPACE, "audio", row(0), 99, where=where)
    assert {one.item.sources[0].metadata["number"] for one in found} == set(range(30, 39))
    cosines = {n: float(row(n).astype(np.float64) @ row(0)) for n in range(30, 39)}
    assert [one.score for one in found] == pytest.approx(sorted(cosines.values(), reverse=True), abs=1e-6)
