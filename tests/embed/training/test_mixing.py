"""What mixtures are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from embed.training.mixing import Mixer, Recordings, by_length, from_bytes, to_bytes

RATE = 16000
LENGTH = 8000


def recordings() -> Recordings:
    """Tones of 0.1 s, 1 s and 30 s, and one that is silent but for its end."""
    rng = np.random.default_rng(0)
    tones = [np.sin(np.arange(round(RATE * s)) * 0.1 * (i + 1)) * 9000 for i, s in enumerate((0.1, 1.0, 30.0))]
    late = np.zeros(3 * RATE)
    late[-2000:] = rng.standard_normal(2000) * 3000
    all_ = [tone.astype(np.int16) for tone in (*tones, late)]
    lengths = np.array([len(one) for one in all_])
    return Recordings(np.concatenate(all_), np.cumsum(lengths) - lengths, lengths)


def mixer(numbers: tuple[int, ...] = (0, 1, 2, 3)) -> Mixer:
    chosen = np.array(numbers)
    return Mixer(recordings(), chosen, chosen, np.full(len(chosen), 1 / len(chosen)), LENGTH, RATE)


def level(samples: npt.NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def test_a_recording_is_its_samples() -> None:
    some = recordings()
    assert len(some) == 4
    assert np.array_equal(some[1], some.samples[1600 : 1600 + RATE] / np.float32(32768))
    assert some.cut(5, 3).tolist() == (some.samples[5:8] / np.float32(32768)).tolist()


def test_the_same_numbers_give_the_same_mixtures() -> None:
    one, other = ([mixer().draw(rng) for _ in range(8)] for rng in (np.random.default_rng(3) for _ in range(2)))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    third = mixer().draw(np.random.default_rng(4))
    assert not np.array_equal(one[0], third)


def test_levels_and_peaks() -> None:
    rng = np.random.default_rng(0)
    drawn = [mixer((0, 1, 2)).draw(rng) for _ in range(120)]
    assert all(one.shape == (LENGTH,) and one.dtype == np.float32 for one in drawn)
    assert max(np.abs(one).max() for one in drawn) <= 1.0
    levels = np.array([level(one) for one in drawn])
    assert levels.max() <= -9.9
    # Peaks of short sounds are brought down to 1, which makes some quieter than was drawn.
    assert levels.min() > -50.0
    assert np.percentile(levels, 90) - np.percentile(levels, 10) > 20.0


def test_a_silent_stretch_stays_silent() -> None:
    found = [mixer((3,)).draw(np.random.default_rng(seed)) for seed in range(12)]
    assert np.isfinite(found).all()
    assert any(not one.any() for one in found)


class Plain:
    """Draws no speed, no other sound, no noise, no filter: a cut that starts 7 samples in, at -20 dB."""

    def random(self) -> float:
        return 0.99

    def choice(self, numbers: Any, p: Any = None) -> int:
        return int(numbers[0])

    def integers(self, below: int) -> int:
        return min(7, below - 1)

    def uniform(self, low: float, high: float) -> float:
        assert (low, high) == (-48.0, -10.0)
        return -20.0


@pytest.mark.parametrize(("number", "begin"), [(2, 7), (0, 0)])
def test_a_mixture_of_one_sound_is_that_sound(number: int, begin: int) -> None:
    found = mixer((number,)).draw(Plain())  # type: ignore[arg-type]
    expected = np.zeros(LENGTH)
    sound = recordings()[number][begin : begin + LENGTH]
    expected[: len(sound)] = sound
    expected *= 0.1 / np.sqrt(np.mean(expected**2))
    assert np.abs(found - expected).max() < 1e-6


class Mixed(Plain):
    """As ``Plain``, but a second sound 12 dB below the first goes with it."""

    def __init__(self) -> None:
        self.numbers = iter((2, 1))
        self.chances = iter((0.9, 0.1, 0.9))  # speed, another sound, its speed

    def random(self) -> float:
        return next(self.chances, 0.99)

    def choice(self, numbers: Any, p: Any = None) -> int:
        return next(self.numbers)

    def uniform(self, low: float, high: float) -> float:
        return 12.0 if (low, high) == (-6.0, 24.0) else -20.0


def test_a_second_sound_lies_below_the_first_by_what_was_drawn() -> None:
    found = mixer().draw(Mixed())  # type: ignore[arg-type]
    first, second = (recordings()[number][7 : 7 + LENGTH].astype(np.float64) for number in (2, 1))
    second *= np.sqrt(np.mean(first**2) / np.mean(second**2)) * 10 ** (-12 / 20)
    expected = first + second
    expected *= 0.1 / np.sqrt(np.mean(expected**2))
    assert np.abs(found - expected).max() < 1e-6


def test_longer_recordings_are_taken_more_often() -> None:
    found = by_length(np.array([0.0, 1.75, 3.5, 19.5, 20.0, 4000.0]))
    assert found.tolist() == pytest.approx([0.5**0.5, 1.5, 2.0, 20.0**0.5, 20.5**0.5, 20.5**0.5])


def test_bytes_keep_log_mels_within_half_a_step() -> None:
    mels = np.linspace(-6.99, 4.99, 1000, dtype=np.float32).reshape(10, 100)
    assert np.abs(from_bytes(to_bytes(mels)) - mels).max() <= 6.0 / 255 + 1e-5
    assert to_bytes(np.array([-20.0, 20.0], dtype=np.float32)).tolist() == [0, 255]
