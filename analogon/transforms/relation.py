"""A relation: the mean offset of pairs of vectors, how regular it is, and where it can be applied."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.settings.shelf import Damaged, Shelf
from analogon.vectors.geometry import direction, unit
from embed.errors import AnalogonError, SpaceMismatch, UsageError
from embed.space import Space, Vectors

__all__ = ["Pair", "Relation", "check_name", "concentration", "consistency"]

Rows = npt.NDArray[np.float32]

SHELF: Final = Shelf("relation", request="analogies.FitRelation")
SHUFFLES: Final = 50
FEWEST: Final = 3
"""Pairs below which neither OCS nor PCS says anything: two have one similarity."""
ATTEMPTS: Final = 100
NOTHING: Final = 1e-6
"""Length below which an offset is float32's rounding."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What two vectors are called: ``a`` stands to ``b`` as in the relation."""

    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.a} : {self.b}"


# -- how regular it is -----------------------------------------------------------------------------------------------


def concentration(starts: Rows, ends: Rows) -> float | None:
    """OCS, the offset concentration score: the mean cosine between two offsets of unit rows ``(n, dim)``.

    Fournier, Dupoux and Dunbar, "Analogies minus analogy test" (CoNLL 2020). None for fewer than three pairs.
    """
    if len(starts) < FEWEST:
        return None
    return float(_similarities(starts, ends).mean())


def consistency(starts: Rows, ends: Rows, *, shuffles: int = SHUFFLES, seed: int = 0) -> float | None:
    """PCS, the pairing consistency score: how well similarities of offsets tell true pairs from shuffled ones.

    In each of ``shuffles`` every start gets the end of another pair, never one that it has itself; the score is the
    mean of the areas under the ROC curve (AUC) of the true pairs' similarities against the shuffled pairs'. 0.5 is
    chance: then starts and ends make two clusters, and who belongs to whom is not to be seen. Source as for
    ``concentration``. None for fewer than three pairs, or where no shuffle leaves every true pair apart.
    """
    if len(starts) < FEWEST:
        return None
    true = _similarities(starts, ends)
    random = np.random.default_rng(seed)
    forbidden = _true_pairs(starts, ends)
    areas = []
    for _ in range(shuffles):
        order = _shuffle(forbidden, random)
        if order is None:
            return None
        shuffled = np.sort(_similarities(starts, ends[order]))
        # The area is the chance that a true similarity is above a shuffled one; equal ones count half.
        below, up_to = (np.searchsorted(shuffled, true, side) for side in ("left", "right"))
        areas.append(float((below + up_to).mean()) / (2 * len(shuffled)))
    return float(np.mean(areas))


def _similarities(starts: Rows, ends: Rows) -> npt.NDArray[np.float64]:
    """Cosines of each two of the offsets, ``(n (n - 1) / 2,)``."""
    offsets = unit(np.asarray(ends, np.float64) - np.asarray(starts, np.float64)).astype(np.float64)
    found: npt.NDArray[np.float64] = (offsets @ offsets.T)[np.triu_indices(len(offsets), 1)]
    return found


def _true_pairs(starts: Rows, ends: Rows) -> npt.NDArray[np.bool_]:
    """Whether start i with end j is a pair of the relation, ``(n, n)``; words may be in several pairs."""
    first = np.unique(starts, axis=0, return_inverse=True)[1].ravel()
    second = np.unique(ends, axis=0, return_inverse=True)[1].ravel()
    there = np.zeros((first.max() + 1, second.max() + 1), bool)
    there[first, second] = True
    return there[first][:, second]


def _shuffle(forbidden: npt.NDArray[np.bool_], random: np.random.Generator) -> npt.NDArray[np.int64] | None:
    """An order of the ends in which no start meets a forbidden one; None where none was found."""
    n = len(forbidden)
    places = np.arange(n)
    order = random.permutation(n)
    for _ in range(ATTEMPTS):
        for i in np.flatnonzero(forbidden[places, order]):
            fit = np.flatnonzero(~forbidden[i, order] & ~forbidden[places, order[i]])
            j = random.choice(fit) if len(fit) else random.integers(n)
            order[i], order[j] = order[j], order[i]
        if not forbidden[places, order].any():
            return order
    return None


# -- the relation ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Relation:
    """Pairs of vectors of one space, and their mean offset.

    ``starts`` and ``ends`` are unit rows, float32 ``(n, space.dim)``, in the order of ``pairs``. ``encoder`` is the
    table that ``embed.load`` makes the space's encoder from, where it is known. ``created`` is a date and time in UTC.
    """

    name: str
    space: Space
    pairs: tuple[Pair, ...]
    starts: Rows = field(repr=False)
    ends: Rows = field(repr=False)
    encoder: Mapping[str, Any] | None = field(default=None, repr=False)
    created: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def __post_init__(self) -> None:
        wanted = (len(self.pairs), self.space.dim)
        for rows in (self.starts, self.ends):
            if rows.shape != wanted or rows.dtype != np.float32:
                raise ValueError(f"{self.name} wants float32 {wanted}, not {rows.dtype} {rows.shape}")
            if not np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-3):
                raise ValueError(f"{self.name}: its rows are not of length 1")
        if not self.pairs:
            raise UsageError(f"a relation needs at least one pair; {self.name} has none")
        if np.linalg.norm(self.offset) < NOTHING:
            raise UsageError(f"the offsets of {self.name} cancel each other: its pairs go both ways, or nowhere")

    @cached_property
    def offset(self) -> Rows:
        """The mean of the pairs' offsets, float32 ``(dim,)``; its length tells how far."""
        return direction(self.starts, self.ends)

    @cached_property
    def ocs(self) -> float | None:
        """How parallel the offsets are, -1 to 1: see ``concentration``."""
        return concentration(self.starts, self.ends)

    @cached_property
    def pcs(self) -> float | None:
        """How well the offsets tell the pairs from shuffled ones, 0.5 by chance: see ``consistency``."""
        return consistency(self.starts, self.ends)

    @cached_property
    def fits(self) -> Rows:
        """The cosine of each pair's offset with the mean of the others' offsets, float32 ``(n,)``: low ones are odd.

        Of one pair alone, with its own.
        """
        offsets = self.ends - self.starts
        others = offsets if len(offsets) == 1 else offsets.sum(axis=0) - offsets
        found: Rows = (unit(offsets) * unit(others)).sum(axis=1)
        return found

    def within(self, space: Space) -> Relation:
        """This relation, to be used in a space. Raises ``SpaceMismatch``, naming both, where it is another one."""
        if space != self.space:
            here, there = self.space.beside(space)
            raise SpaceMismatch(
                f"the relation {self.name} was fitted in {here}, and is asked for in {there}: "
                "fit it there too, under another name"
            )
        return self

    def apply(self, vector: Rows | Vectors, strength: float = 1.0) -> Rows:
        """Unit vectors ``(..., dim)`` moved along the relation: ``unit(vector + strength * offset)``, float32.

        Raises ``UsageError`` for what is no such vector, ``SpaceMismatch`` for ``Vectors`` of another space.

        >>> eye = np.eye(3, dtype=np.float32)
        >>> space = Space("toy:3", "none", "none", 3)
        >>> Relation("up", space, (Pair("low", "high"),), eye[:1], eye[1:2]).apply(eye[0]).tolist()
        [0.0, 1.0, 0.0]
        """
        if isinstance(vector, Vectors):
            self.space.check(vector.space)
            vector = vector.array
        array = np.asarray(vector)
        if array.dtype.kind not in "fiu" or array.shape[-1:] != (self.space.dim,):
            raise UsageError(
                f"{self.name} moves vectors (..., {self.space.dim}) of {self.space.model}, and this is none"
            )
        # Only the ratio of the two counts: scaled so, no strength overflows.
        scale = max(1.0, abs(strength))
        return unit(array.astype(np.float64) / scale + strength / scale * self.offset.astype(np.float64))

    def save(self) -> None:
        """Keep the relation under its name; one that had it before is replaced."""
        record = {
            **self.to_json(),
            "space": self.space.to_json(),
            "encoder": dict(self.encoder) if self.encoder is not None else None,
            "pairs": [[pair.a, pair.b] for pair in self.pairs],
        }
        SHELF.put(self.name, record, {"starts": self.starts, "ends": self.ends})

    def to_json(self) -> dict[str, Any]:
        """What a listing says of it."""
        return {
            "name": self.name,
            "space": str(self.space),
            "pairs": len(self.pairs),
            "ocs": self.ocs,
            "pcs": self.pcs,
            "created": self.created,
        }

    @classmethod
    def load(cls, name: str) -> Relation:
        """The relation kept under a name.

        Raises ``UsageError``, saying which there are, and ``AnalogonError`` where its file contradicts itself.
        """
        kept = SHELF.get(name)
        try:
            pairs = tuple(Pair(str(a), str(b)) for a, b in kept.record["pairs"])
            space = Space.from_json(kept.record["space"])
            encoder, created = kept.record["encoder"], str(kept.record["created"])
            return cls(name, space, pairs, kept.arrays["starts"], kept.arrays["ends"], encoder, created)
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise AnalogonError(f"{SHELF.path(name)}: not a readable relation ({error}); fit it again") from None

    @classmethod
    def listing(cls, damaged: Damaged = lambda line: None) -> list[Relation]:
        """Every relation that is kept, by name; ``damaged`` hears of files that cannot be read."""
        return list(SHELF.each(cls.load, damaged))

    @staticmethod
    def remove(name: str) -> None:
        """Forget the relation of a name. Raises ``UsageError`` where there is none."""
        SHELF.remove(name)


def check_name(name: str) -> None:
    """Raise ``UsageError`` for what cannot name a relation."""
    SHELF.path(name)
