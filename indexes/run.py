"""What an indexing run is asked to do, what it tells while it goes on, and what it reports."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from embed import listener as listening
from embed import tables
from embed.errors import MachineError, MediaError, UsageError
from embed.media import Modality
from embed.several import several
from indexes.absence import Kept
from indexes.collection import Collection
from indexes.fields import COLUMNS, MEASURED
from indexes.records import Failure, Note
from indexes.writer import Entry, Writer

__all__ = ["PATIENCE", "Confirm", "Kept", "Listener", "Matches", "Plan", "Report", "Run", "SideTable"]

PATIENCE: Final = 3  # files in a row that the machine may fail before a run gives up
SHOWN: Final = 5  # names in one line
Confirm = Callable[[Kept], bool]
"""Asks whether what is kept is to be removed nevertheless."""


class Listener(listening.Listener):
    """What an indexing run tells beside what every work does: phases and items are those of files."""

    def failed(self, failure: Failure) -> None:
        """A file was left out, wholly or partly."""

    def noted(self, note: Note) -> None:
        """A file was indexed, but something of it was dropped, guessed or mixed away."""

    def postponed(self, fault: MachineError) -> None:
        """A file could not be read or encoded for the moment, by no fault of its own: the next run tries it again."""

    def committed(self, entries: Sequence[Entry]) -> None:
        """These vectors are on disk: a kill at any instant does not lose them."""


@dataclass(frozen=True, slots=True)
class SideTable:
    """Metadata columns beside the files: rows by the value of ``key``, a path, a file's name, or its stem."""

    path: str
    key: str
    rows: dict[str, dict[str, Any]]
    notes: tuple[str, ...] = ()  # what was left out of the rows

    @classmethod
    def read(cls, path: str, key: str) -> SideTable:
        """Read a CSV, TSV or JSONL file.

        Raises ``UsageError`` naming the columns where ``key`` is none of them, where two rows name one file, and where
        the table or a row of it cannot be read.
        """
        notes: list[str] = []
        try:
            rows = tables.metadata_table(path, key, notes.append)
        except MediaError as error:
            raise UsageError(str(error)) from None
        spelled: dict[str, str] = {}
        for name in rows:
            if (other := spelled.setdefault(_spelled(name), name)) != name:
                raise UsageError(f"{path}: {key} {other!r} and {name!r} are one file's; keys must differ")
        known = (MEASURED | COLUMNS.keys()) - {"text"}  # a caption may well be called text
        if hiding := sorted({column for row in rows.values() for column in row if column in known}):
            columns, count = ("the columns", "count") if len(hiding) > 1 else ("the column", "counts")
            notes.append(f"{columns} {', '.join(hiding)} {count} in filters instead of what the files themselves tell")
        return cls(path, key, rows, tuple(notes))

    def match(self, files: Iterable[str], same: Mapping[str, int] | None = None) -> Matches:
        """Which row is which file's.

        A row names a file by its whole path or by the end of it, down to the bare name; the suffix may be left out. The
        longest that is there counts. A row that would be that of files in several folders is nobody's, unless all of
        them are the ``same``: equal files have one number.
        """
        spelled = {_spelled(name): name for name in self.rows}
        claims: dict[str, dict[str, None]] = {}
        for path in files:
            key = next((spelled[name] for name in _endings(path) if name in spelled), None)
            if key is not None:
                claims.setdefault(key, {})[path] = None
        several = {
            key: list(paths)
            for key, paths in claims.items()
            if len({os.path.dirname(path) for path in paths}) > 1
            and (same is None or len({same[path] for path in paths}) > 1)
        }
        return Matches(
            {path: key for key, paths in claims.items() if key not in several for path in paths},
            several,
            [key for key in self.rows if key not in claims],
            len(self.rows),
        )


@dataclass(frozen=True, slots=True)
class Matches:
    """The row of each path, the rows that files of ``several`` folders would have, and those of no file."""

    rows: dict[str, str]
    several: dict[str, list[str]]
    unused: list[str]
    total: int

    def lines(self) -> Iterator[str]:
        """What a person should know of the rows that are not used, one line each for the two reasons."""
        if self.several:
            paths = next(iter(self.several.values()))
            yield (
                f"{_listed(self.several)} may be files of several folders, such as {paths[0]} and {paths[-1]}, and "
                f"{'was' if len(self.several) == 1 else 'were'} given to none of them; write more of the path"
            )
        if self.unused:
            yield f"{len(self.unused)} of {self.total} rows match no file here: {_listed(self.unused)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to index: files and folders, and how to read them; one of ``paths``, ``only``, ``probes`` may stand alone.

    ``prune`` removes what was deleted, ``force`` also what is not there for a reason that nobody knows, and more than
    a third of a collection, without asking. ``reread`` hashes every file, whatever its size and times are. ``memory``
    is the budget of each search index in bytes. ``probes`` are texts with which the recall of an approximate index is
    measured, beside its own vectors.
    """

    paths: tuple[str, ...]
    text_column: str | None = None
    side_table: SideTable | None = None
    only: frozenset[Modality] | None = None
    prune: bool = False
    force: bool = False
    reread: bool = False
    retry: bool = False
    memory: int | None = None
    probes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(os.fspath(path) for path in several(self.paths)))
        object.__setattr__(self, "probes", several(self.probes))
        if self.only is not None:
            object.__setattr__(self, "only", frozenset(several(self.only)))


@dataclass(slots=True)
class Report:
    """What a run did. Counts are of files (and rows of tables) unless named otherwise.

    ``gone`` are the paths of files that were deleted: they are ``missing``, or ``removed`` where that was asked for.
    ``kept`` is what is not there or cannot be looked at, and stays. ``hashed`` counts the files that were read to know
    whether their content is a new one.
    """

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
    hashed: int = 0
    gone: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    asides: list[Note] = field(default_factory=list)  # what should be known of a table or a folder; nothing keeps it
    unused: int | None = None  # rows of the side table that match no file
    postponed: list[MachineError] = field(default_factory=list)  # files that the next run tries again

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        told: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("failures", "notes", "asides"):
            told[name] = [one.to_json() for one in told[name]]
        kept = [asdict(one) | {"paths": list(one.paths)} for one in self.kept]
        postponed = [{"path": one.name, "reason": one.reason} for one in self.postponed]
        return told | {"unseen": dict(self.unseen), "gone": list(self.gone), "kept": kept, "postponed": postponed}


class Run:
    """A run while it goes on: what it works on, what was asked, who listens, what is to be reported.

    ``confirm`` is asked whether what is not there, or so much, is to be removed. Raises ``UsageError`` for a path that
    does not exist, unless it is one to be pruned.
    """

    def __init__(
        self,
        collection: Collection,
        writer: Writer,
        plan: Plan,
        listener: Listener,
        report: Report,
        confirm: Confirm | None = None,
    ) -> None:
        self.collection = collection
        self.catalog = collection.catalog
        self.writer = writer
        self.plan = plan
        self.listener = listener
        self.report = report
        self.confirm = confirm
        self.roots = [self._root(path) for path in dict.fromkeys(plan.paths)]
        self._noted: set[Note] = set()
        self._in_a_row = 0

    def fail(self, path: str, reason: str, row: int | None = None) -> None:
        """A path, or a row of it, was left out: the catalog keeps that too."""
        self.catalog.put_failure(path, row, reason)
        self.told(Failure(path, reason, row))

    def postpone(self, fault: MachineError) -> bool:
        """Nothing is kept against a file that the machine failed; gives whether ``PATIENCE`` of them came in a row."""
        self._in_a_row += 1
        self.report.postponed.append(fault)
        self.listener.postponed(fault)
        return self._in_a_row >= PATIENCE

    def went_on(self) -> None:
        """A file got through to where it was found good or bad: the machine works."""
        self._in_a_row = 0

    def stopped(self) -> MachineError:
        """What to raise when a run gives up."""
        last = self.report.postponed[-1]
        return MachineError(
            self.collection.name,
            f"stopped after {PATIENCE} files in a row that failed by no fault of their own; what was done is kept, and "
            f"the next run goes on from there. The last was {last}",
        )

    def told(self, failure: Failure) -> None:
        """A failure that the catalog keeps in another way goes to the report and to who listens."""
        self.report.failures.append(failure)
        self.listener.failed(failure)

    def aside(self, path: str, text: str) -> None:
        """Tell what should be known of a table or a folder as a whole."""
        self.report.asides.append(Note(path, text))
        self.listener.noted(self.report.asides[-1])

    def noted(self, content: int, notes: Sequence[str]) -> None:
        """Tell each note once a run, whatever the number of spaces that the content is encoded in."""
        for source in self.catalog.sources_of_content(content) if notes else ():
            for note in (Note(source.path, text, source.row) for text in notes):
                if note not in self._noted:
                    self._noted.add(note)
                    self.report.notes.append(note)
                    self.listener.noted(note)

    def _root(self, path: str) -> str:
        full = os.path.abspath(os.path.expanduser(path))
        try:
            os.lstat(full)
        except (FileNotFoundError, NotADirectoryError):
            known = sum(count for _, _, count in self.catalog.places_under(full))
            if not known:
                raise UsageError(f"{path}: no such file or folder") from None
            if not self.plan.prune:
                raise UsageError(
                    f"{path}: no such file or folder; what was indexed there stays in {self.collection.name} ({known} "
                    "in all) until it is pruned or removed"
                ) from None
        except (OSError, ValueError):
            pass  # the scan says what is wrong with it
        return full


def _spelled(name: str) -> str:
    """A path as it is compared: with slashes, without detours, in composed letters (macOS takes them apart)."""
    return unicodedata.normalize("NFC", os.path.normpath(name.replace("\\", "/")).replace(os.sep, "/"))


def _endings(path: str) -> Iterator[str]:
    """A path, ever shorter ends of it, and those without the suffix."""
    whole = _spelled(path)
    parts = whole.split("/")
    ends = [whole, *("/".join(parts[start:]) for start in range(1, len(parts)))]
    yield from ends
    yield from (os.path.splitext(end)[0] for end in ends)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(map(repr, names[:SHOWN]))
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
