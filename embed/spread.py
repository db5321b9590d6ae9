"""How far apart the vectors of different inputs are: a model that gives one to all finds the same for every query."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from embed.media import Modality
from embed.space import unit

__all__ = ["DOUBT", "USELESS", "mean_cosine"]

# Mean cosines from which a side is doubted, and from which it is useless. Measured on the doctor's inputs: texts 0.03
# (potion), 0.12 (MiniLM), 0.28 (word2vec); sounds 0.44 (GE2E voices), 0.55 (YAMNet through ConSE); pictures 0.22
# (MobileNet through ConSE). laion/larger_clap_music, whose text side ranks at random, is reported with 0.9993.
# Synthetic sounds and pictures are less like what models were trained on than phrases, and so may lie closer together.
DOUBT: Final[dict[Modality, float]] = {"text": 0.9, "audio": 0.95, "image": 0.95, "video": 0.95}
USELESS: Final[dict[Modality, float]] = {"text": 0.98, "audio": 0.99, "image": 0.99, "video": 0.99}


def mean_cosine(rows: npt.ArrayLike) -> float:
    """The mean cosine of each row with each other, for ``(n, dim)`` rows of any length, n at least 2.

    >>> mean_cosine([[2.0, 0.0], [0.0, 3.0], [4.0, 0.0]])
    0.3333333333333333
    """
    units = unit(rows).astype(np.float64)
    return float((np.square(units.sum(axis=0)).sum() - len(units)) / (len(units) * (len(units) - 1)))
