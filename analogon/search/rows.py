"""Items, one after another, of whatever holds them: lists, arrays, data frames, Arrow tables, parquet, data sets."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from embed.errors import MediaError, UsageError, one_line
from embed.space import Vectors

__all__ = ["Given", "rows_of"]

BLOCK: Final = 1024  # rows of a table that are turned into Python at a time
VECTORS: Final = ("vector", "embedding")
THINGS: Final = (*VECTORS, "audio", "image", "video", "text", "path", "file")
"""Columns of a table that are taken for what is to be added where none is named: the first of these that is there."""
FILES: Final = ("path", "file")


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """One thing to add: what it is, the id that it goes by, its metadata, and the text of a vector that has one."""

    thing: Any
    id: str | None
    metadata: Mapping[str, Any]
    text: str | None = None


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
    metadata. All else is one thing or an iterable of them, with ``metadata`` beside: a table, or a mapping for each.

    Raises ``UsageError`` where ids or metadata are fewer or more than the things, or a column is missing.
    """
    names = None if ids is None else iter(_listed(ids, "ids"))
    fields = None if metadata is None else iter(_records(metadata))
    ending = object()
    for number, given in enumerate(_table(items, column) if _is_table(items) else map(_bare, _things(items))):
        identity, more = given.id, dict(given.metadata)
        if names is not None:
            if (found := next(names, ending)) is ending:
                raise UsageError(f"there are only {number} ids, and more items: each needs one")
            identity = _identity(found, number)
        if fields is not None:
            if (beside := next(fields, ending)) is ending:
                raise UsageError(f"there are only {number} rows of metadata, and more items: each needs one")
            more |= _plain(beside, number)
        yield Given(given.thing, identity, more, given.text)
    for left, what in ((names, "ids"), (fields, "rows of metadata")):
        if left is not None and next(left, ending) is not ending:
            raise UsageError(f"there are more {what} than items")


def _bare(thing: Any) -> Given:
    return Given(thing, None, {})


def _things(items: Any) -> Iterator[Any]:
    """What is one thing by itself, or holds several."""
    if isinstance(items, Vectors):
        return iter(items.array)
    if isinstance(items, np.ndarray) and items.ndim == 2 and items.dtype.kind == "f":
        return iter(items)
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
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise UsageError(f"the id of item {number} is {value!r}; an id is a text or a whole number")
    return str(value)


# -- tables ----------------------------------------------------------------------------------------------------------


def _is_table(items: Any) -> bool:
    if isinstance(items, os.PathLike):
        return Path(items).suffix.lower() == ".parquet"
    if isinstance(items, Sequence) and not isinstance(items, str) and items and isinstance(items[0], Mapping):
        return True
    package = type(items).__module__.split(".")[0]
    return package in ("pandas", "polars", "pyarrow", "datasets") and not hasattr(items, "get_all_samples")


def _records(table: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a table as mappings, a block at a time. Raises ``UsageError`` for what is none."""
    package = type(table).__module__.split(".")[0]
    if isinstance(table, os.PathLike):
        yield from _parquet(Path(table))
    elif package == "pandas" and hasattr(table, "iloc") and hasattr(table, "columns"):
        for start in range(0, len(table), BLOCK):
            yield from table.iloc[start : start + BLOCK].to_dict("records")
    elif package == "polars" and hasattr(table, "iter_rows"):
        yield from table.iter_rows(named=True)
    elif package == "pyarrow" and hasattr(table, "to_batches"):
        for batch in table.to_batches(max_chunksize=BLOCK):
            yield from batch.to_pylist()
    elif package == "pyarrow" and hasattr(table, "to_pylist") and hasattr(table, "schema"):
        yield from table.to_pylist()
    elif package == "pyarrow" and hasattr(table, "read_next_batch"):
        for batch in table:
            yield from batch.to_pylist()
    elif package in ("pandas", "polars", "pyarrow"):
        raise UsageError(f"a {package} {type(table).__name__} is no table: give a data frame")
    elif isinstance(table, Mapping | str) or not isinstance(table, Iterable):
        raise UsageError(f"metadata are a table, or a list with a mapping for each item, not {type(table).__name__}")
    else:
        for number, row in enumerate(table):
            if not isinstance(row, Mapping):
                raise UsageError(f"row {number} of a table is {type(row).__name__}; it should be a mapping of columns")
            yield row


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        for batch in parquet.ParquetFile(path).iter_batches(BLOCK):
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
            thing = np.asarray(thing, np.float32) if thing is not None else None
            if isinstance(others.get("text"), str):
                text = others.pop("text")
        elif chosen in FILES and isinstance(thing, str):
            thing = folder / thing
        missing = identity is None or (isinstance(identity, float) and math.isnan(identity))
        yield Given(_heard(thing), None if missing else _identity(identity, number), _plain(others, number), text)


def _is_numbers(thing: Any) -> bool:
    return isinstance(thing, list) and bool(thing) and isinstance(thing[0], float)


def _heard(thing: Any) -> Any:
    """A cell as an item: data sets keep a sound or a picture as an object, or as a mapping of its bytes."""
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


def _plain(row: Any, number: int) -> dict[str, Any]:
    """A row's columns as JSON has them; what is absent, and what is not a number, is left out."""
    if not isinstance(row, Mapping):
        raise UsageError(f"the metadata of item {number} are {type(row).__name__}; they should be a mapping of columns")
    values = {str(name): _value(value) for name, value in row.items()}
    return {name: value for name, value in values.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    shown = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return None if shown in ("NaT", "<NA>") else shown
