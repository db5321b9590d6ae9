"""Rows in blocks, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

__all__ = ["ROWS", "blocks", "rows_at_once"]

ROWS: Final = 1024  # rows of a row group, and of a block that is read or written
COMMIT_ROWS: Final = 1 << 14  # the most rows that are committed at once, where vectors are short
COMMIT_BYTES: Final = 1 << 23  # of the vectors that are committed at once
T = TypeVar("T")


def blocks(rows: Iterable[T], size: int | None = None) -> Iterator[list[T]]:
    """The rows in order, in lists of ``size``, or of ``ROWS``; the last may be shorter.

    Those before an error are given before it is raised.
    """
    rest, size = iter(rows), size or ROWS
    block: list[T] = []
    while True:
        fault = None
        try:
            block.extend(islice(rest, size))
        except Exception as error:
            fault = error
        full = len(block) == size
        if block:
            yield block
        if fault is not None:
            raise fault
        if not full:
            return
        block = []


def rows_at_once(dim: int) -> int:
    """How many rows of vectors of ``dim`` components to commit at once: many, as each commit waits for the disk."""
    return max(1, min(COMMIT_ROWS, COMMIT_BYTES // (4 * dim)))
