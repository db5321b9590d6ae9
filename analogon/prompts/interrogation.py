"""Interrogation: a prompt for a recording or a picture, made of the phrases of a bank that describe it best.

After pharmapsychotic's CLIP Interrogator (2022), on banks of our own (``analogon.phrases``): the phrases of each kind
that are nearest to what is asked about are shortlisted, then the one that raises the score of the whole text most is
appended, again and again. The text is encoded anew as a whole each time: two phrases that say the same gain little.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from analogon import phrases as banks
from analogon.prompts import Prompt, Source
from analogon.search.background import phrase_vectors
from analogon.settings.shelf import Shelf
from analogon.vectors.geometry import reject, unit
from embed.encoder import Encoder
from embed.errors import AnalogonError, MediaError, UnsupportedModality, UsageError
from embed.media import Media, check_readable
from embed.pipeline import encode
from embed.space import Space

__all__ = [
    "ENDINGS",
    "LIMIT",
    "MIN_GAIN",
    "SHORTLIST",
    "Appended",
    "Bank",
    "Ending",
    "Interrogation",
    "interrogate",
    "read_bank",
]

Row = npt.NDArray[np.float32]
Ending = Literal["gain", "phrases", "words", "full", "bank"]
"""Why no phrase was added any more: none raises the score by enough, as many phrases or words as were allowed, the
text encoder reads no further, or the shortlist is used up."""
ENDINGS: Final[Mapping[Ending, str]] = {
    "gain": "no other phrase raises it enough",
    "phrases": "as many phrases as were asked for (`limit`)",
    "words": "as many words as were asked for (`words`)",
    "full": "the text encoder reads no further",
    "bank": "no more phrases in the bank",
}
"""Each reason in words."""

SHORTLIST: Final = 4
"""Phrases of each kind that may be appended."""
LIMIT: Final = 8
"""Phrases of a prompt."""
MIN_GAIN: Final = 0.04
"""The smallest gain for which a phrase is appended, as a share of the score before it: some spaces' cosines are small.

Chosen on recordings with descriptions (benchmarks/interrogation_settings.py): phrases that gain less make a prompt less
like the description.
"""
UNREAD: Final = 1e-6  # change of a vector that is float32's rounding: the encoder did not see what was appended
BANKS: Final = Shelf("bank")


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Phrases, the kind of each, and their unit vectors in one space, float32 ``(n, dim)``.

    A phrase that is of several kinds counts as one of the first; those that the encoder has no vector for are not here.
    """

    space: Space
    phrases: tuple[str, ...]
    kinds: tuple[str, ...]
    rows: Row = field(repr=False)

    @classmethod
    def of(cls, encoder: Encoder, kinds: Mapping[str, Sequence[str]], *, keep: bool = False) -> Bank:
        """Encode the phrases of each kind; ``keep`` reads them from a cache in ``config.home()``, or writes it.

        Raises ``UnsupportedModality`` for an encoder that takes no text, and ``UsageError`` where it knows no phrase.
        """
        _check_texts(encoder)
        kind_of: dict[str, str] = {}
        for kind, some in kinds.items():
            for phrase in filter(None, map(str.strip, some)):
                kind_of.setdefault(phrase, kind)
        if not kind_of:
            raise UsageError("the bank is empty: a phrase a line is needed")
        vector_of = _kept(encoder, tuple(kind_of)) if keep else phrase_vectors(encoder, tuple(kind_of))
        known = tuple(phrase for phrase in kind_of if vector_of[phrase].any())
        if not known:
            raise UsageError(f"{encoder.space.model} knows no word of the bank's {len(kind_of)} phrases")
        rows = np.stack([vector_of[phrase] for phrase in known])
        return cls(encoder.space, known, tuple(kind_of[phrase] for phrase in known), rows)

    def __len__(self) -> int:
        return len(self.phrases)

    def shortlist(self, target: Row, per_kind: int) -> npt.NDArray[np.int64]:
        """The ``per_kind`` phrases of each kind with the highest ``rows @ target``, best first; of equals the first."""
        scores = self.rows @ target
        seen: dict[str, int] = {}
        chosen = []
        for index in np.argsort(-scores, kind="stable"):
            kind = self.kinds[index]
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] <= per_kind:
                chosen.append(index)
        return np.array(chosen, np.int64)


@dataclass(frozen=True, slots=True)
class Appended:
    """A phrase of a prompt, in the order in which they were appended.

    ``cosine`` is the phrase's own with what was asked about, ``other`` with what that was held against. ``score`` is
    that of the prompt up to here and ``gain`` what this phrase added to it; the first one's gain is its score.
    """

    phrase: str
    kind: str
    cosine: float
    gain: float
    score: float
    other: float | None = None

    def to_json(self) -> dict[str, Any]:
        numbers = {"cosine": self.cosine, "other": self.other, "gain": self.gain, "score": self.score}
        rounded = {key: None if value is None else round(value, 6) for key, value in numbers.items()}
        return {"phrase": self.phrase, "kind": self.kind} | rounded


@dataclass(frozen=True, slots=True)
class Interrogation:
    """What a prompt was made of, and why it ends there; ``space`` names the encoder.

    ``similarity`` is the cosine of what was asked about with what that was held against, 0 where it is below.
    """

    space: str
    appended: tuple[Appended, ...]
    ended: Ending
    similarity: float | None = None

    @property
    def text(self) -> str:
        """The prompt: its phrases with commas between."""
        return ", ".join(one.phrase for one in self.appended)

    @property
    def score(self) -> float:
        """The prompt's own, as ``interrogate`` says; 0 where it is empty."""
        return self.appended[-1].score if self.appended else 0.0

    def prompt(self, name: str) -> Prompt:
        """The text as a prompt; ``name`` says what was asked about."""
        return Prompt(self.text, because=(Source(name, self.score),))

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "score": round(self.score, 6),
            "space": self.space,
            "alike": None if self.similarity is None else round(self.similarity, 6),
            "phrases": [one.to_json() for one in self.appended],
            "ended": self.ended,
        }


def interrogate(
    encoder: Encoder,
    asked: Media | Row,
    bank: Bank | Mapping[str, Sequence[str]] | None = None,
    *,
    against: Media | Row | None = None,
    shortlist: int = SHORTLIST,
    limit: int = LIMIT,
    words: int | None = None,
    min_gain: float = MIN_GAIN,
) -> Interrogation:
    """A prompt for a medium, or for a unit vector ``(dim,)`` of the encoder's space.

    The score of a text is its cosine with ``asked``. With ``against`` it is the product with what is left of ``asked``
    where the direction of ``against`` is taken out: the cosine with ``asked`` less ``similarity`` times that with
    ``against``, where ``similarity`` is the cosine of the two (nothing is taken off where that is below 0). What fits
    both gains nothing then; the plain difference of the two cosines would also be raised by phrases that fit neither,
    but ``against`` least. A medium longer than the encoder's window is the mean of its windows. ``bank`` are
    phrases by kind, our own for the medium's modality unless others are given (for a vector all of them). Of each kind
    ``shortlist`` phrases may be appended, ``limit`` phrases and ``words`` words in all. It ends earlier
    where no phrase gains a share ``min_gain`` of the score before it, and where the text encoder reads no further. The
    first phrase needs no gain, unless there is something to hold it ``against``: then the prompt may be empty.

    Raises ``UnsupportedModality``, ``MediaError``, and ``UsageError`` where there is no phrase, or where ``asked`` and
    ``against`` are the same to the encoder.
    """
    if min(shortlist, limit) < 1 or (words is not None and words < 1):
        raise UsageError("an interrogation needs at least one phrase of a kind, one phrase and one word in all")
    if not 0 <= min_gain < np.inf:
        raise UsageError(f"the least gain is a share from 0, not {min_gain}")
    _check_texts(encoder)
    vector = _vector(encoder, asked)
    other = None if against is None else _vector(encoder, against)
    # Of two that are unlike nothing is to be taken off, and of opposites nothing to be added.
    target = vector if other is None or vector @ other <= 0 else reject(vector, other)
    if not target.any():
        raise UsageError(f"the two are the same to {encoder.space.model}: nothing tells one from the other")
    if bank is None:
        bank = banks.kinds(asked.modality if isinstance(asked, Media) else "text")
    if not isinstance(bank, Bank):
        bank = Bank.of(encoder, bank)
    encoder.space.check(bank.space)
    left = list(bank.shortlist(target, shortlist))
    appended: list[Appended] = []
    text, row = "", np.zeros_like(vector)
    ended: Ending = "phrases"
    while len(appended) < limit:
        left = [index for index in left if words is None or _words(text) + _words(bank.phrases[index]) <= words]
        if not left:
            ended = "bank" if words is None else "words"
            break
        texts = [f"{text}, {bank.phrases[index]}" if text else bank.phrases[index] for index in left]
        rows = _joint(encoder, texts) if text else bank.rows[left]
        if text and len(left) > 1 and np.abs(rows - row).max() < UNREAD:
            ended = "full"
            break
        scores = np.where(rows.any(axis=1), rows @ target, -np.inf)
        best = int(np.argmax(scores))
        before = appended[-1].score if appended else 0.0
        gain = float(scores[best]) - before
        if (gain <= 0 or gain < min_gain * abs(before)) and (appended or other is not None):
            ended = "gain"
            break
        index, text, row = left.pop(best), texts[best], rows[best]
        own = bank.rows[index]
        appended.append(
            Appended(
                bank.phrases[index],
                bank.kinds[index],
                float(own @ vector),
                gain,
                float(scores[best]),
                None if other is None else float(own @ other),
            )
        )
    alike = None if other is None else max(0.0, float(vector @ other))
    return Interrogation(encoder.space.model, tuple(appended), ended, alike)


def _check_texts(encoder: Encoder) -> None:
    if "text" not in encoder.modalities:
        sides = ", ".join(sorted(encoder.modalities))
        raise UnsupportedModality(
            f"{encoder.space.model} encodes {sides}, no text: nothing can be said in its space; `encoder` names another"
        )


def _vector(encoder: Encoder, asked: Media | Row) -> Row:
    """A unit vector. Raises ``UsageError`` for one that is not of the space, or has no direction."""
    if isinstance(asked, Media):
        found: Row = encode(encoder, [asked], query=True).array[0]
        return found
    row = np.asarray(asked, np.float32)
    if row.shape != (encoder.space.dim,) or not np.isfinite(row).all() or not row.any():
        raise UsageError(f"{encoder.space.model} wants a finite vector of {encoder.space.dim} numbers, not all zero")
    return unit(row)


def _joint(encoder: Encoder, texts: Sequence[str]) -> Row:
    found = phrase_vectors(encoder, texts)
    return np.stack([found[text] for text in texts])


def _words(text: str) -> int:
    return len(text.split())


def read_bank(paths: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Phrases by kind from files of one's own: a phrase a line, ``#`` before a remark; the file's name is the kind.

    A folder stands for the ``.txt`` files in it. Raises ``MediaError`` for what cannot be read, ``UsageError`` for a
    folder without such files.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path in paths:
        files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{path} holds no .txt file of phrases, one a line")
        for file in files:
            check_readable(file)
            try:
                lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
            except (OSError, UnicodeDecodeError):
                raise MediaError(str(file), "is not a bank of phrases: UTF-8 text with one on each line") from None
            some = (line for line in lines if line and not line.startswith("#"))
            found[file.stem] = tuple(dict.fromkeys([*found.get(file.stem, ()), *some]))
    return found


# -- what encoding a bank costs is paid once --------------------------------------------------------------------------


def _kept(encoder: Encoder, phrases: tuple[str, ...]) -> dict[str, Row]:
    """The vectors of phrases, from the cache where it has them; zeros for one of which the encoder knows no word."""
    key = json.dumps([encoder.space.id, phrases], ensure_ascii=False).encode("utf-8", "surrogatepass")
    name = f"{encoder.space.id}-{hashlib.blake2b(key, digest_size=6).hexdigest()}"
    if BANKS.path(name).is_file():
        try:
            rows = BANKS.get(name).arrays["rows"]
        except (AnalogonError, KeyError):
            rows = np.zeros(0)
        if rows.shape == (len(phrases), encoder.space.dim) and rows.dtype == np.float32 and np.isfinite(rows).all():
            return dict(zip(phrases, rows, strict=True))
    found = phrase_vectors(encoder, phrases)
    with suppress(OSError):  # a cache that finds no place is made again
        BANKS.put(name, {"model": encoder.space.model}, {"rows": np.stack([found[phrase] for phrase in phrases])})
    return found
