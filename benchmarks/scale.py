"""What a collection of 10^4 to 10^7 items costs to make, to open, to search and to change.

    python benchmarks/scale.py [--sizes 10000,100000] [--keep FOLDER] [--repeat 9] [--no-index] [--no-background]
                               [--memory 2G] [--only "content,name of"]

Items are sounds that were never there: unit vectors of 64 components in clusters of some 50, each with a name of its
own, a folder, fields; they are imported block by block, as a table of other people's vectors is. Half of the names are
a recorder's ("ZOOM0000042_1-21189-A.wav"), the others three words; one word stands in one name, one in a thousand, one
in a tenth of all. A hundredth of what is imported is removed again, so that there are dead rows. Searches are timed in
processes of their own: the first after the start, then medians; "new ms" is a search with a filter that was never asked
before, in a process that has searched already. MiB are resident after all of them: of the process's own, of files that
are mapped, and the most that there was. "index" is ``index.search`` alone, for the same vector and as many rows.
Seeded; ``--keep`` makes no collection twice, and ``--only`` asks searches whose names hold one of some texts. What is
going on is told with the time on the error output.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

import analogon
from analogon.search.background import Background
from embed import load
from embed.listener import Listener
from embed.media import Media
from embed.space import unit
from indexes.collection import Collection, KnownSpace
from indexes.exchange.intake import Place, Row, take_in
from indexes.faiss import parse_memory
from indexes.writer import writing

TABLE: Final = {"family": "toy", "model": "64"}
DIM: Final = 64
BLOCK: Final = 10_000
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
SYLLABLES: Final = [f"{a}{b}" for a in CONSONANTS for b in VOWELS]
DEAD: Final = 100  # one item of so many is removed again
TOGETHER: Final = 2000  # items that are removed in one transaction
TOLD: Final = 15.0  # seconds between two lines on how far it is


def word(number: int) -> str:
    """A word of three syllables, of some 340,000."""
    first, rest = divmod(number, len(SYLLABLES) ** 2)
    second, third = divmod(rest, len(SYLLABLES))
    return SYLLABLES[first % len(SYLLABLES)] + SYLLABLES[second] + SYLLABLES[third]


def name_of(i: int, n: int) -> str:
    """The name of the i-th of n sounds."""
    if i % 2:
        return f"ZOOM{i:08d}_1-{21189 + i % 7}-A.wav"
    words = [word(37 * i % 20_000), word(101 * i % 9_973)]
    words += ["solitary"] if i == n // 2 // 2 * 2 else []
    words += ["thousandth"] if i % max(2, n // 1000 // 2 * 2) == 0 else []
    words += ["everywhere"] if i % 10 == 0 else []
    return f"{'_'.join(words)}_{i}.wav"


def rows(n: int, first: int, end: int, root: str) -> Iterator[Row]:
    """The sounds of a range, of n in all."""
    for start in range(first, end, BLOCK):
        random = np.random.default_rng([64, start])
        count = min(BLOCK, end - start)
        centres = random.normal(size=(count // 50 + 1, DIM))
        vectors = unit(centres[np.arange(count) % len(centres)] + 0.7 * random.normal(size=(count, DIM)))
        for i, vector in enumerate(vectors.astype(np.float32), start):
            path = f"{root}/{word(i // 500)}/{name_of(i, n)}"
            fields = {"mood": ("calm", "dark", "bright")[i % 3], "take": i, "chosen": int(i % 1000 == 10)}
            place = Place(path, None, fields, 1000 + i, 1)
            facts = {"duration": 1.0 + i % 60, "sample_rate": 48000}
            yield Row(Media("audio", path=path), (place,), f"{i:032x}", facts, vector)


class Told(Listener):
    """Says on the error output what is going on, at what time, and how long it will take still."""

    def __init__(self) -> None:
        super().__init__()
        self.phase("", None)

    def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
        self.name, self.total, self.done = name, total, 0
        self.began = self.last = time.monotonic()
        if name:
            self.say("of " + f"{total:,}" if total else "")

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        self.done += count
        now = time.monotonic()
        if self.total and now - self.last > TOLD:
            self.last = now
            left = (now - self.began) * (self.total - self.done) / max(1, self.done)
            self.say(f"{self.done:,} of {self.total:,}, {left:,.0f} s left")

    def say(self, text: str) -> None:
        """A line with the time."""
        print(time.strftime("%H:%M:%S"), f"{self.name}: {text}", file=sys.stderr, flush=True)


def make(folder: Path, n: int, memory: int | None, *, index: bool, background: bool) -> dict[str, float]:
    """Make a collection of n items and say how many seconds each part of that took."""
    encoder, told, took = load(TABLE), Told(), dict[str, float]()
    known = KnownSpace(encoder.space, dict(TABLE))

    def counted() -> Iterator[Row]:
        for row in rows(n, 0, n, "/sounds"):
            yield row
            told.advance()

    def timed(name: str, work: Callable[[], object], total: int | None = None) -> None:
        told.phase(name, total)
        started = time.perf_counter()
        work()
        took[name] = time.perf_counter() - started

    def imported() -> None:
        done = take_in(folder, known, counted())
        assert done.vectors == n, done

    timed("import", imported, n)
    with Collection.open(folder) as collection, writing(collection) as writer:

        def removed() -> None:
            for first in range(5, n, DEAD * TOGETHER):
                some = range(first, min(n, first + DEAD * TOGETHER), DEAD)
                gone = [collection.catalog.source(f"/sounds/{word(i // 500)}/{name_of(i, n)}") for i in some]
                writer.remove([one for one in gone if one is not None])
                told.advance(len(some))

        timed("rm of a hundredth", removed, n // DEAD)
        timed("columns", lambda: writer.build_columns(told))
        timed("names", lambda: writer.build_names(encoder, dict(TABLE), told))
        if index:
            timed("index", lambda: writer.build_index(known, "audio", memory, listener=told))
        if background:
            timed("background", lambda: Background.make(collection, known, "audio"))
    return took


def asked(n: int) -> dict[str, tuple[Any, dict[str, Any]]]:
    """The searches, by what they are called."""
    vector = next(rows(n, 0, 1, "/sounds")).vector
    middle = n // 2 // 2 * 2 + 1
    recorder = name_of(middle, n).removesuffix(".wav")
    assert middle % DEAD != 5 or n < 4 * DEAD
    return {
        "content": (vector, {}),
        "content, 1 in 1000 passes": (vector, {"where": "chosen = 1"}),
        "content, all pass": (vector, {"where": "duration > 0"}),
        "name, word in 1": ("solitary", {"by": "name"}),
        "name, word in 1000": ("thousandth", {"by": "name"}),
        "name, word in n/10": ("everywhere", {"by": "name"}),
        "name, three words": ("solitary thousandth everywhere", {"by": "name"}),
        "name of a recorder": (recorder, {"by": "name"}),
        "part of it": (recorder[4:14], {"by": "name"}),
        "name, 1 in 1000 passes": ("everywhere", {"by": "name", "where": "chosen = 1"}),
        "name, all pass": ("everywhere", {"by": "name", "where": "duration > 0"}),
        "both": ("solitary everywhere", {}),
        "both, rerank": ("solitary everywhere", {"rerank": "csls"}),
        "text, exclude": ("solitary everywhere exclude(thousandth, 0.5)", {"by": "content"}),
    }


def milliseconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def resident() -> tuple[float, float, float]:
    """MiB that this process has in memory: its own, of files (0 where nobody tells), and the most that it had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    kinds = {"RssAnon": 0.0, "RssFile": 0.0}
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        name, _, rest = line.partition(":")
        if name in kinds:
            kinds[name] = int(rest.split()[0]) / 1024
    return kinds["RssAnon"] or most, kinds["RssFile"], most


def index_alone(library: analogon.Library, vector: Any, repeat: int) -> float:
    """Milliseconds that the index takes for what a search by content asks of it."""
    collection = library.collection
    space = collection.spaces[0].space
    with collection.snapshot():
        index, live = collection.index(space, "audio"), collection.live(space, "audio")
        return statistics.median(
            milliseconds(lambda: index.search(np.array(vector)[None], 15, allowed=live)) for _ in range(repeat)
        )


def measure(folder: Path, n: int, what: str, repeat: int) -> dict[str, Any]:
    """One search, first and again, in this process."""
    query, options = asked(n)[what]
    opened: list[analogon.Library] = []
    took: dict[str, Any] = {"open": milliseconds(lambda: opened.append(analogon.open(folder)))}
    with opened[0] as library:
        hits: list[analogon.Hits] = []
        took["first"] = milliseconds(lambda: hits.append(library.search(query, **options)))
        times: list[float] = []
        while len(times) < repeat and sum(times) < 20_000:
            times.append(milliseconds(lambda: library.search(query, **options)))
        took["warm"] = statistics.median(times)
        took["own"], took["files"], took["most"] = resident()
        took["best"] = Path(hits[0][0].path).name if len(hits[0]) else ""
        if "where" in options:
            new = [{**options, "where": f"{options['where']} and take >= {-1 - i}"} for i in range(3)]
            took["new"] = statistics.median(milliseconds(partial(library.search, query, **one)) for one in new)
        if what == "content":
            took["describe"] = milliseconds(library.describe)
            took["index"] = index_alone(library, query, repeat)
            took["index is"] = library.collection.index(library.collection.spaces[0].space, "audio").description
    return took


def change(folder: Path, n: int) -> dict[str, float]:
    """Add a hundred items, bring the indexes up, and take them away again."""
    encoder = load(TABLE)
    known = KnownSpace(encoder.space, dict(TABLE))
    new = list(rows(n, n, n + 100, "/added"))

    def name() -> None:
        with Collection.open(folder) as collection, writing(collection) as writer:
            writer.build_columns(Listener())
            writer.build_names(encoder, dict(TABLE))
            writer.build_index(known, "audio")

    def remove() -> None:
        with analogon.open(folder) as library:
            library.remove("/added")

    times = {"add 100": milliseconds(lambda: take_in(folder, known, iter(new)))}
    return times | {"indexes after": milliseconds(name), "rm 100": milliseconds(remove)}


def told(*arguments: str) -> dict[str, Any]:
    """What a process of its own prints."""
    command = [sys.executable, __file__, *arguments]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=os.environ)
    if run.returncode:
        raise SystemExit(f"{' '.join(arguments)}: ended with {run.returncode}")
    return dict(json.loads(run.stdout.splitlines()[-1]))


def table(folder: Path, n: int, repeat: int, only: Sequence[str], how: Sequence[str]) -> None:
    """Print what a size costs."""
    print(f"\n{n:,} items", flush=True)
    if not (folder / "made.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        made = told("--make", str(folder), "--sizes", str(n), *how)
        (folder / "made.json").write_text(json.dumps(made))
    made = json.loads((folder / "made.json").read_text())
    files = [file for file in folder.rglob("*") if file.is_file()]
    print("  " + ", ".join(f"{part} {seconds:,.1f} s" for part, seconds in made.items()))
    print(f"  import {n / made['import']:,.0f} rows/s" if "import" in made else "")
    catalog = sum(file.stat().st_size for file in files if file.name.startswith("catalog"))
    size = sum(file.stat().st_size for file in files)
    print(f"  on disk {size / n:,.0f} bytes an item, the catalog's {catalog / n:,.0f}")
    print(
        f"  {'search':26} {'open ms':>8} {'first ms':>8} {'warm ms':>8} {'new ms':>8} {'own MiB':>8} {'files':>6} "
        f"{'most':>6}  best"
    )
    for what in asked(n):
        if only and not any(text in what for text in only):
            continue
        took = told("--measure", what, "--sizes", str(n), "--repeat", str(repeat), "--keep", str(folder))
        new = f"{took['new']:8.1f}" if "new" in took else f"{'':8}"
        numbers = f"{took['open']:8.1f} {took['first']:8.1f} {took['warm']:8.2f} {new}"
        memory = f"{took['own']:8.0f} {took['files']:6.0f} {took['most']:6.0f}"
        print(f"  {what:26} {numbers} {memory}  {took['best']}", flush=True)
        if "index" in took:
            over = f"the search takes {took['warm'] / took['index']:.2f} times that"
            print(f"  {'index alone':26} {'':8} {'':8} {took['index']:8.2f}  {over}; {took['index is']}", flush=True)
            print(f"  {'describe':26} {'':8} {'':8} {took['describe']:8.2f}", flush=True)
    if not only:
        changed = told("--change", "--sizes", str(n), "--keep", str(folder))
        print("  " + ", ".join(f"{what} {took:,.0f} ms" for what, took in changed.items()), flush=True)


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--keep", type=Path, help="where the collections stay, to be used again")
    parser.add_argument("--repeat", type=int, default=9, help="searches of which the median is taken")
    parser.add_argument("--no-index", action="store_true", help="build no index of the content")
    parser.add_argument("--no-background", action="store_true", help="do not ask the bank of phrases of the rows")
    parser.add_argument("--memory", help="what the index of the content may take, such as 2G")
    parser.add_argument("--only", default="", help="some of the searches, by parts of their names, and no changes")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--change", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if options.make:
        memory = parse_memory(options.memory) if options.memory else None
        background = not options.no_background
        print(json.dumps(make(options.make, sizes[0], memory, index=not options.no_index, background=background)))
    elif options.measure:
        print(json.dumps(measure(options.keep, sizes[0], options.measure, options.repeat)))
    elif options.change:
        print(json.dumps(change(options.keep, sizes[0])))
    else:
        how = [f"--{name}" for name in ("no-index", "no-background") if getattr(options, name.replace("-", "_"))]
        how += ["--memory", options.memory] if options.memory else []
        only = [text.strip() for text in options.only.split(",") if text.strip()]
        with tempfile.TemporaryDirectory() as temporary:
            for n in sizes:
                table((options.keep or Path(temporary)) / str(n), n, options.repeat, only, how)


if __name__ == "__main__":
    main()
