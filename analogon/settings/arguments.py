"""Arguments of public functions: one value where several are taken, and old names, refused with the new ones."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

import embed.several
from embed.encoder import Encoder
from embed.errors import UsageError

__all__ = ["EncoderName", "several", "superseded", "superseded_attributes", "superseded_keywords"]

P = ParamSpec("P")
R = TypeVar("R")
EncoderName = str | os.PathLike[str] | Mapping[str, Any] | Encoder
"""What names an encoder, and with it its space, as ``embed.load`` takes it."""


@overload
def several(values: str | Sequence[str]) -> tuple[str, ...]: ...
@overload
def several(values: EncoderName | Sequence[EncoderName]) -> tuple[EncoderName, ...]: ...
def several(values: Any) -> tuple[Any, ...]:
    """The values of an argument that takes one or several: a string, a path or a table is one.

    >>> several("starter"), several(["clap", "clip"])
    (('starter',), ('clap', 'clip'))
    """
    return embed.several.several(values)


def superseded(old: str, new: str) -> str:
    """What to say where somebody uses a name that was given up.

    >>> superseded("by='sound'", "by='content'")
    "by='sound' is by='content' now; CHANGELOG.md has the full table of new names"
    """
    return f"{old} is {new} now; CHANGELOG.md has the full table of new names"


def superseded_keywords(**new_of: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have a function refuse old keywords with ``UsageError``, which names the new: ``old="new"``."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **keywords: P.kwargs) -> R:
            for old, new in new_of.items():
                if old in keywords:
                    raise UsageError(superseded(f"{old}=", f"{new}="))
            return function(*args, **keywords)

        return call

    return decorate


def superseded_attributes(owner: str, **new_of: str) -> Callable[[Any, str], Any]:
    """A ``__getattr__`` that says which attribute took an old one's place."""

    def missing(self: Any, name: str) -> Any:
        if name in new_of:
            raise AttributeError(superseded(f"{owner}.{name}", f"{owner}.{new_of[name]}"))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    return missing
