"""Pictures that a program has in memory, of Pillow or as arrays, to the pixels that the same picture's file gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError, one_line
from embed.formats.image import PIXELS, upright_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["pixels", "pixels_of_array"]

DEPTHS: Final = (1, 3, 4)  # grey, colours, and colours with how opaque each is
PREMULTIPLIED: Final = {"La": "LA", "RGBa": "RGBA"}


def pixels(picture: Image, name: str) -> npt.NDArray[np.uint8]:
    """uint8 ``(height, width, 3)`` of a Pillow image of any mode: upright by its EXIF block, in sRGB, over white.

    ``picture`` stays as it is, but for what it has not yet read of its file; of one that moves, the frame that it is at
    is taken. Raises ``MediaError`` where it has no pixels, too many, or cannot be read.
    """
    if not picture.width or not picture.height:
        raise MediaError(name, f"a picture of {picture.width} x {picture.height} pixels has none to see")
    if picture.width * picture.height > PIXELS:
        raise MediaError(
            name, f"{picture.width:,} x {picture.height:,} pixels are more than {PIXELS // 1_000_000} million"
        )
    try:
        picture.load()
        if picture.mode in PREMULTIPLIED:
            picture = picture.convert(PREMULTIPLIED[picture.mode])
        return upright_rgb(picture)
    except Exception as error:
        raise MediaError(name, f"a picture in mode {picture.mode} that cannot be read: {one_line(error)}") from error


def pixels_of_array(array: npt.NDArray[Any], name: str, note: Callable[[str], None]) -> npt.NDArray[np.uint8]:
    """uint8 ``(height, width, 3)`` of an array ``(height, width)``, or ``(height, width, c)`` with 1, 3 or 4 of them.

    uint8 counts to 255, uint16 to 65535, booleans are black and white; floats go from 0 to 1, or to 255 where one is
    above 1, which ``note`` is told. The fourth component says how opaque a pixel is, over white. Raises ``MediaError``
    for what has another shape or type, and for numbers that are out of this range or not finite.
    """
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in DEPTHS):
        turned = array.ndim == 3 and shape[0] in DEPTHS
        hint = ": array.transpose(1, 2, 0) is" if turned else ""
        raise MediaError(
            name, f"a picture has the shape (height, width) or (height, width, 1, 3 or 4), not {shape}{hint}"
        )
    if not array.size:
        raise MediaError(name, f"a picture of shape {shape} has no pixels")
    eight = _eight(array, name, note)
    if eight.ndim == 2 or shape[2] == 1:
        grey = eight.reshape(shape[:2])
        return np.repeat(grey[:, :, None], 3, axis=2)
    if shape[2] == 3:
        return np.ascontiguousarray(eight)
    from PIL import Image

    return pixels(Image.fromarray(np.ascontiguousarray(eight), "RGBA"), name)


def _eight(array: npt.NDArray[Any], name: str, note: Callable[[str], None]) -> npt.NDArray[np.uint8]:
    kind = array.dtype
    if kind == np.uint8:
        return array
    if kind == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if kind == np.uint16:
        return np.rint(array * (255.0 / 65535.0)).astype(np.uint8)
    if kind.kind != "f":
        raise MediaError(name, f"a picture's numbers are uint8, uint16 or floats, not {kind}: array.astype(np.uint8)")
    if not np.isfinite(array).all():
        raise MediaError(name, "a picture with numbers that are not finite")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255:
        raise MediaError(
            name,
            f"a picture's floats go from 0 to 1 or to 255; these go from {low:g} to {high:g}: undo what scaled them",
        )
    if high > 1:
        note("its floats go beyond 1: they were taken as 0 to 255")
    return np.rint(array.astype(np.float64) * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
