"""Better hits without training: scores that make up for hubs and for the gap between modalities, and variety.

A hub is an item that is near to many queries, whatever they ask. All but ``mmr`` need ``s (B, n)``, the cosines of B
background queries, which must not hold the query that is being asked, with the n items of one modality. Nothing here
uses other queries of the person who asks, or of a test, as a softmax over a test's queries would.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from analogon.vectors.geometry import Floats

__all__ = [
    "METHODS",
    "append_bias",
    "append_one",
    "csls",
    "log_denominator",
    "mmr",
    "nnn",
    "qb_norm",
    "relative_to_best",
    "top_k_mean",
]

METHODS: Final[dict[str, str]] = {
    "none": "cosines as they are",
    "centre": "cosines after each side's mean is taken off",
    "csls": "cross-domain similarity local scaling",
    "nnn": "nearest neighbour normalisation",
    "qbnorm": "query bank normalisation, where the best hit is a hub",
}
# The papers' settings; none was chosen on data that this project reports on.
NNN_NEAREST: Final = 128
NNN_ALPHA: Final = 0.75
CSLS_NEAREST: Final = 10
QB_BETA: Final = 20.0


def top_k_mean(s: Floats, k: int) -> npt.NDArray[np.float32]:
    """The mean of the ``k`` highest scores, or of all where there are fewer, in each column of ``(B, n)``: ``(n,)``.

    With the background queries as rows it is an item's bias in NNN (k 128) and its density r(d) in CSLS (k 10). A row
    of no scores, ``(0, n)``, gives zeros.

    >>> top_k_mean(np.array([[0.1, 0.9], [0.5, 0.2], [0.3, 0.4]]), 2).round(2).tolist()
    [0.4000000059604645, 0.6499999761581421]
    """
    k = min(k, len(s))
    if k == 0:
        return np.zeros(s.shape[1], np.float32)
    best = np.partition(s, len(s) - k, axis=0)[len(s) - k :]
    return np.asarray(best.mean(axis=0, dtype=np.float64), np.float32)


def nnn(scores: Floats, bias: Floats, alpha: float = NNN_ALPHA) -> Floats:
    """Nearest neighbour normalisation: ``s(q, d) - alpha * b(d)`` for ``scores (..., n)`` and ``bias (n,)``.

    Chowdhury et al., "Nearest Neighbor Normalization Improves Multimodal Retrieval" (2024). ``bias`` is
    ``top_k_mean(s, 128)``.
    """
    return np.asarray(scores - alpha * bias)


def append_bias(vectors: Floats, bias: Floats, alpha: float = NNN_ALPHA) -> npt.NDArray[np.float32]:
    """Items ``(n, dim)`` for an inner-product index that ranks as ``nnn`` does: ``[d, -alpha b(d)]``, ``(n, dim + 1)``.

    They are asked with ``append_one``. The rows are not unit vectors, and must not be normalised.
    """
    return np.column_stack([vectors, -alpha * np.asarray(bias)]).astype(np.float32)


def append_one(queries: Floats) -> npt.NDArray[np.float32]:
    """Queries ``(..., dim)`` for an index over what ``append_bias`` gives: ``[q, 1]``, ``(..., dim + 1)``."""
    return np.concatenate([queries, np.ones((*queries.shape[:-1], 1))], axis=-1).astype(np.float32)


def csls(scores: Floats, density: Floats, query_density: Floats | float = 0.0) -> Floats:
    """Cross-domain similarity local scaling: ``2 s(q, d) - r(q) - r(d)``, scores ``(..., n)``.

    Conneau et al., "Word Translation Without Parallel Data" (2018). ``density`` ``(n,)`` is r(d), the mean of an item's
    10 best background queries, ``top_k_mean(s, 10)``. ``query_density`` ``(..., 1)`` is r(q), the mean of a query's
    10 best items; it moves all scores of one query alike, so that it matters only where queries are compared.
    """
    return np.asarray(2 * scores - query_density - density)


def log_denominator(s: Floats, beta: float = QB_BETA) -> npt.NDArray[np.float32]:
    """``log(sum over background queries r of exp(beta s(r, d)))`` for ``s (B, n)``, float32 ``(n,)``.

    >>> log_denominator(np.zeros((4, 1)), 1.0).tolist() == [np.float32(np.log(4))]
    True
    """
    top = s.max(axis=0)
    # exp in the scores' own precision: this is the dearest step of a background, and float32 has digits to spare.
    return np.asarray(beta * top + np.log(np.exp(beta * (s - top)).sum(axis=0)), dtype=np.float32)


def qb_norm(scores: Floats, denominator: Floats, hubs: npt.NDArray[np.bool_], beta: float = QB_BETA) -> Floats:
    """Query bank normalisation with a dynamic inverted softmax, for ``scores (n,)`` of one query.

    Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation" (2022): where the query's best item is a hub,
    one that is the best of some background query (``hubs (n,)``), each score becomes
    ``exp(beta s(q, d)) / sum over r of exp(beta s(r, d))``; else the scores stay. What is given is that ratio's
    logarithm over beta, ``s(q, d) - denominator / beta``, which orders the items alike and cannot overflow;
    ``denominator`` is ``log_denominator(s)``.
    """
    if not len(scores) or not hubs[int(np.argmax(scores))]:
        return scores
    return np.asarray(scores - denominator / beta)


def relative_to_best(scores: Floats) -> Floats:
    """Cosines ``(n,)`` with a query as relevance for ``mmr``: their share of the best, where that is above zero.

    Cosines of two modalities are small beside those within one, and as they are would hardly count against them.

    >>> relative_to_best(np.array([0.2, 0.4])).tolist()
    [0.5, 1.0]
    """
    best = scores.max(initial=0.0)
    return np.asarray(scores / best if best > 0 else scores)


def mmr(relevance: Floats, vectors: Floats, k: int, trade: float = 0.7) -> npt.NDArray[np.int64]:
    """The ``k`` of n candidates that maximal marginal relevance chooses, in the order in which it does: int64 ``(k,)``.

    Carbonell and Goldstein (1998): the next is the one of highest ``trade * relevance - (1 - trade) * its highest
    cosine with those already chosen``. ``relevance`` ``(n,)`` should be cosines with the query or scores like them,
    ``vectors`` ``(n, dim)`` are unit rows; ``trade`` 1 gives the most relevant, 0 the most different. Of equals the
    first candidate comes first.

    >>> mmr(np.array([0.9, 0.8, 0.1]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 2, trade=0.5).tolist()
    [0, 2]
    """
    if not 0 <= trade <= 1:
        raise ValueError(f"trade is a share from 0 to 1, not {trade}")
    relevance = np.asarray(relevance, np.float64)
    # The first has nothing to differ from, so that it is the most relevant whatever the trade.
    gain, nearest = relevance, np.full(len(relevance), -np.inf)
    chosen: list[int] = []
    while len(chosen) < min(k, len(relevance)):
        chosen.append(int(np.argmax(gain)))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
        gain = trade * relevance - (1 - trade) * nearest
        gain[chosen] = -np.inf
    return np.array(chosen, np.int64)
