"""What is wholly new to a catalog, gathered in Python, and written table by table instead of row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from embed.media import Modality

__all__ = ["Additions", "NewSource"]


@dataclass(slots=True)
class NewSource:
    """A source to be; what it holds may be written over until it is put."""

    id: int
    path: str
    row: int | None
    content: int
    modalities: tuple[Modality, ...]
    size: int
    mtime: int
    metadata: dict[str, Any]
    ctime: int | None = None
    device: int | None = None


@dataclass(slots=True)
class Additions:
    """Contents, sources, items and vectors whose ids nothing has yet: those behind the last ones.

    ``vectors`` are, by modality, those of items, new or not, that a space has none of: unit rows, float32. ``done`` is
    what contents have in the space by then: (content, modality) -> how many parts, and the error that cut it short.
    """

    content: int  # the last ids that there are
    source: int
    item: int
    contents: list[tuple[int, str, Mapping[str, Any], str | None]] = field(default_factory=list)
    sources: list[NewSource] = field(default_factory=list)
    items: list[tuple[int, int, Modality, float, float, str | None]] = field(default_factory=list)
    vectors: dict[Modality, dict[int, npt.NDArray[np.float32]]] = field(default_factory=dict)
    done: dict[tuple[int, Modality], tuple[int, str | None]] = field(default_factory=dict)

    def add_content(self, digest: str, facts: Mapping[str, Any], text: str | None) -> int:
        """The id of a content that is to be."""
        self.contents.append((self.content + len(self.contents) + 1, digest, facts, text))
        return self.contents[-1][0]

    def add_source(self, path: str, row: int | None, content: int, *held: Any) -> NewSource:
        """A source that is to be; ``held`` are its modalities, size, mtime, metadata, ctime and device."""
        self.sources.append(NewSource(self.source + len(self.sources) + 1, path, row, content, *held))
        return self.sources[-1]

    def add_item(self, content: int, modality: Modality, start: float, end: float, text: str | None) -> int:
        """The id of an item that is to be."""
        self.items.append((self.item + len(self.items) + 1, content, modality, start, end, text))
        return self.items[-1][0]
