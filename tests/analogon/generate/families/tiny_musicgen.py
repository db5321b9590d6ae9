"""A tiny MusicGen: T5, a decoder and EnCodec of a few thousand weights, in the hub's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.embed.encoders.tiny import VOCABULARY, scatter

RATE = 800
RATIOS = [4, 4]  # 16 samples a frame, 50 frames a second, as the real ones have
HOP = 16
CODEBOOKS = 4
PAD = 64
TOKENS = 24
CODEC: dict[str, Any] = {
    "model_type": "encodec",
    "sampling_rate": RATE,
    "audio_channels": 1,
    "target_bandwidths": [1.2],  # kbit/s: 50 frames of 4 codebooks of 6 bits
    "upsampling_ratios": RATIOS,
    "num_filters": 4,
    "hidden_size": 8,
    "codebook_size": 64,
    "num_lstm_layers": 1,
    "use_causal_conv": False,
}
TEXT: dict[str, Any] = {
    "model_type": "t5",
    "vocab_size": len(VOCABULARY) + 4,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 2,
}
DECODER: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 24,
    "ffn_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_codebooks": CODEBOOKS,
    "pad_token_id": PAD,
    "bos_token_id": PAD,
    "max_position_embeddings": 64,
}


def tokenizer() -> Any:
    """Whole words, and </s> at the end as T5 has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "</s>", "<unk>", *VOCABULARY]
    made = Tokenizer(models.WordLevel({token: i for i, token in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=TOKENS
    )


def write(model: Any, folder: Path) -> str:
    """Scatter the weights of a model, codebooks too, and save it with its tokenizer; its name."""
    import torch

    scatter(model)
    for number, layer in enumerate(model.audio_encoder.quantizer.layers):
        generator = torch.Generator().manual_seed(number)
        layer.codebook.embed.copy_(torch.randn(layer.codebook.embed.shape, generator=generator))
    pad = model.config.decoder.pad_token_id
    model.generation_config.update(
        do_sample=True, guidance_scale=3.0, pad_token_id=pad, bos_token_id=pad, decoder_start_token_id=pad
    )
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return f"musicgen:{folder}"


def save(folder: Path, *, stereo: bool = False, slow: bool = False) -> str:
    """``slow`` is a codec of 10 frames a second, for takes that are long."""
    from transformers import MusicgenConfig, MusicgenForConditionalGeneration

    channels = 2 if stereo else 1
    decoder = DECODER | {"audio_channels": channels, "num_codebooks": CODEBOOKS * channels}
    codec = CODEC | ({"upsampling_ratios": [10, 8], "target_bandwidths": [0.24]} if slow else {})
    config = MusicgenConfig(text_encoder=TEXT, audio_encoder=codec, decoder=decoder)
    return write(MusicgenForConditionalGeneration(config), folder)
