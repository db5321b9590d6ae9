"""embedding_gemma2 against transformers' own processor and model, with the pooling of Sentence Transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import embed
from embed import Media
from embed.encoders.embedding_gemma2 import DOCUMENT, QUERY
from embed.errors import EncoderError, UsageError
from tests.embed.encoders import tiny_embedding_gemma2
from tests.embed.encoders.tiny_embedding_gemma2 import DIM, WINDOW

TEXTS = ["a dog barking", "rain on the old tin roof in wind", "sea"]
RATE = 16000


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tiny_embedding_gemma2.build(tmp_path_factory.mktemp("embedding_gemma2"))


@pytest.fixture(scope="module")
def model(name: dict[str, Any]) -> Any:
    from transformers import EmbeddingGemma2Model

    return EmbeddingGemma2Model.from_pretrained(name["model"]).eval()


@pytest.fixture(scope="module")
def processor(name: dict[str, Any]) -> Any:
    """transformers' ``EmbeddingGemma2Processor``; its processor for video would need torchvision."""
    from transformers import AutoTokenizer, EmbeddingGemma2Processor, Gemma4AudioFeatureExtractor
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    class Frames:
        """In the place of ``EmbeddingGemma2VideoProcessor``, which needs torchvision: a picture processor on frames."""

        add_timestamps = False
        model_input_names = ("pixel_values_videos",)

        def __call__(self, videos: list[npt.NDArray[np.uint8]], **_: Any) -> dict[str, Any]:
            frames = Gemma4ImageProcessorPil(
                patch_size=4, pooling_kernel_size=2, max_soft_tokens=70, do_normalize=True
            )(list(videos[0]), return_tensors="pt")
            return {
                "pixel_values_videos": frames["pixel_values"],
                "video_position_ids": frames["image_position_ids"],
                "num_frames_per_video": [len(videos[0])],
                "num_soft_tokens_per_video": [int(frames["num_soft_tokens_per_image"][0])],
            }

    class WithoutTorchvision(EmbeddingGemma2Processor):  # type: ignore[misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return type(argument)

    folder = name["model"]
    return WithoutTorchvision(
        feature_extractor=Gemma4AudioFeatureExtractor.from_pretrained(folder),
        image_processor=Gemma4ImageProcessorPil.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        video_processor=Frames(),
    )


def documented(model: Any, inputs: Any) -> npt.NDArray[np.float32]:
    """Mean over the tokens, then length 1: what the checkpoint's Sentence Transformers modules do."""
    states = model(**inputs).last_hidden_state.detach().numpy()
    mask = inputs["attention_mask"].numpy()
    return embed.space.unit([row[kept.astype(bool)].mean(axis=0) for row, kept in zip(states, mask, strict=True)])


def sounds() -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(n).astype(np.float32) * 0.2 for n in (24000, 7777, 16000, 161)]


def pictures() -> list[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((60, 80), (200, 31), (5, 300))]


def assert_close(ours: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> None:
    np.testing.assert_allclose(ours, reference, atol=1e-5, rtol=0)


def test_texts_and_queries_carry_their_prompts(name: dict[str, Any], model: Any, processor: Any) -> None:
    encoder = embed.load(name)
    media = [Media.from_text(text) for text in TEXTS]
    for query, prompt in ((False, DOCUMENT), (True, QUERY)):
        ours = embed.encode(encoder, media, query=query).array
        for row, text in zip(ours, TEXTS, strict=True):
            assert_close(row[None], documented(model, processor(text=[prompt + text], return_tensors="pt")))


def test_a_text_that_reads_like_a_query_is_a_document_all_the_same(name: dict[str, Any]) -> None:
    encoder = embed.load(name)
    query = embed.encode(encoder, [Media.from_text("dog")], query=True).array
    document = embed.encode(encoder, [Media.from_text(QUERY + "dog")]).array
    assert float((query * document).sum()) < 0.999


def test_sounds_as_the_processor_and_the_model_give_them(name: dict[str, Any], model: Any, processor: Any) -> None:
    media = [Media("audio", array=samples, rate=RATE) for samples in sounds()]
    ours = embed.encode(embed.load(name), media).array
    for row, samples in zip(ours, sounds(), strict=True):
        assert_close(row[None], documented(model, processor(audio=[samples], return_tensors="pt")))


def test_pictures_as_the_processor_and_the_model_give_them(name: dict[str, Any], model: Any, processor: Any) -> None:
    ours = embed.encode(embed.load(name), [Media("image", array=picture) for picture in pictures()]).array
    for row, picture in zip(ours, pictures(), strict=True):
        assert_close(row[None], documented(model, processor(images=[picture], return_tensors="pt")))


def test_videos_are_frames_between_the_marks_of_pictures(name: dict[str, Any], model: Any, processor: Any) -> None:
    rng = np.random.default_rng(2)
    videos = [rng.integers(0, 256, (n, h, w, 3), dtype=np.uint8) for n, h, w in ((3, 40, 60), (1, 31, 17), (2, 40, 60))]
    ours = embed.encode(embed.load(name), [Media("video", array=video) for video in videos]).array
    for row, video in zip(ours, videos, strict=True):
        assert_close(row[None], documented(model, processor(videos=[video], return_tensors="pt")))


def test_text_loads_the_text_model_and_each_tower_comes_when_needed(name: dict[str, Any]) -> None:
    encoder = embed.load(name)
    embed.encode(encoder, [Media.from_text("dog")])
    model = encoder.towers["all"].module
    roots = {weight.split(".")[0] for weight in model.state_dict()}
    assert roots == {"language_model"}
    embed.encode(encoder, [Media("audio", array=sounds()[0], rate=RATE)])
    assert {weight.split(".")[0] for weight in model.state_dict()} == {
        *roots,
        "audio_tower",
        "embed_audio",
    }
    text_model = model.language_model
    embed.encode(encoder, [Media("image", array=pictures()[0])])
    assert model.vision_tower is not None
    assert model.language_model is text_model


def test_a_towers_order_of_arrival_changes_nothing(name: dict[str, Any]) -> None:
    media = [Media.from_text("dog"), Media("audio", array=sounds()[0], rate=RATE), Media("image", array=pictures()[0])]
    one, other = embed.load(name), embed.load(name)
    forth = [embed.encode(one, [medium]).array for medium in media]
    back = [embed.encode(other, [medium]).array for medium in reversed(media)]
    for a, b in zip(forth, reversed(back), strict=True):
        assert_close(a, b)


def test_fewer_components_are_the_first_ones_at_length_1(name: dict[str, Any]) -> None:
    media = [Media.from_text(text) for text in TEXTS]
    whole, first = embed.load(name), embed.load(name | {"dim": 8})
    assert (whole.space.dim, first.space.dim) == (DIM, 8)
    assert first.space != whole.space
    assert_close(embed.encode(first, media).array, embed.space.unit(embed.encode(whole, media).array[:, :8]))
    with pytest.raises(UsageError, match=f"1 to {DIM}"):
        embed.load(name | {"dim": DIM + 1})


def test_windows_and_frames_follow_the_processors(name: dict[str, Any]) -> None:
    plain = embed.load({"family": "embedding_gemma2", "model": name["model"]})
    assert plain.audio is not None and plain.video is not None
    assert (plain.audio.rate, plain.audio.window) == (RATE, 30.0)
    assert (plain.video.window, plain.video.frames, plain.video.rate) == (30.0, 30, None)
    assert embed.load(name | {"frames": 5}).video.frames == 5  # type: ignore[union-attr]
    assert embed.load(name).audio.window == WINDOW  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="30 s"):
        embed.load(name | {"window": 31.0})


def test_less_than_a_frame_of_sound_is_followed_by_silence(name: dict[str, Any]) -> None:
    encoder = embed.load(name)
    short = sounds()[0][:40]
    media = [Media("audio", array=array, rate=RATE) for array in (short, np.pad(short, (0, 121)))]
    rows = embed.encode(encoder, media).array
    assert_close(rows[:1], rows[1:])


def test_a_checkpoint_without_a_tower_has_no_such_modality(name: dict[str, Any], tmp_path: Path) -> None:
    for file in Path(name["model"]).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    for absent, left in (("vision_config", {"text", "audio"}), ("audio_config", {"text"})):
        config[absent] = None
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert embed.load(name | {"model": str(tmp_path)}).modalities == left


def test_another_models_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma4"}))
    with pytest.raises(EncoderError, match="model_type is 'gemma4'"):
        embed.load({"family": "embedding_gemma2", "model": str(tmp_path)})


def test_frames_with_times_are_refused(name: dict[str, Any], tmp_path: Path) -> None:
    for file in Path(name["model"]).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "processor_config.json").read_text())
    settings["video_processor"]["add_timestamps"] = True
    (tmp_path / "processor_config.json").write_text(json.dumps(settings))
    encoder = embed.load(name | {"model": str(tmp_path)})
    with pytest.raises(EncoderError, match="each frame's time"):
        encoder.prepare(Media("video", array=np.zeros((1, 8, 8, 3), dtype=np.uint8)))


@pytest.mark.parametrize("shape", [(60, 80), (16, 16), (5, 200), (301, 299), (31, 47)])
def test_pictures_are_resized_to_the_same_bit(name: dict[str, Any], processor: Any, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    of = processor.image_processor
    expected = of.aspect_ratio_preserving_resize(
        image=pixels.transpose(2, 0, 1),
        patch_size=of.patch_size,
        max_patches=of.max_soft_tokens * of.pooling_kernel_size**2,
        pooling_kernel_size=of.pooling_kernel_size,
        resample=of.resample,
    )
    prepared = embed.load(name).prepare(Media("image", array=pixels)).array
    assert prepared is not None
    np.testing.assert_array_equal(prepared, expected.transpose(1, 2, 0))
