"""Documents compiled: texts, silences and marks, in order."""

from __future__ import annotations

from typing import Any

import pytest

from analogon.engines.generator import Settings
from analogon.speech.compile import (
    CLAUSE,
    LONGEST_TEXT,
    PARAGRAPH,
    SENTENCE,
    WORD,
    Mark,
    Script,
    Segment,
    Silence,
    to_script,
)
from analogon.speech.reader import from_text, parse
from analogon.speech.tree import Pitch
from tests.analogon.speech.measures import Hums, spoken


def texts(inner: str, language: str | None = None) -> list[Any]:
    """A script as texts and, of silences, seconds."""
    items = to_script(parse(f"<speak>{inner}</speak>"), Settings(language=language)).items
    return [item.text if isinstance(item, Segment) else item.seconds for item in items if not isinstance(item, Mark)]


def test_words_that_sound_alike_are_one_segment() -> None:
    assert texts("One <sub alias='two'>2</sub> <voice>three</voice>\n four, <lang xml:lang='en'>five</lang>.") == [
        "One two three four,",
        CLAUSE,
        "five.",
    ]
    assert texts("<prosody rate='100%'>One</prosody> two") == ["One two"]


def test_punctuation_stays_with_the_words_before_it() -> None:
    assert texts("Now <prosody rate='slow'>slower</prosody>.") == ["Now", WORD, "slower."]
    assert texts("<emphasis>Stop</emphasis>, he said") == ["Stop,", CLAUSE, "he said"]
    assert texts("un<emphasis>believ</emphasis>able") == ["un", "believ", "able"]
    assert texts("... <break time='1s'/> !") == [1.0]


def test_breaks_add_up_and_count_instead_of_structure() -> None:
    assert texts("<s>a</s><s>b</s>") == ["a", SENTENCE, "b"]
    assert texts("<p><s>a</s></p><p>b</p>") == ["a", PARAGRAPH, "b"]
    assert texts("<p>a</p><break time='50ms'/><p>b</p>") == ["a", 0.05, "b"]
    assert texts("<p>a</p><break strength='none'/><p>b</p>") == ["a", "b"]
    assert texts("a<break time='1s'/> <break time='2s'/>b") == ["a", 1.0, 2.0, "b"]
    assert texts("a<break strength='none'/> b") == ["a b"]
    assert texts("<break time='1s'/><p>a</p><break time='2s'/>") == [1.0, "a", 2.0]


def test_styles_go_down_the_tree() -> None:
    document = parse(
        '<speak xml:lang="en"><prosody rate="50%" pitch="+10Hz" volume="-6dB"><emphasis level="strong">a</emphasis> '
        '<voice name="x y"><prosody rate="+100%" pitch="+12st" volume="+2dB">b</prosody></voice></prosody></speak>'
    )
    a, b = to_script(document).segments
    assert a == Segment("a", 0.5, Pitch(1.0, 10.0), -6.0, "strong", (), "en")
    assert b == Segment("b", 1.0, Pitch(2.0, 20.0), -4.0, None, ("x", "y"), "en", by_voice=True)


def test_marks_keep_their_places() -> None:
    script = to_script(parse('<speak>Hi <mark name="a"/>there<mark name="b"/> <break/><mark name="c"/>you</speak>'))
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
    found = to_script(from_text(sentence * 20)).segments
    assert len(found) > 1 and all(len(one.text) <= LONGEST_TEXT for one in found)
    assert all(one.text.endswith("books.") for one in found)
    assert " ".join(one.text for one in found) == (sentence * 20).strip()
    assert "".join(one.text for one in to_script(from_text("x" * 1000)).segments) == "x" * 1000


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
    assert texts(inner, "en") == [said]


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ('<say-as interpret-as="cardinal">5</say-as>km', "five km"),
        ('a<sub alias="World Wide Web">WWW</sub>b', "a World Wide Web b"),
        ('<say-as interpret-as="characters">A</say-as><say-as interpret-as="digits">12</say-as>', "ay one two"),
        ('(<say-as interpret-as="cardinal">5</say-as>).', "five)."),
        ('<say-as interpret-as="currency">$5</say-as>m', "$5m"),  # as it stands, with what stands beside it
    ],
)
def test_words_for_what_was_written_do_not_grow_into_their_neighbours(inner: str, said: str) -> None:
    (segment,) = to_script(parse(f'<speak xml:lang="en">{inner}</speak>')).segments
    assert segment.text == said


def test_what_is_substituted_by_nothing_is_told() -> None:
    script = to_script(parse('<speak>a <sub alias=" ">b</sub></speak>'))
    assert [segment.text for segment in script.segments] == ["a"]
    assert script.remarks == ("what is substituted by nothing is not spoken",)


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
    remarks = to_script(
        parse(
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


SPANISH = "¡Hola! Espero que estés teniendo un buen día."


def test_a_language_that_nobody_names_is_told() -> None:
    engine = Hums(abilities=frozenset({"language"}))
    engine.language_spoken = lambda voice=None, language=None: language or "en"  # type: ignore[method-assign]
    engine.language, engine.guesses_language = "en", True

    def lines(document: str, **settings: str) -> tuple[list[str | None], tuple[str, ...]]:
        script = to_script(parse(document), Settings(**settings), engine)  # type: ignore[arg-type]
        return [segment.language for segment in script.segments], script.remarks

    way_out = "; xml:lang in the document, or a language that is asked for, says another"
    assert lines(f"<speak>{SPANISH}</speak>") == (
        ["es"],
        (f"no language is named: by its words it is Spanish (es), and spoken so{way_out}",),
    )
    assert lines("<speak>Good morning.</speak>") == (
        [None],
        (f"no language is named: hums:a speaks English (en){way_out}",),
    )
    assert lines(f'<speak xml:lang="en">{SPANISH}</speak>') == (["en"], ())
    assert lines(f"<speak>{SPANISH}</speak>", language="en") == (["en"], ())
    assert lines(f"<speak>{SPANISH}</speak>", voice="anna") == ([None], ())
    assert lines(f'<speak><voice name="anna">{SPANISH}</voice></speak>') == ([None], ())
    # Plain text has no place for a language: only what is plainly another one is worth a line.
    assert to_script(from_text("Good morning."), Settings(), engine).remarks == ()
    assert to_script(from_text("Добро утро"), Settings(), engine).remarks[0].startswith("no language is named: hums:a")
    assert to_script(from_text(SPANISH), Settings(), engine).segments[0].language == "es"
    engine.guesses_language = False  # somebody chose it
    assert lines(f"<speak>{SPANISH}</speak>") == ([None], ())
