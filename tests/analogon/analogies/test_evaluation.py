"""Analogy evaluation against gensim and plain loops: question files, BATS, counts, held-out pairs, the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

import analogon
from analogon.analogies.evaluation import Result, Vocabulary, evaluate_analogies
from analogon.analogies.questions import Entry, read_questions
from analogon.vectors.measure import wilson
from embed.encoders.words import load
from embed.errors import MediaError, UsageError
from embed.space import unit
from tests.command_line import exit_code

# -- question files ----------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_a_question_file_has_sections_and_says_what_it_left_out(tmp_path: Path) -> None:
    file = write(
        tmp_path / "q.txt",
        "before any section\n: capitals of the world\nAthens Greece Oslo Norway\n# a remark\n\n"
        "Oslo Norway Athens Greece\r\nAthens Greece Oslo\n: empty\n:plural\n:) smile :( frown\na b c d e\n",
    )
    found = read_questions(file)
    assert [section.name for section in found.sections] == ["capitals of the world", "empty", "plural"]
    capitals, empty, plural = found.sections
    assert capitals.entries == (Entry("Athens", ("Greece",)), Entry("Oslo", ("Norway",)))
    assert capitals.questions.tolist() == [[0, 1], [1, 0]]
    assert len(empty.questions) == 0
    assert plural.entries == (Entry(":)", ("smile",)), Entry(":(", ("frown",)))
    assert found.left_out == (
        f"{file}, line 1: 3 words, not four",
        f"{file}, line 7: 3 words, not four",
        f"{file}, line 11: 5 words, not four",
    )


def test_questions_before_any_section_are_a_section(tmp_path: Path) -> None:
    found = read_questions(write(tmp_path / "q.txt", "a b c d\n"))
    assert [(section.name, len(section.questions)) for section in found.sections] == [("(no section)", 1)]


def test_bats_files_are_sections_and_every_ordered_pair_of_lines_a_question(tmp_path: Path) -> None:
    write(tmp_path / "1_Inflectional" / "I01 [noun - plural_reg].txt", "album\talbums\nant ants\n\nword\n")
    write(tmp_path / "3_Encyclopedic" / "L02.txt", "cat\tfeline/ mammal /feline\ndog\tcanine\nants\tinsect/\n")
    write(tmp_path / "metadata.json", "{}")
    found = read_questions(tmp_path)
    assert [section.name for section in found.sections] == ["I01 [noun - plural_reg]", "L02"]
    assert found.sections[0].entries == (Entry("album", ("albums",)), Entry("ant", ("ants",)))
    assert found.sections[1].entries[0] == Entry("cat", ("feline", "mammal"))
    assert found.sections[1].questions.tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert found.left_out == (
        f"{tmp_path / '1_Inflectional' / 'I01 [noun - plural_reg].txt'}, line 4: a word without an answer",
    )


def test_what_holds_no_question_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="four words"):
        read_questions(write(tmp_path / "q.txt", ": one\nalbum albums\n"))
    with pytest.raises(UsageError, match=r"\.txt files"):
        read_questions(write(tmp_path / "empty" / "one.txt", "a b\n").parent)
    with pytest.raises(MediaError, match="no such file"):
        read_questions(tmp_path / "nothing.txt")
    (tmp_path / "bytes.txt").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(UsageError):
        read_questions(tmp_path / "bytes.txt")


# -- the same counts as gensim -----------------------------------------------------------------------------------------


def gensims(words: list[str], vectors: np.ndarray, file: Path, **options: object) -> list[tuple[str, int, int]]:
    """Section, right, answered by gensim, the total last."""
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(words, vectors)
    _, sections = keyed.evaluate_word_analogies(str(file), **options)
    counts = [
        (one["section"], len(one["correct"]), len(one["correct"]) + len(one["incorrect"])) for one in sections[:-1]
    ]
    total = sections[-1]
    return [*counts, ("total", len(total["correct"]), len(total["correct"]) + len(total["incorrect"]))]


def ours(results: list[Result]) -> list[tuple[str, int, int]]:
    return [(one.section, one.shares["excluded"].right, one.answered) for one in results]


@pytest.mark.parametrize(("any_case", "restrict"), [(True, 300_000), (False, 4_000)])
def test_counts_are_gensims_on_word2vec(shared: Path, any_case: bool, restrict: int) -> None:
    file = shared / "data" / "analogies" / "questions-words-odd.txt"
    folder = shared / "models" / "word2vec-8k"
    encoder = load(str(folder))
    vectors = np.load(folder / "vectors.f16.npy").astype(np.float32)
    oracle = gensims(encoder.vocabulary, vectors, file, restrict_vocab=restrict, case_insensitive=any_case)
    found = evaluate_analogies(read_questions(file), Vocabulary.first(encoder, restrict, any_case=any_case))
    assert ours(found) == oracle
    assert found[-1].answered + found[-1].skipped == 9773
    if any_case and restrict > 8000:
        assert ours(found)[-1] == ("total", 1786, 2337)


def crowded(seed: int, count: int = 120) -> tuple[list[str], np.ndarray, list[str]]:
    """Words of which some have up to four spellings that lie near to each other, vectors, and questions on them."""
    random = np.random.default_rng(seed)
    spell: list[Callable[[str], str]] = [str, str.upper, str.capitalize, str.swapcase, lambda word: word[:-1] + "X"]
    words: list[str] = []
    rows: list[np.ndarray] = []
    for i in range(count):
        base = random.normal(size=12) * random.uniform(0.1, 5)
        for change in spell[: random.integers(1, 6)]:
            word = change(f"w{i}x")
            if word not in words:
                words.append(word)
                rows.append(base + random.normal(size=12) * 0.05)
    order = random.permutation(len(words))
    lines = [": first"]
    for _ in range(400):
        lines.append(" ".join(words[i] for i in random.integers(0, len(words), 4)))
        # A question whose answer is what gensim would be asked to find: near to b - a + c.
        a, b, c = random.integers(0, len(words), 3)
        near = unit(rows) @ unit(unit(rows)[b] - unit(rows)[a] + unit(rows)[c])
        lines.append(" ".join(words[i] for i in (a, b, c, np.argsort(-near)[random.integers(0, 12)])))
    lines[300:300] = [": second", "unknown w1x w2x w3x", "w1x w1x w2x w2x"]
    return [words[i] for i in order], np.array(rows, np.float32)[order], lines


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("any_case", "restrict"), [(True, 300_000), (False, 300_000), (True, 150)])
def test_counts_are_gensims_where_words_have_many_spellings(
    tmp_path: Path, seed: int, any_case: bool, restrict: int
) -> None:
    words, vectors, lines = crowded(seed)
    file = write(tmp_path / "q.txt", "\n".join(lines) + "\n")
    kept = words[:restrict], unit(vectors)[:restrict]
    found = evaluate_analogies(read_questions(file), Vocabulary(*kept, any_case=any_case))
    oracle = gensims(words, vectors, file, restrict_vocab=restrict, case_insensitive=any_case)
    assert ours(found) == oracle
    assert 20 < oracle[-1][1] < oracle[-1][2] - 20


def test_a_file_and_a_model_in_one_call(tmp_path: Path) -> None:
    words, vectors, lines = crowded(2)
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(words, vectors)
    keyed.save_word2vec_format(str(tmp_path / "words.bin"), binary=True)
    model = {"family": "words", "model": str(tmp_path / "words.bin")}
    file = write(tmp_path / "q.txt", "\n".join(lines) + "\n")
    oracle = gensims(words, vectors, file)
    assert ours(analogon.analogies.evaluate(file, model)) == oracle
    assert ours(analogon.analogies.evaluate(read_questions(file), analogon.load(model), restrict=150)) == gensims(
        words, vectors, file, restrict_vocab=150
    )
    (second, total) = analogon.analogies.evaluate(str(file), model, sections="second", methods="3cosadd")
    assert ours([second]) == [one for one in oracle if one[0] == "second"]
    assert ours([total])[0][1:] == ours([second])[0][1:]
    with pytest.raises(UsageError, match="there is no section 'third' among the questions; there are: first, second"):
        analogon.analogies.evaluate(file, model, sections=["first", "third"])
    with pytest.raises(UsageError, match=r"toy:8 has no vocabulary that could answer"):
        analogon.analogies.evaluate(file, "toy")


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words, vectors, lines = crowded(3)
    questions = read_questions(write(tmp_path / "q.txt", "\n".join(lines)))
    vocabulary = Vocabulary(words, unit(vectors))
    methods = ("3cosadd", "3cosmul", "pairdirection")
    whole = evaluate_analogies(questions, vocabulary, methods)
    monkeypatch.setattr("analogon.analogies.evaluation.CELLS", 7 * len(words))
    monkeypatch.setattr("analogon.analogies.evaluation.BLOCK", 300)
    assert evaluate_analogies(questions, vocabulary, methods) == whole


# -- every figure by a plain loop --------------------------------------------------------------------------------------


def plain(matrix: np.ndarray, words: list[str], questions: list[list[str]]) -> dict[str, int]:
    """Right answers, one question and one candidate after another, in float64; no word has two spellings."""
    units = matrix.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    at = {word: row for row, word in enumerate(words)}
    right = dict.fromkeys(["excluded", "allowed", "nearest", "excluded_3cosmul", "excluded_pairdirection"], 0)

    def best(score: Callable[[int], float], without: set[int]) -> int:
        return max((row for row in range(len(words)) if row not in without), key=score)

    for question in questions:
        a, b, c, d = (at[word] for word in question)
        va, vb, vc = units[a], units[b], units[c]

        def mul(x: int, va: np.ndarray = va, vb: np.ndarray = vb, vc: np.ndarray = vc) -> float:
            shifted = [(units[x] @ v + 1) / 2 for v in (va, vb, vc)]
            return float(shifted[1] * shifted[2] / (shifted[0] + 0.001))

        def add(x: int, va: np.ndarray = va, vb: np.ndarray = vb, vc: np.ndarray = vc) -> float:
            return float(units[x] @ (vb - va + vc))

        def toward(x: int, va: np.ndarray = va, vb: np.ndarray = vb, vc: np.ndarray = vc) -> float:
            return float((units[x] - vc) @ (vb - va) / np.linalg.norm(units[x] - vc))

        def near(x: int, vc: np.ndarray = vc) -> float:
            return float(units[x] @ vc)

        right["excluded"] += best(add, {a, b, c}) == d
        right["allowed"] += best(add, set()) == d
        right["nearest"] += best(near, {c}) == d
        right["excluded_3cosmul"] += best(mul, {a, b, c}) == d
        right["excluded_pairdirection"] += best(toward, {a, b, c}) == d
    return right


def relation(seed: int, count: int = 14, noise: float = 0.55) -> tuple[list[str], np.ndarray]:
    """Words a0 ..., b0 ... whose offsets resemble each other, and as many that have no part in it."""
    random = np.random.default_rng(seed)
    starts = random.normal(size=(count, 10))
    ends = starts + random.normal(size=10) + noise * random.normal(size=(count, 10))
    others = random.normal(size=(2 * count, 10))
    names = [f"{kind}{i}" for kind in "ab" for i in range(count)] + [f"other{i}" for i in range(2 * count)]
    return names, np.concatenate([starts, ends, others]).astype(np.float32)


def test_every_figure_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    words, vectors = relation(0)
    asked = [[f"a{i}", f"b{i}", f"a{j}", f"b{j}"] for i in range(14) for j in range(14) if i != j]
    file = write(tmp_path / "q.txt", ": one\n" + "\n".join(map(" ".join, asked)) + "\n: two\nlost b1 a2 b2\n")
    one, two, total = evaluate_analogies(
        read_questions(file), Vocabulary(words, unit(vectors)), ("3cosadd", "3cosmul", "pairdirection")
    )
    oracle = plain(vectors, words, asked)
    assert {name: share.right for name, share in one.shares.items()} == oracle
    assert len(set(oracle.values())) == 5, "the figures should differ, or the test could not tell them apart"
    assert (one.answered, one.skipped, one.pairs) == (182, 0, 14)
    assert (two.answered, two.skipped, two.pairs) == (0, 1, 1)
    assert two.shares["excluded"].value is None
    for name, share in total.shares.items():
        assert share == one.shares[name], "what adds nothing changes nothing"
        assert share.value == oracle[name] / 182
        assert share.interval == wilson(oracle[name], 182)
        assert share.by_pairs is not None
        assert share.by_pairs.low <= share.value <= share.by_pairs.high


def test_any_of_several_answers_is_right(tmp_path: Path) -> None:
    words = ["x", "y", "start", "first", "second", "far"]
    vectors = unit([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0], [-1, -1, -1, -1]])
    write(tmp_path / "r.txt", "x\tmissing/y\nstart\tfirst/second\n")
    # y - x + start is nearest to "second", and first - start + x to y; the first word after the tab is neither.
    [section, _] = evaluate_analogies(read_questions(tmp_path), Vocabulary(words, vectors))
    oracle = vectors @ (vectors[1] - vectors[0] + vectors[2])
    assert words[int(np.argmax(np.where(np.isin(np.arange(6), [0, 1, 2]), -9, oracle)))] == "second"
    assert (section.answered, section.shares["excluded"].right) == (2, 2)


# -- held-out pairs ----------------------------------------------------------------------------------------------------


def test_pairs_are_answered_by_the_other_pairs_alone(tmp_path: Path) -> None:
    words, vectors = relation(1, noise=0.8)
    # The last pair shares its end with the first: neither may learn from the other.
    ends = [f"b{i}" for i in range(13)] + ["b0"]
    write(tmp_path / "r.txt", "".join(f"a{i}\t{end}\n" for i, end in enumerate(ends)))
    [section, total] = evaluate_analogies(
        read_questions(tmp_path), Vocabulary(words, unit(vectors)), ("3cosavg", "lrcos")
    )
    units = unit(vectors).astype(np.float64)
    at = {word: row for row, word in enumerate(words)}
    right = 0
    for i, end in enumerate(ends):
        others = [j for j in range(14) if j != i and ends[j] != end]
        offset = np.mean([units[at[ends[j]]] - units[at[f"a{j}"]] for j in others], axis=0)
        scores = units @ (units[at[f"a{i}"]] + offset)
        scores[at[f"a{i}"]] = -9
        right += words[int(scores.argmax())] == end
    assert section.shares["excluded_3cosavg"].right == right
    assert 0 < right < 14
    assert section.shares["excluded_3cosavg"].of == section.shares["excluded_lrcos"].of == 14
    assert total.shares["excluded_lrcos"] == section.shares["excluded_lrcos"]


def test_lrcos_never_sees_what_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from analogon.analogies import evaluation

    words, vectors = relation(2)
    units = unit(vectors)
    seen = []

    def spy(method: str, candidates: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, **how: object) -> object:
        seen.append((c, np.concatenate([a, b, np.asarray(how["random"])])))
        return true(method, candidates, a, b, c, **how)

    true = evaluation.batch_scores
    monkeypatch.setattr(evaluation, "batch_scores", spy)
    write(tmp_path / "r.txt", "".join(f"a{i}\tb{i}\n" for i in range(14)))
    evaluate_analogies(read_questions(tmp_path), Vocabulary(words, units), ("lrcos",))
    assert len(seen) == 14
    for i, (c, learnt) in enumerate(seen):
        assert (c == units[i]).all()
        assert not (learnt @ units[[i, 14 + i]].T > 0.9999).any()


def test_a_pair_alone_is_not_answered_by_itself(tmp_path: Path) -> None:
    words, vectors = relation(4)
    write(tmp_path / "r.txt", "a0\tb0\na1\tb1\n")
    write(tmp_path / "s.txt", "a2\tb2\n")
    pair, alone, _ = evaluate_analogies(
        read_questions(tmp_path), Vocabulary(words, unit(vectors)), ("3cosavg", "lrcos")
    )
    assert pair.shares["excluded_3cosavg"].of == 2
    assert alone.shares["excluded_3cosavg"].of == alone.shares["excluded_lrcos"].of == 0


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words, vectors = relation(0)
    np.save(tmp_path / "vectors.npy", vectors)
    write(tmp_path / "words.txt", "\n".join(words) + "\n")
    asked = [f"a{i} b{i} a{j} b{j}" for i in range(14) for j in range(14) if i != j]
    write(tmp_path / "q.txt", ": one [a - b]\n" + "\n".join(asked) + "\nshort\n: two\nlost b1 a2 b2\n")
    return tmp_path


def test_the_command_prints_an_object_a_section(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = exit_code(monkeypatch, "eval", "analogies", str(folder / "q.txt"), "--words", str(folder), "-f", "json")
    printed = capsys.readouterr()
    records = [json.loads(line) for line in printed.out.splitlines()]
    oracle = evaluate_analogies(read_questions(folder / "q.txt"), Vocabulary.first(load(str(folder))))
    assert code == 0
    assert records == [result.to_json() for result in oracle]
    assert [record["section"] for record in records] == ["one [a - b]", "two", "total"]
    first = records[0]
    assert (first["questions"], first["skipped"]) == (182, 0)
    assert first["excluded"] == oracle[0].shares["excluded"].right / 182
    assert first["excluded_interval"] == [
        wilson(oracle[0].shares["excluded"].right, 182).low,
        *first["excluded_interval"][1:],
    ]
    assert {"allowed", "nearest", "excluded_3cosmul"} < set(first)
    assert records[1]["excluded"] is None and records[1]["excluded_interval"] == [0, 1]
    assert printed.err.splitlines() == [f"analogon: skipped {folder / 'q.txt'}, line 184: 1 words, not four"]


def test_the_command_prints_a_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = "3cosadd,3cosmul,3cosavg,lrcos,pairdirection"
    code = exit_code(
        monkeypatch, "eval", "analogies", str(folder / "q.txt"), "--words", str(folder), "--methods", methods
    )
    lines = capsys.readouterr().out.splitlines()
    total = evaluate_analogies(
        read_questions(folder / "q.txt"), Vocabulary.first(load(str(folder))), tuple(methods.split(","))
    )[-1]
    assert code == 0
    assert sum(line.startswith("one [a - b] ") for line in lines) == 2
    rows = [line.split() for line in lines if line.startswith("total")]
    shares = total.shares
    first = [shares[name] for name in ("excluded", "excluded_3cosmul", "allowed", "nearest")]
    more = [shares[name] for name in ("excluded_pairdirection", "excluded_3cosavg", "excluded_lrcos")]
    assert rows[0][1:3] == ["182", "1"] and rows[1][1:4] == ["182", "1", "15"]
    assert rows[0][3::2] == [f"{100 * share.right / share.of:.1f}" for share in first]
    assert rows[1][4::2] == [f"{100 * share.right / share.of:.1f}" for share in more]
    low, high = wilson(first[0].right, first[0].of).to_json()
    assert rows[0][4] == f"{100 * low:.0f}-{100 * high:.0f}"
    assert any("not independent" in line for line in lines)


def test_an_encoder_of_texts_can_be_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        exit_code(monkeypatch, "eval", "analogies", str(folder / "q.txt"), "-e", f"words:{folder}", "-f", "json") == 0
    )
    printed = capsys.readouterr()
    total = json.loads(printed.out.splitlines()[-1])
    # Without a list the candidates are the words of the questions, but for the one that the encoder does not know.
    words, vectors = relation(0)
    few = evaluate_analogies(read_questions(folder / "q.txt"), Vocabulary(words[:28], unit(vectors)[:28]))[-1]
    assert total["excluded"] == few.shares["excluded"].value
    assert "'lost'" in printed.err
    listed = write(folder / "candidates.txt", "\n".join(words) + "\n")
    arguments = ["eval", "analogies", str(folder / "q.txt"), "-e", f"words:{folder}", "--candidates", str(listed)]
    assert exit_code(monkeypatch, *arguments, "-f", "json") == 0
    all_words = evaluate_analogies(read_questions(folder / "q.txt"), Vocabulary(words, unit(vectors)))[-1]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["excluded"] == all_words.shares["excluded"].value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["q.txt"], "--words, or an encoder"),
        (["q.txt", "--words", ".", "-e", "toy"], "--words, or an encoder"),
        (["q.txt", "--words", ".", "--candidates", "words.txt"], "--candidates goes with --encoder"),
        (["q.txt", "--words", ".", "--methods", "3cosadd,4cosadd"], "there is no method '4cosadd'; there are: 3cosadd"),
        (["q.txt", "--words", ".", "--case", "upper"], "ignore or exact"),
        (["q.txt", "--words", ".", "-f", "tsv"], "no such format"),
        (["words.txt", "--words", "."], "no analogy questions"),
    ],
)
def test_wrong_use_is_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    assert exit_code(monkeypatch, "eval", "analogies", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_nothing_answered_is_exit_code_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(folder / "none.txt", ": one\np q r s\n")
    assert exit_code(monkeypatch, "eval", "analogies", str(file), "--words", str(folder)) == 1
    assert "no question has all its words" in capsys.readouterr().err


def test_a_file_that_holds_a_word_twice_counts_the_first(tmp_path: Path) -> None:
    words, vectors = ["x", "y", "x", "z", "u"], np.eye(5, dtype=np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    write(tmp_path / "words.txt", "\n".join(words))
    vocabulary = Vocabulary.first(load(str(tmp_path)), 3)
    assert vocabulary.words == ["x", "y", "z"]
    assert vocabulary.matrix.tolist() == vectors[[0, 1, 3]].tolist()


def test_an_empty_file_of_bats_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "sexes.txt").write_text("man\twoman\nking\tqueen/empress\n")
    questions = read_questions(tmp_path)
    assert [section.name for section in questions.sections] == ["sexes"]
    assert questions.left_out == (f"{tmp_path / 'empty.txt'}: is empty",)
