"""From a table of pairs to a relation."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analogon.analogies.candidates import CollectionSource, EncoderSource, Source
from analogon.query import vector
from analogon.search.library import Library
from analogon.transforms.relation import FEWEST, NOTHING, Pair, Relation
from embed.errors import MediaError, UsageError
from embed.inputs import encoder_of
from embed.tables import BadRow, texts
from embed.tables import columns as columns_of

__all__ = ["Fitted", "fit_pairs", "fit_relation", "relation"]

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A relation, and a line for each of what to say about its table: what was left out and why."""

    relation: Relation
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return self.relation.to_json() | {"notes": list(self.notes)}


def fit_relation(name: str, source: Source, table: Path, columns: Sequence[str] = ()) -> Fitted:
    """A relation of the pairs in a table, encoded by a source; ``save`` keeps it.

    The table is a CSV, TSV or JSONL file; each cell is a text, a file, or ``id:N`` of a collection. ``columns`` are the
    names of the two that hold the pairs; without them ``a`` and ``b`` where the header has both, else the first two (of
    a CSV or TSV file without a header). A pair that comes twice counts once; one that cannot be encoded is left out.
    Raises ``UsageError`` where no pair is left.
    """
    notes: list[str] = []
    named, note = _columns(table, columns)
    if note:
        notes.append(note)
    gathering = _Gathering(source, str(table), table.parent, notes)
    for number, row in enumerate(texts(table, named)):
        where = f"{table}, row {number + 1}"
        cells = () if isinstance(row, BadRow) else tuple(cell.strip() for cell in row[:2])
        if isinstance(row, BadRow) or len(cells) < 2 or not all(cells):
            notes.append(f"left out {where}: {row.reason if isinstance(row, BadRow) else 'it has no two cells'}")
        else:
            gathering.add(where, Pair(*cells))
    return gathering.fitted(name)


def fit_pairs(name: str, source: Source, pairs: Iterable[Sequence[Any]]) -> Fitted:
    """A relation of pairs as they stand in Python, as ``fit_relation`` makes one of a table.

    A pair is two texts, paths (``pathlib.Path``), or queries of ``analogon.query``; or two vectors ``(dim,)``, numpy
    arrays of the source's space, which are scaled to length 1. Raises ``UsageError`` for what is no pair, and where no
    pair is left.
    """
    if hasattr(pairs, "to_numpy"):  # a data frame of two columns
        pairs = pairs.to_numpy().tolist()
    if not isinstance(pairs, Iterable):
        raise UsageError(f"pairs are a list of two terms each, not {type(pairs).__name__}")
    gathering = _Gathering(source, "the list", None, [])
    for number, pair in enumerate(pairs):
        where = f"pair {number + 1}"
        if isinstance(pair, str) or not isinstance(pair, Sequence | np.ndarray) or len(pair) != 2:
            raise UsageError(f"{where} is {type(pair).__name__} {str(pair)[:40]!r}; a pair has two terms, a and b")
        if any(one is None or one != one for one in pair if not isinstance(one, np.ndarray)):
            raise UsageError(f"{where} is {str(pair)[:40]!r}, of which one term is missing")
        rows = [one for one in pair if isinstance(one, np.ndarray)]
        if len(rows) == 2:
            given = [vector(one, source.space).array for one in rows]
            gathering.put(where, Pair(f"a{number + 1}", f"b{number + 1}"), given[0], given[1])
        else:
            gathering.add(where, Pair(*(os.fspath(one) if isinstance(one, os.PathLike) else str(one) for one in pair)))
    return gathering.fitted(name)


def relation(name: str, pairs: Iterable[Sequence[Any]], model: Any, *, to: str | None = None) -> Relation:
    """A relation of pairs, by ``fit_pairs``, encoded by a model, as ``analogon.encode`` takes one, or in a library.

    ``to`` chooses the modality of a library's items. What is left out, and why, is warned of. ``save`` keeps the
    relation, so that ``apply(NAME, ...)`` finds it.

    >>> pairs = [("king", "queen"), ("man", "woman"), ("father", "mother")]
    >>> relation("female", pairs, "starter").pairs[1]
    Pair(a='man', b='woman')
    """
    source = CollectionSource(model, to) if isinstance(model, Library) else EncoderSource(encoder_of(model))
    fitted = fit_pairs(name, source, pairs)
    for note in fitted.notes:
        warnings.warn(note, stacklevel=2)
    return fitted.relation


class _Gathering:
    """The pairs of a relation as they come, each term encoded once; ``notes`` get a line of what is left out."""

    def __init__(self, source: Source, named: str, folder: Path | None, notes: list[str]) -> None:
        self.source, self.named, self.folder, self.notes = source, named, folder, notes
        self.pairs: dict[Pair, tuple[Rows, Rows]] = {}
        self._vectors: dict[str, Rows] = {}

    def add(self, where: str, pair: Pair) -> None:
        """Encode both sides."""
        if pair in self.pairs:
            return
        try:
            for cell in (pair.a, pair.b):
                if cell not in self._vectors:
                    term = self.source.term(cell, self.folder)
                    self._vectors[cell] = term.vector
                    self.notes += [f"{where}: {remark}" for remark in term.remarks]
        except (MediaError, UsageError) as error:
            self.notes.append(f"left out {where}, {pair}: {error}")
        else:
            self.put(where, pair, self._vectors[pair.a], self._vectors[pair.b])

    def put(self, where: str, pair: Pair, start: Rows, end: Rows) -> None:
        """A pair that is encoded."""
        if float(np.linalg.norm(end - start)) < NOTHING:
            self.notes.append(f"left out {where}, {pair}: both have the same vector")
        else:
            self.pairs[pair] = (start, end)

    def fitted(self, name: str) -> Fitted:
        """The relation. Raises ``UsageError`` where no pair is left."""
        pairs, notes = self.pairs, self.notes
        if not pairs:
            raise UsageError(f"{self.named} has no usable pair: " + (notes[-1] if notes else "it has no rows"))
        if len(pairs) < FEWEST:
            notes.append(f"{_count(len(pairs))}: OCS and PCS are not defined for fewer than {FEWEST}")
        starts, stops = (np.stack(rows).astype(np.float32) for rows in zip(*pairs.values(), strict=True))
        source = self.source
        return Fitted(Relation(name, source.space, tuple(pairs), starts, stops, source.encoder), tuple(notes))


def _columns(table: Path, named: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Which columns hold the pairs, none where the table has no header; and what should be said about that."""
    if named:
        if len(named) != 2:
            raise UsageError(f"a pair has two columns, not {len(named)}: `columns=A,B`")
        return named, None
    if table.suffix.lower() != ".jsonl":
        first = next((row for row in texts(table) if not isinstance(row, BadRow)), ())
    else:
        first = tuple(columns_of(table))
    known = {name.strip().lower(): name for name in first}
    if "a" in known and "b" in known:
        return (known["a"], known["b"]), None
    if table.suffix.lower() == ".jsonl":
        if len(first) < 2:
            raise UsageError(f"{table}: its first object has no two keys; a pair has an a and a b")
        return first[:2], None
    if len(first) < 2:
        return (), None
    return (), (
        f"{table} has no columns a and b: its first row, {first[0]} : {first[1]}, counts as a pair; "
        f"where it is a header, say `columns={first[0]},{first[1]}`"
    )


def _count(pairs: int) -> str:
    return "1 pair" if pairs == 1 else f"{pairs} pairs"
