"""Folders of modules as registries: one file a family, and ``family:model`` names what it loads."""

from __future__ import annotations

import importlib
import inspect
import numbers
import os
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from embed.errors import AnalogonError, one_line
from embed.faults import machine_fault

__all__ = ["Registry"]

NUMBERS: Final = {"int": (numbers.Integral, "a whole number"), "float": (numbers.Real, "a number")}


@dataclass(frozen=True, slots=True)
class Registry:
    """The families in a package's folder, and in the folders that an environment variable names.

    ``noun`` says in messages what a family makes ("encoder"); ``unknown`` and ``wrong`` are raised where there is no
    such family, and where it cannot be loaded with what was given.
    """

    package: str
    variable: str
    noun: str
    unknown: type[AnalogonError]
    wrong: type[AnalogonError]

    def families(self) -> list[str]:
        """The names of all families, sorted."""
        return sorted(m.name for m in pkgutil.iter_modules(self._search_path()) if not m.name.startswith("_"))

    def module(self, family: str) -> ModuleType:
        """The module of a family."""
        # Looked up by itself: to list them all at each search would take longer than the search.
        name = f"{self.package}.{family}"
        there = str(family).isidentifier() and not str(family).startswith("_")
        if not there or PathFinder.find_spec(name, self._search_path()) is None:
            raise self.unknown(f"there is no {self.noun} family {family!r}; there are: {', '.join(self.families())}")
        try:
            return importlib.import_module(name)
        except AnalogonError:
            raise
        except Exception as error:
            raise self.failed(f"{family} cannot be imported", error) from error

    def failed(self, what: str, error: Exception) -> Exception:
        """What to raise where a family's own code failed: the machine's fault as it is, else the family's by name."""
        return error if machine_fault(error, what) is not None else self.wrong(f"{what}: {one_line(error, named=True)}")

    def settings(self, family: str) -> Mapping[str, inspect.Parameter]:
        """What a family's ``load`` takes, by name."""
        return inspect.signature(self.module(family).load).parameters

    def completed(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """A table with its family's ``DEFAULT_MODEL`` where it names no model and there is one."""
        default = getattr(self.module(table["family"]), "DEFAULT_MODEL", None)
        return dict(table) | ({"model": default} if default and "model" not in table else {})

    def make(self, table: Mapping[str, Any], **offered: Any) -> Any:
        """What the ``load`` of ``table["family"]`` makes of the other entries.

        Without a ``model`` its ``DEFAULT_MODEL`` counts, if it has one. Of ``offered`` a family gets what it asks for.
        """
        settings = self.completed(table)
        family = settings.pop("family")
        module = self.module(family)
        accepted = self.settings(family)
        own = [key for key in accepted if key not in offered]  # what the caller brings is nobody's setting
        if unknown := [key for key in settings if key not in own]:
            names = ", ".join(own)
            raise self.wrong(f"{family} has no setting {unknown[0]!r}; it has: {names or 'none'}")
        settings |= {key: value for key, value in offered.items() if key in accepted and value is not None}
        for key, value in settings.items():
            if wanted := _no_number(value, accepted[key].annotation):
                raise self.wrong(f"{family}: {key} must be {wanted}, not {value!r}")
        lacks = [k for k, p in accepted.items() if p.default is inspect.Parameter.empty and k not in settings]
        if lacks:
            example = f"{family}:MODEL" if lacks == ["model"] else f"a TOML file with {', '.join(lacks)}"
            raise self.wrong(f"{family} needs {' and '.join(lacks)}: name it as {example}")
        try:
            return module.load(**settings)
        except AnalogonError:
            raise
        except Exception as error:
            raise self.failed(f"{family} cannot be loaded", error) from error

    def _search_path(self) -> list[str]:
        package = importlib.import_module(self.package)
        own = str(Path(package.__file__ or "").parent)
        extra = [folder for folder in os.environ.get(self.variable, "").split(os.pathsep) if folder]
        # In place, and no more than is named now: a folder that the variable named before has no families any more.
        package.__path__[:] = [own, *(folder for folder in extra if folder != own)]
        return list(package.__path__)


def _no_number(value: Any, annotation: Any) -> str | None:
    """What a value should be that is annotated as a number and is none; None where it is right or not so annotated."""
    kind, *rest = str(annotation).split(" | ")
    if kind not in NUMBERS or rest not in ([], ["None"]) or (value is None and rest):
        return None
    wanted, words = NUMBERS[kind]
    return None if isinstance(value, wanted) and not isinstance(value, bool) else words
