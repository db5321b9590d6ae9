"""Log-mel magnitudes in numpy: what small audio networks hear, without torch.

The frames are those of YAMNet and VGGish (Hershey et al., "CNN architectures for large-scale audio classification",
2017): magnitudes, not powers, on the HTK mel scale, and ``log(x + 0.001)``. CLAP's features are in ``embed.logmel``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LogMagnitudes", "mel"]

BLOCK = 256  # frames at once: their spectra fit the cache


@dataclass(frozen=True)
class LogMagnitudes:
    """``rate`` and frequencies in Hz; ``frame`` and ``hop`` in samples; ``bins`` mel bands."""

    rate: int = 16000
    frame: int = 400
    hop: int = 160
    fft: int = 512
    bins: int = 64
    lowest: float = 125.0
    highest: float = 7500.0
    floor: float = 0.001

    @classmethod
    def from_config(cls, fields: Mapping[str, Any]) -> LogMagnitudes:
        """From what ``asdict`` gave. Raises ``TypeError`` where a field is unknown."""
        return cls(**fields)

    def frames(self, samples: int) -> int:
        """How many whole frames lie in so many samples."""
        return max(0, (samples - self.frame) // self.hop + 1)

    def samples(self, frames: int) -> int:
        """How many samples so many frames need."""
        return (frames - 1) * self.hop + self.frame

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Float32 ``(frames, bins)`` of mono audio ``(n,)`` in -1 to 1; what is left after the last is dropped."""
        from scipy.fft import rfft  # numpy's own takes ten times as long in single precision

        count = self.frames(len(samples))
        out = np.empty((count, self.bins), dtype=np.float32)
        window, filters = self._constants
        view = np.lib.stride_tricks.sliding_window_view(samples, self.frame)[:: self.hop] if count else samples
        for start in range(0, count, BLOCK):
            spectra = rfft(view[start : start + BLOCK] * window, self.fft)
            out[start : start + BLOCK] = np.abs(spectra) @ filters
        out += np.float32(self.floor)
        return np.log(out, out=out)

    @cached_property
    def _constants(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The periodic Hann window ``(frame,)`` and the mel filters ``(1 + fft // 2, bins)``, triangles in mel."""
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(self.frame) / self.frame)
        edges = np.linspace(mel(self.lowest), mel(self.highest), self.bins + 2)
        mels = mel(np.arange(1 + self.fft // 2) * self.rate / self.fft)[:, None]
        rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
        filters = np.maximum(0.0, np.minimum(rising, falling))
        filters[0] = 0.0  # no direct current
        return window.astype(np.float32), filters.astype(np.float32)

    def to_config(self) -> dict[str, Any]:
        """What ``from_config`` reads."""
        return asdict(self)


def mel(frequency: Any) -> Any:
    """Frequencies in Hz on the HTK mel scale."""
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)
