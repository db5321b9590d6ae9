"""Classifiers of sounds and pictures: class scores from TFLite files and from transformers folders."""

from __future__ import annotations

import csv
import hashlib
import os
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from embed import hub
from embed.errors import EncoderError, MissingPackage, ModelNotFound, one_line
from embed.tower import AUTO, Running, Tower

__all__ = [
    "ACTIVATIONS",
    "Classifier",
    "TFLiteClassifier",
    "TransformersClassifier",
    "classifier",
    "open_interpreter",
    "read_labels",
]

Side = Literal["audio", "image"]
ACTIVATIONS: Final = ("auto", "none", "sigmoid", "softmax")
POOLS: Final[dict[str, Callable[..., Any]]] = {"max": np.max, "mean": np.mean}
PICTURE_MEAN: Final = 127.5  # float32 pictures go in as (pixel - mean) / mean, -1 to 1, as MobileNet wants them
AST_FRAME: Final = 400  # samples; AST's filter bank steps by AST_HOP
AST_HOP: Final = 160

_silence = threading.Lock()  # only one thread at a time may point file descriptor 2 elsewhere


class Classifier(ABC):
    """Scores between 0 and 1 for each of ``labels``, from float32 mono samples at ``rate`` Hz or uint8 RGB pictures."""

    side: Side
    rate: int
    labels: list[str]
    weights: str
    """A hash of everything the scores depend on, 32 hex digits."""
    description: str
    """All that happens between a decoded part and its scores."""
    towers: Mapping[str, Tower] = {}
    """The networks that a device could run, by name."""
    longest: float | None = None
    """The seconds of audio that the model hears at once, where its preprocessing would drop the rest."""

    def prepare(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is done to each part alone, such as resizing a picture; thread-safe."""
        return array

    @abstractmethod
    def scores(self, prepared: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Scores of prepared parts, float32 ``(len(prepared), len(labels))``. A row depends on its part only."""


class TFLiteClassifier(Classifier):
    """A TFLite file with one input, ``[n]`` or ``[1, n]`` samples or ``[1, height, width, 3]`` pixels.

    Audio is cut into frames of the input's length, half a frame apart, the last one padded with zeros. ``pool`` makes
    the scores of a part from those of its frames: "max", since an event may fill one frame of a long part, or "mean".
    A picture is resized to the input, whatever its shape. Outputs are dequantised. Where they are not scores yet,
    sigmoid (audio) or softmax (images) makes them such: ``activation="auto"`` tells by whether a fixed noise gets
    values outside of 0 to 1.
    """

    def __init__(
        self,
        path: Path,
        side: Side,
        *,
        labels: Path,
        rate: int = 16000,
        activation: str = "auto",
        pool: str = "max",
    ) -> None:
        self.path = path
        self.side = side
        self.rate = rate
        self.labels = read_labels(labels)
        self.weights = hub.weights_hash(path)
        frames = f"frames half a frame apart, zero-padded, {pool}" if side == "audio" else "bilinear resize"
        self.description = f"tflite, {frames}, {activation}, labels {_hash(self.labels)}"
        self._activation = activation
        self._pool = POOLS[pool]
        self._lock = threading.Lock()  # an interpreter must not be used by two threads at once
        self._shape_lock = threading.Lock()

    @cached_property
    def _interpreter(self) -> Any:
        return open_interpreter(self.path)

    @cached_property
    def _inspector(self) -> Any:
        return open_interpreter(self.path, experimental_preserve_all_tensors=True)

    @cached_property
    def _input(self) -> tuple[int, ...]:
        """The input's shape without the batch axis; checks that the file fits its side and its labels."""
        details = self._interpreter.get_input_details()
        shape = tuple(int(size) for size in details[0]["shape"])
        inner = shape[1:] if len(shape) in (2, 4) and shape[0] == 1 else shape
        wanted = len(inner) == 1 if self.side == "audio" else len(inner) == 3 and inner[2] == 3
        if len(details) != 1 or not wanted or inner[0] < 2:
            takes = "[n] samples" if self.side == "audio" else "[1, height, width, 3] pixels"
            raise EncoderError(f"{self.path}: an {self.side} classifier takes {takes}, this takes {list(shape)}")
        outputs = int(np.prod(self._interpreter.get_output_details()[0]["shape"]))
        if outputs != len(self.labels):
            raise EncoderError(f"{self.path}: it scores {outputs} classes, its labels are {len(self.labels)}")
        return inner

    @cached_property
    def _function(self) -> str:
        if self._activation != "auto":
            return self._activation
        rng = np.random.default_rng(0)
        noise = rng.random(self._input, dtype=np.float32) * 0.2 - 0.1
        probe = noise if self.side == "audio" else (rng.random(self._input) * 255).astype(np.uint8)
        output = self._run(self._interpreter, probe)
        if output.min() >= 0.0 and output.max() <= 1.0:
            return "none"
        return "sigmoid" if self.side == "audio" else "softmax"

    def prepare(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.side == "audio":
            return array
        with self._shape_lock:
            height, width, _ = self._input
        return np.asarray(Image.fromarray(array).resize((width, height), Image.Resampling.BILINEAR))

    def scores(self, prepared: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        with self._lock:
            frames = [[self._run(self._interpreter, frame) for frame in self._frames(part)] for part in prepared]
            rows = [self._pool(activate(np.stack(outputs), self._function), axis=0) for outputs in frames]
        return np.asarray(rows, dtype=np.float32).reshape(len(prepared), len(self.labels))

    def tensor(self, prepared: npt.NDArray[Any], index: int) -> npt.NDArray[np.float32]:
        """What tensor ``index`` inside the model holds for each frame of a part: float32 ``(frames, size)``.

        YAMNet's 1,024-d embedding, for one, is tensor 115 of the published file.
        """
        with self._lock:
            return np.stack([self._run(self._inspector, frame, index) for frame in self._frames(prepared)])

    def _frames(self, part: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        if self.side == "image":
            yield part
            return
        (size,) = self._input
        hop = size // 2
        for start in range(0, max(1, len(part) - size + hop), hop):
            frame = part[start : start + size]
            yield np.pad(frame, (0, size - len(frame)))

    def _run(self, interpreter: Any, frame: npt.NDArray[Any], index: int | None = None) -> npt.NDArray[np.float32]:
        (into,) = interpreter.get_input_details()
        interpreter.set_tensor(into["index"], _quantised(frame, into).reshape(into["shape"]))
        interpreter.invoke()
        out = interpreter.get_output_details()[0]
        if index is not None:
            out = next((d for d in interpreter.get_tensor_details() if d["index"] == index), None)
            if out is None:
                raise EncoderError(f"{self.path}: it has no tensor {index}")
        values = interpreter.get_tensor(out["index"]).astype(np.float32).reshape(-1)
        scale, zero = out["quantization"]
        dequantised: npt.NDArray[np.float32] = (values - zero) * np.float32(scale) if scale else values
        return dequantised


class TransformersClassifier(Classifier):
    """A folder or hub name of a transformers audio or image classifier, such as AST or ViT.

    ``activation="auto"`` is softmax, or sigmoid where the model's configuration calls it multi-label. Audio longer
    than the model hears is refused, never cut in silence.
    """

    def __init__(
        self,
        model: str,
        side: Side,
        *,
        labels: Path | None = None,
        activation: str = "auto",
        running: Running = AUTO,
    ) -> None:
        self.side = side
        self.where = hub.folder(model, files=("config.json", "preprocessor_config.json"))
        self.towers = {side: Tower(side, self._build, where=self.where, running=running, output="logits", exports=True)}
        config = hub.config(self.where)
        names = {int(key): str(name) for key, name in (config.get("id2label") or {}).items()}
        self.labels = read_labels(labels) if labels else [names[key] for key in sorted(names)]
        if not self.labels or all(label == f"LABEL_{i}" for i, label in enumerate(self.labels)):
            raise EncoderError(f"{self.where}: its classes have no names; give {side}_labels, a file with one a line")
        if activation == "auto":
            multiple = config.get("problem_type") == "multi_label_classification"
            activation = "sigmoid" if multiple else "softmax"
        self._function = activation
        settings = hub.config(self.where, "preprocessor_config.json")
        self.rate = int(settings.get("sampling_rate") or 16000)
        kind = str(settings.get("feature_extractor_type"))
        if kind.startswith("AST"):
            self.longest = (int(settings.get("max_length", 1024)) * AST_HOP + AST_FRAME - AST_HOP) / self.rate
        elif kind.startswith("Whisper"):
            self.longest = float(settings.get("chunk_length", 30))
        self.weights = hub.weights_hash(self.where)
        self.description = f"transformers, its own preprocessing, {activation}, labels {_hash(self.labels)}"
        self._lock = threading.Lock()

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoFeatureExtractor, AutoImageProcessor

        if self.side == "audio":
            return hub.processor(AutoFeatureExtractor, self.where)
        # Pillow in any case, so that having torchvision changes no vector.
        return hub.processor(AutoImageProcessor, self.where, backend="pil")

    def _build(self) -> Any:
        from transformers import AutoModelForAudioClassification, AutoModelForImageClassification

        auto = AutoModelForAudioClassification if self.side == "audio" else AutoModelForImageClassification
        return hub.pretrained(auto, self.where)

    def prepare(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.side == "audio":
            return array
        with self._lock:
            processor = self._processor
        pixels = processor(Image.fromarray(array), return_tensors="np")["pixel_values"][0]
        return np.asarray(pixels, dtype=np.float32)

    def scores(self, prepared: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        inputs = [self._features(part) for part in prepared]
        rows = np.empty((len(prepared), len(self.labels)), dtype=np.float32)
        tower = self.towers[self.side]
        # Parts of one shape share a forward; padding others to it would let them change each other's scores.
        for shape in {one.shape for one in inputs}:
            at = [i for i, one in enumerate(inputs) if one.shape == shape]
            logits = tower(**{self._input: np.stack([inputs[i] for i in at])})
            if logits.shape[1] != len(self.labels):
                raise EncoderError(
                    f"{self.where}: it scores {logits.shape[1]} classes, its labels are {len(self.labels)}"
                )
            rows[at] = activate(logits, self._function)
        return rows

    @property
    def _input(self) -> str:
        """The name of the network's one input."""
        return "pixel_values" if self.side == "image" else str(self._processor.model_input_names[0])

    def _features(self, part: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if self.side == "image":
            return part
        with self._lock:
            processor = self._processor
        part = np.pad(part, (0, max(0, self.rate // 10 - len(part))))  # shorter is less than a frame to most models
        features = processor(part, sampling_rate=self.rate, return_tensors="np")
        return np.asarray(features[processor.model_input_names[0]][0], dtype=np.float32)


def classifier(
    name: str,
    side: Side,
    *,
    labels: str | None = None,
    rate: int = 16000,
    activation: str = "auto",
    pool: str = "max",
    running: Running = AUTO,
) -> Classifier:
    """The classifier of one side: ``tflite:PATH``, any path ending in ``.tflite``, or a transformers folder or name.

    ``tflite:FOLDER`` is the one TFLite file in a folder.

    ``labels`` is a file, absolute or beside the model: a CSV with a column ``display_name``, or one label a line.
    Without it, a TFLite file takes ``*class_map.csv``, ``labels.txt`` or ``NAME.txt`` beside it, a transformers model
    its own names. ``rate`` and ``pool`` are for TFLite, whose files do not say their rate and hear short frames.
    ``running`` is for transformers; LiteRT runs on the CPU in the precision of the file.
    Raises ``ModelNotFound`` or ``EncoderError``.
    """
    if activation not in ACTIVATIONS:
        raise EncoderError(f"{side}_activation is one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    if pool not in POOLS:
        raise EncoderError(f"{side}_pool is one of {', '.join(POOLS)}, not {pool!r}")
    prefix, colon, rest = name.partition(":")
    if not colon or prefix not in ("tflite", "transformers"):
        prefix, rest = ("tflite", name) if name.endswith(".tflite") else ("transformers", name)
    if prefix == "transformers":
        file = None if labels is None else _label_file(Path(rest), labels)
        return TransformersClassifier(rest, side, labels=file, activation=activation, running=running)
    path = Path(rest).expanduser()
    if path.is_dir():
        path = _only_model(path, side)
    if not path.is_file():
        raise ModelNotFound(f"{path}: no such file; the {side} classifier of the encoder should be there")
    file = _label_file(path.parent, labels, path.stem)
    return TFLiteClassifier(path, side, labels=file, rate=rate, activation=activation, pool=pool)


def _only_model(folder: Path, side: Side) -> Path:
    """The one TFLite file of a folder. Raises ``ModelNotFound`` where there is none, or more than one."""
    found = sorted(path for path in folder.glob("*.tflite") if path.is_file())
    if not found:
        raise ModelNotFound(f"{folder} holds no .tflite file; the {side} classifier of the encoder should be there")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ModelNotFound(f"{folder} holds {len(found)} models ({names}); name one: {side} = 'tflite:{found[0]}'")
    return found[0]


def _label_file(folder: Path, name: str | None, stem: str = "") -> Path:
    if name is not None:
        path = folder / Path(name).expanduser()
        if not path.is_file():
            raise ModelNotFound(f"{path}: no such file; it should name the classes")
        return path
    for path in (*sorted(folder.glob("*class_map.csv")), folder / "labels.txt", folder / f"{stem}.txt"):
        if path.is_file():
            return path
    raise ModelNotFound(f"{folder} holds no labels.txt with the names of {stem}'s classes, one on a line")


def read_labels(path: Path) -> list[str]:
    """The classes' names in the order of the outputs: a CSV's column ``display_name``, or a text file's lines."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EncoderError(f"{path}: not a readable list of labels: {error}") from None
    if path.suffix != ".csv":
        return text.strip("\n").split("\n")
    try:
        return [row["display_name"] for row in csv.DictReader(text.splitlines())]
    except KeyError:
        raise EncoderError(f"{path}: a CSV of labels needs the column display_name") from None


def activate(outputs: npt.NDArray[np.float32], function: str) -> npt.NDArray[np.float32]:
    """Outputs as scores, over the last axis: "sigmoid", "softmax", or "none" where they are scores already.

    >>> activate(np.zeros(4, np.float32), "softmax").tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if function == "sigmoid":
        # The same as 1 / (1 + exp(-x)), without its overflow.
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * outputs)), dtype=np.float32)
    if function == "softmax":
        powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)
    return outputs


def open_interpreter(path: Path, **options: Any) -> Any:
    """LiteRT's interpreter of a file, its tensors allocated, without its remarks.

    Raises ``MissingPackage`` or ``EncoderError``.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingPackage("ai-edge-litert", "tflite", f"the classifier {path.name}") from None
    try:
        with _quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # preserving tensors costs memory; that is what it is for
            interpreter = Interpreter(model_path=str(path), **options)
            interpreter.allocate_tensors()
    except Exception as error:
        raise EncoderError(f"{path}: not a TFLite model that can be run: {one_line(error)}") from None
    return interpreter


@contextmanager
def _quiet() -> Iterator[None]:
    """LiteRT's C++ side writes "INFO: Created TensorFlow Lite XNNPACK delegate" to file descriptor 2, unasked."""
    with _silence:
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _quantised(frame: npt.NDArray[Any], into: dict[str, Any]) -> npt.NDArray[Any]:
    """Samples or pixels as the input tensor wants them."""
    picture = frame.dtype == np.uint8
    kind = np.dtype(into["dtype"])
    if kind == np.uint8 and picture:
        return frame  # pixels are what such models were quantised for
    values = (frame.astype(np.float32) - PICTURE_MEAN) / PICTURE_MEAN if picture else frame.astype(np.float32)
    if kind == np.float32:
        return values
    scale, zero = into["quantization"]
    limits = np.iinfo(kind)
    return np.asarray(np.clip(np.round(values / scale) + zero, limits.min, limits.max), dtype=kind)


def _hash(labels: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(labels).encode(), digest_size=4).hexdigest()
