"""One where several may be given: a text, a path, a table or an encoder alone counts as a list of one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from embed.errors import UsageError
from embed.space import Space

__all__ = ["several"]

T = TypeVar("T")


def several(given: Iterable[T] | os.PathLike[str]) -> tuple[T, ...]:
    """What was given, as a tuple; a text, a path or a mapping is one thing and not what it could be taken apart to,
    and so is an encoder, or a space; None is none. Raises ``UsageError`` for what is no such thing.

    >>> several("starter"), several(["starter", "clip"]), several({"family": "toy"}), several(())
    (('starter',), ('starter', 'clip'), ({'family': 'toy'},), ())
    """
    alone: Any = given
    if isinstance(alone, str | bytes | os.PathLike | Mapping | Space) or hasattr(alone, "encode_batch"):
        return (alone,)
    if alone is None:
        return ()
    if not isinstance(alone, Iterable):
        raise UsageError(f"{alone!r} is neither a name nor an encoder, nor several of them")
    return tuple(alone)
