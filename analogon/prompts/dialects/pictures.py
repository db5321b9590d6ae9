"""Dialects of generators of pictures."""

from __future__ import annotations

from typing import Final

from analogon.prompts.dialects.dialect import Dialect, Limit

__all__ = ["DIALECTS"]

CLIP: Final = Limit(75, "CLIP")  # 77 positions, of which a start and an end mark take two

DIALECTS: Final = (
    Dialect(
        "stable-diffusion",
        "Stable Diffusion 1, 2 and XL: tags for CLIP; a negative prompt",
        joins="tags",
        limit=CLIP,
        negative="negative prompt",
        negative_limit=CLIP,
        timed=False,
    ),
    # These interfaces cut a longer prompt into chunks of 75 tokens (from memory): one chunk is kept whole.
    Dialect(
        "automatic1111",
        "Stable Diffusion in AUTOMATIC1111 or ComfyUI: the same with weights, (phrase:1.2)",
        joins="tags",
        limit=CLIP,
        negative="negative prompt",
        negative_limit=CLIP,
        weights=True,
        timed=False,
    ),
    # diffusers' pipelines: max_sequence_length of T5 is 256 by default (SD 3; 512 at most) and 512 (FLUX.1; 256 for
    # schnell), an end mark included. CLIP sees 75 tokens beside it.
    Dialect(
        "stable-diffusion-3",
        "Stable Diffusion 3: free text for T5, of which CLIP sees the beginning; a negative prompt",
        limit=Limit(255, "T5"),
        negative="negative prompt",
        negative_limit=Limit(255, "T5"),
        timed=False,
    ),
    # diffusers ignores a negative prompt unless true_cfg_scale is above 1, which FLUX.1 was not trained for.
    Dialect("flux", "FLUX.1 dev: free text for T5, no negative prompt", limit=Limit(511, "T5"), timed=False),
    Dialect(
        "flux-schnell", "FLUX.1 schnell: free text for T5, no negative prompt", limit=Limit(255, "T5"), timed=False
    ),
)
