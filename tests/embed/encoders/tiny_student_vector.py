"""A student that gives vectors of its teacher's space, not scores of classes."""

from __future__ import annotations

from pathlib import Path

from tests.embed.encoders import tiny_student

REFUSES = tiny_student.REFUSES


def build(folder: Path) -> str:
    return tiny_student.build(folder, "vector", window=0.5, hop=0.25)
