"""Phrase banks: plain phrases, each once, none that says what another of its kind says."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from analogon.phrases import bank, kinds
from embed.media import MODALITIES, Modality

SMALL_WORDS = frozenset({"a", "an", "and", "at", "for", "from", "in", "into", "of", "on", "the", "through", "to"})
LEAST: dict[Modality, int] = {"audio": 700, "image": 500}


def _said(phrase: str) -> frozenset[str]:
    """The content words of a phrase, without endings: what makes two phrases the same question."""
    words = re.findall(r"\w+", phrase.casefold())
    return frozenset(re.sub(r"(ings?|ed|e?s)$", "", word) or word for word in words if word not in SMALL_WORDS)


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_a_bank_is_the_lines_of_its_files(modality: Modality) -> None:
    lines: list[str] = []
    for file in (files("analogon.phrases") / modality).iterdir():
        assert file.name.endswith(".txt")
        lines += [line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert sorted(bank(modality)) == sorted(set(lines))
    assert len(lines) == len(set(lines)) >= LEAST[modality]


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_phrases_are_short_plain_and_differ_from_each_other(modality: Modality) -> None:
    for kind, phrases in kinds(modality).items():
        seen: dict[frozenset[str], str] = {}
        for phrase in phrases:
            assert phrase == " ".join(phrase.split()) and phrase.isprintable(), (kind, phrase)
            assert 1 <= len(phrase.split()) <= 6, (kind, phrase)
            assert _said(phrase), (kind, phrase)
            assert _said(phrase) not in seen, (kind, phrase, seen[_said(phrase)])
            seen[_said(phrase)] = phrase
    casefolded = [phrase.casefold() for phrase in bank(modality)]
    assert len(set(casefolded)) == len(casefolded)


def test_what_is_said_of_other_modalities() -> None:
    assert bank("video") == bank("image")
    assert set(bank("text")) == set(bank("audio")) | set(bank("image"))
    for modality in MODALITIES:
        joined = [phrase for phrases in kinds(modality).values() for phrase in phrases]
        assert set(joined) == set(bank(modality)) and len(bank(modality)) == len(set(bank(modality)))
    assert set(kinds("text")["animals"]) == set(kinds("audio")["animals"]) | set(kinds("image")["animals"])
