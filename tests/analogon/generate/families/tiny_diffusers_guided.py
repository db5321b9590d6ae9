"""A tiny Stable Audio, which takes a guide."""

from __future__ import annotations

from pathlib import Path

from tests.analogon.generate.families.tiny_diffusers import OPTIONS, stable_audio, write

__all__ = ["OPTIONS", "save"]


def save(folder: Path) -> str:
    return write(stable_audio(), folder)
