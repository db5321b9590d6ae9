"""A bridge of a static text encoder, an Audio Spectrogram Transformer and a Vision Transformer, all tiny."""

from __future__ import annotations

from pathlib import Path

from tests.embed.encoders import tiny_static
from tests.embed.encoders.tiny import VOCABULARY, scatter

REFUSES = ("blank",)
WINDOW = 0.6
# Labels as real ones are: with synonyms, with brackets, one that is no class, one without a known word.
LABELS = ["dog", "cat, rain", "siren (bell, wind)", "background", "zzz, qqq", *VOCABULARY[16:]]
ID2LABEL = dict(enumerate(LABELS))


def save_ast(folder: Path) -> None:
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = ASTConfig(
        **sizes, num_mel_bins=32, max_length=64, patch_size=8, frequency_stride=8, time_stride=8, id2label=ID2LABEL
    )
    scatter(ASTForAudioClassification(config), 1).save_pretrained(folder)
    ASTFeatureExtractor(num_mel_bins=32, max_length=64).save_pretrained(folder)


def save_vit(folder: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = ViTConfig(**sizes, image_size=32, patch_size=8, id2label=ID2LABEL)
    scatter(ViTForImageClassification(config), 2).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def build(folder: Path) -> dict[str, object]:
    for part in ("text", "audio", "image"):
        (folder / part).mkdir()
    save_ast(folder / "audio")
    save_vit(folder / "image")
    return {
        "family": "conse",
        "text": tiny_static.build(folder / "text"),
        "audio": f"transformers:{folder / 'audio'}",
        "image": f"transformers:{folder / 'image'}",
        "top": 3,
        "window": WINDOW,
    }
