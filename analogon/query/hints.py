"""What a text typed as a query may have been meant to say, and the form that says it."""

from __future__ import annotations

import re
from typing import Final

from analogon.query.tree import Query, Sum, Term, Text, Without
from embed.errors import printable
from embed.media import modalities_of

__all__ = ["hint", "looks_like_file", "taken_as_words"]

# Words after which "no", "not" and "sin" deny nothing: "no one", "not only", and "sin city", which is English.
IDIOMS: Final = {
    word: re.compile(rf"(?:{after})\b", re.IGNORECASE)
    for word, after in (
        ("no", r"one|man's|more|longer|matter|way|doubt|problem|less|sooner|such|\d+"),
        ("not", r"only|just|yet|quite|really|so|very|all|found|to\s+be|bad|even"),
        ("sin", r"of|and|or|is|in|city|cities|tax|bin|waves?|against|by|embargo|duda|fin"),
    )
}
DENIAL: Final = re.compile(
    r"(?:(?<=^)|(?<=[\s,;.(]))(?:(?:but|and|with|pero|y|con)\s+)?"
    r"(?P<all>(?P<word>without(?:\s+any)?|no|not(?:\s+any)?|sin(?:\s+ning[uú]na?)?)\s+"
    r"(?:the\s+|an?\s+|el\s+|la\s+|los\s+|las\s+)?)(?=[^\s,;.])",
    re.IGNORECASE,
)
LEADING: Final = re.compile(
    r"(?:(?:^|\s+)(?:that|which|who|there|is|are|was|were|has|have|does|do|que|es|est[aá]n?|hay|tiene))+\s*$",
    re.IGNORECASE,
)
"""Words that led to a denial and say nothing without it: "a dog that is not barking"."""
ENDS: Final = re.compile(r"\s*[,;]\s*")
DASH: Final = re.compile(r"\s(?:\N{EM DASH}|--)\s")
JSON: Final = re.compile(r'\s*[{\[]\s*["{\[]')
SHOWN: Final = 60
LONGEST: Final = 500
"""Characters from which a text is no question with a denial in it, but a lyric or an article."""
MOST: Final = 5  # denials of a question


def hint(typed: str, query: Query) -> str | None:
    """How to ask for what ``typed`` may mean, in one line, where it was read as the words of ``query``; None else.

    "without X", "no X", "not X" and "sin X" are words like others to an encoder, and bring X nearer. Words within
    double quotes are meant as they stand.

    >>> hint("rain without traffic", Text("rain without traffic"))
    '"without traffic" is read as words like others; to take traffic away: rain - traffic, or rain without(traffic)'
    """
    if not isinstance(query, Text) or len(typed) > LONGEST or query.text != typed.strip():
        return None
    if JSON.match(typed):
        return "this begins like JSON, but is none that can be read: it is taken as words"
    if DASH.search(typed):
        return "a long dash belongs to the words, two as well; to take something away: A - B, with a short one"
    denials = [one for one in DENIAL.finditer(typed) if not _idiom(one)]
    if not 0 < len(denials) <= MOST:
        return None
    kept = [typed[: denials[0].start()]]
    away: list[str] = []
    end = 0
    for one, after in zip(denials, [*denials[1:], None], strict=True):
        denied, *rest = ENDS.split(typed[one.end() : after.start() if after else len(typed)], maxsplit=1)
        away.append(denied)
        end = one.end() + len(denied)
        kept += rest
    wanted = ", ".join(words for one in kept if (words := LEADING.sub("", one).strip(" \t\n,;.()")))
    unwanted = [words for one in away if (words := _bare(one))]
    if not unwanted:
        return None
    said = f'"{_short(typed[denials[0].start("all") : end])}" is read as words like others'
    them = " and ".join(map(_short, unwanted))
    if not wanted:
        form = Sum((Term(1.0, Text("SOMETHING")), *(Term(-1.0, Text(one)) for one in unwanted)))
        return f"{said}; to take {them} away from something: {_short(str(form))}"
    minus: Query = Sum((Term(1.0, Text(wanted)), *(Term(-1.0, Text(one)) for one in unwanted)))
    out: Query = Text(wanted)
    for one_away in unwanted:
        out = Without(out, Text(one_away))
    return f"{said}; to take {them} away: {printable(str(minus))}, or {printable(str(out))}"


def looks_like_file(leaf: Query, typed: str) -> bool:
    """Whether a text of the query ``typed`` is a name of media, and not in quotes: there is no such file, then."""
    if not isinstance(leaf, Text) or f'"{leaf.text}"' in typed or "\n" in leaf.text:
        return False
    return len(leaf.text) < LONGEST and bool(set(modalities_of(leaf.text)) - {"text"})


def taken_as_words(leaf: Query) -> str:
    """What to say of such a text."""
    name = leaf.text if isinstance(leaf, Text) else str(leaf)
    return f"there is no file {_short(name)}: its name is taken as words; in quotes it is meant so"


def _idiom(found: re.Match[str]) -> bool:
    idioms = IDIOMS.get(found["word"].lower())
    return idioms is not None and idioms.match(found.string, found.end()) is not None


def _bare(words: str) -> str:
    """What is denied without the parentheses and stops around it, and without an "and" that led to the next."""
    stripped = words.strip(" \t\n,;.").removeprefix("(").removesuffix(")") if "(" in words else words.strip(" \t\n,;.)")
    return re.sub(r"\s+(?:and|or|y|o|nor|but|pero)$", "", stripped.strip(), flags=re.IGNORECASE)


def _short(words: str) -> str:
    shown = printable(" ".join(words.split()))
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
