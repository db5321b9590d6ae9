"""Tiny PE checkpoints: ``PeAudioModel`` (two layers, codec frames of 8 samples at 4 kHz) and the audio-visual one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.embed.encoders.tiny import scatter

RATE = 4000
DIM = 16
SMALL = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 8}
AUDIO = SMALL | {
    "dac_config": {
        "model_type": "dac",
        "encoder_hidden_size": 4,
        "downsampling_ratios": [2, 4],
        "codebook_dim": 6,
        "hidden_size": 16,
        "hop_length": 8,
    }
}
VIDEO = SMALL | {"vision_config": {"architecture": "stub", "num_classes": 12}}
TEXT = {
    "model_type": "modernbert",
    "vocab_size": 300,
    "hidden_size": DIM,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "cls_token_id": 1,
    "bos_token_id": 1,
    "sep_token_id": 2,
    "eos_token_id": 2,
}
PICTURES = {
    "video_processor_type": "PeVideoVideoProcessor",
    "do_resize": True,
    "size": {"height": 24, "width": 24},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.5, 0.6, 0.7],
}


def tokenizer() -> Any:
    """One token a byte between [CLS] and [SEP]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(special + letters)}, [], unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    )


def save(model: Any, folder: Path, pictures: bool = False) -> Any:
    from transformers import PeAudioFeatureExtractor

    scatter(model)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    PeAudioFeatureExtractor(sampling_rate=RATE, hop_length=8).save_pretrained(folder)
    if pictures:
        (folder / "video_preprocessor_config.json").write_text(json.dumps(PICTURES))
    return model


def build(folder: Path) -> dict[str, Any]:
    from transformers import PeAudioConfig, PeAudioModel

    save(PeAudioModel(PeAudioConfig(text_config=TEXT, audio_config=AUDIO)), folder)
    return {"family": "pe_av", "model": str(folder), "window": 0.5}


def build_audio_video(folder: Path) -> Any:
    """The whole model, saved as the hub has it; it needs timm, or something in its place."""
    from transformers import PeAudioVideoConfig, PeAudioVideoModel

    config = PeAudioVideoConfig(
        text_config=TEXT, audio_video_config=SMALL | {"audio_config": AUDIO, "video_config": VIDEO}
    )
    return save(PeAudioVideoModel(config), folder, pictures=True)
