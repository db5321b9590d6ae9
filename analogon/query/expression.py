"""Text to tree and tree to text: expressions, read and printed. ``analogon.query`` opens with their grammar."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

from analogon.query.tree import (
    DEEPEST,
    Apply,
    Exclude,
    File,
    Item,
    Leaf,
    Operators,
    Query,
    Sum,
    Term,
    Text,
    Toward,
    Vector,
    Without,
    finite,
    number_text,
    summed,
)
from embed.errors import QueryError, UsageError
from embed.media import modalities_of

__all__ = ["expression_of", "names_file", "parse"]

PATH_MARKS: Final = ("./", "../", "/", "~/")
# Possessive, or a book of digits would be looked at once for each of its digits.
DIGITS: Final = r"(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
MINUSES: Final = "-\N{EN DASH}\N{MINUS SIGN}"
"""What stands for a minus: on many keyboards, and in all that a word processor corrects, it is no hyphen."""
SIGNS: Final = "+" + MINUSES
NUMBER: Final = re.compile(rf"([+{MINUSES[1:]}-])?({DIGITS})")
WEIGHT: Final = re.compile(rf"({DIGITS}):")
STRING: Final = re.compile(r'"((?:[^"\\]|\\["\\]?)*+)"')
NAME: Final = re.compile(r"[\w.-]+")
UNQUOTED_NAME: Final = re.compile(r'[^,()"]+')
CALL: Final = re.compile(r"(toward|apply|without|exclude)\(")
MODIFIER: Final = re.compile(r"(without|exclude)\(")
PREFIX: Final = re.compile(r"(file|id):(?=[^\s,)])")
ID: Final = re.compile(r"[0-9]+")
SPACE: Final = re.compile(r"\s*")


# -- tree to text ----------------------------------------------------------------------------------------------------


def expression_of(query: Query, argument: bool = False) -> str:
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
        case Vector():
            return f"vector({len(query.array)} numbers)"  # which nothing reads back: it would be a page long
        case Sum(terms):
            return "".join(_term_text(term, argument, first=not number) for number, term in enumerate(terms))
        case Without(inner, away):
            return f"{expression_of(inner, argument)} without({expression_of(away, True)})"
        case Toward(start, end, t):
            return f"toward({expression_of(start, True)}, {expression_of(end, True)}, {number_text(t)})"
        case Apply(name, inner, strength):
            shown_name = name if NAME.fullmatch(name) else _quoted(name)
            shown_strength = "" if strength == 1 else f", {number_text(strength)}"
            return f"apply({shown_name}, {expression_of(inner, True)}{shown_strength})"
        case Exclude(inner, centre, radius):
            return f"{expression_of(inner, argument)} exclude({expression_of(centre, True)}, {number_text(radius)})"


def _term_text(term: Term, argument: bool, first: bool) -> str:
    sign = "-" if term.weight < 0 else "+"
    joint = sign.replace("+", "") if first else f" {sign} "
    weight = "" if abs(term.weight) == 1 else f"{number_text(abs(term.weight))}:"
    grouped = isinstance(term.query, Sum | Without)
    return joint + weight + (f"({expression_of(term.query)})" if grouped else expression_of(term.query, argument))


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


Operators.expression = staticmethod(expression_of)


# -- text to tree ----------------------------------------------------------------------------------------------------


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
        if here in SIGNS:
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
        return self._text[position] in SIGNS and (not after or after.isspace() or after in stops)

    def _operator(self, stops: str) -> str:
        """The operator that comes next; empty where there is none."""
        spaced = self._at
        self._space()
        if spaced < self._at < len(self._text) and self._is_operator(self._at, stops):
            self._at += 1
            return "+" if self._text[self._at - 1] == "+" else "-"
        return ""

    def _sign(self) -> float:
        self._space()
        if self._text[self._at : self._at + 1] not in tuple(SIGNS):
            return 1.0
        self._at += 1
        return 1.0 if self._text[self._at - 1] == "+" else -1.0

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
            query = summed(level.terms)
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
        if self._text[self._at : self._at + 1] in tuple(SIGNS) or (
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
            return Item.of_digits(digits[0])

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
            return finite(float(match[2]) * (-1.0 if match[1] and match[1] in MINUSES else 1.0), what)

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
