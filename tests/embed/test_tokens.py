"""Tokenizers without transformers: the ids are transformers' own, for whatever text, read from the cache or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embed import hub
from embed.errors import EncoderError
from embed.exported import CACHE
from embed.tokens import ODD, Tokens, tokens
from tests.embed.encoders import tiny_clap, tiny_clip, tiny_sentence, tiny_siglip

FAMILIES = {"clap": tiny_clap, "clip": tiny_clip, "sentence": tiny_sentence, "siglip": tiny_siglip}


@pytest.fixture(scope="module", params=FAMILIES)
def where(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "model"
    folder.mkdir()
    FAMILIES[request.param].build(folder)
    return folder


@pytest.fixture(scope="module")
def both(where: Path) -> tuple[Tokens, Any]:
    """The tokenizer as it is read from the cache, and transformers' own."""
    first = tokens(where)
    again = tokens(where)
    assert first is not again
    assert type(again.engine).__module__.startswith("tokenizers")
    return again, hub.tokenizer(where)


def assert_same(both: tuple[Tokens, Any], texts: list[str]) -> None:
    ours, theirs = both
    for cut in (3, 20, 64):
        found = ours(texts, longest=cut)
        wanted = theirs(texts, padding=True, truncation=True, max_length=cut, return_attention_mask=True)
        assert found["input_ids"].tolist() == wanted["input_ids"]
        assert found["attention_mask"].tolist() == wanted["attention_mask"]
        assert found["input_ids"].dtype == np.int64
        full = ours(texts, longest=cut, length=cut)
        wanted = theirs(texts, padding="max_length", truncation=True, max_length=cut)
        assert full["input_ids"].tolist() == wanted["input_ids"]
    for text in texts:
        assert ours.ids(text) == theirs(text, truncation=ours.longest is not None)["input_ids"]


def test_odd_texts_get_the_ids_of_transformers(both: tuple[Tokens, Any]) -> None:
    assert_same(both, list(ODD))
    assert_same(both, ["a", "the cat", "\u202e\u0301", "x" * 3000, "<mask>", "😀" * 50, "\r\n\r\n", "ＡＢＣ", "ſtraße"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), min_size=1, max_size=4))
def test_any_text_gets_the_ids_of_transformers(both: tuple[Tokens, Any], texts: list[str]) -> None:
    assert_same(both, texts)


def test_what_transformers_says_of_it_is_kept(both: tuple[Tokens, Any]) -> None:
    ours, theirs = both
    assert ours.pad == theirs.pad_token_id
    assert ours.special == set(theirs.all_special_ids)
    assert ours.names == tuple(theirs.model_input_names)
    assert ours.vocabulary == len(theirs)
    assert ours.longest == (theirs.model_max_length if theirs.model_max_length < 10**9 else None)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(CACHE, "folder", lambda: tmp_path / "onnx")
    return tmp_path / "onnx"


def without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("transformers was asked")

    monkeypatch.setattr(hub, "tokenizer", never)


def test_the_second_time_transformers_is_not_asked(
    where: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tokens(where).ids("a dog barking")
    without_transformers(monkeypatch)
    assert tokens(where).ids("a dog barking") == wanted


@pytest.mark.parametrize("file", ["tokenizer.json", "entry.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_what_is_damaged_in_the_cache_is_made_again(
    where: Path, own_cache: Path, file: str, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tokens(where).ids("a dog barking")
    (kept,) = own_cache.iterdir()
    (kept / file).unlink()
    if content is not None:
        (kept / file).write_bytes(content)
    assert tokens(where).ids("a dog barking") == wanted
    monkeypatch.setattr("embed.hub.tokenizer", lambda *_: pytest.fail("transformers was asked again"))
    assert tokens(where).ids("a dog barking") == wanted


def test_another_vocabulary_is_another_tokenizer(tmp_path: Path, own_cache: Path) -> None:
    tiny_clap.build(tmp_path)
    before = tokens(tmp_path).ids("rain")
    description = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = description["model"]["vocab"]
    vocabulary["r"], vocabulary["a"] = vocabulary["a"], vocabulary["r"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(description))
    after = tokens(tmp_path).ids("rain")
    assert after != before
    assert after == hub.tokenizer(tmp_path)("rain")["input_ids"]


def test_a_tokenizer_in_python_stays_with_transformers(
    where: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hub.tokenizer(where)

    class InPython:
        """As a tokenizer of transformers without a backend."""

        def __getattr__(self, name: str) -> Any:
            if name == "backend_tokenizer":
                raise AttributeError(name)
            return getattr(made, name)

        def __call__(self, *given: Any, **options: Any) -> Any:
            return made(*given, **options)

        def __len__(self) -> int:
            return len(made)

    monkeypatch.setattr(hub, "tokenizer", lambda _: InPython())
    ours = tokens(where)
    assert isinstance(ours.engine, InPython)
    assert not own_cache.exists()
    assert (
        ours(["rain", "a dog"], longest=8)["input_ids"].tolist() == made(["rain", "a dog"], padding=True)["input_ids"]
    )


def test_a_backend_that_gives_other_ids_than_transformers_is_not_taken(
    where: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hub.tokenizer(where)
    backwards = type(
        "Backwards", (type(made),), {"__call__": lambda self, texts, **o: made([t[::-1] for t in texts], **o)}
    )
    made_otherwise = hub.tokenizer(where)
    made_otherwise.__class__ = backwards
    monkeypatch.setattr(hub, "tokenizer", lambda _: made_otherwise)
    ours = tokens(where)
    assert ours.engine is made_otherwise and not own_cache.exists()


def test_a_folder_without_a_vocabulary_is_one_clear_error(tmp_path: Path, own_cache: Path) -> None:
    tiny_clip.build(tmp_path)
    for name in hub.VOCABULARIES:
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(EncoderError, match="vocabulary"):
        tokens(tmp_path)


def test_the_numbers_that_configurations_leave_out_are_those_of_transformers() -> None:
    from transformers import ClapTextConfig, CLIPTextConfig

    from embed.encoders import clap, clip

    assert ClapTextConfig().max_position_embeddings == clap.POSITIONS
    assert ClapTextConfig().pad_token_id == clap.PADDING
    assert CLIPTextConfig().max_position_embeddings == clip.POSITIONS
