"""Kept voices: what speaker encoders make of somebody's recordings, under a name.

A voice's vector is the normalised mean of its takes' unit vectors, as GE2E makes a speaker's centroid (Wan et al. 2018,
arXiv:1710.10467).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.settings.shelf import Damaged, Shelf
from analogon.vectors.geometry import mean, unit
from embed.errors import AnalogonError, SpaceMismatch, UsageError
from embed.space import Space

__all__ = ["SHELF", "SPEECHBRAIN", "NewVoice", "Recording", "Share", "Voice", "short_model"]

Row = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float32]

SHELF: Final = Shelf("voice", verb="add", request="voices.AddVoice")
SPEECHBRAIN: Final = Space(
    "speechbrain/spkrec-xvect-voxceleb", "speechbrain/spkrec-xvect-voxceleb", "16 kHz mono; as published", 512
)
"""The x-vectors that the published SpeechT5 checkpoints were trained with, those of CMU Arctic among them.

No encoder here makes them: they are read from files, and taken at their word.
"""
DEVIATIONS: Final = 3.0
APART: Final = 0.1
FEWEST_ALIKE: Final = 2
"""Takes that make a group of their own: a single one that is unlike the rest is odd."""
CLEAR: Final = 0.5
"""Mean silhouette above which two groups are two."""
TWO_PEOPLE: Final = 0.15
FEWEST: Final = 3
"""Takes of which one can be unlike the others."""


# -- what is kept ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recording:
    """A take of a voice: where it lay, the hash of its content, and how many seconds of it are not silence.

    A vector that was given ready is one as well, of 0 seconds.
    """

    path: str
    content: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """A kept voice's part in a mix."""

    name: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Share:
        """``narrator:0.7``, or ``narrator`` for a weight of 1. Raises ``UsageError``.

        >>> Share.parse("narrator:0.7")
        Share(name='narrator', weight=0.7)
        """
        name, colon, number = text.partition(":")
        try:
            return cls(name, float(number) if colon else 1.0)
        except ValueError:
            raise UsageError(f"{text}: a voice and its weight are written NAME:NUMBER, as in narrator:0.7") from None

    def __str__(self) -> str:
        return f"{self.name}:{self.weight:g}"


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """A voice: a unit vector float32 ``(dim,)`` in each space of a speaker encoder that heard its takes.

    ``rows`` are its takes' own unit vectors in each space, float32 ``(len(takes), dim)``; a row of zeros where a take
    was not heard there. ``encoders`` are the tables that ``embed.load`` makes the spaces' encoders from, where they are
    known. ``mixed`` says what it was mixed of; then it has no takes. ``created`` is a date and time in UTC.
    """

    name: str
    vectors: Mapping[Space, Row] = field(repr=False)
    takes: tuple[Recording, ...] = ()
    rows: Mapping[Space, Rows] = field(default_factory=dict, repr=False)
    encoders: Mapping[Space, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    mixed: tuple[Share, ...] = ()
    created: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def __post_init__(self) -> None:
        wanted: list[tuple[Space, Rows, tuple[int, ...]]]
        wanted = [(space, row, (space.dim,)) for space, row in self.vectors.items()]
        wanted += [(space, rows, (len(self.takes), space.dim)) for space, rows in self.rows.items()]
        for space, array, shape in wanted:
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{self.name} wants float32 {shape} in {space.model}, not {array.dtype} {array.shape}")
            lengths = np.linalg.norm(array, axis=-1)
            if not np.allclose(lengths[lengths != 0] if array.ndim == 2 else lengths, 1.0, atol=1e-3):
                raise ValueError(f"{self.name}: its vectors in {space.model} are not of length 1")

    @classmethod
    def of(cls, name: str, takes: Sequence[Recording], rows: Mapping[Space, Rows], **others: Any) -> Voice:
        """The voice of some takes: in each space the normalised mean of the rows that are not zero.

        Raises ``UsageError`` where they cancel each other.
        """
        vectors = {space: mean(heard) for space, array in rows.items() if len(heard := array[array.any(axis=1)])}
        for space, vector in vectors.items():
            if not vector.any():
                raise UsageError(f"{name}: its takes cancel each other in {space.model}: they have no mean")
        return cls(name, vectors, tuple(takes), {space: rows[space] for space in vectors}, **others)

    def vector(self, space: Space) -> Row:
        """Its unit vector in a space. Raises ``SpaceMismatch``, saying which spaces it has."""
        if space not in self.vectors:
            has = ", ".join(known.model for known in self.vectors) or "no space at all"
            raise SpaceMismatch(f"the voice {self.name} is kept in {has}, not in {space.model}")
        return self.vectors[space]

    @property
    def seconds(self) -> float:
        """Seconds of sound in all its takes."""
        return math.fsum(take.seconds for take in self.takes)

    def fits(self, space: Space) -> npt.NDArray[np.float64]:
        """The cosine of each take with the mean of the other takes, ``(len(takes),)``: low ones are odd.

        NaN for a take that was not heard in the space, and for one alone.
        """
        rows = np.asarray(self.rows.get(space, np.zeros((len(self.takes), 1))), np.float64)
        others = unit(rows.sum(axis=0) - rows).astype(np.float64)
        found: npt.NDArray[np.float64] = (rows * others).sum(axis=1)
        heard = rows.any(axis=1)
        return np.where(heard & (heard.sum() > 1), found, np.nan)

    def consistency(self, space: Space) -> float | None:
        """The mean of ``fits``: how alike its takes are. None for fewer than two takes, as a mix has."""
        fits = self.fits(space)
        return float(np.nanmean(fits)) if np.isfinite(fits).any() else None

    def odd(self, space: Space) -> list[int]:
        """The numbers of takes that are unlike the others: strangers, noise, another microphone.

        Those whose fit is more than three scaled median absolute deviations (Leys et al. 2013) and more than 0.1 below
        the median. Of fewer than three takes none is.
        """
        fits = self.fits(space)
        known = fits[np.isfinite(fits)]
        if len(known) < FEWEST:
            return []
        middle = float(np.median(known))
        spread = 1.4826 * float(np.median(np.abs(known - middle)))
        return [int(i) for i in np.flatnonzero(fits < middle - max(DEVIATIONS * spread, APART))]

    def groups(self, space: Space) -> tuple[list[int], list[int]] | None:
        """The numbers of its takes in two groups, the larger first, where these are as unlike as two people; else None.

        The two are those of average linkage. Of each there are two takes at least, the mean silhouette of all takes
        (Rousseeuw 1987) is above 0.5, and the mean cosine inside of them is more than 0.15 above that between them:
        with GE2E's vectors that was 0.13 at most of one person's takes, and 0.17 to 0.4 of two people's.
        """
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform
        from sklearn.metrics import silhouette_score

        rows = np.asarray(self.rows.get(space, np.zeros((len(self.takes), 1))), np.float64)
        heard = np.flatnonzero(rows.any(axis=1))
        if len(heard) < 2 * FEWEST_ALIKE:
            return None
        cosines = rows[heard] @ rows[heard].T
        distances = np.maximum(1.0 - cosines, 0.0)
        np.fill_diagonal(distances, 0.0)
        labels = fcluster(linkage(squareform(distances, checks=False), "average"), 2, "maxclust")
        found = sorted((heard[labels == label] for label in (1, 2)), key=len, reverse=True)
        if min(map(len, found)) < FEWEST_ALIKE or silhouette_score(distances, labels, metric="precomputed") <= CLEAR:
            return None
        inside, between = self._alike(space, found[0], found[1])
        return (found[0].tolist(), found[1].tolist()) if inside - between > TWO_PEOPLE else None

    def _alike(self, space: Space, one: Sequence[int], other: Sequence[int]) -> tuple[float, float]:
        """The mean cosine of takes inside of two groups, and that of takes of one with those of the other."""
        rows = np.asarray(self.rows[space], np.float64)
        pairs = [rows[list(group)] @ rows[list(group)].T for group in (one, other)]
        inside = np.concatenate([pair[np.triu_indices(len(pair), 1)] for pair in pairs])
        return float(inside.mean()), float((rows[list(one)] @ rows[list(other)].T).mean())

    def oddities(self) -> list[str]:
        """A line for each take that is unlike the others in a space, or where its takes are of two kinds."""
        lines = []
        for space in self.vectors:
            if groups := self.groups(space):
                inside, between = self._alike(space, *groups)
                names = [self.takes[number].path for number in groups[1]]
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                lines.append(
                    f"{self.name}: its takes are of two kinds that are unlike each other ({inside:.2f} inside of each, "
                    f"{between:.2f} between them; {short_model(space)}): are {', '.join(names[:3])}{more} the voice of "
                    "another person?"
                )
            fits = self.fits(space)
            for number in self.odd(space):
                rest = np.delete(fits, number)
                lines.append(
                    f"{self.takes[number].path} is unlike the others ({fits[number]:.2f}; the others "
                    f"{np.nanmean(rest):.2f}; {short_model(space)}): is it the same voice?"
                )
        return lines

    def without(self, content: str) -> Voice:
        """The voice of the takes that have another content hash; itself where none has this one."""
        keep = [i for i, take in enumerate(self.takes) if take.content != content]
        if len(keep) == len(self.takes):
            return self
        return replace(
            Voice.of(self.name, [self.takes[i] for i in keep], {s: rows[keep] for s, rows in self.rows.items()}),
            encoders=self.encoders,
            created=self.created,
        )

    def to_json(self) -> dict[str, Any]:
        """What a listing says of it."""
        return {
            "name": self.name,
            "takes": len(self.takes),
            "seconds": round(self.seconds, 2),
            "spaces": [
                {
                    "model": space.model,
                    "id": space.id,
                    "dim": space.dim,
                    "takes": int(self.rows[space].any(axis=1).sum()) if space in self.rows else 0,
                    "consistency": self.consistency(space),
                }
                for space in self.vectors
            ],
            "mixed": [{"name": share.name, "weight": share.weight} for share in self.mixed],
            "created": self.created,
        }

    def save(self) -> None:
        """Keep the voice under its name; one that had it before is replaced."""
        spaces = list(self.vectors)
        record = {
            "spaces": [
                {"space": space.to_json(), "encoder": dict(self.encoders[space]) if space in self.encoders else None}
                for space in spaces
            ],
            "takes": [[take.path, take.content, take.seconds] for take in self.takes],
            "mixed": [[share.name, share.weight] for share in self.mixed],
            "created": self.created,
        }
        arrays = {f"vector {i}": self.vectors[space] for i, space in enumerate(spaces)}
        arrays |= {f"takes {i}": self.rows[space] for i, space in enumerate(spaces) if space in self.rows}
        SHELF.put(self.name, record, arrays)

    @classmethod
    def load(cls, name: str) -> Voice:
        """The voice kept under a name.

        Raises ``UsageError``, saying which there are, and ``AnalogonError`` where its file contradicts itself.
        """
        kept = SHELF.get(name)
        try:
            known = kept.record["spaces"]
            spaces = [Space.from_json(one["space"]) for one in known]
            if not spaces:
                raise ValueError("it has no vector")
            return cls(
                name,
                {space: kept.arrays[f"vector {i}"] for i, space in enumerate(spaces)},
                tuple(Recording(str(path), str(hex), float(s)) for path, hex, s in kept.record["takes"]),
                {space: kept.arrays[f"takes {i}"] for i, space in enumerate(spaces) if f"takes {i}" in kept.arrays},
                {space: dict(one["encoder"]) for space, one in zip(spaces, known, strict=True) if one["encoder"]},
                tuple(Share(str(part), float(weight)) for part, weight in kept.record["mixed"]),
                str(kept.record["created"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnalogonError(f"{SHELF.path(name)}: not a readable voice ({error}); add it again") from None

    @classmethod
    def listing(cls, damaged: Damaged = lambda line: None) -> list[Voice]:
        """Every voice that is kept, by name; ``damaged`` hears of files that cannot be read."""
        return list(SHELF.each(cls.load, damaged))

    @staticmethod
    def remove(name: str) -> None:
        """Forget the voice of a name. Raises ``UsageError`` where there is none."""
        SHELF.remove(name)


@dataclass(frozen=True, slots=True)
class NewVoice:
    """A voice, and a line for each of what to say about how it was made."""

    voice: Voice
    notes: tuple[str, ...]


def short_model(space: Space) -> str:
    """A space's model without the folders that it lies in."""
    family, colon, model = space.model.partition(":")
    return family + colon + Path(model).name if colon else space.model
