"""Which index for which size and memory."""

from __future__ import annotations

import importlib

import pytest

from embed.errors import UsageError
from indexes.faiss import plan as planning
from indexes.faiss.build import build
from indexes.faiss.plan import choose, parse_memory, plans
from tests.indexes.engines import clustered


def test_choice_by_size_and_memory() -> None:
    limit = planning.SCAN_BYTES // (4 * 512)
    assert choose(0, 512).kind == choose(limit, 512).kind == "exact"
    assert choose(limit + 1, 512).kind == "hnsw"
    million = {plan.kind: plan.bytes for plan in reversed(list(plans(1_000_000, 512)))}
    assert list(million) == ["exact", "ivf-pq", "ivf-sq8", "ivf", "hnsw"]
    for kind, size in million.items():
        if kind != "exact":
            assert choose(1_000_000, 512, size).kind == kind or kind == "ivf-pq"
            assert choose(1_000_000, 512, size - 1).bytes < size
    # the largest code that fits, then none
    assert choose(1_000_000, 512, 150_000_000).parameters["code"] == 128
    smallest = min(p.bytes for p in plans(1_000_000, 512) if p.kind == "ivf-pq")
    assert choose(1_000_000, 512, smallest).parameters["code"] == 32
    nothing = choose(1_000_000, 512, smallest - 1)
    assert nothing.kind == "exact" and nothing.bytes == 0 and "no index within" in nothing.why
    assert [p.kind for p in plans(100, 16, 0)] == ["exact"]


def test_planned_bytes_are_those_of_the_index() -> None:
    faiss = importlib.import_module("faiss")
    vectors = clustered(2000, 32)
    for plan in plans(2000, 32):
        if plan.kind != "exact":
            real = len(faiss.serialize_index(build(vectors, plan)._index))
            assert real == pytest.approx(plan.bytes, rel=0.04), plan


def test_memory_amounts() -> None:
    assert parse_memory("2G") == parse_memory("2gb") == parse_memory(" 2 GB ") == 2_000_000_000
    assert parse_memory("64MiB") == 64 << 20 and parse_memory("1TiB") == 1 << 40
    assert parse_memory("0.5k") == parse_memory("500") == parse_memory("500B") == 500
    for wrong in ("", "G", "-1G", "0", "0.1", "2X", "2G2", "1e9", "nan", "1,5G", "٣G"):
        with pytest.raises(UsageError, match="such as 2G"):
            parse_memory(wrong)
