"""Voices against numpy written out: means, fits, mixes, and the cosines that a score is seen beside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import embed
from analogon.voices import voices
from analogon.voices.voices import (
    SPEECHBRAIN,
    Cosines,
    Recording,
    Share,
    Voice,
    blend,
    hear,
    measure,
    mix,
    nearest,
    similarity,
)
from embed import Media
from embed.errors import AnalogonError, MediaError, MissingPackage, SpaceMismatch, UsageError
from embed.media import content_hash
from embed.space import Space
from tests import sounds
from tests.command_line import family

FLAT = Space("flat:4", "flat", "none", 4)
OTHER = Space("other:4", "other", "none", 4)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def units(rows: Any) -> np.ndarray:
    array = np.asarray(rows, np.float64)
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


def made(name: str, rows: Any, *, space: Space = FLAT, seconds: float = 2.0) -> Voice:
    """A voice of rows; its takes are called after it and numbered."""
    array = units(rows)
    takes = [Recording(f"/{name}{i}.wav", f"{name}{i}", seconds) for i in range(len(array))]
    return Voice.of(name, takes, {space: array})


def random_voice(name: str, seed: int, takes: int, spread: float = 0.3) -> Voice:
    random = np.random.default_rng(seed)
    return made(name, random.normal(size=4) + spread * random.normal(size=(takes, 4)))


def files(folder: Path, count: int, seconds: float = 0.4, first: int = 0) -> list[str]:
    """Recordings that get louder and softer each in its own way: the toy encoder tells them apart."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        loudness = np.random.default_rng(i).uniform(0.1, 0.9, 8)
        length = round(seconds * sounds.RATE)
        wave = np.sin(np.arange(length)) * np.repeat(loudness, -(-length // 8))[:length]
        soundfile.write(folder / f"take{i}.wav", wave, sounds.RATE)
    return [str(folder / f"take{i}.wav") for i in range(first, first + count)]


def encoded(encoder: str, paths: Sequence[str]) -> np.ndarray:
    return embed.encode(embed.load(encoder), [Media.from_path(path) for path in paths]).array.astype(np.float64)


# -- takes -------------------------------------------------------------------------------------------------------------


def test_a_voice_is_the_normalised_mean_of_its_takes(tmp_path: Path) -> None:
    paths = files(tmp_path, 3, 2.3)
    one = hear("narrator", paths, ["toy:8", "toy:5"]).voice
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


def test_fits_are_cosines_with_the_mean_of_the_others() -> None:
    one = random_voice("narrator", 0, 5)
    rows = one.rows[FLAT].astype(np.float64)
    by_hand = []
    for i in range(5):
        others = sum(rows[j] for j in range(5) if j != i) / 4
        by_hand.append(rows[i] @ others / np.linalg.norm(others))
    assert one.fits(FLAT) == pytest.approx(by_hand, abs=1e-6)
    assert one.consistency(FLAT) == pytest.approx(np.mean(by_hand), abs=1e-6)


def test_one_take_fits_nothing() -> None:
    one = made("narrator", [[1, 0, 0, 0]])
    assert np.isnan(one.fits(FLAT)).all()
    assert one.consistency(FLAT) is None
    assert one.odd(FLAT) == []


def test_a_take_that_a_space_did_not_hear_takes_no_part() -> None:
    rows = units([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    rows[1] = 0
    one = Voice.of("narrator", [Recording(f"/{i}", str(i), 1.0) for i in range(3)], {FLAT: rows})
    assert one.vector(FLAT) == pytest.approx(units([2, 1, 0, 1]), abs=1e-6)
    assert one.fits(FLAT) == pytest.approx([0.5, np.nan, 0.5], abs=1e-6, nan_ok=True)


def test_takes_are_odd_beyond_three_scaled_median_deviations() -> None:
    from scipy.stats import median_abs_deviation

    tight = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        rows = np.array([2.0, 0, 0, 0]) + random.standard_t(2, size=(12, 4)) * 0.5
        one = made("narrator", rows.tolist())
        fits = one.fits(FLAT)
        apart = np.median(fits) - fits
        spread = median_abs_deviation(fits, scale="normal")
        assert one.odd(FLAT) == np.flatnonzero(apart > max(3 * spread, 0.1)).tolist()
        tight += int(((apart > max(2 * spread, 0.1)) & (apart <= 3 * spread)).sum())
    assert tight > 5  # takes that a smaller deviation would have named


def test_a_stranger_among_the_takes_is_named() -> None:
    near = [[1, 0.1, 0, 0], [1, 0, 0.1, 0], [1, 0, 0, 0.1], [1, 0.1, 0.1, 0]]
    one = made("narrator", [*near[:2], [1, 4, 0, 0], *near[2:]])
    assert one.odd(FLAT) == [2]
    fits = one.fits(FLAT)
    rest = np.mean([fits[i] for i in (0, 1, 3, 4)])
    (line,) = one.oddities()
    assert line.startswith(f"/narrator2.wav is unlike the others ({fits[2]:.2f}; the others {rest:.2f}; flat:4)")
    assert made("narrator", near).odd(FLAT) == []
    assert made("narrator", [near[0], [0, 0, 0, 1]]).odd(FLAT) == []  # of two, which?


def test_more_takes_make_the_voice_that_all_of_them_make(tmp_path: Path) -> None:
    paths = files(tmp_path, 5)
    whole = hear("narrator", paths, ["toy:8"]).voice
    grown = hear("narrator", paths[3:], known=hear("narrator", paths[:3], ["toy:8"]).voice).voice
    space = embed.load("toy:8").space
    assert grown.takes == whole.takes
    assert (grown.vector(space) == whole.vector(space)).all()
    assert (grown.rows[space] == whole.rows[space]).all()


def test_an_encoder_that_is_new_hears_old_takes_that_are_unchanged(tmp_path: Path) -> None:
    paths = files(tmp_path, 3)
    first = hear("narrator", paths, ["toy:8"]).voice
    sounds.write(Path(paths[1]), 99)
    heard = hear("narrator", [], ["toy:5"], known=first)
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
    heard = hear("narrator", [good, *(str(tmp_path / name) for name in bad)], ["toy:8"])
    assert [take.path for take in heard.voice.takes] == [good]
    reasons = ["among the takes", "0.00 s of sound", "0.03 s of sound", "is text", "", "no such file", "is a folder"]
    for note, name, reason in zip(heard.notes[1:], bad, reasons, strict=False):
        assert note.startswith(f"skipped {(tmp_path / name)}: ") and reason in note and "\n" not in note
    with pytest.raises(UsageError, match="narrator: of 2 recordings none can be used; skipped .*: no such file"):
        hear("narrator", [str(tmp_path / "words.txt"), str(tmp_path / "gone.wav")], ["toy:8"])


def test_what_cannot_hear_a_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(tmp_path, 1)
    assert "toy:8 was not trained to tell speakers apart" in hear("narrator", paths, ["toy:8"]).notes[0]
    with pytest.raises(UsageError, match="takes no recordings"):
        hear("narrator", paths, [family(monkeypatch, tmp_path / "families", "reader", ["text"])])


def test_seconds_of_sound(tmp_path: Path) -> None:
    tone = 0.25 * np.sin(2 * np.pi * 200 * np.arange(16000 * 3) / 16000)
    quiet = tone[: 16000 * 2] * 10 ** (-50 / 20)  # 50 dB below the loudest, and below -60 dBFS
    wave = np.concatenate([tone, quiet, np.zeros(16000 * 40), tone[: 16000 * 2]])  # two windows of 30 s that overlap
    assert voices.sounding(Media("audio", array=wave.astype(np.float32), rate=16000)) == pytest.approx(5.0, abs=0.061)
    assert voices.sounding(Media("audio", array=quiet.astype(np.float32), rate=16000)) == 0.0
    soundfile.write(tmp_path / "tone.wav", tone, 16000)
    assert voices.sounding(Media.from_path(tmp_path / "tone.wav")) == pytest.approx(3.0, abs=0.031)


def test_the_speaker_encoder_that_is_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise MissingPackage("resemblyzer", "speaker", "speaker")

    monkeypatch.setattr(voices, "load_encoder", absent)
    monkeypatch.setattr(voices.hub, "whole", lambda model: None)
    with pytest.raises(MissingPackage, match=r"pip install 'analogon\[speaker\]'"):
        voices.default_encoder()
    monkeypatch.setattr(voices.hub, "whole", lambda model: Path("there"))
    assert voices.default_encoder() == "xvector"
    monkeypatch.setattr(voices, "load_encoder", lambda name: None)
    assert voices.default_encoder() == "speaker"


# -- ready vectors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(512,), (1, 512)])
def test_a_ready_vector_is_kept_in_its_own_space(tmp_path: Path, shape: tuple[int, ...]) -> None:
    vector = np.random.default_rng(0).normal(size=512) * 1e3
    np.save(tmp_path / "x.npy", vector.reshape(shape).astype(np.float32))
    one = hear("narrator", [], ready=[tmp_path / "x.npy"]).voice
    assert one.vector(SPEECHBRAIN) == pytest.approx(vector / np.sqrt((vector**2).sum()), abs=1e-6)
    assert list(one.vectors) == [SPEECHBRAIN]
    both = hear("narrator", files(tmp_path, 2), ["toy:8"], known=one).voice
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
        hear("narrator", [], ready=[tmp_path / "x.npy"])


# -- kept --------------------------------------------------------------------------------------------------------------


def test_there_and_back(tmp_path: Path) -> None:
    one = hear("narrator", files(tmp_path, 2), ["toy:8", "toy:5"]).voice
    one.save()
    two = Voice.load("narrator")
    assert (two.name, two.takes, two.mixed, two.created) == (one.name, one.takes, one.mixed, one.created)
    assert two.encoders == one.encoders
    assert list(two.vectors) == list(one.vectors)
    for space, vector in one.vectors.items():
        assert (two.vectors[space] == vector).all() and (two.rows[space] == one.rows[space]).all()
    Voice.remove("narrator")
    assert Voice.listing() == []
    with pytest.raises(
        UsageError, match="no voice called 'narrator'; there are: none yet; analogon voice add makes one"
    ):
        Voice.load("narrator")


def test_a_path_that_is_no_text_comes_back(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path / "x") + b"\xff.wav"
    Path(files(tmp_path, 1)[0]).rename(os.fsdecode(name))
    hear("narrator", [os.fsdecode(name)], ["toy:8"]).voice.save()
    assert os.fsencode(Voice.load("narrator").takes[0].path) == name


def test_a_damaged_file_is_one_line_and_the_others_are_listed(home: Path) -> None:
    for name in ("anna", "bert", "carl", "dora"):
        random_voice(name, 1, 2).save()
    (home / "voices" / "bert.safetensors").write_bytes(b"\x10")
    voices.SHELF.put("carl", {"spaces": [{"space": FLAT.to_json(), "encoder": None}]}, {"vector 0": np.ones(3, "f4")})
    voices.SHELF.put("cora", {"spaces": [], "takes": [], "mixed": [], "created": ""}, {"vector 0": np.ones(3, "f4")})
    voices.SHELF.put("cyd", {}, {})
    lines: list[str] = []
    assert [one.name for one in Voice.listing(lines.append)] == ["anna", "dora"]
    assert [Path(line.split(": ")[0]).stem for line in lines] == ["bert", "carl", "cora", "cyd"]
    assert all("not a readable voice" in line and line.endswith("add it again") for line in lines)


@pytest.mark.parametrize("vector", [np.ones(4, np.float32), np.zeros(4, np.float32), np.full(4, np.nan, np.float32)])
def test_a_vector_that_is_not_of_length_one_is_refused(vector: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not of length 1"):
        Voice("narrator", {FLAT: vector})


def test_a_space_that_a_voice_has_not() -> None:
    with pytest.raises(SpaceMismatch, match="narrator is kept in flat:4, not in other:4"):
        random_voice("narrator", 0, 2).vector(OTHER)


# -- mixes -------------------------------------------------------------------------------------------------------------


def test_a_mix_is_the_normalised_weighted_mean() -> None:
    one, two = random_voice("anna", 1, 3), random_voice("bert", 2, 2)
    one.save()
    two.save()
    both = mix("both", [Share("anna", 7.0), Share("bert", 3.0)]).voice
    total = 0.7 * one.vector(FLAT).astype(np.float64) + 0.3 * two.vector(FLAT).astype(np.float64)
    assert both.vector(FLAT) == pytest.approx(total / np.sqrt((total**2).sum()), abs=1e-6)
    assert both.mixed == (Share("anna", 0.7), Share("bert", 0.3))
    assert both.takes == () and both.consistency(FLAT) is None
    both.save()
    assert Voice.load("both").mixed == both.mixed
    huge = mix("huge", [Share("anna", 7e307), Share("bert", 3e307)]).voice
    assert huge.vector(FLAT) == pytest.approx(both.vector(FLAT), abs=1e-6)
    with pytest.raises(UsageError, match="both is mixed"):
        hear("both", [], ready=["x.npy"], known=both)


def test_what_weights_below_0_bring_below_0_becomes_0_where_no_voice_has_such_components() -> None:
    made("anna", [[3, 4, 0, 0]]).save()
    made("bert", [[0, 1, 0, 0]]).save()
    away = mix("away", [Share("anna", 2), Share("bert", -1.8)])
    assert away.voice.vector(FLAT).tolist() == [1.0, 0.0, 0.0, 0.0]  # 2 (0.6, 0.8) - 1.8 (0, 1) = (1.2, -0.2)
    assert away.notes == ("flat:4: 1 of 4 components came below 0, where no voice is; they are 0 now",)
    # Where voices do have components below 0, nothing is cut off.
    assert blend(units([[3, 4], [0, -1]]), [1, 2]) == pytest.approx(units([0.6, -1.2]), abs=1e-6)
    with pytest.raises(UsageError, match="cancel each other"):
        blend(units([[1, 0], [-1, 0]]), [1, 1])


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ("anna", "two voices or more"),
        ("anna:1 anna:2", "two voices or more"),
        ("anna:nan bert", "finite"),
        ("anna:inf bert", "finite"),
        ("anna:0 bert", "not 0"),
        ("anna:1 bert:-1", "above 0 in sum"),
        ("anna:-2 bert:1", "above 0 in sum"),
        ("anna nobody", "no voice called 'nobody'"),
        ("anna stranger", "no space in common: anna has flat:4; stranger has other:4"),
        ("anna:x bert", "NAME:NUMBER"),
    ],
)
def test_what_cannot_be_mixed(shares: str, reason: str) -> None:
    random_voice("anna", 1, 2).save()
    random_voice("bert", 2, 2).save()
    made("stranger", [[1, 0, 0, 0]], space=OTHER).save()
    with pytest.raises(UsageError, match=reason):
        mix("both", [Share.parse(text) for text in shares.split()])


def test_a_mix_says_in_which_spaces_it_is_not() -> None:
    row = units([[1, 2, 0, 0]])
    Voice.of("anna", [Recording("/a", "a", 1.0)], {FLAT: row, OTHER: row}).save()
    random_voice("bert", 2, 2).save()
    both = mix("both", [Share("anna"), Share("bert")])
    assert list(both.voice.vectors) == [FLAT]
    assert both.notes == ("not all of the voices are kept in other:4: the mix is not either",)


# -- how near ----------------------------------------------------------------------------------------------------------


def test_a_score_is_seen_beside_the_voices_own_takes_and_those_of_others() -> None:
    anna, bert, carl = random_voice("anna", 1, 6), random_voice("bert", 2, 12), random_voice("carl", 3, 9)
    vector = units([1, 1, 0, 0])
    found = measure(anna, FLAT, vector, [anna, bert, carl])
    centre = anna.rows[FLAT].astype(np.float64).sum(axis=0)
    centre /= np.linalg.norm(centre)
    strangers = np.concatenate([bert.rows[FLAT], carl.rows[FLAT]]) @ centre
    assert found.score == pytest.approx(centre @ vector, abs=1e-6)
    assert found.own is not None and found.others is not None
    assert found.own == Cosines(6, *np.percentile(anna.fits(FLAT), [5, 50, 95]))
    assert (found.others.n, found.others.middle) == (21, pytest.approx(np.median(strangers), abs=1e-6))
    assert (found.others.low, found.others.high) == pytest.approx(np.percentile(strangers, [5, 95]), abs=1e-6)
    assert found.above == pytest.approx(np.mean(strangers < found.score))
    assert measure(anna, FLAT, vector, [anna, bert]).above is None  # 12 strangers say no share


def test_a_recording_that_is_a_take_is_measured_with_the_others() -> None:
    anna = random_voice("anna", 1, 4)
    found = measure(anna, FLAT, anna.rows[FLAT][2], [anna], content="anna2")
    assert found.score == pytest.approx(anna.fits(FLAT)[2], abs=1e-6)
    assert "measured with the others" in found.note
    alone = made("alone", [[1, 0, 0, 0]])
    found = measure(alone, FLAT, alone.vector(FLAT), [alone], content="alone0")
    assert found.note == "it is the only take" and found.score == 1.0


def test_the_parts_of_a_mix_and_equal_recordings_are_no_strangers() -> None:
    anna, bert = random_voice("anna", 1, 3), random_voice("bert", 2, 3)
    both = Voice(
        "both", {FLAT: blend(np.stack([anna.vector(FLAT), bert.vector(FLAT)]), [1, 1])}, mixed=(Share("anna"),)
    )
    again = Voice.of("again", anna.takes, anna.rows)
    vector = units([1, 1, 0, 0])
    assert measure(both, FLAT, vector, [anna, both]).others is None
    assert measure(anna, FLAT, vector, [anna, both, again]).others is None
    of_both = Voice("deeper", both.vectors, mixed=(Share("both"), Share("carl")))
    assert measure(of_both, FLAT, vector, [anna, both, of_both]).others is None
    found = measure(both, FLAT, vector, [anna, bert, both]).others
    assert found is not None and found.n == 3


def test_takes_of_another_length_are_told() -> None:
    anna = random_voice("anna", 1, 3)
    assert "much shorter than the takes (2.0 s)" in measure(anna, FLAT, anna.vector(FLAT), seconds=0.4).note
    assert measure(anna, FLAT, anna.vector(FLAT), seconds=3.0).note == ""


def test_kept_voices_by_their_cosine_with_a_recording_and_with_a_voice(tmp_path: Path) -> None:
    kept = [hear(name, files(tmp_path / name, 2, first=3 * i), ["toy:8"]).voice for i, name in enumerate("abcd")]
    space = embed.load("toy:8").space
    asked = files(tmp_path, 1, first=40)[0]
    row = encoded("toy:8", [asked])[0]
    expected = sorted(((float(row @ one.vector(space)), one.name) for one in kept), reverse=True)
    found = voices.similar(Media.from_path(asked), kept)
    assert [one.voice for one in found] == [name for _, name in expected]
    assert [one.score for one in found] == pytest.approx([score for score, _ in expected], abs=1e-6)
    beside = voices.similar(kept[0], kept)
    expected = sorted(((float(kept[0].vector(space) @ one.vector(space)), one.name) for one in kept[1:]), reverse=True)
    assert [(one.voice, one.score) for one in beside] == [(n, pytest.approx(s, abs=1e-6)) for s, n in expected]
    rest = {one.name: one.vector(space) for one in kept[1:]}
    for one in beside:
        cosines = [float(rest[one.voice] @ vector) for name, vector in rest.items() if name != one.voice]
        assert one.others is not None
        assert (one.others.n, one.others.middle) == (2, pytest.approx(np.mean(cosines), abs=1e-6))
    with pytest.raises(UsageError, match="no voice is kept in a space"):
        voices.similar(Media.from_path(asked), kept, ["toy:5"])


def test_the_nearest_sample(tmp_path: Path) -> None:
    paths = files(tmp_path, 6)
    one = hear("narrator", paths[:2], ["toy:8"]).voice
    samples = {Path(path).stem: Media.from_path(path) for path in paths[2:]}
    samples["broken"] = Media.from_path(tmp_path / "gone.wav")
    scores = encoded("toy:8", paths[2:]) @ one.vector(embed.load("toy:8").space)
    near = nearest(one, samples)
    assert near.name == f"take{2 + int(scores.argmax())}"
    assert (near.score, near.among) == (pytest.approx(scores.max(), abs=1e-6), 4)
    with pytest.raises(UsageError, match="narrator cannot be compared"):
        nearest(one, {})


def test_a_take_is_judged_by_a_space_that_its_generator_was_not_fed_with(tmp_path: Path) -> None:
    one = hear("narrator", files(tmp_path, 3), ["toy:8", "toy:5"]).voice
    eight, five = (embed.load(name).space for name in ("toy:8", "toy:5"))
    samples = np.random.default_rng(5).normal(0, 0.1, 8000).astype(np.float32)
    take = Media("audio", array=samples, rate=16000)
    row = embed.encode(embed.load("toy:5"), [take]).array[0]
    found = similarity(one, take, fed=eight)
    assert (found.space, found.score) == (five, pytest.approx(float(row @ one.vector(five)), abs=1e-6))
    assert found.independent and [m.space for m in found.measured] == [five, eight]
    assert str(found).startswith(f"speaker similarity to narrator: {found.score:.2f} (toy:5; its own takes ")
    only = hear("narrator", files(tmp_path, 3), ["toy:8"]).voice
    assert "not independent" in str(similarity(only, take, fed=eight))
    assert "not independent" not in str(similarity(only, take))
    stereo = Media("audio", array=np.stack([samples, samples], axis=1), rate=16000)
    assert similarity(only, stereo).score == pytest.approx(similarity(only, take).score, abs=1e-6)
    with pytest.raises(MediaError, match="silent"):
        similarity(only, Media("audio", array=np.zeros(16000, np.float32), rate=16000))


def test_a_voice_that_no_encoder_can_hear(tmp_path: Path) -> None:
    take = Media("audio", array=np.random.default_rng(5).normal(0, 0.1, 8000).astype(np.float32), rate=16000)
    np.save(tmp_path / "x.npy", np.ones(512))
    ready = hear("ready", [], ready=[tmp_path / "x.npy"]).voice
    with pytest.raises(UsageError, match="ready cannot be compared with recordings: analogon voice add ready --more"):
        similarity(ready, take)
    with pytest.raises(UsageError, match="flat:4 cannot be loaded: there is no encoder family 'flat'"):
        similarity(random_voice("anna", 1, 2), take)
    changed = Space("toy:4", "another", "none", 4)
    with pytest.raises(UsageError, match="toy:4 is another model today"):
        similarity(made("anna", [[1, 0, 0, 0]], space=changed), take)


def test_real_voices_are_told_apart(shared: Path) -> None:
    pytest.importorskip("webrtcvad")
    pytest.importorskip("embed.encoders.speaker")
    data = shared / "data" / "fsdd"
    people = ("george", "jackson", "nicolas", "theo")
    try:
        space = embed.load("speaker").space
    except AnalogonError as error:
        pytest.skip(str(error))
    kept = [hear(who, [str(data / f"{d}_{who}_{t}.wav") for d in range(5) for t in (0, 1)]).voice for who in people]
    asked = [(who, data / f"{digit}_{who}_7.wav") for digit in (6, 8) for who in people]
    paths = [take.path for voice in kept for take in voice.takes] + [str(path) for _, path in asked]
    rows = encoded("speaker", paths)
    centres = units(rows[:40].reshape(4, 10, -1).sum(axis=1))
    for voice, centre in zip(kept, centres, strict=True):
        assert voice.vector(space) == pytest.approx(centre, abs=1e-6)
    right = 0
    for cosines, (who, path) in zip(rows[40:] @ centres.T, asked, strict=True):
        found = voices.similar(Media.from_path(path), kept)
        assert [one.score for one in found] == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)
        right += found[0].voice == who
    assert right >= 7  # 198 of 200 in benchmarks/voice_similarity.py; 2 of 8 by chance
