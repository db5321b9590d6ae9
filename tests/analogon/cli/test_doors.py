"""What is the command line's own: its words for what is said below it, its version, what a shell completes."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import analogon
from analogon.cli.terminal import in_flags
from analogon.service.request import Request
from tests import sounds
from tests.command_line import exit_code

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "import sys; sys.argv[0] = 'analogon'; from analogon.cli.app import main; main()"
OWN_FLAGS = {
    "analogon/generate/families/espeak.py": "flags of espeak-ng",
    "analogon/demo/tour.py": "commands to type",
    "embed/errors.py": "flags of pip",
}
SERVICE = "analogon.service"
CALL = re.compile(r"`(analogon\.[^`]*\))`")
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


def written(node: ast.AST) -> str:
    """A string as it is in the code, with what is put into it quoted, as ``!r`` does, or named."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(written, node.values))
    if isinstance(node, ast.FormattedValue):
        whole = ast.unparse(node)
        return "'x'" if node.conversion == ord("r") else "voices.ListVoices" if "self.request" in whole else "x"
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_calls_that_messages_speak_of_can_be_made() -> None:
    """Each names what there is in Python, with the keywords that it takes; the command line has a command for each."""
    found = set()
    for package in ("embed", "indexes", "analogon"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr | ast.Constant) and "cli" not in path.parts:
                    found |= {(path.name, call) for call in CALL.findall(written(node)) if call.count("(") > 1}
    assert len(found) > 8
    for name, call in sorted(found):
        node: ast.expr = ast.parse(call, mode="eval").body
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            place = ast.unparse(node.func)
            if node.func.attr == "index":
                function: object = analogon.Library.index
            elif node.func.attr == "run":
                function = Request.from_json
            else:
                module, _, last = place.rpartition(".")
                function = getattr(import_module(module), last)
            keywords = {keyword.arg for keyword in node.keywords}
            assert keywords <= set(inspect.signature(function).parameters), (name, call)  # type: ignore[arg-type]
            node = node.func.value
        if not call.startswith("analogon.register("):  # somebody's own function, which no command could be given
            assert in_flags(f"`{call}`").startswith("analogon "), (name, call)


@pytest.mark.parametrize(
    ("below", "here"),
    [
        ("name it with `encoder`", "name it with --encoder"),
        ("`encoders=clap` hears better", "--encoder clap hears better"),
        ("`where`, column 3: no", "--where, column 3: no"),
        ("`analogon.open('drums', create=True).index(FOLDER)` makes one", "analogon index FOLDER -c drums makes one"),
        (
            "`analogon.open('my drums', create=True).index(FOLDER, encoders='clap')`",
            "analogon index FOLDER -c 'my drums' --encoder clap",
        ),
        (f"`{SERVICE}.voices.AddVoice(...).run()` makes one", "analogon voice add makes one"),
        (
            f"`{SERVICE}.voices.AddVoice(name=NAME, more=True, encoders=['speaker']).run()`",
            "analogon voice add NAME --more --encoder speaker",
        ),
        (
            f"`{SERVICE}.voices.AddVoice(name='bob', files=[FILE], encoders=['xvector']).run()`",
            "analogon voice add bob FILE... --encoder xvector",
        ),
        (f"`{SERVICE}.voices.AddVoice(name=NAME, files=TAKES).run()`", "analogon voice add NAME TAKES..."),
        (f"`{SERVICE}.voices.ListVoices().run()` says", "analogon voice list says"),
        (f"`{SERVICE}.bridges.FitBridge(...).run()`", "analogon bridge fit"),
        ("`analogon.nothing(known)`", "`analogon.nothing(known)`"),
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
        ("index sounds -c new", "taking starter, since HF_HUB_OFFLINE forbids to ask the model hub"),
        ("index gone -c new", "analogon: gone: no such file or folder"),
        ("rm gone.wav -c HERE", "gone.wav: nothing is known of it here"),
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
    assert ("taking" in told) == ("sounds" in arguments)


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
