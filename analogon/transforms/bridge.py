"""Bridges: a query of one space asks the vectors of another, through texts that both spaces know.

=============  ==========================================================================  ==========================
method         how a source vector x becomes a target vector                               source
=============  ==========================================================================  ==========================
ridge          (x - m) W + m', W = (X'X + lambda I)^-1 X'Y on centred texts                Hoerl and Kennard 1970
procrustes     the same with the W of orthonormal rows or columns that fits best           Schoenemann 1966
two-hops       the weighted mean of the target vectors of the captions nearest to x
asif           as two-hops, weighted by powers of the cosines with many captions           Norelli et al. 2022
=============  ==========================================================================  ==========================

X and Y are the same texts in both spaces. Sounds, pictures and texts lie apart even in one space (Liang et al. 2022,
"Mind the gap"), so x is centred by the mean m of its own modality, and m' is that of the modality that is asked. Before
m' is added, what is carried is brought to the length that vectors have about their mean.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.settings.shelf import Damaged, Shelf
from analogon.vectors.geometry import unit
from analogon.vectors.measure import Interval, ranks, wilson
from embed.encoder import Encoder, resolve
from embed.errors import AnalogonError, UsageError
from embed.inputs import Model, encoder_of
from embed.listener import Listener
from embed.media import Media, Modality
from embed.pipeline import Encoded, encode_stream
from embed.space import Space

__all__ = [
    "METHODS",
    "Bridge",
    "HeldOut",
    "asif_scores",
    "bridge",
    "fit",
    "leading_to",
    "load",
    "procrustes",
    "remove",
    "ridge",
    "solve",
    "split",
]

Rows = npt.NDArray[np.float32]
METHODS: Final = ("ridge", "procrustes", "two-hops", "asif")
SHELF: Final = Shelf("bridge", request="bridges.FitBridge")
# These were chosen on folds of the texts that benchmarks/bridges.py fits through, some 7,000.
NEAREST: Final = 10  # captions that two hops go over
SHARPNESS: Final = 10.0  # of the softmax over their cosines
ASIF_KEPT: Final = 800  # anchors that count
ASIF_POWER: Final = 2  # of their cosines; Norelli et al. 2022 took 8, with 1.6 million anchors
FOLDS: Final = 5
PENALTIES: Final = tuple(
    10.0**exponent for exponent in np.arange(-4.0, 2.5, 0.5)
)  # times the mean squared singular value
FEWEST: Final = 20
"""Texts below which nothing is fitted."""
FEW: Final = 500
"""Texts below which a bridge is likely to be poor."""
MEASURED: Final = 2000
"""Held-out texts that are measured on, at most: more would cost much and say little more."""
BLOCK: Final = 1 << 24  # cosines that are sorted at once


# -- formulas --------------------------------------------------------------------------------------------------------


def ridge(x: Rows, y: Rows, penalty: float) -> Rows:
    """``(X'X + penalty I)^-1 X'Y`` for centred rows ``(n, da)`` and ``(n, db)``, float32 ``(da, db)``."""
    return _ridges(x, y, [penalty])[0]


def _ridges(x: Rows, y: Rows, penalties: Sequence[float]) -> list[Rows]:
    """One ridge regression for each penalty, from one singular value decomposition."""
    left, sizes, right = np.linalg.svd(np.asarray(x, np.float64), full_matrices=False)
    seen = left.T @ np.asarray(y, np.float64)
    return [((right.T * (sizes / (sizes**2 + p))) @ seen).astype(np.float32) for p in penalties]


def procrustes(x: Rows, y: Rows) -> Rows:
    """The W ``(da, db)`` with orthonormal rows or columns that has the largest ``trace(Y'XW)``, float32.

    Where both spaces have as many dimensions this is the rotation, perhaps with a reflection, that brings X closest
    to Y (Schoenemann 1966).
    """
    left, _, right = np.linalg.svd(np.asarray(x, np.float64).T @ np.asarray(y, np.float64), full_matrices=False)
    return np.asarray(left @ right, np.float32)


def _hops(rows: Rows, x: Rows) -> Rows:
    """Two hops' weights over captions ``(q, n)``: a softmax over the nearest, zero for the others."""
    return _sparse(rows, x, NEAREST, lambda cosines: np.exp(SHARPNESS * (cosines - cosines.max(axis=1, keepdims=True))))


def _relative(rows: Rows, anchors: Rows, power: float) -> Rows:
    """ASIF's relative representation over anchors ``(q, n)``: the largest cosines, to a power, the others zero."""
    return unit(_sparse(rows, anchors, ASIF_KEPT, lambda cosines: np.maximum(cosines, 0.0) ** power))


def _sparse(rows: Rows, anchors: Rows, kept: int, weigh: Callable[[Rows], npt.NDArray[Any]]) -> Rows:
    """What ``weigh`` makes of each row's ``kept`` largest cosines with the anchors, ``(q, n)``; the others are zero."""
    kept = min(kept, len(anchors))
    weights = np.zeros((len(rows), len(anchors)), np.float32)
    step = max(1, BLOCK // len(anchors))
    for start in range(0, len(rows), step):
        cosines = rows[start : start + step] @ anchors.T
        best = np.argpartition(-cosines, kept - 1, axis=1)[:, :kept]
        found = weigh(np.take_along_axis(cosines, best, axis=1))
        np.put_along_axis(weights[start : start + step], best, found.astype(np.float32), axis=1)
    return weights


def asif_scores(rows: Rows, x: Rows, targets: Rows, y: Rows, power: float = ASIF_POWER) -> Rows:
    """ASIF's scores ``(q, t)``: cosines of the relative representations of source rows over the anchors ``x`` and of
    target rows over the anchors ``y``; anchor i is one text in both spaces.

    Norelli et al., "ASIF: Coupled Data Turns Unimodal Models to Multimodal Without Training" (2022), equation 2.
    """
    found: Rows = _relative(rows, x, power) @ _relative(targets, y, power).T
    return found


# -- the bridge ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How often a text that was held out finds itself in the other space, among ``n`` that were."""

    n: int
    recall_at_1: float
    recall_at_10: float
    interval_at_10: Interval

    @property
    def chance_at_10(self) -> float:
        """What a random order would give."""
        return min(1.0, 10 / self.n) if self.n else 0.0


@dataclass(frozen=True, eq=False)
class Bridge:
    """A map from one space to another.

    ``encoders`` are the tables that ``embed.load`` makes the two sides' encoders from. ``texts`` were learnt from, and
    ``digest`` is their hash. ``means`` has each side's mean by modality, ``("source", "image")``; "text" is always
    there. ``arrays`` are the method's own: ``map``, or the captions' vectors ``x`` and ``y``.
    """

    name: str
    source: Space
    target: Space
    method: str
    encoders: tuple[Mapping[str, Any], Mapping[str, Any]]
    texts: int
    digest: str
    held_out: HeldOut
    means: Mapping[tuple[str, str], Rows] = field(repr=False)
    arrays: Mapping[str, Rows] = field(repr=False)
    penalty: float | None = None
    created: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    @property
    def remark(self) -> str:
        """What to say where it was crossed."""
        between = f" from {self.source.model} to {self.target.model}" if self.source.model != self.target.model else ""
        return (
            f"through the bridge {self.name}{between} ({self.method}, "
            f"{self.texts} texts; of {self.held_out.n} held out {self.held_out.recall_at_10:.0%} are in the first 10)"
        )

    def mean(self, side: str, modality: Modality) -> Rows:
        """The mean of a side's vectors of a modality, ``(dim,)``; where it is not known that of its texts."""
        return self.means.get((side, modality), self.means[side, "text"])

    def apply(
        self,
        rows: Rows,
        modality: Modality,
        to: Modality = "text",
        *,
        source_mean: Rows | None = None,
        target_mean: Rows | None = None,
    ) -> Rows:
        """Unit rows ``(n, source.dim)`` of a modality as unit rows ``(n, target.dim)`` that ask for ``to``, float32.

        The means stand in for those that the bridge keeps. A bridge by ASIF gives the vector whose inner products are
        its scores where the target's side is left as it is, neither sparse nor raised to a power; ``scores`` are exact.
        """
        here = self.mean("source", modality) if source_mean is None else source_mean
        there = self.mean("target", to) if target_mean is None else target_mean
        rows = np.asarray(rows - here, np.float32)
        if "map" in self.arrays:
            carried = rows @ self.arrays["map"]
        else:
            x, asking = self.arrays["x"], unit(rows)
            weights = _hops(asking, x) if self.method == "two-hops" else _relative(asking, x, ASIF_POWER)
            carried = weights @ self.arrays["y"]
        # Ridge and averages shrink what they carry, and the mean would drown it. Unit rows lie as far from their mean
        # m', in the root mean square, as is left of their length: sqrt(1 - |m'|^2).
        far = np.sqrt(max(0.0, 1.0 - float(there @ there)))
        return unit(far * unit(carried) + there)

    def scores(
        self,
        rows: Rows,
        modality: Modality,
        targets: Rows,
        to: Modality,
        *,
        source_mean: Rows | None = None,
        target_mean: Rows | None = None,
    ) -> Rows:
        """How well target rows ``(t, target.dim)`` answer source rows ``(q, source.dim)``, float32 ``(q, t)``."""
        if self.method != "asif":
            found: Rows = self.apply(rows, modality, to, source_mean=source_mean, target_mean=target_mean) @ targets.T
            return found
        here = self.mean("source", modality) if source_mean is None else source_mean
        there = self.mean("target", to) if target_mean is None else target_mean
        return asif_scores(unit(rows - here), self.arrays["x"], unit(targets - there), unit(self.arrays["y"]))

    def to_json(self) -> dict[str, Any]:
        """What a listing says of it."""
        out = self.held_out
        return {
            "name": self.name,
            "from": self.source.model,
            "to": self.target.model,
            "method": self.method,
            "penalty": self.penalty,
            "texts": self.texts,
            "digest": self.digest,
            "held_out": out.n,
            "recall_at_1": out.recall_at_1,
            "recall_at_10": out.recall_at_10,
            "interval_at_10": out.interval_at_10.to_json(),
            "chance_at_10": out.chance_at_10,
            "means": [f"{side} {modality}" for side, modality in sorted(self.means)],
            "created": self.created,
        }

    def save(self) -> None:
        """Keep the bridge under its name; one that had it before is replaced."""
        record = {
            "source": self.source.to_json(),
            "target": self.target.to_json(),
            "method": self.method,
            "encoders": [dict(table) for table in self.encoders],
            "texts": self.texts,
            "digest": self.digest,
            "held_out": [self.held_out.n, self.held_out.recall_at_1, self.held_out.recall_at_10],
            "interval": self.held_out.interval_at_10.to_json(),
            "penalty": self.penalty,
            "created": self.created,
        }
        means = {f"mean {side} {modality}": mean for (side, modality), mean in self.means.items()}
        SHELF.put(self.name, record, {**self.arrays, **means})

    @classmethod
    def load(cls, name: str) -> Bridge:
        """The bridge kept under a name.

        Raises ``UsageError``, saying which there are, and ``AnalogonError`` where its file contradicts itself.
        """
        return load(name)


def load(name: str) -> Bridge:
    """The bridge kept under a name.

    Raises ``UsageError``, saying which there are, and ``AnalogonError`` where its file contradicts itself.
    """
    kept = SHELF.get(name)
    record = kept.record
    try:
        n, first, ten = record["held_out"]
        means = {(k.split()[1], k.split()[2]): rows for k, rows in kept.arrays.items() if k.startswith("mean ")}
        arrays = {k: rows for k, rows in kept.arrays.items() if not k.startswith("mean ")}
        source, target = Space.from_json(record["source"]), Space.from_json(record["target"])
        here, there = record["encoders"]
        if any(len(mean) != (source if side == "source" else target).dim for (side, _), mean in means.items()):
            raise ValueError("its means are of other dimensions than its spaces")
        return Bridge(
            name,
            source,
            target,
            record["method"],
            (dict(here), dict(there)),
            int(record["texts"]),
            str(record["digest"]),
            HeldOut(int(n), float(first), float(ten), Interval(*record["interval"])),
            means,
            arrays,
            record["penalty"],
            str(record["created"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise AnalogonError(f"{SHELF.path(name)}: not a readable bridge ({error}); fit it again") from None


def remove(name: str) -> None:
    """Forget a bridge. Raises ``UsageError`` where there is none of that name."""
    SHELF.remove(name)


def leading_to(space: Space, damaged: Damaged = lambda line: None) -> list[Bridge]:
    """The bridges that lead into a space, those that find most first; ``damaged`` hears of unreadable files."""
    found = [bridge for bridge in SHELF.each(load, damaged) if bridge.target == space]
    return sorted(found, key=lambda bridge: -bridge.held_out.recall_at_10)


# -- fitting ---------------------------------------------------------------------------------------------------------


def split(texts: Sequence[str], held_out: float) -> tuple[list[str], list[str]]:
    """Texts to learn from and texts to measure on, each once; equal texts but for case are one.

    Which side a text is on follows from its own hash: whatever else is in the list, it never changes sides.
    """
    once = {" ".join(text.split()).casefold(): " ".join(text.split()) for text in reversed(texts) if text.strip()}

    def share(key: str) -> float:
        digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
        return float(int.from_bytes(digest)) / 2**64

    kept = [text for key, text in once.items() if share(key) >= held_out]
    return kept[::-1], [text for key, text in once.items() if share(key) < held_out][::-1]


def solve(method: str, x: Rows, y: Rows) -> tuple[dict[str, Rows], float | None]:
    """A method's arrays from text vectors ``(n, da)`` and ``(n, db)``, and ridge's penalty, which cross-validation
    over the texts chooses."""
    x, y = np.asarray(x - x.mean(axis=0), np.float32), np.asarray(y - y.mean(axis=0), np.float32)
    if method == "ridge":
        penalty = _penalty(x, y)
        return {"map": ridge(x, y, penalty)}, penalty
    if method == "procrustes":
        return {"map": procrustes(x, y)}, None
    return {"x": unit(x), "y": y}, None


def _penalty(x: Rows, y: Rows) -> float:
    """The penalty whose maps bring held-out folds of the texts closest to where they belong, by cosine."""
    scale = float((np.asarray(x, np.float64) ** 2).sum() / x.shape[1])
    fold = np.arange(len(x)) % FOLDS
    found = np.zeros(len(PENALTIES))
    for number in range(FOLDS):
        out = fold == number
        maps = _ridges(x[~out], y[~out], [p * scale for p in PENALTIES])
        found += [float((unit(x[out] @ one) * unit(y[out])).sum(axis=1).mean()) for one in maps]
    return float(PENALTIES[int(found.argmax())] * scale)


def fit(
    name: str,
    source: tuple[Encoder, Mapping[str, Any]],
    target: tuple[Encoder, Mapping[str, Any]],
    texts: Sequence[str],
    *,
    method: str = "ridge",
    held_out: float = 0.1,
    means: Mapping[tuple[str, str], Rows] | None = None,
    skipped: Callable[[str, str], None] = lambda text, reason: None,
    listener: Listener | None = None,
) -> Bridge:
    """Fit a bridge through texts, and measure it on a share ``held_out`` of them, which it does not learn from.

    ``source`` and ``target`` are encoders of texts with their tables. ``means`` are unlabelled means of modalities, as
    ``Bridge.means`` has them. ``skipped`` hears of texts that one of the encoders cannot encode, ``listener`` of
    a phase, and may stop it. Raises ``UsageError`` where too few are left.
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    for encoder, _ in (source, target):
        if "text" not in encoder.modalities:
            raise UsageError(f"{encoder.space.model} takes no texts: a bridge goes through texts that both sides take")
    if source[0].space == target[0].space:
        raise UsageError(
            f"{source[0].space.model} and {target[0].space.model} are one space: there is nothing to cross"
        )
    learnt, asked = split(texts, held_out)
    asked = asked[:MEASURED]
    both = [*learnt, *asked]
    listener = listener or Listener()
    listener.phase("texts", 2 * len(both))
    here, there = (_encoded(encoder, both, skipped, listener) for encoder, _ in (source, target))
    known = np.asarray(here.any(axis=1) & there.any(axis=1), dtype=np.bool_)
    first, rest = known[: len(learnt)], known[len(learnt) :]
    x, y = here[: len(learnt)][first], there[: len(learnt)][first]
    if len(x) < FEWEST:
        raise UsageError(
            f"{len(x)} different texts to learn from are too few: a bridge wants hundreds, better thousands"
        )
    digest = hashlib.blake2b(digest_size=16)
    for text, kept in zip(learnt, first.tolist(), strict=True):
        digest.update(text.encode("utf-8", "replace") + b"\0" if kept else b"")
    arrays, penalty = solve(method, x, y)
    whole = {("source", "text"): x.mean(axis=0), ("target", "text"): y.mean(axis=0), **(means or {})}
    bridge = Bridge(
        name,
        source[0].space,
        target[0].space,
        method,
        (source[1], target[1]),
        len(x),
        digest.hexdigest(),
        HeldOut(0, 0.0, 0.0, wilson(0, 0)),
        whole,
        arrays,
        penalty,
    )
    return _measured(bridge, here[len(learnt) :][rest], there[len(learnt) :][rest])


def bridge(
    name: str,
    source: Model,
    target: Model,
    texts: Iterable[str],
    *,
    method: str = "ridge",
    held_out: float = 0.1,
    means: Mapping[tuple[str, str], npt.ArrayLike] | None = None,
) -> Bridge:
    """A bridge from the space of one encoder of texts to that of another, as ``fit`` makes it.

    ``source`` and ``target`` are encoders as ``analogon.encode`` takes them; some thousand ``texts`` do well, 20 are
    the fewest. ``method`` is one of "ridge", "procrustes", "two-hops" and "asif". ``means`` are the unlabelled means
    ``(dim,)`` of what is no text, such as ``{("source", "image"): ..., ("target", "audio"): ...}``; without them those
    of the texts stand in. ``save`` keeps the bridge, so that a search finds it. What cannot be encoded is warned of.
    Encoding all texts in both spaces is what it costs. Raises ``UsageError`` where too few texts are left.

    >>> between = bridge("toys", "toy:16", "toy:8", [f"text number {number}" for number in range(60)])
    >>> between.apply(np.eye(16, dtype=np.float32)[:2], "text").shape
    (2, 8)
    """
    sides = [encoder_of(model) for model in (source, target)]
    rows = {side: np.asarray(mean, np.float32) for side, mean in (means or {}).items()}
    for side, mean in rows.items():
        if side[0] not in ("source", "target"):
            raise UsageError(f"a mean is of ('source' or 'target', a modality), not of {side!r}")
        dim = sides[side[0] == "target"].space.dim
        if mean.shape != (dim,) or not np.isfinite(mean).all():
            raise UsageError(f"the mean of {' '.join(side)} is {mean.shape}, not {dim} finite numbers")
    left_out: list[str] = []

    def skipped(text: str, reason: str) -> None:
        left_out.append(f"left out {text[:60]!r}: {reason}")

    here, there = ((encoder, resolve(encoder)) for encoder in sides)
    made = fit(name, here, there, list(texts), method=method, held_out=held_out, means=rows, skipped=skipped)
    for line in left_out:
        warnings.warn(line, stacklevel=2)
    return made


def _measured(bridge: Bridge, x: Rows, y: Rows) -> Bridge:
    if not len(x):
        return bridge
    places = np.array([int(own[0]) for own in ranks(bridge.scores(x, "text", y, "text"), np.eye(len(x), dtype=bool))])
    first, ten = (int((places <= k).sum()) for k in (1, 10))
    return replace(bridge, held_out=HeldOut(len(x), first / len(x), ten / len(x), wilson(ten, len(x))))


def _encoded(encoder: Encoder, texts: Sequence[str], skipped: Callable[[str, str], None], listener: Listener) -> Rows:
    """A unit row for each text, ``(n, dim)``; zeros for those that cannot be encoded."""
    sums = np.zeros((len(texts), encoder.space.dim))
    for result in encode_stream(encoder, [Media.from_text(text) for text in texts]):
        if isinstance(result, Encoded):
            sums[result.index] += result.vector
            continue
        listener.advance()
        listener.check()
        if result.error is not None and not result.parts:
            skipped(texts[result.index], result.error.reason)
    return unit(sums)
