"""What lies in no file of its own, in a collection: texts, arrays, vectors and tables, added and changed by id."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.search.rows import Given, rows_of
from embed import decode
from embed.encoder import Encoder
from embed.errors import AnalogonError, MediaError, SpaceMismatch, UsageError
from embed.inputs import as_media
from embed.listener import Listener
from embed.media import Media, Modality, content_hash
from embed.pipeline import Encoded, encode_stream
from embed.space import Space, Vectors
from indexes.collection import Collection, KnownSpace
from indexes.exchange.intake import Intake, Place, Row
from indexes.records import ADDED, Failure, Source, added
from indexes.writer import Writer

__all__ = ["Added", "Adding", "path_of"]

BLOCK: Final = 256  # things that are encoded, and committed, at a time
NAMED: Final = 5


@dataclass(slots=True)
class Added:
    """What adding did: of ``found`` things ``known`` were there as they are, ``failures`` were left out.

    ``vectors`` counts those that are new. ``notes`` say what was dropped or guessed of a thing.
    """

    found: int = 0
    known: int = 0
    vectors: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Thing:
    """A thing that is read: where it stands, its hash, what is known of it, and its vector where it came with one."""

    path: str
    media: Media
    digest: str
    facts: Mapping[str, Any]
    metadata: dict[str, Any]
    vector: npt.NDArray[np.float32] | None = None

    @property
    def place(self) -> Place:
        size, mtime = 0, 0
        if not added(self.path):
            status = os.stat(self.path)
            size, mtime = status.st_size, status.st_mtime_ns
        return Place(self.path, None, dict(self.metadata), size, mtime)


def path_of(identity: str | os.PathLike[str]) -> str:
    """What stands for an id in the catalog: ``added:/`` and the id; for a file its path.

    >>> path_of("clip-17"), path_of("added:/clip-17")
    ('added:/clip-17', 'added:/clip-17')
    """
    if isinstance(identity, os.PathLike):
        return os.path.abspath(Path(identity).expanduser())
    return identity if identity.startswith(ADDED) else ADDED + identity


class Adding:
    """Takes things into a collection whose lock is held. ``encoders`` come with what a manifest keeps of each.

    ``modality`` is that of vectors, which do not say what they are of, and of files that may be of several.
    """

    def __init__(
        self,
        collection: Collection,
        writer: Writer,
        encoders: Sequence[tuple[Encoder, KnownSpace]],
        *,
        modality: Modality | None = None,
        rate: int | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.collection, self.catalog, self.writer = collection, collection.catalog, writer
        self.encoders, self.modality, self.rate = encoders, modality, rate
        self.listener = listener or Listener()
        self.report = Added()

    def add(
        self, items: Any, ids: Iterable[Any] | None = None, metadata: Any = None, column: str | None = None
    ) -> Added:
        """Add what is not there yet, as ``rows_of`` reads it, block by block; what was committed survives a kill.

        A thing that is there under its id, as it is now, is not encoded again.
        """
        space = items.space if isinstance(items, Vectors) else None
        total = _length(items)
        for beside, what in ((ids, "ids"), (metadata, "rows of metadata")):
            have = _length(beside)
            if total is not None and have is not None and have != total:
                raise UsageError(f"there are {have} {what} for {total} items: each needs one")
        rows = rows_of(items, ids, metadata, column)
        self.listener.phase("adding", total)
        intakes = [(encoder, Intake(self.collection, self.writer, known.space)) for encoder, known in self.encoders]
        while block := list(islice(rows, BLOCK)):
            self.listener.check()
            self.report.found += len(block)
            things = list(self._read(block, space))
            for encoder, intake in intakes:
                intake.add(list(self._rows(encoder, things)))
            self.listener.advance(len(block))
        for _, intake in intakes:
            self.report.vectors += intake.report.vectors
            self.report.failures += intake.report.failures
        for failure in self.report.failures:
            self.listener.skipped(failure.path, failure.reason)
        return self.report

    def update(self, ids: Sequence[Any], items: Any = None, metadata: Any = None, column: str | None = None) -> Added:
        """Put other things, or other metadata, in the place of what is there under some ids.

        Columns that are not named stay; one whose value is None goes. Raises ``UsageError`` for an unknown id.
        """
        removed = [_removed(one) for one in metadata] if isinstance(metadata, list) else [set[str]()] * len(ids)
        paths = [path_of(one if isinstance(one, os.PathLike) else str(one)) for one in ids]
        sources = [self._source(path) for path in paths]
        if items is None:
            given = [Given(None, None, {}) for _ in ids]
            beside = list(rows_of([None] * len(paths), None, metadata)) if metadata is not None else given
            changes = [one.metadata for one in beside]
            with self.catalog.transaction():
                for source, change, gone in zip(sources, changes, removed, strict=True):
                    self._put(source, source.content, {**_less(source.metadata, gone), **change})
            self.report.found = len(paths)
            return self.report
        rows = list(rows_of(items, ids, metadata, column))
        space = items.space if isinstance(items, Vectors) else None
        things = list(self._read(rows, space, paths))
        gone_of = dict(zip(paths, removed, strict=True))
        with self.catalog.transaction():
            for thing in things:
                source = self._source(thing.path)
                digest = thing.digest
                content = self.catalog.content_of_hash(digest)
                if content is None:
                    text = thing.media.text if thing.media.modality == "text" else None
                    content = self.catalog.make_content(digest, thing.facts, text)
                kept = _less(source.metadata, gone_of[thing.path])
                self._put(source, content, {**kept, **thing.metadata}, (thing.media.modality,))
            self.catalog.sweep()
        self.report.found = len(rows)
        for encoder, known in self.encoders:
            intake = Intake(self.collection, self.writer, known.space)
            intake.add(list(self._rows(encoder, things)))
            self.report.vectors += intake.report.vectors
            self.report.failures += intake.report.failures
        return self.report

    def _put(
        self, source: Source, content: int, metadata: dict[str, Any], modalities: Sequence[Modality] | None = None
    ) -> None:
        self.catalog.put_source(
            source.path, source.row, content, modalities or source.modalities, source.size, source.mtime, metadata
        )

    def _source(self, path: str) -> Source:
        source = self.catalog.source(path)
        if source is None:
            raise UsageError(f"{self.collection.name} has nothing under the id {path.removeprefix(ADDED)!r}")
        return source

    def _read(
        self, block: Sequence[Given], space: Space | None, paths: Sequence[str] | None = None
    ) -> Iterator[_Thing]:
        """What each thing is; one that cannot be read is told."""
        for number, given in enumerate(block):
            try:
                yield self._thing(given, space, paths[number] if paths else None)
            except MediaError as error:
                name = given.id or f"item {self.report.found - len(block) + number}"
                self.report.failures.append(Failure(name, error.reason))

    def _thing(self, given: Given, space: Space | None, path: str | None) -> _Thing:
        if given.thing is None:
            raise MediaError("", "there is nothing in it")
        if (vector := self._vector(given.thing, space)) is not None:
            modality: Modality = "text" if given.text is not None and self.modality is None else self._of_vectors()
            identity = path or (path_of(given.id) if given.id is not None else None)
            named = f"{modality}\0{identity or vector.tobytes().hex()}".encode()
            media = Media(modality, text=given.text) if given.text is not None else Media(modality, data=named)
            digest = content_hash(media)
            identity = identity or ADDED + digest[:16]
            return _Thing(identity, media, digest, {}, dict(given.metadata), vector)
        thing, rate = given.thing, self.rate
        if isinstance(thing, tuple) and len(thing) == 2 and isinstance(thing[1], int):
            thing, rate = thing
        try:
            media = as_media(thing, rate=rate, modality=self.modality)
        except UsageError as error:
            raise MediaError("", str(error)) from None
        in_file = media.path is not None and media.text is None
        digest = content_hash(media)
        if path is None and in_file:
            if given.id is not None:
                raise MediaError("", f"{media.path} is a file, which goes by its path; an id is for what lies in none")
            path = os.path.abspath(str(media.path))
        elif path is None:
            path = path_of(given.id) if given.id is not None else ADDED + digest[:16]
        return _Thing(path, media, digest, _facts(media), dict(given.metadata))

    def _vector(self, thing: Any, space: Space | None) -> npt.NDArray[np.float32] | None:
        """A thing as a vector of the one space that is meant, where it is one."""
        if isinstance(thing, Vectors):
            if len(thing) != 1:
                raise MediaError("", f"{len(thing)} vectors are no one item: add them as they are, not in a list")
            space, thing = thing.space, thing.array[0]
        if not isinstance(thing, np.ndarray) or thing.ndim != 1 or self.rate is not None:
            return None
        if len(self.encoders) != 1:
            raise UsageError("a vector is of one space: name it with `encoders`")
        encoder, _ = self.encoders[0]
        if space is not None and space != encoder.space:
            raise SpaceMismatch(f"the vectors are of {space}; they would be added to {encoder.space}")
        if len(thing) != encoder.space.dim:
            wanted = f"a vector of {encoder.space.model} has {encoder.space.dim}, and sound comes with its `rate`"
            raise MediaError("", f"has {len(thing)} components; {wanted}")
        return thing.astype(np.float32)

    def _of_vectors(self) -> Modality:
        modalities = self.encoders[0][0].modalities
        if self.modality is None and len(modalities) > 1:
            have = ", ".join(sorted(modalities))
            raise UsageError(f"a vector does not say what it is of: give its `modality`, of {have}")
        return next(iter(modalities)) if self.modality is None else self.modality

    def _rows(self, encoder: Encoder, things: Sequence[_Thing]) -> Iterator[Row | Failure]:
        """What an encoder makes of what it has not seen yet."""
        waiting: list[_Thing] = []
        for thing in things:
            source = self.catalog.source(thing.path)
            content = self.catalog.content_of_hash(thing.digest)
            if (
                source is not None
                and content == source.content
                and content is not None
                and self.catalog.is_done(content, encoder.space.id, thing.media.modality)
            ):
                self.report.known += encoder is self.encoders[0][0]
                continue
            if source is not None and content != source.content:
                name = thing.path.removeprefix(ADDED)
                stays = f"is there with other content, which stays; `update({name!r}, ...)` puts this in its place"
                yield Failure(thing.path, stays)
                continue
            if thing.vector is not None:
                part = thing.media.but(path=thing.path)
                yield Row(part, (thing.place,), thing.digest, dict(thing.facts), thing.vector)
            elif thing.media.modality not in encoder.modalities:
                if not any(thing.media.modality in other.modalities for other, _ in self.encoders):
                    yield Failure(thing.path, f"{encoder.space.model} takes no {thing.media.modality}")
            else:
                waiting.append(thing)
        for result in encode_stream(encoder, [thing.media for thing in waiting]):
            thing = waiting[result.index]
            if isinstance(result, Encoded):
                part = result.part.but(path=thing.path)
                yield Row(part, (thing.place,), thing.digest, dict(thing.facts), result.vector)
            else:
                if result.error is not None:
                    yield Failure(thing.path, result.error.reason, partly=result.parts > 0)
                self.report.notes += [f"{thing.path.removeprefix(ADDED)}: {note}" for note in result.notes]


def _facts(media: Media) -> dict[str, Any]:
    """What a thing knows of itself; of samples and pixels in memory what their shape says."""
    if media.array is not None and media.path is None:
        array = media.array
        if media.modality == "audio" and media.rate:
            long = array.shape[-1] if hasattr(array, "detach") else array.shape[0]
            return {"duration": long / media.rate, "sample_rate": media.rate}
        if media.modality == "image":
            return {"width": int(array.shape[1]), "height": int(array.shape[0])}
        return {}
    try:
        return dict(decode.facts(media))
    except AnalogonError:
        return {}


def _length(things: Any) -> int | None:
    """How many things there are, where that is known before they are read."""
    if isinstance(things, list | tuple | Vectors) or (isinstance(things, np.ndarray) and things.ndim == 2):
        return len(things)
    return None


def _removed(metadata: Mapping[str, Any]) -> set[str]:
    return {name for name, value in metadata.items() if value is None}


def _less(metadata: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in gone}
