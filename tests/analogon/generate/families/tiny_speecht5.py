"""A tiny SpeechT5 for text or for speech, and tiny HiFi-GANs: some thousand weights, in the hub's layout."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from analogon.engines.generator import Settings
from analogon.voices import Voice
from embed.space import Space, unit
from tests.embed.encoders.tiny import VOCABULARY, scatter

DIM = 512
OPTIONS = {"vocoder": "griffin-lim"}
SPEAKER = Space("tiny", "none", "drawn by lot", DIM)
SETTINGS = Settings(voice=Voice("tiny", {SPEAKER: unit(np.random.default_rng(0).standard_normal(DIM))}))
RATE = 16000
BANDS = 80
HOP = 256
TEXT_POSITIONS = 40
SPEECH_POSITIONS = 30  # decoder steps of two frames each
CONFIG: dict[str, Any] = {
    "hidden_size": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 24,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "num_mel_bins": BANDS,
    "speech_decoder_prenet_units": 16,
    "speech_decoder_postnet_units": 16,
    "speech_decoder_postnet_layers": 2,
    "speaker_embedding_dim": DIM,
    "max_text_positions": TEXT_POSITIONS,
    "max_speech_positions": SPEECH_POSITIONS,
    "encoder_max_relative_position": 16,
}


def characters(folder: Path) -> Path:
    """A sentencepiece model of single small letters, numbered as in the published one: <s>, <pad>, </s>, <unk>."""
    import sentencepiece

    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*VOCABULARY, "the quick brown fox jumps over the lazy dog", "it's, well. done-so!"]),
        model_writer=made,
        model_type="char",
        vocab_size=36,
        hard_vocab_limit=False,
        character_coverage=1.0,
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    path = folder / "spm_char.model"
    path.write_bytes(made.getvalue())
    return path


def save(folder: Path, *, converts: bool = False, **changes: Any) -> str:
    """Its name; without a vocoder, which ``hifigan`` saves."""
    import torch
    from transformers import (
        SpeechT5Config,
        SpeechT5FeatureExtractor,
        SpeechT5ForSpeechToSpeech,
        SpeechT5ForTextToSpeech,
        SpeechT5Tokenizer,
    )

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = SpeechT5Tokenizer(str(characters(folder)))
    config = SpeechT5Config(**CONFIG | {"vocab_size": tokenizer.vocab_size} | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = scatter((SpeechT5ForSpeechToSpeech if converts else SpeechT5ForTextToSpeech)(config))
    with torch.no_grad():  # each step may be the last, few are
        model.speech_decoder_postnet.prob_out.weight.mul_(5.0)
        model.speech_decoder_postnet.prob_out.bias.fill_(-8.5 if converts else 2.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SpeechT5FeatureExtractor().save_pretrained(folder)
    return f"speecht5:{folder}"


def hifigan(folder: Path, *, seed: int = 0, **changes: Any) -> str:
    """A vocoder's folder."""
    import torch
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    config = {"upsample_initial_channel": 32, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3]]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = scatter(SpeechT5HifiGan(SpeechT5HifiGanConfig(**config | changes)), seed)
    model.mean.fill_(0.3)
    model.scale.fill_(2.0)
    model.save_pretrained(folder)
    return str(folder)
