"""What a reader that stays open sees of writers: spaces, files that go, collections that are deleted; and the lock."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from embed import Media, load
from embed.errors import CollectionDamaged, CollectionError, CollectionLocked, CollectionNotFound, MachineError
from indexes import database as catalogs
from indexes import writer as writers
from indexes.collection import Collection
from indexes.faiss import Cached
from indexes.faiss import index as faiss_index
from indexes.faiss.build import build as build_index
from indexes.faiss.plan import Plan
from indexes.writer import Done, Entry, Writer, remove_collection, writing

SPACE, OTHER = load("toy:16").space, load("toy:4").space
TABLE, OTHER_TABLE = ({"family": "toy", "model": model} for model in ("16", "4"))


def row(number: int, dim: int = 16) -> Any:
    made = np.random.default_rng(number).standard_normal(dim).astype(np.float32)
    return made / np.linalg.norm(made)


def put(writer: Writer, numbers: Sequence[int], space: Any = SPACE) -> None:
    catalog, entries = writer.catalog, []
    with catalog.transaction():
        for number in numbers:
            content = catalog.put_content(f"{number:040x}", {}, None)
            catalog.put_source(f"/lib/{number}.wav", None, content, ("audio",), 1, 1, {})
            entries.append(Entry(content, Media("audio", path=f"/lib/{number}.wav"), row(number, space.dim)))
    writer.commit(space, entries, [Done(entry.content, "audio", 1) for entry in entries])


def forget(writer: Writer, numbers: Sequence[int]) -> None:
    writer.remove([source for n in numbers for source in writer.catalog.sources_of_path(f"/lib/{n}.wav")])


def found(collection: Collection, space: Any = SPACE) -> dict[str, Any]:
    """The path of everything that is found, and its row of the vectors."""
    with collection.snapshot():
        vectors = collection.vectors(space, "audio")
        near = collection.nearest(space, "audio", row(0, space.dim), 1000)
        return {one.item.sources[0].path: np.array(vectors[one.row]) for one in near}


def is_what(seen: dict[str, Any], numbers: Sequence[int], dim: int = 16) -> bool:
    same = seen.keys() == {f"/lib/{n}.wav" for n in numbers}
    return same and all(np.array_equal(seen[f"/lib/{n}.wav"], row(n, dim)) for n in numbers)


@pytest.fixture
def other(collection: Collection) -> Iterator[Collection]:
    """The same collection, opened once more to write."""
    with writing(collection) as writer:
        writer.add_space(SPACE, dict(TABLE))
        put(writer, range(20))
    with Collection.open(collection.path) as opened:
        yield opened


def test_a_space_that_comes_later_is_seen(collection: Collection, other: Collection) -> None:
    assert [known.space for known in collection.spaces] == [SPACE]
    with collection.snapshot():
        with writing(other) as writer:
            writer.add_space(OTHER, dict(OTHER_TABLE))
            put(writer, range(5), OTHER)
        assert [known.space for known in collection.spaces] == [SPACE] and collection.modalities(OTHER) == []
    assert [known.space for known in collection.spaces] == [SPACE, OTHER]
    assert is_what(found(collection, OTHER), range(5), 4)


def test_a_space_that_goes_and_comes_again_is_another_file(collection: Collection, other: Collection) -> None:
    collection.vectors(SPACE, "audio")  # mapped
    with collection.snapshot():
        before = found(collection)
        with writing(other) as writer:
            writer.remove_space(SPACE)
            writer.add_space(SPACE, dict(TABLE))
            put(writer, range(30, 50))
        assert is_what(before, range(20)) and is_what(found(collection), range(20))
    assert is_what(found(collection), range(30, 50))
    assert collection.file(SPACE, "audio") == (f"{SPACE.id}-audio-2.f32", 20)


def test_a_snapshot_outlives_the_files_that_it_is_of(collection: Collection, other: Collection) -> None:
    with collection.snapshot():
        for kept in (15, 10, 6, 3):
            with writing(other) as writer:
                forget(writer, range(kept, 20))
        assert not (collection.path / "vectors" / f"{SPACE.id}-audio-1.f32").exists()
        assert is_what(found(collection), range(20))
    assert is_what(found(collection), range(3))


def test_files_that_go_before_they_are_opened(
    collection: Collection, other: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first moments that a reader takes are over by the time that it opens their files."""
    mapped, kept = Collection._map, [10, 5, 2]

    def late(self: Collection, store: Any, dim: int) -> Any:
        if self is collection and kept:
            with writing(other) as writer:
                forget(writer, range(kept.pop(0), 20))
            with writing(other):
                pass  # takes the generation away that the snapshot names
        return mapped(self, store, dim)

    monkeypatch.setattr(Collection, "_map", late)
    assert is_what(found(collection), range(2)) and not kept


def test_a_file_that_is_lost_is_said_to_be(collection: Collection, other: Collection) -> None:
    (collection.path / "vectors" / f"{SPACE.id}-audio-1.f32").unlink()
    with pytest.raises(CollectionDamaged, match=r"audio-1\.f32 is missing; the catalog counts 20 vectors"):
        Collection.open(collection.path)


@pytest.mark.parametrize("again", [False, True])
def test_a_collection_that_was_deleted_is_not_taken_for_another(collection: Collection, again: bool) -> None:
    with writing(collection) as writer:
        writer.add_space(SPACE, dict(TABLE))
        put(writer, range(3))
    remove_collection(collection.path)
    if again:
        Collection.create(collection.path).close()
    with pytest.raises(CollectionNotFound, match="was deleted since it was opened"):
        collection.vectors(SPACE, "audio")


def test_a_writer_and_readers_share_a_collection_in_threads(collection: Collection, other: Collection) -> None:
    """A snapshot neither waits for the transaction of another thread, nor sees half of it."""
    seen: list[Any] = []
    with writing(collection) as writer, collection.catalog.transaction():
        collection.catalog.put_content("f" * 40, {}, None)

        def look() -> None:
            with collection.snapshot():
                seen.append((collection.catalog.counts()["content"], len(found(collection))))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(timeout=20)
        assert not thread.is_alive() and seen == [(20, 20)]
        assert writer.catalog.counts()["content"] == 21


def test_a_catalog_that_may_only_be_read_and_that_another_writes(
    collection: Collection, other: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.close()
    collection.close()
    access = os.access
    monkeypatch.setattr(catalogs.os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    with Collection.open(collection.path) as reader:
        assert reader.catalog._closed_well and is_what(found(reader), range(20))
        with Collection.open(collection.path) as again:
            again.catalog._closed_well = None
            again.catalog._shared.close()
            again.catalog._shared = again.catalog._connect()
            with writing(again) as writer:
                put(writer, range(20, 30))
            assert is_what(found(reader), range(30))
        assert is_what(found(reader), range(30))


# -- an index file that is replaced while it is read -------------------------------------------------------------------


def test_an_index_is_that_of_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.stack([row(number) for number in range(2000)])
    path = tmp_path / "x.faiss"
    build_index(vectors, Plan("hnsw", {"M": 8, "efConstruction": 20}, 0, "test")).save(path)
    opened = Cached.open(path, vectors, ("a-1.f32", 2000))
    assert opened.head is not None and opened.head.plan.kind == "hnsw"
    real = faiss_index.fingerprint

    def meanwhile(rows: Any) -> str:
        monkeypatch.setattr(faiss_index, "fingerprint", real)
        build_index(vectors[::-1].copy(), Plan("hnsw", {"M": 8, "efConstruction": 20}, 0, "test")).save(path)
        return real(rows)

    monkeypatch.setattr(faiss_index, "fingerprint", meanwhile)
    fresh = Cached.open(path, vectors, ("a-1.f32", 2000))
    assert fresh.head is None, "the header of one index was taken with the body of another"
    assert fresh.search(vectors[7:8], 1).rows.tolist() == [[7]]
    # What was opened before stays of use, for the same vectors, until there is another that fits.
    later = Cached.open(path, vectors, ("a-1.f32", 2000), opened)
    assert later.head is opened.head
    assert Cached.open(path, vectors, ("a-2.f32", 2000), opened).head is None


# -- the lock ----------------------------------------------------------------------------------------------------------

HOLDING = """
import sys, time
from pathlib import Path
from indexes.collection import Collection
from indexes.writer import writing
with Collection.open(Path(sys.argv[1])) as collection, writing(collection):
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_holds_the_lock_is_told_and_a_killed_process_holds_nothing(collection: Collection) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(collection.path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    for _ in range(2):  # who is turned away does not wipe out who holds it
        since = rf"is being written by process {process.pid} since \d\d:\d\d:\d\d"
        with pytest.raises(CollectionLocked, match=since), writing(collection):
            pass
    process.kill()
    process.wait()
    told = f"by process {os.getpid()} since"
    with Collection.open(collection.path) as other, writing(collection), pytest.raises(CollectionLocked, match=told):
        writing(other).__enter__()
    with writing(collection):
        pass


def test_a_file_system_without_locks_is_refused(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    with pytest.raises(CollectionError, match="its file system has no locks"), writing(collection):
        pass


def test_a_full_disk_ends_a_commit_and_leaves_the_collection_as_it_was(
    collection: Collection, other: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writers.os, "fsync", full)
        with pytest.raises(MachineError, match="the disk is full"), writing(other) as writer:
            put(writer, range(20, 40))
    assert is_what(found(collection), range(20))
    with writing(other) as writer:
        put(writer, range(50, 60))
    assert is_what(found(collection), [*range(20), *range(50, 60)])
