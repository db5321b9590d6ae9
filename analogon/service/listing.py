"""What is kept under names beyond one collection, as requests tell it: relations, bridges and voices."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Forgotten", "Listing"]


class Told(Protocol):
    """What says of itself what a listing shows."""

    def to_json(self) -> dict[str, Any]: ...


Thing = TypeVar("Thing", bound=Told)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Thing]):
    """All of a kind, by name, and a line for each file that cannot be read."""

    entries: tuple[Thing, ...]
    damaged: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"entries": [one.to_json() for one in self.entries], "damaged": list(self.damaged)}


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The name that nothing has any more."""

    name: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
