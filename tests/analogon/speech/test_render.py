"""Compiled speech, measured: silences, lengths, levels and frequencies of what an engine of plain text says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogon.engines.generator import Generator, Settings
from analogon.prompts import Prompt
from analogon.speech import Document, from_text, parse, speak
from analogon.speech.compile import PARAGRAPH, SENTENCE
from analogon.speech.render import EMPHASIS, Cue
from embed.errors import GeneratorError, SsmlError, UsageError
from embed.media import Media
from tests.analogon.speech.measures import (
    FREQUENCY,
    RATE,
    VOICED,
    Hums,
    frequency,
    level,
    runs,
    samples,
    silences,
    spoken,
)

# -- measured ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.5, 1.0, 2.345])
def test_a_break_is_as_long_as_asked(seconds: float) -> None:
    one = spoken(f'a<break time="{seconds * 1000:g}ms"/>b')
    (measured,) = silences(one)
    assert measured == pytest.approx(seconds, abs=0.005)
    texts_and_silence = [(cue.kind, round((cue.end - cue.start) * RATE)) for cue in one.timeline]
    assert texts_and_silence[1] == ("silence", round(seconds * RATE))


def test_the_example_has_the_silences_that_it_asks_for() -> None:
    from tests.analogon.speech.hostile_ssml import GOOD

    one = speak(parse(GOOD), Hums())
    long = [silence for silence in silences(one) if silence > 0.1]
    assert long == [pytest.approx(asked, abs=0.005) for asked in (SENTENCE, 0.5, 1.0)]
    assert len(samples(one)) == round(one.timeline[-1].end * RATE)


@pytest.mark.parametrize("rate", [10, 35, 50, 80, 100, 125, 200, 300, 450, 1000])
def test_rate_divides_the_duration_and_leaves_the_pitch(rate: int) -> None:
    plain, changed = samples(spoken("a")), samples(spoken(f'<prosody rate="{rate}%">a</prosody>'))
    assert len(changed) == round(len(plain) / (rate / 100))
    heard = runs(changed, RATE, silent=False)
    assert heard[-1][1] - heard[0][0] == pytest.approx(VOICED * 100 / rate, rel=0.02, abs=0.004)
    if rate <= 300:
        assert frequency(changed, RATE) == pytest.approx(FREQUENCY, rel=0.01)


@pytest.mark.parametrize(
    ("pitch", "expected"),
    [
        ("+12st", 300.0),
        ("-12st", 75.0),
        ("+50%", 225.0),
        ("200Hz", 200.0),
        ("+30Hz", 180.0),
        ("-30Hz", 120.0),
        ("x-low", 105.0),
        ("+3st", FREQUENCY * 2 ** (3 / 12)),
    ],
)
def test_pitch_moves_the_fundamental_and_leaves_the_length(pitch: str, expected: float) -> None:
    plain, changed = samples(spoken("a")), samples(spoken(f'<prosody pitch="{pitch}">a</prosody>'))
    assert len(changed) == len(plain)
    assert frequency(changed, RATE) == pytest.approx(expected, rel=0.01)
    assert level(changed) == pytest.approx(level(plain), abs=1.0)


@pytest.mark.parametrize(("volume", "decibels"), [("+6dB", 6.0), ("-6dB", -6.0), ("50", -6.0206), ("loud", 6.0)])
def test_volume_is_a_gain(volume: str, decibels: float) -> None:
    plain, changed = samples(spoken("a")), samples(spoken(f'<prosody volume="{volume}">a</prosody>'))
    assert level(changed) - level(plain) == pytest.approx(decibels, abs=0.01)


def test_silent_words_take_their_time() -> None:
    one = spoken('a<prosody volume="silent"> b</prosody>')
    assert one.timeline[-1].end - one.timeline[-1].start == pytest.approx(VOICED, abs=0.005)
    assert not np.any(samples(one)[round(one.timeline[-1].start * RATE) :])


def test_levels_stay_to_each_other_where_all_would_clip() -> None:
    one = spoken('a<break time="1s"/><prosody volume="+20dB">b</prosody>', Hums(0.5))
    (quiet, loud) = (samples(one)[round(s * RATE) : round(e * RATE)] for s, e in runs(samples(one), RATE, silent=False))
    assert level(loud) - level(quiet) == pytest.approx(20.0, abs=0.05)
    assert np.abs(samples(one)).max() == pytest.approx(1.0, abs=1e-6)
    assert one.remarks == ("all of it is 14.0 dB quieter than asked: it would clip",)


def test_emphasis_is_slower_higher_and_louder() -> None:
    plain = samples(spoken("a"))
    for name, stress in EMPHASIS.items():
        changed = samples(spoken(f'<emphasis level="{name}">a</emphasis>'))
        assert len(changed) == round(len(plain) / stress.rate)
        assert level(changed) - level(plain) == pytest.approx(stress.volume, abs=0.7)
        assert frequency(changed, RATE) == pytest.approx(FREQUENCY * stress.pitch, rel=0.01)


def test_joins_do_not_click() -> None:
    """No step is larger than the hum's own largest; without fades its phase would jump."""
    hum = samples(spoken("a"))
    joined = samples(spoken("un<emphasis level='strong'>believ</emphasis>able <break time='1s'/> b"))
    allowed = np.abs(np.diff(hum)).max() * 10 ** (EMPHASIS["strong"].volume / 20) * EMPHASIS["strong"].pitch
    assert np.abs(np.diff(joined)).max() < allowed * 1.2
    assert abs(joined[0]) < 1e-3 and abs(joined[-1]) < 1e-3


def test_marks_have_their_time() -> None:
    one = spoken('<mark name="start"/>abcd <mark name="middle"/>efgh<break time="1s"/><mark name="end"/>b')
    marks = {cue.text: cue.start for cue in one.timeline if cue.kind == "mark"}
    voiced = one.timeline[1].end
    assert marks == {
        "start": 0.0,
        "middle": pytest.approx(voiced * 4 / 9, abs=1e-9),
        "end": pytest.approx(voiced + 1.0, abs=1e-4),
    }
    assert [r for r in one.remarks if "mark" in r] == [
        "a mark among words that are spoken at once has its time by its share of the text"
    ]
    assert Cue(0.0, 1 / 3, "text", "a").to_json() == {"start": 0.0, "end": 0.333333, "kind": "text", "text": "a"}


# -- engines -----------------------------------------------------------------------------------------------------------


def test_an_engine_is_asked_for_the_voice_and_language_that_it_can_do() -> None:
    engine = Hums(abilities=frozenset({"voice", "language"}))
    one = spoken(
        'a <voice name="nobody anna">b</voice> <lang xml:lang="de">c</lang>',
        engine,
        voice="bert",
        seed=3,
        language="en",
    )
    asked = [(text, settings.voice, settings.language, settings.seed) for text, settings in engine.asked]
    assert asked == [
        ("a", "bert", "en", 3),
        ("b", "nobody", None, 3),
        ("b", "anna", None, 3),
        ("c", "bert", "de", 3),
    ]
    assert one.remarks == ("another voice is not done: hums has no voice 'nobody'",)


def test_a_voice_that_is_named_counts_more_than_the_documents_language() -> None:
    document = parse('<speak xml:lang="en-US">a <voice name="anna">b</voice> <lang xml:lang="de">c</lang></speak>')
    asked = []
    for settings in (Settings(), Settings(voice="bert"), Settings(language="fr")):
        engine = Hums(abilities=frozenset({"voice", "language"}))
        speak(document, engine, settings)
        asked.append([(one.voice, one.language) for _, one in engine.asked])
    assert asked == [
        [(None, "en-US"), ("anna", None), (None, "de")],
        [("bert", None), ("anna", None), ("bert", "de")],
        [(None, "en-US"), ("anna", None), (None, "de")],
    ]


def test_a_language_that_an_engine_does_not_speak_is_told() -> None:
    def remarks(language: str, own: str | None) -> tuple[str, ...]:
        engine = Hums()
        engine.language = own
        return speak(parse(f'<speak xml:lang="{language}">a</speak>'), engine).remarks

    assert remarks("en-US", "en") == remarks("en", "eng") == ()
    assert remarks("es", "en") == ("hums:a speaks English (en): es is not done",)
    assert remarks("es", None) == ("hums:a does not say what it speaks: whether that is es is not known",)


def test_an_engine_that_reads_ssml_is_left_to_it() -> None:
    class Reads(Hums):
        def speak(self, document: Document, settings: Settings) -> Any:
            from analogon.engines.generator import Generated

            return Generated(Media("audio", array=np.full(8, 0.5, np.float32), rate=8000), ("so be it",))

    document = parse('<speak>a<mark name="m"/></speak>')
    own = speak(document, Reads())
    assert samples(own).tolist() == [0.5] * 8 and own.rate == 8000
    assert own.remarks == ("hums:a does not say when it reaches a mark; with native=false that is measured", "so be it")
    assert len(samples(speak(document, Reads(), native=False))) > 8


def test_what_cannot_be_spoken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Paints(Hums):
        speaks = False

    class Broken(Hums):
        def make(self, prompt: Prompt, settings: Settings) -> Media:
            return Media("audio", array=np.full(9, np.nan, np.float32), rate=RATE)

    with pytest.raises(UsageError, match="does not speak"):
        spoken("a", Paints())
    for nothing in ("", " ", "<break time='1s'/>", "...", "<p/>"):
        with pytest.raises(SsmlError, match="has no words to speak"):
            spoken(nothing)
    with pytest.raises(GeneratorError, match="not finite"):
        spoken("a", Broken())
    with pytest.raises(SsmlError, match="2001 pieces to speak one by one"):
        spoken("a<break time='1ms'/>" * 2001)
    monkeypatch.setattr("analogon.speech.render.LONGEST", 60.0)
    spoken("<prosody rate='10%'>" + "a<break time='1ms'/>" * 5 + "</prosody>")
    for long in ("<prosody rate='10%'>" + "a<break time='1ms'/>" * 7 + "</prosody>", "a<break time='61s'/>b"):
        with pytest.raises(UsageError, match="longer than 1 minutes"):
            spoken(long)


def test_plain_text_is_spoken_the_same_way() -> None:
    one = speak(from_text("One.\n\nTwo < three."), Hums())
    assert [cue.text for cue in one.timeline] == ["One.", "", "Two < three."]
    assert silences(one) == [pytest.approx(PARAGRAPH, abs=0.005)]


def test_a_model_that_reads_no_ssml_speaks_the_example(tmp_path: Path) -> None:
    from analogon.generate.loading import load
    from tests.analogon.generate.families import tiny_vits
    from tests.analogon.speech.hostile_ssml import GOOD

    one = speak(parse(GOOD), load(tiny_vits.save(tmp_path / "vits")))
    sound = samples(one)
    breaks = [cue for cue in one.timeline if cue.kind == "silence"]
    assert [round(cue.end - cue.start, 4) for cue in breaks] == [0.3, 0.5, 0.02, 0.02, 1.0, 0.02]
    for cue in breaks:
        assert not np.any(sound[round(cue.start * one.rate) : round(cue.end * one.rate)])
    # Its noise may be quiet by chance, but not for long: the longest silences are those that were asked for.
    assert sorted(silences(one))[-2:] == [pytest.approx(0.5, abs=0.005), pytest.approx(1.0, abs=0.005)]


class Changes(Generator):
    """A tone of 150 Hz for a second, at the rate that is the text's length in kHz: full on from first to last."""

    name = "changes:a"
    modality = "audio"
    speaks = True

    @property
    def identity(self) -> dict[str, Any]:
        return {"family": "changes"}

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        rate = 1000 * len(prompt.text)
        wave = 0.5 * np.cos(2 * np.pi * FREQUENCY * np.arange(rate) / rate)
        return Media("audio", array=wave.astype(np.float32), rate=rate)


def test_segments_fade_in_and_out_within_three_milliseconds() -> None:
    sound = samples(spoken("a" * 16, Changes()))
    plain = 0.5 * np.cos(2 * np.pi * FREQUENCY * np.arange(RATE) / RATE)
    length = round(0.003 * RATE)
    assert np.abs(sound[length:-length] - plain[length:-length]).max() < 1e-6
    rising = np.sin(np.pi / 2 * (np.arange(length) + 0.5) / length) ** 2
    assert np.abs(sound[:length] - rising * plain[:length]).max() < 1e-6
    assert np.abs(sound[-length:] - rising[::-1] * plain[-length:]).max() < 1e-6


def test_a_segment_of_another_rate_is_brought_to_that_of_the_first() -> None:
    one = spoken(f"{'a' * 16}<break time='1s'/>{'b' * 24}<break time='1s'/>{'c' * 8}", Changes())
    assert one.rate == 16000
    assert [round(end - start, 3) for start, end in runs(samples(one), one.rate, silent=False)] == [1.0, 1.0, 1.0]
    last = samples(one)[-RATE:]
    assert np.abs(np.fft.rfft(last)).argmax() == FREQUENCY  # of one second: a bin for each Hz
