"""Reading examples: conversations and plain text from files and data sets in any known format; a world's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from eterna.config import Columns, Source
from eterna.data.books import read_book
from eterna.data.conversations import up_to_last_answer
from eterna.data.examples import RawExample, read_row
from eterna.data.row_files import Row, read_row_file
from eterna.data.skipping import SkippedRow
from eterna.data.tables import is_table, open_table
from eterna.errors import DataError, Place, Problem
from eterna.files import read_text, sha256_of
from eterna.text import name_hint, shown
from eterna.world import Context, Scene, World, build_messages
from eterna.world.schema import Split


@dataclass(frozen=True)
class SourceContent:
    """What one source holds."""

    examples: list[RawExample]
    sha256: str
    """Content hash: of the file, the folder, the world, or the Hub data set at its commit."""
    commit: str | None = None
    """Of a Hub data set."""
    skipped: list[SkippedRow] = field(default_factory=list)
    """Rows that cannot be used, with `data.skip_bad`."""
    notes: list[str] = field(default_factory=list)
    """What a person should know about how it was read."""


def source_name(source: Source, split: Split) -> str:
    """How a source is called in messages and records."""
    if source.path:
        details = [detail for detail in (source.name, source.revision, source.split) if detail]
        return source.path + (f" ({', '.join(details)})" if details else "")
    voice = f", voice {source.voice}" if source.voice else ""
    return f"world: {source.world}" + (f" ({source.split or split}{voice})" if source.world == "examples" else voice)


def distinct_labels(paths: Iterable[str]) -> dict[str, str]:
    """Each path to its shortest ending, of whole parts, that no other of them has: `valid.jsonl`, or `en/valid.jsonl`
    beside `es/valid.jsonl`. So the names of rows do not depend on where a folder lies."""
    parts = {path: Path(path).parts for path in paths}
    depth = dict.fromkeys(parts, 1)
    while True:
        labels = {path: "/".join(parts[path][-depth[path] :]) for path in parts}
        shared = {label for label, count in Counter(labels.values()).items() if count > 1}
        longer = [path for path, label in labels.items() if label in shared and depth[path] < len(parts[path])]
        if not longer:
            return labels
        for path in longer:
            depth[path] += 1


def read_source(
    source: Source, columns: Columns, world: World | None, split: Split, skip_bad: bool = False, label: str = ""
) -> SourceContent:
    """All examples of one source, in its own order. `split` is used where the source names none.

    label: what examples without an id of their own are called after; the file's name where it is empty.

    Raises DataError listing every wrong line or row; `skip_bad` leaves those out and keeps them aside instead.
    """
    columns = source.columns or columns
    label = label or Path(source.path or "").name
    skipped: list[SkippedRow] | None = [] if skip_bad else None
    if source.world:
        assert world is not None, "the config check demands a world"
        _check_voice(source, world)
        found = _world_examples(world, source, split) if source.world == "examples" else _world_books(world, source)
        content = SourceContent(list(found), world.sha256)
    elif source.format == "book":
        content = _book(Path(source.path or ""), source, label)
    elif is_table(source.path or ""):
        table = open_table(source, split)
        content = SourceContent(
            list(_examples(table.rows(label), source.format, columns, skipped)),
            table.sha256,
            table.commit,
            skipped or [],
        )
    else:
        path = Path(source.path or "")
        examples = list(_file_examples(path, label, source, columns, skipped))
        content = SourceContent(examples, sha256_of(path), skipped=skipped or [])
    if not content.examples:
        problems = [one.problem for one in content.skipped]
        empty = f"{source_name(source, split)} holds no examples" + (" that can be used" if problems else "")
        raise DataError([Problem(empty, fix="check the file, the split and the voice"), *problems])
    return content


def _book(path: Path, source: Source, label: str) -> SourceContent:
    if source.split:
        raise DataError(f"{path} has no splits", fix="remove split")
    if path.suffix not in (".txt", ".md"):
        raise DataError(f"{path} is no plain text, which format: book reads", fix="use a .txt or .md file")
    book = read_book(path)
    name = label.removesuffix(path.suffix)
    examples = [
        RawExample(
            f"{label}:{scene.name}",
            Place(str(path), scene.line),
            text=scene.text,
            title=f"{book.title}: {scene.heading}" if scene.heading else book.title,
            group=f"{label}:{scene.chapter}",
            scene=Scene(voice=name, language=book.language, book=name),
        )
        for scene in book.scenes
    ]
    return SourceContent(examples, sha256_of(path), notes=[book.note()])


def _file_examples(
    path: Path, label: str, source: Source, columns: Columns, skipped: list[SkippedRow] | None
) -> Iterator[RawExample]:
    if source.split:
        raise DataError(f"{path} has no splits", fix="remove split, or save it as .parquet")
    if path.suffix == ".txt" and source.format in ("auto", "text"):
        name = label.removesuffix(path.suffix)
        yield RawExample(label, Place(str(path), 1), text=_text_file(path), title=name, group=name)
    else:
        yield from _examples(read_row_file(path, columns.weight, label), source.format, columns, skipped)


def _text_file(path: Path) -> str:
    text = read_text(path).strip()
    if not text:
        raise DataError("the file holds no text", Place(str(path), 1), "check the file; blank lines are no text")
    return text


def _check_voice(source: Source, world: World) -> None:
    known = {**world.npcs, **world.books, **world.places} if source.world == "examples" else world.books
    if source.voice and source.voice not in known:
        kind = "NPC, book or place" if source.world == "examples" else "book"
        raise DataError(f"the world {world.id} has no {kind} {shown(source.voice)}", fix=name_hint(source.voice, known))


def _world_examples(world: World, source: Source, split: Split) -> Iterator[RawExample]:
    for example in world.examples:
        if example.split != (source.split or split):
            continue
        for voice in example.voices():
            if source.voice in (None, voice):
                turns = build_messages(world, Context.of(example, voice), example.turns)
                yield RawExample(
                    f"{world.id}/{example.id}" + ("" if voice == example.voice else f"@{voice}"),
                    None,
                    messages=up_to_last_answer(turns),
                    title=_title(world, voice, example.place),
                    group=example.id,
                    scene=Scene.of(world, example, voice),
                    origin=f"{world.id}/{example.id}",
                    weight=example.weight,
                )


def _title(world: World, voice: str, place: str | None) -> str:
    return " · ".join(dict.fromkeys(world.name_of(name) for name in (voice, place) if name))


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


def _examples(
    rows: Iterable[Row], form: str, columns: Columns, skipped: list[SkippedRow] | None
) -> Iterator[RawExample]:
    problems: list[Problem] = []
    seen: dict[str, Place] = {}
    for place, own_name, row in rows:
        examples = read_row(row, place, own_name, form, columns)
        if not isinstance(examples, Problem) and (twice := next((one for one in examples if one.id in seen), None)):
            message = f"the id {shown(twice.id)} stands twice (first at {seen[twice.id]})"
            examples = Problem(message, place, "give each example its own id")
        if isinstance(examples, Problem):
            if skipped is None:
                problems.append(examples)
            else:
                skipped.append(SkippedRow.of(row, place, examples))
            continue
        seen |= {example.id: place for example in examples}
        yield from examples
    if problems:
        raise DataError(problems)
