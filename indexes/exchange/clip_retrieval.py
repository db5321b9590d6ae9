"""clip-retrieval's folder of numbered shards, both ways.

Its layout (github.com/rom1504/clip-retrieval, ``clip_inference/writer.py``); row i of each file belongs together::

    img_emb/img_emb_0.npy          float16 (n, dim) unit rows; also text_emb, and here audio_emb and video_emb
    metadata/metadata_0.parquet    n rows: image_path, caption, and what else is known
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError, SpaceMismatch, UsageError, one_line
from embed.media import Media, Modality
from embed.space import Space
from indexes.collection import Collection
from indexes.exchange import values
from indexes.exchange.blocks import blocks
from indexes.exchange.export import Stored, chosen_space, stored_blocks, writing
from indexes.exchange.intake import Imported, Place, Row, take_in
from indexes.exchange.table import Encoding, Kind, Table, identity, table_writer
from indexes.exchange.values import Fields
from indexes.records import Failure, Item

__all__ = ["export_clip_retrieval", "import_clip_retrieval"]

SIDES: Final[dict[Modality, str]] = {"image": "img_emb", "text": "text_emb", "audio": "audio_emb", "video": "video_emb"}
THEIRS: Final[dict[str, Kind]] = {"image_path": "text", "caption": "text"}
COLUMNS: Final[dict[str, Kind]] = {
    **THEIRS,
    "audio_path": "text",
    "video_path": "text",
    "text_path": "text",
    "text_row": "number",
    "start": "number",
    "end": "number",
    "hash": "text",
    "facts": "text",
    "metadata": "text",
    "model_labels": "text",
}


def export_clip_retrieval(collection: Collection, folder: Path, *, space: Space | None = None) -> int:
    """Write clip-retrieval's layout, one shard, into a folder that is empty or not there; give how many rows.

    Row i of every npy file and of the metadata belongs together. A caption whose metadata name their picture shares
    its row; else one side of a row is empty: a vector of zeros, which no search finds before a real one. Beside
    clip-retrieval's columns there are those that make importing it again exact but for float16's rounding.
    Memory stays bounded, and the folder appears whole or not at all. Raises ``UsageError`` as ``export_parquet``
    does, or where the folder holds something.
    """
    with collection.snapshot():
        return _export(collection, folder, space)


def _export(collection: Collection, folder: Path, space: Space | None) -> int:
    import pyarrow as pa

    known = chosen_space(collection, space)
    kinds = {"text": pa.string(), "number": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()], metadata=identity(known))
    held = collection.modalities(known.space)
    folder = folder.expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder: an export wants one of its own")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    count = 0
    with writing(folder):
        try:
            (temporary / "metadata").mkdir(parents=True)
            with ExitStack() as stack:
                matrices = {
                    modality: stack.enter_context(closing(_Matrix(temporary / side / f"{side}_0.npy", known.space.dim)))
                    for modality, side in SIDES.items()
                    if modality in held
                }
                table = stack.enter_context(table_writer(temporary / "metadata" / "metadata_0.parquet", schema))
                for block in blocks(_rows_out(collection, known.space)):
                    table.write_table(pa.Table.from_pylist([row.fields for row in block], schema=schema))
                    for modality, matrix in matrices.items():
                        matrix.append([row.vectors.get(modality) for row in block])
                    count += len(block)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return count


@dataclass(frozen=True, slots=True, eq=False)
class _RowOut:
    fields: Fields
    vectors: dict[Modality, npt.NDArray[np.float32]]


def _rows_out(collection: Collection, space: Space) -> Iterator[_RowOut]:
    """The rows of the metadata: texts first, a caption together with its picture, then all other media."""
    shown = np.zeros(len(collection.vectors(space, "image")), dtype=np.bool_)
    with collection.snapshot():
        for block in stored_blocks(collection, space, "text"):
            for text in block:
                picture = _picture_of(collection, space, text.item)
                if picture is None or shown[picture.row]:
                    yield _RowOut(_fields(text), {"text": text.vector})
                else:
                    shown[picture.row] = True
                    source = text.item.sources[0]
                    fields = _fields(picture) | {"text_path": source.path, "text_row": source.row}
                    yield _RowOut(fields, {"text": text.vector, "image": picture.vector})
        for block in stored_blocks(collection, space, "image", "audio", "video"):
            for stored in block:
                if stored.item.modality != "image" or not shown[stored.row]:
                    yield _RowOut(_fields(stored), {stored.item.modality: stored.vector})


def _fields(stored: Stored) -> Fields:
    item, first = stored.item, stored.item.sources[0]
    known = {name: value for name in THEIRS if isinstance(value := first.metadata.get(name), str)}
    own = {f"{item.modality}_path": first.path, "text_row": first.row}
    return known | stored.fields | own | ({"caption": item.text} if item.modality == "text" else {})


def _picture_of(collection: Collection, space: Space, text: Item) -> Stored | None:
    """The picture that a text is the caption of, where both say so and nothing else of the text would be lost."""
    catalog, first = collection.catalog, text.sources[0]
    path = first.metadata.get("image_path")
    source = catalog.source(path) if isinstance(path, str) and first.row is not None and text.span is None else None
    if source is None or _caption_metadata(source.metadata, source.path) != first.metadata:
        return None
    for row, identifier in catalog.rows_of_content(space.id, "image", source.content).items():
        item = catalog.items([identifier])[identifier]
        if item.sources[0].path == path and item.span is None and source.metadata.get("caption") == text.text:
            digest = catalog.hashes([item.content])[item.content]
            return Stored(item, digest, row, collection.vector(space, identifier))
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


def import_clip_retrieval(collection_path: Path, folder: Path, *, encoder: Encoding | None = None) -> Imported:
    """Add what clip-retrieval computed to a collection, made where it is not there, without encoding anything.

    Reads every numbered shard of ``img_emb``, ``text_emb``, ``audio_emb`` and ``video_emb`` with the ``metadata``
    of the same number. A picture's row becomes an item at its ``image_path``, its caption one at the row of the
    metadata file; every other column becomes metadata of both. A row of zeros beside one that is none is no vector.
    ``encoder`` names the encoder that made the vectors; only what ``export_clip_retrieval`` wrote needs none.

    Raises as ``import_parquet`` does, and ``MediaError`` where shards do not line up.
    """
    shards = _shards(folder.expanduser().absolute())
    known = shards[0].table.space(encoder)
    for shard in shards:
        shard.check(known.space)
    return take_in(collection_path, known, (row for shard in shards for row in shard.rows()))


@dataclass(frozen=True, slots=True, eq=False)
class _Shard:
    """One numbered part of a folder: the metadata and, by modality, the vectors of the same rows with their files."""

    table: Table
    files: dict[Modality, Path]
    matrices: dict[Modality, npt.NDArray[np.floating[Any]]]

    def check(self, space: Space) -> None:
        """Raise where rows do not line up, or vectors do not fit the space."""
        self.table.check(COLUMNS if self.table.ours else THEIRS)
        rows = self.table.file.metadata.num_rows
        for modality, matrix in self.matrices.items():
            path = self.files[modality]
            if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating):
                raise MediaError(str(path), f"holds {matrix.dtype} {matrix.shape}; it should hold rows of floats")
            if len(matrix) != rows:
                have = f"has {len(matrix)} rows, and {self.table.path} has {rows}"
                raise MediaError(str(path), f"{have}: they do not line up")
            if matrix.shape[1] != space.dim:
                raise SpaceMismatch(f"{path} holds vectors of {matrix.shape[1]} components; the space is {space}")

    def rows(self) -> Iterator[Row | Failure]:
        """Every vector of the shard."""
        number = 0
        for batch in self.table.batches():
            stop = number + batch.num_rows
            block = {modality: np.array(matrix[number:stop]) for modality, matrix in self.matrices.items()}
            for i, fields in enumerate(batch.to_pylist()):
                vectors = {modality: array[i] for modality, array in block.items() if array[i].any()}
                try:
                    yield from _rows_in(fields, vectors, self.table, number)
                except MediaError as error:
                    yield Failure(str(self.table.path), error.reason, number)
                number += 1


def _shards(folder: Path) -> list[_Shard]:
    """The shards of a folder in order of number, with zeros before it or without."""
    if not folder.is_dir():
        raise MediaError(str(folder), "is no folder: clip-retrieval makes one with img_emb, text_emb and metadata")
    tables = _numbered(folder / "metadata", "parquet")
    sides = {modality: _numbered(folder / side, "npy") for modality, side in SIDES.items()}
    numbers = sorted(set().union(*sides.values()))
    if not numbers:
        raise MediaError(str(folder), "has no vectors in img_emb, text_emb, audio_emb or video_emb")
    shards = []
    for number in numbers:
        files = {modality: paths[number] for modality, paths in sides.items() if number in paths}
        if number not in tables:
            raise MediaError(str(next(iter(files.values()))), f"has no metadata_{number}.parquet beside it in metadata")
        matrices = {modality: _matrix(path) for modality, path in files.items()}
        shards.append(_Shard(Table.open(tables[number]), files, matrices))
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


def _rows_in(
    fields: Fields, vectors: Mapping[Modality, npt.NDArray[np.floating[Any]]], table: Table, number: int
) -> list[Row | Failure]:
    """The vectors of one row of a shard; with a picture and a caption they are two items."""
    if not vectors:
        raise MediaError("", "its vector is all zeros: it has no direction")
    main = next((modality for modality in vectors if modality != "text"), "text")
    digest = facts = span = labels = None
    if table.ours:
        metadata = values.json_object(fields["metadata"], "metadata") or {}
        facts = values.json_object(fields["facts"], "facts")
        labels = values.json_object(fields.get("model_labels"), "model_labels")
        digest, span = values.known_hash(fields["hash"]), values.span(fields)
    else:
        picture = fields.pop("image_path", None)
        metadata = values.plain(fields)
        fields["image_path"] = values.resolved(picture, table.path.parent.parent) if picture else fields.get("url")
    rows: list[Row | Failure] = []
    for modality, vector in vectors.items():
        path, row, text, of = fields.get(f"{modality}_path"), None, None, metadata
        if modality == "text":
            text, row = fields.get("caption"), values.row_number(fields.get("text_row"))
            path, row = (path, row) if path else (str(table.path), number)
            picture = fields.get("image_path")
            if picture and (main == "image" or not table.ours):
                of = _caption_metadata(metadata, picture)
        if not path or (modality == "text" and not text):
            named = "caption" if modality == "text" else f"{modality}_path"
            rows.append(Failure(str(table.path), f"has a vector and no {named}", number))
            continue
        own = modality == main
        part = Media(modality, path=path, text=text, span=span if own else None, row=row)
        places, said = (Place(path, row, of),), labels if own else None
        rows.append(Row(part, places, digest if own else None, facts if own else None, vector, said or {}))
    return rows
