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
from typing import TYPE_CHECKING

from analogon.progress import Progress
from analogon.query import file, item, text, vector
from analogon.search.hits import Hit, Hits
from analogon.search.library import Library
from analogon.search.records import Record
from analogon.settings.config import collection_path
from analogon.transforms.bridge import Bridge, bridge
from analogon.transforms.relation import Pair, Relation
from embed.encoder import Encoder, load, register
from embed.errors import AnalogonError
from embed.inputs import encode
from embed.later import later
from embed.media import Media
from embed.space import Space, Vectors
from embed.wrapped import wrap

if TYPE_CHECKING:
    from analogon import analogies, demo, evaluation, generate, labels, prompts, speech, vectors, voices
    from analogon.analogies.analogy import analogy
    from analogon.analogies.fit import relation
    from analogon.analogies.plot import plot
else:
    # What few need is loaded where it is asked for.
    __getattr__, __dir__ = later(
        __name__,
        {
            "analogon.analogies.analogy": ["analogy"],
            "analogon.analogies.fit": ["relation"],
            "analogon.analogies.plot": ["plot"],
            **{
                f"analogon.{room}": []
                for room in (
                    *("analogies", "demo", "evaluation", "generate", "labels"),
                    *("prompts", "speech", "vectors", "voices"),
                )
            },
        },
    )

__all__ = [
    "AnalogonError",
    "Bridge",
    "Encoder",
    "Hit",
    "Hits",
    "Library",
    "Media",
    "Pair",
    "Progress",
    "Record",
    "Relation",
    "Space",
    "Vectors",
    "analogies",
    "analogy",
    "bridge",
    "demo",
    "encode",
    "evaluation",
    "file",
    "generate",
    "item",
    "labels",
    "load",
    "open",
    "plot",
    "prompts",
    "register",
    "relation",
    "speech",
    "text",
    "vector",
    "vectors",
    "voices",
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
