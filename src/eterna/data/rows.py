"""Rows given from Python, by the same checks as a file's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eterna.config import Columns
from eterna.data.examples import RawExample, read_row
from eterna.data.prepare import ReadSource
from eterna.data.sources import SourceContent
from eterna.errors import DataError, Place, Problem
from eterna.text import shown

KINDS = "a list of dicts, or a datasets.Dataset with the columns messages; prompt and completion; or text"


def read_rows(rows: Any, part: str, name: str, columns: Columns) -> ReadSource:
    """The examples of a list of dicts or a datasets.Dataset. Raises DataError listing every wrong row.

    part: `train` or `eval`. name: what the rows are called, so that a problem is found at name[3].
    """
    if isinstance(rows, str | Mapping) or not hasattr(rows, "__iter__"):
        fix = f"one of its parts: {', '.join(map(str, rows))}" if isinstance(rows, Mapping) else KINDS
        raise DataError(f"{name} is a {type(rows).__name__}, not rows", fix=fix)
    found = [_examples(row, f"{name}[{number}]", columns) for number, row in enumerate(rows)]
    if problems := [one for one in found if isinstance(one, Problem)]:
        raise DataError(problems)
    if not found:
        raise DataError(f"{name} holds no rows", fix=KINDS)
    examples = [example for one in found if isinstance(one, list) for example in one]
    _check_ids(examples)
    return ReadSource(part, name, 1.0, SourceContent(examples, ""))


def _examples(row: Any, name: str, columns: Columns) -> list[RawExample] | Problem:
    if not isinstance(row, Mapping):
        return Problem(f"expected a dict, found {shown(row)}", Place(name), KINDS)
    # A data set gives every row every column: the empty ones say nothing.
    values = {key: value for key, value in row.items() if value is not None}
    return read_row(values, Place(name), name, "auto", columns)


def _check_ids(examples: list[RawExample]) -> None:
    seen: dict[str, RawExample] = {}
    for example in examples:
        if (first := seen.setdefault(example.id, example)) is not example:
            message = f"the id {shown(example.id)} stands twice (first at {first.place})"
            raise DataError(message, example.place, "give each example its own id")
