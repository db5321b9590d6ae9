"""Whether a media file is whole, as its container's own structure tells: sizes, checksums, end marks.

Decoders conceal damage: they skip lost pages, resynchronise, and clamp a length to what is there. These checks read
only headers (and, for Ogg and MPEG audio, one quick pass over the bytes), and never decode.
"""

from __future__ import annotations

import codecs
import contextlib
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from embed.formats.ends import end_of_au, end_of_caf, end_of_w64, placeholder
from embed.formats.stretches import read_at
from embed.media import KINDS, Modality

__all__ = [
    "PICTURES",
    "SOUNDS",
    "UNREAD_PICTURES",
    "UNREAD_SOUNDS",
    "VIDEOS",
    "Fault",
    "Parser",
    "check",
    "id3_length",
    "kind_of",
    "modalities_in",
    "parser",
]

PICTURES: Final = frozenset(kind for kind, modalities, _ in KINDS if modalities == ("image",))
# Those of a kind that may hold pictures may hold sound only, and an Ogg or ASF file is a recording most often.
VIDEOS: Final = frozenset(kind for kind, modalities, _ in KINDS if "video" in modalities) - {"ogg", "wma"}
SOUNDS: Final = frozenset(kind for kind, modalities, _ in KINDS if "audio" in modalities) - VIDEOS
# Media, but of kinds that nothing here reads.
UNREAD_SOUNDS: Final = {
    "dsdiff": "a DSD recording (DSDIFF)",
    "wavpack": "a WavPack recording",
    "midi": "a MIDI file, which holds notes and no sound",
    "realmedia": "a RealMedia file",
    "musepack": "a Musepack recording",
    "shorten": "a Shorten recording",
    "tak": "a TAK recording",
    "optimfrog": "an OptimFROG recording",
}
UNREAD_PICTURES: Final = {
    "jxl": "a JPEG XL picture",
    "jp2": "a JPEG 2000 picture",
    "psd": "a Photoshop picture",
    "raw": "a raw camera file",
    "ico": "an icon",
    "exr": "an OpenEXR picture",
    "hdr": "a Radiance picture",
    "dds": "a DirectDraw picture",
    "djvu": "a DjVu document",
}

CHUNK: Final = 1 << 20
MPEG_RATES: Final = (44100, 48000, 32000)
MPEG_BITRATES: Final = {  # kbit/s by (version 1?, layer), ISO 11172-3 table 3-B.1 and ISO 13818-3
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
ADTS_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
# An MPEG transport stream: packets of 188 bytes, as a camera keeps them with four bytes of time before each.
TRANSPORT: Final = re.compile(rb"G.{187}G.{187}G|.{4}G.{191}G.{191}G", re.DOTALL)
VIDEO_STREAM: Final = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")  # in the header of an ASF file
ASF_HEADER: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

BACK: Final = 0.5  # seconds by which the positions of Ogg pages may go back, as where an end is trimmed

Frame = tuple[int, int, int]  # bytes, samples, Hz
Parser = Callable[[bytes], Frame | None]

# Matroska's elements (RFC 9559) down to the blocks, by what may hold them; Void and CRC-32 may stand anywhere.
_ANYWHERE: Final[dict[int, dict[int, Any]]] = {0xEC: {}, 0xBF: {}}
_CLUSTER: Final[dict[int, dict[int, Any]]] = {
    name: {} for name in (0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0x5854)
} | _ANYWHERE
_SEGMENT: Final[dict[int, dict[int, Any]]] = {
    **{name: {} for name in (0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367)},
    **_ANYWHERE,
    0x1F43B675: _CLUSTER,
}
MATROSKA: Final[dict[int, dict[int, Any]]] = {0x1A45DFA3: {}, 0x18538067: _SEGMENT, **_ANYWHERE}


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a file stops being whole: ``at`` seconds (None where only decoding can tell), ``cut`` if it ends there.

    ``of`` is the duration in seconds that the file promises, where it does.
    """

    cut: bool
    at: float | None = None
    of: float | None = None


def kind_of(head: bytes) -> str | None:
    """What a file is by its first bytes (64 are plenty): a short name such as "wav", or None.

    >>> kind_of(b"RIFF....WAVEfmt "), kind_of(b"hello")
    ('wav', None)
    """
    four, brand = head[:4], head[8:12]
    if four in (b"RIFF", b"RIFX", b"RF64"):
        return {b"WAVE": "wav", b"WEBP": "webp", b"AVI ": "avi"}.get(brand)
    if four == b"FORM":
        return "aiff" if brand in (b"AIFF", b"AIFC") else None
    if head[4:8] == b"ftyp":
        if brand in (b"avif", b"avis"):
            return "avif"
        if brand in (b"crx ", b"jxl ", b"jp2 "):
            return {b"crx ": "raw", b"jxl ": "jxl", b"jp2 ": "jp2"}[brand]
        heif = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
        return ("avif" if b"avif" in head[16:64] else "heic") if brand in heif else "mp4"
    if head[:1] < b"\xf8" and _is_text(head):  # "BMW engine" is no picture, and "the wide sea" no film
        return _text_kind(head)
    for start, kind in (
        (b"fLaC", "flac"),
        (b"FRM8", "dsdiff"),
        (b"wvpk", "wavpack"),
        (b"MThd", "midi"),
        (b".RMF\0", "realmedia"),
        (b"MPCK", "musepack"),
        (b"MP+\x07", "musepack"),
        (b"MP+\x17", "musepack"),
        (b"ajkg", "shorten"),
        (b"tBaK", "tak"),
        (b"OFR ", "optimfrog"),
        (b"OggS", "ogg"),
        (b"caff", "caf"),
        (b".snd", "au"),
        (b"riff\x2e\x91\xcf\x11", "w64"),
        (b"\x1aE\xdf\xa3", "mkv" if b"matroska" in head else "webm"),
        (ASF_HEADER, "wma"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff", "jpeg"),
        (b"GIF8", "gif"),
        (b"\xff\x0a", "jxl"),
        (b"\0\0\0\x0cJXL ", "jxl"),
        (b"\0\0\0\x0cjP  ", "jp2"),
        (b"\xff\x4f\xff\x51", "jp2"),
        (b"8BPS", "psd"),
        (b"\0\0\1\0", "ico" if head[9:10] == b"\0" and 0 < int.from_bytes(head[4:6], "little") < 256 else None),
        (b"\x76\x2f\x31\x01", "exr"),
        (b"DDS ", "dds"),
        (b"AT&TFORM", "djvu"),
        (b"#!AMR", "amr"),
        (b"MAC \x96", "ape"),
        (b"TTA1", "tta"),
        (b"DSD \x1c\0\0\0", "dsf"),
        (b"\x0b\x77", "ac3"),
        (b"FLV\x01", "flv"),
        (b"\0\0\1\xba", "mpeg"),
        (b"II*\0\x10\0\0\0CR", "raw"),
        (b"IIU\0", "raw"),
        (b"IIRO", "raw"),
        (b"IIRS", "raw"),
        (b"MMOR", "raw"),
        (b"FUJIFILMCCD-RAW", "raw"),
        (b"FOVb", "raw"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"MM\0+", "tiff"),
        (b"BM", "bmp"),
        (b"PK\x03\x04", "zip"),
        (b"\x1f\x8b", "gzip"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!", "rar"),
        (b"\x7fELF", "elf"),
        (b"SQLite format 3", "sqlite"),
    ):
        if head.startswith(start):
            return kind
    if four in (b"moov", b"mdat", b"free", b"wide") or head[4:8] in (b"moov", b"mdat", b"wide", b"free"):
        return "mp4"
    if (kind := _text_kind(head)) is not None:
        return kind
    if id3_length(head):
        return "mp3"
    if _mpeg_frame(head) or _adts_frame(head):
        return "mp3" if _mpeg_frame(head) else "aac"
    return None


def _text_kind(head: bytes) -> str | None:
    """What a file is whose header is text."""
    for start, kind in ((b"%PDF", "pdf"), (b"#?RADIANCE", "hdr"), (b"#!AMR\n", "amr"), (b"#!AMR-WB\n", "amr")):
        if head.startswith(start):
            return kind
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" and any(
        mark in head.lower() for mark in (b"<!doctype", b"<html", b"<?xml", b"<svg")
    ):
        return "html"
    return None


def modalities_in(head: bytes) -> tuple[Modality, ...]:
    """What a file may hold by its first bytes (4096 are plenty); empty where it is nothing that analogon reads.

    >>> modalities_in(b"\\xff\\xd8\\xff\\xe0"), modalities_in(b"%PDF-1.7"), modalities_in("Möwen".encode())
    (('image',), (), ('text',))
    """
    kind = kind_of(head[:64])
    rows = [modalities for name, modalities, _ in KINDS if name == kind]
    if rows:
        pictured = kind not in ("ogg", "wma") or b"\x80theora" in head or VIDEO_STREAM in head
        return max(rows, key=len) if pictured else min(rows, key=len)
    if kind is None and TRANSPORT.match(head):
        return ("audio", "video")
    return ("text",) if kind is None and _is_text(head) else ()


def _is_text(head: bytes) -> bool:
    """Whether bytes begin a text in UTF-8, or in UTF-16 with a mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    with contextlib.suppress(UnicodeDecodeError):
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
        return bool(text) and not any(one < " " and one not in "\t\n\r\f\x1b" for one in text)
    return False


def id3_length(head: bytes) -> int:
    r"""How many bytes an ID3v2 tag has by its first ten; 0 where they are not a tag's (ID3v2.4.0, section 3.1).

    >>> id3_length(b"ID3\x03\0\0\0\0\x0f\x50"), id3_length(b"ID3 tags hold the title")
    (2010, 0)
    """
    if head[:3] != b"ID3" or len(head) < 10 or head[3] not in (2, 3, 4) or head[4] == 255 or head[5] & 15:
        return 0
    if any(byte > 127 for byte in head[6:10]):
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + length + (10 if head[5] & 16 else 0)


def parser(kind: str) -> Parser:
    """What reads the header of a frame of "mp3" or "aac"."""
    return _mpeg_frame if kind == "mp3" else _adts_frame


def check(file: BinaryIO, kind: str | None) -> Fault | None:
    """The first fault of a file of that kind, or None where it looks whole. Leaves ``file`` at its beginning."""
    size = file.seek(0, 2)
    file.seek(0)
    try:
        match kind:
            case "wav" | "avi" | "aiff":
                return _chunks(file, size)
            case "mp4":
                return _boxes(file, size)
            case "webm" | "mkv":
                return _matroska(file, size)
            case "wma":
                return _asf(file, size)
            case "au" | "caf" | "w64":
                end = {"au": end_of_au(file, 0), "caf": end_of_caf(file, 0, size), "w64": end_of_w64(file, 0)}[kind]
                return Fault(cut=True) if end is not None and end > size else None
            case "ogg":
                return _ogg(file)
            case "mp3" | "aac":
                return _frames(file, size, kind)
            case "png":
                return _png(file)
    except struct.error:
        return Fault(cut=True)
    finally:
        file.seek(0)
    return None


def _chunks(file: BinaryIO, size: int) -> Fault | None:
    """RIFF, RIFX, RF64 and AIFF: a chunk that is longer than the file."""
    head = file.read(12)
    order = ">" if head[:4] in (b"FORM", b"RIFX") else "<"
    rate = frame = 0
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack(order + "4sI", header)
        here = file.tell()
        if name == b"fmt " and length >= 16:
            _, _, rate, _, frame, _ = struct.unpack(order + "HHIIHH", read_at(file, here, 16))
        left = size - here
        if length > left and not (name in (b"data", b"LIST") and placeholder(length)):
            if name != b"data" or not rate or not frame:
                return Fault(cut=True)
            if length // frame > left // frame:
                return Fault(True, left // frame / rate, length // frame / rate)
        file.seek(here + length + (length & 1))
    return None


def _boxes(file: BinaryIO, size: int) -> Fault | None:
    """ISO base media (mp4, m4a, mov): a top-level box that is longer than the file."""
    here = 0
    while here + 8 <= size:
        length, _ = struct.unpack(">I4s", read_at(file, here, 8))
        if length == 1:
            (length,) = struct.unpack(">Q", read_at(file, here + 8, 8))
        if length == 0:  # to the end of the file
            return None
        if length < 8 or here + length > size:
            return Fault(cut=length >= 8)
        here += length
    return None


def _matroska(file: BinaryIO, size: int) -> Fault | None:
    """Matroska and WebM (RFC 9559): an element that is longer than what holds it, or that has no place there."""
    return _elements(file, 0, size, MATROSKA)


def _elements(file: BinaryIO, here: int, end: int, places: dict[int, dict[int, Any]]) -> Fault | None:
    while here < end:
        head = read_at(file, here, 12)
        name_width = 9 - head[0].bit_length()
        name = int.from_bytes(head[:name_width], "big")
        if name not in places:
            return Fault(cut=False)
        width = 9 - head[name_width].bit_length() if len(head) > name_width else 9
        if len(head) < name_width + width:
            return Fault(cut=len(head) < 12)
        top = 1 << 7 * width
        length = int.from_bytes(head[name_width : name_width + width], "big") & (top - 1)
        here += name_width + width
        if length == top - 1:  # unknown: a live recording
            return None
        if here + length > end:
            return Fault(cut=True)
        if places[name] and (fault := _elements(file, here, here + length, places[name])):
            return fault
        here += length
    return None


def _asf(file: BinaryIO, size: int) -> Fault | None:
    """ASF (wma, wmv): a top-level object that is longer than the file."""
    here = 0
    while here + 24 <= size:
        (length,) = struct.unpack("<Q", read_at(file, here + 16, 8))
        if length < 24:
            return None if here else Fault(cut=False)
        here += length
    return Fault(cut=True) if here > size else None


def _png(file: BinaryIO) -> Fault | None:
    """PNG: a chunk that is cut short, fails its CRC, or is missing at the end."""
    file.seek(8)
    while len(header := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", header)
        crc = zlib.crc32(name)
        while length:
            block = file.read(min(length, CHUNK))
            if not block:
                return Fault(cut=True)
            crc = zlib.crc32(block, crc)
            length -= len(block)
        (wanted,) = struct.unpack(">I", file.read(4))
        if crc != wanted and name[0] & 0x20 == 0:  # a lower-case first letter: not needed for the pixels
            return Fault(cut=False)
        if name == b"IEND":
            return None
    return Fault(cut=True)


REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_crc(page: bytes) -> int:
    """Ogg's CRC-32 (polynomial 04c11db7, not reflected, starts at 0), by way of zlib's reflected one."""
    reflected = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(REVERSED), "big")


def _ogg(file: BinaryIO) -> Fault | None:
    """Ogg (RFC 3533): every page's checksum and number, and the mark of the last page."""
    rates: dict[int, tuple[int, int]] = {}  # by stream: granules a second, granules before the sound
    numbers: dict[int, int] = {}
    reached = 0.0
    last = 0
    while head := file.read(27):
        if len(head) < 27:
            return Fault(True, reached)
        mark, _, flags, granule, serial, number, crc, count = struct.unpack("<4sBBqIIIB", head)
        if mark != b"OggS":
            return Fault(False, reached) if head.strip(b"\0") else None
        table = file.read(count)
        body = file.read(sum(table))
        if len(table) < count or len(body) < sum(table):
            return Fault(True, reached)
        if _ogg_crc(head[:22] + bytes(4) + head[26:] + table + body) != crc:
            return Fault(False, reached)
        if number != numbers.get(serial, -1) + 1 and number:
            return Fault(False, reached)
        numbers[serial] = number
        last = flags
        if body.startswith(b"\x01vorbis"):
            rates[serial] = (struct.unpack_from("<I", body, 12)[0] or 1, 0)
        elif body.startswith(b"OpusHead"):
            rates[serial] = (48000, struct.unpack_from("<H", body, 10)[0])
        if serial in rates and granule > 0:
            rate, before = rates[serial]
            if (granule - before) / rate < reached - BACK and len(rates) == 1:  # decoders would end there
                return Fault(False, reached)
            reached = max(0.0, (granule - before) / rate)
    return None if last & 4 else Fault(True, reached)


def _mpeg_frame(head: bytes) -> Frame | None:
    """Bytes, samples and Hz of an MPEG audio frame by its four-byte header; None if it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = MPEG_RATES[rate] >> (0 if first else 1 if version == 2 else 2)
    bits = MPEG_BITRATES[first, layer][bitrate] * 1000
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // hertz + padding) * 4, 384, hertz
    samples = 576 if layer == 3 and not first else 1152
    return samples // 8 * bits // hertz + padding, samples, hertz


def _adts_frame(head: bytes) -> Frame | None:
    """Bytes, samples and Hz of an ADTS (AAC) frame by its first seven bytes; None if it is none."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    rate = head[2] >> 2 & 15
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate >= len(ADTS_RATES) or length < 7:
        return None
    return length, 1024 * ((head[6] & 3) + 1), ADTS_RATES[rate]


def _tags(file: BinaryIO, size: int) -> tuple[int, int]:
    """Where the frames of an MPEG audio file begin and end: ID3v2 before them, ID3v1 and APEv2 after them."""
    start, end = 0, size
    while length := id3_length(read_at(file, start, 10)):
        start += length
    if size - start >= 128 and read_at(file, size - 128, 3) == b"TAG":
        end -= 128
    if end - start >= 32 and (foot := read_at(file, end - 32, 32))[:8] == b"APETAGEX":
        length, _, flags = struct.unpack_from("<III", foot, 12)
        end -= length + (32 if flags >> 31 else 0)
    return start, end


def _frames(file: BinaryIO, size: int, kind: str) -> Fault | None:
    """MPEG audio and ADTS: every frame's header where the one before ends, and as many as a Xing header counts."""
    parse = parser(kind)
    start, end = _tags(file, size)
    head = read_at(file, start, 256)
    first = parse(head)
    if first is None:
        return None  # leading bytes that are no frame: the decoder will find its own way in
    promised = None
    for name in (b"Xing", b"Info"):
        where = head.find(name, 4, 64)
        if where > 0 and head[where + 7] & 1:
            promised = struct.unpack_from(">I", head, where + 8)[0]
    count = -1 if promised is not None else 0  # the frame that carries the Xing header holds no sound
    samples = 0
    of = promised * first[1] / first[2] if promised else None
    for here, frame in _walk(file, start, end, parse):
        seconds = samples / first[2]
        if frame is None:
            rest = read_at(file, here, 4096)
            if not rest[: end - here].strip(b"\0"):
                break
            return Fault(False, seconds, of)
        if here + frame[0] > end:
            return Fault(True, seconds, of)
        count += 1
        samples += frame[1] if count > 0 else 0
    if promised is not None and count < promised:
        return Fault(True, samples / first[2], of)
    return None


def _walk(
    file: BinaryIO, start: int, end: int, parse: Callable[[bytes], Frame | None]
) -> Iterator[tuple[int, Frame | None]]:
    """Each frame's offset and header, through a buffer; a header that does not parse ends it."""
    here = base = start
    buffer = read_at(file, start, CHUNK)
    while here < end:
        if here + 8 > base + len(buffer):
            base, buffer = here, read_at(file, here, CHUNK)
        frame = parse(buffer[here - base : here - base + 8])
        yield here, frame
        if frame is None:
            return
        here += frame[0]
