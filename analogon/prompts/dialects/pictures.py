"""Dialects of generators of pictures."""

from __future__ import annotations

from typing import Final

from analogon.prompts.dialects.dialect import Dialect, Limit

__all__ = ["DIALECTS"]

CLIP: Final = Limit(75, "CLIP")

DIALECTS: Final = (
    Dialect(
        "stable-diffusion",
        "Stable Diffusion 1, 2 and XL: tags for CLIP; a negative prompt",
        joins="tags",
        limit=CLIP,
        negative="negative prompt",
    ),
    Dialect(
        "automatic1111",
        "Stable Diffusion in AUTOMATIC1111 or ComfyUI: the same with weights, (phrase:1.2)",
        joins="tags",
        limit=CLIP,
        negative="negative prompt",
        weights=True,
    ),
    Dialect(
        "stable-diffusion-3",
        "Stable Diffusion 3: free text for T5; a negative prompt",
        limit=Limit(255, "T5"),
        negative="negative prompt",
    ),
    Dialect("flux", "FLUX.1 dev: free text for T5", limit=Limit(511, "T5")),
    Dialect("flux-schnell", "FLUX.1 schnell: free text for T5", limit=Limit(255, "T5")),
)
