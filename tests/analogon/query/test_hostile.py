"""Queries that nobody means well: each is read, or refused in one line, at once."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterator

import pytest

from analogon import query as q
from analogon.search.ask import as_query
from embed.errors import QueryError, UsageError, printable

SEED = 20
LONG = 1_000_000
PIECES = ["rain", "2:", "-", "–", "−", "—", "+", " ", "  ", "(", ")", ",", '"', "\\", "'", ":", "./", "/", "~", "~/"]
PIECES += ["id:", "file:", "without(", "exclude(", "toward(", "apply(", "1e999", "-1e-999", "0", "9" * 400, "٣", "½"]
PIECES += [" - ", " – ", " + ", "\n", "\r\n", "\t", "\x00", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u200f", "\ufeff"]
PIECES += ["\ud83d", "\udcff", "\U0010ffff", "é", "a\u0301", ".wav", "{", "[", "no ", "without ", "sin ", "NaN", "nan:"]
NUMBERS = [
    "0",
    "-0.0",
    "1e308",
    "1e309",
    "-1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "9" * 5000,
    "0." + "1" * 5000,
    "1e-400",
]
KEYS = [
    "text",
    "file",
    "of",
    "weight",
    "without",
    "exclude",
    "radius",
    "from",
    "toward",
    "t",
    "apply",
    "strength",
    "",
    "\ud83d",
]
OPENINGS = ["(", "[", '{"of": ', "toward(", "without(", "[[", '"', "apply(x, ", "- ", "-(", "("]


def written(made: random.Random, depth: int = 0) -> str:
    """Something that is nearly JSON."""
    kind = made.randrange(6 if depth < 6 else 3)
    if kind == 0:
        return made.choice([*NUMBERS, "null", "true", "{}", "[]"])
    if kind in (1, 2):
        return json.dumps("".join(made.choices(PIECES, k=made.randrange(4))), ensure_ascii=made.random() < 0.7)
    inner = [written(made, depth + 1) for _ in range(made.randrange(4))]
    if kind == 3:
        return "[" + ", ".join(inner) + "]"
    return "{" + ", ".join(f"{json.dumps(made.choice(KEYS))}: {one}" for one in inner) + "}"


def hostile(seed: int, count: int) -> Iterator[str]:
    """The same so many queries each time; about one in a hundred is as long as a book or as deep as a well."""
    made = random.Random(seed)
    for number in range(count):
        match number % 100:
            case 0:
                piece = made.choice(PIECES)
                yield piece * (LONG // len(piece))
            case 33:
                opening = made.choice(
                    ["(", "[", '{"of": ', "toward(", "without(", "[[", '"', "apply(x, ", "- ", "-(", "("]
                )
                yield made.choice(["", "a "]) + opening * made.choice([49, 51, 2_000, 100_000])
            case 66:
                depth = made.choice([50, 51, 900, 5_000, 50_000])
                yield '{"of": ' * depth + '"a"' + ', "without": "b"}' * depth
            case one if one % 2:
                yield "".join(made.choices(PIECES, k=made.randrange(1, 30)))
            case _:
                yield made.choice(["[", "{", ""]) * (made.random() < 0.1) + written(made)


def check(count: int) -> None:
    refused: list[Exception] = []
    for asked in hostile(SEED, count):
        began = time.perf_counter()
        shown = f"{len(asked)} characters, {asked[:80]!r}"
        try:
            found = as_query(asked)
            assert isinstance(found, q.Query), shown
            said = q.hint(asked, found)
            assert said is None or (said.isprintable() and len(said) < 500 + 3 * len(asked)), shown
            assert q.from_json(q.to_json(found)) == found, shown
        except UsageError as error:
            assert type(error) in (QueryError, UsageError) or "query, at $" in str(error), shown
            assert len(str(error)) < 700 and len(printable(str(error)).splitlines()) == 1, shown
            assert not isinstance(error, QueryError) or 1 <= error.column <= len(asked) + 1, shown
            refused.append(error)
        assert time.perf_counter() - began < 20, shown
    assert count // 10 < len(refused) < count * 9 // 10  # both ways are taken


def test_hostile_queries_are_read_or_refused_in_one_line() -> None:
    check(300)


@pytest.mark.parametrize("piece", ["9", ".", "1.", "9e", "-", "\\", "without(", "no "])
def test_a_book_of_one_piece_takes_no_longer_than_another(piece: str) -> None:
    began = time.perf_counter()
    for closed in ("", ":x", ")", " - a"):
        with contextlib.suppress(UsageError):
            asked = piece * (100_000 // len(piece)) + closed
            q.hint(asked, as_query(asked))
    assert time.perf_counter() - began < 10  # what looks back for each character takes minutes


@pytest.mark.slow
def test_many_hostile_queries_are_read_or_refused_in_one_line() -> None:
    check(2000)


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ('{"rain": 2, "rain": -1}', "$.rain"),
        ('{"a b": 2, "a b": -1}', '$["a b"]'),
        ('[{"of": {"a": 1, "a": 2}, "weight": 3}]', "$[0].of.a"),
        ('{"of": "a", "without": "b", "without": "c"}', "$.without"),
        ('["x", {"a": 1, "a": 1}]', "$[1].a"),
        ('["x", {"of": "a", "weight": 1, "weight": 2}]', "$[1].weight"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_place(asked: str, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        as_query(asked)
    assert str(caught.value).startswith(f"query, at {place}: ") and "twice" in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused_with_their_place(number: str) -> None:
    for asked, place in (
        (f'{{"rain": {number}}}', "$.rain"),
        (f'["x", {{"of": "a", "weight": {number}}}]', "$[1].weight"),
        (f'{{"of": "a", "exclude": "b", "radius": {number}}}', "$.radius"),
        (f'{{"from": "a", "toward": "b", "t": {number}}}', "$.t"),
        (f'{{"apply": "r", "of": "b", "strength": {number}}}', "$.strength"),
        (f"[{number}]", "$[0]"),
    ):
        with pytest.raises(UsageError) as caught:
            as_query(asked)
        assert str(caught.value).startswith(f"query, at {place}: "), asked


def test_json_that_is_read_otherwise_stays_as_it_was() -> None:
    assert q.read_json("rain") is None and q.read_json('"rain"') is None
    assert q.read_json('{"a": 2, "b": -1}') == q.parse("2:a - b") == as_query(' {"a": 2, "b": -1}')
    with pytest.raises(UsageError, match="50 parts within each other"):
        q.read_json("[" * 200_000)
