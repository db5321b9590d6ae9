"""Where a model's files lie, what their bytes hash to, and how transformers loads them here."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from embed.errors import EncoderError, ModelNotFound, one_line
from embed.several import several

__all__ = [
    "cache_folder",
    "config",
    "file_hash",
    "folder",
    "parts",
    "pretrained",
    "processor",
    "quiet",
    "tokenizer",
    "weights_hash",
    "whole",
]

WEIGHTS: Final = (".safetensors", ".bin", ".pt", ".pth", ".tflite", ".npy")
OLDER: Final = (".bin", ".pt", ".pth")  # what nothing reads where there are safetensors beside it
REST: Final = (".json", ".txt", ".model", ".csv")
VOCABULARIES: Final = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "spm_char.model")
HUB_PATTERNS: Final = ["*.json", "*.safetensors", "*.txt", "*.model", "*/config.json", "*/*.safetensors"]


def folder(
    model: str, *, files: str | Sequence[str] = ("config.json",), patterns: str | Sequence[str] = tuple(HUB_PATTERNS)
) -> Path:
    """The local folder of a model: ``model`` itself if it is one, else its snapshot from the hub's cache or the hub.

    ``patterns`` say which files to fetch from the hub; where a model has no weights in safetensors, its
    ``pytorch_model.bin`` comes as well. ``HF_HOME`` and ``HF_HUB_OFFLINE`` are honoured. Raises ``ModelNotFound``
    saying which file to put where.
    """
    files, patterns = several(files), several(patterns)
    path = Path(model).expanduser()
    if path.is_dir():
        for name in files:
            if not (path / name).is_file():
                raise ModelNotFound(f"{path} holds no {name}: is it a model's folder as transformers saves it?")
        return path.resolve()
    if path.is_absolute() or model.startswith(".") or model.count("/") > 1 or path.exists():
        raise ModelNotFound(f"{model}: no such folder; put the model there ({', '.join([*files, 'its weights'])})")
    # What lies in the cache is not asked for again: a hub that never answers would hold up every search, and one that
    # has a newer version would part the model from the collections that were indexed with it.
    if tuple(patterns) == tuple(HUB_PATTERNS) and (cached := whole(model)) is not None:
        return cached
    from huggingface_hub import snapshot_download

    try:
        where = Path(snapshot_download(model, allow_patterns=list(patterns)))
        if "*.safetensors" in patterns and not any(where.rglob("*.safetensors")):
            where = Path(snapshot_download(model, allow_patterns=[*patterns, "pytorch_model*.bin"]))
        return where
    except Exception as error:
        raise ModelNotFound(f"{model} is not on disk, and {_unreached(error)}") from None


def _unreached(error: Exception) -> str:
    """Why the hub gave no model, and what to do about it."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    instead = "name a folder that holds the model (family:./folder)"
    if constants.HF_HUB_OFFLINE:
        return f"HF_HUB_OFFLINE is set, which forbids to fetch it: unset that, or {instead}"
    if isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        why = "has no such model, or keeps it from those who are not logged in" if code in (401, 403, 404) else "failed"
        return f"the model hub {why} ({code}): look at the name, or {instead}"
    return f"the model hub cannot be reached: try again when it can, or {instead}"


def whole(model: str) -> Path | None:
    """The snapshot of a model in the hub's cache where all that transformers reads of it is there; None where not.

    Weights in several files are not looked at: the cache does not tell whether one is missing.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    if not isinstance(found, str):
        return None
    where = Path(found).parent
    kinds = (
        ("model.safetensors", "pytorch_model.bin"),
        VOCABULARIES,
        ("preprocessor_config.json", "processor_config.json"),
    )
    return where if all(any((where / name).is_file() for name in names) for names in kinds) else None


def config(where: Path, name: str = "config.json") -> dict[str, Any]:
    """A model's JSON file as a dict. Raises ``EncoderError`` naming the file where it is not JSON."""
    try:
        value = json.loads((where / name).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"{where / name}: not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise EncoderError(f"{where / name}: should hold a JSON object")
    return value


@contextmanager
def quiet() -> Iterator[None]:
    """transformers warns of nothing and shows no progress bar meanwhile."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def pretrained(cls: Any, where: Path, **options: Any) -> Any:
    """``cls.from_pretrained`` from a local folder: float32, eval mode, safetensors or weights-only, nothing missing.

    Raises ``EncoderError`` where the checkpoint lacks a weight that the class has: transformers would fill it with
    random numbers and only warn.
    """
    import torch

    try:
        with quiet():
            model, found = cls.from_pretrained(
                where, dtype=torch.float32, local_files_only=True, output_loading_info=True, **options
            )
    except Exception as error:
        text = one_line(error)
        raise EncoderError(f"{where}: {cls.__name__} cannot be loaded from it: {text}") from error
    if missing := sorted(found["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise EncoderError(f"{where}: the checkpoint has no {missing[0]}{more}, which {cls.__name__} needs")
    if mismatched := sorted(found["mismatched_keys"], key=str):
        raise EncoderError(f"{where}: {mismatched[0]} does not fit {cls.__name__}")
    return model.eval().requires_grad_(False)


def parts(base: Any, where: Path, modules: Mapping[str, Callable[[], Any]], **options: Any) -> Any:
    """Some modules of a checkpoint and nothing else of it: a model that has each at its name.

    ``modules`` maps names as the checkpoint's weights have them (``"audio_model.audio_head"``) to what builds each
    with random weights; ``base`` is the ``PreTrainedModel`` that the family's models derive from. Raises as
    ``pretrained`` does. A tower of its own class (``ClapTextModelWithProjection``) needs only ``pretrained``.
    """

    def init(self: Any, config: Any) -> None:
        from torch.nn import Module

        base.__init__(self, config)
        for name, build in modules.items():
            *path, last = name.split(".")
            at: Any = self
            for step in path:
                if not hasattr(at, step):
                    at.add_module(step, Module())
                at = getattr(at, step)
            at.add_module(last, build())
        self.post_init()

    # An empty prefix and no ties: the names above are whole, and what they were tied to is not here.
    body = {"__init__": init, "__module__": __name__, "base_model_prefix": "", "_tied_weights_keys": None}
    return pretrained(type(" + ".join(modules), (base,), body), where, **options)


def processor(cls: Any, where: Path, **options: Any) -> Any:
    """``cls.from_pretrained`` of a tokenizer, an image processor or a feature extractor from a local folder.

    Code that lies in the folder is never run. Raises ``EncoderError`` where the files are missing or not such.
    """
    try:
        return cls.from_pretrained(where, local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:
        text = one_line(error)
        raise EncoderError(f"{where}: {cls.__name__} cannot be loaded from it: {text}") from error


def tokenizer(where: Path, cls: Any = None) -> Any:
    """The tokenizer of a local folder, as ``AutoTokenizer`` or ``cls`` reads it.

    Raises ``EncoderError`` where the folder holds no vocabulary: transformers would then make a tokenizer of a handful
    of special tokens without a word, and every text would get nearly the same vector.
    """
    from transformers import AutoTokenizer

    made = processor(cls or AutoTokenizer, where)
    names = sorted({*VOCABULARIES, *made.vocab_files_names.values()})
    if not any((where / name).is_file() for name in names):
        raise EncoderError(f"{where}: holds no vocabulary for its tokenizer; put one of {', '.join(names)} there")
    return made


def weights_hash(paths: Path | Iterable[Path]) -> str:
    """A hash of all that makes a model's output: weights, configuration and vocabulary, 32 hex digits.

    ``paths`` are files or folders; in a folder every weight and configuration file counts, by name and content.
    Documentation does not, nor do copies of the weights in formats that are not read: one download of a model may hold
    them and another not. The same files in another folder give the same hash.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in [paths] if isinstance(paths, Path) else paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in WEIGHTS + REST and p.is_file())
            safe = {file.parent for file in inside if file.suffix == ".safetensors"}
            for file in inside:
                if file.suffix in OLDER and file.parent in safe:
                    continue
                digest.update(f"{file.relative_to(path).as_posix()}\0{file_hash(file)}\0".encode())
        else:
            digest.update(f"{file_hash(path)}\0".encode())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where analogon keeps what it can make again: ``$XDG_CACHE_HOME/analogon`` or ``~/.cache/analogon``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "analogon"


def file_hash(path: Path) -> str:
    """BLAKE2b-128 of a file, remembered by (path, size, mtime, ctime) since weights are large.

    ctime, since models of one architecture have one size, and copying them may keep the mtime.
    """
    try:
        status = path.stat()
        real = str(path.resolve())
    except OSError as error:
        raise ModelNotFound(f"{path}: {error.strerror or error}") from None
    standing = f"{real}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"
    key = hashlib.blake2b(standing.encode(), digest_size=16).hexdigest()
    memory = cache_folder() / "hashes" / key
    try:
        known = memory.read_text("ascii")
        if len(known) == 32:
            return known
    except (OSError, UnicodeDecodeError):
        pass
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                digest.update(chunk)
    except OSError as error:
        raise ModelNotFound(f"{path}: cannot be read: {error.strerror or error}") from None
    value = digest.hexdigest()
    if status.st_size > 1 << 20:
        try:
            memory.parent.mkdir(parents=True, exist_ok=True)
            partial = memory.with_suffix(f".{os.getpid()}")
            partial.write_text(value, "ascii")
            partial.replace(memory)
        except OSError:
            pass  # a cache that cannot be written costs time, nothing else
    return value
