"""The local engine: FAISS indexes chosen by size and memory, tuned until measured recall is reached, kept in caches.

The vectors on disk are the truth. An index here only proposes rows; each proposed row is scored again with its true
float32 vector, so that scores are exact cosines whatever the index compresses, and a stale file cannot lie about them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from embed.errors import CollectionDamaged, CollectionError, UsageError
from indexes.index import ExactIndex, Index, Neighbours, WithTail, checked, cosines

__all__ = [
    "Cached",
    "FaissIndex",
    "IndexDamaged",
    "Measured",
    "Plan",
    "Probe",
    "build",
    "choose",
    "fingerprint",
    "fit",
    "parse_memory",
    "plans",
    "read",
    "recall",
    "tune",
]

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Kind = Literal["exact", "hnsw", "ivf", "ivf-sq8", "ivf-pq"]

SCAN_BYTES: Final = 128 << 20  # vectors that are scanned exactly: some 20 ms a query, and nothing to build
TAIL_BYTES: Final = 16 << 20  # newer vectors that an index may leave to a scan before it is built again
TRAIN_BYTES: Final = 256 << 20  # the largest sample that k-means sees
TRAIN_PER_LIST: Final = 64
BLOCK_BYTES: Final = 16 << 20
PQ_CENTROIDS: Final = 256  # 8-bit codes; product quantisation needs as many vectors to learn from
LINKS: Final = 32  # HNSW's M
NEIGHBOURS: Final = 10  # the k of every measured recall
TARGET: Final = 0.98
PROBES: Final = 200
MAGIC: Final = b"ANALOGN1"
TRAILER: Final = struct.Struct("<QQI8s")  # bytes of the FAISS index, bytes of JSON, crc32 of both, MAGIC


class IndexDamaged(CollectionDamaged):
    """An index file is damaged or belongs to other vectors. It is a cache: build it again."""


def _library() -> Any:
    """FAISS itself, untyped: its stubs lack half of what it has."""
    return importlib.import_module("faiss")


# -- which index ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """Which index to build: its kind, its parameters, the bytes of memory it takes, and why it was chosen.

    ``parameters``: "M" and "efConstruction" of HNSW, "lists" of IVF, "code" bytes a vector of IVF-PQ. ``budget`` is
    the memory in bytes that was asked for, None for no limit.
    """

    kind: Kind
    parameters: Mapping[str, int]
    bytes: int
    why: str
    budget: int | None = None


def plans(n: int, dim: int, budget: int | None = None) -> Iterator[Plan]:
    """All plans for ``n`` vectors of ``dim`` components that fit the budget in bytes, best first; exact comes last.

    The budget holds for the index in use. Building one also holds a sample of at most 256 MiB to learn from.
    """
    lists = max(1, min(n, round(2 * math.sqrt(n))))
    coarse = 4 * dim * lists + 8 * n  # centroids, and each row's number
    kinds: list[tuple[Kind, dict[str, int], int]] = [
        ("hnsw", {"M": LINKS, "efConstruction": 80}, n * (4 * dim + 8 * LINKS + 20)),
        ("ivf", {"lists": lists}, coarse + 4 * n * dim),
        ("ivf-sq8", {"lists": lists}, coarse + n * dim + 8 * dim),
    ]
    if n >= PQ_CENTROIDS:
        # Codes of less than a 16th of a byte a component need so many candidates that a scan is as quick.
        sizes = [code for code in range(dim // 2, max(1, dim // 16) - 1, -1) if dim % code == 0]
        kinds += [("ivf-pq", {"lists": lists, "code": c}, coarse + n * c + 4 * PQ_CENTROIDS * dim) for c in sizes]
    limit = "no memory limit" if budget is None else f"a limit of {_megabytes(budget)}"
    for kind, parameters, size in kinds:
        if budget is None or size <= budget:
            yield Plan(kind, parameters, size, f"{_megabytes(size)} within {limit}", budget)
    yield Plan("exact", {}, 0, f"no index within {limit}", budget)


def choose(n: int, dim: int, budget: int | None = None) -> Plan:
    """The plan for ``n`` vectors of ``dim`` components and a memory budget in bytes (None: no limit).

    Few vectors are scanned exactly from the memory-mapped file, which needs no memory of its own; so are many where
    not even the smallest index fits the budget.

    >>> choose(1_000, 512).kind, choose(1_000_000, 512).kind, choose(1_000_000, 512, 10**9).kind
    ('exact', 'hnsw', 'ivf-sq8')
    """
    if 4 * n * dim <= SCAN_BYTES:
        return Plan("exact", {}, 0, f"{_megabytes(4 * n * dim)} are too little to need an index", budget)
    return next(plans(n, dim, budget))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


UNITS: Final = {"": 1, "B": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("KMGT", 1)
    for ending, base in (("", 1000), ("B", 1000), ("IB", 1024))
}


def parse_memory(text: str) -> int:
    """An amount of memory in bytes: K, M, G, T are powers of 1000, KiB, MiB, GiB, TiB of 1024.

    Raises ``UsageError``.

    >>> parse_memory("2G"), parse_memory("1.5 GiB"), parse_memory("500000")
    (2000000000, 1610612736, 500000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text, re.IGNORECASE | re.ASCII)
    factor = UNITS.get(match[2].upper()) if match else None
    if match is None or factor is None or (size := int(float(match[1]) * factor)) < 1:
        raise UsageError(f"{text!r} is no amount of memory: a number above 0 and K, M, G or T, such as 2G or 512MiB")
    return size


# -- how well it finds ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """The recall measured over one kind of queries: "own" for the index's own vectors, else a modality's name."""

    kind: str
    queries: int
    recall: float

    def __str__(self) -> str:
        what = "of its own vectors" if self.kind == "own" else f"{self.kind} queries"
        return f"{self.recall:.3f} over {self.queries} {what}"


@dataclass(frozen=True, slots=True)
class Measured:
    """Recall@k against the exact scan, one probe a kind of query, with the search parameters that reached it.

    >>> print(Measured((Probe("own", 200, 0.991), Probe("text", 120, 0.987)), 10, {"efSearch": 64}))
    recall@10 0.991 against exact over 200 of its own vectors, 0.987 over 120 text queries
    """

    probes: tuple[Probe, ...]
    k: int
    parameters: Mapping[str, int]

    @property
    def worst(self) -> float:
        """The lowest recall of any kind of query; 1 where there was nothing to ask."""
        return min((probe.recall for probe in self.probes), default=1.0)

    @property
    def recall_own(self) -> float | None:
        """The recall over the index's own vectors, or None where that was not measured."""
        return next((probe.recall for probe in self.probes if probe.kind == "own"), None)

    @property
    def recall_cross(self) -> float | None:
        """The lowest recall over queries of other modalities, or None where there were none."""
        return min((probe.recall for probe in self.probes if probe.kind != "own"), default=None)

    def __str__(self) -> str:
        return f"recall@{self.k} " + ", ".join(map(str, self.probes)).replace(" over", " against exact over", 1)


def recall(index: Index, exact: Index, queries: Float32, k: int = NEIGHBOURS) -> float:
    """Recall@k of ``index``: which share of the true ``k`` nearest rows it finds.

    A row that scores as high as the true k-th counts as found, since of equal rows any will do.
    """
    return _recall(index.search(queries, k), exact.search(queries, k))


def _recall(found: Neighbours, truth: Neighbours) -> float:
    there = truth.rows >= 0
    if not there.any():
        return 1.0
    last = np.where(there, truth.scores, np.inf).min(axis=1, keepdims=True)
    return float(((found.rows >= 0) & (found.scores >= last - 1e-6)).sum() / there.sum())


# -- the index -----------------------------------------------------------------------------------------------------


class FaissIndex:
    """A FAISS index over float32 unit rows ``(n, dim)``, which stay where they are, usually memory-mapped.

    ``settings`` are the parameters of a search: "efSearch" of HNSW; "nprobe" and "rerank" (candidates for each
    neighbour asked for) of IVF. ``measured`` is what ``tune`` found for them.
    """

    def __init__(
        self, vectors: Float32, plan: Plan, index: Any, settings: Mapping[str, int], measured: Measured | None = None
    ) -> None:
        self.plan, self.settings, self.measured = plan, MappingProxyType(dict(settings)), measured
        self._vectors, self._index, self._exact = vectors, index, ExactIndex(vectors)
        self.size, self.dim = vectors.shape

    @property
    def description(self) -> str:
        if self._index is None:
            return f"{self._exact.description} ({self.plan.why})"
        shown = {"M": "M", "lists": "lists", "code": "code bytes"}
        fixed = [f"{shown[name]}={value}" for name, value in self.plan.parameters.items() if name in shown]
        tuned = [f"{name}={value}" for name, value in self.settings.items()]
        how_well = f": {self.measured}" if self.measured else ""
        return " ".join([self.plan.kind.upper(), *fixed, *tuned]) + how_well

    def with_settings(self, settings: Mapping[str, int], measured: Measured | None = None) -> FaissIndex:
        """The same index, searched with other parameters."""
        return FaissIndex(self._vectors, self.plan, self._index, settings, measured)

    def search(self, queries: Float32, k: int, *, allowed: Mask | None = None) -> Neighbours:
        """As ``Index.search``, approximately; scores are exact cosines.

        A filter costs no recall: the index is asked for so many rows that enough of them should be allowed, and where
        that is as much work as scanning the allowed rows, or where too few of them turn out to be (the filter excludes
        just what is near the query), they are scanned. FAISS's own filtering stops at the first rows that it visits,
        and then gives allowed ones that are far from the nearest.
        """
        queries, allowed = checked(self, queries, k, allowed)
        there = self.size if allowed is None else int(np.count_nonzero(allowed))
        depth = self._depth(k, there)
        effort, visited = self._effort(depth)
        if self._index is None or visited >= there or k == 0:
            return self._exact.search(queries, k, allowed=allowed)
        rerank = self.settings.get("rerank", 1)
        needed = min(there, k if allowed is None else k * rerank)
        found, short = Neighbours.none(len(queries), k), []
        proposed = self._propose(queries, min(depth * rerank, self.size), effort)
        for i, (query, rows) in enumerate(zip(queries, proposed, strict=True)):
            rows = np.sort(rows[rows >= 0])
            if allowed is not None:
                rows = rows[allowed[rows]]
            if len(rows) < needed:
                short.append(i)
                continue
            scores = cosines(query, self._vectors[rows])
            order = np.lexsort((rows, -scores))[:k]
            found.rows[i, : len(order)], found.scores[i, : len(order)] = rows[order], scores[order]
        if short:
            exact = self._exact.search(queries[short], k, allowed=allowed)
            found.rows[short], found.scores[short] = exact.rows, exact.scores
        return found

    def _depth(self, k: int, there: int) -> int:
        """Among how many nearest rows there are ``k`` allowed ones, if the filter has nothing to do with the query.

        Two standard deviations are added to the mean, so that bad luck seldom makes a scan necessary.
        """
        share = there / max(1, self.size)
        return k if share in (0.0, 1.0) else math.ceil((k + 2 * math.sqrt(k * (1 - share))) / share)

    def _effort(self, depth: int) -> tuple[int, float]:
        """efSearch or nprobe with which the ``depth`` nearest rows are found, and how many rows that visits.

        The settings were tuned for ten neighbours; deeper answers take as many times the effort.
        """
        rows, more = depth * self.settings.get("rerank", 1), max(1.0, depth / NEIGHBOURS)
        if self.plan.kind == "hnsw":
            effort = math.ceil(max(self.settings["efSearch"] * more, 2 * rows))
            return effort, effort * 2.0 * self.plan.parameters["M"]
        lists = self.plan.parameters.get("lists", 1)
        effort = math.ceil(max(self.settings.get("nprobe", 1) * more, 2 * rows * lists / max(1, self.size)))
        return min(effort, lists), self.size * effort / lists

    def _propose(self, queries: Float32, count: int, effort: int) -> npt.NDArray[np.int64]:
        faiss = _library()
        if self.plan.kind == "hnsw":
            parameters = faiss.SearchParametersHNSW(efSearch=effort)
        else:
            parameters = faiss.SearchParametersIVF(nprobe=effort)
        rows: npt.NDArray[np.int64] = self._index.search(queries, count, params=parameters)[1]
        return rows

    def save(self, path: Path) -> None:
        """Write to a file, by way of a temporary one. Raises ``CollectionError`` where that cannot be written."""
        header = {
            "plan": asdict(replace(self.plan, parameters=dict(self.plan.parameters))),
            "settings": dict(self.settings),
            "measured": self.measured and asdict(replace(self.measured, parameters=dict(self.measured.parameters))),
            "size": self.size,
            "dim": self.dim,
            "vectors": fingerprint(self._vectors),
        }
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                crc = _write_body(self._index, file)
                body, text = file.tell(), json.dumps(header).encode()
                file.write(text + TRAILER.pack(body, len(text), zlib.crc32(text, crc), MAGIC))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise CollectionError(f"{path}: the index cannot be written: {error.strerror or error}") from error


def _write_body(index: Any, file: IO[bytes]) -> int:
    """Write a FAISS index at the file's beginning, where FAISS can map it into memory, and give its crc32."""
    faiss = _library()
    crc = 0

    def write(block: bytes) -> None:
        nonlocal crc
        crc = zlib.crc32(block, crc)
        file.write(block)

    if index is not None:
        faiss.write_index(index, faiss.PyCallbackIOWriter(write))
    return crc


def read(path: Path, vectors: Float32) -> FaissIndex:
    """Read what ``save`` wrote for the first rows of ``vectors``: it may cover fewer than there are by now.

    Raises ``IndexDamaged`` where the file is damaged, cut short, or was made of other vectors; ``FileNotFoundError``
    where there is none.
    """
    header = _checked_header(path)
    size, dim = header["size"], header["dim"]
    if dim != vectors.shape[1] or size > len(vectors):
        raise IndexDamaged(f"{path}: an index of {size} x {dim} vectors; there are {len(vectors)} x {vectors.shape[1]}")
    vectors = vectors[:size]
    if header["vectors"] != fingerprint(vectors):
        raise IndexDamaged(f"{path}: an index of other vectors than those that are there; build it again")
    plan, measured = Plan(**header["plan"]), header["measured"]
    if measured:
        probes = tuple(Probe(**probe) for probe in measured.pop("probes"))
        measured = Measured(probes=probes, **measured)
    index = None
    if plan.kind != "exact":
        faiss = _library()
        try:
            index = faiss.read_index(str(path), getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP))
        except RuntimeError as error:
            raise IndexDamaged(f"{path}: written by a FAISS that this one cannot read; build it again") from error
    return FaissIndex(vectors, plan, index, header["settings"], measured)


def _checked_header(path: Path) -> dict[str, Any]:
    """The JSON of an index file whose every byte was checked: FAISS itself may crash on a damaged one."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        if length < TRAILER.size:
            raise IndexDamaged(f"{path}: cut short after {length} bytes; build it again")
        file.seek(-TRAILER.size, os.SEEK_END)
        body, text, crc, magic = TRAILER.unpack(file.read())
        if magic != MAGIC or body + text + TRAILER.size != length:
            raise IndexDamaged(f"{path}: damaged or cut short ({length} bytes); build it again")
        file.seek(0)
        found, left, block = 0, body + text, b""
        while left:
            block = file.read(min(left, BLOCK_BYTES))
            found, left = zlib.crc32(block, found), left - len(block)
        if found != crc:
            raise IndexDamaged(f"{path}: damaged (checksum {found:08x}, it was {crc:08x}); build it again")
        file.seek(body)
        header: dict[str, Any] = json.loads(file.read(text))
        return header


def fingerprint(vectors: Float32) -> str:
    """A hash of the shape and of 256 rows spread over the array: enough to know vectors that only ever grow."""
    digest = hashlib.blake2b(repr(vectors.shape).encode(), digest_size=16)
    if len(vectors):
        # A set, not np.unique: that imports numpy.ma, which takes longer than a small search.
        rows = sorted(set(np.linspace(0, len(vectors) - 1, 256).astype(np.int64).tolist()))
        digest.update(np.ascontiguousarray(vectors[rows], dtype="<f4").tobytes())
    return digest.hexdigest()


# -- building and tuning -------------------------------------------------------------------------------------------


def build(vectors: Float32, plan: Plan, seed: int = 0) -> FaissIndex:
    """Build what ``plan`` says over unit rows, float32 ``(n, dim)``; the same seed gives the same index.

    HNSW (Malkov and Yashunin 2016) is built by one thread: with several, its links depend on their timing. Lists are
    never more than vectors; too few vectors to learn codes from are scanned exactly.
    """
    n, dim = vectors.shape
    if plan.kind == "exact" or n == 0 or (plan.kind == "ivf-pq" and n < PQ_CENTROIDS):
        why = plan.why if plan.kind == "exact" else f"too few vectors for {plan.kind.upper()}"
        return FaissIndex(vectors, Plan("exact", {}, 0, why, plan.budget), None, {})
    if plan.parameters.get("lists", 0) > n:
        plan = replace(plan, parameters={**plan.parameters, "lists": n})
    index = _empty(plan, dim, seed)
    if not index.is_trained:
        wanted = max(TRAIN_PER_LIST * plan.parameters["lists"], TRAIN_PER_LIST * PQ_CENTROIDS)
        count = min(n, wanted, max(plan.parameters["lists"], PQ_CENTROIDS, TRAIN_BYTES // (4 * dim)))
        sample = np.sort(np.random.default_rng(seed).choice(n, count, replace=False))
        index.train(np.ascontiguousarray(vectors[sample]))
    step = max(1, BLOCK_BYTES // (4 * dim))
    with _threads(1 if plan.kind == "hnsw" else None):
        for start in range(0, n, step):
            index.add(np.ascontiguousarray(vectors[start : start + step]))
    return FaissIndex(vectors, plan, index, _first_settings(plan))


def _empty(plan: Plan, dim: int, seed: int) -> Any:
    faiss = _library()
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
    faiss = _library()
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
            Probe(kind, len(asked[kind]), _recall(found[kind], truth[kind])) for kind in asked if len(asked[kind])
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


def fit(
    vectors: Float32,
    budget: int | None = None,
    *,
    cross: Mapping[str, Float32] | None = None,
    target: float = TARGET,
    seed: int = 0,
) -> FaissIndex:
    """Choose, build and tune an index over unit rows, float32 ``(n, dim)``, within a memory budget in bytes.

    Where the chosen one does not reach the target (many copies of one vector break up an HNSW graph), the next kind
    is tried, and in the end an exact scan.
    """
    n, dim = vectors.shape
    first = choose(n, dim, budget)
    fallback = [plan for plan in plans(n, dim, budget) if first.kind == "hnsw" and plan.kind == "ivf"]
    best: Measured | None = None
    for plan in [first, *fallback]:
        index = build(vectors, plan, seed)
        if index.plan.kind == "exact":
            return index
        index = tune(index, vectors, cross=cross, target=target, seed=seed)
        if index.measured and index.measured.worst >= target:
            return index
        best = index.measured
    assert best is not None
    why = f"{first.kind.upper()} reached a recall@{best.k} of only {best.worst:.3f}"
    return build(vectors, Plan("exact", {}, 0, why, budget), seed)


# -- the cache of a growing collection -----------------------------------------------------------------------------


class Cached:
    """The index of a growing array of vectors: what a file covers, and an exact scan of the rows since then.

    ``stamp`` is the caller's, to know for which state of its vectors this was opened.
    """

    def __init__(self, path: Path, vectors: Float32, stamp: object, head: FaissIndex | None) -> None:
        self._path, self._vectors, self.stamp = path, vectors, stamp
        self.size, self.dim = vectors.shape
        self._use(head)

    def _use(self, head: FaissIndex | None) -> None:
        self.head = head
        self._index: Index = ExactIndex(self._vectors)
        if head is not None and head.plan.kind != "exact":
            self._index = WithTail(head, ExactIndex(self._vectors[head.size :]))

    @classmethod
    def open(cls, path: Path, vectors: Float32, stamp: object = None) -> Cached:
        """Open the index file at ``path``; exact where it is missing, damaged or of others."""
        try:
            return cls(path, vectors, stamp, read(path, vectors))
        except (OSError, IndexDamaged):
            return cls(path, vectors, stamp, None)

    @property
    def description(self) -> str:
        return self._index.description

    @property
    def measured(self) -> Measured | None:
        """The recall that was measured when the index was built."""
        return self.head.measured if self.head else None

    def search(self, queries: Float32, k: int, *, allowed: Mask | None = None) -> Neighbours:
        """As ``Index.search``."""
        return self._index.search(queries, k, allowed=allowed)

    def build(self, budget: int | None = None, cross: Mapping[str, Float32] | None = None) -> bool:
        """Build and save the index anew where the vectors have outgrown it; gives whether it did.

        A budget of None keeps the one that it was built with, no limit at first. Arguments as of ``fit``.
        """
        head = self.head
        if head is not None:
            budget = head.plan.budget if budget is None else budget
            tail = self.size - head.size
            grown = tail > head.size // 10 and 4 * tail * self.dim > TAIL_BYTES
            if budget == head.plan.budget and not grown:
                return False
        index = fit(self._vectors, budget, cross=cross)
        index.save(self._path)
        self._use(index)
        return True
