"""The scan of an indexing run: which files are there, what do they hold, what is said of them, what is gone."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from embed import decode, tables
from embed.errors import MediaError, UsageError
from embed.media import TABLE_SUFFIXES, Media, Modality, check_readable, content_hash, modalities_of
from indexes.catalog import Source
from indexes.run import Run

__all__ = ["Scan", "files_under"]

SCAN_BATCH: Final = 256
BY_NAME: Final[frozenset[Modality]] = frozenset({"audio", "image", "video"})  # texts have their words in them
SCAN_AHEAD: Final = 64


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


class Scan:
    """Brings the sources of a run's catalog up to what lies under its paths."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.catalog = run.catalog
        self.writer = run.writer
        self.plan = run.plan
        self.listener = run.listener
        self.report = run.report
        self.matched: set[str] = set()
        self.seen: set[str] = set()
        self.failed = self.catalog.failed_paths()
        self.tables: list[str] = []

    def scan(self, taken: frozenset[Modality]) -> None:
        """Walk, hash what is new, and record it; ``taken`` are the modalities that some encoder of the run takes."""
        asked = self.plan.only if self.plan.only is not None else taken | BY_NAME
        wanted = taken & asked
        roots = self.run.roots
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
            for path in files_under(root, self.run.fail):
                try:
                    path.encode("utf-8")
                except UnicodeEncodeError:
                    self.run.fail(
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
                self.listener.check()
                try:
                    status = check_readable(one.path)
                except MediaError as error:
                    if one.seen:
                        self.run.fail(error.name, error.reason)
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
                            self.run.fail(one.path, error.reason)
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
            self.run.fail(path, error.reason)
            return
        with self.catalog.transaction():
            self.catalog.forget_failures(path)
        seen: set[int | None] = set()
        try:
            for batch in _batches(tables.rows(path, self.plan.text_column), SCAN_BATCH):
                self.listener.check()
                with self.catalog.transaction():
                    for row in batch:
                        self.report.found += 1
                        self.report.rows += 1
                        self.listener.advance()
                        seen.add(row.row)
                        if isinstance(row, tables.BadRow):
                            self.run.fail(path, row.reason, row.row)
                        else:
                            self._record_row(path, row, status)
        except MediaError as error:
            self.run.fail(path, error.reason)
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
