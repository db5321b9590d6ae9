"""The index of a growing collection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexes.faiss import cache
from indexes.faiss import plan as planning
from indexes.faiss.cache import Cached
from indexes.faiss.index import read
from tests.indexes.engines import DIM, Array, N, assert_same, brute, shifted


def test_cache_follows_a_growing_collection(vectors: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.faiss"
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    monkeypatch.setattr(cache, "TAIL_BYTES", 4 * DIM * 50)
    cached = Cached.open(path, vectors[:2000], stamp=1)
    assert (cached.stamp, cached.size, cached.dim, cached.measured) == (1, 2000, DIM, None)
    assert cached.description == "exact scan of 2,000 vectors"
    assert cached.build(cross={"text": shifted(vectors)})
    assert cached.description.startswith("HNSW") and cached.measured is not None and path.exists()
    assert not cached.build()

    grown = Cached.open(path, vectors[:2200])  # a tenth more: still scanned
    assert grown.description.endswith(", and 200 newer rows exactly")
    found = grown.search(vectors[2000:2200], 1)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(2000, 2200))
    assert not grown.build()

    outgrown = Cached.open(path, vectors)
    assert outgrown.build() and "newer" not in outgrown.description
    assert read(path, vectors).size == N
    assert outgrown.build(300_000) and outgrown.head is not None and outgrown.head.plan.kind == "ivf-sq8"
    assert not outgrown.build()  # no budget named: the last one stays
    assert Cached.open(path, vectors).description == outgrown.description


def test_damaged_cache_is_scanned_until_it_is_built_again(vectors: Array, tmp_path: Path) -> None:
    path = tmp_path / "x.faiss"
    path.write_bytes(b"rubbish" * 100)
    cached = Cached.open(path, vectors)
    assert_same(cached.search(vectors[:5], 3), brute(vectors, vectors[:5], 3))
    assert cached.build() and not cached.build()
    assert cached.description.startswith("exact scan of 3,000 vectors")
    more = Cached.open(path, np.concatenate([vectors, vectors[:7]]))
    assert more.description.startswith("exact scan of 3,007 vectors")
