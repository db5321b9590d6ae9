"""What vectors are measured and moved with: arithmetic of directions, estimates with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embed.later import later

if TYPE_CHECKING:
    from analogon.vectors.geometry import centre, direction, mean, reject, slerp, unit
    from analogon.vectors.measure import (
        Estimate,
        Interval,
        Retrieval,
        bootstrap,
        bootstrap_crossed,
        ranks,
        retrieval,
        retrieval_from_ranks,
        wilson,
    )
else:
    __getattr__, __dir__ = later(
        __name__,
        {
            "analogon.vectors.geometry": ["centre", "direction", "mean", "reject", "slerp", "unit"],
            "analogon.vectors.measure": [
                "Estimate",
                "Interval",
                "Retrieval",
                "bootstrap",
                "bootstrap_crossed",
                "ranks",
                "retrieval",
                "retrieval_from_ranks",
                "wilson",
            ],
        },
    )

__all__ = [
    "Estimate",
    "Interval",
    "Retrieval",
    "bootstrap",
    "bootstrap_crossed",
    "centre",
    "direction",
    "mean",
    "ranks",
    "reject",
    "retrieval",
    "retrieval_from_ranks",
    "slerp",
    "unit",
    "wilson",
]
