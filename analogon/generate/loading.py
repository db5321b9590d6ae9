"""How a generator is named and loaded: a family for each engine, one file a family, found by their names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from analogon.engines.generator import Generator
from analogon.search.library import Library
from embed.encoder import resolve
from embed.errors import GeneratorError, UnknownGenerator, UsageError
from embed.models import MODELS, key_of
from embed.registry import Registry

__all__ = ["families", "load", "read_settings", "shared"]

REGISTRY: Final = Registry(
    "analogon.generate.families",
    "ANALOGON_GENERATORS",
    "analogon.generators",
    "generator",
    UnknownGenerator,
    GeneratorError,
)


def families() -> list[str]:
    """All families: the files in ``analogon/generate/families`` and in the folders of ``ANALOGON_GENERATORS``, and the
    entry points ``analogon.generators`` of installed packages.

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


def read_settings(texts: Iterable[str]) -> dict[str, Any]:
    """A family's settings as people write them, ``name=value`` each: a value is JSON where it is any, else a text.

    Raises ``UsageError`` for what is not so written.

    >>> read_settings(["guidance=3", "negative=hum, hiss", "native=false"])
    {'guidance': 3, 'negative': 'hum, hiss', 'native': False}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"`settings` {text}: a setting is name=value, such as guidance=3")
        try:
            found[name] = json.loads(value)
        except (ValueError, RecursionError):
            found[name] = value
    return found


def shared(
    name: str | os.PathLike[str] | Mapping[str, Any], *, library: Library | None = None, **options: Any
) -> Generator:
    """The generator that ``load`` would load, with all others who ask for the same: do not change it.

    One that makes things of a ``library`` is made anew: it holds no weights, but an open collection.
    """
    table = resolve(name) | options
    if "library" in REGISTRY.settings(table["family"]):
        return load(table, library=library)
    return MODELS.get(key_of(REGISTRY, table), lambda: load(table))
