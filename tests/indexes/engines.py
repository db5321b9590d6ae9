"""Vectors, the indexes over them that the tests ask, and brute force in float64 that they are held against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from embed.space import unit
from indexes.faiss.build import build, tune
from indexes.faiss.index import FaissIndex
from indexes.faiss.plan import Plan
from indexes.index import ExactIndex, Index, Neighbours, WithTail

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
N, DIM, TARGET = 3000, 64, 0.95
PLANS = {
    "hnsw": Plan("hnsw", {"M": 8, "efConstruction": 60}, 0, "test"),
    "ivf": Plan("ivf", {"lists": 50}, 0, "test"),
    "ivf-sq8": Plan("ivf-sq8", {"lists": 50}, 0, "test"),
    "ivf-pq": Plan("ivf-pq", {"lists": 50, "code": 16}, 0, "test"),
}
EXACT: dict[str, Callable[[Array], Index]] = {
    "exact": ExactIndex,
    "exact in small blocks": lambda v: ExactIndex(v, block_bytes=32 << 10),
    "exact plan": lambda v: build(v, Plan("exact", {}, 0, "test")),
    "exact with tail": lambda v: WithTail(ExactIndex(v[: len(v) * 2 // 3]), ExactIndex(v[len(v) * 2 // 3 :])),
}
APPROXIMATE: dict[str, Callable[[Array], Index]] = {
    **{name: lambda v, plan=plan: tuned(v, plan) for name, plan in PLANS.items()},  # type: ignore[misc]
    "hnsw with tail": lambda v: WithTail(tuned(v[: len(v) * 2 // 3], PLANS["hnsw"]), ExactIndex(v[len(v) * 2 // 3 :])),
}
ALL = EXACT | APPROXIMATE


def tuned(vectors: Array, plan: Plan) -> FaissIndex:
    cross = {"text": shifted(vectors)} if len(vectors) else {}
    return tune(build(vectors, plan), vectors, cross=cross, target=TARGET, probes=100)


def clustered(n: int, dim: int, seed: int = 0) -> Array:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, n // 40), dim))
    return unit(centres[random.integers(len(centres), size=n)] + 0.8 * random.normal(size=(n, dim)))


def shifted(vectors: Array, count: int = 100) -> Array:
    """Queries from across a modality gap."""
    random = np.random.default_rng(7)
    gap = random.normal(size=vectors.shape[1]) / np.sqrt(vectors.shape[1])
    some = vectors[random.integers(len(vectors), size=count)]
    return unit(some + gap + 0.3 * random.normal(size=some.shape) / np.sqrt(vectors.shape[1]))


def brute(vectors: Array, queries: Array, k: int, allowed: Mask | None = None) -> Neighbours:
    """All cosines in float64, the best k, ties by row."""
    wide = vectors.astype(np.float64)
    scores = np.array([(wide * query).sum(axis=1) for query in queries], dtype=np.float32).reshape(
        len(queries), len(vectors)
    )
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    best = Neighbours.none(len(queries), k)
    for i, line in enumerate(scores):
        order = sorted(np.flatnonzero(line > -np.inf), key=lambda row: (-line[row], row))[:k]
        best.rows[i, : len(order)], best.scores[i, : len(order)] = order, line[order]
    return best


def assert_same(found: Neighbours, truth: Neighbours) -> None:
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_allclose(found.scores, truth.scores, atol=1e-6)
    assert found.rows.dtype == np.int64 and found.scores.dtype == np.float32


def assert_honest(found: Neighbours, vectors: Array, queries: Array, allowed: Mask | None = None) -> None:
    """Scores are the true cosines of their rows, descending; no row comes twice; none that is not allowed."""
    for query, rows, scores in zip(queries, found.rows, found.scores, strict=True):
        there = rows >= 0
        assert not there[np.argmin(there) :].any() or there.all()
        np.testing.assert_allclose(scores[there], vectors[rows[there]].astype(np.float64) @ query, atol=1e-5)
        assert (scores[~there] == -np.inf).all() and (np.diff(scores[there]) <= 0).all()
        assert len(set(rows[there])) == there.sum()
        if allowed is not None:
            assert allowed[rows[there]].all()
