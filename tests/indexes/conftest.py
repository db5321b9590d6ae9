"""An empty collection; one set of vectors, and every index over it, built once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.index import Index
from tests.indexes.engines import ALL, DIM, Array, N, clustered


@pytest.fixture(scope="session")
def vectors() -> Array:
    return clustered(N, DIM)


@pytest.fixture(scope="session")
def indexes(vectors: Array) -> dict[str, Index]:
    return {name: make(vectors) for name, make in ALL.items()}


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "collection") as made:
        yield made
