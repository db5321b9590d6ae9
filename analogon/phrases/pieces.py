"""A long text in pieces, for engines that speak only so much at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final

from embed.errors import printable

__all__ = ["excerpt", "pieces", "short"]

LONGEST_EXCERPT: Final = 60

# Sentences, clauses, words; a tag in brackets is one word. White space is single blanks.
CUTS: Final = (
    re.compile(r".+?(?:[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？]+|$)"),
    re.compile(r".+?(?:[,;:–—]+(?=\s|$)|[，、；：]+|$)"),
    re.compile(r"(?:\[[^\[\]]{1,40}\]|\S)+"),
)
WIDE: Final = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def pieces(text: str, most: int, cuts: Sequence[re.Pattern[str]] = CUTS) -> list[str]:
    """A text in pieces of ``most`` characters at most, cut where it is least heard; white space single blanks.

    A character of Chinese, Japanese or Korean takes as long as three letters and counts as such.

    >>> pieces("One. Two, three! Four five six seven.", 17)
    ['One. Two, three!', 'Four five six', 'seven.']
    """
    if _length(text) <= most:
        return [text]
    if not cuts:
        step = max(1, most // 3) if WIDE.search(text) else most
        return [text[at : at + step] for at in range(0, len(text), step)]
    packed: list[str] = []
    room = 0
    for part in cuts[0].findall(text):
        for piece in pieces(part.strip(), most, cuts[1:]):
            if packed and (length := _length(piece) + 1) <= room:
                packed[-1] += f" {piece}"
                room -= length
            elif piece:
                packed.append(piece)
                room = most - _length(piece)
    return packed


def _length(text: str) -> int:
    return len(text) + 2 * len(WIDE.findall(text))


def excerpt(text: str) -> str:
    """A text as a message quotes it: in quotation marks, on one line, and not all of a long one.

    >>> excerpt("one\\ntwo")
    "'one two'"
    """
    text = printable(text)
    return repr(text if len(text) <= LONGEST_EXCERPT else text[: LONGEST_EXCERPT - 3] + "...")


def short(path: str) -> str:
    """A path as seen from the working directory, where that is shorter.

    >>> short(os.path.abspath("rain.wav"))
    'rain.wav'
    """
    try:
        relative = os.path.relpath(path)
    except ValueError:
        return path
    return relative if len(relative) < len(path) else path
