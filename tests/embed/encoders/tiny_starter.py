"""The starter as it is shipped: its weights are in the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from embed.encoders import starter

REFUSES = ("blank",)


def build(folder: Path) -> str:
    if not (starter.FOLDER / "audio.onnx").is_file():
        pytest.skip("the starter's weights are not in this checkout")
    return "starter"
