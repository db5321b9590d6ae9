"""How well kept voices are recognised, and which cosines to expect: spoken digits of four men (FSDD).

    python benchmarks/voice_similarity.py ../shared

A voice is made of takes 0 to 4 of every digit; what is asked with are takes 5 to 9, which no voice has heard. Takes and
recordings are single digits (0.4 s), or five or ten digits of one take joined (2 s, 4 s), and all lengths are tried
with each other: GE2E fills what is shorter than 1.6 s up with silence. Intervals: 95 %, Wilson's, as if recordings were
independent; they come from four people only. EER: the rate at which as many strangers pass a threshold as owners fail.

Then how often a take of a stranger among a voice's takes is said to be unlike the others, and how often one of its own
is: voices of n takes drawn at random, one of them another man's.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from voices import Clips

import embed
from analogon.vectors.measure import wilson
from analogon.voices import Cosines, Recording, Voice
from embed import AudioInput, Media, decode

RATE: Final = 16000
LENGTHS: Final = (1, 5, 10)
SIZES: Final = (3, 5, 10, 20)
DRAWN: Final = 400

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """Unit rows of recordings ``(n, dim)``, and who speaks in each."""

    rows: npt.NDArray[np.float32]
    speakers: npt.NDArray[np.str_]

    def some(self, keep: npt.NDArray[np.bool_]) -> Heard:
        return Heard(self.rows[keep], self.speakers[keep])


@dataclass(frozen=True)
class Digits:
    """The samples of every clip, and its speaker and take; clips of one speaker and take are in order of digits."""

    waves: list[npt.NDArray[np.float32]]
    speakers: npt.NDArray[np.str_]
    takes: npt.NDArray[np.int64]

    @classmethod
    def read(cls, folder: Path) -> Digits:
        clips = Clips.read(folder)
        waves = []
        for file in clips.files:
            (part,) = decode.parts(Media.from_path(file), audio=AudioInput(RATE, None))
            assert part.array is not None
            waves.append(part.array)
        return cls(waves, clips.speakers, np.array([int(file.stem.split("_")[2]) for file in clips.files]))

    def joined(self, encoder: embed.Encoder, count: int, takes: range) -> Heard:
        """Recordings of ``count`` digits of one take each, encoded."""
        media, speakers = [], []
        for speaker in np.unique(self.speakers):
            for take in takes:
                own = np.flatnonzero((self.speakers == speaker) & (self.takes == take))
                for start in range(0, len(own), count):
                    wave = np.concatenate([self.waves[i] for i in own[start : start + count]])
                    media.append(Media("audio", array=wave, rate=RATE))
                    speakers.append(speaker)
        return Heard(embed.encode(encoder, media).array, np.array(speakers))


def voice(name: str, rows: npt.NDArray[np.float32], space: embed.Space) -> Voice:
    takes = [Recording(f"{name}{i}", f"{name}{i}", 1.0) for i in range(len(rows))]
    return Voice.of(name, takes, {space: rows})


def equal_error(own: Floats, strangers: Floats) -> tuple[float, float]:
    """The threshold at which the rates of refused owners and accepted strangers are closest, and their mean there."""
    thresholds = np.sort(np.concatenate([own, strangers]))
    refused = np.array([(own < t).mean() for t in thresholds])
    accepted = np.array([(strangers >= t).mean() for t in thresholds])
    at = int(np.abs(refused - accepted).argmin())
    return float(thresholds[at]), float(refused[at] + accepted[at]) / 2


def recognised(heard: Heard, asked: Heard, space: embed.Space) -> str:
    names = np.unique(heard.speakers)
    kept = np.stack([voice(n, heard.rows[heard.speakers == n], space).vector(space) for n in names])
    cosines = asked.rows @ kept.T
    same = asked.speakers[:, None] == names
    right = int((names[cosines.argmax(axis=1)] == asked.speakers).sum())
    interval = wilson(right, len(cosines))
    threshold, error = equal_error(cosines[same].astype(np.float64), cosines[~same].astype(np.float64))
    return (
        f"{right / len(cosines):6.3f} ({interval.low:.3f}-{interval.high:.3f}) {len(cosines):4} "
        f"{Cosines.of(cosines[same])!s:>22} {Cosines.of(cosines[~same])!s:>22} {error:6.1%} {threshold:9.2f}"
    )


def strangers_found(heard: Heard, size: int, space: embed.Space, seed: int) -> str:
    random = np.random.default_rng(seed)
    names = np.unique(heard.speakers)
    found = wrong = own = flagged = 0
    for _ in range(DRAWN):
        one, other = random.choice(names, 2, replace=False)
        mine = random.choice(np.flatnonzero(heard.speakers == one), size, replace=False)
        stranger = random.choice(np.flatnonzero(heard.speakers == other))
        odd = voice("mixed", heard.rows[[*mine[1:], stranger]], space).odd(space)
        found += size - 1 in odd
        wrong += sum(number < size - 1 for number in odd)
        own += size - 1
        flagged += bool(voice("pure", heard.rows[mine], space).odd(space))
    interval = wilson(found, DRAWN)
    return (
        f"{size:5} {found / DRAWN:6.3f} ({interval.low:.3f}-{interval.high:.3f}) {wrong / own:14.4f} "
        f"{flagged / DRAWN:18.3f}"
    )


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="folder with data/fsdd")
    parser.add_argument("--encoder", default="speaker")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    digits = Digits.read(arguments.shared / "data/fsdd")
    encoder = embed.load(arguments.encoder)
    voices = {count: digits.joined(encoder, count, range(5)) for count in LENGTHS}
    asked = {count: digits.joined(encoder, count, range(5, 10)) for count in LENGTHS}
    print(f"{encoder.space.model}: the right voice first; cosines: median (5th to 95th percentile)")
    title = f"{'takes':>7} {'asked':>7} {'right':>6} {'':13} {'n':>4} {'own voice':>22} {'another voice':>22} "
    print(title + f"{'EER':>6} {'threshold':>9}")
    for count, heard in voices.items():
        for number, recordings in asked.items():
            line = recognised(heard, recordings, encoder.space)
            print(f"{count:>3} dig. {number:>3} dig. {line}")
    print(f"{'chance':15} {0.25:6.3f}")
    everything = digits.joined(encoder, 1, range(10))
    for label, heard in (("single digits", everything), ("five digits", digits.joined(encoder, 5, range(10)))):
        print(f"\na stranger among the takes ({label}; {DRAWN} voices drawn of each size, seed {arguments.seed})")
        print(f"{'takes':>5} {'found':>6} {'':13} {'own take wrong':>14} {'pure voices flagged':>18}")
        for size in SIZES:
            if size <= (heard.speakers == heard.speakers[0]).sum():
                print(strangers_found(heard, size, encoder.space, arguments.seed))


if __name__ == "__main__":
    main()
