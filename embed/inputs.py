"""Anything that can be encoded, as people have it in a program: texts, files, samples and pictures, one or many."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from embed.encoder import Encoder
from embed.errors import MediaError, UnsupportedModality, UsageError, one_line
from embed.formats import integrity
from embed.formats.files import HEAD, modalities_within
from embed.formats.given import pixels, pixels_of_array
from embed.formats.salvage import ANIMATED
from embed.formats.sound import RATES
from embed.listener import Listener
from embed.media import MODALITIES, Media, Modality, Span, as_numpy, modalities_of
from embed.models import shared
from embed.pipeline import Encoded, encode_stream
from embed.space import Vectors, unit

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Item", "Model", "Progress", "as_media", "check_options", "encode", "is_whole", "items_of"]

Item = str | os.PathLike[str] | bytes | IO[str] | IO[bytes] | npt.NDArray[Any] | Media | Any
"""What ``as_media`` takes. ``Any`` stands for tensors of torch and images of Pillow, which need not be installed."""
Model = str | os.PathLike[str] | Mapping[str, Any] | Encoder | tuple[Any, Any] | Any
"""What ``encode`` encodes with. ``Any`` stands for a sentence-transformers model."""
Progress = Callable[[int, int | None], object] | Listener

TAKEN: Final = (
    "a text (str), a file (pathlib.Path, or open), bytes of a file, samples with `rate`, a picture (Pillow or array), "
    "a Media, or a list of these"
)
NARROW: Final = 8  # columns of what is no picture but a recording with channels
LONG: Final = 1000
TOLD: Final = 3  # items that a remark about several names
STRANGE: Final = 200  # texts with unknown words that are kept for the remark


def encode(
    model: Model,
    items: Item | Iterable[Item],
    *,
    rate: int | None = None,
    modality: Modality | None = None,
    query: bool = False,
    windows: bool = False,
    batch_size: int | None = None,
    progress: Progress | None = None,
    noted: Callable[[str], None] | None = None,
) -> Vectors:
    """Encode one item or many into unit vectors of one space: ``Vectors`` of shape ``(n, dim)``, in their order.

    ``model`` is a name as ``load`` takes it, whose model stays loaded for the next call, an ``Encoder``, or what
    ``wrap`` takes without more said: a sentence-transformers model, or a pair of a transformers model and its
    processor, tokenizer or feature extractor.

    ``items`` are texts (``str``), files (``pathlib.Path``, an open file, ``bytes``), pictures (Pillow of any mode,
    arrays ``(height, width)`` or ``(height, width, 3 or 4)``, tensors ``(3, height, width)``), samples with
    their ``rate`` in Hz (arrays ``(n,)`` or ``(n, channels)``, tensors ``(channels, n)``), and ``Media``: one alone,
    which gives ``(1, dim)``, or a list, an array of texts, a generator, mixed. A generator is followed with bounded
    look-ahead: what stays in memory are its vectors. ``modality`` says what to take of files that hold several, and of
    arrays. ``query`` encodes texts as questions where the model tells them from documents.

    An item longer than the model's window is the normalised mean of its windows; with ``windows`` each window is a row,
    and ``spans``, ``owners`` and ``names`` of the result say whose. ``progress`` is a ``Listener``, or called with how
    many items are through and how many there are, where that is known. What was dropped, guessed or mixed away is
    warned of, or told to ``noted``, in one line for all items that it is true of.

    Raises ``UsageError`` for what is no item or no model, ``UnsupportedModality`` for an item that the model has no
    side for, ``MediaError`` for the first that cannot be encoded, and what ``load`` and ``wrap`` do.

    >>> encode("toy", ["rain on a tin roof", "dog"])
    <Vectors (2, 8) of toy:8>
    >>> encode("toy", np.zeros(40_000), rate=16_000, windows=True).spans
    (Span(start=0.0, end=1.0), Span(start=1.0, end=2.0), Span(start=1.5, end=2.5))
    """
    check_options(modality, rate, batch_size)
    single, given = items_of(items)
    encoder = encoder_of(model)
    total = 1 if single else len(items) if isinstance(items, Sized) else None
    notes = _Notes(single)
    strange: list[Media] = []

    def media() -> Iterator[Media]:
        for number, item in enumerate(given):
            called = "the item" if single else f"item {number}"

            def note(text: str, called: str = called) -> None:
                notes.note(called, text)

            one = as_media(item, rate=rate, modality=modality, sides=encoder.modalities, name=called, note=note)
            if one.modality not in encoder.modalities:
                sides = " and ".join(sorted(encoder.modalities))
                raise UnsupportedModality(
                    f"{encoder.space.model} encodes {sides}, and {_called(called, one)} is {one.modality}"
                )
            if one.text is not None and len(strange) < STRANGE and encoder.remark(one) is not None:
                strange.append(one)
            yield encoder.embed_query(one) if query else one

    told = _told(progress, total)
    found: dict[int, list[tuple[Span | None, npt.NDArray[np.float32]]]] = {}
    sums: dict[int, npt.NDArray[np.float64]] = {}
    rows: dict[int, npt.NDArray[np.float32]] = {}
    names: dict[int, str] = {}
    for result in encode_stream(encoder, media(), batch_size=batch_size):
        at = result.index
        if isinstance(result, Encoded):
            if windows:
                found.setdefault(at, []).append((result.part.span, result.vector))
            elif at in sums:
                sums[at] += result.vector
            else:
                sums[at] = result.vector.astype(np.float64)
            continue
        called = _called("the item" if single else f"item {at}", result.media)
        if result.error is not None and not result.parts:
            raise type(result.error)(called, result.error.reason) from result.error
        for text in (*result.notes, *([result.error.reason] if result.error else [])):
            notes.note(called, text)
        if windows:
            names[at] = called
        else:
            rows[at] = unit(sums.pop(at))
        told()
    if strange and (remark := encoder.remark(*strange)) is not None:
        notes.note("", remark)
    for line in notes.lines():
        if noted is not None:
            noted(line)
        else:
            warnings.warn(line, UserWarning, stacklevel=2)
    if not windows:
        return Vectors(encoder.space, _stacked([rows[at] for at in range(len(rows))], encoder.space.dim))
    order = range(len(names))
    return Vectors(
        encoder.space,
        _stacked([vector for at in order for _, vector in found[at]], encoder.space.dim),
        tuple(names[at] for at in order for _ in found[at]),
        tuple(span for at in order for span, _ in found[at]),
        np.array([at for at in order for _ in found[at]], dtype=np.int64),
    )


def _stacked(rows: Sequence[npt.NDArray[np.float32]], dim: int) -> npt.NDArray[np.float32]:
    return np.stack(rows) if rows else np.empty((0, dim), dtype=np.float32)


def check_options(modality: object = None, rate: object = None, batch_size: object = None) -> None:
    """Raise ``UsageError`` for what is no modality, no sample rate in Hz, or no size of a batch; None is each."""
    if modality is not None and modality not in MODALITIES:
        raise UsageError(f"`modality` is one of {', '.join(MODALITIES)}, not {modality!r}")
    if rate is not None and not (is_whole(rate) and RATES[0] <= cast(int, rate) <= RATES[1]):
        raise UsageError(f"`rate` is a whole number of Hz from {RATES[0]} to {RATES[1]}, not {rate!r}")
    if batch_size is not None and not (is_whole(batch_size) and cast(int, batch_size) > 0):
        raise UsageError(f"`batch_size` is a whole number above 0, not {batch_size!r}")


def is_whole(value: object) -> bool:
    """Whether something is a whole number, of whatever type, and no truth value."""
    if isinstance(value, float | np.floating):
        return bool(value == int(value)) if np.isfinite(value) else False
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _called(called: str, media: Media) -> str:
    """What to call an item in a message: by its file or text, else by its place among the items."""
    return called if media.path is None and media.text is None else media.name


def _told(progress: Progress | None, total: int | None) -> Callable[[], None]:
    """What to call when an item is through."""
    done = 0
    if isinstance(progress, Listener):
        progress.phase("encoding", total)
    elif progress is not None and not callable(progress):
        raise UsageError(f"`progress` is called with two numbers, or a Listener; {_kind(progress)} is neither")

    def told() -> None:
        nonlocal done
        done += 1
        if isinstance(progress, Listener):
            progress.advance()
            progress.check()
        elif progress is not None:
            progress(done, total)

    return told


class _Notes:
    """What is told of items, each thing once, with the first few that it is true of."""

    def __init__(self, single: bool) -> None:
        self._single = single
        self._of: dict[str, tuple[list[str], int]] = {}

    def note(self, called: str, text: str) -> None:
        names, count = self._of.get(text, ([], 0))
        if called and count < TOLD and called not in names:
            names.append(called)
        self._of[text] = names, count + 1

    def lines(self) -> list[str]:
        """One a text."""
        lines = []
        for text, (names, count) in self._of.items():
            more = f" and {count - len(names)} more" if names and count > len(names) else ""
            lines.append(f"{', '.join(names)}{more}: {text}" if names else text)
        return lines


def items_of(items: Item | Iterable[Item]) -> tuple[bool, Iterator[Item]]:
    """Whether one item was given alone, and the items. Raises ``UsageError`` for what is neither one nor several."""
    refused = _no_item(items)
    if refused:
        raise UsageError(f"{refused}; what is encoded is {TAKEN}")
    if _alone(items):
        return True, iter([items])
    if isinstance(items, Iterable):
        return False, _each(items)
    raise UsageError(f"{_kind(items)} cannot be encoded: what can is {TAKEN}")


def _no_item(items: object) -> str:
    """Why something that could be gone through gives no items; empty where it may."""
    if isinstance(items, Vectors):
        return "these are Vectors, encoded already"
    if hasattr(items, "column_names") or hasattr(items, "columns"):
        return f"of a table one column is encoded, as table['text']; this is {_kind(items)}"
    if isinstance(items, Mapping) and not _feature(items):
        return f"{_kind(items)} is no list of items"
    return ""


def _each(items: Iterable[Any]) -> Iterator[Any]:
    for number, item in enumerate(items):
        if hasattr(item, "as_py"):  # a value of Arrow
            item = item.as_py()
        refused = _no_item(item)
        if not refused and not _alone(item):
            if isinstance(item, list | tuple | set | Iterator) or _is_texts(item):
                refused = f"item {number} is {_kind(item)}: give one flat list"
            elif isinstance(item, int | float | np.number):
                refused = f"item {number} is a number: samples are one array, as np.array(numbers), with `rate`"
            else:
                refused = f"item {number} is {_kind(item)}"
        if refused:
            raise UsageError(f"{refused}; an item is {TAKEN.removesuffix(', or a list of these')}")
        yield item


def _alone(item: object) -> bool:
    """Whether something is one item."""
    if isinstance(item, str | bytes | bytearray | memoryview | os.PathLike | Media | Mapping):
        return True
    return _is_file(item) or _is_picture(item) or (_is_array(item) and not _is_texts(item))


def _is_file(item: object) -> bool:
    return callable(getattr(item, "read", None)) and not isinstance(item, type)


def _is_picture(item: object) -> bool:
    return hasattr(item, "getexif") and hasattr(item, "convert") and hasattr(item, "mode")


def _is_array(item: object) -> bool:
    return (
        isinstance(item, np.ndarray)
        or hasattr(item, "detach")
        or (hasattr(item, "__array__") and not isinstance(item, np.generic | type))
    )


def _is_texts(item: Any) -> bool:
    """Whether an array, or a column of a table, holds things that are no numbers."""
    if not _is_array(item) or hasattr(item, "detach"):
        return False
    kind = getattr(item if isinstance(item, np.ndarray) else np.asarray(item), "dtype", None)
    return kind is not None and kind.kind in "OUST"


def _feature(item: Mapping[Any, Any]) -> bool:
    """Whether a mapping is a sound or a picture as Hugging Face's datasets have them."""
    return {"array", "sampling_rate"} <= item.keys() or {"bytes", "path"} == item.keys()


def as_media(
    item: Item,
    *,
    rate: int | None = None,
    modality: Modality | None = None,
    sides: frozenset[Modality] = frozenset(MODALITIES),
    name: str = "the item",
    note: Callable[[str], None] = lambda text: None,
) -> Media:
    """One item as ``Media``; what ``encode`` says of ``items`` holds for each.

    ``sides`` are the modalities that are of use: of a file that holds several, the first of them is taken. ``name`` is
    what messages call it, ``note`` is told what was guessed. Files are opened when they are decoded; pictures of Pillow
    are converted here. Raises ``UsageError``, or ``MediaError`` for an array that is neither picture nor samples.
    """
    if isinstance(item, Media):
        if item.modality == "image" and item.array is not None:
            return item.but(array=pixels_of_array(as_numpy(item.array), name, note))
        return item
    if isinstance(item, str):
        if modality not in (None, "text"):
            raise UsageError(f"{name} is a str, which is a text; a file is named by pathlib.Path({item[:80]!r})")
        if len(item) < 4096 and modalities_of(item) and os.path.isfile(item):
            note(f"{item!r} was taken as a text; pathlib.Path({item!r}) is the file of that name")
        return Media.from_text(item)
    if isinstance(item, os.PathLike):
        path = os.fsdecode(item)
        return Media(modality or _of(modalities_of(path) or modalities_within(path), sides), path=path)
    if isinstance(item, bytes | bytearray | memoryview):
        return _from_bytes(bytes(item), modality, sides, name)
    if isinstance(item, Mapping):
        if not _feature(item):
            have = ", ".join(map(str, item)) or "nothing"
            raise UsageError(f"{name} is a mapping of {have}; of a table one column is encoded, of a sound its `array`")
        if "array" in item:
            return as_media(item["array"], rate=item["sampling_rate"], modality="audio", sides=sides, name=name)
        if item["bytes"] is not None:
            return _from_bytes(item["bytes"], modality, sides, name)
        return as_media(Path(item["path"]), modality=modality, sides=sides, name=name)
    if _is_picture(item):
        if modality not in (None, "image"):
            raise UsageError(f"{name} is a picture, not {modality}")
        if getattr(item, "is_animated", False):
            note(ANIMATED)
        return Media("image", array=pixels(cast("Image", item), name))
    if _is_file(item):
        return _from_file(item, modality, sides, name)
    if _is_array(item):
        return _from_array(item, rate, modality, sides, name, note)
    raise UsageError(f"{name} is {_kind(item)}; what is encoded is {TAKEN}")


def _of(possible: Sequence[Modality], sides: frozenset[Modality]) -> Modality:
    return next((one for one in possible if one in sides), possible[0])


def _from_file(file: Any, modality: Modality | None, sides: frozenset[Modality], name: str) -> Media:
    try:
        content = file.read()
    except (OSError, ValueError, UnicodeDecodeError) as error:  # closed, opened to be written, or not of its encoding
        raise UsageError(f"{name}, an open file, cannot be read: {one_line(error)}") from None
    if isinstance(content, str):
        if modality not in (None, "text"):
            raise UsageError(f'{name} is a file open as text, not {modality}: open it with mode "rb"')
        return Media("text", data=content.encode("utf-8", "surrogatepass"))
    if not isinstance(content, bytes):
        raise UsageError(f"{name} has a read() that gives {_kind(content)}, not bytes")
    return _from_bytes(content, modality, sides, name)


def _from_bytes(content: bytes, modality: Modality | None, sides: frozenset[Modality], name: str) -> Media:
    if not content:
        raise MediaError(name, "is empty")
    possible = integrity.modalities_in(content[:HEAD])
    if modality is None and not possible:
        raise MediaError(name, "these bytes are of no kind of file that is known here")
    return Media(modality or _of(possible, sides), data=content)


def _from_array(
    item: Any,
    rate: int | None,
    modality: Modality | None,
    sides: frozenset[Modality],
    name: str,
    note: Callable[[str], None],
) -> Media:
    """An array or a tensor as samples where it can be such and ``rate`` is given, else as a picture."""
    tensor = hasattr(item, "detach")
    array = as_numpy(item) if tensor or isinstance(item, np.ndarray) else np.asarray(item)
    shape = array.shape
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name} is an array of {array.dtype}; samples and pictures are of numbers")
    if modality in ("text", "video"):
        others = "a list of str" if modality == "text" else "a pathlib.Path"
        raise UsageError(f"{name} is an array, which cannot be {modality}: {modality} is given as {others}")
    if modality is None:
        modality = "audio" if array.ndim == 1 or (array.ndim == 2 and rate is not None) else "image"
        if array.ndim == 2 and "image" not in sides and "audio" in sides:
            modality = "audio"
        long, narrow = (max(shape), min(shape)) if array.ndim == 2 else (0, 0)
        if modality == "image" and rate is None and 0 < narrow <= NARROW and long >= LONG:
            raise UsageError(
                f"{name}, an array of shape {shape}, seems to be samples: give their `rate` in Hz, or `modality=image`"
            )
    if modality == "image":
        if tensor and array.ndim == 3:
            if shape[0] not in (1, 3, 4):
                hint = ": tensor.permute(2, 0, 1) is" if shape[2] in (1, 3, 4) else ""
                raise MediaError(name, f"a tensor of a picture has the shape (3, height, width), not {shape}{hint}")
            array = array.transpose(1, 2, 0)
        if array.ndim == 4:
            raise UsageError(f"{name} is an array of shape {shape}: give several pictures as a list, list(array)")
        return Media("image", array=pixels_of_array(array, name, note))
    if rate is None:
        raise UsageError(f"{name}, an array of shape {shape}, needs the `rate` of its samples in Hz")
    if tensor and array.ndim == 2:
        array = array.T
    return Media("audio", array=array, rate=int(rate))


def encoder_of(model: Model) -> Encoder:
    """The encoder that a model is, or that it is named or wrapped as. Raises ``UsageError`` where it is none."""
    from embed import wrapped

    if isinstance(model, Encoder):
        return model
    if isinstance(model, str | os.PathLike) or (isinstance(model, Mapping) and "family" in model):
        return shared(model)
    if (found := wrapped.known(model)) is not None:
        return found
    taken = (
        'a name such as "clip", an Encoder, a sentence-transformers model, a pair of a transformers model and its '
        "processor, or what analogon.wrap makes of anything else"
    )
    raise UsageError(f"{_kind(model)} does not encode; what does is {taken}")


def _kind(thing: object) -> str:
    if thing is None:
        return "None"
    name = type(thing).__name__
    if callable(thing) and hasattr(thing, "__name__"):
        return f"the {'class' if isinstance(thing, type) else 'function'} {thing.__name__}"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
