"""Tree to vector: the unit vector that a query asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from analogon.query.tree import Apply, Exclude, File, Item, Leaf, Query, Sum, Text, Toward, Vector, Without
from analogon.vectors import geometry
from embed.errors import UsageError, printable

__all__ = ["Applicable", "fold"]

Row = npt.NDArray[np.float32]

VANISHED: Final = 1e-6  # length below which float32 rounding, not meaning, gives a direction


class Applicable(Protocol):
    """What ``fold`` wants of a relation."""

    def apply(self, vector: Row, strength: float, /) -> npt.NDArray[np.floating]:
        """A unit vector ``(dim,)`` on the other side of the relation."""


def fold(query: Query, encode: Callable[[Leaf], geometry.Floats], relation: Callable[[str], Applicable]) -> Row:
    """The unit vector that a query asks for, float32 ``(dim,)``.

    ``encode`` gives a leaf's vector ``(dim,)`` and ``relation`` what a name stands for. What is excluded changes
    nothing here. Raises ``UsageError``, which names the part, where a part leaves no direction.

    >>> from analogon.query import parse
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
        case Vector():
            return query.array
        case Text() | File() | Item():
            return _directed(encode(query), query)


def _directed(vector: geometry.Floats, query: Query) -> Row:
    """A vector at length 1. Raises ``UsageError`` where it has no direction."""
    if not VANISHED <= np.linalg.norm(np.asarray(vector, np.float64)) < np.inf:
        raise UsageError(f"{printable(str(query))} leaves no direction to search in")
    return geometry.unit(vector)
