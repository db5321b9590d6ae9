"""The demonstration holds its own answers to account, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from PIL import Image
from typer.testing import CliRunner

from analogon.cli.app import app
from analogon.demo import tour as demo
from analogon.search.library import Library
from embed.encoders import starter
from embed.errors import EncoderError, UsageError
from tests import sounds


def test_what_is_made(tmp_path: Path) -> None:
    tour = demo.Demo(tmp_path, "toy")
    told = tour.make()
    files = sorted(path for path in (tmp_path / "media").rglob("*") if path.suffix in (".wav", ".png"))
    assert sorted(tour.kinds) == files
    made = [kind for path, kind in tour.kinds.items() if path.suffix == ".wav" and kind != "speech"]
    assert len(made) >= 60 and len(set(made)) >= 20 and f"{len(made)} sounds of {len(set(made))} kinds" in told
    for path, kind in tour.kinds.items():
        hidden = "unsorted" in path.parts or path.suffix == ".png"
        assert hidden != (kind.replace(" ", "_") in path.name), path  # what lies unsorted has to be heard
    assert all(soundfile.info(path).duration >= 1.0 for path in files if path.suffix == ".wav")
    pictures = [Image.open(path) for path in files if path.suffix == ".png"]
    assert all(len(set(picture.convert("RGB").getdata())) > 1 for picture in pictures)
    lines = tour.captions.read_text("utf-8").splitlines()
    assert lines[0] == "file,caption" and len(lines) == 1 + len(pictures)
    assert sum(kind == "speech" for kind in tour.kinds.values()) == (len(demo.PHRASES) if tour.speaks else 0)


def test_an_encoder_is_named_from_where_the_person_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ear.toml").write_text('family = "toy"\nmodel = "4"\n')
    monkeypatch.setattr(demo, "KINDS", ("sine",))
    monkeypatch.setattr(demo, "QUESTIONS", ())
    with contextlib.chdir(tmp_path):
        ran = CliRunner().invoke(app, ["demo", "--encoder", "ear.toml"])
        missing = CliRunner().invoke(app, ["demo", "--encoder", "conse:nowhere", "--keep", "kept"])
    assert ran.exit_code == 0 and f"--encoder {tmp_path}/ear.toml" in ran.stdout
    assert isinstance(missing.exception, EncoderError) and missing.stdout == "" and not (tmp_path / "kept").exists()


def test_without_espeak_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(demo, "KINDS", ("sine",))
    tour = demo.Demo(tmp_path / "demo", "toy")
    assert "no speech, since espeak-ng is not installed" in tour.make()
    assert "speech" not in tour.kinds.values()


def test_an_answer_is_judged_by_the_first_hits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy encoder hears loudness over time alone, so what answers is known: files as alike as two takes of one."""
    tour = demo.Demo(tmp_path, "toy:16")
    for number, kind in enumerate(("noise", "noise", "noise", "ramp")):
        path = sounds.write(tmp_path / "media" / "unsorted" / f"REC_{number}.wav", number, 0.5)
        tour.kinds[path] = kind
        if kind == "ramp":
            samples, rate = soundfile.read(path)
            samples[: len(samples) // 2] = 0
            soundfile.write(path, samples, rate)
    tour.captions.parent.mkdir()
    tour.captions.write_text("file,caption\n")
    tour.index()

    def asked(*questions: demo.Question) -> list[demo.Answer]:
        monkeypatch.setattr(demo, "QUESTIONS", questions)
        return list(tour.answers())

    right, wrong, absent = (
        demo.Question("{}", ("noise",), of="noise", options={"to": "audio"}),
        demo.Question("{}", ("ramp",), least=1, of="ramp", options={"to": "audio"}),
        demo.Question("a person", ("speech",)),
    )
    first, second = asked(right, wrong, absent)
    assert first.kinds == ("noise", "noise", "ramp") and first.wrong == ""
    assert second.wrong == "1 of the first 3 hits should be ramp; found: noise, noise, noise"
    command = f"analogon search {tmp_path}/media/unsorted/REC_3.wav -c {tmp_path}/collection --to audio -k 4"
    assert second.command == command
    with contextlib.chdir(tmp_path), Library.open(tour.collection) as library:
        assert tour._ask(library, wrong).command == (
            "analogon search ./media/unsorted/REC_3.wav -c ./collection --to audio -k 4"
        )


def test_the_command_fails_where_a_query_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(demo, "KINDS", ("sine", "kick", "white noise"))
    unheard = demo.Question("a tone", ("sine",), first=2, options={"to": "audio", "by": "content"})
    heard = demo.Question("sunset over the sea", ("sunset",), least=1, first=1, options={"to": "image", "by": "name"})
    monkeypatch.setattr(demo, "QUESTIONS", (unheard, heard))
    ran = CliRunner().invoke(app, ["demo", "--encoder", "toy:8"])
    assert ran.exit_code == 3, ran.output
    assert "search 'a tone' -c ./collection --to audio --by content -k 4: 2 of the first 2 hits should be" in ran.stderr
    assert "sunset" not in ran.stderr and "sunset" in ran.stdout and "s in all" in ran.stdout
    monkeypatch.setattr(demo, "QUESTIONS", (heard,))
    assert CliRunner().invoke(app, ["demo", "--encoder", "toy:8"]).exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_can_be_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "KINDS", ("sine",))
    monkeypatch.setattr(demo, "QUESTIONS", ())
    kept = tmp_path / "kept"
    ran = CliRunner().invoke(app, ["demo", "--encoder", "toy:8", "--keep", str(kept)])
    assert ran.exit_code == 0 and f"$ cd {kept}" in ran.stdout and "gone again" not in ran.stdout
    assert sorted(path.name for path in kept.iterdir()) == ["collection", "media"]
    with contextlib.chdir(kept):
        again = CliRunner().invoke(app, ["search", "red bicycle", "-c", "./collection", "--by", "name", "-f", "json"])
    assert json.loads(again.stdout.splitlines()[0])["metadata"]["caption"] == "a red bicycle against a white wall"
    with pytest.raises(UsageError, match="not an empty folder"), demo.place(kept):
        pass
    assert sorted(path.name for path in kept.iterdir()) == ["collection", "media"]
    with pytest.raises(KeyboardInterrupt), demo.place(tmp_path / "new") as folder:
        (folder / "media").mkdir()
        raise KeyboardInterrupt
    assert not (tmp_path / "new").exists()


def test_stopped_it_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "ANALOGON_HOME": str(tmp_path / "home")}
    running = subprocess.Popen(
        [sys.executable, "-m", "analogon", "demo", "--encoder", "toy:8"], env=environment, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 60
    while len(list(temporary.rglob("*.wav"))) < 5 and time.monotonic() < until:
        time.sleep(0.05)
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    assert running.returncode == 130 and list(temporary.iterdir()) == [] and not (tmp_path / "home").exists()


@pytest.mark.skipif(not (starter.FOLDER / "audio.onnx").is_file(), reason="the starter's weights are not here")
def test_the_starter_finds_everything_without_torch() -> None:
    code = (
        "import sys, typer.testing; from analogon.cli.app import app;"
        "ran = typer.testing.CliRunner().invoke(app, ['demo']); sys.stdout.write(ran.output);"
        "heavy = {'torch', 'transformers'} & set(sys.modules); sys.exit(ran.exit_code or len(heavy))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_take_of_the_demo_sounds_like_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "KINDS", ("dog", "rain", "church bell"))
    tour = demo.Demo(tmp_path)
    tour.make()
    tour.index()
    made = tour.generate()
    assert made is not None and made.wrong == "" and len(made.takes) == demo.MOSAICS
    assert made.command.startswith("analogon generate 'a dog barking' --with mosaic -c ")
    scores = [take.score("choose") for take in made.takes]
    assert scores == sorted(scores, key=lambda score: -(score or 0.0))
    assert any("only starter" in line for line in made.remarks)
    # It is held to account: where a bell is asked for, dogs are wrong.
    monkeypatch.setattr(demo, "MADE", "church bell")
    wrong = tour.generate()
    assert wrong is not None and "should sound like a church bell" in wrong.wrong
