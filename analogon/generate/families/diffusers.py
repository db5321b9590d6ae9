"""diffusers: sounds and pictures of a description, denoised out of noise (latent diffusion).

One family for the pipelines of the package diffusers, told apart by what ``model_index.json`` names: AudioLDM 2
("cvssp/audioldm2", arXiv 2308.05734), Stable Audio Open ("stabilityai/stable-audio-open-1.0", arXiv 2407.14358), and
of those that make pictures Stable Diffusion 1 and 2, XL and 3, Latent Consistency Models and FLUX.1.

Stable Audio takes a guide as well: the recording's latents are given as much noise as ``noise`` says and denoised from
there (SDEdit, arXiv 2108.01073; Stability's own code calls it init_noise_level). diffusers' pipeline alone would add
noise 500 times as strong as the latents, whatever the recording.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.engines.generator import Ability, Generator, Settings
from analogon.prompts import Prompt
from embed import decode, hub
from embed.encoder import AudioInput
from embed.errors import EncoderError, GeneratorError, MissingPackage, UsageError, one_line
from embed.media import Media, Modality

__all__ = ["DiffusersGenerator", "load"]

INDEX: Final = "model_index.json"
WEIGHTS: Final = ("*model.safetensors", "*model-*-of-?????.safetensors")  # neither half precision nor pickles
REST: Final = ("*.json", "*.txt", "*.model")
WITHOUT_WEIGHTS: Final = ("Scheduler", "Tokenizer", "Extractor", "Processor")  # in the names of classes
RENAMED: Final = {"CLIPFeatureExtractor": "CLIPImageProcessor"}  # as checkpoints of 2022 have it


@dataclass(frozen=True, slots=True)
class Kind:
    """What is particular to a pipeline's class. ``steps`` and ``guidance`` are its own defaults.

    A picture's sides are multiples of ``grid`` pixels. ``tokens`` are limits that the pipeline sets below those of its
    tokenizers.
    """

    modality: Modality
    steps: int
    guidance: float
    grid: int = 8
    negative: bool = True
    tokens: Mapping[str, int] = field(default_factory=dict)


KINDS: Final = {
    "AudioLDM2Pipeline": Kind("audio", 200, 3.5),
    "StableAudioPipeline": Kind("audio", 100, 7.0),
    "StableDiffusionPipeline": Kind("image", 50, 7.5),
    "StableDiffusionXLPipeline": Kind("image", 50, 5.0),
    "StableDiffusion3Pipeline": Kind("image", 28, 7.0, grid=16, tokens={"tokenizer_3": 256}),
    "LatentConsistencyModelPipeline": Kind("image", 4, 8.5, negative=False),
    "FluxPipeline": Kind("image", 28, 3.5, grid=16, negative=False, tokens={"tokenizer_2": 512}),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What ``model_index.json`` in ``where`` says: the pipeline's class, and of each part the library and class."""

    where: Path
    pipeline: str
    parts: Mapping[str, tuple[str, str]]

    @classmethod
    def read(cls, where: Path) -> Layout:
        """Raises ``EncoderError`` for a pipeline that is not known here, and for parts whose files are not there."""
        table = hub.config(where, INDEX)
        pipeline = table.get("_class_name")
        if not isinstance(pipeline, str) or pipeline not in KINDS:
            raise EncoderError(f"{where / INDEX}: diffusers makes media with {', '.join(KINDS)} here, not {pipeline}")
        parts = {}
        for name, value in table.items():
            if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
                parts[name] = (value[0], value[1])
        layout = cls(where, pipeline, parts)
        if lacks := layout.lacks():
            raise EncoderError(f"{where}: {lacks}")
        return layout

    def lacks(self) -> str | None:
        """What is not there of the files that the parts are read from; None where all is."""
        if not self.parts:
            return f"{INDEX} names no parts of a pipeline"
        for name, (_, kind) in self.parts.items():
            if not name.isidentifier() or not self._files(name, REST):
                return f"holds no {name}/ with its configuration, which {INDEX} names"
            if not any(word in kind for word in WITHOUT_WEIGHTS) and not self._files(name, WEIGHTS):
                return f"holds no {name}/*model.safetensors; other formats and half precision are not read"
        return None

    def files(self) -> list[Path]:
        """All files that decide what the pipeline makes, in an order that does not depend on the folder."""
        inside = [file for name in sorted(self.parts) for file in self._files(name, (*REST, *WEIGHTS))]
        return [self.where / INDEX, *inside]

    def config(self, name: str) -> dict[str, Any]:
        return hub.config(self.where / name)

    def tokenizers(self) -> list[str]:
        return [name for name in self.parts if name.startswith("tokenizer")]

    def _files(self, name: str, patterns: Sequence[str]) -> list[Path]:
        return sorted({file for pattern in patterns for file in (self.where / name).glob(pattern)})


class DiffusersGenerator(Generator):
    """``size`` is a picture's width and height, each None for the checkpoint's own."""

    def __init__(
        self,
        model: str,
        layout: Layout,
        *,
        steps: int,
        guidance: float,
        negative: str | None,
        size: tuple[int | None, int | None],
        noise: float,
        device: str,
    ) -> None:
        self.name = f"diffusers:{model}"
        self.layout = layout
        self.kind = KINDS[layout.pipeline]
        self.modality = self.kind.modality
        self.steps, self.guidance, self.negative = steps, guidance, negative
        self.width, self.height = size
        self.noise, self.device = noise, device
        settings = {"steps": steps, "guidance": guidance, "negative": negative, "device": device}
        if self.modality == "image":
            settings |= {"width": self.width, "height": self.height}
        else:
            self._read_sound()
        if "guide" in self.abilities:
            settings["noise"] = noise
        self._identity = {
            "family": "diffusers",
            "model": model,
            "pipeline": layout.pipeline,
            "weights": hub.weights_hash(layout.files()),
            **settings,
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """Audio at the pipeline's own rate, float32 ``(n,)`` or ``(n, 2)``; or a picture.

        Without ``seconds`` it is as long as the guide, and without a guide as the pipeline makes it: 10.24 s by
        AudioLDM 2, and by Stable Audio Open the 47.55 s that are its most.
        """
        import torch

        guide = None if settings.guide is None else self._heard(settings.guide)
        seconds = settings.seconds
        if guide is not None and seconds is None:
            seconds = len(guide) / self.rate
        asked = self._asked(prompt.text, seconds)
        with _quiet():
            pipeline = self._pipeline
        cuda = [pipeline.device] if pipeline.device.type == "cuda" else []
        with _quiet(), torch.random.fork_rng(devices=cuda), torch.inference_mode():
            torch.manual_seed(settings.seed)  # whatever draws without the generator that it is given
            asked["generator"] = torch.Generator("cpu").manual_seed(settings.seed)
            try:
                if guide is not None:
                    pipeline, asked = self._from_guide(pipeline, guide, asked)
                made = pipeline(**asked)
            except Exception as error:
                raise GeneratorError(f"{self.name} failed: {one_line(error, named=True)}") from error
        return self._picture(made) if self.modality == "image" else self._sound(made)

    def remarks(self, prompt: Prompt, settings: Settings) -> Sequence[str]:
        said = []
        for name, text in (("prompt", prompt.text), ("negative prompt", self.negative or "")):
            for tokenizer in self.layout.tokenizers():
                limit, unread = self._unread(tokenizer, text)
                if unread:
                    said.append(f"{self.name} reads {limit} tokens of a {name}; its {tokenizer} cuts off: {unread!r}")
        if settings.guide is not None and settings.guide.modality == "audio":
            facts = decode.facts(settings.guide)
            length, channels = facts.get("duration"), facts.get("channels")
            if isinstance(length, float | int) and self.longest and length > self.longest:
                said.append(f"{self.name} hears the first {self.longest:g} s of {settings.guide.name}")
            if isinstance(channels, int) and channels > 1:
                said.append(f"{self.name} hears a guide in mono")
        return said

    def _read_sound(self) -> None:
        """Rate and limits, from the configurations alone."""
        self.abilities: frozenset[Ability] = frozenset({"seconds"})
        try:
            if self.layout.pipeline == "AudioLDM2Pipeline":
                self.rate = int(self.layout.config("vocoder")["sampling_rate"])
                return
            codec, transformer = self.layout.config("vae"), self.layout.config("transformer")
            self.rate = int(codec["sampling_rate"])
            self.longest = transformer["sample_size"] * math.prod(codec["downsampling_ratios"]) / self.rate
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise EncoderError(
                f"{self.layout.where}: not the configuration of a {self.layout.pipeline}: {one_line(error, named=True)}"
            ) from None
        schedule = hub.config(self.layout.where / "scheduler", "scheduler_config.json")
        lowest, highest = schedule.get("sigma_min"), schedule.get("sigma_max")
        if lowest is None or highest is None:
            return
        if not lowest < self.noise <= highest:
            raise UsageError(f"{self.name}: noise must be above {lowest:g} and at most {highest:g}, not {self.noise}")
        self.abilities |= {"guide"}

    def _asked(self, text: str, seconds: float | None) -> dict[str, Any]:
        """What the pipeline is called with."""
        asked: dict[str, Any] = {
            # Half of a surrogate pair is not UTF-8, and tokenizers refuse it.
            "prompt": text.encode("utf-8", "replace").decode(),
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "output_type": "np",
        }
        if self.kind.negative:
            asked["negative_prompt"] = self.negative
        if self.modality == "image":
            return asked | {"width": self.width, "height": self.height}
        if self.layout.pipeline == "StableAudioPipeline":
            return asked | {"audio_end_in_s": seconds}
        # transformers keeps settings of generate() out of configurations, where this checkpoint has one.
        return asked | {
            "audio_length_in_s": seconds,
            "max_new_tokens": self.layout.config("language_model").get("max_new_tokens"),
        }

    def _heard(self, guide: Media) -> npt.NDArray[np.float32]:
        """A guide in mono at the model's rate, as much as it hears."""
        if guide.modality != "audio":
            raise UsageError(f"{self.name} needs a recording for a guide, not {guide.modality}")
        parts = decode.parts(guide, audio=AudioInput(self.rate, window=None))
        array = np.concatenate([part.array for part in parts if part.array is not None])
        return array[: round((self.longest or math.inf) * self.rate)]

    def _from_guide(
        self, pipeline: Any, guide: npt.NDArray[np.float32], asked: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The pipeline with a schedule that begins at ``noise``, and what it is called with."""
        import torch

        schedule = type(pipeline.scheduler).from_config(pipeline.scheduler.config, sigma_max=self.noise)
        shape = (1, pipeline.transformer.config.in_channels, int(pipeline.transformer.config.sample_size))
        drawn = torch.randn(shape, generator=asked["generator"]).to(pipeline.device)
        started = type(pipeline)(**{**pipeline.components, "scheduler": schedule})
        started.set_progress_bar_config(disable=True)
        return started, {
            **asked,
            # The pipeline multiplies them by the deviation that pure noise has at the schedule's beginning.
            "latents": drawn * (self.noise / float(schedule.init_noise_sigma)),
            "initial_audio_waveforms": torch.from_numpy(guide).to(pipeline.device)[None],
            "initial_audio_sampling_rate": self.rate,
        }

    def _sound(self, made: Any) -> Media:
        sound = np.ascontiguousarray(np.asarray(made.audios[0], dtype=np.float32).T)
        return Media("audio", array=sound[:, 0] if sound.ndim == 2 and sound.shape[1] == 1 else sound, rate=self.rate)

    def _picture(self, made: Any) -> Media:
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            raise GeneratorError(
                f"{self.name}: the checkpoint's safety checker holds the picture for not safe for work and blackened "
                "it; try another seed or other words"
            )
        picture = np.asarray(made.images[0])
        if not np.isfinite(picture).all():
            raise GeneratorError(f"{self.name} made pixels that are not finite numbers; try another seed")
        return Media("image", array=(picture * 255).round().astype(np.uint8))

    def _unread(self, name: str, text: str) -> tuple[int, str]:
        """How many tokens of a text a tokenizer's encoder reads, and what of the text is beyond them."""
        tokenizer, text = self._tokenizers[name], text.encode("utf-8", "replace").decode()
        limit = min(int(tokenizer.model_max_length), self.kind.tokens.get(name, tokenizer.model_max_length))
        if not tokenizer.is_fast or not text.strip():
            return limit, ""
        read = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True, verbose=False)
        if len(read["input_ids"]) < limit:
            return limit, ""
        return limit, text[max(end for _, end in read["offset_mapping"]) :].strip()

    @cached_property
    def _tokenizers(self) -> dict[str, Any]:
        import transformers

        made = {}
        for name in self.layout.tokenizers():
            cls = getattr(transformers, self.layout.parts[name][1], None)
            made[name] = hub.tokenizer(self.layout.where / name, cls or transformers.AutoTokenizer)
        return made

    @cached_property
    def _pipeline(self) -> Any:
        import diffusers
        import torch

        parts = dict(self._tokenizers)
        with torch.random.fork_rng(devices=[]):  # diffusers draws weights before it reads them
            for name, (library, kind) in self.layout.parts.items():
                if name not in parts:
                    parts[name] = _part(self.layout.where / name, library, kind)
        try:
            cls = getattr(diffusers, self.layout.pipeline)
            pipeline = cls.from_pretrained(self.layout.where, local_files_only=True, **parts)
            pipeline.set_progress_bar_config(disable=True)
            return pipeline.to(self.device)
        except Exception as error:
            raise EncoderError(
                f"{self.layout.where}: no {self.layout.pipeline} on {self.device} can be made of it: {one_line(error)}"
            ) from error


def load(
    model: str,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    negative: str | None = None,
    width: int | None = None,
    height: int | None = None,
    noise: float = 1.0,
    device: str = "cpu",
) -> DiffusersGenerator:
    """A folder or hub name with a pipeline as diffusers saves it, its weights in safetensors.

    ``steps`` of denoising and the scale of classifier-free ``guidance`` (1 and less for none) are the pipeline's own
    where they are not given: distilled checkpoints (turbo, schnell) want few steps and no guidance. ``negative`` says
    what shall not be in it. ``width`` and ``height`` are a picture's, in pixels. ``noise`` is the deviation of the
    noise that a guide's latents are given (Stable Audio; latents have about 1): little keeps it, 100 leaves nothing
    of it. ``device`` is torch's name of one: "cpu", "cuda", "cuda:1".

    Raises ``UsageError`` for a setting out of range, ``ModelNotFound``, ``MissingPackage``, ``EncoderError``.
    """
    if importlib.util.find_spec("diffusers") is None:
        raise MissingPackage("diffusers", "diffusers", "the family diffusers")
    layout = _layout(model)
    kind = KINDS[layout.pipeline]
    steps = kind.steps if steps is None else steps
    guidance = kind.guidance if guidance is None else guidance
    if steps < 1:
        raise UsageError(f"diffusers: steps must be 1 or more, not {steps}")
    if not (math.isfinite(guidance) and guidance >= 0):
        raise UsageError(f"diffusers: guidance must be 0 or more, not {guidance}")
    if negative is not None and not kind.negative:
        raise UsageError(f"diffusers: {layout.pipeline} takes no negative prompt")
    if negative is not None and guidance <= 1:
        raise UsageError("diffusers: a negative prompt counts only with guidance above 1")
    for key, value in (("negative", negative), ("device", device)):
        if not isinstance(value, str | None):
            raise UsageError(f"diffusers: {key} must be a text, not {value!r}")
    for side in (width, height):
        if side is not None and kind.modality != "image":
            raise UsageError(f"diffusers: {layout.pipeline} makes sound, which has no width and no height")
        if side is not None and (side < kind.grid or side % kind.grid):
            raise UsageError(f"diffusers: width and height are multiples of {kind.grid} pixels, not {side}")
    return DiffusersGenerator(
        model,
        layout,
        steps=steps,
        guidance=guidance,
        negative=negative,
        size=(width, height),
        noise=noise,
        device=device,
    )


def _layout(model: str) -> Layout:
    """The layout of a local folder, of the hub's cache where all of it lies there, or of the hub."""
    if not Path(model).expanduser().is_dir():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            found = try_to_load_from_cache(model, INDEX)
            if isinstance(found, str):
                return Layout.read(Path(found).parent)
        except (HFValidationError, EncoderError):
            pass  # not a hub name, or not all of it in the cache: what is said then, hub.folder and Layout.read say
    patterns = [INDEX, *(f"*/{pattern}" for pattern in (*REST, *WEIGHTS))]
    layout = Layout.read(hub.folder(model, files=(INDEX,), patterns=patterns))
    if layout.parts.get("text_encoder_2", ("", ""))[1] == "VitsModel":
        raise EncoderError(f"{layout.where}: an AudioLDM 2 that speaks a transcript; only those for sound are read")
    return layout


def _part(where: Path, library: str, name: str) -> Any:
    """One part of a pipeline from its folder. Raises ``EncoderError``, ``MissingPackage``."""
    import diffusers
    import transformers
    from transformers.feature_extraction_utils import FeatureExtractionMixin
    from transformers.image_processing_base import ImageProcessingMixin

    if name == "GPT2Model":  # the pipeline calls methods that transformers 5 left to this class alone
        name = "GPT2LMHeadModel"
    known = {"transformers": transformers, "diffusers": diffusers}
    cls = getattr(known.get(library) or getattr(diffusers.pipelines, library, None), RENAMED.get(name, name), None)
    for package in getattr(cls, "_backends", ()):
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(package, "diffusers", f"{name} of {where}")
    if isinstance(cls, type) and issubclass(cls, transformers.PreTrainedModel | diffusers.ModelMixin):
        return hub.pretrained(cls, where, use_safetensors=True)
    if isinstance(cls, type) and issubclass(
        cls, diffusers.SchedulerMixin | FeatureExtractionMixin | ImageProcessingMixin
    ):
        return hub.processor(cls, where)
    raise EncoderError(f"{where}: {library}.{name} is no part of a pipeline that diffusers knows")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars and warnings of diffusers and transformers; what matters of them is said as remarks."""
    with hub.quiet(), warnings.catch_warnings():
        # torchsde warns of the float32 that diffusers gives it, in every take of Stable Audio.
        warnings.simplefilter("ignore")
        from diffusers.utils import logging

        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
