"""Encoders as judges of what was made: how near a take is to what was asked, one to choose by and another to report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analogon import query as q
from analogon.query import Item, Leaf, Query
from analogon.search.ask import media_of
from analogon.settings import defaults
from analogon.transforms.relation import Relation
from embed.encoder import Encoder
from embed.encoder import load as load_encoder
from embed.errors import EncoderError, UnsupportedModality, UsageError
from embed.media import Media, Modality
from embed.pipeline import encode
from indexes.collection import Collection

__all__ = ["Judge", "Judges", "at_hand"]

Row = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """An encoder that scores media by their cosine with a query; ``remark`` says which words of it it does not know."""

    encoder: Encoder
    query: str
    target: Row = field(repr=False)
    remark: str | None = None

    @classmethod
    def of(cls, encoder: Encoder, query: Query, collection: Collection | None = None) -> Judge:
        """A judge of how near something is to a query; ``collection`` is where the query's items lie.

        Raises ``UnsupportedModality`` where the encoder does not take what the query is made of, and ``UsageError``.
        """
        rows: dict[Leaf, Row] = {}
        asked: list[Media] = []
        for leaf in q.leaves(q.without_excludes(query)):
            media = _media(leaf, collection)
            if media.modality not in encoder.modalities:
                raise UnsupportedModality(
                    f"{encoder.space.model} cannot judge by {media.name}: it takes {_sides(encoder)}"
                )
            rows[leaf] = encode(encoder, [media], query=True).array[0]
            asked.append(media)

        def relation(name: str) -> Relation:
            return Relation.load(name).within(encoder.space)

        return cls(encoder, str(query), q.fold(query, rows.__getitem__, relation), encoder.remark(*asked))

    @property
    def model(self) -> str:
        """What the encoder is called."""
        return self.encoder.space.model

    def score(self, media: Media) -> float:
        """The cosine of a medium, of a long one the mean of its windows, with what was asked."""
        if media.modality not in self.encoder.modalities:
            raise UnsupportedModality(f"{self.model} cannot judge {media.modality}: it takes {_sides(self.encoder)}")
        return float(encode(self.encoder, [media]).array[0] @ self.target)


@dataclass(frozen=True, slots=True)
class Judges:
    """Who chooses among takes and who reports how good they are; None where there is no such encoder.

    A score rises by being chosen for: so the report is another encoder's, unless there is one alone. Each agrees only
    weakly with listeners. ``remark`` says what is to be known of the two, in one line.
    """

    choose: Judge | None = None
    report: Judge | None = None
    remark: str = ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """``remark``, and what each of the two does not know of what was asked."""
        judged = [one.remark for one in (self.choose, self.report) if one is not None]
        return tuple(dict.fromkeys(line for line in (self.remark, *judged) if line))

    @classmethod
    def among(cls, judges: Iterable[Judge], choose: Judge | None = None, report: Judge | None = None) -> Judges:
        """``choose`` and ``report`` where they are given, else the first of ``judges`` that differ from each other."""
        judges = iter(judges)  # each costs a model: no more of them than are needed
        if choose is None:
            choose = next((one for one in judges if report is None or one.encoder.space != report.encoder.space), None)
            choose = choose or report
        if choose is None:
            return cls(remark="no encoder is at hand that compares this prompt with what is made: takes stay unscored")
        if report is None:
            report = next((one for one in judges if one.encoder.space != choose.encoder.space), None)
        if report is None:
            return cls(
                choose,
                None,
                f"only {choose.model} is at hand: it chooses and scores, which flatters (--report names another)",
            )
        if report.encoder.space == choose.encoder.space:
            return cls(choose, report, f"{choose.model} chooses and reports: its figures flatter what it chose")
        return cls(choose, report)


def at_hand(
    query: Query, makes: Modality, collection: Collection | None = None, besides: Sequence[Encoder] = ()
) -> Iterator[Judge]:
    """Judges that need no download: the collection's encoders, those of the settings, a large one on disk, the starter.

    Each encoder comes once; those that take not all of the query, or not what is made, are left out.
    """
    seen = {encoder.space for encoder in besides}
    for encoder in _encoders(makes, collection):
        if encoder.space in seen or makes not in encoder.modalities:
            continue
        seen.add(encoder.space)
        try:
            yield Judge.of(encoder, query, collection)
        except (UnsupportedModality, EncoderError):
            continue


def _encoders(makes: Modality, collection: Collection | None) -> Iterator[Encoder]:
    if collection is not None:
        for known in collection.spaces:
            try:
                yield collection.encoder(known)
            except EncoderError:
                continue
    for name in defaults.available([makes]):
        try:
            yield load_encoder(name)
        except EncoderError:
            continue


def _media(leaf: Leaf, collection: Collection | None) -> Media:
    if not isinstance(leaf, Item):
        return media_of(leaf)
    found = {} if collection is None else collection.catalog.items([leaf.id])
    if leaf.id not in found:
        raise UsageError(f"{leaf}: there is no such item; -c names the collection that holds it")
    return found[leaf.id].media


def _sides(encoder: Encoder) -> str:
    return ", ".join(sorted(encoder.modalities))
