"""What the field of a filter is in a collection: which names there are, which labels may have, where each lies."""

from __future__ import annotations

from typing import Final

from embed.errors import FilterError, UsageError
from indexes import where as filters

__all__ = ["COLUMNS", "MEASURED", "NUMBERS", "check_field", "check_label", "column_of", "of_source"]

COLUMNS: Final = {
    "path": "s.path",
    "row": "s.row",
    "size": "s.size",
    "modality": "i.modality",
    "start": "i.start",
    "end": "i.end",
    "text": "coalesce(i.text, c.text)",
}
OF_PARTS: Final = frozenset({"start", "end", "text"})
"""What parts of one content may differ in."""
MEASURED: Final = frozenset(
    {"bytes", "channels", "characters", "duration", "format", "height", "lines", "remarks", "sample_rate", "width"}
)
"""What the media may know of themselves."""
NUMBERS: Final = (MEASURED - {"format", "remarks"}) | {"end", "row", "size", "start"}
"""What of a file is a number."""


def check_label(field: str) -> None:
    """Raise ``UsageError`` where labels of this name could not be filtered by, or would hide what media tell."""
    if field in MEASURED:
        raise UsageError(f"the field {field!r} is what files tell of themselves; call the labels something else")
    check_field(field)


def check_field(field: str) -> None:
    """Raise ``UsageError`` for a name that a filter could not use, or that already means something else there."""
    if field in COLUMNS:
        raise UsageError(f"the field {field!r} is there already, of every file; call the labels something else")
    try:
        filters.json_path(field)
    except FilterError as error:
        raise UsageError(f"labels cannot be called {field!r}: {error.reason}") from None
    if not field.strip():
        raise UsageError("labels need a field to be in, such as tag")


def column_of(field: str) -> tuple[str, list[object]]:
    """Where a filter's field lies: side-table columns first, then labels and what the media know of themselves."""
    path = filters.json_path(field)
    sides: list[str] = ["json_extract(s.metadata, ?)", "json_extract(c.facts, ?)"]
    if field in COLUMNS:
        sides.append(COLUMNS[field])
    return f"coalesce({', '.join(sides)})", [path, path]


def of_source(field: str) -> tuple[str, list[object]] | None:
    """The same of a ``s``ource that has its content's facts as well; None where parts of a content may differ in it.

    A modality is left out: whoever asks knows which one.
    """
    if field in OF_PARTS:
        return None
    sql, bound = column_of(field)
    return sql.replace("c.facts", "s.facts").replace(f", {COLUMNS['modality']}", ""), bound
