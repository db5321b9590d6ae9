"""espeak-ng as it is installed: nothing of it can be made smaller."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

SAMPLES = False


def save(folder: Path) -> str:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    return "espeak:en-us"
