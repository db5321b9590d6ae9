"""What can answer an analogy, and how its terms become vectors: words, texts of a list, the items of a collection."""

from __future__ import annotations

import difflib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.phrases.pieces import short
from analogon.query import File, Item, Leaf, from_json
from analogon.search.ask import media_of
from analogon.search.contents import choose_space
from analogon.search.hits import describe_span
from analogon.search.library import Library
from analogon.settings.arguments import EncoderName, superseded_keywords
from embed.encoder import Encoder, resolve
from embed.encoders.words import WordsEncoder
from embed.errors import MediaError, UsageError
from embed.media import TABLE_SUFFIXES, Media, modalities_of
from embed.models import shared
from embed.pipeline import encode
from embed.space import Space, Vectors
from embed.tables import BadRow, columns, lines, texts
from indexes.collection import KnownSpace

__all__ = ["Candidates", "CollectionSource", "EncoderSource", "Source", "Term", "read_candidates"]

Row = npt.NDArray[np.float32]

SAME: Final = 1e-5  # 1 - cosine below which a candidate is a term itself: float32's rounding
NEAR: Final = 20_000  # labels that the search for near spellings looks at


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One of a, b, c: what it is called and its unit vector, float32 ``(dim,)``.

    ``contents`` are the ids of the contents of a collection that it is made of. ``remarks`` are lines about what has no
    part in the vector, such as words that the encoder does not know.
    """

    label: str
    vector: Row = field(repr=False)
    contents: frozenset[int] = frozenset()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Candidates:
    """What can answer: unit vectors of one space and what each is called.

    Of the items of a collection ``ids`` and ``contents`` are the ids of each item and of its content, int64 ``(n,)``.
    ``remarks`` are lines about what has no part in the vectors.
    """

    labels: tuple[str, ...]
    vectors: Vectors
    ids: npt.NDArray[np.int64] | None = None
    contents: npt.NDArray[np.int64] | None = None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.vectors):
            raise ValueError(f"{len(self.labels)} labels for {len(self.vectors)} vectors")
        if not self.labels:
            raise UsageError("there is nothing that could answer: no candidates")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return dict(zip(reversed(self.labels), range(len(self) - 1, -1, -1), strict=True))

    def find(self, label: str) -> int | None:
        """The row of a label, the first where several have it; None where none has."""
        return self._rows.get(label)

    def term(self, label: str) -> Term:
        """The candidate of that label as a term. Raises ``UsageError``, naming near spellings, where there is none."""
        row = self.find(label)
        if row is None:
            alike = (one for one in self.labels if one[:1].lower() == label[:1].lower())
            near = difflib.get_close_matches(label, islice(alike, NEAR), cutoff=0.75)
            raise UsageError(f"{label!r} is not among the candidates" + (f"; near: {', '.join(near)}" if near else ""))
        own = frozenset() if self.contents is None else frozenset({int(self.contents[row])})
        return Term(label, self.vectors.array[row], own)

    def same(self, term: Term) -> npt.NDArray[np.bool_]:
        """Which candidates are a term itself, bool ``(n,)``: of its content, its vector, or its name in any spelling.

        Spellings are those of capitals, and of ``New_York`` and ``new york``.
        """
        found: npt.NDArray[np.bool_] = self.vectors.array @ term.vector > 1 - SAME
        if self.contents is not None:
            found |= np.isin(self.contents, sorted(term.contents))
            return found
        # Lengths first: of millions of words few need be folded.
        folded, length = _fold(term.label), len(term.label)
        found |= np.fromiter((len(one) == length and _fold(one) == folded for one in self.labels), bool, len(self))
        return found


def _fold(label: str) -> str:
    return label.casefold().replace("_", " ")


# -- where terms and candidates come from ----------------------------------------------------------------------------


class Source(ABC):
    """Encodes terms in one space, and has its candidates."""

    space: Space
    encoder: Mapping[str, Any]
    """The table that ``embed.load`` makes the space's encoder from."""

    @abstractmethod
    def candidates(self) -> Candidates:
        """All that can answer. Raises ``UsageError`` where there is nothing."""

    @abstractmethod
    def _term(self, written: str, leaf: Leaf) -> Term: ...

    def term(self, written: str, folder: Path | None = None) -> Term:
        """What a person wrote as a term: a text, the path of a file, or ``id:N`` for an item of a collection.

        Paths are relative to the working directory, or else to ``folder``. Raises ``MediaError`` and ``UsageError``.
        """
        leaf = from_json(written, lambda name: _file(name, folder) is not None)
        if isinstance(leaf, File) and (path := _file(leaf.path, folder)):
            leaf = File(path)
        assert isinstance(leaf, Leaf)
        return self._term(written, leaf)


def _file(name: str, folder: Path | None) -> str | None:
    """The path of the file that a name means, with a suffix that analogon reads; None where there is none."""
    for base in (Path(), *([folder] if folder else [])):
        path = base / Path(name).expanduser()
        if modalities_of(path) and path.is_file():
            return str(path)
    return None


class EncoderSource(Source):
    """An encoder's own space: its vocabulary answers, or the texts of a list."""

    def __init__(self, name: str | os.PathLike[str] | Mapping[str, Any] | Encoder, answers: Path | None = None) -> None:
        """``answers`` is a file with a text a line, or a table with a text column."""
        self.encoder = resolve(name)
        self._encoder = shared(self.encoder)
        self._answers = answers
        self.space = self._encoder.space

    def candidates(self) -> Candidates:
        if self._answers is not None:
            labels = read_candidates(self._answers)
            texts = [Media.from_text(label) for label in labels]
            return Candidates(labels, encode(self._encoder, texts), remarks=_lines(self._encoder.remark(*texts)))
        if isinstance(self._encoder, WordsEncoder):
            return Candidates(tuple(self._encoder.vocabulary), Vectors(self.space, self._encoder.matrix))
        raise UsageError(
            f"{self.space.model} has no vocabulary that could answer: give a list with `candidates`, or a `collection`"
        )

    def _term(self, written: str, leaf: Leaf) -> Term:
        if isinstance(leaf, Item):
            raise UsageError(f"{written} is an item of a collection: name it with `collection`")
        # As the candidates are encoded, not as questions: a term that is a candidate has the candidate's vector.
        try:
            media = media_of(leaf)
            vector = encode(self._encoder, [media]).array[0]
            return Term(written, vector, remarks=_lines(self._encoder.remark(media)))
        except MediaError as error:
            if isinstance(leaf, File):
                raise
            raise UsageError(str(error)) from None


class CollectionSource(Source):
    """A collection's items of one (space, modality), each part of a file an item of its own."""

    @superseded_keywords(encoders="spaces")
    def __init__(
        self, library: Library, to: str | None = None, spaces: EncoderName | Sequence[EncoderName] = ()
    ) -> None:
        """The items of a modality, in the space of the first of ``spaces`` that has any; of all without any.

        Raises ``UsageError`` where there are several modalities and ``to`` names none, or nothing fits.
        """
        self._library = library
        known, self._modality = choose_space(library, to, spaces)
        self._known: KnownSpace = known
        self.space, self.encoder = known.space, known.encoder

    def candidates(self) -> Candidates:
        catalog = self._library.collection.catalog
        with self._library.collection.snapshot():
            live = self._library.collection.live_rows(self.space, self._modality).tolist()
            of_row = catalog.items_of_rows(self.space.id, self._modality, live)
            items = catalog.items(sorted(of_row.values()))
            rows = [row for row in live if of_row.get(row) in items]
            vectors = np.array(self._library.collection.vectors(self.space, self._modality)[rows])
        there = [items[of_row[row]] for row in rows]
        labels = [" ".join([_called(item.media), describe_span(item.media, item.facts)]).strip() for item in there]
        ids, contents = np.array([(item.id, item.content) for item in there], np.int64).reshape(-1, 2).T
        return Candidates(tuple(labels), Vectors(self.space, vectors), ids, contents)

    def _term(self, written: str, leaf: Leaf) -> Term:
        asked = self._library.resolve(leaf)
        if lacking := asked.missing_leaves(self._known):
            sides = ", ".join(sorted(self._library.collection.encoder(self._known).modalities))
            raise UsageError(f"{self.space.model} encodes {sides}, not {asked.media[lacking[0]].modality}: {written}")
        label = _called(asked.media[leaf]) if isinstance(leaf, Item) else written
        vector = asked.vector(self._known, self._modality)
        return Term(label, vector, asked.own_contents, tuple(dict.fromkeys(asked.notes)))


def _lines(remark: str | None) -> tuple[str, ...]:
    return () if remark is None else (remark,)


def _called(media: Media) -> str:
    """What to call an item: its text, where it is one of a table or a list, else its path."""
    if media.text is not None:
        words = " ".join(media.text.split())
        return words if len(words) <= 60 else words[:57] + "..."
    return short(media.path or "")


def read_candidates(path: Path) -> tuple[str, ...]:
    """The texts of a list, each once: the lines of a text file, or the first column of a table without a header.

    Of a table whose header has a column ``text``, ``label`` or ``word``, that column. Raises ``UsageError`` and
    ``MediaError``.
    """
    if path.suffix.lower() in TABLE_SUFFIXES:
        header = columns(path)
        named = [name for name in header if name.strip().lower() in ("text", "label", "word")] or (
            header if path.suffix.lower() == ".jsonl" else []
        )
        read = [row[0] for row in texts(path, named[:1]) if not isinstance(row, BadRow) and row]
    else:
        read = lines(path)
    found = tuple(dict.fromkeys(line.strip() for line in read if line.strip()))
    if not found:
        raise UsageError(f"{path} holds no texts")
    return found
