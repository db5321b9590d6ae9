"""Pictures, texts and tables with something odd about each: a seeded stream without an end."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.media_files import image_bytes, picture, smooth_picture

__all__ = ["OddPicture", "OddTable", "odd_pictures", "odd_tables", "odd_texts"]

FORMS = {
    "png": ("PNG", {}),
    "grey.png": ("PNG", {}),
    "jpg": ("JPEG", {}),
    "progressive.jpg": ("JPEG", {"progressive": True}),
    "restarting.jpg": ("JPEG", {"restart_marker_blocks": 3}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate.tif": ("TIFF", {"compression": "tiff_deflate"}),
    "jpeg.tif": ("TIFF", {"compression": "jpeg"}),
    "bmp": ("BMP", {}),
    "avif": ("AVIF", {"speed": 10}),
    "heic": ("HEIC", {}),
}
ENDS = ("png", "jpg", "progressive.jpg", "restarting.jpg", "gif", "webp", "lossless.webp", "avif", "heic", "tif", "bmp")


@dataclass(frozen=True, slots=True)
class OddPicture:
    """A file's content and what is odd; ``pixels`` are those of the whole file, where ``refusable`` is False or nothing
    but an end of it is missing: what is read must be these."""

    content: bytes
    kind: str
    pixels: npt.NDArray[np.uint8] | None = None
    refusable: bool = True


@dataclass(frozen=True, slots=True)
class OddTable:
    """A file's name and content, and what is odd."""

    name: str
    content: bytes
    kind: str


def _whole_pictures() -> dict[str, bytes]:
    files = {}
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = 6, "A camera"
    for name, (form, options) in FORMS.items():
        pixels = smooth_picture(60, 44) if form in ("AVIF", "HEIC") else picture(60, 44)
        if form == "HEIC":
            try:
                import pillow_heif
            except ImportError:
                continue
            buffer = io.BytesIO()
            pillow_heif.from_pillow(Image.fromarray(pixels)).save(buffer, quality=60, exif=exif.tobytes())
            files[name] = buffer.getvalue()
        elif form == "GIF":
            files[name] = image_bytes(pixels, form)
        else:
            extra = {} if form == "BMP" else {"exif": exif.tobytes()}
            files[name] = image_bytes(pixels[..., 0] if "grey" in name else pixels, form, **options, **extra)
    return files


Change = Callable[[bytes, random.Random], bytes]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _last_bytes_gone(content: bytes, rng: random.Random) -> bytes:
    return content[: -rng.randrange(1, 40)]


def _bytes_changed(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 20))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _head_changed(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 4))):
        changed[rng.randrange(min(len(changed), 120))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def _piece_missing(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.choice((1, 2, 100, 1000)) :]


def _piece_twice(content: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content)), rng.choice((1, 16, 400))
    return content[:at] + content[at : at + length] + content[at:]


def _zeros_within(content: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content)), rng.choice((8, 64, 512))
    return content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]


def _large_number(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, min(len(content), 400) - 4))
    value = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 1 << 24))
    return content[:at] + struct.pack(rng.choice(("<I", ">I")), value) + content[at + 4 :]


def _with_another(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(4, 60)] + image_bytes(picture(20, 20), rng.choice(("PNG", "JPEG", "GIF")))


DAMAGES: tuple[Change, ...] = (
    _cut, _last_bytes_gone, _bytes_changed, _head_changed, _piece_missing, _piece_twice, _zeros_within, _large_number,
    _with_another,
)  # fmt: skip


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _odd_but_whole(name: str, content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """A picture with all of its pixels, and something odd around them."""
    tail = rng.choice((rng.randbytes(rng.randrange(1, 3000)), bytes(500), b"\0\0\0\x18ftypmp42" + rng.randbytes(900)))
    if name.endswith("png"):
        body = rng.choice((rng.randbytes(200), b"x\0\0" + zlib.compress(bytes(3_000_000)), b"", bytes(1_500_000)))
        odd = _chunk(rng.choice((b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"gAMA", b"tIME", b"prVt", b"acTL")), body)
        if rng.random() < 0.5:
            odd = odd[:-4] + rng.randbytes(4)
        at = rng.choice((33, len(content) - 12))
        if rng.random() < 0.3:
            return "no end mark", content[:-12]
        return "an odd chunk", content[:at] + odd + content[at:]
    if name.endswith("webp") and rng.random() < 0.5:
        return "a wrong size", content[:4] + struct.pack("<I", rng.randrange(1 << 31)) + content[8:]
    if name.endswith("jpg") and rng.random() < 0.5:
        return "no end mark", content[:-2]
    if name.endswith("jpg"):
        segment = b"\xff" + bytes([rng.randrange(0xE3, 0xED)]) + struct.pack(">H", 402) + rng.randbytes(400)
        return "an odd segment", content[:2] + segment + content[2:] + tail
    return "bytes behind the end", content + tail


def odd_pictures(seed: int) -> Iterator[OddPicture]:
    """Damage and oddities of every format in turn, each by its own number."""
    from tests.embed.reading import pixels_of

    rng = random.Random(seed)
    files = _whole_pictures()
    whole = {name: pixels_of(content) for name, content in files.items()}
    while True:
        for name, content in files.items():
            if name in ENDS and rng.random() < 0.3:
                what, odd = _odd_but_whole(name, content, rng)
                yield OddPicture(odd, f"{name}: {what}", whole[name], refusable=False)
            else:
                change = rng.choice(DAMAGES)
                odd = change(content, rng)
                more = rng.random() < 0.2 and bool(odd)
                if more:
                    odd = rng.choice(DAMAGES)(odd, rng)
                shortened = change in (_cut, _last_bytes_gone) and not more
                yield OddPicture(odd, f"{name}:{change.__name__.replace('_', ' ')}", whole[name] if shortened else None)


def odd_texts(seed: int) -> Iterator[bytes]:
    """Texts in every encoding, with what an editor, a chat or a broken disk may put into them."""
    rng = random.Random(seed)
    words = [
        "rain",
        "Möwe",
        "雨",
        "🌧",
        "a\u0301",
        "\u200b",
        "\x1b[31m",
        "\0",
        "\x85",
        "\u2028",
        "\r",
        "\r\n",
        "\n\n",
        "\t",
        ".",
    ]
    while True:
        text = "".join(rng.choice(words) + rng.choice(("", " ", "\n")) for _ in range(rng.choice((0, 1, 30, 900))))
        encoding = rng.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "shift-jis"))
        content = text.encode(encoding, "replace")
        if rng.random() < 0.3 and content:
            content = rng.choice(DAMAGES[:-1])(content, rng)
        yield content


def odd_tables(seed: int) -> Iterator[OddTable]:
    """CSV, TSV and JSONL as people have them: quotes, separators, encodings, rows and values that are not right."""
    rng = random.Random(seed)
    cells = ["rain", "", " ",
             '"', '""', 'a 5" disc', "two\nlines", "a;b", "a,b", "a\tb", "1,5", "1e999", "nan", "-0", "007",
             "9" * 40, "=cmd",
             "\ufeff", "Möwe", "\\", "'", "\r", "x" * 3000, "001.wav"]  # fmt: skip
    numbers = [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "1" * 400,
        "-0.0",
        "true",
        "null",
        "[NaN]",
        '{"a":1,"a":2}',
        '"\\ud800"',
    ]
    while True:
        rows = [
            ["file", "text", "n"],
            *([rng.choice(cells) for _ in range(rng.choice((3, 3, 3, 2, 4)))] for _ in range(8)),
        ]
        kind = rng.choice(("csv", "tsv", "jsonl"))
        if kind == "jsonl":
            lines = [
                "{" + f'"file": {json.dumps(row[0])}, "text": {json.dumps(row[1])}, "n": {rng.choice(numbers)}' + "}"
                for row in rows[1:]
            ]
            if rng.random() < 0.3:
                lines.insert(
                    rng.randrange(4), rng.choice(("", "[1]", "{", '{"file": 1, "file": 2}', "[" * 5000, "nonsense"))
                )
            text = "\n".join(lines)
        else:
            separator = rng.choice((",", ";", "\t")) if kind == "csv" else "\t"
            quoted = rng.random() < 0.5
            text = rng.choice(("", "", "sep=;\n")) + rng.choice(("\n", "\r\n", "\r")).join(
                separator.join('"' + cell.replace('"', '""') + '"' if quoted else cell for cell in row) for row in rows
            )
        content = text.encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-16-le")), "replace")
        if rng.random() < 0.4 and content:
            content = rng.choice(DAMAGES[:-1])(content, rng)
        yield OddTable(f"table.{kind}", content, f"{kind} of {len(content)} bytes")
