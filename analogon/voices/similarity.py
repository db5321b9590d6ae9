"""How near a recording is to a kept voice.

No cosine says who somebody is. It depends on the encoder, on the line and above all on how long the recordings are, so
that every cosine here comes with those that the voice's own takes have and those that other people's takes have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.voices.enrolment import SHORT, SHORTEST, encode_recordings, loaded_encoders, seconds_of_sound
from analogon.voices.voices import Row, Voice, short_model
from embed.errors import MediaError, UsageError
from embed.media import Media, content_hash
from embed.models import shared
from embed.pipeline import encode
from embed.space import Space

__all__ = [
    "Comparison",
    "Cosines",
    "NearestSample",
    "Similarity",
    "compare",
    "most_similar",
    "nearest",
    "similarity",
]

STRANGERS: Final = 20
"""Cosines of strangers' takes from which a share of them says something."""
ORIENTATION: Final[Mapping[str, str]] = {
    "407c8533f645adda6a417f43cfca8015": (
        "between men who read digits (8 kHz, 2 s a recording) the cosine is 0.49 to 0.67, of one man with himself "
        "0.83 to 0.94; shorter recordings go together whoever speaks"
    )
}
"""What cosines to expect, by the hash of an encoder's weights; measured by benchmarks/voice_similarity.py."""


@dataclass(frozen=True, slots=True)
class Cosines:
    """Many cosines in short: how many, and their 5th, 50th and 95th percentiles."""

    n: int
    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Cosines | None:
        """Those of the values that are numbers; None where none is."""
        array = np.asarray(values, np.float64)
        array = array[np.isfinite(array)]
        return cls(len(array), *(float(v) for v in np.percentile(array, (5, 50, 95)))) if len(array) else None

    def __str__(self) -> str:
        return f"{self.middle:.2f}" if self.n == 1 else f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f})"

    def to_json(self) -> dict[str, Any]:
        return {"n": self.n, "low": self.low, "middle": self.middle, "high": self.high}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The cosine of a recording, or of another voice, with a kept voice in one space, and what to see it by.

    ``own`` are the cosines of the voice's takes, each with the mean of the others; ``others`` those of other kept
    voices' takes with this voice (of the voices themselves, where a voice is compared); ``above`` is the share of
    ``others`` that the score is above, None where they are fewer than 20. ``note`` says what sets the score apart.
    """

    voice: str
    space: Space
    score: float
    own: Cosines | None = None
    others: Cosines | None = None
    above: float | None = None
    note: str = ""

    @property
    def context(self) -> str:
        """``own`` and ``others`` in words; empty where there is neither."""
        said = [f"its own takes {self.own}"] if self.own else []
        said += [f"other voices' takes {self.others}"] if self.others else []
        return "; ".join([*said, *([self.note] if self.note else [])])

    def to_json(self) -> dict[str, Any]:
        return {
            "voice": self.voice,
            "space": self.space.id,
            "model": self.space.model,
            "score": round(self.score, 6),
            "own": self.own.to_json() if self.own else None,
            "others": self.others.to_json() if self.others else None,
            "above": self.above,
            "note": self.note,
        }


def compare(
    voice: Voice,
    space: Space,
    vector: Row,
    kept: Iterable[Voice] = (),
    *,
    content: str = "",
    seconds: float | None = None,
) -> Comparison:
    """The cosine of a unit vector ``(dim,)`` with a voice, beside those of its own takes and of other voices' takes.

    ``kept`` are the voices that there are; those that share in the voice's mix, or it in theirs, are not others.
    ``content`` is the hash of the recording that was heard: where it is one of the takes, it is measured with the rest
    of them. ``seconds`` is how much sound it has.
    """
    notes = []
    kept = list(kept)
    if content and (rest := voice.without(content)) is not voice:
        more = space in rest.vectors
        notes.append("it is one of the takes: measured with the others" if more else "it is the only take")
        voice = rest if more else voice
    own = [take.seconds for take in voice.takes if take.seconds]
    if seconds and own and (seconds < SHORT) != (np.median(own) < SHORT):
        longer = "shorter" if seconds < SHORT else "longer"
        notes.append(f"{seconds:.1f} s of sound, much {longer} than the takes ({np.median(own):.1f} s): that lowers it")
    seen = {take.content for take in voice.takes} | {content}
    strangers: list[float] = []
    for other in kept:
        if other.name == voice.name or space not in other.rows or _related(voice, other, kept):
            continue
        rows = [row for take, row in zip(other.takes, other.rows[space], strict=True) if take.content not in seen]
        strangers += [float(row @ voice.vectors[space]) for row in rows if row.any()]
    score = float(voice.vector(space) @ vector)
    fits = Cosines.of(voice.fits(space))
    above = _above(score, strangers)
    return Comparison(voice.name, space, score, fits, Cosines.of(strangers), above, "; ".join(notes))


def _beside(voice: Voice, space: Space, asked: Voice, kept: Sequence[Voice]) -> Comparison:
    """The cosine of two voices, beside those of the first with others that have nothing to do with it."""
    shared = _related(voice, asked, [*kept, asked])
    others = [
        float(other.vectors[space] @ voice.vectors[space])
        for other in kept
        if space in other.vectors and not _related(voice, other, kept) and not _related(asked, other, [*kept, asked])
    ]
    score = float(voice.vectors[space] @ asked.vectors[space])
    note = "they share a voice" if shared else ""
    return Comparison(voice.name, space, score, None, Cosines.of(others), _above(score, others), note)


def _above(score: float, others: Sequence[float]) -> float | None:
    return float(np.mean(np.array(others) < score)) if len(others) >= STRANGERS else None


def _related(one: Voice, other: Voice, kept: Sequence[Voice]) -> bool:
    """Whether one of two voices was mixed of the other, or both of a third."""
    by_name = {voice.name: voice for voice in kept}

    def origins(voice: Voice, seen: frozenset[str] = frozenset()) -> set[str]:
        found = {voice.name}
        for share in voice.mixed:
            if share.name not in seen:
                part = by_name.get(share.name)
                found |= origins(part, seen | {voice.name}) if part else {share.name}
        return found

    return bool(origins(one) & origins(other))


def most_similar(
    asked: Media | Voice,
    kept: Sequence[Voice],
    encoders: Sequence[str | Mapping[str, Any]] = (),
    *,
    remark: Callable[[str], None] = lambda line: None,
) -> list[Comparison]:
    """Kept voices by their cosine with a recording or a voice, best first within each space.

    In all spaces whose encoder can be loaded, or in those of ``encoders``; ``remark`` hears of the others. Raises
    ``UsageError`` where no space is left, and ``MediaError`` where the recording cannot be read.
    """
    spaces = list(dict.fromkeys(space for voice in kept for space in voice.vectors))
    tables = {space: table for voice in kept for space, table in voice.encoders.items()}
    loaded = {one.space: one for one in map(shared, encoders)}
    if encoders:
        spaces = [space for space in spaces if space in loaded]
    if isinstance(asked, Voice):
        vectors = {space: asked.vectors[space] for space in spaces if space in asked.vectors}
        content, seconds = "", None
        kept = [voice for voice in kept if voice.name != asked.name]
    else:
        content, seconds = content_hash(asked), seconds_of_sound(asked)
        if seconds < SHORTEST:
            raise MediaError(asked.name, f"is silent, or too short: {seconds:.2f} s of sound")
        loaded = loaded or loaded_encoders(spaces, tables, remark)
        vectors = {space: encode(loaded[space], [asked]).array[0] for space in spaces if space in loaded}
    found: list[Comparison] = []
    for space, vector in vectors.items():
        there = [voice for voice in kept if space in voice.vectors]
        if isinstance(asked, Voice):
            measured = [_beside(voice, space, asked, kept) for voice in there]
        else:
            measured = [compare(voice, space, vector, kept, content=content, seconds=seconds) for voice in there]
        found += sorted(measured, key=lambda one: -one.score)
    if not vectors:
        raise UsageError(
            "no voice is kept in a space in which this could be heard; "
            "`analogon.service.voices.ListVoices().run()` says which are"
        )
    return found


@dataclass(frozen=True, slots=True)
class NearestSample:
    """The sample that is nearest to a voice: its name, the cosine, the space, and how many it was chosen among."""

    name: str
    score: float
    space: Space
    among: int


def nearest(voice: Voice, samples: Mapping[str, Media]) -> NearestSample:
    """The sample whose speaker is nearest to a voice, in the first of its spaces whose encoder can be loaded.

    Samples that cannot be encoded are passed over. Raises ``UsageError`` where none is left, or no encoder.
    """
    reasons: list[str] = []
    for space, encoder in loaded_encoders(voice.vectors, voice.encoders, reasons.append).items():
        names = list(samples)
        heard = encode_recordings(encoder, dict(enumerate(samples[name] for name in names)), reasons, lambda done: None)
        scores = {names[number]: float(row @ voice.vector(space)) for number, row in heard.items()}
        if scores:
            best = max(scores, key=lambda name: scores[name])
            return NearestSample(best, scores[best], space, len(scores))
    raise _unheard(voice, reasons)


@dataclass(frozen=True, slots=True)
class Similarity:
    """How near a take's speaker is to the voice that was asked for, space by space.

    The first of ``measured`` is the one to go by: one in a space that the generator was not fed with, where there is
    one. ``fed`` is the space that it was fed with, where that is known.
    """

    voice: str
    measured: tuple[Comparison, ...]
    fed: Space | None = None
    remarks: tuple[str, ...] = ()

    @property
    def space(self) -> Space:
        return self.measured[0].space

    @property
    def score(self) -> float:
        """The cosine of the first."""
        return self.measured[0].score

    @property
    def others(self) -> Cosines | None:
        """The cosines of other kept voices' takes in the first."""
        return self.measured[0].others

    @property
    def independent(self) -> bool:
        """Whether it is told by another space than the generator was fed with."""
        return self.fed is None or self.space != self.fed

    def __str__(self) -> str:
        first = self.measured[0]
        said = f"speaker similarity to {self.voice}: {first.score:.2f} ({short_model(first.space)}"
        said += f"; {first.context}" if first.context else ""
        if not (first.own or first.others) and first.space.weights in ORIENTATION:
            said += f"; {ORIENTATION[first.space.weights]}"
        if not self.independent:
            said += "; the generator was fed with this space: not independent"
        rest = [f"{short_model(one.space)} {one.score:.2f}" for one in self.measured[1:]]
        return said + ")" + (f", {', '.join(rest)}" if rest else "")

    def to_json(self) -> dict[str, Any]:
        """For a sidecar."""
        return {
            "voice": self.voice,
            "score": round(self.score, 6),
            "independent": self.independent,
            "fed": self.fed.model if self.fed else None,
            "measured": [one.to_json() for one in self.measured],
        }


def similarity(
    voice: Voice, take: Media, *, fed: Space | None = None, kept: Sequence[Voice] | None = None
) -> Similarity:
    """How near a take's speaker is to a voice, in each of its spaces whose encoder can be loaded.

    ``fed`` is the space whose vector the generator was given: a judge that saw the question is the last to be asked.
    ``kept`` are the voices to compare with, all that are kept where it is None. Raises ``UsageError`` where no encoder
    can be loaded, and ``MediaError`` where the take is silent or cannot be encoded.
    """
    remarks: list[str] = []
    kept = Voice.listing() if kept is None else kept
    loaded = loaded_encoders(voice.vectors, voice.encoders, remarks.append)
    if not loaded:
        raise _unheard(voice, remarks)
    content, seconds = content_hash(take), seconds_of_sound(take)
    if seconds < SHORTEST:
        raise MediaError(take.name, "is silent, or too short, to be compared with a voice")
    measured = []
    for space in sorted(loaded, key=lambda space: space == fed):
        vector = encode(loaded[space], [take]).array[0]
        measured.append(compare(voice, space, vector, kept, content=content, seconds=seconds))
    return Similarity(voice.name, tuple(measured), fed, tuple(remarks))


def _unheard(voice: Voice, reasons: Sequence[str]) -> UsageError:
    why = (
        reasons[-1]
        if reasons
        else (
            f"`analogon.service.voices.AddVoice(name={voice.name!r}, files=[FILE], more=True, "
            "encoders=['speaker']).run()` lets it be"
        )
    )
    return UsageError(f"the voice {voice.name} cannot be compared with recordings: {why}")
