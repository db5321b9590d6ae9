"""pe_av against transformers' own models and extractor, alone and in batches of unequal lengths."""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import embed
from embed import Media, hub
from embed.encoders import pe_av
from embed.errors import EncoderError, MediaError
from tests.embed.encoders import tiny_pe_av
from tests.embed.encoders.tiny_pe_av import DIM, RATE

TEXTS = ["a dog barking", "rain on the tin roof of an old house by the sea", "x", "two violins"]


def sounds() -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(n).astype(np.float32) * 0.3 for n in (2000, 333, 1999, 5, 1)]


def audio(samples: npt.NDArray[np.float32]) -> Media:
    return Media("audio", array=samples, rate=RATE)


def video(frames: int, samples: int | None, seed: int) -> Media:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (frames, 30, 40, 3), dtype=np.uint8)
    sound = None if samples is None else rng.standard_normal(samples).astype(np.float32) * 0.3
    return Media("video", array=pictures, sound=sound, rate=RATE)


def assert_same_directions(ours: npt.NDArray[np.float32], reference: Any) -> None:
    np.testing.assert_allclose(ours, embed.space.unit(reference.detach().numpy()), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tiny_pe_av.build(tmp_path_factory.mktemp("pe_audio"))


@pytest.fixture(scope="module")
def documented(name: dict[str, Any]) -> Callable[[npt.NDArray[np.float32]], Any]:
    """transformers' documented call, on one recording and all texts."""
    from transformers import AutoTokenizer, PeAudioFeatureExtractor, PeAudioModel

    model = PeAudioModel.from_pretrained(name["model"]).eval()
    extractor = PeAudioFeatureExtractor.from_pretrained(name["model"])
    tokens = AutoTokenizer.from_pretrained(name["model"])(TEXTS, padding=True, return_tensors="pt")

    def call(samples: npt.NDArray[np.float32]) -> Any:
        features = extractor(samples, sampling_rate=RATE, return_tensors="pt")
        assert features["padding_mask"].all()
        return model(**tokens, **features)

    return call


def test_texts_and_sounds_as_the_model_itself_gives_them(name: dict[str, Any], documented: Any) -> None:
    encoder = embed.load(name)
    ours = embed.encode(encoder, [audio(samples) for samples in sounds()]).array
    texts = embed.encode(encoder, [Media.from_text(text) for text in TEXTS]).array
    for row, samples in zip(ours, sounds(), strict=True):
        reference = documented(samples)
        assert_same_directions(row[None], reference.audio_embeds)
        assert_same_directions(texts, reference.text_audio_embeds)


def test_padding_a_batch_would_change_its_rows(name: dict[str, Any]) -> None:
    """Why equal lengths are grouped: with transformers' masks a row depends on the longest member of its batch."""
    import torch
    from transformers import PeAudioFeatureExtractor, PeAudioModel

    model = PeAudioModel.from_pretrained(name["model"]).eval()
    extractor = PeAudioFeatureExtractor.from_pretrained(name["model"])
    with torch.inference_mode():
        padded = model.get_audio_embeds(**extractor(sounds(), sampling_rate=RATE, return_tensors="pt")).numpy()
    alone = embed.encode(embed.load(name), [audio(samples) for samples in sounds()]).array
    cosines = (embed.space.unit(padded) * alone).sum(axis=1)
    assert cosines[0] > 0.99999, "the longest is not padded"
    assert cosines[1:].min() < 0.999


def test_what_the_heads_give_is_not_normalised(documented: Any) -> None:
    reference = documented(sounds()[0])
    norms = np.linalg.norm(reference.text_audio_embeds.detach().numpy(), axis=1)
    assert np.abs(norms - 1).min() > 0.1


def test_long_texts_are_cut_where_pe_av_cuts_them(name: dict[str, Any]) -> None:
    encoder = embed.load(name)
    kept = "y" * (pe_av.TEXT_TOKENS - 2)  # a token a letter, and the two marks
    rows = embed.encode(encoder, [Media.from_text(text) for text in (kept, kept + " and more", kept[:-1])]).array
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    assert abs(rows[0] - rows[2]).max() > 1e-4


def test_text_loads_the_text_model_and_one_head(name: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import core_model_loading

    read: list[Any] = []
    original = core_model_loading.spawn_materialize

    def watched(pool: Any, tensor: Any, *rest: Any, **named: Any) -> Any:
        read.append(tensor)
        return original(pool, tensor, *rest, **named)

    monkeypatch.setattr(core_model_loading, "spawn_materialize", watched)
    encoder = embed.load(name)
    assert not read
    embed.encode(encoder, [Media.from_text("dog")])
    assert not encoder.towers["audio"].loaded
    tower = encoder.towers["text"].module
    assert {weight.split(".")[0] for weight, _ in tower.named_parameters()} == {"text_model", "text_audio_head"}
    assert len(read) == len(list(tower.parameters())), "weights of other parts were read"


def test_settings_and_folders_that_cannot_be_used(name: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="target can be audio, not 'video'"):
        embed.load(name | {"target": "video"})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clap"}))
    with pytest.raises(EncoderError, match="model_type is 'clap'"):
        embed.load({"family": "pe_av", "model": str(tmp_path)})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "pe_audio"}))
    with pytest.raises(EncoderError, match="no audio feature extractor"):
        embed.load({"family": "pe_av", "model": str(tmp_path)})


# The audio-visual model. Its pictures are seen by a ViT of the package timm, which needs torchvision; a small network
# takes timm's place here, and all around it is transformers' own.


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    import torch
    from transformers.models.timm_wrapper import modeling_timm_wrapper as wrapper

    def create_model(architecture: str, pretrained: bool, num_classes: int) -> Any:
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 6, 6), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(8 * 16, num_classes)
        )

    timm = types.ModuleType("timm")
    timm.__spec__ = importlib.machinery.ModuleSpec("timm", None)
    timm.create_model = create_model  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "timm", timm)
        patch.setattr(wrapper, "timm", timm, raising=False)
        patch.setattr(wrapper, "requires_backends", lambda *_: None)
        folder = tmp_path_factory.mktemp("pe_audio_video")
        yield folder, tiny_pe_av.build_audio_video(folder)


def pixels(media: Media) -> Any:
    """What ``PeVideoVideoProcessor`` asks torchvision for, frame by frame."""
    import torch

    mean, std = (torch.tensor(tiny_pe_av.PICTURES[key])[:, None, None] for key in ("image_mean", "image_std"))
    frames = torch.from_numpy(media.array).permute(0, 3, 1, 2)
    small = [torch.nn.functional.interpolate(f[None], (24, 24), mode="bilinear", antialias=True)[0] for f in frames]
    return (torch.stack(small)[None] / 255 - mean) / std


@pytest.mark.parametrize("target", ["audio", "video", "audio_video"])
def test_each_target_is_its_pair_of_heads(whole: tuple[Path, Any], target: str) -> None:
    from transformers import AutoTokenizer, PeAudioFeatureExtractor

    folder, model = whole
    encoder = embed.load({"family": "pe_av", "model": str(folder), "target": target, "frames": 6})
    assert encoder.modalities == ({"text", "audio"} if target == "audio" else {"text", "video"})
    media = [video(6, 2000, 1), video(6, 1200, 2), video(3, 2000, 3), video(6, 2000, 4)]
    given = [audio(one.sound) for one in media if one.sound is not None] if target == "audio" else media
    ours = embed.encode(encoder, given).array
    texts = embed.encode(encoder, [Media.from_text(text) for text in TEXTS]).array
    tokenizer, extractor = AutoTokenizer.from_pretrained(folder), PeAudioFeatureExtractor.from_pretrained(folder)
    for row, one, text_row, text in zip(ours, media, texts, TEXTS, strict=True):
        features = extractor(one.sound, sampling_rate=RATE, return_tensors="pt")
        reference = model(**tokenizer(text, return_tensors="pt"), **features, pixel_values_videos=pixels(one))
        assert_same_directions(row[None], reference[f"{target}_embeds"])
        assert_same_directions(text_row[None], reference[f"text_{target}_embeds"])


def test_targets_are_spaces_of_their_own(whole: tuple[Path, Any]) -> None:
    folder, _ = whole
    spaces = [
        embed.load({"family": "pe_av", "model": str(folder), "target": target}).space
        for target in ("audio", "video", "audio_video")
    ]
    assert len({space.id for space in spaces}) == 3
    assert {space.dim for space in spaces} == {DIM}
    assert embed.load(f"pe_av:{folder}").space == spaces[0]


def test_a_silent_film_has_no_place_among_sounding_ones(whole: tuple[Path, Any]) -> None:
    folder, _ = whole
    encoder = embed.load({"family": "pe_av", "model": str(folder), "target": "audio_video"})
    with pytest.raises(MediaError, match="has no sound"):
        embed.encode(encoder, [video(4, None, 1)])


def test_a_video_side_without_timm_says_what_to_install(
    whole: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr(pe_av, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match="needs the package timm"):
        embed.load({"family": "pe_av", "model": str(whole[0]), "target": "video"})


def test_frames_are_resized_as_pillow_resizes_them(tmp_path: Path) -> None:
    """An implementation of its own as the oracle: Pillow's antialiased bilinear resize, within one level of 255."""
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(tiny_pe_av.PICTURES))
    pictures = pe_av.Pictures.read(tmp_path)
    frames = np.random.default_rng(5).integers(0, 256, (2, 61, 47, 3), dtype=np.uint8)
    mean, std = np.array(tiny_pe_av.PICTURES["image_mean"]), np.array(tiny_pe_av.PICTURES["image_std"])
    ours = pictures(frames).transpose(0, 2, 3, 1) * std + mean
    for frame, picture in zip(frames, ours, strict=True):
        expected = np.asarray(Image.fromarray(frame).resize((24, 24), Image.Resampling.BILINEAR)) / 255
        assert np.abs(picture - expected).max() <= 1.01 / 255


def test_another_treatment_of_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="holds no video_preprocessor_config"):
        pe_av.Pictures.read(tmp_path)
    cropped = tiny_pe_av.PICTURES | {"do_center_crop": True}
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(cropped))
    with pytest.raises(EncoderError, match="without a crop"):
        pe_av.Pictures.read(tmp_path)


def test_missing_weights_are_named(name: dict[str, Any], tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(Path(name["model"]) / "model.safetensors")
    del weights["text_audio_head.proj.weight"]
    for file in Path(name["model"]).iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    encoder = embed.load({"family": "pe_av", "model": str(tmp_path)})
    with pytest.raises(EncoderError, match=r"the checkpoint has no text_audio_head\.proj\.weight"):
        embed.encode(encoder, [Media.from_text("dog")])
    assert hub.weights_hash(tmp_path) != hub.weights_hash(Path(name["model"]))
