"""Reading human ratings: one rating a row, in a .csv file with a header or a .jsonl file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eterna.errors import DataError, Place, Problem
from eterna.files import read_json_lines, read_text
from eterna.runs import SYSTEMS
from eterna.text import name_hint, shown

CRITERION = "insightfulness"
"""What was rated where the file does not say."""
NEEDED = ("item", "rater", "rating")
OPTIONAL = ("system", "criterion")
LARGEST = 100
"""No scale of ratings goes past it: 1 to 5, 1 to 7, -3 to 3, 0 to 100."""
RATED_SYSTEMS = (*SYSTEMS[:2], "reference")

Row = tuple[Place, dict[str, Any] | Problem]


@dataclass(frozen=True)
class Rating:
    """One rater's rating of one text."""

    item: str
    rater: str
    rating: float
    system: str = ""
    """Whose text it was: base, tuned or reference; empty where the file does not say."""
    criterion: str = CRITERION


def read_ratings(path: Path) -> list[Rating]:
    """All ratings, in file order. Columns: item, rater, rating; system and criterion where there are any.

    Raises DataError listing every wrong row.
    """
    if path.suffix not in (".csv", ".jsonl"):
        raise DataError(f"{path} is not a .csv or .jsonl file", fix="one rating a row: item,rater,rating")
    problems: list[Problem] = []
    ratings: dict[tuple[str, ...], Rating] = {}
    places: dict[tuple[str, ...], Place] = {}
    for place, row in _csv_rows(path) if path.suffix == ".csv" else _json_rows(path):
        rating = row if isinstance(row, Problem) else _rating(row, place)
        if isinstance(rating, Problem):
            problems.append(rating)
            continue
        key = (rating.item, rating.rater, rating.system, rating.criterion)
        if key in ratings:
            what = f"{shown(rating.rater)} rated {shown(rating.item)} twice (first at {places[key]})"
            problems.append(Problem(what, place, "keep one rating of each item, rater, system and criterion"))
            continue
        ratings[key], places[key] = rating, place
    if problems:
        raise DataError(problems)
    if not ratings:
        raise DataError("the file holds no ratings", Place(str(path), 1), "one rating a row: item,rater,rating")
    return list(ratings.values())


def _json_rows(path: Path) -> Iterator[Row]:
    for line, row in read_json_lines(path):
        yield Place(str(path), line), row


def _csv_rows(path: Path) -> Iterator[Row]:
    """Rows as column -> text; blank lines are passed over. A row's line is where it begins."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] = []
    begin = 1
    try:
        for cells in reader:
            place, begin = Place(str(path), begin), reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                _check_header(header, place)
            elif len(cells) != len(header):
                what = f"{len(cells)} columns where the header has {len(header)}"
                yield place, Problem(what, place, "put text that holds a comma between quotation marks")
            else:
                yield place, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        fix = "put text that holds a comma, a quotation mark or a line break between quotation marks"
        raise DataError(f"not valid CSV: {error}", Place(str(path), begin), fix) from None


def _check_header(header: list[str], place: Place) -> None:
    if len(header) == 1 and ";" in header[0]:
        raise DataError("the columns are separated by semicolons", place, "save the file with commas between columns")
    problems = [
        Problem(f"the column {name} is missing", place, name_hint(name, header))
        for name in NEEDED
        if name not in header
    ]
    problems += [
        Problem(f"the column {name} stands twice", place, "remove one of them")
        for name in (*NEEDED, *OPTIONAL)
        if header.count(name) > 1
    ]
    if problems:
        raise DataError(problems)


def _rating(row: dict[str, Any], place: Place) -> Rating | Problem:
    for name in NEEDED:
        if name not in row:
            return Problem(f"the column {name} is missing", place, name_hint(name, row))
    texts = {}
    for name in ("item", "rater", *OPTIONAL):
        value = row.get(name)
        if isinstance(value, bool) or not (value is None or isinstance(value, str | int)):
            return Problem(f"{name} is {shown(value)}", place, "expected text or a whole number")
        texts[name] = "" if value is None else str(value).strip()
        if name in NEEDED and not texts[name]:
            return Problem(f"{name} is empty", place, "every rating names its item and its rater")
    if texts["system"] not in ("", *RATED_SYSTEMS):
        return Problem(f"system is {shown(texts['system'])}", place, name_hint(texts["system"], RATED_SYSTEMS))
    number = _number(row["rating"])
    if number is None:
        return Problem(
            f"rating is {shown(row['rating'])}",
            place,
            "expected a number such as 4 or 3.5; remove the row where a rater gave none",
        )
    if abs(number) > LARGEST:
        return Problem(f"rating is {shown(row['rating'])}", place, f"expected a number from -{LARGEST} to {LARGEST}")
    return Rating(texts["item"], texts["rater"], number, texts["system"], texts["criterion"] or CRITERION)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
