"""The loop that teaches a network: where it goes on, what it averages, that it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from embed.training import network
from embed.training.network import Batch, Shape, Student, fit

SHAPE = Shape(bins=16, stem=8, blocks=((8, 2, 2),), features=16)
FRAMES = 32
TARGETS = np.eye(4, dtype=np.float32)


def student(head: str = "vector", size: int = 4) -> Student:
    torch.manual_seed(0)
    return Student(SHAPE, {head: size}, window=FRAMES // SHAPE.step, hop=1)


def task(rng: np.random.Generator) -> Batch:
    """Which quarter of the bands is loud."""
    kinds = rng.integers(4, size=16)
    mels = rng.standard_normal((16, FRAMES, 4, 4)).astype(np.float32)
    mels[np.arange(16), :, kinds] += 2.0
    wanted = TARGETS[kinds][:, None]
    return Batch(torch.from_numpy(mels.reshape(16, FRAMES, 16)), vector=torch.from_numpy(wanted))


def taught(checkpoint: Path, draw: Any = task, steps: int = 24, **options: Any) -> tuple[Student, list[float]]:
    losses: list[float] = []
    made = fit(
        student(),
        draw,
        steps=steps,
        rate=5e-3,
        weights={"vector": 1.0},
        checkpoint=checkpoint,
        report=lambda _, told: losses.append(told["vector"]),
        **options,
    )
    return made, losses


def state(made: Student) -> dict[str, npt.NDArray[Any]]:
    return {name: value.numpy().copy() for name, value in made.state_dict().items()}


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CHECKPOINT_EVERY", 5)
    whole = state(taught(tmp_path / "whole.pt")[0])
    drawn = 0

    def dying(rng: np.random.Generator) -> Batch:
        nonlocal drawn
        drawn += 1
        if drawn == 13:
            raise KeyboardInterrupt
        return task(rng)

    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path / "killed.pt", dying)
    drawn = 100
    again = state(taught(tmp_path / "killed.pt", dying)[0])
    assert drawn == 100 + 24 - 10  # from the last checkpoint on
    assert whole.keys() == again.keys()
    for name in whole:
        assert np.array_equal(whole[name], again[name]), name
    started = state(student())
    assert any(np.abs(whole[name] - started[name]).max() > 1e-3 for name in whole)


def test_a_finished_run_is_not_taught_again(tmp_path: Path) -> None:
    first = state(taught(tmp_path / "c.pt")[0])

    def never(rng: np.random.Generator) -> Batch:
        raise AssertionError("nothing is left to learn")

    again = state(taught(tmp_path / "c.pt", never)[0])
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "REPORT_EVERY", 10)
    made, losses = taught(tmp_path / "c.pt", steps=120, decay=0.9)
    assert len(losses) == 12
    assert losses[0] > 0.3 > 0.05 > losses[-1]
    batch = task(np.random.default_rng(99))
    with torch.inference_mode():
        told = made.heads["vector"](made.windows(batch.mels))[:, 0]
    assert batch.vector is not None
    assert (told.argmax(-1) == batch.vector[:, 0].argmax(-1)).float().mean() > 0.95


def test_the_average_follows_its_formula(tmp_path: Path) -> None:
    """avg <- decay * avg + (1 - decay) * weights after each step; the first step's weights begin it."""
    name = "network.stem.weight"
    seen: list[npt.NDArray[np.float64]] = []
    held: list[Student] = []
    original = Student.loss

    def watched(self: Student, batch: Batch) -> Any:
        held.append(self)
        seen.append(self.state_dict()[name].double().numpy().copy())
        return original(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Student, "loss", watched)
        made, _ = taught(tmp_path / "c.pt", steps=6, decay=0.7)
    seen.append(held[-1].state_dict()[name].double().numpy())
    average = seen[1]
    for weights in seen[2:]:
        average = 0.7 * average + 0.3 * weights
    assert np.abs(seen[-1] - average).max() > 1e-4
    assert np.abs(made.state_dict()[name].double().numpy() - average).max() < 1e-6


def test_losses_by_hand() -> None:
    made = Student(SHAPE, {"scores": 3, "embedding": 5, "vector": 4}, window=2, hop=1).eval()
    rng = np.random.default_rng(0)
    mels = torch.from_numpy(rng.standard_normal((2, FRAMES, 16)).astype(np.float32))
    scores = rng.random((2, 3, 3)).astype(np.float32)
    embedding, vector = rng.random((2, 3, 5)).astype(np.float32), rng.standard_normal((2, 3, 4)).astype(np.float32)
    with torch.inference_mode():
        steps = made.network(mels).numpy().astype(np.float64)
        found = made.loss(Batch(mels, *(torch.from_numpy(one) for one in (scores, embedding, vector))))
    assert steps.shape == (2, 4, 16)
    features = np.stack([(steps[:, i] + steps[:, i + 1]) / 2 for i in range(3)], axis=1)
    told = {
        name: features @ head.weight.detach().numpy().T + head.bias.detach().numpy()  # type: ignore[union-attr,operator]
        for name, head in made.heads.items()
    }
    p = 1 / (1 + np.exp(-told["scores"]))
    entropy = -(scores * np.log(p) + (1 - scores) * np.log(1 - p)).sum(-1).mean()
    assert float(found["scores"]) == pytest.approx(entropy, rel=1e-5)
    for name, wanted, said in (
        ("embedding", embedding, np.maximum(told["embedding"], 0)),
        ("vector", vector, told["vector"]),
    ):
        cosines = (wanted * said).sum(-1) / np.linalg.norm(wanted, axis=-1) / np.linalg.norm(said, axis=-1)
        assert float(found[name]) == pytest.approx(1 - cosines.mean(), rel=1e-5)
