"""Step: the text table of the starter, distilled from all-MiniLM-L6-v2.

python training/starter/table.py -o OUT/text
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from embed.encoder import load
from embed.training.output import new_folder
from embed.training.static import agreement, distil, save

DIM: Final = 256
# Means over a few neutral contexts agree better with the teacher than a token alone.
TEMPLATES: Final = ("{}", "the sound of {}", "a {}", "{} sound", "this is about {}")


def main() -> None:
    """Read the command line, write the table, print how well it agrees with its teacher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--teacher", default="sentence")
    arguments = parser.parse_args()
    run(arguments.output, arguments.teacher)


def run(output: Path, named: str = "sentence") -> None:
    """Write the table into ``output``; does nothing where it is there."""
    if output.is_dir():
        return
    teacher = load(named)
    with new_folder(output) as folder:
        table = distil(teacher, dim=DIM, templates=TEMPLATES, keep=str.isascii)
        save(table, folder)
    size = sum(path.stat().st_size for path in output.iterdir())
    print(f"{output}: {len(table.rows)} tokens, {size / 1e6:.2f} MB, {table.kept:.3f} of the variance")
    found = agreement(teacher, load(f"static:{output}"))
    print(f"agreement with {teacher.space.model}: {found.spearman:.3f} ({found.texts} phrases)")


if __name__ == "__main__":
    main()
