"""The notebooks run from top to bottom, and their results show players and thumbnails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(name: str, monkeypatch: pytest.MonkeyPatch, shared: Path) -> list[Any]:
    monkeypatch.setenv("ANALOGON_SHARED", str(shared))
    notebook = nbformat.read(FOLDER / name, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed with outputs: they hold others' data"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(FOLDER)}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_search_by_meaning(monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    outputs = run("01-search-by-meaning.ipynb", monkeypatch, shared)
    pages = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(pages) == 7
    assert all(page.count("<audio controls") == 3 for page in pages[:3])
    assert pages[3].count("<img src='data:image/png") == 4 and "guitar" in pages[4]
    printed = "".join(output.get("text", "") for output in outputs)
    precision = float(printed.split("recordings: ")[1].split()[0])
    assert precision >= 0.8  # chance is 0.1
