"""What is asked of speech and what comes out: breaks, rates, pitches and levels, measured in the samples.

    python benchmarks/speech.py [--sentences 10]

Four ways: ``raw``, the document straight to ``espeak-ng -m``, the baseline; ``espeak``, its SSML written anew;
``espeak compiled`` and ``vits compiled``, segment by segment, the latter a VITS of some thousand random weights, which
makes noise and so has no pitch. Sentences are the first of the Harvard lists (IEEE 1969). A silence is the longest run
50 dB below the peak, which the stops inside of words can outlast; durations are without the silence at both ends; the
fundamental is the median of autocorrelations from 50 Hz up. Each figure is the mean over the sentences and, after the
stroke, the one that is furthest from what was asked. Nothing is drawn by lot but VITS's noise, seed 0. Needs espeak-ng.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analogon.engines.generator import Settings
from analogon.generate.loading import load
from analogon.speech import fundamental_frequency, parse, speak
from tests.analogon.generate.families import tiny_vits

EXAMPLE = (
    '<speak>Hello! <prosody rate="fast">I hope you have a good day.</prosody> <break time="500ms"/> <p><s>First, we '
    '<emphasis level="moderate">stress</emphasis> this word.</s></p> <break time="1s"/> <s>Now <prosody rate="slow">'
    "slower</prosody>.</s></speak>"
)
SENTENCES = (
    "The birch canoe slid on the smooth planks",
    "Glue the sheet to the dark blue background",
    "It is easy to tell the depth of a well",
    "These days a chicken leg is a rare dish",
    "Rice is often served in round bowls",
    "The juice of lemons makes fine punch",
    "The box was thrown beside the parked truck",
    "The hogs were fed chopped corn and garbage",
    "Four hours of steady work faced us",
    "A large size in stockings is hard to sell",
)


@dataclass(frozen=True)
class Sound:
    samples: npt.NDArray[np.float32]
    rate: int

    @property
    def loud(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(np.abs(self.samples) > np.abs(self.samples).max() * 10 ** (-50 / 20))

    @property
    def seconds(self) -> float:
        return float(self.loud[-1] + 1 - self.loud[0]) / self.rate

    @property
    def silences(self) -> list[float]:
        """Those inside, longest first, in seconds."""
        return sorted((np.diff(self.loud) - 1) / self.rate, reverse=True)

    @property
    def level(self) -> float:
        """The energy of all of it, in dB."""
        return float(10 * np.log10((self.samples.astype(np.float64) ** 2).sum()))

    @property
    def hertz(self) -> float:
        return fundamental_frequency(self.samples, self.rate) or float("nan")


Way = Callable[[str], Sound]


def raw(document: str) -> Sound:
    done = subprocess.run(
        ["espeak-ng", "-v", "en-us", "-m", "--stdin", "--stdout"],
        input=document.encode(),
        capture_output=True,
        check=True,
    )
    return Sound(np.frombuffer(done.stdout[44:], "<i2").astype(np.float32) / 32768, 22050)


def way(name: str, native: bool) -> Way:
    engine = load(name)

    def spoken(document: str) -> Sound:
        one = speak(parse(document), engine, Settings(), native=native)
        assert one.media.array is not None
        return Sound(one.media.array, one.rate)

    return spoken


def cell(values: list[float], asked: float, form: str) -> str:
    worst = max(values, key=lambda value: abs(value - asked))
    return f"{np.mean(values):{form}} / {worst:{form}}"


def row(name: str, asked: str, cells: list[str]) -> None:
    print(f"{name:<10}{asked:>9}" + "".join(f"{one:>20}" for one in cells))


def main() -> None:
    from transformers.utils.logging import disable_progress_bar

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=10)
    sentences = SENTENCES[: parser.parse_args().sentences]
    with tempfile.TemporaryDirectory() as folder:
        disable_progress_bar()
        ways: dict[str, Way] = {
            "raw": raw,
            "espeak": way("espeak:en-us", True),
            "espeak compiled": way("espeak:en-us", False),
            "vits compiled": way(tiny_vits.save(Path(folder) / "vits"), False),
        }
        print(f"{len(sentences)} sentences; mean / furthest from what was asked\n")
        row("", "asked", list(ways))
        for at, asked in enumerate((1.0, 0.5)):
            found = [spoken(EXAMPLE).silences[at] for spoken in ways.values()]
            row("example s", f"{asked:g}", [f"{one:.4f}" for one in found])
        plain = {name: [spoken(f"<speak>{one}</speak>") for one in sentences] for name, spoken in ways.items()}

        def compare(name: str, asked: str, value: float, inner: str, ratio: Callable[[Sound, Sound], float]) -> None:
            cells = []
            for label, spoken in ways.items():
                if name == "pitch" and label == "vits compiled":
                    cells.append("-")
                    continue
                changed = [spoken(f"<speak>{inner.format(one)}</speak>") for one in sentences]
                values = [ratio(new, old) for new, old in zip(changed, plain[label], strict=True)]
                form = "+.2f" if name == "level dB" else ".3f"
                cells.append(cell(values, value, form))
            row(name, asked, cells)

        for value in (0.05, 0.5, 2.0, 5.0):
            inner = f'{{0}}<break time="{value * 1000:g}ms"/>{{0}}'
            compare("break s", f"{value:g}", value, inner, lambda new, _: new.silences[0])
        inner = '<prosody rate="160%">{0}<break time="1s"/>{0}</prosody>'
        compare("in a rate", "1", 1.0, inner, lambda new, _: new.silences[0])
        for label, value in (("50%", 2.0), ("slow", 1.25), ("fast", 0.8), ("200%", 0.5), ("300%", 1 / 3)):
            inner = f'<prosody rate="{label}">{{0}}</prosody>'
            compare("duration", f"x{value:.3f}", value, inner, lambda new, old: new.seconds / old.seconds)
        for value in (6.0, 3.0, -6.0, -12.0):
            # beside the same words unchanged, so that a gain over the whole falls out
            inner = f'{{0}}<break time="5s"/><prosody volume="{value:+g}dB">{{0}}</prosody>'
            compare("level dB", f"{value:+g}", value, inner, lambda new, _: halves(new))
        for value in (12.0, 4.0, -4.0, -8.0):
            inner = f'<prosody pitch="{value:+g}st">{{0}}</prosody>'
            factor = 2 ** (value / 12)
            compare("pitch", f"x{factor:.3f}", factor, inner, lambda new, old: new.hertz / old.hertz)


def halves(sound: Sound) -> float:
    """The level after the longest silence less the level before, in dB."""
    at = int(np.argmax(np.diff(sound.loud)))
    cut = (sound.loud[at] + sound.loud[at + 1]) // 2
    return Sound(sound.samples[cut:], sound.rate).level - Sound(sound.samples[:cut], sound.rate).level


if __name__ == "__main__":
    main()
