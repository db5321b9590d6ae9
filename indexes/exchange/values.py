"""Values of a foreign row, checked; each raises ``MediaError`` with a reason, and whoever knows the row adds it."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embed.errors import MediaError, one_line
from embed.media import MODALITIES, Modality, Span

__all__ = ["Fields", "json_object", "known_hash", "modality", "number", "plain", "resolved", "row_number", "span"]

Fields = dict[str, Any]


def modality(value: object) -> Modality:
    """One of the modalities."""
    for known in MODALITIES:
        if value == known:
            return known
    raise MediaError("", f"its modality is {value!r}; it should be one of {', '.join(MODALITIES)}")


def number(value: Any) -> float | None:
    """A number, or None where there is none."""
    return None if value is None or math.isnan(value) else float(value)


def row_number(value: Any) -> int | None:
    """A whole number from 0, or None where there is none."""
    found = number(value)
    if found is None:
        return None
    if found < 0 or not found.is_integer():  # infinity is none either
        raise MediaError("", f"its row is {value}; it should be a whole number from 0")
    return int(found)


def span(fields: Mapping[str, Any]) -> Span | None:
    """The span from ``start`` to ``end``, or None where both are absent."""
    start, end = number(fields.get("start")), number(fields.get("end"))
    if start is None and end is None:
        return None
    if start is None or end is None or not 0 <= start <= end < math.inf:
        raise MediaError("", f"its span is {start} to {end}: it should have a start and a later end")
    return Span(start, end)


def known_hash(value: object) -> str | None:
    """A content's hash as ``embed.media.content_hash`` gives it; other people's hashes say nothing here."""
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) else None


def json_object(value: str | None, name: str) -> Fields | None:
    """A JSON object from a string, or None where there is none."""
    if not value:
        return None
    try:
        found = json.loads(value, parse_constant=lambda _: None)  # SQLite's JSON knows no NaN
    except ValueError as error:
        raise MediaError("", f"its {name} are not JSON: {one_line(error)}") from None
    if not isinstance(found, dict):
        raise MediaError("", f"its {name} should be a JSON object, not {value[:60]}")
    return found


def plain(metadata: Mapping[str, Any]) -> Fields:
    """Values as JSON has them: dates and the like as strings; what is absent, or not a number, is left out."""
    values = {str(name): _plain(value) for name, value in metadata.items()}
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if type(value) is str or type(value) is int:  # most are, and for a Mapping Python looks long
        return value
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def resolved(path: str, folder: Path) -> str:
    """A relative path made absolute where the file is there: from the working directory, or from ``folder``."""
    if not os.path.isabs(path):
        for base in (Path(), folder):
            if (base / path).exists():
                return str((base / path).absolute())
    return path
