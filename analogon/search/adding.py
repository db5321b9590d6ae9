"""What lies in no file of its own, in a collection: texts, arrays, vectors and tables, added and changed by id."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.search.rows import Given, is_text, rows_of
from embed import decode
from embed.encoder import Encoder
from embed.errors import AnalogonError, MediaError, SpaceMismatch, UsageError
from embed.inputs import as_media, is_whole
from embed.listener import Listener
from embed.media import Media, Modality, as_numpy, content_hash
from embed.pipeline import Encoded, encode_stream
from embed.space import Space, Vectors
from indexes.collection import Collection, KnownSpace
from indexes.exchange.intake import Intake, Place, Row
from indexes.records import ADDED, Failure, Source, added
from indexes.writer import Writer

__all__ = ["Added", "Adding", "path_of"]

BLOCK: Final = 256  # things that are encoded, and committed, at a time
NAMED: Final = 5
TINY, HUGE = 1e-15, 1e15


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
        return absolute(identity)
    return identity if identity.startswith(ADDED) else ADDED + identity


def absolute(path: str | os.PathLike[str]) -> str:
    """A path from the root, ``~`` resolved where there is such a person."""
    return os.path.abspath(os.path.expanduser(path))


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
        if listener is not None and not isinstance(listener, Listener):
            raise UsageError(f"`listener` is a Listener, such as analogon.Progress(), not {type(listener).__name__}")
        self.listener = listener or Listener()
        self.report = Added()
        self._sides = frozenset(side for encoder, _ in encoders for side in encoder.modalities)
        self._usable: set[str] = set()  # paths of things that an encoder has a vector of
        self._notes: dict[str, list[str]] = {}  # what is to be said, and of which things

    def add(
        self, items: Any, ids: Iterable[Any] | None = None, metadata: Any = None, column: str | None = None
    ) -> Added:
        """Add what is not there yet, as ``rows_of`` reads it, block by block; what was committed survives a kill.

        A thing that is there under its id, as it is now, is not encoded again.
        """
        space = items.space if isinstance(items, Vectors) else None
        items = self._one_or_many(items)
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
        return self._told()

    def _told(self) -> Added:
        """The report, with each remark once, and the first few of the things that it is true of."""
        for text, names in self._notes.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            self.report.notes.append(f"{', '.join(names[:NAMED])}{more}: {text}")
        for line in self.report.notes:
            self.listener.remark(line)
        return self.report

    def _one_or_many(self, items: Any) -> Any:
        """Samples with channels, which come with their rate, are one thing; else rows of numbers are vectors."""
        array = isinstance(items, np.ndarray)
        if not (array or hasattr(items, "detach")) or items.ndim != 2:
            return items
        if self.rate is not None:
            return [items]
        return items if array else as_numpy(items)

    def update(self, ids: Sequence[Any], items: Any = None, metadata: Any = None, column: str | None = None) -> Added:
        """Put other things, or other metadata, in the place of what is there under some ids.

        Columns that are not named stay; one whose value is None goes. Raises ``UsageError`` for an unknown id.
        """
        removed = [_removed(one) for one in metadata] if isinstance(metadata, list) else [set[str]()] * len(ids)
        paths = [path_of(one if isinstance(one, os.PathLike) else str(one)) for one in ids]
        if twice := next((path for at, path in enumerate(paths) if path in paths[:at]), None):
            raise UsageError(f"the id {twice.removeprefix(ADDED)!r} is named twice: each gets one thing")
        sources = {path: self._source(path) for path in paths}
        if items is None:
            beside = list(rows_of([None] * len(paths), None, metadata))
            with self.catalog.transaction():
                for path, change, gone in zip(paths, beside, removed, strict=True):
                    source = sources[path]
                    self._put(source, source.content, {**_less(source.metadata, gone), **change.metadata})
            for path, change in zip(paths, beside, strict=True):
                self._note(path, *change.notes)
            self.report.found = len(paths)
            return self._told()
        rows = list(rows_of(self._one_or_many(items), ids, metadata, column))
        space = items.space if isinstance(items, Vectors) else None
        self.report.found = len(rows)
        things = list(self._read(rows, space, paths))
        # Encoded before anything is put: what no encoder can use leaves what is there as it is.
        made = [list(self._rows(encoder, things, replacing=True)) for encoder, _ in self.encoders]
        gone_of = dict(zip(paths, removed, strict=True))
        with self.catalog.transaction():
            for thing in things:
                if thing.path not in self._usable:
                    continue
                source = sources[thing.path]
                content = self.catalog.content_of_hash(thing.digest)
                if content is None:
                    text = thing.media.text if thing.media.modality == "text" else None
                    content = self.catalog.make_content(thing.digest, thing.facts, text)
                kept = _less(source.metadata, gone_of[thing.path])
                self._put(source, content, {**kept, **thing.metadata}, (thing.media.modality,))
            self.catalog.sweep()
        for (_, known), some in zip(self.encoders, made, strict=True):
            intake = Intake(self.collection, self.writer, known.space)
            intake.add(some)
            self.report.vectors += intake.report.vectors
            self.report.failures += intake.report.failures
        self.writer.compact()
        return self._told()

    def _put(
        self, source: Source, content: int, metadata: dict[str, Any], modalities: Sequence[Modality] | None = None
    ) -> None:
        self.catalog.put_source(
            source.path, source.row, content, modalities or source.modalities, source.size, source.mtime, metadata
        )

    def _source(self, path: str) -> Source:
        source = self.catalog.source(path) if is_text(path) else None
        if source is None:
            raise UsageError(f"{self.collection.name} has nothing under the id {path.removeprefix(ADDED)!r}")
        return source

    def _read(
        self, block: Sequence[Given], space: Space | None, paths: Sequence[str] | None = None
    ) -> Iterator[_Thing]:
        """What each thing is; one that cannot be read is told."""
        for number, given in enumerate(block):
            try:
                thing = self._thing(given, space, paths[number] if paths else None)
            except MediaError as error:
                place = os.fspath(given.thing) if isinstance(given.thing, os.PathLike) else None
                name = given.id or place or f"item {self.report.found - len(block) + number}"
                self.report.failures.append(Failure(name, error.reason))
                continue
            self._note(thing.path, *given.notes)
            yield thing

    def _note(self, path: str, *texts: str) -> None:
        for text in texts:
            self._notes.setdefault(text, []).append(path.removeprefix(ADDED))

    def _thing(self, given: Given, space: Space | None, path: str | None) -> _Thing:
        if given.thing is None:
            raise MediaError("", "there is nothing in it")
        if isinstance(given.thing, MediaError):
            raise given.thing
        if (vector := self._vector(given.thing, space)) is not None:
            modality: Modality = "text" if given.text is not None and self.modality is None else self._of_vectors()
            identity = path or (path_of(given.id) if given.id is not None else None)
            named = f"{modality}\0{identity or vector.tobytes().hex()}".encode()
            media = Media(modality, text=given.text) if given.text is not None else Media(modality, data=named)
            digest = content_hash(media)
            identity = identity or ADDED + digest[:16]
            return _Thing(identity, media, digest, {}, dict(given.metadata), vector)
        thing, rate = given.thing, self.rate
        if isinstance(thing, tuple) and len(thing) == 2 and is_whole(thing[1]):
            thing, rate = thing[0], int(thing[1])
        told: list[str] = []
        try:
            media = as_media(thing, rate=rate, modality=self.modality, sides=self._sides, note=told.append)
        except UsageError as error:
            raise MediaError("", str(error)) from None
        if media.text is not None and not is_text(media.text):
            raise MediaError("", "its text holds half a character, which can be stored nowhere")
        in_file = media.path is not None and media.text is None
        digest = content_hash(media)
        if path is None and in_file:
            if given.id is not None:
                raise MediaError("", f"{media.path} is a file, which goes by its path; an id is for what lies in none")
            path = os.path.abspath(str(media.path))
        elif path is None:
            path = path_of(given.id) if given.id is not None else ADDED + digest[:16]
        self._note(path, *told)
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
        peak = float(np.abs(np.asarray(thing)).max(initial=0.0))
        if np.isfinite(peak) and peak and not TINY < peak < HUGE:  # of which float32 would make zeros or infinities
            return (thing / peak).astype(np.float32)
        return thing.astype(np.float32)

    def _of_vectors(self) -> Modality:
        modalities = self.encoders[0][0].modalities
        if self.modality is None and len(modalities) > 1:
            have = ", ".join(sorted(modalities))
            raise UsageError(f"a vector does not say what it is of: give its `modality`, of {have}")
        return next(iter(modalities)) if self.modality is None else self.modality

    def _rows(self, encoder: Encoder, things: Sequence[_Thing], replacing: bool = False) -> Iterator[Row | Failure]:
        """What an encoder makes of what it has not seen yet; metadata of what it has join those that are there."""
        waiting: list[_Thing] = []
        changed: list[tuple[Source, dict[str, Any]]] = []
        for thing in things:
            source = self.catalog.source(thing.path)
            content = self.catalog.content_of_hash(thing.digest)
            if (
                source is not None
                and (replacing or content == source.content)
                and content is not None
                and self.catalog.is_done(content, encoder.space.id, thing.media.modality)
            ):
                self._usable.add(thing.path)
                if encoder is self.encoders[0][0]:
                    self.report.known += 1
                    merged = {**source.metadata, **thing.metadata}
                    if not replacing and merged != source.metadata:
                        changed.append((source, merged))
                continue
            if not replacing and source is not None and content != source.content:
                name = thing.path.removeprefix(ADDED)
                stays = f"is there with other content, which stays; `update({name!r}, ...)` puts this in its place"
                yield Failure(thing.path, stays)
                continue
            if thing.vector is not None:
                self._usable.add(thing.path)
                part = thing.media.but(path=thing.path)
                yield Row(part, (thing.place,), thing.digest, dict(thing.facts), thing.vector)
            elif thing.media.modality not in encoder.modalities:
                if not any(thing.media.modality in other.modalities for other, _ in self.encoders):
                    yield Failure(thing.path, f"{encoder.space.model} takes no {thing.media.modality}")
            else:
                waiting.append(thing)
        if changed:
            with self.catalog.transaction():
                for source, merged in changed:
                    self._put(source, source.content, merged)
        for result in encode_stream(encoder, [thing.media for thing in waiting]):
            thing = waiting[result.index]
            if isinstance(result, Encoded):
                self._usable.add(thing.path)
                part = result.part.but(path=thing.path)
                yield Row(part, (thing.place,), thing.digest, dict(thing.facts), result.vector)
            else:
                if result.error is not None:
                    yield Failure(thing.path, result.error.reason, partly=result.parts > 0)
                self._note(thing.path, *result.notes)


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
