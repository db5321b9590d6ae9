"""Arithmetic asked of a collection: what is found equals numpy over the same vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import analogon
from analogon import query as q
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
    first = library.search("rain", to="audio", by="sound")[0]
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
    assert library.search("rain - traffic", to="audio")[0].reasons == ("sound",)
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
