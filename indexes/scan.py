"""The scan of an indexing run: which files are there, what do they hold, what is said of them, what is gone."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from embed import decode, tables
from embed.errors import MachineError, MediaError, UsageError, spelled_out
from embed.faults import machine_fault
from embed.media import Media, Modality, check_readable, content_hash, modalities_of
from indexes.absence import GONE, Absence, Kept, Sight, changed_at, folded, respelled, stands
from indexes.records import Source, added
from indexes.run import Matches, Run, SideTable
from indexes.walk import files_under, is_table, modalities_of_named

__all__ = ["Scan"]

SCAN_BATCH: Final = 256
BY_NAME: Final[frozenset[Modality]] = frozenset({"audio", "image", "video"})  # texts have their words in them
TABLE_BATCH: Final = 4096  # rows of a table
SCAN_AHEAD: Final = 64
MANY: Final = 3  # more than one in so many gone is asked about

_Standing = tuple[int, int, int | None, int | None]  # a file's size, mtime, ctime and device


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    modalities: tuple[Modality, ...]
    seen: bool = True  # whether any encoder of the run takes it


@dataclass(frozen=True, slots=True)
class _Known:
    source: Source
    found: _Found
    ctime: int | None
    device: int | None


@dataclass(frozen=True, slots=True)
class _Scanned:
    found: _Found
    size: int
    mtime: int
    ctime: int | None
    device: int | None
    digest: str
    facts: dict[str, Any]


@dataclass(slots=True)
class _Elsewhere:
    """Where a content was found before the run met it: ``gone`` can be moved; by name, folded, those that are there.

    ``unseen`` is what a side table said of one that cannot be looked at.
    """

    gone: deque[Source]
    there: dict[str, Source]
    unseen: dict[str, Any] | None = None


class Scan:
    """Brings the sources of a run's catalog up to what lies under its paths."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.catalog = run.catalog
        self.writer = run.writer
        self.plan = run.plan
        self.listener = run.listener
        self.report = run.report
        self.matches: Matches | None = None
        self.matched: set[str] = set()
        self.seen: set[str] = set()
        self.failed = self.catalog.failed_paths()
        self.tables: list[str] = []
        self.enough = False  # the machine failed too many files in a row
        self.shrunk: list[int] = []  # rows that their tables no longer have
        self.sight = Sight()
        self.dark: dict[str, Absence] = {}  # roots at which nothing can be seen
        self.elsewhere: dict[int, _Elsewhere | None] = {}
        self.spelled: dict[str, str] | None = None  # what the walk met, folded -> as it is written

    def scan(self, taken: frozenset[Modality]) -> None:
        """Walk, hash what is new, and record it; ``taken`` are the modalities that some encoder of the run takes."""
        asked = self.plan.only if self.plan.only is not None else taken | BY_NAME
        wanted = taken & asked
        roots = self.run.roots
        self.listener.phase("scan", None)
        if self.plan.side_table is not None:
            self._match(self.plan.side_table, asked)
        for batch in _batches(self._scanned(self._walk(roots, wanted, asked & BY_NAME)), SCAN_BATCH):
            with self.catalog.transaction():
                for scanned in batch:
                    if isinstance(scanned, _Scanned):
                        self._record(scanned)
                    else:
                        self._known(scanned)
        if self.enough:
            raise self.run.stopped()
        if "text" in wanted and self.plan.text_column is not None:
            for path in dict.fromkeys(self.tables):
                self._scan_table(path)
            if self.shrunk:
                self.writer.forget(self.shrunk)  # of all tables at once: it goes through the whole catalog
                self.report.removed += len(self.shrunk)
        self._missing(roots)
        self._forget_failures(roots)
        with self.catalog.transaction():
            self.catalog.sweep()
        if self.plan.side_table is not None:
            self.report.matched = len(self.matched)

    def _match(self, table: SideTable, asked: frozenset[Modality]) -> None:
        """Find out which row of the side table is which file's, before anything is recorded."""
        self.matches = table.match(
            path
            for root in self.run.roots
            for path in files_under(root, lambda path, reason: None)
            if path == root or not asked.isdisjoint(modalities_of(path))
        )
        self.report.unused = len(self.matches.unused)
        for text in (*table.notes, *self.matches.lines()):
            self.run.aside(table.path, text)

    def _walk(
        self, roots: Iterable[str], wanted: frozenset[Modality], by_name: frozenset[Modality]
    ) -> Iterator[_Found]:
        for root in roots:
            is_folder = os.path.isdir(root)
            if (absent := self.sight.root(root)) is not None:
                self.dark[root] = absent
                if absent.doubtful and not os.path.islink(root):
                    continue
            elif is_folder:
                self.dark[root] = Absence(root, "a folder without files now", doubtful=True)
            for path in files_under(root, self.run.fail, self._passed_over, self._postpone):
                if is_folder and self.dark.get(root, GONE).doubtful:
                    del self.dark[root]
                try:
                    path.encode("utf-8")
                except UnicodeEncodeError:
                    self.run.fail(spelled_out(path), "its name is not UTF-8; rename it")
                    continue
                holds = modalities_of(path)
                if path == root and not is_table(path):
                    holds = modalities_of_named(path, self.run.fail, self._postpone)
                kinds = tuple(m for m in holds if m in wanted)
                seen = bool(kinds)
                kinds = kinds or tuple(m for m in holds if m in by_name)[-1:]  # a video is a video
                if is_table(path):
                    if self.plan.text_column is not None:
                        self.tables.append(path)
                    elif path != root:
                        self.report.ignored += 1
                    else:
                        raise UsageError(f"{path} is a table: name the column that holds its texts with `text_column`")
                elif not kinds and path == root and self.plan.only is None:
                    if holds:
                        self.run.fail(path, f"unsupported here: no encoder of this run takes {holds[0]}")
                elif not kinds:
                    self._passed_over()
                elif path not in self.seen:
                    self.seen.add(path)
                    yield _Found(path, kinds, seen)

    def _passed_over(self) -> None:
        self.report.ignored += 1

    def _scanned(self, found: Iterator[_Found]) -> Iterator[_Scanned | _Known]:
        """Hash and measure, in threads, the files that are not known as they stand; pass the others on at once."""

        def measure(one: _Found, status: os.stat_result, device: int | None, before: str | None) -> _Scanned:
            digest = content_hash(Media(one.modalities[0], path=one.path))
            facts: dict[str, Any] = {}
            if digest != before:
                try:
                    facts = dict(decode.facts(Media(one.modalities[-1], path=one.path)))
                except Exception as error:
                    if (fault := machine_fault(error, one.path)) is not None:
                        raise fault from None  # what the file tells of itself would stay unknown
                    facts = {}  # decoding will say what is wrong with it
            return _Scanned(one, status.st_size, status.st_mtime_ns, changed_at(status), device, digest, facts)

        def submit(count: int) -> None:
            for one in islice(found, count):
                self.report.found += 1
                self.listener.advance()
                self.listener.check()
                try:
                    status = check_readable(one.path)
                except MediaError as error:
                    if (fault := machine_fault(error, one.path)) is not None:
                        waiting.append((one, fault))
                    elif one.seen:
                        self.run.fail(error.name, error.reason)
                    else:
                        self.report.found -= 1
                        self.report.ignored += 1
                    continue
                known = self.catalog.source(one.path)
                device = self.sight.device(os.path.dirname(one.path))
                if known and stands(known, status):
                    if known.ctime is not None and known.ctime == changed_at(status):
                        self.sight.saw(known.device, device)
                    if not self.plan.reread:
                        settled.append(_Known(known, one, changed_at(status), device))
                        continue
                before = self.catalog.hashes([known.content])[known.content] if known else None
                self.report.hashed += 1
                waiting.append((one, pool.submit(measure, one, status, device, before)))

        settled: deque[_Known] = deque()
        waiting: deque[tuple[_Found, Future[_Scanned] | MachineError]] = deque()
        with ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="scan") as pool:
            try:
                while not self.enough:
                    before = self.report.found
                    submit(SCAN_AHEAD - len(waiting))
                    while settled:
                        yield settled.popleft()
                    if not waiting and self.report.found == before:
                        return
                    if waiting:
                        one, future = waiting.popleft()
                        try:
                            if isinstance(future, MachineError):
                                raise future
                            scanned = future.result()
                        except (MediaError, MachineError) as error:
                            self._left_out(one.path, error)
                        else:
                            self.run.went_on()
                            yield scanned
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _left_out(self, path: str, error: MediaError | MachineError) -> None:
        fault = machine_fault(error, path)
        if fault is None:
            self.run.went_on()
            self.run.fail(path, error.reason)
        else:
            self._postpone(fault)

    def _postpone(self, fault: MachineError) -> None:
        self.enough |= self.run.postpone(fault)

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
        if (known.ctime, known.device) != (source.ctime, source.device):
            self.catalog.put_standing(source.id, known.ctime, known.device)
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
        known = self.catalog.source(found.path)
        kinds = found.modalities
        if known is not None:
            if known.content == content:
                self.report.known += 1
                kinds = tuple(dict.fromkeys((*known.modalities, *kinds)))
            else:
                self.report.changed += 1
            metadata = known.metadata if metadata is None else metadata
        elif (gone := self._moved_from(content, found.path)) is not None:
            self.report.moved += 1
            self.catalog.move_source(gone.id, found.path, scanned.size, scanned.mtime)
            if metadata is None:
                metadata = gone.metadata
        elif self.catalog.found_elsewhere(content, found.path):
            self.report.duplicates += 1
            elsewhere = self.elsewhere[content]
            if metadata is None and elsewhere is not None:
                metadata = elsewhere.unseen
        else:
            self.report.new += 1
        self.catalog.put_source(
            found.path,
            None,
            content,
            kinds,
            scanned.size,
            scanned.mtime,
            metadata or {},
            ctime=scanned.ctime,
            device=scanned.device,
        )
        if not found.seen:
            self._by_name(found, content)

    def _moved_from(self, content: int, path: str) -> Source | None:
        """A source of a content whose file is gone, so that the one at ``path`` is that file under another name.

        Where a content was found is looked up once a run: of equal contents there may be many thousands.
        """
        if content not in self.elsewhere:
            self.elsewhere[content] = self._look_elsewhere(content)
        elsewhere = self.elsewhere[content]
        if elsewhere is None:
            return None
        source = elsewhere.there.get(folded(path))
        if source is not None and respelled(source.path, path):
            return self.catalog.source(source.path)
        while elsewhere.gone:
            source = self.catalog.source(elsewhere.gone.popleft().path)
            if source is not None and source.content == content:
                return source
        return None

    def _look_elsewhere(self, content: int) -> _Elsewhere | None:
        sources = [s for s in self.catalog.sources_of_content(content) if s.row is None and not added(s.path)]
        if not sources:
            return None
        found = _Elsewhere(deque(), {})
        for source in sources:
            absence = self.sight.absence(source.path, source.device)
            if absence is None:
                found.there[folded(source.path)] = source
            elif absence.gone or (absence.doubtful and source.device is None):  # of what an earlier version recorded
                found.gone.append(source)
            elif found.unseen is None and source.metadata:
                found.unseen = source.metadata
        return found

    def _metadata(self, found: _Found) -> dict[str, Any] | None:
        """The side table's columns for a file; None where there is no side table or it says nothing of the file."""
        key = self.matches.rows.get(found.path) if self.matches is not None else None
        if key is None or self.plan.side_table is None:
            return None
        self.matched.add(key)
        return self.plan.side_table.rows[key]

    def _scan_table(self, path: str) -> None:
        column = self.plan.text_column
        assert column is not None
        try:
            status = check_readable(path)
            digest = content_hash(Media("text", path=path))
        except MediaError as error:
            self._left_out(path, error)
            return
        standing = self._standing(path, status)
        count = self.catalog.digested(path, digest, column)
        with self.catalog.transaction():
            self.catalog.forget_failures(path)
            if count is not None:
                self.catalog.stand_again(path, standing)
        if count is not None:
            self.report.found += count
            self.report.rows += count
            self.report.known += count
            self.listener.advance(count)
            return
        told = len(self.report.failures), len(self.report.asides)
        rows = 0
        try:
            for batch in _batches(tables.rows(path, column, partial(self.run.aside, path)), TABLE_BATCH):
                self.listener.check()
                self._scan_rows(path, batch, standing)
                rows = batch[-1].row + 1
            after = self._standing(path, check_readable(path))
        except MediaError as error:
            self._left_out(path, error)
            return
        beyond = self.catalog.rows_beyond(path, rows)
        self.shrunk += beyond
        with self.catalog.transaction():
            self.catalog.put_standings(path, standing)
            if not beyond and after == standing and (len(self.report.failures), len(self.report.asides)) == told:
                # What there is to be told of a table is told each time: then it is read.
                self.catalog.put_digested(path, digest, column, rows, standing)

    def _scan_rows(self, path: str, batch: Sequence[tables.Row | tables.BadRow], standing: _Standing) -> None:
        """Bring some rows of a table up to what its file has; those that are as they were cost no statement."""
        self.report.found += len(batch)
        self.report.rows += len(batch)
        self.listener.advance(len(batch))
        held = self.catalog.rows_between(path, batch[0].row, batch[-1].row)
        other: list[tuple[tables.Row, str]] = []
        bad: list[tables.BadRow] = []
        for row in batch:
            if isinstance(row, tables.BadRow):
                bad.append(row)
                continue
            digest = content_hash(Media.from_text(row.text))
            if held.get(row.row) == self.catalog.as_row(digest, ("text",), row.metadata):
                self.report.known += 1
            else:
                other.append((row, digest))
        if not other and not bad:
            return
        with self.catalog.transaction():
            for one in bad:
                self.run.fail(path, one.reason, one.row)
            known = set(self.catalog.contents_of_hashes(digest for _, digest in other))
            new, rest = self.catalog.additions(), []
            size, mtime, ctime, device = standing
            for row, digest in other:
                if row.row in held or digest in known:
                    rest.append((row, digest))
                else:
                    content = new.add_content(digest, {"characters": len(row.text)}, row.text)
                    new.add_source(path, row.row, content, ("text",), size, mtime, row.metadata, ctime, device)
                known.add(digest)
            with self.catalog.counted_together():
                self.catalog.put_additions(new)
            self.report.new += len(new.sources)
            for row, digest in rest:
                self._record_row(path, row, digest, standing)

    def _standing(self, path: str, status: os.stat_result) -> _Standing:
        return status.st_size, status.st_mtime_ns, changed_at(status), self.sight.device(os.path.dirname(path))

    def _record_row(self, path: str, row: tables.Row, digest: str, standing: _Standing) -> None:
        content = self.catalog.put_content(digest, {"characters": len(row.text)}, row.text)
        size, mtime, ctime, device = standing
        known = self.catalog.source(path, row.row)
        if known and known.content == content:
            self.report.known += 1
        elif known:
            self.report.changed += 1
        elif self.catalog.found_elsewhere(content, path, row.row):
            self.report.duplicates += 1
        else:
            self.report.new += 1
        self.catalog.put_source(
            path,
            row.row,
            content,
            ("text",),
            size,
            mtime,
            row.metadata,
            ctime=ctime,
            device=device,
        )

    def _missing(self, roots: Sequence[str]) -> None:
        """Files that were indexed and are not there: those that are gone are counted, or removed where that was asked.

        What may only be out of sight is kept, and so is much at a time, unless somebody says that it is to go.
        """
        judged: dict[str, Absence] = {}
        counts: dict[str, int] = {}  # how many sources a path has
        emptied: dict[str, tuple[str, ...]] = {}  # roots of which nothing is left
        self.sight = self.sight.anew()
        for root in roots:
            if root not in self.dark and (absent := self.sight.root(root)) is not None:
                self.dark[root] = absent
        for root in sorted(dict.fromkeys(roots), key=lambda root: root not in self.dark):  # the careful judgement first
            there: list[str] | None = []  # all of them, as long as none is left
            for path, device, count in self.catalog.each_place_under(root):
                if path not in self.seen and path not in judged and (why := self._absence(root, path, device)):
                    judged[path], counts[path] = why, count
                if there is not None:
                    if path in judged and judged[path].gone:
                        there.append(path)
                    else:
                        there = None
            if there:
                emptied[root] = tuple(there)
        gone = {path for path, why in judged.items() if why.gone}
        doubted = self._kept(judged)
        if not self.plan.prune:
            self.report.missing = sum(counts[path] for path in gone)
            self.report.gone += sorted(gone)
            self.report.kept += doubted
            return
        for root, paths in emptied.items():
            if paths := tuple(path for path in paths if path in gone):
                doubted.append(Kept(root, "nothing is left of what was indexed there", paths, len(paths), True))
                gone.difference_update(paths)
        if len(gone) * MANY > (total := self.catalog.count_paths()):
            name = self.run.collection.name
            doubted.append(Kept(name, "more than a third of it is gone at once", tuple(sorted(gone)), total, True))
            gone.clear()
        pruned = list(gone)
        for one in doubted:
            if one.doubtful and (self.plan.force or (self.run.confirm is not None and self.run.confirm(one))):
                pruned += one.paths
            else:
                self.report.kept.append(one)
        if pruned:
            self.writer.forget([source for path in pruned for source in self.catalog.rows_beyond(path, 0)])
        self.report.removed += sum(counts[path] for path in pruned)
        self.report.gone += sorted(pruned)

    def _absence(self, root: str, path: str, device: int | None) -> Absence | None:
        """Why a path below a root that was not met on the walk is not there; None where it is."""
        absence = self.dark.get(root) or self.sight.absence(path, device)
        if absence is None:
            if self.spelled is None:
                self.spelled = {folded(seen): seen for seen in self.seen}
            now = self.spelled.get(folded(path))
            if now is not None and respelled(path, now):
                return GONE
        return absence

    def _kept(self, judged: Mapping[str, Absence]) -> list[Kept]:
        """What is not gone for certain, by place and reason."""
        places: dict[Absence, list[str]] = {}
        for path, why in judged.items():
            if not why.gone:
                places.setdefault(why, []).append(path)
        return [
            Kept(why.place, why.reason, tuple(paths), len(self.catalog.places_under(why.place)), why.doubtful)
            for why, paths in places.items()
        ]

    def _forget_failures(self, roots: Sequence[str]) -> None:
        """What failed below the roots and is gone, or is a folder that could be read this time, is no failure now."""
        asked = set(roots)
        failing = {failure.path for failure in self.report.failures} | {fault.name for fault in self.report.postponed}
        with self.catalog.transaction():
            for path in self.failed - failing:
                above = [path, *map(str, Path(path).parents)]
                if asked.isdisjoint(above) or not self.dark.keys().isdisjoint(above):
                    continue
                absence = self.sight.absence(path, None)
                if os.path.isdir(path) or (absence is not None and (absence.gone or absence.doubtful)):
                    self.catalog.forget_failures(path)


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
