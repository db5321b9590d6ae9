"""A mosaic of a small collection: no weights, but sounds to choose from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

import analogon
from analogon.engines.generator import Settings

RATE = 16000
SETTINGS = Settings(seconds=3.0)  # some ten grains: of one or two all seeds may choose the same


def library(folder: Path) -> analogon.Library:
    """Sounds that are loud and soft at other times each: what the encoder ``toy`` tells apart, and finds by words."""
    random = np.random.default_rng(0)
    for number in range(10):
        loud = np.repeat(random.choice([0.01, 0.4], 8), RATE // 8)
        soundfile.write(folder / f"{number}.wav", loud * random.uniform(-1, 1, RATE), RATE)
    made = analogon.open(folder / "collection", create=True)
    made.index(folder, encoders=["toy:8"])
    return made


def save(folder: Path) -> str:
    return "mosaic"
