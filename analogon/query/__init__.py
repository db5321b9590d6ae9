r"""Queries as expressions: what to add, what to take away, what to go towards, and in what shares.

::

    query    = sum
    sum      = [sign] part ((operator [sign] part) | modifier)*
    operator = "+" or "-" with white space on both sides
    sign     = "+" or "-"
    part     = [number ":"] atom | modifier
    atom     = "(" sum ")" | function | "text" | file | "id:" number | text
    function = "toward(" sum "," sum "," number ")"     this share of the way from the first to the second
             | "apply(" name "," sum ["," number] ")"   a relation, with a strength of 1 unless there is another
    modifier = "without(" sum ")"                       that direction is projected out
             | "exclude(" sum "," number ")"            hits are dropped whose cosine with it is 1 - number or more
    file     = "./..." | "../..." | "/..." | "~/..." | "file:..." | 'file:"..."' | the name of a file that exists

A text stands as it is typed: ``rain on a tin roof, no traffic``, ``lo-fi hip-hop``, ``C++``, ``drum (dry)``, ``AC/DC``.
It ends at an operator, at a modifier, and within parentheses where they close. So:

- ``-`` and ``+`` are operators with white space on both sides, and signs where a part begins; elsewhere, as in
  ``lo-fi`` or ``rain -traffic``, they belong to the text. ``-traffic`` alone asks for the opposite direction.
- ``2:`` where a part begins is a weight: ``10:30 in the morning`` asks for ten times "30 in the morning".
- A parenthesis opens a group where a part begins; within a text, balanced parentheses belong to it with all that
  they hold, and outside of every group, so do others: ``smile :)``.
- Functions and modifiers are read where their name touches its parenthesis: functions where a part begins, modifiers
  there or after white space. ``music without(drums)`` projects; ``music without (drums)`` is a text.
- In a function or modifier a comma ends an argument; elsewhere it belongs to the text.
- An en dash and a minus sign are a minus wherever ``-`` is one: ``rain – traffic``. ``rock–paper`` is a text.
- Double quotes where a part begins make a text of what they hold: ``"10:30 - noon"``. Within them ``\"`` is a quote and
  ``\\`` a backslash. ``file:"./a - b.wav"`` is a file whose name holds syntax. Single quotes are letters like others.
- A part, or the whole query whatever it holds, that names an existing file with a suffix that analogon reads, is that
  file.

``without`` and ``exclude`` apply to the whole sum of their level, wherever they stand in it: ``a without(c) + b`` is
``a + b without(c)``, and ``(a without(c)) + b`` is not. Several ``without`` of a level take away all that their
directions span. ``exclude`` stands outside of all parentheses. A group is normalised before it is added:
``2:(a + b)`` weighs 2, whatever the angle between a and b.

>>> query = parse("2:rain + ./roof.wav - heavy traffic without(voices)")
>>> print(query)
2:rain + ./roof.wav - heavy traffic without(voices)
>>> query == (text("rain") * 2 + file("./roof.wav") - text("heavy traffic")).without(text("voices"))
True
>>> print(apply("male-female", toward(text("king"), item(5), 0.3), 0.5).exclude(text("chess, cards"), 0.25))
apply(male-female, toward(king, id:5, 0.3), 0.5) exclude("chess, cards", 0.25)

In Python an array is a part too: ``text("king") - vector(man) + vector(woman)``, each scaled to length 1.

Python's operators are linear: ``2 * (a + b) - c`` is ``2:a + 2:b - c``. ``Sum`` and ``Term`` build groups.

As JSON, a query is

- a string: a file where it starts like a path or names an existing one, ``"id:5"``, else a text, whatever it holds;
- ``{"text": string}`` or ``{"file": string}``, to say which;
- ``{"vector": [numbers]}``, with the ``"space"`` that it is of, as ``Space.to_json`` has it, where that is known;
- an object of weights, ``{"rain": 2, "traffic": -1}``: wherever all values are numbers;
- a list, the sum of its elements: queries, objects of weights, whose terms join the sum, and
  ``{"of": query, "weight": number}``;
- ``{"of": query, "without": query}``, ``{"from": query, "toward": query, "t": number}``,
  ``{"apply": name, "of": query, "strength": number}``, ``{"of": query, "exclude": query, "radius": number}``.

``read_json`` reads one from the text of JSON, and refuses an object that has a key twice.

>>> from_json({"of": {"rain": 2, "traffic": -1}, "without": "voices"}) == parse("2:rain - traffic without(voices)")
True
"""

from __future__ import annotations

from analogon.query.expression import parse
from analogon.query.folding import fold
from analogon.query.hints import hint, looks_like_file, taken_as_words
from analogon.query.json import from_json, read_json, to_json
from analogon.query.tree import (
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
    apply,
    excludes,
    file,
    is_plain,
    item,
    leaves,
    relations,
    text,
    toward,
    vector,
    vectors,
    without_excludes,
)

__all__ = [
    "Apply",
    "Exclude",
    "File",
    "Item",
    "Leaf",
    "Query",
    "Sum",
    "Term",
    "Text",
    "Toward",
    "Vector",
    "Without",
    "apply",
    "excludes",
    "file",
    "fold",
    "from_json",
    "hint",
    "is_plain",
    "item",
    "leaves",
    "looks_like_file",
    "parse",
    "read_json",
    "relations",
    "taken_as_words",
    "text",
    "to_json",
    "toward",
    "vector",
    "vectors",
    "without_excludes",
]
