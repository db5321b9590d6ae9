"""What tests of speech measure by, and an engine whose sound is known to the sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from analogon.engines.generator import Ability, Generator, Settings
from analogon.prompts import Prompt
from analogon.speech import Speech, parse, speak
from embed.errors import UsageError
from embed.media import Media

RATE = 16000
FREQUENCY = 150.0
BEFORE, VOICED, AFTER = 0.21, 1.0, 0.34  # seconds: an engine's own silences around its words


class Hums(Generator):
    """Hums a vowel of 150 Hz for a second, whatever the text, with silence around it; keeps what it was asked."""

    name = "hums:a"
    modality = "audio"
    speaks = True

    def __init__(self, level: float = 0.2, abilities: frozenset[Ability] = frozenset()) -> None:
        self.level = level
        self.abilities = abilities
        self.asked: list[tuple[str, Settings]] = []

    @property
    def identity(self) -> dict[str, Any]:
        return {"family": "hums"}

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        self.asked.append((prompt.text, settings))
        if settings.voice == "nobody":
            raise UsageError("hums has no voice 'nobody'")
        time = np.arange(round(VOICED * RATE)) / RATE
        wave = sum(np.sin(2 * np.pi * FREQUENCY * k * time + k) / k for k in range(1, 12))
        wave = np.asarray(self.level * wave / np.abs(wave).max(), np.float32)
        return Media("audio", array=np.pad(wave, (round(BEFORE * RATE), round(AFTER * RATE))), rate=RATE)


def spoken(inner: str, engine: Generator | None = None, **settings: Any) -> Speech:
    return speak(parse(f"<speak>{inner}</speak>"), engine or Hums(), Settings(**settings))


def samples(one: Speech) -> np.ndarray:
    assert one.media.array is not None
    return one.media.array


def runs(sound: np.ndarray, rate: int, silent: bool) -> list[tuple[float, float]]:
    """Where it is silent (50 dB below its peak for at least 4 ms), or is not: (start, end) in seconds."""
    loud = np.abs(sound) > np.abs(sound).max() * 10 ** (-50 / 20)
    gap = round(0.004 * rate)
    at = np.flatnonzero(loud)
    breaks = np.flatnonzero(np.diff(at) > gap)
    starts, ends = at[np.r_[0, breaks + 1]], at[np.r_[breaks, len(at) - 1]] + 1
    if not silent:
        return [(s / rate, e / rate) for s, e in zip(starts, ends, strict=True)]
    edges = [0, *np.stack([starts, ends], 1).ravel().tolist(), len(sound)]
    return [(s / rate, e / rate) for s, e in zip(edges[::2], edges[1::2], strict=True) if e - s > gap]


def silences(one: Speech) -> list[float]:
    return [end - start for start, end in runs(samples(one), one.rate, silent=True)]


def level(sound: np.ndarray) -> float:
    """RMS in dB of the middle, clear of fades."""
    middle = sound[len(sound) // 4 : -len(sound) // 4].astype(np.float64)
    return float(10 * np.log10((middle**2).mean()))


def frequency(sound: np.ndarray, rate: int) -> float:
    """By the spectrum's comb: an oracle that shares nothing with what is tested."""
    size = 1 << 19
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    candidates = np.arange(40.0, 600.0, 0.1)
    comb = [sum(spectrum[round(f * k * size / rate)] for k in range(1, 5)) for f in candidates]
    # Half the true frequency scores no more than it: the first that is as high from above.
    return float(candidates[int(np.argmax(comb))])
