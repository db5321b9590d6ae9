"""SSML 1.1 (W3C Recommendation, 2010) as a tree, and plain text as the same tree.

A tree prints itself as SSML: ``parse(str(document)) == document``.

::

    Document ─ parts: str | Paragraph | Sentence | Emphasis | Prosody | Voice | Lang | Audio   (these have parts again)
                      | Break | Mark | SayAs | Sub | Phoneme                                   (these have none)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

from embed.errors import UsageError, printable

__all__ = [
    "Audio",
    "Break",
    "Document",
    "Emphasis",
    "Lang",
    "Mark",
    "Node",
    "Paragraph",
    "Phoneme",
    "Pitch",
    "Prosody",
    "SayAs",
    "Sentence",
    "Sub",
    "Voice",
    "Volume",
    "shortened",
    "shown",
]

NAMESPACE: Final = "http://www.w3.org/2001/10/synthesis"

# -- limits ------------------------------------------------------------------------------------------------------------

LONGEST_BREAK: Final = 300.0
"""Seconds of one break."""
RATES: Final = (0.1, 10.0)
HERTZ: Final = (20.0, 2000.0)
SEMITONES: Final = 36.0
DECIBELS: Final = (-120.0, 40.0)

# -- what the labels stand for: SSML leaves that to the processor ------------------------------------------------------

STRENGTHS: Final[Mapping[str, float]] = {
    "none": 0.0,
    "x-weak": 0.05,
    "weak": 0.125,
    "medium": 0.25,
    "strong": 0.5,
    "x-strong": 1.0,
}
"""Seconds of silence of a break's strength."""
RATE_LABELS: Final[Mapping[str, float]] = {
    "x-slow": 0.6,
    "slow": 0.8,
    "medium": 1.0,
    "default": 1.0,
    "fast": 1.25,
    "x-fast": 1.6,
}
"""Times the voice's own rate; espeak-ng's values."""
PITCH_LABELS: Final[Mapping[str, float]] = {
    "x-low": 0.7,
    "low": 0.85,
    "medium": 1.0,
    "default": 1.0,
    "high": 1.15,
    "x-high": 1.3,
}
"""Times the voice's own fundamental frequency."""
VOLUME_LABELS: Final[Mapping[str, float]] = {
    "silent": -math.inf,
    "x-soft": -12.0,
    "soft": -6.0,
    "medium": 0.0,
    "default": 0.0,
    "loud": 6.0,
    "x-loud": 12.0,
}
"""dB above the voice's own level."""

Level = Literal["strong", "moderate", "none", "reduced"]
LEVELS: Final = ("strong", "moderate", "none", "reduced")
NUMBER: Final = r"(?:\d+(?:\.\d*)?|\.\d+)"


@dataclass(frozen=True, slots=True)
class Pitch:
    """What becomes of a fundamental frequency f, in Hz: ``scale * f + hertz``. An absolute one has the scale 0."""

    scale: float = 1.0
    hertz: float = 0.0

    def after(self, outer: Pitch) -> Pitch:
        """This change of what another one has changed already.

        >>> Pitch(2.0).after(Pitch(1.0, 20.0))
        Pitch(scale=2.0, hertz=40.0)
        """
        return Pitch(self.scale * outer.scale, self.scale * outer.hertz + self.hertz)


@dataclass(frozen=True, slots=True)
class Volume:
    """dB, above the level that surrounds it, or ``absolute``: above the voice's own level."""

    decibels: float = 0.0
    absolute: bool = False


# -- the tree ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Break:
    """Silence. ``time`` ("500ms", "2s") counts more than ``strength``; with neither it is of medium strength."""

    time: str | None = None
    strength: str | None = None

    def __post_init__(self) -> None:
        if self.strength is not None and self.strength not in STRENGTHS:
            raise UsageError(f"break strength {shown(self.strength)}: there are {', '.join(STRENGTHS)}")
        if self.seconds > LONGEST_BREAK:
            raise UsageError(f"a break of {shown(str(self.time))}: {LONGEST_BREAK:g} s is the longest")

    @property
    def seconds(self) -> float:
        """How long it is.

        >>> Break("500ms").seconds, Break(strength="strong").seconds, Break().seconds
        (0.5, 0.5, 0.25)
        """
        if self.time is None:
            return STRENGTHS[self.strength or "medium"]
        found = re.fullmatch(rf"\+?({NUMBER})(ms|s)", self.time, re.ASCII)
        if not found:
            raise UsageError(f"break time {shown(self.time)}: write a time as 500ms or 2s")
        return float(found[1]) / (1000 if found[2] == "ms" else 1)

    def __str__(self) -> str:
        return _tag("break", {"strength": self.strength, "time": self.time})


@dataclass(frozen=True, slots=True)
class Mark:
    """A place with a name."""

    name: str

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable():
            raise UsageError("a mark needs a name, of characters that can be shown")

    def __str__(self) -> str:
        return _tag("mark", {"name": self.name})


@dataclass(frozen=True, slots=True)
class SayAs:
    """Text of a kind: "characters", "cardinal", "ordinal", "digits", "date", "time", "telephone", ..."""

    text: str
    interpret_as: str
    format: str | None = None
    detail: str | None = None

    def __post_init__(self) -> None:
        if not self.interpret_as:
            raise UsageError("say-as needs interpret-as")

    def __str__(self) -> str:
        attributes = {"interpret-as": self.interpret_as, "format": self.format, "detail": self.detail}
        return _tag("say-as", attributes, escape(self.text))


@dataclass(frozen=True, slots=True)
class Sub:
    """Text in whose place ``alias`` is spoken."""

    text: str
    alias: str

    def __str__(self) -> str:
        return _tag("sub", {"alias": self.alias}, escape(self.text))


@dataclass(frozen=True, slots=True)
class Phoneme:
    """Text with its pronunciation ``ph`` in an alphabet ("ipa", "x-sampa", ...)."""

    text: str
    ph: str
    alphabet: str | None = None

    def __str__(self) -> str:
        return _tag("phoneme", {"alphabet": self.alphabet, "ph": self.ph}, escape(self.text))


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; it holds no other."""

    parts: tuple[Node, ...]
    language: str | None = None

    def __str__(self) -> str:
        return _tag("p", {"xml:lang": self.language}, _inner(self.parts))


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence; it holds no other and no paragraph."""

    parts: tuple[Node, ...]
    language: str | None = None

    def __str__(self) -> str:
        return _tag("s", {"xml:lang": self.language}, _inner(self.parts))


@dataclass(frozen=True, slots=True)
class Emphasis:
    """Stressed words."""

    parts: tuple[Node, ...]
    level: str = "moderate"

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UsageError(f"emphasis level {shown(self.level)}: there are {', '.join(LEVELS)}")

    def __str__(self) -> str:
        return _tag("emphasis", {"level": self.level}, _inner(self.parts))


@dataclass(frozen=True, slots=True)
class Prosody:
    """Rate, pitch and volume, as they were written; ``contour``, ``range`` and ``duration`` are kept but not read."""

    parts: tuple[Node, ...]
    rate: str | None = None
    pitch: str | None = None
    volume: str | None = None
    contour: str | None = None
    range: str | None = None
    duration: str | None = None

    def __post_init__(self) -> None:
        self.read_rate(1.0)
        self.read_pitch(Pitch())
        self.read_volume(Volume())

    def read_rate(self, outer: float) -> float:
        """Times the voice's own rate. Labels and percentages count from that (SSML 1.1, 3.2.4), "+10%" from ``outer``.

        >>> Prosody((), rate="200%").read_rate(1.5), Prosody((), rate="+50%").read_rate(2.0)
        (2.0, 3.0)
        """
        text = self.rate
        if text is None:
            return outer
        if text in RATE_LABELS:
            return RATE_LABELS[text]
        found = re.fullmatch(rf"([+-]?)({NUMBER})(%?)", text, re.ASCII)
        if not found or (found[1] and not found[3]):
            raise UsageError(f"rate {shown(text)}: write 80%, +10% or one of {', '.join(RATE_LABELS)}")
        number = float(found[2]) / (100 if found[3] else 1)
        factor = 1 + math.copysign(number, -1 if found[1] == "-" else 1) if found[1] else number
        if not RATES[0] <= factor <= RATES[1]:
            raise UsageError(f"rate {shown(text)}: from {RATES[0]:.0%} to {RATES[1]:.0%} of the voice's own can be")
        return factor * outer if found[1] else factor

    def read_pitch(self, outer: Pitch) -> Pitch:
        """What becomes of the voice's fundamental frequency, ``outer`` being what surrounds the element.

        >>> Prosody((), pitch="200Hz").read_pitch(Pitch()), Prosody((), pitch="+12st").read_pitch(Pitch())
        (Pitch(scale=0.0, hertz=200.0), Pitch(scale=2.0, hertz=0.0))
        """
        text = self.pitch
        if text is None:
            return outer
        if text in PITCH_LABELS:
            return Pitch(PITCH_LABELS[text])
        found = re.fullmatch(rf"([+-]?)({NUMBER})(Hz|%|st)", text, re.ASCII | re.IGNORECASE)
        if not found or (not found[1] and found[3].lower() != "hz"):
            raise UsageError(f"pitch {shown(text)}: write 200Hz, +20Hz, +10%, -2st or one of {', '.join(PITCH_LABELS)}")
        number = float(found[1] + found[2])
        match found[3].lower():
            case "hz" if not found[1]:
                change = Pitch(0.0, number)
                fits = HERTZ[0] <= number <= HERTZ[1]
            case "hz":
                change = Pitch(1.0, number)
                fits = abs(number) <= HERTZ[1]
            case _ as unit:
                semitones = number if unit == "st" else 12 * math.log2(1 + number / 100) if number > -100 else -math.inf
                fits = abs(semitones) <= SEMITONES
                change = Pitch((2 ** (number / 12) if unit == "st" else 1 + number / 100) if fits else 1.0)
        if not fits:
            raise UsageError(
                f"pitch {shown(text)}: from {HERTZ[0]:g} to {HERTZ[1]:g} Hz, and {SEMITONES:g} st up or down, can be"
            )
        return change.after(outer)

    def read_volume(self, outer: Volume) -> Volume:
        """dB above the voice's own level, where ``outer`` is what surrounds the element.

        "+6dB" adds to that; labels do not. A number is SSML 1.0's: 100 is the voice's own amplitude and 50 half of it,
        "+10%" or "+10" a tenth more than what surrounds it.
        """
        text = self.volume
        if text is None:
            return outer
        if text in VOLUME_LABELS:
            return Volume(VOLUME_LABELS[text], absolute=True)
        found = re.fullmatch(rf"([+-]?)({NUMBER})(dB|%?)", text, re.ASCII | re.IGNORECASE)
        if not found:
            raise UsageError(f"volume {shown(text)}: write +6dB, -3dB or one of {', '.join(VOLUME_LABELS)}")
        number = float(found[1] + found[2])
        if found[3].lower() == "db":
            decibels = number
        else:
            amplitude = 1 + number / 100 if found[1] else number / 100
            decibels = 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
            if not found[1] and number > 100:
                raise UsageError(f"volume {shown(text)}: a number without a sign is from 0 to 100")
            if decibels < DECIBELS[0]:
                return Volume(-math.inf, absolute=True)
        if not DECIBELS[0] <= decibels <= DECIBELS[1]:
            raise UsageError(f"volume {shown(text)}: from {DECIBELS[0]:g} to {DECIBELS[1]:+g} dB can be")
        relative = bool(found[1]) or found[3].lower() == "db"
        return Volume(outer.decibels + decibels, outer.absolute) if relative else Volume(decibels, absolute=True)

    def __str__(self) -> str:
        names = ("rate", "pitch", "volume", "contour", "range", "duration")
        return _tag("prosody", {name: getattr(self, name) for name in names}, _inner(self.parts))


@dataclass(frozen=True, slots=True)
class Voice:
    """Another voice, by its ``name`` (several names in order of preference, with blanks between), or by the rest."""

    parts: tuple[Node, ...]
    name: str | None = None
    language: str | None = None
    gender: str | None = None
    age: str | None = None
    variant: str | None = None

    def __str__(self) -> str:
        attributes = {"name": self.name, "languages": self.language, "gender": self.gender, "age": self.age}
        return _tag("voice", attributes | {"variant": self.variant}, _inner(self.parts))


@dataclass(frozen=True, slots=True)
class Lang:
    """Words of another language, a BCP 47 tag."""

    parts: tuple[Node, ...]
    language: str

    def __str__(self) -> str:
        return _tag("lang", {"xml:lang": self.language}, _inner(self.parts))


@dataclass(frozen=True, slots=True)
class Audio:
    """A recording, which is never opened: the content is spoken."""

    parts: tuple[Node, ...]
    src: str | None = None

    def __str__(self) -> str:
        return _tag("audio", {"src": self.src}, _inner(self.parts))


Container = Paragraph | Sentence | Emphasis | Prosody | Voice | Lang | Audio
Node = str | Break | Mark | SayAs | Sub | Phoneme | Container
"""What a document is made of; a ``str`` has single blanks for white space."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document. ``name`` is what messages call it; ``remarks`` say, a line each, what was not read of it.

    ``markup`` is false of plain text, in which nobody could have said a language.
    """

    parts: tuple[Node, ...]
    language: str | None = None
    name: str = field(default="SSML", compare=False)
    remarks: tuple[str, ...] = field(default=(), compare=False)
    markup: bool = field(default=True, compare=False)

    def __str__(self) -> str:
        attributes = {"version": "1.1", "xmlns": NAMESPACE, "xml:lang": self.language}
        return _tag("speak", attributes, _inner(self.parts))


# -- printing ----------------------------------------------------------------------------------------------------------


def _inner(parts: Iterable[Node]) -> str:
    return "".join(escape(part) if isinstance(part, str) else str(part) for part in parts)


def _tag(name: str, attributes: Mapping[str, str | None], inner: str = "") -> str:
    given = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items() if value is not None)
    return f"<{name}{given}>{inner}</{name}>" if inner else f"<{name}{given}/>"


def shortened(text: str) -> str:
    text = printable(text)
    return text if len(text) <= 40 else text[:37] + "..."


def shown(text: str) -> str:
    return repr(shortened(text))
