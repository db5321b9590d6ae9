"""A tiny FastSpeech2Conformer, with a HiFi-GAN or beside one: some thousand weights, in the hub's layout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analogon.generate.families import fastspeech2
from tests.embed.encoders.tiny import scatter

TOKENIZER = "transformers.models.fastspeech2_conformer.tokenization_fastspeech2_conformer"
SAMPLES = False
RATE = 22050
BANDS = 8
HOP = 16
# As espnet/fastspeech2_conformer has them, fewer.
NAMES = "<blank> <unk> AH0 AE1 EY1 IH1 UW1 R N T F HH L OW1 W ER1 D Z K AO1 AA1 B G IH0 NG . , ! ? <sos/eos>"
PHONEMES = NAMES.split()
CONFIG: dict[str, Any] = {
    "hidden_size": 16,
    "vocab_size": len(PHONEMES),
    "num_mel_bins": BANDS,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_linear_units": 16,
    "decoder_linear_units": 16,
    "encoder_kernel_size": 3,
    "decoder_kernel_size": 3,
    "duration_predictor_channels": 8,
    "energy_predictor_channels": 8,
    "pitch_predictor_channels": 8,
    "pitch_predictor_layers": 2,
    "speech_decoder_postnet_units": 8,
    "speech_decoder_postnet_layers": 2,
}
VOCODER: dict[str, Any] = {
    "model_in_dim": BANDS,
    "upsample_initial_channel": 16,
    "upsample_rates": [4, 4],
    "upsample_kernel_sizes": [8, 8],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
}


def vocabulary(folder: Path) -> None:
    """What ``FastSpeech2ConformerTokenizer.save_pretrained`` writes, which needs g2p_en to be made at all."""
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(PHONEMES)}), "utf-8")
    table = {"tokenizer_class": "FastSpeech2ConformerTokenizer", "should_strip_spaces": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(table), "utf-8")


def save(folder: Path, *, vocoder: bool = True, tokenizer: bool = True, **changes: Any) -> str:
    """``vocoder`` says whether it has one of its own; ``changes`` are fields of the synthesizer's configuration."""
    import torch
    from transformers import (
        FastSpeech2ConformerConfig,
        FastSpeech2ConformerHifiGanConfig,
        FastSpeech2ConformerModel,
        FastSpeech2ConformerWithHifiGan,
        FastSpeech2ConformerWithHifiGanConfig,
    )

    folder.mkdir(parents=True, exist_ok=True)
    config = FastSpeech2ConformerConfig(**CONFIG | changes)
    both = FastSpeech2ConformerWithHifiGanConfig(
        model_config=config.to_dict(), vocoder_config=FastSpeech2ConformerHifiGanConfig(**VOCODER).to_dict()
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = scatter(FastSpeech2ConformerWithHifiGan(both) if vocoder else FastSpeech2ConformerModel(config))
    durations = (model.model if vocoder else model).duration_predictor.linear
    with torch.no_grad():  # about four frames a phoneme
        durations.weight.mul_(0.3)
        durations.bias.fill_(1.6)
    model.save_pretrained(folder)
    if tokenizer:
        vocabulary(folder)
    return f"fastspeech2:{folder}"


def hifigan(folder: Path, *, seed: int = 0, **changes: Any) -> str:
    """A vocoder's folder."""
    import torch
    from transformers import FastSpeech2ConformerHifiGan, FastSpeech2ConformerHifiGanConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = scatter(FastSpeech2ConformerHifiGan(FastSpeech2ConformerHifiGanConfig(**VOCODER | changes)), seed)
    model.mean.fill_(0.3)
    model.scale.fill_(2.0)
    model.save_pretrained(folder)
    return str(folder)


WORDS = {
    "RAIN": ["R", "EY1", "N"],
    "ON": ["AH0", "N"],
    "A": ["AH0"],
    "TIN": ["T", "IH1", "N"],
    "ROOF": ["R", "UW1", "F"],
    "HELLO": ["HH", "AH0", "L", "OW1"],
    "XYLO": ["Z", "AY1", "L", "OW1"],
    "DOG": ["D", "AO1", "G"],
    "BARKING": ["B", "AA1", "R", "K", "IH0", "NG"],
}


class G2p:
    """Words' phonemes with blanks between them, and punctuation, as g2p_en gives them."""

    def __call__(self, text: str) -> list[str]:
        found: list[str] = []
        for word in text.replace(".", " .").replace("!", " !").split():
            found += [" "] if found else []
            found += WORDS.get(word, [word] if word in ".,!?" else [])
        return found


def nltk_with(*names: str, version: str = "3.10.4") -> Any:
    def find(name: str) -> str:
        if name not in names:
            raise LookupError(name)
        return name

    return SimpleNamespace(__version__=version, data=SimpleNamespace(find=find, path=["/data/nltk_data"]))


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few words' phonemes in place of g2p_en, whose dictionary and tagger are a download of their own."""
    monkeypatch.setattr("transformers.utils.is_g2p_en_available", lambda: True)
    monkeypatch.setattr(f"{TOKENIZER}.requires_backends", lambda *names: None)
    monkeypatch.setitem(sys.modules, "g2p_en", SimpleNamespace(G2p=G2p))
    monkeypatch.setitem(sys.modules, "nltk", nltk_with(*fastspeech2.CORPORA, fastspeech2.NEWER))
