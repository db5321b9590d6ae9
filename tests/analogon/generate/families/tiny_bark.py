"""A tiny Bark: three transformers and EnCodec of a few thousand weights, three presets, in the hub's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.embed.encoders.tiny import VOCABULARY, scatter

RATE = 8000
HOP = 32
SEMANTIC = 40  # tokens; one more ends a piece
SIZE = 16  # codes a codebook
TEXT = 20  # tokens of text at most
STEPS = 8  # semantic tokens at most
PRESETS = ("v2/de_speaker_3", "v2/en_speaker_0", "v2/en_speaker_6", "en_speaker_1")
CODEC: dict[str, Any] = {
    "model_type": "encodec",
    "sampling_rate": RATE,
    "target_bandwidths": [8.0],  # kbit/s: 250 frames of 8 codebooks of 4 bits
    "upsampling_ratios": [8, 4],
    "num_filters": 4,
    "hidden_size": 8,
    "codebook_size": SIZE,
    "num_lstm_layers": 1,
}
SIZES: dict[str, Any] = {"num_layers": 1, "num_heads": 2, "hidden_size": 16, "block_size": 96}
WORDS = len(VOCABULARY) + 5
GENERATION: dict[str, Any] = {
    "model_type": "bark",
    "codebook_size": SIZE,
    "sample_rate": RATE,
    "semantic_config": {
        "eos_token_id": SEMANTIC,
        "max_new_tokens": STEPS,
        "text_encoding_offset": SEMANTIC + 1,
        "text_pad_token": SEMANTIC + 1 + WORDS,
        "semantic_infer_token": SEMANTIC + 2 + WORDS,
        "semantic_vocab_size": SEMANTIC,
        "max_input_semantic_length": TEXT,
        "semantic_rate_hz": 125,
    },
    "coarse_acoustics_config": {
        "coarse_semantic_pad_token": SEMANTIC + 2 * SIZE,
        "coarse_infer_token": SEMANTIC + 2 * SIZE + 1,
        "coarse_rate_hz": 250,
        "max_coarse_input_length": TEXT,
        "max_coarse_history": 20,
        "sliding_window_len": 10,
    },
    "fine_acoustics_config": {"max_fine_history_length": 24, "max_fine_input_length": 48, "n_fine_codebooks": 8},
}


def tokenizer() -> Any:
    """Whole words and punctuation, as BERT's gives them."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", ".", ",", *VOCABULARY]
    made = Tokenizer(models.WordLevel({token: i for i, token in enumerate(names)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")


def save(folder: Path) -> str:
    import torch
    from transformers import BarkConfig, BarkModel

    coarse = SEMANTIC + 2 * SIZE
    config = BarkConfig(
        semantic_config=SIZES | {"input_vocab_size": SEMANTIC + 3 + WORDS, "output_vocab_size": SEMANTIC + 4},
        coarse_acoustics_config=SIZES | {"input_vocab_size": coarse + 2, "output_vocab_size": coarse},
        fine_acoustics_config=SIZES | {"input_vocab_size": SIZE + 1, "output_vocab_size": SIZE + 1},
        codec_config=CODEC,
    )
    model = scatter(BarkModel(config))
    model.semantic.lm_head.weight.data[SEMANTIC] = 0  # the end is seldom likely: most pieces are STEPS long
    for number, layer in enumerate(model.codec_model.quantizer.layers):
        generator = torch.Generator().manual_seed(number)
        layer.codebook.embed.data.copy_(torch.randn(layer.codebook.embed.shape, generator=generator))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(GENERATION))
    save_presets(folder)
    return f"bark:{folder}"


def save_presets(folder: Path) -> None:
    """Random tokens, the same at each call; as the hub has them: a table of paths, and an array a file."""
    random = np.random.default_rng(0)
    table: dict[str, Any] = {"repo_or_path": "somebody/bark-small"}
    for name in PRESETS:
        arrays = {
            "semantic_prompt": random.integers(0, SEMANTIC, 14),
            "coarse_prompt": random.integers(0, SIZE, (2, 28)),
            "fine_prompt": random.integers(0, SIZE, (8, 28)),
        }
        table[name] = {}
        for key, array in arrays.items():
            path = f"speaker_embeddings/{name}_{key}.npy"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            np.save(folder / path, array)
            table[name][key] = path
    (folder / "speaker_embeddings_path.json").write_text(json.dumps(table))
