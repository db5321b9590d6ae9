"""towers: text beside images, audio or video, by any model of transformers with ``get_text_features`` and a twin.

MetaCLIP 2, AIMv2, ALIGN, AltCLIP, Chinese-CLIP, TIPSv2, X-CLIP and what else has ``get_image_features``,
``get_audio_features`` or ``get_video_features``: the class, the tokenizer and the processor are those that the
checkpoint's own configuration names. Code that lies beside a checkpoint is never run. Models with a family of their own
(SigLIP, PE) belong there, since they want more care than their files say.

Texts are padded as the model's processor says, which matters where a tower pools its last position; a text side that
gives nearly one vector to everything is refused at its first use.
"""

from __future__ import annotations

import copy
import inspect
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import AudioInput, Encoder, VideoInput
from embed.errors import EncoderError, UsageError, one_line
from embed.media import Media, Modality
from embed.space import Space
from embed.spread import USELESS, mean_cosine
from embed.tower import Running, Tower

if TYPE_CHECKING:
    import torch

__all__ = ["TowersEncoder", "load"]

TWINS: Final[tuple[Modality, ...]] = ("image", "audio", "video")
ELSEWHERE: Final = {"siglip": "siglip", "siglip2": "siglip", "embedding_gemma2": "embedding_gemma2"} | dict.fromkeys(
    ("pe_audio", "pe_video", "pe_audio_video"), "pe_av"
)
ENDLESS: Final = 1_000_000  # tokenizers without a limit say 10^30
LONGEST_TO_SHORTEST: Final = 200  # of a picture whose short side is fitted and whose middle is cut out
ALONE: Final = 0.99  # cosine of a text alone and in a batch; low precision rounds the two differently
WINDOW: Final = 10.0  # seconds, where a feature extractor says nothing
PHRASES: Final = (
    *("a dog barks", "rain on a tin roof", "a red car", "an old man reads", "waves at the sea", "a slow piano"),
    *("the queen of hearts", "a door is closed", "green hills", "a crowd cheers", "two small birds", "stars at night"),
)


class TowersEncoder(Encoder):
    """A checkpoint of ``cls`` in the folder ``where``; each side is loaded when it is first used."""

    def __init__(
        self,
        model: str,
        where: Path,
        config: Any,
        cls: Any,
        *,
        window: float | None,
        hop: float | None,
        max_length: int | None,
        padding: str | None,
        running: Running,
    ) -> None:
        sides = [side for side in TWINS if hasattr(cls, f"get_{side}_features")]
        self.where, self.config, self.cls = where, config, cls
        self.modalities = frozenset({"text", *sides})
        self._extractor: Any = None
        seen = []
        if "audio" in sides:
            self._extractor = _extractor(where)
            self.audio = _heard(self._extractor, where, window, hop)
            seen.append(f"{type(self._extractor).__name__}, {self.audio}")
        if "video" in sides:
            frames = getattr(config.vision_config, "num_frames", None) or 8
            self.video = VideoInput(int(frames), window or WINDOW, hop)
            seen.append(f"frames on Pillow, {self.video}")
        if "image" in sides:
            seen.append("image processor on Pillow")
        if not ("audio" in sides or "video" in sides) and (window or hop):
            raise UsageError(f"{model} looks at pictures and has no use for a window")
        self.padding, self.length = _text_rules(cls, config, where, padding, max_length)
        padded = "padded to" if self.padding == "max_length" else "cut at"
        self.towers = {
            side: Tower(
                side, partial(self._build, side), where=where, running=running, output=partial(_rows, cls, where, side)
            )
            for side in ("text", *sides)
        }
        self.space = Space(
            model=f"towers:{model}",
            weights=hub.weights_hash(where),
            preprocessing=f"{cls.__name__}; {'; '.join(seen)}; text {padded} {self.length or 'no'} tokens",
            dim=_dim(config, where),
        )

    def prepare(self, media: Media) -> Media:
        """What the processor makes of one picture, the frames of one video or one sound, without a batch axis."""
        if media.modality == "text" or media.array is None:
            return media
        if media.modality == "audio":
            made = self._extractor(media.array, sampling_rate=self._extractor.sampling_rate, return_tensors="np")
            return media.but(array=np.asarray(made[self._input("audio")][0], dtype=np.float32))
        pictures = media.array if media.modality == "video" else media.array[None]
        made = self._image_processor(
            [self._middle(one) for one in pictures], input_data_format="channels_last", return_tensors="np"
        )
        pixels = np.asarray(made["pixel_values"], dtype=np.float32)
        pixels = pixels[0] if pixels.ndim == 5 else pixels  # some processors take a list for one video
        return media.but(array=pixels if media.modality == "video" else pixels[0])

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        side = batch[0].modality
        if side == "text":
            assert self._told_apart
            return self._texts([media.text or "" for media in batch])
        alike: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, media in enumerate(batch):
            assert media.array is not None
            alike[media.array.shape].append(index)
        rows = np.empty((len(batch), self.space.dim), dtype=np.float32)
        for indices in alike.values():
            arrays = np.stack([array for index in indices if (array := batch[index].array) is not None])
            rows[indices] = self._checked(self.towers[side](**{self._input(side): arrays}))
        return rows

    def _texts(self, texts: list[str]) -> npt.NDArray[np.float32]:
        # Half of a surrogate pair is not UTF-8, and tokenizers would refuse it.
        tokens = self._tokenizer(
            [text.encode("utf-8", "replace").decode() for text in texts],
            padding="max_length" if self.padding == "max_length" else True,
            truncation=self.length is not None,
            max_length=self.length,
            return_tensors="np",
        )
        taken = inspect.signature(self.cls.get_text_features).parameters
        return self._checked(self.towers["text"](**{name: tokens[name] for name in tokens if name in taken}))

    def _checked(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if rows.shape[1] != self.space.dim:
            raise EncoderError(f"{self.where}: gives {rows.shape[1]} components, its config.json says {self.space.dim}")
        return rows

    @cached_property
    def _told_apart(self) -> bool:
        """Whether texts are told from each other. Raises ``EncoderError`` where twelve phrases get one vector, or one
        of them another beside the others than alone.
        """
        together = self._texts(list(PHRASES))
        cosine = mean_cosine(together)
        if not cosine < USELESS["text"]:
            raise EncoderError(
                f"{self.where}: its text side gives nearly the same vector to everything (mean cosine {cosine:.4f} of "
                f"{len(PHRASES)} phrases): its weights are broken, or texts want other `padding` than {self.padding}"
            )
        same = mean_cosine(np.concatenate([together[:1], self._texts([PHRASES[0]])]))
        if not same > ALONE:
            raise EncoderError(
                f"{self.where}: a text's vector depends on the others of its batch (cosine {same:.4f} with itself): "
                f"texts want other `padding` than {self.padding}"
            )
        return True

    def _middle(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A picture without the ends that are cut off anyway, which a fitted short side would blow up to gigabytes."""
        if not getattr(self._image_processor, "do_center_crop", False):
            return pixels
        limit = LONGEST_TO_SHORTEST * min(pixels.shape[:2])
        top, left = (max(0, side - limit) // 2 for side in pixels.shape[:2])
        return pixels[top : top + limit, left : left + limit]

    def _input(self, side: str) -> str:
        """What the side's method calls its sounds or pixels."""
        parameters = inspect.signature(getattr(self.cls, f"get_{side}_features")).parameters
        return next(name for name in parameters if name.startswith(("pixel_values", "input_")))

    @cached_property
    def _tokenizer(self) -> Any:
        return hub.tokenizer(self.where)

    @cached_property
    def _image_processor(self) -> Any:
        """The checkpoint's own, on Pillow: torchvision is never needed and never changes a vector."""
        from transformers import AutoImageProcessor
        from transformers.image_processing_backends import PilBackend

        try:
            found = hub.processor(AutoImageProcessor, self.where, backend="pil")
        except EncoderError:
            found = None
        if found is None or not isinstance(found, PilBackend):
            # Only written for torchvision: the steps that its file asks for are the same.
            found = hub.processor(_plain_processor(self.where), self.where)
        return found

    def _build(self, side: str) -> Any:
        options = {"config": copy.deepcopy(self.config)}
        if side == "text":
            # Other ways to attend leave out a mask that hides no padding, and with it AIMv2's order of words: a text
            # alone would get another vector than beside a longer one.
            options["attn_implementation"] = "eager"
        return hub.pretrained(_one_side(self.cls, f"get_{side}_features"), self.where, **options)


def load(
    model: str,
    *,
    window: float | None = None,
    hop: float | None = None,
    max_length: int | None = None,
    padding: str | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> TowersEncoder:
    """``towers:facebook/metaclip-2-worldwide-huge-quickgelu``, or a folder with such a model.

    ``window`` and ``hop`` are seconds, for models that hear or see films; without them a window is as long as the
    model's feature extractor allows, or 10 s. ``max_length`` is in tokens; ``padding`` is "max_length" or "longest".
    Without them the model's processor decides. ``device`` and ``precision``: see ``embed.tower.Running``.

    Raises ``ModelNotFound``, or ``EncoderError`` where the model has no such methods or belongs to another family.
    """
    running = Running(device, precision)
    where = hub.folder(model)
    kind = hub.config(where).get("model_type")
    if kind in ELSEWHERE:
        raise EncoderError(f"{model} is a {kind} model, which has a family of its own: {ELSEWHERE[kind]}:{model}")
    if padding not in (None, "max_length", "longest"):
        raise UsageError(f"`padding` is max_length or longest, not {padding!r}")
    if max_length is not None and max_length < 1:
        raise UsageError(f"`max_length` is at least 1 token, not {max_length}")

    from transformers import MODEL_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(where, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise EncoderError(f"{where}/config.json is of no model that transformers has: {one_line(error)}") from None
    cls = MODEL_MAPPING.get(type(config), None)
    cls = cls[0] if isinstance(cls, tuple | list) else cls
    if not hasattr(cls, "get_text_features") or not any(hasattr(cls, f"get_{side}_features") for side in TWINS):
        name = getattr(cls, "__name__", f"a {kind} model")
        raise EncoderError(
            f"{model}: {name} has no get_text_features with a twin for images, audio or video; towers needs both"
        )
    return TowersEncoder(
        model,
        where,
        config,
        cls,
        window=window,
        hop=hop,
        max_length=max_length,
        padding=padding,
        running=running,
    )


def _one_side(cls: Any, method: str) -> Any:
    """A class of the model without the parts that a method does not speak of: only the others' weights are loaded."""
    kept = _spoken_of(cls, method)

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        cls.__init__(self, *arguments, **options)
        for name in list(self._modules):
            if name not in kept:
                del self._modules[name]

    def init_weights(self: Any, module: Any) -> None:
        if module is not self:  # what the whole has of its own is in the checkpoint, and its parts are not all here
            cls._init_weights(self, module)

    body = {"__init__": init, "_init_weights": init_weights, "__module__": cls.__module__}
    return type(cls.__name__, (cls,), body)


def _spoken_of(cls: Any, method: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """The names in a method's code, and in that of the methods of its class that it calls."""
    code = getattr(inspect.unwrap(getattr(cls, method)), "__code__", None)
    names = set(code.co_names) if code else set()
    for name in sorted(names - seen):
        if inspect.isfunction(inspect.unwrap(getattr(cls, name, None) or object)):
            names |= _spoken_of(cls, name, seen | names)
    return names


def _rows(cls: Any, where: Path, side: str, module: Any, inputs: dict[str, Any]) -> torch.Tensor:
    found = getattr(module, f"get_{side}_features")(**inputs)
    rows: torch.Tensor = getattr(found, "pooler_output", found)
    if rows.ndim != 2:
        raise EncoderError(f"{where}: {cls.__name__} gives no single vector for a {side}, but {list(rows.shape[1:])}")
    return rows


def _dim(config: Any, where: Path) -> int:
    text = getattr(config, "text_config", None)
    for owner, name in ((config, "projection_dim"), (text, "projection_size"), (text, "hidden_size")):
        if isinstance(value := getattr(owner, name, None), int):
            return value
    raise EncoderError(f"{where}/config.json does not say how many components its vectors have")


def _text_rules(
    cls: Any, config: Any, where: Path, padding: str | None, max_length: int | None
) -> tuple[str, int | None]:
    """How texts are padded, and the tokens that they are cut at or padded to; what is given comes first."""
    from transformers import PROCESSOR_MAPPING

    rules = getattr(PROCESSOR_MAPPING.get(type(config), None), "text_kwargs", None)
    rules = rules if isinstance(rules, dict) else {}
    how = padding or ("max_length" if rules.get("padding") == "max_length" else "longest")
    tokenizer = hub.config(where, "tokenizer_config.json") if (where / "tokenizer_config.json").is_file() else {}
    said = tokenizer.get("model_max_length")
    limits = [max_length or rules.get("max_length") or (said if isinstance(said, int) and said < ENDLESS else None)]
    text = getattr(config, "text_config", None)
    positions = getattr(text, "max_position_embeddings", None)
    if isinstance(positions, int):
        # RoBERTa counts positions from the one after its padding token's number.
        shifted = any(word in str(getattr(text, "model_type", "")) for word in ("roberta", "altclip"))
        limits.append(positions - (int(getattr(text, "pad_token_id", None) or 0) + 1) * shifted)
    known = [limit for limit in limits if limit]
    if max_length is not None and max_length > min(known):
        raise UsageError(f"{where}: at most {min(known)} tokens of a text are read; `max_length` is {max_length}")
    if how == "max_length" and not known:
        raise UsageError(f"{where}: does not say to how many tokens texts are padded; `max_length` does")
    return how, min(known, default=None)


def _extractor(where: Path) -> Any:
    from transformers import AutoFeatureExtractor

    found = hub.processor(AutoFeatureExtractor, where)
    if getattr(found, "truncation", None) == "fusion":
        raise EncoderError(f"{where}: its {type(found).__name__} crops at random (fusion); the family clap does not")
    return found


def _heard(extractor: Any, where: Path, window: float | None, hop: float | None) -> AudioInput:
    rate = int(extractor.sampling_rate)
    samples = getattr(extractor, "nb_max_samples", None) or getattr(extractor, "n_samples", None)
    longest = samples / rate if samples else None
    if window and longest and window > longest:
        raise UsageError(f"{where} hears at most {longest:g} s at once; the window should not be {window:g} s")
    return AudioInput(rate, window or longest or WINDOW, hop)


def _plain_processor(where: Path) -> Any:
    """The steps of a processor's file, on Pillow."""
    from transformers.image_processing_backends import PilBackend

    names = ("preprocessor_config.json", "processor_config.json")
    name = next((name for name in names if (where / name).is_file()), None)
    said = hub.config(where, name) if name else {}
    said = said.get("image_processor", said)
    kind = str(said.get("image_processor_type") or "image processor")
    if not {"size", "do_resize"} <= said.keys() or "patch_size" in said:
        raise EncoderError(f"{where}: its {kind} needs torchvision, or does not say how pictures are resized")
    return type(kind, (PilBackend,), {})
