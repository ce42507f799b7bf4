"""`eterna world`: look at a world before anything is trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from eterna.cli.arguments import AsJson
from eterna.text import plural

if TYPE_CHECKING:
    from eterna.pipeline.check_world import WorldSurvey

world_app = typer.Typer(help="Check the files of a world.", no_args_is_help=True)


@world_app.command(name="check", epilog="Example: eterna world check my-world/world")
def world_check(
    folder: Annotated[
        str, typer.Argument(help="A world's folder, or eterna:biblioteca for the shipped one.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Read a world and every reference in it; count what it holds. Mistakes are named with file and line."""
    from eterna.cli.output import print_json
    from eterna.pipeline.check_world import survey_world
    from eterna.world import find_world, load_world

    survey = survey_world(load_world(find_world(folder)))
    if as_json:
        print_json(survey.record())
    else:
        _show(survey)


def _show(survey: WorldSurvey) -> None:
    from eterna.cli.output import make_console, print_line, print_table

    console, world = make_console(), survey.world
    counts = [plural(len(world.books), "book"), plural(survey.words, "word"), plural(len(world.npcs), "NPC")]
    counts += [plural(len(world.places), "place"), f"{len(world.revelaciones)} revelaciones"]
    print_line(console, f"{world.title} ({world.id}): {', '.join(counts)}")
    print_line(console, "")
    rows = [
        [split, *(str(by_language.get(language, 0)) for language in survey.languages), str(sum(by_language.values()))]
        for split, by_language in survey.by_split.items()
    ]
    print_table(console, ["examples", *survey.languages, "all"], rows)
    print_line(console, "")
    print_table(console, ["NPC", "examples"], [[name, str(count)] for name, count in survey.by_npc.items()])
    print_line(console, "")
    for warning in survey.warnings:
        print_line(console, f"warning: {warning}", "yellow")
    print_line(console, "the world is sound" if not survey.warnings else "the world can be used")
