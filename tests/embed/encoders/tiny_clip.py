"""A ``CLIPModel`` of two layers, with its tokenizer and its image processor."""

from __future__ import annotations

from pathlib import Path

from tests.embed.encoders import tiny


def build(folder: Path) -> str:
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPProcessor,
        CLIPTextConfig,
        CLIPVisionConfig,
    )

    tokenizer = tiny.clip_bpe()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, **sizes
    )
    config = CLIPConfig(
        text_config=text, vision_config=CLIPVisionConfig(image_size=32, patch_size=8, **sizes), projection_dim=24
    )
    tiny.scatter(CLIPModel(config), gain=1.5).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return f"clip:{folder}"
