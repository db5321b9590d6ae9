"""The CPU in float32 beside a device, or another precision: do vectors agree, and how many items a second go through.

    python benchmarks/device.py                             every family, tiny, on the GPU that auto finds
    python benchmarks/device.py --real-size                 CLAP and CLIP of the sizes that people use
    python benchmarks/device.py --real-size --device cpu --precision bfloat16

Weights are random: speed does not depend on what they learned, and rounding moves such vectors no less than those of
trained ones (those of tiny networks more; of their speeds nothing follows). Inputs are made here, decoded and prepared
before any is timed; what is timed is ``encode_batch`` with all transfers, both sides in turns, medians of ``--rounds``.
Exits with 1 where a cosine is too low, and says so where there is no GPU: then both sides are the CPU's, and
nothing was learnt of devices.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from embed import Encoder, Media, load
from embed.encoder import REGISTRY, resolve
from embed.media import Modality, Span
from embed.space import unit
from embed.tower import Running

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.embed.encoders import tiny

LEAST: Final = 0.999
WORDS: Final = ("dog", "rain", "siren", "sea", "wind", "roof", "engine", "old", "bell", "tin")


def real_clap(folder: Path) -> str:
    """HTSAT-tiny and RoBERTa-base, as laion/clap-htsat-unfused."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor

    model = ClapModel(ClapConfig())
    norm = model.audio_model.audio_encoder.batch_norm  # decibels to about -2 .. 2, as in trained ones
    norm.running_mean.fill_(-50.0)
    norm.running_var.fill_(25.0**2)
    model.save_pretrained(folder)
    extractor = ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50)
    ClapProcessor(extractor, tiny.byte_level_bpe()).save_pretrained(folder)
    return f"clap:{folder}"


def real_clip(folder: Path) -> str:
    """ViT-B/32, as openai/clip-vit-base-patch32."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPProcessor(CLIPImageProcessorPil(), tiny.clip_bpe()).save_pretrained(folder)
    return f"clip:{folder}"


def parts(encoder: Encoder, modality: Modality, count: int) -> list[Media]:
    """So many different prepared parts of a modality."""
    random = np.random.default_rng(0)
    made = []
    for number in range(count):
        blocks = random.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(40, 0).repeat(40, 1)
        if modality == "text":
            one = Media.from_text(" ".join(random.choice(WORDS, 2 + number % 8)))
        elif modality == "image":
            one = Media(modality, array=blocks)
        elif modality == "audio":
            assert encoder.audio is not None
            rate, seconds = encoder.audio.rate, min(encoder.audio.window or 3.0, 10.0)
            t = np.arange(int(rate * seconds)) / rate
            sound = 0.3 * np.sin(2 * np.pi * random.uniform(80, 900) * t) + 0.1 * random.standard_normal(len(t))
            one = Media(modality, array=sound.astype(np.float32), rate=rate, span=Span(0.0, seconds))
        else:
            assert encoder.video is not None
            rate = encoder.video.rate
            sound = random.standard_normal(rate).astype(np.float32) * 0.1 if rate else None
            frames = np.stack([np.roll(blocks, 9 * at, axis=1) for at in range(encoder.video.frames)])
            one = Media(modality, array=frames, sound=sound, rate=rate)
        made.append(encoder.prepare(one))
    return made


def compare(name: str | dict[str, Any], options: argparse.Namespace) -> float:
    """Print a line for each modality; give the lowest cosine, 1 where no network of torch runs."""
    table = resolve(name)
    here = load(table | {"device": "cpu", "precision": "float32"})
    there = load(table | {"device": options.device, "precision": options.precision})
    lowest = 1.0
    if not here.towers:
        return lowest
    for modality in sorted(here.modalities):
        some = parts(here, modality, options.batch)
        rows = [unit(side.encode_batch(some)).astype(np.float64) for side in (here, there)]
        cosine = float((rows[0] * rows[1]).sum(axis=1).min())
        lowest = min(lowest, cosine)
        took: tuple[list[float], list[float]] = ([], [])
        for _ in range(options.rounds):
            for side, times in zip((here, there), took, strict=True):
                started = time.perf_counter()
                side.encode_batch(some)
                times.append(time.perf_counter() - started)
        slow, quick = (len(some) / statistics.median(times) for times in took)
        places = sorted({str(tower.device) for tower in there.towers.values() if tower.loaded})
        print(
            f"  {table['family']:17}{modality:6} cosine {cosine:.7f}   {slow:9.1f} items/s on the CPU in float32, "
            f"{quick:9.1f} on {', '.join(places) or 'the CPU, without torch'} in {there.precision}   "
            f"{quick / slow:5.2f} times",
            flush=True,
        )
        for line in there.notices():
            print(f"    {line}")
    return lowest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--real-size", action="store_true", help="CLAP and CLIP of their usual sizes")
    parser.add_argument("--only", help="a family, such as clap")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    import torch

    device, broken = Running(options.device, options.precision).place()
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"{kind}, torch {torch.__version__}, {torch.get_num_threads()} threads on the CPU")
    if broken:
        print(broken)
    if device.type == "cpu":
        print("No GPU: both sides run on the CPU, and nothing here says how devices do.")
    folder = Path(__file__).resolve().parents[1] / "tests/embed/encoders"
    builds = {path.stem.removeprefix("tiny_"): None for path in sorted(folder.glob("tiny_*.py"))}
    made = {"clap": real_clap, "clip": real_clip} if options.real_size else builds
    failed = False
    tiny.WIDTH = 0.35
    for name, build in made.items():
        if options.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            where = Path(temporary) / "model"
            where.mkdir()
            module = importlib.import_module(f"tests.embed.encoders.tiny_{name}")
            encoder = (build or module.build)(where)
            least = LEAST if options.real_size else getattr(module, "NEARLY", LEAST)
            if "device" in REGISTRY.settings(resolve(encoder)["family"]) and compare(encoder, options) < least:
                failed = True
                print(f"  {name}: its vectors agree less than to a cosine of {least}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
