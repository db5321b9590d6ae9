"""xvector: who is speaking, by transformers' x-vector models (audio).

WavLM, wav2vec 2.0 or UniSpeech-SAT under a TDNN and statistics pooling (``xvector:microsoft/wavlm-base-plus-sv``).
x-vectors are Snyder et al. 2018, their use on WavLM is Chen et al. 2021 (arXiv:2110.13900). The embedding is the layer
before the classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import AudioInput, Encoder
from embed.errors import EncoderError, one_line
from embed.media import Media
from embed.space import Space
from embed.tower import AUTO, Running, Tower

__all__ = ["DEFAULT_MODEL", "XVectorEncoder", "load"]

DEFAULT_MODEL: Final = "microsoft/wavlm-base-plus-sv"
CLASSES: Final = {
    "wavlm": "WavLMForXVector",
    "wav2vec2": "Wav2Vec2ForXVector",
    "unispeech-sat": "UniSpeechSatForXVector",
}
EXTRACTOR: Final = "preprocessor_config.json"


class XVectorEncoder(Encoder):
    """A recording's x-vector.

    Recordings are never padded to a common length: padding moves the group norms of these models even under a mask.
    Those of one length go through the model together, the others one by one. One too short for the pooling to see
    two frames (about a third of a second) is repeated until it is long enough.
    """

    modalities = frozenset({"audio"})
    batch_size = 8

    def __init__(
        self, where: Path, name: str, window: float | None, hop: float | None, running: Running = AUTO
    ) -> None:
        self.where = where
        self.class_name, config = _read_config(where)
        extractor = hub.config(where, EXTRACTOR)
        self.shortest = _shortest(config)
        self.audio = AudioInput(extractor.get("sampling_rate", 16000), window, hop)
        normalised = "zero mean, unit variance" if extractor.get("do_normalize", True) else "as it is"
        preprocessing = f"audio {self.audio}; {normalised}; repeated to {self.shortest} samples; no padding"
        self.towers = {
            "audio": Tower("audio", self._build, where=where, running=running, output="embeddings", exports=True)
        }
        self.space = Space(name, hub.weights_hash(where), preprocessing, config.xvector_output_dim)

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        waves = [media.array for media in batch if media.array is not None]
        waves = [wave if len(wave) >= self.shortest else np.resize(wave, self.shortest) for wave in waves]
        same: dict[int, list[int]] = {}
        for index, wave in enumerate(waves):
            same.setdefault(len(wave), []).append(index)
        rows = np.empty((len(waves), self.space.dim), dtype=np.float32)
        for group in same.values():
            inputs = self._extractor(
                [waves[index] for index in group], sampling_rate=self._extractor.sampling_rate, return_tensors="np"
            )
            rows[group] = self.towers["audio"](**inputs)
        return rows

    @cached_property
    def _extractor(self) -> Any:
        from transformers import Wav2Vec2FeatureExtractor

        return Wav2Vec2FeatureExtractor.from_pretrained(self.where, local_files_only=True)

    def _build(self) -> Any:
        import transformers

        return hub.pretrained(getattr(transformers, self.class_name), self.where)


def load(
    model: str,
    *,
    window: float | None = 10.0,
    hop: float | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> XVectorEncoder:
    """A folder or hub name with an x-vector checkpoint and its ``preprocessor_config.json``.

    A recording longer than ``window`` seconds is cut into windows every ``hop`` seconds, since memory grows with the
    length of one; ``window=None`` keeps it whole. ``device`` and ``precision``: see ``embed.tower.Running``.
    """
    where = hub.folder(model, files=("config.json", EXTRACTOR))
    return XVectorEncoder(where, f"xvector:{model}", window, hop, Running(device, precision))


def _read_config(where: Path) -> tuple[str, Any]:
    """The name of the checkpoint's class and its configuration; transformers saves only what is not the default."""
    from transformers import AutoConfig

    table = hub.config(where)
    kind = table.get("model_type")
    name = CLASSES.get(str(kind))
    if name is None:
        raise EncoderError(f"{where}: xvector reads {', '.join(CLASSES)} checkpoints, not model_type {kind!r}")
    saved = table.get("architectures") or [name]
    if name not in saved:
        raise EncoderError(f"{where}: holds {saved[0]}, which gives no x-vectors; xvector needs {name}")
    try:
        return name, AutoConfig.for_model(**table)
    except Exception as error:
        text = one_line(error)
        raise EncoderError(f"{where / 'config.json'}: not a configuration of {name}: {text}") from error


def _shortest(config: Any) -> int:
    """The fewest samples of which two frames reach the pooling, whose deviation is not a number for one frame."""
    length = 2 + sum((kernel - 1) * gap for kernel, gap in zip(config.tdnn_kernel, config.tdnn_dilation, strict=True))
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        length = (length - 1) * stride + kernel
    return int(length)
