"""student: a small audio network that has learnt from a larger model, beside the texts of its teacher's space.

A folder, as ``analogon train student`` writes it, holds

- ``student.json``: what the network hears, how its windows are joined, and where the texts are encoded;
- ``audio.onnx``: log-mel frames ``(n, frames, bins)`` to ``(n, windows, size)``: scores of classes, or vectors;
- ``classes.safetensors``, for scores: ``vectors`` ``(size, dim)``, a point of the text space for each class, and
  ``prior`` ``(size,)``, the mean score of each class over many recordings;
- often ``text/``, a table of static token embeddings.

Needs numpy, scipy and ONNX Runtime for audio; texts need what the text encoder needs, with a static table neither torch
nor transformers. Scores become a vector as in ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of
Semantic Embeddings", 2014).
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import AudioInput, Encoder, resolve, run_as
from embed.encoder import load as load_encoder
from embed.errors import EncoderError, one_line
from embed.exported import package
from embed.logmag import LogMagnitudes
from embed.media import Media, Modality
from embed.space import Space, unit
from embed.tower import Running

__all__ = ["Settings", "StudentEncoder", "load"]

POOLS: Final = ("max", "mean")
FORMAT: Final = 1


@dataclass(frozen=True)
class Settings:
    """What ``student.json`` says. ``frames`` and ``step`` are of the network's own windows, in log-mel frames.

    ``text`` names the encoder of texts as ``embed.load`` takes it, with a model that may lie in the student's folder.
    ``window`` and ``hop`` are those of the parts that get a vector each, in seconds. ``kind`` is "scores" or "vector".
    ``least`` is the cosine from which on the best hit of a text is to be trusted, where that was measured.
    Scores of a part are joined over the network's windows by ``pool``; the ``top`` best weigh the vectors of their
    classes, each by ``(score / prior ** correction) ** power``. ``whole`` are classes such as silence, of which a part
    is only if all of its windows are: theirs is the least score.
    """

    kind: str
    text: str | Mapping[str, Any]
    mel: LogMagnitudes
    frames: int
    step: int
    window: float | None = 10.0
    hop: float | None = None
    pool: str = "max"
    top: int = 10
    power: float = 1.0
    correction: float = 0.0
    whole: tuple[int, ...] = ()
    least: float | None = None

    @classmethod
    def read(cls, where: Path) -> Settings:
        """Raises ``EncoderError`` naming the file where something in it cannot be used."""
        file = where / "student.json"
        fields = hub.config(where, "student.json")
        if fields.pop("format", None) != FORMAT:
            raise EncoderError(f"{file}: not of format {FORMAT}, which is the one that this version reads")
        try:
            fields["mel"] = LogMagnitudes.from_config(fields["mel"])
            fields["whole"] = tuple(int(number) for number in fields.get("whole", ()))
            settings = cls(**fields)
            positive = (settings.frames, settings.step, settings.top, settings.mel.hop, settings.mel.bins)
            if not isinstance(settings.text, str | dict):
                raise TypeError("text does not name an encoder")
            if settings.kind not in ("scores", "vector") or settings.pool not in POOLS or min(positive) < 1:
                raise ValueError("a value is not one that can be")
        except (KeyError, TypeError, ValueError) as error:
            raise EncoderError(f"{file}: it does not describe a student: {one_line(error)}") from None
        return settings


class StudentEncoder(Encoder):
    """Audio by the student's own network, texts by its teacher's text side. Each is loaded when it is needed."""

    modalities = frozenset({"text", "audio"})
    batch_size = 16

    def __init__(self, model: str, where: Path, settings: Settings, text: Encoder) -> None:
        self.where = where
        self.settings = settings
        self.text = text
        self.towers = text.towers
        self.audio = AudioInput(settings.mel.rate, settings.window, settings.hop)
        files = [where / "student.json", where / "audio.onnx"]
        if settings.kind == "scores":
            files.append(where / "classes.safetensors")
        self.space = Space(
            model,
            hashlib.blake2b(f"{hub.weights_hash(files)} {text.space.weights}".encode(), digest_size=16).hexdigest(),
            f"{settings.kind} of {settings.frames} frames every {settings.step}, {settings.pool}; {self.audio}; "
            f"text: {text.space.preprocessing}",
            text.space.dim,
        )
        self._lock = threading.Lock()

    def embed_query(self, media: Media) -> Media:
        return self.text.embed_query(media) if media.modality == "text" else media

    def unknown(self, media: Media) -> list[str]:
        return self.text.unknown(media) if media.modality == "text" else []

    def doubt(self, query: Media, modality: Modality, best: float) -> str | None:
        least = self.settings.least
        if least is None or query.modality != "text" or modality != "audio" or best >= least:
            return None
        return (
            f"not confident: the best sound scores {best:.2f} in {self.space.model}, most right answers {least:.2f} or "
            "more; there may be none here, or it is of a kind that this small model has never heard"
        )

    def prepare(self, media: Media) -> Media:
        """Samples to log-mel frames, float32 ``(frames, bins)``, silence after the end until the windows fit."""
        if media.modality == "text":
            return self.text.prepare(media)
        assert media.array is not None
        settings = self.settings
        frames = max(settings.frames, math.ceil((len(media.array) - settings.mel.frame) / settings.mel.hop) + 1)
        frames = settings.frames + settings.step * math.ceil((frames - settings.frames) / settings.step)
        padded = np.zeros(settings.mel.samples(frames), dtype=np.float32)
        padded[: len(media.array)] = media.array[: len(padded)]
        return media.but(array=settings.mel(padded))

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        if batch[0].modality == "text":
            return self.text.encode_batch(batch)
        told = self.scores(batch)
        return told if self.settings.kind == "vector" else self.compose(told)

    def scores(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        """What the network says of prepared parts, joined over the windows of each: ``(len(batch), size)``."""
        self._session  # noqa: B018  loaded once, before several threads ask for it
        rows = self._workers.map(lambda part: self._joined(self.windows(part)), batch)
        return np.stack(list(rows)).astype(np.float32)

    def _joined(self, told: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        mean = self.settings.kind == "vector" or self.settings.pool == "mean"
        row: npt.NDArray[np.float32] = told.mean(axis=0) if mean else told.max(axis=0)
        whole = list(self.settings.whole)
        row[whole] = told[:, whole].min(axis=0)
        return row

    def windows(self, part: Media) -> npt.NDArray[np.float32]:
        """What the network says of each of its windows in a prepared part: ``(windows, size)``."""
        assert part.array is not None
        told: npt.NDArray[np.float32] = self._session.run(None, {"mels": part.array[None]})[0][0]
        return told

    def compose(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Scores ``(n, classes)`` to points of the text space ``(n, dim)``, not yet of length 1."""
        composed: npt.NDArray[np.float64] = self.weigh(scores) @ self.classes[0]
        return composed

    def weigh(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """What each class counts, ``(n, classes)``: 0 but for the ``top`` best of each row."""
        weights = (scores.astype(np.float64) / self.classes[1] ** self.settings.correction) ** self.settings.power
        weakest = np.argsort(-weights, axis=1, kind="stable")[:, self.settings.top :]
        np.put_along_axis(weights, weakest, 0.0, axis=1)
        return weights

    @cached_property
    def classes(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Unit vectors of the classes ``(classes, dim)`` and their mean scores ``(classes,)``."""
        from safetensors.numpy import load_file

        path = self.where / "classes.safetensors"
        try:
            tensors = load_file(path)
            vectors, prior = unit(tensors["vectors"]), tensors["prior"].astype(np.float64)
        except Exception as error:
            raise EncoderError(f"{path}: not the classes of a student: {one_line(error, named=True)}") from None
        if vectors.ndim != 2 or prior.shape != vectors.shape[:1] or vectors.shape[1] != self.space.dim:
            raise EncoderError(
                f"{path}: vectors {vectors.shape} and prior {prior.shape} do not fit texts of {self.space.dim} parts"
            )
        if not prior.min() > 0.0:
            raise EncoderError(f"{path}: the mean score of a class must be above 0")
        return vectors, prior

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="student")

    @cached_property
    def _session(self) -> Any:
        """The network, on one thread: it is so small that several recordings at once gain more than threads in each."""
        onnxruntime = package()
        path = self.where / "audio.onnx"
        with self._lock:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            try:
                session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
                (into,), (out,) = session.get_inputs(), session.get_outputs()
            except Exception as error:
                raise EncoderError(f"{path}: not a network that can be run: {one_line(error)}") from None
        size = len(self.classes[0]) if self.settings.kind == "scores" else self.space.dim
        wanted = [self.settings.mel.bins, size]
        if [into.shape[-1], out.shape[-1]] != wanted:
            raise EncoderError(
                f"{path}: takes {into.shape[-1]} bands and gives {out.shape[-1]} values; student.json wants "
                f"{wanted[0]} and {wanted[1]}"
            )
        return session


def load(
    model: str,
    *,
    window: float | None = None,
    hop: float | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> StudentEncoder:
    """``student:./folder``. ``window`` and ``hop``, in seconds, stand in for the folder's own.

    ``device`` and ``precision`` (see ``embed.tower.Running``) are those of its texts, where a network of torch encodes
    them; the student's own network is small, and runs on the CPU in float32.

    Raises ``ModelNotFound`` where a file is missing, and ``EncoderError``.
    """
    where = hub.folder(model, files=("student.json", "audio.onnx"))
    settings = Settings.read(where)
    if window is not None or hop is not None:
        settings = replace(settings, window=window or settings.window, hop=hop or settings.hop)
    table = _beside(settings.text, where)
    text = load_encoder(run_as(table, Running(device, precision)))
    if "text" not in text.modalities:
        raise EncoderError(f"{where / 'student.json'}: {text.space.model} encodes no texts")
    return StudentEncoder(f"student:{model}", where, settings, text)


def _beside(text: str | Mapping[str, Any], where: Path) -> dict[str, Any]:
    """The table of the encoder of texts. What lies in the student's folder goes before what a person stands beside."""
    if isinstance(text, str):
        family, _, model = text.partition(":")
        if model and (where / model).is_dir():
            return {"family": family, "model": str(where / model)}
    return resolve(text)
