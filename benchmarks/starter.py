"""The starter beside its teacher: how fast it hears, how large it is, and how long a first question takes.

    python benchmarks/starter.py --data ../shared/data/esc10 --models ../shared/models

Both encode the same decoded recordings in turn, on one core, from samples to unit vectors: the starter, and YAMNet's
TFLite file with ConSE over the starter's own text table. The ratio is of times, the median of the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import analogon
from embed import Media, decode, load
from embed.encoder import Encoder
from embed.encoders.starter import FOLDER


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of recordings")
    parser.add_argument("--models", type=Path, required=True, help="a folder with yamnet/")
    parser.add_argument("-n", type=int, default=48, help="recordings")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    size = sum(
        file.stat().st_size for file in FOLDER.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")
    )
    print(f"size of the starter's folder: {size / 1e6:.2f} MB")

    starter = load("starter")
    teacher = load(
        {
            "family": "conse",
            "text": f"static:{FOLDER / 'text'}",
            "audio": f"tflite:{arguments.models / 'yamnet' / 'yamnet.tflite'}",
        }
    )
    files = sorted(arguments.data.rglob("*.ogg"))
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, min(arguments.n, len(files))).astype(int)]
    clips = [part for path in chosen for part in decode.parts(Media.from_path(path), audio=starter.audio)]
    seconds = sum(len(part.array) for part in clips if part.array is not None) / 16000
    once(starter, clips[:2])
    once(teacher, clips[:2])
    rounds = [(once(starter, clips), once(teacher, clips)) for _ in range(arguments.rounds)]
    ours = statistics.median(a for a, _ in rounds)
    theirs = statistics.median(b for _, b in rounds)
    ratios = sorted(b / a for a, b in rounds)
    print(
        f"{len(clips)} parts, {seconds:.0f} s of sound, one core, {arguments.rounds} rounds: starter {ours:.2f} s "
        f"({seconds / ours:.0f} times real time), YAMNet {theirs:.2f} s ({seconds / theirs:.0f}); the starter is "
        f"{statistics.median(ratios):.1f} times as fast ({ratios[0]:.1f} to {ratios[-1]:.1f})"
    )
    cold(arguments.data)


def once(encoder: Encoder, clips: Sequence[Media]) -> float:
    """Seconds to encode clips that are decoded already."""
    start = time.perf_counter()
    for clip in clips:
        encoder.encode_batch([encoder.prepare(clip)])
    return time.perf_counter() - start


def cold(data: Path) -> None:
    """Print the wall time of a text query in a new process, and of one that only starts the command line."""
    with tempfile.TemporaryDirectory() as folder:
        with analogon.open(Path(folder) / "c", create=True) as library:
            library.index(data, encoders=["starter"])
        times = {}
        for arguments in (["search", "rain on a roof", "-c", f"{folder}/c", "-k", "3"], ["--help"]):
            runs = []
            for _ in range(5):
                start = time.perf_counter()
                subprocess.run([sys.executable, "-m", "analogon", *arguments], check=True, capture_output=True)
                runs.append(time.perf_counter() - start)
            times[arguments[0]] = runs
    print(
        "a text query in a new process: "
        f"{statistics.median(times['search']):.2f} s ({min(times['search']):.2f} to {max(times['search']):.2f}); "
        f"analogon --help: {statistics.median(times['--help']):.2f} s (5 runs each)"
    )


if __name__ == "__main__":
    main()
