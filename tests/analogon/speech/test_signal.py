"""What is measured of samples, and done to them."""

from __future__ import annotations

import numpy as np
import pytest

from analogon.speech.signal import MARGIN, fundamental_frequency, time_stretch, trim
from tests.analogon.speech.measures import RATE


def test_the_fundamental_is_that_of_the_signal() -> None:
    for true in (62.0, 100.0, 150.0, 233.0, 440.0):
        time = np.arange(2 * RATE) / RATE
        wave = sum(np.sin(2 * np.pi * true * k * time) / k**0.5 for k in range(1, 8))
        assert fundamental_frequency(np.asarray(wave, np.float32), RATE) == pytest.approx(true, rel=0.005)
    # The median: what is an octave off for a quarter of the time does not count.
    wave = np.sin(2 * np.pi * np.cumsum(np.where(np.arange(2 * RATE) < 1.5 * RATE, 200.0, 400.0)) / RATE)
    assert fundamental_frequency(wave.astype(np.float32), RATE) == pytest.approx(200.0, rel=0.005)
    assert fundamental_frequency(np.random.default_rng(0).normal(size=RATE).astype(np.float32), RATE) is None
    assert fundamental_frequency(np.zeros(RATE, np.float32), RATE) is None
    assert fundamental_frequency(np.zeros(10, np.float32), RATE) is None


def test_stretching_takes_any_length() -> None:
    lots = np.random.default_rng(1)
    for _ in range(60):
        sound = lots.normal(size=int(lots.integers(0, 9000))).astype(np.float32)
        length = int(lots.integers(0, 9000))
        assert time_stretch(sound, int(lots.choice([8000, 22050, 48000])), length).shape == (length,)


def test_what_is_fifty_decibels_below_the_peak_is_silence() -> None:
    margin = round(MARGIN * RATE)
    for decibels, kept in ((-49.0, 500), (-51.0, margin)):
        faint = np.full(500, 0.5 * 10 ** (decibels / 20), np.float32)
        sound = np.concatenate([faint, np.full(1000, 0.5, np.float32), faint])
        assert len(trim(sound, RATE)) == 1000 + 2 * kept
