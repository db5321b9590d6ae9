"""Index files: what comes back, and that damage is seen."""

from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

from embed.errors import MachineError
from indexes.faiss.build import build
from indexes.faiss.file import IndexDamaged
from indexes.faiss.index import FaissIndex, read
from indexes.index import Index
from tests.indexes.engines import PLANS, Array, N, shifted


@pytest.mark.parametrize("name", [*PLANS, "exact plan"])
def test_round_trip(name: str, vectors: Array, indexes: dict[str, Index], tmp_path: Path) -> None:
    index, path = indexes[name], tmp_path / "äöü index.faiss"
    assert isinstance(index, FaissIndex)
    index.save(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    again = read(path, np.concatenate([vectors, vectors[:100]]))  # the collection has grown since
    assert (again.size, again.plan, again.settings, again.measured) == (N, index.plan, index.settings, index.measured)
    assert again.description == index.description
    queries, allowed = shifted(vectors, 40), np.arange(N) % 7 != 0
    for mask in (None, allowed):
        before, after = index.search(queries, 10, allowed=mask), again.search(queries, 10, allowed=mask)
        np.testing.assert_array_equal(before.rows, after.rows)
        np.testing.assert_array_equal(before.scores, after.scores)


@pytest.mark.parametrize("name", ["hnsw", "ivf-pq", "exact plan"])
def test_damage_is_seen(name: str, vectors: Array, indexes: dict[str, Index], tmp_path: Path) -> None:
    path = tmp_path / "x.faiss"
    indexes[name].save(path)  # type: ignore[attr-defined]
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for position in [0, len(whole) - 1, len(whole) - 30, *random.integers(len(whole), size=40)]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(IndexDamaged, match=r"x\.faiss"):
            read(path, vectors)
    for length in [0, 1, 27, 28, 29, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(IndexDamaged):
            read(path, vectors)
    path.write_bytes(whole + b"\0")
    with pytest.raises(IndexDamaged):
        read(path, vectors)
    path.write_bytes(whole)
    with pytest.raises(IndexDamaged, match="3000 x 64 vectors; there are 2999 x 64"):
        read(path, vectors[:-1])
    with pytest.raises(IndexDamaged, match="other vectors"):
        read(path, vectors[::-1])
    with pytest.raises(IndexDamaged, match="there are 3000 x 63"):
        read(path, vectors[:, :63])
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none", vectors)
    assert read(path, vectors).size == N


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each look for a checksum took."""
    lengths: list[int] = []
    whole = zlib.crc32

    def crc32(block: bytes, before: int = 0) -> int:
        lengths.append(len(block))
        return whole(block, before)

    monkeypatch.setattr("indexes.faiss.file.zlib.crc32", crc32)
    return lengths


def test_a_file_is_checked_once_as_long_as_it_stands(
    vectors: Array, indexes: dict[str, Index], tmp_path: Path, looked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.faiss"
    indexes["hnsw"].save(path)  # type: ignore[attr-defined]
    looked.clear()
    read(path, vectors)
    read(path, vectors)  # written a moment ago: its times tell too little
    assert len(looked) >= 2 and not path.with_name("x.faiss.checked").exists()
    monkeypatch.setattr("indexes.faiss.file.SETTLED", -1)
    read(path, vectors)
    looked.clear()
    assert read(path, vectors).size == N
    assert looked == []
    copy = tmp_path / "copy" / "x.faiss"
    shutil.copytree(tmp_path, copy.parent, ignore=shutil.ignore_patterns("copy"))
    read(copy, vectors)
    assert sum(looked) == path.stat().st_size - 28  # all but the end, which has the checksum
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    path.write_bytes(damaged)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    with pytest.raises(IndexDamaged, match="checksum"):
        read(path, vectors)
    path.with_name("x.faiss.checked").write_text("no list")
    with pytest.raises(IndexDamaged, match="checksum"):
        read(path, vectors)


def test_what_cannot_be_written_leaves_the_old_file(
    vectors: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, path = build(vectors, PLANS["ivf"]), tmp_path / "x.faiss"
    index.save(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MachineError, match=r"x\.faiss: the disk is full.*No space left"):
        index.save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_large_file_that_was_written_just_now_need_not_be_read_to_be_known(
    vectors: Array, indexes: dict[str, Index], tmp_path: Path, looked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.faiss"
    monkeypatch.setattr("indexes.faiss.file.LARGE", 1000)
    indexes["ivf"].save(path)  # type: ignore[attr-defined]
    looked.clear()
    assert read(path, vectors).size == N and not looked
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(IndexDamaged, match="checksum"):
        read(path, vectors)
    assert looked
