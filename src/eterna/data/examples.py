"""One row of a file as examples: its conversation or text, and what it says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from eterna.config import Columns
from eterna.data.conversations import check_conversation, is_weight, read_messages, read_turns, views
from eterna.data.formats import convert_row
from eterna.errors import Place, Problem
from eterna.text import name_hint, shown
from eterna.world import Message, Scene


@dataclass(frozen=True)
class RawExample:
    """An example before tokenizing: a conversation (`messages`) or plain text (`text`)."""

    id: str
    place: Place | None
    messages: tuple[Message, ...] = ()
    text: str = ""
    title: str = ""
    """A short name for people."""
    group: str = field(default="", compare=False)
    """What it belongs to (book, conversation): intervals are taken over groups of dependent items."""
    scene: Scene = field(default=Scene(), compare=False)
    """Who speaks and what it must fit, as far as it is known."""
    origin: str = ""
    """The conversation that it is one side of: two sides of one conversation are no copies of each other."""
    weight: float = 1.0
    """Loss weight of the whole example, times those of its turns."""


def read_row(
    row: dict[str, Any] | Problem, place: Place, own_name: str, form: str, columns: Columns
) -> list[RawExample] | Problem:
    """One row of any format as examples, one for each voice that answers in it, or what is wrong with it.

    `own_name` is its id where the row has none.
    """
    canonical = row if isinstance(row, Problem) else convert_row(row, place, form, columns)
    return canonical if isinstance(canonical, Problem) else _examples_of_row(canonical, place, own_name, columns)


def _examples_of_row(row: dict[str, Any], place: Place, own_name: str, columns: Columns) -> list[RawExample] | Problem:
    name = row.get(columns.id)
    if name is not None and not (isinstance(name, str | int) and str(name)):
        return Problem(f"{columns.id} is {shown(name)}", place, "an id is text or a number")
    identity = str(name) if name is not None else own_name
    weight = row.get(columns.weight, 1.0)
    if not is_weight(weight) or weight == 0:
        return Problem(f"{columns.weight} is {shown(weight)}", place, "a number above 0, at most 1000")
    if not row:
        return Problem("every column is empty", place, "fill it in, or remove the row")
    found = _detect(row, columns)
    if found is None:
        wanted = f"{columns.messages}; {columns.prompt} and {columns.completion}; turns; or {columns.text}"
        return Problem(
            f"the columns are {', '.join(map(shown, islice(row, 15)))}" + (", ..." if len(row) > 15 else ""),
            place,
            f"expected {wanted}; map other names under data.columns",
        )
    needed = {
        "messages": [columns.messages],
        "prompt_completion": [columns.prompt, columns.completion],
        "turns": ["turns"],
        "text": [columns.text],
    }[found]
    missing = [column for column in needed if row.get(column) is None]
    if missing:
        return Problem(f"the column {missing[0]} is missing", place, name_hint(missing[0], row))
    group = identity if row.get("group") is None else str(row["group"])
    if found == "text":
        text = row[columns.text]
        if not isinstance(text, str) or not text.strip():
            return Problem(f"{columns.text} is {shown(text)}", place, "expected text")
        scene = _scene(row, "", ())
        return [RawExample(identity, place, text=text, title=identity, group=group, scene=scene, weight=float(weight))]
    messages = _messages(found, [row[column] for column in needed], place)
    if isinstance(messages, Problem):
        return messages
    seen = views(messages)
    return [
        RawExample(
            identity if len(seen) == 1 else f"{identity}@{voice}",
            place,
            view,
            title=identity,
            group=group,
            scene=_scene(row, voice, view),
            origin=str(place) if len(seen) > 1 else "",
            weight=float(weight),
        )
        for voice, view in seen
    ]


def _messages(form: str, values: list[Any], place: Place) -> list[Message] | Problem:
    if form == "messages":
        return read_messages(values[0], place)
    if form == "turns":
        return read_turns(values[0], place)
    prompt, completion = read_messages(values[0], place, "user"), read_messages(values[1], place, "assistant")
    if isinstance(prompt, Problem):
        return prompt
    if isinstance(completion, Problem):
        return completion
    return check_conversation([*prompt, *completion], place) or [*prompt, *completion]


def _scene(row: dict[str, Any], voice: str, messages: Sequence[Message]) -> Scene:
    """What the row says about itself: voice, language, place, book; a system text is what its answers must fit."""
    persona = [message["content"] for message in messages if message["role"] == "system"]
    lines = tuple(line.strip() for text in persona for line in text.splitlines() if line.strip())
    said = {name: row[name] for name in ("voice", "language", "place", "book") if isinstance(row.get(name), str)}
    if voice:
        said["voice"] = voice
    return Scene(**said, facts=(("persona", lines),) if lines else ())


def _detect(row: dict[str, Any], columns: Columns) -> str | None:
    if columns.messages in row:
        return "messages"
    if columns.prompt in row and columns.completion in row:
        return "prompt_completion"
    if "turns" in row:
        return "turns"
    return "text" if columns.text in row else None
