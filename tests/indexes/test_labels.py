"""Labels that models give: they outlive indexing, serve filters, yield to a person's own columns, and go whole."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analogon
from embed.errors import FilterError, UsageError
from indexes import exchange
from indexes.catalog import Catalog
from indexes.collection import Collection
from indexes.fields import check_label
from indexes.records import Item
from indexes.schema import VERSION
from indexes.writer import writing
from tests import sounds
from tests.indexes.runs import back_to_4

TOY = "toy:16"
EVERY_NAME = " ".join([*(f"f{n:03}" for n in range(10)), "moved", "twin"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten sounds in two folders, f000 to f009; every fifth has several windows."""
    root = sounds.folder(tmp_path / "sounds", 10)
    for path in root.rglob("*.wav"):
        path.rename(path.with_name(f"f{path.name}"))
    return root


@pytest.fixture
def library(tmp_path: Path, folder: Path) -> Iterator[analogon.Library]:
    with analogon.open(tmp_path / "collection", create=True) as made:
        made.index(folder, encoders=[TOY])
        yield made


def stems(library: analogon.Library, where: str) -> set[str]:
    """The files that fulfil a filter, by both of the ways that ask the catalog."""
    found = {Path(hit.path).stem for hit in library.search("a", where=where, k=99, by="content")}
    collection, condition = library.collection, library.collection.filter(where)
    named = collection.namesakes(EVERY_NAME, ["audio"], 99, where=condition)
    assert {Path(one.item.media.path or "").stem for one in named.words} == found
    return found


def items(collection: Collection) -> dict[str, Item]:
    return {Path(item.media.path or "").stem: item for item in collection.catalog.all_items()}


def label(library: analogon.Library, **labels: dict[str, Any]) -> None:
    """Give the files of these stems labels."""
    contents = {stem: item.content for stem, item in items(library.collection).items()}
    with writing(library.collection) as writer:
        writer.put_labels({contents[stem]: fields for stem, fields in labels.items()})


def test_filters_and_hits_have_labels(library: analogon.Library) -> None:
    assert "tag" not in library.collection.catalog.fields()
    label(library, f000={"tag": "rain", "sure": 0.9}, f001={"tag": "rain", "sure": 0.2}, f002={"tag": "wind"})
    assert stems(library, "tag = 'rain'") == {"f000", "f001"}
    assert stems(library, "tag = 'rain' and sure > 0.5") == {"f000"}
    assert stems(library, "tag is null") == {f"f{n:03}" for n in range(3, 10)}
    assert stems(library, "tag in ('wind', 'rain') and duration > 1") == {"f000"}  # facts are there beside them
    (hit,) = library.search("a", where="tag = 'wind'", by="content")
    assert dict(hit.metadata) == {"tag": "wind"} and hit.to_json()["metadata"]["tag"] == "wind"
    assert items(library.collection)["f000"].labels == {"tag": "rain", "sure": 0.9}
    with pytest.raises(FilterError):
        library.search("a", where="tags = 'rain'")


def test_labels_stay_through_indexing_renaming_and_compaction(library: analogon.Library, folder: Path) -> None:
    label(library, f001={"tag": "rain"}, f003={"tag": "wind"})
    library.index(folder)
    table = folder.parent / "side.csv"
    table.write_text("file,place\nf001.wav,roof\n")
    library.index(folder, metadata=table)
    assert stems(library, "tag = 'rain' and place = 'roof'") == {"f001"}
    (hit,) = library.search("a", where="tag = 'rain'", by="content")
    assert dict(hit.metadata) == {"tag": "rain", "place": "roof"}
    (folder / "a" / "f003.wav").rename(folder / "a" / "moved.wav")
    library.index(folder)
    assert stems(library, "tag = 'wind'") == {"moved"}
    for path in sorted(folder.rglob("*.wav")):
        if path.stem not in ("f001", "moved"):
            path.unlink()
    library.index(folder, prune=True, force=True)
    assert stems(library, "tag is not null") == {"f001", "moved"}
    assert len(library.collection.vectors(library.collection.spaces[0].space, "audio")) == 2  # written anew


def test_labels_go_with_their_content(library: analogon.Library, folder: Path) -> None:
    label(library, f001={"tag": "rain"}, f003={"tag": "wind"})
    library.remove(folder / "a" / "f001.wav")
    assert list(library.collection.catalog.labels().values()) == [{"tag": "wind"}]
    sounds.write(folder / "a" / "f003.wav", 77)  # another sound under the same name: what was said is not of it
    os.utime(folder / "a" / "f003.wav", (1, 1))
    library.index(folder)
    assert library.collection.catalog.labels() == {}


def test_a_persons_columns_win(library: analogon.Library, folder: Path) -> None:
    table = folder.parent / "side.csv"
    table.write_text("file,tag,duration\nf001.wav,thunder,99\n")
    library.index(folder, metadata=table)
    label(library, f001={"tag": "rain"}, f003={"tag": "rain", "duration": 77})
    assert stems(library, "tag = 'thunder'") == {"f001"} and stems(library, "tag = 'rain'") == {"f003"}
    (hit,) = library.search("a", where="tag = 'thunder'", by="content")
    assert hit.metadata["tag"] == "thunder"
    # a label comes before what the medium knows of itself, a column before both
    assert stems(library, "duration = 77") == {"f003"} and stems(library, "duration = 99") == {"f001"}


def test_of_one_content_in_two_files_each_has_its_columns_and_both_the_label(
    library: analogon.Library, folder: Path
) -> None:
    (folder / "twin.wav").write_bytes((folder / "a" / "f001.wav").read_bytes())
    table = folder.parent / "side.csv"
    table.write_text("file,tag\ntwin.wav,thunder\n")
    library.index(folder, metadata=table)
    label(library, f001={"tag": "rain"})
    assert stems(library, "tag = 'thunder'") == {"twin"}
    assert stems(library, "tag = 'rain'") == {"f001"}


def test_labels_are_merged_and_taken_away(library: analogon.Library) -> None:
    label(library, f001={"tag": "rain", "sure": 0.5}, f003={"tag": "wind"})
    label(library, f001={"species": "wren"}, f003={"tag": None})
    assert items(library.collection)["f001"].labels == {"tag": "rain", "sure": 0.5, "species": "wren"}
    assert items(library.collection)["f003"].labels == {}
    with writing(library.collection) as writer:
        assert writer.remove_labels("tag") == 1 and writer.remove_labels("tag") == 0
    assert items(library.collection)["f001"].labels == {"sure": 0.5, "species": "wren"}
    assert {"sure", "species"} <= library.collection.catalog.fields()
    with pytest.raises(FilterError):
        library.search("a", where="tag = 'rain'")


def test_a_field_that_files_have_too_stays_known(library: analogon.Library, folder: Path) -> None:
    table = folder.parent / "side.csv"
    table.write_text("file,tag\nf001.wav,thunder\n")
    library.index(folder, metadata=table)
    label(library, f003={"tag": "rain", "channels": 5})
    with writing(library.collection) as writer:
        writer.remove_labels("tag")
        writer.remove_labels("channels")
    assert stems(library, "tag is not null") == {"f001"}
    assert stems(library, "channels = 5") == set() and stems(library, "channels = 1") == stems(library, "duration > 0")


@pytest.mark.parametrize(
    ("field", "reason"),
    [("path", "there already"), ("modality", "there already"), ('a"b', "cannot be called"), (" ", "need a field")],
)
def test_fields_that_filters_could_not_name_are_refused(library: analogon.Library, field: str, reason: str) -> None:
    with writing(library.collection) as writer, pytest.raises(UsageError, match=reason) as refused:
        writer.put_labels({1: {field: "x"}})
    assert "--where" not in str(refused.value) and library.collection.catalog.labels() == {}


def test_odd_names_and_values_are_kept(library: analogon.Library) -> None:
    label(library, f001={"Größe [m].x": "犬", "many": ["a", 'b"c']})
    assert stems(library, "\"Größe [m].x\" = '犬'") == {"f001"}
    assert stems(library, "many contains '\"a\"'") == {"f001"}
    assert items(library.collection)["f001"].labels["many"] == ["a", 'b"c']


# -- catalogs made before there were labels --------------------------------------------------------------------------


def as_before(collection: Collection) -> Path:
    """Take a collection back to the catalog's second version."""
    collection.close()
    with sqlite3.connect(collection.path / "catalog.sqlite") as database:
        back_to_4(database)
        database.execute("DROP TABLE label")
        database.execute("ALTER TABLE source DROP COLUMN ctime")
        database.execute("ALTER TABLE source DROP COLUMN device")
        database.execute("PRAGMA user_version = 2")
    database.close()
    return collection.path


def test_a_catalog_of_the_second_version_takes_labels(library: analogon.Library) -> None:
    names = library.collection.catalog.names()
    assert len(names) == 10
    path = as_before(library.collection)
    with analogon.open(path) as opened:
        assert opened.collection.catalog.query("PRAGMA user_version") == [(VERSION,)]
        assert opened.collection.catalog.names() == names
        label(opened, f001={"tag": "rain"})
    with analogon.open(path) as again:
        assert stems(again, "tag = 'rain'") == {"f001"}
        assert again.collection.catalog.query("PRAGMA integrity_check") == [("ok",)]


def test_one_that_cannot_be_written_is_searched_as_before(
    library: analogon.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = stems(library, "duration > 1")
    assert len(expected) == 2
    path = as_before(library.collection)
    content = (path / "catalog.sqlite").read_bytes()
    monkeypatch.setattr("os.access", lambda *_: False)
    with analogon.open(path) as opened:
        assert stems(opened, "duration > 1") == expected
        assert opened.collection.catalog.labels() == {}
    assert (path / "catalog.sqlite").read_bytes() == content


# -- exchange, kills -------------------------------------------------------------------------------------------------


def test_labels_travel_with_an_export(library: analogon.Library, tmp_path: Path) -> None:
    label(library, f000={"tag": "rain", "sure": 0.25}, f003={"many": ["a", "b"]})
    expected = {stem: item.labels for stem, item in items(library.collection).items()}
    exchange.export_parquet(library.collection, tmp_path / "x.parquet")
    exchange.export_clip_retrieval(library.collection, tmp_path / "x")
    exchange.import_parquet(tmp_path / "one", tmp_path / "x.parquet")
    exchange.import_clip_retrieval(tmp_path / "two", tmp_path / "x")
    for name in ("one", "two"):
        with analogon.open(tmp_path / name) as taken:
            assert {stem: item.labels for stem, item in items(taken.collection).items()} == expected
            assert stems(taken, "tag = 'rain' and sure = 0.25") == {"f000"}


def test_a_kill_leaves_the_old_labels_or_the_new_ones_whole(library: analogon.Library) -> None:
    path, chance = library.collection.path, np.random.default_rng(5)
    contents = sorted({item.content for item in library.collection.catalog.all_items()})
    label(library, **{f"f{n:03}": {"round": 0} for n in range(10)})
    before = 0
    for number in range(1, 13):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                with Collection.open(path) as collection, writing(collection) as writer:
                    os.write(write, b"x")
                    writer.put_labels({content: {"round": number} for content in contents})
            finally:
                os._exit(0)
        os.read(read, 1)
        time.sleep(float(chance.uniform(0, 0.004)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
        catalog = Catalog(path / "catalog.sqlite")
        rounds = {fields["round"] for fields in catalog.labels().values()}
        assert len(catalog.labels()) == 10 and rounds in ({before}, {number})
        assert catalog.query("PRAGMA integrity_check") == [("ok",)]
        catalog.close()
        (before,) = rounds


@pytest.mark.parametrize("field", ["duration", "path", "width"])
def test_labels_do_not_hide_what_media_know_of_themselves(field: str) -> None:
    with pytest.raises(UsageError, match=f"the field '{field}' is "):
        check_label(field)
