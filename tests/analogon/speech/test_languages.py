"""Languages that the names of voices carry, and that texts are plainly in."""

from __future__ import annotations

import pytest

from analogon.speech.languages import guess_language, voice_locale, voice_names


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
        ("Chinese_(Mandarin,_latin_as_English)", "zh"),
        ("Spanish_(Latin_America)", "es-419"),
        ("Latin American Spanish Female", "es-419"),
        ("Indian English Male", "en-IN"),
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
