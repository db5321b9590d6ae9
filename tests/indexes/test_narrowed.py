"""The nearest rows among those that pass tests: as an exact scan of these finds them, and how much is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embed.space import unit
from indexes import narrowed
from indexes.index import ExactIndex
from indexes.narrowed import Far, Narrowed

N, DIM = 6000, 16
VECTORS = unit(np.random.default_rng(3).standard_normal((N, DIM)).astype(np.float32))
QUERY = VECTORS[17]


class Known:
    """A test whose answer is known, which tells how often it was asked."""

    def __init__(self, mask: Any, *, at_hand: bool = False) -> None:
        self.mask, self.at_hand = mask, at_hand
        self.rows: list[int] = []
        self.whole = 0

    def among(self, rows: Any) -> Any:
        self.rows.append(len(rows))
        return self.mask[rows]

    def all(self) -> Any:
        self.whole += 1
        return self.mask


class Asked(ExactIndex):
    """An exact index that tells how many rows it was asked for."""

    def __init__(self) -> None:
        super().__init__(VECTORS)
        self.depths: list[int] = []

    def search(self, queries: Any, k: int, *, allowed: Any = None) -> Any:
        self.depths.append(k)
        return super().search(queries, k, allowed=allowed)


def masks() -> dict[str, Any]:
    random, cosine = np.random.default_rng(5), VECTORS.astype(np.float64) @ QUERY
    return {
        "all": np.ones(N, np.bool_),
        "half": random.random(N) < 0.5,
        "tenth": random.random(N) < 0.1,
        "thousandth": random.random(N) < 0.001,
        "none": np.zeros(N, np.bool_),
        "far": cosine < 0.3,
        "near": cosine > 0.7,
        "but the nearest": np.arange(N) != 17,
    }


@pytest.mark.parametrize("k", [1, 10, 150, 2000, N])
@pytest.mark.parametrize("name", masks())
@pytest.mark.parametrize("dead", [False, True])
def test_the_same_is_found_as_in_a_scan_of_what_passes(name: str, k: int, dead: bool) -> None:
    mask = masks()[name]
    live = np.random.default_rng(8).random(N) < 0.9 if dead else None
    allowed = mask if live is None else mask & live
    expected = ExactIndex(VECTORS).search(QUERY[None], k, allowed=allowed)
    count = min(k, int(allowed.sum()))
    for tests in ([Known(mask)], [Known(mask, at_hand=True)], [Known(mask), Known(masks()["all"])]):
        rows, scores = Narrowed(ExactIndex(VECTORS), live, tests).search(QUERY, k)
        assert rows.tolist() == expected.rows[0, :count].tolist()
        assert scores.tolist() == expected.scores[0, :count].tolist()


def test_while_most_pass_few_are_looked_at_and_else_all_once() -> None:
    there, index = {name: Known(mask) for name, mask in masks().items()}, Asked()
    for name in ("all", "half", "but the nearest", "tenth"):
        Narrowed(index, None, [there[name]]).search(QUERY, 10)
        assert there[name].whole == 0, name
        assert sum(there[name].rows) < (300 if name == "tenth" else 100), name
    index.depths.clear()
    for name in ("thousandth", "none"):
        asked = Narrowed(index, None, [there[name]])
        asked.search(QUERY, 10)
        assert there[name].whole == 1 and len(there[name].rows) <= 2 and sum(there[name].rows) < 1600, name
        asked.search(QUERY, 40)  # what is known of all is not asked again
        assert there[name].whole == 1 and len(there[name].rows) <= 2
    assert max(index.depths) < 1600


def test_a_mask_at_hand_is_used_at_once() -> None:
    test, index = Known(masks()["half"], at_hand=True), Asked()
    Narrowed(index, None, [test]).search(QUERY, 10)
    assert (test.whole, test.rows, index.depths) == (1, [], [10])


def test_far_compares_with_what_is_near_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    centre, live = VECTORS[99], np.arange(N) % 10 != 0
    cosine = VECTORS.astype(np.float64) @ centre
    assert np.abs(cosine - 0.4).min() > 1e-6
    far = Far(VECTORS, live, centre, 0.4)
    assert far.at_hand  # so few bytes are compared whole
    assert np.array_equal(far.all(), cosine < 0.4)
    assert (far.looked_at, far.dropped, far.whole) == (int(live.sum()), int((live & (cosine >= 0.4)).sum()), True)
    monkeypatch.setattr(narrowed, "AT_ONCE", 1000)
    far = Far(VECTORS, live, centre, 0.4)
    rows = np.array([99, 5, 7, 4000, 99], np.int64)
    assert not far.at_hand and far.among(rows).tolist() == (cosine[rows] < 0.4).tolist()
    assert (far.looked_at, far.dropped, far.whole) == (5, int((cosine[rows] >= 0.4).sum()), False)
    assert np.array_equal(far.all(), cosine < 0.4) and far.whole and far.at_hand  # in blocks of 15 rows


def test_what_is_far_from_another_is_found_among_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowed, "AT_ONCE", 1000)
    cosine = VECTORS.astype(np.float64) @ QUERY
    live = np.ones(N, np.bool_)
    for least, whole in ((0.99, False), (0.55, False), (-0.9, True)):
        far = Far(VECTORS, live, QUERY, least)
        rows, _ = Narrowed(ExactIndex(VECTORS), None, [far]).search(QUERY, 10)
        order = np.argsort(-cosine, kind="stable")
        assert rows.tolist() == [row for row in order if cosine[row] < least][:10]
        assert (far.dropped, far.whole) == (int((cosine >= least).sum()), whole), least  # what is dropped comes first
        assert len(rows) + far.dropped <= far.looked_at <= (N if whole else 1000)
