"""What every command shares: the console, overrides from the command line, tables."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eterna.errors import UserError
from eterna.text import name_hint, printable

if TYPE_CHECKING:
    from rich.console import Console

    from eterna.runs import Score


def make_console(stderr: bool = False) -> Console:
    """The console for people; NO_COLOR, FORCE_COLOR and COLUMNS are honoured by rich.

    Of several processes (torchrun numbers them in RANK) only the first one talks.
    """
    from rich.console import Console

    return Console(quiet=int(os.environ.get("RANK", "0")) > 0, stderr=stderr)


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """A line as it is: no markup read, no colours guessed, never broken."""
    console.print(printable(text), style=style, highlight=False, markup=False, soft_wrap=True)


def print_table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns side by side; cells are plain text and never broken, so that a pipe gets whole lines."""
    from rich.text import Text

    widths = [max(Text(row[column]).cell_len for row in (headings, *rows)) for column in range(len(headings))]
    for number, row in enumerate((headings, *rows)):
        cells = [text + " " * (width - Text(text).cell_len) for text, width in zip(row, widths, strict=True)]
        print_line(console, "  ".join(cells).rstrip(), "bold" if number == 0 else None)


def read_overrides(rest: Sequence[str]) -> list[tuple[str, str]]:
    """`--a.b value`, `--a.b=value` and `a.b=value` as (dotted name, value). Raises UserError for anything else."""
    found: list[tuple[str, str]] = []
    queue = list(rest)
    while queue:
        word = queue.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals and word.startswith("--") and queue and not queue[0].startswith("--"):
            value, equals = queue.pop(0), "="
        if not equals or not name:
            raise UserError(
                f"cannot read the argument {word!r}", fix="settings are given as --training.seed 7 or training.seed=7"
            )
        if "." not in name:
            from eterna.config import RunConfig

            if name not in RunConfig.model_fields:
                raise UserError(f"unknown option --{name}", fix=name_hint(name, RunConfig.model_fields))
        found.append((name, value))
    return found


def own_command() -> str:
    """How this program is called here, so that a printed command can be pasted."""
    called = Path(sys.argv[0])
    if called.name != "eterna":
        return "python -m eterna"
    found = shutil.which("eterna")
    if found and Path(found).resolve() == called.resolve():
        return "eterna"
    return os.path.relpath(called) if called.is_absolute() else str(called)


ARROWS = {"lower": "↓", "higher": "↑"}


def show_scores(scores: Sequence[Score], console: Console, control: str | None = None) -> None:
    """Base, tuned and their difference on all items, and beside a control, each with its 95 % interval.

    The arrow says what is better. control: which model that is, in words.
    """
    from eterna.runs import CONTROL, SYSTEMS

    scores = [score for score in scores if score.whole]
    if not scores:
        return
    print_line(console, "\nheld-out text, base against tuned [95 % interval]")
    _show_table(scores, SYSTEMS, console)
    if any(score.system in CONTROL for score in scores):
        print_line(console, f"\nthe same beside the control, the recorded run {control}")
        _show_table(scores, (CONTROL[0], SYSTEMS[1], CONTROL[1]), console)
    console.print()


def _show_table(scores: Sequence[Score], systems: Sequence[str], console: Console) -> None:
    rows, missing = [], []
    for metric in dict.fromkeys(score.name for score in scores):
        found = {score.system: score for score in scores if score.name == metric and score.system in systems}
        if len(found) < len(systems):
            continue
        name = metric.replace("_", " ")
        if reason := next((score.reason for score in found.values() if score.value is None), None):
            missing.append(f"{name}: not scored: {reason}")
        else:
            arrow = ARROWS[found[systems[0]].direction]
            rows.append([f"{name} {arrow}", *(cell(found[system]) for system in systems)])
    print_table(console, ["", *(system.replace("_", " ") for system in systems)], rows)
    for line in missing:
        print_line(console, line)


def cell(score: Score) -> str:
    """The value with its interval."""
    assert score.value is not None
    form = ("+" if score.system in ("difference", "against_control") else "") + (
        ".3f" if abs(score.value) < 10 else ".1f"
    )
    if score.low is None or score.high is None:
        return f"{score.value:{form}}"
    return f"{score.value:{form}} [{score.low:{form}}, {score.high:{form}}]"
