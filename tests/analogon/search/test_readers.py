"""Readers that stay open while others write, prune, compact and are killed: each answer is of one state.

Spaces come and go too.
What they ask and how it is compared stands in readers.py.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from indexes.catalog import Catalog
from indexes.collection import Collection
from indexes.writer import writing

SCRIPT = Path(__file__).with_name("readers.py")
KINDS = {"content", "filter", "rerank", "name", "both", "second space", "rows", "describe", "export"}


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def ended(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return json.loads(out) if out else None


def commits(folder: Path) -> int:
    """How many states were committed, by the journal."""
    return sum('"items"' in line for line in (folder / "journal").read_text().splitlines())


def in_processes(folder: Path, readers: int, kills: int, least: int, life: float) -> tuple[int, list[dict[str, Any]]]:
    """Writers, each killed a moment after its first commits, beside readers with two threads each.

    It goes on until there are so many ``kills`` and at ``least`` so many commits. Gives how many of those there are,
    and what the readers told.
    """
    ended(start("make", folder))
    chance, killed, until = random.Random(5), 0, time.monotonic() + 600
    reading = [start("read", folder, seed, 10_000, 2) for seed in range(readers)]
    while killed < kills or commits(folder) < least:
        assert time.monotonic() < until, f"{commits(folder)} commits in ten minutes"
        there = commits(folder)
        writer = start("write", folder, killed, 10_000)
        beside = [start("read", folder, killed, 10_000, 1)] if life > 4 else []  # one that is killed as well
        while commits(folder) == there:
            assert writer.poll() is None, writer.communicate()[1]
            time.sleep(0.05)
        time.sleep(chance.uniform(0.0, life))
        assert writer.poll() is None, writer.communicate()[1]
        for process in (writer, *beside):
            process.kill()
            process.communicate()
        killed += 1
    (folder / "stop").touch()
    told = [one for each in reading for one in ended(each)]
    whole(folder)
    return commits(folder), told


def whole(folder: Path) -> None:
    """The next writer finds all in order, and takes away what is not counted."""
    with Collection.open(folder / "c") as collection, writing(collection):
        counted = {store.file for store in collection.catalog.stores()}
        assert {path.name for path in (folder / "c" / "vectors").iterdir()} == counted
        assert not list((folder / "c").rglob("*.tmp"))
    assert Catalog(folder / "c" / "catalog.sqlite").query("PRAGMA integrity_check") == [("ok",)]


def right(told: list[dict[str, Any]], states: int) -> None:
    assert [one["failures"] for one in told if one["failures"]] == []
    assert {kind for one in told for kind in one["answers"]} >= KINDS
    assert all(one["states"] >= states for one in told), "the readers saw too few states to show anything"
    # Some answers were of a state that others had passed by then: readers and writers did overlap.
    assert sum(one["answers"].get("behind the journal's end", 0) for one in told) > 0


def test_readers_in_processes_of_their_own_beside_writers_that_are_killed(tmp_path: Path) -> None:
    _, told = in_processes(tmp_path, readers=1, kills=4, least=80, life=3.0)
    right(told, 10)


def test_threads_read_from_the_library_that_another_thread_writes(tmp_path: Path) -> None:
    ended(start("make", tmp_path))
    told = ended(start("both", tmp_path, 3, 8, 2))
    assert not told["failures"], "a reader made the writer fail"
    assert told["wrote"][0]["commits"] > 40 and told["wrote"][0]["compactions"] > 5
    right(told["read"], 15)
    whole(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_for_minutes(tmp_path: Path) -> None:
    wrote, told = in_processes(tmp_path / "processes", readers=3, kills=10, least=2000, life=20.0)
    print(json.dumps({"commits": wrote, "read": told}))  # shown with -s
    right(told, 200)
    ended(start("make", tmp_path / "threads"))
    both = ended(start("both", tmp_path / "threads", 3, 90, 4))
    print(json.dumps(both))
    assert not both["failures"] and both["wrote"][0]["commits"] > 500
    right(both["read"], 200)
