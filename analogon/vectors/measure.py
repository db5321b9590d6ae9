"""How good a ranking or a share is, with its interval and its chance level, in numpy alone: every metric once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "CUTS",
    "RESAMPLES",
    "Estimate",
    "Interval",
    "Retrieval",
    "bootstrap",
    "bootstrap_crossed",
    "ranks",
    "retrieval",
    "retrieval_from_ranks",
    "wilson",
]

CUTS: Final = (1, 5, 10)
"""The k of hit@k and recall@k."""
RESAMPLES: Final = 2000
BLOCK: Final = 1 << 22  # numbers that one step of a bootstrap holds

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, both ends included."""

    low: float
    high: float

    def to_json(self) -> list[float]:
        """``[low, high]``."""
        return [self.low, self.high]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its interval, and what a random order would give on the same questions."""

    value: float
    interval: Interval
    chance: float

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"value": self.value, "interval": self.interval.to_json(), "chance": self.chance}


class Statistic(Protocol):
    """A number from many, along an axis: ``np.mean``, ``np.median``."""

    def __call__(self, values: Any, /, *, axis: int) -> Any: ...


# -- intervals ---------------------------------------------------------------------------------------------------------


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a share, ``successes`` of ``n`` independent trials (Wilson 1927).

    Unlike the textbook's normal interval it stays within 0 and 1 and does not shrink to a point at either end.
    Without trials nothing is known: 0 to 1. Raises ``ValueError`` unless 0 <= successes <= n.

    >>> interval = wilson(81, 263)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.2553, 0.3662)
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials cannot be")
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula gives 0 and 1 exactly, but for rounding.
    return Interval(0.0 if successes == 0 else middle - half, 1.0 if successes == n else middle + half)


def bootstrap(
    values: npt.ArrayLike,
    statistic: Statistic = np.mean,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The percentile interval of a statistic of ``values`` ``(n,)``, drawn anew with replacement (Efron 1979).

    The values must be independent of each other: one for each query, not for each hit. The same seed gives the same
    interval. Raises ``ValueError`` where there are no values.
    """
    drawn_from = np.asarray(values, np.float64)
    if drawn_from.ndim != 1 or not len(drawn_from):
        raise ValueError(f"a bootstrap wants values (n,) with n > 0, not {drawn_from.shape}")
    random = np.random.default_rng(seed)
    found = [
        statistic(drawn_from[random.integers(len(drawn_from), size=(count, len(drawn_from)))], axis=1)
        for count in _steps(resamples, len(drawn_from))
    ]
    return _percentiles(np.concatenate(found), confidence)


def bootstrap_crossed(
    values: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    strata: npt.ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Interval]:
    """The percentile intervals of the means of ``values`` ``(n, measures)`` whose rows share what they are made of.

    Row i is made of the things numbered ``first[i]`` and ``second[i]``, as an analogy question is made of two pairs.
    The things are drawn anew with replacement, and a row counts as often as the product of how often its two things
    were drawn (the pigeonhole bootstrap, Owen 2007). It is wider than ``bootstrap`` where rows that share a thing
    resemble each other, and does not understate the variance. With ``strata`` ``(n,)`` each stratum's things are drawn
    among themselves; a thing belongs to one stratum. Raises ``ValueError`` where there are no rows.
    """
    made = np.asarray(values, np.float64)
    ends = np.stack([np.asarray(first), np.asarray(second)])
    if made.ndim != 2 or not len(made) or ends.shape != (2, len(made)):
        raise ValueError(f"wants values (n, measures) and two things for each row, not {made.shape} and {ends.shape}")
    things, number = np.unique(ends, return_inverse=True)
    one, other = number.reshape(ends.shape)
    stratum = np.zeros(len(things), np.int64)
    stratum[one] = stratum[other] = 0 if strata is None else np.unique(strata, return_inverse=True)[1]
    members = [np.flatnonzero(stratum == which) for which in range(stratum.max() + 1)]
    random = np.random.default_rng(seed)
    means = []
    for count in _steps(resamples, len(made)):
        drawn = np.empty((count, len(things)))
        for among in members:
            drawn[:, among] = random.multinomial(len(among), np.full(len(among), 1 / len(among)), size=count)
        weights = drawn[:, one] * drawn[:, other]
        total = weights.sum(axis=1, keepdims=True)
        # Where things are few, a draw may have no row with both of its things: it says nothing.
        means.append(((weights @ made) / np.where(total > 0, total, np.nan))[total[:, 0] > 0])
    found = np.concatenate(means)
    return [_percentiles(column, confidence) if len(column) else Interval(0.0, 1.0) for column in found.T]


def _steps(resamples: int, width: int) -> list[int]:
    step = max(1, BLOCK // width)
    return [min(step, resamples - start) for start in range(0, resamples, step)]


def _percentiles(found: Floats, confidence: float) -> Interval:
    low, high = np.quantile(found, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(low), float(high))


# -- rankings ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How well queries find what is relevant to them: means over the queries, bootstrap intervals, chance levels.

    - ``hit[k]``: the share of queries with at least one relevant candidate among the first k. Papers on cross-modal
      retrieval call it R@k.
    - ``recall[k]``: the mean share of a query's relevant candidates that are among the first k: the classical recall.
      Where each query has one relevant candidate the two are the same.
    - ``mrr``: the mean of 1 / rank of the first relevant candidate.
    - ``map``: the mean of average precision, the mean over a query's relevant candidates of the precision at each.
    - ``ndcg``: DCG over the whole list with linear gains, discount log2(1 + rank), divided by the best possible
      (Järvelin and Kekäläinen 2002); gains are 0 and 1 unless others were given.
    - ``median_rank``: the median of the first relevant candidate's rank; lower is better.

    A relevant candidate whose score others share stands behind all of them that are less relevant: whoever scores all
    alike comes last, not first. Chance is exact: the expectation under a random order (for the median rank, the median
    of the ranks' distribution).
    """

    queries: int
    candidates: float
    """How many candidates a query has; their mean where queries differ."""
    relevant: float
    """How many of them are relevant to it, on average."""
    hit: Mapping[int, Estimate]
    recall: Mapping[int, Estimate]
    mrr: Estimate
    map: Estimate
    ndcg: Estimate
    median_rank: Estimate

    def figures(self) -> dict[str, Estimate]:
        """Every figure by the name that tables give it: ``hit@1`` ..., ``recall@1`` ..., ``MRR``, ``mAP``, ..."""
        cut = {f"{name}@{k}": one for name in ("hit", "recall") for k, one in getattr(self, name).items()}
        return {**cut, "MRR": self.mrr, "mAP": self.map, "nDCG": self.ndcg, "median rank": self.median_rank}

    def to_json(self) -> dict[str, Any]:
        """The counts, and each figure with its interval and chance level."""
        counts = {"queries": self.queries, "candidates": self.candidates, "relevant": self.relevant}
        return counts | {name.replace(" ", "_").lower(): one.to_json() for name, one in self.figures().items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """For one query: the ranks (from 1, ascending) and gains of what is relevant, among so many candidates."""

    ranks: npt.NDArray[np.int64]
    gains: Floats
    candidates: int


def ranks(
    scores: npt.ArrayLike, relevant: npt.ArrayLike, *, allowed: npt.ArrayLike | None = None
) -> list[npt.NDArray[np.int64]]:
    """The ranks, from 1, of each query's relevant candidates, ascending; of equal scores the relevant come last.

    ``scores`` is ``(queries, candidates)``, higher is better; ``relevant`` of the same shape, bool or gains of at least
    0; where ``allowed`` (bool) is False there is no candidate for that query. Raises ``ValueError`` where the shapes
    differ, a score is not a number, or a query has nothing relevant.
    """
    return [found.ranks for found in _ranked(scores, relevant, allowed)]


def _ranked(scores: npt.ArrayLike, relevant: npt.ArrayLike, allowed: npt.ArrayLike | None) -> list[_Found]:
    scores, gains = np.asarray(scores), np.asarray(relevant, np.float64)
    mask = np.ones(scores.shape, bool) if allowed is None else np.asarray(allowed, bool)
    if scores.ndim != 2 or gains.shape != scores.shape or mask.shape != scores.shape:
        raise ValueError(f"scores are {scores.shape}, relevance is {gains.shape}, allowed is {mask.shape}")
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    if (gains < 0).any() or not np.isfinite(gains).all():
        raise ValueError("a gain is below 0 or not finite")
    found = []
    for query, (row, gain, may) in enumerate(zip(scores, gains, mask, strict=True)):
        row, gain = row[may], gain[may]
        if not gain.any():
            raise ValueError(f"query {query} has nothing relevant among its candidates")
        ordered = gain[np.lexsort((gain, -row))]
        places = np.flatnonzero(ordered)
        found.append(_Found(places + 1, ordered[places], len(row)))
    return found


def retrieval(
    scores: npt.ArrayLike,
    relevant: npt.ArrayLike,
    *,
    allowed: npt.ArrayLike | None = None,
    cuts: Sequence[int] = CUTS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Retrieval:
    """All figures of a score matrix; the arguments are those of ``ranks``, the intervals those of ``bootstrap``."""
    return _retrieval(_ranked(scores, relevant, allowed), cuts, resamples, seed, confidence)


def retrieval_from_ranks(
    ranks: Sequence[npt.ArrayLike],
    candidates: int | Sequence[int],
    *,
    cuts: Sequence[int] = CUTS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Retrieval:
    """All figures of rankings that are known by the ranks, from 1, of each query's relevant candidates.

    ``candidates`` is how many there are, for all queries or for each. Raises ``ValueError`` where ranks cannot be.
    """
    counts = [candidates] * len(ranks) if isinstance(candidates, int) else candidates
    found = []
    for query, (of_query, count) in enumerate(zip(ranks, counts, strict=True)):
        places = np.unique(np.asarray(of_query, np.int64))
        if not len(places) or len(places) != np.size(of_query) or places[0] < 1 or places[-1] > count:
            raise ValueError(f"query {query}: ranks should be different numbers from 1 to {count}: {of_query}")
        found.append(_Found(places, np.ones(len(places)), count))
    return _retrieval(found, cuts, resamples, seed, confidence)


def _retrieval(found: Sequence[_Found], cuts: Sequence[int], resamples: int, seed: int, confidence: float) -> Retrieval:
    if not found:
        raise ValueError("there are no queries to measure")

    def estimate(values: Sequence[float], chance: float, statistic: Statistic = np.mean) -> Estimate:
        interval = bootstrap(values, statistic, resamples=resamples, seed=seed, confidence=confidence)
        return Estimate(float(statistic(np.asarray(values), axis=0)), interval, chance)

    def mean(values: Sequence[float], chances: Sequence[float]) -> Estimate:
        return estimate(values, float(np.mean(chances)))

    def least(one: _Found) -> int:
        return int(one.ranks[0])

    return Retrieval(
        queries=len(found),
        candidates=float(np.mean([one.candidates for one in found])),
        relevant=float(np.mean([len(one.ranks) for one in found])),
        hit={k: mean([float(least(one) <= k) for one in found], [_chance_hit(one, k) for one in found]) for k in cuts},
        recall={
            k: mean([float((one.ranks <= k).mean()) for one in found], [min(k / one.candidates, 1.0) for one in found])
            for k in cuts
        },
        mrr=mean([1 / least(one) for one in found], [_chance_reciprocal(one) for one in found]),
        map=mean([_precision(one) for one in found], [_chance_precision(one) for one in found]),
        ndcg=mean([_ndcg(one) for one in found], [_chance_ndcg(one) for one in found]),
        median_rank=estimate([least(one) for one in found], _chance_median(found), np.median),
    )


def _precision(one: _Found) -> float:
    return float((np.arange(1, len(one.ranks) + 1) / one.ranks).mean())


def _dcg(gains: Floats, at: npt.NDArray[np.int64]) -> float:
    return float((gains / np.log2(1.0 + at)).sum())


def _best_dcg(one: _Found) -> float:
    return _dcg(np.sort(one.gains)[::-1], np.arange(1, len(one.gains) + 1))


def _ndcg(one: _Found) -> float:
    return _dcg(one.gains, one.ranks) / _best_dcg(one)


# -- chance: r relevant candidates among n, in a random order ----------------------------------------------------------


def _first_beyond(one: _Found) -> Floats:
    """P(the first relevant candidate comes after rank k) for k = 0 ... n: C(n - k, r) / C(n, r)."""
    n, r = one.candidates, len(one.ranks)
    k = np.arange(n)
    return np.concatenate([[1.0], np.cumprod(np.maximum(n - k - r, 0) / (n - k))])


def _chance_hit(one: _Found, k: int) -> float:
    """Hypergeometric: one minus the chance that none of the first k is relevant."""
    return 1.0 - float(_first_beyond(one)[min(k, one.candidates)])


def _chance_reciprocal(one: _Found) -> float:
    at = np.arange(1, one.candidates + 1)
    return float((-np.diff(_first_beyond(one)) / at).sum())


def _chance_precision(one: _Found) -> float:
    """E[AP] = (H + (r - 1) (n - H) / (n - 1)) / n with the harmonic number H = 1 + 1/2 + ... + 1/n.

    A place k holds a relevant candidate with probability r / n, and then (k - 1) (r - 1) / (n - 1) more are expected
    before it.
    """
    n, r = one.candidates, len(one.ranks)
    harmonic = float((1.0 / np.arange(1, n + 1)).sum())
    return 1.0 if n == 1 else (harmonic + (r - 1) * (n - harmonic) / (n - 1)) / n


def _chance_ndcg(one: _Found) -> float:
    """Every place holds the mean gain in expectation."""
    n = one.candidates
    return _dcg(np.full(n, one.gains.sum() / n), np.arange(1, n + 1)) / _best_dcg(one)


def _chance_median(found: Sequence[_Found]) -> float:
    """The median of the first relevant rank, over queries and random orders; between two where half lies between."""
    longest = max(one.candidates for one in found)
    beyond = np.zeros(longest + 1)
    for one in found:
        beyond[: one.candidates + 1] += _first_beyond(one) / len(found)
    reached = 1.0 - beyond
    low, high = np.argmax(reached >= 0.5 - 1e-12), np.argmax(reached > 0.5 + 1e-12)
    return float(low + high) / 2
