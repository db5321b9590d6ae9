"""A collection as things that can be looked up, and its spaces as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.search.tables import table_of
from analogon.settings.arguments import EncoderName
from embed.errors import UsageError
from embed.media import Modality, Span
from embed.space import Space, Vectors
from indexes.collection import Collection, KnownSpace
from indexes.records import ADDED, Item, Source, added

__all__ = ["Record", "Side", "SpaceView", "record_of", "records"]

BLOCK: Final = 1024
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What lies under an id or a path: a file, a row of a table, or a thing that was added from memory.

    ``id`` is what it was added under, or its path; ``row`` the 0-based row of a table. ``metadata`` has its labels and
    columns, ``facts`` what the medium knows of itself. ``items`` are the ids of its parts, which hits have too.
    """

    id: str
    path: str
    row: int | None
    modalities: tuple[Modality, ...]
    text: str | None
    metadata: Mapping[str, Any]
    facts: Mapping[str, Any]
    items: tuple[int, ...]
    _collection: Collection = field(repr=False)

    def vectors(self, space: EncoderName | Space | None = None) -> Vectors:
        """The vectors of its parts in a space: the one of that name, the only one where none is named.

        Raises ``UsageError`` where there are several spaces, or none of it has a vector there.
        """
        known = known_space(self._collection, space)
        with self._collection.snapshot():  # a compaction gives items other rows
            rows = [
                self._collection.vector(known.space, item)
                for item in self.items
                if self._collection.catalog.row_of_item(known.space.id, item) is not None
            ]
        if not rows:
            raise UsageError(f"{self.id} has no vector in {known.space.model}")
        return Vectors(known.space, np.stack(rows))


def known_space(collection: Collection, named: EncoderName | Space | None) -> KnownSpace:
    """The space of a name, as ``Collection.adopt`` takes it; the only one where none is named."""
    if isinstance(named, Space):
        return collection.space(named)
    if named is not None:
        return collection.adopt(named)
    spaces = collection.spaces
    if len(spaces) != 1:
        have = ", ".join(one.space.model for one in spaces) or "none yet"
        raise UsageError(f"{collection.name} has {len(spaces) or 'no'} spaces; name the one that is meant, of: {have}")
    return spaces[0]


def record_of(collection: Collection, source: Source) -> Record:
    """What a source holds."""
    return next(_records(collection, [source]))


def records(collection: Collection) -> Iterator[Record]:
    """All that a collection holds, in the order in which it came; memory stays bounded."""
    last = 0
    while True:
        with collection.snapshot():  # ids and what they stand for: another thread may take some away in between
            sources = collection.catalog.sources_after(last, BLOCK)
            block = list(_records(collection, sources))
        if not sources:
            return
        yield from block
        last = sources[-1].id


def _records(collection: Collection, sources: list[Source]) -> Iterator[Record]:
    catalog = collection.catalog
    with collection.snapshot():
        parts = catalog.items_of_contents([source.content for source in sources])
        items = catalog.items([i for ids in parts.values() for i in ids])
        made = []
        for source in sources:
            mine = [items[i] for i in parts.get(source.content, ()) if i in items]
            facts, labels = (mine[0].facts, mine[0].labels) if mine else ({}, {})
            texts = [item.text for item in mine if item.text is not None and item.span is None]
            made.append(
                Record(
                    source.path.removeprefix(ADDED) if added(source.path) else source.path,
                    source.path,
                    source.row,
                    source.modalities,
                    texts[0] if texts else None,
                    {**labels, **source.metadata},
                    facts,
                    tuple(item.id for item in mine),
                    collection,
                )
            )
    yield from made


class SpaceView:
    """One space of a collection: ``view["audio"]`` is what it holds of a modality."""

    def __init__(self, collection: Collection, known: KnownSpace) -> None:
        self._collection, self._known = collection, known

    @property
    def space(self) -> Space:
        """The space."""
        return self._known.space

    @property
    def modalities(self) -> list[Modality]:
        """Those of which it holds vectors."""
        return self._collection.modalities(self.space)

    def __getitem__(self, modality: str) -> Side:
        for known in self.modalities:
            if known == modality:
                return Side(self._collection, self._known, known)
        have = ", ".join(self.modalities) or "nothing"
        raise UsageError(f"{self._collection.name} holds no {modality} in {self.space.model}; it holds {have}")

    def __iter__(self) -> Iterator[Modality]:
        return iter(self.modalities)

    def __len__(self) -> int:
        return len(self.modalities)

    def __repr__(self) -> str:
        held = ", ".join(f"{m}: {self._collection.count(self.space, m)} x {self.space.dim}" for m in self.modalities)
        return f"<space {self.space.model} of {self._collection.name}: {held or 'empty'}>"


class Side:
    """The vectors of one modality in a space, at the moment when it was asked for.

    ``array`` is unit rows, float32 ``(n, dim)``, read-only; a part of the file, memory-mapped, where no row in it is
    dead, else a copy without those. ``ids`` int64 ``(n,)`` are the items', in the order of the rows.
    """

    def __init__(self, collection: Collection, known: KnownSpace, modality: Modality) -> None:
        self._collection, self._known, self.modality = collection, known, modality
        with collection.snapshot():
            vectors, live = collection.vectors(known.space, modality), collection.live_rows(known.space, modality)
            self.ids = collection.catalog.item_ids(known.space.id, modality)
            self.array: Rows = vectors if len(live) == len(vectors) else np.asarray(vectors)[live]
        self.ids.flags.writeable = False

    def __len__(self) -> int:
        return len(self.array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        found = self.array if dtype is None else self.array.astype(dtype, copy=False)
        return np.array(found) if copy else np.asarray(found)

    @property
    def space(self) -> Space:
        """The space."""
        return self._known.space

    @property
    def vectors(self) -> Vectors:
        """The rows with their space, which checks what they are compared with."""
        return Vectors(self.space, self.array)

    def __repr__(self) -> str:
        return f"<{len(self)} {self.modality} vectors of {self.space.model}, {self.space.dim} components>"

    def table(self, kind: str = "pandas", rows: npt.NDArray[np.int64] | None = None) -> Any:
        """What each row is of, as a ``pandas`` or ``polars`` data frame or an ``arrow`` table: a row for each vector.

        Columns: ``id`` (the item's), ``path``, ``row`` (of a table), ``start`` and ``end`` (seconds, lines of a text),
        ``text``, and the facts, labels and metadata under their own names. ``rows`` chooses some, int ``(m,)``.
        """
        chosen = self.ids if rows is None else self.ids[rows]
        with self._collection.snapshot():
            items = self._collection.catalog.items(chosen.tolist())
        return table_of([_flat(int(i), items.get(int(i))) for i in chosen], kind)

    def sample(self, n: int, seed: int = 0) -> npt.NDArray[np.int64]:
        """``n`` different rows by lot, int64 ``(n,)`` in order; all where there are no more. The seed decides which."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise UsageError(f"a sample is of a whole number of rows, not {n!r}")
        random = np.random.default_rng(seed)
        return np.sort(random.choice(len(self), min(n, len(self)), replace=False)).astype(np.int64)


def _flat(identity: int, item: Item | None) -> dict[str, Any]:
    if item is None:
        return {"id": identity, "path": None}
    source, span = item.sources[0], item.span or Span(np.nan, np.nan)
    own = {
        "id": identity,
        "path": source.path,
        "row": source.row,
        "start": span.start if item.span else None,
        "end": span.end if item.span else None,
        "text": item.text,
    }
    return own | {name: value for name, value in {**item.facts, **item.metadata}.items() if name not in own}
