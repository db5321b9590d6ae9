"""Figures that hold up: of analogies, of retrieval, and of sets of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analogon.service.filling import opened
from analogon.service.request import Request
from analogon.settings import config, defaults
from embed.errors import UsageError
from embed.listener import Listener
from embed.media import Media, check_readable
from embed.models import shared

if TYPE_CHECKING:
    from analogon.analogies.evaluation import Result, Vocabulary
    from analogon.evaluation.audio_distance import Comparison
    from analogon.evaluation.retrieval import Direction
    from analogon.search.library import Library

__all__ = [
    "CompareRecordings",
    "ComparedRecordings",
    "EvaluateAnalogies",
    "EvaluateRetrieval",
    "EvaluatedAnalogies",
    "EvaluatedRetrieval",
]

CASES: Final = ("ignore", "exact")


# -- analogies -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EvaluatedAnalogies:
    """A result for each section and last the one of all, among so many ``words``.

    ``left_out`` are lines on the lines of the questions that are none, ``unencoded`` on candidates that have no vector.
    ``remark`` says which words of the candidates the encoder does not know.
    """

    results: tuple[Result, ...]
    words: int
    left_out: tuple[str, ...] = ()
    unencoded: tuple[str, ...] = ()
    remark: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "results": [one.to_json() for one in self.results],
            "words": self.words,
            "left_out": list(self.left_out),
            "unencoded": list(self.unencoded),
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateAnalogies(Request):
    """A file of questions like word2vec's questions-words.txt, or a folder like BATS, asked by one or more ``methods``.

    They are asked of word vectors (``words``), or of an ``encoder`` of texts, whose possible answers are the lines of
    ``candidates``, else the words of the questions. ``restrict`` is how many first words count. ``case`` is "ignore",
    as in gensim, or "exact".
    """

    questions: Path
    words: str | None = None
    encoder: str | None = None
    candidates: Path | None = None
    restrict: int = 300_000
    case: str = "ignore"
    methods: tuple[str, ...] = ("3cosadd", "3cosmul")

    def run(self) -> EvaluatedAnalogies:
        """Ask them. Raises ``UsageError`` and ``MediaError``."""
        from analogon.analogies.evaluation import Vocabulary, evaluate_analogies
        from analogon.analogies.methods import check_methods
        from analogon.analogies.questions import read_questions
        from embed.encoders.words import WordsEncoder

        methods = check_methods(self.methods)
        if self.case not in CASES:
            raise UsageError(f"`case` is {' or '.join(CASES)}, not {self.case}")
        if self.restrict < 1:
            raise UsageError(f"`restrict` is how many words count, 1 or more, not {self.restrict}")
        if (self.words is None) == (self.encoder is None):
            raise UsageError("name either word vectors with `words`, or an encoder of texts with `encoder`")
        if self.candidates is not None and self.encoder is None:
            raise UsageError("`candidates` goes with `encoder`; word vectors bring their own words")
        asked = read_questions(self.questions)
        unencoded: list[str] = []
        remark = None
        if self.encoder is None:
            vectors = shared(f"words:{self.words}")
            assert isinstance(vectors, WordsEncoder)
            vocabulary = Vocabulary.first(vectors, self.restrict, any_case=self.case == "ignore")
        else:
            texts = [word for one in asked.sections for entry in one.entries for word in (entry.word, *entry.answers)]
            vocabulary, remark = self._of_texts(self.encoder, texts, unencoded)
        results = evaluate_analogies(asked, vocabulary, methods)
        return EvaluatedAnalogies(tuple(results), len(vocabulary), asked.left_out, tuple(unencoded), remark)

    def _of_texts(self, encoder: str, texts: Sequence[str], unencoded: list[str]) -> tuple[Vocabulary, str | None]:
        """The vocabulary of an encoder of texts, and which words it does not know."""
        import numpy as np

        from analogon.analogies.evaluation import Vocabulary
        from embed.pipeline import Encoded, encode_stream

        if self.candidates is not None:
            check_readable(self.candidates)
            written = self.candidates.read_text("utf-8-sig", "replace").split("\n")
            texts = [line.strip() for line in written if line.strip()]
        texts = list(dict.fromkeys(texts))[: self.restrict]
        model = shared(encoder)
        if "text" not in model.modalities:
            raise UsageError(f"{encoder} takes {', '.join(sorted(model.modalities))}; analogies want texts")
        rows = {}
        # Question files write a name of several words with _ between them.
        media = [Media.from_text(word.replace("_", " ")) for word in texts]
        for result in encode_stream(model, media):
            if isinstance(result, Encoded):
                rows[result.index] = result.vector
            elif result.error is not None:
                unencoded.append(str(result.error))
        if not rows:
            raise UsageError(f"{encoder} could encode none of the {len(texts)} candidates")
        order = sorted(rows)
        matrix = np.stack([rows[i] for i in order])
        vocabulary = Vocabulary([texts[i] for i in order], matrix, any_case=self.case == "ignore")
        return vocabulary, model.remark(*(media[number] for number in rows))


# -- retrieval -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EvaluatedRetrieval:
    """Query to target and target to query, and a line for each row that could not be used."""

    directions: tuple[Direction, ...]
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"directions": [one.to_json() for one in self.directions], "skipped": list(self.skipped)}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRetrieval(Request):
    """How well queries find their targets in a collection, and targets their queries.

    ``pairs`` is a table; ``query`` and ``target`` are its columns, else the first and the next. ``to`` is the targets'
    modality, where a file may be several; ``spaces`` are the encoders whose spaces may be asked.
    """

    pairs: Path
    collection: str | None = None
    query: str | None = None
    target: str | None = None
    to: str | None = None
    spaces: tuple[str, ...] = ()

    def run(self, library: Library | None = None, listener: Listener | None = None) -> EvaluatedRetrieval:
        """Measure it. ``listener`` hears, as remarks, of rows that cannot be used. Raises ``UsageError``."""
        from analogon.evaluation.retrieval import PairTable, evaluate_retrieval

        listener = listener or Listener()
        skipped: list[str] = []

        def leave_out(line: str) -> None:
            skipped.append(line)
            listener.remark(line)
            listener.check()

        with opened(self.collection, library) as opened_:
            table = PairTable.of(self.pairs, self.query, self.target)
            found = evaluate_retrieval(opened_, table, to=self.to, spaces=self.spaces, skipped=leave_out)
        return EvaluatedRetrieval(tuple(found), tuple(skipped))


# -- recordings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ComparedRecordings:
    """The distances in each encoder's space, of ``whole`` recordings or of their windows."""

    comparisons: tuple[Comparison, ...]
    whole: bool
    seed: int
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"comparisons": list(self.rows()), "skipped": list(self.skipped)}

    def rows(self) -> tuple[dict[str, Any], ...]:
        """An object for each encoder, with how it was measured."""
        return tuple(one.to_json() | {"whole": self.whole, "seed": self.seed} for one in self.comparisons)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRecordings(Request):
    """How far ``recordings`` are from a ``reference``, as sets: KAD and FAD in the space of each of ``encoders``.

    Both are files, and folders with recordings. ``whole`` takes one vector for each recording, the mean of its windows;
    else every window counts. ``seed`` is of the reference's halves, and of other draws. Without encoders those of the
    settings are asked, or what hears best among those that can be had.
    """

    recordings: tuple[Path, ...]
    reference: tuple[Path, ...]
    encoders: tuple[str, ...] = ()
    whole: bool = False
    seed: int = 0

    def run(self, listener: Listener | None = None) -> ComparedRecordings:
        """Measure them. ``listener`` hears, as remarks, which encoder was chosen and what was skipped.

        Raises ``UsageError`` and ``UnsupportedModality``.
        """
        from analogon.evaluation.audio_distance import compare, encode_recordings, recordings_in

        listener = listener or Listener()
        told: dict[str, None] = {}

        def skipped(line: str) -> None:
            if line not in told:  # each encoder reads the files anew
                told[line] = None
                listener.remark(f"skipped {line}")
            listener.check()

        asked, among = (recordings_in(paths, listener.remark) for paths in (self.recordings, self.reference))
        for files, paths in ((asked, self.recordings), (among, self.reference)):
            if not files:
                raise UsageError(f"{', '.join(map(str, paths))}: there are no recordings")
        names = self.encoders or config.default_encoders()
        found = []
        for name in names or defaults.choose_encoders(frozenset({"audio"}), listener.remark):
            listener.check()
            model = shared(name)
            sets = [encode_recordings(model, files, whole=self.whole, skipped=skipped) for files in (among, asked)]
            found.append(compare(sets[0], sets[1], seed=self.seed))
        return ComparedRecordings(tuple(found), self.whole, self.seed, tuple(told))
