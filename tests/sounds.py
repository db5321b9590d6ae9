"""Small real sound files for tests, each with its own content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 16000


def write(path: Path, number: int, seconds: float = 0.5) -> Path:
    """A wav whose loudness and noise come from ``number``: equal numbers and lengths give equal bytes."""
    random = np.random.default_rng(number)
    samples = random.normal(0.0, 0.05 + 0.01 * (number % 17), int(seconds * RATE))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.clip(-1, 1), RATE, subtype="PCM_16")
    return path


def folder(root: Path, count: int) -> Path:
    """``count`` files in two folders; every fifth is long enough for several windows of a second."""
    for number in range(count):
        write(root / ("a" if number % 2 else "b") / f"{number:03}.wav", number, 2.6 if number % 5 == 0 else 0.3)
    return root
