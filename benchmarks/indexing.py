"""How fast a folder is encoded, beside the two ways a first script would do it and beside the model alone.

    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python benchmarks/indexing.py
    python benchmarks/indexing.py --only clap --data ../shared/data/esc10 -n 48

Four ways, on the same files and the same checkpoint, in turns:

    loop     as the documentation of transformers has it: load a file, the processor, ``get_audio_features`` or
             ``get_image_features``, then the next file
    list     all files into a list, one call of the processor, batches through the model
    ours     ``embed.encode_stream`` through ``embed.load``
    forward  the model alone, in the same batches, on features that are ready: what no way can beat

The checkpoints have the sizes of laion/clap-htsat-unfused and openai/clip-vit-base-patch32 and random weights, for
speed does not depend on what they learned. All ways use as many threads, each is run once before any is timed, and
the files are in the page cache. Exits with 1 where the vectors of loop, list and ours differ.

On a machine that does other work too, set OMP_WAIT_POLICY=passive. Otherwise OpenMP's threads wait for each other
busily, except where a process has more of them than there are processors, as ours has: the three other ways then
lose far more than ours does, and ours seems many times as fast as it is. A run in which ours beats the model alone
says that it cannot be trusted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import Encoder, Media, load
from embed.media import Modality
from embed.pipeline import Encoded, encode_stream
from embed.space import unit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.embed.encoders import tiny

Rows = npt.NDArray[np.float32]

AGREE: Final = 0.99999
BATCH: Final = 16
FLOOR: Final = 0.95  # ours in units of forward; less is no gain but a fault of the measurement
RATE: Final = 44100
SECONDS: Final = 5
PIXELS: Final = (2016, 1512)  # 3 megapixels


class Model(ABC):
    """A checkpoint of transformers: its processor, and the model without what its other modality needs."""

    family: str
    modality: Modality
    suffixes: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoProcessor

        self.name = f"{self.family}:{folder}"
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

    @staticmethod
    @abstractmethod
    def build(folder: Path, seed: int) -> None:
        """Write a checkpoint with random weights."""

    @staticmethod
    @abstractmethod
    def synthesise(path: Path, seed: int) -> None:
        """Write one file, each of another content."""

    @abstractmethod
    def read(self, path: Path) -> Any:
        """A file as the processor takes it."""

    @abstractmethod
    def features(self, media: Sequence[Any]) -> Any:
        """What the processor makes of them: a tensor."""

    @abstractmethod
    def forward(self, features: Any) -> Any:
        """Vectors ``(n, dim)``: a tensor."""


class Clap(Model):
    """HTSAT-tiny and RoBERTa-base, as laion/clap-htsat-unfused."""

    family, modality, suffixes = "clap", "audio", (".wav", ".flac", ".ogg")

    @staticmethod
    def build(folder: Path, seed: int) -> None:
        from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor

        model = ClapModel(ClapConfig())
        # Decibels to about -2 .. 2, as in trained ones; else the loudness that all sounds share drowns the rest.
        norm = model.audio_model.audio_encoder.batch_norm
        norm.running_mean.fill_(-50.0)
        norm.running_var.fill_(25.0**2)
        tiny.scatter(model, seed).save_pretrained(folder)
        extractor = ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50)
        ClapProcessor(extractor, tiny.byte_level_bpe()).save_pretrained(folder)

    @staticmethod
    def synthesise(path: Path, seed: int) -> None:
        import soundfile

        random = np.random.default_rng(seed)
        t = np.arange(SECONDS * RATE) / RATE
        tone = sum(
            np.sin(2 * np.pi * (low * t + slope * t**2)) for low, slope in random.uniform((80, -5), (3000, 400), (4, 2))
        )
        noise = random.normal(0, random.uniform(0.01, 0.3), len(t)) * (1 + np.sin(2 * np.pi * random.uniform(0, 9) * t))
        soundfile.write(path, (0.1 * tone + 0.3 * noise).clip(-1, 1), RATE)

    def read(self, path: Path) -> Any:
        import soundfile
        import soxr

        # As librosa.load does it, whose rounding however makes 240,001 samples of 5 s: of those the processor's
        # "repeatpad" fits one copy into 10 s instead of two, and the vector is another one altogether.
        rate = self.processor.feature_extractor.sampling_rate
        sound, own = soundfile.read(path, dtype="float32", always_2d=True)
        samples = soxr.resample(sound.mean(axis=1), own, rate, quality="HQ")
        if len(samples) > 10 * rate:
            raise SystemExit(f"{path} is longer than 10 s, of which the processor would cut a random part")
        return samples

    def features(self, media: Sequence[Any]) -> Any:
        rate = self.processor.feature_extractor.sampling_rate
        return self.processor(audio=list(media), sampling_rate=rate, return_tensors="pt")["input_features"]

    def forward(self, features: Any) -> Any:
        return self.model.get_audio_features(features).pooler_output


class Clip(Model):
    """ViT-B/32, as openai/clip-vit-base-patch32."""

    family, modality, suffixes = "clip", "image", (".jpg", ".jpeg")

    @staticmethod
    def build(folder: Path, seed: int) -> None:
        from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

        tiny.scatter(CLIPModel(CLIPConfig()), seed).save_pretrained(folder)
        CLIPProcessor(CLIPImageProcessorPil(), tiny.clip_bpe()).save_pretrained(folder)

    @staticmethod
    def synthesise(path: Path, seed: int) -> None:
        from PIL import Image

        random = np.random.default_rng(seed)
        scales = [random.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (4, 32, 256)]
        layers = [np.asarray(Image.fromarray(layer).resize(PIXELS), dtype=np.float32) for layer in scales]
        pixels = 0.6 * layers[0] + 0.3 * layers[1] + 0.1 * layers[2]
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)

    def read(self, path: Path) -> Any:
        from PIL import Image

        return Image.open(path).convert("RGB")

    def features(self, media: Sequence[Any]) -> Any:
        return self.processor(images=list(media), return_tensors="pt")["pixel_values"]

    def forward(self, features: Any) -> Any:
        return self.model.get_image_features(features).pooler_output


def by_loop(model: Model, files: Sequence[Path]) -> Rows:
    """One file after another."""
    return np.concatenate([model.forward(model.features([model.read(file)])).numpy() for file in files])


def by_list(model: Model, files: Sequence[Path]) -> Rows:
    """Everything at once, and the model in batches."""
    return by_forward(model, model.features([model.read(file) for file in files]))


def by_ours(encoder: Encoder, modality: Modality, files: Sequence[Path]) -> Rows:
    """``encode_stream``; a file that fails ends the benchmark."""
    rows: list[Rows] = []
    for result in encode_stream(encoder, (Media.from_path(file, modality) for file in files), batch_size=BATCH):
        if isinstance(result, Encoded):
            rows.append(result.vector)
        elif result.error is not None:
            raise SystemExit(str(result.error))
    return np.stack(rows)


def by_forward(model: Model, features: Any) -> Rows:
    """Batches of what the processor made."""
    return np.concatenate([model.forward(batch).numpy() for batch in features.split(BATCH)])


@dataclass(frozen=True, slots=True)
class Timing:
    """One run: seconds by the clock, and of processor time over all threads."""

    wall: float
    processor: float


def measure(ways: dict[str, Callable[[], Rows]], rounds: int) -> tuple[dict[str, list[Timing]], dict[str, Rows]]:
    """How long each way took in each round, and its unit rows. Each runs once untimed, then they take turns."""
    import torch

    timings: dict[str, list[Timing]] = {name: [] for name in ways}
    with torch.inference_mode():
        rows = {name: unit(run()) for name, run in ways.items()}
        for _ in range(rounds):
            for name, run in ways.items():
                wall, processor = time.perf_counter(), time.process_time()
                run()
                timings[name].append(Timing(time.perf_counter() - wall, time.process_time() - processor))
    return timings, rows


def benchmark(kind: type[Model], files: Sequence[Path], checkpoint: Path, rounds: int) -> bool:
    """Measure and print; whether the vectors agree."""
    model = kind(checkpoint)
    encoder = load(model.name)
    ready = model.features([model.read(file) for file in files])
    timings, rows = measure(
        {
            "loop": lambda: by_loop(model, files),
            "list": lambda: by_list(model, files),
            "ours": lambda: by_ours(encoder, model.modality, files),
            "forward": lambda: by_forward(model, ready),
        },
        rounds,
    )

    def ratios(one: str, other: str) -> list[float]:
        """Round by round, since what else the machine does changes from one to the next."""
        return [a.wall / b.wall for a, b in zip(timings[one], timings[other], strict=True)]

    def ratio(one: str, other: str) -> str:
        each = ratios(one, other)
        return f"{statistics.median(each):.2f} (rounds: {min(each):.2f} to {max(each):.2f})"

    print(f"\n{kind.__doc__} {len(files)} {kind.modality} files, batches of {BATCH}, {rounds} rounds, medians:")
    for name, runs in timings.items():
        wall = statistics.median(run.wall for run in runs)
        processor = statistics.median(run.processor for run in runs)
        print(f"  {name:8} {len(files) / wall:7.2f} items/s {wall:8.2f} s {processor:8.2f} s of processor time")
    print(f"  speed of ours / loop        {ratio('loop', 'ours')}")
    print(f"  speed of ours / list        {ratio('list', 'ours')}")
    print(f"  time of ours / forward      {ratio('ours', 'forward')}")
    if statistics.median(ratios("ours", "forward")) < FLOOR:
        print("  NOT TO BE TRUSTED: nothing can be faster than the model alone; see OMP_WAIT_POLICY in --help")

    three = ("loop", "list", "ours")
    same = min(float((rows[a] * rows[b]).sum(axis=1).min()) for a, b in combinations(three, 2))
    print(f"  lowest cosine between the ways' vectors of a file: {same:.7f} (at least {AGREE} is wanted)")
    if len(files) > 1:
        others = (rows["loop"] @ rows["loop"].T)[np.triu_indices(len(files), 1)]
        print(f"  for comparison, cosines of different files: {others.min():.4f} to {others.max():.4f}")
    return same >= AGREE


def main() -> int:
    """Read the command line, make what is missing, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["clap", "clip"], help="one of the two (default: both)")
    parser.add_argument("--data", type=Path, help="a folder of files of at most 10 s or of pictures (default: made up)")
    parser.add_argument("-n", type=int, default=24, help="files of each kind (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="timed runs of each way (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and made-up files (default: %(default)s)")
    arguments = parser.parse_args()
    if min(arguments.n, arguments.rounds) < 1:
        parser.error("-n and --rounds should be at least 1")

    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print(f"{torch.get_num_threads()} threads, {os.cpu_count()} processors, torch {torch.__version__}", end="")
    print(f", OMP_WAIT_POLICY {os.environ.get('OMP_WAIT_POLICY', 'not set')}", end="")
    print(f", seed {arguments.seed}, files {arguments.data or 'made up'}")
    agreed = []
    with tempfile.TemporaryDirectory() as temporary:
        for kind in (Clap, Clip):
            if arguments.only not in (None, kind.family):
                continue
            if arguments.data:
                found = sorted(path for path in arguments.data.rglob("*") if path.suffix.lower() in kind.suffixes)
                files = found[:: max(1, len(found) // arguments.n)][: arguments.n]
            else:
                files = made_up(kind, Path(temporary), arguments.n, arguments.seed)
            if files:
                checkpoint = Path(temporary) / kind.family
                kind.build(checkpoint, arguments.seed)
                agreed.append(benchmark(kind, files, checkpoint, arguments.rounds))
    if not agreed:
        parser.error(f"{arguments.data} holds no file of the wanted kind")
    return 0 if all(agreed) else 1


def made_up(kind: type[Model], folder: Path, count: int, seed: int) -> list[Path]:
    """Files of each of the kind's suffixes in turn."""
    files = [folder / f"{number:04}{kind.suffixes[number % len(kind.suffixes)]}" for number in range(count)]
    for number, file in enumerate(files):
        kind.synthesise(file, seed + number)
    return files


if __name__ == "__main__":
    sys.exit(main())
