"""The static family against model2vec and against numpy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import embed
from embed import Media
from embed.errors import EncoderError, MediaError, ModelNotFound
from tests.embed.encoders import tiny_static

TEXTS = ["dog", "A dog barking, rain on the tin roof!", "unheard-of engines", "Music " * 700, "sea\nwaves; sea"]


def vectors(name: str, texts: list[str] = TEXTS) -> np.ndarray:
    return embed.encode(embed.load(name), [Media.from_text(text) for text in texts]).array


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32"])
@pytest.mark.parametrize("rows", [None, 10])
def test_equals_model2vec(tmp_path: Path, dtype: str, rows: int | None) -> None:
    model2vec = pytest.importorskip("model2vec")
    name = tiny_static.build(tmp_path, dtype, rows=rows)
    expected = model2vec.StaticModel.from_pretrained(tmp_path, max_length=None).encode(TEXTS, normalize=False)
    expected = expected.astype(np.float64) / np.linalg.norm(expected.astype(np.float64), axis=1, keepdims=True)
    # model2vec adds rows up in their own precision (700 of them in one text), ours in float64.
    assert np.abs(vectors(name) - expected).max() < (1e-3 if dtype == "float16" else 1e-5)


def test_is_the_mean_of_known_token_rows(tmp_path: Path) -> None:
    name = tiny_static.build(tmp_path)
    table = load_file(tmp_path / "model.safetensors")["embeddings"]
    tokens = ["a", "dog", "barking"]
    mean = np.mean([table[tiny_static.TOKENS.index(token)] for token in tokens], axis=0)
    assert vectors(name, ["A dog zzz barking"])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_max_length_of_the_config_cuts_tokens(tmp_path: Path) -> None:
    name = tiny_static.build(tmp_path, max_length=2)
    one, other, third = vectors(name, ["dog cat rain", "dog cat", "dog rain"])
    assert one == pytest.approx(other, abs=1e-7)
    assert one @ third < 0.99


def test_a_text_without_a_known_word(tmp_path: Path) -> None:
    encoder = embed.load(tiny_static.build(tmp_path))
    with pytest.raises(MediaError, match="'zzz qqq': no word of it is in the vocabulary"):
        embed.encode(encoder, [Media.from_text("dog"), Media.from_text("zzz qqq")])
    assert embed.encode(encoder, [Media.from_text("dog \ud83d")]).array.shape == (1, 24)


def test_words_that_are_unknown_are_told(tmp_path: Path) -> None:
    name = tiny_static.build(tmp_path)
    encoder = embed.load(name)
    for text, words in [
        ("dog barking", []),
        ("dogs", []),
        ("zzz dog", ["zzz"]),
        ("zzz, dog-qqq zzz!", ["zzz", "qqq", "zzz"]),
        ("dog \ud83d 440", []),
        ("犬 dog дождь", ["犬", "дождь"]),
    ]:
        assert encoder.unknown(Media.from_text(text)) == words
    assert encoder.remark(Media.from_text("zzz, dog-qqq zzz!")) == (
        f"zzz and qqq are in no vocabulary of {name} and add no meaning"
    )
    assert encoder.remark(Media.from_text("dog")) is None


def test_damaged_folders_are_one_clear_line(tmp_path: Path) -> None:
    name = tiny_static.build(tmp_path)
    save_file({"embeddings": np.ones((3, 24), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(EncoderError, match=f"the tokenizer has {len(tiny_static.TOKENS)} tokens, .* 3 rows"):
        vectors(name)
    save_file({"other": np.ones((3, 24), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(EncoderError, match="no numeric table embeddings; it holds other"):
        vectors(name)
    tiny_static.build(tmp_path, rows=5)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file(tensors | {"mapping": tensors["mapping"] + 1}, tmp_path / "model.safetensors")
    with pytest.raises(EncoderError, match="outside of the table's 5 rows"):
        vectors(name)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(EncoderError, match=r"tokenizer\.json: not a tokenizer"):
        vectors(name)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFound, match=r"no tokenizer\.json"):
        embed.load(name)


def test_the_layout_of_sentence_transformers(tmp_path: Path) -> None:
    plain, nested = tmp_path / "plain", tmp_path / "nested"
    plain.mkdir()
    (nested / "0_StaticEmbedding").mkdir(parents=True)
    expected = vectors(tiny_static.build(plain))
    tensors = load_file(plain / "model.safetensors")
    save_file({"embedding.weight": tensors["embeddings"]}, nested / "0_StaticEmbedding" / "model.safetensors")
    tiny_static.save_tokenizer(nested / "0_StaticEmbedding" / "tokenizer.json")
    assert np.array_equal(vectors(f"static:{nested}"), expected)


def test_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    name = tiny_static.build(tmp_path)
    code = (
        "import sys, embed; e = embed.load(sys.argv[1]); embed.encode(e, [embed.Media.from_text('dog')]);"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_potion_equals_model2vec_and_means_something(shared: Path) -> None:
    model2vec = pytest.importorskip("model2vec")
    where = shared / "models" / "potion-base-4m-int8"
    texts = ["rain on a tin roof", "water falling from the sky", "Crème brûlée — 日本", "stock market report"]
    ours = vectors(f"static:{where}", texts)
    expected = model2vec.StaticModel.from_pretrained(where, max_length=None).encode(texts, normalize=True)
    assert np.abs(ours - expected).max() < 1e-6
    cosines = ours @ ours[0]
    assert cosines[1] > cosines[3] + 0.2
