"""What every door asks: a request is a frozen dataclass that reads itself from JSON and refuses what it does not know.

A request is made in Python, from the words of a command line, or from JSON, and is the same each time; ``run`` does it.
A result has ``to_json``. A door parses, calls ``run`` and shows::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Search(Request):
        query: str
        k: int = 10

        def run(self, library: Library) -> Hits: ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from embed.errors import UsageError

__all__ = ["Request"]


class Request:
    """The base of all requests: frozen dataclasses of JSON's own types, paths, literals, and tuples of them."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """In Python a string may stand for a path, one value for several, and a list for a tuple."""
        for field in fields(self):  # type: ignore[arg-type]
            given = getattr(self, field.name)
            made, kind = given, str(field.type)
            if kind.startswith("tuple[") and given is not None and not isinstance(given, tuple):
                made = tuple(given) if isinstance(given, list) else (given,)
            if kind.startswith("tuple[Path"):
                made = tuple(Path(one) if isinstance(one, str) else one for one in made)
            elif kind.startswith("Path") and isinstance(given, str):
                made = Path(given)
            if made is not given:
                object.__setattr__(self, field.name, made)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """A request from JSON's object; what is left out has its default.

        Raises ``UsageError`` in one line for a name that the request has not, a value of another type, or one missing.
        """
        from pydantic import ValidationError

        try:
            made: Self = _adapter_of(cls).validate_json(json.dumps(dict(written), allow_nan=False), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "request"
            if first["type"] == "unexpected_keyword_argument":
                known = ", ".join(getattr(cls, "__dataclass_fields__", ()))
                raise UsageError(f"{cls.__name__.lower()} knows no {place!r}; it knows: {known}") from None
            if first["type"] == "missing":
                raise UsageError(f"{cls.__name__.lower()} needs {place!r}") from None
            what = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"{cls.__name__.lower()}, {place}: {what[:1].lower()}{what[1:]}") from None
        except (TypeError, ValueError) as error:
            raise UsageError(f"{cls.__name__.lower()}: not JSON ({error})") from None
        return made

    def to_json(self) -> dict[str, Any]:
        """The inverse of ``from_json``: every field by its name, as JSON's own types."""
        dumped: dict[str, Any] = _adapter_of(type(self)).dump_python(self, mode="json")
        return dumped


def _adapter(cls: type) -> Any:
    # Imported late: reading a request from JSON is what servers do, and a command should not wait for it.
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


_adapter_of: Final[Callable[[Any], Any]] = cache(_adapter)
