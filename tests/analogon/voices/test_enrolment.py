"""Recordings become voices: means against numpy written out, and what is left out of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import embed
from analogon.voices import (
    SPEECHBRAIN,
    default_encoder,
    enroll,
    enrolment,
    seconds_of_sound,
)
from embed import Media
from embed.errors import MissingPackage, UsageError
from embed.media import content_hash
from tests import sounds
from tests.analogon.voices.rows import encoded, files
from tests.command_line import family


def test_a_voice_is_the_normalised_mean_of_its_takes(tmp_path: Path) -> None:
    paths = files(tmp_path, 3, 2.3)
    one = enroll("narrator", paths, ["toy:8", "toy:5"]).voice
    for name in ("toy:8", "toy:5"):
        space = embed.load(name).space
        rows = encoded(name, paths)
        total = rows.sum(axis=0)
        assert one.vector(space) == pytest.approx(total / np.sqrt((total**2).sum()), abs=1e-6)
        assert one.rows[space] == pytest.approx(rows, abs=1e-6)
        assert one.encoders[space] == {"family": "toy", "model": name[4:]}
    assert [take.path for take in one.takes] == paths
    assert [take.content for take in one.takes] == [content_hash(Media.from_path(path)) for path in paths]
    assert one.seconds == pytest.approx(3 * 2.28)  # whole frames of 30 ms


def test_more_takes_make_the_voice_that_all_of_them_make(tmp_path: Path) -> None:
    paths = files(tmp_path, 5)
    whole = enroll("narrator", paths, ["toy:8"]).voice
    grown = enroll("narrator", paths[3:], known=enroll("narrator", paths[:3], ["toy:8"]).voice).voice
    space = embed.load("toy:8").space
    assert grown.takes == whole.takes
    assert (grown.vector(space) == whole.vector(space)).all()
    assert (grown.rows[space] == whole.rows[space]).all()


def test_an_encoder_that_is_new_hears_old_takes_that_are_unchanged(tmp_path: Path) -> None:
    paths = files(tmp_path, 3)
    first = enroll("narrator", paths, ["toy:8"]).voice
    sounds.write(Path(paths[1]), 99)
    heard = enroll("narrator", [], ["toy:5"], known=first)
    new = embed.load("toy:5").space
    rows = encoded("toy:5", paths)
    assert heard.voice.rows[new][[0, 2]] == pytest.approx(rows[[0, 2]], abs=1e-6)
    assert not heard.voice.rows[new][1].any()
    assert heard.voice.rows[embed.load("toy:8").space].any(axis=1).all()
    assert any(note.startswith("1 of the old takes are gone or changed") for note in heard.notes)


def test_takes_that_cannot_be_used_are_left_out_and_named(tmp_path: Path) -> None:
    good, again = files(tmp_path, 1)[0], tmp_path / "again.wav"
    again.write_bytes(Path(good).read_bytes())
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "click.wav", np.ones(800) * 0.5, 16000)
    (tmp_path / "words.txt").write_text("words")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    bad = ["again.wav", "silent.wav", "click.wav", "words.txt", "broken.wav", "gone.wav", ""]
    heard = enroll("narrator", [good, *(str(tmp_path / name) for name in bad)], ["toy:8"])
    assert [take.path for take in heard.voice.takes] == [good]
    reasons = ["among the takes", "0.00 s of sound", "0.03 s of sound", "is text", "", "no such file", "is a folder"]
    for note, name, reason in zip(heard.notes[1:], bad, reasons, strict=False):
        assert note.startswith(f"skipped {(tmp_path / name)}: ") and reason in note and "\n" not in note
    with pytest.raises(UsageError, match="narrator: of 2 recordings none can be used; skipped .*: no such file"):
        enroll("narrator", [str(tmp_path / "words.txt"), str(tmp_path / "gone.wav")], ["toy:8"])


def test_what_cannot_hear_a_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(tmp_path, 1)
    assert "toy:8 was not trained to tell speakers apart" in enroll("narrator", paths, ["toy:8"]).notes[0]
    with pytest.raises(UsageError, match="takes no recordings"):
        enroll("narrator", paths, [family(monkeypatch, tmp_path / "families", "reader", ["text"])])


def test_seconds_of_sound(tmp_path: Path) -> None:
    tone = 0.25 * np.sin(2 * np.pi * 200 * np.arange(16000 * 3) / 16000)
    quiet = tone[: 16000 * 2] * 10 ** (-50 / 20)  # 50 dB below the loudest, and below -60 dBFS
    wave = np.concatenate([tone, quiet, np.zeros(16000 * 40), tone[: 16000 * 2]])  # two windows of 30 s that overlap
    assert seconds_of_sound(Media("audio", array=wave.astype(np.float32), rate=16000)) == pytest.approx(5.0, abs=0.061)
    assert seconds_of_sound(Media("audio", array=quiet.astype(np.float32), rate=16000)) == 0.0
    soundfile.write(tmp_path / "tone.wav", tone, 16000)
    assert seconds_of_sound(Media.from_path(tmp_path / "tone.wav")) == pytest.approx(3.0, abs=0.031)


def test_the_speaker_encoder_that_is_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise MissingPackage("resemblyzer", "speaker", "speaker")

    monkeypatch.setattr(enrolment, "shared", absent)
    monkeypatch.setattr(enrolment.hub, "whole", lambda model: None)
    with pytest.raises(MissingPackage, match=r"pip install 'analogon\[speaker\]'"):
        default_encoder()
    monkeypatch.setattr(enrolment.hub, "whole", lambda model: Path("there"))
    assert default_encoder() == "xvector"
    monkeypatch.setattr(enrolment, "shared", lambda name: None)
    assert default_encoder() == "speaker"


@pytest.mark.parametrize("shape", [(512,), (1, 512)])
def test_a_ready_vector_is_kept_in_its_own_space(tmp_path: Path, shape: tuple[int, ...]) -> None:
    vector = np.random.default_rng(0).normal(size=512) * 1e3
    np.save(tmp_path / "x.npy", vector.reshape(shape).astype(np.float32))
    one = enroll("narrator", [], ready=[tmp_path / "x.npy"]).voice
    assert one.vector(SPEECHBRAIN) == pytest.approx(vector / np.sqrt((vector**2).sum()), abs=1e-6)
    assert list(one.vectors) == [SPEECHBRAIN]
    both = enroll("narrator", files(tmp_path, 2), ["toy:8"], known=one).voice
    assert both.vector(SPEECHBRAIN) == pytest.approx(one.vector(SPEECHBRAIN), abs=1e-6)
    assert len(both.takes) == 3 and len(both.vectors) == 2


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full(512, np.nan), "not finite"),
        (np.zeros(512), "all zeros"),
        (np.ones(256), r"holds float64 \(256,\)"),
        (np.ones((2, 512)), r"holds float64 \(2, 512\)"),
        (np.array(["a"] * 512), "holds <U1"),
        (np.array([None] * 512), "cannot be read as .npy"),
    ],
)
def test_what_is_no_ready_vector(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UsageError, match=reason):
        enroll("narrator", [], ready=[tmp_path / "x.npy"])
