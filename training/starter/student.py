"""Step 4: teach the network in stages, each from where the one before it ended."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from embed.training.mixing import from_bytes
from embed.training.network import Batch, Shape, Student, as_tensor, fit
from training.starter.mixtures import FRAMES, MEL, STEP, WINDOW, Teacher

BATCH: Final = 32
OPEN: Final = 24  # shards in memory at once
RENEW: Final = 60  # steps until one of them is replaced
LOSSES: Final = {"scores": 1.0, "embedding": 10.0}


@dataclass(frozen=True)
class Stage:
    """``pools`` maps a pool of mixtures to its share of each batch."""

    name: str
    pools: dict[str, float]
    steps: int
    rate: float
    final: float


STAGES: Final = (
    Stage("base", {"base": 1.0}, 8000, 2e-3, 0.1),
    Stage("folds", {"base": 0.6, "folds": 0.4}, 1500, 8e-4, 0.05),
    Stage("all", {"base": 0.45, "folds": 0.2, "rest": 0.25, "synthesis": 0.1}, 8000, 1e-3, 0.02),
    Stage("more", {"base": 0.45, "folds": 0.2, "rest": 0.25, "synthesis": 0.1}, 5000, 7e-4, 0.01),
)
MEASURED: Final = "folds"  # the last stage that has not heard what is held out


class Drawer:
    """Draws batches from the shards of some pools, of which a few are open at a time."""

    def __init__(self, work: Path, teacher: Teacher, pools: dict[str, float], seed: int) -> None:
        self.work, self.pools, self.teacher = work, pools, teacher
        weights, biases = teacher.head
        self.weights, self.biases = torch.from_numpy(weights.T.copy()), torch.from_numpy(biases)
        self._rng = np.random.default_rng(seed)
        self._open: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {pool: [] for pool in pools}
        self._count = 0

    def __call__(self, rng: np.random.Generator) -> Batch:
        if self._count % RENEW == 0:
            self._renew()
        self._count += 1
        names = sorted(self.pools)
        counts = rng.multinomial(BATCH, [self.pools[name] for name in names])
        mels, embeddings = [], []
        for name, count in zip(names, counts, strict=True):
            for _ in range(count):
                shard = self._open[name][int(rng.integers(len(self._open[name])))]
                row = int(rng.integers(len(shard[0])))
                mels.append(shard[0][row])
                embeddings.append(shard[1][row])
        frames = as_tensor(from_bytes(np.stack(mels)))
        embedding = as_tensor(np.stack(embeddings)).float() * self.teacher.scale
        scores = torch.sigmoid(embedding @ self.weights + self.biases)
        return Batch(frames, scores=scores, embedding=embedding)

    def _renew(self) -> None:
        for name, share in self.pools.items():
            keep = max(2, round(OPEN * share))
            shards = self._open[name]
            there = [p for p in sorted((self.work / "mixtures" / name).glob("*.npz")) if ".partial" not in p.name]
            while True:
                path = there[int(self._rng.integers(len(there)))]
                with np.load(path) as file:
                    shards.append((file["mels"], file["embeddings"]))
                if len(shards) > keep:
                    shards.pop(0)
                    break
                if len(shards) == keep:
                    break


def network() -> Student:
    """The student before it has learnt anything: windows of the teacher's 96 frames, half a window apart."""
    shape = Shape(bins=MEL.bins)
    return Student(shape, {"scores": 521, "embedding": 1024}, window=WINDOW // shape.step, hop=STEP // shape.step)


def trained(work: Path, stage: str) -> Student:
    """The student as a finished stage left it."""
    student = network()
    student.load_state_dict(torch.load(work / f"student-{stage}.pt", weights_only=True))
    return student.eval()


def run(work: Path, teacher: Path, *, seed: int = 0, only: str | None = None) -> None:
    """Run the stages that have no result yet."""
    torch.manual_seed(seed)
    ear = Teacher(teacher)
    before: str | None = None
    for number, stage in enumerate(STAGES):
        target = work / f"student-{stage.name}.pt"
        if not target.is_file() and only in (None, stage.name):
            student = network() if before is None else trained(work, before)
            drawer = Drawer(work, ear, stage.pools, seed + number)
            if before is None:
                mels = torch.cat([drawer(np.random.default_rng(i)).mels for i in range(16)]).reshape(-1, MEL.bins)
                student.network.mean.copy_(mels.mean(0))
                student.network.scale.copy_(1.0 / mels.std(0))
            started = time.time()

            def report(step: int, losses: dict[str, float], name: str = stage.name, since: float = started) -> None:
                told = {"stage": name, "step": step, "seconds": round(time.time() - since), **losses}
                with (work / "student.jsonl").open("a") as log:
                    log.write(json.dumps(told) + "\n")

            taught = fit(
                student,
                drawer,
                steps=stage.steps,
                rate=stage.rate,
                final=stage.final,
                weights=LOSSES,
                checkpoint=work / f"checkpoint-{stage.name}.pt",
                report=report,
                seed=seed + number,
            )
            torch.save(taught.state_dict(), target)
        before = stage.name


assert FRAMES % STEP == 0
