"""static: static token embeddings (text), such as model2vec's Potion: a text is the mean of its tokens' rows.

Tulkens and van Dongen, "Model2Vec: fast state-of-the-art static embeddings" (2024). Needs numpy, tokenizers and
safetensors only: a text query imports neither torch nor transformers.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import Encoder
from embed.errors import EncoderError, MediaError, ModelNotFound
from embed.media import Media
from embed.space import Space

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["StaticEncoder", "load"]

# Where the tokenizer and the table lie: as model2vec saves them, or as sentence-transformers saves StaticEmbedding.
LAYOUTS: Final = ("", "0_StaticEmbedding")
TABLE_NAMES: Final = ("embeddings", "embedding.weight")
SPLINTERS: Final = 1.5  # letters a token of a word, below which its tokens say nothing of it


@dataclass(frozen=True, slots=True, eq=False)
class _Tower:
    """``table`` ``(rows, dim)`` int8, float16 or float32; ``row_of`` and ``weight`` have one entry a token id."""

    tokenizer: Tokenizer
    unknown: int | None
    table: npt.NDArray[Any]
    row_of: npt.NDArray[np.int64] | None
    weight: npt.NDArray[np.float32] | None


class StaticEncoder(Encoder):
    """The mean of a text's token rows: no special tokens, no unknown token, each times its weight where there are any.

    A quantised (int8) table needs no scale, since vectors are normalised.
    """

    modalities = frozenset({"text"})
    batch_size = 256

    def __init__(self, model: str, where: Path) -> None:
        self.where = where
        config = hub.config(where) if (where / "config.json").is_file() else {}
        self._limit: int | None = config.get("max_length")
        limit = f", first {self._limit} tokens" if self._limit else ""
        self.space = Space(
            f"static:{model}",
            hub.weights_hash([where / "model.safetensors", where / "tokenizer.json"]),
            f"mean of token rows without special and unknown tokens{limit}",
            _dim(where / "model.safetensors"),
        )
        self._lock = threading.Lock()

    @cached_property
    def _tower(self) -> _Tower:
        from tokenizers import Tokenizer

        with _table_file(self.where / "model.safetensors") as file:
            names = set(file.keys())
            table = file.get_tensor(_table_name(file, self.where))
            row_of = file.get_tensor("mapping").astype(np.int64) if "mapping" in names else None
            weight = file.get_tensor("weights").astype(np.float32) if "weights" in names else None
        try:
            tokenizer = Tokenizer.from_file(str(self.where / "tokenizer.json"))
        except Exception as error:
            raise EncoderError(f"{self.where / 'tokenizer.json'}: not a tokenizer: {error}") from None
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if self._limit:
            tokenizer.enable_truncation(self._limit)
        tokens = tokenizer.get_vocab_size()
        for what, entries in {
            "rows": len(table) if row_of is None else len(row_of),
            "weights": tokens if weight is None else len(weight),
        }.items():
            if entries != tokens:
                raise EncoderError(
                    f"{self.where}: the tokenizer has {tokens} tokens, model.safetensors {entries} {what}"
                )
        if row_of is not None and not 0 <= row_of.min() <= row_of.max() < len(table):
            raise EncoderError(f"{self.where}: mapping points outside of the table's {len(table)} rows")
        return _Tower(tokenizer, _unknown_token(tokenizer), table, row_of, weight)

    def unknown(self, media: Media) -> list[str]:
        """The words of a text that the vocabulary has not, or only in splinters such as single letters."""
        with self._lock:
            tower = self._tower
        text = _encodable(media.text or "")
        found = tower.tokenizer.encode(text, add_special_tokens=False)
        tokens = list(zip(found.ids, found.offsets, strict=True))
        unknown = []
        for word in re.finditer(r"[^\W\d_]+", text):
            inside = [(one, end - start) for one, (start, end) in tokens if word.start() <= start < end <= word.end()]
            splintered = len(inside) > 1 and sum(length for _, length in inside) < SPLINTERS * len(inside)
            if splintered or any(one == tower.unknown for one, _ in inside):
                unknown.append(word.group())
        return unknown

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        with self._lock:
            tower = self._tower
        texts = [_encodable(media.text or "") for media in batch]
        rows = np.empty((len(batch), self.space.dim), dtype=np.float32)
        found = tower.tokenizer.encode_batch(texts, add_special_tokens=False)
        for row, media, tokens in zip(rows, batch, found, strict=True):
            ids = np.array([token for token in tokens.ids if token != tower.unknown], dtype=np.int64)
            if not len(ids):
                raise MediaError(media.name, "no word of it is in the vocabulary")
            vectors = tower.table[ids if tower.row_of is None else tower.row_of[ids]].astype(np.float32)
            if tower.weight is not None:
                vectors *= tower.weight[ids, None]
            row[:] = vectors.mean(axis=0, dtype=np.float64)
        return rows


def _encodable(text: str) -> str:
    """Half of a surrogate pair, as broken file names hold them, is not UTF-8 and the tokenizer would refuse it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _table_file(path: Path) -> Any:
    from safetensors import safe_open

    try:
        return safe_open(path, framework="numpy")
    except Exception as error:
        raise EncoderError(f"{path}: not a readable safetensors file: {error}") from None


def _table_name(file: Any, where: Path) -> str:
    names = sorted(file.keys())
    for name in TABLE_NAMES:
        if name in names and file.get_slice(name).get_dtype() in ("I8", "F16", "F32", "F64"):
            return name
    raise EncoderError(f"{where}: model.safetensors has no numeric table {TABLE_NAMES[0]}; it holds {', '.join(names)}")


def _dim(path: Path) -> int:
    with _table_file(path) as file:
        shape = file.get_slice(_table_name(file, path.parent)).get_shape()
    if len(shape) != 2:
        raise EncoderError(f"{path}: the table should have two axes, not the shape {shape}")
    return int(shape[1])


def _unknown_token(tokenizer: Tokenizer) -> int | None:
    if hasattr(tokenizer.model, "unk_token"):  # WordPiece, BPE, WordLevel; Unigram keeps it in its JSON only
        token = tokenizer.model.unk_token
        return None if token is None else tokenizer.token_to_id(token)
    unknown: int | None = json.loads(tokenizer.to_str())["model"].get("unk_id")
    return unknown


def load(model: str) -> StaticEncoder:
    """``model`` is a folder or hub name with ``tokenizer.json`` and ``model.safetensors``, as model2vec saves them.

    ``max_length`` in its ``config.json``, where there is one, cuts a text after so many tokens. Raises
    ``ModelNotFound``, or ``EncoderError`` where the files are not what they should be or contradict each other.
    """
    where = hub.folder(model, files=())
    for layout in LAYOUTS:
        if all((where / layout / name).is_file() for name in ("tokenizer.json", "model.safetensors")):
            return StaticEncoder(model, where / layout)
    raise ModelNotFound(f"{where} holds no tokenizer.json and model.safetensors: is it a model2vec folder?")
