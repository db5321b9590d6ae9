"""Query to hits: encode what is asked once for each space, ask the index of each modality, read the catalog."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analogon.doctor import PHRASES
from analogon.hits import Hit
from analogon.show import hits_html
from embed.encoder import load as load_encoder
from embed.encoder import resolve
from embed.errors import CollectionNotFound, UnsupportedModality, UsageError
from embed.media import MODALITIES, Media, Modality, content_hash
from embed.pipeline import encode
from indexes.build import Listener, Plan, Report, SideTable, build
from indexes.collection import Collection, KnownSpace, Neighbour

__all__ = ["Hit", "Hits", "Library", "as_query"]


class Hits(Sequence[Hit]):
    """Hits, best first. In a notebook they show players and thumbnails."""

    def __init__(self, query: str, hits: Sequence[Hit]) -> None:
        self.query = query
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
    looks_like_path = not isinstance(query, str) or text.startswith(("./", "../", "/", "~/"))
    if looks_like_path or Path(text).is_file():
        path = str(Path(text).expanduser())
        media = Media.from_path(path)
        if media.modality == "text":
            return Media.from_text(Path(path).read_text("utf-8", "replace"))
        return media
    if not text.strip():
        raise UsageError("the query is empty: write a text or name a file")
    return Media.from_text(text)


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
        listener: Listener | None = None,
    ) -> Report:
        """Index files and folders; what is known already is not encoded again.

        ``encoders`` are names as ``embed.load`` takes them; without any, those that the collection has. ``metadata``
        is a table whose column ``key`` names the files. ``text_column`` makes the rows of tables into texts.
        ``memory`` is the budget of each search index in bytes.
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
        return build(self.collection, pairs, plan, listener)

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
    ) -> Hits:
        """The ``k`` best hits for a text or a file, after the first ``offset``.

        ``to`` chooses the modality of the hits; without it, all that the query's space has here, texts only where
        there is nothing else. Where several spaces or modalities answer, their lists are merged by rank, since cosines
        of different spaces or modalities cannot be compared. A file that is itself in the collection is left out
        unless ``include_self``. Raises ``UsageError``, ``FilterError``, ``SpaceMismatch``, ``MediaError``.
        """
        if k < 1 or offset < 0:
            raise UsageError(f"k must be at least 1 and the offset at least 0, not {k} and {offset}")
        if to is not None and to not in MODALITIES:
            raise UsageError(f"there is no modality {to!r}; there are: {', '.join(MODALITIES)}")
        media = as_query(query)
        expression = self.collection.filter(where) if where else None
        without = frozenset() if include_self else self._own(media)
        lists: list[list[tuple[KnownSpace, Neighbour]]] = []
        for known, modality in self._targets(media, to, encoders):
            vector = self.encode_query(known, media)
            found = self.collection.nearest(
                known.space, modality, vector, k + offset, where=expression, without=without, parts=parts
            )
            lists.append([(known, neighbour) for neighbour in found])
        ranked = _by_rank(lists)[offset : offset + k]
        hits = [_hit(rank, known, neighbour) for rank, (known, neighbour) in enumerate(ranked, start=offset + 1)]
        return Hits(media.name, hits)

    def remove(self, *paths: str | os.PathLike[str]) -> int:
        """Forget files, or all files below folders; the files themselves stay. Gives how many were known."""
        with self.collection.writing() as writer:
            sources = []
            for path in paths:
                sources += self.collection.catalog.sources_under(os.path.abspath(Path(path).expanduser()))
            writer.remove(sources)
        return len({source.path for source in sources})

    def describe(self) -> dict[str, Any]:
        """What the collection holds: counts, spaces with their indexes, fields for filters, size on disk."""
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
        raise UsageError(
            f"{collection.name} holds no {to or 'vectors'}" + (f"; it holds {', '.join(there)}" if there else "")
        )


def _by_rank(lists: Sequence[Sequence[tuple[KnownSpace, Neighbour]]]) -> list[tuple[KnownSpace, Neighbour]]:
    """Lists merged by reciprocal rank (Cormack et al. 2009, k = 60); one list stays as it is.

    A content and modality found in several spaces adds up; its best-ranked appearance is the one that is shown.
    """
    if len(lists) == 1:
        return list(lists[0])
    scores: dict[tuple[int, str], float] = {}
    best: dict[tuple[int, str], tuple[int, int, tuple[KnownSpace, Neighbour]]] = {}
    for number, ranked in enumerate(lists):
        for rank, (known, neighbour) in enumerate(ranked, start=1):
            key = (neighbour.item.content, neighbour.item.modality)
            scores[key] = scores.get(key, 0.0) + 1.0 / (60 + rank)
            if key not in best or rank < best[key][0]:
                best[key] = (rank, number, (known, neighbour))
    order = sorted(scores, key=lambda key: (-scores[key], best[key][0], best[key][1]))
    return [best[key][2] for key in order]


def _hit(rank: int, known: KnownSpace, neighbour: Neighbour) -> Hit:
    item = neighbour.item
    sources = item.sources
    return Hit(
        rank=rank,
        score=neighbour.score,
        media=item.media,
        id=item.id,
        space=known.space.model,
        paths=tuple(dict.fromkeys(source.path for source in sources)),
        metadata={name: value for source in reversed(sources) for name, value in source.metadata.items()},
        facts=item.facts,
    )
