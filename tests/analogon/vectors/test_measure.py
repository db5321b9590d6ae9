"""Metrics against plain loops, scikit-learn, published values, and every order there is."""

from __future__ import annotations

import itertools
import math
from statistics import median

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score, top_k_accuracy_score

from analogon.vectors.measure import (
    Interval,
    Retrieval,
    bootstrap,
    bootstrap_crossed,
    ranks,
    retrieval,
    retrieval_from_ranks,
    wilson,
)

# -- intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I,
    # method 3: the score interval without continuity correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n).low == pytest.approx(low, abs=5e-5)
    assert wilson(successes, n).high == pytest.approx(high, abs=5e-5)


def test_wilson_ends_where_the_score_test_rejects() -> None:
    # The interval holds the shares p at which (x/n - p)^2 = z^2 p (1 - p) / n.
    z = 1.6448536269514722
    for successes, n in ((3, 11), (11, 11), (0, 5), (500, 1000)):
        interval = wilson(successes, n, confidence=0.9)
        for p in (interval.low, interval.high):
            if 0 < p < 1:
                assert (successes / n - p) ** 2 == pytest.approx(z * z * p * (1 - p) / n)
    assert wilson(0, 5).low == 0.0 and wilson(5, 5).high == 1.0
    assert wilson(0, 0) == Interval(0.0, 1.0)
    with pytest.raises(ValueError, match="6 successes of 5"):
        wilson(6, 5)


def test_bootstrap_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    interval = bootstrap(values, resamples=8000)
    error = values.std() / math.sqrt(400)
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.05 * error * 1.96)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.05 * error * 1.96)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3) != bootstrap(values, seed=4)


def test_bootstrap_of_three_values_gives_the_quantiles_of_all_27_resamples() -> None:
    values = [1.0, 2.0, 6.0]
    every = [median(drawn) for drawn in itertools.product(values, repeat=3)]
    assert sorted(every).count(1.0) == 7  # 26 % of the draws: the lower quartile is 1, the upper 6
    assert bootstrap(values, np.median, confidence=0.5) == Interval(1.0, 6.0)
    assert bootstrap(values, np.median, confidence=0.4) == Interval(2.0, 2.0)
    assert bootstrap([4.0], np.median) == Interval(4.0, 4.0)
    with pytest.raises(ValueError, match="n > 0"):
        bootstrap([])


def _questions(seed: int, pairs: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every question of two different pairs; it is right with a probability that its pairs bring along."""
    random = np.random.default_rng(seed)
    ease = random.normal(size=pairs)
    first, second = np.array([(i, j) for i in range(pairs) for j in range(pairs) if i != j]).T
    right = (ease[first] + ease[second] + random.normal(size=len(first)) > 0).astype(float)
    return right, first, second, ease


def test_questions_that_share_pairs_need_the_crossed_bootstrap() -> None:
    means, covered, plain = [], 0, 0
    for seed in range(60):
        right, first, second, _ = _questions(seed)
        means.append(right.mean())
        [crossed] = bootstrap_crossed(right[:, None], first, second, resamples=200)
        naive = wilson(int(right.sum()), len(right))
        covered += crossed.low <= 0.5 <= crossed.high  # the true share: everything is symmetrical about 0
        plain += naive.low <= 0.5 <= naive.high
    assert covered >= 52
    assert plain <= 30


def test_crossed_bootstrap_of_two_things_can_be_counted() -> None:
    # Two things make the questions (0, 1) and (1, 0). Half of the draws have one thing twice and no question; the
    # others have both questions once: the mean is always that of both.
    assert bootstrap_crossed([[0.0], [1.0]], ["x", "y"], ["y", "x"]) == [Interval(0.5, 0.5)]
    # A question whose two things are one counts with the square of its draws: 1/2 in half of the draws, else 0 or 1.
    assert bootstrap_crossed([[0.0, 5.0], [1.0, 5.0]], [0, 1], [0, 1]) == [Interval(0.0, 1.0), Interval(5.0, 5.0)]
    assert bootstrap_crossed([[0.0], [1.0]], [0, 1], [0, 1], confidence=0.4) == [Interval(0.5, 0.5)]
    # Where each is alone in its stratum nothing is left to chance.
    assert bootstrap_crossed([[0.0], [1.0]], [0, 1], [0, 1], strata=["p", "q"]) == [Interval(0.5, 0.5)]
    with pytest.raises(ValueError, match="two things"):
        bootstrap_crossed([[1.0]], [0, 1], [0, 1])


# -- rankings ----------------------------------------------------------------------------------------------------------


def _by_hand(scores: list[float], gains: list[float]) -> dict[str, float]:
    """The figures of one query, written out."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], gains[i]))
    at = [place for place, i in enumerate(order, start=1) if gains[i] > 0]
    dcg = sum(gains[i] / math.log2(1 + place) for place, i in enumerate(order, start=1))
    best = sum(gain / math.log2(1 + place) for place, gain in enumerate(sorted(gains, reverse=True), start=1))
    figures = {
        "MRR": 1 / at[0],
        "mAP": sum(sum(other <= place for other in at) / place for place in at) / len(at),
        "nDCG": dcg / best,
        "median rank": at[0],
    }
    for k in (1, 5, 10):
        figures[f"hit@{k}"] = float(any(place <= k for place in at))
        figures[f"recall@{k}"] = sum(place <= k for place in at) / len(at)
    return figures


def _values(found: Retrieval) -> dict[str, float]:
    return {name: estimate.value for name, estimate in found.figures().items()}


def _chances(found: Retrieval) -> dict[str, float]:
    return {name: estimate.chance for name, estimate in found.figures().items()}


def test_figures_are_those_of_plain_loops_with_ties_and_gains() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 6, size=(40, 25)) / 5  # few values: many ties
    gains = random.integers(0, 4, size=(40, 25)) * (random.random((40, 25)) < 0.2)
    gains[np.arange(40), random.integers(0, 25, 40)] = 2
    expected = [_by_hand(row.tolist(), gain.tolist()) for row, gain in zip(scores, gains, strict=True)]
    found = _values(retrieval(scores, gains))
    for name in found:
        middle = median if name == "median rank" else lambda values: sum(values) / len(values)
        assert found[name] == pytest.approx(middle([one[name] for one in expected])), name


def test_figures_are_scikit_learns_where_no_scores_are_equal() -> None:
    random = np.random.default_rng(2)
    scores = random.normal(size=(30, 50))
    relevant = random.random((30, 50)) < 0.1
    relevant[np.arange(30), random.integers(0, 50, 30)] = True
    gains = relevant * random.integers(1, 5, size=relevant.shape)
    found = retrieval(scores, relevant)
    assert found.map.value == pytest.approx(
        np.mean([average_precision_score(yes, row) for yes, row in zip(relevant, scores, strict=True)])
    )
    assert found.ndcg.value == pytest.approx(ndcg_score(relevant, scores))
    assert retrieval(scores, gains).ndcg.value == pytest.approx(ndcg_score(gains, scores))
    right = random.integers(0, 50, 30)
    single = retrieval(scores, np.eye(50)[right])
    for k in (1, 5, 10):
        oracle = top_k_accuracy_score(right, scores, k=k, labels=np.arange(50))
        assert single.hit[k].value == single.recall[k].value == pytest.approx(oracle)


def test_a_scorer_that_says_the_same_of_all_comes_last() -> None:
    relevant = np.eye(20)[:12]
    found = retrieval(np.full((12, 20), 0.7), relevant)
    assert found.median_rank.value == 20
    assert found.hit[10].value == found.recall[10].value == 0
    assert found.mrr.value == found.map.value == pytest.approx(1 / 20)
    assert all(one.value < one.chance for name, one in found.figures().items() if name != "median rank")
    # Among equals the more relevant comes later: scores that are all alike give the worst nDCG that there is.
    graded = np.array([[3.0, 1.0, 0.0]])
    worst = (1 / math.log2(3) + 3 / 2) / (3 + 1 / math.log2(3))
    assert retrieval(np.zeros((1, 3)), graded).ndcg.value == pytest.approx(worst)


@pytest.mark.parametrize("gains", [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [3, 0, 1, 1, 0], [1, 1, 1, 1, 1], [2]])
def test_chance_is_the_mean_over_every_order(gains: list[int]) -> None:
    every = list(itertools.permutations(range(len(gains))))
    found = retrieval(np.array(every, float), np.tile(gains, (len(every), 1)), cuts=(1, 2, 5, 10), resamples=1)
    for name, estimate in found.figures().items():
        assert estimate.chance == pytest.approx(estimate.value), name


def test_chance_of_queries_that_differ() -> None:
    # One query has 1 relevant candidate of 4, the other 2 of 3 (a candidate is not allowed).
    gains = np.array([[1, 0, 0, 0], [1, 1, 0, 0]])
    allowed = np.array([[True] * 4, [True, True, True, False]])
    found = retrieval(np.zeros((2, 4)), gains, allowed=allowed, cuts=(1, 2, 3, 4))
    assert (found.queries, found.candidates, found.relevant) == (2, 3.5, 1.5)
    assert [found.hit[k].chance for k in (1, 2, 3, 4)] == pytest.approx(
        [(1 / 4 + 2 / 3) / 2, (2 / 4 + 1) / 2, (3 / 4 + 1) / 2, 1]
    )
    assert [found.recall[k].chance for k in (1, 2, 3, 4)] == pytest.approx(
        [(1 / 4 + 1 / 3) / 2, (2 / 4 + 2 / 3) / 2, (3 / 4 + 1) / 2, 1]
    )
    # First ranks: 1, 2, 3, 4 with 1/4 each, and 1, 2 with 2/3, 1/3; half of both together is reached at 2.
    assert found.median_rank.chance == 2


def test_hit_chance_is_hypergeometric() -> None:
    gains = np.zeros((1, 52))
    gains[0, :7] = 1
    chance = retrieval(np.zeros((1, 52)), gains).hit[10].chance
    assert chance == pytest.approx(1 - math.comb(45, 10) / math.comb(52, 10))


def test_a_random_scorer_reaches_chance() -> None:
    random = np.random.default_rng(5)
    relevant = np.zeros((3000, 30))
    relevant[:, :3] = 1
    found = retrieval(random.random((3000, 30)), relevant, resamples=300, confidence=0.999)
    for name, one in found.figures().items():
        assert one.interval.low <= one.chance <= one.interval.high, name


def test_ranks_go_in_as_scores_do() -> None:
    scores = np.array([[0.9, 0.1, 0.5, 0.5], [0.2, 0.3, 0.1, 0.0]])
    relevant = np.array([[0, 1, 1, 0], [0, 1, 0, 0]])
    assert [one.tolist() for one in ranks(scores, relevant)] == [[3, 4], [1]]
    assert retrieval_from_ranks([[3, 4], [1]], 4) == retrieval(scores, relevant)
    forbidden = np.array([[False, True, True, True], [True] * 4])
    assert [one.tolist() for one in ranks(scores, relevant, allowed=forbidden)] == [[2, 3], [1]]


def test_json_holds_every_figure_with_interval_and_chance() -> None:
    record = retrieval(np.eye(3), np.eye(3)).to_json()
    assert record["queries"] == 3 and record["candidates"] == 3 and record["relevant"] == 1
    assert record["hit@1"] == {"value": 1.0, "interval": [1.0, 1.0], "chance": pytest.approx(1 / 3)}
    assert record["median_rank"] == {"value": 1.0, "interval": [1.0, 1.0], "chance": 2.0}


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        ([[0.1, np.nan]], [[1, 0]], "not a number"),
        ([[0.1, 0.2]], [[0, 0]], "query 0 has nothing relevant"),
        ([[0.1, 0.2]], [[1, -1]], "below 0"),
        ([[0.1, 0.2]], [[1, 0, 0]], r"\(1, 2\), relevance is \(1, 3\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "no queries"),
    ],
)
def test_what_cannot_be_measured_is_refused(scores: list[list[float]], relevant: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval(scores, relevant)


@pytest.mark.parametrize("wrong", [[[0]], [[5]], [[2, 2]], [[]]])
def test_ranks_that_cannot_be_are_refused(wrong: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="different numbers from 1 to 4"):
        retrieval_from_ranks(wrong, 4)
