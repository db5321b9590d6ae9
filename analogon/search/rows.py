"""Items, one after another, of whatever holds them: lists, arrays, data frames, Arrow tables, parquet, data sets."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np

from embed.errors import MediaError, UsageError, one_line
from embed.space import Vectors

__all__ = ["Given", "is_text", "rows_of"]

BLOCK: Final = 1024  # rows of a table that are turned into Python at a time
VECTORS: Final = ("vector", "embedding")
THINGS: Final = (*VECTORS, "audio", "image", "video", "text", "path", "file")
"""Columns of a table that are taken for what is to be added where none is named: the first of these that is there."""
FILES: Final = ("path", "file")
FRAMES: Final = ("pandas", "polars", "pyarrow", "datasets")
EMPTY: Final = ("NAType", "NaTType")  # of pandas
DEEPEST: Final = 100  # levels of a value within values
WIDEST: Final = 10**300  # whole numbers beyond it are no number to anything that filters or sorts


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """One thing to add: what it is, the id that it goes by, its metadata, and the text of a vector that has one.

    ``thing`` is None where there is nothing, and a ``MediaError`` where it cannot be read. ``notes`` say what of the
    metadata was left out.
    """

    thing: Any
    id: str | None
    metadata: Mapping[str, Any]
    text: str | None = None
    notes: tuple[str, ...] = ()


def rows_of(
    items: Any,
    ids: Iterable[Any] | None = None,
    metadata: Any = None,
    column: str | None = None,
) -> Iterator[Given]:
    """The things in order, none of them read before it is its turn.

    A table is a ``pandas`` or ``polars`` data frame, a ``pyarrow`` table, record batch or reader, a data set of
    Hugging Face's ``datasets``, the path of a parquet file, or a list of mappings; ``column`` names what is to be added
    (else the first of ``THINGS``), a column ``id`` holds ids where no others are given, and the other columns are
    metadata; an index of ``pandas`` that has a name is a column too. All else is one thing or an iterable of them, a
    column of any such table among them, with ``metadata`` beside: a table, or a mapping for each.

    Raises ``UsageError`` where ids or metadata are fewer or more than the things, or a column is missing.
    """
    names = None if ids is None else iter(_listed(ids, "ids"))
    fields = None if metadata is None else iter(_records(metadata))
    ending = object()
    for number, given in enumerate(_table(items, column) if _is_table(items) else map(_bare, _things(items))):
        identity, more, notes = given.id, dict(given.metadata), given.notes
        if names is not None:
            if (found := next(names, ending)) is ending:
                raise UsageError(f"there are only {number} ids, and more items: each needs one")
            identity = _identity(found, number)
        if fields is not None:
            if (beside := next(fields, ending)) is ending:
                raise UsageError(f"there are only {number} rows of metadata, and more items: each needs one")
            plain, dropped = _plain(beside, number)
            more |= plain
            notes += dropped
        yield Given(given.thing, identity, more, given.text, notes)
    for left, what in ((names, "ids"), (fields, "rows of metadata")):
        if left is not None and next(left, ending) is not ending:
            raise UsageError(f"there are more {what} than items")


def _bare(thing: Any) -> Given:
    if hasattr(thing, "as_py"):  # a value of Arrow
        thing = thing.as_py()
    return Given(None if _is_missing(thing) else thing, None, {})


def _things(items: Any) -> Iterator[Any]:
    """What is one thing by itself, or holds several."""
    if isinstance(items, Vectors):
        return iter(items.array)
    if isinstance(items, np.ndarray) and items.ndim == 2 and items.dtype.kind == "f":
        return iter(items)
    if isinstance(items, np.ndarray) and items.ndim == 1 and items.dtype.kind in "OUT":
        return iter(items.tolist())
    single = isinstance(items, str | bytes | bytearray | os.PathLike | np.ndarray | Mapping)
    if single or not isinstance(items, Iterable) or any(hasattr(items, name) for name in ("detach", "read")):
        return iter((items,))
    return iter(items)


def _listed(values: Any, what: str) -> Iterable[Any]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UsageError(f"{what} are a list, one for each item, not {type(values).__name__}")
    return values


def _identity(value: Any, number: int) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    elif hasattr(value, "as_py"):  # a value of Arrow
        value = value.as_py()
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        whole = isinstance(value, float) and value.is_integer()
        hint = f"; pandas makes such of whole numbers beside a missing one: {int(value)} is one" if whole else ""
        raise UsageError(f"the id of item {number} is {value!r}; an id is a text or a whole number{hint}")
    if isinstance(value, str) and not is_text(value):
        raise UsageError(f"the id of item {number} is {value!r}, which holds half a character: no text has such")
    return str(value)


def is_text(words: str) -> bool:
    """Whether a ``str`` holds whole characters alone: half of a surrogate pair can be stored nowhere.

    >>> is_text("a dog"), is_text("a d\\ud800g")
    (True, False)
    """
    try:
        words.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_missing(value: Any) -> bool:
    """Whether a cell is empty, in any way in which tables have that."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in EMPTY


# -- tables ----------------------------------------------------------------------------------------------------------


def _is_table(items: Any) -> bool:
    if isinstance(items, os.PathLike):
        return Path(items).suffix.lower() == ".parquet"
    if isinstance(items, Sequence) and not isinstance(items, str) and items and isinstance(items[0], Mapping):
        return True
    package = type(items).__module__.split(".")[0]
    return package in FRAMES and not hasattr(items, "get_all_samples") and not _is_column(items, package)


def _is_column(items: Any, package: str) -> bool:
    """Whether something is one column of a table, or a part of one."""
    if package in ("pandas", "polars"):
        return hasattr(items, "to_frame")
    if package == "pyarrow":
        return hasattr(items, "type") and not hasattr(items, "schema")
    return type(items).__name__ in ("Column", "IterableColumn")


def _records(table: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a table as mappings, a block at a time. Raises ``UsageError`` for what is none."""
    package = type(table).__module__.split(".")[0]
    if isinstance(table, os.PathLike):
        yield from _parquet(Path(table))
    elif package == "pandas" and hasattr(table, "iloc") and hasattr(table, "columns"):
        if named := [name for name in table.index.names if name is not None and name not in table.columns]:
            table = table.reset_index(named)
        _check_names(list(table.columns))
        for start in range(0, len(table), BLOCK):
            yield from table.iloc[start : start + BLOCK].to_dict("records")
    elif package == "polars" and hasattr(table, "iter_rows"):
        yield from table.iter_rows(named=True)
    elif package == "polars" and hasattr(table, "collect"):
        yield from table.collect().iter_rows(named=True)
    elif package == "pyarrow" and hasattr(table, "to_batches"):
        _check_names(table.schema.names)
        for batch in table.to_batches(max_chunksize=BLOCK):
            yield from batch.to_pylist()
    elif package == "pyarrow" and hasattr(table, "to_pylist") and hasattr(table, "schema"):
        _check_names(table.schema.names)
        yield from table.to_pylist()
    elif package == "pyarrow" and hasattr(table, "read_next_batch"):
        _check_names(table.schema.names)
        for batch in table:
            yield from batch.to_pylist()
    elif package in ("pandas", "polars", "pyarrow"):
        raise UsageError(f"a {package} {type(table).__name__} is no table: give a data frame")
    elif package == "datasets" and isinstance(table, Mapping):
        raise UsageError(f"a {type(table).__name__} holds several data sets: give one, of {', '.join(table)}")
    elif isinstance(table, Mapping | str) or not isinstance(table, Iterable):
        raise UsageError(f"metadata are a table, or a list with a mapping for each item, not {type(table).__name__}")
    else:
        for number, row in enumerate(table):
            if not isinstance(row, Mapping):
                raise UsageError(f"row {number} of a table is {type(row).__name__}; it should be a mapping of columns")
            yield row


def _check_names(names: Sequence[Any]) -> None:
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise UsageError(f"the table has several columns {twice[0]!r}: give each a name of its own")


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(path)
        _check_names(file.schema_arrow.names)
        for batch in file.iter_batches(BLOCK):
            yield from batch.to_pylist()
    except FileNotFoundError:
        raise MediaError(str(path), "no such file") from None
    except (ArrowException, OSError) as error:
        raise MediaError(str(path), f"is not a parquet file, or damaged: {one_line(error)}") from None


def _table(table: Any, column: str | None) -> Iterator[Given]:
    chosen, folder = column, Path(table).parent if isinstance(table, os.PathLike) else Path()
    for number, row in enumerate(_records(table)):
        if chosen is None:
            chosen = next((name for name in THINGS if name in row), None)
        if chosen is None or chosen not in row:
            have = ", ".join(map(str, row))
            wanted = f"no column {column!r}" if column else f"none of the columns {', '.join(THINGS)}"
            raise UsageError(f"the table has {wanted}; name what is to be added with `column`, of {have}")
        thing = row[chosen]
        identity = row.get("id")
        others = {name: value for name, value in row.items() if name not in (chosen, "id")}
        text = None
        if chosen in VECTORS or _is_numbers(thing):
            thing = _numbers(thing)
            if isinstance(others.get("text"), str):
                text = others.pop("text")
        elif chosen in FILES and isinstance(thing, str):
            thing = folder / thing
        named = None if _is_missing(identity) else _identity(identity, number)
        yield Given(_heard(thing), named, *_given(others, number, text))


def _given(row: Any, number: int, text: str | None) -> tuple[dict[str, Any], str | None, tuple[str, ...]]:
    plain, dropped = _plain(row, number)
    return plain, text, dropped


def _numbers(thing: Any) -> Any:
    """A cell as a vector; None where it is empty, a ``MediaError`` where it is none."""
    if _is_missing(thing):
        return None
    try:
        vector = np.asarray(thing)
        vector = vector if vector.dtype.kind == "f" else np.asarray(thing, np.float64)
    except (TypeError, ValueError, OverflowError):
        return MediaError("", f"its vector is {' '.join(repr(thing).split())[:60]}; a vector is a list of numbers")
    if vector.ndim != 1:
        return MediaError("", f"its vector has the shape {vector.shape}; a vector is one list of numbers")
    return vector


def _is_numbers(thing: Any) -> bool:
    return isinstance(thing, list) and bool(thing) and isinstance(thing[0], float)


def _heard(thing: Any) -> Any:
    """A cell as an item: data sets keep a sound or a picture as an object, or as a mapping of its bytes."""
    if _is_missing(thing):
        return None
    if isinstance(thing, Mapping):
        if thing.get("array") is not None and "sampling_rate" in thing:
            return np.asarray(thing["array"], np.float32), int(thing["sampling_rate"])
        if thing.get("bytes"):
            return bytes(thing["bytes"])
        if thing.get("path"):
            return Path(thing["path"])
    if hasattr(thing, "get_all_samples"):
        samples = thing.get_all_samples()
        return samples.data.numpy().T, int(samples.sample_rate)
    return thing


def _plain(row: Any, number: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A row's columns as JSON has them, and what is to be said of those that have no such form and are left out.

    What is absent, and what is not a number, is left out without a word.
    """
    if not isinstance(row, Mapping):
        raise UsageError(f"the metadata of item {number} are {type(row).__name__}; they should be a mapping of columns")
    values: dict[str, Any] = {}
    dropped = []
    for name, given in row.items():
        try:
            value = _value(given)
        except _NoValueError as error:
            dropped.append(f"column {str(name)[:80]!r} was left out where it holds {error}")
            continue
        if value is not None:
            values[str(name)] = value
    return values, tuple(dropped)


class _NoValueError(Exception):
    """A value that JSON has no form for; says what it is."""


def _value(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it: dates as ISO 8601, spans of time in seconds, decimals as numbers, bytes as their text."""
    if depth > DEEPEST:
        raise _NoValueError(f"values more than {DEEPEST} deep")
    if hasattr(value, "as_py"):  # a value of Arrow
        value = value.as_py()
    if isinstance(value, np.datetime64):  # whose item() would be a number of nanoseconds
        return None if np.isnat(value) else str(value)
    if isinstance(value, np.timedelta64):
        return None if np.isnat(value) else float(value / np.timedelta64(1, "s"))
    if isinstance(value, np.generic):
        value = value.item()
    if _is_missing(value):
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > WIDEST:
        raise _NoValueError("whole numbers of hundreds of digits")
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise _NoValueError("bytes that are no text") from None
    if isinstance(value, np.ndarray):
        return _value(value.tolist(), depth)
    if isinstance(value, Mapping):
        return {str(name): _value(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(one, depth + 1) for one in value]
    try:
        return str(value.isoformat() if hasattr(value, "isoformat") else value)
    except Exception:  # whatever an object's own method raises
        raise _NoValueError(f"a {type(value).__name__} that cannot be written") from None
