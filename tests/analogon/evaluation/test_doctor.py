"""The doctor: healthy encoders pass, and each kind of illness is caught by the check that is made for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from analogon.evaluation.doctor import Check, Diagnosis, examine
from analogon.phrases import PROBES
from analogon.search.library import Library
from embed import Encoder, Media, load
from embed.encoder import AudioInput
from embed.errors import MediaError
from embed.space import Space, unit
from indexes.build import Plan, build
from indexes.collection import Collection
from tests import sounds
from tests.embed.encoders import tiny_clap, tiny_clip

TABLE = {"family": "toy", "model": "16"}


class Patient(Encoder):
    """The toy encoder with something done to its rows."""

    def __init__(self, ill: Callable[[Sequence[Media], npt.NDArray[Any]], Any], *modalities: Any) -> None:
        self.inner = load("toy:16")
        self.space, self.audio, self.video = self.inner.space, self.inner.audio, self.inner.video
        self.modalities = frozenset(modalities or ("text", "audio"))
        self.ill = ill

    def encode_batch(self, batch: Sequence[Media]) -> Any:
        return self.ill(batch, self.inner.encode_batch(batch))


def checks(diagnosis: Diagnosis) -> dict[str, Check]:
    found = {check.name: check for check in diagnosis.checks}
    assert len(found) == len(diagnosis.checks)
    assert all("\n" not in check.message for check in diagnosis.checks)
    json.dumps([(check.name, check.ok, check.value, check.message) for check in diagnosis.checks], allow_nan=False)
    return found


def failing(encoder: Encoder, **options: Any) -> dict[str, str]:
    diagnosis = examine(encoder, seconds=0.0, **options)
    found = {name: check.message for name, check in checks(diagnosis).items() if check.ok is False}
    assert diagnosis.ok is (not found)
    return found


def test_the_toy_is_healthy() -> None:
    diagnosis = examine(load("toy:16"), seconds=0.0, files=500)
    found = checks(diagnosis)
    assert diagnosis.ok and {check.ok for check in diagnosis.checks} == {True}
    names = ("values", "spread", "repeats", "speed")
    assert list(found) == [f"{side} {name}" for side in ("audio", "image", "text", "video") for name in names]
    assert diagnosis.rows()[0] == ("ok", "audio values", found["audio values"].message)
    rows = unit(load("toy:16").encode_batch([Media.from_text(phrase) for phrase in PROBES])).astype(np.float64)
    cosines = rows @ rows.T
    expected = cosines[~np.eye(len(rows), dtype=bool)].mean()
    assert len(rows) == 40 and found["text spread"].value == pytest.approx(expected, abs=1e-9)
    rate = found["audio speed"].value
    assert rate is not None and rate > 0
    assert (
        f"{rate:,.1f} sounds a second" in found["audio speed"].message and "; 500 take" in found["audio speed"].message
    )


def constant(batch: Sequence[Media], rows: npt.NDArray[Any]) -> Any:
    return np.ones_like(rows) + 1e-3 * rows


@pytest.mark.parametrize(
    ("ill", "name", "words"),
    [
        (lambda batch, rows: rows - rows.mean(axis=0) * (len(batch) > 1), "repeats", "depends on the other members"),
        (lambda batch, rows: rows + np.random.default_rng().normal(size=rows.shape), "repeats", "each time"),
        (lambda batch, rows: np.sort(rows, axis=0), "repeats", "depends on the other members"),
        (constant, "spread", "nearly the same vector to everything"),
        (lambda batch, rows: rows * 0, "values", "weights of its text side are zeroed or missing"),
        (lambda batch, rows: rows[:, :8], "values", "array of shape (1, 8) for 1 inputs; its space wants (1, 16)"),
        (lambda batch, rows: rows[0], "values", "array of shape (16,)"),
        (lambda batch, rows: rows * np.nan, "values", "not finite (NaN or infinite) for 40 of 40 texts"),
        (lambda batch, rows: 1 / 0, "values", "ZeroDivisionError: division by zero"),
        (lambda batch, rows: rows if len(batch) == 1 else 1 / 0, "repeats", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_ill_text_side_is_caught_by_its_own_check(ill: Any, name: str, words: str) -> None:
    found = failing(Patient(ill, "text"))
    assert words in found[f"text {name}"]
    assert name == "repeats" or len(found) == 1
    assert {"text repeats", "text speed"} >= set(found) - {f"text {name}"}


def test_nan_for_silence_is_caught_and_named() -> None:
    def ill(batch: Sequence[Media], rows: npt.NDArray[Any]) -> Any:
        quiet = [media.array is not None and not media.array.any() for media in batch]
        return np.where(np.array(quiet)[:, None], np.nan, rows)

    assert failing(Patient(ill)) == {
        "audio values": "vectors that are not finite (NaN or infinite) for 1 of 14 sounds: silence"
    }


def test_refusing_silence_is_worth_a_note_only() -> None:
    def picky(batch: Sequence[Media], rows: npt.NDArray[Any]) -> Any:
        if any(media.array is not None and not media.array.any() for media in batch):
            raise MediaError("it", "is silent")
        return rows

    diagnosis = examine(Patient(picky), seconds=0.0)
    assert diagnosis.ok and checks(diagnosis)["audio values"].ok is None
    assert "1 of 14 sounds: silence" in checks(diagnosis)["audio values"].message


def test_close_vectors_are_worth_a_note_only() -> None:
    diagnosis = examine(Patient(lambda batch, rows: rows + 2.4, "text"), seconds=0.0)
    spread = checks(diagnosis)["text spread"]
    assert spread.ok is None and spread.value is not None and 0.9 < spread.value < 0.98
    assert diagnosis.ok


class Unprepared(Patient):
    def prepare(self, media: Media) -> Media:
        raise OSError("no\nway")


def test_an_encoder_that_throws_anywhere_fails_in_one_line() -> None:
    found = failing(Unprepared(lambda batch, rows: rows))
    assert set(found) == {"text values", "audio values"}
    assert "OSError: no way" in found["audio values"]
    deaf = Patient(lambda batch, rows: rows)
    deaf.audio = None
    assert failing(deaf) == {"audio values": "cannot be fed: AssertionError: has no AudioInput"}


def reload(name: str, *zeroed: str) -> Encoder:
    """A tiny checkpoint with some weights set to zero, saved and loaded as any other."""
    from safetensors.torch import load_file, save_file

    path = Path(name.partition(":")[2]) / "model.safetensors"
    weights = load_file(path)
    hit = [key for key in weights if key.startswith(zeroed)]
    assert hit
    for key in hit:
        weights[key].zero_()
    save_file(weights, path, metadata={"format": "pt"})
    return load(name)


def test_a_clip_with_a_zeroed_text_projection(tmp_path: Path) -> None:
    found = failing(reload(tiny_clip.build(tmp_path), "text_projection"))
    assert set(found) == {"text values"}
    assert "40 of 40 texts" in found["text values"] and "text side are zeroed" in found["text values"]


def test_a_clap_with_a_zeroed_text_projection_and_a_healthy_one(tmp_path: Path) -> None:
    name = tiny_clap.build(tmp_path)
    assert failing(load(name)) == {}
    found = failing(reload(name, "text_projection.linear1.weight", "text_projection.linear2.weight"))
    assert set(found) == {"text spread"}
    assert "mean cosine 1.0000" in found["text spread"] and "ranks at random" in found["text spread"]


class Crowded(Encoder):
    """A real checkpoint, its rows centred by their batch's mean."""

    def __init__(self, inner: Encoder) -> None:
        self.inner, self.space, self.modalities, self.audio = inner, inner.space, inner.modalities, inner.audio

    def prepare(self, media: Media) -> Media:
        return self.inner.prepare(media)

    def encode_batch(self, batch: Sequence[Media]) -> Any:
        rows = self.inner.encode_batch(batch)
        return rows - 0.05 * rows.mean(axis=0)


def test_a_clip_that_depends_on_its_batch(tmp_path: Path) -> None:
    found = failing(Crowded(load(tiny_clip.build(tmp_path))))
    assert set(found) == {"image repeats", "text repeats"}
    assert "depends on the other members of its batch" in found["image repeats"]


@pytest.fixture
def indexed(tmp_path: Path) -> Any:
    sounds.folder(tmp_path / "sounds", 6)
    (tmp_path / "sounds" / "words.txt").write_text("rain on a tin roof\n")
    with Collection.create(tmp_path / "collection") as collection:
        build(collection, [(load("toy:16"), TABLE)], Plan(paths=(str(tmp_path / "sounds"),)))
        yield collection


def test_what_is_stored_is_compared_with_what_the_encoder_gives(indexed: Collection, tmp_path: Path) -> None:
    encoder = load("toy:16")
    diagnosis = examine(encoder, library=Library(indexed), seconds=0.0)
    found = checks(diagnosis)
    assert diagnosis.ok
    assert found["audio stored"].message.startswith("5 items encoded again match")
    assert found["text stored"].message.startswith("1 items encoded again match")
    assert found["audio stored"].value == pytest.approx(1.0, abs=1e-6)
    store = indexed.catalog.store(encoder.space.id, "audio")
    assert store is not None and f"; {store.rows} take" in found["audio speed"].message

    other = Patient(lambda batch, rows: rows[:, ::-1] ** 2)  # the same name and hash, other vectors
    ill = failing(other, library=Library(indexed))
    assert set(ill) == {"audio stored", "text stored"}
    assert "between what is stored and what the encoder gives now" in ill["audio stored"]

    for path in (tmp_path / "sounds").rglob("*.wav"):
        sounds.write(path, 99)
    stored = checks(examine(encoder, library=Library(indexed), seconds=0.0))["audio stored"]
    assert stored.ok is None and "nothing to compare" in stored.message


def test_an_encoder_of_another_space_is_told_with_both(indexed: Collection) -> None:
    found = failing(load("toy:8"), library=Library(indexed))
    assert set(found) == {"collection"}
    assert "toy:16 (16-d" in found["collection"] and "toy:8 (8-d" in found["collection"]


def test_healthy_real_encoders_pass(shared: Path) -> None:
    models = shared / "models"
    assert failing(load(f"static:{models / 'potion-base-4m-int8'}")) == {}
    pytest.importorskip("ai_edge_litert", reason="TFLite classifiers need the extra tflite")
    table = {
        "family": "conse",
        "text": f"static:{models / 'potion-base-4m-int8'}",
        "audio": f"tflite:{models / 'yamnet' / 'yamnet.tflite'}",
        "audio_labels": str(models / "yamnet" / "yamnet_class_map.csv"),
        "image": f"tflite:{models / 'mobilenet-v2' / 'mobilenet_v2_1.0_224_quant.tflite'}",
        "image_labels": str(models / "mobilenet-v2" / "labels.txt"),
    }
    diagnosis = examine(load(table), seconds=0.0)
    assert diagnosis.ok, diagnosis.rows()
    for name, limit in (("audio spread", 0.9), ("image spread", 0.9), ("text spread", 0.1)):
        value = checks(diagnosis)[name].value
        assert value is not None and value < limit, (name, value)


def test_a_space_without_a_window_is_given_short_sounds() -> None:
    whole = Patient(lambda batch, rows: rows, "audio")
    whole.audio = AudioInput(rate=8000, window=None)
    whole.space = Space("whole", "none", "whole", 16)
    assert failing(whole) == {}
