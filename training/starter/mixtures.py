"""Step 2: mixtures of the sounds with what the teacher says of them, in shards of a thousand.

A mixture is 192 frames of 10 ms. The teacher hears 96 at once, so that each mixture has three windows, half of one
apart. Kept for each: log-mel magnitudes as uint8 ``(n, 192, 64)``, the teacher's embedding as uint8 ``(n, 3, 1024)``.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.logmag import LogMagnitudes
from training.starter.sounds import RATE, Sounds

MEL: Final = LogMagnitudes()
FRAMES: Final = 192
WINDOW: Final = 96
STEP: Final = 48
WINDOWS: Final = 3
LENGTH: Final = MEL.samples(FRAMES)
SHARD: Final = 1000
POOLS: Final = ("base", "folds", "rest", "synthesis")
LOWEST, HIGHEST = -7.0, 5.0  # of log-mel magnitudes, mapped to 0 and 255


def to_bytes(mels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint((mels - LOWEST) * (255.0 / (HIGHEST - LOWEST))), 0, 255).astype(np.uint8)


class Teacher:
    """YAMNet: its embedding as it is kept inside, and its scores computed from that.

    The published file rounds scores to 1/256, which leaves nothing of rare classes; its last layer times the embedding
    gives them as they are before that.
    """

    EMBEDDING, WEIGHTS, BIASES = 115, 116, 117
    SAMPLES = 15600

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True, num_threads=1)
        self.interpreter.allocate_tensors()
        self._into = self.interpreter.get_input_details()[0]
        self.details: dict[int, Any] = {d["index"]: d for d in self.interpreter.get_tensor_details()}

    def embedding(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Of 15,600 samples: ``(1024,)``, its zero at 0."""
        self.interpreter.set_tensor(self._into["index"], samples.reshape(self._into["shape"]))
        self.interpreter.invoke()
        values = self.interpreter.get_tensor(self.EMBEDDING).reshape(-1).astype(np.int16)
        return (values + 128).astype(np.uint8)

    @cached_property
    def scale(self) -> float:
        return float(self.details[self.EMBEDDING]["quantization"][0])

    @cached_property
    def head(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The last layer: ``(521, 1024)`` and ``(521,)``, so that logits are ``embedding @ weights.T + biases``."""
        weights = self.interpreter.get_tensor(self.WEIGHTS).astype(np.float32)
        biases = self.interpreter.get_tensor(self.BIASES).astype(np.float32)
        return (
            weights * np.float32(self.details[self.WEIGHTS]["quantization"][0]),
            biases * np.float32(self.details[self.BIASES]["quantization"][0]),
        )


@dataclass(frozen=True)
class Mixer:
    """Draws mixtures. ``primary`` are the sounds that each mixture has one of, ``others`` what is mixed in."""

    sounds: Sounds
    primary: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]

    @classmethod
    def of(cls, sounds: Sounds, pool: str, real: float) -> Mixer:
        """The primary sounds are those of ``pool``, a part ``real`` of them recordings where it has both kinds."""
        before = {"base": ("base",), "folds": ("base", "folds"), "synthesis": ("base", "synthesis")}.get(pool, POOLS)
        primary = np.array([i for i, row in enumerate(sounds.rows) if row.pool == pool])
        others = np.array([i for i, row in enumerate(sounds.rows) if row.pool in before])
        length = np.array([min(sounds.rows[i].length / RATE, 20.0) for i in primary])
        weights = np.sqrt(length + 0.5)
        recorded = np.array([sounds.rows[i].real for i in primary])
        if recorded.any() and not recorded.all():
            weights[recorded] *= real / weights[recorded].sum()
            weights[~recorded] *= (1.0 - real) / weights[~recorded].sum()
        return cls(sounds, primary, others, weights / weights.sum())

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        out = self._bed(rng, int(rng.choice(self.primary, p=self.weights)))
        level = _rms(out)
        for chance in (0.5, 0.3):
            if rng.random() >= chance:
                break
            other = self._bed(rng, int(rng.choice(self.others)))
            out = out + other * (level / max(_rms(other), 1e-5) * 10.0 ** (-rng.uniform(-6.0, 24.0) / 20.0))
        if rng.random() < 0.15:
            noise = _coloured(rng, len(out))
            out = out + noise * (level / max(_rms(noise), 1e-9) * 10.0 ** (-rng.uniform(5.0, 35.0) / 20.0))
        if rng.random() < 0.45:
            out = _filtered(rng, out, room=rng.random() < 0.4)
        target = 10.0 ** (rng.uniform(-48.0, -10.0) / 20.0)
        out = out * (target / max(_rms(out), 1e-5))
        peak = np.abs(out).max(initial=0.0)
        if peak > 1.0 and rng.random() < 0.9:
            out = out / peak
        return np.clip(out, -1.0, 1.0).astype(np.float32)

    def _bed(self, rng: np.random.Generator, number: int) -> npt.NDArray[np.float32]:
        """LENGTH samples of one sound: a cut of a long one; a short one placed, repeated, or followed by another."""
        row = self.sounds.rows[number]
        speed = float(2.0 ** rng.uniform(-0.4, 0.4)) if rng.random() < 0.4 else 1.0
        wanted = int(LENGTH * speed) + 2
        if row.length >= wanted:
            for _ in range(4):
                at = row.start + int(rng.integers(row.length - wanted + 1))
                part = self.sounds.samples[at : at + wanted].astype(np.float32) / 32768.0
                if _rms(part) > 1e-3:
                    break
        else:
            part = self.sounds[number]
        if speed != 1.0:
            positions = np.arange(0.0, len(part) - 1, speed)
            part = np.interp(positions, np.arange(len(part)), part).astype(np.float32)
        if len(part) >= LENGTH:
            return part[:LENGTH]
        out = np.zeros(LENGTH, dtype=np.float32)
        at = int(rng.integers(LENGTH - len(part) + 1)) if rng.random() < 0.6 else 0
        out[at : at + len(part)] = part
        if rng.random() < 0.5:  # again, and again
            at += len(part) + int(rng.exponential(0.15 * RATE))
            while at < LENGTH:
                part = part * np.float32(rng.uniform(0.6, 1.2))
                out[at : at + len(part)] += part[: LENGTH - at]
                at += len(part) + int(rng.exponential(0.15 * RATE))
        return out


def _rms(samples: npt.NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _coloured(rng: np.random.Generator, length: int) -> npt.NDArray[np.float32]:
    """Noise whose power falls with frequency to a random exponent from 0 (white) to 2 (brown)."""
    size = 1 << (length - 1).bit_length()
    spectrum = rng.standard_normal(size // 2 + 1) + 1j * rng.standard_normal(size // 2 + 1)
    spectrum /= np.maximum(np.arange(size // 2 + 1), 4.0) ** (rng.uniform(0.0, 2.0) / 2.0)
    return np.fft.irfft(spectrum)[:length].astype(np.float32)


def _filtered(rng: np.random.Generator, samples: npt.NDArray[np.float32], *, room: bool) -> npt.NDArray[np.float32]:
    """A smooth random equaliser, sometimes a telephone's band, and the exponential tail of a room where asked for."""
    size = 1 << (len(samples) + RATE // 2 - 1).bit_length()
    frequencies = np.fft.rfftfreq(size, 1.0 / RATE)
    octaves = np.log2(np.maximum(frequencies, 40.0) / 40.0)
    gains = np.interp(octaves, np.linspace(0.0, 7.7, 8), rng.normal(0.0, 5.0, 8))
    if rng.random() < 0.3:
        gains -= 24.0 * np.maximum(0.0, np.log2(np.maximum(frequencies, 1.0) / rng.uniform(1500.0, 6000.0)))
    if rng.random() < 0.2:
        gains -= 12.0 * np.maximum(0.0, np.log2(rng.uniform(80.0, 500.0) / np.maximum(frequencies, 10.0)))
    response = 10.0 ** (np.maximum(gains, -80.0) / 20.0)
    if room:
        tail = np.zeros(size)
        length = int(rng.uniform(0.1, 0.5) * RATE)
        tail[:length] = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
        tail *= rng.uniform(0.1, 0.8) / np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        response = response * np.fft.rfft(tail)
    return np.fft.irfft(np.fft.rfft(samples, size) * response, size)[: len(samples)].astype(np.float32)


def run(work: Path, teacher: Path, pool: str, count: int, *, real: float = 0.75, seed: int = 0, jobs: int = 1) -> None:
    """Write ``count`` mixtures of a pool; shards that are there stay, so that a stopped step goes on."""
    folder = work / "mixtures" / pool
    folder.mkdir(parents=True, exist_ok=True)
    todo = [n for n in range(-(-count // SHARD)) if not (folder / f"{n:04}.npz").is_file()]
    tasks = [(work, teacher, pool, real, seed, number) for number in todo]
    if jobs == 1:
        for task in tasks:
            _shard(task)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=8) as workers:
        for _ in workers.imap_unordered(_shard, tasks):
            pass


def _shard(task: tuple[Path, Path, str, float, int, int]) -> None:
    work, path, pool, real, seed, number = task
    teacher = Teacher(path)
    mixer = Mixer.of(Sounds.read(work), pool, real)
    rng = np.random.default_rng([seed, sum(pool.encode()), number])
    mels = np.empty((SHARD, FRAMES, MEL.bins), dtype=np.uint8)
    embeddings = np.empty((SHARD, WINDOWS, 1024), dtype=np.uint8)
    for i in range(SHARD):
        samples = mixer.draw(rng)
        mels[i] = to_bytes(MEL(samples))
        for window in range(WINDOWS):
            first = window * STEP * MEL.hop
            embeddings[i, window] = teacher.embedding(samples[first : first + Teacher.SAMPLES])
    target = work / "mixtures" / pool / f"{number:04}.npz"
    partial = target.with_suffix(".partial.npz")
    np.savez(partial, mels=mels, embeddings=embeddings)
    partial.rename(target)
