"""a is to b as c is to what, and the relations that several pairs have in common: solved, fitted, kept and drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analogon.service.filling import opened
from analogon.service.listing import Forgotten, Listing
from analogon.service.request import Request
from analogon.transforms.relation import Pair, Relation, check_name
from analogon.voices.voices import short_model
from embed.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from analogon.analogies.candidates import Candidates, Source, Term
    from analogon.analogies.fit import Fitted
    from analogon.analogies.methods import Answers
    from analogon.search.library import Library

    Rows = npt.NDArray[np.float32]

__all__ = [
    "ApplyRelation",
    "FitRelation",
    "ListRelations",
    "RelationPairs",
    "RemoveRelation",
    "ShowRelation",
    "SolveAnalogy",
    "SolvedAnalogy",
]


# -- where terms and candidates come from ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _InSpace(Request):
    """Where terms are encoded: by word vectors (``words``), by an ``encoder``, or in a ``collection``.

    ``words`` is a word2vec, GloVe or .vec file, or a folder with words.txt. Of a collection ``to`` is the modality that
    is meant, and ``spaces`` are the encoders whose spaces may be asked. A relation that was kept knows its own encoder.
    """

    words: str | None = None
    encoder: str | None = None
    collection: str | None = None
    to: str | None = None
    spaces: tuple[str, ...] = ()

    @contextmanager
    def source(
        self, library: Library | None, candidates: Path | None = None, kept: Relation | None = None
    ) -> Iterator[Source]:
        """What encodes terms and has candidates. Raises ``UsageError``; ``SpaceMismatch`` for ``kept`` elsewhere."""
        from analogon.analogies.candidates import CollectionSource, EncoderSource

        inside = library is not None or self.collection is not None
        if self.words is not None and (self.encoder is not None or inside):
            raise UsageError("`words` names an encoder of its own: leave out `encoder` and `collection`")
        if inside:
            if self.encoder is not None:
                raise UsageError("a collection has its own encoders: `spaces` chooses among them, not `encoder`")
            if candidates is not None:
                raise UsageError("a collection's own items answer: leave out `candidates`, or `collection`")
            with opened(self.collection, library) as found, found.collection.snapshot():
                source: Source = CollectionSource(found, self.to, self.spaces)
                if kept is not None:
                    kept.within(source.space)
                yield source
            return
        if self.to is not None or self.spaces:
            which = "to" if self.to is not None else "spaces"
            raise UsageError(f"`{which}` chooses among the items of a collection: name it with `collection`")
        name: str | Mapping[str, Any] | None = self.encoder
        if self.words is not None:
            name = f"words:{self.words}"
        elif name is None and kept is not None:
            name = kept.encoder
        if name is None:
            raise UsageError(
                "say where to look: `words=FILE`, `encoder=NAME` with `candidates=LIST`, or `collection=COLLECTION`"
            )
        source = EncoderSource(name, candidates)
        if kept is not None:
            kept.within(source.space)
        yield source


# -- analogies -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SolvedAnalogy:
    """The answers, what is to be said of a table of pairs that stood for a and b, and the picture that was drawn."""

    answers: Answers
    notes: tuple[str, ...] = ()
    picture: str | None = None

    def to_json(self) -> dict[str, Any]:
        return self.answers.to_json() | {"notes": list(self.notes), "picture": self.picture}


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveAnalogy(_InSpace):
    """a : b :: c : ?, over the words of a file, the texts of a list (``candidates``), or the items of a collection.

    ``terms`` are a, b and c, or c alone where a ``relation`` that was kept, or a table of ``pairs`` with its two
    ``columns``, stands for a and b; each is a text, a file (./him.wav) or an item (id:12). ``method`` is 3cosadd,
    3cosmul or pairdirection, with pairs 3cosavg or lrcos, whose random candidates ``seed`` draws. ``with_inputs`` lets
    the terms themselves answer. ``plot`` is a .png, .svg or .pdf file to draw the pairs and the first answer into, by
    ``projection``: pca, or relation.
    """

    terms: tuple[str, ...]
    candidates: Path | None = None
    method: str | None = None
    relation: str | None = None
    pairs: Path | None = None
    columns: tuple[str, ...] = ()
    k: int = 10
    with_inputs: bool = False
    seed: int = 0
    plot: Path | None = None
    projection: str = "pca"

    def run(self, library: Library | None = None) -> SolvedAnalogy:
        """Answer it. ``library`` is ``collection`` where the caller has it open.

        Raises ``UsageError``, ``MediaError``, ``SpaceMismatch``, and ``MissingPackage`` where a picture needs one.
        """
        from analogon.analogies.fit import fit_relation
        from analogon.analogies.methods import solve

        if self.relation is not None and self.pairs is not None:
            raise UsageError("`relation` and `pairs` both stand for a and b: give one of them")
        _check_plot(self.plot, self.projection)
        kept = None if self.relation is None else Relation.load(self.relation)
        with self.source(library, self.candidates, kept) as source:
            fitted = None
            if self.pairs is not None:
                fitted = fit_relation(self.pairs.stem, source, self.pairs, self.columns)
            known = fitted.relation if fitted else kept
            room = source.candidates()
            given = [source.term(term) for term in self.terms]
            found = solve(
                room,
                *given,
                relation=known,
                method=self.method,
                k=self.k,
                with_inputs=self.with_inputs,
                seed=self.seed,
            )
        drawn = None
        if self.plot is not None and found.answers:
            _draw_answer(self.plot, self.projection, found, known, given, room)
            drawn = str(self.plot)
        return SolvedAnalogy(found, fitted.notes if fitted else (), drawn)


# -- relations -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRelation(_InSpace):
    """A relation learnt from the pairs of a ``table``, and kept under a ``name``; one that had it is replaced.

    ``columns`` are the two that hold the pairs; without them a and b, or the first two.
    """

    table: Path
    name: str
    columns: tuple[str, ...] = ()

    def run(self, library: Library | None = None) -> Fitted:
        """Fit and keep it; the notes say what was left out. Raises ``UsageError`` where no pair is left."""
        from analogon.analogies.fit import fit_relation

        check_name(self.name)
        with self.source(library) as source:
            fitted = fit_relation(self.name, source, self.table, self.columns)
        fitted.relation.save()
        return fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRelations(Request):
    """Every relation that is kept."""

    def run(self) -> Listing[Relation]:
        """By name, with their measures."""
        damaged: list[str] = []
        return Listing(tuple(Relation.listing(damaged.append)), tuple(damaged))


@dataclass(frozen=True, slots=True)
class RelationPairs:
    """A relation with its pairs, and the picture of it that was drawn."""

    relation: Relation
    picture: str | None = None

    def to_json(self) -> dict[str, Any]:
        one = self.relation
        pairs = [
            {"a": pair.a, "b": pair.b, "fit": round(float(fit), 6)}
            for pair, fit in zip(one.pairs, one.fits, strict=True)
        ]
        return {**one.to_json(), "items": pairs}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowRelation(Request):
    """A relation's pairs, and how well each goes with the others; drawn into a file where ``plot`` names one."""

    name: str
    plot: Path | None = None
    projection: str = "pca"

    def run(self) -> RelationPairs:
        """Look it up, and draw it. Raises ``UsageError`` where there is none, or no such picture."""
        from analogon.analogies.plot import draw

        _check_plot(self.plot, self.projection)
        one = Relation.load(self.name)
        if self.plot is None:
            return RelationPairs(one)
        draw(self.plot, one.pairs, one.starts, one.ends, title=_title(one), projection=self.projection)
        return RelationPairs(one, str(self.plot))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRelation(_InSpace):
    """What a relation leads to from a ``term``: a text, a file or an item; ``strength`` -1 goes back."""

    name: str
    term: str
    strength: float = 1.0
    candidates: Path | None = None
    k: int = 10
    with_inputs: bool = False

    def run(self, library: Library | None = None) -> SolvedAnalogy:
        """Apply it. Raises ``UsageError``, ``MediaError``, and ``SpaceMismatch`` where it was fitted elsewhere."""
        from analogon.analogies.methods import solve

        kept = Relation.load(self.name)
        with self.source(library, self.candidates, kept) as source:
            given = source.term(self.term)
            found = solve(
                source.candidates(),
                given,
                relation=kept,
                strength=self.strength,
                k=self.k,
                with_inputs=self.with_inputs,
            )
        return SolvedAnalogy(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRelation(Request):
    """A relation to forget."""

    name: str

    def run(self) -> Forgotten:
        """Forget it. Raises ``UsageError`` where there is none."""
        Relation.remove(self.name)
        return Forgotten(self.name)


# -- pictures --------------------------------------------------------------------------------------------------------


def _check_plot(plot: Path | None, projection: str) -> None:
    """Complain of a picture that cannot be drawn before anything is encoded."""
    from analogon.analogies.plot import check_plot

    if plot is not None:
        check_plot(plot, projection)


def _title(one: Relation) -> str:
    ocs = "-" if one.ocs is None else f"{one.ocs:.2f}"
    return f"{one.name}: {short_model(one.space)}, n = {len(one.pairs)}, OCS {ocs}"


def _draw_answer(
    plot: Path, projection: str, found: Answers, known: Relation | None, given: Sequence[Term], room: Candidates
) -> None:
    """Draw the known pairs and, dashed, the one that was found."""
    import numpy as np

    from analogon.analogies.plot import draw

    best = found.answers[0]
    row = room.find(best.label) if room.ids is None else room.ids.tolist().index(best.id)
    asked, c = Pair(given[-1].label, best.label), given[-1].vector
    if known is not None:
        pairs, starts, ends, title = list(known.pairs), known.starts, known.ends, _title(known)
    else:
        pairs = [Pair(given[0].label, given[1].label)]
        starts, ends = given[0].vector[None], given[1].vector[None]
        title = f"{found.question.rstrip('?')}{best.label}?  {short_model(found.space)}"
    draw(
        plot,
        [*pairs, asked],
        np.concatenate([starts, c[None]]),
        np.concatenate([ends, room.vectors.array[row][None]]),
        title=title,
        note="dashed: the first answer",
        projection=projection,
        answered=[len(pairs)],
    )
