"""Tables: texts in a column of a CSV, TSV or JSONL file, and metadata kept beside media files."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

from embed.errors import MediaError, UsageError
from embed.formats.text import marked
from embed.media import TABLE_SUFFIXES, check_readable
from embed.several import several

__all__ = ["BadRow", "Cell", "Row", "columns", "encoding_of", "lines", "metadata_table", "rows", "texts"]

Cell = str | int | float
_Record = dict[str, Cell] | str

FIELD_BYTES: Final = 1 << 26  # csv's own limit of 128 KiB is below a long text
# Numbers as a person writes them; "007" and "1_000" stay text, as do numbers that a 64-bit column cannot hold.
INTEGER: Final = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
DECIMAL: Final = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d{1,3})?")
LEADING_ZERO: Final = re.compile(r"[+-]?0\d")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its text, its 0-based number among the rows, and the other columns. Empty cells are left out."""

    text: str
    row: int
    metadata: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be used, its 0-based number, and why."""

    row: int
    reason: str


def rows(
    path: str | os.PathLike[str], column: str, note: Callable[[str], None] | None = None
) -> Iterator[Row | BadRow]:
    """The texts in ``column`` of a table, row by row; in place of a row that cannot be used, why.

    ``note`` is told, when the last row was given, what was left out of rows that can be used.

    Raises ``UsageError`` where there is no such column, and ``MediaError`` where the file cannot be read on.
    """
    name = os.fspath(path)
    for number, values in enumerate(_records(name, _wants(name, column), note)):
        if isinstance(values, str):
            yield BadRow(number, values)
        elif column not in values or not str(values[column]).strip():
            yield BadRow(number, f"its {column!r} is empty")
        else:
            yield Row(str(values.pop(column)), number, {key: _number(value) for key, value in values.items()})


def columns(path: str | os.PathLike[str]) -> list[str]:
    """The names of a table's columns, in order; of a JSONL file the keys of its first object.

    Raises ``UsageError`` and ``MediaError`` as ``rows`` does.
    """
    names: list[str] = []
    next(_records(os.fspath(path), names.extend), None)
    return names


def texts(path: str | os.PathLike[str], columns: str | Sequence[str] = ()) -> Iterator[tuple[str, ...] | BadRow]:
    """The cells in ``columns`` of a table as they stand, row by row; in place of a row that cannot be used, why.

    Without ``columns`` a CSV or TSV file is read as one without a header, and each row gives all its cells.
    Raises ``UsageError`` and ``MediaError`` as ``rows`` does, and ``UsageError`` where JSONL has no columns named.
    """
    name, columns = os.fspath(path), several(columns)
    if not columns:
        with _opened(name) as file:
            if Path(name).suffix.lower() == ".jsonl":
                raise UsageError(f"{name}: name the columns to read; a JSONL file has keys")
            for number, cells in enumerate(cells for cells in _separated(name, file) if cells):
                yield BadRow(number, cells) if isinstance(cells, str) else tuple(cells)
        return

    def check(header: list[str]) -> None:
        for column in columns:
            _wants(name, column)(header)

    for number, values in enumerate(_records(name, check)):
        if isinstance(values, str):
            yield BadRow(number, values)
        elif empty := [column for column in columns if not str(values.get(column, "")).strip()]:
            yield BadRow(number, f"its {empty[0]!r} is empty")
        else:
            yield tuple(str(values[column]) for column in columns)


def metadata_table(
    path: str | os.PathLike[str], key: str, note: Callable[[str], None] | None = None
) -> dict[str, dict[str, Cell]]:
    """A table's rows by the text in their column ``key``, without that column.

    ``note`` is told what was left out of the rows.

    Raises ``UsageError`` where there is no such column or a key comes twice, ``MediaError`` where a row is broken.
    """
    name = os.fspath(path)
    table: dict[str, dict[str, Cell]] = {}
    for number, values in enumerate(_records(name, _wants(name, key), note)):
        if isinstance(values, str):
            raise MediaError(_row_name(name, number), values)
        value = str(values.pop(key, "")).strip()
        if not value:
            raise MediaError(_row_name(name, number), f"its {key!r} is empty")
        if value in table:
            raise UsageError(f"{_row_name(name, number)}: {key} {value!r} comes a second time; keys must differ")
        table[value] = {column: _number(cell) for column, cell in values.items()}
    return table


def _row_name(name: str, number: int) -> str:
    return f"{name}, row {number + 1}"


def _number(cell: Cell) -> Cell:
    """A cell that reads as a number, as that number."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if not (text[:1].isdecimal() or text[:1] in "+-."):
        return cell
    if INTEGER.fullmatch(text):
        return int(text)
    if DECIMAL.fullmatch(text) and not LEADING_ZERO.match(text) and ("." in text or "e" in text.lower()):
        number = float(text)
        return number if abs(number) != float("inf") else cell
    return cell


@contextmanager
def _opened(name: str) -> Iterator[IO[str]]:
    """A table, open; what goes wrong while it is read becomes ``UsageError`` or ``MediaError``."""
    suffix = Path(name).suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise UsageError(f"{name}: a table is a {', '.join(sorted(TABLE_SUFFIXES))} file, not {suffix or 'this'}")
    check_readable(name)
    try:
        with open(name, encoding=encoding_of(name), newline="" if suffix != ".jsonl" else None) as file:
            yield file
    except UnicodeError:
        raise MediaError(name, "is not UTF-8 text: save it as UTF-8") from None
    except csv.Error as error:
        raise MediaError(name, f"is not a table: {error}") from None
    except OSError as error:
        raise MediaError(name, f"cannot be read: {error.strerror or error}") from None


def encoding_of(path: str) -> str:
    """How a text file is encoded: as its byte order mark says, else in UTF-8.

    Raises ``UnicodeError`` where it can be neither, such as UTF-16 without a mark.
    """
    with open(path, "rb") as file:
        head = file.read(4096)
    encoding = marked(head)
    if encoding == "utf-8-sig" and b"\0" in head:
        raise UnicodeError("holds zero bytes")
    return encoding


def lines(path: str | os.PathLike[str]) -> list[str]:
    """The lines of a text file. Raises ``MediaError`` where it cannot be read, or is not as ``encoding_of`` has it."""
    name = os.fspath(path)
    check_readable(name)
    try:
        return Path(name).read_text(encoding_of(name)).splitlines()
    except UnicodeError:
        raise MediaError(name, "is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise MediaError(name, f"cannot be read: {error.strerror or error}") from None


def _records(
    name: str, check: Callable[[list[str]], None], note: Callable[[str], None] | None = None
) -> Iterator[_Record]:
    """Each row's cells that are not empty, by column; or what is wrong with the row. ``check`` sees the columns."""
    with _opened(name) as file:
        if Path(name).suffix.lower() == ".jsonl":
            yield from _json_records(file, check, note)
        else:
            yield from _separated_records(name, file, check)


class _Lines:
    """The lines of a CSV file, which remembers those of the record that is being read, and whether the file ended."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.number = 0
        self.record: list[str] = []
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.record.append(line)
        return line


def _separated(name: str, file: IO[str], *, titled: bool = False) -> Iterator[list[str] | str]:
    """The rows of a CSV or TSV file, a header too, as lists of cells, or what is wrong; a blank line is an empty one.

    A CSV file whose header (``titled``) has no comma may be separated by semicolons or tabs, and a first line
    ``sep=;``, as spreadsheets write it, says so. A record of several lines, which only a quote can make, must be quoted
    as RFC 4180 has it: else a quote that is never closed would swallow the rows after it.
    """
    if csv.field_size_limit() < FIELD_BYTES:
        csv.field_size_limit(FIELD_BYTES)
    if Path(name).suffix.lower() == ".tsv":
        # A quote inside a cell is a quote; only a cell quoted as a whole was quoted by a writer of CSV.
        for cells in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield [_unquoted(cell) for cell in cells]
        return
    lines = _Lines(file)
    first = next(lines, "")
    separator = ","
    if said := re.fullmatch(r"sep=(.)[\r\n]*", first):
        separator, first = said[1], ""
        lines.record.clear()
    elif titled and "," not in first:
        separator = ";" if ";" in first else "\t" if "\t" in first else ","
    for cells in csv.reader(chain([first] if first else [], lines), delimiter=separator):
        wrong = _open_quote(lines, separator) if len(lines.record) > 1 or lines.ended else ""
        lines.record.clear()
        yield wrong or cells


def _open_quote(lines: _Lines, separator: str) -> str:
    """What is wrong with the quotes of the record that was read last; empty where nothing is."""
    begun = lines.number - len(lines.record) + 1
    try:
        list(csv.reader(lines.record, delimiter=separator, strict=True))
    except csv.Error:
        more = len(lines.record) - 1
        swallowed = f" and takes in {more} more {'line' if more == 1 else 'lines'}" if more else ""
        return f"a quote that opens in line {begun} is not closed as a quote should be{swallowed}"
    return ""


def _separated_records(name: str, file: IO[str], check: Callable[[list[str]], None]) -> Iterator[_Record]:
    reader = _separated(name, file, titled=True)
    header = next(reader, [])
    if isinstance(header, str):
        raise MediaError(name, f"its header cannot be read: {header}")
    check(header)
    twice = {title for title in header if header.count(title) > 1}
    if twice:
        raise UsageError(f"{name}: the column {min(twice)!r} comes twice")
    for cells in reader:
        if not cells:  # a blank line
            continue
        if isinstance(cells, str):
            yield cells
        elif len(cells) > len(header):
            yield f"has {len(cells)} cells; the header has {len(header)}"
        else:
            yield {title: cell for title, cell in zip(header, cells, strict=False) if cell.strip()}


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if re.fullmatch('"(?:[^"]|"")*"', cell) else cell


class _TwiceError(ValueError):
    """A key comes twice in an object; the argument is the key."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return found


def _json_records(
    file: IO[str], check: Callable[[list[str]], None], note: Callable[[str], None] | None
) -> Iterator[_Record]:
    checked = False
    number = 0
    lost: list[tuple[int, str]] = []  # the rows and the words of numbers that are none

    def no_number(word: str) -> None:
        lost.append((number, word))

    def decimal(word: str) -> float | None:
        value = float(word)
        if math.isfinite(value):
            return value
        no_number(word)
        return None

    for line in file:
        if not line.strip():
            continue
        number += 1
        try:
            values = json.loads(line.strip(), parse_constant=no_number, parse_float=decimal, object_pairs_hook=_once)
        except _TwiceError as error:
            yield f"has the key {str(error)!r} twice"
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "cannot be read"
            yield f"is not JSON: {reason}"
        else:
            if not isinstance(values, dict):
                yield "is not a JSON object"
            else:
                if not checked:
                    check(list(values))
                    checked = True
                yield {key: _cell(value) for key, value in values.items() if value not in (None, "", [], {})}
    if lost and note is not None:
        words = ", ".join(dict.fromkeys(word for _, word in lost))
        cells = "1 cell" if len(lost) == 1 else f"{len(lost)} cells"
        note(f"{words} is no number that can be kept; left out of {cells}, the first in row {lost[0][0]}")


def _cell(value: Any) -> Cell:
    """A JSON value as a cell: numbers and texts as they are, the rest as JSON."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return value
    return json.dumps(value, ensure_ascii=False)


def _wants(name: str, column: str) -> Callable[[list[str]], None]:
    """A check that a table has a column."""

    def check(header: list[str]) -> None:
        if column not in header:
            known = ", ".join(header) if header else "none"
            raise UsageError(f"{name}: no column {column!r}; its columns: {known}")

    return check
