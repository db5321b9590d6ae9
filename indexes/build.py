"""One indexing run: scan, encode what a space has not yet, commit batch by batch, report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from embed.encoder import Encoder
from embed.errors import EncoderError, MachineError, MediaError
from embed.export import export, missing
from embed.faults import machine_fault
from embed.media import Media, Modality, check_readable
from embed.pipeline import Encoded, encode, encode_stream
from indexes.agreement import held, mixture
from indexes.collection import Collection
from indexes.manifest import KnownSpace, recorded
from indexes.records import Failure, Pending
from indexes.run import PATIENCE, Confirm, Kept, Listener, Plan, Report, Run, SideTable
from indexes.scan import Scan
from indexes.writer import Done, Entry, Writer, writing

__all__ = ["Confirm", "Kept", "Listener", "Plan", "Report", "SideTable", "add_space", "build"]

COMMIT_VECTORS: Final = 256
COMMIT_SECONDS: Final = 2.0
CHANGED: Final = "changed while it was being indexed; index again"


def build(
    collection: Collection,
    encoders: Sequence[tuple[Encoder, Mapping[str, Any]]],
    plan: Plan,
    listener: Listener | None = None,
    *,
    names: tuple[Encoder, Mapping[str, Any]] | None = None,
    confirm: Confirm | None = None,
) -> Report:
    """Bring a collection up to date with ``plan.paths`` in the space of every encoder; give a report.

    ``encoders`` come with the tables that ``embed.load`` makes them from. What is there already is not encoded
    again. ``names`` is the encoder in whose space names are compared. Sounds, pictures and videos that no encoder
    takes are found by their names alone: the report counts them as ``unseen``. Files that cannot be read never end the
    run: they are in the report and in the catalog. Those that the machine failed (memory, disk, a network drive) are in
    the report alone, and the next run tries them again. ``PATIENCE`` of them in a row end the run with
    ``MachineError``, an encoder that does not work with ``EncoderError``, and ``listener`` may ask for ``Cancelled``:
    what was encoded until then is committed, and the next run goes on from there. ``confirm`` is asked before much is
    pruned, or what may lie on a drive that is not mounted; without it that is kept, and reported. Raises ``UsageError``
    for a path that does not exist, ``CollectionLocked`` while another process writes.
    """
    started = time.monotonic()
    report = Report()
    with writing(collection) as writer:
        run = Run(collection, writer, plan, listener or Listener(), report, confirm)
        scan, encoding = Scan(run), _Encoding(run)
        for encoder, table in encoders:
            add_space(writer, encoder, table)
            if plan.retry:
                with collection.catalog.transaction():
                    collection.catalog.retry(encoder.space.id)
        before = {(failure.path, failure.row) for failure in collection.catalog.failures()}
        scan.scan(frozenset().union(*(encoder.modalities for encoder, _ in encoders)))
        for encoder in [encoder for encoder, _ in encoders] + ([names[0]] if names is not None else []):
            encoding.export(encoder)
        for encoder, _ in encoders:
            encoding.encode(encoder)
            encoding.build_indexes(encoder)
        if names is not None:
            writer.build_names(names[0], dict(names[1]), run.listener)
        writer.build_columns(run.listener)
        now = {(failure.path, failure.row) for failure in report.failures}
        after = {(failure.path, failure.row) for failure in collection.catalog.failures()}
        report.still_failing = len((before & after) - now)
    report.seconds = time.monotonic() - started
    return report


def add_space(writer: Writer, encoder: Encoder, table: Mapping[str, Any]) -> KnownSpace:
    """Make an encoder's space known, with all precisions that its vectors have; refused where they do not agree.

    Raises ``UsageError`` then.
    """
    collection, table = writer.collection, recorded(encoder, table)
    known = next((one for one in collection.spaces if one.space == encoder.space), None)
    if known is None or not held(collection, known):
        return writer.add_space(encoder.space, table)
    cosine = mixture(collection, encoder, known)
    mixed = known.mixed | ({encoder.precision: cosine} if cosine is not None else {})
    kept = {key: value for key, value in table.items() if key != "precision"}
    first = {"precision": known.precision} if known.precision != "float32" else {}
    return writer.add_space(encoder.space, kept | first, mixed)


class _Encoding:
    """Gives every encoder what its space has not yet."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.collection = run.collection
        self.catalog = run.catalog
        self.writer = run.writer
        self.plan = run.plan
        self.listener = run.listener
        self.report = run.report

    def export(self, encoder: Encoder) -> None:
        """Have the encoder's networks as ONNX files, once for all collections: those of queries as well."""
        towers = missing(encoder)
        if not towers:
            return
        self.listener.phase(f"ONNX files of {encoder.space.model}", len(towers))
        try:
            export(encoder, towers, listener=self.listener)
        except (EncoderError, MachineError) as fault:  # one that does not work at all is told where it is needed
            self.listener.remark(f"{encoder.space.model} goes on with torch: {fault}")

    def encode(self, encoder: Encoder) -> None:
        kinds = encoder.modalities if self.plan.only is None else encoder.modalities & self.plan.only
        for modality in sorted(kinds):
            pending = self.catalog.pending(encoder.space.id, modality, self.run.roots)
            if len(pending):
                seconds = self.catalog.seconds(pending)
                self.listener.phase(f"{modality} with {encoder.space.model}", len(pending), seconds)
                self._encode(encoder, modality, self.catalog.pending_media(modality, pending, self.run.roots))

    def _encode(self, encoder: Encoder, modality: Modality, pending: Iterator[Pending]) -> None:
        asked: dict[int, Pending] = {}  # those that are on their way

        def media() -> Iterator[Media]:
            for number, one in enumerate(pending):
                asked[number] = one
                yield self._there(one)

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

        self.run.went_on()
        try:
            for result in encode_stream(encoder, media(), patience=PATIENCE, noted=self.listener.remark):
                one = asked[result.index] if isinstance(result, Encoded) else asked.pop(result.index)
                if isinstance(result, Encoded):
                    entries.append(Entry(one.content, result.part, result.vector))
                else:
                    self.listener.advance(1, one.seconds)
                    if isinstance(result.error, MachineError):
                        self.run.postpone(result.error)
                    elif result.error is None and self._changed(one, result.media):
                        # The vectors are of another content than was hashed, which other files may have still.
                        entries[:] = [entry for entry in entries if entry.content != one.content]
                        self.writer.forget_vectors(encoder.space, modality, one.content)
                    elif result.error is None or not self._unsteady(one):
                        error = result.error.reason if result.error else None
                        done.append(Done(one.content, modality, result.parts, error, result.notes, result.facts))
                        self.report.encoded += result.parts > 0
                        self.run.noted(one.content, result.notes if result.parts else ())
                        if error is not None:
                            for source in self.catalog.sources_of_content(one.content):
                                self.run.told(Failure(source.path, error, source.row, result.parts > 0))
                if len(entries) >= COMMIT_VECTORS or time.monotonic() - last > COMMIT_SECONDS:
                    commit()
                if self.listener.cancelled:
                    commit()
                    self.listener.check()
        except EncoderError:
            commit()
            raise
        except MachineError as fault:
            commit()
            raise (self.run.stopped() if fault in self.report.postponed else fault) from None
        commit()

    def build_indexes(self, encoder: Encoder) -> None:
        """Bring the encoder's search indexes up to its vectors; most often there is nothing to do."""
        known = self.collection.space(encoder.space)
        probes = [Media.from_text(text) for text in self.plan.probes] if "text" in encoder.modalities else []
        for modality in self.collection.modalities(encoder.space):

            def cross(asked: Sequence[Media] = probes if modality != "text" else ()) -> dict[str, Any]:
                return {"text": encode(encoder, asked, query=True).array} if asked else {}

            self.writer.build_index(known, modality, self.plan.memory, cross, self.listener)

    def _there(self, one: Pending) -> Media:
        """The medium under a path where it still lies: of duplicates, some may be gone."""
        assert one.media.path is not None
        if one.media.text is None and not os.path.exists(one.media.path):
            for source in self.catalog.sources_of_content(one.content):
                if os.path.exists(source.path):
                    return one.media.but(path=source.path)
        return one.media

    def _changed(self, one: Pending, read: Media) -> bool:
        """Whether a file that was encoded is not the one that was scanned; then that is said of its path."""
        if read.path is None or read.text is not None:
            return False  # a table's row: its text is in the catalog
        then = one if read.path == one.media.path else self.catalog.source(read.path)
        try:
            status = os.stat(read.path)
        except OSError:
            return False  # gone after it was read
        if then is None or (status.st_size, status.st_mtime_ns) == (then.size, then.mtime):
            return False
        self.run.fail(read.path, CHANGED, read.row)
        return True

    def _unsteady(self, one: Pending) -> bool:
        """Whether a file that failed is not the one that was scanned: then the failure is the path's alone."""
        assert one.media.path is not None
        try:
            status = check_readable(one.media.path)
        except MediaError as error:
            if (fault := machine_fault(error, one.media.path)) is not None:
                self.run.postpone(fault)
                return True
            reason = "vanished while it was being indexed" if error.reason == "no such file" else error.reason
        else:
            if (status.st_size, status.st_mtime_ns) == (one.size, one.mtime):
                return False
            reason = CHANGED
        self.run.fail(one.media.path, reason, one.media.row)
        return True
