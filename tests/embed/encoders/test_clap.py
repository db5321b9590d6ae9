"""clap against ``ClapModel`` and ``ClapProcessor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import embed
from embed import Media
from embed.encoders.clap import ClapEncoder
from embed.errors import EncoderError, ModelNotFound, UsageError
from embed.logmel import LogMel
from tests.embed.encoders import tiny_clap

RATE = 48000
TEXTS = ["a dog barking", "rain on the tin roof", "siren", "Ünknown words, and " * 40]


@pytest.fixture(scope="module", params=[False, True], ids=["unfused", "fused"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("clap")
    tiny_clap.build(where, fused=request.param)
    return where


def sounds() -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(4)
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    made = [rng.standard_normal(10 * RATE) * 0.1, tone, np.zeros(1000), rng.standard_normal(40), [0.5]]
    return [np.asarray(one, dtype=np.float32) for one in made]


def as_media(samples: npt.NDArray[np.float32]) -> Media:
    return Media("audio", array=samples, rate=RATE)


@pytest.mark.parametrize("truncation", ["fusion", "rand_trunc"])
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
def test_log_mel_equals_the_extractor(truncation: str, padding: str) -> None:
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(
        feature_size=40, hop_length=320, fft_window_size=512, frequency_min=50, truncation=truncation, padding=padding
    )
    expected = extractor(sounds(), sampling_rate=RATE, return_tensors="pt")["input_features"]
    found = LogMel.from_config(extractor.to_dict())(sounds())
    assert expected[:, 0].shape == found.shape
    assert (expected[:, 0] - found).abs().max() < 2e-5  # dB, of values down to -100
    assert (expected - found[:, None]).abs().max() < 2e-5


@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize(("fft", "hop"), [(1024, 480), (1000, 480), (600, 480)])
def test_log_mel_of_copies_equals_the_extractor(padding: str, fft: int, hop: int) -> None:
    """Clips of whole hops and not, of which any number fits, with silence, a part or nothing after the last."""
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(
        feature_size=20, fft_window_size=fft, hop_length=hop, truncation="rand_trunc", padding=padding
    )
    rng = np.random.default_rng(7)
    lengths = [240_000, 120_000, 144_000, 192_000, 96_000, 480 * 9, 480 * 4, 480 * 3, 480, 960, 240_001, 239_520, 320]
    clips = [0.2 * rng.standard_normal(length).astype(np.float32) for length in lengths]
    expected = extractor(clips, sampling_rate=RATE, return_tensors="pt")["input_features"]
    assert (expected[:, 0] - LogMel.from_config(extractor.to_dict())(clips)).abs().max() < 2e-5


def test_copies_cost_little_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In frames that are transformed, of the 1,001 that there are."""
    import torch

    transform, frames = torch.stft, list[int]()

    def counted(*arguments: Any, **options: Any) -> Any:
        spectrum = transform(*arguments, **options)
        frames.append(spectrum.shape[-1])
        return spectrum

    monkeypatch.setattr(torch, "stft", counted)
    for seconds, most in ((10.0, 1001), (5.0, 520), (3.0, 450), (1.0, 120), (0.1, 30)):
        frames.clear()
        LogMel()([np.ones(round(seconds * RATE), dtype=np.float32)])
        assert sum(frames) <= most


def test_log_mel_takes_no_more_than_its_length() -> None:
    with pytest.raises(ValueError, match="480000"):
        LogMel()([np.zeros(480001, dtype=np.float32)])


def test_text_equals_the_whole_model(folder: Path) -> None:
    import torch
    from transformers import ClapModel, ClapProcessor

    model, processor = ClapModel.from_pretrained(folder).eval(), ClapProcessor.from_pretrained(folder)
    encoder = embed.load(f"clap:{folder}")
    with torch.inference_mode():
        inputs = processor(text=TEXTS, padding=True, truncation=True, return_tensors="pt")
        expected = model.get_text_features(**inputs).pooler_output.numpy()
    found = embed.encode(encoder, [Media.from_text(text) for text in TEXTS]).array
    assert np.abs(found - expected).max() < 1e-5


def test_audio_equals_the_whole_model(folder: Path) -> None:
    import torch
    from transformers import ClapModel, ClapProcessor

    model, processor = ClapModel.from_pretrained(folder).eval(), ClapProcessor.from_pretrained(folder)
    encoder = embed.load(f"clap:{folder}")
    with torch.inference_mode():
        inputs = processor(audio=sounds(), sampling_rate=RATE, return_tensors="pt")
        inputs["is_longer"] = torch.zeros(len(sounds()), 1, dtype=torch.bool)
        expected = model.get_audio_features(**inputs).pooler_output.numpy()
    found = embed.encode(encoder, [as_media(one) for one in sounds()]).array
    assert np.abs(found - expected).max() < 1e-5


def test_the_processor_of_a_fused_model_lets_a_vector_depend_on_its_batch(tmp_path: Path) -> None:
    """What is avoided here is there: with the extractor's own flag, a random member gets another vector."""
    import torch
    from transformers import ClapModel, ClapProcessor

    tiny_clap.build(tmp_path, fused=True)
    model, processor = ClapModel.from_pretrained(tmp_path).eval(), ClapProcessor.from_pretrained(tmp_path)
    noise = sounds()[0]
    with torch.inference_mode():
        inputs = processor(audio=[noise, noise, noise], sampling_rate=RATE, return_tensors="pt")
        assert inputs["is_longer"].sum() == 1
        theirs = model.get_audio_features(**inputs).pooler_output
    assert (theirs @ theirs.T).min() < 0.999
    ours = embed.encode(embed.load(f"clap:{tmp_path}"), [as_media(noise)] * 3)
    assert (ours @ ours).min() > 0.99999


def test_each_tower_is_loaded_on_its_first_use(folder: Path) -> None:
    encoder = embed.load(f"clap:{folder}")
    embed.encode(encoder, [Media.from_text("siren")])
    assert encoder.towers["text"].loaded
    assert not encoder.towers["audio"].loaded
    embed.encode(encoder, [as_media(sounds()[1])])
    assert encoder.towers["audio"].loaded


def test_window_and_hop(folder: Path) -> None:
    whole, half = embed.load(f"clap:{folder}"), embed.load({"family": "clap", "model": str(folder), "window": 5})
    assert isinstance(half, ClapEncoder)
    assert str(whole.audio) == "48000 Hz mono, window 10 s, hop 10 s"
    assert str(half.audio) == "48000 Hz mono, window 5 s, hop 5 s"
    assert whole.space != half.space
    with pytest.raises(UsageError, match="at most 10 s"):
        embed.load({"family": "clap", "model": str(folder), "window": 11})


def test_a_checkpoint_as_older_transformers_saved_it(folder: Path, tmp_path: Path) -> None:
    """Its settings in ``preprocessor_config.json``, its weights in a pickle."""
    import torch
    from transformers import ClapFeatureExtractor, ClapModel

    for path in folder.iterdir():
        if path.name not in ("processor_config.json", "model.safetensors"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    ClapFeatureExtractor.from_pretrained(folder).save_pretrained(tmp_path)
    torch.save(ClapModel.from_pretrained(folder).state_dict(), tmp_path / "pytorch_model.bin")
    old, new = embed.load(f"clap:{tmp_path}"), embed.load(f"clap:{folder}")
    media = [*(Media.from_text(text) for text in TEXTS), *(as_media(one) for one in sounds())]
    assert np.abs(embed.encode(old, media).array - embed.encode(new, media).array).max() < 1e-6


def test_files_that_are_not_clap(tmp_path: Path) -> None:
    tiny_clap.build(tmp_path)
    config = tmp_path / "config.json"
    good = config.read_text()
    config.write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(EncoderError, match="of a bert model"):
        embed.load(f"clap:{tmp_path}")
    config.write_text(good)
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": {"truncation": "middle"}}))
    with pytest.raises(EncoderError, match="rand_trunc, not 'middle'"):
        embed.load(f"clap:{tmp_path}")
    (tmp_path / "processor_config.json").unlink()
    with pytest.raises(ModelNotFound, match=r"preprocessor_config\.json"):
        embed.load(f"clap:{tmp_path}")
