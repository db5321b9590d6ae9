"""The student family against torch, and against ConSE written out by hand."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

import embed
from embed import Media
from embed.encoders.student import StudentEncoder
from embed.errors import EncoderError
from tests.embed.encoders import tiny_static, tiny_student
from tests.embed.encoders.tiny_student import CLASSES, DIM, FRAMES, MEL, STEP


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("student")
    tiny_student.build(made)
    return made


def loaded(folder: Path, **changes: Any) -> StudentEncoder:
    """The student of a folder, with some settings changed."""
    file = folder / "student.json"
    before = file.read_text()
    try:
        file.write_text(json.dumps(json.loads(before) | changes))
        encoder = embed.load(f"student:{folder}")
    finally:
        file.write_text(before)
    assert isinstance(encoder, StudentEncoder)
    return encoder


def noise(seconds: float, seed: int = 0) -> Media:
    """Louder and louder, so that its windows differ."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * MEL.rate)) * 0.1
    samples *= np.linspace(0.1, 3.0, len(samples))
    return Media("audio", array=samples.astype(np.float32), rate=MEL.rate)


def run(path: Path, mels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import onnxruntime

    told: npt.NDArray[np.float32] = onnxruntime.InferenceSession(str(path)).run(None, {"mels": mels})[0]
    return told


def by_torch(student: Any, head: str, mels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        told = student.heads[head](student.windows(torch.from_numpy(mels)))
        return np.asarray((torch.sigmoid(told) if head == "scores" else told).numpy())


def rounded(student: Any) -> Any:
    """A copy whose convolutions hold what their normalisations do, in half precision."""
    import torch

    made = copy.deepcopy(student)
    network = made.network
    pairs = [(network.stem, network.stem_norm), (network.last, network.last_norm)]
    for block in network.blocks:
        pairs += [(block.depth, block.depth_norm), (block.point, block.point_norm)]
    with torch.no_grad():
        for layer, norm in pairs:
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias.copy_(norm.bias - norm.running_mean * scale)
            layer.weight.copy_((layer.weight * scale[:, None, None, None]).half().float())
            norm.weight.fill_(1.0)
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)
        for layer in made.heads.values():
            layer.weight.copy_(layer.weight.half().float())
    return made


@pytest.mark.parametrize("head", ["scores", "vector"])
def test_what_is_exported_says_what_torch_says(tmp_path: Path, head: str) -> None:
    from embed.training.export import export

    student = tiny_student.network(head, DIM)
    export(student, head, tmp_path / "audio.onnx")
    mels = (np.random.default_rng(0).standard_normal((3, 7 * STEP, MEL.bins)) * 2.0 - 3.0).astype(np.float32)
    found = run(tmp_path / "audio.onnx", mels)
    assert found.shape == (3, 6, DIM)
    assert np.abs(found - by_torch(rounded(student), head, mels)).max() < 1e-5 * max(1.0, np.abs(found).max())
    exact = by_torch(student, head, mels)
    cosines = (found * exact).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(exact, axis=-1)
    assert cosines.min() >= 0.9999
    assert found.std(axis=(0, 1)).max() > 0.05  # it does not say the same of everything


def test_windows_of_a_long_part_are_those_of_its_cuts_away_from_the_edges(folder: Path) -> None:
    mels = (np.random.default_rng(1).standard_normal((1, 20 * STEP, MEL.bins)) * 2.0 - 3.0).astype(np.float32)
    whole = run(folder / "audio.onnx", mels)[0]
    cut = run(folder / "audio.onnx", mels[:, 5 * STEP : 15 * STEP])[0]
    # The first layer sees 3 frames to each side, the next ones 4, 4, 8: less than two steps of a window.
    assert 2 * STEP > 3 + 4 + 4 + 8
    assert np.abs(cut[2:-2] - whole[7:12]).max() < 1e-5
    assert np.abs(cut[0] - whole[5]).max() > 1e-3


@pytest.mark.parametrize(
    ("samples", "windows"),
    [
        (1, 1),
        (MEL.samples(FRAMES), 1),
        (MEL.samples(FRAMES) + 1, 2),
        (MEL.samples(FRAMES + STEP), 2),
        (MEL.samples(FRAMES + STEP) + 1, 3),
    ],
)
def test_every_sample_lies_in_a_window(folder: Path, samples: int, windows: int) -> None:
    encoder = loaded(folder)
    given = np.full(samples, 0.25, dtype=np.float32)
    prepared = encoder.prepare(Media("audio", array=given, rate=MEL.rate))
    assert prepared.array is not None
    padded = np.zeros(MEL.samples(FRAMES + (windows - 1) * STEP), dtype=np.float32)
    padded[:samples] = given
    assert np.array_equal(prepared.array, MEL(padded))
    assert encoder.windows(prepared).shape == (windows, CLASSES)


@pytest.mark.parametrize(("pool", "join"), [("max", np.max), ("mean", np.mean)])
def test_scores_of_windows_are_joined(folder: Path, pool: str, join: Any) -> None:
    encoder = loaded(folder, pool=pool)
    parts = [encoder.prepare(noise(seconds, seed)) for seed, seconds in enumerate((0.6, 0.2, 0.5))]
    expected = np.stack([join(encoder.windows(part), axis=0) for part in parts])
    assert len(encoder.windows(parts[0])) > 2
    assert np.abs(encoder.scores(parts) - expected).max() < 1e-6


def test_vectors_of_windows_are_averaged(tmp_path: Path) -> None:
    encoder = embed.load(tiny_student.build(tmp_path, "vector"))
    assert isinstance(encoder, StudentEncoder)
    part = encoder.prepare(noise(0.6))
    mean = run(tmp_path / "audio.onnx", np.asarray(part.array)[None])[0].mean(axis=0)
    (vector,) = embed.encode(encoder, [noise(0.6)]).array
    assert np.abs(vector - mean / np.linalg.norm(mean)).max() < 1e-5


@pytest.mark.parametrize(("top", "power", "correction"), [(4, 1.0, 0.0), (3, 0.75, 0.5), (1, 2.0, 1.0), (99, 0.5, 0.3)])
def test_scores_become_a_vector_as_in_conse(folder: Path, top: int, power: float, correction: float) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(folder / "classes.safetensors")
    encoder = loaded(folder, top=top, power=power, correction=correction)
    scores = np.random.default_rng(2).random((5, CLASSES)).astype(np.float32)
    for row, found in zip(scores, encoder.compose(scores), strict=True):
        weighed = [(float(s) / float(p) ** correction) ** power for s, p in zip(row, tensors["prior"], strict=True)]
        best = sorted(range(CLASSES), key=lambda one: -weighed[one])[:top]
        expected = np.zeros(DIM)
        for one in best:
            vector = tensors["vectors"][one].astype(np.float64)
            expected += weighed[one] * vector / np.linalg.norm(vector)
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_texts_are_those_of_the_table(folder: Path) -> None:
    texts = [Media.from_text(text) for text in ("a dog barking", "rain on the roof")]
    ours, theirs = embed.encode(loaded(folder), texts), embed.encode(embed.load(f"static:{folder / 'text'}"), texts)
    assert np.array_equal(ours.array, theirs.array)


def test_the_table_beside_it_goes_before_one_where_a_person_stands(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").mkdir()
    tiny_static.build(tmp_path / "text", "int8")
    space = loaded(folder).space
    monkeypatch.chdir(tmp_path)
    assert loaded(folder).space == space


def test_texts_may_be_encoded_by_any_encoder_that_a_table_describes(tmp_path: Path) -> None:
    encoder = embed.load(
        tiny_student.build(tmp_path, "vector", text={"family": "toy", "model": str(DIM), "window": 2.0})
    )
    texts = [Media.from_text("a dog barking")]
    assert np.array_equal(embed.encode(encoder, texts).array, embed.encode(embed.load(f"toy:{DIM}"), texts).array)
    assert encoder.space.dim == DIM


def test_other_windows(folder: Path) -> None:
    encoder = embed.load({"family": "student", "model": str(folder), "window": 0.5, "hop": 0.1})
    assert encoder.audio is not None and (encoder.audio.window, encoder.audio.hop) == (0.5, 0.1)
    assert encoder.space != embed.load(f"student:{folder}").space


def save_classes(folder: Path, vectors: tuple[int, ...], prior: npt.NDArray[np.float32], name: str = "prior") -> None:
    from safetensors.numpy import save_file

    tensors = {"vectors": np.ones(vectors, dtype=np.float32), name: prior}
    save_file(tensors, folder / "classes.safetensors")


def with_settings(**changes: Any) -> Any:
    def change(folder: Path) -> None:
        file = folder / "student.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


ONES = np.ones(CLASSES, dtype=np.float32)
WITHOUT = np.where(np.arange(CLASSES) == 3, np.float32(0), ONES)
BAD = {
    "no settings": (lambda folder: (folder / "student.json").unlink(), "holds no student.json"),
    "no network": (lambda folder: (folder / "audio.onnx").unlink(), "holds no audio.onnx"),
    "no classes": (lambda folder: (folder / "classes.safetensors").unlink(), "classes.safetensors: No such file"),
    "not json": (lambda folder: (folder / "student.json").write_text("{"), "student.json: not readable as JSON"),
    "later format": (with_settings(format=2), "student.json: not of format 1"),
    "unknown field": (with_settings(colour="red"), "does not describe a student: .*colour"),
    "unknown mel field": (with_settings(mel={"rates": 1}), "does not describe a student: .*rates"),
    "unknown kind": (with_settings(kind="smell"), "does not describe a student"),
    "unknown pool": (with_settings(pool="sum"), "does not describe a student"),
    "no frames": (with_settings(frames=0), "does not describe a student"),
    "frames in words": (with_settings(frames="many"), "does not describe a student"),
    "text in numbers": (with_settings(text=5), "does not name an encoder"),
    "no such text": (with_settings(text="static:elsewhere"), "elsewhere"),
    "text without texts": (with_settings(text="speaker:resemblyzer"), "encodes no texts"),
    "network of words": (lambda folder: (folder / "audio.onnx").write_text("words"), "audio.onnx: not a network"),
    "empty network": (lambda folder: (folder / "audio.onnx").write_bytes(b""), "audio.onnx: not a network"),
    "other bands": (with_settings(mel=MEL.to_config() | {"bins": 64}), "audio.onnx: takes 32 bands .* wants 64"),
    "other kind": (with_settings(kind="vector"), "gives 12 values; student.json wants 32 and 24"),
    "other classes": (lambda folder: save_classes(folder, (13, DIM), np.ones(13, np.float32)), "wants 32 and 13"),
    "other prior": (lambda folder: save_classes(folder, (CLASSES, DIM), ONES[1:]), r"prior \(11,\) do not fit"),
    "other dimensions": (lambda folder: save_classes(folder, (CLASSES, 7), ONES), "do not fit texts of 24"),
    "no prior": (lambda folder: save_classes(folder, (CLASSES, DIM), ONES, "before"), "not the classes of a student"),
    "prior of 0": (lambda folder: save_classes(folder, (CLASSES, DIM), WITHOUT), "above 0"),
    "prior that is none": (lambda folder: save_classes(folder, (CLASSES, DIM), ONES * np.float32("nan")), "above 0"),
    "classes of words": (lambda folder: (folder / "classes.safetensors").write_text("words"), "not the classes of"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path, what: str) -> None:
    name = tiny_student.build(tmp_path)
    spoil, line = BAD[what]
    spoil(tmp_path)
    with pytest.raises(EncoderError, match=line) as caught:
        embed.encode(embed.load(name), [noise(0.3)])
    assert "\n" not in str(caught.value)


def test_neither_side_imports_torch_or_transformers(folder: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.asarray(noise(0.7).array).clip(-1, 1), MEL.rate)
    code = (
        "import sys, embed; from embed import Media\n"
        "encoder = embed.load(sys.argv[1])\n"
        "embed.encode(encoder, [Media.from_text('a dog')])\n"
        "assert not {'onnxruntime'} & set(sys.modules), 'a text has loaded the ear'\n"
        "embed.encode(encoder, [Media.from_path(sys.argv[2])])\n"
        "assert 'onnxruntime' in sys.modules\n"
        "heavy = {'torch', 'transformers', 'onnx', 'sklearn', 'faiss'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, f"student:{folder}", str(tmp_path / "a.wav")], check=True)
