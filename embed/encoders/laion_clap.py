"""laion_clap: text and audio in one space, from the ``.pt`` checkpoints that LAION published (Wu et al. 2023).

``laion_clap:./630k-audioset-best.pt``, ``laion_clap:./music_audioset_epoch_15_esc_90.14.pt``, fused ones too. The
weights are read as plain data into transformers' ``ClapModel`` by mapping their names, so that neither the package
laion-clap nor the code that a pickle may hold is needed. The vectors are those of its ``CLAP_Module`` for audio of at
most 10 s; longer audio, of which it takes a random crop, becomes windows at fixed places.
"""

from __future__ import annotations

import re
import zipfile
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import AudioInput, Encoder
from embed.errors import EncoderError, ModelNotFound, UsageError, one_line
from embed.logmel import LogMel
from embed.media import Media
from embed.space import Space
from embed.tower import AUTO, Running, Tower

if TYPE_CHECKING:
    import torch

__all__ = ["LaionClapEncoder", "load"]

RATE: Final = 48000
LONGEST: Final = 10.0  # seconds
DIM: Final = 512
TOKENS: Final = 77
TOKENIZER: Final = "roberta-base"
TOKENIZER_FILES: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
)

State = Mapping[str, "torch.Tensor"]

# Names as LAION has them, and as transformers has them. The first that fits is taken.
NAMES: Final = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"text_branch\.(?!embeddings\.position_ids)(.+)", r"text_model.\1"),
        (r"(text|audio)_projection\.0\.(.+)", r"\1_projection.linear1.\2"),
        (r"(text|audio)_projection\.2\.(.+)", r"\1_projection.linear2.\2"),
        (r"audio_branch\.bn0\.(.+)", r"audio_model.audio_encoder.batch_norm.\1"),
        (r"audio_branch\.(layers\.\d+\.blocks\.\d+)\.norm1\.(.+)", r"audio_model.audio_encoder.\1.layernorm_before.\2"),
        (r"audio_branch\.(layers\.\d+\.blocks\.\d+)\.norm2\.(.+)", r"audio_model.audio_encoder.\1.layernorm_after.\2"),
        (
            r"audio_branch\.(layers\.\d+\.blocks\.\d+)\.attn\.(qkv\..+|relative_position_.+)",
            r"audio_model.audio_encoder.\1.attention.self.\2",
        ),
        (
            r"audio_branch\.(layers\.\d+\.blocks\.\d+)\.attn\.proj\.(.+)",
            r"audio_model.audio_encoder.\1.attention.output.dense.\2",
        ),
        (
            r"audio_branch\.(layers\.\d+\.blocks\.\d+)\.mlp\.fc1\.(.+)",
            r"audio_model.audio_encoder.\1.intermediate.dense.\2",
        ),
        (r"audio_branch\.(layers\.\d+\.blocks\.\d+)\.mlp\.fc2\.(.+)", r"audio_model.audio_encoder.\1.output.dense.\2"),
        (r"audio_branch\.(layers\.\d+\.downsample\..+|patch_embed\..+|norm\..+)", r"audio_model.audio_encoder.\1"),
    )
]
# The training loss's scales and transforms, the AudioSet classifier, and constants that follow from the configuration.
UNUSED: Final = re.compile(
    r"logit_scale(_[at])?|(text|audio)_transform\..+|attn_mask|text_branch\.embeddings\.position_ids"
    r"|audio_branch\.(tscam_conv|head|spectrogram_extractor|logmel_extractor)\..+"
    r"|audio_branch\.layers\.\d+\.blocks\.\d+\.attn_mask"
)


class LaionClapEncoder(Encoder):
    """A LAION checkpoint, HTSAT with RoBERTa; each tower is loaded when it is first used.

    Audio goes through what LAION trained on: clipped to -1..1, rounded towards zero to 16 bits, repeated to 10 s.
    """

    modalities = frozenset({"text", "audio"})

    def __init__(
        self,
        weights: Path,
        tokenizer: Path,
        name: str,
        window: float,
        hop: float | None,
        running: Running = AUTO,
    ) -> None:
        if window > LONGEST:
            raise UsageError(f"{name} hears at most {LONGEST:g} s at once; the window should not be {window:g} s")
        self.weights = weights
        self.tokenizer = tokenizer
        self.audio = AudioInput(RATE, window, hop)
        self.towers = {
            "text": Tower("text", self._build_text, where=weights, running=running, output="text_embeds"),
            "audio": Tower("audio", self._build_audio, where=weights, running=running, output="audio_embeds"),
        }
        vocabulary = [tokenizer / file for file in TOKENIZER_FILES if (tokenizer / file).is_file()]
        self.space = Space(
            name,
            hub.weights_hash([weights, *vocabulary]),
            f"CLAP log-mel of 16-bit samples, never cropped at random; audio {self.audio}; {TOKENS} tokens",
            DIM,
        )

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        return self._texts(batch) if batch[0].modality == "text" else self._sounds(batch)

    def _texts(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        texts = [media.text for media in batch]
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="np")
        return self.towers["text"](input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])

    def _sounds(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        fused = self.towers["audio"].module.config.enable_fusion
        waves = [_through_16_bits(media.array) for media in batch if media.array is not None]
        features = LogMel(RATE, round(LONGEST * RATE), lowest=50.0, fusion=fused)
        mel = features(waves, self.towers["audio"].device)[:, None]
        longer = np.zeros((len(batch), 1), dtype=np.bool_)  # than 10 s, which no window is
        return self.towers["audio"](input_features=mel.expand(-1, 4, -1, -1) if fused else mel, is_longer=longer)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import RobertaTokenizer

        tokenizer = hub.processor(RobertaTokenizer, self.tokenizer)
        tokens = self.towers["text"].module.config.vocab_size
        if len(tokenizer) != tokens:
            raise EncoderError(
                f"{self.tokenizer}: its {len(tokenizer)} tokens are not the {tokens} of {self.weights}; "
                f"LAION's checkpoints have the tokenizer of {TOKENIZER}"
            )
        return tokenizer

    def _build_text(self) -> Any:
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        state = _read(self.weights, "text")
        words = _shape(self.weights, state, "text_model.embeddings.word_embeddings.weight")
        config = ClapTextConfig(
            vocab_size=words[0],
            hidden_size=words[1],
            num_hidden_layers=_count(state, r"text_model\.encoder\.layer\.(\d+)\."),
            num_attention_heads=max(1, words[1] // 64),
            intermediate_size=_shape(self.weights, state, "text_model.encoder.layer.0.intermediate.dense.weight")[0],
            max_position_embeddings=_shape(self.weights, state, "text_model.embeddings.position_embeddings.weight")[0],
            layer_norm_eps=1e-5,  # RoBERTa's, which LAION trained with; ClapTextConfig's own default is BERT's
            projection_dim=DIM,
        )
        return _filled(ClapTextModelWithProjection, config, state, self.weights)

    def _build_audio(self) -> Any:
        from transformers import ClapAudioConfig, ClapAudioModelWithProjection

        state = _read(self.weights, "audio")
        inside = "audio_model.audio_encoder."
        width = _shape(self.weights, state, inside + "patch_embed.proj.weight")[0]
        stages = range(_count(state, re.escape(inside) + r"layers\.(\d+)\."))
        tables = [
            _shape(self.weights, state, f"{inside}layers.{i}.blocks.0.attention.self.relative_position_bias_table")
            for i in stages
        ]
        fused = inside + "patch_embed.mel_conv2d.weight" in state
        config = ClapAudioConfig(
            patch_embeds_hidden_size=width,
            hidden_size=width << len(stages) >> 1,
            depths=[_count(state, re.escape(inside) + rf"layers\.{i}\.blocks\.(\d+)\.") for i in stages],
            num_hidden_layers=len(stages),
            num_attention_heads=[table[1] for table in tables],
            window_size=(round(tables[0][0] ** 0.5) + 1) // 2 if tables else 8,
            enable_fusion=fused,
            fusion_type="aff_2d" if fused else None,
            projection_dim=DIM,
        )
        return _filled(ClapAudioModelWithProjection, config, state, self.weights)


def load(
    model: str,
    *,
    tokenizer: str | None = None,
    window: float = LONGEST,
    hop: float | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> LaionClapEncoder:
    """``laion_clap:./630k-audioset-best.pt``. ``window`` (at most 10 s) and ``hop`` are in seconds.

    ``tokenizer`` is a folder or hub name with RoBERTa's ``vocab.json`` and ``merges.txt``, or ``tokenizer.json``;
    without it, the folder of the checkpoint where they lie there, else the hub's roberta-base.
    ``device`` and ``precision``: see ``embed.tower.Running``.
    Raises ``ModelNotFound`` where either is missing.
    """
    weights = Path(model).expanduser()
    if not weights.is_file():
        raise ModelNotFound(f"{weights}: no such file; laion_clap wants a checkpoint of LAION's (laion_clap:./file.pt)")
    beside = tokenizer is None and _is_tokenizer(weights.parent)
    where = weights.parent if beside else _tokenizer_folder(tokenizer)
    return LaionClapEncoder(weights, where, f"laion_clap:{model}", window, hop, Running(device, precision))


def _is_tokenizer(where: Path) -> bool:
    return (where / "tokenizer.json").is_file() or all(
        (where / name).is_file() for name in ("vocab.json", "merges.txt")
    )


def _tokenizer_folder(name: str | None) -> Path:
    advice = "name a folder with RoBERTa's vocab.json and merges.txt as tokenizer, or put them beside the checkpoint"
    try:
        where = hub.folder(name or TOKENIZER, files=(), patterns=TOKENIZER_FILES)
    except ModelNotFound:
        raise ModelNotFound(f"{name or TOKENIZER}: the tokenizer is neither on disk nor on the hub; {advice}") from None
    if not _is_tokenizer(where):
        raise ModelNotFound(f"{where}: holds no tokenizer; {advice}")
    return where


def _through_16_bits(wave: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Samples as 16-bit files would give them, cut off towards zero: what LAION's towers hear."""
    return ((np.clip(wave, -1, 1) * 32767).astype(np.int16) / 32767).astype(np.float32)


def _read(path: Path, tower: str) -> State:
    """One tower's weights under transformers' names.

    Only plain data is unpickled: tensors, NumPy scalars (epochs, metrics) and the command line's arguments. Raises
    ``EncoderError`` where a weight has no known place.
    """
    import torch

    scalar: Any = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")}
    harmless = [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *kinds, Namespace]
    try:
        with torch.serialization.safe_globals(harmless):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        text = one_line(error)
        raise EncoderError(f"{path}: not a checkpoint of plain weights: {text}") from error
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not any("text_branch." in str(key) for key in state):
        raise EncoderError(f"{path}: holds no weights of a text_branch: is it one of LAION's CLAP checkpoints?")
    found: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = str(key).removeprefix("module.")
        new = next((pattern.sub(new, name) for pattern, new in NAMES if pattern.fullmatch(name)), None)
        if new is None and not UNUSED.fullmatch(name):
            raise EncoderError(f"{path}: {name} has no place in a CLAP of HTSAT and RoBERTa, which laion_clap reads")
        if new is None or not new.startswith(tower):
            continue
        if ".qkv." in new:
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[new.replace(".qkv.", f".{part}.")] = third
        else:
            found[new] = value
    return found


def _shape(path: Path, state: State, name: str) -> torch.Size:
    if name not in state:
        raise EncoderError(f"{path}: has no weight for {name}, which laion_clap needs")
    return state[name].shape


def _count(state: Iterable[str], pattern: str) -> int:
    """How many modules a list in the checkpoint has: one more than the highest number in its weights' names."""
    return 1 + max((int(found[1]) for name in state if (found := re.match(pattern, name))), default=-1)


def _filled(cls: Any, config: Any, state: State, path: Path) -> Any:
    """A model with exactly these weights, float32, in eval mode."""
    from transformers.initialization import no_init_weights

    with no_init_weights():
        model = cls(config).float()
    counted = ("embeddings.position_ids", "embeddings.token_type_ids")  # 0, 1, 2, ... and zeros, not learnt
    constants = {name: value for name, value in model.state_dict().items() if name.endswith(counted)}
    try:
        model.load_state_dict(constants | dict(state))
    except RuntimeError as error:
        text = one_line(error)
        raise EncoderError(f"{path}: does not fit {cls.__name__}: {text}") from error
    return model.eval().requires_grad_(False)
