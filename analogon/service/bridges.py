"""Bridges between spaces that share texts: fitted, measured, kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analogon.service.filling import opened
from analogon.service.listing import Forgotten, Listing
from analogon.service.request import Request
from analogon.transforms import bridge as bridges
from analogon.transforms.bridge import Bridge
from embed import tables
from embed.encoder import Encoder, resolve
from embed.errors import UsageError
from embed.listener import Listener
from embed.models import shared

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from analogon.search.library import Library

__all__ = ["FitBridge", "FittedBridge", "ListBridges", "RemoveBridge", "ShowBridge"]


@dataclass(frozen=True, slots=True)
class FittedBridge:
    """A bridge that is kept now; a line for each text that could not be encoded, and what else is to be known."""

    bridge: Bridge
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return self.bridge.to_json() | {"left_out": list(self.left_out), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitBridge(Request):
    """A bridge from the encoder that takes the queries to the one whose vectors are asked, through texts.

    ``texts`` is a .txt file with one a line, or the ``column`` of a table. ``method`` is ridge, procrustes, two-hops or
    asif. It is kept under ``name``, else FROM--TO, and measured on the share ``held_out`` of the texts. ``collection``
    gives each modality's mean, where it was indexed with one of the two encoders, or both.
    """

    source: str
    target: str
    texts: Path
    column: str = "text"
    method: str = "ridge"
    name: str | None = None
    held_out: float = 0.1
    collection: str | None = None

    def run(self, library: Library | None = None, listener: Listener | None = None) -> FittedBridge:
        """Fit, measure and keep it. ``listener`` hears a phase, and of rows that are left out as remarks.

        Raises ``UsageError`` where too few texts are left, or nothing goes together.
        """
        listener = listener or Listener()
        if not 0 < self.held_out < 1:
            raise UsageError(f"`held_out` is a share between 0 and 1, not {self.held_out}")
        sides = [(shared(table), table) for table in (resolve(self.source), resolve(self.target))]
        captions = _captions(self.texts, self.column, listener)
        means = self._means(library, [encoder for encoder, _ in sides])
        left_out: list[str] = []
        made = bridges.fit(
            self.name or "--".join(_short(encoder.space.model) for encoder, _ in sides),
            sides[0],
            sides[1],
            captions,
            method=self.method,
            held_out=self.held_out,
            means=means,
            skipped=lambda text, reason: left_out.append(f"skipped {text[:60]!r}: {reason}"),
            listener=listener,
        )
        few = f"{made.texts} texts are few for a bridge: with thousands, from many subjects, it carries more"
        made.save()
        return FittedBridge(made, tuple(left_out), (few,) if made.texts < bridges.FEW else ())

    def _means(
        self, library: Library | None, encoders: list[Encoder]
    ) -> dict[tuple[str, str], npt.NDArray[np.float32]]:
        """Each side's mean of every modality that the collection holds in its space, but of texts."""
        if library is None and self.collection is None:
            return {}
        means = {}
        with opened(self.collection, library) as found, found.collection.snapshot():
            collection = found.collection
            for side, encoder in zip(("source", "target"), encoders, strict=True):
                for modality in collection.modalities(encoder.space):
                    if modality != "text" and collection.count(encoder.space, modality):
                        means[side, str(modality)] = collection.mean(encoder.space, modality)
            if not means:
                name = self.collection or collection.name
                raise UsageError(f"{name} was indexed with neither {self.source} nor {self.target}")
        return means


@dataclass(frozen=True, slots=True, kw_only=True)
class ListBridges(Request):
    """The bridges that there are."""

    def run(self) -> Listing[Bridge]:
        """By name."""
        damaged: list[str] = []
        return Listing(tuple(bridges.SHELF.each(bridges.load, damaged.append)), tuple(damaged))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowBridge(Request):
    """What a bridge was made of, and how much it carries."""

    name: str

    def run(self) -> Bridge:
        """Look it up. Raises ``UsageError`` where there is none."""
        return bridges.load(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveBridge(Request):
    """A bridge to forget."""

    name: str

    def run(self) -> Forgotten:
        """Forget it. Raises ``UsageError`` where there is none."""
        bridges.remove(self.name)
        return Forgotten(self.name)


def _captions(path: Path, column: str, listener: Listener) -> list[str]:
    """The texts of a file: its lines, or a column of its rows. What is wrong with a row is said; the others stay."""
    if path.suffix.lower() == ".txt":
        return tables.lines(path)
    found = []
    for row in tables.texts(path, [column]):
        if isinstance(row, tables.BadRow):
            listener.remark(f"skipped {path}, row {row.row + 1}: {row.reason}")
        else:
            found.append(row[0])
    return found


def _short(model: str) -> str:
    """A model's name as part of a file's name."""
    kept = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in Path(model).name)
    return kept.strip("-._") or "space"
