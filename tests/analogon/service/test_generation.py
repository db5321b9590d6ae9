"""Generate: the same from Python, from JSON and from the command line; what is finished is never lost."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import soundfile

import analogon
import embed.encoder
from analogon.engines.generator import UNREAD
from analogon.generate import loading
from analogon.prompts import Prompt, Source
from analogon.service.generation import Generate, Takes, Unfinished
from embed.errors import AnalogonError, Cancelled, GeneratorError, UsageError
from embed.registry import Registry
from indexes.build import Listener
from tests import sounds
from tests.command_line import exit_code

PLUGINS = Path(__file__).parents[2] / "plugins"
RAIN = Prompt("rain", because=(Source("a.csv, row 1", 0.25),))


@pytest.fixture(autouse=True)
def noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALOGON_GENERATORS", str(PLUGINS))
    monkeypatch.chdir(tmp_path)


class Heard(Listener):
    def __init__(self, stop_after: int | None = None) -> None:
        self.lines: list[str] = []
        self.phases: list[tuple[str, int | None]] = []
        self.takes = 0
        self.stop_after = stop_after

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        self.phases.append((name, total))

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        if self.phases[-1][0] == "takes":
            self.takes += count
            if self.takes == self.stop_after:
                self.cancel()

    def remark(self, text: str) -> None:
        self.lines.append(text)


def _told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Takes as JSON, without what differs from run to run."""
    return [
        {key: row[key] for key in row if key not in ("made", "path")} | {"name": Path(row["path"]).name} for row in rows
    ]


def test_python_json_and_the_command_line_make_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Generate(
        generator="noise",
        prompts=("rain", "wind in trees"),
        takes=2,
        seed=3,
        seconds=0.5,
        settings={"level": 0.2},
        choose="toy:8",
        report="toy:16",
        like="storm",
        out=Path("one"),
    )
    first = asked.run().to_json()
    read = Generate.from_json(json.loads(json.dumps(asked.to_json() | {"out": "two"})))
    second = read.run().to_json()
    assert (
        exit_code(
            monkeypatch,
            *("generate", "rain", "wind in trees", "--with", "noise", "-n", "2", "--seed", "3", "--seconds", "0.5"),
            *("--set", "level=0.2", "--choose", "toy:8", "--report", "toy:16", "--like", "storm", "-o", "three"),
            *("-f", "json"),
        )
        == 0
    )
    third = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = [row for group in first["prompts"] for row in group]
    assert len(rows) == 4 and [row["rank"] for row in rows] == [1, 2, 1, 2] and first["remarks"] == []
    assert _told(rows) == _told([row for group in second["prompts"] for row in group]) == _told(third)
    assert {row["generator"]["level"] for row in rows} == {0.2} and {row["seconds"] for row in rows} == {0.5}
    assert {row["scores"]["choose"]["asked"] for row in rows} == {"storm"}
    for row in rows:
        assert Path(row["path"]).read_bytes() == Path("three", Path(row["path"]).name).read_bytes()


def test_a_request_reads_what_it_writes_hits_included() -> None:
    asked = Generate(generator="noise", prompts=("wind", RAIN), settings={"level": 0.5, "log": None}, out=Path("x"))
    fields = json.loads(json.dumps(asked.to_json()))
    assert fields["prompts"] == ["wind", RAIN.to_json()] and fields["settings"] == {"level": 0.5, "log": None}
    assert Generate.from_json(fields) == asked
    # A line of `analogon prompts -f json` has more than a prompt: that is passed over, as in text.
    told = {"rank": 1, "score": 0.5} | RAIN.to_json()
    assert Generate.from_json({"generator": "noise", "prompts": [told]}).prompts == (RAIN,)
    assert next(iter(asked.run())).record["prompt"] == Prompt("wind").to_json()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "a prompt is needed"),
        ({"prompts": ["rain", " "]}, "the prompt is empty"),
        ({"prompts": ["rain"], "ssml": "a.xml"}, "`ssml` says what to speak"),
        ({"prompts": ["rain"], "add": " "}, "`add` names a collection"),
        ({"prompts": ["rain"], "takes": 0}, "at least one take"),
        ({"prompts": ["rain"], "settings": {"lewel": 1}}, "noise has no setting 'lewel'"),
        ({"prompts": ["rain", "wind"], "choose": "nose"}, "there is no encoder family 'nose'"),
        ({"prompts": ["rain"], "report": "toy", "like": "./none.png"}, "none.png: no such file"),
    ],
)
def test_nothing_is_made_where_a_request_is_wrong(tmp_path: Path, fields: Mapping[str, Any], says: str) -> None:
    with pytest.raises(AnalogonError, match=says) as refusal:
        Generate.from_json({"generator": "noise"} | dict(fields)).run()
    assert "--" not in str(refusal.value) and "\n" not in str(refusal.value)
    assert not list(tmp_path.rglob("*.wav"))


def test_each_model_is_loaded_once_for_all_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    whole = Registry.make

    def make(registry: Registry, table: Mapping[str, Any], **offered: Any) -> Any:
        if registry in (embed.encoder.REGISTRY, loading.REGISTRY):
            loads.append(f"{table['family']}:{table.get('model', '')}")
        return whole(registry, table, **offered)

    monkeypatch.setattr(Registry, "make", make)
    prompts = ("rain", "wind", "sea", "fire")
    made = Generate(generator="noise", prompts=prompts, choose="toy:8", report="toy:16").run()
    assert len(made) == 4 and sorted(loads) == ["noise:", "toy:16", "toy:8"]
    loads.clear()
    monkeypatch.setenv("ANALOGON_ENCODER", "toy:4,toy:2")
    made = Generate(generator="noise", prompts=prompts, out=Path("b")).run()
    assert {take.record["scores"]["choose"]["model"] for take in made} == {"toy:4"}
    assert {take.record["scores"]["report"]["model"] for take in made} == {"toy:2"}
    assert sorted(loads) == ["toy:2", "toy:4"]  # the generator is still there
    loads.clear()
    made = Generate(generator="noise", prompts=prompts, out=Path("c"), choose="toy:4").run()
    assert {take.record["scores"]["report"]["model"] for take in made} == {"toy:2"}
    assert loads == []


def _family(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, fails: str) -> str:
    """A family of toy encoders that raise where ``fails``, an expression of a medium ``one``, is true."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(
        "from embed.errors import MediaError\nfrom embed.encoders.toy import load as toy\n\n\n"
        "def load(model='8'):\n    made = toy(model)\n    whole = made.encode_batch\n    def encode_batch(batch):\n"
        f"        for one in batch:\n            if {fails}:\n"
        "                raise MediaError(one.name, 'is too odd')\n"
        "        return whole(batch)\n    made.encode_batch = encode_batch\n    return made\n"
    )
    monkeypatch.setenv("ANALOGON_ENCODERS", str(folder))
    monkeypatch.delitem(sys.modules, f"embed.encoders.{name}", raising=False)
    return name


def test_a_judge_that_fails_is_told_once_and_the_takes_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deaf = _family(monkeypatch, tmp_path / "encoders", "deaf", "one.modality == 'audio'")
    assert (
        exit_code(
            monkeypatch,
            *("generate", "rain", "wind", "--with", "noise", "-n", "3", "--choose", deaf, "--report", "toy:16"),
            *("-f", "json"),
        )
        == 0
    )
    shown = capsys.readouterr()
    rows = [json.loads(line) for line in shown.out.splitlines()]
    assert len(rows) == 6 and all(list(row["scores"]) == ["report"] for row in rows)
    assert all(row["unscored"] == {"choose": "toy:8: is too odd"} for row in rows)
    assert shown.err.splitlines() == ["analogon: takes are kept, and not scored: toy:8: is too odd"]


def test_a_judge_that_cannot_read_one_prompt_judges_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picky = _family(monkeypatch, tmp_path / "encoders", "picky", "one.text == 'xyzzy'")
    made = Generate(generator="noise", prompts=("rain", "xyzzy"), choose=picky, report="toy:16").run()
    rain, odd = made.groups
    assert rain[0].record["scores"]["choose"]["model"] == "toy:8"
    assert odd[0].record["scores"].get("choose", {}).get("model") != "toy:8"
    assert "toy:8 does not judge: 'xyzzy': is too odd" in made.remarks


def test_of_several_prompts_one_that_nothing_is_made_of_is_told() -> None:
    asked = Generate(generator="mosaic", prompts=("rain", "file:none.wav", "wind"), collection="./c", seconds=1.0)
    for number in range(4):
        sounds.write(Path("lib") / f"{number}.wav", number)
    with analogon.open("./c", create=True) as library:
        library.index("lib", encoders=["toy:8"])
        made = asked.run(library=library)
    assert [group[0].record["prompt"]["text"] for group in made.groups] == ["rain", "wind"]
    assert [line for line in made.remarks if "none.wav" in line]


def test_where_nothing_is_made_of_any_prompt_the_first_reason_is_raised() -> None:
    with pytest.raises(GeneratorError, match="not finite"):
        Generate(generator="noise", prompts=("rain", "wind"), settings={"fault": "nan"}).run()


def test_markup_is_told_once_for_all_prompts() -> None:
    heard = Heard()
    prompts = ("(rain:1.2) on tin", "((wind))", "sea", "[far] thunder", "(rain:1.2) again")
    made = Generate(generator="noise", prompts=prompts).run(listener=heard)
    line = f"noise:white {UNREAD}: '(rain:1.2)', '((wind))', '[far]'"
    assert [one for one in heard.lines if UNREAD in one] == [one for one in made.remarks if UNREAD in one] == [line]
    told = [take.record.get("remarks") for take in made]
    assert told[2] is None and told[3] == [f"noise:white {UNREAD}: '[far]'"]  # a sidecar speaks of its own take


def test_takes_join_a_collection_in_one_run_and_the_catalog_is_not_read_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from analogon.search.library import Library
    from indexes.catalog import Catalog

    runs: list[int] = []
    whole, query, scans = Library.index, Catalog.query, list[str]()

    def index(library: Library, *paths: Any, **options: Any) -> Any:
        runs.append(len(paths))
        return whole(library, *paths, **options)

    def asked(catalog: Catalog, text: str, parameters: Any = ()) -> Any:
        plan = query(catalog, f"EXPLAIN QUERY PLAN {text}", parameters)
        scans.extend(str(row[-1]) for row in plan if str(row[-1]).startswith("SCAN source"))
        return query(catalog, text, parameters)

    monkeypatch.setattr(Library, "index", index)
    monkeypatch.setenv("ANALOGON_ENCODER", "toy:8")
    monkeypatch.setattr(Catalog, "query", asked)
    asked_for = Generate(generator="noise", prompts=("rain", "wind", "sea"), takes=2, choose="toy:8", add="./made")
    made = asked_for.run()  # the noise of a seed is the same for all prompts, and counts as new once
    assert runs == [6] and made.added is not None
    assert made.added.to_json() == {"collection": "made", "new": 2, "known": 0, "moved": 0}
    few = len(scans)
    scans.clear()
    more = Generate(generator="noise", prompts=("rain", "wind", "sea"), takes=8, choose="toy:8", add="./made").run()
    assert runs == [6, 24] and more.added is not None and (more.added.new, more.added.known) == (6, 6)
    assert len(scans) <= few  # passes over all files: as many for 24 takes as for 6
    with analogon.open("./made") as library:
        (hit,) = library.search("wind", to="audio", by="content", where="seed = 7 and prompt = 'wind'")
        assert hit.metadata["generator"] == "noise:white" and Path(hit.path).name.startswith("wind-")


def test_takes_that_cannot_be_added_are_shown_and_the_reason_is_the_exit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANALOGON_ENCODER", "nose")
    asked = Generate(generator="noise", prompts=("rain",), choose="toy:8", report="toy:16", add="./made")
    with pytest.raises(Unfinished, match="no encoder family 'nose'") as ending:
        asked.run()
    assert isinstance(ending.value.takes, Takes) and len(ending.value.takes) == 1
    assert not Path("made").exists()
    arguments = ("generate", "rain", "--with", "noise", "--choose", "toy:8", "--report", "toy:16", "--add", "./made")
    assert exit_code(monkeypatch, *arguments, "-f", "paths") == 3
    shown = capsys.readouterr()
    assert Path(shown.out.strip()).is_file()
    assert shown.err.count("no encoder family 'nose'") == 1 and len(shown.err.splitlines()) == 1


def test_a_disk_that_fills_up_ends_the_run_after_what_is_finished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    arguments = ("generate", "rain", "sea " * 20_000, "--with", "noise", "--choose", "toy:8", "--report", "toy:16")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))  # a sidecar holds the prompt
        assert exit_code(monkeypatch, *arguments, "-f", "paths") == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    shown = capsys.readouterr()
    (take,) = map(Path, shown.out.splitlines())
    assert sorted(Path("takes").iterdir()) == sorted([take, take.with_suffix(".json")])
    assert "cannot be written" in shown.err and len(shown.err.splitlines()) == 1


def test_a_run_that_is_cancelled_keeps_its_takes_and_goes_on_later() -> None:
    asked = Generate(generator="noise", prompts=("rain", "wind"), takes=2)
    with pytest.raises(Cancelled):
        asked.run(listener=Heard(stop_after=3))
    assert len(list(Path("takes").glob("*.wav"))) == len(list(Path("takes").glob("*.json"))) == 3
    heard = Heard()
    assert [sum(take.new for take in group) for group in asked.run(listener=heard).groups] == [0, 1]
    assert heard.phases == [("takes", 4)] and heard.takes == 4


def test_interrupted_by_a_key_the_command_keeps_its_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("generate", "rain", "--with", "noise", "-n", "4", "--set", f"log={tmp_path / 'log'}", "--set")
    assert exit_code(monkeypatch, *arguments, "fault=2") == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert len(list(Path("takes").glob("*.wav"))) == len(list(Path("takes").glob("*.json"))) == 2


def test_a_guide_is_what_takes_without_words_are_compared_with() -> None:
    soundfile.write("hum.wav", soundfile.read(sounds.write(Path("x.wav"), 1))[0], 16000)
    (take,) = Generate(generator="noise", guide=Path("hum.wav"), choose="toy:8").run()
    assert take.record["scores"]["choose"]["asked"] == "file:hum.wav"
    with pytest.raises(UsageError, match="takes no voice"):
        Generate(generator="noise", guide=Path("hum.wav"), voice="nobody").run()


def test_the_command_line_calls_fields_by_their_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, "generate", "rain", "--with", "noise", "--add", " ") == 2
    assert "--add names a collection" in capsys.readouterr().err
    assert exit_code(monkeypatch, "generate", "id:3", "--with", "noise", "--like", "id:3", "--choose", "toy") == 2
    assert "-c names the collection that holds it" in capsys.readouterr().err
    monkeypatch.setenv("ANALOGON_ENCODER", "starter")
    assert exit_code(monkeypatch, "generate", "rain", "--with", "noise") == 0
    assert "only starter is at hand: it chooses and scores, which flatters (--report names another)" in " ".join(
        capsys.readouterr().err.split()
    )
