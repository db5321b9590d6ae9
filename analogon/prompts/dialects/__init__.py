"""One prompt in many dialects: what can be pasted into each generator, and what had to be left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from analogon.prompts import Prompt
from analogon.prompts.dialects import music, pictures, speech
from analogon.prompts.dialects.compose import Request, write
from analogon.prompts.dialects.dialect import Composed, Dialect, Limit, estimated_tokens
from embed.errors import UsageError

__all__ = ["Composed", "Dialect", "Limit", "compose", "dialect", "dialects", "estimated_tokens", "names"]


def dialects() -> tuple[Dialect, ...]:
    """All dialects, with a one-line description and the limits of each."""
    return (*music.DIALECTS, *speech.DIALECTS, *pictures.DIALECTS)


def names() -> list[str]:
    """What ``compose`` knows.

    >>> names()[:3]
    ['musicgen', 'musiclm', 'stable-audio']
    """
    return [one.name for one in dialects()]


def dialect(name: str) -> Dialect:
    """The dialect of that name. Raises ``UsageError``, naming all, where there is none."""
    for one in dialects():
        if one.name == name:
            return one
    raise UsageError(f"there is no dialect {name!r}; there are: {', '.join(names())}")


def compose(
    prompts: Sequence[Prompt],
    dialect: str,
    *,
    negative: Sequence[str] = (),
    lyrics: str | None = None,
    seconds: float | None = None,
    tokenizer: str | os.PathLike[str] | Callable[[str], int] | None = None,
) -> Composed:
    """Say ``prompts`` in a dialect: one long caption, several with weights, or a list of phrases.

    What is heavier comes first where weights cannot be written, and stays longest where room is short. Cuts are made
    at the ends of sentences and phrases, never inside a word; all that was cut is named in ``remarks``. ``negative``
    are phrases that are not wanted. ``tokenizer`` counts tokens: a function of a text, without start and end marks, or
    a folder with the tokenizer's files; without it their number is a cautious estimate, and a cut says so.
    Raises ``UsageError`` where there is nothing to say, or not even a word fits.
    """
    return write(_dialect(dialect), Request(prompts, negative, lyrics, seconds, tokenizer))


_dialect = dialect  # the parameter of ``compose`` has the same name
