"""Networks as ONNX files ahead of the first run that needs them, and the cache that holds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from analogon.service.request import Request
from analogon.settings import config  # noqa: F401  the cache has its settings from there
from embed.errors import UsageError
from embed.export import export
from embed.exported import CACHE, Entry
from embed.listener import Listener
from embed.models import shared

__all__ = ["ExportOnnx", "ExportedFiles", "Kept"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing in the cache: what it is, its bytes, and why there is no ONNX file where there is none.

    ``cosine`` is the lowest that a row of the file had with torch's, None for a tokenizer.
    """

    what: str
    bytes: int
    cosine: float | None = None
    failed: str | None = None

    @classmethod
    def of(cls, entry: Entry, size: int | None = None) -> Kept:
        cosine = entry.facts.get("cosine")
        size = entry.bytes if size is None else size
        return cls(entry.what, size, None if cosine is None else float(cosine), entry.failed)


@dataclass(frozen=True, slots=True)
class ExportedFiles:
    """What was exported, or taken out of the cache, or is in it; and what all that is in it takes since.

    ``without`` are encoders none of whose networks can be exported.
    """

    kept: tuple[Kept, ...]
    folder: str
    bytes: int
    limit: int
    without: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOnnx(Request):
    """Export the networks of ``encoders``; without any, tell what is in the cache; ``clear`` empties it."""

    encoders: tuple[str, ...] = ()
    clear: bool = False

    def run(self, listener: Listener | None = None) -> ExportedFiles:
        """Do it. ``listener`` hears of each network. Raises ``UsageError`` for both at once, and what loading raises.

        A network that cannot be exported is told, and goes on with torch.
        """
        listener = listener or Listener()
        if self.clear and self.encoders:
            raise UsageError("name encoders to export, or say `clear` to empty the cache, not both")
        without: list[str] = []
        if self.clear:
            kept = tuple(Kept.of(entry, size) for entry, size in CACHE.clear())
        elif self.encoders:
            found: list[Entry] = []
            for name in self.encoders:
                encoder = shared(name)
                towers = [one for one in encoder.towers.values() if one.key is not None]
                if not towers:
                    without.append(encoder.space.model)
                    continue
                listener.phase(f"ONNX files of {encoder.space.model}", len(towers))
                found += export(encoder, towers, listener=listener)
            kept = tuple(Kept.of(entry) for entry in found)
        else:
            kept = tuple(Kept.of(entry) for entry in CACHE.entries())
        return ExportedFiles(kept, str(CACHE.folder()), CACHE.bytes(), CACHE.most(), tuple(without))
