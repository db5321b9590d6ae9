"""What decoding says of a medium beside its parts: what it dropped, guessed or mixed away, and where a header lies."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Remarks"]


@dataclass(slots=True, eq=False)
class Remarks:
    """Filled while a medium is decoded, and complete when its last part was given.

    ``notes`` are for people, one clause each without the file's name, such as "its channels cancel each other out;
    the first one was taken". None of them fails the medium. ``facts`` are what decoding found where the header says
    something else or nothing, under the names of ``embed.decode.facts``.
    """

    notes: list[str] = field(default_factory=list)
    facts: dict[str, int | float | str] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Say something, once."""
        if text not in self.notes:
            self.notes.append(text)
