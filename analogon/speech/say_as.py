"""How text of a kind is said in English: SSML's say-as, for engines that read words only.

The kinds are those of the W3C note "SSML 1.0 say-as attribute values" (2005), and those that engines commonly read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

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


def expand(text: str, kind: str, form: str | None = None) -> str | None:
    """The words in which an English speaker reads a text of a kind; None where the kind or the text is not known.

    ``form`` is the format of a date ("mdy", "dmy", "ymd", "my", "md", "y", ...) or a time ("hms12", "hms24").

    >>> expand("12", "ordinal"), expand("1/2/2003", "date", "mdy"), expand("10:05", "time")
    ('twelfth', 'January second, two thousand three', 'ten oh five')
    >>> expand("A1", "characters"), expand("+1 555", "telephone"), expand("007", "digits")
    ('ay, one', 'plus one, five five five', 'zero zero seven')
    """
    match kind.strip().lower():
        case "characters" | "spell-out" | "verbatim" | "letters":
            return _characters(text)
        case "cardinal" | "number":
            return _number(text)
        case "ordinal":
            found = re.fullmatch(r"(\d{1,18})\.?(?:st|nd|rd|th)?", _plain(text), re.ASCII | re.IGNORECASE)
            return ordinal(int(found[1])) if found else None
        case "digits":
            return _digits(text) if re.fullmatch(r"[\d\s.,-]+", text, re.ASCII) else None
        case "telephone":
            return _telephone(text)
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


def _plain(text: str) -> str:
    return re.sub(r"[\s,]", "", text)


def _number(text: str) -> str | None:
    found = re.fullmatch(r"([+-]?)(\d{1,18})(?:\.(\d{1,40}))?", _plain(text), re.ASCII)
    if not found:
        return None
    sign = {"-": "minus ", "+": "plus ", "": ""}[found[1]]
    return sign + cardinal(int(found[2])) + (f" point {_digits(found[3])}" if found[3] else "")


def _digits(text: str) -> str:
    return " ".join(ONES[int(one)] for one in text if one in "0123456789")


def _characters(text: str) -> str | None:
    names = []
    for one in text:
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


def _telephone(text: str) -> str | None:
    groups = re.findall(r"\+|\d+", text, re.ASCII)
    if not groups or re.search(r"[^\d\s+()./-]", text, re.ASCII):
        return None
    said = ", ".join("plus" if group == "+" else _digits(group) for group in groups)
    return said.replace("plus, ", "plus ")


def _year(number: int) -> str:
    """1984 as nineteen eighty-four, 2003 as two thousand three."""
    century, rest = divmod(number, 100)
    if number < 1000 or number > 9999 or century % 10 == 0:
        return cardinal(number)
    return f"{cardinal(century)} {'hundred' if not rest else f'oh {ONES[rest]}' if rest < 10 else cardinal(rest)}"


def _date(text: str, form: str | None) -> str | None:
    parts = re.findall(r"\d{1,4}", text, re.ASCII)
    if re.search(r"[^\d\s./-]", text, re.ASCII) or not parts:
        return None
    # Without a format only the order of ISO 8601 is beyond doubt.
    order: Sequence[str] = (form or ("ymd" if len(parts[0]) == 4 else "")).lower()
    if len(order) != len(parts) or len(set(order)) != len(order) or set(order) - set("ymd"):
        return None
    number = dict(zip(order, map(int, parts), strict=True))
    year, month, day = number.get("y"), number.get("m"), number.get("d")
    if (month is not None and not 1 <= month <= 12) or (day is not None and not 1 <= day <= 31):
        return None
    if day is not None and month is None:
        return None
    said = "" if month is None else MONTHS[month - 1] + (f" {ordinal(day)}" if day else "")
    if year is None:
        return said or None
    return f"{said}{', ' if day else ' ' if said else ''}{_year(year)}"


def _time(text: str, form: str | None) -> str | None:
    found = re.fullmatch(
        r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?\s*([ap])?\.?m?\.?", text.strip(), re.ASCII | re.IGNORECASE
    )
    if not found:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 24 or minute > 59 or second > 59 or (found[4] and not 1 <= hour <= 12):
        return None
    half = f" {found[4].lower()} m" if found[4] else ""
    if not half and (form or "").lower().endswith("12"):
        half, hour = (" p m" if 12 <= hour < 24 else " a m"), (hour - 1) % 12 + 1
    minutes = "" if not minute else f" oh {ONES[minute]}" if minute < 10 else f" {cardinal(minute)}"
    if not minute and not half:
        minutes = " hundred" if hour > 12 or hour == 0 else " o'clock"
    seconds = f" and {cardinal(second)} second{'s' * (second != 1)}" if second else ""
    return f"{cardinal(hour)}{minutes}{seconds}{half}"
