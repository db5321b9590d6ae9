"""Recordings: mono samples at an encoder's rate, in windows, streamed."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError, one_line
from embed.formats import integrity
from embed.formats.files import clock, decoder_reason, described, open_container, opened, size
from embed.media import Media, Span
from embed.remarks import Remarks

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    from embed.encoder import AudioInput

__all__ = ["Recording", "facts", "open_sound", "parts", "resampled", "stream_facts"]

Samples = npt.NDArray[np.float32]

BLOCK: Final = 1 << 16  # frames that are read at once
LEAD_IN: Final = 1.0  # seconds decoded before a span, so that the resampler's filter (about 0.05 s) has settled
SLACK: Final = 0.1  # seconds by which a lossy file's stated duration may exceed its sound
REMAINDER: Final = 0.01  # the part of a window that may stay uncovered at the end of a recording
RATES: Final = (50, 4_000_000)  # Hz; beyond these a header is damaged
PCM: Final = frozenset({"wav", "aiff", "caf", "au", "w64"})


@dataclass(slots=True, eq=False)
class Recording:
    """An open recording. ``damage`` is set when ``blocks`` had to end before the recording did.

    ``seconds`` is the time in the recording to which ``blocks`` have come.
    """

    rate: int
    blocks: Iterator[Samples]
    begin: int = 0
    damage: MediaError | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """What a library makes of a file: blocks (n, channels) from frame ``begin`` on, and the seconds it promises."""

    rate: int
    blocks: Iterator[npt.NDArray[Any]]
    begin: int
    promised: float | None
    slack: float = 0.0


def facts(media: Media) -> dict[str, Any]:
    """Duration (s), sample rate (Hz), channels, format, and bytes."""
    if media.array is not None:
        known = {"channels": 1 if media.array.ndim == 1 else media.array.shape[1]}
        return known | ({"duration": len(media.array) / media.rate, "sample_rate": media.rate} if media.rate else {})
    with opened(media) as file:
        kind = _kind(media, file)
        known = _soundfile_facts(file) if kind in PCM or kind == "ogg" else {}
        if not known:
            with open_container(media, file) as container:
                known = stream_facts(_sound_of(media, container))
                if "duration" not in known and container.duration is not None:
                    known["duration"] = container.duration / 1_000_000
                kind = kind or container.format.name.split(",")[0]
        return known | {"format": kind, "bytes": size(media)}


def stream_facts(stream: AudioStream) -> dict[str, Any]:
    """Sample rate, channels and, where the header gives it, the duration of a container's sound."""
    context = stream.codec_context
    known: dict[str, Any] = {"sample_rate": context.sample_rate, "channels": context.channels}
    if stream.duration is not None and stream.time_base is not None:
        known["duration"] = float(stream.duration * stream.time_base)
    return known


class _Unfailing:
    """A file for libsndfile: a damaged header may make it seek to nowhere, which is its own error, not an exception.

    It has no name either, so that the content alone decides what it is.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.read, self.readinto, self.tell = file, file.read, file.readinto, file.tell  # type: ignore[attr-defined]

    def seek(self, offset: int, whence: int = 0) -> int:
        with contextlib.suppress(OSError, ValueError):
            self.file.seek(offset, whence)
        return self.file.tell()


def _soundfile_facts(file: BinaryIO) -> dict[str, Any]:
    import soundfile

    try:
        with soundfile.SoundFile(_Unfailing(file)) as sound:
            rate = sound.samplerate
            return {"duration": sound.frames / rate, "sample_rate": rate, "channels": sound.channels}
    except (soundfile.LibsndfileError, TypeError, RuntimeError, ZeroDivisionError):
        return {}


def _kind(media: Media, file: BinaryIO) -> str | None:
    kind = integrity.kind_of(file.read(64))
    file.seek(0)
    if kind is not None and kind not in integrity.SOUNDS | integrity.VIDEOS:
        raise MediaError(media.name, f"is not a recording but {described(kind)}")
    return kind


def parts(media: Media, wanted: AudioInput, remarks: Remarks) -> Iterator[Media]:
    """Windows of mono float32 ``(n,)`` at ``wanted.rate``, with their spans in seconds of the recording."""
    if media.array is not None:
        yield from _from_memory(media, wanted)
        return
    with opened(media) as file:
        recording = open_sound(media, file)
        begin, stop, span = 0, None, None
        if media.span is not None:
            begin, stop = round(media.span.start * wanted.rate), round(media.span.end * wanted.rate)
        for start, samples in _windows(resampled(recording, wanted.rate, begin, stop), begin, wanted):
            span = Span(start / wanted.rate, (start + len(samples)) / wanted.rate)
            yield media.but(array=samples, data=None, rate=wanted.rate, span=span)
        if media.span is None and span is not None:
            remarks.facts["duration"] = recording.seconds
        if recording.damage is not None:
            raise recording.damage
        if span is None:
            between = "" if media.span is None else f" from {media.span.start:g} s to {media.span.end:g} s"
            raise MediaError(media.name, f"holds no samples{between}")


def _from_memory(media: Media, wanted: AudioInput) -> Iterator[Media]:
    """Windows of samples that are in memory already; ``media.span`` says where they came from."""
    array, rate = media.array, media.rate or wanted.rate
    assert array is not None
    size = math.inf if wanted.window is None else round(wanted.window * wanted.rate)
    if array.ndim not in (1, 2):
        raise MediaError(media.name, f"samples have shape (n,) or (n, channels), not {array.shape}")
    if not array.size:
        raise MediaError(media.name, "holds no samples")
    mono = array if array.ndim == 1 else _scaled(array).mean(axis=1, dtype=np.float64)
    mono = _scaled(mono).astype(np.float32, copy=False)
    if not np.isfinite(mono).all():
        raise MediaError(media.name, "holds samples that are not finite")
    if mono is array and rate == wanted.rate and len(mono) <= size:
        yield media
        return
    recording = Recording(rate, iter([mono]))
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


def open_sound(media: Media, file: BinaryIO) -> Recording:
    """The sound of a file, mono, from at or before ``media.span`` on."""
    kind = _kind(media, file)
    fault = integrity.check(file, kind)
    opened: _Opened | None = None
    if kind in PCM or (kind == "ogg" and fault is None):
        opened = _open_soundfile(media, file)
    opened = opened or _open_av(media, file, kind)
    if not RATES[0] <= opened.rate <= RATES[1]:
        raise MediaError(media.name, f"its header gives a sample rate of {opened.rate} Hz")
    recording = Recording(opened.rate, iter(()), opened.begin)
    recording.blocks = _checked(media, recording, opened, fault)
    return recording


def _checked(
    media: Media,
    recording: Recording,
    opened: _Opened,
    fault: integrity.Fault | None,
) -> Iterator[Samples]:
    """Mono blocks of what is sound; sets ``recording.damage`` where that ends too early."""
    rate, count, wrong = recording.rate, recording.begin, ""
    last = math.inf if fault is None or fault.cut or fault.at is None else round(fault.at * rate)
    try:
        for block in opened.blocks:
            mono = block.mean(axis=1, dtype=np.float32)[: None if last == math.inf else max(0, int(last) - count)]
            finite = np.isfinite(mono)
            if not finite.all():
                mono, wrong = mono[: int(finite.argmin())], "holds samples that are not finite"
            count += len(mono)
            recording.seconds = count / rate
            if len(mono):
                yield mono
            if wrong or count >= last:
                break
    except MediaError as error:
        wrong = error.reason
    seconds = count / rate
    promised = fault.of if fault is not None and fault.of is not None else opened.promised
    if not wrong and (fault is None and (promised is None or seconds >= promised - opened.slack)):
        return
    of = f" of {promised:.1f} s" if promised is not None and promised > seconds + opened.slack else ""
    if wrong.startswith("holds"):
        reason = f"{wrong}, at {clock(seconds)}"
    elif not count:
        reason = f"nothing of it could be decoded: {wrong or 'it is cut short'}"
    elif fault.cut if fault is not None else not wrong:
        reason = f"cut short: {seconds:.1f} s{of} could be read"
    else:
        at = f" at {clock(seconds)}" if wrong or last < math.inf else ""
        wrong = wrong or "its contents fail their checks"
        reason = f"damaged{at}: {wrong}; {seconds:.1f} s{of} could be read"
    recording.damage = MediaError(media.name, reason)


def _open_soundfile(media: Media, file: BinaryIO) -> _Opened | None:
    """By libsndfile; None where it cannot read the file."""
    import soundfile

    try:
        sound = soundfile.SoundFile(_Unfailing(file))
    except (soundfile.LibsndfileError, TypeError, RuntimeError):
        file.seek(0)
        return None
    begin = 0
    if media.span is not None and media.span.start > LEAD_IN and sound.format != "OGG":
        # A whole second is a whole number of samples at every rate, so the resampler keeps its phase.
        begin = min(int(media.span.start - LEAD_IN) * sound.samplerate, sound.frames)
        sound.seek(begin)

    def blocks() -> Iterator[npt.NDArray[Any]]:
        with sound:
            try:
                while len(block := sound.read(BLOCK, dtype="float32", always_2d=True)):
                    yield block
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise MediaError(media.name, one_line(error)) from None

    return _Opened(sound.samplerate, blocks(), begin, sound.frames / sound.samplerate)


def _sound_of(media: Media, container: InputContainer) -> AudioStream:
    """The first audio stream that can be decoded."""
    if not container.streams.audio:
        raise MediaError(media.name, "holds no sound")
    for stream in container.streams.audio:
        if stream.codec_context is not None:
            return stream
    raise MediaError(media.name, "its sound is in a coding that is not known")


def _open_av(media: Media, file: BinaryIO, kind: str | None) -> _Opened:
    """By libav."""
    import av

    with contextlib.ExitStack() as opening:
        container = opening.enter_context(open_container(media, file))
        stream = _sound_of(media, container)
        stack = opening.pop_all()
    rate = stream.codec_context.sample_rate
    promised = None
    if kind not in ("mp3", "aac") and stream.duration and stream.time_base:
        promised = float(stream.duration * stream.time_base)

    def blocks() -> Iterator[npt.NDArray[Any]]:
        with stack:
            wrong = ""
            expected = None
            gathered: list[npt.NDArray[Any]] = []
            try:
                for frame in container.decode(stream):
                    if frame.sample_rate != rate:
                        wrong = f"its sample rate changes from {rate} to {frame.sample_rate} Hz"
                        break
                    if kind == "flac" and frame.time is not None:
                        if expected is not None and round(frame.time * rate) > expected:
                            wrong = "a frame fails its checksum"
                            break
                        expected = round(frame.time * rate) + frame.samples
                    gathered.append(_frame_samples(frame).mean(axis=1, dtype=np.float32, keepdims=True))
                    if sum(map(len, gathered)) >= BLOCK:
                        yield np.concatenate(gathered)
                        gathered = []
            except av.EOFError:
                pass
            except (av.FFmpegError, ValueError) as error:
                wrong = decoder_reason(error, under_way=True)
            if gathered:
                yield np.concatenate(gathered)
            if wrong:
                raise MediaError(media.name, wrong)

    return _Opened(rate or 0, blocks(), 0, promised, slack=0.0 if kind == "flac" else SLACK)


def _frame_samples(frame: Any) -> npt.NDArray[Any]:
    """(n, channels) in -1..1 of a libav frame of any sample format."""
    array: npt.NDArray[Any] = frame.to_ndarray()
    channels = len(frame.layout.channels)
    return _scaled(array.T if frame.format.is_planar else array.reshape(-1, channels))


def _scaled(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Integer samples, unsigned bytes among them, as float32 in -1..1; floats as they are."""
    if array.dtype == np.uint8:
        array = (array.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(array.dtype, np.integer):
        array = (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    return array
