"""Which kind of index for which size and memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from embed.errors import UsageError

__all__ = ["HNSW_ROWS", "PQ_CENTROIDS", "SCAN_BYTES", "Kind", "Plan", "choose", "parse_memory", "plans"]

Kind = Literal["exact", "hnsw", "ivf", "ivf-sq8", "ivf-pq"]

SCAN_BYTES: Final = 128 << 20  # vectors that are scanned exactly: some 20 ms a query, and nothing to build
PQ_CENTROIDS: Final = 256  # 8-bit codes; product quantisation needs as many vectors to learn from
LINKS: Final = 32  # HNSW's M
# Vectors of which HNSW is built: of a million of 64 components in 16 minutes by one busy thread; IVF takes a twentieth.
HNSW_ROWS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Which index to build: its kind, its parameters, the bytes of memory it takes, and why it was chosen.

    ``parameters``: "M" and "efConstruction" of HNSW, "lists" of IVF, "code" bytes a vector of IVF-PQ. ``budget`` is
    the memory in bytes that was asked for, None for no limit. ``compelled`` says that a better one had to give way for
    another reason than the budget: then ``why`` is told with what the index is.
    """

    kind: Kind
    parameters: Mapping[str, int]
    bytes: int
    why: str
    budget: int | None = None
    compelled: bool = False


def plans(n: int, dim: int, budget: int | None = None) -> Iterator[Plan]:
    """All plans for ``n`` vectors of ``dim`` components that fit the budget in bytes, best first; exact comes last.

    The budget holds for the index in use. Building one also holds a sample of at most 256 MiB to learn from.
    """
    lists = max(1, min(n, round(2 * math.sqrt(n))))
    coarse = 4 * dim * lists + 8 * n  # centroids, and each row's number
    kinds: list[tuple[Kind, dict[str, int], int]] = [
        ("hnsw", {"M": LINKS, "efConstruction": 80}, n * (4 * dim + 8 * LINKS + 20)),
        ("ivf", {"lists": lists}, coarse + 4 * n * dim),
        ("ivf-sq8", {"lists": lists}, coarse + n * dim + 8 * dim),
    ]
    if n >= PQ_CENTROIDS:
        # Codes of less than a 16th of a byte a component need so many candidates that a scan is as quick.
        sizes = [code for code in range(dim // 2, max(1, dim // 16) - 1, -1) if dim % code == 0]
        kinds += [("ivf-pq", {"lists": lists, "code": c}, coarse + n * c + 4 * PQ_CENTROIDS * dim) for c in sizes]
    limit = "no memory limit" if budget is None else f"a limit of {_megabytes(budget)}"
    for kind, parameters, size in kinds:
        if budget is None or size <= budget:
            yield Plan(kind, parameters, size, f"{_megabytes(size)} within {limit}", budget)
    yield Plan("exact", {}, 0, f"no index within {limit}", budget)


def choose(n: int, dim: int, budget: int | None = None, free: int | None = None, *, quick: bool = False) -> Plan:
    """The plan for ``n`` vectors of ``dim`` components and a memory budget in bytes (None: no limit).

    Few vectors are scanned exactly from the memory-mapped file, which needs no memory of its own; so are many where
    not even the smallest index fits the budget. ``free`` is the memory in bytes that there is now: an index that takes
    more than half of it to build gives way to the next one. So do, of more than ``HNSW_ROWS``, HNSW and lists of whole
    vectors: codes of a byte a component are read in a quarter of the time. The lists of IVF are mapped from the disk
    when they are searched, and need not fit. ``quick`` is for vectors that cost little to
    make, as those of names do: an index shall not cost much more, so there is no HNSW, and it begins at a quarter of
    the size.

    >>> choose(1_000, 512).kind, choose(1_000_000, 512).kind, choose(1_000_000, 512, 10**9).kind
    ('exact', 'hnsw', 'ivf-sq8')
    >>> choose(1_000_000, 512, free=8 * 10**9).kind, choose(1_000_000, 512, free=4 * 10**9).kind
    ('hnsw', 'ivf-sq8')
    >>> choose(10_000_000, 64).kind
    'ivf-sq8'
    """
    if 4 * n * dim <= SCAN_BYTES // (4 if quick else 1):
        return Plan("exact", {}, 0, f"{_megabytes(4 * n * dim)} are too little to need an index", budget)
    left_out = ""
    within = [plan for plan in plans(n, dim, budget) if not (quick and plan.kind == "hnsw")]
    for number, plan in enumerate(within):
        last = number + 1 >= len(within) or within[number + 1].kind == "exact"
        if plan.kind in ("hnsw", "ivf") and n > HNSW_ROWS and not last:
            left_out = f"mapped from disk, as HNSW of {n:,} vectors takes long to build"
        elif free is not None and 2 * plan.bytes > free and not last:
            left_out = (
                f"mapped from disk, as {plan.kind.upper()} takes {_megabytes(plan.bytes)} to build and "
                f"{_megabytes(free)} are free"
            )
        else:
            return replace(plan, why=left_out or plan.why, compelled=bool(left_out))
    return within[-1]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


UNITS: Final = {"": 1, "B": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("KMGT", 1)
    for ending, base in (("", 1000), ("B", 1000), ("IB", 1024))
}


def parse_memory(text: str) -> int:
    """An amount of memory in bytes: K, M, G, T are powers of 1000, KiB, MiB, GiB, TiB of 1024.

    Raises ``UsageError``.

    >>> parse_memory("2G"), parse_memory("1.5 GiB"), parse_memory("500000")
    (2000000000, 1610612736, 500000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text, re.IGNORECASE | re.ASCII)
    factor = UNITS.get(match[2].upper()) if match else None
    if match is None or factor is None or (size := int(float(match[1]) * factor)) < 1:
        raise UsageError(f"{text!r} is no amount of memory: a number above 0 and K, M, G or T, such as 2G or 512MiB")
    return size
