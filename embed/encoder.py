"""What an encoder is, and how one is named and loaded."""

from __future__ import annotations

import os
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, SupportsIndex

import numpy as np
import numpy.typing as npt

from embed.errors import EncoderError, UnknownEncoder, UsageError
from embed.media import Media, Modality
from embed.registry import Registry
from embed.space import Space
from embed.tower import Running, Tower

__all__ = [
    "AudioInput",
    "Encoder",
    "ImageInput",
    "VideoInput",
    "families",
    "load",
    "register",
    "registered",
    "resolve",
    "run_as",
]

REGISTRY: Final = Registry(
    "embed.encoders", "ANALOGON_ENCODERS", "analogon.encoders", "encoder", UnknownEncoder, EncoderError
)
WRAPPED: Final = "wrapped"  # the family of encoders that no module makes, in tables
NAMED: Final = 10  # unknown words that a remark names
PATH_KEYS: Final = ("model", "text", "audio", "image")


@dataclass(frozen=True, slots=True)
class AudioInput:
    """How an encoder wants its audio: mono float32 at ``rate`` Hz, cut into windows of ``window`` seconds.

    ``hop`` is the distance between the starts of two windows. A recording longer than one window becomes several,
    the last of them moved back so that it ends where the recording ends; a shorter one stays as it is (the encoder
    pads). ``window=None`` hands over the whole recording.
    """

    rate: int
    window: float | None = 10.0
    hop: float | None = None

    def __post_init__(self) -> None:
        if min(self.window or 1.0, self.hop or 1.0) <= 0 or self.window == 0 or self.hop == 0:
            raise UsageError(f"window and hop must be positive seconds, not {self.window} and {self.hop}")

    def __str__(self) -> str:
        if self.window is None:
            return f"{self.rate} Hz mono, whole"
        return f"{self.rate} Hz mono, window {self.window:g} s, hop {self.hop or self.window:g} s"


@dataclass(frozen=True, slots=True)
class ImageInput:
    """How many pixels of a picture an encoder needs: it scales the shorter side to at most ``shorter`` of them.

    A photograph with many times as many may be decoded at a fraction of its size, which costs less and changes the
    encoder's vector by no more than a cosine of 0.9999. That is no part of a space's identity.
    """

    shorter: int


@dataclass(frozen=True, slots=True)
class VideoInput:
    """How an encoder wants its video: ``frames`` pictures evenly spread over each window of ``window`` seconds.

    ``rate`` asks for the mono sound of the window as well, at that many Hz.
    """

    frames: int = 16
    window: float | None = 10.0
    hop: float | None = None
    rate: int | None = None

    def __str__(self) -> str:
        sound = f", sound {self.rate} Hz" if self.rate else ""
        window = f"window {self.window:g} s, hop {self.hop or self.window:g} s" if self.window else "whole"
        return f"{self.frames} frames, {window}{sound}"


class Encoder(ABC):
    """Maps media to vectors of one space. A new one gives ``space``, ``modalities`` and ``encode_batch``.

    Batching, order, decoding, windows, normalising and checks live in ``embed.pipeline``, once.
    Loading is lazy: constructing an encoder reads configuration only, and each side (text, audio, ...) loads its
    weights on first use, so that a text query loads the text tower and nothing else.
    """

    space: Space
    modalities: frozenset[Modality]
    audio: AudioInput | None = None
    """Needed where ``modalities`` holds "audio"."""
    image: ImageInput | None = None
    """What it needs of a picture, where less than all; such an encoder minds ``Media.box``."""
    video: VideoInput | None = None
    """Needed where ``modalities`` holds "video"."""
    batch_size: int = 16
    towers: Mapping[str, Tower] = {}
    """The networks that it runs, by name, loaded or not; empty where it has none that a device could run."""
    table: Mapping[str, Any] | None = None
    """What ``load`` made it from, or what ``register`` keeps it under; None where somebody made it by hand."""
    size: int | None = None
    """Bytes of memory that it takes with all its sides loaded, where it knows; None lets ``embed.models`` estimate."""

    def __repr__(self) -> str:
        sides = ", ".join(sorted(self.modalities))
        return f"<encoder {self.space.model}: {sides} to {self.space.dim} components>"

    def prepare(self, media: Media) -> Media:
        """What is done to each decoded part alone, such as resizing a picture.

        It runs in the decoding threads, must be thread-safe, and returns a Media whose ``array`` holds the result.
        Work that is quicker on many parts at once belongs into ``encode_batch``.
        """
        return media

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Pickled by name: where it is unpickled it is loaded again, once for all, and must be of the same space."""
        if self.table is None or self.table["family"] == WRAPPED:
            raise EncoderError(
                f"{self.space.model} was made by hand, and is known to this process alone: only encoders that `load` "
                "made can be pickled, and those that `wrap` made of a function that a module has"
            )
        return _loaded_again, (dict(self.table), self.space)

    @abstractmethod
    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        """Encode prepared parts, all of one modality, into rows ``(len(batch), space.dim)`` of any length.

        A row must not depend on the other members of the batch. It runs in one thread at a time.
        """

    def embed_query(self, media: Media) -> Media:
        """The form in which a query of this medium is encoded; models with prompts for queries change it."""
        return media

    def unknown(self, media: Media) -> list[str]:
        """The words of a text that the encoder does not know, so that they add nothing, or noise, to its vector.

        Where there is no other word, ``encode_batch`` raises ``MediaError``, or gives what the noise amounts to.
        """
        return []

    def remark(self, *media: Media) -> str | None:
        """What to tell beside the vectors of texts, in one line: which words have no part in them. None where all have.

        Of many words the first ``NAMED`` are named.
        """
        words = list(dict.fromkeys(word for one in media for word in self.unknown(one)))
        if not words:
            return None
        if len(words) > NAMED:
            words[NAMED:] = [f"{len(words) - NAMED} more"]
        listed = " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
        verbs = "is {} and adds" if len(words) == 1 else "are {} and add"
        return f"{listed} {verbs.format(f'in no vocabulary of {self.space.model}')} no meaning"

    def doubt(self, query: Media, modality: Modality, best: float) -> str | None:
        """Why not to trust the answers to ``query``, of which the best has the cosine ``best``, in one line.

        None where they may be trusted, and where nothing was measured that could tell: a model that was calibrated
        on recordings that it had not learnt from says so here.
        """
        return None

    @property
    def precision(self) -> str:
        """How precisely its networks run: "float32", or the lower precision that was asked for."""
        below = (one.running.exactly for one in self.towers.values() if one.running.exactly != "float32")
        return next(below, "float32")

    def notices(self) -> list[str]:
        """What a person should know of how its networks run and was not told yet, one line each; told once."""
        return [tower.notices.popleft() for tower in self.towers.values() for _ in range(len(tower.notices))]


def families() -> list[str]:
    """The names of all families: the files in ``embed/encoders`` and in the folders of ``ANALOGON_ENCODERS``, and the
    entry points ``analogon.encoders`` of installed packages.

    >>> "toy" in families()
    True
    """
    return REGISTRY.families()


def _loaded_again(table: Mapping[str, Any], space: Space) -> Encoder:
    from embed.models import shared  # which knows this module

    encoder = shared(table)
    encoder.space.check(space)
    return encoder


_REGISTERED: dict[str, Encoder] = {}  # by the id of its space


def register(encoder: Encoder) -> Encoder:
    """Make an encoder that no family loads known by its table to this process, and give it back.

    A collection's manifest keeps of it what it is called and a hash of its identity. Whoever opens the collection in
    another process registers the same encoder first: ``register(wrap(fn, name=..., revision=...))``.
    """
    if not isinstance(encoder, Encoder):
        raise UsageError(f"what is registered is an Encoder, such as analogon.wrap gives, not {type(encoder).__name__}")
    if encoder.table is None:
        encoder.table = {"family": WRAPPED, "model": encoder.space.model.removeprefix(f"{WRAPPED}:")}
    if encoder.table["family"] == WRAPPED:
        encoder.table = dict(encoder.table) | {"identity": encoder.space.id}
        _REGISTERED[encoder.space.id] = encoder
    return encoder


def registered(table: Mapping[str, Any]) -> Encoder:
    """The encoder that ``register`` was given under a table. Raises ``UnknownEncoder`` with the way out."""
    name, identity, revision = (str(table.get(key) or "") for key in ("model", "identity", "revision"))
    if identity in _REGISTERED:
        return _REGISTERED[identity]
    found = [one for one in _REGISTERED.values() if one.table and one.table["model"] == name]
    if not identity and len(found) == 1:
        return found[0]
    others = "; the one of that name here is " + " or ".join(str(one.space) for one in found) if found else ""
    lacking = f"is an encoder of one's own, which this process does not have{others}"
    if revision:
        raise UnknownEncoder(
            f"{WRAPPED}:{name} (revision {revision}) {lacking}: give it first, as "
            f"`analogon.register(analogon.wrap(FUNCTION, name={name!r}, revision={revision!r}))`"
        )
    raise UnknownEncoder(
        f"{WRAPPED}:{name} {lacking}: give it first, as `analogon.register(analogon.wrap(MODEL, name={name!r}))`"
    )


def resolve(name: str | os.PathLike[str] | Mapping[str, Any] | Encoder) -> dict[str, Any]:
    """Turn what names an encoder into a table with at least ``family``: what a manifest keeps.

    ``name`` is ``family``, ``family:model``, the path of a TOML file that describes a space, such a table, or an
    encoder, which is registered where no family loads it. Relative paths in a TOML file are relative to it; those in a
    ``family:model`` to the working directory.

    >>> resolve("clap:laion/clap-htsat-unfused")
    {'family': 'clap', 'model': 'laion/clap-htsat-unfused'}
    """
    if isinstance(name, Encoder):
        known = name.table if name.table and name.table["family"] != WRAPPED else register(name).table
        table = dict(known or {})
    elif isinstance(name, Mapping):
        table = dict(name)
    elif not isinstance(name, str | os.PathLike):
        raise UsageError(f"an encoder is named by a text, a path or a table, not by {type(name).__name__}")
    elif os.fspath(name).endswith(".toml"):
        path = Path(name)
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise EncoderError(f"{path}: no such file; it should describe a space (family = ...)") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise EncoderError(f"{path}: not a readable TOML file: {error}") from None
        for key in PATH_KEYS:
            if isinstance(table.get(key), str):
                table[key] = _absolute(table[key], path.parent)
        table.setdefault("name", path.stem)
    else:
        family, colon, model = os.fspath(name).partition(":")
        table = {"family": family} | ({"model": _absolute(model, Path())} if colon else {})
    if not isinstance(table.get("family"), str):
        raise EncoderError(f'{name}: it names no encoder family (family = "clap", for example)')
    return table


def run_as(table: Mapping[str, Any], running: Running) -> dict[str, Any]:
    """The table of an encoder within another, with its device and precision where it takes such and names none."""
    takes = REGISTRY.settings(table["family"])
    return {key: value for key, value in vars(running).items() if key in takes} | dict(table)


def _absolute(value: str, base: Path) -> str:
    """``prefix:path`` or ``path`` with the path made absolute, where such a file or folder is there.

    What is not on disk stays as it is: it may be a hub name, which looks like a relative path.
    """
    prefix, colon, rest = value.partition(":")
    if not colon or not prefix.isidentifier():
        prefix, colon, rest = "", "", value
    candidate = base / Path(rest).expanduser()
    return prefix + colon + (str(candidate.resolve()) if rest and candidate.exists() else rest)


def load(name: str | os.PathLike[str] | Mapping[str, Any]) -> Encoder:
    """Load an encoder by name: ``"clap:laion/clap-htsat-unfused"``, ``"clip:./folder"``, ``"space.toml"``.

    Reads configuration and hashes weights, but loads no tower yet. Raises ``UnknownEncoder``, ``ModelNotFound``,
    ``MissingPackage``, or ``EncoderError`` where the model's files are not what the family reads.

    >>> load("toy").space.dim
    8
    """
    table = resolve(name)
    if table["family"] == WRAPPED:
        return registered(table)
    whole = dict(table)
    label = table.pop("name", None)
    encoder: Encoder = REGISTRY.make(table)
    encoder.table = whole
    if label:
        encoder.space = replace(encoder.space, model=label)
    return encoder
