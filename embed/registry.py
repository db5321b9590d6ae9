"""Registries of families: one module each, and ``family:model`` names what it loads.

A family is a file in the registry's own package, a file in a folder that an environment variable names, or a module
that an installed package declares as an entry point. In this order they come first where two have one name.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import numbers
import os
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from embed.errors import AnalogonError, one_line
from embed.faults import machine_fault

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["BUILT_IN", "Family", "Registry"]

NUMBERS: Final = {"int": (numbers.Integral, "a whole number"), "float": (numbers.Real, "a number")}
BUILT_IN: Final = "built in"


@dataclass(frozen=True, slots=True)
class Family:
    """A family by name, and where it comes from: ``BUILT_IN``, a folder, or a package with its version.

    ``unused`` says why it is none that can be loaded, in one line, and is empty where it can be tried: what is listed
    was not imported. A package whose entry points cannot be read has no ``name``.
    """

    name: str
    origin: str
    unused: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """The families in a package's folder, in the folders that an environment variable names, and of installed packages.

    ``noun`` says in messages what a family makes ("encoder"); ``unknown`` and ``wrong`` are raised where there is no
    such family, and where it cannot be loaded with what was given. ``group`` is that of the entry points by which
    packages declare families: ``name = "module"``, a module with ``load`` as a file has it.
    """

    package: str
    variable: str
    group: str
    noun: str
    unknown: type[AnalogonError]
    wrong: type[AnalogonError]

    def families(self) -> list[str]:
        """The names of all families that can be tried, sorted."""
        return sorted(family.name for family in self.found() if not family.unused)

    def found(self) -> list[Family]:
        """All families by name, also those that cannot be used, and why. Imports none of them.

        The packages are looked through once in a process for each ``sys.path``: 30 ms where 170 are installed.
        """
        own, *folders = self._search_path()
        found = [Family(name, BUILT_IN) for name in _modules(own)]
        first = {family.name: family.origin for family in found}
        for folder in folders:
            for name in _modules(folder):
                found.append(Family(name, folder, _behind(name, first.get(name))))
                first.setdefault(name, folder)
        for name, entries in sorted(self._entries().items()):
            clash = _clash(name, entries)
            for entry in entries:
                found.append(Family(name, entry.package, entry.broken or _behind(name, first.get(name)) or clash))
        return sorted(found, key=lambda family: (family.name, bool(family.unused)))

    def module(self, family: str) -> ModuleType:
        """The module of a family."""
        # Looked up by itself: to list them all at each search would take longer than the search.
        name = f"{self.package}.{family}"
        if not _is_name(str(family)):
            raise self._unknown(family)
        if PathFinder.find_spec(name, self._search_path()) is not None:
            return self._imported(family, name)
        entries = self._entries().get(family, [])
        if not entries:
            raise self._unknown(family)
        usable = [entry for entry in entries if not entry.broken]
        if reason := _clash(family, entries) or ("" if usable else entries[0].broken):
            raise self.wrong(reason)
        return self._imported(f"{family} (of {usable[0].package})", usable[0].value)

    def _unknown(self, family: str) -> Exception:
        return self.unknown(f"there is no {self.noun} family {family!r}; there are: {', '.join(self.families())}")

    def _imported(self, called: str, name: str) -> ModuleType:
        try:
            module = importlib.import_module(name)
        except AnalogonError:
            raise
        except (Exception, SystemExit) as error:
            raise self.failed(f"{called} cannot be imported", error) from error
        if not callable(getattr(module, "load", None)):
            raise self.wrong(f"{called} is no family of {self.noun}s: its module {name} has no function load")
        return module

    def _entries(self) -> dict[str, list[_Entry]]:
        return _entries(self.group, tuple(sys.path))

    def failed(self, what: str, error: BaseException) -> Exception:
        """What to raise where a family's own code failed: the machine's fault as it is, else the family's by name."""
        if isinstance(error, Exception) and machine_fault(error, what) is not None:
            return error
        return self.wrong(f"{what}: {one_line(error, named=True)}")

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
        except (Exception, SystemExit) as error:
            raise self.failed(f"{family} cannot be loaded", error) from error

    def _search_path(self) -> list[str]:
        package = importlib.import_module(self.package)
        own = str(Path(package.__file__ or "").parent)
        extra = [folder for folder in os.environ.get(self.variable, "").split(os.pathsep) if folder]
        # In place, and no more than is named now: a folder that the variable named before has no families any more.
        package.__path__[:] = [own, *(folder for folder in extra if folder != own)]
        return list(package.__path__)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A family that a package declares: the module, the package with its version, and what is wrong with it."""

    value: str
    package: str
    broken: str = ""


@functools.lru_cache(maxsize=8)
def _entries(group: str, path: tuple[str, ...]) -> dict[str, list[_Entry]]:
    """The families that the packages on a path declare, by name; under no name, packages whose lists cannot be read.

    Each package is read by itself: importlib's own list of all entry points fails as a whole where one file is damaged.
    """
    from importlib import metadata  # which a search with a family of our own does without

    found: dict[str, dict[str, _Entry]] = {}
    for package in metadata.distributions(path=list(path)):
        try:
            text = package.read_text("entry_points.txt")
            if text is None or f"[{group}]" not in text:
                continue
            called = _called(package)
            first = next(iter(metadata.distributions(name=package.name, path=list(path))))
            if first.read_text("entry_points.txt") != text:
                continue  # of another version, which is not the one that is imported
            declared = list(package.entry_points.select(group=group))
        except Exception as error:
            called = _called(package)
            reason = f"the entry points of {called} cannot be read: {one_line(error, named=True)}"
            found.setdefault("", {})[called] = _Entry("", called, reason)
            continue
        for entry in declared:
            broken = ""
            if not _is_name(entry.name):
                broken = f"{called}: {entry.name!r} cannot be a family's name; letters, digits and _ can"
            elif ":" in entry.value or entry.extras:
                wanted = entry.value.partition(":")[0].partition("[")[0].strip()
                broken = f"{called}: {entry.name} = {entry.value!r} names no module; {wanted!r} would, with load in it"
            found.setdefault(entry.name, {}).setdefault(called, _Entry(entry.value, called, broken))
    return {name: list(entries.values()) for name, entries in found.items()}


def _called(package: Distribution) -> str:
    try:
        return f"{package.name} {package.version}"
    except Exception:  # its METADATA is missing or damaged
        return f"a package in {package.locate_file('')}"


def _modules(folder: str) -> list[str]:
    return [module.name for module in pkgutil.iter_modules([folder]) if not module.name.startswith("_")]


def _is_name(family: str) -> bool:
    return family.isidentifier() and not family.startswith("_")


def _behind(name: str, first: str | None) -> str:
    """Why a family is not used whose name another has that comes before it."""
    if first is None:
        return ""
    return f"{name} is {BUILT_IN}, and that one is used" if first == BUILT_IN else f"the {name} of {first} is used"


def _clash(name: str, entries: list[_Entry]) -> str:
    """Why none of several packages' families of one name is used; empty where one of them at most can be."""
    packages = [entry.package for entry in entries if not entry.broken]
    return "" if len(packages) < 2 else f"{' and '.join(packages)} both bring a family {name}: uninstall one of them"


def _no_number(value: Any, annotation: Any) -> str | None:
    """What a value should be that is annotated as a number and is none; None where it is right or not so annotated."""
    kind, *rest = str(annotation).split(" | ")
    if kind not in NUMBERS or rest not in ([], ["None"]) or (value is None and rest):
        return None
    wanted, words = NUMBERS[kind]
    return None if isinstance(value, wanted) and not isinstance(value, bool) else words
