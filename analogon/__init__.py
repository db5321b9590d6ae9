"""Find, compare and combine sounds, pictures, texts and voices by meaning.

>>> import analogon
>>> with analogon.open("first steps", create=True) as library:
...     _ = library.index("README.md", encoders=["toy"])
...     print(library.search("sounds and pictures")[0].path.endswith("README.md"))
True
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from analogon.progress import Progress
from analogon.query import file, item, text, vector
from analogon.search.hits import Hit, Hits
from analogon.search.library import Library
from analogon.search.records import Record
from analogon.settings.config import collection_path
from analogon.transforms.bridge import Bridge
from analogon.transforms.relation import Relation
from embed.encoder import Encoder, load, register
from embed.errors import AnalogonError
from embed.inputs import encode
from embed.media import Media
from embed.space import Space, Vectors
from embed.wrapped import wrap

if TYPE_CHECKING:
    from analogon.analogies.analogy import analogy
    from analogon.analogies.fit import relation
    from analogon.analogies.plot import plot

_LATER = {
    "analogy": "analogon.analogies.analogy",
    "relation": "analogon.analogies.fit",
    "plot": "analogon.analogies.plot",
}

__all__ = [
    "AnalogonError",
    "Bridge",
    "Encoder",
    "Hit",
    "Hits",
    "Library",
    "Media",
    "Progress",
    "Record",
    "Relation",
    "Space",
    "Vectors",
    "analogy",
    "encode",
    "file",
    "item",
    "load",
    "open",
    "plot",
    "register",
    "relation",
    "text",
    "vector",
    "wrap",
]

try:
    __version__ = version("analogon")
except PackageNotFoundError:  # run from a folder that was not installed
    __version__ = "0"


def __getattr__(name: str) -> Any:
    """What few need is loaded where it is asked for."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'analogon' has no attribute {name!r}")


def open(name: str | os.PathLike[str], *, create: bool = False) -> Library:
    """Open a collection by name, or by the path of its folder; ``create`` makes it where it is not there.

    Raises ``CollectionNotFound`` where it is not there.
    """
    path = collection_path(name)
    return Library.open_or_create(path) if create else Library.open(path)
