"""The tour, and the sounds that it synthesises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embed.later import later

if TYPE_CHECKING:
    from analogon.demo.tour import Demo
else:
    __getattr__, __dir__ = later(
        __name__,
        {
            "analogon.demo.tour": ["Demo"],
        },
    )

__all__ = ["Demo"]
