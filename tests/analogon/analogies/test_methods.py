"""Analogies: each method against its formula written out, against gensim, and asked on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from sklearn.linear_model import LogisticRegression

from analogon.analogies import methods as analogy
from analogon.analogies.candidates import Candidates, EncoderSource, Term, read_candidates
from analogon.analogies.methods import METHODS, batch_scores, scores, solve
from analogon.transforms.relation import Pair, Relation
from analogon.vectors.geometry import unit
from embed.encoder import load
from embed.errors import MediaError, SpaceMismatch, UsageError
from embed.space import Space, Vectors
from tests.command_line import exit_code
from tests.sounds import write

Rows = np.ndarray


@pytest.fixture
def rows() -> Rows:
    return unit(np.random.default_rng(1).normal(size=(40, 12)) + 0.4)


def cosine(x: Rows, y: Rows) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / length if length > 1e-6 else 0.0


@pytest.mark.parametrize(
    ("method", "formula"),
    [
        ("3cosadd", lambda x, a, b, c: cosine(x, b - a + c)),
        (
            "3cosmul",
            lambda x, a, b, c: (cosine(x, b) + 1) / 2 * ((cosine(x, c) + 1) / 2) / ((cosine(x, a) + 1) / 2 + 0.001),
        ),
        ("pairdirection", lambda x, a, b, c: cosine(x - c, b - a)),
    ],
)
def test_one_pair(rows: Rows, method: str, formula) -> None:  # type: ignore[no-untyped-def]
    a, b, c = rows[:3], rows[3:6], rows[[2, 7, 8]]
    found = batch_scores(method, rows, a, b, c)
    assert found.dtype == np.float32 and found.shape == (3, 40)
    wanted = [[formula(x, *question) for x in rows] for question in zip(a, b, c, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    np.testing.assert_array_equal(scores(method, rows, a[1], b[1], c[1]).argsort(), found[1].argsort())


def test_pair_direction_of_c_itself_and_of_no_step(rows: Rows) -> None:
    assert scores("pairdirection", rows, rows[0], rows[1], rows[2])[2] == 0.0
    assert not scores("pairdirection", rows, rows[0], rows[0], rows[2]).any()


def test_several_pairs(rows: Rows) -> None:
    a, b, c = rows[:5], rows[5:10], rows[10:12]
    offset = (b - a).astype(np.float64).mean(axis=0)
    wanted = [[cosine(x, each + offset) for x in rows] for each in c]
    np.testing.assert_allclose(batch_scores("3cosavg", rows, a, b, c), wanted, atol=1e-6)
    drawn = 10 + np.random.default_rng(3).choice(30, 5, replace=False)
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(np.concatenate([b, a, rows[drawn]]), [True] * 5 + [False] * 10)
    likely = model.predict_proba(rows)[:, 1]
    wanted = [[cosine(x, each) * p for x, p in zip(rows, likely, strict=True)] for each in c]
    np.testing.assert_allclose(batch_scores("lrcos", rows, a, b, c, seed=3), wanted, atol=1e-6)
    assert (batch_scores("lrcos", rows, a, b, c, seed=4) != batch_scores("lrcos", rows, a, b, c, seed=3)).any()


def keyed(words: list[str], matrix: Rows) -> KeyedVectors:
    vectors = KeyedVectors(matrix.shape[1])
    vectors.add_vectors(words, matrix)
    return vectors


def check_against_gensim(vectors: KeyedVectors, matrix: Rows, a: str, b: str, c: str) -> None:
    """The ten best and their scores are gensim's; its 3CosMul divides with 0.000001, not the paper's 0.001."""
    rows = {word: vectors.key_to_index[word] for word in (a, b, c)}
    three = [matrix[rows[word]] for word in (a, b, c)]
    mine = scores("3cosadd", matrix, *three)
    product = analogy.three_cos_mul(*(matrix @ row for row in three), epsilon=0.000001)
    for ours, theirs in (
        (mine, vectors.most_similar(positive=[b, c], negative=[a], topn=10)),
        (product, vectors.most_similar_cosmul(positive=[b, c], negative=[a], topn=10)),
    ):
        order = [row for row in np.argsort(-ours) if row not in rows.values()][:10]
        assert [vectors.index_to_key[row] for row in order] == [word for word, _ in theirs]
        np.testing.assert_allclose(ours[order], [score for _, score in theirs], atol=1e-5)


def test_as_gensim_ranks_random_vectors() -> None:
    raw = np.random.default_rng(5).normal(size=(300, 20)).astype(np.float32)
    vectors = keyed([f"w{i}" for i in range(300)], raw)
    for start in range(0, 60, 3):
        check_against_gensim(vectors, unit(raw), *(f"w{start + i}" for i in range(3)))


def test_as_gensim_ranks_words(shared: Path) -> None:
    encoder = load(f"words:{shared / 'models' / 'word2vec-8k'}")
    matrix = encoder.matrix  # type: ignore[attr-defined]
    vectors = keyed(encoder.vocabulary, matrix)  # type: ignore[attr-defined]
    for question in (("man", "king", "woman"), ("France", "Paris", "Italy"), ("good", "better", "bad")):
        check_against_gensim(vectors, matrix, *question)


# -- one question ----------------------------------------------------------------------------------------------------


SPACE = Space("toy:3", "none", "none", 3)


def toy(*labels: str) -> Candidates:
    """Woman is man plus one axis, king man plus another, queen both."""
    at = {"man": (0, 0, 4), "woman": (0, 3, 4), "king": (3, 0, 4), "queen": (3, 3, 4), "Woman": (0.1, 3, 4)}
    names = labels or tuple(at)
    return Candidates(names, Vectors(SPACE, unit(np.array([at[name] for name in names], np.float32))))


def test_solving() -> None:
    found = solve(toy(), "man", "king", "woman", k=2)
    assert found.question == "man : king :: woman : ?" and found.method == "3cosadd"
    assert [(answer.rank, answer.label) for answer in found.answers] == [(1, "queen")]  # Woman is a spelling of woman
    query = unit(toy().vectors.array[2] - toy().vectors.array[0] + toy().vectors.array[1])
    assert found.answers[0].score == pytest.approx(float(query @ toy().vectors.array[3]), abs=1e-6)
    assert found.inputs == ("man", "king", "woman") and found.candidates == 5
    assert found.allowed.label == "queen" and found.nearest is not None
    assert (found.nearest.label, round(found.nearest.score, 3)) == ("queen", 0.857)
    allowed = solve(toy(), "man", "king", "woman", with_inputs=True)
    assert [answer.label for answer in allowed.answers] == ["queen", "Woman", "woman", "king", "man"]
    assert allowed.inputs == ()
    assert not solve(toy("man", "king", "woman"), "man", "king", "woman").answers


def test_solving_with_a_relation() -> None:
    room = toy()
    two = room.vectors.array
    up = Relation("up", SPACE, (Pair("man", "woman"),), two[:1], two[1:2])
    found = solve(room, "king", relation=up)
    assert found.question == "up (1 pair) :: king : ?" and found.method == "3cosavg"
    assert found.answers[0].label == "queen" and found.inputs == ("king",) and found.known is None
    assert solve(room, "woman", relation=up, strength=-1).known == Pair("man", "woman")
    assert found.answers[0].score == pytest.approx(cosine(two[3], two[2] + two[1] - two[0]), abs=1e-6)
    back = solve(room, "queen", relation=up, strength=-1)
    assert back.question == "up (1 pair, strength -1) :: queen : ?" and back.answers[0].label == "king"
    with pytest.raises(UsageError, match="a strength is a finite number"):
        solve(room, "king", relation=up, strength=float("nan"))
    elsewhere = Relation("up", Space("b", "other", "none", 3), up.pairs, up.starts, up.ends)
    with pytest.raises(SpaceMismatch, match=r"relation up was fitted in b, and is asked for in toy:3:"):
        solve(room, "king", relation=elsewhere)


def test_what_does_not_go_together() -> None:
    room = toy()
    up = Relation("up", SPACE, (Pair("man", "woman"),), room.vectors.array[:1], room.vectors.array[1:2])
    for call, message in (
        (lambda: solve(room, "man", "king"), "three terms, a b c; 2 were given"),
        (lambda: solve(room, "man", "king", "woman", relation=up), "one term, c"),
        (lambda: solve(room, "man", "king", "woman", method="lrcos"), "LRCos learns from several pairs"),
        (lambda: solve(room, "king", relation=up, method="3cosmul"), "3CosMul takes one pair"),
        (lambda: solve(room, "man", "king", "woman", method="add"), "there is no method 'add'; there are: 3cosadd"),
        (lambda: solve(room, "man", "king", "women"), "'women' is not among the candidates; near: woman"),
        (lambda: solve(room, "man", "king", "woman", strength=2), "a strength goes with a relation"),
        (lambda: solve(room, "man", "king", "woman", k=0), "k must be at least 1"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_spellings_are_the_term_itself() -> None:
    rows = unit(np.eye(4, dtype=np.float32))
    room = Candidates(("New_York", "new york", "York", "NEW_YORK"), Vectors(Space("t", "", "", 4), rows))
    assert room.same(Term("new_york", unit([1, 1, 1, 1]))).tolist() == [True, True, False, True]
    assert room.same(Term("other", rows[2])).tolist() == [False, False, True, False]
    assert room.find("York") == 2 and room.find("york") is None


def test_lists(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("rain\n\n  heavy rain \nrain\n")
    (tmp_path / "a.csv").write_text("n,label\n1,rain\n2,\n3,wind\n")
    (tmp_path / "b.csv").write_text("rain,1\nwind,2\n")
    (tmp_path / "a.jsonl").write_text('{"name": "rain"}\n{"name": "wind"}\n')
    (tmp_path / "no.txt").write_text("\n")
    assert read_candidates(tmp_path / "a.txt") == ("rain", "heavy rain")
    assert (
        read_candidates(tmp_path / "a.csv")
        == read_candidates(tmp_path / "b.csv")
        == read_candidates(tmp_path / "a.jsonl")
        == ("rain", "wind")
    )
    with pytest.raises(UsageError, match="holds no texts"):
        read_candidates(tmp_path / "no.txt")
    with pytest.raises(MediaError, match="no such file"):
        read_candidates(tmp_path / "absent.txt")


def test_terms_are_texts_files_and_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "sounds" / "a.wav", 1)
    source = EncoderSource("toy:16")
    by_folder = source.term("./a.wav", tmp_path / "sounds")
    monkeypatch.chdir(tmp_path / "sounds")
    np.testing.assert_array_equal(source.term("a.wav").vector, by_folder.vector)
    assert (source.term("a.wave").vector != by_folder.vector).any()  # a text
    with pytest.raises(UsageError, match="id:3 is an item of a collection"):
        source.term("id:3")
    with pytest.raises(MediaError, match="no such file"):
        source.term("./none.wav")
    with pytest.raises(UsageError, match="has no vocabulary"):
        source.candidates()


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def words(tmp_path: Path) -> str:
    room = toy()
    lines = [
        f"{label} {' '.join(f'{x:.6f}' for x in row)}"
        for label, row in zip(room.labels, room.vectors.array, strict=True)
    ]
    (tmp_path / "toy.vec").write_text(f"{len(lines)} 3\n" + "\n".join(lines) + "\n")
    return str(tmp_path / "toy.vec")


def test_command(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, "analogy", "man", "king", "woman", "--words", words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["man : king :: woman : ?", "3CosAdd over 5 candidates, words:toy.vec"]
    assert out[3].split() == ["1", "0.990", "queen"]  # (1, 1, 1) and (3, 3, 4)
    assert out[4] == "left out: man, king, woman; with them the first answer is queen (0.990)"
    assert out[5] == "baseline, without the rest of the question: nearest to woman is queen (cosine 0.857)"
    for method in METHODS[:3]:
        asked = ["analogy", "man", "king", "woman", "--words", words, "--method", method, "-f", "json", "-k", "1"]
        assert exit_code(monkeypatch, *asked) == 0
        record = json.loads(capsys.readouterr().out)
        assert record["method"] == method and record["answers"][0]["answer"] == "queen"
        assert record["inputs_left_out"] == ["man", "king", "woman"] and record["nearest_to_c"]["answer"] == "queen"
    assert exit_code(monkeypatch, "analogy", "man", "king", "woman", "--words", words, "--with-inputs") == 0
    assert "nothing left out" in capsys.readouterr().out


def test_command_with_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text("cat\ndog\n")
    asked = ["analogy", "cat", "dog", "cat", "--encoder", "toy:64", "--candidates", str(tmp_path / "list.txt")]
    assert exit_code(monkeypatch, *asked, "-f", "json") == 1  # both are inputs
    assert json.loads(capsys.readouterr().out)["first_with_inputs"]["answer"] == "dog"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["man", "kign", "woman"], "'kign': no word of it is in the vocabulary; near kign: king"),
        (["man", "king"], "an analogy takes three terms, a b c; 2 were given"),
        (["man", "king", "woman", "--method", "sum"], "there is no method 'sum'"),
        (["man", "king", "woman", "-f", "xml"], "there is no such format"),
        (["man", "--relation", "none-such"], "there is no relation called 'none-such'"),
        (["man", "--relation", "x", "--pairs", "y.csv"], "give one of them"),
        (["man", "king", "woman", "--plot", "a.gif"], "a picture is a .png, .svg, .pdf file, not .gif"),
        (["man", "king", "woman", "--plot", "a.png", "--projection", "tsne"], "no projection 'tsne'"),
        (["man", "king", "woman", "-c", "x"], "--words names an encoder of its own"),
        (["man", "king", "woman", "--to", "audio"], "name it with -c"),
    ],
)
def test_wrong_use(
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert exit_code(monkeypatch, "analogy", *arguments, "--words", words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_nowhere_to_look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, "analogy", "man", "king", "woman") == 2
    assert "say where to look" in capsys.readouterr().err
    assert exit_code(monkeypatch, "analogy", "man", "king", "woman", "--words", "absent.bin") == 3
    assert "absent.bin: no such file" in capsys.readouterr().err


def test_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    files = [write(tmp_path / f"{number}.wav", number, 0.4) for number in range(5)]
    write(tmp_path / "long.wav", 7, 2.0)  # two windows
    place = str(tmp_path / "collection")
    assert exit_code(monkeypatch, "index", *map(str, tmp_path.glob("*.wav")), "-c", place, "-e", "toy:16") == 0
    capsys.readouterr()
    asked = ["analogy", str(files[0]), str(files[1]), str(files[2]), "-c", place, "-f", "json"]
    assert exit_code(monkeypatch, *asked) == 0
    record = json.loads(capsys.readouterr().out)
    source = EncoderSource("toy:16")
    three = [source.term(str(file)).vector for file in files[:3]]
    left = {str(file): source.term(str(file)).vector for file in files[3:]}
    wanted = {name: cosine(row, three[1] - three[0] + three[2]) for name, row in left.items()}
    found = {answer["answer"]: answer["score"] for answer in record["answers"]}
    assert record["candidates"] == 7 and len(found) == 4  # two other files and the two parts of the long one
    assert sum(" to " in label for label in found) == 2
    for name, score in wanted.items():
        label = next(label for label in found if Path(label).name == Path(name).name)
        assert found[label] == pytest.approx(score, abs=1e-5)
    ids = {answer["answer"]: answer["id"] for answer in record["answers"]}
    last = f"id:{next(iter(ids.values()))}"
    assert exit_code(monkeypatch, "analogy", last, last, str(files[0]), "-c", place, "-k", "1") == 0
    assert "id" in capsys.readouterr().out.splitlines()[2]


def test_words_of_google_news(shared: Path) -> None:
    source = EncoderSource(f"words:{shared / 'models' / 'word2vec-8k'}")
    room = source.candidates()
    found = solve(room, "man", "king", "woman")
    assert found.answers[0].label == "queen" and found.allowed.label == "king"
    assert found.nearest is not None and found.nearest.label == "man"
    assert [answer.label for answer in solve(room, "France", "Paris", "Italy", k=2).answers] == ["Milan", "Rome"]
