"""A small random network in the format of the student family, beside a static text table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embed.logmag import LogMagnitudes
from tests.embed.encoders import tiny_static
from tests.embed.encoders.tiny import scatter

if TYPE_CHECKING:
    from embed.training.network import Student

REFUSES = ("blank",)
MEL = LogMagnitudes(bins=32)
CLASSES = 12
DIM = 24
FRAMES, STEP = 32, 16  # of the network's windows


def network(head: str = "scores", size: int = CLASSES) -> Student:
    """With normalisations as if it had been taught, so that folding them matters."""
    import torch

    from embed.training.network import Shape, Student

    shape = Shape(bins=MEL.bins, stem=8, blocks=((8, 1, 1), (12, 2, 2), (12, 1, 1)), features=16)
    student = scatter(Student(shape, {head: size}, window=FRAMES // shape.step, hop=STEP // shape.step), 5, 2.0)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for name, values in student.named_buffers():
            if name.endswith("running_mean"):
                values.copy_(torch.randn(values.shape, generator=generator) * 0.3)
            elif name.endswith("running_var"):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
        student.network.mean.fill_(-3.0)
        student.network.scale.fill_(0.5)
    return student


def build(folder: Path, kind: str = "scores", **changes: Any) -> str:
    """``changes`` are put into ``student.json``."""
    from safetensors.numpy import save_file

    from embed.training.export import export

    (folder / "text").mkdir()
    tiny_static.build(folder / "text")
    export(network(kind, CLASSES if kind == "scores" else DIM), kind, folder / "audio.onnx")
    settings = {
        "format": 1,
        "kind": kind,
        "text": "static:text",
        "mel": MEL.to_config(),
        "frames": FRAMES,
        "step": STEP,
        "window": 0.6,
        "top": 4,
    }
    (folder / "student.json").write_text(json.dumps(settings | changes))
    if kind == "scores":
        rng = np.random.default_rng(7)
        vectors = rng.standard_normal((CLASSES, DIM)).astype(np.float32)
        prior = rng.uniform(0.01, 0.5, CLASSES).astype(np.float32)
        save_file({"vectors": vectors, "prior": prior}, folder / "classes.safetensors")
    return f"student:{folder}"
