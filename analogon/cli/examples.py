"""Examples that end each command's help: how it is called, for what. Every command has two or more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import typer

__all__ = ["EXAMPLES", "show_examples"]

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "index": (
        "analogon index ~/Music -c music --only audio",
        "analogon index sounds -c drums --encoder clap --metadata sounds.csv --prune",
    ),
    "search": (
        'analogon search "a slow piano" -c music',
        'analogon search ./knock.wav -c drums -k 20 --where "duration < 60" -f paths',
        'analogon search "2:rain + ./roof.wav - traffic" -c music --to audio',
    ),
    "info": ("analogon info -c music", "analogon info -c music --failures -f json"),
    "rm": ("analogon rm ~/Music/old -c music", "analogon rm -c copy --all"),
    "export": ("analogon export music.parquet -c music", "analogon export vectors -c drums --encoder clap"),
    "import": ("analogon import music.parquet -c copy", "analogon import vectors -c theirs --encoder clap"),
    "doctor": ("analogon doctor clap", "analogon doctor -c music -f json"),
    "export-onnx": ("analogon export-onnx clap", "analogon export-onnx --clear"),
    "families": ("analogon families", "analogon families -f json"),
    "demo": ("analogon demo", "analogon demo --keep first-steps"),
    "analogy": (
        "analogon analogy man king woman --words glove.txt",
        "analogon analogy Paris France Rome --encoder clap --candidates countries.txt -k 3",
    ),
    "relation fit": (
        "analogon relation fit capitals.csv --name capital --words glove.txt --columns country,capital",
        "analogon relation fit capitals.csv --name seat --encoder clap",
    ),
    "relation list": ("analogon relation list", "analogon relation list -f json"),
    "relation show": ("analogon relation show capital", "analogon relation show capital -f json"),
    "relation apply": (
        "analogon relation apply capital italy --words glove.txt",
        "analogon relation apply seat ./knock.wav --encoder clap --candidates countries.txt --strength 0.5",
    ),
    "relation rm": ("analogon relation rm capital", "analogon relation rm seat"),
    "tag": (
        "analogon tag --labels labels.txt -c music --to audio",
        "analogon tag --labels labels.txt -c drums --multiple --threshold 0.1 --field kind --dry-run",
    ),
    "probe": (
        "analogon probe --column mood -c drums",
        "analogon probe --column mood -c drums --folds 3 --dry-run -f json",
    ),
    "generate": (
        'analogon generate "rain on a roof" --with mosaic -c drums -n 2 --seconds 1',
        'analogon generate "Hello there." --with espeak --language en-GB -o spoken',
    ),
    "prompts": (
        "analogon prompts ./roof.wav --list prompts.csv --text-column prompt -k 3",
        'analogon prompts "2:rain - traffic" --list prompts.csv --text-column prompt --for musicgen',
    ),
    "interrogate": (
        "analogon interrogate ./roof.wav",
        "analogon interrogate ./roof.wav --for musicgen --words 12 -f text",
    ),
    "train static": (
        "analogon train static --teacher sentence:./all-MiniLM-L6-v2 -o table",
        "analogon train static --teacher sentence:./all-MiniLM-L6-v2 -o heard --template 'the sound of {}' --dim 128",
    ),
    "train student": (
        "analogon train student --teacher clap --media sounds -o ear",
        "analogon train student --teacher clap --media sounds -o small --mixtures 2000 --steps 500",
    ),
    "eval analogies": (
        "analogon eval analogies questions-words.txt --words glove.txt",
        "analogon eval analogies questions-words.txt --words glove.txt --methods 3cosadd,3cosmul -f json",
    ),
    "eval retrieval": (
        "analogon eval retrieval captions.csv -c drums",
        "analogon eval retrieval captions.csv -c drums --query caption --target file -f json",
    ),
    "eval audio": (
        "analogon eval audio takes --reference sounds",
        "analogon eval audio takes --reference sounds --whole --encoder clap -f json",
    ),
    "bridge fit": (
        "analogon bridge fit --from starter --to clap --texts captions.txt --name ours",
        "analogon bridge fit --from starter --to clap --texts captions.txt --method procrustes --name mine",
    ),
    "bridge list": ("analogon bridge list", "analogon bridge list -f json"),
    "bridge show": ("analogon bridge show mine", "analogon bridge show mine -f json"),
    "bridge rm": ("analogon bridge rm mine", "analogon bridge rm ours"),
    "voice add": (
        "analogon voice add narrator one.wav two.wav",
        "analogon voice add singer song.wav --encoder speaker --encoder xvector",
    ),
    "voice list": ("analogon voice list", "analogon voice list -f json"),
    "voice show": ("analogon voice show narrator", "analogon voice show narrator -f json"),
    "voice similar": ("analogon voice similar ./song.wav", "analogon voice similar narrator -k 3 -f json"),
    "voice mix": (
        "analogon voice mix narrator:0.7 singer:0.3",
        "analogon voice mix narrator singer:-0.2 --as darker --replace",
    ),
    "voice rm": ("analogon voice rm singer", "analogon voice rm darker"),
    "voice export": (
        "analogon voice export narrator narrator.npy",
        "analogon voice export singer singer.npy --space speaker",
    ),
}
"""Commands by their path below ``analogon``."""


def show_examples(app: typer.Typer) -> None:
    """Let the help of an app's commands end with their examples."""
    for path, command in _commands(app, ""):
        lines = ["Examples:", *(f"  {example}" for example in EXAMPLES.get(path, ()))]
        command.epilog = "\b\n" + "\n".join(lines)


def _commands(app: typer.Typer, above: str) -> Iterator[tuple[str, typer.models.CommandInfo]]:
    for command in app.registered_commands:
        assert command.callback is not None
        yield f"{above}{command.name or command.callback.__name__}", command
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from _commands(group.typer_instance, f"{above}{group.name} ")
