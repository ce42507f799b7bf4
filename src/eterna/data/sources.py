"""Reading examples: messages, prompt/completion and plain text from files and data sets; a world's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eterna.config import Columns, Source
from eterna.data.conversations import (
    check_conversation,
    is_weight,
    read_messages,
    read_turns,
    up_to_last_answer,
    views,
)
from eterna.data.tables import is_table, open_table
from eterna.errors import DataError, Place, Problem
from eterna.files import read_json_lines, read_text, sha256_of
from eterna.text import name_hint, shown
from eterna.world import Context, Message, Scene, World, build_messages
from eterna.world.schema import Split

Row = tuple[Place, str, dict[str, Any] | Problem]  # where it stands, its own name, what it holds


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
    weight: float = 1.0
    """Loss weight of the whole example, times those of its turns."""


@dataclass(frozen=True)
class SourceContent:
    """What one source holds."""

    examples: list[RawExample]
    sha256: str
    """Content hash: of the file, the folder, the world, or the Hub data set at its commit."""
    commit: str | None = None
    """Of a Hub data set."""


def source_name(source: Source, split: Split) -> str:
    """How a source is called in messages and records."""
    if source.path:
        details = [detail for detail in (source.name, source.revision, source.split) if detail]
        return source.path + (f" ({', '.join(details)})" if details else "")
    voice = f", voice {source.voice}" if source.voice else ""
    return f"world: {source.world}" + (f" ({source.split or split}{voice})" if source.world == "examples" else voice)


def read_source(source: Source, columns: Columns, world: World | None, split: Split) -> SourceContent:
    """All examples of one source, in its own order. `split` is used where the source names none.

    Raises DataError listing every wrong line or row.
    """
    if source.world:
        assert world is not None, "the config check demands a world"
        _check_voice(source, world)
        found = _world_examples(world, source, split) if source.world == "examples" else _world_books(world, source)
        content = SourceContent(list(found), world.sha256)
    elif is_table(source.path or ""):
        table = open_table(source, split)
        content = SourceContent(list(_examples(table.rows(), source.format, columns)), table.sha256, table.commit)
    else:
        path = Path(source.path or "")
        content = SourceContent(list(_file_examples(path, source, columns)), sha256_of(path))
    if not content.examples:
        raise DataError(
            f"{source_name(source, split)} holds no examples", fix="check the file, the split and the voice"
        )
    return content


def _file_examples(path: Path, source: Source, columns: Columns) -> Iterator[RawExample]:
    if source.split:
        raise DataError(f"{path} has no splits", fix="remove split, or save it as .parquet")
    if path.suffix == ".txt" and source.format in ("auto", "text"):
        yield RawExample(path.name, Place(str(path), 1), text=_text_file(path), title=path.stem, group=path.stem)
    else:
        yield from _examples(_json_lines(path), source.format, columns)


def _json_lines(path: Path) -> Iterator[Row]:
    for number, row in read_json_lines(path):
        yield Place(str(path), number), f"{path.name}:{number}", row


def _text_file(path: Path) -> str:
    text = read_text(path).strip()
    if not text:
        raise DataError("the file holds no text", Place(str(path), 1))
    return text


def _check_voice(source: Source, world: World) -> None:
    known = world.npcs if source.world == "examples" else world.books
    if source.voice and source.voice not in known:
        kind = "NPC" if source.world == "examples" else "book"
        raise DataError(f"the world {world.id} has no {kind} {shown(source.voice)}", fix=name_hint(source.voice, known))


def _world_examples(world: World, source: Source, split: Split) -> Iterator[RawExample]:
    for example in world.examples:
        if example.split != (source.split or split):
            continue
        for voice in example.voices():
            if source.voice in (None, voice):
                turns = build_messages(world, Context.of(example, voice), example.turns)
                yield RawExample(
                    f"{world.id}/{example.id}" + ("" if voice == example.npc else f"@{voice}"),
                    None,
                    messages=up_to_last_answer(turns),
                    title=f"{world.npcs[voice].name} · {world.places[example.place].name}",
                    group=example.id,
                    scene=Scene.of(world, example, voice),
                    weight=example.weight,
                )


def _world_books(world: World, source: Source) -> Iterator[RawExample]:
    for book in world.books.values():
        if source.voice in (None, book.id):
            for number, (heading, text) in enumerate(book.scenes(), start=1):
                yield RawExample(
                    f"{world.id}/{book.id}/{number}",
                    None,
                    text=text,
                    title=f"{book.title}: {heading}",
                    group=book.id,
                    scene=Scene(voice=book.id, language=book.language, book=book.id),
                )


def _examples(rows: Iterable[Row], form: str, columns: Columns) -> Iterator[RawExample]:
    problems: list[Problem] = []
    seen: dict[str, Place] = {}
    for place, own_name, row in rows:
        examples = row if isinstance(row, Problem) else examples_of_row(row, place, own_name, form, columns)
        if isinstance(examples, Problem):
            problems.append(examples)
            continue
        for example in examples:
            if example.id in seen:
                message = f"the id {shown(example.id)} stands twice (first at {seen[example.id]})"
                problems.append(Problem(message, place, "give each example its own id"))
            seen[example.id] = place
            yield example
    if problems:
        raise DataError(problems)


def examples_of_row(
    row: dict[str, Any], place: Place, own_name: str, form: str, columns: Columns
) -> list[RawExample] | Problem:
    """One row as examples, one for each voice that answers in it, or what is wrong with it.

    `own_name` is its id where the row has none.
    """
    name = row.get(columns.id)
    if name is not None and not (isinstance(name, str | int) and str(name)):
        return Problem(f"{columns.id} is {shown(name)}", place, "an id is text or a number")
    identity = str(name) if name is not None else own_name
    weight = row.get(columns.weight, 1.0)
    if not is_weight(weight) or weight == 0:
        return Problem(f"{columns.weight} is {shown(weight)}", place, "a number above 0, at most 1000")
    found = form if form != "auto" else _detect(row, columns)
    if found is None:
        wanted = f"{columns.messages}; {columns.prompt} and {columns.completion}; turns; or {columns.text}"
        return Problem(
            f"the columns are {', '.join(map(shown, row))}",
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
    group = str(row.get("group", identity))
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
