"""Analogies, labels, evaluations, bridges and voices as a second door asks them: what the command says, from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import analogon
from analogon.analogies.candidates import CollectionSource
from analogon.evaluation.audio_distance import recordings_in
from analogon.evaluation.doctor import examine
from analogon.evaluation.retrieval import PairTable, evaluate_retrieval
from analogon.labels import probe, tag
from analogon.search.library import Library
from analogon.service.analogies import (
    ApplyRelation,
    FitRelation,
    ListRelations,
    RemoveRelation,
    ShowRelation,
    SolveAnalogy,
)
from analogon.service.bridges import FitBridge, ListBridges, RemoveBridge, ShowBridge
from analogon.service.evaluation import CompareRecordings, EvaluateAnalogies, EvaluateRetrieval
from analogon.service.labels import ForgetLabels, Probe, Tag
from analogon.service.request import Request
from analogon.service.voices import (
    AddVoice,
    ExportVoice,
    FindSimilarVoices,
    ListVoices,
    MixVoices,
    RemoveVoice,
    ShowVoice,
)
from embed import Media, encode, load
from embed.errors import Cancelled, UsageError
from embed.listener import Listener
from tests import sounds
from tests.command_line import exit_code

STARTS, ENDS = "man king actor uncle", "woman queen actress aunt"
Command = Callable[..., list[dict[str, Any]]]
REQUESTS: list[Request] = [
    SolveAnalogy(terms=("man", "king", "woman"), words="w.vec", k=3, plot=Path("p.svg")),
    SolveAnalogy(terms=("c",), pairs=Path("p.csv"), columns=("a", "b"), collection="c", spaces=("toy",), to="audio"),
    FitRelation(table=Path("p.csv"), name="r", encoder="toy"),
    ListRelations(),
    ShowRelation(name="r", plot=Path("r.png")),
    ApplyRelation(name="r", term="x", strength=-1.0, candidates=Path("c.txt")),
    RemoveRelation(name="r"),
    Tag(labels=Path("l.txt"), templates=("{}", "a {}"), threshold=0.5, multiple=True),
    ForgetLabels(field="tag", collection="c"),
    Probe(column="mood", table=Path("t.csv"), spaces=("toy",), folds=3),
    EvaluateAnalogies(questions=Path("q.txt"), words="w.vec", methods=("lrcos",)),
    EvaluateRetrieval(pairs=Path("p.csv"), collection="c", spaces=("toy",)),
    CompareRecordings(recordings=(Path("a"),), reference=(Path("b"), Path("c")), encoders=("toy",), whole=True),
    FitBridge(source="toy", target="toy:4", texts=Path("t.txt"), name="b"),
    ListBridges(),
    ShowBridge(name="b"),
    RemoveBridge(name="b"),
    AddVoice(name="v", files=("a.wav",), encoders=("toy",), xvector=(Path("x.npy"),)),
    ListVoices(),
    ShowVoice(name="v"),
    FindSimilarVoices(asked="v", k=2),
    MixVoices(parts=("a:0.5", "b"), name="c", replace=True),
    RemoveVoice(name="v"),
    ExportVoice(name="v", target=Path("v.npy"), space="toy:8"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_every_request_reads_what_it_writes(request_: Request) -> None:
    fields = json.loads(json.dumps(request_.to_json()))
    assert type(request_).from_json(fields) == request_
    with pytest.raises(UsageError, match="knows no 'flags'"):
        type(request_).from_json(fields | {"flags": 1})


class Heard(Listener):
    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.phases: list[tuple[str, int | None]] = []
        self.through = 0

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        self.phases.append((name, total))

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        self.through += count

    def remark(self, text: str) -> None:
        self.remarks.append(text)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """What a command writes as JSON."""

    def run(*arguments: str) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert exit_code(monkeypatch, *arguments, "-f", "json") == 0, capsys.readouterr().err
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with word vectors in which queen = king - man + woman, and pairs of them."""
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    step = random.normal(size=20)
    starts = {name: random.normal(size=20) for name in ("man", "king", "actor", "uncle", "apple", "river")}
    ends = dict(zip(ENDS.split(), STARTS.split(), strict=True))
    rows = starts | {end: starts[start] + step for end, start in ends.items()}
    lines = [f"{word} {' '.join(f'{x:.5f}' for x in row)}" for word, row in rows.items()]
    (tmp_path / "w.vec").write_text(f"{len(rows)} 20\n" + "\n".join(lines) + "\n")
    (tmp_path / "pairs.csv").write_text("from,to\n" + "".join(f"{start},{end}\n" for end, start in ends.items()))
    return tmp_path


@pytest.fixture
def library(here: Path) -> Iterator[Library]:
    """Eight sounds in two spaces, the collection c."""
    sounds.folder(here / "sounds", 8)
    with analogon.open("c", create=True) as made:
        made.index(here / "sounds", encoders=["toy:16", "toy:12"])
        yield made


def asked(request: type[Request], **fields: Any) -> Any:
    """A request as it comes over a wire."""
    return request.from_json(json.loads(json.dumps(fields)))


def told(result: Any) -> Any:
    """A result as it goes over a wire."""
    return json.loads(json.dumps(result.to_json()))


# -- analogies and relations -------------------------------------------------------------------------------------------


def test_an_analogy_over_words_a_list_and_a_collection(here: Path, command: Command, library: Library) -> None:
    [said] = command("analogy", "man", "king", "woman", "--words", "w.vec", "-k", "2")
    solved = asked(SolveAnalogy, terms=["man", "king", "woman"], words="w.vec", k=2, plot="p.svg").run()
    assert said["answers"][0]["answer"] == "queen" == solved.answers.answers[0].label
    assert said == told(solved.answers) and told(solved) == said | {"notes": [], "picture": "p.svg"}
    assert "queen" in (here / "p.svg").read_text()
    (here / "list.txt").write_text("queen\naunt\n")
    [said] = command("analogy", "man", "king", "woman", "-e", "words:w.vec", "--candidates", "list.txt")
    listed = asked(SolveAnalogy, terms=["man", "king", "woman"], encoder="words:w.vec", candidates="list.txt")
    assert said == told(listed.run().answers) and said["candidates"] == 2
    for spaces in ((), ("toy:12",)):
        options = [flag for name in spaces for flag in ("--space", name)]
        [said] = command("analogy", "id:1", "id:2", "id:3", "-c", "c", *options)
        request = asked(SolveAnalogy, terms=["id:1", "id:2", "id:3"], collection="c", spaces=list(spaces))
        assert (
            said
            == told(request.run().answers)
            == told(SolveAnalogy(terms=("id:1", "id:2", "id:3"), spaces=spaces).run(library).answers)
        )
        assert said["space"] == (spaces or ("toy:16",))[0]


def test_an_analogy_by_pairs_tells_what_was_left_out(here: Path, command: Command) -> None:
    (here / "more.csv").write_text((here / "pairs.csv").read_text() + "apple,zzz\n")
    arguments = ["analogy", "uncle", "--pairs", "more.csv", "--columns", "from, to", "--words", "w.vec"]
    [said] = command(*arguments, "--method", "lrcos", "--seed", "3")
    fields = {"terms": ["uncle"], "pairs": "more.csv", "columns": ["from", "to"], "words": "w.vec"}
    solved = asked(SolveAnalogy, **fields, method="lrcos", seed=3).run()
    assert said == told(solved.answers) and any("apple : zzz" in note for note in solved.notes)


def test_relations_are_fitted_listed_shown_applied_and_forgotten(
    here: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["relation", "fit", "pairs.csv", "--name", "typed", "--words", "w.vec", "--columns", "from,to"]
    assert exit_code(monkeypatch, *arguments) == 0
    fitted = told(asked(FitRelation, table="pairs.csv", name="sent", words="w.vec", columns=["from", "to"]).run())
    listed = told(asked(ListRelations).run())["entries"]
    assert listed == command("relation", "list") and [one["name"] for one in listed] == ["sent", "typed"]
    own = ("name", "created")
    assert len({json.dumps({k: v for k, v in one.items() if k not in own}) for one in listed}) == 1
    assert fitted == listed[0] | {"notes": fitted["notes"]} and fitted["pairs"] == 4
    words = load("words:w.vec")
    a, b = (encode(words, [Media.from_text(one) for one in side.split()]).array for side in (STARTS, ENDS))
    offsets = (b - a) / np.linalg.norm(b - a, axis=1, keepdims=True)
    assert fitted["ocs"] == pytest.approx((offsets @ offsets.T)[np.triu_indices(4, 1)].mean(), abs=1e-5)
    shown = asked(ShowRelation, name="sent", plot="r.svg").run()
    assert [told(shown)] == command("relation", "show", "sent")
    assert shown.picture == "r.svg" and "actress" in (here / "r.svg").read_text()
    [said] = command("relation", "apply", "typed", "king", "--words", "w.vec", "--strength", "0.9")
    applied = told(asked(ApplyRelation, name="typed", term="king", words="w.vec", strength=0.9).run().answers)
    assert said == applied and said["answers"][0]["answer"] == "queen"
    assert told(asked(RemoveRelation, name="typed").run()) == {"name": "typed"}
    assert [one.name for one in ListRelations().run().entries] == ["sent"]
    (here / "home" / "relations" / "ill.safetensors").write_bytes(b"no")
    assert "ill.safetensors" in told(ListRelations().run())["damaged"][0]


@pytest.mark.parametrize(
    ("fields", "below", "typed"),
    [
        ({"encoder": "toy", "words": "w.vec"}, "leave out `encoder`", "leave out --encoder and -c"),
        ({"collection": "c", "candidates": "l.txt"}, "leave out `candidates`", "leave out --candidates, or -c"),
        ({"to": "audio"}, "`to` chooses among", "--to chooses among the items of a collection: name it with -c"),
        ({}, "`words=FILE`, `encoder=NAME` with", "say where to look: --words FILE, --encoder NAME with --candidates"),
        (
            {"relation": "a", "pairs": "b", "words": "w.vec"},
            "`relation` and `pairs` both",
            "--relation and --pairs both stand for a and b",
        ),
    ],
)
def test_what_does_not_go_together_is_said_in_the_words_of_each_door(
    library: Library,
    fields: dict[str, Any],
    below: str,
    typed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UsageError) as caught:
        asked(SolveAnalogy, terms=["a", "b", "c"], **fields).run()
    assert below in str(caught.value)
    flags = [word for name, value in fields.items() for word in (f"--{name}", value)]
    assert exit_code(monkeypatch, "analogy", "a", "b", "c", *flags) == 2
    assert typed in capsys.readouterr().err


def test_a_space_of_a_collection_is_chosen_by_space(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("l.txt").write_text("rain\n")
    Path("p.csv").write_text("q,t\nrain,sounds/a/001.wav\n")
    for typed in (
        ["tag", "--labels", "l.txt", "-c", "c"],
        ["probe", "--column", "x", "-c", "c"],
        ["eval", "retrieval", "p.csv", "-c", "c"],
        ["analogy", "id:1", "id:2", "id:3", "-c", "c"],
    ):
        assert exit_code(monkeypatch, *typed, "-e", "toy:12") == 2
        assert "--space now" in capsys.readouterr().err
    labels = [tag.Label("rain", ("rain",))]
    table = PairTable.of(Path("p.csv"))
    calls: list[Callable[..., Any]] = [
        lambda **chosen: CollectionSource(library, **chosen).space.model,
        lambda **chosen: tag.tag(library, labels, templates="{}", **chosen).model,
        lambda **chosen: evaluate_retrieval(library, table, **chosen)[0].space,
    ]
    for call in calls:
        with pytest.raises(UsageError, match="encoders= is spaces= now"):
            call(encoders=["toy:12"])
        assert [call(), call(spaces="toy:12"), call(spaces=["toy:12"])] == ["toy:16", "toy:12", "toy:12"]
    with pytest.raises(UsageError, match="encoders= is spaces= now"):
        probe.probe(library, "x", encoders=["toy:12"])
    with pytest.raises(UsageError, match="collection= is library= now"):
        examine(load("toy"), collection=library.collection)


# -- labels ------------------------------------------------------------------------------------------------------------


def test_tags_are_given_told_and_forgotten(here: Path, library: Library, command: Command) -> None:
    (here / "labels.txt").write_text("rain\nwind: a gale\n")
    said = command("tag", "--labels", "labels.txt", "-c", "c", "--space", "toy:12", "--dry-run")
    fields = {"labels": "labels.txt", "collection": "c", "spaces": ["toy:12"]}
    assert told(asked(Tag, **fields, dry_run=True).run())["labels"] == said
    assert "tag" not in library.collection.catalog.fields()
    made = told(asked(Tag, **fields, templates=["{}"]).run())
    assert made["model"] == "toy:12" and sum(one["files"] for one in made["labels"]) == 8
    assert "tag" in library.collection.catalog.fields()
    alone = tag.tag(library, tag.read_labels("labels.txt"), spaces="toy:12", templates="{}")
    assert [one.to_json() for one in alone.by_label()] == made["labels"]
    assert told(asked(ForgetLabels, collection="c").run()) == {"field": "tag", "files": 8}
    assert told(ForgetLabels().run(library)) == {"field": "tag", "files": 0}


def test_a_probe_says_what_the_command_says(here: Path, library: Library, command: Command) -> None:
    paths = sorted(path for path in (here / "sounds").rglob("*.wav"))
    lines = [f"{path.name},{'even' if int(path.stem) % 2 else 'odd'}\n" for path in paths[:6]]
    (here / "table.csv").write_text("file,kind\n" + "".join(lines))
    arguments = ["probe", "--column", "kind", "--table", "table.csv", "-c", "c", "--folds", "2", "--space", "toy:12"]
    said = command(*arguments, "--dry-run")
    fields = {"column": "kind", "table": "table.csv", "collection": "c", "folds": 2, "spaces": ["toy:12"]}
    assert [told(asked(Probe, **fields, dry_run=True).run())] == said
    assert "kind_predicted" not in library.collection.catalog.fields()
    assert len(told(asked(Probe, **fields).run())["predicted"]) == 2
    assert "kind_predicted" in library.collection.catalog.fields()


# -- evaluations -------------------------------------------------------------------------------------------------------


def test_evaluations_say_what_the_commands_say(here: Path, library: Library, command: Command) -> None:
    (here / "q.txt").write_text(": family\nman woman king queen\nking queen actor actress\ntoo few words\n")
    said = command("eval", "analogies", "q.txt", "--words", "w.vec", "--methods", "3CosAdd,3cosavg")
    found = asked(EvaluateAnalogies, questions="q.txt", words="w.vec", methods=["3cosadd", "3cosavg"]).run()
    assert told(found)["results"] == said and said[-1]["excluded"] == 1.0 and found.words == 10
    assert "line 4: 3 words, not four" in told(found)["left_out"][0]
    said = command("eval", "analogies", "q.txt", "-e", "words:w.vec")
    assert told(asked(EvaluateAnalogies, questions="q.txt", encoder="words:w.vec").run())["results"] == said
    with pytest.raises(UsageError, match="there is no method '4cosadd'"):
        EvaluateAnalogies(questions=here / "q.txt", words="w.vec", methods=("4cosadd",)).run()

    (here / "p.csv").write_text("q,t\n" + "".join(f"sound {i},sounds/{'ba'[i % 2]}/{i:03}.wav\n" for i in range(8)))
    (here / "p.csv").open("a").write("lost,sounds/nowhere.wav\n")
    said = command("eval", "retrieval", "p.csv", "-c", "c", "--space", "toy:12")
    heard = Heard()
    found = asked(EvaluateRetrieval, pairs="p.csv", collection="c", spaces=["toy:12"]).run(None, heard)
    assert told(found)["directions"] == said and {one["space"] for one in said} == {"toy:12"}
    assert heard.remarks == told(found)["skipped"] and "nowhere.wav" in heard.remarks[0]

    said = command("eval", "audio", "sounds/a", "--reference", "sounds/b", "--whole", "-e", "toy:4", "--seed", "5")
    fields = {"recordings": ["sounds/a"], "reference": ["sounds/b"], "encoders": ["toy:4"], "whole": True, "seed": 5}
    assert told(asked(CompareRecordings, **fields).run())["comparisons"] == said
    assert recordings_in("sounds/a", print) == recordings_in([Path("sounds/a")], print) and said[0]["whole"] is True
    with pytest.raises(UsageError, match="there are no recordings"):
        CompareRecordings(recordings=(here / "q.txt",), reference=(here / "sounds",)).run()


# -- bridges -----------------------------------------------------------------------------------------------------------


def test_bridges_are_fitted_listed_shown_and_forgotten(
    here: Path, library: Library, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    words = [f"w{number}" for number in range(40)]
    (here / "t.csv").write_text("text\n" + "".join(" ".join(random.choice(words, 6)) + "\n" for _ in range(120)))
    options = ["--from", "toy:8", "--to", "toy:12", "--texts", "t.csv", "--method", "procrustes", "-c", "c"]
    assert exit_code(monkeypatch, "bridge", "fit", *options, "--name", "typed") == 0
    heard = Heard()
    fields = {"source": "toy:8", "target": "toy:12", "texts": "t.csv", "method": "procrustes", "collection": "c"}
    made = told(asked(FitBridge, **fields).run(None, heard))
    assert made["name"] == "toy-8--toy-12" and made["means"] == ["source text", "target audio", "target text"]
    assert heard.phases == [("texts", 240)] and heard.through == 240 and "few for a bridge" in made["notes"][0]
    listed = told(asked(ListBridges).run())["entries"]
    assert listed == command("bridge", "list") and {one["name"] for one in listed} == {"toy-8--toy-12", "typed"}
    own = ("name", "created")
    assert len({json.dumps({k: v for k, v in one.items() if k not in own}) for one in listed}) == 1
    assert [told(asked(ShowBridge, name="typed").run())] == command("bridge", "show", "typed")
    assert told(asked(RemoveBridge, name="typed").run()) == {"name": "typed"}
    assert [one.name for one in ListBridges().run().entries] == ["toy-8--toy-12"]

    class Stop(Heard):
        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            self.cancel()

    with pytest.raises(Cancelled):
        asked(FitBridge, **fields, name="stopped").run(None, Stop())
    with pytest.raises(UsageError, match="`held_out` is a share between 0 and 1"):
        asked(FitBridge, **fields, held_out=1.0).run()
    with pytest.raises(UsageError, match="c was indexed with neither toy:8 nor toy:9"):
        asked(FitBridge, **(fields | {"target": "toy:9"})).run()
    assert [one.name for one in ListBridges().run().entries] == ["toy-8--toy-12"]


# -- voices ------------------------------------------------------------------------------------------------------------


def test_voices_are_kept_compared_mixed_and_written(
    here: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        loudness = np.random.default_rng(number).uniform(0.1, 0.9, 8)
        soundfile.write(f"{number}.wav", np.sin(np.arange(8000)) * np.repeat(loudness, 1000), 16000)
    heard = Heard()
    made = told(asked(AddVoice, name="one", files=["0.wav", "1.wav", "gone.wav"], encoders=["toy:8"]).run(heard))
    assert heard.phases == [("takes", 2)] and heard.through == 2
    assert made["takes"] == 2 and any("gone.wav" in note for note in made["notes"])
    assert exit_code(monkeypatch, "voice", "add", "two", "2.wav", "3.wav", "-e", "toy:8") == 0
    with pytest.raises(UsageError, match="called one already: `more` adds takes to it, `replace` begins anew"):
        asked(AddVoice, name="one", files=["2.wav"]).run()
    listed = told(asked(ListVoices).run())["entries"]
    assert listed == command("voice", "list") and [one["name"] for one in listed] == ["one", "two"]
    assert listed[0] == {key: value for key, value in made.items() if key != "notes"}
    assert [told(asked(ShowVoice, name="one").run())] == command("voice", "show", "one")
    for about in ("one", "./4.wav"):
        found = asked(FindSimilarVoices, asked=about, k=1).run()
        assert told(found)["voices"] == command("voice", "similar", about, "-k", "1") and found.kept == 2
    rows = encode(load("toy:8"), [Media.from_path("4.wav")]).array
    takes = encode(load("toy:8"), [Media.from_path(f"{i}.wav") for i in range(4)]).array
    means = [takes[:2].sum(axis=0), takes[2:].sum(axis=0)]
    best = max(float(rows[0] @ mean / np.linalg.norm(mean)) for mean in means)
    assert told(found)["voices"][0]["score"] == pytest.approx(best, abs=1e-5)
    mixed = told(asked(MixVoices, parts=["one:0.5", "two:0.5"], name="both").run())
    assert mixed["mixed"] == [{"name": "one", "weight": 0.5}, {"name": "two", "weight": 0.5}]
    written = told(asked(ExportVoice, name="both", target="both.npy").run())
    assert written == {"name": "both", "model": "toy:8", "dim": 8, "target": "both.npy"}
    units = np.stack([mean / np.linalg.norm(mean) for mean in means]).sum(axis=0)
    assert np.load("both.npy") == pytest.approx(units / np.linalg.norm(units), abs=1e-5)
    assert told(asked(RemoveVoice, name="both").run()) == {"name": "both"}
    with pytest.raises(UsageError, match="neither a kept voice"):
        FindSimilarVoices(asked="nobody").run()
    assert FindSimilarVoices(asked="one", k=1).run().spaces[0][0].voice == "two"
    RemoveVoice(name="two").run()
    assert FindSimilarVoices(asked="one").run().spaces == ()


# -- what a query may mean ---------------------------------------------------------------------------------------------


def test_a_search_tells_once_how_to_take_something_away(library: Library) -> None:
    for query in ("rain without traffic", "lluvia sin tráfico"):
        hits = library.search(query, to="audio")
        assert sum("without(" in note for note in hits.notes) == 1
    for query in ("rain - traffic", "rain without(traffic)", '"rain without traffic"'):
        assert not any("is read as words like others" in note for note in library.search(query, to="audio").notes)
    dashes = [[hit.score for hit in library.search(f"rain {dash} traffic", to="audio")] for dash in "-–−"]
    assert dashes[0] == dashes[1] == dashes[2] and dashes[0]
