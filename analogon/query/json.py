"""Queries as JSON has them, read and written. ``analogon.query`` says what JSON's values stand for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import numpy as np

from analogon.query.expression import ID, PATH_MARKS, names_file
from analogon.query.tree import (
    DEEPEST,
    Apply,
    Exclude,
    File,
    Item,
    Leaf,
    Query,
    Sum,
    Term,
    Text,
    Toward,
    Vector,
    Without,
    finite,
    summed,
)
from embed.errors import UsageError
from embed.media import modalities_of
from embed.space import Space

__all__ = ["from_json", "read_json", "to_json"]

FORMS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    name: (frozenset({name, *needed}), frozenset(optional))
    for name, needed, optional in [
        ("text", (), ()),
        ("file", (), ()),
        ("vector", (), ("space",)),
        ("weight", ("of",), ()),
        ("without", ("of",), ()),
        ("exclude", ("of", "radius"), ()),
        ("toward", ("from", "t"), ()),
        ("apply", ("of",), ("strength",)),
    ]
}
"""What an object in JSON is known by, with the keys that it must have and may have."""


def to_json(query: Query) -> Any:
    """A query as JSON has it: strings, numbers, lists and dicts, which ``from_json`` reads back as the same query.

    >>> from analogon.query import parse
    >>> to_json(parse("2:rain - ./traffic.wav"))
    {'rain': 2.0, './traffic.wav': -1.0}
    """
    match query:
        case Sum(terms):
            shown = [to_json(term.query) for term in terms]
            if all(isinstance(one, str) for one in shown) and len(set(shown)) == len(shown):
                return {one: term.weight for one, term in zip(shown, terms, strict=True)}
            return [_term_to_json(term) for term in terms]
        case Without(inner, away):
            return {"of": to_json(inner), "without": to_json(away)}
        case Toward(start, end, t):
            return {"from": to_json(start), "toward": to_json(end), "t": t}
        case Apply(name, inner, strength):
            return {"apply": name, "of": to_json(inner), "strength": strength}
        case Exclude(inner, centre, radius):
            return {"of": to_json(inner), "exclude": to_json(centre), "radius": radius}
        case Item(id):
            return f"id:{id}"
        case File(path):
            return path if path.startswith(PATH_MARKS) else {"file": path}
        case Vector():
            return {"vector": query.array.tolist()} | ({"space": query.space.to_json()} if query.space else {})
        case Text(words):
            bare = _leaf(words, lambda name: bool(modalities_of(name))) == query
            return words if bare else {"text": words}


def _term_to_json(term: Term) -> Any:
    """An element of a list."""
    shown = to_json(term.query)
    if term.weight != 1:
        return {shown: term.weight} if isinstance(shown, str) else {"of": shown, "weight": term.weight}
    # The terms of an object of weights would join the list's own.
    return [shown] if isinstance(term.query, Sum) and isinstance(shown, dict) else shown


def from_json(value: Any, is_file: Callable[[str], bool] = names_file) -> Query:
    """Read a query from what ``json.loads`` gives. Raises ``UsageError``, which names the place, such as ``$.of[1]``.

    >>> print(from_json({"from": "king", "toward": ["queen", {"rook": -0.5}], "t": 0.5}))
    toward(king, queen - 0.5:rook, 0.5)
    """
    return _FromJson(is_file).query(value, "$", 0)


def read_json(written: str, is_file: Callable[[str], bool] = names_file) -> Query | None:
    """The query that a text says in JSON; None where it is no object and no list of JSON, and so perhaps a query of
    another kind. Raises ``UsageError``, which names the place, for JSON that says no query, and for a key given twice.

    >>> print(read_json('{"rain": 2, "traffic": -1}'), read_json("rain - traffic"))
    2:rain - traffic None
    """
    if not written.lstrip().startswith(("{", "[")):
        return None
    try:
        value = json.loads(written, object_pairs_hook=_Object.of)
    except ValueError:
        return None
    except RecursionError:
        raise UsageError(f"query, at $: more than {DEEPEST} parts within each other") from None
    return from_json(value, is_file)


class _Object(dict[str, Any]):
    """An object of JSON, and the first of its keys that stands in it twice."""

    twice: str | None = None

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> _Object:
        made = cls(pairs)
        if len(made) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            made.twice = next(key for key, count in counts.items() if count > 1)
        return made


def _leaf(words: str, is_file: Callable[[str], bool]) -> Leaf:
    """What a string stands for in JSON."""
    if words.startswith("id:") and ID.fullmatch(words, 3):
        return Item.of_digits(words[3:])
    return File(words) if words.startswith(PATH_MARKS) or is_file(words) else Text(words)


class _FromJson:
    def __init__(self, is_file: Callable[[str], bool]) -> None:
        self._is_file = is_file

    def _fail(self, reason: str, place: str) -> NoReturn:
        raise _JsonError(f"query, at {place}: {reason}")

    @contextmanager
    def _blaming(self, place: str) -> Iterator[None]:
        """What a node refuses is an error at this place."""
        try:
            yield
        except _JsonError:
            raise
        except UsageError as error:
            self._fail(str(error), place)

    def query(self, value: Any, place: str, depth: int) -> Query:
        if depth > DEEPEST:
            self._fail(f"more than {DEEPEST} parts within each other", place)
        with self._blaming(place):
            match value:
                case str():
                    return _leaf(value, self._is_file)
                case _Object(twice=str(key)):
                    self._fail(
                        "the key stands here twice, and which of the two counts is not said", self._child(place, key)
                    )
                case Mapping():
                    terms = self._weights(value, place)
                    return summed(terms) if terms else self._node(value, place, depth)
                case list() | tuple():
                    if not value:
                        self._fail("an empty list asks for nothing", place)
                    return summed([t for i, one in enumerate(value) for t in self._terms(one, f"{place}[{i}]", depth)])
        self._fail(f"a query is a string, an object or a list, not {_shortly(value)}", place)

    def _terms(self, value: Any, place: str, depth: int) -> list[Term]:
        """What an element of a list adds to the sum."""
        if isinstance(value, Mapping) and not (isinstance(value, _Object) and value.twice is not None):
            if terms := self._weights(value, place):
                return terms
            if "weight" in value:
                return [self._weighted(value, place, depth)]
        return [Term(1.0, self.query(value, place, depth + 1))]

    def _weights(self, value: Mapping[Any, Any], place: str) -> list[Term]:
        """The terms of an object of weights; none where it is something else."""
        if not all(_is_number(one) for one in value.values()):
            return []
        terms = []
        for key, weight in value.items():
            here = self._child(place, key)
            with self._blaming(here):
                terms.append(Term(weight, _leaf(key, self._is_file)))
        return terms

    def _weighted(self, value: Mapping[Any, Any], place: str, depth: int) -> Term:
        self._keys("weight", value, place)
        query = self.query(value["of"], f"{place}.of", depth + 1)
        with self._blaming(f"{place}.weight"):
            return Term(self._number(value["weight"], f"{place}.weight"), query)

    def _node(self, value: Mapping[Any, Any], place: str, depth: int) -> Query:
        if not value:
            self._fail("an empty object asks for nothing", place)
        kind = next((name for name in FORMS if name in value), "")

        def part(key: str) -> Query:
            return self.query(value[key], f"{place}.{key}", depth + 1)

        def number(key: str) -> float:
            return self._number(value[key], f"{place}.{key}")

        def string(key: str) -> str:
            if not isinstance(value[key], str):
                self._fail(f"a string should stand here, not {_shortly(value[key])}", f"{place}.{key}")
            return str(value[key])

        if not kind:
            key = next(key for key, one in value.items() if not _is_number(one))
            self._fail(
                f"a weight is a number, not {_shortly(value[key])}; other objects have one of the keys "
                + ", ".join(FORMS),
                self._child(place, key),
            )
        self._keys(kind, value, place)
        match kind:
            case "text":
                return Text(string("text"))
            case "file":
                return File(string("file"))
            case "vector":
                return self._vector(value, place)
            case "weight":
                return summed([self._weighted(value, place, depth)])
            case "without":
                return Without(part("of"), part("without"))
            case "exclude":
                return Exclude(part("of"), part("exclude"), number("radius"))
            case "toward":
                return Toward(part("from"), part("toward"), number("t"))
            case _:
                return Apply(string("apply"), part("of"), number("strength") if "strength" in value else 1.0)

    def _vector(self, value: Mapping[Any, Any], place: str) -> Vector:
        numbers, space = value["vector"], value.get("space")
        if not isinstance(numbers, list | tuple) or not numbers or not all(map(_is_number, numbers)):
            self._fail(f"a list of numbers should stand here, not {_shortly(numbers)}", f"{place}.vector")
        try:
            known = None if space is None else Space.from_json(space)
        except (KeyError, TypeError):
            self._fail("a space is an object with model, weights, preprocessing and dim", f"{place}.space")
        return Vector(np.array(numbers, np.float64), known)

    def _keys(self, kind: str, value: Mapping[Any, Any], place: str) -> None:
        needed, optional = FORMS[kind]
        for key in sorted(needed - value.keys()):
            self._fail(f"an object with {kind!r} has {key!r} as well", place)
        for key in value:
            if key not in needed | optional:
                self._fail(f"an object with {kind!r} has no {_shortly(key)}", self._child(place, key))

    def _number(self, value: Any, place: str) -> float:
        if not _is_number(value):
            self._fail(f"a number should stand here, not {_shortly(value)}", place)
        with self._blaming(place):
            return finite(value, "this")

    def _child(self, place: str, key: Any) -> str:
        if not isinstance(key, str):
            self._fail(f"a key is a string, not {_shortly(key)}", place)
        return f"{place}.{key}" if key.isidentifier() else f"{place}[{_shortly(key)}]"


class _JsonError(UsageError):
    """Names its place already."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shortly(value: Any) -> str:
    """A value of JSON in at most 60 characters of one line.

    >>> _shortly(None), len(_shortly("ab" * 100))
    ('null', 60)
    """
    shown = json.dumps(value, default=repr, ensure_ascii=True)
    return shown if len(shown) <= 60 else shown[:57] + "..."
