"""Pictures of which less is there, or less was read, than a file holds."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embed import decode
from embed.errors import MediaError
from embed.media import Media
from embed.remarks import Remarks


def encoded(picture: Image.Image, form: str, **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **how)
    return file.getvalue()


def noted(content: bytes) -> list[str]:
    remarks = Remarks()
    list(decode.parts(Media("image", data=content), remarks=remarks))
    return remarks.notes


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_with_an_end_mark_and_less_data_than_pixels_is_cut_short(mode: str, subsampling: int) -> None:
    rows, columns = np.mgrid[0:96, 0:128]
    pixels = np.stack([columns * 2, rows * 2, (columns > 64) * 200], 2).astype(np.uint8)
    whole = encoded(Image.fromarray(pixels).convert(mode), "JPEG", quality=90, subsampling=subsampling)
    assert noted(whole) == []
    frame = whole.find(b"\xff\xc0")
    taller = whole[: frame + 5] + (192).to_bytes(2, "big") + whole[frame + 7 :]
    for damaged in (whole[: len(whole) * 6 // 10] + b"\xff\xd9", taller):
        with pytest.raises(MediaError, match="is cut short: pixels at its end are missing"):
            noted(damaged)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_ends_in_middle_grey_is_whole(mode: str) -> None:
    grey = Image.new("RGB", (100, 60), (128, 128, 128)).convert(mode)
    grey.paste(Image.new(mode, (50, 20)), (0, 0))
    for progressive in (False, True):
        assert noted(encoded(grey, "JPEG", progressive=progressive)) == []


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_that_a_picture_is_animated_is_told(form: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    assert noted(encoded(frames[0], form, save_all=True, append_images=frames[1:])) == [
        "is animated; only its first picture was read"
    ]
    assert noted(encoded(frames[0], form)) == []


def test_that_a_tiff_has_pages_is_told_and_smaller_versions_are_no_pages() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    assert noted(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])) == [
        "has 3 pages; only the first was read"
    ]
    small = Image.new("RGB", (8, 8))
    small.encoderinfo = {"tiffinfo": {0xFE: 1}}  # type: ignore[attr-defined]
    assert noted(encoded(frames[0], "TIFF")) == []
    assert noted(encoded(frames[0], "TIFF", save_all=True, append_images=[small])) == []
