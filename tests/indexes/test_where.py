"""The filter language: what it reads, what it refuses and where, and SQLite against the oracle on random filters."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.errors import FilterError
from indexes.where import (
    And,
    Between,
    Comparison,
    Expression,
    In,
    IsNull,
    Match,
    Not,
    Or,
    compile,
    evaluate,
    fields,
    install,
    json_path,
    parse,
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    install(connection)
    # Declared types and a collation that would change comparisons, if they were let.
    connection.execute("CREATE TABLE item (metadata TEXT, a NUMERIC, b TEXT COLLATE NOCASE)")
    yield connection
    connection.close()


def in_json(name: str) -> tuple[str, list[object]]:
    return "json_extract(metadata, ?)", [json_path(name)]


def ask(database: sqlite3.Connection, expression: Expression, row: Row) -> bool:
    """Whether SQLite finds the row."""
    condition = compile(expression, in_json)
    database.execute("DELETE FROM item")
    database.execute("INSERT INTO item (metadata) VALUES (?)", [json.dumps(row, ensure_ascii=False)])
    return bool(database.execute(f"SELECT 1 FROM item WHERE {condition.sql}", condition.parameters).fetchall())


# -- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("category = 'drum'", Comparison("category", "=", "drum")),
        ("a<2", Comparison("a", "<", 2)),
        ("a <> 2", Comparison("a", "!=", 2)),
        ("a == -2.50", Comparison("a", "=", -2.5)),
        ("a >= 1e-3", Comparison("a", ">=", 0.001)),
        ("a = 1e3", Comparison("a", "=", 1000)),
        ("a = .5", Comparison("a", "=", 0.5)),
        ("a = 'it''s'", Comparison("a", "=", "it's")),
        ("a = ''", Comparison("a", "=", "")),
        ('"a b.c ""x""" = 1', Comparison('a b.c "x"', "=", 1)),
        ("größe = 1", Comparison("größe", "=", 1)),
        ('"and" = 1 and "音" = 2', And((Comparison("and", "=", 1), Comparison("音", "=", 2)))),
        ("loop = TRUE", Comparison("loop", "=", 1)),
        ("loop != false", Comparison("loop", "!=", 0)),
        ("a IN ('x', 2,3.5)", In("a", ("x", 2, 3.5))),
        ("a not in (1)", Not(In("a", (1,)))),
        ("a between 1 and 2 and b = 3", And((Between("a", 1, 2), Comparison("b", "=", 3)))),
        ("a not between 'x' and 'y'", Not(Between("a", "x", "y"))),
        ("a like 'kick%'", Match("a", "like", "kick%")),
        ("a not contains 'x'", Not(Match("a", "contains", "x"))),
        ("a Starts With 'x'", Match("a", "starts with", "x")),
        ("a ends\n with 'x'", Match("a", "ends with", "x")),
        ("contains contains 'contains'", Match("contains", "contains", "contains")),
        ("a is null", IsNull("a")),
        ("a IS NOT NULL", Not(IsNull("a"))),
        ("a=1 or b=2 and c=3", Or((Comparison("a", "=", 1), And((Comparison("b", "=", 2), Comparison("c", "=", 3)))))),
        (
            "(a=1 or b=2) and c=3",
            And((Or((Comparison("a", "=", 1), Comparison("b", "=", 2))), Comparison("c", "=", 3))),
        ),
        ("not a=1 and b=2", And((Not(Comparison("a", "=", 1)), Comparison("b", "=", 2)))),
        ("not not (a=1)", Not(Not(Comparison("a", "=", 1)))),
        ("duration < 2s", Comparison("duration", "<", 2)),
        ("duration < 250 ms", Comparison("duration", "<", 0.25)),
        ("duration < 1.5min", Comparison("duration", "<", 90)),
        ("duration < 1:30", Comparison("duration", "<", 90)),
        ("duration < 1:02:03.5", Comparison("duration", "<", 3723.5)),
        ("duration between 0:05 and 1:05", Between("duration", 5, 65)),
        ("size > 2MB", Comparison("size", ">", 2_000_000)),
        ("size > 1.5 KiB or a = 1", Or((Comparison("size", ">", 1536), Comparison("a", "=", 1)))),
        ("rate = 44.1kHz", Comparison("rate", "=", 44100)),
        ("a = 9223372036854775807", Comparison("a", "=", 2**63 - 1)),
        ("a = 9223372036854775808", Comparison("a", "=", 2.0**63)),
    ],
)
def test_reads(text: str, tree: Expression) -> None:
    found = parse(text)
    assert found == tree
    assert repr(found) == repr(tree)  # 2 and 2.0 are equal; SQL parameters should still be the plainer one
    assert parse(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 1, "empty filter"),
        ("   ", 1, "empty filter"),
        ("category", 9, "a comparison is expected"),
        ("category = ", 12, "a value should stand here, not the end"),
        ("category = drum", 12, "single quotes: 'drum'"),
        ('category = "drum"', 12, "single ones: 'drum'"),
        ("path contains sonic-pi", 15, "not sonic-pi; a text goes in single quotes: 'sonic-pi'"),
        ("path starts with ./drums/a", 18, "not ./drums/a; a text goes in single quotes: './drums/a'"),
        ("path like %.wav", 11, "not %.wav; a text goes in single quotes: '%.wav'"),
        ("a = kick.wav and b = 1", 5, "not kick.wav; a text goes in single quotes: 'kick.wav'"),
        ("b = 1 and a!=x:y", 14, "not x:y; a text goes in single quotes: 'x:y'"),
        ("a in (x-y, z)", 8, "cannot read '-'"),
        ("category = 'drum", 12, "closing quote"),
        ('"category = 1', 1, "closing double quote"),
        ("category = null", 12, "category is null"),
        ("a = 'x' b = 2", 9, "'and' or 'or' should come before b"),
        ("a = 1 and", 10, "a field's name should stand here, not the end"),
        ("2 < a", 1, "a field's name should stand here, not 2"),
        ("'a' = 1", 1, "a field's name"),
        ("in = 1", 1, 'in double quotes: "in"'),
        ("(a = 1", 7, "to close the parenthesis at column 1"),
        ("a = 1)", 6, "before )"),
        ("a.b = 1", 2, 'in double quotes: "a.b"'),
        ("a = 2 parsecs", 5, "'parsecs' is no unit"),
        ("a < 2m", 5, "'m' is no unit"),
        ("a < 1:75", 5, "below 60"),
        ("a < 1:75:00", 5, "below 60"),
        ("a < 1:5", 6, "cannot read ':'"),
        ("a = 1e999", 5, "beyond"),
        ("a = 1e-999999999999999999999", 5, "beyond"),
        ("a in 1", 6, "'(' should come after 'in'"),
        ("a in ()", 7, "a value should stand here"),
        ("a in (1 2)", 9, "')' should come"),
        ("a between 1 or 2", 13, "'and' should come"),
        ("a between 1 and 'x'", 17, "two numbers or two texts"),
        ("a like 3", 8, "wants a text"),
        ("a like 'x\\'", 8, "backslash"),
        ("a starts 'x'", 10, "'with' should come"),
        ("a not = 1", 7, "a comparison is expected"),
        ("a is 1", 6, "'null' should come"),
        ("a = 1; drop table item", 6, "cannot read ';'"),
        ("a = 1 -- x", 7, "cannot read '-'"),
        ("a = 'x\0'", 7, "no text holds"),
        ("a = '\ud800'", 6, "no text holds"),
        ("(" * 200 + "a = 1" + ")" * 200, 16, "more than 15"),
        ("not " * 50_000 + "a = 1", 61, "more than 15"),
        (f"a in ({', '.join('1' * 5001)})", 15007, "more than 5,000 values"),
    ],
)
def test_refuses_and_says_where(text: str, column: int, reason: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert caught.value.column == column
    assert reason in caught.value.reason
    assert caught.value.expression == text


def test_unknown_fields_are_named_where_they_stand() -> None:
    assert fields(parse("a = 1 or not (b is null and c in (1)) or a like 'x'")) == {"a", "b", "c"}
    known = {"duration", "category"}
    assert parse("category = 'a'", known) == parse("category = 'a'")
    with pytest.raises(FilterError, match="did you mean category") as caught:
        parse("duration < 2 and catgory = 'drum'", known)
    assert caught.value.column == 18
    with pytest.raises(FilterError, match="there are: category, duration"):
        parse("x = 1", known)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*"ab'\"()=<>!,.:;-%_\\ 019eE\n", "and ", "or ", "not ", "in ", "is ", "null "])).map(
        "".join
    )
)
def test_any_text_is_read_or_refused_with_a_column(text: str) -> None:
    try:
        parse(text)
    except FilterError as error:
        assert 1 <= error.column <= len(text) + 1


# -- meaning ---------------------------------------------------------------------------------------------------------

ROW: Row = {
    "category": "Drum",
    "duration": 1.5,
    "n": 7,
    "loop": True,
    "empty": None,
    "text": "12",
    "fr": "Éléphant 50%",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("category = 'Drum'", True),
        ("category = 'drum'", False),
        ("category != 'drum'", True),
        ("category like 'dr%'", True),
        ("category like 'd_um'", True),
        ("category like 'dr'", False),
        ("category contains 'RU'", True),
        ("category starts with 'dr' and category ends with 'UM'", True),
        ("category ends with 'xxxdrum'", False),
        ("category contains '' and category starts with '' and category ends with ''", True),
        ("fr starts with 'éLÉ' and fr starts with 'e\u0301le\u0301'", True),
        ("fr like '%50\\%'", True),
        ("category like '%\\%%'", False),
        ("duration < 2s", True),
        ("duration between 1 and 1.5", True),
        ("n in ('7', 8)", False),
        ("n in ('7', 7)", True),
        ("category in ('Drum', 7)", True),
        ("category not in ('x', 7)", True),
        ("loop = true and loop = 1 and not loop = false", True),
        # neither true nor false
        ("text < 20", False),
        ("not text < 20", False),
        ("text > '2'", False),
        ("category < 2 or category >= 2", False),
        ("n = '7' or n != '7'", False),
        ("n contains '7' or not n contains '7'", False),
        ("missing = 1 or missing != 1 or missing not in (1) or missing not like 'x'", False),
        ("empty = 'x' or empty != 'x'", False),
        ("missing = 1 or n = 7", True),
        ("not (missing = 1 and n = 8)", True),
        ("not (missing = 1 or n = 8)", False),
        # missing
        ("missing is null and empty is null", True),
        ("missing is not null or empty is not null", False),
        ("n is not null and not n is null", True),
    ],
)
def test_meaning(text: str, expected: bool, database: sqlite3.Connection) -> None:
    tree = parse(text)
    assert evaluate(tree, ROW) is expected
    assert ask(database, tree, ROW) is expected


NAMES = ["a", "b", "c d", "it's", "x.y[0]", "]", "$", "é", "# 1", "%"]
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "A",
            "ab",
            "%",
            "_",
            "1",
            "2",
            "É",
            "e\u0301",
            "ß",
            "SS",
            "İ",
            "'; DROP TABLE item; --",
            '" OR 1=1 --',
            "?",
        ]
    ),
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-9999, 9999).map(lambda n: n / 8),
    st.just(2.0**53),
)
VALUES = st.one_of(TEXTS, NUMBERS)
NAME = st.sampled_from(NAMES)
PATTERNS = st.lists(st.sampled_from(["a", "B", "%", "_", "\\%", "\\_", "\\\\", "é", ".", "*"]), max_size=5).map("".join)
OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
LEAVES = st.one_of(
    st.builds(Comparison, NAME, OPERATORS, VALUES),
    st.builds(In, NAME, st.lists(VALUES, min_size=1, max_size=4).map(tuple)),
    st.builds(Between, NAME, TEXTS, TEXTS),
    st.builds(Between, NAME, NUMBERS, NUMBERS),
    st.builds(Match, NAME, st.sampled_from(["contains", "starts with", "ends with"]), TEXTS),
    st.builds(Match, NAME, st.just("like"), PATTERNS),
    st.builds(IsNull, NAME),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
ROWS = st.dictionaries(NAME, st.one_of(st.none(), st.booleans(), VALUES))


@settings(max_examples=500, deadline=None)
@given(expression=EXPRESSIONS, row=ROWS)
def test_sqlite_and_the_oracle_agree(database: sqlite3.Connection, expression: Expression, row: Row) -> None:
    assert ask(database, expression, row) == evaluate(expression, row)
    assert database.execute("SELECT count(*) FROM item").fetchone() == (1,)


@settings(max_examples=300, deadline=None)
@given(expression=EXPRESSIONS)
def test_what_is_printed_reads_as_the_same(expression: Expression) -> None:
    assert evaluate(parse(str(expression)), ROW) == evaluate(expression, ROW)
    assert fields(parse(str(expression))) == fields(expression)


@settings(max_examples=300, deadline=None)
@given(test=LEAVES, a=st.one_of(st.none(), VALUES), b=st.one_of(st.none(), TEXTS))
def test_declared_types_and_collations_do_not_matter(
    database: sqlite3.Connection, test: Expression, a: Any, b: Any
) -> None:
    database.execute("DELETE FROM item")
    database.execute("INSERT INTO item (a, b) VALUES (?, ?)", [a, b])
    held = dict(zip("ab", database.execute("SELECT a, b FROM item").fetchone(), strict=True))  # NUMERIC makes '1' 1
    for column in "ab":
        condition = compile(test, lambda _, column=column: (column, []))  # type: ignore[misc]
        found = database.execute(f"SELECT 1 FROM item WHERE {condition.sql}", condition.parameters).fetchone()
        assert (found is not None) == evaluate(test, dict.fromkeys(NAMES, held[column]))


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE item; --", "' OR '1'='1", "\\", "%' --", "a'b''c", '"x"', "?1", ":a", "@a"]
)
def test_nothing_of_a_filter_gets_into_the_sql(value: str, database: sqlite3.Connection) -> None:
    quoted = value.replace("'", "''")
    tree = parse(f"a = '{quoted}'")
    condition = compile(tree, in_json)
    assert set(condition.sql) <= set("(CASEWHNtypeofjsn_xractmd,?)ILTgusg'+ OBRY= 'intgrlED")
    assert value not in condition.sql and condition.parameters == ['$."a"', '$."a"', value]
    assert ask(database, tree, {"a": value}) and not ask(database, tree, {"a": value + "x"})


def test_long_filters_run(database: sqlite3.Connection) -> None:
    either = parse(" or ".join(f"n = {i}" for i in range(5000)))
    assert ask(database, either, {"n": 4999}) and not ask(database, either, {"n": 5000})
    listed = parse(f"n in ({', '.join(map(str, range(5000)))})")
    assert ask(database, listed, {"n": 4999})
    assert ask(database, parse("(" * 15 + "n = 1" + ")" * 15), {"n": 1})
    assert not ask(database, parse("not " * 15 + "n in (1, 'x')"), {"n": 1})


def test_what_is_too_deep_for_sqlite_is_refused_and_the_deepest_else_runs(database: sqlite3.Connection) -> None:
    wide = " or ".join(["n contains 'x'"] * 16)
    text, ran = "n = 1", 0
    for _ in range(14):
        text = f"({wide} or {text}) and n = 1 and not n = 2"
        try:
            assert ask(database, parse(text), {"n": 1})
            ran += 1
        except FilterError as error:
            assert "nested too deeply" in str(error)
    assert 2 <= ran < 14


@pytest.mark.parametrize(
    "name", [*NAMES, "", "a.b", "a[0]", "日本 語", "😀", "' OR 1 --", "{}", "null", "a:b", "/", "~"]
)
def test_json_paths_find_odd_names(name: str, database: sqlite3.Connection) -> None:
    row = {"other": 1, name: "found", name + "x": "wrong"}
    assert ask(database, Comparison(name, "=", "found"), row)
    assert not ask(database, Comparison(name, "!=", "found"), row)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", '"', '"] OR 1', "\x1f"])
def test_json_paths_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(FilterError, match="a field's name cannot hold"):
        json_path(name)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3kb", 3000), ("3 MB", 3_000_000), ("3mib", 3 * 1024**2), ("2 minutes", 120), ("1 hour", 3600), ("8 khz", 8000)],
)
def test_units_are_read_however_they_are_spelled(text: str, value: int) -> None:
    assert parse(f"a < {text}") == Comparison("a", "<", value)


@pytest.mark.parametrize("written", ["1:30", "90", "90 s", "1:02:03.5"])
def test_a_number_in_quotes_is_refused_of_what_is_a_number(written: str) -> None:
    for text in (f"a < '{written}'", f"b = 1 or a in (2, '{written}')", f"a between '{written}' and '9'"):
        with pytest.raises(FilterError, match=f"a is a number, and quotes make a text: write {written} in"):
            parse(text, numbers={"a"})
        assert parse(text.replace("a ", "c "), numbers={"a"})
    assert parse("a contains '9' or a = 'long'", numbers={"a"})
