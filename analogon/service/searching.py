"""Asking a collection: what is near to a query, what it holds, and what was left out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analogon.search.description import Description
from analogon.search.hits import Hits
from analogon.search.library import Library
from analogon.service.filling import opened
from analogon.service.request import Request
from indexes.records import Failure, Note

__all__ = ["Describe", "LeftOut", "ListFailures", "Search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search(Request):
    """What is closest in meaning to a text, a file, or an expression of them: the fields are ``Library.search``'s."""

    query: str | Mapping[str, Any]
    collection: str | None = None
    to: str | None = None
    k: int = 10
    where: str | None = None
    offset: int = 0
    spaces: tuple[str, ...] = ()
    parts: bool = False
    include_self: bool = False
    by: str | None = None
    bridge: str | None = None
    rerank: str = "none"
    variety: float = 0.0

    def run(self, library: Library | None = None) -> Hits:
        """Search. ``library`` is the collection where the caller has it open. Raises what ``Library.search`` raises."""
        with opened(self.collection, library) as found:
            return found.search(
                self.query,
                to=self.to,
                k=self.k,
                where=self.where,
                offset=self.offset,
                spaces=self.spaces,
                parts=self.parts,
                include_self=self.include_self,
                by=self.by,
                bridge=self.bridge,
                rerank=self.rerank,
                variety=self.variety,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe(Request):
    """What a collection holds, and in which spaces."""

    collection: str | None = None

    def run(self, library: Library | None = None) -> Description:
        """Describe it. Raises ``CollectionNotFound``."""
        with opened(self.collection, library) as found:
            return found.describe()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files that were left out wholly or partly, each with its reason, and what is to be known of others."""

    failures: tuple[Failure, ...]
    notes: tuple[Note, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "failures": [failure.to_json() for failure in self.failures],
            "notes": [note.to_json() for note in self.notes],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFailures(Request):
    """What was left out of a collection, and why; what was dropped, guessed or mixed away of what is in it."""

    collection: str | None = None

    def run(self, library: Library | None = None) -> LeftOut:
        """List it. Raises ``CollectionNotFound``."""
        with opened(self.collection, library) as found:
            catalog = found.collection.catalog
            return LeftOut(tuple(catalog.failures()), tuple(catalog.notes()))
