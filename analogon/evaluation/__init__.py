"""How good a space is: retrieval, the distance of two sets of sounds, the doctor of an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embed.later import later

if TYPE_CHECKING:
    from analogon.evaluation.audio_distance import (
        Comparison,
        Distance,
        Recordings,
        compare,
        encode_recordings,
        fad,
        fad_infinity,
        kad,
        recordings_in,
    )
    from analogon.evaluation.doctor import Check, Diagnosis, examine
    from analogon.evaluation.retrieval import Direction, PairTable, evaluate_retrieval, measure_retrieval
    from analogon.vectors.measure import (
        Estimate,
        Interval,
        Retrieval,
        bootstrap,
        bootstrap_crossed,
        ranks,
        retrieval_from_ranks,
        wilson,
    )
else:
    __getattr__, __dir__ = later(
        __name__,
        {
            "analogon.evaluation.audio_distance": [
                "Comparison",
                "Distance",
                "Recordings",
                "compare",
                "encode_recordings",
                "fad",
                "fad_infinity",
                "kad",
                "recordings_in",
            ],
            "analogon.evaluation.doctor": ["Check", "Diagnosis", "examine"],
            "analogon.evaluation.retrieval": ["Direction", "PairTable", "evaluate_retrieval", "measure_retrieval"],
            "analogon.vectors.measure": [
                "Estimate",
                "Interval",
                "Retrieval",
                "bootstrap",
                "bootstrap_crossed",
                "ranks",
                "retrieval_from_ranks",
                "wilson",
            ],
        },
    )

__all__ = [
    "Check",
    "Comparison",
    "Diagnosis",
    "Direction",
    "Distance",
    "Estimate",
    "Interval",
    "PairTable",
    "Recordings",
    "Retrieval",
    "bootstrap",
    "bootstrap_crossed",
    "compare",
    "encode_recordings",
    "evaluate_retrieval",
    "examine",
    "fad",
    "fad_infinity",
    "kad",
    "measure_retrieval",
    "ranks",
    "recordings_in",
    "retrieval_from_ranks",
    "wilson",
]
