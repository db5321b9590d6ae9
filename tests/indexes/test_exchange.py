"""Export and import: against pyarrow's and numpy's own reading, and folders as clip-retrieval lays them out."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embed import Media, Span, encode, load
from embed.errors import CollectionError, MachineError, MediaError, SpaceMismatch, UsageError
from embed.media import Modality, content_hash
from embed.space import Space, unit
from indexes.build import Plan, build
from indexes.collection import Collection
from indexes.exchange import (
    export_clip_retrieval,
    export_parquet,
    import_clip_retrieval,
    import_parquet,
)
from indexes.exchange.blocks import ROWS
from indexes.writer import Done, Entry, writing
from tests import sounds

DIM = 16
TABLE = {"family": "toy", "model": str(DIM)}
SPACE = load("toy:16").space


def put(
    collection: Collection,
    media: Media,
    vectors: npt.NDArray[np.float32],
    spans: Sequence[Span | None] = (None,),
    *,
    digest: str | None = None,
    metadata: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    texts: Sequence[str | None] | None = None,
    also: Sequence[tuple[str, int | None, dict[str, Any]]] = (),
    space: Space = SPACE,
) -> None:
    """Write one content by hand, with its parts' vectors and further sources."""
    assert media.path is not None
    with writing(collection) as writer:
        writer.add_space(space, dict(TABLE))
        catalog = collection.catalog
        with catalog.transaction():
            whole = media.text if spans[0] is None else None
            content = catalog.put_content(digest or content_hash(media), facts or {}, whole)
            for path, row, columns in [(media.path, media.row, metadata or {}), *also]:
                catalog.put_source(path, row, content, (media.modality,), 7, 8, columns)
        parts = [media.but(span=span, text=text) for span, text in zip(spans, texts or [media.text] * 9, strict=False)]
        entries = [Entry(content, part, vector) for part, vector in zip(parts, vectors, strict=True)]
        writer.commit(space, entries, [Done(content, media.modality, len(entries))])


def random_rows(count: int, seed: int = 0, dim: int = DIM) -> npt.NDArray[np.float32]:
    return unit(np.random.default_rng(seed).normal(size=(count, dim)))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Collection]:
    """Sounds with windows, pictures, rows of a table, passages of a text, duplicates, one dead row."""
    with Collection.create(tmp_path / "full") as collection:
        rows = random_rows(12)
        put(
            collection,
            Media("audio", path="/sounds/ställe.wav"),
            rows[:2],
            [Span(0.0, 1.0), Span(0.6, 1.6)],
            digest="a" * 32,
            metadata={"title": "dörr 門", "year": 1999, "tags": ["a", {"b": None}]},
            facts={"duration": 1.6},
            also=[("/sounds/copy.wav", None, {"title": "copy"})],
        )
        put(collection, Media("audio", path="/sounds/gone.wav"), rows[2:3], digest="d" * 32)
        put(collection, Media("image", path="/p/one.png"), rows[3:4], digest="b" * 32, metadata={"caption": "one"})
        put(collection, Media("image", path="/p/two.png"), rows[4:5], digest="c" * 32, facts={"width": 3})
        put(
            collection,
            Media("text", path="/t.csv", row=4, text="rain\n\t'\"\x00 on tin"),
            rows[5:6],
            metadata={"id": 5},
            also=[("/t.csv", 9, {"id": 10})],
        )
        put(
            collection,
            Media("text", path="/t.csv", row=0, text="one"),
            rows[6:7],
            metadata={"image_path": "/p/one.png"},
        )
        put(
            collection,
            Media("text", path="/book.txt", text="-"),
            rows[7:9],
            [Span(1, 3), Span(4, 4)],
            texts=["first\npassage", "second"],
            digest="e" * 32,
        )
        put(collection, Media("video", path="/v.mp4"), rows[9:10], [Span(0, 2)], digest="f" * 32)
        with writing(collection) as writer, collection.catalog.transaction():
            gone = collection.catalog.source("/sounds/gone.wav")
            assert gone is not None
            writer.catalog.remove_sources([gone.id])
        yield collection


def items(collection: Collection, *, exact: bool = True) -> dict[tuple[Any, ...], Any]:
    """Every item by what makes it, with its vector's bytes."""
    known = collection.spaces[0].space
    found: dict[tuple[Any, ...], Any] = {}
    for item in collection.catalog.all_items():
        first = item.sources[0]
        vector = collection.vector(known, item.id)
        sources = [(s.path, s.row, s.metadata, s.size, s.mtime, s.modalities) for s in item.sources]
        digest = collection.catalog.hashes([item.content])[item.content]
        rest = (sources, item.facts, vector.tobytes(), digest) if exact else (first.metadata, item.facts)
        assert (first.path, first.row, item.modality, item.span) not in found
        found[first.path, first.row, item.modality, item.span] = (item.text, *rest)
    return found


# -- parquet -----------------------------------------------------------------------------------------------------


def test_a_parquet_file_holds_what_the_catalog_holds(full: Collection, tmp_path: Path) -> None:
    target = tmp_path / "all.parquet"
    assert export_parquet(full, target) == 9
    table = pq.read_table(target)
    assert table.schema.field("vector").type == pa.list_(pa.float32(), DIM)
    assert table.schema.names[:11] == [
        *("id", "path", "paths", "row", "modality", "start", "end", "text", "metadata", "facts", "hash")
    ]
    said = json.loads(table.schema.metadata[b"analogon"])
    assert Space.from_json(said["space"]) == SPACE and said["space"]["model"] == "toy:16"
    assert said["encoder"] == TABLE
    rows = {row["id"]: row for row in table.to_pylist()}
    assert len(rows) == 9
    for item in full.catalog.all_items():
        row = rows[item.id]
        assert np.array_equal(np.float32(row["vector"]), full.vector(SPACE, item.id))
        assert (row["path"], row["row"], row["modality"]) == (item.sources[0].path, item.media.row, item.modality)
        assert (row["start"], row["end"]) == ((item.span.start, item.span.end) if item.span else (None, None))
        assert row["text"] == item.text and json.loads(row["facts"]) == item.facts
    window = next(row for row in rows.values() if row["start"] == 0.6)
    assert window["paths"] == ["/sounds/copy.wav", "/sounds/ställe.wav"]
    assert window["hash"] == "a" * 32
    assert json.loads(window["metadata"]) == {"title": "copy"}
    assert not [path for path in tmp_path.iterdir() if "tmp" in path.name]


def test_a_round_trip_through_parquet_keeps_every_item_and_every_bit(full: Collection, tmp_path: Path) -> None:
    export_parquet(full, tmp_path / "all.parquet")
    report = import_parquet(tmp_path / "copy", tmp_path / "all.parquet")
    assert (report.found, report.vectors, report.known, report.failures) == (9, 9, 0, [])
    with Collection.open(tmp_path / "copy") as copy:
        assert copy.spaces == full.spaces
        assert items(copy) == items(full)
        assert copy.catalog.fields() == full.catalog.fields()
    again = import_parquet(tmp_path / "copy", tmp_path / "all.parquet")
    assert (again.found, again.vectors, again.known, again.failures) == (9, 0, 9, [])
    with Collection.open(tmp_path / "copy") as copy:
        assert items(copy) == items(full)
        assert [store.rows for store in copy.catalog.stores()] == [2, 2, 4, 1]


def test_an_imported_collection_needs_no_encoding(tmp_path: Path) -> None:
    folder = sounds.folder(tmp_path / "sounds", 7)
    encoder = load("toy:16")
    with Collection.create(tmp_path / "first") as first:
        build(first, [(encoder, TABLE)], Plan(paths=(str(folder),)))
        export_parquet(first, tmp_path / "all.parquet")
        expected = items(first)
    import_parquet(tmp_path / "second", tmp_path / "all.parquet")
    with Collection.open(tmp_path / "second") as second:
        report = build(second, [(encoder, TABLE)], Plan(paths=(str(folder),)))
        assert (report.known, report.encoded, report.vectors) == (7, 0, 0)
        assert items(second) == expected
        query = encode(encoder, [Media.from_path(folder / "a" / "003.wav")]).array[0]
        assert second.nearest(SPACE, "audio", query, 1)[0].item.sources[0].path.endswith("003.wav")


def test_one_space_must_be_chosen_among_several(full: Collection, tmp_path: Path) -> None:
    other = load("toy:8").space
    put(full, Media("audio", path="/sounds/ställe.wav"), random_rows(1, dim=8), digest="a" * 32, space=other)
    for export in (export_parquet, export_clip_retrieval):
        with pytest.raises(UsageError, match="say `encoder=toy:16` or `encoder=toy:8`$"):
            export(full, tmp_path / "x.parquet")
    assert export_parquet(full, tmp_path / "x.parquet", space=other) == 1
    assert pq.read_table(tmp_path / "x.parquet").schema.field("vector").type.list_size == 8
    with pytest.raises(SpaceMismatch, match="toy:32"):
        export_parquet(full, tmp_path / "y.parquet", space=load("toy:32").space)
    with Collection.create(tmp_path / "empty") as empty, pytest.raises(UsageError, match="no vectors yet"):
        export_parquet(empty, tmp_path / "y.parquet")
    with pytest.raises(UsageError, match="y.parquet: cannot be written: No such file"):
        export_parquet(full, tmp_path / "nowhere" / "y.parquet", space=other)


def test_a_failed_export_leaves_the_old_file(full: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "all.parquet"
    target.write_bytes(b"old")
    (tmp_path / "folder").mkdir()

    def broken(*_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(full.catalog, "hashes", broken)
    for export, path in ((export_parquet, target), (export_clip_retrieval, tmp_path / "folder")):
        with pytest.raises(MachineError, match="the disk is full.*No space left"):
            export(full, path)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "folder", "full"]
    assert not list((tmp_path / "folder").iterdir())


def foreign(file: Path, vectors: Sequence[Any], kind: Any = None, /, **columns: Sequence[Any]) -> Path:
    """A parquet file as another tool would write it."""
    table = {name: pa.array(values) for name, values in columns.items()}
    pq.write_table(pa.table({**table, "vector": pa.array(vectors, kind or pa.list_(pa.float64()))}), file)
    return file


def test_a_parquet_file_of_another_tool(tmp_path: Path) -> None:
    sound = sounds.write(tmp_path / "sounds" / "one.wav", 1)
    rows = random_rows(5).astype(np.float64) * 3.5
    source = foreign(
        tmp_path / "foreign.parquet",
        rows.tolist(),
        path=[str(sound), "sounds/one.wav", "/not/here.png", None, "/t.csv"],
        modality=["audio", "audio", "image", "text", "text"],
        start=[0.0, 1.0, None, None, None],
        end=[0.5, 1.5, None, None, None],
        text=[None, None, "a picture", "door", "rain"],
        row=[None, None, None, None, 3.0],
        artist=["x", "y", None, None, None],
        bpm=[float("nan"), 120.5, None, None, None],
    )
    with pytest.raises(UsageError, match=r"foreign.parquet does not say which model made its vectors.*`encoder`"):
        import_parquet(tmp_path / "c", source)
    assert not (tmp_path / "c").exists()
    report = import_parquet(tmp_path / "c", source, encoder="toy:16")
    assert (report.vectors, report.failures) == (5, [])
    with Collection.open(tmp_path / "c") as collection:
        assert collection.spaces[0].encoder == TABLE
        found = items(collection, exact=False)
        assert set(found) == {
            (str(sound), None, "audio", Span(0.0, 0.5)),
            (str(sound), None, "audio", Span(1.0, 1.5)),
            ("/not/here.png", None, "image", None),
            (str(source), 3, "text", None),
            ("/t.csv", 3, "text", None),
        }
        assert found["/not/here.png", None, "image", None][1] == {"text": "a picture"}
        assert found[str(source), 3, "text", None][0] == "door"
        assert found[str(sound), None, "audio", Span(0.0, 0.5)][1] == {"artist": "y", "bpm": 120.5}
        assert found[str(sound), None, "audio", Span(0.0, 0.5)][2]["duration"] == 0.5
        for number, row in enumerate(rows):
            (hit,) = collection.nearest(SPACE, ("audio", "audio", "image", "text", "text")[number], unit(row), 1)
            assert hit.score == pytest.approx(1.0, abs=1e-6)
        assert collection.catalog.content_of_hash(content_hash(Media("audio", path=str(sound)))) is not None
        assert collection.catalog.content_of_hash(content_hash(Media.from_text("rain"))) is not None
        known = collection.catalog.source(str(sound))
        assert known is not None and known.size == sound.stat().st_size
    again = import_parquet(tmp_path / "c", source, encoder="toy:16")
    assert (again.vectors, again.known, again.failures) == (0, 5, [])
    source = foreign(
        tmp_path / "one.parquet", rows[:1].tolist(), path=[str(sound)], modality=["audio"], start=[0.0], end=[0.5]
    )
    sound.unlink()  # the content that is known under that path stays the same one
    again = import_parquet(tmp_path / "c", source, encoder="toy:16")
    assert (again.vectors, again.known, again.failures) == (0, 1, [])


def test_rows_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    good = random_rows(1)[0].tolist()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"vector": [float("nan")] * DIM}, "its vector is not finite"),
        ({"vector": [float("inf")] + [0.0] * 15}, "its vector is not finite"),
        ({"vector": [0.0] * DIM}, "all zeros"),
        ({"vector": None}, "has no vector; the space wants 16"),
        ({"vector": [1.0] * 15}, "has a vector of 15 components; the space wants 16"),
        ({"vector": [None] + [1.0] * 15}, "not finite"),
        ({"modality": "smell"}, "its modality is 'smell'"),
        ({"modality": None}, "its modality is None"),
        ({"path": None}, "names no path of its audio"),
        ({"start": 1.0}, "span is 1.0 to None"),
        ({"start": 2.0, "end": 1.0}, "span is 2.0 to 1.0"),
        ({"row": -1.0}, "its row is -1.0"),
        ({"row": 1.5}, "its row is 1.5"),
        ({"row": float("inf")}, "its row is inf"),
        ({"metadata": "[1]"}, "should be a JSON object, not [1]"),
        ({"metadata": "{"}, "its metadata are not JSON"),
        ({"modality": "text"}, "is a text without its text"),
        ({}, "is there already with another vector"),
    ]
    start = {"path": "/a.wav", "modality": "audio", "row": None, "start": None, "end": None, "metadata": "{}"}
    made = [{**start, "path": "/first.wav", "vector": good}]
    made += [{**start, "path": f"/{i}.wav", "vector": good, **case} for i, (case, _) in enumerate(cases)]
    made[-1] = {**start, "path": "/first.wav", "vector": (-np.array(good)).tolist()}
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("path", "modality", "metadata")),
            *((name, pa.float64()) for name in ("row", "start", "end")),
            ("vector", pa.list_(pa.float32())),
        ]
    )
    source = tmp_path / "bad.parquet"
    pq.write_table(pa.Table.from_pylist(made, schema=schema), source)
    report = import_parquet(tmp_path / "c", source, encoder="toy:16")
    assert (report.found, report.vectors, report.known) == (len(cases) + 1, 1, 0)
    assert len(report.failures) == len(cases)
    for number, ((case, reason), failure) in enumerate(zip(cases, report.failures, strict=True)):
        assert reason in failure.reason, case
        if "path" in case:
            assert (failure.path, failure.row) == (str(source), number + 1)
        elif case:
            assert failure.path == f"/{number}.wav"
    with Collection.open(tmp_path / "c") as collection:
        assert [path for path, *_ in items(collection)] == ["/first.wav"]
        assert collection.catalog.counts()["source"] == 1


def test_a_recording_with_a_broken_window_is_known_as_incomplete(full: Collection, tmp_path: Path) -> None:
    export_parquet(full, tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    vectors = np.array(table["vector"].to_pylist(), dtype=np.float32)
    broken = table["start"].to_pylist().index(0.6)
    vectors[broken] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)
    pq.write_table(table.set_column(table.schema.get_field_index("vector"), "vector", column), tmp_path / "b.parquet")
    report = import_parquet(tmp_path / "copy", tmp_path / "b.parquet")
    assert report.vectors == 8 and [f.reason for f in report.failures] == ["its vector is not finite"]
    with Collection.open(tmp_path / "copy") as copy:
        kept = copy.catalog.failures()
        assert [(f.path, f.reason, f.partly) for f in kept] == [
            ("/sounds/copy.wav", "its vector is not finite", True),
            ("/sounds/ställe.wav", "its vector is not finite", True),
        ]
    import_parquet(full.path, tmp_path / "b.parquet")  # which has that window: nothing is lost there
    assert full.catalog.failures() == []


def test_what_the_collection_knows_better_stays(full: Collection, tmp_path: Path) -> None:
    export_parquet(full, tmp_path / "all.parquet")
    with Collection.create(tmp_path / "other") as other:
        row = random_rows(1, seed=5)
        put(other, Media("image", path="/p/two.png"), row, digest="9" * 32, metadata={"mine": 1})
        before = items(other)
    report = import_parquet(tmp_path / "other", tmp_path / "all.parquet")
    assert report.vectors == 8
    assert [f.path for f in report.failures] == ["/p/two.png"]
    assert "other content, which stays" in report.failures[0].reason
    with Collection.open(tmp_path / "other") as other:
        after = items(other)
        assert before.items() <= after.items() and len(after) == 9


def test_files_that_are_none_give_one_line(full: Collection, tmp_path: Path) -> None:
    good = [random_rows(1)[0].tolist()]
    text = tmp_path / "text.parquet"
    text.write_text("no parquet " * 10)
    cut = tmp_path / "cut.parquet"
    export_parquet(full, cut)
    cut.write_bytes(cut.read_bytes()[:-100])
    a, b = {"path": ["/a.wav"]}, {"modality": ["audio"]}
    cases = [
        (tmp_path / "missing.parquet", MediaError, "no such file"),
        (tmp_path, MediaError, "is a folder"),
        (text, MediaError, "is not a parquet file"),
        (cut, MediaError, "is not a parquet file"),
        (foreign(tmp_path / "1.parquet", good, **a), MediaError, "has no column modality; it has: path, vector"),
        (foreign(tmp_path / "2.parquet", good, path=[7], **b), MediaError, "its column path holds int64"),
        (foreign(tmp_path / "3.parquet", good, row=["x"], **a, **b), MediaError, "its column row holds string"),
        (foreign(tmp_path / "4.parquet", ["x"], pa.string(), **a, **b), MediaError, "column vector holds string"),
        (foreign(tmp_path / "5.parquet", [[1]], pa.list_(pa.int8()), **a, **b), MediaError, "lists of floats"),
        (
            foreign(tmp_path / "6.parquet", [[1.0, 0.0]], pa.list_(pa.float16(), 2), **a, **b),
            SpaceMismatch,
            r"6.parquet holds vectors of 2 components; the space is toy:16 \(16-d",
        ),
    ]
    for source, kind, reason in cases:
        with pytest.raises(kind, match=reason) as raised:
            import_parquet(tmp_path / "c", source, encoder="toy:16")
        assert "\n" not in str(raised.value) and str(source) in str(raised.value)
        assert not (tmp_path / "c").exists()
    export_parquet(full, tmp_path / "all.parquet")
    with pytest.raises(SpaceMismatch, match=r"all.parquet holds vectors of toy:16 .*; the encoder named is toy:8"):
        import_parquet(tmp_path / "c", tmp_path / "all.parquet", encoder="toy:8")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("x")
    with pytest.raises(CollectionError, match="taken: not empty"):
        import_parquet(tmp_path / "taken", tmp_path / "all.parquet")


def test_a_file_damaged_in_its_middle_keeps_what_was_read(full: Collection, tmp_path: Path) -> None:
    many = Collection.create(tmp_path / "many")
    for start in range(0, 3 * ROWS, ROWS):
        fill(many, start, ROWS)
    path = tmp_path / "many.parquet"
    export_parquet(many, path)
    where = pq.ParquetFile(path).metadata.row_group(2).column(0)
    raw = bytearray(path.read_bytes())
    at = where.data_page_offset
    raw[at : at + 2000] = bytes(2000)
    path.write_bytes(raw)
    with pytest.raises(MediaError, match="is damaged.*the rows before that are in"):
        import_parquet(tmp_path / "c", path)
    with Collection.open(tmp_path / "c") as collection:
        assert collection.catalog.counts()["item"] in (ROWS, 2 * ROWS)
    many.close()


def fill(collection: Collection, start: int, count: int, modality: Modality = "audio", dim: int = DIM) -> None:
    """Many contents at once."""
    vectors = random_rows(count, seed=start, dim=dim)
    space = load(f"toy:{dim}").space
    with writing(collection) as writer:
        writer.add_space(space, {"family": "toy", "model": str(dim)})
        with collection.catalog.transaction():
            ids = []
            for number in range(start, start + count):
                path = f"/{number:07}"
                ids.append(collection.catalog.put_content(f"{number:032x}", {}, None))
                collection.catalog.put_source(path, None, ids[-1], (modality,), 1, 1, {"n": number})
        entries = [
            Entry(content, Media(modality, path="/"), vector) for content, vector in zip(ids, vectors, strict=True)
        ]
        writer.commit(space, entries, [])


def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the rows, 8 MiB of vectors instead of 2, may not take more memory."""
    monkeypatch.setattr("indexes.exchange.blocks.ROWS", 64)
    monkeypatch.setattr("indexes.exchange.blocks.COMMIT_BYTES", 1 << 19)
    peaks: dict[int, list[int]] = {}
    for count in (128, 512):
        with Collection.create(tmp_path / f"c{count}") as collection:
            fill(collection, 0, count, "image", dim=4096)
            peaks[count] = []
            source, folder = tmp_path / f"{count}.parquet", tmp_path / f"{count}"
            for work in (
                lambda c=collection, s=source: export_parquet(c, s),
                lambda n=count, s=source: import_parquet(tmp_path / f"i{n}", s),
                lambda c=collection, f=folder: export_clip_retrieval(c, f),
                lambda n=count, f=folder: import_clip_retrieval(tmp_path / f"j{n}", f),
            ):
                before = pa.total_allocated_bytes()
                tracemalloc.start()
                work()
                peaks[count].append(tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before)
                tracemalloc.stop()
    for small, large in zip(peaks[128], peaks[512], strict=True):
        assert large < small + (1 << 20), peaks


# -- clip-retrieval ----------------------------------------------------------------------------------------------


def clip_folder(folder: Path, shards: Sequence[int], *, zeros: int = 1, **columns: Any) -> npt.NDArray[np.float16]:
    """A folder as clip-retrieval's writer leaves it; gives image and caption vectors, (2, rows, dim) float16."""
    count = sum(shards)
    vectors = np.stack([random_rows(count, seed=1), random_rows(count, seed=2)]).astype(np.float16)
    for side in ("img_emb", "text_emb", "metadata"):
        (folder / side).mkdir(parents=True)
    start = 0
    for number, size in enumerate(shards):
        rows, name = range(start, start + size), str(number).zfill(zeros)
        np.save(folder / "img_emb" / f"img_emb_{name}.npy", vectors[0, rows])
        np.save(folder / "text_emb" / f"text_emb_{name}.npy", vectors[1, rows])
        table: dict[str, Any] = {
            "image_path": [f"/data/{row:05}.jpg" for row in rows],
            "caption": [f"caption {row}" for row in rows],
            "url": [f"http://example.org/{row}" for row in rows],
            "width": [row * 10 if row % 2 else None for row in rows],
            "hash": list(rows),
        }
        pq.write_table(pa.table(table | columns), folder / "metadata" / f"metadata_{name}.parquet")
        start += size
    return vectors


@pytest.mark.parametrize(("shards", "zeros"), [([5], 1), ([3, 1, 2, 4, 1, 1, 1, 1, 1, 1, 2], 1), ([2, 3], 2)])
def test_a_folder_of_clip_retrieval(tmp_path: Path, shards: list[int], zeros: int) -> None:
    vectors = clip_folder(tmp_path / "emb", shards, zeros=zeros)
    report = import_clip_retrieval(tmp_path / "c", tmp_path / "emb", encoder="toy:16")
    count = sum(shards)
    assert (report.found, report.vectors, report.failures) == (2 * count, 2 * count, [])
    with Collection.open(tmp_path / "c") as collection:
        for row in range(count):
            image = unit(vectors[0, row].astype(np.float64))
            hit = collection.nearest(SPACE, "image", image, 1)[0]
            assert hit.item.media.path == f"/data/{row:05}.jpg" and hit.score == pytest.approx(1.0, abs=1e-6)
            width = {"width": row * 10} if row % 2 else {}
            extra = {"url": f"http://example.org/{row}", "hash": row, **width}
            assert hit.item.sources[0].metadata == {**extra, "caption": f"caption {row}"}
            assert np.array_equal(collection.vector(SPACE, hit.item.id), image)
            hit = collection.nearest(SPACE, "text", unit(vectors[1, row].astype(np.float64)), 1)[0]
            assert hit.item.text == f"caption {row}" and hit.score == pytest.approx(1.0, abs=1e-6)
            assert hit.item.sources[0].metadata == {**extra, "image_path": f"/data/{row:05}.jpg"}
            source = Path(hit.item.sources[0].path)
            within = hit.item.sources[0].row
            assert within is not None and pq.read_table(source)["caption"][within].as_py() == hit.item.text
    again = import_clip_retrieval(tmp_path / "c", tmp_path / "emb", encoder="toy:16")
    assert (again.vectors, again.known, again.failures) == (0, 2 * count, [])


def test_an_imported_folder_comes_out_of_an_export_as_it_was(tmp_path: Path) -> None:
    vectors = clip_folder(tmp_path / "emb", [4, 3])
    import_clip_retrieval(tmp_path / "c", tmp_path / "emb", encoder="toy:16")
    with Collection.open(tmp_path / "c") as collection:
        assert export_clip_retrieval(collection, tmp_path / "out") == 7
    table = pq.read_table(tmp_path / "out" / "metadata" / "metadata_0.parquet").to_pydict()
    order = [int(caption.split()[1]) for caption in table["caption"]]
    assert sorted(order) == list(range(7))
    assert table["image_path"] == [f"/data/{row:05}.jpg" for row in order]
    for side, name in enumerate(("img_emb", "text_emb")):
        out = np.load(tmp_path / "out" / name / f"{name}_0.npy")
        assert out.dtype == np.float16 and out.shape == (7, DIM)
        np.testing.assert_allclose(out, vectors[side, order], atol=5e-4)
    import_clip_retrieval(tmp_path / "d", tmp_path / "out")
    with Collection.open(tmp_path / "c") as first, Collection.open(tmp_path / "d") as second:
        assert items(second, exact=False) == items(first, exact=False)


def test_a_round_trip_through_clip_retrieval_keeps_items_and_float16_vectors(full: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "emb"
    assert export_clip_retrieval(full, folder) == 8  # a caption and its picture share a row
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*")) == [
        "audio_emb/audio_emb_0.npy",
        "img_emb/img_emb_0.npy",
        "metadata/metadata_0.parquet",
        "text_emb/text_emb_0.npy",
        "video_emb/video_emb_0.npy",
    ]
    table = pq.read_table(folder / "metadata" / "metadata_0.parquet").to_pylist()
    images, texts = (np.load(folder / f"{side}_emb" / f"{side}_emb_0.npy") for side in ("img", "text"))
    assert len(table) == len(images) == len(texts) == 8 and images.dtype == np.float16
    for row, image, text in zip(table, images, texts, strict=True):
        assert image.any() == (row["image_path"] is not None)
        assert text.any() == (row["text_path"] is not None)
        if text.any():
            assert text.any() and row["caption"]
    paired = next(i for i, row in enumerate(table) if row["image_path"] == "/p/one.png")
    assert table[paired]["caption"] == "one" and images[paired].any() and texts[paired].any()
    report = import_clip_retrieval(tmp_path / "copy", folder)
    assert (report.vectors, report.failures) == (9, [])
    with Collection.open(tmp_path / "copy") as copy:
        have, want = items(copy, exact=False), items(full, exact=False)
        assert have == want
        for item in copy.catalog.all_items():
            (twin,) = (
                t
                for t in full.catalog.all_items()
                if (t.media.path, t.media.row) == (item.media.path, item.media.row) and t.span == item.span
            )
            assert float(copy.vector(SPACE, item.id) @ full.vector(SPACE, twin.id)) > 0.999999
    again = import_clip_retrieval(full.path, folder)
    assert (again.vectors, again.known, again.failures) == (0, 9, [])


def test_folders_that_do_not_line_up_give_one_line(full: Collection, tmp_path: Path) -> None:
    def damaged(name: str, *changes: Any) -> Path:
        clip_folder(tmp_path / name, [2, 2])
        for path, content in changes:
            target = tmp_path / name / path
            if content is None:
                target.unlink()
            elif isinstance(content, bytes):
                target.write_bytes(content)
            else:
                np.save(target, content)
        return tmp_path / name

    one = "img_emb/img_emb_1.npy"
    (tmp_path / "bare").mkdir()
    cases = [
        (tmp_path / "none", MediaError, "is no folder"),
        (tmp_path / "bare", MediaError, "has no vectors in img_emb"),
        (damaged("a", ("metadata/metadata_1.parquet", None)), MediaError, "has no metadata_1.parquet"),
        (damaged("b", (one, random_rows(3))), MediaError, "img_emb_1.npy: has 3 rows, and .*metadata_1.parquet has 2"),
        (damaged("c", (one, random_rows(2, dim=8))), SpaceMismatch, r"8 components; the space is toy:16"),
        (damaged("d", (one, b"no npy")), MediaError, "is not an npy file"),
        (damaged("e", (one, np.array([["x"], ["y"]], dtype=object))), MediaError, "is not an npy file"),
        (damaged("f", (one, np.ones((2, DIM), dtype=np.int32))), MediaError, "holds int32"),
        (damaged("g", ("metadata/metadata_0.parquet", b"PAR1")), MediaError, "is not a parquet file"),
    ]
    for folder, kind, reason in cases:
        with pytest.raises(kind, match=reason) as raised:
            import_clip_retrieval(tmp_path / "made", folder, encoder="toy:16")
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "made").exists()
    with pytest.raises(UsageError, match="does not say which model"):
        import_clip_retrieval(tmp_path / "c", damaged("h"))
    with pytest.raises(UsageError, match="is not an empty folder"):
        export_clip_retrieval(full, tmp_path / "h")


def test_rows_of_clip_retrieval_that_cannot_be_used(tmp_path: Path) -> None:
    vectors = clip_folder(tmp_path / "emb", [4], caption=["a", None, "c", "d"], image_path=["/0", "/1", None, "/3"])
    images, texts = vectors.copy()
    images[0] = np.nan
    images[3] = texts[3] = 0
    np.save(tmp_path / "emb" / "img_emb" / "img_emb_0.npy", images)
    np.save(tmp_path / "emb" / "text_emb" / "text_emb_0.npy", texts)
    report = import_clip_retrieval(tmp_path / "c", tmp_path / "emb", encoder="toy:16")
    metadata = str(tmp_path / "emb" / "metadata" / "metadata_0.parquet")
    assert [(f.path, f.row, f.reason) for f in report.failures] == [
        ("/0", None, "its vector is not finite"),
        (metadata, 1, "has a vector and no caption"),
        (metadata, 3, "its vector is all zeros: it has no direction"),
    ]
    with Collection.open(tmp_path / "c") as collection:
        assert set(items(collection)) == {
            (metadata, 0, "text", None),
            ("/1", None, "image", None),
            ("http://example.org/2", None, "image", None),
            (metadata, 2, "text", None),
        }
