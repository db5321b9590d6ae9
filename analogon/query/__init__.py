r"""Queries as expressions: what to add, what to take away, what to go towards, and in what shares.

::

    query    = sum
    sum      = [sign] part ((operator [sign] part) | modifier)*
    operator = "+" or "-" with white space on both sides
    sign     = "+" or "-"
    part     = [number ":"] atom | modifier
    atom     = "(" sum ")" | function | "text" | file | "id:" number | text
    function = "toward(" sum "," sum "," number ")"     this share of the way from the first to the second
             | "apply(" name "," sum ["," number] ")"   a relation, with a strength of 1 unless there is another
    modifier = "without(" sum ")"                       that direction is projected out
             | "exclude(" sum "," number ")"            hits are dropped whose cosine with it is 1 - number or more
    file     = "./..." | "../..." | "/..." | "~/..." | "file:..." | 'file:"..."' | the name of a file that exists

A text stands as it is typed: ``rain on a tin roof, no traffic``, ``lo-fi hip-hop``, ``C++``, ``drum (dry)``, ``AC/DC``.
It ends at an operator, at a modifier, and within parentheses where they close. So:

- ``-`` and ``+`` are operators with white space on both sides, and signs where a part begins; elsewhere, as in
  ``lo-fi`` or ``rain -traffic``, they belong to the text. ``-traffic`` alone asks for the opposite direction.
- ``2:`` where a part begins is a weight: ``10:30 in the morning`` asks for ten times "30 in the morning".
- A parenthesis opens a group where a part begins; within a text, balanced parentheses belong to it with all that
  they hold, and outside of every group, so do others: ``smile :)``.
- Functions and modifiers are read where their name touches its parenthesis: functions where a part begins, modifiers
  there or after white space. ``music without(drums)`` projects; ``music without (drums)`` is a text.
- In a function or modifier a comma ends an argument; elsewhere it belongs to the text.
- Double quotes where a part begins make a text of what they hold: ``"10:30 - noon"``. Within them ``\"`` is a quote and
  ``\\`` a backslash. ``file:"./a - b.wav"`` is a file whose name holds syntax. Single quotes are letters like others.
- A part, or the whole query whatever it holds, that names an existing file with a suffix that analogon reads, is that
  file.

``without`` and ``exclude`` apply to the whole sum of their level, wherever they stand in it: ``a without(c) + b`` is
``a + b without(c)``, and ``(a without(c)) + b`` is not. Several ``without`` of a level take away all that their
directions span. ``exclude`` stands outside of all parentheses. A group is normalised before it is added:
``2:(a + b)`` weighs 2, whatever the angle between a and b.

>>> query = parse("2:rain + ./roof.wav - heavy traffic without(voices)")
>>> print(query)
2:rain + ./roof.wav - heavy traffic without(voices)
>>> query == (text("rain") * 2 + file("./roof.wav") - text("heavy traffic")).without(text("voices"))
True
>>> print(apply("male-female", toward(text("king"), item(5), 0.3), 0.5).exclude(text("chess, cards"), 0.25))
apply(male-female, toward(king, id:5, 0.3), 0.5) exclude("chess, cards", 0.25)

Python's operators are linear: ``2 * (a + b) - c`` is ``2:a + 2:b - c``. ``Sum`` and ``Term`` build groups.

As JSON, a query is

- a string: a file where it starts like a path or names an existing one, ``"id:5"``, else a text, whatever it holds;
- ``{"text": string}`` or ``{"file": string}``, to say which;
- an object of weights, ``{"rain": 2, "traffic": -1}``: wherever all values are numbers;
- a list, the sum of its elements: queries, objects of weights, whose terms join the sum, and
  ``{"of": query, "weight": number}``;
- ``{"of": query, "without": query}``, ``{"from": query, "toward": query, "t": number}``,
  ``{"apply": name, "of": query, "strength": number}``, ``{"of": query, "exclude": query, "radius": number}``.

>>> from_json({"of": {"rain": 2, "traffic": -1}, "without": "voices"}) == parse("2:rain - traffic without(voices)")
True
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from operator import index
from typing import Any, Final, NoReturn, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from analogon.vectors import geometry
from embed.errors import QueryError, UsageError, printable
from embed.media import modalities_of

__all__ = [
    "Apply",
    "Exclude",
    "File",
    "Item",
    "Leaf",
    "Query",
    "Sum",
    "Term",
    "Text",
    "Toward",
    "Without",
    "apply",
    "excludes",
    "file",
    "fold",
    "from_json",
    "is_plain",
    "item",
    "leaves",
    "parse",
    "relations",
    "text",
    "to_json",
    "toward",
    "without_excludes",
]

Row = npt.NDArray[np.float32]

DEEPEST: Final = 50  # parts within parts: far from where Python's stack ends
LARGEST_ID: Final = 2**63 - 1  # what SQLite holds
VANISHED: Final = 1e-6  # length below which float32 rounding, not meaning, gives a direction
PATH_MARKS: Final = ("./", "../", "/", "~/")


# -- the tree --------------------------------------------------------------------------------------------------------


class _Operators:
    """Arithmetic on queries. All parts of a query are checked where it is made; ``str`` gives its expression."""

    __slots__ = ()
    __array_ufunc__ = None  # a number of numpy leaves a product to us

    def __str__(self) -> str:
        return _show(self._self)

    def __add__(self, other: Query) -> Query:
        return _sum(_terms(self._self) + _terms(other)) if isinstance(other, _Operators) else NotImplemented

    def __sub__(self, other: Query) -> Query:
        return self + -other if isinstance(other, _Operators) else NotImplemented

    def __mul__(self, factor: float) -> Query:
        if not isinstance(factor, Real):
            return NotImplemented
        by = _finite(factor, "a factor")
        return _sum([Term(term.weight * by, term.query) for term in _terms(self._self)])

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Query:
        if not divisor:
            raise UsageError("a query cannot be divided by 0")
        return self * (1 / divisor)

    def __neg__(self) -> Query:
        return self * -1

    def without(self, away: Query) -> Without:
        """This query with the direction of another projected out."""
        return Without(self._self, away)

    def exclude(self, centre: Query, radius: float) -> Exclude:
        """This query, whose hits do not come within ``radius`` (1 - cosine) of ``centre``."""
        return Exclude(self._self, centre, radius)

    @property
    def _self(self) -> Query:
        assert isinstance(self, Text | File | Item | Sum | Without | Toward | Apply | Exclude)
        return self

    def _check(self) -> None:
        """Raise ``UsageError`` for parts that cannot stand here."""
        parts = _parts(self._self)
        for part in parts[1:] if isinstance(self, Exclude) else parts:
            if isinstance(part, Exclude):
                raise UsageError("exclude filters the hits of a whole query: it cannot stand within another part")
        if _depth(self._self) > DEEPEST:
            raise UsageError(f"more than {DEEPEST} parts within each other")


@dataclass(frozen=True, slots=True)
class Text(_Operators):
    """Words, as they stand."""

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UsageError("the text is empty: write what to look for, or name a file")


@dataclass(frozen=True, slots=True)
class File(_Operators):
    """What a file holds."""

    path: str

    def __post_init__(self) -> None:
        if not self.path.strip():
            raise UsageError("the name of the file is empty")


@dataclass(frozen=True, slots=True)
class Item(_Operators):
    """An item of the collection that is asked."""

    id: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", index(self.id))
        if not 0 < self.id <= LARGEST_ID:
            raise UsageError(f"the id of an item is a whole number from 1 to {LARGEST_ID}")

    @classmethod
    def _of_digits(cls, digits: str) -> Item:
        """The item of any run of digits; Python refuses to read very long ones."""
        return cls(int(digits.lstrip("0")[:20] or "0"))


@dataclass(frozen=True, slots=True)
class Term:
    """A query with its weight in a sum."""

    weight: float
    query: Query

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _finite(self.weight, "a weight"))
        if not self.weight:
            raise UsageError("a weight of 0 leaves nothing: leave the part out")


@dataclass(frozen=True, slots=True)
class Sum(_Operators):
    """The direction of the weighted sum of unit vectors. One term of weight 1 is no sum, but that term's query."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        if not self.terms or (len(self.terms) == 1 and self.terms[0].weight == 1):
            raise UsageError("a sum has two terms, or one with a weight other than 1")
        self._check()


@dataclass(frozen=True, slots=True)
class Without(_Operators):
    """A query less its share in the direction of ``away``."""

    query: Query
    away: Query

    def __post_init__(self) -> None:
        self._check()


@dataclass(frozen=True, slots=True)
class Toward(_Operators):
    """The point a share ``t`` of the way from ``start`` to ``end`` on the great circle."""

    start: Query
    end: Query
    t: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "t", _finite(self.t, "the share of the way"))
        self._check()


@dataclass(frozen=True, slots=True)
class Apply(_Operators):
    """A relation applied to a query."""

    relation: str
    query: Query
    strength: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", _finite(self.strength, "a strength"))
        if not self.relation.strip():
            raise UsageError("the name of the relation is empty")
        self._check()


@dataclass(frozen=True, slots=True)
class Exclude(_Operators):
    """A query without the hits whose cosine with ``centre`` is ``1 - radius`` or more; its vector is the same."""

    query: Query
    centre: Query
    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", _finite(self.radius, "a radius"))
        if not 0 < self.radius <= 2:
            raise UsageError(f"a radius is above 0 and at most 2, not {_number(self.radius)}")
        self._check()


Leaf: TypeAlias = Text | File | Item
Query: TypeAlias = Text | File | Item | Sum | Without | Toward | Apply | Exclude


def text(words: str) -> Text:
    """Words as a query."""
    return Text(words)


def file(path: str | os.PathLike[str]) -> File:
    """A file as a query."""
    return File(os.fspath(path))


def item(id: int) -> Item:
    """An item of the collection as a query."""
    return Item(id)


def toward(start: Query, end: Query, t: float) -> Toward:
    """The point a share ``t`` of the way from ``start`` to ``end``; ``t`` below 0 or above 1 goes on beyond them."""
    return Toward(start, end, t)


def apply(relation: str, query: Query, strength: float = 1.0) -> Apply:
    """The relation of that name applied to a query."""
    return Apply(relation, query, strength)


def leaves(query: Query) -> tuple[Leaf, ...]:
    """All texts, files and items of a query, also those that it excludes, each once, in order.

    >>> leaves(parse("rain + id:7 - 2:rain"))
    (Text(text='rain'), Item(id=7))
    """
    return tuple(dict.fromkeys(part for part in _walk(query) if isinstance(part, Text | File | Item)))


def relations(query: Query) -> tuple[str, ...]:
    """The names of the relations that a query applies, each once, in order."""
    return tuple(dict.fromkeys(part.relation for part in _walk(query) if isinstance(part, Apply)))


def is_plain(query: Query) -> bool:
    """Whether a query is a single text, file or item."""
    return isinstance(query, Text | File | Item)


def excludes(query: Query) -> tuple[Exclude, ...]:
    """What a query excludes, outermost first; ``centre`` and ``radius`` say what."""
    found = []
    while isinstance(query, Exclude):
        found.append(query)
        query = query.query
    return tuple(found)


def without_excludes(query: Query) -> Query:
    """A query that drops no hits."""
    while isinstance(query, Exclude):
        query = query.query
    return query


def _finite(number: float, what: str) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise UsageError(f"{what} is a finite number")
    return value


def _terms(query: Query) -> tuple[Term, ...]:
    return query.terms if isinstance(query, Sum) else (Term(1.0, query),)


def _sum(terms: Sequence[Term]) -> Query:
    """A sum; of one term of weight 1, its query."""
    return terms[0].query if len(terms) == 1 and terms[0].weight == 1 else Sum(tuple(terms))


def _parts(query: Query) -> tuple[Query, ...]:
    match query:
        case Sum(terms):
            return tuple(term.query for term in terms)
        case Without(inner, other) | Exclude(inner, other) | Toward(inner, other):
            return inner, other
        case Apply(_, inner):
            return (inner,)
        case _:
            return ()


def _walk(query: Query) -> Iterator[Query]:
    yield query
    for part in _parts(query):
        yield from _walk(part)


def _depth(query: Query) -> int:
    return 1 + max(map(_depth, _parts(query)), default=-1)


# -- tree to vector --------------------------------------------------------------------------------------------------


class Applicable(Protocol):
    """What ``fold`` wants of a relation."""

    def apply(self, vector: Row, strength: float, /) -> npt.NDArray[np.floating]:
        """A unit vector ``(dim,)`` on the other side of the relation."""


def fold(query: Query, encode: Callable[[Leaf], geometry.Floats], relation: Callable[[str], Applicable]) -> Row:
    """The unit vector that a query asks for, float32 ``(dim,)``.

    ``encode`` gives a leaf's vector ``(dim,)`` and ``relation`` what a name stands for. What is excluded changes
    nothing here. Raises ``UsageError``, which names the part, where a part leaves no direction.

    >>> axes = {Text("rain"): np.array([1.0, 0.0]), Text("wind"): np.array([0.0, 1.0])}
    >>> fold(parse("rain - wind"), axes.__getitem__, lambda name: None).round(3).tolist()
    [0.7070000171661377, -0.7070000171661377]
    """

    def folded(part: Query) -> Row:
        return fold(part, encode, relation)

    match query:
        case Exclude(inner):
            return folded(inner)
        case Sum(terms):
            # Only ratios of weights count; so the largest is 1, and none overflows.
            largest = max(abs(term.weight) for term in terms)
            rows = np.array([folded(term.query) for term in terms], np.float64)
            return _directed(np.array([term.weight / largest for term in terms]) @ rows, query)
        case Without(inner):
            aways = [query.away]
            while isinstance(inner, Without):
                aways.append(inner.away)
                inner = inner.query
            return _directed(geometry.reject(folded(inner), np.array([folded(away) for away in aways])), query)
        case Toward(start, end, t):
            try:
                return geometry.slerp(folded(start), folded(end), t)
            except ValueError:
                raise UsageError(
                    f"{printable(str(query))}: the two are opposites, with no shortest way between them"
                ) from None
        case Apply(name, inner, strength):
            return _directed(relation(name).apply(folded(inner), strength), query)
        case Text() | File() | Item():
            return _directed(encode(query), query)


def _directed(vector: geometry.Floats, query: Query) -> Row:
    """A vector at length 1. Raises ``UsageError`` where it has no direction."""
    if not VANISHED <= np.linalg.norm(np.asarray(vector, np.float64)) < np.inf:
        raise UsageError(f"{printable(str(query))} leaves no direction to search in")
    return geometry.unit(vector)


# -- tree to text ----------------------------------------------------------------------------------------------------


def _show(query: Query, argument: bool = False) -> str:
    """The expression of a query, as an argument of a function or not."""
    match query:
        case Text(words):
            # A text with the suffix of a medium would be a file wherever there is one of that name.
            return _quoted(words) if modalities_of(words) or not _stands(words, query, argument) else words
        case File(path):
            shown = (form for form in (path, f"file:{path}") if _stands(form, query, argument))
            return next(shown, f"file:{_quoted(path)}")
        case Item(id):
            return f"id:{id}"
        case Sum(terms):
            return "".join(_show_term(term, argument, first=not number) for number, term in enumerate(terms))
        case Without(inner, away):
            return f"{_show(inner, argument)} without({_show(away, True)})"
        case Toward(start, end, t):
            return f"toward({_show(start, True)}, {_show(end, True)}, {_number(t)})"
        case Apply(name, inner, strength):
            shown_name = name if NAME.fullmatch(name) else _quoted(name)
            shown_strength = "" if strength == 1 else f", {_number(strength)}"
            return f"apply({shown_name}, {_show(inner, True)}{shown_strength})"
        case Exclude(inner, centre, radius):
            return f"{_show(inner, argument)} exclude({_show(centre, True)}, {_number(radius)})"


def _show_term(term: Term, argument: bool, first: bool) -> str:
    sign = "-" if term.weight < 0 else "+"
    joint = sign.replace("+", "") if first else f" {sign} "
    weight = "" if abs(term.weight) == 1 else f"{_number(abs(term.weight))}:"
    grouped = isinstance(term.query, Sum | Without)
    return joint + weight + (f"({_show(term.query)})" if grouped else _show(term.query, argument))


def _stands(shown: str, leaf: Leaf, argument: bool) -> bool:
    """Whether a leaf is read back from what is shown, among other parts."""
    if argument and "," in shown:
        return False
    try:
        read = _Parser(f"({shown} + x)", lambda name: False).query()
    except QueryError:
        return False
    return read == Sum((Term(1.0, leaf), Term(1.0, Text("x"))))


def _quoted(words: str) -> str:
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(value: float) -> str:
    """The shortest digits that are read back as the same number.

    >>> _number(2.0), _number(0.1), _number(-1e21)
    ('2', '0.1', '-1e+21')
    """
    return repr(value).removesuffix(".0")


# -- text to tree ----------------------------------------------------------------------------------------------------

DIGITS: Final = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
NUMBER: Final = re.compile(rf"[+-]?{DIGITS}")
WEIGHT: Final = re.compile(rf"({DIGITS}):")
STRING: Final = re.compile(r'"((?:[^"\\]|\\["\\]?)*+)"')
NAME: Final = re.compile(r"[\w.-]+")
UNQUOTED_NAME: Final = re.compile(r'[^,()"]+')
CALL: Final = re.compile(r"(toward|apply|without|exclude)\(")
MODIFIER: Final = re.compile(r"(without|exclude)\(")
PREFIX: Final = re.compile(r"(file|id):(?=[^\s,)])")
ID: Final = re.compile(r"[0-9]+")
SPACE: Final = re.compile(r"\s*")


def names_file(name: str) -> bool:
    """Whether there is a file of that name with a suffix that analogon reads."""
    return bool(modalities_of(name)) and os.path.isfile(os.path.expanduser(name))


def parse(expression: str, is_file: Callable[[str], bool] = names_file) -> Query:
    """Read an expression. ``is_file`` says whether a text that is not marked as a file is one all the same.

    Raises ``QueryError``, which says the column.

    >>> parse("rain - 0.5:traffic")
    Sum(terms=(Term(weight=1.0, query=Text(text='rain')), Term(weight=-0.5, query=Text(text='traffic'))))
    """
    whole = expression.strip()
    return File(whole) if is_file(whole) else _Parser(expression, is_file).query()


@dataclass(slots=True)
class _Level:
    """What a pair of parentheses, or the whole expression, holds: its terms, and what applies to their sum."""

    terms: list[Term]
    aways: list[tuple[int, Query]]
    excluded: list[tuple[int, Query, float]]


class _Parser:
    """Reads an expression from left to right. Positions are 0-based, columns 1-based."""

    def __init__(self, expression: str, is_file: Callable[[str], bool]) -> None:
        self._text, self._is_file = expression, is_file
        self._at = self._depth = 0
        self._closing: dict[int, int] = {}
        opened = []
        for position, character in enumerate(expression):
            if character == "(":
                opened.append(position)
            elif character == ")" and opened:
                self._closing[opened.pop()] = position

    def query(self) -> Query:
        if not self._text.strip():
            self._fail("the query is empty: write a text or name a file", 0)
        query = self._sum("")
        if self._at < len(self._text):
            self._astray()
        return query

    # Failing

    def _fail(self, reason: str, position: int) -> NoReturn:
        raise QueryError(reason, self._text, position + 1)

    @contextmanager
    def _blaming(self, position: int) -> Iterator[None]:
        """What a node refuses is an error at this position."""
        try:
            yield
        except UsageError as error:
            self._fail(str(error), position)

    def _astray(self) -> NoReturn:
        """Fail for what follows something that has ended."""
        here = self._text[self._at]
        if here == ")":
            self._fail("this parenthesis closes none", self._at)
        if here in "+-":
            self._fail(f"{here} wants white space on both sides", self._at)
        self._fail(
            "+ or - should come before this; to make it one text with what stands before it, quote all", self._at
        )

    # Pieces

    def _space(self) -> None:
        match = SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if match := pattern.match(self._text, self._at):
            self._at = match.end()
        return match

    def _accept(self, character: str) -> bool:
        self._space()
        found = self._text.startswith(character, self._at)
        self._at += found
        return found

    def _is_operator(self, position: int, stops: str) -> bool:
        """Whether a sign with white space before it has white space, or no more of this level, after it as well."""
        after = self._text[position + 1 : position + 2]
        return self._text[position] in "+-" and (not after or after.isspace() or after in stops)

    def _operator(self, stops: str) -> str:
        """The operator that comes next; empty where there is none."""
        spaced = self._at
        self._space()
        if spaced < self._at < len(self._text) and self._is_operator(self._at, stops):
            self._at += 1
            return self._text[self._at - 1]
        return ""

    def _sign(self) -> float:
        self._space()
        if self._text[self._at : self._at + 1] not in ("+", "-"):
            return 1.0
        self._at += 1
        return -1.0 if self._text[self._at - 1] == "-" else 1.0

    # Grammar

    def _sum(self, stops: str) -> Query:
        """Read a level up to one of the characters ``stops``, which is left, or the end."""
        start = self._at
        level = _Level([], [], [])
        factor = self._sign()
        while True:
            self._space()
            begins = self._at
            if self._modifier(level):
                if factor < 0:
                    self._fail("no minus can stand before without and exclude, which are no terms", begins)
            else:
                term = self._term(stops)
                level.terms.append(Term(factor * term.weight, term.query))
            ended = self._at
            while self._modifier(level):
                ended = self._at
            self._at = ended
            operator = self._operator(stops)
            if not operator:
                break
            factor = (-1.0 if operator == "-" else 1.0) * self._sign()
        if not level.terms:
            self._fail("there is nothing here that something could be taken away from", start)
        with self._blaming(start):
            query = _sum(level.terms)
        for position, away in level.aways:
            with self._blaming(position):
                query = Without(query, away)
        for position, centre, radius in level.excluded:
            with self._blaming(position):
                query = Exclude(query, centre, radius)
        return query

    def _term(self, stops: str) -> Term:
        start = self._at
        weight = 1.0
        if match := self._take(WEIGHT):
            weight = float(match[1])
            self._space()
        if self._text[self._at : self._at + 1] in ("+", "-") or (
            self._at > start and WEIGHT.match(self._text, self._at)
        ):
            self._fail("one sign and one weight, in this order, can stand before a part; quotes make a text", self._at)
        atom = self._atom(stops)
        with self._blaming(start):
            return Term(weight, atom)

    def _atom(self, stops: str) -> Query:
        start = self._at
        here = self._text[start : start + 1]
        if not here or here in stops:
            self._fail("a text, a file or a group should come here", start)
        if here == "(":
            self._at += 1
            return self._inside(start, ")")
        if here == '"':
            words = self._string()
            with self._blaming(start):
                return Text(words)
        if call := self._take(CALL):
            if call[1] == "toward":
                return self._toward(start)
            if call[1] == "apply":
                return self._apply(start)
            self._fail(f"no weight can stand before {call[1]}, which is no term", start)
        if prefix := self._take(PREFIX):
            return self._item(start) if prefix[1] == "id" else self._file(start, stops)
        words = self._words(stops)
        return File(words) if words.startswith(PATH_MARKS) or self._is_file(words) else Text(words)

    def _item(self, start: int) -> Item:
        digits = self._take(ID)
        if digits is None:
            self._fail("id: wants a whole number; quotes make a text of it", self._at)
        with self._blaming(start):
            return Item._of_digits(digits[0])

    def _file(self, start: int, stops: str) -> File:
        path = self._string() if self._text[self._at] == '"' else self._words(stops)
        with self._blaming(start):
            return File(path)

    def _string(self) -> str:
        match = self._take(STRING)
        if match is None:
            self._fail("this quote is not closed", self._at)
        return re.sub(r'\\(["\\])', r"\1", match[1])

    def _words(self, stops: str) -> str:
        """What stands here as it is, up to an operator, a modifier, one of ``stops`` or the end."""
        start = at = self._at
        while at < len(self._text) and self._text[at] not in stops:
            if self._text[at].isspace():
                after = SPACE.match(self._text, at)
                assert after is not None
                next_ = after.end()
                if next_ == len(self._text) or self._is_operator(next_, stops) or MODIFIER.match(self._text, next_):
                    break
                at = next_
            else:
                at = self._closing.get(at, at) + 1
        self._at = at
        return self._text[start:at]

    def _inside(self, opening: int, stops: str) -> Query:
        """A level within the parenthesis at ``opening``; with ``,`` among ``stops``, one of its arguments."""
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"more than {DEEPEST} parentheses within each other", opening)
        query = self._sum(stops)
        self._depth -= 1
        if "," not in stops:
            self._close(opening)
        return query

    def _close(self, opening: int) -> None:
        if not self._accept(")"):
            if self._at == len(self._text):
                self._fail("this parenthesis is not closed", opening)
            if self._text[self._at] == ",":
                self._fail("this is one argument too many; a text that holds a comma goes in quotes", self._at)
            self._astray()

    def _comma(self, usage: str) -> None:
        if not self._accept(","):
            if self._at < len(self._text) and self._text[self._at] != ")":
                self._astray()
            self._fail(f"an argument is missing: {usage}", self._at)

    def _number(self, what: str) -> float:
        self._space()
        start = self._at
        match = self._take(NUMBER)
        if match is None:
            self._fail(f"a number should come here, {what}", start)
        with self._blaming(start):
            return _finite(float(match[0]), what)

    def _toward(self, start: int) -> Query:
        opening, usage = self._at - 1, "toward(FROM, TO, SHARE)"
        begin = self._inside(opening, ",)")
        self._comma(usage)
        end = self._inside(opening, ",)")
        self._comma(usage)
        t = self._number("the share of the way")
        self._close(opening)
        with self._blaming(start):
            return Toward(begin, end, t)

    def _apply(self, start: int) -> Query:
        opening = self._at - 1
        self._space()
        named = self._at
        if self._text[named : named + 1] == '"':
            name = self._string()
        else:
            match = self._take(UNQUOTED_NAME)
            name = match[0].strip() if match else ""
        if not name.strip():
            self._fail("the name of a relation should come here", named)
        self._comma("apply(RELATION, QUERY, STRENGTH), the strength is 1 unless it is given")
        query = self._inside(opening, ",)")
        strength = self._number("the strength") if self._accept(",") else 1.0
        self._close(opening)
        with self._blaming(start):
            return Apply(name, query, strength)

    def _modifier(self, level: _Level) -> bool:
        """Read ``without(...)`` or ``exclude(...)`` where one comes next."""
        self._space()
        start = self._at
        match = self._take(MODIFIER)
        if match is None:
            return False
        opening = self._at - 1
        if match[1] == "without":
            level.aways.append((start, self._inside(opening, ",)")))
        else:
            if self._depth:
                self._fail("exclude filters the hits of the whole query: it stands outside of all parentheses", start)
            centre = self._inside(opening, ",)")
            self._comma("exclude(QUERY, RADIUS)")
            level.excluded.append((start, centre, self._number("the radius")))
        self._close(opening)
        return True


# -- JSON ------------------------------------------------------------------------------------------------------------

FORMS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    name: (frozenset({name, *needed}), frozenset(optional))
    for name, needed, optional in [
        ("text", (), ()),
        ("file", (), ()),
        ("weight", ("of",), ()),
        ("without", ("of",), ()),
        ("exclude", ("of", "radius"), ()),
        ("toward", ("from", "t"), ()),
        ("apply", ("of",), ("strength",)),
    ]
}
"""What an object in JSON is known by, with the keys that it must have and may have."""


def to_json(query: Query) -> Any:
    """A query as JSON has it: strings, numbers, lists and dicts, which ``from_json`` reads back as the same query.

    >>> to_json(parse("2:rain - ./traffic.wav"))
    {'rain': 2.0, './traffic.wav': -1.0}
    """
    match query:
        case Sum(terms):
            shown = [to_json(term.query) for term in terms]
            if all(isinstance(one, str) for one in shown) and len(set(shown)) == len(shown):
                return {one: term.weight for one, term in zip(shown, terms, strict=True)}
            return [_term_to_json(term) for term in terms]
        case Without(inner, away):
            return {"of": to_json(inner), "without": to_json(away)}
        case Toward(start, end, t):
            return {"from": to_json(start), "toward": to_json(end), "t": t}
        case Apply(name, inner, strength):
            return {"apply": name, "of": to_json(inner), "strength": strength}
        case Exclude(inner, centre, radius):
            return {"of": to_json(inner), "exclude": to_json(centre), "radius": radius}
        case Item(id):
            return f"id:{id}"
        case File(path):
            return path if path.startswith(PATH_MARKS) else {"file": path}
        case Text(words):
            bare = _leaf(words, lambda name: bool(modalities_of(name))) == query
            return words if bare else {"text": words}


def _term_to_json(term: Term) -> Any:
    """An element of a list."""
    shown = to_json(term.query)
    if term.weight != 1:
        return {shown: term.weight} if isinstance(shown, str) else {"of": shown, "weight": term.weight}
    # The terms of an object of weights would join the list's own.
    return [shown] if isinstance(term.query, Sum) and isinstance(shown, dict) else shown


def from_json(value: Any, is_file: Callable[[str], bool] = names_file) -> Query:
    """Read a query from what ``json.loads`` gives. Raises ``UsageError``, which names the place, such as ``$.of[1]``.

    >>> print(from_json({"from": "king", "toward": ["queen", {"rook": -0.5}], "t": 0.5}))
    toward(king, queen - 0.5:rook, 0.5)
    """
    return _FromJson(is_file).query(value, "$", 0)


def _leaf(words: str, is_file: Callable[[str], bool]) -> Leaf:
    """What a string stands for in JSON."""
    if words.startswith("id:") and ID.fullmatch(words, 3):
        return Item._of_digits(words[3:])
    return File(words) if words.startswith(PATH_MARKS) or is_file(words) else Text(words)


class _FromJson:
    def __init__(self, is_file: Callable[[str], bool]) -> None:
        self._is_file = is_file

    def _fail(self, reason: str, place: str) -> NoReturn:
        raise _JsonError(f"query, at {place}: {reason}")

    @contextmanager
    def _blaming(self, place: str) -> Iterator[None]:
        """What a node refuses is an error at this place."""
        try:
            yield
        except _JsonError:
            raise
        except UsageError as error:
            self._fail(str(error), place)

    def query(self, value: Any, place: str, depth: int) -> Query:
        if depth > DEEPEST:
            self._fail(f"more than {DEEPEST} parts within each other", place)
        with self._blaming(place):
            match value:
                case str():
                    return _leaf(value, self._is_file)
                case Mapping():
                    terms = self._weights(value, place)
                    return _sum(terms) if terms else self._node(value, place, depth)
                case list() | tuple():
                    if not value:
                        self._fail("an empty list asks for nothing", place)
                    return _sum([t for i, one in enumerate(value) for t in self._terms(one, f"{place}[{i}]", depth)])
        self._fail(f"a query is a string, an object or a list, not {_shortly(value)}", place)

    def _terms(self, value: Any, place: str, depth: int) -> list[Term]:
        """What an element of a list adds to the sum."""
        if isinstance(value, Mapping):
            if terms := self._weights(value, place):
                return terms
            if "weight" in value:
                return [self._weighted(value, place, depth)]
        return [Term(1.0, self.query(value, place, depth + 1))]

    def _weights(self, value: Mapping[Any, Any], place: str) -> list[Term]:
        """The terms of an object of weights; none where it is something else."""
        if not all(_is_number(one) for one in value.values()):
            return []
        terms = []
        for key, weight in value.items():
            here = self._child(place, key)
            with self._blaming(here):
                terms.append(Term(weight, _leaf(key, self._is_file)))
        return terms

    def _weighted(self, value: Mapping[Any, Any], place: str, depth: int) -> Term:
        self._keys("weight", value, place)
        query = self.query(value["of"], f"{place}.of", depth + 1)
        with self._blaming(f"{place}.weight"):
            return Term(self._number(value["weight"], f"{place}.weight"), query)

    def _node(self, value: Mapping[Any, Any], place: str, depth: int) -> Query:
        if not value:
            self._fail("an empty object asks for nothing", place)
        kind = next((name for name in FORMS if name in value), "")

        def part(key: str) -> Query:
            return self.query(value[key], f"{place}.{key}", depth + 1)

        def number(key: str) -> float:
            return self._number(value[key], f"{place}.{key}")

        def string(key: str) -> str:
            if not isinstance(value[key], str):
                self._fail(f"a string should stand here, not {_shortly(value[key])}", f"{place}.{key}")
            return str(value[key])

        if not kind:
            key = next(key for key, one in value.items() if not _is_number(one))
            self._fail(
                f"a weight is a number, not {_shortly(value[key])}; other objects have one of the keys "
                + ", ".join(FORMS),
                self._child(place, key),
            )
        self._keys(kind, value, place)
        match kind:
            case "text":
                return Text(string("text"))
            case "file":
                return File(string("file"))
            case "weight":
                return _sum([self._weighted(value, place, depth)])
            case "without":
                return Without(part("of"), part("without"))
            case "exclude":
                return Exclude(part("of"), part("exclude"), number("radius"))
            case "toward":
                return Toward(part("from"), part("toward"), number("t"))
            case _:
                return Apply(string("apply"), part("of"), number("strength") if "strength" in value else 1.0)

    def _keys(self, kind: str, value: Mapping[Any, Any], place: str) -> None:
        needed, optional = FORMS[kind]
        for key in sorted(needed - value.keys()):
            self._fail(f"an object with {kind!r} has {key!r} as well", place)
        for key in value:
            if key not in needed | optional:
                self._fail(f"an object with {kind!r} has no {_shortly(key)}", self._child(place, key))

    def _number(self, value: Any, place: str) -> float:
        if not _is_number(value):
            self._fail(f"a number should stand here, not {_shortly(value)}", place)
        with self._blaming(place):
            return _finite(value, "this")

    def _child(self, place: str, key: Any) -> str:
        if not isinstance(key, str):
            self._fail(f"a key is a string, not {_shortly(key)}", place)
        return f"{place}.{key}" if key.isidentifier() else f"{place}[{_shortly(key)}]"


class _JsonError(UsageError):
    """Names its place already."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shortly(value: Any) -> str:
    """A value of JSON in at most 60 characters of one line.

    >>> _shortly(None), len(_shortly("ab" * 100))
    ('null', 60)
    """
    shown = json.dumps(value, default=repr, ensure_ascii=True)
    return shown if len(shown) <= 60 else shown[:57] + "..."
