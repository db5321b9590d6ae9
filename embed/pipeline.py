"""Media to checked unit vectors: decoding ahead in threads, encoding in batches, results in order."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from embed import decode
from embed.batches import Batches
from embed.encoder import Encoder
from embed.errors import AnalogonError, EncoderError, MachineError, MediaError, UnsupportedModality, one_line
from embed.faults import machine_fault
from embed.media import Media, Modality, Span
from embed.models import turn
from embed.remarks import Remarks
from embed.space import Vectors, unit

__all__ = ["Encoded", "Finished", "encode", "encode_stream"]

BYTES_AHEAD: Final = 64 << 20  # of prepared parts that may wait for the encoder
MEDIA_AHEAD: Final = 32  # media that may be decoded and waiting
TEXTS_AHEAD: Final = 4  # batches of texts that are put in order of length
PLAIN_SECONDS: Final = 10.0  # of the sound that tells a broken encoder from a bad recording, at most


_Fault = MediaError | MachineError


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One part of medium number ``index`` and its unit vector, float32 ``(dim,)``. ``part`` carries no array."""

    index: int
    part: Media
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """All of medium number ``index`` is done: ``parts`` vectors of it were given.

    ``error`` says what went wrong; with ``parts`` above 0 the medium is damaged and what could be read was encoded.
    A ``MachineError`` says nothing of the medium: it may be sound, and should be tried again.
    ``notes`` say what fails nothing but should be known, one clause each; ``facts`` are what decoding found where the
    header says something else or nothing, under the names of ``embed.decode.facts``.
    """

    index: int
    media: Media
    parts: int
    error: MediaError | MachineError | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, int | float | str] = field(default_factory=dict)


_Item = Media | _Fault | EncoderError | None


@dataclass(slots=True, eq=False)
class _Lane:
    """One medium on its way through a decoding thread: parts, then an error or None.

    An ``EncoderError`` is the encoder's own, met while it prepared a part, and ends the stream.
    """

    index: int
    media: Media
    items: deque[_Item] = field(default_factory=deque)
    remarks: Remarks = field(default_factory=Remarks)


class _Ahead:
    """Parts that were made and wait: as many bytes as ``limit``, and one part more of the medium that is due.

    Parts are handed out medium by medium, so the medium that is due must get on however much waits of those behind it.
    They leave it a quarter of the room. A part's size is known only when it is made; one that is being made counts as
    the largest so far, so that parts of one size never exceed the limit together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._making = self._largest = 0
        self._due: _Lane | None = None
        self._stopped = False
        self._changed = threading.Condition()

    def room(self, lane: _Lane) -> bool:
        """Wait until a part of the medium may be made; False where none is wanted any more."""

        def ready() -> bool:
            if self._stopped or (lane is self._due and not lane.items):
                return True
            limit = self.limit if lane is self._due else self.limit - self.limit // 4
            return self.held + (self._making + 1) * self._largest <= limit

        with self._changed:
            self._changed.wait_for(ready)
            self._making += 1
            return not self._stopped

    def put(self, lane: _Lane, item: _Item) -> None:
        """What was made once there was room."""
        with self._changed:
            self._making -= 1
            self._largest = max(self._largest, _bytes(item))
            self.held += _bytes(item)
            lane.items.append(item)
            self._changed.notify_all()

    def take(self, lane: _Lane) -> _Item:
        """The next of the medium that is due."""
        with self._changed:
            self._due = lane
            self._changed.notify_all()
            self._changed.wait_for(lambda: bool(lane.items))
            item = lane.items.popleft()
            self.held -= _bytes(item)
            self._changed.notify_all()
            return item

    def stop(self) -> None:
        """Let the threads end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def _bytes(item: _Item) -> int:
    if not isinstance(item, Media):
        return 0
    return sum(array.nbytes for array in (item.array, item.sound) if array is not None)


def encode_stream(
    encoder: Encoder,
    media: Iterable[Media],
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    patience: int = 1,
    noted: Callable[[str], None] | None = None,
) -> Iterator[Encoded | Finished]:
    """Encode media one after another; a medium that is bad never ends the stream.

    Threads decode ahead, up to ``BYTES_AHEAD`` of parts that wait, beside the batch that is encoded.

    Vectors of one modality come in the order of their media, and each medium's ``Finished`` after its last vector.
    Raises ``EncoderError`` where the encoder itself does not work, which a plain input tells from a bad medium, and
    ``MachineError`` after the ``Finished`` of the ``patience``-th medium in a row that the machine failed. ``noted`` is
    told in a line what a person should know of how the encoder runs, such as that batches had to become smaller.
    """
    sizes: dict[Modality, Batches] = {}
    waiting: dict[Modality, list[tuple[int, Media]]] = {}
    counts: dict[int, int] = {}
    errors: dict[int, _Fault] = {}
    ended: dict[int, tuple[_Lane, _Fault | None]] = {}
    pending: dict[int, int] = {}
    failing = 0

    def flush(modality: Modality) -> Iterator[Encoded | Finished]:
        batch = waiting.pop(modality, [])
        rows: list[npt.NDArray[np.float32] | _Fault] = [MediaError("", "was not encoded")] * len(batch)
        for some in _alike([part for _, part in batch], sizes[modality].size):
            started = time.perf_counter()
            parts = [batch[at][1] for at in some]
            for at, row in zip(some, _encode_checked(encoder, parts), strict=True):
                rows[at] = row
            held = sum(part.array.nbytes for part in parts if part.array is not None)
            sizes[modality].took(len(parts), held, time.perf_counter() - started)
        if noted is not None:
            for line in encoder.notices():
                noted(line)
        for (index, part), row in zip(batch, rows, strict=True):
            pending[index] -= 1
            if isinstance(row, _Fault):
                remember(index, row)
            else:
                counts[index] = counts.get(index, 0) + 1
                yield Encoded(index, _without_array(part), row)
            yield from finish(index)

    def remember(index: int, error: _Fault) -> None:
        """The first fault of a medium counts, but for the machine's: then nothing is certain about the medium."""
        if isinstance(error, MachineError) and not isinstance(errors.get(index), MachineError):
            errors[index] = error
        errors.setdefault(index, error)

    def finish(index: int) -> Iterator[Finished]:
        nonlocal failing
        if index in ended and not pending.get(index):
            lane, error = ended.pop(index)
            pending.pop(index, None)
            if error is not None:
                remember(index, error)
            error, said = errors.pop(index, None), lane.remarks
            failing = failing + 1 if isinstance(error, MachineError) else 0
            yield Finished(index, lane.media, counts.pop(index, 0), error, tuple(said.notes), said.facts)
            if isinstance(error, MachineError) and failing >= patience:
                raise error

    for lane, item in _decode_ahead(encoder, media, workers):
        if isinstance(item, Media):
            batch = waiting.setdefault(item.modality, [])
            batch.append((lane.index, item))
            pending[lane.index] = pending.get(lane.index, 0) + 1
            size = sizes.setdefault(item.modality, Batches(encoder, batch_size)).size
            if len(batch) >= size * (TEXTS_AHEAD if item.modality == "text" else 1):
                yield from flush(item.modality)
        else:
            ended[lane.index] = (lane, item)
            yield from finish(lane.index)
    for modality in list(waiting):
        yield from flush(modality)


def _alike(parts: Sequence[Media], size: int) -> Iterator[list[int]]:
    """Which parts go through the encoder together: texts of like length, since a batch is as long as its longest."""
    order = sorted(range(len(parts)), key=lambda at: len(parts[at].text or ""))
    for start in range(0, len(parts), size):
        yield order[start : start + size]


def encode(
    encoder: Encoder,
    media: Sequence[Media],
    *,
    query: bool = False,
    batch_size: int | None = None,
    noted: Callable[[str], None] | None = None,
) -> Vectors:
    """Encode each medium into one unit vector: ``Vectors`` of shape ``(len(media), dim)``, in the order given.

    A medium longer than the encoder's window is the normalised mean of its windows. ``query=True`` encodes texts as
    questions where the model tells them from documents. ``noted`` is told in a line what of a medium was dropped,
    guessed, mixed away or could not be read, and which words the encoder does not know. Raises ``MediaError`` for the
    first that cannot be encoded at all.

    >>> from embed import Media, encode, load
    >>> encode(load("toy"), [Media.from_text("dog"), Media.from_text("dog")]).array.shape
    (2, 8)
    """
    for item in media:
        if item.modality not in encoder.modalities:
            sides = ", ".join(sorted(encoder.modalities))
            raise UnsupportedModality(f"{encoder.space.model} encodes {sides}, not {item.modality}: {item.name}")
    given = media
    if query:
        media = [encoder.embed_query(item) for item in media]
    sums = np.zeros((len(media), encoder.space.dim), dtype=np.float64)
    for result in encode_stream(encoder, media, batch_size=batch_size, noted=noted):
        if isinstance(result, Encoded):
            sums[result.index] += result.vector
        elif result.error is not None and not result.parts:
            raise result.error
        elif noted is not None:
            for text in (*result.notes, *([result.error.reason] if result.error else [])):
                noted(f"{result.media.name}: {text}")
    if noted is not None and (remark := encoder.remark(*given)) is not None:
        noted(remark)
    return Vectors(encoder.space, unit(sums))


def _encode_checked(encoder: Encoder, parts: list[Media]) -> list[npt.NDArray[np.float32] | _Fault]:
    """Unit rows for prepared parts; where a batch fails, each alone, so that one bad part costs only itself.

    A fault that is neither the part's by its type nor the machine's may still be the encoder's: where nothing of the
    batch could be encoded, a plain input decides, and ``EncoderError`` is raised if that fails too.
    """
    model = encoder.space.model
    rows = _tried(encoder, parts)
    if len(parts) > 1 and isinstance(rows[0], Exception) and all(row is rows[0] for row in rows):
        rows = [_tried(encoder, [part])[0] for part in parts]
    found: list[npt.NDArray[np.float32] | _Fault] = []
    doubtful: Exception | None = None
    for part, row in zip(parts, rows, strict=True):
        if isinstance(row, np.ndarray | MediaError):
            found.append(row if isinstance(row, np.ndarray) else machine_fault(row, part.name) or row)
        elif (machine := machine_fault(row, f"{part.name} with {model}")) is not None:
            found.append(machine)
        else:
            doubtful = doubtful or row
            finite = not isinstance(row, _NotFinite)
            told = f"failed on it: {one_line(row, named=True)}" if finite else "gave a vector that is not finite"
            found.append(MediaError(part.name, f"{model} {told}"))
    if doubtful is not None and not any(isinstance(row, np.ndarray) for row in found):
        fault = _blame(encoder, parts[0], doubtful)
        return found if fault is None else [MachineError(part.name, fault.reason) for part in parts]
    return found


class _NotFinite(Exception):
    """An encoder gave NaN or infinity."""


def _tried(encoder: Encoder, parts: list[Media]) -> Sequence[npt.NDArray[np.float32] | Exception]:
    """The unit row of each prepared part, or its exception: one for all where the batch failed.

    Raises ``EncoderError``, also for a wrong shape.
    """
    model = encoder.space.model
    try:
        with turn(encoder):
            rows = np.asarray(encoder.encode_batch(parts))
    except EncoderError:
        raise
    except Exception as error:
        return [error] * len(parts)
    except (SystemExit, GeneratorExit) as error:  # a program's end that is not for an encoder to decide
        return [RuntimeError(f"{type(error).__name__} {error}".strip())] * len(parts)
    if rows.size and rows.dtype.kind not in "fiub":
        raise EncoderError(f"{model} gave {rows.dtype} for {parts[0].modality}; vectors are of numbers")
    if rows.shape != (len(parts), encoder.space.dim):
        raise EncoderError(
            f"{model} gave an array of shape {rows.shape} for {len(parts)} "
            f"{parts[0].modality} inputs; its space wants {(len(parts), encoder.space.dim)}"
        )
    results: list[npt.NDArray[np.float32] | Exception] = []
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told below
        units = unit(rows)
    for part, raw, row in zip(parts, rows, units, strict=True):
        if not np.isfinite(raw).all():
            results.append(_NotFinite("it gives vectors that are not finite"))
        elif not row.any():
            results.append(MediaError(part.name, f"{model} has no direction for it (a vector of zeros)"))
        else:
            results.append(row)
    return results


def _blame(encoder: Encoder, part: Media, error: Exception) -> MachineError | None:
    """Raise ``EncoderError`` where the encoder fails on a plain input as it did on ``part``; None where it does not.

    Gives the machine's fault where that keeps it from being told.
    """
    try:
        plain = _tried(encoder, [encoder.prepare(_plain(encoder, part.modality))])[0]
    except EncoderError:
        raise
    except Exception as raised:
        plain = raised
    # A refusal is an answer; and an encoder that reads files by itself finds none under the plain input's name.
    if isinstance(plain, np.ndarray | MediaError | FileNotFoundError):
        return None
    if (machine := machine_fault(plain, encoder.space.model)) is not None:
        return machine
    told = str(error) if isinstance(error, _NotFinite) else one_line(error, named=True)
    raise EncoderError(f"{encoder.space.model} cannot encode any {part.modality}: {told}") from error


def _plain(encoder: Encoder, modality: Modality) -> Media:
    """An input, as if decoded, that every encoder of the modality takes: a tone, a gradient, a word."""
    name = f"plain.{modality}"
    if modality == "text":
        return Media(modality, path=name, text="rain")
    shades = np.broadcast_to(np.arange(224, dtype=np.uint8)[:, None], (224, 224, 3)).copy()
    if modality == "image":
        return Media(modality, path=name, array=shades)

    def tone(rate: int, seconds: float) -> npt.NDArray[np.float32]:
        samples: npt.NDArray[np.float32] = np.sin(2 * np.pi * 440 / rate * np.arange(round(rate * seconds)))
        return (0.1 * samples).astype(np.float32)

    if modality == "audio":
        assert encoder.audio is not None
        seconds = min(encoder.audio.window or PLAIN_SECONDS, PLAIN_SECONDS)
        rate = encoder.audio.rate
        return Media(modality, path=name, array=tone(rate, seconds), rate=rate, span=Span(0.0, seconds))
    assert encoder.video is not None
    seconds = min(encoder.video.window or PLAIN_SECONDS, PLAIN_SECONDS)
    sound = tone(encoder.video.rate, seconds) if encoder.video.rate else None
    frames = np.stack([np.roll(shades, number, axis=1) for number in range(encoder.video.frames)])
    return Media(modality, path=name, array=frames, sound=sound, rate=encoder.video.rate, span=Span(0.0, seconds))


def _without_array(part: Media) -> Media:
    """The part without its samples or pixels; what was given as an array alone keeps an empty one in its place."""
    given = part.path is not None or part.text is not None or part.data is not None
    return part.but(array=None if given else np.empty(0, dtype=np.float32), sound=None)


def _decode_ahead(
    encoder: Encoder, media: Iterable[Media], workers: int | None
) -> Iterator[tuple[_Lane, Media | _Fault | None]]:
    """Each medium's prepared parts, then its error or None.

    Threads run up to ``MEDIA_AHEAD`` media ahead, while ``BYTES_AHEAD`` allows. A text is read when it is due: a thread
    would cost more than the work.
    """
    numbered = enumerate(media)
    lanes: deque[tuple[_Lane, Iterator[_Item] | None]] = deque()
    ahead = _Ahead(BYTES_AHEAD)
    pool = ThreadPoolExecutor(workers or max(2, os.cpu_count() or 2), thread_name_prefix="decode")

    def work(lane: _Lane) -> None:
        items = _items(encoder, lane)
        item: _Item = lane.media
        while isinstance(item, Media) and ahead.room(lane):
            item = next(items)
            ahead.put(lane, item)
        items.close()

    def start(count: int) -> None:
        for index, item in islice(numbered, count):
            lane = _Lane(index, item)
            at_once = item.text is not None
            lanes.append((lane, _items(encoder, lane) if at_once else None))
            if not at_once:
                pool.submit(work, lane)

    try:
        start(MEDIA_AHEAD)
        while lanes:
            lane, items = lanes.popleft()
            while isinstance(item := ahead.take(lane) if items is None else next(items), Media):
                yield lane, item
            if isinstance(item, EncoderError):
                raise item
            start(1)
            yield lane, item
    finally:
        ahead.stop()
        pool.shutdown(wait=True, cancel_futures=True)


def _items(encoder: Encoder, lane: _Lane) -> Generator[_Item]:
    """The parts of one medium as the encoder wants them, decoded and prepared, then what went wrong, or None."""
    try:
        yield from _parts(encoder, lane.media, lane.remarks)
    except EncoderError as error:
        yield error
    except MediaError as error:
        yield machine_fault(error, lane.media.name) or error
    except (Exception, SystemExit) as error:  # a decoder's own surprise is this file's trouble, not the run's
        told = f"cannot be decoded: {one_line(error, named=True)}"
        yield machine_fault(error, lane.media.name) or MediaError(lane.media.name, told)
    else:
        yield None


def _parts(encoder: Encoder, media: Media, remarks: Remarks) -> Iterator[Media]:
    """The parts of one medium as the encoder wants them, decoded and prepared."""
    for part in decode.parts(media, audio=encoder.audio, image=encoder.image, video=encoder.video, remarks=remarks):
        yield _prepared(encoder, part)


def _prepared(encoder: Encoder, part: Media) -> Media:
    try:
        return encoder.prepare(part)
    except AnalogonError:
        raise
    except Exception as error:
        if machine_fault(error, part.name) is None:
            try:
                encoder.prepare(_plain(encoder, part.modality))
            except (MediaError, FileNotFoundError):
                pass
            except Exception:
                told = f"{encoder.space.model} cannot prepare a plain {part.modality}"
                raise EncoderError(f"{told}: {one_line(error, named=True)}") from error
        raise
