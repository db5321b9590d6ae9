"""Teach a small audio network on a folder of sounds, by any encoder of sounds and texts.

Mixtures of the sounds (``embed.training.mixing``) are drawn, the teacher encodes each, and the network learns to say
the same (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015): of a ConSE teacher the scores
of its classes, of others their vectors. A tenth of the sounds is never mixed: on it the two are compared.

Everything on the way lies in a work folder, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch

from embed import decode
from embed.encoder import Encoder, load, resolve
from embed.encoders.conse import ConseEncoder
from embed.encoders.static import StaticEncoder
from embed.errors import AnalogonError, EncoderError, UnsupportedModality, UsageError
from embed.listener import Listener
from embed.media import Media
from embed.pipeline import Encoded, encode_stream
from embed.several import several
from embed.space import unit
from embed.training.export import check_installed, export
from embed.training.gathering import MEL, Phase, gather, held_out, write_whole
from embed.training.mixing import Mixer, Samples, by_length, from_bytes, to_bytes
from embed.training.network import Batch, Shape, Student, as_tensor, fit
from embed.training.output import new_folder, refuse_existing

__all__ = ["Comparison", "Recipe", "Teacher", "compare", "learn", "work_of"]

FRAMES: Final = 192
LENGTH: Final = MEL.samples(FRAMES)
SHARD: Final = 250  # mixtures in one file
BATCH: Final = 32
RATE: Final = 2e-3
AT_ONCE: Final = 10  # mixtures that the teacher is handed together
COMPARED: Final = 200  # files at most, and the seconds of each
CLIP: Final = 10.0
LEAST_PRIOR: Final = 1e-6
TEXT_FILES: Final = ("model.safetensors", "tokenizer.json", "config.json")


@dataclass(frozen=True)
class Recipe:
    """How much to learn: so many mixtures, and so many steps over them, 32 mixtures each."""

    mixtures: int = 12_000
    steps: int = 3_000
    seed: int = 0
    shape: Shape = field(default_factory=Shape)

    def __post_init__(self) -> None:
        if min(self.mixtures, self.steps) < 1 or self.seed < 0:
            given = f"{self.mixtures}, {self.steps} and {self.seed}"
            raise UsageError(f"mixtures and steps are at least 1, and a seed at least 0; not {given}")


class Teacher:
    """What is to be learnt of an encoder: ``head`` "scores", those of its classes, or "vector".

    ``name`` is what ``embed.load`` takes. Of a ConSE encoder, ``classes`` are unit vectors ``(size, dim)`` of the
    classes that take part; of others they are None.
    """

    def __init__(self, name: str | os.PathLike[str] | Mapping[str, Any]) -> None:
        self.table = resolve(name)
        self.encoder = load(self.table)
        sides = self.encoder.modalities
        if not {"audio", "text"} <= sides:
            raise UnsupportedModality(
                f"{self.encoder.space.model} encodes {', '.join(sorted(sides))}; a teacher encodes audio and text"
            )
        self.head: Literal["scores", "vector"] = "scores" if isinstance(self.encoder, ConseEncoder) else "vector"

    @property
    def text(self) -> Encoder:
        """The encoder of texts."""
        return self.encoder.text if isinstance(self.encoder, ConseEncoder) else self.encoder

    @property
    def text_table(self) -> dict[str, Any]:
        """What ``embed.load`` makes it of."""
        return resolve(self.table["text"]) if self.head == "scores" else self.table

    @property
    def pool(self) -> Literal["max", "mean"]:
        """How scores of windows become those of a part."""
        return "mean" if self.head == "vector" or self.table.get("audio_pool") == "mean" else "max"

    @cached_property
    def classes(self) -> npt.NDArray[np.float32] | None:
        return None if self._kept is None else self._conse.class_vectors("audio")[self._kept]

    @property
    def size(self) -> int:
        return self.encoder.space.dim if self.classes is None else len(self.classes)

    def tell(self, sounds: Sequence[Samples]) -> npt.NDArray[np.float32]:
        """What it says of sounds at 16 kHz: ``(len(sounds), size)``; a row that is not finite where it says nothing."""
        media = [Media("audio", array=samples, rate=MEL.rate) for samples in sounds]
        if self._kept is None:
            return encoded(self.encoder, media)
        parts = [[self._conse.prepare(p) for p in decode.parts(one, audio=self.encoder.audio)] for one in media]
        scores = self._conse.scores([part for each in parts for part in each])
        ends = np.cumsum([len(each) for each in parts])[:-1]
        join = np.max if self.pool == "max" else np.mean
        return np.stack([join(rows, axis=0) for rows in np.split(scores, ends)])[:, self._kept]

    @property
    def _conse(self) -> ConseEncoder:
        assert isinstance(self.encoder, ConseEncoder)
        return self.encoder

    @cached_property
    def _kept(self) -> npt.NDArray[np.int64] | None:
        """The numbers of the classes that take part."""
        return np.flatnonzero(self._conse.class_vectors("audio").any(axis=1)) if self.head == "scores" else None


def encoded(encoder: Encoder, media: Sequence[Media]) -> npt.NDArray[np.float32]:
    """The unit vector of each medium, ``(len(media), dim)``, a mean over its parts; NaN where there is none."""
    sums = np.zeros((len(media), encoder.space.dim))
    for result in encode_stream(encoder, media):
        if isinstance(result, Encoded):
            sums[result.index] += result.vector
    rows = unit(sums)
    rows[~sums.any(axis=1)] = np.nan
    return rows


@dataclass(frozen=True)
class Comparison:
    """A student and its teacher on ``files`` sounds that were not learnt from.

    ``cosine`` is the mean between their vectors of the same sound; ``first`` the share of sounds whose own teacher
    vector is the nearest of all to the student's; ``faster`` how many times as many the student encodes in a second.
    """

    files: int
    cosine: float
    first: float
    faster: float


def compare(student: Encoder, teacher: Encoder, clips: Sequence[Samples]) -> Comparison:
    """Compare the vectors of sounds at 16 kHz; those that one of the two says nothing of are left out."""
    media = [Media("audio", array=samples, rate=MEL.rate) for samples in clips]
    vectors, seconds = [], []
    for encoder in (student, teacher):
        encoded(encoder, media[:1])  # loading takes no part in the time
        started = time.perf_counter()
        vectors.append(encoded(encoder, media))
        seconds.append(time.perf_counter() - started)
    both = np.isfinite(vectors[0]).all(axis=1) & np.isfinite(vectors[1]).all(axis=1)
    if not both.any():
        raise EncoderError(f"{teacher.space.model} has no vector for any sound that was held out")
    cosines = vectors[0][both] @ vectors[1][both].T
    found = cosines.argmax(axis=1) == np.arange(len(cosines))
    return Comparison(len(cosines), float(np.diag(cosines).mean()), float(found.mean()), seconds[1] / seconds[0])


def work_of(output: Path) -> Path:
    """The folder in which a run for ``output`` works, beside it."""
    output = output.absolute()
    return output.with_name(f".{output.name}.work")


def learn(
    name: str | os.PathLike[str] | Mapping[str, Any],
    media: Path,
    paths: str | Iterable[str],
    output: Path,
    recipe: Recipe,
    listener: Listener,
) -> Comparison:
    """Make ``output`` a folder of the ``student`` family that has learnt from teacher ``name`` on the sounds ``paths``.

    ``media`` is the folder that they were found in. The same arguments give the same weights, in one run or several.
    ``listener`` hears of phases and sounds, of each sound that is skipped, and how long it will take as a remark.
    Raises ``UsageError`` where ``output`` is there, or where its work folder is that of other arguments;
    ``UnsupportedModality``, ``EncoderError``, ``MissingPackage``, and ``Cancelled`` where ``listener`` asks for that:
    what was mixed and taught until then is kept.
    """
    refuse_existing(output)
    check_installed()
    teacher = Teacher(name)
    work = work_of(output)
    try:
        return _learn(teacher, media, several(paths), output, work, recipe, listener)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise AnalogonError(f"{work}: cannot be used: {error.strerror or error}{where}") from None


def _learn(
    teacher: Teacher,
    media: Path,
    paths: Iterable[str],
    output: Path,
    work: Path,
    recipe: Recipe,
    listener: Listener,
) -> Comparison:
    _begin(work, {"teacher": teacher.encoder.space.id, "media": str(media.absolute())} | asdict(recipe))
    try:
        sounds = gather(paths, work, listener)
    except UsageError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    test = held_out(sounds)
    recordings = sounds.recordings
    taught = np.flatnonzero(~test)
    weights = by_length(recordings.lengths[taught] / MEL.rate)
    mixer = Mixer(recordings, taught, taught, weights / weights.sum(), LENGTH, MEL.rate)
    mixing, teaching = _foretell(teacher, mixer, recipe, work)
    listener.remark(
        f"{len(taught):,} sounds to learn on: about {_minutes(mixing + teaching)}, of which {_minutes(mixing)} for "
        f"{recipe.mixtures:,} mixtures, {_minutes(teaching)} for {recipe.steps:,} steps"
    )
    shards = _mix(teacher, mixer, recipe, work, listener)
    student = _teach(teacher, shards, recipe, work, listener)
    with new_folder(output) as folder:
        _save(student, teacher, shards, folder)
        listener.phase("comparing", None)
        listener.check()
        clips = [recordings[number][: round(CLIP * MEL.rate)] for number in np.flatnonzero(test)[:COMPARED]]
        found = compare(load({"family": "student", "model": str(folder)}), teacher.encoder, clips)
        (folder / "MODEL_CARD.md").write_text(_card(teacher, len(taught), recipe, found), "utf-8")
    shutil.rmtree(work, ignore_errors=True)
    return found


def _begin(work: Path, arguments: dict[str, Any]) -> None:
    """Make the work folder, or find it as the same arguments left it."""
    file = work / "arguments.json"
    wanted = json.loads(json.dumps(arguments))
    if file.is_file():
        before = json.loads(file.read_text("utf-8"))
        if other := [key for key in wanted if before.get(key) != wanted[key]]:
            key = other[0]
            raise UsageError(
                f"{work} holds a run with another {key} ({before.get(key)}, not {wanted[key]}) that was stopped: "
                "call it with the same arguments to go on, or delete that folder"
            )
        return
    work.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(wanted).encode())


def _foretell(teacher: Teacher, mixer: Mixer, recipe: Recipe, work: Path) -> tuple[float, float]:
    """The seconds that what is left of mixing and of teaching will take, from a few of each."""
    rng = np.random.default_rng(0)
    teacher.tell([mixer.draw(rng)])
    started = time.perf_counter()
    teacher.tell([mixer.draw(rng) for _ in range(4)])
    mixing = (time.perf_counter() - started) / 4
    student = _new(teacher, recipe)
    batch = Batch(torch.zeros(BATCH, FRAMES, MEL.bins), **{teacher.head: torch.ones(BATCH, 1, teacher.size)})
    for turn in range(3):
        if turn == 1:
            started = time.perf_counter()
        sum(student.loss(batch).values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    teaching = (time.perf_counter() - started) / 2
    there = sum(1 for _ in work.glob("mixtures-*.npy")) * SHARD
    checkpoint = work / "checkpoint.pt"
    step = int(torch.load(checkpoint, weights_only=True)["step"]) if checkpoint.is_file() else 0
    return mixing * max(0, recipe.mixtures - there), teaching * max(0, recipe.steps - step)


def _minutes(seconds: float) -> str:
    """A rough length of time.

    >>> _minutes(12.3), _minutes(95), _minutes(4000)
    ('12 s', '2 min', '1 h 7 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _mix(teacher: Teacher, mixer: Mixer, recipe: Recipe, work: Path, listener: Listener) -> list[npt.NDArray[np.void]]:
    """Mixtures and what the teacher says of them, memory-mapped: ``mels`` uint8 and ``told`` float32 in each row."""
    kind = np.dtype([("mels", np.uint8, (FRAMES, MEL.bins)), ("told", np.float32, (teacher.size,))])
    phase = Phase(listener, "mixtures", recipe.mixtures)
    shards = []
    for number in range(-(-recipe.mixtures // SHARD)):
        path = work / f"mixtures-{number:05}.npy"
        if not path.is_file():
            rows = np.empty(min(SHARD, recipe.mixtures - number * SHARD), dtype=kind)
            rng = np.random.default_rng([recipe.seed, number])
            _fill(rows, teacher, mixer, rng, lambda done, before=number * SHARD: phase.reach(before + done))  # type: ignore[misc]
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.save(file, rows)
            partial.replace(path)
        shards.append(np.load(path, mmap_mode="r"))
        phase.reach(number * SHARD + len(shards[-1]))
    return shards


def _fill(
    rows: npt.NDArray[np.void],
    teacher: Teacher,
    mixer: Mixer,
    rng: np.random.Generator,
    done: Callable[[int], None],
) -> None:
    """Draw mixtures into ``rows`` until all have something that the teacher says of them."""
    at = refused = 0
    while at < len(rows):
        sounds = [mixer.draw(rng) for _ in range(min(AT_ONCE, len(rows) - at))]
        for samples, told in zip(sounds, teacher.tell(sounds), strict=True):
            if np.isfinite(told).all():
                rows[at] = (to_bytes(MEL(samples)), told)
                at += 1
            else:
                refused += 1
        if refused > 10 * (at + AT_ONCE):
            raise EncoderError(f"{teacher.encoder.space.model} has no vector for most mixtures of these sounds")
        done(at)


def _new(teacher: Teacher, recipe: Recipe) -> Student:
    step = recipe.shape.step
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Student(recipe.shape, {teacher.head: teacher.size}, window=FRAMES // step, hop=FRAMES // 2 // step)


def _teach(
    teacher: Teacher, shards: list[npt.NDArray[np.void]], recipe: Recipe, work: Path, listener: Listener
) -> Student:
    student = _new(teacher, recipe)
    frames = as_tensor(from_bytes(shards[0]["mels"])).reshape(-1, MEL.bins)
    student.network.mean.copy_(frames.mean(0))
    student.network.scale.copy_(1.0 / frames.std(0).clamp(min=0.1))

    def draw(rng: np.random.Generator) -> Batch:
        rows = [shards[number // SHARD][number % SHARD] for number in rng.integers(recipe.mixtures, size=BATCH)]
        mels = as_tensor(from_bytes(np.stack([row["mels"] for row in rows])))
        return Batch(mels, **{teacher.head: as_tensor(np.stack([row["told"] for row in rows])[:, None])})

    phase = Phase(listener, "teaching", recipe.steps)
    return fit(
        student,
        draw,
        steps=recipe.steps,
        rate=RATE,
        weights={teacher.head: 1.0},
        checkpoint=work / "checkpoint.pt",
        report=lambda step, _: phase.reach(step),
        seed=recipe.seed,
        decay=min(0.999, max(0.5, 1.0 - 10.0 / recipe.steps)),
    )


def _save(student: Student, teacher: Teacher, shards: list[npt.NDArray[np.void]], folder: Path) -> None:
    """Write what the family reads."""
    from safetensors import numpy as safetensors

    export(student, teacher.head, folder / "audio.onnx")
    text: str | dict[str, Any] = teacher.text_table
    if isinstance(teacher.text, StaticEncoder):
        (folder / "text").mkdir()
        for name in TEXT_FILES:
            if (teacher.text.where / name).is_file():
                shutil.copyfile(teacher.text.where / name, folder / "text" / name)
        text = "static:text"
    heard = teacher.encoder.audio
    assert heard is not None
    settings: dict[str, Any] = {
        "format": 1,
        "kind": teacher.head,
        "text": text,
        "mel": MEL.to_config(),
        "frames": FRAMES,
        "step": FRAMES // 2,
        "window": heard.window,
        "hop": heard.hop,
        "pool": teacher.pool,
    }
    if teacher.classes is not None:
        prior = sum(shard["told"].sum(axis=0, dtype=np.float64) for shard in shards) / sum(map(len, shards))
        tensors = {
            "vectors": teacher.classes.astype(np.float16),
            "prior": np.maximum(prior, LEAST_PRIOR).astype(np.float32),
        }
        # Not save_file, which gives the file to its owner alone, whatever the umask says.
        (folder / "classes.safetensors").write_bytes(safetensors.save(tensors))
        settings["top"] = teacher._conse.top
    (folder / "student.json").write_text(json.dumps(settings, indent=1) + "\n", "utf-8")


def _card(teacher: Teacher, taught: int, recipe: Recipe, found: Comparison) -> str:
    return f"""# A student of {teacher.encoder.space.model}

Learnt from {taught:,} sounds of its owner's: {recipe.mixtures:,} mixtures of two seconds, {recipe.steps:,} steps, seed
{recipe.seed}. It knows what is like those sounds, and little else; what it hears lies below {MEL.highest:,.0f} Hz.

On {found.files} sounds that it had not heard, the cosine of its vectors to its teacher's is {found.cosine:.2f} on
average, and the teacher's vector of the same sound is the nearest for {found.first:.0%} (chance {1 / found.files:.0%}).
"""
