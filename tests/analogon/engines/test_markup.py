"""Markup of picture tools: what is found of it, what is not taken for it, and who is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analogon.engines import markup
from analogon.engines.generator import UNREAD, Ability, Generator, Settings, generate, unread_markup
from analogon.engines.markup import Markup
from analogon.generate.families.bark import BarkGenerator
from analogon.generate.takes import Run
from analogon.prompts import Prompt
from embed.media import Media


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("(rain:1.2) on tin", ["(rain:1.2)"]),
        ("a (red roof : 0.5), (tin:2)", ["(red roof : 0.5)", "(tin:2)"]),
        ("((storm)) and (((thunder)))", ["((storm))", "(((thunder)))"]),
        ("[distant] traffic", ["[distant]"]),
        ("<lora:wet_street:0.8> rain <LyCO:x:1>", ["<lora:wet_street:0.8>", "<LyCO:x:1>"]),
        ("rain --ar 16:9 --no wind --v 6.1", ["--ar 16:9", "--no", "--v 6.1"]),
        ("rain BREAK wind BREAK", ["BREAK"]),
    ],
)
def test_what_is_markup(text: str, marks: list[str]) -> None:
    assert list(markup.found(text)) == marks


@pytest.mark.parametrize(
    "text",
    [
        "rain (on a roof), at night",
        "news at (10:30)",
        "a reading of (Mark 3:16)",
        "120 bpm (tempo:120)",
        "a summer -- a winter",
        "a dog --barking",
        "BREAK THE WALL",
        "a breakbeat, a BREAKDOWN",
        "speak [[h@l'oU]]",
        "a < b > c",
        "see http://example.org/a:1",
        "",
    ],
)
def test_what_is_none(text: str) -> None:
    assert list(markup.found(text)) == []


class _Silent(Generator):
    """A generator of hum that reads some markup, or none, or expressions."""

    name = "silent"
    modality = "audio"
    abilities: frozenset[Ability] = frozenset()
    identity = {"family": "silent"}  # noqa: RUF012

    def __init__(self, reads: frozenset[Markup] = frozenset(), *, asks: bool = False, speaks: bool = False) -> None:
        self.markup, self.reads_queries, self.speaks = reads, asks, speaks

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        return Media("audio", array=np.sin(np.arange(16000, dtype=np.float32)), rate=16000)


def test_generators_that_take_markup_for_words_say_so() -> None:
    prompt = "(rain:1.2) ((tin)) [far] <lora:a:1> --ar 16:9 BREAK wind"
    assert generate(_Silent(), prompt).remarks == (
        f"silent {UNREAD}: '(rain:1.2)', '((tin))', '[far]', '<lora:a:1>' and 2 more",
    )
    assert generate(_Silent(), "rain on a tin roof (far away)").remarks == ()
    assert generate(_Silent(frozenset({"weights"})), "(rain:1.2) [far]").remarks == (f"silent {UNREAD}: '[far]'",)
    assert generate(_Silent(frozenset(markup.KINDS)), prompt).remarks == ()


def test_an_expression_has_parentheses_and_brackets_of_its_own() -> None:
    asks = _Silent(asks=True)
    for query in ("((rain)) + wind", '["rain", "wind"]', '[{"rain": 2}]', "2:rain - (wind + sea)"):
        assert unread_markup(asks, [Prompt(query)]) == [], query
    assert unread_markup(asks, [Prompt("2:rain + (wind:1.3)")]) == [f"silent {UNREAD}: '(wind:1.3)'"]


def test_bark_has_a_meaning_of_its_own_for_brackets() -> None:
    assert list(markup.found("[laughs] hello (loud:1.3)", BarkGenerator.markup)) == ["(loud:1.3)"]


def test_a_text_that_is_spoken_in_pieces_is_told_of_once(tmp_path: Path) -> None:
    text = "It is (wet:1.2) here. " * 15 + "Then [thunder] comes. " * 15  # more than an engine gets at once
    run = Run(_Silent(speaks=True), Prompt(text), tmp_path)
    (take,) = run.takes()
    assert [line for line in run.remarks if UNREAD in line] == [f"silent {UNREAD}: '(wet:1.2)', '[thunder]'"]
    assert [line for line in take.record["remarks"] if UNREAD in line] == run.remarks[-1:]
