"""Tables: texts in a column of a CSV, TSV or JSONL file, and metadata kept beside media files."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from embed.errors import MediaError, UsageError
from embed.media import TABLE_SUFFIXES, check_readable

__all__ = ["BadRow", "Cell", "Row", "columns", "metadata_table", "rows", "texts"]

Cell = str | int | float
_Record = dict[str, Cell] | str

FIELD_BYTES: Final = 1 << 26  # csv's own limit of 128 KiB is below a long text
# Numbers as a person writes them; "007" and "1_000" stay text, as do numbers that a 64-bit column cannot hold.
INTEGER: Final = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
DECIMAL: Final = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d{1,3})?")


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


def rows(path: str | os.PathLike[str], column: str) -> Iterator[Row | BadRow]:
    """The texts in ``column`` of a table, row by row; in place of a row that cannot be used, why.

    Raises ``UsageError`` where there is no such column, and ``MediaError`` where the file cannot be read on.
    """
    name = os.fspath(path)
    for number, values in enumerate(_records(name, _wants(name, column))):
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


def texts(path: str | os.PathLike[str], columns: Sequence[str] = ()) -> Iterator[tuple[str, ...] | BadRow]:
    """The cells in ``columns`` of a table as they stand, row by row; in place of a row that cannot be used, why.

    Without ``columns`` a CSV or TSV file is read as one without a header, and each row gives all its cells.
    Raises ``UsageError`` and ``MediaError`` as ``rows`` does, and ``UsageError`` where JSONL has no columns named.
    """
    name = os.fspath(path)
    if not columns:
        with _opened(name) as file:
            if Path(name).suffix.lower() == ".jsonl":
                raise UsageError(f"{name}: name the columns to read; a JSONL file has keys")
            yield from (tuple(cells) for cells in _separated(name, file) if cells)
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


def metadata_table(path: str | os.PathLike[str], key: str) -> dict[str, dict[str, Cell]]:
    """A table's rows by the text in their column ``key``, without that column.

    Raises ``UsageError`` where there is no such column or a key comes twice, ``MediaError`` where a row is broken.
    """
    name = os.fspath(path)
    table: dict[str, dict[str, Cell]] = {}
    for number, values in enumerate(_records(name, _wants(name, key))):
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
    if INTEGER.fullmatch(text):
        return int(text)
    leading_zero = re.match(r"[+-]?0\d", text)
    if DECIMAL.fullmatch(text) and not leading_zero and ("." in text or "e" in text.lower()):
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
        with open(name, encoding="utf-8-sig", newline="" if suffix != ".jsonl" else None) as file:
            yield file
    except UnicodeDecodeError:
        raise MediaError(name, "is not UTF-8 text: save it as UTF-8") from None
    except csv.Error as error:
        raise MediaError(name, f"is not a table: {error}") from None
    except OSError as error:
        raise MediaError(name, f"cannot be read: {error.strerror or error}") from None


def _records(name: str, check: Callable[[list[str]], None]) -> Iterator[_Record]:
    """Each row's cells that are not empty, by column; or what is wrong with the row. ``check`` sees the columns."""
    with _opened(name) as file:
        if Path(name).suffix.lower() == ".jsonl":
            yield from _json_records(file, check)
        else:
            yield from _separated_records(name, file, check)


def _separated(name: str, file: IO[str]) -> Iterator[list[str]]:
    """The rows of a CSV or TSV file, a header too, as lists of cells; a blank line is an empty one."""
    if csv.field_size_limit() < FIELD_BYTES:
        csv.field_size_limit(FIELD_BYTES)
    if Path(name).suffix.lower() != ".tsv":
        return csv.reader(file)
    # A quote inside a cell is a quote; only a cell quoted as a whole was quoted by a writer of CSV.
    lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    return ([_unquoted(cell) for cell in cells] for cells in lines)


def _separated_records(name: str, file: IO[str], check: Callable[[list[str]], None]) -> Iterator[_Record]:
    reader = _separated(name, file)
    header = next(reader, [])
    check(header)
    twice = {title for title in header if header.count(title) > 1}
    if twice:
        raise UsageError(f"{name}: the column {min(twice)!r} comes twice")
    for cells in reader:
        if not cells:  # a blank line
            continue
        if len(cells) > len(header):
            yield f"has {len(cells)} cells; the header has {len(header)}"
        else:
            yield {title: cell for title, cell in zip(header, cells, strict=False) if cell.strip()}


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if re.fullmatch('"(?:[^"]|"")*"', cell) else cell


def _json_records(file: IO[str], check: Callable[[list[str]], None]) -> Iterator[_Record]:
    checked = False
    for line in file:
        if not line.strip():
            continue
        try:
            values = json.loads(line.strip())
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
