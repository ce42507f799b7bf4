"""The `eterna` command. Heavy libraries are imported inside the commands that need them."""

from __future__ import annotations

import errno
import gc
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eterna.cli.arguments import WITH_OVERRIDES, AsJson, Run, RunFile, complete_ids
from eterna.cli.config import config_app
from eterna.cli.data import data_app
from eterna.cli.runs import runs_app
from eterna.cli.start import doctor, init
from eterna.cli.world import world_app
from eterna.errors import EternaError
from eterna.text import printable, shown

if TYPE_CHECKING:
    from rich.console import Console

    from eterna.pipeline.train import Trained

app = typer.Typer(
    name="eterna",
    help="Fine-tune a language model to speak for a fictional world, and prove that it does.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example: eterna init my-world")(init)
app.command(epilog="Example: eterna doctor --json")(doctor)


@app.command(context_settings=WITH_OVERRIDES, epilog="Example: eterna demo --training.seed 7")
def demo(context: typer.Context, as_json: AsJson = False) -> None:
    """Train the shipped base model on the shipped world; a few minutes on a CPU, offline."""
    from eterna.cli.output import make_console, read_overrides
    from eterna.pipeline.demo import demo as run_demo

    console = make_console(stderr=as_json)
    _load_libraries()
    trained = run_demo(console, read_overrides(context.args))
    _finish(trained, console, as_json, chat_as=" --npc archivera")


@app.command(context_settings=WITH_OVERRIDES, epilog="Example: eterna train run.yaml --training.learning_rate 1e-4")
def train(
    context: typer.Context,
    file: RunFile,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; load and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train as a run file says. Settings can be overridden: --training.learning_rate 1e-4"""
    from eterna.cli.output import make_console, read_overrides
    from eterna.config import load_config
    from eterna.pipeline.train import train as run_train

    console = make_console(stderr=as_json)
    loaded = load_config(file, read_overrides(context.args))
    _load_libraries()
    _finish(run_train(loaded, console, resume, dry_run), console, as_json)


def _load_libraries() -> None:
    """What they made stays until the command ends: the garbage collector need not look at it again and again."""
    from eterna.pipeline.libraries import TRAINING, load_libraries

    load_libraries(*TRAINING)
    gc.freeze()


def _finish(trained: Trained | None, console: Console, as_json: bool, chat_as: str = "") -> None:
    from eterna.cli.output import own_command, print_json, show_scores

    if as_json and os.environ.get("RANK", "0") == "0":  # under torchrun one process speaks
        print_json(_summary(trained))
    if trained is None:
        return
    if trained.exit_code:
        raise typer.Exit(trained.exit_code)
    run = trained.run
    show_scores(trained.scores, console, run.control())
    for name, text in (
        *([("canon", _canon_line(trained))] if trained.breaches is not None else []),
        ("model", run.final),
        ("report", run.report),
        ("next", f"{own_command()} chat {run.path}{chat_as}"),
    ):
        console.print(f"{name:<10}{text}", highlight=False, markup=False, soft_wrap=True)


def _canon_line(trained: Trained) -> str:
    from eterna.text import plural

    broken = trained.breaches or []
    rules = ", ".join(dict.fromkeys(one.rule for one in broken))
    said = f"broken in {plural(len(broken), 'place')} ({rules}), see the report" if broken else "no reply breaks it"
    redrawn = trained.run.redrawn()
    return said + (f"; {redrawn} drawn anew" if redrawn else "")


def _summary(trained: Trained | None) -> dict[str, Any]:
    if trained is None:
        return {"run": None, "state": "dry run", "scores": []}
    state = trained.run.status().get("state")
    return {"run": str(trained.run.path), "state": state, "scores": [score.as_row() for score in trained.scores]}


@app.command(name="eval", epilog="Example: eterna eval runs/demo --json")
def evaluate(
    run: Run, as_json: Annotated[bool, typer.Option("--json", help="Scores as JSON on stdout.")] = False
) -> None:
    """Score a run's base and tuned model on its held-out data and put the canon to the test.

    Rewrites the scores and the report. Ends with exit code 4 when a reply breaks the canon.
    """
    from eterna.cli.output import make_console, print_json, print_line, show_scores
    from eterna.pipeline.evaluate import check_canon
    from eterna.pipeline.evaluate import evaluate as run_evaluate

    found = run_evaluate(run)
    if as_json:
        rows = [score.as_row() for score in found.scores]
        print_json({"run": str(run), "scores": rows, "canon": found.run.canon()})
    else:
        console = make_console()
        show_scores(found.scores, console, found.run.control())
        for rating in found.run.ratings():
            print_line(console, f"human ratings of {rating['criterion']}: {rating['verdict']}")
    check_canon(found.breaches)


@app.command(epilog="Example: eterna report runs/demo")
def report(run: Run) -> None:
    """Write report.html again from what the run's folder holds."""
    from eterna.reports import write_report
    from eterna.runs import RunFolder

    typer.echo(write_report(RunFolder.open(run)))


@app.command(epilog="Example: eterna chat runs/demo --npc archivera --place sala_de_mapas")
def chat(
    run: Run,
    npc: Annotated[
        str | None, typer.Option(help="Who answers (an NPC's id).", autocompletion=complete_ids("npcs"))
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(
            help="Where you are (a place's id); the NPC's own when left out.", autocompletion=complete_ids("places")
        ),
    ] = None,
    book: Annotated[
        str | None, typer.Option(help="The open book (a book's id).", autocompletion=complete_ids("books"))
    ] = None,
) -> None:
    """Talk to a run's model. /npc, /place, /book ID change the scene, /again starts over, /quit ends."""
    from eterna.cli.talk import talk
    from eterna.pipeline.chat import open_conversation

    talk(open_conversation(run, npc, place, book))


app.add_typer(world_app, name="world")
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")
app.add_typer(config_app, name="config")


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
        app(prog_name="eterna")
    except EternaError as error:
        typer.echo(printable(f"eterna: {error}"), err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        typer.echo(f"eterna: {shown(error.filename)} is longer than a file name can be\n    fix: check it", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
