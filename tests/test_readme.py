"""README's examples run as they stand, in order, in one folder; what they print is what README shows."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from embed.space import unit
from tests import sounds
from tests.conftest import SHARED

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>[a-z]+)\n(?P<body>.*?)```", re.DOTALL)
SECONDS = re.compile(r"in \d+\.\d s")
SCORE = re.compile(r"\b\d\.\d{3}\b")
PERCENTILE = re.compile(r"(?<=\d\.\d{3})  +\d{1,3}\.\d\b")
RUN = re.compile(r"-[0-9a-f]{6}-(?=\d+\.wav)")  # a run is told by the vectors of what it was made of
TODAY = re.compile(r"\b\d{4}-\d\d-\d\d(T[\d:]+Z)?")


@dataclass(frozen=True)
class Example:
    language: str
    mark: str
    body: str


EXAMPLES = [
    Example(match["language"], match["mark"] or "", match["body"])
    for match in BLOCK.finditer((ROOT / "README.md").read_text("utf-8"))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with README's own files in it, sounds in ``samples``, and real data where it is at hand."""
    root = tmp_path_factory.mktemp("readme")
    sounds.folder(root / "samples", 10)
    for example in EXAMPLES:
        if example.mark.startswith("file: "):
            path = root / example.mark.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(example.body)
    if SHARED.is_dir():
        for name in ("esc10", "stamps", "prompts"):
            (root / name).symlink_to(SHARED / "data" / name)
        (root / "models").symlink_to(SHARED / "models")
    return root


def test_python_examples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ANALOGON_HOME", str(folder / "home"))
    monkeypatch.setenv("ANALOGON_ENCODERS", "")
    namespace: dict[str, object] = {}
    ran = [example for example in EXAMPLES if example.language == "python" and not example.mark]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for example in ran:
            exec(example.body, namespace)
    assert len(ran) == 4
    hits, alike = namespace["hits"], namespace["alike"]
    assert len(hits) == 3 and len(alike) == 3  # type: ignore[arg-type]
    assert alike[0].space_name == "spectrum:32"  # type: ignore[index]
    assert "004.wav" not in alike[0].path  # type: ignore[index]
    texts = ["a dog barks", "a god", "the wide sea"]
    counts = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz "] for text in texts], float)
    assert np.abs(np.asarray(namespace["vectors"]) - unit(counts)).max() < 1e-6


def shown(body: str) -> list[tuple[str, list[str]]]:
    """Commands of a console example, each with the lines that it should print."""
    found: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(SECONDS.sub("in N s", line.rstrip()))
    return found


def bare(line: str) -> str:
    """A line without its figures and dates, and with the blanks that they line up with made one."""
    return re.sub(" +", " ", SCORE.sub("S", TODAY.sub("D", PERCENTILE.sub(" P", RUN.sub("-", line))))).strip()


@pytest.mark.parametrize("mark", ["checkout", "shared"])
def test_console_examples(folder: Path, mark: str, request: pytest.FixtureRequest) -> None:
    if mark == "shared":
        request.getfixturevalue("shared")
    elif not shutil.which("espeak-ng"):
        pytest.skip("README counts the files of a demo that espeak-ng speaks in")
    environment = {**os.environ, "ANALOGON_HOME": str(folder / "console"), "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    ran = 0
    for example in EXAMPLES:
        if example.language != "console" or example.mark != mark:
            continue
        for command, expected in shown(example.body):
            done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            lines = [SECONDS.sub("in N s", line.rstrip()) for line in done.stdout.splitlines()]
            # Quantised classifiers round a little differently on another processor: the order must hold, and nearly
            # the scores and percentiles.
            assert [bare(line) for line in lines] == [bare(line) for line in expected], command
            for figure, tolerance in ((SCORE, 0.02), (PERCENTILE, 2.0)):
                found, wanted = (
                    [float(f) for line in some for f in figure.findall(line)] for some in (lines, expected)
                )
                assert found == pytest.approx(wanted, abs=tolerance), command
            ran += 1
    assert ran >= {"checkout": 4, "shared": 18}[mark]
