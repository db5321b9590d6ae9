"""Composing a take of grains: which are chosen for a prompt or after a guide, and how they are joined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.generate import concatenative as cc
from analogon.generate.concatenative import Piece, Stage
from analogon.generate.corpus import BOOST, FAINT_GUIDED, LEVEL, REACH, Corpus, Pool, faded
from embed.media import Media

__all__ = ["Grain", "compose"]

SECONDS: Final = 5.0  # where neither the settings nor a guide say how long
NEAREST: Final = 48  # units that one grain of a guide chooses among
HORIZON: Final = 6  # joins ahead that a grain is chosen by
ENDS: Final = 0.02  # s over which a take's ends are faded
CEILING: Final = 0.97  # the highest peak of a take


@dataclass(frozen=True, slots=True)
class Grain:
    """What a take has of a file, in seconds, where it lies in the take, its gain, the cosine with the prompt."""

    path: str
    start: float
    end: float
    at: float
    gain_db: float
    score: float | None

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def compose(
    corpus: Corpus, text: str, guide: Media | None, seconds: float | None, seed: int | None
) -> tuple[npt.NDArray[np.float32], tuple[Grain, ...]]:
    """A take for a prompt and a guide, float32 ``(n,)`` at the tuning's rate, and what it is made of.

    Raises ``UsageError`` where the collection cannot be asked, and ``GeneratorError`` where nothing of it sounds.
    """
    return _Composer(corpus, corpus.pool(text, guide), np.random.default_rng(seed)).take(guide, seconds)


class _Composer:
    """Chooses among the units of one pool."""

    def __init__(self, corpus: Corpus, pool: Pool, random: np.random.Generator) -> None:
        self.corpus = corpus
        self.tuning = corpus.tuning
        self.pool = pool
        self.random = random

    def take(self, guide: Media | None, seconds: float | None) -> tuple[npt.NDArray[np.float32], tuple[Grain, ...]]:
        """Samples and what they are made of."""
        if guide is None:
            total = max(1, round((seconds or SECONDS) * self.tuning.rate))
            pieces, numbers = self._walk(total)
        else:
            samples = self.corpus.guide(guide, seconds)
            total = len(samples)
            pieces, numbers = self._follow(samples, self.corpus.bands(guide))
        fade = self.corpus.fade(guide is not None)
        sound, moved = cc.overlap_add(pieces, fade, round(REACH * self.tuning.rate))
        sound = faded(sound[:total], min(round(ENDS * self.tuning.rate), total // 4))
        peak = float(np.abs(sound).max())
        scale = min(1.0, CEILING / peak) if peak > 0 else 1.0
        return sound * np.float32(scale), tuple(self._grains(pieces, numbers, moved, scale))

    def _walk(self, total: int) -> tuple[list[Piece], list[int]]:
        """Grains of what is near to the prompt, one after another, for ``total`` samples."""
        # Each take leans towards other recordings, so that takes differ as wholes and not in their details alone.
        leaning = self.tuning.temperature * self.random.gumbel(size=len(self.pool.passages))
        stage = Stage(np.arange(len(self.pool.units)), self.pool.cost - leaning[self.pool.owner])

        def join(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
            return self.pool.joins if len(a) == len(self.pool.joins) else self.pool.joins[a]

        ahead = cc.futures([stage] * (HORIZON + 1), join, self.tuning.temperature)[0]
        pieces: list[Piece] = []
        numbers = []
        left = total
        for number in self._chain(repeat(stage), repeat(ahead), join):
            length = min(left, int(self.pool.units.length[number]))
            pieces.append(self._piece(number, length, float(self.pool.gain[number])))
            numbers.append(number)
            left -= length
            if not left:
                break
        return pieces, numbers

    def _follow(self, guide: npt.NDArray[np.float32], bands: int) -> tuple[list[Piece], list[int]]:
        """For each grain of a guide one that sounds like it."""
        pool = self.pool
        wanted = self.corpus.analysed(guide, guided=True)
        # How loud a grain is within its recording tells a beginning from its end; recordings themselves are levelled.
        targets = wanted.body.louder(LEVEL - wanted.level)
        stages = []
        for at in range(len(wanted)):
            costs = cc.differences(targets[at : at + 1], pool.units.body, bands=bands, level=0.3)[0] + pool.cost
            costs += 0.5 * (pool.units.onset != wanted.onset[at])
            costs += 2.0 * np.maximum(0.0, 1.0 - pool.units.room / wanted.length[at])
            ids = np.sort(np.argpartition(costs, min(NEAREST, len(costs)) - 1)[:NEAREST])
            stages.append(Stage(ids, costs[ids]))
        ahead = cc.futures(stages, pool.join, self.tuning.temperature)
        numbers = list(self._chain(stages, ahead, pool.join))
        gains = pool.gain[numbers] + (wanted.level - LEVEL)
        if self.tuning.envelope:
            # A grain is as loud as it will be heard, cut to the guide's.
            levels = [
                cc.decibels(np.mean(self._piece(number, int(length)).read(0, int(length)) ** 2))
                for number, length in zip(numbers, wanted.length, strict=True)
            ]
            gains = cc.limited(wanted.body.level - np.array(levels), BOOST, wanted.loud(FAINT_GUIDED))
        return [
            self._piece(number, int(length), float(gain))
            for number, length, gain in zip(numbers, wanted.length, gains, strict=True)
        ], numbers

    def _chain(self, stages: Iterable[Stage], ahead: Iterable[npt.NDArray[np.float64]], join: cc.Join) -> Iterator[int]:
        return cc.chain(
            stages,
            ahead,
            join,
            temperature=self.tuning.temperature,
            random=self.random,
            groups=self.pool.owner,
            variety=self.tuning.variety,
        )

    def _piece(self, number: int, length: int, gain: float = 0.0) -> Piece:
        samples = self.pool.passages[self.pool.owner[number]].samples
        return Piece(samples, int(self.pool.units.start[number]), length, 10.0 ** (gain / 20.0))

    def _grains(
        self, pieces: Sequence[Piece], numbers: Sequence[int], moved: Sequence[int], scale: float
    ) -> Iterator[Grain]:
        rate, at = self.tuning.rate, 0
        for piece, number, lag in zip(pieces, numbers, moved, strict=True):
            passage, score = self.pool.passages[self.pool.owner[number]], self.pool.scores[self.pool.owner[number]]
            start = passage.begin + max(0, piece.start + lag) / rate
            end = passage.begin + min(len(passage.samples), piece.start + lag + piece.length) / rate
            gain = 20.0 * math.log10(max(piece.gain * scale, 1e-6))
            yield Grain(passage.path, start, max(start, end), at / rate, gain, score)
            at += piece.length
