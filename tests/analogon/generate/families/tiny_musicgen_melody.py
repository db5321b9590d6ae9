"""A tiny MusicGen Melody: as the plain one, with a chroma condition."""

from __future__ import annotations

import json
from pathlib import Path

from tests.analogon.generate.families import tiny_musicgen
from tests.analogon.generate.families.tiny_musicgen import CODEC, DECODER, TEXT

# At 6,400 Hz, for pitch classes to be told apart; still 50 frames a second.
RATE = 6400
EXTRACTOR = {"n_fft": 2048, "hop_length": 512, "sampling_rate": RATE, "chunk_length": 30}


def save(folder: Path) -> str:
    from transformers import MusicgenMelodyConfig, MusicgenMelodyForConditionalGeneration

    codec = CODEC | {"sampling_rate": RATE, "upsampling_ratios": [8, 4, 4]}
    config = MusicgenMelodyConfig(text_encoder=TEXT, audio_encoder=codec, decoder=DECODER, chroma_length=20)
    name = tiny_musicgen.write(MusicgenMelodyForConditionalGeneration(config), folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(EXTRACTOR))
    return name
