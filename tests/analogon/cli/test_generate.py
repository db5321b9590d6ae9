"""``analogon generate --ssml`` as a person types it: what is spoken, what is told, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.command_line import exit_code

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
SLIDE = "< speak>¡Hola! Espero que estés teniendo un buen día.< break time='1s'/> Permíteme mostrarte algo.</ speak>"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_document_from_a_slide_is_spoken_in_its_language_and_that_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    Path("d.xml").write_text(SLIDE)
    arguments = ("generate", "--ssml", "d.xml", "--with", "espeak", "-f", "json")
    assert exit_code(monkeypatch, *arguments, "-o", "guessed") == 0
    out, err = capsys.readouterr()
    assert "a blank after < is passed over" in err
    assert "no language is named: by its words it is Spanish (es), and spoken so" in err
    assert exit_code(monkeypatch, *arguments, "-o", "asked", "--language", "es") == 0
    asked, err = capsys.readouterr()
    assert "language" not in err
    assert json.loads(out)["content"] == json.loads(asked)["content"]
    assert exit_code(monkeypatch, *arguments, "-o", "english", "--language", "en") == 0
    assert json.loads(out)["content"] != json.loads(capsys.readouterr().out)["content"]


def test_strictly_it_is_refused_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    Path("d.xml").write_text(SLIDE)
    assert exit_code(monkeypatch, "generate", "--ssml", "d.xml", "--with", "espeak", "--strict") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "d.xml, line 1: is not well-formed XML at column 2" in err and "no blank stands after <" in err


def test_a_voice_that_is_asked_for_and_not_there_is_refused_with_its_language(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    asked = ("generate", "Hola.", "--with", "espeak", "--voice")
    assert exit_code(monkeypatch, *asked, "es-ES-ElviraNeural") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "espeak has no voice 'es-ES-ElviraNeural'" in err and "speaks Spanish (es-ES): ask for that language" in err
    assert exit_code(monkeypatch, *asked, "nobody") == 2
    assert "by its name" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("document", "own", "lines"),
    [
        (
            '<speak xml:lang="en-US"><voice name="es-ES-ElviraNeural">Hola.</voice></speak>',
            "es",
            ["Spanish (es) is spoken instead"],
        ),
        ('<speak xml:lang="es"><voice name="Joanna">Hello.</voice></speak>', "en-us", ["English (en-us)"]),
        (
            '<speak xml:lang="en-GB"><voice name="Google UK English Female">Hello.</voice></speak>',
            "en-gb",
            ["English (en-gb)"],
        ),
        ('<speak xml:lang="fr"><voice name="nobody">Bonjour.</voice></speak>', "fr-fr", ["French (fr-fr)"]),
        ('<speak xml:lang="en"><voice name="nobody es">Hola.</voice></speak>', "es", ["no voice 'nobody'"]),
        ('<speak xml:lang="en"><voice name="es">Hola.</voice></speak>', "es", []),
    ],
)
@pytest.mark.parametrize("native", ["true", "false"])
def test_voices_that_are_not_there_are_spoken_in_their_language(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, document: str, own: str, lines: list[str], native: str
) -> None:
    arguments = ("generate", "--set", f"native={native}", "-f", "json", "--ssml", "d.xml")
    Path("d.xml").write_text(document)
    assert exit_code(monkeypatch, *arguments, "--with", "espeak", "-o", "o") == 0
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == len(lines)
    for line in lines:
        assert line in err
    text = document.partition(">")[2].partition(">")[2].partition("<")[0]
    Path("d.xml").write_text(f"<speak>{text}</speak>")
    assert exit_code(monkeypatch, *arguments, "--with", f"espeak:{own}", "-o", "own") == 0
    assert json.loads(out)["content"] == json.loads(capsys.readouterr().out)["content"]
