"""Searching by name, by content and by both, through the Python door and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import analogon
from embed import Media, encode, load
from embed.errors import EncoderError, UnsupportedModality, UsageError
from tests import sounds
from tests.command_line import family

ENCODER = "toy:16"
NAMES = "toy:512"  # wide enough that no two words of these tests share a component
FILES = ("crow_call", "hooded crow", "old_door", "rain on a roof", "07")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five sounds and a picture, in a folder that is called nothing of what is asked here."""
    root = tmp_path_factory.mktemp("top") / "all" / "media"
    for number, name in enumerate(FILES):
        sounds.write(root / f"{name}.wav", number, 2.6 if name == "old_door" else 0.3)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(root / "crow.png")
    return root


@pytest.fixture(scope="module")
def library(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> analogon.Library:
    made = analogon.open(tmp_path_factory.mktemp("collections") / "mixed", create=True)
    made.index(folder, encoders=[ENCODER], name_encoder=NAMES)
    return made


def stems(hits: analogon.Hits) -> list[str]:
    return [Path(hit.path).stem for hit in hits]


def by_content(library: analogon.Library, question: str) -> list[str]:
    """The oracle: the best window of each sound, in the order of cosines."""
    known = library.collection.spaces[0]
    query = encode(load(ENCODER), [Media.from_text(question)], query=True).array[0]
    best: dict[str, float] = {}
    for item in library.collection.catalog.all_items():
        if item.modality == "audio":
            stem = Path(item.sources[0].path).stem
            best[stem] = max(best.get(stem, -2.0), float(library.collection.vector(known.space, item.id) @ query))
    return sorted(best, key=lambda stem: -best[stem])


def test_by_content_is_the_content_alone(library: analogon.Library) -> None:
    hits = library.search("crow call", to="audio", by="content")
    assert stems(hits) == by_content(library, "crow call")
    assert {hit.reasons for hit in hits} == {("content",)} and {hit.space_name for hit in hits} == {ENCODER}


def test_by_name_is_what_files_are_called(library: analogon.Library) -> None:
    hits = library.search("crow call", to="audio", by="name")
    assert stems(hits)[:2] == ["crow_call", "hooded crow"] and "old_door" not in stems(hits)
    assert {hit.reasons for hit in hits} == {("name",)} and {hit.space_name for hit in hits} == {NAMES}
    table = load(NAMES)
    query, first, second = encode(table, [Media.from_text(t) for t in ("crow call", "crow call", "hooded crow")]).array
    assert [hit.score for hit in hits[:2]] == pytest.approx([float(query @ first), float(query @ second)], abs=2e-3)
    # By words and by meaning it is the first, and has all the words: half and half of a list, and a fiftieth.
    assert hits[0].fused == pytest.approx(1.02 / 61)
    assert library.search("crow call", by="name")[0].path == hits[0].path
    assert stems(library.search("crow", to="image", by="name")) == ["crow"]


def test_both_are_joined_and_each_hit_says_why(library: analogon.Library) -> None:
    heard = by_content(library, "crow call")
    hits = {Path(hit.path).stem: hit for hit in library.search("crow call", to="audio")}
    assert set(hits) == set(heard)
    assert hits["crow_call"].reasons == ("content", "name") and hits["old_door"].reasons == ("content",)
    assert hits["crow_call"].rank == 1
    for stem, hit in hits.items():
        named = 1.02 / 61 if stem == "crow_call" else 0.0
        # "hooded crow" has one of the two words only: far behind the best, it does not join.
        assert hit.fused == pytest.approx(1 / (61 + heard.index(stem)) + named), stem
        assert hit.space_name == ENCODER
    vectors = {hit.path: hit.score for hit in library.search("crow call", to="audio", by="content")}
    assert {hit.path: hit.score for hit in hits.values()} == vectors  # the content's cosine, wherever there is one


def test_pages_follow_each_other(library: analogon.Library) -> None:
    whole = [(hit.rank, hit.path) for hit in library.search("crow call", k=6)]
    pages = [(h.rank, h.path) for start in (0, 2, 4) for h in library.search("crow call", k=2, offset=start)]
    assert pages == whole and len(whole) == 6


def test_a_file_is_asked_by_its_content_unless_its_name_is_said_to_count(
    library: analogon.Library, folder: Path
) -> None:
    query = folder / "crow_call.wav"
    default = library.search(query, to="audio")
    assert {hit.reasons for hit in default} == {("content",)}
    assert stems(library.search(query, by="name")) == ["crow", "hooded crow"]  # and not the file itself
    kept = library.search(query, by="name", include_self=True)
    assert stems(kept)[0] == "crow_call"
    both = library.search(query, to="audio", by="both")
    assert {hit.reasons for hit in both if "crow" in hit.path} == {("content", "name")}
    with pytest.raises(UsageError, match="the name of .*07.wav says nothing"):
        library.search(folder / "07.wav", by="name")
    assert len(library.search(folder / "07.wav")) == 5


def test_filters_parts_and_kinds_hold_for_names(library: analogon.Library) -> None:
    assert stems(library.search("crow", by="name", where="path contains 'hooded'")) == ["hooded crow"]
    assert stems(library.search("crow", by="name", where="width > 10")) == ["crow"]
    assert stems(library.search("crow", by="name", where="duration > 100")) == []
    parts = [hit for hit in library.search("an old door", to="audio", parts=True, k=20) if "old_door" in hit.path]
    assert len(parts) == 3 and {hit.reasons for hit in parts} == {("content", "name")}
    assert len({hit.span for hit in parts}) == 3
    (door,) = library.search("an old door", by="name", to="audio", parts=True)
    assert door.span is None and door.span_text == ""


def test_what_is_not_there_to_be_asked(library: analogon.Library) -> None:
    with pytest.raises(UsageError, match="found by content, name, both, not by 'smell'"):
        library.search("crow", by="smell")
    assert stems(library.search("nothing of the kind", by="name")) == []
    with pytest.raises(UsageError, match="holds no video"):
        library.search("crow", to="video")
    assert len(library.search("crow", to="video", by="name")) == 0


@pytest.fixture
def deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A family that takes texts and sounds, and no pictures."""
    return family(monkeypatch, tmp_path / "plugins", "blind", {"audio", "text"}, model="16")


def test_pictures_answer_by_name_where_nothing_looks_at_them(deaf: str, folder: Path, tmp_path: Path) -> None:
    with analogon.open(tmp_path / "c", create=True) as library:
        report = library.index(folder, encoders=[deaf])
        assert report.unseen == {"image": 1} and report.failures == []
        assert library.describe().by_name_alone == {"image": 1}
        hits = library.search("a crow", to="image")
        assert stems(hits) == ["crow"] and hits[0].reasons == ("name",) and hits[0].media.modality == "image"
        (note,) = hits.notes
        assert "found by name alone" in note and "no vectors of image" in note and "encoders='clip')` looks" in note
        mixed = library.search("a crow")
        assert {hit.media.modality for hit in mixed} == {"audio", "image"}
        assert not any("found by name" in note for note in mixed.notes)
        for by in ("content", None):
            with pytest.raises(UsageError, match=r"no vectors of image.*encoders='clip'\)`"):
                library.search("an elephant", to="image", by=by)


def test_an_encoder_that_takes_no_text_leaves_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family(monkeypatch, tmp_path / "plugins", "mute", {"audio"})
    folder = tmp_path / "all" / "sounds"
    sounds.write(folder / "crow.wav", 1)
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders=["mute"])
        hits = library.search("crows")
        assert stems(hits) == ["crow"] and "cannot be asked with text" in hits.notes[0]
        with pytest.raises(UnsupportedModality, match="cannot be asked with text"):
            library.search("rain")


def test_the_encoder_of_names_is_chosen_once_and_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analogon.settings.config.BUILT_IN_NAME_ENCODER", "static:./nowhere")
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders=[ENCODER])
        assert library.collection.names is None  # the usual one is not at hand: words alone
        hits = library.search("crow call", by="name", to="audio")
        assert stems(hits) == ["crow_call", "hooded crow"] and {hit.space_name for hit in hits} == {"BM25"}
        monkeypatch.setenv("ANALOGON_NAME_ENCODER", "static:./nowhere")
        with pytest.raises(EncoderError, match="nowhere"):
            library.index(folder)
        monkeypatch.setenv("ANALOGON_NAME_ENCODER", NAMES)
        library.index(folder)
    monkeypatch.delenv("ANALOGON_NAME_ENCODER")
    with analogon.open(tmp_path / "c") as library:
        library.index(folder)
        assert library.describe().names == NAMES
        assert library.search("crow call", by="name")[0].space_name == NAMES
        family(monkeypatch, tmp_path / "plugins", "mute2", {"audio"})
        with pytest.raises(UnsupportedModality, match="cannot compare names: it takes no text"):
            library.index(folder, name_encoder="mute2")


def test_names_of_texts_count_where_texts_answer(tmp_path: Path) -> None:
    folder = tmp_path / "all" / "notes"
    folder.mkdir(parents=True)
    (folder / "crows.txt").write_text("black birds")
    (folder / "other.txt").write_text("something else")
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders=[ENCODER], name_encoder=NAMES)
        hits = library.search("a crow")
        assert hits[0].reasons == ("content", "name") and hits[0].path.endswith("crows.txt") and len(hits) == 2
        assert hits[0].media.text == "black birds"


# -- the command line -------------------------------------------------------------------------------------------------


def command(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **settings}
    return subprocess.run(
        [sys.executable, "-m", "analogon", *arguments], capture_output=True, text=True, cwd=cwd, env=environment
    )


def test_the_command_line_says_why(deaf: str, folder: Path, tmp_path: Path) -> None:
    settings = {"ANALOGON_HOME": str(tmp_path / "home"), "ANALOGON_NAME_ENCODER": NAMES}
    made = command("index", ".", "--encoder", deaf, cwd=folder, **settings)
    assert made.returncode == 0 and "6 files (6 new)" in made.stdout
    told = [line for line in made.stderr.splitlines() if "image" in line]
    assert len(told) == 1 and "1 image file is found by name only" in told[0] and "--encoder clip does" in told[0]
    assert "skipped" not in made.stderr
    table = command("search", "crow call", "-k", "3", cwd=folder, **settings)
    lines = [line.split() for line in table.stdout.splitlines()]
    assert lines[0][:6] == ["#", "score", "pct", "by", "part", "file"]
    assert lines[1][3:5] == ["content,", "name"] and lines[1][5] == "crow_call.wav"
    tsv = command("search", "crow call", "-k", "1", "-f", "tsv", cwd=folder, **settings).stdout.splitlines()
    assert tsv[0].split("\t")[-1] == "by" and tsv[1].split("\t")[-1] == "content name"
    (line,) = command("search", "crow", "--to", "image", "-f", "json", cwd=folder, **settings).stdout.splitlines()
    record = json.loads(line)
    assert (
        record["by"] == ["name"] and record["space"] == NAMES and record["fused"] == pytest.approx(1.02 / 61, abs=1e-6)
    )
    picture = command("search", "crow", "--to", "image", cwd=folder, **settings)
    assert picture.returncode == 0 and "found by name alone" in picture.stderr
    content = command("search", "crow call", "--by", "content", cwd=folder, **settings)
    assert " by " not in content.stdout.splitlines()[0]
    wrong = command("search", "crow", "--by", "smell", cwd=folder, **settings)
    assert wrong.returncode == 2 and "content, name, both" in wrong.stderr and len(wrong.stderr.splitlines()) == 1
    info = command("info", cwd=folder, **settings)
    assert f"by meaning with {NAMES}" in info.stdout and "image: 1 found by name alone" in info.stdout
