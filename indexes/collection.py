"""A collection: a folder with a manifest, a catalog, vectors and indexes; create, open, search.

::

    drums/
      manifest.json                 the spaces, each with its full identity and how to load its encoder
      catalog.sqlite                whose the vectors are
      vectors/SPACE-MODALITY-N.f32  float32 unit rows, one after another; generation N
      indexes/SPACE-MODALITY.faiss  caches; each can be built again from the vectors
      indexes/SPACE-names-TOKEN.f32 a cache: vectors of what files are called; the catalog has the words
      indexes/columns-TOKEN.values  a cache: what filters ask of each file
      lock                          held by the one process that writes

The vectors on disk are the truth. A batch is written to the vector file and flushed to disk first, then the catalog
counts its rows in one transaction; a writer killed in between leaves rows that nobody counts.

A reader takes no lock. It asks within a snapshot: the catalog as of one commit, the spaces, and the vector files that
this commit names, mapped at its beginning. Counted rows of a file never change; rows that stay get other numbers only
in a file of another name, which is never used twice. What a writer does meanwhile, deleting files included, is not
seen: a file that is mapped can be read to the end.
"""

from __future__ import annotations

import difflib
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from embed.encoder import Encoder, resolve
from embed.errors import (
    CollectionDamaged,
    CollectionError,
    CollectionNotFound,
    EncoderError,
    MediaError,
    SpaceMismatch,
    printable,
)
from embed.media import Media, Modality
from embed.models import shared
from embed.pipeline import encode
from embed.space import Space
from indexes import where as filters
from indexes.asking import ByParts, ByWords
from indexes.catalog import Catalog
from indexes.columns import Columns, opened
from indexes.faiss import Cached
from indexes.faiss.cache import saved_at
from indexes.fields import COLUMNS, NUMBERS, column_of
from indexes.manifest import FORMAT, KnownSpace, read_manifest, write_manifest
from indexes.names import MoreNear, NameVectors
from indexes.narrowed import Narrowed, RowTest
from indexes.records import Item, Named, Store
from indexes.words import content_words

__all__ = ["Collection", "KnownSpace", "Namesakes", "Neighbour", "Rescore", "at_one_moment"]

Rows = npt.NDArray[np.float32]
# What a name must reach to be found by it. Chosen on Sonic Pi's samples and described recordings: long tails of weak
# matches lift what is middling in two lists above what is best in one.
NAME_LEAST: Final = 0.4  # cosine of a question and a name from which they may speak of the same
NAME_BEHIND: Final = 0.1  # cosine by which it may lie behind the best
WORDS_BEHIND: Final = 0.7  # share of the best BM25 score
Rescore = Callable[[npt.NDArray[np.int64], Rows], Rows]
"""New scores ``(n,)`` for rows ``(n,)`` of a vector file and their cosines ``(n,)``."""
RESCORED: Final = 4096  # rows that are ordered anew where a search asks for that
NAMED: Final = 8  # collections that are named where another was meant
CALLED: Final = 256  # files of one name that are looked at, at least
FILTERED: Final = 64 << 20  # bytes of masks of filters that are kept while nothing is committed, beside the last one's
MEAN_BYTES: Final = 16 << 20  # of vectors that are summed at a time
READ: Final = 256  # rows whose items are read at a time
SNAPSHOTS: Final = 100  # that are tried where writers delete the files of each before they could be opened


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An item and its score: the cosine with the query.

    ``ranked`` is the score that ordered the list, where that is another. ``row`` is the item's row in the vector file
    that was asked; -1 where none was.
    """

    item: Item
    score: float
    ranked: float
    row: int = -1


@dataclass(frozen=True, slots=True)
class Namesakes:
    """What was found by name, best first, each item a whole file with the source of that name first.

    ``exact`` are called just what was asked for, with the extension or without. ``parts`` have it in their file's name,
    their scores are its share of that. ``words`` share words with the question, their scores are BM25; ``whole`` share
    all of its words. ``meaning`` are near to it in the names' space, their scores are cosines; None where there is no
    such space. ``cosines`` has those of the sources that were found by id. ``note`` says why a space that is recorded
    did not answer, ``common`` of which words only some names were looked at.
    """

    words: list[Neighbour]
    whole: list[Neighbour]
    meaning: list[Neighbour] | None
    cosines: Mapping[int, float]
    note: str | None = None
    exact: Sequence[Neighbour] = ()
    parts: Sequence[Neighbour] = ()
    common: str | None = None


Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def at_one_moment(method: Callable[Concatenate[Any, Given], Answer]) -> Callable[Concatenate[Any, Given], Answer]:
    """A method whose object has a ``collection``, within one snapshot of that."""

    @functools.wraps(method)
    def within(self: Any, /, *arguments: Given.args, **named: Given.kwargs) -> Answer:
        with self.collection.snapshot():
            return method(self, *arguments, **named)

    return within


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """What a snapshot holds beside the catalog: the manifest, and vector files with their counted rows, mapped."""

    manifest: dict[str, Any]
    stores: Mapping[tuple[str, str], Store]
    vectors: Mapping[tuple[str, str], Rows]


class _Thread(threading.local):
    """The view of a thread's snapshot."""

    view: _View | None = None


class Collection:
    """An open collection. Reading needs no lock and goes on while another process or thread writes.

    Several threads may use it. Each method answers as of one moment; several of them do within one ``snapshot``.
    """

    def __init__(self, path: Path, catalog: Catalog) -> None:
        self.path = path
        self.catalog = catalog
        self._thread = _Thread()
        self._identity = _identity(catalog.path)
        self._maps: dict[str, Rows] = {}
        self._adopted: dict[str, dict[str, Any]] = {}
        self._indexes: dict[tuple[str, str], Cached] = {}
        self._masks: dict[str, tuple[int, int, npt.NDArray[np.bool_]]] = {}  # of files: rows, dead, and which live
        self._names: NameVectors | None = None
        self._columns: Columns | None = None
        self._filtered: dict[tuple[Any, ...], tuple[object, npt.NDArray[np.bool_]]] = {}  # the last one comes last
        self.kept: dict[Any, Any] = {}
        """What others keep for as long as the collection is open: of which state it is is theirs to say."""

    # -- create and open -----------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """A collection, and what holds on to one, pickles as its path: another process opens it."""
        return Collection.open, (self.path,)

    @classmethod
    def create(cls, path: Path) -> Collection:
        """Make an empty collection. Raises ``CollectionError`` where something else lies in the folder."""
        path = Path(os.path.expanduser(path)).resolve()
        if (path / "manifest.json").exists():
            raise CollectionError(f"{path}: there is a collection already")
        if path.exists() and (not path.is_dir() or not _only_remains(path)):
            raise CollectionError(f"{path}: not empty; a new collection wants a folder of its own")
        try:
            (path / "vectors").mkdir(parents=True, exist_ok=True)
            (path / "indexes").mkdir(exist_ok=True)
        except OSError as error:
            raise CollectionError(f"{path}: cannot be made: {error.strerror or error}") from None
        for remains in path.glob("catalog.sqlite*"):
            remains.unlink()
        Catalog(path / "catalog.sqlite", create=True).close()
        # The manifest comes last: without it there is no collection, and a killed create can simply be tried again.
        manifest = {"format": FORMAT, "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "spaces": []}
        write_manifest(path, manifest)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Collection:
        """Open a collection. Raises ``CollectionNotFound``, or ``CollectionDamaged`` naming what does not fit."""
        path = Path(os.path.expanduser(path)).resolve()
        try:
            found = (path / "manifest.json").is_file()
        except OSError as error:
            raise CollectionError(f"{path}: cannot be read: {error.strerror or error}") from None
        if not found:
            raise CollectionNotFound(
                f"{path}: no collection there{_beside(path)}; "
                f"`analogon.open({path.name!r}, create=True).index(FOLDER)` makes one"
            )
        read_manifest(path)
        collection = cls(path, Catalog(path / "catalog.sqlite"))
        try:
            with collection.snapshot():
                return collection
        except BaseException:
            collection.close()
            raise

    def close(self) -> None:
        """Close the catalog, and let go of the files that were mapped: Windows deletes none that are."""
        self.catalog.close()
        self._maps = {}
        self._indexes.clear()
        self._names = None
        self._masks.clear()
        self.kept.clear()
        self._filtered.clear()
        self._columns = None

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.catalog.closed

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The folder's name, as messages have it: in one line, without what would command a terminal."""
        return printable(self.path.name)

    # -- one moment ----------------------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that this thread asks inside is answered as of one moment: spaces, vectors, items, names.

        It holds up no writer and no other thread. Raises ``CollectionNotFound`` where the collection was deleted
        since it was opened, ``CollectionDamaged`` where its files do not fit the catalog.
        """
        if self._thread.view is not None:
            yield
            return
        before: list[Store] | None = None
        for _ in range(SNAPSHOTS):
            with ExitStack() as stack:
                stack.enter_context(self.catalog.snapshot())
                stores = self.catalog.stores()
                try:
                    view = self._view(stores)
                except CollectionDamaged:
                    # Either writers came between that deleted a file, and then this was not the last state, or it is.
                    if stores == before:
                        raise
                    before = stores
                    continue
                self._thread.view = view
                try:
                    yield
                finally:
                    self._thread.view = None
                return
        raise CollectionError(f"{self.name} is written so fast that it could not be read; try again")

    def _view(self, stores: Sequence[Store]) -> _View:
        if _identity(self.catalog.path) != self._identity:
            raise CollectionNotFound(f"{self.path}: the collection was deleted since it was opened")
        # After the catalog: a space is in the manifest before it has vectors, and leaves it after them.
        manifest = read_manifest(self.path)
        dims = {Space.from_json(one["space"]).id: Space.from_json(one["space"]).dim for one in manifest["spaces"]}
        maps, maps_then = {}, self._maps
        for store in stores:
            held = maps_then.get(store.file)
            if held is None or len(held) < store.rows:
                held = self._map(store, dims.get(store.space, 0))
            maps[store.file] = held
        self._maps = maps
        return _View(
            manifest,
            {(store.space, store.modality): store for store in stores},
            {(store.space, store.modality): maps[store.file][: store.rows] for store in stores},
        )

    def _map(self, store: Store, dim: int) -> Rows:
        """The counted rows of a vector file. Raises ``CollectionDamaged``."""
        path = self._check(store, dim)
        if not store.rows:
            return np.zeros((0, dim), dtype=np.float32)
        try:
            return np.memmap(path, dtype=np.float32, mode="r", shape=(store.rows, dim))
        except FileNotFoundError:
            self._check(store, dim)  # gone since
            raise

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest: within a snapshot that one's, else as it is now."""
        return self._thread.view.manifest if self._thread.view is not None else read_manifest(self.path)

    # -- spaces and encoders -------------------------------------------------------------------------------------

    @property
    def spaces(self) -> list[KnownSpace]:
        """The spaces, in the order in which they were added."""
        return [KnownSpace.of(entry) for entry in self.manifest["spaces"]]

    def space(self, space: Space) -> KnownSpace:
        """The entry of a space. Raises ``SpaceMismatch``, naming both sides, where the collection has no such one."""
        for known in self.spaces:
            if known.space == space:
                return known
        have = "; ".join(str(known.space) for known in self.spaces) or "no space yet"
        raise SpaceMismatch(f"{self.name} was indexed with {have}; the encoder asked for is {space}")

    def encoder(self, known: KnownSpace) -> Encoder:
        """The encoder of a space, from ``embed.models``.

        Raises ``SpaceMismatch``, naming both, where the model on disk is no longer the one that made the vectors.
        """
        encoder = shared(self._adopted.get(known.space.id, known.encoder), precision=known.precision)
        if encoder.space != known.space:
            raise SpaceMismatch(
                f"{self.name} was indexed with {known.space}; what is there now under that name is "
                f"{encoder.space}. Put the old model back, name it with `encoders`, or index into a new collection"
            )
        return encoder

    @property
    def names(self) -> KnownSpace | None:
        """The space in which names are compared, if one was ever chosen."""
        entry = self.manifest.get("names")
        return KnownSpace.of(entry) if entry else None

    def adopt(self, name: str | os.PathLike[str] | Mapping[str, Any] | Encoder | Space) -> KnownSpace:
        """Use the encoder of that name, as ``embed.load`` takes it, for its space, instead of the manifest's.

        A name that one of the spaces here goes by, whole or without its folders, means that one, and nothing is loaded;
        a space itself means itself.
        Raises ``SpaceMismatch`` where the space is not here.
        """
        if isinstance(name, Space):
            return self.space(name)
        if isinstance(name, str) and (here := self._called(name)) is not None:
            return here
        table = resolve(name)
        known = self.space(shared(table).space)
        self._adopted[known.space.id] = table
        return known

    def _called(self, name: str) -> KnownSpace | None:
        """The only space that goes by a name: its model's, or that without the folders before it."""
        model = name.partition(":")[2]
        if model and Path(model).expanduser().exists():
            return None  # the folder that was typed counts: the one that the manifest knows may have moved
        for short in (False, True):
            found = [known for known in self.spaces if name == (known.space.name if short else known.space.model)]
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def adopt_for_names(self, space: Space) -> None:
        """Compare names in a space; vectors of names in another are dropped."""
        if self.names is None or self.names.space != space:
            self._names = None

    def modalities(self, space: Space) -> list[Modality]:
        """The modalities of which a space holds vectors here."""
        with self.snapshot():
            assert self._thread.view is not None
            return [
                store.modality for store in self._thread.view.stores.values() if store.space == space.id and store.rows
            ]

    # -- vectors and indexes -------------------------------------------------------------------------------------

    def vectors(self, space: Space, modality: Modality) -> npt.NDArray[np.float32]:
        """All counted rows of a vector file, float32 ``(rows, dim)``, memory-mapped; some may be dead."""
        with self.snapshot():
            assert self._thread.view is not None
            found = self._thread.view.vectors.get((space.id, modality))
            return np.zeros((0, space.dim), dtype=np.float32) if found is None else found

    def vector(self, space: Space, item: int) -> npt.NDArray[np.float32]:
        """An item's vector, float32 ``(dim,)``. Raises ``CollectionError`` where the space has none of it."""
        with self.snapshot():
            found = self.catalog.row_of_item(space.id, item)
            if found is None:
                raise CollectionError(f"{self.name} has no item {item} in {space.model}")
            modality, row = found
            return np.array(self.vectors(space, modality)[row])

    def file(self, space: Space, modality: Modality) -> tuple[str, int]:
        """The name of a vector file and how many of its rows are counted: the same always means the same vectors."""
        with self.snapshot():
            assert self._thread.view is not None
            store = self._thread.view.stores.get((space.id, modality))
            return (store.file, store.rows) if store else ("", 0)

    def index(self, space: Space, modality: Modality) -> Cached:
        """The index over a space's vectors of one modality, brought up to date with the catalog."""
        with self.snapshot():
            stamp = self.file(space, modality)
            key = (space.id, modality)
            found = self._indexes.get(key)
            cache = self.path / "indexes" / f"{space.id}-{modality}.faiss"
            if found is None or found.stamp != stamp or found.saved != saved_at(cache):
                found = self._indexes[key] = Cached.open(cache, self.vectors(space, modality), stamp, found)
            return found

    def nearest(
        self,
        space: Space,
        modality: Modality,
        query: npt.NDArray[np.float32],
        k: int,
        *,
        where: filters.Expression | None = None,
        without: frozenset[int] = frozenset(),
        parts: bool = False,
        only: Sequence[RowTest] = (),
        rescore: Rescore | None = None,
    ) -> list[Neighbour]:
        """The ``k`` best items for a unit query ``(dim,)``, best first, scores are cosines.

        Of a content with several parts only the best counts, unless ``parts``. ``without`` are ids of contents left
        out. With ``where`` an item keeps only the sources that fulfil it. ``only`` are tests: rows that do not pass
        all are not found. ``rescore`` orders the ``RESCORED`` rows of highest cosine anew.
        """
        with self.snapshot():
            index = self.index(space, modality)
            condition = filters.compile(where, column_of) if where is not None else None
            tests = [_Filter(self, space, modality, where, condition), *only] if where and condition else only
            narrowed = Narrowed(index, self._live(space, modality), tests)
            found: dict[int, Neighbour] = {}
            fetch = 0
            while len(found) < k and fetch < index.size:
                # Deep answers cost an approximate index dear: begin near to k, and go on where windows share files.
                fetch = min(index.size, 4 * fetch or (RESCORED if rescore else k + k // 2 + len(without)))
                places, cosines = narrowed.search(query, fetch)
                count = len(places)
                ranked = cosines if rescore is None else rescore(places, cosines)
                order = np.argsort(-ranked, kind="stable")
                rows = places[order].tolist()
                # Items are read only as far down the list as they are needed.
                found = {}
                for start in range(0, count, READ):
                    some = rows[start : start + READ]
                    ids = self.catalog.items_of_rows(space.id, modality, some)
                    items = self.catalog.items(sorted(ids.values()))
                    for row, at in zip(some, order[start : start + READ].tolist(), strict=True):
                        item = items.get(ids.get(row, -1))
                        if item is None or item.content in without:
                            continue
                        neighbour = Neighbour(item, float(cosines[at]), float(ranked[at]), row)
                        found.setdefault(item.id if parts else item.content, neighbour)
                        if len(found) == k:
                            break
                    if len(found) == k:
                        break
                if len(rows) < fetch:
                    break
            return [self._narrow(neighbour, condition) for neighbour in found.values()]

    def namesakes(
        self,
        question: str,
        modalities: Sequence[Modality],
        k: int,
        *,
        where: filters.Expression | None = None,
        without: frozenset[int] = frozenset(),
        best: bool = False,
    ) -> Namesakes:
        """The ``k`` best contents for a question by what they are called: by its words, and by its meaning.

        ``best`` leaves out what lies far behind the best.
        """
        with self.snapshot():
            condition = filters.compile(where, column_of) if where is not None else None

            items: dict[int, Item] = {}  # the lists hold much the same

            def gather(found: Sequence[tuple[int, float]]) -> list[Neighbour]:
                return self._gather(found, modalities, k, condition, without, items)

            asked = content_words(question)
            called = self.catalog.sources_called(question, modalities, condition, limit=CALLED + k + len(without))
            exact = gather([(source, 1.0) for source in called])
            by_words = self.catalog.sources_with_words(asked, modalities, condition)
            words = gather(by_words.some)
            words = [one for one in words if not best or one.score >= WORDS_BEHIND * words[0].score]
            whole = gather(by_words.all) if len(asked) > 1 else words
            parts = ByParts([])
            if len(words) < k and not (best and whole):  # which would come before
                parts = self.catalog.sources_with_part(question, modalities, condition)
            found = Namesakes(
                words, whole, None, {}, None, exact, gather(parts.found), _common(by_words, parts, question)
            )
            if self.names is None:
                return found
            try:
                encoder = self.encoder(self.names)
            except (EncoderError, SpaceMismatch) as error:
                return replace(found, note=f"names were compared by their words alone: {error}")
            try:
                query = encode(encoder, [Media.from_text(question)], query=True).array[0]
            except MediaError:  # no word of it means anything to the encoder
                return replace(found, meaning=[])
            vectors = self.name_vectors(encoder)
            pages = vectors.search(query, NAME_LEAST, self.catalog.narrowing(modalities, condition), k + k // 2)
            near: list[tuple[int, float]] = []
            meaning: list[Neighbour] = []
            common = found.common
            try:
                for page in pages:
                    near += page
                    meaning = gather(near)
                    if len(meaning) >= k or (best and page and page[-1][1] < near[0][1] - NAME_BEHIND):
                        break
            except MoreNear:
                if len(meaning) < k and not best:
                    common = common or "very many names mean something near: only the nearest were looked at"
            meaning = [one for one in meaning if not best or one.score >= meaning[0].score - NAME_BEHIND]
            shown = [one.item.sources[0].id for some in (words, whole, exact, found.parts, meaning) for one in some]
            new = "many names are new, and were compared by their words alone: index again"
            told = dict(near)  # what was found by its meaning has been compared already
            cosines = {source: told[source] for source in shown if source in told}
            cosines |= vectors.cosines(query, (source for source in shown if source not in told))
            note = new if vectors.missing else None
            return replace(found, meaning=meaning, cosines=cosines, note=note, common=common)

    def _gather(
        self,
        found: Sequence[tuple[int, float]],
        modalities: Sequence[Modality],
        k: int,
        condition: filters.Condition | None,
        without: frozenset[int],
        items: dict[int, Item],
    ) -> list[Neighbour]:
        """The first ``k`` contents that sources, best first, lead to; ``items`` are known, and get more."""
        best: dict[tuple[int, str], tuple[Named, float]] = {}
        for start in range(0, len(found), READ):
            some = found[start : start + READ]
            held = self.catalog.named([source for source, _ in some], modalities, condition)
            for source, score in some:
                for named in held.get(source, ()):
                    if named.content not in without:
                        best.setdefault((named.content, named.modality), (named, score))
            if len(best) >= k:
                break
        first = list(best.values())[:k]
        items |= self.catalog.items([named.item for named, _ in first if named.item not in items])
        neighbours = []
        for named, score in first:
            item = items[named.item]
            if len(item.sources) > 1:
                item = replace(item, sources=tuple(sorted(item.sources, key=lambda one: one.id != named.source)))
            if item.span is not None and item.modality in ("audio", "video"):
                item = replace(item, span=None)
            neighbours.append(self._narrow(Neighbour(item, score, score), condition))
        return neighbours

    def name_vectors(self, encoder: Encoder) -> NameVectors:
        """The vectors of what files are called as the catalog has it now; made here where the cache is behind."""
        with self.snapshot():
            held = self._names
            if held is None or held.stamp != NameVectors.state(self.catalog, encoder):
                held = self._names = NameVectors(self.catalog, self.path / "indexes", encoder, held)
            return held

    def filter(self, text: str) -> filters.Expression:
        """Parse a filter over the fields that are known here. Raises ``FilterError``, naming those, for another."""
        return filters.parse(text, known=self.fields(), numbers=NUMBERS)

    def fields(self) -> set[str]:
        """The names that a filter knows here: of columns, labels, facts, and of what every file has."""
        return self.catalog.fields() | set(COLUMNS)

    def _narrow(self, neighbour: Neighbour, condition: filters.Condition | None) -> Neighbour:
        if condition is None or len(neighbour.item.sources) == 1:
            return neighbour
        item = neighbour.item
        ids = self.catalog.matching_sources(item.content, condition.sql, condition.parameters)
        kept = tuple(source for source in item.sources if source.id in ids)
        return replace(neighbour, item=replace(item, sources=kept))

    def live(self, space: Space, modality: Modality) -> npt.NDArray[np.bool_]:
        """Which rows of ``vectors`` count, bool ``(n,)``, not to be written; ask for both within one snapshot.

        It costs what has died since somebody asked last.
        """
        with self.snapshot():
            found = self._live(space, modality)
            return np.broadcast_to(np.True_, len(self.vectors(space, modality))) if found is None else found

    def live_rows(self, space: Space, modality: Modality) -> npt.NDArray[np.int64]:
        """The rows of ``vectors`` that count, int64 ``(n,)`` in order; ask for both within one snapshot."""
        return np.flatnonzero(self.live(space, modality))

    def mean(self, space: Space, modality: Modality) -> npt.NDArray[np.float32]:
        """The mean of the rows that count, float32 ``(dim,)``, summed in float64; NaN where there are none.

        One pass over all rows.
        """
        with self.snapshot():
            vectors, live = self.vectors(space, modality), self._live(space, modality)
            total, step = np.zeros(space.dim), max(1, MEAN_BYTES // (4 * space.dim))
            for start in range(0, len(vectors), step):
                some = vectors[start : start + step]
                total += (some if live is None else some[live[start : start + step]]).sum(axis=0, dtype=np.float64)
            with np.errstate(invalid="ignore"):
                return (total / self.count(space, modality)).astype(np.float32)

    def count(self, space: Space, modality: Modality) -> int:
        """How many rows of ``vectors`` count."""
        with self.snapshot():
            assert self._thread.view is not None
            store = self._thread.view.stores.get((space.id, modality))
            return store.rows - store.dead if store else 0

    def _live(self, space: Space, modality: Modality) -> npt.NDArray[np.bool_] | None:
        """Which rows count, within a snapshot; None means all."""
        assert self._thread.view is not None
        store = self._thread.view.stores.get((space.id, modality))
        if store is None or not store.dead:
            return None
        rows, dead, mask = self._masks.get(store.file, (0, 0, np.zeros(0, np.bool_)))
        if (rows, dead) == (store.rows, store.dead):
            return mask
        if rows > store.rows or dead > store.dead:  # what is kept is of a later moment than this snapshot
            rows, dead, mask = 0, 0, mask[:0]
        mask = np.concatenate([mask, np.ones(store.rows - rows, np.bool_)])
        mask[self.catalog.dead_rows(store.file, dead)[: store.dead - dead]] = False
        mask.flags.writeable = False
        self._masks = {file: kept for file, kept in self._masks.items() if file in self._maps} | {
            store.file: (store.rows, store.dead, mask)
        }
        return mask

    def _fulfilled(
        self, space: Space, modality: Modality, where: filters.Expression, condition: filters.Condition
    ) -> npt.NDArray[np.bool_]:
        """Which rows fulfil a filter, within a snapshot; of dead ones it says nothing."""
        key, state = _filter_key(space, modality, condition), self.catalog.state()
        kept = self._filtered.pop(key, None)  # the same filter is often asked again: with the next question
        if kept is None or kept[0] != state:
            kept = (state, self._all_that_fulfil(space, modality, where, condition))
        self._filtered[key] = kept
        held = sum(mask.nbytes for _, mask in self._filtered.values())
        for oldest in list(self._filtered)[:-1]:
            if held > FILTERED and (gone := self._filtered.pop(oldest, None)) is not None:
                held -= gone[1].nbytes
        return kept[1]

    def _all_that_fulfil(
        self, space: Space, modality: Modality, where: filters.Expression, condition: filters.Condition
    ) -> npt.NDArray[np.bool_]:
        assert self._thread.view is not None
        store = self._thread.view.stores[space.id, modality]
        mask: npt.NDArray[np.bool_] | None = None
        if (columns := self._columns_for(where)) is not None:
            with suppress(ValueError, IndexError, KeyError):  # a damaged file: it is a cache
                mask = columns.matching(self.catalog, store, where, condition)
        if mask is None:
            mask = np.zeros(store.rows, np.bool_)
            mask[self.catalog.matching_rows(space.id, modality, condition.sql, condition.parameters)] = True
        mask.flags.writeable = False
        return mask

    def _columns_for(self, where: filters.Expression) -> Columns | None:
        """The columns as this snapshot's catalog names them, where they know all that a filter asks for."""
        found = self._columns = opened(self.catalog, self.path / "indexes", self._columns)
        return found if found is not None and found.knows(where) else None

    def _check(self, store: Store, dim: int) -> Path:
        path = self.path / "vectors" / store.file
        try:
            have = path.stat().st_size
        except FileNotFoundError:
            have = -1
        if not dim or have < store.rows * dim * 4:
            found = "is missing" if have < 0 else f"holds {have} bytes"
            raise CollectionDamaged(
                f"{path} {found}; the catalog counts {store.rows} vectors of {dim} components in it "
                f"({store.rows * dim * 4} bytes). Restore it from a copy, or index again into a new collection"
            )
        return path


def _filter_key(space: Space, modality: Modality, condition: filters.Condition) -> tuple[Any, ...]:
    return space.id, modality, condition.sql, repr(condition.parameters)


class _Filter:
    """The rows of a (space, modality) that fulfil a filter, as of the snapshot that it is asked in."""

    def __init__(
        self,
        collection: Collection,
        space: Space,
        modality: Modality,
        where: filters.Expression,
        condition: filters.Condition,
    ) -> None:
        self._collection, self._space, self._modality = collection, space, modality
        self._where, self._condition = where, condition

    @property
    def at_hand(self) -> bool:
        collection = self._collection
        kept = collection._filtered.get(_filter_key(self._space, self._modality, self._condition))
        known = kept is not None and kept[0] == collection.catalog.state()
        columns = None if known else collection._columns_for(self._where)
        return known or (columns is not None and not any(map(columns.has_texts, filters.fields(self._where))))

    def among(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self._collection.catalog.matching_among(
            self._space.id, self._modality, rows, self._condition.sql, self._condition.parameters
        )

    def all(self) -> npt.NDArray[np.bool_]:
        return self._collection._fulfilled(self._space, self._modality, self._where, self._condition)


def _common(by_words: ByWords, by_parts: ByParts, question: str) -> str | None:
    """What is to be said of names that were not looked at."""
    if by_words.common:
        said = ", ".join(map(repr, by_words.common[:NAMED])) + (" and more" if len(by_words.common) > NAMED else "")
        return f"very many names have {said}: only some of those were looked at"
    return None if by_parts.whole else f"very many names have the letters of {question!r}: only some were looked at"


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file it is that has a name now; none else can be taken for it while it is open."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _only_remains(path: Path) -> bool:
    """Whether a folder holds nothing but what a killed ``create`` leaves."""
    ours = {"vectors", "indexes", "lock", "lock.holder"}
    return all(p.name in ours or p.name.startswith(("catalog.sqlite", "manifest.json.")) for p in path.iterdir())


def _beside(path: Path) -> str:
    """Which collections lie beside a folder that is none, those of like names first."""
    try:
        names = sorted(manifest.parent.name for manifest in path.parent.glob("*/manifest.json"))
    except OSError:
        return ""
    names.sort(key=lambda name: -difflib.SequenceMatcher(None, name, path.name).ratio())
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"; there are: {', '.join(names[:NAMED])}{more}" if names else ""
