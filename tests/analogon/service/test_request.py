"""Requests: the same from Python and from JSON, and one line for what they do not know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from analogon.service.exchange import Export
from analogon.service.request import Request
from analogon.service.voices import AddVoice
from embed.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Request):
    query: str
    k: int = 10
    share: float = 0.5
    order: Literal["up", "down"] = "up"
    paths: tuple[str, ...] = ()
    out: Path | None = None


def test_a_request_reads_what_it_writes() -> None:
    asked = Ask(query="rain", k=3, share=1, paths=("a", "b"), out=Path("takes"))
    told = {"query": "rain", "k": 3, "share": 1.0, "order": "up", "paths": ["a", "b"], "out": "takes"}
    assert asked.to_json() == told
    assert Ask.from_json(told) == asked
    assert Ask.from_json({"query": "rain"}) == Ask(query="rain")
    assert Ask.from_json({"query": "rain", "share": 2}).share == 2  # JSON has one kind of number


def test_in_python_a_string_is_a_path_and_one_value_is_several() -> None:
    asked: Any = Ask(query="rain", paths="ab", out="takes")  # type: ignore[arg-type]
    assert (asked.paths, asked.out) == (("ab",), Path("takes"))
    asked = Ask(query="rain", paths=["a", "b"], out=None)  # type: ignore[arg-type]
    assert (asked.paths, asked.out) == (("a", "b"), None)
    assert AddVoice(name="x", xvector="x.npy").xvector == (Path("x.npy"),)  # type: ignore[arg-type]
    assert Export(target="x.parquet").target == Path("x.parquet")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({}, "ask needs 'query'"),
        ({"query": "rain", "top": 3}, "ask knows no 'top'; it knows: query, k, share, order, paths, out"),
        ({"query": "rain", "k": 2.5}, "ask, k: input should be a valid integer"),
        ({"query": "rain", "k": "3"}, "ask, k: input should be a valid integer"),
        ({"query": "rain", "order": "left"}, "ask, order: input should be 'up' or 'down'"),
        ({"query": 3}, "ask, query: input should be a valid string"),
        ({"query": "rain", "paths": ["a", 1]}, "ask, paths.1: input should be a valid string"),
        ({"query": "rain", "share": float("nan")}, "ask: not JSON"),
    ],
)
def test_what_a_request_does_not_know_is_told_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}") as refusal:
        Ask.from_json(fields)
    assert "\n" not in str(refusal.value)
