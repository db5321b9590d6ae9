"""The words family against gensim, and against numpy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import embed
import embed.encoders.words as module
from embed import Media
from embed.encoders.words import WordsEncoder, load
from embed.errors import EncoderError, MediaError, ModelNotFound
from tests.embed.encoders.tiny_words import WORDS, save, vectors

KINDS = ["binary", "binary without line feeds", "text", "glove", "fasttext"]


def encoded(encoder: WordsEncoder, *texts: str) -> npt.NDArray[np.float32]:
    return embed.encode(encoder, [Media.from_text(text) for text in texts]).array


@pytest.fixture(params=KINDS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    save(tmp_path / "vectors.xyz", WORDS, vectors(), request.param)
    return tmp_path / "vectors.xyz"


@pytest.fixture
def encoder(tmp_path: Path) -> WordsEncoder:
    save(tmp_path / "vectors.bin", WORDS, vectors(), "binary")
    return load(str(tmp_path / "vectors.bin"))


def rows(*words: str) -> npt.NDArray[np.float64]:
    """The unit vectors of words, straight from the table."""
    table = vectors()[[WORDS.index(word) for word in words]].astype(np.float64)
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def mean(*words: str) -> npt.NDArray[np.float64]:
    total = rows(*words).mean(axis=0)
    return total / np.linalg.norm(total)


def test_equals_gensim(path: Path, request: pytest.FixtureRequest) -> None:
    models = pytest.importorskip("gensim.models")
    kind = request.node.callspec.params["path"]
    expected = models.KeyedVectors.load_word2vec_format(
        path, binary=kind.startswith("binary"), no_header=kind == "glove"
    )
    encoder = load(str(path))
    assert encoder.vocabulary == expected.index_to_key == WORDS
    assert encoder.matrix.dtype == np.float32
    assert np.abs(encoder.matrix - expected.get_normed_vectors()).max() <= np.finfo(np.float32).eps
    units = np.stack([expected.get_vector(word, norm=True) for word in WORDS])
    assert np.abs(encoded(encoder, *WORDS) - units).max() <= np.finfo(np.float32).eps


def test_npy_with_a_list_of_words(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.f16.npy", vectors().astype(np.float16))
    (tmp_path / "words.txt").write_text("\n".join(WORDS) + "\n", "utf-8")
    half = vectors().astype(np.float16).astype(np.float64)
    for name in (tmp_path, tmp_path / "vectors.f16.npy"):
        encoder = load(str(name))
        assert encoder.vocabulary == WORDS
        assert np.abs(encoder.matrix - half / np.linalg.norm(half, axis=1, keepdims=True)).max() < 1e-7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dog", ["dog"]),
        ("DOG Dog", ["dog", "dog"]),
        ("paris", ["Paris"]),
        ("a dog, unheardof; rain!", ["a", "dog", "rain"]),
        ("New York dog", ["New_York", "dog"]),
        ("new york", ["New_York"]),
        ("in (New York).", ["in", "New_York"]),
        ("new", ["new"]),
        ("rain on the tin roof", ["rain", "on", "the", "tin_roof"]),
        ("dog's dog’s", ["dog", "dog"]),
        ("rock-and-roll", ["rock-and-roll"]),
        ("dog-cat/rain", ["dog", "cat", "rain"]),
        ("naïve 犬 Naïve", ["naïve", "犬", "naïve"]),
    ],
)
def test_a_text_is_the_mean_of_its_known_words(encoder: WordsEncoder, text: str, words: list[str]) -> None:
    assert encoded(encoder, text)[0] == pytest.approx(mean(*words), abs=1e-6)


def test_words_of_any_length_count_the_same(tmp_path: Path) -> None:
    table = vectors()
    table[0] *= 1000
    save(tmp_path / "v.txt", WORDS, table, "text")
    encoder = load(str(tmp_path / "v.txt"))
    assert encoded(encoder, f"{WORDS[0]} {WORDS[4]}")[0] == pytest.approx(mean(WORDS[0], WORDS[4]), abs=1e-6)


def test_no_known_word(encoder: WordsEncoder) -> None:
    with pytest.raises(MediaError, match="'pianno zzz': no word of it is in the vocabulary; near pianno: piano"):
        encoded(encoder, "dog", "pianno zzz")
    with pytest.raises(MediaError, match=r"'': no word of it is in the vocabulary$"):
        encoded(encoder, "")


def test_a_word_with_spaces_and_one_given_twice(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text(". . 1 0\ndog 0 1\ndog 1 1\n")
    with pytest.raises(EncoderError, match=r"word 2 \('dog 0 1'\) has not 3 numbers"):
        encoded(load(str(tmp_path / "glove.txt")), "dog")
    (tmp_path / "glove.txt").write_text("dog 0 1\n. . 1 0\ndog 1 1\n")
    encoder = load(str(tmp_path / "glove.txt"))
    assert encoder.vocabulary == ["dog", ". ."]
    assert encoded(encoder, "dog").tolist() == [[0.0, 1.0]]
    assert encoder.matrix[:2].tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_files_cut_short(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "cut.bin"
    save(path, WORDS, vectors(), kind)
    whole = path.read_bytes()
    for keep in (len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:keep])
        with pytest.raises(EncoderError, match=r"cut\.bin: .*(cut short|has not 20 numbers)") as caught:
            encoded(load(str(path)), "dog")
        assert "\n" not in str(caught.value)


def test_damaged_files_say_what_is_wrong(tmp_path: Path) -> None:
    def complaint(content: bytes, text: str = "dog") -> str:
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(EncoderError) as caught:
            encoded(load(str(tmp_path / "bad")), text)
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(str(tmp_path / "bad"))

    assert complaint(b"3 2\ndog 1 2\ncat 3 4\n") == ": its first line says 3 words, it holds 2: cut short?"
    assert complaint(b"1 2\ndog 1 2\ncat 3 4\n") == ": its first line says 1 words, it holds 2: cut short?"
    assert complaint(b"2 2\ndog 1 2\ncat 3\n") == ": word 2 ('cat 3') has not 2 numbers"
    assert complaint(b"dog 1 2\ncat 3\n") == ": word 2 ('cat 3') has not 2 numbers"
    assert complaint(b"cat 1 2\ndog 3 x4\n") == ": word 2 (dog) has something that is no number"
    assert complaint(b"").startswith(" is not a file of word vectors")
    assert complaint(b"some prose about dogs\nand cats\n").startswith(" is not a file of word vectors")
    assert complaint(b"\x1f\x8b\x08rest").startswith(" is compressed: gunzip it first")
    assert complaint((793712314).to_bytes(4, "little") + bytes(40)) == ": cut short within its settings"


def test_npy_that_does_not_fit_its_words(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", vectors())
    with pytest.raises(ModelNotFound, match=r"holds no words\.txt"):
        load(str(tmp_path))
    (tmp_path / "words.txt").write_text("dog\ncat\n")
    with pytest.raises(EncoderError, match=rf"has 2 words, .* {len(WORDS)} vectors"):
        encoded(load(str(tmp_path)), "dog")
    np.save(tmp_path / "vectors.npy", np.arange(4))
    with pytest.raises(EncoderError, match=r"should hold floats \(words, dim\), not int64 \(4,\)"):
        load(str(tmp_path))
    with pytest.raises(ModelNotFound, match="no such file of word vectors"):
        load(str(tmp_path / "none.bin"))


def test_a_query_reads_the_numbers_of_its_own_words_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "glove.txt", WORDS, vectors(), "glove")
    parsed = []
    monkeypatch.setattr(module, "_numbers", lambda text, real=module._numbers: (parsed.append(text), real(text))[1])
    encoder = load(str(tmp_path / "glove.txt"))
    encoded(encoder, "dog dog rain")
    assert sum(len(text.split()) for text in parsed) == 2 * 20
    assert np.array_equal(encoder.matrix[WORDS.index("dog")], encoded(encoder, "dog")[0])


def test_needs_neither_torch_nor_transformers(encoder: WordsEncoder) -> None:
    code = (
        "import sys, embed; e = embed.load(sys.argv[1]); embed.encode(e, [embed.Media.from_text('dog')]);"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, encoder.space.model], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_analogies_of_word2vec(shared: Path) -> None:
    encoder = load(str(shared / "models" / "word2vec-8k"))
    vocabulary, matrix = encoder.vocabulary, encoder.matrix
    assert matrix.shape == (8000, 300)

    def best(a: str, b: str, c: str, count: int) -> list[str]:
        at = [vocabulary.index(word) for word in (a, b, c)]
        scores = matrix @ (matrix[at[1]] - matrix[at[0]] + matrix[at[2]])
        scores[at] = -np.inf
        return [vocabulary[i] for i in np.argsort(-scores)[:count]]

    assert best("man", "king", "woman", 1) == ["queen"]
    assert best("France", "Paris", "Italy", 2) == ["Milan", "Rome"]
