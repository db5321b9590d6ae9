"""What people write where SSML wants it otherwise, read as it is plainly meant: slips of XML, values as vendors write.

Of each slip there is a line for people. Nothing here opens, follows or expands anything: text becomes other text, and
is parsed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.entities import html5
from typing import Final

__all__ = ["ELEMENTS", "likely_slip", "read_value", "repair"]

ELEMENTS: Final = frozenset(
    {"audio", "break", "desc", "emphasis", "lang", "lexicon", "lookup", "mark", "meta", "metadata", "p", "phoneme"}
    | {"prosody", "s", "say-as", "speak", "sub", "token", "voice", "w"}
)
EMPTY: Final = ("break", "mark")
OWN: Final = frozenset({"amp", "lt", "gt", "apos", "quot"})
"""The entities of XML itself."""
TAG: Final = re.compile(r"""<(?:[^<>"']|"[^"<]*"|'[^'<]*')*>""")
PARTS: Final = re.compile(r"<(\s*)(/?)(\s*)([^\W\d][\w:.-]*)(.*?)(/?)\s*>", re.DOTALL)
ATTRIBUTES: Final = re.compile(
    r"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'|[“”„‟″][^“”„‟″"]*[“”„‟″"]|[‘’‚‛′][^‘’‚‛′']*[‘’‚‛′']"""
    r"""|[^\s"'=<>“”„‘’]+))*\s*"""
)
QUOTED: Final = re.compile(
    r"""("[^"]*"|'[^']*')|=\s*(?:[“”„‟″]([^“”„‟″"]*)[“”„‟″"]|[‘’‚‛′]([^‘’‚‛′']*)[‘’‚‛′']|([^\s"'=<>“”„‘’]+))"""
)
AMPERSAND: Final = re.compile(r"&(?:#\d+;|#x[0-9a-f]+;|([a-z][a-z0-9]*);)?", re.IGNORECASE)
FENCE: Final = re.compile(r"\s*```\w*[ \t]*\n(.*?)\n?\s*```\s*", re.DOTALL)


def repair(text: str) -> tuple[str, list[str]]:
    """A document in which slips that are plainly meant are mended, and a line for each kind of them.

    Bare ``&`` and ``<``, blanks after ``<``, the entities of HTML, quotes that are curly or left out, breaks that are
    not closed, what stands before an XML declaration, and the fence of Markdown around it all.

    >>> repair('< speak>Jack & Jill&nbsp;< break time=“1s”></ speak>')[0]
    '<speak>Jack &amp; Jill\\xa0<break time="1s"/></speak>'
    """
    told: dict[str, None] = {}
    if fence := FENCE.fullmatch(text):
        told["the fence of ``` around the document is passed over"] = None
        text = fence[1]
    if text[:1].isspace() and text.lstrip().startswith("<?xml"):
        told["what stands before the XML declaration is passed over"] = None
        text = text.lstrip()
    return "".join(_repaired(text, told)), list(told)


def _repaired(text: str, told: dict[str, None]) -> Iterator[str]:
    here = 0
    missing: set[str] = set()  # ends that do not come any more
    while here < len(text):
        start = text.find("<", here)
        if start < 0:
            yield _references(text[here:], told)
            return
        yield _references(text[here:start], told)
        closed = False
        for opening, ending in (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")):
            if text.startswith(opening, start) and ending not in missing:
                end = text.find(ending, start + len(opening))
                if end < 0:
                    missing.add(ending)
                    continue
                here, closed = end + len(ending), True
                yield text[start:here]
                break
        if closed:
            continue
        if text.startswith("<!", start):  # whatever it is, it is not for here to mend
            yield "<!"
            here = start + 2
            continue
        tag = TAG.match(text, start)
        mended = _tag(tag[0], text, tag.end(), told) if tag else None
        if tag is None or mended is None:
            told["a < that begins no element is read as a sign of the text: write &lt;"] = None
            yield "&lt;"
            here = start + 1
        else:
            yield mended
            here = tag.end()


def _tag(tag: str, text: str, after: int, told: dict[str, None]) -> str | None:
    """A tag as XML has it; None where it is none."""
    found = PARTS.fullmatch(tag)
    if not found:
        return None
    before, slash, between, name, rest, empty = found.groups()
    known = name.lower() in ELEMENTS or ":" in name
    if (before or between) and not known:
        return None
    if not ATTRIBUTES.fullmatch(rest):
        return tag
    if before or between:
        told["a blank after < is passed over"] = None

    def quoted(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        curly = match[2] if match[2] is not None else match[3]
        told["values of attributes stand in straight quotes: others, or none, are read as these"] = None
        return '="' + (curly if curly is not None else match[4]).replace('"', "&quot;") + '"'

    rest = _references(QUOTED.sub(quoted, rest), told)
    closed = empty or slash or re.compile(rf"\s*<\s*/\s*{re.escape(name)}\b").match(text, after)
    if name.lower() in EMPTY and not closed:
        told[f"a <{name}> that is not closed is read as <{name}/>"] = None
        empty = "/"
    return f"<{slash}{name}{rest}{empty}>"


def _references(text: str, told: dict[str, None]) -> str:
    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        if match[0] == "&":
            told["a bare & is read as a sign of the text: write &amp;"] = None
            return "&amp;"
        if name is None or name in OWN or f"{name};" not in html5:
            return match[0]
        told["entities of HTML, such as &nbsp;, are read as the signs that they stand for"] = None
        return html5[f"{name};"].replace("&", "&amp;").replace("<", "&lt;")

    return AMPERSAND.sub(replaced, text)


def likely_slip(text: str, line: int, column: int) -> str:
    """What a place where XML ends looks like: a hint in words, or nothing. ``line`` from 1, ``column`` from 0."""
    lines = text.split("\n")
    row = lines[line - 1] if line <= len(lines) else ""
    near = row[max(0, column - 2) : column + 2]
    if re.search("[“”„‟‘’‚‛]", near) and "<" in row[:column]:
        return "; values of attributes stand in straight quotes"
    if re.search(r"&(?!#?\w+;)", row[max(0, column - 2) : column + 40].split(";")[0] + ";"):
        return "; a bare & is written &amp;"
    if re.search(r"<\s", near):
        return "; no blank stands after <, and a < of the text is written &lt;"
    if re.search(r"<[^A-Za-z_/!?]", near):
        return "; a < of the text is written &lt;"
    return ""


# -- values ------------------------------------------------------------------------------------------------------------

UNITS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), "ms"),
}
NUMBER: Final = r"\d+(?:\.\d*)?|\.\d+"
MOST_SECONDS: Final = 10.0
FEWEST_MILLISECONDS: Final = 100.0
SMALL: Final = 50.0
"""Percent: what is less without a sign can only be a change of a pitch, not a pitch of so little."""


def read_value(element: str, name: str, value: str, changes: bool = False) -> str | None:
    """A value as SSML writes what is plainly meant by it, None for no value at all; itself where that is not plain.

    ``changes`` is true in documents for Azure, where a percentage without a sign is a change: its editor writes 0% for
    none, and 20.00% for a fifth more, which SSML would take for a fifth.

    >>> read_value("break", "time", "500 ms"), read_value("break", "time", "3"), read_value("prosody", "rate", "0%")
    ('500ms', '3s', None)
    >>> read_value("prosody", "rate", "20.00%"), read_value("prosody", "rate", "20.00%", changes=True)
    ('20.00%', '+20.00%')
    """
    if (element, name) not in READ or len(value) > 40:
        return value
    squeezed = "".join(value.split())
    text = squeezed.lower()
    if element == "break" and name == "time":
        found = re.fullmatch(rf"\+?({NUMBER})([a-z]*)", text, re.ASCII)
        if not found:
            return value
        number, unit = float(found[1]), UNITS.get(found[2])
        if not found[2]:
            unit = "s" if number <= MOST_SECONDS else "ms" if number >= FEWEST_MILLISECONDS else None
        return value if unit is None else found[1] + unit
    if element != "prosody":
        return text
    found = re.fullmatch(rf"([+-]?)({NUMBER})(%|st|hz|db|)", text, re.ASCII)
    if not found:
        return text if text.replace("-", "").isalpha() else squeezed
    sign, number, unit = found[1], float(found[2]), found[3]
    if number == 0 and (unit in ("%", "st", "db") or (name == "pitch" and not unit)):
        return None
    if not sign and unit == "%" and (changes or (name == "pitch" and number <= SMALL)):
        return f"+{squeezed}"
    return f"+{squeezed}" if not sign and unit == "st" else squeezed


READ: Final = frozenset(
    {("break", "time"), ("break", "strength"), ("emphasis", "level")}
    | {("prosody", "rate"), ("prosody", "pitch"), ("prosody", "volume")}
)
