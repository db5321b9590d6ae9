"""Pictures as a network takes them: resized, cropped, scaled and normalised as a checkpoint's own processor does it.

What ``CLIPImageProcessor``, ``SiglipImageProcessor`` and ``ViTImageProcessor`` of transformers do to a picture on
Pillow is four steps, which are done here to the same bit, without transformers (whose import takes seconds) and without
its copies. A configuration that asks for anything else is left to transformers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.errors import EncoderError
from embed.media import Media

__all__ = ["Preparation"]

BILINEAR: Final = 2
BICUBIC: Final = 3
CLIP: Final = {
    "size": {"shortest_edge": 224},
    "default_to_square": False,
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "resample": BICUBIC,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALVES: Final = {"size": {"height": 224, "width": 224}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
# What each class does where its configuration says nothing.
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "CLIPImageProcessor": CLIP,
    "SiglipImageProcessor": HALVES | {"resample": BICUBIC},
    "ViTImageProcessor": HALVES | {"resample": BILINEAR},
}
STEPS: Final[dict[str, Any]] = {
    "default_to_square": True,
    "crop_size": None,
    "do_resize": True,
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "do_pad": False,
}
# What a configuration may say besides, and what changes no pixel here.
ASIDE: Final = frozenset(
    {
        *("image_processor_type", "feature_extractor_type", "processor_class", "_processor_class"),
        *("do_convert_rgb", "data_format", "input_data_format", "return_tensors", "image_seq_length"),
        *("device", "disable_grouping", "pad_size"),
    }
)


@dataclass(frozen=True)
class Preparation:
    """What becomes of a picture. ``size`` is its new height and width, or one number, which its shorter side gets.

    ``crop`` is the height and width that are cut from its middle, with black around where it is smaller. Then a value
    v of 0..255 becomes (v * ``scale`` - ``mean``) / ``deviation``, of which None leaves out a step.
    """

    size: tuple[int, int] | int
    resample: int
    crop: tuple[int, int] | None
    scale: float | None
    mean: tuple[float, ...] | None
    deviation: tuple[float, ...] | None

    @classmethod
    def of(cls, where: Path, default: str) -> Preparation | None:
        """That of the checkpoint in a folder, whose class is ``default`` where its files name none.

        None where they ask for something that is not done here, or are not there.
        """
        fields: Any = None
        with suppress(EncoderError):  # it is told where a picture needs the processor
            for name, inner in (("processor_config.json", "image_processor"), ("preprocessor_config.json", None)):
                if fields is None and (where / name).is_file():
                    fields = hub.config(where, name)
                    fields = fields if inner is None else fields.get(inner)
        if not isinstance(fields, dict):
            return None
        named = fields.get("image_processor_type") or fields.get("feature_extractor_type") or default
        kind = str(named).replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast").removesuffix("Pil")
        return cls.from_config(fields, kind) if kind in DEFAULTS else None

    @classmethod
    def from_config(cls, fields: Mapping[str, Any], kind: str) -> Preparation | None:
        """Read the fields of a ``preprocessor_config.json`` of class ``kind``; None where it asks for more than this.

        >>> Preparation.from_config({"size": 336, "crop_size": 336}, "CLIPImageProcessor").size
        336
        """
        whole = STEPS | DEFAULTS[kind] | {key: value for key, value in fields.items() if value is not None}
        size, crop = _sides(whole["size"], whole["default_to_square"]), None
        if whole["do_center_crop"]:
            crop = _sides(whole["crop_size"], square=True)
        means = [_three(whole[key]) if whole["do_normalize"] else None for key in ("image_mean", "image_std")]
        known = (
            set(fields) <= ASIDE | STEPS.keys() | CLIP.keys()
            and size is not None
            and whole["do_resize"] is True
            and whole["resample"] in range(6)
            and not whole["do_pad"]
            and (not whole["do_center_crop"] or isinstance(crop, tuple))
            and (not whole["do_normalize"] or None not in means)
            and isinstance(whole["rescale_factor"], int | float)
        )
        if not known or size is None or isinstance(crop, int):
            return None
        scale = float(whole["rescale_factor"]) if whole["do_rescale"] else None
        return cls(size, int(whole["resample"]), crop, scale, *means)

    @property
    def shorter(self) -> int:
        """How many pixels the shorter side of a picture becomes at the most."""
        return self.size if isinstance(self.size, int) else max(self.size)

    def takes(self, media: Media) -> bool:
        """Whether the picture is one of three channels of 8 bits, as decoding gives them."""
        array = media.array
        return array is not None and array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3

    def __call__(
        self, pixels: npt.NDArray[np.uint8], box: tuple[float, float, float, float] | None = None
    ) -> npt.NDArray[np.float32]:
        """uint8 ``(height, width, 3)`` to float32 ``(3, height, width)``, as transformers has it to the last bit.

        ``box`` is that of a picture that was decoded at a fraction of its size: see ``embed.media.Media``. Of such a
        one no more is resized than the crop keeps, which rounds a few of its pixels otherwise.
        """
        from PIL import Image

        picture = Image.fromarray(pixels)
        if box is None:
            height, width = self._resized(*pixels.shape[:2])
            small = picture.resize((width, height), self.resample)
            return self._normalised(_cropped(np.asarray(small), self.crop))
        left, top, right, bottom = box
        height, width = self._resized(bottom - top, right - left)
        crop = self.crop
        if crop is not None and crop[0] <= height and crop[1] <= width:
            tall, wide = (bottom - top) / height, (right - left) / width  # of one pixel of the result
            top, left = top + (height - crop[0]) // 2 * tall, left + (width - crop[1]) // 2 * wide
            box = (left, top, min(right, left + crop[1] * wide), min(bottom, top + crop[0] * tall))
            height, width = crop
        small = picture.resize((width, height), self.resample, box)
        return self._normalised(_cropped(np.asarray(small), crop))

    def _resized(self, height: float, width: float) -> tuple[int, int]:
        """Height and width after resizing; a half or a quarter of a picture's size gives the same as the whole."""
        if not isinstance(self.size, int):
            return self.size
        longer = int(self.size * max(height, width) / min(height, width))
        return (longer, self.size) if width <= height else (self.size, longer)

    def _normalised(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        planes = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
        for channel, values in enumerate(self._values):
            np.take(values, pixels[:, :, channel], out=planes[channel], mode="clip")  # "raise" would make a copy
        return planes

    @cached_property
    def _values(self) -> npt.NDArray[np.float32]:
        """What each of the 256 values becomes in each channel: float32 ``(3, 256)``, rounded where transformers rounds.

        It multiplies in double precision and normalises in single.
        """
        values = np.arange(256, dtype=np.float64)
        if self.scale is not None:
            values = values * self.scale
        table = np.repeat(values.astype(np.float32)[None], 3, axis=0)
        if self.mean is not None and self.deviation is not None:
            mean, deviation = (np.array(one, dtype=np.float32)[:, None] for one in (self.mean, self.deviation))
            table = (table - mean) / deviation
        return table


def _cropped(pixels: npt.NDArray[np.uint8], crop: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    """The middle of a picture, with black around it where the crop is larger."""
    if crop is None:
        return pixels
    missing = [max(0, wanted - has) for wanted, has in zip(crop, pixels.shape[:2], strict=True)]
    offsets = [(has - wanted) // 2 for wanted, has in zip(crop, pixels.shape[:2], strict=True)]
    if any(missing):
        before = [math.ceil(count / 2) for count in missing]
        pixels = np.pad(pixels, [*((b, m - b) for b, m in zip(before, missing, strict=True)), (0, 0)])
        offsets = [offset + b for offset, b in zip(offsets, before, strict=True)]
    (top, left), (height, width) = offsets, crop
    return pixels[max(0, top) : top + height, max(0, left) : left + width]


def _sides(size: Any, square: bool) -> tuple[int, int] | int | None:
    """Height and width, or the shorter side alone, of any of the forms that a configuration has; None of another."""
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return (size, size) if square else size
    if not isinstance(size, Mapping):
        return None
    given = {key: value for key, value in size.items() if value is not None}
    if not all(isinstance(value, int) and value > 0 for value in given.values()):
        return None
    if given.keys() == {"height", "width"}:
        return given["height"], given["width"]
    return int(given["shortest_edge"]) if given.keys() == {"shortest_edge"} else None


def _three(values: Any) -> tuple[float, ...] | None:
    if isinstance(values, int | float):
        return (float(values),) * 3
    if isinstance(values, list | tuple) and len(values) == 3 and all(isinstance(one, int | float) for one in values):
        return tuple(float(one) for one in values)
    return None
