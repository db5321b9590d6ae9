"""What a collection holds, from Python: open it, put things in, take them out, look them up."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

from analogon.phrases import PROBES
from analogon.search.adding import Added, Adding, absolute, path_of
from analogon.search.background import Background
from analogon.search.description import Description
from analogon.search.records import Record, SpaceView, known_space, record_of, records
from analogon.search.rows import is_text
from analogon.settings import config
from analogon.settings.arguments import EncoderName, several
from embed.encoder import Encoder, resolve
from embed.errors import CollectionNotFound, EncoderError, UnsupportedModality, UsageError
from embed.inputs import check_options, encoder_of
from embed.media import MODALITIES, Modality
from embed.models import shared
from embed.space import Space
from indexes.build import Confirm, Listener, Plan, Report, SideTable, add_space, build
from indexes.collection import Collection, KnownSpace
from indexes.records import ADDED, Source
from indexes.writer import Writer, writing

__all__ = ["Holdings", "is_number"]


_INHERITED: list[Collection] = []


def is_number(value: Any, above: float = -math.inf) -> bool:
    """Whether a value is a number, and above another."""
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) > above


def _side_table(
    metadata: str | os.PathLike[str] | Mapping[str, Mapping[str, Any]] | None, key: str
) -> SideTable | None:
    if metadata is None:
        return None
    if isinstance(metadata, Mapping):
        return SideTable("metadata", key, {os.path.abspath(path): dict(columns) for path, columns in metadata.items()})
    return SideTable.read(os.fspath(metadata), key)


def _modality(named: str | None) -> Modality | None:
    return next((known for known in MODALITIES if known == named), None)


def _is_id(value: Any) -> bool:
    return isinstance(value, str | Integral | os.PathLike) and not isinstance(value, bool)


def _ids(given: Any) -> list[Any]:
    """One id or several, as a list."""
    if _is_id(given):
        return [given]
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"ids are one text, whole number or path, or a list of these, not {given!r}")
    return [one.as_py() if hasattr(one, "as_py") else one for one in given]


def _named_paths(paths: Sequence[Any]) -> tuple[str, ...]:
    """Paths as texts. An empty one is a variable that was never set: whoever means the folder itself says "."."""
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"files and folders are named one by one, by texts or paths, not by {type(path).__name__}")
        if isinstance(path, str) and not path.strip():
            raise UsageError("a path is empty; the folder one is in is called .")
    return tuple(os.fspath(path) for path in paths)


class Holdings:
    """An open collection: what it holds, and how that is changed. ``Library`` asks it as well."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._process = os.getpid()

    @property
    def collection(self) -> Collection:
        """The open collection. In a process that was forked it is opened anew: SQLite must not be shared with it."""
        if self._process != os.getpid():
            _INHERITED.append(self._collection)  # whose connections may not even be closed there
            self._collection, self._process = Collection.open(self._collection.path), os.getpid()
        return self._collection

    def __reduce__(self) -> tuple[Any, ...]:
        """A library pickles as its path: another process opens it."""
        return type(self).open, (self._collection.path,)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the collection in a folder. Raises ``CollectionNotFound``."""
        return cls(Collection.open(path))

    @classmethod
    def open_or_create(cls, path: Path) -> Self:
        """Open the collection in a folder, or make an empty one."""
        try:
            return cls.open(path)
        except CollectionNotFound:
            return cls(Collection.create(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the collection; what is asked of it afterwards raises ``CollectionError``."""
        self.collection.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.collection.closed

    def __repr__(self) -> str:
        if self.closed:
            return f"<analogon collection {self.collection.name}: closed>"
        counts = self.collection.catalog.counts()
        spaces = ", ".join(known.space.model for known in self.collection.spaces) or "no encoder yet"
        return (
            f"<analogon collection {self.collection.name}: {counts['source']} files, {counts['item']} items, {spaces}>"
        )

    def index(
        self,
        *paths: str | os.PathLike[str],
        encoders: EncoderName | Sequence[EncoderName] = (),
        metadata: str | os.PathLike[str] | Mapping[str, Mapping[str, Any]] | None = None,
        key: str = "file",
        text_column: str | None = None,
        only: str | Sequence[str] = (),
        prune: bool = False,
        force: bool = False,
        reread: bool = False,
        retry: bool = False,
        memory: int | None = None,
        name_encoder: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        listener: Listener | None = None,
        confirm: Confirm | None = None,
    ) -> Report:
        """Index files and folders; what is known already is not encoded again.

        ``encoders`` are one or several names as ``embed.load`` takes them; without any, those that the collection has.
        ``metadata`` is a table whose column ``key`` names the files, or columns by file. ``text_column`` makes the rows
        of tables into texts. ``memory`` is the budget of each search index in bytes. ``name_encoder`` compares names
        and captions; without it the one that is set, that the collection has, or the starter's. ``prune`` removes the
        files that were deleted; what may lie on a drive that is not mounted, all of a folder, or more than a third of
        the collection only with ``force``, or where ``confirm`` says so. ``reread`` hashes files whose size and times
        are as they were too.
        """
        named = _named_paths(paths)
        if metadata is None and key != "file":
            raise UsageError(f"`key={key}` names a column of a side table, and none is given")
        if memory is not None and not is_number(memory, above=0):
            raise UsageError(f"`memory` is a number of bytes above 0, not {memory!r}")
        modalities = several(only)
        if unknown := [name for name in modalities if name not in MODALITIES]:
            raise UsageError(f"there is no modality {unknown[0]!r}; there are: {', '.join(MODALITIES)}")
        plan = Plan(
            paths=named,
            text_column=text_column,
            side_table=_side_table(metadata, key),
            only=frozenset(m for m in MODALITIES if m in modalities) if modalities else None,
            prune=prune,
            force=force,
            reread=reread,
            retry=retry,
            memory=memory,
            probes=PROBES,
        )
        pairs = self._encoders(encoders)
        report = build(self.collection, pairs, plan, listener, names=self._name_encoder(name_encoder), confirm=confirm)
        self._prepare(listener)
        return report

    def _to_index(self, named: Any) -> tuple[Encoder, dict[str, Any]]:
        """An encoder and its table, in the precision of the vectors that there are of it, unless one is named."""
        encoder = encoder_of(named)
        table = resolve(encoder if isinstance(named, Encoder) or encoder.table is None else named)
        known = next((one for one in self.collection.spaces if one.space == encoder.space), None)
        if known is None or isinstance(named, Encoder):
            return encoder, table
        return shared(table, precision=known.precision), table

    def _prepare(self, listener: Listener | None) -> None:
        """See to it that the scores of searches can be seen against those of other queries."""
        collection = self.collection
        sides = [
            (known, modality)
            for known in collection.spaces
            if "text" in collection.encoder(known).modalities
            for modality in collection.modalities(known.space)
        ]
        missing = {(known.space.id, text) for known, m in sides for text in Background.missing(collection, known, m)}
        listener = listener or Listener()

        def told() -> None:
            listener.advance()
            listener.check()

        listener.phase("background queries", len(missing) + len(sides))
        for known, modality in sides:
            Background.open(collection, known, modality, told=told)
            told()
        for known, modality in sides:
            Background.make(collection, known, modality, listener=listener)

    def _name_encoder(
        self, named: str | os.PathLike[str] | Mapping[str, Any] | None
    ) -> tuple[Encoder, dict[str, Any]] | None:
        """The encoder of names and its table; None where nobody named one and the usual one is not at hand."""
        chosen = named or config.name_encoder()
        known = self.collection.names
        table = resolve(chosen or (known.encoder if known else config.BUILT_IN_NAME_ENCODER))
        try:
            encoder = shared(table)
        except EncoderError:
            if chosen:
                raise
            return None
        if "text" not in encoder.modalities:
            raise UnsupportedModality(f"{encoder.space.model} cannot compare names: it takes no text")
        return encoder, table

    def add(
        self,
        items: Any,
        *,
        ids: Iterable[Any] | None = None,
        metadata: Any = None,
        column: str | None = None,
        encoders: EncoderName | Encoder | Sequence[EncoderName | Encoder] = (),
        modality: str | None = None,
        rate: int | None = None,
        name_encoder: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        listener: Listener | None = None,
    ) -> Added:
        """Put things in that lie in memory, in a table, or in files: texts, sounds, pictures, vectors.

        ``items`` are what ``analogon.encode`` takes, one or many, or an iterator; ``Vectors`` or an array ``(n, dim)``
        of vectors that are made already; a table: a data frame of pandas or polars, an Arrow table, a parquet file, a
        data set of ``datasets``, a list of mappings, whose ``column`` holds what is to be added (else the first of
        vector, embedding, audio, image, video, text, path, file), a column ``id`` the ids, and the others metadata.
        ``ids`` are texts or whole numbers, one for each item; what has none goes by a hash of its content, what lies in
        a file by its path. ``metadata`` are columns for each item: a table or a list of mappings; of what is there
        already they join its columns. ``encoders`` are names or encoders; without any, those that the collection has.
        ``modality`` says what vectors are of; ``rate`` is that of samples in Hz.

        Items are read, encoded and committed a block at a time: an iterator may be longer than memory, and a run that
        was broken off goes on where it was, since what is there under its id is not encoded again. Samples and pixels
        themselves are not kept. What cannot be used is told in the report, and the others are added.
        Raises ``UsageError`` where ids or metadata do not fit the items, ``SpaceMismatch`` for another space's vectors.
        """
        chosen = self._encoders(encoders)
        if modality is not None and modality not in MODALITIES:
            raise UsageError(f"there is no modality {modality!r}; there are: {', '.join(MODALITIES)}")
        check_options(rate=rate)
        with writing(self.collection) as writer:
            pairs = [(encoder, add_space(writer, encoder, table)) for encoder, table in chosen]
            adding = Adding(self.collection, writer, pairs, modality=_modality(modality), rate=rate, listener=listener)
            report = adding.add(items, ids, metadata, column)
            self._bring_up(writer, pairs, self._name_encoder(name_encoder))
        self._prepare(listener)
        return report

    def update(
        self,
        ids: Any,
        items: Any = None,
        *,
        metadata: Any = None,
        column: str | None = None,
        modality: str | None = None,
        rate: int | None = None,
    ) -> Added:
        """Put other things, other metadata, or both in the place of what was added under some ids, one or several.

        Columns that are not named stay as they are; one whose value is None goes. All of the metadata change, or none.
        What cannot be encoded is told, and leaves what is there under its id as it is.
        Raises ``UsageError`` for an id that is not there.
        """
        single = _is_id(ids)
        names = _ids(ids)
        check_options(modality, rate)
        if isinstance(metadata, Mapping):
            metadata = [metadata] * len(names) if single else metadata
        if items is None and metadata is None:
            raise UsageError("an update needs items, metadata, or both")
        chosen = (
            [(self.collection.encoder(known), known) for known in self.collection.spaces] if items is not None else []
        )
        with writing(self.collection) as writer:
            adding = Adding(self.collection, writer, chosen, modality=_modality(modality), rate=rate)
            report = adding.update(names, items, metadata, column)
            self._bring_up(writer, chosen, self._name_encoder(None))
        return report

    def _bring_up(
        self,
        writer: Writer,
        pairs: Sequence[tuple[Encoder, KnownSpace]],
        names: tuple[Encoder, dict[str, Any]] | None,
    ) -> None:
        """Bring the indexes up to what was written."""
        for encoder, known in pairs:
            for modality in self.collection.modalities(encoder.space):
                writer.build_index(known, modality)
        if names is not None:
            writer.build_names(*names)
        writer.build_columns()

    def _encoders(
        self, named: EncoderName | Encoder | Sequence[EncoderName | Encoder]
    ) -> list[tuple[Encoder, dict[str, Any]]]:
        chosen = [self._to_index(one) for one in several(named)]
        chosen = chosen or [(self.collection.encoder(known), dict(known.encoder)) for known in self.collection.spaces]
        if not chosen:
            raise UsageError(
                f"{self.collection.name} has no encoder yet: name one with `encoders`, such as clap or clip"
            )
        return chosen

    def remove(self, *paths: str | os.PathLike[str], ids: Iterable[Any] | str | int | None = None) -> int:
        """Forget files, or all files below folders, and what was added under ``ids``; the files themselves stay.

        Gives how many were known. Raises ``UsageError`` for an id that is not there; then nothing is forgotten.
        """
        named = _named_paths(paths)
        asked = [] if ids is None else _ids(ids)
        with writing(self.collection) as writer:
            sources = {source.id: source for path in named for source in self._sources_under(path)}
            for identity in asked:
                source = self._source_of(identity)
                if source is None:
                    raise UsageError(f"{self.collection.name} has nothing under the id {identity!r}")
                sources[source.id] = source
            writer.remove(list(sources.values()))
        return len({source.path for source in sources.values()})

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Whether a file, or any file below a folder, is known here."""
        return bool(self._sources_under(*_named_paths([path])))

    def get(self, id: str | int | os.PathLike[str]) -> Record:
        """What was added under an id, or lies at a path: its text, metadata, facts, and vectors.

        A whole number that nothing was added under is an item's, as hits have them. Raises ``UsageError`` where there
        is no such thing.
        """
        source = self._source_of(id)
        number = int(id) if isinstance(id, Integral) else 0
        if source is None and 0 < number < 2**63:  # what SQLite holds
            item = self.collection.catalog.items([number]).get(number)
            source = item.sources[0] if item else None
        if source is None:
            name = os.fspath(id) if isinstance(id, os.PathLike) else id
            raise UsageError(f"{self.collection.name} has nothing under the id {name!r}")
        return record_of(self.collection, source)

    def _source_of(self, identity: Any) -> Source | None:
        """What was added under an id, or lies at a path."""
        if not _is_id(identity) or identity == "":
            raise UsageError(f"an id is a text, a whole number or a path, not {identity!r}")
        catalog = self.collection.catalog
        if not is_text(os.fspath(identity) if isinstance(identity, os.PathLike) else str(identity)):
            return None  # the catalog holds no such text
        found = None if isinstance(identity, os.PathLike) else catalog.source(path_of(str(identity)))
        if found is None and not isinstance(identity, Integral):
            at = catalog.sources_of_path(absolute(identity))
            found = at[0] if at else None
        return found

    def __len__(self) -> int:
        """How many things it holds: files, rows of tables, and what was added."""
        return self.collection.catalog.counts()["source"]

    def __bool__(self) -> bool:
        return True  # an empty library is one

    def __contains__(self, id: object) -> bool:
        return _is_id(id) and id != "" and self._source_of(id) is not None

    def __iter__(self) -> Iterator[Record]:
        return records(self.collection)

    def space(self, named: EncoderName | Space | None = None) -> SpaceView:
        """One of its spaces as arrays: ``library.space("clap")["audio"].array``; the only one where none is named.

        Raises ``SpaceMismatch`` or ``UsageError`` where there is no such one, or several and none is named.
        """
        return SpaceView(self.collection, known_space(self.collection, named))

    def _sources_under(self, path: str | os.PathLike[str]) -> list[Source]:
        named = os.fspath(path)
        if named.startswith(ADDED):
            return self.collection.catalog.sources_of_path(named)
        return self.collection.catalog.sources_under(absolute(path))

    def describe(self) -> Description:
        """What the collection holds: counts, spaces with their indexes, fields for filters, size on disk, names."""
        return Description.of(self.collection)
