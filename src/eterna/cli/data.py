"""`eterna data`: what the model will see, before it is trained."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eterna.cli.arguments import WITH_OVERRIDES, AsJson, RunFile
from eterna.cli.preview import data_preview
from eterna.text import plural

if TYPE_CHECKING:
    from rich.console import Console

    from eterna.config import LoadedConfig
    from eterna.pipeline.check_data import DataCheck, SourceCheck
    from eterna.pipeline.show_data import ShownExample

LISTED = 10
WIDTH = 40
data_app = typer.Typer(
    help="Look at data: a file by itself, or a run file's as the model gets them.", no_args_is_help=True
)
data_app.command(
    name="preview",
    context_settings=WITH_OVERRIDES,
    epilog="Example: eterna data preview qa.csv --columns.prompt question --columns.completion answer",
)(data_preview)


class Part(StrEnum):
    """The halves of the data."""

    train = "train"
    eval = "eval"


@data_app.command(
    name="check", context_settings=WITH_OVERRIDES, epilog="Example: eterna data check run.yaml --data.max_length 512"
)
def data_check(context: typer.Context, file: RunFile, as_json: AsJson = False) -> None:
    """Count examples, tokens and lengths, and find copies and leaks. Settings can be overridden as in train."""
    from eterna.cli.output import make_console, print_json
    from eterna.pipeline.check_data import check_data

    check = check_data(_load(context, file))
    if as_json:
        print_json(check.record())
    else:
        _show_check(check, make_console())


@data_app.command(
    name="show",
    context_settings=WITH_OVERRIDES,
    epilog="Example: eterna data show run.yaml --part eval --count 1 --html tokens.html",
)
def data_show(
    context: typer.Context,
    file: RunFile,
    example: Annotated[
        str | None, typer.Option(metavar="ID|N", help="Only this one, by its id or by its number from 1.")
    ] = None,
    part: Annotated[Part, typer.Option(help="Which half of the data.")] = Part.train,
    count: Annotated[int, typer.Option(min=1, help="How many, from the first on.")] = 3,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with them instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Examples token by token: what is trained, what is context, which tokens are special."""
    from eterna.cli.output import make_console, print_json
    from eterna.pipeline.show_data import show_data

    examples = show_data(_load(context, file), part.value, example, count)
    if html:
        from eterna.files import write_whole
        from eterna.reports.tokens import build_token_page

        write_whole(html, build_token_page(f"{file.name}: data.{part.value}", examples))
        typer.echo(html, err=as_json)
    if as_json:
        print_json([one.record() for one in examples])
    elif not html:
        for one in examples:
            _show_example(one, make_console())


def _load(context: typer.Context, file: Path) -> LoadedConfig:
    from eterna.cli.output import read_overrides
    from eterna.config import load_config

    return load_config(file, read_overrides(context.args))


def _show_check(check: DataCheck, console: Console) -> None:
    from eterna.cli.output import print_line, print_table

    headings = [
        "part",
        "source",
        "examples",
        "tokens",
        "trained",
        "dropped",
        "cut",
        "answers",
        "ending in a stop token",
    ]
    print_table(console, headings, [_source_row(source) for source in check.sources])
    for source in check.sources:
        print_line(console, source.filters(check.too_long))
    for title, kinds in (("voice", check.speakers), ("language", check.languages)):
        if kinds:
            print_line(console, "")
            shown = [[kind.name, f"{kind.train:,}", f"{kind.trained_tokens:,}", f"{kind.eval:,}"] for kind in kinds]
            rest = [[f"... and {len(shown) - LISTED} more", "", "", ""]] if len(shown) > LISTED else []
            print_table(console, [title, "train", "trained tokens", "eval"], [*shown[:LISTED], *rest])
    print_line(console, f"\nlengths in tokens (window {check.window:,})")
    for name in ("train", "eval"):
        most = max(getattr(bar, name) for bar in check.lengths)
        for bar in check.lengths if most else ():
            number = getattr(bar, name)
            label = f"past {check.window:,}" if bar.high is None else f"{bar.low:,} to {bar.high:,}"
            print_line(console, f"{name:<6}{label:>16}  {'█' * -(-WIDTH * number // most)} {number:,}")
    print_line(console, "")
    for copy in check.copies[:LISTED]:
        print_line(console, str(copy))
    if len(check.copies) > LISTED:
        print_line(console, f"... and {len(check.copies) - LISTED} more; --json lists them all")
    for note in check.notes:
        print_line(console, f"note: {note}")
    for warning in check.warnings:
        print_line(console, f"warning: {warning}", "yellow")
    if not check.warnings:
        print_line(console, "nothing to warn of")


def _source_row(source: SourceCheck) -> list[str]:
    report = source.report
    share = f"{report.trained_tokens:,} ({report.trained_tokens / max(report.tokens, 1):.0%})"
    stopped = "–" if source.stopped is None else f"{source.stopped / max(source.answers, 1):.0%}"
    counts = [f"{report.examples:,}", f"{report.tokens:,}", share, f"{report.dropped:,}", f"{report.cut:,}"]
    return [report.part, report.name, *counts, f"{source.answers:,}", stopped]


def _show_example(example: ShownExample, console: Console) -> None:
    from rich.text import Text

    from eterna.cli.output import print_line
    from eterna.reports.signs import plain

    weights = sorted({piece.weight for piece in example.pieces if piece.weight > 0})
    weight = f", weight {' and '.join(f'{one:g}' for one in weights)}" if weights else ""
    trained = f"{example.trained:,} of {plural(example.tokens, 'token')} trained{weight}"
    place = "" if example.id.endswith(f"#{example.place}") else f" · {example.place}"
    print_line(console, f"── {example.id} · {example.part}{place} · {trained}", "bold")
    if example.cut:
        print_line(console, f"✂ {plural(example.cut, 'token')} cut off here", "yellow")
    line, before = Text(), 0.0
    brackets = not console.is_terminal or console.no_color
    for piece in example.pieces:
        if piece.weight != before:
            line.append("⟧" if brackets and before else "")
            line.append("⟦" if brackets and piece.weight else "")
            line.append(f"×{piece.weight:g} " if piece.weight not in (0, 1) else "", "magenta")
            before = piece.weight
        style = "yellow" if piece.special else "green" if piece.weight > 0 else "dim"
        line.append(plain(piece.text), f"bold {style}" if piece.weight > 0 else style)
    line.append("⟧" if brackets and before else "")
    console.print(line, soft_wrap=True)
    print_line(console, "")
