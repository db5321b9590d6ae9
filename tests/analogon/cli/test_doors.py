"""What is the command line's own: its words for what is said below it, its version, what a shell completes."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from analogon.cli.terminal import in_flags
from tests import sounds
from tests.command_line import exit_code

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "import sys; sys.argv[0] = 'analogon'; from analogon.cli.app import main; main()"
OWN_FLAGS = {"analogon/generate/families/espeak.py": "flags of espeak-ng", "analogon/demo/tour.py": "commands to type"}
FLAG = re.compile(
    r"(?<![\w-])(--[a-z][a-z-]+|-[ce] [A-Za-z])|analogon (index|search|info|rm|voice|bridge|relation|train|tag|probe) "
)


def spoken(tree: ast.AST) -> list[tuple[int, str]]:
    """The strings of a module that are no documentation, which stands by itself."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents
    ]


def test_nothing_below_the_command_line_speaks_of_flags() -> None:
    found: dict[str, list[str]] = {}
    for package in ("embed", "indexes", "analogon"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith("analogon/cli/") or name in OWN_FLAGS:
                continue
            if lines := [f"{n}: {text}" for n, text in spoken(ast.parse(path.read_text())) if FLAG.search(text)]:
                found[name] = lines
    assert found == {}


@pytest.mark.parametrize(
    ("below", "here"),
    [
        ("name it with `encoder`", "name it with --encoder"),
        ("`encoders=clap` hears better", "--encoder clap hears better"),
        ("`where`, column 3: no", "--where, column 3: no"),
        ("`index(FOLDER, collection=drums)` makes one", "analogon index FOLDER -c drums makes one"),
        ("`voice_add()` makes one", "analogon voice add makes one"),
        ("`index(FOLDER, text_column=caption)`", "analogon index FOLDER --text-column caption"),
        ("`voice_add(NAME, more=true, encoders=speaker)`", "analogon voice add NAME --more --encoder speaker"),
        ("a file `called` this", "a file `called` this"),
        ("`", "`"),
    ],
)
def test_what_is_said_below_is_said_in_flags(below: str, here: str) -> None:
    assert in_flags(below) == here


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("search rain -c nowhere", "no collection there; analogon index FOLDER -c nowhere makes one"),
        ("search rain -c HERE --where duration<", "--where, column 10"),
        ("index texts.csv -c HERE", "name the column that holds its texts with --text-column"),
        ("index sounds -c new", "no encoder named: starter, since HF_HUB_OFFLINE forbids to ask the model hub"),
        ("index sounds -c new", "hear and see better: --encoder clap)"),
        ("voice show nobody", "there are: none yet; analogon voice add makes one"),
        ("rm -c HERE", "name the files to forget, or say --all to delete the whole collection"),
    ],
)
def test_a_person_is_told_the_flag(
    arguments: str,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("analogon.settings.defaults.hub.whole", lambda model: None)
    sounds.folder(tmp_path / "sounds", 1)
    (tmp_path / "texts.csv").write_text("text\nrain\n")
    if "HERE" in arguments:
        assert exit_code(monkeypatch, "index", "sounds", "-c", "here", "-e", "toy") == 0
    capsys.readouterr()
    exit_code(monkeypatch, *arguments.replace("HERE", "here").split())
    told = capsys.readouterr().err
    assert line in told and "`" not in told and "Traceback" not in told


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"analogon {version('analogon')}\n"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("analogon search rain -c d", ["dogs", "drums"]),
        ("analogon info --collection dr", ["drums"]),
        ("analogon index sounds -e cla", ["clap"]),
        ("analogon doctor sta", ["starter", "static"]),
        ("analogon ve", []),
        ("analogon voi", ["voice"]),
        ("analogon voice ad", ["add"]),
    ],
)
def test_a_shell_completes_commands_collections_and_families(typed: str, completed: list[str], tmp_path: Path) -> None:
    for name in ("drums", "dogs", "cats"):
        (tmp_path / "collections" / name).mkdir(parents=True)
        (tmp_path / "collections" / name / "manifest.json").write_text("{}")
    environment = {
        **os.environ,
        "ANALOGON_HOME": str(tmp_path),
        "_ANALOGON_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    told = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert sorted(told.stdout.split()) == completed, told.stderr
