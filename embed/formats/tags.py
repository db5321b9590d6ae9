"""Tags before and behind what is in a file: ID3v1, ID3v2, APEv2 and Lyrics3."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from embed.formats import integrity
from embed.formats.stretches import read_at

__all__ = ["NEAR", "behind_tags", "notes_of_rest", "passed_over", "past_tags", "tail"]

NEAR: Final = 1 << 16  # bytes within which a tag or a frame is looked for behind what is neither


def behind_tags(file: BinaryIO, size: int) -> int:
    """Where the ID3v2 and APEv2 tags at the beginning end, with zeros that pad them."""
    here = 0
    while True:
        head = read_at(file, here, 32)
        length = integrity.id3_length(head[:10])
        if head[:8] == b"APETAGEX" and len(head) == 32 and head[23] & 0x20:  # a header, not a footer
            length = 32 + struct.unpack_from("<I", head, 12)[0]
        if not length:
            break
        here += length
    if here:
        rest = read_at(file, here, NEAR)
        zeros = len(rest) - len(rest.lstrip(b"\0"))
        # An MP4 or MPEG begins with zeros of its own.
        own = next((n for n in range(min(zeros, 3) + 1) if integrity.kind_of(rest[zeros - n :][:64])), 0)
        here += zeros - own
    return here if here < size else 0


def past_tags(file: BinaryIO, here: int, end: int) -> int:
    """Where the tags, and zeros, that begin at ``here`` end."""
    while here < end:
        head = read_at(file, here, 32)
        rest = read_at(file, here, NEAR) if not head.strip(b"\0") else b""
        if length := integrity.id3_length(head[:10]):
            here += length
        elif head[:3] == b"TAG":
            here += 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            here += 32 + struct.unpack_from("<I", head, 12)[0]
        elif head[:11] == b"LYRICSBEGIN":
            text = read_at(file, here, NEAR)
            ends = [at + 9 for mark in (b"LYRICS200", b"LYRICSEND") if (at := text.find(mark)) >= 0]
            if not ends:
                break
            here += min(ends)
        elif rest:
            here += len(rest) - len(rest.lstrip(b"\0")) or len(rest)
        else:
            break
    return here


def tail(file: BinaryIO, start: int, end: int) -> int:
    """Where the tags at the end begin: ID3v1, APEv2, Lyrics3 and ID3v2.4 with a footer, in any order."""
    while True:
        foot = read_at(file, max(start, end - 256), min(256, end - start))
        length = 0
        if foot[-128:-125] == b"TAG" and len(foot) >= 128:
            length = 128
        elif foot[-32:-24] == b"APETAGEX":
            size, _, flags = struct.unpack("<III", foot[-20:-8])
            length = size
            if flags >> 31 and read_at(file, end - size - 32, 8) == b"APETAGEX":  # some say so and have no header
                length += 32
        elif foot[-9:] == b"LYRICS200" and foot[-15:-9].isdigit():
            length = int(foot[-15:-9]) + 15
        elif foot[-9:] == b"LYRICSEND":
            text = read_at(file, max(start, end - 5120), min(5120, end - start))
            where = text.rfind(b"LYRICSBEGIN")
            length = len(text) - where if where >= 0 else 0
        elif foot[-10:-7] == b"3DI" and (tag := integrity.id3_length(b"ID3" + foot[-7:])):
            length = tag
        if not 0 < length <= end - start:
            return end
        end -= length


def notes_of_rest(file: BinaryIO, end: int, size: int) -> list[str]:
    """What to say of the bytes from ``end`` on: nothing where they are tags or zeros."""
    behind = past_tags(file, end, size)
    if behind >= size or tail(file, behind, size) <= behind:
        return []
    return [passed_over(size - end)]


def passed_over(count: int) -> str:
    """What to say of so many bytes."""
    return f"{count:,} bytes behind its end were passed over"
