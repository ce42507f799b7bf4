"""`eterna runs`: what was trained, and how it turned out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eterna.cli.arguments import AsJson, Run, complete_runs

if TYPE_CHECKING:
    from rich.console import Console

    from eterna.pipeline.past_runs import Comparison, RunLine, RunView

runs_app = typer.Typer(help="List, show and compare runs.", no_args_is_help=True)
NOTHING = "–"


@runs_app.command(name="list", epilog="Example: eterna runs list runs --json")
def runs_list(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """The runs of a folder, newest last, with their perplexity on held-out data before and after."""
    from eterna.cli.output import make_console, print_json, print_line, print_table
    from eterna.pipeline.past_runs import list_runs

    lines = list_runs(folder)
    if as_json:
        print_json([line.record() for line in lines])
    elif not lines:
        typer.echo(f"no runs in {folder}")
    else:
        headings = ["name", "state", "step", "model", "method", "perplexity", "when"]
        console = make_console()
        print_table(console, headings, [_list_row(line) for line in lines])
        for line in lines:
            if line.damaged:
                print_line(console, f"{line.name} is damaged: {line.damaged}", "yellow")


@runs_app.command(name="show", epilog="Example: eterna runs show runs/demo")
def runs_show(run: Run, as_json: AsJson = False) -> None:
    """One run: settings that differ from the defaults, data, scores, last figures and files."""
    from eterna.cli.output import make_console, print_json
    from eterna.pipeline.past_runs import show_run

    view = show_run(run)
    if as_json:
        print_json(view.record())
    else:
        _show_run(view, make_console())


@runs_app.command(name="compare", epilog="Example: eterna runs compare runs/demo runs/demo-2")
def runs_compare(
    a: Annotated[
        Path, typer.Argument(help="A run's folder.", show_default=False, autocompletion=complete_runs, metavar="A")
    ],
    b: Annotated[
        Path, typer.Argument(help="Another's.", show_default=False, autocompletion=complete_runs, metavar="B")
    ],
    as_json: AsJson = False,
) -> None:
    """Two runs: the settings that differ, and the scores side by side where they may be compared."""
    from eterna.cli.output import make_console, print_json
    from eterna.pipeline.past_runs import compare_runs

    found = compare_runs(a, b)
    if as_json:
        print_json(found.record())
    else:
        _show_comparison(found, make_console())


def _list_row(line: RunLine) -> list[str]:
    step = NOTHING if line.step is None else str(line.step)
    perplexity = NOTHING if line.tuned is None else f"{_figure(line.base)} -> {_figure(line.tuned)}"
    return [line.name, line.state, step, line.model, line.method, perplexity, (line.when or "")[:16].replace("T", " ")]


def _show_run(view: RunView, console: Console) -> None:
    from eterna.cli.output import print_line, print_table, show_scores

    line = view.line
    at_step = "" if line.step is None else f" at step {line.step}"
    print_line(console, f"{line.path}: {line.state}{at_step}, {line.model}, {line.method}, {line.when}", "bold")
    if view.message:
        print_line(console, view.message)
    print_line(console, "")
    print_table(console, ["setting", "value"], [[name, _value(value)] for name, value in view.settings.items()])
    if view.sources:
        keys = ("part", "name", "examples", "tokens", "sha256")
        rows = [[str(one.get(key, NOTHING)) for key in keys] for one in view.sources]
        print_line(console, "")
        print_table(console, ["part", "source", "examples", "tokens", "sha256"], rows)
    print_line(console, "")
    show_scores(view.scores, console, view.control)
    if view.figures:
        rows = [[name, _figure(value)] for name, value in view.figures.items()]
        print_table(console, ["last figure", "value"], rows)
        print_line(console, "")
    print_table(console, ["file", "KiB"], [[name, f"{size / 1024:,.1f}"] for name, size in view.files.items()])


def _show_comparison(found: Comparison, console: Console) -> None:
    from eterna.cli.output import print_line, print_table

    rows = [[name, _value(a), _value(b)] for name, (a, b) in found.settings.items()]
    print_table(console, ["setting", found.a, found.b], rows)
    if not found.scores:
        print_line(console, "\nneither run has scores")
        return
    print_line(console, "")
    rows = [
        [
            f"{one.metric.replace('_', ' ')}, {one.system}",
            _figure(one.a),
            _figure(one.b),
            f"not comparable: {one.not_comparable}" if one.not_comparable else _figure(one.difference, "+"),
        ]
        for one in found.scores
    ]
    print_table(console, ["score", found.a, found.b, "difference"], rows)


def _value(value: Any) -> str:
    import json

    if value is None:
        return NOTHING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _figure(value: Any, sign: str = "") -> str:
    if isinstance(value, float):
        return f"{value:{sign}.3f}" if 0.01 <= abs(value) < 10 or value == 0 else f"{value:{sign}.4g}"
    return NOTHING if value is None else str(value)
