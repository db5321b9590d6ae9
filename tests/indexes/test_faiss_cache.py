"""The index of a growing collection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embed.errors import Cancelled
from embed.listener import Listener
from indexes.faiss import cache
from indexes.faiss import plan as planning
from indexes.faiss.cache import Cached
from indexes.faiss.index import read
from tests.indexes.engines import DIM, Array, N, assert_same, brute, shifted


def test_cache_follows_a_growing_collection(vectors: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.faiss"
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    monkeypatch.setattr(cache, "TAIL_BYTES", 4 * DIM * 150)
    cached = Cached.open(path, vectors[:2000], stamp=1)
    assert (cached.stamp, cached.size, cached.dim, cached.measured) == (1, 2000, DIM, None)
    assert cached.description == "exact scan of 2,000 vectors"
    assert cached.build(cross={"text": shifted(vectors)})
    assert cached.description.startswith("HNSW") and cached.measured is not None and path.exists()
    assert not cached.build()

    grown = Cached.open(path, vectors[:2100])  # 5 % more: still scanned
    assert grown.description.endswith(", and 100 newer rows exactly")
    found = grown.search(vectors[2000:2100], 1)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(2000, 2100))
    assert not grown.build()

    outgrown = Cached.open(path, vectors)
    assert outgrown.build() and "newer" not in outgrown.description
    assert read(path, vectors).size == N
    assert outgrown.build(300_000) and outgrown.head is not None and outgrown.head.plan.kind == "ivf-sq8"
    assert not outgrown.build()  # no budget named: the last one stays
    assert Cached.open(path, vectors).description == outgrown.description


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_newer_vectors_are_added_until_it_has_grown_too_far(
    kind: str, vectors: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fits = tmp_path / "x.faiss", []
    fit = cache.fit

    def counting(*arguments: object, **named: object) -> object:
        fits.append(len(arguments[0]))  # type: ignore[arg-type]
        return fit(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    monkeypatch.setattr(cache, "fit", counting)
    monkeypatch.setattr("indexes.faiss.build.GROWTH", 1.6)
    budget = None if kind == "hnsw" else 700_000
    assert Cached.open(path, vectors[:1500]).build(budget, {"text": shifted(vectors)})
    for size in (1576, 1660, 2400):  # 5 % more than before, and some
        grown = Cached.open(path, vectors[:size])
        before = grown.head
        assert before is not None and grown.build(cross={"text": shifted(vectors)}) and not grown.build()
        head = read(path, vectors)
        assert (head.plan.kind, head.size, head.fitted, head.plan.budget) == (kind, size, 1500, budget)
        for one in (grown, head):
            found, truth = one.search(vectors[:size:7], 10), brute(vectors[:size], vectors[:size:7], 10)
            assert (found.rows[:, :, None] == truth.rows[:, None]).any(axis=2).mean() > 0.97
            assert found.rows[:, 0].tolist() == list(range(0, size, 7))
        assert head.measured is not None and head.measured.worst >= 0.98
        assert before.search(vectors[:3], 1).rows.ravel().tolist() == [0, 1, 2]  # who has it open goes on
    monkeypatch.setattr(cache, "TAIL_BYTES", 4 * DIM * 20)
    assert not Cached.open(path, vectors[:2420]).build()
    assert fits == [1500]
    assert Cached.open(path, vectors[:2421]).build() and fits == [1500, 2421]


def test_an_index_gives_way_to_what_is_free_and_stays_what_it_is_as_it_grows(
    vectors: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, free = tmp_path / "x.faiss", [10**9]
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    monkeypatch.setattr("indexes.faiss.build.free_memory", lambda: free[0])
    hnsw = next(plan for plan in planning.plans(1500, DIM) if plan.kind == "hnsw")
    free[0] = 2 * hnsw.bytes - 1
    first = Cached.open(path, vectors[:1500])
    assert first.build() and first.head is not None and first.head.plan.kind == "ivf"
    assert "mapped from disk, as HNSW takes" in first.description
    free[0] = 10**9
    grown = Cached.open(path, vectors[:2000])
    assert grown.build() and grown.head is not None
    assert (grown.head.plan.kind, grown.head.fitted, grown.head.size) == ("ivf", 1500, 2000)
    assert "mapped from disk" in grown.description
    assert grown.build(10**8) and grown.description.startswith("HNSW")  # another budget


def test_building_tells_how_far_it_is_and_stops_when_asked(
    vectors: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.faiss"
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    monkeypatch.setattr("indexes.faiss.build.HNSW_BLOCK", 700)
    monkeypatch.setattr(cache, "TAIL_BYTES", 0)

    class Told(Listener):
        def __init__(self) -> None:
            self.lines: list[object] = []

        def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
            self.lines.append((name, total))

        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            self.lines.append(count)

    told = Told()
    assert Cached.open(path, vectors[:2000]).build(listener=told)
    assert told.lines == [("search index: HNSW", 2000), 700, 700, 600]
    told.lines.clear()
    assert Cached.open(path, vectors[:2900]).build(listener=told)
    assert told.lines == [("search index: HNSW", 900), 700, 200]
    saved = path.read_bytes()
    told.cancel()
    with pytest.raises(Cancelled):
        Cached.open(path, vectors).build(listener=told)
    assert path.read_bytes() == saved


def test_queries_to_measure_with_are_made_where_there_is_something_to_measure(
    vectors: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def cross() -> dict[str, Array]:
        made.append(1)
        return {"text": shifted(vectors)}

    path = tmp_path / "x.faiss"
    assert Cached.open(path, vectors).build(cross=cross) and not made
    path.unlink()
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    built = Cached.open(path, vectors)
    assert built.build(cross=cross) and len(made) == 1
    assert built.measured is not None and [probe.kind for probe in built.measured.probes] == ["own", "text"]
    assert not Cached.open(path, vectors).build(cross=cross) and len(made) == 1


def test_damaged_cache_is_scanned_until_it_is_built_again(vectors: Array, tmp_path: Path) -> None:
    path = tmp_path / "x.faiss"
    path.write_bytes(b"rubbish" * 100)
    cached = Cached.open(path, vectors)
    assert_same(cached.search(vectors[:5], 3), brute(vectors, vectors[:5], 3))
    assert cached.build() and not cached.build()
    assert cached.description.startswith("exact scan of 3,000 vectors")
    more = Cached.open(path, np.concatenate([vectors, vectors[:7]]))
    assert more.description.startswith("exact scan of 3,007 vectors")
