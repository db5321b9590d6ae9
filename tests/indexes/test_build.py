"""Indexing runs: what is encoded, what is recognised, what is told; against the encoder's own vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analogon.search.library import Library
from embed import load
from indexes.build import Listener, Plan, build
from indexes.collection import Collection
from tests import sounds
from tests.embed.encoders import tiny_static
from tests.indexes.runs import Counting, contents, oracle, run


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


def test_two_encoders_live_in_one_collection(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 6)
    run(collection, folder)
    run(collection, folder, encoder=Counting("toy:4"))
    assert contents(collection) == oracle(folder) | oracle(folder, load("toy:4"))
    assert [known.space.dim for known in collection.spaces] == [16, 4]


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
        assert library.search("rain", spaces=[f"static:{tmp_path / 'new'}"], by="content")[0].path.endswith("two.txt")


@pytest.mark.parametrize("commit", [1, 256], ids=["parts are committed by then", "no part is committed yet"])
def test_a_file_that_changes_between_being_hashed_and_encoded_leaves_no_vector_to_its_equals(
    commit: int, collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexes.build.COMMIT_VECTORS", commit)
    folder = tmp_path / "sounds"
    first = sounds.write(folder / "1.wav", 1, 2.6)
    shutil.copy(first, folder / "its equal.wav")
    sounds.write(folder / "other.wav", 2)

    class Changing(Listener):
        def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
            if name.startswith("audio"):
                sounds.write(first, 3, 2.9)

    plan, pair = Plan((str(folder),)), (Counting(), {"family": "toy", "model": "16"})
    report = build(collection, [pair], plan, Changing())
    assert [(one.path, one.reason) for one in report.failures] == [
        (str(first), "changed while it was being indexed; index again")
    ]
    other = {key: vector for key, vector in oracle(folder).items() if "other" in key[1]}
    assert contents(collection) == other
    report = run(collection, folder)
    assert (report.changed, report.known, report.failures, report.vectors) == (1, 2, [], 6)
    assert contents(collection) == oracle(folder)
    assert collection.catalog.failures() == []
