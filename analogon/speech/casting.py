"""Which voice speaks a segment, and in which language: what is asked of an engine, the best first."""

from __future__ import annotations

from dataclasses import replace

from analogon.engines.generator import Generator, Settings
from analogon.speech.languages import language_name, voice_locale
from analogon.speech.script import Segment
from analogon.voices import Voice
from embed.errors import UsageError

__all__ = ["castings", "spoken_instead", "spoken_language"]


def castings(segment: Segment, settings: Settings) -> list[Settings]:
    """The settings to ask an engine for, in order: what the document names, the language that an unknown voice's name
    carries ("es-ES-ElviraNeural"), what the segment is in, and at last the settings as they came.

    Of a language and a voice the one that was named further inside counts: ``<voice name="es">`` in an English document
    speaks Spanish, ``<lang xml:lang="de">`` in that German.
    """
    own = None if segment.voice else settings.language
    asked = own if segment.by_voice else segment.language
    found = [replace(settings, voice=name, language=asked) for name in segment.voice]
    if segment.voice and segment.by_voice:
        locales = [locale for name in segment.voice if (locale := voice_locale(name))]
        found += [replace(settings, language=locale) for locale in locales[:1]]
        asked = settings.language if settings.voice is not None else segment.language
    found += [replace(settings, language=asked), settings]
    unique: dict[tuple[Voice | str | None, str | None], Settings] = {}
    for one in found:
        unique.setdefault((one.voice, one.language), one)
    return list(unique.values())


def spoken_language(segment: Segment, settings: Settings, engine: Generator | None = None) -> str | None:
    """The language in which a segment comes to be spoken; None where nobody knows.

    An engine that knows what it speaks is believed, whatever the document says that its words are in.
    """
    for one in castings(segment, settings):
        try:
            spoken = engine.language_spoken(one.voice, one.language) if engine else one.language
        except UsageError:
            continue
        named = one.voice if one.voice != settings.voice and isinstance(one.voice, str) else ""
        return spoken or one.language or voice_locale(named) or segment.language
    return None


def spoken_instead(engine: Generator, settings: Settings) -> str:
    """What speaks in the place of a voice that an engine has not."""
    language = engine.language_spoken(settings.voice, settings.language)
    return f"{language_name(language)} is spoken instead" if language else f"{engine.name} speaks it as it speaks all"
