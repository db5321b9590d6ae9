"""The walk: which files lie under a root, in order of name, and which are passed over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from embed.errors import MachineError, MediaError
from embed.faults import machine_fault
from embed.formats.files import modalities_within
from embed.media import TABLE_SUFFIXES, Modality, modalities_of

__all__ = ["files_under", "foreign", "is_table", "modalities_of_named"]

# What a NAS, a system or a program keeps among one's files: thumbnails, what was thrown away, its own notes.
FOREIGN: Final = frozenset(
    {
        "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "lost+found", "$recycle.bin", "recycler",
        "system volume information", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini",
    }
)  # fmt: skip


def files_under(
    root: str,
    fail: Callable[[str, str], None],
    passed_over: Callable[[], None] = lambda: None,
    postpone: Callable[[MachineError], None] | None = None,
) -> Iterator[str]:
    """Every file under a root, in order of name, but for those that are ``foreign`` and other collections' folders.

    ``fail`` is told the path of what cannot be walked and why, and ``postpone`` of what the machine keeps from it;
    ``passed_over`` is called for each folder of another program's that holds anything.
    """
    if not os.path.isdir(root):
        yield root
        return

    def unreadable(error: OSError) -> None:
        if postpone is not None and (fault := machine_fault(error, str(error.filename))) is not None:
            postpone(fault)
            return
        fail(str(error.filename), f"the folder cannot be read: {error.strerror}")

    for folder, folders, files in os.walk(root, onerror=unreadable):
        for name in folders:
            if name.casefold() in FOREIGN and _holds_anything(os.path.join(folder, name)):
                passed_over()
        folders[:] = sorted(name for name in folders if not foreign(name))
        if "manifest.json" in files and "catalog.sqlite" in files:
            folders.clear()
            continue
        for name in sorted(files):
            if not foreign(name):
                yield os.path.join(folder, name)


def foreign(name: str) -> bool:
    """Whether a folder or a file of that name is what a system or a store keeps for itself, or hidden.

    >>> foreign("@eaDir"), foreign(".thumbnails"), foreign("._rain.wav"), foreign("rain")
    (True, True, True, False)
    """
    return name.startswith(".") or name.casefold() in FOREIGN


def _holds_anything(folder: str) -> bool:
    with suppress(OSError), os.scandir(folder) as entries:
        return next(entries, None) is not None
    return False


def modalities_of_named(
    path: str, fail: Callable[[str, str], None], postpone: Callable[[MachineError], None]
) -> tuple[Modality, ...]:
    """What a file holds that was named itself: what its first bytes say, where they and its suffix disagree."""
    suggested = modalities_of(path)
    try:
        found = modalities_within(path)
    except MediaError as error:
        if (fault := machine_fault(error, path)) is not None:
            postpone(fault)
            return ()
        if not suggested:
            fail(path, error.reason)
        return suggested
    # A text with the suffix of a recording is no recording, and decoding says so.
    astray = set(suggested).isdisjoint(found) and "text" not in (*found, *suggested)
    return found if astray or not suggested else suggested


def is_table(path: str) -> bool:
    """Whether a path is a table's by its suffix."""
    return Path(path).suffix.lower() in TABLE_SUFFIXES and not os.path.isdir(path)
