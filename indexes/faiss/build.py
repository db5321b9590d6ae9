"""Building an index and tuning it until its measured recall is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.listener import Listener
from indexes.faiss.index import FaissIndex
from indexes.faiss.library import BLOCK_BYTES, Float32, library
from indexes.faiss.measure import NEIGHBOURS, Measured, Probe, recall_of
from indexes.faiss.memory import free_memory
from indexes.faiss.plan import PQ_CENTROIDS, Plan, choose, plans
from indexes.index import ExactIndex, Index, Neighbours

__all__ = ["build", "extend", "fit", "tune"]

TRAIN_BYTES: Final = 256 << 20  # the largest sample that k-means sees
TRAIN_PER_LIST: Final = 64
TARGET: Final = 0.98
GROWTH: Final = 2  # times what an index was built of that it may hold; then lists and codes are learnt anew
PROBES: Final = 200
ONE_THREAD: Final = 100_000  # vectors up to which HNSW is built by one thread, so that the same seed gives the same
HNSW_BLOCK: Final = 8192  # vectors between two looks at whether to go on


def build(vectors: Float32, plan: Plan, seed: int = 0, listener: Listener | None = None) -> FaissIndex:
    """Build what ``plan`` says over unit rows, float32 ``(n, dim)``; the same seed gives the same index.

    But for HNSW (Malkov and Yashunin 2016) of more than ``ONE_THREAD`` vectors, which all threads build: its links
    depend on their timing. Lists are never more than vectors; too few vectors to learn codes from are scanned exactly.
    ``listener`` is told of each block of vectors that is in, and may end the work between two of them.
    """
    n, dim = vectors.shape
    if plan.kind == "exact" or n == 0 or (plan.kind == "ivf-pq" and n < PQ_CENTROIDS):
        why = plan.why if plan.kind == "exact" else f"too few vectors for {plan.kind.upper()}"
        return FaissIndex(vectors, Plan("exact", {}, 0, why, plan.budget), None, {})
    if plan.parameters.get("lists", 0) > n:
        plan = replace(plan, parameters={**plan.parameters, "lists": n})
    index, listener = _empty(plan, dim, seed), listener or Listener()
    if not index.is_trained:
        listener.phase(f"search index: what {plan.kind.upper()} learns", None)
        wanted = max(TRAIN_PER_LIST * plan.parameters["lists"], TRAIN_PER_LIST * PQ_CENTROIDS)
        count = min(n, wanted, max(plan.parameters["lists"], PQ_CENTROIDS, TRAIN_BYTES // (4 * dim)))
        sample = np.sort(np.random.default_rng(seed).choice(n, count, replace=False))
        index.train(np.ascontiguousarray(vectors[sample]))
    step = block_of(plan, dim)
    listener.phase(f"search index: {plan.kind.upper()}", n)
    listener.check()
    with _threads(_builders(plan, n)):
        for start in range(0, n, step):
            index.add(np.ascontiguousarray(vectors[start : start + step]))
            listener.advance(min(step, n - start))
            listener.check()
    return FaissIndex(vectors, plan, index, _first_settings(plan))


def _builders(plan: Plan, n: int) -> int | None:
    """How many threads add vectors; None for all."""
    return 1 if plan.kind == "hnsw" and n <= ONE_THREAD else None


def block_of(plan: Plan, dim: int) -> int:
    """How many vectors are added at a time."""
    block = max(1, BLOCK_BYTES // (4 * dim))
    return min(block, HNSW_BLOCK) if plan.kind == "hnsw" else block


def _empty(plan: Plan, dim: int, seed: int) -> Any:
    faiss = library()
    metric, parameters = faiss.METRIC_INNER_PRODUCT, plan.parameters
    if plan.kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dim, parameters["M"], metric)
        graph.hnsw.efConstruction = parameters["efConstruction"]
        graph.hnsw.rng = faiss.RandomGenerator(seed)
        return graph
    lists, coarse = parameters["lists"], faiss.IndexFlatIP(dim)
    if plan.kind == "ivf":
        index = faiss.IndexIVFFlat(coarse, dim, lists, metric)
    elif plan.kind == "ivf-sq8":
        index = faiss.IndexIVFScalarQuantizer(coarse, dim, lists, faiss.ScalarQuantizer.QT_8bit, metric)
    else:
        index = faiss.IndexIVFPQ(coarse, dim, lists, parameters["code"], 8, metric)
        index.pq.cp.seed = seed
        index.pq.cp.min_points_per_centroid = 1
        index.pq.cp.max_points_per_centroid = TRAIN_PER_LIST
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1  # how few are enough is ours to say; FAISS would print a warning
    index.cp.max_points_per_centroid = TRAIN_PER_LIST
    return index


def _first_settings(plan: Plan) -> dict[str, int]:
    """The least effort that ``tune`` starts from."""
    if plan.kind == "hnsw":
        return {"efSearch": 16}
    return {"nprobe": 1} | ({} if plan.kind == "ivf" else {"rerank": 4})


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let FAISS use ``count`` threads within; None leaves it as it is."""
    faiss = library()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def tune(
    index: FaissIndex,
    vectors: Float32,
    *,
    cross: Mapping[str, Float32] | None = None,
    target: float = TARGET,
    probes: int = PROBES,
    seed: int = 0,
) -> FaissIndex:
    """The index with the least effort that reaches recall@10 of ``target`` for every kind of query, and the measure.

    ``vectors`` are those that it covers: up to ``probes`` of them ask, each held out of its own answer.
    ``cross`` are unit queries of other modalities, ``{"text": float32 (q, dim)}``: an index can ruin those while its
    own vectors still find each other. Where nothing reaches the target, the most effort is what is given.
    """
    random = np.random.default_rng(seed)
    own = np.sort(random.choice(index.size, min(probes, index.size), replace=False))
    asked = {"own": np.array(vectors[own])}
    for kind, queries in (cross or {}).items():
        asked[kind] = queries[np.sort(random.permutation(len(queries))[:probes])]

    def answers(index: Index) -> dict[str, Neighbours]:
        others = {kind: index.search(queries, NEIGHBOURS) for kind, queries in asked.items() if kind != "own"}
        return {"own": _without(index.search(asked["own"], NEIGHBOURS + 1), own)} | others

    truth = answers(ExactIndex(vectors))

    def measure(settings: Mapping[str, int]) -> Measured:
        found = answers(index.with_settings(settings))
        probed = (
            Probe(kind, len(asked[kind]), recall_of(found[kind], truth[kind])) for kind in asked if len(asked[kind])
        )
        return Measured(tuple(probed), NEIGHBOURS, settings)

    best = _raise_effort(measure, dict(index.settings), _limits(index.plan, index.size), target)
    return index.with_settings(best.parameters, best)


def _without(found: Neighbours, rows: npt.NDArray[np.int64]) -> Neighbours:
    """One neighbour less for each query: its own row, or where that is not among them, the last."""
    order = np.argsort(found.rows == rows[:, None], axis=1, kind="stable")[:, :-1]
    return Neighbours(np.take_along_axis(found.rows, order, axis=1), np.take_along_axis(found.scores, order, axis=1))


def _limits(plan: Plan, size: int) -> dict[str, int]:
    if plan.kind == "exact":
        return {}
    if plan.kind == "hnsw":
        return {"efSearch": min(size, 1024)}
    return {"nprobe": plan.parameters["lists"]} | ({} if plan.kind == "ivf" else {"rerank": 128})


def _raise_effort(
    measure: Callable[[Mapping[str, int]], Measured],
    settings: Mapping[str, int],
    limits: Mapping[str, int],
    target: float,
) -> Measured:
    """Double whichever setting helps most until the worst recall reaches the target or all stand at their limits."""
    best = measure(settings)
    while best.worst < target:
        now = best.parameters
        steps = [{**now, name: min(2 * now[name], limit)} for name, limit in limits.items() if now[name] < limit]
        if not steps:
            break
        best = max((measure(step) for step in steps), key=lambda measured: measured.worst)
    return best


def extend(
    head: FaissIndex,
    vectors: Float32,
    *,
    cross: Mapping[str, Float32] | None = None,
    target: float = TARGET,
    seed: int = 0,
    quick: bool = False,
    listener: Listener | None = None,
) -> FaissIndex | None:
    """An index in memory over the first rows of ``vectors`` with the others added, tuned from the effort that it had.

    None where it has grown too far from what it was built of, where another kind is called for now, or where it does
    not reach the target any more: ``fit`` makes one anew. Of what is free now nothing is asked: it changes.
    """
    n, dim = vectors.shape
    if head.plan.kind == "exact" or n > GROWTH * head.fitted:
        return None
    plan = next((one for one in plans(n, dim, head.plan.budget) if one.kind == head.plan.kind), None)
    if plan is None or not (head.plan.compelled or choose(n, dim, head.plan.budget, quick=quick).kind == plan.kind):
        return None
    plan = replace(plan, parameters=head.plan.parameters, why=head.plan.why, compelled=head.plan.compelled)
    if listener is not None:
        listener.phase(f"search index: {plan.kind.upper()}", n - head.size)
    with _threads(_builders(plan, n)):
        index = head.add(vectors, plan, block_of(plan, dim), listener)
    index = tune(index, vectors, cross=cross, target=target, seed=seed)
    return index if index.measured and index.measured.worst >= target else None


def fit(
    vectors: Float32,
    budget: int | None = None,
    *,
    cross: Mapping[str, Float32] | None = None,
    target: float = TARGET,
    seed: int = 0,
    quick: bool = False,
    listener: Listener | None = None,
) -> FaissIndex:
    """Choose, build and tune an index over unit rows, float32 ``(n, dim)``, within a memory budget in bytes.

    And within half of the memory that is free. Where the chosen one does not reach the target (many copies of one
    vector break up an HNSW graph), the next kind is tried, and in the end an exact scan.
    """
    n, dim = vectors.shape
    first = choose(n, dim, budget, free_memory(), quick=quick)
    fallback = [plan for plan in plans(n, dim, budget) if first.kind == "hnsw" and plan.kind == "ivf"]
    best: Measured | None = None
    for plan in [first, *fallback]:
        index = build(vectors, plan, seed, listener)
        if index.plan.kind == "exact":
            return index
        index = tune(index, vectors, cross=cross, target=target, seed=seed)
        if index.measured and index.measured.worst >= target:
            return index
        best = index.measured
    assert best is not None
    why = f"{first.kind.upper()} reached a recall@{best.k} of only {best.worst:.3f}"
    return build(vectors, Plan("exact", {}, 0, why, budget), seed)
