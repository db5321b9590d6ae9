"""Arithmetic on unit vectors, in numpy alone: every formula once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embed.space import unit

__all__ = ["Floats", "centre", "direction", "mean", "reject", "slerp", "unit"]

Floats = npt.NDArray[np.floating]
PARALLEL = 1e-6
"""Sine below which two vectors count as parallel: float32 unit rows are no more exact than that."""


def mean(rows: Floats) -> npt.NDArray[np.float32]:
    """The unit vector in the middle of unit rows ``(n, dim)``: their normalised mean, float32 ``(dim,)``.

    >>> mean(np.eye(2)).round(3).tolist()
    [0.7070000171661377, 0.7070000171661377]
    """
    return unit(np.mean(rows, axis=0, dtype=np.float64))


def direction(starts: Floats, ends: Floats) -> npt.NDArray[np.float32]:
    """The mean offset of pairs of unit rows, ``mean(ends - starts)``, float32 ``(dim,)``; its length tells how far.

    This is 3CosAvg's offset (Drozd, Gladkova and Matsuoka 2016).

    >>> direction(np.eye(2), np.eye(2)[::-1]).tolist()
    [0.0, 0.0]
    """
    offset: npt.NDArray[np.float64] = np.mean(np.asarray(ends, np.float64) - np.asarray(starts, np.float64), axis=0)
    return offset.astype(np.float32)


def reject(rows: Floats, axes: Floats) -> npt.NDArray[np.float32]:
    """What is left of rows ``(..., dim)`` when the span of ``axes``, ``(dim,)`` or ``(n, dim)``, is projected out.

    The result is not normalised; a row that lies in the span becomes zeros.

    >>> reject(np.array([3.0, 4.0]), np.array([2.0, 0.0])).tolist()
    [0.0, 4.0]
    """
    rows = np.asarray(rows, np.float64)
    axes = np.atleast_2d(np.asarray(axes, np.float64))
    # An orthonormal basis of the span; axes that others already span add nothing to it.
    _, sizes, basis = np.linalg.svd(axes, full_matrices=False)
    basis = basis[sizes > PARALLEL * max(float(sizes.max(initial=0.0)), 1e-30)]
    left = rows - (rows @ basis.T) @ basis
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    gone = np.linalg.norm(left, axis=-1, keepdims=True) <= PARALLEL * lengths
    return np.where(gone, 0.0, left).astype(np.float32)


def slerp(a: Floats, b: Floats, t: float) -> npt.NDArray[np.float32]:
    """The point a share ``t`` of the way from unit vector ``a`` to ``b`` on the great circle, float32 ``(dim,)``.

    Shoemake, "Animating rotation with quaternion curves" (1985). ``t`` below 0 or above 1 goes on beyond the ends.
    Raises ``ValueError`` for opposite vectors, between which there is no shortest way.

    >>> slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 1 / 3).round(3).tolist()
    [0.8659999966621399, 0.5]
    """
    a, b = np.asarray(unit(a), np.float64), np.asarray(unit(b), np.float64)
    across = b - (a @ b) * a
    sine = float(np.linalg.norm(across))
    angle = float(np.arctan2(sine, a @ b))
    if sine < PARALLEL:
        if angle > 1.0:
            raise ValueError("opposite vectors have no shortest way between them")
        return unit(a)
    return unit(np.cos(t * angle) * a + np.sin(t * angle) * across / sine)


def centre(rows: Floats, middle: Floats | None = None) -> npt.NDArray[np.float32]:
    """Rows ``(n, dim)`` minus ``middle`` ``(dim,)``, their own mean by default, normalised again; float32 ``(n, dim)``.

    >>> centre(np.array([[3.0, 1.0], [1.0, 1.0]])).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    rows = np.asarray(rows, np.float64)
    return unit(rows - (rows.mean(axis=0) if middle is None else np.asarray(middle, np.float64)))
