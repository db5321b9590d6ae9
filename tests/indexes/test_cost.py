"""What a run asks of SQLite grows with the files, never with their square: steps of its machine at two sizes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analogon
from embed import load
from embed.media import Media
from embed.space import unit
from indexes.build import Plan, SideTable, build
from indexes.catalog import Catalog
from indexes.collection import Collection, KnownSpace
from indexes.database import Database
from indexes.exchange.intake import Place, Row, take_in
from tests.indexes.runs import Counting

EVERY = 50
TABLE = {"family": "toy", "model": "16"}
Work = Callable[[], Any]


class Steps:
    """Counts the steps of a connection's machine, and its statements, from now on."""

    def __init__(self, of: Collection | sqlite3.Connection) -> None:
        connection = of.catalog._db if isinstance(of, Collection) else of
        self.steps = self.statements = 0
        connection.set_progress_handler(self._stepped, EVERY)
        connection.set_trace_callback(self._stated)

    def _stepped(self) -> int:
        self.steps += EVERY
        return 0

    def _stated(self, _: str) -> None:
        self.statements += 1


def texts(folder: Path, count: int, *, equal: bool = False) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:05}.txt").write_text("rain" if equal else f"words {number}")
    return folder


def index(collection: Collection, *paths: Path, **settings: Any) -> Any:
    return build(collection, [(Counting(), TABLE)], Plan(tuple(map(str, paths)), **settings))


def equal_files(collection: Collection, at: Path, count: int) -> Work:
    folder = texts(at / "texts", count, equal=True)
    return lambda: index(collection, folder)


def equal_files_again(collection: Collection, at: Path, count: int) -> Work:
    folder = texts(at / "texts", count, equal=True)
    index(collection, folder)
    return lambda: index(collection, folder, reread=True)


def equal_files_moved(collection: Collection, at: Path, count: int) -> Work:
    folder = texts(at / "texts", count, equal=True)
    index(collection, folder)
    folder.rename(at / "moved")

    def work() -> None:
        assert index(collection, at / "moved").moved == count

    return work


def equal_rows(collection: Collection, at: Path, count: int) -> Work:
    table = at / "table.csv"
    table.write_text("text\n" + "rain\n" * count)
    return lambda: index(collection, table, text_column="text")


def many_tables_that_shrank(collection: Collection, at: Path, count: int) -> Work:
    folder = at / "tables"
    folder.mkdir()
    for number in range(count // 4):
        (folder / f"{number}.csv").write_text(f"text\nfirst {number}\nsecond {number}\n")
    index(collection, folder, text_column="text")
    for number in range(count // 4):
        (folder / f"{number}.csv").write_text(f"text\nfirst {number}\n")

    def work() -> None:
        assert index(collection, folder, text_column="text").removed == count // 4

    return work


def a_side_table(collection: Collection, at: Path, count: int) -> Work:
    folder = texts(at / "texts", count)
    index(collection, folder)
    rows = {f"{number:05}": {"mood": f"mood {number}", "bpm": number} for number in range(count)}
    return lambda: index(collection, folder, side_table=SideTable("table", "file", rows))


def pruned(collection: Collection, at: Path, count: int) -> Work:
    folder = texts(at / "texts", count)
    index(collection, folder)
    for path in sorted(folder.iterdir())[::2]:
        path.unlink()

    def work() -> None:
        assert index(collection, folder, prune=True, force=True).removed == (count + 1) // 2

    return work


def files_by_name(collection: Collection, at: Path, count: int) -> Work:
    folder = texts(at / "texts", count)
    index(collection, folder)
    return lambda: index(collection, *sorted(folder.iterdir()))


def forgotten_by_name(collection: Collection, at: Path, count: int) -> Work:
    folder = texts(at / "texts", count)
    index(collection, folder)
    return lambda: analogon.Library(collection).remove(*sorted(folder.iterdir()))


@pytest.mark.parametrize(
    "make",
    [
        equal_files,
        equal_files_again,
        equal_files_moved,
        equal_rows,
        many_tables_that_shrank,
        a_side_table,
        pruned,
        files_by_name,
        forgotten_by_name,
    ],
)
def test_twice_the_files_take_about_twice_the_steps(
    make: Callable[[Collection, Path, int], Work], tmp_path: Path
) -> None:
    taken = []
    for count in (150, 300, 600):
        at = tmp_path / str(count)
        at.mkdir()
        with Collection.create(at / "collection") as collection:
            work = make(collection, at, count)
            steps = Steps(collection)
            work()
            taken.append((steps.steps, steps.statements))
        shutil.rmtree(at)
    for first, second in pairwise(taken):
        assert second[0] < 2.4 * first[0] and second[1] < 2.4 * first[1], taken


@pytest.mark.parametrize("make", [files_by_name, forgotten_by_name])
def test_a_path_that_is_named_costs_the_same_in_a_collection_of_any_size(
    make: Callable[[Collection, Path, int], Work], tmp_path: Path
) -> None:
    """Each of the same number of paths, beside few others and beside many."""
    taken = []
    for others in (200, 1600):
        at = tmp_path / str(others)
        at.mkdir()
        with Collection.create(at / "collection") as collection:
            index(collection, texts(at / "others", others))
            (at / "few").mkdir()
            few, many = (steps_of(collection, make, at / f"few/{count}", count) for count in (50, 100))
            taken.append(many - few)
    assert taken[1] < 1.5 * taken[0], taken


# -- what is added to a collection, or taken away, and what an import costs ---------------------------------------


def rows(first: int, count: int, root: str) -> Iterator[Row]:
    """Sounds of other people's, each with a name, a folder and three columns."""
    vectors = unit(np.random.default_rng(first).normal(size=(count, 16))).astype(np.float32)
    for i, vector in enumerate(vectors, first):
        path = f"{root}/folder {i // 100}/{['rain', 'dark kick', 'ZOOM'][i % 3]}_{i:06}.wav"
        fields = {"mood": ("calm", "dark")[i % 2], "take": i, "title": f"title {i}"}
        yield Row(Media("audio", path=path), (Place(path, None, fields),), f"{i:032x}", {"duration": 1.0}, vector)


KNOWN = KnownSpace(load("toy:16").space, TABLE)


@pytest.fixture
def sizes(tmp_path: Path) -> list[Path]:
    """Collections of 2,000 and of 16,000 sounds."""
    folders = [tmp_path / str(count) for count in (2_000, 16_000)]
    for folder in folders:
        assert take_in(folder, KNOWN, rows(0, int(folder.name), "/lib")).vectors == int(folder.name)
    return folders


def counted(monkeypatch: pytest.MonkeyPatch, work: Work) -> tuple[int, int]:
    """Steps and statements of all connections that are made meanwhile."""
    made: list[Steps] = []
    connect = Database._connect

    def connecting(self: Database) -> sqlite3.Connection:
        connection = connect(self)
        made.append(Steps(connection))
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_connect", connecting)
        work()
    return sum(one.steps for one in made), sum(one.statements for one in made)


def test_a_hundred_cost_the_same_beside_few_and_beside_many(
    sizes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing, indexing and removing them, of a collection that is opened for that."""
    # What filters ask is written anew now and then, which is counted for itself.
    monkeypatch.setattr("indexes.writer.Writer.build_columns", lambda self, *listener: None)
    few = texts(tmp_path / "few", 100)

    def indexing(folder: Path) -> None:
        with Collection.open(folder) as collection:
            report = index(collection, few)
            assert (report.new, report.encoded) == (100, 100)

    def removing(folder: Path, root: Path | str) -> None:
        with analogon.open(folder) as library:
            assert library.remove(root) == 100

    works: list[Callable[[Path], object]] = [
        lambda folder: take_in(folder, KNOWN, rows(50_000, 100, "/added")),
        indexing,
        lambda folder: removing(folder, "/added"),
        lambda folder: removing(folder, few),
    ]
    for number, work in enumerate(works):
        small, large = (counted(monkeypatch, partial(work, folder)) for folder in sizes)
        assert large[0] < 1.1 * small[0] and abs(large[1] - small[1]) < 0.1 * small[1], (number, small, large)


def test_an_import_costs_statements_a_block_and_steps_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexes.exchange.blocks.COMMIT_ROWS", 500)
    # What filters ask is written once for all blocks, from 2,048 sources on: that is counted for itself.
    monkeypatch.setattr("indexes.writer.Writer.build_columns", lambda self, *listener: None)
    taken = {}
    for blocks in (2, 4, 8):
        folder = tmp_path / str(blocks)
        Collection.create(folder).close()
        calls = Calls()
        with monkeypatch.context() as patch:
            patch.setattr(Catalog, "_db", property(lambda self, calls=calls: calls.of(self._shared)))
            take_in(folder, KNOWN, rows(0, 500 * blocks, "/lib"))
        steps, _ = counted(
            monkeypatch,
            lambda folder=folder, n=blocks: take_in(  # type: ignore[misc]
                folder.with_name(f"steps {n}"), KNOWN, rows(0, 500 * n, "/lib")
            ),
        )
        taken[blocks] = (calls.count, steps)
    (two, few), (four, some), (eight, many) = taken.values()
    assert eight - four == 2 * (four - two) and (eight - four) / 4 < 60, taken  # a block has as many, whatever its rows
    assert many - some < 2.2 * (some - few) and (many - some) / 2000 < 2000, taken


class Calls:
    """Counts what a connection is asked, an ``executemany`` once."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, connection: Any) -> Any:
        return Counted(connection, self)


class Counted:
    def __init__(self, connection: sqlite3.Connection, calls: Calls) -> None:
        self.connection, self.calls = connection, calls

    def __getattr__(self, name: str) -> Any:
        self.calls.count += name in ("execute", "executemany")
        return getattr(self.connection, name)


def steps_of(collection: Collection, make: Callable[[Collection, Path, int], Work], at: Path, count: int) -> int:
    at.mkdir()
    work = make(collection, at, count)
    steps = Steps(collection)
    work()
    collection.catalog._db.set_progress_handler(None, 0)
    return steps.steps
