"""``analogon prompts`` and ``analogon interrogate`` as a person types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import analogon
from analogon.prompts import Prompt
from tests.command_line import exit_code, family
from tests.sounds import write

TOY = "toy:64"
CAPTIONS = ("slow sad piano", "rain on a tin roof", "a dog barks twice", "warm pads, vinyl crackle")


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    path = tmp_path / "captions.csv"
    path.write_text("caption\n" + "".join(f'"{text}"\n' for text in CAPTIONS), "utf-8")
    return path


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    folder = tmp_path / "bank"
    folder.mkdir()
    (folder / "things.txt").write_text("rain\npiano\ndog\n", "utf-8")
    (folder / "moods.txt").write_text("sad\nslow\n", "utf-8")
    return folder


def test_prompts_of_a_file_as_table_json_and_text(
    captions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("prompts", "rain on a tin roof", "--list", str(captions), "-e", TOY, "-k", "2", "--variety", "0")
    assert exit_code(monkeypatch, *asked, "-f", "text") == 0
    assert capsys.readouterr().out.splitlines()[0] == CAPTIONS[1]
    assert exit_code(monkeypatch, *asked, "-f", "json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["rank"], first["text"], first["score"]) == (1, CAPTIONS[1], 1.0) and second["rank"] == 2
    assert first["because"][0]["name"] == f"{captions}, row 2" and first["score"] >= second["score"]
    assert exit_code(monkeypatch, *asked) == 0
    table = capsys.readouterr().out
    assert "1.000" in table and CAPTIONS[1] in table and "row 2" in table


def test_prompts_of_a_collection_for_a_recording_and_for_arithmetic(
    captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(captions, encoders=[TOY], text_column="caption")
    sound = str(write(tmp_path / "x.wav", 1))
    assert exit_code(monkeypatch, "prompts", sound, "-c", str(tmp_path / "c"), "-f", "text") == 0
    assert set(capsys.readouterr().out.splitlines()) == set(CAPTIONS)
    assert exit_code(monkeypatch, "prompts", "2:rain + roof - piano", "-c", str(tmp_path / "c"), "-k", "1") == 0
    told = capsys.readouterr()
    assert CAPTIONS[1] in told.out and "asked: 2:rain + roof - piano" in told.err


def test_a_dialect_prints_what_is_pasted_and_remarks_on_stderr(
    captions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from analogon.prompts.dialects import compose

    asked = ("prompts", "pads", "--list", str(captions), "-e", TOY, "--for", "suno")
    composed = compose([Prompt(CAPTIONS[3])], "suno")
    assert exit_code(monkeypatch, *asked) == 0
    told = capsys.readouterr()
    assert told.out == composed.text + "\n"
    assert composed.remarks and all(remark in " ".join(told.err.split()) for remark in composed.remarks)
    assert exit_code(monkeypatch, *asked, "-f", "json") == 0
    assert json.loads(capsys.readouterr().out)["composed"] == composed.to_json()
    assert exit_code(monkeypatch, *asked, "-k", "2") == 0
    assert capsys.readouterr().out.count("\n---\n") == 1
    # Words to sing, what is not wanted, and several prompts as one.
    lyrics = captions.with_name("lyrics.txt")
    lyrics.write_text("[Verse]\nover the hill\n")
    assert exit_code(monkeypatch, *asked, "-k", "2", "--together", "--lyrics", str(lyrics)) == 0
    pasted = capsys.readouterr().out
    assert "over the hill" in pasted and "\n---\n" not in pasted
    assert exit_code(monkeypatch, *asked[:-1], "stable-diffusion", "--negative", "blurry", "--negative", "text") == 0
    assert re.search(r"negative prompt:\n?.*blurry.*text", capsys.readouterr().out, re.DOTALL)
    for wrong in (
        ["--for", "nonsense"],
        ["--negative", "x"],
        ["--together"],
        ["--for", "suno", "--lyrics", "none.txt"],
    ):
        gone = captions.with_name("gone.csv")  # nothing is read before what is asked for is known to make sense
        assert exit_code(monkeypatch, "prompts", "pads", "--list", str(gone), "-e", TOY, *wrong) in (2, 3)
        assert "gone.csv" not in capsys.readouterr().err


def test_interrogate_as_table_json_and_text(
    bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("interrogate", "sad, sad rain", "--bank", str(bank), "-e", TOY)
    assert exit_code(monkeypatch, *asked, "-f", "text") == 0
    assert capsys.readouterr().out == "sad, rain\n"  # "sad," is another word to the toy than "sad"
    assert exit_code(monkeypatch, *asked, "-f", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "sad, rain" and [one["kind"] for one in told["phrases"]] == ["moods", "things"]
    assert Prompt.from_json(told).because[0].name == "sad, sad rain"  # what "analogon generate -" reads
    assert told["score"] == pytest.approx(sum(one["gain"] for one in told["phrases"]), abs=1e-5)
    assert exit_code(monkeypatch, "interrogate", "sad rain.wav", *asked[2:], "--against", "dog.png") == 0
    told_missing = capsys.readouterr().err
    assert [name in told_missing for name in ("no file sad rain.wav: ", "no file dog.png: ", "no file rain")] == [
        1,
        1,
        0,
    ]
    assert exit_code(monkeypatch, *asked, "--kind", "moods", "-f", "text") == 0
    assert capsys.readouterr().out == "sad\n"
    assert exit_code(monkeypatch, *asked, "--against", "rain", "-n", "1") == 0
    table = capsys.readouterr().out
    assert "the other" in table and "sad" in table and "times that with rain" in " ".join(table.split())
    assert exit_code(monkeypatch, *asked, "--for", "musicgen") == 0
    assert capsys.readouterr().out.strip().rstrip(".").lower() == "sad, rain"


def test_part_of_a_recording(
    bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import soundfile

    long = write(tmp_path / "long.wav", 4, seconds=3.0)
    samples, rate = soundfile.read(long)
    soundfile.write(tmp_path / "cut.wav", samples[rate : 2 * rate], rate, subtype="PCM_16")

    def score(*arguments: str) -> float:
        options = ("--bank", str(bank), "-e", TOY, "-f", "json")
        assert exit_code(monkeypatch, "interrogate", *arguments, *options) == 0
        return float(json.loads(capsys.readouterr().out)["phrases"][0]["cosine"])

    part = score(str(long), "--part", "0:01-0:02")
    assert part == pytest.approx(score(str(tmp_path / "cut.wav")), abs=1e-5)
    assert part == score(str(long), "--part", "1-2") == score(str(long), "--part", "0:00:01-0:00:02.0")
    for wrong in ("1", "2-1", "a-b", "1-1"):
        assert exit_code(monkeypatch, "interrogate", str(long), "-e", TOY, "--part", wrong) == 2
        assert f"--part {wrong}" in capsys.readouterr().err
    assert exit_code(monkeypatch, "interrogate", "rain", "-e", TOY, "--part", "0-1") == 2


def test_the_encoder_is_that_of_the_collection_or_one_at_hand(
    captions: Path, bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(captions, encoders=[TOY], text_column="caption")
        item = library.search("rain on a tin roof", to="text")[0].id
    asked = ("--bank", str(bank), "-f", "json")
    for query in ("rain", f"id:{item}"):
        assert exit_code(monkeypatch, "interrogate", query, "-c", str(tmp_path / "c"), *asked) == 0
        assert json.loads(capsys.readouterr().out)["space"] == TOY
    assert exit_code(monkeypatch, "interrogate", "rain", *asked) == 0
    assert json.loads(capsys.readouterr().out)["space"] == "starter"


def test_wrong_use_is_told_in_one_line(
    captions: Path, bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    picture, sound = str(tmp_path / "red.png"), str(write(tmp_path / "x.wav", 1))
    monkeypatch.chdir(tmp_path)
    deaf = family(monkeypatch, tmp_path / "plugins", "voices_only", ["audio"])
    mute = family(monkeypatch, tmp_path / "plugins", "words_only", ["text"])
    wrong = {
        ("prompts", "x", "-c", "a", "--list", str(captions)): (2, "say one of the two"),
        ("prompts", "x", "-c", "a", "--text-column", "caption"): (2, "--list"),
        ("prompts", "x", "--list", str(captions), "--caption", "c"): (2, "--list has texts"),
        ("prompts", "x", "--list", "none.csv", "-e", TOY): (3, "none.csv: no such file"),
        ("prompts", "./none.wav", "--list", str(captions)): (3, "none.wav: no such file"),
        ("prompts", "x", "--list", str(captions), "-e", TOY, "-f", "yaml"): (2, "no such format"),
        ("prompts", "x", "--list", str(captions), "-e", TOY, "--variety", "2"): (2, "a share from 0 to 1"),
        ("prompts", picture, "--list", str(captions)): (2, "compares image with words: name one with -e, such as clip"),
        ("prompts", sound, "--list", str(captions), "-e", mute): (2, "takes text: it cannot compare audio with words"),
        ("interrogate", picture): (2, "compares image with words: name one with -e, such as clip"),
        ("interrogate", sound, "-e", deaf): (2, "takes audio: it cannot compare audio with words"),
        ("interrogate", sound, "-e", TOY, "--against", sound): (2, "nothing tells one from the other"),
        ("interrogate", sound, "-e", TOY, "--kind", "colours"): (2, "there is no such kind of phrases; there are: "),
        ("interrogate", sound, "-e", TOY, "--bank", "none.txt"): (3, "none.txt: no such file"),
        ("interrogate", sound, "-e", TOY, "-n", "0"): (2, "at least one phrase"),
        ("interrogate", "id:3", "-e", TOY): (2, "-c names the collection that holds it"),
    }
    for arguments, (code, line) in wrong.items():
        assert exit_code(monkeypatch, *arguments) == code, arguments
        told = capsys.readouterr()
        assert told.out == "" and line in told.err and len(told.err.strip().splitlines()) == 1, (arguments, told.err)


def test_a_list_of_another_space_is_asked_over_a_bridge(
    captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from analogon.transforms import bridge
    from embed import load
    from embed.encoder import resolve

    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))  # other tests should see no bridge of this one
    words = family(monkeypatch, tmp_path / "plugins", "only_words", ["text"], model="16")
    texts = [f"{a} {b} {c}" for a in ("slow", "warm", "sad") for b in ("rain", "dog", "tin") for c in ("a", "on", "of")]
    tables = [resolve(TOY), resolve(words)]
    bridge.fit("carry", *((load(table), table) for table in tables), texts=texts).save()
    sound = str(write(tmp_path / "x.wav", 1))
    assert exit_code(monkeypatch, "prompts", sound, "--list", str(captions), "-e", words, "-f", "text", "-k", "4") == 0
    told = capsys.readouterr()
    assert set(told.out.splitlines()) == set(CAPTIONS) and "carry" in told.err
