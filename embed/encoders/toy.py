"""toy: exact values without any model, for tests and for seeing how things fit together (text, audio, image, video)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embed.encoder import AudioInput, Encoder, VideoInput
from embed.media import Media
from embed.space import Space

__all__ = ["ToyEncoder", "load"]


class ToyEncoder(Encoder):
    """Text: one count a word at ``crc32(word) % dim``. Audio, image, video: means of ``dim`` equal stretches.

    Every value can be worked out by hand. A last component of 1 before normalising keeps silence from being zero.
    """

    modalities = frozenset({"text", "audio", "image", "video"})

    def __init__(self, dim: int, window: float, hop: float | None) -> None:
        self.audio = AudioInput(rate=16000, window=window, hop=hop)
        self.video = VideoInput(frames=4, window=window, hop=hop)
        self.space = Space(f"toy:{dim}", "none", f"words by crc32; stretches; audio {self.audio}", dim)

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        return np.stack([self._one(media) for media in batch])

    def _one(self, media: Media) -> npt.NDArray[np.float64]:
        row = np.zeros(self.space.dim)
        if media.modality == "text":
            assert media.text is not None
            for word in media.text.lower().split():
                row[zlib.crc32(word.encode("utf-8", "replace")) % self.space.dim] += 1
        else:
            assert media.array is not None
            flat = np.abs(media.array.reshape(-1).astype(np.float64))
            row += [stretch.mean() if len(stretch) else 0.0 for stretch in np.array_split(flat, self.space.dim)]
        row[-1] += 1
        return row


def load(model: str = "8", *, window: float = 1.0, hop: float | None = None) -> ToyEncoder:
    """``toy`` or ``toy:16``: the model is the number of components; ``window`` and ``hop`` are in seconds."""
    return ToyEncoder(int(model), window, hop)
