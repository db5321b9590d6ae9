"""A bank of queries asked of all rows of a vector file: what each row scores with them, and each query's best rows.

Kept for a (space, modality) of a collection, beside its search indexes::

    indexes/SPACE-MODALITY-background.npz          each query's best rows and their scores, the sum of the rows that
                                                   count, and of which bank, file, rows and deaths all this is
    indexes/SPACE-MODALITY-N-background-BANK.f32   three float32 a row of generation N: NNN's bias, CSLS's density,
                                                   QB-Norm's denominator

What a row scores depends on the row and the bank alone, and rows of a file never change: the second file is only ever
added to, whoever adds gives the same, and it is mapped, not read. The first says how many of its rows are there.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.search import hubness
from indexes.durable import remove, replacing
from indexes.faiss import fingerprint
from indexes.vector_files import generation, stayed

__all__ = ["BankStatistics", "RowValues", "Saved", "keep_arrays", "read_arrays", "row_values"]

Rows = npt.NDArray[np.float32]
Live = npt.NDArray[np.bool_]
BLOCK_BYTES: Final = 32 << 20  # scores that one step holds
NEAR: Final = 8  # best rows that are known of a query: when the last of them has gone all rows are asked anew
UNSAVED: Final = 4096  # rows more that a reader adds to what it keeps without looking at the cache, or saving one
SAVED: Final = 1 << 20  # rows that are asked between two times that it is saved
CHECKED: Final = 16  # rows of a file that was compacted that are asked again, to know whether it is the same
BIAS, DENSITY, DENOMINATOR = range(3)


class RowValues:
    """Three values of each of n rows: those that a file has, mapped, and those that came since."""

    def __init__(self, saved: Rows, newer: Rows | None = None) -> None:
        self.saved, self.newer = saved, np.zeros((0, 3), np.float32) if newer is None else newer

    @classmethod
    def none(cls) -> RowValues:
        """Of no row."""
        return cls(np.zeros((0, 3), np.float32))

    def __len__(self) -> int:
        return len(self.saved) + len(self.newer)

    def of(self, rows: npt.NDArray[np.int64]) -> Rows:
        """Those of some rows, float32 ``(m, 3)``."""
        found = np.empty((len(rows), 3), np.float32)
        old = rows < len(self.saved)
        found[old], found[~old] = self.saved[rows[old]], self.newer[rows[~old] - len(self.saved)]
        return found

    def all(self, value: int) -> Rows:
        """One of them of all rows, float32 ``(n,)``: all are read."""
        return np.concatenate([self.saved[:, value], self.newer[:, value]])

    def followed(self, more: list[Rows]) -> RowValues:
        """The same with those of further rows."""
        return RowValues(self.saved, np.concatenate([self.newer, *more])) if more else self


@dataclass(frozen=True, slots=True, eq=False)
class BankStatistics:
    """A bank of B queries asked of n rows. Rows that do not count have values too, but are nobody's best.

    ``values`` are NNN's bias, CSLS's density and QB-Norm's denominator, a logarithm, of each row. ``near_rows`` int64
    ``(B, NEAR)`` and ``near`` float32 ``(B, NEAR)`` are each query's best rows, best first, and their cosines. Where
    the row is -1 some row that is not known comes next; its cosine is at most the one that stands there, and -inf where
    there is none. ``total`` float64 ``(dim,)`` is the sum of the rows that count, ``alive`` bool ``(n,)`` which those
    are.
    """

    values: RowValues
    near_rows: npt.NDArray[np.int64]
    near: Rows
    total: npt.NDArray[np.float64]
    alive: Live

    @property
    def best_rows(self) -> npt.NDArray[np.int64]:
        """Each query's best row, int64 ``(B,)``; -1 where no row counts."""
        return self.near_rows[:, 0]

    @property
    def best(self) -> Rows:
        """Its cosine, float32 ``(B,)``."""
        return self.near[:, 0]

    @property
    def mean(self) -> Rows:
        """The mean of the rows that count, float32 ``(dim,)``, not normalised."""
        return np.asarray(self.total / max(1, int(self.alive.sum())), np.float32)

    def fits(self, live: Live) -> bool:
        """Whether what counts is no later than ``live`` ``(n,)``: rows are added and die, none comes back to life."""
        known = len(self.alive)
        return known <= len(live) and not (live[:known] & ~self.alive).any()

    @classmethod
    def make(
        cls,
        bank: Rows,
        vectors: Rows,
        live: Live,
        old: BankStatistics | None = None,
        told: Callable[[int], None] = lambda _: None,
    ) -> BankStatistics:
        """Ask ``bank`` ``(B, dim)`` of ``vectors`` ``(n, dim)``, of which those count that are ``live`` ``(n,)``.

        ``old`` is the table of the same bank and the first of these rows at some moment before, which ``fits``: only
        what came since is asked, and for queries all of whose best rows have died, all. Memory beyond 12 bytes a new
        row stays within a few ``BLOCK_BYTES``. ``told`` of so many rows that were asked.
        """
        if old is not None and len(old.alive) == len(live) and np.array_equal(old.alive, live):
            return old
        n, known = len(vectors), len(old.values) if old else 0
        near_rows, near = _nothing_near(len(bank))
        total = np.zeros(vectors.shape[1])
        if old:
            total += old.total - _sum(vectors, np.flatnonzero(old.alive & ~live[:known]))
            near_rows, near = _without_dead(old.near_rows, old.near, live)
            spent = np.flatnonzero((near_rows[:, 0] < 0) & np.isfinite(near[:, 0]))
            if len(spent):
                near_rows[spent], near[spent] = _nearest(bank[spent], vectors[:known], live[:known])
        step = max(1, BLOCK_BYTES // (4 * len(bank)))
        more = []
        for start in range(known, n, step):
            block, counts = np.asarray(vectors[start : start + step]), live[start : start + step]
            s = (block @ bank.T).T  # this way round each item's scores lie side by side
            more.append(row_values(s))
            total += block[counts].sum(axis=0, dtype=np.float64)
            near_rows, near = _nearer(near_rows, near, s, counts, start)
            told(len(block))
        values = (old.values if old else RowValues.none()).followed(more)
        return cls(values, near_rows, near, total, np.array(live))


def row_values(s: Rows) -> Rows:
    """NNN's bias, CSLS's density and QB-Norm's denominator of each column of scores ``(B, n)``: float32 ``(n, 3)``."""
    return np.stack(
        [
            hubness.top_k_mean(s, hubness.NNN_NEAREST),
            hubness.top_k_mean(s, hubness.CSLS_NEAREST),
            hubness.log_denominator(s),
        ],
        axis=1,
    )


def _sum(vectors: Rows, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The sum of some rows, block by block, float64 ``(dim,)``."""
    total, step = np.zeros(vectors.shape[1]), max(1, BLOCK_BYTES // (4 * vectors.shape[1]))
    for start in range(0, len(rows), step):
        total += np.asarray(vectors[rows[start : start + step]]).sum(axis=0, dtype=np.float64)
    return total


def _nothing_near(queries: int) -> tuple[npt.NDArray[np.int64], Rows]:
    return np.full((queries, NEAR), -1, np.int64), np.full((queries, NEAR), -np.inf, np.float32)


def _nearest(bank: Rows, vectors: Rows, live: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], Rows]:
    """The best rows of each query, of all."""
    near_rows, near = _nothing_near(len(bank))
    step = max(1, BLOCK_BYTES // (4 * max(len(bank), vectors.shape[1])))
    for start in range(0, len(vectors), step):
        s = (np.asarray(vectors[start : start + step]) @ bank.T).T
        near_rows, near = _nearer(near_rows, near, s, live[start : start + step], start)
    return near_rows, near


def _nearer(
    near_rows: npt.NDArray[np.int64], near: Rows, s: Rows, counts: npt.NDArray[np.bool_], start: int
) -> tuple[npt.NDArray[np.int64], Rows]:
    """The best rows of each query after those from ``start`` on, of scores ``s (B, n)``, that count, came to them.

    Of equal ones the first row comes first.
    """
    better = (s > near[:, -1:]) & counts
    if np.count_nonzero(better) > 4 * near.size:  # at first all are
        least = np.partition(np.where(counts, s, -np.inf), -min(NEAR, len(counts)), axis=1)
        better &= s >= least[:, -min(NEAR, len(counts)), None]
    queries, places = np.nonzero(better)
    if not len(queries):
        return near_rows, near
    # Behind an unknown row nothing can stand: those that are as good as it are dropped, whatever comes.
    asked = np.concatenate([np.repeat(np.arange(len(near)), NEAR), queries])
    rows = np.concatenate([near_rows.ravel(), start + places])
    scores = np.concatenate([near.ravel(), s[queries, places]])
    unknown = np.where(rows < 0, np.iinfo(np.int64).max, rows)
    order = np.lexsort((unknown, -scores, asked))
    first = np.searchsorted(asked[order], np.arange(len(near)))
    kept = order[first[:, None] + np.arange(NEAR)]
    return rows[kept], scores[kept]


def _without_dead(
    near_rows: npt.NDArray[np.int64], near: Rows, live: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], Rows]:
    """The best rows of each query that still count, those that died as unknown ones behind the others."""
    dead = (near_rows < 0) | ~live[near_rows]
    order = np.argsort(dead, axis=1, kind="stable")
    least = near[:, -1:]
    dead = np.take_along_axis(dead, order, axis=1)
    rows, scores = np.take_along_axis(near_rows, order, axis=1), np.take_along_axis(near, order, axis=1)
    return np.where(dead, -1, rows), np.where(dead, least, scores)


# -- where it is kept ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """Where the table of a (space, modality) is kept: the file ``path``, and what it is of.

    ``file`` holds the vectors, ``died_since`` gives its rows that died after so many had. ``renews`` says that what an
    earlier version kept is written as it is kept now, even where nothing came since.
    """

    path: Path
    file: str
    died_since: Callable[[int], npt.NDArray[np.int64]]
    renews: bool = False

    def rows(self) -> int:
        """Of how many rows of the file something is kept."""
        saved = read_arrays(self.path, "rows", "store")
        return int(saved["rows"]) if "rows" in saved and saved["store"].item() == self.file else 0

    def brought_up(
        self,
        bank: Rows,
        vectors: Rows,
        live: Live,
        before: BankStatistics | None = None,
        told: Callable[[int], None] = lambda _: None,
    ) -> BankStatistics:
        """The table of all rows as they are: one of a moment ``before`` or the kept one, brought up, and kept."""
        if before is not None and before.fits(live) and len(live) - len(before.alive) <= UNSAVED:
            return BankStatistics.make(bank, vectors, live, before, told)
        dead = len(live) - int(np.count_nonzero(live))
        arrays = read_arrays(self.path)
        table, kept = self._kept(arrays, bank, vectors, live, dead)
        while True:
            known = len(table.alive) if table else 0
            stop = min(len(live), known + SAVED)
            made = BankStatistics.make(bank, vectors[:stop], live[:stop], table, told)
            if (made is not table or not kept) and not self._newer(arrays, bank, len(vectors), dead):
                made = self._keep(made, bank, vectors, dead)
            table, kept = made, True
            if stop == len(live):
                return table

    def _newer(self, arrays: Mapping[str, Any], bank: Rows, rows: int, dead: int) -> bool:
        """Whether what is kept is of a later moment than this, and this is not to take its place."""
        try:
            then = generation(arrays["store"].item()), int(arrays["rows"]), int(arrays["dead"])
            return bool((arrays["bank"] == _name(bank)).all()) and then > (generation(self.file), rows, dead)
        except (KeyError, ValueError, IndexError, TypeError):
            return False

    def _kept(
        self, arrays: Mapping[str, Any], bank: Rows, vectors: Rows, live: Live, dead: int
    ) -> tuple[BankStatistics | None, bool]:
        """The table that is kept, as of a moment before, and whether it is kept just so."""
        try:
            rows, then = int(arrays["rows"]), int(arrays["dead"])
            store = arrays["store"].item() if "store" in arrays else self.file
            if not (arrays["bank"] == _name(bank)).all():
                return None, False
            if store != self.file:
                return self._carried(arrays, store, bank, vectors, rows), False
            if rows > len(vectors) or arrays["vectors"].item() != fingerprint(vectors[:rows]):
                return None, False
            died = self.died_since(then)[: dead - then] if dead > then else np.zeros(0, np.int64)
            alive = np.array(live[:rows])
            alive[died[died < rows]] = True
            if len(died) != dead - then:  # nobody knows which
                if "alive" not in arrays:
                    return None, False
                alive = arrays["alive"]
            table = self._table(arrays, rows, alive)
            return (table, "values" in arrays or not self.renews) if table.fits(live) else (None, False)
        except (KeyError, ValueError, TypeError, IndexError, OSError):
            return None, False

    def _table(self, arrays: Mapping[str, Any], rows: int, alive: Live) -> BankStatistics:
        if "values" in arrays:
            path = self.path.with_name(arrays["values"].item())
            values = RowValues(np.memmap(path, np.float32, "r", shape=(rows, 3)) if rows else RowValues.none().saved)
        else:  # as an earlier version kept them
            columns = [arrays[name] for name in ("bias", "density", "denominator")]
            values = RowValues(RowValues.none().saved, np.stack(columns, axis=1).astype(np.float32))
        if "near" in arrays:
            near_rows, near, total = arrays["near_rows"], arrays["near"], arrays["total"]
        else:  # it kept the best row alone, and the mean
            near_rows = np.full((len(arrays["best"]), NEAR), -1, np.int64)
            near_rows[:, 0] = arrays["best_rows"]
            near = np.repeat(arrays["best"][:, None], NEAR, axis=1)
            total = arrays["mean"].astype(np.float64) * int(alive.sum())
        return BankStatistics(values, near_rows, near, total, alive)

    def _carried(
        self, arrays: Mapping[str, Any], store: str, bank: Rows, vectors: Rows, rows: int
    ) -> BankStatistics | None:
        """What is kept of the file that this one was compacted from, by this one's rows; None where that is unknown."""
        table = self._table(arrays, rows, np.ones(rows, np.bool_))
        for file in range(generation(store) + 1, generation(self.file) + 1):
            kept = stayed(self.path.parent, re.sub(r"\d+(?=\.f32$)", str(file), self.file))
            if kept is None or len(kept) < len(table.values):
                return None
            kept = kept[: len(table.values)]
            near_rows, near = _without_dead(table.near_rows, table.near, kept)
            number = np.cumsum(kept) - 1
            near_rows = np.where(near_rows < 0, -1, number[near_rows])
            blocks = [
                table.values.of(start + np.flatnonzero(kept[start : start + SAVED]))
                for start in range(0, len(kept), SAVED)
            ]
            values = RowValues.none().followed(blocks)
            table = BankStatistics(values, near_rows, near, table.total, np.ones(len(values), np.bool_))
        n = len(table.values)
        if n > len(vectors):
            return None
        some = np.unique(np.linspace(0, max(0, n - 1), CHECKED).astype(np.int64))[: n or 0]
        if n and not np.allclose(row_values((vectors[some] @ bank.T).T), table.values.of(some), atol=1e-4):
            return None
        total = _sum(vectors, np.arange(n))
        return BankStatistics(table.values, table.near_rows, table.near, total, table.alive)

    def _keep(self, table: BankStatistics, bank: Rows, vectors: Rows, dead: int) -> BankStatistics:
        """Write what is new; gives the table with what was written mapped, or as it was where there is no place."""
        rows = len(table.values)
        path = self.path.with_name(f"{Path(self.file).stem}-background-{_name(bank)[0]:016x}.f32")
        stamp = {
            "bank": _name(bank),
            "store": np.array(self.file),
            "rows": np.int64(rows),
            "dead": np.int64(dead),
            "vectors": np.array(fingerprint(vectors[:rows])),
            "values": np.array(path.name),
        }
        saved = table.values.saved
        there = isinstance(saved, np.memmap) and saved.filename is not None and Path(saved.filename) == path
        try:
            with path.open("r+b" if path.exists() else "w+b") as file:
                file.seek(saved.nbytes if there else 0)
                if not there:
                    file.write(np.ascontiguousarray(saved, "<f4").tobytes())
                file.write(np.ascontiguousarray(table.values.newer, "<f4").tobytes())
                file.flush()
                os.fsync(file.fileno())
            mapped = np.memmap(path, np.float32, "r", shape=(rows, 3)) if rows else saved
        except OSError:
            return table
        keep_arrays(self.path, {**stamp, "near_rows": table.near_rows, "near": table.near, "total": table.total})
        return BankStatistics(RowValues(mapped), table.near_rows, table.near, table.total, table.alive)

    def tidy(self) -> None:
        """Remove what is kept of files and banks that are no more, and what was needed to carry it over."""
        values = read_arrays(self.path, "values", "store")
        if not values or values["store"].item() != self.file:
            return
        space_modality = self.file.rpartition("-")[0]
        for path in self.path.parent.glob(f"{space_modality}-*"):
            old = re.fullmatch(rf"{re.escape(space_modality)}-\d+-background-.*\.f32", path.name)
            if old and path.name != values["values"].item():
                remove(path)
            if re.fullmatch(rf"{re.escape(space_modality)}-\d+\.stayed", path.name):
                remove(path)


def _name(bank: Rows) -> npt.NDArray[np.uint64]:
    """A number that stands for a bank, uint64 ``(1,)``."""
    return np.frombuffer(hashlib.blake2b(bank.tobytes(), digest_size=8).digest(), np.uint64)


def read_arrays(path: Path, *names: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a cache, all or some; none where it is not there or cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names or arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def keep_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Keep a cache where there is a place for it: it can be made again.

    It takes no lock, which would turn away a run that begins just then: every cache says what it was made of, and takes
    its place whole.
    """
    with suppress(OSError), replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
