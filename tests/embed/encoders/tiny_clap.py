"""A ``ClapModel`` of one layer a stage, with its RoBERTa tokenizer and its feature extractor."""

from __future__ import annotations

from pathlib import Path

from tests.embed.encoders import tiny


def build(folder: Path, *, fused: bool = False) -> str:
    from transformers import ClapAudioConfig, ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, ClapTextConfig

    tokenizer = tiny.byte_level_bpe()
    text = ClapTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
    )
    # 16 mel bins on a 64 x 64 picture keep every ratio of the real model: 4 strips of 256 frames above each other.
    audio = ClapAudioConfig(
        num_mel_bins=16,
        spec_size=64,
        window_size=4,
        patch_embeds_hidden_size=8,
        hidden_size=16,
        depths=[1, 1],
        num_attention_heads=[1, 2],
        num_hidden_layers=2,
        enable_fusion=fused,
        fusion_type="aff_2d" if fused else None,
    )
    extractor = ClapFeatureExtractor(
        feature_size=16,
        hop_length=1920,
        frequency_min=50,
        truncation="fusion" if fused else "rand_trunc",
    )
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=24))
    # As trained ones do, map decibels to about -2 .. 2; else the loudness that all sounds share drowns the rest.
    norm = model.audio_model.audio_encoder.batch_norm
    norm.running_mean.fill_(-50.0)
    norm.running_var.fill_(25.0**2)
    tiny.scatter(model, gain=2.0).save_pretrained(folder)
    ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    return f"clap:{folder}"
