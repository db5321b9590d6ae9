"""One suite over every index, against brute force in float64; then what each engine adds of its own."""

from __future__ import annotations

import importlib
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from embed.errors import CollectionError, UsageError
from embed.space import unit
from indexes.faiss import build as building
from indexes.faiss import cache
from indexes.faiss import plan as planning
from indexes.faiss.build import build, fit, tune
from indexes.faiss.cache import Cached
from indexes.faiss.file import IndexDamaged
from indexes.faiss.index import FaissIndex, read
from indexes.faiss.measure import Measured, Probe, recall
from indexes.faiss.plan import Plan, choose, parse_memory, plans
from indexes.index import ExactIndex, Index, Neighbours, WithTail, merge

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


@pytest.fixture(scope="module")
def vectors() -> Array:
    return clustered(N, DIM)


@pytest.fixture(scope="module")
def indexes(vectors: Array) -> dict[str, Index]:
    return {name: make(vectors) for name, make in ALL.items()}


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


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_faiss_gives_inner_products_not_distances(kind: str, vectors: Array) -> None:
    raw = build(vectors, PLANS[kind])._index.search(vectors[:50], 1)[0]
    np.testing.assert_allclose(raw, 1.0, atol=1e-5)


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


# -- plans -----------------------------------------------------------------------------------------------------------


def test_choice_by_size_and_memory() -> None:
    limit = planning.SCAN_BYTES // (4 * 512)
    assert choose(0, 512).kind == choose(limit, 512).kind == "exact"
    assert choose(limit + 1, 512).kind == "hnsw"
    million = {plan.kind: plan.bytes for plan in reversed(list(plans(1_000_000, 512)))}
    assert list(million) == ["exact", "ivf-pq", "ivf-sq8", "ivf", "hnsw"]
    for kind, size in million.items():
        if kind != "exact":
            assert choose(1_000_000, 512, size).kind == kind or kind == "ivf-pq"
            assert choose(1_000_000, 512, size - 1).bytes < size
    # the largest code that fits, then none
    assert choose(1_000_000, 512, 150_000_000).parameters["code"] == 128
    smallest = min(p.bytes for p in plans(1_000_000, 512) if p.kind == "ivf-pq")
    assert choose(1_000_000, 512, smallest).parameters["code"] == 32
    nothing = choose(1_000_000, 512, smallest - 1)
    assert nothing.kind == "exact" and nothing.bytes == 0 and "no index within" in nothing.why
    assert [p.kind for p in plans(100, 16, 0)] == ["exact"]


def test_planned_bytes_are_those_of_the_index() -> None:
    faiss = importlib.import_module("faiss")
    vectors = clustered(2000, 32)
    for plan in plans(2000, 32):
        if plan.kind != "exact":
            real = len(faiss.serialize_index(build(vectors, plan)._index))
            assert real == pytest.approx(plan.bytes, rel=0.04), plan


def test_memory_amounts() -> None:
    assert parse_memory("2G") == parse_memory("2gb") == parse_memory(" 2 GB ") == 2_000_000_000
    assert parse_memory("64MiB") == 64 << 20 and parse_memory("1TiB") == 1 << 40
    assert parse_memory("0.5k") == parse_memory("500") == parse_memory("500B") == 500
    for wrong in ("", "G", "-1G", "0", "0.1", "2X", "2G2", "1e9", "nan", "1,5G", "٣G"):
        with pytest.raises(UsageError, match="such as 2G"):
            parse_memory(wrong)


# -- recall and tuning -----------------------------------------------------------------------------------------------


class Forgetful:
    """An index that leaves out every second of the true neighbours."""

    def __init__(self, vectors: Array) -> None:
        self._exact = ExactIndex(vectors)
        self.size, self.dim, self.description = *vectors.shape, "forgetful"

    def search(self, queries: Array, k: int, *, allowed: Mask | None = None) -> Neighbours:
        found = self._exact.search(queries, k, allowed=allowed)
        found.rows[:, ::2], found.scores[:, ::2] = -1, -np.inf
        return found


def test_recall_is_the_share_of_true_neighbours(vectors: Array) -> None:
    exact = ExactIndex(vectors)
    assert recall(Forgetful(vectors), exact, vectors[:50], 10) == 0.5
    assert recall(exact, exact, vectors[:50], 10) == 1.0
    assert recall(exact, ExactIndex(vectors[:0]), vectors[:0], 10) == 1.0
    copies = np.repeat(vectors[:3], 40, axis=0)  # any 10 of 40 copies are right
    backwards = WithTail(ExactIndex(copies[:0]), Backwards(copies))
    assert backwards.search(vectors[:1], 1).rows.tolist() == [[39]]
    assert recall(backwards, ExactIndex(copies), vectors[:3], 10) == 1.0


class Backwards:
    """An index that prefers the higher of equal rows."""

    def __init__(self, vectors: Array) -> None:
        self._exact = ExactIndex(vectors[::-1])
        self.size, self.dim, self.description = *vectors.shape, "backwards"

    def search(self, queries: Array, k: int, *, allowed: Mask | None = None) -> Neighbours:
        found = self._exact.search(queries, k, allowed=allowed)
        return Neighbours(self.size - 1 - found.rows, found.scores)


@pytest.mark.parametrize("kind", PLANS)
def test_tuning_raises_the_effort_until_every_kind_of_query_is_served(kind: str, vectors: Array) -> None:
    index = build(vectors, PLANS[kind])
    cross = {"text": shifted(vectors, 250), "image": vectors[:20]}
    tuned = tune(index, vectors, cross=cross, target=0.99, probes=120)
    measured = tuned.measured
    assert measured is not None and measured.parameters == dict(tuned.settings)
    assert [(p.kind, p.queries) for p in measured.probes] == [("own", 120), ("text", 120), ("image", 20)]
    assert measured.worst >= 0.99 > _least(index, vectors)
    assert measured.recall_own == measured.probes[0].recall
    assert measured.recall_cross == min(p.recall for p in measured.probes[1:])
    image = measured.probes[2]
    assert image.recall == pytest.approx(recall(tuned, ExactIndex(vectors), vectors[:20]))
    assert str(measured) in tuned.description and "over 120 text queries" in tuned.description


def _least(index: FaissIndex, vectors: Array) -> float:
    return recall(index, ExactIndex(vectors), shifted(vectors, 250))


def test_queries_from_across_a_gap_cost_effort_that_own_vectors_do_not_show(vectors: Array) -> None:
    index = build(vectors, PLANS["ivf"])
    own = tune(index, vectors, target=0.97)
    both = tune(index, vectors, cross={"text": shifted(vectors)}, target=0.97)
    assert own.measured is not None and own.measured.recall_cross is None
    assert own.settings["nprobe"] < both.settings["nprobe"]
    assert recall(own, ExactIndex(vectors), shifted(vectors)) < 0.97


def test_measure_in_words() -> None:
    one = Measured((Probe("own", 200, 0.9912),), 10, {})
    assert str(one) == "recall@10 0.991 against exact over 200 of its own vectors"
    assert one.recall_cross is None and Measured((), 10, {}).worst == 1.0


LIMITED = {"hnsw": "efSearch", "ivf": "nprobe"}
FIRST = {"hnsw": {"efSearch": 1}, "ivf": {"nprobe": 126, "rerank": 1}}


def test_fit_gives_up_on_an_index_that_does_not_find(monkeypatch: pytest.MonkeyPatch, vectors: Array) -> None:
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    monkeypatch.setattr(building, "_limits", lambda plan, size: {LIMITED[plan.kind]: 8})
    hard = unit(np.random.default_rng(0).normal(size=(4000, 96)))
    assert fit(hard, target=0.2).plan.kind == "hnsw"
    beaten = fit(hard, target=0.9999)
    assert beaten.plan.kind == "exact" and "HNSW reached a recall@10 of only 0." in beaten.description
    monkeypatch.setitem(LIMITED, "ivf", "rerank")
    monkeypatch.setattr(building, "_first_settings", lambda plan: FIRST[plan.kind])
    assert fit(hard, target=0.9999).plan.kind == "ivf"
    assert_same(beaten.search(hard[:5], 3), brute(hard, hard[:5], 3))


def test_fit_survives_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    few = clustered(40, 32, seed=4)
    vectors = few[np.arange(2400) % 40]
    index = fit(vectors, target=0.98)
    assert recall(index, ExactIndex(vectors), few) >= 0.98


# -- determinism and files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PLANS)
def test_same_seed_same_bytes(kind: str, vectors: Array, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build(vectors[:1000], PLANS[kind], seed).save(tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("name", [*PLANS, "exact plan"])
def test_round_trip(name: str, vectors: Array, indexes: dict[str, Index], tmp_path: Path) -> None:
    index, path = indexes[name], tmp_path / "äöü index.faiss"
    assert isinstance(index, FaissIndex)
    index.save(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    again = read(path, np.concatenate([vectors, vectors[:100]]))  # the collection has grown since
    assert (again.size, again.plan, again.settings, again.measured) == (N, index.plan, index.settings, index.measured)
    assert again.description == index.description
    queries, allowed = shifted(vectors, 40), np.arange(N) % 7 != 0
    for mask in (None, allowed):
        before, after = index.search(queries, 10, allowed=mask), again.search(queries, 10, allowed=mask)
        np.testing.assert_array_equal(before.rows, after.rows)
        np.testing.assert_array_equal(before.scores, after.scores)


@pytest.mark.parametrize("name", ["hnsw", "ivf-pq", "exact plan"])
def test_damage_is_seen(name: str, vectors: Array, indexes: dict[str, Index], tmp_path: Path) -> None:
    path = tmp_path / "x.faiss"
    indexes[name].save(path)  # type: ignore[attr-defined]
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for position in [0, len(whole) - 1, len(whole) - 30, *random.integers(len(whole), size=40)]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(IndexDamaged, match=r"x\.faiss"):
            read(path, vectors)
    for length in [0, 1, 27, 28, 29, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(IndexDamaged):
            read(path, vectors)
    path.write_bytes(whole + b"\0")
    with pytest.raises(IndexDamaged):
        read(path, vectors)
    path.write_bytes(whole)
    with pytest.raises(IndexDamaged, match="3000 x 64 vectors; there are 2999 x 64"):
        read(path, vectors[:-1])
    with pytest.raises(IndexDamaged, match="other vectors"):
        read(path, vectors[::-1])
    with pytest.raises(IndexDamaged, match="there are 3000 x 63"):
        read(path, vectors[:, :63])
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none", vectors)
    assert read(path, vectors).size == N


def test_what_cannot_be_written_leaves_the_old_file(
    vectors: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, path = build(vectors, PLANS["ivf"]), tmp_path / "x.faiss"
    index.save(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CollectionError, match=r"x\.faiss.*No space left"):
        index.save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


# -- the cache of a growing collection -------------------------------------------------------------------------------


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


def test_plan_of_more_lists_than_vectors(vectors: Array) -> None:
    index = build(vectors[:20], replace(PLANS["ivf"], parameters={"lists": 500}))
    assert index.plan.parameters == {"lists": 20}
