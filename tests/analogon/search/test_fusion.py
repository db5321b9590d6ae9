"""Reciprocal rank fusion against numbers worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from analogon.search.fusion import Ranked, fuse


def test_sums_of_reciprocal_ranks() -> None:
    fused = fuse([Ranked([("a", 0.9), ("b", 0.5), ("c", 0.1)]), Ranked([("c", 7.0), ("b", 3.0), ("d", 1.0)])])
    expected = {
        "c": Fraction(1, 63) + Fraction(1, 61),
        "b": Fraction(1, 62) + Fraction(1, 62),
        "a": Fraction(1, 61),
        "d": Fraction(1, 63),
    }
    assert list(fused) == list(expected)
    assert fused == pytest.approx({key: float(value) for key, value in expected.items()}, rel=1e-12)


def test_a_list_counts_as_much_as_its_weight() -> None:
    fused = fuse([Ranked([("a", 1.0), ("b", 0.5)]), Ranked([("b", 1.0), ("a", 0.5)], 0.5)])
    assert fused == pytest.approx({"a": 1 / 61 + 0.5 / 62, "b": 1 / 62 + 0.5 / 61})
    assert list(fused) == ["a", "b"]


def test_what_a_list_does_not_tell_apart_it_does_not_order() -> None:
    fused = fuse([Ranked([("a", 0.5), ("b", 0.5), ("c", 0.5), ("d", 0.1)]), Ranked([("c", 0.9)])])
    assert fused == pytest.approx({"c": 2 / 61, "a": 1 / 61, "b": 1 / 61, "d": 1 / 64})


def test_equal_sums_stand_in_the_order_of_best_rank_then_of_lists() -> None:
    assert list(fuse([Ranked([("a", 2.0), ("b", 1.0)]), Ranked([("c", 2.0), ("d", 1.0)])])) == ["a", "c", "b", "d"]


def test_one_list_stays_as_it_is() -> None:
    keys = [f"{number}" for number in range(9)]
    assert list(fuse([Ranked([(key, 1.0 if number < 5 else 0.5) for number, key in enumerate(keys)])])) == keys
    assert fuse([]) == {} and fuse([Ranked([])]) == {}
