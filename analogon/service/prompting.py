"""Prompts: chosen from a list, made of phrases, and said in the dialect of a generator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from analogon.prompts import Prompt
from analogon.prompts.interrogation import LIMIT, MIN_GAIN
from analogon.prompts.selection import VARIETY
from analogon.service.request import Request
from embed.errors import UsageError
from indexes.build import Listener

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from analogon.prompts.dialects import Composed
    from analogon.prompts.interrogation import Interrogation
    from analogon.prompts.selection import Selection
    from analogon.query import Query
    from analogon.search.library import Library
    from embed.encoder import Encoder
    from embed.media import Modality, Span

__all__ = ["ComposePrompt", "ComposedPrompts", "Interrogate", "Interrogated", "SelectPrompts", "SelectedPrompts"]

SELECTED: Final = 5  # prompts of a list, where nobody says how many and no dialect is asked for


# -- a dialect ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ComposedPrompts:
    """Prompts in a dialect; what was cut, and what cannot be said there, is in the ``remarks`` of each."""

    composed: tuple[Composed, ...]

    def to_json(self) -> dict[str, Any]:
        return {"composed": [one.to_json() for one in self.composed]}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposePrompt(Request):
    """Prompts said in a ``dialect``, as one with ``together``, else each by itself.

    ``negative`` are phrases that are not wanted, ``lyrics`` the words to sing, ``seconds`` the length to ask for.
    """

    dialect: str
    prompts: tuple[str | Prompt, ...]
    together: bool = True
    negative: tuple[str, ...] = ()
    lyrics: str | None = None
    seconds: float | None = None

    def run(self) -> ComposedPrompts:
        """Raises ``UsageError`` for a dialect that there is not, and where there is nothing to say."""
        from analogon.prompts.dialects import compose

        prompts = [Prompt(one) if isinstance(one, str) else one for one in self.prompts]
        return ComposedPrompts(
            tuple(
                compose(group, self.dialect, negative=self.negative, lyrics=self.lyrics, seconds=self.seconds)
                for group in ([prompts] if self.together else [[one] for one in prompts])
            )
        )


def _check_dialect(dialect: str | None, negative: tuple[str, ...], lyrics: str | None) -> None:
    """Raise ``UsageError`` before anything is encoded."""
    from analogon.prompts import dialects

    if dialect is not None:
        dialects.dialect(dialect)
    elif negative or lyrics:
        raise UsageError("`negative` and `lyrics` go with `dialect`, which names what the prompt is for")


# -- prompts of a list -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SelectedPrompts:
    """The prompts of a list for a query, and what they are in the dialect that was asked for, if any.

    ``composed`` has one for each prompt, or one for all of them.
    """

    selection: Selection
    composed: tuple[Composed, ...] = ()

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return tuple(one.prompt for one in self.selection.chosen)

    def to_json(self) -> dict[str, Any]:
        return {
            "query": self.selection.query,
            "prompts": [one.to_json() for one in self.selection.chosen],
            "notes": list(self.selection.notes),
            "composed": [one.to_json() for one in self.composed],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectPrompts(Request):
    """The prompts of a list that say best what a query is like: a file, a text, or an expression.

    The list is a ``collection`` of texts, or a file (``file``) whose column ``text_column`` has the prompts, which is
    encoded by ``encoder`` the first time and kept. With ``caption`` they are that column of the metadata of a
    collection's recordings and pictures. ``k`` is 5 where nobody says it, or 1 for a ``dialect``, unless all prompts
    are said as one (``together``). The rest is as ``Library.search`` and ``ComposePrompt`` have it.
    """

    query: str
    collection: str | None = None
    file: Path | None = None
    text_column: str | None = None
    caption: str | None = None
    k: int | None = None
    variety: float = VARIETY
    where: str | None = None
    bridge: str | None = None
    encoder: str | None = None
    dialect: str | None = None
    together: bool = False
    negative: tuple[str, ...] = ()
    lyrics: str | None = None

    def run(self, library: Library | None = None, listener: Listener | None = None) -> SelectedPrompts:
        """Choose them. ``library`` is ``collection``, where a caller has it open; ``listener`` hears how a list is
        encoded. Raises ``UsageError``, ``MediaError``, and what ``Library.search`` and ``Library.index`` do.
        """
        from analogon.prompts.selection import select

        _check_dialect(self.dialect, self.negative, self.lyrics)
        if self.together and self.dialect is None:
            raise UsageError("`together` makes one prompt of several: it goes with `dialect`")
        if self.collection is not None and self.file is not None:
            raise UsageError("`collection` names a collection of prompts, `file` a file of them: say one of the two")
        if self.file is None and self.text_column is not None:
            raise UsageError("`text_column` says where the prompts of a file stand, which `file` names")
        if self.file is not None and self.caption is not None:
            raise UsageError("`caption` reads the metadata of a collection's recordings and pictures; `file` has texts")
        single = self.dialect is not None and not self.together
        with ExitStack() as stack:
            encoder: str | Mapping[str, Any] | None = self.encoder
            if self.file is not None:
                library, encoder = stack.enter_context(
                    _opened_list(self.query, self.file, self.text_column, self.encoder, listener)
                )
            elif library is None:
                library = stack.enter_context(_open(self.collection))
            found = select(
                library,
                self.query,
                k=self.k if self.k is not None else 1 if single else SELECTED,
                variety=self.variety,
                caption=self.caption,
                where=self.where,
                bridge=self.bridge,
                encoders=[encoder] if encoder else (),
            )
        chosen = tuple(one.prompt for one in found.chosen)
        if self.dialect is None or not chosen:
            return SelectedPrompts(found)
        composed = ComposePrompt(
            dialect=self.dialect,
            prompts=chosen,
            together=self.together,
            negative=self.negative,
            lyrics=self.lyrics,
        )
        return SelectedPrompts(found, composed.run().composed)


@contextmanager
def _opened_list(
    query: str, path: Path, text_column: str | None, encoder: str | None, listener: Listener | None
) -> Iterator[tuple[Library, str | Mapping[str, Any]]]:
    """The collection of a list, and what names the encoder that it is asked with."""
    from analogon.prompts.encoders import encoder_with_words, modalities
    from analogon.prompts.selection import open_list
    from analogon.search.ask import as_query
    from analogon.transforms.bridge import leading_to
    from embed.models import shared

    kinds = modalities([as_query(query)])
    if encoder is not None and leading_to(shared(encoder).space):
        name: str | Mapping[str, Any] = encoder  # what it does not take itself a bridge may carry
    else:
        name, _ = encoder_with_words(kinds, encoder)
    with open_list(path, name, text_column=text_column, listener=listener) as library:
        yield library, name


def _open(collection: str | None) -> Library:
    from analogon.search.library import Library
    from analogon.settings import config

    return Library.open(config.collection_path(config.default_collection() if collection is None else collection))


# -- prompts of phrases ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interrogated:
    """A prompt made of phrases for ``query``, held against ``against`` where there was such a thing.

    ``found`` has no phrase where none is nearer to the one than to the other. ``composed`` is the prompt in the dialect
    that was asked for. ``remarks`` say which words of what was asked the encoder does not know.
    """

    query: str
    against: str | None
    found: Interrogation
    composed: Composed | None = None
    remarks: tuple[str, ...] = ()

    @property
    def prompt(self) -> Prompt:
        return self.found.prompt(self.query)

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {} if self.composed is None else {"composed": self.composed.to_json()}
        told |= {"remarks": list(self.remarks)} if self.remarks else {}
        return {"query": self.query, "against": self.against} | self.prompt.to_json() | self.found.to_json() | told


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrogate(Request):
    """A prompt that describes a recording, a picture or an expression, made of the phrases of a bank.

    ``bank`` names files of phrases, one a line, or folders of such; without it our own are taken, for what is
    described. Of these only the kinds in ``kind`` count, where any are named. ``part`` is what is heard of a
    recording, as 0:10-0:20. ``collection`` is where items lie; its encoder is asked unless ``encoder`` names another.
    ``limit``, ``words`` and ``min_gain`` are ``analogon.prompts.interrogation.interrogate``'s.
    """

    query: str
    against: str | None = None
    bank: tuple[Path, ...] = ()
    kind: tuple[str, ...] = ()
    limit: int = LIMIT
    words: int | None = None
    min_gain: float = MIN_GAIN
    part: str | None = None
    collection: str | None = None
    encoder: str | None = None
    dialect: str | None = None
    negative: tuple[str, ...] = ()
    lyrics: str | None = None

    def run(self, library: Library | None = None, listener: Listener | None = None) -> Interrogated:
        """Make it. ``library`` is ``collection``, where a caller has it open; ``listener`` hears a phase.

        Raises ``UsageError``, ``MediaError``, ``UnsupportedModality``, and what ``embed.load`` does.
        """
        from analogon import query as q
        from analogon.generate.judge import Judge
        from analogon.prompts import interrogation
        from analogon.prompts.encoders import encoder_with_words, modalities
        from analogon.search.ask import as_query

        _check_dialect(self.dialect, self.negative, self.lyrics)
        asked, held = as_query(self.query), None if self.against is None else as_query(self.against)
        with ExitStack() as stack:
            if library is None and self.collection is not None:
                library = stack.enter_context(_open(self.collection))
            described = modalities([asked], library)
            kinds = described | modalities([held] if held else [], library)
            _, encoder = encoder_with_words(kinds, self.encoder, library)
            phrases = self._phrases(described)
            other = None if held is None else Judge.of(encoder, held, library)
            vector, remark = self._vector(encoder, asked, library)
            said = [remark, None if other is None else other.remark]
            for typed, query in ((self.query, asked), (self.against or "", held)):
                leaves = () if query is None else q.leaves(query)
                said += [q.taken_as_words(leaf) for leaf in leaves if q.looks_like_file(leaf, typed)]
            remarks = tuple(dict.fromkeys(line for line in said if line))
            if listener is not None:
                listener.phase("encoding phrases", None)
            found = interrogation.interrogate(
                encoder,
                vector,
                interrogation.Bank.of(encoder, phrases, keep=True),
                against=None if other is None else other.target,
                limit=self.limit,
                words=self.words,
                min_gain=self.min_gain,
            )
        name = _name(asked) + (f", {self.part}" if self.part else "")
        made = Interrogated(name, None if held is None else _name(held), found, None, remarks)
        if self.dialect is None or not found.appended:
            return made
        composed = ComposePrompt(
            dialect=self.dialect, prompts=(made.prompt,), negative=self.negative, lyrics=self.lyrics
        )
        return replace(made, composed=composed.run().composed[0])

    def _phrases(self, described: frozenset[Modality]) -> dict[str, tuple[str, ...]]:
        """Phrases by kind: those of files, else our own for what is described; of some kinds only where named."""
        from analogon import phrases
        from analogon.prompts.interrogation import read_bank

        media = described - {"text"}
        found = read_bank(self.bank) if self.bank else phrases.kinds(next(iter(media)) if len(media) == 1 else "text")
        if missing := [one for one in self.kind if one not in found]:
            raise UsageError(f"`kind` {missing[0]}: there is no such kind of phrases; there are: {', '.join(found)}")
        return {name: some for name, some in found.items() if not self.kind or name in self.kind}

    def _vector(
        self, encoder: Encoder, asked: Query, library: Library | None
    ) -> tuple[npt.NDArray[np.float32], str | None]:
        """What is asked as a unit vector of the encoder's space, ``(dim,)``, and which words of it are not known."""
        from analogon.generate.judge import Judge
        from analogon.query import File
        from analogon.search.ask import media_of
        from embed.pipeline import encode

        if self.part is None:
            judge = Judge.of(encoder, asked, library)
            return judge.target, judge.remark
        if not isinstance(asked, File) or (media := media_of(asked)).modality not in ("audio", "video"):
            raise UsageError("`part` says which part of one recording is meant")
        vector: npt.NDArray[np.float32] = encode(encoder, [media.but(span=_span(self.part))]).array[0]
        return vector, None


def _span(part: str) -> Span:
    """``0:10-0:20``, ``1:02:03.5-1:02:10`` or ``10-20`` as seconds."""
    from embed.media import Span

    clock = r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"\s*{clock}\s*-\s*{clock}\s*", part)
    if not found:
        raise UsageError(f"`part` {part}: a part is written as 0:10-0:20")
    numbers = [float(one or 0) for one in found.groups()]
    start, end = (3600 * hours + 60 * minutes + seconds for hours, minutes, seconds in (numbers[:3], numbers[3:]))
    if not start < end:
        raise UsageError(f"`part` {part}: it ends before it begins")
    return Span(start, end)


def _name(query: Query) -> str:
    from analogon.phrases.pieces import short
    from analogon.query import File

    return short(query.path) if isinstance(query, File) else str(query)
