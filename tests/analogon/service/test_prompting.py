"""Prompts as requests: the same from Python, from JSON and from the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import analogon
from analogon.prompts import Prompt
from analogon.prompts.dialects import compose
from analogon.service.prompting import ComposePrompt, Interrogate, SelectPrompts
from embed.errors import AnalogonError
from indexes.build import Listener
from tests import sounds
from tests.command_line import exit_code

TOY = "toy:64"
CAPTIONS = ("slow sad piano", "rain on a tin roof", "a dog barks twice", "warm pads, vinyl crackle")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("captions.csv").write_text("caption\n" + "".join(f'"{text}"\n' for text in CAPTIONS), "utf-8")
    Path("bank").mkdir()
    Path("bank/things.txt").write_text("rain\npiano\ndog\n", "utf-8")
    Path("bank/moods.txt").write_text("sad\nslow\n", "utf-8")


def _lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Any]:
    assert exit_code(monkeypatch, *arguments, "-f", "json") == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_prompts_of_a_file_are_the_same_at_every_door(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = SelectPrompts(query="rain on a tin roof", file=Path("captions.csv"), encoder=TOY, k=2, variety=0.0)
    found = asked.run().to_json()
    assert found["prompts"][0]["text"] == CAPTIONS[1] and found["prompts"][0]["score"] == 1.0
    assert found["query"] == "'rain on a tin roof'" and found["notes"] == [] == found["composed"]
    fields = json.loads(json.dumps(asked.to_json()))
    assert SelectPrompts.from_json(fields) == asked and SelectPrompts.from_json(fields).run().to_json() == found
    typed = ("prompts", "rain on a tin roof", "--list", "captions.csv", "-e", TOY, "-k", "2", "--variety", "0")
    assert _lines(monkeypatch, capsys, *typed) == found["prompts"]


def test_a_dialect_takes_one_prompt_unless_all_are_said_as_one() -> None:
    whole = {"query": "pads", "file": "captions.csv", "encoder": TOY}
    assert len(SelectPrompts.from_json(whole).run().prompts) == 4  # of five, all that there are
    (one,) = SelectPrompts.from_json(whole | {"dialect": "suno", "lyrics": "[Verse]\nover the hill"}).run().composed
    assert one == compose([Prompt(CAPTIONS[3])], "suno", lyrics="[Verse]\nover the hill")
    found = SelectPrompts.from_json(
        whole | {"dialect": "stable-diffusion", "together": True, "negative": ["blur"]}
    ).run()
    assert len(found.prompts) == 4 and found.composed == (
        compose(found.prompts, "stable-diffusion", negative=["blur"]),
    )


def test_an_open_collection_is_asked_as_it_is() -> None:
    class Heard(Listener):
        phases = 0

        def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
            self.phases += 1

    with analogon.open("./c", create=True) as library:
        library.index("captions.csv", encoders=[TOY], text_column="caption")
        item = library.search("slow sad piano", to="text")[0].id
        found = SelectPrompts(query="2:rain + roof - piano", k=1).run(library=library)
        assert [one.text for one in found.prompts] == [CAPTIONS[1]] and found.selection.arithmetic
        made = Interrogate(query=f"id:{item}", bank=(Path("bank"),), limit=1).run(library=library)
        assert made.found.space == TOY and made.prompt.text == "sad" and made.query == f"id:{item}"
    heard = Heard()
    SelectPrompts(query="pads", file=Path("captions.csv"), encoder=TOY).run(listener=heard)
    assert heard.phases


def test_interrogation_is_the_same_at_every_door(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Interrogate(query="sad, sad rain", bank=(Path("bank"),), encoder=TOY, dialect="musicgen")
    made = asked.run().to_json()
    assert made["text"] == "sad, rain" and made["query"] == "sad, sad rain" and made["against"] is None
    assert made["composed"] == compose([Prompt("sad, rain")], "musicgen").to_json()
    fields = json.loads(json.dumps(asked.to_json()))
    assert Interrogate.from_json(fields) == asked and Interrogate.from_json(fields).run().to_json() == made
    typed = ("interrogate", "sad, sad rain", "--bank", "bank", "-e", TOY, "--for", "musicgen")
    assert _lines(monkeypatch, capsys, *typed) == [made]
    sound = str(sounds.write(Path("x.wav"), 4, seconds=3.0))
    part = Interrogate(query=sound, bank=(Path("bank"),), encoder=TOY, part="1-2", against="rain").run()
    assert part.query.endswith("x.wav, 1-2") and part.against == "rain"


def test_composing_alone() -> None:
    both = ComposePrompt(dialect="stable-diffusion", prompts=("rain", Prompt("wind", 2.0)), negative=("blur",))
    assert ComposePrompt.from_json(both.to_json()) == both
    assert both.run().composed == (
        compose([Prompt("rain"), Prompt("wind", 2.0)], "stable-diffusion", negative=["blur"]),
    )
    each = ComposePrompt(dialect="musicgen", prompts=("rain", "wind"), together=False, seconds=10).run()
    assert each.to_json() == {
        "composed": [compose([Prompt(text)], "musicgen", seconds=10).to_json() for text in ("rain", "wind")]
    }


@pytest.mark.parametrize(
    ("asked", "fields", "says"),
    [
        (SelectPrompts, {"dialect": "nonsense"}, "there is no dialect 'nonsense'"),
        (SelectPrompts, {"negative": ["x"]}, "`negative` and `lyrics` go with `dialect`"),
        (SelectPrompts, {"together": True}, "`together` makes one prompt of several"),
        (SelectPrompts, {"collection": "c", "file": "a.csv"}, "say one of the two"),
        (SelectPrompts, {"text_column": "caption"}, "`text_column` says where"),
        (SelectPrompts, {"file": "a.csv", "caption": "c"}, "`file` has texts"),
        (Interrogate, {"dialect": "nonsense"}, "there is no dialect 'nonsense'"),
        (Interrogate, {"lyrics": "la"}, "`negative` and `lyrics` go with `dialect`"),
        (Interrogate, {"query": "id:3"}, "`collection` names the collection that holds it"),
        (Interrogate, {"encoder": TOY, "part": "0-1"}, "`part` says which part of one recording"),
        (Interrogate, {"query": "./x.wav", "encoder": TOY, "part": "2-1"}, "`part` 2-1: it ends before it begins"),
        (Interrogate, {"encoder": TOY, "kind": ["colours"]}, "`kind` colours: there is no such kind"),
        (ComposePrompt, {"dialect": "suno", "prompts": ["..."]}, "there is nothing to compose"),
    ],
)
def test_wrong_requests_are_one_line_that_names_fields_and_no_flags(
    asked: Any, fields: Mapping[str, Any], says: str
) -> None:
    sounds.write(Path("x.wav"), 1)
    query = {} if asked is ComposePrompt else {"query": "rain"}
    with pytest.raises(AnalogonError, match=says) as refusal:
        asked.from_json(query | dict(fields)).run()
    assert "\n" not in str(refusal.value) and " -" not in f" {refusal.value}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["prompts", "x", "--together"], "--together makes one prompt of several: it goes with --for"),
        (["prompts", "x", "--negative", "y"], "--negative and --lyrics go with --for"),
        (["prompts", "x", "--list", "two.csv", "-e", TOY], "say with --text-column where the prompts stand"),
        (["prompts", "x", "-c", "./sounds"], "--caption names the column of their metadata"),
        (["interrogate", "x", "--lyrics", "captions.csv"], "--negative and --lyrics go with --for"),
        (["interrogate", "x", "-e", "voices:x"], "voices"),
    ],
)
def test_the_command_line_calls_fields_by_their_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    Path("two.csv").write_text("a,b\n1,2\n", "utf-8")
    with analogon.open("./sounds", create=True) as library:
        library.index(sounds.write(Path("s/x.wav"), 1), encoders=[TOY])
    assert exit_code(monkeypatch, *arguments) in (2, 3)
    error = capsys.readouterr().err.strip()
    assert says in error and "`" not in error and len(error.splitlines()) == 1
