"""Rows in blocks, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

__all__ = ["ROWS", "blocks"]

ROWS: Final = 1024  # rows of a row group, and of a block that is read or written
T = TypeVar("T")


def blocks(rows: Iterable[T]) -> Iterator[list[T]]:
    """The rows in order, in lists of ``ROWS``; the last may be shorter."""
    rest = iter(rows)
    while block := list(islice(rest, ROWS)):
        yield block
