"""Trees: what no node can be, arithmetic in Python, and what a query is made of."""

from __future__ import annotations

import numpy as np
import pytest

from analogon.query import (
    File,
    Item,
    Query,
    Sum,
    Without,
    apply,
    excludes,
    file,
    from_json,
    is_plain,
    item,
    leaves,
    parse,
    relations,
    text,
    to_json,
    toward,
    without_excludes,
)
from embed.errors import UsageError
from tests.analogon.query.grown import A, B, C, summed


def test_nodes_refuse_what_cannot_be() -> None:
    for make in (
        lambda: text(" "),
        lambda: file(""),
        lambda: item(0),
        lambda: item(2**63),
        lambda: A * 0,
        lambda: A / 0,
        lambda: A * float("nan"),
        lambda: A * 10**400,
        lambda: summed((1, A)),
        lambda: Sum(()),
        lambda: toward(A, B, float("inf")),
        lambda: apply("", A),
        lambda: A.exclude(B, 0),
        lambda: A.exclude(B, float("nan")),
        lambda: A.exclude(B, 1) + C,
        lambda: -A.exclude(B, 1),
        lambda: A.without(B.exclude(C, 1)),
        lambda: A.exclude(B.exclude(C, 1), 1),
    ):
        with pytest.raises(UsageError):
            make()
    nested: Query = A
    for _ in range(50):
        nested = toward(nested, B, 0.5)
    assert parse(str(nested)) == nested == from_json(to_json(nested))
    with pytest.raises(UsageError, match="more than 50"):
        toward(nested, B, 0.5)


def test_python_operators_are_linear() -> None:
    assert summed((2, A), (1, B)) == 2 * A + B
    assert summed((1, A), (-2, B), (2, C)) == A - 2 * (B - C)
    assert summed((-0.5, A), (-0.5, B)) == -(A + B) / 2
    assert (A * 2) / 2 == A
    assert A.without(B) + C == summed((1, Without(A, B)), (1, C))
    for two in (np.float32(2), np.float64(2), np.int64(2)):
        assert two * A == A * two == summed((2.0, A))
    with pytest.raises(TypeError):
        A + "b"  # type: ignore[operator]
    with pytest.raises(TypeError):
        "b" * A  # type: ignore[operator]


def test_what_a_query_is_made_of() -> None:
    query = parse("apply(r, a + id:3) - 2:./x.wav without(apply(s, apply(r, a))) exclude(b, 0.5) exclude(c, 1)")
    assert leaves(query) == (A, Item(3), File("./x.wav"), B, C)
    assert relations(query) == ("r", "s")
    assert [(str(one.centre), one.radius) for one in excludes(query)] == [("c", 1.0), ("b", 0.5)]
    assert str(without_excludes(query)) == "apply(r, a + id:3) - 2:./x.wav without(apply(s, apply(r, a)))"
    assert excludes(A) == () and without_excludes(A) is A
    assert is_plain(A) and is_plain(item(1)) and is_plain(file("./x")) and not is_plain(-A)
