"""A request said in a dialect."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from analogon.prompts import Prompt
from analogon.prompts.dialects.dialect import Composed, Dialect
from analogon.prompts.dialects.phrases import Joins, Phrase, clean, join, split

__all__ = ["Request", "write"]

WEIGHTED: Final = re.compile(r"\((.+):(\d+(?:\.\d+)?)\)")
HEAVIEST: Final = 1.5
LIGHTEST: Final = 0.5


@dataclass(frozen=True, slots=True)
class Request:
    """What ``compose`` was asked, before any dialect."""

    prompts: Sequence[Prompt]
    negative: Sequence[str] = ()
    lyrics: str | None = None
    seconds: float | None = None
    tokenizer: str | os.PathLike[str] | Callable[[str], int] | None = None


def write(dialect: Dialect, request: Request) -> Composed:
    """Say a request in a dialect."""
    fields: dict[str, str] = {}
    remarks: list[str] = []
    fields[dialect.field] = join(_phrases(request.prompts, dialect.joins), dialect.joins)
    return Composed(dialect.name, fields, tuple(remarks), request.seconds)


def _phrases(prompts: Iterable[Prompt], joins: Joins) -> list[Phrase]:
    return [phrase for prompt in prompts for phrase in split(clean(prompt.text), joins, prompt.weight)]
