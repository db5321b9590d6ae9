"""siglip against ``SiglipModel`` and ``Siglip2Model`` with their processors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import embed
from embed import Media
from embed.encoders import siglip
from embed.errors import EncoderError, MissingPackage
from embed.space import unit
from tests.embed.encoders import tiny, tiny_siglip, tiny_siglip_naflex

TEXTS = ["a dog barking", "rain on the tin roof", "siren", "ünknown words, and " * 40]
FULL_LENGTH = {"padding": "max_length", "max_length": 64, "truncation": True, "return_tensors": "pt"}


@pytest.fixture(scope="module", params=[tiny_siglip, tiny_siglip_naflex], ids=["fixed", "naflex"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("siglip")
    request.param.build(where)
    return where


def whole(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoProcessor

    return AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)


def text_features(folder: Path, texts: list[str], **how: Any) -> npt.NDArray[np.float32]:
    import torch

    model, processor = whole(folder)
    with torch.inference_mode():
        return unit(model.get_text_features(**processor(text=texts, **how)).pooler_output.numpy())


def ours(folder: Path, texts: list[str]) -> npt.NDArray[np.float32]:
    return embed.encode(embed.load(f"siglip:{folder}"), [Media.from_text(text) for text in texts]).array


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(7)
    shapes = [(60, 80), (32, 32), (7, 5), (1, 1), (3, 500), (500, 3), (400, 300)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


def as_media(pictures: list[Image.Image]) -> list[Media]:
    return [Media("image", array=np.asarray(picture)) for picture in pictures]


def test_text_equals_the_documented_call(folder: Path) -> None:
    assert np.abs(ours(folder, TEXTS) - text_features(folder, TEXTS, **FULL_LENGTH)).max() < 1e-5


@pytest.mark.parametrize(
    "wrong",
    [FULL_LENGTH | {"padding": True}, FULL_LENGTH | {"padding_side": "left"}, FULL_LENGTH | {"max_length": 32}],
    ids=["to the longest", "at the left", "to 32"],
)
def test_another_padding_would_not_pass(folder: Path, wrong: dict[str, Any]) -> None:
    short = TEXTS[:3]
    assert np.abs(ours(folder, short) - text_features(folder, short, **wrong)).max() > 0.01


def test_text_is_lower_cased(folder: Path) -> None:
    mixed = ["A Dog BARKING", "Siren"]
    assert np.abs(ours(folder, mixed) - ours(folder, [text.lower() for text in mixed])).max() < 1e-6


def test_a_gemma_tokenizer_does_not_lower_the_case_by_itself(tmp_path: Path) -> None:
    tiny_siglip.build(tmp_path)
    upper = text_features(tmp_path, ["A Dog BARKING"], **FULL_LENGTH)
    lower = text_features(tmp_path, ["a dog barking"], **FULL_LENGTH)
    assert np.abs(upper - lower).max() > 0.01


def test_images_equal_the_whole_model(folder: Path) -> None:
    import torch

    model, processor = whole(folder)
    with torch.inference_mode():
        inputs = processor(images=pictures(), return_tensors="pt")
        expected = unit(model.get_image_features(**inputs).pooler_output.numpy())
    found = embed.encode(embed.load(f"siglip:{folder}"), as_media(pictures())).array
    assert np.abs(found - expected).max() < 1e-5


def test_naflex_grids_keep_the_aspect_ratio(tmp_path: Path) -> None:
    encoder = embed.load(tiny_siglip_naflex.build(tmp_path))
    shapes = [encoder.prepare(media).array for media in as_media(pictures())]
    found = [array.shape for array in shapes if array is not None]
    assert found[0] == (14, 18, 16 * 16 * 3)  # 60 x 80: the largest grid of that shape with at most 256 patches
    assert found[1] == (16, 16, 16 * 16 * 3)
    assert found[4][0] < found[4][1]


def test_each_tower_is_loaded_on_its_first_use(folder: Path) -> None:
    encoder = embed.load(f"siglip:{folder}")
    embed.encode(encoder, [Media.from_text("siren")])
    assert encoder.towers["text"].loaded
    assert not encoder.towers["image"].loaded and "_image_processor" not in vars(encoder)
    embed.encode(encoder, as_media(pictures()[:1]))
    assert encoder.towers["image"].loaded


def test_the_first_siglip_with_its_sentencepiece_tokenizer(tmp_path: Path) -> None:
    spm = pytest.importorskip("sentencepiece")
    pytest.importorskip("google.protobuf")
    from transformers import SiglipTokenizer

    lines = [" ".join(tiny.VOCABULARY[i : i + 5]) for i in range(len(tiny.VOCABULARY))]
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=60,
        pad_id=-1,
        bos_id=-1,
        eos_id=1,
        unk_id=2,
        minloglevel=2,
    )
    tokenizer = SiglipTokenizer(str(tmp_path / "spiece.model"), model_input_names=["input_ids"])
    folder = tmp_path / "model"
    folder.mkdir()
    tiny_siglip.build(folder, tokenizer=tokenizer)
    texts = [*TEXTS, "A Dog, BARKING!"]
    assert np.abs(ours(folder, texts) - text_features(folder, texts, **FULL_LENGTH)).max() < 1e-5


def test_the_first_siglip_without_sentencepiece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_siglip.build(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "SiglipTokenizer"}))
    monkeypatch.setattr(siglip, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"needs the package sentencepiece.*analogon\[siglip\]"):
        ours(tmp_path, ["siren"])


def test_towers_that_share_no_space(tmp_path: Path) -> None:
    config = {"model_type": "siglip", "text_config": {"hidden_size": 16}, "vision_config": {"hidden_size": 32}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match="16-d texts, 32-d images"):
        embed.load(f"siglip:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(EncoderError, match="of a clip model"):
        embed.load(f"siglip:{tmp_path}")
