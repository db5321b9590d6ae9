"""How interrogation is set: further phrases, phrases near to everything, and what --against takes off.

    OMP_NUM_THREADS=1 python benchmarks/interrogation_settings.py --data ../shared/data/recordings --encoder starter

On recordings with descriptions, none of ESC-10's. Each variant's prompt is compared with the recording's own
description by a text encoder that took no part (--judge): the mean cosine and a bootstrap interval of 95 % over
recordings. The defaults of ``analogon.prompts.interrogation`` were chosen on such recordings, so that the figures are
no test of them; the starter has learnt from these recordings. The baseline is one phrase alone, and beside each figure
stands how like another recording's description the prompt is.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analogon.phrases import kinds
from analogon.prompts.interrogation import LIMIT, MIN_GAIN, Bank, interrogate
from analogon.vectors.geometry import reject, unit
from analogon.vectors.measure import bootstrap
from embed import Media, encode, load
from embed.encoder import Encoder


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with recordings.csv")
    parser.add_argument("--encoder", required=True, help="an encoder of texts and audio")
    parser.add_argument("--judge", default="sentence", help="an encoder of texts that compares with descriptions")
    parser.add_argument("-n", type=int, default=200, help="recordings, each with a description of its own")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    random = np.random.default_rng(arguments.seed)
    with (arguments.data / "recordings.csv").open(encoding="utf-8", newline="") as file:
        short = [row for row in csv.DictReader(file) if float(row["seconds"]) <= 30]
    by_description = {row["description"].rstrip("0123456789 ").lower(): row for row in short}
    every = [by_description[key] for key in sorted(by_description)]
    rows = [every[at] for at in random.permutation(len(every))[: arguments.n]]
    encoder, judge = load(arguments.encoder), load(arguments.judge)
    clips = encode(encoder, [Media.from_path(arguments.data / row["file"]) for row in rows]).array
    said = encode(judge, [Media.from_text(row["description"]) for row in rows]).array
    bank = Bank.of(encoder, kinds("audio"))
    print(f"{encoder.space.model}, judged by {judge.space.model}; {len(rows)} recordings, seed {arguments.seed}")
    print("like its own description (like another's)")

    def measure(
        label: str, targets: np.ndarray, others: Sequence[int], limit: int = LIMIT, min_gain: float = MIN_GAIN
    ) -> None:
        texts = [
            interrogate(encoder, row, bank, limit=limit, min_gain=min_gain).text if row.any() else "" for row in targets
        ]
        show(label, texts, judge, said, others)

    another = random.permutation(len(rows))
    another = np.where(another == np.arange(len(rows)), (another + 1) % len(rows), another)
    for limit in (1, 3, 8):
        measure(f"{limit} phrases, any gain", clips, another, limit=limit, min_gain=0.0)
    for least in (0.02, 0.04, 0.08):
        measure(f"each gains {least:.0%} at least", clips, another, min_gain=least)
    for share in (0.5, 1.0):
        for what, mean in {"phrases": bank.rows.mean(axis=0), "recordings": clips.mean(axis=0)}.items():
            measure(f"{share:g} of the mean of all {what} off", unit(clips - share * mean), another)
    alike = clips @ clips.T
    np.fill_diagonal(alike, -1)
    nearest = alike.argmax(axis=1)
    held = clips[nearest]
    print("against the nearest other recording: like its own description (like the other's)")
    measure("nothing taken off", clips, nearest)
    measure("the other's direction out", np.stack([reject(a, b) for a, b in zip(clips, held, strict=True)]), nearest)
    measure("the whole other off", unit(clips - held), nearest)


def show(label: str, texts: Sequence[str], judge: Encoder, said: np.ndarray, others: Sequence[int]) -> None:
    """Print how like prompts are to their own descriptions, and to those of the others."""
    rows = encode(judge, [Media.from_text(text or ".") for text in texts]).array
    own, other = (rows * said).sum(axis=1), (rows * said[others]).sum(axis=1)
    interval = bootstrap(own)
    count = np.mean([len(text.split(", ")) for text in texts])
    print(
        f"  {own.mean():.3f} ({interval.low:.3f}-{interval.high:.3f})  ({other.mean():.3f})  own nearer "
        f"{np.mean(own > other):.2f}  {count:.1f} phrases  {label}",
        flush=True,
    )


if __name__ == "__main__":
    main()
