"""One parquet file with a row for each item, read back bit for bit; such files of other tools are read too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError, SpaceMismatch
from embed.media import Media
from embed.space import Space
from indexes.collection import Collection, KnownSpace
from indexes.exchange import values
from indexes.exchange.export import Stored, chosen_space, stored_blocks, writing
from indexes.exchange.intake import Imported, Place, Row, take_in
from indexes.exchange.table import Encoding, Kind, Table, identity, table_writer
from indexes.exchange.values import Fields
from indexes.records import Failure

__all__ = ["export_parquet", "import_parquet"]

REQUIRED: Final = ("path", "modality", "vector")
COLUMNS: Final[dict[str, Kind]] = {
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
    "model_labels": "text",
}


def export_parquet(collection: Collection, target: Path, *, space: Space | None = None) -> int:
    """Write one parquet file with a row for each item of a space; give how many.

    Columns: ``id``, ``path`` (the first source's), ``paths`` (every source's), ``row`` (0-based row of a table),
    ``modality``, ``start`` and ``end`` (seconds, or lines of a text), ``text``, ``metadata`` and ``facts`` (JSON),
    ``hash`` (of the content), ``model_labels`` (JSON, what models said of it), ``sources`` (all that is known of
    each), ``vector`` (float32, unit length). The schema metadata holds the space and its encoder as JSON under the key
    ``analogon``. Memory stays bounded, and the file appears whole or not at all. Raises ``UsageError`` where there are
    several spaces and none was chosen.
    """
    import pyarrow as pa

    known = chosen_space(collection, space)
    schema = _schema(known)
    *columns, vector = schema
    count = 0
    target = target.expanduser()
    encoded = ["path", "modality", "metadata", "facts", "hash"]
    with writing(target), collection.snapshot(), table_writer(target, schema, use_dictionary=encoded) as writer:
        for block in stored_blocks(collection, known.space):
            table = pa.Table.from_pylist([_fields(stored) for stored in block], schema=pa.schema(columns))
            flat = pa.array(np.concatenate([stored.vector for stored in block]))
            vectors = pa.FixedSizeListArray.from_arrays(flat, known.space.dim)
            writer.write_table(table.append_column(vector, vectors))
            count += len(block)
    return count


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
            "model_labels": pa.string(),
            "sources": pa.list_(pa.struct(list(source.items()))),
            "vector": pa.list_(pa.float32(), known.space.dim),
        },
        metadata=identity(known),
    )


def _fields(stored: Stored) -> Fields:
    item = stored.item
    return {
        "id": item.id,
        "path": item.sources[0].path,
        "paths": [source.path for source in item.sources],
        "row": item.sources[0].row,
        "modality": item.modality,
        "text": item.text,
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
        **stored.fields,
    }


def import_parquet(collection_path: Path, source: Path, *, encoder: Encoding | None = None) -> Imported:
    """Add the rows of a parquet file to a collection, made where it is not there, without encoding anything.

    Needs the columns ``path``, ``modality`` and ``vector`` (a list of floats); the others of ``export_parquet`` are
    read where they are there, and further ones become metadata. ``encoder`` names the encoder that made the vectors,
    as ``embed.load`` takes it, where the file's own metadata do not. Rows that cannot be used are in the report.

    Raises ``MediaError`` for a file that is not such a parquet file, ``SpaceMismatch``, with both, where its vectors
    do not fit the encoder, ``UsageError`` where nothing says which encoder made them.
    """
    table = Table.open(source.expanduser().absolute())
    known = table.space(encoder)
    table.check(COLUMNS, REQUIRED)
    width = _width(table)
    if width is not None and width != known.space.dim:
        raise SpaceMismatch(f"{table.path} holds vectors of {width} components; the space is {known.space}")
    return take_in(collection_path, known, _rows(table, known.space.dim))


def _width(table: Table) -> int | None:
    """How many components the vectors have, where the schema says so."""
    import pyarrow as pa

    found = table.schema.field("vector").type
    lists = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
    if not lists or not pa.types.is_floating(found.value_type):
        raise MediaError(str(table.path), f"its column vector holds {found}; it should hold lists of floats")
    return int(found.list_size) if pa.types.is_fixed_size_list(found) else None


def _rows(table: Table, dim: int) -> Iterator[Row | Failure]:
    import pyarrow as pa
    from pyarrow import compute

    number = 0
    further = [] if table.ours else [name for name in table.schema.names if name not in (*COLUMNS, "paths", "vector")]
    for batch in table.batches():
        column = batch.column("vector")
        lengths = compute.list_value_length(column).fill_null(-1).to_numpy()
        fit = column.filter(pa.array(lengths == dim))
        vectors = iter(fit.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim))
        for fields, length in zip(batch.drop_columns(["vector"]).to_pylist(), lengths.tolist(), strict=True):
            vector = next(vectors) if length == dim else None
            try:
                if vector is None:
                    have = "no vector" if length < 0 else f"a vector of {length} components"
                    raise MediaError("", f"has {have}; the space wants {dim}")
                yield _row(fields, vector, table, number, further)
            except MediaError as error:
                if path := fields["path"]:
                    row = values.number(fields.get("row"))
                    yield Failure(path, error.reason, int(row) if row is not None and row.is_integer() else None)
                else:
                    yield Failure(str(table.path), error.reason, number)
            number += 1


def _row(
    fields: Fields, vector: npt.NDArray[np.floating[Any]], table: Table, number: int, columns: Sequence[str]
) -> Row:
    modality = values.modality(fields["modality"])
    path, text, row = fields["path"], fields.get("text"), values.row_number(fields.get("row"))
    metadata = values.json_object(fields.get("metadata"), "metadata") or {}
    further = {name: fields[name] for name in columns}
    if modality == "text":
        if not text:
            raise MediaError("", "is a text without its text")
        path, row = (path, row) if path else (str(table.path), number)
    else:
        further |= {"text": text} if text else {}
        text = None
    if not path:
        raise MediaError("", f"the row names no path of its {modality}")
    path = path if table.ours else values.resolved(path, table.path.parent)
    metadata = values.plain({**further, **metadata})
    places = [Place(path, row, metadata)]
    if table.ours and fields.get("sources"):
        places = [_place(source) for source in fields["sources"]]
    elif paths := fields.get("paths"):
        places += [Place(str(other), None, metadata) for other in paths if other != fields["path"]]
    part = Media(modality, path=path, text=text, span=values.span(fields), row=row)
    facts = values.json_object(fields.get("facts"), "facts")
    labels = values.json_object(fields.get("model_labels"), "model_labels")
    return Row(part, tuple(places), values.known_hash(fields.get("hash")), facts, vector, labels or {})


def _place(source: Fields) -> Place:
    metadata = values.json_object(source["metadata"], "metadata") or {}
    return Place(source["path"], source["row"], metadata, source["size"], source["mtime"])
