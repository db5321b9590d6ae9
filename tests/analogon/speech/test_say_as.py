"""Texts of a kind: what is said of them, in which language, and what is left as it stands."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any, ClassVar

import pytest

from analogon.engines.generator import Ability, Settings
from analogon.speech import parse, speak
from analogon.speech.say_as import expand
from embed.errors import UsageError
from embed.media import Media
from tests.analogon.speech.measures import Hums


@pytest.mark.parametrize(
    ("kind", "form", "text", "said"),
    [
        ("cardinal", None, "1,234", "one thousand two hundred thirty-four"),
        ("cardinal", None, "12 345.50", "twelve thousand three hundred forty-five point five zero"),
        ("cardinal", None, "−3", "minus three"),
        ("cardinal", None, "0", "zero"),
        ("number", None, "1.5", "one point five"),
        ("fraction", None, "1/2", "one half"),
        ("fraction", None, "3/4", "three quarters"),
        ("fraction", None, "2 1/2", "two and a half"),
        ("fraction", None, "2+1/8", "two and an eighth"),
        ("fraction", None, "5/144", "five over one hundred forty-four"),
        ("ordinal", None, "21st", "twenty-first"),
        ("digits", None, "4-0 7", "four zero seven"),
        ("number_digit", None, "12", "one two"),
        ("telephone", None, "+1 (555) 0100", "plus one, five five five, zero one zero zero"),
        ("date", "yyyymmdd", "1960-09-10", "September tenth, nineteen sixty"),
        ("date", "yyyymmdd", "20190101", "January first, two thousand nineteen"),
        ("date", "mm/dd", "", None),
        ("date:mdy", None, "1/2/2003", "January second, two thousand three"),
        ("date", "dm", "29/2", "February twenty-ninth"),
        ("time", "hms12", "2:30", "two thirty"),
        ("time", "hms12", "14:30", "two thirty p m"),
        ("time", "hms12", "0:30", "twelve thirty a m"),
        ("time", "hms12", "2:30 p.m.", "two thirty p m"),
        ("time", "h:m", "2:30 p.m.", "two thirty p m"),
        ("number", "ordinal", "3", "third"),
        ("number:digits", None, "123", "one two three"),
        ("number", "telephone", "555 12", "five five five, one two"),
        ("number", "cardinal", "12", "twelve"),
        ("time", "hms24", "24:00", "twenty-four hundred"),
    ],
)
def test_what_english_says(kind: str, form: str | None, text: str, said: str | None) -> None:
    assert expand(text, kind, form, "en-GB") == said


@pytest.mark.parametrize(
    ("kind", "form", "text"),
    [
        ("cardinal", None, "1,5"),  # one and a half in most of the world's languages
        ("cardinal", None, "1.234.567"),
        ("cardinal", None, "1,00,000"),
        ("cardinal", None, "007"),
        ("cardinal", None, "1 2"),
        ("cardinal", None, "5 %"),
        ("ordinal", None, "1,5"),
        ("digits", None, "1.5"),  # where is the point?
        ("digits", None, "-5"),
        ("fraction", None, "1/0"),
        ("fraction", None, "1/2/3"),
        ("telephone", None, "*100#"),
        ("telephone", None, "555+1"),
        ("date", "mdy", "1/2/03"),  # 1903 or 2003?
        ("date", "dmy", "31/2/2001"),
        ("date", "dmy", "29.2.2001"),
        ("date", None, "1/2/2003"),
        ("date", "mdy", "100/2/2003"),
        ("date", "y", "45"),
        ("time", "hms12", "24:01"),
        ("time", None, "2:30m"),
        ("time", None, "1'21\""),
        ("time", "ms", "02:30"),  # minutes and seconds
        ("time", "ms", "2:30"),
        ("number", "roman", "12"),
        ("number:date", None, "12"),
        ("characters", None, "e\u0301"),  # as "é", of which it is another spelling
        ("currency", None, "$5"),
        ("unit", None, "5 km"),
        ("expletive", None, "word"),
        ("characters", None, "é"),
    ],
)
def test_what_is_not_beyond_doubt_is_left(kind: str, form: str | None, text: str) -> None:
    assert expand(text, kind, form) is None


@pytest.mark.parametrize("language", ["es", "fr-FR", "cmn", None])
def test_no_english_words_in_another_language(language: str | None) -> None:
    for kind, text in (("cardinal", "12"), ("ordinal", "3"), ("fraction", "1/2"), ("date", "2024-02-01")):
        assert expand(text, kind, None, language) is None
    assert expand("10:05", "time", None, language) is None
    assert expand("407", "digits", None, language) == "4 0 7"
    assert expand("+49 30-12", "telephone", None, language) == "+ 4 9, 3 0, 1 2"
    assert expand("B2É", "characters", None, language) == "B, 2, É"
    assert expand("a-b", "characters", None, language) is None  # what a dash is called nobody here knows


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("language", ["es", "fr-fr", "de", "it", "pt", "pl"])
def test_digits_apart_are_said_one_by_one(language: str) -> None:
    """As espeak-ng says the words of each digit alone."""

    def phonemes(text: str) -> list[str]:
        command = ["espeak-ng", "-q", "-x", "-v", language, "--", text]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.replace("_!", "").split()

    for text, groups in (("407", ["4", "0", "7"]), ("5186", ["5", "1", "8", "6"])):
        alone = [phonemes(digit)[0].replace("'", "").replace(",", "") for digit in groups]
        apart = phonemes(expand(text, "digits", None, language) or "")
        assert len(apart) == len(groups)
        assert phonemes(text) != apart
        for one, single in zip(apart, alone, strict=True):
            assert one.replace("'", "").replace(",", "")[:2] == single[:2]


# -- the language of the voice that speaks -----------------------------------------------------------------------------


class Polyglot(Hums):
    """Has the voices "Ana" (Spanish) and "Ben" (English), and speaks both languages; English where nobody asks."""

    OWN: ClassVar = {"Ana": "es", "Ben": "en"}

    def __init__(self, language: str = "en") -> None:
        abilities: frozenset[Ability] = frozenset({"voice", "language"})
        super().__init__(abilities=abilities)
        self.language = language

    def language_spoken(self, voice: Any = None, language: str | None = None) -> str:
        if voice is not None and voice not in self.OWN:
            raise UsageError(f"hums has no voice {voice!r}")
        if language is not None and language[:2] not in ("en", "es"):
            raise UsageError(f"hums does not speak {language}")
        return language or self.OWN.get(voice, self.language)

    def make(self, prompt: Any, settings: Settings) -> Media:
        self.language_spoken(settings.voice, settings.language)
        return super().make(prompt, settings)


TWELVE = '<say-as interpret-as="cardinal">12</say-as>'


@pytest.mark.parametrize(
    ("document", "settings", "own", "said"),
    [
        (f"<speak>{TWELVE}</speak>", {}, "en", "twelve"),
        (f"<speak>{TWELVE}</speak>", {}, "es", "12"),
        (f"<speak>{TWELVE}</speak>", {"voice": "Ana"}, "en", "12"),
        (f'<speak xml:lang="en">{TWELVE}</speak>', {"voice": "Ana"}, "en", "12"),
        (f"<speak>{TWELVE}</speak>", {"language": "es"}, "en", "12"),
        (f'<speak xml:lang="en">{TWELVE}</speak>', {}, "es", "twelve"),
        (f'<speak xml:lang="en"><voice name="Ana">{TWELVE}</voice></speak>', {}, "en", "12"),
        (f'<speak xml:lang="es"><voice name="Ben">{TWELVE}</voice></speak>', {}, "es", "twelve"),
        (f'<speak xml:lang="en"><voice name="Ana"><s xml:lang="en">{TWELVE}</s></voice></speak>', {}, "en", "twelve"),
        (
            f'<speak><lang xml:lang="es"><voice name="Ben">{TWELVE}</voice></lang></speak>',
            {},
            "en",
            "twelve",
        ),
        (f'<speak xml:lang="en"><voice name="es-ES-ElviraNeural">{TWELVE}</voice></speak>', {}, "en", "12"),
        (f'<speak xml:lang="es"><voice name="Nobody">{TWELVE}</voice></speak>', {}, "en", "12"),
        (f'<speak xml:lang="en"><voice name="Nobody Ana">{TWELVE}</voice></speak>', {}, "en", "12"),
        (f'<speak xml:lang="en"><voice xml:lang="es">{TWELVE}</voice></speak>', {}, "en", "12"),
        (f'<speak xml:lang="fr">{TWELVE}</speak>', {}, "en", "twelve"),  # French it has not: English speaks
    ],
)
def test_words_are_those_of_the_language_that_comes_to_speak(
    document: str, settings: dict[str, Any], own: str, said: str
) -> None:
    one = speak(parse(document), Polyglot(own), Settings(**settings))
    assert [cue.text for cue in one.timeline] == [said]
    assert any("say-as" in line for line in one.remarks) == (said == "12")
