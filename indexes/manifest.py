"""The manifest of a collection: a JSON file with its spaces, each with how to load its encoder."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from embed.encoder import Encoder
from embed.errors import CollectionDamaged, CollectionError, CollectionNotFound, one_line
from embed.space import Space
from indexes.durable import read_whole, write_atomically

__all__ = ["FORMAT", "KnownSpace", "entry_of", "read_manifest", "recorded", "write_manifest"]

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class KnownSpace:
    """A space of a collection, and the table that ``embed.load`` makes its encoder from.

    ``mixed`` are the precisions, besides the table's, in which vectors of it were made, each with the lowest cosine
    that was measured between the two.
    """

    space: Space
    encoder: dict[str, Any]
    mixed: dict[str, float] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """The precision in which its vectors were made, or the first of them."""
        return str(self.encoder.get("precision") or "float32")

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> KnownSpace:
        """The inverse of ``entry_of``."""
        return cls(Space.from_json(entry["space"]), dict(entry["encoder"]), dict(entry.get("mixed") or {}))


def recorded(encoder: Encoder, table: Mapping[str, Any]) -> dict[str, Any]:
    """An encoder's table for a manifest: no device, which is this machine's, and a precision where below float32."""
    kept = {key: value for key, value in table.items() if key not in ("device", "precision")}
    return kept | ({"precision": encoder.precision} if encoder.precision != "float32" else {})


def entry_of(known: KnownSpace) -> dict[str, Any]:
    """A space as the manifest has it."""
    entry: dict[str, Any] = {"space": known.space.to_json(), "encoder": known.encoder}
    return entry | ({"mixed": known.mixed} if known.mixed else {})


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the collection in a folder. Raises ``CollectionDamaged`` where it is not one that can be read.

    ``CollectionError`` where a newer program made it.
    """
    file = path / "manifest.json"
    try:
        manifest = _parsed(read_whole(file))
        version = manifest["format"]
        if isinstance(version, int) and version > FORMAT:  # whose spaces may be written in another way
            raise CollectionError(
                f"{file}: made by a newer analogon, with format {version}; "
                f"this one reads format {FORMAT}: update analogon"
            )
        spaces = [Space.from_json(s["space"]) for s in manifest["spaces"]]
        if manifest.get("names"):
            Space.from_json(manifest["names"]["space"])
    except FileNotFoundError:
        raise CollectionNotFound(f"{path}: no collection there any more: it was deleted") from None
    except PermissionError as error:
        raise CollectionError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CollectionDamaged(
            f"{file}: not a readable manifest ({one_line(error, named=True)}); "
            "restore it from a copy, or delete its folder and index again"
        ) from None
    if version != FORMAT:
        raise CollectionDamaged(f"{file}: format {version!r}; this analogon reads format {FORMAT}")
    if len({space.id for space in spaces}) != len(spaces):
        raise CollectionDamaged(f"{file}: names one space twice")
    return dict(manifest)


@functools.lru_cache(maxsize=16)
def _parsed(content: bytes) -> Any:
    return json.loads(content)  # asked again for each question to a collection, and hardly ever another one


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of the collection in a folder: at any instant either the old or the new one is there."""
    write_atomically(path / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False).encode())
