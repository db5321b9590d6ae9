"""Media to checked unit vectors: decoding ahead in threads, encoding in batches, results in order."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from embed import decode
from embed.encoder import Encoder
from embed.errors import EncoderError, MediaError, UnsupportedModality, one_line
from embed.media import Media, Modality
from embed.remarks import Remarks
from embed.space import Vectors, unit

__all__ = ["Encoded", "Finished", "encode", "encode_stream"]

PARTS_AHEAD: Final = 8  # decoded windows that one long recording may hold in memory
MEDIA_AHEAD: Final = 32  # media that may be decoded and waiting


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
    ``notes`` say what fails nothing but should be known, one clause each; ``facts`` are what decoding found where the
    header says something else or nothing, under the names of ``embed.decode.facts``.
    """

    index: int
    media: Media
    parts: int
    error: MediaError | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Lane:
    """One medium on its way through a decoding thread: parts, then an error or None.

    An ``EncoderError`` is the encoder's own, met while it prepared a part, and ends the stream.
    """

    index: int
    media: Media
    parts: queue.Queue[Media | MediaError | EncoderError | None] = field(
        default_factory=lambda: queue.Queue(PARTS_AHEAD)
    )
    remarks: Remarks = field(default_factory=Remarks)


def encode_stream(
    encoder: Encoder,
    media: Iterable[Media],
    *,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Iterator[Encoded | Finished]:
    """Encode media one after another, with bounded look-ahead; a medium that fails never ends the stream.

    Vectors of one modality come in the order of their media, and each medium's ``Finished`` after its last vector.
    Raises ``EncoderError`` where the encoder itself does not work.
    """
    size = batch_size or encoder.batch_size
    waiting: dict[Modality, list[tuple[int, Media]]] = {}
    counts: dict[int, int] = {}
    errors: dict[int, MediaError] = {}
    ended: dict[int, tuple[_Lane, MediaError | None]] = {}
    pending: dict[int, int] = {}

    def flush(modality: Modality) -> Iterator[Encoded | Finished]:
        batch = waiting.pop(modality, [])
        rows = _encode_checked(encoder, [part for _, part in batch])
        for (index, part), row in zip(batch, rows, strict=True):
            pending[index] -= 1
            if isinstance(row, MediaError):
                errors.setdefault(index, row)
            else:
                counts[index] = counts.get(index, 0) + 1
                yield Encoded(index, _without_array(part), row)
            yield from finish(index)

    def finish(index: int) -> Iterator[Finished]:
        if index in ended and not pending.get(index):
            lane, error = ended.pop(index)
            pending.pop(index, None)
            error, said = errors.pop(index, None) or error, lane.remarks
            yield Finished(index, lane.media, counts.pop(index, 0), error, tuple(said.notes), said.facts)

    for lane, item in _decode_ahead(encoder, media, workers):
        if isinstance(item, Media):
            batch = waiting.setdefault(item.modality, [])
            batch.append((lane.index, item))
            pending[lane.index] = pending.get(lane.index, 0) + 1
            if len(batch) >= size:
                yield from flush(item.modality)
        else:
            ended[lane.index] = (lane, item)
            yield from finish(lane.index)
    for modality in list(waiting):
        yield from flush(modality)


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
    guessed, mixed away or could not be read. Raises ``MediaError`` for the first that cannot be encoded at all.

    >>> from embed import Media, encode, load
    >>> encode(load("toy"), [Media.from_text("dog"), Media.from_text("dog")]).array.shape
    (2, 8)
    """
    for item in media:
        if item.modality not in encoder.modalities:
            sides = ", ".join(sorted(encoder.modalities))
            raise UnsupportedModality(f"{encoder.space.model} encodes {sides}, not {item.modality}: {item.name}")
    if query:
        media = [encoder.embed_query(item) for item in media]
    sums = np.zeros((len(media), encoder.space.dim), dtype=np.float64)
    for result in encode_stream(encoder, media, batch_size=batch_size):
        if isinstance(result, Encoded):
            sums[result.index] += result.vector
        elif result.error is not None and not result.parts:
            raise result.error
        elif noted is not None:
            for text in (*result.notes, *([result.error.reason] if result.error else [])):
                noted(f"{result.media.name}: {text}")
    return Vectors(encoder.space, unit(sums))


def _encode_checked(encoder: Encoder, parts: list[Media]) -> list[npt.NDArray[np.float32] | MediaError]:
    """Unit rows for prepared parts; where a batch fails, each alone, so that one bad part costs only itself."""
    try:
        rows = np.asarray(encoder.encode_batch(parts))
    except EncoderError:
        raise
    except Exception as error:
        if len(parts) == 1:
            if isinstance(error, MediaError):
                return [error]
            return [MediaError(parts[0].name, f"{encoder.space.model} failed on it: {one_line(error, named=True)}")]
        results = [_encode_checked(encoder, [part])[0] for part in parts]
        if not isinstance(error, MediaError) and all(isinstance(r, MediaError) for r in results):
            raise EncoderError(f"{encoder.space.model} cannot encode: {one_line(error, named=True)}") from error
        return results
    if rows.shape != (len(parts), encoder.space.dim):
        raise EncoderError(
            f"{encoder.space.model} gave an array of shape {rows.shape} for {len(parts)} "
            f"{parts[0].modality} inputs; its space wants {(len(parts), encoder.space.dim)}"
        )
    units = unit(rows)
    results = []
    for part, raw, row in zip(parts, rows, units, strict=True):
        if not np.isfinite(raw).all():
            results.append(MediaError(part.name, f"{encoder.space.model} gave a vector that is not finite"))
        elif not row.any():
            results.append(MediaError(part.name, f"{encoder.space.model} has no direction for it (a vector of zeros)"))
        else:
            results.append(row)
    return results


def _without_array(part: Media) -> Media:
    """The part without its samples or pixels; what was given as an array alone keeps an empty one in its place."""
    given = part.path is not None or part.text is not None or part.data is not None
    return part.but(array=None if given else np.empty(0, dtype=np.float32), sound=None)


def _decode_ahead(
    encoder: Encoder, media: Iterable[Media], workers: int | None
) -> Iterator[tuple[_Lane, Media | MediaError | None]]:
    """Each medium's prepared parts, then its error or None; threads run up to ``MEDIA_AHEAD`` media ahead."""
    numbered = enumerate(media)
    lanes: deque[_Lane] = deque()
    stop = threading.Event()
    pool = ThreadPoolExecutor(workers or max(2, os.cpu_count() or 2), thread_name_prefix="decode")

    def put(lane: _Lane, item: Media | MediaError | EncoderError | None) -> bool:
        while not stop.is_set():
            try:
                lane.parts.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work(lane: _Lane) -> None:
        error: MediaError | EncoderError | None = None
        try:
            for part in _parts(encoder, lane.media, lane.remarks):
                if not put(lane, part):
                    return
        except (MediaError, EncoderError) as raised:
            error = raised
        except Exception as raised:  # a decoder's own surprise is this file's trouble, not the run's
            error = MediaError(lane.media.name, f"cannot be decoded: {one_line(raised, named=True)}")
        put(lane, error)

    def start(count: int) -> None:
        for index, item in islice(numbered, count):
            lane = _Lane(index, item)
            lanes.append(lane)
            if item.text is not None or item.array is not None:
                lane.parts = queue.Queue()  # nothing to decode: a thread would cost more than the work
                work(lane)
            else:
                pool.submit(work, lane)

    try:
        start(MEDIA_AHEAD)
        while lanes:
            lane = lanes.popleft()
            while isinstance(item := lane.parts.get(), Media):
                yield lane, item
            if isinstance(item, EncoderError):
                raise item
            start(1)
            yield lane, item
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _parts(encoder: Encoder, media: Media, remarks: Remarks) -> Iterator[Media]:
    """The parts of one medium as the encoder wants them, decoded and prepared."""
    for part in decode.parts(media, audio=encoder.audio, video=encoder.video, remarks=remarks):
        yield encoder.prepare(part)
