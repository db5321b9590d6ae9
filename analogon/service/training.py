"""Making small encoders from large ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analogon.service.request import Request
from embed.encoder import load
from embed.errors import UsageError
from embed.listener import Listener
from embed.media import modalities_of
from embed.models import shared
from indexes.walk import files_under

__all__ = ["DistilTable", "DistilledTable", "TaughtStudent", "TeachStudent"]


@dataclass(frozen=True, slots=True)
class DistilledTable:
    """A table that is there now: its folder and bytes, tokens and dimensions, and how far it agrees with its teacher.

    ``variance`` is the share of the teacher's that is kept, ``spearman`` the rank correlation of the cosines of
    ``texts`` phrases.
    """

    output: str
    bytes: int
    tokens: int
    dim: int
    variance: float
    texts: int
    spearman: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilTable(Request):
    """A table with a vector for each token, from a sentence encoder: ``static:OUTPUT`` encodes texts without torch.

    ``sif`` says how little frequent words count, ``flatten`` how far the components' variances are made equal,
    ``templates`` are texts with ``{}`` for the token.
    """

    teacher: str
    output: Path
    dim: int = 256
    sif: float = 5e-4
    flatten: float = 0.3
    templates: tuple[str, ...] = ("{}",)

    def run(self, listener: Listener | None = None) -> DistilledTable:
        """Make it. Raises ``UsageError`` where ``output`` is there, and what ``distil`` raises."""
        from embed.training.output import new_folder
        from embed.training.static import agreement, distil, save

        with new_folder(self.output) as folder:
            teacher = shared(self.teacher)
            table = distil(
                teacher,
                dim=self.dim,
                sif=self.sif,
                flatten=self.flatten,
                templates=self.templates,
                listener=listener,
            )
            save(table, folder)
        found = agreement(teacher, load(f"static:{self.output}"))
        size = _size(self.output)
        return DistilledTable(
            str(self.output), size, len(table.rows), self.dim, table.kept, found.texts, found.spearman
        )


@dataclass(frozen=True, slots=True)
class TaughtStudent:
    """A student that is there now: its folder and bytes, and how it compares with its teacher.

    ``files`` sounds were held out: ``cosine`` is the mean between student and teacher, ``first`` the share that find
    their own teacher vector first, ``faster`` how many times as many are encoded in a second.
    """

    output: str
    bytes: int
    files: int
    cosine: float
    first: float
    faster: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachStudent(Request):
    """A small audio network, ``student:OUTPUT``, that says of the sounds in a folder what a large encoder does.

    ``mixtures`` of the sounds are heard by the teacher, ``steps`` batches of 32 of them are learnt from.
    """

    teacher: str
    media: Path
    output: Path
    mixtures: int = 12_000
    steps: int = 3_000
    seed: int = 0

    def run(self, listener: Listener | None = None) -> TaughtStudent:
        """Teach it; the same request goes on where a run was stopped.

        Raises ``UsageError`` where there are no sounds, and what ``embed.training.student.learn`` raises.
        """
        from embed.training.student import Recipe, learn

        listener = listener or Listener()
        if not self.media.is_dir():
            raise UsageError(f"{self.media}: no such folder; it should hold sounds")
        paths = [path for path in files_under(str(self.media), listener.skipped) if "audio" in modalities_of(path)]
        if not paths:
            raise UsageError(f"{self.media} holds no sounds")
        recipe = Recipe(self.mixtures, self.steps, self.seed)
        found = learn(self.teacher, self.media, paths, self.output, recipe, listener)
        return TaughtStudent(str(self.output), _size(self.output), **asdict(found))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
