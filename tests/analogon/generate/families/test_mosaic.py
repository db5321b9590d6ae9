"""mosaic: what takes are made of, measured in their samples, on collections of sounds whose every property is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import analogon
from analogon.engines.generator import Settings, generate
from analogon.generate import corpus as corpora
from analogon.generate.families.mosaic import MosaicGenerator
from analogon.generate.loading import load
from analogon.generate.takes import Run
from analogon.prompts import Prompt
from embed.errors import AnalogonError, FilterError, GeneratorError, UsageError
from embed.media import Media
from tests.command_line import exit_code

RATE = 44100
Corpus = Callable[..., analogon.Library]


def noise(seed: int, seconds: float, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def tone(frequency: float, seconds: float, level: float = 0.2) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.asarray(samples, np.float64) ** 2) + 1e-20))


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """Makes a collection of named sounds, each an array at 44,100 Hz or a pair of an array and its rate."""
    monkeypatch.setenv("ANALOGON_NAME_ENCODER", "toy")

    def made(sounds: dict[str, Any], encoder: str = "toy:16") -> analogon.Library:
        folder = tmp_path / "sounds"
        folder.mkdir(exist_ok=True)
        for name, sound in sounds.items():
            samples, rate = sound if isinstance(sound, tuple) else (sound, RATE)
            soundfile.write(folder / f"{name}.wav", samples, rate, subtype="FLOAT")
        library = analogon.open(tmp_path / "coll", create=True)
        library.index(folder, encoders=[{"family": "toy", "model": encoder.partition(":")[2], "window": 10.0}])
        return library

    return made


def take(generator: Any, text: str = "anything", **settings: Any) -> np.ndarray:
    media = generate(generator, text, Settings(**settings)).media
    assert media.rate == RATE and media.array is not None and media.array.dtype == np.float32
    return media.array


def guide(samples: np.ndarray, rate: int = RATE) -> Media:
    return Media("audio", array=samples.astype(np.float32), rate=rate)


def file_of(grain: Any) -> str:
    return Path(grain.path).stem


def test_what_a_take_is_made_of_is_what_it_holds(corpus: Corpus) -> None:
    sounds = {f"n{number}": noise(number, 3.0, 0.05 * (number + 1)) for number in range(4)}
    generator: Any = load("mosaic", library=corpus(sounds), overlap=0.2)
    samples = take(generator, seconds=4.0, seed=3)
    fade = round(0.2 * 0.3 * RATE)
    ends = [grain.at for grain in generator.grains[1:]] + [4.0]
    assert len(generator.grains) >= 10
    assert len({grain.path for grain in generator.grains}) >= 3
    compared = 0
    for grain, end in zip(generator.grains, ends, strict=True):
        at, until = round(grain.at * RATE), round(end * RATE) - fade
        at += 900 if at == 0 else 0  # the take's own beginning is faded
        start = round(grain.start * RATE) + at - round(grain.at * RATE)
        source = sounds[file_of(grain)][start : start + until - at]
        if grain.start < 0.01 or len(source) < until - at or grain.end > 2.99:
            continue
        assert np.abs(samples[at:until] - 10 ** (grain.gain_db / 20) * source).max() < 1e-4
        compared += 1
    assert compared >= 6


def test_it_lasts_as_long_as_it_shall_to_the_sample(corpus: Corpus) -> None:
    generator = load("mosaic", library=corpus({"a": noise(1, 1.0), "b": noise(2, 0.2)}))
    for seconds in (0.01, 0.3, 1.23456, 7.0):
        assert len(take(generator, seconds=seconds)) == round(seconds * RATE)
    assert len(take(generator)) == 5 * RATE
    assert len(take(generator, guide=guide(noise(3, 1.2345)))) == round(1.2345 * RATE)
    assert len(take(generator, guide=guide(noise(3, 1.0)), seconds=0.4)) == round(0.4 * RATE)
    made = generate(generator, "", Settings(guide=guide(noise(3, 1.0)), seconds=2.0))
    assert made.media.array is not None and len(made.media.array) == RATE
    assert made.remarks == ("the guide lasts 1.00 s, and so does the take, not 2 s",)


def test_a_seed_decides_the_take(corpus: Corpus) -> None:
    library = corpus({f"n{number}": noise(number, 2.0) for number in range(5)})
    one, again = load("mosaic", library=library), load("mosaic", library=library)
    takes = [take(one, seconds=2.0, seed=seed).tobytes() for seed in range(4)]
    assert [take(again, seconds=2.0, seed=seed).tobytes() for seed in (3, 2, 1, 0)] == takes[::-1]
    assert len(set(takes)) == 4
    followed = [take(one, guide=guide(noise(9, 1.0)), seed=seed).tobytes() for seed in (0, 0, 1)]
    assert followed[0] == followed[1] != followed[2]
    cold = load("mosaic", library=library, temperature=0)
    assert len({take(cold, seconds=2.0, seed=seed).tobytes() for seed in range(3)}) == 1


def test_a_guide_that_is_all_there_is_comes_out_as_it_went_in(corpus: Corpus) -> None:
    melody = np.concatenate([tone(frequency, 0.31) for frequency in (330, 440, 550, 660, 495, 370)])
    melody += noise(1, len(melody) / RATE, 0.01)
    library = corpus({"only": melody})
    made = take(load("mosaic", library=library, temperature=0), "", guide=guide(melody))
    assert np.corrcoef(made, melody)[0, 1] > 0.99
    path = library.collection.catalog.items([1])[1].media.path
    assert path is not None
    made = take(load("mosaic", library=library, temperature=0), "", guide=Media.from_path(path))
    assert np.corrcoef(made, melody)[0, 1] > 0.99


def test_a_guide_serves_only_where_there_is_nothing_else(corpus: Corpus, tmp_path: Path) -> None:
    library = corpus({"a": noise(1, 2.0), "b": noise(2, 2.0), "c": noise(3, 2.0)})
    generator: Any = load("mosaic", library=library)
    take(generator, "", guide=Media.from_path(tmp_path / "sounds" / "a.wav"))
    assert {file_of(grain) for grain in generator.grains} == {"b", "c"}
    take(generator, "anything", guide=Media.from_path(tmp_path / "sounds" / "a.wav"))
    assert {file_of(grain) for grain in generator.grains} == {"b", "c"}
    take(generator, f"{tmp_path}/sounds/b.wav")
    assert {file_of(grain) for grain in generator.grains} == {"a", "c"}


def test_a_guide_of_tones_and_noise_is_followed(corpus: Corpus) -> None:
    sounds = {f"tone{number}": tone(300.0 + 60 * number, 2.0) for number in range(5)}
    sounds |= {f"noise{number}": noise(number, 2.0) for number in range(5)}
    generator: Any = load("mosaic", library=corpus(sounds))
    pattern = [True, False, False, True, True, False, True, False]
    parts = [tone(430.0, 0.5) if one else noise(99, 0.5) for one in pattern]
    made = take(generator, "", guide=guide(np.concatenate(parts)), seed=1)
    right = [
        file_of(grain).startswith("tone") == pattern[min(int((grain.at + 0.05) / 0.5), 7)] for grain in generator.grains
    ]
    assert len(right) >= 35
    assert np.mean(right) >= 0.9
    # And in the samples: a tone has most of its energy in one bin, noise has not.
    for number, one in enumerate(pattern):
        middle = made[round((number * 0.5 + 0.15) * RATE) : round((number * 0.5 + 0.35) * RATE)]
        power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
        assert (np.sort(power)[-60:].sum() > 0.8 * power.sum()) == one


def test_the_loudness_of_a_guide_is_followed(corpus: Corpus) -> None:
    library = corpus({f"n{number}": noise(number, 2.0, 0.02 * (number + 1)) for number in range(6)})
    time = np.arange(4 * RATE) / RATE
    loud = 10 ** ((-20 + 15 * np.sin(2 * np.pi * 0.5 * time)) / 20)
    samples = noise(50, 4.0, 1.0) * loud.astype(np.float32) * 0.5

    def envelope(sound: np.ndarray) -> np.ndarray:
        return np.array([db(part) for part in np.array_split(sound, 40)])

    followed = take(load("mosaic", library=library), "", guide=guide(samples))
    assert np.corrcoef(envelope(followed), envelope(samples))[0, 1] > 0.98
    assert np.abs(envelope(followed) - envelope(samples)).mean() < 1.5
    left = take(load("mosaic", library=library, envelope=False), "", guide=guide(samples))
    assert envelope(left).std() < 3.0 < envelope(samples).std()


def test_a_guide_that_falls_silent_lets_the_take_fall_silent(corpus: Corpus) -> None:
    library = corpus({f"n{number}": noise(number, 2.0) for number in range(3)})
    samples = np.concatenate([noise(7, 1.0), np.zeros(2 * RATE, np.float32)])
    made = take(load("mosaic", library=library), "", guide=guide(samples))
    assert abs(db(made[: RATE - 5000]) - db(samples[:RATE])) < 1.0
    assert db(made[RATE + 5000 :]) < -80.0


def test_levels_are_matched_but_what_is_very_quiet_is_not_blown_up(corpus: Corpus) -> None:
    levels = {"a": -14.0, "b": -18.0, "c": -24.0, "d": -28.0, "faint": -58.0}
    sounds = {name: noise(number, 2.0, 10 ** (level / 20)) for number, (name, level) in enumerate(levels.items())}
    generator: Any = load("mosaic", library=corpus(sounds), temperature=5.0, variety=5.0)
    measured: dict[str, list[float]] = {}
    for seed in range(6):
        samples = take(generator, seconds=4.0, seed=seed)
        ends = [grain.at for grain in generator.grains[1:]] + [4.0]
        for grain, end in zip(generator.grains, ends, strict=True):
            at, until = round(grain.at * RATE) + 1500, round(end * RATE) - 4500
            if until - at > 3000:
                measured.setdefault(file_of(grain), []).append(db(samples[at:until]))
    assert set(measured) == set(levels)
    ordinary = [level for name, found in measured.items() if name != "faint" for level in found]
    assert max(ordinary) - min(ordinary) < 1.5
    # Brought to -20 dB, the gains of the five are -6, -2, 4, 8 and 38 dB: their median and 12 dB more is 16.
    assert np.median(measured["faint"]) == pytest.approx(np.median(ordinary) - 22.0, abs=0.5)


def test_joins_do_not_click(corpus: Corpus) -> None:
    sounds = {f"t{number}": tone(150.0 + 37 * number, 1.5) for number in range(6)}
    generator: Any = load("mosaic", library=corpus(sounds), temperature=2.0, variety=3.0, join=0.2)
    samples = take(generator, seconds=6.0, seed=2)
    assert len({grain.path for grain in generator.grains}) >= 4
    # A second difference shows a jump in the samples and one in their slope. Two waves that are faded into each other
    # by a cosine and a sine reach at most the square root of two times what each does.
    bends = np.abs(np.diff(samples, 2))
    joins = np.zeros(len(bends), np.bool_)
    fade = round(0.25 * 0.3 * RATE)
    for grain in generator.grains[1:]:
        joins[round(grain.at * RATE) - fade - 2 : round(grain.at * RATE) + 2] = True
    assert bends[joins].max() <= np.sqrt(2) * bends[~joins].max()
    assert abs(samples[0]) < 1e-3 and abs(samples[-1]) < 1e-3
    # The same grains put end to end do click, and this shows it.
    cut = [sounds[file_of(one)][round(one.start * RATE) : round(one.end * RATE)] for one in generator.grains]
    assert np.abs(np.diff(np.concatenate(cut), 2)).max() > 10 * bends.max()


@pytest.mark.parametrize(
    "sounds",
    [
        {"click": noise(1, 0.02)},
        {"eight": np.ones(8, np.float32)},
        {"stereo": np.stack([noise(1, 1.0), noise(2, 1.0)], axis=1)},
        {"slow": (noise(1, 1.0)[:8000], 8000)},
        {"silent": np.zeros(RATE, np.float32), "heard": noise(1, 0.5)},
        {"steady": np.full(RATE, 0.1, np.float32)},
        {f"click{number}": noise(number, 0.02) for number in range(5)},
    ],
    ids=["click", "eight samples", "stereo", "8 kHz", "silence beside", "no sound but a level", "clicks"],
)
def test_whatever_the_recordings_are(corpus: Corpus, sounds: dict[str, Any]) -> None:
    generator: Any = load("mosaic", library=corpus(sounds))
    asks: list[dict[str, Any]] = [{}, {"guide": guide(noise(5, 0.7))}, {"guide": guide(noise(5, 0.01))}]
    for asked in asks:
        samples = take(generator, **asked)
        assert np.isfinite(samples).all() and 0.0 < np.abs(samples).max() <= 1.0
        assert all(file_of(grain) != "silent" for grain in generator.grains)


def test_a_recording_that_is_gone_or_damaged_is_passed_over_and_said(corpus: Corpus, tmp_path: Path) -> None:
    library = corpus({name: noise(number, 1.0) for number, name in enumerate("abc")})
    (tmp_path / "sounds" / "a.wav").unlink()
    (tmp_path / "sounds" / "b.wav").write_bytes(b"RIFF of no use")
    generator: Any = load("mosaic", library=library)
    made = generate(generator, "anything", Settings(seconds=1.0))
    assert {file_of(grain) for grain in generator.grains} == {"c"}
    assert sum("was passed over" in line for line in made.remarks) == 2
    assert any("a.wav: no such file" in line for line in made.remarks)
    assert any("b.wav" in line for line in made.remarks)
    (tmp_path / "sounds" / "c.wav").unlink()
    with pytest.raises(GeneratorError, match=r"none of the 3 recordings of coll that are nearest sounds; .*no such"):
        generate(load("mosaic", library=library), "anything")


def test_of_a_recording_that_is_cut_short_what_is_there_is_used(corpus: Corpus, tmp_path: Path) -> None:
    library = corpus({"a": noise(1, 3.0)})
    path = tmp_path / "sounds" / "a.wav"
    path.write_bytes(path.read_bytes()[: 4 * RATE])
    generator: Any = load("mosaic", library=library)
    made = generate(generator, "anything", Settings(seconds=2.0))
    assert any("a.wav: cut short: 1.0 s" in line for line in made.remarks)
    assert all(grain.end <= 1.01 for grain in generator.grains)


def test_what_cannot_be_done_is_said_in_one_line(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name one with `collection`"):
        load("mosaic")
    empty = analogon.open(tmp_path / "empty", create=True)
    with pytest.raises(UsageError, match="empty is empty"):
        generate(load("mosaic", library=empty), "rain")
    (tmp_path / "words.txt").write_text("rain and wind")
    texts = analogon.open(tmp_path / "texts", create=True)
    texts.index(tmp_path / "words.txt", encoders=["toy"])
    with pytest.raises(UsageError, match="holds no audio"):
        generate(load("mosaic", library=texts), "rain")
    with pytest.raises(UsageError, match="holds no audio"):
        generate(load("mosaic", library=texts), "", Settings(guide=guide(noise(1, 0.5))))
    library = corpus({"a": noise(1, 1.0)})
    generator = load("mosaic", library=library)
    with pytest.raises(UsageError, match="a prompt or a guide"):
        generate(generator, " ")
    with pytest.raises(UsageError, match="is silent"):
        generate(generator, "", Settings(guide=guide(np.zeros(1000))))
    with pytest.raises(UsageError, match="not image"):
        generate(generator, "", Settings(guide=Media("image", array=np.zeros((2, 2, 3), np.uint8))))
    with pytest.raises(UsageError, match="no models"):
        load("mosaic:large", library=library)
    for setting in ({"grain": 0}, {"grain": "long"}, {"overlap": 2}, {"candidates": 1.5}, {"temperature": -1}):
        with pytest.raises(AnalogonError, match=f"mosaic: {next(iter(setting))} must be "):
            load("mosaic", library=library, **setting)
    with pytest.raises(FilterError):
        load("mosaic", library=library, where="nothing ==")
    with pytest.raises(UsageError, match="no recordings that its filter lets through"):
        generate(load("mosaic", library=library, where="duration > 100"), "rain")
    silent = corpus({"a": np.zeros(RATE, np.float32)})
    with pytest.raises(AnalogonError, match=r"silen|nearest sounds"):
        silent.remove(tmp_path / "sounds")
        silent.index(tmp_path / "sounds")
        generate(load("mosaic", library=silent), "rain")


def test_only_what_a_filter_lets_through_is_used(corpus: Corpus) -> None:
    library = corpus({"short": noise(1, 0.5), "long": noise(2, 2.0), "longer": noise(3, 3.0)})
    generator: Any = load("mosaic", library=library, where="duration > 1")
    asks: list[dict[str, Any]] = [{}, {"guide": guide(noise(4, 1.0))}]
    for asked in asks:
        take(generator, **asked)
        assert {file_of(grain) for grain in generator.grains} == {"long", "longer"}


def test_the_nearer_a_recording_is_the_more_of_it_is_used(corpus: Corpus) -> None:
    # What the toy encoder hears of a recording is where in it the loud parts lie.
    early = [noise(number, 2.0) * np.linspace(1, 0.2, 2 * RATE, dtype=np.float32) for number in range(5)]
    late = [noise(number, 2.0) * np.linspace(0.2, 1, 2 * RATE, dtype=np.float32) for number in range(5)]
    sounds = {f"early{n}": s for n, s in enumerate(early)} | {f"late{n}": s for n, s in enumerate(late)}
    library = corpus(sounds)
    generator: Any = load("mosaic", library=library)
    path = library.search("anything", to="audio", k=10, by="content")
    asked = next(hit.path for hit in path if "early0" in hit.path)
    shares = []
    for seed in range(4):
        take(generator, asked, seed=seed)
        shares.append(np.mean([file_of(grain).startswith("early") for grain in generator.grains]))
        scores = {file_of(grain): grain.score for grain in generator.grains}
        assert all(score is not None for score in scores.values())
    assert np.mean(shares) > 0.7
    cosines = {Path(hit.path).stem: hit.score for hit in library.search(asked, to="audio", k=10, by="content")}
    assert all(scores[name] == pytest.approx(cosines[name], abs=1e-6) for name in scores)


def test_its_identity_is_that_of_the_collection_and_its_settings(corpus: Corpus) -> None:
    library = corpus({"a": noise(1, 1.0)})
    generator = load("mosaic", library=library)
    first = json.dumps(dict(generator.identity))
    assert json.dumps(dict(load("mosaic", library=library).identity)) == first
    assert json.dumps(dict(load("mosaic", library=library, join=2.0).identity)) != first
    take(generator, seconds=0.5)
    corpus({"b": noise(2, 1.0)})
    assert json.dumps(dict(generator.identity)) != first
    assert isinstance(generator, MosaicGenerator)
    seen = set()
    for seed in range(8):
        take(generator, seed=seed, seconds=3.0)
        seen |= {file_of(grain) for grain in generator.grains}
    assert seen == {"a", "b"}


def test_the_sidecar_says_what_a_take_was_made_of(corpus: Corpus, tmp_path: Path) -> None:
    library = corpus({"a": noise(1, 1.0), "b": noise(2, 1.0)})
    generator: Any = load("mosaic", library=library)
    made = next(Run(generator, Prompt("rain"), tmp_path / "out", Settings(seconds=1.0)).takes())
    record = json.loads(made.path.with_suffix(".json").read_text("utf-8"))
    assert record["made_of"] == [grain.to_json() for grain in generator.grains]
    assert set(record["made_of"][0]) == {"path", "start", "end", "at", "gain_db", "score"}


def test_from_the_command_line(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus({"a": noise(1, 1.0), "b": noise(2, 1.0)})
    out = tmp_path / "out"
    line = ["generate", "rain", "--with", "mosaic", "-c", str(tmp_path / "coll"), "-n", "2", "-o", str(out)]
    assert exit_code(monkeypatch, *line, "--seconds", "0.5", "--set", "grain=0.1", "-f", "paths") == 0
    paths = capsys.readouterr().out.split()
    assert sorted(paths) == sorted(str(path) for path in out.glob("*.wav")) and len(paths) == 2


def test_of_several_spaces_the_first_that_takes_the_prompt_is_asked(corpus: Corpus, tmp_path: Path) -> None:
    library = corpus({f"n{number}": noise(number, 1.0) * np.linspace(0, 1 + number, RATE) for number in range(4)})
    library.index(tmp_path / "sounds", encoders=["toy:4"])
    asked = str(tmp_path / "sounds" / "n0.wav")
    generator: Any = load("mosaic", library=library)
    take(generator, asked)
    hits = library.search(asked, to="audio", by="content", spaces=[library.collection.spaces[0].encoder])
    cosines = {Path(hit.path).stem: hit.score for hit in hits}
    assert all(grain.score == pytest.approx(cosines[file_of(grain)], abs=1e-6) for grain in generator.grains)
    take(generator, asked, guide=guide(noise(9, 1.0)))
    assert all(grain.score == pytest.approx(cosines[file_of(grain)], abs=1e-6) for grain in generator.grains)


def test_a_take_has_an_end(corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = corpus({"a": noise(1, 3.0)})
    cut = generate(load("mosaic", library=library), "anything", Settings(seconds=1e9))
    assert cut.media.array is not None and len(cut.media.array) == corpora.LONGEST * RATE
    assert any("600 s at most" in line for line in cut.remarks)
    monkeypatch.setattr(corpora, "LONGEST", 1.0)
    soundfile.write(tmp_path / "long.wav", noise(2, 2.5), RATE)
    guided = generate(load("mosaic", library=library), "", Settings(guide=Media.from_path(tmp_path / "long.wav")))
    assert guided.media.array is not None and len(guided.media.array) == RATE
    assert "only the first 1 s of the guide are followed" in guided.remarks


def test_the_collection_is_none_of_its_settings() -> None:
    for setting in ("library", "grian"):
        with pytest.raises(GeneratorError, match=f"mosaic has no setting '{setting}'; it has: (?!.*library).*grain"):
            load({"family": "mosaic", setting: 1})
