"""Generations of vector files, and which rows of one were carried over to the next."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from indexes.durable import write_atomically

__all__ = ["generation", "note_stayed", "stayed"]

COUNT: Final = 8  # bytes of the number of rows, before a bit for each


def generation(file: str) -> int:
    """Which of the files that vectors were in, one after another: the number at the end of its name.

    >>> generation("5ca5fb5cd876-audio-12.f32")
    12
    """
    return int(re.findall(r"\d+", file.rsplit(".", 1)[0])[-1])


def _note(indexes: Path, file: str) -> Path:
    return indexes / f"{Path(file).stem}.stayed"


def note_stayed(indexes: Path, file: str, rows: npt.NDArray[np.bool_]) -> None:
    """Keep which ``rows`` ``(n,)`` of the generation before a vector file's were carried over to it, in order.

    Whoever keeps something of each row can carry that over too.
    """
    content = np.array([len(rows)], "<i8").tobytes() + np.packbits(rows).tobytes()
    write_atomically(_note(indexes, file), content)


def stayed(indexes: Path, file: str) -> npt.NDArray[np.bool_] | None:
    """What ``note_stayed`` kept of a file, bool ``(n,)``; None where it was not compacted, or nobody knows."""
    try:
        content = _note(indexes, file).read_bytes()
    except OSError:
        return None
    if len(content) < COUNT:
        return None
    rows = int(np.frombuffer(content[:COUNT], "<i8")[0])
    if not 0 <= rows <= 8 * (len(content) - COUNT):
        return None
    return np.unpackbits(np.frombuffer(content[COUNT:], np.uint8), count=rows).astype(np.bool_)
