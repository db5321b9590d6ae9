"""The fused form of CLAP."""

from __future__ import annotations

from pathlib import Path

from tests.embed.encoders import tiny_clap


def build(folder: Path) -> str:
    return tiny_clap.build(folder, fused=True)
