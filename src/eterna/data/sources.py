"""Reading examples: messages, prompt/completion and plain text from files and data sets; a world's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from eterna.config import Columns, Source
from eterna.data.tables import is_table, open_table
from eterna.errors import DataError, Place, Problem
from eterna.files import read_json_lines, read_text, sha256_of
from eterna.text import name_hint, shown
from eterna.world import Context, Message, Scene, World, build_messages
from eterna.world.schema import Split

ROLES = ("system", "user", "assistant")

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
        raise DataError("the file holds no text", Place(str(path), 1), "check the file; blank lines are no text")
    return text


def _check_voice(source: Source, world: World) -> None:
    known = world.npcs if source.world == "examples" else world.books
    if source.voice and source.voice not in known:
        kind = "NPC" if source.world == "examples" else "book"
        raise DataError(f"the world {world.id} has no {kind} {shown(source.voice)}", fix=name_hint(source.voice, known))


def _world_examples(world: World, source: Source, split: Split) -> Iterator[RawExample]:
    for example in world.examples:
        if example.split == (source.split or split) and source.voice in (None, example.npc):
            yield RawExample(
                f"{world.id}/{example.id}",
                None,
                messages=tuple(build_messages(world, Context.of(example), example.turns)),
                title=f"{world.npcs[example.npc].name} · {world.places[example.place].name}",
                group=example.id,
                scene=Scene.of(world, example),
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
                    scene=Scene(voice=book.id, language=book.language),
                )


def _examples(rows: Iterable[Row], form: str, columns: Columns) -> Iterator[RawExample]:
    problems: list[Problem] = []
    seen: dict[str, Place] = {}
    for place, own_name, row in rows:
        example = row if isinstance(row, Problem) else example_of_row(row, place, own_name, form, columns)
        if isinstance(example, Problem):
            problems.append(example)
            continue
        if example.id in seen:
            problems.append(
                Problem(
                    f"the id {shown(example.id)} stands twice (first at {seen[example.id]})",
                    place,
                    "give each example its own id",
                )
            )
        seen[example.id] = place
        yield example
    if problems:
        raise DataError(problems)


def example_of_row(
    row: dict[str, Any], place: Place, own_name: str, form: str, columns: Columns
) -> RawExample | Problem:
    """One row as an example, or what is wrong with it. `own_name` is its id where the row has none."""
    name = row.get(columns.id)
    if name is not None and not (isinstance(name, str | int) and str(name)):
        return Problem(f"{columns.id} is {shown(name)}", place, "an id is text or a number")
    identity = str(name) if name is not None else own_name
    found = form if form != "auto" else _detect(row, columns)
    if not row:
        return Problem("every column is empty", place, "fill it in, or remove the row")
    if found is None:
        wanted = f"{columns.messages}; {columns.prompt} and {columns.completion}; or {columns.text}"
        return Problem(
            f"the columns are {', '.join(map(shown, islice(row, 15)))}" + (", ..." if len(row) > 15 else ""),
            place,
            f"expected {wanted}; map other names under data.columns",
        )
    needed = {
        "messages": [columns.messages],
        "prompt_completion": [columns.prompt, columns.completion],
        "text": [columns.text],
    }[found]
    missing = [column for column in needed if row.get(column) is None]
    if missing and missing[0] in row:
        return Problem(f"the column {missing[0]} is missing (null)", place, "fill it in, or remove the row")
    if missing:
        return Problem(f"the column {missing[0]} is missing", place, name_hint(missing[0], row))
    if found == "text":
        text = row[columns.text]
        if not isinstance(text, str) or not text.strip():
            return Problem(f"{columns.text} is {shown(text)}", place, "expected text")
        return RawExample(
            identity, place, text=text, title=identity, group=_group(row, identity), scene=_scene(row, [])
        )
    if found == "messages":
        parts: list[tuple[Any, str | None]] = [(row[columns.messages], None)]
    else:
        parts = [
            (row[columns.prompt], "user"),
            (row[columns.completion], "assistant"),
        ]
    messages: list[Message] = []
    for value, role in parts:
        checked = _messages(value, place, role)
        if isinstance(checked, Problem):
            return checked
        messages += checked
    problem = _conversation_problem(messages, place)
    return problem or RawExample(
        identity, place, tuple(messages), title=identity, group=_group(row, identity), scene=_scene(row, messages)
    )


def _group(row: dict[str, Any], identity: str) -> str:
    return str(row.get("group", identity))


def _scene(row: dict[str, Any], messages: list[Message]) -> Scene:
    """What the row says about itself: `voice` and `language`; a system text is what its answers must fit."""
    voice, language = row.get("voice"), row.get("language")
    persona = [message["content"] for message in messages if message["role"] == "system"]
    lines = tuple(line.strip() for text in persona for line in text.splitlines() if line.strip())
    return Scene(
        voice if isinstance(voice, str) else "",
        language if isinstance(language, str) else "",
        (("persona", lines),) if lines else (),
    )


def _detect(row: dict[str, Any], columns: Columns) -> str | None:
    if columns.messages in row:
        return "messages"
    if columns.prompt in row and columns.completion in row:
        return "prompt_completion"
    return "text" if columns.text in row else None


def _messages(value: Any, place: Place, role: str | None) -> list[Message] | Problem:
    """A list of {role, content}; plain text stands for one message of `role`."""
    if isinstance(value, str) and role:
        value = [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        return Problem(
            f"expected a list of messages, found {shown(value)}",
            place,
            '[{"role": "user", "content": "..."}, ...]',
        )
    found: list[Message] = []
    for turn, message in enumerate(value, start=1):
        if (
            not isinstance(message, dict)
            or set(message) - {"role", "content", "name"}
            or not {"role", "content"} <= set(message)
        ):
            return Problem(f"message {turn} is {shown(message)}", place, "expected the keys role and content")
        if message["role"] not in ROLES:
            return Problem(
                f"message {turn} has the role {shown(message['role'])}",
                place,
                name_hint(str(message["role"]), ROLES),
            )
        if not isinstance(message["content"], str) or not message["content"].strip():
            return Problem(f"message {turn} has the content {shown(message['content'])}", place, "expected text")
        found.append({"role": message["role"], "content": message["content"]})
    return found


def _conversation_problem(messages: list[Message], place: Place) -> Problem | None:
    roles = [message["role"] for message in messages]
    if "system" in roles[1:]:
        return Problem(
            f"message {roles.index('system', 1) + 1} is a system message",
            place,
            "a system message stands first",
        )
    if "assistant" not in roles:
        return Problem(
            "the conversation holds no answer (role assistant)",
            place,
            "there is nothing to learn from it; remove the line",
        )
    if roles[-1] != "assistant":
        return Problem(f"the last message is the {roles[-1]}'s", place, "end with an answer (role assistant)")
    turns = [role for role in roles if role != "system"]
    for position in range(1, len(turns)):
        if turns[position] == turns[position - 1]:
            number = position + 1 + len(roles) - len(turns)
            return Problem(
                f"messages {number - 1} and {number} are both the {turns[position]}'s",
                place,
                "join them, or put the other side's turn between",
            )
    return None
