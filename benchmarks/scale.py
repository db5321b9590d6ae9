"""What a collection of 10^4 to 10^7 items costs to make, to open, to search and to change.

    python benchmarks/scale.py [--sizes 10000,100000] [--keep FOLDER] [--repeat 9] [--no-index]

Items are sounds that were never there: unit vectors of 64 components in clusters of some 50, each with a name of its
own, a folder, fields; they are imported block by block, as a table of other people's vectors is. Half of the names are
a recorder's ("ZOOM0000042_1-21189-A.wav"), the others three words; one word stands in one name, one in a thousand, one
in a tenth of all. A hundredth of what is imported is removed again, so that there are dead rows. Searches are timed in
processes of their own: the first after the start, then medians. Seeded; ``--keep`` makes no collection twice.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

import analogon
from embed import load
from embed.media import Media
from embed.space import unit
from indexes.collection import Collection, KnownSpace
from indexes.exchange.intake import Place, Row, take_in
from indexes.writer import writing

TABLE: Final = {"family": "toy", "model": "64"}
DIM: Final = 64
BLOCK: Final = 10_000
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
SYLLABLES: Final = [f"{a}{b}" for a in CONSONANTS for b in VOWELS]
DEAD: Final = 100  # one item of so many is removed again


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


def make(folder: Path, n: int, *, index: bool) -> dict[str, float]:
    """Make a collection of n items and say how long that took."""
    encoder = load(TABLE)
    known = KnownSpace(encoder.space, dict(TABLE))
    started = time.perf_counter()
    done = take_in(folder, known, rows(n, 0, n, "/sounds"))
    imported = time.perf_counter() - started
    assert done.vectors == n, done
    with Collection.open(folder) as collection, writing(collection) as writer:
        gone = [collection.catalog.source(f"/sounds/{word(i // 500)}/{name_of(i, n)}") for i in range(5, n, DEAD)]
        writer.remove([one for one in gone if one is not None])
        started = time.perf_counter()
        writer.build_names(encoder, dict(TABLE))
        named = time.perf_counter() - started
        started = time.perf_counter()
        if index:
            writer.build_index(known, "audio")
        indexed = time.perf_counter() - started
    return {"rows/s": n / imported, "names s": named, "index s": indexed}


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
    }


def milliseconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


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
        took["describe"] = milliseconds(library.describe) if what == "content" else 0.0
        took["best"] = Path(hits[0][0].path).name if len(hits[0]) else ""
    took["MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return took


def change(folder: Path, n: int) -> dict[str, float]:
    """Add a hundred items, bring the indexes up, and take them away again."""
    encoder = load(TABLE)
    known = KnownSpace(encoder.space, dict(TABLE))
    new = list(rows(n, n, n + 100, "/added"))

    def name() -> None:
        with Collection.open(folder) as collection, writing(collection) as writer:
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
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if run.returncode:
        raise SystemExit(run.stderr)
    return dict(json.loads(run.stdout.splitlines()[-1]))


def table(folder: Path, n: int, repeat: int, *, index: bool) -> None:
    """Print what a size costs."""
    print(f"\n{n:,} items", flush=True)
    if not (folder / "made.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        made = told("--make", str(folder), "--sizes", str(n), *([] if index else ["--no-index"]))
        (folder / "made.json").write_text(json.dumps(made))
    made = json.loads((folder / "made.json").read_text())
    files = [file for file in folder.rglob("*") if file.is_file()]
    print(f"  import {made['rows/s']:,.0f} rows/s, names {made['names s']:.1f} s, index {made['index s']:.1f} s")
    catalog = sum(file.stat().st_size for file in files if file.name.startswith("catalog"))
    size = sum(file.stat().st_size for file in files)
    print(f"  on disk {size / n:,.0f} bytes an item, the catalog's {catalog / n:,.0f}")
    print(f"  {'search':28} {'open ms':>9} {'first ms':>9} {'warm ms':>9} {'MiB':>7}  best")
    for what in asked(n):
        took = told("--measure", what, "--sizes", str(n), "--repeat", str(repeat), "--keep", str(folder))
        numbers = f"{took['open']:9.1f} {took['first']:9.1f} {took['warm']:9.2f} {took['MiB']:7.0f}"
        print(f"  {what:28} {numbers}  {took['best']}", flush=True)
        if took["describe"]:
            print(f"  {'describe':28} {'':9} {'':9} {took['describe']:9.2f}", flush=True)
    changed = told("--change", "--sizes", str(n), "--keep", str(folder))
    print("  " + ", ".join(f"{what} {took:,.0f} ms" for what, took in changed.items()), flush=True)


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--keep", type=Path, help="where the collections stay, to be used again")
    parser.add_argument("--repeat", type=int, default=9, help="searches of which the median is taken")
    parser.add_argument("--no-index", action="store_true", help="build no index of the content")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--change", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if options.make:
        print(json.dumps(make(options.make, sizes[0], index=not options.no_index)))
    elif options.measure:
        print(json.dumps(measure(options.keep, sizes[0], options.measure, options.repeat)))
    elif options.change:
        print(json.dumps(change(options.keep, sizes[0])))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            for n in sizes:
                table((options.keep or Path(temporary)) / str(n), n, options.repeat, index=not options.no_index)


if __name__ == "__main__":
    main()
