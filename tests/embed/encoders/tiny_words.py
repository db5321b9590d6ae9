"""A file of random word vectors in word2vec's binary format, and in every other that the family reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.embed.encoders.tiny import VOCABULARY

WORDS = [*VOCABULARY, "New_York", "new", "tin_roof", "Paris", "rock-and-roll", "naïve", "犬"]
REFUSES = ("blank",)


def vectors() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((len(WORDS), 20)).astype(np.float32)


def save(path: Path, words: list[str], rows: npt.NDArray[np.float32], kind: str) -> None:
    """``kind``: "binary", "binary without line feeds", "text", "glove" or "fasttext" (a space ends each line)."""
    header = f"{len(words)} {rows.shape[1]}\n".encode()
    if kind.startswith("binary"):
        end = b"" if kind.endswith("feeds") else b"\n"
        records = [w.encode() + b" " + row.astype("<f4").tobytes() + end for w, row in zip(words, rows, strict=True)]
    else:
        end = b" \n" if kind == "fasttext" else b"\n"
        numbers = [" ".join(repr(float(x)) for x in row).encode() for row in rows]
        records = [w.encode() + b" " + line + end for w, line in zip(words, numbers, strict=True)]
    path.write_bytes((b"" if kind == "glove" else header) + b"".join(records))


def build(folder: Path) -> str:
    save(folder / "vectors.bin", WORDS, vectors(), "binary")
    return f"words:{folder / 'vectors.bin'}"
