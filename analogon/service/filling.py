"""The collection that a request is about: opened, or made where there is none, and with which encoders it is filled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from analogon.search.library import Library
from analogon.settings import config, defaults
from embed.errors import UsageError
from indexes.collection import Collection
from indexes.writer import remove_collection

__all__ = ["encoders_for", "folder_of", "opened", "to_fill"]


def folder_of(collection: str | None) -> Path:
    """The folder of the collection that a request names, by its name or its path; of the usual one for None."""
    return config.collection_path(config.default_collection() if collection is None else collection)


@contextmanager
def opened(collection: str | None, library: Library | None = None) -> Iterator[Library]:
    """A request's collection to ask: ``library`` where the caller has it open, and it stays so. Raises as ``open``."""
    if library is not None:
        yield library
        return
    with Library.open(folder_of(collection)) as found:
        yield found


def encoders_for(
    collection: Path, files: Sequence[str], only: Sequence[str] = (), *, say: Callable[[str], None] = lambda line: None
) -> list[str]:
    """The encoders to index files and folders with where nobody names any.

    None where there is a collection in that folder that keeps its own; else those of the settings, else what suits
    the ``files`` and can be had, which may be a download. ``only`` are the modalities that are asked for; none means
    all. ``say`` hears in one line what was chosen and why, and of each download. Raises ``UsageError`` for a
    path that is not there.
    """
    if _keeps_encoders(collection):
        return []
    for path in files:
        if not os.path.lexists(os.path.expanduser(path)):
            raise UsageError(f"{path}: no such file or folder")  # before anything is chosen, or downloaded, for it
    return config.default_encoders() or defaults.choose_encoders(defaults.kinds(files, only), say)


def _keeps_encoders(collection: Path) -> bool:
    if not (collection / "manifest.json").is_file():
        return False
    with Collection.open(collection) as found:
        return bool(found.spaces)


@contextmanager
def to_fill(collection: Path) -> Iterator[Library]:
    """The collection in a folder, made where there is none; where filling a new one fails, no empty one is left."""
    new = not (collection / "manifest.json").is_file()
    with Library.open_or_create(collection) as library:
        try:
            yield library
        except BaseException:
            if new and not library.collection.catalog.counts()["source"]:
                remove_collection(collection)
            raise
