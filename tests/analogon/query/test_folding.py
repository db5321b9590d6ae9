"""Queries as vectors, as numpy says by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from analogon.query import (
    Leaf,
    Text,
    fold,
    parse,
)
from embed.errors import UsageError
from tests.analogon.query.grown import A, B, C, D

Row = npt.NDArray[np.float64]
GENERATOR = np.random.default_rng(0)
ROWS: dict[Leaf, Row] = {leaf: GENERATOR.normal(size=6) for leaf in (A, B, C, D)}


def normal(row: Row) -> Row:
    return row / np.sqrt((row * row).sum())


a, b, c, d = (normal(ROWS[leaf]) for leaf in (A, B, C, D))


class Shift:
    """A relation that adds an offset."""

    def __init__(self, offset: Row) -> None:
        self.offset = offset

    def apply(self, vector: npt.NDArray[np.float32], strength: float = 1.0) -> npt.NDArray[np.float32]:
        return normal(vector + strength * self.offset).astype(np.float32)


RELATIONS = {"up": Shift(np.array([1.0, 0, 0, 0, 0, 0])), "nothing": Shift(np.zeros(6))}


def between(one: Row, other: Row, t: float) -> Row:
    angle = np.arccos(one @ other)
    return (np.sin((1 - t) * angle) * one + np.sin(t * angle) * other) / np.sin(angle)


def test_folding_against_numpy() -> None:
    basis, _ = np.linalg.qr(np.stack([b, c], axis=1))
    away = normal(b - c)
    up = np.eye(6)[0]
    by_hand = {
        "a": a,
        "-a": -a,
        "2:a - 0.5:b": normal(2 * a - 0.5 * b),
        "1e300:a + 1e300:b": normal(a + b),
        "1e-300:a": a,
        "a + 2:(b + c)": normal(a + 2 * normal(b + c)),
        "a without(b)": normal(a - (a @ b) * b),
        "a without(b - c)": normal(a - (a @ away) * away),
        "a without(b) without(c)": normal(a - basis @ (basis.T @ a)),
        "(a without(b)) + c": normal(normal(a - (a @ b) * b) + c),
        "toward(a, b, 0.3)": between(a, b, 0.3),
        "toward(a, b, 1.5)": between(a, b, 1.5),
        "toward(a, a, 0.3)": a,
        "apply(up, a)": normal(a + up),
        "apply(up, a - b, -0.5)": normal(normal(a - b) - 0.5 * up),
        "a + b exclude(c, 0.5)": normal(a + b),
    }
    for expression, expected in by_hand.items():
        vector = fold(parse(expression), ROWS.__getitem__, RELATIONS.__getitem__)
        assert vector.dtype == np.float32 and vector.shape == (6,), expression
        assert vector == pytest.approx(expected, abs=3e-7), expression


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("a - a", "a - a leaves"),
        ("c + (a - a)", "^a - a leaves"),
        ("1e-9:a - 1e-9:a", "a leaves"),
        ("a - nearly", "^a - nearly leaves"),
        ("b + (a without(2:a))", r"^a without\(2:a\) leaves"),
        ("a without(b) without(a + b)", "leaves no direction"),
        ("toward(a, -a, 0.5)", r"^toward\(a, -a, 0.5\): .*opposites"),
        ("zero", "^zero leaves"),
        ("broken\nline", "^broken line leaves"),
        ("endless", "^endless leaves"),
    ],
)
def test_what_cancels_names_itself(expression: str, part: str) -> None:
    rows = ROWS | {
        Text("nearly"): a + 3e-7 * np.eye(6)[0],
        Text("zero"): np.zeros(6),
        Text("broken\nline"): np.full(6, np.nan),
        Text("endless"): np.full(6, np.inf),
    }
    with pytest.raises(UsageError, match=part):
        fold(parse(expression), rows.__getitem__, RELATIONS.__getitem__)
