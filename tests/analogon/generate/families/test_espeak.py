"""espeak-ng, measured: what it says of texts and of SSML, with what voice, and what it is kept from."""

from __future__ import annotations

import json
import shutil
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogon.engines.generator import Settings, generate
from analogon.generate.families import espeak
from analogon.generate.loading import load
from analogon.generate.takes import Run
from analogon.prompts import Prompt
from analogon.speech import Speech, fundamental_frequency, parse, speak
from embed.errors import GeneratorError, UsageError
from tests.analogon.speech.hostile_ssml import GOOD
from tests.analogon.speech.measures import level, runs, samples, silences

pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
SENTENCE = "I hope you have a good day today my friend"


@pytest.fixture(scope="module")
def engine() -> Any:
    return load("espeak:en-us")


def take(engine: Any, text: str, **settings: Any) -> np.ndarray:
    array = generate(engine, text, Settings(**settings)).media.array
    assert array is not None
    return array


def spoken(engine: Any, inner: str, native: bool | None = None, **settings: Any) -> Speech:
    return speak(parse(f"<speak>{inner}</speak>"), engine, Settings(**settings), native=native)


def phonemes(text: str, *flags: str) -> str:
    """What espeak-ng says that it would say."""
    done = subprocess.run(["espeak-ng", "-q", "-x", "--stdin", *flags], input=text.encode(), capture_output=True)
    return " ".join(done.stdout.decode().split())


def test_a_text_sounds_as_espeak_ng_writes_it(engine: Any, tmp_path: Path) -> None:
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(tmp_path / "a.wav"), "--", SENTENCE], check=True)
    with wave.open(str(tmp_path / "a.wav")) as file:
        theirs = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        rate = file.getframerate()
    media = generate(engine, SENTENCE).media
    assert media.rate == rate == 22050
    assert np.array_equal(media.array, theirs)
    assert np.array_equal(take(engine, SENTENCE, seed=5), theirs)


def test_voices_and_languages(engine: Any) -> None:
    def chosen(**settings: Any) -> str:
        return engine._chosen(Settings(**settings))

    assert chosen() == "en-us"
    assert chosen(voice="de+f3") == chosen(voice="German+F3") == "de+f3"
    assert chosen(language="de-CH") == "de"
    assert chosen(language="en-GB") == "en-gb"
    assert chosen(language="en") == "en-us"
    assert chosen(language="zh") == "cmn"
    assert chosen(voice="en-us+f3", language="fr") == "fr-fr+f3"
    assert load("espeak").voice == "en-us"
    assert not np.array_equal(take(engine, "Haus"), take(engine, "Haus", language="de"))
    assert np.array_equal(take(engine, "Haus", language="de"), take(load("espeak:de"), "Haus"))
    female, male = (
        fundamental_frequency(take(load(f"espeak:en-us{variant}"), SENTENCE), 22050) for variant in ("+f3", "")
    )
    assert female is not None and male is not None and female > 1.5 * male


def test_it_knows_what_it_speaks(engine: Any) -> None:
    assert engine.language == "en-us"
    assert engine.language_spoken() == "en-us"
    assert engine.language_spoken("de+f3") == "de"
    assert engine.language_spoken("en-us+f3", "fr") == "fr-fr"
    assert load("espeak:es").language == "es"
    with pytest.raises(UsageError, match="no voice 'nobody'"):
        engine.language_spoken("nobody")
    assert load("espeak").guesses_language  # nobody chose en-us
    assert load("espeak").identity != load("espeak:en-us").identity  # they may make other takes of one document
    assert not load("espeak:en-us").guesses_language and not load("espeak", model="es").guesses_language


def test_a_sidecar_names_the_voice_that_spoke(tmp_path: Path) -> None:
    """The model stays what was named; a language or a voice that is asked for, or that a document has, speaks."""
    engine = load("espeak")
    spanish = '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="es">hola</speak>'
    both = spanish.replace("hola", 'hola <lang xml:lang="de">guten Tag</lang>')
    for number, (settings, document, voice) in enumerate(
        [
            (Settings(language="es"), None, "es"),
            (Settings(voice="de+f3"), None, "de+f3"),
            (Settings(), None, "en-us"),
            (Settings(), parse(spanish), "es"),
            (Settings(), parse(both), "es, de"),
        ]
    ):
        run = Run(engine, Prompt("hola"), tmp_path / str(number), settings, document=document)
        (made,) = run.takes()
        assert (made.record["generator"]["voice"], engine.identity["voice"]) == (voice, "en-us")
        assert json.loads(made.path.with_suffix(".json").read_text())["generator"]["voice"] == voice


def test_what_is_not_there_is_refused_with_what_is_near(engine: Any) -> None:
    for name, reason in (("germn", "no voice 'germn'; near are german"), ("en-us+f33", "no variant 'f33'; near are f")):
        with pytest.raises(GeneratorError, match=reason):
            load(f"espeak:{name}")
        with pytest.raises(UsageError, match=reason):
            take(engine, "a", voice=name)
    with pytest.raises(UsageError, match="does not speak 'xx-YY'"):
        take(engine, "a", language="xx-YY")
    for options in ({"speed": 79}, {"speed": 451}, {"pitch": 100}, {"native": "maybe"}):
        with pytest.raises(GeneratorError):
            load("espeak", **options)
    with pytest.raises(UsageError, match="has nothing to say"):
        take(engine, " \u200b ")


def test_without_the_program_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GeneratorError, match="apt install espeak-ng"):
        load("espeak")


def test_speed_and_pitch(engine: Any) -> None:
    plain = take(engine, SENTENCE)
    fast, high = take(load("espeak:en-us", speed=350), SENTENCE), take(load("espeak:en-us", pitch=80), SENTENCE)
    lengths = [runs(one, 22050, silent=False) for one in (plain, fast)]
    spans = [found[-1][1] - found[0][0] for found in lengths]
    assert spans[0] / spans[1] == pytest.approx(2.0, rel=0.1)
    own, moved = fundamental_frequency(plain, 22050), fundamental_frequency(high, 22050)
    assert own is not None and moved is not None
    assert moved / own == pytest.approx(np.interp(80, *zip(*espeak.PITCHES, strict=True)), rel=0.03)
    assert load("espeak", speed=350).identity["speed"] == 350
    assert load("espeak").identity["version"].count(".") >= 1


def test_nothing_in_a_text_is_a_command(engine: Any) -> None:
    for command, harmless in (
        ("[[h@l'oU]] you", "((h@l'oU)) you"),
        ("a \x01300S b", "a 300S b"),
        ("Hello!\u00a0you", "Hello! you"),
        ("a\u202e\ufeffb", "ab"),
    ):
        assert np.array_equal(take(engine, command), take(engine, harmless))
    assert phonemes("[[h@l'oU]]") == "h@l'oU"  # it would be one
    shouted = spoken(engine, "say [[h@l'oU]] &lt;break time='9s'/&gt;", native=True)
    assert len(samples(shouted)) / 22050 < 6
    for text in ("-w /tmp/x", "--version"):
        assert np.abs(take(engine, text)).max() > 0.1


@pytest.mark.parametrize("native", [True, False])
def test_the_example(engine: Any, native: bool) -> None:
    one = speak(parse(GOOD), engine, native=native)
    long = sorted(silences(one))[-2:]
    # espeak-ng's own clock is coarser than ours
    assert long == [pytest.approx(asked, abs=0.015 if native else 0.005) for asked in (0.5, 1.0)]
    assert one.rate == 22050 and one.remarks == ()
    assert np.array_equal(samples(one), samples(speak(parse(GOOD), engine, native=native)))


@pytest.mark.parametrize("rate", ["60%", "fast", "200%", "250%"])
def test_a_break_inside_of_a_rate_is_as_long_as_asked(engine: Any, rate: str) -> None:
    (measured,) = silences(spoken(engine, f"<prosody rate='{rate}'>aaa<break time='1s'/>bee</prosody>", native=True))
    assert measured == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("attribute", "tolerance"), [("rate='50%'", 0.03), ("rate='80%'", 0.03), ("rate='200%'", 0.08)]
)
def test_rate_natively(engine: Any, attribute: str, tolerance: float) -> None:
    plain, changed = (
        samples(spoken(engine, text, native=True)) for text in (SENTENCE, f"<prosody {attribute}>{SENTENCE}</prosody>")
    )
    factor = float(attribute.strip("rate='%")) / 100
    assert len(plain) / len(changed) == pytest.approx(factor, rel=tolerance)


@pytest.mark.parametrize("decibels", [6, 3, -3, -6, -12])
def test_volume_natively(engine: Any, decibels: int) -> None:
    inner = f"{SENTENCE}<break time='1s'/><prosody volume='{decibels:+}dB'>{SENTENCE}</prosody>"
    one = spoken(engine, inner, native=True)
    cut = next(s + 0.5 for s, e in runs(samples(one), 22050, silent=True) if e - s > 0.9)
    before, after = np.split(samples(one), [round(cut * 22050)])
    measured = 10 * np.log10((after.astype(float) ** 2).sum() / (before.astype(float) ** 2).sum())
    assert measured == pytest.approx(decibels, abs=0.5)
    assert np.abs(samples(one)).max() <= 1.0


@pytest.mark.parametrize("pitch", ["+2st", "+6st", "-3st", "130Hz"])
def test_pitch_natively(engine: Any, pitch: str) -> None:
    plain, changed = (
        fundamental_frequency(samples(spoken(engine, text, native=True)), 22050)
        for text in (SENTENCE, f"<prosody pitch='{pitch}'>{SENTENCE}</prosody>")
    )
    assert plain is not None and changed is not None
    expected = 130.0 if pitch.endswith("Hz") else plain * 2 ** (float(pitch.removesuffix("st")) / 12)
    assert changed == pytest.approx(expected, rel=0.03)


def test_what_all_of_a_document_is_natively_is_done_too(engine: Any) -> None:
    quieter = samples(spoken(engine, f'<prosody volume="-6dB">{SENTENCE}</prosody>'))
    assert level(quieter) - level(samples(spoken(engine, SENTENCE))) == pytest.approx(-6.0, abs=0.05)
    low = load("espeak:en-us", pitch=30)  # a change counts from the engine's own pitch
    before, after = (samples(spoken(low, text)) for text in (SENTENCE, f'<prosody pitch="+4st">{SENTENCE}</prosody>'))
    own, moved = fundamental_frequency(before, 22050), fundamental_frequency(after, 22050)
    assert own is not None and moved is not None
    assert moved / own == pytest.approx(2 ** (4 / 12), rel=0.03)


def test_compiled_it_is_exact(engine: Any) -> None:
    plain = spoken(engine, SENTENCE, native=False)
    twice = spoken(engine, f"<prosody rate='200%'>{SENTENCE}</prosody>", native=False)
    assert len(samples(twice)) == round(len(samples(plain)) / 2)
    softer = spoken(engine, f"<prosody volume='-6dB'>{SENTENCE}</prosody>", native=False)
    assert level(samples(softer)) - level(samples(plain)) == pytest.approx(-6.0, abs=0.01)
    octave = spoken(engine, f"<prosody pitch='+12st'>{SENTENCE}</prosody>", native=False)
    low, high = (fundamental_frequency(samples(one), 22050) for one in (plain, octave))
    assert low is not None and high is not None and high / low == pytest.approx(2.0, rel=0.02)


def written(inner: str, **settings: Any) -> str:
    """The SSML that espeak-ng gets."""
    texts = []

    class Overheard(espeak.Espeak):
        def _spoken(self, text: str, voice: str, *flags: str) -> Any:
            texts.append(f"{voice}: {text}" if "-m" in flags else text)
            return super()._spoken(text, voice, *flags)

    spoken(Overheard("en-us", 175, 50, True), inner, **settings)
    return " | ".join(text for text in texts if text != espeak.PROBE)


def test_espeak_never_gets_a_document_as_it_was_written() -> None:
    assert written("Now <prosody rate='slow'>slower</prosody>.") == (
        'en-us: <speak>Now <prosody rate="80.0%">slower.</prosody></speak>'
    )
    assert written('a <audio src="/etc/passwd">b</audio> <x:y xmlns:x="u">c</x:y>') == "en-us: <speak>a b c</speak>"
    assert written("<prosody rate='fast'>a<break time='1s'/>b</prosody>") == (
        'en-us: <speak><prosody rate="125.0%">a</prosody><break time="1000ms"/>'
        '<prosody rate="125.0%">b</prosody></speak>'
    )
    assert written("One <lang xml:lang='de'>Haus</lang> two") == (
        "en-us: <speak>One</speak> | de: <speak>Haus</speak> | en-us: <speak>two</speak>"
    )
    assert (
        written("a <voice name='en-gb+f3'>b</voice>", voice="de") == "de: <speak>a</speak> | en-gb+f3: <speak>b</speak>"
    )
    assert written("a &lt;audio src='x'/&gt; [[x]]") == "en-us: <speak>a &lt;audio src='x'/&gt; ((x))</speak>"
    assert written("<emphasis level='strong'>a</emphasis> <say-as interpret-as='digits'>12</say-as>") == (
        'en-us: <speak><emphasis level="strong">a</emphasis> one two</speak>'
    )
    # Why: in a sentence element it reads this full stop aloud.
    assert "d'0t" in phonemes("<speak><s>Now <prosody rate='slow'>slower</prosody>.</s></speak>", "-m")
    assert "d'0t" not in phonemes('<speak><s>Now <prosody rate="80.0%">slower.</prosody></s></speak>', "-m")


def test_what_it_does_not_do_is_said_once(engine: Any) -> None:
    inner = (
        "<phoneme ph='x'>a</phoneme> <phoneme ph='x'>b</phoneme> <prosody pitch='+24st'>c</prosody> "
        "<prosody rate='10%'>d</prosody> <prosody volume='-40dB'>e</prosody> <voice name='nobody'>f</voice> "
        "<lang xml:lang='xx'>g</lang><mark name='m'/>"
    )
    remarks = spoken(engine, inner).remarks
    assert len(remarks) == len(set(remarks)) == 7
    for part in ("mark", "no phonemes", "semitones", "80 words", "30 dB", "no voice 'nobody'", "does not speak 'xx'"):
        assert [line for line in remarks if part in line], part


def test_native_is_a_setting() -> None:
    document = parse(GOOD)
    compiled, own = speak(document, load("espeak", native=False)), speak(document, load("espeak"))
    assert compiled.timeline and not own.timeline
    assert np.array_equal(samples(compiled), samples(speak(document, load("espeak"), native=False)))


def test_time_and_length_are_bounded(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "LONGEST", 2)
    with pytest.raises(UsageError, match="takes longer than"):
        take(engine, SENTENCE * 3)
    monkeypatch.undo()
    monkeypatch.setattr(espeak, "TIMEOUT", 0.0)
    with pytest.raises(GeneratorError, match="did not end within 0 s"):
        take(engine, SENTENCE * 2000)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="the voice changes"):
        spoken(engine, "a <lang xml:lang='de'>b</lang> " * 300)


def test_a_kept_voice_is_refused(engine: Any) -> None:
    class Kept:
        name = "narrator"

    with pytest.raises(UsageError, match="its own voices only"):
        take(engine, "a", voice=Kept())
