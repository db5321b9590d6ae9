"""A document compiled into a ``Script``: what to say and how, how long to be silent, where the marks are."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from analogon.engines.generator import Generator, Settings
from analogon.speech import tree
from analogon.speech.casting import spoken_language
from analogon.speech.languages import guess_language, language_name, primary, voice_names
from analogon.speech.say_as import expand
from analogon.speech.script import Item, Mark, Script, Segment, Silence
from analogon.speech.tree import DECIBELS, RATES, SEMITONES, Document, Pitch, Volume
from embed.errors import UsageError, printable

__all__ = ["to_script"]

PARAGRAPH: Final = 0.6
"""Seconds of silence between paragraphs that no break separates."""
SENTENCE: Final = 0.3
"""Seconds between sentences, and where one segment ends with a full stop and another begins."""
CLAUSE: Final = 0.15
"""Seconds where a segment ends with a comma, a colon or a semicolon."""
WORD: Final = 0.02
"""Seconds between segments inside a clause; where no blank stands between them there are none."""
LONGEST_TEXT: Final = 400
"""Characters that an engine gets at once: longer texts are parted between sentences, else between words."""


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
    whole: bool = False  # words of their own, whatever stands right beside them
    marks: list[Mark] = field(default_factory=list)


def to_script(document: Document, settings: Settings | None = None, engine: Generator | None = None) -> Script:
    """Flatten a document, for an engine and what is asked of it besides.

    What is to be said of a kind (numbers, dates) is written out in the language of the voice that comes to speak it.
    Where neither the document nor the settings name a language or a voice, and the engine's own was not chosen either,
    a text that is plainly in another language is spoken in that; a remark tells.

    Adjacent words that sound alike are one segment; punctuation stays with the words before it. Breaks in a row add up,
    and count instead of the silence that sentences and paragraphs have between them; a break of no length takes that
    away. Silence at the beginning and the end is kept only where a break asks for it.

    >>> from analogon.speech.reader import parse
    >>> script = to_script(parse('<speak>One <break time="2s"/> <prosody rate="200%">two</prosody>.</speak>'))
    >>> [item.seconds if isinstance(item, Silence) else (item.text, item.rate) for item in script.items]
    [('One', 1.0), 2.0, ('two.', 2.0)]
    """
    settings = settings or Settings()
    script = _flat(document, settings, engine)
    if engine is None or not engine.guesses_language or not engine.language:
        return script
    open_ = [segment.text for segment in script.segments if not segment.language and not segment.voice]
    if not open_ or settings.voice is not None:
        return script
    way_out = "xml:lang in the document, or a language that is asked for, says another"
    guess = guess_language(" ".join(open_))
    if guess and primary(guess) != primary(engine.language):
        try:
            engine.language_spoken(None, guess)
        except UsageError:
            guess = None
        else:
            line = f"no language is named: by its words it is {language_name(guess)}, and spoken so; {way_out}"
            script = _flat(document, replace(settings, language=guess), engine)
            return replace(script, remarks=(*script.remarks, line))
    letters = [one for text in open_ for one in text if one.isalpha()]
    if document.markup or sum(one > "\u024f" for one in letters) > len(letters) / 2:
        line = f"no language is named: {engine.name} speaks {language_name(engine.language)}; {way_out}"
        script = replace(script, remarks=(*script.remarks, line))
    return script


def _flat(document: Document, settings: Settings, engine: Generator | None) -> Script:
    walk = _Walk(settings, engine)
    language = document.language or settings.language
    style = Segment("", language=language, by_voice=settings.voice is not None)
    composer = _Composer()
    for piece in walk.parts(document.parts, style, Volume()):
        composer.add(piece)
    return Script(tuple(composer.items()), tuple(dict.fromkeys([*document.remarks, *walk.remarks])))


class _Walk:
    """One walk over a tree, from which texts, rests and marks come in order."""

    def __init__(self, settings: Settings, engine: Generator | None) -> None:
        self.settings = settings
        self.engine = engine
        self.remarks: list[str] = []

    def parts(self, parts: Sequence[tree.Node], style: Segment, volume: Volume) -> Iterator[_Draft | _Rest | Mark]:
        for part in parts:
            yield from self.part(part, style, volume)

    def part(self, part: tree.Node, style: Segment, volume: Volume) -> Iterator[_Draft | _Rest | Mark]:
        match part:
            case str():
                yield _Draft(style, part)
            case tree.Break():
                yield _Rest(part.seconds, True)
            case tree.Mark():
                yield Mark(part.name)
            case tree.Sub():
                if part.text and not part.alias:
                    self.remarks.append("what is substituted by nothing is not spoken")
                yield _Draft(style, part.alias, whole=True)
            case tree.SayAs():
                words = self.spoken_form(part, style)
                yield _Draft(style, words, whole=words != part.text)
            case tree.Phoneme():
                if part.text:
                    yield _Draft(replace(style, phoneme=part.ph), part.text)
                else:
                    self.remarks.append("a phoneme without text is left out")
            case tree.Paragraph() | tree.Sentence():
                rest = _Rest(PARAGRAPH if isinstance(part, tree.Paragraph) else SENTENCE, False)
                yield rest
                yield from self.parts(part.parts, _in(style, part.language), volume)
                yield rest
            case tree.Emphasis():
                yield from self.parts(part.parts, replace(style, emphasis=part.level), volume)
            case tree.Prosody():
                volume = self.volume(part.read_volume(volume))
                style = replace(style, rate=self.rate(part, style), pitch=self.pitch(part, style))
                for name in ("contour", "range", "duration"):
                    if getattr(part, name) is not None:
                        self.remarks.append(f"prosody {name} is not done")
                yield from self.parts(part.parts, replace(style, volume=volume.decibels), volume)
            case tree.Voice():
                if not part.name and (part.gender or part.age or part.variant):
                    self.remarks.append("a voice is known by its name or its language, not by gender, age or variant")
                if names := voice_names(part.name or ""):
                    style = replace(style, voice=names, by_voice=True)
                yield from self.parts(part.parts, _in(style, part.language), volume)
            case tree.Lang():
                yield from self.parts(part.parts, _in(style, part.language), volume)
            case tree.Audio():
                self.remarks.append("audio files are never opened: what stands in the element is spoken instead")
                yield from self.parts(part.parts, style, volume)

    def spoken_form(self, part: tree.SayAs, style: Segment) -> str:
        language = spoken_language(style, self.settings, self.engine)
        words = expand(part.text, part.interpret_as, part.format, language)
        if words is None:
            where = "" if language is None or primary(language) == "en" else f" in {printable(language)[:20]}"
            if language is None and expand(part.text, part.interpret_as, part.format):
                where = " in a language that nobody names"
            kind = printable(part.interpret_as)[:40]
            self.remarks.append(f"say-as {kind!r}{where}: the text is left to the engine as it stands")
        return part.text if words is None else words

    def rate(self, part: tree.Prosody, style: Segment) -> float:
        asked = part.read_rate(style.rate)
        rate = min(max(asked, RATES[0]), RATES[1])
        if rate != asked:
            self.remarks.append(f"rates inside each other come to {asked:.3g} times the voice's own: {rate:g} is done")
        return rate

    def pitch(self, part: tree.Prosody, style: Segment) -> Pitch:
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


def _in(style: Segment, language: str | None) -> Segment:
    """A style in a language, where one is named: it counts more than the voice that was named around it."""
    return replace(style, language=language, by_voice=False) if language else style


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
        self.whole = False

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
        self.blank |= (draft.whole or self.whole) and last is not None and last.text[-1].isalnum() and text[0].isalnum()
        self.whole = draft.whole
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
