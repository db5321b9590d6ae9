"""A matplotlib figure that a notebook shows by itself."""

from __future__ import annotations

import io
from typing import Final

from matplotlib.figure import Figure

__all__ = ["ShownFigure"]

SCREEN: Final = 150  # dots an inch


class ShownFigure(Figure):
    """A figure outside of pyplot, which alone makes IPython show figures: this one tells how it is shown."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=SCREEN)
        return buffer.getvalue()
