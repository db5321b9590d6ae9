"""Every request of a collection's life, as a second door would make it: from JSON, run, and told as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import embed
from analogon.demo import tour
from analogon.search.library import Library
from analogon.service.examining import Examine
from analogon.service.exchange import Export, Import
from analogon.service.indexing import Index, Remove
from analogon.service.request import Request
from analogon.service.searching import Describe, ListFailures, Search
from analogon.service.training import DistilTable, TeachStudent
from embed.errors import AnalogonError, Cancelled, CollectionNotFound, UsageError
from embed.media import Media
from indexes.build import Listener
from indexes.records import Failure
from tests import sounds
from tests.indexes.runs import oracle

REQUESTS: list[Request] = [
    Index(paths=("a", "b"), collection="c", encoders=("toy",), only=("audio",), memory="2G", prune=True),
    Search(query="rain", collection="c", k=3, where="duration < 2", spaces=("toy", "toy:4"), variety=0.5),
    Search(query={"rain": 2, "traffic": -1}),
    Describe(collection="c"),
    ListFailures(),
    Remove(paths=("a",), collection="c"),
    Remove(everything=True),
    Export(target=Path("x.parquet"), encoder="toy"),
    Import(source=Path("x.parquet"), collection="d"),
    Examine(encoder="toy"),
    DistilTable(teacher="sentence:x", output=Path("table"), sif=1e-3, templates=("{}", "a {}")),
    TeachStudent(teacher="clap", media=Path("sounds"), output=Path("ear"), steps=10),
    tour.Demonstrate(keep=Path("kept"), encoder="toy"),
]


class Heard(Listener):
    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.failures: list[str] = []
        self.phases: list[str] = []

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        self.phases.append(name)

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    def failed(self, failure: Failure) -> None:
        self.failures.append(Path(failure.path).name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for collections, and six sounds with one that is none."""
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))
    sounds.folder(tmp_path / "sounds", 6)
    (tmp_path / "sounds" / "broken.wav").write_bytes(b"RIFF")
    yield tmp_path


def asked(request: type[Request], **fields: Any) -> Any:
    """A request as it comes over a wire."""
    return request.from_json(json.loads(json.dumps(fields)))


def told(result: Any) -> Any:
    """A result as it goes over a wire."""
    return json.loads(json.dumps(result.to_json()))


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_every_request_reads_what_it_writes(request_: Request) -> None:
    fields = json.loads(json.dumps(request_.to_json()))
    assert type(request_).from_json(fields) == request_


def test_a_collection_is_filled_asked_and_emptied_without_a_command_line(home: Path) -> None:
    heard = Heard()
    folder = str(home / "sounds")
    indexed = told(asked(Index, paths=[folder], collection="c", encoders=["toy:16"]).run(heard))
    assert indexed["report"]["found"] == 7 and indexed["report"]["new"] == 7 and indexed["report"]["vectors"] >= 6
    assert heard.failures == ["broken.wav"] and heard.phases[0] == "scan"
    described = told(asked(Describe, collection="c").run())
    assert indexed["collection"] | {"bytes": 0} == described | {"bytes": 0}  # SQLite's own files come and go
    side = described["spaces"][0]["modalities"]["audio"]
    assert (described["name"], described["spaces"][0]["model"], side["vectors"]) == (
        "c",
        "toy:16",
        indexed["report"]["vectors"],
    )
    assert described["failures"] == 1 and isinstance(described["fields"], list)
    (left_out,) = told(asked(ListFailures, collection="c").run())["failures"]
    assert left_out["path"].endswith("broken.wav") and left_out["reason"] and left_out["partly"] is False
    hits = told(asked(Search, query="rain", collection="c", by="content", k=3).run())
    assert "rain" in hits["query"] and len(hits["hits"]) == 3
    best: dict[str, float] = {}
    encoder = embed.load("toy:16")
    vector = embed.encode(encoder, [Media.from_text("rain")], query=True).array[0]
    for key, row in oracle(home / "sounds", encoder).items():
        path = key[1].removesuffix("#None")
        best[path] = max(best.get(path, -1.0), float(np.frombuffer(row, np.float32) @ vector))
    expected = sorted(best.items(), key=lambda one: -one[1])[:3]
    assert [hit["path"] for hit in hits["hits"]] == [path for path, _ in expected]
    assert np.allclose([hit["score"] for hit in hits["hits"]], [score for _, score in expected], atol=2e-6)
    assert [hit["rank"] for hit in hits["hits"]] == [1, 2, 3]
    gone = hits["hits"][0]["path"]
    assert told(asked(Remove, paths=[gone], collection="c").run()) == {
        "files": 1,
        "deleted": None,
        "unknown": [],
    }
    nowhere = told(asked(Remove, paths=["nowhere.wav", gone], collection="c").run())
    assert (nowhere["files"], nowhere["unknown"]) == (0, ["nowhere.wav", gone])
    assert gone not in [hit["path"] for hit in told(asked(Search, query="rain", collection="c").run())["hits"]]
    deleted = told(asked(Remove, collection="c", everything=True).run())
    assert deleted == {"files": 0, "deleted": str(home / "home" / "collections" / "c"), "unknown": []}
    with pytest.raises(CollectionNotFound):
        asked(Describe, collection="c").run()


def test_an_open_library_serves_requests_and_stays_open(home: Path) -> None:
    Index(paths=(str(home / "sounds"),), collection="c", encoders=("toy",)).run()
    with Library.open(home / "home" / "collections" / "c") as library:
        first = Search(query="rain").run(library)
        assert [hit.path for hit in Search(query="rain").run(library)] == [hit.path for hit in first]
        assert Describe().run(library).name == "c" and len(ListFailures().run(library).failures) == 1
        assert Remove(paths=(first[0].path,)).run(library).files == 1
        assert Examine().run(library).diagnoses[0].space.model == "toy:8"


def test_a_failed_request_leaves_no_new_collection_and_a_chosen_encoder_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(home / "sounds")
    for wrong in ({"only": ["smells"]}, {"memory": "much"}, {"encoders": ["no such"]}, {"metadata": "no.csv"}):
        with pytest.raises(AnalogonError):
            asked(Index, paths=[folder], collection="new", **({"encoders": ["toy"]} | wrong)).run()
    assert not (home / "home" / "collections" / "new").exists()
    heard = Heard()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("analogon.settings.defaults.hub.whole", lambda model: None)
    Index(paths=(folder,), collection="new").run(heard)
    assert len(heard.remarks) == 1 and "taking starter" in heard.remarks[0]


def test_a_request_that_is_cancelled_keeps_what_was_committed(home: Path) -> None:
    class Stop(Heard):
        through = 0

        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            self.through += count * self.phases[-1].startswith("audio")
            if self.through == 3:
                self.cancel()

    request = Index(paths=(str(home / "sounds"),), collection="c", encoders=("toy",))
    with pytest.raises(Cancelled):
        request.run(Stop())
    kept = sum(side.vectors for space in Describe(collection="c").run().spaces for side in space.modalities.values())
    report = request.run().report
    assert kept >= 1 and report.new == 0
    total = Describe(collection="c").run().spaces[0].modalities["audio"].vectors
    assert kept + report.vectors == total


def test_what_is_exported_is_imported_bit_for_bit(home: Path) -> None:
    Index(paths=(str(home / "sounds"),), collection="c", encoders=("toy",)).run()
    target = home / "c.parquet"
    written = told(asked(Export, target=str(target), collection="c").run())
    assert written["target"] == str(target)
    taken = told(asked(Import, source=str(target), collection="d").run())
    assert taken["vectors"] == taken["found"] == written["items"] and taken["failures"] == []
    spaces = [told(asked(Describe, collection=name).run())["spaces"][0] for name in "cd"]
    assert spaces[0]["space"] == spaces[1]["space"]
    results = [[(hit.path, hit.score) for hit in Search(query="rain", collection=name).run()] for name in "cd"]
    assert results[0] == results[1]
    with pytest.raises(UsageError, match="no such file or folder"):
        Import(source=home / "nowhere").run()


def test_what_no_export_can_be_and_what_is_there_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    Index(paths=(str(home / "sounds"),), collection="c", encoders=("toy",)).run()
    for name in ("small.csv", "small.npy", "small.PARQUET"):
        with pytest.raises(UsageError, match=rf"{name}: an export is .*no suffix: small\.parquet or small$"):
            Export(target=Path(name), collection="c").run()
        assert not Path(name).exists()
    kept = Path("small.parquet")
    kept.write_text("mine")
    with pytest.raises(UsageError, match=r"small\.parquet is there already; `force=True` writes over it"):
        Export(target=kept, collection="c").run()
    assert kept.read_text() == "mine"
    written = Export(target=kept, collection="c", force=True).run()
    assert written.items == pq.read_metadata(kept).num_rows > 0
    assert Export(target=Path("v1.2"), collection="c").run().items == written.items  # a version is no suffix
    held = sorted(Path("v1.2").rglob("*"))
    for force in (False, True):
        with pytest.raises(UsageError):
            Export(target=Path("v1.2"), collection="c", force=force).run()
    assert sorted(Path("v1.2").rglob("*")) == held


def test_an_examination_tells_every_check(home: Path) -> None:
    found = told(asked(Examine, encoder="toy").run())
    assert found["ok"] is all(check["ok"] is not False for check in found["checks"])
    assert {check["encoder"] for check in found["checks"]} == {"toy:8"}
    assert {"text values", "audio values"} <= {check["check"] for check in found["checks"]}


def test_what_to_remove_is_one_of_two() -> None:
    for wrong in (Remove(), Remove(paths=("a",), everything=True)):
        with pytest.raises(UsageError, match="name the files to forget, or say `everything`"):
            wrong.run()


def test_a_demonstration_is_told_as_a_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "KINDS", ("sine", "kick"))
    heard = tour.Question("sunset over the sea", ("sunset",), least=1, first=1, options={"to": "image", "by": "name"})
    unheard = tour.Question("a bike", ("sunset",), least=1, first=1, options={"to": "image", "by": "name"})
    monkeypatch.setattr(tour, "QUESTIONS", (heard, unheard))
    found = told(asked(tour.Demonstrate, encoder="toy").run())
    assert [answer["kinds"][0] for answer in found["answers"]] == ["sunset", "bicycle"]
    assert found["takes"] is None and len(found["wrong"]) == 1 and "a bike" in found["wrong"][0]
