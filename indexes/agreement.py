"""Whether an encoder still gives the vectors that a collection holds: some of its items, encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from embed.encoder import Encoder
from embed.errors import MediaError, UsageError
from embed.media import Media, Modality, content_hash
from embed.pipeline import Encoded, encode_stream
from embed.space import Space
from indexes.collection import Collection
from indexes.manifest import KnownSpace
from indexes.records import Item

__all__ = ["LEAST", "SAMPLE", "Agreement", "agreement", "held", "mixture"]

SAMPLE: Final = 5  # stored items of each modality that are encoded again
LEAST: Final = 0.999
"""The cosine that vectors of two precisions must have with each other to stand in one collection."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The lowest cosine of ``found`` stored vectors with those that the encoder gives now, and which item has it."""

    found: int = 0
    lowest: float = 1.0
    worst: str = ""

    def worse(self, other: Agreement) -> Agreement:
        """Both as one."""
        low = min(self, other, key=lambda one: one.lowest)
        return Agreement(self.found + other.found, low.lowest, low.worst)


def agreement(collection: Collection, encoder: Encoder, modality: Modality, sample: int = SAMPLE) -> Agreement:
    """Encode again a few items, spread over a collection, whose files are as they were, and compare."""
    told = Agreement()
    for item in _sample(collection, encoder.space, modality, sample):
        if (vector := _again(encoder, item)) is not None:
            cosine = float(vector.astype(np.float64) @ collection.vector(encoder.space, item.id))
            told = told.worse(Agreement(1, cosine, item.media.name))
            if told.found == sample:
                break
    return told


def held(collection: Collection, known: KnownSpace) -> bool:
    """Whether there are vectors in a space."""
    return any(len(collection.live_rows(known.space, side)) for side in collection.modalities(known.space))


def mixture(collection: Collection, encoder: Encoder, known: KnownSpace) -> float | None:
    """The lowest cosine between an encoder's precision and that of the vectors of its space; None where it is theirs.

    A few items of each modality are encoded for it, once for each precision: what was found is in ``known.mixed``.
    Raises ``UsageError`` where it is below ``LEAST``, or cannot be told.
    """
    own, now = known.precision, encoder.precision
    if now == own or now in known.mixed or not held(collection, known):
        return None
    told = Agreement()
    for side in collection.modalities(known.space):
        told = told.worse(agreement(collection, encoder, side))
    out = f"take `precision={own}`, or index into a new collection"
    what = f"{collection.name} holds vectors of {known.space.model} in {own}"
    if not told.found:
        raise UsageError(f"{what}, and none of its files is there to compare them with {now}: {out}")
    if told.lowest < LEAST:
        raise UsageError(
            f"{what}; those in {now} have a cosine of {told.lowest:.5f} with them ({told.worst}), "
            f"less than {LEAST}: {out}"
        )
    return told.lowest


def _sample(collection: Collection, space: Space, modality: Modality, sample: int) -> Iterator[Item]:
    """Items spread over the collection whose files still hold the same content."""
    live = collection.live_rows(space, modality)
    rows = live[:: max(1, len(live) // (10 * sample))].tolist()
    ids = collection.catalog.items_of_rows(space.id, modality, rows)
    items = collection.catalog.items(list(ids.values()))
    hashes = collection.catalog.hashes([item.content for item in items.values()])
    for item in items.values():
        try:
            if (
                item.media.row is not None
                or content_hash(Media(modality, path=item.media.path)) == hashes[item.content]
            ):
                yield item
        except MediaError:
            continue


def _again(encoder: Encoder, item: Item) -> npt.NDArray[np.float32] | None:
    """The vector of the part that an item stands for; None where cutting the file does not give that part."""
    media = item.media if item.media.row is not None else item.media.but(text=None, span=None)
    for result in encode_stream(encoder, [media]):
        if isinstance(result, Encoded) and result.part.span == item.span:
            return result.vector
    return None
