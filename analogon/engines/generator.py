"""What a generator is, and the one place where what it makes is checked."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np

from analogon.engines import markup
from analogon.engines.markup import Markup
from analogon.phrases.pieces import excerpt
from analogon.prompts import Prompt
from analogon.voices import Voice
from embed.errors import GeneratorError, UsageError
from embed.media import Media, Modality
from embed.models import turn
from embed.space import Space

__all__ = ["UNREAD", "Ability", "Generated", "Generator", "Settings", "Stage", "generate", "unread_markup"]

UNREAD: Final = "reads no such markup of picture tools, and takes it for words"
SHOWN: Final = 4  # marks that a remark quotes

Ability = Literal["seconds", "guide", "voice", "language"]
"""A field of ``Settings`` that not every generator can use."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one take is asked for besides its prompt.

    ``seed`` decides all that is drawn by lot: equal seeds give equal takes on one machine. ``seconds`` is how long it
    shall be. ``guide`` is a recording to go by: continued, followed or converted, as the family says. ``voice`` is a
    kept voice or the name of one of the generator's own; ``language`` is a BCP 47 tag ("en-GB").
    """

    seed: int = 0
    seconds: float | None = None
    guide: Media | None = None
    voice: Voice | str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UsageError(f"seconds must be a positive number, not {self.seconds}")
        if not 0 <= self.seed < 2**32:  # torch's generator on the CPU reads no more bits of it
            raise UsageError(f"a seed is a whole number from 0 to 2^32 - 1, not {self.seed}")


@dataclass(frozen=True, slots=True)
class Stage:
    """One of the stages of a take: what it is called, which model does it, and what it makes of what."""

    name: str
    model: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.model} ({self.what})"


class Generator(ABC):
    """Makes media of prompts. A new one gives ``name``, ``modality``, ``abilities``, ``identity`` and ``make``.

    Checks, limits and what is said of them live in ``generate``, once. Loading is lazy: constructing a generator reads
    configuration only, the weights come with the first take.
    """

    name: str
    """``family:model`` as it was asked for."""
    modality: Modality
    """What it makes: "audio" or "image"."""
    abilities: frozenset[Ability] = frozenset()
    longest: float | None = None
    """How many seconds it can make at most; None where there is no end."""
    speaks: bool = False
    """Whether it speaks the prompt's text, rather than making what the text describes."""
    size: int | None = None
    """Bytes of memory that it takes with its weights loaded, where it knows; None lets ``embed.models`` estimate."""
    reads_queries: bool = False
    """Whether it reads the prompt as a search does, arithmetic and files included."""
    markup: frozenset[Markup] = frozenset()
    """The markup of picture tools that it reads, or has a meaning of its own for; of all other a remark tells."""
    language: str | None = None
    """What it speaks where nobody asks for another language, a BCP 47 tag; None where that is not known."""
    guesses_language: bool = False
    """Whether nobody chose the language that it has: then it may speak another that a text is plainly in."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that decides what it makes, as JSON: family, model, a hash of the weights, settings."""

    @abstractmethod
    def make(self, prompt: Prompt, settings: Settings) -> Media:
        """One take, in memory: audio as float32 ``(n,)`` or ``(n, channels)`` with its ``rate``; image as uint8
        ``(height, width, 3)``. Raises ``UsageError`` for a prompt or setting that it cannot serve.
        """

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The models that a take goes through, in order, where there are several that can be swapped."""
        return ()

    def conditioning_space(self, voice: Voice) -> Space | None:
        """The space whose vector of a kept voice it goes by, if it does: no judge of how well it met that voice."""
        return None

    def language_spoken(self, voice: Voice | str | None = None, language: str | None = None) -> str | None:
        """The language in which it speaks where it is asked for a voice and a language; None where it cannot say.

        One that has a language has no other. Raises ``UsageError`` for a voice or a language that it has not.
        """
        return self.language or (language if "language" in self.abilities else None)

    def made_of(self) -> Sequence[Mapping[str, Any]]:
        """What the last take was made of, as JSON; empty where it was not made of other media."""
        return ()

    def spoke(self) -> Mapping[str, Any]:
        """What of its identity was otherwise in what it made since this was asked last, as JSON: another voice."""
        return {}

    def remarks(self, prompt: Prompt, settings: Settings) -> Sequence[str]:
        """What it will not do of what is asked, a line each: words beyond its limit, a voice that is only near."""
        return ()


@dataclass(frozen=True, slots=True)
class Generated:
    """A take, and what its generator could not do of what was asked."""

    media: Media
    remarks: tuple[str, ...] = ()
    made_of: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


def generate(generator: Generator, prompt: Prompt | str, settings: Settings | None = None) -> Generated:
    """One take: the generator's, checked.

    What it cannot use at all, a guide or a voice, is refused; seconds beyond its limit are cut, and that is said.
    Raises ``UsageError``, and ``GeneratorError`` where what it made is empty, silent by a fault, or not finite.
    """
    prompt = Prompt(prompt) if isinstance(prompt, str) else prompt
    settings = settings or Settings()
    remarks = []
    for ability in ("guide", "voice", "language"):
        if getattr(settings, ability) is not None and ability not in generator.abilities:
            able = ", ".join(sorted(generator.abilities)) or "nothing but a prompt and a seed"
            raise UsageError(f"{generator.name} takes no {ability}; it takes {able}")
    if settings.seconds is not None and "seconds" not in generator.abilities:
        remarks.append(f"{generator.name} cannot be told how long a take shall be")
        settings = replace(settings, seconds=None)
    if settings.seconds is not None and generator.longest is not None and settings.seconds > generator.longest:
        remarks.append(f"{generator.name} makes {generator.longest:g} s at most, not {settings.seconds:g} s")
        settings = replace(settings, seconds=generator.longest)
    remarks += unread_markup(generator, [prompt])
    remarks += generator.remarks(prompt, settings)
    with turn(generator):  # it may be shared, and tells of its last take only
        media = generator.make(prompt, settings)
        made_of = tuple(generator.made_of())
    return Generated(_checked(generator, media), tuple(dict.fromkeys(remarks)), made_of)


def unread_markup(generator: Generator, prompts: Sequence[Prompt]) -> list[str]:
    """A line for markup of picture tools in prompts that a generator takes for words; none where there is none."""
    marks = list(dict.fromkeys(mark for one in prompts for mark in markup.found(one.text, generator.markup)))
    if generator.reads_queries:  # expressions have parentheses of their own, and brackets where they are JSON
        marks = [mark for mark in marks if not mark.startswith(("((", '["', "[{"))]
    if not marks:
        return []
    more = f" and {len(marks) - SHOWN} more" if len(marks) > SHOWN else ""
    quoted = ", ".join(map(excerpt, marks[:SHOWN]))
    return [f"{generator.name} {UNREAD}: {quoted}{more}"]


def _checked(generator: Generator, media: Media) -> Media:
    """A take as everything that follows relies on. Raises ``GeneratorError``."""
    array = media.array
    if array is None or media.modality != generator.modality:
        raise GeneratorError(f"{generator.name} made no {generator.modality}")
    if not array.size:
        raise GeneratorError(f"{generator.name} made nothing: a take of no length")
    if media.modality == "image":
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
            raise GeneratorError(f"{generator.name} made no picture: {array.dtype} {array.shape}")
        return media
    if array.dtype != np.float32 or array.ndim not in (1, 2) or not media.rate:
        raise GeneratorError(f"{generator.name} made no sound: {array.dtype} {array.shape} at {media.rate} Hz")
    if not np.isfinite(array).all():
        raise GeneratorError(f"{generator.name} made samples that are not finite numbers; try another seed")
    peak = float(np.abs(array).max())
    # Files hold -1 to 1: what is louder would be cut off there and crackle.
    return media if peak <= 1.0 else media.but(array=array / np.float32(peak))
