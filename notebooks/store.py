"""Run the notebooks and keep what they show, but for what belongs to others.

    python notebooks/store.py                   all of them
    python notebooks/store.py 02-arithmetic     one

Texts, tables and the plots that a notebook draws are stored in it. Players and pictures embed what was heard and seen,
which is other people's: a line in their place says that they show when the notebook is run. Paths are stored as seen
from the folder of data, warnings not at all. What would still name this machine, or weigh more than 1 MB, is refused.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PLAYER, PICTURE = "a player shows here when the notebook is run", "a picture shows here when the notebook is run"
LARGEST = 1_000_000
"""Bytes of a notebook with its outputs."""
WIDEST = 960
"""Pixels of a plot."""
COLOURS = 128
FIGURE = re.compile(r"<\w*Figure ")
"""How what was plotted calls itself, and what was decoded does not."""
MACHINE = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|var|mnt|work|private|usr|opt)/|\b0x[0-9a-f]{6,}|\b[A-Z]:\\")
"""What names a place on one machine, or in its memory."""


def code_digest(notebook: Any) -> str:
    """A hash of the code, which tells whether outputs are those of the cells that they stand below."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.blake2b(code.encode(), digest_size=16).hexdigest()


def texts(notebook: Any) -> list[str]:
    """All that the outputs of a notebook say, plots left out."""
    found = []
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        found.append(output.get("text", ""))
        found += [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return found


def kept(output: Any, said: Callable[[str], str]) -> Any | None:
    """An output as it is stored, ``said`` applied to its texts; None where nothing of it is."""
    if output.output_type == "error":
        raise RuntimeError(f"a cell failed: {output.ename}: {output.evalue}")
    if output.output_type == "stream":
        if output.name == "stderr":
            return None
        output.text = said(output.text)
        return output
    data = output.data
    plain = data.get("text/plain", "")
    page = data.get("text/html", "")
    if "<audio" in page or "<img" in page:
        page = re.sub(r"<audio.*?</audio>", f"<i>{PLAYER}</i>", page, flags=re.DOTALL)
        page = re.sub(r"<img[^>]*>", f"<i>{PICTURE}</i>", page)
        page = re.sub(r"\s*\n\s*", "\n", page).strip()
        data["text/html"] = page
        if plain.startswith("<IPython"):
            data["text/plain"] = PLAYER
    for kind in [kind for kind in data if kind.startswith(("image/", "audio/", "video/", "application/"))]:
        if kind == "image/png" and FIGURE.match(plain):
            data[kind] = _plot(data[kind])
        elif kind.startswith("image/"):
            del data[kind]
            data["text/plain"] = PICTURE
        else:
            del data[kind]
    for kind in ("text/plain", "text/html", "text/markdown"):
        if kind in data:
            data[kind] = said(data[kind])
    output.metadata = {}
    return output if data else None


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs in which what was printed bit by bit is one."""
    found: list[Any] = []
    for output in outputs:
        if found and output.output_type == found[-1].output_type == "stream":
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def _plot(encoded: str) -> str:
    """A plot as a small picture."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    picture.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def store(path: Path, shared: Path) -> int:
    """Run a notebook, write it with its outputs, and give its size in bytes."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    before = dict(notebook.metadata)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {"TMPDIR": scratch, "ANALOGON_SHARED": str(shared)}
        client = NotebookClient(
            notebook, timeout=600, record_timing=False, resources={"metadata": {"path": str(FOLDER)}}
        )
        client.execute()

        def said(text: str) -> str:
            for place in (scratch, os.path.realpath(scratch), os.path.relpath(scratch, FOLDER)):
                text = re.sub(re.escape(place) + r"/tmp\w+/", "", text)
                text = re.sub(re.escape(place) + r"/tmp\w+", "a temporary folder", text)
            for place in (str(shared), os.path.relpath(shared, FOLDER)):
                text = text.replace(f"{place}/", "../../shared/")
            return text

        for cell in notebook.cells:
            cell.metadata = {}
            if cell.cell_type == "code":
                for warning in (one.text for one in cell.outputs if one.get("name") == "stderr"):
                    print(f"{path.name}, {cell.id}, not stored: {said(warning).strip()}", file=sys.stderr)
                cell.outputs = _joined([one for output in cell.outputs if (one := kept(output, said)) is not None])
    notebook.metadata = nbformat.from_dict(before | {"analogon": {"code": code_digest(notebook)}})
    for text in texts(notebook):
        if found := MACHINE.search(text):
            around = text[max(0, found.start() - 60) : found.end() + 60]
            raise RuntimeError(f"{path.name}: an output names this machine: {around!r}")
    whole = nbformat.writes(notebook) + "\n"
    if len(whole.encode()) > LARGEST:
        raise RuntimeError(f"{path.name}: {len(whole.encode())} bytes with its outputs, more than {LARGEST}")
    path.write_text(whole, "utf-8")
    return len(whole.encode())


def main(names: list[str]) -> None:
    shared = Path(os.environ.get("ANALOGON_SHARED", FOLDER / "../../shared")).resolve()
    paths = [FOLDER / f"{name.removesuffix('.ipynb')}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb"))
    for path in paths:
        print(f"{path.name}: {store(path, shared) / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
