"""The filter language: ``category = 'drum' and duration < 2s`` becomes parameterised SQL, never pasted.

::

    expression  = all ("or" all)*                    all = factor ("and" factor)*
    factor      = "not" factor | "(" expression ")" | test
    test        = field ("=" | "!=" | "<" | "<=" | ">" | ">=") value
                | field ["not"] "in" "(" value ("," value)* ")"
                | field ["not"] "between" value "and" value
                | field ["not"] ("like" | "contains" | "starts with" | "ends with") text
                | field "is" ["not"] "null"
    field       = name | "any name, with "" for a double quote"
    value       = 'text, with '' for a single quote' | number [unit] | 1:30 | true | false

``==`` and ``<>`` are read as ``=`` and ``!=``; words of the language may be written in capitals.
Units make seconds (``ms s min h``, and ``1:30`` is 90), bytes (``B kB MB GB TB`` of 1000, ``KiB MiB GiB TiB`` of 1024)
and hertz (``Hz kHz``); ``k M G T`` are thousands, millions and so on.

What the tests mean, in SQL and in ``evaluate`` alike:

- A test of a field that is missing, or that holds a number where the value is a text (or the other way round), is
  neither true nor false, and ``not`` leaves it so: such rows are found by ``is null`` only, or by another test.
- true and false are the numbers 1 and 0.
- ``= < in between`` compare texts exactly, by code points. ``like contains starts ends`` ignore case, in any script,
  and how accents are composed. In ``like``, ``%`` is any text, ``_`` any one character, and a backslash before them
  makes them themselves.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, NoReturn, TypeAlias

from embed.errors import FilterError

__all__ = [
    "And",
    "Between",
    "Comparison",
    "Condition",
    "Expression",
    "In",
    "IsNull",
    "Match",
    "Not",
    "Or",
    "Test",
    "compile",
    "evaluate",
    "fields",
    "fold",
    "install",
    "json_path",
    "parse",
    "truth",
]

Value: TypeAlias = str | int | float
Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]
Manner: TypeAlias = Literal["like", "contains", "starts with", "ends with"]

MOST_VALUES: Final = 5000  # SQLite takes 32,766 parameters, and a test binds its field up to three times
DEEPEST: Final = 15  # parentheses and "not" within each other
DEEPEST_SQL: Final = 28  # SQLite's parser keeps up to 100 symbols, of which a parenthesis takes up to three
RESERVED: Final = frozenset({"and", "or", "not", "in", "is", "between", "like", "null", "true", "false"})
UNITS: Final = {"ms": Decimal("0.001"), "s": Decimal(1), "sec": Decimal(1), "min": Decimal(60), "h": Decimal(3600)} | {
    "B": Decimal(1), "Hz": Decimal(1), "kHz": Decimal(1000), "K": Decimal(1000), "KB": Decimal(1000),
    **{prefix + ending: Decimal(1000) ** power for power, prefix in enumerate("kMGT", 1) for ending in ("", "B")},
    **{prefix + "iB": Decimal(1024) ** power for power, prefix in enumerate("KMGT", 1)},
}  # fmt: skip
SPELLED: Final = {unit.lower(): unit for unit in UNITS if len(unit) > 1 and unit != "ms"} | {
    **dict.fromkeys(("seconds", "second", "secs"), "s"),
    **dict.fromkeys(("minutes", "minute", "mins"), "min"),
    **dict.fromkeys(("hours", "hour", "hr", "hrs"), "h"),
}
"""Other spellings of units; one letter alone, and ms, mean another thing in capitals."""


# -- the tree --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``."""

    field: str
    operator: Operator
    value: Value

    def __str__(self) -> str:
        return f"{_name(self.field)} {self.operator} {_literal(self.value)}"


@dataclass(frozen=True, slots=True)
class In:
    """``field in (values)``: equal to one of them."""

    field: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{_name(self.field)} in ({', '.join(map(_literal, self.values))})"


@dataclass(frozen=True, slots=True)
class Between:
    """``field between low and high``, both included, of one type."""

    field: str
    low: Value
    high: Value

    def __str__(self) -> str:
        return f"{_name(self.field)} between {_literal(self.low)} and {_literal(self.high)}"


@dataclass(frozen=True, slots=True)
class Match:
    """``field like 'text'`` and its kin, which ignore case."""

    field: str
    manner: Manner
    text: str

    def __str__(self) -> str:
        return f"{_name(self.field)} {self.manner} {_literal(self.text)}"


@dataclass(frozen=True, slots=True)
class IsNull:
    """``field is null``: the field is missing."""

    field: str

    def __str__(self) -> str:
        return f"{_name(self.field)} is null"


@dataclass(frozen=True, slots=True)
class Not:
    """``not (term)``."""

    term: Expression

    def __str__(self) -> str:
        return f"not ({self.term})"


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more terms."""

    terms: tuple[Expression, ...]

    def __str__(self) -> str:
        return " and ".join(f"({term})" for term in self.terms)


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more terms."""

    terms: tuple[Expression, ...]

    def __str__(self) -> str:
        return " or ".join(f"({term})" for term in self.terms)


Test: TypeAlias = Comparison | In | Between | Match | IsNull
Expression: TypeAlias = Test | Not | And | Or


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Value) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def fields(expression: Expression) -> set[str]:
    """The names of all fields that an expression tests.

    >>> sorted(fields(parse("duration < 2 and not category = 'drum'")))
    ['category', 'duration']
    """
    match expression:
        case And(terms) | Or(terms):
            return set().union(*map(fields, terms))
        case Not(term):
            return fields(term)
        case _:
            return {expression.field}


# -- text to tree ----------------------------------------------------------------------------------------------------


def parse(text: str, known: Collection[str] | None = None, numbers: Collection[str] = ()) -> Expression:
    """Read a filter. ``known`` names the fields that there are; without it any name is taken. A number in quotes is
    refused where it is compared with one of the fields that are ``numbers``.

    Raises ``FilterError``, which says the column, and how to write what was probably meant.

    >>> print(parse("duration<2s AND NOT label in ('a', 'b')"))
    ("duration" < 2) and (not ("label" in ('a', 'b')))
    """
    return _Parser(text, known, numbers).all()


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of an expression: what it is, what was written, its value, and its 1-based column."""

    kind: Literal["text", "quoted name", "number", "word", "sign", "end"]
    written: str
    column: int
    value: Value = field(default="")

    @property
    def word(self) -> str:
        return self.written.lower() if self.kind == "word" else ""

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else self.written


TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*') | (?P<name>"(?:[^"]|"")*")
      | (?P<clock>\d+(?::\d{2}){1,2}(?:\.\d+)?(?![\w:.]))
      | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?:[ \t]*(?P<unit>[^\W\d_]+\b))?
      | (?P<word>[^\W\d]\w*) | (?P<sign><=|>=|<>|!=|==|[=<>(),])
    )""",
    re.VERBOSE | re.IGNORECASE,
)
SPACE: Final = re.compile(r"\s*")
BARE: Final = re.compile(r"[^\s'\"(),=<>]+")
"""A text that somebody wrote without quotes, up to a blank or a sign."""
LAST_BARE: Final = re.compile(BARE.pattern + r"\Z")
VALUE_NEXT: Final = re.compile(r"(?:[=<>]|\b(?:like|contains|with|between))\s*\Z", re.IGNORECASE)
LOOKS_NUMERIC: Final = re.compile(r"\s*[+-]?\d[\d.]*(?:(?::\d{2}){1,2}(?:\.\d+)?|\s*[^\W\d_]*)\s*")


class _Parser:
    def __init__(self, text: str, known: Collection[str] | None, numbers: Collection[str]) -> None:
        self._text, self._known, self._numbers = text, known, numbers
        self._depth = self._values = 0
        for column, character in enumerate(text, 1):
            if character == "\0" or "\ud800" <= character <= "\udfff":
                self._fail("a character that no text holds", column)
        self._tokens = list(self._tokenise())
        self._next = 0

    def _fail(self, reason: str, column: int) -> NoReturn:
        raise FilterError(reason, self._text, column)

    # Tokens

    def _tokenise(self) -> Iterator[_Token]:
        position = 0
        while True:
            start = _end(SPACE.match(self._text, position))
            column = start + 1
            if start == len(self._text):
                yield _Token("end", "", column)
                return
            match = TOKEN.match(self._text, start)
            if match is None:
                self._unreadable(start)
            position = match.end()
            if written := match["text"]:
                yield _Token("text", written, column, written[1:-1].replace("''", "'"))
            elif written := match["name"]:
                yield _Token("quoted name", written, column, written[1:-1].replace('""', '"'))
            elif written := match["clock"]:
                yield _Token("number", written, column, self._clock(written, column))
            elif written := match["number"]:
                unit = match["unit"]
                if unit and unit.lower() in RESERVED:
                    unit, position = None, match.end("number")
                yield _Token("number", self._text[start:position], column, self._number(written, unit, column))
            elif written := match["word"]:
                yield _Token("word", written, column)
            else:
                yield _Token("sign", {"==": "=", "<>": "!="}.get(match["sign"], match["sign"]), column)

    def _unreadable(self, start: int) -> NoReturn:
        character = self._text[start]
        before = LAST_BARE.search(self._text, 0, start)
        bare = start if before is None else before.start()
        if VALUE_NEXT.search(self._text, 0, bare) and not self._text[bare].isdigit() and self._text[bare] not in "'\"":
            self._no_value(bare + 1)
        if character == "'":
            self._fail("a text without its closing quote (a quote within a text is written twice: 'it''s')", start + 1)
        if character == '"':
            self._fail("a field name without its closing double quote", start + 1)
        hint = '; a name with such characters goes in double quotes: "a.b"' if character in ".-/:$@#[]" else ""
        self._fail(f"cannot read {character!r}{hint}", start + 1)

    def _clock(self, written: str, column: int) -> Value:
        *larger, seconds = map(Decimal, written.split(":"))
        if seconds >= 60 or any(minutes >= 60 for minutes in larger[1:]):
            self._fail(f"{written} is no time: minutes:seconds, the seconds below 60", column)
        for power, part in enumerate(reversed(larger), 1):
            seconds += part * 60**power
        return self._plain(seconds, column)

    def _number(self, written: str, unit: str | None, column: int) -> Value:
        unit = unit and (unit if unit in UNITS else SPELLED.get(unit.lower(), unit))
        if unit is not None and unit not in UNITS:
            self._fail(f"{unit!r} is no unit; units are {' '.join(UNITS)}", column)
        if re.search(r"e[+-]?0*[1-9]\d{3}", written, re.IGNORECASE):
            self._fail(f"{written} is beyond what numbers can hold", column)
        number = Decimal(written)
        return self._plain(number * UNITS[unit or "B"], column)

    def _plain(self, number: Decimal, column: int) -> Value:
        """A whole number as int where SQLite has it as an integer, else the nearest float."""
        if number == number.to_integral_value() and abs(number) < 2**63:
            return int(number)
        value = float(number)
        if abs(value) == float("inf"):
            self._fail(f"{number} is beyond what numbers can hold", column)
        return value

    # Grammar

    def all(self) -> Expression:
        if self._peek.kind == "end":
            self._fail("an empty filter; write for example: duration < 2", 1)
        expression = self._expression()
        rest = self._peek
        if rest.kind != "end":
            self._fail(f"'and' or 'or' should come before {rest}", rest.column)
        return expression

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _accept(self, *written: str) -> _Token | None:
        """The next token where it is one of these words or signs."""
        token = self._peek
        if (token.word or (token.written if token.kind == "sign" else None)) in written:
            return self._take()
        return None

    def _expect(self, written: str, why: str) -> None:
        if not self._accept(written):
            self._fail(f"{written!r} should come {why}, not {self._peek}", self._peek.column)

    def _expression(self) -> Expression:
        terms = [self._conjunction()]
        while self._accept("or"):
            terms.append(self._conjunction())
        return Or(tuple(terms)) if len(terms) > 1 else terms[0]

    def _conjunction(self) -> Expression:
        terms = [self._factor()]
        while self._accept("and"):
            terms.append(self._factor())
        return And(tuple(terms)) if len(terms) > 1 else terms[0]

    def _factor(self) -> Expression:
        opening = self._accept("not", "(")
        if opening is None:
            return self._test()
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"more than {DEEPEST} parentheses and 'not' within each other", opening.column)
        if opening.word == "not":
            inner: Expression = Not(self._factor())
        else:
            inner = self._expression()
            self._expect(")", f"to close the parenthesis at column {opening.column}")
        self._depth -= 1
        return inner

    def _test(self) -> Expression:
        name = self._field()
        if self._accept("is"):
            negated = self._accept("not")
            self._expect("null", "after 'is'")
            return Not(IsNull(name)) if negated else IsNull(name)
        if sign := self._accept("=", "!=", "<", "<=", ">", ">="):
            return Comparison(name, sign.written, self._compared(name))  # type: ignore[arg-type]
        negated = self._accept("not")
        test = self._worded_test(name)
        return Not(test) if negated else test

    def _worded_test(self, name: str) -> Expression:
        if self._accept("in"):
            self._expect("(", "after 'in'")
            values = [self._compared(name)]
            while self._accept(","):
                values.append(self._compared(name))
            self._expect(")", "after the values of 'in'")
            return In(name, tuple(values))
        if self._accept("between"):
            low = self._compared(name)
            self._expect("and", "between the two values of 'between'")
            column = self._peek.column
            high = self._compared(name)
            if isinstance(low, str) != isinstance(high, str):
                self._fail("'between' wants two numbers or two texts", column)
            return Between(name, low, high)
        token = self._accept("like", "contains", "starts", "ends")
        if token is None:
            self._fail(
                f"after a field a comparison is expected (= != < <= > >= in between like contains 'starts with' "
                f"'ends with' 'is null'), not {self._peek}",
                self._peek.column,
            )
        manner: Any = token.word
        if manner in ("starts", "ends"):
            self._expect("with", f"after {manner!r}")
            manner += " with"
        column = self._peek.column
        text = self._value(name)
        if not isinstance(text, str):
            self._fail(f"{manner!r} wants a text in single quotes", column)
        if manner == "like" and re.fullmatch(r"(?:[^\\]|\\.)*", text, re.DOTALL) is None:
            self._fail("a backslash ends the pattern; write two for a backslash itself", column)
        return Match(name, manner, text)

    def _field(self) -> str:
        token = self._take()
        if token.kind == "quoted name":
            name = str(token.value)
        elif token.kind == "word" and token.word not in RESERVED:
            name = token.written
        else:
            hint = f'; a field of that name goes in double quotes: "{token}"' if token.kind == "word" else ""
            self._fail(f"a field's name should stand here, not {token}{hint}", token.column)
        if self._known is not None and name not in self._known:
            close = difflib.get_close_matches(name, sorted(self._known), n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(self._known))}"
            self._fail(f"there is no field {name!r}; {hint}", token.column)
        return name

    def _compared(self, name: str) -> Value:
        column, value = self._peek.column, self._value(name)
        if isinstance(value, str) and name in self._numbers and LOOKS_NUMERIC.fullmatch(value):
            self._fail(f"{name} is a number, and quotes make a text: write {value.strip()}", column)
        return value

    def _value(self, name: str) -> Value:
        token = self._take()
        self._values += 1
        if self._values > MOST_VALUES:
            self._fail(f"more than {MOST_VALUES:,} values", token.column)
        if token.kind in ("text", "number"):
            return token.value
        if token.word in ("true", "false"):
            return int(token.word == "true")
        if token.word == "null":
            self._fail(f"nothing equals null; write: {name} is null", token.column)
        if token.kind == "quoted name":
            self._fail(
                f"double quotes are for field names; a text goes in single ones: {_literal(token.value)}", token.column
            )
        if token.kind == "word":
            self._no_value(token.column)
        self._fail(f"a value should stand here, not {token}", token.column)

    def _no_value(self, column: int) -> NoReturn:
        """A text without quotes stands where a value should."""
        found = BARE.match(self._text, column - 1)
        written = found[0] if found else self._text[column - 1]
        self._fail(
            f"a value should stand here, not {written}; a text goes in single quotes: {_literal(written)}", column
        )


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0


# -- tree to SQL -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """An SQL expression and the parameters for its question marks, in their order. ``install`` what it calls first."""

    sql: str
    parameters: list[object]


def compile(expression: Expression, column_of: Callable[[str], tuple[str, list[object]]]) -> Condition:
    """An expression as SQL; ``column_of`` gives a field's SQL and the parameters that it binds itself.

    The connection that runs it must have been given to ``install``. Nothing of the expression but question marks
    goes into the SQL. Raises ``FilterError`` for one so large and deep that SQLite would not take it.

    >>> compile(parse("duration < 2"), lambda name: ("json_extract(facts, ?)", [json_path(name)])).parameters
    ['$."duration"', '$."duration"', 2]
    """
    condition = _compile(expression, column_of)
    depth = deepest = 0
    for character in condition.sql:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    if deepest > DEEPEST_SQL:
        raise FilterError("too many tests nested too deeply", str(expression), 1)
    return condition


def _compile(expression: Expression, column_of: Callable[[str], tuple[str, list[object]]]) -> Condition:
    match expression:
        case And(terms):
            return _joined("AND", [_compile(term, column_of) for term in terms])
        case Or(terms):
            return _joined("OR", [_compile(term, column_of) for term in terms])
        case Not(term):
            inner = _compile(term, column_of)
            return Condition(f"(NOT {inner.sql})", inner.parameters)
        case IsNull(name):
            sql, bound = column_of(name)
            return Condition(f"(({sql}) IS NULL)", list(bound))
        case In(name, values):
            texts, numbers = [v for v in values if isinstance(v, str)], [v for v in values if not isinstance(v, str)]
            # One of a text's and a number's test is NULL, whatever the column holds: the other one decides.
            tests = [_typed(column_of(name), f"IN ({', '.join('?' * len(v))})", v) for v in (texts, numbers) if v]
            sql = f"coalesce({', '.join(test.sql for test in tests)})" if len(tests) > 1 else tests[0].sql
            return Condition(sql, [parameter for test in tests for parameter in test.parameters])
        case Between(name, low, high):
            return _typed(column_of(name), "BETWEEN ? AND ?", [low, high])
        case Comparison(name, operator, value):
            return _typed(column_of(name), f"{operator} ?", [value])
        case Match(name, manner, text):
            return _matching(column_of(name), manner, fold(text))


def _typed(column: tuple[str, list[object]], test: str, values: Sequence[Value]) -> Condition:
    """A test that is NULL unless the column's value is of the values' type: SQLite would order texts above numbers.

    The plus takes a table column's affinity off, by which SQLite would turn texts into numbers; BINARY its collation.
    """
    sql, bound = column
    types = "('text')" if isinstance(values[0], str) else "('integer', 'real')"
    case = f"(CASE WHEN typeof({sql}) IN {types} THEN +({sql}) COLLATE BINARY {test} END)"
    return Condition(case, [*bound, *bound, *values])


def _matching(column: tuple[str, list[object]], manner: Manner, text: str) -> Condition:
    sql, bound = column
    folded = f"fold({sql})"
    tests: dict[Manner, tuple[str, list[object]]] = {
        "like": (f"{folded} LIKE ? ESCAPE '\\'", [text]),
        "contains": (f"instr({folded}, ?) > 0", [text]),
        "starts with": (f"substr({folded}, 1, ?) = ?", [len(text), text]),
        "ends with": (f"substr({folded}, -?) = ?", [len(text), text]) if text else (f"{folded} = {folded}", [*bound]),
    }
    test, values = tests[manner]
    return Condition(f"(CASE WHEN typeof({sql}) = 'text' THEN {test} END)", [*bound, *bound, *values])


def _joined(operator: str, parts: Sequence[Condition]) -> Condition:
    """The parts in balanced parentheses: SQLite takes no expression deeper than 1,000."""
    if len(parts) == 1:
        return parts[0]
    left, right = _joined(operator, parts[: len(parts) // 2]), _joined(operator, parts[len(parts) // 2 :])
    return Condition(f"({left.sql} {operator} {right.sql})", left.parameters + right.parameters)


def fold(text: str) -> str:
    """What ``like`` and its kin compare: without case, and with accents composed.

    >>> fold("E\u0301lan") == fold("\xe9LAN")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def install(connection: sqlite3.Connection) -> None:
    """Give a connection the function that ``like``, ``contains``, ``starts with`` and ``ends with`` call."""
    connection.create_function("fold", 1, fold, deterministic=True)


def json_path(name: str) -> str:
    """The path of an object's member in SQLite's JSON functions; the JSON should hold its keys as they are, unescaped.

    Raises ``FilterError`` for a name that no such path can express: SQLite reads a path's label as it stands in the
    JSON, where a quote, a backslash or a control character is an escape sequence, and versions differ in how.

    >>> json_path("a.b [c]")
    '$."a.b [c]"'
    """
    for column, character in enumerate(name, 1):
        if character in '"\\' or character < " ":
            raise FilterError(f"a field's name cannot hold {character!r}; rename the field", name, column)
    return f'$."{name}"'


# -- the oracle ------------------------------------------------------------------------------------------------------


def evaluate(expression: Expression, row: Mapping[str, Any]) -> bool:
    """Whether a row of texts, numbers, booleans and None fulfils an expression: what the SQL means, in plain Python.

    >>> evaluate(parse("duration < 2"), {"duration": 1.5}), evaluate(parse("not duration < 2"), {"duration": "long"})
    (True, False)
    """
    return truth(expression, row) is True


def truth(expression: Expression, row: Mapping[str, Any]) -> bool | None:
    """As ``evaluate``; None where it is neither true nor false."""
    match expression:
        case And(terms) | Or(terms):
            decisive = isinstance(expression, Or)
            truths = [truth(term, row) for term in terms]
            return decisive if decisive in truths else None if None in truths else not decisive
        case Not(term):
            inner = truth(term, row)
            return None if inner is None else not inner
        case IsNull(name):
            return row.get(name) is None
        case In(name, values):
            equal = [truth(Comparison(name, "=", value), row) for value in values]
            return True if True in equal else False if False in equal else None
        case Between(name, low, high):
            return truth(And((Comparison(name, ">=", low), Comparison(name, "<=", high))), row)
        case Comparison(name, operator, value):
            held = row.get(name)
            if held is None or isinstance(held, str) != isinstance(value, str):
                return None
            return bool(COMPARE[operator](held, value))
        case Match(name, manner, text):
            held = row.get(name)
            return _matches(fold(held), manner, fold(text)) if isinstance(held, str) else None


COMPARE: Final[Mapping[Operator, Callable[[Any, Any], object]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _matches(held: str, manner: Manner, text: str) -> bool:
    if manner == "contains":
        return text in held
    if manner != "like":
        return held.startswith(text) if manner == "starts with" else held.endswith(text)
    wild = {"%": ".*", "_": "."}
    pieces = re.findall(r"\\.|[^\\]", text, re.DOTALL)
    pattern = "".join(wild.get(piece) or re.escape(piece[-1]) for piece in pieces)
    return re.fullmatch(pattern, held, re.DOTALL) is not None
