"""a is to b as c is to what: methods, candidates, relations fitted from tables, evaluation, pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embed.later import later

if TYPE_CHECKING:
    from analogon.analogies.candidates import Candidates, CollectionSource, EncoderSource, Term, read_candidates
    from analogon.analogies.evaluation import Result, Share, Vocabulary, evaluate, evaluate_analogies
    from analogon.analogies.fit import Fitted, fit_pairs, fit_relation
    from analogon.analogies.methods import METHODS, Answer, Answers, solve
    from analogon.analogies.plot import PROJECTIONS, draw, picture
    from analogon.analogies.questions import Entry, Questions, Section, read_questions
else:
    __getattr__, __dir__ = later(
        __name__,
        {
            "analogon.analogies.candidates": [
                "Candidates",
                "CollectionSource",
                "EncoderSource",
                "Term",
                "read_candidates",
            ],
            "analogon.analogies.evaluation": ["Result", "Share", "Vocabulary", "evaluate", "evaluate_analogies"],
            "analogon.analogies.fit": ["Fitted", "fit_pairs", "fit_relation"],
            "analogon.analogies.methods": ["METHODS", "Answer", "Answers", "solve"],
            "analogon.analogies.plot": ["PROJECTIONS", "draw", "picture"],
            "analogon.analogies.questions": ["Entry", "Questions", "Section", "read_questions"],
        },
    )

__all__ = [
    "METHODS",
    "PROJECTIONS",
    "Answer",
    "Answers",
    "Candidates",
    "CollectionSource",
    "EncoderSource",
    "Entry",
    "Fitted",
    "Questions",
    "Result",
    "Section",
    "Share",
    "Term",
    "Vocabulary",
    "draw",
    "evaluate",
    "evaluate_analogies",
    "fit_pairs",
    "fit_relation",
    "picture",
    "read_candidates",
    "read_questions",
    "solve",
]
