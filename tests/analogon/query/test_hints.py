"""What words that deny get told, and that the forms which are named do what they say."""

from __future__ import annotations

import re

import pytest

from analogon.query import Query, Text, Without, hint, parse, text


def forms(typed: str) -> list[Query]:
    """The forms that the hint for a query names, read."""
    said = hint(typed, parse(typed))
    assert said is not None and said.isprintable()
    return [parse(one) for one in said[said.rindex(": ") + 2 :].split(", or ")]


@pytest.mark.parametrize(
    ("typed", "wanted", "away"),
    [
        ("rain without traffic", "rain", "traffic"),
        ("rain, no traffic", "rain", "traffic"),
        ("Rain NOT traffic", "Rain", "traffic"),
        ("rain but no traffic", "rain", "traffic"),
        ("rain and without any traffic", "rain", "traffic"),
        ("calle sin tráfico", "calle", "tráfico"),
        ("lluvia pero sin tráfico", "lluvia", "tráfico"),
        ("lluvia sin el viento", "lluvia", "viento"),
        ("music without (drums)", "music", "drums"),
        ("Rain (no cars)", "Rain", "cars"),
        ("a dog that is not barking", "a dog", "barking"),
        ("un perro que no ladra", "un perro", "ladra"),
        ("a street, no cars, at night", "a street, at night", "cars"),
        ('rain without "heavy" 2:traffic', "rain", '"heavy" 2:traffic'),
    ],
)
def test_the_forms_that_are_named_take_away(typed: str, wanted: str, away: str) -> None:
    if "at night" in typed:  # a comma in the words is no end of a form
        said = hint(typed, parse(typed))
        assert said is not None and said.endswith("a street, at night - cars, or a street, at night without(cars)")
        assert parse("a street, at night - cars") == text(wanted) - text(away)
        return
    assert forms(typed) == [text(wanted) - text(away), Without(text(wanted), text(away))]


def test_several_denials_are_several_terms() -> None:
    assert forms("rain no cars and no birds")[0] == text("rain") - text("cars") - text("birds")
    said = hint("no traffic", Text("no traffic"))
    assert said is not None and said.endswith("to take traffic away from something: SOMETHING - traffic")
    assert '"no traffic" is read as words' in said


@pytest.mark.parametrize(
    "typed",
    [
        "rain on a tin roof",
        "rain - traffic",
        "rain without(traffic)",
        '"rain without traffic"',
        "no",
        "without",
        "no one",
        "no man's land",
        "not only rain",
        "sin city",
        "sine wave",
        "casino",
        "knot",
        "./without sound.wav",
        "notes on a piano",
        "Beethoven no. 5",
    ],
)
def test_what_denies_nothing_gets_no_hint(typed: str) -> None:
    assert hint(typed, parse(typed)) is None


def test_words_that_are_given_as_words_get_no_hint() -> None:
    assert hint('{"text": "no rain"}', text("no rain")) is None


def test_a_long_dash_and_json_that_is_none_are_told() -> None:
    assert "long dash" in (hint("rain — traffic", parse("rain — traffic")) or "")
    assert "long dash" in (hint("rain -- traffic", parse("rain -- traffic")) or "")
    assert "like JSON" in (hint('{"rain": 2, traffic}', parse('{"rain": 2, traffic}')) or "")
    assert hint("[verse] la la", parse("[verse] la la")) is None


@pytest.mark.parametrize("dash", ["-", "\N{EN DASH}", "\N{MINUS SIGN}"])
def test_dashes_are_a_minus_where_a_hyphen_is(dash: str) -> None:
    for typed in (
        "rain - traffic",
        "rain - 2:traffic",
        "-traffic",
        "- traffic",
        "rain - -traffic",
        "(a - b) + c",
        "toward(a, b, -0.3)",
        "apply(up, a, -2)",
        "rain - traffic without(voices)",
    ):
        assert parse(typed.replace("-", dash)) == parse(typed)
    for words in ("rock-paper", "rain -traffic", "rain- traffic", "lo-fi hip-hop", "10-20"):
        assert parse(words.replace("-", dash)) == text(words.replace("-", dash))
    for dashed in (f"{dash}a", f"a {dash} b", f"x {dash}"):
        assert parse(str(text(dashed))) == text(dashed)
    with pytest.raises(Exception, match=re.escape(f"{dash} wants white space")):
        parse(f"(a){dash}b")
