"""Step 7: below which cosine is the best hit of a text not to be trusted? Measured on held-out recordings.

A description is asked of a hundred held-out recordings twice: with its own recording and all that are described alike,
and without them. The threshold lies so that a fixed part of right answers is below it. Its false alarms and misses are
those of a threshold taken on one half of the descriptions (by a hash of their group) and counted on the other, for both
halves in turn.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from embed import load
from embed.encoders.student import StudentEncoder
from training.starter.evaluate import vectors
from training.starter.labels import encode_texts, source_of
from training.starter.sounds import Sounds, group

COLLECTION: Final = 100
DRAWS: Final = 5  # collections for each description
ALIKE: Final = 0.5  # cosine of two descriptions from which on a recording counts as an answer
FALSE_ALARMS: Final = 0.20


@dataclass(frozen=True)
class Calibration:
    """``false_alarms``: doubted although the best hit was an answer; ``misses``: not doubted though there was none.

    ``separation`` is the probability that the best hit of a question with an answer scores higher than that of one
    without (the area under the curve). ``right`` and ``absent`` are how many of each were asked.
    """

    threshold: float
    separation: float
    false_alarms: float
    misses: float
    right: int
    absent: int


def run(work: Path, stage: str, *, seed: int = 0) -> Calibration:
    """Measure after the stage "base" or "folds", whose student has not heard the held-out groups."""
    student = load(f"student:{work / f'folder-{stage}'}")
    assert isinstance(student, StudentEncoder)
    sounds = Sounds.read(work)
    rest = [i for i, row in enumerate(sounds.rows) if row.real and row.pool == "rest" and row.set != "esc10"]
    texts = encode_texts(student, [source_of(sounds.rows[i].description) for i in rest])
    kept = [number for number in range(len(rest)) if texts[number].any()]
    texts = texts[kept]
    groups = np.array([group(sounds.rows[rest[n]].set, sounds.rows[rest[n]].description) for n in kept])
    cosines = texts @ vectors(student, sounds, [rest[number] for number in kept]).T
    answers = (texts @ texts.T >= ALIKE) | (groups[:, None] == groups[None])
    half = np.array([hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % 2 == 0 for name in groups])
    rng = np.random.default_rng(seed)
    asked: dict[str, int] = {}
    for number in rng.permutation(len(groups)):
        asked.setdefault(str(groups[number]), int(number))
    right: dict[bool, list[float]] = {True: [], False: []}
    absent: dict[bool, list[float]] = {True: [], False: []}
    for number in asked.values():
        side = bool(half[number])
        own = float(cosines[number, answers[number]].max())
        for _ in range(DRAWS):
            others = rng.choice(np.flatnonzero(~answers[number]), COLLECTION, replace=False)
            best = float(cosines[number, others].max())
            absent[side].append(best)
            if own >= best:
                right[side].append(own)
    yes, no = (np.array(side[True] + side[False]) for side in (right, absent))
    false_alarms = misses = 0
    for taken in (True, False):
        threshold = np.quantile(right[taken], FALSE_ALARMS)
        false_alarms += int(np.sum(np.array(right[not taken]) < threshold))
        misses += int(np.sum(np.array(absent[not taken]) >= threshold))
    found = Calibration(
        round(float(np.quantile(yes, FALSE_ALARMS)), 3),
        float(np.mean(yes[:, None] > no[None])),
        false_alarms / len(yes),
        misses / len(no),
        len(yes),
        len(no),
    )
    with (work / "figures.jsonl").open("a") as log:
        log.write(json.dumps({"step": "calibrate", "stage": stage} | asdict(found)) + "\n")
    return found


def write(folder: Path, found: Calibration) -> None:
    """Put a threshold into a student's folder."""
    file = folder / "student.json"
    settings = json.loads(file.read_text("utf-8")) | {"least": found.threshold}
    file.write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
