"""The chat loop: a prompt on a terminal, plain lines from a pipe."""

from __future__ import annotations

import sys

import typer

from eterna.errors import UserError
from eterna.pipeline.chat import PARTS, Conversation

HELP = "/npc ID  /place ID  /book ID   change the scene      /again  start over      /quit  leave"


def talk(conversation: Conversation) -> None:
    """Until /quit or the end of input."""
    interactive = sys.stdin.isatty()
    typer.echo(scene(conversation))
    if interactive:
        typer.echo(HELP)
    while True:
        try:
            line = input("\nyou: " if interactive else "").strip()
        except EOFError:
            return
        if not line:
            continue
        if not interactive:
            typer.echo(f"\nyou: {line}")
        if line == "/quit":
            return
        try:
            if line.startswith("/"):
                command(conversation, line)
            else:
                answer(conversation, line)
        except UserError as error:
            typer.echo(str(error), err=True)


def scene(conversation: Conversation) -> str:
    """Where we are and who answers, in one line; the NPC's greeting below."""
    world, context = conversation.world, conversation.context
    if not world:
        return "a model without a world"
    parts = [world.title]
    parts += [world.places[context.place].name] if context.place else []
    parts += [f"open book: {world.books[context.book].title}"] if context.book else []
    greeting = f"\n\n{speaker(conversation)}: {world.npcs[context.npc].greeting}" if context.npc else ""
    return " · ".join(parts) + greeting


def speaker(conversation: Conversation) -> str:
    """The name before a reply."""
    world, voice = conversation.world, conversation.context.voice
    return world.name_of(voice) if world and voice else "model"


def command(conversation: Conversation, line: str) -> None:
    """A line that begins with a slash."""
    name, _, value = line[1:].partition(" ")
    if name in PARTS:
        before = conversation.context.voice
        conversation.change(name, value.strip() or None)
        if conversation.context.voice != before:
            conversation.turns.clear()
        typer.echo(scene(conversation))
    elif name == "again":
        conversation.turns.clear()
        typer.echo(scene(conversation))
    else:
        typer.echo(HELP)


def answer(conversation: Conversation, line: str) -> None:
    """Stream a reply."""
    typer.echo(f"{speaker(conversation)}: ", nl=False)
    reply, dropped = conversation.reply(line, lambda text: typer.echo(text, nl=False))
    typer.echo("" if reply.stopped else " … (cut at the length limit)")
    if dropped:
        typer.echo(f"({dropped} oldest turns no longer fit the model's window)", err=True)
