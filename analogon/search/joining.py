"""Lists of answers, by content and by name, of several spaces and modalities, joined by rank into one list of hits."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from analogon.search.fusion import Ranked, fuse
from analogon.search.hits import Hit, Reason
from indexes.catalog import Item, Source

__all__ = ["Answer", "Answers", "joined"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An item in a list: ``ranked`` is the score that orders the list, ``score`` the one to show, and its ``model``."""

    item: Item
    ranked: float
    score: float
    model: str
    percentile: float | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """One list of answers, best first: why they were found, and how much the list counts."""

    reason: Reason
    found: Sequence[Answer]
    weight: float = 1.0


def joined(lists: Sequence[Answers], parts: bool) -> list[Hit]:
    """Lists merged by reciprocal rank; one list stays as it is.

    What several lists found of a content and modality adds up, or of each part where ``parts`` are asked for, and a
    name counts for all parts of its file. What is shown is the part that the content's best list found, if any did.
    """
    windows: dict[Hashable, list[Hashable]] = {}
    for one in lists:
        for answer in one.found if parts and one.reason == "sound" else ():
            windows.setdefault(_whole(answer), []).append((_whole(answer), answer.item.id))

    def keys(reason: Reason, answer: Answer) -> list[Hashable]:
        if not parts:
            return [_whole(answer)]
        return (
            [(_whole(answer), answer.item.id)] if reason == "sound" else windows.get(_whole(answer), [_whole(answer)])
        )

    seen: dict[Hashable, dict[Reason, list[tuple[int, int, Answer]]]] = {}
    ranked: list[Ranked[Hashable]] = []
    for number, one in enumerate(lists):
        pairs = [(key, answer) for answer in one.found for key in keys(one.reason, answer)]
        ranked.append(Ranked([(key, answer.ranked) for key, answer in pairs], one.weight))
        for rank, (key, answer) in enumerate(pairs):
            seen.setdefault(key, {}).setdefault(one.reason, []).append((rank, number, answer))
    hits = []
    for rank, (key, fused) in enumerate(fuse(ranked).items(), start=1):
        reasons = tuple(reason for reason in get_args(Reason) if reason in seen[key])
        first = {reason: min(seen[key][reason], key=lambda found: found[:2])[2] for reason in reasons}
        hits.append(_hit(rank, first[reasons[0]], first[reasons[-1]].item.sources, reasons, fused))
    return hits


def _whole(answer: Answer) -> Hashable:
    return answer.item.content, answer.item.modality


def _hit(rank: int, answer: Answer, sources: tuple[Source, ...], reasons: tuple[Reason, ...], fused: float) -> Hit:
    """A hit; of several sources the one whose name was found comes first."""
    item = replace(answer.item, sources=sources)
    return Hit(
        rank=rank,
        score=answer.score,
        media=item.media,
        id=item.id,
        space=answer.model,
        paths=tuple(dict.fromkeys(source.path for source in sources)),
        metadata=item.metadata,
        facts=item.facts,
        reasons=reasons,
        fused=fused,
        percentile=answer.percentile,
    )
