"""What of a picture file its decoder is shown: the picture alone, without what would only make it stumble.

Viewers show a picture whose metadata is too large or damaged, that has something behind its end or lacks the mark of
it, or whose header gives a wrong size. Decoders refuse some of these files. Here each format's own structure says
where the picture is; nothing is decoded.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, BinaryIO, Final, cast

__all__ = ["ANIMATED", "Salvaged", "jpeg_coding", "jpeg_endings", "jpeg_with_more", "jpeg_without_metadata", "salvaged"]

METADATA_BYTES: Final = 1 << 24  # of one block of metadata, inflated; larger ones say nothing
TAIL: Final = 4096
BOXES: Final = frozenset({b"ftyp", b"meta", b"mdat", b"moov", b"moof", b"free", b"skip", b"wide", b"uuid", b"styp"})
WEBP_CHUNKS: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"XMP "})
ANIMATED: Final = "is animated; only its first picture was read"
NO_END: Final = "ends without its end mark; all of its pixels are there"

Note = Callable[[str], None]


@dataclass(slots=True)
class Salvaged:
    """What the decoder reads, and metadata (as in Pillow's ``info``) that was read here instead.

    ``cut`` is set where the structure alone tells that the picture is cut short; ``unsupported`` says what it is where
    no decoder here reads it.
    """

    file: BinaryIO
    info: dict[str, Any] = field(default_factory=dict)
    cut: bool = False
    unsupported: str = ""


class _Spliced(io.RawIOBase):
    """Stretches of a file (start and end) and bytes of our own, one after another, as one file."""

    def __init__(self, file: BinaryIO, pieces: Sequence[bytes | tuple[int, int]]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if _length(piece)]
        self._starts = [0, *accumulate(_length(piece) for piece in self._pieces)]
        self._here = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._here

    def seek(self, offset: int, whence: int = 0) -> int:
        self._here = max(0, offset + (0, self._here, self._starts[-1])[whence])
        return self._here

    def readinto(self, buffer: Any) -> int:
        if self._here >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._here) - 1
        piece, inside = self._pieces[number], self._here - self._starts[number]
        count = min(len(buffer), _length(piece) - inside)
        if isinstance(piece, bytes):
            block = piece[inside : inside + count]
        else:
            self._file.seek(piece[0] + inside)
            block = self._file.read(count)
        buffer[: len(block)] = block
        self._here += len(block)
        return len(block)


def _length(piece: bytes | tuple[int, int]) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


def _spliced(file: BinaryIO, pieces: Sequence[bytes | tuple[int, int]]) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Spliced(file, pieces)))


def salvaged(file: BinaryIO, kind: str, note: Note) -> Salvaged:
    """The picture in a file of that kind, which begins at the file's beginning; ``note`` is told what was passed over.

    What is cut short stays so: that is the decoder's to find.
    """
    size = file.seek(0, 2)
    try:
        match kind:
            case "png":
                return _png(file, size, note)
            case "webp":
                return _webp(file, size, note)
            case "avif" | "heic":
                return _boxes(file, size, note)
            case "jpeg":
                _jpeg(file, size, note)
            case "gif":
                _gif(file, size, note)
    finally:
        file.seek(0)
    return Salvaged(file)


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _behind(file: BinaryIO, end: int, size: int, note: Note) -> None:
    """Tell of bytes behind a picture's end, unless they are padding or the index that a phone appends."""
    if end >= size:
        return
    film = b"ftyp" in _at(file, end, TAIL)[4:] or b"ftyp" in _at(file, max(end, size - (1 << 16)), 1 << 16)
    last = _at(file, max(end, size - TAIL), TAIL)
    if film:
        note("has a film behind the picture; only the picture was read")
    elif last.strip(b"\0\r\n ") and not last.endswith(b"SEFT"):
        note(f"has {size - end:,} bytes behind the picture's end; they were passed over")


# -- PNG


def _png(file: BinaryIO, size: int, note: Note) -> Salvaged:
    """The chunks that make the pixels; the colour profile and what may hold the orientation, read without a limit's
    making an error of them; and an end."""
    pieces: list[bytes | tuple[int, int]] = [(0, 8)]
    info: dict[str, Any] = {}
    here, colour, ended = 8, 2, False
    while here + 8 <= size and not ended:
        length, name = struct.unpack(">I4s", _at(file, here, 8))
        if not name.isalpha():
            break
        end = min(here + 8 + length, size)
        body = _at(file, here + 8, end - here - 8) if name != b"IDAT" and length <= METADATA_BYTES else b""
        if name == b"CgBI":
            return Salvaged(file, unsupported="a PNG picture in Apple's own variety (CgBI)")
        if name == b"IHDR" and len(body) == 13:
            colour = body[9]
        if name == b"acTL" and len(body) == 8 and 1 < int.from_bytes(body[:4], "big") < 1 << 16:
            note(ANIMATED)
        if name == b"IEND":
            ended = True
        elif not name[0] & 0x20:
            if name == b"IDAT" and end + 4 > size:  # the end that is added below must not read as pixels
                pieces += [struct.pack(">I4s", end - here - 8, name), (here + 8, end), bytes(4)]
            else:
                pieces.append((here, min(end + 4, size)))
        elif name in _PNG_METADATA and len(body) == length:
            crc = _at(file, end, 4)
            if len(crc) == 4 and struct.unpack(">I", crc)[0] != zlib.crc32(name + body):
                note(f"its {name.decode()} chunk fails its checksum and was left out")
            elif name == b"tRNS":
                if length >= {0: 2, 2: 6}.get(colour, 1):
                    pieces.append((here, end + 4))
            else:
                for key, value in _png_metadata(name, body).items():
                    info.setdefault(key, value)
        here = end + 4
    if not ended:
        note(NO_END)
    elif here < size:
        _behind(file, here, size, note)
    return Salvaged(_spliced(file, [*pieces, bytes(4) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))]), info)


_PNG_METADATA: Final = frozenset({b"tRNS", b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
_PNG_TEXTS: Final = frozenset({"XML:com.adobe.xmp", "Raw profile type exif"})


def _png_metadata(name: bytes, body: bytes) -> dict[str, Any]:
    """What a chunk gives to Pillow's ``info``; nothing where it is damaged, too large, or not about the pixels."""
    if name == b"eXIf":
        return {"exif": b"Exif\0\0" + body}
    key, _, rest = body.partition(b"\0")
    title = "icc_profile" if name == b"iCCP" else key.decode("latin-1")
    if name != b"iCCP" and title not in _PNG_TEXTS:
        return {}
    packed, text = name != b"tEXt", rest[1:] if name in (b"iCCP", b"zTXt") else rest
    if name == b"iTXt":
        packed = rest[:1] == b"\1"
        text = rest[2:].split(b"\0", 2)[-1]
    if packed:
        unpacker = zlib.decompressobj()
        try:
            text = unpacker.decompress(text, METADATA_BYTES)
        except zlib.error:
            return {}
        if unpacker.unconsumed_tail:
            return {}
    return {title: text if name == b"iCCP" else text.decode("utf-8" if name == b"iTXt" else "latin-1", "replace")}


# -- WebP, AVIF and HEIC


def _webp(file: BinaryIO, size: int, note: Note) -> Salvaged:
    """The chunks of a WebP, under a header that gives their size."""
    here = 12
    while here + 8 <= size:
        name, length = struct.unpack("<4sI", _at(file, here, 8))
        if name not in WEBP_CHUNKS:
            break
        here += 8 + length + (length & 1)
    if here > size + 1:
        return Salvaged(file, cut=True)
    (given,) = struct.unpack("<I", _at(file, 4, 4))
    if given + 8 not in (here, here - 1):
        note("its header gives a wrong size; all of its pixels are there")
    _behind(file, here, size, note)
    pieces: list[bytes | tuple[int, int]] = [b"RIFF" + struct.pack("<I", here - 8), (8, min(here, size))]
    return Salvaged(_spliced(file, [*pieces, bytes(max(0, here - size))]))


def _boxes(file: BinaryIO, size: int, note: Note) -> Salvaged:
    """AVIF and HEIC: the boxes before anything that is none."""
    here = 0
    while here + 8 <= size:
        length, name = struct.unpack(">I4s", _at(file, here, 8))
        if length == 1:
            (length,) = struct.unpack(">Q", _at(file, here + 8, 8).ljust(8, b"\0"))
        if length == 0:
            return Salvaged(file)
        if length < 8 or here + length > size or (here and name == b"ftyp"):
            if name in BOXES and name != b"ftyp":
                return Salvaged(file, cut=True)
            break
        here += length
    if here >= size or not here:
        return Salvaged(file)
    _behind(file, here, size, note)
    return Salvaged(_spliced(file, [(0, here)]))


# -- JPEG

JPEG_LS: Final = 0xF7
FRAMES: Final = frozenset({*range(0xC0, 0xD0), JPEG_LS}) - {0xC4, 0xC8, 0xCC}
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)


def _jpeg(file: BinaryIO, size: int, note: Note) -> None:
    """Tell of a missing end mark, and of what stands behind it. The decoder stops there by itself."""
    if _at(file, max(0, size - TAIL), TAIL).rstrip(b"\0\r\n ").endswith(b"\xff\xd9"):
        return
    end = _jpeg_walk(_at(file, 0, size)).end
    if end is None:
        note(NO_END)
    else:
        _behind(file, end, size, note)


@dataclass(slots=True)
class _Jpeg:
    """``frame`` is the marker of the frame header, ``end`` where the end mark ends, ``whole`` whether scans for every
    bit of every component have begun, ``cut`` where a segment is cut short."""

    frame: int | None = None
    bits: int = 8
    end: int | None = None
    whole: bool = False
    cut: bool = False


def _jpeg_walk(content: bytes) -> _Jpeg:
    """The segments of a JPEG (ITU-T T.81, annex B) up to its end."""
    found = _Jpeg()
    missing: dict[int, dict[int, int]] = {}  # by component and coefficient: bits that no scan has given yet
    here = 2
    while match := _MARKER.search(content, here):
        marker, here = match[1][0], match.end()
        if marker == 0xD9:
            found.end = here
            break
        if marker in (0x01, 0xD8):
            continue
        length = int.from_bytes(content[here : here + 2], "big")
        body = content[here + 2 : here + length]
        if length < 2 or here + length > len(content):
            found.cut = True
            break
        here += length
        if marker in FRAMES and len(body) >= 6:
            found.frame, found.bits = marker, body[0]
            missing = {one: dict.fromkeys(range(64), 16) for one in body[6::3]}
        elif marker == 0xDA and body:
            count = body[0]
            first, last, low = (*body[1 + 2 * count : 4 + 2 * count], 0, 63, 0)[:3]
            for one in body[1 : 1 + 2 * count : 2]:
                for coefficient in range(first, min(last, 63) + 1):
                    missing.get(one, {})[coefficient] = low & 15
    found.whole = bool(missing) and not any(left for bits in missing.values() for left in bits.values())
    return found


# Application segments that a decoder reads and their least lengths; of Photoshop's nothing is needed.
_JPEG_METADATA: Final = (
    (0xE0, b"JFIF\0", 14),
    (0xE2, b"ICC_PROFILE\0", 15),
    (0xEE, b"Adobe", 12),
    (0xED, b"", 1 << 16),
)


def jpeg_without_metadata(file: BinaryIO) -> BinaryIO | None:
    """A JPEG without the segments of metadata that are too short to be right; None where there is none to leave out."""
    size = file.seek(0, 2)
    pieces: list[bytes | tuple[int, int]] = []
    here = begin = 2
    while (head := _at(file, here, 4))[:1] == b"\xff" and len(head) == 4 and head[1] not in (0xD9, 0xDA):
        end = here + 2 + int.from_bytes(head[2:], "big")
        body = _at(file, here + 4, min(16, end - here - 4))
        if any(
            head[1] == mark and body.startswith(name) and end - here - 4 < least for mark, name, least in _JPEG_METADATA
        ):
            pieces.append((begin, here))
            begin = end
        here = end
    file.seek(0)
    return _spliced(file, [(0, 2), *pieces, (begin, size)]) if pieces else None


def jpeg_coding(file: BinaryIO) -> str:
    """The variety of a JPEG where it is not one that every viewer reads, such as "a lossless JPEG"; else empty."""
    file.seek(0)
    found = _jpeg_walk(file.read())
    if found.frame in (0xC3, 0xC7, 0xCB, 0xCF):
        return "a lossless JPEG"
    if found.frame == JPEG_LS:
        return "a JPEG-LS picture"
    if found.frame is not None and found.frame >= 0xC9:
        return "an arithmetic-coded JPEG"
    if found.frame in (0xC5, 0xC6):
        return "a hierarchical JPEG"
    return f"a JPEG of {found.bits} bits" if found.frame is not None and found.bits in (12, 16) else ""


FILLERS: Final = (b"", b"\xaa\x55\x33\xcc" * 16, b"\x00\x12\xed\x7f\x80" * 16)


def jpeg_with_more(file: BinaryIO) -> list[bytes]:
    """The bytes of a JPEG, with more in front of its end mark, in several ways; none where it has no such mark.

    A decoder makes the same picture of all of them if and only if it had all that it needs.
    """
    file.seek(0)
    content = file.read()
    found = _jpeg_walk(content)
    if found.end is None:
        return []
    body = content[: found.end - 2].rstrip(b"\xff")
    return [body + filler + b"\xff\xd9" for filler in FILLERS if filler]


def jpeg_endings(file: BinaryIO) -> list[bytes]:
    """The bytes of a JPEG that has no end mark, completed in several ways; none where a scan is missing.

    A decoder makes the same picture of all of them if and only if it needs nothing of what was added, that is, if
    every pixel was there.
    """
    file.seek(0)
    content = file.read()
    found = _jpeg_walk(content)
    if found.end is not None or found.cut or not found.whole:
        return []
    content = content.rstrip(b"\xff")
    return [content + filler + b"\xff\xd9" for filler in FILLERS]


# -- GIF


def _gif(file: BinaryIO, size: int, note: Note) -> None:
    """Tell of a missing trailer, and of what stands behind it."""
    flags = (_at(file, 10, 1) or b"\0")[0]
    here = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while here < size:
        block = _at(file, here, 10)
        if block[0] == 0x3B:
            _behind(file, here + 1, size, note)
            return
        if block[0] == 0x21:
            here += 2
        elif block[0] == 0x2C and len(block) == 10:
            here += 11 + (3 << (block[9] & 7) + 1 if block[9] & 0x80 else 0)
        else:
            return
        while (length := (_at(file, here, 1) or b"\0")[0]) and here < size:
            here += 1 + length
        here += 1
    note(NO_END)
