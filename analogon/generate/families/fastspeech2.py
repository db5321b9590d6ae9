"""fastspeech2: English speech of a text by FastSpeech 2 with Conformers, as ESPnet trained it (Ren et al. 2021).

transformers' ``FastSpeech2ConformerWithHifiGan`` ("espnet/fastspeech2_conformer_with_hifigan"), or
``FastSpeech2ConformerModel`` and a vocoder beside it ("espnet/fastspeech2_conformer",
"espnet/fastspeech2_conformer_hifigan"). g2p_en makes phonemes of the text, by CMU's dictionary and a network for words
that are not in it; it reads numbers, and drops letters that are not Latin.

Nothing is drawn by lot: every seed gives the same take. A voice is the number of one of the model's own speakers.
A text of more than ``PIECE`` characters is spoken in pieces, cut where sentences end, with ``PAUSE`` seconds between.
arXiv:2006.04558; Conformers: Guo et al. 2021, arXiv:2010.13956.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.engines.generator import Ability, Generator, Settings
from analogon.generate.families.speecht5 import Stage
from analogon.phrases.pieces import excerpt, pieces
from analogon.prompts import Prompt
from embed import hub
from embed.errors import EncoderError, GeneratorError, MissingPackage, ModelNotFound, UsageError, one_line
from embed.media import Media, Modality

__all__ = ["DEFAULT_MODEL", "FastSpeech2Generator", "load"]

DEFAULT_MODEL: Final = "espnet/fastspeech2_conformer_with_hifigan"
PLAIN: Final = "espnet/fastspeech2_conformer"  # the one of both published folders that has a vocabulary
HIFIGAN: Final = "espnet/fastspeech2_conformer_hifigan"
WITH: Final = "fastspeech2_conformer_with_hifigan"
WITHOUT: Final = "fastspeech2_conformer"
VOCODER: Final = "fastspeech2_conformer_hifigan"
RATE: Final = 22050  # Hz, of LJSpeech, which the published ones were trained on; their configurations do not say
PIECE: Final = 500  # characters
PAUSE: Final = 0.25  # s
NAMED: Final = 5  # words that a message names
CORPORA: Final = ("corpora/cmudict.zip", "taggers/averaged_perceptron_tagger.zip")
NEWER: Final = "taggers/averaged_perceptron_tagger_eng/"  # NLTK 3.9 and later read this, g2p_en looks for the older one

Samples = npt.NDArray[np.float32]


class FastSpeech2Generator(Generator):
    """``where`` holds the synthesizer, and with it the vocoder or not."""

    modality: Modality = "audio"
    speaks = True
    language = "en"

    def __init__(
        self, model: str, where: Path, *, vocoder: str | None, tokenizer: str | None, speaking_rate: float | None
    ) -> None:
        self.name = f"fastspeech2:{model}"
        self.model = model
        self.where = where
        self.config, self.vocoder_config, rate = _read_config(where)
        self.vocoder = vocoder or (model if self.vocoder_config else HIFIGAN)
        self.vocoder_folder = None
        if vocoder or self.vocoder_config is None:
            self.vocoder_folder = hub.folder(self.vocoder)
            self.vocoder_config, rate = _read_vocoder(self.vocoder_folder)
        self.rate = rate
        """Samples a second."""
        if self.vocoder_config.model_in_dim != self.config.num_mel_bins:
            raise EncoderError(
                f"{self.vocoder_folder or where}: a vocoder of {self.vocoder_config.model_in_dim} mel bands; "
                f"{self.name} makes {self.config.num_mel_bins}"
            )
        own = (where / "vocab.json").is_file()
        try:
            self.tokenizer_folder = (
                where if own and not tokenizer else hub.folder(tokenizer or PLAIN, files=["vocab.json"])
            )
        except ModelNotFound as error:
            hint = (
                ""
                if tokenizer
                else f"; {where} has no vocabulary of its own, and the setting tokenizer names one, a folder"
            )
            raise ModelNotFound(f"{error}{hint}") from None
        self.abilities: frozenset[Ability] = frozenset({"language", "voice"} if self.speakers > 1 else {"language"})
        self.speaking_rate = 1.0 / self.config.speaking_speed if speaking_rate is None else float(speaking_rate)
        self._identity = {
            "family": "fastspeech2",
            "model": model,
            "weights": hub.weights_hash(where),
            "vocoder": self.vocoder if self.vocoder_folder else None,  # else it is the model's own
            "vocoder_weights": hub.weights_hash(self.vocoder_folder) if self.vocoder_folder else None,
            "vocabulary": hub.file_hash(self.tokenizer_folder / "vocab.json"),
            "speaking_rate": self.speaking_rate,
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    @property
    def hop(self) -> int:
        """Samples a frame; a take is a whole number of frames but for pauses."""
        return math.prod(self.vocoder_config.upsample_rates)

    @property
    def speakers(self) -> int:
        """How many voices the model has."""
        return max(1, int(self.config.num_speakers or 1))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The two stages of a take, in order."""
        return (
            Stage("synthesizer", self.model, f"phonemes to {self.config.num_mel_bins} log-mel bands"),
            Stage("vocoder", self.vocoder, f"the bands to sound at {self.rate} Hz"),
        )

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """Float32 ``(n,)``: the text's pieces, spoken one after the other."""
        import torch

        speaker = self._speaker(settings)
        self._check_language(settings)
        tokens = [found for text in self._pieces(prompt.text) if (found := self._tokens(text)) is not None]
        if not tokens:
            raise UsageError(f"{self.name} finds no English word to speak in {excerpt(prompt.text)}")
        pause = np.zeros(round(PAUSE * self.rate), np.float32)
        spoken: list[Samples] = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            synthesizer, vocoder = self._models  # made with random weights before they get theirs
            for numbers in tokens:
                spoken += [pause] if spoken else []
                try:
                    sound = vocoder(synthesizer(numbers, speaker_ids=speaker, return_dict=True).spectrogram)
                except (RuntimeError, ValueError, IndexError) as error:
                    raise GeneratorError(f"{self.name} failed: {one_line(error, named=True)}") from error
                spoken.append(sound.reshape(-1).numpy())
        return Media("audio", array=np.concatenate(spoken), rate=self.rate)

    def remarks(self, prompt: Prompt, settings: Settings) -> Sequence[str]:
        said = []
        if settings.seed:
            said.append(f"{self.name} draws nothing by lot: every seed gives the same take")
        if settings.voice is None and self.speakers > 1:
            said.append(f"{self.name} was given no voice: speaker 0 of 0 to {self.speakers - 1} speaks")
        if lost := [word for word in dict.fromkeys(prompt.text.split()) if any(map(_foreign, word))]:
            more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
            said.append(
                f"{self.name} leaves out letters that are not Latin, in {', '.join(map(excerpt, lost[:NAMED]))}{more}"
            )
        if (many := len(self._pieces(prompt.text))) > 1:
            said.append(f"{self.name}: the text became {many} pieces, {PAUSE} s apart")
        return said

    def _pieces(self, text: str) -> list[str]:
        text = " ".join(text.split())
        if not text:
            raise UsageError(f"{self.name} was given nothing to speak")
        return pieces(text, PIECE)

    def _tokens(self, text: str) -> Any:
        """Phonemes' numbers ``(1, n)``; None where there is nothing but punctuation."""
        tokenizer = self._tokenizer
        names = tokenizer.tokenize(text)
        if not any(name[0].isalpha() for name in names):
            return None
        return tokenizer(text, return_tensors="pt")["input_ids"]

    def _speaker(self, settings: Settings) -> Any:
        """The number of a speaker as the model takes it; None where it has but one. Raises ``UsageError``."""
        import torch

        if self.speakers == 1:
            return None
        own = f"its own speakers, 0 to {self.speakers - 1}"
        voice = "0" if settings.voice is None else settings.voice
        if not isinstance(voice, str):
            raise UsageError(f"{self.name} cannot speak as the kept voice {voice.name}: it has only {own}")
        if not re.fullmatch(r"[0-9]{1,9}", voice) or int(voice) >= self.speakers:
            raise UsageError(f"{self.name} has no speaker {voice!r}: it has {own}")
        return torch.tensor([[int(voice)]])

    def _check_language(self, settings: Settings) -> None:
        if settings.language is not None and re.split("[-_]", settings.language)[0].lower() not in ("en", "eng"):
            raise UsageError(f"{self.name} speaks English, not {settings.language}: its phonemes are g2p_en's")

    def _check_packages(self) -> None:
        """g2p_en would try to download what it lacks, and say so on the screen."""
        from transformers.utils import is_g2p_en_available

        try:
            import nltk  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError:
            nltk = None
        if nltk is None or not is_g2p_en_available():
            raise MissingPackage("g2p-en", "fastspeech2", f"{self.name} reads phonemes; to make them of a text")
        wanted = CORPORA if tuple(map(int, nltk.__version__.split(".")[:2])) < (3, 9) else (*CORPORA, NEWER)
        lacking = [name for name in wanted if not _has(nltk, name)]
        if lacking:
            names = " ".join(Path(name).stem for name in lacking)
            archives = ", ".join(name.rstrip("/").removesuffix(".zip") + ".zip" for name in lacking)
            raise EncoderError(
                f"{self.name}: g2p_en needs data of NLTK: python -m nltk.downloader {names}; or put "
                f"{archives} into {nltk.data.path[0]}"
            )

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import FastSpeech2ConformerTokenizer

        self._check_packages()
        made = hub.tokenizer(self.tokenizer_folder, FastSpeech2ConformerTokenizer)
        numbers, size = made.encoder.values(), self.config.vocab_size
        if not numbers or not (min(numbers) >= 0 and max(numbers) < size) or made.unk_token not in made.encoder:
            path = self.tokenizer_folder / "vocab.json"
            raise EncoderError(f"{path}: should number {made.unk_token} and others from 0 to {size - 1}")
        return made

    @cached_property
    def _models(self) -> tuple[Any, Any]:
        from transformers import FastSpeech2ConformerHifiGan, FastSpeech2ConformerModel, FastSpeech2ConformerWithHifiGan

        if hub.config(self.where)["model_type"] == WITH:
            both = hub.pretrained(FastSpeech2ConformerWithHifiGan, self.where)
            synthesizer, vocoder = both.model, both.vocoder
        else:
            synthesizer, vocoder = hub.pretrained(FastSpeech2ConformerModel, self.where), None
        if self.vocoder_folder is not None:
            vocoder = hub.pretrained(FastSpeech2ConformerHifiGan, self.vocoder_folder)
        # Its "speed" multiplies durations: twice the speed would be half as fast.
        synthesizer.config.speaking_speed = 1.0 / self.speaking_rate
        return synthesizer, vocoder


def load(
    model: str, *, vocoder: str | None = None, tokenizer: str | None = None, speaking_rate: float | None = None
) -> FastSpeech2Generator:
    """A folder or hub name with a FastSpeech2Conformer, with its HiFi-GAN or without, as transformers saves it.

    ``vocoder`` is a folder or hub name of a ``FastSpeech2ConformerHifiGan``, in place of the model's own or of the
    published one; ``tokenizer`` is one of a ``vocab.json``, where ``model`` has none. ``speaking_rate`` above 1 is
    faster; the checkpoint's configuration decides where it is left open.

    Raises ``UsageError`` for a setting out of range, ``ModelNotFound``, ``EncoderError``.
    """
    if speaking_rate is not None and not (math.isfinite(speaking_rate) and speaking_rate > 0):
        raise UsageError(f"fastspeech2: speaking_rate must be above 0, not {speaking_rate}")
    return FastSpeech2Generator(
        model, hub.folder(model), vocoder=vocoder, tokenizer=tokenizer, speaking_rate=speaking_rate
    )


def _read_config(where: Path) -> tuple[Any, Any, int]:
    """The synthesizer's configuration, its vocoder's if it has one, and the sample rate. Raises ``EncoderError``."""
    from transformers import FastSpeech2ConformerConfig, FastSpeech2ConformerWithHifiGanConfig

    table = hub.config(where)
    path = where / "config.json"
    kind = table.get("model_type")
    if kind not in (WITH, WITHOUT):
        raise EncoderError(f"{where}: fastspeech2 reads {WITH} and {WITHOUT} checkpoints, not model_type {kind!r}")
    try:
        with hub.quiet():
            config = FastSpeech2ConformerWithHifiGanConfig(**table) if kind == WITH else None
            synthesizer = config.model_config if config else FastSpeech2ConformerConfig(**table)
        vocoder = config.vocoder_config if config else None
        good = synthesizer.speaking_speed > 0 and min(synthesizer.num_mel_bins, synthesizer.vocab_size) >= 1
        good = good and (vocoder is None or min(vocoder.upsample_rates) >= 1)
    except Exception as error:
        raise EncoderError(f"{path}: not a configuration of FastSpeech2Conformer: {one_line(error)}") from error
    if not good:
        raise EncoderError(f"{path}: FastSpeech2Conformer needs mel bands, a vocabulary and a speed above 0")
    if synthesizer.speaker_embed_dim:
        raise EncoderError(f"{path}: a model that wants speaker vectors; only those with numbered speakers are read")
    return synthesizer, vocoder, _rate(path, table.get("vocoder_config") or {})


def _read_vocoder(where: Path) -> tuple[Any, int]:
    """Raises ``EncoderError``."""
    from transformers import FastSpeech2ConformerHifiGanConfig

    table = hub.config(where)
    path = where / "config.json"
    if table.get("model_type") not in ("hifigan", VOCODER):
        raise EncoderError(f"{path}: not a FastSpeech2ConformerHifiGan, model_type {table.get('model_type')!r}")
    try:
        config = FastSpeech2ConformerHifiGanConfig(
            **{key: value for key, value in table.items() if key != "model_type"}
        )
        good = min(config.upsample_rates) >= 1
    except Exception as error:
        raise EncoderError(f"{path}: not a configuration of FastSpeech2ConformerHifiGan: {one_line(error)}") from error
    if not good:
        raise EncoderError(f"{path}: a vocoder needs upsampling rates of 1 or more")
    return config, _rate(path, table)


def _rate(path: Path, table: Mapping[str, Any]) -> int:
    rate = table.get("sampling_rate", RATE)
    if not isinstance(rate, int) or rate < 1:
        raise EncoderError(f"{path}: sampling_rate must be a whole number above 0, not {rate!r}")
    return rate


def _has(nltk: Any, name: str) -> bool:
    try:
        nltk.data.find(name)
    except LookupError:
        return False
    return True


def _foreign(one: str) -> bool:
    """Whether a letter or digit is none that g2p_en keeps: it drops accents, and all but a to z and numbers."""
    return one.isalnum() and not unicodedata.normalize("NFD", one)[0].isascii()
