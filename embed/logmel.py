"""CLAP's audio features: log-mel spectrograms of a whole batch at once, equal to what transformers computes one by one.

``ClapFeatureExtractor`` draws random crops of audio that is longer than its maximum and, with ``"fusion"``, marks a
random member of the batch as longer. Here audio never exceeds the maximum and nothing is random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

__all__ = ["LogMel"]


@dataclass(frozen=True)
class LogMel:
    """Padding, Hann STFT, mel filters and decibels as a CLAP checkpoint's preprocessor configuration has them.

    ``rate`` and the frequencies are in Hz, ``length`` is the number of samples that audio is padded to. ``fusion``
    chooses the HTK mel scale that fused checkpoints were trained with; the others have Slaney's (as librosa has).
    """

    rate: int = 48000
    length: int = 480000
    fft: int = 1024
    hop: int = 480
    bins: int = 64
    lowest: float = 0.0
    highest: float = 14000.0
    fusion: bool = True
    padding: str = "repeatpad"

    @classmethod
    def from_config(cls, fields: Mapping[str, Any]) -> LogMel:
        """Read a ``preprocessor_config.json``; what it leaves out is as ``ClapFeatureExtractor`` has it by default.

        Its ``top_db`` is left aside, for the extractor does not use it either. Raises ``ValueError`` where a value
        is not one that the extractor knows.
        """
        rate = int(fields.get("sampling_rate", cls.rate))
        truncation = fields.get("truncation", "fusion")
        padding = fields.get("padding", cls.padding)
        if truncation not in ("fusion", "rand_trunc"):
            raise ValueError(f"truncation should be fusion or rand_trunc, not {truncation!r}")
        if padding not in ("repeatpad", "repeat", "pad"):
            raise ValueError(f"padding should be repeatpad, repeat or pad, not {padding!r}")
        return cls(
            rate=rate,
            length=int(fields.get("max_length_s", 10)) * rate,
            fft=int(fields.get("fft_window_size", cls.fft)),
            hop=int(fields.get("hop_length", cls.hop)),
            bins=int(fields.get("feature_size", cls.bins)),
            lowest=float(fields.get("frequency_min", cls.lowest)),
            highest=float(fields.get("frequency_max", cls.highest)),
            fusion=truncation == "fusion",
            padding=padding,
        )

    def pad(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Samples ``(n,)``, 1 <= n <= ``length``, repeated or not, then zeros: ``(length,)``."""
        if not 1 <= len(samples) <= self.length:
            raise ValueError(f"audio should have 1 to {self.length} samples, not {len(samples)}")
        padded = np.zeros(self.length, dtype=np.float32)
        times = 1 if self.padding == "pad" else self.length // len(samples)
        repeated = np.tile(samples, times)
        padded[: len(repeated)] = repeated
        if self.padding == "repeat":
            padded[len(repeated) :] = samples[: self.length - len(repeated)]
        return padded

    def __call__(self, batch: Sequence[npt.NDArray[np.float32]], device: torch.device | None = None) -> torch.Tensor:
        """Decibels, float32 ``(len(batch), 1 + length // hop, bins)``, of mono audio at ``rate`` Hz, on ``device``.

        The Fourier transform is in double precision: between the loudest and the quietest bins of a clean tone lie
        more than 140 dB, which single precision does not span. Where the device has no doubles (mps) it is single:
        noise moves by 0.0002 dB at most, the quietest bins beside a clean tone or a hum by up to 1.9 dB (mean 0.04).
        """
        import torch

        if device is not None and device.type != "cpu":  # all at once
            padded = torch.from_numpy(np.stack([self.pad(samples) for samples in batch])).to(device)
            return self._decibels(padded, torch.float32 if device.type == "mps" else torch.float64)
        # One at a time: the spectrum of one clip fits the cache, and a batch of them takes more than twice as long.
        return torch.stack([self._of(samples) for samples in batch])

    def _of(self, samples: npt.NDArray[np.float32]) -> torch.Tensor:
        """Decibels of one clip; what its copies have in common is computed once.

        A clip that is repeated after a whole number of hops has the same frames again, but for those at its very
        beginning and end, which see what lies around.
        """
        import torch

        padded = torch.from_numpy(self.pad(samples))
        copies = 1 if self.padding == "pad" else self.length // len(samples)
        period, rest = divmod(len(samples), self.hop)
        edge = -(-self.fft // (2 * self.hop))  # frames at an end that see what lies beyond it
        last = copies * period - edge  # the first that sees the end of the last copy
        computed = period + 2 * edge + 1 + self.length // self.hop - last + edge
        if rest or copies < 2 or period < 2 * edge or 5 * computed > 4 * self.length // self.hop:
            return self._decibels(padded)
        first = self._decibels(padded[: (period + 2 * edge) * self.hop])[: period + edge]
        end = self._decibels(padded[(last - edge) * self.hop :])[edge:]
        times, more = divmod(last - edge, period)
        once = first[edge:]
        return torch.cat([first[:edge], *[once] * times, once[:more], end])

    def _decibels(self, padded: torch.Tensor, precision: torch.dtype | None = None) -> torch.Tensor:
        """``(..., length)`` to ``(..., frames, bins)``, the transform in ``precision``, doubles without it."""
        import torch

        precision = precision or torch.float64
        window, filters = self._constants
        window, filters = window.to(padded.device, precision), filters.to(padded.device)
        spectrum = torch.stft(
            padded.to(precision), self.fft, self.hop, window=window, pad_mode="reflect", return_complex=True
        ).to(torch.complex64)
        power = spectrum.real.square() + spectrum.imag.square()
        return (10.0 * torch.log10((filters @ power).clamp(min=1e-10))).mT

    @cached_property
    def _constants(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The Hann window ``(fft,)``, float64, and the mel filters ``(bins, 1 + fft // 2)``, float32."""
        import torch
        from transformers.audio_utils import mel_filter_bank

        filters = mel_filter_bank(
            num_frequency_bins=1 + self.fft // 2,
            num_mel_filters=self.bins,
            min_frequency=self.lowest,
            max_frequency=self.highest,
            sampling_rate=self.rate,
            norm=None if self.fusion else "slaney",
            mel_scale="htk" if self.fusion else "slaney",
        )
        return torch.hann_window(self.fft, dtype=torch.float64), torch.from_numpy(filters).float().T.contiguous()
