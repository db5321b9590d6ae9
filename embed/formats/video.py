"""Video files: evenly spaced pictures of each window, and its sound."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError
from embed.formats import audio, integrity
from embed.formats.files import check_kind, clock, decoder_reason, open_container, opened, size
from embed.formats.layout import lay_out, locks
from embed.formats.sound import open_sound
from embed.formats.stretches import Layout
from embed.media import Media, Span
from embed.remarks import Remarks

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from embed.encoder import VideoInput

__all__ = ["facts", "parts"]

SIDE: Final = 1080  # pixels on the longer side of a decoded picture
SLACK: Final = 0.5  # seconds by which a stated duration may exceed the last picture's end


@dataclass(frozen=True, slots=True, eq=False)
class _Timeline:
    """When the pictures of a file start and how many seconds of them there are; ``promised`` by its header.

    ``whole`` are the seconds from the first picture or sound to the end of the last, where the header says otherwise.
    """

    begin: float
    duration: float
    promised: float | None
    sound_begin: float | None
    wrong: str = ""
    unread_sound: bool = False
    whole: float | None = None


@dataclass(slots=True, eq=False)
class _Window:
    start: float
    end: float
    pictures: list[npt.NDArray[np.uint8]] = field(default_factory=list)


def facts(media: Media) -> dict[str, Any]:
    """Duration (s), width, height, fps, format, bytes, and the sound's sample rate and channels."""
    if media.array is not None:
        return {"width": media.array.shape[2], "height": media.array.shape[1]}
    with opened(media) as file:
        laid = _laid_out(media, file)
        kind = laid.kind
        with open_container(media, laid.links[0].file) as container:
            known: dict[str, Any] = {}
            if container.streams.audio and container.streams.audio[0].codec_context is not None:
                known = audio.stream_facts(container.streams.audio[0])
            try:
                stream = _pictures_of(media, container)
            except MediaError:  # an mp4 or webm may hold sound only
                if not known:
                    raise
            else:
                known |= {"width": stream.codec_context.width, "height": stream.codec_context.height}
                if stream.average_rate:
                    known["fps"] = float(stream.average_rate)
            if container.duration is not None:
                known["duration"] = container.duration / 1_000_000
            return known | {"format": kind or container.format.name.split(",")[0], "bytes": size(media)}


def parts(media: Media, wanted: VideoInput, remarks: Remarks) -> Iterator[Media]:
    """Windows of ``wanted.frames`` pictures, uint8 (frames, height, width, 3), with their sound where it is asked for.

    A window's pictures are those on screen at the centres of as many equal stretches of it. Two passes: the first
    reads only the packets' times, since where the last window starts depends on where the video ends.
    """
    if media.array is not None:
        yield media
        return
    with opened(media) as whole, contextlib.ExitStack() as stack:
        laid = _laid_out(media, whole)
        file = laid.links[0].file
        for note in laid.notes:
            remarks.note(note)
        if locks(file, laid.kind) & {"drmi", "encv", "asf"}:
            raise MediaError(media.name, "unsupported: its pictures are encrypted (DRM)")
        fault = integrity.check(file, laid.kind)
        timeline = _timeline(media, file)
        if timeline.whole is not None:
            remarks.facts["duration"] = timeline.whole
        first, last = 0.0, timeline.duration
        if media.span is not None:
            first, last = max(first, media.span.start), min(last, media.span.end)
        windows = _windows(first, last, wanted)
        if not windows:
            raise MediaError(
                media.name, timeline.wrong or "holds no pictures" + (" in that span" if media.span else "")
            )
        if wanted.rate and timeline.unread_sound:
            remarks.note("its sound is in a coding that is not read here, and was left out")
        sounds: Iterator[npt.NDArray[np.float32] | None] | None = None
        recording = None
        if wanted.rate and timeline.sound_begin is not None:
            recording = open_sound(media.but(span=None), stack.enter_context(opened(media)))
            offset = timeline.begin - timeline.sound_begin
            bounds = [tuple(max(0, round((t + offset) * wanted.rate)) for t in (w.start, w.end)) for w in windows]
            sounds = _stretches(audio.resampled(recording, wanted.rate, 0, bounds[-1][1]), bounds)
        wrong = None
        try:
            for window in _filled(media, file, timeline.begin, windows, wanted.frames):
                part = media.but(array=np.stack(window.pictures), data=None, span=Span(window.start, window.end))
                sound = next(sounds) if sounds is not None else None
                yield part if sound is None else part.but(sound=sound, rate=wanted.rate)
        except MediaError as error:
            wrong = error.reason
        if recording is not None:
            recording.tell(remarks)
        if wrong is None and (media.span is None or media.span.end > timeline.duration):
            wrong = _missing(timeline, fault)
        if wrong is not None:
            raise MediaError(media.name, wrong)
        if recording is not None and recording.damage is not None:
            raise MediaError(media.name, f"its sound is {recording.damage.reason}")


def _missing(timeline: _Timeline, fault: integrity.Fault | None) -> str | None:
    """What is wrong with a video whose pictures could all be decoded."""
    promised = timeline.promised
    short = promised is not None and timeline.duration < promised - SLACK
    if timeline.wrong:
        return f"damaged at {clock(timeline.duration)}: {timeline.wrong}"
    if fault is not None and not fault.cut:
        return f"damaged: its contents fail their checks; {timeline.duration:.1f} s could be read"
    if fault is None and not short:
        return None
    of = f" of {promised:.1f} s" if short else ""
    return f"cut short: {timeline.duration:.1f} s{of} could be read"


def _laid_out(media: Media, file: BinaryIO) -> Layout:
    laid = lay_out(file)
    check_kind(media, laid.kind, "a video")
    return laid


def _pictures_of(media: Media, container: InputContainer) -> VideoStream:
    """The first video stream that is not a cover picture."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            return stream
    if any(stream.codec_context is None for stream in container.streams.video):
        raise MediaError(media.name, "unsupported: its pictures are in a coding that is not read here")
    raise MediaError(media.name, "holds no pictures")


def _timeline(media: Media, file: BinaryIO) -> _Timeline:
    """One pass over the packets, without decoding."""
    import av

    with open_container(media, file) as container:
        stream = _pictures_of(media, container)
        begin, end, wrong = math.inf, -math.inf, ""
        first, last = math.inf, -math.inf
        heard = [one for one in container.streams.audio[:1] if one.codec_context is not None]
        try:
            for packet in container.demux(stream, *heard):
                if packet.pts is not None and packet.time_base is not None:
                    starts = float(packet.pts * packet.time_base)
                    ends = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    first, last = min(first, starts), max(last, ends)
                    if packet.stream.index == stream.index:
                        begin, end = min(begin, starts), max(end, ends)
        except av.EOFError:
            pass
        except (av.FFmpegError, ValueError) as error:
            wrong = decoder_reason(error, under_way=True)
        promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        sound_begin = None
        if container.streams.audio and container.streams.audio[0].codec_context is not None:
            sound = container.streams.audio[0]
            sound_begin = float((sound.start_time or 0) * (sound.time_base or 0))
        if begin > end:
            raise MediaError(media.name, f"nothing of it could be decoded: {wrong or 'it holds no pictures'}")
        unread = bool(container.streams.audio) and sound_begin is None
        said = container.duration / 1_000_000 if container.duration is not None else math.inf
        whole = last - first if abs(last - first - said) > SLACK else None
        return _Timeline(begin, end - begin, promised, sound_begin, wrong, unread, whole)


def _windows(first: float, last: float, wanted: VideoInput) -> list[_Window]:
    """The windows between two times, as ``AudioInput`` lays them."""
    if last <= first:
        return []
    window = wanted.window
    if window is None or last - first <= window:
        return [_Window(first, last)]
    hop = wanted.hop or window
    count = int((last - first - window) / hop + 1e-9) + 1
    windows = [_Window(first + k * hop, first + k * hop + window) for k in range(count)]
    if last - windows[-1].end > audio.REMAINDER * window:
        windows.append(_Window(last - window, last))
    return windows


def _filled(media: Media, file: BinaryIO, begin: float, windows: list[_Window], frames: int) -> Iterator[_Window]:
    """Each window when it has all its pictures; of a damaged file's only window, those that there are, repeated."""
    import av

    targets = sorted(
        ((w.start + (i + 0.5) * (w.end - w.start) / frames, n) for n, w in enumerate(windows) for i in range(frames)),
        reverse=True,
    )
    done = 0
    shown: npt.NDArray[np.uint8] | None = None
    before: VideoFrame | None = None
    wrong, now = "", 0.0

    def show(until: float) -> Iterator[_Window]:
        """Give ``before`` to every target earlier than ``until``."""
        nonlocal shown, done
        while targets and before is not None and targets[-1][0] < until:
            if shown is None:
                shown = _pixels(before, windows[0].pictures)
            window = windows[targets.pop()[1]]
            window.pictures.append(shown)
            if len(window.pictures) == frames:
                done += 1
                yield window
                window.pictures = window.pictures[:1] if window is windows[0] else []

    with open_container(media, file) as container:
        stream = _pictures_of(media, container)
        try:
            for frame in container.decode(stream):
                now = (frame.time or 0.0) - begin
                yield from show(now)
                if not targets:
                    return
                before, shown = frame, None
        except av.EOFError:
            pass
        except (av.FFmpegError, ValueError) as error:
            wrong = decoder_reason(error, under_way=True)
        if not wrong:
            yield from show(math.inf)
        elif not done and windows[0].pictures:
            have = windows[0].pictures
            windows[0].pictures = [have[i * len(have) // frames] for i in range(frames)]
            windows[0].end = max(now, windows[0].start)
            yield windows[0]
    if wrong:
        raise MediaError(media.name, f"damaged at {clock(now)}: {wrong}")
    if targets:
        raise MediaError(media.name, "holds no pictures that can be decoded")


def _pixels(frame: VideoFrame, earlier: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """RGB, upright, at most ``SIDE`` pixels long, and of one size throughout a video."""
    scale = min(1.0, SIDE / max(frame.width, frame.height))
    turns = round(frame.rotation / 90) % 4
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    if earlier:
        height, width = earlier[0].shape[:2] if turns % 2 == 0 else earlier[0].shape[1::-1]
    picture = frame.to_ndarray(width=width, height=height, format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, turns))


def _stretches(
    blocks: Iterator[npt.NDArray[np.float32]], bounds: list[tuple[int, ...]]
) -> Iterator[npt.NDArray[np.float32] | None]:
    """The samples within each pair of bounds, whose starts never decrease; None where the sound has ended."""
    held = np.zeros(0, dtype=np.float32)
    base = 0
    for start, end in bounds:
        pieces = [held]
        reached = base + len(held)
        while reached < end and (block := next(blocks, None)) is not None:
            pieces.append(block)
            reached += len(block)
        held = np.concatenate(pieces)
        drop = min(max(0, start - base), len(held))
        held, base = held[drop:], base + drop
        cut = held[: max(0, end - base)].copy()
        yield cut if len(cut) else None
