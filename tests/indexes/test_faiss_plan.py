"""Which index for which size and memory."""

from __future__ import annotations

import importlib
from pathlib import Path

import psutil
import pytest

from embed.errors import UsageError
from indexes.faiss import memory
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


def test_what_is_free_and_how_many_there_are_count_as_well() -> None:
    hnsw, ivf, sq8, *_ = plans(1_000_000, 512)
    assert [one.kind for one in (hnsw, ivf, sq8)] == ["hnsw", "ivf", "ivf-sq8"]
    for plan in (hnsw, ivf, sq8):
        chosen = choose(1_000_000, 512, free=2 * plan.bytes)
        assert (chosen.kind, chosen.compelled) == (plan.kind, plan is not hnsw)
    assert "HNSW takes 2,324 MB to build and 4,200 MB are free" in choose(1_000_000, 512, free=4_200_000_000).why
    # The smallest is taken whatever is free; a budget that none fits is another thing.
    assert choose(1_000_000, 512, free=0).parameters["code"] == 32
    assert choose(1_000_000, 512, 1000, free=0).kind == "exact"
    assert choose(1_000_000, 512, 10**9, free=10**12) == choose(1_000_000, 512, 10**9)
    many = choose(planning.HNSW_ROWS + 1, 512)
    assert (many.kind, many.compelled) == ("ivf-sq8", True) and "takes long to build" in many.why
    assert choose(planning.HNSW_ROWS, 512).kind == "hnsw"


def test_what_costs_little_to_make_gets_an_index_that_costs_little() -> None:
    limit = planning.SCAN_BYTES // (4 * 4 * 64)
    assert choose(limit, 64, quick=True).kind == "exact" == choose(limit + 1, 64).kind
    assert choose(limit + 1, 64, quick=True).kind == choose(planning.HNSW_ROWS, 64, quick=True).kind == "ivf"
    assert choose(planning.HNSW_ROWS + 1, 64, quick=True).kind == "ivf-sq8"


def test_free_memory_is_no_more_than_the_machine_or_its_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "LIMITS", ())
    machine = memory.free_memory()
    assert 0 < machine < psutil.virtual_memory().total
    most, taken = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(memory, "LIMITS", ((tmp_path / "none", taken), (most, taken)))
    taken.write_text("3000000\n")
    most.write_text("5000000\n")
    assert memory.free_memory() == 2_000_000
    most.write_text("max\n")
    assert memory.free_memory() > 2_000_000


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
