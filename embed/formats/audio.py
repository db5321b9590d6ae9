"""Recordings: mono samples at an encoder's rate, in windows, streamed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError
from embed.formats.files import open_container, opened, size
from embed.formats.mono import Mixer
from embed.formats.sound import (
    BLOCK,
    HEADROOM,
    PCM,
    RATES,
    Recording,
    as_floats,
    laid_out,
    open_sound,
    sound_of,
    soundfile_facts,
)
from embed.formats.stretches import Link
from embed.media import Media, Span, as_numpy
from embed.remarks import Remarks

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

    from embed.encoder import AudioInput

__all__ = ["facts", "parts", "resampled", "stream_facts"]

Samples = npt.NDArray[np.float32]

REMAINDER: Final = 0.01  # the part of a window that may stay uncovered at the end of a recording
DTYPES: Final = frozenset(map(np.dtype, ("float16", "float32", "float64", "int8", "uint8", "int16", "int32")))


def facts(media: Media) -> dict[str, Any]:
    """Duration (s), sample rate (Hz), channels, format, and bytes."""
    if media.array is not None:
        array = _given(media)
        known = {"channels": 1 if array.ndim == 1 else array.shape[1]}
        return known | ({"duration": len(array) / media.rate, "sample_rate": media.rate} if media.rate else {})
    with opened(media) as file:
        laid = laid_out(media, file)
        kind, known = laid.kind, dict[str, Any]()
        for link in laid.links:
            found, form = _link_facts(media, link, laid.kind)
            if "duration" in found and "duration" in known:
                found["duration"] += known["duration"]
            known = found | known | ({"duration": found["duration"]} if "duration" in found else {})
            kind = kind or form
        return known | {"format": kind, "bytes": size(media)}


def _link_facts(media: Media, link: Link, kind: str | None) -> tuple[dict[str, Any], str | None]:
    known = soundfile_facts(link.file) if kind in PCM or kind == "ogg" else {}
    if known:
        return known, kind
    with open_container(media, link.file) as container:
        known = stream_facts(sound_of(media, container))
        if "duration" not in known and container.duration is not None:
            known["duration"] = container.duration / 1_000_000
        if link.seconds is not None:  # every frame was counted, where libav estimates
            known["duration"] = link.seconds
        return known, container.format.name.split(",")[0]


def stream_facts(stream: AudioStream) -> dict[str, Any]:
    """Sample rate, channels and, where the header gives it, the duration of a container's sound."""
    context = stream.codec_context
    known: dict[str, Any] = {"sample_rate": context.sample_rate, "channels": context.channels}
    if stream.duration is not None and stream.time_base is not None:
        known["duration"] = float(stream.duration * stream.time_base)
    return known


def parts(media: Media, wanted: AudioInput, remarks: Remarks) -> Iterator[Media]:
    """Windows of mono float32 ``(n,)`` at ``wanted.rate``, with their spans in seconds of the recording."""
    if media.array is not None:
        yield from _from_memory(media, wanted, remarks)
        return
    with opened(media) as file:
        recording = open_sound(media, file)
        begin, stop, span = 0, None, None
        if media.span is not None:
            begin, stop = round(media.span.start * wanted.rate), round(media.span.end * wanted.rate)
        for start, samples in _windows(resampled(recording, wanted.rate, begin, stop), begin, wanted):
            span = Span(start / wanted.rate, (start + len(samples)) / wanted.rate)
            yield media.but(array=samples, data=None, rate=wanted.rate, span=span)
        recording.tell(remarks)
        if recording.damage is not None:
            raise recording.damage
        if span is None:
            between = "" if media.span is None else f" from {media.span.start:g} s to {media.span.end:g} s"
            raise MediaError(media.name, f"holds no samples{between}")


def _given(media: Media) -> npt.NDArray[Any]:
    """Samples in memory as (n,) or (n, channels). Raises ``MediaError`` that names the right form of what has another.

    A tensor of torch is taken as torchaudio has it, (channels, n).
    """
    array: Any = media.array
    if hasattr(array, "detach"):
        array = as_numpy(array)
        array = array.T if array.ndim == 2 else array
    elif not isinstance(array, np.ndarray):
        raise MediaError(media.name, f"samples are a numpy array or a torch tensor, not a {type(array).__name__}")
    if array.dtype not in DTYPES:
        raise MediaError(
            media.name, f"samples of type {array.dtype} have no scale: give floats in -1..1, int16 or int32"
        )
    if array.ndim not in (1, 2):
        raise MediaError(media.name, f"samples have shape (n,) or (n, channels), not {array.shape}")
    if not array.size:
        raise MediaError(media.name, "holds no samples")
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        raise MediaError(
            media.name, f"samples of shape {array.shape} seem to be (channels, n): give (n, channels), as array.T is"
        )
    given: npt.NDArray[Any] = array
    return given


def _from_memory(media: Media, wanted: AudioInput, remarks: Remarks) -> Iterator[Media]:
    """Windows of samples that are in memory already; ``media.span`` says where they came from."""
    array, rate = _given(media), media.rate
    if rate is None:
        raise MediaError(media.name, "samples without their rate: Media('audio', array=samples, rate=48000) says it")
    if not isinstance(rate, int | np.integer) or not RATES[0] <= rate <= RATES[1]:
        raise MediaError(media.name, f"a sample rate is a whole number from {RATES[0]} to {RATES[1]} Hz, not {rate!r}")
    rate = int(rate)
    size = math.inf if wanted.window is None else round(wanted.window * wanted.rate)
    scaled = as_floats(array)
    scaled = scaled.astype(np.float32) if scaled.dtype == np.float16 else scaled
    if not np.isfinite(scaled).all():
        raise MediaError(media.name, "holds samples that are not finite")
    peak = float(np.abs(scaled).max())
    if peak > 2 * HEADROOM:
        raise MediaError(media.name, f"its samples reach {peak:g}, far beyond the full scale of 1: divide them by it")
    ready = scaled is media.array and scaled.dtype == np.float32 and scaled.ndim == 1
    if ready and rate == wanted.rate and len(scaled) <= size:
        yield media
        return
    mixer = Mixer(rate)
    blocks = (scaled[start : start + BLOCK] for start in range(0, len(scaled), BLOCK))
    mono = [mixer.mixed(block if block.ndim == 2 else block[:, None]) for block in blocks]
    mixer.tell(remarks)
    recording = Recording(rate, iter(mono))
    offset = media.span.start if media.span else 0.0
    for start, samples in _windows(resampled(recording, wanted.rate, 0, None), 0, wanted):
        span = Span(offset + start / wanted.rate, offset + (start + len(samples)) / wanted.rate)
        yield media.but(array=samples, rate=wanted.rate, span=span)


def resampled(recording: Recording, rate: int, begin: int, stop: int | None) -> Iterator[Samples]:
    """Mono blocks at ``rate`` Hz: samples ``begin`` to ``stop``, counted at that rate from the recording's start."""
    import soxr

    position = recording.begin * rate // recording.rate

    def limited(block: Samples) -> Samples:
        nonlocal position
        first, last = max(0, begin - position), len(block) if stop is None else max(0, stop - position)
        position += len(block)
        return block[first:last]

    stream = None
    if rate != recording.rate:
        stream = soxr.ResampleStream(recording.rate, rate, 1, dtype="float32", quality="HQ")
    for block in recording.blocks:
        yield limited(block if stream is None else stream.resample_chunk(block))
        if stop is not None and position >= stop:
            return
    if stream is not None:
        yield limited(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))


def _windows(blocks: Iterator[Samples], begin: int, wanted: AudioInput) -> Iterator[tuple[int, Samples]]:
    """The start and the samples of each window; ``begin`` is the number of the first sample."""
    if wanted.window is None:
        whole = np.concatenate([np.zeros(0, dtype=np.float32), *blocks])
        if len(whole):
            yield begin, whole
        return
    size = max(1, round(wanted.window * wanted.rate))
    hop = max(1, round((wanted.hop or wanted.window) * wanted.rate))
    held: deque[Samples] = deque()
    base = end = begin  # numbers of the first sample that is held and of the one after the last
    start = covered = begin  # start of the next window, end of the one before
    for block in blocks:
        held.append(block)
        end += len(block)
        while start + size <= end:
            if len(held) > 1:
                held = deque([np.concatenate(held)])
            yield start, held[0][start - base : start - base + size].copy()
            covered = start + size
            start += hop
        # A last window may still have to end with the last sample, so as much stays as one window needs.
        keep = min(start, end - size)
        while held and base + len(held[0]) <= keep:
            base += len(held.popleft())
        if held and base < keep:
            held[0], base = held[0][keep - base :], keep
    if covered == begin:
        if end > begin:
            yield begin, np.concatenate(held)
    elif end - covered > REMAINDER * size:
        yield end - size, np.concatenate(held)[-size:]
