"""What every export needs of a collection: the items of one space."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embed.errors import UsageError
from embed.faults import machine_fault
from embed.media import MODALITIES, Modality
from embed.space import Space
from indexes.collection import Collection, KnownSpace
from indexes.exchange.blocks import blocks
from indexes.records import Item

__all__ = ["Stored", "chosen_space", "stored_blocks", "writing"]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """An item, the hash of its content, and its vector with that vector's row in the vector file."""

    item: Item
    digest: str
    row: int
    vector: npt.NDArray[np.float32]

    @property
    def fields(self) -> dict[str, Any]:
        """The columns that every layout has: what is known of the part, of its content and of its first source."""
        span = self.item.span
        return {
            "start": span.start if span else None,
            "end": span.end if span else None,
            "hash": self.digest,
            "facts": json.dumps(self.item.facts),
            "metadata": json.dumps(self.item.sources[0].metadata, ensure_ascii=False),
            "model_labels": json.dumps(self.item.labels, ensure_ascii=False) if self.item.labels else None,
        }


def chosen_space(collection: Collection, space: Space | None) -> KnownSpace:
    """The space to export. Raises ``UsageError`` where there are several, or none, and none was chosen."""
    if space is not None:
        return collection.space(space)
    known = collection.spaces
    if len(known) == 1:
        return known[0]
    if not known:
        raise UsageError(f"{collection.name} holds no vectors yet: index something first")
    names = " or ".join(f"`encoder={one.space.model}`" for one in known)
    raise UsageError(f"{collection.name} has several spaces, and an export holds one: say {names}")


def stored_blocks(collection: Collection, space: Space, *modalities: Modality) -> Iterator[list[Stored]]:
    """What a space holds, by modality, in the order of the vector files; all that one call gives is of one moment."""
    catalog = collection.catalog
    with collection.snapshot():
        for store in catalog.stores():
            if store.space != space.id or store.modality not in (modalities or MODALITIES):
                continue
            vectors = collection.vectors(space, store.modality)
            for rows in blocks(range(store.rows)):
                ids = catalog.items_of_rows(space.id, store.modality, rows)
                items = catalog.items(list(ids.values()))
                hashes = catalog.hashes([item.content for item in items.values()])
                found = [(row, items[ids[row]]) for row in sorted(ids) if ids[row] in items]
                if found:
                    yield [Stored(item, hashes[item.content], row, np.array(vectors[row])) for row, item in found]


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``UsageError`` that names the target, or a ``MachineError``."""
    try:
        yield
    except OSError as error:
        if (fault := machine_fault(error, str(target))) is not None:
            raise fault from error
        raise UsageError(f"{target}: cannot be written: {error.strerror or error}") from None
