"""Encoders as judges of what was made: how near a take is to what was asked, one to choose by and another to report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from analogon import query as q
from analogon.engines.generator import Generator, Settings
from analogon.prompts import Prompt
from analogon.query import File, Item, Leaf, Query, Text
from analogon.search.ask import as_query, media_of
from analogon.search.library import Library
from analogon.settings import defaults
from analogon.transforms.relation import Relation
from embed.encoder import Encoder
from embed.errors import (
    EncoderError,
    MachineError,
    MediaError,
    MissingPackage,
    SpaceMismatch,
    UnsupportedModality,
    UsageError,
)
from embed.media import Media, Modality, check_readable
from embed.models import shared
from embed.pipeline import encode
from embed.space import Space

__all__ = ["Judge", "Judges", "Panel", "available_judges"]

Row = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """An encoder that scores media by their cosine with a query; ``remark`` says which words of it it does not know."""

    encoder: Encoder
    query: str
    target: Row = field(repr=False)
    remark: str | None = None

    @classmethod
    def of(cls, encoder: Encoder, query: Query, library: Library | None = None) -> Judge:
        """A judge of how near something is to a query; ``library`` is where the query's items lie.

        Raises ``UnsupportedModality`` where the encoder does not take what the query is made of, and ``UsageError``.
        """
        rows: dict[Leaf, Row] = {}
        asked: list[Media] = []
        for leaf in q.leaves(q.without_excludes(query)):
            media = _media(leaf, library)
            if media.modality not in encoder.modalities:
                raise UnsupportedModality(
                    f"{encoder.space.model} cannot judge by {media.name}: it takes {_sides(encoder)}"
                )
            rows[leaf] = encode(encoder, [media], query=True).array[0]
            asked.append(media)

        for given in q.vectors(query):
            if len(given.array) != encoder.space.dim or given.space not in (None, encoder.space):
                raise UsageError(f"{encoder.space} cannot judge by {given!r}, which is of another space")

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
    def select(cls, judges: Iterable[Judge], choose: Judge | None = None, report: Judge | None = None) -> Judges:
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
                f"only {choose.model} is at hand: it chooses and scores, which flatters (`report` names another)",
            )
        if report.encoder.space == choose.encoder.space:
            return cls(choose, report, f"{choose.model} chooses and reports: its figures flatter what it chose")
        return cls(choose, report)


def available_judges(
    query: Query, modality: Modality, library: Library | None = None, remark: Callable[[str], None] = lambda line: None
) -> Iterator[Judge]:
    """Judges that need no download: the library's encoders, those of the settings, a large one on disk, the starter.

    Each encoder comes once; those that take not all of the query, or not the ``modality`` that is made, are left out.
    ``remark`` hears of those that should be able to and are not: a model that is another one today, that fails.
    """
    yield from _judges(query, modality, library, _encoders(modality, library, remark), remark)


class Panel:
    """The encoders that judge the takes of a run, each loaded once for all of its prompts.

    ``choose`` and ``report`` name encoders as ``embed.load`` takes them; without them those that need no download
    judge. ``like`` is what takes are compared with, a text or a file, instead of the prompt. Raises what ``embed.load``
    and the reading of ``like`` raise.
    """

    def __init__(
        self,
        generator: Generator,
        library: Library | None = None,
        *,
        like: str | None = None,
        choose: str | None = None,
        report: str | None = None,
        remark: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.generator = generator
        self.library = library
        self.remark = remark
        self._like = None if like is None else as_query(like)
        for leaf in () if self._like is None else q.leaves(q.without_excludes(self._like)):
            if q.looks_like_file(leaf, like or ""):
                remark(q.taken_as_words(leaf))
            media = _media(leaf, library)
            if media.path is not None and media.text is None:
                check_readable(media.path)
        self._choose, self._report = (None if name is None else shared(name) for name in (choose, report))
        self._loaded: list[Encoder] = []
        self._others = _encoders(generator.modality, library, remark)

    def judges(self, prompt: Prompt, settings: Settings) -> Judges:
        """Who scores the takes of a prompt: by ``like``, else by the prompt, else by the guide.

        What is spoken is not what it sounds like: speech is judged by ``like`` alone, and its voice by speaker
        encoders. A named encoder that can make nothing of the prompt's words is left out, and ``remark`` hears of it.
        Raises ``UnsupportedModality`` where it does not take what is compared or made, and ``UsageError``.
        """
        query = self._query(prompt, settings)
        if query is None:
            return Judges()
        choose, report = (self._named(encoder, query) for encoder in (self._choose, self._report))
        others = _judges(query, self.generator.modality, self.library, self._encoders(), self.remark)
        return Judges.select(others, choose, report)

    def _query(self, prompt: Prompt, settings: Settings) -> Query | None:
        guide = settings.guide.path if settings.guide is not None else None
        if self._like is not None:
            return self._like
        if self.generator.speaks or (guide and settings.voice is not None):
            if self._choose or self._report:
                raise UsageError(f"{self.generator.name} speaks: say with `like` what it should sound like")
            return None
        if guide is not None and not prompt.text.strip():
            return File(guide)
        return as_query(prompt.text) if self.generator.reads_queries else Text(prompt.text)

    def _named(self, encoder: Encoder | None, query: Query) -> Judge | None:
        if encoder is None:
            return None
        if self.generator.modality not in encoder.modalities:
            raise UnsupportedModality(
                f"{encoder.space.model} cannot judge {self.generator.modality}: it takes {_sides(encoder)}"
            )
        try:
            return Judge.of(encoder, query, self.library)
        except MediaError as error:
            if self._like is not None:
                raise
            self.remark(f"{encoder.space.model} does not judge: {error}")
            return None

    def _encoders(self) -> Iterator[Encoder]:
        """Those that need no download, but for the named ones; they stay loaded for the next prompt."""
        yield from self._loaded
        named = {encoder.space for encoder in (self._choose, self._report) if encoder is not None}
        for encoder in self._others:
            if encoder.space not in named:
                self._loaded.append(encoder)
                yield encoder


def _judges(
    query: Query,
    modality: Modality,
    library: Library | None,
    encoders: Iterable[Encoder],
    remark: Callable[[str], None],
) -> Iterator[Judge]:
    for encoder in encoders:
        try:
            yield Judge.of(encoder, query, library)
        except UnsupportedModality:
            continue
        except (EncoderError, MachineError, MediaError, SpaceMismatch) as error:
            remark(f"{encoder.space.model} does not judge: {error}")


def _encoders(modality: Modality, library: Library | None, remark: Callable[[str], None]) -> Iterator[Encoder]:
    """Encoders of a modality that need no download, each once, loaded one by one as they are asked for."""
    seen: set[Space] = set()
    for load in _loaders(modality, library):
        try:
            encoder = load()
        except MissingPackage:
            continue  # it is not at hand
        except (EncoderError, SpaceMismatch) as error:
            remark(f"an encoder does not judge: {error}")
            continue
        if encoder.space not in seen and modality in encoder.modalities:
            seen.add(encoder.space)
            yield encoder


def _loaders(modality: Modality, library: Library | None) -> Iterator[Callable[[], Encoder]]:
    if library is not None:
        yield from (partial(library.collection.encoder, known) for known in library.collection.spaces)
    yield from (partial(shared, name) for name in defaults.available([modality]))


def _media(leaf: Leaf, library: Library | None) -> Media:
    if not isinstance(leaf, Item):
        return media_of(leaf)
    found = {} if library is None else library.collection.catalog.items([leaf.id])
    if leaf.id not in found:
        raise UsageError(f"{leaf}: there is no such item; `collection` names the collection that holds it")
    return found[leaf.id].media


def _sides(encoder: Encoder) -> str:
    return ", ".join(sorted(encoder.modalities))
