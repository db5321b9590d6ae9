"""SSML 1.1 (W3C Recommendation, 2010) as a tree, and plain text as the same tree.

A document is read by expat and nothing of it leads elsewhere: a DOCTYPE is refused, so that there are no entities but
the five of XML; no address in it is followed, no file that it names is opened; its size, depth, elements and silences
are bounded. A tree prints itself as SSML: ``parse(str(document)) == document``.

::

    Document ─ parts: str | Paragraph | Sentence | Emphasis | Prosody | Voice | Lang | Audio   (these have parts again)
                      | Break | Mark | SayAs | Sub | Phoneme                                   (these have none)

Elements that are not SSML's, and ``token``, ``w`` and ``lookup``, are read through: their content counts.
``lexicon`` is not fetched, ``meta``, ``metadata`` and ``desc`` are not spoken.
"""

from __future__ import annotations

import codecs
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from embed.errors import MediaError, SsmlError, UsageError, printable
from embed.media import check_readable

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
    "from_text",
    "parse",
    "read",
]

NAMESPACE: Final = "http://www.w3.org/2001/10/synthesis"
XML_NAMESPACE: Final = "http://www.w3.org/XML/1998/namespace"

# -- limits ------------------------------------------------------------------------------------------------------------

LARGEST: Final = 1 << 20
"""Bytes of a document, as a file and as UTF-8."""
DEEPEST: Final = 64
"""Elements inside each other."""
MOST_ELEMENTS: Final = 20_000
LONGEST_BREAK: Final = 300.0
"""Seconds of one break."""
LONGEST_SILENCE: Final = 600.0
"""Seconds of all breaks of a document."""
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
SPACE: Final = re.compile(r"[ \t\r\n]+")


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
            raise UsageError(f"break strength {_shown(self.strength)}: there are {', '.join(STRENGTHS)}")
        if self.seconds > LONGEST_BREAK:
            raise UsageError(f"a break of {_shown(str(self.time))}: {LONGEST_BREAK:g} s is the longest")

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
            raise UsageError(f"break time {_shown(self.time)}: write a time as 500ms or 2s")
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
            raise UsageError(f"emphasis level {_shown(self.level)}: there are {', '.join(LEVELS)}")

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
            raise UsageError(f"rate {_shown(text)}: write 80%, +10% or one of {', '.join(RATE_LABELS)}")
        number = float(found[2]) / (100 if found[3] else 1)
        factor = 1 + math.copysign(number, -1 if found[1] == "-" else 1) if found[1] else number
        if not RATES[0] <= factor <= RATES[1]:
            raise UsageError(f"rate {_shown(text)}: from {RATES[0]:.0%} to {RATES[1]:.0%} of the voice's own can be")
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
            raise UsageError(
                f"pitch {_shown(text)}: write 200Hz, +20Hz, +10%, -2st or one of {', '.join(PITCH_LABELS)}"
            )
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
                f"pitch {_shown(text)}: from {HERTZ[0]:g} to {HERTZ[1]:g} Hz, and {SEMITONES:g} st up or down, can be"
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
            raise UsageError(f"volume {_shown(text)}: write +6dB, -3dB or one of {', '.join(VOLUME_LABELS)}")
        number = float(found[1] + found[2])
        if found[3].lower() == "db":
            decibels = number
        else:
            amplitude = 1 + number / 100 if found[1] else number / 100
            decibels = 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
            if not found[1] and number > 100:
                raise UsageError(f"volume {_shown(text)}: a number without a sign is from 0 to 100")
            if decibels < DECIBELS[0]:
                return Volume(-math.inf, absolute=True)
        if not DECIBELS[0] <= decibels <= DECIBELS[1]:
            raise UsageError(f"volume {_shown(text)}: from {DECIBELS[0]:g} to {DECIBELS[1]:+g} dB can be")
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
    """A document. ``name`` is what messages call it; ``remarks`` say, a line each, what was not read of it."""

    parts: tuple[Node, ...]
    language: str | None = None
    name: str = field(default="SSML", compare=False)
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        attributes = {"version": "1.1", "xmlns": NAMESPACE, "xml:lang": self.language}
        return _tag("speak", attributes, _inner(self.parts))


# -- reading -----------------------------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str]) -> Document:
    """Read a file of SSML. Raises ``MediaError`` where it cannot be read, ``SsmlError`` where it cannot be spoken."""
    name = os.fspath(path)
    status = check_readable(name)
    if status.st_size > LARGEST:
        raise SsmlError(name, f"has {status.st_size} bytes: {LARGEST} are the most")
    try:
        with open(name, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise MediaError(name, f"cannot be read: {error.strerror or error}") from None
    return parse(content, name)


def parse(source: str | bytes, name: str = "SSML") -> Document:
    """Read a document. Bytes are UTF-8, UTF-16 with a byte order mark, or as their XML declaration says.

    Raises ``SsmlError`` of one line for what is not well-formed, has a DOCTYPE, or goes beyond a limit.

    >>> document = parse('<speak>One <break time="2s"/> two</speak>')
    >>> document.parts
    ('One ', Break(time='2s', strength=None), ' two')
    """
    if len(source) > LARGEST:
        raise SsmlError(name, f"has more than {LARGEST} bytes")
    text = _decoded(source, name) if isinstance(source, bytes) else source
    try:
        content = text.removeprefix("\ufeff").encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise SsmlError(name, "has half of a surrogate pair, which is no character", line) from None
    if len(content) > LARGEST:
        raise SsmlError(name, f"has more than {LARGEST} bytes")
    if not content.strip():
        raise SsmlError(name, "is empty: nothing to speak")
    return _Reader(name).read(content)


def from_text(text: str, name: str = "text") -> Document:
    """Plain text as a document: paragraphs stand between blank lines, and nothing in it is markup.

    >>> from_text("One.\\n\\n1 < 2").parts
    (Paragraph(parts=('One.',), language=None), Paragraph(parts=('1 < 2',), language=None))
    """
    if len(text) > LARGEST:
        raise SsmlError(name, f"has more than {LARGEST} characters")
    if text.startswith("\ufeff"):
        text = text[1:]
    paragraphs = (_plain(part) for part in re.split(r"\n[ \t\r]*\n", text.replace("\r\n", "\n")))
    return Document(tuple(Paragraph((part,)) for part in paragraphs if part), name=name)


def _plain(text: str) -> str:
    """Without what XML cannot hold: controls and lone surrogates become blanks."""
    kept = re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", text)
    return SPACE.sub(" ", kept).strip(" ")


ENCODINGS: Final[Mapping[str, str]] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "cp1252",
}
DECLARED: Final = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")


def _decoded(source: bytes, name: str) -> str:
    """The text of a file. Expat would ask Python for any codec that a document names; only these are read."""
    if source.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise SsmlError(name, "is UTF-32, which XML processors need not read: save it as UTF-8")
    encoding = "utf-8"
    declared = re.match(
        rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""", source
    )
    if source.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif declared and not source.startswith(codecs.BOM_UTF8):
        label = declared[1].decode("ascii")
        encoding = ENCODINGS.get(label.lower(), "")
        if not encoding:
            raise SsmlError(name, f"says that it is {label!r}: save it as UTF-8", 1)
    try:
        return source.decode(encoding)
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise SsmlError(name, f"is not {encoding}: byte {error.start} cannot be read", line) from None


READ_THROUGH: Final = frozenset({"token", "w", "lookup"})
UNSPOKEN: Final = frozenset({"meta", "metadata", "desc", "lexicon"})
TEXT_ONLY: Final = frozenset({"say-as", "sub", "phoneme"})
EMPTY: Final = frozenset({"break", "mark"})


@dataclass(slots=True)
class _Open:
    """An element that has begun: its own name ("" where it is read through), where, and its parts so far."""

    tag: str
    attributes: Mapping[str, str]
    line: int
    parts: list[Node] = field(default_factory=list)


class _Reader:
    """One document's handlers. Whatever is not an element or text of it is refused or passed over."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stack: list[_Open] = []
        self.text: list[str] = []
        self.unspoken = 0
        self.elements = 0
        self.silence = 0.0
        self.foreign: dict[str, None] = {}
        self.told: dict[str, None] = {}
        self.document: Document | None = None
        parser = expat.ParserCreate("UTF-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text.append
        parser.StartDoctypeDeclHandler = self.doctype
        # None of these can come without a DOCTYPE: a second lock on the same door.
        parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = self.entity
        parser.ExternalEntityRefHandler = parser.SkippedEntityHandler = self.entity
        self.parser = parser

    def read(self, content: bytes) -> Document:
        try:
            self.parser.Parse(content, True)
        except expat.ExpatError as error:
            reason = expat.errors.messages.get(error.code, "cannot be read")
            if reason == expat.errors.XML_ERROR_UNDEFINED_ENTITY:
                reason = "an entity: only &amp; &lt; &gt; &apos; &quot; and &#...; can be used"
            raise SsmlError(self.name, f"is not well-formed XML: {reason}", error.lineno) from None
        assert self.document is not None
        return self.document

    def refuse(self, reason: str, line: int | None = None) -> SsmlError:
        return SsmlError(self.name, reason, line or self.parser.CurrentLineNumber)

    def doctype(self, *_: object) -> None:
        raise self.refuse("a DOCTYPE is refused: it can name files, addresses and entities")

    def entity(self, *_: object) -> int:
        raise self.refuse("entities are refused")

    def start(self, qualified: str, given: dict[str, str]) -> None:
        self.flush()
        self.elements += 1
        if self.elements > MOST_ELEMENTS:
            raise self.refuse(f"has more than {MOST_ELEMENTS} elements")
        if len(self.stack) + self.unspoken >= DEEPEST:
            raise self.refuse(f"has more than {DEEPEST} elements inside each other")
        namespace, _, tag = qualified.rpartition(" ")
        known = namespace in ("", NAMESPACE)
        if not self.stack and not (known and tag == "speak"):
            raise self.refuse(f"begins with <{_short(tag)}>, not with <speak>")
        if self.unspoken or (known and tag in UNSPOKEN):
            self.unspoken += 1
            if known and tag == "lexicon":
                self.told["the lexicon is not fetched"] = None
            return
        if self.stack and not (known and (tag in BUILDERS or tag in READ_THROUGH)):
            self.foreign[_short(tag)] = None
            tag = ""
        inside = {one.tag for one in self.stack}
        if tag == "speak" and self.stack:
            raise self.refuse("<speak> inside <speak>")
        if (tag == "p" and inside & {"p", "s"}) or (tag == "s" and "s" in inside):
            raise self.refuse(f"<{tag}> inside <{'s' if 's' in inside else 'p'}>")
        if self.stack and self.stack[-1].tag in EMPTY:
            raise self.refuse(f"<{self.stack[-1].tag}> is empty, but <{_short(tag)}> stands in it")
        if inside & TEXT_ONLY and tag:
            self.told[f"markup inside {sorted(inside & TEXT_ONLY)[0]} is not read, its text is"] = None
            tag = ""
        attributes = {key.replace(XML_NAMESPACE + " ", "xml:"): SPACE.sub(" ", value) for key, value in given.items()}
        self.stack.append(_Open(tag, attributes, self.parser.CurrentLineNumber))

    def end(self, _: str) -> None:
        self.flush()
        if self.unspoken:
            self.unspoken -= 1
            return
        one = self.stack.pop()
        if not self.stack:
            if self.foreign:
                names = list(self.foreign)
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                self.told[f"not SSML, only the content is spoken: {', '.join(names[:5])}{more}"] = None
            remarks = tuple(self.told)
            self.document = Document(tuple(one.parts), one.attributes.get("xml:lang"), self.name, remarks)
            return
        parts: Iterable[Node] = one.parts
        if one.tag in BUILDERS:
            try:
                node = BUILDERS[one.tag](one)
            except UsageError as error:
                raise self.refuse(str(error), one.line) from None
            if isinstance(node, Break):
                self.silence += node.seconds
                if self.silence > LONGEST_SILENCE:
                    raise self.refuse(f"the breaks add up to more than {LONGEST_SILENCE:g} s", one.line)
            parts = [node]
        for part in parts:
            _append(self.stack[-1].parts, part)

    def flush(self) -> None:
        """Put the text that has come into the element that is open."""
        text = SPACE.sub(" ", "".join(self.text))
        self.text.clear()
        if not text or self.unspoken or not self.stack:
            return
        if self.stack[-1].tag in EMPTY:
            if text.strip(" "):
                raise self.refuse(f"<{self.stack[-1].tag}> is empty, but text stands in it")
            return
        _append(self.stack[-1].parts, text)


def _append(parts: list[Node], part: Node) -> None:
    """Add a part, so that text stands beside text nowhere and blanks are single."""
    if not part:
        return
    if isinstance(part, str) and parts and isinstance(parts[-1], str):
        parts[-1] += part[1:] if part[0] == " " and parts[-1].endswith(" ") else part
    else:
        parts.append(part)


def _flat(one: _Open) -> str:
    return "".join(part for part in one.parts if isinstance(part, str)).strip(" ")


def _stripped(one: _Open, name: str) -> str | None:
    value = one.attributes.get(name)
    return None if value is None else value.strip(" ")


def _needed(one: _Open, name: str) -> str:
    value = _stripped(one, name)
    if value is None:
        raise UsageError(f"<{one.tag}> needs {name}")
    return value


BUILDERS: Final[Mapping[str, Callable[[_Open], Node]]] = {
    "break": lambda one: Break(_stripped(one, "time"), _stripped(one, "strength")),
    "mark": lambda one: Mark(_needed(one, "name")),
    "say-as": lambda one: SayAs(
        _flat(one), _needed(one, "interpret-as"), _stripped(one, "format"), _stripped(one, "detail")
    ),
    "sub": lambda one: Sub(_flat(one), _needed(one, "alias")),
    "phoneme": lambda one: Phoneme(_flat(one), _needed(one, "ph"), _stripped(one, "alphabet")),
    "p": lambda one: Paragraph(tuple(one.parts), _stripped(one, "xml:lang")),
    "s": lambda one: Sentence(tuple(one.parts), _stripped(one, "xml:lang")),
    "emphasis": lambda one: Emphasis(tuple(one.parts), _stripped(one, "level") or "moderate"),
    "prosody": lambda one: Prosody(
        tuple(one.parts),
        *(_stripped(one, name) for name in ("rate", "pitch", "volume", "contour", "range", "duration")),
    ),
    "voice": lambda one: Voice(
        tuple(one.parts),
        _stripped(one, "name"),
        _stripped(one, "languages") or _stripped(one, "xml:lang"),
        *(_stripped(one, name) for name in ("gender", "age", "variant")),
    ),
    "lang": lambda one: Lang(tuple(one.parts), _needed(one, "xml:lang")),
    "audio": lambda one: Audio(tuple(one.parts), _stripped(one, "src")),
    "speak": lambda one: "",  # the root, which end() makes into a Document
}

# -- printing ----------------------------------------------------------------------------------------------------------


def _inner(parts: Iterable[Node]) -> str:
    return "".join(escape(part) if isinstance(part, str) else str(part) for part in parts)


def _tag(name: str, attributes: Mapping[str, str | None], inner: str = "") -> str:
    given = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items() if value is not None)
    return f"<{name}{given}>{inner}</{name}>" if inner else f"<{name}{given}/>"


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= 40 else text[:37] + "..."


def _shown(text: str) -> str:
    return repr(_short(text))
