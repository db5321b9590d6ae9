"""x-vector checkpoints of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.embed.encoders import tiny

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 3, 3),
    "conv_stride": (5, 4, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "tdnn_dim": (24, 24, 48),
    "tdnn_kernel": (5, 3, 1),
    "tdnn_dilation": (1, 2, 1),
    "xvector_output_dim": 20,
    "num_labels": 3,
}


def build(folder: Path, kind: str = "WavLM", *, do_normalize: bool = True, **changes: Any) -> str:
    """Save ``kind``ForXVector and its feature extractor into ``folder``; returns the encoder's name."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(**SIZES | changes)
    model = getattr(transformers, f"{kind}ForXVector")(config)
    tiny.scatter(model).save_pretrained(folder)
    masks = config.feat_extract_norm == "layer"
    transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize, return_attention_mask=masks).save_pretrained(
        folder
    )
    return f"xvector:{folder}"
