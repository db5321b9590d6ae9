"""Dialects of generators that read the prompt aloud."""

from __future__ import annotations

from typing import Final

from analogon.prompts.dialects.dialect import Dialect, Limit

__all__ = ["DIALECTS"]

DIALECTS: Final = (
    Dialect(
        "bark",
        "Bark: words to be spoken or sung, with tags such as [laughs]; pieces of about 13 s",
        limit=Limit(256, "BERT"),
        seconds=13,
        spoken=True,
    ),
)
