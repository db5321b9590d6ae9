"""Voices of given vectors, and recordings that a toy encoder tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import embed
from analogon.voices import (
    Recording,
    Voice,
)
from embed import Media
from embed.space import Space
from tests import sounds

FLAT = Space("flat:4", "flat", "none", 4)
OTHER = Space("other:4", "other", "none", 4)


def units(rows: Any) -> np.ndarray:
    array = np.asarray(rows, np.float64)
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


def voice_of_rows(name: str, rows: Any, *, space: Space = FLAT, seconds: float = 2.0) -> Voice:
    """A voice of rows; its takes are called after it and numbered."""
    array = units(rows)
    takes = [Recording(f"/{name}{i}.wav", f"{name}{i}", seconds) for i in range(len(array))]
    return Voice.of(name, takes, {space: array})


def random_voice(name: str, seed: int, takes: int, spread: float = 0.3) -> Voice:
    random = np.random.default_rng(seed)
    return voice_of_rows(name, random.normal(size=4) + spread * random.normal(size=(takes, 4)))


def files(folder: Path, count: int, seconds: float = 0.4, first: int = 0) -> list[str]:
    """Recordings that get louder and softer each in its own way: the toy encoder tells them apart."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        loudness = np.random.default_rng(i).uniform(0.1, 0.9, 8)
        length = round(seconds * sounds.RATE)
        wave = np.sin(np.arange(length)) * np.repeat(loudness, -(-length // 8))[:length]
        soundfile.write(folder / f"take{i}.wav", wave, sounds.RATE)
    return [str(folder / f"take{i}.wav") for i in range(first, first + count)]


def encoded(encoder: str, paths: Sequence[str]) -> np.ndarray:
    return embed.encode(embed.load(encoder), [Media.from_path(path) for path in paths]).array.astype(np.float64)
