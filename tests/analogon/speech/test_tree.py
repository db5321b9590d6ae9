"""The tree of a document: what its values stand for, and what is refused of a tree that is made by hand."""

from __future__ import annotations

import math

import pytest

from analogon.speech.tree import Break, Emphasis, Mark, Pitch, Prosody, SayAs, Volume
from embed.errors import UsageError


@pytest.mark.parametrize(
    ("node", "seconds"),
    [
        (Break(), 0.25),
        (Break(strength="none"), 0.0),
        (Break(strength="x-weak"), 0.05),
        (Break(strength="x-strong"), 1.0),
        (Break("500ms"), 0.5),
        (Break("+.5s"), 0.5),
        (Break("2.s", "none"), 2.0),
    ],
)
def test_breaks(node: Break, seconds: float) -> None:
    assert node.seconds == seconds


@pytest.mark.parametrize(
    ("rate", "outer", "factor"),
    [
        ("fast", 3.0, 1.25),
        ("default", 3.0, 1.0),
        ("100%", 3.0, 1.0),
        ("50%", 3.0, 0.5),
        ("+50%", 2.0, 3.0),
        ("-20%", 2.0, 1.6),
        ("1.5", 2.0, 1.5),
    ],
)
def test_rates(rate: str, outer: float, factor: float) -> None:
    assert Prosody((), rate=rate).read_rate(outer) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(
    ("pitch", "frequency"),
    [
        # of a voice of 100 Hz, inside of an element that adds 20 Hz
        ("200Hz", 200.0),
        ("+10Hz", 130.0),
        ("-10Hz", 110.0),
        ("+50%", 180.0),
        ("+12st", 240.0),
        ("-12ST", 60.0),
        ("high", 115.0),
        ("default", 100.0),
    ],
)
def test_pitches(pitch: str, frequency: float) -> None:
    change = Prosody((), pitch=pitch).read_pitch(Pitch(1.0, 20.0))
    assert change.scale * 100 + change.hertz == pytest.approx(frequency, abs=1e-9)


@pytest.mark.parametrize(
    ("volume", "decibels"),
    [
        # inside of an element at -3 dB
        ("+6dB", 3.0),
        ("-6dB", -9.0),
        ("loud", 6.0),
        ("default", 0.0),
        ("silent", -math.inf),
        ("50", 20 * math.log10(0.5)),
        ("100", 0.0),
        ("0", -math.inf),
        ("+100%", -3 + 20 * math.log10(2)),
        ("-100%", -math.inf),
    ],
)
def test_volumes(volume: str, decibels: float) -> None:
    assert Prosody((), volume=volume).read_volume(Volume(-3.0)).decibels == pytest.approx(decibels, abs=1e-9)


def test_a_tree_that_is_made_by_hand_is_checked_too() -> None:
    for make in (
        lambda: Break("soon"),
        lambda: Mark("\x1b"),
        lambda: Emphasis((), "very"),
        lambda: Prosody((), rate="quick"),
        lambda: SayAs("a", ""),
    ):
        with pytest.raises(UsageError):
            make()
