"""What a collection holds, as one value: counts, spaces with their indexes, fields, size on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embed.media import Modality
from indexes.collection import Collection

__all__ = ["Description", "Side", "SpaceSummary"]


@dataclass(frozen=True, slots=True)
class Side:
    """The vectors of one modality in a space: how many, and what kind of index they are searched with.

    ``forgotten`` ones besides are those of files that are no longer in the collection, which no search gives.
    """

    vectors: int
    index: str
    forgotten: int = 0

    def __str__(self) -> str:
        forgotten = f" ({self.forgotten} forgotten)" if self.forgotten else ""
        return ("1 vector" if self.vectors == 1 else f"{self.vectors} vectors") + forgotten


@dataclass(frozen=True, slots=True)
class SpaceSummary:
    """A space: its model, its identity in words, and what it holds of each modality.

    ``precision`` is that of its vectors; where they are of several, the first and then the others.
    """

    model: str
    space: str
    modalities: Mapping[Modality, Side]
    precision: str = "float32"


@dataclass(frozen=True, slots=True)
class Description:
    """What a collection holds.

    ``sources`` are files and rows of tables, ``contents`` the different ones among them, ``items`` their parts.
    ``failures`` counts what was left out, ``bytes`` are those of the folder, ``fields`` are those of filters. ``names``
    is the model in whose space names are compared, None where their words are. ``by_name_alone`` counts the files of
    each modality that no encoder here takes.
    """

    name: str
    path: str
    sources: int
    contents: int
    items: int
    failures: int
    bytes: int
    fields: tuple[str, ...]
    spaces: tuple[SpaceSummary, ...]
    names: str | None
    by_name_alone: Mapping[Modality, int]

    @classmethod
    def of(cls, collection: Collection) -> Description:
        """Describe an open collection. Brings its indexes up to date, which may take a while after an import."""
        with collection.snapshot():
            counts = collection.catalog.counts()
            spaces = []
            for known in collection.spaces:
                sides = {}
                for modality in collection.modalities(known.space):
                    index = collection.index(known.space, modality)
                    live = collection.catalog.count_rows(known.space.id, modality)  # kept, not counted
                    sides[modality] = Side(live, index.description, index.size - live)
                precision = ", ".join([known.precision, *known.mixed])
                spaces.append(SpaceSummary(known.space.model, str(known.space), sides, precision))
            return cls(
                collection.name,
                str(collection.path),
                counts["source"],
                counts["content"],
                counts["item"],
                collection.catalog.count_failures(),
                sum(map(_bytes, collection.path.rglob("*"))),
                tuple(sorted(collection.fields())),
                tuple(spaces),
                collection.names.space.model if collection.names else None,
                collection.catalog.unseen(),
            )

    def to_json(self) -> dict[str, Any]:
        """All of it by name, as JSON's own types."""
        fields = asdict(self)
        return fields | {"fields": list(self.fields), "spaces": list(fields["spaces"])}


def _bytes(path: Path) -> int:
    """How long a file is; 0 for one that a writer takes away meanwhile, and for a folder."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
