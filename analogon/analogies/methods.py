"""Analogies a : b :: c : ?, as scores of candidates: five methods over unit vectors.

=============  ============================================================  =======================================
method         score of candidate x, all unit vectors                        source
=============  ============================================================  =======================================
3cosadd        cos(x, b - a + c)                                             Mikolov, Yih and Zweig 2013
3cosmul        s(x, b) s(x, c) / (s(x, a) + 0.001), where s = (cos + 1) / 2  Levy and Goldberg 2014
pairdirection  cos(x - c, b - a)                                             Mikolov, Yih and Zweig 2013
3cosavg        cos(x, c + mean of b_i - a_i over the known pairs)            Drozd, Gladkova and Matsuoka 2016
lrcos          cos(x, c) P(x is a b-word)                                    Drozd, Gladkova and Matsuoka 2016
=============  ============================================================  =======================================

The first three take one pair, the others all that are known of the relation. Every array is float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from analogon.settings.arguments import several
from analogon.transforms.relation import Pair, Relation
from analogon.vectors.geometry import direction, unit
from embed.errors import UsageError
from embed.space import Space

if TYPE_CHECKING:
    from analogon.analogies.candidates import Candidates, Term

__all__ = [
    "BY_PAIRS",
    "BY_QUESTION",
    "METHODS",
    "NAMES",
    "Answer",
    "Answers",
    "Relation",
    "b_likeness",
    "batch_scores",
    "check_methods",
    "of_cosines",
    "pair_direction",
    "scores",
    "solve",
    "three_cos_add",
    "three_cos_mul",
]

Rows = npt.NDArray[np.float32]

BY_QUESTION: Final = ("3cosadd", "3cosmul", "pairdirection")
BY_PAIRS: Final = ("3cosavg", "lrcos")
METHODS: Final = BY_QUESTION + BY_PAIRS
NAMES: Final[Mapping[str, str]] = {
    "3cosadd": "3CosAdd",
    "3cosmul": "3CosMul",
    "pairdirection": "PairDirection",
    "3cosavg": "3CosAvg",
    "lrcos": "LRCos",
}
"""The methods as papers write them."""
EPSILON: Final = 0.001  # of 3CosMul, as in Levy and Goldberg 2014; gensim takes 0.000001
SAME: Final = 1e-6  # squared distance below which float32 cosines cannot tell a candidate from c


def check_methods(methods: str | Sequence[str]) -> tuple[str, ...]:
    """One method or several by their names, each once, in small letters. Raises ``UsageError``, saying which there are.

    >>> check_methods("3CosAdd"), check_methods(["lrcos", "LRCos"])
    (('3cosadd',), ('lrcos',))
    """
    chosen = tuple(dict.fromkeys(name.strip().lower() for name in several(methods)))
    if unknown := [name for name in chosen if name not in METHODS]:
        raise UsageError(f"there is no method {unknown[0]!r}; there are: {', '.join(METHODS)}")
    return chosen


# -- formulas --------------------------------------------------------------------------------------------------------


def three_cos_add(a: Rows, b: Rows, c: Rows) -> Rows:
    """``b - a + c``, of equal shapes ``(...)``.

    Of vectors it is the query of 3CosAdd, not yet normalised; of the cosines of candidates with a, b and c their
    scores, times the length of that query, which changes no order.
    """
    found = b - a
    found += c
    return found


def three_cos_mul(a: Rows, b: Rows, c: Rows, *, epsilon: float = EPSILON) -> Rows:
    """3CosMul of the cosines ``(...)`` of candidates with a, b and c."""
    found = (b + 1) * np.float32(0.5)
    found *= (c + 1) / 2
    found /= (a + 1) / 2 + epsilon
    return found


def pair_direction(a: Rows, b: Rows, c: Rows, at_c: Rows) -> Rows:
    """PairDirection, times the length of b - a, of the cosines ``(..., n)`` of candidates with a, b and c.

    ``at_c`` is cos(c, b) - cos(c, a), ``(..., 1)``. A candidate that is c itself has no direction: it scores 0.
    """
    squared = 2 - 2 * c
    found = b - a
    found -= at_c
    found /= np.sqrt(np.maximum(squared, SAME))
    found[squared < SAME] = 0
    return found


def b_likeness(candidates: Rows, a: Rows, b: Rows, *, seed: int = 0, random: Rows | None = None) -> Rows:
    """How likely each candidate is a b-word, LRCos's P, float32 ``(n,)``.

    A logistic regression on the ends ``b`` ``(pairs, dim)`` against the starts ``a`` and as many random words (Drozd et
    al. 2016), drawn with ``seed`` from those of ``random`` ``(m, dim)``, by default the candidates, that are neither.
    """
    from sklearn.linear_model import LogisticRegression

    random = candidates if random is None else random
    known = np.concatenate([a, b])
    others = np.flatnonzero((random @ known.T).max(axis=1) < 1 - SAME)
    drawn = np.random.default_rng(seed).choice(others, min(len(a), len(others)), replace=False)
    rows = np.concatenate([b, a, random[drawn]])
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(rows, np.arange(len(rows)) < len(b))
    likely: Rows = model.predict_proba(candidates)[:, 1].astype(np.float32)
    return likely


# -- scores ----------------------------------------------------------------------------------------------------------


def of_cosines(method: str, a: Rows, b: Rows, c: Rows, at_c: Rows) -> Rows:
    """Scores by a method of ``BY_QUESTION`` from the cosines of candidates with a, b and c, each ``(..., n)``.

    ``at_c`` is that of ``pair_direction``. They order the candidates of a question as ``batch_scores`` does.
    """
    if method == "3cosadd":
        return three_cos_add(a, b, c)
    return three_cos_mul(a, b, c) if method == "3cosmul" else pair_direction(a, b, c, at_c)


def batch_scores(
    method: str, candidates: Rows, a: Rows, b: Rows, c: Rows, *, seed: int = 0, random: Rows | None = None
) -> Rows:
    """The scores of all candidates ``(n, dim)`` for many questions, float32 ``(questions, n)``, higher is better.

    ``c`` is ``(questions, dim)``. For a method of ``BY_QUESTION``, ``a`` and ``b`` are of the same shape, a pair for
    each question; for one of ``BY_PAIRS`` they are the known pairs ``(pairs, dim)``, the same for all questions.
    ``seed`` and ``random`` are those of ``b_likeness``. It holds a few arrays of the result's size: ask it with as many
    questions at a time as there is memory for.

    >>> words = np.eye(4, dtype=np.float32)
    >>> man, woman, king = unit([[1, 0, 0, 0]]), unit([[0, 1, 0, 0]]), unit([[4, 0, 3, 0]])
    >>> (batch_scores("3cosadd", words, man, woman, king) * 100).round().astype(int).tolist()
    [[-17, 85, 51, 0]]
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    if a.shape != b.shape or (method in BY_QUESTION and a.shape != c.shape):
        raise ValueError(f"{method}: a is {a.shape}, b {b.shape}, c {c.shape}")
    if method == "3cosadd":
        return _cosines(unit(three_cos_add(a, b, c)), candidates)
    if method == "3cosavg":
        return _cosines(unit(c + direction(a, b)), candidates)
    near_c = _cosines(c, candidates)
    if method == "lrcos":
        return near_c * b_likeness(candidates, a, b, seed=seed, random=random)
    near_a, near_b = _cosines(a, candidates), _cosines(b, candidates)
    if method == "3cosmul":
        return three_cos_mul(near_a, near_b, near_c)
    step = b - a
    lengths = np.linalg.norm(step, axis=1, keepdims=True)
    at_c = (c * step).sum(axis=1, keepdims=True)
    directed = pair_direction(near_a, near_b, near_c, at_c)
    directed /= np.where(lengths > 0, lengths, 1)
    return directed


def scores(method: str, candidates: Rows, a: Rows, b: Rows, c: Rows, *, seed: int = 0) -> Rows:
    """The scores of candidates ``(n, dim)`` for one question, float32 ``(n,)``, higher is better.

    ``a`` and ``b`` are ``(dim,)``, or the known pairs ``(pairs, dim)`` for 3CosAvg and LRCos; ``c`` is ``(dim,)``.
    """
    found: Rows = batch_scores(method, candidates, np.atleast_2d(a), np.atleast_2d(b), c[None], seed=seed)[0]
    return found


def _cosines(rows: Rows, candidates: Rows) -> Rows:
    found: Rows = rows @ candidates.T
    return found


# -- one question, answered ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """One candidate in its place: its ``rank`` from 1, its score by the method, and its item's id, where it has one."""

    rank: int
    score: float
    label: str
    id: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields; the id only where there is one."""
        record: dict[str, Any] = {"rank": self.rank, "score": round(self.score, 6), "answer": self.label}
        return record if self.id is None else record | {"id": self.id}


@dataclass(frozen=True, slots=True)
class Answers:
    """What answers a question, best first, and what an honest reading of it needs.

    ``question`` reads ``man : king :: woman : ?``, and ``c`` is its last term. ``inputs`` were left out of
    ``answers``, or are none where they were allowed; ``allowed`` is the first answer where nothing is left out,
    ``nearest`` the candidate nearest to c, and its cosine, whatever a and b are (Linzen 2016): an analogy has to beat
    it. ``known`` is the pair that c belongs to, where the relation was fitted with it: then the answer was no secret.
    ``remarks`` are lines about words of the terms and of the candidates that have no part in their vectors.
    """

    question: str
    c: str
    method: str
    space: Space
    candidates: int
    answers: tuple[Answer, ...]
    inputs: tuple[str, ...]
    allowed: Answer
    nearest: Answer | None
    known: Pair | None = None
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it, for ``-f json``."""
        return {
            "question": self.question,
            "method": self.method,
            "space": self.space.model,
            "candidates": self.candidates,
            "inputs_left_out": list(self.inputs),
            "answers": [answer.to_json() for answer in self.answers],
            "first_with_inputs": self.allowed.to_json(),
            "nearest_to_c": self.nearest.to_json() if self.nearest else None,
            "fitted_with": str(self.known) if self.known else None,
        } | ({"remarks": list(self.remarks)} if self.remarks else {})


def solve(
    candidates: Candidates,
    *terms: str | Term,
    relation: Relation | None = None,
    method: str | None = None,
    strength: float = 1.0,
    k: int = 10,
    with_inputs: bool = False,
    seed: int = 0,
) -> Answers:
    """The ``k`` best answers to a : b :: c : ?, or to c in a relation.

    ``terms`` are a, b, c, or c alone with a ``relation``; each is a ``Term`` or the label of a candidate. Without a
    ``method``, 3CosAdd answers the one and 3CosAvg the other; ``strength`` is how often that takes the relation's
    offset. The terms themselves are left out of the answers, unless ``with_inputs``. ``seed`` draws LRCos's random
    words. Raises ``UsageError``, and ``SpaceMismatch`` for a relation of another space.

    >>> from analogon.analogies.candidates import Candidates
    >>> from embed.space import Vectors
    >>> rows = np.array([[0, 0, 1], [0, 4, 3], [4, 0, 3], [4, 3, 3]], np.float32)
    >>> words = Candidates(("man", "woman", "king", "queen"), Vectors(Space("toy:3", "", "", 3), unit(rows)))
    >>> found = solve(words, "man", "king", "woman")
    >>> found.question, found.answers[0].label, found.allowed.label, found.nearest.label
    ('man : king :: woman : ?', 'queen', 'queen', 'queen')
    """
    method = method or ("3cosavg" if relation else "3cosadd")
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    _check(len(terms), relation, method, strength)
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}")
    given = [candidates.term(term) if isinstance(term, str) else term for term in terms]
    c = given[-1]
    units = candidates.vectors.array
    if relation is None:
        question = f"{given[0].label} : {given[1].label} :: {c.label} : ?"
        found = scores(method, units, given[0].vector, given[1].vector, c.vector)
    else:
        relation.within(candidates.vectors.space)
        times = "" if strength == 1 else f", strength {strength:g}"
        count = "1 pair" if len(relation.pairs) == 1 else f"{len(relation.pairs)} pairs"
        question = f"{relation.name} ({count}{times}) :: {c.label} : ?"
        if method == "3cosavg":
            found = units @ relation.apply(c.vector, strength)
        else:
            found = scores(method, units, relation.starts, relation.ends, c.vector, seed=seed)
    same = [candidates.same(term) for term in given]
    inputs = np.logical_or.reduce(same)
    there = ~inputs if not with_inputs else np.ones(len(units), bool)
    near_c = units @ c.vector

    def answers(ranked: Rows, among: npt.NDArray[np.bool_], most: int) -> tuple[Answer, ...]:
        rows = np.flatnonzero(among)
        best = rows[np.argsort(-ranked[rows], kind="stable")[:most]]
        ids = candidates.ids
        return tuple(
            Answer(rank, float(ranked[row]), candidates.labels[row], None if ids is None else int(ids[row]))
            for rank, row in enumerate(best.tolist(), 1)
        )

    return Answers(
        question,
        c.label,
        method,
        candidates.vectors.space,
        len(units),
        answers(found, there, k),
        () if with_inputs else tuple(dict.fromkeys(term.label for term in given)),
        answers(found, np.ones(len(units), bool), 1)[0],
        next(iter(answers(near_c, ~same[-1], 1)), None),
        next((pair for pair in relation.pairs if c.label in (pair.a, pair.b)), None) if relation else None,
        tuple(dict.fromkeys([line for term in given for line in term.remarks] + list(candidates.remarks))),
    )


def _check(terms: int, relation: Relation | None, method: str, strength: float) -> None:
    """Raise ``UsageError`` for what does not go together."""
    if relation is None and method in BY_PAIRS:
        raise UsageError(f"{NAMES[method]} learns from several pairs: give a relation or a table of pairs, and c alone")
    if relation is not None and method in BY_QUESTION:
        raise UsageError(f"{NAMES[method]} takes one pair: give a, b and c; {' and '.join(BY_PAIRS)} take a relation")
    if terms != (3 if relation is None else 1):
        wanted = "three terms, a b c" if relation is None else "one term, c, since the relation stands for a and b"
        raise UsageError(f"an analogy takes {wanted}; {terms} were given")
    if not math.isfinite(strength):
        raise UsageError(f"a strength is a finite number, not {strength}")
    if strength != 1 and method != "3cosavg":
        raise UsageError(f"a strength goes with a relation and 3CosAvg, not with {NAMES[method]}")
