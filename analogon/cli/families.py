"""``analogon families``: which families of encoders and generators there are, and where each comes from."""

from __future__ import annotations

import typer
from rich.table import Table
from rich.text import Text

from analogon.cli.terminal import FormatOption, check_format, complain, stdout, write_json

__all__ = ["families", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to an app."""
    app.command()(families)


def families(form: FormatOption = "table") -> None:
    """The families of encoders and generators, and where each comes from: built in, a folder, a package."""
    from analogon.service.families import ListFamilies

    check_format(form)
    listing = ListFamilies().run()
    for line in listing.damaged:
        complain(line)
    if form == "json":
        write_json(*listing.entries)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("makes", "family", "from", "not used"):
        table.add_column(title)
    for one in listing.entries:
        table.add_row(one.makes, *(Text(cell) for cell in (one.name, one.origin, one.unused)))
    stdout().print(table)
