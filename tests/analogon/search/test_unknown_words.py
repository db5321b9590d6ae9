"""Words that an encoder does not know: told wherever a text is asked, and no hindrance to what can be found without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import analogon
from embed.errors import MediaError
from tests import sounds
from tests.command_line import exit_code

WORDS = ("man", "king", "woman", "apple", "river", "rain", "dog")


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    """Word vectors in which queen is king - man + woman."""
    random = np.random.default_rng(0)
    table = {word: random.normal(size=20) for word in WORDS}
    table["queen"] = table["king"] - table["man"] + table["woman"]
    lines = "".join(f"{word} {' '.join(f'{x:.5f}' for x in row)}\n" for word, row in table.items())
    (tmp_path / "d.vec").write_text(f"{len(table)} 20\n{lines}")
    return str(tmp_path / "d.vec")


@pytest.fixture
def named(tmp_path: Path) -> analogon.Library:
    """Two sounds with names in other scripts, one with a name in English, heard by the starter."""
    for number, word in enumerate(("مطر", "дождь", "rain")):
        sounds.write(tmp_path / "lib" / f"{word}.wav", number)
    library = analogon.open(tmp_path / "named", create=True)
    library.index(tmp_path / "lib", encoders=["starter"])
    return library


def test_an_analogy_names_them(
    vectors: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"zzqx is in no vocabulary of words:{vectors} and adds no meaning"
    asked = ["analogy", "man", "king", "zzqx woman", "--words", vectors, "-k", "1"]
    assert exit_code(monkeypatch, *asked) == 0
    told = capsys.readouterr()
    assert told.err == f"analogon: {line}\n" and "queen" in told.out
    assert exit_code(monkeypatch, *asked, "-f", "json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["remarks"] == [line] and told.err == f"analogon: {line}\n"
    assert exit_code(monkeypatch, *[one.removeprefix("zzqx ") for one in asked]) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "list.txt").write_text("queen\napple qqz\nriver\n")
    assert exit_code(monkeypatch, *asked, "--candidates", str(tmp_path / "list.txt")) == 0
    assert capsys.readouterr().err.replace("zzqx", "qqz").splitlines() == 2 * [
        f"analogon: {line.replace('zzqx', 'qqz')}"
    ]


def test_a_relation_names_them(
    vectors: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    (tmp_path / "pairs.csv").write_text("a,b\nman,king\nwoman,zzqx queen\n")
    asked = ["relation", "fit", str(tmp_path / "pairs.csv"), "--name", "royal", "--words", vectors]
    assert exit_code(monkeypatch, *asked) == 0
    line = f"zzqx is in no vocabulary of words:{vectors} and adds no meaning"
    assert f"{tmp_path / 'pairs.csv'}, row 2: {line}" in capsys.readouterr().err


def test_a_search_names_them(named: analogon.Library) -> None:
    hits = named.search("zzqx rain", by="content")
    line = "zzqx is in no vocabulary of starter and adds no meaning"
    assert hits.notes.count(line) == 1 and len(hits) == 3
    assert named.search("zzqx rain").notes.count(line) == 1
    assert line in named.search({"rain": 1, "zzqx dog": -1}).notes
    assert not any("vocabulary" in note for note in named.search("rain on a tin roof").notes)


@pytest.mark.parametrize("word", ["مطر", "дождь"])
def test_a_query_without_a_known_word_is_found_by_name(named: analogon.Library, word: str) -> None:
    hits = named.search(word)
    assert Path(hits[0].path).stem == word and hits[0].reasons == ("name",)
    assert f"found by name alone: {word!r}: no word of it is in the vocabulary" in hits.notes
    assert [hit.path for hit in hits] == [hit.path for hit in named.search(word, by="name")]
    with pytest.raises(MediaError, match="no word of it is in the vocabulary"):
        named.search(word, by="content")


def test_what_is_neither_known_nor_a_name_is_an_error(named: analogon.Library) -> None:
    with pytest.raises(MediaError, match="'снег': no word of it is in the vocabulary"):
        named.search("снег")


def test_of_two_encoders_the_one_that_knows_the_word_answers(vectors: str, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for name, text in (("one", "rain"), ("two", "king")):
        (texts / f"{name}.txt").write_text(text)
    (tmp_path / "other.txt").write_text("rain 1 0 0\nking 0 1 0\nзвук 0 0 1\n")
    with analogon.open(tmp_path / "two", create=True) as library:
        library.index(texts, encoders=[f"words:{vectors}", f"words:{tmp_path / 'other.txt'}"])
        for by in ("content", "both"):
            hits = library.search("звук", by=by)
            assert len(hits) == 2
            assert f"words:{vectors} was not asked: 'звук': no word of it is in the vocabulary" in hits.notes
        known = library.search("queen", by="content")
        assert Path(known[0].path).stem == "two" and any("other.txt was not asked" in note for note in known.notes)


def test_labels_name_them(
    named: analogon.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("rain\nzzqx dog\n")
    path = str(named.collection.path)
    assert exit_code(monkeypatch, "tag", "-c", path, "--labels", str(tmp_path / "labels.txt"), "--dry-run") == 0
    assert "analogon: zzqx is in no vocabulary of starter and adds no meaning" in capsys.readouterr().err


def test_an_evaluation_names_them(
    vectors: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "questions.txt").write_text(": royal\nman king woman queen\nzzqx_man king woman queen\n")
    asked = ["eval", "analogies", str(tmp_path / "questions.txt"), "--encoder", f"words:{vectors}"]
    exit_code(monkeypatch, *asked)
    assert f"zzqx is in no vocabulary of words:{vectors} and adds no meaning" in capsys.readouterr().err


def test_a_prompt_for_a_take_names_them() -> None:
    from analogon.generate.judge import Judge, Judges
    from analogon.query import Text
    from embed.encoder import load

    judge = Judge.of(load("starter"), Text("zzqx rain"))
    assert judge.remark == "zzqx is in no vocabulary of starter and adds no meaning"
    assert Judges.select([], judge).remarks[1:] == (judge.remark,)
    assert Judge.of(load("starter"), Text("rain")).remark is None


def test_what_the_next_run_tries_again_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    away = tmp_path / "away"
    away.touch()
    (plugins / "shaky.py").write_text(
        "import errno, os\nfrom embed.encoders.toy import ToyEncoder\n\n\n"
        "class Shaky(ToyEncoder):\n    def encode_batch(self, batch):\n"
        f"        if os.path.exists({str(away)!r}) and any(str(one.path).endswith('001.wav') for one in batch):\n"
        "            raise OSError(errno.EIO, 'Input/output error')\n        return super().encode_batch(batch)\n\n\n"
        "def load(model='8'):\n    return Shaky(int(model), 1.0, None)\n"
    )
    monkeypatch.setenv("ANALOGON_ENCODERS", str(plugins))
    folder = sounds.folder(tmp_path / "sounds", 4)
    asked = ["index", str(folder), "-c", str(tmp_path / "c"), "-e", "shaky"]
    with pytest.MonkeyPatch.context() as patch:
        assert exit_code(patch, *asked) == 0
    told = capsys.readouterr()
    assert "001.wav with toy:8: the drive or the network does not answer" in told.err
    assert "1 left for the next run, which tries them again by itself" in told.out and "skipped" not in told.out
    away.unlink()
    with pytest.MonkeyPatch.context() as patch:
        assert exit_code(patch, "index", str(folder), "-c", str(tmp_path / "c")) == 0
    told = capsys.readouterr()
    assert "1 new vector in" in told.out and "left for the next run" not in told.out
