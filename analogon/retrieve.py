"""Query to hits: encode what is asked once for each space, ask the index of each modality, read the catalog."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import numpy.typing as npt

from analogon import config
from analogon.doctor import PHRASES
from analogon.fusion import Ranked, fuse
from analogon.hits import Hit, Reason
from analogon.show import LOOKS_AT, hits_html
from embed.encoder import Encoder, resolve
from embed.encoder import load as load_encoder
from embed.errors import CollectionNotFound, EncoderError, UnsupportedModality, UsageError
from embed.media import MODALITIES, Media, Modality, content_hash
from embed.pipeline import encode
from indexes.build import Listener, Plan, Report, SideTable, build
from indexes.catalog import Item, Source
from indexes.collection import Collection, KnownSpace, Namesakes, Neighbour
from indexes.words import split

__all__ = ["Hit", "Hits", "Library", "as_query"]

WAYS: Final = ("sound", "name", "both")
DEPTH: Final = 100  # how far down each list is read where content and names are joined
WHOLE: Final = 0.02  # what a name gets that has all the words asked for: enough to come before an equal that has not


class Hits(Sequence[Hit]):
    """Hits, best first, and notes on what could not be asked. In a notebook they show players and thumbnails."""

    def __init__(self, query: str, hits: Sequence[Hit], notes: Sequence[str] = ()) -> None:
        self.query = query
        self.notes = tuple(notes)
        self._hits = tuple(hits)

    def __len__(self) -> int:
        return len(self._hits)

    def __getitem__(self, index: Any) -> Any:
        return self._hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __repr__(self) -> str:
        lines = [f"{hit.rank:3} {hit.score:6.3f}  {hit.path}  {hit.where}".rstrip() for hit in self._hits]
        return "\n".join([f"{len(self)} hits for {self.query}", *lines])

    def _repr_html_(self) -> str:
        return hits_html(self.query, self)


def as_query(query: str | os.PathLike[str] | Media) -> Media:
    """What a person typed as a medium: an existing file, or what starts with ``./``, is media; all else is text."""
    if isinstance(query, Media):
        return query
    text = os.fspath(query)
    if _is_file(query):
        path = str(Path(text).expanduser())
        media = Media.from_path(path)
        if media.modality == "text":
            return Media.from_text(Path(path).read_text("utf-8", "replace"))
        return media
    if not text.strip():
        raise UsageError("the query is empty: write a text or name a file")
    return Media.from_text(text)


def _is_file(query: str | os.PathLike[str] | Media) -> bool:
    """Whether a query is a file, not words."""
    if isinstance(query, Media):
        return query.text is None
    text = os.fspath(query)
    looks_like_path = not isinstance(query, str) or text.startswith(("./", "../", "/", "~/"))
    return looks_like_path or Path(text).is_file()


def _question(query: str | os.PathLike[str] | Media, media: Media) -> str:
    """What to compare names with: the words that were typed, or those of a file's name."""
    if not _is_file(query):
        return media.text or ""
    path = query.path if isinstance(query, Media) else os.fspath(query)
    return " ".join(split(Path(path).stem)) if path else ""


class Library:
    """An open collection that can be asked and added to: the one door of the Python interface.

    ``analogon.open("drums")`` gives one.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    @classmethod
    def open(cls, path: Path) -> Library:
        """Open the collection in a folder. Raises ``CollectionNotFound``."""
        return cls(Collection.open(path))

    @classmethod
    def open_or_create(cls, path: Path) -> Library:
        """Open the collection in a folder, or make an empty one."""
        try:
            return cls.open(path)
        except CollectionNotFound:
            return cls(Collection.create(path))

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.collection.close()

    def __repr__(self) -> str:
        counts = self.collection.catalog.counts()
        spaces = ", ".join(known.space.model for known in self.collection.spaces) or "no encoder yet"
        return (
            f"<analogon collection {self.collection.name}: {counts['source']} files, {counts['item']} items, {spaces}>"
        )

    def index(
        self,
        *paths: str | os.PathLike[str],
        encoders: Sequence[str | os.PathLike[str] | Mapping[str, Any]] = (),
        metadata: str | os.PathLike[str] | None = None,
        key: str = "file",
        text_column: str | None = None,
        only: Sequence[str] = (),
        prune: bool = False,
        retry: bool = False,
        memory: int | None = None,
        name_encoder: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        listener: Listener | None = None,
    ) -> Report:
        """Index files and folders; what is known already is not encoded again.

        ``encoders`` are names as ``embed.load`` takes them; without any, those that the collection has. ``metadata``
        is a table whose column ``key`` names the files. ``text_column`` makes the rows of tables into texts.
        ``memory`` is the budget of each search index in bytes. ``name_encoder`` compares names and captions; without
        it the one that is set, that the collection has, or the starter's.
        """
        if unknown := [name for name in only if name not in MODALITIES]:
            raise UsageError(f"there is no modality {unknown[0]!r}; there are: {', '.join(MODALITIES)}")
        plan = Plan(
            paths=tuple(os.fspath(path) for path in paths),
            text_column=text_column,
            side_table=SideTable.read(os.fspath(metadata), key) if metadata is not None else None,
            only=frozenset(m for m in MODALITIES if m in only) if only else None,
            prune=prune,
            retry=retry,
            memory=memory,
            probes=PHRASES,
        )
        pairs = [(load_encoder(table), table) for table in map(resolve, encoders)] or [
            (self.collection.encoder(known), known.encoder) for known in self.collection.spaces
        ]
        if not pairs:
            raise UsageError(
                f"{self.collection.name} has no encoder yet: name one with --encoder, such as clap or clip"
            )
        return build(self.collection, pairs, plan, listener, names=self._name_encoder(name_encoder))

    def _name_encoder(
        self, named: str | os.PathLike[str] | Mapping[str, Any] | None
    ) -> tuple[Encoder, dict[str, Any]] | None:
        """The encoder of names and its table; None where nobody named one and the usual one is not at hand."""
        chosen = named or config.name_encoder()
        known = self.collection.names
        table = resolve(chosen or (known.encoder if known else config.BUILT_IN_NAME_ENCODER))
        try:
            encoder = load_encoder(table)
        except EncoderError:
            if chosen:
                raise
            return None
        if "text" not in encoder.modalities:
            raise UnsupportedModality(f"{encoder.space.model} cannot compare names: it takes no text")
        return encoder, table

    def search(
        self,
        query: str | os.PathLike[str] | Media,
        *,
        to: str | None = None,
        k: int = 10,
        where: str | None = None,
        offset: int = 0,
        encoders: Sequence[str | os.PathLike[str] | Mapping[str, Any]] = (),
        parts: bool = False,
        include_self: bool = False,
        by: str | None = None,
    ) -> Hits:
        """The ``k`` best hits for a text or a file, after the first ``offset``.

        ``to`` chooses the modality of the hits; without it, all that the query's space has here, texts only where
        there is nothing else. Where several spaces or modalities answer, their lists are merged by rank, since cosines
        of different spaces or modalities cannot be compared. A file that is itself in the collection is left out
        unless ``include_self``.

        ``by`` says what is compared: "sound", the content, of pictures and texts as well; "name", what files are
        called, file names, folders and captions; "both", joined by rank. Without it a text asks both and a file its
        content alone. Where the content cannot be asked, "both" answers by name and says so in ``Hits.notes``.
        Raises ``UsageError``, ``FilterError``, ``SpaceMismatch``, ``MediaError``.
        """
        if k < 1 or offset < 0:
            raise UsageError(f"k must be at least 1 and the offset at least 0, not {k} and {offset}")
        if to is not None and to not in MODALITIES:
            raise UsageError(f"there is no modality {to!r}; there are: {', '.join(MODALITIES)}")
        if by is not None and by not in WAYS:
            raise UsageError(f"hits are found by {', '.join(WAYS)}, not by {by!r}")
        media = as_query(query)
        by = by or ("sound" if _is_file(query) else "both")
        expression = self.collection.filter(where) if where else None
        without = frozenset() if include_self else self._own(media)
        depth = k + offset if by == "sound" else max(k + offset, DEPTH)
        notes: list[str] = []
        lists: list[_Answers] = []
        unasked: UsageError | None = None
        if by != "name":
            try:
                targets = self._targets(media, to, encoders)
            except UsageError as error:
                if by == "sound":
                    raise
                targets, unasked = [], error
            for known, modality in targets:
                vector = self.encode_query(known, media)
                found = self.collection.nearest(
                    known.space, modality, vector, depth, where=expression, without=without, parts=parts
                )
                if found and (doubt := self.collection.encoder(known).doubt(media, modality, found[0].score)):
                    notes.append(doubt)
                answers = [_Answer(one.item, one.score, one.score, known.space.model) for one in found]
                lists.append(_Answers("sound", answers))
        if by != "sound":
            kinds = self._named_kinds(to, {answer.item.modality for one in lists for answer in one.found})
            question = _question(query, media)
            if not question:
                raise UsageError(f"the name of {media.name} says nothing that could be compared with other names")
            called = self.collection.namesakes(
                question, kinds, depth, where=expression, without=without, best=by == "both"
            )
            notes += [called.note] if called.note else []
            lists += self._by_name(called)
            if unasked is not None:
                if not any(one.found for one in lists):
                    raise unasked
                notes.append(f"found by name alone: {unasked}")
        return Hits(media.name, _joined(lists, parts)[offset : offset + k], notes)

    def _named_kinds(self, to: str | None, answering: set[Modality]) -> list[Modality]:
        """The modalities to look for by name: texts only where texts are asked for, answer, or are all there is."""
        there = self.collection.catalog.kinds()
        if to is None:
            return sorted((there - {"text"}) | answering or there)
        return [modality for modality in MODALITIES if modality == to]

    def _by_name(self, called: Namesakes) -> list[_Answers]:
        """What was found by words and by meaning as lists that together count about as much as one space does."""
        model = self.collection.names.space.model if self.collection.names else ""

        def answer(one: Neighbour) -> _Answer:
            cosine = called.cosines.get(one.item.sources[0].id)
            if cosine is None:
                return _Answer(one.item, one.score, one.score, "BM25")
            return _Answer(one.item, one.score, cosine, model)

        lists = [called.words] if called.meaning is None else [called.meaning, called.words]
        weighted = [(found, 1 / len(lists)) for found in lists] + [(called.whole, WHOLE)]
        return [_Answers("name", [answer(one) for one in found], weight) for found, weight in weighted]

    def remove(self, *paths: str | os.PathLike[str]) -> int:
        """Forget files, or all files below folders; the files themselves stay. Gives how many were known."""
        with self.collection.writing() as writer:
            sources = []
            for path in paths:
                sources += self.collection.catalog.sources_under(os.path.abspath(Path(path).expanduser()))
            writer.remove(sources)
        return len({source.path for source in sources})

    def describe(self) -> dict[str, Any]:
        """What the collection holds: counts, spaces with their indexes, fields for filters, size on disk, names."""
        collection = self.collection
        counts = collection.catalog.counts()
        spaces = []
        for known in collection.spaces:
            sides = {}
            for modality in collection.modalities(known.space):
                index = collection.index(known.space, modality)
                sides[modality] = {"vectors": index.size, "index": index.description}
            spaces.append({"model": known.space.model, "space": str(known.space), "modalities": sides})
        return {
            "name": collection.name,
            "path": str(collection.path),
            "sources": counts["source"],
            "contents": counts["content"],
            "items": counts["item"],
            "failures": len(collection.catalog.failures()),
            "bytes": sum(file.stat().st_size for file in collection.path.rglob("*") if file.is_file()),
            "fields": sorted(collection.catalog.fields()),
            "spaces": spaces,
            "names": collection.names.space.model if collection.names else None,
            "by_name_alone": collection.catalog.unseen(),
        }

    def encode_query(self, known: KnownSpace, media: Media) -> npt.NDArray[np.float32]:
        """A query's unit vector in a space of the collection, float32 ``(dim,)``."""
        encoder = self.collection.encoder(known)
        vector: npt.NDArray[np.float32] = encode(encoder, [media], query=True).array[0]
        return vector

    def _own(self, media: Media) -> frozenset[int]:
        """The contents that are the query itself: searching with a file should not answer with that file."""
        if media.modality == "text":
            return frozenset()
        found = self.collection.catalog.content_of_hash(content_hash(media))
        return frozenset() if found is None else frozenset({found})

    def _targets(
        self, media: Media, to: str | None, names: Sequence[str | os.PathLike[str] | Mapping[str, Any]]
    ) -> list[tuple[KnownSpace, Modality]]:
        """Which (space, modality) to ask, without loading an encoder that cannot answer."""
        collection = self.collection
        spaces = [collection.adopt(load_encoder(name)) for name in names] or collection.spaces
        if not spaces:
            raise UsageError(f"{collection.name} is empty: analogon index FOLDER -c {collection.name} --encoder NAME")
        targets: list[tuple[KnownSpace, Modality]] = []
        sides: set[str] = set()
        for known in spaces:
            have = [m for m in collection.modalities(known.space) if to is None or m == to]
            if have and media.modality in collection.encoder(known).modalities:
                targets += [(known, modality) for modality in have]
            elif have:
                sides |= collection.encoder(known).modalities
        if to is None and any(modality != "text" for _, modality in targets):
            targets = [(known, modality) for known, modality in targets if modality != "text"]
        if targets:
            return targets
        if sides:
            models = ", ".join(known.space.model for known in spaces)
            raise UnsupportedModality(
                f"{collection.name} cannot be asked with {media.modality}: its encoder {models} takes "
                f"{', '.join(sorted(sides))}. Add one that takes {media.modality}: "
                f"analogon index FOLDER -c {collection.name} --encoder NAME"
            )
        there = sorted({m for known in spaces for m in collection.modalities(known.space)})
        unseen = next((m for m in MODALITIES if m == to and m in collection.catalog.kinds()), None)
        if unseen is not None:
            raise UsageError(
                f"{collection.name} has names but no vectors of {unseen}: analogon index FOLDER -c {collection.name} "
                f"--encoder {LOOKS_AT[unseen]} looks at the content"
            )
        raise UsageError(
            f"{collection.name} holds no {to or 'vectors'}" + (f"; it holds {', '.join(there)}" if there else "")
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """An item in a list: ``ranked`` is the score that orders the list, ``score`` the one to show, and its ``model``."""

    item: Item
    ranked: float
    score: float
    model: str


@dataclass(frozen=True, slots=True)
class _Answers:
    """One list of answers, best first: why they were found, and how much the list counts."""

    reason: Reason
    found: Sequence[_Answer]
    weight: float = 1.0


def _joined(lists: Sequence[_Answers], parts: bool) -> list[Hit]:
    """Lists merged by reciprocal rank; one list stays as it is.

    What several lists found of a content and modality adds up, or of each part where ``parts`` are asked for, and a
    name counts for all parts of its file. What is shown is the part that the content's best list found, if any did.
    """
    windows: dict[Hashable, list[Hashable]] = {}
    for one in lists:
        for answer in one.found if parts and one.reason == "sound" else ():
            windows.setdefault(_whole(answer), []).append((_whole(answer), answer.item.id))

    def keys(reason: Reason, answer: _Answer) -> list[Hashable]:
        if not parts:
            return [_whole(answer)]
        return (
            [(_whole(answer), answer.item.id)] if reason == "sound" else windows.get(_whole(answer), [_whole(answer)])
        )

    seen: dict[Hashable, dict[Reason, list[tuple[int, int, _Answer]]]] = {}
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


def _whole(answer: _Answer) -> Hashable:
    return answer.item.content, answer.item.modality


def _hit(rank: int, answer: _Answer, sources: tuple[Source, ...], reasons: tuple[Reason, ...], fused: float) -> Hit:
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
    )
