"""Texts as phrases with weights: cleaned, taken apart, fitted into a limit and put together again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

__all__ = ["Fitted", "Joins", "Phrase", "balanced", "clean", "clean_lines", "enclosed", "fit", "join", "split"]

Joins = Literal["text", "sentences", "tags"]
"""How phrases stand together: as they were written, as whole sentences, or as tags with commas between."""

# A full stop after a single letter ("e.g.", "J. S. Bach") ends no sentence, nor does one inside a number.
SENTENCE: Final = re.compile(r"(?:(?<!\b\w)[.]|[!?…])[\"')\]»”]*\s+|[。！？]\s*")
CLAUSE: Final = re.compile(r"[,;]\s+|[、，；]\s*")
MARK: Final = re.compile(r"(?:[,;、，；\s]+|(?<!\b\w)(?<![.。])[.。])$")
ENDS: Final = (".", "!", "?", "…", "。", "！", "？")
# Marks that turn the direction of writing: they have no width, and hide what is really pasted.
TURNS: Final = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of a prompt that is kept or left out as a whole."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fits, in the order of the input, and what was left out."""

    kept: tuple[Phrase, ...]
    cut: tuple[Phrase, ...]


def clean(text: str) -> str:
    """A text on one line, without control characters, lone surrogates and marks of direction.

    >>> clean(" warm\\x00 rhodes\\n\\tchords ")
    'warm rhodes chords'
    """
    return " ".join("".join(one for one in text if one.isspace() or not _control(one)).split())


def clean_lines(text: str) -> str:
    """The same with lines kept, and never two empty ones in a row."""
    lines = "\n".join(clean(line) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


def _control(one: str) -> bool:
    return unicodedata.category(one) in ("Cc", "Cs") or one in TURNS


def split(text: str, joins: Joins, weight: float = 1.0) -> list[Phrase]:
    """Take a cleaned text apart, at the ends of sentences, as tags at commas too. Nothing but ends gets lost."""
    sentences = list(_pieces(text, SENTENCE))
    if joins != "tags":
        return [Phrase(piece.strip(), weight) for piece in sentences if piece.strip()]
    found = []
    for sentence in sentences:
        for piece in _pieces(sentence, CLAUSE):
            if bare := _bare(piece):
                found.append(Phrase(bare, weight))
    return found


def _bare(piece: str) -> str:
    """A piece without the comma or the full stop that ended it; an abbreviation's stays, and so does an ellipsis."""
    piece = piece.lstrip(",;、，； ")
    while (shorter := MARK.sub("", piece)) != piece:
        piece = shorter
    return piece


def _pieces(text: str, end: re.Pattern[str]) -> Iterator[str]:
    """The text cut after each end that stands outside of parentheses; one that has no other protects nothing."""
    pairs = sorted(_pairs(text))
    start = closed = 0
    for found in end.finditer(text):
        while pairs and pairs[0][0] < found.start():
            closed = max(closed, pairs.pop(0)[1])
        if found.start() >= closed:
            yield text[start : found.end()]
            start = found.end()
    yield text[start:]


def balanced(text: str) -> str:
    """The text with a blank for each parenthesis that has no other.

    >>> balanced("a (b) c) (d")
    'a (b) c d'
    """
    kept = {place for pair in _pairs(text) for place in pair}
    return " ".join("".join(one if one not in "()" or place in kept else " " for place, one in enumerate(text)).split())


def enclosed(text: str) -> bool:
    """Whether one pair of parentheses stands around the whole text."""
    return (0, len(text) - 1) in _pairs(text)


def _pairs(text: str) -> list[tuple[int, int]]:
    """Where parentheses open and close; those escaped, as AUTOMATIC1111 reads them, belong to each other alone."""
    found = []
    waiting: dict[bool, list[int]] = {True: [], False: []}
    for one in re.finditer(r"[()]", text):
        escaped = text[one.start() - 1 : one.start()] == "\\"
        if one[0] == "(":
            waiting[escaped].append(one.start())
        elif waiting[escaped]:
            found.append((waiting[escaped].pop(), one.start()))
    return found


def join(phrases: Iterable[Phrase], joins: Joins) -> str:
    """Put phrases together: tags with commas, text as it was, and no phrase run into the next without a mark.

    >>> join([Phrase("warm rhodes"), Phrase("vinyl crackle"), Phrase("a slow beat drags on.")], "sentences")
    'Warm rhodes, vinyl crackle. A slow beat drags on.'
    """
    if joins == "tags":
        return ", ".join(phrase.text for phrase in phrases)
    text = ""
    for phrase in phrases:
        mark = "" if not text else " " if _ends(text) else ". " if _ends(phrase.text) else ", "
        text += mark
        text += _capital(phrase.text) if joins == "sentences" and mark != ", " else phrase.text
    return text if joins == "text" or not text or _ends(text) else text.rstrip(" ,;") + "."


def fit(phrases: Sequence[Phrase], put: Callable[[Sequence[Phrase]], str], fits: Callable[[str], bool]) -> Fitted:
    """Leave out the lightest phrases, of equal ones the last, until ``put(kept)`` fits.

    Where not even the heaviest phrase fits it is cut itself, at a comma, else between words. ``kept`` is empty where
    not even its first word fits.
    """
    ranked = sorted(range(len(phrases)), key=lambda i: (-phrases[i].weight, i))
    count = 0
    while count < len(ranked) and fits(put([phrases[i] for i in sorted(ranked[: count + 1])])):
        count += 1
    kept = tuple(phrases[i] for i in sorted(ranked[:count]))
    cut = tuple(phrases[i] for i in sorted(ranked[count:]))
    if kept or not phrases:
        return Fitted(kept, cut)
    first = phrases[ranked[0]]
    clauses = [piece for piece in _pieces(first.text, CLAUSE) if piece]
    pieces = clauses if len(clauses) > 1 and fits(put([_but(first, clauses[0])])) else re.findall(r"\S+\s*", first.text)
    length = 0
    while length < len(pieces) and fits(put([_but(first, "".join(pieces[: length + 1]))])):
        length += 1
    if not length:
        return Fitted((), tuple(phrases))
    rest = replace(first, text="".join(pieces[length:]).strip())
    others = tuple(phrases[i] for i in sorted(ranked[1:]))
    return Fitted((_but(first, "".join(pieces[:length])),), ((rest,) if rest.text else ()) + others)


def _but(phrase: Phrase, text: str) -> Phrase:
    return replace(phrase, text=text.strip().rstrip(",;、，；"))


def _ends(text: str) -> bool:
    return text.rstrip("\"')]»”").endswith(ENDS)


def _capital(text: str) -> str:
    first = text[0].upper()
    return first + text[1:] if len(first) == 1 else text  # not "ß", whose capital is two letters
