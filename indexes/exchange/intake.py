"""Rows of other people's files, taken into a collection."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import decode
from embed.errors import MediaError
from embed.media import Media, Modality, check_readable, content_hash
from embed.space import Space, unit
from indexes.collection import Collection, KnownSpace
from indexes.exchange.blocks import blocks
from indexes.exchange.values import Fields
from indexes.records import Failure
from indexes.writer import Done, Entry, Writer, writing

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
    with opened as collection, writing(collection) as writer:
        # Of a space that is here the table stays: the folders in an export's may be another machine's.
        if known.space not in [one.space for one in collection.spaces]:
            writer.add_space(known.space, known.encoder)
        intake = Intake(collection, writer, known.space)
        for block in blocks(rows):
            intake.add(block)
    return intake.report


@dataclass(frozen=True, slots=True)
class _File:
    digest: str
    size: int
    mtime: int
    facts: Fields


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a batch has to commit: entries by item, and the hashes of the contents that it touched."""

    fresh: dict[int, Entry] = field(default_factory=dict)
    touched: dict[tuple[int, Modality], str] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)  # contents that were not there before


class Intake:
    """Takes rows of one space into a collection whose lock is held, batch by batch; ``report`` says what came of it."""

    def __init__(self, collection: Collection, writer: Writer, space: Space) -> None:
        self.collection = collection
        self.catalog = collection.catalog
        self.writer = writer
        self.space = space
        self.report = Imported()
        self.broken: dict[str, str] = {}  # hashes of contents with a row that failed, and why
        self._file = functools.lru_cache(maxsize=1024)(_file)

    def add(self, rows: Sequence[Row | Failure]) -> None:
        """Write a batch: sources, contents and items first, then vectors, as an indexing run does."""
        batch = _Batch()
        with self.catalog.transaction():
            for row in rows:
                self.report.found += 1
                if isinstance(row, Failure):
                    self.report.failures.append(row)
                    continue
                try:
                    self._take(row, batch)
                except MediaError as error:
                    self.report.failures.append(Failure(row.places[0].path, error.reason, row.places[0].row))
        parts = Counter((entry.content, entry.part.modality) for entry in batch.fresh.values())
        done = []
        for (content, modality), digest in batch.touched.items():
            before = 0 if content in batch.made else len(self._ids(content, modality))
            count = parts[content, modality] + before
            done.append(Done(content, modality, count, self.broken.get(digest)))
        self.report.vectors += self.writer.commit(self.space, list(batch.fresh.values()), done)

    def _take(self, row: Row, batch: _Batch) -> None:
        part, digest = row.part, row.digest or self._digest(row)
        try:
            vector = _usable(row.vector)
        except MediaError as error:
            content = self.catalog.content_of_hash(digest)
            if content is None or not self._holds(content, part):
                self.broken[digest] = error.reason
            if content is not None and digest in self.broken:
                batch.touched[content, part.modality] = digest
            raise
        before = len(batch.made)
        content = self._content(row, digest, batch.made)
        first = len(batch.made) > before
        item = self.catalog.put_item(content, part, part.text if part.span else None, new=first)
        if not first and self._known(item, vector, batch.fresh):
            self.report.known += 1
        else:
            batch.fresh[item] = Entry(content, part, vector, item)
            batch.touched[content, part.modality] = digest

    def _ids(self, content: int, modality: Modality) -> list[int]:
        """The items of a content that have a vector already."""
        return list(self.catalog.rows_of_content(self.space.id, modality, content).values())

    def _holds(self, content: int, part: Media) -> bool:
        """Whether the collection has a vector of this very part."""
        items = self.catalog.items(self._ids(content, part.modality))
        return any(item.span == part.span for item in items.values())

    def _known(self, item: int, vector: npt.NDArray[np.float32], fresh: Mapping[int, Entry]) -> bool:
        if item in fresh:
            other = fresh[item].vector
        elif self.catalog.has_vector(self.space.id, item):
            other = self.collection.vector(self.space, item)
        else:
            return False
        cosine = float(other @ vector)
        if cosine < SAME:
            raise MediaError("", f"is there already with another vector (their cosine is {cosine:.3f}), which stays")
        return True

    def _content(self, row: Row, digest: str, made: set[int]) -> int:
        """The content of a row, with its sources. Raises ``MediaError`` where a source holds something else by now."""
        part = row.part
        content = self.catalog.content_of_hash(digest)
        known = [self.catalog.source(place.path, place.row) for place in row.places]
        for place, source in zip(row.places, known, strict=True):
            if source is not None and source.content != content:
                raise MediaError("", f"{place.path} is in the collection with other content, which stays")
        if content is None:
            facts = row.facts
            if facts is None:
                file = self._file(row.places[0].path, part.modality)
                facts = file.facts if file else {}
            text = part.text if part.modality == "text" and part.span is None else None
            content = self.catalog.make_content(digest, facts, text)
            made.add(content)
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
            new = source is None and len(row.places) == 1  # one that is named twice is new only once
            self.catalog.put_source(place.path, place.row, content, modalities, size, mtime, metadata, new=new)
        if row.labels:
            self.catalog.put_labels(content, row.labels)
        return content

    def _digest(self, row: Row) -> str:
        """The hash of a content whose file does not give it: of a table row's text, a file's bytes, or a path alone."""
        part, place = row.part, row.places[0]
        if part.text is not None and place.row is not None:
            return content_hash(Media.from_text(part.text))
        if file := self._file(place.path, part.modality):
            return file.digest
        if source := self.catalog.source(place.path, place.row):
            return self.catalog.hashes([source.content])[source.content]
        return content_hash(Media(part.modality, data=f"{place.path}\0{place.row}\0{part.modality}".encode()))


def _file(path: str, modality: Modality) -> _File | None:
    """What a file holds now; None where it cannot be read."""
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


def _usable(vector: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """A vector as a unit row; one that is such already keeps every bit. Raises ``MediaError`` if it has none."""
    row = vector.astype(np.float32)
    wide = row.astype(np.float64)
    length = math.sqrt(wide @ wide)  # no float32 is so large that this were infinite
    if not math.isfinite(length):
        raise MediaError("", "its vector is not finite")
    if length == 0.0:
        raise MediaError("", "its vector is all zeros: it has no direction")
    return row if abs(length - 1.0) < UNIT else unit(vector)
