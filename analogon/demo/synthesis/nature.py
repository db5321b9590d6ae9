"""Weather, water, fire and animals."""

from __future__ import annotations

import numpy as np

from analogon.demo.synthesis.signals import (
    RATE,
    Curve,
    Signal,
    aired,
    band,
    bubbles,
    burst,
    clicks,
    drift,
    faded,
    glide,
    level,
    mixed,
    modes,
    noise,
    place,
    repeated,
    room,
    samples,
    sung,
    swept,
    times,
)

Random = np.random.Generator


def rain(rng: Random) -> Signal:
    """Dense drops of many sizes over a bed of noise."""
    seconds = 4.0
    kernels = [
        modes(0.02, [f, 1.6 * f], [0.003, 0.002], [1.0, 0.5]) + 0.5 * burst(rng, 0.02, 0.002, 800, 7500)
        for f in rng.uniform(1200, 5500, 8)
    ]
    heavy = rng.uniform(0.3, 1.0)
    drops = clicks(rng, seconds, 300 + 1500 * heavy, kernels, 1.0)
    bed = band(noise(rng, seconds, 0.6), 400, 7900, 1)
    return level(drops) + (0.6 + 1.2 * heavy) * level(bed)


def wind(rng: Random) -> Signal:
    """Turbulence that rumbles, and a howl whose pitch and loudness follow the gusts."""
    seconds = 5.0
    gust = drift(rng, seconds, 0.8, 0.2, 1.0)
    centre = 220 + float(rng.uniform(150, 350)) * gust

    def response(frequency: Signal, when: Signal) -> Signal:
        middle = np.interp(when, times(seconds), centre)
        return 1 / (1 + ((frequency - middle) / (0.2 * middle)) ** 2)

    howl = swept(noise(rng, seconds), response)
    rumble = band(noise(rng, seconds, 1.6), 40, 900, 1) * drift(rng, seconds, 9, 0.4, 1.2)
    return (level(howl) * gust + 0.9 * level(rumble)) * gust


def sea(rng: Random) -> Signal:
    """Breaking waves: noise that grows, brightens and draws back."""
    seconds = 6.0
    t = times(seconds)
    period = rng.uniform(3.2, 4.6)
    phase = (t / period + rng.random()) % 1.0
    swell = np.where(phase < 0.35, (phase / 0.35) ** 2, np.exp(-(phase - 0.35) * 3.2))
    swell = 0.12 + np.convolve(swell, np.hanning(3001) / 1500, "same")

    def response(frequency: Signal, when: Signal) -> Signal:
        now = np.interp(when, t, swell)
        return 1 / (1 + (frequency / (300 + 3200 * now)) ** 1.6)

    foam = clicks(rng, seconds, 2500 * swell, [burst(rng, 0.01, 0.002, 1500, 7000)], 0.7) * swell
    surf = swept(noise(rng, seconds, 0.5), response)
    return level(surf) * swell + 0.12 * level(foam)


def thunder(rng: Random) -> Signal:
    """A crack and long rolling rumbles, in rain."""
    seconds = 5.0
    out = np.zeros(samples(seconds))
    at = 0.05
    for _ in range(int(rng.integers(9, 16))):
        low = float(rng.uniform(120, 420))
        length = float(rng.uniform(1.0, 2.5))
        roll = band(noise(rng, length, 1.2), 25, low, 1) * (1 - np.exp(-times(length) / 0.03))
        place(out, level(roll) * np.exp(-times(length) / (0.35 * length)), at, float(rng.uniform(0.4, 1.0)))
        at += float(rng.exponential(0.3))
    place(out, burst(rng, 0.7, 0.12, 100, 3000), 0.08, float(rng.uniform(0.1, 0.7)))
    falling = band(noise(rng, seconds, 0.6), 500, 7000, 1)
    return room(out, rng, 2.5, 0.5, 1200) + float(rng.uniform(0.01, 0.05)) * falling


def fire(rng: Random) -> Signal:
    """Crackles in clusters, of every loudness, over a soft roar."""
    seconds = 5.0
    kernels = [
        burst(rng, 0.03, float(d), float(low), 7500)
        for d, low in zip(rng.uniform(4e-4, 4e-3, 8), rng.uniform(300, 3000, 8), strict=True)
    ]
    activity = drift(rng, seconds, 6, 0, 1) ** 3 * 60 + 12
    crackle = clicks(rng, seconds, activity, kernels, 1.5)
    crackle[:] = np.tanh(crackle / (6 * crackle.std()))
    roar = band(noise(rng, seconds, 1.2), 60, 900, 1) * drift(rng, seconds, 5, 0.6, 1.2)
    hiss = band(noise(rng, seconds), 2500, 7500, 1)
    return crackle + 0.018 * level(roar) + 0.006 * level(hiss)


def stream(rng: Random) -> Signal:
    """A brook: hundreds of bubbles a second over a rush."""
    seconds = 4.0
    water = bubbles(rng, seconds, float(rng.uniform(300, 700)), 450, 3500, 0.12)
    rush = band(noise(rng, seconds, 0.6), 350, 7000, 1) * drift(rng, seconds, 3, 0.7, 1.2)
    return level(water) + float(rng.uniform(0.6, 1.2)) * level(rush)


def drip(rng: Random) -> Signal:
    """Single drops into still water: a tick, and the bubble that it leaves, in a hollow room."""

    def drop(_: int) -> Signal:
        out = np.zeros(samples(0.3))
        place(out, burst(rng, 0.02, 0.0015, 2500, 7900), 0.0, 0.7)
        for number in range(int(rng.integers(1, 3))):
            t = times(0.08)
            rising = float(rng.uniform(1100, 2600)) * (1 + float(rng.uniform(2, 8)) * t)
            bubble = np.sin(2 * np.pi * np.cumsum(rising) / RATE) * np.exp(-t / float(rng.uniform(0.006, 0.014)))
            place(out, faded(bubble, 0.001, 0.01), 0.012 + 0.03 * number, 0.8**number)
        return out

    return room(repeated(rng, 4.0, float(rng.uniform(0.2, 0.6)), drop, jitter=0.2, loudness=0.4), rng, 0.8, 0.25)


def cricket(rng: Random) -> Signal:
    """Trains of short pulses of one high pitch, again and again."""
    seconds = 4.0
    carrier = float(rng.uniform(4000, 5200))
    pulses = int(rng.integers(3, 5))

    def chirp(_: int) -> Signal:
        pulse = faded(modes(0.016, [carrier, 2 * carrier * 0.73], [1, 1], [1.0, 0.03]), 0.006, 0.008)
        return repeated(rng, 0.03 * pulses, 0.028, lambda _: pulse, jitter=0.02, start=0.0, loudness=0.1)

    near = repeated(rng, seconds, float(rng.uniform(0.3, 0.6)), chirp, jitter=0.05)
    far = repeated(rng, seconds, float(rng.uniform(0.3, 0.6)), chirp, jitter=0.05)
    night = band(noise(rng, seconds, 0.5), 200, 6000, 1)
    return room(near + 0.15 * far, rng, 0.3, 0.1) + 0.012 * night


def birds(rng: Random) -> Signal:
    """Whistled syllables that sweep, in phrases."""
    seconds = 4.0
    base = float(rng.uniform(2600, 4200))
    shapes = [rng.uniform(0.7, 1.5, 4) for _ in range(3)]

    def syllable(number: int) -> Signal:
        length = float(rng.uniform(0.05, 0.16))
        pitch = np.clip(glide(length, *(base * shapes[(number // 2) % 3])), 1200, 7000)
        pitch = pitch * (1 + 0.04 * np.sin(2 * np.pi * rng.uniform(20, 60) * times(length)))
        whistle = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
        second = 0.08 * np.sin(4 * np.pi * np.cumsum(pitch) / RATE) * (pitch < 3500)
        return faded(whistle + second, 0.012, 0.025)

    def phrase(_: int) -> Signal:
        return repeated(rng, float(rng.uniform(0.5, 1.1)), float(rng.uniform(0.12, 0.2)), syllable, jitter=0.1, start=0)

    song = repeated(rng, seconds, float(rng.uniform(0.9, 1.4)), phrase, jitter=0.15)
    return room(song, rng, 0.8, 0.2) + 0.008 * noise(rng, seconds, 1)


def dog(rng: Random) -> Signal:
    """Barks: a rough voice that leaps up and falls, through a short throat."""
    size = float(rng.uniform(0.8, 1.4))

    def bark(_: int) -> Signal:
        length = float(rng.uniform(0.14, 0.22))
        top = float(rng.uniform(420, 560)) / size
        pitch = glide(length, 0.55 * top, top, 0.95 * top, 0.6 * top)
        openness = glide(length, 0.6, 1.0, 1.0, 0.6)
        formants = [900 / size * openness, 1700 / size * openness, 3000 / size * openness]
        voice = sung(rng, pitch, formants, [260, 350, 600], [1, 0.9, 0.4], tilt=0.55, breath=0.35, rough=0.12)
        return faded(np.tanh(2.5 * voice / (voice.std() * 2.5)), 0.012, 0.07)

    every = float(rng.uniform(0.4, 0.7))
    return room(repeated(rng, 3.0, every, bark, jitter=0.2), rng, 0.5, 0.2)


def cat(rng: Random) -> Signal:
    """Meows: the mouth opens and shuts on a high gliding voice."""
    base = float(rng.uniform(770, 880))
    widths, gains = [250, 400, 700, 900], [1, 0.8, 0.5, 0.3]

    def meow(_: int) -> Signal:
        length = float(rng.uniform(0.55, 0.85))
        pitch = base * glide(length, 0.85, 1.1, 1.15, 1.1, 1.0, 0.8)
        first = 1500 * glide(length, 0.5, 1.0, 1.2, 1.1, 0.8, 0.5)
        second = 2200 * glide(length, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7)
        formants: list[Curve] = [first, second, 4200.0, 6000.0]
        tilt = float(rng.uniform(0.0, 0.3))
        return faded(sung(rng, pitch, formants, widths, gains, tilt=tilt, breath=0.05, rough=0.004), 0.06, 0.25)

    return aired(rng, room(repeated(rng, 3.0, float(rng.uniform(0.9, 1.3)), meow), rng, 0.5, 0.2), 0.006)


def cow(rng: Random) -> Signal:
    """A long moo through a long throat, nasal first, open later, rough at its height."""
    out = np.zeros(samples(4.0))
    base = float(rng.uniform(130, 210))
    for at in (0.1, 2.1):
        length = float(rng.uniform(1.3, 1.8))
        pitch = glide(length, 0.7 * base, 0.9 * base, 1.2 * base, 1.3 * base, 1.25 * base, 0.9 * base)
        first = glide(length, 230, 300, 480, 560, 520, 350)
        formants: list[Curve] = [first, 2.0 * first, 1350.0, 2100.0, 3000.0]
        widths, gains = [110, 160, 250, 350, 500], [1, 0.7, 0.35, 0.2, 0.1]
        voice = sung(rng, pitch, formants, widths, gains, tilt=0.3, breath=0.15, rough=0.03)
        place(out, faded(voice, 0.15, 0.3), at)
    return room(out, rng, 1.2, 0.35)


def sheep(rng: Random) -> Signal:
    """A bleat: a nasal voice that trembles."""

    def bleat(_: int) -> Signal:
        length = float(rng.uniform(0.6, 1.1))
        t = times(length)
        tremble = np.sin(2 * np.pi * float(rng.uniform(8, 12)) * t)
        base = float(rng.uniform(230, 420))
        pitch = glide(length, base, 1.1 * base, 1.05 * base, 0.85 * base) * (1 + 0.03 * tremble)
        formants = [850.0, 1500.0, 2600.0, 3600.0]
        voice = sung(rng, pitch, formants, [200, 300, 400, 500], [1, 0.9, 0.6, 0.4], tilt=0.2, breath=0.25, rough=0.02)
        return faded(voice * np.clip(0.55 + 0.55 * tremble, 0.05, None), 0.04, 0.15)

    return room(repeated(rng, 3.0, 1.3, bleat), rng, 0.8, 0.25)


def owl(rng: Random) -> Signal:
    """Hoots: a soft low whistle, several in a row."""
    base = float(rng.uniform(300, 420))

    def hoot(number: int) -> Signal:
        length = 0.5 if number % 3 == 2 else 0.22
        pitch = base * glide(length, 0.94, 1.0, 1.0, 0.95)
        voice = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + 0.08 * np.sin(4 * np.pi * np.cumsum(pitch) / RATE)
        air = 0.03 * band(noise(rng, length), base, 2 * base)
        return faded(voice + air, 0.07, 0.1)

    return room(repeated(rng, 4.0, 0.6, hoot, jitter=0.08), rng, 1.5, 0.35) + 0.004 * noise(rng, 4.0, 1)


def frog(rng: Random) -> Signal:
    """Croaks: trains of damped pulses through a wide throat."""
    low = float(rng.uniform(500, 800))

    def croak(_: int) -> Signal:
        length = float(rng.uniform(0.25, 0.45))
        pulse = modes(0.03, [low, 2.1 * low, 3.4 * low], [0.006, 0.004, 0.003], [1, 0.7, 0.4])
        return faded(repeated(rng, length, 1 / float(rng.uniform(45, 70)), lambda _: pulse, start=0), 0.05, 0.06)

    return room(repeated(rng, 4.0, float(rng.uniform(0.6, 0.9)), croak), rng, 0.7, 0.2) + 0.003 * noise(rng, 4.0, 0.5)


def bees(rng: Random) -> Signal:
    """Buzzing insects: rich low tones that waver as they fly by."""
    seconds = 4.0

    def insect(loudest: float) -> Signal:
        pitch = drift(rng, seconds, 2, 0.97, 1.03) * float(rng.uniform(150, 250))
        widths = [500.0, 900.0, 1500.0]
        voice = sung(rng, pitch, [450.0, 1200.0, 2800.0], widths, [1, 0.6, 0.4], tilt=0.4, breath=0.3, rough=0.03)
        return voice * drift(rng, seconds, 1.2, 0.1, 1.0) * loudest

    return mixed(insect(loudest) for loudest in (1.0, 0.4, 0.3, 0.2))


def splash(rng: Random) -> Signal:
    """Something falls into water: a slap, a spray and bubbles after it."""
    seconds = 3.0

    def one(_: int) -> Signal:
        out = np.zeros(samples(1.6))
        place(out, burst(rng, 0.5, 0.06, 200, 2500), 0, 0.8)
        spray = band(noise(rng, 1.5, 0.4), 700, 7500, 1) * (1 - np.exp(-times(1.5) / 0.02)) * np.exp(-times(1.5) / 0.3)
        place(out, spray * drift(rng, 1.5, 25, 0.3, 1.2), 0.02, 1.0)
        water = bubbles(rng, 1.5, 300, 400, 3000, 0.15) * np.exp(-times(1.5) / 0.5)
        place(out, level(water), 0.05, 0.5)
        return out

    ripples = level(bubbles(rng, seconds, 150, 400, 2500, 0.15))
    return repeated(rng, seconds, float(rng.uniform(0.7, 1.3)), one, jitter=0.2, loudness=0.4) + 0.08 * ripples
