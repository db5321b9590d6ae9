"""How results look: a table for a terminal, lines for other programs, players and thumbnails for a notebook."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from analogon.search.hits import Hit, place
from analogon.settings.defaults import LOOKS_AT
from embed.errors import escaped, printable
from embed.media import Modality

if TYPE_CHECKING:
    from analogon.evaluation.doctor import Diagnosis
    from analogon.generate.takes import Take
    from analogon.search.description import Description
    from analogon.service.indexing import Indexed
    from indexes.run import Report

__all__ = [
    "FORMATS",
    "description_lines",
    "diagnosis_table",
    "few",
    "hits_table",
    "indexed_lines",
    "kept_lines",
    "lines",
    "missing_line",
    "model_name",
    "split_line",
    "takes_lines",
    "takes_table",
    "unseen_lines",
]

FEW: Final = 5  # files that are told by name
FORMATS: Final = ("table", "json", "tsv", "paths")
CONTROLS: Final = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # which JSON may hold, and terminals obey
TSV_COLUMNS: Final = ("rank", "score", "path", "modality", "start", "end", "id", "by")


def hits_table(hits: Sequence[Hit]) -> Table:
    """Hits as a table for people: rank, score, the part that matched, and where it lies or what it says.

    Where any was found by its name, a column says which; where there is a bank of other queries, another says how many
    of a hundred an item answers less well.
    """
    spaces = {hit.space_name for hit in hits}
    named = any("name" in hit.reasons for hit in hits)
    compared = any(hit.percentile is not None for hit in hits)
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right", style="dim")
    table.add_column("score", justify="right")
    if compared:
        table.add_column("pct", justify="right", style="dim")
    if named:
        table.add_column("by", no_wrap=True)
    table.add_column("part", style="cyan", no_wrap=True)
    table.add_column("file", overflow="fold")
    if len(spaces) > 1:
        table.add_column("space", style="dim")
    for hit in hits:
        cells: list[str | Text] = [str(hit.rank), f"{hit.score:.3f}"]
        cells += [_percentile(hit)] if compared else []
        cells += [", ".join(hit.reasons)] if named else []
        cells += [hit.span_text, _description(hit)]
        cells += [Text(hit.space_name)] if len(spaces) > 1 else []
        table.add_row(*cells)
    return table


def model_name(model: str) -> str:
    """A model's name without the folders that it lies in.

    >>> model_name("words:../models/word2vec-8k"), model_name("clap:laion/clap-htsat-unfused")
    ('words:word2vec-8k', 'clap:clap-htsat-unfused')
    """
    family, colon, name = model.partition(":")
    return family + colon + (Path(name).name if colon else "")


ROLES: Final[Mapping[str, str]] = {"choose": "chosen by", "report": "reported by"}


def takes_table(takes: Sequence[Take]) -> Table:
    """Takes of one prompt as a table for people, in the order given: scores with who gave them, seed, seconds, file."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right", style="dim")
    roles = _roles(takes)
    for role, model in roles.items():
        table.add_column(f"{ROLES[role]}\n{model_name(model)}", justify="right")
    near = any(take.score("voice") is not None for take in takes)
    if near:
        table.add_column("voice", justify="right")
    table.add_column("seed", justify="right")
    table.add_column("s", justify="right")
    table.add_column("file", overflow="fold")
    for rank, take in enumerate(takes, start=1):
        scores = [take.score(role) for role in (*roles, *(["voice"] if near else []))]
        cells: list[str | Text] = [str(rank), *("" if score is None else f"{score:.3f}" for score in scores)]
        cells += [str(take.seed), "" if take.seconds is None else f"{take.seconds:.2f}"]
        table.add_row(*cells, Text(printable(str(take.path))))
    return table


def takes_lines(takes: Sequence[Take]) -> list[str]:
    """What to say below a table of one prompt's takes: how near the voice is, what the reporter makes of the choice."""
    lines = [take.record["voice"]["said"] for take in takes if take.score("voice") is not None][:1]
    reported = [score for score in (take.score("report") for take in takes) if score is not None]
    if len(reported) > 1:
        model, mean = model_name(_roles(takes)["report"]), sum(reported) / len(reported)
        lines.append(f"{model}: {reported[0]:.3f} for the chosen take, {mean:.3f} for all on average")
    return lines


def _roles(takes: Sequence[Take]) -> dict[str, str]:
    """Who judged, by role."""
    found = {
        role: [take.record["scores"][role]["model"] for take in takes if role in take.record["scores"]]
        for role in ROLES
    }
    return {role: models[0] for role, models in found.items() if models}


def _percentile(hit: Hit) -> str:
    return "" if hit.percentile is None else f"{hit.percentile:.1f}"


def _description(hit: Hit) -> Text:
    text = Text()
    where = escaped(place(hit))
    if hit.media.text is not None:
        words = " ".join(hit.media.text.split())
        text.append((words if len(words) <= 100 else words[:97] + "...") + "  ")
        text.append(where, style="dim")
    else:
        text.append(where)
    if len(hit.paths) > 1:
        text.append(f"  (and {len(hit.paths) - 1} more with the same content)", style="dim")
    return text


def _as_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def lines(hits: Sequence[Hit], form: str) -> Iterator[str]:
    """Hits as lines for other programs: ``json`` (an object a line), ``tsv`` (with a header), ``paths``."""
    if form == "json":
        for hit in hits:
            yield CONTROLS.sub(_as_json, json.dumps(hit.to_json(), ensure_ascii=False))
    elif form == "tsv":
        yield "\t".join(TSV_COLUMNS)
        for hit in hits:
            record = hit.to_json()
            record["by"] = " ".join(hit.reasons)
            cells = ("" if record[name] is None else str(record[name]) for name in TSV_COLUMNS)
            yield "\t".join(map(escaped, cells))
    else:
        yield from dict.fromkeys(
            path for hit in hits for path in hit.paths if path not in hit.missing and "\n" not in path
        )


def missing_line(hits: Sequence[Hit], form: str, *, option: str) -> str | None:
    """What to say of hits whose files are gone; None where all are there.

    ``option`` is how the collection was named on the command line.
    """
    gone = list(dict.fromkeys(path for hit in hits for path in hit.missing))
    if not gone:
        return None
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    left_out = ", left out" if form == "paths" else ""
    return f"no longer there{left_out}: {gone[0]}{more}; analogon index FOLDER{option} --prune forgets what is gone"


def split_line(hits: Sequence[Hit], form: str) -> str | None:
    """What to say of paths that take more than one line, which ``paths`` cannot give; None where there is none."""
    split = list(dict.fromkeys(path for hit in hits for path in hit.paths if "\n" in path and path not in hit.missing))
    if form != "paths" or not split:
        return None
    more = f" and {len(split) - 1} more" if len(split) > 1 else ""
    return f"left out, as there is a line break in its name: {escaped(split[0])}{more}; -f json gives it"


def few(paths: Sequence[str]) -> str:
    """The names of files in brackets where they are few."""
    return f" ({', '.join(printable(os.path.basename(path)) for path in paths)})" if 0 < len(paths) <= FEW else ""


def kept_lines(report: Report, *, asked: bool, option: str) -> Iterator[str]:
    """What to say of files that were not found and stay in the collection; ``asked``: a person wanted that.

    ``option`` is how the collection was named on the command line.
    """
    for kept in report.kept:
        line = f"{kept}{few(kept.paths)}"
        if not kept.doubtful or asked:
            yield line
        elif os.path.isabs(kept.place):
            yield (
                f"{line}; where no drive is missing, --prune --force removes them, and so does: "
                f"analogon rm {shlex.quote(kept.place)}{option}"
            )
        else:
            yield f"{line}; --prune --force removes them"


def unseen_lines(unseen: Mapping[Modality, int]) -> Iterator[str]:
    """What to say of files that no encoder took, by modality."""
    for modality, count in sorted(unseen.items()):
        files = f"1 {modality} file is" if count == 1 else f"{count} {modality} files are"
        yield (
            f"{files} found by name only, the content was not looked at: no encoder here takes {modality}; "
            f"--encoder {LOOKS_AT[modality]} does"
        )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def indexed_lines(indexed: Indexed, *, option: str) -> Iterator[str]:
    """What an indexing run did, and the vectors that the collection has since.

    ``option`` is how the collection was named on the command line.
    """
    report = indexed.report
    counts = [
        (report.new, "new"),
        (report.known, "known"),
        (report.changed, "changed"),
        (report.moved, "moved"),
        (report.duplicates, "with content that is here already"),
        (report.removed, f"removed{few(report.gone) if not report.missing else ''}"),
        (report.missing, f"no longer there{few(report.gone)} (--prune removes them)"),
    ]
    told = ", ".join(f"{number} {what}" for number, what in counts if number)
    files, rows = report.found - report.rows, report.rows
    found = " and ".join(_many(count, what) for count, what in ((files, "file"), (rows, "row")) if count) or "nothing"
    yield (
        f"{indexed.collection.name}: {found}"
        + (f" ({told})" if told else "")
        + f"; {_many(report.vectors, 'new vector')} in {report.seconds:.1f} s"
    )
    if report.ignored:
        yield f"  passed over, of other kinds: {report.ignored}"
    if report.matched is not None:
        unused = f"; its rows that match no file here: {report.unused}" if report.unused else ""
        yield f"  files that the side table speaks of: {report.matched}{unused}"
    skipped = sum(not failure.partly for failure in report.failures)
    if report.failures:
        partly = len(report.failures) - skipped
        yield f"  {skipped} skipped, {partly} partly indexed; the reasons: analogon info --failures{option}"
    if report.notes:
        yield f"  noted of files that were indexed: {len(report.notes)}; all of it: analogon info --failures{option}"
    if report.postponed:
        yield f"  {len(report.postponed)} left for the next run, which tries them again by itself"
    if report.still_failing:
        yield f"  {report.still_failing} failed before and stand unchanged; --retry tries them again"
    for space in indexed.collection.spaces:
        for modality, side in space.modalities.items():
            yield f"  {modality}: {side} in {space.model}, {side.index}"


def description_lines(described: Description) -> Iterator[str]:
    """What a collection holds."""
    yield f"{described.name}  {described.path}"
    yield (
        f"  {_many(described.sources, 'file')}, {_many(described.contents, 'different content')}, "
        f"{_many(described.items, 'part')}, "
        f"{described.bytes / 1e6:,.1f} MB on disk, {described.failures} left out wholly or partly"
    )
    for space in described.spaces:
        yield f"  {space.space}{'' if space.precision == 'float32' else f', vectors in {space.precision}'}"
        for modality, side in space.modalities.items():
            yield f"    {modality}: {side}, {side.index}"
    meaning = f" and by meaning with {described.names}" if described.names else ""
    yield f"  names are compared by their words{meaning}"
    for modality, count in described.by_name_alone.items():
        yield f"    {modality}: {count} found by name alone"
    if described.fields:
        yield f"  fields for --where: {', '.join(described.fields)}"


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """The checks of one encoder: how it went, what was checked, what is to be said of it."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in diagnosis.checks:
        mark = {True: "[green]ok[/]", False: "[bold red]FAILS[/]", None: "[yellow]note[/]"}[check.ok]
        table.add_row(mark, check.name, escape(check.message))
    return table
