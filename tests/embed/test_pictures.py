"""Pictures as people have them: what surrounds the pixels may be odd; the pixels are those of the whole file."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from embed import decode
from embed.errors import MediaError
from embed.media import Media
from embed.remarks import Remarks
from tests.media_files import image_bytes, picture, smooth_picture

Pixels = npt.NDArray[np.uint8]
FORMS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIC")
NO_END = "ends without its end mark; all of its pixels are there"
TAIL = b"SEFH" + b"\x01" * 60 + b"end."
FILM = struct.pack(">I", 24) + b"ftypmp42" + bytes(12) + b"\x00\x00\x10\x00mdat" + b"\x07" * 900


def read(content: bytes) -> tuple[Pixels, list[str]]:
    """The pixels of a picture file, and what is said of it; its facts must give the size of these pixels."""
    remarks = Remarks()
    (part,) = decode.parts(Media("image", data=content), remarks=remarks)
    assert part.array is not None
    known = decode.facts(Media("image", data=content))
    assert (known["height"], known["width"]) == part.array.shape[:2]
    return part.array, remarks.notes


def refused(content: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        read(content)
    return caught.value.reason


def encoded(pixels: Pixels, form: str, **options: Any) -> bytes:
    if form != "HEIC":
        return image_bytes(pixels, form, **options)
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(buffer, quality=90, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


# -- what stands around a picture


@pytest.mark.parametrize("form", FORMS)
def test_bytes_behind_the_end_are_passed_over(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    content = encoded(smooth_picture(), form)
    whole, notes = read(content)
    assert notes == []
    structured = form not in ("TIFF", "BMP")  # in these, any stretch of the file may be meant
    for tail, said in (
        (TAIL, [f"has {len(TAIL)} bytes behind the picture's end; they were passed over"]),
        (FILM, ["has a film behind the picture; only the picture was read"]),
        (TAIL[:-4] + b"SEFT", []),  # what a phone appends to every picture
        (bytes(1000), []),
    ):
        pixels, notes = read(content + tail)
        np.testing.assert_array_equal(pixels, whole)
        assert notes == (said if structured else []), tail[:8]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0, "quality": 95}, {"restart_marker_blocks": 2}, {"optimize": True}],
)
def test_a_jpeg_without_its_end_mark_is_whole_until_a_pixel_is_missing(options: dict[str, Any]) -> None:
    for grey in (False, True):
        pixels = picture(64, 48)[..., 0] if grey else picture(64, 48)
        content = image_bytes(pixels, "JPEG", **options)
        whole, _ = read(content)
        for cut in (content[:-1], content[:-2]):
            again, notes = read(cut)
            np.testing.assert_array_equal(again, whole)
            assert notes == [NO_END]
        for missing in (4, 5, 9, 40, 200):
            assert refused(content[:-missing]).startswith("is cut short")


def test_a_progressive_jpeg_without_its_last_scans_is_cut_short() -> None:
    content = image_bytes(picture(64, 48), "JPEG", progressive=True)
    starts = [at for at in range(len(content)) if content[at : at + 2] == b"\xff\xda"]
    assert len(starts) > 4
    for start in starts[1:]:  # after whole scans: what there is decodes without an error
        assert refused(content[:start]).startswith("is cut short")


def test_a_png_without_its_end_is_whole_until_a_pixel_is_missing() -> None:
    content = image_bytes(picture(64, 48), "PNG")
    whole, _ = read(content)
    for missing in (12, 8, 14, 16, 20):  # the end, a part of it, the last checksum, the Adler sum within it
        pixels, notes = read(content[:-missing])
        np.testing.assert_array_equal(pixels, whole)
        assert notes == [NO_END]
    for missing in (40, 200, 2000):
        assert refused(content[:-missing]).startswith("is cut short")


def test_a_gif_without_its_trailer() -> None:
    content = image_bytes(picture(), "GIF")
    pixels, notes = read(content[:-1])
    np.testing.assert_array_equal(pixels, read(content)[0])
    assert content[-1:] == b";" and notes == [NO_END]
    assert refused(content[:-30]).startswith("is cut short")


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_whose_header_gives_a_wrong_size(lossless: bool) -> None:
    content = image_bytes(picture(49, 33), "WEBP", lossless=lossless)
    whole, notes = read(content)
    assert notes == []
    size = struct.unpack("<I", content[4:8])[0]
    for wrong in (0, 4, size - 6, size + 2, size + 5000, 0xFFFFFFF0):
        pixels, notes = read(content[:4] + struct.pack("<I", wrong) + content[8:])
        np.testing.assert_array_equal(pixels, whole)
        assert notes == ["its header gives a wrong size; all of its pixels are there"]
    assert refused(content[:-50]) == "is cut short"


def test_a_bmp_whose_header_gives_a_wrong_size() -> None:
    content = image_bytes(picture(), "BMP")
    for wrong in (0, 1, 1 << 30):
        np.testing.assert_array_equal(read(content[:2] + struct.pack("<I", wrong) + content[6:])[0], picture())


# -- metadata never fails a picture


@pytest.mark.parametrize("place", ["before the pixels", "behind them"])
def test_no_metadata_of_a_png_fails_it(place: str) -> None:
    content = image_bytes(picture(), "PNG")
    at = 33 if place == "before the pixels" else len(content) - 12
    large = zlib.compress(b"x" * 20_000_000)
    bodies = [
        b"", b"\0", b"\xff" * 50, b"Comment\0", b"Comment\0\0" + large, b"Comment\0\x07" + large,
        b"XML:com.adobe.xmp\0\1\0\0\0" + large, b"XML:com.adobe.xmp\0\1\0", b"Comment\0" + b"x" * 3_000_000,
        b"ICC\0\0" + large, b"ICC\0\0" + zlib.compress(b"no profile"), b"Raw profile type exif\0\0" + large,
        b"Raw profile type exif\0\nexif\n  zz\nxyz", b"Exif\0\0MM\0*\xff\xff",
    ]  # fmt: skip
    for name in (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"gAMA", b"cHRM", b"pHYs", b"sBIT", b"acTL", b"fcTL"):
        for body in bodies:
            pixels, notes = read(content[:at] + chunk(name, body) + content[at:])
            np.testing.assert_array_equal(pixels, picture())
            assert notes == []


def test_a_checksum_that_is_wrong_matters_where_it_guards_pixels() -> None:
    content = image_bytes(picture(), "PNG")
    text = chunk(b"tEXt", b"Comment\0rain")
    pixels, notes = read(content[:33] + text[:-1] + b"?" + content[33:])
    np.testing.assert_array_equal(pixels, picture())
    assert notes == ["its tEXt chunk fails its checksum and was left out"]
    at = content.index(b"IDAT") + 100
    assert "checksum" in refused(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_a_large_colour_profile_of_a_png_still_counts() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(profile)
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")  # red and green change places
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    name = bytes(swapped).replace(b"s\0R\0G\0B", b"t\0e\0s\0t").replace(b"sRGB", b"test")
    padded = name + bytes(2_000_000)
    padded = struct.pack(">I", len(padded)) + padded[4:]
    small, _ = read(image_bytes(smooth_picture(), "PNG", icc_profile=name))
    assert np.abs(small.astype(int) - smooth_picture()).mean() > 5  # the profile does something
    content = image_bytes(smooth_picture(), "PNG")
    with pytest.raises(ValueError, match="too large"):  # Pillow's own limit
        Image.open(io.BytesIO(image_bytes(smooth_picture(), "PNG", icc_profile=padded)))
    large = chunk(b"iCCP", b"test\0\0" + zlib.compress(padded))
    np.testing.assert_array_equal(read(content[:33] + large + content[33:])[0], small)


def test_a_colour_profile_of_another_space_is_left_out() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(read(image_bytes(picture(), form, icc_profile=lab))[0], picture())


def test_the_animation_of_a_png_does_not_fail_its_first_picture() -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(picture(seed=seed)) for seed in range(3)]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    content = buffer.getvalue()
    np.testing.assert_array_equal(read(content)[0], picture())
    at = content.index(b"fcTL", content.index(b"IDAT"))
    swapped = content[: at + 4] + chunk(b"fcTL", b"\0\0\0\x09" + content[at + 8 : at + 30])[8:] + content[at + 34 :]
    np.testing.assert_array_equal(read(swapped)[0], picture())  # numbers out of order, beyond the first picture


# -- facts are what was decoded


@pytest.mark.parametrize("form", ["JPEG", "TIFF", "PNG", "WEBP", "AVIF", "HEIC"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_facts_and_pixels_are_upright(form: str, orientation: int) -> None:
    pixels = smooth_picture(96, 64)
    exif = Image.Exif()
    exif[0x112] = orientation
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(image_bytes(pixels, "PNG", exif=exif.tobytes()))))
    array, _ = read(encoded(pixels, form, exif=exif.tobytes()))
    assert array.shape == np.asarray(upright).shape
    assert np.abs(array.astype(int) - np.asarray(upright)).mean() < 3


def test_a_picture_that_says_twice_how_it_is_turned_is_turned_once() -> None:
    pixels = smooth_picture(96, 64)
    exif = Image.Exif()
    exif[0x112], exif[0x113] = 6, 6
    once, _ = read(image_bytes(pixels, "AVIF", exif=exif.tobytes()))
    content = image_bytes(pixels, "AVIF", exif=exif.tobytes())
    twice = content.replace(b"\x01\x13\x00\x03", b"\x01\x12\x00\x03")
    assert b"irot" in content and twice != content
    assert once.shape == (96, 64, 3)
    np.testing.assert_array_equal(read(twice)[0], once)


@pytest.mark.parametrize("kind", ["eXIf behind the pixels", "zTXt", "XMP"])
def test_where_a_png_may_say_how_it_is_turned(kind: str) -> None:
    content = image_bytes(picture(), "PNG")
    exif = Image.Exif()
    exif[0x112] = 8
    raw = exif.tobytes()
    if kind == "XMP":
        text = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/>' + b" " * 2_000_000
        body = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text))
    elif kind == "zTXt":
        text = f"\nexif\n{len(raw):8}\n{raw.hex()}\n".encode()
        body = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    else:
        body = chunk(b"eXIf", raw[6:])
    np.testing.assert_array_equal(read(content[:-12] + body + content[-12:])[0], np.rot90(picture()))


# -- what no decoder here reads is called so


def test_unsupported_is_not_damaged() -> None:
    jpeg, tiff, bmp, png = (image_bytes(smooth_picture(), form) for form in ("JPEG", "TIFF", "BMP", "PNG"))
    frame = jpeg.index(b"\xff\xc0")

    def compressed(number: int) -> bytes:
        offset = struct.unpack("<I", tiff[4:8])[0]
        entry = next(at for at in range(offset + 2, len(tiff), 12) if tiff[at : at + 2] == struct.pack("<H", 259))
        return tiff[: entry + 8] + struct.pack("<H", number) + tiff[entry + 10 :]

    def by_av(codec: str, layout: str) -> bytes:
        context = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt = 96, 64, layout
        context.time_base, context.options = Fraction(1, 25), {"strict": "-2"}
        image = av.VideoFrame.from_ndarray(smooth_picture(), format="rgb24").reformat(format=layout)
        return b"".join(bytes(packet) for packet in (*context.encode(image), *context.encode(None)))

    for content, reason in (
        (by_av("ljpeg", "bgr24"), "unsupported: a lossless JPEG"),
        (by_av("jpegls", "rgb24"), "unsupported: a JPEG-LS picture"),
        (by_av("jpeg2000", "rgb24"), "unsupported: a JPEG 2000 picture"),
        (jpeg[:frame] + b"\xff\xca" + jpeg[frame + 2 :], "unsupported: an arithmetic-coded JPEG"),
        (jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :], "unsupported: a JPEG of 12 bits"),
        (b"\xff\x0a" + bytes(60), "unsupported: a JPEG XL picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60), "unsupported: a JPEG XL picture"),
        (b"8BPS\0\1" + bytes(60), "unsupported: a Photoshop picture"),
        (b"\0\0\0\x18ftypcrx " + bytes(60), "unsupported: a raw camera file"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "unsupported: a raw camera file"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(60), "unsupported: a raw camera file"),
        (compressed(34892), "unsupported: a TIFF picture with compression 34892"),
        (compressed(9), "unsupported: a TIFF picture with compression 9"),
        (png[:8] + chunk(b"CgBI", b"\x50\0\x20\x02") + png[8:], "unsupported: a PNG picture in Apple's own variety"),
        (bmp[:30] + struct.pack("<I", 4) + bmp[34:], "unsupported: a BMP picture of a variety that is not read"),
        (bmp[:30] + struct.pack("<I", 99) + bmp[34:], "is damaged as a BMP picture"),
        (b"%PDF-1.7\n" + bytes(60), "is not a picture but a PDF document"),
        (b"RIFF\0\0\0\0WAVEfmt " + bytes(60), "is not a picture but a recording (wav)"),
    ):
        assert refused(content).startswith(reason)


def test_a_raw_file_is_not_its_preview() -> None:
    """A DNG is a TIFF whose first picture may be a thumbnail."""
    info = Image.Exif()
    info[0xC612] = b"\1\4\0\0"
    assert refused(image_bytes(smooth_picture(), "TIFF", exif=info)) == "unsupported: a raw camera file"


def test_nothing_is_printed_about_a_tiff(capfd: pytest.CaptureFixture[str]) -> None:
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "tiff_adobe_deflate", "packbits"):
        content = image_bytes(picture(), "TIFF", compression=compression)
        for seed in range(12):
            damaged = np.frombuffer(content, np.uint8).copy()
            rng = np.random.default_rng(seed)
            damaged[rng.integers(0, len(damaged), 8)] = rng.integers(0, 256, 8)
            try:
                read(damaged.tobytes())
            except MediaError as error:
                assert "\n" not in error.reason
    assert capfd.readouterr() == ("", "")


def test_the_limits_of_pillow_stay_as_they_are(tmp_path: Path) -> None:
    before = (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, Image.MAX_IMAGE_PIXELS)
    content = image_bytes(picture(), "PNG")
    read(content[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 21))) + content[33:])
    assert before == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, Image.MAX_IMAGE_PIXELS)


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (0xE0, b"JFIF\0"), (0xE0, b"JFIF\0\1"), (0xEE, b"Adobe"), (0xEE, b"Adobe\0"), (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1"), (0xE2, b"ICC_PROFILE\0\1\2nothing"), (0xE2, b"MPF\0MM\0*\0\0\0\x08\0\x03garbage"),
        (0xED, b"Photoshop 3.0\x008BIM\4\4"), (0xED, b"Photoshop 3.0\x008BIM\4\4\0\0\xff\xff\xff\xff"),
        (0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0<"),
        (0xFE, b""), (0xEB, b""),
    ],
)  # fmt: skip
def test_no_metadata_of_a_jpeg_fails_it(marker: int, body: bytes) -> None:
    content = image_bytes(smooth_picture(), "JPEG")
    segment = b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
    for odd in (content[:2] + segment + content[2:], content[:20] + segment + content[20:]):
        np.testing.assert_array_equal(read(odd)[0], read(content)[0])
    assert content[2:4] == b"\xff\xe0" and content[20:21] == b"\xff"  # behind the head, and behind the first segment
