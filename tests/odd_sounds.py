"""Sound and video files of every format with something odd about each: a seeded stream without an end."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from tests.media_files import signal, write_audio, write_video

__all__ = ["OddFile", "odd_files"]

SECONDS = 0.6
SOUNDS = (
    "wav", "float.wav", "double.wav", "24.wav", "32.wav", "u8.wav", "rf64.wav", "flac", "24.flac", "aiff", "caf", "ogg",
    "mp3", "m4a", "aac", "mka", "webm", "wma", "alac.m4a", "av.mp3", "opus", "av.flac",
)  # fmt: skip
VIDEOS = ("mp4", "mov", "mkv", "webm", "avi")
JOINABLE = ("wav", "float.wav", "24.wav", "u8.wav", "flac", "24.flac", "aiff", "ogg", "opus", "mp3", "av.mp3", "aac")
TAGGED = (*JOINABLE, "av.flac", "double.wav", "32.wav")
LAYOUTS = {"wav": 6, "24.wav": 8, "flac": 6, "float.wav": 4, "aiff": 3, "caf": 5}  # channels, beside mono and stereo


@dataclass(frozen=True, slots=True)
class OddFile:
    """A file's content, its modality and what is odd; ``seconds`` where all of that sound must still be heard."""

    content: bytes
    video: bool
    kind: str
    seconds: float | None


def _whole_files(folder: Path) -> dict[str, bytes]:
    files = {}
    for suffix in SOUNDS:
        for channels in (1, 2):
            if suffix != "mka" or channels == 1:
                samples = signal(SECONDS, channels=channels)
                files[f"{channels}.{suffix}"] = write_audio(folder / f"a.{suffix}", samples).read_bytes()
    for suffix, channels in LAYOUTS.items():
        samples = signal(SECONDS, channels=channels)
        files[f"{channels}.{suffix}"] = write_audio(folder / f"a.{suffix}", samples).read_bytes()
    for rate in (8000, 22050, 96000):
        name = folder / "a.flac"
        soundfile.write(name, signal(SECONDS, rate), rate)
        files[f"{rate}.flac"] = name.read_bytes()
    for suffix in VIDEOS:
        samples = signal(SECONDS, channels=2)
        files[f"video.{suffix}"] = write_video(folder / f"a.{suffix}", SECONDS, samples=samples).read_bytes()
    return files


Change = Callable[[bytes, random.Random], bytes]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    odd = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 20))):
        odd[rng.randrange(len(odd))] ^= 1 << rng.randrange(8)
    return bytes(odd)


def _head_flipped(content: bytes, rng: random.Random) -> bytes:
    odd = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        odd[rng.randrange(min(len(odd), 200))] = rng.randrange(256)
    return bytes(odd)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1, len(content))]


def _beheaded(content: bytes, rng: random.Random) -> bytes:
    return content[rng.randrange(1, len(content)) :]


def _holed(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.randrange(1, 3000) :]


def _filled(content: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content)), rng.randrange(1, 3000)
    return content[:at] + rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length))) + content[at + length :]


def _inserted(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.randrange(1, 500)) + content[at:]


def _resized(content: bytes, rng: random.Random) -> bytes:
    """A field of four bytes, most likely a size, holds another number."""
    marks = (b"data", b"RIFF", b"fmt ", b"SSND", b"FORM", b"COMM", b"mdat", b"moov", b"stsz", b"stco", b"Xing", b"Info")
    places = [content.index(mark) + rng.choice((-4, 4)) for mark in marks if mark in content]
    at = max(0, rng.choice(places or [rng.randrange(len(content))]))
    number = rng.choice((0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF00, rng.randrange(1 << 32)))
    return content[:at] + struct.pack(rng.choice("<>") + "I", number) + content[at + 4 :]


def _id3(rng: random.Random) -> bytes:
    length = rng.randrange(2000)
    return b"ID3\x03\0\0" + bytes(length >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(length)


BREAKING: dict[str, Change] = {
    "bits flipped": _flipped,
    "a header's bytes changed": _head_flipped,
    "cut short": _cut,
    "without its beginning": _beheaded,
    "with a hole": _holed,
    "partly overwritten": _filled,
    "with bytes put in": _inserted,
    "with another size": _resized,
}


def odd_files(folder: Path, seed: int = 0) -> Iterator[OddFile]:
    """Odd files for as long as they are asked for; ``folder`` takes the whole ones that they are made from."""
    rng = random.Random(seed)
    whole = _whole_files(folder)
    names = list(whole)
    changes = list(BREAKING)
    while True:
        for name in rng.sample(names, len(names)):
            content, video = whole[name], name.startswith("video.")
            suffix = name.partition(".")[2]
            what = rng.choice(changes)
            yield OddFile(BREAKING[what](content, rng), video, f"{name}, {what}", None)
            twice = rng.choice(changes), rng.choice(changes)
            broken = BREAKING[twice[0]](content, rng)
            yield OddFile(BREAKING[twice[1]](broken, rng), video, f"{name}, {' and '.join(twice)}", None)
            if suffix in TAGGED and not video:
                tail = rng.choice((b"", b"TAG" + bytes(125), bytes(rng.randrange(1, 900))))
                yield OddFile(_id3(rng) + content + tail, False, f"{name} between tags", SECONDS)
            if suffix in JOINABLE and not video:
                others = [one for one in names if one.partition(".")[2] == suffix and not one.startswith("video.")]
                other = rng.choice(others)
                yield OddFile(content + whole[other], False, f"{name} and {other} joined", 2 * SECONDS)
                yield OddFile(
                    BREAKING["cut short"](content, rng) + whole[other], False, f"{name}, cut, and {other} joined", None
                )
            alien = rng.choice(names)
            at = rng.randrange(len(content))
            mixed = content[:at] + whole[alien][rng.randrange(len(whole[alien])) :]
            yield OddFile(mixed, video, f"{name} going over into {alien}", None)
