"""What "no", ``-`` and ``without`` do to a question, on ESC-10's recordings.

Two classes of ESC-10 share a word (an animal is a dog or a rooster); one of the two is not wanted. Counted is what the
first 24 hits hold, as many as a class has recordings: the class that is wanted, and the one that is not. ::

    python benchmarks/negation.py --data ../shared/data/esc10 --encoder conse.toml
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import analogon

SHARED_WORDS = (
    ("an animal", {"dog_bark": "a dog", "rooster": "a rooster"}),
    ("water", {"rain": "rain", "sea_waves": "sea waves"}),
    ("an engine", {"chainsaw": "a chainsaw", "helicopter": "a helicopter"}),
    ("a human voice", {"baby_cry": "a crying baby", "person_sneeze": "sneezing"}),
)
"""Written once, and not changed after the first results."""
WAYS = ("{}", "{}, no {}", "{} - {}", "{} without({})")
FIRST = 24


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--encoder", default="starter")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as work, analogon.open(Path(work) / "sounds", create=True) as library:
        library.index(arguments.data, encoders=[arguments.encoder], only=["audio"])
        total = {way: Counter[str]() for way in WAYS}
        rows = []
        for word, classes in SHARED_WORDS:
            for unwanted, called in classes.items():
                wanted = next(name for name in classes if name != unwanted)
                for way in WAYS:
                    query = way.format(word, called.removeprefix("a ") if "no" in way else called)
                    hits = library.search(query, by="content", to="audio", k=FIRST)
                    found = Counter(Path(hit.path).parent.name for hit in hits)
                    total[way] += Counter(wanted=found[wanted], unwanted=found[unwanted])
                    rows.append((query, wanted, found[wanted], unwanted, found[unwanted]))
    print(f"ESC-10, 240 recordings, 24 a class, {arguments.encoder}; among the first {FIRST} hits:")
    for query, wanted, right, unwanted, wrong in rows:
        print(f"  {query:40} {right:2} {wanted:14} {wrong:2} {unwanted}")
    asked = FIRST * sum(len(classes) for _, classes in SHARED_WORDS)
    print("all eight, in shares of the hits (chance 0.10 each):  wanted  unwanted")
    for way, counts in total.items():
        shown = way.format("X", "Y")
        print(f"  {shown:50}  {counts['wanted'] / asked:.3f}   {counts['unwanted'] / asked:.3f}")


if __name__ == "__main__":
    main()
