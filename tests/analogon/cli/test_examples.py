"""Every command's examples: each is parsed, and in a folder that holds what they speak of nearly all are run."""

from __future__ import annotations

import csv
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from analogon.cli.app import app
from analogon.cli.examples import EXAMPLES
from tests import sounds
from tests.command_line import exit_code

STAND_INS = {"clap": "toy:16", "starter": "toy:8", "speaker": "toy:8", "xvector": "toy:5"}
"""The toy encoder hears everything, quickly and without a download."""
NOT_RUN = {
    "demo": "it makes and hears a hundred sounds; its own tests run it",
    "export-onnx": "the toy encoder has no network; its own tests run it",
    "train static": "its teacher is a download",
    "train student": "it learns for minutes",
}
ORDER = (
    *("families", "index", "search", "info", "export", "import", "rm", "doctor", "tag", "probe"),
    *("eval retrieval", "eval audio"),
    *("analogy", "relation fit", "relation list", "relation show", "relation apply", "relation rm", "eval analogies"),
    *("bridge fit", "bridge list", "bridge show", "bridge rm", "voice add", "voice list", "voice show"),
    *("voice similar", "voice mix", "voice export", "voice rm", "prompts", "interrogate", "generate"),
)
WORDS = (
    *("man", "king", "woman", "queen", "paris", "france", "rome", "italy", "berlin", "germany"),
    *("tokyo", "japan", "oslo", "norway", "madrid", "spain"),
)


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_every_command_has_two_examples_and_no_example_is_of_another() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()
    assert {name: len(set(EXAMPLES[name])) for name in EXAMPLES if len(set(EXAMPLES[name])) < 2} == {}
    assert sorted([*ORDER, *NOT_RUN]) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_the_examples_and_each_is_parsed(name: str) -> None:
    command = COMMANDS[name]
    shown = command.get_help(command.make_context(name, [], resilient_parsing=True))
    assert [line.strip() for line in shown.splitlines()][-len(EXAMPLES[name]) :] == list(EXAMPLES[name])
    for example in EXAMPLES[name]:
        program, *words = shlex.split(example)
        assert program == "analogon" and words[: len(name.split())] == name.split()
        command.make_context(name, words[len(name.split()) :])  # ends with an error where it does not parse


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with what the examples speak of."""
    home = tmp_path_factory.mktemp("home")
    sounds.folder(home / "sounds", 12)
    names = sorted(path.name for path in (home / "sounds").rglob("*.wav"))
    with (home / "sounds.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "mood"])
        rows.writerows([name, ("dark", "bright")[i % 2]] for i, name in enumerate(names[:-2]))
    shutil.copytree(home / "sounds", home / "Music" / "old")
    for seed, name in enumerate(("knock", "roof", "one", "two", "song"), start=50):
        sounds.write(home / f"{name}.wav", seed, 2.0)
        shutil.copy(home / f"{name}.wav", home / "Music")
    shutil.copytree(home / "sounds", home / "takes")
    Image.new("RGB", (8, 8), (200, 30, 30)).save(home / "Music" / "red.png")
    (home / "glove.txt").write_text(
        "".join(f"{word} {i % 4 + 1} {i % 3} {(i * 7) % 5} {i // 2}\n" for i, word in enumerate(WORDS))
    )
    (home / "countries.txt").write_text("France\nItaly\nGermany\nJapan\nNorway\nSpain\n")
    (home / "capitals.csv").write_text(
        "country,capital\nfrance,paris\ngermany,berlin\njapan,tokyo\nnorway,oslo\nspain,madrid\n"
    )
    (home / "questions-words.txt").write_text(
        ": capitals\nparis france rome italy\nberlin germany tokyo japan\nrome italy paris france\n"
    )
    (home / "labels.txt").write_text("a drum\na voice\nrain\n")
    (home / "captions.csv").write_text(
        "caption,file\n" + "".join(f"the sound number {i},sounds/{name}\n" for i, name in enumerate(paths(home)))
    )
    (home / "captions.txt").write_text("".join(f"{a} and {b} in the {c}\n" for a in WORDS for b in WORDS for c in "ab"))
    with (home / "prompts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["prompt"], ["heavy rain on a roof"], ["a slow piano"], ["traffic"], ["a drum"]])
    return home


def paths(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home / "sounds")) for path in (home / "sounds").rglob("*.wav"))


def test_the_examples_run(stage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOME", str(stage))
    monkeypatch.setenv("ANALOGON_HOME", str(stage / "kept"))
    monkeypatch.setenv("ANALOGON_ENCODER", "toy:8")
    monkeypatch.setenv("ANALOGON_NAME_ENCODER", "toy:8")
    monkeypatch.chdir(stage)
    failed = {}
    for name in ORDER:
        for example in EXAMPLES[name]:
            words = [STAND_INS.get(word, word) for word in shlex.split(example)[1:]]
            words = [str(Path(word).expanduser()) if word.startswith("~") else word for word in words]
            if words[:3] == ["voice", "add", "narrator"]:
                words += ["--encoder", "toy:8"]  # as the package of the speaker encoder may not be here
            if "espeak" in words and shutil.which("espeak-ng") is None:
                continue
            code = exit_code(monkeypatch, *words)
            shown = capsys.readouterr()
            if code != 0:
                failed[example] = (code, shown.err[-400:])
    assert failed == {}


def test_examples_are_shown_as_they_would_be_typed() -> None:
    told = subprocess.run(
        ["bash", "-n", "-c", "\n".join(one for some in EXAMPLES.values() for one in some)], capture_output=True
    )
    assert told.returncode == 0 and told.stderr == b""
