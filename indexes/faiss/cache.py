"""The index of a growing collection, kept in a file that can be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from embed.errors import CollectionError
from embed.listener import Listener
from indexes.durable import in_use
from indexes.faiss.build import extend, fit
from indexes.faiss.file import IndexDamaged
from indexes.faiss.index import FaissIndex, read
from indexes.faiss.library import Float32, Mask
from indexes.faiss.measure import Measured
from indexes.faiss.plan import choose
from indexes.index import ExactIndex, Index, Neighbours, WithTail

__all__ = ["Cached", "saved_at"]

# Newer vectors that an index leaves to a scan: until they are so large a share of it, or take 2 ms, at 20 for 128 MiB.
TAIL_SHARE: Final = 0.05
TAIL_BYTES: Final = 12 << 20
Stamp = tuple[str, int]
Saved = tuple[int, int, int] | None
Cross = Mapping[str, Float32] | Callable[[], Mapping[str, Float32]]


def saved_at(path: Path) -> Saved:
    """Which file there is at a path now; None for none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


class Cached:
    """The index of a growing array of vectors: what a file covers, and an exact scan of the rows since then.

    ``stamp`` is the caller's, to know for which state of its vectors this was opened: their file and how many.
    ``saved`` is which index file was looked at.
    """

    def __init__(self, path: Path, vectors: Float32, stamp: Stamp, head: FaissIndex | None, saved: Saved) -> None:
        self._path, self._vectors, self.stamp, self.saved = path, vectors, stamp, saved
        self.size, self.dim = vectors.shape
        self._use(head)

    def _use(self, head: FaissIndex | None) -> None:
        self.head = head
        self._index: Index = ExactIndex(self._vectors)
        if head is not None and head.plan.kind != "exact":
            self._index = WithTail(head, ExactIndex(self._vectors[head.size :]))

    @classmethod
    def open(cls, path: Path, vectors: Float32, stamp: Stamp = ("", 0), before: Cached | None = None) -> Cached:
        """Open the index file at ``path``; exact where it is missing, damaged or of others.

        ``before`` is what was opened last: of the same file of vectors its index is of use still.
        """
        saved = saved_at(path)
        head = before.head if before is not None and before.stamp[0] == stamp[0] != "" else None
        if head is not None and head.size > len(vectors):
            head = None
        if head is None or before is None or before.saved != saved:
            with suppress(OSError, IndexDamaged):
                head = read(path, vectors)
        return cls(path, vectors, stamp, head, saved)

    @property
    def description(self) -> str:
        return self._index.description

    @property
    def exact(self) -> bool:
        """Whether all vectors are scanned: then many neighbours cost as little as few."""
        return self.head is None or self.head.plan.kind == "exact"

    @property
    def measured(self) -> Measured | None:
        """The recall that was measured when the index was built."""
        return self.head.measured if self.head else None

    def search(self, queries: Float32, k: int, *, allowed: Mask | None = None) -> Neighbours:
        """As ``Index.search``."""
        return self._index.search(queries, k, allowed=allowed)

    def build(
        self,
        budget: int | None = None,
        cross: Cross | None = None,
        listener: Listener | None = None,
        *,
        quick: bool = False,
    ) -> bool:
        """Add newer vectors to the index and save it where they have become many; gives whether it did.

        It is built anew where there is none, for another budget, and where it has grown too far from what it was.

        A budget of None keeps the one that it was built with, no limit at first. ``cross`` are queries of other
        modalities as of ``fit``, or what gives them: it is called where there is an approximate index to measure.
        ``quick`` is as of ``choose``.
        """
        head = self.head
        if head is not None:
            budget = head.plan.budget if budget is None else budget
            tail = self.size - head.size
            grown = tail > TAIL_SHARE * head.size or 4 * tail * self.dim > TAIL_BYTES
            if budget == head.plan.budget and not grown:
                return False
        if callable(cross):
            cross = cross() if choose(self.size, self.dim, budget, quick=quick).kind != "exact" else None
        index = self._extended(cross, quick, listener) if head is not None and budget == head.plan.budget else None
        if index is None:
            index = fit(self._vectors, budget, cross=cross, quick=quick, listener=listener)
        try:
            index.save(self._path)
        except CollectionError as error:
            # On Windows somebody may have it open. It is a cache: the next run writes it.
            if not isinstance(error.__cause__, OSError) or not in_use(error.__cause__):
                raise
        else:
            with suppress(OSError, IndexDamaged):  # what was built is let go: what is mapped takes no memory
                index = read(self._path, self._vectors)
        self._use(index)
        self.saved = saved_at(self._path)
        return True

    def _extended(
        self, cross: Mapping[str, Float32] | None, quick: bool, listener: Listener | None
    ) -> FaissIndex | None:
        """The index with the newer vectors added; None where it has to be built anew."""
        with suppress(OSError, IndexDamaged):
            head = read(self._path, self._vectors, mapped=False)
            return extend(head, self._vectors, cross=cross, quick=quick, listener=listener)
        return None
