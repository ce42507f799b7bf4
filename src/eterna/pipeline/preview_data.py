"""`eterna data preview`: how a file would be read, before there is a run file or a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any

from eterna.config import Columns, Source
from eterna.config.writing import to_flow_yaml, to_yaml
from eterna.data.examples import RawExample, read_row
from eterna.data.formats import FORMATS, detect_format
from eterna.data.mapping import common_columns, propose_columns
from eterna.data.row_files import Row, read_row_file
from eterna.data.sources import read_source
from eterna.data.tables import is_table, open_table
from eterna.errors import DataError, Place, Problem
from eterna.text import shown

LOOKED_AT = 1000  # rows
KEPT = 20  # problems


@dataclass(frozen=True)
class PreviewedExample:
    """One example as turns; plain text is a turn of nobody."""

    id: str
    place: str
    turns: list[tuple[str, str]]
    """(speaker, text)."""


@dataclass(frozen=True)
class Preview:
    """What the first rows of a file are."""

    path: str
    formats: dict[str, int]
    """Rows of each format, the most frequent first."""
    rows: int
    """Rows looked at."""
    all_rows: bool
    """Whether these are all that the file has."""
    columns: dict[str, str]
    """Column to what it becomes."""
    ignored: list[str]
    """Columns that mean nothing here."""
    bad_rows: int
    problems: list[Problem] = field(compare=False)
    """Of the bad rows, the first ones."""
    examples: list[PreviewedExample]
    yaml: str
    """Lines for a run file."""

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"problems": [str(one) for one in self.problems]}


def preview_data(path: str, form: str = "auto", renamed: dict[str, str] | None = None, count: int = 3) -> Preview:
    """Look at the first LOOKED_AT rows. renamed: fields of `data.columns` to column names.

    Raises DataError for a file that cannot be read, and for one without a usable row, with the mapping that was
    probably meant.
    """
    columns = Columns(**(renamed or {}))
    source = Source(path=path, format=form)
    if not is_table(path) and Path(path).suffix == ".txt":
        return _preview_text(source, columns, renamed or {})
    rows = list(islice(_rows(source, columns), LOOKED_AT + 1))
    looked_at = rows[:LOOKED_AT]
    found: Counter[str] = Counter()
    seen: dict[str, str] = {}
    names: dict[str, None] = {}
    for _, _, row in looked_at:
        name = None if isinstance(row, Problem) else form if form != "auto" else detect_format(row, columns)
        if not isinstance(row, Problem):
            names |= dict.fromkeys(row)
        if name in FORMATS and not isinstance(row, Problem):
            found[name] += 1
            seen |= {column: meaning for column, meaning in FORMATS[name].takes(row, columns).items() if column in row}
    read = [read_row(row, place, own, form, columns) for place, own, row in looked_at]
    examples = [example for one in read if isinstance(one, list) for example in one]
    problems = [one for one in read if isinstance(one, Problem)]
    if not examples:
        raise DataError(_why_nothing(source, columns, looked_at, problems, renamed or {}))
    common = {column: meaning for column, meaning in common_columns(columns).items() if column in names}
    return Preview(
        path,
        dict(found.most_common()),
        len(looked_at),
        len(rows) <= LOOKED_AT,
        seen | common,
        [name for name in names if name not in seen and name not in common],
        len(problems),
        problems[:KEPT],
        [_previewed(one) for one in examples[:count]],
        _yaml(source, renamed or {}),
    )


def _rows(source: Source, columns: Columns) -> Iterable[Row]:
    assert source.path is not None
    return (
        open_table(source, "train").rows()
        if is_table(source.path)
        else read_row_file(Path(source.path), columns.weight)
    )


def _preview_text(source: Source, columns: Columns, renamed: dict[str, str]) -> Preview:
    examples = read_source(source, columns, None, "train").examples
    assert source.path is not None
    kind = source.format if source.format != "auto" else "text"
    shown_examples = [_previewed(one) for one in examples[:1]]
    return Preview(
        source.path, {kind: len(examples)}, len(examples), True, {}, [], 0, [], shown_examples, _yaml(source, renamed)
    )


def _previewed(example: RawExample) -> PreviewedExample:
    turns = [(str(one.get("name") or one["role"]), one["content"]) for one in example.messages]
    return PreviewedExample(example.id, str(example.place), turns or [("", example.text)])


def _why_nothing(
    source: Source, columns: Columns, rows: list[Row], problems: list[Problem], renamed: dict[str, str]
) -> Iterator[Problem]:
    """No row can be used: the mapping that was probably meant, then what is wrong with the rows."""
    if not rows:
        yield Problem(f"{source.path} holds no rows", Place(str(source.path), 1))
        return
    first = next((row for _, _, row in rows if not isinstance(row, Problem)), None)
    unknown = first is not None and source.format == "auto" and detect_format(first, columns) is None
    if first is not None and unknown:
        meant = propose_columns(first, columns)
        options = " ".join(f"--columns.{name} {quote(column)}" for name, column in ({**renamed, **meant}).items())
        fix = f"eterna data preview {source.path} {options}" if meant else _known_shapes(columns)
        yield Problem(f"no format fits the columns {', '.join(map(shown, first))}", rows[0][0], fix)
    else:
        yield from problems


def _known_shapes(columns: Columns) -> str:
    shapes = f"{columns.messages}; {columns.prompt} and {columns.completion}; conversations; instruction and output"
    return f"expected {shapes}; or {columns.text}; name yours with --columns.prompt and the like"


def _yaml(source: Source, renamed: dict[str, str]) -> str:
    values: dict[str, Any] = {"path": source.path}
    if source.format != "auto":
        values["format"] = source.format
    lines = to_yaml({"data": {"train": [values]}}).rstrip("\n")
    return lines + (f"\n    columns: {to_flow_yaml(dict(renamed))}" if renamed else "")
