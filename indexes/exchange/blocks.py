"""Rows in blocks, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from indexes import exchange

__all__ = ["blocks"]

T = TypeVar("T")


def blocks(rows: Iterable[T]) -> Iterator[list[T]]:
    """The rows in order, in lists of ``exchange.ROWS``; the last may be shorter."""
    rest = iter(rows)
    while block := list(islice(rest, exchange.ROWS)):
        yield block
