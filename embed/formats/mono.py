"""Channels to one: the mean of a recording's channels, but where they cancel each other out."""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.remarks import Remarks

__all__ = ["Mixer"]

Samples = npt.NDArray[np.float32]

CANCELLED: Final = 0.1
WHOLLY: Final = 0.01
STRETCH: Final = 0.05  # seconds
QUIET: Final = 1e-8  # a mean square, -80 dB of full scale
RAMP: Final = 512


class Mixer:
    """Channels to one, block by block.

    The mean of the channels, but where they cancel each other out: where the mean's power is less than ``CANCELLED`` of
    what it were if the channels had nothing in common (the sum of their powers over the square of their number). For
    two channels of equal power that is a correlation below -0.9, which hardly any recording has for a whole block
    (1.4 s at 48 kHz) but by an inverted channel. There the strongest channel is taken, of those within 1 dB the first;
    the one that was taken before stays while it has a quarter of the strongest one's power. Powers are about the
    block's mean, so that an offset does not count as sound, and below ``QUIET`` nothing is decided. Weights change over
    ``RAMP`` samples, without a click.

    A channel may be inverted for a part of a block only. So each ``STRETCH`` is looked at too, by the stricter
    ``WHOLLY`` (a correlation below -0.99), as in so short a time channels are now and then opposed by chance.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._before: int | None = None  # the channel that was taken, None for the mean
        self._width = 0
        self._begun = False
        self._all = self._lost = 0
        self._taken: set[int] = set()

    def mixed(self, block: npt.NDArray[Any]) -> Samples:
        """Mono float32 (n,) of a block (n, channels)."""
        count, width = block.shape
        self._all += count
        if width == 1:
            return block[:, 0].astype(np.float32, copy=False)
        if width != self._width:
            self._width, self._before = width, None
        edges = [0, *self._turns(block), count]
        if len(edges) > 2:
            return np.concatenate([self._piece(block[a:b]) for a, b in itertools.pairwise(edges)])
        return self._piece(block)

    def _turns(self, block: npt.NDArray[Any]) -> list[int]:
        """Where within a block channels begin or cease to cancel out."""
        count, width = block.shape
        length = max(1, round(STRETCH * self._rate))
        whole = count // length
        if whole < 2:
            return []
        pieces = block[: whole * length].reshape(whole, length * width)
        total = sum((block[: whole * length, channel] for channel in range(1, width)), block[: whole * length, 0])
        total = total.reshape(whole, length)
        # Powers with their offsets, which can only hide a cancellation.
        powers = np.einsum("ij,ij->i", pieces, pieces) / length
        together = np.einsum("ij,ij->i", total, total) / length
        opposed = (together < WHOLLY * powers) & (powers > QUIET)
        # Silence goes with what was before it.
        known = np.maximum.accumulate(np.where(powers > QUIET, np.arange(whole), 0))
        opposed = opposed[known]
        return [int(at) * length for at in np.flatnonzero(opposed[1:] != opposed[:-1]) + 1]

    def _piece(self, block: npt.NDArray[Any]) -> Samples:
        """Mono of a block (n, channels) throughout which the channels go together in one way."""
        count, width = block.shape
        columns = block.T  # one by one: numpy's own sums along rows of a few numbers take ten times as long
        total = columns[0].astype(np.float64 if block.dtype == np.float64 else np.float32)
        for column in columns[1:]:
            total += column
        total /= width
        mean: Samples = total.astype(np.float32, copy=False)
        before = self._before
        products = (columns @ block).astype(np.float64) / count  # all that is asked of the block, in one pass over it
        offsets = np.array([column.sum(dtype=np.float64) for column in columns]) / count
        powers = np.diag(products) - offsets**2
        together = products.sum() / width**2 - offsets.mean() ** 2
        if powers.max() < max(QUIET, 1e-5 * float(np.max(offsets**2))):
            now = before
        elif together >= CANCELLED * powers.sum() / width**2:
            now = None
        elif before is not None and powers[before] >= powers.max() / 4:
            now = before
        else:
            now = int((powers >= 0.8 * powers.max()).argmax())
        self._before = now
        begun, self._begun = self._begun, True
        if now is None and before is None:
            return mean
        if now is not None:
            self._lost += count
            self._taken.add(now + 1)

        def taken(channel: int | None) -> Samples:
            return mean if channel is None else block[:, channel].astype(np.float32, copy=False)

        mono = taken(now)
        if before != now and begun:
            ramp = np.linspace(0.0, 1.0, min(RAMP, count), dtype=np.float32)
            mono = mono.copy()
            mono[: len(ramp)] += (1 - ramp) * (taken(before)[: len(ramp)] - mono[: len(ramp)])
        return mono

    def tell(self, remarks: Remarks) -> None:
        """Say what was not mixed."""
        if self._lost:
            kept = ("channel " if len(self._taken) == 1 else "channels ") + ", ".join(map(str, sorted(self._taken)))
            part = f" for {self._lost / self._rate:.1f} s" if self._lost < self._all else ""
            remarks.note(
                f"its channels cancel each other out{part}: {kept} alone was taken there"
                if part
                else f"its channels cancel each other out: {kept} alone was taken"
            )
