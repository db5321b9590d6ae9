"""One suite over every index, against brute force in float64; then what the exact ones add of their own."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from indexes.faiss.build import build
from indexes.faiss.index import FaissIndex
from indexes.index import ExactIndex, Index, Neighbours, WithTail, merge
from tests.indexes.engines import (
    ALL,
    APPROXIMATE,
    DIM,
    EXACT,
    PLANS,
    TARGET,
    Array,
    N,
    assert_honest,
    assert_same,
    brute,
    clustered,
    shifted,
)


@pytest.fixture
def proposals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many queries FAISS was asked each time: an index that secretly scans would pass any test of recall."""
    asked: list[int] = []
    original = FaissIndex._propose

    def spy(self: FaissIndex, queries: Array, *rest: object) -> npt.NDArray[np.int64]:
        asked.append(len(queries))
        return original(self, queries, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(FaissIndex, "_propose", spy)
    return asked


# -- every index -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("k", [1, 10, 57])
def test_exact_ones_equal_brute_force(name: str, k: int, vectors: Array, indexes: dict[str, Index]) -> None:
    queries = np.concatenate([vectors[:20], shifted(vectors, 20)])
    assert_same(indexes[name].search(queries, k), brute(vectors, queries, k))


@pytest.mark.parametrize("name", EXACT)
def test_of_equal_scores_the_lower_row_comes_first(name: str) -> None:
    few = clustered(7, 24, seed=3)
    vectors = few[np.random.default_rng(1).integers(7, size=901)]
    queries = np.concatenate([few, shifted(few, 5)])
    for k in (1, 5, 200):
        assert_same(ALL[name](vectors).search(queries, k), brute(vectors, queries, k))


@pytest.mark.parametrize("name", APPROXIMATE)
def test_approximate_ones_are_honest_and_find(
    name: str, vectors: Array, indexes: dict[str, Index], proposals: list[int]
) -> None:
    for queries in (vectors[::30], shifted(vectors)):
        found, truth = indexes[name].search(queries, 10), brute(vectors, queries, 10)
        assert_honest(found, vectors, queries)
        share = np.mean([len(set(f) & set(t)) / 10 for f, t in zip(found.rows, truth.rows, strict=True)])
        assert share >= TARGET - 0.01  # tuned on probes of its own; these are other queries
    assert proposals == [100, 100]


@pytest.mark.parametrize("name", ALL)
def test_own_vector_is_found_first_with_a_score_of_one(name: str, vectors: Array, indexes: dict[str, Index]) -> None:
    found = indexes[name].search(vectors[:300], 1)
    np.testing.assert_allclose(found.scores[found.rows[:, 0] == np.arange(300), 0], 1.0, atol=1e-6)
    assert (found.rows[:, 0] == np.arange(300)).mean() >= (1.0 if name in EXACT else TARGET)


@pytest.mark.parametrize("share", [0.95, 0.5, 0.02, "one", "none", "all"])
@pytest.mark.parametrize("name", ALL)
def test_masks(name: str, share: float | str, vectors: Array, indexes: dict[str, Index]) -> None:
    allowed = np.zeros(N, dtype=np.bool_)
    if isinstance(share, float):
        allowed = np.random.default_rng(5).random(N) < share
    elif share != "none":
        allowed[17 if share == "one" else slice(None)] = True
    queries = np.concatenate([vectors[:50], shifted(vectors, 50)])
    found, truth = indexes[name].search(queries, 10, allowed=allowed), brute(vectors, queries, 10, allowed)
    assert_honest(found, vectors, queries, allowed)
    np.testing.assert_array_equal((found.rows >= 0).sum(1), (truth.rows >= 0).sum(1))
    if name in EXACT or share in (0.02, "one", "none"):
        assert_same(found, truth)
    else:
        assert (found.scores >= truth.scores[:, -1:] - 1e-6).mean() >= TARGET - 0.01


@pytest.mark.parametrize("name", APPROXIMATE)
def test_filters_that_exclude_all_that_is_near(name: str, vectors: Array, indexes: dict[str, Index]) -> None:
    queries = vectors[:60]
    wanted = 0
    for query in queries:
        allowed = vectors @ query < np.quantile(vectors @ query, 0.7)
        found, truth = indexes[name].search(query[None], 10, allowed=allowed), brute(vectors, query[None], 10, allowed)
        assert_honest(found, vectors, query[None], allowed)
        wanted += int((found.scores >= truth.scores[:, -1:] - 1e-6).sum())
    assert wanted / 600 >= 0.9


@pytest.mark.parametrize("name", ALL)
def test_more_than_there_are_and_nothing_at_all(name: str, vectors: Array, indexes: dict[str, Index]) -> None:
    index = indexes[name]
    everything = index.search(vectors[:2], N + 5)
    assert_same(everything, brute(vectors, vectors[:2], N + 5))
    assert index.search(vectors[:3], 0).rows.shape == (3, 0)
    assert index.search(vectors[:0], 4).scores.shape == (0, 4)
    assert (index.size, index.dim) == (N, DIM)


@pytest.mark.parametrize("name", APPROXIMATE)
def test_many_neighbours_are_found_as_well_as_few(name: str, vectors: Array, indexes: dict[str, Index]) -> None:
    queries = shifted(vectors, 30)
    found, truth = indexes[name].search(queries, 100), brute(vectors, queries, 100)
    assert (found.scores >= truth.scores[:, -1:] - 1e-6).mean() >= 0.9


@pytest.mark.parametrize("name", ALL)
def test_what_does_not_fit_is_refused_with_both_numbers(name: str, vectors: Array, indexes: dict[str, Index]) -> None:
    index = indexes[name]
    with pytest.raises(ValueError, match=r"\(2, 63\).*\(q, 64\)"):
        index.search(vectors[:2, :63], 3)
    with pytest.raises(ValueError, match=r"\(64,\)"):
        index.search(vectors[0], 3)
    with pytest.raises(ValueError, match=r"\(2999,\).*\(3000,\)"):
        index.search(vectors[:2], 3, allowed=np.ones(N - 1, dtype=np.bool_))
    with pytest.raises(ValueError, match="int64"):
        index.search(vectors[:2], 3, allowed=np.ones(N, dtype=np.int64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k is -1"):
        index.search(vectors[:2], -1)
    with pytest.raises(ValueError, match="not finite"):
        index.search(np.full((1, DIM), np.nan, dtype=np.float32), 3)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("n", "dim"), [(0, 8), (1, 8), (2, 16), (30, 8), (300, 1024), (280, 300)])
def test_few_vectors_of_any_dimension(name: str, n: int, dim: int) -> None:
    vectors = clustered(n, dim) if n else np.zeros((0, dim), dtype=np.float32)
    queries = clustered(4, dim, seed=9)
    if name == "ivf-pq":
        index: Index = build(vectors, replace(PLANS[name], parameters={"lists": 50, "code": dim // 4}))
    else:
        index = ALL[name](vectors)
    found = index.search(queries, 5)
    assert_honest(found, vectors, queries)
    truth = brute(vectors, queries, 5)
    np.testing.assert_array_equal(found.rows >= 0, truth.rows >= 0)
    if name in EXACT or n <= 30:
        assert_same(found, truth)


@pytest.mark.parametrize("name", APPROXIMATE)
def test_copies_of_few_vectors(name: str) -> None:
    few = clustered(12, 32, seed=4)
    vectors = few[np.arange(2400) % 12]
    found = ALL[name](vectors).search(few, 10)
    assert_honest(found, vectors, few)
    assert (found.rows >= 0).all()


# -- exact -----------------------------------------------------------------------------------------------------------


def test_exact_scan_of_a_file_takes_bounded_memory(tmp_path: Path) -> None:
    vectors = clustered(4000, 256)
    vectors.tofile(tmp_path / "v.f32")
    mapped = np.memmap(tmp_path / "v.f32", dtype=np.float32, mode="r", shape=vectors.shape)
    index = ExactIndex(mapped, block_bytes=64 << 10)
    allowed = np.arange(4000) % 2 == 0
    tracemalloc.start()
    try:
        index.search(vectors[:40], 10)
        index.search(vectors[:40], 10, allowed=allowed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert vectors.nbytes > 4 * (1 << 20) * 0.97
    assert peak < 1 << 20


def test_merge_keeps_the_best_of_both() -> None:
    a = Neighbours(np.array([[4, 2, -1]]), np.float32([[0.9, 0.5, -np.inf]]))
    b = Neighbours(np.array([[7, 8]]), np.float32([[0.9, 0.7]]))
    assert_same(merge(b, a, 3), Neighbours(np.array([[4, 7, 8]]), np.float32([[0.9, 0.9, 0.7]])))
    six = merge(a, b, 6)
    assert six.rows.tolist() == [[4, 7, 8, 2, -1, -1]] and six.scores[0, 4:].tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("first", [0, 1, 137, 200])
def test_tail_equals_one_index_over_all(first: int) -> None:
    vectors = clustered(200, 16)[np.random.default_rng(0).integers(120, size=200)]  # with copies on both sides
    both = WithTail(ExactIndex(vectors[:first]), ExactIndex(vectors[first:]))
    for allowed in (None, np.arange(200) % 3 == 0, np.arange(200) >= first, np.arange(200) < first):
        assert_same(both.search(vectors[:40], 15, allowed=allowed), brute(vectors, vectors[:40], 15, allowed))
    assert both.size == 200
    with pytest.raises(ValueError, match=r"16 components.*15"):
        WithTail(ExactIndex(vectors), ExactIndex(vectors[:, :15]))
