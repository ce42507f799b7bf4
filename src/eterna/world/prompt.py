"""The one prompt builder: place + book + NPC + known revelaciones + turns become chat messages.

Training, evaluation, chat and serving all call `build_messages` and `arrange`, so they cannot drift apart.

A model answers as one voice. Whoever else speaks stands on the user's side: the player without a name, others with
`Name: ` before their words, a narrator in brackets. How a turn looks depends on that turn alone, never on what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from eterna.world.schema import NARRATOR, PLAYER, Example, Turn, World

NARRATORS = (NARRATOR, "narrador", "narradora")
JOINT = "\n"  # between the turns of one side that follow each other


class Message(TypedDict):
    """One chat message; role is system, user or assistant."""

    role: str
    content: str
    name: NotRequired[str]
    """Who speaks, where that is not the player (user) or the one voice that answers (assistant)."""
    weight: NotRequired[float]
    """Loss weight of an answer; 1 when absent, 0 is context only."""


@dataclass(frozen=True)
class Block:
    """What one side says before the other does, as the chat template gets it."""

    role: str
    pieces: tuple[tuple[str, float], ...]
    """(text, loss weight) of each turn."""
    first: int
    """Number of its first message in the conversation, from 0."""

    @property
    def content(self) -> str:
        """The turns, a line break between them."""
        return JOINT.join(text for text, _ in self.pieces)


@dataclass(frozen=True)
class Context:
    """What a reply must fit. Any part may be absent."""

    npc: str | None = None
    place: str | None = None
    book: str | None = None
    known: tuple[str, ...] = ()

    @classmethod
    def of(cls, example: Example, voice: str) -> Context:
        """The context of one of the world's examples, for the voice that answers."""
        npc = voice if example.npc else None
        return cls(npc, example.place, example.book, tuple(example.known))

    @property
    def voice(self) -> str:
        """Who answers: the NPC, else the open book, else the place; empty where there is none."""
        return self.npc or self.book or self.place or ""


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
    place: str = ""
    """Id of the place; empty when nobody said."""
    book: str = ""
    """Id of the open book, or of the book that the text is from; empty when nobody said."""

    @property
    def slices(self) -> tuple[str, ...]:
        """What figures are also given for: `voice: abel`, `place: patio`, `book: ...`, `language: es`."""
        said = (("voice", self.voice), ("place", self.place), ("book", self.book), ("language", self.language))
        return tuple(f"{name}: {value}" for name, value in said if value)

    @classmethod
    def of(cls, world: World, example: Example, voice: str) -> Scene:
        """The scene of one of the world's examples, answered by `voice`."""
        facts: list[tuple[str, tuple[str, ...]]] = []
        if example.place:
            facts.append(("place", world.places[example.place].lines()))
        if example.book:
            facts.append(("book", world.books[example.book].lines()))
        return cls(
            voice,
            example.language,
            tuple(facts),
            tuple(example.serves),
            tuple(example.known),
            example.place or "",
            example.book or "",
        )


def system_text(world: World, context: Context) -> str:
    """Persona, place, book and what the reader has understood, one short line each.

    Without an NPC the open book is the persona, and without a book whoever tells of the place.
    """
    lines = []
    if context.npc:
        npc = world.npcs[context.npc]
        lines.append(f"You are {npc.name}, {npc.role.rstrip('.')}. {npc.manner}")
    elif context.book:
        lines.append(f"You are the open book and go on. {world.books[context.book].voice}")
    elif context.place:
        lines.append("You tell the reader what is here.")
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

    The context's NPC answers: that NPC's turns become `assistant`, everyone else's `user`. Without an NPC whoever is
    neither player nor narrator answers, such as a book or a place.
    """
    system = system_text(world, context)
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for turn in turns:
        others = turn.speaker in (PLAYER, NARRATOR)
        answers = turn.speaker == context.npc if context.npc else not others
        message: Message = {"role": "assistant" if answers else "user", "content": turn.text.strip()}
        if not answers and turn.speaker != PLAYER:
            known = world.npcs.get(turn.speaker)
            message["name"] = known.name if known else turn.speaker
        if turn.weight != 1:
            message["weight"] = turn.weight
        messages.append(message)
    return messages


def arrange(messages: Sequence[Message]) -> list[Block]:
    """What the chat template gets: the names of others before their words, neighbouring turns of one side joined."""
    blocks: list[Block] = []
    for number, message in enumerate(messages):
        piece = (_said(message), message.get("weight", 1.0))
        if blocks and blocks[-1].role == message["role"]:
            last = blocks[-1]
            blocks[-1] = Block(last.role, (*last.pieces, piece), last.first)
        else:
            blocks.append(Block(message["role"], (piece,), number))
    return blocks


def _said(message: Message) -> str:
    text, name = message["content"], message.get("name")
    if message["role"] != "user" or not name:
        return text
    if name.lower() not in NARRATORS:
        return f"{name}: {text}"
    return text if text.startswith("(") and text.endswith(")") else f"({text})"


def fit_turns(
    messages: Sequence[Message], count_tokens: Callable[[Sequence[Message]], int], budget: int
) -> tuple[list[Message], int]:
    """Drop the oldest turns until the prompt fits `budget` tokens; persona, place and book always stay.

    An answer whose question was dropped goes with it. Returns the messages kept and how many were dropped. The last
    message is never dropped, even past the budget.
    """
    head = [message for message in messages if message["role"] == "system"]
    turns = [message for message in messages if message["role"] != "system"]
    dropped = 0
    while len(turns) > 1 and count_tokens([*head, *turns]) > budget:
        turns, dropped = turns[1:], dropped + 1
        while len(turns) > 1 and turns[0]["role"] == "assistant":
            turns, dropped = turns[1:], dropped + 1
    return [*head, *turns], dropped
