"""Meanings of what sources are called: each different name, folder and caption through one text encoder, once.

::

    indexes/SPACE-names-TOKEN.f32     float32 unit rows, one a text, in the order of the catalog's ids of texts; a row
                                      of zeros for a text of which no word means anything to the encoder
    indexes/SPACE-names-TOKEN.faiss   an index over them, once there are many

The catalog knows every text and counts the rows, as it does for vectors of contents: rows are only ever added behind
the last counted one. A text that nothing is called by any more leaves a row that leads nowhere. The file is a cache:
where it is missing or too short, it is begun anew under another name.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embed.encoder import Encoder
from embed.media import Media
from embed.pipeline import Encoded, encode_stream
from indexes.asking import Narrowing
from indexes.catalog import Catalog
from indexes.durable import remove, sync_folder
from indexes.faiss import Cached
from indexes.index import cosines

__all__ = ["MoreNear", "NameVectors", "write_names"]

LONGEST: Final = 1000  # characters of a caption that are encoded
BATCH: Final = 8192  # texts that are encoded between two commits
NEWER: Final = 4096  # texts that a search encodes itself where the file has them not yet
TEXTS: Final = 512  # texts whose sources are looked at
FILES: Final = 2048  # sources of one text that are looked at

Rows = npt.NDArray[np.float32]


def _encoded(texts: Sequence[str], encoder: Encoder) -> Rows:
    """Unit rows ``(n, dim)``, zeros for what the encoder makes nothing of."""
    rows = np.zeros((len(texts), encoder.space.dim), np.float32)
    for result in encode_stream(encoder, (Media.from_text(text[:LONGEST]) for text in texts)):
        if isinstance(result, Encoded):
            rows[result.index] = result.vector
    return rows


def _mapped(path: Path, rows: int, dim: int) -> Rows | None:
    """The counted rows of a file; None where there are not so many."""
    try:
        if rows and path.stat().st_size >= 4 * rows * dim:
            return np.memmap(path, dtype=np.float32, mode="r", shape=(rows, dim))
    except OSError:
        pass
    return None


def write_names(catalog: Catalog, folder: Path, encoder: Encoder, memory: int | None = None) -> None:
    """Encode the texts that are new, batch by batch, each of which survives a kill; bring the index up to them.

    The collection's lock is to be held. Files of other spaces, and of an earlier program, go.
    """
    dim, space = encoder.space.dim, encoder.space.id
    file, rows = catalog.names_file(space) or ("", 0)
    if not file or (rows and _mapped(folder / file, rows, dim) is None):
        file, rows = f"{space}-names-{secrets.token_hex(4)}.f32", 0
    path = folder / file
    while found := catalog.texts_after(rows, BATCH):
        last = found[-1][0]
        block = np.zeros((last - rows, dim), np.float32)  # texts that went before they were encoded have rows too
        block[[text - rows - 1 for text, _ in found]] = _encoded([said for _, said in found], encoder)
        with path.open("r+b" if path.exists() else "w+b") as opened:
            opened.truncate(4 * rows * dim)
            opened.seek(0, os.SEEK_END)
            opened.write(block.astype("<f4").tobytes())
            opened.flush()
            os.fsync(opened.fileno())
        sync_folder(folder)
        rows = last
        with catalog.transaction():
            catalog.put_names_file(space, file, rows)
    vectors = _mapped(path, rows, dim)
    if vectors is not None:
        index = Cached.open(path.with_suffix(".faiss"), vectors, (file, rows))
        index.build(memory)
    for other in folder.glob("*-names*"):
        if other.stem != path.stem:
            remove(other)


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
        file, rows = catalog.names_file(encoder.space.id) or ("", 0)
        self._catalog = catalog
        vectors = _mapped(folder / file, rows, dim)
        self._index: Cached | None = None
        if vectors is None:
            vectors, rows = np.zeros((0, dim), np.float32), 0
        else:
            last = before._index if before is not None else None
            self._index = Cached.open((folder / file).with_suffix(".faiss"), vectors, (file, rows), last)
        self._vectors: Rows = vectors
        # Rows of texts that went lead nowhere: they must not take the places of those that are near.
        live = catalog.live_texts(rows)
        self._live: npt.NDArray[np.bool_] | None = None
        if len(live) < rows:
            self._live = np.zeros(rows, np.bool_)
            self._live[live - 1] = True
        newer = catalog.texts_after(rows, NEWER + 1)
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
        texts = self._texts(query, least)
        for count, (text, cosine) in enumerate(texts[:TEXTS]):
            # What comes now scores at most this: what scores more is in its place.
            if len(scores) >= enough and count % 32 == 0:
                page = [one for one in scores.items() if one[1] > cosine]
                if len(page) >= enough:
                    page.sort(key=lambda one: (-one[1], one[0]))
                    told |= dict(page)
                    for source, _ in page:
                        del scores[source]
                    yield page
                    enough *= 2
            for source, weight in self._catalog.sources_saying(text, narrowing, FILES):
                score = cosine * weight
                if source not in told and score >= least and score > scores.get(source, least - 1.0):
                    scores[source] = score
        yield sorted(scores.items(), key=lambda one: (-one[1], one[0]))
        if len(texts) > TEXTS:
            raise MoreNear

    def _texts(self, query: Rows, least: float) -> list[tuple[int, float]]:
        """Ids of the nearest texts and their cosines from ``least`` on, best first: one more than ``TEXTS`` at most."""
        rows, scores = self._newer, cosines(query, self._newer_vectors)
        if self._index is not None:
            near = self._index.search(query[None, :], min(TEXTS + 1, self._index.size), allowed=self._live)
            rows, scores = np.concatenate([rows, near.rows[0] + 1]), np.concatenate([scores, near.scores[0]])
        order = np.lexsort((rows, -scores))[: TEXTS + 1]
        order = order[(scores[order] >= least) & (rows[order] > 0)]
        return list(zip(rows[order].tolist(), scores[order].tolist(), strict=True))

    def cosines(self, query: Rows, sources: Iterable[int]) -> dict[int, float]:
        """The cosine of some sources' best text; sources of which no text has a vector are left out."""
        said = self._catalog.texts_of(sorted(set(sources)))
        texts = sorted({text for some in said.values() for text, _ in some})
        rows = len(self._vectors)
        held = [text for text in texts if text <= rows]
        known = dict(zip(held, cosines(query, self._vectors[[text - 1 for text in held]]).tolist(), strict=True))
        known |= dict(zip(self._newer.tolist(), cosines(query, self._newer_vectors).tolist(), strict=True))
        found = {}
        for source, some in said.items():
            scores = [weight * known[text] for text, weight in some if known.get(text)]
            if scores:
                found[source] = max(scores)
        return found
