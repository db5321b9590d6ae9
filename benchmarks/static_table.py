"""Analogies in tables of static token vectors: Athens is to Greece as Baghdad is to what?

    python benchmarks/static_table.py --questions questions-words.txt static:table static:potion-base-4m

Mikolov et al., "Efficient estimation of word representations in vector space" (2013). The answer is the word whose
vector is closest to b - a + c, the question's own words left out. Candidates are the words that are one token in every
table; asked is what is made of them alone, so that all tables answer the same questions. Everything is lower-cased.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from embed import Media, encode, load
from embed.encoder import Encoder, resolve
from embed.space import unit

BATCH = 500


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("encoders", nargs="+", help="static:FOLDER")
    arguments = parser.parse_args()
    words = sorted(set.intersection(*(words_of(Path(resolve(name)["model"])) for name in arguments.encoders)))
    sections = read_questions(arguments.questions, {word: number for number, word in enumerate(words)})
    asked = np.concatenate(list(sections.values()))
    print(f"{len(asked)} questions among {len(words)} words, chance {1 / (len(words) - 3):.5f}")
    for name in arguments.encoders:
        encoder = load(name)
        right = {section: answered(encoder, words, questions) for section, questions in sections.items()}
        total = np.concatenate(list(right.values())).mean()
        print(f"{total:.3f}  {encoder.space.model}, {encoder.space.dim} dimensions")
        for section, hits in right.items():
            print(f"  {hits.mean():.3f}  {section} (n = {len(hits)})")


def words_of(folder: Path) -> set[str]:
    """The words that are one token of the folder's tokenizer (WordPiece)."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    return {token for token in vocabulary if token.isascii() and token.isalpha() and len(token) > 1}


def read_questions(path: Path, numbers: dict[str, int]) -> dict[str, np.ndarray]:
    """Each section's questions ``(n, 4)`` as numbers of known words; a section without any is left out."""
    found: dict[str, list[list[int]]] = {}
    section = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith(":"):
            section = line[1:].strip()
        elif all(word in numbers for word in line.lower().split()):
            found.setdefault(section, []).append([numbers[word] for word in line.lower().split()])
    return {section: np.array(questions) for section, questions in found.items()}


def answered(encoder: Encoder, words: list[str], questions: np.ndarray) -> np.ndarray:
    """Whether each question got its fourth word."""
    vectors = encode(encoder, [Media.from_text(word) for word in words]).array
    right = []
    for some in np.array_split(questions, -(-len(questions) // BATCH)):
        a, b, c, answer = some.T
        cosines = unit(vectors[b] - vectors[a] + vectors[c]) @ vectors.T
        np.put_along_axis(cosines, some[:, :3], -2.0, axis=1)
        right.append(cosines.argmax(axis=1) == answer)
    return np.concatenate(right)


if __name__ == "__main__":
    main()
