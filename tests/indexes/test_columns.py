"""Columns for filters beside SQL: the same rows for any filter, whatever was written since, and never a wrong file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed import Media, load
from embed.errors import Cancelled
from embed.listener import Listener
from embed.space import unit
from indexes import columns
from indexes import where as filters
from indexes.collection import Collection
from indexes.columns import Columns, opened, write_columns
from indexes.fields import column_of
from indexes.where import And, Between, Comparison, Expression, In, IsNull, Match, Not, Or
from indexes.writer import Done, Entry, Writer, writing
from tests.indexes.runs import without_dead

SPACE, OTHER = load("toy:8").space, load("toy:4").space
TABLE, OTHER_TABLE = {"family": "toy", "model": "8"}, {"family": "toy", "model": "4"}


def row(number: int, dim: int = 8) -> Any:
    return unit(np.random.default_rng(number).standard_normal((1, dim)))[0]


def put(
    writer: Writer, sources: dict[str, tuple[int, dict[str, Any]]], space: Any = SPACE, kind: Any = "audio"
) -> None:
    """Files by their paths: the number that they hold, and what is known of them; several may hold one."""
    catalog, entries = writer.catalog, {}
    with catalog.transaction():
        for path, (number, metadata) in sources.items():
            facts = {"duration": number / 2, "mood": "calm", "kept": {"a": 1}} if number % 3 else {}
            content = catalog.put_content(f"{number:040x}", facts, None)
            catalog.put_source(path, None, content, (kind,), 100 + number % 5, 1, metadata)
            entries[content] = Entry(content, Media(kind, path=path), row(number, space.dim))
    writer.commit(space, list(entries.values()), [Done(content, kind, 1) for content in entries])


def both(collection: Collection, where: Expression, space: Any = SPACE, kind: Any = "audio") -> tuple[Any, Any, bool]:
    """The rows that a filter leaves, by what a search uses and by SQL alone, and whether there were columns."""
    condition = filters.compile(where, column_of)
    with collection.snapshot():
        used = collection._columns_for(where) is not None
        mask = collection._all_that_fulfil(space, kind, where, condition)
        found = np.flatnonzero(mask & collection.live(space, kind))
        asked = collection.catalog.matching_rows(space.id, kind, condition.sql, condition.parameters)
        rows = np.arange(len(mask))
        among = collection.catalog.matching_among(space.id, kind, rows, condition.sql, condition.parameters)
    expected = np.unique(asked).tolist()
    assert np.flatnonzero(among).tolist() == expected
    return found.tolist(), expected, used


NAMES = ["mood", "duration", "a", "b", "c d", "kept", "size", "row", "path", "modality", "start"]
TEXTS = st.sampled_from(["", "a", "A", "calm", "É", "e\u0301", "audio", "12", "%", '{"a":1}', "/lib/3.wav"])
NUMBERS = st.one_of(
    st.integers(-3, 12), st.sampled_from([0.5, 2.0**53, 2**53 + 1, 2**62, -1, 1e300]), st.integers(0, 400)
)
VALUES = st.one_of(TEXTS, NUMBERS)
HELD = st.one_of(st.none(), st.booleans(), VALUES, st.just([1, "x"]), st.just({"a": 1}))
NAME = st.sampled_from(NAMES)
LEAVES = st.one_of(
    st.builds(Comparison, NAME, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), VALUES),
    st.builds(In, NAME, st.lists(VALUES, min_size=1, max_size=4).map(tuple)),
    st.builds(Between, NAME, TEXTS, TEXTS),
    st.builds(Between, NAME, NUMBERS, NUMBERS),
    st.builds(Match, NAME, st.sampled_from(["contains", "starts with", "ends with", "like"]), TEXTS),
    st.builds(IsNull, NAME),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)
METADATA = st.dictionaries(st.sampled_from(["mood", "a", "b", "c d", "modality", "path", "row"]), HELD, max_size=3)
LABELS = st.dictionaries(st.sampled_from(["mood", "a", "b", "said"]), st.one_of(st.none(), VALUES), max_size=2)
STEPS = st.lists(
    st.sampled_from(["put", "put", "many", "same", "labels", "unlabel", "facts", "move", "remove", "compact", "other"]),
    min_size=3,
    max_size=9,
)


@contextmanager
def small(late: int, few: int, most: int, different: int = 99, long: int = 99) -> Iterator[None]:
    """Groups of a few sources, dictionaries of a few values, texts of a few bytes."""
    with pytest.MonkeyPatch.context() as patch:
        limits = {"GROUP": 8, "LATE": late, "FEW": few, "MOST": most, "DIFFERENT": different, "LONG": long, "AFEW": 0}
        for name, value in limits.items():
            patch.setattr(columns, name, value)
        yield


USED: list[bool] = []


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_columns_and_sql_agree_whatever_was_written_since(data: st.DataObject) -> None:
    draw = data.draw
    late, few, most = (
        draw(st.sampled_from([0, 2, 5])),
        draw(st.sampled_from([0, 2, 256])),
        draw(st.sampled_from([5, 99])),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        small(late, few, most, draw(st.sampled_from([0, 3, 99])), draw(st.sampled_from([3, 12, 99]))),
        Collection.create(Path(folder) / "made") as collection,
        Collection.open(collection.path) as reader,
        writing(collection) as writer,
    ):
        writer.add_space(SPACE, TABLE)
        writer.add_space(OTHER, OTHER_TABLE)
        put(writer, {f"/lib/{n}.wav": (n, draw(METADATA)) for n in range(12)})
        writer.build_columns()
        ever = 12
        for step in draw(STEPS):
            with reader.snapshot():
                before = draw(FILTERS)
                earlier = both(reader, before)[1]
                change(writer, step, ever, draw)
                ever += 20
                if draw(st.booleans()):
                    writer.build_columns()
                assert both(reader, before)[0] == earlier  # as of then, whichever file there is now
            for where in draw(st.lists(FILTERS, min_size=2, max_size=4)):
                for one in (collection, reader):
                    for space in (SPACE, OTHER) if collection.file(OTHER, "audio")[1] else (SPACE,):
                        found, expected, used = both(one, where, space)
                        assert found == expected, str(where)
                        USED.append(used)


def change(writer: Writer, step: str, ever: int, draw: Any) -> None:
    catalog = writer.catalog
    there = catalog.sources_under("/lib")
    some = draw(st.lists(st.sampled_from(there), max_size=4, unique_by=lambda one: one.id)) if there else []
    if step == "put":  # new ones, ones that are known by other fields, ones that hold something else now
        new = {f"/lib/{n}.wav": (n, draw(METADATA)) for n in range(ever, ever + draw(st.integers(1, 5)))}
        put(writer, new | {one.path: (draw(st.integers(0, 20)), draw(METADATA)) for one in some})
    elif step == "many":
        put(writer, {f"/lib/{n}.wav": (n, {"a": n * 1.5, "b": str(n % 40)}) for n in range(ever, ever + 20)})
    elif step == "same":
        put(writer, {f"/lib/copy-{one.path[5:]}": (draw(st.integers(0, 12)), draw(METADATA)) for one in some})
    elif step == "labels":
        writer.put_labels({one.content: draw(LABELS) for one in some})
    elif step == "unlabel":
        writer.remove_labels("said")
    elif step == "facts":
        with catalog.transaction():
            for one in some:
                catalog.put_remarks(one.content, {"duration": draw(NUMBERS)}, ["cut short"])
    elif step == "move":
        with catalog.transaction():
            for one in some:
                catalog.move_source(one.id, f"/lib/moved-{one.id}-{ever}.wav", draw(st.integers(0, 9)), 2)
    elif step == "remove":
        gone = {one.id: one for one in (*some, *there[-draw(st.integers(1, 3)) :])}  # with the highest ids, often
        writer.remove(list(gone.values()))
    elif step == "compact":
        writer.compact(0.0)
    else:
        put(writer, {one.path: (int(catalog.hashes([one.content])[one.content], 16), {}) for one in some}, OTHER)


def test_columns_were_used() -> None:
    """Or the test above would show nothing; it runs before this one."""
    assert not USED or 0.2 < np.mean(USED) < 1.0


def many(writer: Writer, count: int, first: int = 0) -> None:
    put(writer, {f"/lib/{n}.wav": (n, {"number": n, "parity": ["even", "odd"][n % 2]}) for n in range(first, count)})


def test_a_number_in_groups_of_either_kind_a_text_and_a_modality(collection: Collection) -> None:
    with small(0, 4, 50), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
        assert writer.collection.catalog.columns_file() is None
        assert write_columns(collection.catalog, collection.path / "indexes")
        assert not write_columns(collection.catalog, collection.path / "indexes")
        found = opened(collection.catalog, collection.path / "indexes")
        assert found is not None and found.groups() == 6 and found.last == 40
        assert found.values("number", 2).dtype == np.float64 and found.values("number", 2).tolist() == list(
            range(15, 23)
        )
        assert found.dictionary("parity") == [None, "even", "odd"] and found.values("parity", 0).dtype == np.uint8
        assert found.values("parity", 0).tolist() == [0, 1, 2, 1, 2, 1, 2, 1]
        assert found.contents_of(0).tolist() == [-1, *range(1, 8)]
        for text, expected in (
            ("number between 30 and 33", [30, 31, 32, 33]),
            ("number in (3, 39, 'x', 40)", [3, 39]),
            ("not number < 38", [38, 39]),
            ("parity = 'odd' and number < 6", [1, 3, 5]),
            ("parity starts with 'EV' and (number < 3 or number >= 38)", [0, 2, 38]),
            ("modality = 'audio' and number = 7", [7]),
            ("modality = 'image' or modality is null", []),
            ("size = 104 and duration < 10 and number > 9", [14, 19]),
        ):
            found_rows, by_sql, used = both(collection, collection.filter(text))
            assert (found_rows, by_sql, used) == (expected, expected, True), text


def test_what_has_too_many_values_or_parts_is_asked_in_sql(collection: Collection) -> None:
    with small(0, 4, 30), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
        writer.build_columns()
        for text, expected, used in (
            ("path ends with 'B/7.WAV'", [7], True),
            ("path contains '/3' and not path like '%3_.w%'", [3], True),
            ("path is null or number = 9", [9], True),
            ("path = '/lib/7.wav'", [7], False),
            ("start is not null and number = 3", [3], False),
        ):
            assert both(collection, collection.filter(text)) == (expected, expected, used), text
        # A number that float64 has not stays out of columns, from the filter's side as well.
        assert both(collection, Comparison("number", "=", 2**53 + 1)) == ([], [], False)
        put(writer, {"/lib/20.wav": (20, {"number": 2**53 + 1})})
        writer.build_columns()
        assert both(collection, collection.filter("number > 38")) == ([20, 39], [20, 39], False)


def test_texts_one_after_another_are_tested_as_each_would_be() -> None:
    random = np.random.default_rng(2)
    letters, signs = (
        ["a", "b", "é", "ß", "%", "_", "\\", "\n", "漢", "A", " "],
        ["%", "_", "\\%", "\\\\", "a", "b", "é", "漢"],
    )
    told = {True: columns.TRUE, False: columns.FALSE, None: columns.NEITHER}
    for _ in range(4000):
        values = [
            [None, 3, "", "".join(random.choice(letters, random.integers(5)))][random.integers(4)] for _ in range(6)
        ]
        manner: Any = random.choice(["like", "contains", "starts with", "ends with"])
        text = "".join(random.choice(signs if manner == "like" else letters, random.integers(4)))
        there = columns.Texts.of([columns._record(value) for value in values])
        for test in (Match("x", manner, text), IsNull("x")):
            expected = [told[filters.truth(test, {"x": value})] for value in values]
            assert there.tested(test).tolist() == expected, (values, test)


def test_a_few_changes_are_asked_in_sql_and_many_are_written(collection: Collection) -> None:
    with small(5, 256, 32_000), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
        writer.build_columns()
        first = collection.catalog.columns_file()
        assert first is not None and first[1] == 40
        put(writer, {"/lib/3.wav": (3, {"number": 1000}), "/lib/new.wav": (99, {"number": 1001})})
        writer.build_columns()
        assert collection.catalog.columns_file() == first
        assert collection.catalog.altered_sources().tolist() == [4]
        assert both(collection, collection.filter("number >= 1000")) == ([3, 40], [3, 40], True)
        put(writer, {"/lib/3.wav": (3, {"number": 1000})})  # nothing new
        assert collection.catalog.altered_sources().tolist() == [4]
        many(writer, 44, first=41)
        writer.build_columns()
        second = collection.catalog.columns_file()
        assert second is not None and second != first and second[1] == 44
        assert collection.catalog.altered_sources().tolist() == []
        assert both(collection, collection.filter("number >= 42")) == ([3, 40, 42, 43], [3, 40, 42, 43], True)
        # The file that a reader may be about to open stays until the next writer comes.
        assert {path.name for path in (collection.path / "indexes").glob("columns*")} == {first[0], second[0]}
    with writing(collection):
        assert {path.name for path in (collection.path / "indexes").glob("columns*")} == {second[0]}


def test_an_id_that_went_before_the_file_was_written_may_come_again(collection: Collection) -> None:
    with small(0, 256, 32_000), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 12)

        def gone(*numbers: int) -> None:
            writer.remove([source for n in numbers for source in collection.catalog.sources_of_path(f"/lib/{n}.wav")])

        gone(10)
        writer.build_columns()
        assert collection.catalog.columns_file() is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "LATE", 99)
            gone(11)  # the last: its id and that of 10 are free
            many(writer, 22, first=20)
        ids = [source.id for n in (20, 21) for source in collection.catalog.sources_of_path(f"/lib/{n}.wav")]
        assert ids == [11, 12] and collection.catalog.altered_sources().tolist() == [11, 12]
        for text, expected in (("number >= 20", [12, 13]), ("number < 20", [*range(10)]), ("number = 20", [12])):
            assert both(collection, collection.filter(text)) == (expected, expected, True), text
        writer.build_columns()
        assert both(collection, collection.filter("number >= 20")) == ([12, 13], [12, 13], True)


def test_as_many_that_went_at_the_end_are_many_changes(collection: Collection) -> None:
    with small(5, 256, 32_000), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
        writer.build_columns()
        first = collection.catalog.columns_file()
        writer.remove(sorted(collection.catalog.sources_under("/lib"), key=lambda source: source.id)[32:])
        second = collection.catalog.columns_file()
        assert first is not None and second is not None and second[0] != first[0]
        assert second[1] == collection.catalog.last_source() and collection.catalog.altered_sources().tolist() == []


@pytest.mark.parametrize("how", ["gone", "cut", "empty", "other", "zeros"])
def test_a_file_that_cannot_be_used_is_passed_over_and_made_again(how: str, collection: Collection) -> None:
    with small(0, 256, 32_000), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
        writer.build_columns()
        where = collection.filter("number < 2")
        name, _ = collection.catalog.columns_file() or ("", 0)
        path = collection.path / "indexes" / name
        content = path.read_bytes()
        path.unlink()
        header = content[-2000:]
        made = {"cut": content[:-9], "empty": b"", "other": b"x" * 5000, "zeros": bytes(90) + header[-1000:]}
        if how in made:
            path.write_bytes(made[how])
        with Collection.open(collection.path) as anew:
            assert both(anew, where)[:2] == ([0, 1], [0, 1])
        if how != "zeros":
            writer.build_columns()
            assert collection.catalog.columns_file() != (name, 40)
            assert both(collection, where) == ([0, 1], [0, 1], True)


def test_many_are_told_and_can_be_stopped(collection: Collection) -> None:
    class Hearing(Listener):
        told: ClassVar[list[Any]] = []

        def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
            self.told.append((name, total))

        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            self.told.append(count)
            if self.told[-2:] == [8, 8] and len(self.told) < 6:
                self.cancel()

    with small(0, 256, 32_000), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
        with pytest.raises(Cancelled):
            writer.build_columns(Hearing())
        assert collection.catalog.columns_file() is None and list((collection.path / "indexes").iterdir()) == []
        Hearing.told.clear()
        Hearing.told += ["stopped"] * 6
        writer.build_columns(Hearing())
        assert Hearing.told[6:] == [("fields for filters", 40), 7, 8, 8, 8, 8, 1]
        many(writer, 42, first=40)
        writer.build_columns(Hearing())  # so few more are not told
        assert len(Hearing.told) == 13 and collection.catalog.columns_file() is not None


def test_where_there_is_no_room_for_them_filters_are_asked_in_sql(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with small(0, 256, 32_000), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
        monkeypatch.setattr(os, "fsync", full)
        writer.build_columns()
        monkeypatch.undo()
        assert list((collection.path / "indexes").iterdir()) == []
        assert both(collection, collection.filter("number < 2")) == ([0, 1], [0, 1], False)


def test_a_search_finds_the_same_with_columns_as_without(collection: Collection) -> None:
    with writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 60)
        asked = [collection.filter(text) for text in ("parity = 'odd'", "number < 5", "number >= 0", "duration > 99")]

        def told() -> list[list[tuple[str, float]]]:
            return [
                [
                    (one.item.sources[0].path, one.score)
                    for one in collection.nearest(SPACE, "audio", row(1), 7, where=w)
                ]
                for w in asked
            ]

        without = told()
        with small(0, 4, 99):
            writer.build_columns()
            assert collection.catalog.columns_file() is not None
            assert told() == without
        expected = sorted((-float(row(n).astype(np.float64) @ row(1)), n) for n in range(1, 60, 2))[:7]
        assert [path for path, _ in without[0]] == [f"/lib/{n}.wav" for _, n in expected]
        assert [score for _, score in without[0]] == pytest.approx([-cosine for cosine, _ in expected], abs=1e-6)


def test_masks_are_kept_as_many_as_there_is_room_for(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    with writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
    with small(0, 4, 99), writing(collection) as writer:
        writer.build_columns()
    monkeypatch.setattr("indexes.collection.FILTERED", 100)  # bytes: two masks of 40 rows
    for number in range(5):
        collection.nearest(SPACE, "audio", row(1), 3, where=collection.filter(f"number > {number}"))
        assert sum(mask.nbytes for _, mask in collection._filtered.values()) == 40 * min(2, number + 1)
    monkeypatch.setattr("indexes.collection.FILTERED", 10)
    collection.nearest(SPACE, "audio", row(1), 3, where=collection.filter("number > 9"))
    assert len(collection._filtered) == 1  # the last one stays


def test_version_8_is_made_of_7(collection: Collection) -> None:
    import sqlite3

    with small(0, 4, 99), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        many(writer, 40)
        writer.build_columns()
    collection.close()
    with sqlite3.connect(collection.path / "catalog.sqlite") as database:
        without_dead(database)
    database.close()
    with Collection.open(collection.path) as later, small(0, 4, 99):
        where = later.filter("number > 37")
        assert both(later, where) == ([38, 39], [38, 39], False)
        with writing(later) as writer:
            assert list((later.path / "indexes").glob("columns*")) == []
            writer.build_columns()
            assert both(later, where) == ([38, 39], [38, 39], True)
            writer.put_labels({40: {"parity": "neither"}, 39: {"said": 1}})
            assert later.catalog.altered_sources().tolist() == []  # at once written anew: LATE is 0
        assert both(later, later.filter("said = 1")) == ([38], [38], True)


def test_two_columns_are_equal_whichever_way_they_came_about(collection: Collection) -> None:
    """Grown step by step, or made of the whole at once."""
    with small(0, 4, 99), writing(collection) as writer:
        writer.add_space(SPACE, TABLE)
        for count in (3, 17, 30, 64):
            many(writer, count, first=len(collection.catalog.sources_under("/lib")))
            writer.build_columns()
        grown = opened(collection.catalog, collection.path / "indexes")
        with collection.catalog.transaction():
            collection.catalog.put_columns_file("none", 0)
        writer.build_columns()
        whole = opened(collection.catalog, collection.path / "indexes")
        assert grown is not None and whole is not None and grown.names == whole.names
        for name in whole.names:
            for group in range(whole.groups()):
                assert held(grown, name, group) == held(whole, name, group)
        assert grown.rows(collection.file(SPACE, "audio")[0])[1].tolist() == list(range(9, 17))


def held(of: Columns, name: str, group: int) -> list[Any]:
    values = of.values(name, group)
    if values.dtype == np.float64:
        return [None if np.isnan(value) else value for value in values]
    known = of.dictionary(name)
    return [known[place] for place in values]
