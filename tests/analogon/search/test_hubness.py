"""Scores against hubs, and variety: each formula beside a plain loop."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from analogon.search import hubness
from analogon.vectors.geometry import unit


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def test_means_of_the_best_are_those_of_a_sorted_column(random: np.random.Generator) -> None:
    s = random.normal(size=(30, 6)).astype(np.float32)
    for k in (1, 10, 30, 500):
        expected = [sum(sorted(map(float, column), reverse=True)[:k]) / min(k, 30) for column in s.T]
        assert hubness.top_k_mean(s, k) == pytest.approx(expected, abs=1e-6)
    assert hubness.top_k_mean(s[:0], 5).tolist() == [0.0] * 6


def test_nnn_takes_a_share_of_an_items_bias_off(random: np.random.Generator) -> None:
    scores, s = random.normal(size=(4, 7)), random.normal(size=(200, 7))
    found = hubness.nnn(scores, hubness.top_k_mean(s, hubness.NNN_NEAREST))
    for q in range(4):
        for d in range(7):
            bias = sum(sorted(s[:, d], reverse=True)[:128]) / 128
            assert found[q, d] == pytest.approx(scores[q, d] - 0.75 * bias, abs=1e-6)


def test_nnn_folds_into_an_inner_product_index(random: np.random.Generator) -> None:
    import faiss

    items, bank, queries = (unit(random.normal(size=(n, 16))) for n in (300, 150, 20))
    bias = hubness.top_k_mean(bank @ items.T, 128)
    index = faiss.IndexFlatIP(17)
    index.add(hubness.append_bias(items, bias))
    scores, rows = index.search(hubness.append_one(queries), 300)
    expected = hubness.nnn(queries @ items.T, bias)
    order = np.argsort(-expected, axis=1)
    assert (rows == order).all()
    assert not (rows[:, 0] == np.argmax(queries @ items.T, axis=1)).all()  # it does move something here
    assert np.allclose(scores, np.take_along_axis(expected, order, axis=1), atol=1e-6)
    assert np.array_equal(hubness.append_one(queries[0]), hubness.append_one(queries)[0])


def test_csls_is_the_papers_formula(random: np.random.Generator) -> None:
    scores, s = random.normal(size=(5, 40)), random.normal(size=(25, 40))
    r_q = np.sort(scores, axis=1)[:, -10:].mean(axis=1, keepdims=True)
    found = hubness.csls(scores, hubness.top_k_mean(s, hubness.CSLS_NEAREST), r_q)
    for q in range(5):
        for d in range(40):
            r_d = sum(sorted(s[:, d])[-10:]) / 10
            assert found[q, d] == pytest.approx(2 * scores[q, d] - r_q[q, 0] - r_d, abs=1e-6)
    # For one query r(q) orders nothing, and the order is that of NNN with alpha 1/2 over as many neighbours.
    density = hubness.top_k_mean(s, 10)
    assert (np.argsort(hubness.csls(scores[0], density)) == np.argsort(found[0])).all()
    assert (np.argsort(hubness.nnn(scores[0], density, 0.5)) == np.argsort(found[0])).all()


def test_qb_norm_is_the_inverted_softmax_where_the_best_is_a_hub(random: np.random.Generator) -> None:
    s, scores = random.uniform(-1, 1, size=(12, 9)), random.uniform(-1, 1, size=9)
    hubs = np.isin(np.arange(9), s.argmax(axis=1))
    denominator = hubness.log_denominator(s)
    hub = int(np.flatnonzero(hubs)[0])
    scores[hub] = 1.0
    found = hubness.qb_norm(scores, denominator, hubs)
    for d in range(9):
        ratio = exp(20 * scores[d]) / sum(exp(20 * s[r, d]) for r in range(12))
        assert 20 * found[d] == pytest.approx(log(ratio), abs=1e-5)
    other = int(np.flatnonzero(~hubs)[0])
    scores[other] = 1.1
    assert hubness.qb_norm(scores, denominator, hubs) is scores


def test_qb_norms_denominator_does_not_overflow() -> None:
    s = np.array([[1.0, -1.0], [1.0, -0.5]], np.float32)
    expected = [1e4 + log(2), -5e3]
    assert hubness.log_denominator(s, 1e4) == pytest.approx(expected, rel=1e-6)


def test_a_hub_loses_its_place_and_the_right_item_gets_it() -> None:
    # Item 0 lies where all queries lie; item 1 is what this query asks for.
    items = unit([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    bank = unit([[1.0, 0.0, 0.3], [1.0, 0.0, -0.3], [1.0, -0.3, 0.0]])
    query = unit([0.95, 0.35, 0.0])
    scores, s = items @ query, bank @ items.T
    assert scores.argmax() == 0
    assert hubness.nnn(scores, hubness.top_k_mean(s, 128)).argmax() == 1
    assert hubness.csls(scores, hubness.top_k_mean(s, 10)).argmax() == 1
    hubs = np.array([True, False])
    assert hubness.qb_norm(scores, hubness.log_denominator(s), hubs).argmax() == 1


def test_mmr_chooses_as_a_plain_loop_does(random: np.random.Generator) -> None:
    vectors = unit(random.normal(size=(30, 4)))
    relevance = vectors @ unit(random.normal(size=4))
    for trade in (0.0, 0.3, 0.7, 1.0):
        chosen: list[int] = [int(np.argmax(relevance))]
        while len(chosen) < 8:
            gains = {
                i: trade * relevance[i] - (1 - trade) * max(float(vectors[i] @ vectors[j]) for j in chosen)
                for i in range(30)
                if i not in chosen
            }
            chosen.append(max(gains, key=lambda i: gains[i]))
        assert hubness.mmr(relevance, vectors, 8, trade).tolist() == chosen
    assert hubness.mmr(relevance, vectors, 30, 1.0).tolist() == np.argsort(-relevance, kind="stable").tolist()


def test_mmr_gives_each_candidate_once_and_no_more_than_there_are() -> None:
    vectors = np.tile(np.array([[1.0, 0.0]], np.float32), (4, 1))
    assert hubness.mmr(np.ones(4), vectors, 9, 0.0).tolist() == [0, 1, 2, 3]
    assert hubness.mmr(np.zeros(0), vectors[:0], 3).tolist() == []
    with pytest.raises(ValueError, match="from 0 to 1"):
        hubness.mmr(np.ones(4), vectors, 2, 1.5)
