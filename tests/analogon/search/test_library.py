"""Queries to hits, through the Python door and the command line, on files that the tests make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import analogon
from analogon.query import File, Text
from analogon.search.ask import as_query, media_of
from analogon.service.exchange import Export
from embed import Media, Span, encode, load
from embed.errors import (
    CollectionError,
    CollectionNotFound,
    FilterError,
    SpaceMismatch,
    UnsupportedModality,
    UsageError,
)
from tests import sounds
from tests.command_line import exit_code, family

ENCODER = "toy:16"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve sounds, three pictures, three texts."""
    root = sounds.folder(tmp_path_factory.mktemp("media"), 12)
    random = np.random.default_rng(0)
    for number in range(3):
        pixels = random.integers(0, 255, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"picture {number}.png")
    for name, text in (("one", "a dog barks"), ("two", "rain on a tin roof"), ("three", "a dog in the rain")):
        (root / f"{name}.txt").write_text(text)
    return root


@pytest.fixture(scope="module")
def library(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> analogon.Library:
    made = analogon.open(tmp_path_factory.mktemp("collections") / "mixed", create=True)
    made.index(folder, encoders=[ENCODER])
    return made


def ranked(folder: Path, query: Media, pattern: str) -> list[tuple[str, float]]:
    """The oracle: cosines of the query with every window of every file, the best window of each, best first."""
    encoder = load(ENCODER)
    q = encode(encoder, [query], query=True).array[0]
    best: dict[str, float] = {}
    from embed.pipeline import Encoded, encode_stream

    files = sorted(folder.rglob(pattern))
    for result in encode_stream(encoder, [Media.from_path(path) for path in files]):
        if isinstance(result, Encoded):
            path = str(files[result.index])
            best[path] = max(best.get(path, -2.0), float(result.vector @ q))
    return sorted(best.items(), key=lambda pair: -pair[1])


@pytest.mark.parametrize(("to", "pattern"), [("audio", "*.wav"), ("image", "*.png"), ("text", "*.txt")])
def test_hits_are_the_nearest_of_each_modality(library: analogon.Library, folder: Path, to: str, pattern: str) -> None:
    hits = library.search("a dog barks", to=to, k=5)
    expected = ranked(folder, Media.from_text("a dog barks"), pattern)[:5]
    assert [hit.path for hit in hits] == [path for path, _ in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], abs=1e-6)
    assert [hit.rank for hit in hits] == list(range(1, len(expected) + 1))


def test_a_file_finds_others_and_not_itself(library: analogon.Library, folder: Path) -> None:
    query = folder / "b" / "004.wav"
    expected = [path for path, _ in ranked(folder, Media.from_path(query), "*.wav")]
    assert expected[0] == str(query)
    assert [hit.path for hit in library.search(query, to="audio", k=20)] == expected[1:]
    assert library.search(query, to="audio", include_self=True)[0].path == str(query)
    paged = library.search(query, to="audio", k=3, offset=2)
    assert [hit.path for hit in paged] == expected[3:6] and [hit.rank for hit in paged] == [3, 4, 5]


def test_the_part_that_matched_is_named(library: analogon.Library, folder: Path) -> None:
    whole = folder / "a" / "005.wav"
    encoder = load(ENCODER)
    part = Media.from_path(whole).but(span=Span(1.0, 2.0))
    hits = library.search(part, to="audio", include_self=True, k=3, parts=True)
    assert hits[0].path == str(whole) and hits[0].span == Span(1.0, 2.0)
    assert hits[0].span_text == "0:01 to 0:02" and hits[0].score == pytest.approx(1.0, abs=1e-6)
    own = [
        hit for hit in library.search(part, to="audio", include_self=True, k=50, parts=True) if hit.path == str(whole)
    ]
    assert len(own) == 3  # 2.6 s: windows from 0, 1 and 1.6
    assert encoder.audio is not None and encoder.audio.window == 1.0


def test_texts_come_only_where_they_are_asked_for_or_alone(library: analogon.Library) -> None:
    kinds = {hit.media.modality for hit in library.search("a dog", k=50)}
    assert kinds == {"audio", "image"}
    lists = {to: [hit.id for hit in library.search("a dog", to=to, k=4)] for to in ("audio", "image")}
    mixed = [hit.id for hit in library.search("a dog", k=4)]
    assert mixed == [lists["audio"][0], lists["image"][0], lists["audio"][1], lists["image"][1]]


def test_wrong_use_is_told(library: analogon.Library, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no modality 'sound'.*audio"):
        library.search("x", to="sound")
    with pytest.raises(UsageError, match="holds no video.*audio, image, text"):
        library.search("x", to="video")
    with pytest.raises(UsageError, match="empty"):
        library.search("  ")
    with pytest.raises(FilterError, match="column 1.*kolour"):
        library.search("x", where="kolour = 'red'")
    with pytest.raises(SpaceMismatch, match=r"indexed with toy:16.*asked for is toy:4"):
        library.search("x", spaces=["toy:4"])
    with pytest.raises(CollectionNotFound, match="nowhere"):
        analogon.open(tmp_path / "nowhere")


def test_an_encoder_without_the_querys_side_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family(monkeypatch, tmp_path / "plugins", "deaf", {"audio"})
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(sounds.folder(tmp_path / "s", 3), encoders=["deaf"])
        with pytest.raises(UnsupportedModality, match="cannot be asked with text: its encoder toy:8 takes audio"):
            library.search("rain")


def test_what_a_person_types_is_a_file_or_a_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    def medium(typed: str) -> Media:
        leaf = as_query(typed)
        assert isinstance(leaf, Text | File)
        return media_of(leaf)

    assert medium("rain on a roof").text == "rain on a roof"
    assert medium("a/001.wav").modality == "audio" and medium("./a/001.wav").modality == "audio"
    assert medium("one.txt").text == "a dog barks"
    assert medium("./nowhere.wav").path == "nowhere.wav"


def command(*arguments: str, cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANALOGON_HOME": str(home)}
    root = str(Path(__file__).parents[3])
    environment["PYTHONPATH"] = root
    return subprocess.run(
        [sys.executable, "-m", "analogon", *arguments], capture_output=True, text=True, cwd=cwd, env=environment
    )


def test_the_command_line_from_end_to_end(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (folder / "broken.wav").write_bytes(b"RIFFxxxx")
    try:
        made = command("index", str(folder), "-c", "mix", "--encoder", ENCODER, cwd=folder, home=home)
    finally:
        (folder / "broken.wav").unlink()
    assert made.returncode == 0, made.stderr
    assert "broken.wav: " in made.stderr and "Traceback" not in made.stderr
    assert "mix: 19 files" in made.stdout and "1 skipped" in made.stdout
    found = command(
        "search", "a dog barks", "-c", "mix", "--to", "audio", "-f", "json", "-k", "3", cwd=folder, home=home
    )
    records = [json.loads(line) for line in found.stdout.splitlines()]
    expected = ranked(folder, Media.from_text("a dog barks"), "*.wav")[:3]
    assert [record["path"] for record in records] == [path for path, _ in expected]
    assert list(records[0])[:8] == ["rank", "score", "path", "modality", "start", "end", "id", "row"]
    assert records[0]["metadata"]["sample_rate"] == 16000
    paths = command("search", "a/001.wav", "-c", "mix", "--to", "audio", "-f", "paths", cwd=folder, home=home)
    assert len(paths.stdout.splitlines()) == 10 and str(folder / "a" / "001.wav") not in paths.stdout
    tsv = command("search", "dog", "-c", "mix", "--to", "image", "-f", "tsv", cwd=folder, home=home).stdout.splitlines()
    assert tsv[0].split("\t") == ["rank", "score", "path", "modality", "start", "end", "id", "by"] and len(tsv) == 4
    table = command("search", "dog", "-c", "mix", "--to", "text", cwd=folder, home=home)
    assert "a dog barks" in table.stdout and table.returncode == 0
    nothing = command("search", "dog", "-c", "mix", "--where", "duration > 100", cwd=folder, home=home)
    assert nothing.returncode == 1 and nothing.stdout == ""
    told = command("info", "-c", "mix", "-f", "json", cwd=folder, home=home)
    assert json.loads(told.stdout)["spaces"][0]["modalities"]["image"]["vectors"] == 3
    failures = command("info", "-c", "mix", "--failures", cwd=folder, home=home)
    assert "broken.wav" in failures.stdout
    gone = command("rm", str(folder / "a"), "-c", "mix", cwd=folder, home=home)
    assert gone.returncode == 0 and gone.stdout == "6 files forgotten\n"
    assert command("rm", "--all", "-c", "mix", cwd=folder, home=home).returncode == 0
    assert not (home / "collections" / "mix").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", "rain", "-c", "nowhere"], 3, "no collection there"),
        (["index", "nowhere", "--encoder", "toy"], 2, "no such file or folder"),
        (["index", ".", "--encoder", "nope:x"], 3, "no encoder family 'nope'"),
        (["index", ".", "--encoder", "nope.toml"], 3, "nope.toml: no such file"),
        (["index", ".", "--encoder", "clap:./nowhere"], 3, "no such folder"),
        (["index", ".", "--encoder", "toy", "--memory", "plenty"], 2, "no amount of memory"),
        (["index", "table.csv", "--encoder", "toy", "--text-column", "nope"], 2, "no column 'nope'"),
        (["search", "rain", "-f", "xml"], 2, "no such format"),
        (["rm"], 2, "name the files"),
        (["export", "x.parquet", "-c", "nowhere"], 3, "no collection there"),
        (["import", "nowhere.parquet"], 2, "no such file"),
    ],
)
def test_each_fault_is_one_line_and_an_exit_code(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("text\nrain\n")
    ran = command(*arguments, cwd=tmp_path, home=tmp_path / "home")
    assert ran.returncode == code, ran.stderr
    assert message in ran.stderr and len(ran.stderr.splitlines()) == 1 and ran.stdout == ""
    assert not list(tmp_path.glob("home/collections/*"))  # a mistake leaves no empty collection behind


def test_a_collection_that_outgrows_the_scan_says_which_index_and_how_well_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from indexes.faiss import plan

    monkeypatch.setattr(plan, "SCAN_BYTES", 0)
    folder = sounds.folder(tmp_path / "sounds", 60)
    table = tmp_path / "texts.csv"
    random = np.random.default_rng(0)
    words = ["dog", "cat", "rain", "roof", "wind", "bell", "train", "snow", "sea", "bird", "glass", "drum", "voice"]
    texts = [" ".join(random.choice(words, 4)) for _ in range(300)]
    table.write_text("text\n" + "\n".join(dict.fromkeys(texts)) + "\n")
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, table, encoders=[ENCODER], text_column="text")
        sides = library.describe().to_json()["spaces"][0]["modalities"]
        assert "HNSW" in sides["audio"]["index"] and "text queries" in sides["audio"]["index"]
        assert "recall@10" in sides["text"]["index"] and "text queries" not in sides["text"]["index"]
        expected = [path for path, _ in ranked(folder, Media.from_text("dog bell"), "*.wav")[:5]]
        assert [hit.path for hit in library.search("dog bell", to="audio", k=5)] == expected
        # A cache that is lost or damaged is built again, and answers meanwhile are exact.
        for cache in (library.collection.path / "indexes").iterdir():
            cache.write_bytes(cache.read_bytes()[:-20])
    with analogon.open(tmp_path / "c") as library:
        assert "exact" in library.describe().spaces[0].modalities["audio"].index
        assert [hit.path for hit in library.search("dog bell", to="audio", k=5)] == expected
        library.index(folder)
        assert "HNSW" in library.describe().spaces[0].modalities["audio"].index


# -- vectors, several spaces, old names, closed ones ------------------------------------------------------------------


def test_a_vector_is_searched_with_as_the_text_that_it_came_from(library: analogon.Library, folder: Path) -> None:
    vectors = encode(load(ENCODER), [Media.from_text("a dog barks")], query=True)
    expected = ranked(folder, Media.from_text("a dog barks"), "*.wav")[:4]
    row = vectors.array[0]
    for asked in (row, row[None], row.astype(np.float64) * 7, np.asarray(row, np.float16), vectors):
        hits = library.search(asked, to="audio", k=4)
        assert [hit.path for hit in hits] == [path for path, _ in expected]
        assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], abs=1e-3)
        assert {hit.reasons for hit in hits} == {("content",)} and hits.query == "a vector of 16 numbers"
    assert library.search(np.arange(16), to="audio", k=1)[0].score > 0  # whole numbers are numbers
    with pytest.raises(UsageError, match="not with a vector"):
        library.search(row, by="name")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (np.ones(15, np.float32), r"15 numbers is of none of the spaces .*toy:16 \(16\)"),
        (np.ones((2, 16), np.float32), r"\(1, dim\), not \(2, 16\)"),
        (np.ones((16, 1), np.float32), r"\(1, dim\), not \(16, 1\)"),
        (np.array(1.0), r"\(1, dim\), not \(\)"),
        (np.zeros(16), "not all zeros"),
        (np.full(16, np.nan), "finite"),
        (np.full(16, np.inf), "finite"),
        (np.zeros(0), "not all zeros"),
        (np.array(["a"] * 16), "real numbers, not <U1"),
        (np.ones(16, np.complex64), "real numbers, not complex64"),
        (np.ones(16, np.bool_), "real numbers, not bool"),
        (7, "a query is a text.*not int"),
        (None, "a query is a text.*not NoneType"),
        ([0.5, 0.5], r"2 numbers is of none of the spaces .*toy:16 \(16\)"),
        ([0.5, "rain"], "a query is a string"),
    ],
)
def test_what_is_no_vector_of_a_space_here_is_told(library: analogon.Library, asked: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        library.search(asked)  # type: ignore[arg-type]


def test_a_vector_that_may_be_of_several_spaces_wants_one_to_be_chosen(tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "s", 4)
    narrow = {"family": "toy", "model": "8", "window": 0.5}
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders="toy:8")
        library.index(folder, encoders=narrow)
        assert len(library.collection.spaces) == 2
        with pytest.raises(UsageError, match="may be of several spaces: choose one with spaces="):
            library.search(np.ones(8))
        chosen = library.search(np.ones(8), spaces="toy:8", k=9)
        assert len(chosen) == 4 and chosen[0].score == library.search(np.ones(8), spaces=["toy:8"])[0].score
        vectors = encode(load(narrow), [Media.from_text("rain")], query=True)
        of_space = library.search(vectors, k=9)
        alone = library.search("rain", by="content", spaces=narrow, k=9)
        assert [(hit.path, hit.score) for hit in of_space] == [(hit.path, hit.score) for hit in alone]
        with pytest.raises(UsageError, match="none of the spaces that are searched: toy:8"):
            library.search(vectors, spaces="toy:8")
        with pytest.raises(SpaceMismatch):
            library.search(encode(load("toy:4"), [Media.from_text("rain")]))


def test_one_string_is_taken_where_several_are(tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "s", 2)
    (folder / "x.txt").write_text("rain")
    with analogon.open(tmp_path / "c", create=True) as library:
        assert library.index(folder, encoders="toy:8", only="audio").found == 2
        assert library.collection.catalog.kinds() == {"audio"}
        assert len(library.search("rain", by="content", spaces="toy:8")) == 2
        with pytest.raises(UsageError, match="no modality 'sound'"):
            library.index(folder, only="sound")


def test_old_words_are_refused_with_the_new(
    library: analogon.Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"^by='sound' is by='content' now; CHANGELOG.md has the full table"):
        library.search("rain", by="sound")
    with pytest.raises(UsageError, match=r"^encoders= is spaces= now; CHANGELOG.md"):
        library.search("rain", encoders=[ENCODER])  # type: ignore[call-arg]
    name = str(library.collection.path)
    for old in (("--by", "sound"), ("--encoder", ENCODER), ("-e", ENCODER)):
        assert exit_code(monkeypatch, "search", "rain", "-c", name, *old) == 2
        told = capsys.readouterr().err
        assert ("--space" in told or "by='content'" in told) and "CHANGELOG.md" in told
    assert exit_code(monkeypatch, "search", "rain", "-c", name, "--space", ENCODER, "--by", "content") == 0


def test_a_closed_library_says_so(tmp_path: Path) -> None:
    with analogon.open(tmp_path / "drums", create=True) as library:
        library.index(sounds.folder(tmp_path / "s", 2), encoders=ENCODER)
        assert repr(library) == "<analogon collection drums: 2 files, 4 items, toy:16>" and not library.closed
        found = library.search("rain", by="content")
    assert library.closed and repr(library) == "<analogon collection drums: closed>" and len(found) == 2
    calls = (
        lambda: library.search("rain"),
        lambda: library.search("rain", by="content"),
        lambda: library.search(np.ones(16)),
        lambda: library.search("id:1"),
        lambda: library.index(tmp_path / "s"),
        lambda: library.remove(tmp_path / "s"),
        lambda: library.describe(),
        lambda: library.__enter__().search("rain"),
    )
    for call in calls:
        with pytest.raises(CollectionError, match="the collection drums is closed"):
            call()
    library.close()  # as often as one likes


def test_a_mistyped_collection_is_told_which_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path))
    with pytest.raises(CollectionNotFound, match="no collection there; `analogon.open"):
        analogon.open("drumz")
    for name in ("drums", "field-recordings", "a"):
        analogon.open(name, create=True).close()
    with pytest.raises(
        CollectionNotFound, match="no collection there; there are: drums, field-recordings, a; `analogon.open"
    ):
        analogon.open("drumz")
    for number in range(8):
        analogon.open(f"drum{number}", create=True).close()
    with pytest.raises(CollectionNotFound, match="there are: drum0, .* and 3 more; `analogon.open"):
        analogon.open("drumz")


def test_a_space_goes_by_the_name_that_results_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named is one of the collection's spaces first, by its whole name or without the folders before it."""
    monkeypatch.chdir(tmp_path)
    folder = sounds.folder(tmp_path / "sounds", 4)
    (tmp_path / "mine.toml").write_text('family = "toy"\nmodel = "24"\n')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "w.vec").write_text("rain 1 0 0\nsun 0 1 0\n")
    (folder / "rain.txt").write_text("rain")
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders=["toy:16", "mine.toml", "words:deep/w.vec"])
        assert [known.space.model for known in library.collection.spaces] == [
            "toy:16",
            "mine",
            f"words:{tmp_path}/deep/w.vec",
        ]
        toml, said = (library.search("./sounds/b/000.wav", spaces=[name]) for name in ("mine.toml", "mine"))
        assert [(hit.path, hit.score) for hit in said] == [(hit.path, hit.score) for hit in toml]
        assert {hit.space_name for hit in said} == {"mine"}
        (hit,) = library.search("rain", by="content", to="text", spaces="words:w.vec")
        assert (hit.space_name, hit.score) == (f"words:{tmp_path}/deep/w.vec", pytest.approx(1.0))
        (tmp_path / "mine.toml").unlink()
        assert [hit.score for hit in library.search("./sounds/b/000.wav", spaces="mine")] == [h.score for h in toml]
        with pytest.raises(
            UsageError, match=r"say `encoder=toy:16` or `encoder=mine` or `encoder=words:.*/deep/w\.vec`"
        ):
            Export(target=tmp_path / "x.parquet").run(library)
        for name, dim in {"mine": 24, "toy:16": 16, "words:w.vec": 3, "words:deep/w.vec": 3}.items():
            target = tmp_path / f"{dim}-{len(name)}.parquet"
            Export(target=target, encoder=name).run(library)
            assert pq.read_table(target).schema.field("vector").type.list_size == dim


def test_a_row_of_numbers_of_any_kind_is_a_vector(library: analogon.Library) -> None:
    numbers = np.random.default_rng(3).normal(size=16).astype(np.float32)
    expected = [hit.path for hit in library.search(numbers, k=5)]
    for asked in (numbers.tolist(), tuple(numbers), torch.from_numpy(numbers), pandas.Series(numbers)):
        assert [hit.path for hit in library.search(asked, k=5)] == expected


def test_arguments_of_no_use_are_told_and_large_numbers_are_many(library: analogon.Library) -> None:
    everything = [hit.path for hit in library.search("rain", k=1000)]
    assert [hit.path for hit in library.search("rain", k=10**20)] == everything
    assert list(library.search("rain", k=1, offset=10**20)) == []
    space = library.space().space
    assert [hit.path for hit in library.search("rain", k=1000, spaces=space)] == everything
    for wrong in (5, [None], [5]):
        with pytest.raises(UsageError):
            library.search("rain", spaces=wrong)
    with pytest.raises(UsageError, match="no order"):
        library.search("rain", rerank=["none"])
    for wrong in (None, 5, analogon.text("rain")):
        with pytest.raises(UsageError, match="a list of queries"):
            library.search_many(wrong)
    for wrong in (None, 5, b"x", "a\0b", "x" * 5000, "\ud800"):
        with pytest.raises(UsageError, match="collection is"):
            analogon.open(wrong, create=True)
