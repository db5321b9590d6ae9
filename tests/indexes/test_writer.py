"""Writing: one at a time, whole batches, dead rows away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from embed import Media, encode, load
from embed.errors import CollectionLocked
from indexes.build import Listener, Plan, build
from indexes.collection import Collection
from indexes.writer import Entry, writing
from tests import sounds
from tests.indexes.runs import contents, oracle, run


def test_pruning_compacts_the_vectors(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 20)
    run(collection, folder)
    before = collection.catalog.stores()[0]
    for path in sorted(folder.rglob("*.wav"))[::2]:
        path.unlink()
    report = run(collection, folder, prune=True, force=True)
    after = collection.catalog.stores()[0]
    assert report.removed == 10 and after.rows < before.rows and after.file != before.file
    assert contents(collection) == oracle(folder)
    run(collection, folder)
    assert [path.name for path in (collection.path / "vectors").iterdir()] == [after.file]


def test_a_second_writer_is_told_and_a_reader_goes_on(tmp_path: Path, collection: Collection) -> None:
    folder = sounds.folder(tmp_path / "sounds", 4)
    run(collection, folder)
    query = encode(load("toy:16"), [Media.from_path(folder / "a" / "001.wav")]).array[0]
    with writing(collection), Collection.open(collection.path) as other:
        with pytest.raises(CollectionLocked, match=f"process {os.getpid()}"):
            run(other, folder)
        best = other.nearest(other.spaces[0].space, "audio", query, 1)[0]
        assert best.item.media.path == str(folder / "a" / "001.wav") and best.score == pytest.approx(1.0)


def test_a_reader_sees_each_committed_batch_while_a_writer_goes_on(tmp_path: Path, collection: Collection) -> None:
    folder = sounds.folder(tmp_path / "sounds", 40)
    seen: list[tuple[int, int]] = []

    class Watch(Listener):
        total = 0

        def committed(self, entries: Sequence[Entry]) -> None:
            self.total += len(entries)
            with Collection.open(collection.path) as reader:
                space = reader.spaces[0].space
                query = entries[-1].vector if entries else np.ones(16, np.float32) / 4
                hits = reader.nearest(space, "audio", query, 100, parts=True)
                seen.append((len(hits), self.total))

    from indexes import build as module

    saved, module.COMMIT_VECTORS = module.COMMIT_VECTORS, 8
    try:
        build(collection, [(load("toy:16"), {"family": "toy", "model": "16"})], Plan((str(folder),)), Watch())
    finally:
        module.COMMIT_VECTORS = saved
    assert len(seen) > 3 and all(found == total for found, total in seen)


def test_a_source_that_is_named_twice_is_removed_once(tmp_path: Path, collection: Collection) -> None:
    folder = sounds.folder(tmp_path / "sounds", 4)
    run(collection, folder)
    with writing(collection) as writer:
        sources = collection.catalog.sources_under(str(folder))
        assert writer.remove([sources[0], sources[1], sources[0]]) >= 2
    left = [source.path for source in collection.catalog.sources_under(str(folder))]
    assert left == [source.path for source in sources[2:]] and collection.catalog.counts()["source"] == 2
    with collection.catalog.transaction():  # raises where the index of letters is not that of the names
        collection.catalog._db.execute("INSERT INTO parts (parts, rank) VALUES ('integrity-check', 1)")
