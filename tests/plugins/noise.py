"""A family for tests: noise of a seed, whose loudness a setting says; it notes what it made, and stops where told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analogon.engines.generator import Generator
from embed.media import Media

RATE = 16000


class Noise(Generator):
    modality = "audio"
    abilities = frozenset({"seconds", "guide"})
    longest = 2.0

    def __init__(self, model, level, fault, log, same):
        self.name = f"noise:{model}"
        self.level, self.fault, self.log, self.same = level, fault, log, same

    @property
    def identity(self):
        return {"family": "noise", "level": self.level}

    def remarks(self, prompt, settings):
        return ("noise says nothing",) if "say" in prompt.text else ()

    def made_of(self):
        return ({"path": "nothing.wav", "start": 0.0},)

    def make(self, prompt, settings):
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{settings.seed}\n")
            if Path(self.log).read_text().split()[-1] == str(self.fault):
                raise KeyboardInterrupt
        random = np.random.default_rng(0 if self.same else settings.seed)
        samples = (self.level * random.standard_normal(round((settings.seconds or 1.0) * RATE))).astype(np.float32)
        match self.fault:
            case "nan":
                samples[3] = np.nan
            case "empty":
                samples = samples[:0]
            case "double":
                samples = samples.astype(np.float64)
        return Media("audio", array=samples, rate=RATE)


def load(model="white", *, level=0.1, fault=None, log=None, same=False):
    return Noise(model, level, fault, log, same)
