"""Zero-shot labels: which of some names describes an item best, and how surely, measured against background phrases."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analogon.search import contents
from analogon.search.contents import Contents
from analogon.search.library import Library
from analogon.settings.arguments import EncoderName, several, superseded_keywords
from analogon.vectors.geometry import mean
from embed import tables
from embed.encoder import Encoder
from embed.errors import MediaError, UsageError
from embed.media import TABLE_SUFFIXES, Media, Modality
from embed.pipeline import encode
from indexes.fields import check_label
from indexes.records import Item

__all__ = [
    "TEMPLATES",
    "Label",
    "LabelledFiles",
    "Tagged",
    "Tagging",
    "confidences",
    "label_vectors",
    "read_labels",
    "tag",
    "write",
]

Scores = npt.NDArray[np.floating[Any]]

TEMPLATES: Final[Mapping[Modality, tuple[str, ...]]] = {
    "audio": ("{}", "the sound of {}", "this is a sound of {}"),
    "image": ("{}", "a photo of a {}", "a picture of a {}"),
    "video": ("{}", "a video of {}", "a video that shows {}"),
    "text": ("{}", "a text about {}", "this is about {}"),
}
"""What a label is put into, for each modality; the vectors are averaged."""
# Chosen on ESC-10 alone (benchmarks/labels.py), where confidence then tells right from wrong labels best.
NONE: Final = 0.95  # "none of these" scores what this share of the background phrases stays below
TEMPERATURE: Final = 0.5  # of the softmax, in standard deviations of the background phrases' scores on the item
FITS: Final = 0.9  # confidence from which each of several labels is given


@dataclass(frozen=True, slots=True)
class Label:
    """A label and the wordings by which it is asked for; they are averaged."""

    name: str
    wordings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tagged:
    """The labels of one content, best first, and each one's confidence; its item is its first part."""

    item: Item
    labels: tuple[str, ...]
    confidences: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tagging:
    """What ``tag`` found: labels for each content of a modality, none where nothing was sure enough.

    ``overruled`` counts the contents whose own metadata have a column of the same name, which filters then see.
    ``remark`` says which words of the labels the encoder does not know.
    """

    model: str
    modality: Modality
    field: str
    multiple: bool
    labels: tuple[Label, ...]
    tagged: tuple[Tagged, ...]
    overruled: int
    remark: str | None = None

    def fields(self) -> dict[int, dict[str, Any]]:
        """Item id -> field -> value, as it is written; None where no label was given."""
        sure = f"{self.field}_confidence"
        return {
            one.item.id: {
                self.field: (list(one.labels) if self.multiple else one.labels[0]) if one.labels else None,
                sure: round(one.confidences[0], 4) if one.labels else None,
            }
            for one in self.tagged
        }

    def by_label(self) -> tuple[LabelledFiles, ...]:
        """Each label with the files that got it, the most frequent first; last, under None, those that got none."""
        found: list[LabelledFiles] = []
        for label in self.labels:
            given = [
                (sure, one.item.sources[0].path)
                for one in self.tagged
                for name, sure in zip(one.labels, one.confidences, strict=True)
                if name == label.name
            ]
            given.sort(key=lambda pair: (-pair[0], pair[1]))
            mean = round(sum(sure for sure, _ in given) / len(given), 4) if given else None
            found.append(LabelledFiles(label.name, mean, tuple(path for _, path in given)))
        found.sort(key=lambda one: -len(one.paths))
        without = tuple(one.item.sources[0].path for one in self.tagged if not one.labels)
        return (*found, *([LabelledFiles(None, None, without)] if without else []))

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "modality": self.modality,
            "field": self.field,
            "multiple": self.multiple,
            "labels": [one.to_json() for one in self.by_label()],
            "overruled": self.overruled,
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True)
class LabelledFiles:
    """The files that got a label, the surest first, and how sure it is of them on average; of None those without."""

    label: str | None
    confidence: float | None
    paths: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The label, how many files, the mean confidence, and which files."""
        return {
            "label": self.label,
            "files": len(self.paths),
            "confidence": self.confidence,
            "paths": list(self.paths),
        }


def read_labels(path: str | os.PathLike[str]) -> tuple[Label, ...]:
    """Labels from a file: a text with one a line, or a table with the column ``label``.

    A line is ``label`` or ``label: other wording; another wording``. A table may have a column ``text``: then each of
    a label's rows has one of its wordings, and the label itself, which may be a code, is none. Underscores in a label
    are spaces when it is asked for. Raises ``UsageError`` or ``MediaError`` where there are no labels to be had.
    """
    name = os.fspath(path)
    found: dict[str, list[str]] = {}
    if Path(name).suffix.lower() in TABLE_SUFFIXES:
        for row in tables.rows(name, "label"):
            if isinstance(row, tables.BadRow):
                raise MediaError(f"{name}, row {row.row + 1}", row.reason)
            text = str(row.metadata.get("text", "")).strip()
            found.setdefault(row.text.strip(), []).append(text or _spoken(row.text))
    else:
        for number, line in enumerate(tables.lines(name), start=1):
            label, _, others = re.sub(r":(\s|$)", "\0", line, count=1).partition("\0")
            if not line.strip():
                continue
            label = label.strip()
            if not label or label in found:
                said = f"the label {label!r} comes a second time" if label else "there is no label before the colon"
                raise UsageError(f"{name}, line {number}: {said}")
            found[label] = [_spoken(label), *(other.strip() for other in others.split(";") if other.strip())]
    if not found:
        raise UsageError(f"{name} holds no labels: write one a line")
    return tuple(Label(label, tuple(dict.fromkeys(wordings))) for label, wordings in found.items())


def _spoken(label: str) -> str:
    return " ".join(label.replace("_", " ").split())


def label_vectors(encoder: Encoder, labels: Sequence[Label], templates: str | Sequence[str]) -> npt.NDArray[np.float32]:
    """A unit vector for each label, float32 ``(labels, dim)``: the mean over its wordings in every template.

    Radford et al., "Learning transferable visual models from natural language supervision" (2021), section 3.1.4.
    Raises ``UsageError`` for a template without ``{}``, ``MediaError`` for a label that means nothing to the encoder.
    """
    templates = several(templates)
    if wrong := [template for template in templates if "{}" not in template]:
        raise UsageError(f"a template has {{}} where the label goes, such as 'a photo of a {{}}'; not {wrong[0]!r}")
    asked = [[template.replace("{}", w) for w in label.wordings for template in templates] for label in labels]
    rows = encode(encoder, [Media.from_text(text) for texts in asked for text in texts], query=True).array
    ends = np.cumsum([len(texts) for texts in asked])
    return np.stack([mean(some) for some in np.split(rows, ends[:-1])])


def confidences(scores: Scores, background: Scores, *, multiple: bool = False) -> npt.NDArray[np.float64]:
    """How sure each label is of each item: scores ``(items, labels)`` to shares ``(items, labels)`` from 0 to 1.

    ``background`` are the scores of background phrases on the same items, ``(items, phrases)``. On each item a score
    is counted from the mean of the background's, in their standard deviations, and "none of these" scores what
    ``NONE`` (95 %) of the phrases stay below. A confidence is the softmax with temperature ``TEMPERATURE`` (half a
    standard deviation) over all labels and "none of these"; with ``multiple``, over the label and "none of these"
    alone, so that a label above 0.5 fits the item better than 95 % of the phrases do. It is no probability: how often
    labels of some confidence are right depends on the model and on the labels.
    """
    spread = np.maximum(background.std(axis=1, keepdims=True, dtype=np.float64), 1e-9)
    middle = background.mean(axis=1, keepdims=True, dtype=np.float64)
    none = (np.quantile(background, NONE, axis=1, keepdims=True) - middle) / spread / TEMPERATURE
    rated = (scores - middle) / spread / TEMPERATURE
    if multiple:
        shares: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(np.clip(none - rated, -700, 700)))
        return shares
    highest = np.maximum(rated.max(axis=1, keepdims=True), none)
    weights = np.exp(rated - highest)
    shares = weights / (weights.sum(axis=1, keepdims=True) + np.exp(none - highest))
    return shares


@superseded_keywords(encoders="spaces")
def tag(
    library: Library,
    labels: Sequence[Label],
    *,
    field: str = "tag",
    templates: str | Sequence[str] = (),
    to: str | None = None,
    spaces: EncoderName | Sequence[EncoderName] = (),
    multiple: bool = False,
    threshold: float | None = None,
    balanced: bool = False,
) -> Tagging:
    """The label that describes each content of a modality best; nothing is written (``write`` does).

    One label says what a recording is as a whole: of several windows their mean is asked. With ``multiple`` labels say
    what occurs in it: of several windows the best one counts for each label, and every label is given that has the
    ``threshold`` as its confidence, 0.9 unless named; without ``multiple`` the threshold is 0 unless named.

    The field's confidence is that of the first label, the best one. ``balanced`` says that all labels are about
    equally frequent here: each label's mean score over the contents is taken off, so that a label that is near to
    everything gets no more than its share. It harms where some are rarer.

    Raises ``UsageError`` where the collection or the labels do not allow it, ``MediaError`` for a label that means
    nothing to the encoder.
    """
    check_label(field)
    check_label(f"{field}_confidence")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"the threshold is a confidence, from 0 to 1, not {threshold:g}")
    if balanced and multiple:
        raise UsageError("labels of which an item may have several cannot be balanced: each is judged for itself")
    with library.collection.snapshot():
        known, modality = contents.choose_space(library, to, spaces, asked_with_text=True)
        encoder = library.collection.encoder(known)
        asked = label_vectors(encoder, labels, several(templates) or TEMPLATES[modality])
        background = library.background(known, modality)
        if background is None:
            raise UsageError(f"{known.space.model} knows no word of the phrases that labels are compared with")
        there = contents.read(library, known, modality)
    pool = Contents.best_scores if multiple else Contents.mean_scores
    scored = np.concatenate([pool(block, asked) for block in there.blocks()])
    bias = scored.mean(axis=0) - scored.mean() if balanced else 0.0
    scored = scored - bias
    sure = np.concatenate(
        [
            confidences(pool(block, asked) - bias, pool(block, background.bank), multiple=multiple)
            for block in there.blocks()
        ]
    )
    least = (FITS if multiple else 0.0) if threshold is None else threshold
    tagged = []
    for item, row, rates in zip(there.items, scored, sure, strict=True):
        order = np.argsort(-row, kind="stable")[: None if multiple else 1]
        given = [int(label) for label in order if rates[label] >= least]
        names, shares = tuple(labels[i].name for i in given), tuple(float(rates[i]) for i in given)
        tagged.append(Tagged(item, names, shares))
    overruled = sum(any(field in source.metadata for source in item.sources) for item in there.items)
    remark = encoder.remark(*(Media.from_text(wording) for label in labels for wording in label.wordings))
    return Tagging(known.space.model, modality, field, multiple, tuple(labels), tuple(tagged), overruled, remark)


def write(library: Library, tagging: Tagging) -> None:
    """Keep what was found with the contents; what the field held for this modality before is gone."""
    contents.write_labels(library, tagging.fields())
