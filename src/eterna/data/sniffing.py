"""A file that is not what its name says: told by its first bytes, with what it looks like and what to do."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from eterna.errors import DataError, Place, UserError
from eterna.text import shown

LOOKED_AT = 65536  # bytes
MAX_COLUMN_NAME = 64

# Signature at byte 0, what it is, what to do; the formats' own specifications.
SIGNATURES = (
    (b"\x1f\x8b", "gzip", "gunzip it, and name the file without .gz"),
    (b"PK\x03\x04", "a zip archive (an .xlsx is one too)", "unzip it; save a spreadsheet as .csv"),
    (b"PAR1", "Parquet", "name it .parquet"),
    (b"ARROW1", "Arrow", "name it .arrow"),
    (b"\x28\xb5\x2f\xfd", "zstandard", "zstd -d it"),
    (b"BZh", "bzip2", "bunzip2 it"),
    (b"\xfd7zXZ\0", "xz", "unxz it"),
    (b"%PDF-", "a PDF", "export its text as .txt"),
    (b"\x89PNG\r\n", "a PNG picture", "a character card goes into a world: eterna world import-card"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as .csv"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "git lfs pull"),
    (b"<!DOCTYPE", "an HTML page", "download the file itself, not the page about it"),
    (b"<html", "an HTML page", "download the file itself, not the page about it"),
)


def check_kind(path: Path) -> None:
    """Refuse a text file that holds something else. Raises DataError; UserError where it cannot be opened."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a device or a pipe, not a file", fix="name a file")
    try:
        with path.open("rb") as file:
            head = file.read(LOOKED_AT)
    except FileNotFoundError:
        raise UserError(f"no such file: {path}", fix="check the path; it is read from the folder you run in") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    for signature, kind, fix in SIGNATURES:
        if head.startswith(signature):
            raise DataError(f"{path} looks like {kind}", Place(str(path), 1), fix)
    if path.suffix.lower() == ".jsonl":
        _check_lines(path, head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip())


def _check_lines(path: Path, head: str) -> None:
    first, _, rest = head.partition("\n")
    if first.startswith("[") and not (rest.strip() and _is_json(first)):
        fix = f"name it {path.with_suffix('.json').name}, or: jq -c '.[]' {path} > lines.jsonl"
        raise DataError(f"{path} holds one JSON array, not one object a line", Place(str(path), 1), fix)
    if first.startswith("{") or _is_json(first):
        return
    for separator, suffix, name in ((",", ".csv", "CSV"), ("\t", ".tsv", "TSV"), (";", ".csv", "CSV with semicolons")):
        cells = next(csv.reader(first.splitlines()[:1], delimiter=separator), [])
        if len(cells) > 1 and all(0 < len(cell.strip()) <= MAX_COLUMN_NAME for cell in cells):
            fix = f"name it {path.with_suffix(suffix).name}" + (", with commas" if separator == ";" else "")
            raise DataError(f"{path} looks like {name}: it begins {shown(first)}", Place(str(path), 1), fix)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
