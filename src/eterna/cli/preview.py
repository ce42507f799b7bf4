"""`eterna data preview`: how a file would be read, without a run file or a model."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from eterna.cli.arguments import AsJson
from eterna.text import name_hint, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eterna.pipeline.preview_data import Preview

LONGEST = 1000  # characters of one turn


class Form(StrEnum):
    """The formats of rows, and `auto`."""

    auto = "auto"
    messages = "messages"
    sharegpt = "sharegpt"
    prompt_completion = "prompt_completion"
    alpaca = "alpaca"
    turns = "turns"
    text = "text"


def data_preview(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="A data file, a saved folder, or owner/name of the Hub.", show_default=False)
    ],
    form: Annotated[Form, typer.Option("--format", help="Shape of the rows; auto looks at each.")] = Form.auto,
    count: Annotated[int, typer.Option(min=1, help="How many examples are shown.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Show how a file would be read: its format, its columns, the first examples, and the lines for a run file.

    Columns are renamed with --columns.prompt NAME, --columns.completion NAME and the like.
    """
    from eterna.cli.output import print_json
    from eterna.pipeline.preview_data import preview_data

    preview = preview_data(file, form.value, _columns(context.args), count)
    if as_json:
        print_json(preview.record())
    else:
        _show(preview, asked=form is not Form.auto)


def _columns(words: Sequence[str]) -> dict[str, str]:
    from eterna.cli.output import read_overrides
    from eterna.config import Columns
    from eterna.errors import UserError

    found = {}
    for name, column in read_overrides(words):
        head, _, field = name.removeprefix("data.").partition(".")
        if head != "columns" or field not in Columns.model_fields:
            known = [f"columns.{one}" for one in Columns.model_fields]
            raise UserError(f"unknown option --{name}", fix=name_hint(name, known))
        found[field] = column
    return found


def _show(preview: Preview, asked: bool) -> None:
    from eterna.cli.output import make_console, print_line
    from eterna.reports.signs import plain

    console = make_console()
    looked_at = plural(preview.rows, "row") if preview.all_rows else f"the first {plural(preview.rows, 'row')}"
    for form, rows in preview.formats.items():
        reason = "as asked" if asked else f"found in {rows:,} of {looked_at}"
        print_line(console, f"format    {form}, {reason}")
    for column, meaning in preview.columns.items():
        print_line(console, f"column    {plain(column)}" + (f" -> {meaning}" if meaning != column else ""))
    if preview.ignored:
        print_line(console, f"ignored   {plain(', '.join(preview.ignored))}")
    if preview.bad_rows:
        print_line(console, f"bad       {plural(preview.bad_rows, 'row')} of {looked_at} cannot be used", "yellow")
        for problem in preview.problems:
            print_line(console, f"  {problem}")
    for example in preview.examples:
        print_line(console, f"\n── {plain(example.id)} · {plain(example.place)}", "bold")
        for speaker, text in example.turns:
            cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
            print_line(console, plain(f"{speaker}: {cut}" if speaker else cut))
    print_line(console, f"\nfor the run file:\n\n{preview.yaml}")
