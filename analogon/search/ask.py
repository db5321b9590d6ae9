"""What is asked, as vectors: each leaf of a query is encoded, found or carried over a bridge once for each space."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon import query as q
from analogon.query import File, Item, Leaf, Query, Text, Vector
from analogon.transforms import bridge as bridges
from analogon.transforms.bridge import Bridge
from analogon.transforms.relation import Relation
from embed.encoder import Encoder
from embed.errors import AnalogonError, MediaError, SpaceMismatch, UsageError
from embed.media import Media, Modality, as_numpy, content_hash
from embed.pipeline import encode
from embed.space import Space, Vectors
from indexes import records
from indexes.collection import Collection, KnownSpace, at_one_moment

__all__ = ["QueryLike", "ResolvedQuery", "as_query", "media_of"]

Row = npt.NDArray[np.float32]
MEAN_OF: Final = 30  # rows below which their mean says more of them than of their modality
QueryLike = str | os.PathLike[str] | Media | Query | Mapping[str, Any] | Sequence[Any] | npt.NDArray[Any] | Vectors
"""What can be asked with: an expression, a path, a medium, a query, one as JSON has it, or a vector of a space."""


def as_query(asked: QueryLike) -> Query:
    """What was typed or given as a query. Raises ``QueryError``, and ``UsageError`` for JSON that says no query."""
    if isinstance(asked, str):
        return q.read_json(asked) or q.parse(asked)
    if isinstance(asked, os.PathLike):
        return File(os.fspath(asked))
    if isinstance(asked, Media):
        if asked.text is not None and asked.path is None:
            return Text(asked.text)
        return File(asked.path or f"./{asked.name}")
    if isinstance(asked, np.ndarray | Vectors) or _is_vector(asked):
        return q.vector(asked if isinstance(asked, np.ndarray | Vectors) else np.asarray(as_numpy(asked)))
    if isinstance(asked, Mapping | Sequence):
        return q.from_json(asked)
    if isinstance(asked, q.Query):
        return asked
    raise UsageError(f"a query is a text, a path, a medium, an expression or JSON of one, not {type(asked).__name__}")


def _is_vector(asked: Any) -> bool:
    """Whether something is numbers in a row: a list of them, a tensor, a column of a table."""
    if isinstance(asked, list | tuple):
        return bool(asked) and all(isinstance(one, Real) and not isinstance(one, bool) for one in asked)
    return hasattr(asked, "__array__") and not isinstance(asked, type | np.generic | Mapping)


def media_of(leaf: Text | File) -> Media:
    """A text as it stands, or a file; of a file of text its content. Raises ``MediaError``."""
    if isinstance(leaf, Text):
        return Media.from_text(leaf.text)
    path = str(Path(os.path.expanduser(leaf.path)))
    media = Media.from_path(path)
    if media.modality == "text":
        return Media.from_text(Path(path).read_text("utf-8", "replace"))
    return media


@dataclass(eq=False)
class ResolvedQuery:
    """A query whose files were read and whose items were looked up in a collection, or a vector of a space."""

    collection: Collection
    query: Query
    media: Mapping[Leaf, Media]
    items: Mapping[Leaf, records.Item]
    bridge: Bridge | None = None
    """The bridge to take, where one is named."""
    notes: list[str] = field(default_factory=list)
    """Lines about bridges that could not be read, what was noted of the query's files, words that an encoder does not
    know, and how to ask for what a text may mean."""
    bridges_taken: dict[str, Bridge] = field(default_factory=dict)
    """The bridges that were taken, by the id of the space that they lead to."""
    _found: dict[tuple[str, Leaf], Row] = field(default_factory=dict)

    @classmethod
    def of(cls, collection: Collection, asked: QueryLike, bridge: str | None = None) -> ResolvedQuery:
        """Read a query's files and look its items up. Raises ``UsageError`` and ``MediaError``."""
        query = as_query(asked)
        named = None if bridge is None else bridges.load(bridge)  # a wrong name is told even where none is needed
        media: dict[Leaf, Media] = {}
        items: dict[Leaf, records.Item] = {}
        for leaf in q.leaves(query):
            if isinstance(asked, Media) and asked.text is None:
                media[leaf] = asked
            elif isinstance(leaf, Item):
                found = collection.catalog.items([leaf.id])
                if leaf.id not in found:
                    raise UsageError(f"{collection.name} has no item {leaf.id}; -f json gives the ids of hits")
                items[leaf] = found[leaf.id]
                media[leaf] = found[leaf.id].media
            else:
                media[leaf] = media_of(leaf)
        meant = q.hint(asked, query) if isinstance(asked, str) else None
        notes = [meant] if meant else []
        if isinstance(asked, str):
            notes += [q.taken_as_words(leaf) for leaf in q.leaves(query) if q.looks_like_file(leaf, asked)]
        return cls(collection, query, media, items, named, notes)

    @property
    def name(self) -> str:
        """The query as it prints itself; of a medium or a text alone its name."""
        if isinstance(self.query, Vector):
            return f"a vector of {len(self.query.array)} numbers"
        return next(iter(self.media.values())).name if self.plain and self.media else str(self.query)

    @cached_property
    def given(self) -> tuple[Vector, ...]:
        """The vectors that were given as such."""
        return q.vectors(self.query)

    @property
    def plain(self) -> bool:
        """Whether one text, file or item is asked for, without arithmetic."""
        return q.is_plain(self.query)

    @cached_property
    def own_contents(self) -> frozenset[int]:
        """The contents that the query is made of: it should not answer with them."""
        found = {item.content for item in self.items.values()}
        for leaf, media in self.media.items():
            if leaf not in self.items and media.modality != "text":
                found.add(self.collection.catalog.content_of_hash(content_hash(media)) or 0)
        return frozenset(found - {0})

    def spaces_among(self, spaces: Sequence[KnownSpace]) -> list[KnownSpace]:
        """The spaces that the given vectors may be of; all where none is given.

        Raises ``SpaceMismatch``, and ``UsageError`` where none fits, or several do and a vector does not say which.
        """
        fitting = list(spaces)
        for one in self.given:
            if one.space is not None:
                self.collection.space(one.space)
            fitting = [k for k in fitting if k.space.dim == len(one.array) and one.space in (None, k.space)]
        if not self.given or len(fitting) == 1:
            return fitting
        have = ", ".join(f"{known.space.model} ({known.space.dim})" for known in spaces)
        dims = " and ".join(dict.fromkeys(str(len(one.array)) for one in self.given))
        if fitting:
            raise UsageError(f"a vector of {dims} numbers may be of several spaces: choose one with spaces=, of {have}")
        raise UsageError(f"a vector of {dims} numbers is of none of the spaces that are searched: {have}")

    @at_one_moment
    def missing_leaves(self, known: KnownSpace) -> list[Leaf]:
        """The leaves that a space has no vector of and that its encoder does not take."""
        return [leaf for leaf in self.media if not self._held(known.space, leaf) and not self._takes(known, leaf)]

    @at_one_moment
    def reachable(self, known: KnownSpace) -> bool:
        """Whether a bridge carries what a space lacks."""
        lacking = {self.media[leaf].modality for leaf in self.missing_leaves(known)}
        if lacking and known.space.id not in self.bridges_taken:
            fitted = [self.bridge] if self.bridge else bridges.leading_to(known.space, self.notes.append)
            for one in fitted:
                if one.target == known.space and lacking <= self._source(one).modalities:
                    self.bridges_taken[known.space.id] = one
                    break
        return not lacking or known.space.id in self.bridges_taken

    @at_one_moment
    def vector(self, known: KnownSpace, to: Modality, query: Query | None = None) -> Row:
        """The query, or a part of it, as a unit vector of a space that asks for ``to``, float32 ``(dim,)``.

        Raises ``UsageError`` where it leaves no direction, and ``SpaceMismatch`` for a relation of another space.
        """
        crossing = self.missing_leaves(known)
        self._encode(known, [leaf for leaf in self.media if leaf not in crossing])
        rows = {leaf: self._found[known.space.id, leaf] for leaf in self.media if leaf not in crossing}
        rows |= {leaf: self._carried(known, leaf, to) for leaf in crossing}

        def relation(name: str) -> Relation:
            return Relation.load(name).within(known.space)

        return q.fold(self.query if query is None else query, rows.__getitem__, relation)

    @staticmethod
    def encode_together(asked: Sequence[ResolvedQuery], known: KnownSpace) -> None:
        """See to the vectors of several queries in a space at once: each text or file is encoded one time.

        What a space does not take, or what cannot be encoded, is left for whoever asks.
        """
        waiting: dict[Leaf, Media] = {}
        for one in asked:
            if not one.given or all(len(v.array) == known.space.dim for v in one.given):
                waiting |= {
                    leaf: media
                    for leaf, media in one.media.items()
                    if not one._held(known.space, leaf) and one._takes(known, leaf)
                }
        if len(waiting) < 2:
            return
        noted: list[str] = []
        try:
            rows = encode(
                asked[0].collection.encoder(known), list(waiting.values()), query=True, noted=noted.append
            ).array
        except MediaError:
            return
        if noted:
            return  # whose words these are is known where each is encoded alone
        found = dict(zip(waiting, rows, strict=True))
        for one in asked:
            one._found.update({(known.space.id, leaf): found[leaf] for leaf in one.media if leaf in found})

    def _encode(self, known: KnownSpace, leaves: Sequence[Leaf]) -> None:
        """See to the vectors of leaves in a space that takes or holds them, each encoded once."""
        space = known.space
        waiting = [leaf for leaf in leaves if (space.id, leaf) not in self._found]
        for leaf in [leaf for leaf in waiting if self._held(space, leaf)]:
            self._found[space.id, leaf] = self.collection.vector(space, self.items[leaf].id)
            waiting.remove(leaf)
        if waiting:
            encoder, media = self.collection.encoder(known), [self.media[leaf] for leaf in waiting]
            rows = encode(encoder, media, query=True, noted=self.notes.append).array
            self._found.update(((space.id, leaf), row) for leaf, row in zip(waiting, rows, strict=True))

    def _carried(self, known: KnownSpace, leaf: Leaf, to: Modality) -> Row:
        """A leaf's vector on the far side of the bridge that was taken into a space."""
        one, media = self.bridges_taken[known.space.id], self.media[leaf]
        if (one.source.id, leaf) not in self._found:
            rows = encode(self._source(one), [media], query=True, noted=self.notes.append).array
            self._found[one.source.id, leaf] = rows[0]
        carried: Row = one.apply(
            self._found[one.source.id, leaf][None],
            media.modality,
            to,
            source_mean=self._mean(one.source, media.modality),
            target_mean=self._mean(known.space, to),
        )[0]
        return carried

    def _mean(self, space: Space, modality: Modality) -> Row | None:
        """The mean of what the collection holds of a modality, where that is enough: it fits better than a bridge's."""
        rows = self.collection.vectors(space, modality)
        return rows.mean(axis=0, dtype=np.float64).astype(np.float32) if len(rows) >= MEAN_OF else None

    def _held(self, space: Space, leaf: Leaf) -> bool:
        return leaf in self.items and self.collection.catalog.row_of_item(space.id, self.items[leaf].id) is not None

    def _takes(self, known: KnownSpace, leaf: Leaf) -> bool:
        return self.media[leaf].modality in self.collection.encoder(known).modalities

    def _source(self, one: Bridge) -> Encoder:
        """The encoder at a bridge's near side. Raises ``SpaceMismatch`` where it is not the one that was fitted."""
        try:
            return self.collection.encoder(KnownSpace(one.source, dict(one.encoders[0])))
        except SpaceMismatch:
            raise SpaceMismatch(
                f"the bridge {one.name} was fitted from {one.source}; there is another model now under that name: "
                "fit the bridge again"
            ) from None
        except AnalogonError as error:
            raise UsageError(f"the bridge {one.name} cannot be used: {error}") from None
