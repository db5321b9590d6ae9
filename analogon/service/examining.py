"""Testing encoders before they cost a night."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from analogon.evaluation.doctor import Diagnosis, examine
from analogon.search.library import Library
from analogon.service.filling import opened
from analogon.service.request import Request
from embed.models import shared

__all__ = ["Examination", "Examine", "checks"]


def checks(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """The checks of one encoder as JSON's own types."""
    return [
        {"encoder": diagnosis.space.model, "check": one.name, "ok": one.ok, "value": one.value, "message": one.message}
        for one in diagnosis.checks
    ]


@dataclass(frozen=True, slots=True)
class Examination:
    """The diagnoses of one encoder or several; ``ok`` where nothing failed."""

    diagnoses: tuple[Diagnosis, ...]

    @property
    def ok(self) -> bool:
        return all(one.ok for one in self.diagnoses)

    def to_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "checks": [check for one in self.diagnoses for check in checks(one)]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examine(Request):
    """An encoder to test; without one, those of a collection. With both, against what the collection holds."""

    encoder: str | None = None
    collection: str | None = None

    def diagnoses(self, library: Library | None = None) -> Iterator[Diagnosis]:
        """One diagnosis after another, as they are made. Raises what loading and opening raise."""
        with ExitStack() as stack:
            found = None
            if library is not None or self.collection is not None or self.encoder is None:
                found = stack.enter_context(opened(self.collection, library))
            if self.encoder is not None:
                yield examine(shared(self.encoder), library=found)
            else:
                assert found is not None
                for known in found.collection.spaces:
                    yield examine(found.collection.encoder(known), library=found)

    def run(self, library: Library | None = None) -> Examination:
        """Test them all."""
        return Examination(tuple(self.diagnoses(library)))
