"""How far the vectors of ``embed.load("laion_clap:...")`` are from those of the package laion-clap itself.

    pip install 'analogon[laion-clap]'                      # which brings NumPy 1.26
    python benchmarks/laion_clap_reference.py FOLDER [--audio tiny|base] [--fused]

``--only write``, a process of its own, builds laion-clap's model (its HTSAT, its hook) with seeded random weights,
saves them as a LAION checkpoint, and keeps the vectors that ``CLAP_Module`` gives in ``reference.npz``. ``--only
compare`` loads that checkpoint and prints the largest differences. Without ``--only`` one follows the other. (To write
alone, set ``HF_HUB_CACHE=FOLDER/cache HF_HUB_OFFLINE=1``.)

laion-clap asks the hub at import for the tokenizers of BERT, RoBERTa and BART, and then for RoBERTa's weights. FOLDER
gets a hub's cache with such models, made here from a seed, which its own ``from_pretrained`` calls then read offline.
Two things are replaced: torchvision where it is missing (it has no build beside a CPU's torch), since only names are
imported from it; and torchaudio's mel spectrogram, which fused models use, by librosa's in the form that
laion-clap's own source gives as equal.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

TEXTS = ["a dog barking", "rain on a tin roof", "", "Ünïcode — 犬", "a long story of wind and waves " * 40]
RATE = 48000


def sounds() -> list[np.ndarray]:
    """Mono clips of at most 10 s: noise, a chirp, one that exceeds -1..1, very short ones, silence."""
    rng = np.random.default_rng(0)
    seconds = np.arange(10 * RATE) / RATE
    made = [
        0.1 * rng.standard_normal(10 * RATE),
        0.5 * np.sin(2 * np.pi * (100 + 400 * seconds) * seconds)[: 7 * RATE + 123],
        2.0 * np.sin(2 * np.pi * 440 * seconds)[:RATE],
        0.3 * rng.standard_normal(997),
        np.zeros(RATE),
    ]
    return [samples.astype(np.float32) for samples in made]


def write(folder: Path, audio: str, fused: bool) -> None:
    """In laion-clap's environment: ``checkpoint.pt``, the tokenizer and ``reference.npz``."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    tokenizer = transformers.RobertaTokenizer.from_pretrained(folder)
    fill_cache(folder / "cache", tokenizer)
    fake_torchvision()
    sys.argv = sys.argv[:1]
    import laion_clap

    # Its package directory is on sys.path too, and hook.py imports the model code from there.
    sys.modules["laion_clap.training.data"].get_mel = librosa_mel
    torch.manual_seed(0)
    clap = laion_clap.CLAP_Module(enable_fusion=fused, device="cpu", amodel=f"HTSAT-{audio}")
    spread(clap.model)
    state = {f"module.{key}": value for key, value in clap.model.state_dict().items()}
    positions = torch.arange(514)[None]
    torch.save(
        {
            "epoch": 45,
            "name": "random",
            "args": argparse.Namespace(lr=1e-4),
            "best": np.float64(0.5),
            "state_dict": state | {"module.text_branch.embeddings.position_ids": positions},
        },
        folder / "checkpoint.pt",
    )
    clap.load_ckpt(str(folder / "checkpoint.pt"), verbose=False)
    assert len(clap.tokenize) == len(tokenizer), "laion-clap should use the tokenizer made here"
    with torch.inference_mode():
        text = clap.get_text_embedding(TEXTS)
        alone = [clap.get_audio_embedding_from_data([samples])[0] for samples in sounds()]
        together = clap.get_audio_embedding_from_data(sounds())
    np.savez(folder / "reference.npz", text=text, audio=np.stack(alone), batch=together)
    print(f"laion-clap HTSAT-{audio} fused={fused}: {len(state)} weights, text {text.shape}, audio {together.shape}")


def write_tokenizer(folder: Path) -> None:
    """RoBERTa's files over single bytes, so that no download is needed."""
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "<mask>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")


def fill_cache(cache: Path, tokenizer: Any) -> None:
    """A hub's cache as a download would leave it, with the models that laion-clap names."""
    import torch
    import transformers

    torch.manual_seed(2)
    roberta = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    for name in ("bert-base-uncased", "roberta-base", "facebook/bart-base"):
        model = cache / f"models--{name.replace('/', '--')}"
        snapshot = model / "snapshots" / "0"
        snapshot.mkdir(parents=True, exist_ok=True)
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / "main").write_text("0")
        if name == "bert-base-uncased":
            words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]
            (snapshot / "vocab.txt").write_text("\n".join(words))
            transformers.BertConfig().save_pretrained(snapshot)
            continue
        write_tokenizer(snapshot)
        if name == "roberta-base":
            transformers.RobertaModel(roberta).save_pretrained(snapshot)
        else:
            transformers.BartConfig().save_pretrained(snapshot)


def fake_torchvision() -> None:
    """laion-clap imports names from torchvision that its inference never calls; nothing where torchvision is there."""
    if importlib.util.find_spec("torchvision") is not None:
        return
    names = ["Normalize", "Compose", "RandomResizedCrop", "InterpolationMode", "ToTensor", "Resize", "CenterCrop"]
    for name, content in {
        "torchvision": [],
        "torchvision.datasets": [],
        "torchvision.transforms": names,
        "torchvision.ops": [],
        "torchvision.ops.misc": ["FrozenBatchNorm2d"],
    }.items():
        module = types.ModuleType(name)
        for item in content:
            setattr(module, item, type(item, (), {"BICUBIC": None}))
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def librosa_mel(samples: Any, audio_cfg: dict[str, Any]) -> Any:
    """``get_mel`` of laion-clap's training/data.py without torchaudio, float32 ``(frames, bins)`` in dB."""
    import librosa
    import torch

    power = librosa.feature.melspectrogram(
        y=samples.numpy(),
        sr=audio_cfg["sample_rate"],
        n_fft=audio_cfg["window_size"],
        hop_length=audio_cfg["hop_size"],
        win_length=audio_cfg["window_size"],
        center=True,
        pad_mode="reflect",
        power=2.0,
        n_mels=audio_cfg["mel_bins"],
        norm=None,
        htk=True,
        fmin=audio_cfg["fmin"],
        fmax=audio_cfg["fmax"],
    )
    return torch.from_numpy(10 * np.log10(np.maximum(power, 1e-10))).float().T


def spread(model: Any) -> None:
    """Weights and running statistics that tell inputs apart, where the customary ones answer the same to all."""
    import torch

    generator = torch.Generator().manual_seed(1)

    def normal(like: Any) -> Any:
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "extractor" in name:
                continue
            if weight.ndim >= 2:
                fan_in = weight.shape[-1] if "embed" in name and "proj" not in name else weight[0].numel()
                weight.copy_(1.5 * normal(weight) / fan_in**0.5)
            elif name.endswith("bias"):
                weight.copy_(0.1 * normal(weight))
            elif name.endswith("weight"):
                weight.copy_(1 + 0.1 * normal(weight))
        for name, buffer in sorted(model.named_buffers()):
            if name.endswith("running_mean"):
                buffer.copy_(-40 + normal(buffer) if "bn0" in name else 0.1 * normal(buffer))
            elif name.endswith("running_var"):
                buffer.copy_((400 if "bn0" in name else 1) * (1 + 0.1 * normal(buffer).abs()))


def compare(folder: Path) -> None:
    """In this project's environment: the same texts and clips through ``embed``, and the differences."""
    import embed
    from embed import Media

    reference = np.load(folder / "reference.npz")
    encoder = embed.load({"family": "laion_clap", "model": str(folder / "checkpoint.pt")})
    text = embed.encode(encoder, [Media.from_text(text) for text in TEXTS]).array
    clips = [Media("audio", array=samples, rate=RATE) for samples in sounds()]
    audio = embed.encode(encoder, clips).array
    print(f"{encoder.space}")
    for name, given in (("text", text), ("audio", audio), ("batch", audio)):
        expected = reference[name]
        others = (expected @ expected.T)[np.triu_indices(len(expected), 1)]
        print(
            f"{name:6} largest difference {np.abs(given - expected).max():.1e}, "
            f"lowest cosine {(given * expected).sum(1).min():.7f}, "
            f"cosines of different inputs {others.min():.3f} to {others.max():.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=["both", "write", "compare"], default="both")
    parser.add_argument("--audio", choices=["tiny", "base"], default="tiny")
    parser.add_argument("--fused", action="store_true")
    chosen = parser.parse_args()
    if chosen.only == "write":
        write(chosen.folder, chosen.audio, chosen.fused)
        return
    if chosen.only == "both":
        # A process of its own, which finds nothing in the hub's cache but what lies in the folder.
        cache = {"HF_HUB_CACHE": str((chosen.folder / "cache").absolute()), "HF_HUB_OFFLINE": "1"}
        subprocess.run([sys.executable, *sys.argv, "--only", "write"], check=True, env={**os.environ, **cache})
    compare(chosen.folder)


if __name__ == "__main__":
    main()
