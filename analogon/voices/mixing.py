"""Voices between kept ones: their weighted means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from analogon.vectors.geometry import unit
from analogon.voices.voices import SHELF, NewVoice, Row, Rows, Share, Voice, short_model
from embed.errors import UsageError

__all__ = ["blend", "mix"]

NOTHING: Final = 1e-6
"""Length below which a sum is rounding."""


def blend(rows: Rows, weights: Sequence[float]) -> Row:
    """The normalised weighted mean of unit rows ``(n, dim)``, float32 ``(dim,)``.

    Unlike slerp it takes any number of voices in any order; between two at an angle of 60 degrees the two ways part by
    less than 1.2 degrees. Where no row has a component below 0, as after the ReLU that ends GE2E's network, what
    negative weights bring below 0 becomes 0. Raises ``UsageError`` where nothing is left.

    >>> blend(np.eye(2, dtype=np.float32), [3, 4]).round(3).tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    total = _weighted(rows, weights)
    if (rows >= 0).all():
        total = np.maximum(total, 0.0)
    if np.linalg.norm(total) < NOTHING:
        raise UsageError("the voices cancel each other: choose other weights")
    return unit(total)


def _weighted(rows: Rows, weights: Sequence[float]) -> npt.NDArray[np.float64]:
    """The weighted sum of rows, scaled so that no weight overflows."""
    total: npt.NDArray[np.float64] = np.asarray(weights) / max(map(abs, weights)) @ np.asarray(rows, np.float64)
    return total


def mix(name: str, shares: Sequence[Share]) -> NewVoice:
    """A voice between kept ones, in the spaces that all of them have; ``save`` keeps it.

    Weights count in proportion. One below 0 leads away from a voice. Raises ``UsageError`` unless there are two voices
    or more, weights that are finite, not 0 and above 0 in sum, and a space that all have.
    """
    SHELF.path(name)
    weights: dict[str, float] = {}
    for share in shares:
        if not math.isfinite(share.weight) or share.weight == 0:
            raise UsageError(f"{share}: a weight is a number that is finite and not 0")
        weights[share.name] = weights.get(share.name, 0.0) + share.weight
    if len(weights) < 2:
        raise UsageError("a mix is made of two voices or more, as in: narrator:0.7 singer:0.3")
    largest = max(map(abs, weights.values()))
    total = math.fsum(weight / largest for weight in weights.values())
    if total <= NOTHING:
        raise UsageError(f"the weights of a mix must be above 0 in sum, not {total * largest:g}")
    voices = [Voice.load(one) for one in weights]
    spaces = [space for space in voices[0].vectors if all(space in voice.vectors for voice in voices)]
    if not spaces:
        has = "; ".join(f"{v.name} has {', '.join(map(short_model, v.vectors))}" for v in voices)
        raise UsageError(
            f"the voices have no space in common: {has}; `analogon.service.voices."
            "AddVoice(name=NAME, more=True, encoders=[ENCODER]).run()` adds one"
        )
    notes = []
    vectors = {}
    for space in spaces:
        rows = np.stack([voice.vectors[space] for voice in voices])
        vectors[space] = blend(rows, list(weights.values()))
        below = int((_weighted(rows, list(weights.values())) < 0).sum())
        if below and (rows >= 0).all():
            came = f"{below} of {space.dim} components came below 0"
            notes.append(f"{short_model(space)}: {came}, where no voice is; they are 0 now")
    every = list(dict.fromkeys(space for voice in voices for space in voice.vectors))
    if left := [short_model(space) for space in every if space not in vectors]:
        notes.append(f"not all of the voices are kept in {', '.join(left)}: the mix is not either")
    tables = {space: table for voice in voices for space, table in voice.encoders.items() if space in vectors}
    parts = tuple(Share(part, weight / largest / total) for part, weight in weights.items())
    return NewVoice(Voice(name, vectors, encoders=tables, mixed=parts), tuple(notes))
