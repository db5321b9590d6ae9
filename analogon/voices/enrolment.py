"""From recordings to a voice: what speaker encoders hear in somebody's takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.vectors.geometry import unit
from analogon.voices.voices import SHELF, SPEECHBRAIN, NewVoice, Recording, Row, Voice, short_model
from embed import decode, hub
from embed.encoder import AudioInput, Encoder, resolve
from embed.errors import AnalogonError, MediaError, MissingPackage, UsageError, one_line
from embed.media import Media, check_readable, content_hash
from embed.models import shared
from embed.pipeline import Encoded, encode_stream
from embed.space import Space

__all__ = ["default_encoder", "encode_recordings", "enroll", "loaded_encoders", "seconds_of_sound"]

Progress = Callable[[int, int], None]

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
FEW_SECONDS: Final = 5.0


def default_encoder() -> str:
    """The speaker encoder that is at hand: ``speaker``, else the x-vectors of a WavLM that lies in the hub's cache.

    Raises ``MissingPackage``, naming the extra, where neither is there.
    """
    from embed.encoders.xvector import DEFAULT_MODEL

    try:
        shared("speaker")
    except MissingPackage:
        if hub.whole(DEFAULT_MODEL) is None:
            raise
        return "xvector"
    return "speaker"


def seconds_of_sound(media: Media) -> float:
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


def enroll(
    name: str,
    files: Sequence[str | os.PathLike[str]],
    encoders: Sequence[str | Mapping[str, Any]] = (),
    *,
    ready: Sequence[str | os.PathLike[str]] = (),
    known: Voice | None = None,
    progress: Progress = lambda done, total: None,
) -> NewVoice:
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
    loaded = loaded_encoders(found, tables, notes.append) if files else {}
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
        heard = encode_recordings(encoder, places[space], notes, lambda n, base=done: progress(base + n, total))  # type: ignore[misc]
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
    return NewVoice(voice, (*notes, *_doubts(voice)))


def _speaker_encoder(table: Mapping[str, Any], notes: list[str]) -> Encoder:
    """An encoder that can hear a voice; a note where it was not trained to."""
    encoder = shared(table)
    model = encoder.space.model
    if "audio" not in encoder.modalities:
        raise UsageError(
            f"{model} takes no recordings: a voice is heard by `encoders=speaker` or `encoders=xvector:MODEL`"
        )
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
            seconds = seconds_of_sound(media)
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


def encode_recordings(
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
    wanted = f"`xvector` wants a .npy file with one vector of {SPEECHBRAIN.dim} numbers"
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


def loaded_encoders(
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
            encoder = shared(tables.get(space) or space.model)
        except AnalogonError as error:
            remark(f"{short_model(space)} cannot be loaded: {error}")
            continue
        if encoder.space == space:
            found[space] = encoder
        else:
            remark(f"{short_model(space)} is another model today: its weights or preprocessing changed")
    return found
