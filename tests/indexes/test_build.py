"""Indexing runs: what is encoded, what is recognised, what is told; against the encoder's own vectors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogon.search.library import Library
from embed import Encoder, Media, encode, load
from embed.errors import CollectionDamaged, CollectionLocked, SpaceMismatch, UsageError
from embed.pipeline import Encoded, encode_stream
from indexes.build import Listener, Plan, Report, SideTable, build
from indexes.collection import Collection
from indexes.writer import Entry, writing
from tests import sounds
from tests.embed.encoders import tiny_static


class Counting(Encoder):
    """The toy encoder, counting what it is asked to encode."""

    def __init__(self, name: str = "toy:16") -> None:
        self.inner = load(name)
        self.space, self.modalities = self.inner.space, self.inner.modalities
        self.audio, self.video = self.inner.audio, self.inner.video
        self.calls = 0

    def encode_batch(self, batch: Sequence[Media]) -> Any:
        self.calls += len(batch)
        return self.inner.encode_batch(batch)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "collection") as made:
        yield made


def run(collection: Collection, *paths: Path, encoder: Encoder | None = None, **settings: Any) -> Report:
    encoder = encoder or Counting()
    plan = Plan(paths=tuple(map(str, paths)), **settings)
    return build(collection, [(encoder, {"family": "toy", "model": str(encoder.space.dim)})], plan)


def contents(collection: Collection) -> dict[tuple[str, str, float, float, str], bytes]:
    """Every vector of a collection by space, path and span."""
    found = {}
    for item in collection.catalog.all_items():
        for known in collection.spaces:
            if collection.catalog.row_of_item(known.space.id, item.id) is None:
                continue
            for source in item.sources:
                span = (item.span.start, item.span.end) if item.span else (-1.0, -1.0)
                key = (known.space.id, f"{source.path}#{source.row}", *span, item.modality)
                found[key] = collection.vector(known.space, item.id).tobytes()
    return found


def oracle(folder: Path, encoder: Encoder | None = None) -> dict[tuple[str, str, float, float, str], bytes]:
    """The same, straight from the encoder."""
    encoder = encoder or load("toy:16")
    files = sorted(folder.rglob("*.wav"))
    found = {}
    for result in encode_stream(encoder, [Media.from_path(path) for path in files]):
        if isinstance(result, Encoded):
            span = result.part.span
            assert span is not None
            key = (encoder.space.id, f"{files[result.index]}#None", span.start, span.end, "audio")
            found[key] = result.vector.tobytes()
    return found


def test_a_run_stores_what_the_encoder_gives_and_a_second_encodes_nothing(
    collection: Collection, tmp_path: Path
) -> None:
    folder = sounds.folder(tmp_path / "sounds", 12)
    first, encoder = Counting(), Counting()
    report = run(collection, folder, encoder=first)
    assert (report.found, report.new, report.encoded) == (12, 12, 12)
    expected = oracle(folder)
    assert len(expected) == 9 + 3 * 3 and first.calls == report.vectors == len(expected)
    assert contents(collection) == expected
    again = run(collection, folder, encoder=encoder)
    assert encoder.calls == 0 and (again.known, again.new, again.vectors, again.encoded) == (12, 0, 0, 0)


def test_files_that_move_change_double_and_vanish(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 10)
    run(collection, folder)
    (folder / "c").mkdir()
    (folder / "a" / "001.wav").rename(folder / "c" / "moved.wav")
    shutil.copy(folder / "a" / "003.wav", folder / "c" / "double.wav")
    sounds.write(folder / "b" / "004.wav", 99)
    (folder / "b" / "006.wav").unlink()
    encoder = Counting()
    report = run(collection, folder, encoder=encoder)
    assert (report.moved, report.duplicates, report.changed, report.missing, report.new) == (1, 1, 1, 1, 0)
    assert encoder.calls == 1  # the changed one alone
    run(collection, folder, encoder=encoder, prune=True)
    assert contents(collection) == oracle(folder)
    double = collection.catalog.source(str(folder / "c" / "double.wav"))
    assert double is not None
    paths = [source.path for source in collection.catalog.sources_of_content(double.content)]
    assert paths == [str(folder / "a" / "003.wav"), str(folder / "c" / "double.wav")]


def test_pruning_compacts_the_vectors(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 20)
    run(collection, folder)
    before = collection.catalog.stores()[0]
    for path in sorted(folder.rglob("*.wav"))[::2]:
        path.unlink()
    report = run(collection, folder, prune=True)
    after = collection.catalog.stores()[0]
    assert report.removed == 10 and after.rows < before.rows and after.file != before.file
    assert contents(collection) == oracle(folder)
    run(collection, folder)
    assert [path.name for path in (collection.path / "vectors").iterdir()] == [after.file]


def test_two_encoders_live_in_one_collection(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 6)
    run(collection, folder)
    run(collection, folder, encoder=Counting("toy:4"))
    assert contents(collection) == oracle(folder) | oracle(folder, load("toy:4"))
    assert [known.space.dim for known in collection.spaces] == [16, 4]


def test_another_model_is_refused_with_both_named(tmp_path: Path, collection: Collection) -> None:
    folder = sounds.folder(tmp_path / "sounds", 3)
    run(collection, folder)
    with pytest.raises(SpaceMismatch, match=r"toy:16 .*toy:8 "):
        collection.adopt(load("toy:8"))
    manifest = collection.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"model": "16"', '"model": "4"'))
    with (
        Collection.open(collection.path) as opened,
        pytest.raises(SpaceMismatch, match=r"indexed with toy:16.* is toy:4"),
    ):
        opened.encoder(opened.spaces[0])


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


def test_a_side_table_is_found_by_path_name_or_stem_and_filters(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 6)
    table = tmp_path / "table.csv"
    table.write_text("file,category,bpm\na/001.wav,drum,120\n002.wav,drum,90\n003,voice,\nnothing.wav,drum,1\n")
    report = run(collection, folder, side_table=SideTable.read(str(table), "file"))
    assert report.matched == 3
    space = collection.spaces[0].space
    query = np.ones(16, np.float32) / 4

    def names(expression: str) -> list[str]:
        hits = collection.nearest(space, "audio", query, 10, where=collection.filter(expression))
        return sorted(Path(hit.item.media.path or "").name for hit in hits)

    assert names("category = 'drum'") == ["001.wav", "002.wav"]
    assert names("category = 'drum' and bpm > 100") == ["001.wav"]
    assert names("duration > 1") == ["000.wav", "005.wav"]
    assert names("sample_rate = 16000 and path like '%/b/%'") == ["000.wav", "002.wav", "004.wav"]
    with pytest.raises(UsageError, match=r"colour.*bpm.*category"):
        names("colour = 'red'")
    table.write_text("file,category\n001.wav,bell\n")
    run(collection, folder, side_table=SideTable.read(str(table), "file"))
    assert names("category = 'bell'") == ["001.wav"] and names("category = 'drum'") == ["002.wav"]


def test_rows_of_a_table_are_texts(collection: Collection, tmp_path: Path) -> None:
    table = tmp_path / "prompts.csv"
    table.write_text("caption,mood\na dog barks,glad\nrain on a roof,calm\na dog barks,sad\n")
    with pytest.raises(UsageError, match="--text-column"):
        run(collection, table)
    report = run(collection, table, text_column="caption")
    assert (report.found, report.new, report.duplicates, report.vectors) == (3, 2, 1, 2)
    query = encode(load("toy:16"), [Media.from_text("a dog barks")]).array[0]
    hit = collection.nearest(collection.spaces[0].space, "text", query, 1)[0]
    assert hit.item.text == "a dog barks" and [source.row for source in hit.item.sources] == [0, 2]
    table.write_text("caption,mood\na dog barks,glad\nwaves,calm\n")
    report = run(collection, table, text_column="caption")
    assert (report.known, report.changed, report.removed, report.vectors) == (1, 1, 1, 1)
    texts = sorted(item.text or "" for item in collection.catalog.all_items())
    assert texts == ["a dog barks", "waves"]


def test_what_fails_is_named_kept_and_not_tried_again(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 3)
    (folder / "bad.wav").write_bytes(b"RIFF not a wav")
    (folder / "empty.wav").touch()
    os.mkfifo(folder / "pipe.wav")
    (folder / "folder.wav").mkdir()
    (folder / "link.wav").symlink_to(folder / "nowhere.wav")
    report = run(collection, folder)
    reasons = {Path(failure.path).name: failure.reason for failure in report.failures}
    assert sorted(reasons) == ["bad.wav", "empty.wav", "folder.wav", "link.wav", "pipe.wav"]
    assert reasons["empty.wav"] == "is empty" and "pipe" in reasons["pipe.wav"] and "folder" in reasons["folder.wav"]
    assert "link" in reasons["link.wav"]
    assert contents(collection) == oracle_of_good(folder)
    assert {Path(failure.path).name for failure in collection.catalog.failures()} == set(reasons)
    encoder = Counting()
    again = run(collection, folder, encoder=encoder)
    assert encoder.calls == 0 and again.still_failing == 1 and again.vectors == 0
    (folder / "link.wav").unlink()
    (folder / "pipe.wav").unlink()
    sounds.write(folder / "pipe.wav", 51)
    sounds.write(folder / "bad.wav", 50)
    healed = run(collection, folder)
    assert healed.vectors == 2 and healed.still_failing == 0
    left = {Path(failure.path).name for failure in collection.catalog.failures()}
    assert left == {"empty.wav", "folder.wav"}


def oracle_of_good(folder: Path) -> dict[tuple[str, str, float, float, str], bytes]:
    encoder = load("toy:16")
    found = {}
    for path in sorted(folder.rglob("[0-9]*.wav")):
        for result in encode_stream(encoder, [Media.from_path(path)]):
            if isinstance(result, Encoded) and result.part.span is not None:
                span = result.part.span
                key = (encoder.space.id, f"{path}#None", span.start, span.end, "audio")
                found[key] = result.vector.tobytes()
    return found


def test_damaged_collections_are_refused_by_name(collection: Collection, tmp_path: Path) -> None:
    run(collection, sounds.folder(tmp_path / "sounds", 4))
    store = collection.catalog.stores()[0]
    path = collection.path / "vectors" / store.file
    content = path.read_bytes()
    path.write_bytes(content[:-4])
    with pytest.raises(CollectionDamaged, match=f"{len(content) - 4} bytes.*{store.rows} vectors"):
        Collection.open(collection.path)
    path.write_bytes(content + b"left by a killed writer")
    with Collection.open(collection.path) as opened:
        assert contents(opened) == contents(collection)
    (collection.path / "manifest.json").write_text("{")
    with pytest.raises(CollectionDamaged, match="manifest"):
        Collection.open(collection.path)


def test_a_collection_in_a_folder_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "read only? 100%"
    with Collection.create(path) as made:
        run(made, sounds.folder(tmp_path / "sounds", 4))
    before, expected = sorted(path.rglob("*")), oracle(tmp_path / "sounds")
    monkeypatch.setattr("indexes.catalog.os.access", lambda *_: False)
    with Collection.open(path) as opened:
        assert contents(opened) == expected
        assert sorted(path.rglob("*")) == before, "reading it made a file"


def test_a_path_that_is_not_there_is_wrong_use(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        run(collection, tmp_path / "nowhere")


def test_a_model_that_was_moved_is_looked_for_where_it_was_named_last(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    tiny_static.build(tmp_path / "old")
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "one.txt").write_text("a dog barks")
    with Library.open_or_create(tmp_path / "collection") as library:
        library.index(texts, encoders=["toy:16", f"static:{tmp_path / 'old'}"])
    shutil.move(tmp_path / "old", tmp_path / "new")
    with Library.open(tmp_path / "collection") as library:
        assert library.index(texts, encoders=[f"static:{tmp_path / 'new'}"]).vectors == 0
    with Library.open(tmp_path / "collection") as library:
        models = [known.encoder.get("model") for known in library.collection.spaces]
        assert models == ["16", str(tmp_path / "new")]
        (texts / "two.txt").write_text("rain")
        assert library.index(texts).vectors == 2  # no encoder named: both of the collection's are found
        assert library.search("rain", encoders=[f"static:{tmp_path / 'new'}"], by="sound")[0].path.endswith("two.txt")


def test_a_shells_list_of_more_files_than_a_statement_holds(tmp_path: Path) -> None:
    """``analogon index *.txt``: each file is a root of its own, and a sibling that was not named stays out."""
    for number in range(1300):
        (tmp_path / f"{number:04}.txt").write_text(f"words {number}")
    with Collection.create(tmp_path / "c") as collection:
        paths = tuple(str(tmp_path / f"{number:04}.txt") for number in range(1200))
        encoder = load("toy")
        report = build(collection, [(encoder, {"family": "toy"})], Plan(paths=paths))
        assert (report.found, report.encoded, report.vectors) == (1200, 1200, 1200)
