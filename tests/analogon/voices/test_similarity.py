"""Cosines with kept voices against numpy written out, and what each is seen beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import embed
from analogon.voices import (
    Cosines,
    Share,
    Voice,
    blend,
    compare,
    enroll,
    most_similar,
    nearest,
    similarity,
)
from embed import Media
from embed.errors import AnalogonError, MediaError, UsageError
from embed.space import Space
from tests.analogon.voices.rows import FLAT, encoded, files, random_voice, units, voice_of_rows


def test_a_score_is_seen_beside_the_voices_own_takes_and_those_of_others() -> None:
    anna, bert, carl = random_voice("anna", 1, 6), random_voice("bert", 2, 12), random_voice("carl", 3, 9)
    vector = units([1, 1, 0, 0])
    found = compare(anna, FLAT, vector, [anna, bert, carl])
    centre = anna.rows[FLAT].astype(np.float64).sum(axis=0)
    centre /= np.linalg.norm(centre)
    strangers = np.concatenate([bert.rows[FLAT], carl.rows[FLAT]]) @ centre
    assert found.score == pytest.approx(centre @ vector, abs=1e-6)
    assert found.own is not None and found.others is not None
    assert found.own == Cosines(6, *np.percentile(anna.fits(FLAT), [5, 50, 95]))
    assert (found.others.n, found.others.middle) == (21, pytest.approx(np.median(strangers), abs=1e-6))
    assert (found.others.low, found.others.high) == pytest.approx(np.percentile(strangers, [5, 95]), abs=1e-6)
    assert found.above == pytest.approx(np.mean(strangers < found.score))
    assert compare(anna, FLAT, vector, [anna, bert]).above is None  # 12 strangers say no share


def test_a_recording_that_is_a_take_is_measured_with_the_others() -> None:
    anna = random_voice("anna", 1, 4)
    found = compare(anna, FLAT, anna.rows[FLAT][2], [anna], content="anna2")
    assert found.score == pytest.approx(anna.fits(FLAT)[2], abs=1e-6)
    assert "measured with the others" in found.note
    alone = voice_of_rows("alone", [[1, 0, 0, 0]])
    found = compare(alone, FLAT, alone.vector(FLAT), [alone], content="alone0")
    assert found.note == "it is the only take" and found.score == 1.0


def test_the_parts_of_a_mix_and_equal_recordings_are_no_strangers() -> None:
    anna, bert = random_voice("anna", 1, 3), random_voice("bert", 2, 3)
    both = Voice(
        "both", {FLAT: blend(np.stack([anna.vector(FLAT), bert.vector(FLAT)]), [1, 1])}, mixed=(Share("anna"),)
    )
    again = Voice.of("again", anna.takes, anna.rows)
    vector = units([1, 1, 0, 0])
    assert compare(both, FLAT, vector, [anna, both]).others is None
    assert compare(anna, FLAT, vector, [anna, both, again]).others is None
    of_both = Voice("deeper", both.vectors, mixed=(Share("both"), Share("carl")))
    assert compare(of_both, FLAT, vector, [anna, both, of_both]).others is None
    found = compare(both, FLAT, vector, [anna, bert, both]).others
    assert found is not None and found.n == 3


def test_takes_of_another_length_are_told() -> None:
    anna = random_voice("anna", 1, 3)
    assert "much shorter than the takes (2.0 s)" in compare(anna, FLAT, anna.vector(FLAT), seconds=0.4).note
    assert compare(anna, FLAT, anna.vector(FLAT), seconds=3.0).note == ""


def test_kept_voices_by_their_cosine_with_a_recording_and_with_a_voice(tmp_path: Path) -> None:
    kept = [enroll(name, files(tmp_path / name, 2, first=3 * i), ["toy:8"]).voice for i, name in enumerate("abcd")]
    space = embed.load("toy:8").space
    asked = files(tmp_path, 1, first=40)[0]
    row = encoded("toy:8", [asked])[0]
    expected = sorted(((float(row @ one.vector(space)), one.name) for one in kept), reverse=True)
    found = most_similar(Media.from_path(asked), kept)
    assert [one.voice for one in found] == [name for _, name in expected]
    assert [one.score for one in found] == pytest.approx([score for score, _ in expected], abs=1e-6)
    beside = most_similar(kept[0], kept)
    expected = sorted(((float(kept[0].vector(space) @ one.vector(space)), one.name) for one in kept[1:]), reverse=True)
    assert [(one.voice, one.score) for one in beside] == [(n, pytest.approx(s, abs=1e-6)) for s, n in expected]
    rest = {one.name: one.vector(space) for one in kept[1:]}
    for one in beside:
        cosines = [float(rest[one.voice] @ vector) for name, vector in rest.items() if name != one.voice]
        assert one.others is not None
        assert (one.others.n, one.others.middle) == (2, pytest.approx(np.mean(cosines), abs=1e-6))
    with pytest.raises(UsageError, match="no voice is kept in a space"):
        most_similar(Media.from_path(asked), kept, ["toy:5"])


def test_the_nearest_sample(tmp_path: Path) -> None:
    paths = files(tmp_path, 6)
    one = enroll("narrator", paths[:2], ["toy:8"]).voice
    samples = {Path(path).stem: Media.from_path(path) for path in paths[2:]}
    samples["broken"] = Media.from_path(tmp_path / "gone.wav")
    scores = encoded("toy:8", paths[2:]) @ one.vector(embed.load("toy:8").space)
    near = nearest(one, samples)
    assert near.name == f"take{2 + int(scores.argmax())}"
    assert (near.score, near.among) == (pytest.approx(scores.max(), abs=1e-6), 4)
    with pytest.raises(UsageError, match="narrator cannot be compared"):
        nearest(one, {})


def test_a_take_is_judged_by_a_space_that_its_generator_was_not_fed_with(tmp_path: Path) -> None:
    one = enroll("narrator", files(tmp_path, 3), ["toy:8", "toy:5"]).voice
    eight, five = (embed.load(name).space for name in ("toy:8", "toy:5"))
    samples = np.random.default_rng(5).normal(0, 0.1, 8000).astype(np.float32)
    take = Media("audio", array=samples, rate=16000)
    row = embed.encode(embed.load("toy:5"), [take]).array[0]
    found = similarity(one, take, fed=eight)
    assert (found.space, found.score) == (five, pytest.approx(float(row @ one.vector(five)), abs=1e-6))
    assert found.independent and [m.space for m in found.measured] == [five, eight]
    assert str(found).startswith(f"speaker similarity to narrator: {found.score:.2f} (toy:5; its own takes ")
    only = enroll("narrator", files(tmp_path, 3), ["toy:8"]).voice
    assert "not independent" in str(similarity(only, take, fed=eight))
    assert "not independent" not in str(similarity(only, take))
    stereo = Media("audio", array=np.stack([samples, samples], axis=1), rate=16000)
    assert similarity(only, stereo).score == pytest.approx(similarity(only, take).score, abs=1e-6)
    with pytest.raises(MediaError, match="silent"):
        similarity(only, Media("audio", array=np.zeros(16000, np.float32), rate=16000))


def test_a_voice_that_no_encoder_can_hear(tmp_path: Path) -> None:
    take = Media("audio", array=np.random.default_rng(5).normal(0, 0.1, 8000).astype(np.float32), rate=16000)
    np.save(tmp_path / "x.npy", np.ones(512))
    ready = enroll("ready", [], ready=[tmp_path / "x.npy"]).voice
    with pytest.raises(UsageError, match=r"ready cannot be compared with recordings: `.*AddVoice\(name='ready', fi"):
        similarity(ready, take)
    with pytest.raises(UsageError, match="flat:4 cannot be loaded: there is no encoder family 'flat'"):
        similarity(random_voice("anna", 1, 2), take)
    changed = Space("toy:4", "another", "none", 4)
    with pytest.raises(UsageError, match="toy:4 is another model today"):
        similarity(voice_of_rows("anna", [[1, 0, 0, 0]], space=changed), take)


def test_real_voices_are_told_apart(shared: Path) -> None:
    pytest.importorskip("webrtcvad")
    pytest.importorskip("embed.encoders.speaker")
    data = shared / "data" / "fsdd"
    people = ("george", "jackson", "nicolas", "theo")
    try:
        space = embed.load("speaker").space
    except AnalogonError as error:
        pytest.skip(str(error))
    kept = [enroll(who, [str(data / f"{d}_{who}_{t}.wav") for d in range(5) for t in (0, 1)]).voice for who in people]
    asked = [(who, data / f"{digit}_{who}_7.wav") for digit in (6, 8) for who in people]
    paths = [take.path for voice in kept for take in voice.takes] + [str(path) for _, path in asked]
    rows = encoded("speaker", paths)
    centres = units(rows[:40].reshape(4, 10, -1).sum(axis=1))
    for voice, centre in zip(kept, centres, strict=True):
        assert voice.vector(space) == pytest.approx(centre, abs=1e-6)
    right = 0
    for cosines, (who, path) in zip(rows[40:] @ centres.T, asked, strict=True):
        found = most_similar(Media.from_path(path), kept)
        assert [one.score for one in found] == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)
        right += found[0].voice == who
    assert right >= 7  # 198 of 200 in benchmarks/voice_similarity.py; 2 of 8 by chance
