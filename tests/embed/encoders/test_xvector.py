"""xvector against transformers' own extractor and model, one recording at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from embed import Media, encode, load
from embed.errors import EncoderError, MediaError, ModelNotFound
from tests.embed.encoders import tiny_xvector

LENGTHS = (16000, 24000, 16000, 20011, 1300)
GROUP: dict[str, Any] = {"feat_extract_norm": "group"}
LAYER: dict[str, Any] = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}


def clip(samples: np.ndarray) -> Media:
    return Media("audio", array=samples.astype(np.float32), rate=16000)


def noises(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    made = [rng.normal(0.1, 0.1 * (1 + i), n) * np.sin(np.arange(n) / (3 + i)) for i, n in enumerate(lengths)]
    return [wave.astype(np.float32) for wave in made]


def expected(folder: Path, kind: str, waves: list[np.ndarray]) -> np.ndarray:
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    model = getattr(transformers, f"{kind}ForXVector").from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        rows = [model(**extractor(wave, sampling_rate=16000, return_tensors="pt")).embeddings[0] for wave in waves]
    return torch.nn.functional.normalize(torch.stack(rows), dim=1).numpy()


@pytest.mark.parametrize("norm", [GROUP, LAYER], ids=["group", "layer"])
@pytest.mark.parametrize("kind", ["WavLM", "Wav2Vec2", "UniSpeechSat"])
def test_vectors_are_transformers_own(tmp_path: Path, kind: str, norm: dict[str, Any]) -> None:
    encoder = load(tiny_xvector.build(tmp_path, kind, **norm))
    waves = noises(*LENGTHS)
    given = encode(encoder, [clip(wave) for wave in waves], batch_size=5).array
    np.testing.assert_allclose(given, expected(tmp_path, kind, waves), atol=1e-5)
    assert (given @ given.T)[np.triu_indices(5, 1)].max() < 0.999, "the model should tell the inputs apart"


@pytest.mark.parametrize("weighted", [False, True])
def test_the_checkpoints_own_settings_count(tmp_path: Path, weighted: bool) -> None:
    raw = load(tiny_xvector.build(tmp_path / "raw", do_normalize=False, use_weighted_layer_sum=weighted))
    normal = load(tiny_xvector.build(tmp_path / "normal", use_weighted_layer_sum=weighted))
    waves = [1e-3 * wave for wave in noises(16000, 17000)]  # group norms hide the scale of louder ones
    given = encode(raw, [clip(wave) for wave in waves]).array
    np.testing.assert_allclose(given, expected(tmp_path / "raw", "WavLM", waves), atol=1e-5)
    assert np.abs(given - encode(normal, [clip(wave) for wave in waves]).array).max() > 1e-3
    assert raw.space != normal.space


def test_too_short_recordings_are_repeated(tmp_path: Path) -> None:
    encoder = load(tiny_xvector.build(tmp_path))
    frames = 2 + 4 * 1 + 2 * 2
    shortest = (((frames - 1) * 4 + 3 - 1) * 4 + 3 - 1) * 5 + 10
    assert encoder.shortest == shortest
    for wave in noises(1, 40, shortest - 1):
        repeated = np.tile(wave, shortest)[:shortest]
        np.testing.assert_allclose(
            encode(encoder, [clip(wave)]).array, expected(tmp_path, "WavLM", [repeated]), atol=1e-5
        )
    exact = noises(shortest)
    np.testing.assert_allclose(encode(encoder, [clip(exact[0])]).array, expected(tmp_path, "WavLM", exact), atol=1e-5)


def test_the_shortest_recording_is_the_shortest_that_works(tmp_path: Path) -> None:
    encoder = load(tiny_xvector.build(tmp_path))
    encoder.shortest -= 1
    with pytest.raises(MediaError, match="not finite"):
        encode(encoder, [clip(noises(encoder.shortest)[0])])


def test_the_published_sizes_need_a_third_of_a_second(tmp_path: Path) -> None:
    config = transformers.WavLMConfig()
    tiny_xvector.build(tmp_path, **{key: getattr(config, key) for key in ("conv_kernel", "conv_stride", "conv_dim")})
    wide = {key: list(getattr(config, key)) for key in ("tdnn_kernel", "tdnn_dilation", "tdnn_dim")}
    table = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(table | wide))
    assert load(f"xvector:{tmp_path}").shortest == 15 * 320 + 400


def test_sizes_left_at_their_default_are_read(tmp_path: Path) -> None:
    tiny_xvector.build(tmp_path, xvector_output_dim=512)
    table = json.loads((tmp_path / "config.json").read_text())
    table.pop("xvector_output_dim", None)
    (tmp_path / "config.json").write_text(json.dumps(table))
    assert load(f"xvector:{tmp_path}").space.dim == 512


def test_what_is_no_xvector_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    tiny_xvector.build(tmp_path)
    table = json.loads((tmp_path / "config.json").read_text())

    def refused(match: str, **changes: Any) -> None:
        (tmp_path / "config.json").write_text(json.dumps(table | changes))
        with pytest.raises(EncoderError, match=match) as caught:
            encode(load(f"xvector:{tmp_path}"), [clip(np.ones(16000))])
        assert "\n" not in str(caught.value)

    refused("not model_type 'clap'", model_type="clap")
    refused("holds WavLMModel, which gives no x-vectors", architectures=["WavLMModel"])
    refused("not a configuration", num_hidden_layers="many")
    refused("does not fit|cannot be loaded", tdnn_dim=[8, 8, 8])
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ModelNotFound, match=r"holds no preprocessor_config\.json"):
        load(f"xvector:{tmp_path}")


def test_a_checkpoint_without_safetensors_comes_from_the_hub_as_a_bin_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_xvector.build(tmp_path)
    weights = transformers.WavLMForXVector.from_pretrained(tmp_path).state_dict()
    (tmp_path / "model.safetensors").unlink()

    def snapshot_download(model: str, allow_patterns: list[str]) -> str:
        assert model == "lab/voices"
        if "pytorch_model*.bin" in allow_patterns:
            torch.save(weights, tmp_path / "pytorch_model.bin")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    waves = noises(16000)
    given = encode(load("xvector:lab/voices"), [clip(wave) for wave in waves]).array
    np.testing.assert_allclose(given, expected(tmp_path, "WavLM", waves), atol=1e-5)
