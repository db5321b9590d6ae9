"""words: word vectors (text) from word2vec, GloVe and fastText files, or from an .npy with a list of its words."""

from __future__ import annotations

import difflib
import mmap
import re
import string
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import Encoder
from embed.errors import EncoderError, MediaError, ModelNotFound
from embed.media import Media
from embed.space import Space, unit

__all__ = ["WordsEncoder", "load"]

PHRASE: Final = 4  # words that one entry such as New_York_Stock_Exchange may join
CHUNK: Final = 8192  # rows read at a time
NEAR: Final = 20_000  # words that the search for near spellings looks at
FASTTEXT_MAGIC: Final = (793712314).to_bytes(4, "little")
# A word is looked up as it stands, in lower case, and with capitals, in this order.
SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (str, str.lower, str.capitalize)
QUOTES: Final = "“”„‘’«»…–—"


class WordsEncoder(Encoder):
    """A text is the mean of the unit vectors of its known words; unknown words do not count.

    Words are what white space parts. Up to four neighbours are first tried as one entry joined by ``_`` ("New York"
    is ``New_York``), the longest first; then each word alone: as it stands, in lower case, with a capital; then
    without the punctuation around it and a final 's; then its parts between hyphens and the like.
    """

    modalities = frozenset({"text"})
    batch_size = 256

    def __init__(self, model: str, source: _Source) -> None:
        self._source = source
        self.space = Space(
            f"words:{model}",
            hub.weights_hash(source.files),
            "mean of unit word vectors; phrases joined by _; as it stands, lower case, capitalised",
            source.dim,
        )
        self._lock = threading.Lock()

    @cached_property
    def _row_of(self) -> dict[str, int]:
        # Of an entry that a file holds twice the first counts, as in gensim.
        words = self.vocabulary
        return dict(zip(reversed(words), range(len(words) - 1, -1, -1), strict=True))

    @property
    def vocabulary(self) -> list[str]:
        """Every word, in the file's order."""
        return self._source.words

    @cached_property
    def matrix(self) -> npt.NDArray[np.float32]:
        """Unit rows, float32 ``(len(vocabulary), dim)``, in the order of ``vocabulary``. Reads the whole file."""
        return self.first(len(self.vocabulary))

    def first(self, count: int) -> npt.NDArray[np.float32]:
        """Unit rows of the first ``count`` words, or of all where there are fewer, float32 ``(n, dim)``."""
        rows = np.empty((min(count, len(self.vocabulary)), self.space.dim), dtype=np.float32)
        for start in range(0, len(rows), CHUNK):
            chunk = range(start, min(start + CHUNK, len(rows)))
            rows[chunk.start : chunk.stop] = unit(self._source.rows(chunk))
        return rows

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        with self._lock:
            found = [self._find(media) for media in batch]
            used = sorted({row for rows in found for row in rows})
            vectors = dict(zip(used, unit(self._source.rows(used)), strict=True))
        means = [np.mean([vectors[row] for row in rows], axis=0, dtype=np.float64) for rows in found]
        return np.asarray(means, dtype=np.float32)

    def _find(self, media: Media) -> list[int]:
        pieces = (media.text or "").split()
        rows: list[int] = []
        start = 0
        while start < len(pieces):
            for length in range(min(PHRASE, len(pieces) - start), 0, -1):
                if (row := self._row(pieces[start : start + length])) is not None:
                    rows.append(row)
                    break
            else:
                length = 1
                parts = re.split(r"[\W_]+", pieces[start])
                rows += [row for part in parts if part and (row := self._row([part])) is not None]
            start += length
        if not rows:
            raise MediaError(media.name, f"no word of it is in the vocabulary{self._near(pieces)}")
        return rows

    def _row(self, pieces: Sequence[str]) -> int | None:
        """The row of one word, or of several as one entry; punctuation goes only where it would not be found."""
        bare = [piece.strip(string.punctuation + QUOTES) for piece in pieces]
        owner = [re.sub("['’]s$", "", piece) for piece in bare]
        for forms in (pieces, bare, owner):
            if all(forms):
                for spelling in SPELLINGS:
                    if (row := self._row_of.get("_".join(spelling(form) for form in forms))) is not None:
                        return row
        return None

    def _near(self, pieces: Sequence[str]) -> str:
        if not pieces:
            return ""
        word = pieces[0].strip(string.punctuation + QUOTES).lower()
        alike = (w for w in self.vocabulary if w[:1].lower() == word[:1] and abs(len(w) - len(word)) <= 2)
        near = difflib.get_close_matches(word, [w for w, _ in zip(alike, range(NEAR), strict=False)], cutoff=0.75)
        return f"; near {word}: {', '.join(near)}" if near else ""


class _Source(ABC):
    """A file of word vectors: ``dim`` is known from its beginning, the rest is read when it is asked for."""

    files: tuple[Path, ...]
    dim: int

    @property
    @abstractmethod
    def words(self) -> list[str]:
        """Every word in order. Raises ``EncoderError`` where the file contradicts itself."""

    @abstractmethod
    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        """The vectors of some words as the file has them, ``(len(indices), dim)``."""


class _Numpy(_Source):
    """An ``.npy`` of shape ``(n, dim)`` and a text file with a word on each of ``n`` lines."""

    def __init__(self, vectors: Path, words: Path) -> None:
        self.files = (vectors, words)
        self.dim = int(self._open().shape[1])

    def _open(self) -> npt.NDArray[np.floating]:
        try:
            array = np.load(self.files[0], mmap_mode="r", allow_pickle=False)
        except Exception as error:
            raise EncoderError(f"{self.files[0]}: not a readable .npy file: {error}") from None
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
            raise EncoderError(f"{self.files[0]}: should hold floats (words, dim), not {array.dtype} {array.shape}")
        table: npt.NDArray[np.floating] = array
        return table

    @cached_property
    def _vectors(self) -> npt.NDArray[np.floating]:
        return self._open()

    @cached_property
    def words(self) -> list[str]:
        words = self.files[1].read_text("utf-8", "replace").removesuffix("\n").split("\n")
        if len(words) != len(self._vectors):
            raise EncoderError(f"{self.files[1]} has {len(words)} words, {self.files[0]} {len(self._vectors)} vectors")
        return words

    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        return self._vectors[np.asarray(indices, dtype=np.int64)].astype(np.float32)


class _Mapped(_Source):
    """A file of records, each a word and its vector: found once, read through a memory map."""

    def __init__(self, path: Path, dim: int, count: int | None, start: int) -> None:
        """``count`` is what a first line says, if there is one; the records begin at byte ``start``."""
        self.files = (path,)
        self.dim = dim
        self._count = count
        self._start = start

    @cached_property
    def _map(self) -> mmap.mmap:
        with self.files[0].open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @cached_property
    def _records(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        words, offsets = self._scan()
        if self._count is not None and len(words) != self._count:
            raise EncoderError(
                f"{self.files[0]}: its first line says {self._count} words, it holds {len(words)}: cut short?"
            )
        return words, np.array(offsets, dtype=np.int64)

    @property
    def words(self) -> list[str]:
        return self._records[0]

    @abstractmethod
    def _scan(self) -> tuple[list[str], list[int]]:
        """Every word, and where in the file its vector begins."""


class _Binary(_Mapped):
    """word2vec's binary format: each word, a space, ``dim`` little-endian float32, perhaps a line feed."""

    def _scan(self) -> tuple[list[str], list[int]]:
        words: list[str] = []
        offsets: list[int] = []
        data, end, size = self._map, len(self._map), 4 * self.dim
        at = self._start
        while at < end:
            space = data.find(b" ", at)
            if space < 0 and not data[at:].strip():
                break
            if space < 0 or space + 1 + size > end:
                raise EncoderError(f"{self.files[0]}: cut short within word {len(words) + 1} of {self._count}")
            words.append(data[at:space].lstrip(b"\n").decode("utf-8", "replace"))
            offsets.append(space + 1)
            at = space + 1 + size
        return words, offsets

    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        starts = self._records[1][np.asarray(indices, dtype=np.int64)]
        rows = np.empty((len(starts), self.dim), dtype=np.float32)
        for row, start in zip(rows, starts.tolist(), strict=True):
            row[:] = np.frombuffer(self._map, dtype="<f4", count=self.dim, offset=start)
        return rows


class _Text(_Mapped):
    """A line each: the word and ``dim`` numbers. The word may hold spaces, as some of GloVe's do."""

    def _scan(self) -> tuple[list[str], list[int]]:
        words: list[str] = []
        offsets: list[int] = []
        data, dim = self._map, self.dim
        data.seek(self._start)
        at = self._start
        for line in iter(data.readline, b""):
            bare = line.rstrip()
            if bare.count(b" ") == dim:  # nearly every line; cutting each into its numbers would take ten times as long
                word = bare[: bare.find(b" ")]
            elif len(parts := bare.rsplit(None, dim)) == dim + 1:
                word = parts[0]
            elif parts:
                raise EncoderError(f"{self.files[0]}: word {len(words) + 1} ({_shown(bare)}) has not {dim} numbers")
            else:
                continue  # an empty line; it can only be the last, or the count will not fit
            words.append(word.decode("utf-8", "replace"))
            offsets.append(at + len(word))
            at += len(line)
        return words, offsets

    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        starts = self._records[1]
        lines = []
        for index in indices:
            self._map.seek(int(starts[index]))
            lines.append(self._map.readline())
        try:
            return _numbers(b" ".join(lines)).reshape(len(lines), self.dim)
        except ValueError:
            for index, line in zip(indices, lines, strict=True):
                try:
                    _numbers(line).reshape(self.dim)
                except ValueError:
                    raise EncoderError(
                        f"{self.files[0]}: word {index + 1} ({self.words[index]}) has something that is no number"
                    ) from None
            raise


def _numbers(text: bytes) -> npt.NDArray[np.float32]:
    return np.fromstring(text.decode("ascii", "replace"), sep=" ", dtype=np.float32)


def _shown(line: bytes) -> str:
    return repr(line[:30].decode("utf-8", "replace"))


def _numpy(vectors: Path) -> _Numpy:
    for name in ("words.txt", f"{vectors.stem}.txt"):
        if (vectors.parent / name).is_file():
            return _Numpy(vectors, vectors.parent / name)
    raise ModelNotFound(f"{vectors.parent} holds no words.txt, which lists the words of {vectors.name}, one on a line")


def _file(path: Path) -> _Source:
    """Tell the formats apart by the first bytes: suffixes are no help, since .bin and .txt mean several."""
    with path.open("rb") as file:
        first = file.readline(1 << 16)
        following = file.read(1 << 12)
    if first.startswith(FASTTEXT_MAGIC):
        raise EncoderError(f"{path} is fastText's own .bin format; take the .vec file that comes with it")
    if first.startswith(b"\x1f\x8b"):
        raise EncoderError(f"{path} is compressed: gunzip it first, so that it can be read in place")
    if re.fullmatch(rb"\d+ \d+\s*", first):
        count, dim = map(int, first.split())
        kind = _Binary if re.search(rb"[\x00-\x08\x0e-\x1f]", following) else _Text
        if dim:
            return kind(path, dim, count, len(first))
    elif len(fields := first.split()) > 2 and first.endswith(b"\n") and _is_number(fields[-1]):
        return _Text(path, len(fields) - 1, None, 0)
    raise EncoderError(
        f"{path} is not a file of word vectors: its first line is neither 'words dimensions' nor a word and its numbers"
    )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def load(model: str) -> WordsEncoder:
    """``model`` is a file of word vectors, or a folder with ``words.txt`` and one ``vectors*.npy``.

    Files: word2vec's binary and text formats, GloVe's (no first line), fastText's ``.vec``, and an ``.npy`` of floats
    ``(words, dim)`` beside its ``words.txt``. Raises ``ModelNotFound``, or ``EncoderError`` where a file is of another
    kind; where it is damaged, the first encoding does.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        tables = sorted(path.glob("vectors*.npy"))
        if len(tables) != 1:
            raise ModelNotFound(f"{path} should hold one vectors*.npy, beside words.txt; it holds {len(tables)}")
        return WordsEncoder(model, _numpy(tables[0]))
    if not path.is_file():
        raise ModelNotFound(f"{model}: no such file of word vectors, and no folder with words.txt and vectors.npy")
    return WordsEncoder(model, _numpy(path) if path.suffix == ".npy" else _file(path))
