"""Names that are asked for: letters against plain Python, common words against FTS5's own ranking, at any size."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

import analogon
from embed import Media, encode, load
from indexes import asking, names
from indexes.asking import ALL, by_words
from indexes.catalog import Catalog
from indexes.collection import Collection, Neighbour
from indexes.names import NameVectors, write_names
from indexes.words import file_name, folded, texts_of, words_of
from indexes.writer import writing
from tests import sounds
from tests.indexes.runs import run
from tests.indexes.test_cost import EVERY, Steps
from tests.indexes.test_names import NAMES, TOY, Side, put

TABLES = ("source", "content", "item")


def put_all(catalog: Catalog, paths: Iterable[str], **metadata: object) -> dict[str, int]:
    """Sounds of their own under some paths, all at once; gives their sources' ids."""
    paths = list(paths)
    with catalog.transaction():
        for path in paths:
            content = catalog.put_content(path, {}, None)
            catalog.put_source(path, None, content, ("audio",), 1, 1, metadata)
            catalog.put_item(content, Media("audio", path=path), None)
    ids = dict(catalog.query("SELECT path, id FROM source"))
    return {path: ids[path] for path in paths}


def paths_of(found: Sequence[Neighbour]) -> list[str]:
    return [one.item.sources[0].path for one in found]


# -- by letters ------------------------------------------------------------------------------------------------------


def recorders(count: int) -> list[str]:
    """Names as recorders and archives give them."""
    draw = random.Random(0)
    makers, endings = ("ZOOM", "STE-", "F8_", ""), ("wav", "WAV", "flac")
    return [
        f"/takes/{number % 7}/{draw.choice(makers)}{draw.randrange(10**4):04}_{draw.randrange(9)}-"
        f"{draw.randrange(10**5):05}-{draw.choice('ABC')}{number}.{draw.choice(endings)}"
        for number in range(count)
    ]


def test_a_recorders_name_comes_first_however_it_is_typed(collection: Collection) -> None:
    paths = recorders(300)
    put_all(collection.catalog, paths)
    with writing(collection) as writer:
        writer.build_names(Side("text", dim=64), NAMES)
    for number, path in enumerate(paths[:100]):
        name = Path(path).name if number % 2 else Path(path).stem
        typed = (name, name.upper(), name.lower(), unicodedata.normalize("NFD", name), f" {name}")[number % 5]
        found = collection.namesakes(typed, ["audio"], 10)
        assert paths_of(found.exact) == [path], typed
        assert len(collection.catalog.sources_with_part(typed).found) >= 1


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Crème_BRÛLÉE-01.wav", "creme_brulee-01"),
        ("creme_brulee-01.wav", "CRÈME_BRÛLÉE-01.WAV"),
        ("u\u0308ber.wav", "\u00fcber"),
        ("\u00fcber.wav", "U\u0308BER"),
        ("ｆｕｌｌ １２.wav", "full 12"),
        ("Straße.flac", "STRASSE"),
        ("がぎ.wav", "が\u304e"),
        ("vol. 2.part.wav", "vol. 2.part"),
        ('a "quoted" * name.wav', 'a "quoted" * name'),
        ("7.wav", "7"),
        ("%_[x].wav", "%_[x]"),
    ],
)
def test_case_and_normal_form_make_no_difference(collection: Collection, name: str, typed: str) -> None:
    put(collection.catalog, f"/x/{name}")
    put(collection.catalog, "/x/other.wav")
    found = collection.namesakes(typed, ["audio"], 9)
    assert paths_of(found.exact) == [f"/x/{name}"]
    assert paths_of(found.parts) == ([f"/x/{name}"] if len(folded(Path(name).stem)) > 2 else [])


def test_kana_with_and_without_their_marks_are_others(collection: Collection) -> None:
    put(collection.catalog, "/x/かき.wav")
    assert collection.namesakes("がぎ", ["audio"], 9).exact == []


def test_an_extension_that_is_typed_has_to_be_the_files(collection: Collection) -> None:
    put_all(collection.catalog, ["/x/take.wav", "/x/take.flac", "/y/take.wav.wav"])
    assert sorted(paths_of(collection.namesakes("take", ["audio"], 9).exact)) == ["/x/take.flac", "/x/take.wav"]
    assert paths_of(collection.namesakes("take.FLAC", ["audio"], 9).exact) == ["/x/take.flac"]
    assert sorted(paths_of(collection.namesakes("take.wav", ["audio"], 9).exact)) == ["/x/take.wav", "/y/take.wav.wav"]


def test_parts_of_names_are_those_of_plain_python(collection: Collection) -> None:
    stems = {i: file_name(path)[0] for path, i in put_all(collection.catalog, recorders(400)).items()}
    draw = random.Random(1)
    for _ in range(200):
        stem = draw.choice(list(stems.values()))
        start = draw.randrange(len(stem) - 3)
        part = stem[start : start + draw.randrange(3, 12)]
        expected = {i: len(part) / len(stem) for i, stem in stems.items() if part in stem}
        found = collection.catalog.sources_with_part(draw.choice((part, part.upper())))
        assert dict(found.found) == pytest.approx(expected) and found.whole
        assert found.found == sorted(found.found, key=lambda one: (-one[1], one[0]))
    for part in ("zo", "nowhere", "oom\0"):
        assert collection.catalog.sources_with_part(part).found == []


def test_parts_of_very_many_names_are_some_of_them_and_all_that_begin_so(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    stems = {i: file_name(path)[0] for path, i in put_all(collection.catalog, recorders(400)).items()}
    monkeypatch.setattr(asking, "PARTED", 32)
    for part in ("zoom", "ste-", "-a1", "f8_0"):
        expected = {i: len(part) / len(stem) for i, stem in stems.items() if part in stem}
        monkeypatch.setattr(asking, "INTERSECTED", 4)
        found = collection.catalog.sources_with_part(part)
        assert len(found.found) > 0 and dict(found.found).items() <= expected.items()
        first = {i for i, stem in stems.items() if stem.startswith(part)}
        assert len(first & dict(found.found).keys()) >= min(4, len(first))
    monkeypatch.setattr(asking, "INTERSECTED", 400)
    part = next(iter(stems.values()))[:9]
    found = collection.catalog.sources_with_part(part)
    assert found.whole and set(dict(found.found)) == {i for i, stem in stems.items() if part in stem}


def test_letters_follow_renames_and_removal(collection: Collection) -> None:
    ids = put_all(collection.catalog, ["/x/first_0042.wav", "/x/second_0042.wav"])
    with collection.catalog.transaction():
        collection.catalog.move_source(ids["/x/first_0042.wav"], "/x/renamed_17.wav", 1, 1)
    assert paths_of(collection.namesakes("0042", ["audio"], 9).parts) == ["/x/second_0042.wav"]
    assert paths_of(collection.namesakes("renamed_17", ["audio"], 9).exact) == ["/x/renamed_17.wav"]
    with collection.catalog.transaction():
        collection.catalog.remove_sources([ids["/x/second_0042.wav"]])
    assert collection.namesakes("0042", ["audio"], 9).parts == []
    assert collection.catalog.query("SELECT count(*) FROM called") == [(1,)]
    collection.catalog.query("INSERT INTO parts (parts, rank) VALUES ('integrity-check', 1)")  # raises if they differ


def test_the_library_puts_what_is_called_so_first_by_default(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    typed = [f"ZOOM{5000 + number}_1-{21189 + number}-A" for number in range(12)]
    for number, name in enumerate(typed):
        sounds.write(folder / f"{name}.wav", number)
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders=["toy:16"], name_encoder="toy:64")
        for name in typed:
            for by in (None, "both", "name"):
                hits = library.search(name.lower(), by=by, k=3)
                assert Path(hits[0].path).stem == name and "name" in hits[0].reasons and hits[0].rank == 1
            assert Path(library.search(name[2:8], by="both")[0].path).stem == name
        assert Path(library.search("M5003_1", by="name")[0].path).stem == typed[3]


# -- by words that many names have -----------------------------------------------------------------------------------

SAID = ["rain", "wind", "door", "crow", "bell", "gong", "drum", "rain's", "don't"]


def named(count: int) -> list[str]:
    draw = random.Random(2)
    return [f"/f{n % 5}/{' '.join(draw.choices(SAID, k=draw.randrange(1, 5)))} {n}.wav" for n in range(count)]


@pytest.mark.parametrize(
    "words", [["rain"], ["rain", "door"], ["crow", "rain", "gong"], ["don't", "rain"], ["drums", "nowhere"], ["bell"]]
)
def test_names_of_common_words_score_as_fts5_scores_them(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    put_all(collection.catalog, named(300))
    with collection.catalog.transaction():  # and gaps between their ids
        collection.catalog.remove_sources(range(20, 60))
    expected = by_words(collection.catalog.query, words)
    assert expected.common == () and len(expected.some) > 20
    counts = {word: len(by_words(collection.catalog.query, [word]).some) for word in words}
    monkeypatch.setattr(asking, "MANY", 10)
    monkeypatch.setattr(asking, "RARE", 10)
    monkeypatch.setattr(asking, "SAMPLED", 100_000)  # all are looked at
    monkeypatch.setattr(asking._Common, "_estimate", lambda _, word: counts[word])
    found = by_words(collection.catalog.query, words)
    assert set(found.common) == {word for word in words if word != "nowhere"}
    assert dict(found.some) == pytest.approx(dict(expected.some))
    assert dict(found.all) == pytest.approx(dict(expected.all))
    assert found.some == sorted(found.some, key=lambda one: (-one[1], one[0]))


def test_how_many_names_have_a_common_word_is_estimated(collection: Collection) -> None:
    put_all(collection.catalog, [f"/x/{'rain' if n % 3 else 'sun'} {n}.wav" for n in range(6000)])
    estimate = asking._Common(collection.catalog.query, ["rain"], ALL)._estimate
    assert estimate("rain") == pytest.approx(4000, rel=0.02)
    assert estimate("nowhere") == 0


def test_a_rare_word_is_found_whole_beside_common_ones_and_that_is_told(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MANY", 50)
    monkeypatch.setattr(asking, "RARE", 30)
    monkeypatch.setattr(asking, "SAMPLED", 64)
    paths = [f"/x/everywhere {'seldom ' * (n % 100 == 3)}{n}.wav" for n in range(1000)]
    put_all(collection.catalog, [*paths, "/x/seldom.wav"])
    found = collection.namesakes("everywhere seldom", ["audio"], 20)
    assert found.common == "very many names have 'everywhere': only some of those were looked at"
    both = {path for path in paths if "seldom" in path}
    assert set(paths_of(found.words)[:11]) == both | {"/x/seldom.wav"} and len(found.words) == 20
    assert set(paths_of(found.whole)) == both
    only = collection.filter("path contains '77'")
    found = collection.namesakes("everywhere", ["audio"], 100, where=only)
    assert {path for path in paths if "77" in path} >= set(paths_of(found.words)) and len(found.words) >= 10
    assert collection.namesakes("seldom", ["audio"], 20).common is None


@pytest.mark.parametrize("question", ["seldom", "everywhere", "everywhere seldom", "ZOOM0000_1-21189-A", "M0000_1-21"])
def test_a_question_asks_as_much_of_sqlite_in_a_collection_of_any_size(
    question: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same names match in both but for the common word, which half of all have."""
    monkeypatch.setattr(asking, "MANY", 100)
    monkeypatch.setattr(asking, "RARE", 50)
    monkeypatch.setattr(asking, "SAMPLED", 64)
    monkeypatch.setattr(asking, "PARTED", 64)
    monkeypatch.setattr(names, "FILES", 64)
    taken = []
    for count in (1000, 8000):
        with Collection.create(tmp_path / str(count)) as collection:
            paths = [f"/x/{'everywhere' if n % 2 else 'elsewhere'} {n}.wav" for n in range(count)]
            few = ["/x/seldom one.wav", "/x/everywhere seldom.wav", "/x/ZOOM0000_1-21189-A.wav"]
            put_all(collection.catalog, [*paths[: count // 2], *few, *paths[count // 2 :]])
            with writing(collection) as writer:
                writer.build_names(Side("text", dim=16), TOY)
            collection.namesakes(question, ["audio"], 10)  # what is read once
            steps = Steps(collection)
            found = collection.namesakes(question, ["audio"], 10)
            assert found.words or found.parts
            taken.append((steps.steps, steps.statements))
    (steps, statements), (more_steps, more_statements) = taken
    assert more_statements <= statements * 1.1 and more_steps <= steps * 1.2 + 200, taken


# -- meanings --------------------------------------------------------------------------------------------------------


def by_meaning(collection: Collection, query: np.ndarray, least: float) -> dict[int, float]:  # type: ignore[type-arg]
    """The oracle: every text of every source, with the encoder itself."""
    encoder, best = load("toy:64"), dict[int, float]()
    for i, path in collection.catalog.query("SELECT id, path FROM source"):
        words = words_of(path, None, {})
        for text, weight in texts_of(words.name, words.folder, ""):
            score = weight * float(encode(encoder, [Media.from_text(text)]).array[0] @ query)
            best[i] = max(best.get(i, -1.0), score)
    return {i: score for i, score in best.items() if score >= least}


def test_meanings_page_by_page_are_all_of_them_in_order(collection: Collection) -> None:
    paths = named(200)
    put_all(collection.catalog, paths)
    folder, encoder = collection.path / "indexes", Side("text", dim=64)
    write_names(collection.catalog, folder, encoder)
    with collection.catalog.transaction():
        collection.catalog.remove_sources([3, 50, 51])
    put_all(collection.catalog, ["/f1/crow crow.wav", "/new/rain on the sea.wav"])  # which the file has not
    query = encode(load("toy:64"), [Media.from_text("rain crow")], query=True).array[0]
    expected = by_meaning(collection, query, 0.3)
    for enough in (1, 7, 1000):
        vectors = NameVectors(collection.catalog, folder, encoder)
        found = [one for page in vectors.search(query, 0.3, ALL, enough) for one in page]
        assert dict(found) == pytest.approx(expected, abs=1e-6) and len(found) == len(expected)
        assert found == sorted(found, key=lambda one: (-one[1], one[0]))


def test_texts_that_went_take_no_place_of_those_that_are_near(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "TEXTS", 8)
    gone = put_all(collection.catalog, [f"/off/rain {first}{last}.wav" for first in "abcdef" for last in "klmnop"])
    put_all(collection.catalog, [f"/far/rain wind sea {what}.wav" for what in ("gulls", "boats", "sails")])
    folder, encoder = collection.path / "indexes", Side("text", dim=64)
    write_names(collection.catalog, folder, encoder)
    with collection.catalog.transaction():
        collection.catalog.remove_sources(list(gone.values()))
    query = encode(load("toy:64"), [Media.from_text("rain")], query=True).array[0]
    expected = by_meaning(collection, query, 0.45)
    assert len(expected) == 3
    pages = NameVectors(collection.catalog, folder, encoder).search(query, 0.45, ALL, 1000)
    assert dict(one for page in pages for one in page) == pytest.approx(expected, abs=1e-6)


def test_texts_of_which_most_of_the_nearest_went_are_found_by_a_mask(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "TEXTS", 4)
    monkeypatch.setattr(names, "FIRST", 2)
    monkeypatch.setattr(names, "GONE", 2)
    gone = put_all(collection.catalog, [f"/off/rain {first}{last}.wav" for first in "abcdef" for last in "klmnop"])
    put_all(collection.catalog, ["/far/rain wind sea gulls.wav", "/far/bells.wav"])
    folder, encoder = collection.path / "indexes", Side("text", dim=64)
    write_names(collection.catalog, folder, encoder)
    with collection.catalog.transaction():
        collection.catalog.remove_sources(list(gone.values()))
    query = encode(load("toy:64"), [Media.from_text("rain")], query=True).array[0]
    vectors = NameVectors(collection.catalog, folder, encoder)
    asked: list[object] = []
    search = vectors._index.search  # type: ignore[union-attr]

    def searching(*arguments: object, **named: object) -> object:
        asked.append(named["allowed"])
        return search(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(vectors._index, "search", searching)
    expected = by_meaning(collection, query, 0.45)
    assert len(expected) == 2
    pages = vectors.search(query, 0.45, ALL, 1000)
    assert dict(one for page in pages for one in page) == pytest.approx(expected, abs=1e-6)
    assert asked[-1] is not None and asked[0] is None
    list(vectors.search(query, 0.45, ALL, 1000))
    assert asked[-1] is asked[len(asked) // 2 - 1]  # which texts are there is read once


def test_names_are_packed_where_many_texts_went_without_being_encoded_again(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "PACK_ROWS", 10)
    monkeypatch.setattr(names, "BLOCK", 7)
    ids = put_all(collection.catalog, [f"/x/{word} rain {word}.wav" for word in "abcdefghijklmnopqrstuvwxyz"])
    folder, encoder = collection.path / "indexes", Side("text", dim=64)
    write_names(collection.catalog, folder, encoder)
    first, calls = collection.catalog.names_file(encoder.space.id), encoder.calls

    def check(*, newer: bool = False) -> str:
        query = encode(load("toy:64"), [Media.from_text("rain a")], query=True).array[0]
        expected = by_meaning(collection, query, 0.1)
        vectors = NameVectors(collection.catalog, folder, encoder)
        found = dict(one for page in vectors.search(query, 0.1, ALL, 1000) for one in page)
        assert found == pytest.approx(expected, abs=1e-6)
        assert vectors.cosines(query, expected) == pytest.approx(expected, abs=1e-6)
        held = collection.catalog.names_file(encoder.space.id)
        assert held is not None and (len(vectors._newer) > 0) == newer
        assert {path.name.split(".")[0] for path in folder.glob("*-names-*")} == {Path(held[0]).stem}
        return held[0]

    paths = list(ids)
    with collection.catalog.transaction():
        collection.catalog.remove_sources([ids[path] for path in paths[:6]])  # fewer than a quarter
    write_names(collection.catalog, folder, encoder)
    assert first is not None and check() == first[0]
    for gone in (paths[6:12], paths[20:]):
        before = check()
        with collection.catalog.transaction():
            collection.catalog.remove_sources([ids[path] for path in gone])
        check()  # of the file as it is
        write_names(collection.catalog, folder, encoder)
        packed = check()
        assert packed != before and packed.endswith("-packed.f32")
        live = collection.catalog.query("SELECT count(*) FROM text")[0][0]
        assert (folder / packed).stat().st_size == 4 * 64 * live
        assert encoder.calls == calls
        put_all(collection.catalog, [f"/x/new rain {len(gone)} {gone[0][3]}.wav"])
        check(newer=True)
        calls = encoder.calls
        write_names(collection.catalog, folder, encoder)
        assert check() == packed and encoder.calls == calls + 1
        calls += 1
    # Without its ids nobody knows whose the rows are: they are made again.
    (folder / packed).with_suffix(".ids").unlink()
    write_names(collection.catalog, folder, encoder)
    assert check() != packed


def test_a_packing_that_was_killed_leaves_the_names_as_they_were(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "PACK_ROWS", 10)
    ids = put_all(collection.catalog, named(40))
    folder, encoder = collection.path / "indexes", Side("text", dim=64)
    write_names(collection.catalog, folder, encoder)
    before = collection.catalog.names_file(encoder.space.id)
    with collection.catalog.transaction():
        collection.catalog.remove_sources(list(ids.values())[:25])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "put_names_file", killed)
        with pytest.raises(KeyboardInterrupt):
            write_names(collection.catalog, folder, encoder)
    assert collection.catalog.names_file(encoder.space.id) == before
    query = encode(load("toy:64"), [Media.from_text("rain")], query=True).array[0]
    expected = by_meaning(collection, query, 0.2)
    for _ in range(2):
        pages = NameVectors(collection.catalog, folder, encoder).search(query, 0.2, ALL, 1000)
        assert dict(one for page in pages for one in page) == pytest.approx(expected, abs=1e-6)
        write_names(collection.catalog, folder, encoder)
    held = collection.catalog.names_file(encoder.space.id)
    assert held is not None and held != before
    assert {path.name.split(".")[0] for path in folder.glob("*-names-*")} == {Path(held[0]).stem}


def test_adding_names_costs_what_is_added(tmp_path: Path) -> None:
    """In statements and steps, for the run that encodes them and for the next search."""
    taken = []
    for count in (500, 8000):
        with Collection.create(tmp_path / str(count)) as collection:
            put_all(collection.catalog, [f"/x/everywhere {n}{n}.wav" for n in range(count)])
            with writing(collection) as writer:
                writer.build_names(Side("text", dim=16), TOY)
                gone = [one for (one,) in collection.catalog.query("SELECT id FROM source LIMIT 5")]
                with collection.catalog.transaction():
                    collection.catalog.remove_sources(gone)
                put_all(collection.catalog, [f"/x/new {n} rain.wav" for n in "abc"])
                collection.namesakes("rain", ["audio"], 10)
                put_all(collection.catalog, [f"/x/new {n} rain.wav" for n in "defg"])
                steps = Steps(collection)
                writer.build_names(Side("text", dim=16), TOY)
                collection.namesakes("rain", ["audio"], 10)
            taken.append((steps.steps, steps.statements))
    (steps_few, few), (steps_many, many) = taken
    # A sample tells how many texts went, where there are enough to sample.
    assert many <= few + 1 + names.SAMPLE // 500 and steps_many <= steps_few * 1.2 + 10 * names.SAMPLE, taken


def test_what_any_list_shows_has_the_cosine_of_its_name(collection: Collection) -> None:
    # Of equal contents one path may come first by some of the words, and another by all of them.
    draw, words = random.Random(13), ("zebra", "granite", "willow", "copper")
    with writing(collection) as writer:
        with collection.catalog.transaction():
            for number in range(8):
                content = collection.catalog.put_content(str(number), {}, None)
                for _ in range(2):
                    folder = draw.choice(words)
                    name = " ".join(draw.choice(words) for _ in range(draw.randint(1, 4)))
                    path = f"/{folder}/{name} {draw.randrange(99999)}.wav"
                    group = {"group": draw.choice(words)}
                    collection.catalog.put_source(path, None, content, ("audio",), 1, 1, group)
                collection.catalog.put_item(content, Media("audio", path=path), None)
        writer.build_names(load("toy:64"), {"family": "toy", "model": "64"})
    found = collection.namesakes("zebra granite", ["audio"], 100)
    assert found.words and found.whole and found.meaning
    for some in (found.words, found.whole, found.exact, found.parts, found.meaning):
        assert {one.item.sources[0].id for one in some} <= found.cosines.keys()
    by_some = {one.item.content: one.item.sources[0].id for one in found.words}
    first = sum(one.item.sources[0].id != by_some[one.item.content] for one in found.whole)
    assert first, "no content here is led by another path: the test shows nothing"


def test_a_batch_of_names_that_was_killed_before_its_commit_is_written_again(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all(collection.catalog, named(50))
    folder, encoder = collection.path / "indexes", Side("text", dim=64)
    monkeypatch.setattr(names, "BATCH", 16)
    commit, commits = Catalog.put_names_file, []

    def dying(*arguments: object) -> None:
        commits.append(arguments)
        if len(commits) == 3:
            raise KeyboardInterrupt
        commit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Catalog, "put_names_file", dying)
    with pytest.raises(KeyboardInterrupt):
        write_names(collection.catalog, folder, encoder)
    held = collection.catalog.names_file(encoder.space.id)
    assert held is not None and held[1] == 32 and (folder / held[0]).stat().st_size > 32 * 64 * 4
    calls = encoder.calls
    write_names(collection.catalog, folder, encoder)
    told = collection.catalog.texts_after(0, 1000)
    assert encoder.calls - calls == len(told) - 32
    rows = np.fromfile(folder / held[0], np.float32).reshape(-1, 64)
    expected = encode(load("toy:64"), [Media.from_text(text) for _, text in told]).array
    np.testing.assert_array_equal(rows[[i - 1 for i, _ in told]], expected)


# -- counts ----------------------------------------------------------------------------------------------------------


def counted(collection: Collection) -> dict[str, int]:
    """The oracle: SQLite counts."""
    query = collection.catalog.query
    counts = {table: query(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
    counts |= {f"source {k}": n for k, n in query("SELECT modalities, count(*) FROM source GROUP BY 1")}
    counts |= {
        f"vector {space} {kind}": n
        for space, kind, n in query("SELECT space, modality, count(*) FROM vector GROUP BY 1, 2")
    }
    unseen = "SELECT modality, count(*) FROM item WHERE start = -1 AND id NOT IN (SELECT item FROM vector) GROUP BY 1"
    return {kind: n for kind, n in (counts | {f"unseen {k}": n for k, n in query(unseen)}).items() if n}


def test_what_is_kept_is_what_would_be_counted(collection: Collection, tmp_path: Path) -> None:
    def check() -> None:
        kept = dict(collection.catalog.query("SELECT kind, count FROM tally"))
        assert {kind: n for kind, n in kept.items() if n} == counted(collection) and min(kept.values(), default=0) >= 0

    folder = sounds.folder(tmp_path / "sounds", 6)
    (folder / "a.txt").write_text("rain")
    (folder / "table.csv").write_text("text\nrain\nsun\n")
    check()
    run(collection, folder, only=frozenset({"text"}))
    check()
    run(collection, folder, text_column="text")
    check()
    (folder / "table.csv").write_text("text\nsun\n")
    for path in sorted(folder.rglob("*.wav"))[:4]:
        path.unlink()
    run(collection, folder, text_column="text", prune=True, force=True)
    check()
    with writing(collection) as writer:
        writer.compact(0.0)
        check()
        writer.remove_space(collection.spaces[0].space)
    check()
    assert collection.catalog.unseen() == {kind[7:]: n for kind, n in counted(collection).items() if "unseen" in kind}


def test_what_is_kept_is_read_in_as_many_steps_whatever_the_size(tmp_path: Path) -> None:
    taken = []
    for count in (200, 3200):
        with Collection.create(tmp_path / str(count)) as collection:
            catalog = collection.catalog
            put_all(catalog, [f"/x/{n}.wav" for n in range(count)])
            with catalog.transaction():
                catalog.put_done(1, "a space", "audio", 0, "damaged")
            steps = Steps(collection)
            assert catalog.counts() == dict.fromkeys(TABLES, count) and catalog.kinds() == {"audio"}
            assert catalog.unseen() == {"audio": count} and catalog.count_rows("a space", "audio") == 0
            assert [failure.path for failure in catalog.failures()] == ["/x/0.wav"] and catalog.fields() == set()
            taken.append((steps.steps, steps.statements))
    assert abs(taken[1][0] - taken[0][0]) <= EVERY and taken[1][1] == taken[0][1]
