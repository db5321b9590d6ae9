"""A medium's bytes as an open file, and an open file as a libav container; what goes wrong becomes ``MediaError``."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

from embed.errors import MediaError, one_line
from embed.formats import integrity
from embed.media import Media, Modality, check_readable

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = [
    "check_kind",
    "clock",
    "decoder_reason",
    "described",
    "modalities_within",
    "open_container",
    "opened",
    "refusal",
    "size",
]

# Playlists, picture sequences and text terminals are libav formats too, and some open other files: none of them here.
DEMUXERS: Final = (
    "mov,mp4,matroska,webm,ogg,mp3,aac,flac,wav,w64,aiff,caf,au,asf,avi,mpegts,mpeg,flv,ac3,eac3,amr,ape,tta,dsf"
)
HEAD: Final = 4096  # bytes of a file that say what it is
OTHERS: Final = {
    "html": "a web page or XML",
    "pdf": "a PDF document",
    "zip": "a ZIP archive",
    "gzip": "a gzip archive",
    "7z": "a 7z archive",
    "rar": "a RAR archive",
    "elf": "a program",
    "sqlite": "a database",
}


def described(kind: str | None) -> str:
    """What a file of that kind is, for a message: "a PNG picture"."""
    if kind in ("mpeg", "flv"):
        return f"a video ({kind.upper()})"
    if kind in integrity.PICTURES:
        return f"{'an' if kind == 'avif' else 'a'} {kind.upper()} picture"
    if kind in integrity.SOUNDS:
        return f"a recording ({kind})"
    if kind in integrity.VIDEOS:
        return f"a video ({kind})"
    if kind in integrity.UNREAD_SOUNDS:
        return integrity.UNREAD_SOUNDS[kind or ""]
    if kind in integrity.UNREAD_PICTURES:
        return integrity.UNREAD_PICTURES[kind or ""]
    return OTHERS.get(kind or "", "something else")


def modalities_within(path: str) -> tuple[Modality, ...]:
    """What a file may hold by its first bytes, whatever it is called.

    Raises ``MediaError`` where it cannot be read, or is nothing that analogon reads.
    """
    check_readable(path)
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise MediaError(path, f"cannot be read: {one_line(error)}") from None
    found = integrity.modalities_in(head)
    if not found:
        kind = integrity.kind_of(head)
        raise MediaError(path, f"unsupported: {described(kind) if kind else 'of no kind that is known here'}")
    return found


def refusal(kind: str | None, wanted: str) -> str:
    """Why a file of that kind is not read as ``wanted``, such as "a picture".

    >>> refusal("pdf", "a picture"), refusal("jxl", "a picture")
    ('is not a picture but a PDF document', 'unsupported: a JPEG XL picture')
    """
    if kind in integrity.UNREAD_PICTURES and wanted == "a picture":
        return f"unsupported: {described(kind)}"
    return f"is not {wanted} but {described(kind)}" if kind else f"is not {wanted}"


def check_kind(media: Media, kind: str | None, wanted: str) -> None:
    """Raise ``MediaError`` where a file is known to be no ``wanted`` ("a recording"), or one that no library reads."""
    if kind in integrity.UNREAD_SOUNDS:
        raise MediaError(media.name, f"unsupported: it is {described(kind)}; convert it to WAV or FLAC")
    if kind is not None and kind not in integrity.SOUNDS | integrity.VIDEOS:
        raise MediaError(media.name, refusal(kind, wanted))


@contextlib.contextmanager
def opened(media: Media) -> Iterator[BinaryIO]:
    """The bytes of a medium as a file. Raises ``MediaError`` where there are none to read."""
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
        raise MediaError(media.name, f"cannot be read: {one_line(error)}") from None
    with file:
        try:
            yield file
        except OSError as error:  # a disk or a network that fails under way
            raise MediaError(media.name, f"cannot be read: {one_line(error)}") from None


def size(media: Media) -> int:
    """Bytes."""
    if media.data is not None:
        return len(media.data)
    assert media.path is not None
    return check_readable(media.path).st_size


class _Nameless:
    """A file without its name, so that libav guesses the format from the content alone."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextlib.contextmanager
def open_container(media: Media, file: BinaryIO) -> Iterator[InputContainer]:
    """A file opened by libav, strict about damage and silent on stderr."""
    import av

    av.logging.set_level(None)
    options = {"format_whitelist": DEMUXERS, "err_detect": "crccheck+bitstream+buffer+explode"}
    file.seek(0)
    try:
        container = av.open(_Nameless(file), "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise MediaError(media.name, f"cannot be decoded: {decoder_reason(error)}") from None
    with container:
        yield container


def decoder_reason(error: BaseException, under_way: bool = False) -> str:
    """What a libav error means to a person, when a file is opened or ``under_way``."""
    import av

    if isinstance(error, av.InvalidDataError):
        return "what follows cannot be decoded" if under_way else "its contents are damaged, or of no known format"
    if isinstance(error, av.error.PatchWelcomeError | av.error.DecoderNotFoundError | av.error.BSFNotFoundError):
        return "unsupported: a variant of its coding that is not read here"
    if isinstance(error, av.EOFError):
        return "it ends before its contents begin"
    if isinstance(
        error, av.FFmpegError
    ):  # "input/output error", "invalid argument", and numbers, say nothing of a file
        return "what follows cannot be decoded" if under_way else "its contents are damaged, or of no known format"
    return one_line(error)


def clock(seconds: float) -> str:
    """Minutes and seconds of a time in a recording.

    >>> clock(42.9), clock(3723)
    ('0:42', '1:02:03')
    """
    minutes, whole = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{whole:02d}" if minutes >= 60 else f"{minutes}:{whole:02d}"
