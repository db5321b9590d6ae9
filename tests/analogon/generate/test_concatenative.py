"""Unit selection against all chains there are, joins against what they must keep, descriptions against known sounds."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from analogon.generate.concatenative import (
    Piece,
    Sketch,
    Stage,
    Units,
    analyse,
    bands_below,
    chain,
    crossfade,
    cuts,
    decibels,
    differences,
    futures,
    overlap_add,
    periodicity,
)

RATE = 44100


def noise(seed: int, size: int, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(size)).astype(np.float32)


def tone(frequency: float, seconds: float, level: float = 0.3, phase: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * frequency * time + phase)).astype(np.float32)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(samples, np.float64) ** 2)))


# -- choosing ----------------------------------------------------------------------------------------------------------


def _problem(seed: int, sizes: tuple[int, ...]) -> tuple[list[Stage], np.ndarray]:
    random = np.random.default_rng(seed)
    stages = [Stage(np.sort(random.choice(9, size, replace=False)), random.random(size)) for size in sizes]
    return stages, 2.0 * random.random((9, 9))


def _all_chains(stages: list[Stage], joins: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every chain there is and what it costs, summed plainly."""
    found = {}
    for places in product(*(range(len(stage.ids)) for stage in stages)):
        ids = tuple(int(stage.ids[place]) for stage, place in zip(stages, places, strict=True))
        cost = sum(float(stage.costs[place]) for stage, place in zip(stages, places, strict=True))
        found[ids] = cost + sum(float(joins[a, b]) for a, b in pairwise(ids))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_without_temperature_the_chain_is_the_cheapest_of_all(seed: int) -> None:
    stages, joins = _problem(seed, (3, 5, 4, 2, 5))

    def join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(joins[np.ix_(a, b)])

    ahead = futures(stages, join, 0.0)
    found = tuple(chain(stages, ahead, join, temperature=0.0, random=np.random.default_rng(0)))
    costs = _all_chains(stages, joins)
    assert found == min(costs, key=lambda ids: costs[ids])
    assert (stages[0].costs + ahead[0]).min() == pytest.approx(min(costs.values()), abs=1e-12)


def test_with_a_temperature_chains_are_drawn_as_boltzmann_has_it() -> None:
    stages, joins = _problem(3, (3, 2, 3))
    temperature = 0.7

    def join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(joins[np.ix_(a, b)])

    ahead = futures(stages, join, temperature)
    costs = _all_chains(stages, joins)
    weights = {ids: np.exp(-cost / temperature) for ids, cost in costs.items()}
    total = sum(weights.values())
    first = -temperature * np.log(np.exp(-(stages[0].costs + ahead[0]) / temperature).sum())
    assert first == pytest.approx(-temperature * np.log(total), abs=1e-12)
    random, count = np.random.default_rng(1), 4000
    drawn: dict[tuple[int, ...], int] = dict.fromkeys(costs, 0)
    for _ in range(count):
        drawn[tuple(chain(stages, ahead, join, temperature=temperature, random=random))] += 1
    squares = sum((drawn[ids] - count * w / total) ** 2 / (count * w / total) for ids, w in weights.items())
    assert squares < 40.8  # chi-squared, 17 degrees of freedom: one in a thousand is above


def test_variety_lets_every_unit_come_before_any_comes_twice() -> None:
    stages = [Stage(np.arange(5), np.linspace(0.0, 0.1, 5))] * 10
    ahead = [np.zeros(5)] * 10

    def join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.zeros((len(a), len(b)))

    same = list(chain(stages, ahead, join, temperature=0.0, random=np.random.default_rng(0)))
    varied = list(chain(stages, ahead, join, temperature=0.0, random=np.random.default_rng(0), variety=1.0))
    assert same == [0] * 10
    assert varied == [0, 1, 2, 3, 4] * 2


def test_what_was_used_is_forgotten() -> None:
    # Unit 0 is 0.5 cheaper than the rest; a use costs 0.9 at the next stage, 0.53 six after it, 0.48 seven after it.
    stages = [Stage(np.arange(8), np.array([0.0] + [0.5] * 7))] * 8

    def join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.zeros((len(a), len(b)))

    found = chain(stages, [np.zeros(8)] * 8, join, temperature=0.0, random=np.random.default_rng(0), variety=1.0)
    assert list(found) == [0, 1, 2, 3, 4, 5, 6, 0]


def test_variety_counts_recordings_a_quarter() -> None:
    stages = [Stage(np.arange(4), np.array([0.0, 0.0, 0.3, 0.3]))] * 4
    groups = np.array([0, 0, 1, 1])

    def join(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.zeros((len(a), len(b)))

    found = chain(
        stages, [np.zeros(4)] * 4, join, temperature=0.0, random=np.random.default_rng(0), groups=groups, variety=1.0
    )
    # 0; then 1 at 0.225; then 2 at 0.3, for 0 would cost 0.81 + 0.43; then 3 at 0.3 + 0.225.
    assert list(found) == [0, 1, 2, 3]


# -- joining -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reach", [0, 350])
def test_consecutive_pieces_of_a_recording_restore_it(reach: int) -> None:
    samples = noise(1, 30000) + tone(220.0, 30000 / RATE)
    edges = [0, 3000, 4100, 9000, 9500, 21000, 30000]
    pieces = [Piece(samples, a, b - a) for a, b in pairwise(edges)]
    sound, moved = overlap_add(pieces, 1500, reach)
    assert moved == [0] * len(pieces)
    assert np.abs(sound - samples).max() < 1e-6


def test_a_gain_that_changes_within_one_recording_changes_smoothly() -> None:
    samples = tone(220.0, 1.0)
    half = len(samples) // 2
    sound, _ = overlap_add([Piece(samples, 0, half), Piece(samples, half, half, 0.25)], 2000, 100)
    inside = slice(half - 2000, half)
    factor = sound[inside] / np.where(np.abs(samples[inside]) > 0.05, samples[inside], np.nan)
    factor = factor[np.isfinite(factor)]
    assert factor[0] == pytest.approx(1.0, abs=0.01)
    assert factor[-1] == pytest.approx(0.25, abs=0.01)
    assert (np.diff(factor) < 1e-6).all()


@pytest.mark.parametrize("common", [0.0, 0.5, 0.9])
def test_a_crossfade_keeps_the_level_whatever_the_two_have_in_common(common: float) -> None:
    size = 200_000
    one, other, both = (noise(seed, size).astype(np.float64) for seed in (1, 2, 3))
    a = np.sqrt(common) * both + np.sqrt(1 - common) * one
    b = np.sqrt(common) * both + np.sqrt(1 - common) * other
    faded = crossfade(a, b)
    for tenth in np.array_split(faded, 10):
        assert 20 * np.log10(rms(tenth) / 0.1) == pytest.approx(0.0, abs=0.2)


def test_a_crossfade_of_equals_adds_up_to_one() -> None:
    samples = noise(4, 1000).astype(np.float64)
    assert np.abs(crossfade(samples, samples) - samples).max() < 1e-12


def test_waves_meet_in_phase() -> None:
    first, second = tone(200.0, 1.0), tone(200.0, 1.0, phase=2.5)
    pieces = [Piece(first, 0, 20000), Piece(second, 20000, 20000)]
    fade = 3000
    moved_sound, moved = overlap_add(pieces, fade, 350)
    plain_sound, _ = overlap_add(pieces, fade, 0)
    join = slice(20000 - fade, 20000)
    assert moved[1] != 0
    # Where the second is moved to, its wave is where the first's would be; half a sample is 0.014 of a period's angle.
    assert np.cos(2 * np.pi * 200.0 * moved[1] / RATE + 2.5) > np.cos(0.02)
    assert rms(moved_sound[join]) == pytest.approx(0.3 / np.sqrt(2), rel=0.01)
    assert np.abs(np.diff(moved_sound)).max() < 1.02 * np.abs(np.diff(first)).max()
    assert rms(plain_sound[join]) < 0.9 * 0.3 / np.sqrt(2)


def test_a_piece_beyond_its_recording_is_silence_there() -> None:
    sound, _ = overlap_add([Piece(np.ones(10, np.float32), -5, 30)], 4)
    assert sound.tolist() == [0.0] * 5 + [1.0] * 10 + [0.0] * 15


# -- describing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frequency", [82.4, 220.0, 440.0, 1000.0])
def test_the_pitch_of_a_tone_with_harmonics_is_found(frequency: float) -> None:
    wave = tone(frequency, 0.1) + tone(2 * frequency, 0.1, 0.2) + tone(3 * frequency, 0.1, 0.1)
    pitch, clarity = periodicity(wave[None, :2048], RATE)
    assert pitch[0] == pytest.approx(69 + 12 * np.log2(frequency / 440), abs=0.3)
    assert clarity[0] > 0.9


def test_noise_and_silence_have_no_clear_pitch() -> None:
    windows = np.stack([noise(seed, 2048) for seed in range(20)] + [np.zeros(2048, np.float32)])
    _, clarity = periodicity(windows, RATE)
    assert clarity[:20].mean() < 0.4
    assert clarity[20] == 0.0


def test_levels_and_leads_are_those_of_the_samples() -> None:
    samples = noise(5, 3 * RATE) * np.linspace(0.2, 1.0, 3 * RATE, dtype=np.float32)
    units = analyse(samples, RATE, grain=0.25, fade=2000)
    assert units.start[0] == 0
    assert units.start[-1] + units.length[-1] == len(samples)
    for at in range(len(units)):
        start, end = int(units.start[at]), int(units.start[at] + units.length[at])
        assert units.body.level[at] == pytest.approx(20 * np.log10(rms(samples[start:end])), abs=1e-3)
    assert np.array_equal(units.lead.bands[1:], units.tail.bands[:-1])
    assert np.array_equal(units.lead.level[1:], units.tail.level[:-1])
    assert np.allclose(np.diag(differences(units.tail[:-1], units.lead[1:], pitch=0.0)), 0.0, atol=1e-6)


def test_units_begin_where_something_begins_and_just_before_it() -> None:
    samples = noise(6, 3 * RATE, 1e-4)
    strokes = [0.5, 0.8327, 1.4155, 2.2071]  # in no fixed place of a frame
    for at in strokes:
        length = round(0.15 * RATE)
        samples[round(at * RATE) :][:length] += noise(7, length, 0.3) * np.exp(-np.arange(length) / 2000)
    units = analyse(samples, RATE, grain=0.3, fade=1000)
    begins = units.start[units.onset][1:] / RATE
    assert len(begins) == len(strokes)
    for found, stroke in zip(begins, strokes, strict=True):
        assert 0.0 < stroke - found <= 0.025
    assert units.level == pytest.approx(20 * np.log10(rms(samples)), abs=1e-3)  # they are of many lengths
    # What is between two strokes has room until the second.
    for start, room in zip(units.start, units.room, strict=True):
        after = [edge for edge in [*units.start[units.onset], len(samples)] if edge > start]
        assert room == min(after) - start


@pytest.mark.parametrize("seed", range(10))
def test_units_are_from_half_a_grain_to_one_and_a_half(seed: int) -> None:
    random = np.random.default_rng(seed)
    onsets = np.unique(random.integers(101, 5000, 60))
    edges, begins = cuts(onsets, 100, 5000, 100)
    assert (edges[0], edges[-1], len(begins)) == (100, 5000, len(edges) - 1)
    assert (np.diff(edges) >= 50).all() and (np.diff(edges) <= 150).all()
    assert set(edges[:-1][begins][1:]) <= set(onsets)


def test_differences_are_those_of_their_definition() -> None:
    random = np.random.default_rng(8)

    def sketch(count: int) -> Sketch:
        bands = random.uniform(-70, -20, (count, 32))
        return Sketch(bands, random.uniform(-60, 0, count), random.uniform(40, 80, count), random.uniform(0, 1, count))

    a, b = sketch(3), sketch(4)
    found = differences(a, b, bands=20, level=0.5, pitch=0.7)
    for i in range(3):
        for j in range(4):
            x, y = a.bands[i, :20] - a.bands[i, :20].mean(), b.bands[j, :20] - b.bands[j, :20].mean()
            expected = min(float(np.sqrt(((x - y) ** 2).mean())) / 10, 3.0)
            expected += 0.5 * min(abs(a.level[i] - b.level[j]) / 20, 3.0)
            expected += 0.7 * min(a.clarity[i], b.clarity[j]) * min(abs(a.pitch[i] - b.pitch[j]) / 6, 1.0)
            expected += 0.7 * abs(a.clarity[i] - b.clarity[j])
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_the_shape_of_a_spectrum_does_not_depend_on_its_level() -> None:
    units = analyse(noise(9, RATE), RATE, grain=0.25, fade=1000)
    assert np.allclose(np.diag(differences(units.body, units.body.louder(-20.0), level=0.0)), 0.0, atol=1e-6)
    assert np.allclose(np.diag(differences(units.body, units.body.louder(-20.0))), 1.0, atol=1e-6)


def test_what_lies_sixty_decibels_below_the_loudest_band_is_not_told_apart() -> None:
    def one(rest: float) -> Sketch:
        return Sketch(np.array([[-20.0] + 31 * [rest]]), np.array([-20.0]), np.array([60.0]), np.array([0.5]))

    assert differences(one(-85.0), one(-115.0))[0, 0] == pytest.approx(0.0, abs=1e-6)
    # Of 31 bands in 32 that part by 10 dB, the shapes part by the deviation of that: 10 sqrt(31) / 32.
    assert differences(one(-60.0), one(-70.0))[0, 0] == pytest.approx(np.sqrt(31) / 32, abs=1e-9)


def test_a_recordings_faint_units_are_its_silence() -> None:
    def units(levels: list[float]) -> Units:
        count = len(levels)
        sketch = Sketch(np.zeros((count, 32)), np.array(levels), np.zeros(count), np.zeros(count))
        numbers = np.ones(count, np.int64)
        return Units(numbers, numbers, np.ones(count, bool), numbers, sketch, sketch, sketch)

    assert units([-10.0, -29.0, -31.0, -75.0]).loud(20.0).tolist() == [True, True, False, False]
    assert units([-60.0, -69.0, -71.0]).loud(20.0).tolist() == [True, True, False]


def test_bands_end_below_the_frequency() -> None:
    counts = [bands_below(frequency, RATE) for frequency in (4000.0, 8000.0, 22050.0)]
    assert counts == sorted(counts) and counts[-1] == 32
    # A tone above the limit is heard in none of the bands below it.
    loud = analyse(tone(4400.0, 0.5) + noise(1, RATE // 2, 1e-4), RATE, grain=0.25, fade=1000).body.bands[0]
    assert int(loud.argmax()) >= counts[0]


def test_decibels_end_where_hearing_does() -> None:
    assert decibels(np.array([0.25, 0.0])).tolist() == [pytest.approx(-6.0206, abs=1e-4), -120.0]
