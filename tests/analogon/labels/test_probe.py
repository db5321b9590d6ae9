"""The probe: scikit-learn used directly gives the same figures; classes that cannot be tested are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import analogon
from analogon.labels import probe
from embed.errors import UsageError
from embed.space import unit
from indexes.run import SideTable
from tests.command_line import exit_code

COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


def clouds(classes: int, each: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around a few directions, and which one each belongs to."""
    random = np.random.default_rng(seed)
    truth = np.arange(classes * each) % classes
    middles = random.normal(size=(classes, 12))
    return unit(middles[truth] + random.normal(size=(len(truth), 12)) * spread), truth


# -- the method against scikit-learn -----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 4])
def test_figures_are_those_of_scikit_learn(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score, pairwise_distances_argmin
    from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict

    vectors, truth = clouds(classes, 24, 1.6)
    outer, inner = (StratifiedKFold(n, shuffle=True, random_state=0) for n in (4, 3))
    search = GridSearchCV(
        LogisticRegression(max_iter=1000), {"C": list(probe.STRENGTHS)}, scoring="neg_log_loss", cv=inner
    )
    expected = cross_val_predict(search, vectors.astype(np.float64), truth, cv=outer)
    found = probe.evaluate_probe(vectors, truth, [f"c{n}" for n in range(classes)], folds=4)
    assert found.accuracy.value == accuracy_score(truth, expected)
    assert found.f1.value == pytest.approx(f1_score(truth, expected, average="macro"))
    assert 1 / classes < found.accuracy.value < 1 and found.chance == 1 / classes
    assert found.f1.interval.low < found.f1.value < found.f1.interval.high
    # By cosine or by distance, of means of unit length the same one is nearest.
    centroid = np.empty_like(truth)
    for seen, unseen in outer.split(vectors, truth):
        means = unit(np.stack([vectors[seen][truth[seen] == c].mean(axis=0) for c in range(classes)]))
        centroid[unseen] = pairwise_distances_argmin(vectors[unseen], means)
    assert found.centroid.value == accuracy_score(truth, centroid)
    pairs = {(pair.truth, pair.predicted): pair.count for pair in found.confusions}
    wrong = [(f"c{a}", f"c{b}") for a, b in zip(truth, expected, strict=True) if a != b]
    assert all(wrong.count(pair) == times for pair, times in pairs.items())
    assert max(pairs.values()) == max(wrong.count(pair) for pair in wrong)


def test_groups_stay_whole_and_what_a_source_gives_away_is_not_counted() -> None:
    # Every group is one tight cloud with a class by chance: who sees the group's other takes knows the class.
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), 5)
    truth = np.repeat(random.permutation(np.arange(40) % 2), 5)
    vectors = unit(random.normal(size=(40, 64))[groups] + random.normal(size=(200, 64)) * 0.1)
    torn = probe.evaluate_probe(vectors, truth, ["a", "b"], folds=5)
    whole = probe.evaluate_probe(vectors, truth, ["a", "b"], groups=groups, folds=5)
    assert torn.accuracy.value > 0.95 and whole.accuracy.value < 0.7
    assert (torn.groups, whole.groups) == (None, 40)
    assert (
        probe.evaluate_probe(vectors, truth, ["a", "b"], groups=groups // 10, folds=5).folds == 4
    )  # as many as groups


def test_labels_by_chance_are_told_as_chance() -> None:
    vectors, _ = clouds(3, 60, 1.0)
    truth = np.random.default_rng(1).integers(3, size=len(vectors))
    found = probe.evaluate_probe(vectors, truth, ["a", "b", "c"])
    assert found.accuracy.interval.low < 0.42 and found.accuracy.value < 0.45


def test_the_most_frequent_class_is_a_baseline() -> None:
    vectors, _ = clouds(2, 50, 1.0)
    truth = np.array([0] * 70 + [1] * 30)
    assert probe.evaluate_probe(vectors, truth, ["a", "b"]).majority == pytest.approx(0.7)


def test_temperature_is_where_the_likelihood_is_highest() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 5)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([random.choice(5, p=row) for row in shares])
    logs = np.log(shares)
    for sharper in (0.5, 1.0, 3.0):  # a model that is so many times as sure as it should be
        made = logs * sharper - np.log(np.exp(logs * sharper).sum(axis=1, keepdims=True))
        assert probe.temperature_of(made, truth) == pytest.approx(sharper, rel=0.08)


def test_a_class_that_a_fold_never_saw_does_not_spoil_the_temperature() -> None:
    logs = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]]))
    truth = np.array([0, 1, 0, 1])
    more = np.concatenate([logs, [[0.0, -np.inf]]])
    assert probe.temperature_of(more, np.append(truth, 1)) == pytest.approx(probe.temperature_of(logs, truth))


def test_calibration_error_by_hand() -> None:
    sure = np.array([0.95, 0.95, 0.55, 0.55, 0.55, 0.55])
    right = np.array([True, False, True, True, False, False])
    expected = (abs(1.9 - 1) + abs(2.2 - 2)) / 6
    assert probe.calibration_error(sure, right) == pytest.approx(expected)
    assert probe.calibration_error(np.array([1.0]), np.array([True])) == 0.0


def test_macro_f1_has_the_interval_of_a_bootstrap_over_items() -> None:
    from sklearn.metrics import f1_score

    vectors, truth = clouds(3, 20, 2.0)
    found = probe.evaluate_probe(vectors, truth, ["a", "b", "c"], folds=4)
    held = probe._held_out(vectors, truth, None, 4).logs.argmax(axis=1)
    random = np.random.default_rng(9)
    drawn = [random.integers(len(truth), size=len(truth)) for _ in range(400)]
    low, high = np.quantile([f1_score(truth[d], held[d], average="macro") for d in drawn], [0.025, 0.975])
    assert found.f1.interval.low == pytest.approx(low, abs=0.03)
    assert found.f1.interval.high == pytest.approx(high, abs=0.03)


# -- on a collection ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty pictures, red, green and blue by turns, one of them twice."""
    root = tmp_path / "pictures"
    root.mkdir()
    random = np.random.default_rng(0)
    for number in range(30):
        colour = list(COLOURS.values())[number % 3]
        pixels = np.clip(np.array(colour) + random.normal(0, 6, size=(6, 6, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"p{number:02}.png")
    return root


@pytest.fixture
def library(tmp_path: Path, folder: Path) -> Iterator[analogon.Library]:
    with analogon.open(tmp_path / "collection", create=True) as made:
        made.index(folder, encoders=["toy:48"])
        yield made


def labels(path: Path, numbers: range, *, column: str = "colour") -> Path:
    names = list(COLOURS)
    path.write_text(f"file,{column}\n" + "".join(f"p{n:02}.png,{names[n % 3]}\n" for n in numbers))
    return path


def test_the_rest_is_labelled_and_filters_find_it(library: analogon.Library, tmp_path: Path) -> None:
    table = labels(tmp_path / "labels.csv", range(21))
    found = probe.probe(library, "colour", table=table)
    assert found.evaluation.accuracy.value == 1.0 and found.evaluation.items == 21
    names = list(COLOURS)
    expected = {f"p{n:02}.png": names[n % 3] for n in range(21, 30)}
    assert {Path(p.item.media.path or "").name: p.label for p in found.predicted} == expected
    assert "colour_predicted" not in library.collection.catalog.fields()
    for _ in range(2):  # once more changes nothing
        probe.write(library, probe.probe(library, "colour", table=table))
        hits = library.search("a", where="colour_predicted = 'red' and colour_confidence > 0.5", k=99, by="content")
        assert {Path(hit.path).name for hit in hits} == {"p21.png", "p24.png", "p27.png"}
        assert len(library.collection.catalog.labels()) == 9
    # What gets a label of a person's own loses the prediction.
    probe.write(
        library,
        probe.probe(library, "colour", table=labels(tmp_path / "more.csv", range(24))),
    )
    hits = library.search("a", where="colour_predicted is not null", k=99, by="content")
    assert {Path(hit.path).name for hit in hits} == {f"p{n:02}.png" for n in range(24, 30)}


def test_labels_may_be_the_files_own_metadata(library: analogon.Library, folder: Path, tmp_path: Path) -> None:
    library.index(folder, metadata=labels(tmp_path / "labels.csv", range(18)))
    found = probe.probe(library, "colour", field="guess")
    probe.write(library, found)
    assert len(found.predicted) == 12 and found.evaluation.items == 18
    hits = library.search("a", where="guess_predicted = 'blue'", k=99, by="content")
    assert {Path(hit.path).name for hit in hits} == {f"p{n:02}.png" for n in (20, 23, 26, 29)}
    with pytest.raises(UsageError, match="no file here has a 'guess_predicted'"):
        probe.probe(library, "guess_predicted")  # never learnt from what a model said


def test_classes_that_cannot_be_tested_take_no_part(library: analogon.Library, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    rows = [f"p{n:02}.png,{list(COLOURS)[n % 3]},{n % 3 if n % 3 == 2 else n}\n" for n in range(18)]
    table.write_text("file,colour,take\n" + "".join(rows) + "p18.png,violet,7\np19.png,violet,8\n")
    found = probe.probe(library, "colour", table=table)
    assert found.left_out == {"violet": "2 of 5 files"} and found.evaluation.classes == ("blue", "green", "red")
    assert "violet" not in {p.label for p in found.predicted} and len(found.predicted) == 10
    grouped = probe.probe(library, "colour", table=table, group="take")
    assert grouped.left_out == {"violet": "2 of 5 files", "blue": "one group alone"}
    assert grouped.evaluation.groups == 12


def test_equal_files_with_different_labels_are_told(library: analogon.Library, folder: Path, tmp_path: Path) -> None:
    (folder / "twin.png").write_bytes((folder / "p00.png").read_bytes())
    library.index(folder)
    table = labels(tmp_path / "labels.csv", range(18))
    table.write_text(table.read_text() + "twin.png,blue\nnobody.png,blue\n")
    found = probe.probe(library, "colour", table=table)
    assert found.evaluation.items == 17
    assert "p00.png" not in {Path(p.item.media.path or "").name for p in found.predicted}
    assert "1 of 20 rows match no file here: 'nobody.png'" in found.notes[0] and "red and blue" in found.notes[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("file,colour\np00.png,red\np01.png,green\n", "needs two classes of 5 files each, and there are none"),
        ("file,colour\n" + "".join(f"p{n:02}.png,red\n" for n in range(9)), "and there is one"),
        ("file,shade\np00.png,red\n", "no column 'colour' beside 'file'; it has: shade"),
        ("file,colour\nx.png,red\n", "no 'file' names a file here; its first is 'x.png'"),
        ("name,colour\np00.png,red\n", "no column 'file'"),
    ],
)
def test_what_cannot_be_learnt_is_one_line(
    library: analogon.Library, tmp_path: Path, content: str, reason: str
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(content)
    with pytest.raises(UsageError, match=reason) as refused:
        probe.probe(library, "colour", table=table)
    assert "\n" not in str(refused.value)


def test_files_are_named_by_path_its_end_its_name_or_its_stem() -> None:
    path = "/a/b/c d.wav"
    names = ["/a/b/c d.wav", "a/b/c d.wav", "b/c d.wav", "c d.wav", "/a/b/c d", "a/b/c d", "b/c d", "c d"]
    for shorter, name in enumerate(names):  # each is found where no longer one is there
        rows: dict[str, dict[str, str]] = {other: {} for other in names[shorter:]}
        assert SideTable("t.csv", "file", rows).match([path]).rows == {path: name}
    assert SideTable("t.csv", "file", {"c": {}, "d.wav": {}, "b": {}, "/c d.wav": {}}).match([path]).rows == {}


def test_a_bare_name_of_files_in_several_folders_labels_none_of_them(
    library: analogon.Library, folder: Path, tmp_path: Path
) -> None:
    table = labels(tmp_path / "labels.csv", range(18))
    before = probe.probe(library, "colour", table=table)
    (folder / "sub").mkdir()
    (folder / "sub" / "p00.png").write_bytes((folder / "p29.png").read_bytes())  # another picture of that name
    library.index(folder)
    found = probe.probe(library, "colour", table=table)
    assert found.evaluation.items == before.evaluation.items - 1
    assert "'p00.png' may be files of several folders" in found.notes[0]
    (folder / "sub" / "p00.png").write_bytes((folder / "p00.png").read_bytes())  # the same picture: one row, one item
    library.index(folder)
    assert probe.probe(library, "colour", table=table).evaluation.items == before.evaluation.items


def test_of_several_windows_their_mean_is_learnt(tmp_path: Path) -> None:
    from embed import Media, encode
    from tests import sounds

    folder = sounds.folder(tmp_path / "sounds", 10)
    with analogon.open(tmp_path / "windows", create=True) as made:
        made.index(folder, encoders=["toy:16"])
        known = made.collection.spaces[0]
        there = analogon.search.contents.read(made, known, "audio")
        media = [Media.from_path(item.media.path or "") for item in there.items]
        expected = encode(made.collection.encoder(known), media).array
        assert len(there.rows) == 14 and np.allclose(there.means(), expected, atol=1e-6)
        halves = list(there.blocks(3))
        assert np.array_equal(np.concatenate([half.means() for half in halves]), there.means())
        best = [max(there.rows[a:b] @ expected[0]) for a, b in zip(there.starts, [*there.starts[1:], 14], strict=True)]
        assert np.allclose(np.concatenate([half.best_scores(expected) for half in halves])[:, 0], best)


def test_the_command(
    library: analogon.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(labels(tmp_path / "labels.csv", range(21)))
    asked = ["probe", "-c", str(library.collection.path), "--table", table, "--column", "colour"]
    assert exit_code(monkeypatch, *asked, "--dry-run", "-f", "json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["accuracy"]["value"] == 1.0 and record["classes"] == ["blue", "green", "red"]
    assert len(record["predicted"]) == 9 and library.collection.catalog.labels() == {}
    assert exit_code(monkeypatch, *asked) == 0
    shown = capsys.readouterr().out
    assert "linear probe         1.000  (0.845 to 1.000)" in shown
    assert "most frequent class  0.333" in shown and "9 other files labelled" in shown
    assert "--where \"colour_predicted = 'red' and colour_confidence > 0.9\"" in shown
    assert len(library.collection.catalog.labels()) == 9
    assert exit_code(monkeypatch, *asked[:-1], "nothing") == 2
    assert capsys.readouterr().err.count("\n") == 1
