"""Rows of other people's files, taken into a collection."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import decode
from embed.errors import MediaError
from embed.media import Media, Modality, check_readable, content_hash
from embed.space import Space, unit
from indexes.additions import Additions, NewSource
from indexes.collection import Collection, KnownSpace
from indexes.exchange.blocks import blocks, rows_at_once
from indexes.exchange.values import Fields
from indexes.reading import NO_SPAN
from indexes.records import Failure, Source
from indexes.writer import Writer, writing

__all__ = ["Imported", "Intake", "Place", "Row", "take_in"]

UNIT: Final = 1e-6  # a row whose length differs less from 1 is kept bit for bit
SAME: Final = 0.999  # cosine from which two vectors of one item are the same but for rounding


@dataclass(slots=True)
class Imported:
    """What an import did: of ``found`` vectors so many were new, known already, or left out with a reason."""

    found: int = 0
    vectors: int = 0
    known: int = 0
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """A source to be: size and modification time tell whether the file is still the one that was hashed."""

    path: str
    row: int | None
    metadata: Fields
    size: int = 0
    mtime: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One vector to import, the part that it encodes, where that was found, and what is known of its content.

    The vector may be of any float type and any length but zero.
    """

    part: Media
    places: tuple[Place, ...]
    digest: str | None
    facts: Fields | None
    vector: npt.NDArray[np.floating[Any]]
    labels: Fields = field(default_factory=dict)


def take_in(collection_path: Path, known: KnownSpace, rows: Iterator[Row | Failure]) -> Imported:
    """Write rows to a collection, made where it is not there; what cannot be used is told in the report."""
    path = collection_path.expanduser()
    opened = Collection.open(path) if (path / "manifest.json").is_file() else Collection.create(path)
    with opened as collection, writing(collection) as writer, collection.catalog.roomy():
        # Of a space that is here the table stays: the folders in an export's may be another machine's.
        if known.space not in [one.space for one in collection.spaces]:
            writer.add_space(known.space, known.encoder)
        intake = Intake(collection, writer, known.space)
        for block in blocks(rows, rows_at_once(known.space.dim)):
            intake.add(block)
        writer.build_columns()
    return intake.report


@dataclass(frozen=True, slots=True)
class _File:
    digest: str
    size: int
    mtime: int
    facts: Fields


Part = tuple[Modality, float, float]  # the start and the end as the catalog has them
_At = tuple[str, int | None]
_Vector = npt.NDArray[np.float32] | MediaError  # a unit row, or why there is none


@dataclass(slots=True)
class _Block:
    """What the collection knows of a block of rows, as of the last row that was taken, and what it is to have new."""

    new: Additions
    contents: dict[str, int]  # by hash
    sources: dict[_At, Source | NewSource]
    parts: dict[int, dict[Part, tuple[int, int | None]]]  # of a content: the item, and the row of its vector
    hashes: dict[int, str]  # of the contents of sources
    other: dict[int, NewSource] = field(default_factory=dict)  # sources that were there and hold something else now
    labels: list[tuple[int, Fields]] = field(default_factory=list)
    touched: dict[tuple[int, Modality], str] = field(default_factory=dict)
    named: dict[tuple[_At, Modality], str] = field(default_factory=dict)  # hashes of paths alone


class Intake:
    """Takes rows of one space into a collection whose lock is held, batch by batch; ``report`` says what came of it."""

    def __init__(self, collection: Collection, writer: Writer, space: Space) -> None:
        self.collection = collection
        self.catalog = collection.catalog
        self.writer = writer
        self.space = space
        self.report = Imported()
        self.broken: dict[str, str] = {}  # hashes of contents with a row that failed, and why
        self._file = functools.cache(_file)  # of those that a block names

    def add(self, rows: Sequence[Row | Failure]) -> None:
        """Write a block: sources, contents, items and vectors at once."""
        self._file.cache_clear()
        digests = [self._digest(row) if isinstance(row, Row) else None for row in rows]
        with self.catalog.transaction():
            block = self._known_of(rows, digests)
            for row, digest, vector in zip(rows, digests, _usable(rows), strict=True):
                self.report.found += 1
                if isinstance(row, Failure):
                    self.report.failures.append(row)
                    continue
                assert vector is not None
                try:
                    self._take(row, digest, vector, block)
                except MediaError as error:
                    self.report.failures.append(Failure(row.places[0].path, error.reason, row.places[0].row))
            for (content, modality), digest in block.touched.items():
                parts = self._parts_with_vectors(block, content, modality)
                block.new.done[content, modality] = (parts, self.broken.get(digest))
            count = self.writer.add(self.space, block.new)
            for one in block.other.values():
                held = one.content, one.modalities, one.size, one.mtime, one.metadata
                self.catalog.put_source(one.path, one.row, *held)
            for content, labels in block.labels:
                self.catalog.put_labels(content, labels)
        self.report.vectors += count

    def _known_of(self, every: Sequence[Row | Failure], digests: Sequence[str | None]) -> _Block:
        """What the collection knows of the places and contents of a block, asked at once."""
        rows = [row for row in every if isinstance(row, Row)]
        sources = self.catalog.sources_at({(place.path, place.row): None for row in rows for place in row.places})
        hashes = self.catalog.hashes(list({source.content for source in sources.values()}))
        block = _Block(self.catalog.additions(), {}, dict(sources), {}, hashes)
        named = {
            self._digest_by_name(row, block)
            for row, digest in zip(every, digests, strict=True)
            if digest is None and isinstance(row, Row)
        }
        block.contents = self.catalog.contents_of_hashes(named.union(filter(None, digests)))
        block.parts = self.catalog.parts_of(block.contents.values(), self.space.id)
        return block

    def _take(self, row: Row, digest: str | None, vector: _Vector, block: _Block) -> None:
        part, digest = row.part, digest or self._digest_by_name(row, block)
        key = (part.modality, part.span.start, part.span.end) if part.span else (part.modality, NO_SPAN, NO_SPAN)
        if isinstance(vector, MediaError):
            content = block.contents.get(digest)
            if content is None or not self._holds(block, content, key):
                self.broken[digest] = vector.reason
            if content is not None and digest in self.broken:
                block.touched[content, part.modality] = digest
            raise vector
        content = self._content(row, digest, block)
        parts = block.parts.setdefault(content, {})
        if key in parts:
            item, at = parts[key]
            if self._known(item, at, part.modality, vector, block):
                self.report.known += 1
                return
        else:
            item = block.new.add_item(content, *key, part.text if part.span else None)
            parts[key] = (item, None)
        block.new.vectors.setdefault(part.modality, {})[item] = vector
        block.touched[content, part.modality] = digest

    def _parts_with_vectors(self, block: _Block, content: int, modality: Modality) -> int:
        fresh = block.new.vectors.get(modality, {})
        parts = block.parts.get(content, {}).items()
        return sum(kind == modality and (at is not None or item in fresh) for (kind, _, _), (item, at) in parts)

    def _holds(self, block: _Block, content: int, key: Part) -> bool:
        """Whether the collection has a vector of this very part."""
        item, at = block.parts.get(content, {}).get(key, (0, None))
        return at is not None or item in block.new.vectors.get(key[0], {})

    def _known(
        self, item: int, at: int | None, modality: Modality, vector: npt.NDArray[np.float32], block: _Block
    ) -> bool:
        other = block.new.vectors.get(modality, {}).get(item)
        if other is None and at is None:
            return False
        if other is None:
            other = self.collection.vectors(self.space, modality)[at]
        cosine = float(other @ vector)
        if cosine < SAME:
            raise MediaError("", f"is there already with another vector (their cosine is {cosine:.3f}), which stays")
        return True

    def _content(self, row: Row, digest: str, block: _Block) -> int:
        """The content of a row, with its sources. Raises ``MediaError`` where a source holds something else by now."""
        part = row.part
        content = block.contents.get(digest)
        known = [block.sources.get((place.path, place.row)) for place in row.places]
        for place, source in zip(row.places, known, strict=True):
            if source is not None and source.content != content:
                raise MediaError("", f"{place.path} is in the collection with other content, which stays")
        if content is None:
            facts = row.facts
            if facts is None:
                file = self._file(row.places[0].path, part.modality)
                facts = file.facts if file else {}
            text = part.text if part.modality == "text" and part.span is None else None
            content = block.contents[digest] = block.new.add_content(digest, facts, text)
            block.hashes[content] = digest
        for place, source in zip(row.places, known, strict=True):
            size, mtime, metadata = place.size, place.mtime, place.metadata
            modalities: tuple[Modality, ...] = (part.modality,)
            if source is not None:
                size, mtime, metadata = source.size, source.mtime, {**source.metadata, **metadata}
                modalities = tuple(dict.fromkeys((*source.modalities, *modalities)))
                if (modalities, metadata) == (source.modalities, source.metadata):
                    continue
            elif row.digest is None and (file := self._file(place.path, part.modality)):
                size, mtime = file.size, file.mtime
            self._put_source(block, place, content, modalities, size, mtime, metadata)
        if row.labels:
            block.labels.append((content, row.labels))
        return content

    def _put_source(self, block: _Block, place: Place, content: int, *held: Any) -> None:
        key = (place.path, place.row)
        source = block.sources.get(key)
        if source is None:
            block.sources[key] = block.new.add_source(*key, content, *held)
        elif isinstance(source, NewSource):  # its row was not written yet
            source.modalities, source.size, source.mtime, source.metadata = held
        else:
            block.sources[key] = block.other[source.id] = NewSource(source.id, *key, content, *held)

    def _digest(self, row: Row) -> str | None:
        """The hash of a content: the one given, of a row's text, or of a file's bytes; None where neither is there."""
        if row.digest:
            return row.digest
        part, place = row.part, row.places[0]
        if part.text is not None and place.row is not None:
            return content_hash(Media.from_text(part.text))
        file = self._file(place.path, part.modality)
        return file.digest if file else None

    def _digest_by_name(self, row: Row, block: _Block) -> str:
        """The hash of a content of which there is no more than its path."""
        place, modality = row.places[0], row.part.modality
        at = (place.path, place.row)
        if source := block.sources.get(at):
            return block.hashes[source.content]
        if (at, modality) not in block.named:
            data = f"{place.path}\0{place.row}\0{modality}".encode()
            block.named[at, modality] = content_hash(Media(modality, data=data))
        return block.named[at, modality]


def _file(path: str, modality: Modality) -> _File | None:
    """What a file holds now; None where it cannot be read."""
    if not os.path.lexists(path):  # so that those of another machine cost no more than that
        return None
    try:
        status = check_readable(path)
        digest = content_hash(Media(modality, path=path))
    except MediaError:
        return None
    try:
        facts: Fields = dict(decode.facts(Media(modality, path=path)))
    except MediaError:
        facts = {}  # its vector is there all the same
    return _File(digest, status.st_size, status.st_mtime_ns, facts)


def _usable(rows: Sequence[Row | Failure]) -> list[_Vector | None]:
    """The vectors as unit rows; one that is such already keeps every bit. In place of one that is none, why."""
    found: list[_Vector | None] = []
    for some in blocks(rows):
        given = [row.vector for row in some if isinstance(row, Row)]
        if not given:
            found += [None] * len(some)
            continue
        matrix = np.stack(given).astype(np.float32)
        wide = matrix.astype(np.float64)
        lengths = iter(np.sqrt(np.einsum("ij,ij->i", wide, wide)).tolist())  # no float32 is so large that it overflows
        vectors = iter(matrix)
        for row in some:
            found.append(_unit(row.vector, next(vectors), next(lengths)) if isinstance(row, Row) else None)
    return found


def _unit(given: npt.NDArray[np.floating[Any]], row: npt.NDArray[np.float32], length: float) -> _Vector:
    if not math.isfinite(length):
        return MediaError("", "its vector is not finite")
    if length == 0.0:
        return MediaError("", "its vector is all zeros: it has no direction")
    return row if abs(length - 1.0) < UNIT else unit(given)
