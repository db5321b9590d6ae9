"""bark: speech, laughter and song of a text, by Suno's Bark ("suno/bark-small", "suno/bark"), at 24 kHz.

transformers' ``BarkModel``: a GPT turns the text's tokens into semantic tokens, a second turns these into the first two
codebooks of EnCodec, a third adds the other six, and EnCodec makes sound of them. There is no paper; the temperatures
here are those of Suno's own ``generate_audio``.

What stands in the text is left as it is: [laughter], [sighs], [music], notes around what is sung, CAPITALS.

A voice is a preset, "v2/en_speaker_6": the tokens of something that the speaker said, which the models go on from, and
with it a language. A kept voice (``analogon.voices``) becomes the nearest preset, by its own speaker encoder on the
presets' sound. A language without a voice becomes its first preset.

A take is one piece of about 13 s at most: that is what the semantic tokens allow. A longer text is cut at the ends of
sentences, then at commas, then between words; the pieces are made one after the other and joined with a quarter of a
second of silence, as Suno's notebook on long texts does it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.engines.generator import Ability, Generator, Settings
from analogon.engines.markup import Markup
from analogon.phrases.pieces import pieces
from analogon.prompts import Prompt
from analogon.speech import primary
from analogon.voices import NearestSample, Voice, nearest
from embed import hub
from embed.errors import EncoderError, GeneratorError, UsageError, one_line
from embed.media import Media, Modality
from embed.space import Space

__all__ = ["DEFAULT_MODEL", "BarkGenerator", "load"]

DEFAULT_MODEL: Final = "suno/bark-small"
GENERATION: Final = "generation_config.json"
PRESETS: Final = "speaker_embeddings_path.json"
PATTERNS: Final = (*hub.HUB_PATTERNS, "speaker_embeddings/*")
PIECE: Final = 180  # characters: 13 s at 14 a second
PAUSE: Final = 0.25  # s
FINE_TEMPERATURE: Final = 0.5
STAGES: Final = ("semantic_config", "coarse_acoustics_config", "fine_acoustics_config")
NAMED: Final = 10  # presets that a message names

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Speaker:
    """The preset that is gone on from, None for none, and what to say of how it was chosen."""

    preset: str | None
    remark: str | None = None


class BarkGenerator(Generator):
    """``presets`` are the voices that its folder has, ``preset_sample`` is what one of them sounds like."""

    modality: Modality = "audio"
    abilities: frozenset[Ability] = frozenset({"voice", "language"})
    speaks = True
    markup: frozenset[Markup] = frozenset({"brackets"})  # [laughs]: what its makers taught it

    def __init__(
        self, model: str, where: Path, *, temperature: float, waveform_temperature: float, min_eos_p: float
    ) -> None:
        self.name = f"bark:{model}"
        self.where = where
        self.config, self.generation = _read_config(where)
        self.temperature, self.waveform_temperature, self.min_eos_p = temperature, waveform_temperature, min_eos_p
        self._identity = {
            "family": "bark",
            "model": model,
            "weights": hub.weights_hash(where),
            "temperature": temperature,
            "waveform_temperature": waveform_temperature,
            "min_eos_p": min_eos_p,
        }
        self._near: dict[str, NearestSample] = {}

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    @property
    def rate(self) -> int:
        """The codec's sample rate in Hz."""
        return int(self.config.codec_config.sampling_rate)

    def presets(self) -> list[str]:
        """The names of its voices, sorted; empty where the folder has none."""
        return sorted(self._paths)

    def preset_sample(self, name: str) -> Media:
        """What a preset's speaker said: float32 ``(n,)`` at ``rate``, its codes as EnCodec decodes them.

        Raises ``UsageError`` where there is no preset of that name, ``GeneratorError`` where its files are damaged.
        """
        import torch

        codes = torch.from_numpy(self._preset(name)["fine_prompt"])[None]
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            sound = self._model.codec_decode(codes)[0]
        return Media("audio", array=sound.numpy(), rate=self.rate)

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """Float32 ``(n,)``: the text's pieces, spoken one after the other."""
        import torch

        texts = self._pieces(prompt.text)
        preset = self._speaker(settings).preset
        history = None
        if preset is not None:
            history = {key: torch.from_numpy(codes) for key, codes in self._preset(preset).items()}
        pause = np.zeros(round(PAUSE * self.rate), np.float32)
        spoken: list[npt.NDArray[np.float32]] = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode(), hub.quiet():
            model = self._model  # before the seed: loading it draws by lot too
            torch.manual_seed(settings.seed)
            for text in texts:
                spoken += [pause] if spoken else []
                try:
                    sound = model.generate(
                        **self._tokens(text),
                        history_prompt=history,
                        do_sample=True,
                        semantic_temperature=self.temperature,
                        coarse_temperature=self.waveform_temperature,
                        fine_temperature=FINE_TEMPERATURE,
                        min_eos_p=self.min_eos_p,
                    )
                except (RuntimeError, ValueError, IndexError) as error:
                    raise GeneratorError(
                        f"{self.name} failed: {one_line(error, named=True)}; another seed or text may do"
                    ) from error
                spoken.append(sound[0].numpy())
        return Media("audio", array=np.concatenate(spoken), rate=self.rate)

    def remarks(self, prompt: Prompt, settings: Settings) -> Sequence[str]:
        said = []
        speaker = self._speaker(settings)
        if speaker.remark:
            said.append(speaker.remark)
        if (many := len(self._pieces(prompt.text))) > 1:
            line = f"{self.name} speaks about 13 s at a time: the text became {many} pieces, {PAUSE} s apart"
            said.append(line + ("; without a voice each may have another" if speaker.preset is None else ""))
        return said

    def language_spoken(self, voice: Voice | str | None = None, language: str | None = None) -> str | None:
        """That of a preset, whatever is asked for besides. Without a voice and a language it goes by the text."""
        if isinstance(voice, str):
            self._check(voice)
            return _language(voice) or language
        if language is not None and not any(_language(name) == primary(language) for name in self.presets()):
            raise UsageError(f"{self.name} has no voice for {language}")
        return language

    def _pieces(self, text: str) -> list[str]:
        # Half of a surrogate pair is not UTF-8, and the tokenizer would refuse it.
        text = " ".join(text.encode("utf-8", "replace").decode().split())
        if not text:
            raise UsageError(f"{self.name} was given nothing to speak")
        return pieces(text, min(PIECE, self._tokens_at_most))

    @property
    def _tokens_at_most(self) -> int:
        return int(self.generation["semantic_config"].get("max_input_semantic_length", 256))

    def _tokens(self, text: str) -> dict[str, Any]:
        """Token numbers and their mask, ``(1, n)`` filled up: what ``BarkProcessor`` gives."""
        tokens = self._tokenizer(
            text,
            padding="max_length",
            truncation=True,
            max_length=self._tokens_at_most,
            add_special_tokens=False,
            return_token_type_ids=False,
            return_tensors="pt",
        )
        return {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}

    def _speaker(self, settings: Settings) -> Speaker:
        """The preset for a voice and a language. Raises ``UsageError`` where there is none."""
        voice, language = settings.voice, settings.language
        if voice is None and language is None:
            return Speaker(None)
        names = self.presets()
        if not names:
            raise UsageError(f"{self.name} has no voices: {self.where} holds no {PRESETS}")
        if isinstance(voice, str):
            self._check(voice)
            spoken = _language(voice)
            differs = language is not None and spoken is not None and spoken != primary(language)
            return Speaker(voice, f"the voice {voice} speaks {spoken}, not {language}" if differs else None)
        if language is not None:
            names = [name for name in names if _language(name) == primary(language)]
            if not names:
                there = sorted({spoken for name in self.presets() if (spoken := _language(name))})
                raise UsageError(f"{self.name} has no voice for {language}; it has some for {', '.join(there)}")
        if voice is None:
            # Suno's second set of presets is the better one, and sorts last.
            first = min(names, key=lambda name: (not name.startswith("v2/"), name))
            return Speaker(first, f"{self.name} was given no voice: {first} speaks {language}")
        near = self._nearest(voice, names)
        return Speaker(
            near.name,
            f"{self.name} cannot take the voice {voice.name} on: of its {near.among} voices {near.name} is nearest "
            f"(cosine {near.score:.2f}, {near.space.model})",
        )

    def _nearest(self, voice: Voice, names: Sequence[str]) -> NearestSample:
        """The preset nearest to a kept voice. It is remembered on disk: many presets must be decoded for it."""
        digest = hashlib.blake2b(json.dumps([self._identity["weights"], list(names)]).encode(), digest_size=16)
        for space, vector in voice.vectors.items():
            digest.update(space.id.encode() + vector.tobytes())
        key = digest.hexdigest()
        if key not in self._near:
            memory = hub.cache_folder() / "presets" / f"{key}.json"
            near = _remembered(memory, names)
            if near is None:
                near = nearest(voice, {name: self.preset_sample(name) for name in names})
                _remember(memory, near)
            self._near[key] = near
        return self._near[key]

    @cached_property
    def _paths(self) -> dict[str, dict[str, str]]:
        """Each preset's three files, by what they hold."""
        if not (self.where / PRESETS).is_file():
            return {}
        table = hub.config(self.where, PRESETS)
        return {name: paths for name, paths in table.items() if isinstance(paths, dict)}

    def _check(self, name: str) -> None:
        if name not in self._paths:
            near = difflib.get_close_matches(name, self.presets(), NAMED, 0.0)
            more = len(self._paths) - len(near)
            raise UsageError(
                f"{self.name} has no voice {name!r}; it has: {', '.join(near)}{f' and {more} more' if more else ''}"
            )

    def _preset(self, name: str) -> dict[str, Codes]:
        """Semantic tokens ``(n,)``, coarse codes ``(2, m)`` and fine codes ``(8, k)`` of a preset."""
        self._check(name)
        size = int(self.generation.get("codebook_size", 1024))
        semantic = int(self.generation["semantic_config"].get("semantic_vocab_size", 10_000))
        coarse = int(self.generation["coarse_acoustics_config"].get("n_coarse_codebooks", 2))
        fine = int(self.generation["fine_acoustics_config"].get("n_fine_codebooks", 8))
        wanted = {"semantic_prompt": ((), semantic), "coarse_prompt": ((coarse,), size), "fine_prompt": ((fine,), size)}
        return {key: self._codes(name, key, *shape) for key, shape in wanted.items()}

    def _codes(self, name: str, key: str, rows: tuple[int, ...], size: int) -> Codes:
        """One file of a preset: whole numbers from 0 to ``size - 1`` in an array ``(*rows, n)``."""
        given = self._paths[name].get(key)
        path = Path(os.path.normpath(self.where / str(given)))
        # Not resolved: what the hub's cache holds are links to files that lie elsewhere.
        if given is None or not path.is_relative_to(self.where):
            raise GeneratorError(f"{self.where / PRESETS}: the {key} of {name} is not a file of this folder: {given}")
        try:
            array = np.load(path, allow_pickle=False)
        except Exception as error:
            raise GeneratorError(f"{path}: the voice {name} cannot be read: {one_line(error)}") from error
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu" or array.shape[:-1] != rows:
            raise GeneratorError(f"{path}: the {key} of {name} should hold whole numbers {(*rows, 'n')}")
        if not array.size or array.min() < 0 or array.max() >= size:
            raise GeneratorError(f"{path}: the {key} of {name} should hold numbers from 0 to {size - 1}")
        return array.astype(np.int64)

    @cached_property
    def _tokenizer(self) -> Any:
        return hub.tokenizer(self.where)

    @cached_property
    def _model(self) -> Any:
        from transformers import BarkModel

        return hub.pretrained(BarkModel, self.where)


def load(
    model: str, *, temperature: float = 0.7, waveform_temperature: float = 0.7, min_eos_p: float = 0.2
) -> BarkGenerator:
    """A folder or hub name with a Bark checkpoint as transformers saves it, and its presets.

    ``temperature`` is that of the semantic tokens (what is said, and how), ``waveform_temperature`` that of the first
    codebooks (how it sounds): higher ones vary more. A piece ends where the model thinks so with a probability of at
    least ``min_eos_p``; 0 leaves it to chance, which may add babble.

    Raises ``UsageError`` for a setting out of range, ``ModelNotFound``, ``EncoderError``.
    """
    for name, value in (("temperature", temperature), ("waveform_temperature", waveform_temperature)):
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"bark: {name} must be above 0, not {value}")
    if not 0 <= min_eos_p <= 1:
        raise UsageError(f"bark: min_eos_p is a probability from 0 to 1, not {min_eos_p}")
    where = hub.folder(model, files=("config.json", GENERATION), patterns=PATTERNS)
    return BarkGenerator(
        model, where, temperature=temperature, waveform_temperature=waveform_temperature, min_eos_p=min_eos_p
    )


def _language(preset: str) -> str | None:
    """The language of a preset: "en" of "v2/en_speaker_6"."""
    found = re.fullmatch(r"(?:.*/)?([a-z]{2,3})_speaker_\d+", preset)
    return found[1] if found else None


def _read_config(where: Path) -> tuple[Any, dict[str, Any]]:
    """The configuration, and that of its generation. Raises ``EncoderError``."""
    from transformers import BarkConfig

    table, generation = hub.config(where), hub.config(where, GENERATION)
    if table.get("model_type") != "bark":
        raise EncoderError(f"{where}: bark reads bark checkpoints, not model_type {table.get('model_type')!r}")
    if lacks := [stage for stage in STAGES if not isinstance(generation.get(stage), dict)]:
        raise EncoderError(f"{where / GENERATION}: holds no {lacks[0]}, which says how Bark's tokens are numbered")
    try:
        with hub.quiet():
            config = BarkConfig(**table)
        good = min(config.codec_config.sampling_rate, config.codec_config.hop_length) >= 1
    except Exception as error:
        raise EncoderError(f"{where / 'config.json'}: not a configuration of Bark: {one_line(error)}") from error
    if not good:
        raise EncoderError(f"{where / 'config.json'}: Bark needs a codec with a sample rate")
    return config, generation


def _remembered(path: Path, names: Sequence[str]) -> NearestSample | None:
    try:
        table = json.loads(path.read_text("utf-8"))
        near = NearestSample(table["name"], float(table["score"]), Space.from_json(table["space"]), int(table["among"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return near if near.name in names else None


def _remember(path: Path, near: NearestSample) -> None:
    table = {"name": near.name, "score": near.score, "space": near.space.to_json(), "among": near.among}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(table), "utf-8")
        partial.replace(path)
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else
