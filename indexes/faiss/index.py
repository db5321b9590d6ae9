"""A FAISS index over vectors that stay where they are: searched, saved and read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from embed.listener import Listener
from indexes.faiss.file import IndexDamaged, fingerprint, reading, save
from indexes.faiss.library import Float32, Mask, library
from indexes.faiss.measure import NEIGHBOURS, Measured, Probe
from indexes.faiss.plan import Plan
from indexes.index import ExactIndex, Neighbours, checked, cosines

__all__ = ["FaissIndex", "read"]


class FaissIndex:
    """A FAISS index over float32 unit rows ``(n, dim)``, which stay where they are, usually memory-mapped.

    ``settings`` are the parameters of a search: "efSearch" of HNSW; "nprobe" and "rerank" (candidates for each
    neighbour asked for) of IVF. ``measured`` is what ``tune`` found for them. ``fitted`` is how many rows it was built
    of, before others were added; None means all.
    """

    def __init__(
        self,
        vectors: Float32,
        plan: Plan,
        index: Any,
        settings: Mapping[str, int],
        measured: Measured | None = None,
        fitted: int | None = None,
    ) -> None:
        self.plan, self.settings, self.measured = plan, MappingProxyType(dict(settings)), measured
        self._vectors, self._index, self._exact = vectors, index, ExactIndex(vectors)
        self.size, self.dim = vectors.shape
        self.fitted = self.size if fitted is None else fitted

    @property
    def description(self) -> str:
        if self._index is None:
            return f"{self._exact.description} ({self.plan.why})"
        shown = {"M": "M", "lists": "lists", "code": "code bytes"}
        fixed = [f"{shown[name]}={value}" for name, value in self.plan.parameters.items() if name in shown]
        tuned = [f"{name}={value}" for name, value in self.settings.items()]
        how_well = f": {self.measured}" if self.measured else ""
        why = f" ({self.plan.why})" if self.plan.compelled else ""
        return " ".join([self.plan.kind.upper(), *fixed, *tuned]) + why + how_well

    def with_settings(self, settings: Mapping[str, int], measured: Measured | None = None) -> FaissIndex:
        """The same index, searched with other parameters."""
        return FaissIndex(self._vectors, self.plan, self._index, settings, measured, self.fitted)

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
        effort, work = self._effort(depth)
        if self._index is None or work >= there or k == 0:
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
        """efSearch or nprobe with which the ``depth`` nearest rows are found, and how many rows' work that is.

        The settings were tuned for ten neighbours; deeper answers take as many times the effort of HNSW. IVF takes the
        cube root of that (of 2 million clustered vectors, 150 neighbours wanted 2.5 times the lists for the recall of
        ten, and 1000 not quite 4), but as many times where they would fill an eighth of the lists that are visited.
        """
        rows, more = depth * self.settings.get("rerank", 1), max(1.0, depth / NEIGHBOURS)
        if self.plan.kind == "hnsw":
            effort = math.ceil(max(self.settings["efSearch"] * more, 2 * rows))
            return effort, effort * 2.0 * self.plan.parameters["M"]
        lists, probes = self.plan.parameters.get("lists", 1), self.settings.get("nprobe", 1)
        filled = rows * lists / max(1, self.size)
        effort = math.ceil(max(probes * more ** (1 / 3), 2 * filled, min(probes * more, 8 * filled)))
        # A code of a byte a component is read in a quarter of the time.
        return min(effort, lists), self.size * effort / lists / (4 if self.plan.kind == "ivf-sq8" else 1)

    def _propose(self, queries: Float32, count: int, effort: int) -> npt.NDArray[np.int64]:
        faiss = library()
        if self.plan.kind == "hnsw":
            parameters = faiss.SearchParametersHNSW(efSearch=effort)
        else:
            parameters = faiss.SearchParametersIVF(nprobe=effort)
        rows: npt.NDArray[np.int64] = self._index.search(queries, count, params=parameters)[1]
        return rows

    def add(self, vectors: Float32, plan: Plan, block: int, listener: Listener | None = None) -> FaissIndex:
        """The same index with those of ``vectors`` behind its own added, by ``plan``; this one is used up."""
        for start in range(self.size, len(vectors), block):
            self._index.add(np.ascontiguousarray(vectors[start : start + block]))
            if listener is not None:
                listener.advance(min(block, len(vectors) - start))
                listener.check()
        return FaissIndex(vectors, plan, self._index, self.settings, None, self.fitted)

    def save(self, path: Path) -> None:
        """Write to a file, by way of a temporary one. Raises ``CollectionError`` where that cannot be written."""
        header = {
            "plan": asdict(replace(self.plan, parameters=dict(self.plan.parameters))),
            "settings": dict(self.settings),
            "measured": self.measured and asdict(replace(self.measured, parameters=dict(self.measured.parameters))),
            "size": self.size,
            "fitted": self.fitted,
            "dim": self.dim,
            "vectors": fingerprint(self._vectors),
        }
        save(path, self._index, header)


def read(path: Path, vectors: Float32, *, mapped: bool = True) -> FaissIndex:
    """Read what ``save`` wrote for the first rows of ``vectors``: it may cover fewer than there are by now.

    ``mapped`` leaves it on disk where the system can; ``add`` wants it in memory.
    Raises ``IndexDamaged`` where the file is damaged, cut short, or was made of other vectors; ``FileNotFoundError``
    where there is none.
    """
    with reading(path, mapped=mapped) as (header, body):
        size, dim = header["size"], header["dim"]
        if dim != vectors.shape[1] or size > len(vectors):
            have = f"{len(vectors)} x {vectors.shape[1]}"
            raise IndexDamaged(f"{path}: an index of {size} x {dim} vectors; there are {have}")
        vectors = vectors[:size]
        if header["vectors"] != fingerprint(vectors):
            raise IndexDamaged(f"{path}: an index of other vectors than those that are there; build it again")
        plan, measured = Plan(**header["plan"]), header["measured"]
        if measured:
            probes = tuple(Probe(**probe) for probe in measured.pop("probes"))
            measured = Measured(probes=probes, **measured)
        index = body() if plan.kind != "exact" else None
        return FaissIndex(vectors, plan, index, header["settings"], measured, header.get("fitted"))
