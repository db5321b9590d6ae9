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
    # The names of rooms are known, and no others: strict mypy tells of an ignored error that is none.
    lines += ["from analogon import evaluation, generate, prompts, speech"]
    lines += ["run: generate.Run | None = None", "prompt: prompts.Prompt = prompts.Prompt('rain')"]
    lines += ["bridge: analogon.Bridge = analogon.bridge('b', 'toy:8', 'toy:16', texts)"]
    lines += ["interval: evaluation.Interval = evaluation.wilson(1, 2)", "document = speech.parse('<speak/>')"]
    lines += [f"{room}.nonsense  # type: ignore[attr-defined]" for room in ("evaluation", "generate", "prompts")]
    lines += ["analogon.nonsense  # type: ignore[attr-defined]"]
    script = tmp_path / "mine.py"
    script.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--no-incremental", str(script)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout


ROOMS = ["analogies", "demo", "evaluation", "generate", "labels", "prompts", "speech", "vectors", "voices"]


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_name_that_is_offered_is_there_and_listed(room: str) -> None:
    import analogon

    module = getattr(analogon, room) if room else analogon
    offered = getattr(module, "__all__", [])
    assert len(offered) == len(set(offered)) and set(offered) <= set(dir(module))
    for name in offered:
        found = getattr(module, name)
        assert found is getattr(module, name)
        if callable(found) and not isinstance(found, dict | str):
            assert found.__doc__, f"{module.__name__}.{name} has no docstring"
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


def test_rooms_cost_nothing_until_they_are_asked() -> None:
    code = (
        "import sys, analogon, analogon.analogies, analogon.evaluation, analogon.generate, analogon.prompts\n"
        "late = ['analogon.analogies.plot', 'analogon.evaluation.retrieval', 'analogon.generate.takes', 'matplotlib',\n"
        "        'analogon.prompts.dialects', 'analogon.prompts.selection', 'analogon.analogies.evaluation']\n"
        "assert not set(late) & set(sys.modules), set(late) & set(sys.modules)\n"
        "from analogon.evaluation import kad\n"
        "assert kad is analogon.evaluation.kad is sys.modules['analogon.evaluation.audio_distance'].kad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
