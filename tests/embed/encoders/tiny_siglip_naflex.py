"""SigLIP 2 NaFlex: a ``Siglip2Model``, which sees pictures in their own aspect ratio."""

from __future__ import annotations

from pathlib import Path

from tests.embed.encoders import tiny, tiny_siglip


def build(folder: Path) -> str:
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model, Siglip2Processor

    tokenizer = tiny_siglip.gemma()
    config = Siglip2Config(
        text_config={"vocab_size": len(tokenizer), **tiny_siglip.SIZES},
        vision_config={"num_patches": 16, **tiny_siglip.SIZES},
    )
    tiny.scatter(Siglip2Model(config), gain=1.5).save_pretrained(folder)
    Siglip2Processor(Siglip2ImageProcessorPil(), tokenizer).save_pretrained(folder)
    return f"siglip:{folder}"
