"""The whole contents of a collection in one space, for what speaks of files and not of their windows: labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.search.library import Library
from analogon.settings.arguments import EncoderName, several, superseded_keywords
from analogon.vectors.geometry import unit
from embed.errors import UsageError
from embed.media import MODALITIES, Modality
from indexes.collection import KnownSpace
from indexes.records import Item
from indexes.writer import writing

__all__ = ["Contents", "choose_space", "read", "write_labels"]

BLOCK: Final = 4096
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The contents of one (space, modality): ``items`` has the first part of each.

    ``rows`` are the unit vectors of all parts ``(parts, dim)``, those of a content together; content i's begin at
    ``starts[i]``. They are read from ``vectors``, usually memory-mapped, at ``places`` ``(parts,)``, block by block.
    """

    known: KnownSpace
    modality: Modality
    items: tuple[Item, ...]
    vectors: Rows
    places: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    @property
    def rows(self) -> Rows:
        """The vectors of all parts, read anew: a copy."""
        return np.array(self.vectors[self.places])

    def __len__(self) -> int:
        return len(self.items)

    def means(self) -> Rows:
        """A unit vector for each content, float32 ``(contents, dim)``: the mean of its parts, as ``encode`` gives."""
        if len(self) <= BLOCK:
            return unit(np.add.reduceat(self.rows, self.starts, axis=0, dtype=np.float64))
        return np.concatenate([block.means() for block in self.blocks(BLOCK)])

    def mean_scores(self, queries: Rows) -> Rows:
        """The cosine of each content's mean with each of ``queries`` ``(n, dim)``, ``(contents, n)``."""
        return self.means() @ queries.T

    def best_scores(self, queries: Rows) -> Rows:
        """The cosine of each content's best part with each of ``queries`` ``(n, dim)``, ``(contents, n)``."""
        found: Rows = np.maximum.reduceat(self.rows @ queries.T, self.starts, axis=0)
        return found

    def blocks(self, size: int = BLOCK) -> Iterator[Contents]:
        """The contents in order, so many at once."""
        for start in range(0, len(self), size):
            first = self.starts[start]
            last = self.starts[start + size] if start + size < len(self) else len(self.places)
            some, places = slice(start, start + size), self.places[first:last]
            yield Contents(self.known, self.modality, self.items[some], self.vectors, places, self.starts[some] - first)


@superseded_keywords(encoders="spaces")
def choose_space(
    library: Library,
    to: str | None = None,
    spaces: EncoderName | Sequence[EncoderName] = (),
    *,
    asked_with_text: bool = False,
) -> tuple[KnownSpace, Modality]:
    """The space and the modality that are meant: the first of ``spaces``, or of all, of which there are vectors.

    Raises ``UsageError`` where there are several modalities and ``to`` names none, or nothing fits.
    """
    if to is not None and to not in MODALITIES:
        raise UsageError(f"there is no modality {to!r}; there are: {', '.join(MODALITIES)}")
    collection = library.collection
    chosen = [collection.adopt(name) for name in several(spaces)] or collection.spaces
    if not chosen:
        raise UsageError(
            f"{collection.name} is empty: "
            f"`analogon.open({collection.name!r}, create=True).index(FOLDER, encoders=NAME)`"
        )
    held = [(known, [m for m in collection.modalities(known.space) if to in (None, m)]) for known in chosen]
    held = [(known, have) for known, have in held if have]
    if not held:
        raise UsageError(f"{collection.name} holds no {to or 'vectors'} in {', '.join(k.space.model for k in chosen)}")
    fit = [one for one in held if not asked_with_text or "text" in collection.encoder(one[0]).modalities]
    if not fit:
        models = ", ".join(known.space.model for known, _ in held)
        raise UsageError(f"labels are texts, and {models} takes none: index with an encoder that does, such as clap")
    kinds = sorted({modality for _, have in fit for modality in have})
    if len(kinds) > 1:
        raise UsageError(f"{collection.name} holds {' and '.join(kinds)}: say with `to` which of them is meant")
    return fit[0][0], kinds[0]


def read(library: Library, known: KnownSpace, modality: Modality) -> Contents:
    """All contents of one (space, modality), at one moment, in order of content."""
    collection = library.collection
    with collection.snapshot():
        live = collection.live_rows(known.space, modality).tolist()
        ids = collection.catalog.items_of_rows(known.space.id, modality, live)
        items = collection.catalog.items(sorted(ids.values()))
        vectors = collection.vectors(known.space, modality)
        parts = sorted((items[ids[row]].content, ids[row], row) for row in live if ids[row] in items)
        contents = np.array([content for content, _, _ in parts], np.int64)
        starts = np.flatnonzero(np.diff(contents, prepend=-1))
        places = np.array([row for _, _, row in parts], np.int64)
    return Contents(known, modality, tuple(items[parts[start][1]] for start in starts), vectors, places, starts)


def write_labels(library: Library, labels: Mapping[int, Mapping[str, Any]]) -> None:
    """Write labels, all or none: item id -> field -> value. What is no longer there is passed over.

    Labels belong to contents, but are given by item: an item's id is never used again, a content's may be.
    """
    with writing(library.collection) as writer:
        items = library.collection.catalog.items(sorted(labels))
        writer.put_labels({item.content: labels[identity] for identity, item in items.items()})
