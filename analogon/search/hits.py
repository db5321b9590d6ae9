"""One result of a search: an item, the part that matched, its score, and how to say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from embed.media import Media, Span

__all__ = ["Hit", "Reason", "clock", "describe_span"]

Reason = Literal["sound", "name"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: an item, the medium with the span that matched, its score (a cosine) and its rank from 1.

    ``reasons`` say by what it was found: "sound", its content, whatever its modality; "name", what it is called.
    ``space`` is the model in whose space the score was taken: the content's cosine where the content is a reason, else
    the name's; "BM25" stands there, and such a score, where names could be compared by their words alone. ``fused`` is
    the sum of reciprocal ranks by which several lists were joined. ``percentile`` says for how many of a hundred other
    queries, of a bank of them, this very item scores less than for this one; None where there is no such bank.
    ``paths`` are all places where this content lies.
    """

    rank: int
    score: float
    media: Media = field(repr=False)
    id: int
    space: str
    paths: tuple[str, ...]
    metadata: Mapping[str, Any] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)
    reasons: tuple[Reason, ...] = ("sound",)
    fused: float = field(default=0.0, repr=False)
    percentile: float | None = None

    @property
    def path(self) -> str:
        """The first of its paths."""
        return self.paths[0]

    @property
    def span(self) -> Span | None:
        """The part that matched: seconds of a recording or video, lines of a text."""
        return self.media.span

    @property
    def where(self) -> str:
        """The span in words, such as ``0:42 to 0:52``; empty where the whole file matched."""
        return describe_span(self.media, self.facts)

    def to_json(self) -> dict[str, Any]:
        """What ``-f json`` prints of it."""
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            "path": self.path,
            "modality": self.media.modality,
            "start": self.span.start if self.span else None,
            "end": self.span.end if self.span else None,
            "id": self.id,
            "row": self.media.row,
            "text": self.media.text,
            "paths": list(self.paths),
            "space": self.space,
            "metadata": {**self.facts, **self.metadata},
            "by": list(self.reasons),
            "fused": round(self.fused, 6),
            "percentile": None if self.percentile is None else round(self.percentile, 2),
        }


def describe_span(media: Media, facts: Mapping[str, Any]) -> str:
    """A span in words: ``0:42 to 0:52``, ``lines 3 to 9``; empty where it is all of the file."""
    span = media.span
    if span is None:
        return ""
    if media.modality == "text":
        if span.start == 1 and span.end >= float(facts.get("lines") or span.end):
            return ""
        return f"line {span.start:.0f}" if span.start == span.end else f"lines {span.start:.0f} to {span.end:.0f}"
    duration = float(facts.get("duration") or 0.0)
    if span.start == 0 and span.end >= duration - 0.25 and duration:
        return ""
    return f"{clock(span.start)} to {clock(span.end)}"


def clock(seconds: float) -> str:
    """Seconds as a person writes them.

    >>> clock(42), clock(3723.4), clock(1.25)
    ('0:42', '1:02:03', '0:01.2')
    """
    whole = int(seconds)
    tenths = f".{int(seconds * 10) % 10}" if seconds < 10 and int(seconds * 10) % 10 else ""
    minutes, rest = divmod(whole, 60)
    if minutes >= 60:
        return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    return f"{minutes}:{rest:02}{tenths}"
