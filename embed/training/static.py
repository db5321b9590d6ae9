"""Distil a static table from a sentence encoder: a vector for each token, and a text is the mean of its tokens'.

Tulkens and van Dongen, "Model2Vec: fast state-of-the-art static embeddings" (2024): every token of the teacher's
vocabulary is encoded alone, the vectors are centred and projected on their principal components, and frequent tokens
are weighted down as in Arora, Liang and Ma, "A simple but tough-to-beat baseline for sentence embeddings" (2017).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.encoder import Encoder
from embed.errors import EncoderError, UnsupportedModality, UsageError
from embed.listener import Listener
from embed.media import Media
from embed.pipeline import Encoded, encode_stream
from embed.several import several
from embed.space import unit

__all__ = [
    "PHRASES",
    "Agreement",
    "StaticTable",
    "agreement",
    "distil",
    "principal",
    "quantise",
    "save",
    "sif_weights",
]

BATCH: Final = 256
UNUSED: Final = re.compile(r"[\[<]unused_?\d+[\]>]")
SLOT: Final = "{}"

# For the agreement with a teacher: no table is trained on these.
PHRASES: Final = tuple(
    re.split(
        r"\s*[|\n]\s*",
        """
    a dog barking in the yard|a puppy whining at the door|rain on a tin roof|thunder rolling in the distance
    waves breaking on a beach|a river flowing over stones|a steam train leaving the station|a motorcycle passing by
    an airplane taking off|a helicopter hovering above|somebody typing on a keyboard|the click of a camera shutter
    a telephone ringing in an office|church bells on a Sunday morning|a grandfather clock striking noon
    a baby laughing|a crowd cheering in a stadium|two people whispering|an old man coughing|a choir singing a hymn
    a slow piano melody|fast drumming on bongos|distorted electric guitar|a lonely saxophone at night
    a violin concerto|deep electronic bass|a lullaby on a music box|a brass band marching
    chopping vegetables on a board|water boiling in a kettle|frying onions in a pan|a cork popping from a bottle
    breaking glass|a wooden door creaking|footsteps on gravel|a hammer hitting a nail|sawing through a plank
    a fire crackling in the fireplace|wind howling around the house|crickets on a summer evening|an owl hooting at night
    a red apple on a table|a city skyline at dusk|snow on the mountains|a boat on a quiet lake|children playing football
    a bride and groom|a crowded market street|an empty desert road|a bowl of fresh fruit|the interior of a library
    a black cat sleeping on a sofa|horses running across a field|a portrait of a young woman|a map of Europe
    the invoice of last month|a recipe for apple pie|how to repair a bicycle|the history of Rome|a contract for a flat
    the theory of relativity|a letter to a friend|stock prices fell sharply|a cure for the common cold
    the king of a small country|a holiday by the sea
    """.strip(),
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class StaticTable:
    """What ``static`` reads: ``rows`` int8 ``(tokens, dim)``, ``weights`` float32 ``(tokens,)``, a tokenizer's JSON.

    ``weights`` hold each row's scale as well, so that a rare word's row uses the whole range of its eight bits.
    ``kept`` is the share of the teacher's variance over its tokens that is left in the rows.
    """

    tokenizer: str
    rows: npt.NDArray[np.int8]
    weights: npt.NDArray[np.float32]
    kept: float


def distil(
    teacher: Encoder,
    *,
    dim: int = 256,
    sif: float | None = 5e-4,
    flatten: float = 0.3,
    templates: str | Sequence[str] = (SLOT,),
    keep: Callable[[str], bool] | None = None,
    listener: Listener | None = None,
) -> StaticTable:
    """A table of ``dim`` numbers for each token of the teacher's vocabulary, without special and unused tokens.

    A token's vector is the normalised mean of its vectors in ``templates``, texts with one ``{}`` each. ``flatten`` is
    that of ``principal``, ``sif`` the a of ``sif_weights`` (None: all tokens count the same). ``keep`` says of a token
    whether it stays; it works where the vocabulary is a list of words and their pieces (WordPiece). ``listener`` is
    told of the vectors as they come. Deterministic.

    Raises ``UnsupportedModality`` or ``EncoderError`` where the teacher has no texts or no vocabulary, ``UsageError``
    where it has not so many dimensions, ``Cancelled`` where ``listener`` asks for that.
    """
    templates = several(templates)
    if "text" not in teacher.modalities:
        sides = ", ".join(sorted(teacher.modalities))
        raise UnsupportedModality(f"{teacher.space.model} encodes {sides}; a teacher of texts has to encode texts")
    if sif is not None and sif <= 0:
        raise UsageError(f"the a of SIF weights is positive, not {sif:g}")
    tokens = _vocabulary(teacher, keep)
    if not 1 <= dim <= teacher.space.dim:
        raise UsageError(f"{teacher.space.model} has {teacher.space.dim} dimensions; a table of it cannot have {dim}")
    found = np.zeros((len(tokens.ids), teacher.space.dim))
    told = listener or Listener()
    told.phase("tokens", len(found) * len(templates))
    for template in templates:
        at = 0
        for vectors in _encode_tokens(teacher, template, tokens):
            found[at : at + len(vectors)] += vectors
            at += len(vectors)
            told.advance(len(vectors))
            told.check()
    rows, kept = principal(unit(found), dim, flatten)
    if sif is not None:
        rows *= sif_weights(tokens.names, sif)[:, None]
    whole = np.zeros((tokens.size, dim))
    whole[tokens.rows] = rows
    return StaticTable(tokens.tokenizer, *quantise(whole), kept)


@dataclass(frozen=True, slots=True, eq=False)
class _Vocabulary:
    """The teacher's ``ids`` and ``names`` of the tokens to encode, their ``rows`` in a table of ``size`` rows.

    ``tokenizer`` is the JSON of a tokenizer that gives those rows.
    """

    ids: npt.NDArray[np.int64]
    names: list[str]
    rows: npt.NDArray[np.int64]
    size: int
    tokenizer: str


def _vocabulary(teacher: Encoder, keep: Callable[[str], bool] | None = None) -> _Vocabulary:
    """The tokens of a teacher that stand for something, most frequent first as vocabularies are sorted.

    A WordPiece vocabulary is cut down to them, with the unknown token in row 0; others stay whole, since their merges
    and scores depend on each other, and have rows of zeros for what is left out.
    """
    tokenizer: Any = getattr(teacher, "tokenizer", None)
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise EncoderError(
            f"{teacher.space.model} shows no vocabulary to distil; take an encoder of the family sentence"
        )
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    description.update(truncation=None, padding=None, post_processor=None)
    special = set(tokenizer.all_special_ids)
    by_id = sorted((number, token) for token, number in tokenizer.get_vocab().items())
    model = description["model"]
    pieces = model["type"] == "WordPiece"
    if keep is not None and not pieces:
        raise EncoderError(f"{teacher.space.model} has a {model['type']} vocabulary, of which no token can be left out")
    chosen = [
        (number, token)
        for number, token in by_id
        if number not in special and not UNUSED.fullmatch(token) and (keep is None or keep(token))
    ]
    ids = np.array([number for number, _ in chosen], dtype=np.int64)
    if pieces:
        unknown = model["unk_token"]
        model["vocab"] = {token: row for row, token in enumerate([unknown, *(token for _, token in chosen)])}
        description["added_tokens"] = []
        rows, size = np.arange(1, len(ids) + 1), len(ids) + 1
    else:
        rows, size = ids, by_id[-1][0] + 1
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":"))
    return _Vocabulary(ids, [token for _, token in chosen], rows, size, text)


def _encode_tokens(teacher: Encoder, template: str, tokens: _Vocabulary) -> Iterator[npt.NDArray[np.float32]]:
    """Unit vectors of every token in the template's slot, put there by number: pieces of words have no text alone."""
    frame, slot = _frame(teacher, template, tokens)
    for ids in np.array_split(tokens.ids, -(-len(tokens.ids) // BATCH)):
        arrays = np.repeat(frame[None], len(ids), axis=0)
        arrays[:, 0, slot] = ids
        vectors = teacher.encode_batch([Media("text", array=array) for array in arrays])
        if not np.isfinite(vectors).all():
            raise EncoderError(f"{teacher.space.model} gave a vector that is not finite")
        yield unit(vectors)


def _frame(teacher: Encoder, template: str, tokens: _Vocabulary) -> tuple[npt.NDArray[np.int64], int]:
    """What the teacher makes of a template around a word that is one token, and where that token is."""
    if template.count(SLOT) != 1:
        raise UsageError(f"a template has one {SLOT} for the word, unlike {template!r}")
    tokenizer: Any = getattr(teacher, "tokenizer")  # noqa: B009
    for token in tokens.ids:
        word = tokenizer.decode([int(token)]).strip()
        frame = teacher.prepare(Media.from_text(template.replace(SLOT, word))).array if word.isalpha() else None
        if frame is not None and (slots := np.flatnonzero(frame[0] == token)).size == 1:
            return frame, int(slots[0])
    raise EncoderError(f"{teacher.space.model} has no token that is a word by itself")


def principal(vectors: npt.NDArray[Any], dim: int, flatten: float = 0.0) -> tuple[npt.NDArray[np.float64], float]:
    """Centred rows on their first ``dim`` principal components, and the share of the variance that these have.

    Each component is divided by its deviation to the power of ``flatten``: 0 leaves them alone, 1 whitens them. A few
    components that all tokens share would otherwise make up most of a cosine. The sign of a component is such that its
    largest entry is positive.
    """
    centred = np.asarray(vectors, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    variances, components = np.linalg.eigh(centred.T @ centred)
    chosen, largest = components[:, ::-1][:, :dim], variances[::-1][:dim]
    signs = np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(dim)])
    scale = np.where(largest > largest[0] * 1e-12, largest / largest[0], 1.0) ** (-flatten / 2)
    return centred @ (chosen * signs * scale), float(largest.sum() / variances.sum())


def sif_weights(tokens: Sequence[str], a: float = 5e-4) -> npt.NDArray[np.float64]:
    """a / (a + p) for tokens from the most frequent on, whose probabilities p follow Zipf's law: 1 / rank.

    Single characters, which vocabularies list first whatever their frequency, are not ranked: they count as frequent
    as the first token that is longer.

    >>> sif_weights(["!", "a", "the", "dog"], 1.0).round(3).tolist()
    [0.6, 0.6, 0.6, 0.75]
    """
    ranked = np.array([len(token) > 1 for token in tokens])
    ranks = np.where(ranked, np.cumsum(ranked), 1)
    harmonic = (1.0 / np.arange(1, max(1, ranked.sum()) + 1)).sum()
    return np.asarray(a / (a + 1.0 / (ranks * harmonic)))


def quantise(rows: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Rows as int8 between -127 and 127, and the float32 scale of each."""
    scale = np.abs(rows).max(axis=1) / 127
    table = np.round(rows / np.where(scale == 0.0, 1.0, scale)[:, None]).astype(np.int8)
    return table, scale.astype(np.float32)


def save(table: StaticTable, folder: Path) -> None:
    """Write ``model.safetensors``, ``tokenizer.json`` and ``config.json`` into a folder that is there."""
    from safetensors import numpy as safetensors

    # Not save_file, which gives the file to its owner alone, whatever the umask says.
    tensors = safetensors.save({"embeddings": table.rows, "weights": table.weights})
    (folder / "model.safetensors").write_bytes(tensors)
    (folder / "tokenizer.json").write_text(table.tokenizer, "utf-8")
    config = {"model_type": "model2vec", "normalize": True, "hidden_dim": table.rows.shape[1]}
    (folder / "config.json").write_text(json.dumps(config) + "\n", "utf-8")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Spearman's rank correlation between the cosines of all pairs of ``texts`` texts in two encoders."""

    spearman: float
    texts: int


def agreement(teacher: Encoder, student: Encoder, texts: str | Sequence[str] = PHRASES) -> Agreement:
    """How far a student's cosines rank pairs of texts as its teacher's do; texts that one cannot encode are left out.

    Raises ``EncoderError`` where fewer than three are left.
    """
    vectors = [_vectors(encoder, several(texts)) for encoder in (teacher, student)]
    common = sorted(vectors[0].keys() & vectors[1].keys())
    if len(common) < 3:
        raise EncoderError(f"{student.space.model} has no word of most texts that it should be compared on")
    upper = np.triu_indices(len(common), 1)
    ranks = []
    for found in vectors:
        rows = np.stack([found[number] for number in common])
        ranks.append((rows @ rows.T)[upper].argsort(kind="stable").argsort(kind="stable"))
    correlation = np.asarray(np.corrcoef(ranks))[0, 1]
    return Agreement(float(correlation), len(common))


def _vectors(encoder: Encoder, texts: Sequence[str]) -> dict[int, npt.NDArray[np.float32]]:
    """The vectors of those texts that the encoder can encode, by their numbers."""
    results = encode_stream(encoder, [Media.from_text(text) for text in texts])
    return {result.index: result.vector for result in results if isinstance(result, Encoded)}
