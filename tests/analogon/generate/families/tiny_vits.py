"""A tiny VITS: some thousand weights, characters as an MMS model has them, in the hub's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.embed.encoders.tiny import scatter

RATE = 8000
RATES = [8, 8]
HOP = 64  # samples a frame: 8 ms
# As in facebook/mms-tts-eng: the first one, k, is the blank between characters too; capitals, digits, stops are none.
CHARACTERS = "k'zy-_ vsaurxjotp6enlwchqmifgdb"
CONFIG: dict[str, Any] = {
    "vocab_size": len(CHARACTERS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 24,
    "flow_size": 16,
    "spectrogram_bins": 9,
    "duration_predictor_filter_channels": 16,
    "duration_predictor_num_flows": 2,
    "depth_separable_num_layers": 1,
    "prior_encoder_num_flows": 2,
    "prior_encoder_num_wavenet_layers": 2,
    "posterior_encoder_num_wavenet_layers": 1,
    "upsample_initial_channel": 32,
    "upsample_rates": RATES,
    "upsample_kernel_sizes": [16, 16],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
    "sampling_rate": RATE,
}


def save(
    folder: Path,
    *,
    speakers: int = 1,
    characters: str = CHARACTERS,
    language: str | None = "eng",
    phonemize: bool = False,
    is_uroman: bool = False,
    **changes: Any,
) -> str:
    """``changes`` are fields of the configuration; a model of several speakers knows them by their numbers."""
    import json

    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    fields = CONFIG | {"vocab_size": len(characters)} | changes
    if speakers > 1:
        fields |= {"num_speakers": speakers, "speaker_embedding_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = scatter(VitsModel(VitsConfig(**fields)))
    scatter(model.duration_predictor, gain=0.3)  # wider, a character might last for minutes
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({one: i for i, one in enumerate(characters)}), "utf-8")
    VitsTokenizer(
        folder / "vocab.json",
        pad_token=characters[0],
        unk_token="<unk>",
        language=language,
        phonemize=phonemize,
        is_uroman=is_uroman,
    ).save_pretrained(folder)
    return f"vits:{folder}"
