"""How right are labels, from words alone and from examples, and how far can their confidences be trusted?

    python benchmarks/labels.py --data ../shared/data --models ../shared/models

ESC-10: 240 recordings in ten folders that name the classes, whose three folds (the first character of a file's name)
keep the clips of one source together. Stamps: 638 pictures with a category in a table; what has several takes no part.
Both are encoded by the bridge (ConSE) of a classifier and potion that ``esc10.py`` uses; a TOML file that names another
encoder of the same sides may be given with ``--encoder``.

Zero-shot labels are the classes' names as they stand, underscores as spaces. How confidence is made up
(``NONE`` and ``TEMPERATURE`` of ``analogon.labels.tag``) and that labels are not balanced by default was chosen on
ESC-10 alone, so the figures that tell something new are the stamps'. The probe's figures are cross-validated on both.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import analogon
from analogon import phrases
from analogon.labels import probe, tag
from analogon.labels.known import known_labels
from analogon.search import contents
from analogon.vectors.measure import bootstrap, wilson
from embed import Media, encode
from embed.encoder import Encoder
from embed.media import Modality

SEED: Final = 0
SKEWED: Final = 200  # draws of a collection in which one class is frequent
SHOTS: Final = (1, 2, 4, 8, 16)
DRAWS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """A collection's unit vectors, class numbers, and groups that belong together."""

    name: str
    encoder: Encoder
    modality: Modality
    vectors: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    names: list[str]
    groups: npt.NDArray[np.int64] | None

    def scores(self, templates: tuple[str, ...]) -> npt.NDArray[np.float32]:
        """The cosine of every item with every class, ``(items, classes)``."""
        labels = [tag.Label(name, (name.replace("_", " "),)) for name in self.names]
        return self.vectors @ tag.label_vectors(self.encoder, labels, templates).T

    def background(self) -> npt.NDArray[np.float32]:
        """The cosine of every item with every phrase of the bank."""
        bank = [Media.from_text(phrase) for phrase in phrases.bank(self.modality)]
        return self.vectors @ encode(self.encoder, bank, query=True).array.T


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with esc10/ and stamps/")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--encoder", help="an encoder of texts, audio and images: a TOML file or family:model")
    source.add_argument("--models", type=Path, help="a folder with yamnet/, mobilenet-v2/ and potion-base-4m-int8/")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = arguments.encoder or _bridge(arguments.models)
        for data in (_esc10(arguments.data, folder, encoder), _stamps(arguments.data, folder, encoder)):
            counts = np.bincount(data.truth)
            print(
                f"\n{data.name}: {len(data.truth)} items, {len(data.names)} classes of {counts.min()} to "
                f"{counts.max()}; guessing {1 / len(data.names):.3f}, most frequent class "
                f"{counts.max() / len(data.truth):.3f}; {data.encoder.space.model}"
            )
            zero_shot(data)
            confidence(data)
            linear_probe(data)


def _bridge(models: Path) -> dict[str, Any]:
    image = next((models / "mobilenet-v2").glob("*.tflite"))
    return {
        "family": "conse",
        "text": f"static:{models / 'potion-base-4m-int8'}",
        "audio": f"tflite:{models / 'yamnet' / 'yamnet.tflite'}",
        "image": f"tflite:{image}",
        "top": 10,
    }


def _esc10(data: Path, folder: Path, encoder: str | dict[str, Any]) -> Data:
    with analogon.open(folder / "esc10", create=True) as library:
        library.index(data / "esc10", encoders=[encoder], only=["audio"])
        there = contents.read(library, library.collection.spaces[0], "audio")
        paths = [Path(item.media.path or "") for item in there.items]
        names = sorted({path.parent.name for path in paths})
        truth = np.array([names.index(path.parent.name) for path in paths])
        groups = np.array([int(path.name[0]) for path in paths])
        loaded = library.collection.encoder(library.collection.spaces[0])
        return Data("ESC-10", loaded, "audio", there.means(), truth, names, groups)


def _stamps(data: Path, folder: Path, encoder: str | dict[str, Any]) -> Data:
    with analogon.open(folder / "stamps", create=True) as library:
        table = data / "stamps" / "stamps.csv"
        library.index(data / "stamps", encoders=[encoder], only=["image"], metadata=table, key="image")
        there = contents.read(library, library.collection.spaces[0], "image")
        labels = known_labels(there.items, "category").labels
        names = sorted({str(label) for label in labels.values()})
        truth = np.array([names.index(str(label)) for label in labels.values()])
        loaded = library.collection.encoder(library.collection.spaces[0])
        return Data("stamps", loaded, "image", there.means()[list(labels)], truth, names, None)


# -- from words alone --------------------------------------------------------------------------------------------------


def zero_shot(data: Data) -> None:
    """Accuracy and the mean of the classes' recalls: one wording, averaged templates, and balanced labels."""
    templates = tag.TEMPLATES[data.modality]
    print(f"  {'zero-shot labels':34}{'accuracy (95 %)':26}mean recall of classes")
    rows = [(f'"{template}"', data.scores((template,))) for template in templates]
    averaged = data.scores(templates)
    rows += [("averaged templates (default)", averaged), ("balanced (--balanced)", averaged - averaged.mean(axis=0))]
    for name, scores in rows:
        right = scores.argmax(axis=1) == data.truth
        interval = wilson(int(right.sum()), len(right))
        recalls = [right[data.truth == one].mean() for one in range(len(data.names))]
        print(f"  {name:34}{right.mean():.3f} ({interval.low:.3f} to {interval.high:.3f})    {np.mean(recalls):.3f}")
    if data.groups is not None:
        _skewed(data, averaged)


def _skewed(data: Data, scores: npt.NDArray[np.float32]) -> None:
    """Whether balancing is safe where classes are not equally frequent: all of one class, two of each other."""
    random = np.random.default_rng(SEED)
    plain, balanced = [], []
    for _ in range(SKEWED):
        frequent = random.integers(len(data.names))
        of_each = [random.permutation(np.flatnonzero(data.truth == one)) for one in range(len(data.names))]
        drawn = np.concatenate([some if one == frequent else some[:2] for one, some in enumerate(of_each)])
        some = scores[drawn]
        plain.append((some.argmax(axis=1) == data.truth[drawn]).mean())
        balanced.append(((some - some.mean(axis=0)).argmax(axis=1) == data.truth[drawn]).mean())
    print(f"  one class frequent, two items of each other ({SKEWED} draws, seed {SEED}):")
    for name, values in (("averaged templates", plain), ("balanced", balanced)):
        interval = bootstrap(values, seed=SEED)
        print(f"    {name:32}{np.mean(values):.3f} ({interval.low:.3f} to {interval.high:.3f})")


def confidence(data: Data) -> None:
    """How well confidences part right labels from wrong ones, and items whose class is on offer from others."""
    scores, background = data.scores(tag.TEMPLATES[data.modality]), data.background()

    def share_below(some: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        below = [(background < column[:, None]).mean(axis=1) for column in some.T]
        return np.stack(below, axis=1)

    kinds = {
        "confidence": lambda some: tag.confidences(some, background),
        "share of bank phrases below": share_below,
        "cosine": lambda some: some,
    }
    best = scores.argmax(axis=1)
    right = best == data.truth
    rows = np.arange(len(best))
    print(f"  {'parts, as AUROC (chance 0.5)':34}{'right from wrong':20}{'class on offer from not':26}bank of ", end="")
    print(f"{background.shape[1]} phrases")
    for name, made in kinds.items():
        told = _auroc(right, made(scores)[rows, best])
        offered, missing = [], []
        for one in range(len(data.names)):
            others = [other for other in range(len(data.names)) if other != one]
            some = scores[:, others]
            sure = made(some)[rows, some.argmax(axis=1)]
            missing += list(sure[data.truth == one])
            offered += list(sure[data.truth != one])
        both = _auroc(np.array([True] * len(offered) + [False] * len(missing)), np.array(offered + missing))
        print(f"  {name:34}{told:<20.3f}{both:.3f}")
    sure = tag.confidences(scores, background)[rows, best]
    error = probe.calibration_error(sure, right)
    print(f"  mean confidence {sure.mean():.3f} at accuracy {right.mean():.3f}; expected calibration error {error:.3f}")
    for least in (0.5, 0.9):
        kept = sure >= least
        said = f"{right[kept].mean():.3f}" if kept.any() else "-"
        print(f"  confidence of {least} or more: {kept.sum()} of {len(kept)} items, accuracy {said}")
    given = tag.confidences(scores, background, multiple=True) >= tag.FITS
    hits = int(given[rows, data.truth].sum())
    print(
        f"  --multiple: {given.sum(axis=1).mean():.2f} labels an item, recall {hits / len(rows):.3f}, "
        f"precision {hits / max(1, int(given.sum())):.3f}"
    )


def _auroc(positive: npt.NDArray[np.bool_], values: npt.NDArray[np.floating]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, values))


# -- from examples -----------------------------------------------------------------------------------------------------


def linear_probe(data: Data) -> None:
    """Cross-validated figures of the probe, and how many examples a class it takes to be better than words."""
    large = [one for one, count in enumerate(np.bincount(data.truth)) if count >= 5]
    kept = np.isin(data.truth, large)
    truth = np.searchsorted(large, data.truth[kept])
    names = [data.names[one] for one in large]
    groups = None if data.groups is None else data.groups[kept]
    found = probe.evaluate_probe(data.vectors[kept], truth, names, groups=groups)
    how = f"{found.folds} folds" + (f", {found.groups} groups kept whole" if found.groups else "")
    print(f"  probe on {found.items} items, {len(names)} classes, {how}, seed {SEED}")
    print(f"  {'':34}{'accuracy (95 %)':26}macro F1 (95 %)")
    for name, one, f1 in (
        ("linear probe", found.accuracy, found.f1),
        ("nearest class mean", found.centroid, found.centroid_f1),
    ):
        print(
            f"  {name:34}{one.value:.3f} ({one.interval.low:.3f} to {one.interval.high:.3f})    "
            f"{f1.value:.3f} ({f1.interval.low:.3f} to {f1.interval.high:.3f})"
        )
    print(f"  expected calibration error {found.calibration_error:.3f}, temperature {found.temperature:.2f}")
    if groups is not None:
        _few(data)


def _few(data: Data) -> None:
    """A probe on so many items a class of two of the folds, tested on the third; zero-shot on the same items."""
    assert data.groups is not None
    random = np.random.default_rng(SEED)
    words = (data.scores(tag.TEMPLATES[data.modality]).argmax(axis=1) == data.truth).mean()
    print(f"  probe by labelled items a class, on the other fold ({DRAWS} draws each, seed {SEED}); words {words:.3f}")
    for shots in SHOTS:
        accuracies = []
        for fold in np.unique(data.groups):
            test = data.groups == fold
            for _ in range(DRAWS):
                of_each = [np.flatnonzero(~test & (data.truth == one)) for one in range(len(data.names))]
                drawn = np.concatenate([random.permutation(some)[:shots] for some in of_each])
                said = probe.classify(data.vectors[drawn], data.truth[drawn], data.vectors[test], len(data.names))
                accuracies.append(float((said.argmax(axis=1) == data.truth[test]).mean()))
        low, high = np.quantile(accuracies, [0.025, 0.975])
        print(f"    {shots:3} {np.mean(accuracies):.3f} (95 % of draws: {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
