"""What a search gives: hits, each an item, the part that matched and its score, and how to say and show them."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, overload

from analogon.phrases.pieces import short
from analogon.search.previews import preview
from analogon.search.tables import table_of
from analogon.settings.arguments import superseded_attributes
from embed.errors import printable
from embed.media import Media, Span
from indexes.records import added

__all__ = ["Hit", "Hits", "Reason", "clock", "describe_span", "place"]

Reason = Literal["content", "name"]
SHOWN: Final = 100  # characters of a text in a list


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: an item, the medium with the span that matched, its score (a cosine) and its rank from 1.

    ``reasons`` say by what it was found: "content", whatever its modality; "name", what it is called.
    ``space_name`` is the model in whose space the score was taken: the content's cosine where the content is a reason,
    else the name's; "BM25" stands there, and such a score, where names could be compared by their words alone,
    and "letters", with a share of the name's, where it is only part of a name. ``fused`` is the sum of reciprocal ranks
    by which several lists were joined; what is called just what was asked for comes first all the same. ``percentile``
    says for how many of a hundred other queries, of a bank of them, this very item scores less than for this one; None
    where there is no such bank. ``paths`` are all places where this content lies.
    """

    rank: int
    score: float
    media: Media = field(repr=False)
    id: int
    space_name: str
    paths: tuple[str, ...]
    metadata: Mapping[str, Any] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)
    reasons: tuple[Reason, ...] = ("content",)
    fused: float = field(default=0.0, repr=False)
    percentile: float | None = None

    @property
    def path(self) -> str:
        """The first of its paths."""
        return self.paths[0]

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of its paths where there is no file any more; looked up on the disk each time.

        What was added under an id of its own never lay in a file.
        """
        return tuple(path for path in self.paths if not added(path) and not os.path.exists(path))

    @property
    def text(self) -> str | None:
        """The text that it is, None where it is none."""
        return self.media.text

    @property
    def span(self) -> Span | None:
        """The part that matched: seconds of a recording or video, lines of a text."""
        return self.media.span

    @property
    def span_text(self) -> str:
        """The span in words, such as ``0:42 to 0:52``; empty where the whole file matched."""
        return describe_span(self.media, self.facts)

    __getattr__ = superseded_attributes("Hit", where="span_text", space="space_name")

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
            "space": self.space_name,
            "metadata": {**self.facts, **self.metadata},
            "by": list(self.reasons),
            "fused": round(self.fused, 6),
            "missing": list(self.missing),
            "percentile": None if self.percentile is None else round(self.percentile, 2),
        }


class Hits(Sequence[Hit]):
    """Hits, best first, and notes on what could not be asked. In a notebook they show players and thumbnails.

    ``query`` is what was asked, as it prints itself; ``arithmetic`` says whether it is more than a text or a file.
    A slice of them is ``Hits`` too; ``to_pandas``, ``to_polars`` and ``to_arrow`` give them as a table.
    """

    def __init__(self, query: str, hits: Sequence[Hit], notes: Sequence[str] = (), *, arithmetic: bool = False) -> None:
        self.query = query
        self.notes = tuple(notes)
        self.arithmetic = arithmetic
        self._hits = tuple(hits)

    def __len__(self) -> int:
        return len(self._hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Hits: ...
    def __getitem__(self, index: int | slice) -> Hit | Hits:
        if isinstance(index, slice):
            return Hits(self.query, self._hits[index], self.notes, arithmetic=self.arithmetic)
        return self._hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __repr__(self) -> str:
        lines = [
            f"{hit.rank:3} {hit.score:6.3f}  {hit.path}{_row(hit)}{_gone(hit)}  {hit.span_text}".rstrip() + _said(hit)
            for hit in self._hits
        ]
        return "\n".join([f"{len(self)} hits for {self.query}", *lines])

    def to_json(self) -> dict[str, Any]:
        """What was asked, as it prints itself, the hits, and what is to be said of them."""
        return {"query": self.query, "hits": [hit.to_json() for hit in self], "notes": list(self.notes)}

    def records(self) -> list[dict[str, Any]]:
        """A flat record for each hit: what ``to_json`` has, and the columns of its metadata where no name is taken."""
        flat = []
        for hit in self._hits:
            fields = hit.to_json()
            metadata = fields.pop("metadata")
            flat.append({**fields, **{name: value for name, value in metadata.items() if name not in fields}})
        return flat

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each hit, columns as ``records`` has them."""
        return table_of(self.records(), "pandas")

    def to_polars(self) -> Any:
        """A ``polars.DataFrame`` with a row for each hit, columns as ``records`` has them."""
        return table_of(self.records(), "polars")

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` with a row for each hit, columns as ``records`` has them."""
        return table_of(self.records(), "arrow")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{hit.rank}</td><td>{hit.score:.3f}</td><td>{preview(hit.media)}</td><td style='text-align:left'>"
            f"{html.escape(place(hit))}<br><small>{html.escape(_why(hit))}</small></td></tr>"
            for hit in self
        )
        head = "<tr><th>#</th><th>score</th><th></th><th style='text-align:left'>file</th></tr>"
        return f"<p>{len(self)} hits for <b>{html.escape(self.query)}</b></p><table>{head}{rows}</table>"


def place(hit: Hit) -> str:
    """Where a hit lies: its path as seen from here, the row of a table, and whether the file is gone."""
    return short(hit.path) + _row(hit) + _gone(hit)


def _row(hit: Hit) -> str:
    return f", row {hit.media.row + 1}" if hit.media.row is not None else ""


def _said(hit: Hit) -> str:
    """The beginning of a text, as a line of a list ends with it."""
    return f"  {printable(hit.text[:SHOWN])!s}{'...' * (len(hit.text) > SHOWN)}" if hit.text else ""


def _gone(hit: Hit) -> str:
    return " (no longer there)" if hit.path in hit.missing else ""


def _why(hit: Hit) -> str:
    """The part that matched, and that it was found by its name where it was."""
    named = f"by {' and '.join(hit.reasons)}" if "name" in hit.reasons else ""
    return ", ".join(filter(None, (hit.span_text, named)))


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
