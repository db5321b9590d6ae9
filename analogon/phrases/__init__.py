"""Phrases as people type them, of things heard and things seen: what a query is compared with."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from embed.media import Modality

__all__ = ["PROBES", "bank", "kinds"]

FOLDERS: Final[dict[Modality, tuple[str, ...]]] = {
    "audio": ("audio",),
    "image": ("image",),
    "video": ("image",),
    "text": ("audio", "image"),
}
"""Where the phrases for each modality lie: a folder of text files, one phrase a line, ``#`` before a remark."""
PROBES: Final = (
    *("a dog barking in the distance", "rain on a tin roof", "church bells ringing", "an engine idling", "applause"),
    *("a baby crying", "footsteps on gravel", "a violin playing a slow melody", "heavy drums", "wind in the trees"),
    *("someone laughing", "a siren passes by", "waves breaking on the shore", "glass shattering", "a cat purring"),
    *("a red car parked in front of a house", "snow on a mountain", "a bowl of fruit", "an old photograph", "a map"),
    *("a woman reading a newspaper", "two children playing football", "a skyline at night", "a blue flower", "fish"),
    *("a wooden chair", "a page of handwriting", "an aeroplane in the sky", "a market with many people", "fire"),
    *("justice", "the fear of being late", "prices rose by three percent last year", "loneliness", "a proof by"),
    *("an agreement between two countries", "hope", "the history of science", "how to bake bread", "mathematics"),
)
"""Texts that have little to do with each other: what an encoder or an index is tried with before it is trusted."""


@cache
def bank(modality: Modality) -> tuple[str, ...]:
    """All phrases for things of a modality, each once, in an order that stays.

    >>> "wind chimes" in bank("audio"), "wind chimes" in bank("image")
    (True, False)
    """
    return tuple(dict.fromkeys(phrase for phrases in kinds(modality).values() for phrase in phrases))


def kinds(modality: Modality) -> dict[str, tuple[str, ...]]:
    """The same by kind: "instruments", "moods", ...; what audio and image both have is joined for "text".

    >>> kinds("audio")["instruments"][0]
    'acoustic guitar strumming'
    """
    found: dict[str, tuple[str, ...]] = {}
    for folder in FOLDERS[modality]:
        for file in sorted((files(__name__) / folder).iterdir(), key=lambda one: one.name):
            kind = file.name.removesuffix(".txt")
            lines = (line.strip() for line in file.read_text("utf-8").splitlines())
            phrases = (line for line in lines if line and not line.startswith("#"))
            found[kind] = tuple(dict.fromkeys([*found.get(kind, ()), *phrases]))
    return found
