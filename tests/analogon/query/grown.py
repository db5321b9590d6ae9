"""Queries for the tests of expressions and of JSON: letters for sums by hand, and random trees as bytes tell them."""

from __future__ import annotations

import math
import struct
from typing import Any

from hypothesis import strategies as st

from analogon.query import (
    Apply,
    Exclude,
    File,
    Item,
    Query,
    Sum,
    Term,
    Text,
    Toward,
    Without,
    text,
    to_json,
)

A, B, C, D = text("a"), text("b"), text("c"), text("d")


def summed(*terms: tuple[float, Query]) -> Sum:
    return Sum(tuple(Term(weight, query) for weight, query in terms))


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
