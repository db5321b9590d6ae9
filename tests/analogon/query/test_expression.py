"""Expressions: what is text and what is syntax, printed and read back, or refused with the column."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogon.query import (
    Apply,
    Exclude,
    File,
    Item,
    Query,
    Text,
    Toward,
    Without,
    file,
    from_json,
    leaves,
    parse,
    text,
    to_json,
)
from embed.errors import QueryError
from tests.analogon.query.grown import PIECES, QUERIES, A, B, C, D, pieces, summed

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


# -- properties ------------------------------------------------------------------------------------------------------


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


def test_long_input_takes_time_in_proportion() -> None:
    count = 20_000
    assert parse("x" + "(" * count) == Text("x" + "(" * count)
    assert len(leaves(parse(" + ".join(f"w{number}" for number in range(count))))) == count
    with pytest.raises(QueryError, match="quote is not closed"):
        parse('"' + "\\" * count)
    assert parse("a" + " " * count + "b") == Text("a" + " " * count + "b")
