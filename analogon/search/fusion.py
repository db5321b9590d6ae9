"""Several ranked lists become one: reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["Ranked", "fuse"]

K: Final = 60  # Cormack et al.'s constant: how little the first ranks stand out
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Ranked(Generic[Key]):
    """One list, best first: keys, each once, with the scores that ranked them, and how much the list counts."""

    entries: Sequence[tuple[Key, float]]
    weight: float = 1.0


def fuse(lists: Sequence[Ranked[Key]]) -> dict[Key, float]:
    """Each key's sum over lists of ``weight / (60 + rank)``, in order, best first.

    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods"
    (2009). Equal scores in a list share the rank of the first of them: what a list does not tell apart it must not
    order. Equal sums stand in the order of their best rank, then of the lists.

    >>> list(fuse([Ranked([("a", 0.9), ("b", 0.8)]), Ranked([("b", 7.0), ("c", 7.0)])]))
    ['b', 'a', 'c']
    """
    sums: dict[Key, float] = {}
    best: dict[Key, tuple[int, int]] = {}
    for number, ranked in enumerate(lists):
        rank, last = 0, None
        for place, (key, score) in enumerate(ranked.entries, start=1):
            if score != last:
                rank, last = place, score
            sums[key] = sums.get(key, 0.0) + ranked.weight / (K + rank)
            best[key] = min(best.get(key, (rank, number)), (rank, number))
    return {key: sums[key] for key in sorted(sums, key=lambda key: (-sums[key], best[key]))}
