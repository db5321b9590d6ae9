"""The space a vector lives in, and arrays of vectors that know theirs."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embed.errors import SpaceMismatch

__all__ = ["Space", "Vectors", "unit"]


@functools.cache
def _id(weights: str, preprocessing: str, dim: int) -> str:
    key = json.dumps([weights, preprocessing, dim])
    return hashlib.blake2b(key.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Space:
    """One embedding space; equality means "vectors are comparable".

    ``model`` is what a person typed (``clap:laion/clap-htsat-unfused``) and takes no part in equality: the same
    weights in another folder are the same space. ``weights`` is a hash of the weights' bytes, ``preprocessing``
    says all that happens between a file and the model, ``dim`` is the number of components.
    """

    model: str = field(compare=False)
    weights: str
    preprocessing: str
    dim: int

    @property
    def id(self) -> str:
        """Twelve hex digits that stand for this space in file names and catalogs."""
        return _id(self.weights, self.preprocessing, self.dim)

    @property
    def name(self) -> str:
        """The model without the folders that it lies in, as results name it: ``clap:clap-htsat-unfused``."""
        family, colon, model = self.model.partition(":")
        return family + colon + (Path(model).name if colon else "")

    def __str__(self) -> str:
        return f"{self.model} ({self.dim}-d, weights {self.weights[:8]}, {self.preprocessing})"

    def beside(self, other: Space) -> tuple[str, str]:
        """What to call this space and another where both are named: the models, if these tell them apart."""
        return (str(self), str(other)) if self.model == other.model else (self.model, other.model)

    def to_json(self) -> dict[str, Any]:
        """The fields, for a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Space:
        """The inverse of ``to_json``."""
        return cls(**{key: fields[key] for key in ("model", "weights", "preprocessing", "dim")})

    def check(self, other: Space) -> None:
        """Raise ``SpaceMismatch``, naming both, unless ``other`` is this space."""
        if self != other:
            raise SpaceMismatch(f"two spaces cannot be compared: {self} and {other}")


def unit(array: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Rows scaled to length 1, as float32; a row of zeros stays zero.

    >>> unit([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    rows = np.asarray(array, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return (rows / np.where(norms == 0.0, 1.0, norms)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Unit rows, float32 ``(n, space.dim)``, and the space that they live in."""

    space: Space
    array: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.array.ndim != 2 or self.array.shape[1] != self.space.dim or self.array.dtype != np.float32:
            raise ValueError(f"Vectors wants float32 (n, {self.space.dim}), not {self.array.dtype} {self.array.shape}")

    def __len__(self) -> int:
        return len(self.array)

    def __matmul__(self, other: Vectors) -> npt.NDArray[np.float32]:
        """Cosines of every row with every row of ``other``: ``(len(self), len(other))``."""
        self.space.check(other.space)
        product: npt.NDArray[np.float32] = self.array @ other.array.T
        return product
