"""What an indexing run is asked to do, what it tells while it goes on, and what it reports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embed import listener as listening
from embed import tables
from embed.errors import UsageError
from embed.media import Modality
from indexes.catalog import Failure, Note
from indexes.collection import Collection
from indexes.writer import Entry, Writer

__all__ = ["Listener", "Plan", "Report", "Run", "SideTable"]


class Listener(listening.Listener):
    """What an indexing run tells beside what every work does: phases and items are those of files."""

    def failed(self, failure: Failure) -> None:
        """A file was left out, wholly or partly."""

    def noted(self, note: Note) -> None:
        """A file was indexed, but something of it was dropped, guessed or mixed away."""

    def committed(self, entries: Sequence[Entry]) -> None:
        """These vectors are on disk: a kill at any instant does not lose them."""


@dataclass(frozen=True, slots=True)
class SideTable:
    """Metadata columns beside the files: rows by the value of ``key``, a path, a file's name, or its stem."""

    path: str
    key: str
    rows: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: str, key: str) -> SideTable:
        """Read a CSV, TSV or JSONL file. Raises ``UsageError`` naming the columns where ``key`` is none of them."""
        return cls(path, key, tables.metadata_table(path, key))

    def of(self, path: str, root: str) -> tuple[str, dict[str, Any]] | None:
        """The key and the columns that belong to a file found under ``root``."""
        inside = os.path.relpath(path, root)
        for name in (path, inside, os.path.join(os.path.basename(root), inside), Path(path).name, Path(path).stem):
            if name in self.rows:
                return name, self.rows[name]
        return None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to index: files and folders, and how to read them.

    ``memory`` is the budget of each search index in bytes. ``probes`` are texts with which the recall of an
    approximate index is measured, beside its own vectors.
    """

    paths: tuple[str, ...]
    text_column: str | None = None
    side_table: SideTable | None = None
    only: frozenset[Modality] | None = None
    prune: bool = False
    retry: bool = False
    memory: int | None = None
    probes: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What a run did. Counts are of files (and rows of tables) unless named otherwise."""

    found: int = 0
    rows: int = 0  # how many of those found are rows of tables
    known: int = 0
    new: int = 0
    changed: int = 0
    moved: int = 0
    duplicates: int = 0
    missing: int = 0
    removed: int = 0
    ignored: int = 0
    encoded: int = 0
    unseen: dict[Modality, int] = field(default_factory=dict)  # files that no encoder of the run takes: names only
    vectors: int = 0
    matched: int | None = None
    still_failing: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


class Run:
    """A run while it goes on: what it works on, what was asked, who listens, what is to be reported.

    Raises ``UsageError`` for a path that does not exist.
    """

    def __init__(self, collection: Collection, writer: Writer, plan: Plan, listener: Listener, report: Report) -> None:
        self.collection = collection
        self.catalog = collection.catalog
        self.writer = writer
        self.plan = plan
        self.listener = listener
        self.report = report
        self.roots = [_root(path) for path in plan.paths]
        self._noted: set[Note] = set()

    def fail(self, path: str, reason: str, row: int | None = None) -> None:
        """A path, or a row of it, was left out: the catalog keeps that too."""
        self.catalog.put_failure(path, row, reason)
        self.told(Failure(path, reason, row))

    def told(self, failure: Failure) -> None:
        """A failure that the catalog keeps in another way goes to the report and to who listens."""
        self.report.failures.append(failure)
        self.listener.failed(failure)

    def noted(self, content: int, notes: Sequence[str]) -> None:
        """Tell each note once a run, whatever the number of spaces that the content is encoded in."""
        for source in self.catalog.sources_of_content(content) if notes else ():
            for note in (Note(source.path, text, source.row) for text in notes):
                if note not in self._noted:
                    self._noted.add(note)
                    self.report.notes.append(note)
                    self.listener.noted(note)


def _root(path: str) -> str:
    full = os.path.abspath(os.path.expanduser(path))
    if not os.path.lexists(full):
        raise UsageError(f"{path}: no such file or folder")
    return full
