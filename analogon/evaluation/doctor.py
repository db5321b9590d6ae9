"""Tests an encoder before it costs a night: finite and spread vectors, the same ones every time, fit, speed.

Every input is made here, so that a diagnosis needs no files: forty phrases, synthetic sounds and pictures.
Whether a text finds the right sound or picture cannot be told without labelled data, and is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from analogon.phrases import PROBES
from analogon.search.library import Library
from analogon.settings.arguments import superseded_keywords
from embed.encoder import Encoder
from embed.errors import MediaError, SpaceMismatch, one_line
from embed.media import Media, Modality
from embed.space import Space, unit
from embed.spread import DOUBT, USELESS, mean_cosine
from indexes.agreement import LEAST, agreement
from indexes.collection import Collection, KnownSpace

__all__ = ["Check", "Diagnosis", "examine"]

SAME: Final = 0.99999  # cosine of one input with itself
STORED: Final = 0.9999  # cosine of a stored vector with the same part encoded again
REPEATED: Final = 8  # inputs that are encoded again, alone and in two batches
SOUND_SECONDS: Final = 4.0
PLURAL: Final[dict[Modality, str]] = {"text": "texts", "audio": "sounds", "image": "pictures", "video": "videos"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``ok`` is None where it is worth a note but no failure, or could not be told."""

    name: str
    ok: bool | None
    value: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks of one encoder, in the order in which they were made."""

    space: Space
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.ok is not False for check in self.checks)

    def rows(self) -> list[tuple[str, str, str]]:
        """For a table: "ok", "note" or "fails", the check's name, its message."""
        words = {True: "ok", None: "note", False: "fails"}
        return [(words[check.ok], check.name, check.message) for check in self.checks]


@superseded_keywords(collection="library")
def examine(
    encoder: Encoder, *, library: Library | None = None, seconds: float = 2.0, files: int | None = None
) -> Diagnosis:
    """Test an encoder; an encoder that raises fails a check, and nothing is raised here.

    With the ``library`` of a collection its space and a sample of its vectors are compared with what the encoder gives
    now. ``seconds`` is how long each side's speed is measured; the estimate is for ``files`` files, else for the
    collection.
    """
    collection = None if library is None else library.collection
    checks: list[Check] = []
    for modality in sorted(encoder.modalities):
        try:
            inputs = _inputs(encoder, modality)
        except Exception as error:
            checks.append(Check(f"{modality} values", False, None, f"cannot be fed: {one_line(error, named=True)}"))
            continue
        alone = _Outcome.of(encoder, inputs)
        checks.append(_values(encoder, modality, alone))
        usable = {i: row for i, row in alone.rows.items() if np.isfinite(row).all() and row.any()}
        if usable:
            some = [inputs[i] for i in list(usable)[:REPEATED]]
            rows = np.stack(list(usable.values()))
            count = files or _stored(collection, encoder, modality)
            checks.append(_spread(modality, rows))
            checks.append(_guarded(f"{modality} repeats", partial(_repeats, encoder, modality, some, rows)))
            checks.append(_guarded(f"{modality} speed", partial(_speed, encoder, modality, some, seconds, count)))
    if collection is not None:
        with collection.snapshot():
            checks += _fit(encoder, collection)
    return Diagnosis(encoder.space, tuple(checks))


@dataclass(frozen=True, slots=True)
class _Input:
    name: str
    media: Media


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of encoding each input alone: raw rows, refusals and failures, by the input's number."""

    rows: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, encoder: Encoder, inputs: Sequence[_Input]) -> _Outcome:
        outcome = cls()
        for i, one in enumerate(inputs):
            outcome.names[i] = one.name
            try:
                outcome.rows[i] = _encode(encoder, [one])[0]
            except MediaError as error:
                outcome.refused[one.name] = error.reason
            except Exception as error:
                outcome.failed[one.name] = one_line(error, named=True)
        return outcome


def _encode(encoder: Encoder, inputs: Sequence[_Input]) -> npt.NDArray[np.float64]:
    """Raw rows of one batch. Raises ``ValueError`` where their shape is not what the encoder's space says."""
    rows = np.asarray(encoder.encode_batch([encoder.prepare(one.media) for one in inputs]), dtype=np.float64)
    if rows.shape != (len(inputs), encoder.space.dim):
        raise ValueError(
            f"gave an array of shape {rows.shape} for {len(inputs)} inputs; its space wants "
            f"{(len(inputs), encoder.space.dim)}"
        )
    return rows


def _values(encoder: Encoder, modality: Modality, outcome: _Outcome) -> Check:
    name, what = f"{modality} values", PLURAL[modality]
    total = len(outcome.names)
    if outcome.failed:
        first, reason = next(iter(outcome.failed.items()))
        more = f" and {len(outcome.failed) - 1} more" if len(outcome.failed) > 1 else ""
        return Check(name, False, float(len(outcome.failed)), f"fails on {first}{more} of {total} {what}: {reason}")
    wild = [outcome.names[i] for i, row in outcome.rows.items() if not np.isfinite(row).all()]
    if wild:
        message = f"vectors that are not finite (NaN or infinite) for {len(wild)} of {total} {what}: {_list(wild)}"
        return Check(name, False, float(len(wild)), message)
    none = [outcome.names[i] for i, row in outcome.rows.items() if not row.any()] + list(outcome.refused)
    if 2 * len(none) > total:
        message = (
            f"no direction for {len(none)} of {total} {what} (vectors of zeros, or refused): weights of its "
            f"{modality} side are zeroed or missing, or it knows nothing of such {what}"
        )
        return Check(name, False, float(len(none)), message)
    if none:
        return Check(name, None, float(len(none)), f"no vector for {len(none)} of {total} {what}: {_list(none)}")
    message = f"{total} {what} give finite vectors of {encoder.space.dim} components"
    return Check(name, True, 0.0, message)


def _spread(modality: Modality, rows: npt.NDArray[np.float64]) -> Check:
    """The mean cosine between different inputs: near 1, every query finds the same things."""
    name, what = f"{modality} spread", PLURAL[modality]
    if len(rows) < 3:
        return Check(name, None, None, f"only {len(rows)} {what} have a vector: too few to tell")
    cosine = mean_cosine(rows)
    shown = f"mean cosine {cosine:.4f} between {len(rows)} different {what}"
    if cosine >= USELESS[modality]:
        message = (
            f"{shown}: it gives nearly the same vector to everything, so searching with it ranks at random; "
            f"the {modality} side of this checkpoint is broken or untrained"
        )
        return Check(name, False, cosine, message)
    if cosine >= DOUBT[modality]:
        return Check(name, None, cosine, f"{shown}: close together; scores will differ little")
    return Check(name, True, cosine, shown)


def _repeats(encoder: Encoder, modality: Modality, some: Sequence[_Input], rows: npt.NDArray[np.float64]) -> Check:
    """Each input alone once more, then in a batch of all, then in other company and order."""
    name = f"{modality} repeats"
    first = unit(rows[: len(some)]).astype(np.float64)
    numbers = np.arange(len(some))
    shuffled = np.concatenate([numbers[1::2], numbers[::2]])[::-1]
    worst, lowest = "", 1.0
    for why, batches in (
        ("another vector each time (dropout or a random crop?)", [numbers[i : i + 1] for i in numbers]),
        ("a vector that depends on the other members of its batch", [numbers]),
        ("a vector that depends on the other members of its batch", [shuffled[:3], shuffled[3:]]),
    ):
        for batch in batches:
            if not len(batch):
                continue
            again = unit(_encode(encoder, [some[i] for i in batch])).astype(np.float64)
            for i, row in zip(batch, again, strict=True):
                cosine = float(first[i] @ row)
                if not cosine >= lowest:
                    worst, lowest = f"gives {some[i].name} {why}", cosine
        if not lowest >= SAME:
            shown = f"{worst}: cosine {lowest:.5f} with itself" if np.isfinite(lowest) else f"{worst}: not finite there"
            return Check(name, False, lowest if np.isfinite(lowest) else None, shown)
    return Check(name, True, lowest, f"the same vectors alone and in any batch (lowest cosine {lowest:.7f})")


def _speed(encoder: Encoder, modality: Modality, some: Sequence[_Input], seconds: float, files: int | None) -> Check:
    """Inputs a second in batches of the encoder's own size, without reading files."""
    batch = [some[i % len(some)] for i in range(max(1, encoder.batch_size))]
    count, started = 0, time.perf_counter()
    while True:
        _encode(encoder, batch)
        count += len(batch)
        took = time.perf_counter() - started
        if took >= seconds:
            break
    rate = count / took
    what = PLURAL[modality]
    message = f"{rate:,.1f} {what} a second"
    if modality == "audio":
        length = np.mean([len(one.media.array) / (one.media.rate or 1) for one in some if one.media.array is not None])
        message += f" of {length:.2g} s each ({rate * length:,.0f} seconds of sound a second)"
    number = files or 1000
    message += f"; {number:,} take {_duration(number / rate)}, reading them not counted"
    return Check(f"{modality} speed", True, rate, message)


def _fit(encoder: Encoder, collection: Collection) -> Iterator[Check]:
    try:
        known = collection.space(encoder.space)
    except SpaceMismatch as error:
        yield Check("collection", False, None, str(error))
        return
    yield Check("collection", True, None, f"{collection.name} was indexed with this very encoder")
    for modality in collection.modalities(known.space):
        yield _guarded(f"{modality} stored", partial(_compare, encoder, collection, known, modality))


def _compare(encoder: Encoder, collection: Collection, known: KnownSpace, modality: Modality) -> Check:
    """Encode again a few items whose files are as they were, and compare with what is stored."""
    name, told = f"{modality} stored", agreement(collection, encoder, modality)
    if not told.found:
        return Check(name, None, None, "none of the files sampled is there as it was indexed: nothing to compare")
    now = encoder.precision
    if now != known.precision:
        shown = f"{told.found} items in {now} beside those stored in {known.precision}: lowest cosine {told.lowest:.5f}"
        if told.lowest < LEAST:
            return Check(name, False, told.lowest, f"{shown} ({told.worst}); a collection may mix them from {LEAST} on")
        return Check(name, True, told.lowest, f"{shown}; the collection may hold both")
    if told.lowest < (LEAST if known.mixed else STORED):
        message = (
            f"{told.worst}: cosine {told.lowest:.5f} between what is stored and what the encoder gives now; index anew"
        )
        return Check(name, False, told.lowest, message)
    message = f"{told.found} items encoded again match what is stored (lowest cosine {told.lowest:.7f})"
    return Check(name, True, told.lowest, message)


def _stored(collection: Collection | None, encoder: Encoder, modality: Modality) -> int | None:
    if collection is None:
        return None
    store = collection.catalog.store(encoder.space.id, modality)
    return store.rows if store else None


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        return Check(name, False, None, one_line(error, named=True))


# -- inputs ------------------------------------------------------------------------------------------------------


def _inputs(encoder: Encoder, modality: Modality) -> list[_Input]:
    match modality:
        case "text":
            return [_Input(repr(phrase), Media.from_text(phrase)) for phrase in PROBES]
        case "image":
            return [_Input(name, Media("image", array=picture)) for name, picture in _pictures().items()]
        case "audio":
            assert encoder.audio is not None, "has no AudioInput"
            rate = encoder.audio.rate
            sounds = _sounds(rate, min(SOUND_SECONDS, encoder.audio.window or SOUND_SECONDS))
            return [_Input(name, Media("audio", array=sound, rate=rate)) for name, sound in sounds.items()]
        case "video":
            assert encoder.video is not None, "has no VideoInput"
            video = encoder.video
            length = min(SOUND_SECONDS, video.window or SOUND_SECONDS)
            sound = _sounds(video.rate, length)["noise"] if video.rate else None
            moving = {
                f"{name} that moves": np.stack([np.roll(picture, 5 * i, axis=1) for i in range(video.frames)])
                for name, picture in _pictures().items()
            }
            return [
                _Input(name, Media("video", array=frames, sound=sound, rate=video.rate))
                for name, frames in moving.items()
            ]


def _sounds(rate: int, seconds: float) -> dict[str, npt.NDArray[np.float32]]:
    """Sounds that have little in common, float32 in -1..1; the second half of them is shorter."""
    t = np.arange(int(rate * seconds)) / rate
    random = np.random.default_rng(0)
    noise = random.normal(size=len(t))
    top = 0.4 * rate
    pulse = (np.arange(len(t)) % max(1, rate // 8)) < max(1, rate // 400)
    sounds = {
        "silence": np.zeros(len(t)),
        "noise": 0.2 * noise,
        "a low tone": 0.5 * np.sin(2 * np.pi * 110 * t),
        "clicks": 0.9 * pulse,
        "a rising chirp": 0.5 * np.sin(2 * np.pi * (100 * t + (0.5 * top - 100) * t**2 / (2 * seconds))),
        "a chord": 0.2 * sum(np.sin(2 * np.pi * f * t) for f in (220, 277.2, 329.6)),
        "noise in bursts": 0.3 * noise * (np.sin(2 * np.pi * 3 * t) > 0),
        "a plucked string": 0.6 * np.sin(2 * np.pi * 330 * t) * np.exp(-6 * (t % (seconds / 3))),
        "rumble": np.cumsum(noise) / max(1.0, float(np.abs(np.cumsum(noise)).max())),
        "a high tone": 0.3 * np.sin(2 * np.pi * min(3000.0, top) * t),
        "a buzz": 0.3 * np.sign(np.sin(2 * np.pi * 60 * t)),
        "a warble": 0.5 * np.sin(2 * np.pi * 600 * t + 40 * np.sin(2 * np.pi * 4 * t)),
        "a falling chirp": 0.5 * np.sin(2 * np.pi * (0.5 * top * t - (0.5 * top - 100) * t**2 / (2 * seconds))),
        "hiss": 0.2 * np.diff(noise, prepend=0.0),
    }
    return {
        name: samples[: len(t) if i < len(sounds) // 2 else 2 * len(t) // 3].astype(np.float32).clip(-1, 1)
        for i, (name, samples) in enumerate(sounds.items())
    }


def _pictures() -> dict[str, npt.NDArray[np.uint8]]:
    """Pictures that have little in common, uint8 (240, 320, 3) sRGB."""
    height, width = 240, 320
    y, x = np.mgrid[0:height, 0:width]
    random = np.random.default_rng(0)

    def two(mask: npt.NDArray[np.bool_], a: tuple[int, int, int], b: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
        return np.where(mask[..., None], np.array(a, np.uint8), np.array(b, np.uint8))

    blobs = np.kron(random.integers(0, 256, (6, 8, 3)), np.ones((40, 40, 1)))
    return {
        "a black picture": np.zeros((height, width, 3), dtype=np.uint8),
        "a red picture": two(x >= 0, (220, 20, 20), (0, 0, 0)),
        "a disc": two((x - 160) ** 2 + (y - 120) ** 2 < 80**2, (250, 220, 40), (20, 40, 160)),
        "a chessboard": two((x // 40 + y // 40) % 2 == 0, (255, 255, 255), (0, 0, 0)),
        "noise": random.integers(0, 256, (height, width, 3)).astype(np.uint8),
        "a horizon": two(y < 110, (130, 190, 240), (40, 120, 40)),
        "stripes": two((x + y) // 8 % 2 == 0, (230, 120, 30), (250, 250, 250)),
        "a grey gradient": np.repeat((x * 255 // width)[..., None], 3, axis=2).astype(np.uint8),
        "lines of text": two((y // 12 % 2 == 0) & ((x * 7919 // 9) % 5 > 1) & (x > 30), (20, 20, 20), (245, 240, 230)),
        "patches of colour": blobs.astype(np.uint8),
        "a triangle": two(np.abs(x - 160) < (y - 40) * 0.6, (160, 30, 160), (225, 245, 225)),
        "rings": two(np.hypot(x - 160, y - 120) // 12 % 2 == 0, (20, 90, 90), (240, 230, 140)),
    }


# -- words -------------------------------------------------------------------------------------------------------


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _duration(seconds: float) -> str:
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {word}"
    return f"{seconds:.1f} seconds"
