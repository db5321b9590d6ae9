"""How text of a kind is said: SSML's say-as, for engines that read words only.

The kinds are those of the W3C note "SSML 1.0 say-as attribute values" (2005), and those that engines commonly read.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Mapping
from typing import Final

from analogon.speech.languages import primary

__all__ = ["cardinal", "expand", "ordinal"]

ONES: Final = (  # as far as they have words of their own
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS: Final = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES: Final = ["", "thousand", "million", "billion", "trillion", "quadrillion"]
ORDINALS: Final[Mapping[str, str]] = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
LETTERS: Final = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (
            *("ay", "bee", "see", "dee", "ee", "eff", "jee", "aitch", "eye", "jay", "kay", "ell", "em"),
            *("en", "oh", "pee", "cue", "ar", "ess", "tee", "you", "vee", "double-you", "ex", "why", "zee"),
        ),
        strict=True,
    )
)
WHOLE: Final = r"(?:0|[1-9]\d{0,2}(?:,\d{3}){1,5}|[1-9]\d{0,2}(?:[ \u00a0\u2009\u202f]\d{3}){1,5}|[1-9]\d{0,17})"
"""A whole number in English: with commas, or with blanks, before each three digits, or with neither."""
OF_NUMBERS: Final = frozenset({"cardinal", "ordinal", "digits", "telephone", "fraction"})
"""Kinds of numbers, which "number" may have as its format."""
SIGNS: Final[Mapping[str, str]] = {
    ".": "dot",
    ",": "comma",
    "-": "dash",
    "_": "underscore",
    "/": "slash",
    "\\": "backslash",
    "@": "at",
    "+": "plus",
    "&": "and",
    "#": "hash",
    "*": "star",
}


def expand(text: str, kind: str, form: str | None = None, language: str | None = "en") -> str | None:
    """How a text of a kind is said; None where that is not known, or not beyond doubt: "1,5", "1/2/03".

    In words in English. In any other language, and where none is known, only what needs no words is written: digits,
    telephone numbers and characters, apart from each other, so that whoever speaks them says one by one. Numbers are
    left: which gender and case they have is decided by the words around them.

    ``form`` is the format of a date ("mdy", "dmy", "yyyymmdd", "my", "md", "y", ...) or a time ("hms12", "hms24").

    >>> expand("12", "ordinal"), expand("1/2/2003", "date", "mdy"), expand("10:05", "time")
    ('twelfth', 'January second, two thousand three', 'ten oh five')
    >>> expand("A1", "characters"), expand("+1 555", "telephone"), expand("007", "digits")
    ('ay, one', 'plus one, five five five', 'zero zero seven')
    >>> expand("407", "digits", language="es"), expand("12", "cardinal", language="es")
    ('4 0 7', None)
    """
    text = text.strip()
    kind, _, inner = kind.strip().lower().partition(":")  # "date:mdy", as SSML's first drafts have it
    form = (form or inner).strip().lower()
    english = language is not None and primary(language) == "en"
    if kind == "number" and form:  # "number:ordinal", as SSML's first drafts have it
        if form not in OF_NUMBERS:
            return None
        kind, form = form, ""
    match kind:
        case "characters" | "spell-out" | "verbatim" | "letters" | "spell":
            return _characters(text) if english else _apart(text)
        case "digits" | "number_digit":
            return _digits(text, english) if re.fullmatch(r"\d[\d\s-]*", text, re.ASCII) else None
        case "telephone":
            return _telephone(text, english)
    if not english:
        return None
    match kind:
        case "cardinal" | "number":
            return _number(text)
        case "ordinal":
            found = re.fullmatch(rf"({WHOLE})(?:\.|st|nd|rd|th)?", text, re.ASCII | re.IGNORECASE)
            return ordinal(_whole(found[1])) if found else None
        case "fraction":
            return _fraction(text)
        case "date":
            return _date(text, form)
        case "time":
            return _time(text, form)
    return None


def cardinal(number: int) -> str:
    """A whole number of at most 18 digits in words.

    >>> cardinal(1234567), cardinal(-40), cardinal(100)
    ('one million two hundred thirty-four thousand five hundred sixty-seven', 'minus forty', 'one hundred')
    """
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number < 1000:
        return _below_thousand(number)
    words = []
    for scale in range(len(SCALES) - 1, -1, -1):
        part = number // 1000**scale % 1000
        if part:
            words.append(f"{_below_thousand(part)} {SCALES[scale]}".strip())
    return " ".join(words)


def ordinal(number: int) -> str:
    """A whole number from 0 as a rank.

    >>> ordinal(1), ordinal(20), ordinal(42)
    ('first', 'twentieth', 'forty-second')
    """
    words = cardinal(number)
    last = re.split("[ -]", words)[-1]
    rank = ORDINALS.get(last) or (last.removesuffix("y") + "ieth" if last.endswith("y") else f"{last}th")
    return words.removesuffix(last) + rank


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{ONES[hundreds]} hundred"] if hundreds else []
    if rest >= 20:
        words.append(TENS[rest // 10] + (f"-{ONES[rest % 10]}" if rest % 10 else ""))
    elif rest or not hundreds:
        words.append(ONES[rest])
    return " ".join(words)


def _whole(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def _number(text: str) -> str | None:
    found = re.fullmatch(rf"([+\u2212-]?)({WHOLE})(?:\.(\d{{1,40}}))?", text, re.ASCII)
    if not found:
        return None
    sign = {"": "", "+": "plus "}.get(found[1], "minus ")
    return sign + cardinal(_whole(found[2])) + (f" point {_digits(found[3])}" if found[3] else "")


def _fraction(text: str) -> str | None:
    """ "3/4" as three quarters, "2 1/2" and "2+1/2" as two and a half."""
    found = re.fullmatch(r"(?:([1-9]\d{0,5})\s*[+\s]\s*)?([1-9]\d{0,5})\s*[/\u2044]\s*([1-9]\d{0,5})", text, re.ASCII)
    if not found or int(found[3]) < 2:
        return None
    top, below = int(found[2]), int(found[3])
    many = top != 1
    if below > 100:
        part = f"{cardinal(top)} over {cardinal(below)}"
    else:
        unit = {2: "halves" if many else "half", 4: "quarter" + "s" * many}.get(below, ordinal(below) + "s" * many)
        part = f"{'a' if found[1] and not many else cardinal(top)} {unit}"
        part = part.replace("a eigh", "an eigh").replace("a elev", "an elev")
    return f"{cardinal(int(found[1]))} and {part}" if found[1] else part


def _digits(text: str, english: bool = True) -> str:
    return " ".join(ONES[int(one)] if english else one for one in text if one in "0123456789")


def _apart(text: str) -> str | None:
    """Letters and digits with commas between; None where there is a sign, whose name only a language has."""
    kept = [one for one in unicodedata.normalize("NFC", text) if not one.isspace()]
    return ", ".join(kept) if kept and all(one.isalnum() for one in kept) else None


def _characters(text: str) -> str | None:
    names = []
    for one in unicodedata.normalize("NFC", text):
        if one.isspace():
            continue
        lower = one.lower()
        if lower in LETTERS:
            names.append(LETTERS[lower])
        elif one in "0123456789":
            names.append(ONES[int(one)])
        elif one in SIGNS:
            names.append(SIGNS[one])
        elif one.isalnum():
            return None  # letters of another script have names of their own
        elif name := unicodedata.name(one, ""):
            names.append(name.lower())
    return ", ".join(names) or None


def _telephone(text: str, english: bool) -> str | None:
    if not re.fullmatch(r"(\+[^\S\r\n]*)?[\d\s()./-]*\d[\d\s()./-]*", text, re.ASCII):
        return None
    plus = "" if not text.startswith("+") else "plus " if english else "+ "
    return plus + ", ".join(_digits(group, english) for group in re.findall(r"\d+", text, re.ASCII))


def _year(number: int) -> str:
    """1984 as nineteen eighty-four, 2003 as two thousand three."""
    century, rest = divmod(number, 100)
    if number < 1000 or number > 9999 or century % 10 == 0:
        return cardinal(number)
    return f"{cardinal(century)} {'hundred' if not rest else f'oh {ONES[rest]}' if rest < 10 else cardinal(rest)}"


def _date(text: str, form: str) -> str | None:
    if not re.fullmatch(r"\d{1,8}(?:\s*[\s./-]\s*\d{1,4}){0,2}", text, re.ASCII):
        return None
    parts = re.findall(r"\d+", text)
    if len(parts) == 1 and len(form) == len(text) > 4:  # "20240201" as yyyymmdd
        parts = ["".join(text[at] for at, one in enumerate(form) if one == field) for field in dict.fromkeys(form)]
    # Without a format only the order of ISO 8601 is beyond doubt.
    order = "".join(dict.fromkeys(form or ("ymd" if len(parts[0]) == 4 else "")))
    if len(order) != len(parts) or set(order) - set("ymd"):
        return None
    given = dict(zip(order, parts, strict=True))
    if any(len(part) > 2 for field, part in given.items() if field != "y"):
        return None
    year, month, day = (int(given[field]) if field in given else None for field in "ymd")
    # Of "03" nobody can tell the century.
    if year is not None and (len(given["y"]) not in (3, 4) or not year):
        return None
    if month is not None and not 1 <= month <= 12:
        return None
    if day is not None and (month is None or not 1 <= day <= monthrange(2000 if year is None else year, month)[1]):
        return None
    said = "" if month is None else MONTHS[month - 1] + (f" {ordinal(day)}" if day else "")
    if year is None:
        return said or None
    return f"{said}{', ' if day else ' ' if said else ''}{_year(year)}"


def _time(text: str, form: str) -> str | None:
    found = re.fullmatch(
        r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?\s*(?:([ap])\.?(?:\s?m\.?)?)?", text, re.ASCII | re.IGNORECASE
    )
    if not found:
        return None
    if form[:1] not in ("", "h", "1", "2"):
        return None  # "ms": what stands first is no hour
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute or second)):
        return None
    if found[4] and not 1 <= hour <= 12:
        return None
    half = f" {found[4].lower()} m" if found[4] else ""
    # Of two halves of a day "2:30" may be in either; 14:30 and 0:30 are in one.
    if not half and form.endswith("12") and not 1 <= hour <= 12 and hour < 24:
        half, hour = (" p m" if hour else " a m"), (hour - 1) % 12 + 1
    minutes = "" if not minute else f" oh {ONES[minute]}" if minute < 10 else f" {cardinal(minute)}"
    if not minute and not half:
        minutes = " hundred" if hour > 12 or hour == 0 else " o'clock"
    seconds = f" and {cardinal(second)} second{'s' * (second != 1)}" if second else ""
    return f"{cardinal(hour)}{minutes}{seconds}{half}"
