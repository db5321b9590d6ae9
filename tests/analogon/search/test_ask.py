"""Arithmetic asked of a collection: what is found equals numpy over the same vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import analogon
from analogon import phrases
from analogon import query as q
from analogon.settings import config
from embed import Media, encode, load
from embed.errors import UsageError
from tests import sounds
from tests.command_line import exit_code

ENCODER = "toy:16"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine sounds of one window each, and three texts."""
    root = tmp_path_factory.mktemp("media")
    for number in range(9):
        sounds.write(root / f"{number:03}.wav", number)
    for name, text in (("one", "a dog barks"), ("two", "rain on a tin roof"), ("three", "a dog in the rain")):
        (root / f"{name}.txt").write_text(text)
    return root


@pytest.fixture(scope="module")
def library(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> analogon.Library:
    made = analogon.open(tmp_path_factory.mktemp("collections") / "mixed", create=True)
    made.index(folder, encoders=[ENCODER])
    return made


def vector(asked: str | Path) -> npt.NDArray[np.float64]:
    media = Media.from_path(asked) if isinstance(asked, Path) else Media.from_text(asked)
    return np.asarray(encode(load(ENCODER), [media], query=True).array[0], np.float64)


def ranking(folder: Path, query: npt.NDArray[np.float64], without: tuple[str, ...] = ()) -> list[tuple[str, float]]:
    """The oracle: cosines of a direction with every sound, best first."""
    paths = [path for path in sorted(folder.glob("*.wav")) if path.name not in without]
    scores = [(str(path), float(vector(path) @ query / np.linalg.norm(query))) for path in paths]
    return sorted(scores, key=lambda pair: -pair[1])


def check(hits: analogon.Hits, expected: list[tuple[str, float]]) -> None:
    assert [hit.path for hit in hits] == [path for path, _ in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], abs=1e-5)


def test_a_weighted_sum_of_texts_and_a_file(library: analogon.Library, folder: Path) -> None:
    roof = folder / "004.wav"
    hits = library.search(f"2:rain + {roof} - heavy traffic", to="audio", k=20)
    direction = 2 * vector("rain") + vector(roof) - vector("heavy traffic")
    check(hits, ranking(folder, direction, without=("004.wav",)))
    assert hits.query == f"2:rain + {roof} - heavy traffic"
    everything = library.search(f"2:rain + {roof} - heavy traffic", to="audio", k=20, include_self=True)
    check(everything, ranking(folder, direction))


def test_the_same_in_json_in_python_and_as_typed_json(library: analogon.Library, folder: Path) -> None:
    expected = ranking(folder, 2 * vector("rain") - vector("heavy traffic"))
    asked = {"rain": 2, "heavy traffic": -1}
    check(library.search(asked, to="audio", k=20), expected)
    check(library.search(json.dumps(asked), to="audio", k=20), expected)
    check(library.search(q.text("rain") * 2 - q.text("heavy traffic"), to="audio", k=20), expected)


def test_a_direction_projected_out(library: analogon.Library, folder: Path) -> None:
    away = vector("heavy traffic")
    left = vector("rain") - (vector("rain") @ away) * away
    check(library.search("rain without(heavy traffic)", to="audio", k=20), ranking(folder, left))


def test_an_item_stands_for_its_vector_and_is_left_out(library: analogon.Library, folder: Path) -> None:
    first = library.search("rain", to="audio", by="content")[0]
    hits = library.search(f"id:{first.id}", to="audio", k=20)
    check(hits, ranking(folder, vector(Path(first.path)), without=(Path(first.path).name,)))
    with pytest.raises(UsageError, match="has no item 99999"):
        library.search("id:99999")


def test_what_is_near_is_dropped_and_counted(library: analogon.Library, folder: Path) -> None:
    centre = folder / "002.wav"
    near = {path for path, score in ranking(folder, vector(centre)) if score >= 1 - 0.002}
    assert 1 < len(near) < 9
    hits = library.search(f"rain exclude({centre}, 0.002)", to="audio", k=20)
    expected = [(path, score) for path, score in ranking(folder, vector("rain")) if path not in near]
    check(hits, expected)
    assert hits.notes == (f"exclude({centre}, 0.002) dropped {len(near)} of 9 audio items",)


def test_names_take_no_arithmetic(library: analogon.Library) -> None:
    assert library.search("rain - traffic", to="audio")[0].reasons == ("content",)
    with pytest.raises(UsageError, match="not with arithmetic: rain - traffic"):
        library.search("rain - traffic", by="name")


def test_what_cancels_is_told(library: analogon.Library) -> None:
    with pytest.raises(UsageError, match="rain - rain"):
        library.search("rain - rain")


def test_errors_point_at_the_column(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, "search", "rain + toward(a, b)", "-c", "nowhere") in (2, 3)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_command_says_what_was_asked(
    library: analogon.Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    collection = str(library.collection.path)
    assert exit_code(monkeypatch, "search", "2:rain - heavy traffic", "-c", collection, "--to", "audio") == 0
    told = capsys.readouterr()
    assert "asked: 2:rain - heavy traffic" in told.err
    assert ".wav" in told.out


# -- orders, percentiles, variety ------------------------------------------------------------------------------------


def sound_rows(library: analogon.Library) -> tuple[npt.NDArray[np.float64], list[str]]:
    """The vectors of all sounds, in the order of their rows, and their paths."""
    space = library.collection.spaces[0].space
    vectors = np.asarray(library.collection.vectors(space, "audio"), np.float64)
    items = library.collection.catalog.items_of_rows(space.id, "audio", range(len(vectors)))
    found = library.collection.catalog.items(sorted(items.values()))
    return vectors, [found[items[row]].sources[0].path for row in range(len(vectors))]


def bank(without: str) -> npt.NDArray[np.float64]:
    texts = [phrase for phrase in phrases.bank("audio") if phrase != without]
    rows = encode(load(ENCODER), [Media.from_text(text) for text in texts], query=True).array
    return np.asarray(rows, np.float64)


def test_hubs_are_held_back_by_nnn(library: analogon.Library) -> None:
    vectors, paths = sound_rows(library)
    scores = bank("rain") @ vectors.T
    bias = np.sort(scores, axis=0)[-128:].mean(axis=0)
    order = np.argsort(-(vectors @ vector("rain") - 0.75 * bias), kind="stable")
    plain = np.argsort(-(vectors @ vector("rain")), kind="stable")
    assert order.tolist() != plain.tolist()
    hits = library.search("rain", to="audio", by="content", k=20, rerank="nnn")
    assert [hit.path for hit in hits] == [paths[row] for row in order]
    assert [hit.score for hit in hits] == pytest.approx((vectors @ vector("rain"))[order].tolist(), abs=1e-5)
    with pytest.raises(UsageError, match="no order 'best'; there are: none, centre, csls, nnn, qbnorm"):
        library.search("rain", rerank="best")


def test_percentiles_count_the_queries_that_an_item_answers_less_well(library: analogon.Library) -> None:
    vectors, paths = sound_rows(library)
    scores = bank("rain") @ vectors.T
    for hit in library.search("rain", to="audio", by="content", k=20):
        row = paths.index(hit.path)
        assert hit.percentile == pytest.approx(100 * (scores[:, row] < vectors[row] @ vector("rain")).mean(), abs=0.2)


def test_a_recording_is_compared_with_recordings(tmp_path: Path) -> None:
    folder = tmp_path / "media"
    for number in range(30):
        sounds.write(folder / f"{number:03}.wav", number)
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders=[ENCODER])
        vectors, paths = sound_rows(library)
        asked = paths.index(str(folder / "004.wav"))
        others = np.delete(vectors, asked, axis=0)
        for hit in library.search(folder / "004.wav", to="audio", k=5):
            row = vectors[paths.index(hit.path)]
            expected = 100 * (others @ row < vectors[asked] @ row - 1e-7).mean()
            assert hit.percentile == pytest.approx(expected, abs=100 / 29 + 1e-6)
        assert library.search(f"rain + {folder / '004.wav'}", to="audio")[0].percentile is None


def test_a_collection_without_a_bank_answers_without_percentiles(tmp_path: Path, folder: Path) -> None:
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders=[ENCODER], only=["audio"])
        library.collection.kept.clear()  # as another process would find it
        for file in (config.home() / "banks").glob("*.npz"):
            file.unlink()
        assert library.search("rain", by="content")[0].percentile is None
        assert library.search("rain", by="content", rerank="csls")[0].percentile is not None


def test_variety_chooses_hits_that_are_unlike_each_other(library: analogon.Library) -> None:
    vectors, paths = sound_rows(library)
    cosines, chosen = vectors @ vector("rain"), list[int]()
    relevance = cosines / cosines.max()
    while len(chosen) < 4:  # Carbonell and Goldstein, written out
        left = [row for row in range(len(paths)) if row not in chosen]
        alike = {row: max((vectors[row] @ vectors[one] for one in chosen), default=0.0) for row in left}
        chosen.append(max(left, key=lambda row: 0.4 * relevance[row] - 0.6 * alike[row]))
    hits = library.search("rain", to="audio", by="content", k=4, variety=0.6)
    assert [hit.path for hit in hits] == [paths[row] for row in chosen]
    assert chosen != np.argsort(-cosines)[:4].tolist()
    with pytest.raises(UsageError, match="a share from 0 to 1"):
        library.search("rain", variety=2)


def test_centring_takes_each_sides_own_mean_off(library: analogon.Library) -> None:
    vectors, paths = sound_rows(library)
    queries = np.asarray(
        encode(load(ENCODER), [Media.from_text(text) for text in phrases.bank("audio")], query=True).array, np.float64
    )
    kept = queries[[phrase != "rain" for phrase in phrases.bank("audio")]]
    items = vectors - vectors.mean(axis=0)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    scores = items @ (vector("rain") - kept.mean(axis=0))
    hits = library.search("rain", to="audio", by="content", k=20, rerank="centre")
    assert [hit.path for hit in hits] == [paths[row] for row in np.argsort(-scores)]
    wrong = items @ (vector("rain") - vectors.mean(axis=0))
    assert np.argsort(-wrong).tolist() != np.argsort(-scores).tolist()


def test_a_bridge_that_is_not_there_is_told_even_where_none_is_needed(library: analogon.Library) -> None:
    with pytest.raises(UsageError, match="no bridge called 'nope'"):
        library.search("rain", bridge="nope")


def test_one_line_stays_one_line_whatever_it_names(
    library: analogon.Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    collection = str(library.collection.path)
    assert exit_code(monkeypatch, "search", "./no\nsuch\x1b[31m.wav", "-c", collection) == 3
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and "\x1b" not in told and "no such" in told


def test_a_name_of_media_that_is_not_there_is_told_to_be_words(library: analogon.Library) -> None:
    told = "there is no file knock.wav: its name is taken as words; in quotes it is meant so"
    for typed in ("knock.wav", "knock.wav + rain", "dog + 2:knock.wav"):
        assert told in library.search(typed, to="audio", k=1).notes
    for typed in ('"knock.wav"', "knock", "notes.txt", "e.g. node.js"):
        assert not any("there is no file" in note for note in library.search(typed, to="audio", k=1).notes)


def test_vectors_of_any_length_ask_for_their_direction(library: analogon.Library) -> None:
    row = np.random.default_rng(0).standard_normal(16)
    expected = [(hit.path, hit.score) for hit in library.search(row, to="audio", k=3)]
    for scale in (1e-300, 1e300):
        assert [(hit.path, hit.score) for hit in library.search(row * scale, to="audio", k=3)] == [
            (path, pytest.approx(score, abs=1e-6)) for path, score in expected
        ]


@pytest.mark.parametrize(
    "asked",
    [{"k": 2.5}, {"k": None}, {"k": "3"}, {"offset": 0.5}, {"variety": "a"}, {"where": 3}, {"bridge": 3}],
    ids=str,
)
def test_values_of_other_types_are_refused_in_words(library: analogon.Library, asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="whole numbers|is a text, not int|a share from 0 to 1"):
        library.search("rain", **asked)


def test_an_empty_path_is_no_folder(library: analogon.Library, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for path in ("", " "):
        with pytest.raises(UsageError, match="a path is empty"):
            library.index(path)
        with pytest.raises(UsageError, match="a path is empty"):
            library.remove(path)
    with pytest.raises(UsageError, match="named one by one"):
        library.index([str(folder)])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="names a column of a side table, and none is given"):
        library.index(folder, key="name")
    with pytest.raises(UsageError, match="number of bytes"):
        library.index(folder, memory=-1)
    with pytest.raises(UsageError, match="the name of a collection is empty"):
        analogon.open("")
    assert len(library.search("rain", to="audio", k=20)) == 9


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["search", "x", "-c", "a", "-c", "b"], "--collection stands here twice"),
        (["search", "x", "--to", "audio", "--to", "text", "--to", "image"], "--to stands here 3 times"),
        (["voice", "list", "-f", "json", "--format", "table"], "--format stands here twice"),
        (["search", "x", "-c", ""], "the name of a collection is empty"),
    ],
)
def test_an_option_that_takes_one_value_is_given_once(
    given: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, *given) == 2
    assert said in capsys.readouterr().err
