"""Students of tiny teachers: what they are taught, that killed runs go on, and what the command says."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

import embed
from embed import Encoder, Media
from embed.encoders.conse import ConseEncoder
from embed.encoders.student import StudentEncoder
from embed.errors import UsageError
from embed.listener import Listener
from embed.space import Space
from embed.training import network
from embed.training import student as training
from embed.training.gathering import Sounds, gather, held_out
from embed.training.mixing import Recordings
from embed.training.network import Shape
from embed.training.student import Comparison, Recipe, Teacher, compare, learn
from tests.command_line import exit_code
from tests.embed.encoders import tiny_conse

RATE = 16000
TINY = Shape(bins=64, stem=8, blocks=((8, 2, 2), (12, 2, 2)), features=16)
COUNT = 24


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of many pitches and lengths, each with its own noise."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    names = ["bell", "hum", "siren", "tick", "wind", "drone"]
    for number in range(COUNT):
        time = np.arange(int(RATE * rng.uniform(0.1, 3.0))) / RATE
        samples = 0.5 * np.sin(2 * np.pi * 110 * 1.2**number * time) + 0.01 * rng.standard_normal(len(time))
        soundfile.write(folder / f"{names[number % 6]}_{number}.wav", samples, RATE)
    return folder


@pytest.fixture(scope="module")
def conse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A description of the tiny bridge, whose labels hold two that take no part."""
    folder = tmp_path_factory.mktemp("conse")
    table = tiny_conse.build(folder) | {"audio_pool": "max"}
    del table["image"]
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    (folder / "bridge.toml").write_text("\n".join(lines))
    return folder / "bridge.toml"


def paths(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.glob("*.wav"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tiny(**changes: Any) -> Recipe:
    return Recipe(**({"mixtures": 25, "steps": 10, "shape": TINY} | changes))


def tones(count: int, seconds: float = 1.935) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return [(rng.standard_normal(round(seconds * RATE)) * 0.02 * (i + 1)).astype(np.float32) for i in range(count)]


def test_a_teacher_tells_its_vectors() -> None:
    teacher = Teacher("toy:8")
    heard = tones(3)
    expected = embed.encode(embed.load("toy:8"), [Media("audio", array=one, rate=RATE) for one in heard]).array
    assert (teacher.head, teacher.size, teacher.pool) == ("vector", 8, "mean")
    assert np.abs(teacher.tell(heard) - expected).max() < 1e-6


def test_a_conse_teacher_tells_the_scores_of_the_classes_that_take_part(conse: Path) -> None:
    teacher = Teacher(str(conse))
    encoder = embed.load(str(conse))
    assert isinstance(encoder, ConseEncoder) and encoder.audio is not None
    labels = encoder.classifiers["audio"].labels
    kept = [i for i, label in enumerate(labels) if label not in ("background", "zzz, qqq")]
    assert len(kept) == len(labels) - 2
    heard = tones(3, 1.0)
    window = round(tiny_conse.WINDOW * RATE)
    expected = []
    for one in heard:
        parts = [one[:window], one[-window:]]  # 1 s: the second window ends with the sound
        expected.append(encoder.scores([Media("audio", array=part, rate=RATE) for part in parts]).max(axis=0)[kept])
    found = teacher.tell(heard)
    assert (teacher.head, teacher.size, teacher.pool) == ("scores", len(kept), "max")
    assert np.abs(found - np.stack(expected)).max() < 1e-6
    assert teacher.classes is not None
    assert np.abs(teacher.classes - encoder.class_vectors("audio")[kept]).max() < 1e-6


class Told(Listener):
    def __init__(self) -> None:
        self.errors: list[tuple[str, str]] = []

    def skipped(self, name: str, reason: str) -> None:
        self.errors.append((name, reason))


def test_sounds_are_gathered_once_and_what_cannot_be_used_is_told(sounds: Path, tmp_path: Path) -> None:
    folder, work = tmp_path / "folder", tmp_path / "work"
    shutil.copytree(sounds, folder)
    work.mkdir()
    shutil.copyfile(folder / "bell_0.wav", folder / "a copy.wav")
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "short.wav", np.ones(100) * 0.5, RATE)
    (folder / "damaged.wav").write_bytes((sounds / "hum_1.wav").read_bytes()[:2000])
    (folder / "words.wav").write_text("words")
    told = Told()
    found = gather(paths(folder), work, told)
    reasons = {Path(name).name: reason for name, reason in told.errors}
    assert reasons.keys() == {"silent.wav", "short.wav", "damaged.wav", "words.wav"}
    assert reasons["silent.wav"] == "is silent" and reasons["short.wav"] == "is shorter than 0.02 s"
    assert all("\n" not in name + reason for name, reason in told.errors)
    assert len(found.paths) == len(set(found.contents)) == len(found.recordings) == COUNT
    for number, path in enumerate(found.paths):
        samples, _ = soundfile.read(path, dtype="float32")
        assert np.abs(found.recordings[number] - samples).max() < 2.5 / 32768
    shutil.rmtree(folder)
    again = gather([], work, told)
    assert again.contents == found.contents


def made_up(names: Sequence[str]) -> Sounds:
    none = Recordings(*(np.zeros(len(names), dtype=kind) for kind in (np.int16, np.int64, np.int64)))
    return Sounds(none, list(names), [Path(name).name for name in names])


def test_a_tenth_is_held_out_with_all_of_its_takes() -> None:
    names = [f"root/{kind}/{kind}_{take}.wav" for kind in WORDS for take in range(3)]
    chosen = held_out(made_up(names))
    assert len(names) / 10 <= chosen.sum() <= len(names) / 10 + 2
    taken = {Path(name).parent.name for name, out in zip(names, chosen, strict=True) if out}
    assert chosen.sum() == 3 * len(taken)
    # Neither the order nor where the folder lies matters.
    moved = [name.replace("root", "elsewhere") for name in names[::-1]]
    assert np.array_equal(held_out(made_up(moved))[::-1], chosen)


WORDS = [f"{a}{b}" for a in "abcdefgh" for b in "klmnopqrst"]


def test_numbers_alone_are_no_takes() -> None:
    assert held_out(made_up([f"{number:03}.wav" for number in range(20)])).sum() == 5
    assert held_out(made_up([f"rec{number:03}.wav" for number in range(200)])).sum() == 20


class Fixed(Encoder):
    """Gives each of the clips, told apart by their length, a vector that is fixed."""

    modalities = frozenset({"audio"})
    audio = embed.load("toy").audio

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = np.array(rows)
        self.space = Space("fixed", "0", "none", self.rows.shape[1])

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float64]:
        return np.stack([self.rows[len(media.array) // 1000 - 1] for media in batch if media.array is not None])


def test_a_comparison_by_hand() -> None:
    clips = [np.full(1000 * (i + 1), 0.1, dtype=np.float32) for i in range(4)]
    teacher = Fixed([[1, 0], [0, 1], [-1, 0], [1, 1]])
    student = Fixed([[2, 0], [1, 0], [-1, 0.1], [0, 0]])  # the last has no direction: it takes no part
    found = compare(student, teacher, clips)
    assert found.files == 3
    assert found.cosine == pytest.approx((1.0 + 0.0 + 1 / np.hypot(1, 0.1)) / 3, abs=1e-6)
    assert found.first == pytest.approx(2 / 3)
    assert found.faster > 0


def test_the_student_of_a_conse_teacher(
    sounds: Path, conse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    original = training._mix

    def watched(*arguments: Any) -> Any:
        shards = original(*arguments)
        told.extend(np.array(shard["told"]) for shard in shards)
        return shards

    monkeypatch.setattr(training, "_mix", watched)
    found = learn(str(conse), sounds, paths(sounds), tmp_path / "student", tiny(), Listener())
    assert found.files == 5
    encoder, teacher = embed.load(f"student:{tmp_path / 'student'}"), embed.load(str(conse))
    assert isinstance(encoder, StudentEncoder) and isinstance(teacher, ConseEncoder)
    settings = encoder.settings
    assert (settings.kind, settings.text, settings.top) == ("scores", "static:text", 3)
    assert (settings.power, settings.correction, settings.pool, settings.window) == (1.0, 0.0, "max", 0.6)
    kept = np.flatnonzero(teacher.class_vectors("audio").any(axis=1))
    vectors, prior = encoder.classes
    assert np.abs(vectors - teacher.class_vectors("audio")[kept]).max() < 1e-3
    assert prior == pytest.approx(np.concatenate(told).mean(axis=0), rel=1e-5)
    # The same scores make the same vector.
    scores = np.random.default_rng(0).random((4, len(teacher.classifiers["audio"].labels))).astype(np.float32)
    monkeypatch.setattr(teacher, "scores", lambda batch: scores)
    expected = teacher.encode_batch([Media("audio", array=one, rate=RATE) for one in tones(4, 0.5)])
    composed = encoder.compose(scores[:, kept])
    cosines = (expected * composed).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(composed, axis=1)
    assert cosines.min() > 0.99999
    texts = [Media.from_text("a dog barking")]
    assert np.array_equal(embed.encode(encoder, texts).array, embed.encode(teacher, texts).array)


class Killed(Exception):
    pass


class Killing(Listener):
    """Ends a run when a phase has come so far."""

    def __init__(self, phase: str, count: int) -> None:
        self.wanted, self.count, self.now, self.at = phase, count, "", 0

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        self.now, self.at = name, 0
        if (name, 0) == (self.wanted, self.count):
            raise Killed

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        self.at += count
        if self.now == self.wanted and self.at >= self.count:
            raise Killed


def test_a_killed_run_goes_on_to_the_same_student(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SHARD", 10)
    monkeypatch.setattr(training, "AT_ONCE", 3)
    monkeypatch.setattr(network, "CHECKPOINT_EVERY", 4)
    monkeypatch.setattr(network, "REPORT_EVERY", 3)

    def run(output: str, listener: Listener, **changes: Any) -> Comparison:
        return learn("toy:8", sounds, paths(sounds), tmp_path / output, tiny(**changes), listener)

    whole = run("whole", Listener())
    for phase, count in (("sounds", 7), ("mixtures", 14), ("teaching", 6), ("comparing", 0)):
        with pytest.raises(Killed):
            run("killed", Killing(phase, count))
        assert [path.name for path in tmp_path.iterdir() if "killed" in path.name] == [".killed.work"]
    drawn = len(list((tmp_path / ".killed.work").glob("mixtures-*.npy")))
    assert drawn == 3
    with pytest.raises(UsageError, match=r"another steps \(10, not 11\).*delete that folder"):
        run("killed", Listener(), steps=11)
    again = run("killed", Listener())
    assert (again.files, again.cosine, again.first) == (whole.files, whole.cosine, whole.first)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
    run("other", Listener(), seed=1)
    assert files(tmp_path / "other")["audio.onnx"] != files(tmp_path / "whole")["audio.onnx"]


def test_it_learns_what_its_teacher_says(sounds: Path, tmp_path: Path) -> None:
    before = learn("toy:8", sounds, paths(sounds), tmp_path / "one", tiny(steps=1), Listener())
    after = learn("toy:8", sounds, paths(sounds), tmp_path / "many", tiny(mixtures=100, steps=80), Listener())
    assert after.cosine > 0.75 > 0.25 > before.cosine


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    return exit_code(monkeypatch, "train", "student", *arguments)


def test_the_command(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sounds, "sounds/deep")
    Path("sounds/words.wav").write_text("words")
    Path("sounds/words.txt").write_text("words")
    given = ("--teacher", "toy:8", "--media", "sounds", "-o", "student", "--mixtures", "12", "--steps", "1")
    assert command(monkeypatch, *given) == 0
    shown = capsys.readouterr()
    size, held, use = shown.out.splitlines()
    assert size.startswith("student: ") and size.endswith("times as fast as its teacher")
    assert held.startswith("5 sounds that were held out: cosine to the teacher ") and held.endswith("(chance 20%)")
    assert use == "use it: analogon index sounds --encoder student:student"
    assert [line for line in shown.err.splitlines() if line.startswith("skipped ")] == [
        next(line for line in shown.err.splitlines() if line.startswith("skipped sounds/words.wav: "))
    ]
    assert f"{COUNT - 5} sounds to learn on: about " in shown.err
    encoder = embed.load("student:student")
    assert encoder.space.dim == 8 and encoder.audio == embed.load("toy:8").audio
    embed.encode(encoder, [Media.from_path(paths(sounds)[0])])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sounds", "student"]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("--teacher", "toy", "--media", "nowhere", "-o", "new"), 2, "nowhere: no such folder"),
        (("--teacher", "toy", "--media", "texts", "-o", "new"), 2, "texts holds no sounds"),
        (("--teacher", "toy", "--media", "few", "-o", "new"), 2, "3 different sounds can be used; a student needs at"),
        (("--teacher", "toy", "--media", "few", "-o", "texts"), 2, "texts is there already"),
        (("--teacher", "toy", "--media", "few", "-o", "new", "--steps", "0"), 2, "at least 1"),
        (("--teacher", "nothing", "--media", "few", "-o", "new"), 3, "no encoder family 'nothing'"),
        (("--teacher", "TEXT", "--media", "few", "-o", "new"), 2, "encodes text; a teacher encodes audio and text"),
        (("--teacher", "toy", "--media", "few", "-o", "texts/a.txt/new"), 3, "Not a directory"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    sounds: Path,
    conse: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("words")
    Path("few").mkdir()
    for path in paths(sounds)[:3]:
        shutil.copy(path, "few")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    given = [f"static:{conse.parent / 'text'}" if one == "TEXT" else one for one in arguments]
    assert command(monkeypatch, *given) == code
    shown = [one for one in capsys.readouterr().err.splitlines() if one.startswith("analogon: ")]
    assert len(shown) == 1 and line in shown[0]
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_missing_package_names_its_extra(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert command(monkeypatch, "--teacher", "toy", "--media", str(sounds), "-o", str(tmp_path / "new")) == 3
    assert "needs the package onnx: pip install 'analogon[train]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
