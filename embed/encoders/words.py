"""words: word vectors (text) from word2vec, GloVe and fastText files, or from an .npy with a list of its words."""

from __future__ import annotations

import base64
import binascii
import codecs
import difflib
import mmap
import re
import string
import struct
import threading
import warnings
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
FIRST_LINE: Final = 1 << 20  # bytes of a line that the format is told by
LONGEST: Final = 200  # bytes of a word in a binary file where its end is in doubt
CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")  # what no word holds, and nearly every vector
PADDING: Final = b" \t\r\n\x00"
BASE64: Final = "B64:"  # before each word of Deeplearning4j's files
FASTTEXT_MAGIC: Final = (793712314).to_bytes(4, "little")
ARCHIVES: Final = ((b"\x1f\x8b", "gunzip"), (b"PK\x03\x04", "unzip"), (b"BZh", "bunzip2"), (b"\xfd7zXZ\x00", "unxz"))
# A word is looked up as it stands, in lower case, and with capitals, in this order.
SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (str, str.lower, str.capitalize)
LITTLE: Final = frozenset({"a", "an", "and", "of", "the", "to"})  # Google's vectors lack some; nobody misses them
QUOTES: Final = "“”„‘’«»…–—"


class WordsEncoder(Encoder):
    """A text is the mean of the unit vectors of its known words; unknown words do not count.

    A text that is an entry is that entry. Else words are what white space parts. Up to four neighbours are first tried
    as one entry joined by ``_`` or a blank ("New York" is ``New_York``), the longest first; then each word alone: as it
    stands, in lower case, with a capital; then without the punctuation around it and a final 's; then its parts between
    hyphens and the like.
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
        words = self._source.words
        return dict(zip(reversed(words), range(len(words) - 1, -1, -1), strict=True))

    @cached_property
    def _rows(self) -> npt.NDArray[np.int64]:
        """Where each word of the vocabulary stands in the file."""
        rows = np.fromiter(self._row_of.values(), np.int64, len(self._row_of))
        rows.sort()
        return rows

    @cached_property
    def vocabulary(self) -> list[str]:
        """Every word once, in the file's order; of one that the file holds twice the first place counts."""
        words = self._source.words
        return words if len(self._rows) == len(words) else [words[row] for row in self._rows]

    @cached_property
    def matrix(self) -> npt.NDArray[np.float32]:
        """Unit rows, float32 ``(len(vocabulary), dim)``, in the order of ``vocabulary``. Reads the whole file."""
        return self.first(len(self.vocabulary))

    def first(self, count: int) -> npt.NDArray[np.float32]:
        """Unit rows of the first ``count`` words, or of all where there are fewer, float32 ``(n, dim)``."""
        rows = np.empty((min(count, len(self.vocabulary)), self.space.dim), dtype=np.float32)
        for start in range(0, len(rows), CHUNK):
            chunk = self._rows[start : min(start + CHUNK, len(rows))]
            rows[start : start + len(chunk)] = unit(self._read(chunk.tolist()))
        return rows

    def _read(self, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """Rows as the file has them. Raises ``EncoderError``, naming the word, for one that is not finite."""
        vectors = self._source.rows(rows)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            row = rows[int(np.flatnonzero(~finite)[0])]
            raise EncoderError(
                f"{self._source.files[0]}: word {row + 1} ({self._source.words[row]}) has a number that is not finite"
            )
        return vectors

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        with self._lock:
            found = [self._find(media) for media in batch]
            used = sorted({row for rows in found for row in rows})
            vectors = dict(zip(used, unit(self._read(used)), strict=True))
        means = [np.mean([vectors[row] for row in rows], axis=0, dtype=np.float64) for rows in found]
        return np.asarray(means, dtype=np.float32)

    def unknown(self, media: Media) -> list[str]:
        return [word for word in self._look(media.text or "")[1] if word.lower() not in LITTLE]

    def _find(self, media: Media) -> list[int]:
        rows, unknown = self._look(media.text or "")
        if not rows:
            raise MediaError(media.name, f"no word of it is in the vocabulary{self._near(unknown)}")
        return rows

    def _look(self, text: str) -> tuple[list[int], list[str]]:
        """The rows of a text's words, and those of its words that there are none of."""
        if (row := self._row_of.get(text.strip(string.whitespace))) is not None:
            return [row], []
        # A word may hold a blank that is not ASCII's, such as a no-break space.
        pieces = [
            part
            for piece in re.split(f"[{string.whitespace}]+", text)
            for part in ([piece] if piece in self._row_of else piece.split())
        ]
        rows: list[int] = []
        unknown: list[str] = []
        start = 0
        while start < len(pieces):
            for length in range(min(PHRASE, len(pieces) - start), 0, -1):
                if (row := self._row(pieces[start : start + length])) is not None:
                    rows.append(row)
                    break
            else:
                length = 1
                parts = [part for part in re.split(r"[\W_]+", pieces[start]) if part]
                known = [self._row([part]) for part in parts]
                rows += [row for row in known if row is not None]
                unknown += [part for part, row in zip(parts, known, strict=True) if row is None]
            start += length
        return rows, list(dict.fromkeys(unknown))

    def _row(self, pieces: Sequence[str]) -> int | None:
        """The row of one word, or of several as one entry; punctuation goes only where it would not be found."""
        bare = [piece.strip(string.punctuation + QUOTES) for piece in pieces]
        owner = [re.sub("['’]s$", "", piece) for piece in bare]
        for forms in (pieces, bare, owner):
            if all(forms):
                for spelling in SPELLINGS:
                    spelt = [spelling(form) for form in forms]
                    for entry in ("_".join(spelt), " ".join(spelt)):
                        if (row := self._row_of.get(entry)) is not None:
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
        # Only a line feed ends a word, perhaps after a carriage return: other breaks may be part of one.
        text = self.files[1].read_bytes().decode("utf-8-sig", "replace").removesuffix("\n")
        words = [line.removesuffix("\r") for line in text.split("\n")]
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
        if all(word.startswith(BASE64) for word in words):
            try:
                words = [base64.b64decode(word[len(BASE64) :], validate=True).decode("utf-8") for word in words]
            except (binascii.Error, UnicodeDecodeError):
                raise EncoderError(f"{self.files[0]}: its words begin with {BASE64} but are not in Base64") from None
        return words, np.array(offsets, dtype=np.int64)

    @property
    def words(self) -> list[str]:
        return self._records[0]

    @abstractmethod
    def _scan(self) -> tuple[list[str], list[int]]:
        """Every word, and where in the file its vector begins."""


class _Binary(_Mapped):
    """word2vec's binary format: each word, a space, ``dim`` little-endian float32, perhaps a line feed.

    A word ends at its first space, unless the next word would then begin within the vector, which bytes that no word
    holds give away: then the word has a blank in it, as some tools write phrases.
    """

    def _scan(self) -> tuple[list[str], list[int]]:
        words: list[str] = []
        offsets: list[int] = []
        data, end, size, strange = self._map, len(self._map), 4 * self.dim, 0
        at = self._start
        while at < end:
            if len(words) == self._count:
                if data[at:].strip(PADDING):
                    raise EncoderError(f"{self.files[0]}: its first line says {self._count} words, it holds more")
                break
            space = data.find(b" ", at)
            if space < 0 or space + 1 + size > end:
                raise EncoderError(f"{self.files[0]}: cut short within word {len(words) + 1} of {self._count}")
            last = len(words) + 1 == self._count
            if not (self._likely(space) and (last or self._ends(space))):
                space, fits = self._later(space, last)
                strange += not fits
            words.append(data[at:space].lstrip(b"\n").decode("utf-8", "replace"))
            offsets.append(space + 1)
            at = space + 1 + size
        if 2 * strange > len(words):
            raise EncoderError(
                f"{self.files[0]}: words and vectors cannot be told apart: does its first line say the right number of "
                f"dimensions ({self.dim}), and is it word2vec's binary format?"
            )
        return words, offsets

    def _likely(self, space: int) -> bool:
        """Whether the numbers behind a space are such as vectors have; those of letters are huge or tiny."""
        values = struct.unpack_from(f"<{min(self.dim, 8)}f", self._map, space + 1)
        return all(not value or 1e-9 < abs(value) < 1e6 for value in values)

    def _ends(self, space: int) -> bool:
        """Whether a word can begin after the vector behind a space."""
        after = space + 1 + 4 * self.dim
        word = self._map[after : after + LONGEST].lstrip(b"\n").partition(b" ")[0]
        try:
            word.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return not CONTROLS.search(word)

    def _later(self, space: int, last: bool) -> tuple[int, bool]:
        """A later space of the same word that its vector may follow, else the first; and whether it fits."""
        later = space
        while (later := self._map.find(b" ", later + 1, space + LONGEST)) >= 0:
            if CONTROLS.search(self._map[space:later]) or later + 1 + 4 * self.dim > len(self._map):
                break
            if self._likely(later) and (last or self._ends(later)):
                return later, True
        return space, last or self._ends(space)

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
        data, dim, numbered = self._map, self.dim, 0
        data.seek(self._start)
        at = self._start
        line = b""
        for line in iter(data.readline, b""):
            bare = line.rstrip()
            # Nearly every line; cutting each into its numbers would take ten times as long.
            if bare.count(b" ") == dim and b"\t" not in bare:
                length = bare.find(b" ")
                word = bare[:length]
            elif len(parts := bare.rsplit(None, dim)) == dim + 1:
                length = len(parts[0])
                word = parts[0].strip()
                numbered += len(rest := word.split()) > 1 and all(map(_is_number, rest[1:]))
            elif parts:
                raise EncoderError(f"{self.files[0]}: word {len(words) + 1} ({_shown(bare)}) has not {dim} numbers")
            else:
                at += len(line)
                continue  # an empty line; it can only be the last, or the count will not fit
            words.append(word.decode("utf-8", "replace"))
            offsets.append(at + length)
            at += len(line)
        if 2 * numbered > len(words):
            raise EncoderError(f"{self.files[0]}: its first line says {dim} numbers a word; most words have more")
        if not line.endswith(b"\n") and line.strip() and not _is_number(line.split()[-1]):
            raise EncoderError(f"{self.files[0]}: cut short within word {len(words)} ({_shown(line)})")
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
    """The numbers of a text, too few where there is something else in it."""
    # numpy stops without an error at what is no number, perhaps behind the digits of the last: one more shows it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.fromstring(text.decode("ascii", "replace") + " 1", sep=" ", dtype=np.float32)[:-1]


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
        first = file.readline(FIRST_LINE)
        following = file.readline(FIRST_LINE)
        rest = following + file.read(1 << 12)
    if first.startswith(FASTTEXT_MAGIC):
        raise EncoderError(f"{path} is fastText's own .bin format; take the .vec file that comes with it")
    for magic, unpack in ARCHIVES:
        if first.startswith(magic):
            raise EncoderError(f"{path} is compressed: {unpack} it first, so that it can be read in place")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise EncoderError(f"{path} is in UTF-16: save it as UTF-8 first")
    start = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0
    fields, second = first[start:].split(), following.split()
    numbers = [int(field) for field in fields if field.isdigit()]
    # Deeplearning4j's first line goes on with the number of texts that it was trained on.
    if len(numbers) == len(fields) and (len(fields) == 2 or (len(fields) == 3 and len(second) != 3)):
        count, dim = numbers[:2]
        text = len(second) > dim and all(map(_is_number, second[-dim:]))
        if dim and len(fields) == 3 and not text:
            raise EncoderError(
                f"{path}: its first line is three numbers, and its second line has not the {dim} of them that it says"
            )
        if dim:
            kind = _Binary if not text and CONTROLS.search(rest) else _Text
            return kind(path, dim, count, len(first))
    elif len(fields) > 2 and (following or first.endswith(b"\n")) and _is_number(fields[-1]):
        return _Text(path, len(fields) - 1, None, start)
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
