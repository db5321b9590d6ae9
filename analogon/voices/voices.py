"""Kept voices: what speaker encoders make of somebody's recordings, under a name.

A voice's vector is the normalised mean of its takes' unit vectors, as GE2E makes a speaker's centroid (Wan et al. 2018,
arXiv:1710.10467). No cosine says who somebody is. It depends on the encoder, on the line and above all on how long the
recordings are, so that every cosine here comes with those that the voice's own takes have and those that other
people's takes have.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.settings.shelf import Damaged, Shelf
from analogon.vectors.geometry import mean, unit
from embed import decode, hub
from embed.encoder import AudioInput, Encoder, resolve
from embed.encoder import load as load_encoder
from embed.errors import AnalogonError, MediaError, MissingPackage, SpaceMismatch, UsageError, one_line
from embed.media import Media, check_readable, content_hash
from embed.pipeline import Encoded, encode, encode_stream
from embed.space import Space

__all__ = [
    "SHELF",
    "SPEECHBRAIN",
    "Cosines",
    "Made",
    "Measured",
    "Near",
    "Recording",
    "Share",
    "Similarity",
    "Voice",
    "blend",
    "default_encoder",
    "hear",
    "measure",
    "mix",
    "nearest",
    "similar",
    "similarity",
    "sounding",
]

Row = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

SHELF: Final = Shelf("voice", verb="add")
SPEECHBRAIN: Final = Space(
    "speechbrain/spkrec-xvect-voxceleb", "speechbrain/spkrec-xvect-voxceleb", "16 kHz mono; as published", 512
)
"""The x-vectors that the published SpeechT5 checkpoints were trained with, those of CMU Arctic among them.

No encoder here makes them: they are read from files, and taken at their word.
"""
SPEAKER_FAMILIES: Final = ("speaker", "xvector")
"""The families that were trained to tell speakers apart."""
SHORTEST: Final = 0.1
"""Seconds of sound below which a take says nothing of a voice."""
SHORT: Final = 1.6
"""Seconds of sound below which GE2E fills its first partial utterance up with silence: such takes are like each other,
whoever speaks."""
FRAME: Final = 480  # samples at RATE: 30 ms
RATE: Final = 16000
SILENCE: Final = -60.0  # dBFS
BELOW_LOUDEST: Final = 40.0  # dB
DEVIATIONS: Final = 3.0
APART: Final = 0.1
FEWEST: Final = 3
"""Takes of which one can be unlike the others."""
STRANGERS: Final = 20
"""Cosines of strangers' takes from which a share of them says something."""
NOTHING: Final = 1e-6
"""Length below which a sum is rounding."""
FEW_SECONDS: Final = 5.0
ORIENTATION: Final[Mapping[str, str]] = {
    "407c8533f645adda6a417f43cfca8015": (
        "between men who read digits (8 kHz, 2 s a recording) the cosine is 0.49 to 0.67, of one man with himself "
        "0.83 to 0.94; shorter recordings go together whoever speaks"
    )
}
"""What cosines to expect, by the hash of an encoder's weights; measured by benchmarks/voice_similarity.py."""
WARM: Final[dict[Space, Encoder]] = {}
"""Encoders that heard something before: of eight takes that are compared one by one, only the first loads weights."""


# -- what is kept ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recording:
    """A take of a voice: where it lay, the hash of its content, and how many seconds of it are not silence.

    A vector that was given ready is one as well, of 0 seconds.
    """

    path: str
    content: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """A kept voice's part in a mix."""

    name: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Share:
        """``narrator:0.7``, or ``narrator`` for a weight of 1. Raises ``UsageError``.

        >>> Share.parse("narrator:0.7")
        Share(name='narrator', weight=0.7)
        """
        name, colon, number = text.partition(":")
        try:
            return cls(name, float(number) if colon else 1.0)
        except ValueError:
            raise UsageError(f"{text}: a voice and its weight are written NAME:NUMBER, as in narrator:0.7") from None

    def __str__(self) -> str:
        return f"{self.name}:{self.weight:g}"


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """A voice: a unit vector float32 ``(dim,)`` in each space of a speaker encoder that heard its takes.

    ``rows`` are its takes' own unit vectors in each space, float32 ``(len(takes), dim)``; a row of zeros where a take
    was not heard there. ``encoders`` are the tables that ``embed.load`` makes the spaces' encoders from, where they are
    known. ``mixed`` says what it was mixed of; then it has no takes. ``created`` is a date and time in UTC.
    """

    name: str
    vectors: Mapping[Space, Row] = field(repr=False)
    takes: tuple[Recording, ...] = ()
    rows: Mapping[Space, Rows] = field(default_factory=dict, repr=False)
    encoders: Mapping[Space, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    mixed: tuple[Share, ...] = ()
    created: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def __post_init__(self) -> None:
        wanted: list[tuple[Space, Rows, tuple[int, ...]]]
        wanted = [(space, row, (space.dim,)) for space, row in self.vectors.items()]
        wanted += [(space, rows, (len(self.takes), space.dim)) for space, rows in self.rows.items()]
        for space, array, shape in wanted:
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{self.name} wants float32 {shape} in {space.model}, not {array.dtype} {array.shape}")
            lengths = np.linalg.norm(array, axis=-1)
            if not np.allclose(lengths[lengths != 0] if array.ndim == 2 else lengths, 1.0, atol=1e-3):
                raise ValueError(f"{self.name}: its vectors in {space.model} are not of length 1")

    @classmethod
    def of(cls, name: str, takes: Sequence[Recording], rows: Mapping[Space, Rows], **others: Any) -> Voice:
        """The voice of some takes: in each space the normalised mean of the rows that are not zero.

        Raises ``UsageError`` where they cancel each other.
        """
        vectors = {space: mean(heard) for space, array in rows.items() if len(heard := array[array.any(axis=1)])}
        for space, vector in vectors.items():
            if not vector.any():
                raise UsageError(f"{name}: its takes cancel each other in {space.model}: they have no mean")
        return cls(name, vectors, tuple(takes), {space: rows[space] for space in vectors}, **others)

    def vector(self, space: Space) -> Row:
        """Its unit vector in a space. Raises ``SpaceMismatch``, saying which spaces it has."""
        if space not in self.vectors:
            has = ", ".join(known.model for known in self.vectors) or "no space at all"
            raise SpaceMismatch(f"the voice {self.name} is kept in {has}, not in {space.model}")
        return self.vectors[space]

    @property
    def seconds(self) -> float:
        """Seconds of sound in all its takes."""
        return math.fsum(take.seconds for take in self.takes)

    def fits(self, space: Space) -> npt.NDArray[np.float64]:
        """The cosine of each take with the mean of the other takes, ``(len(takes),)``: low ones are odd.

        NaN for a take that was not heard in the space, and for one alone.
        """
        rows = np.asarray(self.rows.get(space, np.zeros((len(self.takes), 1))), np.float64)
        others = unit(rows.sum(axis=0) - rows).astype(np.float64)
        found: npt.NDArray[np.float64] = (rows * others).sum(axis=1)
        heard = rows.any(axis=1)
        return np.where(heard & (heard.sum() > 1), found, np.nan)

    def consistency(self, space: Space) -> float | None:
        """The mean of ``fits``: how alike its takes are. None for fewer than two takes, as a mix has."""
        fits = self.fits(space)
        return float(np.nanmean(fits)) if np.isfinite(fits).any() else None

    def odd(self, space: Space) -> list[int]:
        """The numbers of takes that are unlike the others: strangers, noise, another microphone.

        Those whose fit is more than three scaled median absolute deviations (Leys et al. 2013) and more than 0.1 below
        the median. Of fewer than three takes none is.
        """
        fits = self.fits(space)
        known = fits[np.isfinite(fits)]
        if len(known) < FEWEST:
            return []
        middle = float(np.median(known))
        spread = 1.4826 * float(np.median(np.abs(known - middle)))
        return [int(i) for i in np.flatnonzero(fits < middle - max(DEVIATIONS * spread, APART))]

    def oddities(self) -> list[str]:
        """A line for each take that is unlike the others in a space."""
        lines = []
        for space in self.vectors:
            fits = self.fits(space)
            for number in self.odd(space):
                rest = np.delete(fits, number)
                lines.append(
                    f"{self.takes[number].path} is unlike the others ({fits[number]:.2f}; the others "
                    f"{np.nanmean(rest):.2f}; {_short(space)}): is it the same voice?"
                )
        return lines

    def without(self, content: str) -> Voice:
        """The voice of the takes that have another content hash; itself where none has this one."""
        keep = [i for i, take in enumerate(self.takes) if take.content != content]
        if len(keep) == len(self.takes):
            return self
        return replace(
            Voice.of(self.name, [self.takes[i] for i in keep], {s: rows[keep] for s, rows in self.rows.items()}),
            encoders=self.encoders,
            created=self.created,
        )

    def to_json(self) -> dict[str, Any]:
        """What a listing says of it."""
        return {
            "name": self.name,
            "takes": len(self.takes),
            "seconds": round(self.seconds, 2),
            "spaces": [
                {
                    "model": space.model,
                    "id": space.id,
                    "dim": space.dim,
                    "takes": int(self.rows[space].any(axis=1).sum()) if space in self.rows else 0,
                    "consistency": self.consistency(space),
                }
                for space in self.vectors
            ],
            "mixed": [{"name": share.name, "weight": share.weight} for share in self.mixed],
            "created": self.created,
        }

    def save(self) -> None:
        """Keep the voice under its name; one that had it before is replaced."""
        spaces = list(self.vectors)
        record = {
            "spaces": [
                {"space": space.to_json(), "encoder": dict(self.encoders[space]) if space in self.encoders else None}
                for space in spaces
            ],
            "takes": [[take.path, take.content, take.seconds] for take in self.takes],
            "mixed": [[share.name, share.weight] for share in self.mixed],
            "created": self.created,
        }
        arrays = {f"vector {i}": self.vectors[space] for i, space in enumerate(spaces)}
        arrays |= {f"takes {i}": self.rows[space] for i, space in enumerate(spaces) if space in self.rows}
        SHELF.put(self.name, record, arrays)

    @classmethod
    def load(cls, name: str) -> Voice:
        """The voice kept under a name.

        Raises ``UsageError``, saying which there are, and ``AnalogonError`` where its file contradicts itself.
        """
        kept = SHELF.get(name)
        try:
            known = kept.record["spaces"]
            spaces = [Space.from_json(one["space"]) for one in known]
            if not spaces:
                raise ValueError("it has no vector")
            return cls(
                name,
                {space: kept.arrays[f"vector {i}"] for i, space in enumerate(spaces)},
                tuple(Recording(str(path), str(hex), float(s)) for path, hex, s in kept.record["takes"]),
                {space: kept.arrays[f"takes {i}"] for i, space in enumerate(spaces) if f"takes {i}" in kept.arrays},
                {space: dict(one["encoder"]) for space, one in zip(spaces, known, strict=True) if one["encoder"]},
                tuple(Share(str(part), float(weight)) for part, weight in kept.record["mixed"]),
                str(kept.record["created"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnalogonError(f"{SHELF.path(name)}: not a readable voice ({error}); add it again") from None

    @classmethod
    def listing(cls, damaged: Damaged = lambda line: None) -> list[Voice]:
        """Every voice that is kept, by name; ``damaged`` hears of files that cannot be read."""
        return list(SHELF.each(cls.load, damaged))

    @staticmethod
    def remove(name: str) -> None:
        """Forget the voice of a name. Raises ``UsageError`` where there is none."""
        SHELF.remove(name)


@dataclass(frozen=True, slots=True)
class Made:
    """A voice, and a line for each of what to say about how it was made."""

    voice: Voice
    notes: tuple[str, ...]


# -- from recordings to a voice ----------------------------------------------------------------------------------------


def default_encoder() -> str:
    """The speaker encoder that is at hand: ``speaker``, else the x-vectors of a WavLM that lies in the hub's cache.

    Raises ``MissingPackage``, naming the extra, where neither is there.
    """
    from embed.encoders.xvector import DEFAULT_MODEL

    try:
        load_encoder("speaker")
    except MissingPackage:
        if hub.whole(DEFAULT_MODEL) is None:
            raise
        return "xvector"
    return "speaker"


def sounding(media: Media) -> float:
    """How many seconds of a recording are not silence.

    Of its frames of 30 ms those above -60 dBFS that are no more than 40 dB below the loudest one. Noise counts: this
    hears no words. Raises ``MediaError`` where nothing can be read; of a damaged recording what could be read counts.
    """
    levels: list[npt.NDArray[np.float64]] = []
    heard = 0  # samples of the recording that were seen: the last window begins again before its end
    try:
        for part in decode.parts(media, audio=AudioInput(RATE, 30.0)):
            assert part.array is not None
            start = round(part.span.start * RATE) if part.span else 0
            samples = part.array[max(0, heard - start) :].astype(np.float64)
            heard = max(heard, start + len(part.array))
            frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
            levels.append(10 * np.log10(np.maximum((frames**2).mean(axis=1), 1e-30)))
    except MediaError:
        if not levels:
            raise
    level = np.concatenate([np.zeros(0), *levels])
    loud = level > max(SILENCE, float(level.max(initial=-300.0)) - BELOW_LOUDEST)
    return float(loud.sum()) * FRAME / RATE


def hear(
    name: str,
    files: Sequence[str | os.PathLike[str]],
    encoders: Sequence[str | Mapping[str, Any]] = (),
    *,
    ready: Sequence[str | os.PathLike[str]] = (),
    known: Voice | None = None,
    progress: Progress = lambda done, total: None,
) -> Made:
    """The voice of some recordings; ``save`` keeps it.

    ``encoders`` name the speaker encoders that hear them, ``default_encoder()`` where none is named. ``ready`` are .npy
    files with an x-vector in ``SPEECHBRAIN``'s space. ``known`` is a voice to which these takes are added: its encoders
    hear the new ones, and encoders that are new to it hear the old ones where their files are unchanged. A take that
    cannot be used is left out, and a note says why. Raises ``UsageError`` where none is left, or where a
    ready vector is no vector.
    """
    SHELF.path(name)
    if known is not None and known.mixed:
        raise UsageError(f"{known.name} is mixed of other voices: takes cannot be added to it")
    notes: list[str] = []
    takes = list(known.takes) if known else []
    tables = dict(known.encoders) if known else {}
    found: dict[Space, dict[int, Row]] = {
        space: {i: row for i, row in enumerate(rows) if row.any()}
        for space, rows in (known.rows if known else {}).items()
    }
    loaded = _loaded(found, tables, notes.append) if files else {}
    for table in map(resolve, encoders or ([default_encoder()] if files and not loaded else [])):
        encoder = _speaker_encoder(table, notes)
        loaded[encoder.space], tables[encoder.space] = encoder, table
    old = _unchanged(takes, notes) if loaded.keys() - found.keys() else {}
    before = len(takes)
    new: dict[int, Media] = {}
    for take, medium in _usable(files, takes, notes):
        new[len(takes)] = medium
        takes.append(take)
    places = {space: new if space in found else {**old, **new} for space in loaded}
    total, done = sum(map(len, places.values())), 0
    for space, encoder in loaded.items():
        heard = _heard(encoder, places[space], notes, lambda n, base=done: progress(base + n, total))  # type: ignore[misc]
        found.setdefault(space, {}).update(heard)
        done += len(places[space])
    for path in ready:
        take, row = _ready(path)
        if any(take.content == one.content for one in takes):
            notes.append(f"skipped {path}: is among the takes already")
            continue
        found.setdefault(SPEECHBRAIN, {})[len(takes)] = row
        takes.append(take)
    kept = sorted({number for by_number in found.values() for number in by_number})
    grown = any(number >= before for number in kept) or any(
        space not in (known.rows if known else ()) for space in found
    )
    if not kept or not grown:
        which = f"of {len(files)} recordings none" if len(files) > 1 else "nothing"
        raise UsageError(f"{name}: {which} can be used; {notes[-1] if notes else 'none was given'}")
    rows = {
        space: np.stack([by_number.get(number, np.zeros(space.dim, np.float32)) for number in kept])
        for space, by_number in found.items()
        if by_number
    }
    encoded = {space: tables[space] for space in rows if space in tables}
    voice = Voice.of(name, [takes[number] for number in kept], rows, encoders=encoded)
    return Made(voice, (*notes, *_doubts(voice)))


def _speaker_encoder(table: Mapping[str, Any], notes: list[str]) -> Encoder:
    """An encoder that can hear a voice; a note where it was not trained to."""
    encoder = load_encoder(table)
    model = encoder.space.model
    if "audio" not in encoder.modalities:
        raise UsageError(f"{model} takes no recordings: a voice is heard by -e speaker or -e xvector:MODEL")
    if table["family"] not in SPEAKER_FAMILIES:
        notes.append(f"{model} was not trained to tell speakers apart: it may hear words, noise or the room instead")
    return encoder


def _usable(
    files: Sequence[str | os.PathLike[str]], known: Sequence[Recording], notes: list[str]
) -> list[tuple[Recording, Media]]:
    """The recordings among some files in which there is something to hear, each content once."""
    found: list[tuple[Recording, Media]] = []
    contents = {take.content for take in known}
    for path in files:
        name = os.fspath(path)
        try:
            check_readable(name)
            media = Media.from_path(name)
            if media.modality != "audio":
                raise MediaError(name, f"is {media.modality}, not a recording")
            content = content_hash(media)
            seconds = sounding(media)
            if content in contents:
                raise MediaError(name, "is among the takes already")
            if seconds < SHORTEST:
                raise MediaError(name, f"is silent, or too short: {seconds:.2f} s of sound, {SHORTEST:g} s are needed")
        except MediaError as error:
            notes.append(f"skipped {error}" + (f"; name its files ({name}/*.wav)" if os.path.isdir(name) else ""))
            continue
        contents.add(content)
        found.append((Recording(os.path.abspath(name), content, round(seconds, 3)), media))
    return found


def _unchanged(takes: Sequence[Recording], notes: list[str]) -> dict[int, Media]:
    """Old takes whose files are still what they were, by number; a note says how many are not."""
    found = {}
    for number, take in enumerate(takes):
        try:
            media = Media.from_path(take.path, "audio")
            if take.seconds and content_hash(media) == take.content:
                found[number] = media
        except MediaError:
            continue
    if gone := sum(take.seconds > 0 for take in takes) - len(found):
        notes.append(
            f"{gone} of the old takes are gone or changed: encoders that are new to the voice do not hear them"
        )
    return found


def _heard(
    encoder: Encoder, media: Mapping[int, Media], notes: list[str], progress: Callable[[int], None]
) -> dict[int, Row]:
    """The unit vectors of recordings, by number; of one that cannot be encoded a note says why."""
    numbers = list(media)
    sums: dict[int, npt.NDArray[np.float64]] = {}
    done = 0
    for result in encode_stream(encoder, [media[number] for number in numbers]):
        number = numbers[result.index]
        if isinstance(result, Encoded):
            sums[number] = sums.get(number, np.zeros(encoder.space.dim)) + result.vector
            continue
        done += 1
        progress(done)
        if result.error is not None:
            notes.append(("partly heard: " if result.parts else "skipped ") + str(result.error))
    return {number: unit(total) for number, total in sums.items() if total.any()}


def _ready(path: str | os.PathLike[str]) -> tuple[Recording, Row]:
    """A speaker vector that was made elsewhere: a .npy file with 512 numbers. Raises ``UsageError``."""
    name = os.fspath(path)
    wanted = f"--xvector wants a .npy file with one vector of {SPEECHBRAIN.dim} numbers"
    try:
        check_readable(name)
        array = np.load(name, mmap_mode="r", allow_pickle=False)
    except MediaError as error:
        raise UsageError(str(error)) from None
    except Exception as error:  # numpy's reader raises much that it does not name
        raise UsageError(f"{name}: cannot be read as .npy ({one_line(error)}); {wanted}") from None
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{name}: is an archive of arrays; {wanted}")
    if array.shape not in ((SPEECHBRAIN.dim,), (1, SPEECHBRAIN.dim)) or array.dtype.kind not in "fiu":
        raise UsageError(f"{name}: holds {array.dtype} {array.shape}; {wanted}")
    vector = np.array(array, np.float64).reshape(-1)
    if not np.isfinite(vector).all() or not vector.any():
        raise UsageError(f"{name}: {'is all zeros' if not vector.any() else 'holds numbers that are not finite'}")
    return Recording(os.path.abspath(name), content_hash(Media("audio", path=name))), unit(
        vector / np.abs(vector).max()
    )


def _doubts(voice: Voice) -> list[str]:
    """What to say of a voice's takes: few seconds, short ones, some that are unlike the others."""
    lines = voice.oddities()
    heard = [take.seconds for take in voice.takes if take.seconds]
    if heard and voice.seconds < FEW_SECONDS:
        lines.append(f"{voice.name}: {voice.seconds:.1f} s of sound in all are few; more make a steadier voice")
    if short := sum(seconds < SHORT for seconds in heard):
        lines.append(
            f"{short} of {len(heard)} takes have less than {SHORT:g} s of sound: they go with other short recordings, "
            "and less with longer ones of the same voice; join them into longer files"
        )
    return lines


def _short(space: Space) -> str:
    """A space's model without the folders that it lies in."""
    family, colon, model = space.model.partition(":")
    return family + colon + Path(model).name if colon else space.model


# -- mixing ------------------------------------------------------------------------------------------------------------


def blend(rows: Rows, weights: Sequence[float]) -> Row:
    """The normalised weighted mean of unit rows ``(n, dim)``, float32 ``(dim,)``.

    Unlike slerp it takes any number of voices in any order; between two at an angle of 60 degrees the two ways part by
    less than 1.2 degrees. Where no row has a component below 0, as after the ReLU that ends GE2E's network, what
    negative weights bring below 0 becomes 0. Raises ``UsageError`` where nothing is left.

    >>> blend(np.eye(2, dtype=np.float32), [3, 4]).round(3).tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    total = _weighted(rows, weights)
    if (rows >= 0).all():
        total = np.maximum(total, 0.0)
    if np.linalg.norm(total) < NOTHING:
        raise UsageError("the voices cancel each other: choose other weights")
    return unit(total)


def _weighted(rows: Rows, weights: Sequence[float]) -> npt.NDArray[np.float64]:
    """The weighted sum of rows, scaled so that no weight overflows."""
    total: npt.NDArray[np.float64] = np.asarray(weights) / max(map(abs, weights)) @ np.asarray(rows, np.float64)
    return total


def mix(name: str, shares: Sequence[Share]) -> Made:
    """A voice between kept ones, in the spaces that all of them have; ``save`` keeps it.

    Weights count in proportion. One below 0 leads away from a voice. Raises ``UsageError`` unless there are two voices
    or more, weights that are finite, not 0 and above 0 in sum, and a space that all have.
    """
    SHELF.path(name)
    weights: dict[str, float] = {}
    for share in shares:
        if not math.isfinite(share.weight) or share.weight == 0:
            raise UsageError(f"{share}: a weight is a number that is finite and not 0")
        weights[share.name] = weights.get(share.name, 0.0) + share.weight
    if len(weights) < 2:
        raise UsageError("a mix is made of two voices or more, as in: narrator:0.7 singer:0.3")
    largest = max(map(abs, weights.values()))
    total = math.fsum(weight / largest for weight in weights.values())
    if total <= NOTHING:
        raise UsageError(f"the weights of a mix must be above 0 in sum, not {total * largest:g}")
    voices = [Voice.load(one) for one in weights]
    spaces = [space for space in voices[0].vectors if all(space in voice.vectors for voice in voices)]
    if not spaces:
        has = "; ".join(f"{v.name} has {', '.join(map(_short, v.vectors))}" for v in voices)
        raise UsageError(
            f"the voices have no space in common: {has}; analogon voice add NAME --more -e ENCODER adds one"
        )
    notes = []
    vectors = {}
    for space in spaces:
        rows = np.stack([voice.vectors[space] for voice in voices])
        vectors[space] = blend(rows, list(weights.values()))
        below = int((_weighted(rows, list(weights.values())) < 0).sum())
        if below and (rows >= 0).all():
            notes.append(
                f"{_short(space)}: {below} of {space.dim} components came below 0, where no voice is; they are 0 now"
            )
    every = list(dict.fromkeys(space for voice in voices for space in voice.vectors))
    if left := [_short(space) for space in every if space not in vectors]:
        notes.append(f"not all of the voices are kept in {', '.join(left)}: the mix is not either")
    tables = {space: table for voice in voices for space, table in voice.encoders.items() if space in vectors}
    parts = tuple(Share(part, weight / largest / total) for part, weight in weights.items())
    return Made(Voice(name, vectors, encoders=tables, mixed=parts), tuple(notes))


# -- how near a recording is -------------------------------------------------------------------------------------------


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
class Measured:
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


def measure(
    voice: Voice,
    space: Space,
    vector: Row,
    kept: Iterable[Voice] = (),
    *,
    content: str = "",
    seconds: float | None = None,
) -> Measured:
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
    return Measured(voice.name, space, score, fits, Cosines.of(strangers), above, "; ".join(notes))


def _beside(voice: Voice, space: Space, asked: Voice, kept: Sequence[Voice]) -> Measured:
    """The cosine of two voices, beside those of the first with others that have nothing to do with it."""
    shared = _related(voice, asked, [*kept, asked])
    others = [
        float(other.vectors[space] @ voice.vectors[space])
        for other in kept
        if space in other.vectors and not _related(voice, other, kept) and not _related(asked, other, [*kept, asked])
    ]
    score = float(voice.vectors[space] @ asked.vectors[space])
    note = "they share a voice" if shared else ""
    return Measured(voice.name, space, score, None, Cosines.of(others), _above(score, others), note)


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


def similar(
    asked: Media | Voice,
    kept: Sequence[Voice],
    encoders: Sequence[str | Mapping[str, Any]] = (),
    *,
    remark: Callable[[str], None] = lambda line: None,
) -> list[Measured]:
    """Kept voices by their cosine with a recording or a voice, best first within each space.

    In all spaces whose encoder can be loaded, or in those of ``encoders``; ``remark`` hears of the others. Raises
    ``UsageError`` where no space is left, and ``MediaError`` where the recording cannot be read.
    """
    spaces = list(dict.fromkeys(space for voice in kept for space in voice.vectors))
    tables = {space: table for voice in kept for space, table in voice.encoders.items()}
    loaded = {one.space: one for one in map(load_encoder, encoders)}
    if encoders:
        spaces = [space for space in spaces if space in loaded]
    if isinstance(asked, Voice):
        vectors = {space: asked.vectors[space] for space in spaces if space in asked.vectors}
        content, seconds = "", None
        kept = [voice for voice in kept if voice.name != asked.name]
    else:
        content, seconds = content_hash(asked), sounding(asked)
        if seconds < SHORTEST:
            raise MediaError(asked.name, f"is silent, or too short: {seconds:.2f} s of sound")
        loaded = loaded or _loaded(spaces, tables, remark)
        vectors = {space: encode(loaded[space], [asked]).array[0] for space in spaces if space in loaded}
    found: list[Measured] = []
    for space, vector in vectors.items():
        there = [voice for voice in kept if space in voice.vectors]
        if isinstance(asked, Voice):
            measured = [_beside(voice, space, asked, kept) for voice in there]
        else:
            measured = [measure(voice, space, vector, kept, content=content, seconds=seconds) for voice in there]
        found += sorted(measured, key=lambda one: -one.score)
    if not vectors:
        raise UsageError("no voice is kept in a space in which this could be heard; analogon voice list says which are")
    return found


@dataclass(frozen=True, slots=True)
class Near:
    """The sample that is nearest to a voice: its name, the cosine, the space, and how many it was chosen among."""

    name: str
    score: float
    space: Space
    among: int


def nearest(voice: Voice, samples: Mapping[str, Media]) -> Near:
    """The sample whose speaker is nearest to a voice, in the first of its spaces whose encoder can be loaded.

    Samples that cannot be encoded are passed over. Raises ``UsageError`` where none is left, or no encoder.
    """
    reasons: list[str] = []
    for space, encoder in _loaded(voice.vectors, voice.encoders, reasons.append).items():
        names = list(samples)
        heard = _heard(encoder, dict(enumerate(samples[name] for name in names)), reasons, lambda done: None)
        scores = {names[number]: float(row @ voice.vector(space)) for number, row in heard.items()}
        if scores:
            best = max(scores, key=lambda name: scores[name])
            return Near(best, scores[best], space, len(scores))
    raise _unheard(voice, reasons)


@dataclass(frozen=True, slots=True)
class Similarity:
    """How near a take's speaker is to the voice that was asked for, space by space.

    The first of ``measured`` is the one to go by: one in a space that the generator was not fed with, where there is
    one. ``fed`` is the space that it was fed with, where that is known.
    """

    voice: str
    measured: tuple[Measured, ...]
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
        said = f"speaker similarity to {self.voice}: {first.score:.2f} ({_short(first.space)}"
        said += f"; {first.context}" if first.context else ""
        if not (first.own or first.others) and first.space.weights in ORIENTATION:
            said += f"; {ORIENTATION[first.space.weights]}"
        if not self.independent:
            said += "; the generator was fed with this space: not independent"
        rest = [f"{_short(one.space)} {one.score:.2f}" for one in self.measured[1:]]
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
    loaded = _loaded(voice.vectors, voice.encoders, remarks.append)
    if not loaded:
        raise _unheard(voice, remarks)
    content, seconds = content_hash(take), sounding(take)
    if seconds < SHORTEST:
        raise MediaError(take.name, "is silent, or too short, to be compared with a voice")
    measured = []
    for space in sorted(loaded, key=lambda space: space == fed):
        vector = encode(loaded[space], [take]).array[0]
        measured.append(measure(voice, space, vector, kept, content=content, seconds=seconds))
    return Similarity(voice.name, tuple(measured), fed, tuple(remarks))


def _unheard(voice: Voice, reasons: Sequence[str]) -> UsageError:
    why = reasons[-1] if reasons else f"analogon voice add {voice.name} --more FILE... -e speaker lets it be"
    return UsageError(f"the voice {voice.name} cannot be compared with recordings: {why}")


def _loaded(
    spaces: Iterable[Space], tables: Mapping[Space, Mapping[str, Any]], remark: Callable[[str], None]
) -> dict[Space, Encoder]:
    """The encoders of spaces, where they can be loaded and are still what they were; ``remark`` hears of the others.

    ``SPEECHBRAIN`` has none.
    """
    found = {}
    for space in spaces:
        if space == SPEECHBRAIN:
            continue
        try:
            encoder = load_encoder(tables.get(space) or space.model)
        except AnalogonError as error:
            remark(f"{_short(space)} cannot be loaded: {error}")
            continue
        if encoder.space == space:
            found[space] = WARM.setdefault(space, encoder)
        else:
            remark(f"{_short(space)} is another model today: its weights or preprocessing changed")
    return found
