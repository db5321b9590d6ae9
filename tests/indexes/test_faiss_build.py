"""Building, tuning and fitting, against the exact scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embed.space import unit
from indexes.faiss import build as building
from indexes.faiss import plan as planning
from indexes.faiss.build import build, fit, tune
from indexes.faiss.index import FaissIndex
from indexes.faiss.measure import recall
from indexes.index import ExactIndex
from tests.indexes.engines import PLANS, Array, assert_same, brute, clustered, shifted


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_faiss_gives_inner_products_not_distances(kind: str, vectors: Array) -> None:
    raw = build(vectors, PLANS[kind])._index.search(vectors[:50], 1)[0]
    np.testing.assert_allclose(raw, 1.0, atol=1e-5)


def test_plan_of_more_lists_than_vectors(vectors: Array) -> None:
    index = build(vectors[:20], replace(PLANS["ivf"], parameters={"lists": 500}))
    assert index.plan.parameters == {"lists": 20}


@pytest.mark.parametrize("kind", PLANS)
def test_tuning_raises_the_effort_until_every_kind_of_query_is_served(kind: str, vectors: Array) -> None:
    index = build(vectors, PLANS[kind])
    cross = {"text": shifted(vectors, 250), "image": vectors[:20]}
    tuned = tune(index, vectors, cross=cross, target=0.99, probes=120)
    measured = tuned.measured
    assert measured is not None and measured.parameters == dict(tuned.settings)
    assert [(p.kind, p.queries) for p in measured.probes] == [("own", 120), ("text", 120), ("image", 20)]
    assert measured.worst >= 0.99 > _least(index, vectors)
    assert measured.recall_own == measured.probes[0].recall
    assert measured.recall_cross == min(p.recall for p in measured.probes[1:])
    image = measured.probes[2]
    assert image.recall == pytest.approx(recall(tuned, ExactIndex(vectors), vectors[:20]))
    assert str(measured) in tuned.description and "over 120 text queries" in tuned.description


def _least(index: FaissIndex, vectors: Array) -> float:
    return recall(index, ExactIndex(vectors), shifted(vectors, 250))


def test_queries_from_across_a_gap_cost_effort_that_own_vectors_do_not_show(vectors: Array) -> None:
    index = build(vectors, PLANS["ivf"])
    own = tune(index, vectors, target=0.97)
    both = tune(index, vectors, cross={"text": shifted(vectors)}, target=0.97)
    assert own.measured is not None and own.measured.recall_cross is None
    assert own.settings["nprobe"] < both.settings["nprobe"]
    assert recall(own, ExactIndex(vectors), shifted(vectors)) < 0.97


LIMITED = {"hnsw": "efSearch", "ivf": "nprobe"}
FIRST = {"hnsw": {"efSearch": 1}, "ivf": {"nprobe": 126, "rerank": 1}}


def test_fit_gives_up_on_an_index_that_does_not_find(monkeypatch: pytest.MonkeyPatch, vectors: Array) -> None:
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    monkeypatch.setattr(building, "_limits", lambda plan, size: {LIMITED[plan.kind]: 8})
    hard = unit(np.random.default_rng(0).normal(size=(4000, 96)))
    assert fit(hard, target=0.2).plan.kind == "hnsw"
    beaten = fit(hard, target=0.9999)
    assert beaten.plan.kind == "exact" and "HNSW reached a recall@10 of only 0." in beaten.description
    monkeypatch.setitem(LIMITED, "ivf", "rerank")
    monkeypatch.setattr(building, "_first_settings", lambda plan: FIRST[plan.kind])
    assert fit(hard, target=0.9999).plan.kind == "ivf"
    assert_same(beaten.search(hard[:5], 3), brute(hard, hard[:5], 3))


def test_fit_survives_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "SCAN_BYTES", 0)
    few = clustered(40, 32, seed=4)
    vectors = few[np.arange(2400) % 40]
    index = fit(vectors, target=0.98)
    assert recall(index, ExactIndex(vectors), few) >= 0.98


@pytest.mark.parametrize("kind", PLANS)
def test_same_seed_same_bytes(kind: str, vectors: Array, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build(vectors[:1000], PLANS[kind], seed).save(tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
