"""Weather, water, fire and animals."""

from __future__ import annotations

import numpy as np

from analogon.synthesis.signals import (
    RATE,
    Signal,
    band,
    bubbles,
    burst,
    clicks,
    drift,
    faded,
    glide,
    modes,
    noise,
    peaks,
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
    return drops / drops.std() + (0.6 + 1.2 * heavy) * bed / bed.std()


def wind(rng: Random) -> Signal:
    """Noise whose pitch and loudness follow gusts."""
    seconds = 5.0
    gust = drift(rng, seconds, 0.9, 0.15, 1.0)
    centre = 180 + rng.uniform(250, 600) * gust

    def response(frequency: Signal, when: Signal) -> Signal:
        middle = np.interp(when, times(seconds), centre)
        whistle = 1 / np.sqrt(1 + ((frequency - 1.7 * middle) / 60) ** 2)
        return 1 / (1 + ((frequency - middle) / (0.45 * middle)) ** 2) + 0.25 * whistle

    return swept(noise(rng, seconds, 0.8), response) * gust**1.5


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
    return surf / surf.std() * swell + 0.12 * foam / foam.std()


def thunder(rng: Random) -> Signal:
    """A crack and long rolling rumbles."""
    seconds = 5.0
    t = times(seconds)
    out = np.zeros(len(t))
    at = 0.1
    for number in range(rng.integers(7, 14)):
        low = float(rng.uniform(90, 350) if number else 2500)
        length = float(rng.uniform(0.8, 2.5))
        roll = band(noise(rng, length, 1.4), 25, low, 1) * (1 - np.exp(-times(length) / 0.03))
        place(out, roll * np.exp(-times(length) / (0.35 * length)), at, float(rng.uniform(0.4, 1.0)) * 0.85**number)
        at += float(rng.exponential(0.3))
    place(out, burst(rng, 0.7, 0.12, 100, 5000), 0.08, float(rng.uniform(0.2, 0.7)))
    return room(out, rng, 2.5, 0.5, 1200)


def fire(rng: Random) -> Signal:
    """Crackles in clusters, of every loudness, over a soft roar."""
    seconds = 5.0
    kernels = [
        burst(rng, 0.03, float(d), float(low), 7500)
        for d, low in zip(rng.uniform(4e-4, 4e-3, 8), rng.uniform(300, 3000, 8), strict=True)
    ]
    activity = drift(rng, seconds, 6, 0, 1) ** 3 * 60 + 12
    crackle = clicks(rng, seconds, activity, kernels, 1.5)
    crackle = np.tanh(crackle / (6 * crackle.std()))
    roar = band(noise(rng, seconds, 1.2), 60, 900, 1) * drift(rng, seconds, 5, 0.6, 1.2)
    hiss = band(noise(rng, seconds), 2500, 7500, 1)
    return crackle + 0.018 * roar / roar.std() + 0.006 * hiss / hiss.std()


def stream(rng: Random) -> Signal:
    """A brook: hundreds of bubbles a second over a soft rush."""
    seconds = 4.0
    water = bubbles(rng, seconds, float(rng.uniform(150, 400)), 350, 3500, 0.12)
    rush = band(noise(rng, seconds, 0.8), 300, 6000, 1) * drift(rng, seconds, 3, 0.7, 1.2)
    return water / water.std() + 0.35 * rush / rush.std()


def drip(rng: Random) -> Signal:
    """Single drops into still water, in a hollow room."""

    def drop(_: int) -> Signal:
        t = times(0.3)
        start = float(rng.uniform(700, 1400))
        rising = start * (1 + float(rng.uniform(3, 7)) * t)
        body = np.sin(2 * np.pi * np.cumsum(rising) / RATE) * np.exp(-t / float(rng.uniform(0.012, 0.03)))
        place(body, burst(rng, 0.01, 0.0015, 2000, 7000), 0.0, 0.3)
        return faded(np.concatenate([body, np.zeros(10)]), 0.002, 0.01)

    return room(repeated(rng, 4.0, float(rng.uniform(0.35, 0.8)), drop, jitter=0.15), rng, 0.9, 0.3)


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
    """Meows: the mouth opens and shuts on a gliding voice."""
    base = float(rng.uniform(420, 620))

    def meow(_: int) -> Signal:
        length = float(rng.uniform(0.6, 1.0))
        pitch = glide(length, base, 1.35 * base, 1.45 * base, 1.25 * base, 0.85 * base)
        pitch *= 1 + 0.012 * np.sin(2 * np.pi * 6 * times(length))
        first = glide(length, 450, 900, 1300, 1200, 700)
        second = glide(length, 2300, 2200, 1900, 1600, 1200)
        third = glide(length, 3800, 3600, 3500, 3300, 3200)
        voice = sung(
            rng, pitch, [first, second, third], [220, 350, 600], [1, 0.8, 0.5], tilt=0.5, breath=0.05, rough=0.004
        )
        return faded(voice, 0.09, 0.25)

    return room(repeated(rng, 3.0, float(rng.uniform(1.1, 1.5)), meow), rng, 0.4, 0.15)


def cow(rng: Random) -> Signal:
    """A long low moo, nasal first, open later."""
    length = float(rng.uniform(1.5, 2.2))
    base = float(rng.uniform(110, 160))
    pitch = glide(length, 0.85 * base, 1.1 * base, 1.25 * base, 1.2 * base, 0.8 * base)
    first = glide(length, 260, 350, 550, 600, 400)
    second = glide(length, 700, 900, 1100, 1150, 900)
    voice = sung(rng, pitch, [first, second, 2400.0], [120, 200, 500], [1, 0.6, 0.2], tilt=0.6, breath=0.06, rough=0.02)
    out = np.zeros(samples(3.0))
    place(out, faded(voice, 0.2, 0.4), 0.2)
    return room(out, rng, 0.9, 0.25)


def sheep(rng: Random) -> Signal:
    """A bleat: a nasal voice that trembles."""

    def bleat(_: int) -> Signal:
        length = float(rng.uniform(0.6, 1.0))
        t = times(length)
        tremble = 7.5 + rng.uniform(-1, 2)
        base = float(rng.uniform(240, 330))
        pitch = glide(length, base, 1.1 * base, 1.05 * base, 0.85 * base) * (1 + 0.05 * np.sin(2 * np.pi * tremble * t))
        voice = sung(
            rng, pitch, [750.0, 1500.0, 2700.0], [200, 300, 500], [1, 0.8, 0.5], tilt=0.4, breath=0.08, rough=0.02
        )
        return faded(voice * (0.7 + 0.3 * np.sin(2 * np.pi * tremble * t)), 0.05, 0.15)

    return room(repeated(rng, 3.0, 1.4, bleat), rng, 0.5, 0.15)


def rooster(rng: Random) -> Signal:
    """Cock-a-doodle-doo: three short syllables and a long falling one."""
    out = np.zeros(samples(3.0))
    base = float(rng.uniform(600, 750))
    at = 0.15
    for length, curve in (
        (0.16, (0.7, 1.0)),
        (0.14, (0.95, 1.05)),
        (0.3, (0.9, 1.3, 1.2)),
        (1.0, (1.2, 1.45, 1.35, 1.15, 0.7)),
    ):
        pitch = glide(length, *(base * value for value in curve))
        voice = sung(
            rng, pitch, [1300.0, 2400.0, 3600.0], [400, 500, 700], [1, 0.9, 0.5], tilt=0.25, breath=0.1, rough=0.03
        )
        place(out, faded(voice, 0.03, 0.06), at)
        at += length + 0.06
    return room(out, rng, 0.9, 0.25)


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
    """A buzzing insect near the ear: a rich low tone that wavers as it flies."""
    seconds = 4.0
    pitch = drift(rng, seconds, 3, 0.92, 1.08) * float(rng.uniform(170, 240))
    voice = sung(
        rng, pitch, [400.0, 1200.0, 2800.0], [500, 900, 1500], [1, 0.5, 0.3], tilt=0.7, breath=0.05, rough=0.02
    )
    return voice * drift(rng, seconds, 1.2, 0.1, 1.0)


def duck(rng: Random) -> Signal:
    """Quacks: a harsh nasal voice that drops."""

    def quack(_: int) -> Signal:
        length = float(rng.uniform(0.14, 0.2))
        base = float(rng.uniform(230, 300))
        voice = sung(
            rng,
            glide(length, base, 1.1 * base, 0.8 * base),
            [1200.0, 2100.0, 3000.0],
            [250, 350, 600],
            [1, 1, 0.6],
            tilt=0.05,
            breath=0.1,
            rough=0.05,
        )
        return faded(voice, 0.015, 0.05)

    return room(repeated(rng, 3.0, float(rng.uniform(0.3, 0.5)), quack, jitter=0.12), rng, 0.5, 0.15)


def whale(rng: Random) -> Signal:
    """Long gliding moans under water."""

    def moan(_: int) -> Signal:
        length = float(rng.uniform(1.2, 1.9))
        base = float(rng.uniform(180, 420))
        pitch = glide(length, *(base * rng.uniform(0.7, 1.6, 4)))
        return faded(sung(rng, pitch, [500.0, 1000.0], [400, 600], [1, 0.4], tilt=1.0, breath=0.03), 0.25, 0.4)

    return room(repeated(rng, 5.0, 1.9, moan), rng, 2.5, 0.5, 1500)


def splash(rng: Random) -> Signal:
    """Something falls into water: a slap, a spray and bubbles after it."""

    def one(_: int) -> Signal:
        out = np.zeros(samples(1.4))
        place(out, burst(rng, 0.5, 0.05, 150, 1500), 0, 1.0)
        place(out, burst(rng, 1.2, 0.25, 1000, 7500), 0.03, 0.5)
        water = bubbles(rng, 1.2, 150, 350, 2500, 0.15) * np.exp(-times(1.2) / 0.4)
        place(out, peaks(water, [800], [1500], [1.0]), 0.08, 1.2)
        return out

    return repeated(rng, 3.0, float(rng.uniform(1.2, 1.6)), one, jitter=0.1)
