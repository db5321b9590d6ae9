"""A document spoken, by an engine that reads SSML or by one that reads plain text only.

An engine with a method ``speak(document, settings) -> Generated`` reads SSML itself and is left to it, unless
``native`` is false; any other generator that ``speaks`` gets one plain text after the other. Of each:

- silence before and after the words goes (what is 50 dB below the segment's peak), so that every silence between
  segments is the script's, to the sample;
- rate and pitch are FFmpeg's ``atempo`` (WSOLA) and soxr's resampling; the length is that of the trimmed words over the
  rate, to the sample;
- volume is a gain; where something would clip, all is made quieter, so that levels stay to each other as asked;
- 3 ms fades at both ends keep joins from clicking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np

from analogon.engines.generator import Generated, Generator, Settings, generate
from analogon.prompts import Prompt
from analogon.speech.casting import castings, spoken_instead
from analogon.speech.compile import to_script
from analogon.speech.languages import language_name, primary, voice_locale
from analogon.speech.script import Mark, Script, Segment, Silence
from analogon.speech.signal import Samples, faded, fundamental_frequency, pitched, trim
from analogon.speech.tree import SEMITONES, Document
from embed.errors import GeneratorError, SsmlError, UsageError, printable
from embed.media import Media

__all__ = ["EMPHASIS", "Cue", "Speaker", "Speech", "Stress", "speak"]

MOST_SEGMENTS: Final = 2000
"""Texts of one document that an engine speaks one by one."""
LONGEST: Final = 3600.0
"""Seconds that a document may take to be spoken."""


@dataclass(frozen=True, slots=True)
class Stress:
    """What emphasis does to speech: times its rate and its fundamental frequency, dB."""

    rate: float = 1.0
    pitch: float = 1.0
    volume: float = 0.0


EMPHASIS: Final = {
    "strong": Stress(0.85, 1.12, 4.0),
    "moderate": Stress(0.92, 1.06, 2.0),
    "none": Stress(),
    "reduced": Stress(1.08, 0.96, -2.0),
}
"""Stressed words are slower, higher and louder: by how much SSML leaves open."""


@runtime_checkable
class Speaker(Protocol):
    """A generator that reads SSML itself."""

    def speak(self, document: Document, settings: Settings) -> Generated:
        """Speak a document: float32 ``(n,)``, and what it does not do of it."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What is heard from ``start`` to ``end``, in seconds: a segment's text, a silence; a mark, which takes no time."""

    start: float
    end: float
    kind: Literal["text", "silence", "mark"]
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"start": round(self.start, 6), "end": round(self.end, 6), "kind": self.kind, "text": self.text}


@dataclass(frozen=True, slots=True)
class Speech:
    """A document as sound: ``media`` has float32 ``(n,)`` at ``rate`` Hz.

    ``timeline`` says when each segment, silence and mark of the script is reached; it is empty where an engine read the
    document itself. ``remarks`` hold a line for each thing that was not done as asked.
    """

    media: Media
    timeline: tuple[Cue, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def rate(self) -> int:
        assert self.media.rate
        return self.media.rate


def speak(
    document: Document, engine: Generator, settings: Settings | None = None, *, native: bool | None = None
) -> Speech:
    """Speak a document.

    ``native`` decides whether an engine that reads SSML itself gets it as it is; where nobody says, the engine's own
    attribute ``native`` does. ``settings`` give the voice and the language where the document does not.
    Raises ``SsmlError`` where there is nothing to speak, ``UsageError`` for what cannot be spoken, ``GeneratorError``.
    """
    if not engine.speaks:
        raise UsageError(f"{engine.name} does not speak: what it makes is described by a text")
    settings = settings or Settings()
    _check_voice(engine, settings)
    script = to_script(document, settings, engine)
    if not script.segments:
        raise SsmlError(document.name, "has no words to speak")
    remarks = []
    if settings.seconds is not None:
        remarks.append("speech is as long as what is said takes: seconds are not asked for")
        settings = replace(settings, seconds=None)
    if native is None:
        native = getattr(engine, "native", True)
    if native and isinstance(engine, Speaker):
        spoken = engine.speak(document, settings)
        if any(isinstance(item, Mark) or (isinstance(item, Segment) and item.marks) for item in script.items):
            remarks.append(f"{engine.name} does not say when it reaches a mark; with native=false that is measured")
        return Speech(_checked(spoken.media, engine), (), tuple(dict.fromkeys([*remarks, *spoken.remarks])))
    if len(script.segments) > MOST_SEGMENTS:
        raise SsmlError(
            document.name, f"has {len(script.segments)} pieces to speak one by one; {MOST_SEGMENTS} are the most"
        )
    return _Rendering(engine, settings, document.language, [*script.remarks, *remarks]).render(script)


def _check_voice(engine: Generator, settings: Settings) -> None:
    """Refuse a voice that an engine has not before anything is made, with the language that its name carries."""
    try:
        engine.language_spoken(settings.voice, settings.language)
    except UsageError as error:
        locale = voice_locale(settings.voice) if isinstance(settings.voice, str) else None
        if locale is None or settings.language:
            raise
        raise UsageError(f"{error}; by its name it speaks {language_name(locale)}: ask for that language") from None


def _checked(media: Media, engine: Generator) -> Media:
    array = media.array
    if array is None or array.dtype != np.float32 or array.ndim != 1 or not media.rate:
        raise GeneratorError(f"{engine.name} made no speech")
    if not array.size or not np.isfinite(array).all():
        raise GeneratorError(f"{engine.name} made speech of no length, or samples that are not finite numbers")
    return media


class _Rendering:
    """One script, spoken by an engine that reads plain text."""

    def __init__(self, engine: Generator, settings: Settings, language: str | None, remarks: Sequence[str]) -> None:
        self.engine = engine
        self.settings = settings
        self.language = language
        self.remarks = list(remarks)
        self.rate = 0
        self.samples = 0

    def render(self, script: Script) -> Speech:
        # The words come first: only they tell the sample rate that silences are counted in.
        words = {at: self.spoken(item) for at, item in enumerate(script.items) if isinstance(item, Segment)}
        parts: list[Samples] = []
        timeline: list[Cue] = []
        here = 0
        for at, item in enumerate(script.items):
            start = here / self.rate
            if isinstance(item, Mark):
                timeline.append(Cue(start, start, "mark", item.name))
                continue
            part = words[at] if isinstance(item, Segment) else self.silence(item.seconds)
            parts.append(part)
            here += len(part)
            end = here / self.rate
            if isinstance(item, Silence):
                timeline.append(Cue(start, end, "silence"))
                continue
            timeline.append(Cue(start, end, "text", item.text))
            if item.marks:
                self.remarks.append("a mark among words that are spoken at once has its time by its share of the text")
            for mark in item.marks:
                time = start + (end - start) * min(mark.at / len(item.text), 1.0)
                timeline.append(Cue(time, time, "mark", mark.name))
        whole = np.concatenate(parts)
        peak = float(np.abs(whole).max(initial=0.0))
        if peak > 1:
            self.remarks.append(f"all of it is {20 * math.log10(peak):.1f} dB quieter than asked: it would clip")
            whole = whole / np.float32(peak)
        media = Media("audio", array=whole, rate=self.rate)
        return Speech(media, tuple(timeline), tuple(dict.fromkeys(self.remarks)))

    def silence(self, seconds: float) -> Samples:
        return self.counted(np.zeros(round(seconds * self.rate), np.float32))

    def counted(self, part: Samples) -> Samples:
        self.samples += len(part)
        if self.samples > LONGEST * self.rate:
            raise UsageError(f"the document takes longer than {LONGEST / 60:g} minutes to speak: part it")
        return part

    def spoken(self, segment: Segment) -> Samples:
        """A segment, trimmed, with its rate, pitch and volume."""
        if segment.phoneme is not None:
            self.remarks.append(f"{self.engine.name} reads no phonemes: the text is spoken as it is written")
        samples = trim(self.made(segment), self.rate)
        stress = EMPHASIS.get(segment.emphasis or "none", Stress())
        rate, pitch = segment.rate * stress.rate, self.factor(segment, samples) * stress.pitch
        if len(samples) * self.rate and len(samples) / rate > LONGEST * self.rate:
            self.counted(np.empty(round(LONGEST * self.rate) + 1, np.float32))
        samples = pitched(samples, self.rate, rate, pitch)
        volume = segment.volume + stress.volume
        samples = faded(samples, self.rate) * np.float32(10 ** (volume / 20))
        return self.counted(samples)

    def factor(self, segment: Segment, samples: Samples) -> float:
        """Times which the fundamental frequency shall be."""
        pitch = segment.pitch
        if not pitch.hertz:
            return pitch.scale
        own = fundamental_frequency(samples, self.rate)
        if own is None:
            self.remarks.append("where no fundamental frequency is heard, a pitch in Hz cannot be done")
            return 1.0
        lowest, highest = 2 ** (-SEMITONES / 12), 2 ** (SEMITONES / 12)
        asked = pitch.scale + pitch.hertz / own
        if not lowest <= asked <= highest:
            self.remarks.append(f"pitch is moved by {SEMITONES:g} semitones at most")
        return min(max(asked, lowest), highest)

    def made(self, segment: Segment) -> Samples:
        """What the engine makes of a segment's text: float32 ``(n,)`` at ``self.rate``."""
        media = self.asked(segment)
        assert media.array is not None and media.rate
        samples: Samples = media.array if media.array.ndim == 1 else media.array.mean(axis=1, dtype=np.float32)
        self.rate = self.rate or media.rate
        if media.rate != self.rate:
            import soxr

            samples = np.asarray(soxr.resample(samples, media.rate, self.rate), np.float32)
        return samples

    def asked(self, segment: Segment) -> Media:
        """The engine's take, with the document's voice and language as far as it has them."""
        settings, able = self.settings, self.engine.abilities
        if segment.voice and "voice" not in able:
            name = printable(segment.voice[0])[:40]
            self.remarks.append(f"{self.engine.name} has no choice of voice: {name} is not done")
        failed: list[str] = []
        missing = False
        for cast in castings(segment, settings):
            named = cast.voice is not settings.voice and cast.voice in segment.voice
            if named and "voice" not in able:
                continue
            if cast.language and cast.language != settings.language and "language" not in able:
                self.unable(cast.language)
                cast = replace(cast, language=settings.language)
            try:
                media = self.take(segment, cast)
            except UsageError as error:
                failed.append(f"another {'voice' if named else 'language'} is not done: {error}")
                missing = missing or named
                continue
            if missing and not named:
                failed[-1] += f"; {spoken_instead(self.engine, cast)}"
            self.remarks += failed
            return media
        return self.take(segment, settings)  # which failed: its reason is what there is to say

    def unable(self, language: str) -> None:
        """Tell what becomes of a language, where an engine has no choice of it."""
        name, own, shown = self.engine.name, self.engine.language, printable(language)[:40]
        if own is not None and primary(own) != primary(language):
            self.remarks.append(f"{name} speaks {language_name(own)}: {shown} is not done")
        elif own is None and language != self.language:
            self.remarks.append(f"{name} has no choice of language: {shown} is not done")
        elif own is None:
            self.remarks.append(f"{name} does not say what it speaks: whether that is {shown} is not known")

    def take(self, segment: Segment, settings: Settings) -> Media:
        generated = generate(self.engine, Prompt(segment.text), settings)
        self.remarks += generated.remarks
        return generated.media
