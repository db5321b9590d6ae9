"""Stretches of a file: bytes at an offset, and the recordings in it, each as a file of its own."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

__all__ = ["Layout", "Link", "read_at", "view"]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One recording as a file of its own; ``seconds`` where its frames had to be counted."""

    file: BinaryIO
    seconds: float | None = None


@dataclass(slots=True, eq=False)
class Layout:
    """The recordings of a file, at least one, and what should be said of it; ``kind`` is that of the first."""

    kind: str | None
    links: list[Link]
    notes: list[str] = field(default_factory=list)


class _View(io.RawIOBase):
    """A stretch of a file as a file of its own, with other bytes put before it."""

    def __init__(self, file: BinaryIO, start: int, end: int, before: bytes = b"") -> None:
        self._file, self._start, self._before = file, start, before
        self._size = len(before) + end - start
        self._here = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._here

    def seek(self, offset: int, whence: int = 0) -> int:
        here = offset + (0, self._here, self._size)[whence]
        if here < 0:
            raise ValueError(f"a negative offset: {here}")
        self._here = here
        return here

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        if self._here < len(self._before):
            head = self._before[self._here : self._here + len(view)]
            view[: len(head)] = head
            done = len(head)
            self._here += done
        wanted = min(len(view) - done, self._size - self._here)
        if wanted > 0:
            self._file.seek(self._start + self._here - len(self._before))
            body = self._file.read(wanted)
            view[done : done + len(body)] = body
            self._here += len(body)
            done += len(body)
        return done


def view(file: BinaryIO, start: int, end: int, before: bytes = b"") -> BinaryIO:
    """The bytes from ``start`` to ``end`` as a file of its own, behind those of ``before``."""
    return cast(BinaryIO, io.BufferedReader(_View(file, start, end, before), 1 << 16))


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """The bytes at an offset, fewer where the file ends."""
    file.seek(offset)
    return file.read(length)
