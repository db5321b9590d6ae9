"""A parquet file whose schema metadata name the space of its vectors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from embed.encoder import resolve
from embed.errors import MediaError, SpaceMismatch, UsageError, one_line
from embed.media import check_readable
from embed.models import shared
from embed.space import Space
from indexes.collection import KnownSpace
from indexes.durable import replacing
from indexes.exchange import blocks

__all__ = ["Encoding", "Kind", "Table", "identity", "table_writer"]

KEY: Final = b"analogon"  # in the schema metadata: the space and how to load its encoder
FORMAT: Final = 1

Encoding = str | os.PathLike[str] | Mapping[str, Any]
Kind = Literal["text", "number"]


def identity(known: KnownSpace) -> dict[bytes, bytes]:
    """The schema metadata from which ``Table.space`` reads the space again."""
    return {KEY: json.dumps({"format": FORMAT, "space": known.space.to_json(), "encoder": known.encoder}).encode()}


@contextmanager
def table_writer(target: Path, schema: Any, *, use_dictionary: bool | list[str] = True) -> Iterator[Any]:
    """A ``pyarrow.parquet.ParquetWriter`` whose file appears whole, when the block ends well, or not at all."""
    from pyarrow import parquet

    with (
        replacing(target) as temporary,
        temporary.open("wb") as out,
        parquet.ParquetWriter(out, schema, compression="zstd", use_dictionary=use_dictionary) as writer,
    ):
        yield writer


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """An open parquet file, ``file`` a ``pyarrow.parquet.ParquetFile``; errors name its path.

    ``schema`` is its ``pyarrow.Schema``; ``ours`` says whether analogon wrote it.
    """

    path: Path
    file: Any
    schema: Any
    ours: bool

    @classmethod
    def open(cls, path: Path) -> Table:
        """Open a file. Raises ``MediaError`` where it cannot be read, or is no parquet file."""
        from pyarrow import ArrowException, parquet

        check_readable(path)
        try:
            file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
            return cls(path, file, file.schema_arrow, KEY in (file.schema_arrow.metadata or {}))
        except (ArrowException, OSError) as error:
            raise MediaError(str(path), f"is not a parquet file: {one_line(error)}") from None

    def space(self, encoder: Encoding | None) -> KnownSpace:
        """The space of the vectors: what the file says, what the encoder says, and both the same."""
        named = None
        if encoder is not None:
            table = resolve(encoder)
            named = KnownSpace(shared(table).space, table)
        said = self._said_space()
        if named is not None and said is not None and named.space != said.space:
            raise SpaceMismatch(f"{self.path} holds vectors of {said.space}; the encoder named is {named.space}")
        known = named or said
        if known is None:
            raise UsageError(f"{self.path} does not say which model made its vectors: name it with `encoder`")
        return known

    def _said_space(self) -> KnownSpace | None:
        if not self.ours:
            return None
        try:
            said = json.loads(self.schema.metadata[KEY])
            return KnownSpace(Space.from_json(said["space"]), dict(said["encoder"]))
        except (ValueError, KeyError, TypeError) as error:
            raise MediaError(str(self.path), f"what it says of its space cannot be read: {one_line(error)}") from None

    def check(self, columns: Mapping[str, Kind], required: Sequence[str] = ()) -> None:
        """Raise ``MediaError`` where a required column is not there, or one that is there has another type."""
        import pyarrow as pa

        names = self.schema.names
        if missing := [name for name in required if name not in names]:
            have = ", ".join(names)
            raise MediaError(str(self.path), f"has no column {' and no column '.join(missing)}; it has: {have}")
        for name, kind in columns.items():
            if name in names:
                found = self.schema.field(name).type
                values = found.value_type if pa.types.is_dictionary(found) else found
                is_text = (
                    pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values)
                )
                is_number = pa.types.is_integer(values) or pa.types.is_floating(values)
                if not (pa.types.is_null(values) or (is_text if kind == "text" else is_number)):
                    raise MediaError(str(self.path), f"its column {name} holds {found}; it should hold {kind}")

    def batches(self) -> Iterator[Any]:
        """The rows, as ``pyarrow.RecordBatch``. Raises ``MediaError`` where the file is damaged."""
        from pyarrow import ArrowException

        try:
            yield from self.file.iter_batches(blocks.ROWS)
        except (ArrowException, OSError) as error:
            raise MediaError(str(self.path), f"is damaged: {one_line(error)}; the rows before that are in") from None
