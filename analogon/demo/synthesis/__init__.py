"""Sounds made on the spot, each kind by the method that fits it: what the demo indexes, with nothing to download.

Every kind is a recipe with chance in it: pitch, pace, size, room. A seed decides them, and gives the same samples
wherever it is used.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analogon.demo.synthesis import music, nature, things
from analogon.demo.synthesis.signals import RATE, Signal, aired
from embed.errors import UsageError

__all__ = ["KINDS", "Sound", "synthesise"]

_RECIPES: Final[dict[str, tuple[Callable[[np.random.Generator], Signal], tuple[str, ...]]]] = {
    "rain": (nature.rain, ("rain falling on leaves", "heavy rain on a roof", "a steady downpour")),
    "wind": (nature.wind, ("wind howling around a house", "gusts of wind", "a storm wind")),
    "sea": (nature.sea, ("ocean waves on a beach", "waves breaking on the shore", "surf")),
    "thunder": (nature.thunder, ("thunder rolling", "a clap of thunder", "a thunderstorm far away")),
    "fire": (nature.fire, ("a campfire crackling", "fire in a fireplace", "burning wood")),
    "stream": (nature.stream, ("a stream of water", "a brook over stones", "running water")),
    "drip": (nature.drip, ("water dripping in a cave", "a dripping tap", "drops of water")),
    "splash": (nature.splash, ("a splash of water", "something falls into water", "splashing in a pool")),
    "cricket": (nature.cricket, ("crickets at night", "a cricket chirping", "insects on a summer night")),
    "bird": (nature.birds, ("a bird singing", "birds chirping in the morning", "bird song")),
    "dog": (nature.dog, ("a dog barking", "a barking dog behind a door", "a small dog barks")),
    "cat": (nature.cat, ("a cat meowing", "a hungry cat", "a meowing kitten")),
    "cow": (nature.cow, ("a cow mooing", "cattle in a field", "a cow")),
    "sheep": (nature.sheep, ("a sheep bleating", "a goat bleats", "sheep on a hill")),
    "owl": (nature.owl, ("an owl hooting", "an owl at night", "an owl in the woods")),
    "frog": (nature.frog, ("a frog croaking", "frogs in a pond", "a frog")),
    "bee": (nature.bees, ("a bee buzzing", "an insect buzzes by", "bees")),
    "clock": (things.clock, ("a clock ticking", "the tick-tock of an old clock", "a ticking watch")),
    "alarm": (things.alarm, ("an alarm clock beeping", "beeps of an alarm", "a digital alarm")),
    "telephone": (things.telephone, ("an old telephone ringing", "a telephone bell", "the phone rings")),
    "dial tone": (things.dial_tone, ("a dial tone", "the tone of a telephone line", "a telephone's dial tone")),
    "busy signal": (things.busy, ("a busy signal", "a line that is engaged", "a busy telephone line")),
    "dialing": (things.dialing, ("dialing a telephone number", "telephone keys", "touch tones")),
    "siren": (things.siren, ("a siren wailing", "a police car with its siren", "an ambulance siren")),
    "engine": (things.engine, ("an engine idling", "a car's motor running", "a truck idling")),
    "car horn": (things.horn, ("a car horn honking", "a car honks", "horns in traffic")),
    "helicopter": (things.helicopter, ("a helicopter flying", "a helicopter overhead", "rotor blades")),
    "train": (things.train, ("a train on the rails", "a train passing", "a railway carriage rolling")),
    "steam whistle": (things.steam_whistle, ("a steam train's whistle", "a locomotive whistles", "a train whistle")),
    "vacuum cleaner": (things.vacuum, ("a vacuum cleaner", "somebody vacuums the carpet", "a vacuum cleaner running")),
    "fan": (things.fan, ("a fan", "an electric fan", "a ventilator turning")),
    "drill": (things.drill, ("an electric drill", "drilling into a wall", "a power drill")),
    "jackhammer": (things.jackhammer, ("a jackhammer", "road works with a jackhammer", "breaking up a street")),
    "footsteps": (things.footsteps, ("footsteps on a floor", "somebody walking", "steps in a corridor")),
    "knock": (things.knock, ("a knock on the door", "somebody knocks", "knocking on wood")),
    "clapping": (things.clapping, ("somebody claps", "hands clapping", "clapping a rhythm")),
    "applause": (things.applause, ("applause in a hall", "an audience clapping", "applause")),
    "crowd": (things.babble, ("a crowd talking", "people chatting in a restaurant", "the babble of many voices")),
    "heartbeat": (things.heartbeat, ("a heartbeat", "a beating heart", "a heart beats calmly")),
    "typewriter": (things.typewriter, ("a typewriter", "typing on an old typewriter", "a typewriter at work")),
    "keyboard": (things.keyboard, ("typing on a computer keyboard", "a computer keyboard", "somebody types")),
    "explosion": (things.explosion, ("an explosion", "a bomb explodes", "a loud blast")),
    "gunshot": (things.gunshot, ("gunshots", "a gun is fired", "shots from a rifle")),
    "machine gun": (things.machine_gun, ("a machine gun", "bursts of a machine gun", "automatic gunfire")),
    "fireworks": (things.fireworks, ("fireworks", "rockets and bangs at new year", "fireworks in the distance")),
    "glass": (things.glass_clink, ("glasses clinking", "a toast with glasses", "a clink of glass")),
    "broken glass": (things.glass_break, ("glass breaking", "a window is smashed", "shattering glass")),
    "steam": (things.steam, ("steam hissing", "a hissing valve", "a hiss of steam")),
    "sonar": (things.sonar, ("sonar pings", "a submarine's sonar", "sonar")),
    "laser": (things.zap, ("a laser gun", "a science fiction zap", "ray guns")),
    "sine": (things.sine, ("a sine tone", "a test tone", "a pure tone")),
    "white noise": (things.white_noise, ("white noise", "a hiss of noise", "noise")),
    "static": (things.static, ("radio static", "a radio between stations", "static on the radio")),
    "slam": (things.door_slam, ("a door slams", "a door falls shut", "slamming a door")),
    "buzzer": (things.buzzer, ("a buzzer", "a door buzzer", "an electric buzzer")),
    "whoosh": (things.whoosh, ("a whoosh", "something swishes past", "a swish through the air")),
    "whistle": (things.whistle, ("a referee's whistle", "a whistle is blown", "a sports whistle")),
    "saw": (things.sawing, ("sawing wood", "a hand saw", "a carpenter sawing")),
    "hammer": (things.hammer, ("hammering a nail", "a hammer", "hammering")),
    "baby": (things.baby, ("a baby crying", "a crying infant", "an unhappy baby")),
    "snoring": (things.snoring, ("snoring", "somebody snores", "a sleeper snoring")),
    "laughter": (things.laughter, ("laughter", "somebody laughs", "a person laughing")),
    "guitar": (music.guitar, ("an acoustic guitar", "strumming a guitar", "a plucked guitar")),
    "electric guitar": (music.electric_guitar, ("a distorted electric guitar", "heavy metal riffs", "power chords")),
    "bass": (music.bass, ("a bass guitar", "a bass line", "low bass notes")),
    "harp": (music.harp, ("a harp", "a harp glissando", "harp strings")),
    "banjo": (music.banjo, ("a banjo", "bluegrass banjo", "banjo picking")),
    "piano": (music.piano, ("a piano", "a slow piano tune", "somebody plays the piano")),
    "organ": (music.organ, ("a church organ", "organ pipes", "organ music")),
    "flute": (music.flute, ("a flute", "a flute melody", "somebody plays the flute")),
    "trumpet": (music.trumpet, ("a trumpet", "a brass fanfare", "a trumpet tune")),
    "violin": (music.violin, ("a violin", "a fiddle tune", "a bowed string")),
    "accordion": (music.accordion, ("an accordion", "a tune on the accordion", "an accordion waltz")),
    "choir": (music.choir, ("a choir", "voices singing together", "a choir holds a chord")),
    "synthesizer": (music.synthesizer, ("a synthesizer arpeggio", "electronic music", "a techno pattern")),
    "bell": (music.bell, ("a hand bell", "a bell ringing", "a small bell")),
    "church bell": (music.church_bell, ("church bells", "a church bell tolling", "a large bell")),
    "gong": (music.gong, ("a gong", "a large gong struck once", "a temple gong")),
    "music box": (music.music_box, ("a music box", "a music box lullaby", "a child's music box")),
    "marimba": (music.marimba, ("a marimba", "a xylophone", "wooden bars played with mallets")),
    "wind chime": (music.wind_chime, ("wind chimes", "chimes in a breeze", "a wind chime in the garden")),
    "bicycle bell": (music.bicycle_bell, ("a bicycle bell", "a cyclist rings", "the bell of a bike")),
    "doorbell": (music.doorbell, ("a doorbell", "ding dong", "somebody rings at the door")),
    "kick": (music.kick, ("a kick drum", "a bass drum", "a deep kick")),
    "snare": (music.snare, ("a snare drum", "snare hits", "a snare")),
    "hi-hat": (music.hi_hat, ("a hi-hat", "closed hi-hats", "hi-hat pattern")),
    "drum loop": (music.drum_loop, ("a drum loop", "a beat on a drum kit", "a drum machine")),
    "timpani": (music.timpani, ("timpani", "a roll on kettle drums", "kettle drums")),
    "tambourine": (music.tambourine, ("a tambourine", "shaking a tambourine", "tambourine jingles")),
    "maraca": (music.maraca, ("maracas", "a shaker", "a rattling gourd")),
    "theremin": (music.theremin, ("a theremin", "an eerie gliding tone", "a theremin melody")),
}
_BARE: Final = frozenset(
    {
        "dial tone",
        "busy signal",
        "dialing",
        "heartbeat",
        "sine",
        "white noise",
        "steam",
        "glass",
        "tambourine",
        "music box",
        "sonar",
    }
)
KINDS: Final[tuple[str, ...]] = tuple(_RECIPES)
"""What can be synthesised."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A synthesised sound: ``samples`` are mono float32 ``(n,)``, at most 0.9 in magnitude, at ``rate`` Hz."""

    kind: str
    caption: str
    samples: npt.NDArray[np.float32]
    rate: int = RATE


def synthesise(kind: str, seed: int) -> Sound:
    """One take of a kind; another seed gives another take. Raises ``UsageError`` for a kind that is not known.

    >>> synthesise("gong", 1).samples.shape
    (80000,)
    """
    if kind not in _RECIPES:
        raise UsageError(f"there is no kind of sound {kind!r}; there are: {', '.join(KINDS)}")
    recipe, captions = _RECIPES[kind]
    rng = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    raw = recipe(rng)
    raw = raw - raw.mean()
    if kind not in _BARE:
        # No recording is without its room: what hears it well expects that.
        raw = aired(rng, raw, float(rng.uniform(0.0005, 0.006)))
    samples = (0.9 * raw / np.abs(raw).max()).astype(np.float32)
    return Sound(kind, captions[seed % len(captions)], samples)
