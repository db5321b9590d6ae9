"""Machines, signals, doors, hands, crowds and bangs."""

from __future__ import annotations

import numpy as np

from analogon.demo.synthesis.signals import (
    RATE,
    Curve,
    Signal,
    aired,
    band,
    burst,
    clicks,
    drift,
    faded,
    glide,
    level,
    mixed,
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
    tone,
)

Random = np.random.Generator


def clock(rng: Random) -> Signal:
    """Tick and tock: two hard small clicks in a wooden case."""
    case = rng.uniform(900, 3500, 6)

    def tick(number: int) -> Signal:
        shift = 1.0 if number % 2 else 0.86
        body = modes(0.06, list(shift * case), [0.006] * 6, [0.5] * 6) + modes(
            0.06, [shift * 4600, shift * 6100], [0.003, 0.002], [1.0, 0.8]
        )
        out = np.zeros(samples(0.1))
        place(out, body, 0.0)
        place(out, burst(rng, 0.01, 0.001, 2000, 7800), 0.0, 0.8)
        place(out, body, 0.017, 0.25)
        return out

    every = float(rng.choice([0.25, 0.5, 0.5, 1.0]))
    return room(repeated(rng, 4.0, every, tick, jitter=0.004, loudness=0.05), rng, 0.25, 0.15) + 3e-4 * noise(rng, 4.0)


def alarm(rng: Random) -> Signal:
    """A digital alarm clock: groups of beeps, almost square."""
    pitch = float(rng.choice([1000, 1600, 2048, 2400, 3100]))
    count = int(rng.integers(2, 5))
    length = float(rng.uniform(0.07, 0.13))

    def beeps(_: int) -> Signal:
        beep = faded(tone(pitch, length, [1, 0, 0.33, 0, 0.2]), 0.002, 0.003)
        return repeated(rng, count * 1.8 * length, 1.8 * length, lambda _: beep, jitter=0, start=0, loudness=0)

    return room(repeated(rng, 4.0, count * 1.8 * length + 0.35, beeps, jitter=0, loudness=0), rng, 0.25, 0.12)


def telephone(rng: Random) -> Signal:
    """An old telephone's two bells under a fast hammer."""
    first, second = float(rng.uniform(900, 1200)), float(rng.uniform(1250, 1500))

    def ding(number: int) -> Signal:
        base = first if number % 2 else second
        return modes(0.5, [base * r for r in (1, 2.71, 4.1, 5.2)], [0.25, 0.12, 0.07, 0.04], [1, 0.7, 0.4, 0.2])

    def ring(_: int) -> Signal:
        out = np.zeros(samples(1.8))
        place(out, repeated(rng, 1.2, 1 / 24, ding, jitter=0.01, start=0, loudness=0.05), 0)
        return faded(out, 0.002, 0.1)

    return room(repeated(rng, 4.0, float(rng.uniform(1.9, 2.3)), ring, jitter=0), rng, 0.3, 0.15)


def dial_tone(rng: Random) -> Signal:
    """350 and 440 Hz as a line gives them, or their European sister of 425 Hz."""
    pair = [425.0] if rng.random() < 0.3 else [350.0, 440.0]
    hum = modes(3.0, pair, [99.0] * len(pair), [1.0] * len(pair), list(rng.uniform(0, 6, len(pair))))
    return band(hum + 0.01 * noise(rng, 3.0), 300, 3400, 3)


def busy(rng: Random) -> Signal:
    """480 and 620 Hz, half a second on and half a second off."""
    beep = faded(modes(0.5, [480, 620], [99, 99], [1, 1]), 0.004, 0.004)
    every = float(rng.choice([0.5, 1.0]))
    beep = beep[: samples(every / 2)]
    return band(repeated(rng, 4.0, every, lambda _: beep, jitter=0, loudness=0), 300, 3400, 3)


def dialing(rng: Random) -> Signal:
    """Telephone keys: the two sines of each (DTMF, ITU-T Q.23)."""

    def key(_: int) -> Signal:
        low, high = rng.choice([697, 770, 852, 941]), rng.choice([1209, 1336, 1477])
        return faded(modes(0.12, [float(low), float(high)], [9, 9], [1, 1]), 0.004, 0.004)

    return repeated(rng, 3.0, float(rng.uniform(0.18, 0.3)), key, jitter=0.05, loudness=0) + 0.002 * noise(rng, 3.0)


def siren(rng: Random) -> Signal:
    """A wailing siren that comes through a street."""
    seconds = 5.0
    t = times(seconds)
    low, high = float(rng.uniform(450, 650)), float(rng.uniform(1100, 1500))
    speed = float(rng.choice([0.25, 0.4, 2.5]))
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * speed * t + rng.uniform(0, 6))
    voice = tone(low + (high - low) * swing, seconds, [1, 0.6, 0.7, 0.3, 0.35, 0.2, 0.2])
    street = peaks(voice, [800, 1600, 2600], [700, 900, 1200], [1, 1, 0.6])
    return room(street * drift(rng, seconds, 1, 0.6, 1), rng, 1.2, 0.35) + 0.02 * noise(rng, seconds, 1.2)


def engine(rng: Random) -> Signal:
    """An engine that idles: a rough low voice of firing cylinders, and the noise of its parts."""
    seconds = 4.0
    firing = float(rng.uniform(45, 80)) * drift(rng, seconds, 3, 0.96, 1.04)
    widths = [70, 120, 250, 600, 1500]
    voice = sung(
        rng,
        firing,
        [95.0, 210.0, 480.0, 1100.0, 2500.0],
        widths,
        [1, 1, 0.8, 0.6, 0.4],
        tilt=0.2,
        breath=1.0,
        rough=0.05,
    )
    return level(voice) + 0.2 * level(band(noise(rng, seconds, 0.6), 300, 6000, 1))


def horn(rng: Random) -> Signal:
    """A car's two horns, a third apart, with the rasp of their diaphragms."""
    low = float(rng.uniform(330, 430))

    def honk(number: int) -> Signal:
        length = float(rng.uniform(0.3, 0.9))
        gains = [1 / k**0.5 for k in range(1, 18)]
        both = tone(low, length, gains) + tone(low * 1.26, length, gains)
        return faded(peaks(both, [600, 1800, 2900], [600, 900, 1200], [0.6, 1, 0.7]), 0.015, 0.04)

    return room(repeated(rng, 3.0, float(rng.uniform(0.9, 1.3)), honk, jitter=0.2), rng, 0.9, 0.25, 5000)


def helicopter(rng: Random) -> Signal:
    """Blades that slap the air over the whine of a turbine."""
    seconds = 4.0
    blades = float(rng.uniform(12, 19))

    def slap(_: int) -> Signal:
        low = band(noise(rng, 0.09, 1.2), 30, 400, 1) * np.hanning(samples(0.09))
        place(low, burst(rng, 0.05, 0.012, 200, 2500), 0.02, 0.25)
        return low

    rotor = repeated(rng, seconds, 1 / blades, slap, jitter=0.01, start=0, loudness=0.1)
    wash = band(noise(rng, seconds, 1), 80, 3000, 1)
    wash *= 0.6 + 0.4 * np.sin(2 * np.pi * blades * times(seconds))
    whine = tone(float(rng.uniform(600, 1100)), seconds, [1, 0.5, 0.3])
    return (level(rotor) + 0.25 * level(wash) + 0.02 * whine) * drift(rng, seconds, 0.5, 0.6, 1)


def train(rng: Random) -> Signal:
    """Wheels over rail joints, clickety-clack, over a rumble, with a squeal of iron."""
    seconds = 5.0
    every = float(rng.uniform(0.6, 0.9))

    def clank(strength: float) -> Signal:
        iron = modes(0.2, list(rng.uniform(300, 1800, 7)), [0.02] * 7, [0.25] * 7)
        return strength * (iron + 2.5 * burst(rng, 0.2, 0.035, 60, 1200))

    def bogie(_: int) -> Signal:
        out = np.zeros(samples(0.6))
        for at, strength in ((0.0, 1.0), (0.13, 0.8), (0.3, 0.9), (0.43, 0.7)):
            place(out, clank(strength), at)
        return out

    joints = repeated(rng, seconds, every, bogie, jitter=0.01)
    rumble = band(noise(rng, seconds, 1.5), 30, 700, 1) * drift(rng, seconds, 4, 0.7, 1.1)
    rush = band(noise(rng, seconds, 0.8), 400, 3500, 1) * drift(rng, seconds, 2, 0.6, 1)
    squeal = peaks(noise(rng, seconds), [float(rng.uniform(1500, 3000))], [40], [1.0]) * drift(
        rng, seconds, 1, -1, 1
    ).clip(0)
    return room(0.8 * level(joints) + 1.2 * level(rumble) + 0.5 * level(rush) + 0.15 * level(squeal), rng, 0.8, 0.25)


def steam_whistle(rng: Random) -> Signal:
    """A locomotive's chord of pipes, with steam."""
    length = float(rng.uniform(1.6, 2.4))
    base = float(rng.uniform(290, 420))
    bend = glide(length, 0.93, 1, 1, 1, 0.96)
    pipes = mixed(tone(base * ratio * bend, length, [1, 0.3, 0.35, 0.1, 0.1]) for ratio in (1, 1.19, 1.5, 1.78))
    steam = band(noise(rng, length), 1500, 7500, 1)
    out = np.zeros(samples(3.5))
    place(out, faded(pipes + 0.5 * steam, 0.12, 0.3), 0.3)
    return room(out, rng, 2.0, 0.35)


def _motor(rng: Random, seconds: float, hertz: float, whine: float, middle: float) -> Signal:
    """A universal motor: its whine with all harmonics, and the rush of the air that it moves."""
    sound = tone(hertz * drift(rng, seconds, 1, 0.99, 1.01), seconds, list(1 / np.arange(1, 30) ** 0.2))
    widths = [middle, 2 * middle, 4 * middle]
    air = peaks(noise(rng, seconds, 0.2), [middle, 2.2 * middle, 5 * middle], widths, [1, 0.7, 0.5])
    return level(air) + whine * level(sound)


def vacuum(rng: Random) -> Signal:
    """A vacuum cleaner: a motor's whine in a rush of air."""
    motor = _motor(rng, 4.0, float(rng.uniform(225, 275)), float(rng.uniform(0.7, 0.9)), float(rng.uniform(850, 1100)))
    return room(motor, rng, 0.3, 0.2)


def fan(rng: Random) -> Signal:
    """An electric fan: blades that beat slowly in a low rush."""
    seconds = 4.0
    blades = float(rng.uniform(20, 40)) * drift(rng, seconds, 2, 0.98, 1.02)
    beat = 0.65 + 0.35 * np.cos(2 * np.pi * np.cumsum(blades) / RATE)
    rush = peaks(noise(rng, seconds, 0.8), [80, 200, 450, 1100], [80, 150, 350, 1200], [2, 1.5, 0.8, 0.4]) * beat
    shaft = tone(blades, seconds, [0.8, 1, 0.7, 0.8, 0.5, 0.3, 0.2])
    hiss = band(noise(rng, seconds, 0.5), 500, 7000, 1)
    return level(rush) + 0.3 * level(shaft) + 0.1 * level(hiss)


def drill(rng: Random) -> Signal:
    """A power drill: a small fast motor that slows under load."""
    seconds = 3.5
    motor = _motor(rng, seconds, float(rng.uniform(360, 460)), 0.8, float(rng.uniform(1600, 2000)))
    return room(faded(motor * drift(rng, seconds, 2, 0.7, 1), 0.08, 0.2), rng, 0.3, 0.2)


def jackhammer(rng: Random) -> Signal:
    """Hard blows, more than a dozen a second."""
    chisel = rng.uniform(700, 4500, 6)

    def blow(_: int) -> Signal:
        return modes(0.08, list(chisel), [0.012] * 6, [0.4] * 6) + 1.5 * burst(rng, 0.08, 0.014, 100, 5000)

    return room(repeated(rng, 3.0, 1 / float(rng.uniform(13, 20)), blow, jitter=0.03, start=0), rng, 0.5, 0.2)


def footsteps(rng: Random) -> Signal:
    """Heel, then sole, at a walking pace."""
    low = float(rng.uniform(130, 200))
    sole = float(rng.uniform(0.05, 0.12))

    def step(_: int) -> Signal:
        out = np.zeros(samples(0.3))
        place(out, burst(rng, 0.2, float(rng.uniform(0.02, 0.03)), low, 3 * low), 0)
        brush = burst(rng, 0.2, 0.03, 1000, 6000) * (1 - np.exp(-times(0.2) / 0.02))
        place(out, brush, float(rng.uniform(0.04, 0.07)), sole)
        return out

    pace = float(rng.uniform(0.45, 0.6))
    walk = repeated(rng, 4.0, pace, step, jitter=0.05, loudness=0.25)
    return aired(rng, room(walk, rng, 0.6, 0.35), 0.01)


def knock(rng: Random) -> Signal:
    """Knuckles on a wooden door, a few times."""
    low = float(rng.uniform(75, 105))
    panel = low * np.array([1, 1.6, 2.4, 3.3, 4.7, 6])
    hard = float(rng.uniform(1, 2))

    def rap(_: int) -> Signal:
        wood = modes(0.2, list(panel), list(0.015 / np.arange(1, 7) ** 0.5), [1, 0.9, 0.8, 0.5, 0.4, 0.2])
        return wood + hard * burst(rng, 0.2, 0.008, low, 8 * low)

    def series(_: int) -> Signal:
        return repeated(rng, float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.17, 0.24)), rap, jitter=0.06, start=0)

    raps = repeated(rng, 3.0, float(rng.uniform(1.3, 1.6)), series)
    return aired(rng, room(raps, rng, 0.5, 0.4), 0.01)


def _clap(rng: Random) -> Signal:
    centre = float(rng.uniform(900, 2000))
    hit = peaks(noise(rng, 0.08), [centre, 2.4 * centre], [0.8 * centre, 1.5 * centre], [1, 0.5])
    rise = 1 - np.exp(-times(0.08) / 0.0007)
    return np.asarray(hit * rise * np.exp(-times(0.08) / float(rng.uniform(0.006, 0.013))))


def clapping(rng: Random) -> Signal:
    """One person's hands, or a few people's in one rhythm."""
    pace = float(rng.uniform(0.2, 0.42))

    def together(_: int) -> Signal:
        out = np.zeros(samples(0.2))
        for number in range(people):
            place(out, _clap(rng), float(rng.random() * 0.02 * number))
        return out

    people = int(rng.integers(1, 4))
    return room(repeated(rng, 3.0, pace, together, jitter=0.05, loudness=0.25), rng, 0.7, 0.4)


def applause(rng: Random) -> Signal:
    """A hall full of clapping people."""
    seconds = 4.0
    hands = [_clap(rng) for _ in range(24)]
    crowd = clicks(rng, seconds, float(rng.uniform(250, 700)), hands, 0.5)
    cheer = peaks(noise(rng, seconds, 0.6), [700, 1400], [500, 700], [1, 0.7])
    return room(level(crowd) + 0.15 * level(cheer), rng, 1.4, 0.4, 6000)


def babble(rng: Random) -> Signal:
    """A crowd that talks: many voices in syllables without words."""
    seconds = 4.0
    out = np.zeros(samples(seconds))
    vowels = [
        (700, 1200, 2500),
        (400, 2000, 2600),
        (300, 2300, 3000),
        (450, 800, 2500),
        (350, 700, 2400),
        (600, 1700, 2500),
    ]
    for _ in range(int(rng.integers(5, 8))):
        base = float(rng.choice([rng.uniform(95, 140), rng.uniform(170, 240)]))
        size = 1.0 if base < 150 else 1.15
        length = seconds
        path = [vowels[int(rng.integers(len(vowels)))] for _ in range(int(length * 5))]
        formants = [glide(length, *(size * vowel[n] for vowel in path)) for n in range(3)]
        pitch = base * drift(rng, length, 3, 0.8, 1.3)
        voice = sung(rng, pitch, formants, [90, 120, 200], [1, 0.5, 0.25], tilt=0.9, breath=0.05, rough=0.01)
        rhythm = drift(rng, length, 9, -0.4, 1).clip(0, None) * (drift(rng, length, 1, -0.4, 1) > 0)
        rhythm = np.convolve(rhythm, np.hanning(321) / 160, "same")
        hiss = band(noise(rng, length), 3000, 7000) * (drift(rng, length, 8, -3, 1).clip(0, None))
        out += float(rng.uniform(0.3, 1)) * (level(voice) * rhythm + 0.15 * hiss)
    return room(out, rng, 0.9, 0.4)


def heartbeat(rng: Random) -> Signal:
    """Lub and dub, as a chest gives them."""
    every = float(rng.uniform(0.7, 1.0))

    def beat(_: int) -> Signal:
        out = np.zeros(samples(0.6))
        for at, pitch, gain in ((0.0, 48, 1.0), (0.3 * every + 0.03, 62, 0.7)):
            t = times(0.16)
            thud = np.sin(2 * np.pi * pitch * t * (1 - 1.2 * t)) * np.hanning(len(t)) + 0.2 * band(
                noise(rng, 0.16, 2), 30, 150
            ) * np.hanning(len(t))
            place(out, thud, at, gain)
        return out

    return repeated(rng, 4.0, every, beat, jitter=0.02, loudness=0.05) + 0.004 * noise(rng, 4.0, 2)


def typewriter(rng: Random) -> Signal:
    """Type bars that strike a platen, and now and then a bell."""
    metal = rng.uniform(900, 5500, 8)

    def strike(number: int) -> Signal:
        out = np.zeros(samples(0.14))
        place(out, burst(rng, 0.03, 0.004, 500, 5000), 0, 0.4)
        hit = modes(0.08, list(metal * rng.uniform(0.95, 1.05)), [0.004] * 8, [0.25] * 8)
        place(out, hit + 1.2 * burst(rng, 0.08, 0.008, 200, 6000), 0.025)
        place(out, burst(rng, 0.03, 0.003, 1200, 6000), 0.08, 0.25)
        return out

    typed = repeated(rng, 4.0, float(rng.uniform(0.11, 0.19)), strike, jitter=0.35, loudness=0.25)
    if rng.random() < 0.4:
        place(typed, modes(1.0, [2300, 4700], [0.3, 0.15], [0.6, 0.3]), 2.4)
    return room(typed, rng, 0.4, 0.3)


def keyboard(rng: Random) -> Signal:
    """A computer's keys: a press that reaches its plate, a softer release."""

    def key(_: int) -> Signal:
        out = np.zeros(samples(0.16))
        plate = modes(0.05, list(rng.uniform(350, 2200, 5)), [0.006] * 5, [0.3] * 5)
        place(out, burst(rng, 0.02, 0.002, 2500, 7900), 0, 0.25)
        place(out, plate + 0.8 * burst(rng, 0.05, 0.005, 600, 7000), 0.012)
        place(out, burst(rng, 0.03, 0.004, 1200, 7000), float(rng.uniform(0.07, 0.11)), 0.4)
        return out

    typed = repeated(rng, 4.0, float(rng.uniform(0.1, 0.16)), key, jitter=0.4, loudness=0.2)
    return room(typed, rng, 0.35, 0.3) + 0.01 * noise(rng, 4.0, 0.8)


def explosion(rng: Random) -> Signal:
    """A blast, and the rumble and debris after it."""
    seconds = 4.0
    out = np.zeros(samples(seconds))
    place(out, burst(rng, 0.6, 0.06, 50, 6000), 0.15, 1.6)
    boom = band(noise(rng, 3.5, 1.5), 25, float(rng.uniform(250, 500)), 1) * np.exp(-times(3.5) / 0.9)
    place(out, level(boom), 0.15, 1.1)
    place(out, clicks(rng, 3.0, 60, [burst(rng, 0.03, 0.005, 500, 5000)], 1.0) * np.exp(-times(3.0) / 1.0), 0.5, 0.15)
    return np.tanh(room(out, rng, 2.0, 0.4, 2500))


def gunshot(rng: Random) -> Signal:
    """Shots: a hard crack and its echo."""

    def shot(_: int) -> Signal:
        out = np.zeros(samples(1.2))
        place(out, burst(rng, 0.4, 0.02, 120, 7800), 0, 2.0)
        place(out, band(noise(rng, 0.8, 1), 40, 1500, 1) * np.exp(-times(0.8) / 0.09), 0.002, 1.2)
        return np.tanh(2 * out)

    return room(repeated(rng, 3.0, float(rng.uniform(0.5, 1.2)), shot, jitter=0.2), rng, 1.3, 0.3, 3500)


def machine_gun(rng: Random) -> Signal:
    """Bursts of shots, ten a second."""

    def shot(_: int) -> Signal:
        return np.tanh(2 * (2 * burst(rng, 0.15, 0.012, 150, 7800) + burst(rng, 0.15, 0.03, 60, 900)))

    def salvo(_: int) -> Signal:
        return repeated(rng, float(rng.uniform(0.6, 1.2)), 1 / float(rng.uniform(9, 13)), shot, jitter=0.02, start=0)

    return room(repeated(rng, 3.5, 1.5, salvo), rng, 1.0, 0.25, 4000)


def fireworks(rng: Random) -> Signal:
    """Whistles that rise, distant bangs and crackling stars."""
    out = np.zeros(samples(5.0))
    at = 0.1
    while at < 4.5:
        t = times(0.7)
        rocket = np.sin(2 * np.pi * np.cumsum(glide(0.7, 1500, 2600)) / RATE) * np.hanning(len(t))
        if rng.random() < 0.4:
            place(out, rocket + 0.3 * band(noise(rng, 0.7), 1500, 5000), at, 0.08)
        bang = band(noise(rng, 0.8, 0.9), 50, 2500, 1) * np.exp(-times(0.8) / float(rng.uniform(0.06, 0.15)))
        place(out, bang, at + 0.7, float(rng.uniform(0.4, 1)))
        if rng.random() < 0.6:
            stars = clicks(rng, 1.0, 90, [burst(rng, 0.02, 0.002, 1000, 7500)], 0.6) * np.exp(-times(1.0) / 0.5)
            place(out, stars, at + 0.9, 0.12)
        at += float(rng.uniform(0.3, 0.8))
    return room(out, rng, 1.8, 0.35, 2500)


def glass_clink(rng: Random) -> Signal:
    """Two glasses that touch: few high, long modes."""
    base = float(rng.uniform(1700, 2700))

    def clink(_: int) -> Signal:
        ratios = np.array([1, 1.04, 2.32, 2.4, 3.1]) * float(rng.uniform(0.98, 1.02))
        ring = modes(1.0, list(base * ratios), [0.3, 0.28, 0.15, 0.14, 0.08], [1, 0.7, 0.6, 0.5, 0.3])
        place(ring, burst(rng, 0.01, 0.001, 3000, 7900), 0.0, 0.5)
        return ring

    return room(repeated(rng, 3.0, float(rng.uniform(0.5, 1.0)), clink, jitter=0.3, loudness=0.3), rng, 0.4, 0.15)


def glass_break(rng: Random) -> Signal:
    """A pane that shatters, and its shards that fall."""
    out = np.zeros(samples(2.5))
    place(out, burst(rng, 0.4, 0.05, 800, 7900), 0.1, 1.5)
    shards = [modes(0.3, list(rng.uniform(2200, 7500, 3)), [0.04, 0.03, 0.02], [1, 0.8, 0.6]) for _ in range(14)]
    density = 260 * np.exp(-times(2.2) / 0.35) + 8 * np.exp(-times(2.2) / 0.9)
    place(out, clicks(rng, 2.2, density, shards, 0.9) * np.exp(-times(2.2) / 0.9), 0.1, 0.25)
    return room(out, rng, 0.5, 0.15, 6000)


def steam(rng: Random) -> Signal:
    """Steam that hisses out of a valve."""
    seconds = 3.0
    hiss = band(noise(rng, seconds, -0.2), float(rng.uniform(1500, 2600)), 7900, 2)
    puff = drift(rng, seconds, 2, 0.6, 1)
    return faded(hiss * puff, 0.15, 0.6)


def sonar(rng: Random) -> Signal:
    """A ping, and its echoes from far away."""
    pitch = float(rng.uniform(900, 1500))
    ping = faded(modes(1.0, [pitch], [0.3], [1]), 0.01, 0.3)
    return room(repeated(rng, 4.0, 2.0, lambda _: ping, jitter=0, loudness=0), rng, 2.5, 0.5, 3000)


def zap(rng: Random) -> Signal:
    """A ray gun of old films: a fast falling sweep."""

    def shot(_: int) -> Signal:
        length = float(rng.uniform(0.18, 0.35))
        fall = float(rng.uniform(1800, 3500)) * np.exp(-times(length) / float(rng.uniform(0.05, 0.1))) + 120
        return faded(tone(fall, length, [1, 0.4, 0.33, 0.2, 0.2]), 0.002, 0.08)

    return room(repeated(rng, 2.5, float(rng.uniform(0.35, 0.6)), shot, jitter=0.1), rng, 0.3, 0.15)


def sine(rng: Random) -> Signal:
    """One frequency."""
    return faded(modes(2.5, [float(rng.choice([250, 500, 660, 880, 1000, 1500]))], [99], [1]), 0.02, 0.02)


def white_noise(rng: Random) -> Signal:
    """Every frequency alike."""
    return noise(rng, 3.0)


def static(rng: Random) -> Signal:
    """A radio between stations: noise whose loudness flutters, with a few crackles."""
    seconds = 3.5
    hiss = noise(rng, seconds) * drift(rng, seconds, 25, 0.6, 1.2)
    crackle = clicks(rng, seconds, 8, [burst(rng, 0.02, 0.002, 300, 7000)], 0.5)
    return band(level(hiss) + 0.2 * level(crackle), 100, 8000, 1)


def door_slam(rng: Random) -> Signal:
    """A door that falls shut, and the room behind it."""
    out = np.zeros(samples(2.0))
    place(out, burst(rng, 0.02, 0.003, 1000, 6000), 0.28, 0.3)
    thud = modes(0.5, list(rng.uniform(55, 420, 8)), [0.08] * 8, [0.7] * 8) + 2 * burst(rng, 0.5, 0.03, 60, 2500)
    place(out, thud, 0.3)
    return room(out, rng, 0.8, 0.3, 2500)


def buzzer(rng: Random) -> Signal:
    """A mains buzzer: a tongue that rattles, harsh and full of harmonics."""
    base = float(rng.uniform(95, 240))

    def press(_: int) -> Signal:
        length = float(rng.uniform(0.6, 1.1))
        raw = tone(base, length, [1.0] * 40) + tone(1.013 * base, length, [0.5] * 30)
        rattle = peaks(np.clip(raw, -4, 4), [700, 1900, 3300], [800, 1200, 1800], [0.8, 1, 0.8])
        return faded(level(rattle) + 0.2 * noise(rng, length), 0.004, 0.008)

    return room(repeated(rng, 3.0, 1.3, press), rng, 0.3, 0.2, 6000)


def whoosh(rng: Random) -> Signal:
    """Something that passes fast: a band of noise that sweeps up and down."""

    def pass_by(_: int) -> Signal:
        length = float(rng.uniform(0.5, 0.9))
        peak = float(rng.uniform(1200, 2600))

        def response(frequency: Signal, when: Signal) -> Signal:
            middle = 250 + peak * np.sin(np.pi * np.clip(when / length, 0, 1)) ** 2
            return 1 / (1 + ((frequency - middle) / (0.5 * middle)) ** 2)

        return swept(noise(rng, length, 0.5), response) * np.hanning(samples(length)) ** 1.5

    return repeated(rng, 3.0, float(rng.uniform(0.9, 1.2)), pass_by)


def whistle(rng: Random) -> Signal:
    """A referee's whistle: a high tone that a pea breaks up, in breath."""
    pitch = float(rng.uniform(2100, 3000))

    def blow(_: int) -> Signal:
        length = float(rng.uniform(0.3, 0.8))
        pea = np.sin(2 * np.pi * np.cumsum(drift(rng, length, 6, 32, 48)) / RATE)
        clear = tone(pitch * (1 + 0.025 * pea), length, [1, 0.08, 0.03]) * (0.65 + 0.35 * pea)
        breath = peaks(noise(rng, length), [pitch], [1200], [1.0])
        return faded(clear + 0.12 * level(breath), 0.02, 0.04)

    return room(repeated(rng, 3.0, float(rng.uniform(0.7, 1.2)), blow, jitter=0.15), rng, 1.2, 0.35)


def sawing(rng: Random) -> Signal:
    """A hand saw through wood, forth and back."""
    pace = float(rng.uniform(0.3, 0.45))

    def stroke(number: int) -> Signal:
        length = 0.9 * pace
        teeth = 0.5 + 0.5 * np.sin(2 * np.pi * np.cumsum(drift(rng, length, 20, 90, 200)) / RATE)
        grain = noise(rng, length) * (0.35 + 0.65 * teeth)
        rasp = peaks(grain, [600, 1500, 2600, 4200], [400, 900, 1300, 2500], [0.7, 0.9, 1, 0.7])
        return level(rasp) * np.hanning(samples(length)) ** 0.6 * (1.0 if number % 2 else 0.6)

    return room(repeated(rng, 4.0, pace, stroke, jitter=0.03), rng, 0.4, 0.25)


def hammer(rng: Random) -> Signal:
    """A hammer on a nail: a hard ring and a wooden thump."""
    nail = rng.uniform(1800, 4800, 5)

    def blow(_: int) -> Signal:
        iron = modes(0.2, list(nail * rng.uniform(0.99, 1.01)), [0.012] * 5, [0.5] * 5)
        wood = modes(0.2, list(rng.uniform(0.97, 1.03) * np.array([190, 340, 610, 950])), [0.012] * 4, [0.8] * 4)
        return iron + wood + 1.5 * burst(rng, 0.2, 0.006, 300, 7000)

    return room(repeated(rng, 3.0, float(rng.uniform(0.35, 0.6)), blow, jitter=0.06), rng, 0.6, 0.35)


def baby(rng: Random) -> Signal:
    """A baby that cries: wails as long as a breath, again and again."""

    def wail(_: int) -> Signal:
        length = float(rng.uniform(0.7, 1.1))
        base = float(rng.uniform(380, 460))
        pitch = glide(length, 0.85 * base, 1.15 * base, 1.2 * base, 1.1 * base, 0.8 * base)
        pitch *= 1 + 0.01 * np.sin(2 * np.pi * 7 * times(length))
        formants: list[Curve] = [glide(length, 800, 1100, 1150, 900), glide(length, 1900, 2000, 1800, 1700), 3600.0]
        voice = sung(rng, pitch, formants, [160, 220, 400], [1, 0.8, 0.5], tilt=0.35, breath=0.05, rough=0.012)
        return faded(voice, 0.06, 0.15)

    return room(repeated(rng, 4.0, float(rng.uniform(1.1, 1.4)), wail, jitter=0.06), rng, 0.4, 0.15)


def snoring(rng: Random) -> Signal:
    """Breath through a slack palate: rough in, soft out."""

    def breath(number: int) -> Signal:
        length = float(rng.uniform(1.0, 1.3))
        if number % 2:
            return 0.2 * band(noise(rng, length, 0.5), 400, 4000) * np.hanning(samples(length))
        flaps = np.cumsum(drift(rng, length, 6, 25, 48)) / RATE
        push = (0.5 + 0.5 * np.cos(2 * np.pi * flaps)) ** 3
        body = peaks(noise(rng, length, 0.6) * push, [220, 520, 1200, 2400], [160, 260, 500, 900], [1, 0.9, 0.5, 0.25])
        return level(body) * np.hanning(samples(length))

    return room(repeated(rng, 5.0, 1.4, breath, jitter=0.04), rng, 0.4, 0.25)


def laughter(rng: Random) -> Signal:
    """Ha ha ha: short voiced breaths that sink."""
    base = float(rng.choice([rng.uniform(160, 210), rng.uniform(280, 360)]))
    size = 1.0 if base < 230 else 1.15

    def ha(number: int) -> Signal:
        length = 0.12
        pitch = base * (1.35 - 0.07 * (number % 9)) * glide(length, 0.95, 1.15, 0.95)
        formants = [760 * size, 1350 * size, 2700 * size, 3700 * size]
        voice = sung(rng, pitch, formants, [150, 200, 300, 400], [1, 0.8, 0.5, 0.3], tilt=0.5, breath=0.4, rough=0.02)
        puff = 0.35 * band(noise(rng, 0.07), 700, 5000) * np.hanning(samples(0.07))
        return np.concatenate([puff, faded(voice, 0.015, 0.05)])

    def fit(_: int) -> Signal:
        return repeated(rng, float(rng.uniform(1.2, 1.8)), 0.19, ha, jitter=0.06, start=0, loudness=0.2)

    return room(repeated(rng, 4.0, 2.0, fit), rng, 0.5, 0.3)
