"""laion_clap against a ``ClapModel`` whose weights were saved under LAION's names.

benchmarks/laion_clap_reference.py compares it with the package laion-clap itself; so does the last test, where that
package is installed, with NumPy 1.26 then.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

import embed
from embed import Media
from embed.encoders.laion_clap import LaionClapEncoder
from embed.errors import EncoderError, ModelNotFound, UsageError
from tests.embed.encoders import tiny, tiny_laion_clap

RATE = 48000
TEXTS = ["a dog barking", "rain on the tin roof", "", "siren bell piano " * 60]


def sounds() -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(4)
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    made = [rng.standard_normal(10 * RATE) * 0.1, 3 * tone, 1e-3 * tone, np.zeros(1000), rng.standard_normal(40) * 0.3]
    return [np.asarray(one, dtype=np.float32) for one in made]


def quantised(wave: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """laion-clap's float32_to_int16 and back."""
    return ((np.clip(wave, -1.0, 1.0) * 32767.0).astype(np.int16) / 32767.0).astype(np.float32)


def encode(encoder: embed.Encoder, waves: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return embed.encode(encoder, [Media("audio", array=wave, rate=RATE) for wave in waves]).array


@pytest.mark.parametrize("fused", [False, True], ids=["unfused", "fused"])
@pytest.mark.parametrize("depths", [(1, 1), (2, 1, 2)], ids=str)
def test_both_towers_equal_the_model_that_was_saved(tmp_path: Path, fused: bool, depths: tuple[int, ...]) -> None:
    from transformers import ClapFeatureExtractor

    model = tiny_laion_clap.model(fused, depths)
    encoder = embed.load(tiny_laion_clap.save(tmp_path, tiny_laion_clap.laion_state(model)))
    tokens = tiny.byte_level_bpe()(TEXTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    extractor = ClapFeatureExtractor(frequency_min=50, truncation="fusion" if fused else "rand_trunc")
    with torch.inference_mode():
        text = model.get_text_features(**tokens).pooler_output.numpy()
        audio = []
        for wave in sounds():
            features = extractor(quantised(wave), sampling_rate=RATE, return_tensors="pt")
            audio.append(model.get_audio_features(features["input_features"], torch.tensor([[False]])).pooler_output[0])
    found = embed.encode(encoder, [Media.from_text(text) for text in TEXTS]).array
    np.testing.assert_allclose(found, text, atol=1e-5)
    np.testing.assert_allclose(encode(encoder, sounds()), torch.stack(audio).numpy(), atol=1e-5)
    for rows in (text, torch.stack(audio).numpy()):
        assert (rows @ rows.T)[np.triu_indices(len(rows), 1)].min() < 0.99, "the model should tell inputs apart"


def test_sixteen_bits_matter(tmp_path: Path) -> None:
    encoder = embed.load(tiny_laion_clap.build(tmp_path))
    rng = np.random.default_rng(0)
    wave = (rng.standard_normal(RATE) * 1e-4).astype(np.float32)
    np.testing.assert_allclose(encode(encoder, [wave]), encode(encoder, [quantised(wave)]), atol=1e-6)
    below = np.full(RATE, 0.9 / 32767, np.float32)
    np.testing.assert_array_equal(encode(encoder, [below]), encode(encoder, [np.zeros(RATE, np.float32)]))


def test_a_bare_state_dict_in_either_file_format_is_the_same_model(tmp_path: Path) -> None:
    state = tiny_laion_clap.laion_state(tiny_laion_clap.model())
    expected = encode(embed.load(tiny_laion_clap.save(tmp_path, state)), sounds()[:2])
    for zipped in (True, False):
        torch.save(state, tmp_path / "bare.pt", _use_new_zipfile_serialization=zipped)
        found = encode(embed.load(f"laion_clap:{tmp_path / 'bare.pt'}"), sounds()[:2])
        np.testing.assert_array_equal(found, expected)


def test_what_training_left_in_the_file_is_read_as_data(tmp_path: Path) -> None:
    state = tiny_laion_clap.laion_state(tiny_laion_clap.model())
    left = {"a": np.float32(1), "b": np.int64(2), "c": [np.bool_(True)], "optimizer": {"lr": np.float64(0.1)}}
    encode(embed.load(tiny_laion_clap.save(tmp_path, state, **left)), sounds()[:1])


class Code:
    """What a hostile pickle holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_the_file_is_not_run(tmp_path: Path) -> None:
    state = tiny_laion_clap.laion_state(tiny_laion_clap.model())
    name = tiny_laion_clap.save(tmp_path, state, more=Code(tmp_path / "made"))
    with pytest.raises(EncoderError, match="not a checkpoint of plain weights") as caught:
        encode(embed.load(name), sounds()[:1])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio_branch.conv_block1.conv1.weight": torch.zeros(1)}, r"conv_block1\.conv1\.weight has no place"),
        ({"text_branch.extra.weight": torch.zeros(1)}, r"text_model\.extra\.weight"),
        ({"audio_branch.bn0.weight": None}, r"batch_norm\.weight"),
        ({"audio_branch.patch_embed.proj.weight": None}, r"patch_embed\.proj\.weight"),
        ({"text_projection.0.weight": torch.zeros(3, 3)}, "size mismatch"),
        ({"text_branch.embeddings.word_embeddings.weight": torch.zeros(9, 128)}, "tokens are not the 9"),
    ],
    ids=["PANN", "unexpected", "missing", "no patches", "shape", "vocabulary"],
)
def test_what_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    state = tiny_laion_clap.laion_state(tiny_laion_clap.model()) | change
    encoder = embed.load(tiny_laion_clap.save(tmp_path, {k: v for k, v in state.items() if v is not None}))
    with pytest.raises(EncoderError, match=message) as caught:
        embed.encode(encoder, [Media.from_text("a dog")])
        encode(encoder, sounds()[:1])
    assert "\n" not in str(caught.value)


def test_text_loads_the_text_tower_alone(tmp_path: Path) -> None:
    encoder = embed.load(tiny_laion_clap.build(tmp_path))
    assert isinstance(encoder, LaionClapEncoder)
    assert not any(tower.loaded for tower in encoder.towers.values()) and "_tokenizer" not in vars(encoder)
    embed.encode(encoder, [Media.from_text("a dog")])
    assert not encoder.towers["audio"].loaded


def test_the_tokenizer_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [Media.from_text(text) for text in TEXTS]
    beside = embed.load(tiny_laion_clap.build(tmp_path))
    expected = embed.encode(beside, texts).array
    (tmp_path / "roberta").mkdir()
    for file in list(tmp_path.glob("*.json")):
        shutil.move(file, tmp_path / "roberta" / file.name)
    table = {"family": "laion_clap", "model": str(tmp_path / "checkpoint.pt")}
    elsewhere = embed.load(table | {"tokenizer": str(tmp_path / "roberta")})
    assert elsewhere.space == beside.space
    np.testing.assert_array_equal(embed.encode(elsewhere, texts).array, expected)

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(ModelNotFound, match="roberta-base: the tokenizer is neither on disk nor on the hub; name a"):
        embed.load(table)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match="empty: holds no tokenizer"):
        embed.load(table | {"tokenizer": str(tmp_path / "empty")})


def offline(*_: object, **__: object) -> None:
    raise ConnectionError


def test_windows_are_at_most_ten_seconds(tmp_path: Path) -> None:
    name = tiny_laion_clap.build(tmp_path)
    table = {"family": "laion_clap", "model": name.partition(":")[2]}
    with pytest.raises(UsageError, match="at most 10 s"):
        embed.load(table | {"window": 12.0})
    assert embed.load(table | {"window": 5.0}).space != embed.load(name).space


@pytest.mark.skipif(importlib.util.find_spec("laion_clap") is None, reason="laion-clap is not installed")
def test_the_vectors_are_those_of_the_package_laion_clap(tmp_path: Path) -> None:
    """Of its HTSAT-tiny and RoBERTa at their real sizes, weights from a seed: measured 2.4e-7 and 8.4e-7."""
    script = Path(__file__).parents[3] / "benchmarks" / "laion_clap_reference.py"
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\w+) +largest difference ([\d.e-]+)", done.stdout, re.M)
    assert [name for name, _ in found] == ["text", "audio", "batch"]
    assert all(float(difference) < 5e-6 for _, difference in found), found
