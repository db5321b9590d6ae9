"""Every error that analogon raises on purpose.

::

    AnalogonError                 one line that a person can act on; the root of all
    ├── UsageError                what was asked for cannot be done as asked
    │   ├── FilterError           a filter does not parse; says the column
    │   ├── QueryError            a query's expression does not parse; says the column
    │   ├── SsmlError             an SSML document cannot be spoken; says the line
    │   └── UnsupportedModality   this encoder or collection has no such side
    ├── MediaError                one file or text cannot be read; carries path and reason
    ├── MachineError              memory, disk, descriptors, network or device failed; carries what it was about
    ├── EncoderError              a model cannot be loaded, or an encoder gave something unusable
    │   ├── UnknownEncoder        no family of that name
    │   ├── ModelNotFound         the model's files are neither here nor reachable
    │   └── MissingPackage        an optional package is absent; names the extra that brings it
    ├── GeneratorError            a generator cannot be loaded as asked, or made something unusable
    │   └── UnknownGenerator      no family of that name
    ├── Cancelled                 the work was asked to stop, and did between two items
    ├── SpaceMismatch             vectors of two spaces were about to be compared; names both
    └── CollectionError           a collection's folder cannot be used
        ├── CollectionNotFound    there is none of that name
        ├── CollectionLocked      another process is writing to it
        └── CollectionDamaged     its files contradict each other (indexes.faiss.IndexDamaged: only a cache does)

A message gives both values that disagree, and the way out. It knows no door: a parameter or an action that it speaks
of stands between backquotes, "`encoders=clap`" or "`analogon.open('drums').index(FOLDER)`", as
Python has it, and each other door says that in its own words.
"""

from __future__ import annotations

import unicodedata

__all__ = [
    "AnalogonError",
    "Cancelled",
    "CollectionDamaged",
    "CollectionError",
    "CollectionLocked",
    "CollectionNotFound",
    "EncoderError",
    "FilterError",
    "GeneratorError",
    "MachineError",
    "MediaError",
    "MissingPackage",
    "ModelNotFound",
    "QueryError",
    "SpaceMismatch",
    "SsmlError",
    "UnknownEncoder",
    "UnknownGenerator",
    "UnsupportedModality",
    "UsageError",
    "escaped",
    "one_line",
    "printable",
    "spelled_out",
]


class AnalogonError(Exception):
    """The root: its text is one line that a person can act on."""


class UsageError(AnalogonError):
    """What was asked for cannot be done as asked."""


class FilterError(UsageError):
    """A filter expression does not parse. ``column`` is 1-based."""

    def __init__(self, reason: str, expression: str, column: int) -> None:
        self.reason = reason
        self.expression = expression
        self.column = column
        super().__init__(f"`where`, column {column}: {reason} in: {expression}")


class QueryError(UsageError):
    """The expression of a query does not parse. ``column`` is 1-based; the message shows what stands around it."""

    def __init__(self, reason: str, expression: str, column: int) -> None:
        self.reason = reason
        self.expression = expression
        self.column = column
        start, end = max(0, column - 81), column + 79
        around = printable(expression[start:end])
        around = ("..." if start else "") + around + ("..." if end < len(expression) else "")
        super().__init__(f"query, column {column}: {reason} in: {around}")


class SsmlError(UsageError):
    """An SSML document cannot be spoken. ``line`` is 1-based, or None where the whole document is meant."""

    def __init__(self, name: str, reason: str, line: int | None = None) -> None:
        self.name = name
        self.reason = reason
        self.line = line
        super().__init__(f"{name}{f', line {line}' if line else ''}: {reason}")


class UnsupportedModality(UsageError):
    """An encoder or a collection has no side of that modality."""


class MediaError(AnalogonError):
    """One file or text cannot be read. ``name`` says which, ``reason`` why."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name}: {reason}")


class MachineError(AnalogonError):
    """The machine failed for the moment, not the file or the model: the same may go well at the next try.

    ``name`` says what it was about, ``reason`` what was lacking. See ``embed.faults``.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name}: {reason}")


class EncoderError(AnalogonError):
    """An encoder cannot be loaded, or gave vectors that cannot be used."""


class UnknownEncoder(EncoderError):
    """There is no family of that name."""


class ModelNotFound(EncoderError):
    """The model's files are neither on disk nor reachable."""


class MissingPackage(EncoderError):
    """An optional package is absent. The message names the extra that brings it.

    One that is ``alone`` is not in the extra, since what it depends on cannot be installed everywhere and is not used.
    """

    def __init__(self, package: str, extra: str, why: str, *, alone: bool = False) -> None:
        self.package = package
        self.extra = extra
        then = f", then pip install --no-deps {package}" if alone else ""
        super().__init__(f"{why} needs the package {package}: pip install 'analogon[{extra}]'{then}")


class GeneratorError(AnalogonError):
    """A generator cannot be loaded as asked, or made something that cannot be used."""


class UnknownGenerator(GeneratorError):
    """There is no family of generators of that name."""


class Cancelled(AnalogonError):
    """The work was asked to stop. What it had committed until then stays; the same request goes on from there."""


class SpaceMismatch(AnalogonError):
    """Vectors of two different spaces were about to be compared."""


class CollectionError(AnalogonError):
    """A collection's folder cannot be used."""


class CollectionNotFound(CollectionError):
    """There is no collection of that name."""


class CollectionLocked(CollectionError):
    """Another process is writing to the collection."""


class CollectionDamaged(CollectionError):
    """The collection's files contradict each other."""


def one_line(error: BaseException, *, named: bool = False) -> str:
    """What somebody else's exception says, as one line of at most 300 characters; ``named`` puts its type before it.

    >>> one_line(ValueError("two\\n  lines")), one_line(KeyError(), named=True)
    ('two lines', 'KeyError')
    """
    text = " ".join(str(getattr(error, "strerror", None) or error).split())[:300]
    if not text:
        return type(error).__name__
    return f"{type(error).__name__}: {text}" if named else text


def escaped(text: str) -> str:
    r"""A text on one line, with whatever a terminal would obey or break a line at written out.

    >>> escaped("a\x1b[31m\nb\u202ec, déjà vu")
    'a\\x1b[31m\\nb\\u202ec, déjà vu'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or unicodedata.category(one) == "Zs" else _written_out(one) for one in text)


def _written_out(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def spelled_out(path: str) -> str:
    """A path with the bytes of it that are not UTF-8 spelled out, such as ``\\xff``; any other as it is."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return path


def printable(text: str) -> str:
    """A text with as many characters that a terminal shows on one line: white space is blank, other controls U+FFFD.

    >>> printable("a\\tb\\x1b[0m")
    'a b�[0m'
    """
    return "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in text)
