"""How long an analogy evaluation takes, beside gensim's on the same vectors and questions, in turns.

    python benchmarks/analogies.py ../shared/models/word2vec-8k ../shared/data/analogies/questions-words-odd.txt

Both read the file of questions and answer them on vectors that are in memory, on the threads that numpy has (set
OMP_NUM_THREADS=1 for one). gensim answers by 3CosAdd with the inputs excluded; analogon gives that and, from the same
products, inputs allowed and the baseline "nearest to c"; with "everything" 3CosMul, PairDirection and all intervals
too. The counts of right answers must be the same, or the script fails. There is no chance level: what is measured is
time; the ratio's range is over the rounds.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import KeyedVectors

from analogon.analogies.evaluation import RESTRICT, Vocabulary, evaluate_analogies
from analogon.analogies.questions import read_questions
from embed.encoders.words import load


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", help="word vectors")
    parser.add_argument("questions", type=Path, help="a file of questions in Google's format")
    parser.add_argument("--restrict", type=int, default=RESTRICT, help="only so many first words")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    encoder = load(options.words)
    vocabulary = Vocabulary.first(encoder, options.restrict)
    keyed = KeyedVectors(encoder.space.dim)
    keyed.add_vectors(vocabulary.words, vocabulary.matrix)
    keyed.fill_norms()

    def gensims() -> int:
        _, sections = keyed.evaluate_word_analogies(str(options.questions), restrict_vocab=options.restrict)
        return len(sections[-1]["correct"])

    def ours() -> int:
        # The vocabulary is made anew: gensim, too, looks its words up again in every evaluation.
        made = Vocabulary(vocabulary.words, vocabulary.matrix)
        found = evaluate_analogies(read_questions(options.questions), made, ("3cosadd",), resamples=0)
        return found[-1].shares["excluded"].right

    def everything() -> int:
        made = Vocabulary(vocabulary.words, vocabulary.matrix)
        methods = ("3cosadd", "3cosmul", "pairdirection")
        return evaluate_analogies(read_questions(options.questions), made, methods)[-1].shares["excluded"].right

    ways = {"gensim, 3CosAdd": gensims, "analogon, 3CosAdd": ours, "analogon, everything": everything}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    counts = set()
    for _ in range(options.rounds + 1):  # the first round warms up and is not counted
        for name, work in ways.items():
            took, right = timed(work)
            seconds[name].append(took)
            counts.add(right)
    if len(counts) != 1:
        raise SystemExit(f"the counts of right answers differ: {sorted(counts)}")

    total = evaluate_analogies(read_questions(options.questions), vocabulary)[-1]
    print(
        f"{options.questions.name}: {total.answered} questions answered, {total.skipped} skipped, among "
        f"{len(vocabulary):,} words of {encoder.space.dim} dimensions; {counts.pop()} right by each; "
        f"{options.rounds} rounds in turns\n"
    )
    print("| way | median | slowest to fastest | gensim's time over it, round by round |\n|---|---|---|---|")
    base = np.array(seconds["gensim, 3CosAdd"][1:])
    for name, took in seconds.items():
        took = np.array(took[1:])
        ratio = base / took
        print(
            f"| {name} | {1000 * np.median(took):.0f} ms | {1000 * took.max():.0f} to {1000 * took.min():.0f} ms "
            f"| {np.median(ratio):.1f} ({ratio.min():.1f} to {ratio.max():.1f}) |"
        )


if __name__ == "__main__":
    main()
