"""Does what files are called help to find them, and what does it cost where the names mislead?

    python benchmarks/names.py --data ../shared/data --encoder conse.toml \\
        --names static:../shared/models/potion-base-4m-int8
    python benchmarks/names.py --speed 40000 --names static:../shared/models/potion-base-4m-int8

The files are asked for by content, by name, and by both, under three kinds of names: hidden (numbers), right
(their own), misleading (their own, dealt out anew). Of a question with several right answers any counts: recall@k is
the share of questions with a right file among the first k, beside what a random order gives.

Sonic Pi's samples: one question for each of the things that the samples are, written from their names and Sonic Pi's
documentation, in the words that a person might type, before any of them was tried. Tux Paint's stamps: their one-line
descriptions are the questions, the file names (which the descriptions' author did not write) are the names; pictures
and sounds apart. ``--speed`` fills a catalog with that many made-up names and times questions to it.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Final

import numpy as np

import analogon
from embed import load
from embed.encoder import resolve
from indexes.collection import Collection
from indexes.writer import writing

DEPTHS: Final = (1, 5, 10)
WAYS: Final = ("content", "name", "both")
SEED: Final = 3
THINGS: Final = "kick snare hat crow door rain wind bell glass piano guitar choir engine bird clock wave dog train"
MANNERS: Final = "dark soft hard bright old distant wet dry loud short long heavy thin warm cold big small"

# A question, and how the names of the samples begin that answer it.
SONIC_PI: Final = {
    "a choir singing softly": "ambi_choir",
    "a dark gust rushing by": "ambi_dark_woosh",
    "a glass humming": "ambi_glass_hum",
    "rubbing the rim of a wine glass": "ambi_glass_rub",
    "a spooky ghostly hum": "ambi_haunted_hum",
    "landing on the moon": "ambi_lunar_land",
    "a soft piano chord": "ambi_piano",
    "steam in a sauna": "ambi_sauna",
    "quiet buzzing": "ambi_soft_buzz",
    "something swishes past": "ambi_swoosh perc_swoosh perc_swash",
    "a long sustained drone": "ambi_drone loop_drone",
    "bassline for drum and bass": "bass_dnb",
    "the bass drops": "bass_drop",
    "a bass note for trance music": "bass_trance",
    "a bass like a human voice": "bass_voxy",
    "a warm woody bass": "bass_woodsy",
    "kick drum of an 808 drum machine": "bd_808",
    "a fat bass drum": "bd_fat",
    "kick for a jazz band": "bd_jazz",
    "chiptune bass drum": "bd_chip",
    "a booming bass drum": "bd_boom",
    "a kick drum": "bd_ drum_heavy_kick drum_bass elec_hollow_kick elec_soft_kick",
    "hitting a cowbell": "drum_cowbell",
    "closed hi-hat": "drum_cymbal_closed hat_",
    "open cymbal ringing": "drum_cymbal_open",
    "a loud cymbal crash": "drum_cymbal_hard drum_splash_hard",
    "cymbals played gently": "drum_cymbal_soft drum_splash_soft",
    "hi-hat worked with the foot": "drum_cymbal_pedal",
    "a roll on the drums": "drum_roll",
    "hitting the snare drum with force": "drum_snare_hard",
    "a quiet snare drum": "drum_snare_soft",
    "a high tom-tom": "drum_tom_hi",
    "a deep tom-tom": "drum_tom_lo",
    "an electronic beep": "elec_beep elec_blip",
    "chimes": "elec_chime elec_bell",
    "triangle percussion": "elec_triangle",
    "a fuzzy distorted tom": "elec_fuzz_tom",
    "sonar pinging": "elec_ping",
    "the tick of a clock": "elec_tick",
    "knocking on wood": "elec_wood",
    "an electronic snare": "elec_snare elec_hi_snare elec_lo_snare elec_mid_snare elec_filt_snare",
    "a bubble popping": "elec_pop elec_plip elec_blup",
    "a talking robot": "glitch_robot mehackit_robot",
    "digital glitches": "glitch_perc glitch_bass glitch_robot",
    "telephone": "mehackit_phone",
    "sliding along a guitar string": "guit_e_slide",
    "strumming a guitar": "guit_em9 guit_e_fifths",
    "flageolet tones of a guitar": "guit_harmonics",
    "metallic hi-hat": "hat_metal hat_zild",
    "a noisy hi-hat": "hat_noiz",
    "a 3D printer at work": "loop_3d_printer",
    "the famous amen break": "loop_amen",
    "breakbeat drums": "loop_breakbeat loop_amen",
    "industrial machine rhythm": "loop_industrial",
    "rhythm for an African safari": "loop_safari",
    "groove played on tablas": "loop_tabla",
    "a stroke on an Indian hand drum": "tabla_",
    "a strange, weird beat": "loop_weirdo",
    "electric dance beat": "loop_electric loop_mehackit",
    "somebody burps": "misc_burp",
    "a crow cawing": "misc_crow",
    "cinematic explosion": "misc_cineboom",
    "a ringing bell": "perc_bell elec_bell",
    "slamming a door": "perc_door",
    "a heavy impact": "perc_impact",
    "snapping one's fingers": "perc_snap hat_snap",
    "an old cash register": "perc_till",
    "snare for dub reggae": "sn_dub",
    "ride cymbal": "ride_",
    "a DJ scratching records": "vinyl_scratch",
    "rewinding a record": "vinyl_rewind vinyl_backspin",
    "hiss of an old record": "vinyl_hiss",
}


@dataclass(frozen=True)
class Case:
    """Files by the name that is theirs, and questions, each with the names of the files that answer it."""

    title: str
    modality: str
    files: dict[str, Path]
    questions: dict[str, frozenset[str]]

    def chance(self, depth: int) -> float:
        """Recall of a random order."""
        n = len(self.files)
        misses = [comb(n - len(right), depth) / comb(n, depth) for right in self.questions.values()]
        return 1.0 - float(np.mean(misses))


def sonic_pi(folder: Path) -> Case:
    """Sonic Pi's samples and the questions above."""
    files = {path.name: path for path in sorted(folder.glob("*.flac"))}
    questions = {
        question: frozenset(name for name in files if name.startswith(tuple(starts.split())))
        for question, starts in SONIC_PI.items()
    }
    return Case("Sonic Pi", "audio", files, questions)


def stamps(folder: Path, column: str, modality: str) -> Case:
    """Tux Paint's stamps: the files of one column, their descriptions as questions."""
    with (folder / "stamps.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[column]]
    files = {row[column]: folder / row[column] for row in rows}
    texts = dict.fromkeys(row["text"] for row in rows)
    questions = {text: frozenset(row[column] for row in rows if row["text"] == text) for text in texts}
    return Case(f"stamps, {modality}", modality, files, questions)


def renamed(case: Case, kind: str) -> dict[str, str]:
    """What each file is called: its own name -> the name that it is given."""
    names = sorted(case.files)
    order = np.random.default_rng(SEED).permutation(len(names))
    if kind == "right":
        return dict(zip(names, names, strict=True))
    if kind == "misleading":
        return {name: names[i] for name, i in zip(names, order, strict=True)}
    return {name: f"{i:05}{Path(name).suffix}" for name, i in zip(names, order, strict=True)}


def measure(case: Case, encoder: str, names: str, folder: Path) -> None:
    """Index the files once, and ask under each kind of names: a renamed file is not encoded again."""
    place = folder / "files"
    place.mkdir()
    called = {name: f"0{number:05}{Path(name).suffix}" for number, name in enumerate(case.files)}
    for name, path in case.files.items():
        shutil.copy(path, place / called[name])
    chances = " ".join(f"{case.chance(depth):5.3f}" for depth in DEPTHS)
    title = f"{case.title}: {len(case.questions)} questions, {len(case.files)} files, seed {SEED}"
    print(f"{title}\n  {'names':11} {'by':6} recall@{', @'.join(map(str, DEPTHS))} (chance {chances})")
    with analogon.open(folder / "collection", create=True) as library:
        for kind in ("hidden", "right", "misleading"):
            now = renamed(case, kind)
            for name in called:
                (place / called[name]).rename(place / f"moving {now[name]}")
            for name in called:
                (place / f"moving {now[name]}").rename(place / now[name])
            called = now
            report = library.index(place, encoders=[encoder], name_encoder=names, prune=True)
            assert kind == "hidden" or not report.vectors, "a renamed file was encoded again"
            true = {str(place / new): name for name, new in called.items()}
            for by in WAYS:
                ranks = [
                    next((hit.rank for hit in hits if any(true[path] in right for path in hit.paths)), None)
                    for question, right in case.questions.items()
                    for hits in [library.search(question, to=case.modality, k=max(DEPTHS), by=by)]
                ]
                recalls = [np.mean([rank is not None and rank <= depth for rank in ranks]) for depth in DEPTHS]
                print(f"  {kind:11} {by:6} {' '.join(f'{recall:5.3f}' for recall in recalls)}", flush=True)


def speed(count: int, names: str, folder: Path) -> None:
    """Fill a catalog with made-up names and time questions."""
    random = np.random.default_rng(SEED)
    things, manners = THINGS.split(), MANNERS.split()
    table = resolve(names)
    encoder = load(table)
    with Collection.create(folder / "collection") as collection, writing(collection) as writer:
        began = time.perf_counter()
        with collection.catalog.transaction():
            for number in range(count):
                thing, first, second = random.choice(things), *random.choice(manners, 2)
                path = (
                    f"/sounds/{random.choice(manners)} {random.choice(things)}s/{thing}_{first}_{second}_{number}.wav"
                )
                content = collection.catalog.put_content(f"{number:032x}", {"duration": 1.0}, None)
                text = {"caption": f"a {first} {second} {thing} number {number} by a {random.choice(things)}"}
                collection.catalog.put_source(path, None, content, ("audio",), 1, 1, text)
                media = analogon.Media("audio", path=path)
                collection.catalog.put_item(content, media, None)
        filled = time.perf_counter()
        writer.build_names(encoder, table)
        built = time.perf_counter()
    print(f"{count} files: catalog filled in {filled - began:.1f} s, name vectors built in {built - filled:.1f} s")
    size = sum(path.stat().st_size for path in (folder / "collection").rglob("*") if path.is_file())
    print(f"  on disk {size / 1e6:.1f} MB")
    questions = (
        "a crow",
        "a heavy old door in the rain",
        "something warm and distant",
        "train engine bell",
        "kick 808",
    )
    opened = time.perf_counter()
    with analogon.open(folder / "collection") as library:
        for turn in ("first", "warm"):
            times = []
            for question in questions:
                began = opened if turn == "first" and not times else time.perf_counter()
                hits = library.search(question, by="name")
                times.append(time.perf_counter() - began)
                assert len(hits) == 10
            shown = ", ".join(f"{one * 1000:.0f}" for one in times)
            print(f"  {turn} time: {shown} ms a question, opening included in the first")
        began = time.perf_counter()
        library.search("a heavy old door in the rain", by="name", where="caption contains 'rain'")
        print(f"  with a filter: {(time.perf_counter() - began) * 1000:.0f} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with sonic-pi/ and stamps/")
    parser.add_argument("--encoder", help="an encoder of texts and audio (and images): a TOML file or family:model")
    parser.add_argument("--names", default="starter", help="the text encoder that names are compared with")
    parser.add_argument("--only", choices=("sonic-pi", "pictures", "sounds"), help="one of the sets alone")
    parser.add_argument("--speed", type=int, metavar="N", help="time questions to a catalog of N made-up files")
    chosen = parser.parse_args(arguments)
    if chosen.speed:
        with tempfile.TemporaryDirectory() as name:
            speed(chosen.speed, chosen.names, Path(name))
        return
    if chosen.data is None or chosen.encoder is None:
        parser.error("--data and --encoder, or --speed")
    sides = load(chosen.encoder).modalities
    cases = {
        "sonic-pi": sonic_pi(chosen.data / "sonic-pi"),
        "sounds": stamps(chosen.data / "stamps", "sound", "audio"),
        "pictures": stamps(chosen.data / "stamps", "image", "image"),
    }
    for key, case in cases.items():
        if chosen.only in (None, key) and case.modality in sides:
            with tempfile.TemporaryDirectory() as name:
                measure(case, os.fspath(chosen.encoder), chosen.names, Path(name))


if __name__ == "__main__":
    main()
