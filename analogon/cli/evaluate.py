"""``analogon eval``: figures that hold up, of analogies, of retrieval and of sets of recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from analogon.cli.terminal import (
    CollectionOption,
    Commands,
    EncoderOption,
    FormatOption,
    GivenUpOption,
    SpaceOption,
    check_format,
    complain,
    model_name,
    stderr,
    stdout,
    write_json,
)
from analogon.settings.arguments import superseded
from embed.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from analogon.analogies.evaluation import Result, Share
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

app = Commands(
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
    from analogon.service.evaluation import EvaluateAnalogies

    check_format(form)
    found = EvaluateAnalogies(
        questions=questions,
        words=words,
        encoder=encoder,
        candidates=candidates,
        restrict=restrict,
        case=case,
        methods=tuple(name for name in methods.split(",") if name.strip()),
    ).run()
    _tell(found.left_out)
    _tell(found.unencoded)
    if found.remark:
        complain(found.remark)
    if form == "json":
        write_json(*found.results)
    else:
        _show_analogies(found.results, found.words)
    if not found.results[-1].answered:
        complain(f"{questions}: no question has all its words in the vocabulary")
        raise typer.Exit(1)


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
    space: SpaceOption = None,
    encoder: GivenUpOption = None,
    form: FormatOption = "table",
) -> None:
    """How well queries find their targets in a collection and targets their queries, by content, not by name."""
    from analogon.cli.progress import Screen
    from analogon.service.evaluation import EvaluateRetrieval

    check_format(form)
    if encoder:
        raise UsageError(superseded("eval retrieval --encoder", "eval retrieval --space"))
    request = EvaluateRetrieval(
        pairs=pairs, collection=collection, query=query, target=target, to=to, spaces=tuple(space or ())
    )
    found = request.run(listener=Screen(stderr(), None)).directions
    if form == "json":
        write_json(*found)
    else:
        _show_retrieval(found)


def _show_retrieval(found: Sequence[Direction]) -> None:
    from rich.table import Table

    console = stdout()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for one in found:
        table.add_column(f"{one.queries} -> {one.candidates}", justify="right", no_wrap=True)
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
            f"{one.queries} -> {one.candidates}: {counts.queries} queries, {counts.relevant:.3g} right of "
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
    from analogon.cli.progress import Screen
    from analogon.service.evaluation import CompareRecordings

    check_format(form)
    found = CompareRecordings(
        recordings=tuple(recordings),
        reference=tuple(reference),
        encoders=tuple(encoder or ()),
        whole=whole,
        seed=seed,
    ).run(Screen(stderr(), None))
    if form == "json":
        write_json(*found.rows())
    else:
        _show_distances(found.comparisons, whole)


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
