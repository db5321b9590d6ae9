"""A tiny EmbeddingGemma 2: four text layers, audio and vision towers of one and two, a vocabulary of words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.embed.encoders.tiny import VOCABULARY, scatter

DIM = 24
MEL = 16  # the first convolution has as many channels as there are bands
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]
MEDIA = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
PROMPTS = ["task", "title", "search", "result", "query", "none", "text", ":", "|"]
WORDS = [*SPECIAL, *MEDIA.values(), "<|video|>", *PROMPTS, *VOCABULARY]
WINDOW = 1.5

# Its attention divides by nothing: between random keys of 16 components it jumps from one token to another where two
# of their products are as good as equal.
NEARLY = 0.995


def tokenizer() -> Any:
    """A token a word, between <bos> and <eos>."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    names = dict(zip(("pad_token", "eos_token", "bos_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=made, **names, extra_special_tokens=MEDIA)


def model() -> Any:
    from transformers import EmbeddingGemma2Config, EmbeddingGemma2Model

    at = {word: i for i, word in enumerate(WORDS)}
    config = EmbeddingGemma2Config(
        text_config={
            "vocab_size": len(WORDS),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 4,
            "sliding_window_pattern": 2,
            "sliding_window": 4,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "global_head_dim": 16,
            "hidden_size_per_layer_input": 8,
            "embedding_dim": DIM,
        },
        vision_config={
            "model_type": "gemma4_vision",
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "patch_size": 4,
            "position_embedding_size": 512,
            "pooling_kernel_size": 2,
        },
        audio_config={
            "model_type": "gemma4_audio",
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "subsampling_conv_channels": [MEL, 8],
            "output_proj_dims": 20,
        },
        image_token_id=at["<|image|>"],
        boi_token_id=at["<|image>"],
        eoi_token_id=at["<image|>"],
        video_token_id=at["<|video|>"],
        audio_token_id=at["<|audio|>"],
        boa_token_id=at["<|audio>"],
        eoa_token_index=at["<audio|>"],
    )
    return scatter(EmbeddingGemma2Model(config))


def build(folder: Path) -> dict[str, Any]:
    from transformers import Gemma4AudioFeatureExtractor
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    model().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    image = Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=140, pooling_kernel_size=2)
    video = {"patch_size": 4, "pooling_kernel_size": 2, "max_soft_tokens": 70, "fps": 1, "add_timestamps": False}
    processors = {
        "processor_class": "EmbeddingGemma2Processor",
        "feature_extractor": json.loads(Gemma4AudioFeatureExtractor(feature_size=MEL).to_json_string()),
        "image_processor": json.loads(image.to_json_string()) | {"image_processor_type": "Gemma4ImageProcessor"},
        "video_processor": video | {"video_processor_type": "EmbeddingGemma2VideoProcessor"},
    }
    (folder / "processor_config.json").write_text(json.dumps(processors))
    return {"family": "embedding_gemma2", "model": str(folder), "window": WINDOW}
