"""People's voices, kept under names: added, compared, mixed, written for use elsewhere."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analogon import voices
from analogon.service.listing import Forgotten, Listing
from analogon.service.request import Request
from analogon.voices import SHELF, Comparison, NewVoice, Share, Voice
from analogon.voices.voices import short_model
from embed.errors import MediaError, UsageError
from embed.listener import Listener
from embed.media import Media, check_readable
from embed.space import Space

__all__ = [
    "AddVoice",
    "ExportVoice",
    "ExportedVoice",
    "FindSimilarVoices",
    "KeptVoice",
    "ListVoices",
    "MixVoices",
    "RemoveVoice",
    "ShowVoice",
    "SimilarVoices",
    "VoiceTakes",
]


@dataclass(frozen=True, slots=True)
class KeptVoice:
    """A voice that is kept now, and a line for each of what to say about how it was made."""

    voice: Voice
    notes: tuple[str, ...] = ()

    @classmethod
    def keep(cls, made: NewVoice) -> KeptVoice:
        """Save a new voice."""
        made.voice.save()
        return cls(made.voice, made.notes)

    def to_json(self) -> dict[str, Any]:
        return self.voice.to_json() | {"notes": list(self.notes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddVoice(Request):
    """A voice to keep: what speaker ``encoders`` hear in some recordings of one person.

    ``xvector`` are .npy files with ready x-vectors. ``more`` adds takes to a voice that is there, ``replace`` begins it
    anew.
    """

    name: str
    files: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    xvector: tuple[Path, ...] = ()
    more: bool = False
    replace: bool = False

    def run(self, listener: Listener | None = None) -> KeptVoice:
        """Hear and keep it. ``listener`` hears a phase. Raises ``UsageError`` where no take can be used."""
        listener = listener or Listener()
        there = SHELF.path(self.name).is_file()
        if self.more and self.replace:
            raise UsageError("`more` adds to a voice, `replace` forgets it: say one of them")
        if there and not (self.more or self.replace):
            raise UsageError(
                f"there is a voice called {self.name} already: `more` adds takes to it, `replace` begins anew"
            )
        if not (self.files or self.xvector or (self.more and self.encoders)):
            raise UsageError("name some recordings of one person, or a ready vector with `xvector=FILE.npy`")
        seen = 0

        def progress(done: int, total: int) -> None:
            nonlocal seen
            if not seen:
                listener.phase("takes", total)
            listener.advance(done - seen)
            seen = done
            listener.check()

        known = Voice.load(self.name) if self.more else None
        made = voices.enroll(self.name, self.files, self.encoders, ready=self.xvector, known=known, progress=progress)
        return KeptVoice.keep(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListVoices(Request):
    """The voices that there are."""

    def run(self) -> Listing[Voice]:
        """By name."""
        damaged: list[str] = []
        return Listing(tuple(Voice.listing(damaged.append)), tuple(damaged))


@dataclass(frozen=True, slots=True)
class VoiceTakes:
    """A voice with its takes, and how well each goes with the others in each space."""

    voice: Voice

    def to_json(self) -> dict[str, Any]:
        one = self.voice
        fits = {space: one.fits(space) for space in one.vectors}
        items = [
            {
                "path": take.path,
                "content": take.content,
                "seconds": take.seconds,
                "fits": {
                    space.id: None if row[i] != row[i] else round(float(row[i]), 6) for space, row in fits.items()
                },
            }
            for i, take in enumerate(one.takes)
        ]
        return {**one.to_json(), "items": items}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowVoice(Request):
    """A voice's takes."""

    name: str

    def run(self) -> VoiceTakes:
        """Look it up. Raises ``UsageError`` where there is none."""
        return VoiceTakes(Voice.load(self.name))


@dataclass(frozen=True, slots=True)
class SimilarVoices:
    """Kept voices by their cosine with a recording or a voice, best first, for each space that both are in.

    ``recorded`` is whether a recording was asked about. ``remarks`` are lines about files and encoders that could not
    be read. Where nothing was found, ``kept`` says how many voices there are.
    """

    asked: str
    recorded: bool
    kept: int
    spaces: tuple[tuple[Comparison, ...], ...] = ()
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"asked": self.asked, "kept": self.kept, "voices": self.rows(), "remarks": list(self.remarks)}

    def rows(self) -> list[dict[str, Any]]:
        """An object for each voice in each space, with its rank there."""
        return [{"rank": rank, **one.to_json()} for best in self.spaces for rank, one in enumerate(best, 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindSimilarVoices(Request):
    """Which kept voices are nearest to a recording (./x.wav) or to a kept voice, ``k`` of each space.

    ``encoders`` chooses the spaces; without any all count whose encoder can be loaded.
    """

    asked: str
    k: int = 10
    encoders: tuple[str, ...] = ()

    def run(self) -> SimilarVoices:
        """Compare them. Raises ``UsageError`` for what is neither a voice nor a file, and ``MediaError``."""
        if self.k < 1:
            raise UsageError(f"k must be at least 1, not {self.k}")
        remarks: list[str] = []
        kept = Voice.listing(remarks.append)
        about = self._asked()
        recorded = isinstance(about, Media)
        if not kept:
            return SimilarVoices(self.asked, recorded, 0, (), tuple(remarks))
        found = voices.most_similar(about, kept, self.encoders, remark=remarks.append)
        spaces = dict.fromkeys(one.space for one in found)
        best = tuple(tuple([one for one in found if one.space == space][: self.k]) for space in spaces)
        return SimilarVoices(self.asked, recorded, len(kept), best, tuple(remarks))

    def _asked(self) -> Media | Voice:
        names = SHELF.names()
        if self.asked in names:
            return Voice.load(self.asked)
        if os.sep not in self.asked and not os.path.exists(self.asked):
            there = ", ".join(names) or "there is none"
            raise UsageError(f"{self.asked}: neither a kept voice ({there}) nor a file")
        check_readable(self.asked)
        about = Media.from_path(self.asked)
        if about.modality != "audio":
            raise MediaError(self.asked, f"is {about.modality}, not a recording")
        return about


@dataclass(frozen=True, slots=True, kw_only=True)
class MixVoices(Request):
    """A voice between kept ones: ``parts`` are written NAME:WEIGHT, or NAME alone for a weight of 1.

    It is called ``name``, else NAME-NAME; ``replace`` puts it in the place of one that has the name.
    """

    parts: tuple[str, ...]
    name: str | None = None
    replace: bool = False

    def run(self) -> KeptVoice:
        """Mix and keep it. Raises ``UsageError``."""
        shares = [Share.parse(part) for part in self.parts]
        name = self.name or "-".join(dict.fromkeys(share.name for share in shares))
        if SHELF.path(name).is_file() and not self.replace:
            raise UsageError(
                f"there is a voice called {name} already: `as=NAME` calls it something else, or say `replace`"
            )
        return KeptVoice.keep(voices.mix(name, shares))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVoice(Request):
    """A voice to forget; its recordings stay untouched."""

    name: str

    def run(self) -> Forgotten:
        """Forget it. Raises ``UsageError`` where there is none."""
        Voice.remove(self.name)
        return Forgotten(self.name)


@dataclass(frozen=True, slots=True)
class ExportedVoice:
    """Where a voice's vector was written, of which model, and how many numbers it has."""

    name: str
    model: str
    dim: int
    target: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportVoice(Request):
    """A voice's vector, float32, for use elsewhere; ``space`` is a model's name or id, where it is kept in several."""

    name: str
    target: Path
    space: str | None = None

    def run(self) -> ExportedVoice:
        """Write it. Raises ``UsageError`` where the space is not said, or the file cannot be written."""
        import numpy as np

        from indexes.durable import replacing

        one = Voice.load(self.name)
        if self.target.suffix != ".npy":
            raise UsageError(f"{self.target}: a vector is written as a .npy file")
        chosen = self._space(one)
        try:
            with replacing(self.target) as temporary, temporary.open("wb") as file:
                np.save(file, one.vector(chosen), allow_pickle=False)
        except OSError as error:
            raise UsageError(f"{self.target}: cannot be written: {error.strerror or error}") from None
        return ExportedVoice(self.name, chosen.model, chosen.dim, str(self.target))

    def _space(self, one: Voice) -> Space:
        """The space of a voice that was named, or its only one."""
        if self.space is None and len(one.vectors) == 1:
            return next(iter(one.vectors))
        known = {key: space for space in one.vectors for key in (space.id, space.model, short_model(space))}
        if self.space in known:
            return known[self.space]
        names = ", ".join(map(short_model, one.vectors))
        what = "say which with `space`" if self.space is None else f"not in {self.space}"
        raise UsageError(f"{one.name} is kept in {names}: {what}")
