"""Named things that last beyond one collection (relations, bridges, voices): a safetensors file each, in ``home()``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from analogon.settings import config
from embed.errors import AnalogonError, UsageError
from indexes.durable import replacing

__all__ = ["Damaged", "Kept", "Shelf"]

Thing = TypeVar("Thing")
Damaged = Callable[[str], None]
"""Hears a line about each file that cannot be read."""
NAME: Final = re.compile(r"[^\W_][\w.-]*")
KEY: Final = "analogon"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a file holds: ``record`` (JSON) and ``arrays`` by name."""

    record: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Shelf:
    """All things of one ``kind`` ("relation"), each in ``home()/relations/NAME.safetensors``.

    ``verb`` is what makes one: a relation is ``fit``. ``request`` is how that is called in Python.
    """

    kind: str
    verb: str = "fit"
    request: str = ""

    @property
    def folder(self) -> Path:
        return config.home() / f"{self.kind}s"

    def path(self, name: str) -> Path:
        """Where a name's file lies or would lie. Raises ``UsageError`` for what cannot be a name."""
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot name a {self.kind}: letters, digits, dots, hyphens and _ can")
        return self.folder / f"{name}.safetensors"

    def names(self) -> list[str]:
        """The names that are taken, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.safetensors"))

    def put(self, name: str, record: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Path:
        """Keep something under a name; what had the name before is replaced, at once and whole."""
        from safetensors.numpy import save

        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        data = save(whole, {KEY: json.dumps(dict(record))})  # in ASCII: a path may hold bytes that are no UTF-8
        with replacing(path) as temporary:
            temporary.write_bytes(data)
        return path

    def get(self, name: str) -> Kept:
        """What is kept under a name. Raises ``UsageError``, saying which names there are, and ``AnalogonError``."""
        from safetensors import SafetensorError, safe_open

        path = self.path(name)
        if not path.is_file():
            there = ", ".join(self.names()) or f"none yet; `analogon.service.{self.request}(...).run()` makes one"
            raise UsageError(f"there is no {self.kind} called {name!r}; there are: {there}")
        try:
            with safe_open(path, "numpy") as file:
                record = json.loads(file.metadata()[KEY])
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            why = type(error).__name__
            raise AnalogonError(f"{path}: not a readable {self.kind} ({why}); {self.verb} it again") from None
        return Kept(record, arrays)

    def each(self, read: Callable[[str], Thing], damaged: Damaged = lambda line: None) -> Iterator[Thing]:
        """What ``read`` makes of every name, in order; of one that cannot be read ``damaged`` hears, and it is left."""
        for name in self.names():
            try:
                yield read(name)
            except AnalogonError as error:
                damaged(str(error))

    def remove(self, name: str) -> None:
        """Forget a name. Raises ``UsageError`` where it is not there."""
        if not self.path(name).is_file():
            self.get(name)
        self.path(name).unlink()
