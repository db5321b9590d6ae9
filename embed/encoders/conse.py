"""conse: sounds and pictures in a text encoder's space, through what a classifier hears or sees in them.

Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings" (2014): the embedding of an input is
the mean of the text vectors of its ``top`` best classes, weighted by their scores.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed.classifier import Classifier, classifier
from embed.encoder import AudioInput, Encoder, resolve, run_as
from embed.encoder import load as load_encoder
from embed.errors import EncoderError
from embed.media import Media, Modality
from embed.pipeline import Encoded, encode_stream
from embed.space import Space, unit
from embed.tower import Running

__all__ = ["ConseEncoder", "load", "synonyms"]

NO_CLASS: Final = frozenset({"", "???", "background"})  # outputs that stand for nothing that can be seen or heard


class ConseEncoder(Encoder):
    """A text encoder and a classifier for each side. Only what a medium needs is loaded.

    A class's vector is the normalised mean of the text vectors of its synonyms (a label "cat, house cat" has two).
    Classes and synonyms that the text encoder has no vector for take no part.
    """

    batch_size = 16

    def __init__(
        self,
        text: Encoder,
        classifiers: dict[Modality, Classifier],
        templates: dict[Modality, str],
        top: int,
        audio: AudioInput | None,
    ) -> None:
        self.text = text
        self.classifiers = classifiers
        self.templates = templates
        self.top = top
        self.audio = audio
        self.modalities = frozenset({"text", *classifiers})
        self.towers = {
            **text.towers,
            **{name: one for side in classifiers.values() for name, one in side.towers.items()},
        }
        self._matrices: dict[Modality, npt.NDArray[np.float32]] = {}
        sides = [f"{side}: {one.description}, {templates[side]!r}" for side, one in sorted(classifiers.items())]
        self.space = Space(
            "conse",
            _hash([text.space.weights, *(f"{side} {one.weights}" for side, one in sorted(classifiers.items()))]),
            f"ConSE top {top}; {'; '.join(sides)}; {audio or 'no audio'}; text: {text.space.preprocessing}",
            text.space.dim,
        )

    def prepare(self, media: Media) -> Media:
        if media.modality == "text":
            return self.text.prepare(media)
        assert media.array is not None
        return media.but(array=self.classifiers[media.modality].prepare(media.array))

    def embed_query(self, media: Media) -> Media:
        return self.text.embed_query(media) if media.modality == "text" else media

    def unknown(self, media: Media) -> list[str]:
        return self.text.unknown(media) if media.modality == "text" else []

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        side = batch[0].modality
        if side == "text":
            return self.text.encode_batch(batch)
        vectors = self.class_vectors(side)
        scores = np.where(vectors.any(axis=1), self.scores(batch), 0.0).astype(np.float64)
        weakest = np.argsort(-scores, axis=1, kind="stable")[:, self.top :]
        np.put_along_axis(scores, weakest, 0.0, axis=1)
        return scores @ vectors

    def scores(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        """Scores of every class, ``(len(batch), classes)``, for prepared parts that are all audio or all images."""
        arrays = [part.array for part in batch if part.array is not None]
        return self.classifiers[batch[0].modality].scores(arrays)

    def class_vectors(self, side: Modality) -> npt.NDArray[np.float32]:
        """A unit vector for each of the classifier's labels, ``(classes, dim)``; zeros for those that take no part."""
        if side not in self._matrices:
            self._matrices[side] = self._encode_labels(side)
        return self._matrices[side]

    def _encode_labels(self, side: Modality) -> npt.NDArray[np.float32]:
        labels = self.classifiers[side].labels
        names = [
            (index, self.templates[side].replace("{}", name))
            for index, label in enumerate(labels)
            if label.strip().lower() not in NO_CLASS
            for name in synonyms(label)
        ]
        sums = np.zeros((len(labels), self.space.dim))
        for result in encode_stream(self.text, [Media.from_text(name) for _, name in names]):
            if isinstance(result, Encoded):
                sums[names[result.index][0]] += result.vector
        if not sums.any():
            raise EncoderError(f"{self.text.space.model} has no vector for any class of the {side} classifier")
        return unit(sums)


def synonyms(label: str) -> list[str]:
    """The names in a label: parts between commas, but not within brackets.

    >>> synonyms("cat, house cat"), synonyms("Roaring cats (lions, tigers)")
    (['cat', 'house cat'], ['Roaring cats (lions, tigers)'])
    """
    return [name.strip() for name in re.split(r",(?![^(]*\))", label) if name.strip()]


def _hash(parts: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def load(
    text: str,
    audio: str | None = None,
    image: str | None = None,
    *,
    top: int = 10,
    window: float = 10.0,
    hop: float | None = None,
    audio_rate: int = 16000,
    audio_pool: str = "max",
    audio_labels: str | None = None,
    image_labels: str | None = None,
    audio_activation: str = "auto",
    image_activation: str = "auto",
    audio_template: str = "{}",
    image_template: str = "{}",
    device: str = "auto",
    precision: str = "auto",
) -> ConseEncoder:
    """A bridge from classifiers to a text encoder, best described in a TOML file::

        family = "conse"
        text = "static:potion"              # any encoder of texts
        audio = "tflite:yamnet.tflite"      # a TFLite file, or a folder or name of a transformers classifier
        image = "tflite:mobilenet-v2"       # or a folder with one TFLite file and its labels
        top = 10

    ``window`` and ``hop`` are in seconds. ``audio_rate`` is what a TFLite file wants, in Hz; ``audio_pool``, "max" or
    "mean", joins the scores of its frames. Labels and activations: see ``embed.classifier.classifier``. A template
    such as "the sound of {}" is what a class name is put into.
    ``device`` and ``precision`` are those of the classifiers of transformers and of the text encoder, where its own
    description has none: see ``embed.tower.Running``. Raises ``ModelNotFound``, ``MissingPackage``, or
    ``EncoderError`` where the parts do not go together.
    """
    if not (audio or image):
        raise EncoderError("conse needs a classifier: audio or image, or both")
    if top < 1:
        raise EncoderError(f"conse takes at least the best class (top = 1), not top = {top}")
    running = Running(device, precision)
    towards = load_encoder(run_as(resolve(text), running))
    if "text" not in towards.modalities:
        raise EncoderError(f"conse needs an encoder of texts; {text} encodes {', '.join(sorted(towards.modalities))}")
    classifiers: dict[Modality, Classifier] = {}
    heard = None
    if audio:
        ear = classifier(
            audio,
            "audio",
            labels=audio_labels,
            rate=audio_rate,
            activation=audio_activation,
            pool=audio_pool,
            running=running,
        )
        if ear.longest is not None and window > ear.longest:
            raise EncoderError(f"{audio} hears {ear.longest:g} s at once, less than the window of {window:g} s")
        heard = AudioInput(ear.rate, window, hop)
        classifiers["audio"] = ear
    if image:
        classifiers["image"] = classifier(
            image, "image", labels=image_labels, activation=image_activation, running=running
        )
    return ConseEncoder(towards, classifiers, {"audio": audio_template, "image": image_template}, top, heard)
