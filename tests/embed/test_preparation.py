"""Pictures as networks take them, against transformers' processors; and photographs decoded at a fraction."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from embed import ImageInput, Media, decode
from embed.errors import MediaError
from embed.pictures import Preparation
from embed.remarks import Remarks

Pixels = npt.NDArray[np.uint8]

SHAPES = [(60, 80), (32, 32), (7, 5), (1, 1), (3, 90), (90, 3), (33, 100), (225, 224), (301, 223), (640, 481)]
CONFIGURATIONS: list[tuple[str, dict[str, Any]]] = [
    ("CLIPImageProcessor", {}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": {"height": 50, "width": 33}}),
    ("CLIPImageProcessor", {"size": 30, "crop_size": 41}),  # as in files of before 2023
    ("CLIPImageProcessor", {"size": {"shortest_edge": 31}, "do_center_crop": False, "resample": 1}),
    ("CLIPImageProcessor", {"do_normalize": False, "rescale_factor": 1 / 128}),
    ("CLIPImageProcessor", {"do_rescale": False, "resample": 2, "image_mean": 0.5}),
    ("SiglipImageProcessor", {}),
    ("SiglipImageProcessor", {"size": {"height": 20, "width": 31}, "image_std": [0.2, 0.3, 0.4]}),
    ("ViTImageProcessor", {"size": 48}),
]


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def textured(height: int, width: int, seed: int = 0) -> Pixels:
    """Detail of every size down to single pixels, as a photograph of leaves or cloth has it."""
    random = np.random.default_rng(seed)
    total = np.full((height, width, 3), 128, dtype=np.float32)
    for side, strength in ((4, 60), (16, 40), (64, 30), (256, 25), (1024, 15)):
        for channel in range(3):
            layer = Image.fromarray(random.normal(0, strength, (side, side)).astype(np.float32))
            total[:, :, channel] += np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC))
    return (total + random.normal(0, 8, total.shape)).clip(0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **{"quality": 90} | options)
    return file.getvalue()


def decoded(content: bytes, shorter: int | None) -> Media:
    wanted = None if shorter is None else ImageInput(shorter)
    (part,) = decode.parts(Media("image", data=content), image=wanted)
    return part


def prepared(preparation: Preparation, part: Media) -> npt.NDArray[np.float32]:
    assert part.array is not None
    return preparation(part.array, part.box)


def alike(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """The correlation of two prepared pictures."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize(("kind", "fields"), CONFIGURATIONS)
def test_every_bit_is_as_transformers_has_it(kind: str, fields: dict[str, Any]) -> None:
    import transformers

    processor = getattr(transformers, f"{kind}Pil")(**fields)
    preparation = Preparation.from_config(fields, kind)
    assert preparation is not None
    for shape in SHAPES:
        pixels = noise(*shape)
        expected = processor(pixels, input_data_format="channels_last", return_tensors="np")["pixel_values"][0]
        np.testing.assert_array_equal(preparation(pixels), expected.astype(np.float32))
        assert min(shape) < preparation.shorter or max(expected.shape[1:]) >= preparation.shorter or preparation.crop


@pytest.mark.parametrize(
    "fields",
    [
        {"size": {"longest_edge": 40}},
        {"size": {"shortest_edge": 40, "longest_edge": 80}},
        {"size": {"max_height": 40, "max_width": 40}},
        {"do_pad": True},
        {"do_resize": False},
        {"crop_size": {"shortest_edge": 40}},
        {"image_mean": [0.5]},
        {"resample": "bicubic"},
        {"crop_pct": 0.9},
        {"auto_map": {"AutoImageProcessor": "own.Processor"}},
    ],
)
def test_what_is_not_done_here_is_left_to_transformers(fields: dict[str, Any]) -> None:
    assert Preparation.from_config(fields, "CLIPImageProcessor") is None


def test_the_configuration_is_read_where_transformers_reads_it(tmp_path: Path) -> None:
    assert Preparation.of(tmp_path, "CLIPImageProcessor") is None
    old = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 64, "crop_size": 60}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    found = Preparation.of(tmp_path, "SiglipImageProcessor")
    assert found is not None and (found.size, found.crop) == (64, (60, 60))
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "CLIPProcessor"}))
    assert Preparation.of(tmp_path, "SiglipImageProcessor") == found
    new = {"image_processor": {"image_processor_type": "SiglipImageProcessorFast", "size": {"height": 9, "width": 8}}}
    (tmp_path / "processor_config.json").write_text(json.dumps(new))
    found = Preparation.of(tmp_path, "CLIPImageProcessor")
    assert found is not None and (found.size, found.crop, found.shorter) == ((9, 8), None, 9)
    other = {"image_processor": {"image_processor_type": "LevitImageProcessor"}}
    (tmp_path / "processor_config.json").write_text(json.dumps(other))
    assert Preparation.of(tmp_path, "CLIPImageProcessor") is None


def test_preparing_a_picture_imports_no_transformers(tmp_path: Path) -> None:
    Image.fromarray(noise(50, 60)).save(tmp_path / "picture.png")
    lines = f"""
import sys
from embed import Media, decode
from embed.pictures import Preparation
(part,) = decode.parts(Media.from_path({str(tmp_path / "picture.png")!r}))
Preparation.from_config({{}}, "CLIPImageProcessor")(part.array, part.box)
assert not {{"torch", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", lines], check=True)


@pytest.mark.parametrize(
    ("size", "shorter", "scale"),
    [((450, 600), 75, 2), ((449, 600), 75, 1), ((449, 600), 74, 2), ((450, 601), 37, 4), ((600, 450), 3, 8)],
)
def test_thrice_the_pixels_that_are_needed_are_decoded(size: tuple[int, int], shorter: int, scale: int) -> None:
    part = decoded(jpeg(textured(*size)), shorter)
    assert part.array is not None
    assert part.array.shape == (-(-size[0] // scale), -(-size[1] // scale), 3)
    assert (part.box is None) == (scale == 1)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_other_kinds_are_decoded_whole(form: str) -> None:
    file = io.BytesIO()
    Image.fromarray(textured(300, 400)).save(file, form)
    part = decoded(file.getvalue(), 30)
    assert part.array is not None
    assert (part.array.shape, part.box) == ((300, 400, 3), None)


@pytest.mark.parametrize(("mode", "options"), [("CMYK", {}), ("RGB", {"subsampling": "4:2:2"})])
def test_other_kinds_of_jpeg_are_decoded_whole(mode: str, options: dict[str, Any]) -> None:
    part = decoded(jpeg(textured(300, 400), mode, **options), 30)
    assert part.array is not None
    assert (part.array.shape, part.box) == ((300, 400, 3), None)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(903, 1207), (1203, 901)])
def test_a_fraction_gives_what_the_whole_gives(orientation: int, size: tuple[int, int]) -> None:
    """Turned as the camera says, and of sizes of which a fraction is no whole number."""
    exif = Image.Exif()
    exif[0x112] = orientation
    content = jpeg(textured(*size), exif=exif)
    for kind, fields in (
        ("CLIPImageProcessor", {"size": 70, "crop_size": 70}),
        ("CLIPImageProcessor", {"size": 70, "crop_size": 90}),
        ("SiglipImageProcessor", {"size": {"height": 70, "width": 75}}),
    ):
        preparation = Preparation.from_config(fields, kind)
        assert preparation is not None
        whole, part = decoded(content, None), decoded(content, preparation.shorter)
        assert whole.array is not None and part.array is not None and part.box is not None
        assert part.array.shape[:2] == tuple(-(-side // 4) for side in whole.array.shape[:2])
        exact, found = prepared(preparation, whole), prepared(preparation, part)
        assert found.shape == exact.shape
        assert alike(found, exact) > 0.9998


def profiled(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()  # type: ignore[arg-type]


def wide() -> bytes:
    """A profile that is far from sRGB: red and green change places."""
    profile = bytearray(profiled("sRGB").replace(b"s\0R\0G\0B", b"w\0i\0d\0e").replace(b"sRGB", b"wide"))
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"subsampling": 0}),
        ("RGB", {"progressive": True}),
        ("RGB", {"quality": 40}),
        ("L", {}),
        ("RGB", {"icc_profile": profiled("sRGB")}),
        ("RGB", {"icc_profile": wide()}),
    ],
)
def test_of_every_kind_of_jpeg(mode: str, options: dict[str, Any]) -> None:
    preparation = Preparation.from_config({"size": 70, "crop_size": 70}, "CLIPImageProcessor")
    assert preparation is not None
    content = jpeg(textured(900, 1200), mode, **options)
    whole, part = decoded(content, None), decoded(content, 70)
    assert part.box == (0, 0, 300, 225)
    assert alike(prepared(preparation, part), prepared(preparation, whole)) > 0.9998


def test_the_first_of_several_pictures_in_a_jpeg() -> None:
    preparation = Preparation.from_config({"size": 70, "crop_size": 70}, "CLIPImageProcessor")
    assert preparation is not None
    pixels, file = Image.fromarray(textured(900, 1200)), io.BytesIO()
    pixels.save(file, "MPO", save_all=True, append_images=[pixels.resize((300, 200))])
    whole, part = decoded(file.getvalue(), None), decoded(file.getvalue(), 70)
    assert part.box == (0, 0, 300, 225)
    assert alike(prepared(preparation, part), prepared(preparation, whole)) > 0.9998


def test_what_may_lack_its_end_is_looked_at_as_a_whole() -> None:
    pixels = textured(450, 600)
    pixels[-16:, -16:] = 128
    part = decoded(jpeg(pixels, quality=95), 70)
    assert part.array is not None
    assert (part.array.shape, part.box) == ((450, 600, 3), None)


def test_what_is_wrong_with_a_jpeg_is_told_as_before() -> None:
    content = jpeg(textured(900, 1200))
    frame = content.find(b"\xff\xc0")
    wrong = {
        "cut": content[: len(content) // 2],
        "ended early": content[: len(content) // 2] + b"\xff\xd9",
        "taller": content[: frame + 5] + (1800).to_bytes(2, "big") + content[frame + 7 :],
    }
    for name, damaged in wrong.items():
        reasons = []
        for shorter in (None, 70):
            with pytest.raises(MediaError) as caught:
                decoded(damaged, shorter)
            reasons.append(caught.value.reason)
        assert reasons[0] == reasons[1], name
    for odd in (content[:-2], content + b"SEFH" + b"\x01" * 60 + b"end."):
        notes = []
        for wanted in (None, ImageInput(70)):
            remarks = Remarks()
            list(decode.parts(Media("image", data=odd), image=wanted, remarks=remarks))
            notes.append(remarks.notes)
        assert notes[0] == notes[1] != []
