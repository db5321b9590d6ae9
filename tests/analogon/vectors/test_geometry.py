"""The geometry against formulas written out, and the properties that define them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogon.vectors import geometry


def rows(count: int, dim: int = 8, seed: int = 0) -> npt.NDArray[np.float32]:
    return geometry.unit(np.random.default_rng(seed).normal(size=(count, dim)))


def test_mean_and_direction_are_sums_divided() -> None:
    starts, ends = rows(5, seed=1), rows(5, seed=2)
    total = sum(row.astype(float) for row in starts)
    assert geometry.mean(starts) == pytest.approx(total / np.sqrt(total @ total), abs=1e-7)
    offset = sum(end.astype(float) - start for start, end in zip(starts, ends, strict=True)) / 5
    assert geometry.direction(starts, ends) == pytest.approx(offset, abs=1e-7)


def test_what_is_rejected_is_gone_and_the_rest_stays() -> None:
    x, axes = rows(4, seed=3), rows(2, seed=4)
    left = geometry.reject(x, axes)
    assert left @ axes.T == pytest.approx(np.zeros((4, 2)), abs=1e-6)
    # Least squares says the same: the residual of x explained by the axes.
    weights, *_ = np.linalg.lstsq(axes.T.astype(float), x.T.astype(float), rcond=None)
    assert left == pytest.approx(x - (axes.T @ weights).T, abs=1e-6)


def test_an_axis_given_twice_counts_once() -> None:
    x, axis = rows(1, seed=5)[0], rows(1, seed=6)
    once = geometry.reject(x, axis)
    assert geometry.reject(x, np.repeat(axis, 3, axis=0)) == pytest.approx(once, abs=1e-6)
    assert geometry.reject(axis[0], axis).tolist() == [0.0] * 8
    assert geometry.reject(x, np.zeros(8)) == pytest.approx(x)


@settings(max_examples=200, derandomize=True)
@given(seed=st.integers(0, 10_000), t=st.floats(-1, 2))
def test_slerp_stays_on_the_great_circle(seed: int, t: float) -> None:
    a, b = rows(2, seed=seed)
    point = geometry.slerp(a, b, t).astype(float)
    angle = np.arccos(np.clip(a.astype(float) @ b, -1, 1))
    assert np.linalg.norm(point) == pytest.approx(1.0, abs=1e-6)
    # Shoemake's form.
    expected = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    assert point == pytest.approx(expected, abs=1e-5)


def test_slerp_between_parallel_and_opposite_vectors() -> None:
    a = rows(1, seed=7)[0]
    assert geometry.slerp(a, a, 0.3) == pytest.approx(a, abs=1e-6)
    with pytest.raises(ValueError, match="opposite"):
        geometry.slerp(a, -a, 0.5)


def test_centred_rows_have_no_common_direction() -> None:
    shifted = geometry.unit(rows(200, seed=8) + 3 * rows(1, seed=9))
    assert np.linalg.norm(shifted.mean(axis=0)) > 0.9
    centred = geometry.centre(shifted)
    assert np.linalg.norm(centred.mean(axis=0)) < 0.1
    assert np.linalg.norm(centred, axis=1) == pytest.approx(np.ones(200), abs=1e-6)
    other = geometry.centre(shifted[:3], shifted[5])
    assert other[0] == pytest.approx((shifted[0] - shifted[5]) / np.linalg.norm(shifted[0] - shifted[5]), abs=1e-6)
