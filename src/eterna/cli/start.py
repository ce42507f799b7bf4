"""`eterna init` and `eterna doctor`: the first things on a new machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from eterna.cli.arguments import AsJson

STYLES = {"ok": None, "warn": "yellow", "bad": "red"}


def init(folder: Annotated[Path, typer.Argument(help="A new or empty folder.", show_default=False)]) -> None:
    """Make a folder to edit: a small world of your own, a run file, its schema, and what to do next."""
    from eterna.cli.output import own_command
    from eterna.pipeline.init import init_folder

    for path in init_folder(folder):
        typer.echo(path)
    command = own_command()
    if "/" in command:  # a relative path would not lead there from the new folder
        command = str(Path(command).absolute())
    typer.echo(f"\nnext:\n  cd {shlex.quote(str(folder))}\n  {command} train run.yaml")


def doctor(as_json: AsJson = False) -> None:
    """Check this machine: versions, devices, memory, disk, network, and how large a model fits."""
    from eterna.cli.output import make_console, print_json, print_line
    from eterna.pipeline.doctor import examine

    rows = examine()
    healthy = all(row.state != "bad" for row in rows)
    if as_json:
        print_json({"ok": healthy, "rows": [row.record() for row in rows]})
    else:
        console = make_console()
        width = max(len(row.name) for row in rows)
        for row in rows:
            print_line(console, f"{row.state:<5} {row.name:<{width}}  {row.text}", STYLES[row.state])
            if row.fix:
                print_line(console, f"{'':<{width + 8}}fix: {row.fix}")
    if not healthy:
        raise typer.Exit(1)
