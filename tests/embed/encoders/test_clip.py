"""clip against ``CLIPModel`` and ``CLIPProcessor``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import embed
from embed import Media, decode
from embed.encoders.clip import TEMPLATES
from embed.errors import EncoderError, UsageError
from embed.space import unit
from tests.embed.encoders import tiny, tiny_clip
from tests.embed.test_preparation import jpeg, textured

TEXTS = ["a dog barking", "rain on the tin roof", "siren", "Ünknown words, and " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("clip")
    tiny_clip.build(where)
    return where


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(5)
    shapes = [(60, 80), (32, 32), (7, 5), (1, 1), (3, 500), (500, 3), (33, 100)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


def as_media(pictures: list[Image.Image]) -> list[Media]:
    return [Media("image", array=np.asarray(picture)) for picture in pictures]


def reference_texts(folder: Path, texts: list[str]) -> npt.NDArray[np.float32]:
    import torch
    from transformers import CLIPModel, CLIPProcessor

    model, processor = CLIPModel.from_pretrained(folder).eval(), CLIPProcessor.from_pretrained(folder)
    with torch.inference_mode():
        inputs = processor(text=texts, padding=True, truncation=True, return_tensors="pt")
        return unit(model.get_text_features(**inputs).pooler_output.numpy())


def test_text_equals_the_whole_model(folder: Path) -> None:
    found = embed.encode(embed.load(f"clip:{folder}"), [Media.from_text(text) for text in TEXTS]).array
    assert np.abs(found - reference_texts(folder, TEXTS)).max() < 1e-5


def test_images_equal_the_whole_model(folder: Path) -> None:
    import torch
    from transformers import CLIPModel, CLIPProcessor

    model, processor = CLIPModel.from_pretrained(folder).eval(), CLIPProcessor.from_pretrained(folder)
    with torch.inference_mode():
        inputs = processor(images=pictures(), return_tensors="pt")
        expected = unit(model.get_image_features(**inputs).pooler_output.numpy())
    encoder = embed.load(f"clip:{folder}")
    prepared = [encoder.prepare(media).array for media in as_media(pictures())]
    assert (
        np.abs(np.stack([array for array in prepared if array is not None]) - inputs["pixel_values"].numpy()).max()
        < 1e-5
    )
    assert np.abs(embed.encode(encoder, as_media(pictures())).array - expected).max() < 1e-5


def test_a_photograph_is_decoded_at_a_fraction_and_keeps_its_vector(tmp_path: Path) -> None:
    """With a tower that sees as much as the published ones do, of few and narrow layers."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    torch.manual_seed(0)
    narrow = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3}
    tokenizer = tiny.clip_bpe()
    text = narrow | {"vocab_size": len(tokenizer)}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=narrow | {"image_size": 224, "patch_size": 32}))
    tiny.scatter(model).save_pretrained(tmp_path)
    CLIPProcessor(CLIPImageProcessorPil(), tokenizer).save_pretrained(tmp_path)
    encoder = embed.load(f"clip:{tmp_path}")
    files = [tmp_path / f"{number}.jpg" for number in range(4)]
    for number, file in enumerate(files):
        file.write_bytes(jpeg(textured(*((1344, 1500) if number % 2 else (1403, 1361)), seed=number)))
    media = [Media.from_path(file) for file in files]
    assert encoder.image is not None
    assert all(part.box for one in media for part in decode.parts(one, image=encoder.image))
    found = embed.encode(encoder, media).array
    exact = embed.encode(encoder, as_media([Image.open(file) for file in files])).array
    assert (found * exact).sum(axis=1).min() > 0.9999
    assert (exact @ exact.T)[np.triu_indices(4, 1)].max() < 0.99  # others do differ


def test_a_very_long_picture_is_its_middle(folder: Path) -> None:
    encoder = embed.load(f"clip:{folder}")
    rng = np.random.default_rng(6)
    middle = rng.integers(0, 256, (2, 400, 3), dtype=np.uint8)
    long = np.zeros((2, 100_000, 3), dtype=np.uint8)
    long[:, 49_800:50_200] = middle
    vectors = embed.encode(encoder, [Media("image", array=array) for array in (long, middle)])
    assert (vectors @ vectors).min() > 0.99999


def test_sub_configurations_with_another_projection(folder: Path, tmp_path: Path) -> None:
    """As in published checkpoints whose text_config keeps the default 512 whatever the model projects to."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["projection_dim"] = config["vision_config"]["projection_dim"] = 512
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = embed.load(f"clip:{tmp_path}")
    assert encoder.space.dim == 24
    found = embed.encode(encoder, [Media.from_text(text) for text in TEXTS]).array
    assert np.abs(found - reference_texts(folder, TEXTS)).max() < 1e-5


def test_each_tower_is_loaded_on_its_first_use(folder: Path) -> None:
    encoder = embed.load(f"clip:{folder}")
    embed.encode(encoder, [Media.from_text("siren")])
    assert encoder.towers["text"].loaded
    assert not encoder.towers["image"].loaded and "_image_processor" not in vars(encoder)
    embed.encode(encoder, as_media(pictures()[:1]))
    assert encoder.towers["image"].loaded


@pytest.mark.parametrize("templates", ["openai-7", ["a photo of a {}.", "the sound of a {}, {}"], "a {}"])
def test_templates_average_queries_only(folder: Path, templates: str | list[str]) -> None:
    plain = embed.load(f"clip:{folder}")
    filled = embed.load({"family": "clip", "model": str(folder), "templates": templates})
    sentences = TEMPLATES.get(templates, (templates,)) if isinstance(templates, str) else templates
    words = ["dog", "old siren"]
    expected = [
        unit(reference_texts(folder, [sentence.replace("{}", word) for sentence in sentences]).mean(axis=0))
        for word in words
    ]
    media = [Media.from_text(word) for word in words]
    assert np.abs(embed.encode(filled, media, query=True).array - np.stack(expected)).max() < 1e-5
    assert np.array_equal(embed.encode(filled, media).array, embed.encode(plain, media).array)
    assert filled.space == plain.space


def test_a_template_needs_a_place_for_the_query(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"'openai-8' has no \{\}"):
        embed.load({"family": "clip", "model": str(folder), "templates": "openai-8"})


def test_a_missing_image_processor_is_the_encoders_error_not_the_pictures(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name != "processor_config.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    encoder = embed.load(f"clip:{tmp_path}")
    pictures()[0].save(tmp_path / "picture.png")
    for media in [*as_media(pictures()[:1]), Media.from_path(tmp_path / "picture.png")]:
        with pytest.raises(EncoderError, match="AutoImageProcessor cannot be loaded"):
            embed.encode(encoder, [media])
    assert len(embed.encode(encoder, [Media.from_text("siren")])) == 1


def test_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    with pytest.raises(EncoderError, match="of a siglip model, not of clip"):
        embed.load(f"clip:{tmp_path}")
