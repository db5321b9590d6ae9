"""Step 6: figures of a stage's folder and of its teacher, on what neither stage nor head has heard.

- ``esc10``: after the stage "base" all 240 recordings, after "folds" the 80 of fold 3. Precision at n is that of the
  questions of ``benchmarks/esc10.py`` among the 10 nearest, or the 8 that there are of each class in one fold;
  zero-shot is the accuracy of the nearest class name; neighbour is how often the nearest recording of another source
  is of the same class.
- ``described``: held-out recordings, one of each description; recall at 5 and mean reciprocal rank of a description
  among them, mean of 20 draws of which take stands for a description.

The teacher is YAMNet with plain ConSE over the same text table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.esc10 import QUERIES
from embed import Media, encode, load
from embed.encoder import AudioInput, Encoder
from embed.encoders.student import StudentEncoder
from embed.space import unit
from training.starter.head import one_of_each
from training.starter.labels import encode_texts, retrieval, source_of
from training.starter.sounds import RATE, Sounds
from training.starter.student import trained

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Figures:
    """``n`` recordings; see the module's docstring."""

    n: int
    precision: float
    zero_shot: float
    neighbour: float
    described: int
    recall_at_5: float
    reciprocal_rank: float


def vectors(encoder: Encoder, sounds: Sounds, rows: list[int]) -> Matrix:
    """Unit vectors of whole recordings, the mean of their windows' where they are longer than one."""
    assert encoder.audio is not None and encoder.audio.rate == RATE
    out = []
    for row in rows:
        parts = [encoder.prepare(Media("audio", array=part, rate=RATE)) for part in windows(sounds[row], encoder.audio)]
        out.append(unit(encoder.encode_batch(parts)).mean(axis=0))
    return unit(np.stack(out))


def windows(samples: npt.NDArray[np.float32], cut: AudioInput) -> list[npt.NDArray[np.float32]]:
    size = len(samples) if cut.window is None else int(cut.window * RATE)
    starts = range(0, max(1, len(samples) - size + 1), size)
    return [samples[start : start + size] for start in starts]


def measure(encoder: Encoder, work: Path, stage: str) -> Figures:
    """The figures of an encoder of texts and audio."""
    sounds = Sounds.read(work)
    esc = [i for i, row in enumerate(sounds.rows) if row.set == "esc10" and (stage == "base" or row.pool == "rest")]
    truth = np.array([sounds.rows[i].name.split("/")[1] for i in esc])
    source = np.array([sounds.rows[i].name.split("-")[1] for i in esc])
    heard = vectors(encoder, sounds, esc)
    classes = sorted(QUERIES)
    of_each = 10 if stage == "base" else 8
    questions = encode(encoder, [Media.from_text(QUERIES[name]) for name in classes], query=True).array
    nearest = np.argsort(-(questions @ heard.T), axis=1, kind="stable")[:, :of_each]
    names = encode(encoder, [Media.from_text(name.replace("_", " ")) for name in classes], query=True).array
    likeness = heard @ heard.T
    likeness[source[:, None] == source[None]] = -2.0
    rest = [i for i, row in enumerate(sounds.rows) if row.real and row.pool == "rest" and row.set != "esc10"]
    texts = encode_texts(encoder, [source_of(sounds.rows[i].description) for i in rest])
    kept = [number for number in range(len(rest)) if texts[number].any()]
    described = vectors(encoder, sounds, [rest[number] for number in kept])
    texts = texts[kept]
    labels = [source_of(sounds.rows[rest[number]].description) for number in kept]
    draws = [one_of_each(labels, seed) for seed in range(20)]
    each = [retrieval(texts[one], described[one]) for one in draws]
    return Figures(
        len(esc),
        float(np.mean([truth[best] == name for best, name in zip(nearest, classes, strict=True)])),
        float(np.mean(np.array(classes)[(heard @ names.T).argmax(axis=1)] == truth)),
        float(np.mean(truth[likeness.argmax(axis=1)] == truth)),
        len(draws[0]),
        float(np.mean([found.recall for found in each])),
        float(np.mean([found.reciprocal_rank for found in each])),
    )


def teacher(work: Path, models: Path) -> Encoder:
    """YAMNet with plain ConSE over the starter's text table."""
    return load(
        {"family": "conse", "text": f"static:{work / 'text'}", "audio": f"tflite:{models / 'yamnet' / 'yamnet.tflite'}"}
    )


def run(work: Path, models: Path, stage: str) -> None:
    """Print the figures of a stage and of the teacher on the same recordings, and log them."""
    rows: dict[str, Any] = {
        "student": load(f"student:{work / f'folder-{stage}'}"),
        "teacher": teacher(work, models),
    }
    for name, encoder in rows.items():
        figures = measure(encoder, work, stage)
        print(f"after {stage}, {name:7}: {figures}", flush=True)
        with (work / "figures.jsonl").open("a") as log:
            log.write(json.dumps({"step": "evaluate", "stage": stage, "encoder": name} | figures.__dict__) + "\n")


def exported(work: Path, stage: str, *, count: int = 300) -> float:
    """The lowest cosine between the trained network's scores and those of the exported file, over recordings."""
    import torch

    student = load(f"student:{work / f'folder-{stage}'}")
    assert isinstance(student, StudentEncoder)
    sounds = Sounds.read(work)
    rows = [i for i, row in enumerate(sounds.rows) if row.real]
    network = trained(work, stage)
    lowest = 1.0
    for row in np.random.default_rng(0).choice(rows, count, replace=False):
        part = student.prepare(Media("audio", array=sounds[int(row)][: 10 * RATE], rate=RATE))
        with torch.inference_mode():
            wanted = torch.sigmoid(network.heads["scores"](network.windows(torch.from_numpy(part.array)[None])))[0]
        cosines = np.sum(unit(wanted.numpy()) * unit(student.windows(part)), axis=1)
        lowest = min(lowest, float(cosines.min()))
    with (work / "figures.jsonl").open("a") as log:
        log.write(json.dumps({"step": "export", "stage": stage, "n": count, "lowest_cosine": lowest}) + "\n")
    return lowest
