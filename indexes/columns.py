"""What filters ask of sources, field by field, in a file that is mapped into memory: a cache beside the catalog.

::

    indexes/columns-TOKEN.values    for each source its content, and its value in each field that filters know; for
                                    each row of a vector file its content

Sources stand in groups of ``GROUP`` ids. A field's values in a group are places in a dictionary of all values that the
field has, or, where many different ones would make that long, the numbers themselves, NaN for a missing one, or the
texts one after another, folded as ``like`` and its kin compare them: other tests of such texts are asked in SQL. What
parts of one content may differ in is left out, and fields of long texts.

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
import re
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
from embed.listener import Listener
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
DIFFERENT: Final = 16_000  # texts that a group may add to one
LONG: Final = 256  # bytes that texts have on average where they are left out
AFEW: Final = 1 << 20  # bytes of a group that are not too many, however few texts these are
EXACT: Final = 2**53  # up to which float64 holds every whole number
TRAILER: Final = struct.Struct("<Q8s")  # bytes of JSON, MAGIC
MAGIC: Final = b"ANALOGV1"
FALSE, NEITHER, TRUE = 0, 1, 2
NO_TEXT, NOTHING = b"\xfe", b"\xff"  # stand for a number and for a missing value: no UTF-8 has them
CHARACTER: Final = rb"(?:[\x01-\x7f]|[\xc0-\xf7][\x80-\xbf]{1,3})"

Truths = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Place = list[Any]  # of an array: its type, where it begins, how many values it has; of texts also where ``starts`` are
TEXT: Final = "text"


# -- reading -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Folded texts in UTF-8, each between two zeros; ``starts`` is where each begins among all bytes."""

    utf8: memoryview
    starts: npt.NDArray[np.integer[Any]]

    @classmethod
    def of(cls, records: Sequence[bytes]) -> Texts:
        lengths = np.fromiter(map(len, records), np.int64, len(records))
        return cls(memoryview(b"\0" + b"\0".join([*records, b""])), np.cumsum(lengths + 1) - lengths)

    def __len__(self) -> int:
        return len(self.starts)

    def records(self) -> list[bytes]:
        """The texts, one by one."""
        return self.utf8.tobytes().split(b"\0")[1:-1]

    def tested(self, test: filters.Expression) -> Truths:
        """What ``like`` and its kin, or whether it is missing, are of each text."""
        first = np.frombuffer(self.utf8, np.uint8)[self.starts]
        if isinstance(test, filters.IsNull):
            return np.where(first == NOTHING[0], TRUE, FALSE).astype(np.uint8)
        assert isinstance(test, filters.Match)
        found = np.full(len(self), FALSE, np.uint8)
        pattern = _pattern(test.manner, filters.fold(test.text))
        places = np.fromiter((one.end() for one in pattern.finditer(self.utf8)), np.int64)
        places = np.searchsorted(self.starts, places, side="right") - 1
        found[places] = TRUE
        found[first >= NO_TEXT[0]] = NEITHER
        return found


def _pattern(manner: filters.Manner, text: str) -> re.Pattern[bytes]:
    """Matches at most once in each text, and in those that fulfil a test; it ends before the zero behind the text.

    Most begin with something that is looked for at the memory's speed.
    """
    rest, end = rb"[^\0]*", rb"(?=\0)"
    literal = re.escape(text.encode())
    if manner == "contains":
        return re.compile((literal or rb"\0") + rest)
    if manner == "starts with":
        return re.compile(rb"\0" + literal + rest)
    if manner == "ends with":
        return re.compile((literal or rb"\0" + rest) + end)
    wild = {"%": rest, "_": CHARACTER}
    pieces = re.findall(r"\\.|[^\\]", text, re.DOTALL)
    anywhere = len(pieces) > 1 and pieces[0] == "%" and pieces[1] != "%"
    written = b"".join(wild.get(piece) or re.escape(piece[-1].encode()) for piece in pieces[anywhere:])
    last = rest if pieces and pieces[-1] == "%" else end
    return re.compile((b"" if anywhere else rb"\0") + written.removesuffix(rest) + last)


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

    def values(self, name: str, group: int) -> npt.NDArray[Any] | Texts:
        """A field's values in a group: numbers as float64, texts, or else places in its dictionary."""
        place = self._header["fields"][name]["groups"][group]
        if place[0] != TEXT:
            return self.array(place)
        _, start, length, starts = place
        if start + length > len(self._bytes):
            raise ValueError(f"{self.file}: cut short")
        return Texts(memoryview(self._bytes)[start : start + length], self.array(starts))

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
        self._let_go()
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
        return filters.fields(expression) <= set(self.names) and all(
            (not self.has_texts(test.field) or isinstance(test, filters.Match | filters.IsNull))
            and all(map(_exact, _constants(test)))
            for test in _tests(expression)
        )

    def has_texts(self, name: str) -> bool:
        """Whether texts of a field stand here one after another, all of which have to be gone through."""
        return any(place[0] == TEXT for place in self._header["fields"][name]["groups"])

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
            self._let_go()
        found[-1] = False
        return found

    def _let_go(self) -> None:
        """What was read is the system's to keep, and counts no longer as this process's memory."""
        if hasattr(mmap, "MADV_DONTNEED"):  # nowhere else is a mapped file told that
            self._bytes.madvise(mmap.MADV_DONTNEED)


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
                if isinstance(values, Texts):
                    return values.tested(expression)
                return _tested(expression, values) if values.dtype == np.float64 else self._table(expression)[values]

    def _table(self, test: filters.Test) -> Truths:
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


def _tests(expression: filters.Expression) -> Iterator[filters.Test]:
    """The tests of single fields that a filter is made of."""
    match expression:
        case filters.And(terms) | filters.Or(terms):
            for term in terms:
                yield from _tests(term)
        case filters.Not(term):
            yield from _tests(term)
        case _:
            yield expression


def _constants(test: filters.Test) -> Sequence[filters.Value]:
    """The values that a test compares with."""
    match test:
        case filters.Comparison(_, _, value):
            return [value]
        case filters.In(_, values):
            return values
        case filters.Between(_, low, high):
            return [low, high]
        case filters.Match(_, _, text):
            return [text]
        case _:
            return []


def _exact(value: Any) -> bool:
    """Whether columns hold a value as it is: float64 a number, a text between zeros a text."""
    return "\0" not in value if isinstance(value, str) else not isinstance(value, int) or abs(value) <= EXACT


# -- writing -----------------------------------------------------------------------------------------------------------


def write_columns(catalog: Catalog, folder: Path, listener: Listener | None = None) -> bool:
    """Bring the columns up to the catalog where they are far behind; gives whether they were.

    The collection's lock is to be held. It costs a copy of the file and what is new; where there is no file, one pass
    over all sources. Where there is no room for it, or where a value cannot be read, filters are asked in SQL.
    ``listener`` is told where very many sources are read, and may end it: then the file before stays.
    """
    before = opened(catalog, folder)
    last = catalog.last_source()
    stores = {store.file: (store.space, store.modality, store.rows) for store in catalog.stores()}
    behind = max(0, last - before.last) + len(catalog.altered_sources(LATE + 1)) if before else last
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
            _Columns(catalog, before, last, listener if behind > GROUP else None).write(written, stores)
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
    only_places: bool = False
    groups: list[Place] = field(default_factory=list)

    def place(self, value: Any) -> int:
        """Where a value stands in the dictionary."""
        found = self.values.get(value)
        if found is None:
            found = self.values[value] = len(self.values)
            self.characters += len(value) if isinstance(value, str) else 0
        return found

    def column(self, values: Sequence[Any]) -> npt.NDArray[Any]:
        """The values of a group. Raises ``_TooMany``."""
        return self.altered(np.zeros(len(values), np.uint16), np.arange(len(values)), values)

    def altered(self, column: npt.NDArray[Any], at: npt.NDArray[np.int64], values: Sequence[Any]) -> npt.NDArray[Any]:
        """A group's column with other values in some places. Raises ``_TooMany``.

        It has places in the dictionary, numbers as float64, or texts as objects.
        """
        different = set(values)
        new = different - self.values.keys()
        if column.dtype == np.float64 and not _numbers(different):
            column = np.array([_record(None if np.isnan(one) else one) for one in column], object)
        elif column.dtype.kind == "u" and len(new) > FEW and _numbers(different):
            held = self._held(np.delete(column, at))
            if not self.only_places and _numbers(held.values()):
                column = self._each(
                    column, {place: np.nan if v is None else v for place, v in held.items()}, np.float64
                )
        if column.dtype.kind == "u" and (
            len(new) > DIFFERENT
            or len(self.values) + len(new) > MOST
            or self.characters + sum(len(value) for value in new if isinstance(value, str)) > TEXTS
        ):
            held = self._held(np.delete(column, at))
            column = self._each(column, {place: _record(value) for place, value in held.items()}, object)
        if self.only_places and column.dtype.kind != "u":
            raise _TooMany
        if column.dtype == object:
            column = column.copy()
            column[at] = _objects([_record(value) for value in values])
            if sum(map(len, column)) > max(AFEW, LONG * len(column)):
                raise _TooMany
        elif column.dtype == np.float64:
            column = column.copy()
            column[at] = [np.nan if value is None else value for value in values]
        else:
            column = column.astype(np.uint16)
            column[at] = [self.place(value) for value in values]
        return column

    def _held(self, places: npt.NDArray[Any]) -> dict[int, Any]:
        """The values that some places stand for."""
        known = list(self.values)
        return {place: known[place] for place in np.unique(places).tolist()}

    def _each(self, places: npt.NDArray[Any], values: Mapping[int, Any], kind: Any) -> npt.NDArray[Any]:
        """Values in place of places; of places that have none anything, as it is to be replaced."""
        table = np.full(len(self.values), np.nan if kind == np.float64 else NOTHING, kind)
        for place, value in values.items():
            table[place] = value
        found: npt.NDArray[Any] = table[places]
        return found


def _record(value: Any) -> bytes:
    """A value as ``Texts`` have it. Raises ``_TooMany`` for one with a zero in it."""
    if not isinstance(value, str):
        return NOTHING if value is None else NO_TEXT
    if "\0" in value:
        raise _TooMany
    return filters.fold(value).encode()


def _objects(values: Sequence[Any]) -> npt.NDArray[Any]:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _numbers(values: Iterable[Any]) -> bool:
    """Whether float64 holds all values as they are, None as NaN."""
    return all(value is None or (isinstance(value, int | float) and _exact(value)) for value in values)


class _TooMany(Exception):
    """A field has too many different values for a dictionary, and such that nothing else holds them."""


class _Columns:
    """Writes a file: what another one has, and what is newer."""

    def __init__(self, catalog: Catalog, before: Columns | None, last: int, listener: Listener | None = None) -> None:
        self.catalog, self.before, self.last = catalog, before, last
        self.listener = listener
        self.out = set(before.out) if before else set[str]()
        known = [*before.names, *COLUMNS] if before else [*COLUMNS]
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
                self.fields[name].only_places = name == "modality"  # a missing one is that which is asked for
        self.most = 0  # the highest content

    def write(self, file: IO[bytes], stores: Mapping[str, tuple[str, Modality, int]]) -> None:
        if self.listener is not None:
            self.listener.phase("fields for filters", self.last)
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

    def _group(self, file: IO[bytes], group: int) -> Place:
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
        if self.listener is not None:
            self.listener.advance(count if group else count - 1)  # there is no source 0
            self.listener.check()
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
    ) -> npt.NDArray[Any] | Texts:
        """A field's values in a group: those that stand in the file before, some of them changed, and new ones."""
        one = self.fields[name]
        if not held:
            return one.column(new)
        column: npt.NDArray[Any] = np.zeros(held, np.uint16)
        if self.before is not None and name in self.before.names:
            there = self.before.values(name, group)
            if not isinstance(there, Texts):
                column = there
            elif not len(gone) and not new:
                return there
            else:
                column = _objects(there.records())
        if len(gone):
            column = one.altered(column, gone, [None] * len(gone))
            column = one.altered(column, np.array(changed, np.int64), other)
        if new:
            missing = {"f": np.nan, "O": NOTHING}.get(column.dtype.kind, 0)
            column = np.concatenate([column, np.full(len(new), missing, column.dtype)])
            column = one.altered(column, np.arange(held, held + len(new)), new)
        return column

    def _altered(self, first: int, end: int) -> npt.NDArray[np.int64]:
        return self._all_altered[slice(*np.searchsorted(self._all_altered, [first, end]))]

    @cached_property
    def _all_altered(self) -> npt.NDArray[np.int64]:
        return self.catalog.altered_sources()

    def _rows(self, file: IO[bytes], name: str, space: str, modality: Modality, count: int) -> Iterator[Place]:
        """Write the contents of a vector file's rows, group by group."""
        held = self.before.rows(name) if self.before is not None else []
        for group, first in enumerate(range(0, count, GROUP)):
            end = min(count, first + GROUP)
            there = held[group][: end - first] if group < len(held) else np.zeros(0, np.int64)
            newer = self.catalog.contents_of_rows(space, modality, first + len(there), end)
            contents = np.concatenate([there, newer])
            self.most = max(self.most, int(contents.max(initial=0)))
            yield _put(file, contents)


def _put(file: IO[bytes], array: npt.NDArray[Any] | Texts) -> Place:
    """Write an array in as few bytes as its numbers need, or texts, and say where it stands."""
    if not isinstance(array, Texts) and array.dtype == object:
        array = Texts.of(array.tolist())
    if isinstance(array, Texts):
        start = file.tell()
        file.write(array.utf8)
        return [TEXT, start, len(array.utf8), _put(file, array.starts)]
    if array.dtype != np.float64 and array.dtype != np.uint8:
        most = int(array.max(initial=0))
        kinds = ["<i4", "<i8"] if int(array.min(initial=0)) < 0 or most >= 2**16 else ["|u1", "<u2"]
        array = array.astype(next(kind for kind in kinds if most <= np.iinfo(kind).max))
    start = file.tell() + -file.tell() % 8
    file.write(bytes(start - file.tell()) + np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return [array.dtype.str, start, len(array)]


def _expressible(name: str) -> bool:
    try:
        return of_source(name) is not None
    except FilterError:
        return False
