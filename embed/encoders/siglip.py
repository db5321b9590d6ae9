"""siglip: text and images in one space (Zhai et al. 2023, "Sigmoid loss for language image pre-training"; Tschannen et
al. 2025, "SigLIP 2"), with checkpoints of transformers' ``SiglipModel`` and ``Siglip2Model``.

The text tower pools its last position, padding or not: texts are always padded to the full length of 64 tokens as in
training, since any other padding gives quite different vectors without a word. SigLIP 2 was trained on lower case.
NaFlex checkpoints (``Siglip2Model``) see pictures in their own aspect ratio, as a grid of patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import Encoder, ImageInput
from embed.errors import EncoderError, MissingPackage
from embed.media import Media
from embed.pictures import Preparation
from embed.space import Space
from embed.tokens import Tokens, tokens
from embed.tower import AUTO, Running, Tower

__all__ = ["DEFAULT_MODEL", "SiglipEncoder", "load"]

DEFAULT_MODEL: Final = "google/siglip2-base-patch16-224"
TEXT_TOKENS: Final = 64
SIZE: Final = 768  # of the towers, where a configuration leaves it out


class SiglipEncoder(Encoder):
    """A checkpoint in the folder ``where``; each tower is loaded when it is first used."""

    modalities = frozenset({"text", "image"})

    def __init__(self, model: str, where: Path, running: Running = AUTO) -> None:
        config = hub.config(where)
        family = config.get("model_type")
        if family not in ("siglip", "siglip2"):
            raise EncoderError(f"{where}: its config.json is of a {family} model, not of siglip or siglip2")
        text, vision = config.get("text_config") or {}, config.get("vision_config") or {}
        sizes = text.get("projection_size") or text.get("hidden_size", SIZE), vision.get("hidden_size", SIZE)
        if sizes[0] != sizes[1] or vision.get("vision_use_head") is False:
            raise EncoderError(f"{where}: its towers ({sizes[0]}-d texts, {sizes[1]}-d images) do not share a space")
        self.where = where
        self.naflex = family == "siglip2"
        self.preparation = None if self.naflex else Preparation.of(where, "SiglipImageProcessor")
        self.image = None if self.preparation is None else ImageInput(self.preparation.shorter)
        self.lower = "SiglipTokenizer" not in self._tokenizer_class  # that one has its own rules for case
        self.tokens = min(TEXT_TOKENS, int(text.get("max_position_embeddings", TEXT_TOKENS)))
        self.towers = {
            "text": Tower("text", self._build_text, where=where, running=running, output="pooler_output", exports=True),
            "image": Tower(
                "image",
                self._build_image,
                where=where,
                running=running,
                output="pooler_output",
                exports=not self.naflex,  # positions are resized to each picture's shape, which no ONNX operator does
            ),
        }
        self.space = Space(
            model=f"siglip:{model}",
            weights=hub.weights_hash(where),
            preprocessing=f"SigLIP image processor on Pillow; {'lower-case ' * self.lower}text padded to {self.tokens}",
            dim=int(sizes[0]),
        )

    def prepare(self, media: Media) -> Media:
        """Pictures become float32 ``(3, height, width)``, or ``(rows, columns, patch values)`` for NaFlex."""
        if media.modality != "image" or media.array is None:
            return media
        if self.preparation is not None and self.preparation.takes(media):
            return media.but(array=self.preparation(media.array, media.box), box=None)
        made = self._image_processor(media.array, input_data_format="channels_last", return_tensors="np")
        pixels = made["pixel_values"][0].astype(np.float32, copy=False)
        if self.naflex:
            rows, columns = made["spatial_shapes"][0]
            pixels = pixels[: rows * columns].reshape(rows, columns, -1)
        return media.but(array=pixels)

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        if batch[0].modality == "text":
            return self.towers["text"](**self._tokens([media.text or "" for media in batch]))
        arrays = [media.array for media in batch if media.array is not None]
        return self.towers["image"](**(self._patches(arrays) if self.naflex else {"pixel_values": np.stack(arrays)}))

    def _tokens(self, texts: list[str]) -> dict[str, Any]:
        """The tokenizer decides whether there is an attention mask: published checkpoints were trained without."""
        if self.lower:
            texts = [text.lower() for text in texts]
        made = self._tokenizer(texts, longest=self.tokens, length=self.tokens)
        return {name: made[name] for name in self._tokenizer.names if name in made}

    def _patches(self, grids: list[npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[Any]]:
        """Grids of patches as rows of one length, with a mask over what is padding."""
        most = self._image_processor.max_num_patches
        values = np.zeros((len(grids), most, grids[0].shape[2]), dtype=np.float32)
        mask = np.zeros((len(grids), most), dtype=np.int32)
        for i, grid in enumerate(grids):
            count = grid.shape[0] * grid.shape[1]
            values[i, :count] = grid.reshape(count, -1)
            mask[i, :count] = 1
        shapes = np.array([grid.shape[:2] for grid in grids], dtype=np.int64)
        return {"pixel_values": values, "pixel_attention_mask": mask, "spatial_shapes": shapes}

    @property
    def _tokenizer_class(self) -> str:
        if not (self.where / "tokenizer_config.json").is_file():
            raise EncoderError(f"{self.where} holds no tokenizer_config.json; put the tokenizer's files there")
        default = "Siglip2Tokenizer" if self.naflex else "SiglipTokenizer"
        return str(hub.config(self.where, "tokenizer_config.json").get("tokenizer_class") or default)

    @cached_property
    def _tokenizer(self) -> Tokens:
        if not self.lower and not (find_spec("sentencepiece") and find_spec("google.protobuf")):
            raise MissingPackage("sentencepiece", "siglip", f"the tokenizer of {self.space.model}")
        return tokens(self.where)

    @cached_property
    def _image_processor(self) -> Any:
        from transformers import AutoImageProcessor

        return hub.processor(AutoImageProcessor, self.where, backend="pil")

    def _build_text(self) -> Any:
        from transformers import Siglip2TextModel, SiglipTextModel

        return hub.pretrained(Siglip2TextModel if self.naflex else SiglipTextModel, self.where)

    def _build_image(self) -> Any:
        from transformers import Siglip2VisionModel, SiglipVisionModel

        return hub.pretrained(Siglip2VisionModel if self.naflex else SiglipVisionModel, self.where)


def load(model: str, *, device: str = "auto", precision: str = "auto") -> SiglipEncoder:
    """``siglip:MODEL``, SigLIP or SigLIP 2, of fixed resolution or NaFlex.

    ``device`` and ``precision``: see ``embed.tower.Running``.
    Raises ``ModelNotFound``, ``UsageError``, or ``EncoderError`` where the files are not such a model's.
    """
    return SiglipEncoder(model, hub.folder(model), Running(device, precision))
