"""Which index is chosen for how many vectors and how much memory, how fast it is and how well it finds.

    python benchmarks/index_recall.py [--sizes 2000,20000,100000] [--dim 512] [--budgets none,256M,64M,16M]

Vectors are clustered, and all lean to one side, as those of one modality do; the cross-modal queries lean to another
by a constant gap. The exact scan is the oracle, and the ratio of times is taken in this run. Seeded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from embed.space import unit
from indexes.faiss import choose, fit, parse_memory, recall
from indexes.index import ExactIndex, Index

QUERIES = 200


def clustered(n: int, dim: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Unit vectors ``(n, dim)`` in clusters of some 50, and ``QUERIES`` unit queries from across a constant gap."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, n // 50), dim)).astype(np.float32)
    gap = random.normal(size=(2, dim)).astype(np.float32)
    members = random.integers(len(centres), size=n)
    vectors = unit(centres[members] + 0.7 * random.normal(size=(n, dim)).astype(np.float32) + gap[0])
    asked = random.integers(len(centres), size=QUERIES)
    queries = unit(centres[asked] + 0.7 * random.normal(size=(QUERIES, dim)) + gap[1])
    return vectors, queries


def milliseconds(search: Callable[[npt.NDArray[np.float32]], object], queries: npt.NDArray[np.float32]) -> float:
    """The median time of one query, asked one at a time."""
    times = []
    for query in queries:
        start = time.perf_counter()
        search(query[None, :])
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def main() -> None:
    """Print one line for each size and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="2000,20000,100000")
    parser.add_argument("--budgets", default="none,256M,64M,16M")
    parser.add_argument("--dim", type=int, default=512)
    options = parser.parse_args()
    print(
        f"{'vectors':>8} {'budget':>6}  {'build s':>7} {'exact ms':>8} {'ours ms':>7} {'ratio':>6}  chosen and measured"
    )
    for n in map(int, options.sizes.split(",")):
        vectors, queries = clustered(n, options.dim, seed=n)
        exact = ExactIndex(vectors)
        for budget in options.budgets.split(","):
            limit = None if budget == "none" else parse_memory(budget)
            start = time.perf_counter()
            index: Index = fit(vectors, limit, cross={"cross-modal": queries})
            built = time.perf_counter() - start
            slow = milliseconds(lambda q, index=exact: index.search(q, 10), queries[:50])  # type: ignore[misc]
            fast = milliseconds(lambda q, index=index: index.search(q, 10), queries[:50])  # type: ignore[misc]
            print(
                f"{n:8,} {budget:>6}  {built:7.1f} {slow:8.2f} {fast:7.2f} {slow / fast:5.1f}x  {index.description}",
                f"[planned: {choose(n, options.dim, limit).kind}; recall@10 over all {QUERIES} cross-modal queries "
                f"{recall(index, exact, queries):.3f}]",
                flush=True,
            )


if __name__ == "__main__":
    main()
