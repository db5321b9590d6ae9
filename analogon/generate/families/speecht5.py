"""speecht5: speech of a text, or of another's recording, in a voice of one's own, by SpeechT5 (Ao et al. 2022).

Three stages, each of which can be seen (``stages``) and swapped:

- a speaker encoder makes 512 numbers of somebody's recordings, an x-vector. It worked when the voice was kept
  (``analogon voice add``), or hears the recording that is named instead of a voice (``speaker_encoder``).
- the synthesizer, "microsoft/speecht5_tts" of a text or "microsoft/speecht5_vc" of a recording (the guide), writes 80
  log-mel bands every 16 ms; transformers' ``SpeechT5ForTextToSpeech`` and ``SpeechT5ForSpeechToSpeech``.
- a vocoder makes sound of them: "microsoft/speecht5_hifigan" (``SpeechT5HifiGan``), or "griffin-lim", which needs no
  weights and sounds hollow.

The published checkpoints learnt from the x-vectors of speechbrain/spkrec-xvect-voxceleb. Those of another model only
have as many numbers: what comes out is some voice, hardly that one, and it is said. A vector's length plays no part.

SpeechT5's dropout goes on when it speaks, as in Tacotron 2, so that seeds differ. arXiv:2110.07205.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from analogon.engines.generator import Ability, Generator, Settings, Stage
from analogon.phrases.pieces import excerpt, pieces
from analogon.prompts import Prompt
from analogon.voices import SPEECHBRAIN, Voice, enroll
from embed import decode, hub
from embed.encoder import AudioInput
from embed.errors import EncoderError, GeneratorError, MissingPackage, ModelNotFound, UsageError, one_line, printable
from embed.media import Media, Modality
from embed.models import shared
from embed.space import Space

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULT_MODEL", "GRIFFIN_LIM", "SpeechT5Generator", "Stage", "griffin_lim", "load"]

DEFAULT_MODEL: Final = "microsoft/speecht5_tts"
HIFIGAN: Final = "microsoft/speecht5_hifigan"
GRIFFIN_LIM: Final = "griffin-lim"
TEXT_TO_SPEECH: Final = "SpeechT5ForTextToSpeech"
SPEECH_TO_SPEECH: Final = "SpeechT5ForSpeechToSpeech"
EXTRACTOR: Final = "preprocessor_config.json"
PAUSE: Final = 0.25  # s
NAMED: Final = 5  # words that a message names
ROUNDS: Final = 60  # of Griffin-Lim
MOMENTUM: Final = 0.99
UNMIXING: Final = 100  # multiplicative updates from mel bands to frequencies

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Speaker:
    """The vector that is spoken with, the space that it came from, and what to say of it, a line each."""

    vector: Samples
    space: Space
    remarks: tuple[str, ...] = ()


class SpeechT5Generator(Generator):
    """Which of both kinds lies in ``where`` its configuration's ``architectures`` say: ``converts`` or not."""

    modality: Modality = "audio"

    def __init__(
        self,
        model: str,
        where: Path,
        *,
        vocoder: str,
        speaker_encoder: str | Mapping[str, Any] | None,
        threshold: float,
        minlenratio: float,
        maxlenratio: float,
    ) -> None:
        self.name = f"speecht5:{model}"
        self.model = model
        self.where = where
        self.config, self.converts = _read_config(where)
        self.speaks = not self.converts
        self.abilities: frozenset[Ability] = frozenset({"voice", "guide"} if self.converts else {"voice"})
        self.vocoder = vocoder
        self.vocoder_folder = None if vocoder == GRIFFIN_LIM else _vocoder_folder(vocoder)
        self.rate, self.hop = self._output()
        self.speaker_encoder = speaker_encoder
        self.threshold, self.minlenratio, self.maxlenratio = threshold, minlenratio, maxlenratio
        self._guests: dict[tuple[str, int], Speaker] = {}
        self._identity = {
            "family": "speecht5",
            "model": model,
            "weights": hub.weights_hash(where),
            "vocoder": vocoder,
            "vocoder_weights": hub.weights_hash(self.vocoder_folder) if self.vocoder_folder else None,
            "speaker_encoder": speaker_encoder if isinstance(speaker_encoder, str | None) else dict(speaker_encoder),
            "threshold": threshold,
            "minlenratio": minlenratio,
            "maxlenratio": maxlenratio,
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    @property
    def dim(self) -> int:
        """How many numbers a voice has."""
        return int(self.config.speaker_embedding_dim)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The three stages of a take, in order."""
        heard = self.speaker_encoder
        encoder = heard if isinstance(heard, str) else "that of the kept voice" if heard is None else str(dict(heard))
        made_of = "a recording" if self.converts else "a text"
        return (
            Stage("speaker encoder", encoder, f"a voice's recordings to {self.dim} numbers"),
            Stage("synthesizer", self.model, f"{made_of} and these to {self.config.num_mel_bins} log-mel bands"),
            Stage("vocoder", self.vocoder, f"the bands to sound at {self.rate} Hz"),
        )

    def conditioning_space(self, voice: Voice) -> Space | None:
        return self._of_kept(voice).space

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """Float32 ``(n,)``: the text's pieces one after the other, or the guide in the voice that is asked for."""
        import torch

        vector = torch.from_numpy(self._speaker(settings).vector)[None]
        inputs = [self._recording(settings)] if self.converts else [self._tokens(t) for t in self._pieces(prompt.text)]
        pause = np.zeros(round(PAUSE * self.rate), np.float32)
        spoken: list[Samples] = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode(), hub.quiet():
            model, sound_of = self._model, self._sound_of  # before the seed: loading them draws by lot too
            torch.manual_seed(settings.seed)
            for values in inputs:
                spoken += [pause] if spoken else []
                try:
                    bands = model.generate_speech(
                        values,
                        vector,
                        # Left out, it would be made of the values, where a sample of full scale counts as padding.
                        attention_mask=torch.ones(values.shape, dtype=torch.long),
                        threshold=self.threshold,
                        **self._ratios(values),
                    )
                    spoken.append(sound_of(bands).numpy())
                except (RuntimeError, ValueError, IndexError) as error:
                    raise GeneratorError(f"{self.name} failed: {one_line(error, named=True)}") from error
        return Media("audio", array=np.concatenate(spoken), rate=self.rate)

    def remarks(self, prompt: Prompt, settings: Settings) -> Sequence[str]:
        said = []
        if self.converts:
            if prompt.text.strip():
                said.append(f"{self.name} speaks what its guide says: the words of the prompt play no part")
            said += self._unheard(settings)
        else:
            texts = self._pieces(prompt.text)
            if lost := self._lost(texts):
                more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
                words = ", ".join(map(excerpt, lost[:NAMED]))
                said.append(f"{self.name} has no characters for some of {words}{more}: what it says there is up to it")
            if len(texts) > 1:
                said.append(f"{self.name}: the text became {len(texts)} pieces, {PAUSE} s apart")
        return [*said, *self._speaker(settings).remarks]

    # -- voice ---------------------------------------------------------------------------------------------------------

    def _speaker(self, settings: Settings) -> Speaker:
        """Raises ``UsageError`` where there is no vector that fits."""
        voice = settings.voice
        if voice is None:
            example = self.speaker_encoder if isinstance(self.speaker_encoder, str) else "xvector"
            raise UsageError(
                f"{self.name} speaks with a voice of {self.dim} numbers, and none was given: `analogon.service."
                f"voices.AddVoice(name=NAME, files=TAKES, encoders=[{example!r}]).run()` keeps one, "
                f"`xvector=FILE.npy` one of {SPEECHBRAIN.model}"
            )
        if isinstance(voice, Voice):
            return self._of_kept(voice)
        path = Path(voice).expanduser()
        if not path.is_file():
            raise UsageError(
                f"{self.name}: {printable(voice)} is neither a kept voice nor a file; "
                "`analogon.service.voices.ListVoices().run()` says which are kept"
            )
        key = (str(path), path.stat().st_mtime_ns)
        if key not in self._guests:  # a take asks twice, and several takes oftener
            self._guests = {key: self._of_file(path)}
        return self._guests[key]

    def _of_file(self, path: Path) -> Speaker:
        """Of 512 numbers in a .npy file, taken for an x-vector of speechbrain's, or of a recording."""
        if path.suffix == ".npy":
            return self._of(enroll("guest", (), ready=[path]).voice)
        if self.speaker_encoder is None:
            raise UsageError(
                f"{self.name}: to speak as in {path} it needs a speaker encoder of {self.dim} numbers, as "
                "speaker_encoder=xvector; or keep the voice with `analogon.service.voices.AddVoice(...).run()`"
            )
        made = enroll("guest", [path], [self.speaker_encoder])
        return self._of(made.voice, made.notes)

    def _of_kept(self, voice: Voice) -> Speaker:
        """Its vector of the speaker encoder that is set, else of speechbrain's, else of one with as many numbers."""
        if self.speaker_encoder is None:
            return self._of(voice)
        space = self._encoder_space
        voice.vector(space)  # says which spaces it has where this one is not among them
        return self._of(replace(voice, vectors={space: voice.vectors[space]}, rows={}))

    def _of(self, voice: Voice, notes: Sequence[str] = ()) -> Speaker:
        fit = [space for space in voice.vectors if space.dim == self.dim]
        if not fit:
            has = ", ".join(f"{space.dim} in {space.model}" for space in voice.vectors) or "none at all"
            raise UsageError(
                f"{self.name} speaks with a voice of {self.dim} numbers; {voice.name} has {has}: let an encoder hear "
                f"it that gives {self.dim}, as `analogon.service.voices.AddVoice(name={voice.name!r}, more=True, "
                "encoders=['xvector']).run()`"
            )
        space = SPEECHBRAIN if SPEECHBRAIN in fit else fit[0]
        vector = voice.vectors[space]
        if not np.isfinite(vector).all() or not vector.any():
            raise UsageError(f"{self.name}: the vector of {voice.name} in {space.model} is zero or not finite")
        if "speechbrain" not in f"{space.model} {space.weights}":
            foreign = (
                f"the voice is a vector of {space.model}; the published SpeechT5 learnt from those of "
                f"{SPEECHBRAIN.model}, and only their number is the same: it may speak as somebody else"
            )
            notes = (*notes, foreign)
        return Speaker(vector, space, tuple(notes))

    @cached_property
    def _encoder_space(self) -> Space:
        assert self.speaker_encoder is not None
        return shared(self.speaker_encoder).space

    # -- text ----------------------------------------------------------------------------------------------------------

    def _pieces(self, text: str) -> list[str]:
        """Numbers in words, as the tokenizer's own normalizer has them: English, as the published model is."""
        text = " ".join(unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode()).split())
        if not text:
            raise UsageError(f"{self.name} was given nothing to speak")
        # Nought is nothing to it. A number beyond those that it has words for stays, and its digits are told of.
        text = re.sub(r"(?<![\d.,])0(?![\d.,]*\d)", "zero", text)
        with suppress(IndexError):
            text = self._tokenizer.normalizer(text)
        # One position is the end's, one the blank's that sentencepiece puts first.
        return pieces(text, max(1, int(self.config.max_text_positions) - 2))

    def _tokens(self, text: str) -> torch.Tensor:
        tokens: torch.Tensor = self._tokenizer(text, return_tensors="pt")["input_ids"]
        if tokens.shape[1] > self.config.max_text_positions:
            raise UsageError(
                f"{self.name} reads {self.config.max_text_positions} characters at a time: {excerpt(text)}"
            )
        return tokens

    def _lost(self, texts: Sequence[str]) -> list[str]:
        """The words that have characters which the vocabulary has not."""
        tokenizer = self._tokenizer
        words = dict.fromkeys(word for text in texts for word in text.split())
        return [word for word in words if tokenizer.unk_token_id in tokenizer(word)["input_ids"]]

    # -- recording -----------------------------------------------------------------------------------------------------

    @property
    def _longest_guide(self) -> int:
        """Samples of a guide that can be converted: as many as the decoder has positions for."""
        steps = int(self.config.max_speech_positions * self.config.reduction_factor)
        return steps * self.hop * self._heard_rate // self.rate

    def _recording(self, settings: Settings) -> torch.Tensor:
        import torch

        if settings.guide is None:
            raise UsageError(f"{self.name} converts a recording: give one as the guide")
        if settings.guide.modality != "audio":
            raise UsageError(f"{self.name} needs a recording for a guide, not {settings.guide.modality}")
        parts = decode.parts(settings.guide, audio=AudioInput(self._heard_rate, window=None))
        array = np.concatenate([part.array for part in parts if part.array is not None])[: self._longest_guide]
        shortest = _shortest(self.config)
        if len(array) < shortest:
            raise UsageError(f"{settings.guide.name} is too short to be converted: less than {shortest} samples")
        values = self._extractor(audio=array, sampling_rate=self._heard_rate)["input_values"][0]
        return torch.from_numpy(np.asarray(values, np.float32))[None]

    def _unheard(self, settings: Settings) -> list[str]:
        if settings.guide is None or settings.guide.modality != "audio":
            return []
        length = decode.facts(settings.guide).get("duration")
        room = self._longest_guide / self._heard_rate
        if not isinstance(length, int | float) or length <= room:
            return []
        return [f"{self.name} hears the first {room:g} s of {settings.guide.name}, of {length:g} s"]

    # -- sound ---------------------------------------------------------------------------------------------------------

    def _ratios(self, values: torch.Tensor) -> dict[str, float]:
        """``minlenratio`` and ``maxlenratio``, or less where the decoder has not as many positions."""
        length = _frames(self.config, values.shape[1]) if self.converts else values.shape[1]
        most = self.config.max_speech_positions * self.config.reduction_factor / length
        return {"minlenratio": min(self.minlenratio, most), "maxlenratio": min(self.maxlenratio, most)}

    def _output(self) -> tuple[int, int]:
        """The sample rate in Hz of what the vocoder makes, and its samples a frame. Raises ``EncoderError``."""
        if self.vocoder_folder is None:
            extractor = self._extractor
            return int(extractor.sampling_rate), int(extractor.sample_stride)
        from transformers import SpeechT5HifiGanConfig

        table = hub.config(self.vocoder_folder)
        path = self.vocoder_folder / "config.json"
        if table.get("model_type") not in ("hifigan", "speecht5_hifigan"):
            raise EncoderError(f"{path}: not a SpeechT5HifiGan, model_type {table.get('model_type')!r}")
        try:
            config = SpeechT5HifiGanConfig(**{key: value for key, value in table.items() if key != "model_type"})
            rate, hop, bands = int(config.sampling_rate), math.prod(config.upsample_rates), config.model_in_dim
        except Exception as error:
            raise EncoderError(f"{path}: not a configuration of SpeechT5HifiGan: {one_line(error)}") from error
        if bands != self.config.num_mel_bins:
            raise EncoderError(f"{path}: a vocoder of {bands} mel bands; {self.name} makes {self.config.num_mel_bins}")
        if min(rate, hop) < 1:
            raise EncoderError(f"{path}: a vocoder needs a sample rate and upsampling rates of 1 or more")
        return rate, hop

    @property
    def _heard_rate(self) -> int:
        return int(self._extractor.sampling_rate)

    @cached_property
    def _extractor(self) -> Any:
        from transformers import SpeechT5FeatureExtractor

        return hub.processor(SpeechT5FeatureExtractor, self.where)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import SpeechT5Tokenizer
        from transformers.utils import is_sentencepiece_available

        if not is_sentencepiece_available():
            raise MissingPackage("sentencepiece", "speecht5", f"{self.name} reads characters by sentencepiece; that")
        return hub.tokenizer(self.where, SpeechT5Tokenizer)

    @cached_property
    def _model(self) -> Any:
        import transformers

        return hub.pretrained(getattr(transformers, SPEECH_TO_SPEECH if self.converts else TEXT_TO_SPEECH), self.where)

    @cached_property
    def _sound_of(self) -> Callable[[torch.Tensor], torch.Tensor]:
        if self.vocoder_folder is None:
            return lambda bands: griffin_lim(bands, self._extractor)
        from transformers import SpeechT5HifiGan

        vocoder: Callable[[torch.Tensor], torch.Tensor] = hub.pretrained(SpeechT5HifiGan, self.vocoder_folder)
        return vocoder


def griffin_lim(bands: torch.Tensor, extractor: Any) -> torch.Tensor:
    """Sound ``(n * hop,)`` of log10 mel magnitudes ``(n, bands)`` as ``SpeechT5FeatureExtractor`` makes them.

    Magnitudes of frequencies are those that give the bands, found by multiplicative updates (Lee and Seung 2001); their
    phases are drawn by torch's generator and made consistent by the fast Griffin-Lim algorithm (Perraudin et al. 2013).
    """
    import torch

    mel = 10.0 ** bands.T.float()
    bank = torch.from_numpy(np.asarray(extractor.mel_filters)).float().T  # (bands, frequencies)
    tiny = torch.finfo(torch.float32).tiny
    wanted, mixed = bank.T @ mel, bank.T @ bank
    magnitudes = wanted.clone()
    for _ in range(UNMIXING):
        magnitudes = magnitudes * wanted / (mixed @ magnitudes).clamp_min(tiny)
    window = torch.from_numpy(np.asarray(extractor.window)).float()
    size, hop = int(extractor.n_fft), int(extractor.sample_stride)
    frames = magnitudes.shape[1]

    def sound(spectrum: torch.Tensor) -> torch.Tensor:
        return torch.istft(spectrum, size, hop, len(window), window, length=frames * hop)

    spectrum = torch.polar(magnitudes, 2 * math.pi * torch.rand_like(magnitudes))
    before = torch.zeros_like(spectrum)
    for _ in range(ROUNDS):
        # Zeros beyond the ends: a mirror needs half a window of sound, which the shortest take has not.
        consistent = torch.stft(
            sound(spectrum), size, hop, len(window), window, pad_mode="constant", return_complex=True
        )[:, :frames]
        moved = consistent + MOMENTUM * (consistent - before)
        before = consistent
        spectrum = magnitudes * moved / moved.abs().clamp_min(tiny)
    return sound(spectrum)


def load(
    model: str,
    *,
    vocoder: str = HIFIGAN,
    speaker_encoder: str | Mapping[str, Any] | None = None,
    threshold: float = 0.5,
    minlenratio: float = 0.0,
    maxlenratio: float = 20.0,
) -> SpeechT5Generator:
    """A folder or hub name with a SpeechT5 checkpoint for text to speech or speech to speech, as transformers saves it.

    ``vocoder`` is a folder or hub name of a ``SpeechT5HifiGan``, or "griffin-lim". ``speaker_encoder`` names the
    encoder whose vector of a kept voice is used, and which hears a recording that is named as the voice; without one,
    a voice's x-vector of speechbrain is taken, else any that has as many numbers. It speaks on until it thinks with a
    probability of ``threshold`` that it is done, ``minlenratio`` to ``maxlenratio`` frames for each frame of input.

    Raises ``UsageError`` for a setting out of range, ``ModelNotFound``, ``EncoderError``.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"speecht5: threshold is a probability above 0, at most 1, not {threshold}")
    if not (math.isfinite(maxlenratio) and 0 <= minlenratio < maxlenratio):
        raise UsageError(
            f"speecht5: minlenratio must be 0 or more and below maxlenratio, not {minlenratio} and {maxlenratio}"
        )
    return SpeechT5Generator(
        model,
        hub.folder(model, files=("config.json", EXTRACTOR)),
        vocoder=vocoder,
        speaker_encoder=speaker_encoder,
        threshold=threshold,
        minlenratio=minlenratio,
        maxlenratio=maxlenratio,
    )


def _read_config(where: Path) -> tuple[Any, bool]:
    """The configuration, and whether it is that of a model for voice conversion. Raises ``EncoderError``."""
    from transformers import SpeechT5Config

    table = hub.config(where)
    path = where / "config.json"
    if table.get("model_type") != "speecht5":
        raise EncoderError(f"{where}: speecht5 reads speecht5 checkpoints, not model_type {table.get('model_type')!r}")
    architectures = table.get("architectures") or []
    kinds = [kind for kind in (TEXT_TO_SPEECH, SPEECH_TO_SPEECH) if kind in architectures]
    if len(kinds) != 1:
        raise EncoderError(f"{path}: architectures should name {TEXT_TO_SPEECH} or {SPEECH_TO_SPEECH}")
    try:
        with hub.quiet():
            config = SpeechT5Config(**table)
        sizes = config.speaker_embedding_dim, config.num_mel_bins, config.reduction_factor
        positions = config.max_text_positions, config.max_speech_positions
        good = min(*sizes, *positions) >= 1
    except Exception as error:
        raise EncoderError(f"{path}: not a configuration of SpeechT5: {one_line(error)}") from error
    if not good:
        raise EncoderError(f"{path}: SpeechT5 needs mel bands, positions and a speaker vector of 1 or more")
    return config, kinds == [SPEECH_TO_SPEECH]


def _vocoder_folder(vocoder: str) -> Path:
    try:
        return hub.folder(vocoder)
    except ModelNotFound as error:
        raise ModelNotFound(f"vocoder {error}; vocoder={GRIFFIN_LIM} needs no weights") from None


def _frames(config: Any, samples: int) -> int:
    """Frames that the encoder's convolutions make of a recording."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = (samples - kernel) // stride + 1
    return samples


def _shortest(config: Any) -> int:
    """The fewest samples of which the encoder's convolutions make a frame."""
    samples = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples
