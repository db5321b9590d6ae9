"""Dialects of generators of music and sound."""

from __future__ import annotations

from typing import Final

from analogon.prompts.dialects.dialect import Dialect, Limit

__all__ = ["DIALECTS"]

DIALECTS: Final = (
    Dialect("musicgen", "MusicGen: free text", limit=Limit(512, "T5"), seconds=30),
    Dialect("musiclm", "MusicLM-like captions: whole sentences, as in MusicCaps", joins="sentences"),
    Dialect(
        "stable-audio",
        "Stable Audio Open: tags, tempo as '120 BPM'; a negative prompt",
        joins="tags",
        limit=Limit(127, "T5"),
        negative="negative prompt",
        seconds=47,
    ),
    Dialect(
        "audioldm2", "AudioLDM 2: free text; a negative prompt", limit=Limit(511, "T5"), negative="negative prompt"
    ),
    Dialect(
        "suno",
        "Suno from v4.5: style, lyrics with section tags, styles to exclude",
        joins="tags",
        field="style",
        limit=Limit(1000),
        negative="exclude",
        lyrics=Limit(5000),
    ),
    Dialect(
        "suno-v4",
        "Suno v3.5 and v4: the same with less room",
        joins="tags",
        field="style",
        limit=Limit(200),
        negative="exclude",
        lyrics=Limit(3000),
    ),
)
