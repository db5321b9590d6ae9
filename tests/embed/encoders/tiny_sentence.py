"""A sentence-transformers folder around a tiny BERT."""

from __future__ import annotations

import json
from pathlib import Path

from tests.embed.encoders.tiny import scatter
from tests.embed.encoders.tiny_static import TOKENS, save_tokenizer

DIM = 32
NORMALIZE = {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}


def build(folder: Path, pooling: dict[str, object] | None = None, **config: object) -> str:
    """``pooling`` is the content of ``1_Pooling/config.json``, ``config`` of ``sentence_bert_config.json``."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    sizes = {"hidden_size": DIM, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    scatter(BertModel(BertConfig(**sizes, vocab_size=len(TOKENS), max_position_embeddings=64))).save_pretrained(folder)
    save_tokenizer(folder / "tokenizer.json")
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **names)
    tokenizer.save_pretrained(folder)
    kinds = ["Transformer", "Pooling"]
    modules = [
        {"idx": i, "name": str(i), "path": "1_Pooling" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps([*modules, NORMALIZE]))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48} | config))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    default = {"word_embedding_dimension": DIM, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling or default))
    return f"sentence:{folder}"
