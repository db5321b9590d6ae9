"""embedding_gemma2: EmbeddingGemma 2, one space for text, pictures, sound and video, of Google DeepMind.

The encoder is Gemma 4's text model with attention in both directions; sound and pictures enter it as soft tokens from
towers of their own, and a vector is the mean over all tokens of its projected states. Texts take a prompt, one for
queries and one for what is searched; sounds and pictures take none. After the model card of google/embeddinggemma-2,
which builds on Vera et al. 2025, "EmbeddingGemma" (arXiv 2509.20354).

transformers' own processor for video needs torchvision. Frames are pictures to this model, so they go through the
processor for pictures here, with the settings of the one for video; Pillow does the resizing in torchvision's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import AudioInput, Encoder, VideoInput
from embed.errors import EncoderError, UsageError, one_line
from embed.media import Media, Modality
from embed.space import Space
from embed.tower import AUTO, Running, Tower

__all__ = ["DEFAULT_MODEL", "DOCUMENT", "QUERY", "EmbeddingGemma2Encoder", "load"]

DEFAULT_MODEL: Final = "google/embeddinggemma-2"
QUERY: Final = "task: search result | query: "
DOCUMENT: Final = "title: none | text: "
CONTEXT: Final = 8192  # tokens; the configuration's 262,144 positions are those of the model it was made from
SOUND_SAMPLES: Final = 480_000  # where Gemma4AudioFeatureExtractor cuts
VIDEO_TOKEN: Final = "<|video|>"
FRAME_SETTINGS: Final = (
    *("max_soft_tokens", "patch_size", "pooling_kernel_size", "resample"),
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
)


class Prompted(str):
    """A text that carries its prompt already."""


class EmbeddingGemma2Encoder(Encoder):
    """Text alone loads the text model alone; the first sound or picture adds its tower to it."""

    batch_size = 8

    def __init__(
        self,
        model: str,
        where: Path,
        config: Any,
        dim: int,
        *,
        window: float,
        hop: float | None,
        frames: int | None,
        running: Running = AUTO,
    ) -> None:
        self.where, self.config = where, config
        modalities: list[Modality] = ["text"]
        inputs = []
        if config.audio_config is not None:
            modalities.append("audio")
            self.audio = AudioInput(_extractor(where).sampling_rate, window, hop)
            inputs.append(str(self.audio))
            if window * self.audio.rate > SOUND_SAMPLES:
                longest = SOUND_SAMPLES / self.audio.rate
                raise UsageError(f"embedding_gemma2 hears {longest:g} s at a time: window can be no longer")
        if config.vision_config is not None:
            modalities += ["image", "video"]
            settings = self.video_settings
            frames = frames or min(settings.get("max_frames") or 32, max(1, int(window * (settings.get("fps") or 1))))
            self.video = VideoInput(frames, window, hop)
            inputs.append(str(self.video))
        self.modalities = frozenset(modalities)
        self.towers = {"all": Tower("all", self._build, where=where, running=running, output=_mean)}
        self.space = Space(
            model=f"embedding_gemma2:{model}",
            weights=hub.weights_hash(where),
            preprocessing="; ".join([f"texts as {DOCUMENT!r}, queries as {QUERY!r}, cut at {CONTEXT} tokens", *inputs]),
            dim=dim,
        )

    def embed_query(self, media: Media) -> Media:
        return media if media.text is None else media.but(text=Prompted(QUERY + media.text))

    def prepare(self, media: Media) -> Media:
        """Sound becomes log-mel frames, float32 ``(n, bands)``; pictures are resized, uint8 ``([frames,] h, w, 3)``."""
        if media.modality == "text":
            return media
        assert media.array is not None
        if media.modality == "audio":
            return media.but(array=self._mel(media.array))
        if media.modality == "image":
            return media.but(array=_resized(self.image_processor, media.array))
        return media.but(array=np.stack([_resized(self.frame_processor, frame) for frame in media.array]))

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        arrays = [media.array for media in batch if media.array is not None]
        match batch[0].modality:
            case "text":
                return self._texts([_prompted(media.text or "") for media in batch])
            case "audio":
                return self._sounds(arrays)
            case "image":
                return self._images(arrays)
            case _:
                return np.concatenate([self._video(array) for array in arrays])

    def _texts(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """In groups of like length: one long text would make all others as long, and attention is quadratic."""
        tokens = self.tokenizer(texts, truncation=True, max_length=CONTEXT)["input_ids"]
        groups: list[list[int]] = [[]]
        for index in sorted(range(len(texts)), key=lambda index: len(tokens[index])):
            if groups[-1] and len(tokens[index]) * (len(groups[-1]) + 1) > CONTEXT:
                groups.append([])
            groups[-1].append(index)
        rows = np.empty((len(texts), self.space.dim), dtype=np.float32)
        for group in groups:
            rows[group] = self._embed([texts[index] for index in group], truncation=True, max_length=CONTEXT)
        return rows

    def _mel(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The valid frames; less than one frame of sound gets silence after it."""
        missing = self.extractor.hop_length + 1 - len(samples)
        samples = np.pad(np.asarray(samples, dtype=np.float32), (0, max(0, missing)))
        features = self.extractor([samples], sampling_rate=self.extractor.sampling_rate, return_tensors="np")
        mel: npt.NDArray[np.float32] = features["input_features"][0][features["input_features_mask"][0]]
        return mel

    def _sounds(self, mels: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        from transformers import EmbeddingGemma2Processor

        self._need("audio")
        lengths = [len(mel) for mel in mels]
        features = np.zeros((len(mels), max(lengths), mels[0].shape[1]), dtype=np.float32)
        for row, mel in zip(features, mels, strict=True):
            row[: len(mel)] = mel
        mask = np.arange(features.shape[1])[None] < np.array(lengths)[:, None]
        t = self.tokenizer
        texts = [
            f"{t.boa_token}{t.audio_token * EmbeddingGemma2Processor.compute_sscp(length)}{t.eoa_token}"
            for length in lengths
        ]
        return self._embed(texts, {"input_features": features, "input_features_mask": mask})

    def _images(self, images: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        self._need("vision")
        inputs = self.image_processor(images, do_resize=False, return_tensors="np")
        t = self.tokenizer
        texts = [f"{t.boi_token}{t.image_token * int(n)}{t.eoi_token}" for n in inputs["num_soft_tokens_per_image"]]
        return self._embed(texts, {key: inputs[key] for key in ("pixel_values", "image_position_ids")})

    def _video(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """One at a time: the frames of one are a batch for the vision tower."""
        self._need("vision")
        inputs = self.frame_processor(list(frames), do_resize=False, return_tensors="np")
        t = self.tokenizer
        text = "".join(f"{t.boi_token}{VIDEO_TOKEN * int(n)}{t.eoi_token}" for n in inputs["num_soft_tokens_per_image"])
        media = {
            "pixel_values_videos": inputs["pixel_values"],
            "video_position_ids": inputs["image_position_ids"],
            "num_frames_per_video": np.array([len(frames)]),
        }
        return self._embed([text], media)

    def _embed(self, texts: list[str], media: dict[str, Any] | None = None, **cut: Any) -> npt.NDArray[np.float32]:
        """Mean over the tokens of each text, placeholders of media included, as its Sentence Transformers files say."""
        tokens = self.tokenizer(texts, padding=True, return_tensors="np", **cut)
        rows = self.towers["all"](input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], **media or {})
        return rows[:, : self.space.dim]

    def _need(self, side: str) -> None:
        """Add the audio or the vision tower to the model, unless it is there."""
        whole = self.towers["all"]
        if getattr(whole.module, f"{side}_tower") is not None:
            return
        from transformers import AutoModel
        from transformers.models.embedding_gemma2 import modeling_embedding_gemma2 as modeling

        settings = getattr(self.config, f"{side}_config")
        tower, embedder = f"{side}_tower", f"embed_{side}"
        parts = hub.parts(
            modeling.EmbeddingGemma2PreTrainedModel,
            self.where,
            {
                tower: lambda: AutoModel.from_config(settings),
                embedder: lambda: modeling.EmbeddingGemma2MultimodalEmbedder(settings, self.config.text_config),
            },
            config=self.config,
        )
        parts = whole.placed(parts)
        setattr(whole.module.config, f"{side}_config", settings)
        setattr(whole.module, tower, getattr(parts, tower))
        setattr(whole.module, embedder, getattr(parts, embedder))

    def _build(self) -> Any:
        """The text model, and the towers that were needed so far."""
        from copy import deepcopy

        from transformers import EmbeddingGemma2Model

        text_only = deepcopy(self.config)
        text_only.vision_config = text_only.audio_config = None
        return hub.pretrained(EmbeddingGemma2Model, self.where, config=text_only)

    @cached_property
    def tokenizer(self) -> Any:
        tokenizer = hub.tokenizer(self.where)
        tokenizer.add_special_tokens({"additional_special_tokens": [VIDEO_TOKEN]})  # as the processor does
        return tokenizer

    @cached_property
    def extractor(self) -> Any:
        return _extractor(self.where)

    @cached_property
    def image_processor(self) -> Any:
        from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

        try:
            return Gemma4ImageProcessorPil.from_pretrained(self.where, local_files_only=True)
        except Exception as error:
            raise EncoderError(f"{self.where}: no image processor in it: {one_line(error)}") from None

    @cached_property
    def frame_processor(self) -> Any:
        """The image processor, with what the video processor says of a frame."""
        from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

        settings = self.video_settings
        if settings.get("add_timestamps"):
            raise EncoderError(f"{self.where}: it wants each frame's time in the text, which is not supported")
        ours = (
            "resample",
            "rescale_factor",
            "do_normalize",
            "image_mean",
            "image_std",
            "patch_size",
            "pooling_kernel_size",
        )
        given = {key: settings[key] for key in ours if key in settings}
        return Gemma4ImageProcessorPil(max_soft_tokens=settings.get("max_soft_tokens", 70), **given)

    @cached_property
    def video_settings(self) -> dict[str, Any]:
        """What the checkpoint says of its video processor; empty where it leaves all at the defaults."""
        for name, key in (("processor_config.json", "video_processor"), ("video_preprocessor_config.json", None)):
            if (self.where / name).is_file():
                settings = hub.config(self.where, name)
                if key is None or key in settings:
                    return dict(settings[key] if key else settings)
        return {}


def load(
    model: str,
    *,
    window: float = 30.0,
    hop: float | None = None,
    frames: int | None = None,
    dim: int | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> EmbeddingGemma2Encoder:
    """``embedding_gemma2:google/embeddinggemma-2``, or a folder with an ``EmbeddingGemma2Model``.

    ``window`` and ``hop`` are seconds of sound or video, 30 at most. ``frames`` pictures of each window of a video are
    looked at; without it one a second, 32 at most, as the checkpoint says. ``dim`` keeps the first components only
    (Matryoshka); the model was trained for 768, 512, 256 and 128. A video is its pictures: its sound is not heard.
    A checkpoint without a tower has no such modality. ``device`` and ``precision``: see ``embed.tower.Running``.
    """
    running = Running(device, precision)
    where = hub.folder(model)
    kind = hub.config(where).get("model_type")
    if kind != "embedding_gemma2":
        raise EncoderError(f"{where}: its model_type is {kind!r}, not 'embedding_gemma2'")

    from transformers import EmbeddingGemma2Config

    try:
        config = EmbeddingGemma2Config.from_pretrained(where, local_files_only=True)
    except Exception as error:
        raise EncoderError(f"{where}/config.json does not configure EmbeddingGemma 2: {one_line(error)}") from None
    full = config.text_config.embedding_dim
    if dim is not None and not 0 < dim <= full:
        raise UsageError(f"dim can be 1 to {full}, not {dim}")
    return EmbeddingGemma2Encoder(
        model, where, config, dim or full, window=window, hop=hop, frames=frames, running=running
    )


def _mean(model: Any, inputs: dict[str, Any]) -> Any:
    states = model(**inputs).last_hidden_state
    weights = inputs["attention_mask"][:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def _prompted(text: str) -> str:
    whole = text if isinstance(text, Prompted) else DOCUMENT + text
    # Half of a surrogate pair is not UTF-8, and the tokenizer would refuse it.
    return whole.encode("utf-8", "replace").decode()


def _extractor(where: Path) -> Any:
    from transformers import Gemma4AudioFeatureExtractor

    try:
        return Gemma4AudioFeatureExtractor.from_pretrained(where, local_files_only=True)
    except Exception as error:
        raise EncoderError(f"{where}: no audio feature extractor in it: {one_line(error)}") from None


def _resized(processor: Any, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The first step of ``Gemma4ImageProcessorPil``, which leaves a picture small, without its copies of the large."""
    from PIL import Image
    from transformers.models.gemma4.image_processing_pil_gemma4 import get_aspect_ratio_preserving_size

    height, width = picture.shape[:2]
    size = get_aspect_ratio_preserving_size(
        height=height,
        width=width,
        patch_size=processor.patch_size,
        max_patches=processor.max_soft_tokens * processor.pooling_kernel_size**2,
        pooling_kernel_size=processor.pooling_kernel_size,
    )
    if size == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize(size[::-1], processor.resample))
