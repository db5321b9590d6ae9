"""Analogy questions, a : b :: c : ?, from Google's question files and from the folders of BATS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embed.errors import MediaError, UsageError
from embed.media import check_readable

__all__ = ["Entry", "Questions", "Section", "read_questions"]

NO_SECTION: Final = "(no section)"


@dataclass(frozen=True, slots=True)
class Entry:
    """A word and what stands in the relation to it: any of ``answers`` is right."""

    word: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """Questions of one relation, made of its entries.

    ``questions`` is int64 ``(n, 2)``: the entry that is given (a : b) and the one that is asked for (c : ?).
    """

    name: str
    entries: tuple[Entry, ...]
    questions: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Sections in the order of their file or files, and a line on each line that was left out."""

    sections: tuple[Section, ...]
    left_out: tuple[str, ...]


def read_questions(path: Path) -> Questions:
    """A file of questions (Mikolov et al. 2013), or a folder of BATS (Gladkova, Drozd and Matsuoka 2016).

    - A file: ``: section`` begins a section, every other line is a question of four words; empty lines and those that
      begin with ``#`` are passed over.
    - A folder: each ``.txt`` file below it is a section, each line a word, a tab or spaces, and its right answers
      parted by ``/``; every ordered pair of different lines is a question.

    Lines that are neither are left out and named. Raises ``UsageError`` where there is no question at all, and
    ``MediaError`` where a file cannot be read.
    """
    sections: list[Section] = []
    left_out: list[str] = []
    if path.is_dir():
        for file in sorted(path.rglob("*.txt")):
            try:
                sections.append(_bats(file, left_out))
            except MediaError as error:
                left_out.append(str(error))
        hint = "a folder should hold .txt files with a line for each pair: a word, a tab, and its answers"
    else:
        sections = _google(path, left_out)
        hint = "a file should have ': section' lines and four words on every other line"
    if not any(len(section.questions) for section in sections):
        raise UsageError(f"{path}: no analogy questions there; {hint}")
    return Questions(tuple(sections), tuple(left_out))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    check_readable(path)
    for number, line in enumerate(path.read_text("utf-8-sig", "replace").split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def _google(path: Path, left_out: list[str]) -> list[Section]:
    sections: list[Section] = []
    name, entries, asked = NO_SECTION, dict[Entry, int](), list[tuple[int, int]]()

    def close() -> None:
        if asked or name != NO_SECTION:
            sections.append(Section(name, tuple(entries), np.array(asked, np.int64).reshape(-1, 2)))

    for number, line in _lines(path):
        words = line.split()
        if words[0] == ":" or (words[0].startswith(":") and len(words) != 4):
            close()
            name, entries, asked = line.strip().lstrip(": "), {}, []
        elif len(words) == 4:
            a, b, c, d = words
            given, wanted = (entries.setdefault(Entry(x, (y,)), len(entries)) for x, y in ((a, b), (c, d)))
            asked.append((given, wanted))
        else:
            left_out.append(f"{path}, line {number}: {len(words)} words, not four")
    close()
    return sections


def _bats(path: Path, left_out: list[str]) -> Section:
    entries: dict[Entry, None] = {}
    for number, line in _lines(path):
        word, _, rest = line.strip().partition("\t") if "\t" in line.strip() else _at_space(line.strip())
        answers = tuple(dict.fromkeys(part for answer in rest.split("/") if (part := answer.strip())))
        if answers:
            entries[Entry(word.strip(), answers)] = None
        else:
            left_out.append(f"{path}, line {number}: a word without an answer")
    pairs = [(i, j) for i in range(len(entries)) for j in range(len(entries)) if i != j]
    return Section(path.stem, tuple(entries), np.array(pairs, np.int64).reshape(-1, 2))


def _at_space(line: str) -> tuple[str, str, str]:
    word, *rest = line.split(None, 1)
    return word, " ", rest[0] if rest else ""
