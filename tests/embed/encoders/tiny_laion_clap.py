"""A LAION checkpoint of a narrow CLAP, as training saved them, with a RoBERTa tokenizer beside it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.embed.encoders import tiny

# transformers' names to LAION's, longest first; the query, key and value of HTSAT are one matrix there.
NAMES = {
    "audio_model.audio_encoder.batch_norm": "audio_branch.bn0",
    "audio_model.audio_encoder": "audio_branch",
    "attention.self.relative": "attn.relative",
    "attention.output.dense": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "projection.linear1": "projection.0",
    "projection.linear2": "projection.2",
}


def model(fused: bool = False, depths: tuple[int, ...] = (1, 1)) -> Any:
    """``ClapModel`` with LAION's fixed sizes (64 mel bins on 256 x 256, 512-d, eps 1e-5) and few weights besides."""
    from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig

    text = ClapTextConfig(
        vocab_size=len(tiny.byte_level_bpe()),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=96,
        max_position_embeddings=90,
        layer_norm_eps=1e-5,
    )
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=8,
        hidden_size=8 * 2 ** (len(depths) - 1),
        depths=list(depths),
        num_hidden_layers=len(depths),
        num_attention_heads=[2**i for i in range(len(depths))],
        enable_fusion=fused,
        fusion_type="aff_2d" if fused else None,
    )
    made = tiny.scatter(ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=512)), gain=2.0)
    generator = torch.Generator().manual_seed(5)
    for name, buffer in made.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator) - (30 if ".batch_norm." in name else 0))
        elif name.endswith("running_var"):
            buffer.copy_((100 if ".batch_norm." in name else 1) * (1 + torch.rand(buffer.shape, generator=generator)))
    return made


def laion_state(clap: Any) -> dict[str, torch.Tensor]:
    """The model's weights as LAION names them, with those that only training and the classifier have."""
    state: dict[str, torch.Tensor] = {}
    weights = clap.state_dict()
    for name, value in weights.items():
        if name.startswith("text_model."):
            if not name.endswith(("position_ids", "token_type_ids")):
                state["text_branch." + name.removeprefix("text_model.")] = value
            continue
        if ".attention.self.query." in name:
            value = torch.cat([weights[name.replace("query", part)] for part in ("query", "key", "value")])
            name = name.replace("attention.self.query", "attn.qkv")
        elif ".attention.self.key." in name or ".attention.self.value." in name:
            continue
        for old, new in NAMES.items():
            name = name.replace(old, new)
        state[name] = value
    state |= {
        "text_branch.embeddings.position_ids": torch.arange(90)[None],
        "text_transform.sequential.0.weight": torch.zeros(512, 512),
        "audio_transform.sequential.3.bias": torch.zeros(512),
        "audio_branch.spectrogram_extractor.stft.conv_real.weight": torch.zeros(513, 1, 1024),
        "audio_branch.logmel_extractor.melW": torch.zeros(513, 64),
        "audio_branch.tscam_conv.bias": torch.zeros(527),
        "audio_branch.head.bias": torch.zeros(527),
        "audio_branch.layers.0.blocks.0.attn_mask": torch.zeros(64, 64, 64),
    }
    return state


def save(folder: Path, state: dict[str, torch.Tensor], **more: Any) -> str:
    """``checkpoint.pt`` and the tokenizer in ``folder``, and the encoder's name."""
    content = {"epoch": 45, "name": "tiny", "best": np.float64(0.5), "args": Namespace(lr=1e-4)} | more
    torch.save(content | {"state_dict": {f"module.{k}": v for k, v in state.items()}}, folder / "checkpoint.pt")
    tiny.byte_level_bpe(model_max_length=512).save_pretrained(folder)
    return f"laion_clap:{folder / 'checkpoint.pt'}"


def build(folder: Path, *, fused: bool = False) -> str:
    return save(folder, laion_state(model(fused)))
