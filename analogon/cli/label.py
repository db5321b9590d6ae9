"""``analogon tag`` and ``analogon probe``: labels for what a collection holds, from words alone or from examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from analogon.cli.terminal import (
    CollectionOption,
    FormatOption,
    GivenUpOption,
    SpaceOption,
    check_format,
    complain,
    stderr,
    stdout,
    write_json,
)
from analogon.settings.arguments import superseded
from embed.errors import UsageError

if TYPE_CHECKING:
    from analogon.labels.probe import Evaluation, Probed, Score
    from analogon.labels.tag import Tagging

__all__ = ["probe", "register", "tag"]

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")]
ToOption = Annotated[str | None, typer.Option("--to", help="What to label: audio, image, text or video.")]


def register(app: typer.Typer) -> None:
    """Add both commands to an app."""
    app.command()(tag)
    app.command()(probe)


def tag(
    labels: Annotated[
        Path | None, typer.Option(help="A label a line, or 'label: other wording; another'; or a csv.")
    ] = None,
    collection: CollectionOption = None,
    field: Annotated[str, typer.Option(help="What --where calls the labels.")] = "tag",
    template: Annotated[
        list[str] | None, typer.Option(help="A text around each label, with {} for it; may be repeated.")
    ] = None,
    to: ToOption = None,
    space: SpaceOption = None,
    encoder: GivenUpOption = None,
    multiple: Annotated[bool, typer.Option("--multiple", help="Give all labels that fit, not the best one.")] = False,
    threshold: Annotated[float | None, typer.Option(help="Give no label that is less sure, from 0 to 1.")] = None,
    balanced: Annotated[bool, typer.Option("--balanced", help="All labels are about equally frequent here.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Take the labels of --field away again.")] = False,
    dry_run: DryRunOption = False,
    form: FormatOption = "table",
) -> None:
    """Label what a collection holds with the names that describe it best; --where can use the labels then."""
    from analogon.service.labels import ForgetLabels, Tag

    check_format(form)
    if encoder:
        raise UsageError(superseded("tag --encoder", "tag --space"))
    if forget:
        if labels or dry_run:
            raise UsageError("--forget takes labels away and goes with --field alone")
        gone = ForgetLabels(field=field, collection=collection).run()
        stdout().print(f"{gone.field}: taken from {gone.files} {'file' if gone.files == 1 else 'files'}", markup=False)
        raise typer.Exit(0 if gone.files else 1)
    if labels is None:
        raise UsageError("name a file of labels, one a line, with --labels")
    request = Tag(
        labels=labels,
        collection=collection,
        field=field,
        templates=tuple(template or ()),
        to=to,
        spaces=tuple(space or ()),
        multiple=multiple,
        threshold=threshold,
        balanced=balanced,
        dry_run=dry_run,
    )
    with stderr().status("encoding labels, and phrases to compare them with"):
        found = request.run()
    if found.remark:
        complain(found.remark)
    if found.overruled:
        complain(f"{found.overruled} files have a column {field!r} of their own, which --where sees in its place")
    if form == "json":
        write_json(*found.by_label())
    else:
        _show_tags(found, dry_run)


def _show_tags(found: Tagging, dry_run: bool) -> None:
    from analogon.phrases.pieces import short

    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column(found.field)
    table.add_column("files", justify="right")
    table.add_column("confidence", justify="right")
    table.add_column("surest", overflow="fold")
    rows = found.by_label()
    for row in rows:
        name = "[dim]no label[/]" if row.label is None else escape(row.label)
        sure = "" if row.confidence is None else f"{row.confidence:.2f}"
        surest = short(row.paths[0]) if row.paths and row.label is not None else ""
        table.add_row(name, str(len(row.paths)), sure, escape(surest))
    console = stdout()
    console.print(table)
    done = "would be labelled" if dry_run else "labelled"
    given = sum(bool(one.labels) for one in found.tagged)
    console.print(f"{given} of {len(found.tagged)} {found.modality} files {done} with {found.model}", markup=False)
    if given and not dry_run:
        assert rows[0].label is not None
        if found.multiple:
            _hint(found.field, "contains", rows[0].label, None)
        else:
            _hint(found.field, "=", rows[0].label, f"{found.field}_confidence")


def _hint(field: str, test: str, label: str | int | float, sure: str | None) -> None:
    """Show how a filter asks for a label, as one types it in a shell."""

    def name(of: str) -> str:
        return of if of.isidentifier() else '"' + of + '"'

    value = "'" + label.replace("'", "''") + "'" if isinstance(label, str) else label
    expression = f"{name(field)} {test} {value}" + (f" and {name(sure)} > 0.9" if sure else "")
    escaped = expression.replace("\\", "\\\\").replace('"', '\\"')
    stdout().print(f'use it: --where "{escaped}"', markup=False)


def probe(
    column: Annotated[str, typer.Option(help="The column that holds the labels.")],
    collection: CollectionOption = None,
    table: Annotated[
        Path | None, typer.Option(help="A csv, tsv or jsonl table of labels; without it, the files' own metadata.")
    ] = None,
    key: Annotated[str, typer.Option(help="The table's column that names the files.")] = "file",
    field: Annotated[str | None, typer.Option(help="Write FIELD_predicted and FIELD_confidence.")] = None,
    group: Annotated[
        str | None, typer.Option(help="A column of what belongs together, such as takes of one source.")
    ] = None,
    folds: Annotated[int, typer.Option(help="How often to train without a part and test on it.")] = 5,
    to: ToOption = None,
    space: SpaceOption = None,
    encoder: GivenUpOption = None,
    dry_run: DryRunOption = False,
    form: FormatOption = "table",
) -> None:
    """Learn labels from those files that have one, say how well that works, and label the rest."""
    from analogon.service.labels import Probe

    check_format(form)
    if encoder:
        raise UsageError(superseded("probe --encoder", "probe --space"))
    request = Probe(
        column=column,
        collection=collection,
        table=table,
        key=key,
        field=field,
        group=group,
        folds=folds,
        to=to,
        spaces=tuple(space or ()),
        dry_run=dry_run,
    )
    with stderr().status("training, and testing on what was held out"):
        found = request.run()
    for note in found.notes:
        complain(note)
    for label, why in found.left_out.items():
        complain(f"{label!r} takes no part: {why}")
    if form == "json":
        write_json(found)
    else:
        _show_probe(found, column, dry_run)


def _show_probe(found: Probed, column: str, dry_run: bool) -> None:
    console, one = stdout(), found.evaluation
    grouped = f", {one.groups} groups kept whole" if one.groups is not None else ""
    console.print(
        f"{column}: {one.items} labelled {found.modality} files in {len(one.classes)} classes, {found.model}; "
        f"each file tested by a probe that had not seen it ({one.folds} folds{grouped})",
        markup=False,
    )
    console.print(_scores(one))
    if one.confusions:
        console.print("taken for another class most often:", markup=False)
    for pair in one.confusions:
        console.print(f"  {pair.truth} for {pair.predicted}: {pair.count} of {pair.support}", markup=False)
    console.print(
        f"confidences are off by {one.calibration_error:.3f} on average (expected calibration error on held-out folds)",
        markup=False,
    )
    if not found.predicted:
        console.print("no file is without a label: nothing to predict", markup=False)
        return
    done = "would be labelled" if dry_run else "labelled"
    sure = sum(p.confidence for p in found.predicted) / len(found.predicted)
    name = found.field
    console.print(f"{len(found.predicted)} other files {done}, mean confidence {sure:.2f}", markup=False)
    if not dry_run:
        _hint(f"{name}_predicted", "=", found.predicted[0].label, f"{name}_confidence")


def _scores(one: Evaluation) -> Table:
    def shown(score: Score) -> str:
        return f"{score.value:.3f}  ({score.interval.low:.3f} to {score.interval.high:.3f})"

    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("")
    table.add_column("accuracy (95 %)")
    table.add_column("macro F1 (95 %)")
    table.add_row("linear probe", shown(one.accuracy), shown(one.f1))
    table.add_row("nearest class mean", shown(one.centroid), shown(one.centroid_f1))
    table.add_row("most frequent class", f"{one.majority:.3f}", "")
    table.add_row("guessing", f"{one.chance:.3f}", "")
    return table
