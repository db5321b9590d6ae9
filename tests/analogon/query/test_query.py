"""Expressions: what is text and what is syntax, printed and read back, and folded as numpy says by hand."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogon.query import (
    Apply,
    Exclude,
    File,
    Item,
    Leaf,
    Query,
    Sum,
    Term,
    Text,
    Toward,
    Without,
    apply,
    excludes,
    file,
    fold,
    from_json,
    is_plain,
    item,
    leaves,
    parse,
    relations,
    text,
    to_json,
    toward,
    without_excludes,
)
from embed.errors import QueryError, UsageError

A, B, C, D = text("a"), text("b"), text("c"), text("d")


def summed(*terms: tuple[float, Query]) -> Sum:
    return Sum(tuple(Term(weight, query) for weight, query in terms))


# -- what is text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        "rain on a tin roof, no traffic",
        "lo-fi hip-hop",
        "C++",
        "drum (dry)",
        "rock & roll",
        "what's this?",
        "AC/DC",
        "smile :)",
        "a) first, b) second",
        "rain -traffic",
        "rain -- wind",
        "half (one - two) open",
        "music without (drums)",
        "music without drums",
        "music toward(dawn)",
        "withoutdoors",
        "5 apples",
        "2 : 1",
        "nan:x",
        "file: the musical",
        "to be, or not to be: 2:1",
        'a 12" single',
        "a\nsecond\x00 line\x1b",
        "\ud83d lone",
        "雨と雷",
    ],
)
def test_a_plain_text_is_a_text(typed: str) -> None:
    assert parse(typed) == Text(typed)
    assert parse(f"  {typed} ") == Text(typed)


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("rain - traffic", summed((1, text("rain")), (-1, text("traffic")))),
        ("2:rain + ./roof.wav - 0.5:traffic", text("rain") * 2 + file("./roof.wav") - text("traffic") / 2),
        ("-traffic", summed((-1, text("traffic")))),
        ("- 2:a - -b", summed((-2, A), (1, B))),
        ("+a", A),
        ("a\t+\nb", summed((1, A), (1, B))),
        ("lo-fi - hi-fi", summed((1, text("lo-fi")), (-1, text("hi-fi")))),
        ("1e1: a", summed((10, A))),
        (".5:a + 2.:b", summed((0.5, A), (2, B))),
        ("10:30 in the morning", summed((10, text("30 in the morning")))),
        ('"10:30 in the morning"', text("10:30 in the morning")),
        (r'"say \"hi\" - C:\\x\y"', text('say "hi" - C:\\x\\y')),
        ("((a))", A),
        ("(a + b) + c", summed((1, summed((1, A), (1, B))), (1, C))),
        ("2:(a + b) - (c)", summed((2, summed((1, A), (1, B))), (-1, C))),
        ("-(-a)", summed((-1, summed((-1, A))))),
        ("sad :( + happy", summed((1, text("sad :(")), (1, text("happy")))),
        ("a without(b)", Without(A, B)),
        ("a without(c) + b", Without(summed((1, A), (1, B)), C)),
        ("a + without(c) + b", Without(summed((1, A), (1, B)), C)),
        ("without(c) + a", Without(A, C)),
        ("(a without(c)) + b", summed((1, Without(A, C)), (1, B))),
        ("a without(b without(c)) without(d)", Without(Without(A, Without(B, C)), D)),
        ("drum (dry) without(c)", Without(text("drum (dry)"), C)),
        ("toward(a, b - c, 0.3)", Toward(A, summed((1, B), (-1, C)), 0.3)),
        ("toward(a (b, c), (b, c), -2)", Toward(text("a (b, c)"), text("b, c"), -2)),
        ('toward("b, c",a,1)', Toward(text("b, c"), A, 1)),
        ("apply(male-female, a)", Apply("male-female", A)),
        ("apply( dry to wet , a + b, 0.5) - c", summed((1, Apply("dry to wet", summed((1, A), (1, B)), 0.5)), (-1, C))),
        ('apply("x, y", a, -1)', Apply("x, y", A, -1)),
        ("a exclude(b, 0.3) + c exclude(d, 2)", Exclude(Exclude(summed((1, A), (1, C)), B, 0.3), D, 2)),
        ("a exclude(b, 0.3) without(c)", Exclude(Without(A, C), B, 0.3)),
        ("id:7 - id:0012", summed((1, Item(7)), (-1, Item(12)))),
        ("./a b.wav", File("./a b.wav")),
        ("../a.wav + /b + ~/c.png", summed((1, File("../a.wav")), (1, File("/b")), (1, File("~/c.png")))),
        ('file:roof.wav - file:"./a - b.wav"', summed((1, File("roof.wav")), (-1, File("./a - b.wav")))),
    ],
)
def test_syntax(typed: str, query: Query) -> None:
    assert parse(typed) == query
    assert parse(str(query)) == query


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (summed((1, A), (-1, B), (0.5, C), (-2, D)), "a - b + 0.5:c - 2:d"),
        (summed((-1, A), (1, summed((3, B)))), "-a + (3:b)"),
        (Without(Without(summed((1, A), (1, B)), C), D), "a + b without(c) without(d)"),
        (text("a - b"), '"a - b"'),
        (text('"a\\'), r'"\"a\\"'),
        (text(" a"), '" a"'),
        (text("C +"), '"C +"'),
        (text("./a"), '"./a"'),
        (text("song.wav"), '"song.wav"'),
        (text("rain, no wind"), "rain, no wind"),
        (Without(text("rain, no wind"), text("wind, rain")), 'rain, no wind without("wind, rain")'),
        (File("roof.wav"), "file:roof.wav"),
        (File("./a + b.wav"), 'file:"./a + b.wav"'),
        (File("-x.wav"), "file:-x.wav"),
        (Apply("a b", A, 1e-7), 'apply("a b", a, 1e-07)'),
        (Exclude(A, B, 1), "a exclude(b, 1)"),
    ],
)
def test_canonical_forms(query: Query, shown: str) -> None:
    assert str(query) == shown
    assert parse(shown) == query


def test_what_names_a_file_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("roof.wav", "one - two.wav", "2:x.png", "notes.xyz"):
        Path(name).write_bytes(b"x")
    assert parse("roof.wav - rain") == summed((1, File("roof.wav")), (-1, text("rain")))
    assert parse(" one - two.wav ") == File("one - two.wav")
    assert parse("./one - two.wav") == File("./one - two.wav")
    assert parse("2:x.png") == File("2:x.png")
    assert parse("2:roof.wav") == summed((2, File("roof.wav")))
    assert parse("notes.xyz") == Text("notes.xyz")
    assert parse("other.wav") == Text("other.wav")
    assert parse('"roof.wav"') == Text("roof.wav") == parse(str(Text("roof.wav")))
    assert from_json({"roof.wav": 1, "rain": -1}) == parse("roof.wav - rain")
    assert from_json(to_json(Text("roof.wav"))) == Text("roof.wav")
    assert parse("x" * 300 + ".wav") == Text("x" * 300 + ".wav")


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "column", "reason"),
    [
        ("", 1, "empty"),
        (" \n", 1, "empty"),
        ("rain +", 7, "should come here"),
        ("rain + - ", 10, "should come here"),
        ("(grade A +)", 11, "should come here"),
        ("toward(a -, b, 1)", 11, "should come here"),
        ("--x", 2, "one sign"),
        ("2:-x", 3, "one sign"),
        ("2:3:x", 3, "one weight"),
        ("a + 0:x", 5, "weight of 0"),
        ("a - 1e999:x", 5, "finite"),
        ("(a + b", 1, "not closed"),
        ("a - ()", 6, "should come here"),
        ("(a + b)) + c", 8, "closes none"),
        ("(live) at noon", 8, "should come before this"),
        ('"Help!" live', 9, "quote all"),
        ("(a)-(b)", 4, "white space on both sides"),
        ('a + "b', 5, "quote is not closed"),
        ('a + ""', 5, "empty"),
        ("without(a)", 1, "taken away from"),
        ("a - without(b)", 5, "no minus"),
        ("2:without(b)", 3, "no weight"),
        ("a without(b, c)", 12, "one argument too many"),
        ("a without(b", 10, "not closed"),
        ("toward(a, b)", 12, "argument is missing"),
        ("toward(a, b, half)", 14, "a number should come here"),
        ("toward(a, b, 1e999)", 14, "finite"),
        ("toward(a, b, 1, 2)", 15, "one argument too many"),
        ("apply(, a)", 7, "name of a relation"),
        ("apply(x)", 8, "argument is missing"),
        ("apply(x, a, 1) y", 16, "should come before this"),
        ("(a exclude(b, 1))", 4, "outside of all parentheses"),
        ("a without(b exclude(c, 1))", 13, "outside of all parentheses"),
        ("a exclude(b)", 12, "argument is missing"),
        ("a exclude(b, 2.5)", 3, "above 0 and at most 2"),
        ("a exclude(b, 0)", 3, "above 0 and at most 2"),
        ("a + id:0", 5, "from 1 to"),
        ("id:" + "9" * 5000, 1, "from 1 to"),
        ("id:x", 4, "whole number"),
        ('file:""', 1, "empty"),
        ("(" * 10_000, 51, "more than 50"),
        ("a" + " without(b)" * 51, 553, "more than 50"),
    ],
)
def test_errors_say_the_column(typed: str, column: int, reason: str) -> None:
    with pytest.raises(QueryError, match=reason) as raised:
        parse(typed)
    assert raised.value.column == column
    assert str(raised.value).startswith(f"query, column {column}: ")
    assert str(raised.value).isprintable() and len(str(raised.value)) < 400


def test_the_error_shows_what_stands_around_it() -> None:
    with pytest.raises(QueryError) as raised:
        parse("x" * 500 + "\x1b\n + (" + "y" * 500)
    assert str(raised.value) == (
        "query, column 506: this parenthesis is not closed in: ..." + "x" * 75 + "\ufffd  + (" + "y" * 79 + "..."
    )


def test_nodes_refuse_what_cannot_be() -> None:
    for make in (
        lambda: text(" "),
        lambda: file(""),
        lambda: item(0),
        lambda: item(2**63),
        lambda: A * 0,
        lambda: A / 0,
        lambda: A * float("nan"),
        lambda: A * 10**400,
        lambda: summed((1, A)),
        lambda: Sum(()),
        lambda: toward(A, B, float("inf")),
        lambda: apply("", A),
        lambda: A.exclude(B, 0),
        lambda: A.exclude(B, float("nan")),
        lambda: A.exclude(B, 1) + C,
        lambda: -A.exclude(B, 1),
        lambda: A.without(B.exclude(C, 1)),
        lambda: A.exclude(B.exclude(C, 1), 1),
    ):
        with pytest.raises(UsageError):
            make()
    nested: Query = A
    for _ in range(50):
        nested = toward(nested, B, 0.5)
    assert parse(str(nested)) == nested == from_json(to_json(nested))
    with pytest.raises(UsageError, match="more than 50"):
        toward(nested, B, 0.5)


# -- operators -------------------------------------------------------------------------------------------------------


def test_python_operators_are_linear() -> None:
    assert summed((2, A), (1, B)) == 2 * A + B
    assert summed((1, A), (-2, B), (2, C)) == A - 2 * (B - C)
    assert summed((-0.5, A), (-0.5, B)) == -(A + B) / 2
    assert (A * 2) / 2 == A
    assert A.without(B) + C == summed((1, Without(A, B)), (1, C))
    for two in (np.float32(2), np.float64(2), np.int64(2)):
        assert two * A == A * two == summed((2.0, A))
    with pytest.raises(TypeError):
        A + "b"  # type: ignore[operator]
    with pytest.raises(TypeError):
        "b" * A  # type: ignore[operator]


def test_what_a_query_is_made_of() -> None:
    query = parse("apply(r, a + id:3) - 2:./x.wav without(apply(s, apply(r, a))) exclude(b, 0.5) exclude(c, 1)")
    assert leaves(query) == (A, Item(3), File("./x.wav"), B, C)
    assert relations(query) == ("r", "s")
    assert [(str(one.centre), one.radius) for one in excludes(query)] == [("c", 1.0), ("b", 0.5)]
    assert str(without_excludes(query)) == "apply(r, a + id:3) - 2:./x.wav without(apply(s, apply(r, a)))"
    assert excludes(A) == () and without_excludes(A) is A
    assert is_plain(A) and is_plain(item(1)) and is_plain(file("./x")) and not is_plain(-A)


# -- folding ---------------------------------------------------------------------------------------------------------

Row = npt.NDArray[np.float64]
GENERATOR = np.random.default_rng(0)
ROWS: dict[Leaf, Row] = {leaf: GENERATOR.normal(size=6) for leaf in (A, B, C, D)}


def normal(row: Row) -> Row:
    return row / np.sqrt((row * row).sum())


a, b, c, d = (normal(ROWS[leaf]) for leaf in (A, B, C, D))


class Shift:
    """A relation that adds an offset."""

    def __init__(self, offset: Row) -> None:
        self.offset = offset

    def apply(self, vector: npt.NDArray[np.float32], strength: float = 1.0) -> npt.NDArray[np.float32]:
        return normal(vector + strength * self.offset).astype(np.float32)


RELATIONS = {"up": Shift(np.array([1.0, 0, 0, 0, 0, 0])), "nothing": Shift(np.zeros(6))}


def between(one: Row, other: Row, t: float) -> Row:
    angle = np.arccos(one @ other)
    return (np.sin((1 - t) * angle) * one + np.sin(t * angle) * other) / np.sin(angle)


def test_folding_against_numpy() -> None:
    basis, _ = np.linalg.qr(np.stack([b, c], axis=1))
    away = normal(b - c)
    up = np.eye(6)[0]
    by_hand = {
        "a": a,
        "-a": -a,
        "2:a - 0.5:b": normal(2 * a - 0.5 * b),
        "1e300:a + 1e300:b": normal(a + b),
        "1e-300:a": a,
        "a + 2:(b + c)": normal(a + 2 * normal(b + c)),
        "a without(b)": normal(a - (a @ b) * b),
        "a without(b - c)": normal(a - (a @ away) * away),
        "a without(b) without(c)": normal(a - basis @ (basis.T @ a)),
        "(a without(b)) + c": normal(normal(a - (a @ b) * b) + c),
        "toward(a, b, 0.3)": between(a, b, 0.3),
        "toward(a, b, 1.5)": between(a, b, 1.5),
        "toward(a, a, 0.3)": a,
        "apply(up, a)": normal(a + up),
        "apply(up, a - b, -0.5)": normal(normal(a - b) - 0.5 * up),
        "a + b exclude(c, 0.5)": normal(a + b),
    }
    for expression, expected in by_hand.items():
        vector = fold(parse(expression), ROWS.__getitem__, RELATIONS.__getitem__)
        assert vector.dtype == np.float32 and vector.shape == (6,), expression
        assert vector == pytest.approx(expected, abs=3e-7), expression


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("a - a", "a - a leaves"),
        ("c + (a - a)", "^a - a leaves"),
        ("1e-9:a - 1e-9:a", "a leaves"),
        ("a - nearly", "^a - nearly leaves"),
        ("b + (a without(2:a))", r"^a without\(2:a\) leaves"),
        ("a without(b) without(a + b)", "leaves no direction"),
        ("toward(a, -a, 0.5)", r"^toward\(a, -a, 0.5\): .*opposites"),
        ("zero", "^zero leaves"),
        ("broken\nline", "^broken line leaves"),
        ("endless", "^endless leaves"),
    ],
)
def test_what_cancels_names_itself(expression: str, part: str) -> None:
    rows = ROWS | {
        Text("nearly"): a + 3e-7 * np.eye(6)[0],
        Text("zero"): np.zeros(6),
        Text("broken\nline"): np.full(6, np.nan),
        Text("endless"): np.full(6, np.inf),
    }
    with pytest.raises(UsageError, match=part):
        fold(parse(expression), rows.__getitem__, RELATIONS.__getitem__)


# -- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ('"rain"', "rain"),
        ('"rain - traffic, 2:x"', '"rain - traffic, 2:x"'),
        ('"./x.wav"', "./x.wav"),
        ('"id:5"', "id:5"),
        ('"id:5 apples"', '"id:5 apples"'),
        ('{"text": "./x"}', '"./x"'),
        ('{"file": "x.wav"}', "file:x.wav"),
        ('{"rain": 2, "traffic": -1}', "2:rain - traffic"),
        ('{"text": 2}', "2:text"),
        ('{"a": 1}', "a"),
        ('["a"]', "a"),
        ('["a", {"b": -1, "c": 2}, {"of": {"text": "id:1"}, "weight": 3}]', 'a - b + 2:c + 3:"id:1"'),
        ('["a", ["b", "c"]]', "a + (b + c)"),
        ('{"of": ["a", "b"], "weight": -1}', "-(a + b)"),
        ('{"of": {"a": 1, "b": 1}, "without": "c"}', "a + b without(c)"),
        ('{"from": "a", "toward": {"b": -1}, "t": 0.5}', "toward(a, -b, 0.5)"),
        ('{"apply": "up", "of": "a"}', "apply(up, a)"),
        ('{"apply": "up", "of": "a", "strength": 2}', "apply(up, a, 2)"),
        ('{"of": "a", "exclude": "b", "radius": 0.3}', "a exclude(b, 0.3)"),
    ],
)
def test_json_says_the_same(value: str, expression: str) -> None:
    assert from_json(json.loads(value)) == parse(expression)


@pytest.mark.parametrize(
    ("value", "place", "reason"),
    [
        (None, "$", "not null"),
        ([], "$", "empty list"),
        ({}, "$", "empty object"),
        ("", "$", "empty"),
        (["a", ["b", 3]], "$[1][1]", "not 3"),
        ({"a": 2, "b": "x"}, "$.b", "a weight is a number"),
        ({"a": True}, "$.a", "a weight is a number"),
        ({"a": 0}, "$.a", "weight of 0"),
        ({"a b": float("nan")}, '$["a b"]', "finite"),
        ({"a": 10**400}, "$.a", "finite"),
        ({"id:0": 1, "b": 2}, '$["id:0"]', "from 1 to"),
        ({5: 1}, "$", "key is a string"),
        ({"text": 5, "x": "y"}, "$.x", "has no"),
        ({"text": ["x"]}, "$.text", "a string should stand here"),
        ({"of": "a"}, "$.of", "a weight is a number"),
        ({"without": "a"}, "$", "'of' as well"),
        ({"of": "a", "without": "b", "t": 1}, "$.t", "has no"),
        ({"of": "a", "without": {"of": ["b", ""], "weight": 2}}, "$.without.of[1]", "empty"),
        ({"from": "a", "toward": "b", "t": "1"}, "$.t", "a number should stand here"),
        ({"of": "a", "exclude": "b", "radius": 3}, "$", "at most 2"),
        ([{"of": "a", "exclude": "b", "radius": 1}, "c"], "$", "exclude filters"),
        ([{"of": "a", "weight": 0}], "$[0].weight", "weight of 0"),
    ],
)
def test_json_errors_name_the_place(value: Any, place: str, reason: str) -> None:
    with pytest.raises(UsageError) as raised:
        from_json(value)
    assert str(raised.value).startswith(f"query, at {place}: ")
    assert reason in str(raised.value) and str(raised.value).isprintable()


def test_json_within_json_within_json() -> None:
    value: Any = "a"
    for _ in range(10_000):
        value = [value, "b"]
    with pytest.raises(UsageError, match=r"query, at \$(\[0\]){51}: more than 50"):
        from_json(value)


# -- properties ------------------------------------------------------------------------------------------------------

PIECES = ["rain", "lo-fi", "C++", "2:", "-", "+", " ", "(", ")", ",", '"', "\\", "'", ":", "./", "/", "~/", "id:", "7"]
PIECES += ["file:", "without(", "exclude(", "toward(", "apply(", "0.3", "1e999", "\n", "\x00", "é", "\ud83d", ".wav"]
PIECES += [" - ", " + ", " without(", " exclude("]
# One string that hypothesis draws stands for many pieces: that is ten times as fast as a list of them.
SHORT = {chr(0xE000 + number): piece for number, piece in enumerate(PIECES)}


def pieces(at_most: int) -> st.SearchStrategy[str]:
    return st.text("".join(SHORT) + "aé", max_size=at_most).map(
        lambda drawn: "".join(SHORT.get(one, one) for one in drawn)
    )


ODD = [*PIECES, "\x1b", "\x1c", "\u2028", "\xa0", "x", "y z", "٣", "\U0001f327"]


class Grown:
    """A random tree as bytes tell: far faster than a strategy for each node, and it shrinks as well."""

    def __init__(self, raw: bytes) -> None:
        self.raw = iter(raw)

    def below(self, limit: int) -> int:
        return next(self.raw, 0) % limit

    def words(self) -> str:
        drawn = "".join(ODD[self.below(len(ODD))] for _ in range(1 + self.below(5)))
        return drawn if drawn.strip() else "rain"

    def number(self) -> float:
        if self.below(2):
            return (1 + self.below(40)) / 10 - 2
        number: float = struct.unpack("<d", bytes(self.below(256) for _ in range(8)))[0]
        return number if math.isfinite(number) else 1.0

    def terms(self, depth: int) -> list[Term]:
        return [Term(self.number() or 1.0, self.query(depth)) for _ in range(1 + self.below(3))]

    def query(self, depth: int = 0) -> Query:
        match self.below(7 if depth < 5 else 3):
            case 0:
                return Text(self.words())
            case 1:
                return File(self.words())
            case 2:
                return Item(1 + self.below(256) ** self.below(8))
            case 3:
                terms = self.terms(depth + 1)
                return terms[0].query if len(terms) == 1 and terms[0].weight == 1 else Sum(tuple(terms))
            case 4:
                return Without(self.query(depth + 1), self.query(depth + 1))
            case 5:
                return Toward(self.query(depth + 1), self.query(depth + 1), self.number())
            case _:
                return Apply(self.words(), self.query(depth + 1), self.number())

    def excluding(self) -> Query:
        query = self.query()
        for _ in range(max(0, self.below(4) - 1)):
            query = Exclude(query, self.query(2), (1 + self.below(256)) / 128)
        return query

    def json(self, depth: int = 0) -> Any:
        """What is often nearly a query in JSON."""
        match self.below(8 if depth < 5 else 4):
            case 0:
                return self.words()
            case 1:
                return self.number()
            case 2:
                return [None, True, "", 0, 10**400, math.nan][self.below(6)]
            case 3:
                return {self.words(): self.number() for _ in range(self.below(4))}
            case 4:
                return [self.json(depth + 1) for _ in range(self.below(4))]
            case 5:
                return {KEYS[self.below(len(KEYS))]: self.json(depth + 1) for _ in range(self.below(4))}
            case _:
                value = to_json(self.query(depth + 1))
                if isinstance(value, dict) and self.below(2):
                    value[list(value)[self.below(len(value))]] = self.json(depth + 1)
                return value


KEYS = ["text", "file", "of", "weight", "without", "exclude", "radius", "from", "toward", "t", "apply", "strength"]
QUERIES = st.binary(min_size=60, max_size=240).map(lambda raw: Grown(raw).excluding())


@settings(max_examples=2000, derandomize=True, deadline=None)
@given(QUERIES)
def test_every_tree_is_read_back_from_what_it_prints_and_from_its_json(query: Query) -> None:
    assert parse(str(query)) == query
    assert from_json(json.loads(json.dumps(to_json(query)))) == query


def reads_or_says_where(expression: str) -> None:
    try:
        query = parse(expression)
    except QueryError as error:
        assert 1 <= error.column <= len(expression) + 1
        assert str(error).isprintable()
    else:
        assert parse(str(query)) == query


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(pieces(25) | st.text())
def test_any_text_is_read_or_refused_with_its_column(expression: str) -> None:
    reads_or_says_where(expression)


DECODERS: list[Callable[[bytes], str]] = [
    lambda raw: raw.decode("utf-8", "replace"),
    lambda raw: raw.decode("utf-8", "surrogateescape"),
    lambda raw: raw.decode("latin-1"),
    lambda raw: raw.decode("utf-16-le", "replace"),
]


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(DECODERS))
def test_any_bytes_are_read_or_refused_with_their_column(raw: bytes, decode: Callable[[bytes], str]) -> None:
    reads_or_says_where(decode(raw))


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(QUERIES, st.lists(st.tuples(st.integers(0, 400), st.sampled_from([*PIECES, ""]), st.integers(0, 3)), max_size=4))
def test_expressions_with_slips_are_read_or_refused(query: Query, slips: list[tuple[int, str, int]]) -> None:
    expression = str(query)
    for place, piece, gone in slips:
        place %= len(expression) + 1
        expression = expression[:place] + piece + expression[place + gone :]
    reads_or_says_where(expression)


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(st.binary(min_size=60, max_size=200).map(lambda raw: Grown(raw).json()))
def test_any_json_is_read_or_refused_with_its_place(value: Any) -> None:
    try:
        query = from_json(value)
    except UsageError as error:
        assert str(error).startswith("query, at $") and str(error).isprintable()
    else:
        assert from_json(to_json(query)) == query


def test_long_input_takes_time_in_proportion() -> None:
    count = 20_000
    assert parse("x" + "(" * count) == Text("x" + "(" * count)
    assert len(leaves(parse(" + ".join(f"w{number}" for number in range(count))))) == count
    with pytest.raises(QueryError, match="quote is not closed"):
        parse('"' + "\\" * count)
    assert parse("a" + " " * count + "b") == Text("a" + " " * count + "b")
