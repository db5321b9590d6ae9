"""Step 1: all sounds that the student may learn from, as one file of 16 kHz mono samples and a table of where each is.

Recordings come from the data folder. Speech (espeak-ng) and instruments (fluidsynth with FluidR3, MIT) are made where
these programs are installed, procedural sounds by ``analogon.demo.synthesis``.
"""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from embed import decode
from embed.encoder import AudioInput
from embed.media import Media

RATE: Final = 16000
HELD_OUT: Final = 0.13  # of the groups of recordings
SOUNDFONT: Final = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
VOICES: Final = (
    "en-us",
    "en-gb",
    "en-gb-scotland",
    "de",
    "fr",
    "es",
    "it",
    "pt-br",
    "ru",
    "pl",
    "tr",
    "hi",
    "cmn",
    "ar",
)
VARIANTS: Final = ("m1", "m3", "m7", "f1", "f2", "f4", "croak", "whisper", "klatt2")
SENTENCES: Final = (
    "Good morning, and welcome to the evening train to the coast.",
    "Please mind the gap between the platform and the door.",
    "One, two, three, four, five, six, seven, eight, nine, ten.",
    "He laughed, shook his head, and closed the old wooden gate.",
    "What time does the market open on Saturday?",
    "No, no, no! Come back here at once!",
    "The river was high after three days of rain.",
    "She counted the stars until she fell asleep.",
    "Ladies and gentlemen, the concert begins in five minutes.",
    "Hello? Is anybody there? I can hear the phone ringing.",
)
CREDIT: Final = re.compile(r"^- \*\*\[([^]]+)\].*?clip derived from (.*)$", re.MULTILINE)
Pool = Literal["base", "folds", "rest", "synthesis"]


@dataclass(frozen=True)
class Sound:
    """``start`` and ``length`` are in samples; ``real`` tells a recording from synthesis."""

    name: str
    set: str
    pool: Pool
    real: bool
    description: str
    credit: str
    start: int
    length: int


@dataclass(frozen=True)
class Sounds:
    """``samples`` is int16 ``(all,)``, memory-mapped."""

    rows: list[Sound]
    samples: npt.NDArray[np.int16]

    @classmethod
    def read(cls, work: Path) -> Sounds:
        kinds = {field.name: field.type for field in fields(Sound)}
        with (work / "sounds.csv").open(newline="") as file:
            rows = [
                Sound(
                    **{
                        key: int(value) if kinds[key] == "int" else value == "True" if kinds[key] == "bool" else value
                        for key, value in row.items()
                    }
                )
                for row in csv.DictReader(file)
            ]
        return cls(rows, np.memmap(work / "sounds.i16", np.int16, "r"))

    def __getitem__(self, number: int) -> npt.NDArray[np.float32]:
        row = self.rows[number]
        return self.samples[row.start : row.start + row.length].astype(np.float32) / 32768.0


def group(set_: str, description: str) -> str:
    """The source of a recording without its take: its set and the first two words of its description, no digits."""
    words = re.sub(r"[\d_\W]+", " ", description).lower().split()
    return f"{set_}/{' '.join(words[:2])}"


def held_out(name: str) -> bool:
    """Whether a group is held out: by a hash, so that it depends on nothing but its name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest()) / 2**32 < HELD_OUT


def pools_of(stage: str) -> tuple[str, ...]:
    """What a stage of the student has heard."""
    return {"base": ("base",), "folds": ("base", "folds")}.get(stage, ("base", "folds", "rest", "synthesis"))


def run(work: Path, data: Path) -> None:
    """Write ``sounds.i16`` and ``sounds.csv``; does nothing where they are there."""
    if (work / "sounds.csv").is_file():
        return
    work.mkdir(parents=True, exist_ok=True)
    rows: list[Sound] = []
    start = 0
    with (work / "sounds.i16").open("wb") as out:
        for name, set_, pool, real, description, credit, samples in _everything(data):
            peak = float(np.abs(samples).max(initial=0.0))
            if len(samples) < RATE // 50 or peak < 1e-4:
                continue
            if peak > 1.0:
                samples = samples / peak
            out.write((samples * 32767.0).astype(np.int16).tobytes())
            rows.append(Sound(name, set_, pool, real, description, credit, start, len(samples)))
            start += len(samples)
    partial = work / "sounds.csv.partial"
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sound)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    partial.rename(work / "sounds.csv")


Made = tuple[str, str, Pool, bool, str, str, npt.NDArray[np.float32]]


def _everything(data: Path) -> Iterator[Made]:
    yield from _recordings(data / "recordings")
    yield from _esc10(data / "esc10")
    for path in sorted((data / "sonic-pi").glob("*.flac")):
        yield f"sonic-pi/{path.name}", "sonic-pi", "base", True, path.stem.replace("_", " "), "CC0", _decode(path)
    yield from _speech()
    yield from _instruments()
    yield from _procedural()


def _decode(path: Path) -> npt.NDArray[np.float32]:
    (part,) = decode.parts(Media.from_path(path), audio=AudioInput(RATE, None))
    assert part.array is not None
    return part.array


def _recordings(folder: Path) -> Iterator[Made]:
    with (folder / "recordings.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            pool: Pool = "rest" if held_out(group(row["set"], row["description"])) else "base"
            credit = f"{row['author']} ({row['licence']}), {row['source']}"
            yield row["file"], row["set"], pool, True, row["description"], credit, _decode(folder / row["file"])


def _esc10(folder: Path) -> Iterator[Made]:
    credits = dict(CREDIT.findall((folder / "CREDITS.md").read_text("utf-8")))
    for path in sorted(folder.glob("*/*.ogg")):
        pool: Pool = "rest" if path.name[0] == "3" else "folds"
        name = f"esc10/{path.parent.name}/{path.name}"
        credit = re.sub(r"[*\[\]]|\(http[^)]*\)", "", credits[path.name])
        yield name, "esc10", pool, True, path.parent.name.replace("_", " "), credit, _decode(path)


def _speech() -> Iterator[Made]:
    if shutil.which("espeak-ng") is None:
        return
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "speech.wav"
        for voice in VOICES:
            for variant in VARIANTS:
                sentence = SENTENCES[int(rng.integers(len(SENTENCES)))]
                options = ["-s", str(rng.integers(110, 240)), "-p", str(rng.integers(20, 80))]
                command = ["espeak-ng", "-v", f"{voice}+{variant}", *options, "-w", str(path), sentence]
                if subprocess.run(command, capture_output=True).returncode == 0:
                    title = f"espeak-ng/{voice}+{variant}"
                    yield title, "espeak-ng", "base", False, "speech", "made with espeak-ng", _decode(path)


def _instruments() -> Iterator[Made]:
    if shutil.which("fluidsynth") is None or not SOUNDFONT.is_file():
        return
    rng = np.random.default_rng(2)
    credit = "made with fluidsynth and FluidR3 GM (Frank Wen, MIT)"
    with tempfile.TemporaryDirectory() as name:
        score, path = Path(name) / "score.mid", Path(name) / "score.wav"
        parts = [(f"program {n}", _phrase(rng, n)) for n in range(128) for _ in range(2)]
        parts += [(f"kit {n}", _drums(rng, n)) for n in (0, 8, 16, 24, 25, 32, 40, 48) for _ in range(3)]
        parts += [(f"percussion {n}", _hits(rng, n)) for n in range(27, 88)]
        for number, (title, events) in enumerate(parts):
            score.write_bytes(_midi(events))
            command = ["fluidsynth", "-ni", "-q", "-g", "0.6", "-r", str(RATE), "-F", str(path), SOUNDFONT, score]
            if subprocess.run(command, capture_output=True).returncode == 0:
                yield f"fluidsynth/{number} {title}", "fluidsynth", "base", False, title, credit, _decode(path)


def _procedural() -> Iterator[Made]:
    from analogon.demo.synthesis import KINDS, synthesise

    for kind in KINDS:
        for seed in range(1000, 1008):
            sound = synthesise(kind, seed)
            samples = sound.samples
            if sound.rate != RATE:
                import soxr

                samples = soxr.resample(samples, sound.rate, RATE)
            yield f"synthesis/{kind} {seed}", "synthesis", "synthesis", False, sound.caption, "ours", samples


Event = tuple[float, bytes]  # seconds, MIDI message


def _note(channel: int, key: int, velocity: int, start: float, length: float) -> list[Event]:
    return [
        (start, bytes([0x90 | channel, key, velocity])),
        (start + length, bytes([0x80 | channel, key, 0])),
    ]


def _phrase(rng: np.random.Generator, program: int) -> list[Event]:
    """About six seconds on one General MIDI program: a melody, sometimes with chords."""
    events: list[Event] = [(0.0, bytes([0xC0, program]))]
    root = int(rng.integers(40, 72))
    at = 0.0
    while at < 5.0:
        length = float(rng.choice([0.15, 0.3, 0.6, 1.2]))
        key = root + int(rng.choice([-12, -5, 0, 2, 4, 5, 7, 9, 12]))
        for step in (0, 4, 7) if rng.random() < 0.25 else (0,):
            events += _note(0, min(max(key + step, 21), 108), int(rng.integers(60, 120)), at, length * 0.95)
        at += length
    return events


def _drums(rng: np.random.Generator, kit: int) -> list[Event]:
    """Two bars of a beat on a drum kit."""
    events: list[Event] = [(0.0, bytes([0xC9, kit]))]
    step = 60.0 / float(rng.integers(80, 160)) / 4
    for tick in range(32):
        for key, chance in ((36, 0.9 if tick % 8 == 0 else 0.15), (38, 0.9 if tick % 8 == 4 else 0.1), (42, 0.6)):
            if rng.random() < chance:
                events += _note(9, key, int(rng.integers(50, 120)), tick * step, step)
    return events


def _hits(rng: np.random.Generator, key: int) -> list[Event]:
    events: list[Event] = [(0.0, bytes([0xC9, 0]))]
    for at in np.cumsum(rng.uniform(0.25, 0.9, 5)):
        events += _note(9, key, int(rng.integers(50, 120)), float(at), 0.2)
    return events


def _midi(events: list[Event]) -> bytes:
    """A standard MIDI file of one track, 1,000 ticks a second."""
    track, before = b"\x00\xff\x51\x03\x0f\x42\x40", 0
    for at, message in sorted(events, key=lambda event: event[0]):
        now = round(at * 1000)
        track += _variable(now - before) + message
        before = now
    track += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 1000) + b"MTrk" + struct.pack(">I", len(track)) + track


def _variable(number: int) -> bytes:
    """MIDI's variable-length quantity."""
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(0x80 | number & 0x7F)
    return bytes(reversed(out))
