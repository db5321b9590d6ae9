"""The index of a growing collection, kept in a file that can be lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from indexes.faiss.build import fit
from indexes.faiss.file import IndexDamaged
from indexes.faiss.index import FaissIndex, read
from indexes.faiss.library import Float32, Mask
from indexes.faiss.measure import Measured
from indexes.index import ExactIndex, Index, Neighbours, WithTail

__all__ = ["Cached"]

TAIL_BYTES: Final = 16 << 20  # newer vectors that an index may leave to a scan before it is built again


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
