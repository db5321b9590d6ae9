"""What is asked of a generator, and the hits that it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from analogon.search.hits import Hit
from embed.errors import UsageError
from embed.later import later

if TYPE_CHECKING:
    from analogon.prompts import dialects
    from analogon.prompts.interrogation import Appended, Bank, Interrogation, interrogate, read_bank
    from analogon.prompts.selection import Chosen, Selection, select
else:
    __getattr__, __dir__ = later(
        __name__,
        {
            "analogon.prompts.dialects": [],
            "analogon.prompts.interrogation": ["Appended", "Bank", "Interrogation", "interrogate", "read_bank"],
            "analogon.prompts.selection": ["Chosen", "Selection", "select"],
        },
    )

__all__ = [
    "Appended",
    "Bank",
    "Chosen",
    "Interrogation",
    "Prompt",
    "Selection",
    "Source",
    "dialects",
    "interrogate",
    "read_bank",
    "read_prompts",
    "select",
]

# What requests read prompts as: a line of a selection has its rank and score beside the prompt.
LENIENT: Final[Mapping[str, Any]] = {"extra": "ignore"}


@dataclass(frozen=True, slots=True)
class Source:
    """A hit that a prompt comes from: what it is called (a path, or a row of a table), and its cosine."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = LENIENT

    name: str
    score: float
    text: str | None = None
    id: int | None = None

    @classmethod
    def of(cls, hit: Hit) -> Source:
        """A hit of a search as the source of a prompt."""
        return cls(hit.media.but(path=hit.path).name, hit.score, hit.media.text, hit.id)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "score": round(self.score, 6), "text": self.text, "id": self.id}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Source:
        """The inverse of ``to_json``. Raises ``KeyError``, ``TypeError`` and ``ValueError``."""
        return cls(str(fields["name"]), float(fields["score"]), fields.get("text"), fields.get("id"))


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text for a generator. ``weight`` is its share where several are mixed, ``because`` the hits it comes from."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = LENIENT

    text: str
    weight: float = 1.0
    because: tuple[Source, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "weight": self.weight, "because": [source.to_json() for source in self.because]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Prompt:
        """The inverse of ``to_json``; other fields are passed over. Raises as that of ``Source`` does."""
        if not isinstance(fields["text"], str):
            raise TypeError("its text should be a string")
        return cls(
            fields["text"], float(fields.get("weight", 1.0)), tuple(map(Source.from_json, fields.get("because", ())))
        )


def read_prompts(lines: Iterable[str], name: str = "prompts") -> Iterator[Prompt]:
    """Prompts a line each: plain text, or JSON as ``Prompt.to_json`` writes it; lines of blanks are passed over.

    ``name`` is what to call the lines in a message. Raises ``UsageError`` for JSON that is no prompt.

    >>> [prompt.text for prompt in read_prompts(["rain", "", '{"text": "wind"}'])]
    ['rain', 'wind']
    """
    for line in lines:
        if not line.strip():
            continue
        try:
            fields = json.loads(line) if line.lstrip().startswith("{") else {"text": line.strip()}
            yield Prompt.from_json(fields)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{name}: not a prompt as JSON ({error}): {line.strip()[:60]}") from None
