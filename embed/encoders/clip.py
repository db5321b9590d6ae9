"""clip: text and images in one space (Radford et al. 2021, "Learning transferable visual models from natural language
supervision"), with any checkpoint of transformers' ``CLIPModel``.

Pictures are prepared as by the checkpoint's own image processor on Pillow, so that torchvision is never needed and
never changes a vector. ``templates`` fill a query into sentences such as "a photo of a {}." and average their vectors,
which for class names gains about as much as a larger model does. It acts on queries alone, since captions in a
collection are sentences already: what is indexed, and so the space, stays the same with any templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import Encoder, ImageInput
from embed.errors import EncoderError, UsageError
from embed.media import Media
from embed.pictures import Preparation
from embed.space import Space, unit
from embed.tokens import Tokens, tokens
from embed.tower import AUTO, Running, Tower

__all__ = ["DEFAULT_MODEL", "TEMPLATES", "ClipEncoder", "load"]

DEFAULT_MODEL: Final = "openai/clip-vit-base-patch32"
POSITIONS: Final = 77  # of texts, where a configuration leaves it out
TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "photo": ("a photo of a {}.",),
    # The seven that OpenAI's forward selection over ImageNet kept of eighty.
    "openai-7": (
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ),
}
# Scaled so that its short side fits, a picture of 1 x 10,000 pixels would take 1.5 GB; only its middle is seen.
LONGEST_TO_SHORTEST: Final = 200


class ClipEncoder(Encoder):
    """A ``CLIPModel`` checkpoint in the folder ``where``; each tower is loaded when it is first used."""

    modalities = frozenset({"text", "image"})

    def __init__(self, model: str, where: Path, templates: tuple[str, ...], running: Running = AUTO) -> None:
        config = hub.config(where)
        if config.get("model_type") != "clip":
            raise EncoderError(f"{where}: its config.json is of a {config.get('model_type')} model, not of clip")
        self.where = where
        self.templates = templates
        self.towers = {
            "text": Tower("text", self._build_text, where=where, running=running, output="text_embeds", exports=True),
            "image": Tower(
                "image", self._build_image, where=where, running=running, output="image_embeds", exports=True
            ),
        }
        self.preparation = Preparation.of(where, "CLIPImageProcessor")
        self.image = None if self.preparation is None else ImageInput(self.preparation.shorter)
        self.space = Space(
            model=f"clip:{model}",
            weights=hub.weights_hash(where),
            preprocessing="CLIP image processor on Pillow",
            dim=int(config.get("projection_dim", 512)),
        )

    def embed_query(self, media: Media) -> Media:
        """A text with its templates filled in: ``array`` holds the sentences, str ``(n,)``."""
        if not self.templates or media.text is None:
            return media
        return media.but(array=np.array([template.replace("{}", media.text) for template in self.templates]))

    def prepare(self, media: Media) -> Media:
        """Pictures become float32 ``(3, height, width)``: resized, cropped in the middle and normalised."""
        if media.modality != "image" or media.array is None:
            return media
        if self.preparation is not None and self.preparation.takes(media):
            pixels = media.array if media.box else _middle(media.array)
            return media.but(array=self.preparation(pixels, media.box), box=None)
        made = self._image_processor(_middle(media.array), input_data_format="channels_last", return_tensors="np")
        return media.but(array=made["pixel_values"][0].astype(np.float32, copy=False))

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        if batch[0].modality == "text":
            return self._texts(batch)
        pixels = np.stack([media.array for media in batch if media.array is not None])
        return self.towers["image"](pixel_values=pixels)

    def _texts(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        """The vector of each text, or the mean of the unit vectors of the sentences that a query became."""
        sentences = [[media.text or ""] if media.array is None else media.array.tolist() for media in batch]
        flat = list(chain.from_iterable(sentences))
        rows = unit(self.towers["text"](**self._tokens(flat, longest=self._longest)))
        ends = np.cumsum([len(one) for one in sentences])
        return np.stack([part.mean(axis=0) for part in np.split(rows, ends[:-1])])

    @cached_property
    def _tokens(self) -> Tokens:
        return tokens(self.where)

    @cached_property
    def _longest(self) -> int:
        """Tokens that the text tower has positions for."""
        config = hub.config(self.where)
        text = (config.get("text_config") or {}) | (config.get("text_config_dict") or {})  # the latter from of old
        return int(text.get("max_position_embeddings", POSITIONS))

    @cached_property
    def _image_processor(self) -> Any:
        from transformers import AutoImageProcessor

        return hub.processor(AutoImageProcessor, self.where, backend="pil")

    @cached_property
    def _config(self) -> Any:
        """The checkpoint's: ``projection_dim`` of the whole is the true one, many sub-configurations keep a default."""
        from transformers import CLIPConfig

        config = hub.processor(CLIPConfig, self.where)
        config.text_config.projection_dim = config.vision_config.projection_dim = config.projection_dim
        return config

    def _build_text(self) -> Any:
        from transformers import CLIPTextModelWithProjection

        return hub.pretrained(CLIPTextModelWithProjection, self.where, config=self._config.text_config)

    def _build_image(self) -> Any:
        from transformers import CLIPVisionModelWithProjection

        return hub.pretrained(CLIPVisionModelWithProjection, self.where, config=self._config.vision_config)


def _middle(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pixels ``(height, width, 3)`` without the ends of a picture that is more than 200 times as long as wide."""
    limit = LONGEST_TO_SHORTEST * min(pixels.shape[:2])
    top, left = (max(0, side - limit) // 2 for side in pixels.shape[:2])
    return pixels[top : top + limit, left : left + limit]


def load(
    model: str, *, templates: str | Sequence[str] = (), device: str = "auto", precision: str = "auto"
) -> ClipEncoder:
    """``clip:MODEL``. ``templates`` are sentences with ``{}`` that each text query is filled into, or a set's name:
    "photo" or "openai-7". ``device`` and ``precision``: see ``embed.tower.Running``.

    Raises ``ModelNotFound``, ``EncoderError`` where the files are not a ``CLIPModel``'s, or ``UsageError`` where a
    template has no ``{}``.
    """
    if isinstance(templates, str):
        templates = TEMPLATES.get(templates, (templates,))
    if wrong := [template for template in templates if "{}" not in template]:
        sets = " and ".join(TEMPLATES)
        raise UsageError(f"the template {wrong[0]!r} has no {{}} for the query (sets of templates: {sets})")
    return ClipEncoder(model, hub.folder(model), tuple(templates), Running(device, precision))
