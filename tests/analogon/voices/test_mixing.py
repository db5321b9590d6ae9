"""Mixes against numpy written out."""

from __future__ import annotations

import numpy as np
import pytest

from analogon.voices import (
    Recording,
    Share,
    Voice,
    blend,
    enroll,
    mix,
)
from embed.errors import UsageError
from tests.analogon.voices.rows import FLAT, OTHER, random_voice, units, voice_of_rows


def test_a_mix_is_the_normalised_weighted_mean() -> None:
    one, two = random_voice("anna", 1, 3), random_voice("bert", 2, 2)
    one.save()
    two.save()
    both = mix("both", [Share("anna", 7.0), Share("bert", 3.0)]).voice
    total = 0.7 * one.vector(FLAT).astype(np.float64) + 0.3 * two.vector(FLAT).astype(np.float64)
    assert both.vector(FLAT) == pytest.approx(total / np.sqrt((total**2).sum()), abs=1e-6)
    assert both.mixed == (Share("anna", 0.7), Share("bert", 0.3))
    assert both.takes == () and both.consistency(FLAT) is None
    both.save()
    assert Voice.load("both").mixed == both.mixed
    huge = mix("huge", [Share("anna", 7e307), Share("bert", 3e307)]).voice
    assert huge.vector(FLAT) == pytest.approx(both.vector(FLAT), abs=1e-6)
    with pytest.raises(UsageError, match="both is mixed"):
        enroll("both", [], ready=["x.npy"], known=both)


def test_what_weights_below_0_bring_below_0_becomes_0_where_no_voice_has_such_components() -> None:
    voice_of_rows("anna", [[3, 4, 0, 0]]).save()
    voice_of_rows("bert", [[0, 1, 0, 0]]).save()
    away = mix("away", [Share("anna", 2), Share("bert", -1.8)])
    assert away.voice.vector(FLAT).tolist() == [1.0, 0.0, 0.0, 0.0]  # 2 (0.6, 0.8) - 1.8 (0, 1) = (1.2, -0.2)
    assert away.notes == ("flat:4: 1 of 4 components came below 0, where no voice is; they are 0 now",)
    # Where voices do have components below 0, nothing is cut off.
    assert blend(units([[3, 4], [0, -1]]), [1, 2]) == pytest.approx(units([0.6, -1.2]), abs=1e-6)
    with pytest.raises(UsageError, match="cancel each other"):
        blend(units([[1, 0], [-1, 0]]), [1, 1])


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ("anna", "two voices or more"),
        ("anna:1 anna:2", "two voices or more"),
        ("anna:nan bert", "finite"),
        ("anna:inf bert", "finite"),
        ("anna:0 bert", "not 0"),
        ("anna:1 bert:-1", "above 0 in sum"),
        ("anna:-2 bert:1", "above 0 in sum"),
        ("anna nobody", "no voice called 'nobody'"),
        ("anna stranger", "no space in common: anna has flat:4; stranger has other:4"),
        ("anna:x bert", "NAME:NUMBER"),
    ],
)
def test_what_cannot_be_mixed(shares: str, reason: str) -> None:
    random_voice("anna", 1, 2).save()
    random_voice("bert", 2, 2).save()
    voice_of_rows("stranger", [[1, 0, 0, 0]], space=OTHER).save()
    with pytest.raises(UsageError, match=reason):
        mix("both", [Share.parse(text) for text in shares.split()])


def test_a_mix_says_in_which_spaces_it_is_not() -> None:
    row = units([[1, 2, 0, 0]])
    Voice.of("anna", [Recording("/a", "a", 1.0)], {FLAT: row, OTHER: row}).save()
    random_voice("bert", 2, 2).save()
    both = mix("both", [Share("anna"), Share("bert")])
    assert list(both.voice.vectors) == [FLAT]
    assert both.notes == ("not all of the voices are kept in other:4: the mix is not either",)
