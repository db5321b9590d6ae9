"""Which items stand in for queries: as many as wanted, each as likely as any other, without a look at all of them."""

from __future__ import annotations

import numpy as np
import pytest

from analogon.search.background import ITEMS, _drawn


@pytest.mark.parametrize("n", [30, 600, 2000, 2001, 100_000])
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_rows_are_drawn_that_live_and_are_not_the_query(n: int, share: float) -> None:
    live = np.random.default_rng(n).random(n) <= share
    out = np.flatnonzero(live)[:3].tolist()
    rows = _drawn(live, int(live.sum()), out)
    assert rows.tolist() == sorted(set(rows.tolist()) - set(out))
    assert len(rows) == min(ITEMS, int(live.sum()) - 3) and live[rows].all()
    assert np.array_equal(rows, _drawn(live, int(live.sum()), out))


def test_each_row_is_as_likely_as_any_other() -> None:
    """The 500 of many, in tenths: no tenth has what a fair draw gives but once in a million."""
    live = np.arange(5_000_000) % 4 != 0
    counts = np.bincount(_drawn(live, int(live.sum()), []) * 10 // len(live), minlength=10)
    assert counts.sum() == ITEMS and counts.min() > 20 and counts.max() < 85  # 50 each, with a deviation of 6.7


def test_of_very_many_few_are_looked_at() -> None:
    looked: list[int] = []

    class Live(np.ndarray):  # type: ignore[type-arg]
        def __getitem__(self, rows: object) -> object:
            looked.append(len(np.asarray(rows)))
            return np.ones(len(np.asarray(rows)), np.bool_)

    live = np.broadcast_to(np.True_, 10_000_000).view(Live)
    assert len(_drawn(live, 10_000_000, [])) == ITEMS
    assert sum(looked) <= 3 * ITEMS
