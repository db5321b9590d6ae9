"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embed.errors import AnalogonError, UsageError

__all__ = ["new_folder", "refuse_existing"]


def refuse_existing(target: Path) -> None:
    """Raise ``UsageError`` where ``target`` is there and is no empty folder."""
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageError(f"{target} is there already; name a new or an empty folder")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` to write into, which becomes ``target`` when the block ends without an error.

    Raises ``UsageError`` at once where ``target`` is there and is no empty folder, and ``AnalogonError`` where the disk
    refuses; then nothing of it is left behind.
    """
    refuse_existing(target)
    target = target.absolute()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                with path.open("r+b") as file:  # Windows brings to disk only what is open for writing
                    os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise AnalogonError(f"{target}: cannot be written: {error.strerror or error}{where}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
