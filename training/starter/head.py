"""Step 5: the classes' points in the text space, and the folder that the ``student`` family reads.

A class starts as the mean of its texts (``labels.csv``). Then all points are moved a little, so that what the student
hears in a recording of the stage's pools comes closer to the recording's description than to those of others
(InfoNCE in both directions; van den Oord et al. 2018), held by the squared distance from where they started. How far
was chosen on groups of recordings that the choice left out; none of them is among those that the figures are taken on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import Media, load
from embed.encoders.student import StudentEncoder
from embed.space import unit
from embed.training.export import export
from training.starter.labels import class_vectors, encode_texts, read_texts, retrieval, source_of
from training.starter.mixtures import MEL, STEP, WINDOW
from training.starter.sounds import RATE, Sounds, group, pools_of
from training.starter.student import trained

TOP: Final = 20
CORRECTION: Final = 0.5
SILENCE: Final = 494  # of YAMNet's classes
TEMPERATURE: Final = 0.1
BATCH: Final = 256
EPOCHS: Final = 8
HOLDS: Final = (0.003, 0.01, 0.03, 0.1, 1.0)
FLOOR: Final = 1e-4  # of a class's mean score
TEXT: Final = "text"

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Described:
    """Recordings with descriptions: what each class counts in one, its description's vector, and its group."""

    weights: npt.NDArray[np.float64]
    texts: Matrix
    groups: list[str]
    names: list[str]

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Described:
        at = np.flatnonzero(chosen)
        return Described(self.weights[at], self.texts[at], [self.groups[i] for i in at], [self.names[i] for i in at])


def run(work: Path, stage: str, *, seed: int = 0) -> Path:
    """Write the folder of the student of a stage, and return it. It encodes, but is not compared to anything yet."""
    folder = work / f"folder-{stage}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(work / TEXT, folder / "text", dirs_exist_ok=True)
    export(trained(work, stage), "scores", folder / "audio.onnx")
    text = load(f"static:{folder / 'text'}")
    points = class_vectors(text, read_texts())
    settings: dict[str, Any] = {
        "format": 1,
        "kind": "scores",
        "text": "static:text",
        "mel": MEL.to_config(),
        "frames": WINDOW,
        "step": STEP,
        "window": 10.0,
        "pool": "max",
        "top": TOP,
        "whole": [SILENCE],
        "correction": CORRECTION,
    }
    (folder / "student.json").write_text(json.dumps(settings, indent=1) + "\n")
    save_classes(folder, points, np.ones(len(points)))
    student = load(f"student:{folder}")
    assert isinstance(student, StudentEncoder)
    sounds = Sounds.read(work)
    rows = [i for i, row in enumerate(sounds.rows) if row.real and row.pool in pools_of(stage)]
    names = [source_of(sounds.rows[i].description) for i in rows]
    texts = encode_texts(text, names)
    kept = np.flatnonzero(texts.any(axis=1))  # the others have no word that the table knows
    scores = np.stack([hear(student, sounds[rows[i]]) for i in kept])
    prior = np.maximum(scores.mean(axis=0, dtype=np.float64), FLOOR)
    save_classes(folder, points, prior)
    student = load(f"student:{folder}")
    assert isinstance(student, StudentEncoder)
    groups = [group(sounds.rows[rows[i]].set, sounds.rows[rows[i]].description) for i in kept]
    heard = Described(student.weigh(scores), texts[kept], groups, [names[i] for i in kept])
    save_classes(folder, moved(heard, points, choose(heard, points, work, stage, seed), seed), prior)
    return folder


def save_classes(folder: Path, vectors: npt.NDArray[np.floating[Any]], prior: npt.NDArray[np.floating[Any]]) -> None:
    from safetensors.numpy import save_file

    tensors = {"vectors": unit(vectors).astype(np.float16), "prior": prior.astype(np.float32)}
    save_file(tensors, folder / "classes.safetensors")


def hear(student: StudentEncoder, samples: npt.NDArray[np.float32]) -> Matrix:
    """The student's scores of a whole recording, at most its first 30 seconds, ``(classes,)``."""
    part = student.prepare(Media("audio", array=samples[: 30 * RATE], rate=RATE))
    return student.scores([part])[0]


def choose(heard: Described, points: Matrix, work: Path, stage: str, seed: int) -> float:
    """How strongly points are held: the best mean reciprocal rank on a fifth of the groups, learnt on the others."""
    left = np.array(
        [int.from_bytes(hashlib.blake2b(g.encode(), digest_size=4).digest()) % 5 == 1 for g in heard.groups]
    )
    learn, test = heard.subset(~left), heard.subset(left)
    found = {}
    for hold in (float("inf"), *HOLDS):
        classes = points if np.isinf(hold) else moved(learn, points, hold, seed)
        told = unit(test.weights @ classes)
        draws = [one_of_each(test.names, draw) for draw in range(20)]
        each = [retrieval(test.texts[one], told[one]) for one in draws]
        found[hold] = float(np.mean([one.reciprocal_rank for one in each]))
        line = {
            "step": "head",
            "stage": stage,
            "hold": str(hold),
            "n": len(draws[0]),
            "reciprocal_rank": round(found[hold], 4),
        }
        line["recall_at_5"] = round(float(np.mean([one.recall for one in each])), 4)
        with (work / "figures.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
    return max(HOLDS, key=lambda hold: found[hold])


def one_of_each(names: list[str], seed: int) -> npt.NDArray[np.int64]:
    """Row numbers, one at random for each name."""
    rows: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        rows.setdefault(name, []).append(number)
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(rows[name]) for name in sorted(rows)])


def moved(heard: Described, points: Matrix, hold: float, seed: int) -> Matrix:
    """The classes' points after learning, unit rows."""
    import torch
    from torch.nn import functional

    told = torch.from_numpy(heard.weights).float()
    told = told / told.sum(dim=1, keepdim=True)
    texts, start = torch.from_numpy(heard.texts), torch.from_numpy(points)
    vectors = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([vectors], lr=3e-3)
    rng = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        order = rng.permutation(len(texts))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            rows = torch.from_numpy(order[first : first + BATCH])
            logits = functional.normalize(told[rows] @ vectors, dim=1) @ texts[rows].T / TEMPERATURE
            same = (texts[rows] @ texts[rows].T > 0.98).float()  # takes of one source have one description
            wanted = same / same.sum(dim=1, keepdim=True)
            apart = -(wanted * logits.log_softmax(dim=1)).sum(dim=1) - (wanted * logits.T.log_softmax(dim=1)).sum(dim=1)
            loss = apart.mean() + hold * (vectors - start).square().sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return unit(vectors.detach().numpy())
