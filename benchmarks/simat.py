"""A picture plus the step between two texts: does it find the picture that the second text describes?

    python benchmarks/simat.py --data ../shared/data --models ../shared/models

The question is SIMAT's (Couairon et al. 2021): norm(picture) + lambda (norm(text2) - norm(text1)), here over Tux
Paint's stamps. The questions are made from their descriptions: every two that differ in exactly one word ("A green
flag." and "A red flag.") give a question for each picture of the one, and for each of the other. Descriptions of
letters, numbers and signs are left out, since no encoder here reads. SIMAT lets a model judge what is found; here only
a picture with exactly the second description is right, so "A red apple." for "A Fuji apple." counts as wrong.

Pictures come into the space of each text encoder as the mean of the texts of ImageNet classes that MobileNet sees in
them (ConSE). Lambda is chosen on one half of the pairs and used on the other, both ways. Intervals: 95 %, descriptions
drawn anew.
"""

from __future__ import annotations

import argparse
import csv
import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from analogon.vectors.geometry import unit
from analogon.vectors.measure import bootstrap_crossed, ranks
from embed import Media, encode, load

LAMBDAS: Final = (0.5, 1.0, 1.5, 2.0)
CUT: Final = 5

Floats = npt.NDArray[np.float32]
Words = tuple[str, ...]


@dataclass(frozen=True)
class Stamps:
    """The pictures' paths, and each one's description as it stands."""

    files: list[Path]
    texts: list[str]

    @classmethod
    def read(cls, folder: Path) -> Stamps:
        with (folder / "stamps.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return cls([folder / row["image"] for row in rows], [row["text"] for row in rows])


@dataclass(frozen=True)
class Questions:
    """Row i asks with picture ``picture[i]``, from text ``before[i]`` to text ``after[i]``.

    Texts are numbers of descriptions; ``described`` ``(pictures,)`` says which one each picture has. ``last`` says that
    the texts differ in their last word: another thing, not another kind of the same thing.
    """

    descriptions: list[str]
    described: npt.NDArray[np.int64]
    picture: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    pair: npt.NDArray[np.int64]
    last: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.picture)

    @property
    def relevant(self) -> npt.NDArray[np.bool_]:
        """``(questions, pictures)``: which pictures are right."""
        right: npt.NDArray[np.bool_] = self.after[:, None] == self.described
        return right


def words(text: str) -> Words:
    """
    >>> words("A knight’s “old” helmet!")
    ('a', 'knight’s', 'old', 'helmet')
    """
    return tuple(re.findall(r"[^\W_]+(?:[’'-][^\W_]+)*", text.lower()))


def changed(one: Words, other: Words) -> int | None:
    """Where two descriptions of three words or more differ, if they do so in one word alone that is worth asking for.

    >>> changed(words("A green flag."), words("A red flag.")), changed(words("The letter A."), words("The letter B."))
    (1, None)
    """
    places = [place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    if len(one) != len(other) or len(one) < 3 or len(places) != 1:
        return None
    characters = any(len(text[places[0]]) == 1 or text[places[0]].isdigit() for text in (one, other))
    return None if characters or one[:3] == ("the", "sign", "for") else places[0]


def questions(stamps: Stamps) -> Questions:
    """Every question that the descriptions give, in the order of the file."""
    known: dict[Words, int] = {}
    descriptions: list[str] = []
    described = []
    for text in stamps.texts:
        if words(text) not in known:
            known[words(text)] = len(descriptions)
            descriptions.append(text)
        described.append(known[words(text)])
    found = []
    pair = 0
    for (one, i), (other, j) in combinations(known.items(), 2):
        if (place := changed(one, other)) is None:
            continue
        for before, after in ((i, j), (j, i)):
            of_it = [picture for picture, number in enumerate(described) if number == before]
            found += [(picture, before, after, pair, place == len(one) - 1) for picture in of_it]
        pair += 1
    picture, before, after, pairs, last = np.array(found, dtype=np.int64).T
    return Questions(descriptions, np.array(described), picture, before, after, pairs, last.astype(bool))


def first_ranks(queries: Floats, pictures: Floats, asked: Questions, *, excluded: bool) -> npt.NDArray[np.int64]:
    """The rank, from 1, of the best right picture for each question; ``excluded`` leaves out the picture that asks."""
    allowed = np.arange(len(pictures)) != asked.picture[:, None] if excluded else None
    return np.array([found[0] for found in ranks(queries @ pictures.T, asked.relevant, allowed=allowed)])


def measure(pictures: Floats, texts: Floats, asked: Questions, seed: int) -> None:
    """Print how often each way of asking has a right picture first and among the first five."""
    seen, before, after = pictures[asked.picture], texts[asked.before], texts[asked.after]
    step = after - before
    half = np.random.default_rng(seed).permutation(asked.pair.max() + 1)[asked.pair] % 2
    shifted = {one: unit(seen + np.float32(one) * step) for one in LAMBDAS}
    first = {one: first_ranks(shifted[one], pictures, asked, excluded=True) == 1 for one in LAMBDAS}
    chosen = [max(LAMBDAS, key=lambda one: first[one][half != side].mean()) for side in (0, 1)]
    tried = np.where((half == 0)[:, None], shifted[chosen[0]], shifted[chosen[1]])
    ways = {
        "the picture alone": seen,
        "text2 alone": after,
        "text2 - text1 alone": unit(step),
        "picture + text2": unit(seen + after),
        **{f"lambda {one:g}": rows for one, rows in shifted.items()},
        f"lambda chosen ({chosen[0]:g}, {chosen[1]:g})": tried,
    }
    hits: dict[str, npt.NDArray[np.bool_]] = {}
    print(f"{'':26} {'first':>19} {'first five':>19} {'kind: 1, 5':>12} {'thing: 1, 5':>12}   source allowed: 1, 5")
    for way, queries in ways.items():
        without, within = (first_ranks(queries, pictures, asked, excluded=excluded) for excluded in (True, False))
        hits[way] = np.stack([without == 1, without <= CUT], axis=1)
        intervals = bootstrap_crossed(hits[way], asked.before, asked.after, seed=seed)
        one, five = (
            f"{share:.3f} ({interval.low:.3f}-{interval.high:.3f})"
            for share, interval in zip(hits[way].mean(axis=0), intervals, strict=True)
        )
        kind, thing = (hits[way][asked.last == last].mean(axis=0) for last in (False, True))
        print(
            f"{way:26} {one:>19} {five:>19} {kind[0]:6.3f} {kind[1]:5.3f} {thing[0]:6.3f} {thing[1]:5.3f}"
            f"   {(within == 1).mean():.3f} {(within <= CUT).mean():.3f}"
        )
    relevant = asked.relevant.sum(axis=1)
    others = len(pictures) - 1
    chances = [np.mean([chance(others, int(n), k) for n in relevant]) for k in (1, CUT)]
    print(f"{'chance':26} {chances[0]:.3f} {'':14}{chances[1]:5.3f}")
    for rival in ("text2 alone", "the picture alone"):
        gain = hits[way].astype(np.float64) - hits[rival]
        intervals = bootstrap_crossed(gain, asked.before, asked.after, seed=seed)
        told = (
            f"{mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
            for mean, interval in zip(gain.mean(axis=0), intervals, strict=True)
        )
        print(f"lambda chosen less {rival}: first {next(told)}, first five {next(told)}")


def chance(candidates: int, relevant: int, k: int) -> float:
    """The probability that a random order has one of the relevant candidates among the first k.

    >>> chance(4, 1, 1), chance(4, 2, 3)
    (0.25, 1.0)
    """
    missed = np.prod([(candidates - relevant - i) / (candidates - i) for i in range(k)])
    return float(1 - missed)


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with stamps/")
    parser.add_argument("--models", type=Path, required=True, help="a folder with mobilenet-v2/, potion-base-4m-int8/")
    parser.add_argument("--seed", type=int, default=0, help="parts the pairs in two halves")
    parser.add_argument("--list", action="store_true", help="print the pairs of texts, and no figures")
    arguments = parser.parse_args()
    stamps = Stamps.read(arguments.data / "stamps")
    asked = questions(stamps)
    if arguments.list:
        for i, j in sorted(set(zip(asked.before.tolist(), asked.after.tolist(), strict=True))):
            print(asked.descriptions[i], "->", asked.descriptions[j])
        return
    print(
        f"{len(asked)} questions (n), {asked.pair.max() + 1} pairs of texts, {len(set(asked.picture))} pictures asking "
        f"among {len(stamps.files)}; {(~asked.last).sum()} questions change the kind, {asked.last.sum()} the thing "
        f"(the last word); seed {arguments.seed}"
    )
    for name, text in {"MiniLM": "sentence", "potion": f"static:{arguments.models / 'potion-base-4m-int8'}"}.items():
        mobilenet = arguments.models / "mobilenet-v2" / "mobilenet_v2_1.0_224_quant.tflite"
        encoder = load({"family": "conse", "text": text, "image": f"tflite:{mobilenet}"})
        pictures = encode(encoder, [Media.from_path(file) for file in stamps.files]).array
        texts = encode(encoder, [Media.from_text(text) for text in asked.descriptions]).array
        print(f"\nMobileNet (ConSE) over {name}")
        measure(pictures, texts, asked, arguments.seed)


if __name__ == "__main__":
    main()
