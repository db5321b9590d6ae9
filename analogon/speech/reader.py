"""SSML, and plain text, read into a tree.

A document is read by expat and nothing of it leads elsewhere: a DOCTYPE is refused, so that there are no entities but
the five of XML; no address in it is followed, no file that it names is opened; its size, depth, elements and silences
are bounded. What is not SSML but plainly meant is read (``repair``), unless ``strict``, and remarks tell.

Elements that are not SSML's, and ``token``, ``w`` and ``lookup``, are read through: their content counts.
``lexicon`` is not fetched, ``meta``, ``metadata`` and ``desc`` are not spoken.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from xml.parsers import expat

from analogon.speech.repair import ELEMENTS, likely_slip, read_value, repair
from analogon.speech.tree import (
    NAMESPACE,
    Audio,
    Break,
    Document,
    Emphasis,
    Lang,
    Mark,
    Node,
    Paragraph,
    Phoneme,
    Prosody,
    SayAs,
    Sentence,
    Sub,
    Voice,
    shortened,
    shown,
)
from embed.errors import MediaError, SsmlError, UsageError
from embed.media import check_readable

__all__ = ["from_text", "parse", "read"]

SECURE: Final = NAMESPACE.replace("http:", "https:")
"""As Microsoft's documentation writes it."""
XML_NAMESPACE: Final = "http://www.w3.org/XML/1998/namespace"
LARGEST: Final = 1 << 20
"""Bytes of a document, as a file and as UTF-8."""
DEEPEST: Final = 64
"""Elements inside each other."""
MOST_ELEMENTS: Final = 20_000
MOST_TOLD: Final = 6
"""Values of which a remark each tells how they are read."""
LONGEST_SILENCE: Final = 600.0
"""Seconds of all breaks of a document."""
SPACE: Final = re.compile(r"[ \t\r\n]+")


def read(path: str | os.PathLike[str], *, strict: bool = False) -> Document:
    """Read a file of SSML, as ``parse`` does.

    Raises ``MediaError`` where it cannot be read, ``SsmlError`` where it cannot be spoken.
    """
    name = os.fspath(path)
    status = check_readable(name)
    if status.st_size > LARGEST:
        raise SsmlError(name, f"has {status.st_size} bytes: {LARGEST} are the most")
    try:
        with open(name, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise MediaError(name, f"cannot be read: {error.strerror or error}") from None
    return parse(content, name, strict=strict)


def parse(source: str | bytes, name: str = "SSML", *, strict: bool = False) -> Document:
    """Read a document. Bytes are UTF-8, UTF-16 with a byte order mark, or as their XML declaration says.

    Slips that are plainly meant are mended, and remarks tell; with ``strict`` they are refused as all else is that is
    no SSML. Raises ``SsmlError`` of one line, with the place and a hint, for what is not well-formed, has a DOCTYPE, or
    goes beyond a limit.

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
    if strict:
        return _Reader(name, strict=True).read(content)
    try:
        return _Reader(name).read(content)
    except _NotWellFormed as error:
        mended, told = repair(content.decode())
        if not told or len(mended) > 2 * LARGEST:
            raise SsmlError(name, error.reason, error.line) from None
        try:
            document = _Reader(name).read(mended.encode())
        except _NotWellFormed:  # the place is that of the document as it was written
            raise SsmlError(name, error.reason, error.line) from None
        return replace(document, remarks=(*told, *document.remarks))


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
    return Document(tuple(Paragraph((part,)) for part in paragraphs if part), name=name, markup=False)


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


SYNONYMS: Final = frozenset(
    {*(("xml:lang", tag) for tag in ("speak", "p", "s", "lang", "voice")), ("languages", "voice")}
    | {("interpret-as", "say-as")}
)
READ_THROUGH: Final = frozenset({"token", "w", "lookup"})
INLINE: Final = frozenset(
    {"a", "abbr", "b", "big", "cite", "code", "em", "font", "i", "ins", "kbd", "lookup", "small"}
) | {*("span", "strong", "sub", "sup", "tt", "u", "var", "wbr")}
"""What may stand inside a word, of what is read through: any other element parts the words around it."""
OWN_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "break": frozenset({"time", "strength"}),
    "mark": frozenset({"name"}),
    "say-as": frozenset({"interpret-as", "format", "detail"}),
    "sub": frozenset({"alias"}),
    "phoneme": frozenset({"ph", "alphabet", "type"}),
    "emphasis": frozenset({"level"}),
    "prosody": frozenset({"rate", "pitch", "volume", "contour", "range", "duration"}),
    "voice": frozenset({"name", "languages", "xml:lang", "gender", "age", "variant"})
    | {*("required", "ordering", "onvoicefailure", "onlangfailure")},
    "lang": frozenset({"xml:lang", "onlangfailure"}),
    "p": frozenset({"xml:lang", "onlangfailure"}),
    "s": frozenset({"xml:lang", "onlangfailure"}),
}
"""Attributes that SSML gives to elements which change how something is said."""
UNSPOKEN: Final = frozenset({"meta", "metadata", "desc", "lexicon"})
TEXT_ONLY: Final = frozenset({"say-as", "sub", "phoneme"})
EMPTY: Final = frozenset({"break", "mark"})


@dataclass(slots=True)
class _Open:
    """An element that has begun: what it is read as ("" for nothing), where, as it was written, whether it parts words,
    its parts so far."""

    tag: str
    attributes: Mapping[str, str]
    line: int
    name: str
    apart: bool = False
    parts: list[Node] = field(default_factory=list)


class _NotWellFormed(SsmlError):
    """No XML, or not what it was meant to be: what may be mended."""


class _Reader:
    """One document's handlers. Whatever is not an element or text of it is refused or passed over."""

    def __init__(self, name: str, *, strict: bool = False) -> None:
        self.name = name
        self.strict = strict
        self.scopes: list[Mapping[str, str]] = [{"": "", "xml": XML_NAMESPACE}]
        self.azure = False
        self.stack: list[_Open] = []
        self.text: list[str] = []
        self.apart = False
        self.last = ""
        self.unspoken = 0
        self.elements = 0
        self.silence = 0.0
        self.foreign: dict[str, None] = {}
        self.not_done: dict[str, None] = {}
        self.values: dict[str, None] = {}
        self.told: dict[str, None] = {}
        self.document: Document | None = None
        # Prefixes are looked up here: expat would refuse those that no document for Polly or Alexa declares.
        parser = expat.ParserCreate("UTF-8")
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
            where = f"is not well-formed XML at column {error.offset + 1}"
            raise _NotWellFormed(self.name, f"{where}: {self.reason(error, content)}", error.lineno) from None
        assert self.document is not None
        return self.document

    def reason(self, error: expat.ExpatError, content: bytes) -> str:
        """What is wrong, and the way out where one is plain."""
        said = expat.errors.messages.get(error.code, "cannot be read")
        text = content.decode()
        open_ = f"<{shortened(self.stack[-1].name)}> of line {self.stack[-1].line}" if self.stack else ""
        match said:
            case expat.errors.XML_ERROR_UNDEFINED_ENTITY:
                return "an entity: only &amp; &lt; &gt; &apos; &quot; and &#...; can be used"
            case expat.errors.XML_ERROR_TAG_MISMATCH if open_:
                return f"another element is closed than {open_}"
            case expat.errors.XML_ERROR_NO_ELEMENTS if open_:
                return f"{open_} is never closed"
            case expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT:
                return "more stands behind the end of the document's element"
        return said + likely_slip(text, error.lineno, error.offset)

    def refuse(self, reason: str, line: int | None = None) -> SsmlError:
        return SsmlError(self.name, reason, line or self.parser.CurrentLineNumber)

    def unclosed(self, reason: str) -> SsmlError:
        """A fault that may be mended: the element was not closed, as those of HTML need not be."""
        return _NotWellFormed(self.name, reason, self.parser.CurrentLineNumber)

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
        declared = {key[6:]: uri for key, uri in given.items() if key == "xmlns" or key.startswith("xmlns:")}
        self.scopes.append({**self.scopes[-1], **declared} if declared else self.scopes[-1])
        self.azure |= any("mstts" in one for one in (*declared, *declared.values()))
        prefix, _, tag = qualified.rpartition(":")
        namespace = self.scopes[-1].get(prefix)
        if namespace is None:
            if self.strict:
                raise self.refuse(f"the prefix {shortened(prefix)}: is not declared")
            self.azure |= prefix == "mstts"
        known = namespace in ("", NAMESPACE) or (namespace == SECURE and not self.strict)
        if known and tag not in ELEMENTS and tag.lower() in ELEMENTS and not self.strict:
            self.told["names of elements are written in lower case, and read so"] = None
            tag = tag.lower()
        if not self.stack and not (known and tag == "speak"):
            there, wanted = f"<{shortened(qualified)}>", "<speak>"
            if namespace and not known:
                there, wanted = f"{there} of the namespace {shown(namespace)}", f"{wanted} of {NAMESPACE}"
            raise self.refuse(f"begins with {there}, not with {wanted}")
        if self.unspoken or (known and tag in UNSPOKEN):
            self.unspoken += 1
            self.apart = True
            if known and tag == "lexicon":
                self.told["the lexicon is not fetched"] = None
            return
        if self.stack and not (known and (tag in BUILDERS or tag in READ_THROUGH)):
            self.foreign[shortened(qualified)] = None
            tag = ""
        if self.stack and self.stack[-1].tag in EMPTY:
            inner = f"<{shortened(tag or qualified)}>"
            raise self.unclosed(f"<{self.stack[-1].tag}> is empty, but {inner} stands in it")
        attributes = self.attributes(tag, given)
        read_as = self.placed(tag, attributes)
        apart = read_as not in BUILDERS or (read_as == "lang" != tag)
        apart = apart and bool(self.stack) and qualified.lower() not in INLINE
        self.apart |= apart
        self.stack.append(_Open(read_as, attributes, self.parser.CurrentLineNumber, qualified, apart))

    def placed(self, tag: str, attributes: Mapping[str, str]) -> str:
        """An element's name where it may stand as that; else that of what it is read as."""
        inside = {one.tag for one in self.stack}
        around = inside & TEXT_ONLY
        if around and tag:
            self.told[f"markup inside {sorted(around)[0]} is not read, its text is"] = None
            return ""
        outer = "speak" if tag == "speak" and self.stack else ""
        if (tag == "p" and inside & {"p", "s"}) or (tag == "s" and "s" in inside):
            outer = "s" if "s" in inside else "p"
        if not outer:
            return tag
        if self.strict:
            raise self.refuse(f"<{tag}> inside <{outer}>")
        self.told[f"<{tag}> inside <{outer}> is read as part of it"] = None
        if tag == "p" and outer == "p":
            return "s"  # a pause is what is meant at least
        return "lang" if attributes.get("xml:lang") else ""

    def attributes(self, tag: str, given: Mapping[str, str]) -> Mapping[str, str]:
        """An element's own attributes, each value as SSML writes it."""
        found: dict[str, str] = {}
        for key, value in given.items():
            name = key if self.strict else key.lower()
            if tag and (":" not in name or name == "xml:lang"):
                found.setdefault(name, SPACE.sub(" ", value))
        read: set[str] = set()
        for name, other in (("xml:lang", "lang"), ("languages", "language"), ("interpret-as", "type")):
            if not self.strict and other in found and name not in found and (name, tag) in SYNONYMS:
                self.told[f"{tag} {other} is read as {name}"] = None
                found[name] = found[other]
                read.add(other)
        if tag in OWN_ATTRIBUTES:
            for name in (key if self.strict else key.lower() for key in given):
                if name not in OWN_ATTRIBUTES[tag] | read and not re.match("xml(?!:lang$)|id$|class$", name):
                    self.not_done[f"{tag} {shortened(name)}"] = None
        if self.strict or not tag:
            return found
        if tag == "voice" and found.get("name", "").endswith("Neural"):
            self.azure = True
        for name, value in list(found.items()):
            meant = read_value(tag, name, value, self.azure)
            if meant is None or meant.strip(" ") != value.strip(" "):
                self.values[f"{tag} {name} {shown(value)} is read as {shown(meant) if meant else 'no change'}"] = None
                if meant is None:
                    del found[name]
                else:
                    found[name] = meant
        return found

    def end(self, _: str) -> None:
        self.flush()
        self.scopes.pop()
        if self.unspoken:
            self.unspoken -= 1
            return
        one = self.stack.pop()
        self.apart |= one.apart
        if not self.stack:
            if self.foreign:
                self.told[f"not SSML, only the content is spoken: {_first(self.foreign)}"] = None
            if self.not_done:
                self.told[f"attributes that are not SSML's there, and not done: {_first(self.not_done)}"] = None
            values = list(self.values)
            if len(values) > MOST_TOLD:
                values[MOST_TOLD:] = [f"{len(values) - MOST_TOLD} more values are read as they are meant"]
            remarks = (*self.told, *values)
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
                raise self.unclosed(f"<{self.stack[-1].tag}> is empty, but text stands in it")
            return
        if self.apart and self.last.isalnum() and text[0].isalnum():
            text = f" {text}"
        self.apart, self.last = False, text[-1]
        _append(self.stack[-1].parts, text)


def _first(names: Iterable[str]) -> str:
    """The first five of many names."""
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


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
