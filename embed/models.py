"""Loaded models, shared by all who ask: each is loaded once, and what was not asked for longest goes first."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import cached_property
from pathlib import Path
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any, Final, TypeVar

import numpy as np

from embed.encoder import REGISTRY, WRAPPED, Encoder, load, registered, resolve
from embed.registry import Registry

__all__ = ["MODELS", "Models", "key_of", "physical_memory", "placed", "shared", "size_of", "turn"]

Model = TypeVar("Model")
SHARE: Final = 0.5
"""The part of the machine's memory that models may take where nothing else is said."""
WEIGHTS: Final = (".safetensors", ".onnx", ".onnx.data", ".pt", ".pth", ".ckpt")
DEEP: Final = 5  # how far down in an object its tensors are looked for
OURS: Final = ("embed", "indexes", "analogon")
THREADED: Final = ("ThreadPoolExecutor", "InferenceSession", "Interpreter")
MANY: Final = 512  # a list or table of more things than this holds no tensors, but a vocabulary


def physical_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or its control group's where that is less."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no control groups here, or "max"
        return memory


class Models:
    """Models by key, at most ``budget`` bytes of them, by the estimate of ``size_of``.

    Where a new one takes more, those go that were not asked for longest, but never one that somebody still holds: it
    would take its memory all the same, and be loaded a second time. So what is in use may exceed the budget. May be
    called from any thread; two that ask for the same model at once get the same one, and different ones are loaded
    side by side. ``budget`` is asked for anew each time; None is half of the machine's memory.
    """

    def __init__(self, budget: Callable[[], int | None] = lambda: None) -> None:
        self.budget = budget
        self.usual: Callable[[], Mapping[str, str]] = dict
        """The ``device`` and ``precision`` of encoders whose tables name none; asked for anew each time."""
        self.asked: dict[str, str] = {}
        """The ``device`` and ``precision`` that go before those of any table, since a person asked for them now."""
        self.heeded: set[str] = set()
        """Which of those ``asked`` for have an encoder that takes them."""
        self._changed = threading.Condition()
        self._loading: set[Hashable] = set()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()  # what was asked for last comes last
        self._alive: dict[Hashable, weakref.ref[Any]] = {}

    def get(self, key: Hashable, make: Callable[[], Model]) -> Model:
        """The model of a key: the one that is there, else what ``make`` makes; what that raises goes through."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._loading)
            there: Model | None = self._there(key)
            if there is not None:
                self._keep(key, there)
                return there
            self._loading.add(key)
        try:
            made = make()
            with self._changed:
                self._alive[key] = weakref.ref(made)
                self._keep(key, made)
                self._make_room()
        finally:
            with self._changed:
                self._loading.discard(key)
                self._changed.notify_all()
        return made

    def sizes(self) -> dict[Hashable, int]:
        """The estimated bytes of each model that is loaded, by key."""
        with self._changed:
            there = {key: self._there(key) for key in list(self._alive)}
            return {key: size_of(model) for key, model in there.items() if model is not None}

    def clear(self) -> None:
        """Let go of all models; those that are in use stay with who holds them, and are not given to others."""
        with self._changed:
            self._kept.clear()
            self._alive.clear()

    def forked(self) -> None:
        """In a process that was forked: no thread lives that held a lock, was loading, or worked for a model.

        torch would wait for its threads for ever, so that it works in one from then on, as its own loaders of data do.
        What else has threads is made again when it is asked for.
        """
        torch = sys.modules.get("torch")
        if torch is not None and torch.get_num_threads() > 1:
            torch.set_num_threads(1)
        self._changed = threading.Condition()
        self._loading.clear()
        for model in list(_TAKING.values()):
            _without_threads(model, DEEP)

    def _there(self, key: Hashable) -> Any:
        found = self._alive[key]() if key in self._alive else None
        if found is None:
            self._alive.pop(key, None)
        return found

    def _keep(self, key: Hashable, model: Any) -> None:
        self._kept[key] = model
        self._kept.move_to_end(key)

    def _make_room(self) -> None:
        budget = self.budget()
        if budget is None:
            budget = int(physical_memory() * SHARE)
        sizes = self.sizes()
        excess = sum(sizes.values()) - budget
        in_use: OrderedDict[Hashable, Any] = OrderedDict()
        for key in list(self._kept):
            if excess <= 0:
                break
            # Letting go of it is the one sure way to learn whether anybody else holds it.
            del self._kept[key]
            if self._alive[key]() is not None:
                gc.collect()  # it may be held by nothing but itself: a network's layers that know their parent
            held = self._there(key)
            if held is None:
                excess -= sizes[key]
            else:
                in_use[key] = held
        self._kept = in_use | self._kept


MODELS: Final = Models()
"""The models of this process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=MODELS.forked)


def shared(name: str | os.PathLike[str] | Mapping[str, Any] | Encoder, *, precision: str | None = None) -> Encoder:
    """The encoder that ``embed.load`` would load, with all others who ask for the same: do not change it.

    The same table gives the same encoder, as long as the files that it names stand as they are. An encoder that is
    given is itself the one, if none was loaded before. Raises what ``embed.load`` raises. ``MODELS`` says on which
    device it runs and how precisely, where the table does not; ``precision`` goes before the usual one.

    >>> shared("toy") is shared({"family": "toy", "model": "8"})
    True
    """
    table = resolve(name)
    if table["family"] == WRAPPED:
        return registered(table)
    table = placed(table, precision)
    return MODELS.get(key_of(REGISTRY, table), lambda: name if isinstance(name, Encoder) else load(table))


def placed(table: Mapping[str, Any], precision: str | None = None) -> dict[str, Any]:
    """An encoder's table with the device and the precision that ``MODELS`` has for it, where its family takes them."""
    whole, taken = dict(table), REGISTRY.settings(table["family"])
    usual = {**MODELS.usual(), **({"precision": precision} if precision else {})}
    for key in taken.keys() & {"device", "precision"}:
        if key in MODELS.asked:
            MODELS.heeded.add(key)
        said = whole.get(key)  # "auto" leaves it to what is usual
        if value := MODELS.asked.get(key) or (said if said != "auto" else None) or usual.get(key):
            whole[key] = value
    return whole


def key_of(registry: Registry, table: Mapping[str, Any]) -> Hashable:
    """What tells one loaded model from another: its family's code, its table with all defaults, its files' stamps."""
    whole = registry.completed(table)
    taken = registry.settings(whole["family"])
    whole = {key: one.default for key, one in taken.items() if one.default is not one.empty} | whole
    stamps = tuple(stamp for path in _paths(whole) for stamp in _stamps(path))
    return registry.module(whole["family"]), json.dumps(whole, sort_keys=True, default=str), stamps


_TAKING: Final[weakref.WeakValueDictionary[int, Any]] = weakref.WeakValueDictionary()  # what has a turn, by its id
_LEFT: Final[list[Any]] = []  # not deleted, which would wait for its threads
_LOCKS: Final = tuple((type(make()), make) for make in (threading.Lock, threading.RLock))


def _without_threads(thing: Any, deep: int) -> bool:
    """Give what is ours in an object new locks, and take from it what a fork left without its threads.

    What has threads is known by its type's name, and is let go where a ``cached_property`` holds it, which makes it
    again. Says whether some is left.
    """
    if isinstance(thing, list | tuple | Mapping):
        inside = list(thing.values() if isinstance(thing, Mapping) else thing) if len(thing) <= MANY and deep else []
        found = [_without_threads(one, deep - 1) for one in inside]  # each of them, whatever is in the first
        return any(found)
    if type(thing).__name__ in THREADED:
        return True
    if type(thing).__module__.partition(".")[0] not in OURS or not deep or not hasattr(thing, "__dict__"):
        return False
    left = False
    held = vars(thing)
    for name, value in list(held.items()):
        lock = next((make for kind, make in _LOCKS if isinstance(value, kind)), None)
        if lock is not None:
            held[name] = lock()
        elif _without_threads(value, deep - 1):
            if isinstance(getattr(type(thing), name, None), cached_property):
                _LEFT.append(held.pop(name))
            else:
                left = True
    return left


def turn(model: object) -> threading.RLock:
    """The lock of a model that works in one thread at a time: ``with turn(encoder): encoder.encode_batch(...)``."""
    if "_turn" not in vars(model):
        _TAKING[id(model)] = model
    lock: threading.RLock = vars(model).setdefault("_turn", threading.RLock())  # one step: no two threads make two
    return lock


def size_of(model: object) -> int:
    """An estimate of the bytes that a model takes with all its sides loaded.

    Its own ``size`` where it says one; else the larger of what it holds by now, in tensors and arrays, and its files of
    weights: those that it knows the paths of, and those in the folders that it knows as ``where``.
    """
    said = getattr(model, "size", None)
    if isinstance(said, int):
        return said
    held = 0
    files: set[Path] = set()
    for thing in _parts(model, set(), DEEP):
        if isinstance(thing, int):
            held += thing
        else:
            files.update(_weights(thing))
    return max(held, sum(file.stat().st_size for file in files))


def _parts(thing: Any, seen: set[int], deep: int) -> Iterator[int | Path]:
    """The bytes of each tensor and array in an object, and the files and folders where its weights may lie."""
    if id(thing) in seen or deep < 0 or isinstance(thing, str | bytes | int | float | type | ModuleType | FunctionType):
        return
    seen.add(id(thing))
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.nn.Module):
        for tensor in (*thing.parameters(), *thing.buffers()):
            yield tensor.numel() * tensor.element_size()
    elif torch is not None and isinstance(thing, torch.Tensor):
        yield thing.numel() * thing.element_size()
    elif isinstance(thing, np.ndarray):
        yield 0 if isinstance(thing, np.memmap) else thing.nbytes
    elif isinstance(thing, Path):
        if thing.is_file():
            yield thing
    elif isinstance(thing, Mapping | list | tuple):
        for one in (thing.values() if isinstance(thing, Mapping) else thing) if len(thing) <= MANY else ():
            yield from _parts(one, seen, deep - 1)
    else:
        held = dict(getattr(thing, "__dict__", {}))
        if is_dataclass(thing) and not held:  # one with slots
            slots = [(name, vars(type(thing)).get(name)) for name in thing.__dataclass_fields__]
            held = {name: slot.__get__(thing) for name, slot in slots if isinstance(slot, MemberDescriptorType)}
        yield from (held[name] for name in ("where", "_where") if isinstance(held.get(name), Path))
        for one in held.values():
            yield from _parts(one, seen, deep - 1)


def _weights(where: Path) -> list[Path]:
    """The files of weights at a path; each once, where a hub's cache has two names for one."""
    files = [where] if where.is_file() else where.rglob("*") if where.is_dir() else ()
    return [
        path.resolve()
        for path in files
        if path.name.endswith(WEIGHTS) or (path.name.startswith("pytorch_model") and path.name.endswith(".bin"))
    ]


def _paths(table: Mapping[str, Any]) -> Iterator[str]:
    """The files and folders that a table's values name."""
    for value in table.values():
        if isinstance(value, Mapping):
            yield from _paths(value)
        elif isinstance(value, str):
            for text in (value, value.partition(":")[2]):
                if os.path.isabs(text) and os.path.exists(text):
                    yield text


def _stamps(path: str) -> Iterator[tuple[str, int, int]]:
    """The name, time of change and size of a file, or of all files of a folder."""
    for file in [path] if os.path.isfile(path) else (one.path for one in _files(path)):
        status = os.stat(file)
        yield file, status.st_mtime_ns, status.st_size


def _files(folder: str) -> list[os.DirEntry[str]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                found += _files(entry.path)
            elif entry.is_file():
                found.append(entry)
    return found
