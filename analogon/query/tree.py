"""Queries as trees: their nodes, the checks of each, arithmetic in Python, and what a tree is made of."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from operator import index
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from analogon.vectors.geometry import unit
from embed.errors import UsageError
from embed.space import Space, Vectors

DEEPEST: Final = 50  # parts within parts: far from where Python's stack ends
LARGEST_ID: Final = 2**63 - 1  # what SQLite holds


class Operators:
    """Arithmetic on queries. All parts of a query are checked where it is made; ``str`` gives its expression."""

    __slots__ = ()
    __array_ufunc__ = None  # a number of numpy leaves a product to us
    expression: ClassVar[Callable[[Query], str]]
    """What prints a query. What reads expressions sets it, since only that can say what would be read back."""

    def __str__(self) -> str:
        return type(self).expression(self._self)

    def __add__(self, other: Query) -> Query:
        return summed(terms_of(self._self) + terms_of(other)) if isinstance(other, Operators) else NotImplemented

    def __radd__(self, start: int) -> Query:
        """``sum([...])`` begins with 0."""
        return self._self if type(start) is int and start == 0 else NotImplemented

    def __sub__(self, other: Query) -> Query:
        return self + -other if isinstance(other, Operators) else NotImplemented

    def __mul__(self, factor: float) -> Query:
        if not isinstance(factor, Real):
            return NotImplemented
        by = finite(factor, "a factor")
        return summed([Term(term.weight * by, term.query) for term in terms_of(self._self)])

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
        assert isinstance(self, Text | File | Item | Vector | Sum | Without | Toward | Apply | Exclude)
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
class Text(Operators):
    """Words, as they stand."""

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise UsageError(f"words to look for are a text, not {type(self.text).__name__}")
        if not self.text.strip():
            raise UsageError("the text is empty: write what to look for, or name a file")


@dataclass(frozen=True, slots=True)
class File(Operators):
    """What a file holds."""

    path: str

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise UsageError(f"a file is named by a text or a path, not by {type(self.path).__name__}")
        if not self.path.strip():
            raise UsageError("the name of the file is empty")


@dataclass(frozen=True, slots=True)
class Item(Operators):
    """An item of the collection that is asked."""

    id: int

    def __post_init__(self) -> None:
        if isinstance(self.id, bool) or not hasattr(self.id, "__index__"):
            raise UsageError(f"the id of an item is a whole number, not {self.id!r}")
        object.__setattr__(self, "id", index(self.id))
        if not 0 < self.id <= LARGEST_ID:
            raise UsageError(f"the id of an item is a whole number from 1 to {LARGEST_ID}")

    @classmethod
    def of_digits(cls, digits: str) -> Item:
        """The item of any run of digits; Python refuses to read very long ones."""
        return cls(int(digits.lstrip("0")[:20] or "0"))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Vector(Operators):
    """A direction that is given: ``array`` is a unit vector, float32 ``(dim,)``, of ``space`` where that is known."""

    array: npt.NDArray[np.float32]
    space: Space | None = None

    def __post_init__(self) -> None:
        space = self.array.space if isinstance(self.array, Vectors) else self.space
        row = _direction(self.array)
        row.flags.writeable = False
        if space is not None and space.dim != len(row):
            raise UsageError(f"the vector has {len(row)} components; its space is {space}")
        object.__setattr__(self, "array", row)
        object.__setattr__(self, "space", space)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vector):
            return NotImplemented
        return self.space == other.space and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.space, self.array.tobytes()))

    def __repr__(self) -> str:
        return f"Vector({len(self.array)} numbers{f' of {self.space.model}' if self.space else ''})"


def _direction(given: Any) -> npt.NDArray[np.float32]:
    """A vector to search with as a unit row, float32 ``(dim,)``. Raises ``UsageError`` for what is no one direction."""
    try:
        array = np.asarray(given.array if isinstance(given, Vectors) else given)
    except (TypeError, ValueError):
        raise UsageError(f"a vector is an array of numbers, not {type(given).__name__}") from None
    if array.dtype.kind not in "fiu":
        raise UsageError(f"a query vector holds real numbers, not {array.dtype}")
    if array.ndim == 0 or array.size != array.shape[-1] or array.ndim > 2:
        raise UsageError(f"a query vector is of shape (dim,) or (1, dim), not {array.shape}: search for each by itself")
    row = array.reshape(-1).astype(np.float64)
    if not np.isfinite(row).all() or not row.any():
        raise UsageError("a query vector is finite and not all zeros")
    return unit(row / np.abs(row).max())  # the squares of very large and very small numbers are none


@dataclass(frozen=True, slots=True)
class Term:
    """A query with its weight in a sum."""

    weight: float
    query: Query

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", finite(self.weight, "a weight"))
        if not self.weight:
            raise UsageError("a weight of 0 leaves nothing: leave the part out")


@dataclass(frozen=True, slots=True)
class Sum(Operators):
    """The direction of the weighted sum of unit vectors. One term of weight 1 is no sum, but that term's query."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        if not self.terms or (len(self.terms) == 1 and self.terms[0].weight == 1):
            raise UsageError("a sum has two terms, or one with a weight other than 1")
        self._check()


@dataclass(frozen=True, slots=True)
class Without(Operators):
    """A query less its share in the direction of ``away``."""

    query: Query
    away: Query

    def __post_init__(self) -> None:
        self._check()


@dataclass(frozen=True, slots=True)
class Toward(Operators):
    """The point a share ``t`` of the way from ``start`` to ``end`` on the great circle."""

    start: Query
    end: Query
    t: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "t", finite(self.t, "the share of the way"))
        self._check()


@dataclass(frozen=True, slots=True)
class Apply(Operators):
    """A relation applied to a query."""

    relation: str
    query: Query
    strength: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", finite(self.strength, "a strength"))
        if not self.relation.strip():
            raise UsageError("the name of the relation is empty")
        self._check()


@dataclass(frozen=True, slots=True)
class Exclude(Operators):
    """A query without the hits whose cosine with ``centre`` is ``1 - radius`` or more; its vector is the same."""

    query: Query
    centre: Query
    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", finite(self.radius, "a radius"))
        if not 0 < self.radius <= 2:
            raise UsageError(f"a radius is above 0 and at most 2, not {number_text(self.radius)}")
        self._check()


Leaf: TypeAlias = Text | File | Item
Query: TypeAlias = Text | File | Item | Vector | Sum | Without | Toward | Apply | Exclude


def text(words: str) -> Text:
    """Words as a query."""
    return Text(words)


def file(path: str | os.PathLike[str]) -> File:
    """A file as a query."""
    return File(os.fspath(path) if isinstance(path, os.PathLike) else path)


def item(id: int) -> Item:
    """An item of the collection as a query."""
    return Item(id)


def vector(array: npt.ArrayLike | Vectors, space: Space | None = None) -> Vector:
    """A vector ``(dim,)`` or ``(1, dim)``, scaled to length 1, as a query; of a ``space`` where one is named.

    Raises ``UsageError`` for what is no one direction, or of another dimension than the space.
    """
    return Vector(array, space)  # type: ignore[arg-type]


def toward(start: Query, end: Query, t: float) -> Toward:
    """The point a share ``t`` of the way from ``start`` to ``end``; ``t`` below 0 or above 1 goes on beyond them."""
    return Toward(start, end, t)


def apply(relation: str, query: Query, strength: float = 1.0) -> Apply:
    """The relation of that name applied to a query."""
    return Apply(relation, query, strength)


def leaves(query: Query) -> tuple[Leaf, ...]:
    """All texts, files and items of a query, also those that it excludes, each once, in order.

    >>> from analogon.query import parse
    >>> leaves(parse("rain + id:7 - 2:rain"))
    (Text(text='rain'), Item(id=7))
    """
    return tuple(dict.fromkeys(part for part in _walk(query) if isinstance(part, Text | File | Item)))


def vectors(query: Query) -> tuple[Vector, ...]:
    """The vectors that a query is given, also those that it excludes, each once, in order."""
    return tuple(dict.fromkeys(part for part in _walk(query) if isinstance(part, Vector)))


def relations(query: Query) -> tuple[str, ...]:
    """The names of the relations that a query applies, each once, in order."""
    return tuple(dict.fromkeys(part.relation for part in _walk(query) if isinstance(part, Apply)))


def is_plain(query: Query) -> bool:
    """Whether a query is a single text, file, item or vector."""
    return isinstance(query, Text | File | Item | Vector)


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


def finite(number: float, what: str) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise UsageError(f"{what} is a finite number")
    return value


def terms_of(query: Query) -> tuple[Term, ...]:
    return query.terms if isinstance(query, Sum) else (Term(1.0, query),)


def summed(terms: Sequence[Term]) -> Query:
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


def number_text(value: float) -> str:
    """The shortest digits that are read back as the same number.

    >>> number_text(2.0), number_text(0.1), number_text(-1e21)
    ('2', '0.1', '-1e+21')
    """
    return repr(value).removesuffix(".0")
