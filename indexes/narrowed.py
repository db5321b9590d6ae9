"""The nearest rows among those that pass tests: of the nearest of all while most pass, of a mask of all rows else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from indexes.index import Neighbours, cosines

__all__ = ["Far", "Narrowed", "RowTest"]

SOME: Final = 1024  # rows up to which a search looks among the nearest
LOOKED_AT: Final = 2048  # of the nearest, at most
AT_ONCE: Final = 16 << 20  # bytes of vectors that are compared at a time, and of a file that is compared whole

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


class Index(Protocol):
    """What of an index is asked here."""

    @property
    def size(self) -> int:
        """How many rows it covers."""

    def search(self, queries: npt.NDArray[np.float32], k: int, *, allowed: Mask | None = None) -> Neighbours:
        """As ``indexes.index.Index.search``."""


class RowTest(Protocol):
    """A test that each row of a vector file passes or not."""

    @property
    def at_hand(self) -> bool:
        """Whether ``all`` costs little beside a search."""

    def among(self, rows: Rows) -> Mask:
        """Which of some rows ``(n,)`` pass, bool ``(n,)``."""

    def all(self) -> Mask:
        """Which of all rows pass, not to be written."""


class Far:
    """Passed by the rows whose cosine with a unit vector ``centre`` is below ``least``.

    ``looked_at`` are how many rows were compared for the answer, those that are dead left out, ``dropped`` how many of
    them did not pass; ``whole`` says that these were all.
    """

    def __init__(self, vectors: npt.NDArray[np.float32], live: Mask, centre: npt.NDArray[np.float32], least: float):
        self._vectors, self._live, self._centre, self._least = vectors, live, centre, least
        self._all: Mask | None = None
        self.looked_at = self.dropped = 0
        self.whole = False

    @property
    def at_hand(self) -> bool:
        return self._all is not None or self._vectors.nbytes <= AT_ONCE

    def among(self, rows: Rows) -> Mask:
        passes = self._far(rows)
        self.looked_at, self.dropped = len(rows), int(np.count_nonzero(~passes))
        return passes

    def all(self) -> Mask:
        if self._all is None:
            step = max(1, AT_ONCE // (4 * max(1, self._vectors.shape[1])))
            blocks = [self._far(slice(start, start + step)) for start in range(0, len(self._vectors), step)]
            self._all = np.concatenate([np.zeros(0, np.bool_), *blocks])
            self.looked_at = int(np.count_nonzero(self._live))
            self.dropped = int(np.count_nonzero(self._live & ~self._all))
            self.whole = True
        return self._all

    def _far(self, rows: Rows | slice) -> Mask:
        return cosines(self._centre, self._vectors[rows]) < self._least


class Narrowed:
    """An index of which only rows that live and pass all tests are wanted; ``live`` is None where all do."""

    def __init__(self, index: Index, live: Mask | None, tests: Sequence[RowTest]) -> None:
        self._index, self._mask, self._tests = index, live, list(tests)

    def search(self, query: npt.NDArray[np.float32], k: int) -> tuple[Rows, npt.NDArray[np.float32]]:
        """The ``k`` rows of highest cosine with a unit query ``(dim,)``, fewer where there are not so many, best first.

        Gives their cosines too.
        """
        for test in [test for test in self._tests if test.at_hand]:
            self._take(test)
        if not self._tests or k > SOME:
            return self._among_all(query, k)
        depth = 2 * k + 32
        while depth <= LOOKED_AT and depth < self._index.size:
            rows, scores = self._nearest(query, depth)
            passes = np.ones(len(rows), np.bool_)
            for test in self._tests:
                passes &= test.among(rows)
            count = int(np.count_nonzero(passes))
            if count >= k or len(rows) < depth:
                return rows[passes][:k], scores[passes][:k]
            # So deep it is where the tests have nothing to do with the query.
            depth = max(2 * depth, int(1.5 * depth * k / max(1, count)))
        return self._among_all(query, k)

    def _among_all(self, query: npt.NDArray[np.float32], k: int) -> tuple[Rows, npt.NDArray[np.float32]]:
        for test in list(self._tests):
            self._take(test)
        return self._nearest(query, k)

    def _take(self, test: RowTest) -> None:
        self._mask = test.all() if self._mask is None else self._mask & test.all()
        self._tests.remove(test)

    def _nearest(self, query: npt.NDArray[np.float32], k: int) -> tuple[Rows, npt.NDArray[np.float32]]:
        found = self._index.search(query[None, :], k, allowed=self._mask)
        count = int(np.count_nonzero(found.rows[0] >= 0))
        return found.rows[0, :count], found.scores[0, :count]
