"""Search by name: full-text scores by hand, vectors against the encoder's own, catalogs from before, files unseen."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embed import Encoder, Media, encode, load
from embed.errors import CollectionError
from indexes.asking import ALL
from indexes.build import Plan, Report, SideTable, build
from indexes.catalog import Catalog
from indexes.collection import Collection, Namesakes
from indexes.names import NameVectors
from indexes.schema import VERSION
from indexes.writer import writing
from tests import sounds
from tests.indexes.runs import back_to_4

TOY = {"family": "toy", "model": "16"}
NAMES = {"family": "toy", "model": "64"}


class Side(Encoder):
    """The toy encoder with some of its sides, counting what it is asked to encode."""

    def __init__(self, *modalities: Any, dim: int = 16) -> None:
        self.inner = load(f"toy:{dim}")
        self.space, self.modalities = self.inner.space, frozenset(modalities)
        self.audio, self.video = self.inner.audio, self.inner.video
        self.calls = 0

    def encode_batch(self, batch: Sequence[Media]) -> Any:
        self.calls += len(batch)
        return self.inner.encode_batch(batch)


def run(collection: Collection, *paths: Path, sides: str = "text audio", **settings: Any) -> Report:
    names = settings.pop("names", Side("text", dim=64))
    plan = Plan(paths=tuple(map(str, paths)), **settings)
    return build(collection, [(Side(*sides.split()), TOY)], plan, names=(names, NAMES))


def put(catalog: Catalog, path: str, **metadata: Any) -> int:
    """A sound of its own under a path, as the scan of a run leaves it; gives its source's id."""
    with catalog.transaction():
        content = catalog.put_content(path, {}, None)
        catalog.put_source(path, None, content, ("audio",), 1, 1, metadata)
        catalog.put_item(content, Media("audio", path=path), None)
    source = catalog.source(path)
    assert source is not None
    return source.id


def stems(found: Sequence[Any]) -> list[str]:
    return [Path(one.item.sources[0].path).stem for one in found]


def test_words_are_ranked_by_bm25_with_the_weights_of_their_columns(collection: Collection) -> None:
    documents = {  # name, folders, caption
        "/box/birds/crow.wav": ("crow", "box birds", ""),
        "/box/crow/door.wav": ("door", "box crow", ""),
        "/box/birds/gull.wav": ("gull", "box birds", "gull beside crow"),
        "/box/birds/bell.wav": ("bell", "box birds", ""),
        "/box/tools/saw.wav": ("saw", "box tools", ""),
        "/box/tools/drum.wav": ("drum", "box tools", "loud dull heavy"),
        "/box/tools/gong.wav": ("gong", "box tools", ""),
        "/box/tools/bow.wav": ("bow", "box tools", ""),
    }
    for path, (_, _, caption) in documents.items():
        put(collection.catalog, path, **({"caption": caption} if caption else {}))
    lengths = {path: len(" ".join(texts).split()) for path, texts in documents.items()}
    average = sum(lengths.values()) / len(lengths)
    expected = {}
    for path, texts in documents.items():
        weighted = sum(weight * text.split().count("crow") for weight, text in zip((4, 1, 4), texts, strict=True))
        rarity = math.log((len(documents) - 3 + 0.5) / (3 + 0.5))  # three documents have the word
        length = 1.2 * (1 - 0.75 + 0.75 * lengths[path] / average)
        if weighted:
            expected[path] = rarity * weighted * 2.2 / (weighted + length)
    found = collection.namesakes("the sound of crows", ["audio"], 9).words  # the plural is another form of the word
    assert {one.item.sources[0].path: one.score for one in found} == pytest.approx(expected)
    assert stems(found) == ["crow", "gull", "door"]


def test_any_word_finds_and_all_words_make_a_whole(collection: Collection) -> None:
    for name in ("crow_calls", "door_slams", "old_door", "rain"):
        put(collection.catalog, f"/x/{name}.wav")
    found = collection.namesakes("an OLD door, and a crow", ["audio"], 9)
    assert stems(found.words) == ["old_door", "crow_calls", "door_slams"] and found.whole == []
    assert stems(collection.namesakes("the doors are old", ["audio"], 9).whole) == ["old_door"]
    near = collection.namesakes("an old door", ["audio"], 9, best=True)
    assert stems(near.words) == ["old_door"]  # with one word of two, the other door lies far behind
    assert found.meaning is None and found.note is None


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ('"', []),
        ('" OR name:"', []),  # "or" and "name" stand in no name
        ("crow AND", ["crow"]),
        ("NEAR(crow door)", ["crow", "y_NEAR_犬"]),
        ("crow*", ["crow"]),
        ("cro*", []),
        ("^crow", ["crow"]),
        ("caption : crow", ["crow"]),
        ("-crow", ["crow"]),
        ("NOT crow", ["crow"]),
        ("crow + door", ["crow"]),
        ("\0", []),
        ("'); DROP TABLE names; --", []),
        ("\ud800 crow", ["crow"]),
        ("犬", ["y_NEAR_犬"]),
        ("x" * 5000, []),
        ("crow " + " ".join(f"word{number}" for number in range(3000)), ["crow"]),
    ],
)
def test_nothing_that_a_person_types_is_the_languages_own(
    collection: Collection, question: str, expected: list[str]
) -> None:
    put(collection.catalog, "/sounds/crow.wav")
    put(collection.catalog, "/sounds/y_NEAR_犬.wav")
    assert sorted(stems(collection.namesakes(question, ["audio"], 9).words)) == expected


@pytest.mark.parametrize(
    "name",
    ['quote "crow"', "crow ' * ^ NEAR", "crow;DROP TABLE", "Crow\n2", "ça crow", "crow " + "long " * 48, "🐦crow"],
)
def test_odd_names_are_found(collection: Collection, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "all" / "sounds"  # two folders whose names say nothing of crows
    sounds.write(folder / f"{name}.wav", 1)
    sounds.write(folder / "other.wav", 2)
    run(collection, folder)
    found = collection.namesakes("a crow", ["audio"], 9)
    assert [one.item.media.path for one in found.words] == [str(folder / f"{name}.wav")]


def test_vectors_of_names_are_the_encoders_and_each_text_is_encoded_once(collection: Collection) -> None:
    ids = [put(collection.catalog, path, kind="animal") for path in ("/box/crow.wav", "/box/dog.wav", "/box/07.wav")]
    encoder = Side("text", dim=64)
    with writing(collection) as writer:
        writer.build_names(encoder, NAMES)
        assert encoder.calls == 4  # crow, dog, animal, box
        writer.build_names(encoder, NAMES)
        assert encoder.calls == 4
        new = put(collection.catalog, "/box/cat.wav", kind="animal")
        writer.build_names(encoder, NAMES)
        assert encoder.calls == 5
    query = encode(load("toy:64"), [Media.from_text("crow animal")], query=True).array[0]

    def cosine(text: str) -> float:
        return float(encode(load("toy:64"), [Media.from_text(text)]).array[0] @ query)

    saved = NameVectors(collection.catalog, collection.path / "indexes", encoder)
    assert encoder.calls == 5  # and a search encodes none of them
    folder = 0.9 * cosine("box")
    expected = {
        ids[0]: max(cosine("crow"), cosine("animal"), folder),
        **dict.fromkeys([ids[1], ids[2], new], max(cosine("animal"), folder)),
    }
    found = [one for page in saved.search(query, -1.0, ALL, 2) for one in page]
    assert [source for source, _ in found] == [ids[0], *sorted([ids[1], ids[2], new])]
    assert dict(found) == pytest.approx(expected, abs=1e-6)
    assert saved.cosines(query, expected) == pytest.approx(expected, abs=1e-6)


def test_a_cache_of_names_that_is_lost_behind_or_damaged_changes_no_answer(collection: Collection) -> None:
    for path in ("/x/crow call.wav", "/x/dog bark.wav"):
        put(collection.catalog, path)
    with writing(collection) as writer:
        writer.build_names(Side("text", dim=64), NAMES)
    cache = next((collection.path / "indexes").glob("*-names-*.f32"))

    def answer() -> dict[str, float]:
        with Collection.open(collection.path) as opened:
            found = opened.namesakes("dog bark", ["audio"], 9)
            assert found.meaning is not None and found.note is None
            return {one.item.sources[0].path: round(one.score, 3) for one in found.meaning}

    whole, content = answer(), cache.read_bytes()
    assert whole["/x/dog bark.wav"] == 1.0
    for damage in (content[:200], content[: len(content) // 2], b"", b"no cache"):
        cache.write_bytes(damage)
        assert answer() == whole
    cache.unlink()
    assert answer() == whole
    cache.write_bytes(content)
    with collection.catalog.transaction():  # the catalog goes on, the cache stays behind
        gone = collection.catalog.source("/x/dog bark.wav")
        assert gone is not None
        collection.catalog.remove_sources([gone.id])
    put(collection.catalog, "/x/old dog bark.wav")
    assert "/x/dog bark.wav" not in answer() and answer()["/x/old dog bark.wav"] > 0.8


def test_another_encoder_of_names_takes_the_place_of_the_first(collection: Collection) -> None:
    put(collection.catalog, "/x/crow.wav")
    with writing(collection) as writer:
        writer.build_names(Side("text", dim=64), NAMES)
        assert collection.names is not None and collection.names.space.dim == 64
        writer.build_names(Side("text", dim=16), TOY)
    with Collection.open(collection.path) as opened:
        assert opened.names is not None and opened.names.space.dim == 16 and opened.names.encoder == TOY
        found = opened.namesakes("crow", ["audio"], 9)
        assert found.meaning is not None and stems(found.meaning) == ["crow"]
    assert len(list((collection.path / "indexes").glob("*-names-*.f32"))) == 1


def test_without_its_encoder_names_are_compared_by_their_words_and_that_is_told(collection: Collection) -> None:
    put(collection.catalog, "/x/crow.wav")
    with writing(collection) as writer:
        writer.build_names(Side("text", dim=64), NAMES | {"model": "32"})  # the table no longer gives this space
    with Collection.open(collection.path) as opened:
        found = opened.namesakes("crow", ["audio"], 9)
        assert stems(found.words) == ["crow"] and found.meaning is None
        assert found.note is not None and "toy:64" in found.note and "toy:32" in found.note


def test_names_follow_renames_captions_and_removal_without_encoding(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    sounds.write(folder / "crow.wav", 1)
    sounds.write(folder / "dog.wav", 2)
    run(collection, folder)

    def found(question: str) -> list[str]:
        answer = collection.namesakes(question, ["audio"], 9)
        assert answer.meaning is not None and set(stems(answer.words)) <= set(stems(answer.meaning))
        return stems(answer.words)

    assert found("crow") == ["crow"] and found("dog") == ["dog"]
    (folder / "crow.wav").rename(folder / "raven.wav")
    report = run(collection, folder)
    assert (report.moved, report.vectors) == (1, 0)
    assert found("crow") == [] and found("raven") == ["raven"]
    table = tmp_path / "table.csv"
    table.write_text("file,caption\ndog.wav,a hound in the yard\n")
    assert run(collection, folder, side_table=SideTable.read(str(table), "file")).vectors == 0
    assert found("hounds") == ["dog"] and found("dog") == ["dog"]
    (folder / "dog.wav").unlink()
    run(collection, folder, prune=True, force=True)  # one of two
    assert found("hound") == found("dog") == []


def test_of_several_names_of_one_content_each_finds_it_and_stands_first(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    sounds.write(folder / "a_crow.wav", 1)
    sounds.write(folder / "b_door.wav", 1)
    sounds.write(folder / "bell.wav", 2)
    run(collection, folder)
    for name in ("a_crow", "b_door"):
        (hit,) = collection.namesakes(name.split("_")[1], ["audio"], 9).words
        assert Path(hit.item.sources[0].path).stem == name and len(hit.item.sources) == 2
    only = collection.filter("path contains 'b_door'")
    assert collection.namesakes("crow", ["audio"], 9, where=only).words == []
    assert stems(collection.namesakes("door", ["audio"], 9, where=only).words) == ["b_door"]
    content = collection.catalog.source(str(folder / "bell.wav"))
    assert content is not None
    assert collection.namesakes("bell", ["audio"], 9, without=frozenset({content.content})).words == []


def test_pictures_that_no_encoder_takes_are_here_by_name_until_one_does(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    sounds.write(folder / "crow.wav", 1)
    Image.new("RGB", (9, 7), "red").save(folder / "beach_sunset.png")
    (folder / "not_a_picture.png").write_bytes(b"damaged")
    (folder / "empty.png").touch()
    (folder / "notes.md").write_text("words")
    report = run(collection, folder, sides="audio", only=None)
    assert (report.found, report.new, report.ignored, report.failures) == (3, 3, 2, [])
    assert report.unseen == {"image": 2} == collection.catalog.unseen() and collection.catalog.failures() == []
    assert collection.catalog.kinds() == {"audio", "image"}
    (hit,) = collection.namesakes("sunset on a beach", ["audio", "image"], 9).words
    assert hit.item.modality == "image" and hit.item.facts["width"] == 9
    again = run(collection, folder, sides="audio")
    assert (again.known, again.new, again.unseen) == (3, 0, {"image": 2})
    seen = run(collection, folder, sides="image")
    assert seen.vectors == 1 and [Path(one.path).name for one in seen.failures] == ["empty.png", "not_a_picture.png"]
    (found,) = collection.namesakes("sunset on a beach", ["image"], 9).words
    assert found.item.id == hit.item.id and collection.catalog.row_of_item(collection.spaces[0].space.id, hit.item.id)
    assert run(collection, folder, sides="audio").unseen == {"image": 1}  # the damaged one has its name still


def test_sounds_that_no_encoder_takes_are_whole_until_they_have_parts(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 1)
    (folder / "b" / "000.wav").rename(folder / "long crow.wav")
    report = run(collection, folder, sides="image")
    assert report.unseen == {"audio": 1} and report.vectors == 0
    (hit,) = collection.namesakes("crow", ["audio"], 9).words
    assert hit.item.span is None
    assert run(collection, folder).vectors == 3
    spans = [item.span for item in collection.catalog.all_items()]
    assert None not in spans and len(spans) == 3 and collection.catalog.unseen() == {}
    assert len(collection.namesakes("crow", ["audio"], 9).words) == 1


def test_only_leaves_other_kinds_out(collection: Collection, tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "media", 2)
    Image.new("RGB", (9, 7), "red").save(folder / "beach.png")
    report = run(collection, folder, only=frozenset({"audio"}))
    assert (report.found, report.ignored, report.unseen) == (2, 1, {})


# -- catalogs made before there were names ---------------------------------------------------------------------------


def as_before(collection: Collection) -> None:
    """Take a collection back to the catalog's first version."""
    collection.close()
    with sqlite3.connect(collection.path / "catalog.sqlite") as database:
        back_to_4(database)
        database.execute("DROP TABLE names")
        database.execute("DROP TABLE revision")
        database.execute("DROP TABLE label")
        database.execute("ALTER TABLE source DROP COLUMN ctime")
        database.execute("ALTER TABLE source DROP COLUMN device")
        database.execute("PRAGMA user_version = 1")
    database.close()


def words(found: Namesakes) -> list[tuple[str, float]]:
    return [(one.item.sources[0].path, round(one.score, 6)) for one in found.words]


@pytest.fixture
def before(collection: Collection, tmp_path: Path) -> list[tuple[str, float]]:
    """A collection without names, and what it should answer to "a crow and a dog"."""
    folder = tmp_path / "sounds"
    for number, name in enumerate(("crow", "hooded crow", "dog", "bell", "door")):
        sounds.write(folder / f"{name}.wav", number)
    run(collection, folder)
    expected = words(collection.namesakes("a crow and a dog", ["audio"], 9))
    assert len(expected) == 3
    as_before(collection)
    return expected


def test_a_catalog_of_the_first_version_gets_its_names_once(
    before: list[tuple[str, float]], collection: Collection
) -> None:
    for _ in range(2):
        with Collection.open(collection.path) as opened:
            assert words(opened.namesakes("a crow and a dog", ["audio"], 9)) == before
            assert opened.catalog.query("PRAGMA user_version") == [(VERSION,)]
            assert opened.catalog.query("PRAGMA integrity_check") == [("ok",)]


def test_one_that_cannot_be_written_has_names_while_it_is_open(
    before: list[tuple[str, float]], collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (collection.path / "catalog.sqlite").read_bytes()
    monkeypatch.setattr("os.access", lambda *_: False)
    with Collection.open(collection.path) as opened:
        assert words(opened.namesakes("a crow and a dog", ["audio"], 9)) == before
    assert (collection.path / "catalog.sqlite").read_bytes() == content


def test_a_later_version_is_refused(collection: Collection) -> None:
    collection.close()
    with sqlite3.connect(collection.path / "catalog.sqlite") as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    wanted = f"made by a newer analogon.* version {VERSION + 1}; .*versions 1 to {VERSION}: update"
    with pytest.raises(CollectionError, match=wanted):
        Collection.open(collection.path)


def test_names_are_numbers_apart_by_chance(collection: Collection) -> None:
    first = put(collection.catalog, "/x/crow.wav")
    revision = collection.catalog.names_revision()
    put(collection.catalog, "/x/crow.wav")  # nothing new is said
    assert collection.catalog.names_revision() == revision
    with collection.catalog.transaction():
        collection.catalog.remove_sources([first])
    assert collection.catalog.names_revision() != revision and collection.catalog.names() == []
    assert np.iinfo(np.int64).max >= collection.catalog.names_revision() >= 0
