"""The starter's recipe where it computes: groups, MIDI, the teacher's scores, thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embed.classifier import classifier
from training.starter import sounds


def test_takes_of_one_source_are_one_group() -> None:
    assert sounds.group("berklee_olpc", "ping pong ball 1") == sounds.group("berklee_olpc", "Ping Pong 02")
    assert sounds.group("a", "door slam 1") != sounds.group("b", "door slam 1")
    assert sounds.group("a", "7") == "a/"


def test_about_as_many_groups_are_held_out_as_it_says() -> None:
    part = np.mean([sounds.held_out(f"set/group {number}") for number in range(20000)])
    assert part == pytest.approx(sounds.HELD_OUT, abs=0.01)
    assert sounds.held_out("set/group 1") == sounds.held_out("set/group 1")


@pytest.mark.parametrize(
    ("number", "wanted"),
    [(0, "00"), (0x40, "40"), (0x7F, "7f"), (0x80, "8100"), (0x2000, "c000"), (0x3FFF, "ff7f"), (0x1FFFFF, "ffff7f")],
)
def test_variable_length_quantities_are_as_the_midi_standard_has_them(number: int, wanted: str) -> None:
    assert sounds._variable(number).hex() == wanted


def test_a_note_in_a_midi_file_lasts_its_milliseconds() -> None:
    data = sounds._midi(sounds._note(0, 60, 100, 0.5, 0.25))
    assert data[:14] == b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x03\xe8"
    track = data[data.index(b"MTrk") + 8 :]
    assert int.from_bytes(data[18:22]) == len(track)
    # One second a beat of 1,000 ticks; 500 ticks, note on; 250 ticks, note off; end of track.
    assert track.hex() == "00ff51030f4240" + "8374" + "903c64" + "817a" + "803c00" + "00ff2f00"


def test_the_teachers_scores_are_those_of_its_file(shared: Path) -> None:
    from training.starter.mixtures import Teacher

    path = shared / "models" / "yamnet" / "yamnet.tflite"
    teacher = Teacher(path)
    rng = np.random.default_rng(0)
    samples = (rng.standard_normal(Teacher.SAMPLES) * np.linspace(0.0, 0.3, Teacher.SAMPLES)).astype(np.float32)
    weights, biases = teacher.head
    logits = teacher.embedding(samples) * teacher.scale @ weights.T + biases
    ours = 1.0 / (1.0 + np.exp(-logits))
    theirs = classifier(f"tflite:{path}", "audio").scores([samples])[0]
    # The file rounds logits to 0.347 and scores to 1/256.
    bound = 0.35 / 2 * ours * (1 - ours) * 1.2 + 1.5 / 256
    assert np.all(np.abs(ours - theirs) <= bound)
    assert theirs.max() > 0.2
