"""Things without a file: added, changed, looked up and removed by id, from memory and from tables."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import analogon
from embed import Media, Vectors, encode, load
from embed.errors import MediaError, SpaceMismatch, UsageError
from embed.space import unit

TEXTS = ["rain on a tin roof", "a dog barks", "thunder far away"]
IDS = ["rain", "dog", "thunder"]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[analogon.Library]:
    with analogon.open(tmp_path / "kept", create=True) as made:
        yield made


def oracle(*texts: str) -> np.ndarray:
    return encode(load("toy"), [Media.from_text(text) for text in texts]).array


def rows(library: analogon.Library) -> dict[str, np.ndarray]:
    return {record.id: record.vectors().array for record in library}


def test_texts_have_the_vectors_that_the_encoder_gives(library: analogon.Library) -> None:
    metadata = [{"loud": 1}, {"loud": 2, "at": "night"}, {}]
    added = library.add(TEXTS, ids=IDS, metadata=metadata, encoders="toy")
    assert (added.found, added.vectors, added.known, added.failures) == (3, 3, 0, [])
    found = rows(library)
    assert list(found) == IDS
    np.testing.assert_array_equal(np.concatenate(list(found.values())), oracle(*TEXTS))
    assert [record.text for record in library] == TEXTS
    assert [dict(record.metadata) for record in library] == metadata
    hits = library.search("dog", where="loud = 2")
    assert [(hit.path, hit.missing, hit.text) for hit in hits] == [("added:/dog", (), "a dog barks")]


def test_what_is_there_is_not_encoded_again(library: analogon.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.add(TEXTS[:2], ids=IDS[:2], encoders="toy")
    asked: list[int] = []
    import analogon.search.adding as adding

    real = adding.encode_stream

    def counting(encoder: Any, media: Any, **options: Any) -> Any:
        asked.append(len(media))
        return real(encoder, media, **options)

    monkeypatch.setattr(adding, "encode_stream", counting)
    added = library.add(TEXTS, ids=IDS)
    assert (added.known, added.vectors, sum(asked)) == (2, 1, 1)


def test_another_thing_under_an_id_is_told_and_stays(library: analogon.Library) -> None:
    library.add(TEXTS, ids=IDS, encoders="toy")
    added = library.add(["a cat", "a bird"], ids=["dog", "bird"])
    assert [failure.path for failure in added.failures] == ["added:/dog"]
    assert "update('dog'" in added.failures[0].reason
    assert added.vectors == 1 and library.get("dog").text == "a dog barks"


def test_equal_things_under_two_ids_share_one_vector(library: analogon.Library) -> None:
    added = library.add(["rain", "rain"], ids=["a", "b"], encoders="toy")
    assert added.vectors == 1 and len(library) == 2
    np.testing.assert_array_equal(rows(library)["a"], rows(library)["b"])
    library.remove(ids="a")
    assert list(rows(library)) == ["b"]


def test_an_update_puts_another_thing_in_its_place(library: analogon.Library) -> None:
    library.add(TEXTS, ids=IDS, metadata=[{"loud": 1, "at": "day"}, {"loud": 2}, {"loud": 3}], encoders="toy")
    library.update("rain", "snow falls", metadata={"at": None, "cold": True})
    kept = library.get("rain")
    assert kept.text == "snow falls" and dict(kept.metadata) == {"loud": 1, "cold": 1}
    np.testing.assert_array_equal(kept.vectors().array, oracle("snow falls"))
    library.update(["dog", "thunder"], metadata=[{"loud": 5}, {"loud": None}])
    assert [dict(library.get(name).metadata) for name in ("dog", "thunder")] == [{"loud": 5}, {}]
    assert library.space()["text"].array.shape == (3, 8)
    with pytest.raises(UsageError, match="nothing under the id 'cat'"):
        library.update(["dog", "cat"], metadata=[{"loud": 9}, {"loud": 9}])
    assert library.get("dog").metadata["loud"] == 5


def tables() -> Iterator[tuple[str, Any]]:
    columns = {"id": IDS, "text": TEXTS, "loud": [1, 2, 3], "mood": ["wet", None, "dark"]}
    yield "pandas", pandas.DataFrame(columns)
    yield "polars", polars.DataFrame(columns)
    yield "arrow", pa.table(columns)
    yield "reader", pa.table(columns).to_reader(max_chunksize=2)
    yield "list", [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("kind", [name for name, _ in tables()])
def test_tables_give_things_ids_and_metadata(library: analogon.Library, kind: str) -> None:
    library.add(dict(tables())[kind], encoders="toy")
    assert [(r.id, r.text, dict(r.metadata)) for r in library] == [
        ("rain", TEXTS[0], {"loud": 1, "mood": "wet"}),
        ("dog", TEXTS[1], {"loud": 2}),
        ("thunder", TEXTS[2], {"loud": 3, "mood": "dark"}),
    ]


def test_a_parquet_file_of_vectors(library: analogon.Library, tmp_path: Path) -> None:
    vectors = oracle(*TEXTS)
    table = pa.table({"id": IDS, "vector": vectors.tolist(), "text": TEXTS, "loud": [1, 2, 3]})
    pq.write_table(table, tmp_path / "made.parquet")
    added = library.add(tmp_path / "made.parquet", encoders="toy")
    assert added.vectors == 3
    np.testing.assert_allclose(np.concatenate(list(rows(library).values())), vectors, atol=1e-7)
    assert library.search("dog", k=1)[0].text == "a dog barks"


def test_vectors_of_a_space(library: analogon.Library) -> None:
    made = Vectors(load("toy").space, unit(np.random.default_rng(0).normal(size=(3, 8))))
    added = library.add(made, ids=IDS, encoders="toy", modality="image")
    assert added.vectors == 3
    np.testing.assert_array_equal(library.space()["image"].array, made.array)
    assert library.search(made[1:2], k=1, include_self=True)[0].path == "added:/dog"
    with pytest.raises(SpaceMismatch):
        library.add(made, encoders="toy:16", modality="image")
    with pytest.raises(UsageError, match="modality"):
        library.add(made, encoders="toy")
    short = library.add(np.ones((1, 5), np.float32), encoders="toy", modality="image")
    assert "5 components" in short.failures[0].reason


def test_samples(library: analogon.Library) -> None:
    rate = 16000
    sounds = [np.sin(np.arange(rate) * pitch).astype(np.float32) for pitch in (0.05, 0.1)]
    library.add(sounds, ids=["low", "high"], rate=rate, encoders="toy")
    for name, samples in zip(("low", "high"), sounds, strict=True):
        expected = encode(load("toy"), [Media("audio", array=samples, rate=rate)]).array
        np.testing.assert_allclose(library.get(name).vectors().array, expected, atol=1e-6)
    assert library.get("low").facts == {"duration": 1.0, "sample_rate": rate}


def test_files_go_by_their_path(library: analogon.Library, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a storm at sea")
    library.add([tmp_path / "note.txt", "a calm lake"], encoders="toy")
    assert library.get(tmp_path / "note.txt").path == str(tmp_path / "note.txt")
    assert (tmp_path / "note.txt") in library and "nothing" not in library
    wrong = library.add([tmp_path / "note.txt"], ids=["x"])
    assert "goes by its path" in wrong.failures[0].reason


def test_an_indexing_run_does_not_take_what_was_added_for_a_file_that_moved(
    library: analogon.Library, tmp_path: Path
) -> None:
    library.add(["the same words"], ids=["one"], encoders="toy")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "words.txt").write_text("the same words")
    report = library.index(tmp_path / "texts", prune=True)
    assert report.moved == 0 and report.removed == 0
    assert library.get("one").text == "the same words"


def test_an_iterator_longer_than_a_block_is_streamed_and_goes_on_after_a_break(library: analogon.Library) -> None:
    seen = 0

    def broken(until: int) -> Iterator[str]:
        nonlocal seen
        for number in range(until):
            seen = number
            yield f"text {number}"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.add(broken(600), ids=map(str, range(1000)), encoders="toy")
    assert len(library) == 512 and seen == 599
    again = library.add((f"text {number}" for number in range(1000)), ids=map(str, range(1000)))
    assert (again.known, again.vectors) == (512, 488)
    assert len(library) == 1000


def test_ids_and_metadata_must_fit(library: analogon.Library) -> None:
    for beside in ({"ids": ["x"]}, {"ids": ["x", "y", "z"]}, {"metadata": [{}]}):
        with pytest.raises(UsageError, match="for 2 items"):
            library.add(["a", "b"], encoders="toy", **beside)
    assert len(library) == 0
    with pytest.raises(UsageError, match="one for each item"):
        library.add(["a"], ids="abc", encoders="toy")
    with pytest.raises(UsageError, match="id of item 0 is None"):
        library.add(["a"], ids=[None], encoders="toy")
    with pytest.raises(UsageError, match="no column 'words'"):
        library.add(pandas.DataFrame({"text": ["a"]}), column="words", encoders="toy")
    with pytest.raises(MediaError, match="no such file"):
        library.add(Path("none.parquet"), encoders="toy")


def test_one_bad_item_does_not_keep_out_the_others(library: analogon.Library) -> None:
    added = library.add(["rain", None, 3.5, "wind"], ids=["a", "b", "c", "d"], encoders="toy")
    assert [failure.path for failure in added.failures] == ["b", "c"]
    assert [record.id for record in library] == ["a", "d"]


def test_a_space_as_arrays(library: analogon.Library) -> None:
    library.add(TEXTS, ids=IDS, metadata=[{"loud": n} for n in range(3)], encoders="toy")
    library.remove(ids=["dog"])
    side = library.space("toy:8")["text"]
    np.testing.assert_array_equal(side.array, oracle(TEXTS[0], TEXTS[2]))
    np.testing.assert_array_equal(np.asarray(side), side.array)
    assert list(side.table("pandas")["path"]) == ["added:/rain", "added:/thunder"]
    assert list(side.table("polars", rows=np.array([1]))["loud"]) == [2]
    assert side.table("arrow").column("id").to_pylist() == side.ids.tolist()
    assert side.sample(9).tolist() == [0, 1] and len(side.sample(1, seed=3)) == 1
    with pytest.raises(UsageError, match="holds no audio"):
        library.space()["audio"]
    with pytest.raises(ValueError, match="read-only"):
        side.ids[0] = 1


def test_many_questions_are_one_call_each_alone(library: analogon.Library) -> None:
    library.add(TEXTS, ids=IDS, encoders="toy")
    questions = ["rain", "a dog barks at night - rain", "far", analogon.text("tin") + analogon.vector(oracle("roof"))]
    together = library.search_many(questions, k=2)
    alone = [library.search(question, k=2) for question in questions]
    assert [hits.to_json() for hits in together] == [hits.to_json() for hits in alone]
    encoder = library.collection.encoder(library.collection.spaces[0])
    calls: list[int] = []
    real = encoder.encode_batch
    encoder.encode_batch = lambda batch: calls.append(len(batch)) or real(batch)  # type: ignore[method-assign,func-returns-value]
    try:
        library.search_many([f"question {n}" for n in range(20)], by="content")
    finally:
        del encoder.encode_batch
    assert sum(calls) == 20 and len(calls) == -(-20 // encoder.batch_size)
    with pytest.raises(UsageError, match="list of queries"):
        library.search_many("rain")


def test_hits_slice_to_hits_and_become_tables(library: analogon.Library) -> None:
    library.add(TEXTS, ids=IDS, metadata=[{"loud": n} for n in range(3)], encoders="toy")
    hits = library.search("rain", k=3)
    assert isinstance(hits[1:], analogon.Hits) and [hit.rank for hit in hits[1:]] == [2, 3]
    frame = hits.to_pandas()
    assert frame["path"].tolist() == [hit.path for hit in hits]
    assert frame["score"].tolist() == [round(hit.score, 6) for hit in hits]
    assert hits.to_polars()["loud"].to_list() == hits.to_arrow()["loud"].to_pylist() == frame["loud"].tolist()
    assert "a dog barks" in repr(hits)


def test_threads_and_other_processes(library: analogon.Library) -> None:
    library.add(TEXTS, ids=IDS, encoders="toy")
    script = f"""
import multiprocessing, pickle, sys
from concurrent.futures import ThreadPoolExecutor
import analogon

library = analogon.open({str(library.collection.path)!r})

def best(question, library=library):
    return library.search(question, k=1)[0].path

def given(library, question):
    return library.search(question, k=1)[0].path

if __name__ == "__main__":
    questions = ["rain", "dog", "thunder"] * 8
    expected = [best(question) for question in questions]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(best, questions)) == expected
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(best, questions) == expected
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(given, [(library, question) for question in questions]) == expected
    assert best("rain") == pickle.loads(pickle.dumps(library)).search("rain", k=1)[0].path
    print(expected[:3])
"""
    path = library.collection.path.parent / "several.py"
    path.write_text(script)
    run = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=250, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "['added:/rain', 'added:/dog', 'added:/thunder']"


def test_progress_counts_what_is_through(library: analogon.Library, capsys: pytest.CaptureFixture[str]) -> None:
    counted: list[tuple[str, int | None]] = []

    class Counting(analogon.Progress):
        def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
            super().phase(name, total, seconds)
            counted.append((name, total))

    with Counting() as bars:
        library.add([*TEXTS, None], encoders="toy", listener=bars)
    assert counted[0] == ("adding", 4)
    assert bars.lines == ["skipped item 3: there is nothing in it"]
    assert capsys.readouterr().out == ""  # no terminal, no notebook: nothing is drawn


def test_data_sets(library: analogon.Library) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"id": IDS, "text": TEXTS, "loud": [1, 2, 3]})
    library.add(rows, encoders="toy")
    assert [(r.id, r.text, dict(r.metadata)) for r in library] == [
        (name, text, {"loud": n}) for n, (name, text) in enumerate(zip(IDS, TEXTS, strict=True), 1)
    ]
    samples = np.linspace(-0.5, 0.5, 8000, dtype=np.float32)
    sound = [{"id": "tone", "audio": {"array": samples, "sampling_rate": 16000}}]
    library.add(sound)
    expected = encode(load("toy"), [Media("audio", array=samples, rate=16000)]).array
    np.testing.assert_allclose(library.get("tone").vectors().array, expected, atol=1e-6)


def test_an_encoder_of_ones_own(library: analogon.Library, tmp_path: Path) -> None:
    def letters(texts: list[str]) -> np.ndarray:
        return np.array([[text.count(letter) + 0.1 for letter in "aeiou"] for text in texts])

    mine = analogon.wrap(letters, name="letters", revision="1")
    library.add(TEXTS, ids=IDS, encoders=[mine])
    np.testing.assert_allclose(library.get("dog").vectors().array, unit(letters([TEXTS[1]])), atol=1e-6)
    (tmp_path / "note.txt").write_text("an owl")
    assert library.index(tmp_path / "note.txt", encoders=mine).vectors == 1
    assert library.search("a dog barks", by="content", k=1)[0].path == "added:/dog"


def test_metadata_of_what_is_there_join_it(library: analogon.Library) -> None:
    library.add(TEXTS, ids=IDS, metadata=[{"loud": 1, "at": "day"}, {}, {}], encoders="toy")
    again = library.add(TEXTS, ids=IDS, metadata=[{"loud": 7}, {"mood": "dark"}, {}])
    assert (again.known, again.vectors) == (3, 0)
    assert [dict(r.metadata) for r in library] == [{"loud": 7, "at": "day"}, {"mood": "dark"}, {}]
    assert [hit.path for hit in library.search("dog", where="mood = 'dark'")] == ["added:/dog"]


def test_one_without_a_vector_stays_as_it_is_in_an_update(library: analogon.Library) -> None:
    library.add(
        ["rain", "a dog", "a cat"], ids=["a", "b", "c"], metadata=[{"n": 1}, {"n": 2}, {"n": 3}], encoders="toy"
    )
    before = rows(library)
    told = library.update(["a", "b", "c"], ["snow", None, "a \ud800"], metadata=[{"n": 4}, {"n": 5}, {"n": 6}])
    assert [failure.path for failure in told.failures] == ["b", "c"] and told.vectors == 1
    assert [(r.id, r.text, r.metadata["n"]) for r in library] == [
        ("a", "snow", 4),
        ("b", "a dog", 2),
        ("c", "a cat", 3),
    ]
    np.testing.assert_array_equal(rows(library)["b"], before["b"])
    np.testing.assert_array_equal(rows(library)["a"], oracle("snow"))


def test_what_an_encoder_fails_at_stays_in_an_update(library: analogon.Library) -> None:
    def fussy(texts: list[str]) -> np.ndarray:
        return np.array([[np.nan if "bad" in text else len(text), 1.0] for text in texts])

    library.add(["one", "three"], ids=["a", "b"], encoders=analogon.wrap(fussy, name="fussy", revision="1"))
    told = library.update(["a", "b"], ["bad", "seven"])
    assert [failure.path for failure in told.failures] == ["added:/a"]
    assert [(r.id, r.text) for r in library] == [("a", "one"), ("b", "seven")]
    np.testing.assert_allclose(rows(library)["a"], unit(np.array([[3.0, 1.0]])), atol=1e-6)


def test_many_updates_leave_no_pile_of_dead_rows(library: analogon.Library) -> None:
    library.add(["first", "other"], ids=["a", "b"], encoders="toy")
    for number in range(40):
        library.update("a", f"number {number}")
    assert library.space()["text"].array.shape == (2, 8)
    store = library.collection.catalog.stores()[0]
    assert store.rows < 20
    np.testing.assert_array_equal(rows(library)["a"], oracle("number 39"))


@pytest.mark.parametrize("twice", [["a", "a"], ["added:/a", "a"], [1, "1"]])
def test_an_id_that_is_named_twice_in_an_update_is_told(library: analogon.Library, twice: list[Any]) -> None:
    library.add(["x", "y"], ids=["a", 1], encoders="toy")
    with pytest.raises(UsageError, match="named twice"):
        library.update(twice, ["new", "newer"])
    assert [r.text for r in library] == ["x", "y"]


ODD_IDS = [
    "a/b",
    "a b",
    "x\ny",
    "..",
    "../../etc",
    " ",
    "é",
    "e\u0301",
    "z" * 10_000,
    "1.0",
    "-3",
    "id:1",
    "\0",
    "%",
    "~",
]


def test_any_text_and_whole_number_is_an_id(library: analogon.Library) -> None:
    ids = [*ODD_IDS, 7, np.int64(8), np.str_("n")]
    library.add([f"text {at}" for at in range(len(ids))], ids=ids, encoders="toy")
    assert [r.id for r in library] == [str(one) for one in ids]
    for at, one in enumerate(ids):
        assert one in library and library.get(one).text == f"text {at}"
    library.update(np.int64(8), "another")
    assert library.get("8").text == "another"
    assert library.remove(ids=np.int64(8)) == 1 and library.remove(ids=pa.array(ODD_IDS)) == len(ODD_IDS)
    assert [r.id for r in library] == ["7", "n"]


@pytest.mark.parametrize("value", [None, float("nan"), 1.0, True, b"x", [], "", "\ud800", pandas.NA, ("a", 1)])
def test_what_is_no_id(library: analogon.Library, value: Any) -> None:
    library.add(["x"], ids=[1], encoders="toy")
    with pytest.raises(UsageError, match="id"):
        library.add(["y"], ids=[value])
    assert value not in library
    for call in (library.get, lambda id: library.update([id], ["y"]), lambda id: library.remove(ids=[id])):
        with pytest.raises(UsageError):
            call(value)
    assert [r.text for r in library] == ["x"]


@pytest.mark.parametrize("value", [None, 1.5, b"x", {"a": 1}])
def test_what_is_no_list_of_ids(library: analogon.Library, value: Any) -> None:
    library.add(["x"], ids=["a"], encoders="toy")
    with pytest.raises(UsageError, match="ids are"):
        library.update(value, "y")
    with pytest.raises(UsageError, match="nothing under"):
        library.get(10**30)
    assert "~nobody-of-this-name/x" not in library


VALUES = [
    (b"caf\xc3\xa9", "café"),
    (Decimal("1.5"), 1.5),
    (timedelta(minutes=1), 60.0),
    (pandas.Timedelta("2s"), 2.0),
    (np.timedelta64(3, "s"), 3.0),
    (np.datetime64("2020-01-01T00:00:00", "ns"), "2020-01-01T00:00:00.000000000"),
    (np.array(3), 3),
    (np.arange(2), [0, 1]),
    (date(2020, 1, 2), "2020-01-02"),
    (pa.scalar(5), 5),
    ({1}, [1]),
    ({"a": [1, {"b": np.float32(0.5)}]}, {"a": [1, {"b": 0.5}]}),
    (2**70, 2**70),
]


def test_values_of_metadata(library: analogon.Library) -> None:
    given = [{"v": value} for value, _ in VALUES]
    absent = [
        None,
        float("nan"),
        float("inf"),
        pandas.NA,
        pandas.NaT,
        np.datetime64("NaT"),
        pa.scalar(None),
        Decimal("NaN"),
    ]
    report = library.add(
        [f"text {at}" for at in range(len(given) + len(absent))],
        metadata=given + [{"v": value} for value in absent],
        encoders="toy",
    )
    assert report.notes == [] and report.failures == []
    assert [r.metadata.get("v") for r in library] == [value for _, value in VALUES] + [None] * len(absent)
    assert len(library.search("text", where="v >= 2 and v <= 3")) == 3


def test_values_without_a_form_are_told_and_keep_nothing_out(library: analogon.Library) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    around: dict[str, Any] = {}
    around["in"] = around
    bad = [b"\xff\xfe", around, 10**5000, Mute()]
    report = library.add([f"t{at}" for at in range(5)], metadata=[{"v": v, "n": 1} for v in [*bad, 2]], encoders="toy")
    assert report.vectors == 5 and len(report.notes) == 4
    assert [dict(r.metadata) for r in library] == [{"n": 1}] * 4 + [{"v": 2, "n": 1}]
    assert all("column 'v' was left out where it holds" in note for note in report.notes)


def columns() -> Iterator[Any]:
    yield pandas.Series(TEXTS)
    yield pandas.Index(TEXTS)
    yield polars.Series(TEXTS)
    yield pa.array(TEXTS)
    yield pa.chunked_array([TEXTS[:1], TEXTS[1:]])
    yield np.array(TEXTS)
    yield np.array(TEXTS, dtype=object)


@pytest.mark.parametrize("column", columns(), ids=lambda column: f"{type(column).__module__}.{type(column).__name__}")
def test_a_column_of_texts_is_texts_and_ids(library: analogon.Library, column: Any) -> None:
    library.add(column, ids=column, encoders="toy")
    assert [(r.id, r.text) for r in library] == [(text, text) for text in TEXTS]
    np.testing.assert_array_equal(library.space()["text"].array, oracle(*TEXTS))


def test_frames_as_notebooks_have_them(library: analogon.Library) -> None:
    frame = pandas.DataFrame({"id": IDS, "text": TEXTS, "n": [1, 2, 3]})
    library.add(frame.set_index("id"), encoders="toy")
    library.add(polars.DataFrame({"id": ["lazy"], "text": ["not yet"]}).lazy())
    library.add(frame.iloc[:1].assign(id="c", text="cats").astype({"id": "category", "text": "category"}))
    assert [r.id for r in library] == [*IDS, "lazy", "c"] and library.get("dog").metadata == {"n": 2}
    for twice in (
        pandas.DataFrame([["a", 1, 2]], columns=["text", "n", "n"]),
        pa.table([["a"], [1], [2]], ["text", "n", "n"]),
    ):
        with pytest.raises(UsageError, match="several columns 'n'"):
            library.add(twice)


def test_vectors_that_are_none_keep_nothing_out(library: analogon.Library, tmp_path: Path) -> None:
    good = np.arange(1.0, 9.0)
    cells = [good, None, "[1, 2]", ["a"] * 8, {"a": 1}, np.ones((2, 8)), 1.0, good * 1e299, good[::-1] * 1e-300]
    report = library.add([{"vector": one} for one in cells], encoders="toy", modality="text")
    assert len(report.failures) == 6 and report.vectors == 3
    expected = unit(np.stack([good, good, good[::-1]]))
    np.testing.assert_allclose(library.space()["text"].array, expected, atol=1e-6)


def test_two_dimensions_are_samples_with_a_rate_and_vectors_without(library: analogon.Library) -> None:
    stereo = np.random.default_rng(0).normal(0, 0.1, (16000, 2)).astype(np.float32)
    library.add(stereo, ids=["sound"], rate=16000, encoders="toy")
    expected = analogon.encode("toy", stereo, rate=16000).array
    np.testing.assert_allclose(library.get("sound").vectors().array, expected, atol=1e-6)
    library.add(torch.arange(1.0, 17.0).reshape(2, 8), ids=["p", "q"], modality="image")
    np.testing.assert_allclose(library.space()["image"].array, unit(np.arange(1.0, 17.0).reshape(2, 8)), atol=1e-6)
    for rate in (float("nan"), -1, "a"):
        with pytest.raises(UsageError, match="rate"):
            library.add(stereo, rate=rate)


def test_a_text_that_names_a_file_is_told(library: analogon.Library, tmp_path: Path) -> None:
    (tmp_path / "sound.wav").write_bytes(b"")
    report = library.add([str(tmp_path / "sound.wav"), "a dog"], ids=["x", "y"], encoders="toy")
    assert report.vectors == 2 and len(report.notes) == 1 and report.notes[0].startswith("x: ")
    missing = library.add(pandas.DataFrame({"path": ["gone.wav"]}))
    assert [(failure.path, failure.reason) for failure in missing.failures] == [("gone.wav", "no such file")]


def test_records_and_spaces_go_to_other_processes(library: analogon.Library) -> None:
    library.add(TEXTS, ids=IDS, encoders="toy")
    record, side = pickle.loads(pickle.dumps((library.get("dog"), library.space()["text"])))
    np.testing.assert_array_equal(record.vectors().array, oracle("a dog barks"))
    np.testing.assert_array_equal(side.array, oracle(*TEXTS))
    assert side.table("arrow")["text"].to_pylist() == TEXTS


def test_a_walk_is_of_one_moment_whatever_is_removed_meanwhile(
    library: analogon.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(TEXTS, ids=IDS, encoders="toy")
    catalog = library.collection.catalog
    real = type(catalog)._sources

    def after_a_removal(self: Any, *asked: Any) -> Any:
        monkeypatch.setattr(type(catalog), "_sources", real)
        code = "import sys, analogon; analogon.open(sys.argv[1]).remove(ids='dog')"
        subprocess.run([sys.executable, "-c", code, str(library.collection.path)], check=True)
        return real(self, *asked)

    monkeypatch.setattr(type(catalog), "_sources", after_a_removal)
    assert [record.id for record in library] == IDS
    assert [record.id for record in library] == ["rain", "thunder"]
