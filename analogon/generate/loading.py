"""How a generator is named and loaded: a family for each engine, one file a family, found by their names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from analogon.engines.generator import Generator
from analogon.search.library import Library
from embed.encoder import resolve
from embed.errors import GeneratorError, UnknownGenerator
from embed.registry import Registry

__all__ = ["families", "load"]

REGISTRY: Final = Registry(
    "analogon.generate.families", "ANALOGON_GENERATORS", "generator", UnknownGenerator, GeneratorError
)


def families() -> list[str]:
    """All families: the files in ``analogon/generate/families`` and in the folders of ``ANALOGON_GENERATORS``.

    >>> isinstance(families(), list)
    True
    """
    return REGISTRY.families()


def load(
    name: str | os.PathLike[str] | Mapping[str, Any], *, library: Library | None = None, **options: Any
) -> Generator:
    """Load a generator by name: ``"musicgen:facebook/musicgen-small"``, ``"vits:./folder"``, ``"mosaic"``, a TOML file.

    ``library`` is an open collection, for those that make things of one; ``options`` are a family's own settings, by
    name. Raises ``UnknownGenerator``, ``GeneratorError``, ``ModelNotFound``, ``MissingPackage``, ``EncoderError``.
    """
    table = resolve(name) | options
    table.pop("name", None)
    generator: Generator = REGISTRY.make(table, library=library)
    return generator
