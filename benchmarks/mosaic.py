"""Mosaics and their judges: is the take that one encoder chooses of eight the better one to another?

    python benchmarks/mosaic.py --data ../shared/data --models ../shared/models

Indexes ESC-10 and Sonic Pi's samples in two spaces, the starter's and that of a bridge of YAMNet and potion, makes
takes of 5 s for each of twenty prompts from either collection, and prints, for each judge, the cosine of prompt and
take: of the one of eight that the other judge chooses, of one drawn by lot, of all on average, and of the best of eight
by this very judge, which no choice can beat. Where more than eight takes are made, what is chosen of eight is the mean
over all ways to draw eight of them: the same figure with less chance in it. Beside them the takes of the nineteen other
prompts (chance), and the one recording that is nearest to the prompt in the space that made the takes. Differences are
paired by prompt, with 95 % intervals from the bootstrap over prompts.

The two judges are not independent: the starter learnt from a bridge of YAMNet too (its model card says how), so that
each is a milder judge of the other's choice than listeners would be. Cosines of different spaces cannot be compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from esc10 import models_encoder

import analogon
from analogon.engines.generator import Settings, generate
from analogon.generate.loading import load
from analogon.vectors.measure import bootstrap
from embed import Encoder, Media, encode

# Written before any of them was tried.
PROMPTS: Final = (
    "a downpour drumming on a tin roof",
    "waves breaking on a pebble beach",
    "a campfire crackling at night",
    "a big dog barking in the yard",
    "a helicopter passing overhead",
    "a chainsaw in the woods",
    "a clock ticking in a quiet room",
    "a rooster at dawn",
    "a baby crying for its mother",
    "somebody sneezing loudly",
    "a funky breakbeat",
    "a deep bass drum",
    "cymbals and hi-hats",
    "a snare roll",
    "a distorted electric guitar",
    "a single piano note",
    "a choir singing softly",
    "a dark humming drone",
    "tabla drums from India",
    "vinyl crackle and hiss",
)
CHOOSE: Final = 8  # takes that one is chosen of
SEED: Final = 0  # of the draw by lot and of the bootstrap
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Cosines by one judge: ``own`` ``(prompts, takes)``, ``others`` and ``file`` ``(prompts,)``.

    ``right`` is the share of takes whose own prompt is the nearest of all.
    """

    own: Floats
    others: Floats
    file: Floats
    right: float


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with esc10/ and sonic-pi/")
    parser.add_argument("--models", type=Path, required=True, help="a folder with yamnet/ and potion-base-4m-int8/")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a take")
    parser.add_argument("--takes", type=int, default=24, help="of each prompt, 8 or more")
    arguments = parser.parse_args()
    folders = [arguments.data / "esc10", arguments.data / "sonic-pi"]
    with tempfile.TemporaryDirectory() as name:
        spaces: dict[str, str | Path] = {"starter": "starter", "yamnet": models_encoder(arguments.models, Path(name))}
        libraries = {}
        for space, encoder in spaces.items():
            libraries[space] = analogon.open(Path(name) / space, create=True)
            report = libraries[space].index(*folders, encoders=[encoder], only=["audio"])
            print(f"{space}: {report.encoded} recordings indexed in {report.seconds:.0f} s", flush=True)
        for maker in spaces:
            measure(maker, libraries, arguments.seconds, max(CHOOSE, arguments.takes))


def measure(maker: str, libraries: dict[str, analogon.Library], seconds: float, count: int) -> None:
    """Make takes of one collection, let each judge hear them, print what they say."""
    started = time.monotonic()
    takes = made(libraries[maker], seconds, count)
    print(f"\nmade of the collection in {maker}: {len(PROMPTS)} x {count} takes, {time.monotonic() - started:.0f} s")
    files = nearest(libraries[maker])
    heard = {}
    for judge, library in libraries.items():
        heard[judge] = listen(library.collection.encoder(library.collection.spaces[0]), takes, files)
    for chooser, judge in [tuple(libraries), tuple(libraries)[::-1]]:
        show(chooser, judge, heard[chooser], heard[judge], each=maker == chooser)


def made(library: analogon.Library, seconds: float, count: int) -> list[list[Media]]:
    """The takes of each prompt."""
    generator = load("mosaic", library=library)
    return [[generate(generator, prompt, Settings(seed, seconds)).media for seed in range(count)] for prompt in PROMPTS]


def nearest(library: analogon.Library) -> list[Media]:
    """The recording that is nearest to each prompt."""
    return [Media.from_path(library.search(prompt, to="audio", k=1, by="content")[0].path) for prompt in PROMPTS]


def listen(encoder: Encoder, takes: list[list[Media]], files: list[Media]) -> Heard:
    """What one encoder says of takes and files."""
    asked = encode(encoder, [Media.from_text(prompt) for prompt in PROMPTS], query=True).array
    rows = np.stack([encode(encoder, some).array for some in takes])
    cosines = np.einsum("ptd,qd->ptq", rows, asked)
    count = len(PROMPTS)
    own = cosines[np.arange(count), :, np.arange(count)]
    # For each prompt the takes of the others.
    others = (cosines.mean(axis=1).sum(axis=0) - own.mean(axis=1)) / (count - 1)
    file = (encode(encoder, files).array * asked).sum(axis=1)
    right = float((cosines.argmax(axis=2) == np.arange(count)[:, None]).mean())
    return Heard(own, others, file, right)


def show(chooser: str, judge: str, chooses: Heard, reports: Heard, *, each: bool) -> None:
    """The table for one judge of what the other chose; ``each`` prompt, or the means alone."""
    every = np.arange(len(PROMPTS))
    columns = {
        "chosen": chosen(reports.own, chooses.own),
        "by lot": reports.own[every, np.random.default_rng(SEED).integers(reports.own.shape[1], size=len(PROMPTS))],
        "mean": reports.own.mean(axis=1),
        "its best": chosen(reports.own, reports.own),
        "others'": reports.others,
        "1 file": reports.file,
    }
    print(f"\nchosen by {chooser}, reported by {judge}: cosines in {judge}")
    print("".join(f"{name:>10}" for name in columns))
    for at, prompt in enumerate(PROMPTS if each else ()):
        print("".join(f"{values[at]:10.3f}" for values in columns.values()) + f"  {prompt}")
    print("".join(f"{values.mean():10.3f}" for values in columns.values()) + f"  mean of {len(PROMPTS)} prompts")
    for name, values in columns.items():
        if name != "chosen":
            print(f"  chosen - {name + ':':11}{difference(columns['chosen'] - values)}")
    print(f"  mean - others': {difference(reports.own.mean(axis=1) - reports.others)}")
    chance = 1 / len(PROMPTS)
    print(f"  takes whose own prompt is the nearest of the {len(PROMPTS)}: {reports.right:.3f} (chance {chance:.3f})")


def chosen(values: Floats, by: Floats) -> Floats:
    """The value of the take that is the best of eight by another, on average over all ways to draw eight, ``(n,)``."""
    count = values.shape[1]
    # The take of rank r is the best where the other seven are drawn from those behind it.
    shares = np.array([comb(count - 1 - rank, CHOOSE - 1) / comb(count, CHOOSE) for rank in range(count)])
    ordered: Floats = np.take_along_axis(values, np.argsort(-by, axis=1), axis=1)
    found: Floats = ordered @ shares
    return found


def difference(values: Floats) -> str:
    """A mean of paired differences and its interval."""
    interval = bootstrap(values, seed=SEED)
    return f"{values.mean():+.3f} ({interval.low:+.3f}, {interval.high:+.3f})"


if __name__ == "__main__":
    main()
