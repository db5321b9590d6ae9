"""Networks of checkpoints as ONNX files in a cache, which ONNX Runtime runs on CPUs without torch.

``embed.export`` makes them, ``embed.tower`` asks for them. The cache is a folder of folders, each named by its key::

    CACHE/onnx/KEY/entry.json          what it is, and what was measured; its time of change is that of its last use
    CACHE/onnx/KEY/network.onnx        the graph, optimised for no machine in particular
    CACHE/onnx/KEY/network.data        its weights, as they are mapped into memory

An entry is written elsewhere and renamed, so that it is whole or not there; two processes that make the same one at
once both end with one of them. An entry without a network says why there is none, so that it is not tried each time.
``entry.json`` has the digests of the files beside it: weights of which a part is lost would give other vectors, and
nothing else would tell.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.errors import EncoderError, ModelNotFound, UsageError, one_line
from embed.hub import cache_folder, file_hash
from embed.media import as_numpy

__all__ = [
    "CACHE",
    "LIMIT",
    "RUNTIMES",
    "Cache",
    "Entry",
    "Exported",
    "fed",
    "key_of",
    "package",
    "session_options",
    "threads",
    "versions",
]

FORMAT: Final = 2
OPSET: Final = 17
RUNTIMES: Final = ("auto", "eager")
LIMIT: Final = 8 << 30
"""Bytes that the cache may take where nothing else is said."""
STALE: Final = 24 * 3600.0  # seconds after which a half-written entry is nobody's any more
FEW: Final = 8  # rows up to which weights as they lie in the file are quicker than weights rearranged for speed
NETWORK: Final = "network.onnx"
WEIGHTS: Final = "network.data"
DIGESTS: Final = "digests"
SEGMENTS: Final = "token_type_ids"

Rows = npt.NDArray[np.float32]


@cache
def versions(*packages: str) -> dict[str, str]:
    """The installed versions of packages, "" for one that is not there; nothing is imported for it."""
    from importlib import metadata

    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def key_of(*parts: object, packages: Iterable[str] = ("torch", "transformers", "onnxruntime")) -> str:
    """The key of an entry: a hash of what it is made of and of the versions of what makes it, 32 hex digits."""
    told = json.dumps([FORMAT, *map(str, parts), versions(*packages)])
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One folder of the cache. ``facts`` are JSON's own types; ``what`` names it for people.

    ``digests`` are BLAKE2b-128 of its files by their names.
    """

    folder: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        return str(self.facts.get("what", self.folder.name))

    @property
    def failed(self) -> str | None:
        """Why there is no network in it, in one line; None where there is one."""
        why = self.facts.get("failed")
        return None if why is None else str(why)

    @property
    def output(self) -> str:
        """The name of the network's output that holds the rows."""
        return str(self.facts.get("output", "rows"))

    def check(self) -> None:
        """Raise ``EncoderError`` where a file is not as it was written. Reads each once, until it changes."""
        for name, digest in self.digests.items():
            try:
                same = file_hash(self.folder / name) == digest
            except ModelNotFound as error:
                raise EncoderError(str(error)) from None
            if not same:
                raise EncoderError(f"{self.folder / name}: damaged: it is not as it was written")

    @property
    def bytes(self) -> int:
        """What it takes on disk."""
        total = 0
        with suppress(OSError):
            for file in self.folder.iterdir():
                with suppress(OSError):
                    total += file.stat().st_size
        return total

    @property
    def used(self) -> float:
        """When it was used last, in seconds since the epoch."""
        with suppress(OSError):
            return (self.folder / "entry.json").stat().st_mtime
        return 0.0

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "bytes": self.bytes, "used": self.used, "failed": self.failed}


class Cache:
    """Entries by key, at most ``limit`` bytes of them: what was used longest ago goes first.

    ``limit`` and ``asked`` are called anew each time, as settings may change; None is ``LIMIT`` and "auto".
    """

    def __init__(
        self,
        folder: Callable[[], Path] = lambda: cache_folder() / "onnx",
        limit: Callable[[], int | None] = lambda: None,
        asked: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.limit = limit
        self.asked = asked

    def runtime(self) -> str:
        """One of ``RUNTIMES``: "auto" runs what is in the cache and leaves the rest to torch, "eager" leaves it all.

        Raises ``UsageError`` where the setting is another word.
        """
        said = self.asked() or "auto"
        if said not in RUNTIMES:
            raise UsageError(f"`runtime` is {' or '.join(RUNTIMES)}, not {said!r}")
        return said

    def find(self, key: str) -> Entry | None:
        """The entry of a key, which counts as used now; None where there is none that can be read."""
        folder = self.folder() / key
        entry = _read(folder)
        if entry is not None:
            with suppress(OSError):  # a cache that may only be read serves as well
                os.utime(folder / "entry.json")
        return entry

    def keep(self, key: str, fill: Callable[[Path], Mapping[str, Any]]) -> Entry:
        """Have ``fill`` write an entry into an empty folder and give its facts; then it is in the cache, whole.

        What exceeds the limit goes, but never this one. Raises what ``fill`` raises, and ``OSError``.
        """
        base = self.folder()
        base.mkdir(parents=True, exist_ok=True)
        made = base / f".{key}.{secrets.token_hex(8)}"
        made.mkdir()
        try:
            facts = dict(fill(made))
            digests = {file.name: _flushed(file) for file in sorted(made.iterdir())}
            written = json.dumps(facts | {DIGESTS: digests}, ensure_ascii=False)
            (made / "entry.json").write_text(written, "utf-8")
            _flushed(made / "entry.json")
            there = base / key
            try:
                made.rename(there)
            except OSError:
                if _read(there) is None:  # what is there is no entry that anybody could use
                    shutil.rmtree(there, ignore_errors=True)
                    made.rename(there)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        self.trim(but=key)
        return _read(there) or Entry(there, facts, digests)

    def drop(self, entry: Entry) -> None:
        """Take an entry out. Who has it open goes on with it."""
        shutil.rmtree(entry.folder, ignore_errors=True)

    def entries(self) -> list[Entry]:
        """All entries, the last used first."""
        return sorted(self._entries(), key=lambda entry: entry.used, reverse=True)

    def bytes(self) -> int:
        """What all of it takes on disk."""
        return sum(entry.bytes for entry in self._entries())

    def most(self) -> int:
        """Bytes that it may take."""
        limit = self.limit()
        return LIMIT if limit is None else limit

    def trim(self, but: str = "") -> list[Entry]:
        """Take out what was used longest ago until the rest is within the limit; gives what went."""
        entries = self.entries()
        excess = sum(entry.bytes for entry in entries) - self.most()
        gone = []
        for entry in reversed(entries):
            if excess <= 0:
                break
            if entry.folder.name != but:
                excess -= entry.bytes
                self.drop(entry)
                gone.append(entry)
        return gone

    def clear(self) -> list[tuple[Entry, int]]:
        """Take everything out; gives what there was, each with its bytes."""
        gone = [(entry, entry.bytes) for entry in self._entries()]
        with suppress(OSError):
            for folder in self.folder().iterdir():
                shutil.rmtree(folder, ignore_errors=True)
        return gone

    def _entries(self) -> Iterator[Entry]:
        with suppress(OSError):
            for folder in self.folder().iterdir():
                if folder.name.startswith("."):
                    with suppress(OSError):
                        if time.time() - folder.stat().st_mtime > STALE:
                            shutil.rmtree(folder, ignore_errors=True)
                elif (entry := _read(folder)) is not None:
                    yield entry


def _read(folder: Path) -> Entry | None:
    try:
        facts = json.loads((folder / "entry.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    digests = facts.pop(DIGESTS, None) if isinstance(facts, dict) else None
    return Entry(folder, facts, digests) if isinstance(digests, dict) else None


def _flushed(path: Path) -> str:
    """The digest of a file that is on disk from now on: a machine that loses its power keeps the names of others."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("r+b") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
        os.fsync(file.fileno())
    return digest.hexdigest()


CACHE: Final = Cache()
"""The cache of this process."""


def threads() -> int:
    """How many threads a network gets: what OMP_NUM_THREADS or torch says, else a thread a core that is ours."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if said.isdigit() and int(said) > 0:
        return int(said)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:  # two threads on one core hinder each other here
        paired = Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1"
    except OSError:
        paired = False
    return max(1, ours // 2 if paired else ours)


class Exported:
    """The network of an entry: named arrays whose first axis is the batch, to float32 rows ``(n, dim)``.

    Few rows are run on weights as they lie in the file, mapped into memory: that opens in milliseconds. From the first
    larger batch on, or after as many rows, weights are rearranged once, which takes as long as some batches and makes
    each about twice as fast. Both give the same rows to within rounding. Not for two threads at once.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._seen = 0

    def __call__(self, **inputs: Any) -> Rows:
        """Raises ``EncoderError`` where the entry's files cannot be opened, and what the runtime raises."""
        self._seen += len(next(iter(inputs.values())))
        return self.rows(inputs, packed=self._seen > FEW)

    def rows(self, inputs: Mapping[str, Any], *, packed: bool) -> Rows:
        """The same with either kind of weights."""
        if packed:
            vars(self).pop("mapped", None)
        session = self.packed if packed else self.mapped
        found: Rows = session.run([self.entry.output], fed(session, inputs))[0]
        return found

    @cached_property
    def mapped(self) -> Any:
        """The session on weights as they lie in the file."""
        return self._open(packed=False)

    @cached_property
    def packed(self) -> Any:
        """The session on weights that were rearranged for this machine."""
        return self._open(packed=True)

    def _open(self, packed: bool) -> Any:
        self.entry.check()
        options = session_options()
        onnxruntime = package()
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if packed else levels.ORT_DISABLE_ALL
        if not packed:
            options.add_session_config_entry("session.disable_prepacking", "1")
            options.enable_cpu_mem_arena = False
        path = self.entry.folder / NETWORK
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise EncoderError(f"{path}: not a network that can be run: {one_line(error)}") from error


def package() -> Any:
    """The package onnxruntime, which reports to nobody.

    Some of its builds would, from their import on: they give the machine a number, note what is run, and send it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def session_options() -> Any:
    """Options of a session on the CPU that says nothing of what it does and leaves other threads their cores."""
    options = package().SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    # Files are decoded beside it: a thread that waits busily would take their core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def fed(session: Any, inputs: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """What a session takes of named arrays and tensors; of ``SEGMENTS``, where it wants them, all the first."""
    taken = {}
    for one in session.get_inputs():
        if one.name == SEGMENTS and SEGMENTS not in inputs:
            taken[SEGMENTS] = np.zeros(np.shape(next(iter(inputs.values()))), dtype=np.int64)
        elif one.name in inputs:
            taken[one.name] = np.ascontiguousarray(as_numpy(inputs[one.name]))
    return taken
