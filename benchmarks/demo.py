"""The main job on files that are at hand: index, then ask. Run by ``make demo``; prints each command that it runs.

Texts are searched with the MiniLM that a package carries, so this runs on any machine. Sounds and pictures are
searched too where ``--models`` and ``--data`` hold real weights and files (default: the folder ``../shared``).
"""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

PROMPTS = [
    ("a slow piano ballad with soft strings and a tired voice", "music"),
    ("fast drum and bass with a growling synthesiser", "music"),
    ("an accordion and a fiddle play a dance in a village square", "music"),
    ("heavy rain falls on a tin roof while thunder rolls far away", "sound"),
    ("a small dog barks behind a wooden door", "sound"),
    ("waves break on a pebble beach", "sound"),
    ("a steam train leaves the station", "sound"),
    ("footsteps in fresh snow", "sound"),
    ("a market hall full of people talking", "sound"),
    ("a lighthouse at dusk, oil on canvas", "picture"),
    ("macro photograph of a bee on lavender", "picture"),
    ("a city of glass towers under two moons", "picture"),
    ("a red bicycle leaning against a white wall", "picture"),
    ("an old sailor mends a net by lamplight", "picture"),
]
TEXT_QUERIES = ["bad weather outside", "an animal makes noise", "something to dance to", "science fiction"]
CONSE = (
    'family = "conse"\ntext = "static:{models}/potion-base-4m-int8"\naudio = "tflite:{models}/yamnet/yamnet.tflite"\n\
image = "tflite:{models}/mobilenet-v2/mobilenet_v2_1.0_224_quant.tflite"\ntop = 10\n'
)
SHARED = Path(__file__).resolve().parents[2] / "shared"


def analogon(*arguments: str) -> str:
    """Run the command line as a person would, show it, and give what it printed."""
    print(f"\n$ analogon {shlex.join(arguments)}", flush=True)
    ran = subprocess.run([sys.executable, "-m", "analogon", *arguments], stdout=subprocess.PIPE, text=True)
    print(ran.stdout, end="", flush=True)
    if ran.returncode:
        sys.exit(f"analogon ended with {ran.returncode}")
    return ran.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=SHARED / "models")
    parser.add_argument("--data", type=Path, default=SHARED / "data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ANALOGON_HOME"] = str(folder / "home")
        prompts = folder / "prompts.csv"
        with prompts.open("w", newline="") as file:
            csv.writer(file).writerows([("prompt", "kind"), *PROMPTS])
        analogon("index", str(prompts), "--text-column", "prompt", "-c", "prompts", "--encoder", "sentence")
        for query in TEXT_QUERIES:
            analogon("search", query, "-c", "prompts", "-k", "2")
        analogon("search", "water", "-c", "prompts", "-k", "2", "--where", "kind = 'picture'")
        if not (options.models.is_dir() and options.data.is_dir()):
            print("\nFor sounds and pictures name a model that hears or sees:")
            print("  analogon index ~/samples -c samples --encoder clap && analogon search rain -c samples")
            return
        conse = folder / "conse.toml"
        conse.write_text(CONSE.format(models=options.models))
        analogon("index", str(options.data / "esc10"), "-c", "sounds", "--encoder", str(conse))
        analogon("search", "ocean waves on the beach", "-c", "sounds", "-k", "3")
        found = analogon("search", "a crying infant", "-c", "sounds", "-k", "1", "-f", "paths").strip()
        analogon("search", found, "--to", "audio", "-c", "sounds", "-k", "3")
        table = str(options.data / "stamps" / "stamps.csv")
        stamps = str(options.data / "stamps")
        analogon("index", stamps, "-c", "stamps", "--encoder", str(conse), "--metadata", table, "--key", "image")
        analogon("index", table, "-c", "stamps", "--text-column", "text")
        analogon("search", "a bus", "--to", "image", "-c", "stamps", "-k", "3")
        guitar = str(options.data / "stamps" / "hobbies_music_string_guitar_classical.png")
        analogon("search", guitar, "--to", "text", "-c", "stamps", "-k", "3")
        analogon("search", guitar, "--to", "audio", "-c", "stamps", "-k", "3")


main()
