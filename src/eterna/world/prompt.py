"""The one prompt builder: place + book + NPC + known revelaciones + turns become chat messages.

Training, evaluation, chat and serving all call `build_messages`, so they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from eterna.world.schema import PLAYER, Example, Turn, World


class Message(TypedDict):
    """One chat message; role is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Context:
    """What a reply must fit. Any part may be absent."""

    npc: str | None = None
    place: str | None = None
    book: str | None = None
    known: tuple[str, ...] = ()

    @classmethod
    def of(cls, example: Example) -> Context:
        """The context of one of the world's examples."""
        return cls(example.npc, example.place, example.book, tuple(example.known))


@dataclass(frozen=True)
class Scene:
    """What is known about an example besides its words: who speaks, what it must fit, what it may reveal."""

    voice: str = ""
    """Id of the NPC or book whose style it has; empty when nobody said."""
    language: str = ""
    """ISO 639-1 code; empty when nobody said."""
    facts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(context, its lines) for place, book and persona, in that order where present."""
    serves: tuple[str, ...] = ()
    """Ids of the revelaciones it leads to."""
    known: tuple[str, ...] = ()
    """Ids of the revelaciones already reached."""

    @classmethod
    def of(cls, world: World, example: Example) -> Scene:
        """The scene of one of the world's examples."""
        facts: list[tuple[str, tuple[str, ...]]] = [("place", world.places[example.place].lines())]
        if example.book:
            facts.append(("book", world.books[example.book].lines()))
        return cls(example.npc, example.language, tuple(facts), tuple(example.serves), tuple(example.known))


def system_text(world: World, context: Context) -> str:
    """Persona, place, book and what the reader has understood, one short line each."""
    lines = []
    if context.npc:
        npc = world.npcs[context.npc]
        lines.append(f"You are {npc.name}, {npc.role.rstrip('.')}. {npc.manner}")
    if context.place:
        place = world.places[context.place]
        lines.append(f"Place: {place.name}. {place.light} {place.sound}")
    if context.book:
        book = world.books[context.book]
        lines.append(f"Open book: {book.title} ({book.form}).")
    if context.known:
        lines.append("The reader knows: " + " ".join(world.revelaciones[name].statement for name in context.known))
    return "\n".join(lines)


def build_messages(world: World, context: Context, turns: Iterable[Turn]) -> list[Message]:
    """Chat messages for a conversation: system first (when there is a context), then the turns.

    The player's turns become `user`, everyone else's `assistant`.
    """
    system = system_text(world, context)
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for turn in turns:
        messages.append({"role": "user" if turn.speaker == PLAYER else "assistant", "content": turn.text.strip()})
    return messages


def fit_turns(
    messages: Sequence[Message], count_tokens: Callable[[Sequence[Message]], int], budget: int
) -> tuple[list[Message], int]:
    """Drop the oldest exchanges until the prompt fits `budget` tokens; persona, place and book always stay.

    Returns the messages kept and how many were dropped. The last message is never dropped, even past the budget.
    """
    head = [message for message in messages if message["role"] == "system"]
    turns = [message for message in messages if message["role"] != "system"]
    dropped = 0
    while len(turns) > 1 and count_tokens([*head, *turns]) > budget:
        step = 2 if len(turns) > 2 else 1
        turns, dropped = turns[step:], dropped + step
    return [*head, *turns], dropped
