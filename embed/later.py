"""A package's public names, each imported where it is first asked for: what it offers costs nothing to import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["later"]


def later(package: str, modules: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package (PEP 562): ``modules`` says which module has which of its names.

    A module with no names stands for itself. Type checkers are told the names by the same imports under
    ``TYPE_CHECKING``.

    >>> find, listed = later("embed", {"embed.space": ["unit"], "embed.wrapped": []})
    >>> find("unit").__module__, find("wrapped").__name__, listed()[-2:]
    ('embed.space', 'embed.wrapped', ['unit', 'wrapped'])
    """
    homes = {name: module for module, names in modules.items() for name in names}
    alone = {module.rpartition(".")[2]: module for module, names in modules.items() if not names}

    def find(name: str) -> Any:
        if name in alone:
            return import_module(alone[name])
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, found)
        return found

    def listed() -> list[str]:
        own = [name for name in vars(sys.modules[package]) if name not in ("TYPE_CHECKING", "annotations", "later")]
        return sorted({*own, *homes, *alone})

    return find, listed
