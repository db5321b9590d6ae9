"""Recordings opened: mono blocks at a file's own rate, and what is odd or damaged about them."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError, one_line
from embed.formats import integrity
from embed.formats.files import check_kind, clock, decoder_reason, open_container
from embed.formats.layout import lay_out, locks
from embed.formats.mono import Mixer
from embed.formats.stretches import Layout, Link
from embed.media import Media
from embed.remarks import Remarks

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

__all__ = ["Recording", "as_floats", "laid_out", "open_sound", "sound_of", "soundfile_facts"]

Samples = npt.NDArray[np.float32]

BLOCK: Final = 1 << 16  # frames that are read at once
LEAD_IN: Final = 1.0  # seconds decoded before a span, so that the resampler's filter (about 0.05 s) has settled
PACKET: Final = 4096  # samples, of ALAC's packets; those of MPEG audio are shorter
SLACK: Final = 0.1  # seconds by which a lossy file's stated duration may exceed its sound
RATES: Final = (50, 4_000_000)  # Hz; beyond these a header is damaged
HEADROOM: Final = 4.0  # up to so many times full scale, floats are loud, not integers
BEYOND: Final = 2.0**32  # no scale has such samples: they are damaged
LEAST_ABOVE: Final = 0.01
FAINT: Final = 2.0**-15  # the least sample of 16 bits: sound below it was scaled down once too often
PROBES: Final = 64  # blocks in which the peak of a long file of floats is looked for
PCM: Final = frozenset({"wav", "aiff", "caf", "au", "w64"})


@dataclass(slots=True, eq=False)
class Recording:
    """An open recording. ``damage`` is set when ``blocks`` had to end before the recording did.

    ``seconds`` is the time in the recording to which ``blocks`` have come; ``whole`` is set when that is the end.
    """

    rate: int
    blocks: Iterator[Samples]
    begin: int = 0
    damage: MediaError | None = None
    seconds: float = 0.0
    whole: bool = False
    oddities: _Oddities = field(default_factory=lambda: _Oddities())

    def tell(self, remarks: Remarks) -> None:
        """Say what was met in the blocks so far and, at the end, how long the recording is."""
        self.oddities.tell(remarks)
        if self.whole and self.begin == 0 and self.oddities.heard and not self.oddities.pictures:
            remarks.facts["duration"] = self.seconds


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """What a library makes of a file: blocks (n, channels) from frame ``begin`` on, and the seconds it promises.

    ``exact`` says that the promise counts the very samples, so that what comes after them is no part of the recording.
    ``scale`` is what the samples are to be divided by. ``pictures`` says that the file holds a video too.
    """

    rate: int
    blocks: Iterator[npt.NDArray[Any]]
    begin: int
    promised: float | None
    slack: float = 0.0
    exact: bool = False
    scale: float = 1.0
    pictures: bool = False


class _Unfailing:
    """A file for libsndfile: a damaged header may make it seek to nowhere, which is its own error, not an exception.

    It has no name either, so that the content alone decides what it is.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.read, self.readinto, self.tell = file, file.read, file.readinto, file.tell  # type: ignore[attr-defined]
        here = file.tell()
        self._size = file.seek(0, 2)
        file.seek(here)

    def seek(self, offset: int, whence: int = 0) -> int:
        here = self.file.tell()
        there = (0, here, self._size)[whence] + offset
        return self.file.seek(there if 0 <= there <= self._size else here)


def soundfile_facts(file: BinaryIO) -> dict[str, Any]:
    """Duration (s), sample rate (Hz) and channels by libsndfile; empty where it cannot read the file."""
    import soundfile

    try:
        file.seek(0)
        with soundfile.SoundFile(_Unfailing(file)) as sound:
            rate = sound.samplerate
            return {"duration": sound.frames / rate, "sample_rate": rate, "channels": sound.channels}
    except (soundfile.LibsndfileError, TypeError, RuntimeError, ZeroDivisionError):
        return {}


def laid_out(media: Media, file: BinaryIO) -> Layout:
    """The recordings in a file. Raises ``MediaError`` where it is of a kind that holds none."""
    laid = lay_out(file)
    check_kind(media, laid.kind, "a recording")
    return laid


def open_sound(media: Media, file: BinaryIO) -> Recording:
    """The sound of a file, mono, from at or before ``media.span`` on.

    Recordings that were joined in one file, chained Ogg among them, are one, at the first one's rate.
    """
    laid = laid_out(media, file)
    locked = locks(laid.links[0].file, laid.kind) & {"drms", "enca", "asf"}
    if locked:
        raise MediaError(media.name, "unsupported: its sound is encrypted (DRM)")
    fault, first = _open_link(media, laid.links[0], laid.kind, alone=len(laid.links) == 1)
    recording = Recording(first.rate, iter(()), first.begin)
    recording.oddities.notes += laid.notes
    recording.blocks = _joined(media, recording, laid, (fault, first))
    return recording


def _open_link(media: Media, link: Link, kind: str | None, alone: bool) -> tuple[integrity.Fault | None, _Opened]:
    fault = integrity.check(link.file, kind)
    found: _Opened | None = None
    if kind in PCM or (kind == "ogg" and fault is None):
        found = _open_soundfile(media, link.file, alone)
    found = found or _open_av(media, link.file, kind)
    if not RATES[0] <= found.rate <= RATES[1]:
        raise MediaError(media.name, f"its header gives a sample rate of {found.rate} Hz")
    return fault, found


def _joined(
    media: Media,
    recording: Recording,
    laid: Layout,
    first: tuple[integrity.Fault | None, _Opened],
) -> Iterator[Samples]:
    """The mono blocks of every recording in a file, at the rate of the first; sets ``damage`` and ``seconds``."""
    import soxr

    odd, count = recording.oddities, len(laid.links)
    for number, link in enumerate(laid.links):
        try:
            fault, found = first if number == 0 else _open_link(media, link, laid.kind, alone=False)
        except MediaError as error:
            reason = f"recording {number + 1} of the {count} joined in it {error.reason}"
            recording.damage = MediaError(media.name, reason)
            break
        offset = recording.seconds
        blocks = _checked(media, recording, found, fault, odd, offset, last=number == count - 1)
        if found.rate == recording.rate:
            yield from blocks
        else:
            stream = soxr.ResampleStream(found.rate, recording.rate, 1, dtype="float32", quality="HQ")
            for block in blocks:
                yield stream.resample_chunk(block)
            yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        if recording.damage is not None and number < count - 1 and fault is not None and fault.cut:
            odd.notes.append(f"recording {number + 1} of the {count} joined in it is {recording.damage.reason}")
            recording.damage = None
        if recording.damage is not None:
            break
    recording.whole = True


@dataclass(slots=True)
class _Oddities:
    """What was met in a file's samples, over all of its recordings."""

    notes: list[str] = field(default_factory=list)
    heard: bool = False
    pictures: bool = False
    not_finite: int = 0
    scale: float = 1.0
    peak: float = 0.0
    mixers: list[Mixer] = field(default_factory=list)

    def tell(self, remarks: Remarks) -> None:
        """Say them."""
        for note in self.notes:
            remarks.note(note)
        for mixer in self.mixers:
            mixer.tell(remarks)
        if self.not_finite and self.heard:
            remarks.note(
                f"samples that are no finite number, or beyond 2^32, were taken as 0: {self.not_finite:,} of them"
            )
        if self.scale != 1.0:
            remarks.note(
                f"its samples reach far beyond full scale, as those of integers do: divided by {self.scale:,.0f}"
            )
        elif self.peak > HEADROOM:
            remarks.note(f"its samples reach {20 * math.log10(self.peak):.0f} dB beyond full scale")
        elif 0 < self.peak < FAINT:
            remarks.note(f"its loudest sample lies {-20 * math.log10(self.peak):.0f} dB below full scale")


def _checked(
    media: Media,
    recording: Recording,
    opened: _Opened,
    fault: integrity.Fault | None,
    odd: _Oddities,
    offset: float,
    last: bool,
) -> Iterator[Samples]:
    """Mono blocks of what is sound; sets ``recording.damage`` where that ends too early."""
    rate, count, wrong = opened.rate, opened.begin, ""
    end = math.inf if fault is None or fault.cut or fault.at is None else round(fault.at * rate)
    mixer = Mixer(rate)
    odd.mixers.append(mixer)
    odd.scale = max(odd.scale, opened.scale)
    odd.pictures = opened.pictures
    held = 0  # frames that hold nothing finite, before the first that does
    finite = False
    try:
        for block in opened.blocks:
            block = block[: None if end == math.inf else max(0, int(end) - count)]
            count += len(block)
            if len(block):
                peak = max(float(block.max()), -float(block.min()))  # not a number where a sample is none
                sound = peak <= BEYOND
                if not sound:
                    good = np.abs(block) <= BEYOND
                    odd.not_finite += int(good.size - np.count_nonzero(good))
                    block, sound = np.where(good, block, 0).astype(block.dtype), bool(good.any())
                    peak = max(float(block.max()), -float(block.min()))
                finite = finite or sound
                if not finite:
                    held += len(block)
                    continue
                for start in range(0, held, BLOCK):
                    yield np.zeros(min(BLOCK, held - start), dtype=np.float32)
                held = 0
                odd.heard = True
                recording.seconds = offset + count / rate
                if opened.scale != 1.0:
                    block = block / np.float32(opened.scale)
                odd.peak = max(odd.peak, peak / opened.scale)
                yield mixer.mixed(block)
            if count >= end:
                break
    except MediaError as error:
        wrong = error.reason
    if held:
        recording.damage = MediaError(media.name, "none of its samples is finite")
        return
    seconds = count / rate
    promised = fault.of if fault is not None and fault.of is not None else opened.promised
    if wrong and opened.exact and promised is not None and seconds >= promised > 0:
        odd.notes.append("what lies behind its last sample was passed over")
        wrong = ""
    if not wrong and (fault is None and (promised is None or seconds >= promised - opened.slack)):
        return
    seconds += offset
    of = f" of {promised + offset:.1f} s" if promised is not None and promised + offset > seconds + opened.slack else ""
    if offset or not last:
        of = ""
    if not count:
        reason = f"nothing of it could be decoded: {wrong or 'it is cut short'}"
    elif fault.cut if fault is not None else not wrong:
        reason = f"cut short: {seconds:.1f} s{of} could be read"
    else:
        at = f" at {clock(seconds)}" if wrong or end < math.inf else ""
        wrong = wrong or "its contents fail their checks"
        reason = f"damaged{at}: {wrong}; {seconds:.1f} s{of} could be read"
    recording.damage = MediaError(media.name, reason)


def _open_soundfile(media: Media, file: BinaryIO, alone: bool) -> _Opened | None:
    """By libsndfile; None where it cannot read the file."""
    import soundfile

    file.seek(0)
    try:
        sound = soundfile.SoundFile(_Unfailing(file))
    except (soundfile.LibsndfileError, TypeError, RuntimeError):
        file.seek(0)
        return None
    scale = 1.0
    if sound.subtype in ("FLOAT", "DOUBLE"):
        scale = _scale_of(sound)
    begin = 0
    if alone and media.span is not None and media.span.start > LEAD_IN and sound.format != "OGG":
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

    promised = sound.frames / sound.samplerate
    # These are counted in whole packets, and what an encoder added at both ends is not taken off.
    slack = max(SLACK, PACKET / sound.samplerate) if sound.subtype.startswith(("MPEG", "ALAC")) else 0.0
    return _Opened(sound.samplerate, blocks(), begin, promised, slack, scale=scale)


def _scale_of(sound: Any) -> float:
    """What float samples are to be divided by, so that those in an integer's range come to lie in -1..1.

    The peak is that of the whole file or, in one of more than ``PROBES`` blocks, of so many of them, evenly spread. Up
    to ``HEADROOM`` (12 dB above full scale) floats are left as they are; above, the range of 16, 24 or 32 bits is
    supposed where the peak has more than 8 bits, up to twice the range as resampling may leave it, and the next power
    of two else. Where in no block one sample in a hundred lies above, the peak is a damaged sample and says nothing.
    """
    import soundfile

    peak = share = 0.0
    step = max(1, math.ceil(sound.frames / BLOCK / PROBES))
    with np.errstate(all="ignore"), contextlib.suppress(soundfile.LibsndfileError, RuntimeError):
        for start in range(0, sound.frames, step * BLOCK):
            sound.seek(start)
            values = np.abs(sound.read(min(BLOCK, sound.frames - start), dtype="float32"))
            values = values[values <= BEYOND]
            peak = max(peak, float(values.max(initial=0.0)))
            share = max(share, float(np.mean(values > HEADROOM)) if len(values) else 0.0)
    with contextlib.suppress(soundfile.LibsndfileError, RuntimeError):
        sound.seek(0)
    if peak <= HEADROOM or share < LEAST_ABOVE:
        return 1.0
    if peak > 256:
        for bits in (15, 23, 31):
            if peak <= 2.0 ** (bits + 1):
                return 2.0**bits
    return 2.0 ** math.ceil(math.log2(peak))


def sound_of(media: Media, container: InputContainer) -> AudioStream:
    """The first audio stream that can be decoded."""
    if not container.streams.audio:
        raise MediaError(media.name, "holds no sound")
    for stream in container.streams.audio:
        if stream.codec_context is not None:
            return stream
    raise MediaError(media.name, "unsupported: its sound is in a coding that is not read here")


def _open_av(media: Media, file: BinaryIO, kind: str | None) -> _Opened:
    """By libav. Where the sample rate changes on the way, what follows is brought to the first one."""
    import av
    import soxr
    from av.stream import Disposition

    with contextlib.ExitStack() as opening:
        container = opening.enter_context(open_container(media, file))
        stream = sound_of(media, container)
        frames = container.decode(stream)
        ahead: list[Any] = []
        undone = ""
        try:  # the first frame knows what the header may not: spectral band replication doubles the rate
            ahead += itertools.islice(frames, 1)
        except av.EOFError:
            pass
        except (av.FFmpegError, ValueError) as error:
            undone = decoder_reason(error, under_way=True)
        stack = opening.pop_all()
    rate = ahead[0].sample_rate if ahead else stream.codec_context.sample_rate
    promised = None
    if kind not in ("mp3", "aac") and stream.duration and stream.time_base:
        promised = float(stream.duration * stream.time_base)

    def blocks() -> Iterator[npt.NDArray[Any]]:
        with stack:
            wrong = undone
            expected = None
            converter: tuple[tuple[int, int], Any] = (0, 0), None
            gathered: list[npt.NDArray[Any]] = []
            count = 0
            try:
                for frame in itertools.chain(ahead, frames if not undone else ()):
                    if kind == "flac" and frame.time is not None:
                        if expected is not None and round(frame.time * rate) > expected:
                            wrong = "a frame fails its checksum"
                            break
                        expected = round(frame.time * rate) + frame.samples
                    samples = _frame_samples(frame)
                    if frame.sample_rate != rate:
                        form = frame.sample_rate, samples.shape[1]
                        if converter[0] != form:
                            converter = form, soxr.ResampleStream(form[0], rate, form[1], dtype="float32", quality="HQ")
                        samples = converter[1].resample_chunk(np.ascontiguousarray(samples, dtype=np.float32))
                    if gathered and samples.shape[1] != gathered[0].shape[1]:
                        yield np.concatenate(gathered)
                        gathered, count = [], 0
                    gathered.append(samples)
                    count += len(samples)
                    if count >= BLOCK:
                        yield np.concatenate(gathered)
                        gathered, count = [], 0
            except av.EOFError:
                pass
            except (av.FFmpegError, ValueError) as error:
                wrong = decoder_reason(error, under_way=True)
            if gathered:
                yield np.concatenate(gathered)
            if wrong:
                raise MediaError(media.name, wrong)

    flac = kind == "flac"
    pictures = any(not one.disposition & Disposition.attached_pic for one in container.streams.video)
    slack = 0.0 if flac else max(SLACK, PACKET / (rate or 1)) if kind == "caf" else SLACK
    return _Opened(rate or 0, blocks(), 0, promised, slack, exact=flac, pictures=pictures)


def _frame_samples(frame: Any) -> npt.NDArray[Any]:
    """(n, channels) in -1..1 of a libav frame of any sample format."""
    array: npt.NDArray[Any] = frame.to_ndarray()
    channels = len(frame.layout.channels)
    return as_floats(array.T if frame.format.is_planar else array.reshape(-1, channels))


def as_floats(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Integer samples, unsigned bytes among them, as float32 in -1..1; floats as they are."""
    if array.dtype == np.uint8:
        array = (array.astype(np.float32) - 128.0) / 128.0
    elif array.dtype == np.int16:  # of which single precision holds every one
        array = array.astype(np.float32) * np.float32(2.0**-15)
    elif np.issubdtype(array.dtype, np.integer):
        array = (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    return array
