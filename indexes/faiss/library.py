"""FAISS itself, and the arrays that go to it."""

from __future__ import annotations

import importlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK_BYTES", "Float32", "Mask", "library"]

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BLOCK_BYTES: Final = 16 << 20


def library() -> Any:
    """FAISS itself, untyped: its stubs lack half of what it has."""
    return importlib.import_module("faiss")
