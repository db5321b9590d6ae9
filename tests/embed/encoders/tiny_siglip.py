"""SigLIP 2 of fixed resolution: a ``SiglipModel`` with the Gemma tokenizer, as published checkpoints are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.embed.encoders import tiny

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def build(folder: Path, *, tokenizer: Any = None) -> str:
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel, SiglipProcessor

    tokenizer = tokenizer or gemma()
    config = SiglipConfig(
        text_config={"vocab_size": len(tokenizer), **SIZES}, vision_config={"image_size": 32, "patch_size": 8, **SIZES}
    )
    tiny.scatter(SiglipModel(config), gain=1.5).save_pretrained(folder)
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    SiglipProcessor(images, tokenizer).save_pretrained(folder)
    return f"siglip:{folder}"


def gemma() -> Any:
    """Over characters, bytes and the words of ``tiny.VOCABULARY``: pads at the right, ends with <eos>, has no mask."""
    from transformers import GemmaTokenizer

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    characters = [chr(i) for i in range(33, 127)]
    tokens = [*special, *(f"<0x{i:02X}>" for i in range(256)), "▁", *characters]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    merges = tiny.whole_words(vocabulary) + tiny.whole_words(vocabulary, start="▁")
    return GemmaTokenizer(
        vocab=vocabulary,
        merges=merges,
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        model_input_names=["input_ids"],
    )
