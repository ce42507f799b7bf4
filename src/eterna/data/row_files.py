"""Rows of text files: .jsonl, .json, .csv and .tsv. Each with its place and its own name; the bad ones as BadRow.

What spoils the whole file (another kind of file, broken quoting, a broken array) is raised as DataError.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from eterna.data.skipping import BadRow
from eterna.data.sniffing import check_kind
from eterna.errors import DataError, Place, Problem
from eterna.files import MAX_LINE_BYTES, parse_json_object, read_text
from eterna.text import plural, shown

Row = tuple[Place, str, dict[str, Any] | Problem]  # where it stands, its own name, what it holds


def read_row_file(path: Path, weight: str, label: str = "") -> Iterator[Row]:
    """The rows of one file, by its suffix; anything unknown is read as .jsonl.

    weight: the column that holds a number, for files whose cells are text. label: what rows are called after, where
    the file's own name does not tell it from another.
    """
    check_kind(path)
    suffix = path.suffix.lower()
    label = label or path.name
    if suffix in SEPARATORS:
        return _csv_rows(path, label, SEPARATORS[suffix], weight)
    return READERS.get(suffix, _json_lines)(path, label)


def _json_lines(path: Path, label: str) -> Iterator[Row]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            place = Place(str(path), number)
            yield place, f"{label}:{number}", _bad(parse_json_object(line, place), line)


def _bad(row: dict[str, Any] | Problem, raw: str) -> dict[str, Any] | Problem:
    return BadRow(row.message, row.place, row.fix, raw) if isinstance(row, Problem) else row


_BLANK = re.compile(r"[ \t\r\n]*")
_LENIENT = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)


def _json_array(path: Path, label: str) -> Iterator[Row]:
    """The elements of one array. An element is found leniently, so that reading can go on after a bad one, and then
    checked by the same rules as a line of a .jsonl file."""
    text = read_text(path)
    at = _BLANK.match(text).end()  # type: ignore[union-attr]
    if text[at : at + 1] != "[":
        fix = "one object a line belongs in a .jsonl file" if text[at : at + 1] == "{" else 'write [{"messages": ...}]'
        raise DataError(f"{path} holds no JSON array, but {shown(text[at : at + 20])}", Place(str(path), 1), fix)
    line, counted, number = 1, 0, 0
    at = _after_blank(text, at + 1)
    closed = text[at : at + 1] == "]"
    at += closed
    while not closed:
        number += 1
        line, counted = line + text.count("\n", counted, at), at
        place = Place(f"{path} (element {number})", line)
        end = _element_end(text, at, place)
        raw = text[at:end]
        yield place, f"{label}:{number}", _bad(parse_json_object(raw, place), raw)
        at = _after_blank(text, end)
        sign, at = text[at : at + 1], _after_blank(text, at + 1)
        closed = sign == "]"
        if not closed and sign != ",":
            raise DataError(f"a comma or ] is missing after element {number}, found {shown(sign)}", place, WHOLE)
    if rest := text[at:].strip():
        raise DataError(f"after the array stands {shown(rest)}", Place(str(path)), "keep one array in the file")


WHOLE = "the array must be whole: check the commas and brackets here"


def _after_blank(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]


def _element_end(text: str, at: int, place: Place) -> int:
    try:
        return _LENIENT.raw_decode(text, at)[1]
    except json.JSONDecodeError as error:
        line = text.count("\n", 0, error.pos) + 1
        where = Place(place.file, line, error.pos - text.rfind("\n", 0, error.pos))
        raise DataError(f"not valid JSON: {error.msg}", where, WHOLE) from None
    except RecursionError:
        raise DataError("the JSON is nested too deeply", place, "keep it below 64 levels") from None


SEPARATORS = {".csv": ",", ".tsv": "\t"}
READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {".jsonl": _json_lines, ".json": _json_array}
QUOTED = "put a text that holds a comma, a quotation mark or a line break between quotation marks"


def _csv_rows(path: Path, label: str, separator: str, weight: str) -> Iterator[Row]:
    """Rows as column -> text, without the empty cells. A row's line is where it begins; blank rows are passed over."""
    csv.field_size_limit(MAX_LINE_BYTES)
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    begin = 1
    try:
        for cells in reader:
            place, begin = Place(str(path), begin), reader.line_num + 1
            if not any(cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                _check_header(header, separator, place)
                continue
            if len(cells) != len(header):
                what = f"{plural(len(cells), 'cell')} where the header has {len(header)}"
                row: dict[str, Any] | Problem = BadRow(what, place, QUOTED, separator.join(cells))
            else:
                row = _with_number(dict(zip(header, cells, strict=True)), weight)
            yield place, f"{label}:{place.line}", row
    except csv.Error as error:
        raise DataError(f"not valid CSV: {error}", Place(str(path), begin), QUOTED) from None


def _with_number(cells: dict[str, str], weight: str) -> dict[str, Any]:
    """The filled cells, all text but the weight; a weight that is no number stays text, for the row check to name."""
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if cell}
    try:
        return row | ({weight: float(row[weight])} if weight in row else {})
    except ValueError:
        return row


def _check_header(header: list[str], separator: str, place: Place) -> None:
    other = next((sign for sign in ";\t," if sign != separator and sign in header[0]), None)
    if len(header) == 1 and other:
        kind = {",": "commas: name it .csv", "\t": "tabs: name it .tsv", ";": "semicolons: save it with commas"}[other]
        what, _, fix = kind.partition(": ")
        raise DataError(f"the columns are separated by {what}", place, fix)
    unnamed = [number for number, name in enumerate(header, start=1) if not name]
    problems = [Problem(f"column {number} has no name in the header", place, UNNAMED) for number in unnamed]
    problems += [
        Problem(f"the column {shown(name)} stands {header.count(name)} times in the header", place, "name each once")
        for name in dict.fromkeys(header)
        if name and header.count(name) > 1
    ]
    if problems:
        raise DataError(problems)


UNNAMED = "name it, or save the table without its index (pandas: to_csv(..., index=False))"
