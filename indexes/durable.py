"""Writes that a kill or a loss of power leaves whole: the old content or the new, never a part.

On Windows a file that anybody has open may neither be replaced nor deleted, and folders cannot be brought to disk.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = [
    "REPLACES_MAPPED",
    "in_use",
    "read_whole",
    "remove",
    "replace",
    "replacing",
    "sync_folder",
    "write_atomically",
]

REPLACES_MAPPED: Final = hasattr(os, "O_DIRECTORY")
"""Whether a file can be replaced while it is mapped into memory: everywhere but on Windows."""
IN_USE: Final = (5, 32, 33, 1224)  # winerror: access denied, sharing violation, lock violation, mapped section
PATIENCE: Final = 2.0  # seconds in which a reader of a small file is done with it


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any instant either the old or the new content is there, whole."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to: when the block ends well it is on disk and takes its place."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows brings to disk only what is open for writing
            os.fsync(file.fileno())
        replace(temporary, path)
        sync_folder(path.parent)
    finally:
        remove(temporary)


def replace(temporary: Path, path: Path) -> None:
    """Put a file in another's place; where somebody has that open and Windows refuses, a little later."""
    _patiently(lambda: temporary.replace(path))


def read_whole(path: Path) -> bytes:
    """The content of a file that may be replaced at this instant."""
    found: list[bytes] = []
    _patiently(lambda: found.append(path.read_bytes()))
    return found[0]


def _patiently(work: Callable[[], object]) -> None:
    until, pause = time.monotonic() + PATIENCE, 0.001
    while True:
        try:
            work()
            return
        except PermissionError as error:
            if not in_use(error) or time.monotonic() > until:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


def in_use(error: OSError) -> bool:
    """Whether Windows refused because somebody has the file open."""
    return getattr(error, "winerror", None) in IN_USE


def remove(path: Path) -> bool:
    """Delete a file if it is there; gives whether it is gone: Windows keeps one that somebody has open."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError as error:
        if not in_use(error):
            raise
        return False
    return True


def sync_folder(path: Path) -> None:
    """Bring a folder's list of names to disk: files made, replaced or gone."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
