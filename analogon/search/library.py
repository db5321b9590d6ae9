"""Query to hits: encode what is asked once for each space, ask the index of each modality, read the catalog."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Final

import numpy as np

from analogon.query import Text, excludes, leaves, without_excludes
from analogon.search.ask import QueryLike, ResolvedQuery
from analogon.search.background import Background
from analogon.search.background import rescore as rescored
from analogon.search.hits import Hits
from analogon.search.holdings import Holdings, is_number
from analogon.search.hubness import METHODS, mmr, relative_to_best
from analogon.search.joining import Candidate, CandidateList, joined
from analogon.settings.arguments import EncoderName, several, superseded, superseded_keywords
from analogon.settings.defaults import LOOKS_AT
from embed.encoder import Encoder
from embed.errors import MediaError, UnsupportedModality, UsageError
from embed.media import MODALITIES, Media, Modality
from embed.space import Vectors
from indexes.collection import KnownSpace, Namesakes, Neighbour, Rescore, at_one_moment
from indexes.narrowed import Far
from indexes.where import Expression
from indexes.words import split

__all__ = ["Library"]

WAYS: Final = ("content", "name", "both")
DEPTH: Final = 100  # how far down each list is read where content and names are joined
VARIED: Final = 100  # hits that variety chooses from
MOST: Final = 2**31 - 1  # no collection holds more, and every index takes it for a number
TRIFLE: Final = 1e-6  # what a part of a name gets where it comes last
WHOLE: Final = 0.02  # what a name gets that has all the words asked for: enough to come before an equal that has not


def _question(asked: ResolvedQuery) -> str:
    """What to compare names with: the words that were typed, or those of a file's name."""
    if asked.given:
        raise UsageError("names can be compared with words, not with a vector: a vector searches by='content'")
    if not asked.plain:
        raise UsageError(f"names can be compared with plain words or a file's name, not with arithmetic: {asked.query}")
    media = next(iter(asked.media.values()))
    return media.text or " ".join(split(Path(media.path or "").stem))


def _dropped(what: str, far: Far, modality: Modality) -> str:
    """What an ``exclude`` did: of how many rows that were looked at, the nearest to the query or all."""
    among = f"{far.looked_at}" if far.whole else f"the {far.looked_at} nearest"
    return f"{what} dropped {far.dropped} of {among} {modality} items"


class Library(Holdings):
    """An open collection that can be asked and added to: the one door of the Python interface.

    ``analogon.open("drums")`` gives one.
    """

    @superseded_keywords(encoders="spaces")
    @at_one_moment
    def search(
        self,
        query: QueryLike | ResolvedQuery,
        *,
        to: str | None = None,
        k: int = 10,
        where: str | None = None,
        offset: int = 0,
        spaces: EncoderName | Sequence[EncoderName] = (),
        parts: bool = False,
        include_self: bool = False,
        by: str | None = None,
        bridge: str | None = None,
        rerank: str = "none",
        variety: float = 0.0,
    ) -> Hits:
        """The ``k`` best hits for a text, a file or an expression, after the first ``offset``.

        ``query`` is an expression as ``analogon.query`` reads it, from ``"rain"`` to ``"2:rain + ./roof.wav -
        traffic"``, a path, a query made in Python, one as JSON has it: ``{"rain": 2, "traffic": -1}``, or a vector of
        shape ``(dim,)`` or ``(1, dim)``, which is scaled to length 1: ``Vectors`` of a space here, or an array where
        only one of the spaces has so many dimensions.

        ``to`` chooses the modality of the hits; without it, all that the query's space has here, texts only where
        there is nothing else. ``spaces`` are the encoders, one or several, in whose spaces to look; all without any.
        Where several spaces or modalities answer, their lists are merged by rank, since cosines
        of different spaces or modalities cannot be compared. What the query is made of is left out where it is itself
        in the collection, unless ``include_self``. Where no space here takes the query, a bridge that was fitted into
        one of them carries it there, the one called ``bridge`` or that which found most; ``Hits.notes`` say so.

        ``by`` says what is compared: "content", that of pictures and texts as well; "name", what files are
        called, file names, folders and captions; "both", joined by rank. Without it a text asks both, all else the
        content alone. Where the content cannot be asked, "both" answers by name and says so in ``Hits.notes``.

        ``rerank`` is one of ``analogon.search.hubness.METHODS``: an order of the content that makes up for items
        that are near to every query; scores stay cosines. ``variety``, from 0 to 1, is how much being unlike the hits
        before it counts for a hit (MMR, where the relevance of the best is one).
        Raises ``UsageError``, ``FilterError``, ``QueryError``, ``SpaceMismatch``, ``MediaError``.
        """
        if not (isinstance(k, Integral) and isinstance(offset, Integral)):
            raise UsageError(f"k and the offset are whole numbers, not {k!r} and {offset!r}")
        if k < 1 or offset < 0:
            raise UsageError(f"k must be at least 1 and the offset at least 0, not {k} and {offset}")
        k, offset = min(int(k), MOST), min(int(offset), MOST)
        for name, words in (("where", where), ("bridge", bridge)):
            if not isinstance(words, str | None):
                raise UsageError(f"`{name}` is a text, not {type(words).__name__}")
        if to is not None and to not in MODALITIES:
            raise UsageError(f"there is no modality {to!r}; there are: {', '.join(MODALITIES)}")
        if by is not None and by not in WAYS:
            raise UsageError(
                superseded("by='sound'", "by='content'")
                if by == "sound"
                else f"hits are found by {', '.join(WAYS)}, not by {by!r}"
            )
        if not isinstance(rerank, str) or rerank not in METHODS:
            raise UsageError(f"there is no order {rerank!r}; there are: {', '.join(METHODS)}")
        if not (is_number(variety) and 0 <= variety <= 1):
            raise UsageError(f"variety is a share from 0 to 1, not {variety!r}")
        asked = query if isinstance(query, ResolvedQuery) else self.resolve(query, bridge=bridge)
        by = by or ("both" if isinstance(asked.query, Text) else "content")
        expression = self.collection.filter(where) if where else None
        without = frozenset() if include_self else asked.own_contents
        depth = k + offset if by == "content" else max(k + offset, DEPTH)
        notes: list[str] = []
        lists: list[CandidateList] = []
        unasked: UsageError | MediaError | None = None
        heard = False
        if by != "name":
            try:
                targets = self._targets(asked, to, several(spaces))
            except UsageError as error:
                if by == "content":
                    raise
                targets, unasked = [], error
            silent: dict[str, MediaError] = {}  # spaces whose encoder makes nothing of the query
            for known, modality in targets:
                if known.space.id in silent:
                    continue
                try:
                    found, remarks = self._near(
                        asked, known, modality, depth, expression, without, parts, rerank, variety
                    )
                except MediaError as error:
                    silent[known.space.id] = unasked = error
                    notes.append(f"{known.space.model} was not asked: {error}")
                    continue
                heard = True
                notes += remarks
                lists.append(CandidateList("content", found))
            if silent and not heard:
                assert isinstance(unasked, MediaError)
                if by == "content":
                    raise unasked
                notes.clear()
            notes += dict.fromkeys([*asked.notes, *(one.remark for one in asked.bridges_taken.values())])
        if by != "content":
            kinds = self._named_kinds(to, {found.item.modality for one in lists for found in one.found})
            question = _question(asked)
            if not question:
                raise UsageError(f"the name of {asked.name} says nothing that could be compared with other names")
            called = self.collection.namesakes(
                question, kinds, depth, where=expression, without=without, best=by == "both"
            )
            notes += [note for note in (called.note, called.common) if note]
            lists += self._by_name(called, question, alone=by == "name")
            if unasked is not None and not heard:
                if not any(one.found for one in lists):
                    raise unasked
                notes.append(f"found by name alone: {unasked}")
        hits = joined(lists, parts, slice(offset, offset + k))
        return Hits(asked.name, hits, notes, arithmetic=not asked.plain)

    @at_one_moment
    def search_many(self, queries: Iterable[QueryLike], /, *, bridge: str | None = None, **options: Any) -> list[Hits]:
        """``search`` for each of some queries, all of one moment; what they are made of is encoded in batches.

        ``options`` are those of ``search``. A two-dimensional array, or ``Vectors``, asks with each of its rows.
        Raises as ``search`` does, for the first that cannot be asked.
        """
        if isinstance(queries, str | os.PathLike | Mapping | Media) or not isinstance(queries, Iterable):
            raise UsageError("search_many takes a list of queries; search takes one")
        if isinstance(queries, Vectors):
            queries = [Vectors(queries.space, queries.array[i : i + 1]) for i in range(len(queries))]
        asked = [self.resolve(query, bridge=bridge) for query in queries]
        if options.get("by") != "name":
            names = options.get("spaces", ())
            spaces = [self.collection.adopt(name) for name in several(names)] or self.collection.spaces
            to = options.get("to")
            for known in spaces:
                held = self.collection.modalities(known.space)
                if (to in held) if to else held:
                    ResolvedQuery.encode_together(asked, known)
        return [self.search(one, bridge=bridge, **options) for one in asked]

    def _near(
        self,
        asked: ResolvedQuery,
        known: KnownSpace,
        modality: Modality,
        depth: int,
        where: Expression | None,
        without: frozenset[int],
        parts: bool,
        rerank: str,
        variety: float,
    ) -> tuple[list[Candidate], list[str]]:
        """What a space holds of a modality near to a query, best first, and what is to be said of it."""
        collection, space = self.collection, known.space
        vector = asked.vector(known, modality)
        background = self._background(asked, known, modality, needed=rerank != "none")
        rescore: Rescore | None = None
        if background is not None and rerank != "none":
            rescore = partial(rescored, rerank, background, vector)
        with collection.snapshot():
            excluded = self._excluded(asked, known, modality)
            many = max(depth, VARIED) if variety else depth
            found = collection.nearest(
                space,
                modality,
                vector,
                many,
                where=where,
                without=without,
                parts=parts,
                only=list(excluded.values()),
                rescore=rescore,
            )
            notes = [_dropped(what, far, modality) for what, far in excluded.items()]
            if variety and found:
                rows = collection.vectors(space, modality)[[one.row for one in found]]
                # In the order that was found, on the scale of cosines whatever gave that order.
                relevance = relative_to_best(np.sort([one.score for one in found])[::-1])
                order = mmr(relevance, rows, depth, 1.0 - variety)
                # An order has to be one by score as well, where several lists are joined.
                found = [replace(found[at], ranked=-float(place)) for place, at in enumerate(order)]
        if rerank != "none" and background is None:
            notes.append(f"{modality} stays in the order of its cosines: {space.model} has no queries to compare with")
        if found and asked.plain:
            doubt = self._doubt(
                asked, known, modality, max(one.score for one in found), background if not where else None
            )
            notes += [doubt] if doubt else []
        percentiles: list[float | None] = [None] * len(found)
        if background is not None and found:
            scores, places = [one.score for one in found], [one.row for one in found]
            percentiles = background.percentile(scores, places).tolist()
        return [
            Candidate(one.item, one.ranked, one.score, space.model, percentile)
            for one, percentile in zip(found, percentiles, strict=True)
        ], notes

    def _doubt(
        self, asked: ResolvedQuery, known: KnownSpace, modality: Modality, best: float, background: Background | None
    ) -> str | None:
        """Why not to trust the answers to a text or a file: by the encoder's own measure, else by the background's."""
        if asked.given:
            return None
        encoder = self.collection.encoder(known)
        media = next(iter(asked.media.values()))
        if type(encoder).doubt is not Encoder.doubt:
            return encoder.doubt(media, modality, best)
        if background is None or media.modality != "text" or not background.at_hand:
            return None
        return background.doubt(best)

    def _background(
        self, asked: ResolvedQuery, known: KnownSpace, modality: Modality, *, needed: bool
    ) -> Background | None:
        """Other queries to see this one's scores against: phrases for texts, items for a recording or a picture.

        None where neither is like the query. Phrases that have no vectors yet get some only where they are ``needed``.
        """
        if asked.given:
            return None
        media = [asked.media[leaf] for leaf in leaves(without_excludes(asked.query))]
        kinds = {one.modality for one in media}
        if known.space.id in asked.bridges_taken or len(kinds) > 1:
            return None
        if kinds != {"text"}:
            return Background.of_items(self.collection, known, modality, kinds.pop(), asked.own_contents)
        found = Background.open(self.collection, known, modality, encode=needed)
        return found and found.without(*(one.text or "" for one in media))

    def _excluded(self, asked: ResolvedQuery, known: KnownSpace, modality: Modality) -> dict[str, Far]:
        """What a query's ``exclude`` leaves of the rows of a vector file, by how it is written."""
        vectors = self.collection.vectors(known.space, modality)
        live = self.collection.live(known.space, modality)
        return {
            f"exclude({one.centre}, {one.radius:g})": Far(
                vectors, live, asked.vector(known, modality, one.centre), 1.0 - one.radius
            )
            for one in excludes(asked.query)
        }

    def _named_kinds(self, to: str | None, answering: set[Modality]) -> list[Modality]:
        """The modalities to look for by name: texts only where texts are asked for, answer, or are all there is."""
        there = self.collection.catalog.kinds()
        if to is None:
            return sorted((there - {"text"}) | answering or there)
        return [modality for modality in MODALITIES if modality == to]

    def _by_name(self, called: Namesakes, question: str, *, alone: bool) -> list[CandidateList]:
        """What was found by words and by meaning as lists that together count about as much as one space does.

        What is called just so comes first. Parts of names come last where a name has all the words, or where the
        content answers as well and the question is one of words alone; else before what has some of the words.
        """
        model = self.collection.names.space.model if self.collection.names else ""
        scored = {one.item.content: one.score for one in called.words}

        def candidate(one: Neighbour) -> Candidate:
            cosine = called.cosines.get(one.item.sources[0].id)
            if cosine is not None:
                return Candidate(one.item, one.score, cosine, model)
            if one.item.content in scored:
                return Candidate(one.item, one.score, scored[one.item.content], "BM25")
            return Candidate(one.item, one.score, one.score, "letters")

        told = [called.words] if called.meaning is None else [called.meaning, called.words]
        weighted: list[tuple[Sequence[Neighbour], float]] = [(found, 1 / len(told)) for found in told]
        weighted.append((called.whole, WHOLE))
        typed = any(not (sign.isalpha() or sign.isspace() or sign in ".,;:!?'’") for sign in question)
        parts = TRIFLE if called.whole or not (alone or typed) else 1.0 + typed
        weighted.append((called.parts, parts))
        lists = [CandidateList("name", [candidate(one) for one in found], weight) for found, weight in weighted]
        return [*lists, CandidateList("name", [candidate(one) for one in called.exact], 0.0, first=True)]

    def resolve(self, query: QueryLike, *, bridge: str | None = None) -> ResolvedQuery:
        """A query with its files read and its items looked up, which gives its vector in each space.

        ``bridge`` names the one to take where a space does not take the query. Raises ``UsageError``, ``MediaError``.
        """
        return ResolvedQuery.of(self.collection, query, bridge)

    def background(
        self, known: KnownSpace, modality: Modality, phrases: Sequence[str] | None = None
    ) -> Background | None:
        """What the bank's phrases, or others, score on a (space, modality): to see a query's scores against.

        None where the space's encoder takes no text or nothing is there to score. Phrases that have no vectors yet are
        encoded.
        """
        return Background.open(self.collection, known, modality, phrases)

    def _targets(
        self, asked: ResolvedQuery, to: str | None, names: Sequence[EncoderName]
    ) -> list[tuple[KnownSpace, Modality]]:
        """Which (space, modality) to ask, without loading an encoder that cannot answer."""
        collection = self.collection
        spaces = [collection.adopt(name) for name in names] or collection.spaces
        if not spaces:
            raise UsageError(
                f"{collection.name} is empty: "
                f"`analogon.open({collection.name!r}, create=True).index(FOLDER, encoders=NAME)`"
            )
        spaces = asked.spaces_among(spaces)
        sides = [(known, [m for m in collection.modalities(known.space) if to in (None, m)]) for known in spaces]
        sides = [(known, have) for known, have in sides if have]
        direct = [(known, have) for known, have in sides if not asked.missing_leaves(known)]
        # A space that takes the query needs no bridge, and the others are left, unless a bridge is named.
        if asked.bridge or not direct:
            direct = [(known, have) for known, have in sides if asked.reachable(known)]
        targets = [(known, modality) for known, have in direct for modality in have]
        if to is None and any(modality != "text" for _, modality in targets):
            targets = [(known, modality) for known, modality in targets if modality != "text"]
        if targets:
            return targets
        if sides:
            asking = " and ".join(
                sorted({asked.media[leaf].modality for known, _ in sides for leaf in asked.missing_leaves(known)})
            )
            taken = sorted({side for known, _ in sides for side in collection.encoder(known).modalities})
            models = ", ".join(known.space.model for known, _ in sides)
            raise UnsupportedModality(
                f"{collection.name} cannot be asked with {asking}: its encoder {models} takes {', '.join(taken)}. "
                f"Add one that takes {asking}: "
                f"`analogon.open({collection.name!r}, create=True).index(FOLDER, encoders=NAME)`; "
                "or fit a bridge: `analogon.service.bridges.FitBridge(...).run()`"
            )
        held = sorted({m for known in spaces for m in collection.modalities(known.space)})
        unseen = next((m for m in MODALITIES if m == to and m in collection.catalog.kinds()), None)
        if unseen is not None:
            raise UsageError(
                f"{collection.name} has names but no vectors of {unseen}: `analogon.open({collection.name!r}, "
                f"create=True).index(FOLDER, encoders={LOOKS_AT[unseen]!r})` looks at the content"
            )
        raise UsageError(
            f"{collection.name} holds no {to or 'vectors'}" + (f"; it holds {', '.join(held)}" if held else "")
        )
