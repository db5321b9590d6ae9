"""The family diffusers on tiny pipelines of the real classes, against the pipelines' own calls."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

pytest.importorskip("diffusers")

from analogon.engines.generator import Settings, generate
from analogon.generate.families.diffusers import KINDS
from analogon.generate.loading import load
from analogon.prompts import Prompt
from embed.errors import EncoderError, GeneratorError, MissingPackage, ModelNotFound, UsageError
from embed.media import Media
from tests.analogon.generate.families import tiny_diffusers as tiny

STEPS = 2
RAIN = Prompt("rain on the tin roof")
PICTURE = {"width": 32, "height": 48}
MAKERS = {
    "audioldm2": tiny.audioldm2,
    "stable_audio": tiny.stable_audio,
    "stable_diffusion": tiny.stable_diffusion,
    "stable_diffusion_xl": tiny.stable_diffusion_xl,
    "stable_diffusion_3": tiny.stable_diffusion_3,
    "latent_consistency": tiny.latent_consistency,
    "flux": tiny.flux,
}
SOUNDS = ("audioldm2", "stable_audio")
WITHOUT_NEGATIVE = ("latent_consistency", "flux")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("diffusers")
    return {kind: tiny.write(make(), folder / kind) for kind, make in MAKERS.items()}


def settings_of(kind: str) -> dict[str, Any]:
    return {"steps": STEPS} | ({} if kind in SOUNDS else PICTURE)


def own(name: str, text: str, seed: int, **asked: Any) -> npt.NDArray[Any]:
    """What diffusers makes, loaded and called as its documentation says."""
    import torch
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(name.partition(":")[2])
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    made = pipeline(text, num_inference_steps=STEPS, generator=generator, **asked)
    return np.asarray(made.images[0] if hasattr(made, "images") else made.audios[0])


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in SOUNDS])
def test_pictures_are_the_pipelines_own(names: dict[str, str], kind: str) -> None:
    negative = {} if kind in WITHOUT_NEGATIVE else {"negative": "red"}
    generator = load(names[kind], steps=STEPS, **PICTURE, **negative, guidance=4.0)
    media = generate(generator, RAIN, Settings(seed=5)).media
    asked = {f"{key}_prompt": text for key, text in negative.items()}
    expected = own(names[kind], RAIN.text, 5, **PICTURE, **asked, guidance_scale=4.0)
    assert media.array is not None
    assert media.array.shape == (48, 32, 3)
    assert media.array.std() > 20, "a picture of one colour would be equal whatever was asked"
    np.testing.assert_array_equal(media.array, expected)


def test_audioldm2_is_the_pipelines_own(names: dict[str, str]) -> None:
    generator = load(names["audioldm2"], steps=STEPS, negative="red")
    media = generator.make(RAIN, Settings(seed=5, seconds=0.25))
    expected = own(names["audioldm2"], RAIN.text, 5, negative_prompt="red", audio_length_in_s=0.25)
    assert media.rate == tiny.RATE
    assert media.array is not None
    assert media.array.shape == (0.25 * tiny.RATE,)
    assert media.array.std() > 0.01
    np.testing.assert_array_equal(media.array, expected)
    assert len(generator.make(RAIN, Settings()).array) == 16 * 2 * 4  # type: ignore[arg-type]  # latents, VAE, vocoder


def test_stable_audio_is_the_pipelines_own_in_stereo(names: dict[str, str]) -> None:
    generator = load(names["stable_audio"], steps=STEPS)
    media = generator.make(RAIN, Settings(seed=5, seconds=0.5))
    expected = own(names["stable_audio"], RAIN.text, 5, audio_end_in_s=0.5)
    assert media.rate == tiny.RATE
    assert media.array is not None
    assert media.array.shape == (0.5 * tiny.RATE, 2)
    assert media.array.std() > 0.01
    np.testing.assert_array_equal(media.array, expected.T)
    assert generator.longest == 64 * 16 / tiny.RATE
    longest = generate(generator, RAIN, Settings(seconds=2.0))
    assert longest.media.array is not None
    assert len(longest.media.array) == 64 * 16
    assert longest.remarks == (f"{generator.name} makes 1.28 s at most, not 2 s",)


@pytest.mark.parametrize("kind", MAKERS)
def test_customary_settings_are_the_pipelines_own(names: dict[str, str], kind: str) -> None:
    import inspect

    import diffusers

    generator = load(names[kind])
    defaults = inspect.signature(getattr(diffusers, generator.identity["pipeline"]).__call__).parameters
    assert generator.identity["steps"] == defaults["num_inference_steps"].default
    assert generator.identity["guidance"] == defaults["guidance_scale"].default
    assert KINDS[generator.identity["pipeline"]].negative == ("negative_prompt" in defaults and kind != "flux")


@pytest.mark.parametrize("kind", ["audioldm2", "stable_audio", "stable_diffusion_xl"])
def test_seeds_words_and_settings_decide(names: dict[str, str], kind: str) -> None:
    import torch

    generator = load(names[kind], **settings_of(kind))
    torch.manual_seed(7)
    before = torch.random.get_rng_state()

    def take(text: str = "a dog barking", seed: int = 0, other: Any = generator) -> npt.NDArray[Any]:
        array = other.make(Prompt(text), Settings(seed=seed)).array
        assert array is not None
        return np.asarray(array)

    first = take()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.tobytes() != take(seed=1).tobytes()
    assert first.tobytes() != take("sea waves").tobytes()
    assert first.tobytes() == take().tobytes()
    assert first.tobytes() != take(other=load(names[kind], **settings_of(kind), guidance=1.5)).tobytes()
    assert first.tobytes() != take(other=load(names[kind], **settings_of(kind) | {"steps": 3})).tobytes()


@pytest.fixture(scope="module")
def hum(tmp_path_factory: pytest.TempPathFactory) -> Media:
    path = tmp_path_factory.mktemp("guide") / "hum.wav"
    at = np.arange(tiny.RATE // 2) / tiny.RATE
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 40 * at), tiny.RATE, subtype="FLOAT")
    return Media.from_path(path)


def test_a_guide_is_kept_the_more_the_less_noise_it_is_given(names: dict[str, str], hum: Media) -> None:
    """Against the guide as the codec alone renders it, and against the same schedule written out here."""
    import torch
    from diffusers import CosineDPMSolverMultistepScheduler, StableAudioPipeline

    pipeline = StableAudioPipeline.from_pretrained(names["stable_audio"].partition(":")[2])
    pipeline.set_progress_bar_config(disable=True)
    wave = torch.from_numpy(soundfile.read(hum.path, dtype="float32")[0])
    whole = torch.zeros(1, 2, 1024)
    whole[..., : len(wave)] = wave

    kept = []
    for noise in (0.31, 1.0, 3.0, 30.0):
        changed = load(names["stable_audio"], steps=8, guidance=1.0, noise=noise)
        array = changed.make(RAIN, Settings(seed=3, guide=hum)).array
        assert array is not None
        assert array.shape == (len(wave), 2), "as long as its guide"

        pipeline.scheduler = CosineDPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, sigma_max=noise)
        generator = torch.Generator().manual_seed(3)
        drawn = torch.randn(1, 4, 64, generator=generator)
        with torch.no_grad():
            encoded = pipeline.vae.encode(whole).latent_dist.sample(generator)
            rendered = pipeline.vae.decode(encoded).sample[0, :, : len(wave)].T.numpy()
        # At a schedule's beginning a sample is the clean latents plus noise of its highest deviation.
        begun = (encoded + noise * drawn) / pipeline.scheduler.init_noise_sigma
        expected = pipeline(
            RAIN.text,
            num_inference_steps=8,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(3),
            latents=begun,
            audio_end_in_s=len(wave) / tiny.RATE,
        ).audios[0]
        # The last bit of a sum of latents is 2e-5 of the loudest sample after eight steps and a random codec.
        np.testing.assert_allclose(array, expected.T.numpy(), rtol=0, atol=5e-5 * float(expected.abs().max()))
        kept.append(float(np.corrcoef(array.ravel(), rendered.ravel())[0, 1]))
    assert kept == sorted(kept, reverse=True), kept
    assert kept[0] > 0.8 > 0.3 > kept[-1], kept


def test_guides_are_refused_where_they_cannot_be_used(names: dict[str, str], hum: Media) -> None:
    with pytest.raises(UsageError, match="takes no guide"):
        generate(load(names["audioldm2"]), RAIN, Settings(guide=hum))
    with pytest.raises(UsageError, match="needs a recording"):
        generate(load(names["stable_audio"]), RAIN, Settings(guide=Media.from_text("a hum")))
    with pytest.raises(UsageError, match="noise must be above 0.3 and at most 500"):
        load(names["stable_audio"], noise=0.2)


def test_what_a_tokenizer_cuts_off_is_said(names: dict[str, str]) -> None:
    generator = load(names["stable_diffusion"])
    fits = " ".join(["dog"] * 14)  # and a token at the beginning and one at the end make 16
    assert generator.remarks(Prompt(fits), Settings()) == []
    assert generator.remarks(Prompt(fits + " cat, red roof"), Settings()) == [
        f"{generator.name} reads 16 tokens of a prompt; its tokenizer cuts off: 'cat, red roof'"
    ]
    both = load(names["audioldm2"], negative="wind " * 30).remarks(RAIN, Settings())
    assert [remark.partition(" reads ")[2].partition(" cuts")[0] for remark in both] == [
        "24 tokens of a negative prompt; its tokenizer",
        "24 tokens of a negative prompt; its tokenizer_2",
    ]
    assert both[1].endswith(repr(" ".join(["wind"] * 7))), "23 words and the end make 24"


@pytest.mark.parametrize("flagged", [True, False])
def test_a_blackened_picture_is_an_error(tmp_path: Path, flagged: bool) -> None:
    import torch

    pipeline = tiny.stable_diffusion(checked=True)
    with torch.no_grad():  # cosines are compared with these: beyond 1 nothing, below -1 everything is flagged
        pipeline.safety_checker.concept_embeds_weights.fill_(-2.0 if flagged else 2.0)
        pipeline.safety_checker.special_care_embeds_weights.fill_(2.0)
    generator = load(tiny.write(pipeline, tmp_path / "checked"), steps=1, **PICTURE)
    if flagged:
        with pytest.raises(GeneratorError, match="safety checker"):
            generate(generator, RAIN)
    else:
        array = generate(generator, RAIN).media.array
        assert array is not None
        assert array.std() > 20


def test_a_language_model_of_the_older_class_is_read_as_the_newer(names: dict[str, str], tmp_path: Path) -> None:
    """Checkpoints of AudioLDM 2 name GPT2Model, which lacks what the pipeline calls since transformers 5."""
    import torch
    from transformers import GPT2LMHeadModel

    folder = tmp_path / "older"
    shutil.copytree(names["audioldm2"].partition(":")[2], folder)
    model = GPT2LMHeadModel.from_pretrained(folder / "language_model", dtype=torch.float32)
    shutil.rmtree(folder / "language_model")
    model.transformer.save_pretrained(folder / "language_model")
    index = json.loads((folder / "model_index.json").read_text())
    index["language_model"] = ["transformers", "GPT2Model"]
    (folder / "model_index.json").write_text(json.dumps(index))
    config = json.loads((folder / "language_model" / "config.json").read_text())
    (folder / "language_model" / "config.json").write_text(json.dumps(config | {"max_new_tokens": 8}))
    newer, older = (
        load(name, steps=STEPS).make(RAIN, Settings()).array for name in (names["audioldm2"], f"diffusers:{folder}")
    )
    assert newer is not None
    np.testing.assert_array_equal(older, newer)


@pytest.fixture
def broken(names: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "broken"
    shutil.copytree(names["stable_diffusion"].partition(":")[2], folder)
    yield folder


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(EncoderError) as caught:
        load(f"diffusers:{folder}", **options).make(RAIN, Settings())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pipelines_of_other_classes_are_refused(broken: Path) -> None:
    index = broken / "model_index.json"
    table = json.loads(index.read_text())
    index.write_text(json.dumps(table | {"_class_name": "WanPipeline"}))
    assert refusal(broken).endswith("FluxPipeline here, not WanPipeline")
    index.write_text(json.dumps(table | {"_class_name": ["mine", "MyPipeline"]}))
    assert "not ['mine', 'MyPipeline']" in refusal(broken)
    index.write_text(json.dumps(table | {"unet": ["os", "system"]}))
    assert "os.system is no part" in refusal(broken)
    index.write_text(json.dumps(table | {"unet": ["unet", "Custom"]}))
    (broken / "unet" / "unet.py").write_text("raise SystemExit('code of a checkpoint ran')")
    assert "unet.Custom is no part" in refusal(broken)
    index.write_text("{")
    assert "not readable as JSON" in refusal(broken)


def test_parts_that_lack_something_are_named(broken: Path) -> None:
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.rename(weights.with_suffix(".bin"))
    assert "holds no unet/*model.safetensors" in refusal(broken)
    weights.write_bytes(content[: len(content) // 2])
    assert "unet" in refusal(broken)
    import safetensors.torch

    weights.write_bytes(content)
    tensors = safetensors.torch.load_file(weights)
    tensors.pop("conv_in.weight")
    safetensors.torch.save_file(tensors, weights)
    assert "has no conv_in.weight, which UNet2DConditionModel needs" in refusal(broken)
    weights.write_bytes(content)
    (broken / "tokenizer" / "tokenizer.json").unlink()
    assert "vocabulary" in refusal(broken)
    shutil.rmtree(broken / "tokenizer")
    assert "holds no tokenizer/" in refusal(broken)


def test_settings_out_of_range_are_refused(names: dict[str, str], tmp_path: Path) -> None:
    picture, sound = names["stable_diffusion"], names["audioldm2"]
    with pytest.raises(UsageError, match="steps"):
        load(picture, steps=0)
    with pytest.raises(UsageError, match="guidance"):
        load(picture, guidance=float("nan"))
    with pytest.raises(UsageError, match="multiples of 8 pixels, not 33"):
        load(picture, width=33)
    with pytest.raises(UsageError, match="no width"):
        load(sound, width=64)
    with pytest.raises(UsageError, match="takes no negative"):
        load(names["flux"], negative="noise")
    with pytest.raises(UsageError, match="guidance above 1"):
        load(sound, negative="noise", guidance=1.0)
    with pytest.raises(UsageError, match="device must be a text, not 5"):
        load(sound, device=5)
    for device in ("nowhere", "cuda:99"):
        with pytest.raises(EncoderError, match=f"on {device}"):
            load(sound, device=device).make(RAIN, Settings())
    with pytest.raises(ModelNotFound):
        load(f"diffusers:{tmp_path / 'none'}")
    with pytest.raises(ModelNotFound):
        load("diffusers:nobody/nothing")


def test_a_whole_pipeline_in_the_hubs_cache_is_taken_from_there(
    names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    folder = tmp_path / "snapshot"
    shutil.copytree(names["stable_diffusion"].partition(":")[2], folder)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda model, name: str(folder / name))
    assert load("diffusers:org/model").identity["model"] == "org/model"
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="org/model"):
        load("diffusers:org/model")


def test_without_the_package_the_extra_is_named(names: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingPackage, match=r"pip install 'analogon\[diffusers\]'"):
        load(names["stable_diffusion"])


def test_half_precision_beside_the_weights_does_not_count(names: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "more"
    shutil.copytree(names["stable_diffusion"].partition(":")[2], folder)
    (folder / "v1-5-pruned.safetensors").write_bytes(b"not read")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"not read")
    assert load(f"diffusers:{folder}").identity["weights"] == load(names["stable_diffusion"]).identity["weights"]
