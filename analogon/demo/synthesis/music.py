"""Instruments, drums and bells."""

from __future__ import annotations

import numpy as np

from analogon.demo.synthesis.signals import (
    RATE,
    Signal,
    aired,
    band,
    burst,
    drift,
    faded,
    glide,
    mixed,
    modes,
    noise,
    peaks,
    place,
    pluck,
    repeated,
    room,
    samples,
    sung,
    times,
    tone,
)

Random = np.random.Generator
MAJOR = (0, 2, 4, 5, 7, 9, 11, 12)
CHORDS = ((0, 4, 7, 12, 16), (0, 3, 7, 12, 15), (0, 5, 9, 12, 17), (0, 4, 7, 10, 16))


def _hz(note: float) -> float:
    """A MIDI note's frequency: 69 is 440 Hz."""
    return float(440.0 * 2 ** ((note - 69) / 12))


def _melody(rng: Random, root: int, count: int) -> list[float]:
    """Notes of a major scale that mostly go by steps."""
    step, notes = int(rng.integers(0, 5)), []
    for _ in range(count):
        notes.append(_hz(root + MAJOR[step % 7] + 12 * (step // 7)))
        step = int(np.clip(step + rng.integers(-2, 3), 0, 10))
    return notes


def guitar(rng: Random) -> Signal:
    """Six strings on a wooden body, strummed."""
    seconds = 4.0
    out = np.zeros(samples(seconds))
    every = float(rng.uniform(0.4, 0.5))
    root = int(rng.integers(39, 44))
    apart = float(rng.uniform(0.01, 0.014))
    bright = float(rng.uniform(0.45, 0.6))
    for number, at in enumerate(np.arange(0.05, seconds, every)):
        shift = (0, 5, 7, 0)[number // 2 % 4]
        for string, step in enumerate((0, 7, 12, 16, 19, 24)):
            note = pluck(rng, _hz(root + shift + step), 2.0, bright, 7.0)
            place(out, note, float(at) + string * apart, float(rng.uniform(0.7, 1)))
    body = out + 1.5 * peaks(out, [105, 210, 420, 700], [40, 60, 120, 200], [1, 0.8, 0.6, 0.4])
    return room(body, rng, 0.4, 0.15)


def electric_guitar(rng: Random) -> Signal:
    """Power chords through an amplifier that is driven hard."""
    seconds = 4.0
    out = np.zeros(samples(seconds))
    for at in np.arange(0.05, seconds, float(rng.uniform(0.4, 0.8))):
        root = 40 + int(rng.choice([0, 3, 5, 7, 10]))
        for step in (0, 7, 12):
            place(out, pluck(rng, _hz(root + step), 1.5, 0.85, 6.0), float(at))
    driven = np.tanh(9 * out / (out.std() * 3))
    return room(band(driven, 90, 4500, 2), rng, 0.4, 0.12)


def bass(rng: Random) -> Signal:
    """Low strings, one note at a time."""
    root = int(rng.integers(28, 34))
    line = [_hz(root + step) for step in rng.choice([0, 0, 3, 5, 7, 10, 12], 16)]
    every = float(rng.uniform(0.3, 0.5))

    def note(number: int) -> Signal:
        return faded(pluck(rng, line[number % 16], 1.1 * every, 0.3, 9.0), 0.002, 0.05)

    played = repeated(rng, 4.0, every, note, jitter=0.01)
    return room(played + peaks(played, [80, 160, 400], [60, 90, 300], [1, 0.7, 0.4]), rng, 0.3, 0.08)


def harp(rng: Random) -> Signal:
    """Strings in runs up and down."""
    root = int(rng.integers(48, 56))

    def string(number: int) -> Signal:
        step = number % 15
        step = step if (number // 15) % 2 == 0 else 14 - step
        return pluck(rng, _hz(root + MAJOR[step % 7] + 12 * (step // 7)), 2.5, 0.25, 6.0)

    runs = repeated(rng, 4.0, float(rng.uniform(0.12, 0.2)), string, jitter=0.04)
    return room(runs + 0.8 * peaks(runs, [180, 380, 700], [100, 200, 300], [1, 0.7, 0.4]), rng, 1.5, 0.3)


def banjo(rng: Random) -> Signal:
    """Quick bright strings over a skin."""
    root = int(rng.integers(47, 54))
    roll = [_hz(root + step) for step in (0, 7, 12, 16, 19, 12, 16, 7)]
    every = float(rng.uniform(0.11, 0.15))
    played = repeated(rng, 4.0, every, lambda n: pluck(rng, roll[n % 8], 0.8, 0.75, 1.6), jitter=0.03)
    return room(played + 2 * peaks(played, [280, 650, 1500], [150, 250, 500], [1, 1, 0.8]), rng, 0.3, 0.15)


def piano(rng: Random) -> Signal:
    """Struck strings: stiff partials that die at their own pace, two strings a note."""

    def note(frequency: float) -> Signal:
        count = min(18, int(7000 / frequency))
        k = np.arange(1, count + 1)
        stiff = k * np.sqrt(1 + 4e-4 * k**2)
        gains = np.abs(np.sin(np.pi * k / 7.5)) / k**1.1
        decays = 1.6 * (200 / frequency) ** 0.35 / (1 + 0.12 * k)
        strings = mixed(
            modes(2.0, list(frequency * detune * stiff), list(decays), list(gains)) for detune in (1, 1.0006)
        )
        thump = burst(rng, 0.08, 0.02, 80, 900)
        place(strings, thump, 0, 0.06)
        return faded(strings, 0.003, 0.3)

    line = _melody(rng, int(rng.integers(57, 65)), 24)
    every = float(rng.uniform(0.25, 0.45))
    upper = repeated(rng, 4.5, every, lambda n: note(line[n % 24]), jitter=0.02, loudness=0.2)
    lower = repeated(rng, 4.5, 4 * every, lambda n: note(_hz(45 + (0, 5, 7, 0)[n % 4])), jitter=0.01)
    return room(upper + 0.8 * lower, rng, 1.0, 0.15)


def organ(rng: Random) -> Signal:
    """Pipes: chords of steady harmonics in a church."""
    seconds = 5.0
    out = np.zeros(samples(seconds))
    root = int(rng.integers(48, 56))
    stops = [1, 0.8, 0.3, 0.6, 0.05, 0.25, 0.02, 0.35, 0, 0.1, 0, 0.12]
    for number, shift in enumerate(rng.permutation([0, 5, 7, -3])):
        for step in (-12, *CHORDS[int(rng.integers(2))][:4]):
            frequency = _hz(root + int(shift) + step)
            pipe = tone(frequency * drift(rng, 1.25, 4, 0.9995, 1.0005), 1.25, stops)
            chiff = band(noise(rng, 1.25), frequency, 6 * frequency) * 0.02
            place(out, faded(pipe + chiff, 0.05, 0.08), 1.2 * number)
    return room(out, rng, 2.2, 0.4)


def flute(rng: Random) -> Signal:
    """A blown edge: few harmonics, breath, and vibrato that comes late."""

    def note(frequency: float, length: float) -> Signal:
        t = times(length)
        vibrato = np.sin(2 * np.pi * 5.2 * t) * np.clip(t / 0.35, 0, 1)
        pitch = frequency * (1 + 0.006 * vibrato) * (1 - 0.03 * np.exp(-t / 0.03))
        clear = tone(pitch, length, [1, 0.35, 0.12, 0.05, 0.02]) * (1 + 0.15 * vibrato)
        breath = peaks(noise(rng, length), [frequency, 2 * frequency, 3500], [60, 150, 3000], [1, 0.6, 0.12])
        return faded(clear + 0.25 * breath, 0.06, 0.08)

    line = _melody(rng, int(rng.integers(72, 79)), 12)
    length = float(rng.uniform(0.4, 0.8))
    return room(repeated(rng, 4.5, length, lambda n: note(line[n % 12], 0.98 * length), jitter=0.01), rng, 1.4, 0.25)


def trumpet(rng: Random) -> Signal:
    """Brass: the louder, the brighter; the upper harmonics come later."""

    def note(frequency: float, length: float) -> Signal:
        t = times(length)
        push = np.clip(t / 0.06, 0, 1) * (0.75 + 0.25 * np.exp(-t / 0.15)) * np.clip((length - t) / 0.05, 0, 1)
        pitch = (
            frequency
            * (1 - 0.02 * np.exp(-t / 0.025))
            * (1 + 0.004 * np.sin(2 * np.pi * 5.5 * t) * np.clip(t / 0.3, 0, 1))
        )
        gains = [push ** (1 + 0.25 * k) * np.exp(-(((k * frequency - 1300) / 1500) ** 2)) for k in range(1, 16)]
        return tone(pitch, length, gains)

    line = _melody(rng, int(rng.integers(60, 67)), 12)
    length = float(rng.uniform(0.25, 0.55))
    return room(repeated(rng, 4.0, length, lambda n: note(line[n % 12], 0.92 * length), jitter=0.01), rng, 1.2, 0.25)


def violin(rng: Random) -> Signal:
    """A bowed string: a sawtooth with vibrato through a violin's body."""

    def note(frequency: float, length: float) -> Signal:
        t = times(length)
        vibrato = 1 + 0.007 * np.sin(2 * np.pi * float(rng.uniform(5.2, 6.2)) * t) * np.clip(t / 0.25, 0, 1)
        # Harmonics pass through the body's resonances as they sway: that is what makes vibrato rich.
        saw = sung(
            rng,
            frequency * vibrato,
            [280.0, 460.0, 700.0, 1200.0, 2600.0, 3600.0],
            [60, 90, 150, 500, 1000, 1500],
            [1, 1, 0.8, 0.7, 0.8, 0.4],
            tilt=0.85,
            breath=0.04,
            rough=0.002,
        )
        return faded(saw, 0.09, 0.09)

    line = _melody(rng, int(rng.integers(60, 72)), 10)
    length = float(rng.uniform(0.5, 1.0))
    return room(repeated(rng, 4.5, 0.95 * length, lambda n: note(line[n % 10], length), jitter=0.01), rng, 1.4, 0.25)


def accordion(rng: Random) -> Signal:
    """Reeds, two a note and a little apart, so that they beat."""
    reed = [1 / k**0.7 for k in range(1, 20)]
    root = int(rng.integers(58, 65))
    line = _melody(rng, root, 16)
    length = float(rng.uniform(0.22, 0.4))

    def note(number: int) -> Signal:
        both = tone(line[number % 16], length, reed) + tone(line[number % 16] * 1.007, length, reed)
        return faded(both, 0.03, 0.04)

    melody = repeated(rng, 4.5, length, note, jitter=0.01)
    for at in np.arange(0.05, 4.4, 2 * length):
        for step in (-12, -8, -5):
            place(melody, faded(tone(_hz(root + step), 0.8 * length, reed), 0.02, 0.03), float(at), 0.35)
    return room(peaks(melody, [600, 1500, 2800], [900, 1200, 1500], [1, 0.7, 0.4]), rng, 0.6, 0.15)


def choir(rng: Random) -> Signal:
    """Voices that hold a vowel together."""
    seconds = 4.0
    out = np.zeros(samples(seconds))
    root = int(rng.integers(50, 58))
    vowel = [(650, 1080, 2650, 3000), (400, 800, 2600, 2900)][int(rng.integers(2))]
    for step in (0, 7, 12, 16):
        for _ in range(3):
            t = times(seconds)
            sway = 1 + 0.008 * np.sin(2 * np.pi * float(rng.uniform(4.6, 6.2)) * t + rng.uniform(0, 6))
            pitch = _hz(root + step) * float(rng.uniform(0.995, 1.005)) * sway * drift(rng, seconds, 2, 0.996, 1.004)
            out += sung(
                rng, pitch, [float(f) for f in vowel], [80, 100, 150, 200], [1, 0.6, 0.3, 0.2], tilt=1.0, breath=0.03
            )
    return room(faded(out, 0.3, 0.5), rng, 2.0, 0.4)


def synthesizer(rng: Random) -> Signal:
    """Detuned sawtooths under a filter that sweeps, in a quick pattern."""
    root = int(rng.integers(45, 57))
    pattern = rng.choice([0, 3, 7, 10, 12, 15], 8)
    length = float(rng.uniform(0.12, 0.2))

    def note(number: int) -> Signal:
        frequency = _hz(root + int(pattern[number % 8]))
        opening = 0.5 + 0.5 * np.sin(number / 5)
        gains = [1 / k * np.exp(-k * frequency / (800 + 4000 * opening)) for k in range(1, 30)]
        saws = mixed(tone(frequency * detune, length, gains) for detune in (0.994, 1.0, 1.006))
        return faded(saws * np.exp(-times(length) / 0.15), 0.004, 0.03)

    return room(repeated(rng, 4.0, length, note, jitter=0, loudness=0.02), rng, 0.6, 0.2)


def bell(rng: Random) -> Signal:
    """A hand bell, rung quickly."""
    base = float(rng.uniform(500, 1200))
    ratios = [1, 2.0, 2.41, 3.0, 4.1, 5.4, 6.6]

    def ding(_: int) -> Signal:
        decays = [0.9, 0.7, 0.5, 0.45, 0.3, 0.2, 0.12]
        ring = modes(1.6, [base * r for r in ratios], decays, [0.8, 0.9, 0.6, 0.7, 0.5, 0.4, 0.3])
        place(ring, burst(rng, 0.02, 0.003, 1500, 7900), 0, 0.6)
        return ring

    return room(repeated(rng, 3.5, float(rng.uniform(0.25, 0.7)), ding, jitter=0.15, loudness=0.3), rng, 0.8, 0.25)


def church_bell(rng: Random) -> Signal:
    """Hum, prime, minor third, fifth and nominal of a large bell, and its sister's, out of doors."""
    seconds = 5.0
    ratios = np.array([0.5, 1, 1.19, 1.5, 2, 2.5, 2.67, 3, 4, 5.2])
    decays = [3.5, 2.2, 1.8, 1.0, 1.4, 0.6, 0.5, 0.5, 0.35, 0.2]
    gains = [0.4, 0.6, 0.7, 0.4, 1.0, 0.5, 0.5, 0.6, 0.5, 0.4]

    def tolled(prime: float) -> Signal:
        def strike(_: int) -> Signal:
            pair = [prime * ratios * detune for detune in (1, 1.002)]
            ring = mixed(modes(4.0, list(part), decays, gains, list(rng.uniform(0, 6, 10))) for part in pair)
            place(ring, burst(rng, 0.05, 0.01, 500, 6000), 0, 1.0)
            return ring

        return repeated(rng, seconds, float(rng.uniform(1.0, 1.6)), strike, jitter=0.05, start=float(rng.random()))

    prime = float(rng.uniform(280, 460))
    peal = tolled(prime) + 0.8 * tolled(1.25 * prime)
    return room(aired(rng, peal, 0.006), rng, 2.0, 0.35, 3000)


def gong(rng: Random) -> Signal:
    """A large plate: dense low modes first, high ones that bloom."""
    seconds = 5.0
    t = times(seconds)
    out = np.zeros(len(t))
    base = float(rng.uniform(65, 130))
    for frequency in np.concatenate([base * np.array([1, 1.5, 2.1, 2.9]), rng.uniform(2.5 * base, 22 * base, 60)]):
        bloom = 1 - np.exp(-t / (0.02 + 0.25 * min(1.0, frequency / 1500)))
        fade = np.exp(-t / (3.5 / (1 + frequency / 500)))
        out += bloom * fade * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)) / (1 + frequency / 700)
    place(out, burst(rng, 0.1, 0.02, 60, 800), 0, 2.0)
    return room(np.concatenate([np.zeros(800), out])[: len(t)], rng, 2.0, 0.25)


def music_box(rng: Random) -> Signal:
    """A comb's teeth, plucked by pins: a small high melody."""
    line = _melody(rng, int(rng.integers(79, 85)), 16)

    def tooth(number: int) -> Signal:
        base = line[number % 16]
        ring = modes(1.3, [base, 2 * base, 6.27 * base], [0.5, 0.2, 0.05], [1, 0.12, 0.3])
        place(ring, burst(rng, 0.01, 0.001, 3000, 7900), 0, 0.15)
        return ring

    return room(repeated(rng, 4.5, float(rng.uniform(0.22, 0.34)), tooth, jitter=0.02), rng, 0.5, 0.15)


def marimba(rng: Random) -> Signal:
    """Wooden bars: a fundamental, its fourth and tenth harmonics, soon gone."""
    line = _melody(rng, int(rng.integers(57, 70)), 16)

    def bar(number: int) -> Signal:
        base = line[number % 16]
        ring = modes(0.8, [base, 3.93 * base, 9.5 * base], [0.22, 0.06, 0.02], [1, 0.35, 0.15])
        place(ring, burst(rng, 0.03, 0.005, 200, 2500), 0, 0.2)
        return ring

    return room(repeated(rng, 4.0, float(rng.uniform(0.15, 0.28)), bar, jitter=0.02), rng, 0.6, 0.15)


def wind_chime(rng: Random) -> Signal:
    """Metal tubes that a breeze strikes, some at once, then none."""
    tubes = float(rng.uniform(700, 1300)) * np.array([1, 1.12, 1.26, 1.5, 1.68, 2.0])

    def tube(_: int) -> Signal:
        base = float(rng.choice(tubes))
        ring = modes(2.5, [base, 2.76 * base, 5.4 * base, 1.006 * base], [1.4, 0.7, 0.3, 1.2], [0.7, 1, 0.6, 0.5])
        place(ring, burst(rng, 0.02, 0.002, 2000, 7900), 0, 0.3)
        return ring

    struck = repeated(rng, 4.5, float(rng.uniform(0.15, 0.3)), tube, jitter=0.5, loudness=0.9)
    return room(struck, rng, 0.8, 0.2) + 0.02 * noise(rng, 4.5, 1)


def bicycle_bell(rng: Random) -> Signal:
    """Trring: a small dome that a star wheel strikes."""
    base = float(rng.uniform(2100, 2900))

    def ding(number: int) -> Signal:
        return (
            modes(0.7, [base, 1.01 * base, 2.3 * base], [0.3, 0.3, 0.12], [1, 0.8, 0.4]) if number < 6 else np.zeros(1)
        )

    def ring(_: int) -> Signal:
        return repeated(rng, 1.2, 0.05, ding, jitter=0.08, start=0)

    rung = repeated(rng, 3.0, float(rng.uniform(0.9, 1.3)), ring)
    return aired(rng, room(rung, rng, 0.4, 0.2), 0.012)


def doorbell(rng: Random) -> Signal:
    """Ding dong: two bars, a major third apart, in a hall."""
    base = float(rng.uniform(600, 800))

    def bar(frequency: float) -> Signal:
        ring = modes(1.6, [frequency, 2.76 * frequency, 3.9 * frequency], [0.8, 0.25, 0.12], [1, 0.35, 0.25])
        place(ring, burst(rng, 0.02, 0.003, 500, 5000), 0, 0.3)
        return ring

    def both(_: int) -> Signal:
        out = np.zeros(samples(1.9))
        place(out, bar(base), 0)
        place(out, bar(base / 1.26), 0.6)
        return out

    return room(repeated(rng, 4.0, 2.1, both), rng, 0.9, 0.35) + 0.01 * noise(rng, 4.0, 1)


def _kick(rng: Random) -> Signal:
    t = times(0.4)
    pitch = float(rng.uniform(45, 58)) + float(rng.uniform(90, 160)) * np.exp(-t / 0.03)
    drum = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-t / float(rng.uniform(0.1, 0.16)))
    place(drum, burst(rng, 0.02, 0.003, 800, 5000), 0, 0.3)
    return faded(drum, 0.001, 0.05)


def _snare(rng: Random) -> Signal:
    skin = modes(0.3, [185, 330, 410, 560], [0.05, 0.035, 0.03, 0.02], [0.9, 0.7, 0.5, 0.4])
    wires = burst(rng, 0.3, float(rng.uniform(0.05, 0.08)), 700, 7990) * drift(rng, 0.3, 300, 0.5, 1.3)
    return skin + 1.6 * wires


def _hat(rng: Random, decay: float) -> Signal:
    plates = rng.uniform(3000, 7900, 40)
    ring = modes(0.4, list(plates), [decay] * 40, [0.12] * 40, list(rng.uniform(0, 6, 40)))
    return band(ring + 1.2 * burst(rng, 0.4, decay, 3500, 7990), 2500, 7990, 1)


def kick(rng: Random) -> Signal:
    """A bass drum."""
    drum = _kick(rng)
    return room(
        repeated(rng, 2.5, float(rng.uniform(0.45, 0.7)), lambda _: drum, jitter=0, loudness=0.05), rng, 0.3, 0.1
    )


def snare(rng: Random) -> Signal:
    """A snare drum: skin and rattling wires."""
    every = float(rng.choice([0.12, 0.24, 0.5]))
    return room(repeated(rng, 2.5, every, lambda _: _snare(rng), jitter=0.02, loudness=0.25), rng, 0.5, 0.15)


def hi_hat(rng: Random) -> Signal:
    """Two small cymbals, shut, now and then open."""

    def hat(number: int) -> Signal:
        return _hat(rng, 0.15 if number % 8 == 6 else 0.03) * (1.0 if number % 2 == 0 else 0.6)

    return repeated(rng, 2.5, float(rng.uniform(0.13, 0.25)), hat, jitter=0.01, loudness=0.1)


def drum_loop(rng: Random) -> Signal:
    """A beat: kick, snare and hi-hat at one tempo."""
    seconds = 4.5
    step = 60 / float(rng.uniform(85, 135)) / 4
    out = np.zeros(samples(seconds))
    kicks = ((0, 8), (0, 6, 10), (0, 3, 8, 11))[int(rng.integers(3))]
    drum = _kick(rng)
    for number in range(int(seconds / step)):
        at, beat = number * step, number % 16
        if beat in kicks:
            place(out, drum, at, 1.2)
        if beat in (4, 12):
            place(out, _snare(rng), at, 0.7)
        if beat % 2 == 0:
            place(out, _hat(rng, 0.12 if beat == 14 else 0.03), at, 0.35)
    return room(out, rng, 0.35, 0.12)


def timpani(rng: Random) -> Signal:
    """Kettle drums: a roll or slow strokes, tuned."""
    base = float(rng.uniform(80, 130))
    every = float(rng.choice([0.09, 0.6]))

    def stroke(_: int) -> Signal:
        skin = modes(
            1.5, [base * r for r in (1, 1.5, 1.98, 2.44, 2.9)], [0.6, 0.4, 0.3, 0.2, 0.15], [1, 0.8, 0.5, 0.3, 0.2]
        )
        return skin + 0.8 * burst(rng, 1.5, 0.02, 60, 700)

    return room(repeated(rng, 3.5, every, stroke, jitter=0.05, loudness=0.2), rng, 1.5, 0.25)


def tambourine(rng: Random) -> Signal:
    """Jingles, shaken."""
    plates = rng.uniform(4200, 7800, 10)

    def shake(number: int) -> Signal:
        hits = [modes(0.1, list(plates * rng.uniform(0.98, 1.02)), [0.02] * 10, [0.2] * 10) for _ in range(3)]
        out = np.zeros(samples(0.2))
        for hit in hits:
            place(out, hit + 0.5 * burst(rng, 0.1, 0.015, 4500, 7990), float(rng.random() * 0.03))
        return out * (1.0 if number % 4 == 0 else 0.6)

    return room(repeated(rng, 3.0, float(rng.uniform(0.13, 0.2)), shake, jitter=0.03), rng, 0.3, 0.1, 7000)


def maraca(rng: Random) -> Signal:
    """Seeds in a gourd: hisses that begin at once and die away."""
    decay = float(rng.uniform(0.09, 0.13))

    def shake(number: int) -> Signal:
        seeds = band(noise(rng, 0.3), 4000, RATE / 2, 3) * np.exp(-times(0.3) / decay)
        return np.asarray(seeds * (1.0 if number % 2 == 0 else 0.7))

    return room(repeated(rng, 3.0, float(rng.uniform(0.17, 0.24)), shake, jitter=0.01, loudness=0.1), rng, 0.2, 0.1)


def theremin(rng: Random) -> Signal:
    """One tone that glides and sways."""
    seconds = 4.0
    points = [_hz(60 + int(step)) for step in rng.integers(0, 18, 6)]
    pitch = glide(seconds, *points) * (1 + 0.015 * np.sin(2 * np.pi * 6 * times(seconds)))
    return room(tone(pitch, seconds, [1, 0.2, 0.08, 0.03]), rng, 1.0, 0.2)
