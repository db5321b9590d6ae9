"""Opening a collection: whose it is, what is damaged, what cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from embed.errors import CollectionDamaged, SpaceMismatch
from indexes.collection import Collection
from tests import sounds
from tests.indexes.runs import contents, oracle, run


def test_another_model_is_refused_with_both_named(tmp_path: Path, collection: Collection) -> None:
    folder = sounds.folder(tmp_path / "sounds", 3)
    run(collection, folder)
    with pytest.raises(SpaceMismatch, match=r"toy:16 .*toy:8 "):
        collection.adopt("toy:8")
    manifest = collection.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"model": "16"', '"model": "4"'))
    with (
        Collection.open(collection.path) as opened,
        pytest.raises(SpaceMismatch, match=r"indexed with toy:16.* is toy:4"),
    ):
        opened.encoder(opened.spaces[0])


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
    monkeypatch.setattr("os.access", lambda *_: False)
    with Collection.open(path) as opened:
        assert contents(opened) == expected
        assert sorted(path.rglob("*")) == before, "reading it made a file"
