"""fastText's own format, with subwords, against gensim on the models that its wheel carries; what else gensim saves."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import embed
from embed import Media
from embed.encoders.words import WordsEncoder, load
from embed.errors import EncoderError, MediaError
from embed.space import unit

gensim = pytest.importorskip("gensim")
DATA = Path(gensim.__file__).parent / "test" / "test_data"
MODELS = {
    "crime-and-punishment.bin": "version 12, Cyrillic",
    "toy-model.bin": "version 12, skip-gram",
    "toy-model-pretrained.bin": "version 12",
    "lee_fasttext_new.bin": "version 11",
    "lee_fasttext.bin": "no version",
    "non_ascii_fasttext.bin": "no version, Czech",
    "cp852_fasttext.bin": "no version, not in UTF-8",
}
STRANGE = [
    "zzqx",
    "犬小屋と雨",
    "naïve-犬!x",
    "bäckerei",
    "supercalifragilistic" * 9,
    "q",
    "<",
    "преступлений",
    "nechcem",
]


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest) -> tuple[WordsEncoder, Any]:
    path = DATA / request.param
    if not path.is_file():
        pytest.skip(f"this gensim has no {request.param} among its test data")
    from gensim.models.fasttext import load_facebook_vectors

    return load(str(path)), load_facebook_vectors(path)


def encoded(encoder: WordsEncoder, *texts: str) -> npt.NDArray[np.float32]:
    return embed.encode(encoder, [Media.from_text(text) for text in texts]).array


def test_the_words_of_the_vocabulary_are_gensims(pair: tuple[WordsEncoder, Any]) -> None:
    encoder, theirs = pair
    assert encoder.vocabulary == theirs.index_to_key
    assert np.abs(encoder._source.rows(range(len(theirs))) - theirs.vectors).max() < 1e-6
    assert np.abs(encoder.matrix - unit(theirs.vectors)).max() < 1e-6
    asked = [word for word in theirs.index_to_key if word.strip()]
    assert np.abs(encoded(encoder, *asked) - unit(np.stack([theirs[word] for word in asked]))).max() < 1e-6
    assert np.array_equal(encoder.first(7), encoder.matrix[:7])


def test_unknown_words_are_gensims(pair: tuple[WordsEncoder, Any]) -> None:
    encoder, theirs = pair
    random = np.random.default_rng(5)
    letters = sorted({letter for word in theirs.index_to_key for letter in word if letter.isalpha()})
    made = ["".join(random.choice(letters, size)) for size in (2, 3, 4, 5, 6, 7, 12, 40) for _ in range(30)]
    known = {word.lower() for word in theirs.index_to_key}
    asked = [word for word in [*made, *STRANGE] if word.lower() not in known]
    assert len(asked) > 200
    source = encoder._source
    with_pieces = [word for word in asked if source.has_pieces(word)]
    assert len(with_pieces) > 200
    expected = np.stack([theirs[word] for word in with_pieces])
    assert np.abs(source.pieced(with_pieces) - expected).max() < 1e-6
    plain = [word for word in with_pieces if word == word.strip("!<>")]
    found = encoded(encoder, *plain)
    assert np.abs(found - unit(np.stack([theirs[word] for word in plain]))).max() < 1e-6


def test_a_text_is_the_mean_of_known_and_unknown_words(pair: tuple[WordsEncoder, Any]) -> None:
    encoder, theirs = pair
    known = next(word for word in theirs.index_to_key if len(word) > 3 and word.isalpha())
    rows = unit(np.stack([theirs[known], theirs["zzqxly"]]))
    assert np.abs(encoded(encoder, f"{known} «zzqxly!»")[0] - unit(rows.mean(axis=0))).max() < 1e-6
    other = known.upper()  # known in another spelling: no guess from its pieces
    if other not in theirs.key_to_index and known == known.lower():
        assert np.abs(encoded(encoder, other)[0] - unit(theirs[known])).max() < 1e-6


def test_only_a_word_without_pieces_is_unknown_and_the_others_are_remarked(pair: tuple[WordsEncoder, Any]) -> None:
    encoder, _ = pair
    text = Media.from_text("zzqxly zzqvly")
    assert encoder.unknown(text) == []
    assert encoder.remark(text) == (
        f"zzqxly, zzqvly are in no vocabulary of {encoder.space.model}: their vectors are made of their subwords"
    )
    told: list[str] = []
    embed.encode(encoder, [Media.from_text("zzqxly")], noted=told.append)
    assert told == [f"zzqxly is in no vocabulary of {encoder.space.model}: its vector is made of its subwords"]


def test_supervised_models_give_their_words_and_no_labels() -> None:
    path = DATA / "pang_lee_polarity_fasttext.bin"
    encoder = load(str(path))
    content = path.with_suffix(".vec").read_bytes().decode("utf-8", "backslashreplace")
    lines = [line.split(" ") for line in content.rstrip("\n").split("\n")[1:]]
    assert encoder.vocabulary == [line[0] for line in lines] and len(lines) == 1694
    expected = np.array([line[1:101] for line in lines], dtype=np.float32)
    assert np.abs(encoder._source.rows(range(1694)) - expected).max() < 1e-4  # the .vec has five digits
    assert encoder.unknown(Media.from_text("zzqx film")) == ["zzqx"]  # maxn is 0: it has no subwords
    with pytest.raises(MediaError, match="no word of it is in the vocabulary"):
        encoded(encoder, "zzqx")


def small(
    words: list[str],
    *,
    dim: int = 4,
    buckets: int = 10,
    pieces: tuple[int, int] = (3, 4),
    version: int = 12,
    pruned: int = -1,
    quantised: bool = False,
    claims: int | None = None,
) -> bytes:
    """A model as ``FastText::saveModel`` writes it, with the matrix of ``matrix``."""
    count = len(words) if claims is None else claims
    settings = struct.pack("<2i12id", 793712314, version, dim, 5, 5, 1, 5, 1, 2, 1, buckets, *pieces, 100, 1e-4)
    entries = b"".join(word.encode("utf-8", "surrogateescape") + b"\0" + struct.pack("<qb", 3, 0) for word in words)
    head = struct.pack("<3iqq", count, count, 0, 99, pruned)
    rows = matrix(len(words) + buckets, dim)
    return settings + head + entries + struct.pack("<?2q", quantised, *rows.shape) + rows.tobytes() + b"\0" * 40


def matrix(rows: int, dim: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((rows, dim)).astype("<f4")


def fnv(piece: bytes) -> int:
    value = 2166136261
    for byte in piece:
        value = ((value ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * 16777619) % 2**32
    return value


@pytest.mark.parametrize("pieces", [(1, 1), (1, 2), (2, 2), (3, 4), (5, 6), (0, 2)])
def test_pieces_by_hand(tmp_path: Path, pieces: tuple[int, int]) -> None:
    """As ``Dictionary::computeSubwords`` makes them, one character after another."""
    words = ["dog", "犬", "naïve", "a"]
    (tmp_path / "model.bin").write_bytes(small(words, pieces=pieces))
    encoder = load(str(tmp_path / "model.bin"))
    rows = matrix(14, 4).astype(np.float64)
    for word in [*words, "cats", "ï", "q<x", "雨の日"]:
        marked = f"<{word}>"
        cut = [
            marked[at : at + size]
            for size in range(max(1, pieces[0]), pieces[1] + 1)
            for at in range(len(marked) - size + 1)
            if not (size == 1 and at in (0, len(marked) - 1))
        ]
        own = [words.index(word)] if word in words else []
        used = own + [4 + fnv(piece.encode()) % 10 for piece in cut]
        if not used:
            assert encoder.unknown(Media.from_text(word)) == [part for part in re.split(r"\W", word) if part]
            continue
        assert np.abs(encoded(encoder, word)[0] - unit(rows[used].mean(axis=0))).max() < 1e-6, word


def test_words_longer_than_what_is_summed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"word{number}" for number in range(40)]
    (tmp_path / "model.bin").write_bytes(small(words))
    encoder = load(str(tmp_path / "model.bin"))
    whole = encoder._source.rows(range(40))
    monkeypatch.setattr("embed.encoders.words.SUBWORD_ROWS", 17)
    assert np.array_equal(encoder._source.rows(range(40)), whole)
    monkeypatch.setattr("embed.encoders.words.SUBWORD_ROWS", 1)
    assert np.array_equal(encoder._source.rows([7, 3, 3]), whole[[7, 3, 3]])


def test_the_matrix_stays_on_disk(tmp_path: Path) -> None:
    """A sparse file of 6 GB: only what a word needs is read."""
    content = small(["dog"], dim=300, buckets=1)
    at = content.index(struct.pack("<?2q", False, 2, 300))
    buckets = 5_000_000
    head = content[:at].replace(struct.pack("<3i", 1, 3, 4), struct.pack("<3i", buckets, 3, 4), 1)
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.write(head + struct.pack("<?2q", False, 1 + buckets, 300))
        file.write(np.ones(300, "<f4").tobytes())
        file.truncate(file.tell() + 4 * 300 * buckets)
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("this disk has no sparse files")
    code = f"""
import resource, numpy as np
from embed.encoders import words
words.hub.weights_hash = lambda files: "known"
encoder = words.load({str(path)!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import embed
row = embed.encode(encoder, [embed.Media.from_text("dog")]).array
assert np.allclose(row, 300 ** -0.5), row
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (small(["dog"], quantised=True), r"quantised fastText model \(.ftz\).*take the .bin that it was made from"),
        (small(["dog"], pruned=3), "quantised fastText model"),
        (small(["dog"], version=13), "in version 13; 11 and 12 are read here"),
        (small(["dog"])[:70], "cut short within its settings"),
        (small(["dog", "cat"])[:104], "cut short within word 1 of 2"),
        (small(["dog"], claims=9), "damaged|cut short within word"),
        (small(["dog"])[:-80], "cut short within its matrix"),
        (small(["dog"], dim=0), "damaged: 0 dimensions"),
        (
            small(["dog"]).replace(struct.pack("<?2q", False, 11, 4), struct.pack("<?2q", False, 1, 4)),
            "damaged: .* 1 x 4",
        ),
        (
            b"\x80\x04\x95\x1b\0\0\0\0\0\0\0\x8c\x18gensim.models.phrases\x94\x8c\x07Phrases\x94",
            "a pickle of gensim's Phrases",
        ),
    ],
    ids=[
        "quantised",
        "pruned",
        "version",
        "settings",
        "words",
        "count",
        "matrix",
        "dimensions",
        "no buckets",
        "phrases",
    ],
)
def test_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=says) as caught:
        load(str(path)).matrix  # noqa: B018
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_gensim_pickled_is_refused_with_the_line_that_converts_it(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors, Word2Vec
    from gensim.models.fasttext import FastText, load_facebook_vectors

    texts = [["dog", "cat", "rain"], ["king", "queen", "rain"]] * 5
    words = Word2Vec(texts, vector_size=4, min_count=1, seed=1, workers=1)
    pieces = FastText(texts, vector_size=4, min_count=1, seed=1, workers=1, bucket=50)
    saved = {"w2v.model": words, "w2v.kv": words.wv, "ft.model": pieces, "it's.kv": words.wv, "ft.kv": pieces.wv}
    for name, thing in saved.items():
        path = tmp_path / name
        thing.save(str(path))
        with pytest.raises(EncoderError, match="a pickle of gensim's") as caught:
            load(str(path))
        message = str(caught.value)
        assert message.startswith(str(path)) and "\n" not in message
        exec(message.partition("file of word vectors: ")[2], {})
        vectors = getattr(thing, "wv", thing)
        encoder = load(f"{path}.bin")
        assert encoder.vocabulary == vectors.index_to_key
        assert np.abs(encoder.matrix - unit(vectors.vectors)).max() < 1e-6
        if name == "ft.model":
            assert np.abs(encoded(encoder, "doggy") - unit(load_facebook_vectors(f"{path}.bin")["doggy"])).max() < 1e-6
        else:
            assert isinstance(KeyedVectors.load_word2vec_format(f"{path}.bin", binary=True), KeyedVectors)


def test_a_copy_is_the_same_space_and_says_that_it_has_subwords(tmp_path: Path) -> None:
    shutil.copy(DATA / "toy-model.bin", tmp_path / "copy.bin")
    (encoder, copy) = load(str(DATA / "toy-model.bin")), load(str(tmp_path / "copy.bin"))
    assert encoder.space == copy.space
    assert encoder.space.preprocessing.endswith("; else by its subwords")
