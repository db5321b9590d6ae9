"""A model2vec folder with random rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests.embed.encoders.tiny import VOCABULARY

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *VOCABULARY, "##s", "##ing"]


def save_tokenizer(path: Path) -> None:
    """A lower-casing WordPiece tokenizer over ``TOKENS``, which adds [CLS] and [SEP] unless told not to."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {token: index for index, token in enumerate(TOKENS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(path))


def build(folder: Path, dtype: str = "float32", *, rows: int | None = None, **config: object) -> str:
    """With ``rows``, tokens share so many rows through ``mapping``, each with its own weight in ``weights``."""
    rng = np.random.default_rng(0)
    save_tokenizer(folder / "tokenizer.json")
    table = rng.standard_normal((rows or len(TOKENS), 24))
    tensors = {"embeddings": (table * 30).clip(-127, 127).astype(dtype) if dtype == "int8" else table.astype(dtype)}
    if rows:
        tensors["mapping"] = rng.integers(0, rows, len(TOKENS))
        tensors["weights"] = rng.uniform(0.1, 2.0, len(TOKENS))
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True} | config))
    return f"static:{folder}"


REFUSES = ("blank",)
