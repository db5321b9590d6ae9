"""What filters ask of sources, field by field, in a file that is mapped into memory: a cache beside the catalog.

::

    indexes/columns-TOKEN.values    for each source its content, and its value in each field that filters know; for
                                    each row of a vector file its content

Sources stand in groups of ``GROUP`` ids. A field's values in a group are places in a dictionary of all values that the
field has, or, where many different numbers would make that long, the numbers themselves, with NaN for a missing one. A
field with very many different texts is left out, and what parts of one content may differ in.

The catalog names the file, and notes which sources it has otherwise by now (``altered``); what came later has higher
ids. Those are asked in SQL, and all where there is no file, or none of the field. So the answer is always the catalog's
as of one moment. A file is never written again: another one takes its place once so much has changed that asking for it
would be felt.

In a test false is 0, neither true nor false is 1, true is 2: "and" is the least, "or" the greatest (Kleene, "On
notation for ordinal numbers", 1938).
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from embed.errors import CollectionDamaged, FilterError
from embed.media import Modality
from indexes import where as filters
from indexes.catalog import Catalog
from indexes.durable import remove, replacing
from indexes.fields import COLUMNS, of_source
from indexes.records import Store

__all__ = ["Columns", "forget_others", "opened", "write_columns"]

GROUP: Final = 65536  # ids of sources, or rows of a vector file, that stand together
LATE: Final = 2048  # sources and rows that are asked in SQL before another file is written
FIELDS: Final = 64  # that have columns
FEW: Final = 256  # different numbers that a group may add to a dictionary
MOST: Final = 32_000  # values of a dictionary
TEXTS: Final = 4 << 20  # characters of one
EXACT: Final = 2**53  # up to which float64 holds every whole number
TRAILER: Final = struct.Struct("<Q8s")  # bytes of JSON, MAGIC
MAGIC: Final = b"ANALOGV1"
FALSE, NEITHER, TRUE = 0, 1, 2

Truths = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


# -- reading -----------------------------------------------------------------------------------------------------------


class Columns:
    """An open file of columns. Raises ``OSError`` where it is not there, ``CollectionDamaged`` where it is no such."""

    def __init__(self, path: Path) -> None:
        self.file = path.name
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            if length < TRAILER.size:
                raise CollectionDamaged(f"{path}: cut short after {length} bytes")
            file.seek(-TRAILER.size, os.SEEK_END)
            text, magic = TRAILER.unpack(file.read())
            if magic != MAGIC or text + TRAILER.size > length:
                raise CollectionDamaged(f"{path}: damaged or cut short ({length} bytes)")
            file.seek(-TRAILER.size - text, os.SEEK_END)
            self._header: dict[str, Any] = json.loads(file.read(text))
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.last = int(self._header["last"])
        self.out = frozenset(self._header["out"])
        self.names: Sequence[str] = list(self._header["fields"])

    def array(self, place: Sequence[Any]) -> npt.NDArray[Any]:
        """An array of the file: ``place`` is its type, where it begins, and how many values it has."""
        kind, start, count = place
        return np.frombuffer(self._bytes, kind, count, start)

    def groups(self) -> int:
        """How many groups of sources there are."""
        return len(self._header["contents"])

    def contents_of(self, group: int) -> npt.NDArray[np.integer[Any]]:
        """The content of each source of a group; -1 where there is no such source."""
        return self.array(self._header["contents"][group])

    def values(self, name: str, group: int) -> npt.NDArray[Any]:
        """A field's values in a group: numbers as float64, or else places in its dictionary."""
        return self.array(self._header["fields"][name]["groups"][group])

    def dictionary(self, name: str) -> list[Any]:
        """The values that places stand for; the first one is None."""
        found: list[Any] = json.loads(self.array(self._header["fields"][name]["dictionary"]).tobytes())
        return found

    def rows(self, file: str) -> list[npt.NDArray[np.integer[Any]]]:
        """The contents of a vector file's first rows, group by group; -1 of those that were dead."""
        return [self.array(place) for place in self._header["rows"].get(file, ())]

    def matching(
        self,
        catalog: Catalog,
        store: Store,
        expression: filters.Expression,
        condition: filters.Condition,
    ) -> Mask:
        """Which rows of a vector file a filter leaves, bool ``(rows,)``; of dead ones it says nothing.

        ``condition`` is the filter as SQL, for what the catalog has otherwise or besides.
        """
        fits = self.contents(expression, store.modality, catalog.altered_sources())
        found = np.zeros(store.rows, np.bool_)
        done = 0
        for contents in self.rows(store.file):
            some = contents[: store.rows - done]
            found[done : done + len(some)] = fits[some]
            done += len(some)
        if done < store.rows:
            newer = catalog.contents_of_rows(store.space, store.modality, done, store.rows)
            newer[newer >= len(fits)] = -1
            found[done:] = fits[newer]
        found[catalog.matching_since(store.space, store.modality, condition.sql, condition.parameters, self.last)] = (
            True
        )
        return found

    def knows(self, expression: filters.Expression) -> bool:
        """Whether all that a filter asks for is here."""
        return filters.fields(expression) <= set(self.names) and all(map(_exact, _constants(expression)))

    def contents(self, expression: filters.Expression, modality: Modality, without: npt.NDArray[np.int64]) -> Mask:
        """The contents that have a source here that fulfils a filter, bool ``(n,)`` by id; the last stands for -1.

        ``without`` are ids of sources, in order, that are left out. Costs a few passes over the fields asked for.
        """
        found = np.zeros(int(self._header["contents_end"]) + 1, np.bool_)
        asked = _Asked(self, modality)
        for group in range(self.groups()):
            contents = self.contents_of(group)
            fits = asked.truths(expression, group) == TRUE
            first = group * GROUP
            fits[without[slice(*np.searchsorted(without, [first, first + len(fits)]))] - first] = False
            found[contents[fits]] = True
        found[-1] = False
        return found


class _Asked:
    """A filter's tests on the values of columns."""

    def __init__(self, columns: Columns, modality: Modality) -> None:
        self._columns, self._modality = columns, modality
        self._tables: dict[filters.Expression, Truths] = {}
        self._dictionaries: dict[str, list[Any]] = {}

    def truths(self, expression: filters.Expression, group: int) -> Truths:
        """What a filter is of each source of a group."""
        match expression:
            case filters.And(terms):
                return _folded(np.minimum, [self.truths(term, group) for term in terms])
            case filters.Or(terms):
                return _folded(np.maximum, [self.truths(term, group) for term in terms])
            case filters.Not(term):
                return np.subtract(TRUE, self.truths(term, group), dtype=np.uint8)
            case _:
                values = self._columns.values(expression.field, group)
                return _tested(expression, values) if values.dtype == np.float64 else self._table(expression)[values]

    def _table(
        self, test: filters.Comparison | filters.In | filters.Between | filters.Match | filters.IsNull
    ) -> Truths:
        """What a test is of each value of a dictionary."""
        found = self._tables.get(test)
        if found is None:
            name = test.field
            values = self._dictionaries.get(name)
            if values is None:
                values = self._dictionaries[name] = self._columns.dictionary(name)
                if name == "modality":
                    values[0] = self._modality
            told = {True: TRUE, False: FALSE, None: NEITHER}
            found = np.array([told[filters.truth(test, {name: value})] for value in values], np.uint8)
            self._tables[test] = found
        return found


def _folded(ufunc: np.ufunc, truths: list[Truths]) -> Truths:
    found = truths[0]
    for one in truths[1:]:
        found = ufunc(found, one)
    return found


def _tested(test: filters.Expression, values: npt.NDArray[np.float64]) -> Truths:
    """What a test is of numbers, where NaN is none."""
    missing = np.isnan(values)
    match test:
        case filters.IsNull():
            return np.where(missing, TRUE, FALSE).astype(np.uint8)
        case filters.Comparison(_, operator, value) if not isinstance(value, str):
            holds = np.asarray(filters.COMPARE[operator](values, float(value)))
        case filters.Between(_, low, high) if not isinstance(low, str) and not isinstance(high, str):
            holds = (values >= float(low)) & (values <= float(high))
        case filters.In(_, given) if numbers := [float(one) for one in given if not isinstance(one, str)]:
            holds = np.isin(values, numbers)
        case _:
            return np.full(len(values), NEITHER, np.uint8)
    return np.where(missing, NEITHER, np.where(holds, TRUE, FALSE)).astype(np.uint8)


def _constants(expression: filters.Expression) -> Iterator[filters.Value]:
    """The values that a filter compares with."""
    match expression:
        case filters.And(terms) | filters.Or(terms):
            for term in terms:
                yield from _constants(term)
        case filters.Not(term):
            yield from _constants(term)
        case filters.Comparison(_, _, value):
            yield value
        case filters.In(_, values):
            yield from values
        case filters.Between(_, low, high):
            yield from (low, high)


def _exact(value: Any) -> bool:
    """Whether float64 holds a value as it is."""
    return not isinstance(value, int) or abs(value) <= EXACT


# -- writing -----------------------------------------------------------------------------------------------------------


def write_columns(catalog: Catalog, folder: Path) -> bool:
    """Bring the columns up to the catalog where they are far behind; gives whether they were.

    The collection's lock is to be held. It costs a copy of the file and what is new; where there is no file, one pass
    over all sources. Where there is no room for it, or where a value cannot be read, filters are asked in SQL.
    """
    before = opened(catalog, folder)
    last = catalog.last_source()
    stores = {store.file: (store.space, store.modality, store.rows) for store in catalog.stores()}
    behind = last - before.last + len(catalog.altered_sources(LATE + 1)) if before else last
    for file, (_, _, rows) in stores.items():
        behind += max(0, rows - sum(map(len, before.rows(file)))) if before else 0
    if behind <= LATE:
        return False
    path = folder / f"columns-{secrets.token_hex(4)}.values"
    # Within the transaction that names it: what is read here is what is there then.
    with suppress(OSError, CollectionDamaged), catalog.transaction():
        before, last = opened(catalog, folder, before), catalog.last_source()
        stores = {store.file: (store.space, store.modality, store.rows) for store in catalog.stores()}
        with replacing(path) as temporary, temporary.open("wb") as written:
            _Columns(catalog, before, last).write(written, stores)
        catalog.put_columns_file(path.name, last)
        return True
    return False


def opened(catalog: Catalog, folder: Path, held: Columns | None = None) -> Columns | None:
    """The columns that the catalog names, which may be ``held`` already; None where there are none."""
    found = catalog.columns_file()
    if found is None:
        return None
    if held is not None and held.file == found[0]:
        return held
    with suppress(OSError, ValueError, KeyError, CollectionDamaged):
        made = Columns(folder / found[0])
        return made if made.last == found[1] else None
    return None


def forget_others(catalog: Catalog, folder: Path) -> None:
    """Delete the files that the catalog does not name; the lock is to be held. One that it named last may be opened
    by a reader this very moment: the next writer deletes it."""
    file, _ = catalog.columns_file() or ("", 0)
    for path in folder.glob("columns-*.values"):
        if path.name != file:
            remove(path)


@dataclass(slots=True)
class _Field:
    """A field's column while it is written: its dictionary, and where its groups stand."""

    values: dict[Any, int] = field(default_factory=lambda: {None: 0})
    characters: int = 0
    numeric: bool = True
    groups: list[tuple[str, int, int]] = field(default_factory=list)

    def place(self, value: Any) -> int:
        """Where a value stands in the dictionary. Raises ``_TooMany``."""
        found = self.values.get(value)
        if found is None:
            found = self.values[value] = len(self.values)
            self.characters += len(value) if isinstance(value, str) else 0
            if found >= MOST or self.characters > TEXTS:
                raise _TooMany
        return found

    def column(self, values: Sequence[Any]) -> npt.NDArray[Any]:
        """The values of a group. Raises ``_TooMany``."""
        return self.altered(np.zeros(len(values), np.uint16), np.arange(len(values)), values)

    def altered(self, column: npt.NDArray[Any], at: npt.NDArray[np.int64], values: Sequence[Any]) -> npt.NDArray[Any]:
        """A group's column with other values in some places. Raises ``_TooMany``."""
        different = set(values)
        if column.dtype != np.float64 and len(different - self.values.keys()) > FEW and _numbers(different):
            known = list(self.values)
            held = {place: known[place] for place in np.unique(np.delete(column, at)).tolist()}
            if self.numeric and _numbers(set(held.values())):
                numbers = np.full(len(known), np.nan)
                for place, value in held.items():
                    numbers[place] = np.nan if value is None else value
                column = numbers[column]
        if column.dtype == np.float64:
            if not _numbers(different):
                raise _TooMany
            column = column.copy()
            column[at] = [np.nan if value is None else value for value in values]
        else:
            column = column.astype(np.uint16)
            column[at] = [self.place(value) for value in values]
        return column


def _numbers(values: Iterable[Any]) -> bool:
    """Whether float64 holds all values as they are, None as NaN."""
    return all(value is None or (isinstance(value, int | float) and _exact(value)) for value in values)


class _TooMany(Exception):
    """A field has too many different values for a dictionary, and not all of them are numbers."""


class _Columns:
    """Writes a file: what another one has, and what is newer."""

    def __init__(self, catalog: Catalog, before: Columns | None, last: int) -> None:
        self.catalog, self.before, self.last = catalog, before, last
        self.out = set(before.out) if before else set[str]()
        known = [*(name for name in before.names if before), *COLUMNS] if before else [*COLUMNS]
        there = self.catalog.fields() | set(COLUMNS)
        self.fields: dict[str, _Field] = {}
        for name in dict.fromkeys([*known, *sorted(there)]):
            if name in self.out or name not in there:
                continue
            if len(self.fields) == FIELDS or not _expressible(name):
                self.out.add(name)
            elif before and name in before.names:
                values = before.dictionary(name)
                characters = sum(len(value) for value in values if isinstance(value, str))
                self.fields[name] = _Field({value: at for at, value in enumerate(values)}, characters)
            else:
                self.fields[name] = _Field()
            if name in self.fields:
                self.fields[name].numeric = name != "modality"  # where it is missing it is the one that is asked for
        self.most = 0  # the highest content

    def write(self, file: IO[bytes], stores: Mapping[str, tuple[str, Modality, int]]) -> None:
        contents = [self._group(file, group) for group in range(-(-(self.last + 1) // GROUP))]
        rows = {name: list(self._rows(file, name, *store)) for name, store in stores.items()}
        header = {
            "last": self.last,
            "out": sorted(self.out),
            "contents": contents,
            "contents_end": self.most + 1,
            "rows": rows,
            "fields": {
                name: {
                    "groups": one.groups,
                    "dictionary": _put(file, np.frombuffer(json.dumps(list(one.values)).encode(), np.uint8)),
                }
                for name, one in self.fields.items()
            },
        }
        text = json.dumps(header).encode()
        file.write(text + TRAILER.pack(len(text), MAGIC))

    def _group(self, file: IO[bytes], group: int) -> tuple[str, int, int]:
        """Write a group of sources: where their contents stand."""
        first = group * GROUP
        count = min(GROUP, self.last + 1 - first)
        names = list(self.fields)
        contents = np.full(count, -1, np.int64)
        held = 0  # how many of these sources the file before has
        if self.before is not None and group < self.before.groups():
            there = self.before.contents_of(group)
            held = len(there) if len(there) <= count else 0
            contents[:held] = there[:held]
        altered = self.catalog.values_of_sources(names, first, first + held - 1, altered=True) if held else []
        gone = self._altered(first, first + held)
        contents[gone - first] = -1
        new = self.catalog.values_of_sources(names, first + held, first + count - 1) if held < count else []
        for sources in (altered, new):
            ids, held_by = [row[0] - first for row in sources], [row[1] for row in sources]
            contents[ids] = held_by
        changed = [row[0] - first for row in altered]
        there_now = [row[0] - first - held for row in new]
        for at, name in enumerate(names, 2):
            values: list[Any] = [None] * (count - held)
            for place, row in zip(there_now, new, strict=True):
                values[place] = row[at]
            try:
                column = self._column(name, group, held, gone - first, changed, [row[at] for row in altered], values)
            except _TooMany:
                del self.fields[name]
                self.out.add(name)
            else:
                self.fields[name].groups.append(_put(file, column))
        self.most = max(self.most, int(contents.max(initial=0)))
        return _put(file, contents)

    def _column(
        self,
        name: str,
        group: int,
        held: int,
        gone: npt.NDArray[np.int64],
        changed: Sequence[int],
        other: Sequence[Any],
        new: Sequence[Any],
    ) -> npt.NDArray[Any]:
        """A field's values in a group: those that stand in the file before, some of them changed, and new ones."""
        one = self.fields[name]
        if not held:
            return one.column(new)
        if self.before is not None and name in self.before.names:
            column = self.before.values(name, group)
        else:
            column = np.zeros(held, np.uint16)
        if len(gone):
            column = one.altered(column, gone, [None] * len(gone))
            column = one.altered(column, np.array(changed, np.int64), other)
        if new:
            missing = np.nan if column.dtype == np.float64 else 0
            column = np.concatenate([column, np.full(len(new), missing, column.dtype)])
            column = one.altered(column, np.arange(held, held + len(new)), new)
        return column

    def _altered(self, first: int, end: int) -> npt.NDArray[np.int64]:
        return self._all_altered[slice(*np.searchsorted(self._all_altered, [first, end]))]

    @cached_property
    def _all_altered(self) -> npt.NDArray[np.int64]:
        return self.catalog.altered_sources()

    def _rows(
        self, file: IO[bytes], name: str, space: str, modality: Modality, count: int
    ) -> Iterator[tuple[str, int, int]]:
        """Write the contents of a vector file's rows, group by group."""
        held = self.before.rows(name) if self.before is not None else []
        for group, first in enumerate(range(0, count, GROUP)):
            end = min(count, first + GROUP)
            there = held[group][: end - first] if group < len(held) else np.zeros(0, np.int64)
            newer = self.catalog.contents_of_rows(space, modality, first + len(there), end)
            contents = np.concatenate([there, newer])
            self.most = max(self.most, int(contents.max(initial=0)))
            yield _put(file, contents)


def _put(file: IO[bytes], array: npt.NDArray[Any]) -> tuple[str, int, int]:
    """Write an array in as few bytes as its numbers need, and say where it stands."""
    if array.dtype != np.float64 and array.dtype != np.uint8:
        most = int(array.max(initial=0))
        kinds = ["<i4", "<i8"] if int(array.min(initial=0)) < 0 or most >= 2**16 else ["|u1", "<u2"]
        array = array.astype(next(kind for kind in kinds if most <= np.iinfo(kind).max))
    start = file.tell() + -file.tell() % 8
    file.write(bytes(start - file.tell()) + np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return array.dtype.str, start, len(array)


def _expressible(name: str) -> bool:
    try:
        return of_source(name) is not None
    except FilterError:
        return False
