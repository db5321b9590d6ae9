"""One indexing run: walk, hash what is new, encode what a space has not yet, commit batch by batch, report."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from embed import decode, tables
from embed.encoder import Encoder
from embed.errors import MediaError, UsageError
from embed.media import TABLE_SUFFIXES, Media, Modality, check_readable, content_hash, modalities_of
from embed.pipeline import Encoded, encode, encode_stream
from indexes.catalog import Failure, Pending, Source
from indexes.collection import Collection, Done, Entry, Writer

__all__ = ["Listener", "Plan", "Report", "SideTable", "build", "files_under"]

COMMIT_VECTORS: Final = 256
COMMIT_SECONDS: Final = 2.0
SCAN_BATCH: Final = 256
BY_NAME: Final[frozenset[Modality]] = frozenset({"audio", "image", "video"})  # texts have their words in them
SCAN_AHEAD: Final = 64


class Listener:
    """What a run tells while it goes on; every method may be left as it is."""

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        """A phase begins: ``total`` files (None: not known yet) that hold ``seconds`` of sound or video."""

    def advance(self, files: int = 1, seconds: float = 0.0) -> None:
        """So many more files are through."""

    def failed(self, failure: Failure) -> None:
        """A file was left out, wholly or partly."""

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


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    root: str
    modalities: tuple[Modality, ...]
    seen: bool = True  # whether any encoder of the run takes it


@dataclass(frozen=True, slots=True)
class _Known:
    source: Source
    found: _Found


@dataclass(frozen=True, slots=True)
class _Scanned:
    found: _Found
    size: int
    mtime: int
    digest: str
    facts: dict[str, Any]


def build(
    collection: Collection,
    encoders: Sequence[tuple[Encoder, Mapping[str, Any]]],
    plan: Plan,
    listener: Listener | None = None,
    *,
    names: tuple[Encoder, Mapping[str, Any]] | None = None,
) -> Report:
    """Bring a collection up to date with ``plan.paths`` in the space of every encoder; give a report.

    ``encoders`` come with the tables that ``embed.load`` makes them from. What is there already is not encoded
    again. ``names`` is the encoder in whose space names are compared. Sounds, pictures and videos that no encoder
    takes are found by their names alone: the report counts them as ``unseen``. Files that cannot be read never end the
    run: they are in the report and in the catalog. Raises ``UsageError`` for a path that does not exist,
    ``CollectionLocked`` while another process writes.
    """
    started = time.monotonic()
    report = Report()
    with collection.writing() as writer:
        run = _Run(collection, writer, plan, listener or Listener(), report)
        for encoder, table in encoders:
            writer.add_space(encoder.space, dict(table))
            if plan.retry:
                with collection.catalog.transaction():
                    collection.catalog.retry(encoder.space.id)
        before = {(failure.path, failure.row) for failure in collection.catalog.failures()}
        run.scan(frozenset().union(*(encoder.modalities for encoder, _ in encoders)))
        for encoder, _ in encoders:
            run.encode(encoder)
            run.build_indexes(encoder)
        if names is not None:
            writer.build_names(names[0], dict(names[1]))
        now = {(failure.path, failure.row) for failure in report.failures}
        after = {(failure.path, failure.row) for failure in collection.catalog.failures()}
        report.still_failing = len((before & after) - now)
    report.seconds = time.monotonic() - started
    return report


class _Run:
    def __init__(self, collection: Collection, writer: Writer, plan: Plan, listener: Listener, report: Report) -> None:
        self.collection = collection
        self.catalog = collection.catalog
        self.writer = writer
        self.plan = plan
        self.listener = listener
        self.report = report
        self.roots = [_root(path) for path in plan.paths]
        self.matched: set[str] = set()
        self.seen: set[str] = set()
        self.failed = self.catalog.failed_paths()
        self.tables: list[str] = []

    # -- the scan: which files are there, and what do they hold -------------------------------------------------

    def scan(self, taken: frozenset[Modality]) -> None:
        asked = self.plan.only if self.plan.only is not None else taken | BY_NAME
        wanted = taken & asked
        roots = self.roots
        self.listener.phase("scan", None)
        for batch in _batches(self._scanned(self._walk(roots, wanted, asked & BY_NAME)), SCAN_BATCH):
            with self.catalog.transaction():
                for scanned in batch:
                    if isinstance(scanned, _Scanned):
                        self._record(scanned)
                    else:
                        self._known(scanned)
        if "text" in wanted and self.plan.text_column is not None:
            for path in dict.fromkeys(self.tables):
                self._scan_table(path)
        self._missing(roots)
        with self.catalog.transaction():
            self.catalog.sweep()
        if self.plan.side_table is not None:
            self.report.matched = len(self.matched)

    def _walk(
        self, roots: Iterable[str], wanted: frozenset[Modality], by_name: frozenset[Modality]
    ) -> Iterator[_Found]:
        for root in roots:
            base = root if os.path.isdir(root) else os.path.dirname(root)
            for path in files_under(root, self._fail):
                try:
                    path.encode("utf-8")
                except UnicodeEncodeError:
                    self._fail(
                        os.fsencode(path).decode("utf-8", "backslashreplace"), "its name is not UTF-8; rename it"
                    )
                    continue
                kinds = tuple(m for m in modalities_of(path) if m in wanted)
                seen = bool(kinds)
                kinds = kinds or tuple(m for m in modalities_of(path) if m in by_name)[-1:]  # a video is a video
                if _is_table(path):
                    if self.plan.text_column is not None:
                        self.tables.append(path)
                    elif path != root:
                        self.report.ignored += 1
                    else:
                        raise UsageError(f"{path} is a table: name the column that holds its texts with --text-column")
                elif not kinds:
                    self.report.ignored += 1
                elif path not in self.seen:
                    self.seen.add(path)
                    yield _Found(path, base, kinds, seen)

    def _scanned(self, found: Iterator[_Found]) -> Iterator[_Scanned | _Known]:
        """Hash and measure, in threads, the files that are not known as they stand; pass the others on at once."""

        def measure(one: _Found, size: int, mtime: int) -> _Scanned:
            digest = content_hash(Media(one.modalities[0], path=one.path))
            try:
                facts = dict(decode.facts(Media(one.modalities[-1], path=one.path)))
            except MediaError:
                facts = {}  # decoding will say what is wrong with it
            return _Scanned(one, size, mtime, digest, facts)

        def submit(count: int) -> None:
            for one in islice(found, count):
                self.report.found += 1
                self.listener.advance()
                try:
                    status = check_readable(one.path)
                except MediaError as error:
                    if one.seen:
                        self._fail(error.name, error.reason)
                    else:
                        self.report.found -= 1
                        self.report.ignored += 1
                    continue
                known = self.catalog.source(one.path)
                if known and (known.size, known.mtime) == (status.st_size, status.st_mtime_ns):
                    settled.append(_Known(known, one))
                else:
                    waiting.append((one, pool.submit(measure, one, status.st_size, status.st_mtime_ns)))

        settled: deque[_Known] = deque()
        waiting: deque[tuple[_Found, Future[_Scanned]]] = deque()
        with ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="scan") as pool:
            try:
                while True:
                    before = self.report.found
                    submit(SCAN_AHEAD - len(waiting))
                    while settled:
                        yield settled.popleft()
                    if not waiting and self.report.found == before:
                        return
                    if waiting:
                        one, future = waiting.popleft()
                        try:
                            yield future.result()
                        except MediaError as error:
                            self._fail(one.path, error.reason)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _known(self, known: _Known) -> None:
        """A file stands as it did: only its metadata, or the modalities that are asked for, may be new."""
        self.report.known += 1
        source, found = known.source, known.found
        if found.path in self.failed:
            self.catalog.forget_failures(found.path)
        kinds = tuple(dict.fromkeys((*source.modalities, *found.modalities)))
        metadata = self._metadata(found)
        if metadata is None:
            metadata = source.metadata
        if (kinds, metadata) != (source.modalities, source.metadata):
            self.catalog.put_source(source.path, source.row, source.content, kinds, source.size, source.mtime, metadata)
        if not found.seen:
            self._by_name(found, source.content)

    def _by_name(self, found: _Found, content: int) -> None:
        """A file that no encoder takes stands in the catalog as a whole, to be found by its name."""
        modality = found.modalities[0]
        if not self.catalog.has_vectors(content):
            self.catalog.put_item(content, Media(modality, path=found.path), None)
            self.report.unseen[modality] = self.report.unseen.get(modality, 0) + 1

    def _record(self, scanned: _Scanned) -> None:
        found = scanned.found
        content = self.catalog.put_content(scanned.digest, scanned.facts, None)
        metadata = self._metadata(found)
        others = [source for source in self.catalog.sources_of_content(content) if source.path != found.path]
        gone = [source for source in others if not os.path.lexists(source.path)]
        known = self.catalog.source(found.path)
        if known is None and gone:
            self.report.moved += 1
            self.catalog.move_source(gone[0].id, found.path, scanned.size, scanned.mtime)
            if metadata is None:
                metadata = gone[0].metadata
        elif known is not None:
            self.report.changed += known.content != content
            self.report.known += known.content == content
            metadata = known.metadata if metadata is None else metadata
        elif others:
            self.report.duplicates += 1
        else:
            self.report.new += 1
        self.catalog.put_source(
            found.path, None, content, found.modalities, scanned.size, scanned.mtime, metadata or {}
        )
        if not found.seen:
            self._by_name(found, content)

    def _metadata(self, found: _Found) -> dict[str, Any] | None:
        """The side table's columns for a file; None where there is no side table or it says nothing of the file."""
        if self.plan.side_table is None:
            return None
        match = self.plan.side_table.of(found.path, found.root)
        if match is None:
            return None
        self.matched.add(match[0])
        return match[1]

    def _scan_table(self, path: str) -> None:
        assert self.plan.text_column is not None
        try:
            status = check_readable(path)
        except MediaError as error:
            self._fail(path, error.reason)
            return
        with self.catalog.transaction():
            self.catalog.forget_failures(path)
        seen: set[int | None] = set()
        try:
            for batch in _batches(tables.rows(path, self.plan.text_column), SCAN_BATCH):
                with self.catalog.transaction():
                    for row in batch:
                        self.report.found += 1
                        self.report.rows += 1
                        self.listener.advance()
                        seen.add(row.row)
                        if isinstance(row, tables.BadRow):
                            self._fail(path, row.reason, row.row)
                        else:
                            self._record_row(path, row, status)
        except MediaError as error:
            self._fail(path, error.reason)
            return
        shrunk = [source for source in self.catalog.sources_of_path(path) if source.row not in seen]
        if shrunk:
            self.writer.remove(shrunk)
            self.report.removed += len(shrunk)

    def _record_row(self, path: str, row: tables.Row, status: os.stat_result) -> None:
        content = self.catalog.put_content(
            content_hash(Media.from_text(row.text)), {"characters": len(row.text)}, row.text
        )
        known = self.catalog.source(path, row.row)
        if known and known.content == content:
            self.report.known += 1
        elif known:
            self.report.changed += 1
        elif self.catalog.sources_of_content(content):
            self.report.duplicates += 1
        else:
            self.report.new += 1
        self.catalog.put_source(path, row.row, content, ("text",), status.st_size, status.st_mtime_ns, row.metadata)

    def _missing(self, roots: Sequence[str]) -> None:
        """Files that were indexed and are no longer there: counted, and removed where that was asked for."""
        gone: list[Source] = []
        for root in roots:
            gone += [source for source in self.catalog.sources_under(root) if not os.path.lexists(source.path)]
        if self.plan.prune:
            if gone:
                self.writer.remove(gone)
            self.report.removed += len(gone)
        else:
            self.report.missing = len(gone)
        with self.catalog.transaction():
            for path in self.failed:
                if not os.path.lexists(path):
                    self.catalog.forget_failures(path)

    # -- encoding what a space has not yet ----------------------------------------------------------------------

    def encode(self, encoder: Encoder) -> None:
        kinds = encoder.modalities if self.plan.only is None else encoder.modalities & self.plan.only
        for modality in sorted(kinds):
            pending = self.catalog.pending(encoder.space.id, modality, self.roots)
            if pending:
                self.listener.phase(
                    f"{modality} with {encoder.space.model}", len(pending), sum(one.seconds for one in pending)
                )
                self._encode(encoder, modality, pending)

    def _encode(self, encoder: Encoder, modality: Modality, pending: Sequence[Pending]) -> None:
        entries: list[Entry] = []
        done: list[Done] = []
        last = time.monotonic()

        def commit() -> None:
            nonlocal last
            self.report.vectors += self.writer.commit(encoder.space, entries, done)
            self.listener.committed(tuple(entries))
            entries.clear()
            done.clear()
            last = time.monotonic()

        for result in encode_stream(encoder, (self._there(one) for one in pending)):
            one = pending[result.index]
            if isinstance(result, Encoded):
                entries.append(Entry(one.content, result.part, result.vector))
            else:
                self.listener.advance(1, one.seconds)
                if result.error is None or not self._unsteady(one):
                    error = result.error.reason if result.error else None
                    done.append(Done(one.content, modality, result.parts, error))
                    self.report.encoded += result.parts > 0
                    if error is not None:
                        for source in self.catalog.sources_of_content(one.content):
                            self._told(Failure(source.path, error, source.row, result.parts > 0))
            if len(entries) >= COMMIT_VECTORS or time.monotonic() - last > COMMIT_SECONDS:
                commit()
        commit()

    def build_indexes(self, encoder: Encoder) -> None:
        """Bring the encoder's search indexes up to its vectors; most often there is nothing to do."""
        known = self.collection.space(encoder.space)
        probes = [Media.from_text(text) for text in self.plan.probes] if "text" in encoder.modalities else []
        for modality in self.collection.modalities(encoder.space):

            def cross(asked: Sequence[Media] = probes if modality != "text" else ()) -> dict[str, Any]:
                return {"text": encode(encoder, asked, query=True).array} if asked else {}

            self.writer.build_index(known, modality, self.plan.memory, cross)

    def _there(self, one: Pending) -> Media:
        """The medium under a path where it still lies: of duplicates, some may be gone."""
        assert one.media.path is not None
        if one.media.text is None and not os.path.exists(one.media.path):
            for source in self.catalog.sources_of_content(one.content):
                if os.path.exists(source.path):
                    return one.media.but(path=source.path)
        return one.media

    def _unsteady(self, one: Pending) -> bool:
        """Whether a file that failed is not the one that was scanned: then the failure is the path's alone."""
        assert one.media.path is not None
        try:
            status = check_readable(one.media.path)
        except MediaError as error:
            reason = "vanished while it was being indexed" if error.reason == "no such file" else error.reason
        else:
            if (status.st_size, status.st_mtime_ns) == (one.size, one.mtime):
                return False
            reason = "changed while it was being indexed; index again"
        self._fail(one.media.path, reason, one.media.row)
        return True

    def _fail(self, path: str, reason: str, row: int | None = None) -> None:
        self.catalog.put_failure(path, row, reason)
        self._told(Failure(path, reason, row))

    def _told(self, failure: Failure) -> None:
        self.report.failures.append(failure)
        self.listener.failed(failure)


def _root(path: str) -> str:
    full = os.path.abspath(os.path.expanduser(path))
    if not os.path.lexists(full):
        raise UsageError(f"{path}: no such file or folder")
    return full


def _is_table(path: str) -> bool:
    return Path(path).suffix.lower() in TABLE_SUFFIXES and not os.path.isdir(path)


def files_under(root: str, fail: Callable[[str, str], None]) -> Iterator[str]:
    """Every file under a root, in order of name; hidden ones and other collections' folders are passed over.

    ``fail`` is told the path of what cannot be walked and why.
    """
    if not os.path.isdir(root):
        yield root
        return

    def unreadable(error: OSError) -> None:
        fail(str(error.filename), f"the folder cannot be read: {error.strerror}")

    for folder, folders, files in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "manifest.json" in files and "catalog.sqlite" in files:
            folders.clear()
            continue
        for name in folders:
            if modalities_of(name):
                fail(os.path.join(folder, name), "is a folder, not a file")
        for name in sorted(files):
            if not name.startswith("."):
                yield os.path.join(folder, name)


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
