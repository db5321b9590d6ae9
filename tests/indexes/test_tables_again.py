"""A table that was indexed is indexed again: what it costs, and that nothing of it is missed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from embed import tables
from indexes.collection import Collection
from indexes.writer import writing
from tests.indexes.runs import Counting, run


def written(path: Path, rows: int, **changed: str) -> Path:
    lines = [changed.get(f"row{i}", f"words {i},mood {i % 3}") for i in range(rows)]
    path.write_text("\n".join(["text,mood", *lines]) + "\n")
    return path


def held(collection: Collection, path: Path) -> list[tuple[Any, ...]]:
    """Row, text, metadata and the file's standing, of all rows."""
    return collection.catalog.query(
        "SELECT s.row, c.text, s.metadata, s.size, s.mtime, s.ctime, s.device FROM source s JOIN content c "
        "ON c.id = s.content WHERE s.path = ? ORDER BY s.row",
        (str(path),),
    )


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that were read row by row."""
    paths: list[str] = []
    rows = tables.rows

    def reading(path: str, *arguments: Any) -> Any:
        paths.append(str(path))
        return rows(path, *arguments)

    monkeypatch.setattr(tables, "rows", reading)
    return paths


def test_one_that_is_as_it_was_is_not_read(collection: Collection, tmp_path: Path, read: list[str]) -> None:
    path = written(tmp_path / "t.csv", 1000)
    first = run(collection, path, text_column="text")
    assert (first.found, first.rows, first.new, first.known) == (1000, 1000, 1000, 0) and len(read) == 1
    before = held(collection, path)
    encoder, statements = Counting(), []
    collection.catalog._db.set_trace_callback(statements.append)
    again = run(collection, path, text_column="text", encoder=encoder)
    collection.catalog._db.set_trace_callback(None)
    assert (again.found, again.rows, again.known, again.new, again.changed) == (1000, 1000, 1000, 0, 0)
    assert len(read) == 1 and encoder.calls == 0 and held(collection, path) == before
    assert len(statements) < 150
    # The same bytes written again: it stands otherwise, and its rows do.
    os.utime(path, ns=(10**18, 10**18))
    run(collection, path, text_column="text")
    assert len(read) == 1
    assert [row[:3] for row in held(collection, path)] == [row[:3] for row in before]
    assert {row[4] for row in held(collection, path)} == {10**18}


def test_rows_that_changed_are_found_among_those_that_did_not(
    collection: Collection, tmp_path: Path, read: list[str]
) -> None:
    path = written(tmp_path / "t.csv", 700)
    run(collection, path, text_column="text")
    written(path, 701, row3="other words,mood 0", row500="words 500,another mood")
    report = run(collection, path, text_column="text")
    assert (report.found, report.known, report.changed, report.new) == (701, 699, 1, 1) and len(read) == 2
    now = held(collection, path)
    assert [row[1] for row in now] == ["other words" if i == 3 else f"words {i}" for i in range(701)]
    assert now[500][2] == '{"mood": "another mood"}' and now[4][2] == '{"mood": "mood 1"}'
    status = path.stat()
    assert {row[3:5] for row in now} == {(status.st_size, status.st_mtime_ns)}
    written(path, 600)
    report = run(collection, path, text_column="text")
    assert report.removed == 101 and len(held(collection, path)) == 600
    report = run(collection, path, text_column="text")
    assert (report.known, len(read)) == (600, 4)  # the run that removed rows did not end with the table as it is
    run(collection, path, text_column="text")
    assert len(read) == 4


@pytest.mark.parametrize("what", ["removed", "metadata", "moved", "column", "content"])
def test_what_became_of_a_row_otherwise_is_undone(
    what: str, collection: Collection, tmp_path: Path, read: list[str]
) -> None:
    path = written(tmp_path / "t.csv", 50)
    run(collection, path, text_column="text")
    before = held(collection, path)
    catalog = collection.catalog
    source = catalog.source(str(path), 7)
    assert source is not None
    with writing(collection) as writer:
        if what == "removed":
            writer.remove([source])
        elif what != "column":
            with catalog.transaction():
                if what == "metadata":
                    catalog.put_source(source.path, 7, source.content, ("text",), 1, 1, {"mood": "other"})
                elif what == "content":
                    catalog.put_source(source.path, 7, source.content + 1, ("text",), 1, 1, {"mood": "mood 1"})
                else:
                    catalog.move_source(source.id, "/else/where.txt", 1, 1)
    run(collection, path, text_column="mood" if what == "column" else "text")
    assert len(read) == 2
    if what == "column":
        assert [row[1] for row in held(collection, path)] == [f"mood {i % 3}" for i in range(50)]
        run(collection, path, text_column="text")
    assert held(collection, path) == before


def test_what_there_is_to_tell_is_told_each_time(collection: Collection, tmp_path: Path, read: list[str]) -> None:
    path = written(tmp_path / "t.csv", 10, row4=",mood 1")
    for times in (1, 2):
        report = run(collection, path, text_column="text")
        assert [(one.row, one.reason) for one in report.failures] == [(4, "its 'text' is empty")]
        assert len(read) == times and len(collection.catalog.failures()) == 1
    written(path, 10)
    for _ in range(2):
        assert run(collection, path, text_column="text").failures == [] and collection.catalog.failures() == []
    assert len(read) == 3
