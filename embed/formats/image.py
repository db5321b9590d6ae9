"""Picture files: upright sRGB pixels over white."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError, one_line
from embed.formats import integrity
from embed.formats.files import described, opened, size
from embed.media import Media

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["facts", "parts"]

PIXELS: Final = 200_000_000


def parts(media: Media, note: Callable[[str], None]) -> Iterator[Media]:
    """One part: uint8 (height, width, 3), upright, sRGB, over white."""
    yield media if media.array is not None else media.but(array=_pixels(media), data=None)


def facts(media: Media) -> dict[str, Any]:
    """Width, height (as stored), format, and bytes."""
    if media.array is not None:
        return {"width": media.array.shape[1], "height": media.array.shape[0]}
    with opened(media) as file:
        picture = _open_picture(media, file)
        return {"width": picture.width, "height": picture.height, "format": _kind(picture), "bytes": size(media)}


def _kind(picture: Image) -> str:
    kind = (picture.format or "").lower()
    return {"mpo": "jpeg", "heif": "heic"}.get(kind, kind)


def _open_picture(media: Media, file: BinaryIO) -> Image:
    """A picture whose header was read; it is decoded by ``load``.

    ``Image.open`` would apply a limit and a warning that belong to the whole process; here the limit is our own.
    """
    from PIL import Image

    # Idempotent, and only about Pillow's own modules: what it would warn of is either an error here or harmless.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    kind = integrity.kind_of(file.read(64))
    file.seek(0)
    if kind is None or kind not in integrity.PICTURES:
        raise MediaError(media.name, f"is not a picture but {described(kind)}" if kind else "is not a picture")
    try:
        if kind == "heic":
            picture = _open_heif(media, file)
        else:
            Image.init()
            picture = Image.OPEN[kind.upper()][0](file, "")
    except MediaError:
        raise
    except Exception as error:
        raise MediaError(media.name, _reason(error, kind)) from None
    if picture.width * picture.height > PIXELS:
        size = f"{picture.width:,} x {picture.height:,} pixels"
        raise MediaError(media.name, f"a decompression bomb? {size} are more than {PIXELS // 1_000_000} million")
    return picture


def _open_heif(media: Media, file: BinaryIO) -> Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        reason = "HEIC pictures need the package pillow-heif: pip install 'analogon[heif]'"
        raise MediaError(media.name, reason) from None
    picture: Image = HeifImageFile(file, "")
    return picture


def _pixels(media: Media) -> npt.NDArray[np.uint8]:
    with opened(media) as file:
        picture = _open_picture(media, file)
        fault = integrity.check(file, _kind(picture))
        if fault is not None:
            raise MediaError(
                media.name, "is cut short" if fault.cut else "is damaged: its contents fail their checksum"
            )
        try:
            picture.load()
            return np.asarray(_to_rgb(_upright(picture)))
        except MediaError:
            raise
        except Exception as error:
            raise MediaError(media.name, _reason(error, _kind(picture))) from None


def _reason(error: Exception, kind: str) -> str:
    reason = one_line(error)
    verdict = "is cut short" if "truncated" in reason.lower() else f"is damaged as a {kind.upper()} picture"
    return f"{verdict}: {reason}"


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
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
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
