"""Records as the tables that people work with: pandas, polars, Arrow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from embed.errors import MissingPackage, UsageError

__all__ = ["TABLES", "TableKind", "table_of"]

TableKind = Literal["pandas", "polars", "arrow"]
TABLES: Final[tuple[TableKind, ...]] = get_args(TableKind)


def table_of(records: Sequence[Mapping[str, Any]], kind: str = "arrow") -> Any:
    """A ``pandas.DataFrame``, ``polars.DataFrame`` or ``pyarrow.Table`` with a row for each record.

    Columns are those of any record, in the order in which they first come; what a record lacks is null. Whole numbers,
    numbers, texts and truths keep their types; where a column's values are of several types, or objects, the column
    holds them as JSON. Raises ``UsageError`` for another kind, ``MissingPackage`` where its package is not installed.
    """
    import pyarrow as pa

    if kind not in TABLES:
        raise UsageError(f"there is no kind of table {kind!r}; there are: {', '.join(TABLES)}")
    names = list(dict.fromkeys(name for record in records for name in record))
    table = pa.table({name: _column([record.get(name) for record in records]) for name in names})
    if kind == "arrow":
        return table
    if kind == "pandas":
        try:
            return table.to_pandas()
        except ImportError:
            raise MissingPackage("pandas", "frames", "a data frame of pandas") from None
    try:
        import polars
    except ImportError:
        raise MissingPackage("polars", "frames", "a data frame of polars") from None
    return polars.from_arrow(table)


def _column(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and len(kinds) == 2:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if len(kinds) > 1 or dict in kinds:
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else json.dumps(value) for value in values])
