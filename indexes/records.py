"""What the catalog knows, as records: sources, items, failures, notes, and which file holds which vectors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from embed.errors import escaped
from embed.media import Media, Modality, Span

__all__ = ["ADDED", "Failure", "Item", "Named", "Note", "Pending", "Source", "Store", "added"]

ADDED: Final = "added:/"
"""What stands before the id of a thing that was added from memory, where others have the path of their file."""


def added(path: str) -> bool:
    """Whether this is the id of a thing that was added from memory, and no file's path.

    >>> added("added:/clip-17"), added("/added/clip.wav")
    (True, False)
    """
    return path.startswith(ADDED)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a content was found: a path (and a table's row), with the file's size and mtime in nanoseconds.

    ``ctime``, in nanoseconds, is when anything of the file changed last, and ``device`` the file system of the folder
    that it lies in (``st_dev``); None where that is not known.
    """

    id: int
    path: str
    row: int | None
    content: int
    size: int
    mtime: int
    modalities: tuple[Modality, ...]
    metadata: dict[str, Any]
    ctime: int | None = None
    device: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a content, with every source that holds it and what is known of it.

    ``facts`` are what the medium knows of itself, ``labels`` what a model said of it.
    """

    id: int
    content: int
    modality: Modality
    span: Span | None
    text: str | None
    sources: tuple[Source, ...]
    facts: dict[str, Any]
    labels: dict[str, Any]

    @property
    def metadata(self) -> dict[str, Any]:
        """The labels, and the columns that side tables gave, which win; of several sources the first one's."""
        columns = [source.metadata for source in reversed(self.sources)]
        return {name: value for fields in (self.labels, *columns) for name, value in fields.items()}

    @property
    def media(self) -> Media:
        """What the item is, as something that can be encoded or shown again."""
        source = self.sources[0]
        return Media(self.modality, path=source.path, text=self.text, span=self.span, row=source.row)


@dataclass(frozen=True, slots=True)
class Failure:
    """A path (and a table's row) that could not be indexed, wholly or (``partly``) to its end, and why."""

    path: str
    reason: str
    row: int | None = None
    partly: bool = False

    def __str__(self) -> str:
        return escaped(f"{'partly indexed' if self.partly else 'skipped'} {_place(self.path, self.row)}: {self.reason}")

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Note:
    """What should be known of a path (and a table's row) that was indexed: what was dropped, guessed or mixed away."""

    path: str
    reason: str
    row: int | None = None

    def __str__(self) -> str:
        return escaped(f"{_place(self.path, self.row)}: {self.reason}")

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pending:
    """A content that a space has not yet, and one of the sources to read it from."""

    content: int
    media: Media
    size: int
    mtime: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Store:
    """The vector file of one (space, modality), how many of its rows count, and how many of those are dead."""

    space: str
    modality: Modality
    file: str
    rows: int
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """A content of one modality that was found by its name: the first of its items, and the source of that name."""

    source: int
    item: int
    content: int
    modality: Modality


def _place(path: str, row: int | None) -> str:
    return path if row is None else f"{path}, row {row + 1}"
