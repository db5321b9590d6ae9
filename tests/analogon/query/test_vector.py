"""Vectors as parts of queries: arithmetic, JSON, and what is no vector."""

from __future__ import annotations

import numpy as np
import pytest

from analogon.query import Vector, fold, from_json, parse, text, to_json, vector, vectors
from analogon.vectors.geometry import unit
from embed import Space, Vectors
from embed.errors import UsageError

SPACE = Space("toy:3", "w", "p", 3)
ROW = np.array([3.0, 0.0, 4.0])


def test_it_is_scaled_to_length_one_and_keeps_its_space() -> None:
    np.testing.assert_allclose(vector(ROW).array, [0.6, 0.0, 0.8], atol=1e-7)
    assert vector(ROW[None]).array.dtype == np.float32
    assert vector(Vectors(SPACE, unit(ROW[None]))).space == SPACE
    assert vector(1e200 * ROW) == vector(1e-200 * ROW) == vector(ROW)
    assert vector(ROW, SPACE) != vector(ROW) and hash(vector(ROW)) == hash(vector(2 * ROW))


def test_arithmetic_is_that_of_the_arrays() -> None:
    axes = {text("a"): np.array([0.0, 1.0, 0.0])}
    query = 2 * text("a") - vector(ROW) + vector([0.0, 0.0, 1.0])
    found = fold(query, axes.__getitem__, lambda name: None)  # type: ignore[arg-type, return-value]
    expected = 2 * np.array([0.0, 1.0, 0.0]) - unit(ROW) + np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)
    assert vectors(query) == (vector(ROW), vector([0, 0, 1]))
    assert str(query) == "2:a - vector(3 numbers) + vector(3 numbers)"


def test_python_sums() -> None:
    assert sum([text("a"), text("b"), vector(ROW)]) == text("a") + text("b") + vector(ROW)
    with pytest.raises(TypeError):
        1 + text("a")  # type: ignore[operator]


def test_json_reads_back_what_it_wrote() -> None:
    for query in (vector(ROW), vector(ROW, SPACE), text("a") - 0.5 * vector(ROW), parse("a").without(vector(ROW))):
        assert from_json(to_json(query)) == query
    assert isinstance(from_json({"vector": [1, 2, 3]}), Vector)
    for wrong in ({"vector": []}, {"vector": ["a"]}, {"vector": [0, 0]}, {"vector": [1.0], "space": {"dim": 1}}):
        with pytest.raises(UsageError, match=r"at \$"):
            from_json(wrong)


@pytest.mark.parametrize(
    "wrong", [np.zeros(3), np.ones((2, 3)), np.array(["a"]), np.array([1.0, np.nan]), np.float64(3), np.ones(3) * 1j]
)
def test_what_is_no_direction(wrong: np.ndarray) -> None:
    with pytest.raises(UsageError, match="vector"):
        vector(wrong)


def test_a_space_of_another_dimension() -> None:
    with pytest.raises(UsageError, match="2 components"):
        vector([1.0, 2.0], SPACE)
