"""The words that a file is called by: its name and folders taken apart, its texts in a side table, and a question's.

``kick_808_dark.wav`` says "kick 808 dark", ``IMG_20240703_BeachSunset (2).jpg`` says "Beach Sunset", and
``0007.wav`` says nothing. What a camera or a recorder counts with is no word.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from embed.media import SUFFIXES, modalities_of
from indexes.records import ADDED, added

__all__ = ["Words", "content_words", "file_name", "folded", "key_of", "split", "texts_of", "words_of"]

FOLDERS: Final = 2  # how many of the folders above a file name it; what lies further up is rarely about it
FOLDER: Final = 0.9  # what the meaning of a folder's name counts beside the file's own name and its captions
LONGEST: Final = 4000  # characters of a caption that count
REMEMBERED: Final = 200  # characters of a value that may come again, as a mood does
BREAKS: Final = re.compile(
    r"(?<=[a-z])(?=[A-Z])"  # BeachSunset
    r"|(?<=[A-Z])(?=[A-Z][a-z])"  # TVRoom
    r"|(?<=[^\W\d_])(?=\d)"  # blip2
    r"|(?<=\d)(?=[^\W\d_]{3})"  # 120bpm, but 3d and 2nd stay whole
)
WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)*")
COUNTED: Final = frozenset(
    {"take", "tk", "track", "no", "nr", "copy", "ver", "version", "v", "part", "pt", "vol", "zoom", "scan", "untitled"}
)
"""Words that go with the number behind them; alone they stay."""
CAMERA: Final = frozenset(
    {"img", "imgp", "imag", "dsc", "dscn", "dscf", "dcim", "pxl", "vid", "mvi", "mov", "dji", "gopr", "gh", "wa"}
)
"""What cameras and telephones put before a number; it says nothing with a number or without."""
_STOPWORDS: Final = """
    a an the of on in at to for from by with without into onto over under out up down off and or but not no nor as
    is are was were be been being am do does did doing have has had having it its it's this that these those there
    here i me my we us our you your he him his she her they them their who whom whose which what where when why how
    some any each every all both more most other another such only own same so than too very just can could will
    would should may might must shall about again then once while during through between against one s t
"""
_MEDIUM: Final = """
    sound sounds audio recording recordings sample samples clip clips file files picture pictures photo photos
    photograph photographs image images video videos
"""
ACCENTS: Final = frozenset(map(chr, range(0x300, 0x370)))  # Unicode's combining diacritical marks
STOPWORDS: Final = frozenset(_STOPWORDS.split())
MEDIUM: Final = frozenset(_MEDIUM.split())
"""What a question says of the medium that it asks for; it counts only where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Words:
    """What one source is called: the words of its file name, of its folders (nearest last), and its captions."""

    name: str
    folder: str
    captions: tuple[str, ...]


def words_of(path: str, row: int | None, metadata: Mapping[str, Any]) -> Words:
    """The words of a source; a row of a table has those of its other columns alone.

    >>> words_of("/drums/kicks/kick_808_dark.wav", None, {"mood": "heavy, slow", "bpm": 90})
    Words(name='kick 808 dark', folder='drums kicks', captions=('heavy, slow',))
    """
    captions = tuple(dict.fromkeys(filter(None, (_caption(value) for value in metadata.values()))))
    if row is not None:
        return Words("", "", captions)
    folder, stem, suffix = _parted(path)
    folder = folder[len(ADDED) :] if added(path) else folder  # an id has no folder of ours
    return Words(" ".join(split(stem if suffix.lower() in SUFFIXES else stem + suffix)), _folders(folder), captions)


def _parted(path: str) -> tuple[str, str, str]:
    """A path's folder, and its name's stem and suffix, as ``pathlib`` has them, for a tenth of what that takes."""
    folder, slash, name = path.rpartition(os.sep)
    if not slash or os.altsep or name in ("", ".", ".."):
        pure = PurePath(path)
        return str(pure.parent), pure.stem, pure.suffix
    dot = name.rfind(".")
    return (folder or slash, name[:dot], name[dot:]) if 0 < dot < len(name) - 1 else (folder or slash, name, "")


@functools.lru_cache(1024)
def _folders(folder: str) -> str:
    return " ".join(filter(None, (" ".join(split(part)) for part in PurePath(folder).parts[-FOLDERS:])))


def split(name: str) -> list[str]:
    """The words of a name without its extension; numbers that only count are left out.

    A number of three digits that does not begin with 0 is kept (808, 120 bpm), as is a year, unless a word such as
    "take" or a camera's prefix stands before it.

    >>> split("kick_808_dark"), split("IMG_1984_BeachSunset (2)"), split("rain-take3"), split("0007")
    (['kick', '808', 'dark'], ['Beach', 'Sunset'], ['rain'], [])
    """
    tokens = WORD.findall(BREAKS.sub(" ", _clean(name)))
    camera = False
    kept: list[str] = []
    for token in tokens:
        if token.lower() in CAMERA:
            camera = True
        elif token.isdecimal() and kept and kept[-1].lower() in COUNTED:
            kept.pop()
        elif not token.isdecimal() or (_says_something(token) and not camera):
            kept.append(token)
    return kept


def content_words(question: str) -> list[str]:
    """The words of a question that say what is sought, in lower case, each once; all of them if none does.

    >>> content_words("the sound of a KickDrum in the rain"), content_words("The Who")
    (['kick', 'drum', 'rain'], ['the', 'who'])
    """
    words = list(dict.fromkeys(word.lower() for word in WORD.findall(BREAKS.sub(" ", _clean(question)))))
    said = [word for word in words if word not in STOPWORDS]
    return [word for word in said if word not in MEDIUM] or said or words


def texts_of(name: str, folder: str, captions: str) -> list[tuple[str, float]]:
    """The texts whose meaning is a source's, each once, and how much it counts; captions are one a line.

    >>> texts_of("kick", "drums", "kick\\nheavy")
    [('kick', 1.0), ('heavy', 1.0), ('drums', 0.9)]
    """
    weights = dict.fromkeys(filter(None, [name, *captions.split("\n")]), 1.0)
    return list((weights | {folder: FOLDER} if folder and folder not in weights else weights).items())


def key_of(text: str) -> int:
    """A number that stands for a text: 64 bits, signed, as SQLite has them."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little", signed=True)


def folded(text: str) -> str:
    """A name in the form in which names are compared letter by letter.

    Compatibility forms, case and the accents of Latin, Greek and Cyrillic letters make no difference.

    >>> folded("Crème_BRÛLÉE-01"), folded("ﬁlm Straße")
    ('creme_brulee-01', 'film strasse')
    """
    if text.isascii():
        return text.lower().strip()
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode("utf-8")).casefold()
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if letter not in ACCENTS)
    return unicodedata.normalize("NFC", "".join(letters)).strip()


def file_name(path: str) -> tuple[str, str]:
    """What a file is called, folded, and its extension where that is one of a medium.

    >>> file_name("/rec/ZOOM5381_1-21189-A.WAV"), file_name("/rec/vol. 2"), file_name("Déjà.vu.png")
    (('zoom5381_1-21189-a', '.wav'), ('vol. 2', ''), ('deja.vu', '.png'))
    """
    _, stem, suffix = _parted(path)
    if suffix.lower() not in SUFFIXES:
        return folded(stem + suffix), ""
    return folded(stem), suffix.casefold()


def _says_something(number: str) -> bool:
    year = len(number) == 4 and number[:2] in ("19", "20")
    return year or (len(number) == 3 and number[0] != "0")


def _caption(value: Any) -> str:
    """A metadata value as a caption; empty where it is a number, an address or the name of another file."""
    if not isinstance(value, str):
        return ""
    return _captioned(value) if len(value) < REMEMBERED else _captioned.__wrapped__(value)


@functools.lru_cache(1024)
def _captioned(value: str) -> str:
    text = " ".join(_clean(value).split())[:LONGEST]
    reference = " " not in text and ("://" in text or modalities_of(text))
    return text if any(letter.isalpha() for letter in text) and not reference else ""


def _clean(text: str) -> str:
    """One form for composed and decomposed accents; half of a surrogate pair, as broken names hold them, goes."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode("utf-8"))
