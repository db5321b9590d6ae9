"""What a dialect of prompts is: its fields, its limits, and what it cannot say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from analogon.prompts.dialects.phrases import Joins

__all__ = ["Composed", "Dialect", "Limit", "estimated_tokens"]

Vocabulary = Literal["CLIP", "T5", "BERT"]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many characters, or tokens of a vocabulary besides those that mark the start and the end."""

    most: int
    tokens_of: Vocabulary | None = None

    @property
    def unit(self) -> str:
        return "characters" if self.tokens_of is None else "tokens"

    def __str__(self) -> str:
        return f"{self.most:,} {self.unit}" + (f" of {self.tokens_of}" if self.tokens_of else "")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one generator, or one family of them, wants to be asked."""

    name: str
    description: str
    """One line."""
    joins: Joins = "text"
    field: str = "prompt"
    """What its field for the prompt is called."""
    limit: Limit | None = None
    negative: str | None = None
    """What its field for what is not wanted is called; None where there is none."""
    negative_limit: Limit | None = None
    lyrics: Limit | None = None
    """Of the field "lyrics"; None where nothing is sung."""
    seconds: float | None = None
    """The longest output that it makes at once; None where there is no such limit, or none that is known."""
    timed: bool = True
    """Whether a length can be asked."""
    weights: bool = False
    """Whether phrases can carry weights, written ``(phrase:1.2)``."""
    spoken: bool = False
    """Whether the prompt is read aloud, rather than a description."""
    wants_no_names: bool = False
    """Whether names of artists are refused."""
    advice: str = ""
    """What its makers advise, in one line."""

    @property
    def limits(self) -> dict[str, str]:
        """Every limit in words, by the name of its field."""
        found = {}
        if self.limit is not None:
            found[self.field] = str(self.limit)
        if self.negative is not None and self.negative_limit is not None:
            found[self.negative] = str(self.negative_limit)
        if self.lyrics is not None:
            found["lyrics"] = str(self.lyrics)
        if self.seconds is not None:
            found["length"] = f"{self.seconds:g} s"
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "limits": self.limits,
            "negative": self.negative,
            "weights": self.weights,
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True)
class Composed:
    """A prompt as one dialect says it: what goes into each field, in order, and what could not be said."""

    dialect: str
    fields: Mapping[str, str]
    remarks: tuple[str, ...] = ()
    """What was cut, what cannot be said there, what to know: one line each."""
    seconds: float | None = None
    """The length to ask for, within the dialect's limit; None where none was asked."""

    @property
    def text(self) -> str:
        """What is pasted: the only field as it is, several with their names above them."""
        if len(self.fields) == 1:
            return next(iter(self.fields.values()))
        return "\n\n".join(f"{name}:\n{text}" for name, text in self.fields.items())

    def to_json(self) -> dict[str, Any]:
        return {
            "dialect": self.dialect,
            "fields": dict(self.fields),
            "remarks": list(self.remarks),
            "seconds": self.seconds,
        }


TOKEN: Final = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")


def estimated_tokens(text: str) -> int:
    """A cautious guess at how many tokens CLIP's, T5's or BERT's vocabulary makes of a text, without the vocabulary.

    A common English word is one token, a long or rare one several; each digit and mark counts as one, and a letter
    outside of ASCII as many as it has bytes, of which byte pairs are made. It was below CLIP's own count for 0.1 % of
    MusicCaps' captions and 3 % of PartiPrompts, which are shorter and have rarer words.

    >>> estimated_tokens("warm rhodes chords, vinyl crackle")
    7
    """
    return sum(_tokens(found.group()) for found in TOKEN.finditer(text))


def _tokens(word: str) -> int:
    if not word.isascii():
        return len(word.encode())
    return 1 + max(0, len(word) - 3) // 4
