"""``python -m training.starter STEP --data DIR --models DIR --work DIR``: one step of the recipe, or all of them."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Final

from training.starter import calibrate, card, evaluate, head, mixtures, sounds, student, table

MIXTURES: Final = {"base": 58000, "folds": 12000, "rest": 12000, "synthesis": 5000}
STEPS: Final = ("sounds", "mixtures", "table", "student", "head", "export")
FOLDER: Final = Path(__file__).resolve().parents[2] / "embed" / "encoders" / "starter"


def main() -> None:
    """Read the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m training.starter", description=__doc__)
    parser.add_argument("step", choices=[*STEPS, "all"])
    parser.add_argument("--data", type=Path, required=True, help="recordings/, esc10/, sonic-pi/")
    parser.add_argument("--models", type=Path, required=True, help="yamnet/")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what the steps make; needs 2 GB")
    parser.add_argument("--jobs", type=int, default=2, help="processes that make mixtures")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where export puts the starter's files")
    arguments = parser.parse_args()
    work: Path = arguments.work
    ear = arguments.models / "yamnet" / "yamnet.tflite"
    for step in STEPS if arguments.step == "all" else (arguments.step,):
        print(f"{step} ...", flush=True)
        if step == "sounds":
            sounds.run(work, arguments.data)
        elif step == "mixtures":
            for pool, count in MIXTURES.items():
                mixtures.run(work, ear, pool, count, jobs=arguments.jobs)
        elif step == "table":
            table.run(work / "text")
        elif step == "student":
            student.run(work, ear)
        elif step == "head":
            for stage in ("base", student.MEASURED):  # later ones have heard what these are measured on
                head.run(work, stage)
                evaluate.run(work, arguments.models, stage)
            head.run(work, student.STAGES[-1].name)
        else:
            export(work, arguments.output)


def export(work: Path, output: Path) -> None:
    """Put the last stage's folder, with the threshold measured on the stage before it, where the package has it."""
    folder = work / f"folder-{student.STAGES[-1].name}"
    calibrate.write(folder, calibrate.run(work, student.MEASURED))
    lowest = evaluate.exported(work, student.STAGES[-1].name)
    print(f"exported and trained network: lowest cosine {lowest:.6f}")
    shutil.copytree(folder, output, dirs_exist_ok=True)
    for file in output.glob("*.safetensors"):
        file.chmod(0o644)
    card.write_credits(work, output / "CREDITS.csv")
    (output / "MODEL_CARD.md").write_text(card.text(work), "utf-8")
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    print(f"{output}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
