"""Dialects of generators of music and sound."""

from __future__ import annotations

from typing import Final

from analogon.prompts.dialects.dialect import Dialect, Limit

__all__ = ["DIALECTS"]

SECTIONS: Final = "sections of lyrics: [Intro], [Verse], [Chorus], [Bridge], [Outro], [Instrumental] on lines alone"

DIALECTS: Final = (
    # Neither transformers' processor nor audiocraft's conditioner cuts: 512 is what t5-base was made for (from memory).
    Dialect(
        "musicgen",
        "MusicGen: free text, no negative prompt",
        limit=Limit(512, "T5"),
        seconds=30,
        advice="genre, instruments, mood and tempo in a sentence or two",
    ),
    # The captions that MusicLM was evaluated on (MusicCaps) are a few whole sentences; its limit was not published.
    Dialect("musiclm", "captions as of MusicLM and MusicCaps: whole sentences", joins="sentences"),
    # The checkpoints' model_config: T5 with max_length 128 (Open 1.0) and 64 (Open Small), an end token included.
    Dialect(
        "stable-audio",
        "Stable Audio Open 1.0: tags; a negative prompt",
        joins="tags",
        limit=Limit(127, "T5"),
        negative="negative prompt",
        negative_limit=Limit(127, "T5"),
        seconds=47,
        advice="a tempo is written as 120 BPM",
    ),
    # The small one is distilled and samples without guidance, so that a negative prompt changes nothing (from memory).
    Dialect(
        "stable-audio-small",
        "Stable Audio Open Small: tags, no negative prompt",
        joins="tags",
        limit=Limit(63, "T5"),
        seconds=11,
        advice="a tempo is written as 120 BPM",
    ),
    # Each text goes through CLAP's RoBERTa and T5, 512 positions each with start and end marks; the advice is that of
    # diffusers' page on it.
    Dialect(
        "audioldm2",
        "AudioLDM 2: free text; a negative prompt",
        limit=Limit(510, "T5"),
        negative="negative prompt",
        negative_limit=Limit(510, "T5"),
        advice='general terms with adjectives such as "high quality" or "clear"; "Low quality." as negative prompt',
    ),
    # Suno publishes no reference; docs.sunoapi.org gives these limits (V4: 200 and 3,000; V4_5 to V5_5: 1,000 and
    # 5,000 characters), and none of the field of styles to exclude. That it refuses names is from memory.
    Dialect(
        "suno",
        "Suno v4.5 to v5.5: style, lyrics with section tags, styles to exclude",
        joins="tags",
        field="style",
        limit=Limit(1000),
        negative="exclude",
        lyrics=Limit(5000),
        timed=False,
        wants_no_names=True,
        advice=SECTIONS,
    ),
    Dialect(
        "suno-v4",
        "Suno v3.5 and v4: the same with less room",
        joins="tags",
        field="style",
        limit=Limit(200),
        negative="exclude",
        lyrics=Limit(3000),
        timed=False,
        wants_no_names=True,
        advice=SECTIONS,
    ),
)
