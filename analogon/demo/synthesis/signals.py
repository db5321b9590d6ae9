"""What the sounds are made of: noise, filters, modes, strings, pulses, voices and rooms, in numpy alone.

All signals are float64 ``(n,)`` at ``RATE``; a seeded ``Generator`` is the only source of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "RATE",
    "Curve",
    "Signal",
    "aired",
    "band",
    "bubbles",
    "burst",
    "clicks",
    "drift",
    "faded",
    "glide",
    "level",
    "mixed",
    "modes",
    "noise",
    "peaks",
    "place",
    "pluck",
    "repeated",
    "room",
    "samples",
    "sung",
    "swept",
    "times",
    "tone",
]

RATE: Final = 16000
Signal = npt.NDArray[np.float64]
Curve = float | Signal
FRAME: Final = 512  # samples of the frames in which a filter may change


def samples(seconds: float) -> int:
    """How many samples a duration has."""
    return max(1, round(seconds * RATE))


def times(seconds: float) -> Signal:
    """The times of the samples in seconds."""
    return np.arange(samples(seconds)) / RATE


def _frequencies(n: int) -> Signal:
    """The frequencies of a real transform of ``n`` samples, in Hz."""
    return np.asarray(np.fft.rfftfreq(n, 1 / RATE), dtype=np.float64)


def noise(rng: np.random.Generator, seconds: float, slope: float = 0.0) -> Signal:
    """Gaussian noise of RMS 1 whose power falls as 1 / f ** slope: 0 is white, 1 pink, 2 brown."""
    n = samples(seconds)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.maximum(_frequencies(n), 20.0)
    shaped = np.fft.irfft(spectrum * frequency ** (-slope / 2), n)
    return np.asarray(shaped / np.sqrt(np.mean(shaped**2) + 1e-12))


def _band_gain(frequency: Signal, low: float, high: float, order: int) -> Signal:
    gain = np.ones_like(frequency)
    if low > 0:
        gain /= np.sqrt(1 + (low / np.maximum(frequency, 1e-3)) ** (2 * order))
    if high < RATE / 2:
        gain /= np.sqrt(1 + (frequency / high) ** (2 * order))
    return gain


def band(x: Signal, low: float = 0.0, high: float = RATE / 2, order: int = 2) -> Signal:
    """A band of a signal with the slopes of a Butterworth filter, without its phase; 0 and RATE / 2 mean no limit."""
    padded = np.fft.rfft(x, len(x) + FRAME)
    frequency = _frequencies(len(x) + FRAME)
    return np.asarray(np.fft.irfft(padded * _band_gain(frequency, low, high, order), len(x) + FRAME)[: len(x)])


def peaks(x: Signal, centres: Sequence[float], widths: Sequence[float], gains: Sequence[float]) -> Signal:
    """A signal through resonances side by side, each a peak of ``gain`` at ``centre`` Hz, ``width`` Hz wide."""
    frequency = _frequencies(len(x) + FRAME)
    response = _resonances(frequency, centres, widths, gains)
    return np.asarray(np.fft.irfft(np.fft.rfft(x, len(x) + FRAME) * response, len(x) + FRAME)[: len(x)])


def _resonances(frequency: Signal, centres: Sequence[Curve], widths: Sequence[float], gains: Sequence[float]) -> Signal:
    total = np.zeros_like(frequency)
    for centre, width, gain in zip(centres, widths, gains, strict=True):
        total = total + gain / (1 + ((frequency - centre) / (width / 2)) ** 2)
    return total


def swept(x: Signal, response: Callable[[Signal, Signal], Signal]) -> Signal:
    """A signal through a filter that changes with time, by overlapping frames.

    ``response`` gets frequencies ``(1, bins)`` in Hz and times ``(frames, 1)`` in seconds, and gives gains.
    """
    hop = FRAME // 2
    padded = np.pad(x, (hop, FRAME + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::hop]
    window = np.sqrt(np.hanning(FRAME + 1)[:-1])
    frequency = _frequencies(FRAME)[None, :]
    when = (np.arange(len(frames)) * hop / RATE)[:, None]
    out = np.fft.irfft(np.fft.rfft(frames * window, axis=1) * response(frequency, when), FRAME, axis=1) * window
    result = np.zeros(len(padded))
    for number, frame in enumerate(out):
        result[number * hop : number * hop + FRAME] += frame
    return np.asarray(result[hop : hop + len(x)])


def level(x: Signal) -> Signal:
    """A signal at the RMS of 1."""
    return np.asarray(x / (np.sqrt(np.mean(x**2)) + 1e-9))


def aired(rng: np.random.Generator, x: Signal, share: float) -> Signal:
    """A signal in quiet air: pink noise at a share of its peak."""
    return np.asarray(x + share * np.abs(x).max() * noise(rng, len(x) / RATE, 1.0))


def mixed(parts: Iterable[Signal]) -> Signal:
    """The sum of signals of one length."""
    return np.asarray(np.sum(list(parts), axis=0))


def drift(rng: np.random.Generator, seconds: float, per_second: float, low: float, high: float) -> Signal:
    """A smooth random curve between ``low`` and ``high`` that turns about ``per_second`` times a second."""
    knots = rng.random(int(seconds * per_second) + 3)
    position = times(seconds) * per_second
    left = position.astype(int)
    mix = 0.5 - 0.5 * np.cos(np.pi * (position - left))
    return np.asarray(low + (high - low) * (knots[left] * (1 - mix) + knots[left + 1] * mix))


def glide(seconds: float, *points: float) -> Signal:
    """A curve through values at equal distances."""
    n = samples(seconds)
    return np.interp(np.arange(n), np.linspace(0, n - 1, len(points)), points)


def faded(x: Signal, attack: float, release: float) -> Signal:
    """A signal with a raised-cosine beginning and end, in seconds."""
    out = x.copy()
    first, last = min(samples(attack), len(x)), min(samples(release), len(x))
    out[:first] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(first) / first)
    out[len(x) - last :] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, last + 1) / last)
    return out


def burst(rng: np.random.Generator, seconds: float, decay: float, low: float, high: float) -> Signal:
    """A band of noise that dies away to 1 / e within ``decay`` seconds."""
    return band(noise(rng, seconds), low, high) * np.exp(-times(seconds) / decay)


def modes(
    seconds: float,
    frequencies: Sequence[float],
    decays: Sequence[float],
    gains: Sequence[float],
    phases: Sequence[float] | None = None,
) -> Signal:
    """Modal synthesis: a sum of sines, each dying away to 1 / e within its decay in seconds."""
    t = times(seconds)
    out = np.zeros(len(t))
    for number, (frequency, decay, gain) in enumerate(zip(frequencies, decays, gains, strict=True)):
        if frequency < 0.48 * RATE:
            phase = phases[number] if phases is not None else 0.0
            out += gain * np.exp(-t / decay) * np.sin(2 * np.pi * frequency * t + phase)
    return out


def pluck(
    rng: np.random.Generator, frequency: float, seconds: float, bright: float = 0.5, decay: float = 3.0
) -> Signal:
    """A plucked string: Karplus and Strong (1983), extended by Jaffe and Smith (1983) for tuning, decay and brightness.

    ``bright`` is 0 to 1, ``decay`` the time in seconds in which the fundamental falls by 60 dB.
    """
    damp = 0.5 * (1 - bright)  # the loop's filter (1 - damp, damp) delays by about damp samples
    period = RATE / frequency - damp
    whole = int(period)
    part = period - whole
    loss = 10 ** (-3.0 / (decay * frequency))
    # The loop's kernel: a two-point average for brightness, and linear interpolation for the pitch.
    kernel = loss * np.convolve([1 - damp, damp], [1 - part, part])
    n = samples(seconds)
    excitation = band(rng.uniform(-1, 1, whole), 0, 1500 + 6000 * bright, 1)
    place_at = 0.1 + 0.25 * rng.random()
    excitation = excitation - np.roll(excitation, int(place_at * whole))  # where the string is plucked
    out = np.zeros(n + whole + 4)
    out[:whole] = excitation - excitation.mean()
    for start in range(whole, n, whole - 2):
        stop = min(start + whole - 2, n)
        past = out[max(0, start - whole - 2) : stop - whole]
        if start - whole - 2 < 0:
            past = np.concatenate([np.zeros(whole + 2 - start), past])
        out[start:stop] += np.convolve(past, kernel, "valid")[: stop - start]
    return out[:n]


def tone(frequency: Curve, seconds: float, gains: Sequence[Curve], stretch: float = 0.0) -> Signal:
    """Additive synthesis: harmonics of a fundamental (in Hz, may change), with their gains (may change).

    ``stretch`` is a string's inharmonicity: partial k lies at k * sqrt(1 + stretch * k ** 2).
    """
    n = samples(seconds)
    fundamental = np.broadcast_to(np.asarray(frequency, dtype=np.float64), (n,))
    phase = 2 * np.pi * np.cumsum(fundamental) / RATE
    out = np.zeros(n)
    for k, gain in enumerate(gains, start=1):
        ratio = k * np.sqrt(1 + stretch * k * k)
        if ratio * fundamental.min() > 0.48 * RATE:
            break
        out += np.where(ratio * fundamental < 0.48 * RATE, gain, 0.0) * np.sin(ratio * phase)
    return out


def sung(
    rng: np.random.Generator,
    pitch: Signal,
    formants: Sequence[Curve],
    widths: Sequence[float],
    gains: Sequence[float],
    *,
    tilt: float = 1.0,
    breath: float = 0.02,
    rough: float = 0.0,
) -> Signal:
    """A voice by source and filter (Fant 1960): harmonics of ``pitch`` that fall as 1 / k ** tilt, through formants.

    ``breath`` is the share of noise through the same formants, ``rough`` a random flutter of pitch and loudness.
    """
    seconds = len(pitch) / RATE
    flutter = band(noise(rng, seconds), 15, 120) * rough if rough else np.zeros(len(pitch))
    wander = 1 + 0.012 * drift(rng, seconds, 7, -1, 1) + flutter
    shaken = np.clip(pitch * wander, 20, None)
    phase = 2 * np.pi * np.cumsum(shaken) / RATE
    out = np.zeros(len(pitch))
    for k in range(1, min(60, int(0.45 * RATE / shaken.min())) + 1):
        gain = (_resonances(k * shaken, formants, widths, gains) + 0.02) * k**-tilt
        out += np.where(k * shaken < 0.45 * RATE, gain, 0.0) * np.sin(k * phase)
    centres = [float(np.mean(formant)) for formant in formants]
    # Air flows while the folds are open: the noise pulses with the voice.
    air = peaks(noise(rng, seconds), centres, [2 * width for width in widths], gains) * (1 + np.cos(phase))
    shimmer = np.clip(1 + 4 * flutter, 0, None) * drift(rng, seconds, 12, 0.8, 1.2)
    return (level(out) + breath * level(air)) * shimmer


def clicks(
    rng: np.random.Generator,
    seconds: float,
    per_second: Curve,
    kernels: Sequence[Signal],
    spread: float = 1.0,
) -> Signal:
    """Granular texture: kernels at random instants (Poisson), ``spread`` the log-normal spread of their loudness."""
    n = samples(seconds)
    rate = np.broadcast_to(np.asarray(per_second, dtype=np.float64), (n,)) / (RATE * len(kernels))
    out = np.zeros(n)
    for kernel in kernels:
        hits = rng.random(n) < rate
        train = np.where(hits, np.exp(spread * rng.standard_normal(n)) * rng.choice([-1.0, 1.0], n), 0.0)
        size = n + len(kernel)
        out += np.fft.irfft(np.fft.rfft(train, size) * np.fft.rfft(kernel, size), size)[:n]
    return out


def bubbles(
    rng: np.random.Generator, seconds: float, per_second: float, low: float, high: float, rise: float = 0.1
) -> Signal:
    """Bubbles in a liquid: decaying sines that rise in pitch, small ones high and short (van den Doel 2005)."""
    out = np.zeros(samples(seconds))
    for _ in range(rng.poisson(per_second * seconds)):
        frequency = low * (high / low) ** rng.random()
        damping = 0.13 * frequency * 0.072 + 0.0072 * 0.2 * frequency**1.5 * 0.02 + 8
        length = min(6 / damping, 0.25)
        t = times(length)
        climb = frequency * (1 + rise * rng.random() * damping * t)
        drop = np.sin(2 * np.pi * np.cumsum(climb) / RATE) * np.exp(-damping * t)
        place(out, drop, rng.random() * seconds, rng.random() ** 3 * (low / frequency) ** 0.4)
    return out


def place(canvas: Signal, sound: Signal, at: float, gain: float = 1.0) -> None:
    """Add a sound to a canvas from ``at`` seconds on, as far as it fits."""
    start = int(at * RATE)
    stop = min(len(canvas), start + len(sound))
    if 0 <= start < stop:
        canvas[start:stop] += gain * sound[: stop - start]


def repeated(
    rng: np.random.Generator,
    seconds: float,
    every: float,
    make: Callable[[int], Signal],
    *,
    jitter: float = 0.03,
    start: float = 0.05,
    loudness: float = 0.15,
) -> Signal:
    """Something that comes again ``every`` so many seconds, never quite at the same time and loudness."""
    canvas = np.zeros(samples(seconds))
    number, at = 0, start
    while at < seconds:
        place(canvas, make(number), at, float(np.exp(loudness * rng.standard_normal())))
        number += 1
        at += every * float(np.clip(1 + jitter * rng.standard_normal(), 0.4, 1.6))
    return canvas


def room(x: Signal, rng: np.random.Generator, decay: float = 0.4, wet: float = 0.3, bright: float = 4000) -> Signal:
    """A signal in a room: early reflections and exponentially dying noise (``decay`` is the time to -60 dB)."""
    tail = noise(rng, decay * 1.2) * np.exp(-6.9 * times(decay * 1.2) / decay)
    response = band(tail, 100, bright, 1)
    for _ in range(6):
        response[int(rng.uniform(0.004, 0.04) * RATE) % len(response)] += rng.uniform(-3, 3)
    response /= np.sqrt(np.sum(response**2))
    size = len(x) + len(response)
    echo = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(response, size), size)[: len(x)]
    return (1 - wet) * x + wet * echo
