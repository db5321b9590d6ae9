"""clap: text and audio in one space (Wu et al. 2023, "Large-scale contrastive language-audio pretraining").

Reads any checkpoint of transformers' ``ClapModel``, fused or not. Long recordings become windows at fixed places, so
that nothing is cropped at random and no vector depends on the others of its batch, which both happen in the models'
own processor; for audio of at most 10 s the vectors are those of ``get_text_features`` and ``get_audio_features``.
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
from embed.errors import EncoderError, ModelNotFound, UsageError
from embed.logmel import LogMel
from embed.media import Media
from embed.space import Space
from embed.tokens import Tokens, tokens
from embed.tower import AUTO, Running, Tower

__all__ = ["DEFAULT_MODEL", "ClapEncoder", "load"]

DEFAULT_MODEL: Final = "laion/clap-htsat-unfused"
POSITIONS: Final = 514  # of texts, where a configuration leaves it out
PADDING: Final = 1  # the number of the padding token, as well


class ClapEncoder(Encoder):
    """A ``ClapModel`` checkpoint in the folder ``where``; each tower is loaded when it is first used."""

    modalities = frozenset({"text", "audio"})

    def __init__(
        self, model: str, where: Path, window: float | None, hop: float | None, running: Running = AUTO
    ) -> None:
        config = hub.config(where)
        if config.get("model_type") != "clap":
            raise EncoderError(f"{where}: its config.json is of a {config.get('model_type')} model, not of clap")
        try:
            self.features = LogMel.from_config(_extractor_config(where))
        except (TypeError, ValueError) as error:
            raise EncoderError(f"{where}: its preprocessor configuration cannot be used: {error}") from None
        longest = self.features.length / self.features.rate
        if window is not None and window > longest:
            raise UsageError(f"clap:{model} hears at most {longest:g} s at once; the window should not be {window:g} s")
        self.where = where
        self.audio = AudioInput(self.features.rate, longest if window is None else window, hop)
        self.towers = {
            "text": Tower("text", self._build_text, where=where, running=running, output="text_embeds", exports=True),
            "audio": Tower(
                "audio", self._build_audio, where=where, running=running, output="audio_embeds", exports=True
            ),
        }
        self.space = Space(
            model=f"clap:{model}",
            weights=hub.weights_hash(where),
            preprocessing=f"CLAP log-mel, never cropped at random; audio {self.audio}",
            dim=int(config.get("projection_dim", 512)),
        )

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        return self._texts(batch) if batch[0].modality == "text" else self._sounds(batch)

    def _texts(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        made = self._tokens([media.text or "" for media in batch], longest=self._longest)
        return self.towers["text"](**made)

    def _sounds(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        waves = [media.array for media in batch if media.array is not None]
        mel = self.features(waves, self.towers["audio"].device)[:, None]
        if not self._settings("audio").get("enable_fusion"):
            return self.towers["audio"](input_features=mel)
        # Four times the same, as the extractor has it for short audio; a window is never "longer" than the model.
        longer = np.zeros((len(batch), 1), dtype=np.bool_)
        return self.towers["audio"](input_features=mel.expand(-1, 4, -1, -1), is_longer=longer)

    @cached_property
    def _tokens(self) -> Tokens:
        return tokens(self.where)

    @cached_property
    def _longest(self) -> int:
        """Tokens that fit: positions count from the padding's own number on, as in RoBERTa."""
        config = self._settings("text")
        fit = int(config.get("max_position_embeddings", POSITIONS)) - int(config.get("pad_token_id", PADDING)) - 1
        return min(self._tokens.longest or fit, fit)

    def _settings(self, tower: str) -> dict[str, Any]:
        """What config.json says of a tower, without what transformers would fill in."""
        found: dict[str, Any] = hub.config(self.where).get(f"{tower}_config") or {}
        return found

    @cached_property
    def _config(self) -> Any:
        """The whole checkpoint's, which hands its ``projection_dim`` down to both towers."""
        from transformers import ClapConfig

        return hub.processor(ClapConfig, self.where)

    def _build_text(self) -> Any:
        from transformers import ClapTextModelWithProjection

        return hub.pretrained(ClapTextModelWithProjection, self.where, config=self._config.text_config)

    def _build_audio(self) -> Any:
        from transformers import ClapAudioModelWithProjection

        return hub.pretrained(ClapAudioModelWithProjection, self.where, config=self._config.audio_config)


def _extractor_config(where: Path) -> dict[str, Any]:
    """The feature extractor's settings, from where either generation of transformers saves them."""
    if (where / "processor_config.json").is_file():
        inner = hub.config(where, "processor_config.json").get("feature_extractor")
        if isinstance(inner, dict):
            return inner
    if not (where / "preprocessor_config.json").is_file():
        raise ModelNotFound(f"{where} holds neither preprocessor_config.json nor processor_config.json; put one there")
    return hub.config(where, "preprocessor_config.json")


def load(
    model: str,
    *,
    window: float | None = None,
    hop: float | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> ClapEncoder:
    """``clap:MODEL``. ``window`` (at most the model's own length, 10 s) and ``hop`` are in seconds.

    ``device`` and ``precision``: see ``embed.tower.Running``.
    Raises ``ModelNotFound``, ``UsageError``, or ``EncoderError`` where the files are not a ``ClapModel``'s.
    """
    return ClapEncoder(model, hub.folder(model), window, hop, Running(device, precision))
