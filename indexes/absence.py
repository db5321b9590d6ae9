"""What is not where it was: gone, or only not to be seen, as a drive is that is not mounted.

A path that the system does not find proves nothing by itself: where a drive was mounted there is an empty folder
afterwards, or none. It is gone where the folder that it lay in, or the nearest one above it that is left, can be
listed, does not have it, and lies on the file system that the path lay on (``st_dev``).
"""

from __future__ import annotations

import os
import stat
import unicodedata
from dataclasses import dataclass
from typing import Final

from embed.errors import escaped
from indexes.records import Source

__all__ = ["GONE", "Absence", "Kept", "Sight", "changed_at", "folded", "respelled", "stands"]


CTIME_IS_OF_CHANGE: Final = os.name != "nt"  # on Windows ``st_ctime`` is when a file was made


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a path is not found: at which ``place`` and for what ``reason``.

    ``gone``: it was deleted. ``doubtful``: nothing is there, which a drive that is not mounted looks like as well.
    Neither: the system could not say.
    """

    place: str = ""
    reason: str = "no longer there"
    gone: bool = False
    doubtful: bool = False


GONE: Final = Absence(gone=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """Sources of a collection that were not found and stay in it: at which place, why, and the paths.

    ``doubtful``: nothing is there, so that they can be removed if a person says so. Where the system could not say
    what is there, they cannot. ``total`` is what the paths are a part of: all of the collection, or all at the place.
    """

    place: str
    reason: str
    paths: tuple[str, ...]
    total: int
    doubtful: bool

    def __str__(self) -> str:
        place = escaped(self.place)
        return f"{place}: {self.reason}; {len(self.paths)} of {self.total} indexed there are kept"


class Sight:
    """Looks at folders, at each once, and tells of paths whether they are gone.

    ``saw`` tells it of files that are still what they were; a file system that is mounted as another device than
    before is recognised by them.
    """

    def __init__(self) -> None:
        self._devices: dict[str, int | None] = {}
        self._listed: dict[str, frozenset[str] | OSError] = {}
        self._nearest: dict[str, tuple[str, str] | Absence] = {}
        self._mounted_as: set[tuple[int, int]] = set()

    def anew(self) -> Sight:
        """One that looks again: a drive may go while a run goes on."""
        sight = Sight()
        sight._mounted_as |= self._mounted_as
        return sight

    def device(self, folder: str) -> int | None:
        """The file system that a folder lies on; None where that cannot be told."""
        if folder not in self._devices:
            try:
                # SQLite's integers are signed ones of 64 bits.
                self._devices[folder] = os.stat(folder or ".").st_dev & 0x7FFF_FFFF_FFFF_FFFF
            except (OSError, ValueError):
                self._devices[folder] = None
        return self._devices[folder]

    def saw(self, before: int | None, now: int | None) -> None:
        """A file whose size and times, that of its last change (ctime) included, are those that it had.

        No copy has the ctime of its original, so that what was device ``before`` is device ``now``.
        """
        if before is not None and now is not None and before != now:
            self._mounted_as.add((before, now))

    def root(self, root: str) -> Absence | None:
        """Why what lies at or below a path that was named cannot be looked at; None where it can."""
        try:
            status = os.stat(root)
        except (FileNotFoundError, NotADirectoryError):
            link = os.path.islink(root)
            return Absence(root, "a link to what is not there" if link else "no such file or folder", doubtful=True)
        except (OSError, ValueError) as error:
            return Absence(root, f"cannot be read: {getattr(error, 'strerror', None) or error}")
        if not stat.S_ISDIR(status.st_mode):
            return None
        names = self._names(root)
        if isinstance(names, OSError):
            return Absence(root, f"the folder cannot be read: {names.strerror or names}")
        return None if names else Absence(root, "an empty folder now", doubtful=True)

    def absence(self, path: str, device: int | None) -> Absence | None:
        """Why a path that lay on a device is not found (None: not known on which); None where it is there.

        A folder, which is no file, in its place means that it is gone.
        """
        folder, name = os.path.split(path)
        nearest = self._nearest_of(folder)
        if isinstance(nearest, Absence):
            return nearest
        there, first = nearest
        if there == folder:
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except (OSError, ValueError) as error:
                return Absence(folder, f"what lies in it cannot be read: {getattr(error, 'strerror', None) or error}")
            else:
                return GONE if stat.S_ISDIR(status.st_mode) else None
        names = self._names(there)
        if isinstance(names, OSError):
            return Absence(there, f"the folder cannot be read: {names.strerror or names}")
        if there == folder and name in names:  # a file system that says both
            return Absence(folder, "lists what cannot be found in it")
        now = self.device(there)
        if device is None and (there != folder or not names):  # nobody knows which file system it was on
            return Absence(first, "an empty folder now" if there == folder else "no such folder", doubtful=True)
        if device is not None and device != now and (device, now) not in self._mounted_as:
            return Absence(first, "what was indexed there lay on a file system that is not there now", doubtful=True)
        return GONE

    def _names(self, folder: str) -> frozenset[str] | OSError:
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(folder))
            except OSError as error:
                self._listed[folder] = error
        return self._listed[folder]

    def _nearest_of(self, folder: str) -> tuple[str, str] | Absence:
        """The nearest folder at or above one that is there, and the one below it, if any, that is not."""
        if folder in self._nearest:
            return self._nearest[folder]
        found: tuple[str, str] | Absence
        above = os.path.dirname(folder)
        try:
            is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            is_folder = False
        except (OSError, ValueError) as error:
            upper = self._nearest_of(above) if above != folder else None
            reason = getattr(error, "strerror", None) or str(error)
            if isinstance(upper, Absence):
                found = upper
            elif isinstance(error, PermissionError):  # it is the folder above that lets nobody in
                found = Absence(above, f"what lies in it cannot be read: {reason}")
            else:
                found = Absence(folder, f"cannot be read: {reason}")
            self._nearest[folder] = found
            return found
        if is_folder:
            found = (folder, folder)
        elif os.path.islink(folder) and not os.path.exists(folder):
            found = Absence(folder, "a link to what is not there", doubtful=True)
        elif above == folder:
            found = Absence(folder, "no such folder", doubtful=True)
        else:
            upper = self._nearest_of(above)
            found = (upper[0], folder) if isinstance(upper, tuple) and upper[0] == above else upper
        self._nearest[folder] = found
        return found


def changed_at(status: os.stat_result) -> int | None:
    """When anything of a file changed last, in nanoseconds; None where the system does not tell."""
    return status.st_ctime_ns if CTIME_IS_OF_CHANGE else None


def stands(known: Source, status: os.stat_result) -> bool:
    """Whether a file is as it was when its content was read, as far as its size and its times tell.

    A tool may give another content the old size and mtime (a copy with its times kept, a tag editor); nobody sets
    the ctime. It changes by a new name or new permissions too: then the file is only hashed. A catalog of an
    earlier version has none.
    """
    if (known.size, known.mtime) != (status.st_size, status.st_mtime_ns):
        return False
    ctime = changed_at(status)
    return known.ctime is None or ctime is None or known.ctime == ctime


def respelled(old: str, new: str) -> bool:
    """Whether two paths are one file, of which only the ``new`` one is how it is written.

    Where letter case or the form of accents does not count, a file that was renamed is still found by its old name.
    """
    if old == new or folded(old) != folded(new):
        return False
    try:
        if not os.path.samestat(os.lstat(old), os.lstat(new)):
            return False
        apart = next(i for i, (a, b) in enumerate(zip(old.split(os.sep), new.split(os.sep), strict=False)) if a != b)
        names = os.listdir(os.sep.join([*new.split(os.sep)[:apart], ""]))
    except (OSError, StopIteration):
        return False
    return old.split(os.sep)[apart] not in names and new.split(os.sep)[apart] in names


def folded(path: str) -> str:
    """A path as file systems compare it that make no difference of letter case or of the form of accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
