"""A linear probe: labels that some items have, learnt on frozen vectors, tested on held-out folds, given to the rest.

Alain and Bengio, "Understanding intermediate layers using linear classifier probes" (2016); as a measure of vectors,
Radford et al. (2021), section 3.2.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.labels.known import KnownLabels, Value, known_labels
from analogon.search import contents
from analogon.search.library import Library
from analogon.settings.arguments import EncoderName, superseded_keywords
from analogon.vectors.geometry import mean
from analogon.vectors.measure import Interval, wilson
from embed.errors import UsageError
from embed.media import Modality
from indexes.fields import check_label
from indexes.records import Item

__all__ = [
    "Confusion",
    "Evaluation",
    "Predicted",
    "Probed",
    "Score",
    "calibration_error",
    "classify",
    "evaluate_probe",
    "probe",
    "temperature_of",
    "write",
]

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

# Inverse strengths of the L2 penalty. The components of unit vectors are small: below 1 all classes look alike.
STRENGTHS: Final = (1.0, 10.0, 100.0, 1000.0)
INNER: Final = 3  # folds within a training fold, on which the strength is chosen
BINS: Final = 15
RESAMPLES: Final = 2000
CELLS: Final = 1 << 22
WORST: Final = 5


@dataclass(frozen=True, slots=True)
class Score:
    """A figure and its 95 % interval, which takes the items as independent of each other."""

    value: float
    interval: Interval

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "interval": self.interval.to_json()}


@dataclass(frozen=True, slots=True)
class Confusion:
    """Of ``support`` items that are ``truth``, so many (``count``) were predicted as ``predicted``."""

    truth: Value
    predicted: Value
    count: int
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well labels of items are told that took no part in training: every item was held out once.

    ``centroid`` is the baseline that takes the class whose mean is nearest; ``majority`` always says the most frequent
    class; ``chance`` guesses among the classes, 1 / classes. ``calibration_error`` is the expected
    calibration error of the confidences: the mean distance between how sure they are and how often they are right,
    with a temperature fitted on other folds than those it is applied to. ``temperature`` is that of all folds.
    """

    items: int
    classes: tuple[Value, ...]
    folds: int
    groups: int | None
    accuracy: Score
    f1: Score
    centroid: Score
    centroid_f1: Score
    majority: float
    chance: float
    calibration_error: float
    temperature: float
    confusions: tuple[Confusion, ...]


@dataclass(frozen=True, slots=True)
class Predicted:
    """A label for a content that had none; ``confidence`` is a probability as ``Evaluation`` tested it."""

    item: Item
    label: Value
    confidence: float


@dataclass(frozen=True, slots=True)
class Probed:
    """What ``probe`` found. ``left_out`` are classes that took no part, and why; ``notes`` what else is to be known."""

    model: str
    modality: Modality
    field: str
    evaluation: Evaluation
    left_out: Mapping[Value, str]
    predicted: tuple[Predicted, ...]
    labelled: tuple[Item, ...]
    notes: tuple[str, ...]

    def fields(self) -> dict[int, dict[str, Any]]:
        """Item id -> field -> value, as it is written; what has a label of its own gets none."""
        label, sure = f"{self.field}_predicted", f"{self.field}_confidence"
        said = {one.item.id: {label: one.label, sure: round(one.confidence, 4)} for one in self.predicted}
        return said | {item.id: {label: None, sure: None} for item in self.labelled}

    def to_json(self) -> dict[str, Any]:
        """One object: the evaluation's figures with their intervals, what they are to be seen by, and the labels."""
        one = self.evaluation
        return {
            "field": self.field,
            "model": self.model,
            "modality": self.modality,
            "labelled": len(self.labelled),
            "tested": one.items,
            "classes": list(one.classes),
            "left_out": {str(label): why for label, why in self.left_out.items()},
            "folds": one.folds,
            "groups": one.groups,
            "accuracy": one.accuracy.to_json(),
            "macro_f1": one.f1.to_json(),
            "nearest_centroid": {"accuracy": one.centroid.to_json(), "macro_f1": one.centroid_f1.to_json()},
            "majority": one.majority,
            "chance": one.chance,
            "calibration_error": one.calibration_error,
            "temperature": one.temperature,
            "confusions": [[pair.truth, pair.predicted, pair.count, pair.support] for pair in one.confusions],
            "predicted": [
                {"path": p.item.sources[0].path, "label": p.label, "confidence": round(p.confidence, 4)}
                for p in self.predicted
            ],
        }


# -- the method, on arrays -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Of every item, what a model says that did not see it: log-probabilities ``(items, classes)`` and its fold.

    A class that a fold's model did not see has the log-probability -inf.
    """

    logs: Floats
    centroid: Numbers
    fold: Numbers


def evaluate_probe(
    vectors: Rows, truth: Numbers, names: Sequence[Value], *, groups: Numbers | None = None, folds: int = 5
) -> Evaluation:
    """Cross-validate a logistic regression on unit rows ``(items, dim)`` with class numbers ``truth`` ``(items,)``.

    Folds keep the classes' shares (stratified, seed 0), and all items of one of ``groups`` in one fold. The strength
    of the penalty is chosen by log loss within each training fold. Components are not standardised: in a space of
    cosines they are of one unit, and dividing by their spread would lift those that hold nothing.
    """
    number = _folds(truth, groups, folds)
    held = _held_out(vectors, truth, groups, number)
    found = held.logs.argmax(axis=1)
    matrix = _matrix(truth, found, len(names))
    wrong = np.where(np.eye(len(names), dtype=bool), 0, matrix)
    worst = np.argsort(-wrong, axis=None, kind="stable")[:WORST]
    pairs = [divmod(int(one), len(names)) for one in worst if wrong.flat[one]]
    tempered = np.zeros_like(held.logs)
    for fold in np.unique(held.fold):
        inside = held.fold == fold
        tempered[inside] = _tempered(held.logs[inside], temperature_of(held.logs[~inside], truth[~inside]))
    return Evaluation(
        items=len(truth),
        classes=tuple(names),
        folds=number,
        groups=None if groups is None else len(np.unique(groups)),
        accuracy=_accuracy(truth, found),
        f1=_f1(matrix),
        centroid=_accuracy(truth, held.centroid),
        centroid_f1=_f1(_matrix(truth, held.centroid, len(names))),
        majority=float(np.bincount(truth).max() / len(truth)),
        chance=1 / len(names),
        calibration_error=calibration_error(tempered.max(axis=1), found == truth),
        temperature=temperature_of(held.logs, truth),
        confusions=tuple(Confusion(names[a], names[b], int(wrong[a, b]), int(matrix[a].sum())) for a, b in pairs),
    )


def _folds(truth: Numbers, groups: Numbers | None, folds: int) -> int:
    return folds if groups is None else min(folds, len(np.unique(groups)))


def _split(truth: Numbers, groups: Numbers | None, folds: int) -> list[tuple[Numbers, Numbers]]:
    """Training and held-out positions of each fold."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class in fewer groups than folds is in some folds not at all
        made = kind(folds, shuffle=True, random_state=0)
        return [(np.asarray(a), np.asarray(b)) for a, b in made.split(np.zeros(len(truth)), truth, groups)]


def _held_out(vectors: Rows, truth: Numbers, groups: Numbers | None, folds: int) -> _Held:
    classes = int(truth.max()) + 1
    held = _Held(
        np.full((len(truth), classes), -np.inf),
        np.zeros(len(truth), np.int64),
        np.zeros(len(truth), np.int64),
    )
    for fold, (seen, unseen) in enumerate(_split(truth, groups, folds)):
        inside = None if groups is None else groups[seen]
        held.logs[unseen] = classify(vectors[seen], truth[seen], vectors[unseen], classes, groups=inside)
        present = np.unique(truth[seen])
        middles = np.stack([mean(vectors[seen][truth[seen] == one]) for one in present])
        held.centroid[unseen] = present[(vectors[unseen] @ middles.T).argmax(axis=1)]
        held.fold[unseen] = fold
    return held


def classify(seen: Rows, truth: Numbers, unseen: Rows, classes: int, *, groups: Numbers | None = None) -> Floats:
    """What a probe fitted on unit rows ``seen`` ``(n, dim)`` with class numbers ``truth`` says of others.

    Gives log-probabilities ``(len(unseen), classes)``, -inf for classes that none of ``truth`` is of.
    """
    return _log_probabilities(_fit(seen, truth, _strength(seen, truth, groups)), unseen, classes)


def _fit(vectors: Rows, truth: Numbers, strength: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # classes that a plane parts have no finite optimum far off
        return LogisticRegression(C=strength, max_iter=1000).fit(np.asarray(vectors, np.float64), truth)


def _log_probabilities(model: Any, vectors: Rows, classes: int) -> Floats:
    logs = np.full((len(vectors), classes), -np.inf)
    logs[:, model.classes_] = model.predict_log_proba(np.asarray(vectors, np.float64))
    return logs


def _strength(vectors: Rows, truth: Numbers, groups: Numbers | None) -> float:
    """The strength with the least log loss on folds within; a middle one where there are too few items for folds."""
    few = int(np.bincount(truth)[np.unique(truth)].min())
    kinds = INNER if groups is None else min(INNER, len(np.unique(groups)))
    if kinds < 2:
        groups, kinds = None, INNER
    if min(few, kinds) < 2:
        return STRENGTHS[1]
    folds = _split(truth, groups, min(few, kinds) if groups is None else kinds)
    classes = int(truth.max()) + 1

    def loss(strength: float) -> float:
        models = [(_fit(vectors[seen], truth[seen], strength), unseen) for seen, unseen in folds]
        return sum(_loss(_log_probabilities(one, vectors[at], classes), truth[at]) for one, at in models)

    return STRENGTHS[int(np.argmin([loss(strength) for strength in STRENGTHS]))]


def _loss(logs: Floats, truth: Numbers) -> float:
    """Summed negative log-likelihood; an item of a class that the model did not see says nothing of the model."""
    own = logs[np.arange(len(truth)), truth]
    return float(-own[np.isfinite(own)].sum())


def temperature_of(logs: Floats, truth: Numbers) -> float:
    """The temperature that makes held-out log-probabilities ``(items, classes)`` as probable as can be, 0.1 to 10.

    Guo et al., "On calibration of modern neural networks" (2017).
    """
    from scipy.optimize import minimize_scalar

    known = np.isfinite(logs[np.arange(len(truth)), truth])  # the class was there to be learnt
    logs, truth = logs[known], truth[known]

    def loss(log: float) -> float:
        shares = _tempered(logs, float(np.exp(log)))[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(shares, 1e-300)).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(10.0)), method="bounded").x))


def _tempered(logs: Floats, temperature: float) -> Floats:
    scaled = logs / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares


def calibration_error(sure: Floats, right: npt.NDArray[np.bool_]) -> float:
    """The expected calibration error: of 15 equal bins of confidence, |mean confidence - share right|, by size.

    >>> round(calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([True, True, True, False])), 6)
    0.05
    """
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(float(sure[bins == one].sum() - right[bins == one].sum())) for one in np.unique(bins)]
    return sum(gaps) / len(sure)


def _matrix(truth: Numbers, found: Numbers, classes: int) -> Numbers:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, found), 1)
    return counts


def _accuracy(truth: Numbers, found: Numbers) -> Score:
    right = int((truth == found).sum())
    return Score(right / len(truth), wilson(right, len(truth)))


def _f1(matrix: Numbers) -> Score:
    """The mean of the classes' F1; its bootstrap interval draws the items anew, which is a draw of the matrix's cells.

    A class that a draw does not have, and that nothing was taken for, takes no part in that draw's mean.
    """

    def macro(matrices: Floats) -> Floats:
        hits = np.diagonal(matrices, axis1=1, axis2=2)
        both = matrices.sum(axis=1) + matrices.sum(axis=2)
        found: Floats = np.nanmean(np.where(both > 0, 2 * hits / np.maximum(both, 1), np.nan), axis=1)
        return found

    total = int(matrix.sum())
    random = np.random.default_rng(0)
    at_once = max(1, CELLS // matrix.size)  # many classes have many cells
    found = []
    for start in range(0, RESAMPLES, at_once):
        drawn = random.multinomial(total, (matrix / total).ravel(), size=min(at_once, RESAMPLES - start))
        found.append(macro(drawn.reshape(-1, *matrix.shape).astype(np.float64)))
    low, high = np.quantile(np.concatenate(found), [0.025, 0.975])
    return Score(float(macro(matrix[None].astype(np.float64))[0]), Interval(float(low), float(high)))


# -- on a collection ---------------------------------------------------------------------------------------------------


@superseded_keywords(encoders="spaces")
def probe(
    library: Library,
    column: str,
    *,
    table: str | os.PathLike[str] | None = None,
    key: str = "file",
    field: str | None = None,
    group: str | None = None,
    to: str | None = None,
    spaces: EncoderName | Sequence[EncoderName] = (),
    folds: int = 5,
) -> Probed:
    """Test how well a linear probe tells ``column`` on held-out folds, fit it on all, and label what has no label.

    Nothing is written (``write`` does). A content of several windows is their mean. The first of ``spaces``, one or
    several, that has vectors counts, or of all that there are. Classes with fewer than ``folds`` items, or of one group
    alone, take no part: they could not be tested. Raises ``UsageError`` for too few labels.
    """
    if folds < 2:
        raise UsageError(f"there are at least 2 folds, one to train on and one to test on, not {folds}")
    field = field or column
    for name in (f"{field}_predicted", f"{field}_confidence"):
        check_label(name)
    with library.collection.snapshot():
        known, modality = contents.choose_space(library, to, spaces)
        there = contents.read(library, known, modality)
    said = known_labels(there.items, column, table=table, key=key, group=group)
    left_out = _too_small(said, folds, grouped=group is not None)
    used = [position for position, label in said.labels.items() if label not in left_out]
    names = sorted({said.labels[position] for position in used}, key=str)
    if len(names) < 2:
        raise UsageError(
            f"{column!r} labels {len(said.labels)} of {len(there)} files; a probe needs two classes of {folds} files "
            f"each{', in two groups' if group else ''}, and there {'is one' if names else 'are none'}: label more, or "
            "ask for fewer `folds`"
        )
    numbers = {name: number for number, name in enumerate(names)}
    truth = np.array([numbers[said.labels[position]] for position in used])
    groups = _group_numbers(used, said.groups) if group else None
    vectors = there.means()
    found = evaluate_probe(vectors[used], truth, names, groups=groups, folds=folds)
    rest = [position for position in range(len(there)) if position not in said.labels and position not in said.torn]
    predicted: list[Predicted] = []
    if rest:
        logs = classify(vectors[used], truth, vectors[rest], len(names), groups=groups)
        shares = _tempered(logs, found.temperature)
        predicted = [
            Predicted(there.items[position], names[int(row.argmax())], float(row.max()))
            for position, row in zip(rest, shares, strict=True)
        ]
    labelled = tuple(there.items[position] for position in (*said.labels, *sorted(said.torn)))
    return Probed(known.space.model, modality, field, found, left_out, tuple(predicted), labelled, said.notes)


def _too_small(said: KnownLabels, folds: int, *, grouped: bool) -> dict[Value, str]:
    counts = Counter(said.labels.values())
    small = {label: f"{count} of {folds} files" for label, count in counts.items() if count < folds}
    if grouped:
        of: dict[Value, set[object]] = {}
        for position, label in said.labels.items():
            of.setdefault(label, set()).add(said.groups.get(position, (position,)))
        small |= {label: "one group alone" for label, groups in of.items() if len(groups) < 2 and label not in small}
    return small


def _group_numbers(used: Sequence[int], groups: Mapping[int, Value]) -> Numbers:
    """A number for each item's group; an item without one is a group of its own."""
    keys = [groups.get(position, (position,)) for position in used]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def write(library: Library, probed: Probed) -> None:
    """Keep the predicted labels with their contents; items that have a label of their own lose an older prediction."""
    contents.write_labels(library, probed.fields())
