"""Hits in words."""

from __future__ import annotations

from analogon.search.hits import clock, describe_span
from embed.media import Media, Span


def test_spans_in_words() -> None:
    audio = Media("audio", path="x.wav", span=Span(42.0, 52.0))
    assert describe_span(audio, {"duration": 90.0}) == "0:42 to 0:52"
    assert describe_span(audio.but(span=Span(0.0, 5.0)), {"duration": 5.0}) == ""
    text = Media("text", text="x", span=Span(3, 9))
    assert describe_span(text, {"lines": 20}) == "lines 3 to 9"
    assert clock(3599.9) == "59:59" and clock(7200) == "2:00:00"
