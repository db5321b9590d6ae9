"""starter: sounds and texts in one small space, with weights that come with the package.

The folder of this module is a folder of the ``student`` family; what it knows, and what it has learnt from, is told in
the ``MODEL_CARD.md`` beside it. It needs no model hub and imports neither torch nor transformers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from embed.encoder import Encoder
from embed.encoder import load as load_encoder

__all__ = ["FOLDER", "load"]

FOLDER: Final = Path(__file__).parent


def load(*, window: float | None = None, hop: float | None = None) -> Encoder:
    """``starter``. ``window`` and ``hop``, in seconds, stand in for its own."""
    settings = {key: value for key, value in (("window", window), ("hop", hop)) if value is not None}
    return load_encoder({"family": "student", "model": str(FOLDER), "name": "starter", **settings})
