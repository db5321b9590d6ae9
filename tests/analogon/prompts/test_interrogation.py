"""Prompts made of phrases, beside a plain loop that tries every one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from analogon.prompts import interrogation
from analogon.prompts.interrogation import Bank, interrogate, read_bank
from embed import Media, load
from embed.encoder import AudioInput, Encoder
from embed.errors import MediaError, SpaceMismatch, UnsupportedModality, UsageError
from embed.space import Space

DIM = 12
KINDS = {
    "weather": ("light rain", "heavy rain", "thunder far away", "wind in the trees", "hail"),
    "places": ("a street at night", "an empty hall", "a forest", "under a tin roof"),
    "moods": ("calm", "sad and slow", "joyful", "tense"),
}


@cache
def direction(seed: int, word: str) -> np.ndarray:
    return np.random.default_rng([seed, zlib.crc32(word.encode())]).normal(size=DIM)


class Words(Encoder):
    """A word is a random direction; a text bends the sum of its first ``reads`` words, so that it is no mere mean."""

    modalities = frozenset({"text", "audio"})
    audio = AudioInput(16000, 1.0)

    def __init__(self, reads: int | None = None, seed: int = 0) -> None:
        self.reads, self.seed = reads, seed
        self.space = Space("words", f"seed {seed}", f"reads {reads}", DIM)
        self.calls: list[int] = []

    def encode_batch(self, batch: Sequence[Media]) -> np.ndarray:
        self.calls.append(len(batch))
        return np.stack([self.one(media.text or "") for media in batch])

    def one(self, text: str) -> np.ndarray:
        words = text.replace(",", " ,").split()[: self.reads]
        if "broken" in words:
            return np.full(DIM, np.nan)
        return np.tanh(0.4 * sum((self.word(word) for word in words), np.zeros(DIM)))

    def word(self, word: str) -> np.ndarray:
        return direction(self.seed, word) * (word != ",")

    def unit(self, text: str) -> np.ndarray:
        return self.one(text) / np.linalg.norm(self.one(text))


def asked(seed: int) -> np.ndarray:
    """A unit vector between five of the phrases: more than one of them is needed to say it."""
    every = [phrase for some in KINDS.values() for phrase in some]
    some = np.random.default_rng(seed).choice(every, size=5, replace=False)
    row = sum(Words(seed=seed).unit(phrase) for phrase in some)
    return (row / np.linalg.norm(row)).astype(np.float32)


def by_hand(
    encoder: Words, target: np.ndarray, per_kind: int, limit: int, least: float, needs: bool
) -> list[tuple[str, float, float]]:
    """Phrase, gain and score, of every phrase that a plain loop appends."""
    short = []
    for some in KINDS.values():
        short += sorted(some, key=lambda phrase: -float(encoder.unit(phrase) @ target))[:per_kind]
    said: list[tuple[str, float, float]] = []
    while short and len(said) < limit:
        before = said[-1][2] if said else 0.0
        scores = {p: float(encoder.unit(", ".join([*(s[0] for s in said), p])) @ target) for p in short}
        best = max(scores, key=lambda phrase: scores[phrase])
        gain = scores[best] - before
        if (said or needs) and (gain <= 0 or gain < least * abs(before)):
            break
        said.append((best, gain, scores[best]))
        short.remove(best)
    return said


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 5, 7, 8, 9])
@pytest.mark.parametrize(("per_kind", "limit", "least"), [(2, 8, 0.04), (4, 3, 0.0), (1, 8, 0.2)])
def test_order_gains_and_scores_are_those_of_a_plain_loop(seed: int, per_kind: int, limit: int, least: float) -> None:
    encoder, vector = Words(seed=seed), asked(seed)
    assert len(by_hand(encoder, vector, 4, 8, 0.0, needs=False)) > 1
    found = interrogate(encoder, vector, KINDS, shortlist=per_kind, limit=limit, min_gain=least)
    expected = by_hand(encoder, vector, per_kind, limit, least, needs=False)
    assert [one.phrase for one in found.appended] == [phrase for phrase, _, _ in expected]
    assert found.text == ", ".join(phrase for phrase, _, _ in expected)
    for one, (phrase, gain, score) in zip(found.appended, expected, strict=True):
        assert one.gain == pytest.approx(gain, abs=1e-6) and one.score == pytest.approx(score, abs=1e-6)
        assert one.cosine == pytest.approx(float(encoder.unit(phrase) @ vector), abs=1e-6)
        assert phrase in KINDS[one.kind] and one.other is None
    assert found.score == pytest.approx(sum(gain for _, gain, _ in expected), abs=1e-6)
    assert found.similarity is None and found.prompt("x.wav").because[0].name == "x.wav"


@pytest.mark.parametrize("seed", range(8))
def test_against_takes_out_as_much_of_the_other_as_the_two_are_alike(seed: int) -> None:
    encoder, vector = Words(seed=seed), asked(seed)
    other = vector + 0.9 * np.random.default_rng(seed).normal(size=DIM)
    other = (other / np.linalg.norm(other)).astype(np.float32)
    alike = max(0.0, float(vector @ other))
    found = interrogate(encoder, vector, KINDS, against=other)
    expected = by_hand(encoder, vector - alike * other, 4, 8, 0.04, needs=True)
    assert [one.phrase for one in found.appended] == [phrase for phrase, _, _ in expected] != []
    assert found.similarity == pytest.approx(alike, abs=1e-6)
    for one, (phrase, gain, score) in zip(found.appended, expected, strict=True):
        assert one.gain == pytest.approx(gain, abs=1e-6) and one.score == pytest.approx(score, abs=1e-6)
        assert one.other == pytest.approx(float(encoder.unit(phrase) @ other), abs=1e-6)
    whole = encoder.unit(found.text)
    assert found.score == pytest.approx(float(whole @ vector - alike * (whole @ other)), abs=1e-5)


def test_nothing_is_added_for_an_opposite_and_nothing_tells_a_thing_from_itself() -> None:
    encoder, vector = Words(), asked(1)
    plain = interrogate(encoder, vector, KINDS)
    opposite = interrogate(encoder, vector, KINDS, against=-vector)
    assert opposite.similarity == 0.0 and [one.score for one in opposite.appended] == [
        one.score for one in plain.appended
    ]
    with pytest.raises(UsageError, match="the same to words"):
        interrogate(encoder, vector, KINDS, against=vector)
    with pytest.raises(UsageError, match="the same to words"):
        interrogate(encoder, Media.from_text("light rain"), KINDS, against=Media.from_text("light rain"))


def test_a_first_phrase_comes_whatever_its_score_but_not_where_it_tells_nothing_from_another() -> None:
    encoder = Words()
    away = -encoder.unit("light rain").astype(np.float32)
    bank = {"weather": ("light rain",)}
    found = interrogate(encoder, away, bank)
    assert found.appended[0].score == pytest.approx(-1.0, abs=1e-6) and found.ended == "bank"
    other = asked(3) if float(asked(3) @ away) > 0 else -asked(3)
    nothing = interrogate(encoder, away, bank, against=other)
    assert nothing.appended == () and nothing.ended == "gain" and (nothing.text, nothing.score) == ("", 0.0)


def test_limits_of_phrases_and_of_words() -> None:
    encoder, vector = Words(seed=2), asked(2)
    free = interrogate(encoder, vector, KINDS, min_gain=0.0)
    assert len(free.appended) >= 3
    two = interrogate(encoder, vector, KINDS, min_gain=0.0, limit=2)
    assert two.appended == free.appended[:2] and two.ended == "phrases"
    for words in range(1, 8):
        few = interrogate(encoder, vector, KINDS, min_gain=0.0, words=words)
        assert 0 < len(few.text.split()) <= words
    assert interrogate(encoder, vector, {"long": ("two words",)}, words=1).ended == "words"
    for wrong in ({"limit": 0}, {"shortlist": 0}, {"words": 0}, {"min_gain": -0.1}, {"min_gain": float("nan")}):
        with pytest.raises(UsageError):
            interrogate(encoder, vector, KINDS, **wrong)


def test_it_ends_where_the_text_encoder_reads_no_further() -> None:
    phrases = ("one", "two", "three", "four", "five")
    vector = Words(seed=4).unit(", ".join(phrases)).astype(np.float32)
    found = interrogate(Words(reads=3, seed=4), vector, {"numbers": phrases}, shortlist=5, min_gain=0.0)
    assert len(found.appended) == 2 and found.ended == "full"  # word, comma, word: the rest is not read
    further = interrogate(Words(seed=4), vector, {"numbers": phrases}, shortlist=5, min_gain=0.0)
    assert len(further.appended) > 2


def test_of_equals_the_first_comes_and_a_phrase_counts_once() -> None:
    encoder = Words()
    same = {"a": ("dry", "rain"), "b": ("rain", " rain ", "", "wet")}
    bank = Bank.of(encoder, same)
    assert bank.phrases == ("dry", "rain", "wet") and bank.kinds == ("a", "a", "b")
    reading_one = Words(reads=1)  # "rain ..." are all one to it
    tied = {"a": ("rain far", "rain near"), "b": ("rain here",)}
    found = interrogate(reading_one, reading_one.unit("rain").astype(np.float32), tied)
    assert [one.phrase for one in found.appended] == ["rain far"]


def test_a_round_is_one_batch_and_a_bank_is_not_encoded_again() -> None:
    encoder = Words(seed=5)
    encoder.batch_size = 64
    bank = Bank.of(encoder, KINDS)
    encoder.calls.clear()
    found = interrogate(encoder, asked(5), bank, shortlist=2, limit=4, min_gain=0.0)
    assert encoder.calls == [5, 4, 3][: len(found.appended) - (found.ended == "phrases")] and len(found.appended) > 2


def test_phrases_without_a_vector_take_no_part_and_vectors_must_be_finite() -> None:
    encoder = Words()
    assert Bank.of(encoder, {"a": ("rain", "broken string")}).phrases == ("rain",)
    with pytest.raises(UsageError, match="knows no word of the bank's 1 phrases"):
        Bank.of(encoder, {"a": ("broken",)})
    with pytest.raises(UsageError, match="the bank is empty"):
        interrogate(encoder, asked(0), {"a": ("", "  "), "b": ()})
    for wrong in (np.full(DIM, np.nan), np.zeros(DIM), np.ones(DIM + 1)):
        with pytest.raises(UsageError, match="a finite vector of 12 numbers"):
            interrogate(encoder, wrong, KINDS)
    with pytest.raises(MediaError, match="not finite"):
        interrogate(encoder, Media.from_text("broken"), KINDS)


def test_a_space_without_words_and_a_bank_of_another_space_are_refused() -> None:
    deaf = Words()
    deaf.modalities = frozenset({"audio"})
    with pytest.raises(UnsupportedModality, match="encodes audio, no text"):
        interrogate(deaf, asked(0), KINDS)
    with pytest.raises(SpaceMismatch):
        interrogate(Words(seed=1), asked(0), Bank.of(Words(seed=2), KINDS))


def test_a_bank_of_ones_own_is_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "drums.txt").write_text("# mine\nsnare\n\n kick \nsnare\n", "utf-8")
    (tmp_path / "moods.txt").write_text("\ufeffdark\n", "utf-8")
    (tmp_path / "notes.md").write_text("not a bank\n")
    assert read_bank([tmp_path]) == {"drums": ("snare", "kick"), "moods": ("dark",)}
    assert read_bank([tmp_path / "notes.md"]) == {"notes": ("not a bank",)}
    with pytest.raises(MediaError, match="no such file"):
        read_bank([tmp_path / "none.txt"])
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(MediaError, match="is not a bank of phrases"):
        read_bank([tmp_path / "bytes.txt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no \.txt file"):
        read_bank([tmp_path / "empty"])


def test_a_kept_bank_is_encoded_once_and_again_where_its_file_is_damaged() -> None:
    encoder = Words(seed=9)
    first = Bank.of(encoder, KINDS, keep=True)
    encoder.calls.clear()
    again = Bank.of(encoder, KINDS, keep=True)
    assert encoder.calls == [] and np.array_equal(again.rows, first.rows) and again.phrases == first.phrases
    for file in interrogation.BANKS.folder.glob(f"{encoder.space.id}-*"):
        file.write_bytes(file.read_bytes()[:50])
    assert np.array_equal(Bank.of(encoder, KINDS, keep=True).rows, first.rows) and sum(encoder.calls) == 13
    other = Bank.of(Words(seed=10), KINDS, keep=True)
    assert not np.allclose(other.rows, first.rows)
    turned = {"places": tuple(phrase for some in KINDS.values() for phrase in some)[::-1]}  # as many phrases, others
    assert np.array_equal(Bank.of(encoder, turned, keep=True).rows, first.rows[::-1])


def test_rain_is_called_rain(shared: Path) -> None:
    starter = load("starter")
    clip = Media.from_path(sorted((shared / "data" / "esc10" / "rain").glob("*.ogg"))[0])
    found = interrogate(starter, clip)
    assert "rain" in found.appended[0].phrase and found.appended[0].kind == "nature"
    scores = [one.score for one in found.appended]
    assert scores == sorted(scores) and found.space == "starter"
    wave = Media.from_path(sorted((shared / "data" / "esc10" / "sea_waves").glob("*.ogg"))[0])
    against = interrogate(starter, clip, against=wave)
    assert all(one.other is not None and one.cosine > one.other for one in against.appended[:1])


def test_what_is_asked_about_is_encoded_as_a_query_and_phrases_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Words()
    plain = Bank.of(encoder, KINDS)
    monkeypatch.setattr(Words, "embed_query", lambda self, media: Media.from_text(f"query {media.text}"))
    row = encoder.one("query heavy rain")
    found = interrogate(encoder, Media.from_text("heavy rain"), plain, limit=1)
    cosines = plain.rows @ (row / np.linalg.norm(row))
    assert found.appended[0].phrase == plain.phrases[int(cosines.argmax())]
    assert found.score == pytest.approx(float(cosines.max()), abs=1e-6)
