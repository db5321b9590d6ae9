"""The starter's model card: what it is, what it has learnt from, and every figure, from the log of the steps."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from safetensors import safe_open

from training.starter.mixtures import SHARD
from training.starter.sounds import RATE, Sounds
from training.starter.student import BATCH, MEASURED, STAGES, trained

INTRODUCTION = """# starter: the space that comes with analogon

A small encoder of texts and sounds for a machine that can reach no model hub: {size:.0f} MB, numpy and ONNX
Runtime, no torch.

- **Texts**: a static table of token embeddings ({tokens:,} tokens, {dim} dimensions, int8), distilled from
  all-MiniLM-L6-v2 (Apache-2.0): each token encoded in five short contexts, principal components, SIF weights.
- **Sounds**: a depthwise-separable convolutional network ({network:.2f} M parameters, float16 on disk,
  {scores:.2f} M more for its scores) over 64 log-mel bands. It has learnt YAMNet's 521 scores and 1,024-d embedding
  (Apache-2.0; AudioSet's classes); the weights are our own. Scores become a point of the text space as in ConSE
  (Norouzi et al. 2014), over points of the classes that start from texts which we wrote and were moved towards the
  descriptions of recordings.

## What it knows, and what it does not

It knows everyday sounds in YAMNet's classes: animals, weather, vehicles, tools, household, alarms, speech, instruments.
It knows no speakers, languages, spoken words, melodies, keys or tempo, nor fine differences within a class (a bus from
a truck, a Rhodes from a Wurlitzer). Steady noises (rain, surf, an engine far away) are mistaken for each other most.
Texts are bags of words: "no traffic" is about traffic. It hears no pictures. For quality take CLAP.

The best hit of a text counts as not confident below a cosine of {threshold:.2f}: see the last table.

## Figures

Measured on recordings that the network, the head and the text table had not learnt from. The sources of `recordings`
are split by groups (all takes of one source together); {held} recordings were held out until the last stage. ESC-10's
figures guided the choice of the head's settings (`top`, `correction`, silence), so they are a little optimistic. What
is shipped has heard everything below, so that nothing here is left to measure it on.

Teacher: YAMNet with plain ConSE over the same text table. Chance is 0.10 for ESC-10.
"""


def text(work: Path) -> str:
    """The card in Markdown, with the figures that the steps logged last."""
    last: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in (work / "figures.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        last[record["step"], record.get("stage"), record.get("encoder"), record.get("hold")] = record
    sounds = Sounds.read(work)
    calibration = last["calibrate", MEASURED, None, None]
    exported = last["export", STAGES[-1].name, None, None]
    held = sum(row.pool == "rest" and row.real and row.set != "esc10" for row in sounds.rows)
    parts = [
        INTRODUCTION.format(threshold=calibration["threshold"], held=held, **_sizes(work)),
        "| after learning from | ESC-10 | precision at n | zero-shot | nearest neighbour of another source "
        "| descriptions: recall at 5 | MRR |\n|---|---|---|---|---|---|---|",
    ]
    heard = {"base": "no ESC-10", "folds": "ESC-10's folds 1 and 2"}
    for stage, named in heard.items():
        for encoder in ("student", "teacher"):
            one = last["evaluate", stage, encoder, None]
            at = 10 if stage == "base" else 8
            parts.append(
                f"| {named if encoder == 'student' else 'the teacher, on the same'} "
                f"| {'all' if stage == 'base' else 'fold 3'}, n = {one['n']} "
                f"| {one['precision']:.3f} (n = {at}) | {one['zero_shot']:.3f} | {one['neighbour']:.3f} "
                f"| {one['recall_at_5']:.3f} of {one['described']} (chance {5 / one['described']:.3f}) "
                f"| {one['reciprocal_rank']:.3f} |"
            )
    parts.append(
        "\nPrecision is of one question for each class among the n nearest (a class has 8 recordings in one fold). "
        "Descriptions: each of the held-out sources' descriptions is to find its recording among them.\n\n"
        "## Not confident\n\n"
        "Held-out descriptions asked of a hundred held-out recordings, with and without answers among them. The two "
        "errors are those of thresholds taken on one half of the descriptions and counted on the other.\n\n"
        "| threshold | doubted although right | not doubted although nothing there | area under the curve | asked |\n"
        "|---|---|---|---|---|\n"
        f"| {calibration['threshold']:.3f} | {calibration['false_alarms']:.2f} | {calibration['misses']:.2f} "
        f"| {calibration['separation']:.2f} | {calibration['right']} and {calibration['absent']} |\n\n"
        "In a much larger collection more of what is not there will look as if it were.\n\n"
        f"The exported network's scores have a cosine of {exported['lowest_cosine']:.6f} or more with the trained "
        f"one's, over {exported['n']} recordings.\n\n"
        "## Recipe\n\n"
        "`python -m training.starter all --data DATA --models MODELS --work WORK`, seed 0, on two cores. Mixtures of "
        "1.9 s (one to three sounds, levels, speeds, rooms, equalisers), three windows of the teacher each, AdamW, "
        "cosine schedule, exponential average of the weights.\n\n"
        "| stage | mixtures of | steps of "
        f"{BATCH} mixtures | windows seen |\n|---|---|---|---|"
    )
    for stage in STAGES:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in stage.pools.items())
        parts.append(f"| {stage.name} | {shares} | {stage.steps:,} | {stage.steps * BATCH * 3:,} |")
    pools = {path.name: SHARD * len(list(path.glob("????.npz"))) for path in sorted((work / "mixtures").iterdir())}
    parts.append(
        "\nMixtures made: "
        + ", ".join(f"{name} {count:,}" for name, count in pools.items())
        + ".\n\n## Data and credits\n"
    )
    parts += credits(sounds)
    return "\n".join(parts) + "\n"


def _sizes(work: Path) -> dict[str, float]:
    """Megabytes of the student's folder, tokens and dimensions of the table, millions of parameters."""
    folder = work / f"folder-{STAGES[-1].name}"
    table = safe_open(folder / "text" / "model.safetensors", "numpy").get_slice("embeddings").get_shape()
    student = trained(work, STAGES[-1].name)
    return {
        "size": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6,
        "tokens": table[0],
        "dim": table[1],
        "network": sum(one.numel() for one in student.network.parameters()) / 1e6,
        "scores": sum(one.numel() for one in student.heads["scores"].parameters()) / 1e6,
    }


def credits(sounds: Sounds) -> list[str]:
    """How much of each set there is, and its authors with their licences; ``CREDITS.csv`` has every recording."""
    minutes: dict[str, float] = defaultdict(float)
    by: dict[str, set[str]] = defaultdict(set)
    for row in sounds.rows:
        minutes[row.set] += row.length / RATE / 60
        by[row.set].add(row.credit.rsplit(", ", 1)[0] if row.set not in ("esc10", "sonic-pi") else row.credit)
    lines = ["| set | minutes | authors and licences |", "|---|---|---|"]
    for name in sorted(minutes):
        several = sorted(by[name])
        told = "; ".join(several) if len(several) <= 5 else f"{len(several)} authors or recordings: see CREDITS.csv"
        lines.append(f"| {name} | {minutes[name]:.1f} | {told} |")
    return lines


def write_credits(work: Path, output: Path) -> None:
    """``CREDITS.csv``: every recording that was learnt from, with author, licence and source."""
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "description", "credit"])
        writer.writerows((row.name, row.description, row.credit) for row in Sounds.read(work).rows if row.real)
