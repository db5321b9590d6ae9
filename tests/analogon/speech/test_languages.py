"""Languages that the names of voices carry, and that texts are plainly in."""

from __future__ import annotations

import pytest

from analogon.engines.generator import Settings
from analogon.speech.casting import castings
from analogon.speech.compile import to_script
from analogon.speech.languages import guess_language, voice_locale, voice_names
from analogon.speech.reader import from_text, parse
from tests.analogon.speech.measures import Hums


@pytest.mark.parametrize(
    ("name", "locale"),
    [
        # Azure, edge-tts
        ("es-ES-ElviraNeural", "es-ES"),
        ("zh-CN-XiaoxiaoNeural", "zh-CN"),
        ("sr-Latn-RS-NicholasNeural", "sr-RS"),
        ("Microsoft Server Speech Text to Speech Voice (es-MX, DaliaNeural)", "es-MX"),
        # Google
        ("en-GB-Wavenet-A", "en-GB"),
        ("cmn-CN-Standard-B", "cmn-CN"),
        ("es-419-Standard-A", "es-419"),
        # Chrome
        ("Google UK English Female", "en-GB"),
        ("Google US English", "en-US"),
        ("Google Deutsch", "de"),
        ("Google español de Estados Unidos", "es-US"),
        ("Google português do Brasil", "pt-BR"),
        ("Google हिन्दी", "hi"),
        ("Google 日本語", "ja"),
        # Windows
        ("Microsoft Zira Desktop - English (United States)", "en-US"),
        ("Microsoft Elvira Online (Natural) - Spanish (Spain)", "es-ES"),
        # macOS
        ("com.apple.voice.compact.fr-FR.Thomas", "fr-FR"),
        ("Eddy (German (Germany))", "de-DE"),
        ("Samantha", "en-US"),
        # Polly
        ("Joanna", "en-US"),
        ("Penélope", "es-US"),
        ("VickiNeural", "de-DE"),
        # Piper, espeak-ng, Bark
        ("de_DE-thorsten-medium", "de-DE"),
        ("en-us+f3", "en-us"),
        ("es", "es"),
        ("v2/pl_speaker_3", "pl"),
        # none
        ("Google UK", None),
        ("narrator", None),
        ("af_heart", None),
        ("my-AB-voice", None),
        ("my-voice", None),
        ("no-op", None),
        ("Daniel", None),  # of two makers, one English and one German
        ("voice-XX-one", None),
        ("", None),
    ],
)
def test_the_language_in_a_voices_name(name: str, locale: str | None) -> None:
    assert voice_locale(name) == locale


def test_a_products_name_is_one_name_and_a_list_is_several() -> None:
    assert voice_names("Google UK English Female") == ("Google UK English Female",)
    assert voice_names("UK English Female") == ("UK English Female",)
    assert voice_names("Microsoft David - English (United States)") == ("Microsoft David - English (United States)",)
    assert voice_names(" anna\n bert ") == ("anna", "bert")
    assert voice_names("german uk") == ("german", "uk")
    assert voice_names("") == ()


def test_what_an_engine_is_asked_for_in_order() -> None:
    def asked(document: str, **settings: str) -> list[tuple[object, str | None]]:
        (segment,) = to_script(parse(document), Settings(**settings)).segments  # type: ignore[arg-type]
        return [(one.voice, one.language) for one in castings(segment, Settings(**settings))]  # type: ignore[arg-type]

    name = "Google UK English Female"
    assert asked(f'<speak xml:lang="de"><voice name="{name}">a</voice></speak>') == [
        (name, None),
        (None, "en-GB"),
        (None, "de"),
        (None, None),
    ]
    assert asked('<speak xml:lang="de"><voice name="anna bert">a</voice></speak>', language="fr") == [
        ("anna", None),
        ("bert", None),
        (None, "de"),
        (None, "fr"),
    ]
    assert asked('<speak xml:lang="de"><voice name="es-ES-X"><s xml:lang="fr">a</s></voice></speak>') == [
        ("es-ES-X", "fr"),
        (None, "fr"),
        (None, None),
    ]
    assert asked('<speak xml:lang="de">a</speak>', voice="anna") == [("anna", None)]
    assert asked('<speak xml:lang="de">a</speak>') == [(None, "de"), (None, None)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The quick brown fox jumps over the lazy dog, and it is not tired of that.", "en"),
        ("¡Hola! Espero que estés teniendo un buen día. Permíteme mostrarte algo interesante.", "es"),
        ("Je ne sais pas où est la gare, mais vous pouvez demander à un passant dans la rue.", "fr"),
        ("Ich weiß nicht, wo der Bahnhof ist, aber du kannst jemanden auf der Straße fragen.", "de"),
        ("Non so dove sia la stazione, ma puoi chiedere a un passante che è nella strada del centro.", "it"),
        ("Não sei onde fica a estação, mas você pode perguntar a uma pessoa que está na rua.", "pt"),
        ("Ik weet niet waar het station is, maar je kunt het aan een voorbijganger vragen op de straat.", "nl"),
        ("Jag vet inte var stationen är, men du kan fråga någon som är på gatan.", "sv"),
        ("Nie wiem, gdzie jest dworzec, ale możesz zapytać kogoś na ulicy, to nie jest daleko.", "pl"),
        ("Bu çok güzel bir gün ve ben de seninle için daha mutlu oldum.", "tr"),
        ("Доброе утро, мы были здесь.", "ru"),
        ("Доброго ранку, як ваші справи?", "uk"),
        ("Καλημέρα σε όλους", "el"),
        ("おはよう、東京。", "ja"),
        ("早上好", "zh"),
        ("안녕하세요", "ko"),
        ("बहुत अच्छा", "hi"),
        # not plain
        ("Hello.", None),
        ("Pasta e basta", None),
        ("Добро утро", None),
        ("naïve café, déjà vu", None),
        ("12:30 / 5 %", None),
        ("", None),
    ],
)
def test_what_a_text_is_plainly_in(text: str, language: str | None) -> None:
    assert guess_language(text) == language


SPANISH = "¡Hola! Espero que estés teniendo un buen día."


def test_a_language_that_nobody_names_is_told() -> None:
    engine = Hums(abilities=frozenset({"language"}))
    engine.language_spoken = lambda voice=None, language=None: language or "en"  # type: ignore[method-assign]
    engine.language, engine.guesses_language = "en", True

    def lines(document: str, **settings: str) -> tuple[list[str | None], tuple[str, ...]]:
        script = to_script(parse(document), Settings(**settings), engine)  # type: ignore[arg-type]
        return [segment.language for segment in script.segments], script.remarks

    way_out = "; xml:lang in the document, or a language that is asked for, says another"
    assert lines(f"<speak>{SPANISH}</speak>") == (
        ["es"],
        (f"no language is named: by its words it is Spanish (es), and spoken so{way_out}",),
    )
    assert lines("<speak>Good morning.</speak>") == (
        [None],
        (f"no language is named: hums:a speaks English (en){way_out}",),
    )
    assert lines(f'<speak xml:lang="en">{SPANISH}</speak>') == (["en"], ())
    assert lines(f"<speak>{SPANISH}</speak>", language="en") == (["en"], ())
    assert lines(f"<speak>{SPANISH}</speak>", voice="anna") == ([None], ())
    assert lines(f'<speak><voice name="anna">{SPANISH}</voice></speak>') == ([None], ())
    # Plain text has no place for a language: only what is plainly another one is worth a line.
    assert to_script(from_text("Good morning."), Settings(), engine).remarks == ()
    assert to_script(from_text("Добро утро"), Settings(), engine).remarks[0].startswith("no language is named: hums:a")
    assert to_script(from_text(SPANISH), Settings(), engine).segments[0].language == "es"
    engine.guesses_language = False  # somebody chose it
    assert lines(f"<speak>{SPANISH}</speak>") == ([None], ())
