"""Relations: OCS and PCS as their paper defines them, tables of pairs, and what is kept of a relation."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity

import analogon
from analogon.analogies.candidates import EncoderSource
from analogon.analogies.fit import fit_relation
from analogon.settings.shelf import Shelf
from analogon.transforms import relation as relations
from analogon.transforms.relation import Pair, Relation, concentration, consistency
from analogon.vectors.geometry import unit
from embed.errors import AnalogonError, SpaceMismatch, UsageError
from embed.space import Space
from tests.command_line import exit_code
from tests.sounds import write

Rows = np.ndarray
SPACE = Space("toy:6", "none", "none", 6)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))


def some_pairs(count: int, noise: float, dim: int = 6) -> tuple[Rows, Rows]:
    random = np.random.default_rng(count)
    starts = random.normal(size=(count, dim))
    step = random.normal(size=dim)
    return unit(starts), unit(starts + step + noise * random.normal(size=(count, dim)))


def made(count: int = 4, noise: float = 0.3, space: Space = SPACE) -> Relation:
    starts, ends = some_pairs(count, noise)
    return Relation("up", space, tuple(Pair(f"a{i}", f"b{i}") for i in range(count)), starts, ends)


def similarities(starts: Rows, ends: Rows) -> list[float]:
    """The paper's: cosines of all combinations of two offsets."""
    found = cosine_similarity(ends - starts)
    return [float(found[i, j]) for i, j in combinations(range(len(found)), 2)]


def test_ocs_is_the_mean_cosine_of_two_offsets() -> None:
    starts, ends = some_pairs(7, 0.4)
    assert concentration(starts, ends) == pytest.approx(np.mean(similarities(starts, ends)), abs=1e-6)
    # Offsets of unit length along x, along y and back along x: cosines 0, -1 and 0.
    three = np.zeros((3, 2), np.float32), np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    assert concentration(*three) == pytest.approx(-1 / 3)


def test_pcs_is_the_mean_auc_against_shuffled_pairs() -> None:
    starts, ends = some_pairs(8, 0.5)
    forbidden = np.eye(8, dtype=bool)  # all words differ, so only an end of one's own is a true one
    random = np.random.default_rng(4)
    areas = []
    for _ in range(50):
        order = relations._shuffle(forbidden, random)
        assert order is not None and sorted(order) == list(range(8)) and (order != np.arange(8)).all()
        true, shuffled = similarities(starts, ends), similarities(starts, ends[order])
        areas.append(roc_auc_score([1] * len(true) + [0] * len(shuffled), true + shuffled))
    assert consistency(starts, ends, seed=4) == pytest.approx(np.mean(areas), abs=1e-6)
    assert np.std(areas) > 0  # shuffles differ


def test_pcs_tells_pairs_from_clusters() -> None:
    # Each end is its start and one step: true offsets are all the same, and no shuffle keeps a parallelogram.
    starts = np.random.default_rng(3).normal(size=(9, 4))
    assert consistency(starts, starts + np.array([2, 0, 1, 0])) == 1.0
    # Ends lie together far from the starts but belong to nobody: every shuffle is as good.
    random = np.random.default_rng(2)
    far = np.zeros(40)
    far[0] = 3.0
    starts, ends = unit(random.normal(size=(60, 40)) * 0.3 - far), unit(random.normal(size=(60, 40)) * 0.3 + far)
    assert concentration(starts, ends) > 0.7
    assert consistency(starts, ends) == pytest.approx(0.5, abs=0.03)


def test_shuffles_keep_away_from_true_pairs() -> None:
    starts, ends = some_pairs(6, 0.3)
    ends[3] = ends[4] = ends[5]  # three starts share one end
    starts[1] = starts[0]  # one start has two ends
    forbidden = relations._true_pairs(starts, ends)
    assert [np.flatnonzero(row).tolist() for row in forbidden] == [[0, 1], [0, 1], [2], *3 * [[3, 4, 5]]]
    random = np.random.default_rng(0)
    for _ in range(50):
        order = relations._shuffle(forbidden, random)
        assert order is not None and not forbidden[np.arange(6), order].any() and sorted(order) == list(range(6))
    ends[:] = ends[0]  # all starts have the same end: nothing can be shuffled
    assert relations._shuffle(relations._true_pairs(starts, ends), random) is None
    assert consistency(starts, ends) is None


def test_two_pairs_have_no_scores() -> None:
    two = made(2)
    assert two.ocs is None and two.pcs is None
    assert made(3).ocs is not None and made(3).pcs is not None


def test_applying() -> None:
    up = made()
    offset = (up.ends.astype(np.float64) - up.starts).mean(axis=0)
    np.testing.assert_allclose(up.offset, offset, atol=1e-7)
    x = unit(np.arange(1.0, 7.0))
    for strength in (1.0, 0.25, -2.0):
        wanted = x + strength * offset
        np.testing.assert_allclose(up.apply(x, strength), wanted / np.linalg.norm(wanted), atol=1e-6)
    assert up.apply(x).dtype == np.float32
    np.testing.assert_array_equal(up.apply(up.starts)[2], up.apply(up.starts[2]))


def test_fits_leave_a_pair_out() -> None:
    up = made(5)
    for i in range(5):
        others = np.delete(up.ends - up.starts, i, axis=0).mean(axis=0)
        wanted = cosine_similarity([up.ends[i] - up.starts[i]], [others])[0, 0]
        assert up.fits[i] == pytest.approx(wanted, abs=1e-6)
    assert made(1).fits.tolist() == pytest.approx([1.0])


def test_another_space() -> None:
    up = made()
    assert up.within(Space("elsewhere", "none", "none", 6)) is up  # the same weights in another folder
    with pytest.raises(SpaceMismatch, match=r"relation up was fitted in toy:6, and is asked for in big: fit it there"):
        up.within(Space("big", "x", "none", 6))
    same = r"was fitted in toy:6 \(6-d, weights .*asked for in toy:6 \(6-d, weights x"  # one name, two models
    with pytest.raises(SpaceMismatch, match=same):
        up.within(Space("toy:6", "x", "none", 6))


def test_what_is_no_relation() -> None:
    starts, ends = some_pairs(2, 0.1)
    pairs = (Pair("a", "b"), Pair("c", "d"))
    with pytest.raises(UsageError, match="cancel"):
        Relation("swap", SPACE, pairs, starts, starts[::-1].copy())
    with pytest.raises(UsageError, match="at least one pair"):
        Relation("none", SPACE, (), starts[:0], ends[:0])
    with pytest.raises(ValueError, match="not of length 1"):
        Relation("long", SPACE, pairs, starts, 2 * ends)
    with pytest.raises(ValueError, match=r"wants float32 \(1, 6\)"):
        Relation("more", SPACE, pairs[:1], starts, ends)


def test_there_and_back(tmp_path: Path) -> None:
    up = made()
    up.save()
    kept = Relation.load("up")
    assert (kept.name, kept.space, kept.pairs, kept.created) == ("up", SPACE, up.pairs, up.created)
    np.testing.assert_array_equal(kept.starts, up.starts)
    np.testing.assert_array_equal(kept.ends, up.ends)
    assert (kept.ocs, kept.pcs) == (up.ocs, up.pcs)
    record = Shelf("relation").get("up").record
    assert record["ocs"] == up.ocs and record["pcs"] == up.pcs and record["pairs"][1] == ["a1", "b1"]
    assert [one.name for one in Relation.listing()] == ["up"]
    Relation.remove("up")
    with pytest.raises(UsageError, match="there is no relation called 'up'"):
        Relation.load("up")


@pytest.mark.parametrize(
    ("record", "arrays"),
    [
        ({"pairs": [["a", "b"]]}, {}),
        ({}, {"starts": np.zeros((4, 6), np.float32)}),
        ({"space": {"dim": 6}}, {}),
        ({"pairs": 5}, {}),
        ({}, {"ends": np.full((4, 6), np.nan, np.float32)}),
    ],
)
def test_damaged(record: dict[str, object], arrays: dict[str, Rows]) -> None:
    up = made()
    up.save()
    kept = Shelf("relation").get("up")
    Shelf("relation").put("up", {**kept.record, **record}, {**kept.arrays, **arrays})
    with pytest.raises(AnalogonError, match=r"up\.safetensors: not a readable relation .*fit it again"):
        Relation.load("up")


# -- tables of pairs -------------------------------------------------------------------------------------------------


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_tables_with_and_without_a_header(tmp_path: Path) -> None:
    source = EncoderSource("toy:64")
    wanted = (Pair("man", "woman"), Pair("king, the", "queen"))
    named = fit_relation(
        "x", source, table(tmp_path / "n.csv", 'n,B,a\n1,woman,man\n2,queen,"king, the"\n3,woman,man\n')
    )
    assert named.relation.pairs == wanted  # the third comes a second time
    assert named.notes == ("2 pairs: OCS and PCS are not defined for fewer than 3",)
    bare = fit_relation("x", source, table(tmp_path / "b.tsv", "man\twoman\tignored\nking, the\tqueen\n"))
    assert bare.relation.pairs == wanted and "its first row, man : woman, counts as a pair" in bare.notes[0]
    chosen = fit_relation(
        "x", source, table(tmp_path / "c.csv", 'to,from\nwoman,man\nqueen,"king, the"\n'), ["from", "to"]
    )
    assert chosen.relation.pairs == wanted
    keys = fit_relation(
        "x", source, table(tmp_path / "k.jsonl", '{"x": "man", "y": "woman"}\n{"x": "king, the", "y": "queen"}\n')
    )
    assert keys.relation.pairs == wanted
    vector = source.term("king, the").vector
    np.testing.assert_array_equal(named.relation.starts[1], vector)
    assert named.relation.encoder == {"family": "toy", "model": "64"}


def test_what_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "low.wav", 1)
    text = "a,b\n./low.wav,bright\n./gone.wav,x\nsame,same\n,empty\nlow.wav,id:3\nrain,wind\none,two\n1,2,3\n"
    found = fit_relation("x", EncoderSource("toy:64"), table(tmp_path / "t.csv", text))
    assert found.relation.pairs == (Pair("./low.wav", "bright"), Pair("rain", "wind"), Pair("one", "two"))
    left = [note.removeprefix(f"left out {tmp_path / 't.csv'}, row ") for note in found.notes]
    assert left[0].startswith("2, ./gone.wav : x: ") and "no such file" in left[0]
    assert left[1] == "3, same : same: both have the same vector"
    assert left[2] == "4: its 'a' is empty"
    assert left[3].startswith("5, low.wav : id:3: id:3 is an item of a collection")
    assert left[4] == "8: has 3 cells; the header has 2"
    assert len(left) == 5


def test_tables_that_give_nothing(tmp_path: Path) -> None:
    source = EncoderSource("toy:64")
    with pytest.raises(UsageError, match="has no usable pair: .*both have the same vector"):
        fit_relation("x", source, table(tmp_path / "same.csv", "a,b\nx,x\n"))
    with pytest.raises(UsageError, match=r"has no usable pair: it has no rows"):
        fit_relation("x", source, table(tmp_path / "none.csv", "a,b\n"))
    with pytest.raises(UsageError, match="no column 'c'; its columns: a, b"):
        fit_relation("x", source, tmp_path / "none.csv", ["a", "c"])
    with pytest.raises(UsageError, match="a pair has two columns, not 1"):
        fit_relation("x", source, tmp_path / "none.csv", ["a"])
    with pytest.raises(UsageError, match="no two keys"):
        fit_relation("x", source, table(tmp_path / "one.jsonl", '{"x": "man"}\n'))


# -- the command -----------------------------------------------------------------------------------------------------


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        assert exit_code(monkeypatch, "relation", *arguments) == code
        return capsys.readouterr().out

    vectors = {"man": (0, 0, 4), "woman": (0, 3, 4), "king": (3, 0, 4), "queen": (3, 3, 4), "actor": (1, -1, 4)}
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in {**vectors, "actress": (1, 2, 4)}.items()]
    words = str(table(tmp_path / "toy.vec", f"{len(lines)} 3\n" + "\n".join(lines) + "\n"))
    pairs = str(table(tmp_path / "pairs.csv", "a,b\nman,woman\nking,queen\nactor,actress\nuncle,aunt\n"))
    assert exit_code(monkeypatch, "relation", "list") == 1
    assert "no relation is kept yet" in capsys.readouterr().err
    assert exit_code(monkeypatch, "relation", "fit", pairs, "--name", "male-female", "--words", words) == 0
    said = capsys.readouterr()
    assert "left out" in said.err and "uncle : aunt" in said.err
    three = unit(np.array([(0, 0, 4), (3, 0, 4), (1, -1, 4)])), unit(np.array([(0, 3, 4), (3, 3, 4), (1, 2, 4)]))
    ocs, pcs = concentration(*three), consistency(*three)
    assert said.out.startswith(f"male-female: 3 pairs, OCS {ocs:.2f}, PCS {pcs:.2f} (0.5 is chance), made 2")
    listed = json.loads(run("list", "-f", "json"))
    assert listed["name"] == "male-female" and listed["ocs"] == pytest.approx(ocs) and listed["pairs"] == 3
    assert run("list").splitlines()[1].split()[:4] == ["male-female", "3", f"{ocs:.2f}", f"{pcs:.2f}"]
    items = json.loads(run("show", "male-female", "-f", "json"))["items"]
    assert [(item["a"], item["b"]) for item in items] == [("man", "woman"), ("king", "queen"), ("actor", "actress")]
    shown = [line.split()[0] for line in run("show", "male-female").splitlines()[3:6]]
    assert shown == sorted((f"{item['fit']:.3f}" for item in items), reverse=True)
    # The relation remembers its encoder, and the encoder has a vocabulary.
    assert "fitted with king : queen: this answer tests nothing" in run("apply", "male-female", "king")
    answer = json.loads(run("apply", "male-female", "king", "-f", "json"))
    assert answer["answers"][0]["answer"] == "queen" and answer["method"] == "3cosavg"
    back = json.loads(run("apply", "male-female", "queen", "--strength", "-1", "-k", "1", "-f", "json"))
    assert back["answers"][0]["answer"] == "king" and "strength -1" in back["question"]
    for extra in (["--relation", "male-female"], ["--pairs", pairs, "--words", words]):
        assert exit_code(monkeypatch, "analogy", "king", *extra, "--method", "lrcos", "-f", "json") == 0
        assert json.loads(capsys.readouterr().out)["answers"][0]["answer"] == "queen"
    assert exit_code(monkeypatch, "relation", "apply", "male-female", "king", "--encoder", "toy") == 3
    assert "male-female was fitted in words:" in capsys.readouterr().err
    assert exit_code(monkeypatch, "relation", "fit", pairs, "--name", "a/b", "--words", words) == 2
    assert "cannot name a relation" in capsys.readouterr().err
    assert run("rm", "male-female") == "male-female is forgotten\n"
    assert exit_code(monkeypatch, "relation", "show", "male-female") == 2


def test_items_of_a_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        write(tmp_path / "sounds" / f"{number}.wav", number)
    place = str(tmp_path / "collection")
    assert exit_code(monkeypatch, "index", str(tmp_path / "sounds"), "-c", place, "-e", "toy:16") == 0
    pairs = str(table(tmp_path / "sounds" / "pairs.csv", "a,b\n0.wav,id:2\n./2.wav,./3.wav\nid:5,loud noise\n"))
    assert exit_code(monkeypatch, "relation", "fit", pairs, "--name", "louder", "-c", place, "--to", "audio") == 0
    capsys.readouterr()
    up = Relation.load("louder")
    source = EncoderSource("toy:16")
    starts = [source.term(name, tmp_path / "sounds").vector for name in ("0.wav", "2.wav", "4.wav")]
    ends = [source.term(name, tmp_path / "sounds").vector for name in ("1.wav", "3.wav", "loud noise")]
    np.testing.assert_allclose(up.starts, starts, atol=1e-6)
    np.testing.assert_allclose(up.ends, ends, atol=1e-6)
    asked = ["relation", "apply", "louder", "id:6", "-c", place, "-f", "json"]
    assert exit_code(monkeypatch, *asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["candidates"] == 6 and len(found["answers"]) == 5  # item 6 itself is left out
    assert 6 not in [answer["id"] for answer in found["answers"]]


def test_no_strength_overflows() -> None:
    up = made()
    far = up.apply(up.starts[0], 1e300)
    assert far == pytest.approx(up.offset / np.linalg.norm(up.offset), abs=1e-6)
    assert up.apply(up.starts[0], -1e300) == pytest.approx(-far, abs=1e-6)


def test_what_is_no_vector_of_its_space_is_not_moved() -> None:
    relation = analogon.relation("up", [("king", "queen"), ("man", "woman"), ("boy", "girl")], "toy")
    moved = analogon.encode("toy", ["brother", "uncle"])
    expected = unit(moved.array.astype(np.float64) + relation.offset.astype(np.float64))
    np.testing.assert_allclose(relation.apply(moved), expected, atol=1e-6)
    np.testing.assert_allclose(relation.apply(moved[0].tolist()), expected[0], atol=1e-6)
    for wrong in (5, "brother", np.ones(3), np.ones((8, 1))):
        with pytest.raises(UsageError, match="moves vectors"):
            relation.apply(wrong)
    with pytest.raises(SpaceMismatch):
        relation.apply(analogon.encode("toy:16", ["brother"]))
    with pytest.raises(UsageError, match="a list of two terms"):
        analogon.relation("up", None, "toy")
    for missing in (None, float("nan")):
        with pytest.raises(UsageError, match="one term is missing"):
            analogon.relation("up", [("king", "queen"), ("man", missing)], "toy")
