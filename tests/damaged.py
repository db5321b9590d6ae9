"""A folder of damaged files: every way in which a file may disappoint, in every format."""

from __future__ import annotations

import io
import os
import random
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import numpy as np

from tests.media_files import (
    image_bytes,
    picture,
    signal,
    smooth_picture,
    wav_bytes,
    write_audio,
    write_video,
)

__all__ = ["build", "decompression_bomb", "flipped"]

AUDIO = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "webm", "wma", "aiff")
VIDEO = ("mp4", "mkv", "mov")
IMAGES = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP", "avif": "AVIF"}
LINE = "Rain falls on a tin roof, steadily, and somewhere a dog barks twice.\n"


def build(folder: str | os.PathLike[str], count: int = 300, seed: int = 0) -> dict[str, str]:
    """Write ``count`` damaged files into ``folder``; what is wrong with each, by path.

    All differ in content but for those that have none. None of them can be read as a whole file, though something
    may be readable before the damage.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    whole = _whole_files(seed)
    kinds: dict[str, str] = {}
    written: set[bytes] = set()
    damages = _damages(whole, rng)
    while len(kinds) < count:
        suffix, kind, write = next(damages)
        path = root / f"{len(kinds):03d}.{suffix}"
        content = write(path)
        if content in written:
            continue
        if content is not None:
            path.write_bytes(content)
        if content:
            written.add(content)
        kinds[str(path)] = kind
    return kinds


Damage = tuple[str, str, Callable[[Path], bytes | None]]


def _damages(whole: dict[str, bytes], rng: random.Random) -> Iterator[Damage]:
    """First each special case once, then cuts and flips of every format in turn, for as long as they are asked for."""
    yield from _special(whole, rng)
    for suffix in cycle(whole):
        content = whole[suffix]
        if suffix != "txt":
            cut = content[: round(len(content) * rng.uniform(0.1, 0.9))]
            yield suffix, "cut short", _bytes(cut)
        if suffix not in ("wav", "aiff"):  # samples have no checksum there: any bytes are a sound
            yield suffix, "bytes flipped", _bytes(flipped(suffix, content, rng))


def _bytes(content: bytes) -> Callable[[Path], bytes]:
    return lambda path: content


def _whole_files(seed: int) -> dict[str, bytes]:
    """A whole file of each format."""
    files = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = signal(2.0, seed=seed)
        for suffix in AUDIO:
            files[suffix] = write_audio(folder / f"whole.{suffix}", samples).read_bytes()
        for suffix in VIDEO:
            sound = samples if suffix != "mov" else None
            files[suffix] = write_video(folder / f"video.{suffix}", samples=sound, faststart=True).read_bytes()
    pixels = picture(160, 120, seed)
    for suffix, form in IMAGES.items():
        files[suffix] = image_bytes(pixels if form != "AVIF" else smooth_picture(160, 120), form)
    files["txt"] = (LINE * 40).encode()
    return files


def flipped(suffix: str, content: bytes, rng: random.Random) -> bytes:
    """Some bytes inverted, at a place where the format can tell: under a checksum, or in its structure."""
    damaged = bytearray(content)
    start, length = _tender_spot(suffix, content, rng)
    for at in range(start, min(start + length, len(content))):
        damaged[at] ^= 0xFF
    return bytes(damaged)


def _tender_spot(suffix: str, content: bytes, rng: random.Random) -> tuple[int, int]:
    """Where to flip, and how many bytes."""
    anywhere = rng.randrange(len(content) // 3, len(content) * 2 // 3)
    match suffix:
        case "flac" | "ogg" | "opus" | "png":
            return anywhere, rng.randint(1, 40)
        case "mp3" | "aac":  # long enough to reach the next frame's header
            return anywhere, 1500
        case "m4a" | "mp4" | "mov":
            return content.index(b"moov") - 4, rng.randint(8, 64)
        case "webm" | "mkv":  # the segment's head and what follows
            return content.index(b"\x18\x53\x80\x67"), rng.randint(4, 64)
        case "wma":
            return 0, rng.randint(16, 64)
        case "jpg":  # the size and the components
            return content.index(b"\xff\xc0") + 2, rng.randint(8, 15)
        case "gif":  # the first picture's descriptor
            return 6, rng.randint(5, 7)
        case "tiff":  # the directory's offset
            return 4, 4
        case "bmp":  # the header's length
            return 14, 4
        case "webp":
            return 15, rng.randint(8, 15)
        case "avif":
            return content.index(b"meta") - 4, rng.randint(8, 64)
        case _:
            return anywhere, rng.randint(1, 20)


def _special(whole: dict[str, bytes], rng: random.Random) -> Iterator[Damage]:
    """The cases that exist once."""
    yield "wav", "a folder", _made(Path.mkdir)
    yield "wav", "a pipe", _made(lambda path: os.mkfifo(path))
    yield "png", "a pipe", _made(lambda path: os.mkfifo(path))
    yield "txt", "a pipe", _made(lambda path: os.mkfifo(path))
    yield "wav", "a dangling link", _made(lambda path: path.symlink_to(path.with_name("nowhere.wav")))
    yield "jpg", "a link to itself", _made(lambda path: path.symlink_to(path))
    yield "txt", "a folder", _made(Path.mkdir)
    yield "mp4", "a folder", _made(Path.mkdir)
    yield "png", "a decompression bomb", lambda path: decompression_bomb()
    yield "wav", "a header that promises hours", _bytes(wav_bytes(bytes(32000), promised=0x7FF00000))
    yield "flac", "a header that promises hours", _bytes(_promising_flac(whole["flac"]))
    yield "wav", "no sample that is finite", _bytes(_float_wav([float("nan")] * 805))
    yield "wav", "no sample that is finite", _bytes(_float_wav([float("inf")] * 800))
    yield "wav", "no channels", _bytes(wav_bytes(bytes(3200), channels=0))
    yield "wav", "a rate of 0", _bytes(wav_bytes(bytes(3200), rate=0))
    yield "wav", "0 bits a sample", _bytes(wav_bytes(bytes(3200), bits=0))
    yield "wav", "an unknown codec", _bytes(wav_bytes(bytes(3200), tag=0x7A21))
    yield "wav", "no samples", _bytes(wav_bytes(b""))
    yield "txt", "only white space", _bytes(b" \n\t\n ")
    yield "txt", "another encoding", _bytes("Regen fällt auf ein Blechdach".encode("latin-1"))
    yield "md", "binary", _bytes(b"# A title\n\0\1\2\3")
    yield "txt", "cut UTF-16", _bytes("rain".encode("utf-16")[:-1])
    for suffix in (*whole, "md", "heic"):
        yield suffix, "empty", _bytes(b"")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("song.wav", b"la la la")
    page = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    for suffix, kind, content in (
        ("wav", "text", LINE.encode()),
        ("mp3", "text", LINE.encode() * 100),
        ("mp4", "text", LINE.encode()),
        ("jpg", "text", LINE.encode()),
        ("mp3", "a picture", whole["png"]),
        ("wav", "a picture", whole["jpg"]),
        ("mp4", "a picture", whole["gif"]),
        ("ogg", "a picture", whole["webp"]),
        ("png", "a recording", whole["wav"]),
        ("jpg", "a recording", whole["mp3"]),
        ("txt", "a recording", whole["ogg"]),
        ("txt", "a picture", whole["jpg"]),
        ("mp4", "an archive", archive.getvalue()),
        ("wav", "an archive", archive.getvalue()),
        ("txt", "an archive", archive.getvalue()),
        ("png", "a web page", page),
        ("wav", "a web page", page),
        ("mp4", "a web page", page),
        ("flac", "a playlist", b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n"),
        ("mp4", "a playlist", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n"),
        ("mkv", "a playlist", b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
    ):
        yield suffix, f"{kind} by another name", _bytes(content + b"\n" + suffix.encode())
    for suffix in (*whole, "heic"):
        yield suffix, "random bytes", _bytes(rng.randbytes(rng.randint(50, 5000)))
        yield suffix, "zeros", _bytes(bytes(rng.randint(50, 5000)))
    for suffix in (*AUDIO, *VIDEO, *IMAGES):
        yield suffix, "a header only", _bytes(whole[suffix][: rng.randint(40, 60)])


def _made(make: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda path: make(path)


def _float_wav(values: list[float]) -> bytes:
    return wav_bytes(np.array(values, dtype="<f4").tobytes(), bits=32, tag=3)


def _promising_flac(content: bytes) -> bytes:
    """A FLAC file whose STREAMINFO counts 2^35 samples (36 bits, the low four of byte 21 and the four after it)."""
    return content[:21] + bytes([content[21] & 0xF0 | 8]) + bytes(4) + content[26:]


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def decompression_bomb(side: int = 50_000) -> bytes:
    """A valid grey PNG of ``side`` x ``side`` zeros in a few megabytes.

    One flushed deflate block of zeros is repeated, and the Adler sum of n zeros is known: nothing large is ever made.
    """
    length = side * (side + 1)
    step = 1 << 20
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(step)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, wbits=-15)
    rest = packer.compress(bytes(length % step)) + packer.flush()
    adler = (length % 65521) << 16 | 1
    stream = b"\x78\xda" + block * (length // step) + rest + struct.pack(">I", adler)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", stream) + _png_chunk(b"IEND", b"")
