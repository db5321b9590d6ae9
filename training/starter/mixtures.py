"""Step 2: mixtures of the sounds with what the teacher says of them, in shards of a thousand.

A mixture is 192 frames of 10 ms. The teacher hears 96 at once, so that each mixture has three windows, half of one
apart. Kept for each: log-mel magnitudes as uint8 ``(n, 192, 64)``, the teacher's embedding as uint8 ``(n, 3, 1024)``.
"""

from __future__ import annotations

import multiprocessing
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.classifier import open_interpreter
from embed.logmag import LogMagnitudes
from embed.training.mixing import Mixer, Recordings, by_length, to_bytes
from training.starter.sounds import RATE, Sounds

MEL: Final = LogMagnitudes()
FRAMES: Final = 192
WINDOW: Final = 96
STEP: Final = 48
WINDOWS: Final = 3
LENGTH: Final = MEL.samples(FRAMES)
SHARD: Final = 1000
POOLS: Final = ("base", "folds", "rest", "synthesis")


class Teacher:
    """YAMNet: its embedding as it is kept inside, and its scores computed from that.

    The published file rounds scores to 1/256, which leaves nothing of rare classes; its last layer times the embedding
    gives them as they are before that.
    """

    EMBEDDING, WEIGHTS, BIASES = 115, 116, 117
    SAMPLES = 15600

    def __init__(self, path: Path) -> None:
        self.interpreter = open_interpreter(path, experimental_preserve_all_tensors=True, num_threads=1)
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


def mixer(sounds: Sounds, pool: str, real: float) -> Mixer:
    """The primary sounds are those of ``pool``, a part ``real`` of them recordings where it has both kinds."""
    before = {"base": ("base",), "folds": ("base", "folds"), "synthesis": ("base", "synthesis")}.get(pool, POOLS)
    recordings = Recordings(
        sounds.samples, np.array([row.start for row in sounds.rows]), np.array([row.length for row in sounds.rows])
    )
    primary = np.array([i for i, row in enumerate(sounds.rows) if row.pool == pool])
    others = np.array([i for i, row in enumerate(sounds.rows) if row.pool in before])
    weights = by_length(recordings.lengths[primary] / RATE)
    recorded = np.array([sounds.rows[i].real for i in primary])
    if recorded.any() and not recorded.all():
        weights[recorded] *= real / weights[recorded].sum()
        weights[~recorded] *= (1.0 - real) / weights[~recorded].sum()
    return Mixer(recordings, primary, others, weights / weights.sum(), LENGTH, RATE)


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
    mixed = mixer(Sounds.read(work), pool, real)
    rng = np.random.default_rng([seed, sum(pool.encode()), number])
    mels = np.empty((SHARD, FRAMES, MEL.bins), dtype=np.uint8)
    embeddings = np.empty((SHARD, WINDOWS, 1024), dtype=np.uint8)
    for i in range(SHARD):
        samples = mixed.draw(rng)
        mels[i] = to_bytes(MEL(samples))
        for window in range(WINDOWS):
            first = window * STEP * MEL.hop
            embeddings[i, window] = teacher.embedding(samples[first : first + Teacher.SAMPLES])
    target = work / "mixtures" / pool / f"{number:04}.npz"
    partial = target.with_suffix(".partial.npz")
    np.savez(partial, mels=mels, embeddings=embeddings)
    partial.rename(target)
