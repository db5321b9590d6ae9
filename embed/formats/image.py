"""Picture files: upright sRGB pixels over white."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError, one_line
from embed.formats import integrity, salvage
from embed.formats.files import described, opened, refusal, size
from embed.media import Media

if TYPE_CHECKING:
    from PIL.Image import Image

    from embed.encoder import ImageInput

__all__ = ["PIXELS", "facts", "parts", "upright_rgb"]

Box = tuple[float, float, float, float]

PIXELS: Final = 200_000_000
SILENCE: Final = logging.NullHandler()  # without one, what Pillow logs would be printed
# Tags of TIFF and EXIF.
ORIENTATION: Final = 0x112
NEW_SUBFILE_TYPE: Final = 0xFE
REDUCED: Final = 1
MASK: Final = 4
PAGES: Final = 1000  # that are counted
SUB_IFDS: Final = 0x14A
DNG_VERSION: Final = 0xC612
SIDEWAYS: Final = (5, 6, 7, 8)
# Where the left, top, right and bottom of a picture come from, once it is turned upright.
EDGES: Final = {
    1: (0, 1, 2, 3),
    2: (2, 1, 0, 3),
    3: (2, 3, 0, 1),
    4: (0, 3, 2, 1),
    5: (1, 0, 3, 2),
    6: (3, 0, 1, 2),
    7: (3, 2, 1, 0),
    8: (1, 2, 3, 0),
}
SPARE: Final = 3  # times the pixels that are needed, of what is decoded at a fraction of its size
# What a BMP header may say and Pillow does not read; another number is damage.
BMP: Final = re.compile(r"BMP (header type|compression|pixel depth) \((\d+)\)")
BMP_VARIETIES: Final = {"header type": (16,), "compression": (4, 5, 6, 11, 12, 13), "pixel depth": (2, 64)}
UNSUPPORTED: Final = re.compile(
    r"unsupported|not (yet )?supported|cannot handle|not available|unknown (pixel mode|photometric)|not implemented",
    re.I,
)


def parts(media: Media, note: Callable[[str], None], wanted: ImageInput | None = None) -> Iterator[Media]:
    """One part: uint8 (height, width, 3), upright, sRGB, over white. ``note`` is told what was passed over."""
    if media.array is not None:
        yield media
        return
    pixels, box = _pixels(media, note, wanted)
    yield media.but(array=pixels, box=box, data=None)


def facts(media: Media) -> dict[str, Any]:
    """Width and height (upright, as ``parts`` gives it), format, and bytes."""
    if media.array is not None:
        return {"width": media.array.shape[1], "height": media.array.shape[0]}
    with opened(media) as file:
        picture = _open_picture(media, file, lambda text: None)
        width, height = picture.size
        if _turned(picture):
            width, height = height, width
        return {"width": width, "height": height, "format": _kind(picture), "bytes": size(media)}


def _kind(picture: Image) -> str:
    kind = (picture.format or "").lower()
    return {"mpo": "jpeg", "heif": "heic"}.get(kind, kind)


def _open_picture(media: Media, file: BinaryIO, note: Callable[[str], None]) -> Image:
    """A picture whose header was read; it is decoded by ``load``.

    ``Image.open`` would apply a limit and a warning that belong to the whole process; here the limit is our own.
    """
    from PIL import Image

    # Idempotent, and only about Pillow's own modules: what it would warn of is either an error here or harmless.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(SILENCE)
    kind = integrity.kind_of(file.read(64))
    file.seek(0)
    if kind is None or kind not in integrity.PICTURES:
        raise MediaError(media.name, refusal(kind, "a picture"))
    if kind == "tiff":
        _silence_libtiff()
    found = salvage.salvaged(file, kind, note)
    if found.unsupported:
        raise MediaError(media.name, f"unsupported: {found.unsupported}")
    if found.cut:
        raise MediaError(media.name, "is cut short")
    try:
        if kind == "heic":
            picture = _open_heif(media, found.file)
        else:
            Image.init()
            picture = _opened_by_pillow(found.file, kind)
    except MediaError:
        raise
    except Exception as error:
        raise MediaError(media.name, _reason(error, kind, file)) from None
    picture.info.update(found.info)
    if kind == "tiff" and (missing := _not_a_picture(picture)):
        raise MediaError(media.name, f"unsupported: {missing}")
    if picture.width * picture.height > PIXELS:
        size = f"{picture.width:,} x {picture.height:,} pixels"
        raise MediaError(media.name, f"a decompression bomb? {size} are more than {PIXELS // 1_000_000} million")
    return picture


def _opened_by_pillow(file: BinaryIO, kind: str) -> Image:
    from PIL import Image

    try:
        return Image.OPEN[kind.upper()][0](file, "")
    except Exception:
        mended = salvage.jpeg_without_metadata(file) if kind == "jpeg" else None
        if mended is None:
            raise
        return Image.OPEN["JPEG"][0](mended, "")


def _not_a_picture(tiff: Image) -> str:
    """What a TIFF file is whose first picture is only a preview; empty where it is the picture."""
    tags = getattr(tiff, "tag_v2", {})
    preview = tags.get(NEW_SUBFILE_TYPE) == 1 and SUB_IFDS in tags
    return "a raw camera file" if DNG_VERSION in tags or preview else ""


def _open_heif(media: Media, file: BinaryIO) -> Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        reason = "HEIC pictures need the package pillow-heif: pip install 'analogon[heif]'"
        raise MediaError(media.name, reason) from None
    picture: Image = HeifImageFile(file, "")
    return picture


def _pixels(
    media: Media, note: Callable[[str], None], wanted: ImageInput | None
) -> tuple[npt.NDArray[np.uint8], Box | None]:
    """The pixels, and where in them the picture lies if it was decoded at a fraction of its size."""
    with opened(media) as file:
        picture = _open_picture(media, file, note)
        kind = _kind(picture)
        box = None if wanted is None or kind != "jpeg" else _at_a_fraction(picture, wanted.shorter)
        fault = integrity.check(file, kind)
        if fault is not None and not fault.cut:
            raise MediaError(media.name, "is damaged: its contents fail their checksum")
        try:
            picture.load()
        except Exception as error:
            if box is not None:
                return _pixels(media, note, None)
            whole = _without_end(file) if kind == "jpeg" else None
            if whole is None:
                raise MediaError(media.name, _reason(error, kind, file)) from None
            picture = whole
        if kind == "jpeg" and _ends_grey(picture):
            if box is not None:
                return _pixels(media, note, None)
            if _lacks_data(file, picture):
                raise MediaError(media.name, "is cut short: pixels at its end are missing")
        if len(pages := _pages(file) if kind == "tiff" else []) > 1:
            note(f"has {len(pages)} pages; only the first was read")
        if kind in ("gif", "webp", "avif") and getattr(picture, "is_animated", False):
            note(salvage.ANIMATED)
        try:
            return np.asarray(_to_rgb(_upright(picture))), box
        except Exception as error:
            raise MediaError(media.name, _reason(error, kind, file)) from None


def _at_a_fraction(picture: Image, shorter: int) -> Box | None:
    """Have a JPEG decoded at a half, a quarter or an eighth of its size, where ``SPARE`` times ``shorter`` remain.

    Gives where the picture lies in what will be decoded, for a part of a pixel may be added at its right and bottom;
    None where it stays whole.

    The decoder then leaves out what a picture has of fine detail, block by block, which resizing to a third or less
    would average away. Colours that are sampled otherwise than the common cameras' (4:2:2) come out less exactly.
    """
    scale = min(picture.size) // (SPARE * shorter)
    sampled = {layer[1:3] for layer in getattr(picture, "layer", ())}
    if scale < 2 or picture.mode not in ("RGB", "L") or not sampled <= {(1, 1), (2, 2)}:
        return None
    drafted: Any = picture.draft(None, (picture.width // scale, picture.height // scale))
    if drafted is None:
        return None
    orientation = 1
    with contextlib.suppress(Exception):
        orientation = picture.getexif().get(ORIENTATION, 1)
    (width, height), (right, bottom) = picture.size, drafted[1][2:]
    beyond = (0.0, 0.0, width - right, height - bottom)
    edges = EDGES.get(orientation, EDGES[1])
    left, top, right, bottom = (beyond[edge] for edge in edges)
    if orientation in SIDEWAYS:
        width, height = height, width
    return left, top, width - right, height - bottom


def _ends_grey(picture: Image) -> bool:
    """Whether the last pixel is of the grey that a decoder of JPEG gives to what is not there."""
    last = picture.getpixel((picture.width - 1, picture.height - 1))
    values = last if isinstance(last, tuple) else (last,)
    return all(value is not None and 127 <= value <= 128 for value in values)


def _lacks_data(file: BinaryIO, picture: Image) -> bool:
    """Whether a JPEG with an end mark has less data than pixels, which libjpeg fills up without a word to Pillow."""
    from PIL import JpegImagePlugin

    with contextlib.suppress(Exception):
        return any(
            JpegImagePlugin.JpegImageFile(io.BytesIO(content)).tobytes() != picture.tobytes()
            for content in salvage.jpeg_with_more(file)
        )
    return False


def _pages(file: BinaryIO) -> list[int]:
    """Which pictures of a TIFF are pages, and neither smaller versions nor masks of others."""
    from PIL import TiffImagePlugin

    found: list[int] = []
    with contextlib.suppress(Exception):  # of which an end is one
        file.seek(0)
        tiff = TiffImagePlugin.TiffImageFile(file, "")
        for page in range(PAGES):
            tiff.seek(page)
            if not tiff.tag_v2.get(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK):
                found.append(page)
    return found


def _without_end(file: BinaryIO) -> Image | None:
    """The picture of a JPEG that has every pixel but no end mark; None where it has not."""
    from PIL import JpegImagePlugin

    pictures: list[Image] = []
    for content in salvage.jpeg_endings(file):
        try:
            picture = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
            picture.load()
        except Exception:
            return None
        if pictures and picture.tobytes() != pictures[0].tobytes():
            return None
        pictures = pictures or [picture]
    return pictures[0] if pictures else None


def _reason(error: Exception, kind: str, file: BinaryIO) -> str:
    reason = one_line(error)
    if "truncated" in reason.lower():
        return f"is cut short: {reason}"
    if kind == "jpeg" and (coding := salvage.jpeg_coding(file)):
        return f"unsupported: {coding}"
    if kind == "tiff" and isinstance(error.__context__, KeyError) and reason.isdecimal():
        return f"unsupported: a TIFF picture with compression {reason}"
    bmp = BMP.search(reason)
    if UNSUPPORTED.search(reason) and (bmp is None or int(bmp[2]) in BMP_VARIETIES[bmp[1]]):
        return f"unsupported: {described(kind)} of a variety that is not read ({reason})"
    return f"is damaged as {described(kind)}: {reason}"


@cache
def _silence_libtiff() -> None:
    """libtiff prints what is wrong with a file; Pillow hears of it in another way.

    The library is found among those that Pillow's own module was linked with; where that cannot be, it goes on
    printing.
    """
    with contextlib.suppress(AttributeError, OSError):
        from PIL import _imaging

        library = ctypes.CDLL(_imaging.__file__)
        for set_handler in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)


def _turned(picture: Image) -> bool:
    """Whether ``_upright`` will turn a picture on its side, as its header says."""
    from PIL import Image

    orientation = 1
    with contextlib.suppress(Exception):
        # That of PNG would decode the picture first.
        orientation = Image.Image.getexif(picture).get(ORIENTATION, 1)
    if orientation not in SIDEWAYS:
        return False
    # The size of a TIFF is that of the upright picture already, where its own tag says so.
    return getattr(picture, "tag_v2", {}).get(ORIENTATION) not in SIDEWAYS


def upright_rgb(picture: Image) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3) of a picture that somebody else opened, as ``parts`` gives it; it stays as it is."""
    from PIL import ImageOps

    turned = None
    with contextlib.suppress(Exception):  # an EXIF block that cannot be read says nothing
        if picture.getexif().get(ORIENTATION, 1) != 1:
            turned = ImageOps.exif_transpose(picture)
    return np.array(_to_rgb(turned or picture))


def _upright(picture: Image) -> Image:
    """The picture turned as its EXIF orientation says; an EXIF block that cannot be read says nothing."""
    from PIL import ImageOps

    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(picture, in_place=True)  # a copy of a large photograph would cost as much as turning it
    return picture


def _to_rgb(picture: Image) -> Image:
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        picture = Image.fromarray(_to_8_bits(np.asarray(picture)))
    alpha = None
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
    rgb = _to_srgb(picture)
    if alpha is None:
        return rgb
    over_white = Image.new("RGB", rgb.size, "white")
    over_white.paste(rgb, mask=alpha)
    return over_white


def _to_8_bits(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey of 16 bits, 32 bits or floating point, scaled to 0..255; floats up to 1 count as 0..1."""
    if not np.isfinite(grey).all():
        raise ValueError("holds pixels that are not finite")
    low, high = float(grey.min()), float(grey.max())
    if np.issubdtype(grey.dtype, np.integer) and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    scaled = (grey.astype(np.float64) - low) * (255.0 / ((high - low) or 1.0))
    eight: npt.NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return eight


def _to_srgb(picture: Image) -> Image:
    """RGB pixels, by way of the embedded colour profile where there is a valid one."""
    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[source.profile.xcolor_space.strip()]
            if "srgb" not in (source.profile.profile_description or "").lower() and (mode == "CMYK") == (
                picture.mode == "CMYK"
            ):
                converted = ImageCms.profileToProfile(picture.convert(mode), source, _srgb_profile(), outputMode="RGB")
                assert converted is not None
                return converted
    return picture if picture.mode == "RGB" else picture.convert("RGB")


@cache
def _srgb_profile() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")
