"""The families of encoders and generators, and where each comes from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from analogon.service.listing import Listing
from analogon.service.request import Request

__all__ = ["KnownFamily", "ListFamilies"]


@dataclass(frozen=True, slots=True)
class KnownFamily:
    """A family: what it makes, its name, where it comes from ("built in", a folder, a package with its version).

    ``unused`` says why it is not used, such as that another of its name comes first; empty where it is.
    """

    makes: Literal["encoder", "generator"]
    name: str
    origin: str
    unused: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFamilies(Request):
    """The families that there are; none is imported for that."""

    def run(self) -> Listing[KnownFamily]:
        """Encoders first, each by name; what cannot be used is told with its reason."""
        from analogon.generate import loading
        from embed import encoder

        found = [
            KnownFamily("generator" if registry is loading.REGISTRY else "encoder", one.name, one.origin, one.unused)
            for registry in (encoder.REGISTRY, loading.REGISTRY)
            for one in registry.found()
        ]
        return Listing(tuple(one for one in found if one.name), tuple(one.unused for one in found if not one.name))
