"""A demonstration that is a test as well: a folder made on the spot, indexed, asked; each answer is held to account.

The sounds come from ``analogon.demo.synthesis``, the spoken ones from espeak-ng where it is installed, the pictures
from Pillow with captions in a side table. Most files have names that say nothing, so that their content has to be
heard.
"""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from analogon import query as expressions
from analogon.demo.synthesis import synthesise
from analogon.engines.generator import Settings
from analogon.generate.judge import Judges, available_judges
from analogon.generate.loading import load as load_generator
from analogon.generate.takes import Run, Take, ranked
from analogon.phrases.pieces import short
from analogon.prompts import Prompt
from analogon.search.hits import Hits
from analogon.search.library import Library
from analogon.service.request import Request
from embed.encoder import resolve
from embed.errors import UsageError
from embed.models import shared
from indexes.build import Listener, Report

__all__ = ["KINDS", "Answer", "Demo", "Demonstrate", "Demonstration", "Made", "Question", "place"]

KINDS: Final = (
    *("rain", "sea", "thunder", "fire", "cricket", "bird", "dog", "baby", "heartbeat", "applause", "broken glass"),
    *("siren", "alarm", "telephone", "car horn", "helicopter", "train", "steam whistle", "jackhammer", "typewriter"),
    *("explosion", "machine gun", "flute", "trumpet", "organ", "guitar", "church bell", "drum loop"),
)
TAKES: Final = 3
MOSAICS: Final = 4
SECONDS: Final = 3.0
PHRASES: Final = (
    "Remember to buy bread, milk and apples on the way home.",
    "The meeting was moved to Thursday at half past nine.",
    "A ship will leave the harbour as soon as the fog has lifted.",
)
SIZE: Final = (320, 220)
K: Final = 4


@dataclass(frozen=True, slots=True)
class Question:
    """A query and what its answer must hold: ``least`` of the first ``first`` hits of one of ``kinds``.

    ``query`` is an expression in which ``{}`` stands for a sound of the kind ``of``. ``options`` are those of
    ``analogon search``.
    """

    query: str
    kinds: tuple[str, ...]
    least: int = 2
    first: int = 3
    of: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The command as a person would type it, its hits, what those are, and what is wrong (empty where nothing is)."""

    command: str
    hits: Hits
    kinds: tuple[str, ...]
    wrong: str

    def to_json(self) -> dict[str, Any]:
        return {"command": self.command, "kinds": list(self.kinds), "wrong": self.wrong} | self.hits.to_json()


SOUND: Final = {"by": "content", "to": "audio"}
QUESTIONS: Final = (
    Question("a dog barking", ("dog",), options={"to": "audio"}),
    Question("heavy rain", ("rain",), least=1, options=SOUND),
    Question("a helicopter flying overhead", ("helicopter",), options=SOUND),
    Question("a crying infant", ("baby",), options=SOUND),
    Question("somebody plays the flute", ("flute",), options=SOUND),
    Question("ocean waves on the beach", ("sea",), options=SOUND),
    Question("a campfire crackling", ("fire",), options=SOUND),
    Question("{}", ("siren",), least=1, of="siren", options={"to": "audio"}),
    Question("{}", ("church bell",), least=1, of="church bell", options={"to": "audio"}),
    Question("2:water - ocean waves", ("rain",), least=3, options=SOUND),
    Question("{} + a crying infant", ("baby",), least=1, of="dog", options=SOUND),
    Question("a person speaking", ("speech",), options=SOUND),
    Question("the sun sets over the sea", ("sunset",), least=1, first=1, options={"to": "image", "by": "name"}),
    Question("a bike", ("bicycle",), least=1, first=1, options={"to": "image", "by": "name"}),
)


@dataclass(frozen=True, slots=True)
class Made:
    """Takes of a prompt, best first, the command that makes them, and what is wrong (empty where nothing is)."""

    command: str
    takes: tuple[Take, ...]
    remarks: tuple[str, ...]
    wrong: str

    def to_json(self) -> dict[str, Any]:
        takes = [{"path": str(take.path)} | dict(take.record) for take in self.takes]
        return {"command": self.command, "takes": takes, "remarks": list(self.remarks), "wrong": self.wrong}


PROMPT: Final = "a dog barking"
MADE: Final = "dog"
"""What the best take of ``PROMPT`` has to sound like."""


@contextmanager
def place(keep: Path | None) -> Iterator[Path]:
    """A folder for a demonstration: a temporary one, or ``keep``, new or empty, which stays unless something fails.

    A demonstration that is stopped or fails leaves nothing behind. Raises ``UsageError`` where ``keep`` holds files.
    """
    if keep is None:
        with TemporaryDirectory(prefix="analogon-demo-") as name:
            yield Path(name).resolve()
        return
    folder = keep.expanduser().resolve()
    made = not folder.exists()
    if not made and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{keep}: not an empty folder; the demo wants one of its own")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        for inside in folder.iterdir():
            shutil.rmtree(inside)
        if made:
            folder.rmdir()
        raise


class Demo:
    """A demonstration in a folder: ``make`` the files, ``index`` them, and iterate over ``answers``.

    ``kinds`` says of each file made what it is. ``encoder`` is what ``embed.load`` takes; paths in it are relative to
    the working directory of now, whatever it is later. Raises ``EncoderError`` where it cannot be loaded.
    """

    def __init__(self, folder: Path, encoder: str = "starter") -> None:
        self.folder = folder
        self.encoder = resolve(encoder)
        shared(self.encoder)  # what cannot be loaded should be told before there are sounds
        family, model = self.encoder["family"], self.encoder.get("model")
        named = f"{family}:{model}" if model else family
        self.named = str(Path(encoder).resolve()) if encoder.endswith(".toml") else named
        self.files = folder / "media"
        self.captions = self.files / "pictures" / "captions.csv"
        self.collection = folder / "collection"
        self.kinds: dict[Path, str] = {}
        self.speaks = shutil.which("espeak-ng") is not None

    def make(self) -> str:
        """Write sounds, spoken phrases where espeak-ng is there, and pictures with captions; say what was made."""
        numbers = iter(np.random.default_rng(7).permutation(900) + 100)
        for kind in KINDS:
            for take in range(TAKES):
                if take == 0:
                    path = self.files / "sounds" / f"{kind.replace(' ', '_')}_{take + 1}.wav"
                else:
                    path = self.files / "unsorted" / f"2024_{take:02}" / f"REC_{next(numbers):04}.wav"
                sound = synthesise(kind, take)
                self._write(path, sound.samples, sound.rate)
                self.kinds[path] = kind
        if self.speaks:
            for number, phrase in enumerate(PHRASES, start=1):
                path = self.files / "unsorted" / f"VN_{number:04}.wav"
                self._speak(phrase, path)
                self.kinds[path] = "speech"
        self._draw()
        spoken = f"{len(PHRASES)} spoken phrases" if self.speaks else "no speech, since espeak-ng is not installed"
        return f"{TAKES * len(KINDS)} sounds of {len(KINDS)} kinds, {spoken}, {len(PICTURES)} pictures with captions"

    @staticmethod
    def _write(path: Path, samples: npt.NDArray[np.float32], rate: int) -> None:
        import soundfile

        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, subtype="PCM_16")

    @staticmethod
    def _speak(phrase: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["espeak-ng", "-w", str(path), phrase], check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(f"espeak-ng is installed but does not speak: {error}") from None

    def _draw(self) -> None:
        self.captions.parent.mkdir(parents=True)
        with self.captions.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["file", "caption"])
            for number, (kind, (caption, draw)) in enumerate(PICTURES.items(), start=1):
                path = self.captions.parent / f"IMG_{4000 + 17 * number}.png"
                draw().save(path)
                rows.writerow([path.name, caption])
                self.kinds[path] = kind

    @property
    def index_command(self) -> str:
        """What ``index`` does, as a person would type it."""
        options = ["-c", _typed(self.collection), "--encoder", self.named, "--metadata", _typed(self.captions)]
        return shlex.join(["analogon", "index", _typed(self.files), *options])

    def index(self, listener: Listener | None = None) -> Report:
        """Index the folder; raise ``UsageError`` where a file of it could not be."""
        with Library.open_or_create(self.collection) as library:
            report = library.index(self.files, encoders=[self.encoder], metadata=self.captions, listener=listener)
        if report.failures:
            raise UsageError(f"the demo's own files cannot be indexed: {report.failures[0]}")
        return report

    def answers(self) -> Iterator[Answer]:
        """Ask every question."""
        with Library.open(self.collection) as library:
            for question in QUESTIONS:
                if set(question.kinds) <= set(self.kinds.values()):  # without espeak-ng there is no speech
                    yield self._ask(library, question)

    def generate(self) -> Made | None:
        """Make new sound of the collection's own, and hear whether the chosen take is what was asked for.

        None where nothing like it was made.
        """
        if MADE not in self.kinds.values():
            return None
        out = self.folder / "takes"
        words = ["analogon", "generate", PROMPT, "--with", "mosaic", "-c", _typed(self.collection)]
        command = shlex.join([*words, "-n", str(MOSAICS), "--seconds", f"{SECONDS:g}", "-o", _typed(out)])
        with Library.open(self.collection) as library:
            text = expressions.text(PROMPT)
            judges = Judges.select(available_judges(text, "audio", library))
            generator = load_generator("mosaic", library=library)
            run = Run(generator, Prompt(PROMPT), out, Settings(seconds=SECONDS), MOSAICS, judges)
            takes = ranked(list(run.takes()))
            hits = library.search(takes[0].path, by="content", to="audio", k=3)
        found = [self.kinds[Path(hit.path)] for hit in hits]
        wrong = "" if MADE in found else f"the chosen take should sound like a {MADE}; it does like {', '.join(found)}"
        return Made(command, tuple(takes), (*judges.remarks, *run.remarks), wrong)

    def _ask(self, library: Library, question: Question) -> Answer:
        query = question.query
        if question.of is not None:
            query = query.replace("{}", str(expressions.file(_typed(self._one_of(question.of)))))
        options = [str(part) for name, value in question.options.items() for part in (f"--{name}", value)]
        words = ["analogon", "search", query, "-c", _typed(self.collection), *options, "-k", str(K)]
        hits = library.search(query, k=K, **question.options)
        found = tuple(self.kinds[Path(hit.path)] for hit in hits)
        right = sum(kind in question.kinds for kind in found[: question.first])
        wrong = ""
        if right < question.least:
            first = "the first hit" if question.first == 1 else f"{question.least} of the first {question.first} hits"
            wrong = f"{first} should be {' or '.join(question.kinds)}; found: {', '.join(found) or 'nothing'}"
        return Answer(shlex.join(words), hits, found, wrong)

    def _one_of(self, kind: str) -> Path:
        """A file of a kind whose name does not tell it."""
        return next(path for path, known in self.kinds.items() if known == kind and "unsorted" in path.parts)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What was made, how it was indexed, how every question was answered, and the takes, where there are any."""

    made: str
    report: Report
    answers: tuple[Answer, ...]
    takes: Made | None

    @property
    def wrong(self) -> tuple[str, ...]:
        """The commands that did not do as they should, each with what is wrong."""
        steps: list[Answer | Made] = [*self.answers, *([self.takes] if self.takes else [])]
        return tuple(f"{step.command}: {step.wrong}" for step in steps if step.wrong)

    def to_json(self) -> dict[str, Any]:
        return {
            "made": self.made,
            "report": self.report.to_json(),
            "answers": [answer.to_json() for answer in self.answers],
            "takes": None if self.takes is None else self.takes.to_json(),
            "wrong": list(self.wrong),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstrate(Request):
    """A demonstration with an encoder; its files are left in the folder ``keep``, where one is named."""

    keep: Path | None = None
    encoder: str = "starter"

    @contextmanager
    def prepared(self) -> Iterator[Demo]:
        """A demonstration to go through step by step; its folder is gone afterwards unless it is kept."""
        with place(self.keep) as folder:
            yield Demo(folder, self.encoder)

    def run(self, listener: Listener | None = None) -> Demonstration:
        """Go through all of it. Raises ``UsageError``, ``EncoderError``, and ``Cancelled`` where that is asked for."""
        listener = listener or Listener()
        with self.prepared() as tour:
            made = tour.make()
            report = tour.index(listener)
            answers = []
            for answer in tour.answers():
                answers.append(answer)
                listener.check()
            return Demonstration(made, report, tuple(answers), tour.generate())


def _typed(path: Path) -> str:
    """A path as a person would type it where it is a query: one below the working directory begins with ``./``."""
    seen = short(str(path))
    return seen if os.path.isabs(seen) or seen.startswith("..") else os.path.join(".", seen)


def _ramp(*colours: tuple[int, int, int]) -> Image.Image:
    """Colours that run into each other from top to bottom."""
    column = Image.new("RGB", (1, len(colours)))
    column.putdata(colours)
    return column.resize(SIZE, Image.Resampling.BICUBIC)


def _sunset() -> Image.Image:
    picture = _ramp((60, 40, 110), (200, 90, 90), (255, 170, 80), (250, 190, 110))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((130, 85, 190, 145), fill=(255, 235, 150))
    draw.rectangle((0, 120, *SIZE), fill=(30, 60, 110))
    rng = np.random.default_rng(1)
    for y in range(122, SIZE[1], 4):
        middle = 160 + float(rng.normal(0, 6))
        draw.line((middle - 28, y, middle + 28, y), fill=(250, 180, 100), width=2)
    return picture


def _bicycle() -> Image.Image:
    picture = Image.new("RGB", SIZE, (240, 238, 230))
    draw = ImageDraw.Draw(picture)
    for x in (95, 225):
        draw.ellipse((x - 45, 95, x + 45, 185), outline=(30, 30, 30), width=5)
    for line in ((95, 140, 135, 85), (135, 85, 160, 140), (95, 140, 160, 140), (160, 140, 205, 85), (135, 85, 205, 85)):
        draw.line(line, fill=(205, 20, 25), width=6)
    draw.line((205, 85, 225, 140), fill=(205, 20, 25), width=6)
    draw.line((205, 85, 200, 65, 222, 62), fill=(30, 30, 30), width=5)
    draw.line((122, 78, 148, 78), fill=(30, 30, 30), width=7)
    return picture


def _chessboard() -> Image.Image:
    squares = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    return Image.fromarray(squares).resize((220, 220), Image.Resampling.NEAREST).convert("RGB")


def _night() -> Image.Image:
    picture = _ramp((5, 5, 25), (15, 15, 50), (30, 30, 80))
    draw = ImageDraw.Draw(picture)
    rng = np.random.default_rng(2)
    for x, y in rng.random((160, 2)) * SIZE:
        draw.point((x, y), fill=(255, 255, int(rng.integers(180, 256))))
    draw.ellipse((215, 25, 275, 85), fill=(245, 240, 215))
    return picture


def _mountains() -> Image.Image:
    picture = _ramp((110, 170, 230), (200, 225, 245))
    draw = ImageDraw.Draw(picture)
    draw.polygon(((0, 220), (80, 60), (170, 220)), fill=(90, 95, 110))
    draw.polygon(((80, 60), (60, 100), (80, 92), (101, 100)), fill="white")
    draw.polygon(((110, 220), (215, 35), (320, 220)), fill=(70, 75, 90))
    draw.polygon(((215, 35), (187, 85), (214, 74), (243, 85)), fill="white")
    return picture


def _house() -> Image.Image:
    picture = _ramp((120, 190, 250), (210, 235, 255))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((-80, 140, 400, 360), fill=(70, 150, 60))
    draw.rectangle((120, 95, 200, 165), fill=(235, 220, 190))
    draw.polygon(((108, 97), (160, 50), (212, 97)), fill=(160, 50, 40))
    draw.rectangle((150, 125, 170, 165), fill=(95, 60, 35))
    return picture


def _fog() -> Image.Image:
    picture = _ramp((200, 205, 210), (170, 178, 180))
    draw = ImageDraw.Draw(picture)
    for x in range(10, SIZE[0], 34):
        draw.polygon(((x, 200), (x + 14, 70 + x % 47), (x + 28, 200)), fill=(95, 115, 105))
    return picture.filter(ImageFilter.GaussianBlur(4))


def _boat() -> Image.Image:
    picture = _ramp((140, 200, 245), (220, 240, 250))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 150, *SIZE), fill=(35, 100, 160))
    draw.polygon(((95, 145), (215, 145), (195, 172), (115, 172)), fill=(120, 70, 35))
    draw.polygon(((152, 35), (152, 138), (85, 138)), fill="white")
    draw.polygon(((158, 50), (158, 138), (205, 138)), fill=(225, 60, 50))
    return picture


PICTURES: Final[dict[str, tuple[str, Callable[[], Image.Image]]]] = {
    "sunset": ("sunset over the sea", _sunset),
    "bicycle": ("a red bicycle against a white wall", _bicycle),
    "chessboard": ("an empty chessboard from above", _chessboard),
    "night": ("the night sky with stars and a full moon", _night),
    "mountains": ("mountains with snow on their tops", _mountains),
    "house": ("a small house on a green hill", _house),
    "fog": ("a forest in the fog", _fog),
    "boat": ("a sailing boat on a calm lake", _boat),
}
"""What is drawn: its caption, and how."""
