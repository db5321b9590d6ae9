"""``analogon voice`` as a person types it: what is printed, what is said, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import embed
from embed import Media
from tests.command_line import exit_code

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six recordings, the working directory, and no voices yet."""
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        loudness = np.random.default_rng(number).uniform(0.1, 0.9, 8)
        soundfile.write(f"{number}.wav", np.sin(np.arange(8000)) * np.repeat(loudness, 1000), 16000)
    return tmp_path


def row(*names: str) -> np.ndarray:
    rows = embed.encode(embed.load("toy:8"), [Media.from_path(name) for name in names]).array.astype(np.float64)
    return rows.sum(axis=0) / np.linalg.norm(rows.sum(axis=0))


def test_add_list_show_export_rm(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def run(*arguments: str) -> int:
        return exit_code(monkeypatch, "voice", *arguments)

    assert run("list") == 1
    assert "no voice is kept yet: analogon voice add" in capsys.readouterr().err
    assert run("add", "narrator", "0.wav", "1.wav", "gone.wav", "-e", "toy:8") == 0
    out, err = capsys.readouterr()
    assert out.startswith("narrator: 2 takes, 1.0 s of sound, made ") and "heard by toy:8, 8-d" in out
    assert "skipped gone.wav: no such file" in err and "1.0 s of sound in all are few" in err
    assert run("add", "narrator", "2.wav", "-e", "toy:8") == 2
    assert "there is a voice called narrator already: --more adds takes" in capsys.readouterr().err
    assert run("add", "narrator", "2.wav", "--more") == 0
    assert run("list", "-f", "json") == 0
    (line,) = capsys.readouterr().out.splitlines()[-1:]
    record = json.loads(line)
    rows = [row(f"{i}.wav") for i in range(3)]
    fits = [rows[i] @ (sum(rows) - rows[i]) / np.linalg.norm(sum(rows) - rows[i]) for i in range(3)]
    assert (record["name"], record["takes"], record["spaces"][0]["takes"]) == ("narrator", 3, 3)
    assert record["spaces"][0]["consistency"] == pytest.approx(np.mean(fits), abs=1e-6)
    assert run("show", "narrator", "-f", "json") == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert [list(item["fits"].values()) for item in items] == [[pytest.approx(fit, abs=1e-6)] for fit in fits]
    assert run("show", "narrator") == 0
    assert f"{fits[1]:.2f}" in next(line for line in capsys.readouterr().out.splitlines() if line.endswith("1.wav"))
    assert run("export", "narrator", "n.npy") == 0
    assert np.load("n.npy") == pytest.approx(row("0.wav", "1.wav", "2.wav"), abs=1e-6)
    assert run("add", "narrator", "4.wav", "-e", "toy:8", "--replace") == 0
    assert run("export", "narrator", "n.npy", "--space", "toy:8") == 0
    assert np.load("n.npy") == pytest.approx(row("4.wav"), abs=1e-6)
    capsys.readouterr()
    assert run("rm", "narrator") == 0
    assert capsys.readouterr().out == "narrator is forgotten\n"
    assert run("rm", "narrator") == 2


def test_similar_and_mix(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def run(*arguments: str) -> int:
        return exit_code(monkeypatch, "voice", *arguments)

    assert run("similar", "./0.wav") == 1
    for name, takes in {"anna": ("0.wav", "1.wav"), "bert": ("2.wav", "3.wav")}.items():
        assert run("add", name, *takes, "-e", "toy:8") == 0
        assert run("similar", "anna") == (1 if name == "anna" else 0)  # beside itself there must be another
    assert "no other voice is kept in a space that anna is kept in" in capsys.readouterr().err
    assert run("similar", "4.wav", "-f", "json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cosines = {"anna": row("0.wav", "1.wav") @ row("4.wav"), "bert": row("2.wav", "3.wav") @ row("4.wav")}
    assert {one["voice"]: one["score"] for one in found} == {n: pytest.approx(c, abs=2e-6) for n, c in cosines.items()}
    assert [one["rank"] for one in found] == [1, 2] and found[0]["score"] >= found[1]["score"]
    assert run("similar", "0.wav") == 0
    assert "it is one of the takes: measured with the others" in capsys.readouterr().out
    assert run("similar", "anna", "-k", "1") == 0
    out = capsys.readouterr().out
    assert "bert" in out and "with other voices" in out and "anna" not in out
    assert run("mix", "anna:0.7", "bert:0.3") == 0
    assert "anna-bert: mixed of anna:0.7, bert:0.3" in capsys.readouterr().out
    assert run("mix", "anna:0.7", "bert:0.3") == 2
    assert run("export", "anna-bert", "mixed.npy") == 0
    total = 0.7 * row("0.wav", "1.wav") + 0.3 * row("2.wav", "3.wav")
    assert np.load("mixed.npy") == pytest.approx(total / np.linalg.norm(total), abs=1e-6)
    assert run("mix", "anna:2", "bert:-1", "--as", "away") == 0
    assert run("list") == 0
    assert "toy:8, 8-d (mixed: anna:2, bert:-1)" in capsys.readouterr().out
    assert run("mix", "anna:x", "bert") == 2  # with :x: no emoji comes of it
    assert "anna:x: a voice and its weight are written NAME:NUMBER" in capsys.readouterr().err


def test_what_can_be_done_with_a_voice_is_what_takes_its_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def said(*arguments: str) -> list[str]:
        assert exit_code(monkeypatch, "voice", *arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        return lines[next(i for i, line in enumerate(lines) if not line.startswith("  ")) + 2 :]

    compare = "use it: analogon voice similar ./x.wav"
    speak = "analogon generate TEXT --with speecht5 --voice"
    lacking = (
        "no generator here speaks with its 8 numbers: speecht5 takes 512 (analogon voice add {} gives those); bark "
        "speaks as the nearest of its own voices (--with bark --voice {}), espeak in its own only"
    )
    np.save("x.npy", np.eye(512, dtype=np.float32)[3])
    assert said("add", "small", "0.wav", "-e", "toy:8") == [
        compare,
        lacking.format("small --more -e xvector", "small"),
    ]
    assert said("add", "smaller", "1.wav", "-e", "toy:8") == [
        compare,
        lacking.format("smaller --more -e xvector", "smaller"),
    ]
    assert said("mix", "small", "smaller", "--as", "both") == [
        compare,
        lacking.format("NAME FILE... -e xvector, for each voice of the mix,", "both"),
    ]
    assert said("add", "whole", "0.wav", "-e", "toy:512") == [f"{compare}, or {speak} whole"]
    assert said("add", "read", "--xvector", "x.npy") == [f"use it: {speak} read"]


def test_a_damaged_voice_is_one_line_and_the_others_are_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in ("anna", "bert"):
        assert exit_code(monkeypatch, "voice", "add", name, "0.wav", "-e", "toy:8") == 0
    (folder / "home" / "voices" / "anna.safetensors").write_bytes(b"nothing")
    capsys.readouterr()
    assert exit_code(monkeypatch, "voice", "list") == 0
    out, err = capsys.readouterr()
    assert "bert" in out and "anna" not in out
    assert "anna.safetensors: not a readable voice" in err and err.count("\n") == 1
    assert exit_code(monkeypatch, "voice", "show", "anna") == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("add bob", 2, "name some recordings of one person"),
        ("add a/b 0.wav", 2, "cannot name a voice"),
        ("add bob . -e toy:8", 2, "is a folder, not a file; name its files (./*.wav)"),
        ("add bob words.txt -e toy:8", 2, "is text, not a recording"),
        ("add bob 0.wav -e nosuch", 3, "no encoder family 'nosuch'"),
        ("add bob 0.wav --more", 2, "no voice called 'bob'"),
        ("add bob 0.wav --more --replace", 2, "say one of them"),
        ("add bob --xvector nan.npy", 2, "not finite"),
        ("add bob --xvector 256.npy", 2, "holds float64 (256,)"),
        ("add bob --xvector words.txt", 2, "cannot be read as .npy"),
        ("add bob --xvector gone.npy", 2, "no such file"),
        ("similar nobody", 2, "neither a kept voice (there is none) nor a file"),
        ("similar ./gone.wav", 3, "no such file"),
        ("similar words.txt", 3, "is text, not a recording"),
        ("mix anna", 2, "two voices or more"),
        ("show nobody", 2, "analogon voice add makes one"),
        ("list -f xml", 2, "no such format"),
    ],
)
def test_wrong_use_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: str, code: int, said: str
) -> None:
    Path("words.txt").write_text("words")
    np.save("nan.npy", np.full(512, np.nan))
    np.save("256.npy", np.ones(256))
    assert exit_code(monkeypatch, "voice", *arguments.split()) == code
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1


def test_what_a_voice_is_exported_to(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    np.save("x.npy", np.arange(1.0, 513.0))
    assert exit_code(monkeypatch, "voice", "add", "anna", "0.wav", "-e", "toy:8", "--xvector", "x.npy") == 0
    for arguments, said in {
        ("anna", "out.npy"): "say which with --space",
        ("anna", "out.npy", "--space", "clap"): "not in clap",
        ("anna", "out.txt", "--space", "toy:8"): "a .npy file",
        ("anna", "gone/out.npy", "--space", "toy:8"): "cannot be written",
    }.items():
        capsys.readouterr()
        assert exit_code(monkeypatch, "voice", "export", *arguments) == 2
        assert said in capsys.readouterr().err
    assert exit_code(monkeypatch, "voice", "export", "anna", "out.npy", "--space", "spkrec-xvect-voxceleb") == 2
    assert (
        exit_code(monkeypatch, "voice", "export", "anna", "out.npy", "--space", "speechbrain/spkrec-xvect-voxceleb")
        == 0
    )
    array = np.load("out.npy")
    assert array.dtype == np.float32
    assert array == pytest.approx(np.arange(1.0, 513.0) / np.linalg.norm(np.arange(1.0, 513.0)), abs=1e-6)
