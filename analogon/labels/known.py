"""The labels that people gave: those that a table, or the items' own metadata, has for some items."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embed.errors import UsageError
from indexes.records import Item
from indexes.run import SideTable

__all__ = ["KnownLabels", "Value", "known_labels"]

Value = str | int | float


@dataclass(frozen=True, slots=True)
class KnownLabels:
    """What people said of contents, by position among them.

    ``torn`` are those whose files say several things, and ``notes`` tell what could not be used.
    """

    labels: Mapping[int, Value]
    groups: Mapping[int, Value]
    torn: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def known_labels(
    items: Sequence[Item],
    column: str,
    *,
    table: str | os.PathLike[str] | None = None,
    key: str = "file",
    group: str | None = None,
) -> KnownLabels:
    """The labels (and groups) that a column of a table, or of the items' own metadata, gives to some items.

    A table's ``key`` names files by path, by the end of a path, by name, or by name without suffix. What models said is
    never taken for a person's label. Raises ``UsageError`` where there is no such column, or nothing fits.
    """
    columns = [column, *([group] if group else [])]
    side = matches = None
    notes: list[str] = []
    if table is not None:
        side = SideTable.read(os.fspath(table), key)
        rows = side.rows
        matches = side.match(*_numbered(items))
        notes += [f"{side.path}: {text}" for text in (*side.notes, *matches.lines())]
        have = {name for row in rows.values() for name in row}
        if missing := [name for name in columns if name not in have]:
            named = ", ".join(sorted(have)) or "none"
            raise UsageError(f"{os.fspath(table)}: no column {missing[0]!r} beside {key!r}; it has: {named}")
    labels: dict[int, Value] = {}
    groups: dict[int, Value] = {}
    torn: dict[int, str] = {}
    for position, item in enumerate(items):
        found = []
        for source in item.sources:
            fields: Mapping[str, Any] = source.metadata
            if side is not None and matches is not None:
                fields = side.rows.get(matches.rows.get(source.path, ""), {})
            found.append(fields)
        said = list(dict.fromkeys(fields[column] for fields in found if column in fields))
        if len(said) > 1:
            torn[position] = f"{item.sources[0].path} ({' and '.join(map(str, said))})"
        elif said:
            labels[position] = said[0]
            if group and (of := [fields[group] for fields in found if group in fields]):
                groups[position] = of[0]
    if side is not None and matches is not None and len(matches.unused) == len(side.rows):
        first = next(iter(side.rows), "none")
        raise UsageError(f"{side.path}: no {key!r} names a file here; its first is {first!r}")
    if not labels:
        raise UsageError(f"no file here has a {column!r}: name a table that has it with `table`")
    if torn:
        first = next(iter(torn.values()))
        notes.append(f"equal files with different labels take no part, {len(torn)} in all: {first}")
    return KnownLabels(labels, groups, frozenset(torn), tuple(notes))


def _numbered(items: Sequence[Item]) -> tuple[list[str], dict[str, int]]:
    """The paths of some items, and which item each is of."""
    of = {source.path: position for position, item in enumerate(items) for source in item.sources}
    return list(of), of
