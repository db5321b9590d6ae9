"""musicgen: music of a description, of a recording that is continued, or of a melody (Copet et al. 2023).

transformers' ``MusicgenForConditionalGeneration`` ("facebook/musicgen-small", -medium, -large and their stereo
versions) and ``MusicgenMelodyForConditionalGeneration`` ("facebook/musicgen-melody"), told apart by ``model_type``. A
T5 encoder reads the text, a decoder writes codebooks of EnCodec, each a step later than the one before it (the delay
pattern), and EnCodec makes sound of them: 32 kHz, 50 frames a second.

A guide is what such a model can use of a recording:

- the plain models continue it. What comes back is what they heard of it, as EnCodec renders it, and what is new after
  it, in one piece: ``seconds`` is what is new. Both together are 30 s at most, so of a longer guide the end is heard.
- the melody models follow its pitch classes (chroma) and take no sound from it. 30 s of it are heard; a shorter one
  begins again. Meta's own code first takes drums and bass out with a source separator (Demucs), which is not done
  here: for a guide with loud drums or bass, separate them before.

"Simple and Controllable Music Generation", arXiv 2306.05284; ``top_k`` 250, temperature 1 and guidance 3 are theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.engines.generator import Ability, Generator, Settings
from analogon.phrases.pieces import excerpt
from analogon.prompts import Prompt
from embed import decode, hub
from embed.encoder import AudioInput
from embed.errors import EncoderError, GeneratorError, UsageError, one_line
from embed.media import Media, Modality, Span

__all__ = ["DEFAULT_MODEL", "MusicgenGenerator", "chroma", "load"]

DEFAULT_MODEL: Final = "facebook/musicgen-small"
CLASSES: Final = {"musicgen": "Musicgen", "musicgen_melody": "MusicgenMelody"}
LONGEST: Final = 30.0  # s: the crops that the models learnt from; positions are sinusoidal and would go on beyond them
SECONDS: Final = 10.0  # s, where nobody says how long
EXTRACTOR: Final = "preprocessor_config.json"
TOKENS: Final = 512  # what T5 learnt from; its relative positions set no limit of their own

Samples = npt.NDArray[np.float32]


class MusicgenGenerator(Generator):
    """``melody`` says which of the two kinds of checkpoint lies in ``where``."""

    modality: Modality = "audio"
    abilities: frozenset[Ability] = frozenset({"seconds", "guide"})
    longest = LONGEST

    def __init__(self, model: str, where: Path, *, guidance: float, temperature: float, top_k: int) -> None:
        self.name = f"musicgen:{model}"
        self.where = where
        self.config, self.melody = _read_config(where)
        self.guidance, self.temperature, self.top_k = guidance, temperature, top_k
        self._identity = {
            "family": "musicgen",
            "model": model,
            "weights": hub.weights_hash(where),
            "guidance": guidance,
            "temperature": temperature,
            "top_k": top_k,
            "default_seconds": SECONDS,
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    @property
    def rate(self) -> int:
        """The codec's sample rate in Hz."""
        return int(self.config.audio_encoder.sampling_rate)

    @property
    def hop(self) -> int:
        """Samples a frame of codes."""
        return int(self.config.audio_encoder.hop_length)

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """Float32 ``(n,)``, or ``(n, 2)`` of a stereo model: ``seconds`` to the sample, after the guide if any."""
        import torch

        new = self._new_samples(settings)
        guide = None if settings.guide is None else self._heard(settings)
        inputs = self._text(prompt.text)
        before = 0
        if guide is not None and self.melody:
            inputs["input_features"] = torch.from_numpy(self._chroma(guide))[None]
        elif guide is not None:
            before = len(guide)
            channels = self.config.decoder.audio_channels
            inputs["input_values"] = torch.from_numpy(guide)[None, None].repeat(1, channels, 1)
        # A codebook more is a step more until the last has its first code; below that, transformers knows no delay.
        late = self.config.decoder.num_codebooks // self.config.decoder.audio_channels - 1
        steps = max(-(-new // self.hop), late) + late
        with torch.random.fork_rng(devices=[]), torch.inference_mode(), hub.quiet():
            model = self._model  # before the seed: loading it draws by lot too
            torch.manual_seed(settings.seed)
            try:
                sound = model.generate(**inputs, generation_config=self._generation(steps))[0]
            except (RuntimeError, ValueError, IndexError) as error:
                raise GeneratorError(f"{self.name} failed: {one_line(error, named=True)}") from error
        samples: Samples = np.ascontiguousarray(sound[:, : before + new].float().numpy().T)
        return Media("audio", array=samples[:, 0] if samples.shape[1] == 1 else samples, rate=self.rate)

    def remarks(self, prompt: Prompt, settings: Settings) -> Sequence[str]:
        said = []
        if not prompt.text.strip():
            said.append(f"{self.name} was given no words: what it plays is up to the seed")
        elif unheard := self._unheard(prompt.text):
            said.append(f"{self.name} hears the first {self._limit} tokens of a text; not heard: {excerpt(unheard)}")
        if settings.guide is None:
            return said
        length = _seconds(settings.guide)
        room = LONGEST if self.melody else LONGEST - self._new_samples(settings) / self.rate
        if length is not None and length > room + 1 / self.rate:
            which = "first" if self.melody else "last"
            why = "" if self.melody else f": with what is new it makes {LONGEST:g} s at most"
            said.append(f"{self.name} hears the {which} {room:g} s of {settings.guide.name}, of {length:g} s{why}")
        if self.config.decoder.audio_channels == 2 and not self.melody:
            said.append(f"{self.name} hears a guide in mono, in both of its channels")
        return said

    def _new_samples(self, settings: Settings) -> int:
        return max(1, round((settings.seconds or SECONDS) * self.rate))

    def _heard(self, settings: Settings) -> Samples:
        """The guide in mono at the model's rate, no more of it than the model hears; whole frames of the codec."""
        assert settings.guide is not None
        if settings.guide.modality != "audio":
            raise UsageError(f"{self.name} needs a recording for a guide, not {settings.guide.modality}")
        guide = _audible(settings.guide, first=self.melody)
        # One part; asking for another tells of damage behind it.
        (array,) = (part.array for part in decode.parts(guide, audio=AudioInput(self.rate, window=None)))
        assert array is not None
        if self.melody:
            return array[: round(LONGEST * self.rate)]
        new = self._new_samples(settings)
        room = (round(LONGEST * self.rate) - new) // self.hop * self.hop
        if room <= 0:
            raise UsageError(
                f"{self.name} makes {LONGEST:g} s at most, guide and continuation together: "
                f"{new / self.rate:g} s of new sound leave no room for a guide"
            )
        frames = min(room, len(array)) // self.hop * self.hop
        if not frames:
            raise UsageError(f"{settings.guide.name} is too short to be continued: less than {self.hop} samples")
        return array[len(array) - frames :]

    def _chroma(self, samples: Samples) -> Samples:
        table = hub.config(self.where, EXTRACTOR) if (self.where / EXTRACTOR).is_file() else {}
        sizes = (table.get("n_fft", 16384), table.get("hop_length", 4096))
        return chroma(samples, self.rate, self.config.num_chroma, *sizes)

    def _text(self, text: str) -> dict[str, Any]:
        """Token numbers ``(1, n)`` and their mask; a text without words is masked, as Meta's own code does it."""
        import torch

        tokens = self._tokenizer(_clean(text), truncation=True, max_length=self._limit, return_tensors="pt")
        mask = tokens["attention_mask"] if text.strip() else torch.zeros_like(tokens["attention_mask"])
        return {"input_ids": tokens["input_ids"], "attention_mask": mask}

    def _unheard(self, text: str) -> str:
        """The end of a text that the text encoder does not see."""
        tokens = self._tokenizer(
            _clean(text), truncation=True, max_length=self._limit, return_offsets_mapping=True, verbose=False
        )
        return _clean(text)[max(end for _, end in tokens["offset_mapping"]) :].strip()

    @property
    def _limit(self) -> int:
        return int(min(self._tokenizer.model_max_length, TOKENS))

    def _generation(self, steps: int) -> Any:
        from transformers import GenerationConfig

        pad = self.config.decoder.pad_token_id
        return GenerationConfig(
            max_new_tokens=steps,
            do_sample=True,
            guidance_scale=self.guidance,
            temperature=self.temperature,
            top_k=self.top_k,
            pad_token_id=pad,
            bos_token_id=pad,
            decoder_start_token_id=pad,
        )

    @cached_property
    def _tokenizer(self) -> Any:
        return hub.tokenizer(self.where)

    @cached_property
    def _model(self) -> Any:
        import transformers

        kind = CLASSES["musicgen_melody" if self.melody else "musicgen"]
        model = hub.pretrained(getattr(transformers, f"{kind}ForConditionalGeneration"), self.where)
        # What a checkpoint's generation_config.json says would fill what is left open here: it is set here alone.
        model.generation_config = self._generation(1)
        return model


def chroma(samples: Samples, rate: int, bins: int = 12, n_fft: int = 16384, hop: int = 4096) -> Samples:
    """The strongest pitch class of each frame, one-hot: float32 ``(1 + n // hop, bins)``, from C upwards.

    What ``MusicgenMelodyFeatureExtractor`` gives, which needs torchaudio: power spectra of Hann windows, centred and
    mirrored at the ends, times a bank of chroma filters (Ellis 2007, as in librosa). Its scalings of whole spectra
    change no frame's strongest class. Sound shorter than a window is centred in zeros. A silent frame counts as C, as
    in what the model was taught for "no melody".
    """
    import torch
    from transformers.audio_utils import chroma_filter_bank

    wave = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    lack = max(0, n_fft - len(wave))
    wave = torch.nn.functional.pad(wave, (lack // 2, lack - lack // 2))
    window = torch.hann_window(n_fft)
    spectra = torch.stft(wave, n_fft, hop, window=window, center=True, pad_mode="reflect", return_complex=True)
    bank = chroma_filter_bank(num_frequency_bins=n_fft, num_chroma=bins, sampling_rate=rate, tuning=0)
    strongest = (torch.from_numpy(bank).float() @ spectra.abs().square()).argmax(0)
    one_hot: Samples = torch.nn.functional.one_hot(strongest, bins).float().numpy()
    return one_hot


def load(model: str, *, guidance: float = 3.0, temperature: float = 1.0, top_k: int = 250) -> MusicgenGenerator:
    """A folder or hub name with a MusicGen or MusicGen Melody checkpoint as transformers saves it.

    ``guidance`` is the scale of classifier-free guidance: 1 for none, more to follow the text more closely.
    ``temperature`` evens out (above 1) or sharpens (below 1) what is drawn from; of each step's codes the ``top_k``
    likeliest are drawn from, all for 0. A take is 10 s where nobody asks for another length, and 30 s at most.

    Raises ``UsageError`` for a setting out of range, ``ModelNotFound``, ``EncoderError``.
    """
    if not (math.isfinite(guidance) and guidance >= 1):
        raise UsageError(f"musicgen: guidance must be 1 (none) or more, not {guidance}")
    if not (math.isfinite(temperature) and temperature > 0):
        raise UsageError(f"musicgen: temperature must be above 0, not {temperature}")
    if top_k < 0:
        raise UsageError(f"musicgen: top_k must be 0 (all) or more, not {top_k}")
    where = hub.folder(model)
    return MusicgenGenerator(model, where, guidance=guidance, temperature=temperature, top_k=top_k)


def _read_config(where: Path) -> tuple[Any, bool]:
    """The configuration, and whether it is that of a melody model. Raises ``EncoderError``."""
    import transformers

    table = hub.config(where)
    kind = table.get("model_type")
    if kind not in CLASSES:
        raise EncoderError(f"{where}: musicgen reads {' and '.join(CLASSES)} checkpoints, not model_type {kind!r}")
    path = where / "config.json"
    try:
        # Every such checkpoint's padding lies one above the vocabulary, as it should, and transformers warns of it.
        with hub.quiet():
            config = getattr(transformers, f"{CLASSES[kind]}Config")(**table)
        codec, channels = config.audio_encoder, config.decoder.audio_channels
        sizes = codec.sampling_rate, codec.hop_length, config.decoder.num_codebooks // channels
    except Exception as error:
        raise EncoderError(f"{path}: not a configuration of {CLASSES[kind]}: {one_line(error)}") from error
    if min(sizes) < 1 or codec.chunk_length_s is not None or config.decoder.pad_token_id is None:
        raise EncoderError(
            f"{path}: MusicGen needs a codec that reads a sound whole, a rate, codebooks and a pad token"
        )
    return config, kind == "musicgen_melody"


def _seconds(guide: Media) -> float | None:
    """How long a guide is, by its header; None where that does not say it."""
    length = decode.facts(guide).get("duration") if guide.modality == "audio" else None
    if not isinstance(length, int | float):
        return None
    return length if guide.array is not None or guide.span is None else min(length, guide.span.end) - guide.span.start


def _audible(guide: Media, *, first: bool) -> Media:
    """The first or the last minute of a file that is longer by far, so that the rest of it is never in memory."""
    length = _seconds(guide)
    if guide.array is not None or length is None or length <= 4 * LONGEST:
        return guide
    start, end = (guide.span.start, guide.span.end) if guide.span else (0.0, length + 2 * LONGEST)
    span = Span(start, start + 2 * LONGEST) if first else Span(start + length - 2 * LONGEST, end)
    return guide.but(span=span)


def _clean(text: str) -> str:
    """Half of a surrogate pair is not UTF-8, and the tokenizer would refuse it."""
    return text.encode("utf-8", "replace").decode()
