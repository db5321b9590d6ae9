"""Queries in JSON: what each value stands for, and errors that name the place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogon.query import (
    from_json,
    parse,
    to_json,
)
from embed.errors import UsageError
from tests.analogon.query.grown import Grown


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ('"rain"', "rain"),
        ('"rain - traffic, 2:x"', '"rain - traffic, 2:x"'),
        ('"./x.wav"', "./x.wav"),
        ('"id:5"', "id:5"),
        ('"id:5 apples"', '"id:5 apples"'),
        ('{"text": "./x"}', '"./x"'),
        ('{"file": "x.wav"}', "file:x.wav"),
        ('{"rain": 2, "traffic": -1}', "2:rain - traffic"),
        ('{"text": 2}', "2:text"),
        ('{"a": 1}', "a"),
        ('["a"]', "a"),
        ('["a", {"b": -1, "c": 2}, {"of": {"text": "id:1"}, "weight": 3}]', 'a - b + 2:c + 3:"id:1"'),
        ('["a", ["b", "c"]]', "a + (b + c)"),
        ('{"of": ["a", "b"], "weight": -1}', "-(a + b)"),
        ('{"of": {"a": 1, "b": 1}, "without": "c"}', "a + b without(c)"),
        ('{"from": "a", "toward": {"b": -1}, "t": 0.5}', "toward(a, -b, 0.5)"),
        ('{"apply": "up", "of": "a"}', "apply(up, a)"),
        ('{"apply": "up", "of": "a", "strength": 2}', "apply(up, a, 2)"),
        ('{"of": "a", "exclude": "b", "radius": 0.3}', "a exclude(b, 0.3)"),
    ],
)
def test_json_says_the_same(value: str, expression: str) -> None:
    assert from_json(json.loads(value)) == parse(expression)


@pytest.mark.parametrize(
    ("value", "place", "reason"),
    [
        (None, "$", "not null"),
        ([], "$", "empty list"),
        ({}, "$", "empty object"),
        ("", "$", "empty"),
        (["a", ["b", 3]], "$[1][1]", "not 3"),
        ({"a": 2, "b": "x"}, "$.b", "a weight is a number"),
        ({"a": True}, "$.a", "a weight is a number"),
        ({"a": 0}, "$.a", "weight of 0"),
        ({"a b": float("nan")}, '$["a b"]', "finite"),
        ({"a": 10**400}, "$.a", "finite"),
        ({"id:0": 1, "b": 2}, '$["id:0"]', "from 1 to"),
        ({5: 1}, "$", "key is a string"),
        ({"text": 5, "x": "y"}, "$.x", "has no"),
        ({"text": ["x"]}, "$.text", "a string should stand here"),
        ({"of": "a"}, "$.of", "a weight is a number"),
        ({"without": "a"}, "$", "'of' as well"),
        ({"of": "a", "without": "b", "t": 1}, "$.t", "has no"),
        ({"of": "a", "without": {"of": ["b", ""], "weight": 2}}, "$.without.of[1]", "empty"),
        ({"from": "a", "toward": "b", "t": "1"}, "$.t", "a number should stand here"),
        ({"of": "a", "exclude": "b", "radius": 3}, "$", "at most 2"),
        ([{"of": "a", "exclude": "b", "radius": 1}, "c"], "$", "exclude filters"),
        ([{"of": "a", "weight": 0}], "$[0].weight", "weight of 0"),
    ],
)
def test_json_errors_name_the_place(value: Any, place: str, reason: str) -> None:
    with pytest.raises(UsageError) as raised:
        from_json(value)
    assert str(raised.value).startswith(f"query, at {place}: ")
    assert reason in str(raised.value) and str(raised.value).isprintable()


def test_json_within_json_within_json() -> None:
    value: Any = "a"
    for _ in range(10_000):
        value = [value, "b"]
    with pytest.raises(UsageError, match=r"query, at \$(\[0\]){51}: more than 50"):
        from_json(value)


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(st.binary(min_size=60, max_size=200).map(lambda raw: Grown(raw).json()))
def test_any_json_is_read_or_refused_with_its_place(value: Any) -> None:
    try:
        query = from_json(value)
    except UsageError as error:
        assert str(error).startswith("query, at $") and str(error).isprintable()
    else:
        assert from_json(to_json(query)) == query
