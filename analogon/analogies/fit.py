"""From a table of pairs to a relation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analogon.analogies.candidates import Source
from analogon.transforms.relation import FEWEST, NOTHING, Pair, Relation
from embed.errors import MediaError, UsageError
from embed.tables import BadRow, texts
from embed.tables import columns as columns_of

__all__ = ["Fitted", "fit_relation"]

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
    pairs: dict[Pair, tuple[Rows, Rows]] = {}
    vectors: dict[str, Rows] = {}
    named, note = _columns(table, columns)
    if note:
        notes.append(note)
    for number, row in enumerate(texts(table, named)):
        where = f"{table}, row {number + 1}"
        cells = () if isinstance(row, BadRow) else tuple(cell.strip() for cell in row[:2])
        if isinstance(row, BadRow) or len(cells) < 2 or not all(cells):
            notes.append(f"left out {where}: {row.reason if isinstance(row, BadRow) else 'it has no two cells'}")
            continue
        pair = Pair(*cells)
        if pair in pairs:
            continue
        try:
            for cell in cells:
                if cell not in vectors:
                    term = source.term(cell, table.parent)
                    vectors[cell] = term.vector
                    notes += [f"{where}: {remark}" for remark in term.remarks]
        except (MediaError, UsageError) as error:
            notes.append(f"left out {where}, {pair}: {error}")
            continue
        start, end = vectors[pair.a], vectors[pair.b]
        if float(np.linalg.norm(end - start)) < NOTHING:
            notes.append(f"left out {where}, {pair}: both have the same vector")
        else:
            pairs[pair] = (start, end)
    if not pairs:
        raise UsageError(f"{table} has no usable pair: " + (notes[-1] if notes else "it has no rows"))
    if len(pairs) < FEWEST:
        notes.append(f"{_count(len(pairs))}: OCS and PCS are not defined for fewer than {FEWEST}")
    starts, stops = (np.stack(rows).astype(np.float32) for rows in zip(*pairs.values(), strict=True))
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
