"""How often word vectors answer analogy questions, a : b :: c : ?, with every figure that such a claim needs.

The rules are those of gensim's ``KeyedVectors.evaluate_word_analogies``, so that its count of right answers and ours
are one: words are looked up among the first ``restrict`` of the vocabulary, by default whatever their case is (of
several spellings the first, in files sorted by frequency the most frequent, gives the vector); a question with a word
that is not there is skipped; "inputs excluded" leaves out a, b, c in every spelling, and looks no further than
``LOOKED_AT`` candidates beyond the three rows themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.analogies.methods import BY_PAIRS, BY_QUESTION, batch_scores, check_methods, of_cosines
from analogon.analogies.questions import Questions, Section, read_questions
from analogon.vectors.measure import RESAMPLES, Interval, bootstrap_crossed, wilson
from embed.encoders.words import WordsEncoder
from embed.errors import UsageError
from embed.inputs import Model, encoder_of

__all__ = ["Result", "Share", "Vocabulary", "evaluate", "evaluate_analogies"]

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

RESTRICT: Final = 300_000
LOOKED_AT: Final = 5
CELLS: Final = 1 << 24  # cosines of the questions' words with candidates that are held at a time
BLOCK: Final = 1 << 19  # scores of questions with candidates that are held at a time: they should stay in the cache
TOTAL: Final = "total"


class Vocabulary:
    """Words, their unit vectors, and which words are spellings of one."""

    def __init__(self, words: Sequence[str], matrix: Rows, *, any_case: bool = True) -> None:
        """``words`` differ from each other; ``matrix`` has their unit rows, float32 ``(n, dim)``."""
        if len(words) != len(matrix) or len(set(words)) != len(words):
            raise ValueError(f"{len(set(words))} different words of {len(words)} for {len(matrix)} vectors")
        self._fold: Callable[[str], str] = str.upper if any_case else str
        self.words = list(words)
        self.matrix = matrix
        self._row: dict[str, int] = {}
        spelling = [self._row.setdefault(self._fold(word), i) for i, word in enumerate(self.words)]
        self.spelling = np.array(spelling, np.int64)
        """For each row the first one that is a spelling of the same word, int64 ``(n,)``."""
        self._members = np.argsort(self.spelling, kind="stable")
        self._counts = np.bincount(self.spelling, minlength=len(self.words))
        self._starts = np.cumsum(self._counts) - self._counts

    @classmethod
    def first(cls, vectors: WordsEncoder, restrict: int = RESTRICT, *, any_case: bool = True) -> Vocabulary:
        """The first ``restrict`` different words of a file; of words that it holds twice the first counts."""
        kept: dict[str, int] = {}
        for row, word in enumerate(vectors.vocabulary):
            if len(kept) == restrict:
                break
            kept.setdefault(word, row)
        rows = np.fromiter(kept.values(), np.int64, len(kept))
        matrix = vectors.first(int(rows[-1]) + 1 if len(rows) else 0)
        return cls(list(kept), matrix if len(matrix) == len(rows) else matrix[rows], any_case=any_case)

    def __len__(self) -> int:
        return len(self.words)

    def row(self, word: str) -> int | None:
        """The row that gives a word its vector; None where it is not there."""
        return self._row.get(self._fold(word))

    def spellings(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Every spelling of some words: the position in ``rows`` and the row, one for each."""
        counts = self._counts[rows]
        position = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
        return position, self._members[self._starts[rows][position] + within]


@dataclass(frozen=True, slots=True)
class Share:
    """``right`` answers of ``of``.

    ``interval`` is Wilson's, as if the questions were independent. Questions that share pairs are not: ``by_pairs`` is
    the pigeonhole bootstrap over the pairs that they are made of, within sections; None where each pair counts once.
    """

    right: int
    of: int
    by_pairs: Interval | None = None

    @property
    def value(self) -> float | None:
        """The fraction; None of nothing."""
        return self.right / self.of if self.of else None

    @property
    def interval(self) -> Interval:
        """Wilson's interval at 95 %."""
        return wilson(self.right, self.of)


@dataclass(frozen=True, slots=True)
class Result:
    """What came out in one section, or in all together ("total").

    ``answered`` questions had all their words in the vocabulary, ``skipped`` had not; ``pairs`` are those of the
    section whose words are there. ``shares`` are by the name of the figure: ``excluded``, ``allowed`` (3CosAdd),
    ``nearest`` (the nearest neighbour of c, Linzen 2016), ``excluded_3cosmul``, ``excluded_pairdirection``; of pairs
    ``excluded_3cosavg``, ``excluded_lrcos``.
    """

    section: str
    answered: int
    skipped: int
    pairs: int
    shares: Mapping[str, Share]

    def to_json(self) -> dict[str, Any]:
        """One flat object: each share as a fraction (null of nothing), and its intervals beside it."""
        record: dict[str, Any] = {"section": self.section, "questions": self.answered, "skipped": self.skipped}
        record["pairs"] = self.pairs
        for name, share in self.shares.items():
            record[name] = share.value
            record[f"{name}_interval"] = share.interval.to_json()
            if share.by_pairs is not None:
                record[f"{name}_interval_by_pairs"] = share.by_pairs.to_json()
        return record


# -- from questions to results ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What a vocabulary knows of one section.

    ``entries`` are the rows of those whose word and an answer are there: of the word ``(n,)``, of its first answer
    ``(n,)``, of all its answers. ``questions`` ``(q, 2)`` are those made of two such entries.
    """

    name: str
    words: Numbers
    ends: Numbers
    answers: tuple[frozenset[int], ...]
    questions: Numbers
    skipped: int

    @property
    def inputs(self) -> Numbers:
        """Rows of a, b, c of each question, int64 ``(q, 3)``."""
        given, wanted = self.questions.T
        return np.stack([self.words[given], self.ends[given], self.words[wanted]], axis=1)

    def right(self, found: Numbers) -> npt.NDArray[np.bool_]:
        """Whether the rows that were found, one for each question, are answers to it."""
        wanted = self.questions[:, 1].tolist()
        return np.array([row in self.answers[entry] for row, entry in zip(found.tolist(), wanted, strict=True)], bool)


def _asked(section: Section, vocabulary: Vocabulary) -> _Asked:
    number = np.full(len(section.entries), -1)
    words: list[int] = []
    answers: list[list[int]] = []
    for i, entry in enumerate(section.entries):
        word = vocabulary.row(entry.word)
        known = [row for answer in entry.answers if (row := vocabulary.row(answer)) is not None]
        if word is not None and known:
            number[i] = len(words)
            words.append(word)
            answers.append(known)
    questions = number[section.questions]
    there = (questions >= 0).all(axis=1)
    return _Asked(
        section.name,
        np.array(words, np.int64),
        np.array([known[0] for known in answers], np.int64),
        tuple(map(frozenset, answers)),
        questions[there],
        int((~there).sum()),
    )


def evaluate_analogies(
    questions: Questions,
    vocabulary: Vocabulary,
    methods: str | Sequence[str] = ("3cosadd", "3cosmul"),
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Result]:
    """A ``Result`` for each section, in their order, and last the one of all, called "total".

    3CosAdd, with inputs excluded and allowed, and the baseline are always among the figures. 3CosAvg and LRCos answer
    each pair of a section from those of its other pairs that share no word with it, c itself excluded. ``seed`` draws
    the random words of LRCos and the ``resamples`` of the bootstrap over pairs, which 0 leaves out. ``methods`` are one
    or several of ``analogon.analogies.methods.METHODS``. Raises ``UsageError`` for another.
    """
    methods = check_methods(methods)
    sections = [_asked(section, vocabulary) for section in questions.sections]
    found = answers(vocabulary, np.concatenate([one.inputs for one in sections]), methods)
    ends = np.cumsum([len(one.questions) for one in sections])[:-1]
    right = [
        np.stack([one.right(rows) for rows in split], axis=1)
        for one, split in zip(sections, np.split(np.stack(list(found.values())), ends, axis=1), strict=True)
    ]
    held_out = [
        {f"excluded_{name}": _left_out_right(name, one, vocabulary, seed) for name in methods if name in BY_PAIRS}
        for one in sections
    ]
    results = [
        _result(one.name, [one], list(found), rows, pairs, resamples, seed)
        for one, rows, pairs in zip(sections, right, held_out, strict=True)
    ]
    together = {name: np.concatenate([one[name] for one in held_out]) for name in held_out[0]}
    return [*results, _result(TOTAL, sections, list(found), np.concatenate(right), together, resamples, seed)]


def evaluate(
    questions: Questions | str | os.PathLike[str],
    model: Model,
    *,
    sections: str | Sequence[str] = (),
    methods: str | Sequence[str] = ("3cosadd", "3cosmul"),
    restrict: int = RESTRICT,
    any_case: bool = True,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Result]:
    """How often word vectors answer analogy questions: ``evaluate_analogies`` of a file and a model, in one call.

    ``questions`` are read by ``read_questions`` where they are a path; ``sections`` names those that are asked, all
    without any. ``model`` is word vectors as ``analogon.encode`` takes them, of which the first ``restrict`` words
    answer, by ``any_case`` whatever their case is. Raises ``UsageError`` for a section that is not there, and for a
    model without a vocabulary.
    """
    asked = questions if isinstance(questions, Questions) else read_questions(Path(questions))
    wanted = [sections] if isinstance(sections, str) else list(sections)
    names = [one.name for one in asked.sections]
    for name in wanted:
        if name not in names:
            raise UsageError(f"there is no section {name!r} among the questions; there are: {', '.join(names)}")
    if wanted:
        asked = Questions(tuple(one for one in asked.sections if one.name in wanted), asked.left_out)
    encoder = encoder_of(model)
    if not isinstance(encoder, WordsEncoder):
        raise UsageError(
            f"{encoder.space.model} has no vocabulary that could answer: analogy questions want word vectors"
        )
    vocabulary = Vocabulary.first(encoder, restrict, any_case=any_case)
    return evaluate_analogies(asked, vocabulary, methods, seed=seed, resamples=resamples)


def _result(
    name: str,
    sections: Sequence[_Asked],
    figures: Sequence[str],
    right: npt.NDArray[np.bool_],
    held_out: Mapping[str, npt.NDArray[np.bool_]],
    resamples: int,
    seed: int,
) -> Result:
    count = len(right)
    by_pairs: list[Interval | None] = [None] * len(figures)
    if count and resamples:
        # The same pair of another section is another thing: number them through.
        base = np.cumsum([0] + [len(one.words) for one in sections])
        pairs = np.concatenate([one.questions + start for one, start in zip(sections, base[:-1], strict=True)])
        strata = np.repeat(np.arange(len(sections)), [len(one.questions) for one in sections])
        by_pairs = list(bootstrap_crossed(right, *pairs.T, strata=strata, resamples=resamples, seed=seed))
    shares = {
        figure: Share(int(right[:, column].sum()), count, by_pairs[column]) for column, figure in enumerate(figures)
    }
    shares |= {figure: Share(int(rows.sum()), len(rows)) for figure, rows in held_out.items()}
    return Result(name, count, sum(one.skipped for one in sections), sum(len(one.words) for one in sections), shares)


# -- one given pair --------------------------------------------------------------------------------------------------


class _Best:
    """The highest score of each question so far and its row; -1 where every candidate was left out."""

    def __init__(self, count: int) -> None:
        self.score = np.full(count, -np.inf, np.float32)
        self.row = np.full(count, -1, np.int64)

    def see(self, scores: Rows, at: slice, first: int) -> None:
        """Look at the scores ``(questions at, candidates from first)``; of equal ones the first row stays."""
        column = scores.argmax(axis=1)
        high = scores[np.arange(len(scores)), column]
        better = high > self.score[at]
        self.score[at] = np.where(better, high, self.score[at])
        self.row[at] = np.where(better, column + first, self.row[at])


def answers(vocabulary: Vocabulary, inputs: Numbers, methods: Sequence[str] = ("3cosadd",)) -> dict[str, Numbers]:
    """The rows that answer the questions whose words are in ``inputs``, rows of a, b, c, int64 ``(n, 3)``.

    ``excluded`` and ``allowed`` are 3CosAdd's, without the inputs among the candidates and with; ``nearest`` is the
    nearest neighbour of c but for c itself; each further one of ``BY_QUESTION`` in ``methods`` gives
    ``excluded_METHOD``. Rows are those of the first spelling; -1 where no candidate is left.

    All scores are made of the cosines of the questions' words with the candidates: one matrix product for each block of
    candidates, however many questions a word is in.
    """
    units = vocabulary.matrix
    formulas = {"excluded": "3cosadd", "allowed": "3cosadd"}
    formulas |= {f"excluded_{name}": name for name in BY_QUESTION if name in methods and name != "3cosadd"}
    best = {name: _Best(len(inputs)) for name in formulas}
    words, index = np.unique(inputs, return_inverse=True)
    index = index.reshape(inputs.shape)
    cs, question_of_c = np.unique(inputs[:, 2], return_inverse=True)
    nearest = _Best(len(cs))
    a, b, c = (units[inputs[:, i]] for i in range(3))
    at_c = ((b - a) * c).sum(axis=1, keepdims=True)
    hidden, hidden_c = _Hidden.of(vocabulary, inputs), _Hidden.of(vocabulary, cs[:, None])
    width = max(1, CELLS // max(1, len(words)))
    for first in range(0, len(units), width):
        last = min(first + width, len(units))
        cosines = units[words] @ units[first:last].T
        alone = cosines[np.searchsorted(words, cs)]
        alone[hidden_c.cells(slice(0, len(cs)), first, last)] = -np.inf
        nearest.see(alone, slice(0, len(cs)), first)
        height = max(1, BLOCK // (last - first))
        for top in range(0, len(inputs), height):
            at = slice(top, min(top + height, len(inputs)))
            a, b, c = (cosines[index[at, i]] for i in range(3))
            cells = hidden.cells(at, first, last)
            for name, method in formulas.items():
                scores = of_cosines(method, a, b, c, at_c[at])
                if name != "allowed":
                    scores[cells] = -np.inf
                best[name].see(scores, at, first)
    for question, rows in hidden.crowded(inputs):
        a, b, c = units[inputs[question]] @ units[rows].T
        for name, method in formulas.items():
            if name != "allowed":
                scores = of_cosines(method, a, b, c, at_c[question])
                fifth = np.argsort(-scores, kind="stable")[LOOKED_AT - 1]
                if scores[fifth] > best[name].score[question]:
                    best[name].row[question] = rows[fifth]
    found = {name: one.row for name, one in best.items()} | {"nearest": nearest.row[question_of_c]}
    return {name: np.where(rows < 0, -1, vocabulary.spelling[rows]) for name, rows in found.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Hidden:
    """Which candidates a question must not find: every spelling of its words. Sorted by question."""

    question: Numbers
    row: Numbers

    @classmethod
    def of(cls, vocabulary: Vocabulary, inputs: Numbers) -> _Hidden:
        position, row = vocabulary.spellings(inputs.ravel())
        return cls(position // inputs.shape[1], row)

    def cells(self, at: slice, first: int, last: int) -> tuple[Numbers, Numbers]:
        """The same as cells of scores ``(questions at, candidates from first to last)``."""
        begin, end = np.searchsorted(self.question, (at.start, at.stop))
        question, row = self.question[begin:end] - at.start, self.row[begin:end]
        inside = (row >= first) & (row < last)
        return question[inside], row[inside] - first

    def crowded(self, inputs: Numbers) -> Iterator[tuple[int, Numbers]]:
        """Questions with so many other spellings of their words that these alone may fill the first ``LOOKED_AT``."""
        counts = np.bincount(self.question, minlength=len(inputs))
        for question in np.flatnonzero(counts >= LOOKED_AT).tolist():
            begin, end = np.searchsorted(self.question, (question, question + 1))
            others = np.setdiff1d(self.row[begin:end], inputs[question])
            if len(others) >= LOOKED_AT:
                yield question, others


# -- all other pairs -------------------------------------------------------------------------------------------------


def _left_out_right(method: str, section: _Asked, vocabulary: Vocabulary, seed: int) -> npt.NDArray[np.bool_]:
    """Whether each pair of a section is answered right by those of its other pairs that share no word with it.

    Pairs that are left with no other have no place in the result. Random words are none of the section's.
    """
    units = vocabulary.matrix
    position, spellings = vocabulary.spellings(section.words)
    own = np.concatenate([section.words, *(list(answers) for answers in section.answers)]).astype(np.int64)
    others = np.ones(len(units), bool)
    others[vocabulary.spellings(own)[1]] = False
    random = units[others] if method == "lrcos" else None
    right = []
    for i, (word, answers) in enumerate(zip(section.words.tolist(), section.answers, strict=True)):
        shared = [word, *answers]
        known = ~(np.isin(section.words, shared) | np.isin(section.ends, shared))
        if not known.any():
            continue
        a, b = units[section.words[known]], units[section.ends[known]]
        scores = batch_scores(method, units, a, b, units[[word]], seed=seed, random=random)[0]
        scores[spellings[position == i]] = -np.inf
        right.append(int(vocabulary.spelling[scores.argmax()]) in answers)
    return np.array(right, bool)
