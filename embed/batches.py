"""How many parts go through an encoder at once: its own number on a CPU, what pays and fits on a GPU."""

from __future__ import annotations

from typing import Final

from embed.encoder import Encoder

__all__ = ["Batches"]

PAYS: Final = 1.1  # times as many items a second, at least, or a batch twice as large is not worth its memory
HELD: Final = 256 << 20  # bytes of decoded parts that a batch may wait for


class Batches:
    """The batches of one modality: ``size`` is how many parts the next should have.

    It starts at the encoder's ``batch_size``. On a GPU it is doubled as long as that gives a tenth more items a second
    and the parts take no more than 256 MB; where a network said that so many do not fit, it is what fits. A size that
    the caller named stays.
    """

    def __init__(self, encoder: Encoder, size: int | None = None) -> None:
        self.size = size or encoder.batch_size
        self._encoder = encoder
        self._settled = size is not None
        self._before = 0.0  # items a second in batches of half the size
        self._timed = False

    def took(self, count: int, held: int, seconds: float) -> None:
        """A batch of ``count`` parts of ``held`` bytes in all went through in ``seconds``."""
        if self._settled or count < self.size:
            return
        towers = [tower for tower in self._encoder.towers.values() if tower.loaded]
        fits = min((tower.most for tower in towers if tower.most is not None), default=None)
        if fits is not None or all(tower.device.type == "cpu" for tower in towers):
            self.size = min(self.size, fits or self.size)
            self._settled = True
        elif not self._timed:
            self._timed = True  # the first of a size is slow: weights are loaded and kernels are chosen
        elif count / seconds < PAYS * self._before:
            self.size //= 2
            self._settled = True
        elif 2 * held > HELD:
            self._settled = True
        else:
            self.size, self._before, self._timed = 2 * self.size, count / seconds, False
