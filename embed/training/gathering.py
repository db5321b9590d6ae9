"""The sounds that a student learns from: gathered from files once, and those of them that are held out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import decode
from embed.encoder import AudioInput
from embed.errors import MediaError, UsageError, one_line
from embed.listener import Listener
from embed.logmag import LogMagnitudes
from embed.media import Media, content_hash
from embed.several import several
from embed.training.mixing import Recordings, Samples

__all__ = ["MEL", "Phase", "Sounds", "gather", "held_out", "write_whole"]

MEL: Final = LogMagnitudes()
LONGEST: Final = 600.0  # seconds of one file that are used
SHORTEST: Final = 0.02
SILENT: Final = 1e-4
FEWEST: Final = 20  # files


class Phase:
    """A phase of which is known how far it is, also where an earlier run did the first part."""

    def __init__(self, listener: Listener, name: str, total: int) -> None:
        self.listener = listener
        self.at = 0
        listener.phase(name, total)

    def reach(self, count: int) -> None:
        """So many items are through, all in all. Raises ``Cancelled``."""
        self.listener.advance(count - self.at)
        self.at = count
        self.listener.check()


@dataclass(frozen=True)
class Sounds:
    """The sounds of a folder: what can be mixed, and each one's path and hash of its content."""

    recordings: Recordings
    paths: list[str]
    contents: list[str]


def gather(paths: str | Iterable[str], work: Path, listener: Listener) -> Sounds:
    """Decode sounds into ``work``, mono at 16 kHz, the first ten minutes of each; one that is there twice counts once.

    What was gathered before is what counts. Raises ``UsageError`` where fewer than 20 can be used.
    """
    table, samples = work / "sounds.json", work / "sounds.i16"
    if not table.is_file():
        _decode(list(several(paths)), samples, table, listener)
    rows = json.loads(table.read_text("utf-8"))
    starts, lengths = (np.array([row[key] for row in rows], dtype=np.int64) for key in ("start", "length"))
    recordings = Recordings(np.memmap(samples, np.int16, "r"), starts, lengths)
    return Sounds(recordings, [row["path"] for row in rows], [row["content"] for row in rows])


def _decode(paths: list[str], samples: Path, table: Path, listener: Listener) -> None:
    rows: dict[str, dict[str, Any]] = {}
    start = 0
    phase = Phase(listener, "sounds", len(paths))
    with samples.open("wb") as out:
        for number, path in enumerate(paths):
            phase.reach(number)
            media = Media.from_path(path, "audio")
            try:
                content = content_hash(media)
                if content in rows:
                    continue
                found = _samples(media)
            except MediaError as error:
                listener.skipped(error.name, error.reason)
                continue
            except Exception as error:  # a decoder's own surprise is this file's trouble, not the run's
                listener.skipped(path, f"cannot be decoded: {one_line(error, named=True)}")
                continue
            out.write((found / max(np.abs(found).max(), 1.0) * 32767.0).astype(np.int16).tobytes())
            rows[content] = {"path": path, "content": content, "start": start, "length": len(found)}
            start += len(found)
        phase.reach(len(paths))
    if len(rows) < FEWEST:
        raise UsageError(
            f"{len(rows)} different sounds can be used; a student needs at least {FEWEST}, better hundreds"
        )
    write_whole(table, json.dumps(list(rows.values())).encode())


def _samples(media: Media) -> Samples:
    # The second part is asked for as well: only then is it told that a file is damaged.
    first, *_ = islice(decode.parts(media, audio=AudioInput(MEL.rate, LONGEST)), 2)
    assert first.array is not None
    if len(first.array) < SHORTEST * MEL.rate:
        raise MediaError(media.name, f"is shorter than {SHORTEST:g} s")
    if np.abs(first.array).max() < SILENT:
        raise MediaError(media.name, "is silent")
    return first.array


def held_out(sounds: Sounds) -> npt.NDArray[np.bool_]:
    """Which sounds to compare on: a tenth, at least five, by a hash of their content.

    Sounds of one folder whose names differ only in digits are taken for takes of one source and stay together, unless
    they make up a twentieth of all: names such as ``0001.wav`` say nothing.
    """
    groups: dict[str, list[int]] = {}
    for number, path in enumerate(sounds.paths):
        stem = re.sub(r"[\d\W_]+", "", Path(path).stem).lower()
        groups.setdefault(f"{Path(path).parent}/{stem}" if stem else path, []).append(number)
    most = max(2, len(sounds.paths) // 20)
    takes = [group for group in groups.values() if len(group) <= most]
    takes += [[number] for group in groups.values() if len(group) > most for number in group]
    chosen = np.zeros(len(sounds.paths), dtype=bool)
    for group in sorted(takes, key=lambda group: min(_shuffled(sounds.contents[number]) for number in group)):
        if chosen.sum() >= max(5, len(chosen) / 10):
            break
        chosen[group] = True
    return chosen


def _shuffled(content: str) -> bytes:
    return hashlib.blake2b(content.encode(), digest_size=8).digest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there wholly or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)
