"""a is to b as c is to what, in one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from analogon.analogies.candidates import CollectionSource, EncoderSource
from analogon.analogies.methods import Answers, solve
from analogon.search.library import Library
from analogon.transforms.relation import Relation
from embed.inputs import encoder_of

__all__ = ["analogy"]


def analogy(
    *terms: str,
    model: Any,
    relation: Relation | str | None = None,
    candidates: str | os.PathLike[str] | None = None,
    to: str | None = None,
    method: str | None = None,
    strength: float = 1.0,
    k: int = 10,
    with_inputs: bool = False,
    seed: int = 0,
) -> Answers:
    """The ``k`` best answers to a : b :: c : ?, or to c in a ``relation``, and the baseline "nearest to c" beside them.

    ``model`` is word vectors or another encoder, as ``analogon.encode`` takes one, whose vocabulary answers, or the
    texts of ``candidates`` (a file with a text a line, or a table); or a library, whose items of the modality ``to``
    do. Terms are texts, paths of files, or ``id:N`` of a library. The rest is as ``analogon.analogies.methods.solve``
    has it. Reading a vocabulary and scoring all of it is what a call costs. Raises ``UsageError`` and ``MediaError``.
    """
    if isinstance(model, Library):
        source: CollectionSource | EncoderSource = CollectionSource(model, to)
    else:
        source = EncoderSource(encoder_of(model), None if candidates is None else Path(candidates))
    kept = Relation.load(relation) if isinstance(relation, str) else relation
    return solve(
        source.candidates(),
        *(source.term(term) for term in terms),
        relation=kept,
        method=method,
        strength=strength,
        k=k,
        with_inputs=with_inputs,
        seed=seed,
    )
