"""A small convolutional network over log-mel frames, what it is taught with, and the loop that teaches it.

Depthwise-separable convolutions (Howard et al., "MobileNets", 2017) with ReLU and batch normalisation, which folds into
the convolutions on export. The network is fully convolutional in time: a recording of any length goes through once,
however much its windows overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["Batch", "Network", "Shape", "Student", "fit"]

CHECKPOINT_EVERY: Final = 250  # steps
REPORT_EVERY: Final = 50

BLOCKS: Final = (
    *((48, 1, 1),),
    *((96, 2, 2), (96, 1, 1), (96, 1, 1)),
    *((192, 2, 2), (192, 1, 1), (192, 1, 1), (192, 1, 1), (192, 1, 1)),
    *((384, 1, 2), (384, 1, 1), (384, 1, 1)),
)


@dataclass(frozen=True)
class Shape:
    """``blocks`` are (channels out, stride in time, stride in frequency); ``features`` is the width of the last layer.

    Inputs are ``(batch, frames, bins)``; what comes out has one step for each ``step`` frames. The first layer has
    kernels of 7 x 7 and strides of 4.
    """

    bins: int = 64
    stem: int = 48
    blocks: tuple[tuple[int, int, int], ...] = BLOCKS
    features: int = 768

    @property
    def step(self) -> int:
        """Frames for each step that comes out."""
        return 4 * math.prod(time for _, time, _ in self.blocks)

    @property
    def bands(self) -> int:
        """Bands of frequency that are left before the last layer, which takes them all."""
        return self.bins // (4 * math.prod(band for _, _, band in self.blocks))


class _Separable(nn.Module):
    def __init__(self, channels: int, out: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.depth_norm = nn.BatchNorm2d(channels)
        self.point = nn.Conv2d(channels, out, 1, bias=False)
        self.point_norm = nn.BatchNorm2d(out)
        self.residual = stride == (1, 1) and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.depth_norm(self.depth(x)))
        y = self.point_norm(self.point(y))
        return torch.relu(y + x if self.residual else y)


class Network(nn.Module):
    """Log-mel ``(batch, frames, bins)`` to the features of each step, ``(batch, steps, features)``, all >= 0."""

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.bins))
        self.register_buffer("scale", torch.ones(shape.bins))
        self.stem = nn.Conv2d(1, shape.stem, 7, 4, 3, bias=False)
        self.stem_norm = nn.BatchNorm2d(shape.stem)
        blocks, channels = [], shape.stem
        for out, time, band in shape.blocks:
            blocks.append(_Separable(channels, out, (time, band)))
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2d(channels, shape.features, (1, shape.bands), bias=False)
        self.last_norm = nn.BatchNorm2d(shape.features)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, mels: Tensor) -> Tensor:
        x = ((mels - self.mean) * self.scale).unsqueeze(1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = torch.relu(self.stem_norm(self.stem(x)))
        x = torch.relu(self.last_norm(self.last(self.blocks(x))))
        return x.squeeze(3).transpose(1, 2)


@dataclass(frozen=True)
class Batch:
    """Frames ``(n, frames, bins)`` and what the teacher says of their windows, ``(n, windows, size)`` each.

    ``scores`` are probabilities of classes; ``embedding`` is what the teacher's features look like, of any length and
    direction; ``vector`` is the teacher's embedding itself. Each may be missing.
    """

    mels: Tensor
    scores: Tensor | None = None
    embedding: Tensor | None = None
    vector: Tensor | None = None


class Student(nn.Module):
    """A network and a linear head for each thing that it is taught: ``heads`` maps Batch's names to sizes.

    Features of a window are the mean over its ``window`` steps; windows start ``hop`` steps apart.
    """

    def __init__(self, shape: Shape, heads: Mapping[str, int], *, window: int, hop: int) -> None:
        super().__init__()
        self.network = Network(shape)
        self.heads = nn.ModuleDict({name: nn.Linear(shape.features, size) for name, size in heads.items()})
        self.window = window
        self.hop = hop
        if "scores" in self.heads:
            # Nearly all classes are nearly always absent: start from there.
            nn.init.constant_(self.heads["scores"].bias, -6.0)  # type: ignore[arg-type]

    def windows(self, mels: Tensor) -> Tensor:
        """Features ``(batch, windows, features)`` of the windows of ``(batch, frames, bins)``."""
        steps: Tensor = self.network(mels)
        return steps.unfold(1, self.window, self.hop).mean(dim=-1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the scores, summed over classes, and one minus the cosine of embedding and vector."""
        features = self.windows(batch.mels)
        losses: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            wanted = getattr(batch, name)
            if wanted is None:
                continue
            told = head(features)
            if name == "scores":
                each = nn.functional.binary_cross_entropy_with_logits(told, wanted, reduction="none")
                losses[name] = each.sum(dim=-1).mean()
            else:
                told = torch.relu(told) if name == "embedding" else told
                losses[name] = 1.0 - nn.functional.cosine_similarity(told, wanted, dim=-1).mean()
        return losses


def fit(
    student: Student,
    draw: Callable[[np.random.Generator], Batch],
    *,
    steps: int,
    rate: float,
    weights: Mapping[str, float],
    checkpoint: Path,
    report: Callable[[int, dict[str, float]], None],
    seed: int = 0,
    decay: float = 0.999,
    final: float = 0.02,
) -> Student:
    """Teach ``student`` for ``steps`` batches and give the average of its weights (exponential, ``decay``).

    AdamW with a short warm-up, then a cosine from ``rate`` to ``final * rate``. ``weights`` weigh the losses. A run
    that was stopped goes on from ``checkpoint``. ``report`` is called with the mean losses of the last steps.
    """
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    averaged = torch.optim.swa_utils.AveragedModel(student, multi_avg_fn=average, use_buffers=True)
    decayed = [p for p in student.parameters() if p.ndim > 1]
    plain = [p for p in student.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    start = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        student.load_state_dict(state["student"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        start = int(state["step"])
    warm = min(200, steps // 10)
    sums: dict[str, float] = {}
    student.train()
    for step in range(start, steps):
        pace = (step + 1) / warm if step < warm else final + (1 - final) * _cosine((step - warm) / max(1, steps - warm))
        for group in optimiser.param_groups:
            group["lr"] = rate * pace
        losses = student.loss(draw(np.random.default_rng([seed, step])))
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimiser.step()
        # The average follows quickly at first, or it would remember the random start.
        if step >= warm:
            averaged.update_parameters(student)
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach()) / REPORT_EVERY
        if (step + 1) % REPORT_EVERY == 0:
            report(step + 1, sums)
            sums = {}
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == steps:
            state = {
                "student": student.state_dict(),
                "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
            }
            partial = checkpoint.with_suffix(".partial")
            torch.save(state, partial)
            partial.replace(checkpoint)
    result = averaged.module
    assert isinstance(result, Student)
    return result.eval()


def _cosine(part: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, part)))


def as_tensor(array: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
