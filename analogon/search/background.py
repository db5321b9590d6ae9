"""What other queries score on a collection's items: the background that a query's own scores are seen against.

The queries are a bank of phrases of our own (``analogon.phrases``). Their vectors are kept once for a space, for all
collections, and what they say of each row per (space, modality), as a cache beside the search indexes::

    HOME/banks/SPACE.npz                    the phrases and their vectors, HOME as ``config.home`` says
    indexes/SPACE-MODALITY-background.npz   what they say of the rows, as ``bank_statistics`` has it

What an open collection was asked is kept with it: rows that came since are added, what went is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon import phrases as banks
from analogon.search import hubness
from analogon.search.bank_statistics import (
    BIAS,
    DENSITY,
    BankStatistics,
    Saved,
    keep_arrays,
    read_arrays,
    row_values,
)
from analogon.settings import config
from analogon.vectors.geometry import centre
from embed.encoder import Encoder
from embed.errors import UsageError
from embed.listener import Listener
from embed.media import Media, Modality
from embed.pipeline import Encoded, encode_stream
from embed.space import Space
from indexes.collection import Collection, KnownSpace
from indexes.faiss.cache import saved_at

__all__ = ["Background", "Hubness", "phrase_vectors", "rescore"]

Rows = npt.NDArray[np.float32]
ITEMS: Final = 500  # items that stand in for queries
FEWEST_ITEMS: Final = 20
SOON: Final = 16384  # rows that a search may ask the bank of before it answers
# Chosen on questions to recordings (benchmarks/hubness.py --doubt): a tenth of the right best hits is doubted there.
DOUBTED: Final = 81.0  # percentile of a best hit's cosine among those of the background queries' best hits


@dataclass(frozen=True, slots=True, eq=False)
class Hubness:
    """How near some rows are to the background queries, whatever is asked.

    ``bias`` (NNN), ``density`` (CSLS's r(d)) and ``denominator`` (QB-Norm's, a logarithm) are float32 ``(n,)``;
    ``hubs`` bool ``(n,)`` says which rows are the best of some background query.
    """

    bias: Rows
    density: Rows
    denominator: Rows
    hubs: npt.NDArray[np.bool_]


class Background:
    """Background queries and one (space, modality) of a collection, at the moment when it was opened.

    ``phrases`` are B texts, ``bank`` their unit vectors float32 ``(B, dim)``, ``vectors`` the rows of the vector file
    ``(n, dim)``. ``mean``, ``best`` and ``hubness`` need a pass over all rows, which is made, or read from the cache,
    where one of them is first asked for. The phrases are texts: what is said here of a query holds where that is made
    of texts too.
    """

    def __init__(
        self,
        space: Space,
        modality: Modality,
        phrases: Sequence[str],
        bank: Rows,
        vectors: Rows,
        table: Callable[[], BankStatistics],
    ) -> None:
        self.space = space
        self.modality = modality
        self.phrases = tuple(phrases)
        self.bank = bank
        self.vectors = vectors
        self._make_table = table
        self._left_out: npt.NDArray[np.bool_] | None = None
        self._whole: Background | None = None  # what that was left out of
        self._saved_as: Saved | None = None
        self._looked_at: tuple[object, int] | None = None  # which file was kept, and of how many rows
        self._state: tuple[str, int, int] = ("", 0, 0)  # the file, its rows, how many of them are dead

    @classmethod
    def open(
        cls,
        collection: Collection,
        known: KnownSpace,
        modality: Modality,
        phrases: Sequence[str] | None = None,
        *,
        encode: bool = True,
        told: Callable[[], None] = lambda: None,
        asked: Callable[[int], None] | None = None,
    ) -> Background | None:
        """The background of a (space, modality); None where its encoder takes no text or nothing is there to score.

        ``phrases`` are our own for the modality unless others are given. Their vectors come from the cache, or are
        made and saved, ``told`` being called for each; None where some are not there, unless they are to ``encode``.
        ``asked`` is told of how many rows they were, once they are; who gives it brings the cache up to this version.
        """
        space = known.space
        key = cls._key(known, modality, phrases)
        before: Background | None = collection.kept.get(key)
        with collection.snapshot():
            file, rows = collection.file(space, modality)
            state = (file, rows, rows - collection.count(space, modality))
            if before is not None and before._state == state:
                return before
            vectors, live = collection.vectors(space, modality), collection.live(space, modality)
        if state[2] == rows:
            return None
        if before is not None:
            known_bank: tuple[tuple[str, ...], Rows] | None = before.phrases, before.bank
        else:
            known_bank = cls._bank(collection, known, modality, phrases, encode, told)
        if known_bank is None:
            return None
        texts, bank = known_bank
        saved = cls._saved(collection, space, modality, file, renews=asked is not None)
        # What was made of a moment before is of use; what was never looked at was not made.
        made = before.__dict__.get("table") if before is not None and before._state[0] == file else None

        def table() -> BankStatistics:
            return saved.brought_up(bank, vectors, live, made, asked or (lambda _: None))

        found = cls(space, modality, texts, bank, vectors, table)
        found._state, found._saved_as = state, saved
        if before is None or before._state[0] != file or before._state <= state:  # else it is of a moment ago
            collection.kept[key] = found
        return found

    @staticmethod
    def _saved(collection: Collection, space: Space, modality: Modality, file: str, *, renews: bool) -> Saved:
        path = collection.path / "indexes" / f"{space.id}-{modality}-background.npz"
        return Saved(path, file, lambda dead: collection.catalog.dead_rows(file, dead), renews)

    @staticmethod
    def _key(known: KnownSpace, modality: Modality, phrases: Sequence[str] | None) -> tuple[Any, ...]:
        return "background", known.space.id, modality, None if phrases is None else tuple(phrases)

    @classmethod
    def _bank(
        cls,
        collection: Collection,
        known: KnownSpace,
        modality: Modality,
        phrases: Sequence[str] | None,
        encode: bool,
        told: Callable[[], None],
    ) -> tuple[tuple[str, ...], Rows] | None:
        """Phrases of which the encoder knows a word, and their vectors; None where it takes no text."""
        space, texts = known.space, tuple(banks.bank(modality) if phrases is None else phrases)
        vector_of = _bank_of(collection, space)
        if missing := [text for text in texts if text not in vector_of]:
            if not encode:
                return None
            encoder = collection.encoder(known)
            if "text" not in encoder.modalities:
                return None
            made = phrase_vectors(encoder, missing, told)
            vector_of = _bank_of(collection, space) | made  # others may have saved some meanwhile
            # Plain arrays: what numpy would have to pickle it could not read back safely.
            arrays = {"phrases": np.array(list(vector_of)), "vectors": np.stack(list(vector_of.values()))}
            file = _bank_file(space)
            with suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
            keep_arrays(file, arrays)
        # A phrase of which the encoder knows no word has zeros.
        texts = tuple(text for text in texts if vector_of[text].any())
        return (texts, np.stack([vector_of[text] for text in texts])) if texts else None

    @classmethod
    def make(
        cls,
        collection: Collection,
        known: KnownSpace,
        modality: Modality,
        phrases: Sequence[str] | None = None,
        told: Callable[[], None] = lambda: None,
        listener: Listener | None = None,
    ) -> Background | None:
        """As ``open``, with all that needs a pass over the rows made and saved now: for the end of indexing.

        ``listener`` is told how far that is, where it is long, and may end it between two blocks: what was saved until
        then is of use to the next time.
        """
        collection.kept.pop(cls._key(known, modality, phrases), None)  # what a reader adds to that it does not save

        def asked(count: int) -> None:
            if listener is not None and long:
                listener.advance(count)
                listener.check()

        long = False
        made = cls.open(collection, known, modality, phrases, told=told, asked=asked)
        if made is not None and made._saved_as is not None:
            new = len(made.vectors) - made._saved_as.rows()
            if listener is not None and (long := new > SOON):
                listener.phase(f"background of {modality}", new)
            made.table  # noqa: B018  made and saved where it is first looked at
            made._saved_as.tidy()
        return made

    @staticmethod
    def missing(collection: Collection, known: KnownSpace, modality: Modality) -> list[str]:
        """Which of our own phrases have no vectors in a space yet."""
        there = _bank_of(collection, known.space)
        return [text for text in banks.bank(modality) if text not in there]

    @property
    def at_hand(self) -> bool:
        """Whether the table is there but for so few rows that a search can wait for them: ``SOON``."""
        if "table" in self.__dict__ or len(self.vectors) <= SOON:
            return True
        if self._left_out is not None or self._saved_as is None:
            return self._whole is not None and self._whole.at_hand
        there = saved_at(self._saved_as.path)
        if self._looked_at is None or self._looked_at[0] != there:
            self._looked_at = there, self._saved_as.rows()
        return len(self.vectors) - self._looked_at[1] <= SOON

    @classmethod
    def of_items(
        cls,
        collection: Collection,
        known: KnownSpace,
        modality: Modality,
        asked: Modality,
        own: frozenset[int] = frozenset(),
    ) -> Background | None:
        """Items of the modality ``asked`` as the queries, for a query that is no text: up to ``ITEMS``, seed 0.

        ``own`` are ids of contents that are the query itself. None where there are fewer than ``FEWEST_ITEMS`` others.
        """
        space = known.space
        with collection.snapshot():
            vectors, others = collection.vectors(space, modality), collection.vectors(space, asked)
            live, askable = collection.live(space, modality), collection.live(space, asked)
            count = collection.count(space, asked)
            out = [row for content in own for row in collection.catalog.rows_of_content(space.id, asked, content)]
        if count - len(out) < FEWEST_ITEMS or not live.any():
            return None
        bank = np.array(others[_drawn(askable, count, out)])
        return cls(space, modality, [""] * len(bank), bank, vectors, lambda: BankStatistics.make(bank, vectors, live))

    def without(self, *queries: str) -> Background:
        """The same without the phrases that are one of ``queries``, but for case, punctuation and articles.

        A bank must not hold what is being asked: the query's own scores would count against it. Raises ``UsageError``
        where nothing is left.
        """
        places = [place for query in queries for place in self._places.get(_plain(query), ())]
        if not places:
            return self
        out = np.zeros(len(self.phrases), np.bool_)
        out[places] = True
        if out.all():
            raise UsageError("the background holds nothing but what is asked; give it other phrases")
        kept = ~out

        def table() -> BankStatistics:
            return replace(self.table, near_rows=self.table.near_rows[kept], near=self.table.near[kept])

        phrases = [phrase for phrase, stays in zip(self.phrases, kept, strict=True) if stays]
        fewer = Background(self.space, self.modality, phrases, self.bank[kept], self.vectors, table)
        fewer._left_out, fewer._whole = out, self
        return fewer

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Which phrases are one, as they are compared."""
        places: dict[str, list[int]] = {}
        for place, phrase in enumerate(self.phrases):
            places.setdefault(_plain(phrase), []).append(place)
        return places

    @cached_property
    def table(self) -> BankStatistics:
        """What the whole bank says of all rows; read, or made and saved.

        After ``without``, the rows' values are still the whole bank's: ``hubness`` gives those that are not.
        """
        return self._make_table()

    @property
    def mean(self) -> Rows:
        """The mean of all rows that count, float32 ``(dim,)``, not normalised."""
        return self.table.mean

    @cached_property
    def bank_mean(self) -> Rows:
        """The mean of the background queries, float32 ``(dim,)``, not normalised."""
        return np.asarray(self.bank.mean(axis=0, dtype=np.float64), np.float32)

    @property
    def best(self) -> Rows:
        """Each background query's best cosine with any item, float32 ``(B,)``."""
        return self.table.best

    def scores(self, rows: npt.NDArray[np.int64]) -> Rows:
        """Cosines of all background queries with ``rows`` ``(n,)``: float32 ``(B, n)``."""
        found: Rows = (self.vectors[rows] @ self.bank.T).T
        return found

    def values(self, rows: npt.NDArray[np.int64]) -> Rows:
        """NNN's bias, CSLS's density and QB-Norm's denominator of ``rows`` ``(n,)``: float32 ``(n, 3)``.

        Where the table is not at hand the phrases are asked of these rows alone.
        """
        if self._left_out is None and self.at_hand:
            return self.table.values.of(rows)
        return row_values(self.scores(rows))

    def hubness(self, rows: npt.NDArray[np.int64]) -> Hubness:
        """What the background says of ``rows`` ``(n,)``."""
        bias, density, denominator = self.values(rows).T
        return Hubness(bias, density, denominator, np.isin(rows, self.table.best_rows))

    def percentile(self, scores: npt.ArrayLike, rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """For how many of a hundred background queries each item scores less than for this one: 0 to 100, ``(k,)``.

        ``scores`` ``(k,)`` are the query's cosines with ``rows`` ``(k,)``. It compares with queries, not with items:
        what is near to everything has a low one even as the first hit.
        """
        below = self.scores(np.asarray(rows, np.int64)) < np.asarray(scores)
        return np.asarray(100 * below.mean(axis=0), np.float64)

    def doubt(self, best: float) -> str | None:
        """Why not to trust the hits of a query whose best one has the cosine ``best``, in one line; None else.

        They are doubted where fewer than ``DOUBTED`` in a hundred background queries have a worse best hit; most of
        those queries have no answer in any one collection. Of the statistics that ``benchmarks/hubness.py --doubt``
        compares it is the only one whose threshold carries over to other spaces and data. Where the best hit is right
        it still doubts 0 to 11 % (ESC-10), 8 to 9 % (pictures of stamps) and 25 to 42 % (their sounds); where the
        answers are taken away, 50 to 80 % of ESC-10's questions, but only a quarter among 3,000 recordings of all
        kinds, where something is always near. No doubt does not mean that a hit is right. ``best`` is the highest
        cosine of all items, before any other order and without a filter. It needs a pass over all rows where none is
        cached.
        """
        share = 100 * float((self.best < best).mean())
        if share >= DOUBTED:
            return None
        return (
            f"perhaps nothing here fits: {100 - share:.0f} % of {len(self.best)} other queries have a nearer best hit"
        )


def _drawn(live: npt.NDArray[np.bool_], count: int, out: Sequence[int]) -> npt.NDArray[np.int64]:
    """Up to ``ITEMS`` rows by chance, seed 0, in order: of the ``count`` that live, without those that are ``out``.

    Of many rows it looks at few.
    """
    random = np.random.default_rng(0)
    if count <= 4 * ITEMS:
        rows = np.flatnonzero(live)
        return np.sort(random.permutation(rows[~np.isin(rows, out)])[:ITEMS])
    never = set(out)
    drawn: dict[int, None] = {}
    while len(drawn) < ITEMS:  # each row that may be drawn is as likely as any other
        some = random.integers(0, len(live), ITEMS)
        drawn |= dict.fromkeys(row for row in some[live[some]].tolist() if row not in never)
    return np.sort(np.array(list(drawn)[:ITEMS], np.int64))


def _bank_file(space: Space) -> Path:
    return config.home() / "banks" / f"{space.id}.npz"


def _bank_of(collection: Collection, space: Space) -> dict[str, Rows]:
    """All phrases that have a vector in a space; earlier versions kept them with each collection."""
    earlier = collection.path / "indexes" / f"{space.id}-bank.npz"
    found = _read_bank(_bank_file(space), space.dim)
    return _read_bank(earlier, space.dim) | found if earlier.is_file() else found


def _plain(text: str) -> str:
    """A text as it is compared with phrases: without an article, whose vector would hardly be another.

    >>> _plain("A dog, barking!") == _plain(" dog barking")
    True
    """
    return " ".join(word for word in re.findall(r"\w+", text.casefold()) if word not in ("a", "an", "the"))


# -- caches ------------------------------------------------------------------------------------------------------------


def phrase_vectors(encoder: Encoder, texts: Sequence[str], told: Callable[[], None] = lambda: None) -> dict[str, Rows]:
    """A unit vector of each text as a query; zeros of one of which the encoder knows no word. ``told`` after each."""
    found = {text: np.zeros(encoder.space.dim, np.float32) for text in texts}
    for result in encode_stream(encoder, [encoder.embed_query(Media.from_text(text)) for text in texts]):
        if isinstance(result, Encoded):
            found[texts[result.index]] = result.vector
        else:
            told()
    return found


def _read_bank(path: Path, dim: int) -> dict[str, Rows]:
    """The phrases of a file and their vectors; none where it cannot be used."""
    arrays = read_arrays(path)
    texts, vectors = arrays.get("phrases", np.zeros(0, "U1")), arrays.get("vectors", np.zeros((0, dim), np.float32))
    if texts.shape != (len(vectors),) or vectors.shape != (len(texts), dim):
        return {}
    return dict(zip(texts.tolist(), vectors.astype(np.float32), strict=True))


def rescore(
    method: str,
    background: Background,
    query: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    cosines: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """New scores for candidate rows of one (space, modality), float32 ``(n,)``; higher is better.

    ``query`` is the unit query ``(dim,)``, ``cosines`` ``(n,)`` those with ``rows`` ``(n,)`` of the vector file. All
    candidates have to be given at once, the best among them, since QB-Norm looks at it. The scores order one list and
    are no cosines. ``background`` must not hold the query: ``Background.without``. Raises ``ValueError`` for a method
    that is not in ``hubness.METHODS``.
    """
    if method not in hubness.METHODS:
        raise ValueError(f"there is no method {method!r}; there are: {', '.join(hubness.METHODS)}")
    if method == "none" or not len(rows):
        return np.asarray(cosines, np.float32)
    if method == "centre":
        items = centre(background.vectors[rows], background.mean)
        return np.asarray(items @ centre(query[None], background.bank_mean)[0], np.float32)
    if method == "nnn":
        scores = hubness.nnn(cosines, background.values(rows)[:, BIAS])
    elif method == "csls":
        scores = hubness.csls(cosines, background.values(rows)[:, DENSITY])
    else:
        near = background.hubness(rows)
        scores = hubness.qb_norm(cosines, near.denominator, near.hubs)
    return np.asarray(scores, np.float32)
