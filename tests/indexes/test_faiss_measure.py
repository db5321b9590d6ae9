"""Recall, against indexes that are known to forget or to prefer."""

from __future__ import annotations

import numpy as np

from indexes.faiss.measure import Measured, Probe, recall
from indexes.index import ExactIndex, Neighbours, WithTail
from tests.indexes.engines import Array, Mask


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


def test_measure_in_words() -> None:
    one = Measured((Probe("own", 200, 0.9912),), 10, {})
    assert str(one) == "recall@10 0.991 against exact over 200 of its own vectors"
    assert one.recall_cross is None and Measured((), 10, {}).worst == 1.0
