"""Compiled speech, measured: silences, lengths, levels and frequencies of what an engine of plain text says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogon.engines.generator import Ability, Generator, Settings
from analogon.prompts import Prompt
from analogon.speech import speech, ssml
from analogon.speech.speech import (
    EMPHASIS,
    Cue,
    Mark,
    Script,
    Segment,
    Silence,
    Spoken,
    compile,
    fundamental,
    render,
    stretch,
)
from analogon.speech.ssml import Pitch
from embed.errors import GeneratorError, SsmlError, UsageError
from embed.media import Media

RATE = 16000
FREQUENCY = 150.0
BEFORE, VOICED, AFTER = 0.21, 1.0, 0.34  # seconds: an engine's own silences around its words


class Hums(Generator):
    """Hums a vowel of 150 Hz for a second, whatever the text, with silence around it; keeps what it was asked."""

    name = "hums:a"
    modality = "audio"
    speaks = True

    def __init__(self, level: float = 0.2, abilities: frozenset[Ability] = frozenset()) -> None:
        self.level = level
        self.abilities = abilities
        self.asked: list[tuple[str, Settings]] = []

    @property
    def identity(self) -> dict[str, Any]:
        return {"family": "hums"}

    def make(self, prompt: Prompt, settings: Settings) -> Media:
        self.asked.append((prompt.text, settings))
        if settings.voice == "nobody":
            raise UsageError("hums has no voice 'nobody'")
        time = np.arange(round(VOICED * RATE)) / RATE
        wave = sum(np.sin(2 * np.pi * FREQUENCY * k * time + k) / k for k in range(1, 12))
        wave = np.asarray(self.level * wave / np.abs(wave).max(), np.float32)
        return Media("audio", array=np.pad(wave, (round(BEFORE * RATE), round(AFTER * RATE))), rate=RATE)


def spoken(inner: str, engine: Generator | None = None, **settings: Any) -> Spoken:
    return render(ssml.parse(f"<speak>{inner}</speak>"), engine or Hums(), Settings(**settings))


def samples(one: Spoken) -> np.ndarray:
    assert one.media.array is not None
    return one.media.array


def runs(sound: np.ndarray, rate: int, silent: bool) -> list[tuple[float, float]]:
    """Where it is silent (50 dB below its peak for at least 4 ms), or is not: (start, end) in seconds."""
    loud = np.abs(sound) > np.abs(sound).max() * 10 ** (-50 / 20)
    gap = round(0.004 * rate)
    at = np.flatnonzero(loud)
    breaks = np.flatnonzero(np.diff(at) > gap)
    starts, ends = at[np.r_[0, breaks + 1]], at[np.r_[breaks, len(at) - 1]] + 1
    if not silent:
        return [(s / rate, e / rate) for s, e in zip(starts, ends, strict=True)]
    edges = [0, *np.stack([starts, ends], 1).ravel().tolist(), len(sound)]
    return [(s / rate, e / rate) for s, e in zip(edges[::2], edges[1::2], strict=True) if e - s > gap]


def silences(one: Spoken) -> list[float]:
    return [end - start for start, end in runs(samples(one), one.rate, silent=True)]


def texts(inner: str) -> list[Any]:
    """A script as texts and, of silences, seconds."""
    items = compile(ssml.parse(f"<speak>{inner}</speak>")).items
    return [item.text if isinstance(item, Segment) else item.seconds for item in items if not isinstance(item, Mark)]


def level(sound: np.ndarray) -> float:
    """RMS in dB of the middle, clear of fades."""
    middle = sound[len(sound) // 4 : -len(sound) // 4].astype(np.float64)
    return float(10 * np.log10((middle**2).mean()))


def frequency(sound: np.ndarray, rate: int) -> float:
    """By the spectrum's comb: an oracle that shares nothing with what is tested."""
    size = 1 << 19
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    candidates = np.arange(40.0, 600.0, 0.1)
    comb = [sum(spectrum[round(f * k * size / rate)] for k in range(1, 5)) for f in candidates]
    # Half the true frequency scores no more than it: the first that is as high from above.
    return float(candidates[int(np.argmax(comb))])


# -- the script --------------------------------------------------------------------------------------------------------


def test_words_that_sound_alike_are_one_segment() -> None:
    assert texts("One <sub alias='two'>2</sub> <voice>three</voice>\n four, <lang xml:lang='en'>five</lang>.") == [
        "One two three four,",
        speech.CLAUSE,
        "five.",
    ]
    assert texts("<prosody rate='100%'>One</prosody> two") == ["One two"]


def test_punctuation_stays_with_the_words_before_it() -> None:
    assert texts("Now <prosody rate='slow'>slower</prosody>.") == ["Now", speech.WORD, "slower."]
    assert texts("<emphasis>Stop</emphasis>, he said") == ["Stop,", speech.CLAUSE, "he said"]
    assert texts("un<emphasis>believ</emphasis>able") == ["un", "believ", "able"]
    assert texts("... <break time='1s'/> !") == [1.0]


def test_breaks_add_up_and_count_instead_of_structure() -> None:
    assert texts("<s>a</s><s>b</s>") == ["a", speech.SENTENCE, "b"]
    assert texts("<p><s>a</s></p><p>b</p>") == ["a", speech.PARAGRAPH, "b"]
    assert texts("<p>a</p><break time='50ms'/><p>b</p>") == ["a", 0.05, "b"]
    assert texts("<p>a</p><break strength='none'/><p>b</p>") == ["a", "b"]
    assert texts("a<break time='1s'/> <break time='2s'/>b") == ["a", 1.0, 2.0, "b"]
    assert texts("a<break strength='none'/> b") == ["a b"]
    assert texts("<break time='1s'/><p>a</p><break time='2s'/>") == [1.0, "a", 2.0]


def test_styles_go_down_the_tree() -> None:
    document = ssml.parse(
        '<speak xml:lang="en"><prosody rate="50%" pitch="+10Hz" volume="-6dB"><emphasis level="strong">a</emphasis> '
        '<voice name="x y"><prosody rate="+100%" pitch="+12st" volume="+2dB">b</prosody></voice></prosody></speak>'
    )
    a, b = compile(document).segments
    assert a == Segment("a", 0.5, Pitch(1.0, 10.0), -6.0, "strong", (), "en")
    assert b == Segment("b", 1.0, Pitch(2.0, 20.0), -4.0, None, ("x", "y"), "en")


def test_marks_keep_their_places() -> None:
    script = compile(ssml.parse('<speak>Hi <mark name="a"/>there<mark name="b"/> <break/><mark name="c"/>you</speak>'))
    assert script == Script(
        (
            Segment("Hi there", marks=(Mark("a", 2),)),
            Mark("b"),
            Silence(0.25),
            Mark("c"),
            Segment("you"),
        )
    )


def test_long_texts_are_parted_between_sentences() -> None:
    sentence = "This is a sentence of some length, as they are in books. "
    found = compile(ssml.from_text(sentence * 20)).segments
    assert len(found) > 1 and all(len(one.text) <= speech.LONGEST_TEXT for one in found)
    assert all(one.text.endswith("books.") for one in found)
    assert " ".join(one.text for one in found) == (sentence * 20).strip()
    assert "".join(one.text for one in compile(ssml.from_text("x" * 1000)).segments) == "x" * 1000


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ('<say-as interpret-as="ordinal">21</say-as>', "twenty-first"),
        ('<say-as interpret-as="digits">407</say-as>', "four zero seven"),
        ('<say-as interpret-as="cardinal">-1,000,012</say-as>', "minus one million twelve"),
        ('<say-as interpret-as="characters">B2B</say-as>', "bee, two, bee"),
        (
            '<say-as interpret-as="date" format="dmy">24/12/1999</say-as>',
            "December twenty-fourth, nineteen ninety-nine",
        ),
        ('<say-as interpret-as="date">2024-02-01</say-as>', "February first, two thousand twenty-four"),
        ('<say-as interpret-as="time" format="hms12">14:30</say-as>', "two thirty p m"),
        ('<say-as interpret-as="telephone">(030) 12-5</say-as>', "zero three zero, one two, five"),
    ],
)
def test_kinds_of_text_are_said_in_english_words(inner: str, said: str) -> None:
    assert texts(inner) == [said]


def test_what_is_not_done_is_said_once() -> None:
    inner = (
        '<say-as interpret-as="currency">$5</say-as> <say-as interpret-as="currency">$6</say-as> '
        '<audio src="http://x/y.wav">a</audio> <prosody contour="(0%,+2st)">b</prosody> '
        '<lang xml:lang="de"><say-as interpret-as="ordinal">3.</say-as></lang> '
        '<phoneme ph="x">c</phoneme> <phoneme ph="y">d</phoneme> <voice name="anna">e</voice>'
    )
    assert spoken(inner, seconds=3.0).remarks == (
        "say-as 'currency': the text is left to the engine as it stands",
        "audio files are never opened: what stands in the element is spoken instead",
        "prosody contour is not done",
        "say-as 'ordinal' in de: the text is left to the engine as it stands",
        "speech is as long as what is said takes: seconds are not asked for",
        "hums:a has no choice of language: de is not done",
        "hums:a reads no phonemes: the text is spoken as it is written",
        "hums:a has no choice of voice: anna is not done",
    )


def test_nested_changes_end_somewhere() -> None:
    remarks = compile(
        ssml.parse(
            "<speak>"
            + '<prosody rate="+900%" pitch="+36st" volume="+40dB">' * 30
            + "a"
            + "</prosody>" * 30
            + "</speak>"
        )
    )
    (segment,) = remarks.segments
    assert (segment.rate, segment.pitch.scale, segment.volume) == (10.0, pytest.approx(8.0), 40.0)
    assert len(remarks.remarks) == 3


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

    one = render(ssml.parse(GOOD), Hums())
    long = [silence for silence in silences(one) if silence > 0.1]
    assert long == [pytest.approx(asked, abs=0.005) for asked in (speech.SENTENCE, 0.5, 1.0)]
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
    document = ssml.parse('<speak xml:lang="en-US">a <voice name="anna">b</voice> <lang xml:lang="de">c</lang></speak>')
    asked = []
    for settings in (Settings(), Settings(voice="bert"), Settings(language="fr")):
        engine = Hums(abilities=frozenset({"voice", "language"}))
        render(document, engine, settings)
        asked.append([(one.voice, one.language) for _, one in engine.asked])
    assert asked == [
        [(None, "en-US"), ("anna", None), (None, "de")],
        [("bert", None), ("anna", None), ("bert", "de")],
        [(None, "en-US"), ("anna", None), (None, "de")],
    ]


def test_an_engine_that_reads_ssml_is_left_to_it() -> None:
    class Reads(Hums):
        def speak(self, document: ssml.Document, settings: Settings) -> Any:
            from analogon.engines.generator import Generated

            return Generated(Media("audio", array=np.full(8, 0.5, np.float32), rate=8000), ("so be it",))

    document = ssml.parse('<speak>a<mark name="m"/></speak>')
    own = render(document, Reads())
    assert samples(own).tolist() == [0.5] * 8 and own.rate == 8000
    assert own.remarks == ("hums:a does not say when it reaches a mark; with native=false that is measured", "so be it")
    assert len(samples(render(document, Reads(), native=False))) > 8


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
    monkeypatch.setattr(speech, "LONGEST", 60.0)
    spoken("<prosody rate='10%'>" + "a<break time='1ms'/>" * 5 + "</prosody>")
    for long in ("<prosody rate='10%'>" + "a<break time='1ms'/>" * 7 + "</prosody>", "a<break time='61s'/>b"):
        with pytest.raises(UsageError, match="longer than 1 minutes"):
            spoken(long)


def test_plain_text_is_spoken_the_same_way() -> None:
    one = render(ssml.from_text("One.\n\nTwo < three."), Hums())
    assert [cue.text for cue in one.timeline] == ["One.", "", "Two < three."]
    assert silences(one) == [pytest.approx(speech.PARAGRAPH, abs=0.005)]


def test_a_model_that_reads_no_ssml_speaks_the_example(tmp_path: Path) -> None:
    from analogon.generate.loading import load
    from tests.analogon.generate.families import tiny_vits
    from tests.analogon.speech.hostile_ssml import GOOD

    one = render(ssml.parse(GOOD), load(tiny_vits.save(tmp_path / "vits")))
    sound = samples(one)
    breaks = [cue for cue in one.timeline if cue.kind == "silence"]
    assert [round(cue.end - cue.start, 4) for cue in breaks] == [0.3, 0.5, 0.02, 0.02, 1.0, 0.02]
    for cue in breaks:
        assert not np.any(sound[round(cue.start * one.rate) : round(cue.end * one.rate)])
    # Its noise may be quiet by chance, but not for long: the longest silences are those that were asked for.
    assert sorted(silences(one))[-2:] == [pytest.approx(0.5, abs=0.005), pytest.approx(1.0, abs=0.005)]


# -- samples -----------------------------------------------------------------------------------------------------------


def test_the_fundamental_is_that_of_the_signal() -> None:
    for true in (62.0, 100.0, 150.0, 233.0, 440.0):
        time = np.arange(2 * RATE) / RATE
        wave = sum(np.sin(2 * np.pi * true * k * time) / k**0.5 for k in range(1, 8))
        assert fundamental(np.asarray(wave, np.float32), RATE) == pytest.approx(true, rel=0.005)
    # The median: what is an octave off for a quarter of the time does not count.
    wave = np.sin(2 * np.pi * np.cumsum(np.where(np.arange(2 * RATE) < 1.5 * RATE, 200.0, 400.0)) / RATE)
    assert fundamental(wave.astype(np.float32), RATE) == pytest.approx(200.0, rel=0.005)
    assert fundamental(np.random.default_rng(0).normal(size=RATE).astype(np.float32), RATE) is None
    assert fundamental(np.zeros(RATE, np.float32), RATE) is None
    assert fundamental(np.zeros(10, np.float32), RATE) is None


def test_stretching_takes_any_length() -> None:
    lots = np.random.default_rng(1)
    for _ in range(60):
        sound = lots.normal(size=int(lots.integers(0, 9000))).astype(np.float32)
        length = int(lots.integers(0, 9000))
        assert stretch(sound, int(lots.choice([8000, 22050, 48000])), length).shape == (length,)


def test_what_is_fifty_decibels_below_the_peak_is_silence() -> None:
    margin = round(speech.MARGIN * RATE)
    for decibels, kept in ((-49.0, 500), (-51.0, margin)):
        faint = np.full(500, 0.5 * 10 ** (decibels / 20), np.float32)
        sound = np.concatenate([faint, np.full(1000, 0.5, np.float32), faint])
        assert len(speech.trimmed(sound, RATE)) == 1000 + 2 * kept


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
