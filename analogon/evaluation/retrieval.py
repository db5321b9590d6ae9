"""How well a collection answers a table of pairs, query and target, by what the vectors say: both ways, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.search import contents
from analogon.search.library import Library
from analogon.settings.arguments import EncoderName, several, superseded_keywords
from analogon.vectors.geometry import unit
from analogon.vectors.measure import CUTS, Retrieval, ranks, retrieval_from_ranks
from embed.errors import AnalogonError, MediaError, UnsupportedModality, UsageError
from embed.media import MODALITIES, Media, Modality, content_hash, modalities_of
from embed.pipeline import Encoded, encode_stream
from embed.tables import BadRow, columns, texts
from indexes.collection import Collection, KnownSpace

__all__ = ["Direction", "PairTable", "evaluate_retrieval", "measure_retrieval"]

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Tell = Callable[[str], None]

ITEM: Final = "id:"
PATH_STARTS: Final = ("./", "../", "/", "~/")
BLOCK: Final = 1 << 22  # scores that are held at a time


@dataclass(frozen=True, slots=True)
class PairTable:
    """A csv, tsv or jsonl file with a query and a target on each row, in these columns.

    A cell is a text, a file as seen from the table's folder or from the working directory, or ``id:N``, the file that
    item N of the collection is a part of. A query with several targets has several rows.
    """

    path: Path
    query: str
    target: str

    @classmethod
    def of(cls, path: Path, query: str | None = None, target: str | None = None) -> PairTable:
        """The table in a file; a column that is not named is the first of the others. Raises ``UsageError``."""
        others = [name for name in columns(path) if name not in (query, target)]
        wanted = (query is None) + (target is None)
        if len(others) < wanted:
            raise UsageError(f"{path}: a table of pairs has two columns, a query and its target")
        return cls(path, query or others.pop(0), target or others[0])


@dataclass(frozen=True, slots=True)
class Direction:
    """What one way round came to: queries of one modality, candidates of another, in one space."""

    queries: str
    """The modalities of the queries, as words: "text", "audio and image"."""
    candidates: str
    """Those of the candidates."""
    space: str
    retrieval: Retrieval

    def to_json(self) -> dict[str, Any]:
        """One flat object."""
        head = {"direction": f"{self.queries} -> {self.candidates}", "space": self.space}
        return head | self.retrieval.to_json()


@dataclass(frozen=True, slots=True, eq=False)
class _Thing:
    """What a cell names: ``content`` is the collection's number of it, if it is there."""

    media: Media
    key: str
    content: int | None


@superseded_keywords(encoders="spaces")
def evaluate_retrieval(
    library: Library,
    table: PairTable,
    *,
    to: str | None = None,
    spaces: EncoderName | Sequence[EncoderName] = (),
    cuts: Sequence[int] = CUTS,
    resamples: int = 2000,
    seed: int = 0,
    skipped: Tell = lambda line: None,
) -> list[Direction]:
    """Query to target, and target to query, over the pairs of a table.

    Query to target ranks everything of the target's modality in the collection; target to query ranks the table's
    different queries. What asks is encoded as a query of ``search`` is, a long file as the mean of its parts; what is
    found counts by its best part. Vectors that the collection has are used as they are, and every candidate is
    compared: no index approximates. Names and captions take no part. Nothing finds itself.

    ``to`` is the modality of the targets, where it is not that of the first; ``spaces`` are the encoders, one or
    several, whose spaces may be asked: the first that fits is, of all without any. ``skipped`` hears a line of each row
    that cannot be used. Raises ``UsageError`` where none is left.
    """
    collection = library.collection
    if to is not None and to not in MODALITIES:
        raise UsageError(f"there is no modality {to!r}; there are: {', '.join(MODALITIES)}")
    with collection.snapshot():
        pairs = list(_pairs(collection, table, to, skipped))
        if not pairs:
            raise UsageError(f"{table.path}: no row of it can be used with {collection.name}")
        modality = pairs[0][1].media.modality
        known = _space(collection, modality, {query.media.modality for query, _ in pairs}, several(spaces))
        there = contents.read(library, known, modality)
        place = {item.content: i for i, item in enumerate(there.items)}
        found = [(query, target) for query, target in pairs if target.content in place]
        for _, target in pairs:
            if target.content not in place:
                skipped(f"skipped {target.media.name}: {collection.name} has no vector of it in {known.space.model}")
        vectors = _Vectors(collection, known, skipped)
        parts = vectors.parts([query for query, _ in found])
        asks = vectors.asks([thing for pair in found for thing in pair], parts)
        usable = [
            (query, target) for query, target in found if {query.key, target.key} <= asks.keys() and query.key in parts
        ]
        if not usable:
            raise UsageError(f"{table.path}: no pair of it can be asked of {collection.name} in {known.space.model}")

    queries = list({query.key: query for query, _ in usable}.values())
    targets = list({target.key: target for _, target in usable}.values())
    numbers = {query.key: i for i, query in enumerate(queries)}
    places = {thing.key: place.get(thing.content or 0) for thing in queries}
    forth: dict[str, set[int]] = {}
    back: dict[str, set[int]] = {}
    for query, target in usable:
        assert target.content is not None
        forth.setdefault(query.key, set()).add(place[target.content])
        back.setdefault(target.key, set()).add(numbers[query.key])
    spread = [parts[query.key] for query in queries]
    starts = np.cumsum([0] + [len(one) for one in spread[:-1]])
    asked_with = " and ".join(sorted({query.media.modality for query in queries}))

    def measured(
        asking: list[_Thing], right: dict[str, set[int]], own: Mapping[str, int | None], rows: Rows, starts: Numbers
    ) -> Retrieval:
        questions = np.stack([asks[thing.key] for thing in asking])
        wanted = [right[thing.key] for thing in asking]
        alone = [own.get(thing.key) for thing in asking]
        return _measure(questions, wanted, alone, rows, starts, cuts, resamples, seed)

    return [
        Direction(asked_with, modality, known.space.model, measured(queries, forth, places, there.rows, there.starts)),
        Direction(
            modality, asked_with, known.space.model, measured(targets, back, numbers, np.concatenate(spread), starts)
        ),
    ]


def measure_retrieval(
    questions: npt.ArrayLike,
    candidates: npt.ArrayLike,
    relevant: npt.ArrayLike | Sequence[Iterable[int]],
    *,
    own: Sequence[int | None] | None = None,
    cuts: Sequence[int] = CUTS,
    resamples: int = 2000,
    seed: int = 0,
) -> Retrieval:
    """Recall, precision, reciprocal rank and the rest for arrays: which of the candidates each question finds.

    ``questions`` ``(q, dim)`` and ``candidates`` ``(n, dim)`` are rows of any length but zero, compared by cosine.
    ``relevant`` says what is right: a mask bool ``(q, n)``, the number of the one candidate of each question, int
    ``(q,)``, or for each question the numbers of its candidates. ``own`` is the candidate that a question itself is,
    which it does not find, or None. Every figure has an interval by bootstrap over questions and its level by chance.
    It costs one product of all with all, in blocks. Raises ``UsageError`` where shapes do not fit or a question has
    nothing relevant.
    """
    asked, there = (_matrix(rows, name) for rows, name in ((questions, "questions"), (candidates, "candidates")))
    if asked.shape[1] != there.shape[1]:
        raise UsageError(
            f"questions have {asked.shape[1]} components, candidates {there.shape[1]}: one space is needed"
        )
    wanted = _wanted(relevant, len(asked), len(there))
    alone = [None] * len(asked) if own is None else [None if one is None else int(one) for one in own]
    if len(alone) != len(asked):
        raise UsageError(f"`own` has {len(alone)} entries for {len(asked)} questions")
    return _measure(asked, wanted, alone, there, np.arange(len(there)), cuts, resamples, seed)


def _matrix(rows: npt.ArrayLike, name: str) -> Rows:
    array = np.asarray(rows)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        raise UsageError(f"{name} are rows of numbers, (n, dim), not {array.dtype} {array.shape}")
    if not np.isfinite(array).all() or not array.any(axis=1).all():
        raise UsageError(f"{name} have rows that are not finite, or zeros throughout: those have no direction")
    return unit(array)


def _wanted(relevant: Any, questions: int, candidates: int) -> list[set[int]]:
    if isinstance(relevant, np.ndarray) and relevant.dtype == bool:
        if relevant.shape != (questions, candidates):
            raise UsageError(f"the mask of what is relevant is {relevant.shape}, not {(questions, candidates)}")
        wanted = [set(np.flatnonzero(row).tolist()) for row in relevant]
    else:
        try:
            wanted = [
                {int(i) for i in one} if isinstance(one, set | frozenset) or np.ndim(one) else {int(one)}
                for one in relevant
            ]
        except (TypeError, ValueError):
            raise UsageError("what is relevant is a list with the numbers of candidates for each question") from None
    if len(wanted) != questions:
        raise UsageError(f"what is relevant is said of {len(wanted)} questions, and there are {questions}")
    for number, one in enumerate(wanted):
        if not one or min(one) < 0 or max(one) >= candidates:
            said = f"candidates {sorted(one)}" if one else "nothing"
            raise UsageError(f"question {number} has {said} relevant; candidates are 0 to {candidates - 1}")
    return wanted


def _measure(
    questions: Rows,
    wanted: Sequence[set[int]],
    own: Sequence[int | None],
    rows: Rows,
    starts: Numbers,
    cuts: Sequence[int],
    resamples: int,
    seed: int,
) -> Retrieval:
    """Figures of unit questions ``(q, dim)`` among candidates whose parts are unit ``rows``, each from ``starts`` on.

    ``own`` is the candidate that a question itself is, which it does not find.
    """
    found: list[npt.NDArray[np.int64]] = []
    step = max(1, BLOCK // max(1, len(rows)))
    # In float64, rounded: equal vectors get equal scores, wherever they stand in the product.
    wide = rows.astype(np.float64)
    for first in range(0, len(questions), step):
        block = questions[first : first + step]
        scores = np.maximum.reduceat(block.astype(np.float64) @ wide.T, starts, axis=1).astype(np.float32)
        relevant = np.zeros(scores.shape, bool)
        allowed = np.ones(scores.shape, bool)
        for i in range(len(block)):
            relevant[i, list(wanted[first + i])] = True
            if (self := own[first + i]) is not None:
                allowed[i, self] = False
        found += ranks(scores, relevant, allowed=allowed)
    candidates = [len(starts) - (one is not None) for one in own]
    return retrieval_from_ranks(found, candidates, cuts=cuts, resamples=resamples, seed=seed)


# -- cells -----------------------------------------------------------------------------------------------------------


def _pairs(collection: Collection, table: PairTable, to: str | None, skipped: Tell) -> Iterator[tuple[_Thing, _Thing]]:
    """The rows whose cells can be read, and whose targets are of one modality."""
    unusable: dict[str, list[int]] = {}
    for number, cells in enumerate(texts(table.path, (table.query, table.target))):
        if isinstance(cells, BadRow):
            unusable.setdefault(cells.reason, []).append(cells.row + 1)
            continue
        try:
            query, target = (_thing(collection, table.path.parent, cell.strip()) for cell in cells)
            to = to or target.media.modality
            if target.media.modality != to:
                raise MediaError(cells[1], f"is {target.media.modality}; the other targets are {to}")
            if query.key == target.key:
                raise MediaError(cells[1], "has the content of its query, which finds itself")
        except AnalogonError as error:
            skipped(f"skipped {table.path}, row {number + 1}: {error}")
        else:
            yield query, target
    for reason, numbers in unusable.items():
        which = f"row {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} rows"
        skipped(f"skipped {table.path}, {which}: {reason}")


def _thing(collection: Collection, folder: Path, cell: str) -> _Thing:
    if cell.startswith(ITEM):
        number = cell[len(ITEM) :].strip()
        item = collection.catalog.items([int(number)]).get(int(number)) if number.isdecimal() else None
        if item is None:
            raise MediaError(cell, f"{collection.name} has no such item")
        media, content = item.media.but(span=None), item.content
        return _Thing(media, collection.catalog.hashes([content])[content], content)
    file = next((path for path in (folder / Path(cell).expanduser(), Path(cell)) if _is_file(path)), None)
    if file is None and (cell.startswith(PATH_STARTS) or (modalities_of(cell) and " " not in cell)):
        raise MediaError(cell, f"no such file, neither in {folder} nor in the working directory")
    media = Media.from_text(cell) if file is None else Media.from_path(file)
    key = content_hash(media)
    if file is not None and media.modality == "text":  # asked with as a whole, not passage by passage
        media = Media.from_text(file.read_text("utf-8", "replace"))
    return _Thing(media, key, collection.catalog.content_of_hash(key))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a long text is no name of a file
        return False


# -- vectors ---------------------------------------------------------------------------------------------------------


def _space(
    collection: Collection,
    target: Modality,
    queries: set[Modality],
    names: Sequence[EncoderName],
) -> KnownSpace:
    """The first space that has vectors of the targets and an encoder that takes what the queries are."""
    spaces = [collection.adopt(name) for name in names] or collection.spaces
    have = [known for known in spaces if target in collection.modalities(known.space)]
    if not have:
        raise UsageError(f"{collection.name} holds no vectors of {target}, which the targets of the table are")
    for known in have:
        if queries & collection.encoder(known).modalities:
            return known
    models = ", ".join(known.space.model for known in have)
    raise UnsupportedModality(
        f"{collection.name} cannot be asked with {' or '.join(sorted(queries))}: {models} takes none"
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Vectors:
    """Vectors of things in one space: those that the collection has, and new ones of the rest."""

    collection: Collection
    known: KnownSpace
    skipped: Tell
    failed: set[str] = field(default_factory=set)

    def parts(self, things: Sequence[_Thing]) -> dict[str, Rows]:
        """The unit vectors ``(parts, dim)`` of each thing by its key, as they are when it is found."""
        found: dict[str, Rows] = {}
        new: dict[str, Media] = {}
        for thing in things:
            rows = self._stored(thing)
            if len(rows):
                found[thing.key] = rows
            else:
                new[thing.key] = thing.media
        return found | self._encoded(new)

    def asks(self, things: Sequence[_Thing], parts: Mapping[str, Rows]) -> dict[str, Rows]:
        """The unit vector ``(dim,)`` of each thing by its key, as it is when it asks: the mean of its parts.

        ``parts`` are known already; what a model encodes in another form as a query is encoded again.
        """
        encoder = self.collection.encoder(self.known)
        same: list[_Thing] = []
        other: dict[str, Media] = {}
        for thing in things:
            asked = encoder.embed_query(thing.media)
            if asked is thing.media:
                same.append(thing)
            else:
                other[thing.key] = asked
        missing = [thing for thing in same if thing.key not in parts]
        whole = {**parts, **self.parts(missing), **self._encoded(other)}
        asking = {thing.key for thing in same if thing.key in whole} | (other.keys() & whole.keys())
        return {key: unit(whole[key].sum(axis=0, dtype=np.float64)) for key in asking}

    def _stored(self, thing: _Thing) -> Rows:
        space, modality = self.known.space, thing.media.modality
        if thing.content is None:
            return np.zeros((0, space.dim), np.float32)
        rows = self.collection.catalog.rows_of_content(space.id, modality, thing.content)
        return np.array(self.collection.vectors(space, modality)[sorted(rows)])

    def _encoded(self, new: Mapping[str, Media]) -> dict[str, Rows]:
        """New vectors; what cannot be encoded is told once and left out."""
        encoder = self.collection.encoder(self.known)
        keys = [key for key in new if key not in self.failed]
        for key in [key for key in keys if new[key].modality not in encoder.modalities]:
            self._leave_out(key, f"{new[key].name}: {encoder.space.model} takes no {new[key].modality}")
            keys.remove(key)
        found: dict[str, list[Rows]] = {}
        for result in encode_stream(encoder, [new[key] for key in keys]):
            if isinstance(result, Encoded):
                found.setdefault(keys[result.index], []).append(result.vector)
            elif result.error is not None and not result.parts:
                self._leave_out(keys[result.index], str(result.error))
        if remark := encoder.remark(*(new[key] for key in found if new[key].modality == "text")):
            self.skipped(remark)
        return {key: np.stack(rows) for key, rows in found.items()}

    def _leave_out(self, key: str, reason: str) -> None:
        self.failed.add(key)
        self.skipped(f"skipped {reason}")
