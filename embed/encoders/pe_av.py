"""pe_av: Perception Encoder's audio, video and audio-visual models, each with its own text head.

Bolya et al. 2025, "Perception Encoder" (arXiv 2504.13181), and its audio-visual successor, PE-AV, as transformers'
``PeAudioModel``, ``PeVideoModel`` and ``PeAudioVideoModel`` implement them. Over one text tower (ModernBERT) such a
checkpoint has a text head and a media head for sound, for pictures, and for both together: up to three spaces, of
which ``target`` chooses one.

The models do not normalise what their heads give: their logits are scaled dot products with a bias. Searching by
cosine, as done here, drops each item's norm, scale and bias: for one item the order of texts by logit may differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import AudioInput, Encoder, VideoInput
from embed.errors import EncoderError, MediaError, one_line
from embed.media import Media
from embed.space import Space
from embed.tower import AUTO, Running, Tower

__all__ = ["DEFAULT_MODEL", "PeAvEncoder", "load"]

DEFAULT_MODEL: Final = "facebook/pe-av-large"
TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "pe_audio": ("audio",),
    "pe_video": ("video",),
    "pe_audio_video": ("audio", "video", "audio_video"),
}
TEXT_TOKENS: Final = 512  # as PE-AV's own code cuts captions; the tower's positions would allow 8,192


@dataclass(frozen=True, slots=True)
class Pictures:
    """How frames become the model's input; what ``PeVideoVideoProcessor`` does, which needs torchvision."""

    size: tuple[int, int]
    resample: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def read(cls, where: Path) -> Pictures:
        """From the checkpoint's processor files. Raises ``EncoderError`` where they ask for another treatment."""
        for name in ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json"):
            if (where / name).is_file():
                settings = hub.config(where, name)
                settings = settings.get("video_processor", settings)
                if "image_mean" in settings:
                    break
        else:
            raise EncoderError(f"{where} holds no video_preprocessor_config.json, which says how frames are prepared")
        size = settings.get("size") or {}
        resample = {2: "bilinear", 3: "bicubic"}.get(settings.get("resample", 2))
        scale = settings.get("rescale_factor", 1 / 255)
        if not {"height", "width"} <= size.keys() or resample is None or settings.get("do_center_crop"):
            raise EncoderError(
                f"{where / name}: frames can be resized to a height and a width, bilinear or bicubic, without a crop; "
                f"it asks for size {size}, resample {settings.get('resample')}, crop {settings.get('do_center_crop')}"
            )
        mean, std = (tuple(float(v) / scale for v in settings[key]) for key in ("image_mean", "image_std"))
        return cls((size["height"], size["width"]), resample, mean, std)

    def __call__(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 ``(n, h, w, 3)`` to float32 ``(n, 3, *size)``; torchvision's tensor resize is this same function."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
        if pixels.shape[-2:] != self.size:
            pixels = torch.nn.functional.interpolate(pixels, self.size, mode=self.resample, antialias=True)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        normal: npt.NDArray[np.float32] = ((pixels.float() - mean) / std).numpy()
        return normal


class PeAvEncoder(Encoder):
    """``target`` "audio": text and sound; "video": text and pictures; "audio_video": text and video with its sound."""

    batch_size = 8
    extractor: Any

    def __init__(
        self,
        model: str,
        where: Path,
        config: Any,
        target: str,
        window: float,
        hop: float | None,
        frames: int,
        running: Running = AUTO,
    ) -> None:
        self.where, self.config, self.target = where, config, target
        self.extractor = None if target == "video" else _extractor(where)
        self.pictures = None if target == "audio" else Pictures.read(where)
        if target == "audio":
            self.audio = AudioInput(self.extractor.sampling_rate, window, hop)
        else:
            self.video = VideoInput(frames, window, hop, self.extractor and self.extractor.sampling_rate)
        self.modalities = frozenset({"text", "audio"} if target == "audio" else {"text", "video"})
        self.towers = {
            "text": Tower("text", self._build_text, where=where, running=running, output=self._text_rows),
            target: Tower(target, self._build_media, where=where, running=running, output=self._media_rows),
        }
        self.space = Space(
            model=f"pe_av:{model}" + ("" if target == "audio" else f" ({target})"),
            weights=hub.weights_hash(where),
            preprocessing=f"PE {target} heads, text cut at {TEXT_TOKENS} tokens, {self.audio or self.video}",
            dim=config.text_config.hidden_size,
        )

    def prepare(self, media: Media) -> Media:
        if media.modality != "video":
            return media
        assert media.array is not None and self.pictures is not None
        if self.target == "audio_video" and (media.sound is None or not len(media.sound)):
            raise MediaError(media.name, "has no sound, which target audio_video needs; target video does not")
        return media.but(array=self.pictures(media.array))

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        if batch[0].modality == "text":
            # Half of a surrogate pair is not UTF-8, and the tokenizer would refuse it.
            return self._texts([(media.text or "").encode("utf-8", "replace").decode() for media in batch])
        # Padding would leak into its neighbours through the convolutions: only equal lengths go together.
        alike: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, media in enumerate(batch):
            alike[self._lengths(media)].append(index)
        rows = np.empty((len(batch), self.space.dim), dtype=np.float32)
        for indices in alike.values():
            rows[indices] = self._media([batch[index] for index in indices])
        return rows

    def _lengths(self, media: Media) -> tuple[int, ...]:
        """How many codec frames of sound and how many pictures it has."""
        sound = 0 if self.extractor is None else -(-len(_sound(media)) // self.extractor.hop_length)
        assert media.array is not None
        return sound, 0 if self.pictures is None else len(media.array)

    def _texts(self, texts: list[str]) -> npt.NDArray[np.float32]:
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=TEXT_TOKENS, return_tensors="np")
        return self.towers["text"](input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])

    def _text_rows(self, tower: Any, inputs: dict[str, Any]) -> Any:
        # As the models themselves do it: hidden_states[-1] need not be last_hidden_state, the configuration decides.
        states = tower.text_model(**inputs, output_hidden_states=-1).hidden_states[-1]
        return tower.get_submodule(self._name(f"text_{self.target}_head"))(states[:, 0])

    def _media(self, alike: Sequence[Media]) -> npt.NDArray[np.float32]:
        """Rows of media that are equally long."""
        inputs: dict[str, Any] = {}
        if self.extractor is not None:
            sounds = [np.asarray(_sound(media), dtype=np.float32) for media in alike]
            features = self.extractor(sounds, sampling_rate=self.extractor.sampling_rate, return_tensors="np")
            inputs["input_values"] = features["input_values"]
        if self.pictures is not None:
            inputs["pixel_values_videos"] = np.stack([media.array for media in alike if media.array is not None])
        return self.towers[self.target](**inputs)

    def _media_rows(self, tower: Any, inputs: dict[str, Any]) -> Any:
        encoder = tower.get_submodule(self._name(f"{self.target}_encoder"))
        return tower.get_submodule(self._name(f"{self.target}_head"))(encoder(**inputs).pooler_output)

    def _name(self, part: str) -> str:
        """What the checkpoint calls a part: an audio-visual one keeps the single sides in models of their own."""
        branch = self.config.model_type == "pe_audio_video" and self.target != "audio_video"
        return f"{self.target}_model.{part}" if branch else part

    @cached_property
    def tokenizer(self) -> Any:
        return hub.tokenizer(self.where)

    def _build_text(self) -> Any:
        """The text model and the target's text head."""
        from transformers import AutoModel

        text = self.config.text_config
        return self._parts(
            {
                "text_model": lambda: AutoModel.from_config(text),
                self._name(f"text_{self.target}_head"): lambda: self._head(text),
            }
        )

    def _build_media(self) -> Any:
        """The target's encoder and head."""
        from transformers import AutoModel, PeAudioVideoEncoder

        sides = getattr(self.config, "audio_video_config", self.config)
        both = self.target == "audio_video"
        side = sides if both else sides.audio_config if self.target == "audio" else sides.video_config
        # The checkpoint holds the single encoders once, in their own branches; the joint one is tied to them.
        tied = {
            rf"^{one}_model\.{one}_encoder\.": f"audio_video_encoder.embedder.{one}_encoder."
            for one in ("audio", "video")
        }
        return self._parts(
            {
                self._name(f"{self.target}_encoder"): lambda: (
                    PeAudioVideoEncoder(side) if both else AutoModel.from_config(side)
                ),
                self._name(f"{self.target}_head"): lambda: self._head(side),
            },
            key_mapping=tied if both else None,
        )

    def _head(self, side: Any) -> Any:
        from transformers.models.pe_audio_video.modeling_pe_audio_video import PeAudioVideoContrastiveHead

        return PeAudioVideoContrastiveHead(side.hidden_size, self.space.dim)

    def _parts(self, modules: dict[str, Any], **options: Any) -> Any:
        from transformers.models.pe_audio_video.modeling_pe_audio_video import PeAudioVideoPreTrainedModel

        return hub.parts(PeAudioVideoPreTrainedModel, self.where, modules, config=self.config, **options)


def load(
    model: str,
    *,
    target: str | None = None,
    window: float = 10.0,
    hop: float | None = None,
    frames: int = 16,
    device: str = "auto",
    precision: str = "auto",
) -> PeAvEncoder:
    """``pe_av:facebook/pe-av-large``, or a folder with a ``PeAudioModel``, ``PeVideoModel`` or ``PeAudioVideoModel``.

    ``target`` is "audio", "video" or "audio_video": the pair of heads, and with it the space. Without it an
    audio-visual checkpoint offers its audio. ``window`` and ``hop`` are seconds; ``frames`` pictures of each window are
    looked at. The video side needs the package timm, whose ViT sees the single frames.
    ``device`` and ``precision``: see ``embed.tower.Running``.
    """
    running = Running(device, precision)
    where = hub.folder(model)
    kind = hub.config(where).get("model_type")
    if kind not in TARGETS:
        raise EncoderError(f"{where}: its model_type is {kind!r}; pe_av reads {', '.join(TARGETS)}")
    target = target or TARGETS[kind][0]
    if target not in TARGETS[kind]:
        raise EncoderError(f"{model} is a {kind} model: target can be {', '.join(TARGETS[kind])}, not {target!r}")
    if target != "audio" and find_spec("timm") is None:
        raise EncoderError(f"{model} with target {target!r} needs the package timm (and its torchvision): install timm")

    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(where, local_files_only=True)
    except Exception as error:
        raise EncoderError(f"{where}/config.json does not configure a {kind} model: {one_line(error)}") from None
    return PeAvEncoder(model, where, config, target, window, hop, frames, running)


def _extractor(where: Path) -> Any:
    """transformers' ``PeAudioFeatureExtractor``, which mirrors a sound's end up to whole codec frames."""
    from transformers import PeAudioFeatureExtractor

    try:
        return PeAudioFeatureExtractor.from_pretrained(where, local_files_only=True)
    except Exception as error:
        raise EncoderError(f"{where}: no audio feature extractor in it: {one_line(error)}") from None


def _sound(media: Media) -> npt.NDArray[np.float32]:
    sound = media.array if media.modality == "audio" else media.sound
    assert sound is not None
    return sound
