"""Where the recordings of a file lie: behind a tag, one after another, and in front of what is no part of them.

Players pass over an ID3v2 tag in front of any format, play Ogg files and MP3s that were joined byte by byte as one,
take a size of a WAV that a writer to a pipe left as a placeholder, and stop at the end, whatever lies behind it. Here
each recording of such a file becomes a file of its own, so that a decoder, and ``embed.formats.integrity``, meet one
whole recording at a time. Only headers are read, and for MPEG audio every frame's.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from embed.formats import integrity
from embed.formats.chains import flacs, forms, frames, oggs, waves
from embed.formats.ends import (
    end_of_au,
    end_of_boxes,
    end_of_caf,
    end_of_elements,
    end_of_objects,
    end_of_riff,
    end_of_tta,
    end_of_w64,
)
from embed.formats.stretches import Layout, Link, read_at, view
from embed.formats.tags import behind_tags, notes_of_rest, tail

__all__ = ["lay_out", "locks"]

ASF_LOCKS: Final = tuple(
    map(bytes.fromhex, ("fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c"))
)  # the Content Encryption Object and its extended kind


def lay_out(file: BinaryIO) -> Layout:
    """What lies where in a file; leaves it at its beginning."""
    size = file.seek(0, 2)
    start = behind_tags(file, size)
    kind = integrity.kind_of(read_at(file, start, 64))
    if start and kind not in integrity.SOUNDS | integrity.VIDEOS:
        start, kind = 0, "mp3"
    try:
        match kind:
            case "wav":
                found = waves(file, start, size)
            case "aiff":
                found = forms(file, start, size)
            case "flac":
                found = flacs(file, start, size)
            case "ogg":
                found = oggs(file, start, size)
            case "mp3" | "aac":
                found = frames(file, start, size, kind)
            case "mp4":
                found = _up_to(file, start, size, end_of_boxes(file, start, size))
            case "mkv" | "webm":
                found = _up_to(file, start, size, end_of_elements(file, start, size))
            case "avi":
                found = _up_to(file, start, size, end_of_riff(file, start, size))
            case "wma":
                found = _up_to(file, start, size, end_of_objects(file, start, size))
            case "au":
                found = _up_to(file, start, size, end_of_au(file, start))
            case "caf":
                found = _up_to(file, start, size, end_of_caf(file, start, size))
            case "w64":
                found = _up_to(file, start, size, end_of_w64(file, start))
            case "tta":
                found = _up_to(file, start, size, end_of_tta(file, start))
            case "ac3" | "amr" | "ape":
                found = _up_to(file, start, size, tail(file, start, size))
            case _:
                found = None
    except (struct.error, ValueError):
        found = None
    finally:
        file.seek(0)
    if found is None:
        found = Layout(kind, [Link(file if not start else view(file, start, size))])
    found.kind = kind
    return found


def _up_to(file: BinaryIO, start: int, size: int, end: int | None) -> Layout | None:
    """One recording from ``start`` to ``end``; None where that is all of the file, or not known."""
    if end is None or end >= size:
        return None
    return Layout(None, [Link(view(file, start, end))], notes_of_rest(file, end, size))


def locks(file: BinaryIO, kind: str | None) -> set[str]:
    """The encrypted codings that a file's index names: "drms", "enca" (sound), "drmi", "encv" (pictures), or "asf"."""
    size = file.seek(0, 2)
    found: set[str] = set()
    if kind == "wma":
        head = read_at(file, 0, 1 << 16)
        found = {"asf"} if any(lock in head for lock in ASF_LOCKS) else found
    here = 0
    while kind == "mp4" and here + 8 <= size:
        length, name = struct.unpack(">I4s", read_at(file, here, 8))
        if length == 1 and here + 16 <= size:
            (length,) = struct.unpack(">Q", read_at(file, here + 8, 8))
        if name == b"moov":
            index = read_at(file, here, min(length or size, 1 << 24))
            at = -1
            while (at := index.find(b"stsd", at + 1)) >= 0:  # then version, count, and the first entry's length
                coding = index[at + 16 : at + 20]
                if coding in (b"drms", b"drmi", b"enca", b"encv"):
                    found.add(coding.decode("ascii"))
        if length < 8:
            break
        here += length
    file.seek(0)
    return found
