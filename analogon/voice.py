"""Kept voices: what speaker encoders make of somebody's recordings, under a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from embed.errors import SpaceMismatch
from embed.space import Space

__all__ = ["Voice"]


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """A voice: a unit vector float32 ``(dim,)`` in each space of a speaker encoder that heard its takes."""

    name: str
    vectors: Mapping[Space, npt.NDArray[np.float32]] = field(repr=False)
    takes: tuple[str, ...] = ()

    def vector(self, space: Space) -> npt.NDArray[np.float32]:
        """Its unit vector in a space. Raises ``SpaceMismatch``, saying which spaces it has."""
        if space not in self.vectors:
            has = ", ".join(known.model for known in self.vectors) or "no space at all"
            raise SpaceMismatch(f"the voice {self.name} is kept in {has}, not in {space.model}")
        return self.vectors[space]
