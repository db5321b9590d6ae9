"""Collections to files that other tools read, and back without encoding: one parquet file, or clip-retrieval's folder.

A parquet file has one row an item (see ``export_parquet``) and is read back bit for bit. clip-retrieval's layout
(github.com/rom1504/clip-retrieval, ``clip_inference/writer.py``) has numbered shards, and row i of each belongs
together::

    img_emb/img_emb_0.npy          float16 (n, dim) unit rows; also text_emb, and here audio_emb and video_emb
    metadata/metadata_0.parquet    n rows: image_path, caption, and what else is known
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from embed import decode
from embed.encoder import load, resolve
from embed.errors import MediaError, SpaceMismatch, UsageError, one_line
from embed.media import MODALITIES, Media, Modality, Span, check_readable, content_hash
from embed.space import Space, unit
from indexes.catalog import Failure, Item
from indexes.collection import Collection, Done, Entry, KnownSpace, Writer, replacing

__all__ = ["Imported", "export_clip_retrieval", "export_parquet", "import_clip_retrieval", "import_parquet"]

KEY: Final = b"analogon"  # in a parquet file's schema metadata: the space and how to load its encoder
FORMAT: Final = 1
ROWS: Final = 1024  # rows of a row group, and of a batch that is read or written
UNIT: Final = 1e-6  # a row whose length differs less from 1 is kept bit for bit
SAME: Final = 0.999  # cosine from which two vectors of one item are the same but for rounding
SIDES: Final[dict[str, Modality]] = {"img": "image", "text": "text", "audio": "audio", "video": "video"}
REQUIRED: Final = ("path", "modality", "vector")
COLUMNS: Final = {
    "id": "number",
    "path": "text",
    "row": "number",
    "modality": "text",
    "start": "number",
    "end": "number",
    "text": "text",
    "metadata": "text",
    "facts": "text",
    "hash": "text",
}
CLIP_COLUMNS: Final = {
    "image_path": "text",
    "caption": "text",
    "audio_path": "text",
    "video_path": "text",
    "text_path": "text",
    "text_row": "number",
    "start": "number",
    "end": "number",
    "hash": "text",
    "facts": "text",
    "metadata": "text",
}

Encoding = str | os.PathLike[str] | Mapping[str, Any]
Fields = dict[str, Any]


@dataclass(slots=True)
class Imported:
    """What an import did: of ``found`` vectors so many were new, known already, or left out with a reason."""

    found: int = 0
    vectors: int = 0
    known: int = 0
    failures: list[Failure] = field(default_factory=list)


# -- export ------------------------------------------------------------------------------------------------------


def export_parquet(collection: Collection, target: Path, *, space: Space | None = None) -> int:
    """Write one parquet file with a row for each item of a space; give how many.

    Columns: ``id``, ``path`` (the first source's), ``paths`` (every source's), ``row`` (0-based row of a table),
    ``modality``, ``start`` and ``end`` (seconds, or lines of a text), ``text``, ``metadata`` and ``facts`` (JSON),
    ``hash`` (of the content), ``sources`` (all that is known of each), ``vector`` (float32, unit length). The schema
    metadata holds the space and its encoder as JSON under the key ``analogon``. Memory stays bounded, and the file
    appears whole or not at all. Raises ``UsageError`` where there are several spaces and none was chosen.
    """
    import pyarrow as pa
    from pyarrow import parquet

    known = _chosen(collection, space)
    schema = _schema(known)
    count = 0
    target = target.expanduser()
    encoded = ["path", "modality", "metadata", "facts", "hash"]
    with (
        _writing(target),
        replacing(target) as temporary,
        temporary.open("wb") as out,
        parquet.ParquetWriter(out, schema, compression="zstd", use_dictionary=encoded) as file,
    ):
        for block in _blocks(collection, known.space):
            hashes = collection.catalog.hashes([stored.item.content for stored in block])
            rows = [_fields(stored.item, hashes[stored.item.content]) for stored in block]
            columns = {name: pa.array([row[name] for row in rows], schema.field(name).type) for name in rows[0]}
            flat = pa.array(np.concatenate([stored.vector for stored in block]))
            columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, known.space.dim)
            file.write_table(pa.table(columns, schema=schema))
            count += len(block)
    return count


def export_clip_retrieval(collection: Collection, folder: Path, *, space: Space | None = None) -> int:
    """Write clip-retrieval's layout, one shard, into a folder that is empty or not there; give how many rows.

    Row i of every npy file and of the metadata belongs together. A caption whose metadata name their picture shares
    its row; else one side of a row is empty: a vector of zeros, which no search finds before a real one. Beside
    clip-retrieval's columns there are those that make importing it again exact but for float16's rounding.
    Memory stays bounded, and the folder appears whole or not at all. Raises ``UsageError`` as ``export_parquet``
    does, or where the folder holds something.
    """
    import pyarrow as pa
    from pyarrow import parquet

    known = _chosen(collection, space)
    kinds = {"text": pa.string(), "number": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in CLIP_COLUMNS.items()], metadata=_identity(known))
    sides = [side for side, modality in SIDES.items() if modality in collection.modalities(known.space)]
    folder = folder.expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder: an export wants one of its own")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    count = 0
    with _writing(folder):
        try:
            (temporary / "metadata").mkdir(parents=True)
            matrices = {
                side: _Matrix(temporary / f"{side}_emb" / f"{side}_emb_0.npy", known.space.dim) for side in sides
            }
            try:
                with (temporary / "metadata" / "metadata_0.parquet").open("wb") as file:
                    with parquet.ParquetWriter(file, schema, compression="zstd") as table:
                        rows = _clip_rows(collection, known.space)
                        while block := list(islice(rows, ROWS)):
                            table.write_table(pa.Table.from_pylist([row.fields for row in block], schema=schema))
                            for side, matrix in matrices.items():
                                matrix.append([row.vectors.get(SIDES[side]) for row in block])
                            count += len(block)
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                for matrix in matrices.values():
                    matrix.close()
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return count


def _chosen(collection: Collection, space: Space | None) -> KnownSpace:
    if space is not None:
        return collection.space(space)
    known = collection.spaces
    if len(known) == 1:
        return known[0]
    if not known:
        raise UsageError(f"{collection.name} holds no vectors yet: index something first")
    names = ", ".join(str(one.space.model) for one in known)
    raise UsageError(f"{collection.name} has several spaces, and an export holds one; name one of: {names}")


def _identity(known: KnownSpace) -> dict[bytes, bytes]:
    return {KEY: json.dumps({"format": FORMAT, "space": known.space.to_json(), "encoder": known.encoder}).encode()}


def _schema(known: KnownSpace) -> Any:
    import pyarrow as pa

    source = {"path": pa.string(), "row": pa.int64(), "size": pa.int64(), "mtime": pa.int64(), "metadata": pa.string()}
    return pa.schema(
        {
            "id": pa.int64(),
            "path": pa.string(),
            "paths": pa.list_(pa.string()),
            "row": pa.int64(),
            "modality": pa.string(),
            "start": pa.float64(),
            "end": pa.float64(),
            "text": pa.string(),
            "metadata": pa.string(),
            "facts": pa.string(),
            "hash": pa.string(),
            "sources": pa.list_(pa.struct(list(source.items()))),
            "vector": pa.list_(pa.float32(), known.space.dim),
        },
        metadata=_identity(known),
    )


def _fields(item: Item, digest: str) -> Fields:
    first = item.sources[0]
    return {
        "id": item.id,
        "path": first.path,
        "paths": [source.path for source in item.sources],
        "row": first.row,
        "modality": item.modality,
        "start": item.span.start if item.span else None,
        "end": item.span.end if item.span else None,
        "text": item.text,
        "metadata": json.dumps(first.metadata, ensure_ascii=False),
        "facts": json.dumps(item.facts),
        "hash": digest,
        "sources": [
            {
                "path": source.path,
                "row": source.row,
                "size": source.size,
                "mtime": source.mtime,
                "metadata": json.dumps(source.metadata, ensure_ascii=False),
            }
            for source in item.sources
        ],
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    row: int
    item: Item
    vector: npt.NDArray[np.float32]


def _blocks(collection: Collection, space: Space, *modalities: Modality) -> Iterator[list[_Stored]]:
    """What a space holds, by modality, in the order of the vector files; all that one call gives is of one moment."""
    catalog = collection.catalog
    with catalog.snapshot():
        for store in catalog.stores():
            if store.space != space.id or store.modality not in (modalities or MODALITIES):
                continue
            vectors = collection.vectors(space, store.modality)
            for start in range(0, store.rows, ROWS):
                ids = catalog.items_of_rows(space.id, store.modality, range(start, min(start + ROWS, store.rows)))
                items = catalog.items(list(ids.values()))
                block = [
                    _Stored(row, items[ids[row]], np.array(vectors[row])) for row in sorted(ids) if ids[row] in items
                ]
                if block:
                    yield block


@dataclass(frozen=True, slots=True, eq=False)
class _ClipRow:
    fields: Fields
    vectors: dict[Modality, npt.NDArray[np.float32]]


def _clip_rows(collection: Collection, space: Space) -> Iterator[_ClipRow]:
    """The rows of clip-retrieval's metadata: texts first, a caption together with its picture, then all other media."""
    shown = np.zeros(len(collection.vectors(space, "image")), dtype=np.bool_)
    with collection.catalog.snapshot():
        for block in _blocks(collection, space, "text"):
            for text in block:
                picture = _picture_of(collection, space, text.item)
                if picture is None or shown[picture.row]:
                    yield _ClipRow(_clip_fields(collection, text.item), {"text": text.vector})
                else:
                    shown[picture.row] = True
                    source = text.item.sources[0]
                    fields = _clip_fields(collection, picture.item)
                    fields |= {"text_path": source.path, "text_row": source.row}
                    yield _ClipRow(fields, {"text": text.vector, "image": picture.vector})
        for block in _blocks(collection, space, "image", "audio", "video"):
            for stored in block:
                if stored.item.modality != "image" or not shown[stored.row]:
                    fields = _clip_fields(collection, stored.item)
                    yield _ClipRow(fields, {stored.item.modality: stored.vector})


def _clip_fields(collection: Collection, item: Item) -> Fields:
    first = item.sources[0]
    known = {name: value for name, value in first.metadata.items() if isinstance(value, str)}
    fields: Fields = {
        "image_path": known.get("image_path"),
        "caption": known.get("caption"),
        "text_row": first.row,
        "start": item.span.start if item.span else None,
        "end": item.span.end if item.span else None,
        "hash": collection.catalog.hashes([item.content])[item.content],
        "facts": json.dumps(item.facts),
        "metadata": json.dumps(first.metadata, ensure_ascii=False),
    }
    fields[f"{item.modality}_path"] = first.path
    if item.modality == "text":
        fields["caption"] = item.text
    return fields


def _picture_of(collection: Collection, space: Space, text: Item) -> _Stored | None:
    """The picture that a text is the caption of, where both say so and nothing else of the text would be lost."""
    catalog, first = collection.catalog, text.sources[0]
    path = first.metadata.get("image_path")
    source = catalog.source(path) if isinstance(path, str) and first.row is not None and text.span is None else None
    if source is None or _caption_metadata(source.metadata, source.path) != first.metadata:
        return None
    for row, identity in catalog.rows_of_content(space.id, "image", source.content).items():
        item = catalog.items([identity])[identity]
        if item.sources[0].path == path and item.span is None and source.metadata.get("caption") == text.text:
            return _Stored(row, item, collection.vector(space, identity))
    return None


def _caption_metadata(metadata: Fields, picture: str) -> Fields:
    """A caption's metadata, from those of the picture whose row it shares."""
    return {**{name: value for name, value in metadata.items() if name != "caption"}, "image_path": picture}


class _Matrix:
    """An npy file of float16 rows whose number is known only at the end."""

    def __init__(self, path: Path, dim: int) -> None:
        path.parent.mkdir()
        self.rows, self.dim = 0, dim
        self.file: BinaryIO = path.open("w+b")
        self._header()

    def _header(self) -> None:
        # numpy pads the header so that the first axis may grow in place.
        self.file.seek(0)
        shape = {"descr": "<f2", "fortran_order": False, "shape": (self.rows, self.dim)}
        np.lib.format.write_array_header_1_0(self.file, shape)

    def append(self, vectors: Sequence[npt.NDArray[np.float32] | None]) -> None:
        """Add rows; None is a row of zeros."""
        block = np.zeros((len(vectors), self.dim), dtype="<f2")
        for row, vector in zip(block, vectors, strict=True):
            if vector is not None:
                row[:] = vector
        self.file.write(block.tobytes())
        self.rows += len(block)

    def close(self) -> None:
        self._header()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror or error}") from None


# -- import ------------------------------------------------------------------------------------------------------


def import_parquet(collection_path: Path, source: Path, *, encoder: Encoding | None = None) -> Imported:
    """Add the rows of a parquet file to a collection, made where it is not there, without encoding anything.

    Needs the columns ``path``, ``modality`` and ``vector`` (a list of floats); the others of ``export_parquet`` are
    read where they are there, and further ones become metadata. ``encoder`` names the encoder that made the vectors,
    as ``embed.load`` takes it, where the file's own metadata do not. Rows that cannot be used are in the report.

    Raises ``MediaError`` for a file that is not such a parquet file, ``SpaceMismatch``, with both, where its vectors
    do not fit the encoder, ``UsageError`` where nothing says which encoder made them.
    """
    source = source.expanduser().absolute()
    file = _opened(source)
    known = _space(file, source, encoder)
    _check_columns(file, source, COLUMNS, REQUIRED)
    width = _width(file, source)
    if width is not None and width != known.space.dim:
        raise SpaceMismatch(f"{source} holds vectors of {width} components; the space is {known.space}")
    return _run(collection_path, known, _parquet_rows(file, source, known.space.dim))


def import_clip_retrieval(collection_path: Path, folder: Path, *, encoder: Encoding | None = None) -> Imported:
    """Add what clip-retrieval computed to a collection, made where it is not there, without encoding anything.

    Reads every numbered shard of ``img_emb``, ``text_emb``, ``audio_emb`` and ``video_emb`` with the ``metadata``
    of the same number. A picture's row becomes an item at its ``image_path``, its caption one at the row of the
    metadata file; every other column becomes metadata of both. A row of zeros beside one that is none is no vector.
    ``encoder`` names the encoder that made the vectors; only what ``export_clip_retrieval`` wrote needs none.

    Raises as ``import_parquet`` does, and ``MediaError`` where shards do not line up.
    """
    folder = folder.expanduser().absolute()
    shards = _shards(folder)
    known = _space(shards[0].table, shards[0].path, encoder)
    for shard in shards:
        shard.check(known.space)
    return _run(collection_path, known, (row for shard in shards for row in _shard_rows(shard)))


@dataclass(frozen=True, slots=True)
class _Place:
    """A source to be: size and modification time tell whether the file is still the one that was hashed."""

    path: str
    row: int | None
    metadata: Fields
    size: int = 0
    mtime: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One vector to import, the part that it encodes, and where that was found."""

    part: Media
    places: tuple[_Place, ...]
    digest: str | None
    facts: Fields | None
    vector: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class _File:
    digest: str
    size: int
    mtime: int
    facts: Fields


def _run(collection_path: Path, known: KnownSpace, rows: Iterator[_Row | Failure]) -> Imported:
    path = collection_path.expanduser()
    opened = Collection.open(path) if (path / "manifest.json").is_file() else Collection.create(path)
    with opened as collection, collection.writing() as writer:
        writer.add_space(known.space, known.encoder)
        run = _Import(collection, writer, known.space)
        while batch := list(islice(rows, ROWS)):
            run.add(batch)
    return run.report


class _Import:
    def __init__(self, collection: Collection, writer: Writer, space: Space) -> None:
        self.collection = collection
        self.catalog = collection.catalog
        self.writer = writer
        self.space = space
        self.report = Imported()
        self.broken: dict[str, str] = {}  # hashes of contents with a row that failed, and why
        self._file = functools.lru_cache(maxsize=1024)(_file)

    def add(self, batch: Sequence[_Row | Failure]) -> None:
        """Write a batch: sources, contents and items first, then vectors, as an indexing run does."""
        fresh: dict[int, Entry] = {}
        touched: dict[tuple[int, Modality], str] = {}
        with self.catalog.transaction():
            for row in batch:
                self.report.found += 1
                if isinstance(row, Failure):
                    self.report.failures.append(row)
                    continue
                digest = row.digest or self._digest(row)
                try:
                    vector = _usable(row.vector)
                except MediaError as error:
                    self._fail(row, error.reason)
                    content = self.catalog.content_of_hash(digest)
                    if content is None or not self._holds(content, row.part):
                        self.broken[digest] = error.reason
                    if content is not None and digest in self.broken:
                        touched[content, row.part.modality] = digest
                    continue
                try:
                    content = self._content(row, digest)
                    item = self.catalog.put_item(content, row.part, row.part.text if row.part.span else None)
                    if self._known(item, vector, fresh):
                        self.report.known += 1
                    else:
                        fresh[item] = Entry(content, row.part, vector)
                        touched[content, row.part.modality] = digest
                except MediaError as error:
                    self._fail(row, error.reason)
        parts: dict[tuple[int, Modality], int] = {}
        for entry in fresh.values():
            key = (entry.content, entry.part.modality)
            parts[key] = parts.get(key, 0) + 1
        done = [
            Done(
                content,
                modality,
                parts.get((content, modality), 0) + self._parts(content, modality),
                self.broken.get(digest),
            )
            for (content, modality), digest in touched.items()
        ]
        self.report.vectors += self.writer.commit(self.space, list(fresh.values()), done)

    def _fail(self, row: _Row, reason: str) -> None:
        self.report.failures.append(Failure(row.places[0].path, reason, row.places[0].row))

    def _parts(self, content: int, modality: Modality) -> int:
        return len(self.catalog.rows_of_content(self.space.id, modality, content))

    def _holds(self, content: int, part: Media) -> bool:
        """Whether the collection has a vector of this very part."""
        ids = self.catalog.rows_of_content(self.space.id, part.modality, content).values()
        return any(item.span == part.span for item in self.catalog.items(list(ids)).values())

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

    def _content(self, row: _Row, digest: str) -> int:
        """The content of a row, with its sources. Raises ``MediaError`` where a source holds something else by now."""
        content = self.catalog.content_of_hash(digest)
        known = [self.catalog.source(place.path, place.row) for place in row.places]
        for place, source in zip(row.places, known, strict=True):
            if source is not None and source.content != content:
                raise MediaError("", f"{place.path} is in the collection with other content, which stays")
        if content is None:
            facts = row.facts
            if facts is None:
                file = self._file(row.places[0].path, row.part.modality)
                facts = file.facts if file else {}
            text = row.part.text if row.part.modality == "text" and row.part.span is None else None
            content = self.catalog.put_content(digest, facts, text)
        for place, source in zip(row.places, known, strict=True):
            size, mtime, metadata = place.size, place.mtime, place.metadata
            modalities: tuple[Modality, ...] = (row.part.modality,)
            if source is not None:
                size, mtime, metadata = source.size, source.mtime, {**source.metadata, **metadata}
                modalities = tuple(dict.fromkeys((*source.modalities, *modalities)))
                if (modalities, metadata) == (source.modalities, source.metadata):
                    continue
            elif row.digest is None and (file := self._file(place.path, row.part.modality)):
                size, mtime = file.size, file.mtime
            self.catalog.put_source(place.path, place.row, content, modalities, size, mtime, metadata)
        return content

    def _digest(self, row: _Row) -> str:
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
    if not np.isfinite(vector).all():
        raise MediaError("", "its vector is not finite")
    row = vector.astype(np.float32)
    length = float(np.linalg.norm(row.astype(np.float64)))
    if length == 0.0:
        raise MediaError("", "its vector is all zeros: it has no direction")
    return row if abs(length - 1.0) < UNIT else unit(vector)


def _opened(source: Path) -> Any:
    from pyarrow import ArrowException, parquet

    check_readable(source)
    try:
        return parquet.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)
    except (ArrowException, OSError) as error:
        raise MediaError(str(source), f"is not a parquet file: {one_line(error)}") from None


def _space(file: Any, source: Path, encoder: Encoding | None) -> KnownSpace:
    """The space of a file's vectors: what the file says, what the encoder says, and both the same."""
    named: KnownSpace | None = None
    if encoder is not None:
        table = resolve(encoder)
        named = KnownSpace(load(table).space, table)
    identity = (file.schema_arrow.metadata or {}).get(KEY)
    if identity is None:
        if named is None:
            raise UsageError(f"{source} does not say which model made its vectors: name it with --encoder")
        return named
    try:
        said = json.loads(identity)
        own = KnownSpace(Space.from_json(said["space"]), dict(said["encoder"]))
    except (ValueError, KeyError, TypeError) as error:
        raise MediaError(str(source), f"what it says of its space cannot be read: {one_line(error)}") from None
    if named is not None:
        if named.space != own.space:
            raise SpaceMismatch(f"{source} holds vectors of {own.space}; the encoder named is {named.space}")
        return named
    return own


def _check_columns(file: Any, source: Path, columns: Mapping[str, str], required: Sequence[str]) -> None:
    """Raise ``MediaError``, naming the column, where a needed one is missing or a known one is of another type."""
    import pyarrow as pa

    schema = file.schema_arrow
    if missing := [name for name in required if name not in schema.names]:
        have = ", ".join(schema.names)
        raise MediaError(str(source), f"has no column {' and no column '.join(missing)}; it has: {have}")
    for name, kind in columns.items():
        if name in schema.names:
            found = schema.field(name).type
            values = found.value_type if pa.types.is_dictionary(found) else found
            is_text = pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values)
            is_number = pa.types.is_integer(values) or pa.types.is_floating(values)
            if not (pa.types.is_null(values) or (is_text if kind == "text" else is_number)):
                raise MediaError(str(source), f"its column {name} holds {found}; it should hold {kind}")


def _width(file: Any, source: Path) -> int | None:
    """How many components the vectors of a parquet file have, where its schema says so."""
    import pyarrow as pa

    found = file.schema_arrow.field("vector").type
    lists = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
    if not lists or not pa.types.is_floating(found.value_type):
        raise MediaError(str(source), f"its column vector holds {found}; it should hold lists of floats")
    return int(found.list_size) if pa.types.is_fixed_size_list(found) else None


def _batches(file: Any, source: Path) -> Iterator[Any]:
    from pyarrow import ArrowException

    try:
        yield from file.iter_batches(ROWS)
    except (ArrowException, OSError) as error:
        raise MediaError(str(source), f"is damaged: {one_line(error)}; the rows before that are in") from None


def _parquet_rows(file: Any, source: Path, dim: int) -> Iterator[_Row | Failure]:
    import pyarrow as pa
    from pyarrow import compute

    ours = KEY in (file.schema_arrow.metadata or {})
    number = 0
    for batch in _batches(file, source):
        column = batch.column("vector")
        lengths = compute.list_value_length(column).fill_null(-1).to_numpy()
        fit = lengths == dim
        vectors = iter(column.filter(pa.array(fit)).flatten().to_numpy(zero_copy_only=False).reshape(-1, dim))
        names = [name for name in batch.schema.names if name != "vector"]
        for fields, length in zip(batch.select(names).to_pylist(), lengths.tolist(), strict=True):
            vector = next(vectors) if length == dim else None
            try:
                if vector is None:
                    have = "no vector" if length < 0 else f"a vector of {length} components"
                    raise MediaError("", f"has {have}; the space wants {dim}")
                yield _parquet_row(fields, vector, source, number, ours)
            except MediaError as error:
                path, row = fields["path"], _number(fields.get("row"))
                yield Failure(
                    path or str(source), error.reason, number if not path else None if row is None else int(row)
                )
            number += 1


def _parquet_row(fields: Fields, vector: npt.NDArray[np.floating[Any]], source: Path, number: int, ours: bool) -> _Row:
    modality = _modality(fields["modality"])
    path, text, row = fields["path"], fields.get("text"), _row_number(fields.get("row"))
    metadata = _object(fields.get("metadata"), "metadata") or {}
    further = {} if ours else {name: value for name, value in fields.items() if name not in (*COLUMNS, "paths")}
    if modality == "text":
        if not text:
            raise MediaError("", "is a text without its text")
        path, row = (path, row) if path else (str(source), number)
    else:
        further |= {"text": text} if text else {}
        text = None
    if not path:
        raise MediaError("", f"the row names no path of its {modality}")
    path = path if ours else _resolved(path, source.parent)
    metadata = _plain({**further, **metadata})
    places = [_Place(path, row, metadata)]
    if ours and fields.get("sources"):
        places = [
            _Place(one["path"], one["row"], _object(one["metadata"], "metadata") or {}, one["size"], one["mtime"])
            for one in fields["sources"]
        ]
    elif paths := fields.get("paths"):
        places += [_Place(str(other), None, metadata) for other in paths if other != fields["path"]]
    part = Media(modality, path=path, text=text, span=_span(fields), row=row)
    return _Row(part, tuple(places), _hash(fields.get("hash")), _object(fields.get("facts"), "facts"), vector)


@dataclass(frozen=True, slots=True, eq=False)
class _Shard:
    """One numbered part of a folder of clip-retrieval: the metadata and, by side, the vectors of the same rows."""

    path: Path
    table: Any
    matrices: dict[Path, npt.NDArray[np.floating[Any]]]

    def check(self, space: Space) -> None:
        """Raise where rows do not line up, or vectors do not fit the space."""
        columns = CLIP_COLUMNS if self.ours else {"image_path": "text", "caption": "text"}
        _check_columns(self.table, self.path, columns, ())
        rows = self.table.metadata.num_rows
        for path, matrix in self.matrices.items():
            if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating):
                raise MediaError(str(path), f"holds {matrix.dtype} {matrix.shape}; it should hold rows of floats")
            if len(matrix) != rows:
                raise MediaError(str(path), f"has {len(matrix)} rows, and {self.path} has {rows}: they do not line up")
            if matrix.shape[1] != space.dim:
                raise SpaceMismatch(f"{path} holds vectors of {matrix.shape[1]} components; the space is {space}")

    @property
    def ours(self) -> bool:
        """Whether ``export_clip_retrieval`` wrote it."""
        return KEY in (self.table.schema_arrow.metadata or {})


def _shards(folder: Path) -> list[_Shard]:
    """The shards of a folder in order of number, with zeros before it or without."""
    if not folder.is_dir():
        raise MediaError(str(folder), "is no folder: clip-retrieval makes one with img_emb, text_emb and metadata")
    tables = _numbered(folder / "metadata", "parquet")
    sides = {side: _numbered(folder / f"{side}_emb", "npy") for side in SIDES}
    numbers = sorted(set().union(*sides.values()))
    if not numbers:
        raise MediaError(str(folder), "has no vectors in img_emb, text_emb, audio_emb or video_emb")
    shards = []
    for number in numbers:
        files = {side: paths[number] for side, paths in sides.items() if number in paths}
        if number not in tables:
            raise MediaError(str(next(iter(files.values()))), f"has no metadata_{number}.parquet beside it in metadata")
        shards.append(_Shard(tables[number], _opened(tables[number]), {path: _matrix(path) for path in files.values()}))
    return shards


def _numbered(folder: Path, suffix: str) -> dict[int, Path]:
    found = {path: re.search(r"(\d+)$", path.stem) for path in sorted(folder.glob(f"*.{suffix}"))}
    return {int(match[1]): path for path, match in found.items() if match}


def _matrix(path: Path) -> npt.NDArray[np.floating[Any]]:
    try:
        matrix: npt.NDArray[np.floating[Any]] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise MediaError(str(path), f"is not an npy file: {one_line(error)}") from None
    return matrix


def _shard_rows(shard: _Shard) -> Iterator[_Row | Failure]:
    number = 0
    for batch in _batches(shard.table, shard.path):
        blocks = {
            SIDES[path.parent.name.removesuffix("_emb")]: np.array(matrix[number : number + batch.num_rows])
            for path, matrix in shard.matrices.items()
        }
        for i, fields in enumerate(batch.to_pylist()):
            vectors = {modality: block[i] for modality, block in blocks.items() if block[i].any()}
            try:
                rows = _clip_items(fields, vectors, shard, number)
            except MediaError as error:
                yield Failure(str(shard.path), error.reason, number)
            else:
                yield from rows
            number += 1


def _clip_items(
    fields: Fields, vectors: Mapping[Modality, npt.NDArray[np.floating[Any]]], shard: _Shard, number: int
) -> list[_Row | Failure]:
    """The vectors of one row of a shard; with a picture and a caption they are two items."""
    if not vectors:
        raise MediaError("", "its vector is all zeros: it has no direction")
    caption, picture = fields.get("caption"), fields.get("image_path")
    main = next((modality for modality in vectors if modality != "text"), "text")
    digest = facts = span = None
    if shard.ours:
        metadata = _object(fields["metadata"], "metadata") or {}
        digest, facts, span = _hash(fields["hash"]), _object(fields["facts"], "facts"), _span(fields)
    else:
        picture = _resolved(picture, shard.path.parent.parent) if picture else fields.get("url")
        metadata = _plain({name: value for name, value in fields.items() if name != "image_path"})
    rows: list[_Row | Failure] = []
    for modality, vector in vectors.items():
        text, path, row, of = None, fields.get(f"{modality}_path"), None, metadata
        if modality == "image":
            path = picture
        elif modality == "text":
            text, row = caption, _row_number(fields.get("text_row"))
            path, row = (path, row) if path else (str(shard.path), number)
            if picture and (main == "image" or not shard.ours):
                of = _caption_metadata(metadata, picture)
        if not path or (modality == "text" and not caption):
            named = "caption" if modality == "text" else f"{modality}_path"
            rows.append(Failure(str(shard.path), f"has a vector and no {named}", number))
            continue
        own = modality == main
        part = Media(modality, path=path, text=text, span=span if own else None, row=row)
        rows.append(_Row(part, (_Place(path, row, of),), digest if own else None, facts if own else None, vector))
    return rows


# -- values ------------------------------------------------------------------------------------------------------


def _modality(value: object) -> Modality:
    for modality in MODALITIES:
        if value == modality:
            return modality
    raise MediaError("", f"its modality is {value!r}; it should be one of {', '.join(MODALITIES)}")


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _row_number(value: Any) -> int | None:
    number = _number(value)
    if number is None:
        return None
    if number < 0 or number != int(number):
        raise MediaError("", f"its row is {value}; it should be a whole number from 0")
    return int(number)


def _span(fields: Mapping[str, Any]) -> Span | None:
    start, end = _number(fields.get("start")), _number(fields.get("end"))
    if start is None and end is None:
        return None
    if start is None or end is None or not 0 <= start <= end < math.inf:
        raise MediaError("", f"its span is {start} to {end}: it should have a start and a later end")
    return Span(start, end)


def _hash(value: object) -> str | None:
    """A content's hash as ``embed.media.content_hash`` gives it; other people's hashes say nothing here."""
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) else None


def _object(value: str | None, name: str) -> Fields | None:
    """A JSON object from a string, or None where there is none."""
    if not value:
        return None
    try:
        found = json.loads(value, parse_constant=lambda _: None)  # SQLite's JSON knows no NaN
    except ValueError as error:
        raise MediaError("", f"its {name} are not JSON: {one_line(error)}") from None
    if not isinstance(found, dict):
        raise MediaError("", f"its {name} should be a JSON object, not {value[:60]}")
    return found


def _plain(metadata: Mapping[str, Any]) -> Fields:
    """Values as JSON has them: dates and the like as strings; what is absent, or not a number, is left out."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _plain(value)
        if isinstance(value, list):
            return [plain(one) for one in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value if value is None or isinstance(value, str | int | float) else str(value)

    values = {str(name): plain(value) for name, value in metadata.items()}
    return {name: value for name, value in values.items() if value is not None}


def _resolved(path: str, folder: Path) -> str:
    """A relative path made absolute where the file is there: from the working directory, or from ``folder``."""
    for base in (Path(), folder):
        if not os.path.isabs(path) and (base / path).exists():
            return str((base / path).absolute())
    return path
