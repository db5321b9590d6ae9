"""The markup that prompts for picture tools carry, which most generators would take for words.

Weights ``(word:1.2)`` and ``((word))`` and ``BREAK`` are AUTOMATIC1111's and ComfyUI's, ``[word]`` too; ``<lora:...>``
loads weights there, and ``--ar 16:9`` is a parameter of Midjourney's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

__all__ = ["KINDS", "Markup", "found"]

Markup = Literal["weights", "emphasis", "brackets", "network", "parameters", "break"]
"""What such a mark is: ``(word:1.2)``, ``((word))``, ``[word]``, ``<lora:...>``, ``--ar 16:9``, ``BREAK``."""

# Midjourney's parameters: two hyphens before another word are a dash that somebody typed.
PARAMETERS: Final = (
    "ar|aspect|chaos|cref|cw|draft|exp|fast|iw|niji|no|oref|ow|profile|quality|raw|relax|repeat|seed|sref|stop|style"
    "|stylize|sv|sw|tile|turbo|version|video|weird|[cpqrsvw]"
)
KINDS: Final[Mapping[Markup, re.Pattern[str]]] = {
    # A number before the colon is a time or a verse, and no tool's weights reach 10.
    "weights": re.compile(r"\([^():]*[^\s\d():]\s*:\s*(?:\d?\.\d+|\d)\s*\)"),
    "emphasis": re.compile(r"\({2,}[^():]+\){2,}"),
    # Two brackets are espeak's phonemes.
    "brackets": re.compile(r"(?<!\[)\[[^\[\]]+\](?!\])"),
    "network": re.compile(r"<(?:lora|lyco|hypernet|embedding):[^<>]+>", re.IGNORECASE),
    "parameters": re.compile(rf"(?<!\S)--(?:{PARAMETERS})(?=\s|$)(?:\s+\d+(?::\d+|\.\d+)?)?"),
    "break": re.compile(r"(?<!\w)BREAK(?!\w)"),
}


def found(text: str, without: Iterable[Markup] = ()) -> Iterator[str]:
    """The marks in a text, kind by kind, each once; ``without`` are kinds that are not looked for.

    >>> list(found("(rain:1.2), ((storm)) BREAK a [tin] roof at (10:30) <lora:wet:0.8> --ar 16:9"))
    ['(rain:1.2)', '((storm))', '[tin]', '<lora:wet:0.8>', '--ar 16:9', 'BREAK']
    """
    shouted = text.upper() == text  # all in capitals: there BREAK is a word like others
    left_out = set(without)
    for kind, pattern in KINDS.items():
        if kind in left_out or (kind == "break" and shouted):
            continue
        yield from dict.fromkeys(pattern.findall(text))
