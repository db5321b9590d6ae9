"""Meanings of what sources are called: each different name, folder and caption through one text encoder, once.

::

    indexes/SPACE-names-TOKEN.f32     float32 unit rows, one a text, in the order of the catalog's ids of texts; a row
                                      of zeros for a text of which no word means anything to the encoder
    indexes/SPACE-names-TOKEN.ids     where texts had gone when the file was begun: the ids of its first rows, int64,
                                      and the last id that they were chosen from; "packed" ends such a TOKEN
    indexes/SPACE-names-TOKEN.faiss   an index over them, once there are many

The catalog knows every text and up to which one they have rows: rows are only ever added behind the last counted one. A
text that nothing is called by any more leaves a row that leads nowhere: who finds it asks the catalog whether it is
there. Where more than a quarter of the rows are such ones the others are written to another file. The file is a cache:
where it is missing or too short, it is begun anew under another name.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embed.encoder import Encoder
from embed.listener import Listener
from embed.media import Media
from embed.pipeline import Encoded, encode_stream
from indexes.asking import Narrowing
from indexes.catalog import Catalog
from indexes.durable import remove, sync_folder
from indexes.faiss import Cached
from indexes.index import cosines

__all__ = ["MoreNear", "NameVectors", "write_names"]

PACKED: Final = "-packed"
LONGEST: Final = 1000  # characters of a caption that are encoded
BATCH: Final = 8192  # texts that are encoded between two commits
NEWER: Final = 4096  # texts that a search encodes itself where the file has them not yet
TEXTS: Final = 512  # texts whose sources are looked at
TOGETHER: Final = 32  # of them that are looked at with one question to the catalog
FIRST: Final = 192  # texts that the index is asked for at first: few questions need more
GONE: Final = 8  # times as many are looked at where texts that went are among the nearest, and then all that are there
FILES: Final = 2048  # sources of one text that are looked at
PACK_ABOVE: Final = 0.25  # share of texts that went from which the file is written anew
PACK_ROWS: Final = 4096  # rows from which that is worth it
SAMPLE: Final = 2048  # texts that the share is estimated by
BLOCK: Final = 65536

Rows = npt.NDArray[np.float32]


def _encoded(texts: Sequence[str], encoder: Encoder) -> Rows:
    """Unit rows ``(n, dim)``, zeros for what the encoder makes nothing of."""
    rows = np.zeros((len(texts), encoder.space.dim), np.float32)
    for result in encode_stream(encoder, (Media.from_text(text[:LONGEST]) for text in texts)):
        if isinstance(result, Encoded):
            rows[result.index] = result.vector
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A file's counted rows ``(n, dim)``, mapped, and which texts they are of.

    The first rows have ``ids``, ascending; those behind them have ``since`` + 1, ``since`` + 2 and so on.
    """

    vectors: Rows
    ids: npt.NDArray[np.int64]
    since: int

    @classmethod
    def open(cls, folder: Path, file: str, last: int, dim: int) -> _Held | None:
        """The rows up to the text ``last``; None where there are not so many."""
        path = folder / file
        try:
            ids, since = np.zeros(0, np.int64), 0
            if path.stem.endswith(PACKED):
                *_, since = ids = np.memmap(path.with_suffix(".ids"), "<i8", "r")
                ids, since = ids[:-1], int(since)
            rows = len(ids) + last - since
            if rows > 0 and path.stat().st_size >= 4 * rows * dim:
                return cls(np.memmap(path, np.float32, "r", shape=(rows, dim)), ids, since)
        except (OSError, ValueError):
            pass
        return None

    def texts(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The ids of the texts of some rows ``(n,)``."""
        if not len(self.ids):
            return rows + 1
        first = self.ids[np.minimum(rows, len(self.ids) - 1)]
        return np.where(rows < len(self.ids), first, rows - len(self.ids) + self.since + 1)

    def rows(self, texts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The rows of some texts ``(n,)``; -1 where one has none."""
        rows = np.where(texts > self.since, texts - self.since - 1 + len(self.ids), -1)
        if len(self.ids):
            place = np.minimum(np.searchsorted(self.ids, texts), len(self.ids) - 1)
            rows = np.where((texts <= self.since) & (self.ids[place] == texts), place, rows)
        return np.where(rows < len(self.vectors), rows, -1)


def write_names(
    catalog: Catalog, folder: Path, encoder: Encoder, memory: int | None = None, listener: Listener | None = None
) -> None:
    """Encode the texts that are new, batch by batch, each of which survives a kill; bring the index up to them.

    The collection's lock is to be held. Files of other spaces, and of an earlier program, go. ``listener`` is told
    where there is much to do.
    """
    dim, space, listener = encoder.space.dim, encoder.space.id, listener or Listener()
    file, last = catalog.names_file(space) or ("", 0)
    held = _Held.open(folder, file, last, dim)
    if not file or (last and held is None):
        file, last = f"{space}-names-{secrets.token_hex(4)}.f32", 0
    elif held is not None and len(held.vectors) >= PACK_ROWS and _gone(catalog, held) > PACK_ABOVE:
        file = _pack(catalog, folder, space, held, last)
        held = _Held.open(folder, file, last, dim)
    path = folder / file
    if (new := catalog.last_text() - last) > NEWER:
        listener.phase(f"names with {encoder.space.model}", new)
    while found := catalog.texts_after(last, BATCH):
        upto = found[-1][0]
        block = np.zeros((upto - last, dim), np.float32)  # texts that went before they were encoded have rows too
        block[[text - last - 1 for text, _ in found]] = _encoded([said for _, said in found], encoder)
        rows = 0 if held is None else len(held.vectors)
        with path.open("r+b" if path.exists() else "w+b") as opened:
            opened.truncate(4 * rows * dim)
            opened.seek(0, os.SEEK_END)
            opened.write(block.astype("<f4").tobytes())
            opened.flush()
            os.fsync(opened.fileno())
        sync_folder(folder)
        listener.advance(upto - last)
        last = upto
        with catalog.transaction():
            catalog.put_names_file(space, file, last)
        held = _Held.open(folder, file, last, dim)
        listener.check()
    if held is not None:
        index = Cached.open(path.with_suffix(".faiss"), held.vectors, (file, last))
        index.build(memory, listener=listener, quick=True)
    for other in folder.glob("*-names*"):
        if other.name.split(".")[0] != path.stem:
            remove(other)


def _gone(catalog: Catalog, held: _Held) -> float:
    """The share of rows whose text is there no more, by a sample of them."""
    rows = np.random.default_rng(len(held.vectors)).integers(len(held.vectors), size=SAMPLE)
    texts = held.texts(np.unique(rows))
    return 1 - len(catalog.texts_there(texts.tolist())) / len(texts)


def _pack(catalog: Catalog, folder: Path, space: str, held: _Held, last: int) -> str:
    """Write the rows of texts that are there still to another file, block by block; gives its name.

    It counts once it is on disk with its ids: a kill before that leaves the old one as it was.
    """
    path = folder / f"{space}-names-{secrets.token_hex(4)}{PACKED}.f32"
    with path.open("wb") as vectors, path.with_suffix(".ids").open("wb") as ids:
        for start in range(0, len(held.vectors), BLOCK):
            block = held.vectors[start : start + BLOCK]
            texts = held.texts(np.arange(start, start + len(block)))
            stays = np.isin(texts, catalog.live_texts(int(texts[0]), int(texts[-1])))
            vectors.write(np.ascontiguousarray(block[stays], "<f4").tobytes())
            ids.write(texts[stays].astype("<i8").tobytes())
        ids.write(np.array([last], "<i8").tobytes())
        for opened in (vectors, ids):
            opened.flush()
            os.fsync(opened.fileno())
    sync_folder(folder)
    with catalog.transaction():
        catalog.put_names_file(space, path.name, last)
    return path.name


class MoreNear(Exception):
    """More texts are near to a question than are looked at."""


class NameVectors:
    """What a search reads: the file's vectors as of one moment, and those of the texts that are newer, encoded here.

    ``stamp`` is for which state of the catalog; ``before`` what was read for another one, whose index may still do.
    ``missing`` says whether some texts have no vector, as there were too many.
    """

    def __init__(self, catalog: Catalog, folder: Path, encoder: Encoder, before: NameVectors | None = None) -> None:
        dim = encoder.space.dim
        self.stamp = self.state(catalog, encoder)
        file, last = catalog.names_file(encoder.space.id) or ("", 0)
        self._catalog = catalog
        held = _Held.open(folder, file, last, dim)
        self._index: Cached | None = None
        if held is None:
            held, last = _Held(np.zeros((0, dim), np.float32), np.zeros(0, np.int64), 0), 0
        else:
            known = before._index if before is not None else None
            self._index = Cached.open((folder / file).with_suffix(".faiss"), held.vectors, (file, last), known)
        self._held = held
        self._there: npt.NDArray[np.bool_] | None = None  # rows whose text is there, where somebody had to know
        newer = catalog.texts_after(last, NEWER + 1)
        self.missing = len(newer) > NEWER
        newer = newer[:NEWER]
        self._newer = np.array([text for text, _ in newer], np.int64)
        self._newer_vectors = _encoded([said for _, said in newer], encoder)

    @staticmethod
    def state(catalog: Catalog, encoder: Encoder) -> tuple[object, ...]:
        """What is another one whenever names or their vectors are."""
        return encoder.space.id, catalog.names_revision(), catalog.names_file(encoder.space.id)

    def search(self, query: Rows, least: float, narrowing: Narrowing, enough: int) -> Iterator[list[tuple[int, float]]]:
        """Ids of sources and the cosine of their best text with a unit query ``(dim,)``, best first, page by page.

        Those below ``least`` are left out. A text says how much its cosine counts for a source: a folder's nine tenths.
        A page has about ``enough`` sources, and the next as many again. Raises ``MoreNear`` after the last page where
        more texts than ``TEXTS`` are near.
        """
        told: dict[int, float] = {}
        scores: dict[int, float] = {}
        count = 0
        texts = self._texts(query, least)
        while some := list(islice(texts, min(TOGETHER, TEXTS - count))):
            # What comes now scores at most this: what scores more is in its place.
            if len(scores) >= enough:
                page = [one for one in scores.items() if one[1] > some[0][1]]
                if len(page) >= enough:
                    page.sort(key=lambda one: (-one[1], one[0]))
                    told |= dict(page)
                    for source, _ in page:
                        del scores[source]
                    yield page
                    enough *= 2
            cosine_of = dict(some)
            for text, source, weight in self._catalog.sources_saying(list(cosine_of), narrowing, FILES):
                score = cosine_of[text] * weight
                if source not in told and score >= least and score > scores.get(source, least - 1.0):
                    scores[source] = score
            count += len(some)
        yield sorted(scores.items(), key=lambda one: (-one[1], one[0]))
        if next(texts, None) is not None:
            raise MoreNear

    def _texts(self, query: Rows, least: float) -> Iterator[tuple[int, float]]:
        """Ids of the nearest texts that are there and their cosines, best first, from ``least`` on; many, or all."""
        newer = dict(zip(self._newer.tolist(), cosines(query, self._newer_vectors).tolist(), strict=True))
        told = set[int]()
        size = self._index.size if self._index is not None else 0
        first = TEXTS + 1 if self._index is not None and self._index.exact else FIRST
        for depth in (first, TEXTS + 1, GONE * (TEXTS + 1), size):
            last = depth >= size
            if last and size > GONE * (TEXTS + 1):
                depth = TEXTS + 1
            found = self._near(query, min(depth, size), all_there=last and depth < size)
            beyond = min(found.values(), default=-1.0) if not last else -1.0
            found |= newer
            new = [(text, score) for text, score in found.items() if text not in told and score >= max(least, beyond)]
            new.sort(key=lambda one: (-one[1], one[0]))
            there = self._catalog.texts_there([text for text, _ in new])
            for text, score in new:
                told.add(text)
                if text in there:
                    yield text, score
            if last or beyond < least:
                return

    def _near(self, query: Rows, depth: int, *, all_there: bool) -> dict[int, float]:
        """The nearest rows' texts and cosines, some of which may have gone, unless those are left out by a mask."""
        if self._index is None or not depth:
            return {}
        if all_there and self._there is None:
            last = int(self._held.texts(np.array([self._index.size - 1]))[0])
            rows = self._held.rows(self._catalog.live_texts(0, last))
            self._there = np.zeros(self._index.size, np.bool_)
            self._there[rows[rows >= 0]] = True
        near = self._index.search(query[None, :], depth, allowed=self._there if all_there else None)
        rows = near.rows[0][near.rows[0] >= 0]
        return dict(zip(self._held.texts(rows).tolist(), near.scores[0].tolist(), strict=False))

    def cosines(self, query: Rows, sources: Iterable[int]) -> dict[int, float]:
        """The cosine of some sources' best text; sources of which no text has a vector are left out."""
        said = self._catalog.texts_of(sorted(set(sources)))
        texts = np.array(sorted({text for some in said.values() for text, _ in some}), np.int64)
        rows = self._held.rows(texts)
        texts, rows = texts[rows >= 0], rows[rows >= 0]
        known = dict(zip(texts.tolist(), cosines(query, self._held.vectors[rows]).tolist(), strict=True))
        known |= dict(zip(self._newer.tolist(), cosines(query, self._newer_vectors).tolist(), strict=True))
        found = {}
        for source, some in said.items():
            scores = [weight * known[text] for text, weight in some if known.get(text)]
            if scores:
                found[source] = max(scores)
        return found
