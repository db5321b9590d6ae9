"""A picture asks sounds that lie in another space: how much comes over a bridge?

    python benchmarks/bridges.py --data ../shared/data --models ../shared/models

Pictures are MobileNet's classes over potion, 128-d, sounds YAMNet's over MiniLM, 384-d (ConSE, Norouzi et al. 2014):
two spaces that share nothing but that both take texts. Asked are Tux Paint's stamps that have a picture and a sound. A
sound that several pictures share counts once, with the first of them. Many of the sounds are a voice that reads a
letter, a number or a sign, for which neither YAMNet nor MobileNet has a class; so the stamps that are no signs by their
category or name are measured by themselves too.

The bridges are fitted through texts from elsewhere: prompts for pictures, words for music, descriptions of recordings,
and the names of the two classifiers' classes. The means of the modalities are those of the stamps without a sound and
of recordings. What the methods leave open was chosen on folds of the texts; no stamp that is asked takes part in a
bridge, but in the row that says so. Intervals are 95 %: of recall Wilson's, of MRR by bootstrap over stamps.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from analogon.transforms import bridge
from analogon.transforms.bridge import METHODS, Bridge, asif_scores
from analogon.vectors.geometry import centre, unit
from analogon.vectors.measure import bootstrap, ranks, retrieval, wilson
from embed import Encoder, Media, encode, load
from embed.classifier import classifier
from embed.encoders.conse import synonyms
from embed.media import Modality

CUTS: Final = (1, 5, 10)
COMMON: Final = 3  # times that a phrase stands in MusicCaps
RECORDINGS: Final = 300  # recordings that the mean of the sounds is taken of
SIGNS: Final = ("symbols_", "seasonal_hanukkah_dreydl", "town_roadsigns")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Stamps:
    """Row i is a picture, its description and its sound; ``sign`` says that it shows a letter, a number or a sign.

    ``silent`` are the pictures that have no sound.
    """

    pictures: list[Path]
    sounds: list[Path]
    texts: list[str]
    sign: npt.NDArray[np.bool_]
    silent: list[Path]

    @classmethod
    def read(cls, folder: Path) -> Stamps:
        with (folder / "stamps.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        first: dict[str, dict[str, str]] = {}
        for row in rows:
            if row["sound"]:
                first.setdefault(hashlib.sha256((folder / row["sound"]).read_bytes()).hexdigest(), row)
        return cls(
            [folder / row["image"] for row in first.values()],
            [folder / row["sound"] for row in first.values()],
            [row["text"] for row in first.values()],
            np.array([row["image"].startswith(SIGNS) for row in first.values()]),
            [folder / row["image"] for row in rows if not row["sound"]],
        )


def texts(data: Path, models: Path) -> dict[str, list[str]]:
    """The texts to fit through, by where they are from."""
    with (data / "prompts" / "parti-prompts.tsv").open(encoding="utf-8", newline="") as file:
        prompts = [row["Prompt"] for row in csv.DictReader(file, delimiter="\t")]
    with (data / "prompts" / "musiccaps.csv").open(encoding="utf-8", newline="") as file:
        phrases = Counter(phrase for row in csv.DictReader(file) for phrase in ast.literal_eval(row["aspect_list"]))
    with (data / "recordings" / "recordings.csv").open(encoding="utf-8", newline="") as file:
        described = [re.sub(r"[\W\d_]+", " ", row["description"]).strip() for row in csv.DictReader(file)]
    seen = classifier(f"tflite:{mobilenet(models)}", "image").labels
    heard = classifier(f"tflite:{yamnet(models)}", "audio").labels
    return {
        "prompts for pictures": prompts,
        "words for music": [phrase for phrase, count in phrases.items() if count >= COMMON],
        "descriptions of recordings": described,
        "names of classes": [name for label in (*seen, *heard) for name in synonyms(label)],
    }


def mobilenet(models: Path) -> Path:
    return models / "mobilenet-v2" / "mobilenet_v2_1.0_224_quant.tflite"


def yamnet(models: Path) -> Path:
    return models / "yamnet" / "yamnet.tflite"


class Remembered(Encoder):
    """The text side of an encoder, asked once for each text however often it is fitted through."""

    modalities = frozenset({"text"})

    def __init__(self, encoder: Encoder, known: Sequence[str]) -> None:
        self.space = encoder.space
        # Texts as a bridge tidies them, so that they are found again.
        learnt, asked = bridge.split(known, 0.0)
        rows = encode(encoder, [Media.from_text(text) for text in learnt + asked]).array
        self.rows = dict(zip(learnt + asked, rows, strict=True))

    def encode_batch(self, batch: Sequence[Media]) -> Floats:
        return np.stack([self.rows[part.text or ""] for part in batch])


def shown(name: str, scores: Floats, seed: int) -> npt.NDArray[np.float64]:
    """Print a line of figures for scores ``(n, n)`` whose right answers are on the diagonal; gives reciprocal ranks."""
    n = len(scores)
    found = retrieval(scores, np.eye(n, dtype=bool), cuts=CUTS, seed=seed)
    cells = []
    for k in CUTS:
        interval = wilson(round(found.hit[k].value * n), n)
        cells.append(f"{found.hit[k].value:.3f} ({interval.low:.3f}-{interval.high:.3f})")
    one = found.mrr
    cells.append(f"{one.value:.3f} ({one.interval.low:.3f}-{one.interval.high:.3f})")
    print(f"{name:46}" + "".join(f"{cell:>21}" for cell in cells) + f"{found.median_rank.value:8g}")
    return np.array([1 / own[0] for own in ranks(scores, np.eye(n, dtype=bool))])


def chance(n: int) -> None:
    found = retrieval(np.zeros((n, n)), np.eye(n, dtype=bool), cuts=CUTS)
    cells = [found.hit[k].chance for k in CUTS] + [found.mrr.chance]
    print(f"{'chance':46}" + "".join(f"{cell:<15.3f}".rjust(21) for cell in cells) + f"{found.median_rank.chance:8g}")


def headed(title: str, n: int) -> None:
    columns = "".join(f"{name:>21}" for name in ("recall@1", "recall@5", "recall@10", "MRR"))
    print(f"\n{title}: n = {n}\n{'':46}{columns}{'median':>8}")


@dataclass(frozen=True, eq=False)
class Side:
    """Pictures or sounds of the stamps in one space ``(n, dim)``, the mean of others of their kind, and the texts'."""

    modality: Modality
    rows: Floats
    mean: Floats
    described: Floats

    @classmethod
    def of(
        cls, encoder: Encoder, modality: Modality, files: Sequence[Path], others: Sequence[Path], stamps: Stamps
    ) -> Side:
        rows = encode(encoder, [Media.from_path(file) for file in (*files, *others)]).array
        described = encode(encoder, [Media.from_text(text) for text in stamps.texts]).array
        return cls(modality, rows[: len(files)], rows[len(files) :].mean(axis=0), described)

    def kept(self, some: npt.NDArray[np.bool_]) -> Side:
        """Some of the stamps, the same mean."""
        return replace(self, rows=self.rows[some], described=self.described[some])


def across(
    title: str, bridges: Mapping[str, Bridge], asking: Side, asked: Side, seed: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Print how well one side of the stamps finds the other over each bridge; gives their reciprocal ranks."""
    headed(f"{asking.modality} -> {asked.modality}, {title}", len(asking.rows))
    found = {
        name: shown(name, one.scores(asking.rows, asking.modality, asked.rows, asked.modality), seed)
        for name, one in bridges.items()
    }
    x, y = (bridges["asif"].arrays[key] for key in ("x", "y"))
    relative = asif_scores(centre(asking.rows, asking.mean), x, centre(asked.rows, asked.mean), unit(y), power=8)
    shown("asif, to the power of 8 as published", relative, seed)
    ridge = bridges["ridge"]
    for name, here, there in (
        ("ridge, means of the texts", ridge.means["source", "text"], ridge.means["target", "text"]),
        ("ridge, means of these stamps themselves", asking.rows.mean(axis=0), asked.rows.mean(axis=0)),
    ):
        means = {"source_mean": here, "target_mean": there}
        shown(name, ridge.scores(asking.rows, asking.modality, asked.rows, asked.modality, **means), seed)
    return found


def within(name: str, asking: Side, asked: Side, seed: int) -> npt.NDArray[np.float64]:
    """Print how well they do in one space; gives the reciprocal ranks."""
    centred = centre(asking.rows, asking.mean) @ centre(asked.rows, asked.mean).T
    shown(f"no bridge: both over {name}, centred", centred, seed)
    return shown(f"no bridge: both over {name}", asking.rows @ asked.rows.T, seed)


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with stamps/, prompts/, recordings/")
    parser.add_argument("--models", type=Path, required=True, help="a folder with yamnet/, mobilenet-v2/, potion...")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    arguments = parser.parse_args()
    data, models, seed = arguments.data, arguments.models, arguments.seed
    stamps = Stamps.read(data / "stamps")
    recordings = sorted((data / "recordings").rglob("*.ogg"))
    recordings = recordings[:: len(recordings) // RECORDINGS]
    sets = texts(data, models)
    union = [text for some in sets.values() for text in some]
    known: dict[str, Remembered] = {}
    pictures: dict[str, Side] = {}
    sounds: dict[str, Side] = {}
    for name, text in {"potion": f"static:{models / 'potion-base-4m-int8'}", "MiniLM": "sentence"}.items():
        eye = load({"family": "conse", "text": text, "image": f"tflite:{mobilenet(models)}", "top": 5})
        ear = load({"family": "conse", "text": text, "audio": f"tflite:{yamnet(models)}"})
        pictures[name] = Side.of(eye, "image", stamps.pictures, stamps.silent, stamps)
        sounds[name] = Side.of(ear, "audio", stamps.sounds, recordings, stamps)
        known[name] = Remembered(eye if name == "potion" else ear, union)

    def fitted(method: str, some: Sequence[str], source: str = "potion", target: str = "MiniLM") -> Bridge:
        means: dict[tuple[str, str], Floats] = {}
        for side, name in (("source", source), ("target", target)):
            here = pictures[name] if name == "potion" else sounds[name]
            means[side, here.modality] = here.mean
        return bridge.fit("measured", (known[source], {}), (known[target], {}), some, method=method, means=means)

    there = {method: fitted(method, union) for method in METHODS}
    back = {method: fitted(method, union, "MiniLM", "potion") for method in METHODS}
    by_texts = {f"ridge through {name}": fitted("ridge", some) for name, some in sets.items()}
    _, asked = bridge.split(union, 0.1)
    print(f"texts: {', '.join(f'{len(set(some)):,} {name}' for name, some in sets.items())}")
    print(f"{there['ridge'].texts:,} texts are fitted through, {len(asked):,} held out")
    print(f"means of {len(stamps.silent)} pictures and {len(recordings)} recordings; seed {seed}")
    x, y = (np.stack([known[name].rows[text] for text in asked]) for name in ("potion", "MiniLM"))
    for title, one, (before, after) in (
        ("potion -> MiniLM", {**there, **by_texts}, (x, y)),
        ("MiniLM -> potion", back, (y, x)),
    ):
        headed(f"texts held out of all four kinds find themselves, {title}", len(asked))
        for name, made in one.items():
            shown(name, made.scores(before, "text", after, "text"), seed)
        chance(len(asked))
    for title, some in (("all stamps with a sound", stamps.sign | True), ("those without signs", ~stamps.sign)):
        eyes = {name: side.kept(some) for name, side in pictures.items()}
        ears = {name: side.kept(some) for name, side in sounds.items()}
        for bridges, asking, answering in (({**there, **by_texts}, eyes, ears), (back, ears, eyes)):
            source, target = ("potion", "MiniLM") if asking is eyes else ("MiniLM", "potion")
            found = across(title, bridges, asking[source], answering[target], seed)
            same = {name: within(name, asking[name], answering[name], seed) for name in (source, target)}
            far = answering[target]
            shown(f"the description instead, over {target}", far.described @ far.rows.T, seed)
            chance(int(some.sum()))
            for method in METHODS:
                gains = {f"no bridge, {name}": found[method] - one for name, one in same.items()}
                if method != "two-hops":
                    gains["two-hops"] = found[method] - found["two-hops"]
                intervals = {name: bootstrap(gain, seed=seed) for name, gain in gains.items()}
                told = "; ".join(
                    f"{name} {gains[name].mean():+.3f} ({one.low:+.3f} to {one.high:+.3f})"
                    for name, one in intervals.items()
                )
                print(f"  MRR of {method} less that of {told}")


if __name__ == "__main__":
    main()
