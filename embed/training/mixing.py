"""Mixtures of recordings for a network to learn from: cut, placed, overlaid, filtered and at many levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Mixer", "Recordings", "by_length", "from_bytes", "to_bytes"]

LOWEST, HIGHEST = -7.0, 5.0  # of log-mel magnitudes, mapped to 0 and 255
FULL_SCALE: Final = 32768.0

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recordings:
    """Mono recordings one after another in ``samples``, int16 ``(all,)``, often memory-mapped.

    ``starts`` and ``lengths``, ``(recordings,)``, are in samples.
    """

    samples: npt.NDArray[np.int16]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def cut(self, start: int, length: int) -> Samples:
        """``length`` samples from number ``start`` of all on, as float32 in -1 to 1."""
        part: Samples = self.samples[start : start + length].astype(np.float32) / FULL_SCALE
        return part

    def __getitem__(self, number: int) -> Samples:
        return self.cut(int(self.starts[number]), int(self.lengths[number]))

    def __len__(self) -> int:
        return len(self.starts)


def by_length(seconds: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """How often to take recordings of so many seconds, to be scaled to a sum of 1: longer ones more often, to 20 s."""
    return np.asarray(np.sqrt(np.minimum(seconds, 20.0) + 0.5), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Mixer:
    """Draws mixtures of ``length`` samples at ``rate`` Hz.

    ``primary`` are the numbers of the recordings that each mixture has one of, with the probabilities ``weights``;
    ``others`` are those that are mixed in.
    """

    recordings: Recordings
    primary: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    length: int
    rate: int

    def draw(self, rng: np.random.Generator) -> Samples:
        """One mixture, float32 ``(length,)`` in -1 to 1, at -48 to -10 dB where its peaks leave room for that."""
        out = self._bed(rng, int(rng.choice(self.primary, p=self.weights)))
        level = _rms(out)
        for chance in (0.5, 0.3):
            if rng.random() >= chance:
                break
            other = self._bed(rng, int(rng.choice(self.others)))
            out = out + other * (level / max(_rms(other), 1e-5) * 10.0 ** (-rng.uniform(-6.0, 24.0) / 20.0))
        if rng.random() < 0.15:
            noise = _coloured(rng, len(out))
            out = out + noise * (level / max(_rms(noise), 1e-9) * 10.0 ** (-rng.uniform(5.0, 35.0) / 20.0))
        if rng.random() < 0.45:
            out = _filtered(rng, out, self.rate, room=rng.random() < 0.4)
        target = 10.0 ** (rng.uniform(-48.0, -10.0) / 20.0)
        out = out * (target / max(_rms(out), 1e-5))
        peak = np.abs(out).max(initial=0.0)
        if peak > 1.0 and rng.random() < 0.9:
            out = out / peak
        mixed: Samples = np.clip(out, -1.0, 1.0).astype(np.float32)
        return mixed

    def _bed(self, rng: np.random.Generator, number: int) -> Samples:
        """One recording: a cut of a long one; a short one placed, and sometimes repeated."""
        start, length = int(self.recordings.starts[number]), int(self.recordings.lengths[number])
        speed = float(2.0 ** rng.uniform(-0.4, 0.4)) if rng.random() < 0.4 else 1.0
        wanted = int(self.length * speed) + 2
        if length >= wanted:
            for _ in range(4):
                part = self.recordings.cut(start + int(rng.integers(length - wanted + 1)), wanted)
                if _rms(part) > 1e-3:
                    break
        else:
            part = self.recordings[number]
        if speed != 1.0:
            positions = np.arange(0.0, len(part) - 1, speed)
            part = np.interp(positions, np.arange(len(part)), part).astype(np.float32)
        if len(part) >= self.length:
            return part[: self.length]
        out = np.zeros(self.length, dtype=np.float32)
        at = int(rng.integers(self.length - len(part) + 1)) if rng.random() < 0.6 else 0
        out[at : at + len(part)] = part
        if rng.random() < 0.5:  # again, and again
            at += len(part) + int(rng.exponential(0.15 * self.rate))
            while at < self.length:
                part = part * np.float32(rng.uniform(0.6, 1.2))
                out[at : at + len(part)] += part[: self.length - at]
                at += len(part) + int(rng.exponential(0.15 * self.rate))
        return out


def to_bytes(mels: Samples) -> npt.NDArray[np.uint8]:
    """Log-mel magnitudes in steps of 0.05, to keep many of them."""
    kept: npt.NDArray[np.uint8] = np.clip(np.rint((mels - LOWEST) * (255.0 / (HIGHEST - LOWEST))), 0, 255).astype(
        np.uint8
    )
    return kept


def from_bytes(kept: npt.NDArray[np.uint8]) -> Samples:
    """The inverse of ``to_bytes``."""
    return kept.astype(np.float32) * np.float32((HIGHEST - LOWEST) / 255.0) + np.float32(LOWEST)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _coloured(rng: np.random.Generator, length: int) -> Samples:
    """Noise whose power falls with frequency to a random exponent from 0 (white) to 2 (brown)."""
    size = 1 << (length - 1).bit_length()
    spectrum = rng.standard_normal(size // 2 + 1) + 1j * rng.standard_normal(size // 2 + 1)
    spectrum /= np.maximum(np.arange(size // 2 + 1), 4.0) ** (rng.uniform(0.0, 2.0) / 2.0)
    return np.fft.irfft(spectrum)[:length].astype(np.float32)


def _filtered(rng: np.random.Generator, samples: Samples, rate: int, *, room: bool) -> Samples:
    """A smooth random equaliser, sometimes a telephone's band, and the exponential tail of a room where asked for."""
    size = 1 << (len(samples) + rate // 2 - 1).bit_length()
    frequencies = np.fft.rfftfreq(size, 1.0 / rate)
    octaves = np.log2(np.maximum(frequencies, 40.0) / 40.0)
    gains = np.interp(octaves, np.linspace(0.0, 7.7, 8), rng.normal(0.0, 5.0, 8))
    if rng.random() < 0.3:
        gains -= 24.0 * np.maximum(0.0, np.log2(np.maximum(frequencies, 1.0) / rng.uniform(1500.0, 6000.0)))
    if rng.random() < 0.2:
        gains -= 12.0 * np.maximum(0.0, np.log2(rng.uniform(80.0, 500.0) / np.maximum(frequencies, 10.0)))
    response = 10.0 ** (np.maximum(gains, -80.0) / 20.0)
    if room:
        tail = np.zeros(size)
        length = int(rng.uniform(0.1, 0.5) * rate)
        tail[:length] = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
        tail *= rng.uniform(0.1, 0.8) / np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        response = response * np.fft.rfft(tail)
    return np.fft.irfft(np.fft.rfft(samples, size) * response, size)[: len(samples)].astype(np.float32)
