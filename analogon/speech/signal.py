"""Speech as samples: what is silent at its ends, its fundamental frequency, its rate and its pitch."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Samples", "faded", "fundamental_frequency", "pitched", "time_stretch", "trim"]

Samples = npt.NDArray[np.float32]

BELOW_PEAK: Final = 50.0  # dB
FADE: Final = 0.003  # seconds
MARGIN: Final = 0.002  # seconds left before the first and after the last loud sample, for the fades


def trim(samples: Samples, rate: int) -> Samples:
    """Without what is silent at both ends: ``BELOW_PEAK`` dB below the peak. Silence alone stays as it is."""
    level = np.abs(samples)
    loud = np.flatnonzero(level > level.max(initial=0.0) * 10 ** (-BELOW_PEAK / 20))
    if not loud.size:
        return samples
    margin = round(MARGIN * rate)
    return samples[max(int(loud[0]) - margin, 0) : int(loud[-1]) + 1 + margin]


def faded(samples: Samples, rate: int) -> Samples:
    length = min(round(FADE * rate), len(samples) // 2)
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / max(length, 1))).astype(np.float32)
    samples = samples.copy()
    samples[:length] *= ramp
    samples[len(samples) - length :] *= ramp[::-1]
    return samples


def pitched(samples: Samples, rate: int, faster: float, higher: float) -> Samples:
    """Speech ``faster`` times as fast, its fundamental ``higher`` times as high, formants with it."""
    length = round(len(samples) / faster)
    if abs(higher - 1) > 1e-6:
        import soxr

        samples = np.asarray(soxr.resample(samples, rate * higher, rate), np.float32)
    return time_stretch(samples, rate, length)


def time_stretch(samples: Samples, rate: int, length: int) -> Samples:
    """Speech of exactly ``length`` samples, its pitch unchanged: FFmpeg's ``atempo``, a WSOLA.

    >>> time_stretch(np.zeros(8000, np.float32), 8000, 12000).shape
    (12000,)
    """
    tempo = len(samples) / max(length, 1)
    if not len(samples) or not length or abs(tempo - 1) < 1e-6:
        return _cut(samples, length)
    # One filter does 0.5 to 2 well; it drops what its last window does not fill.
    stages = max(1, math.ceil(abs(math.log2(tempo)) - 1e-9))
    padded = np.concatenate([samples, np.zeros(round(rate * stages * 0.25 * max(tempo, 1)), np.float32)])
    return _cut(_filtered(padded, rate, tempo ** (1 / stages), stages, length), length)


def _cut(samples: Samples, length: int) -> Samples:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _filtered(samples: Samples, rate: int, tempo: float, stages: int, length: int) -> Samples:
    import av

    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate))
    last = source
    for _ in range(stages):
        stage = graph.add("atempo", f"{tempo:.9f}")
        last.link_to(stage)
        last = stage
    sink = graph.add("abuffersink")
    last.link_to(sink)
    graph.configure()
    made: list[Samples] = []

    def drain() -> None:
        while True:
            try:
                pulled = sink.pull()
                assert isinstance(pulled, av.AudioFrame)
                made.append(pulled.to_ndarray()[0])
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    # Small frames: atempo ends the process where a frame is much longer than its window.
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate, start
        source.push(frame)
        drain()
        if sum(map(len, made)) >= length:
            break
    else:
        source.push(None)
        drain()
    return np.concatenate(made) if made else np.zeros(0, np.float32)


def fundamental_frequency(samples: Samples, rate: int) -> float | None:
    """The median fundamental frequency in Hz, 50 to 600, of the frames that have one; None where none has.

    By the normalised autocorrelation of 50 ms frames (Boersma 1993, without his path search).
    """
    size = round(0.05 * rate)
    shortest, longest = max(2, round(rate / 600)), min(round(rate / 50), size - 2)
    if len(samples) < size or longest <= shortest:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: size // 2].astype(np.float64)
    frames = frames[:2000] - frames[:2000].mean(axis=1, keepdims=True)
    window = np.hanning(size)
    padded = 1 << (2 * size - 1).bit_length()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames * window, padded)) ** 2)[:, :size]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, padded)) ** 2)[:size]
    energy = correlation[:, :1]
    loud = energy[:, 0] > 1e-3 * energy.max(initial=0.0)
    if not loud.any():
        return None
    shares = correlation[loud] / np.maximum(energy[loud], 1e-30) * (own[0] / np.maximum(own, 1e-9 * own[0]))
    found = []
    for share in shares:
        # The first peak that is nearly the highest: multiples of the period are as high, but an octave too low.
        inner = share[shortest : longest + 1]
        high = inner.max()
        if high < 0.5:
            continue
        peaks = np.flatnonzero(
            (share[shortest : longest + 1] >= share[shortest - 1 : longest])
            & (share[shortest : longest + 1] >= share[shortest + 1 : longest + 2])
            & (inner > 0.9 * high)
        )
        if peaks.size:
            lag = shortest + int(peaks[0])
            before, at, after = share[lag - 1 : lag + 2]
            bend = before - 2 * at + after
            found.append(rate / (lag + (0.5 * (before - after) / bend if bend else 0.0)))
    return float(np.median(found)) if found else None
