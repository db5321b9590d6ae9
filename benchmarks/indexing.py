"""How fast a folder is encoded, beside the two ways a first script would do it and beside the network alone.

    OMP_NUM_THREADS=2 python benchmarks/indexing.py
    python benchmarks/indexing.py --only clap --data ../shared/data/esc10 -n 48
    python benchmarks/indexing.py --profile

The ways, on the same files and the same checkpoint:

    loop      as the documentation of transformers has it: load a file, the processor, ``get_audio_features`` or
              ``get_image_features``, then the next file
    list      all files into a list, one call of the processor, batches through the model
    ours      ``embed.encode_stream`` through ``embed.load``, with torch ("eager"), with ONNX Runtime ("onnx"), and in
              bfloat16, as far as this version has them and ``--runtime`` and ``--precision`` ask for them
    forward   the network alone, in the same batches, on features that are ready: what no way can beat

The checkpoints have the sizes of laion/clap-htsat-unfused and openai/clip-vit-base-patch32 and random weights, for
speed does not depend on what they learned. Pictures are JPEGs of three megapixels that are made here, textured and
noisy in turn, as decoding costs most where there is most detail. Files are in the page cache.

Each way is a process of its own, which tells its peak of memory and runs once before any turn counts; then they take
turns, one at a time, round by round. A round counts only where everything else on the machine took at most ``OTHERS``
of its processors' time in every turn, by the kernel's count, and the hypervisor stole at most ``STOLEN``. Where the
wanted number of such rounds does not come about, what was measured is printed, but no verdict: exit 2. Exit 1 is for
a goal that is missed or vectors that do not agree, 0 for a run in which all is as it should be.

``--profile`` says instead what each step costs, in processor time per file over all threads.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import Encoder, Media, decode, load
from embed.encoder import AudioInput
from embed.media import Modality
from embed.pipeline import Encoded, encode_stream
from embed.space import unit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.embed.encoders import tiny

Rows = npt.NDArray[np.float32]

AGREE: Final = {"float32": 0.9999, "bfloat16": 0.9995}
BATCH: Final = 16
OTHERS: Final = 0.08  # of the processors' time
STOLEN: Final = 0.02
FLOOR: Final = 0.95  # ours in units of forward; less is no gain but a fault of the measurement
RATE: Final = 44100
SECONDS: Final = 5
PIXELS: Final = (2016, 1512)  # 3 megapixels
TRIES: Final = 3  # rounds that are tried for each that is wanted


class Model(ABC):
    """A checkpoint of transformers: its processor, and the model without what its other modality needs."""

    family: str
    modality: Modality
    suffixes: tuple[str, ...]
    goals: tuple[tuple[str, str, str, float], ...]
    """What a ratio of the speeds of two ways is called, the two ways, and what it should be at least.

    "ours" and "forward" are those with ONNX Runtime, where this version has it, else those with torch.
    """

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
    goals = (
        ("ours / loop", "ours", "loop", 3.0),
        ("ours / list", "ours", "list", 2.0),
        ("ours / forward", "ours", "forward", 1 / 1.15),
    )

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
    goals = (
        ("ours / loop", "ours", "loop", 3.0),
        ("ours / list", "ours", "list", 2.0),
        ("ours / forward", "ours", "forward", 1 / 1.4),
        ("bfloat16 / float32", "bfloat16", "ours", 1.3),
    )

    @staticmethod
    def build(folder: Path, seed: int) -> None:
        from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

        tiny.scatter(CLIPModel(CLIPConfig()), seed).save_pretrained(folder)
        CLIPProcessor(CLIPImageProcessorPil(), tiny.clip_bpe()).save_pretrained(folder)

    @staticmethod
    def synthesise(path: Path, seed: int) -> None:
        from PIL import Image

        random = np.random.default_rng(seed)
        pixels = np.full((PIXELS[1], PIXELS[0], 3), 128, dtype=np.float32)
        for side, strength in ((4, 60), (16, 40), (64, 30), (256, 25), (1024, 15)):
            for channel in range(3):
                layer = Image.fromarray(random.normal(0, strength, (side * 3 // 4, side)).astype(np.float32))
                pixels[:, :, channel] += np.asarray(layer.resize(PIXELS, Image.Resampling.BICUBIC))
        if seed % 2:
            pixels += random.normal(0, 12, pixels.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)

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


def prepared(encoder: Encoder, modality: Modality, files: Sequence[Path]) -> list[Media]:
    """The files as ``encode_batch`` takes them."""
    return [
        encoder.prepare(part)
        for file in files
        for part in decode.parts(Media.from_path(file, modality), audio=encoder.audio, image=encoder.image)
    ]


def forward_alone(encoder: Encoder, modality: Modality, files: Sequence[Path]) -> Callable[[], Rows]:
    """What runs an encoder's network on what it was given while the files were encoded, batch by batch."""
    tower: Any = encoder.towers[modality]  # type: ignore[attr-defined]
    kind, calls = type(tower), list[dict[str, Any]]()
    run: Any = kind.__call__

    def noted(self: Any, **inputs: Any) -> Any:
        calls.append(inputs)
        return run(self, **inputs)

    kind.__call__ = noted
    try:
        by_ours(encoder, modality, files)
    finally:
        kind.__call__ = run
    return lambda: np.concatenate([tower(**inputs) for inputs in calls])


def has_onnx() -> bool:
    """Whether this version runs networks with ONNX Runtime."""
    return find_spec("embed.export") is not None


def has_precision(kind: type[Model]) -> bool:
    """Whether this version, and this processor, has bfloat16."""
    takes = inspect.signature(import_module(f"embed.encoders.{kind.family}").load).parameters
    flags = ""
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
    return "precision" in takes and ("avx512_bf16" in flags or "amx_bf16" in flags)


def ours(kind: type[Model], checkpoint: Path, how: str) -> Encoder:
    """The encoder, with "eager", "onnx" or a precision; networks are exported where they were not."""
    table: dict[str, Any] = {"family": kind.family, "model": str(checkpoint)}
    if how not in ("eager", "onnx"):
        table["precision"] = how
    if has_onnx():
        cache = import_module("embed.exported").CACHE
        cache.asked = lambda: "auto" if how == "onnx" else "eager"
    encoder = load(table)
    if how == "onnx":
        for entry in import_module("embed.export").export(encoder):
            if entry.failed:
                raise SystemExit(f"{entry.what} was not exported: {entry.failed}")
    return encoder


def way(name: str, kind: type[Model], files: Sequence[Path], checkpoint: Path) -> Callable[[], Rows]:
    """What a way does in one turn."""
    what, _, how = name.partition(", ")
    if what in ("loop", "list"):
        model = kind(checkpoint)
        return lambda: (by_loop if what == "loop" else by_list)(model, files)
    encoder = ours(kind, checkpoint, how)
    if what == "export":
        return lambda: np.ones((1, 1), dtype=np.float32)
    if what == "ours":
        return lambda: by_ours(encoder, kind.modality, files)
    if hasattr(encoder, "towers"):
        return forward_alone(encoder, kind.modality, files)
    model = kind(checkpoint)
    features = model.features([model.read(file) for file in files])
    return lambda: by_forward(model, features)


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of a way. ``own`` and ``others`` are processors that were busy on average: with it, with anything else.

    ``stolen`` is the share of the processors' time that the hypervisor gave to others. ``held`` and ``peak`` are bytes
    of memory before and at most.
    """

    wall: float
    own: float
    others: float
    stolen: float
    held: int
    peak: int

    @property
    def quiet(self) -> bool:
        """Whether hardly anything else went on."""
        return self.others <= OTHERS * processors() and self.stolen <= STOLEN


def processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def kernel_seconds() -> tuple[float, float]:
    """Processor time of the whole machine so far, in seconds: busy (the stolen not counted), and stolen."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, irq, soft, stolen = (value / os.sysconf("SC_CLK_TCK") for value in fields)
    return user + nice + system + irq + soft, stolen


def memory(what: str) -> int:
    """Bytes: ``VmRSS`` or ``VmHWM``, the most since the process began or ``/proc/self/clear_refs`` was written to."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def take_turns(run: Callable[[], Rows], rows: Path) -> None:
    """The life of a way's process: once untimed, then a turn for each line that comes in, told in a line of JSON."""
    import torch

    with torch.inference_mode():
        np.save(rows, unit(run()))
        print("ready", flush=True)
        for _ in sys.stdin:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
            held = memory("VmRSS")
            busy, stolen = kernel_seconds()
            wall, own = time.perf_counter(), time.process_time()
            run()
            wall, own = time.perf_counter() - wall, time.process_time() - own
            busy, stolen = (now - then for now, then in zip(kernel_seconds(), (busy, stolen), strict=True))
            share = stolen / wall / (os.cpu_count() or 1)
            turn = Turn(wall, own / wall, max(0.0, busy - own) / wall, share, held, memory("VmHWM"))
            print(json.dumps(asdict(turn)), flush=True)


class Process:
    """A way in a process of its own."""

    def __init__(self, name: str, kind: type[Model], files: Path, checkpoint: Path, rows: Path) -> None:
        self.name, self.rows = name, rows
        command = [sys.executable, __file__, "--turns", name, kind.family, files, checkpoint, rows]
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._line("ready")

    def turn(self) -> Turn:
        """Have it run once."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return Turn(**json.loads(self._line("{")))

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _line(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        raise SystemExit(f"the process of {self.name!r} ended")


def measure(processes: Sequence[Process], rounds: int) -> tuple[list[dict[str, Turn]], bool]:
    """The turns of ``rounds`` quiet rounds, and True; or of all that were tried, and False."""
    quiet: list[dict[str, Turn]] = []
    every: list[dict[str, Turn]] = []
    while len(quiet) < rounds and len(every) < TRIES * rounds:
        turns = {process.name: process.turn() for process in processes}
        every.append(turns)
        if all(turn.quiet for turn in turns.values()):
            quiet.append(turns)
        if len(every) == rounds and not quiet:
            break  # it will not get quieter within minutes
    return (quiet, True) if len(quiet) == rounds else (every, False)


def benchmark(kind: type[Model], files: Sequence[Path], folder: Path, ways: Sequence[str], rounds: int) -> int:
    """Measure and print; the exit status."""
    listed = folder / f"{kind.family}.json"
    listed.write_text(json.dumps([str(file) for file in files]))
    checkpoint = folder / kind.family
    if any(name.endswith("onnx") for name in ways):  # which takes memory that is no way's
        Process("export, onnx", kind, listed, checkpoint, folder / "exported.npy").end()
    processes: list[Process] = []
    try:
        for number, name in enumerate(ways):
            processes.append(Process(name, kind, listed, checkpoint, folder / f"{kind.family}{number}.npy"))
        taken, quiet = measure(processes, rounds)
    finally:
        for process in processes:
            process.end()
    rows = {process.name: np.load(process.rows) for process in processes}
    counted = f"{rounds} quiet rounds" if quiet else f"{len(taken)} rounds, NOT quiet"
    print(f"\n{kind.__doc__} {len(files)} {kind.modality} files, batches of {BATCH}, {counted}, medians:")
    print(f"  {'':16} items/s    spread       s    CPU ms/item  CPUs  others  stolen  memory, at most more")
    for name in ways:
        turns = [round_[name] for round_ in taken]
        speeds = [len(files) / turn.wall for turn in turns]
        held, peak = max(turn.held for turn in turns), max(turn.peak for turn in turns)
        print(
            f"  {name:16} {statistics.median(speeds):7.2f} {min(speeds):5.2f}-{max(speeds):5.2f}"
            f" {statistics.median(turn.wall for turn in turns):7.2f}"
            f" {1000 * statistics.median(turn.own * turn.wall for turn in turns) / len(files):14.1f}"
            f" {statistics.median(turn.own for turn in turns):5.2f}"
            f" {max(turn.others for turn in turns):7.2f} {max(turn.stolen for turn in turns):7.3f}"
            f" {held / 1e6:6.0f} MB {max(0, peak - held) / 1e6:9.0f} MB"
        )
    met = agree(rows)
    best = "onnx" if "ours, onnx" in ways else "eager"
    full = {"ours": f"ours, {best}", "forward": f"forward, {best}", "bfloat16": "ours, bfloat16"}
    for what, one, other, least in kind.goals:
        one, other = full.get(one, one), full.get(other, other)
        if one not in ways:
            print(f"  {what:20} not measured: there is no {one}")
            continue
        each = [round_[other].wall / round_[one].wall for round_ in taken]
        ratio, spread = statistics.median(each), f"rounds: {min(each):.2f} to {max(each):.2f}"
        verdict = ("met" if ratio >= least else "MISSED") if quiet else "NO VERDICT"
        met = met and ratio >= least
        print(f"  {what:20} {ratio:.2f} ({spread}), at least {least:.2f} is wanted: {verdict} ({best})")
        if "forward" in other and ratio > 1 / FLOOR:
            print("  NOT TO BE TRUSTED: nothing is faster than the network alone")
            quiet = False
    if not quiet:
        most = max(turn.others / processors() for round_ in taken for turn in round_.values())
        print(
            f"  NOT A RESULT: other programs took up to {most:.0%} of the processors' time in a turn, and up to "
            f"{OTHERS:.0%} is let pass. Run it again when the machine does nothing else."
        )
        return 2
    return 0 if met else 1


def agree(rows: Mapping[str, Rows]) -> bool:
    """Print how far the ways' vectors of a file agree; whether they do."""
    exact = [name for name in rows if not name.startswith("forward") and "float16" not in name]
    same = min((float((rows[a] * rows[b]).sum(axis=1).min()) for a, b in combinations(exact, 2)), default=1.0)
    print(f"  lowest cosine between the ways' vectors of a file: {same:.6f} (at least {AGREE['float32']} is wanted)")
    met = same >= AGREE["float32"]
    if rough := [name for name in rows if name.endswith("bfloat16") and name.startswith("ours")]:
        near = float((rows[rough[0]] * rows[exact[-1]]).sum(axis=1).min())
        print(f"  and in bfloat16: {near:.6f} (at least {AGREE['bfloat16']} is wanted)")
        met = met and near >= AGREE["bfloat16"]
    one = rows[exact[0]]
    if len(one) > 1:
        others = (one @ one.T)[np.triu_indices(len(one), 1)]
        print(f"  for comparison, cosines of different files: {others.min():.4f} to {others.max():.4f}")
    return met


def profile(kind: type[Model], files: Sequence[Path], checkpoint: Path, how: str) -> None:
    """Print what each step costs, and what encoding them all costs beyond the steps."""
    encoder = ours(kind, checkpoint, how)
    media = [Media.from_path(file, kind.modality) for file in files]
    costs: dict[str, float] = {}

    def cost(run: Callable[[], Any]) -> tuple[float, Any]:
        """Milliseconds of processor time per file, the least of three."""
        run()
        least = float("inf")
        for _ in range(3):
            begun = time.process_time()
            made = run()
            least = min(least, time.process_time() - begun)
        return 1000 * least / len(files), made

    def parts(**wanted: Any) -> Iterator[Media]:
        return (part for one in media for part in decode.parts(one, **wanted))

    costs["read"], _ = cost(lambda: [file.read_bytes() for file in files])
    if encoder.audio is not None and kind.modality == "audio":
        own = [AudioInput(int(decode.facts(one)["sample_rate"]), None) for one in media]
        one_by_one = zip(media, own, strict=True)
        pairs = list(one_by_one)
        costs["decode, mix, check"], _ = cost(lambda: [list(decode.parts(one, audio=rate)) for one, rate in pairs])
        whole, made = cost(lambda: list(parts(audio=encoder.audio)))
        costs["resample, windows"] = max(0.0, whole - costs["decode, mix, check"])
        features: Any = getattr(encoder, "features", None)
        costs["log-mel"], _ = cost(lambda: [features([one.array]) for one in made])
    else:
        costs["decode, upright"], made = cost(lambda: list(parts(image=encoder.image)))
        exactly, _ = cost(lambda: list(parts()))
        print(f"  (decoded whole, as without knowing what is needed: {exactly:.2f} ms)")
        costs["resize, normalise"], _ = cost(lambda: [encoder.prepare(part) for part in made])
    costs["decode, upright" if kind.modality == "image" else "decode, mix, check"] -= costs["read"]
    ready = [encoder.prepare(part) for part in made]
    batches = [ready[start : start + BATCH] for start in range(0, len(ready), BATCH)]
    encoding, _ = cost(lambda: [encoder.encode_batch(batch) for batch in batches])
    costs["forward"] = encoding - costs.get("log-mel", 0.0)
    stream, _ = cost(lambda: by_ours(encoder, kind.modality, files))
    costs["hand-over and rest"] = stream - sum(costs.values())
    print(f"{kind.__doc__} {len(files)} {kind.modality} files, {how}: processor time a file, over all threads")
    for name, milliseconds in costs.items():
        print(f"  {name:20} {milliseconds:8.2f} ms {milliseconds / stream:7.1%}")
    print(f"  {'all':20} {stream:8.2f} ms")


def main() -> int:
    """Read the command line, make what is missing, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["clap", "clip"], help="one of the two (default: both)")
    parser.add_argument("--data", type=Path, help="a folder of files of at most 10 s or of pictures (default: made up)")
    parser.add_argument("-n", type=int, default=24, help="files of each kind (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="quiet rounds that are wanted (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and made-up files (default: %(default)s)")
    parser.add_argument("--runtime", choices=["onnx", "eager", "both"], default="both", help="(default: %(default)s)")
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="bfloat16", help="the least precise way"
    )
    parser.add_argument("--profile", action="store_true", help="say what each step costs")
    parser.add_argument("--turns", nargs=5, help=argparse.SUPPRESS)  # the process of one way
    arguments = parser.parse_args()
    if min(arguments.n, arguments.rounds) < 1:
        parser.error("-n and --rounds should be at least 1")

    # Threads that wait busily would take the processors from those that decode; torch reads it when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    kinds = {kind.family: kind for kind in (Clap, Clip)}
    if arguments.turns:
        name, family, listed, checkpoint, rows = arguments.turns
        files = [Path(file) for file in json.loads(Path(listed).read_text())]
        take_turns(way(name, kinds[family], files, Path(checkpoint)), Path(rows))
        return 0
    runtimes = [one for one in ("eager", "onnx") if arguments.runtime in (one, "both")]
    if not has_onnx():
        if arguments.runtime == "onnx":
            parser.error("this version runs no network with ONNX Runtime")
        runtimes = ["eager"]
    print(f"{torch.get_num_threads()} threads, {processors()} processors, torch {torch.__version__}", end="")
    print(f", load {os.getloadavg()[0]:.2f}, OMP_WAIT_POLICY {os.environ['OMP_WAIT_POLICY']}", end="")
    print(f", seed {arguments.seed}, files {arguments.data or 'made up'}")
    ended: list[int] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # no exported network stays behind
        for kind in kinds.values():
            if arguments.only not in (None, kind.family):
                continue
            if arguments.data:
                found = sorted(path for path in arguments.data.rglob("*") if path.suffix.lower() in kind.suffixes)
                files = found[:: max(1, len(found) // arguments.n)][: arguments.n]
            else:
                files = made_up(kind, folder, arguments.n, arguments.seed)
            if not files:
                continue
            kind.build(folder / kind.family, arguments.seed)
            precise = arguments.precision == "bfloat16" and has_precision(kind)
            if arguments.profile:
                for how in [*runtimes, *["bfloat16"] * precise]:
                    profile(kind, files, folder / kind.family, how)
                ended.append(0)
            else:
                ways = ["loop", "list", *(f"{what}, {how}" for how in runtimes for what in ("forward", "ours"))]
                ways += ["ours, bfloat16"] * precise
                ended.append(benchmark(kind, files, folder, ways, arguments.rounds))
    if not ended:
        parser.error(f"{arguments.data} holds no file of the wanted kind")
    return max(ended)


def made_up(kind: type[Model], folder: Path, count: int, seed: int) -> list[Path]:
    """Files of each of the kind's suffixes in turn."""
    files = [folder / f"{number:04}{kind.suffixes[number % len(kind.suffixes)]}" for number in range(count)]
    for number, file in enumerate(files):
        kind.synthesise(file, seed + number)
    return files


if __name__ == "__main__":
    sys.exit(main())
