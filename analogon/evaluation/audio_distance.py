"""How far a set of recordings is from a reference set: FAD and KAD on any audio encoder, with intervals and chance."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.vectors.geometry import unit
from analogon.vectors.measure import Interval
from embed.encoder import Encoder
from embed.errors import UnsupportedModality, UsageError
from embed.media import Media, modalities_of
from embed.pipeline import Encoded, encode_stream
from embed.several import several
from embed.space import Space
from indexes.walk import files_under

__all__ = [
    "Comparison",
    "Distance",
    "Recordings",
    "compare",
    "encode_recordings",
    "fad",
    "fad_infinity",
    "jackknife",
    "kad",
    "median_distance",
    "recordings_in",
]

SCALE: Final = 100.0
"""KAD is the squared maximum mean discrepancy times this."""
GROUPS: Final = 50
"""So many groups of recordings are left out in turn, at most, for an interval of FAD."""
SPLITS: Final = 40
"""So often the reference is halved for the chance level."""
STEPS: Final = 15
"""So many sizes of sample FAD-infinity is extrapolated from."""
DRAWS: Final = 4
"""So many samples of each size."""
LEAST: Final = 3
"""Recordings of each set: with one left out there are still two to differ."""
MANY_WINDOWS: Final = 1.2
"""So many windows for each recording, on average, are worth a remark."""
SAMPLE: Final = 4000  # rows whose pairwise distances have their median taken
BLOCK: Final = 1024  # rows whose kernels with all others are held at a time

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


# -- the two distances -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Gaussian:
    """A Gaussian fitted to rows: its mean, and a factor of its covariance, ``factor.T @ factor``."""

    mean: Floats
    factor: Floats

    @classmethod
    def of(cls, rows: npt.ArrayLike) -> _Gaussian:
        array = _matrix(rows)
        mean = array.mean(axis=0)
        factor = (array - mean) / math.sqrt(len(array) - 1)
        if len(array) > array.shape[1]:
            factor = np.asarray(np.linalg.qr(factor, mode="r"))
        return cls(mean, factor)

    def distance(self, other: _Gaussian) -> float:
        # tr sqrt(C1 C2) is the sum of the singular values of F1 F2', where C = F'F. No root of a matrix is taken, and
        # of eigenvalues near 0 none has its rounding error's root taken: it stays exact where n is below the dimension.
        cross = np.linalg.svd(self.factor @ other.factor.T, compute_uv=False).sum()
        spread = np.square(self.factor).sum() + np.square(other.factor).sum() - 2 * cross
        return float(np.square(self.mean - other.mean).sum() + spread)


def fad(reference: npt.ArrayLike, evaluated: npt.ArrayLike) -> float:
    """Fréchet audio distance (Kilgour et al. 2019) of embeddings ``(n, dim)`` from those of a reference ``(m, dim)``.

    ``|mu1 - mu2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2))`` of the Gaussians with the sets' means and (n - 1) covariances, in
    float64. It is biased upwards, by about a constant over n: sets of one distribution have a FAD above 0 that falls
    as they grow, and figures of sets of different sizes are not comparable. Raises ``ValueError`` below two rows.

    >>> round(fad([[0.0], [2.0]], [[3.0], [7.0]]), 6)  # means 1 and 5, standard deviations sqrt(2) and sqrt(8)
    18.0
    """
    return _Gaussian.of(reference).distance(_Gaussian.of(evaluated))


def fad_infinity(
    reference: npt.ArrayLike,
    evaluated: npt.ArrayLike,
    *,
    owners: tuple[Numbers, Numbers] | None = None,
    seed: int = 0,
) -> float | None:
    """FAD of samples without end, extrapolated over 1 / n (Gui et al. 2024); None where the sets are too small.

    Unlike there, both sets shrink by the same share, since both have a bias, and samples are drawn without
    replacement, which would narrow them. ``owners`` says for both sets which recording each row is of: recordings are
    drawn then, with all their rows. A line over 1 / n holds only where covariances have full rank: half of either set
    must have more rows than dimensions.
    """
    first, second = _matrix(reference), _matrix(evaluated)
    if min(len(first), len(second)) // 2 <= first.shape[1]:
        return None
    numbers = owners or (np.arange(len(first)), np.arange(len(second)))
    random = np.random.default_rng(seed)

    def drawn(rows: Floats, of: Numbers, share: float) -> Floats:
        count = int(of.max()) + 1
        return rows[np.isin(of, random.permutation(count)[: max(2, round(share * count))])]

    shares = np.repeat(np.linspace(0.5, 1.0, STEPS), DRAWS)
    found = [fad(drawn(first, numbers[0], share), drawn(second, numbers[1], share)) for share in shares]
    return float(np.polyfit(1 / shares, found, 1)[1])


def median_distance(rows: npt.ArrayLike, *, seed: int = 0) -> float:
    """The median Euclidean distance among rows ``(n, dim)``; of more than 4,000 among so many drawn from them."""
    from scipy.spatial.distance import pdist

    array = _matrix(rows)
    if len(array) > SAMPLE:
        array = array[np.random.default_rng(seed).choice(len(array), SAMPLE, replace=False)]
    return float(np.median(pdist(array)))


def kad(reference: npt.ArrayLike, evaluated: npt.ArrayLike, *, bandwidth: float | None = None) -> float:
    """Kernel audio distance (Chung et al. 2025) of embeddings ``(n, dim)`` from those of a reference ``(m, dim)``.

    100 times the unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012) with the kernel
    ``exp(-|x - y|^2 / (2 bandwidth^2))``; the bandwidth is the median distance among the reference's rows unless it is
    given. Of two sets of one distribution its expectation is 0, whatever their sizes, so it is below 0 as often as
    above. (Some versions of the authors' package take the median of the set that they are handed second.)
    Raises ``ValueError`` below two rows, ``UsageError`` where the bandwidth is 0.

    >>> round(kad([[0.0], [1.0]], [[0.0], [1.0]], bandwidth=1.0), 4)  # 2 k(1) - 2 (2 k(0) + 2 k(1)) / 4
    -39.3469
    """
    first, second = _matrix(reference), _matrix(evaluated)
    sigma = _bandwidth(median_distance(first) if bandwidth is None else bandwidth)
    alone = [_Kernels.of(rows, np.arange(len(rows)), rows, sigma, same=True) for rows in (first, second)]
    return SCALE * _discrepancy(alone[0], alone[1], _Kernels.of(first, np.arange(len(first)), second, sigma))


@dataclass(frozen=True, slots=True, eq=False)
class _Kernels:
    """Sums of a kernel over pairs of rows: all of them, and those that go when one recording's rows go."""

    total: float
    pairs: int
    without: Floats
    """``total`` without recording r, ``(recordings,)``."""
    left: Numbers
    """How many pairs are in it."""

    @classmethod
    def of(cls, rows: Floats, owners: Numbers, others: Floats, sigma: float, *, same: bool = False) -> _Kernels:
        """Of ``rows`` of recordings ``owners`` with ``others``; ``same``: each with the rest of the same rows."""
        counts = np.bincount(owners)
        of_row = np.empty(len(rows))
        inside = np.zeros(len(counts))
        squares = np.square(others).sum(axis=1)
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            gaps = np.square(part).sum(axis=1)[:, None] + squares - 2 * part @ others.T
            kernel = np.exp(-np.maximum(gaps, 0.0) / (2 * sigma**2))
            if same:
                kernel[np.arange(len(part)), start + np.arange(len(part))] = 0.0
                within = np.where(owners[start : start + BLOCK, None] == owners, kernel, 0.0).sum(axis=1)
                np.add.at(inside, owners[start : start + BLOCK], within)
            of_row[start : start + BLOCK] = kernel.sum(axis=1)
        of_recording = np.bincount(owners, of_row).astype(np.float64)
        total = float(of_row.sum())
        if not same:
            left = (len(rows) - counts) * len(others)
            return cls(total, len(rows) * len(others), total - of_recording, left)
        # Its pairs with the others go twice, those among its own rows once.
        rest = len(rows) - counts
        return cls(total, len(rows) * (len(rows) - 1), total - 2 * of_recording + inside, rest * (rest - 1))


def _discrepancy(first: _Kernels, second: _Kernels, cross: _Kernels) -> float:
    return first.total / first.pairs + second.total / second.pairs - 2 * cross.total / cross.pairs


def _matrix(rows: npt.ArrayLike) -> Floats:
    array = np.asarray(rows, np.float64)
    if array.ndim != 2 or len(array) < 2:
        raise ValueError(f"a distance of sets wants rows (n, dim) with n > 1, not {array.shape}")
    return array


def _bandwidth(sigma: float) -> float:
    if not (math.isfinite(sigma) and sigma > 0):
        raise UsageError(f"KAD's bandwidth is {sigma:g}: at least half of the reference's pairs are the same sound")
    return sigma


# -- intervals ---------------------------------------------------------------------------------------------------------


def jackknife(value: float, *left_out: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """The interval of a statistic of several independent sets, from its values with a part of one set left out.

    ``left_out`` holds for each set the values ``(parts,)`` that the statistic takes without each of its parts, the
    recordings or groups of as many. Their variances add up (Efron and Stein 1981: in expectation never below the
    true one of a symmetric statistic, whether it is smooth or not), and Student's t has Satterthwaite's degrees of
    freedom.

    A bootstrap would not do here: what it draws twice has a distance of 0 and a kernel of 1 to itself, and its samples
    have fewer different rows, so both distances come out too large and percentiles lie beside the estimate. The
    interval is about what the statistic would be of other recordings of the same number: FAD's bias is in it.
    """
    from scipy.stats import t

    variances, freedoms = [], []
    for values in left_out:
        without = np.asarray(values, np.float64)
        parts = len(without)
        variances.append((parts - 1) / parts * float(np.square(without - without.mean()).sum()))
        freedoms.append(parts - 1)
    total = sum(variances)
    if total == 0.0:
        return Interval(value, value)
    freedom = total**2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    half = float(t.ppf(0.5 + confidence / 2, freedom)) * math.sqrt(total)
    return Interval(value - half, value + half)


# -- recordings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """Embeddings of recordings: ``rows`` float64 ``(n, dim)`` of unit length, of recording ``owners`` ``(n,)``."""

    space: Space
    rows: Floats
    owners: Numbers
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def of(self, chosen: npt.ArrayLike) -> Floats:
        """The rows of some recordings."""
        return self.rows[np.isin(self.owners, np.asarray(chosen))]


def recordings_in(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], skipped: Callable[[str], None]
) -> list[str]:
    """The audio files among one path or several, and under folders; ``skipped`` hears of what cannot be looked at."""
    found = []
    for path in several(paths):
        if not Path(path).exists():
            raise UsageError(f"{path}: no such file or folder")
        for name in files_under(str(path), lambda name, reason: skipped(f"{name}: {reason}")):
            if "audio" in modalities_of(name):
                found.append(name)
    return found


def encode_recordings(
    encoder: Encoder, files: Sequence[str], *, whole: bool = False, skipped: Callable[[str], None]
) -> Recordings:
    """Encode audio files: a row for each window of the encoder's length, or ``whole``, the mean of a file's windows.

    Rows have unit length, as everywhere here; published figures of FAD are on what a model gives, which is of unit
    length for CLAP and not for VGGish. A file that cannot be read is told to ``skipped`` and left out. Raises
    ``UnsupportedModality`` where the encoder has no side for audio.
    """
    if "audio" not in encoder.modalities:
        sides = ", ".join(sorted(encoder.modalities))
        raise UnsupportedModality(f"{encoder.space.model} encodes {sides}; a distance of recordings wants audio")
    of_file: dict[int, list[Floats]] = {}
    for result in encode_stream(encoder, [Media.from_path(name, "audio") for name in files]):
        if isinstance(result, Encoded):
            of_file.setdefault(result.index, []).append(result.vector.astype(np.float64))
        elif result.error is not None:
            skipped(str(result.error))
    rows: list[Floats] = []
    owners: list[int] = []
    for number, index in enumerate(sorted(of_file)):
        windows = of_file[index]
        kept = [unit(np.mean(windows, axis=0)).astype(np.float64)] if whole else windows
        rows += kept
        owners += [number] * len(kept)
    array = np.stack(rows) if rows else np.empty((0, encoder.space.dim))
    return Recordings(encoder.space, array, np.asarray(owners, np.int64), tuple(files[i] for i in sorted(of_file)))


# -- a comparison ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance of two sets, its 95 % interval, and what chance gives.

    ``halves`` is the range of 95 % of 40 distances between two random halves of the reference. (Their mean would say
    less: over all halvings KAD's is 0 whatever the reference is.)
    """

    value: float
    interval: Interval
    halves: Interval

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "interval": self.interval.to_json(), "halves": self.halves.to_json()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The distances of one set of recordings from another in one space, and what to know of them."""

    space: Space
    evaluated: int
    evaluated_rows: int
    reference: int
    reference_rows: int
    bandwidth: float
    kad: Distance
    fad: Distance
    fad_infinity: float | None
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "encoder": self.space.model,
            "space": self.space.id,
            "recordings": {"evaluated": self.evaluated, "reference": self.reference},
            "rows": {"evaluated": self.evaluated_rows, "reference": self.reference_rows},
            "bandwidth": self.bandwidth,
            "kad": self.kad.to_json(),
            "fad": self.fad.to_json(),
            "fad_infinity": self.fad_infinity,
            "remarks": list(self.remarks),
        }


def compare(reference: Recordings, evaluated: Recordings, *, seed: int = 0, splits: int = SPLITS) -> Comparison:
    """FAD and KAD of recordings from a reference, with intervals over recordings and the chance level.

    Raises ``SpaceMismatch`` where they live in two spaces, ``UsageError`` where there are too few: three of each, and
    four of the reference, whose halves are compared.
    """
    reference.space.check(evaluated.space)
    for name, recordings, least in (("evaluated", evaluated, LEAST), ("reference", reference, LEAST + 1)):
        if len(recordings) < least:
            raise UsageError(
                f"{len(recordings)} {name} recordings could be encoded; a distance with an interval needs {least}"
            )
    sigma = _bandwidth(median_distance(reference.rows, seed=seed))
    halves = _halves(reference, seed, splits)
    return Comparison(
        space=reference.space,
        evaluated=len(evaluated),
        evaluated_rows=len(evaluated.rows),
        reference=len(reference),
        reference_rows=len(reference.rows),
        bandwidth=sigma,
        kad=_kad_estimate(reference, evaluated, sigma, halves),
        fad=_fad_estimate(reference, evaluated, seed, halves),
        fad_infinity=fad_infinity(
            reference.rows, evaluated.rows, owners=(reference.owners, evaluated.owners), seed=seed
        ),
        remarks=tuple(_remarks(reference, evaluated)),
    )


def _kad_estimate(
    reference: Recordings, evaluated: Recordings, sigma: float, halves: Sequence[tuple[Floats, Floats]]
) -> Distance:
    first = _Kernels.of(reference.rows, reference.owners, reference.rows, sigma, same=True)
    second = _Kernels.of(evaluated.rows, evaluated.owners, evaluated.rows, sigma, same=True)
    cross = _Kernels.of(reference.rows, reference.owners, evaluated.rows, sigma)
    back = _Kernels.of(evaluated.rows, evaluated.owners, reference.rows, sigma)
    both = cross.total / cross.pairs
    without_reference = first.without / first.left + second.total / second.pairs - 2 * cross.without / cross.left
    without_evaluated = first.total / first.pairs + second.without / second.left - 2 * back.without / back.left
    value = SCALE * (first.total / first.pairs + second.total / second.pairs - 2 * both)
    interval = jackknife(value, SCALE * without_reference, SCALE * without_evaluated)
    return Distance(value, interval, _range([kad(one, other, bandwidth=sigma) for one, other in halves]))


def _fad_estimate(
    reference: Recordings, evaluated: Recordings, seed: int, halves: Sequence[tuple[Floats, Floats]]
) -> Distance:
    first, second = _Gaussian.of(reference.rows), _Gaussian.of(evaluated.rows)
    left_out = [
        [whole.distance(_Gaussian.of(rows)) for rows in _without_each_group(recordings, seed)]
        for recordings, whole in ((reference, second), (evaluated, first))
    ]
    value = first.distance(second)
    return Distance(value, jackknife(value, *left_out), _range([fad(one, other) for one, other in halves]))


def _without_each_group(recordings: Recordings, seed: int) -> Iterable[Floats]:
    """The rows without each of up to 50 random groups of recordings."""
    order = np.random.default_rng(seed).permutation(len(recordings))
    for group in np.array_split(order, min(GROUPS, len(recordings))):
        yield recordings.rows[~np.isin(recordings.owners, group)]


def _halves(recordings: Recordings, seed: int, splits: int) -> list[tuple[Floats, Floats]]:
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(recordings)) for _ in range(splits)]
    half = len(recordings) // 2
    return [(recordings.of(order[:half]), recordings.of(order[half:])) for order in orders]


def _range(distances: Sequence[float]) -> Interval:
    low, high = np.quantile(distances, [0.025, 0.975])
    return Interval(float(low), float(high))


def _remarks(reference: Recordings, evaluated: Recordings) -> Iterable[str]:
    dim = reference.space.dim
    sets = (("evaluated", evaluated), ("reference", reference))
    few = [f"{len(recordings.rows)} {name}" for name, recordings in sets if len(recordings.rows) <= dim]
    if few:
        yield (
            f"{' and '.join(few)} vectors in {dim} dimensions give no covariance of full rank: FAD is far above what "
            "more would give; KAD has no such bias"
        )
    for name, recordings in sets:
        windows = len(recordings.rows) / len(recordings)
        if windows >= MANY_WINDOWS:
            yield (
                f"{name} recordings have {windows:.3g} windows on average, which resemble each other: KAD of windows "
                "is above 0 even where there is no difference; that of whole recordings is not"
            )
    both = {str(Path(path).resolve()) for path in reference.paths} & {str(Path(p).resolve()) for p in evaluated.paths}
    if both:
        yield f"{len(both)} recordings are in both sets, which makes both distances too small"
