"""Kept voices: enrolled from somebody's recordings, mixed, and compared with what is heard."""

from analogon.voices.enrolment import default_encoder, enroll, seconds_of_sound
from analogon.voices.mixing import blend, mix
from analogon.voices.similarity import (
    ORIENTATION,
    Comparison,
    Cosines,
    NearestSample,
    Similarity,
    compare,
    most_similar,
    nearest,
    similarity,
)
from analogon.voices.voices import SHELF, SPEECHBRAIN, NewVoice, Recording, Share, Voice

__all__ = [
    "ORIENTATION",
    "SHELF",
    "SPEECHBRAIN",
    "Comparison",
    "Cosines",
    "NearestSample",
    "NewVoice",
    "Recording",
    "Share",
    "Similarity",
    "Voice",
    "blend",
    "compare",
    "default_encoder",
    "enroll",
    "mix",
    "most_similar",
    "nearest",
    "seconds_of_sound",
    "similarity",
]
