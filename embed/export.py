"""Networks of torch to the ONNX files that ``embed.exported`` keeps: traced, optimised, and checked against torch.

What goes into a network is taken from the encoder itself: probes of each modality are encoded, and what its towers are
called with is noted. So the axes that change from batch to batch are known, and the rows that the file has to give.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import Encoder
from embed.errors import EncoderError, MachineError, MediaError, MissingPackage, one_line
from embed.exported import CACHE, NETWORK, OPSET, WEIGHTS, Cache, Entry, Exported, fed, package, session_options
from embed.faults import machine_fault
from embed.listener import Listener
from embed.media import Media, Modality, Span, as_numpy
from embed.models import turn
from embed.tower import Tower

__all__ = ["AGREE", "export", "missing"]

AGREE: Final = 0.99999
"""The least cosine of a row of the file with torch's; a network that does not reach it stays with torch."""
LENGTH: Final = 1e-3  # by how much a row's length may differ, relatively: scores of classes are no directions
SECONDS: Final = 3.0  # of sound where the encoder hears whole recordings
INLINE: Final = "1024"  # bytes up to which a weight stays in the graph
OWN: Final = ("onnx/{}_model.onnx", "onnx/model.onnx", "{}_model.onnx", "model.onnx")
"""Where a model's own ONNX file of a network may lie in its folder, as published checkpoints have them."""
TEXTS: Final[Sequence[Sequence[str]]] = (
    ["rain"],
    ["a dog barking", "naïve dog, at 3 o'clock — 犬の声 🐕", "engine siren crowd wind " * 40],
    ["a red car parked in front of an old house by the sea, in the rain"],
    ["sea", "engine siren crowd wind " * 400],
)


@dataclass(frozen=True, slots=True)
class _Call:
    """What a network was called with, and the rows it gave."""

    inputs: Mapping[str, npt.NDArray[Any]]
    rows: npt.NDArray[np.float32]


def missing(encoder: Encoder, cache: Cache = CACHE) -> list[Tower]:
    """The encoder's networks that would run as ONNX files here and have none, nor anything that says why not.

    Where a GPU runs them, those of texts alone: a question in a new process is answered sooner without torch.
    """
    if cache.runtime() == "eager":
        return []
    towers = [one for one in encoder.towers.values() if one.may_run_exported]
    lacking = [one for one in towers if one.key is not None and cache.find(one.key) is None]
    return [one for one in lacking if one.name == "text" or not one.on_gpu]


def export(
    encoder: Encoder,
    towers: Sequence[Tower] | None = None,
    *,
    listener: Listener | None = None,
    cache: Cache = CACHE,
) -> list[Entry]:
    """See to it that networks of an encoder, all without ``towers``, are in the cache; gives their entries.

    A network that cannot be exported, or whose file does not give torch's rows to within ``AGREE``, gets an entry that
    says so, and stays with torch. ``listener`` hears of each when it is through, and why one is not in. Takes about
    half a minute and three times its weights in memory for a network of a hundred million weights. Raises
    ``MachineError``, and ``EncoderError`` where the encoder does not work or the package onnx is missing.
    """
    listener = listener or Listener()
    wanted = [tower for tower in (encoder.towers.values() if towers is None else towers) if tower.key is not None]
    found = []
    with turn(encoder):
        calls: dict[str, list[_Call]] | None = None
        for tower in wanted:
            listener.check()
            assert tower.key is not None
            entry = cache.find(tower.key)
            if entry is None:
                calls = _noted(encoder, wanted) if calls is None else calls
                entry = _kept(encoder, tower, calls.get(tower.key, []), cache)
                if entry.failed is not None:
                    listener.remark(f"{entry.what} goes on with torch: {entry.failed}")
            tower.look_again()
            found.append(entry)
            listener.advance()
    return found


def _kept(encoder: Encoder, tower: Tower, calls: Sequence[_Call], cache: Cache) -> Entry:
    what = f"the {tower.name} network of {encoder.space.model}"
    assert tower.key is not None

    def fill(folder: Path) -> dict[str, Any]:
        facts: dict[str, Any] = {"what": what}
        try:
            if not calls:
                raise _Unfit("none of the probes goes through it")
            facts |= _made(tower, calls, folder)
        except MissingPackage:
            raise
        except Exception as error:
            if (fault := machine_fault(error, what) or _no_room(tower, folder)) is not None:
                raise fault from error
            for file in folder.iterdir():
                file.unlink()
            facts["failed"] = str(error) if isinstance(error, _Unfit) else one_line(error, named=True)
        return facts

    try:
        return cache.keep(tower.key, fill)
    except OSError as error:
        if (fault := machine_fault(error, str(cache.folder()))) is not None:
            raise fault from error
        raise EncoderError(f"{cache.folder()}: cannot be written: {one_line(error)}") from None


def _no_room(tower: Tower, folder: Path) -> MachineError | None:
    """The disk's fault where it has less room than the network's weights take: the runtime does not say so itself."""
    files = tower.where.rglob("*") if tower.where.is_dir() else [tower.where]
    size = max((file.stat().st_size for file in files if file.suffix in hub.WEIGHTS), default=0)
    if (free := shutil.disk_usage(folder).free) < size:
        return MachineError(
            f"the {tower.name} network", f"{folder.parent} has {free / 1e6:,.0f} MB left, too few for an ONNX file"
        )
    return None


class _Unfit(Exception):
    """A file that does not do what torch does; one line."""


def _made(tower: Tower, calls: Sequence[_Call], folder: Path) -> dict[str, Any]:
    """Write a network into a folder: the checkpoint's own file where that does the same, else torch's."""
    for pattern in OWN:
        for name in dict.fromkeys((tower.name, {"image": "vision"}.get(tower.name, tower.name))):
            own = tower.where / pattern.format(name)
            if tower.where.is_dir() and own.is_file():
                try:
                    return {"own": own.name, **_optimised(own, calls, folder)}
                except _Unfit:
                    pass
                except Exception as error:
                    if machine_fault(error, str(own)) is not None:
                        raise
                for file in folder.iterdir():
                    file.unlink()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".trace-") as temporary:
        raw = Path(temporary) / "traced.onnx"
        trace(tower, calls, raw)
        return _optimised(raw, calls, folder)


def trace(tower: Tower, calls: Sequence[_Call], path: Path) -> None:
    """Write a network as torch traces it, with the axes open that differ among the calls, and the first of each."""
    import torch

    if find_spec("onnx") is None:  # torch would trace for a while before it said so
        raise MissingPackage("onnx", "train", "an ONNX file of a network")
    names = list(calls[0].inputs)
    if any(list(call.inputs) != names for call in calls):
        raise _Unfit("it is called now with these inputs, now with those")
    kinds = {name: {call.inputs[name].ndim for call in calls} for name in names}
    if uneven := [name for name, many in kinds.items() if len(many) > 1]:
        raise _Unfit(f"its input {uneven[0]} has now fewer axes, now more")
    axes: dict[str, dict[int, str]] = {}
    lengths = {name: [call.inputs[name].shape for call in calls] for name in names}
    for name, shapes in lengths.items():
        axes[name] = {
            axis: f"{name}_{axis}" for axis in range(1, len(shapes[0])) if len({one[axis] for one in shapes}) > 1
        }
        axes[name][0] = "n"
    example = max(calls, key=lambda call: sum(one.size for one in call.inputs.values()))

    class Graph(torch.nn.Module):
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return tower.output(self.module, dict(zip(names, tensors, strict=True))).float()

    graph = Graph(tower.on_cpu()).eval()
    with warnings.catch_warnings(), torch.no_grad(), _no_log():
        warnings.simplefilter("ignore")  # what tracing might get wrong is what the check is for
        torch.onnx.export(
            graph,
            tuple(torch.from_numpy(example.inputs[name]) for name in names),
            str(path),
            dynamo=False,
            input_names=names,
            output_names=["rows"],
            dynamic_axes=axes | {"rows": {0: "n"}},
            opset_version=OPSET,
        )


@contextmanager
def _no_log() -> Iterator[None]:
    """Meanwhile torch does not print a graph that it cannot export on stdout: its own switch for that does nothing."""
    import torch

    name = "_jit_onnx_log"
    printing = getattr(torch._C, name, None)
    if printing is not None:
        setattr(torch._C, name, lambda *_: None)
    try:
        yield
    finally:
        if printing is not None:
            setattr(torch._C, name, printing)


def _optimised(source: Path, calls: Sequence[_Call], folder: Path) -> dict[str, Any]:
    """Write an ONNX file as the runtime has optimised it, and see that it gives the rows of the calls."""
    options = session_options()
    onnxruntime = package()
    # No further, since the next level lays weights out for the machine that it is done on.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / NETWORK)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", INLINE)
    session = onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    output = _output(session, calls[0])
    del session
    exported = Exported(Entry(folder, {"output": output}))
    worst = 1.0
    for packed in (False, True):
        for call in calls:
            rows = exported.rows(call.inputs, packed=packed)
            if rows.shape != call.rows.shape:
                raise _Unfit(f"its ONNX file gives rows {rows.shape}, torch {call.rows.shape}")
            worst = min(worst, _agreement(rows, call.rows))
    if not worst >= AGREE:
        raise _Unfit(f"its ONNX file gives other vectors, of cosine {worst:.5f} to torch's; at least {AGREE} is wanted")
    return {"cosine": worst, "output": output}


def _output(session: Any, call: _Call) -> str:
    """The name of the output that holds the rows: of those of their shape the one that is most like them."""
    found: dict[str, Any] = dict(
        zip([one.name for one in session.get_outputs()], session.run(None, fed(session, call.inputs)), strict=True)
    )
    alike: dict[str, float] = {
        name: _agreement(rows, call.rows) for name, rows in found.items() if np.shape(rows) == call.rows.shape
    }
    if not alike:
        shapes = ", ".join(str(np.shape(rows)) for rows in found.values())
        raise _Unfit(f"its ONNX file gives {shapes}, torch rows {call.rows.shape}")
    return max(alike, key=lambda name: alike[name])


def _agreement(rows: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> float:
    """The lowest cosine of two rows at the same place; 0 where one is not finite, or longer than the other."""
    a, b = rows.astype(np.float64), wanted.astype(np.float64)
    ours, theirs = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.einsum("ij,ij->i", a, b) / (ours * theirs)
        near = np.abs(ours / theirs - 1.0) <= LENGTH
    cosines[(ours == 0.0) & (theirs == 0.0)] = 1.0
    near[(ours == 0.0) & (theirs == 0.0)] = True
    return float(min(1.0, np.where(near & np.isfinite(cosines), cosines, 0.0).min()))


def _noted(encoder: Encoder, towers: Sequence[Tower]) -> dict[str, list[_Call]]:
    """What each tower is called with while probes of its modality are encoded, or of all modalities, by its key."""
    named = {tower.name for tower in towers}
    notes: dict[str, list[_Call]] = {}
    with ExitStack() as stack:
        for tower in towers:
            if tower.key is not None:
                calls = notes.setdefault(tower.key, [])

                def note(inputs: Mapping[str, Any], rows: npt.NDArray[np.float32], calls: list[_Call] = calls) -> None:
                    calls.append(_Call({name: np.array(as_numpy(one)) for name, one in inputs.items()}, rows))

                stack.enter_context(tower.watched(note))
        for batch in _probes(encoder, named if named <= encoder.modalities else encoder.modalities):
            prepared = []
            for media in batch:
                try:
                    prepared.append(encoder.prepare(media))
                except MediaError:
                    continue
            if prepared:
                encoder.encode_batch(prepared)
    return notes


def _probes(encoder: Encoder, wanted: Set[str]) -> Iterator[list[Media]]:
    """Batches of one and of three parts, as if decoded, of some modalities; short, long, plain and noisy ones."""
    makers: dict[Modality, Callable[[Encoder], Iterator[list[Media]]]] = {
        "text": _texts,
        "audio": _sounds,
        "image": _pictures,
    }
    for modality in sorted(modality for modality in makers if modality in wanted):
        yield from makers[modality](encoder)


def _texts(encoder: Encoder) -> Iterator[list[Media]]:
    for batch in TEXTS:
        yield [Media.from_text(text) for text in batch]


def _sounds(encoder: Encoder) -> Iterator[list[Media]]:
    assert encoder.audio is not None
    rate, window = encoder.audio.rate, encoder.audio.window or SECONDS
    random = np.random.default_rng(0)

    def part(samples: npt.NDArray[np.floating[Any]]) -> Media:
        return Media(
            "audio", path="probe.wav", array=samples.astype(np.float32), rate=rate, span=Span(0.0, len(samples) / rate)
        )

    def time(share: float) -> npt.NDArray[np.float64]:
        return np.arange(max(1, round(share * window * rate))) / rate

    def noise(share: float) -> npt.NDArray[np.float64]:
        return 0.2 * random.standard_normal(len(time(share)))

    tone = 0.3 * np.sin(2 * np.pi * 440.0 * time(1.0))
    glide = 0.3 * np.sin(2 * np.pi * (90.0 * time(1.0) + 300.0 * time(1.0) ** 2 / window))
    yield [part(noise(1.0))]
    yield [part(tone), part(noise(1.0)), part(glide)]
    yield [part(noise(0.13))]
    yield [part(tone[: len(time(0.4))])]


def _pictures(encoder: Encoder) -> Iterator[list[Media]]:
    random = np.random.default_rng(0)

    def part(height: int, width: int, coarse: int) -> Media:
        blocks = random.integers(0, 256, (-(-height // coarse), -(-width // coarse), 3), dtype=np.uint8)
        pixels = blocks.repeat(coarse, axis=0).repeat(coarse, axis=1)[:height, :width]
        return Media("image", path="probe.png", array=np.ascontiguousarray(pixels))

    yield [part(224, 224, 1)]
    yield [part(300, 200, 40), part(64, 64, 1), part(120, 500, 7)]
    yield [part(31, 47, 16)]
