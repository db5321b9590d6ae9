"""A collection that an earlier program made: it answers as it did, wherever a kill falls while it is brought up."""

from __future__ import annotations

import copy
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import analogon
from embed import load
from embed.errors import CollectionError
from indexes.catalog import Catalog
from indexes.collection import Collection
from indexes.manifest import FORMAT
from indexes.schema import VERSION
from indexes.words import key_of, texts_of
from tests import sounds
from tests.indexes.runs import Counting, run

ARCHIVE = Path(__file__).parent / "earlier" / "catalog-3.tar.gz"
WAS = "/var/tmp/analogon-earlier"


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "earlier", filter="data")
    return tmp_path / "earlier" / "collection"


@pytest.fixture
def answers(earlier: Path) -> dict[str, Any]:
    return dict(json.loads(earlier.with_name("answers.json").read_text()))


def asked(library: analogon.Library, queries: list[dict[str, Any]]) -> dict[str, Any]:
    """What make.py asked, in the words of today."""
    facts = {key: value for key, value in library.describe().to_json().items() if key not in ("path", "bytes", "name")}
    hits = []
    for query in queries:
        options = query | ({"by": "content"} if query["by"] == "sound" else {})
        found = library.search(options.pop("query"), **options)
        hits.append([[hit.path, hit.score, list(hit.reasons), hit.metadata, hit.facts] for hit in found])
    failures = [[failure.path, failure.reason] for failure in library.collection.catalog.failures()]
    return {"facts": facts, "hits": hits, "failures": failures}


def same(told: dict[str, Any], before: dict[str, Any]) -> None:
    """Paths, reasons, metadata, facts and failures as they were, scores to 1e-5."""
    assert told["failures"] == before["failures"]
    facts, then = (copy.deepcopy(one["facts"]) for one in (told, before))
    for one in (*facts["spaces"], *then["spaces"]):
        assert one.pop("precision", "float32") == "float32"  # which was not told once
        for side in one["modalities"].values():
            side["vectors"] += side.pop("forgotten", 0)  # rows that count no more were counted once
    assert facts["spaces"] == then.pop("spaces")
    assert set(facts["fields"]) >= set(then.pop("fields"))  # those that every file has are told too
    assert facts | then == facts  # a later program may tell more
    assert len(told["hits"]) == len(before["hits"])
    for now, then in zip(told["hits"], before["hits"], strict=True):
        assert [hit[0] for hit in now] == [hit[0] for hit in then]
        assert [hit[1] for hit in now] == pytest.approx([hit[1] for hit in then], abs=1e-5)
        reasons = [["content" if reason == "sound" else reason for reason in hit[2]] for hit in then]
        assert [hit[2] for hit in now] == reasons
        assert [hit[3:] for hit in now] == [hit[3:] for hit in then]


def lettered(collection: Collection) -> None:
    """Each file is found by what it is called, in capitals and by a part, and its name means what it says."""
    catalog = collection.catalog
    for source in (one for one in catalog.sources_under(WAS) if one.row is None):
        name = Path(source.path).name
        assert source.id in catalog.sources_called(name.upper(), limit=99)
        assert source.id in dict(catalog.sources_with_part(name[:-5]).found) or len(name) < 8
    said = catalog.query("SELECT s.source, t.key FROM said s JOIN text t ON t.id = s.text ORDER BY 1, 2")
    expected = [(i, key_of(text)) for i, *words in catalog.names() for text, _ in texts_of(*words)]
    assert said == sorted(expected) and len(said) > 11


def version(collection: Path) -> int:
    database = sqlite3.connect(collection / "catalog.sqlite")
    try:
        return int(database.execute("PRAGMA user_version").fetchone()[0])
    finally:
        database.close()


def test_it_is_the_version_before(earlier: Path, answers: dict[str, Any]) -> None:
    assert version(earlier) == answers["catalog"] == 3 < VERSION


def test_it_answers_as_it_did_and_is_indexed_further(earlier: Path, answers: dict[str, Any], tmp_path: Path) -> None:
    for _ in range(2):
        with analogon.open(earlier) as library:
            same(asked(library, answers["queries"]), answers)
            assert library.collection.catalog.query("PRAGMA integrity_check") == [("ok",)]
            lettered(library.collection)
    assert version(earlier) == VERSION
    with analogon.open(earlier) as library:
        folder = sounds.folder(tmp_path / "sounds", 3)
        (folder / "texts.csv").write_text("text,mood\nheavy rain,dark\nsun,bright\nsnow,bright\n")
        encoder = Counting("toy:12")
        report = run(library.collection, folder, encoder=encoder, text_column="text")
        assert (report.new, report.duplicates, report.failures) == (4, 2, [])
        assert encoder.calls == 3 + 2 + 1  # the windows of three sounds, one of them in three; one text is new
        assert {source.ctime is None for source in library.collection.catalog.sources_under(WAS)} == {True}
        assert None not in {source.ctime for source in library.collection.catalog.sources_under(str(folder))}
        (hit,) = library.search(folder / "a" / "001.wav", k=1, include_self=True)
        assert hit.path == str(folder / "a" / "001.wav") and hit.score == pytest.approx(1.0)
        report = library.index(WAS, folder, text_column="text", prune=True)
        assert report.removed == 0 and [(one.place, len(one.paths)) for one in report.kept] == [(WAS, 9)]
        report = library.index(WAS, folder, text_column="text", prune=True, force=True)
        assert (report.removed, report.kept) == (11, [])
        assert library.collection.catalog.counts()["source"] == 6


def test_where_it_cannot_be_written_it_answers_and_stays_as_it_is(
    earlier: Path, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in earlier.rglob("*") if path.is_file()}
    monkeypatch.setattr("os.access", lambda *_: False)
    with analogon.open(earlier) as library:
        same(asked(library, answers["queries"]), answers)
        known = library.collection.catalog.sources_under(WAS)
        assert len(known) == 11 and {(source.ctime, source.device) for source in known} == {(None, None)}
        lettered(library.collection)
    assert {path: path.read_bytes() for path in earlier.rglob("*") if path.is_file()} == before


def back(collection: Path, to: int) -> Path:
    """Take a collection of version 3 back to one before."""
    database = sqlite3.connect(collection / "catalog.sqlite")
    for table in ("label", "names", "revision")[: {3: 0, 2: 1, 1: 3}[to]]:
        database.execute(f"DROP TABLE {table}")
    database.execute(f"PRAGMA user_version = {to}")
    database.commit()
    database.close()
    return collection


def rows(collection: Collection) -> dict[str, list[Any]]:
    """All that a catalog holds, with the columns of its tables; but for the number that stands for its names."""
    tables = (
        *("content", "source", "item", "vector", "done", "failure", "store", "field", "label", "names"),
        *("called", "parts", "tally", "text", "said", "counting", "loose"),
    )
    query = collection.catalog.query
    return {
        table: query(f"PRAGMA table_info({table})") + sorted(query(f"SELECT * FROM {table}"), key=repr)
        for table in tables
    }


@pytest.mark.parametrize("start", [3, 2, 1])
def test_killed_at_any_statement_of_being_brought_up_it_opens_and_answers_the_same(
    start: int, earlier: Path, answers: dict[str, Any], tmp_path: Path
) -> None:
    back(earlier, start)
    shutil.copytree(earlier, tmp_path / "whole")
    with analogon.open(tmp_path / "whole") as library:
        whole, everything = asked(library, answers["queries"]), rows(library.collection)
    if start == 3:
        same(whole, answers)
    script = Path(__file__).with_name("killed_opening.py")
    ran = subprocess.run(
        [sys.executable, str(script), str(earlier), str(tmp_path / "copies")],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr
    rounds = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["code"] for one in rounds] == [9] * (len(rounds) - 1) + [0]
    statements = [one["statement"] for one in rounds]
    # The kills fell before, within and after the transaction, or the test would show little.
    begun, ended = statements.index("BEGIN IMMEDIATE"), statements.index("COMMIT")
    while statements[ended + 1].startswith("--"):  # what the full-text index writes before the commit is done
        ended += 1
    assert 0 < begun < ended < len(statements) - 1
    assert sum("ADD COLUMN" in one for one in statements[begun:ended]) == 2
    for number, one in enumerate(rounds):
        copy = Path(one["copy"])
        assert version(copy) == (start if number <= ended else VERSION), one["statement"]
        with Collection.open(copy) as collection:
            assert rows(collection) == everything
            assert collection.catalog.query("PRAGMA integrity_check") == [("ok",)]
        if len(rounds) < 20 or abs(number - ended) < 3 or number % 20 == 0:
            with analogon.open(copy) as library:
                same(asked(library, answers["queries"]), whole)


def test_a_content_without_a_source_is_swept_once_it_is_brought_up(earlier: Path) -> None:
    database = sqlite3.connect(earlier / "catalog.sqlite")
    database.execute("INSERT INTO content (hash, facts) VALUES ('nobody has it', '{}')")
    database.commit()
    database.close()
    with Collection.open(earlier) as collection:
        before = collection.catalog.counts()["content"]
        with collection.catalog.transaction():
            collection.catalog.sweep()
        assert collection.catalog.content_of_hash("nobody has it") is None
        assert collection.catalog.counts()["content"] == before - 1


def test_two_that_open_it_at_once_bring_it_up_once(earlier: Path) -> None:
    def opened(_: int) -> int:
        with Collection.open(earlier) as collection:
            return len(collection.catalog.sources_under(WAS))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened, range(8))) == [11] * 8
    assert version(earlier) == VERSION


@pytest.mark.parametrize("beyond", [1, 7])
def test_what_a_newer_program_made_is_refused_in_words(beyond: int, earlier: Path) -> None:
    with Collection.open(earlier):
        pass
    manifest = earlier / "manifest.json"
    content = manifest.read_text()
    manifest.write_text(content.replace(f'"format": {FORMAT}', f'"format": {FORMAT + beyond}'))
    wanted = (
        rf"manifest.json: made by a newer analogon, with format {FORMAT + beyond}; .* format {FORMAT}: update analogon"
    )
    with pytest.raises(CollectionError, match=wanted):
        Collection.open(earlier)
    manifest.write_text(content)
    database = sqlite3.connect(earlier / "catalog.sqlite")
    database.execute(f"PRAGMA user_version = {VERSION + beyond}")
    database.close()
    wanted = rf"catalog.sqlite: made by a newer analogon, with catalog version {VERSION + beyond}; .*: update analogon"
    with pytest.raises(CollectionError, match=wanted):
        Collection.open(earlier)
    with pytest.raises(CollectionError, match=wanted):
        Catalog(earlier / "catalog.sqlite", create=True)
    assert version(earlier) == VERSION + beyond  # and it is left as it is


def test_the_encoder_of_that_time_is_todays(earlier: Path) -> None:
    with Collection.open(earlier) as collection:
        assert collection.spaces[0].space == load("toy:12").space
