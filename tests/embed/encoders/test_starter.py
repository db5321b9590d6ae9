"""What ships with the package: size, files, imports, and whether it hears recordings that it has not learnt from."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import analogon
from analogon.demo.synthesis import synthesise
from embed import Media, encode, load
from embed.encoders.starter import FOLDER

ALLOWED = {".py", ".json", ".onnx", ".safetensors", ".md", ".csv"}


def shipped() -> list[Path]:
    return [path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_it_is_small_and_holds_nothing_that_could_be_code() -> None:
    assert {path.suffix for path in shipped()} == ALLOWED
    assert sum(path.stat().st_size for path in shipped()) <= 15e6


def test_the_card_tells_what_it_learnt_from() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text("utf-8")
    for word in ("berklee_olpc", "esc10", "sonic-pi", "espeak-ng", "FluidR3", "CREDITS.csv", "seed 0", "no speakers"):
        assert word in card, word
    with (FOLDER / "CREDITS.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 3000
    assert all(row["credit"] for row in rows)
    assert not any("fsdd" in row["recording"] or "stamps" in row["recording"] for row in rows)


def test_words_that_it_cannot_know_are_told() -> None:
    """Of a vocabulary of pieces of words every latin letter is one: what falls into letters is no word of it."""
    starter = load("starter")
    for text in ("rain on a tin roof", "thunderstorms", "ukulele and dubstep", "café, lo-fi!", "x y", "808 Hz"):
        assert starter.remark(Media.from_text(text)) is None
    assert starter.remark(Media.from_text("zzqx rain")) == "zzqx is in no vocabulary of starter and adds no meaning"
    assert starter.unknown(Media.from_text("дождь rain")) == ["дождь"]
    assert starter.unknown(Media("audio", path="zzqx.wav")) == []


def test_neither_torch_nor_transformers_is_imported(tmp_path: Path) -> None:
    sound = synthesise("dog", 1)
    soundfile.write(tmp_path / "a.wav", sound.samples, sound.rate)
    code = (
        "import sys; from embed import encode, load, Media; e = load('starter'); "
        "encode(e, [Media.from_text('a dog barking')], query=True); "
        f"encode(e, [Media.from_path({str(tmp_path / 'a.wav')!r})]); "
        "print([m for m in ('torch', 'transformers', 'sklearn', 'onnx') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_voices_of_a_set_that_was_not_learnt_are_voices(shared: Path) -> None:
    """Spoken digits at 8 kHz against stamps' sounds that are not speech; chance is one in four."""
    starter = load("starter")
    clips = [Media.from_path(path) for path in sorted((shared / "data" / "fsdd").glob("*.wav"))[::10]]
    kinds = ["a person speaking", "an animal", "an engine running", "rain and wind"]
    texts = encode(starter, [Media.from_text(kind) for kind in kinds], query=True).array
    best = (encode(starter, clips).array @ texts.T).argmax(axis=1)
    assert len(clips) == 40
    assert np.mean(best == 0) >= 0.9


@pytest.mark.parametrize(("least", "notes"), [(-1.0, 0), (0.999, 1)])
def test_a_hit_below_the_threshold_is_told(tmp_path: Path, least: float, notes: int) -> None:
    model = tmp_path / "model"
    shutil.copytree(FOLDER, model, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    settings = json.loads((model / "student.json").read_text())
    (model / "student.json").write_text(json.dumps(settings | {"least": least}))
    folder = tmp_path / "sounds"
    folder.mkdir()
    for kind in ("dog", "rain"):
        sound = synthesise(kind, 3)
        soundfile.write(folder / f"{kind}.wav", sound.samples, sound.rate)
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(folder, encoders=[f"student:{model}"])
        hits = library.search("a dog barking", by="content")
        assert [Path(hit.path).stem for hit in hits] == ["dog", "rain"]
        assert len(hits.notes) == notes
        assert all(note.startswith("not confident: the best sound scores") for note in hits.notes)
        assert not library.search(folder / "dog.wav").notes  # calibrated for texts only
