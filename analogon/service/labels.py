"""Labels for what a collection holds: from words alone, from examples, and taken away again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analogon.service.filling import opened
from analogon.service.request import Request
from indexes.writer import writing

if TYPE_CHECKING:
    from analogon.labels.probe import Probed
    from analogon.labels.tag import Tagging
    from analogon.search.library import Library

__all__ = ["ForgetLabels", "ForgottenLabels", "Probe", "Tag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag(Request):
    """The names that describe best what a collection holds, given to it as the ``field`` that filters see.

    ``labels`` is a file with a label a line, or 'label: other wording; another', or a table. ``templates`` are texts
    around each label, with {} for it. ``to`` is the modality to label; ``spaces`` are the encoders whose spaces may be
    asked. ``multiple`` gives all labels that fit, not the best one; ``threshold`` gives none that is less sure, from 0
    to 1; ``balanced`` says that all are about equally frequent. ``dry_run`` writes nothing.
    """

    labels: Path
    collection: str | None = None
    field: str = "tag"
    templates: tuple[str, ...] = ()
    to: str | None = None
    spaces: tuple[str, ...] = ()
    multiple: bool = False
    threshold: float | None = None
    balanced: bool = False
    dry_run: bool = False

    def run(self, library: Library | None = None) -> Tagging:
        """Label. ``library`` is ``collection`` where the caller has it open. Raises what ``labels.tag.tag`` raises."""
        from analogon.labels import tag

        asked = tag.read_labels(self.labels)
        with opened(self.collection, library) as found:
            made = tag.tag(
                found,
                asked,
                field=self.field,
                templates=self.templates,
                to=self.to,
                spaces=self.spaces,
                multiple=self.multiple,
                threshold=self.threshold,
                balanced=self.balanced,
            )
            if not self.dry_run:
                tag.write(found, made)
        return made


@dataclass(frozen=True, slots=True)
class ForgottenLabels:
    """A field that was taken away, and from how many files."""

    field: str
    files: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetLabels(Request):
    """A field of labels to take away again, with its confidences."""

    field: str = "tag"
    collection: str | None = None

    def run(self, library: Library | None = None) -> ForgottenLabels:
        """Take them away. Raises ``CollectionNotFound`` and ``CollectionLocked``."""
        with opened(self.collection, library) as found, writing(found.collection) as writer:
            gone = writer.remove_labels(self.field)
            writer.remove_labels(f"{self.field}_confidence")
        return ForgottenLabels(self.field, gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Request):
    """Labels learnt from the files that have one in ``column``, tested on held-out ``folds``, and given to the rest.

    The labels are those of a ``table``, whose column ``key`` names the files, or of the files' own metadata. ``field``
    names what is written, FIELD_predicted and FIELD_confidence; ``group`` is a column of what belongs together. The
    rest is as ``Tag`` has it.
    """

    column: str
    collection: str | None = None
    table: Path | None = None
    key: str = "file"
    field: str | None = None
    group: str | None = None
    folds: int = 5
    to: str | None = None
    spaces: tuple[str, ...] = ()
    dry_run: bool = False

    def run(self, library: Library | None = None) -> Probed:
        """Learn, test and label. Raises what ``labels.probe.probe`` raises."""
        from analogon.labels import probe

        with opened(self.collection, library) as found:
            made = probe.probe(
                found,
                self.column,
                table=self.table,
                key=self.key,
                field=self.field,
                group=self.group,
                to=self.to,
                spaces=self.spaces,
                folds=self.folds,
            )
            if not self.dry_run:
                probe.write(found, made)
        return made
