"""Takes: what is made and kept, how it is scored and ordered, and that nothing is made twice."""

from __future__ import annotations

import io
import json
import re
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import analogon
from analogon.engines.generator import Ability, Generator, Settings, generate
from analogon.generate.judge import Judge, Judges, available_judges
from analogon.generate.loading import families, load
from analogon.generate.takes import Run, provenance, ranked
from analogon.prompts import Prompt, Source
from analogon.query import Exclude, File, Text
from embed import encode
from embed import load as load_encoder
from embed.errors import (
    AnalogonError,
    Cancelled,
    GeneratorError,
    UnknownGenerator,
    UnsupportedModality,
    UsageError,
)
from embed.listener import Listener
from embed.media import Media
from tests.command_line import exit_code

RATE = 16000


@pytest.fixture(autouse=True)
def noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALOGON_GENERATORS", str(Path(__file__).parents[2] / "plugins"))


def _noise(seed: int, seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def _judges() -> Judges:
    return Judges(*(Judge.of(load_encoder(f"toy:{dim}"), Text("rain rain wind")) for dim in (8, 16)))


def test_a_take_holds_what_the_generator_made_and_the_sidecar_says_how(tmp_path: Path) -> None:
    prompt = Prompt("Rain, on a tin roof!", because=(Source("captions.csv, row 3", 0.5, "rain", 12),))
    run = Run(load("noise", level=0.2), prompt, tmp_path / "new" / "out", Settings(seed=7, seconds=0.5), 2, _judges())
    takes = list(run.takes())
    assert [take.seed for take in takes] == [7, 8]
    for take in takes:
        samples, rate = soundfile.read(take.path, dtype="float64")
        assert rate == RATE
        assert np.abs(samples - _noise(take.seed, 0.5, 0.2)).max() <= 2.0**-23
        record = json.loads(take.path.with_suffix(".json").read_text("utf-8"))
        assert record == take.record
        assert record["prompt"] == prompt.to_json()
        assert record["prompt"]["because"][0]["id"] == 12
        assert record["generator"] == {"name": "noise:white", "family": "noise", "level": 0.2}
        assert (record["seconds"], record["rate"], record["channels"]) == (0.5, RATE, 1)
        assert record["made_of"] == [{"path": "nothing.wav", "start": 0.0}]
        assert take.path.name == f"rain-on-a-tin-roof-{run.id[:6]}-{take.seed}.wav"


def test_scores_are_cosines_of_the_take_with_the_prompt_in_each_judges_space(tmp_path: Path) -> None:
    run = Run(load("noise"), Prompt("rain rain wind"), tmp_path, Settings(seconds=1.6), 3, _judges())
    for take in run.takes():
        for role, dim in (("choose", 8), ("report", 16)):
            encoder = load_encoder(f"toy:{dim}")
            asked = encode(encoder, [Media.from_text("rain rain wind")]).array[0].astype(np.float64)
            # Two windows of a second, the last moved back to end where the recording does.
            samples = _noise(take.seed, 1.6)
            windows = []
            for part in (samples[:RATE], samples[-RATE:]):
                row = np.array([np.abs(piece).mean() for piece in np.array_split(part.astype(np.float64), dim)])
                row[-1] += 1
                windows.append(row / np.linalg.norm(row))
            mean = np.mean(windows, axis=0)
            assert take.score(role) == pytest.approx(float(mean / np.linalg.norm(mean) @ asked), abs=2e-6)
            assert take.record["scores"][role]["model"] == f"toy:{dim}"


def test_the_best_by_the_judge_that_chooses_comes_first_whatever_the_other_says(tmp_path: Path) -> None:
    takes = list(Run(load("noise"), Prompt("rain"), tmp_path, count=6, judges=_judges()).takes())
    scores = [take.score("choose") for take in takes]
    assert [take.seed for take in ranked(takes)] == np.argsort(-np.array(scores), kind="stable").tolist()
    unscored = list(Run(load("noise"), Prompt("rain"), tmp_path / "b", count=2).takes())
    assert ranked([*unscored, takes[0]]) == [takes[0], *unscored]


def test_what_is_there_is_not_made_again_and_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    out = tmp_path / "out"

    def run(count: int, **more: object) -> list[object]:
        made = load("noise", log=str(log))
        return [(take.seed, take.new) for take in Run(made, Prompt("rain"), out, count=count, **more).takes()]  # type: ignore[arg-type]

    assert run(2) == [(0, True), (1, True)]
    first = sorted((file.name, file.read_bytes()) for file in out.iterdir())
    assert run(4) == [(0, False), (1, False), (2, True), (3, True)]
    assert log.read_text().split() == ["0", "1", "2", "3"]
    assert [(name, (out / name).read_bytes()) for name, _ in first] == first
    # A sidecar that never came: the take is made again, of the same bytes.
    wav = next(out.glob("*-1.wav"))
    bytes_before = wav.read_bytes()
    wav.with_suffix(".json").unlink()
    assert run(2) == [(0, False), (1, True)]
    assert wav.read_bytes() == bytes_before
    # Another prompt or another setting is another run, in the same folder.
    assert run(1, settings=Settings(seconds=0.5)) == [(0, True)]
    assert len(list(out.glob("*-0.wav"))) == 2


def test_new_judges_score_what_is_there(tmp_path: Path) -> None:
    def run(judges: Judges) -> dict[str, object]:
        (take,) = Run(load("noise"), Prompt("rain rain wind"), tmp_path, judges=judges).takes()
        assert json.loads(take.path.with_suffix(".json").read_text()) == take.record
        return {role: (found["model"], found["score"]) for role, found in take.record["scores"].items()}

    assert run(Judges()) == {}
    both = run(_judges())
    assert {role: model for role, (model, _) in both.items()} == {"choose": "toy:8", "report": "toy:16"}  # type: ignore[misc]
    assert run(_judges()) == both
    other = run(Judges(Judge.of(load_encoder("toy:16"), Text("rain rain wind")), None))
    assert other["choose"] == pytest.approx(both["report"], abs=1e-5)
    again = run(Judges(Judge.of(load_encoder("toy:16"), Text("storm")), None))
    assert again["choose"] != other["choose"]


def test_an_interruption_keeps_what_is_finished(tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    stopped = Run(load("noise", log=str(log), fault=2), Prompt("rain"), out, count=4)
    with pytest.raises(KeyboardInterrupt):
        list(stopped.takes())
    assert sorted(file.suffix for file in out.iterdir()) == [".json", ".json", ".wav", ".wav"]
    takes = list(Run(load("noise", log=str(log)), Prompt("rain"), out, count=4).takes())
    assert [(take.seed, take.new) for take in takes] == [(0, False), (1, False), (2, True), (3, True)]
    assert log.read_text().split() == ["0", "1", "2", "2", "3"]


def test_a_take_that_somebody_changed_stays_and_is_told(tmp_path: Path) -> None:
    run = Run(load("noise"), Prompt("rain"), tmp_path, count=2)
    _, second = list(run.takes())
    second.path.write_bytes(second.path.read_bytes() + b"mine")
    kept = second.path.read_bytes()
    again = Run(load("noise"), Prompt("rain"), tmp_path, count=2)
    assert [take.seed for take in again.takes()] == [0]
    assert second.path.read_bytes() == kept
    assert any(str(second.path) in line and "changed" in line for line in again.remarks)


@pytest.mark.parametrize("content", ["", "{}", "[1]", "[" * 100_000, '{"run": "other", "scores": {}, "content": ""}'])
def test_a_strange_sidecar_is_never_overwritten(tmp_path: Path, content: str) -> None:
    run = Run(load("noise"), Prompt("rain"), tmp_path)
    (take,) = run.takes()
    take.path.with_suffix(".json").write_text(content)
    again = Run(load("noise"), Prompt("rain"), tmp_path, count=2)
    assert [one.seed for one in again.takes()] == [1]
    assert any("no sidecar of this take" in line for line in again.remarks)
    assert take.path.with_suffix(".json").read_text() == content


@pytest.mark.parametrize(
    "change",
    [
        *({"seed": None}, {"seed": "0"}, {"seed": 1}, {"scores": []}, {"scores": {"choose": 3}}),
        *({"scores": {"choose": {}}}, {"prompt": "rain"}, {"generator": {}}, {"made": None, "content": None}),
    ],
    ids=str,
)
def test_a_sidecar_that_lacks_what_is_asked_of_takes_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    (take,) = Run(load("noise"), Prompt("rain"), tmp_path).takes()
    record = dict(take.record) | change
    record = {key: value for key, value in record.items() if value is not None}
    take.path.with_suffix(".json").write_text(json.dumps(record))
    again = Run(load("noise"), Prompt("rain"), tmp_path)
    assert list(again.takes()) == []
    assert any("no sidecar of this take" in line for line in again.remarks)


def test_one_take_is_enough_where_the_seed_changes_nothing(tmp_path: Path) -> None:
    run = Run(load("noise", same=True), Prompt("rain"), tmp_path, count=5)
    assert [take.seed for take in run.takes()] == [0]
    assert run.remarks == ["noise:white makes the same take whatever the seed: there is one"]
    assert len(list(tmp_path.glob("*.wav"))) == 1


def test_what_a_take_is_refused_for(tmp_path: Path) -> None:
    for fault, says in (("nan", "not finite"), ("empty", "nothing"), ("double", "float64")):
        with pytest.raises(GeneratorError, match=says):
            generate(load("noise", fault=fault), "rain")
    loud = generate(load("noise", level=10.0), "rain").media.array
    assert loud is not None
    np.testing.assert_allclose(loud, _noise(0, level=10.0) / np.abs(_noise(0, level=10.0)).max(), rtol=1e-6)
    with pytest.raises(UsageError, match="noise:white takes no voice; it takes guide, seconds"):
        generate(load("noise"), "rain", Settings(voice="bob"))
    cut = generate(load("noise"), "rain", Settings(seconds=9))
    assert cut.remarks == ("noise:white makes 2 s at most, not 9 s",)
    assert len(cut.media.array) == 2 * RATE  # type: ignore[arg-type]
    for wrong in (-1.0, 0.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="seconds"):
            Settings(seconds=wrong)
    with pytest.raises(UsageError, match="seed"):
        Settings(seed=-1)
    with pytest.raises(UsageError, match="empty"):
        Run(load("noise"), Prompt("  "), tmp_path)
    with pytest.raises(UsageError, match="at least one"):
        Run(load("noise"), Prompt("rain"), tmp_path, count=0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be a folder"):
        list(Run(load("noise"), Prompt("rain"), tmp_path / "file").takes())


def test_generators_are_named_like_encoders() -> None:
    assert "noise" in families()
    with pytest.raises(UnknownGenerator, match="no generator family 'nose'; there are: .*noise"):
        load("nose")
    with pytest.raises(GeneratorError, match=r"noise has no setting 'lewel'; it has: model, level"):
        load("noise", lewel=3)


def test_the_judges_differ_unless_one_is_alone() -> None:
    def judge(dim: int) -> Judge:
        return Judge.of(load_encoder(f"toy:{dim}"), Text("rain"))

    eight, sixteen, again = judge(8), judge(16), judge(8)
    found = Judges.select([eight, again, sixteen])
    assert (found.choose, found.report, found.remark) == (eight, sixteen, "")
    found = Judges.select([eight, again])
    assert (found.choose, found.report) == (eight, None)
    assert "only toy:8 is at hand" in found.remark
    found = Judges.select([eight, sixteen], report=again)
    assert (found.choose, found.report, found.remark) == (sixteen, again, "")
    found = Judges.select([], choose=eight, report=again)
    assert (found.choose, found.report) == (eight, again)
    assert "flatter" in found.remark
    assert "unscored" in Judges.select([]).remark
    with pytest.raises(UnsupportedModality, match="cannot judge"):
        Judge.of(load_encoder("starter"), Text("rain")).score(Media("image", array=np.zeros((8, 8, 3), np.uint8)))


def test_a_judge_reads_the_query_as_a_search_does_but_for_what_it_excludes(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder("toy:8")

    def asked(self: object, media: Media) -> Media:
        return Media.from_text(f"query {media.text}") if media.modality == "text" else media

    monkeypatch.setattr(type(encoder), "embed_query", asked)
    expected = encode(encoder, [Media.from_text("query rain")]).array[0]
    # What takes no part in the vector need not be there, nor be of a kind that the encoder takes.
    for query in (Text("rain"), Exclude(Text("rain"), File("nowhere.png"), 0.2)):
        assert np.array_equal(Judge.of(encoder, query).target, expected)
    heard = Media("audio", array=_noise(3), rate=RATE)
    assert Judge.of(encoder, Text("rain")).score(heard) == pytest.approx(
        float(encode(encoder, [heard]).array[0] @ expected), abs=1e-6
    )


def test_judges_at_hand_are_the_collections_then_the_starter(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", _noise(1), RATE)
    with analogon.open(tmp_path / "c", create=True) as library:
        library.index(tmp_path / "a.wav", encoders=["toy:8", "toy:16"])
        models = [judge.model for judge in available_judges(Text("rain"), "audio", library)]
        assert models == ["toy:8", "toy:16", "starter"]
        assert [judge.model for judge in available_judges(Text("rain"), "image", library)] == ["toy:8", "toy:16"]


def test_takes_join_a_collection_with_where_they_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["generate", "rain on tin", "--with", "noise", "-n", "3", "--choose", "toy:8", "--report", "toy:16"]
    assert exit_code(monkeypatch, *arguments, "--set", "level=0.3", "-o", "out", "-f", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["rank"] for line in lines] == [1, 2, 3]
    assert lines[0]["generator"]["level"] == 0.3
    scores = [line["scores"]["choose"]["score"] for line in lines]
    assert scores == sorted(scores, reverse=True)

    with analogon.open(tmp_path / "made", create=True) as library:
        run = Run(load("noise", level=0.3), Prompt("rain on tin"), Path("out"), count=3)
        takes = list(run.takes())
        assert not any(take.new for take in takes)
        library.index(*(t.path for t in takes), encoders=["toy"], metadata={str(t.path): provenance(t) for t in takes})
        (hit,) = library.search("rain", to="audio", by="content", where="seed = 1 and generator = 'noise:white'")
        assert hit.metadata["prompt"] == "rain on tin"
        best = next(line for line in lines if line["seed"] == 1)
        assert hit.metadata["choose_score"] == best["scores"]["choose"]["score"]
        assert hit.metadata["report_by"] == "toy:16"

    assert exit_code(monkeypatch, *arguments, "--set", "level=0.3", "-o", "out", "--add", str(tmp_path / "made")) == 0
    shown = capsys.readouterr()
    assert re.search(r"chosen by +reported by", shown.out)
    assert "0 takes are new there, 3 were known" in shown.err


def test_prompts_come_from_stdin_with_their_hits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    prompt = Prompt("rain", because=(Source("a.csv, row 1", 0.25),))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(prompt.to_json()) + "\n\nwind in trees\n"))
    assert exit_code(monkeypatch, "generate", "-", "--with", "noise", "-f", "json") == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["prompt"] == prompt.to_json()
    assert second["prompt"]["text"] == "wind in trees"


def test_takes_of_several_prompts_are_ranked_each_among_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["generate", "rain \x1b[31mred", "wind in trees", "--with", "noise", "-n", "2"]
    arguments += ["--choose", "toy:8", "--report", "toy:16"]
    assert exit_code(monkeypatch, *arguments, "-f", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["rank"], line["prompt"]["text"]) for line in lines] == [
        (1, "rain \x1b[31mred"),
        (2, "rain \x1b[31mred"),
        (1, "wind in trees"),
        (2, "wind in trees"),
    ]
    assert exit_code(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("wind in trees") == 1
    assert out.count("for all on average") == 2


def test_takes_whose_folder_was_renamed_are_told_as_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["generate", "rain", "--with", "noise", "--choose", "toy:8", "--report", "toy:16", "--add", "./made"]
    with analogon.open(tmp_path / "made", create=True) as library:
        soundfile.write("other.wav", _noise(99), RATE)
        library.index("other.wav", encoders=["toy"])
    assert exit_code(monkeypatch, *arguments, "-o", "out") == 0
    assert "made: 1 take is new there, 0 were known\n" in capsys.readouterr().err
    Path("out").rename("kept")
    assert exit_code(monkeypatch, *arguments, "-o", "kept") == 0
    assert "made: 0 takes are new there, 0 were known, 1 moved\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "rain", "weight": "much"}',
        '{"text": "rain", "because": [{"name": "a", "score": "high"}]}',
        '{"text": "rain", "because": [{"name": "a", "score": null}]}',
    ],
)
def test_hits_that_are_none_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    import io

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(line + "\n"))
    assert exit_code(monkeypatch, "generate", "-", "--with", "noise") == 2
    assert "stdin: not a prompt as JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "stdin held no prompt"),
        ("\n \n", "stdin held no prompt"),
        ('{"text": 3}', "its text should be a string"),
        ('{"tex', "not a prompt as JSON"),
        ('{"prompt": "rain"}', "not a prompt as JSON"),
        ('{"text": "rain", "because": 3}', "not a prompt as JSON"),
    ],
)
def test_what_stdin_holds_has_to_be_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    assert exit_code(monkeypatch, "generate", "-", "--with", "noise") == 2
    error = capsys.readouterr().err.strip()
    assert says in error and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rain"], "--with names a generator; there are: "),
        (["--with", "noise"], "a prompt is needed"),
        (["rain", "--with", "nose"], "there is no generator family 'nose'"),
        (["rain", "--with", "noise", "--set", "level"], "--set level: a setting is name=value"),
        (["rain", "--with", "noise", "--set", "lewel=1"], "noise has no setting 'lewel'"),
        (["rain", "--with", "noise", "--guide", "none.wav"], "none.wav: no such file"),
        (["rain", "--with", "noise", "-f", "yaml"], "-f yaml: there is no such format"),
        (["rain", "--with", "noise", "--ssml", "none.xml"], "no prompt beside it"),
        (["rain", "--with", "mosaic", "-c", "no/where"], "no/where"),
    ],
)
def test_wrong_use_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(monkeypatch, "generate", *arguments) in (2, 3)
    error = capsys.readouterr().err.strip()
    assert says in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.rglob("*.wav"))


def test_a_guide_alone_is_enough_and_takes_are_compared_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("hum.wav", _noise(9), RATE)
    assert (
        exit_code(monkeypatch, "generate", "--with", "noise", "--guide", "hum.wav", "--choose", "toy", "-f", "json")
        == 0
    )
    (line,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert line["scores"]["choose"]["asked"] == "file:hum.wav"
    assert Path(line["path"]).name.startswith("hum-")
    rows = encode(load_encoder("toy"), [Media.from_path("hum.wav"), Media.from_path(line["path"])]).array
    assert line["scores"]["choose"]["score"] == pytest.approx(float(rows[0] @ rows[1]), abs=1e-5)


class _Longer(Generator):
    """Hum that lasts a second longer with each seed, and says which seed it was."""

    name = "longer"
    modality = "audio"
    abilities: frozenset[Ability] = frozenset({"voice"})
    identity = {"family": "longer"}  # noqa: RUF012

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        return Media("audio", array=_noise(settings.seed, 1.0 + settings.seed), rate=RATE)

    def remarks(self, prompt: Prompt, settings: Settings) -> list[str]:
        return [f"seed {settings.seed} hums"] if settings.seed % 2 else []


@pytest.fixture
def ill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A family of judges, ``ill``, that fail at sounds as long as this file is there."""
    flag = tmp_path / "ill"
    flag.touch()
    folder = tmp_path / "encoders"
    folder.mkdir()
    (folder / "ill.py").write_text(
        "import os\nfrom embed.encoders.toy import load as toy\n\n\ndef load(model='8'):\n    made = toy(model)\n"
        "    whole = made.encode_batch\n    def encode_batch(batch):\n"
        f"        if batch[0].modality == 'audio' and os.path.exists({str(flag)!r}):\n"
        "            raise RuntimeError('the judge\\nis ill')\n        return whole(batch)\n"
        "    made.encode_batch = encode_batch\n    return made\n"
    )
    monkeypatch.setenv("ANALOGON_ENCODERS", str(folder))
    monkeypatch.delitem(sys.modules, "embed.encoders.ill", raising=False)
    return flag


def test_a_take_whose_judge_fails_is_kept_and_scored_when_it_is_asked_for_again(tmp_path: Path, ill: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"

    def run() -> Run:
        judges = Judges(Judge.of(load_encoder("ill"), Text("rain")), Judge.of(load_encoder("toy:16"), Text("rain")))
        return Run(load("noise", log=str(log)), Prompt("rain"), out, count=2, judges=judges)

    first = run()
    takes = list(first.takes())
    why = "toy:8 cannot encode any audio: RuntimeError: the judge is ill"
    assert first.remarks == [f"takes are kept, and not scored: {why}"]
    for take in takes:
        record = json.loads(take.path.with_suffix(".json").read_text("utf-8"))
        assert record == take.record and record["unscored"] == {"choose": why}
        assert list(record["scores"]) == ["report"] and take.path.is_file()
        assert take.score("choose") is None and take.score("report") is not None
    again = run()
    assert [take.record for take in again.takes()] == [take.record for take in takes]
    assert again.remarks == first.remarks
    ill.unlink()
    healed = run()
    for take, before in zip(healed.takes(), takes, strict=True):
        encoder = load_encoder("toy:8")
        rows = encode(encoder, [Media.from_path(take.path), Media.from_text("rain")]).array
        assert take.score("choose") == pytest.approx(float(rows[0] @ rows[1]), abs=1e-5)
        assert "unscored" not in take.record and take.record["scores"]["report"] == before.record["scores"]["report"]
        assert json.loads(take.path.with_suffix(".json").read_text("utf-8")) == take.record
    assert healed.remarks == [] and log.read_text().split() == ["0", "1"]


def test_a_score_of_another_judge_does_not_stand_for_one_that_fails(tmp_path: Path, ill: Path) -> None:
    def choose(name: str) -> Judges:
        return Judges(Judge.of(load_encoder(name), Text("rain")))

    (take,) = Run(load("noise"), Prompt("rain"), tmp_path / "out", judges=choose("toy:16")).takes()
    assert take.score("choose") is not None
    (take,) = Run(load("noise"), Prompt("rain"), tmp_path / "out", judges=choose("ill")).takes()
    assert take.record["scores"] == {} and list(take.record["unscored"]) == ["choose"]


@pytest.mark.parametrize("error", [UsageError("no speaker encoder"), RuntimeError("broken")])
def test_a_take_whose_voice_cannot_be_heard_is_kept_and_compared_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from analogon.generate import takes as module
    from analogon.voices import Comparison, Similarity, Voice
    from embed.space import Space

    space = Space("ear:x", "none", "x", 2)
    voice = Voice("bob", {space: np.array([1, 0], np.float32)})

    def fails(*_: object, **__: object) -> Similarity:
        raise error

    def run() -> Run:
        return Run(_Longer(), Prompt("hello"), tmp_path, Settings(voice=voice))

    monkeypatch.setattr(module, "similarity", fails)
    first = run()
    (take,) = first.takes()
    reason = str(error) if isinstance(error, UsageError) else "RuntimeError: broken"
    assert take.record["unscored"] == {"voice": reason} and take.score("voice") is None
    assert first.remarks == [f"takes are kept, and not scored: {reason}"]
    near = Similarity("bob", (Comparison("bob", space, 0.5),), remarks=("one ear only",))
    monkeypatch.setattr(module, "similarity", lambda *_, **__: near)
    (take,) = run().takes()
    assert take.score("voice") == 0.5 and not take.new and "unscored" not in take.record
    assert take.record["remarks"] == ["one ear only"]


def test_what_is_said_of_one_take_is_not_said_of_the_next(tmp_path: Path) -> None:
    run = Run(_Longer(), Prompt("hum"), tmp_path, count=4)
    assert [take.record.get("remarks") for take in run.takes()] == [None, ["seed 1 hums"], None, ["seed 3 hums"]]
    assert run.remarks == ["seed 1 hums", "seed 3 hums"]


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """What limits the size of files that can be written, as a full disk does: the write fails in its middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_the_takes_before_and_nothing_half_written(
    tmp_path: Path, small_disk: Callable[[int], None]
) -> None:
    takes = Run(_Longer(), Prompt("hum"), tmp_path, count=3).takes()
    small_disk(5 * RATE)  # a second takes three bytes a sample
    first = next(takes)
    with pytest.raises(AnalogonError) as refusal:
        next(takes)
    line = str(refusal.value)
    assert "hum-" in line and "cannot be written: " in line and "takes before it are kept" in line and "\n" not in line
    assert sorted(tmp_path.iterdir()) == sorted([first.path, first.path.with_suffix(".json")])
    small_disk(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    again = Run(_Longer(), Prompt("hum"), tmp_path, count=3).takes()
    assert [(take.seed, take.new) for take in again] == [(0, False), (1, True), (2, True)]


def test_media_whose_sidecar_cannot_be_written_do_not_stand_alone(
    tmp_path: Path, small_disk: Callable[[int], None]
) -> None:
    long = Prompt("hum " * 20_000)
    small_disk(60_000)
    with pytest.raises(AnalogonError, match=r"\.json: cannot be written"):
        list(Run(_Longer(), long, tmp_path).takes())
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_cancelled_keeps_what_is_finished(tmp_path: Path) -> None:
    listener = Listener()
    found = []
    with pytest.raises(Cancelled):
        for take in Run(_Longer(), Prompt("hum"), tmp_path, count=3).takes(listener):
            found.append(take)
            listener.cancel()
    assert [take.seed for take in found] == [0] and len(list(tmp_path.iterdir())) == 2
    again = Run(_Longer(), Prompt("hum"), tmp_path, count=3).takes()
    assert [(take.seed, take.new) for take in again] == [(0, False), (1, True), (2, True)]
