"""Any model as an encoder: a function, a torch module, a model of sentence-transformers or of transformers."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from embed.encoder import WRAPPED, AudioInput, Encoder
from embed.errors import AnalogonError, EncoderError, UsageError, one_line
from embed.faults import machine_fault
from embed.media import Media, Modality, as_numpy
from embed.models import turn
from embed.space import Space

__all__ = ["WrappedEncoder", "known", "wrap"]

Function = Callable[[Sequence[Any]], Any]

SIDES: Final[tuple[Modality, ...]] = ("text", "audio", "image")
BATCH: Final = 16
SORTED: Final = 256  # texts that sentence-transformers is given at a time: it puts those of like lengths together
WINDOW: Final = 10.0  # seconds, where nothing else is said
SAME: Final = 0.999  # the least cosine of two vectors of one input, alone and beside another
QUERY: Final = np.array(["query"])  # marks a text that is asked for
PADDED: Final = ("siglip", "siglip2")  # whose text towers pool their last position, padding or not
RESCALED: Final = ("size", "crop_size", "image_mean", "image_std", "rescale_factor", "resample", "do_center_crop")
MAIN: Final[dict[str, Modality]] = {
    "input_ids": "text",
    "pixel_values": "image",
    "input_values": "audio",
    "input_features": "audio",
}


class _Side(ABC):
    """A model that somebody else made, for some modalities."""

    modalities: tuple[Modality, ...]
    audio: AudioInput | None = None
    name: str | None = None

    @abstractmethod
    def about(self, modality: Modality) -> str:
        """What happens between an input and the model, as the space's preprocessing has it."""

    @abstractmethod
    def rows(self, modality: Modality, batch: Sequence[Media]) -> Any:
        """A row for each prepared part of one modality, as the model gives them."""

    def identity(self) -> str | None:
        """A hash of the weights and the vocabulary; None where it cannot be told from outside."""
        return None

    def changed(self) -> bool:
        """Whether the weights are others than when ``identity`` was asked for first."""
        return False


class _Function(_Side):
    """A function of a list of texts, of samples or of pixels."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.modalities = ()

    def about(self, modality: Modality) -> str:
        return "a function"

    def rows(self, modality: Modality, batch: Sequence[Media]) -> Any:
        return self.function([media.text if modality == "text" else media.array for media in batch])


class _Weights(_Side):
    """What has the weights of a torch module."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self._known: str | None = None
        self.stamps: list[tuple[str, int, int]] = []

    def identity(self) -> str | None:
        if self._known is None:
            self._known = state_hash(self.module, self._vocabulary())
            self.stamps = _stamps(self.module)
        return self._known

    def recall(self, identity: str | None, stamps: list[tuple[str, int, int]]) -> None:
        """Take over what is known of the same weights."""
        self._known, self.stamps = identity, stamps

    def changed(self) -> bool:
        stamps = _stamps(self.module)
        if stamps == self.stamps:
            return False
        if state_hash(self.module, self._vocabulary()) != self._known:
            return True
        self.stamps = stamps  # moved to another device, as like as not
        return False

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"stamps": []}  # of another process, which finds the weights elsewhere

    def _vocabulary(self) -> str:
        return ""

    def _called(self, function: Callable[[], Any]) -> Any:
        """What a call gives without gradients and without dropout; the module is left in the mode that it was in."""
        import torch

        training = [one for one in self.module.modules() if one.training]
        self.module.eval()
        try:
            with torch.inference_mode():
                return function()
        finally:
            for one in training:
                one.training = True

    @property
    def _device(self) -> Any:
        import torch

        tensor = next((*self.module.parameters(), *self.module.buffers()).__iter__(), None)
        return torch.device("cpu") if tensor is None else tensor.device


class _Module(_Weights):
    """A torch module of texts (a list), samples ``(n, samples)`` or pictures ``(n, 3, height, width)`` in 0..1."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.modalities = ()
        self.name = type(module).__name__

    def about(self, modality: Modality) -> str:
        return f"torch {type(self.module).__name__}"

    def rows(self, modality: Modality, batch: Sequence[Media]) -> Any:
        if modality == "text":
            return self._called(lambda: self.module([media.text for media in batch]))
        return _in_groups(batch, lambda arrays: self._called(lambda: self._of(modality, arrays)))

    def _of(self, modality: Modality, arrays: npt.NDArray[Any]) -> Any:
        import torch

        tensor = torch.from_numpy(arrays)
        if modality == "image":
            tensor = tensor.permute(0, 3, 1, 2).to(torch.float32) / 255
        return self.module(tensor.to(self._device))


class _Sentences(_Weights):
    """A sentence-transformers model."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        offered = getattr(model, "modalities", None) or ["text"]
        self.modalities = tuple(one for one in ("text", "image") if one in offered)
        card = getattr(model, "model_card_data", None)
        self.name = getattr(card, "base_model", None) or _path_of(model) or "sentence-transformers"

    def about(self, modality: Modality) -> str:
        model = self.module
        told = {
            "modules": [type(one).__name__ for one in model.children()],
            "pooling": [str(found) for one in model.children() if (found := getattr(one, "pooling_mode", None))],
            "prompts": {key: text for key, text in (getattr(model, "prompts", None) or {}).items() if text},
            "default prompt": getattr(model, "default_prompt_name", None),
            "tokens": getattr(model, "max_seq_length", None) if modality == "text" else None,
            "components": getattr(model, "truncate_dim", None),
        }
        return f"sentence-transformers {_settings(told)}"

    def _vocabulary(self) -> str:
        return _vocabulary(getattr(self.module, "tokenizer", None))

    def rows(self, modality: Modality, batch: Sequence[Media]) -> Any:
        options = {"batch_size": min(len(batch), 32), "show_progress_bar": False, "convert_to_numpy": True}
        if modality == "image":
            from PIL import Image

            pictures = [Image.fromarray(cast(Any, media.array)) for media in batch]
            return self._called(lambda: self.module.encode(pictures, **options))
        rows: list[Any] = [None] * len(batch)
        for asked in (False, True):
            at = [number for number, media in enumerate(batch) if (media.array is not None) is asked]
            texts = [batch[number].text for number in at]
            encode = getattr(self.module, "encode_query" if asked else "encode_document", self.module.encode)
            encoded = self._called(partial(encode, texts, **options)) if at else ()
            for number, row in zip(at, encoded, strict=True):
                rows[number] = row
        return np.stack(rows)


class _Pretrained(_Weights):
    """A transformers model, with a processor, tokenizer, image processor or feature extractor.

    Where the model has ``get_text_features`` and the like, those are its vectors; else ``text_embeds``,
    ``image_embeds``, ``audio_embeds`` or ``embeddings`` of its output, or the ``pooler_output`` for pictures, or the
    mean of its last states, of texts without padding.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        super().__init__(model)
        from transformers import PreTrainedTokenizerBase, SequenceFeatureExtractor
        from transformers.image_processing_utils import BaseImageProcessor

        def part(kind: Any, *names: str) -> Any:
            found = (processor, *(getattr(processor, name, None) for name in names))
            return next((one for one in found if isinstance(one, kind)), None)

        self.tokenizer = part(PreTrainedTokenizerBase, "tokenizer")
        self.images = part(BaseImageProcessor, "image_processor")
        self.sounds = part(SequenceFeatureExtractor, "feature_extractor")
        parts: dict[Modality, Any] = {"text": self.tokenizer, "image": self.images, "audio": self.sounds}
        main = MAIN.get(str(getattr(model, "main_input_name", "")))
        several = any(hasattr(model, f"get_{one}_features") for one in parts)
        self.modalities = tuple(
            one
            for one, tool in parts.items()
            if tool is not None and (hasattr(model, f"get_{one}_features") if several else one == main)
        )
        if not self.modalities:
            needs = main or " or ".join(one for one in parts if hasattr(model, f"get_{one}_features")) or "nothing"
            raise UsageError(
                f"{type(processor).__name__} prepares nothing that {type(model).__name__} takes ({needs}): give "
                "the processor that was saved with the model"
            )
        self.name = str(getattr(model, "name_or_path", "") or type(model).__name__)
        if "audio" in self.modalities:
            self.audio = AudioInput(int(self.sounds.sampling_rate), _longest_sound(self.sounds))

    def about(self, modality: Modality) -> str:
        told: dict[str, Any] = {}
        if modality == "text":
            told["tokens"] = self._longest
        elif modality == "image":
            told = {key: getattr(self.images, key, None) for key in RESCALED}
            told |= {key: _side_lengths(told[key]) for key in ("size", "crop_size")}
        return f"{type(self.module).__name__} {_settings(told)}".rstrip()

    def _vocabulary(self) -> str:
        return _vocabulary(self.tokenizer) if "text" in self.modalities else ""

    @property
    def _padded(self) -> bool:
        return str(getattr(self.module.config, "model_type", "")) in PADDED

    @property
    def _longest(self) -> int:
        """Tokens that fit: in RoBERTa's kind positions count from the padding's own number on."""
        config = getattr(self.module.config, "text_config", self.module.config)
        places = getattr(config, "max_position_embeddings", None) or self.tokenizer.model_max_length
        if "roberta" in type(self.module).__name__.lower() or getattr(config, "model_type", "") == "clap_text_model":
            places -= (config.pad_token_id or 0) + 1
        return int(min(places, self.tokenizer.model_max_length))

    def rows(self, modality: Modality, batch: Sequence[Media]) -> Any:
        if modality == "text":
            padding = "max_length" if self._padded else True
            inputs = self.tokenizer(
                [media.text for media in batch],
                padding=padding,
                truncation=True,
                max_length=self._longest,
                return_tensors="pt",
            )
            return self._features(modality, inputs)
        if modality == "image":
            from PIL import Image

            pictures = [Image.fromarray(cast(Any, media.array)) for media in batch]
            return self._features(modality, self.images(images=pictures, return_tensors="pt"))
        return _in_groups(batch, self._heard)

    def _heard(self, arrays: npt.NDArray[Any]) -> Any:
        assert self.audio is not None
        inputs = self.sounds(list(arrays), sampling_rate=self.audio.rate, return_tensors="pt")
        if "is_longer" in inputs:  # CLAP's marks one of a batch at random; a window never is
            inputs["is_longer"] = inputs["is_longer"] * False
        return self._features("audio", inputs)

    def _features(self, modality: Modality, inputs: Any) -> Any:
        inputs = inputs.to(self._device)
        own = getattr(self.module, f"get_{modality}_features", None)
        output = self._called(lambda: (own or self.module)(**inputs))
        if hasattr(output, "shape"):
            return output
        for name in (f"{modality}_embeds", "embeddings", *(["pooler_output"] if own or modality == "image" else [])):
            if (found := getattr(output, name, None)) is not None:
                return found.flatten(1)
        states = output.last_hidden_state
        if modality == "text" and "attention_mask" in inputs:
            weights = inputs["attention_mask"][:, :, None].to(states.dtype)
            return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return states.flatten(2).mean(2) if states.ndim == 4 else states.mean(1)


class WrappedEncoder(Encoder):
    """What ``wrap`` makes."""

    def __init__(
        self, sides: Mapping[Modality, _Side], space: Space, table: Mapping[str, Any], batch_size: int
    ) -> None:
        self.sides = dict(sides)
        self.space = space
        self.table = dict(table)
        self.batch_size = batch_size
        self.modalities = frozenset(sides)
        self.audio = sides["audio"].audio if "audio" in sides else None

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        modality = batch[0].modality
        side = self.sides[modality]
        if side.changed():
            raise EncoderError(
                f"{self.space.model}: its weights changed since it was wrapped, so its vectors are of another space: "
                "wrap it again"
            )
        return _numbers(side.rows(modality, batch), self.space.model)

    def embed_query(self, media: Media) -> Media:
        """A text is marked as a question where the model tells these from documents."""
        if media.text is None or not isinstance(self.sides.get("text"), _Sentences):
            return media
        return media.but(array=QUERY)

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        """Pickled with its functions and modules, as far as these can be."""
        for side in self.sides.values():
            if isinstance(side, _Function):
                try:
                    pickle.dumps(side.function)
                except Exception as error:
                    raise EncoderError(
                        f"{self.space.model} wraps what cannot be pickled ({one_line(error)}): take a function that "
                        "a module has, or wrap it in the other process as well"
                    ) from None
        return WrappedEncoder, (self.sides, self.space, self.table, self.batch_size)


def wrap(
    model: Any,
    *,
    name: str | None = None,
    revision: str | None = None,
    modality: Modality | None = None,
    dim: int | None = None,
    rate: int | None = None,
    window: float | None = None,
    batch_size: int | None = None,
) -> WrappedEncoder:
    """Any model as an ``Encoder``, with the checks that all encoders have.

    ``model`` is

    - a function of a list, which gives ``(n, dim)`` numbers, one row for each: of texts (``str``), of samples (float32
      ``(n,)``, mono, at ``rate`` Hz, at most ``window`` seconds long, by default 10), or of pictures (uint8
      ``(height, width, 3)``, sRGB). ``modality`` says which, by default "text";
    - a torch module: of a list of texts, or of tensors, float32 ``(n, samples)`` or ``(n, 3, height, width)`` in 0..1,
      of as many as have one size. It is called in eval mode and without gradients, on the device that it is on;
    - a sentence-transformers model;
    - a pair of a transformers model and its processor, tokenizer, image processor or feature extractor;
    - a mapping from modalities to functions or modules whose vectors live in one space: ``{"text": f, "image": g}``.

    ``batch_size`` is how many are given to it at once, by default 16, of sentence-transformers 256. ``name`` is what
    spaces are called; models of sentence-transformers and transformers have one. What tells spaces
    apart is a hash of all weights and the vocabulary (about a second for 1 GB, once); of a function nothing can be
    seen from outside, so it needs a ``revision``: a text of yours that you change whenever its vectors change.

    Plain inputs are encoded three times a modality: ``dim`` is measured where it is not given, and numbers that are
    not finite, rows of zeros, and vectors that change from call to call or with what is beside them are refused.
    Raises ``UsageError``, or ``EncoderError`` for a model that does not keep this.

    >>> import numpy as np
    >>> def lengths(texts): return np.array([[len(text), text.count(" ") + 1] for text in texts])
    >>> from embed.inputs import encode
    >>> encode(wrap(lengths, name="lengths", revision="1"), ["rain on a roof"]).array.round(3).tolist()
    [[0.9620000123977661, 0.2750000059604645]]
    """
    sides = _sides(model, modality, rate, window)
    unseen = [one for one in sides.values() if isinstance(one, _Function)]
    name = name or next((side.name.replace(":", "_") for side in sides.values() if side.name), None)
    if not isinstance(name, str) or not name.strip() or ":" in name:
        raise UsageError("`name` says what to call what is wrapped, such as wrap(fn, name='tags', revision='1')")
    if unseen and not (isinstance(revision, str) and revision):
        raise UsageError(
            "of a function nobody can see when it changes: give a `revision`, a text that you change whenever its "
            "vectors change, such as revision='1'"
        )
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise UsageError(f"`batch_size` is a whole number above 0, not {batch_size!r}")
    if dim is not None and (not isinstance(dim, int | np.integer) or isinstance(dim, bool) or dim < 1):
        raise UsageError(f"`dim` is a whole number above 0, not {dim!r}")
    called = f"{WRAPPED}:{name}"
    widths = {one: _probed(side, one, called) for one, side in sides.items()}
    wanted = int(dim) if dim is not None else next(iter(widths.values()))
    for one, width in widths.items():
        if width != wanted:
            raise EncoderError(f"{called} gives {width} numbers for {one}; its space wants {wanted}")
    identity = json.dumps([revision, *sorted((one, side.identity()) for one, side in sides.items())])
    weights = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
    space = Space(called, weights, _about(sides), wanted)
    table = {"family": WRAPPED, "model": name, "identity": space.id} | ({"revision": revision} if revision else {})
    return WrappedEncoder(sides, space, table, batch_size or _batch(sides))


def _about(sides: Mapping[Modality, _Side]) -> str:
    """All that happens between an input and a model, as its space's preprocessing."""
    about = "; ".join(f"{one}: {sides[one].about(one)}" for one in sorted(sides))
    return about + (f"; audio {sides['audio'].audio}" if "audio" in sides else "")


def _batch(sides: Mapping[Modality, _Side]) -> int:
    return max(SORTED if isinstance(side, _Sentences) else BATCH for side in sides.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What is kept of a model that ``encode`` was given: nothing that holds the model itself."""

    tool: Callable[[], Any]
    identity: str | None
    stamps: list[tuple[str, int, int]]
    space: Space
    table: Mapping[str, Any]
    lock: threading.RLock


_SEEN: Final[weakref.WeakKeyDictionary[Any, _Seen]] = weakref.WeakKeyDictionary()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SEEN.clear)  # whose locks may have been held


def known(model: Any) -> Encoder | None:
    """The encoder of a model that needs nothing more said, wrapped once and again where its weights changed.

    None for all else. Raises ``UsageError`` for what could be wrapped, with how.
    """
    pair = model if isinstance(model, tuple | list) and len(model) == 2 else (model, None)
    if isinstance(model, tuple | list) and not (_is_pretrained(pair[0]) and pair[1] is not None):
        return None
    if _is_pretrained(model):
        raise UsageError(f"{type(model).__name__} alone reads no text, picture or sound: give (model, its processor)")
    if not isinstance(model, tuple | list) and not _is_sentences(model):
        if _is_module(model) or (callable(model) and not isinstance(model, type)):
            what = getattr(model, "__name__", type(model).__name__)
            raise UsageError(f"{what} is wrapped first: analogon.wrap({what}, name=..., revision=..., modality=...)")
        return None
    seen = _SEEN.get(pair[0])
    if seen is not None and seen.tool() is pair[1]:
        side = next(iter((sides := _sides(model, None, None, None)).values()))
        assert isinstance(side, _Weights)
        side.recall(seen.identity, seen.stamps)
        if not side.changed() and _about(sides) == seen.space.preprocessing:
            encoder = WrappedEncoder(sides, seen.space, seen.table, _batch(sides))
            vars(encoder)["_turn"] = seen.lock
            return encoder
    encoder = wrap(model)
    side = next(iter(encoder.sides.values()))
    assert isinstance(side, _Weights) and encoder.table is not None
    tool = weakref.ref(pair[1]) if pair[1] is not None else _none
    _SEEN[pair[0]] = _Seen(tool, side.identity(), side.stamps, encoder.space, encoder.table, turn(encoder))
    return encoder


def _none() -> None:
    return None


def _is_module(thing: Any) -> bool:
    return hasattr(thing, "state_dict") and hasattr(thing, "named_parameters") and callable(thing)


def _is_pretrained(thing: Any) -> bool:
    return _is_module(thing) and hasattr(thing, "config") and hasattr(thing, "main_input_name")


def _is_sentences(thing: Any) -> bool:
    return any(
        one.__name__ == "SentenceTransformer" and one.__module__.partition(".")[0] == "sentence_transformers"
        for one in type(thing).__mro__
    )


def _sides(model: Any, modality: Any, rate: Any, window: Any) -> dict[Modality, _Side]:
    if isinstance(model, Encoder):
        raise UsageError(f"{model.space.model} is an encoder already")
    if isinstance(model, Mapping):
        if modality is not None or not model:
            raise UsageError(
                'a mapping says the modalities itself: wrap({"text": f, "image": g}, name=..., revision=...)'
            )
        return {one: side for key, part in model.items() for one, side in _sides(part, key, rate, window).items()}
    if modality is not None and modality not in SIDES:
        other = "; of a video give the sound or a picture" if modality == "video" else ""
        raise UsageError(f"`modality` is one of {', '.join(SIDES)}, not {modality!r}{other}")
    if isinstance(model, tuple | list) and len(model) == 2 and _is_pretrained(model[0]):
        side: _Side = _Pretrained(*model)
    elif _is_sentences(model):
        side = _Sentences(model)
    elif _is_pretrained(model):
        raise UsageError(f"{type(model).__name__} alone reads no text, picture or sound: give (model, its processor)")
    elif _is_module(model):
        side = _Module(model)
    elif callable(model):
        side = _Function(model)
    else:
        raise UsageError(
            "what is wrapped is a function, a torch module, a sentence-transformers model, a pair of a transformers "
            f"model and its processor, or a mapping from modalities to these, not {type(model).__name__}"
        )
    chosen = side.modalities or (modality or "text",)
    if modality is not None:
        if modality not in chosen:
            raise UsageError(f"it has {' and '.join(chosen)}, not {modality}")
        chosen = (modality,)
    if "audio" in chosen:
        if side.audio is None:
            if not isinstance(rate, int | np.integer) or isinstance(rate, bool) or rate < 1:
                raise UsageError(
                    f"samples need the `rate` in Hz that the model wants, such as rate=16000, not {rate!r}"
                )
            side.audio = AudioInput(int(rate), WINDOW if window is None else window)
        elif rate not in (None, side.audio.rate):
            raise UsageError(f"its feature extractor is for {side.audio.rate} Hz, not {rate}")
        elif window is not None:
            longest = side.audio.window
            if longest is not None and window > longest:
                raise UsageError(f"it hears at most {longest:g} s at once; `window` should not be {window:g} s")
            side.audio = AudioInput(side.audio.rate, window)
    return cast("dict[Modality, _Side]", dict.fromkeys(chosen, side))


def _numbers(rows: Any, called: str) -> npt.NDArray[np.floating[Any]]:
    """What a model gave, as an array. Raises ``EncoderError`` where it is none."""
    try:
        array = as_numpy(rows) if hasattr(rows, "detach") else np.asarray(rows)
        if isinstance(rows, list | tuple) and rows and hasattr(rows[0], "detach"):
            array = np.stack([as_numpy(row) for row in rows])
    except Exception as error:
        raise EncoderError(f"{called} gave rows that make no array: {one_line(error)}") from None
    if array.dtype.kind not in "fiub":
        raise EncoderError(f"{called} gave {type(rows).__name__} of {array.dtype}; wanted are numbers (n, dim)")
    return array


def _probed(side: _Side, modality: Modality, called: str) -> int:
    """The components of a side's vectors, which were looked at on plain inputs. Raises ``EncoderError``."""
    first, other = _plain(side, modality)

    def tried(*batch: Media) -> npt.NDArray[np.floating[Any]]:
        try:
            rows = _numbers(side.rows(modality, batch), called)
        except AnalogonError:
            raise
        except Exception as error:
            machine = machine_fault(error, called)
            if machine is not None:
                raise machine from error
            raise EncoderError(f"{called} fails on a plain {modality}: {one_line(error, named=True)}") from error
        if rows.ndim != 2 or len(rows) != len(batch) or not rows.shape[1]:
            raise EncoderError(
                f"{called} gave an array of shape {rows.shape} for {len(batch)} {modality} inputs; "
                f"wanted is one row for each, ({len(batch)}, dim)"
            )
        if not np.isfinite(rows).all():
            raise EncoderError(f"{called} gives numbers that are not finite for a plain {modality}")
        if not rows[0].any():
            raise EncoderError(f"{called} gives a vector of zeros for a plain {modality}")
        return rows

    alone, again, beside = tried(first)[0], tried(first)[0], tried(first, other)[0]
    if alone.shape != beside.shape or alone.shape != again.shape:
        raise EncoderError(
            f"{called} gives {len(alone)}, {len(again)} and {len(beside)} numbers for the same {modality}"
        )
    if _cosine(alone, again) < SAME:
        raise EncoderError(f"{called} gives other vectors for the same {modality} each time (dropout, or chance?)")
    if _cosine(alone, beside) < SAME:
        raise EncoderError(
            f"{called} gives another vector for the same {modality} where another one is beside it: a row may "
            "depend on its own input only"
        )
    return len(alone)


def _cosine(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _plain(side: _Side, modality: Modality) -> tuple[Media, Media]:
    """Two inputs, as if decoded, that every model of the modality takes."""
    if modality == "text":
        return Media.from_text("rain on a tin roof"), Media.from_text("dog")
    if modality == "image":
        shades = np.broadcast_to(np.arange(224, dtype=np.uint8)[:, None, None], (224, 224, 3)).copy()
        return Media("image", array=shades), Media("image", array=np.ascontiguousarray(255 - shades.swapaxes(0, 1)))
    assert side.audio is not None
    rate = side.audio.rate
    time = np.arange(max(1, round(rate * min(side.audio.window or 2.0, 2.0)))) / rate
    tones = (0.1 * np.sin(2 * np.pi * np.array([[440.0], [1000.0]]) * time)).astype(np.float32)
    return Media("audio", array=tones[0], rate=rate), Media("audio", array=tones[1], rate=rate)


def _in_groups(batch: Sequence[Media], function: Callable[[npt.NDArray[Any]], Any]) -> Any:
    """Rows of what a function makes of arrays of one shape at a time, so that none is padded for another's sake."""
    groups: dict[tuple[int, ...], list[int]] = {}
    arrays = [cast("npt.NDArray[Any]", media.array) for media in batch]
    for number, array in enumerate(arrays):
        groups.setdefault(array.shape, []).append(number)
    rows: list[Any] = [None] * len(batch)
    for at in groups.values():
        found = function(np.stack([arrays[number] for number in at]))
        if len(groups) == 1:
            return found
        if len(found) != len(at):
            raise EncoderError(f"a model gave {len(found)} rows for {len(at)} inputs")
        for number, row in zip(at, found, strict=True):
            rows[number] = as_numpy(row)
    return np.stack(rows)


def state_hash(module: Any, *more: str) -> str:
    """BLAKE2b-128 of a torch module's state: names, types, shapes and bytes of its tensors, in order of their names.

    The same weights on another device have the same hash. ``more`` are texts that count as well. Reads all weights, at
    about 1 GB a second.
    """
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for text in more:
        digest.update(f"{text}\0".encode())
    for name, value in sorted(module.state_dict().items()):
        if not isinstance(value, torch.Tensor):
            digest.update(f"{name}\0{value!r}\0".encode())
            continue
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        flat = value.detach().to_dense() if value.is_sparse else value.detach()
        flat = flat.cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


def _stamps(module: Any) -> list[tuple[str, int, int]]:
    """What changes when weights are changed in place or put elsewhere: where each lies, and its count of changes."""
    found = []
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        count = 0 if value.is_inference() else value._version
        found.append((name, value.data_ptr(), count))
    return found


def _vocabulary(tokenizer: Any) -> str:
    words = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else {}
    return hashlib.blake2b(json.dumps(sorted(words.items())).encode(), digest_size=16).hexdigest() if words else ""


def _path_of(model: Any) -> str | None:
    for one in model.children():
        inner = getattr(one, "auto_model", None) or getattr(one, "model", None)
        if found := getattr(inner, "name_or_path", None):
            return str(found)
    return None


def _longest_sound(extractor: Any) -> float:
    """Seconds that a feature extractor takes without cutting them, where it says so."""
    for key in ("max_length_s", "chunk_length"):
        value = getattr(extractor, key, None)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return WINDOW


def _settings(told: Mapping[str, Any]) -> str:
    """Settings on one line, but those that are not set."""
    kept = {key: value for key, value in told.items() if value not in (None, [], {})}
    return json.dumps(kept, sort_keys=True, default=str) if kept else ""


def _side_lengths(size: Any) -> dict[str, int]:
    """What an image processor says of a size, as a mapping or as an object."""
    names = ("height", "width", "shortest_edge", "longest_edge")
    found = {name: size.get(name) if isinstance(size, Mapping) else getattr(size, name, None) for name in names}
    return {name: int(value) for name, value in found.items() if value is not None}
