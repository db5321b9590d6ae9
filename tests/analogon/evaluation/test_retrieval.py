"""Retrieval over a table of pairs, on a toy collection, against scikit-learn and rankings written out."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.metrics import average_precision_score, ndcg_score

from analogon.evaluation.retrieval import Direction, PairTable, evaluate_retrieval, measure_retrieval
from analogon.search.library import Library
from embed import Media, encode
from embed import load as load_encoder
from embed.errors import UnsupportedModality, UsageError
from embed.pipeline import Encoded, encode_stream
from tests import sounds
from tests.command_line import exit_code, family

ENCODER = load_encoder("toy")
SOUNDS = 12


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A collection of twelve sounds, some of several windows, and a table's texts."""
    root = tmp_path_factory.mktemp("toy")
    sounds.folder(root / "sounds", SOUNDS)
    write(root / "texts.csv", ["text"], [["a door"], ["rain on a roof"], ["two dogs"]])
    library = Library.open_or_create(root / "collection")
    library.index(root / "sounds", encoders=["toy"])
    library.index(root / "texts.csv", text_column="text")
    return library


@pytest.fixture
def root(library: Library) -> Path:
    return library.collection.path.parent


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def wav(number: int) -> str:
    return f"sounds/{'a' if number % 2 else 'b'}/{number:03}.wav"


def windows(path: Path) -> np.ndarray:
    results = encode_stream(ENCODER, [Media.from_path(path)])
    return np.array([one.vector for one in results if isinstance(one, Encoded)], np.float64)


def scores(asking: np.ndarray, root: Path) -> np.ndarray:
    """Cosine of each query with the best window of each sound, (queries, sounds)."""
    return np.array([[max(windows(root / wav(i)) @ row) for i in range(SOUNDS)] for row in asking])


def check(found: Direction, scores: np.ndarray, relevant: np.ndarray) -> None:
    """The figures are scikit-learn's, and those of ranks counted out; no two scores may be equal."""
    retrieval = found.retrieval
    precision = [average_precision_score(yes, row) for yes, row in zip(relevant, scores, strict=True)]
    assert retrieval.map.value == pytest.approx(np.mean(precision))
    assert retrieval.ndcg.value == pytest.approx(ndcg_score(relevant, scores))
    first = [min(1 + sum(row > row[i]) for i in np.flatnonzero(yes)) for yes, row in zip(relevant, scores, strict=True)]
    assert retrieval.mrr.value == pytest.approx(np.mean([1 / rank for rank in first]))
    assert retrieval.median_rank.value == np.median(first)
    for k in (1, 5, 10):
        assert retrieval.hit[k].value == pytest.approx(np.mean([rank <= k for rank in first]))
    assert (retrieval.queries, retrieval.candidates) == scores.shape


def test_both_directions_are_scikit_learns(library: Library, root: Path) -> None:
    # Two texts have two targets each, and one sound is the target of two texts.
    pairs = [("rain on a roof", 0), ("rain on a roof", 5), ("a door", 3), ("wind", 5), ("wind", 7), ("two dogs", 10)]
    table = write(root / "pairs.csv", ["query", "target"], [[text, wav(number)] for text, number in pairs])
    lines: list[str] = []
    forth, back = evaluate_retrieval(library, PairTable.of(table), skipped=lines.append)
    assert lines == []
    texts, targets = ["rain on a roof", "a door", "wind", "two dogs"], [0, 5, 3, 7, 10]
    rows = encode(ENCODER, [Media.from_text(text) for text in texts]).array.astype(np.float64)
    relevant = np.array([[(text, i) in pairs for i in range(SOUNDS)] for text in texts])
    check(forth, scores(rows, root), relevant)
    asking = encode(ENCODER, [Media.from_path(root / wav(i)) for i in targets]).array.astype(np.float64)
    check(back, asking @ rows.T, relevant.T[targets])
    assert (forth.queries, forth.candidates, back.queries, back.candidates) == ("text", "audio", "audio", "text")
    assert forth.space == "toy:8"


def test_long_files_count_by_their_best_part(library: Library, root: Path) -> None:
    assert len(windows(root / wav(0))) > 1
    table = write(root / "pairs.csv", ["query", "target"], [["thunder", wav(0)]])
    [forth, _] = evaluate_retrieval(library, PairTable.of(table))
    row = scores(encode(ENCODER, [Media.from_text("thunder")]).array.astype(np.float64), root)[0]
    assert forth.retrieval.median_rank.value == 1 + sum(row > row[0])
    mean = encode(ENCODER, [Media.from_path(root / wav(0))]).array[0] @ encode(
        ENCODER, [Media.from_text("thunder")]
    ).array[0].astype(np.float64)
    assert row[0] > mean


def test_a_query_does_not_find_itself(library: Library, root: Path) -> None:
    copy = root / "copy.wav"
    copy.write_bytes((root / wav(1)).read_bytes())
    rows = [[wav(1), wav(3)], [wav(4), wav(2)], ["copy.wav", wav(7)]]
    table = write(root / "pairs.csv", ["query", "target"], rows)
    forth, back = evaluate_retrieval(library, PairTable.of(table))
    asking = encode(ENCODER, [Media.from_path(root / wav(i)) for i in (1, 4)]).array.astype(np.float64)
    found = scores(asking, root)
    # The copy is the same content: one query with two targets, among the eleven others.
    assert (forth.retrieval.queries, forth.retrieval.candidates) == (2, 11)
    others = [np.delete(np.arange(SOUNDS), own) for own in (1, 4)]
    right = [{3, 7}, {2}]
    expected = [
        average_precision_score([i in yes for i in rest], row[rest])
        for row, rest, yes in zip(found, others, right, strict=True)
    ]
    assert forth.retrieval.map.value == pytest.approx(np.mean(expected))
    assert (back.retrieval.queries, back.retrieval.candidates) == (3, 2)


def test_cells_are_files_items_and_texts(
    library: Library, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sounds.write(tmp_path / "new.wav", 99, 1.7)
    (tmp_path / "question.txt").write_text("rain on a roof")
    item = library.search("x", to="audio", k=1, by="content")[0]
    number = next(i for i in range(SOUNDS) if item.path.endswith(wav(i)))
    rows = [["new.wav", f"id:{item.id}"], ["question.txt", wav(3)], ["./new.wav", wav(3)], [" a door ", wav(2)]]
    table = write(root / "pairs.csv", ["query", "target"], rows)
    lines: list[str] = []
    forth, _ = evaluate_retrieval(library, PairTable.of(table), skipped=lines.append)
    assert lines == []
    asked = [Media.from_path(tmp_path / "new.wav"), Media.from_text("rain on a roof"), Media.from_text("a door")]
    relevant = np.zeros((3, SOUNDS), bool)
    relevant[[0, 0, 1, 2], [number, 3, 3, 2]] = True
    check(forth, scores(encode(ENCODER, asked).array.astype(np.float64), root), relevant)
    assert forth.queries == "audio and text"


def test_what_cannot_be_used_is_told_and_left_out(library: Library, root: Path) -> None:
    sounds.write(root / "stranger.wav", 77)
    (root / "broken.wav").write_bytes(b"RIFF nothing")
    rows = [
        ["a door", wav(1)],
        ["a gate", "nowhere.wav"],
        ["a gate", "stranger.wav"],
        ["a gate", "rain on a roof"],
        ["broken.wav", wav(2)],
        ["broken.wav", wav(3)],
        ["id:99999", wav(2)],
        ["id:x", wav(2)],
        [wav(4), wav(4)],
        ["", wav(2)],
        ["a gate", ""],
        ["", wav(3)],
    ]
    table = write(root / "pairs.csv", ["query", "target"], rows)
    lines: list[str] = []
    forth, back = evaluate_retrieval(library, PairTable.of(table), skipped=lines.append)
    assert forth.retrieval.queries == back.retrieval.queries == 1
    wanted = [
        "row 2: nowhere.wav: no such file",
        "stranger.wav: collection has no vector of it",
        "row 4: rain on a roof: is text; the other targets are audio",
        "broken.wav: ",
        "row 7: id:99999: collection has no such item",
        "row 8: id:x: collection has no such item",
        "row 9: " + wav(4) + ": has the content of its query",
        "2 rows: its 'query' is empty",
        "row 11: its 'target' is empty",
    ]
    for part in wanted:
        assert sum(part in line for line in lines) == 1, (part, lines)
    assert len(lines) == len(wanted)
    assert all(line.startswith("skipped ") for line in lines)


def test_equal_vectors_do_not_flatter(tmp_path: Path) -> None:
    # Word order does not matter to the toy: three texts have one vector, and the right one stands behind the others.
    write(tmp_path / "texts.csv", ["text"], [["a b c"], ["c b a"], ["b a c"], ["something else"]])
    library = Library.open_or_create(tmp_path / "collection")
    library.index(tmp_path / "texts.csv", text_column="text", encoders=["toy"])
    for right in ("a b c", "c b a", "b a c"):
        table = write(tmp_path / "pairs.csv", ["query", "target"], [["cab b a c c b a", right]])
        forth, _ = evaluate_retrieval(library, PairTable.of(table))
        assert forth.retrieval.median_rank.value == 3


def test_columns_and_modality_are_chosen(library: Library, root: Path) -> None:
    rows = [["1", wav(1), "a door", "two dogs"]]
    table = write(root / "wide.csv", ["number", "sound", "text", "other"], rows)
    assert PairTable.of(table) == PairTable(table, "number", "sound")
    assert PairTable.of(table, target="text") == PairTable(table, "number", "text")
    assert PairTable.of(table, query="sound") == PairTable(table, "sound", "number")
    forth, back = evaluate_retrieval(library, PairTable.of(table, "sound", "text"))
    assert (forth.queries, forth.candidates) == ("audio", "text")
    assert (forth.retrieval.candidates, back.retrieval.candidates) == (3, 1)
    lines: list[str] = []
    with pytest.raises(UsageError, match="no row of it"):
        evaluate_retrieval(library, PairTable.of(table, "sound", "text"), to="audio", skipped=lines.append)
    assert "is text; the other targets are audio" in lines[0]
    with pytest.raises(UsageError, match="no modality 'sound'"):
        evaluate_retrieval(library, PairTable.of(table, "sound", "text"), to="sound")
    with pytest.raises(UsageError, match="two columns"):
        PairTable.of(write(root / "narrow.csv", ["query"], [["x"]]))
    with pytest.raises(UsageError, match="no column 'nothing'"):
        evaluate_retrieval(library, PairTable.of(table, "nothing", "text"))


def test_an_encoder_without_a_side_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = family(monkeypatch, tmp_path / "plug-ins", "hears", ["audio"])
    sounds.folder(tmp_path / "sounds", 3)
    library = Library.open_or_create(tmp_path / "collection")
    library.index(tmp_path / "sounds", encoders=[name])
    table = write(tmp_path / "pairs.csv", ["query", "target"], [["rain", wav(1)]])
    with pytest.raises(UnsupportedModality, match="cannot be asked with text"):
        evaluate_retrieval(library, PairTable.of(table))
    write(table, ["query", "target"], [["rain", wav(1)], [wav(2), wav(1)]])
    lines: list[str] = []
    forth, _ = evaluate_retrieval(library, PairTable.of(table), skipped=lines.append)
    assert forth.retrieval.queries == 1
    assert len(lines) == 1 and "takes no text" in lines[0]


def test_the_command_prints_json_and_a_table(
    library: Library, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(root / "pairs.csv", ["query", "target"], [["wind", wav(1)], ["a door", wav(2)], ["x", "no.wav"]])
    arguments = ["eval", "retrieval", str(table), "-c", str(library.collection.path)]
    assert exit_code(monkeypatch, *arguments, "-f", "json") == 0
    printed = capsys.readouterr()
    records = [json.loads(line) for line in printed.out.splitlines()]
    found = evaluate_retrieval(library, PairTable.of(table))
    assert records == [one.to_json() for one in found]
    assert [record["direction"] for record in records] == ["text -> audio", "audio -> text"]
    assert records[0]["hit@1"]["chance"] == pytest.approx(1 / 12)
    assert "no.wav: no such file" in printed.err and len(printed.err.splitlines()) == 1
    assert exit_code(monkeypatch, *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = next(line.split() for line in lines if line.startswith("MRR"))
    assert cells[1] == f"{100 * found[0].retrieval.mrr.value:.1f}"
    assert cells[4] == f"{100 * found[1].retrieval.mrr.value:.1f}"
    assert cells[3] == f"{100 * sum(1 / rank for rank in range(1, 13)) / 12:.1f}"


def test_wrong_use_is_one_line(
    library: Library, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(library.collection.path)
    for arguments, message in (
        (["nowhere.csv", "-c", where], "no such file"),
        ([str(root / wav(1)), "-c", where], "a table is a"),
        ([str(root / "texts.csv"), "-c", where], "two columns"),
    ):
        assert exit_code(monkeypatch, "eval", "retrieval", *arguments) in (2, 3)
        error = capsys.readouterr().err
        assert message in error and len(error.splitlines()) == 1


def test_one_part_that_answers_is_enough(tmp_path: Path) -> None:
    """A recording whose second half is what is asked, and whose first half is its opposite, comes first."""
    random, rate = np.random.default_rng(5), 16000
    rise, fall = np.linspace(0, 1, rate) ** 3, np.linspace(1, 0, rate) ** 3
    noise = random.normal(0, 0.1, rate)
    for name, samples in {
        "asked": noise * rise,
        "mixed": np.concatenate([noise * fall, noise * rise * 0.99]),
        "level": noise,
        "other": noise * np.sqrt(rise),
    }.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, rate)
    with Library.open_or_create(tmp_path / "c") as made:
        made.index(*(tmp_path / f"{name}.wav" for name in ("mixed", "level", "other")), encoders=["toy"])
        pairs = write(tmp_path / "pairs.csv", ["query", "target"], [["asked.wav", "mixed.wav"]])
        found = evaluate_retrieval(made, PairTable.of(pairs))
    assert found[0].retrieval.median_rank.value == 1


def test_what_is_relevant_in_any_form_and_what_is_no_form() -> None:
    rng = np.random.default_rng(1)
    questions, candidates = rng.normal(size=(2, 5)), rng.normal(size=(6, 5))
    expected = measure_retrieval(questions, candidates, relevant=[[0, 2], [1]])
    for form in ([{0, 2}, {1}], [frozenset({0, 2}), 1], {0: [0, 2], 1: [1]}.values()):
        assert measure_retrieval(questions, candidates, relevant=form) == expected
    for wrong in (None, 5, ["a", "b"], [None, None]):
        with pytest.raises(UsageError, match="what is relevant"):
            measure_retrieval(questions, candidates, relevant=wrong)
