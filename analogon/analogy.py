"""Analogies a : b :: c : ?, as scores of candidates: five methods over unit vectors.

=============  ============================================================  =======================================
method         score of candidate x, all unit vectors                        source
=============  ============================================================  =======================================
3cosadd        cos(x, b - a + c)                                             Mikolov, Yih and Zweig 2013
3cosmul        s(x, b) s(x, c) / (s(x, a) + 0.001), where s = (cos + 1) / 2  Levy and Goldberg 2014
pairdirection  cos(x - c, b - a)                                             Mikolov, Yih and Zweig 2013
3cosavg        cos(x, c + mean of b_i - a_i over the known pairs)            Drozd, Gladkova and Matsuoka 2016
lrcos          cos(x, c) P(x is a b-word)                                    Drozd, Gladkova and Matsuoka 2016
=============  ============================================================  =======================================

The first three take one pair, the others all that are known of the relation. Every array is float32.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from analogon.geometry import direction, unit
from analogon.relation import Relation
from embed.errors import UsageError

__all__ = [
    "BY_PAIRS",
    "BY_QUESTION",
    "METHODS",
    "Relation",
    "b_likeness",
    "batch_scores",
    "of_cosines",
    "pair_direction",
    "scores",
    "three_cos_add",
    "three_cos_mul",
]

Rows = npt.NDArray[np.float32]

BY_QUESTION: Final = ("3cosadd", "3cosmul", "pairdirection")
BY_PAIRS: Final = ("3cosavg", "lrcos")
METHODS: Final = BY_QUESTION + BY_PAIRS
EPSILON: Final = 0.001  # of 3CosMul, as in Levy and Goldberg 2014; gensim takes 0.000001
SAME: Final = 1e-6  # squared distance below which float32 cosines cannot tell a candidate from c


# -- formulas --------------------------------------------------------------------------------------------------------


def three_cos_add(a: Rows, b: Rows, c: Rows) -> Rows:
    """``b - a + c``, of equal shapes ``(...)``.

    Of vectors it is the query of 3CosAdd, not yet normalised; of the cosines of candidates with a, b and c their
    scores, times the length of that query, which changes no order.
    """
    found = b - a
    found += c
    return found


def three_cos_mul(a: Rows, b: Rows, c: Rows, *, epsilon: float = EPSILON) -> Rows:
    """3CosMul of the cosines ``(...)`` of candidates with a, b and c."""
    found = (b + 1) * np.float32(0.5)
    found *= (c + 1) / 2
    found /= (a + 1) / 2 + epsilon
    return found


def pair_direction(a: Rows, b: Rows, c: Rows, at_c: Rows) -> Rows:
    """PairDirection, times the length of b - a, of the cosines ``(..., n)`` of candidates with a, b and c.

    ``at_c`` is cos(c, b) - cos(c, a), ``(..., 1)``. A candidate that is c itself has no direction: it scores 0.
    """
    squared = 2 - 2 * c
    found = b - a
    found -= at_c
    found /= np.sqrt(np.maximum(squared, SAME))
    found[squared < SAME] = 0
    return found


def b_likeness(candidates: Rows, a: Rows, b: Rows, *, seed: int = 0, random: Rows | None = None) -> Rows:
    """How likely each candidate is a b-word, LRCos's P, float32 ``(n,)``.

    A logistic regression on the ends ``b`` ``(pairs, dim)`` against the starts ``a`` and as many random words (Drozd et
    al. 2016), drawn with ``seed`` from those of ``random`` ``(m, dim)``, by default the candidates, that are neither.
    """
    from sklearn.linear_model import LogisticRegression

    random = candidates if random is None else random
    known = np.concatenate([a, b])
    others = np.flatnonzero((random @ known.T).max(axis=1) < 1 - SAME)
    drawn = np.random.default_rng(seed).choice(others, min(len(a), len(others)), replace=False)
    rows = np.concatenate([b, a, random[drawn]])
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(rows, np.arange(len(rows)) < len(b))
    likely: Rows = model.predict_proba(candidates)[:, 1].astype(np.float32)
    return likely


# -- scores ----------------------------------------------------------------------------------------------------------


def of_cosines(method: str, a: Rows, b: Rows, c: Rows, at_c: Rows) -> Rows:
    """Scores by a method of ``BY_QUESTION`` from the cosines of candidates with a, b and c, each ``(..., n)``.

    ``at_c`` is that of ``pair_direction``. They order the candidates of a question as ``batch_scores`` does.
    """
    if method == "3cosadd":
        return three_cos_add(a, b, c)
    return three_cos_mul(a, b, c) if method == "3cosmul" else pair_direction(a, b, c, at_c)


def batch_scores(
    method: str, candidates: Rows, a: Rows, b: Rows, c: Rows, *, seed: int = 0, random: Rows | None = None
) -> Rows:
    """The scores of all candidates ``(n, dim)`` for many questions, float32 ``(questions, n)``, higher is better.

    ``c`` is ``(questions, dim)``. For a method of ``BY_QUESTION``, ``a`` and ``b`` are of the same shape, a pair for
    each question; for one of ``BY_PAIRS`` they are the known pairs ``(pairs, dim)``, the same for all questions.
    ``seed`` and ``random`` are those of ``b_likeness``. It holds a few arrays of the result's size: ask it with as many
    questions at a time as there is memory for.

    >>> words = np.eye(4, dtype=np.float32)
    >>> man, woman, king = unit([[1, 0, 0, 0]]), unit([[0, 1, 0, 0]]), unit([[4, 0, 3, 0]])
    >>> (batch_scores("3cosadd", words, man, woman, king) * 100).round().astype(int).tolist()
    [[-17, 85, 51, 0]]
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    if a.shape != b.shape or (method in BY_QUESTION and a.shape != c.shape):
        raise ValueError(f"{method}: a is {a.shape}, b {b.shape}, c {c.shape}")
    if method == "3cosadd":
        return _cosines(unit(three_cos_add(a, b, c)), candidates)
    if method == "3cosavg":
        return _cosines(unit(c + direction(a, b)), candidates)
    near_c = _cosines(c, candidates)
    if method == "lrcos":
        return near_c * b_likeness(candidates, a, b, seed=seed, random=random)
    near_a, near_b = _cosines(a, candidates), _cosines(b, candidates)
    if method == "3cosmul":
        return three_cos_mul(near_a, near_b, near_c)
    step = b - a
    lengths = np.linalg.norm(step, axis=1, keepdims=True)
    at_c = (c * step).sum(axis=1, keepdims=True)
    directed = pair_direction(near_a, near_b, near_c, at_c)
    directed /= np.where(lengths > 0, lengths, 1)
    return directed


def scores(method: str, candidates: Rows, a: Rows, b: Rows, c: Rows, *, seed: int = 0) -> Rows:
    """The scores of candidates ``(n, dim)`` for one question, float32 ``(n,)``, higher is better.

    ``a`` and ``b`` are ``(dim,)``, or the known pairs ``(pairs, dim)`` for 3CosAvg and LRCos; ``c`` is ``(dim,)``.
    """
    found: Rows = batch_scores(method, candidates, np.atleast_2d(a), np.atleast_2d(b), c[None], seed=seed)[0]
    return found


def _cosines(rows: Rows, candidates: Rows) -> Rows:
    found: Rows = rows @ candidates.T
    return found
