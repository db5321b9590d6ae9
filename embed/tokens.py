"""Tokenizers of checkpoints, run by the package tokenizers alone.

transformers makes the tokenizer of a folder once: what it has made of the files there, which is not always what
``tokenizer.json`` says, is kept in the cache, and read from there afterwards without transformers, whose import takes
far longer than a query. Tokenizers in Python, and those whose ids would differ, stay with transformers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.exported import CACHE, Cache, Entry, key_of

__all__ = ["Tokens", "tokens"]

Ids = npt.NDArray[np.int64]
FILE: Final = "tokenizer.json"
NO_LIMIT: Final = 10**9  # transformers' model_max_length is 1e30 where nobody said one
ODD: Final = (
    "a dog barking in the distance",
    " two  spaces,\ttabs\nand lines ",
    "Naïve café, ÆØÅ ﬁ ①",
    "犬の声 🐕\u200d🦺 собака لغة",
    "don't we'll 3.14 1,000,000 a_b C++ e-mail@x.org",
    "<s> </s> <|endoftext|> [CLS] [MASK] <pad>",
    "",
    " ",
    "\u0000\u200b\ufeff\x1b[0m",
    "UPPER lower MiXeD",
    "engine siren crowd wind " * 200,
)
"""Texts on which the two ways are compared before one is taken for the other."""


class Tokens:
    """Texts to token ids, as the ``AutoTokenizer`` of a folder gives them; may be used from any thread.

    ``longest`` is the number of tokens that the tokenizer itself allows, None for any. ``names`` are the inputs that
    the model takes of it; ``special`` ids are of no text.
    """

    def __init__(self, where: Path, engine: Any, facts: Mapping[str, Any]) -> None:
        self.where = where
        self.engine = engine
        self.longest: int | None = facts["longest"]
        self.pad: int | None = facts["pad"]
        self.names: tuple[str, ...] = tuple(facts["names"])
        self.special: frozenset[int] = frozenset(facts["special"])
        self.vocabulary: int = facts["vocabulary"]
        self._facts = facts
        self._lock = threading.Lock()

    def __call__(
        self, texts: Sequence[str], *, longest: int | None = None, length: int | None = None
    ) -> dict[str, Ids]:
        """``input_ids`` and ``attention_mask`` ``(len(texts), n)``, int64, cut after ``longest`` tokens.

        They are padded to the longest of them, or to ``length``.
        """
        cut = self.longest if longest is None else longest
        with self._lock:  # truncation and padding are a state
            if hasattr(self.engine, "encode_batch"):
                ids, mask = self._fast(texts, cut, length)
            else:
                ids, mask = self._slow(texts, cut, length)
        return {"input_ids": ids, "attention_mask": mask}

    def ids(self, text: str, longest: int | None = None) -> list[int]:
        """The ids of one text, not padded."""
        found: list[int] = self([text], longest=longest)["input_ids"][0].tolist()
        return found

    def _fast(self, texts: Sequence[str], cut: int | None, length: int | None) -> tuple[Ids, Ids]:
        facts, engine = self._facts, self.engine
        if cut is None:
            engine.no_truncation()
        else:
            engine.enable_truncation(cut, direction=facts["cut_side"])
        if self.pad is None:
            engine.no_padding()
        else:
            engine.enable_padding(
                direction=facts["pad_side"],
                pad_id=self.pad,
                pad_type_id=facts["pad_type"],
                pad_token=facts["pad_token"],
                length=length,
            )
        made = engine.encode_batch(list(texts), add_special_tokens=True)
        return np.array([one.ids for one in made], np.int64), np.array([one.attention_mask for one in made], np.int64)

    def _slow(self, texts: Sequence[str], cut: int | None, length: int | None) -> tuple[Ids, Ids]:
        return _by_transformers(self.engine, texts, cut, length)


def tokens(where: Path, *, change: Callable[[Any], None] | None = None, cache: Cache = CACHE) -> Tokens:
    """The tokenizer of a local folder. Raises as ``hub.tokenizer`` does.

    ``change`` may change what transformers makes of the folder, as the files there say.
    """
    code = "" if change is None else f"{change.__module__}.{change.__qualname__}"
    key = key_of("tokenizer", _hash(where), code, packages=("transformers", "tokenizers"))
    if (entry := cache.find(key)) is not None:
        if (read := _read(where, entry)) is not None:
            return read
        cache.drop(entry)  # so that it is made anew
    made = hub.tokenizer(where)
    if change is not None:
        change(made)
    facts = _facts(made)
    engine = getattr(made, "backend_tokenizer", None)
    if engine is None or engine.__class__.__module__.partition(".")[0] != "tokenizers":
        return Tokens(where, made, facts)
    from tokenizers import Tokenizer

    written = engine.to_str()
    fast = Tokens(where, Tokenizer.from_str(written), facts)
    if not _same(fast, made):
        return Tokens(where, made, facts)

    def fill(folder: Path) -> Mapping[str, Any]:
        (folder / FILE).write_text(written, "utf-8")
        return facts | {"what": f"the tokenizer of {where.name}"}

    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
        cache.keep(key, fill)
    return fast


def _hash(where: Path) -> str:
    """A hash of the files in a folder, without its weights, of which a tokenizer may be made."""
    files = sorted(path for path in where.iterdir() if path.suffix in hub.REST and path.is_file())
    return " ".join(f"{path.name}={hub.file_hash(path)}" for path in files)


def _read(where: Path, entry: Entry) -> Tokens | None:
    from tokenizers import Tokenizer

    try:
        entry.check()
        return Tokens(where, Tokenizer.from_file(str(entry.folder / FILE)), entry.facts)
    except Exception:  # tokenizers raises plain ones for a file that is not there or not whole
        return None


def _facts(made: Any) -> dict[str, Any]:
    limit = made.model_max_length
    return {
        "longest": int(limit) if limit and limit < NO_LIMIT else None,
        "pad": made.pad_token_id,
        "pad_token": made.pad_token,
        "pad_type": made.pad_token_type_id,
        "pad_side": made.padding_side,
        "cut_side": made.truncation_side,
        "names": list(made.model_input_names),
        "special": sorted(int(one) for one in made.all_special_ids),
        "vocabulary": len(made),
    }


def _same(fast: Tokens, made: Any) -> bool:
    """Whether odd texts get the ids that transformers gives them, cut and padded or not."""
    longest = min(fast.longest or 64, 64)
    try:
        for length in (None, longest) if fast.pad is not None else ():
            ours, theirs = fast._fast(ODD, longest, length), _by_transformers(made, ODD, longest, length)
            if not all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)):
                return False
        return all(
            np.array_equal(fast._fast([text], cut, None)[0], _by_transformers(made, [text], cut, None)[0])
            for text in ODD
            for cut in (fast.longest, longest)
        )
    except Exception:
        return False


def _by_transformers(made: Any, texts: Sequence[str], cut: int | None, length: int | None) -> tuple[Ids, Ids]:
    padding = (True if length is None else "max_length") if made.pad_token_id is not None else False
    limit = {} if cut is None else {"truncation": True, "max_length": cut if length is None else length}
    found = made(list(texts), padding=padding, return_attention_mask=True, **limit)
    return np.array(found["input_ids"], np.int64), np.array(found["attention_mask"], np.int64)
