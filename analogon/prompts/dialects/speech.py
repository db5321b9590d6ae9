"""Dialects of generators that read the prompt aloud."""

from __future__ import annotations

from typing import Final

from analogon.prompts.dialects.dialect import Dialect, Limit

__all__ = ["DIALECTS"]

DIALECTS: Final = (
    # transformers' BarkProcessor cuts at 256 tokens of a BERT vocabulary; 13 s come first.
    Dialect(
        "bark",
        "Bark: words to be spoken or sung, in pieces of about 13 s; no description, no negative prompt",
        limit=Limit(256, "BERT"),
        seconds=13,
        timed=False,
        spoken=True,
        advice="[laughter] [laughs] [sighs] [music] [gasps] [clears throat], CAPITALS for stress, ♪ around song",
    ),
)
