"""Manifests that are gone, damaged, or from a newer program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from embed.errors import CollectionDamaged, CollectionError, CollectionNotFound
from indexes.collection import Collection
from indexes.manifest import read_manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    Collection.create(tmp_path / "c").close()
    return tmp_path / "c" / "manifest.json"


def test_a_deleted_one_is_no_damaged_one(manifest: Path) -> None:
    manifest.unlink()
    with pytest.raises(CollectionNotFound, match="it was deleted"):
        read_manifest(manifest.parent)


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "3", "[" * 100_000, '{"format": 1, "spaces": [3]}'])
def test_damage_comes_with_the_way_out(manifest: Path, content: str) -> None:
    manifest.write_text(content)
    with pytest.raises(CollectionDamaged, match=r"not a readable manifest .*delete its folder and index again"):
        read_manifest(manifest.parent)


@pytest.mark.parametrize("changes", [{}, {"spaces": None}, {"spaces": {"toy": 3}}, {"names": 3}], ids=str)
def test_a_newer_format_is_told_whatever_else_is_new(manifest: Path, changes: dict[str, Any]) -> None:
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99} | changes))
    with pytest.raises(CollectionError, match="made by a newer analogon, with format 99") as raised:
        read_manifest(manifest.parent)
    assert not isinstance(raised.value, CollectionDamaged)


def test_a_folder_that_may_not_be_read_is_named(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(CollectionError, match=r"c: cannot be read: Permission denied$"):
        Collection.open(manifest.parent)
