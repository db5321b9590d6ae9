"""Where a container ends, as its own structure tells: whatever lies behind is no part of it. Only headers are read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from embed.formats.stretches import read_at

__all__ = [
    "chunks",
    "end_of_au",
    "end_of_boxes",
    "end_of_caf",
    "end_of_elements",
    "end_of_objects",
    "end_of_riff",
    "end_of_tta",
    "end_of_w64",
    "placeholder",
]

ASF_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
EBML_TOP: Final = frozenset({0x1A45DFA3, 0x18538067, 0xEC, 0xBF})


def placeholder(length: int) -> bool:
    """Whether a chunk's length is what a writer to a pipe leaves, who cannot go back.

    0 and 0xFFFFFFFF are ffmpeg's; just below or at 2^31 those of sox (0x7FFFF000) and arecord (0x80000000, less what is
    no whole frame); just below 2^32 those of who subtracted the header.
    """
    return length == 0 or 0x7FFFF000 <= length <= 0x80000100 or 0xFFFFF000 <= length <= 0xFFFFFFFF


def _is_name(name: bytes) -> bool:
    """Whether four bytes can be a chunk's or a box's name."""
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def chunks(file: BinaryIO, here: int, size: int, order: str) -> Iterator[tuple[int, bytes, int]]:
    """Each chunk's offset, name and length, for as long as there are names; a forgotten pad byte is forgiven."""
    odd = False
    while here + 8 <= size:
        name, length = struct.unpack(order + "4sI", read_at(file, here, 8))
        if odd and not _is_name(name) and _is_name(read_at(file, here - 1, 4)):
            here -= 1
            name, length = struct.unpack(order + "4sI", read_at(file, here, 8))
        if not _is_name(name):
            return
        yield here, name, length
        here += 8 + length + (length & 1)
        odd = bool(length & 1)


def end_of_riff(file: BinaryIO, start: int, size: int) -> int | None:
    """Where an AVI file ends: behind its chunks, once its pictures were met."""
    end, movies = start, False
    for here, name, length in chunks(file, start, size, "<"):
        if here + 8 + length > size:
            return here if movies and not name.startswith((b"RIFF", b"LIST", b"idx1", b"JUNK")) else None
        movies = movies or name == b"RIFF"
        end = here + 8 + length + (length & 1)
    return min(end, size) if movies else None


def end_of_au(file: BinaryIO, start: int) -> int | None:
    """Where a Sun AU file's header says that its samples end; None where it does not say."""
    offset, length = struct.unpack(">II", read_at(file, start + 4, 8))
    return None if placeholder(length) else start + offset + length


def end_of_caf(file: BinaryIO, start: int, size: int) -> int | None:
    """Where the last chunk of a CAF file ends, behind ``size`` where it is cut short; None where no size is given."""
    here, end = start + 8, None
    while here + 12 <= size:
        name, length = struct.unpack(">4sq", read_at(file, here, 12))
        if not all(32 <= byte < 127 for byte in name) or (end is not None and not 0 <= length <= size - here):
            return end
        if length < 0:
            return None
        here += 12 + length
        if name == b"data" or end is not None:
            end = here
    return here if end is None and here > size else end


def end_of_w64(file: BinaryIO, start: int) -> int | None:
    """Where a Wave64 file's header says that it ends; None where it does not say."""
    (length,) = struct.unpack("<Q", read_at(file, start + 16, 8))
    return start + length if 40 < length < 1 << 62 else None


def end_of_boxes(file: BinaryIO, start: int, size: int) -> int | None:
    """Where an MP4 ends: before the first bytes that are no box, once its index and its data were met."""
    here = start
    met: set[bytes] = set()
    while here + 8 <= size:
        length, name = struct.unpack(">I4s", read_at(file, here, 8))
        if length == 1:
            (length,) = struct.unpack(">Q", read_at(file, here + 8, 8))
        whole = {b"moov", b"mdat"} <= met
        if length == 0 and _is_name(name):
            return None
        if name == b"ftyp" and whole:  # another file
            return here
        if not _is_name(name) or length < 8:
            return here if whole else None
        if here + length > size:
            return here if whole and name not in (b"moov", b"mdat", b"moof") else None
        met.add(name)
        here += length
    return here if {b"moov", b"mdat"} <= met else None


def end_of_elements(file: BinaryIO, start: int, size: int) -> int | None:
    """Where a Matroska file ends: behind its segment, where that tells its size."""
    here, segment = start, False
    while here < size:
        head = read_at(file, here, 12)
        width = 9 - head[0].bit_length()
        if int.from_bytes(head[:width], "big") not in EBML_TOP or len(head) <= width:
            return here if segment else None
        more = 9 - head[width].bit_length()
        top = 1 << 7 * more
        length = int.from_bytes(head[width : width + more], "big") & (top - 1)
        if more > 8 or length == top - 1 or here + width + more + length > size:
            return here if segment and here + width + more + length > size else None
        segment = segment or int.from_bytes(head[:width], "big") == 0x18538067
        here += width + more + length
    return None


def end_of_objects(file: BinaryIO, start: int, size: int) -> int | None:
    """Where an ASF file ends: behind its data, at an object that does not fit."""
    here, data = start, False
    while here + 24 <= size:
        head = read_at(file, here, 24)
        (length,) = struct.unpack("<Q", head[16:])
        if length < 24 or here + length > size:
            return here if data else None
        data = data or head[:16] == ASF_DATA
        here += length
    return here if data else None


def end_of_tta(file: BinaryIO, start: int) -> int | None:
    """Where a TTA ends, by its header and the sizes of its frames (True Audio, format 1)."""
    _, _, _, rate, samples, _ = struct.unpack("<HHHIII", read_at(file, start + 4, 18))
    count = -(-samples // (rate * 256 // 245)) if rate else 0
    table = read_at(file, start + 22, 4 * count)
    if len(table) < 4 * count or not count:
        return None
    sizes: tuple[int, ...] = struct.unpack(f"<{count}I", table)
    return start + 26 + 4 * count + sum(sizes)
