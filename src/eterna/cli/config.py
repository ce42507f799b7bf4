"""`eterna config`: the settings in force, and their schema."""

from __future__ import annotations

import typer

from eterna.cli.arguments import WITH_OVERRIDES, RunFile

config_app = typer.Typer(help="Show the settings in force, or their schema.", no_args_is_help=True)


@config_app.command(
    name="show", context_settings=WITH_OVERRIDES, epilog="Example: eterna config show run.yaml --training.seed 7"
)
def config_show(context: typer.Context, file: RunFile) -> None:
    """The run file with every value in force."""
    from eterna.cli.output import read_overrides
    from eterna.config import load_config
    from eterna.config.writing import to_yaml

    loaded = load_config(file, read_overrides(context.args))
    for note in loaded.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(to_yaml(loaded.resolved()), nl=False)


@config_app.command(name="schema", epilog="Example: eterna config schema > run.schema.json")
def config_schema() -> None:
    """The JSON schema of run files, for editors."""
    from eterna.cli.output import print_json
    from eterna.config import json_schema

    print_json(json_schema())
