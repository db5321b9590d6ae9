"""What an index is, and the exact one: the oracle of every test and the engine of small collections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["ExactIndex", "Index", "Neighbours", "WithTail", "checked", "cosines", "merge"]

BLOCK_BYTES: Final = 16 << 20  # vectors, and rough scores, that one step of an exact scan looks at
ROUGH: Final = 1e-5  # float32 products of unit rows are nearer than this to their cosines


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The nearest rows of each query, best first; equal scores stand in the order of their rows.

    ``rows`` is int64 ``(q, k)``, -1 where there are fewer than k. ``scores`` is float32 ``(q, k)``: cosines,
    descending, -inf where the row is -1.
    """

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls, queries: int, k: int) -> Neighbours:
        """Nothing found for any of the queries."""
        return cls(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))


class Index(Protocol):
    """Unit vectors that can be searched: row i is the i-th vector that it was made of."""

    @property
    def size(self) -> int:
        """How many rows it covers."""

    @property
    def dim(self) -> int:
        """How many components a vector has."""

    @property
    def description(self) -> str:
        """What it is and how well it finds, in one line for people."""

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> Neighbours:
        """The ``k`` rows of highest cosine with each unit row of ``queries`` ``(q, dim)``.

        ``allowed`` is a mask ``(size,)``: rows that are False are not found. Raises ``ValueError``, with both
        numbers, where a shape does not fit.
        """


class ExactIndex:
    """Compares with every row of a float32 array ``(n, dim)``, which may be memory-mapped. Nothing is copied."""

    def __init__(self, vectors: npt.NDArray[np.float32], *, block_bytes: int = BLOCK_BYTES) -> None:
        self._vectors = vectors
        self.size, self.dim = vectors.shape
        self._block = max(1, block_bytes // (4 * max(1, self.dim)))
        self._queries = max(1, block_bytes // (4 * self._block))

    @property
    def description(self) -> str:
        return f"exact scan of {self.size:,} vectors"

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> Neighbours:
        """As ``Index.search``; memory stays within a few ``block_bytes``."""
        queries, allowed = checked(self, queries, k, allowed)
        rows = np.arange(self.size) if allowed is None else np.flatnonzero(allowed)
        found = [Neighbours.none(0, k)]
        for first in range(0, len(queries), self._queries):
            some = queries[first : first + self._queries]
            best = Neighbours.none(len(some), k)
            for start in range(0, len(rows) if k else 0, self._block):
                best = merge(best, self._nearest(some, rows[start : start + self._block], k, best.scores[:, -1]), k)
            found.append(best)
        return Neighbours(np.concatenate([f.rows for f in found]), np.concatenate([f.scores for f in found]))

    def _nearest(
        self, queries: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], k: int, known: npt.NDArray[np.float32]
    ) -> Neighbours:
        """The nearest of some rows; those that are worse than the ``known`` score of each query may be left out."""
        start, stop = int(rows[0]), int(rows[-1]) + 1
        block = self._vectors[start:stop] if stop - start == len(rows) else self._vectors[rows]
        # A matrix product rounds a row by where it stands in its block, so that copies of one vector would come in
        # any order: it chooses the candidates only, and ``cosines`` gives each the same score wherever it stands.
        rough = queries @ block.T
        best = Neighbours.none(len(queries), k)
        for i, query in enumerate(queries):
            near = np.flatnonzero(rough[i] >= known[i] - ROUGH)
            if len(near) > k:
                some = rough[i][near]
                near = near[some >= np.partition(some, -k)[-k] - ROUGH]
            scores = cosines(query, block[near])
            order = np.lexsort((near, -scores))[:k]
            best.rows[i, : len(order)] = rows[near[order]]
            best.scores[i, : len(order)] = scores[order]
        return best


class WithTail:
    """An index over the first rows of a growing collection, and another, small and exact, over those after them."""

    def __init__(self, head: Index, tail: Index) -> None:
        if head.dim != tail.dim:
            raise ValueError(f"the indexed vectors have {head.dim} components, the newer ones {tail.dim}")
        self._head, self._tail = head, tail
        self.size, self.dim = head.size + tail.size, head.dim

    @property
    def description(self) -> str:
        return self._head.description + (f", and {self._tail.size:,} newer rows exactly" if self._tail.size else "")

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> Neighbours:
        """As ``Index.search``; rows of the tail follow those of the head."""
        queries, allowed = checked(self, queries, k, allowed)
        first = self._head.size
        head = self._head.search(queries, k, allowed=None if allowed is None else allowed[:first])
        tail = self._tail.search(queries, k, allowed=None if allowed is None else allowed[first:])
        return merge(head, Neighbours(np.where(tail.rows < 0, -1, tail.rows + first), tail.scores), k)


def merge(a: Neighbours, b: Neighbours, k: int) -> Neighbours:
    """The best ``k`` of both for each query; rows that both hold come twice, so their rows should be disjoint."""
    rows, scores = np.concatenate([a.rows, b.rows], axis=1), np.concatenate([a.scores, b.scores], axis=1)
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    best = Neighbours.none(len(rows), k)
    best.rows[:, : order.shape[1]] = np.take_along_axis(rows, order, axis=1)
    best.scores[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    return best


def cosines(query: npt.NDArray[np.float32], rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cosines of one unit vector with unit rows, summed in float64: equal rows get equal scores, wherever they stand.

    >>> cosines(np.float32([0.6, 0.8]), np.float32([[1, 0], [0.6, 0.8]])).tolist()
    [0.6000000238418579, 1.0]
    """
    total: npt.NDArray[np.float64] = (rows.astype(np.float64) * query).sum(axis=1)
    return total.astype(np.float32)


def checked(
    index: Index, queries: npt.NDArray[np.float32], k: int, allowed: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
    """The arguments of ``search`` as contiguous arrays. Raises ``ValueError`` where one does not fit the index."""
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != index.dim:
        raise ValueError(f"queries have the shape {queries.shape}; this index wants (q, {index.dim})")
    if not np.isfinite(queries).all():
        raise ValueError("a query holds a value that is not finite: it has no cosine with anything")
    if k < 0:
        raise ValueError(f"k is {k}; it must be 0 or more")
    if allowed is not None:
        allowed = np.ascontiguousarray(allowed)
        if allowed.dtype != np.bool_ or allowed.shape != (index.size,):
            raise ValueError(f"allowed is {allowed.dtype} {allowed.shape}; this index wants bool ({index.size},)")
    return queries, allowed
