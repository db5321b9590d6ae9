"""Writing a collection: its lock, its spaces, batches of vectors, labels, what is removed and compacted."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.encoder import Encoder
from embed.errors import AnalogonError, CollectionError, CollectionLocked
from embed.faults import machine_fault
from embed.listener import Listener
from embed.media import Media, Modality
from embed.space import Space
from indexes.additions import Additions
from indexes.collection import Collection
from indexes.columns import forget_others, write_columns
from indexes.durable import remove, sync_folder
from indexes.fields import check_field
from indexes.manifest import KnownSpace, entry_of, recorded, write_manifest
from indexes.names import write_names
from indexes.records import Source, Store
from indexes.vector_files import generation, note_stayed

__all__ = ["Done", "Entry", "Writer", "remove_collection", "writing"]

COMPACT_ABOVE: Final = 0.25  # share of dead rows from which a vector file is written anew


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One vector to be written: the content it belongs to, the part that it encodes, unit float32 ``(dim,)``.

    ``item`` is that part's id, where it is known and has no vector in the space yet.
    """

    content: int
    part: Media
    vector: npt.NDArray[np.float32]
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A content that is through in a space: ``parts`` vectors, and the error that cut it short, if any.

    ``notes`` and ``facts`` are what decoding had to say of it.
    """

    content: int
    modality: Modality
    parts: int
    error: str | None = None
    notes: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def writing(collection: Collection) -> Iterator[Writer]:
    """Hold the collection's lock and write. Raises ``CollectionLocked`` where another process does.

    The lock is the operating system's: it is gone with the process that held it, however that ended. Where memory, disk
    or drive fail meanwhile, ``MachineError`` is raised and what was committed is kept.
    """
    with _locked(collection):
        try:
            yield Writer(collection)
        except AnalogonError:
            raise
        except Exception as error:
            if (fault := machine_fault(error, collection.name)) is not None:
                raise fault from error
            raise


@contextmanager
def _locked(collection: Collection) -> Iterator[None]:
    from filelock import FileLock, SoftFileLock, Timeout  # here: who only reads has no need of it

    # Beside the lock, since Windows lets nobody else read a locked file.
    told = collection.path / "lock.holder"
    lock = FileLock(collection.path / "lock", thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise CollectionLocked(
            f"{collection.name} is being written by {_holder(told)}; searching it is fine meanwhile, writing must wait"
        ) from None
    except OSError as error:
        if (fault := machine_fault(error, str(collection.path))) is not None:
            raise fault from error
        raise CollectionError(f"{collection.path}: cannot be written: {error.strerror or error}") from None
    try:
        if isinstance(lock, SoftFileLock):  # what it takes where there are no locks would outlive a killed process
            raise CollectionError(f"{collection.path}: its file system has no locks; put the collection on another one")
        with suppress(OSError):  # who it is is said as a courtesy: a full disk has no room for it
            told.write_text(f"process {os.getpid()} since {time.strftime('%H:%M:%S')}", "utf-8")
        yield
        with suppress(OSError):
            remove(told)
    finally:
        lock.release()


def _holder(told: Path) -> str:
    try:
        return told.read_text("utf-8", "replace").strip() or "another process"
    except OSError:
        return "another process"


class Writer:
    """What may be done while a collection's lock is held."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.catalog = collection.catalog
        self._tidy()

    def _tidy(self) -> None:
        """Remove what a killed writer left: files of generations and temporaries that nobody counts."""
        counted = {store.file for store in self.catalog.stores()}
        for path in (self.collection.path / "vectors").iterdir():
            if path.name not in counted:
                remove(path)
        forget_others(self.catalog, self.collection.path / "indexes")
        for path in [*(self.collection.path / "indexes").glob("*.tmp"), *self.collection.path.glob("*.tmp")]:
            remove(path)

    def add_space(self, space: Space, encoder: dict[str, Any], mixed: Mapping[str, float] | None = None) -> KnownSpace:
        """Make a space known; of one that is known already, the name and the table given last are kept.

        The same weights in another folder are the same space: who names the new folder means it from then on.
        ``mixed``: see ``KnownSpace``.
        """
        entry = KnownSpace(space, encoder, dict(mixed or {}))
        known = self.collection.spaces
        entries = [entry if one.space == space else one for one in known]
        if space not in [one.space for one in known]:
            entries.append(entry)
        if [entry_of(one) for one in entries] != [entry_of(one) for one in known]:
            self._save_manifest(spaces=[entry_of(one) for one in entries])
        return entry

    def remove_space(self, space: Space) -> None:
        """Forget a space with all its vectors."""
        # Should it come back, its files get other names: whoever has one mapped must not take another for it.
        files = {store.modality: store.file for store in self.catalog.stores() if store.space == space.id}
        last = {f"{space.id}-{modality}": generation(file) for modality, file in files.items()}
        if last:
            self._save_manifest(generations=self.collection.manifest.get("generations", {}) | last)
        with self.catalog.transaction():
            self.catalog.remove_space(space.id)
        left = [entry_of(known) for known in self.collection.spaces if known.space != space]
        self._save_manifest(spaces=left)
        self._tidy()

    def build_names(self, encoder: Encoder, table: dict[str, Any], listener: Listener | None = None) -> None:
        """Bring the vectors of what files are called up to the catalog; another encoder's are left behind whole."""
        entry = KnownSpace(encoder.space, recorded(encoder, table))
        known = self.collection.names
        self.collection.adopt_for_names(encoder.space)
        if known is None or entry_of(known) != entry_of(entry):
            self._save_manifest(names=entry_of(entry))
        write_names(self.catalog, self.collection.path / "indexes", encoder, listener=listener)

    def build_columns(self, listener: Listener | None = None) -> None:
        """Bring what filters ask of the sources up to the catalog, where it is far behind."""
        write_columns(self.catalog, self.collection.path / "indexes", listener)

    def commit(self, space: Space, entries: Sequence[Entry], done: Sequence[Done]) -> int:
        """Write a batch; when it returns, the batch survives a kill at any instant. Gives how many vectors are new."""
        written = 0
        with self.catalog.transaction():
            for modality in dict.fromkeys(entry.part.modality for entry in entries):
                fresh: dict[int, npt.NDArray[np.float32]] = {}
                for entry in entries:
                    if entry.part.modality != modality:
                        continue
                    if entry.item is not None:
                        fresh[entry.item] = entry.vector
                    else:
                        text = entry.part.text if entry.part.span is not None else None
                        item = self.catalog.put_item(entry.content, entry.part, text)
                        if not self.catalog.has_vector(space.id, item):
                            fresh[item] = entry.vector
                if fresh:
                    store = self.catalog.store(space.id, modality) or self._new_store(space, modality)
                    self._append(store, np.stack(list(fresh.values())))
                    self.catalog.put_vectors(space.id, modality, store.rows, fresh)
                    self.catalog.put_store(Store(store.space, modality, store.file, store.rows + len(fresh)))
                    written += len(fresh)
            for one in done:
                self.catalog.put_done(one.content, space.id, one.modality, one.parts, one.error)
                if one.parts and (one.notes or one.facts):
                    self.catalog.put_remarks(one.content, one.facts, one.notes)
        return written

    def add(self, space: Space, new: Additions) -> int:
        """Write what is new with its vectors, within a transaction. Gives how many vectors that are."""
        catalog = self.catalog
        with catalog.counted_together(space.id):
            catalog.put_additions(new)
            for modality, vectors in new.vectors.items():
                store = catalog.store(space.id, modality) or self._new_store(space, modality)
                self._append(store, np.stack(list(vectors.values())))
                catalog.put_vectors(space.id, modality, store.rows, vectors)
                catalog.put_store(Store(store.space, modality, store.file, store.rows + len(vectors)))
        catalog.put_all_done(space.id, new)
        return sum(map(len, new.vectors.values()))

    def remove(self, sources: Sequence[Source]) -> int:
        """Forget sources; vectors that no source holds any more become dead rows. Gives how many items went."""
        return self.forget([source.id for source in sources])

    def forget(self, sources: Sequence[int]) -> int:
        """``remove``, by the ids of sources."""
        with self.catalog.transaction():
            gone = self.catalog.remove_sources(list(dict.fromkeys(sources)))  # each once
        self.compact()
        self.build_columns()
        return gone

    def forget_vectors(self, space: Space, modality: Modality, content: int) -> None:
        """Forget what a space has of a content: its vectors become dead rows, and the next run encodes it."""
        with self.catalog.transaction():
            self.catalog.remove_vectors(space.id, modality, content)

    def put_labels(self, labels: Mapping[int, Mapping[str, Any]]) -> None:
        """Say something of contents, all of it or nothing: content -> field -> value; None takes a field away.

        What is said stays through indexing runs, and goes with its content. A file's own columns, from a side table,
        win over it where names are the same: a person gave them. Raises ``UsageError`` for a name that filters
        could not use, or that already means something else there.
        """
        for name in {name for fields in labels.values() for name in fields}:
            check_field(name)
        with self.catalog.transaction():
            for content, fields in labels.items():
                self.catalog.put_labels(content, fields)
        self.build_columns()

    def remove_labels(self, field: str) -> int:
        """Take one field of labels from all contents; gives how many had it."""
        check_field(field)
        with self.catalog.transaction():
            gone = self.catalog.remove_labels(field)
        self.build_columns()
        return gone

    def compact(self, above: float = COMPACT_ABOVE) -> None:
        """Write vector files anew whose share of dead rows is larger than ``above``."""
        for store in self.catalog.stores():
            if not store.dead or store.dead <= above * store.rows:
                continue
            live = self.catalog.live_rows(store.space, store.modality)
            space = next(known.space for known in self.collection.spaces if known.space.id == store.space)
            old = self.collection.vectors(space, store.modality)
            new = self._new_store(space, store.modality, generation(store.file) + 1)
            for start in range(0, len(live), 65536):
                block = Store(new.space, new.modality, new.file, start)
                self._append(block, old[live[start : start + 65536]])
            rows = np.zeros(store.rows, np.bool_)
            rows[live] = True
            note_stayed(self.collection.path / "indexes", new.file, rows)
            with self.catalog.transaction():
                self.catalog.put_store(Store(new.space, new.modality, new.file, len(live)))
                self.catalog.renumber(store.space, store.modality, live)
            # The old file stays until the next writer comes: a reader may be about to open it.

    def build_index(
        self,
        known: KnownSpace,
        modality: Modality,
        memory: int | None = None,
        cross: Callable[[], Mapping[str, npt.NDArray[np.float32]]] = dict,
        listener: Listener | None = None,
    ) -> None:
        """Build and save the index of one (space, modality), if the vectors have outgrown what is saved.

        ``memory`` is a budget in bytes. ``cross`` gives queries of other modalities, unit rows, for measuring recall
        with them too; it is called only where there is an approximate index to measure.
        """
        self.collection.index(known.space, modality).build(memory, cross, listener)

    def _save_manifest(self, **entries: Any) -> None:
        write_manifest(self.collection.path, {**self.collection.manifest, **entries})

    def _new_store(self, space: Space, modality: Modality, number: int | None = None) -> Store:
        if number is None:
            number = self.collection.manifest.get("generations", {}).get(f"{space.id}-{modality}", 0) + 1
        store = Store(space.id, modality, f"{space.id}-{modality}-{number}.f32", 0)
        path = self.collection.path / "vectors" / store.file
        path.open("ab").close()
        sync_folder(path.parent)
        return store

    def _append(self, store: Store, rows: npt.NDArray[np.float32]) -> None:
        """Write rows behind the last counted one, over whatever a killed writer left there, and flush to disk.

        What was left may reach beyond them: it is not cut off, since Windows cuts no file that a reader has mapped.
        """
        path = self.collection.path / "vectors" / store.file
        with path.open("r+b") as file:
            file.seek(store.rows * rows.shape[1] * 4)
            file.write(np.ascontiguousarray(rows, dtype="<f4").tobytes())
            file.flush()
            os.fsync(file.fileno())


def remove_collection(path: Path) -> None:
    """Delete a collection's folder. Raises ``CollectionNotFound``, or ``CollectionLocked`` while it is written."""
    with Collection.open(path) as collection, writing(collection):
        (path / "manifest.json").unlink()  # first: what is left is no collection even if the rest fails
    for more in reversed(range(3)):
        try:
            shutil.rmtree(path)
            return
        except FileNotFoundError:
            continue  # a reader has kept a cache meanwhile, or taken its temporary file away
        except OSError as error:
            if not more or error.errno != errno.ENOTEMPTY:
                raise CollectionError(f"{path}: cannot be removed: {error.strerror or error}") from None
