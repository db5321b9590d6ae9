"""``analogon eval``: figures that hold up, of analogies, of retrieval and of sets of recordings."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from analogon.cli.terminal import (
    CollectionOption,
    EncoderOption,
    FormatOption,
    check_format,
    collection_folder,
    complain,
    model_name,
    stdout,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from analogon.analogies.evaluation import Result, Share, Vocabulary
    from analogon.evaluation.audio_distance import Comparison
    from analogon.evaluation.retrieval import Direction
    from analogon.vectors.measure import Estimate, Interval

__all__ = ["app"]

TOLD: Final = 20  # lines that were left out which are named one by one

FIGURES: Final = {
    "excluded": "3CosAdd",
    "excluded_3cosmul": "3CosMul",
    "allowed": "inputs\nallowed",
    "nearest": "nearest\nto c",
}
MORE: Final = {"excluded_pairdirection": "PairDirection", "excluded_3cosavg": "3CosAvg", "excluded_lrcos": "LRCos"}

app = typer.Typer(
    help="Measure how well analogies and searches are answered, and how far recordings are from others.",
    no_args_is_help=True,
)


@app.callback()
def evaluate() -> None:
    """Measure how well analogies and searches are answered, and how far recordings are from a reference.

    Figures come with intervals and with what chance gives.
    """


@app.command()
def analogies(
    questions: Annotated[
        Path, typer.Argument(help="A file like word2vec's questions-words.txt, or a folder like BATS.")
    ],
    words: Annotated[
        str | None, typer.Option(help="Word vectors: a file, or a folder with words.txt and vectors*.npy.")
    ] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", "-e", help="Instead: an encoder of texts.")] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(help="With --encoder: the possible answers, one on a line; else the words of the questions."),
    ] = None,
    restrict: Annotated[
        int, typer.Option(min=1, help="Only so many first words: of a sorted file the most frequent.")
    ] = 300_000,
    case: Annotated[
        str,
        typer.Option(
            help="ignore: a word is its first spelling in the vocabulary whatever its case, and no spelling of an "
            "input is an answer, as in gensim; exact: capitals count."
        ),
    ] = "ignore",
    methods: Annotated[
        str, typer.Option(help="Some of 3cosadd, 3cosmul, pairdirection, 3cosavg, lrcos, with commas between.")
    ] = "3cosadd,3cosmul",
    form: FormatOption = "table",
) -> None:
    """a : b :: c : ? by section and in all: inputs excluded, inputs allowed, and what the nearest to c would get.

    Words are found and answers judged by the rules of gensim's evaluate_word_analogies, and counts are the same.
    """
    from analogon.analogies import evaluation
    from analogon.analogies.methods import METHODS
    from analogon.analogies.questions import read
    from embed.encoders.words import load
    from embed.errors import UsageError

    check_format(form)
    chosen = list(dict.fromkeys(name.strip().lower() for name in methods.split(",") if name.strip()))
    if unknown := [name for name in chosen if name not in METHODS]:
        raise UsageError(f"--methods {unknown[0]}: there is no such method; there are: {', '.join(METHODS)}")
    if case not in ("ignore", "exact"):
        raise UsageError(f"--case {case}: it is ignore or exact")
    if (words is None) == (encoder is None):
        raise UsageError("name either word vectors with --words, or an encoder of texts with --encoder")
    if candidates is not None and encoder is None:
        raise UsageError("--candidates goes with --encoder; word vectors bring their own words")
    asked = read(questions)
    _tell(asked.left_out)
    if words is not None:
        vocabulary = evaluation.Vocabulary.first(load(words), restrict, any_case=case == "ignore")
    else:
        assert encoder is not None
        listed = [word for one in asked.sections for entry in one.entries for word in (entry.word, *entry.answers)]
        vocabulary = _of_texts(encoder, candidates, listed, restrict, case == "ignore")
    results = evaluation.evaluate(asked, vocabulary, chosen)
    if form == "json":
        for result in results:
            sys.stdout.write(json.dumps(result.to_json(), ensure_ascii=False) + "\n")
    else:
        _show_analogies(results, len(vocabulary))
    if not results[-1].answered:
        complain(f"{questions}: no question has all its words in the vocabulary")
        raise typer.Exit(1)


def _of_texts(encoder: str, file: Path | None, listed: Sequence[str], restrict: int, any_case: bool) -> Vocabulary:
    import numpy as np

    from analogon.analogies.evaluation import Vocabulary
    from embed.errors import UsageError
    from embed.media import Media, check_readable
    from embed.models import shared
    from embed.pipeline import Encoded, encode_stream

    if file is not None:
        check_readable(file)
        listed = [line.strip() for line in file.read_text("utf-8-sig", "replace").split("\n") if line.strip()]
    listed = list(dict.fromkeys(listed))[:restrict]
    model = shared(encoder)
    if "text" not in model.modalities:
        raise UsageError(f"--encoder {encoder} takes {', '.join(sorted(model.modalities))}; analogies want texts")
    rows = {}
    left_out = []
    # Question files write a name of several words with _ between them.
    media = [Media.from_text(word.replace("_", " ")) for word in listed]
    for result in encode_stream(model, media):
        if isinstance(result, Encoded):
            rows[result.index] = result.vector
        elif result.error is not None:
            left_out.append(str(result.error))
    _tell(left_out)
    if remark := model.remark(*(media[number] for number in rows)):
        complain(remark)
    if not rows:
        raise UsageError(f"--encoder {encoder} could encode none of the {len(listed)} candidates")
    order = sorted(rows)
    return Vocabulary([listed[i] for i in order], np.stack([rows[i] for i in order]), any_case=any_case)


def _tell(left_out: Sequence[str]) -> None:
    for line in left_out[:TOLD]:
        complain(f"skipped {line}")
    if len(left_out) > TOLD:
        complain(f"skipped {len(left_out) - TOLD} more")


def _show_analogies(results: Sequence[Result], words: int) -> None:
    console = stdout()
    total = results[-1]
    console.print(_analogies_table(results, FIGURES))
    console.print(
        f"Right answers in % and Wilson's 95 % interval, among {words:,} words (chance {100 / max(1, words - 3):.1g} "
        "%). 3CosAdd and 3CosMul leave a, b and c out; 'inputs allowed' is 3CosAdd that may answer with them; "
        "'nearest to c' knows neither a nor b.",
        style="dim",
    )
    again = [
        f"{title.replace(chr(10), ' ')} {_interval(by_pairs)}"
        for name, title in (FIGURES | MORE).items()
        if name in total.shares and (by_pairs := total.shares[name].by_pairs) is not None
    ]
    if again:
        console.print(
            "Questions share pairs and are not independent. Intervals of the total with the pairs of each section "
            f"drawn anew: {', '.join(again)}.",
            style="dim",
        )
    if any(name in total.shares for name in MORE):
        console.print()
        console.print(_analogies_table(results, MORE))
        console.print(
            "3CosAvg and LRCos answer each pair from the other pairs of its section that share no word with it; c is "
            "left out.",
            style="dim",
        )


def _analogies_table(results: Sequence[Result], figures: Mapping[str, str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("section", "answered", "skipped", "pairs") if figures is MORE else ("section", "answered", "skipped"):
        table.add_column(title, justify="left" if title == "section" else "right", overflow="fold")
    shown = [name for name in figures if name in results[-1].shares]
    for name in shown:
        table.add_column(figures[name], justify="right", no_wrap=True)
    for result in results:
        counts = [result.answered, result.skipped, result.pairs][: len(table.columns) - len(shown) - 1]
        cells = [_share(result.shares[name]) for name in shown]
        table.add_row(Text(result.section), *map(str, counts), *cells, style="bold" if result is results[-1] else None)
    return table


def _share(share: Share) -> Text:
    from rich.text import Text

    if share.value is None:
        return Text("-", style="dim")
    return Text.assemble(f"{_percent(share.value)} ", (_interval(share.interval).rjust(6), "dim"))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _interval(interval: Interval) -> str:
    """An interval of a share in whole per cents.

    >>> from analogon.vectors.measure import Interval
    >>> _interval(Interval(0.746, 0.781))
    '75-78'
    """
    return f"{100 * interval.low:.0f}-{100 * interval.high:.0f}"


@app.command()
def retrieval(
    pairs: Annotated[
        Path,
        typer.Argument(help="A csv, tsv or jsonl table with a query and a target on each row: texts, files, or id:N."),
    ],
    collection: CollectionOption = None,
    query: Annotated[str | None, typer.Option(help="The queries' column; else the first.")] = None,
    target: Annotated[str | None, typer.Option(help="The targets' column; else the next.")] = None,
    to: Annotated[str | None, typer.Option(help="The targets' modality, where a file may be several.")] = None,
    encoder: EncoderOption = None,
    form: FormatOption = "table",
) -> None:
    """How well queries find their targets in a collection and targets their queries, by content, not by name."""
    from analogon.evaluation.retrieval import PairTable, evaluate
    from indexes.collection import Collection

    check_format(form)
    with Collection.open(collection_folder(collection)) as opened:
        found = evaluate(opened, PairTable.of(pairs, query, target), to=to, encoders=encoder or (), skipped=complain)
    if form == "json":
        for one in found:
            sys.stdout.write(json.dumps(one.to_json(), ensure_ascii=False) + "\n")
    else:
        _show_retrieval(found)


def _show_retrieval(found: Sequence[Direction]) -> None:
    from rich.table import Table

    console = stdout()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for one in found:
        table.add_column(f"{one.asked_with} -> {one.found}", justify="right", no_wrap=True)
        table.add_column("95 %", justify="right", style="dim", no_wrap=True)
        table.add_column("chance", justify="right", style="dim", no_wrap=True)
    for name in found[0].retrieval.figures():
        row = [name]
        for one in found:
            row += _estimate(one.retrieval.figures()[name], name)
        table.add_row(*row)
    console.print(table)
    for one in found:
        counts = one.retrieval
        console.print(
            f"{one.asked_with} -> {one.found}: {counts.queries} queries, {counts.relevant:.3g} right of "
            f"{counts.candidates:.6g} candidates each, in {one.space}",
            style="dim",
            markup=False,
        )
    console.print(
        "hit@k: at least one right answer among the first k (often called R@k); recall@k: the share of a query's right "
        "answers there. Intervals by bootstrap over queries.",
        style="dim",
    )


def _estimate(one: Estimate, name: str) -> list[str]:
    """Value, interval and chance as cells; ranks as they are, the rest in %."""
    if name == "median rank":
        return [f"{one.value:.4g}", f"{one.interval.low:.4g}-{one.interval.high:.4g}", f"{one.chance:.4g}"]
    return [_percent(one.value), f"{_percent(one.interval.low)}-{_percent(one.interval.high)}", _percent(one.chance)]


@app.command()
def audio(
    recordings: Annotated[
        list[Path], typer.Argument(help="Files, and folders with recordings; others are passed over.")
    ],
    reference: Annotated[
        list[Path], typer.Option(help="Files or folders that they are compared with; may be repeated.")
    ],
    encoder: EncoderOption = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="One vector for each recording, the mean of its windows; else every window.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the reference's halves, and of other draws.")] = 0,
    form: FormatOption = "table",
) -> None:
    """How far recordings are from a reference as a set: KAD and FAD, lower is nearer, in each encoder's space."""
    from analogon.evaluation.audio_distance import compare, encode_recordings, recordings_in
    from analogon.settings import config, defaults
    from embed.errors import UsageError
    from embed.models import shared

    check_format(form)
    asked, among = recordings_in(recordings, complain), recordings_in(reference, complain)
    for files, paths in ((asked, recordings), (among, reference)):
        if not files:
            raise UsageError(f"{', '.join(map(str, paths))}: there are no recordings")
    told: set[str] = set()

    def skipped(line: str) -> None:
        if line not in told:  # each encoder reads the files anew
            told.add(line)
            complain(f"skipped {line}")

    found = []
    for name in encoder or config.default_encoders() or defaults.choose_encoders(frozenset({"audio"}), complain):
        model = shared(name)
        sets = [encode_recordings(model, files, whole=whole, skipped=skipped) for files in (among, asked)]
        found.append(compare(sets[0], sets[1], seed=seed))
    if form == "json":
        for one in found:
            sys.stdout.write(json.dumps(one.to_json() | {"whole": whole, "seed": seed}, ensure_ascii=False) + "\n")
    else:
        _show_distances(found, whole)


def _show_distances(found: Sequence[Comparison], whole: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    table = Table(box=None, pad_edge=False)
    table.add_column("encoder", overflow="fold")
    table.add_column("")
    table.add_column("distance", justify="right", no_wrap=True)
    for title in ("95 %", "halves"):
        table.add_column(title, justify="right", style="dim", no_wrap=True)
    for one in found:
        for name, distance in (("KAD", one.kad), ("FAD", one.fad)):
            cells = (f"{distance.value:.4g}", _from_to(distance.interval), _from_to(distance.halves))
            table.add_row(Text(model_name(one.space.model)), name, *cells)
        if one.fad_infinity is not None:
            table.add_row(Text(model_name(one.space.model)), "FAD inf", f"{one.fad_infinity:.4g}")
    console.print(table)
    for one in found:
        console.print(
            f"{model_name(one.space.model)}: {_counted(one.evaluated, one.evaluated_rows, whole)}; reference "
            f"{_counted(one.reference, one.reference_rows, whole)}; {one.space.dim} dimensions, unit length; KAD's "
            f"bandwidth {one.bandwidth:.3g}",
            style="dim",
            markup=False,
        )
    console.print(
        "Lower is nearer. KAD is 100 times the unbiased squared MMD, 0 on average without a difference; FAD is biased "
        "upwards, the more so the smaller the sets. Intervals by jackknife over recordings. Halves: chance, what "
        "95 % of 40 random halvings of the reference give, one half against the other; small as they are, their FAD is "
        "biased more.",
        style="dim",
    )
    for one in found:
        for remark in one.remarks:
            complain(f"{model_name(one.space.model)}: {remark}")


def _from_to(interval: Interval) -> str:
    return f"{interval.low:.4g} to {interval.high:.4g}"


def _counted(recordings: int, rows: int, whole: bool) -> str:
    """How many recordings and windows there are.

    >>> _counted(3, 7, False), _counted(3, 3, True)
    ('3 recordings, 7 windows', '3 whole recordings')
    """
    return f"{recordings} whole recordings" if whole else f"{recordings} recordings, {rows} windows"
