"""A collection's items and vectors in files that other programs read, and those of others in a collection."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from analogon.search.library import Library
from analogon.service.filling import folder_of, opened
from analogon.service.request import Request
from embed.errors import UsageError
from indexes.build import Listener
from indexes.records import Failure

__all__ = ["Export", "Exported", "Import", "Imported"]

SUFFIX: Final = re.compile(r"\.[A-Za-z]\w*")
"""A suffix as files have them: the "2" of a folder v1.2 is none."""


@dataclass(frozen=True, slots=True)
class Exported:
    """How many items were written, and where."""

    items: int
    target: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export(Request):
    """A .parquet file to write, or a folder for clip-retrieval's layout; ``encoder`` chooses among several spaces.

    A file that is there is written over with ``force`` only, a folder that holds something never.
    """

    target: Path
    collection: str | None = None
    encoder: str | None = None
    force: bool = False

    def run(self, library: Library | None = None) -> Exported:
        """Write it. Raises ``CollectionNotFound``, and ``UsageError`` where the target or the space cannot be used."""
        from indexes import exchange

        parquet = self.target.suffix == ".parquet"
        if not parquet and SUFFIX.fullmatch(self.target.suffix):
            raise UsageError(
                f"{self.target}: an export is a .parquet file, or a folder for clip-retrieval's layout, whose name has "
                f"no suffix: {self.target.with_suffix('.parquet')} or {self.target.with_suffix('')}"
            )
        if parquet and not self.force and self.target.expanduser().exists():
            raise UsageError(f"{self.target} is there already; `force=True` writes over it")
        with opened(self.collection, library) as found:
            space = found.collection.adopt(self.encoder).space if self.encoder is not None else None
            write = exchange.export_parquet if parquet else exchange.export_clip_retrieval
            return Exported(write(found.collection, self.target, space=space), str(self.target))


@dataclass(frozen=True, slots=True)
class Imported:
    """Of ``found`` rows so many vectors were new or known already; the others were left out with a reason."""

    found: int
    vectors: int
    known: int
    failures: tuple[Failure, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"failures": [failure.to_json() for failure in self.failures]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(Request):
    """A .parquet file, or a folder in clip-retrieval's layout, to make a collection of, or to add to one."""

    source: Path
    collection: str | None = None
    encoder: str | None = None

    def run(self, listener: Listener | None = None) -> Imported:
        """Take it in; nothing is encoded again. ``listener`` hears of what is left out.

        Raises ``UsageError``, ``SpaceMismatch`` and ``MediaError``.
        """
        from indexes import exchange

        if not self.source.exists():
            raise UsageError(f"{self.source}: no such file or folder")
        read = exchange.import_clip_retrieval if self.source.is_dir() else exchange.import_parquet
        taken = read(folder_of(self.collection), self.source, encoder=self.encoder)
        if listener is not None:
            for failure in taken.failures:
                listener.failed(failure)
        return Imported(taken.found, taken.vectors, taken.known, tuple(taken.failures))
