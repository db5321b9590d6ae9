"""towers against what transformers' own models, tokenizers and processors give for each input alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import embed
from embed import Media
from embed.encoders.towers import TowersEncoder, _one_side
from embed.errors import EncoderError, UsageError
from tests.embed.encoders import tiny_clap, tiny_clap_fused, tiny_clip, tiny_siglip, tiny_towers

TEXTS = ["a dog barking", "rain on the tin roof", "", "siren, bell and piano of the old man " * 20]
PADDED = {"align": 64, "tipsv2": 64}
CUT = {"metaclip_2": 77, "aimv2": 77, "altclip": 64, "chinese_clip": 48, "x_clip": 77}
CLASSES = sorted(PADDED | CUT)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            getattr(tiny_towers, kind)(made[kind])
        return made[kind]

    return get


def whole(folder: Path) -> Any:
    import torch
    from transformers import AutoModel

    return AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def unit(rows: Any) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = (rows / rows.norm(dim=-1, keepdim=True)).detach().numpy()
    return array


def pictures() -> list[npt.NDArray[np.uint8]]:
    random = np.random.default_rng(3)
    return [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((40, 60, 3), (32, 32, 3), (90, 33, 3))]


@pytest.mark.parametrize("kind", CLASSES)
def test_texts_are_those_of_the_whole_model(folders: Callable[[str], Path], kind: str) -> None:
    from transformers import AutoTokenizer

    folder = folders(kind)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), whole(folder)
    encoder = embed.load(f"towers:{folder}")
    rules = {"padding": "max_length"} if kind in PADDED else {"padding": True}
    length = (PADDED | CUT)[kind]
    texts = [text for text in TEXTS if text or kind != "tipsv2"]  # to which no text has no tokens, and so no vector
    tokens = [tokenizer([one], truncation=True, max_length=length, return_tensors="pt", **rules) for one in texts]
    expected = np.concatenate([unit(model.get_text_features(**one).pooler_output) for one in tokens])
    found = embed.encode(encoder, [Media.from_text(text) for text in texts]).array
    assert found == pytest.approx(expected, abs=1e-5)
    assert encoder.space.preprocessing.endswith(f"text {'padded to' if kind in PADDED else 'cut at'} {length} tokens")


def test_a_text_side_that_depends_on_its_batch_is_refused(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AIMv2's, as transformers attends unless told otherwise: in order only where a mask hides padding."""
    from embed import hub

    pretrained = hub.pretrained

    def customary(cls: Any, where: Path, **options: Any) -> Any:
        return pretrained(cls, where, **options | {"attn_implementation": "sdpa"})

    monkeypatch.setattr(hub, "pretrained", customary)
    with pytest.raises(EncoderError, match=r"a text's vector depends on the others of its batch \(cosine 0\."):
        embed.encode(embed.load(f"towers:{folders('aimv2')}"), [Media.from_text("a dog")])


@pytest.mark.parametrize("kind", sorted({*CLASSES} - {"x_clip", "tipsv2"}))
def test_pictures_are_those_of_the_whole_model(folders: Callable[[str], Path], kind: str) -> None:
    from transformers import AutoImageProcessor

    folder = folders(kind)
    processor, model = AutoImageProcessor.from_pretrained(folder, backend="pil"), whole(folder)
    made = [processor(Image.fromarray(one), return_tensors="pt")["pixel_values"] for one in pictures()]
    expected = np.concatenate([unit(model.get_image_features(one).pooler_output) for one in made])
    found = embed.encode(embed.load(f"towers:{folder}"), [Media("image", array=one) for one in pictures()]).array
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_processor_for_torchvision_alone_is_done_on_pillow(folders: Callable[[str], Path]) -> None:
    import torch

    folder = folders("tipsv2")
    resized = [Image.fromarray(one).resize((32, 32), Image.Resampling.BILINEAR) for one in pictures()]
    pixels = torch.from_numpy(np.stack([np.asarray(one).transpose(2, 0, 1) for one in resized])) / 255
    expected = unit(whole(folder).get_image_features(pixels).pooler_output)
    found = embed.encode(embed.load(f"towers:{folder}"), [Media("image", array=one) for one in pictures()]).array
    assert found == pytest.approx(expected, abs=1e-5)


def test_films_are_those_of_the_whole_model(folders: Callable[[str], Path]) -> None:
    import torch
    from transformers import AutoImageProcessor

    folder = folders("x_clip")
    frames = np.random.default_rng(5).integers(0, 256, (2, 4, 40, 60, 3), dtype=np.uint8)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = torch.stack(
        [processor([Image.fromarray(one) for one in film], return_tensors="pt")["pixel_values"] for film in frames]
    )
    expected = unit(whole(folder).get_video_features(pixels).pooler_output)
    encoder = embed.load({"family": "towers", "model": str(folder), "window": 3.0})
    assert encoder.video is not None and (encoder.video.frames, encoder.video.window) == (4, 3.0)
    prepared = [encoder.prepare(Media("video", array=film)) for film in frames]
    assert np.allclose(unit(torch.from_numpy(encoder.encode_batch(prepared))), expected, atol=1e-5)


def test_sounds_and_pictures_are_those_of_the_families_made_for_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "clap").mkdir()
    tiny_clap.build(tmp_path / "clap")
    heard, own = (embed.load(f"{family}:{tmp_path / 'clap'}") for family in ("towers", "clap"))
    assert heard.audio == own.audio
    assert heard.audio is not None and own.audio is not None
    sounds = [
        Media("audio", array=(0.1 * random.standard_normal(length)).astype(np.float32), rate=heard.audio.rate)
        for length in (3000, 20000, 999)
    ]
    texts = [Media.from_text(text) for text in TEXTS]
    for media in (sounds, texts):
        assert embed.encode(heard, media).array == pytest.approx(embed.encode(own, media).array, abs=1e-4)
    (tmp_path / "clip").mkdir()
    tiny_clip.build(tmp_path / "clip")
    seen, own = (embed.load(f"{family}:{tmp_path / 'clip'}") for family in ("towers", "clip"))
    long = Media("image", array=random.integers(0, 256, (3, 4000, 3), dtype=np.uint8))
    for media in ([long, *(Media("image", array=one) for one in pictures())], texts):
        assert embed.encode(seen, media).array == pytest.approx(embed.encode(own, media).array, abs=1e-5)


def test_each_side_holds_its_own_parts(folders: Callable[[str], Path]) -> None:
    encoder = embed.load(f"towers:{folders('x_clip')}")
    assert isinstance(encoder, TowersEncoder)
    sides = {side: {name for name, _ in tower.module.named_children()} for side, tower in encoder.towers.items()}
    assert sides == {
        "text": {"text_model", "text_projection"},
        "video": {"vision_model", "visual_projection", "mit"},
    }


def test_a_method_that_goes_through_another_keeps_its_parts(folders: Callable[[str], Path]) -> None:
    class Wrapped(type(whole(folders("aimv2")))):  # type: ignore[misc]
        def get_text_features(self, *inputs: Any, **options: Any) -> Any:
            return self.inner(*inputs, **options)

        def inner(self, *inputs: Any, **options: Any) -> Any:
            return self.text_model(*inputs, **options)

    made = _one_side(Wrapped, "get_text_features")(whole(folders("aimv2")).config)
    assert {name for name, _ in made.named_children()} == {"text_model"}


def test_settings_for_texts(folders: Callable[[str], Path]) -> None:
    from transformers import AutoTokenizer

    folder = folders("metaclip_2")
    table = {"family": "towers", "model": str(folder), "max_length": 5, "padding": "max_length"}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer([TEXTS[1]], padding="max_length", max_length=5, truncation=True, return_tensors="pt")
    expected = unit(whole(folder).get_text_features(**tokens).pooler_output)
    encoder = embed.load(table)
    assert embed.encode(encoder, [Media.from_text(TEXTS[1])]).array == pytest.approx(expected, abs=1e-5)
    assert encoder.space != embed.load(f"towers:{folder}").space
    for wrong, said in (
        ({"max_length": 99}, "at most 77 tokens of a text are read; `max_length` is 99"),
        ({"max_length": 0}, "`max_length` is at least 1 token, not 0"),
        ({"padding": "left"}, "`padding` is max_length or longest, not 'left'"),
        ({"window": 3.0}, "looks at pictures and has no use for a window"),
    ):
        with pytest.raises(UsageError, match=said):
            embed.load(table | wrong)


def test_texts_that_all_get_one_vector_are_refused(folders: Callable[[str], Path], tmp_path: Path) -> None:
    """With another token as the end, a causal tower pools the first position, which is the same in every text."""
    import shutil

    folder = shutil.copytree(folders("metaclip_2"), tmp_path / "collapsed")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 3_000_000
    (folder / "config.json").write_text(json.dumps(config))
    encoder = embed.load(f"towers:{folder}")
    with pytest.raises(EncoderError, match=r"gives nearly the same vector to everything \(mean cosine 1\.0000 of 12"):
        embed.encode(encoder, [Media.from_text("a dog")])
    embed.encode(encoder, [Media("image", array=pictures()[0])])


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (tiny_siglip.build, r"is a siglip model, which has a family of its own: siglip:"),
        (tiny_clap_fused.build, r"its ClapFeatureExtractor crops at random \(fusion\); the family clap does not"),
    ],
)
def test_what_is_better_read_elsewhere_is_sent_there(build: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(EncoderError, match=said):
        embed.load(f"towers:{tmp_path}")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "vit"}, "ViTModel has no get_text_features with a twin for images, audio or video"),
        ({"model_type": "bert"}, "BertModel has no get_text_features with a twin for images, audio or video"),
        ({"model_type": "nothing_known"}, "config.json is of no model that transformers has: "),
        ({"model_type": "own", "auto_map": {"AutoConfig": "code.Own"}}, "config.json is of no model that transformers"),
    ],
)
def test_other_models_are_refused_in_one_line(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('code beside a checkpoint was run')")
    with pytest.raises(EncoderError) as caught:
        embed.load(f"towers:{tmp_path}")
    assert said in str(caught.value) and "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
