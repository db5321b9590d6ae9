"""One where several may be given: a text, a path, a table or an encoder alone counts as a list of one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

__all__ = ["several"]

T = TypeVar("T")


def several(given: Iterable[T] | os.PathLike[str]) -> tuple[T, ...]:
    """What was given, as a tuple; a text, a path or a mapping is one thing and not what it could be taken apart to,
    and so is an encoder.

    >>> several("starter"), several(["starter", "clip"]), several({"family": "toy"}), several(())
    (('starter',), ('starter', 'clip'), ({'family': 'toy'},), ())
    """
    alone: Any = given
    if isinstance(given, str | bytes | os.PathLike | Mapping) or hasattr(given, "encode_batch"):
        return (alone,)
    return tuple(given)
