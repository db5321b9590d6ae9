"""Putting files into a collection, and taking them out of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from analogon.search.description import Description
from analogon.search.library import Library
from analogon.service.filling import encoders_for, folder_of, opened, to_fill
from analogon.service.request import Request
from analogon.settings import config
from embed.errors import UsageError
from indexes.build import Confirm, Listener, Report
from indexes.faiss import parse_memory
from indexes.writer import remove_collection

__all__ = ["Index", "Indexed", "Remove", "Removed"]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a run did, and what the collection holds since."""

    report: Report
    collection: Description

    def to_json(self) -> dict[str, Any]:
        return {"report": self.report.to_json(), "collection": self.collection.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Request):
    """Files and folders to index; what a collection has already is not encoded again.

    ``collection`` is a name or the path of a folder; it is made where it is not there. ``encoders`` are as
    ``embed.load`` takes them; without any, the collection's own, those of the settings, or what suits the files.
    ``metadata`` is a table whose column ``key`` names the files; ``text_column`` makes rows of tables into texts;
    ``only`` are modalities. ``memory`` is the budget of each search index, such as "2G". ``prune`` removes what is no
    longer there, with ``force`` also what may be on a drive that is not there; ``reread`` reads files again whatever
    their size and times are; ``retry`` tries again what failed before.
    """

    paths: tuple[str, ...]
    collection: str | None = None
    encoders: tuple[str, ...] = ()
    metadata: str | None = None
    key: str = "file"
    text_column: str | None = None
    only: tuple[str, ...] = ()
    memory: str | None = None
    prune: bool = False
    force: bool = False
    reread: bool = False
    retry: bool = False

    def run(self, listener: Listener | None = None, *, confirm: Confirm | None = None) -> Indexed:
        """Index. ``listener`` hears phases, files, what is skipped and, as remarks, which encoders were chosen.

        ``confirm`` is asked of what is not found and might be on a drive that is not there.
        Raises what ``Library.index`` raises; where that fails and the collection is new, none is left behind.
        """
        listener = listener or Listener()
        folder = folder_of(self.collection)
        budget = self.memory or config.default_memory()
        memory = parse_memory(budget) if budget else None
        names = self.encoders or encoders_for(folder, self.paths, self.only, say=listener.remark)
        with to_fill(folder) as library:
            report = library.index(
                *self.paths,
                encoders=names,
                metadata=self.metadata,
                key=self.key,
                text_column=self.text_column,
                only=self.only,
                prune=self.prune,
                force=self.force,
                reread=self.reread,
                retry=self.retry,
                memory=memory,
                listener=listener,
                confirm=confirm,
            )
            return Indexed(report, library.describe())


@dataclass(frozen=True, slots=True)
class Removed:
    """How many files were forgotten, and paths of which none was known; or the folder of the deleted collection."""

    files: int
    deleted: str | None = None
    unknown: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(Request):
    """Files and folders to forget, or ``everything``, the whole collection; the files themselves stay untouched."""

    paths: tuple[str, ...] = ()
    collection: str | None = None
    everything: bool = False

    def run(self, library: Library | None = None) -> Removed:
        """Forget. ``library`` is the collection where the caller has it open, and of no use after ``everything``.

        Raises ``CollectionNotFound``, ``CollectionLocked``, and ``UsageError`` where both or neither are asked for.
        """
        if self.everything == bool(self.paths):
            raise UsageError("name the files to forget, or say `everything` to delete the whole collection")
        if self.everything:
            folder = library.collection.path if library is not None else folder_of(self.collection)
            remove_collection(folder)
            return Removed(0, str(folder))
        with opened(self.collection, library) as found:
            unknown = tuple(path for path in self.paths if not found.holds(path))
            return Removed(found.remove(*self.paths), unknown=unknown)
