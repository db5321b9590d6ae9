"""How long a text query takes from a cold start, in new processes: with torch, and with exported ONNX files.

    python benchmarks/cold.py
    python benchmarks/cold.py --only clip --rounds 9

Each query is ``analogon search "dog barking" --by content`` on a collection of a few files, in a process of its own;
the two ways take turns, so that what else the machine does falls on both. Models have the sizes of
laion/clap-htsat-unfused and openai/clip-vit-base-patch32, random weights, and tokenizers of as many tokens and merges:
speed does not depend on what they learned. Weights are in the page cache. The files that the first run of ``index``
exports are timed as well. Exits with 1 where the two ways give other hits.

Beside the time on the clock stands that of the processors. A query has little to wait for, and runs on more than one
thread for a moment only: where the clock says far more than the processors, others had them, and the figure is marked.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.indexing import Clap, Clip, Model
from tests.embed.encoders import tiny

QUERY: Final = "dog barking"
GOAL: Final = 1.0
BUSY: Final = 1.25  # times the processors' time that the clock may say on a quiet machine
SAME: Final = 2e-3  # of scores that are printed with three digits after the point
FILES: Final = 4
TOKENS: Final = {"clap": 50265, "clip": 49408}


@dataclass(frozen=True, slots=True)
class Timing:
    """One process: seconds by the clock, and of processor time."""

    wall: float
    processor: float


def full_tokenizer(family: str, seed: int = 0) -> Any:
    """A tokenizer with as many tokens as the published one, most of them random joins of others."""
    from transformers import CLIPTokenizer, RobertaTokenizer

    small = tiny.clip_bpe() if family == "clip" else tiny.byte_level_bpe(512)
    description = json.loads(small.backend_tokenizer.to_str())
    merges = [tuple(pair) for pair in description["model"]["merges"]]
    special = set(small.all_special_tokens)
    tokens = [token for token, _ in sorted(small.get_vocab().items(), key=lambda pair: pair[1]) if token not in special]
    parts = [token for token in tokens if not token.endswith("</w>")]
    known, random = set(tokens), np.random.default_rng(seed)
    while len(tokens) + len(special) < TOKENS[family]:
        first = parts[random.integers(len(parts))]
        second = tokens[random.integers(len(tokens))] if family == "clip" else parts[random.integers(len(parts))]
        joined = first + second
        if len(joined) > 12 or joined in known or second.startswith("Ġ"):
            continue
        known.add(joined)
        tokens.append(joined)
        merges.append((first, second))
        if not joined.endswith("</w>"):
            parts.append(joined)
    if family == "clip":
        vocabulary = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
        return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *tokens, "<mask>"])}
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=512)


def run(environment: Mapping[str, str], *arguments: str) -> tuple[Timing, str]:
    """``analogon`` with these arguments in a new process: how long it took, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "analogon", *arguments],
        env=dict(environment),
        check=True,
        capture_output=True,
        text=True,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timing(wall, spent), done.stdout


def hits(printed: str) -> list[tuple[str, float]]:
    """Paths and scores of a table of hits in JSON, one a line."""
    rows = [json.loads(line) for line in printed.splitlines()]
    return [(str(row["path"]), float(row["score"])) for row in rows]


def benchmark(kind: type[Model], folder: Path, rounds: int, seed: int) -> bool:
    """Measure and print; whether both ways give the same hits."""
    checkpoint, media = folder / kind.family, folder / f"{kind.family}-media"
    kind.build(checkpoint, seed)
    full_tokenizer(kind.family).save_pretrained(checkpoint)
    media.mkdir()
    for number in range(FILES):
        kind.synthesise(media / f"{number}{kind.suffixes[0]}", seed + number)
    environment = os.environ | {
        "ANALOGON_HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),  # which an installed package has beside it
    }
    for name in ("ANALOGON_RUNTIME", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    eager = environment | {"ANALOGON_RUNTIME": "eager"}
    model = f"{kind.family}:{checkpoint}"

    print(f"\n{kind.__doc__}")
    took, _ = run(environment, "export-onnx", model)
    print(f"  export-onnx, once for a model: {took.wall:.1f} s, {took.processor:.1f} s of processor time")
    took, _ = run(environment, "index", str(media), "-c", kind.family, "-e", model, "--only", kind.modality)
    print(f"  index of {FILES} files and the background queries: {took.wall:.1f} s, {took.processor:.1f} s")
    ask = ("search", QUERY, "--by", "content", "-c", kind.family, "-f", "json")
    ways = {"torch": eager, "exported": environment}
    answers = {name: hits(run(one, *ask)[1]) for name, one in ways.items()}  # untimed
    timings: dict[str, list[Timing]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, one in ways.items():
            timings[name].append(run(one, *ask)[0])

    medians = {}
    for name, runs in timings.items():
        wall = sorted(one.wall for one in runs)
        medians[name] = Timing(statistics.median(wall), statistics.median(one.processor for one in runs))
        print(
            f"  {name:9} {medians[name].wall:6.2f} s ({wall[0]:.2f} to {wall[-1]:.2f}), "
            f"{medians[name].processor:5.2f} s of processor time"
        )
    for field in ("wall", "processor"):
        ratios = [
            getattr(a, field) / getattr(b, field) for a, b in zip(timings["torch"], timings["exported"], strict=True)
        ]
        told = "on the clock" if field == "wall" else "of processor time"
        print(f"  torch / exported, {told}: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    exported = medians["exported"]
    if exported.wall > BUSY * exported.processor:
        print("  NOT TO BE TRUSTED on the clock: the machine was busy with other things")
    reached = "reached" if exported.wall <= GOAL else "missed on the clock"
    print(f"  at most {GOAL:.1f} s are wanted: {reached}")

    same = [path for path, _ in answers["torch"]] == [path for path, _ in answers["exported"]]
    same &= all(abs(a - b) < SAME for (_, a), (_, b) in zip(answers["torch"], answers["exported"], strict=True))
    print(f"  both ways give {'the same hits' if same else f'OTHER HITS: {answers}'}")
    return same


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["clap", "clip"], help="one of the two (default: both)")
    parser.add_argument("--rounds", type=int, default=5, help="timed queries of each way (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and files (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds should be at least 1")
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{os.cpu_count()} processors{load}, seed {arguments.seed}")
    same = []
    with tempfile.TemporaryDirectory() as temporary:
        for kind in (Clap, Clip):
            if arguments.only in (None, kind.family):
                same.append(benchmark(kind, Path(temporary), arguments.rounds, arguments.seed))
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
