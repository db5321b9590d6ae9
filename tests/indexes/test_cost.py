"""What a run asks of SQLite grows with the files, never with their square: steps of its machine at two sizes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import analogon
from indexes.build import Plan, SideTable, build
from indexes.collection import Collection
from tests.indexes.runs import Counting

EVERY = 50
TABLE = {"family": "toy", "model": "16"}
Work = Callable[[], Any]


class Steps:
    """Counts the steps of a connection's machine, and its statements, from now on."""

    def __init__(self, collection: Collection) -> None:
        self.steps = self.statements = 0
        collection.catalog._db.set_progress_handler(self._stepped, EVERY)
        collection.catalog._db.set_trace_callback(self._stated)

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


def steps_of(collection: Collection, make: Callable[[Collection, Path, int], Work], at: Path, count: int) -> int:
    at.mkdir()
    work = make(collection, at, count)
    steps = Steps(collection)
    work()
    collection.catalog._db.set_progress_handler(None, 0)
    return steps.steps
