"""Countries, their capitals and their flags: relations in text, from picture to text, and both composed.

    python benchmarks/countries.py --data ../shared/data --models ../shared/models

Text: country -> capital, demonym, currency, region in four text encoders. Candidates are all texts of the table
(countries, capitals, demonyms, currencies, languages, regions), or all words of the word vectors' file. 3CosAdd takes
one pair, of a seeded sample of two pairs that do not share the answer; 3CosAvg and LRCos take nine tenths of the pairs
and answer the others, ten times. "Commonest" gives everyone the most frequent answer among those nine tenths. Countries
whose capital has their own name are left out.

Flags: MobileNet sees one in the space of a text encoder (ConSE). It knows ImageNet's 1,000 classes and no flag, so
that what it makes of them is next to nothing; the same with the country's name in place of its flag tells how much of
the failure is the picture's. Intervals: 95 %, pairs drawn anew.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from analogon.analogies.methods import batch_scores
from analogon.transforms.relation import concentration, consistency
from analogon.vectors.geometry import unit
from analogon.vectors.measure import Interval, bootstrap_crossed, ranks, wilson
from embed import Media, encode, load
from embed.encoders.starter import FOLDER
from embed.encoders.words import WordsEncoder

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Known = Callable[[Floats, Floats, Floats, Floats], Floats]
"""From known starts and ends, what asks, and candidates, to scores ``(questions, candidates)``."""

RELATIONS: Final = {"capital": "capital", "demonym": "demonym", "currency": "currencies", "region": "region"}
COLUMNS: Final = ("country", "capital", "demonym", "currencies", "languages", "region")
SEPARATORS: Final = re.compile(r"\||, | or ")  # between several answers
FOLDS: Final = 10
SAMPLE: Final = 1000  # questions of one pair each
CUT: Final = 5
BINS: Final = 4  # of each of red, green and blue
PENALTIES: Final = np.logspace(-2, 3, 6)  # ridge chooses by leaving out each known pair


@dataclass(frozen=True)
class Pairs:
    """Questions of one relation: who asks, and the candidates that answer it; ``first`` is the one to fit on.

    ``relevant`` is ``(pairs, candidates)``; ``own`` says for each pair which candidates are the asking text itself.
    """

    starts: Floats
    first: npt.NDArray[np.int64]
    relevant: Flags
    own: Flags

    def __len__(self) -> int:
        return len(self.starts)


def answers(cell: str, column: str) -> list[str]:
    """What a cell names: several currencies, several demonyms, but one country and one capital.

    >>> answers("Antiguan, Barbudan", "demonym"), answers("Washington D.C.", "capital")
    (['Antiguan', 'Barbudan'], ['Washington D.C.'])
    """
    several = column in ("demonym", "currencies", "languages")
    return [name for name in (SEPARATORS.split(cell) if several else [cell]) if name]


def pairs(table: list[dict[str, str]], column: str, starts: dict[str, Floats], candidates: Sequence[str]) -> Pairs:
    """The countries that ``starts`` has a vector for and that have an answer among the candidates, but not themselves.

    ``starts`` may be vectors of flags; then a country's name is no input, and may be the answer.
    """
    number = {name: i for i, name in enumerate(candidates)}
    rows, first, all_answers, own = [], [], [], []
    for row in table:
        known = [number[name] for name in answers(row[column], column) if name in number]
        asking = row["country"] if column != "country" else None
        if row["country"] not in starts or not known or asking in answers(row[column], column):
            continue
        rows.append(starts[row["country"]])
        first.append(known[0])
        all_answers.append(known)
        own.append(-1 if asking is None else number.get(asking, -1))
    relevant = np.zeros((len(rows), len(candidates)), bool)
    for place, known in enumerate(all_answers):
        relevant[place, known] = True
    return Pairs(np.stack(rows), np.array(first), relevant, np.arange(len(candidates)) == np.array(own)[:, None])


# -- ways to answer ----------------------------------------------------------------------------------------------------


def held_out(asked: Pairs, candidates: Floats, way: Known, seed: int) -> Floats:
    """Scores ``(pairs, candidates)``, each pair's by a relation that was fitted without it."""
    found = np.empty(asked.relevant.shape, np.float32)
    for fold in np.array_split(np.random.default_rng(seed).permutation(len(asked)), FOLDS):
        known = np.setdiff1d(np.arange(len(asked)), fold)
        found[fold] = way(asked.starts[known], candidates[asked.first[known]], asked.starts[fold], candidates)
    return found


def average(starts: Floats, ends: Floats, asking: Floats, candidates: Floats) -> Floats:
    return batch_scores("3cosavg", candidates, starts, ends, asking)


def lrcos(random: Floats, seed: int) -> Known:
    """LRCos, its random words drawn from those of ``random``, which are no words of the relation."""

    def way(starts: Floats, ends: Floats, asking: Floats, candidates: Floats) -> Floats:
        return batch_scores("lrcos", candidates, starts, ends, asking, seed=seed, random=random)

    return way


def commonest(starts: Floats, ends: Floats, asking: Floats, candidates: Floats) -> Floats:
    counts = (candidates @ ends.T > 1 - 1e-6).sum(axis=1)
    return np.tile(counts.astype(np.float32), (len(asking), 1))


def ridge(starts: Floats, ends: Floats, asking: Floats, candidates: Floats) -> Floats:
    """A linear map from known starts to known ends; cosines are taken about the mean of the ends, which all share."""
    from sklearn.linear_model import RidgeCV

    middle = ends.mean(axis=0)
    told = RidgeCV(alphas=PENALTIES).fit(starts, ends - middle).predict(asking)
    found: Floats = unit(told) @ unit(candidates - middle).T
    return found


# -- tables ------------------------------------------------------------------------------------------------------------


def show(
    way: str, scores: Floats, relevant: Flags, hidden: Flags, made_of: npt.NDArray[np.int64] | None = None
) -> None:
    """One line: how often a right answer is first and among the first five, inputs excluded, and first, allowed.

    ``made_of`` ``(2, questions)`` are the pairs that a question is made of, where there are two.
    """
    without = np.array([one[0] for one in ranks(scores, relevant, allowed=~hidden)])
    within = np.array([one[0] for one in ranks(scores, relevant)])
    figures = np.stack([without == 1, without <= CUT, within == 1], axis=1)
    intervals = [wilson(int(column.sum()), len(column)) for column in figures.T]
    if made_of is not None:
        n = len(np.unique(made_of))
        # Where all answers are alike every draw is too: then Wilson's, as if each pair had answered once.
        intervals = [
            drawn if 0 < column.mean() < 1 else wilson(n * int(column[0]), n)
            for column, drawn in zip(figures.T, bootstrap_crossed(figures, *made_of), strict=True)
        ]
    told = "  ".join(f"{share:.3f} {_shown(one)}" for share, one in zip(figures.mean(axis=0), intervals, strict=True))
    print(f"    {way:22} {told}   {np.mean(1 / without):.3f}")


def _shown(interval: Interval) -> str:
    return f"({interval.low:.3f}-{interval.high:.3f})"


def head(title: str, asked: Pairs, candidates: Floats) -> None:
    """The line above a block of ways, and the chances."""
    ends = candidates[asked.first]
    ocs, pcs = concentration(asked.starts, ends), consistency(asked.starts, ends)
    among = (~asked.own).sum(axis=1)
    chance = (asked.relevant.sum(axis=1) / among).mean()
    print(
        f"  {title}: n = {len(asked)} among {len(candidates)}, chance {chance:.4f}; OCS {ocs:.3f}, PCS {pcs:.3f}\n"
        f"    {'':22} {'first':19}  {'first five':19}  {'first, allowed':19}   MRR"
    )


def one_pair(asked: Pairs, candidates: Floats, seed: int) -> None:
    """3CosAdd over a sample of two pairs each, which do not share the answer."""
    given, wanted = np.nonzero(~asked.relevant[:, asked.first].T)
    drawn = np.random.default_rng(seed).choice(len(given), min(SAMPLE, len(given)), replace=False)
    given, wanted = given[drawn], wanted[drawn]
    scores = batch_scores(
        "3cosadd", candidates, asked.starts[given], candidates[asked.first[given]], asked.starts[wanted]
    )
    hidden = asked.own[given] | asked.own[wanted]
    hidden[np.arange(len(given)), asked.first[given]] = True
    show(f"3CosAdd (n = {len(given)})", scores, asked.relevant[wanted], hidden, np.stack([given, wanted]))


def text_block(asked: Pairs, candidates: Floats, title: str, seed: int) -> None:
    """All ways over one relation in one text encoder."""
    head(f"country -> {title}", asked, candidates)
    others = candidates[~(asked.relevant.any(axis=0) | asked.own.any(axis=0))]
    show("nearest to c", asked.starts @ candidates.T, asked.relevant, asked.own)
    if title in ("currency", "region"):
        show("commonest", held_out(asked, candidates, commonest, seed), asked.relevant, asked.own)
    one_pair(asked, candidates, seed)
    show("3CosAvg", held_out(asked, candidates, average, seed), asked.relevant, asked.own)
    show("LRCos", held_out(asked, candidates, lrcos(others, seed), seed), asked.relevant, asked.own)


def texts(table: list[dict[str, str]], columns: Sequence[str]) -> list[str]:
    """Every different text in some columns."""
    return list(dict.fromkeys(name for column in columns for row in table for name in answers(row[column], column)))


def in_text(table: list[dict[str, str]], models: Path, seed: int) -> None:
    """The four relations in each text encoder."""
    encoders = {
        "MiniLM": "sentence",
        "potion": f"static:{models / 'potion-base-4m-int8'}",
        "the starter's texts": f"static:{FOLDER / 'text'}",
    }
    names = texts(table, COLUMNS)
    for called, encoder in encoders.items():
        rows = encode(load(encoder), [Media.from_text(name) for name in names]).array
        print(f"\n{called}: {len(names)} texts")
        starts = dict(zip(names, rows, strict=True))
        for relation, column in RELATIONS.items():
            text_block(pairs(table, column, starts, names), rows, relation, seed)
    words = cast(WordsEncoder, load(f"words:{models / 'word2vec-8k'}"))
    # A name of several words is one entry, or is not there.
    vocabulary = [word.replace("_", " ") for word in words.vocabulary]
    print(f"\nword2vec: {len(vocabulary)} words")
    starts = dict(zip(vocabulary, words.matrix, strict=True))
    for relation in ("capital", "demonym"):
        text_block(pairs(table, relation, starts, vocabulary), words.matrix, relation, seed)


def colours(files: Sequence[Path]) -> Floats:
    """Shares of colours in each picture, as unit rows ``(n, 64)``: no encoder, only counting."""
    from PIL import Image

    rows = []
    for file in files:
        pixels = np.asarray(Image.open(file).convert("RGB").resize((64, 48))).reshape(-1, 3)
        rows.append(np.histogramdd(pixels, bins=(BINS,) * 3, range=((0, 256),) * 3)[0].ravel())
    return unit(np.sqrt(np.stack(rows)))


def neighbours(title: str, rows: Floats, regions: npt.NDArray[np.str_]) -> None:
    """How often the nearest other flag is of the same region."""
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    right = regions[cosines.argmax(axis=1)] == regions
    print(f"    {title:22} {right.mean():.3f} {_shown(wilson(int(right.sum()), len(right)))}")


def in_pictures(table: list[dict[str, str]], data: Path, models: Path, seed: int) -> None:
    """Flags to countries, regions and capitals; the names of the countries where the flags stood, for contrast."""
    files = [data / "countries" / "flags" / row["flag"] for row in table]
    mobilenet = models / "mobilenet-v2" / "mobilenet_v2_1.0_224_quant.tflite"
    seen: dict[str, Floats] = {"colours alone": colours(files)}
    for called, text in {"MiniLM": "sentence", "potion": f"static:{models / 'potion-base-4m-int8'}"}.items():
        encoder = load({"family": "conse", "text": text, "image": f"tflite:{mobilenet}"})
        rows = seen[f"ConSE, {called}"] = encode(encoder, [Media.from_path(file) for file in files]).array
        flags = {row["country"]: vector for row, vector in zip(table, rows, strict=True)}
        print(f"\nMobileNet (ConSE) over {called}")
        for relation, column in {"country": "country", "region": "region", "capital": "capital"}.items():
            names = texts(table, [column])
            candidates = encode(encoder, [Media.from_text(name) for name in names]).array
            asked = pairs(table, column, flags, names)
            head(f"flag -> {relation}", asked, candidates)
            show("nearest to the flag", asked.starts @ candidates.T, asked.relevant, asked.own)
            if relation == "region":
                show("commonest", held_out(asked, candidates, commonest, seed), asked.relevant, asked.own)
            else:
                one_pair(asked, candidates, seed)
            show("3CosAvg", held_out(asked, candidates, average, seed), asked.relevant, asked.own)
            show("ridge", held_out(asked, candidates, ridge, seed), asked.relevant, asked.own)
            if relation == "capital":
                words = [Media.from_text(row["country"]) for row in table]
                named = dict(zip(flags, encode(encoder, words).array, strict=True))
                told = pairs(table, column, named, names)
                show("3CosAvg from the name", held_out(told, candidates, average, seed), told.relevant, told.own)
    regions = np.array([row["region"] for row in table])
    same = float(np.mean([(regions == region).sum() - 1 for region in regions]) / (len(regions) - 1))
    print(f"\nIs the nearest other flag of the same region? n = {len(table)}, chance {same:.3f}")
    for called, rows in seen.items():
        neighbours(called, rows, regions)


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with countries/")
    parser.add_argument(
        "--models", type=Path, required=True, help="a folder with mobilenet-v2/, potion-base-4m-int8/, word2vec-8k/"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with (arguments.data / "countries" / "countries.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    print(f"{len(table)} countries, seed {arguments.seed}")
    in_text(table, arguments.models, arguments.seed)
    in_pictures(table, arguments.data, arguments.models, arguments.seed)


if __name__ == "__main__":
    main()
