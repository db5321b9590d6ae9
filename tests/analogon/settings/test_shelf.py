"""What is put on a shelf comes back as it was; what is not there, or damaged, is said in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analogon.settings.shelf import Shelf
from embed.errors import AnalogonError, UsageError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path))
    return Shelf("relation", request="analogies.FitRelation")


def test_there_and_back(shelf: Shelf, tmp_path: Path) -> None:
    arrays = {"starts": np.arange(6, dtype=np.float32).reshape(2, 3).T, "flags": np.array([True, False])}
    path = shelf.put("male-female", {"pairs": [["Mann", "Frau"]], "ocs": 0.5}, arrays)
    assert path == tmp_path / "relations" / "male-female.safetensors"
    kept = shelf.get("male-female")
    assert kept.record == {"pairs": [["Mann", "Frau"]], "ocs": 0.5}
    assert kept.arrays["starts"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert kept.arrays["flags"].dtype == np.bool_
    shelf.put("male-female", {}, {"one": np.zeros(1)})
    assert list(shelf.get("male-female").arrays) == ["one"]
    assert shelf.names() == ["male-female"]
    shelf.remove("male-female")
    assert shelf.names() == []
    assert [path.name for path in (tmp_path / "relations").iterdir()] == []


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-x", "a\nb", "two words"])
def test_what_cannot_be_a_name(shelf: Shelf, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a relation"):
        shelf.put(name, {}, {})


def test_what_is_not_there(shelf: Shelf) -> None:
    with pytest.raises(
        UsageError, match=r"no relation called 'tense'; there are: none yet; `analogon\.service\.analogies\.Fit"
    ):
        shelf.get("tense")
    shelf.put("plural", {}, {})
    with pytest.raises(UsageError, match=r"no relation called 'tense'; there are: plural$"):
        shelf.remove("tense")


@pytest.mark.parametrize("content", [b"", b"\x10", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_damaged_files_are_named(shelf: Shelf, content: bytes) -> None:
    path = shelf.put("plural", {}, {"a": np.zeros(3)})
    path.write_bytes(content)
    with pytest.raises(AnalogonError, match=r"plural\.safetensors: not a readable relation"):
        shelf.get("plural")
