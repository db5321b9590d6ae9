"""``analogon export-onnx``: networks as ONNX files, ahead of the first run that needs them."""

from __future__ import annotations

from typing import Annotated

import typer

from analogon.cli.terminal import FormatOption, check_format, complain, families, stderr, stdout, write_json

__all__ = ["export_onnx", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to an app."""
    app.command(name="export-onnx")(export_onnx)


def export_onnx(
    encoders: Annotated[
        list[str] | None,
        typer.Argument(
            help="Encoders: family:model, or a TOML file; without any, what is there already.",
            show_default=False,
            autocompletion=families,
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all files of the cache.")] = False,
    form: FormatOption = "table",
) -> None:
    """Write an encoder's networks as ONNX files, which need no torch; index does it too, where they are not there."""
    from analogon.cli.progress import progress
    from analogon.service.exporting import ExportOnnx

    check_format(form)
    request = ExportOnnx(encoders=tuple(encoders or ()), clear=clear)
    with progress(stderr(), transient=True) as listener:
        found = request.run(listener)
    for model in found.without:
        complain(f"{model} has no network that can be exported")
    if form == "json":
        write_json(found)
        return
    console = stdout()
    for one in found.kept:
        told = f", cosine {one.cosine:.7f} to torch" if one.cosine is not None else ""
        console.print(
            f"{one.what}: {'stays with torch' if one.failed else f'{one.bytes / 1e6:,.1f} MB{told}'}", markup=False
        )
    deleted = f"deleted {sum(one.bytes for one in found.kept) / 1e6:,.1f} MB; " if clear else ""
    console.print(
        f"{deleted}{found.folder} holds {found.bytes / 1e6:,.1f} MB of at most {found.limit / 1e6:,.0f} MB",
        markup=False,
    )
    if found.without and not found.kept:
        raise typer.Exit(1)
