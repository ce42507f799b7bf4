"""The `eterna` command. Heavy libraries are imported inside the commands that need them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from eterna.errors import EternaError

app = typer.Typer(
    name="eterna",
    help="Fine-tune a language model to speak for a fictional world, and prove that it does.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Show the settings in force, or their schema.", no_args_is_help=True)
app.add_typer(config_app, name="config")

WITH_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}
RunFile = Annotated[Path, typer.Argument(help="The run file (YAML).", show_default=False)]
Run = Annotated[Path, typer.Argument(help="A run's folder, such as runs/demo.", show_default=False)]


@app.command(context_settings=WITH_OVERRIDES)
def demo(context: typer.Context) -> None:
    """Train the shipped base model on the shipped world; a few minutes on a CPU, offline."""
    from eterna.cli.output import make_console, read_overrides
    from eterna.pipeline.demo import demo as run_demo

    console = make_console()
    trained = run_demo(console, read_overrides(context.args))
    _finish(trained, console, chat_as=" --npc archivera")


@app.command(context_settings=WITH_OVERRIDES)
def train(
    context: typer.Context,
    file: RunFile,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; load and write nothing.")] = False,
) -> None:
    """Train as a run file says. Settings can be overridden: --training.learning_rate 1e-4"""
    from eterna.cli.output import make_console, read_overrides
    from eterna.config import load_config
    from eterna.pipeline.train import train as run_train

    console = make_console()
    loaded = load_config(file, read_overrides(context.args))
    _finish(run_train(loaded, console, resume, dry_run), console)


def _finish(trained: object, console: object, chat_as: str = "") -> None:
    from rich.console import Console

    from eterna.cli.output import own_command, show_scores
    from eterna.pipeline.train import Trained

    if trained is None:
        return
    assert isinstance(trained, Trained) and isinstance(console, Console)
    if trained.exit_code:
        raise typer.Exit(trained.exit_code)
    run = trained.run
    show_scores(trained.scores, console)
    for name, text in (
        ("model", run.final),
        ("report", run.report),
        ("next", f"{own_command()} chat {run.path}{chat_as}"),
    ):
        console.print(f"{name:<10}{text}", highlight=False, markup=False, soft_wrap=True)


@app.command(name="eval")
def evaluate(
    run: Run, as_json: Annotated[bool, typer.Option("--json", help="Scores as JSON on stdout.")] = False
) -> None:
    """Score a run's base and tuned model on its held-out data; rewrites the scores and the report."""
    from eterna.cli.output import make_console, show_scores
    from eterna.pipeline.evaluate import evaluate as run_evaluate

    scores = run_evaluate(run).scores
    if as_json:
        import json

        typer.echo(json.dumps([score.as_row() for score in scores], ensure_ascii=False, indent=2))
    else:
        show_scores(scores, make_console())


@app.command()
def report(run: Run) -> None:
    """Write report.html again from what the run's folder holds."""
    from eterna.reports import write_report
    from eterna.runs import RunFolder

    typer.echo(write_report(RunFolder.open(run)))


@app.command()
def chat(
    run: Run,
    npc: Annotated[str | None, typer.Option(help="Who answers (an NPC's id).")] = None,
    place: Annotated[
        str | None, typer.Option(help="Where you are (a place's id); the NPC's own when left out.")
    ] = None,
    book: Annotated[str | None, typer.Option(help="The open book (a book's id).")] = None,
) -> None:
    """Talk to a run's model. /npc, /place, /book ID change the scene, /again starts over, /quit ends."""
    from eterna.cli.talk import talk
    from eterna.pipeline.chat import open_conversation

    talk(open_conversation(run, npc, place, book))


@config_app.command(name="show", context_settings=WITH_OVERRIDES)
def config_show(context: typer.Context, file: RunFile) -> None:
    """The run file with every value in force."""
    from eterna.cli.output import read_overrides
    from eterna.config import load_config
    from eterna.config.writing import to_yaml

    loaded = load_config(file, read_overrides(context.args))
    for note in loaded.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(to_yaml(loaded.resolved()), nl=False)


@config_app.command(name="schema")
def config_schema() -> None:
    """The JSON schema of run files, for editors."""
    import json

    from eterna.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"eterna {version('eterna')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Fine-tune a language model to speak for a fictional world, and prove that it does."""


def main() -> None:
    """Entry point: a user's mistake ends as a short message and the error's own exit code."""
    try:
        app()
    except EternaError as error:
        typer.echo(f"eterna: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
