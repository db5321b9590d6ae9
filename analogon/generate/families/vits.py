"""vits: speech of a text by VITS (Kim et al. 2021, arXiv:2106.06103) and by MMS, a model for each of 1,100 languages.

transformers' ``VitsModel`` and ``VitsTokenizer`` ("facebook/mms-tts-eng", -deu, ...; "kakao-enterprise/vits-ljs",
"kakao-enterprise/vits-vctk"): Pratap et al. 2023, arXiv:2305.13516. Text goes in by characters (MMS) or by espeak-ng's
phonemes (the others). How long each one is, and its sound, are drawn by lot, so that seeds differ.

A voice is the number of one of the model's own speakers. A language is a check only: each model speaks one. What the
vocabulary cannot spell, digits above all, is not spoken, and that is said: write numbers out in words.

White space becomes single blanks before the tokenizer drops what it does not know, and so do dashes and slashes that
the model has no sign for: it would run two lines' words together. A text of more than ``PIECE`` characters is spoken
in pieces, cut where sentences end, with ``PAUSE`` seconds between them.
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
from analogon.phrases.pieces import excerpt, pieces
from analogon.prompts import Prompt
from embed import hub
from embed.errors import EncoderError, GeneratorError, MissingPackage, UsageError, one_line, printable
from embed.media import Media, Modality

__all__ = ["DEFAULT_MODEL", "VitsGenerator", "load"]

DEFAULT_MODEL: Final = "facebook/mms-tts-eng"
TOKENIZER: Final = "tokenizer_config.json"
PIECE: Final = 500  # characters: half a minute; memory grows with the square of the text's length
PAUSE: Final = 0.25  # s
NAMED: Final = 5  # words that a message names
PHONEMIZED: Final = "eng"  # transformers has the phonemes of "en-us" alone
# ISO 639-1 and 639-2/T: models name their language by three letters, BCP 47 by two where there are two.
CODES: Final = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bh:bih
bi:bis bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv cy:cym da:dan
de:deu dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra
fy:fry ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her
ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua
kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin
lo:lao lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob
nd:nde ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli
pl:pol ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag si:sin sk:slk
sl:slv sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir
tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol
wa:wln wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul
"""
THREE_LETTERS: Final = dict(pair.split(":") for pair in CODES.split())

Samples = npt.NDArray[np.float32]


class VitsGenerator(Generator):
    """``where`` holds a ``VitsModel`` and its ``VitsTokenizer``; None leaves a setting to its configuration."""

    modality: Modality = "audio"
    speaks = True

    def __init__(
        self,
        model: str,
        where: Path,
        *,
        speaking_rate: float | None,
        noise_scale: float | None,
        noise_scale_duration: float | None,
    ) -> None:
        self.name = f"vits:{model}"
        self.where = where
        self.config = _read_config(where)
        self.language = _language(where)
        self.abilities: frozenset[Ability] = frozenset({"voice", "language"} if self.language else {"voice"})
        own = self.config.speaking_rate, self.config.noise_scale, self.config.noise_scale_duration
        asked = speaking_rate, noise_scale, noise_scale_duration
        self.speaking_rate, self.noise_scale, self.noise_scale_duration = (
            float(default if value is None else value) for default, value in zip(own, asked, strict=True)
        )
        self._identity = {
            "family": "vits",
            "model": model,
            "weights": hub.weights_hash(where),
            "speaking_rate": self.speaking_rate,
            "noise_scale": self.noise_scale,
            "noise_scale_duration": self.noise_scale_duration,
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    @property
    def rate(self) -> int:
        """Samples a second."""
        return int(self.config.sampling_rate)

    @property
    def hop(self) -> int:
        """Samples a frame; a take is a whole number of frames but for pauses."""
        return math.prod(self.config.upsample_rates)

    @property
    def speakers(self) -> int:
        """How many voices the model has."""
        return max(1, int(self.config.num_speakers))

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """Float32 ``(n,)``: the text's pieces, spoken one after the other."""
        import torch

        speaker = self._speaker(settings)
        self._check_language(settings)
        texts = [kept for text in self._pieces(prompt.text) if (kept := self._kept(self._spelled(text)))]
        if not texts:
            raise UsageError(
                f"{self.name} can spell nothing of {excerpt(prompt.text)}; its characters are {self._alphabet}"
            )
        pause = np.zeros(round(PAUSE * self.rate), np.float32)
        spoken: list[Samples] = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            model = self._model  # before the seed: loading it draws by lot too
            torch.manual_seed(settings.seed)
            for text in texts:
                tokens = self._speller(text, return_tensors="pt")["input_ids"]
                spoken += [pause] if spoken else []
                try:
                    sound = model(input_ids=tokens, speaker_id=speaker).waveform[0]
                except (RuntimeError, ValueError, IndexError) as error:
                    raise GeneratorError(f"{self.name} failed: {one_line(error, named=True)}") from error
                spoken.append(sound.numpy())
        return Media("audio", array=np.concatenate(spoken), rate=self.rate)

    def remarks(self, prompt: Prompt, settings: Settings) -> Sequence[str]:
        said = []
        if settings.voice is None and self.speakers > 1:
            said.append(f"{self.name} was given no voice: speaker 0 of 0 to {self.speakers - 1} speaks")
        texts = self._pieces(prompt.text)
        spelled = " ".join(self._spelled(text) for text in texts)
        if lost := self._lost(spelled):
            more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
            words = ", ".join(map(excerpt, lost[:NAMED]))
            line = f"{self.name} leaves out what it has no characters for, in {words}{more}"
            said.append(line + ("; write numbers out in words" if any(map(str.isdecimal, "".join(lost))) else ""))
        if len(texts) > 1:
            said.append(f"{self.name}: the text became {len(texts)} pieces, {PAUSE} s apart")
        return said

    # -- text ----------------------------------------------------------------------------------------------------------

    def _pieces(self, text: str) -> list[str]:
        known = self._tokenizer.encoder
        if self._tokenizer.normalize and not self._tokenizer.phonemize:
            text = "".join(self._written(one, known) for one in text)
        text = " ".join(text.split())
        if not text:
            raise UsageError(f"{self.name} was given nothing to speak")
        return pieces(text, PIECE)

    @staticmethod
    def _written(one: str, known: Mapping[str, int]) -> str:
        """A sign that the model has in place of one that it has not: a blank for a dash, ' for an apostrophe."""
        if one in known:
            return one
        return " " if unicodedata.category(one) == "Pd" or one in "/_" else "'" if one == "’" else one

    def _spelled(self, text: str) -> str:
        """The text as the tokenizer has it before it drops what it does not know: in small letters, in Latin ones
        where the model wants that, or in phonemes. Raises ``MissingPackage``, ``EncoderError``.
        """
        tokenizer = self._tokenizer
        if tokenizer.normalize:
            text = tokenizer.normalize_text(text)
        self._check_packages(text)
        if tokenizer.is_uroman and not text.isascii():
            text = self._romanizer.romanize_string(text)
        try:
            spelled: str = tokenizer.prepare_for_tokenization(text, normalize=False)[0]
        except Exception as error:  # espeak-ng's library is looked for only now
            hint = "; phonemizer needs espeak-ng (Debian: apt install espeak-ng)" if tokenizer.phonemize else ""
            raise EncoderError(f"{self.name} cannot read the text: {one_line(error, named=True)}{hint}") from error
        return spelled

    def _check_packages(self, text: str) -> None:
        from transformers.utils import is_phonemizer_available, is_uroman_available

        if self._tokenizer.is_uroman and not text.isascii() and not is_uroman_available():
            raise MissingPackage("uroman", "vits", f"{self.name} reads other scripts in Latin letters; that")
        if self._tokenizer.phonemize and not is_phonemizer_available():
            raise MissingPackage("phonemizer", "vits", f"{self.name} reads phonemes; to make them of a text")

    def _kept(self, spelled: str) -> str:
        """What of it the vocabulary has; transformers would number the rest beyond the model's embedding."""
        kept = "".join(one for one in spelled if one in self._tokenizer.encoder)
        return kept if self._tokenizer.phonemize else kept.strip()

    def _lost(self, spelled: str) -> list[str]:
        """The words that have letters, digits or symbols which the vocabulary has not; punctuation is no loss."""

        def spoken(one: str) -> bool:
            return one not in self._tokenizer.encoder and unicodedata.category(one)[0] in "LNSM"

        return list(dict.fromkeys(word for word in spelled.split() if any(map(spoken, word))))

    @property
    def _alphabet(self) -> str:
        known = sorted(one for one in self._tokenizer.encoder if len(one) == 1 and one.strip())
        return printable("".join(known) if len(known) <= 80 else "".join(known[:80]) + "...")

    # -- settings ------------------------------------------------------------------------------------------------------

    def _speaker(self, settings: Settings) -> int | None:
        """The number of a speaker; None where the model has but one. Raises ``UsageError``."""
        voice = settings.voice
        own = (
            f"its own speakers, 0 to {self.speakers - 1}" if self.speakers > 1 else "the one voice that it was made of"
        )
        if voice is not None and not isinstance(voice, str):
            raise UsageError(f"{self.name} cannot speak as the kept voice {voice.name}: it has only {own}")
        if voice is None:
            voice = "0"
        if not re.fullmatch(r"[0-9]{1,9}", voice) or int(voice) >= self.speakers:
            raise UsageError(f"{self.name} has no speaker {voice!r}: it has {own}")
        return int(voice) if self.speakers > 1 else None

    def _check_language(self, settings: Settings) -> None:
        """Raises ``UsageError`` where another language is asked for than the model's."""
        if settings.language is None or self.language is None:
            return
        asked = _three_letters(settings.language)
        if asked != _three_letters(self.language):
            raise UsageError(
                f"{self.name} speaks {self.language}, not {settings.language}: each model has one language; "
                f"MMS has others, as vits:facebook/mms-tts-{asked}"
            )

    # -- what is loaded ------------------------------------------------------------------------------------------------

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import VitsTokenizer

        made = hub.tokenizer(self.where, VitsTokenizer)
        numbers, size = made.encoder.values(), self.config.vocab_size
        if not numbers or not (min(numbers) >= 0 and max(numbers) < size):
            raise EncoderError(f"{self.where / 'vocab.json'}: its numbers are not 0 to {size - 1}, as its model wants")
        return made

    @cached_property
    def _speller(self) -> Any:
        """The same tokenizer for what is spelled and filtered: it only numbers characters, with blanks between them."""
        from transformers import VitsTokenizer

        return hub.processor(VitsTokenizer, self.where, normalize=False, phonemize=False, is_uroman=False)

    @cached_property
    def _romanizer(self) -> Any:
        """The tokenizer would read uroman's tables again for every text, which takes seconds."""
        import uroman

        return uroman.Uroman()

    @cached_property
    def _model(self) -> Any:
        from transformers import VitsModel

        model = hub.pretrained(VitsModel, self.where)
        model.speaking_rate = self.speaking_rate
        model.noise_scale = self.noise_scale
        model.noise_scale_duration = self.noise_scale_duration
        return model


def load(
    model: str,
    *,
    speaking_rate: float | None = None,
    noise_scale: float | None = None,
    noise_scale_duration: float | None = None,
) -> VitsGenerator:
    """A folder or hub name with a VITS or MMS checkpoint as transformers saves it.

    ``speaking_rate`` above 1 is faster; ``noise_scale`` and ``noise_scale_duration`` say how much the sound and the
    rhythm vary with the seed, 0 for not at all. What is left open is as the checkpoint's configuration has it (1, 0.667
    and 0.8 in the published ones).

    Raises ``UsageError`` for a setting out of range, ``ModelNotFound``, ``EncoderError``.
    """
    if speaking_rate is not None and not (math.isfinite(speaking_rate) and speaking_rate > 0):
        raise UsageError(f"vits: speaking_rate must be above 0, not {speaking_rate}")
    for name, value in (("noise_scale", noise_scale), ("noise_scale_duration", noise_scale_duration)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(f"vits: {name} must be 0 or more, not {value}")
    return VitsGenerator(
        model,
        hub.folder(model, files=("config.json", "vocab.json")),
        speaking_rate=speaking_rate,
        noise_scale=noise_scale,
        noise_scale_duration=noise_scale_duration,
    )


def _read_config(where: Path) -> Any:
    """Raises ``EncoderError`` where it is not that of a VITS."""
    from transformers import VitsConfig

    table = hub.config(where)
    if table.get("model_type") != "vits":
        raise EncoderError(f"{where}: vits reads vits checkpoints, not model_type {table.get('model_type')!r}")
    try:
        with hub.quiet():
            config = VitsConfig(**table)
        good = min(config.sampling_rate, *config.upsample_rates, config.vocab_size) >= 1
    except Exception as error:
        raise EncoderError(f"{where / 'config.json'}: not a configuration of VITS: {one_line(error)}") from error
    if not good:
        raise EncoderError(f"{where / 'config.json'}: VITS needs a sample rate and upsampling rates of 1 or more")
    return config


def _language(where: Path) -> str | None:
    """The language that the tokenizer was made for: "eng", "uig-script_arabic"; None where it does not say."""
    table = hub.config(where, TOKENIZER) if (where / TOKENIZER).is_file() else {}
    language = table.get("language")
    if isinstance(language, str) and language:
        return language
    return PHONEMIZED if table.get("phonemize", True) else None


def _three_letters(tag: str) -> str:
    """The language of a tag, without script and region: "eng" of "en-GB" and of "eng"."""
    primary = re.split("[-_]", tag)[0].lower()
    return THREE_LETTERS.get(primary, primary)
