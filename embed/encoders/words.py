"""words: word vectors (text) from word2vec, GloVe and fastText files, or from an .npy with a list of its words.

fastText's own ``.bin`` makes a vector of any word from the pieces that it consists of (Bojanowski et al. 2017,
"Enriching word vectors with subword information").
"""

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
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import NAMED, Encoder
from embed.errors import EncoderError, MediaError, ModelNotFound
from embed.media import Media
from embed.space import Space, unit

__all__ = ["WordsEncoder", "load"]

REMEMBERED: Final = 1024  # texts
PHRASE: Final = 4  # words that one entry such as New_York_Stock_Exchange may join
CHUNK: Final = 8192  # rows read at a time
NEAR: Final = 20_000  # words that the search for near spellings looks at
FIRST_LINE: Final = 1 << 20  # bytes of a line that the format is told by
LONGEST: Final = 200  # bytes of a word in a binary file where its end is in doubt
CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")  # what no word holds, and nearly every vector
PADDING: Final = b" \t\r\n\x00"
BASE64: Final = "B64:"  # before each word of Deeplearning4j's files
FASTTEXT_MAGIC: Final = 793712314
FASTTEXT_VERSIONS: Final = (11, 12)
SUPERVISED: Final = 3  # fastText's number of the kind of model that learns labels
SUBWORD_ROWS: Final = 1 << 14  # rows of pieces of words that are summed up at a time
FNV_OFFSET: Final = np.uint32(2166136261)
FNV_PRIME: Final = np.uint32(16777619)
PICKLED: Final = re.compile(rb"gensim\.models\.[\w.]+[^A-Za-z]{1,8}([A-Z]\w+)")  # the class that a pickle begins with
ARCHIVES: Final = ((b"\x1f\x8b", "gunzip"), (b"PK\x03\x04", "unzip"), (b"BZh", "bunzip2"), (b"\xfd7zXZ\x00", "unxz"))
# A word is looked up as it stands, in lower case, and with capitals, in this order.
SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (str, str.lower, str.capitalize)
LITTLE: Final = frozenset({"a", "an", "and", "of", "the", "to"})  # Google's vectors lack some; nobody misses them
QUOTES: Final = "“”„‘’«»…–—"


class WordsEncoder(Encoder):
    """A text is the mean of the unit vectors of its known words; unknown words do not count.

    In a model with subwords (fastText's ``.bin``) the vector of an unknown word is the mean of its pieces, as fastText
    has it; one without a piece that is long enough does not count.

    A text that is an entry is that entry. Else words are what white space parts. Up to four neighbours are first tried
    as one entry joined by ``_`` or a blank ("New York" is ``New_York``), the longest first; then each word alone: as it
    stands, in lower case, with a capital; then without the punctuation around it and a final 's; then its parts between
    hyphens and the like.
    """

    modalities = frozenset({"text"})
    batch_size = 256

    def __init__(self, model: str, source: _Source) -> None:
        self._source = source
        known = "mean of unit word vectors; phrases joined by _; as it stands, lower case, capitalised"
        self.space = Space(
            f"words:{model}",
            hub.weights_hash(source.files),
            known + ("; else by its subwords" if source.subwords else ""),
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
            used = sorted({row for rows in found for row in rows if isinstance(row, int)})
            vectors: dict[int | str, npt.NDArray[np.float32]] = dict(zip(used, unit(self._read(used)), strict=True))
            pieced = sorted({word for rows in found for word in rows if isinstance(word, str)})
            vectors.update(zip(pieced, unit(self._source.pieced(pieced)), strict=True))
        means = [np.mean([vectors[row] for row in rows], axis=0, dtype=np.float64) for rows in found]
        return np.asarray(means, dtype=np.float32)

    def unknown(self, media: Media) -> list[str]:
        return [word for word in self._looked(media.text or "")[1] if word.lower() not in LITTLE]

    def remark(self, *media: Media) -> str | None:
        """Which words have no part in the vectors; and which ones the model does not know but by their subwords."""
        said = list(filter(None, [super().remark(*media)]))
        looked = (self._looked(one.text or "")[0] for one in media if self._source.subwords)
        pieced = list(dict.fromkeys(word for rows in looked for word in rows if isinstance(word, str)))
        if pieced:
            more = f" and {len(pieced) - NAMED} more" if len(pieced) > NAMED else ""
            made = "is {}: its vector is made of its" if len(pieced) == 1 else "are {}: their vectors are made of their"
            where = f"in no vocabulary of {self.space.model}"
            said.append(f"{', '.join(pieced[:NAMED])}{more} {made.format(where)} subwords")
        return "; ".join(said) or None

    def _find(self, media: Media) -> list[int | str]:
        rows, unknown = self._looked(media.text or "")
        if not rows:
            raise MediaError(media.name, f"no word of it is in the vocabulary{self._near(unknown)}")
        return rows

    @cached_property
    def _looked(self) -> Callable[[str], tuple[list[int | str], list[str]]]:
        """``_look``, remembered: a text is looked up for its vector and for what is said of it."""
        return lru_cache(REMEMBERED)(self._look)

    def _look(self, text: str) -> tuple[list[int | str], list[str]]:
        """The rows of a text's words, or the words that are made of subwords, and those that there is nothing of."""
        if (row := self._row_of.get(text.strip(string.whitespace))) is not None:
            return [row], []
        # A word may hold a blank that is not ASCII's, such as a no-break space.
        pieces = [
            part
            for piece in re.split(f"[{string.whitespace}]+", text)
            for part in ([piece] if piece in self._row_of else piece.split())
        ]
        rows: list[int | str] = []
        unknown: list[str] = []
        start = 0
        while start < len(pieces):
            for length in range(min(PHRASE, len(pieces) - start), 0, -1):
                if (row := self._row(pieces[start : start + length])) is not None:
                    rows.append(row)
                    break
            else:
                length = 1
                if self._source.has_pieces(bare := pieces[start].strip(string.punctuation + QUOTES)):
                    rows.append(bare)
                    start += length
                    continue
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
    subwords = False
    """Whether it makes a vector of a word that it does not know."""

    @property
    @abstractmethod
    def words(self) -> list[str]:
        """Every word in order. Raises ``EncoderError`` where the file contradicts itself."""

    @abstractmethod
    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        """The vectors of some words as the file has them, ``(len(indices), dim)``."""

    def has_pieces(self, word: str) -> bool:
        """Whether a word that is not in the vocabulary has a vector all the same."""
        return False

    def pieced(self, words: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of words that ``has_pieces`` says yes to, ``(len(words), dim)``."""
        return np.empty((0, self.dim), dtype=np.float32)


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


class _FastText(_Source):
    """fastText's own ``.bin``: a row for each word, and ``bucket`` rows that the pieces of all words are hashed to.

    The layout is that of ``FastText::saveModel``: settings, dictionary, matrix; the output matrix, which only training
    and labels need, is not read. The matrix stays on disk and is read row by row through a memory map.
    """

    def __init__(self, path: Path, old: bool) -> None:
        """``old`` is the layout before there was a number that begins it, which some published models still have."""
        self.files = (path,)
        self._old = old
        try:
            with path.open("rb") as file:
                version = 0 if old else struct.unpack("<2i", file.read(8))[1]
                settings = struct.unpack("<12id", file.read(56))
                self._entries, self._count, self._labels, _, self._pruned = struct.unpack(
                    "<3iq" + ("" if old else "q"), file.read(20 if old else 28)
                ) + ((-1,) if old else ())
                self._start = file.tell()
        except struct.error:
            raise self._short("its settings") from None
        if not old and version not in FASTTEXT_VERSIONS:
            versions = " and ".join(map(str, FASTTEXT_VERSIONS))
            raise EncoderError(f"{path} is fastText's .bin format in version {version}; {versions} are read here")
        self.dim, (kind, self._buckets, self._least, self._most) = settings[0], settings[7:11]
        if (old or version == 11) and kind == SUPERVISED:
            self._most = 0  # these made no use of pieces, whatever they say
        if self._pruned > 0:
            raise self._quantised()
        if not 0 < self.dim < 1 << 20 or not 0 < self._count <= self._entries or self._buckets < 0:
            raise EncoderError(f"{path}: damaged: {self.dim} dimensions, {self._count} of {self._entries} words")
        self.subwords = self._buckets > 0 and 0 < max(self._least, 1) <= self._most

    def _short(self, within: str) -> EncoderError:
        return EncoderError(f"{self.files[0]}: cut short within {within}")

    def _quantised(self) -> EncoderError:
        return EncoderError(
            f"{self.files[0]} is a quantised fastText model (.ftz), whose vectors are only near those that it was made "
            "from: take the .bin that it was made from"
        )

    @cached_property
    def _read(self) -> tuple[list[str], npt.NDArray[np.float32]]:
        """The words, and the matrix of words and pieces, float32 ``(words + buckets, dim)``, as a memory map."""
        path = self.files[0]
        words: list[str] = []
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = self._start
            for number in range(self._entries):
                end = data.find(b"\0", at)
                if end < 0 or end + 10 > len(data):
                    raise self._short(f"word {number + 1} of {self._entries}")
                if data[end + 9] == 0:  # a word; the labels of a supervised model have rows of the output only
                    words.append(data[at:end].decode("utf-8", "backslashreplace"))  # as gensim has it
                at = end + 10
            head = struct.Struct("<2q" if self._old else "<?2q")
            if at + head.size > len(data):
                raise self._short("its matrix")
            *quantised, rows, dim = head.unpack_from(data, at)
            size = len(data)
        if any(quantised):
            raise self._quantised()
        enough = (self._count + self._buckets,) if self.subwords else (self._count, self._count + self._buckets)
        if len(words) != self._count or dim != self.dim or rows not in enough:
            raise EncoderError(
                f"{path}: damaged: its settings say {self._count} words, {self._buckets} buckets and {self.dim} "
                f"dimensions; it holds {len(words)} words and a matrix {rows} x {dim}"
            )
        if at + head.size + 4 * rows * dim > size:
            raise self._short("its matrix")
        matrix = np.memmap(path, dtype="<f4", mode="r", offset=at + head.size, shape=(rows, dim))
        return words, matrix

    @property
    def words(self) -> list[str]:
        return self._read[0]

    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        """The mean of each word's own row and those of its pieces."""
        words = self.words
        return self._means([words[index] for index in indices], np.asarray(indices, dtype=np.int64))

    def has_pieces(self, word: str) -> bool:
        return self.subwords and bool(word) and len(word) + 2 >= self._least  # the marks around it count

    def pieced(self, words: Sequence[str]) -> npt.NDArray[np.float32]:
        return self._means(words, None)

    def _means(self, words: Sequence[str], own: npt.NDArray[np.int64] | None) -> npt.NDArray[np.float32]:
        matrix = self._read[1]
        means = np.empty((len(words), self.dim), dtype=np.float32)
        pieces, counts = self._pieces(words) if self.subwords else (np.empty(0, np.int64), np.zeros(len(words), int))
        ends = np.concatenate([[0], np.cumsum(counts)])
        start = 0
        while start < len(words):  # as many words at a time as have so many pieces, and one at least
            end = max(start + 1, int(np.searchsorted(ends, ends[start] + SUBWORD_ROWS, side="right")) - 1)
            sums = np.zeros((end - start, self.dim), dtype=np.float64)
            if own is not None:
                sums += matrix[own[start:end]]
            which = np.repeat(np.arange(end - start), counts[start:end])
            np.add.at(sums, which, matrix[pieces[ends[start] : ends[end]]])
            means[start:end] = sums / (counts[start:end] + (own is not None))[:, None]
            start = end
        return means

    def _pieces(self, words: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The rows of all words' pieces, one word after another, and how many each word has.

        Pieces are ``minn`` to ``maxn`` characters of ``<word>``, but ``<`` and ``>`` alone. A piece's row is the 32-bit
        FNV-1a hash of its UTF-8 bytes, each extended with its sign, as fastText's ``Dictionary::hash`` has it.
        """
        marked = [f"<{word}>".encode("utf-8", "surrogatepass") for word in words]
        text = np.frombuffer(b"".join(marked), dtype=np.uint8)
        starts = np.flatnonzero((text & 0xC0) != 0x80)  # where characters begin
        word_ends = np.cumsum([len(one) for one in marked])
        owner = np.searchsorted(word_ends, starts, side="right")
        inner = (np.append(-1, owner[:-1]) == owner) & (np.append(owner[1:], -1) == owner)
        bounds = np.append(starts, len(text))
        begins, ends, owners = [], [], []
        number = np.arange(len(starts))
        for length in range(max(self._least, 1), self._most + 1):
            first = number[: max(0, len(starts) - length + 1)]
            last = first + length - 1
            fits = owner[first] == owner[last]
            if length == 1:  # the marks alone are no pieces
                fits &= inner[first]
            begins.append(bounds[first[fits]])
            ends.append(bounds[last[fits] + 1])
            owners.append(owner[first[fits]])
        begin, end, of = np.concatenate(begins), np.concatenate(ends), np.concatenate(owners)
        hashes = np.full(len(begin), FNV_OFFSET, dtype=np.uint32)
        signed = text.view(np.int8).astype(np.int32).view(np.uint32)
        going = np.arange(len(begin))
        for step in range(int((end - begin).max(initial=0))):
            going = going[begin[going] + step < end[going]]
            hashes[going] = (hashes[going] ^ signed[begin[going] + step]) * FNV_PRIME
        order = np.argsort(of, kind="stable")
        rows = self._count + (hashes % np.uint32(self._buckets)).astype(np.int64)
        return rows[order], np.bincount(of, minlength=len(words))


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
    with path.open("rb") as file:
        head = file.read(FIRST_LINE >> 8)
    if head.startswith(FASTTEXT_MAGIC.to_bytes(4, "little")):
        return _FastText(path, old=False)
    if _old_fasttext(head):
        return _FastText(path, old=True)
    if head[:1] in (b"\x80", b"c", b"(") and (found := PICKLED.search(head)):
        raise _pickled(path, found[1].decode())
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


def _old_fasttext(head: bytes) -> bool:
    """Whether a file begins with the settings of a fastText model from before 2017, whose format had no mark."""
    if len(head) < 76:
        return False
    dim, window, epochs, least, negative, ngrams, loss, kind, buckets, shortest, longest, rate, sample, *counts = (
        struct.unpack_from("<12id3iq", head)
    )
    entries, words, labels, tokens = counts
    return (
        0 < dim < 1 << 16
        and all(0 <= one < 1 << 16 for one in (window, epochs, least, negative, ngrams, shortest, longest))
        and loss in (1, 2, 3)
        and kind in (1, 2, 3)
        and buckets >= 0 < rate
        and 0.0 <= sample <= 1.0
        and words >= 0 <= labels
        and words + labels == entries > 0
        and tokens >= 0
    )


def _pickled(path: Path, kind: str) -> EncoderError:
    """What to say of an object that gensim saved: the line of Python that makes of it what is read here."""
    old, new = repr(str(path)), repr(f"{path}.bin")
    line = ""
    if kind == "FastText":
        line = (
            "from gensim.models.fasttext import FastText, save_facebook_model; "
            f"save_facebook_model(FastText.load({old}), {new})"
        )
    elif kind in ("Word2Vec", "Doc2Vec") or kind.endswith("KeyedVectors"):
        owner, vectors = ("KeyedVectors", "") if kind.endswith("KeyedVectors") else (kind, ".wv")
        line = (
            f"from gensim.models import {owner}; {owner}.load({old}){vectors}.save_word2vec_format({new}, binary=True)"
        )
    way = f": if you trust it, save it with gensim as a file of word vectors: {line}" if line else ""
    return EncoderError(
        f"{path} is a pickle of gensim's {kind}, which is not read here, since to read one may run any program{way}"
    )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def load(model: str) -> WordsEncoder:
    """``model`` is a file of word vectors, or a folder with ``words.txt`` and one ``vectors*.npy``.

    Files: word2vec's binary and text formats, GloVe's (no first line), fastText's ``.vec`` and, with its subwords, its
    ``.bin``; and an ``.npy`` of floats ``(words, dim)`` beside its ``words.txt``. However large a file is, its numbers
    stay on disk until they are asked for; once, it is read whole for its hash. Raises ``ModelNotFound``, or
    ``EncoderError`` where a file is of another kind; where it is damaged, the first encoding does.
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
