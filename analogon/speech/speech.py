"""From a document to speech: SSML compiled for engines that read plain text, and spoken by any of them.

``compile`` flattens a tree into a ``Script``: what to say and how, how long to be silent, where the marks are.
``render`` speaks it. An engine with a method ``speak(document, settings) -> Generated`` reads SSML itself and is left
to it, unless ``native`` is false; any other generator that ``speaks`` gets one plain text after the other. Of each:

- silence before and after the words goes (what is 50 dB below the segment's peak), so that every silence between
  segments is the script's, to the sample;
- rate and pitch are FFmpeg's ``atempo`` (WSOLA) and soxr's resampling; the length is that of the trimmed words over the
  rate, to the sample;
- volume is a gain; where something would clip, all is made quieter, so that levels stay to each other as asked;
- 3 ms fades at both ends keep joins from clicking.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from analogon.engines.generator import Generated, Generator, Settings, generate
from analogon.prompts import Prompt
from analogon.speech import ssml
from analogon.speech.say_as import expand
from analogon.speech.ssml import DECIBELS, RATES, SEMITONES, Document, Pitch, Volume
from embed.errors import GeneratorError, SsmlError, UsageError, printable
from embed.media import Media

__all__ = [
    "EMPHASIS",
    "Cue",
    "Mark",
    "Script",
    "Segment",
    "Silence",
    "Speaker",
    "Spoken",
    "Stress",
    "compile",
    "fundamental",
    "language_of",
    "render",
    "stretch",
    "trimmed",
]

Samples = npt.NDArray[np.float32]

PARAGRAPH: Final = 0.6
"""Seconds of silence between paragraphs that no break separates."""
SENTENCE: Final = 0.3
"""Seconds between sentences, and where one segment ends with a full stop and another begins."""
CLAUSE: Final = 0.15
"""Seconds where a segment ends with a comma, a colon or a semicolon."""
WORD: Final = 0.02
"""Seconds between segments inside a clause; where no blank stands between them there are none."""
OWN: Final = Pitch()
LONGEST_TEXT: Final = 400
"""Characters that an engine gets at once: longer texts are parted between sentences, else between words."""
MOST_SEGMENTS: Final = 2000
"""Texts of one document that an engine speaks one by one."""
LONGEST: Final = 3600.0
"""Seconds that a document may take to be spoken."""
BELOW_PEAK: Final = 50.0  # dB
FADE: Final = 0.003  # seconds
MARGIN: Final = 0.002  # seconds left before the first and after the last loud sample, for the fades


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


# -- the script --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """A place with a name; in a segment, so many characters (``at``) into its text."""

    name: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Silence:
    """So many seconds without a sound: a break that was asked for, what stands between sentences and paragraphs
    (``structure``), or what joins segments where the document has nothing between them.
    """

    seconds: float
    why: Literal["break", "structure", "join"] = "break"


@dataclass(frozen=True, slots=True)
class Segment:
    """Words that are spoken in one way.

    ``rate`` is times the voice's own, ``pitch`` what becomes of its fundamental frequency, ``volume`` dB above its own
    level (-inf: silent). ``emphasis`` is on top of these. ``voice`` holds names in order of preference.
    """

    text: str
    rate: float = 1.0
    pitch: Pitch = OWN
    volume: float = 0.0
    emphasis: str | None = None
    voice: tuple[str, ...] = ()
    language: str | None = None
    phoneme: str | None = None
    marks: tuple[Mark, ...] = ()


Item = Segment | Silence | Mark


@dataclass(frozen=True, slots=True)
class Script:
    """What there is to say, in order, and a line for each thing that no engine is going to do."""

    items: tuple[Item, ...]
    remarks: tuple[str, ...] = ()

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(item for item in self.items if isinstance(item, Segment))


@dataclass(frozen=True, slots=True)
class _Rest:
    """Silence that the document asks for (``asked``), or that comes with its structure."""

    seconds: float
    asked: bool


@dataclass(slots=True)
class _Draft:
    """A segment in the making: its style with an empty text, and what has come so far."""

    style: Segment
    text: str
    marks: list[Mark] = field(default_factory=list)


def compile(document: Document, language: str | None = None) -> Script:
    """Flatten a document. ``language`` is what it is in where it does not say so; English where nobody does.

    Adjacent words that sound alike are one segment; punctuation stays with the words before it. Breaks in a row add up,
    and count instead of the silence that sentences and paragraphs have between them; a break of no length takes that
    away. Silence at the beginning and the end is kept only where a break asks for it.

    >>> script = compile(ssml.parse('<speak>One <break time="2s"/> <prosody rate="200%">two</prosody>.</speak>'))
    >>> [item.seconds if isinstance(item, Silence) else (item.text, item.rate) for item in script.items]
    [('One', 1.0), 2.0, ('two.', 2.0)]
    """
    walk = _Walk()
    style = Segment("", language=document.language or language)
    composer = _Composer()
    for piece in walk.parts(document.parts, style, Volume()):
        composer.add(piece)
    return Script(tuple(composer.items()), tuple(dict.fromkeys([*document.remarks, *walk.remarks])))


class _Walk:
    """One walk over a tree, from which texts, rests and marks come in order."""

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def parts(self, parts: Sequence[ssml.Node], style: Segment, volume: Volume) -> Iterator[_Draft | _Rest | Mark]:
        for part in parts:
            yield from self.part(part, style, volume)

    def part(self, part: ssml.Node, style: Segment, volume: Volume) -> Iterator[_Draft | _Rest | Mark]:
        match part:
            case str():
                yield _Draft(style, part)
            case ssml.Break():
                yield _Rest(part.seconds, True)
            case ssml.Mark():
                yield Mark(part.name)
            case ssml.Sub():
                yield _Draft(style, part.alias)
            case ssml.SayAs():
                yield _Draft(style, self.said(part, style.language))
            case ssml.Phoneme():
                if part.text:
                    yield _Draft(replace(style, phoneme=part.ph), part.text)
                else:
                    self.remarks.append("a phoneme without text is left out")
            case ssml.Paragraph() | ssml.Sentence():
                rest = _Rest(PARAGRAPH if isinstance(part, ssml.Paragraph) else SENTENCE, False)
                yield rest
                yield from self.parts(part.parts, replace(style, language=part.language or style.language), volume)
                yield rest
            case ssml.Emphasis():
                yield from self.parts(part.parts, replace(style, emphasis=part.level), volume)
            case ssml.Prosody():
                volume = self.volume(part.read_volume(volume))
                style = replace(style, rate=self.rate(part, style), pitch=self.pitch(part, style))
                for name in ("contour", "range", "duration"):
                    if getattr(part, name) is not None:
                        self.remarks.append(f"prosody {name} is not done")
                yield from self.parts(part.parts, replace(style, volume=volume.decibels), volume)
            case ssml.Voice():
                if not part.name and (part.gender or part.age or part.variant):
                    self.remarks.append("a voice is known by its name or its language, not by gender, age or variant")
                names = tuple((part.name or "").split()) or style.voice
                style = replace(style, voice=names, language=part.language or style.language)
                yield from self.parts(part.parts, style, volume)
            case ssml.Lang():
                yield from self.parts(part.parts, replace(style, language=part.language or style.language), volume)
            case ssml.Audio():
                self.remarks.append("audio files are never opened: what stands in the element is spoken instead")
                yield from self.parts(part.parts, style, volume)

    def said(self, part: ssml.SayAs, language: str | None) -> str:
        english = (language or "en").lower().split("-")[0] == "en"
        words = expand(part.text, part.interpret_as, part.format) if english else None
        if words is None:
            kind = printable(part.interpret_as)[:40]
            where = "" if english else f" in {printable(language or '')[:20]}"
            self.remarks.append(f"say-as {kind!r}{where}: the text is left to the engine as it stands")
        return part.text if words is None else words

    def rate(self, part: ssml.Prosody, style: Segment) -> float:
        asked = part.read_rate(style.rate)
        rate = min(max(asked, RATES[0]), RATES[1])
        if rate != asked:
            self.remarks.append(f"rates inside each other come to {asked:.3g} times the voice's own: {rate:g} is done")
        return rate

    def pitch(self, part: ssml.Prosody, style: Segment) -> Pitch:
        pitch = part.read_pitch(style.pitch)
        highest = 2 ** (SEMITONES / 12)
        if pitch.scale and not 1 / highest <= pitch.scale <= highest:
            self.remarks.append(f"pitches inside each other go beyond {SEMITONES:g} semitones: that is where they end")
            pitch = Pitch(min(max(pitch.scale, 1 / highest), highest), pitch.hertz)
        return pitch if abs(pitch.hertz) <= 1e6 else Pitch(pitch.scale, math.copysign(1e6, pitch.hertz))

    def volume(self, volume: Volume) -> Volume:
        if math.isinf(volume.decibels) or DECIBELS[0] <= volume.decibels <= DECIBELS[1]:
            return volume
        decibels = min(max(volume.decibels, DECIBELS[0]), DECIBELS[1])
        self.remarks.append(f"volumes inside each other come to {volume.decibels:+.3g} dB: {decibels:+g} dB is done")
        return replace(volume, decibels=decibels)


PUNCTUATION: Final = frozenset(".,;:!?…-–—'\"()[]{}«»“”„‘’¡¿*_")


def _has_words(text: str) -> bool:
    """Whether there is anything in a text that an engine could say."""
    return any(one not in PUNCTUATION and unicodedata.category(one)[0] not in "ZC" for one in text)


class _Composer:
    """Texts, rests and marks in order, made into segments and the silences between them."""

    def __init__(self) -> None:
        self.done: list[_Draft | Silence | Mark] = []
        self.last: int | None = None  # where in ``done`` the last text stands
        self.asked = False
        self.structure = 0.0
        self.blank = False

    def add(self, piece: _Draft | _Rest | Mark) -> None:
        match piece:
            case Mark():
                self.done.append(piece)
            case _Rest() if piece.asked:
                self.asked = True
                if piece.seconds > 0:
                    self.done.append(Silence(piece.seconds))
            case _Rest():
                self.structure = max(self.structure, piece.seconds)
            case _Draft():
                self.text(piece)

    def text(self, draft: _Draft) -> None:
        text = draft.text.strip()
        if not text:
            self.blank |= bool(draft.text)
            return
        self.blank |= draft.text[0] == " "
        last = None if self.last is None else self.done[self.last]
        assert last is None or isinstance(last, _Draft)
        between = [] if self.last is None else self.done[self.last + 1 :]
        apart = bool(self.structure) or any(isinstance(item, Silence) for item in between)
        if last is not None and not apart:
            # What no engine could say alone belongs to the words before it: the full stop after an element.
            head = len(text) if not _has_words(text) else 0 if self.blank else _leading(text)
            last.text += (" " if self.blank and head else "") + text[:head]
            text = text[head:].lstrip()
            if text and draft.style == last.style and draft.style.phoneme is None:
                assert self.last is not None
                joint = " " if self.blank or draft.text.lstrip()[head : head + 1] == " " else ""
                last.marks += [Mark(item.name, len(last.text)) for item in between if isinstance(item, Mark)]
                del self.done[self.last + 1 :]
                last.text += joint + text
                text = ""
            if not text:
                self.blank = draft.text[-1] == " "
                return
        if not _has_words(text):
            return
        if last is not None and not (self.asked and apart):
            rest = max(self.structure, _join(last.text, self.blank))
            if rest:
                assert self.last is not None
                self.done.insert(self.last + 1, Silence(rest, "structure" if self.structure else "join"))
        self.last = len(self.done)
        self.done.append(_Draft(draft.style, text))
        self.asked, self.structure, self.blank = False, 0.0, draft.text[-1] == " "

    def items(self) -> Iterator[Item]:
        """What has come, with texts of a length that engines can take."""
        for piece in self.done:
            if not isinstance(piece, _Draft):
                yield piece
                continue
            start = 0
            for text in _parted(piece.text):
                if start:
                    yield Silence(_join(piece.text[:start].rstrip(" "), piece.text[start - 1] == " "), "join")
                marks = tuple(replace(m, at=m.at - start) for m in piece.marks if start <= m.at < start + len(text) + 1)
                yield replace(piece.style, text=text.strip(" "), marks=marks)
                start += len(text)


def _leading(text: str) -> int:
    """How many characters at the beginning close what came before."""
    return len(text) - len(text.lstrip(".,;:!?…)]}»”’"))


def _join(text: str, blank: bool) -> float:
    """Seconds of silence after a text where another segment follows, with or without a blank between."""
    end = text.rstrip("\"')]}»”’")[-1:]
    if end and end in ".!?…":
        return SENTENCE
    if end and end in ",;:–—":
        return CLAUSE
    return WORD if blank else 0.0


def _parted(text: str) -> Iterator[str]:
    """A text in parts of at most ``LONGEST_TEXT`` characters, which add up to it."""
    while len(text) > LONGEST_TEXT:
        head = text[:LONGEST_TEXT]
        ends = [found.end() for found in re.finditer(r"[.!?…][\"')\]}»”’]* ", head)]
        ends = ends or [found.end() for found in re.finditer(r"[,;:] ", head)]
        end = ends[-1] if ends else head.rfind(" ") + 1 or LONGEST_TEXT
        yield text[:end]
        text = text[end:]
    yield text


# -- speaking it -------------------------------------------------------------------------------------------------------


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
class Spoken:
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


def render(
    document: Document, engine: Generator, settings: Settings | None = None, *, native: bool | None = None
) -> Spoken:
    """Speak a document.

    ``native`` decides whether an engine that reads SSML itself gets it as it is; where nobody says, the engine's own
    attribute ``native`` does. ``settings`` give the voice and the language where the document does not.
    Raises ``SsmlError`` where there is nothing to speak, ``UsageError`` for what cannot be spoken, ``GeneratorError``.
    """
    if not engine.speaks:
        raise UsageError(f"{engine.name} does not speak: what it makes is described by a text")
    settings = settings or Settings()
    script = compile(document, settings.language)
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
        return Spoken(_checked(spoken.media, engine), (), tuple(dict.fromkeys([*remarks, *spoken.remarks])))
    if len(script.segments) > MOST_SEGMENTS:
        raise SsmlError(
            document.name, f"has {len(script.segments)} pieces to speak one by one; {MOST_SEGMENTS} are the most"
        )
    return _Rendering(engine, settings, document.language, [*script.remarks, *remarks]).render(script)


def _checked(media: Media, engine: Generator) -> Media:
    array = media.array
    if array is None or array.dtype != np.float32 or array.ndim != 1 or not media.rate:
        raise GeneratorError(f"{engine.name} made no speech")
    if not array.size or not np.isfinite(array).all():
        raise GeneratorError(f"{engine.name} made speech of no length, or samples that are not finite numbers")
    return media


def language_of(segment: Segment, document: str | None, settings: Settings) -> str | None:
    """The language that an engine is asked for: a voice that is named counts more than what the document is in."""
    if segment.language != (document or settings.language):
        return segment.language
    if segment.voice:
        return None
    return segment.language if settings.voice is None else settings.language


class _Rendering:
    """One script, spoken by an engine that reads plain text."""

    def __init__(self, engine: Generator, settings: Settings, language: str | None, remarks: Sequence[str]) -> None:
        self.engine = engine
        self.settings = settings
        self.language = language
        self.remarks = list(remarks)
        self.rate = 0
        self.samples = 0

    def render(self, script: Script) -> Spoken:
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
        return Spoken(media, tuple(timeline), tuple(dict.fromkeys(self.remarks)))

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
        samples = trimmed(self.made(segment), self.rate)
        stress = EMPHASIS.get(segment.emphasis or "none", Stress())
        rate, pitch = segment.rate * stress.rate, self.factor(segment, samples) * stress.pitch
        if len(samples) * self.rate and len(samples) / rate > LONGEST * self.rate:
            self.counted(np.empty(round(LONGEST * self.rate) + 1, np.float32))
        samples = _pitched(samples, self.rate, rate, pitch)
        volume = segment.volume + stress.volume
        samples = _faded(samples, self.rate) * np.float32(10 ** (volume / 20))
        return self.counted(samples)

    def factor(self, segment: Segment, samples: Samples) -> float:
        """Times which the fundamental frequency shall be."""
        pitch = segment.pitch
        if not pitch.hertz:
            return pitch.scale
        own = fundamental(samples, self.rate)
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
        language = language_of(segment, self.language, settings)
        if language and "language" not in able:
            if language not in (self.language, settings.language):
                self.remarks.append(
                    f"{self.engine.name} has no choice of language: {printable(language)[:40]} is not done"
                )
            language = None
        voices: tuple[str, ...] = segment.voice
        if voices and "voice" not in able:
            self.remarks.append(f"{self.engine.name} has no choice of voice: {printable(voices[0])[:40]} is not done")
            voices = ()
        tried = [(voice, language) for voice in voices] + ([(None, language)] if language else [])
        for voice, tongue in tried:
            try:
                return self.take(segment, replace(settings, voice=voice or settings.voice, language=tongue))
            except UsageError as error:
                self.remarks.append(f"another {'voice' if voice else 'language'} is not done: {error}")
        return self.take(segment, settings)

    def take(self, segment: Segment, settings: Settings) -> Media:
        generated = generate(self.engine, Prompt(segment.text), settings)
        self.remarks += generated.remarks
        return generated.media


# -- samples -----------------------------------------------------------------------------------------------------------


def trimmed(samples: Samples, rate: int) -> Samples:
    """Without what is silent at both ends: ``BELOW_PEAK`` dB below the peak. Silence alone stays as it is."""
    level = np.abs(samples)
    loud = np.flatnonzero(level > level.max(initial=0.0) * 10 ** (-BELOW_PEAK / 20))
    if not loud.size:
        return samples
    margin = round(MARGIN * rate)
    return samples[max(int(loud[0]) - margin, 0) : int(loud[-1]) + 1 + margin]


def _faded(samples: Samples, rate: int) -> Samples:
    length = min(round(FADE * rate), len(samples) // 2)
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / max(length, 1))).astype(np.float32)
    samples = samples.copy()
    samples[:length] *= ramp
    samples[len(samples) - length :] *= ramp[::-1]
    return samples


def _pitched(samples: Samples, rate: int, faster: float, higher: float) -> Samples:
    """Speech ``faster`` times as fast, its fundamental ``higher`` times as high, formants with it."""
    length = round(len(samples) / faster)
    if abs(higher - 1) > 1e-6:
        import soxr

        samples = np.asarray(soxr.resample(samples, rate * higher, rate), np.float32)
    return stretch(samples, rate, length)


def stretch(samples: Samples, rate: int, length: int) -> Samples:
    """Speech of exactly ``length`` samples, its pitch unchanged: FFmpeg's ``atempo``, a WSOLA.

    >>> stretch(np.zeros(8000, np.float32), 8000, 12000).shape
    (12000,)
    """
    tempo = len(samples) / max(length, 1)
    if not len(samples) or not length or abs(tempo - 1) < 1e-6:
        return _cut(samples, length)
    # One filter does 0.5 to 2 well; it drops what its last window does not fill.
    stages = max(1, math.ceil(abs(math.log2(tempo)) - 1e-9))
    padded = np.concatenate([samples, np.zeros(round(rate * stages * 0.25 * max(tempo, 1)), np.float32)])
    return _cut(_filtered(padded, rate, tempo ** (1 / stages), stages, length), length)


def _cut(samples: Samples, length: int) -> Samples:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _filtered(samples: Samples, rate: int, tempo: float, stages: int, length: int) -> Samples:
    import av

    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate))
    last = source
    for _ in range(stages):
        stage = graph.add("atempo", f"{tempo:.9f}")
        last.link_to(stage)
        last = stage
    sink = graph.add("abuffersink")
    last.link_to(sink)
    graph.configure()
    made: list[Samples] = []

    def drain() -> None:
        while True:
            try:
                pulled = sink.pull()
                assert isinstance(pulled, av.AudioFrame)
                made.append(pulled.to_ndarray()[0])
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    # Small frames: atempo ends the process where a frame is much longer than its window.
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate, start
        source.push(frame)
        drain()
        if sum(map(len, made)) >= length:
            break
    else:
        source.push(None)
        drain()
    return np.concatenate(made) if made else np.zeros(0, np.float32)


def fundamental(samples: Samples, rate: int) -> float | None:
    """The median fundamental frequency in Hz, 50 to 600, of the frames that have one; None where none has.

    By the normalised autocorrelation of 50 ms frames (Boersma 1993, without his path search).
    """
    size = round(0.05 * rate)
    shortest, longest = max(2, round(rate / 600)), min(round(rate / 50), size - 2)
    if len(samples) < size or longest <= shortest:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: size // 2].astype(np.float64)
    frames = frames[:2000] - frames[:2000].mean(axis=1, keepdims=True)
    window = np.hanning(size)
    padded = 1 << (2 * size - 1).bit_length()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames * window, padded)) ** 2)[:, :size]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, padded)) ** 2)[:size]
    energy = correlation[:, :1]
    loud = energy[:, 0] > 1e-3 * energy.max(initial=0.0)
    if not loud.any():
        return None
    shares = correlation[loud] / np.maximum(energy[loud], 1e-30) * (own[0] / np.maximum(own, 1e-9 * own[0]))
    found = []
    for share in shares:
        # The first peak that is nearly the highest: multiples of the period are as high, but an octave too low.
        inner = share[shortest : longest + 1]
        high = inner.max()
        if high < 0.5:
            continue
        peaks = np.flatnonzero(
            (share[shortest : longest + 1] >= share[shortest - 1 : longest])
            & (share[shortest : longest + 1] >= share[shortest + 1 : longest + 2])
            & (inner > 0.9 * high)
        )
        if peaks.size:
            lag = shortest + int(peaks[0])
            before, at, after = share[lag - 1 : lag + 2]
            bend = before - 2 * at + after
            found.append(rate / (lag + (0.5 * (before - after) / bend if bend else 0.0)))
    return float(np.median(found)) if found else None
