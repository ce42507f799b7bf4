"""`eterna world`: look at a world before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eterna.cli.arguments import AsJson
from eterna.text import plural

if TYPE_CHECKING:
    from eterna.pipeline.check_world import WorldSurvey

world_app = typer.Typer(help="Check the files of a world, and bring characters into it.", no_args_is_help=True)


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


@world_app.command(
    name="import-card", epilog="Example: eterna world import-card mira.png my-world/world --place landing"
)
def world_import_card(
    card: Annotated[
        Path, typer.Argument(help="A character card: .png, or .json of version 1, 2 or 3.", show_default=False)
    ],
    folder: Annotated[str, typer.Argument(help="The world's folder.", show_default=False)],
    npc_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Id of the NPC; made of the card's name when left out.")
    ] = None,
    place: Annotated[
        str | None, typer.Option(metavar="ID", help="Where the NPC is; needed where the world has several places.")
    ] = None,
    player: Annotated[str, typer.Option(metavar="NAME", help="What {{user}} becomes.")] = "traveller",
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Of the card's dialogues; the world's first when left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an NPC of a character card, and training conversations of its example dialogues. Nothing is overwritten."""
    from eterna.cli.output import make_console, print_json, print_line
    from eterna.reports.signs import plain
    from eterna.world.card_import import import_card

    done = import_card(card, folder, npc_id, place, player, language)
    if as_json:
        print_json(done.record())
        return
    console = make_console()
    print_line(console, f"{done.npc.name} ({done.npc.id}), from a card {done.card.version}")
    for name in ("role", "manner", "greeting"):
        print_line(console, f"  {name:<9} {plain(getattr(done.npc, name))}")
    for path in done.written:
        print_line(console, f"written: {path}")
    for note in done.notes:
        print_line(console, f"note: {plain(note)}", "yellow")


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
