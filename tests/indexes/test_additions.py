"""What is written table by table is what row by row would have made of it, and is counted as that."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embed import load
from embed.media import Media
from embed.space import unit
from indexes.additions import Additions
from indexes.catalog import Catalog
from indexes.collection import Collection
from indexes.exchange import import_parquet
from indexes.reading import NO_SPAN
from indexes.writer import Entry, writing
from tests.indexes.killed import names_fit

TABLE = {"family": "toy", "model": "16"}
SPACE = load("toy:16").space
NAMES = ["kick_808_dark", "Crème_BRÛLÉE-01", "ZOOM5381_1-21189-A", "IMG_1984_BeachSunset (2)", "0007", "x.tar"]


def made(number: int) -> tuple[str, int | None, dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Path, row, metadata, facts and modalities of a source."""
    row = number if number % 5 == 4 else None
    path = "/lib/table.csv" if row is not None else f"/lib/{NAMES[number % 4]}/{NAMES[number % 6]}-{number}.wav"
    metadata: dict[str, Any] = {"mood": f"dark {number % 3}, heavy", "take": number, "odd": float("nan")}
    if number % 7 == 0:
        metadata |= {"half": "a\ud800 b", f"column {number}": ["x", None]}
    facts = {"duration": number / 3, f"fact{number % 2}": 1}
    return path, row, metadata, facts, ("text",) if row is not None else ("audio", "video")[: 1 + number % 2]


def counted(catalog: Catalog) -> dict[str, int]:
    """What the tally should hold, counted."""
    query = catalog.query
    found = {kind: query(f"SELECT count(*) FROM {kind}")[0][0] for kind in ("content", "item", "source")}
    found |= dict(query("SELECT 'source ' || modalities, count(*) FROM source GROUP BY 1"))
    found |= dict(query("SELECT 'vector ' || space || ' ' || modality, count(*) FROM vector GROUP BY 1"))
    found |= dict(
        query(
            "SELECT 'unseen ' || modality, count(*) FROM item WHERE start = -1.0 AND id NOT IN "
            "(SELECT item FROM vector) GROUP BY 1"
        )
    )
    return {kind: count for kind, count in found.items() if count}


def right(catalog: Catalog) -> None:
    """The tally is what there is, and everything is counted as it comes again."""
    assert dict(catalog.query("SELECT kind, count FROM tally WHERE count <> 0")) == counted(catalog)
    assert catalog.query("SELECT each FROM counting") == [(1,)]


def everything(catalog: Catalog) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("content", "source", "item", "field", "names", "called", "tally", "text", "said", "loose", "failure")
    columns = {"names": "rowid, *"}
    return {one: sorted(catalog.query(f"SELECT {columns.get(one, '*')} FROM {one}"), key=repr) for one in tables}


def test_table_by_table_is_what_row_by_row_is(tmp_path: Path) -> None:
    catalogs = [Catalog(tmp_path / f"{name}.sqlite", create=True) for name in ("each", "together")]
    each, together = catalogs
    for first, last in ((0, 40), (40, 100)):
        numbers = range(first, last)
        for catalog in catalogs:
            with catalog.transaction():  # a failure of what comes now, and of something else
                catalog.put_failure(made(first)[0], made(first)[1], "broken")
                catalog.put_failure("/else.wav", None, "broken")
        with each.transaction():
            for number in numbers:
                path, row, metadata, facts, kinds = made(number)
                content = each.put_content(f"{number:032x}", facts, "words" if row is not None else None)
                each.put_source(path, row, content, kinds, 7, number, metadata, ctime=number, device=3)  # type: ignore[arg-type]
                each.put_item(content, Media("audio", path=path), None)
        with together.transaction(), together.counted_together():
            new = together.additions()
            for number in numbers:
                path, row, metadata, facts, kinds = made(number)
                content = new.add_content(f"{number:032x}", facts, "words" if row is not None else None)
                new.add_source(path, row, content, kinds, 7, number, metadata, number, 3)
                new.add_item(content, "audio", NO_SPAN, NO_SPAN, None)
            together.put_additions(new)
        before, after = everything(each), everything(together)
        for kind in before:
            assert before[kind] == after[kind], kind
        for catalog in catalogs:
            right(catalog)
            with catalog.transaction():  # each raises where the index is not that of what it was made of
                catalog._db.execute("INSERT INTO names (names, rank) VALUES ('integrity-check', 1)")
                catalog._db.execute("INSERT INTO parts (parts, rank) VALUES ('integrity-check', 1)")
    assert len(everything(each)["said"]) > 200 and together.fields() >= {"mood", "take", "fact0", "column 7"}
    for catalog in catalogs:
        with catalog.transaction():
            catalog.remove_sources(range(30, 70))
        right(catalog)
    assert everything(each) == everything(together)


def test_a_block_is_counted_whatever_is_in_it(collection: Collection) -> None:
    """New items with vectors and without, items that were there without one and get one, of two modalities."""
    catalog = collection.catalog
    rows = unit(np.random.default_rng(0).normal(size=(20, 16)))
    with writing(collection) as writer:
        writer.add_space(SPACE, dict(TABLE))
        with catalog.transaction():
            old = [catalog.put_content(f"{i:032x}", {}, None) for i in range(6)]
            items = [catalog.put_item(content, Media("audio", path="/x"), None) for content in old]
        writer.commit(SPACE, [Entry(old[0], Media("audio", path="/x"), rows[0], items[0])], [])
        right(catalog)
        with catalog.transaction():
            new = catalog.additions()
            fresh = [new.add_content(f"{i:032x}", {}, None) for i in range(10, 16)]
            for content in fresh:
                new.add_source(f"/new/{content}.png", None, content, ("image",), 1, 1, {})
            parts = [new.add_item(content, "image", NO_SPAN, NO_SPAN, None) for content in fresh]
            new.vectors = {"audio": {items[1]: rows[1], items[2]: rows[2]}, "image": {parts[3]: rows[3]}}
            new.done = {(fresh[3], "image"): (1, None), (old[1], "audio"): (1, "cut short")}
            assert writer.add(SPACE, new) == 3
        right(catalog)
        tally = dict(catalog.query("SELECT kind, count FROM tally"))
        assert (tally["unseen audio"], tally["unseen image"], tally[f"vector {SPACE.id} audio"]) == (3, 5, 3)
        assert collection.vector(SPACE, items[2]).tolist() == rows[2].tolist()
        assert catalog.query("SELECT content, parts, error FROM done ORDER BY 1") == [
            (old[1], 1, "cut short"),
            (fresh[3], 1, None),
        ]
        # What fails on the way leaves no count behind, nor the triggers off.
        with pytest.raises(ZeroDivisionError), catalog.transaction(), catalog.counted_together():
            broken = catalog.additions()
            broken.add_content("f" * 32, {}, None)
            catalog.put_additions(broken)
            raise ZeroDivisionError
        right(catalog)
        assert catalog.content_of_hash("f" * 32) is None
        with catalog.transaction():
            catalog.put_content("e" * 32, {}, None)
        right(catalog)


def test_nothing_new_writes_nothing(collection: Collection) -> None:
    before = everything(collection.catalog)
    with collection.catalog.transaction(), collection.catalog.counted_together():
        collection.catalog.put_additions(Additions(0, 0, 0))
    assert everything(collection.catalog) == before


# -- an import that is killed ------------------------------------------------------------------------------------

KILLS = 12
ROWS = 600


def table(path: Path) -> Path:
    """Sounds with and without windows, texts, equal contents, and rows that cannot be used."""
    vectors = unit(np.random.default_rng(3).normal(size=(ROWS, 16))).astype(np.float32)
    vectors[50] = 0.0
    numbers = range(ROWS)
    columns = {
        "path": [f"/lib/{NAMES[i % 6]}/{i // 2 if i % 3 else i}.wav" for i in numbers],
        "modality": ["audio"] * ROWS,
        "start": [float(i) if i % 3 else None for i in numbers],
        "end": [float(i + 1) if i % 3 else None for i in numbers],
        "mood": [f"dark {i % 7}" for i in numbers],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 16),
    }
    pq.write_table(pa.table(columns), path)
    return path


IMPORT = """
import sys
from pathlib import Path
from indexes.exchange import blocks, import_parquet
from indexes.exchange.intake import Intake
blocks.COMMIT_ROWS = 16
add = Intake.add
def adding(self, rows):
    print("block", flush=True)
    add(self, rows)
Intake.add = adding
import_parquet(Path(sys.argv[1]), Path(sys.argv[2]), encoder={"family": "toy", "model": "16"})
"""


def held(path: Path) -> dict[str, Any]:
    with Collection.open(path) as collection:
        found = everything(collection.catalog)
        space = collection.spaces[0].space
        found["vectors"] = [
            (item.id, item.span, collection.vector(space, item.id).tobytes()) for item in collection.catalog.all_items()
        ]
        found["done"] = collection.catalog.query("SELECT * FROM done ORDER BY content, modality")
        right(collection.catalog)
        assert collection.catalog.query("PRAGMA integrity_check") == [("ok",)]
    assert names_fit(path)
    return found


def test_an_import_that_is_killed_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexes.exchange.blocks.COMMIT_ROWS", 16)
    source = table(tmp_path / "rows.parquet")
    began = time.monotonic()
    report = import_parquet(tmp_path / "whole", source, encoder=TABLE)
    length = time.monotonic() - began
    assert (report.found, len(report.failures)) == (ROWS, 1) and report.vectors == ROWS - 1
    whole = held(tmp_path / "whole")
    sizes, chance = [], random.Random(5)
    for number in range(KILLS):
        path = tmp_path / f"killed-{number}"
        child = subprocess.Popen(
            [sys.executable, "-c", IMPORT, str(path), str(source)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        for _ in range(3 * number + 1):
            assert child.stdout.readline() == b"block\n"
        time.sleep(chance.uniform(0.0, 2 * length * 16 / ROWS))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        size = 0
        if (path / "manifest.json").exists() and (path / "catalog.sqlite").exists():
            with Collection.open(path) as collection:
                right(collection.catalog)
                size = collection.catalog.counts()["item"]
                assert collection.catalog.query("SELECT count(*) FROM vector") == [(size,)]
        again = import_parquet(path, source, encoder=TABLE)
        assert (again.known, again.vectors) == (size, ROWS - 1 - size)
        sizes.append(size)
        now = held(path)
        assert {kind: now[kind] for kind in now if kind != "tally"} == {k: whole[k] for k in whole if k != "tally"}
        shutil.rmtree(path)
    # The kills fell before, between and after commits, or the test would show little.
    assert any(0 < size < ROWS - 1 for size in sizes), json.dumps(sizes)
