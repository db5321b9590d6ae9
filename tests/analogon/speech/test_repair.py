"""Values as vendors write them, and what they are read as; slips that are mended, or are not."""

from __future__ import annotations

import pytest

from analogon.speech.repair import likely_slip, read_value, repair


@pytest.mark.parametrize(
    ("element", "name", "value", "meant"),
    [
        ("break", "time", "500ms", "500ms"),
        ("break", "time", "500 ms", "500ms"),
        ("break", "time", "1.5 sec", "1.5s"),
        ("break", "time", "2S", "2s"),
        ("break", "time", "0", "0s"),
        ("break", "time", "3", "3s"),
        ("break", "time", "10", "10s"),
        ("break", "time", "11", "11"),  # seconds or milliseconds?
        ("break", "time", "99", "99"),
        ("break", "time", "100", "100ms"),
        ("break", "time", "5m", "5m"),
        ("break", "time", "-5s", "-5s"),
        ("break", "strength", "X-Strong", "x-strong"),
        ("emphasis", "level", "Strong", "strong"),
        ("prosody", "rate", "0%", None),
        ("prosody", "rate", "+0.00%", None),
        ("prosody", "rate", "20.00%", "20.00%"),
        ("prosody", "rate", "Fast", "fast"),
        ("prosody", "rate", "0", "0"),  # as fast as nothing
        ("prosody", "pitch", "0%", None),
        ("prosody", "pitch", "0", None),
        ("prosody", "pitch", "10%", "+10%"),
        ("prosody", "pitch", "120%", "120%"),  # a fifth higher, or more than an octave?
        ("prosody", "pitch", "2st", "+2st"),
        ("prosody", "pitch", "200 Hz", "200Hz"),
        ("prosody", "volume", "0%", None),
        ("prosody", "volume", "0", "0"),  # SSML 1.0: silent
        ("prosody", "volume", "+ 6 dB", "+6dB"),
        ("prosody", "volume", "X-Loud", "x-loud"),
        ("prosody", "contour", "(0%, +1st)", "(0%, +1st)"),
        ("mark", "name", " A ", " A "),
    ],
)
def test_values(element: str, name: str, value: str, meant: str | None) -> None:
    assert read_value(element, name, value) == meant


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("rate", "20.00%", "+20.00%"),
        ("rate", "-20.00%", "-20.00%"),
        ("rate", "0%", None),
        ("pitch", "60%", "+60%"),
        ("volume", "20.00%", "+20.00%"),
        ("volume", "50", "50"),
    ],
)
def test_percentages_of_azure_are_changes(name: str, value: str, meant: str | None) -> None:
    assert read_value("prosody", name, value, changes=True) == meant


@pytest.mark.parametrize(
    "text",
    [
        "<speak>a &amp; b &lt; &#65; <break time='1s'/><x:y z='>'>c</x:y></speak>",
        "<speak><!-- a & b < c --><![CDATA[a & b < c]]><?x a & b?></speak>",
        "<!DOCTYPE speak [<!ENTITY x 'y'>]><speak>&x;</speak>",
        "<speak><p a='“'>b</p><break></break></speak>",
    ],
)
def test_what_is_right_stays_to_the_sign(text: str) -> None:
    assert repair(text) == (text, [])


def test_a_doctype_stays_one() -> None:
    assert "<!DOCTYPE speak SYSTEM 'x'>" in repair("<!DOCTYPE speak SYSTEM 'x'><speak>a & b</speak>")[0]


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("<speak>a & b</speak>", 10, "a bare & is written &amp;"),
        ("<speak>a < b</speak>", 10, "no blank stands after <"),
        ("<speak>a <2</speak>", 10, "a < of the text is written &lt;"),
        ("<speak><break time=“1s”/></speak>", 19, "straight quotes"),
        ("<speak>abc</speak>", 8, ""),
    ],
)
def test_hints(text: str, column: int, hint: str) -> None:
    found = likely_slip(text, 1, column)
    assert hint in found and bool(found) == bool(hint)
