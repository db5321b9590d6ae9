"""What can be encoded: a file, a text, some bytes, or an array, and the part of it that is meant."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError

__all__ = [
    "KINDS",
    "MODALITIES",
    "Media",
    "Modality",
    "Span",
    "as_numpy",
    "check_readable",
    "content_hash",
    "modalities_of",
]

Modality = Literal["text", "audio", "image", "video"]
MODALITIES: Final[tuple[Modality, ...]] = get_args(Modality)

# What is read, one row a kind: what such a file may hold, and how the names of such files end. What a file is, its
# first bytes tell (`embed.formats.integrity.kind_of`, whose kinds these are); an ending says which files under a folder
# are worth a look. A file may hold several modalities: an mp4 has a sound and a picture.
KINDS: Final[tuple[tuple[str, tuple[Modality, ...], tuple[str, ...]], ...]] = (
    ("wav", ("audio",), (".wav", ".wave", ".bwf", ".rf64")),
    ("flac", ("audio",), (".flac",)),
    ("mp3", ("audio",), (".mp3", ".mp2", ".mpga")),
    ("ogg", ("audio",), (".ogg", ".oga", ".opus", ".spx")),
    ("ogg", ("audio", "video"), (".ogv", ".ogx")),
    ("aac", ("audio",), (".aac", ".adts")),
    ("aiff", ("audio",), (".aif", ".aiff", ".aifc")),
    ("wma", ("audio",), (".wma",)),
    ("wma", ("audio", "video"), (".wmv", ".asf")),
    ("caf", ("audio",), (".caf",)),
    ("au", ("audio",), (".au", ".snd")),
    ("w64", ("audio",), (".w64",)),
    ("ac3", ("audio",), (".ac3", ".eac3")),
    ("amr", ("audio",), (".amr",)),
    ("ape", ("audio",), (".ape",)),
    ("tta", ("audio",), (".tta",)),
    ("dsf", ("audio",), (".dsf",)),
    ("mp4", ("audio", "video"), (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2")),
    ("mp4", ("audio",), (".m4a", ".m4b", ".m4r")),
    ("webm", ("audio", "video"), (".webm",)),
    ("webm", ("audio",), (".weba",)),
    ("mkv", ("audio", "video"), (".mkv",)),
    ("mkv", ("audio",), (".mka",)),
    ("avi", ("audio", "video"), (".avi",)),
    ("mpeg", ("audio", "video"), (".mpg", ".mpeg", ".vob", ".m2ts", ".mts")),  # a .ts may as well be a program's text
    ("flv", ("audio", "video"), (".flv",)),
    ("jpeg", ("image",), (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo")),
    ("png", ("image",), (".png", ".apng")),
    ("webp", ("image",), (".webp",)),
    ("gif", ("image",), (".gif",)),
    ("tiff", ("image",), (".tif", ".tiff")),
    ("bmp", ("image",), (".bmp", ".dib")),
    ("avif", ("image",), (".avif", ".avifs")),
    ("heic", ("image",), (".heic", ".heif", ".heics", ".heifs", ".hif")),
    ("text", ("text",), (".txt", ".md")),
)
SUFFIXES: Final[dict[str, tuple[Modality, ...]]] = {
    suffix: modalities for _, modalities, suffixes in KINDS for suffix in suffixes
}
TABLE_SUFFIXES: Final = frozenset({".csv", ".tsv", ".jsonl"})


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A part of a medium: seconds of a recording or a video, 1-based inclusive lines of a text."""

    start: float
    end: float


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """Something to encode: ``modality`` and one of ``path``, ``text``, ``data`` or ``array``.

    ``span`` narrows it to a part. ``row`` is the 0-based row of a table that a text came from.
    ``array`` is what decoding made of it, and what an encoder reads:

    - audio: float32 ``(n,)``, mono, at the encoder's own sample rate, at most one window long;
    - image: uint8 ``(height, width, 3)``, sRGB;
    - video: uint8 ``(frames, height, width, 3)``, with its mono sound, if any, in ``sound``;
    - or whatever the encoder's ``prepare`` turned those into.

    ``box`` says of a picture that was decoded at a fraction of its size, as an encoder's ``image`` allows, where in
    ``array`` it lies: left, top, right and bottom in pixels, of which two need not be whole numbers.

    ``rate`` is the sample rate of ``array`` (audio) or ``sound`` (video) in Hz.

    A recording may be given as samples: floats in -1..1, or integers of 8 to 32 bits at full scale, as numpy
    ``(n,)`` or ``(n, channels)``, or as a tensor of torch ``(n,)`` or ``(channels, n)``, with its ``rate``.
    """

    modality: Modality
    path: str | None = None
    text: str | None = None
    data: bytes | None = field(default=None, repr=False)
    array: npt.NDArray[Any] | None = field(default=None, repr=False)
    sound: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    rate: int | None = None
    span: Span | None = None
    row: int | None = None
    box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ValueError(f"modality must be one of {', '.join(MODALITIES)}, not {self.modality!r}")
        if self.path is None and self.text is None and self.data is None and self.array is None:
            raise ValueError("a Media needs a path, a text, data or an array")

    @classmethod
    def from_text(cls, text: str) -> Media:
        """A text as it stands."""
        return cls("text", text=text)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], modality: Modality | None = None) -> Media:
        """A file. Without ``modality`` its suffix decides, or else its first bytes; a video file counts as its sound.

        Raises ``MediaError`` where neither says what it holds.
        """
        name = os.fspath(path)
        if modality is None:
            from embed.formats.files import modalities_within  # which knows the kinds above

            modality = (modalities_of(name) or modalities_within(name))[0]
        return cls(modality, path=name)

    @property
    def name(self) -> str:
        """What to call it in a message: the path (and row), or the text's beginning."""
        if self.path is not None:
            return self.path if self.row is None else f"{self.path}, row {self.row + 1}"
        if self.text is not None:
            return repr(self.text if len(self.text) <= 60 else self.text[:57] + "...")
        return f"{self.modality} in memory"

    def but(self, **changes: Any) -> Media:
        """A copy with some fields changed."""
        return replace(self, **changes)


def modalities_of(path: str | os.PathLike[str]) -> tuple[Modality, ...]:
    """What a file's suffix says it may hold; empty where analogon does not read such files."""
    return SUFFIXES.get(Path(path).suffix.lower(), ())


def check_readable(path: str | os.PathLike[str]) -> os.stat_result:
    """Stat a path and raise ``MediaError`` unless it is a regular, readable, non-empty file.

    It comes before every open: opening a FIFO would block for ever.
    """
    name = os.fspath(path)
    try:
        status = os.stat(name)
    except FileNotFoundError:
        broken = Path(name).is_symlink()
        raise MediaError(name, "a link to a file that is not there" if broken else "no such file") from None
    except (OSError, ValueError) as error:
        raise MediaError(name, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(name, "is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(name, "is not a regular file (a pipe, socket or device)")
    if status.st_size == 0:
        raise MediaError(name, "is empty")
    if not os.access(name, os.R_OK):
        raise MediaError(name, "cannot be read: permission denied")
    return status


def content_hash(media: Media) -> str:
    """BLAKE2b-128 of a medium's content as 32 hex digits: of its text, its data, or its file's bytes.

    Two files with the same bytes have the same hash whatever they are called; so have two equal texts.
    """
    digest = hashlib.blake2b(digest_size=16)
    if media.text is not None:
        digest.update(b"text\0" + media.text.encode("utf-8", "surrogatepass"))
    elif media.data is not None:
        digest.update(media.data)
    elif media.path is not None:
        check_readable(media.path)
        try:
            with open(media.path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            raise MediaError(media.path, f"cannot be read: {error.strerror or error}") from None
    else:
        assert media.array is not None
        array = as_numpy(media.array)
        digest.update(str((array.dtype, array.shape, media.rate)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def as_numpy(array: Any) -> npt.NDArray[Any]:
    """An array as it is, and a tensor of torch as one: floats as float32, wherever it lies."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    found: npt.NDArray[Any] = array
    return found
