"""What there is to say, in order: segments of words, the silences between them, and marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from analogon.speech.tree import Pitch

__all__ = ["Item", "Mark", "Script", "Segment", "Silence"]

OWN: Final = Pitch()


@dataclass(frozen=True, slots=True)
class Mark:
    """A place with a name; in a segment, so many characters (``at``) into its text."""

    name: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Silence:
    """So many seconds without a sound: a break that was asked for, what stands between sentences and paragraphs
    (``structure``), or what joins segments where the document has nothing between them.
    """

    seconds: float
    why: Literal["break", "structure", "join"] = "break"


@dataclass(frozen=True, slots=True)
class Segment:
    """Words that are spoken in one way.

    ``rate`` is times the voice's own, ``pitch`` what becomes of its fundamental frequency, ``volume`` dB above its own
    level (-inf: silent). ``emphasis`` is on top of these. ``voice`` holds names in order of preference. ``language`` is
    what the document says that the words are in; where the voice was named further inside than the language was,
    ``by_voice`` is true, and the voice's own language counts more.
    """

    text: str
    rate: float = 1.0
    pitch: Pitch = OWN
    volume: float = 0.0
    emphasis: str | None = None
    voice: tuple[str, ...] = ()
    language: str | None = None
    phoneme: str | None = None
    marks: tuple[Mark, ...] = ()
    by_voice: bool = False


Item = Segment | Silence | Mark


@dataclass(frozen=True, slots=True)
class Script:
    """What there is to say, in order, and a line for each thing that no engine is going to do."""

    items: tuple[Item, ...]
    remarks: tuple[str, ...] = ()

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(item for item in self.items if isinstance(item, Segment))
