"""What a search asks of SQLite and reads of the rows that count: the same in a collection of any size."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analogon
from analogon.search.background import Background
from analogon.search.bank_statistics import BankStatistics
from embed import load
from embed.media import Media
from indexes import columns, narrowed
from indexes.catalog import Catalog
from indexes.writer import Done, Entry, writing

TABLE = {"family": "toy", "model": "16"}
NEAR, DEAD = 40, 30
SIZES = (600, 4800)


def made(path: Path, size: int) -> analogon.Library:
    """``size`` texts of which ``NEAR`` are near to the question, the same in each, and ``DEAD`` have been removed."""
    encoder = load(TABLE)
    asked = encoder.encode_batch([Media.from_text("rain")])[0]
    library = analogon.open(path, create=True)
    with writing(library.collection) as writer:
        writer.add_space(encoder.space, dict(TABLE))
        catalog, entries = writer.catalog, []
        with catalog.transaction():
            for number in range(size + DEAD):
                random = np.random.default_rng(number)
                vector = random.standard_normal(16) * (0.1 if number < NEAR else 1.0) + 2 * asked * (number < NEAR)
                content = catalog.put_content(f"{number:040x}", {}, f"words {number}")
                catalog.put_source("/lib/table.csv", number, content, ("text",), 1, 1, {})
                part = Media("text", path="/lib/table.csv", text=f"words {number}", row=number)
                entries.append(Entry(content, part, (vector / np.linalg.norm(vector)).astype(np.float32)))
        writer.commit(encoder.space, entries, [Done(entry.content, "text", 1) for entry in entries])
        writer.remove([one for one in catalog.sources_of_path("/lib/table.csv") if (one.row or 0) >= size])
    Background.make(library.collection, library.collection.spaces[0], "text")
    return library


def files(path: Path, size: int) -> analogon.Library:
    """``size`` sounds with names and fields: ``NEAR`` of them are chosen and near to the question, one is solitary."""
    encoder = load(TABLE)
    asked = encoder.encode_batch([Media.from_text("rain")])[0]
    library = analogon.open(path, create=True)
    with writing(library.collection) as writer:
        writer.add_space(encoder.space, dict(TABLE))
        catalog, entries = writer.catalog, []
        with catalog.transaction():
            for number in range(size):
                random, near = np.random.default_rng(number), number < NEAR
                vector = random.standard_normal(16) * (0.1 if near else 1.0) + 2 * asked * near
                content = catalog.put_content(f"{number:040x}", {"duration": 1.0 + number % 60}, None)
                name = f"/lib/{'solitary' if number == 7 else 'other'}_{number:06}.wav"
                catalog.put_source(name, None, content, ("audio",), 1, 1, {"take": number, "chosen": int(near)})
                entries.append(
                    Entry(content, Media("audio", path=name), (vector / np.linalg.norm(vector)).astype(np.float32))
                )
        writer.commit(encoder.space, entries, [Done(entry.content, "audio", 1) for entry in entries])
        writer.build_columns()
        assert (catalog.columns_file() is not None) == (columns.LATE == 0)
    Background.make(library.collection, library.collection.spaces[0], "audio")
    return library


ASKED: dict[str, Any] = {
    "describe": lambda library: library.describe(),
    "one in many passes": lambda library: library.search("rain", by="content", where="chosen = 1"),
    "all pass": lambda library: library.search("rain", by="content", where="duration > 0"),
    "all pass, in SQL": lambda library: library.search("rain", by="content", where="start < 0"),
    "what is near is excluded": lambda library: library.search("rain exclude(rain, 0.0001)", by="content"),
    "by name": lambda library: library.search("solitary", by="name"),
    "by name, some pass": lambda library: library.search("solitary", by="name", where="take = 7"),
    "both": lambda library: library.search("solitary rain", where="chosen = 1"),
}


@pytest.mark.parametrize("late", [0, 10**9])
def test_with_a_filter_by_name_and_for_a_description_a_collection_of_any_size_is_asked_the_same(
    late: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With columns and without. The first time is not counted: what is kept is made then."""
    monkeypatch.setattr(columns, "LATE", late)
    monkeypatch.setattr(narrowed, "AT_ONCE", 1000)
    taken: dict[str, list[tuple[int, int]]] = {name: [] for name in ASKED}
    found: dict[str, list[Any]] = {name: [] for name in ASKED}
    for size in SIZES:
        files(tmp_path / str(size), size).close()
        with counted(monkeypatch) as counts, analogon.open(tmp_path / str(size)) as library:
            for name, ask in ASKED.items():
                ask(library)
                before = dict(counts)
                hits = ask(library)
                taken[name].append((counts["statements"] - before["statements"], counts["steps"] - before["steps"]))
                found[name].append([hit.path for hit in hits] if name != "describe" else [])
    for name, (small, large) in taken.items():
        assert found[name][0] == found[name][1] and (found[name][0] or name == "describe"), name
        assert small[0] > 1
        if "name" in name or name == "both":  # how many pieces the full-text index is in changes from time to time
            assert large[0] <= 1.25 * small[0] and large[1] <= 1.25 * small[1], (name, small, large)
        else:
            assert small == large, name


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Counts what all connections that are opened within do: statements, and steps of SQLite's machine."""
    counts = {"statements": 0, "steps": 0, "bytes": 0, "asked": 0}
    connect, dead_rows, make = Catalog._connect, Catalog.dead_rows, BankStatistics.make

    def stated(_: str) -> None:
        counts["statements"] += 1

    def stepped() -> int:
        counts["steps"] += 1
        return 0

    def connecting(self: Catalog) -> sqlite3.Connection:
        connection = connect(self)
        connection.set_trace_callback(stated)
        connection.set_progress_handler(stepped, 1)
        return connection

    def reading(self: Catalog, *arguments: Any) -> Any:
        found = dead_rows(self, *arguments)
        counts["bytes"] += found.nbytes
        return found

    def making(*arguments: Any) -> Any:
        counts["asked"] += 1
        return make(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "_connect", connecting)
        patch.setattr(Catalog, "dead_rows", reading)
        patch.setattr(BankStatistics, "make", making)
        yield counts


@pytest.mark.parametrize("options", [{}, {"k": 3, "rerank": "csls"}, {"variety": 0.3}, {"where": "path = 'nowhere'"}])
def test_a_search_by_content_costs_the_same_in_a_collection_of_any_size(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    for size in SIZES:
        made(tmp_path / str(size), size).close()
        with counted(monkeypatch) as counts, analogon.open(tmp_path / str(size)) as library:
            costs = []
            for query in ("rain", "rain", "a dog"):
                before = dict(counts)
                library.search(query, by="content", **options)
                costs.append({name: counts[name] - before[name] for name in counts})
            taken.append(costs)
    assert taken[0][0]["bytes"] == taken[1][0]["bytes"] == 8 * DEAD  # what died, once
    if not options:
        assert taken[0][1:] == taken[1][1:]
    for small, large in zip(taken[0][1:], taken[1][1:], strict=True):  # csls and variety read other items in each
        assert large["statements"] == small["statements"] and large["steps"] == pytest.approx(small["steps"], rel=0.01)
    assert {cost["bytes"] for cost in taken[1][1:]} == {cost["asked"] for cost in taken[1][1:]} == {0}
    assert taken[1][1]["statements"] > 3 and taken[1][1]["steps"] > 30


def test_a_commit_costs_a_search_what_came_and_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in SIZES:
        with counted(monkeypatch) as counts, made(tmp_path / str(size), size) as library:
            library.search("rain", by="content")
            for number in (1, 2, 3):
                with writing(library.collection) as writer, writer.catalog.transaction():
                    source = writer.catalog.source("/lib/table.csv", 100 + number)
                    assert source is not None
                    writer.catalog.remove_sources([source.id])
                before = dict(counts)
                library.search("rain", by="content")
                assert counts["bytes"] - before["bytes"] == 8
                assert counts["asked"] - before["asked"] == 1  # the table is brought up, of no row more
