"""How well an index finds: recall against the exact scan, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from indexes.faiss.library import Float32
from indexes.index import Index, Neighbours

__all__ = ["NEIGHBOURS", "Measured", "Probe", "recall", "recall_of"]

NEIGHBOURS: Final = 10  # the k of every measured recall


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
    return recall_of(index.search(queries, k), exact.search(queries, k))


def recall_of(found: Neighbours, truth: Neighbours) -> float:
    """``recall`` of answers that are there already."""
    there = truth.rows >= 0
    if not there.any():
        return 1.0
    last = np.where(there, truth.scores, np.inf).min(axis=1, keepdims=True)
    return float(((found.rows >= 0) & (found.scores >= last - 1e-6)).sum() / there.sum())
