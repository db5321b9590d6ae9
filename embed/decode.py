"""The one place where files become samples, pixels and lines of text, and long media become windows."""

from __future__ import annotations

import bisect
import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from embed import integrity
from embed.errors import MediaError, UnsupportedModality
from embed.media import Media, Span, check_readable

if TYPE_CHECKING:
    from av.container import InputContainer
    from PIL.Image import Image

    from embed.encoder import AudioInput, VideoInput

__all__ = ["facts", "parts"]

Samples = npt.NDArray[np.float32]

PASSAGE: Final = 1000  # characters of text in one part
TEXT_BYTES: Final = 1 << 26
PIXELS: Final = 200_000_000
VIDEO_SIDE: Final = 1080
BLOCK: Final = 1 << 16  # frames of sound that are read at once
LEAD_IN: Final = 1.0  # seconds decoded before a span, so that the resampler's filter (about 0.05 s) has settled
SLACK: Final = 0.1  # seconds by which a lossy file's stated duration may exceed its sound
REMAINDER: Final = 0.01  # the part of a window that may stay uncovered at the end of a recording

PCM: Final = frozenset({"wav", "aiff", "caf", "au", "w64"})
PICTURES: Final = {
    "png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF", "tiff": "TIFF", "bmp": "BMP", "avif": "AVIF"
}  # fmt: skip
ABOUT: Final = {
    **{kind: f"a {kind.upper()} picture" for kind in (*PICTURES, "heic")},
    **{kind: f"a recording ({kind})" for kind in (*PCM, "flac", "ogg", "mp3", "aac", "wma")},
    **{kind: f"a video or recording ({kind})" for kind in ("mp4", "webm", "avi")},
    "html": "a web page or XML",
    "pdf": "a PDF document",
    "zip": "a ZIP archive",
    "gzip": "a gzip archive",
    "7z": "a 7z archive",
    "rar": "a RAR archive",
    "elf": "a program",
    "sqlite": "a database",
}
# Playlists, picture sequences and text terminals are libav formats too, and some open other files: none of them here.
DEMUXERS: Final = (
    "mov,mp4,matroska,webm,ogg,mp3,aac,flac,wav,w64,aiff,caf,au,asf,avi,mpegts,mpeg,flv,ac3,eac3,amr,wv,ape,tta,dsf,rm"
)


def parts(media: Media, *, audio: AudioInput | None = None, video: VideoInput | None = None) -> Iterator[Media]:
    """The parts of one medium as an encoder reads them; see ``Media`` for their arrays.

    Recordings and videos become windows, long texts become passages of about 1,000 characters; pictures are one
    part. Each part keeps the path and says its ``span``. ``media.span`` restricts everything to that span. Memory
    stays bounded by the window, however long the file is.

    Raises ``MediaError`` where nothing can be read; where a file is damaged, the parts before the damage come first.
    """
    match media.modality:
        case "text":
            yield from _passages(media)
        case "audio":
            if audio is None:
                raise UnsupportedModality(f"this encoder does not take audio: {media.name}")
            yield from _audio(media, audio)
        case "image":
            yield media if media.array is not None else media.but(array=_pixels(media), data=None)
        case "video":
            if video is None:
                raise UnsupportedModality(f"this encoder does not take video: {media.name}")
            yield from _video(media, video)


def facts(media: Media) -> dict[str, int | float | str]:
    """What a medium knows of itself, from its header. Absent keys are unknown.

    All: ``bytes``. Audio: ``duration`` (s), ``sample_rate`` (Hz), ``channels``, ``format``. Image: ``width``,
    ``height``, ``format``. Video: ``duration``, ``width``, ``height``, ``fps``, ``format``, and its sound's
    ``sample_rate`` and ``channels``. Text: ``characters``, ``lines``. Raises ``MediaError``.
    """
    known: dict[str, Any]
    if media.array is not None:
        known = {}
        if media.modality == "audio" and media.rate:
            known = {"duration": len(media.array) / media.rate, "sample_rate": media.rate}
        return known
    if media.modality == "text":
        text = media.text if media.text is not None else _read_text(media)
        size = len(text.encode("utf-8", "surrogatepass")) if media.text is not None else _size(media)
        return {"characters": len(text), "lines": text.count("\n") + (not text.endswith("\n")), "bytes": size}
    with _opened(media) as file:
        kind = integrity.kind_of(file.read(64))
        file.seek(0)
        if media.modality == "image":
            picture = _open_picture(media, file)
            known = {"width": picture.width, "height": picture.height, "format": kind}
        elif media.modality == "audio" and kind in (*PCM, "ogg"):
            known = _sound_facts(media, file, kind) or _stream_facts(media, file, kind)
        else:
            known = _stream_facts(media, file, kind)
    known["bytes"] = _size(media)
    return {
        key: value
        for key, value in known.items()
        if value is not None and (isinstance(value, str) or (math.isfinite(value) and value >= 0))
    }


# -- files


@contextlib.contextmanager
def _opened(media: Media) -> Iterator[BinaryIO]:
    """The bytes of a medium as a file; errors of the operating system become ``MediaError``."""
    if media.data is not None:
        if not media.data:
            raise MediaError(media.name, "is empty")
        yield io.BytesIO(media.data)
        return
    assert media.path is not None
    check_readable(media.path)
    try:
        file = open(media.path, "rb")
    except OSError as error:
        raise MediaError(media.name, f"cannot be read: {error.strerror or error}") from None
    with file:
        yield file


def _size(media: Media) -> int:
    if media.data is not None:
        return len(media.data)
    assert media.path is not None
    return check_readable(media.path).st_size


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours = f"{whole // 3600}:{whole // 60 % 60:02d}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02d}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())[:200]


# -- text


def _read_text(media: Media) -> str:
    """A text file's characters, with newlines as ``\\n``."""
    with _opened(media) as file:
        raw = file.read(TEXT_BYTES + 1)
    if len(raw) > TEXT_BYTES:
        raise MediaError(media.name, f"is longer than {TEXT_BYTES >> 20} MiB of text: split it into several files")
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    kind = integrity.kind_of(raw[:64])
    if encoding == "utf-8-sig" and (b"\0" in raw or kind not in (None, "html", "bmp", "gif")):
        raise MediaError(media.name, f"is not text but {ABOUT[kind]}" if kind in ABOUT else "is not text")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        name = "UTF-16" if encoding == "utf-16" else "UTF-8"
        raise MediaError(media.name, f"is not {name} text (line {line}): save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


# A text is cut at the coarsest of these that makes its pieces short enough. The match ends the piece before it.
BREAKS: Final = tuple(
    re.compile(pattern) for pattern in (r"\n[^\S\n]*\n\s*", r"[.!?…][\"'”’»)\]]*\s+|[。！？]\s*", r"\s*\n\s*", r"\s+")
)


def _pack(text: str, start: int, end: int, breaks: tuple[re.Pattern[str], ...] = BREAKS) -> list[tuple[int, int]]:
    """``text[start:end]`` as spans of at most ``PASSAGE`` characters, cut as few and as natural times as can be."""
    if end - start <= PASSAGE:
        return [(start, end)]
    if not breaks:
        return [(at, min(at + PASSAGE, end)) for at in range(start, end, PASSAGE)]
    edges = [start, *(match.end() for match in breaks[0].finditer(text, start, end)), end]
    packed: list[tuple[int, int]] = []
    for left, right in pairwise(edges):
        right = left + len(text[left:right].rstrip())
        if left == right:
            continue
        for first, last in _pack(text, left, right, breaks[1:]):
            if packed and last - packed[-1][0] <= PASSAGE:
                packed[-1] = (packed[-1][0], last)
            else:
                packed.append((first, last))
    return packed


def _passages(media: Media) -> Iterator[Media]:
    if media.text is not None:
        yield media
        return
    text = _read_text(media)
    newlines = [match.start() for match in re.finditer("\n", text)]
    start, end = 0, len(text)
    if media.span is not None:
        bounds = [0, *(at + 1 for at in newlines), len(text) + 1]
        first, last = (min(max(int(line), 0), len(bounds) - 1) for line in (media.span.start - 1, media.span.end))
        start, end = bounds[first], max(bounds[first], bounds[last] - 1)
    start += len(text[start:end]) - len(text[start:end].lstrip())
    end = start + len(text[start:end].rstrip())
    if start >= end:
        raise MediaError(media.name, "holds no text" + (" in those lines" if media.span else ""))
    for left, right in _pack(text, start, end):
        lines = Span(bisect.bisect_left(newlines, left) + 1, bisect.bisect_left(newlines, right - 1) + 1)
        yield media.but(text=text[left:right], data=None, span=lines)


# -- pictures


def _open_picture(media: Media, file: BinaryIO) -> Image:
    """A picture whose header was read; it is decoded by ``load``.

    ``Image.open`` would apply a limit and a warning that belong to the whole process; here the limit is our own.
    """
    from PIL import Image

    # Idempotent, and only about Pillow's own modules: what it would warn of is either an error here or harmless.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    kind = integrity.kind_of(file.read(64))
    file.seek(0)
    if kind not in PICTURES and kind != "heic":
        raise MediaError(media.name, f"is not a picture but {ABOUT[kind]}" if kind else "is not a picture")
    try:
        if kind == "heic":
            picture = _open_heif(media, file)
        else:
            Image.init()
            picture = Image.OPEN[PICTURES[kind]][0](file, "")
    except MediaError:
        raise
    except Exception as error:
        raise MediaError(media.name, f"cannot be decoded as a {kind.upper()} picture: {_one_line(error)}") from None
    if picture.width * picture.height > PIXELS:
        size = f"{picture.width:,} x {picture.height:,} pixels"
        raise MediaError(media.name, f"a decompression bomb? {size} are more than {PIXELS // 1_000_000} million")
    return picture


def _open_heif(media: Media, file: BinaryIO) -> Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        reason = "HEIC pictures need the package pillow-heif: pip install 'analogon[heif]'"
        raise MediaError(media.name, reason) from None
    picture: Image = HeifImageFile(file, "")
    return picture


def _pixels(media: Media) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3), upright, sRGB, over white."""
    with _opened(media) as file:
        picture = _open_picture(media, file)
        kind = (picture.format or "").lower()
        fault = integrity.check(file, {"mpo": "jpeg", "heif": "heic"}.get(kind, kind))
        if fault is not None:
            raise MediaError(
                media.name, "is cut short" if fault.cut else "is damaged: its contents fail their checksum"
            )
        try:
            picture.load()
            return np.asarray(_to_rgb(_upright(picture)))
        except MediaError:
            raise
        except Exception as error:
            reason = _one_line(error)
            if "truncated" in reason.lower():
                raise MediaError(media.name, f"is cut short: {reason}") from None
            raise MediaError(media.name, f"is damaged: {reason}") from None


def _upright(picture: Image) -> Image:
    """The picture turned as its EXIF orientation says; an EXIF block that cannot be read says nothing."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:
        return picture


def _to_rgb(picture: Image) -> Image:
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        picture = Image.fromarray(_to_8_bits(np.asarray(picture)))
    alpha = None
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
    rgb = _to_srgb(picture)
    if alpha is None:
        return rgb
    over_white = Image.new("RGB", rgb.size, "white")
    over_white.paste(rgb, mask=alpha)
    return over_white


def _to_8_bits(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey of 16 bits, 32 bits or floating point, scaled to 0..255; floats up to 1 count as 0..1."""
    if not np.isfinite(grey).all():
        raise ValueError("holds pixels that are not finite")
    low, high = float(grey.min()), float(grey.max())
    if np.issubdtype(grey.dtype, np.integer) and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    scaled = (grey.astype(np.float64) - low) * (255.0 / ((high - low) or 1.0))
    eight: npt.NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return eight


def _to_srgb(picture: Image) -> Image:
    """RGB pixels, by way of the embedded colour profile where there is a valid one."""
    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[source.profile.xcolor_space.strip()]
            if "srgb" not in (source.profile.profile_description or "").lower() and (mode == "CMYK") == (
                picture.mode == "CMYK"
            ):
                converted = ImageCms.profileToProfile(picture.convert(mode), source, _srgb_profile(), outputMode="RGB")
                assert converted is not None
                return converted
    return picture.convert("RGB")


@cache
def _srgb_profile() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")


# -- sound


@dataclass(slots=True, eq=False)
class _Recording:
    """An open recording. ``damage`` is set when ``blocks`` had to end before the recording did."""

    rate: int
    blocks: Iterator[Samples]
    begin: int = 0
    damage: MediaError | None = None


def _audio(media: Media, wanted: AudioInput) -> Iterator[Media]:
    if media.array is not None:
        yield from _from_memory(media, wanted)
        return
    with _opened(media) as file:
        recording = _open_sound(media, file)
        begin, stop, span = 0, None, None
        if media.span is not None:
            begin, stop = round(media.span.start * wanted.rate), round(media.span.end * wanted.rate)
        for start, samples in _windows(_resampled(recording, wanted.rate, begin, stop), begin, wanted):
            span = Span(start / wanted.rate, (start + len(samples)) / wanted.rate)
            yield media.but(array=samples, data=None, rate=wanted.rate, span=span)
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
    if rate == wanted.rate and array.ndim == 1 and array.dtype == np.float32 and 0 < len(array) <= size:
        yield media
        return
    if array.ndim not in (1, 2):
        raise MediaError(media.name, f"samples have shape (n,) or (n, channels), not {array.shape}")
    if np.issubdtype(array.dtype, np.integer):
        array = array / -float(np.iinfo(array.dtype).min or 1)
    mono = array.reshape(len(array), -1).mean(axis=1, dtype=np.float64).astype(np.float32)
    if not len(mono):
        raise MediaError(media.name, "holds no samples")
    if not np.isfinite(mono).all():
        raise MediaError(media.name, "holds samples that are not finite")
    recording = _Recording(rate, iter([mono]))
    offset = media.span.start if media.span else 0.0
    for start, samples in _windows(_resampled(recording, wanted.rate, 0, None), 0, wanted):
        span = Span(offset + start / wanted.rate, offset + (start + len(samples)) / wanted.rate)
        yield media.but(array=samples, rate=wanted.rate, span=span)


def _resampled(recording: _Recording, rate: int, begin: int, stop: int | None) -> Iterator[Samples]:
    """Mono blocks at ``rate`` Hz, of samples ``begin`` to ``stop`` counted at that rate from the recording's start."""
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
    held = np.zeros(0, dtype=np.float32)
    base = start = begin  # number of the first sample held; start of the next window
    covered = begin
    for block in blocks:
        held = np.concatenate([held, block])
        while start + size <= base + len(held):
            yield start, held[start - base : start - base + size].copy()
            covered = start + size
            start += hop
        # A last window may still have to end with the last sample, so as much stays as one window needs.
        keep = max(base, min(start, base + len(held) - size))
        held, base = held[keep - base :], keep
    end = base + len(held)
    if covered == begin:
        if end > begin:
            yield begin, held
    elif end - covered > REMAINDER * size:
        yield end - size, held[-size:]


def _open_sound(media: Media, file: BinaryIO) -> _Recording:
    """The sound of a file, mono, from at or before ``media.span`` on."""
    kind = integrity.kind_of(file.read(64))
    file.seek(0)
    if kind in ABOUT and "recording" not in ABOUT[kind]:
        raise MediaError(media.name, f"is not a recording but {ABOUT[kind]}")
    fault = integrity.check(file, kind)
    opened = None
    if kind in PCM or (kind == "ogg" and fault is None):
        opened = _open_soundfile(media, file)
    rate, begin, promised, raw = opened or _open_av(media, file, kind)
    recording = _Recording(rate, iter(()), begin)
    recording.blocks = _checked(media, recording, raw, fault, promised)
    return recording


Opened = tuple[int, int, float | None, Iterator[npt.NDArray[Any]]]


def _checked(
    media: Media,
    recording: _Recording,
    raw: Iterator[npt.NDArray[Any]],
    fault: integrity.Fault | None,
    promised: float | None,
) -> Iterator[Samples]:
    """Mono blocks of what is sound; sets ``recording.damage`` where that ends too early."""
    rate, count, wrong = recording.rate, recording.begin, ""
    last = math.inf if fault is None or fault.cut or fault.at is None else round(fault.at * rate)
    try:
        for block in raw:
            mono = block.mean(axis=1, dtype=np.float32)[: None if last == math.inf else max(0, int(last) - count)]
            finite = np.isfinite(mono)
            if not finite.all():
                mono, wrong = mono[: int(finite.argmin())], "holds samples that are not finite"
            count += len(mono)
            if len(mono):
                yield mono
            if wrong or count >= last:
                break
    except MediaError as error:
        wrong = error.reason
    seconds = count / rate
    promised = fault.of if fault is not None and fault.of is not None else promised
    if not wrong and (fault is None and (promised is None or seconds >= promised)):
        return
    of = f" of {promised:.1f} s" if promised is not None and promised > seconds else ""
    if wrong.startswith("holds"):
        reason = f"{wrong}, at {_clock(seconds)}"
    elif not count:
        reason = f"nothing of it could be decoded: {wrong or 'it is cut short'}"
    elif not wrong and (fault is None or fault.cut):
        reason = f"cut short: {seconds:.1f} s{of} could be read"
    else:
        wrong = wrong or "its contents fail their checks"
        reason = f"damaged at {_clock(seconds)}: {wrong}; {seconds:.1f} s{of} could be read"
    recording.damage = MediaError(media.name, reason)


def _open_soundfile(media: Media, file: BinaryIO) -> Opened | None:
    """By libsndfile; None where it cannot read the file."""
    import soundfile

    try:
        sound = soundfile.SoundFile(file)
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
                raise MediaError(media.name, _one_line(error)) from None

    return sound.samplerate, begin, sound.frames / sound.samplerate, blocks()


@contextlib.contextmanager
def _container(media: Media, file: BinaryIO) -> Iterator[InputContainer]:
    """A file opened by libav; its errors become ``MediaError``, its log stays silent."""
    import av

    av.logging.set_level(None)
    options = {"format_whitelist": DEMUXERS, "err_detect": "crccheck+bitstream+buffer+explode"}
    file.seek(0)
    try:
        container = av.open(file, "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError, EOFError) as error:
        raise MediaError(media.name, f"cannot be decoded: {_one_line(error)}") from None
    with container:
        yield container


def _open_av(media: Media, file: BinaryIO, kind: str | None) -> Opened:
    """By libav."""
    import av

    stack = contextlib.ExitStack()
    container = stack.enter_context(_container(media, file))
    if not container.streams.audio:
        stack.close()
        raise MediaError(media.name, "holds no sound")
    stream = container.streams.audio[0]
    rate = stream.codec_context.sample_rate
    promised = None
    if kind not in ("mp3", "aac") and stream.duration and stream.time_base:
        promised = float(stream.duration * stream.time_base) - (0 if kind == "flac" else SLACK)

    def blocks() -> Iterator[npt.NDArray[Any]]:
        with stack:
            expected = None
            try:
                for frame in container.decode(stream):
                    if frame.sample_rate != rate:
                        raise MediaError(media.name, f"its sample rate changes from {rate} to {frame.sample_rate} Hz")
                    if kind == "flac" and frame.time is not None:
                        if expected is not None and round(frame.time * rate) > expected:
                            raise MediaError(media.name, "a frame fails its checksum")
                        expected = round(frame.time * rate) + frame.samples
                    yield _frame_samples(frame)
            except av.EOFError:
                return
            except (av.FFmpegError, ValueError) as error:
                raise MediaError(media.name, _one_line(error)) from None

    if not rate:
        stack.close()
        raise MediaError(media.name, "its header gives no sample rate")
    return rate, 0, promised, blocks()


def _frame_samples(frame: Any) -> npt.NDArray[Any]:
    """(n, channels) in -1..1 of a libav frame of any sample format."""
    array: npt.NDArray[Any] = frame.to_ndarray()
    channels = len(frame.layout.channels)
    array = array.T if frame.format.is_planar else array.reshape(-1, channels)
    if array.dtype == np.uint8:
        array = (array.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(array.dtype, np.integer):
        array = (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    return array


def _sound_facts(media: Media, file: BinaryIO, kind: str) -> dict[str, Any] | None:
    import soundfile

    try:
        with soundfile.SoundFile(file) as sound:
            return {
                "duration": sound.frames / sound.samplerate,
                "sample_rate": sound.samplerate,
                "channels": sound.channels,
                "format": kind,
            }
    except (soundfile.LibsndfileError, TypeError, RuntimeError):
        return None


def _stream_facts(media: Media, file: BinaryIO, kind: str | None) -> dict[str, Any]:
    """Facts about a recording or a video by libav."""
    if kind in ABOUT and "recording" not in ABOUT[kind]:
        raise MediaError(media.name, f"is not a {media.modality} file but {ABOUT[kind]}")
    with _container(media, file) as container:
        known: dict[str, Any] = {"format": kind or container.format.name.split(",")[0]}
        if container.duration is not None:
            known["duration"] = container.duration / 1_000_000
        if container.streams.audio:
            sound = container.streams.audio[0]
            known["sample_rate"] = sound.codec_context.sample_rate or None
            known["channels"] = sound.codec_context.channels or None
            if media.modality == "audio" and sound.duration and sound.time_base:
                known["duration"] = float(sound.duration * sound.time_base)
        elif media.modality == "audio":
            raise MediaError(media.name, "holds no sound")
        if media.modality == "video":
            if not container.streams.video:
                raise MediaError(media.name, "holds no pictures")
            pictures = container.streams.video[0]
            known |= {"width": pictures.codec_context.width, "height": pictures.codec_context.height}
            if pictures.average_rate:
                known["fps"] = float(pictures.average_rate)
        return known


# -- video


def _video(media: Media, wanted: VideoInput) -> Iterator[Media]:
    if media.array is not None:
        yield media
        return
    raise MediaError(media.name, "video is not read yet")
