"""Text files: characters, and long texts as passages."""

from __future__ import annotations

import bisect
import codecs
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final

from embed.errors import MediaError
from embed.formats import integrity
from embed.formats.files import opened, refusal, size
from embed.media import Media, Span

__all__ = ["facts", "marked", "parts"]

PASSAGE: Final = 1000  # characters of text in one part
TEXT_BYTES: Final = 1 << 26
# Whatever is not text by its first bytes alone; what begins with letters of its own may be words as well.
BINARY: Final = (
    integrity.PICTURES | integrity.SOUNDS | integrity.VIDEOS | {"jxl", "jp2", "raw", "exr", "ico", "pdf", "zip", "gzip"}
) - {"bmp", "gif", "amr", "tta"}


def marked(head: bytes) -> str:
    """The encoding that a byte order mark at the beginning of a text names; UTF-8 without one."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _read_text(media: Media) -> str:
    """A text file's characters, with newlines as ``\\n``."""
    with opened(media) as file:
        raw = file.read(TEXT_BYTES + 1)
    if len(raw) > TEXT_BYTES:
        raise MediaError(media.name, f"is longer than {TEXT_BYTES >> 20} MiB of text: split it into several files")
    encoding = marked(raw)
    kind = integrity.kind_of(raw[:64])
    if encoding == "utf-8-sig" and (b"\0" in raw or kind in BINARY):
        if kind in BINARY:
            raise MediaError(media.name, refusal(kind, "text"))
        wide = max(raw[:1000:2].count(0), raw[1:1000:2].count(0)) > len(raw[:1000]) // 4
        without_mark = ": UTF-16 without its byte order mark? Save it as UTF-8" if wide else ""
        raise MediaError(media.name, f"is not text{without_mark}")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        name = {"utf-16": "UTF-16", "utf-32": "UTF-32"}.get(encoding, "UTF-8")
        raise MediaError(media.name, f"is not {name} text (line {line}): save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


# A text is cut at the coarsest of these that makes its pieces short enough. The match ends the piece before it.
BREAKS: Final = tuple(
    re.compile(pattern) for pattern in (r"\n[^\S\n]*\n\s*", r"[.!?…][\"'”’»)\]]*\s+|[。！？]\s*", r"\s*\n\s*", r"\s+")
)


def _pack(text: str, start: int, end: int, breaks: tuple[re.Pattern[str], ...] = BREAKS) -> list[tuple[int, int]]:
    """``text[start:end]`` as spans of at most ``PASSAGE`` characters, cut as few and as natural times as can be."""
    if end - start <= PASSAGE:
        return [(start, end)]
    if not breaks:
        return [(at, min(at + PASSAGE, end)) for at in range(start, end, PASSAGE)]
    edges = [start, *(match.end() for match in breaks[0].finditer(text, start, end)), end]
    packed: list[tuple[int, int]] = []
    for left, right in pairwise(edges):
        right = left + len(text[left:right].rstrip())
        if left == right:
            continue
        for first, last in _pack(text, left, right, breaks[1:]):
            if packed and last - packed[-1][0] <= PASSAGE:
                packed[-1] = (packed[-1][0], last)
            else:
                packed.append((first, last))
    return packed


def facts(media: Media) -> dict[str, Any]:
    """Characters, lines and bytes."""
    if media.text is not None:
        text, length = media.text, len(media.text.encode("utf-8", "surrogatepass"))
    else:
        text, length = _read_text(media), size(media)
    return {"characters": len(text), "lines": len(text.removesuffix("\n").split("\n")), "bytes": length}


def parts(media: Media, note: Callable[[str], None]) -> Iterator[Media]:
    """A text in memory as it stands; a file as passages of at most ``PASSAGE`` characters with their lines."""
    if media.text is not None:
        yield media
        return
    text = _read_text(media)
    newlines = [match.start() for match in re.finditer("\n", text)]
    start, end = 0, len(text)
    if media.span is not None:
        bounds = [0, *(at + 1 for at in newlines), len(text) + 1]
        first, last = (min(max(int(line), 0), len(bounds) - 1) for line in (media.span.start - 1, media.span.end))
        start, end = bounds[first], max(bounds[first], bounds[last] - 1)
    start += len(text[start:end]) - len(text[start:end].lstrip())
    end = start + len(text[start:end].rstrip())
    if start >= end:
        raise MediaError(media.name, "holds no text" + (" in those lines" if media.span else ""))
    for left, right in _pack(text, start, end):
        lines = Span(bisect.bisect_left(newlines, left) + 1, bisect.bisect_left(newlines, right - 1) + 1)
        yield media.but(text=text[left:right], data=None, span=lines)
