"""Vectors of what sources are called: each name and caption through one text encoder, kept as a cache.

The catalog knows every name and is the truth; the file of vectors is made again wherever it does not fit. It holds
each different text once, so that ten thousand files of one category cost one vector.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embed.encoder import Encoder
from embed.media import Media
from embed.pipeline import Encoded, encode_stream

__all__ = ["NameVectors"]

FOLDER: Final = 0.9  # what a folder's name counts beside the file's own name and its captions
LONGEST: Final = 1000  # characters of a caption that are encoded
ARRAYS: Final[Mapping[str, tuple[type, type]]] = {  # what they are in memory, and on disk
    "keys": (np.uint64, np.uint64),
    "vectors": (np.float32, np.float16),
    "sources": (np.int64, np.int64),
    "texts": (np.int64, np.int64),
    "weights": (np.float32, np.float32),
}


@dataclass(frozen=True, slots=True, eq=False)
class NameVectors:
    """``vectors`` float32 ``(texts, dim)``, unit rows, ``keys`` uint64 ``(texts,)`` their texts' hashes.

    On disk they are float16, and rounded to that here too, so that it makes no difference whence they come.

    Source ``sources[i]`` is called ``texts[i]``, a row of ``vectors``, which counts ``weights[i]``. ``revision`` is
    the catalog's when it was made.
    """

    revision: int
    keys: npt.NDArray[np.uint64]
    vectors: npt.NDArray[np.float32]
    sources: npt.NDArray[np.int64]
    texts: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]

    @classmethod
    def make(
        cls, revision: int, names: Iterable[tuple[int, str, str, str]], encoder: Encoder, old: NameVectors | None = None
    ) -> NameVectors:
        """Encode what sources are called: ``names`` are ids, name, folders, captions (one a line).

        Texts that ``old``, of the same encoder, holds are not encoded again. One without a word that the encoder
        knows has no vector.
        """
        called: list[tuple[int, int, float]] = []
        texts: dict[int, str] = {}
        for source, name, folder, captions in names:
            own = [name, *captions.split("\n")]
            for text, weight in [*((text, 1.0) for text in own), (folder, FOLDER)]:
                if text:
                    key = _key(text)
                    texts.setdefault(key, text)
                    called.append((source, key, weight))
        vectors = dict(zip(old.keys.tolist(), old.vectors, strict=True)) if old is not None else {}
        missing = [key for key in texts if key not in vectors]
        for result in encode_stream(encoder, (Media.from_text(texts[key][:LONGEST]) for key in missing)):
            if isinstance(result, Encoded):
                vectors[missing[result.index]] = _rounded(result.vector)
        rows = {key: row for row, key in enumerate(key for key in texts if key in vectors)}
        called = [(source, rows[key], weight) for source, key, weight in called if key in rows]
        return cls(
            revision,
            np.array(list(rows), np.uint64),
            np.array([vectors[key] for key in rows], np.float32).reshape(len(rows), encoder.space.dim),
            np.array([source for source, _, _ in called], np.int64),
            np.array([row for _, row, _ in called], np.int64),
            np.array([weight for _, _, weight in called], np.float32),
        )

    @classmethod
    def read(cls, path: Path, dim: int) -> NameVectors | None:
        """What ``save`` wrote; None where there is nothing that can be used."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                read = cls(int(arrays["revision"]), *(arrays[name].astype(kind) for name, (kind, _) in ARRAYS.items()))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        whole = read.vectors.shape == (len(read.keys), dim) and len(read.sources) == len(read.texts)
        fits = whole and len(read.sources) == len(read.weights) and (read.texts < len(read.keys)).all()
        return read if fits else None

    def save(self, path: Path) -> None:
        """Write it to a file that ends in ``.npz``."""
        with path.open("wb") as file:
            arrays = {name: getattr(self, name).astype(kind) for name, (_, kind) in ARRAYS.items()}
            np.savez(file, revision=np.int64(self.revision), **arrays)

    def search(self, query: npt.NDArray[np.float32]) -> list[tuple[int, float]]:
        """Ids of sources and the cosine of their best text with a unit query ``(dim,)``, best first.

        A folder's text counts nine tenths of its cosine.
        """
        scores = (self.vectors @ query)[self.texts] * self.weights
        order = np.lexsort((self.sources, -scores))
        _, first = np.unique(self.sources[order], return_index=True)
        best = order[np.sort(first)]
        return list(zip(self.sources[best].tolist(), scores[best].tolist(), strict=True))


def _rounded(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return vector.astype(np.float16).astype(np.float32)


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")
