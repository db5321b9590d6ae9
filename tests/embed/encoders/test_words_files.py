"""Files of word vectors as other tools write them, whole and damaged: read as they are meant, or refused by name."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import embed
from embed import Media
from embed.encoders.words import WordsEncoder, load
from embed.errors import EncoderError, MediaError
from embed.space import unit

DIM = 6
WORDS = ["dog", "cat", "king", "queen", "rain"]


def rows(words: Sequence[str], dim: int = DIM) -> npt.NDArray[np.float32]:
    return np.random.default_rng(len(words)).standard_normal((len(words), dim)).astype(np.float32)


def line(word: str, row: npt.NDArray[np.float32], between: str = " ", end: str = "\n") -> bytes:
    return (between.join([word, *(repr(float(x)) for x in row)]) + end).encode()


def text(words: Sequence[str], between: str = " ", end: str = "\n", head: str | None = None) -> bytes:
    """A text file of words with the vectors of ``rows``; ``head`` is its first line, by default word2vec's."""
    head = f"{len(words)} {DIM}{end}" if head is None else head
    return head.encode() + b"".join(line(*one, between, end) for one in zip(words, rows(words), strict=True))


def binary(words: Sequence[str], end: bytes = b"\n", head: str | None = None) -> bytes:
    head = f"{len(words)} {DIM}\n" if head is None else head
    records = [word.encode() + b" " + row.tobytes() + end for word, row in zip(words, rows(words), strict=True)]
    return head.encode() + b"".join(records)


@pytest.fixture
def opened(tmp_path: Path):  # type: ignore[no-untyped-def]
    def opening(content: bytes) -> WordsEncoder:
        (tmp_path / "vectors").write_bytes(content)
        return load(str(tmp_path / "vectors"))

    return opening


def holds(encoder: WordsEncoder, words: Sequence[str], table: npt.NDArray[np.float32] | None = None) -> None:
    """The file's vocabulary and vectors are these, and each word as a text has its own vector."""
    assert encoder.vocabulary == list(words)
    expected = unit(rows(words) if table is None else table)
    assert np.abs(encoder.matrix - expected).max() < 1e-6
    asked = [number for number, word in enumerate(words) if word.strip()]
    found = embed.encode(encoder, [Media.from_text(words[number]) for number in asked]).array
    assert np.abs(found - expected[asked]).max() < 1e-6


@pytest.mark.parametrize(
    "content",
    [
        text(WORDS),
        text(WORDS, end=" \n"),
        text(WORDS, end="\r\n"),
        text(WORDS) + b"\n \n",
        text(WORDS).removesuffix(b"\n"),
        text(WORDS, head=f"  5\t{DIM}  \n"),
        b"\xef\xbb\xbf" + text(WORDS),
        binary(WORDS),
        binary(WORDS, b""),
        binary(WORDS) + b"   \n",
    ],
    ids=[
        *("plain", "ended by blanks", "CRLF", "empty lines", "no last line feed", "tabs", "byte order mark"),
        *("binary", "binary without line feeds", "binary padded"),
    ],
)
def test_as_gensim_reads_them(opened, content: bytes, tmp_path: Path, request: pytest.FixtureRequest) -> None:  # type: ignore[no-untyped-def]
    models = pytest.importorskip("gensim.models")
    encoder = opened(content)
    holds(encoder, WORDS)
    if content.startswith(b"\xef\xbb\xbf"):
        return  # gensim does not take a byte order mark
    is_binary = "binary" in request.node.callspec.id
    expected = models.KeyedVectors.load_word2vec_format(tmp_path / "vectors", binary=is_binary)
    assert encoder.vocabulary == expected.index_to_key
    assert np.abs(encoder.matrix - expected.get_normed_vectors()).max() < 1e-6


@pytest.mark.parametrize("between", [" ", "\t", "  "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\t\n"])
@pytest.mark.parametrize("head", [None, ""])
def test_blanks_and_tabs_between_numbers(opened, between: str, end: str, head: str | None) -> None:  # type: ignore[no-untyped-def]
    holds(opened(text(WORDS, between, end, head)), WORDS)


def test_tab_behind_the_word_alone_and_blanks_before_it(opened) -> None:  # type: ignore[no-untyped-def]
    holds(opened(text(WORDS).replace(b"dog ", b"dog\t").replace(b"king ", b"  king\t ")), WORDS)


def test_byte_order_mark_without_a_first_line(opened) -> None:  # type: ignore[no-untyped-def]
    holds(opened(b"\xef\xbb\xbf" + text(WORDS, head="")), WORDS)


def test_deeplearning4j(opened) -> None:  # type: ignore[no-untyped-def]
    """Its first line has a third number, and its words are in Base64 since 0.7."""
    holds(opened(text(WORDS, head=f"5 {DIM} 7200\n")), WORDS)
    coded = ["B64:" + base64.b64encode(word.encode()).decode() for word in ("dog", "犬", "New York")]
    content = b"".join(line(word, row) for word, row in zip(coded, rows(coded), strict=True))
    holds(opened(f"3 {DIM} 7200\n".encode() + content), ["dog", "犬", "New York"])
    with pytest.raises(EncoderError, match="its first line is three numbers, and its second line has not the 6"):
        opened(f"5 {DIM} 7200\ndog 1 2 3\n".encode())
    with pytest.raises(EncoderError, match="B64: but are not in Base64"):
        holds(opened(f"1 {DIM} 7200\n".encode() + line("B64:???", rows(["x"])[0])), ["x"])


def test_numbers_are_words_too(opened) -> None:  # type: ignore[no-untyped-def]
    words = ["5", "1984", "3.14", "1e5", "-1"]
    for head in (None, f"5 {DIM} 100\n", ""):
        holds(opened(text(words, head=head)), words)
    holds(opened(binary(words)), words)
    # Three whole numbers a line are words with two numbers each, not another first line.
    table = np.array([[50, 7200], [1, 2]], np.float32)
    holds(opened(b"6 50 7200\n7 1 2\n"), ["6", "7"], table)


UNUSUAL = ["10\u00a0km", "\u3000", "a\u3000b", "x\u0085y", "\u2028", "d\u00a0", "\u200bzero", "naïve", "犬", "🐕"]


@pytest.mark.parametrize("content", [text(UNUSUAL), text(UNUSUAL, "\t"), text(UNUSUAL, head=""), binary(UNUSUAL)])
def test_white_space_of_unicode_is_part_of_a_word(opened, content: bytes) -> None:  # type: ignore[no-untyped-def]
    encoder = opened(content)
    holds(encoder, UNUSUAL)
    between = embed.encode(encoder, [Media.from_text("犬 10\u00a0km"), Media.from_text("犬\u00a0🐕")]).array
    expected = unit(np.stack([unit(rows(UNUSUAL))[[8, 0]].mean(axis=0), unit(rows(UNUSUAL))[[8, 9]].mean(axis=0)]))
    assert np.abs(between - expected).max() < 1e-6


def test_list_of_words_beside_an_npy(tmp_path: Path) -> None:
    words = [*UNUSUAL, "dog"]
    np.save(tmp_path / "vectors.npy", rows(words))
    for content in ("\n".join(words), "\r\n".join(words) + "\r\n", "\ufeff" + "\n".join(words) + "\n"):
        (tmp_path / "words.txt").write_bytes(content.encode())
        holds(load(str(tmp_path)), words)


BLANKS = ["dog", "New York", "the end of it", "at mail@x.org", "x", "9 to 5", "last one"]


@pytest.mark.parametrize("dim", [6, 20, 300])
@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("seed", range(5))
def test_words_with_blanks_in_binary_files(opened, dim: int, end: bytes, seed: int) -> None:  # type: ignore[no-untyped-def]
    table = np.random.default_rng(seed).standard_normal((len(BLANKS), dim)).astype(np.float32)
    records = [word.encode() + b" " + row.tobytes() + end for word, row in zip(BLANKS, table, strict=True)]
    holds(opened(f"{len(BLANKS)} {dim}\n".encode() + b"".join(records)), BLANKS, table)


def test_words_with_blanks_in_text_files(opened) -> None:  # type: ignore[no-untyped-def]
    for between in (" ", "\t"):
        holds(opened(text(BLANKS, between)), BLANKS)
        holds(opened(text(BLANKS, between, head="")), BLANKS)
    encoder = opened(text(BLANKS))
    both = embed.encode(encoder, [Media.from_text("dog in New York"), Media.from_text("dog New York")]).array
    assert np.abs(both - unit(unit(rows(BLANKS))[[0, 1]].mean(axis=0))).max() < 1e-6


def test_words_of_control_characters_and_small_numbers_are_read(opened) -> None:  # type: ignore[no-untyped-def]
    words = ["dog", "\x10", "a\x7fb", "cat"]
    for content in (binary(words), binary(words, b""), text(words)):
        holds(opened(content), words)
    tiny = rows(WORDS) * np.float32(1e-20)
    records = [word.encode() + b" " + row.tobytes() for word, row in zip(WORDS, tiny, strict=True)]
    encoder = opened(f"5 {DIM}\n".encode() + b"".join(records))
    assert encoder.vocabulary == WORDS and np.array_equal(encoder._source.rows(range(5)), tiny)


def test_a_word_that_is_there_twice_counts_once(opened, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    models = pytest.importorskip("gensim.models")
    words = ["dog", "cat", "dog", "rain", "cat"]
    for content, is_binary in ((text(words), False), (binary(words), True)):
        encoder = opened(content)
        holds(encoder, ["dog", "cat", "rain"], rows(words)[[0, 1, 3]])
        expected = models.KeyedVectors.load_word2vec_format(tmp_path / "vectors", binary=is_binary)
        assert encoder.vocabulary == [word for word in expected.index_to_key if word is not None]
        units = [expected.get_vector(word, norm=True) for word in encoder.vocabulary]
        assert np.abs(encoder.matrix - units).max() < 1e-6
        assert np.array_equal(encoder.first(2), encoder.matrix[:2])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (text(WORDS, head=f"7 {DIM}\n"), "its first line says 7 words, it holds 5"),
        (text(WORDS, head=f"3 {DIM}\n"), "its first line says 3 words, it holds 5"),
        (binary(WORDS, head=f"7 {DIM}\n"), "cut short within word 6 of 7"),
        (binary(WORDS, head=f"3 {DIM}\n"), "its first line says 3 words, it holds more"),
        (text(WORDS, head=f"5 {DIM + 1}\n"), "word 1 .* has not 7 numbers"),
        (text(WORDS, head=f"5 {DIM - 1}\n"), "its first line says 5 numbers a word; most words have more"),
        (text(WORDS, head="5 1\n"), "its first line says 1 numbers a word; most words have more"),
        (binary(WORDS, head=f"5 {DIM + 1}\n"), "cut short|told apart"),
        (binary(WORDS, head=f"5 {DIM - 1}\n"), "cut short|told apart|it holds"),
        (text(WORDS)[:-60], "has not 6 numbers|holds 4"),
        (text(WORDS, head="")[:-60], "has not 6 numbers"),
        (text(WORDS, head="") + b"sun 1 2 3 4 5 -", "cut short within word 6"),
        (text(WORDS, head="") + b"sun 1 2 3 4 5 1e", "cut short within word 6"),
        (binary(WORDS)[:-9], "cut short within word 5 of 5"),
        (binary(WORDS, b"")[:-1], "cut short within word 5 of 5"),
        (gzip.compress(text(WORDS)), "compressed: gunzip it first"),
        (b"PK\x03\x04rest", "compressed: unzip it first"),
        (b"BZh9rest\n", "compressed: bunzip2 it first"),
        (text(WORDS).decode().encode("utf-16"), "UTF-16: save it as UTF-8"),
        (text(WORDS).replace(b".", b","), "something that is no number"),
        (b"word;a;b\ndog;1;2\n", "is not a file of word vectors"),
        (b"dog 1 2\ncat 3 4x\n", r"word 2 \(cat\) has something that is no number"),
        (b"dog 1 2\ncat nan 4\n", r"word 2 \(cat\) has a number that is not finite"),
        (b"dog 1 2\ncat 1e60 4\n", r"word 2 \(cat\) has a number that is not finite"),
        (binary(WORDS).replace(rows(WORDS)[1].tobytes(), np.full(DIM, np.nan, "f4").tobytes()), r"word 2 \(cat\) has"),
    ],
)
def test_refused_by_name(opened, tmp_path: Path, content: bytes, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(EncoderError, match=says) as caught:
        opened(content).matrix  # noqa: B018
    assert str(tmp_path / "vectors") in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_unknown_is_remarked(opened) -> None:  # type: ignore[no-untyped-def]
    encoder = opened(text([*WORDS, "New York"]))
    name = encoder.space.model
    for asked, unknown in [
        ("dog", ""),
        ("New York dog", ""),
        ("the dog and the cat!", ""),
        ("zzqx dog", "zzqx is"),
        ("zzqx dog qqz zzqx 犬", "zzqx, qqz and 犬 are"),
        ("dog-zzqx", "zzqx is"),
        ("dog, zzqx!", "zzqx is"),
    ]:
        said = encoder.remark(Media.from_text(asked))
        if unknown:
            verb = "adds" if unknown.endswith("is") else "add"
            assert said == f"{unknown} in no vocabulary of {name} and {verb} no meaning"
        else:
            assert said is None
    with pytest.raises(MediaError, match="no word of it is in the vocabulary"):
        embed.encode(encoder, [Media.from_text("zzqx")])
