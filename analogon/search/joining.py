"""Lists of answers, by content and by name, of several spaces and modalities, joined by rank into one list of hits."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from analogon.search.fusion import Ranked, fuse
from analogon.search.hits import Hit, Reason
from indexes.records import Item, Source

__all__ = ["Candidate", "CandidateList", "joined"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item in a list: ``ranked`` is the score that orders the list, ``score`` the one to show, and its ``model``."""

    item: Item
    ranked: float
    score: float
    model: str
    percentile: float | None = None


@dataclass(frozen=True, slots=True)
class CandidateList:
    """One list of answers, best first: why they were found, and how much the list counts.

    What is in a list that comes ``first`` stands before all that is not, whatever it adds up to.
    """

    reason: Reason
    found: Sequence[Candidate]
    weight: float = 1.0
    first: bool = False


def joined(lists: Sequence[CandidateList], parts: bool, shown: slice = slice(None)) -> list[Hit]:
    """Lists merged by reciprocal rank; one list stays as it is. Those hits of it are made that are ``shown``.

    What several lists found of a content and modality adds up, or of each part where ``parts`` are asked for, and a
    name counts for all parts of its file. What is shown is the part that the content's best list found, if any did.
    """
    windows: dict[Hashable, list[Hashable]] = {}
    for one in lists:
        for candidate in one.found if parts and one.reason == "content" else ():
            windows.setdefault(_whole(candidate), []).append((_whole(candidate), candidate.item.id))

    def keys(reason: Reason, candidate: Candidate) -> list[Hashable]:
        if not parts:
            return [_whole(candidate)]
        return (
            [(_whole(candidate), candidate.item.id)]
            if reason == "content"
            else windows.get(_whole(candidate), [_whole(candidate)])
        )

    seen: dict[Hashable, dict[Reason, list[tuple[int, int, Candidate]]]] = {}
    ranked: list[Ranked[Hashable]] = []
    for number, one in enumerate(lists):
        pairs = [(key, candidate) for candidate in one.found for key in keys(one.reason, candidate)]
        ranked.append(Ranked([(key, candidate.ranked) for key, candidate in pairs], one.weight))
        for rank, (key, candidate) in enumerate(pairs):
            seen.setdefault(key, {}).setdefault(one.reason, []).append((rank, number, candidate))
    hits = []
    foremost = {key for one in lists if one.first for found in one.found for key in keys(one.reason, found)}
    merged = sorted(fuse(ranked).items(), key=lambda pair: pair[0] not in foremost)
    for rank, (key, fused) in list(enumerate(merged, start=1))[shown]:
        reasons = tuple(reason for reason in get_args(Reason) if reason in seen[key])
        first = {reason: min(seen[key][reason], key=lambda found: found[:2])[2] for reason in reasons}
        hits.append(_hit(rank, first[reasons[0]], first[reasons[-1]].item.sources, reasons, fused))
    return hits


def _whole(candidate: Candidate) -> Hashable:
    return candidate.item.content, candidate.item.modality


def _hit(
    rank: int, candidate: Candidate, sources: tuple[Source, ...], reasons: tuple[Reason, ...], fused: float
) -> Hit:
    """A hit; of several sources those that are still there come first, then the one whose name was found."""
    if len(sources) > 1:
        sources = tuple(sorted(sources, key=lambda source: not os.path.exists(source.path)))
    item = replace(candidate.item, sources=sources)
    return Hit(
        rank=rank,
        score=candidate.score,
        media=item.media,
        id=item.id,
        space_name=candidate.model,
        paths=tuple(dict.fromkeys(source.path for source in sources)),
        metadata=item.metadata,
        facts=item.facts,
        reasons=reasons,
        fused=fused,
        percentile=candidate.percentile,
    )
