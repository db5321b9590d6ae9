"""Where settings come from: a flag beats an environment variable, which beats the config file, which beats defaults.

The config file is ``$XDG_CONFIG_HOME/analogon/config.toml`` (``~/.config/analogon/config.toml``)::

    encoder = ["clap:laion/clap-htsat-unfused"]
    collection = "drums"
    memory = "2G"
    model_memory = "8G"
    name_encoder = "static:./table"
    device = "cuda:1"
    precision = "bfloat16"
    runtime = "auto"
    onnx_limit = "8G"

Each key has an environment variable: ``ANALOGON_ENCODER`` (several separated by commas), ``ANALOGON_COLLECTION``,
``ANALOGON_MEMORY`` (for search indexes), ``ANALOGON_MODEL_MEMORY`` (for loaded models), ``ANALOGON_NAME_ENCODER``,
``ANALOGON_DEVICE`` and ``ANALOGON_PRECISION`` (``embed.tower.Running`` says what they can be; those in the TOML file of
an encoder, and the precision that a collection was indexed in, go before them),
``ANALOGON_RUNTIME`` ("auto", or "eager", which makes and uses no ONNX files of models), ``ANALOGON_ONNX_LIMIT`` (what
those may take on disk together).
``ANALOGON_HOME`` says where collections live (default ``~/.local/share/analogon``).
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Final

from embed.errors import UsageError
from embed.exported import CACHE, RUNTIMES
from embed.models import MODELS
from embed.tower import Running
from indexes.faiss import parse_memory

__all__ = [
    "BUILT_IN_NAME_ENCODER",
    "collection_path",
    "collections",
    "default_collection",
    "default_encoders",
    "default_memory",
    "home",
    "model_memory",
    "name_encoder",
    "onnx_limit",
    "running",
    "runtime",
]

KEYS: Final = (
    "encoder",
    "collection",
    "memory",
    "model_memory",
    "name_encoder",
    "device",
    "precision",
    "runtime",
    "onnx_limit",
)
LONGEST_NAME: Final = 255  # bytes that file systems take for a name
BUILT_IN_NAME_ENCODER: Final = "starter"
"""The text encoder that compares names and captions where none is named anywhere; without it their words do."""


def home() -> Path:
    """The folder that holds collections and other things that should last."""
    if named := os.environ.get("ANALOGON_HOME"):
        return Path(os.path.expanduser(named))
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "analogon"


def config_file() -> Path:
    """The path of the config file, whether or not it is there."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "analogon" / "config.toml"


def _setting(key: str) -> Any:
    if value := os.environ.get(f"ANALOGON_{key.upper()}"):
        return value
    path = config_file()
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a readable TOML file: {error}") from None
    if unknown := sorted(set(table) - set(KEYS)):
        raise UsageError(f"{path}: no setting is called {unknown[0]!r}; there are: {', '.join(KEYS)}")
    return table.get(key)


def default_encoders() -> list[str]:
    """The encoders that the environment or the config file names; none where neither does."""
    value = _setting("encoder")
    if value is None:
        return []
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else [str(name) for name in value]
    return [name for name in names if name]


def default_collection() -> str:
    """The collection to use where no flag names one."""
    return str(_setting("collection") or "default")


def default_memory() -> str | None:
    """The memory budget for indexes, such as ``"2G"``; None for none."""
    value = _setting("memory")
    return None if value is None else str(value)


def model_memory() -> int | None:
    """Bytes that loaded models may take together; None where nobody has set that."""
    value = _setting("model_memory")
    return None if value is None else parse_memory(str(value))


def name_encoder() -> str | None:
    """The text encoder that names and captions are compared with, where one is named."""
    value = _setting("name_encoder")
    return None if value is None else str(value)


def running() -> dict[str, str]:
    """The ``device`` and ``precision`` of networks where nothing else is said of them, as far as they are set.

    Raises ``UsageError`` for what neither can be.
    """
    found = {key: str(value) for key in ("device", "precision") if (value := _setting(key)) is not None}
    try:
        Running(**found)
    except UsageError as error:
        raise UsageError(f"{error} (ANALOGON_DEVICE, ANALOGON_PRECISION, or {config_file()})") from None
    return found


def runtime() -> str | None:
    """How networks are run, one of ``embed.exported.RUNTIMES``; None where nobody has set that.

    Raises ``UsageError`` for another word.
    """
    value = _setting("runtime")
    if value is not None and value not in RUNTIMES:
        words = " or ".join(RUNTIMES)
        raise UsageError(f"`runtime` is {words}, not {str(value)!r} (ANALOGON_RUNTIME, or {config_file()})")
    return None if value is None else str(value)


def onnx_limit() -> int | None:
    """Bytes that the ONNX files of models may take on disk; None where nobody has set that."""
    value = _setting("onnx_limit")
    return None if value is None else parse_memory(str(value))


def collection_path(name: str | os.PathLike[str]) -> Path:
    """The folder of a collection: a path where ``name`` looks like one or is one, else a name below ``home()``."""
    text = os.fspath(name) if isinstance(name, os.PathLike) else name
    if not isinstance(text, str):
        raise UsageError(f"a collection is named by a text or a path, not by {type(text).__name__}")
    if not text.strip():
        raise UsageError("the name of a collection is empty")
    try:
        longest = max(map(len, map(os.fsencode, Path(text).parts)), default=0)
    except UnicodeEncodeError:
        longest = 0
    if "\0" in text or not 0 < longest <= LONGEST_NAME:
        raise UsageError(f"the name of a collection is {text[:80]!r}, which no folder can be called")
    path = os.sep in text or (os.altsep or os.sep) in text or os.path.splitdrive(text)[0]
    if path or text.startswith(("~", ".")) or (Path(text) / "manifest.json").is_file():
        return Path(os.path.expanduser(text))
    return home() / "collections" / text


def collections() -> list[str]:
    """The names of the collections below ``home()``."""
    folder = home() / "collections"
    return sorted(path.parent.name for path in folder.glob("*/manifest.json"))


MODELS.usual = running
MODELS.budget = model_memory  # whoever uses analogon has its settings; embed by itself knows none
CACHE.limit, CACHE.asked = onnx_limit, runtime
