"""From prompts to takes: families of generators, judges, and the files that are left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embed.later import later

if TYPE_CHECKING:
    from analogon.engines.generator import Generated, Generator, Settings, generate
    from analogon.generate.judge import Judge, Judges, Panel, available_judges
    from analogon.generate.loading import load
    from analogon.generate.takes import Run, Take, provenance, ranked
else:
    __getattr__, __dir__ = later(
        __name__,
        {
            "analogon.engines.generator": ["Generated", "Generator", "Settings", "generate"],
            "analogon.generate.judge": ["Judge", "Judges", "Panel", "available_judges"],
            "analogon.generate.loading": ["load"],
            "analogon.generate.takes": ["Run", "Take", "provenance", "ranked"],
        },
    )

__all__ = [
    "Generated",
    "Generator",
    "Judge",
    "Judges",
    "Panel",
    "Run",
    "Settings",
    "Take",
    "available_judges",
    "generate",
    "load",
    "provenance",
    "ranked",
]
