"""Which encoder compares what is asked with words, where prompts are looked for or made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analogon import query as q
from analogon.query import Query
from analogon.search.ask import media_of
from analogon.search.library import Library
from analogon.settings import defaults
from analogon.settings.defaults import LOOKS_AT
from embed.encoder import Encoder
from embed.errors import EncoderError, UnsupportedModality, UsageError
from embed.media import Modality
from embed.models import shared

__all__ = ["encoder_with_words", "modalities"]


def modalities(queries: Iterable[Query], library: Library | None = None) -> frozenset[Modality]:
    """The modalities of all that queries are made of; ``library`` is where their items lie. Raises ``UsageError``."""
    found: set[Modality] = set()
    for leaf in (leaf for query in queries for leaf in q.leaves(q.without_excludes(query))):
        if isinstance(leaf, q.Item):
            items = {} if library is None else library.collection.catalog.items([leaf.id])
            if leaf.id not in items:
                raise UsageError(f"{leaf}: there is no such item; `collection` names the collection that holds it")
            found.add(items[leaf.id].modality)
        else:
            found.add(media_of(leaf).modality)
    return frozenset(found)


def encoder_with_words(
    kinds: frozenset[Modality], named: str | None = None, library: Library | None = None
) -> tuple[str | Mapping[str, Any], Encoder]:
    """The encoder that compares media of some modalities with words, and what names it.

    It is the ``named`` one, else the library's own, else one that needs no download. Raises ``UsageError``,
    ``UnsupportedModality``, and for a named one what ``embed.load`` does.
    """
    wanted = sorted(kinds - {"text"}) or ["text"]
    kept = [] if named or library is None else [known.encoder for known in library.collection.spaces]
    names: list[str | Mapping[str, Any]] = [*kept, *([named] if named else defaults.available(kinds))]
    for name in names:
        try:
            encoder = shared(name)
        except EncoderError:
            if named:
                raise
            continue
        if kinds | {"text"} <= encoder.modalities:
            return name, encoder
        if named:
            sides = ", ".join(sorted(encoder.modalities))
            raise UnsupportedModality(
                f"{encoder.space.model} takes {sides}: it cannot compare {' and '.join(wanted)} with words"
            )
    raise UsageError(
        f"no encoder is at hand that compares {' and '.join(wanted)} with words: name one with `encoder`, such as "
        f"{LOOKS_AT[wanted[0]]}"
    )
