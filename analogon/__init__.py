"""Find, compare and combine sounds, pictures, texts and voices by meaning.

>>> import analogon
>>> with analogon.open("first steps", create=True) as library:
...     _ = library.index("README.md", encoders=["toy"])
...     print(library.search("sounds and pictures")[0].path.endswith("README.md"))
True
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

from analogon.search.hits import Hit, Hits
from analogon.search.library import Library
from analogon.settings.config import collection_path
from embed.encoder import Encoder, load, register
from embed.errors import AnalogonError
from embed.inputs import encode
from embed.media import Media
from embed.space import Vectors
from embed.wrapped import wrap

__all__ = [
    "AnalogonError",
    "Encoder",
    "Hit",
    "Hits",
    "Library",
    "Media",
    "Vectors",
    "encode",
    "load",
    "open",
    "register",
    "wrap",
]

try:
    __version__ = version("analogon")
except PackageNotFoundError:  # run from a folder that was not installed
    __version__ = "0"


def open(name: str | os.PathLike[str], *, create: bool = False) -> Library:
    """Open a collection by name, or by the path of its folder; ``create`` makes it where it is not there.

    Raises ``CollectionNotFound`` where it is not there.
    """
    path = collection_path(name)
    return Library.open_or_create(path) if create else Library.open(path)
