"""A tiny Stable Diffusion, which makes pictures."""

from __future__ import annotations

from pathlib import Path

from tests.analogon.generate.families.tiny_diffusers import stable_diffusion, write

OPTIONS = {"steps": 2, "width": 32, "height": 32}


def save(folder: Path) -> str:
    return write(stable_diffusion(), folder)
