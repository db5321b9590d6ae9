"""Step: which texts stand for YAMNet's classes, and how its scores become vectors; measured, with YAMNet's own scores.

    python training/starter/labels.py --data ../shared/data --models ../shared/models --text static:OUT/text --cache OUT

Names are YAMNet's display names, texts those of labels.csv beside this file, both is all of them. Chosen on
``recordings`` alone: 300 sources with their descriptions, a description should find its recording among the 300.
Fold 3 of ESC-10 is printed for what was chosen and for plain ConSE on names.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embed import Media, decode, encode, load
from embed.classifier import Classifier, classifier
from embed.encoder import AudioInput, Encoder
from embed.encoders.conse import synonyms
from embed.pipeline import Encoded, encode_stream
from embed.space import unit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.esc10 import QUERIES
from training.starter.sounds import group, held_out

LABELS: Final = Path(__file__).with_name("labels.csv")
SOURCES: Final = 300
DRAWS: Final = 20
TOPS: Final = (5, 10, 20, 521)
POWERS: Final = (0.5, 0.75, 1.0, 1.5)
ALPHAS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bridge:
    """How scores become vectors: ``(score / prior ** alpha) ** power`` of the ``top`` best classes weighs theirs."""

    top: int = 10
    power: float = 1.0
    alpha: float = 0.0

    def __call__(self, scores: Matrix, prior: npt.NDArray[np.float64], classes: Matrix) -> Matrix:
        """Unit vectors ``(n, dim)`` of scores ``(n, classes)``; a prior ``(classes,)``, vectors ``(classes, dim)``."""
        weights = (scores.astype(np.float64) / prior**self.alpha) ** self.power
        weakest = np.argsort(-weights, axis=1, kind="stable")[:, self.top :]
        np.put_along_axis(weights, weakest, 0.0, axis=1)
        return unit(weights @ classes)


@dataclass(frozen=True, slots=True)
class Found:
    """How well descriptions found their recordings: means over descriptions."""

    recall: float
    reciprocal_rank: float


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--text", required=True, help="an encoder of texts")
    parser.add_argument("--cache", type=Path, required=True, help="a folder that keeps YAMNet's scores")
    arguments = parser.parse_args()
    text = load(arguments.text)
    ear = classifier(f"tflite:{arguments.models / 'yamnet' / 'yamnet.tflite'}", "audio")

    with (arguments.data / "recordings" / "recordings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    files = [arguments.data / "recordings" / row["file"] for row in rows]
    scores = scored(ear, files, arguments.cache / "yamnet_recordings_max.npy")
    learnt = np.array([not held_out(group(row["set"], row["description"])) for row in rows])
    prior = scores[learnt].mean(axis=0, dtype=np.float64)
    described = encode_texts(text, [source_of(row["description"]) for row in rows])
    draws = [draw(rows, seed, np.any(described, axis=1) & learnt) for seed in range(DRAWS)]

    texts = read_texts()
    names = [synonyms(label) for label in ear.labels]
    kinds = {
        "names": class_vectors(text, names),
        "texts": class_vectors(text, texts),
        "both": class_vectors(text, [[*a, *b] for a, b in zip(names, texts, strict=True)]),
    }

    def measure(kind: str, bridge: Bridge) -> tuple[Found, list[Found]]:
        vectors = bridge(scores, prior, kinds[kind])
        each = [retrieval(described[one], vectors[one]) for one in draws]
        mean = np.mean([(found.recall, found.reciprocal_rank) for found in each], axis=0)
        return Found(*mean.tolist()), each

    chance = f"chance {5 / SOURCES:.3f} and {np.mean(1 / np.arange(1, SOURCES + 1)):.3f}"
    print(f"{SOURCES} descriptions, each to find its recording; mean of {DRAWS} draws, then seed 0; {chance}")
    measured = {}
    for kind, top, power, alpha in itertools.product(kinds, TOPS, POWERS, ALPHAS):
        bridge = Bridge(top, power, alpha)
        found, each = measure(kind, bridge)
        measured[kind, bridge] = found
        print(
            f"{kind:6} top {top:3} power {power:4.2f} alpha {alpha:4.2f}  recall at 5 {found.recall:.3f}, "
            f"reciprocal rank {found.reciprocal_rank:.3f} (seed 0: {each[0].recall:.3f}, "
            f"{each[0].reciprocal_rank:.3f})"
        )
    best_kind, best = max(measured, key=lambda one: measured[one].reciprocal_rank)
    print(f"best by mean reciprocal rank: {best_kind}, {best}")

    folder = arguments.data / "esc10"
    fold = sorted(path for path in folder.glob("*/*") if path.name.startswith("3"))
    heard = scored(ear, fold, arguments.cache / "yamnet_esc10_fold3_max.npy")
    truth = np.array([path.parent.name for path in fold])
    print(f"ESC-10 fold 3: {len(fold)} recordings, chance 0.100")
    for kind, bridge in ((best_kind, best), ("names", Bridge())):
        print(f"{kind}, {bridge}: {esc10(text, bridge(heard, prior, kinds[kind]), truth)}")


def scored(ear: Classifier, files: Sequence[Path], memory: Path) -> Matrix:
    """The classifier's scores for whole recordings, ``(files, classes)``; kept in ``memory``."""
    if memory.is_file():
        known: Matrix = np.load(memory)
        if len(known) == len(files):
            return known
    rows = []
    for path in files:
        (part,) = decode.parts(Media.from_path(path), audio=AudioInput(ear.rate, None))
        assert part.array is not None
        rows.append(ear.scores([part.array])[0])
    memory.parent.mkdir(parents=True, exist_ok=True)
    np.save(memory, np.stack(rows))
    return np.stack(rows)


def source_of(description: str) -> str:
    """A description without what numbers the takes, so that takes of one source have one description.

    >>> source_of("DroppingCoins2"), source_of("rain 02"), source_of("bellyside r vl1 rr3")
    ('dropping coins', 'rain', 'bellyside')
    """
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", description).lower()
    kept = [re.sub(r"\d+", "", word) for word in words.split() if not re.fullmatch(r"(vl|rr|[a-g]#?|v)\d+", word)]
    return " ".join(word for word in kept if len(word) > 1)


def draw(rows: Sequence[dict[str, str]], seed: int, usable: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Row numbers of one recording each of ``SOURCES`` sources, drawn at random."""
    takes: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if usable[number]:
            takes.setdefault(source_of(row["description"]), []).append(number)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(sorted(takes), SOURCES, replace=False)
    return np.array([rng.choice(takes[source]) for source in chosen])


def retrieval(queries: Matrix, vectors: Matrix) -> Found:
    """Query number i should find vector number i."""
    cosines = queries @ vectors.T
    ranks = 1 + (cosines > np.diag(cosines)[:, None]).sum(axis=1)
    return Found(float((ranks <= 5).mean()), float((1 / ranks).mean()))


def encode_texts(text: Encoder, texts: Sequence[str]) -> Matrix:
    """Unit vectors; zeros for a text without a known word, which the caller leaves out."""
    rows = np.zeros((len(texts), text.space.dim), dtype=np.float32)
    for result in encode_stream(text, [Media.from_text(one) for one in texts]):
        if isinstance(result, Encoded):
            rows[result.index] = result.vector
    return rows


def read_texts() -> list[list[str]]:
    """The texts of each class in the order of the classifier's outputs."""
    with LABELS.open(encoding="utf-8", newline="") as file:
        return [row["texts"].split("|") for row in csv.DictReader(file)]


def class_vectors(text: Encoder, texts: Sequence[Sequence[str]]) -> Matrix:
    """The normalised mean of the unit vectors of each class's texts, ``(classes, dim)``."""
    flat = encode_texts(text, [one for several in texts for one in several])
    ends = np.cumsum([len(several) for several in texts])
    return unit([part.sum(axis=0) for part in np.split(flat, ends[:-1])])


def esc10(text: Encoder, vectors: Matrix, truth: npt.NDArray[np.str_]) -> str:
    """Mean precision of a question for each class among as many as the class has, and zero-shot accuracy."""
    classes = sorted(QUERIES)
    questions = encode(text, [Media.from_text(QUERIES[name]) for name in classes], query=True).array
    order = np.argsort(-(questions @ vectors.T), axis=1, kind="stable")
    sizes = [int((truth == name).sum()) for name in classes]
    precisions = [np.mean(truth[best[:size]] == name) for best, name, size in zip(order, classes, sizes, strict=True)]
    names = encode(text, [Media.from_text(name.replace("_", " ")) for name in classes], query=True).array
    right = np.mean(np.array(classes)[(vectors @ names.T).argmax(axis=1)] == truth)
    return f"precision at {sizes[0]} {np.mean(precisions):.3f}, zero-shot {right:.3f}"


if __name__ == "__main__":
    main()
