"""A request said in a dialect: what fits goes into its fields, what does not is named."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from analogon.prompts import Prompt
from analogon.prompts.dialects.dialect import Composed, Dialect, Limit, estimated_tokens
from analogon.prompts.dialects.phrases import Phrase, balanced, clean, clean_lines, enclosed, fit, join, split
from embed.errors import UsageError

__all__ = ["Request", "write"]

INSTRUMENTAL: Final = "[Instrumental]"
TAG: Final = re.compile(r"\[[^\[\]]*\]")
WEIGHTED: Final = re.compile(r"\((.+):(\d+(?:\.\d+)?)\)", re.DOTALL)
# The range in which such interfaces' users keep weights: above it pictures fall apart (from memory).
LIGHTEST: Final = 0.5
HEAVIEST: Final = 1.5
LIKE_SOMEBODY: Final = re.compile(
    r"\b(?:in the style of|in the vein of|sounds? like|sounding like|reminiscent of|similar to|à la)\s+[A-Z][\w.'-]*"
)

# Bark's own list, in its repository's description.
BARK_TAGS: Final = ("laughter", "laughs", "sighs", "music", "gasps", "clears throat", "MAN", "WOMAN")
SPEAKING: Final = 150  # words a minute: a calm reader of English (from memory)
TAG_SECONDS: Final = 1.0  # a guess
# Scripts without blanks between words: two characters count as one word.
UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Request:
    """What ``compose`` was asked, before any dialect."""

    prompts: Sequence[Prompt]
    negative: Sequence[str] = ()
    lyrics: str | None = None
    seconds: float | None = None
    tokenizer: str | os.PathLike[str] | Callable[[str], int] | None = None


def write(dialect: Dialect, request: Request) -> Composed:
    """Say a request in a dialect. Raises ``UsageError`` where nothing is asked, or nothing of it fits."""
    remarks: list[str] = []
    lyrics = clean_lines(request.lyrics or "")
    phrases = _phrases(request.prompts, dialect, remarks)
    if not phrases and not (dialect.spoken and lyrics):
        raise UsageError("there is nothing to compose: no prompt has a word in it")
    fields = _spoken(dialect, request, phrases, lyrics, remarks) if dialect.spoken else {}
    if not dialect.spoken:
        fields[dialect.field] = _fitted(dialect, dialect.field, phrases, dialect.limit, request, remarks)
        if not dialect.weights and len({phrase.weight for phrase in phrases}) > 1:
            remarks.append(f"{dialect.name} reads no weights: the heaviest phrases come first")
        if dialect.lyrics is not None:
            fields["lyrics"] = _lyrics(dialect.lyrics, lyrics, remarks)
        elif lyrics:
            remarks.append(f"{dialect.name} takes no lyrics: left out {_named(lyrics.splitlines())}")
    unwanted = [phrase for text in request.negative for phrase in split(clean(text), "tags") if _says(phrase)]
    unwanted = _once(unwanted, remarks)
    if unwanted and dialect.negative is None:
        remarks.append(f"{dialect.name} knows no negative prompt: not said: {_named(p.text for p in unwanted)}")
    elif unwanted and dialect.negative is not None:
        room = replace(dialect, joins="tags")
        fields[dialect.negative] = _fitted(room, dialect.negative, unwanted, dialect.negative_limit, request, remarks)
    seconds = _seconds(dialect, request.seconds, remarks)
    if dialect.wants_no_names:
        remarks += [
            f"{dialect.name} wants no names of artists: {quoted} may be refused"
            for quoted in dict.fromkeys(f'"{found}"' for found in LIKE_SOMEBODY.findall(fields[dialect.field]))
        ]
    return Composed(dialect.name, fields, tuple(remarks), seconds)


# -- phrases -----------------------------------------------------------------------------------------------------------


def _phrases(prompts: Sequence[Prompt], dialect: Dialect, remarks: list[str]) -> list[Phrase]:
    """The phrases of all prompts in the order of the dialect, each once."""
    found: list[Phrase] = []
    for prompt in prompts:
        if not math.isfinite(prompt.weight):
            raise UsageError(f'a prompt has the weight {prompt.weight}: "{clean(prompt.text)[:60]}"')
        text = clean(prompt.text)
        found += split(balanced(text) if dialect.weights else text, dialect.joins, prompt.weight)
    found = [phrase for phrase in found if _says(phrase)]
    if dialect.spoken:
        return found  # a sentence may be said twice, and is said when its turn comes
    if dialect.weights:
        found = _absolute(found, math.fsum(prompt.weight for prompt in prompts) / max(1, len(prompts)), remarks)
    found = _once(found, remarks)
    # The sort is stable: what weighs the same stays as it was.
    return found if dialect.weights else sorted(found, key=lambda phrase: -phrase.weight)


def _says(phrase: Phrase) -> bool:
    """Whether there is more in it than punctuation: a letter, a number, a symbol."""
    return any(unicodedata.category(one)[0] in "LNS" for one in phrase.text)


def _once(phrases: Sequence[Phrase], remarks: list[str]) -> list[Phrase]:
    kept: dict[str, Phrase] = {}
    again: dict[str, None] = {}
    for phrase in phrases:
        key = phrase.text.casefold()
        if key in kept:
            again[phrase.text] = None
            kept[key] = replace(kept[key], weight=max(kept[key].weight, phrase.weight))
        else:
            kept[key] = phrase
    if again:
        remarks.append(f"said once, though asked more often: {_named(again)}")
    return list(kept.values())


def _absolute(phrases: Sequence[Phrase], mean: float, remarks: list[str]) -> list[Phrase]:
    """Phrases with weights as ``(phrase:1.2)`` means them: 1 is the prompts' ``mean``."""
    shares = min((phrase.weight for phrase in phrases), default=1.0) > 0
    if not shares:
        remarks.append("weights that are not above 0 cannot be written: no weight is")
    found = []
    for phrase in phrases:
        written = WEIGHTED.fullmatch(phrase.text) if enclosed(phrase.text) else None
        text = _unescaped(written[1] if written else phrase.text)
        weight = float(written[2]) if written else phrase.weight / mean if shares else 1.0
        kept = min(max(weight, LIGHTEST), HEAVIEST)
        if kept != weight:
            remarks.append(
                f'weights stay between {LIGHTEST:g} and {HEAVIEST:g}: "{text}" has {kept:g}, not {weight:.3g}'
            )
        found.append(Phrase(text, round(kept, 2)))
    return found


def _weighted(phrases: Iterable[Phrase]) -> str:
    """Phrases with their weights, parentheses of their own escaped."""
    return ", ".join(
        escaped if phrase.weight == 1.0 else f"({escaped}:{phrase.weight:g})"
        for phrase in phrases
        for escaped in [phrase.text.replace("(", "\\(").replace(")", "\\)")]
    )


def _unescaped(text: str) -> str:
    return text.replace("\\(", "(").replace("\\)", ")")


# -- limits ------------------------------------------------------------------------------------------------------------


def _fitted(
    dialect: Dialect, name: str, phrases: Sequence[Phrase], limit: Limit | None, request: Request, remarks: list[str]
) -> str:
    """As many phrases as fit, put together; what was cut is remarked."""

    def plain(kept: Iterable[Phrase]) -> str:
        return join(kept, dialect.joins)

    put = _weighted if dialect.weights else plain
    if limit is None:
        return put(phrases)
    count = _counter(limit, request.tokenizer)
    # Weights are taken off before tokens are counted.
    fitted = fit(phrases, put if limit.tokens_of is None else plain, lambda text: count(text) <= limit.most)
    if not fitted.kept:
        raise UsageError(f"{dialect.name}: not even the first word fits into {limit}")
    if fitted.cut:
        remarks.append(f"{name}: cut to {_said(limit, request)}: left out {_named(p.text for p in fitted.cut)}")
    return put(fitted.kept)


def _counter(limit: Limit, tokenizer: str | os.PathLike[str] | Callable[[str], int] | None) -> Callable[[str], int]:
    if limit.tokens_of is None:
        return len
    if tokenizer is None:
        return estimated_tokens
    if callable(tokenizer):
        return tokenizer
    from embed import hub

    if not Path(tokenizer).is_dir():
        raise UsageError(f"{tokenizer}: not a folder with a tokenizer's files")
    made = hub.tokenizer(Path(tokenizer))
    return lambda text: len(made(text, add_special_tokens=False, truncation=False).input_ids)


def _said(limit: Limit, request: Request) -> str:
    return f"{limit}, by estimate" if limit.tokens_of and request.tokenizer is None else str(limit)


def _named(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts if text)


def _seconds(dialect: Dialect, seconds: float | None, remarks: list[str]) -> float | None:
    if seconds is None:
        return None
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"a length must be positive seconds, not {seconds:g}")
    if not dialect.timed:
        remarks.append(f"{dialect.name} takes no length: {seconds:g} s cannot be asked")
        return None
    if dialect.seconds is not None and seconds > dialect.seconds:
        remarks.append(f"{dialect.name} makes {dialect.seconds:g} s at most, not {seconds:g} s")
        return dialect.seconds
    return seconds


# -- words that are sung or spoken -------------------------------------------------------------------------------------


def _lyrics(limit: Limit, lyrics: str, remarks: list[str]) -> str:
    if not lyrics:
        remarks.append(f"there are no lyrics: {INSTRUMENTAL} stands in their place")
        return INSTRUMENTAL
    if not TAG.search(lyrics):
        remarks.append(
            "the lyrics have no section tags: [Verse], [Chorus], [Bridge], [Intro] or [Outro] on lines alone"
        )
    if len(lyrics) <= limit.most:
        return lyrics
    lines = lyrics.splitlines()
    count = 0
    while len("\n".join(lines[: count + 1])) <= limit.most:
        count += 1
    # A tag with nothing under it would ask for a section without words.
    while count and (not lines[count - 1] or TAG.fullmatch(lines[count - 1])):
        count -= 1
    if not count:
        raise UsageError(f"lyrics: not even the first line fits into {limit}")
    cut = [line for line in lines[count:] if line]
    remarks.append(f"lyrics: cut to {limit}: left out the last {len(cut)} lines: {_named(cut)}")
    return "\n".join(lines[:count])


def _spoken(
    dialect: Dialect, request: Request, phrases: Sequence[Phrase], lyrics: str, remarks: list[str]
) -> dict[str, str]:
    """Words to be read aloud, in as many pieces as one take after the other needs; nothing is left out."""
    assert dialect.limit is not None and dialect.seconds is not None
    limit, longest = dialect.limit, dialect.seconds
    count = _counter(limit, request.tokenizer)
    if len({phrase.weight for phrase in phrases}) > 1:
        remarks.append(f"{dialect.name} reads everything aloud, in its order: weights are left out")
    sung = []
    for line in lyrics.splitlines():
        if TAG.fullmatch(line):
            remarks.append(f'{dialect.name} knows no sections: left out "{line}"')
        elif line:
            sung.append(Phrase(line if line.startswith("♪") else f"♪ {line} ♪"))

    def fits(text: str) -> bool:
        return _speaking(text) <= longest and count(text) <= limit.most

    waiting = [*phrases, *sung]
    pieces = []
    while waiting:
        length = 0
        while length < len(waiting) and fits(_read(waiting[: length + 1])):
            length += 1
        if length:
            pieces.append(_read(waiting[:length]))
            waiting = waiting[length:]
            continue
        fitted = fit(waiting[:1], _read, fits)
        if not fitted.kept:
            raise UsageError(f"{dialect.name}: not even the first word fits into {limit} and {longest:g} s")
        pieces.append(_read(fitted.kept))
        waiting = [*fitted.cut, *waiting[1:]]
    pieces = [piece for piece in pieces if piece]
    text = " ".join(pieces)
    if len(pieces) > 1:
        remarks.append(
            f"about {_speaking(text):.0f} s at {SPEAKING} words a minute, a guess: {len(pieces)} pieces of at most "
            f"{longest:g} s, to be made one after the other with the same voice"
        )
    unknown = [tag for tag in dict.fromkeys(TAG.findall(text)) if tag[1:-1] not in BARK_TAGS]
    if unknown:
        known = ", ".join(f"[{tag}]" for tag in BARK_TAGS)
        remarks.append(f"{dialect.name} may read {_named(unknown)} aloud: its tags are {known}")
    return {dialect.field if not i else f"{dialect.field} {i + 1}": piece for i, piece in enumerate(pieces)}


def _read(phrases: Iterable[Phrase]) -> str:
    return " ".join(filter(None, (phrase.text.strip() for phrase in phrases)))


def _speaking(text: str) -> float:
    """About how many seconds a text takes to be said."""
    tags = len(TAG.findall(text))
    words = TAG.sub(" ", text)
    unspaced = len(UNSPACED.findall(words))
    return TAG_SECONDS * tags + (len(WORD.findall(UNSPACED.sub(" ", words))) + unspaced / 2) * 60 / SPEAKING
