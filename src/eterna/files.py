"""Reading and writing files with care: UTF-8 or a clear refusal, whole files or none, content hashes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eterna.errors import DataError, Place, Problem, UserError
from eterna.text import shown

MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_JSON_DEPTH = 64
MAX_DIGITS = 4300  # what Python itself reads of one whole number
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_text(path: Path) -> str:
    """The whole file as text: UTF-8 with or without BOM, CRLF turned to LF. Refuses anything else, naming the byte."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise UserError(f"{path} is {kind}, not a file", fix="name a file")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no such file: {path}", fix="check the path; it is read from the folder you run in") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", fix="check the path and your rights to it") from None
    return decode(raw, str(path))


def decode(raw: bytes, name: str) -> str:
    """Bytes to text by the rules of `read_text`; `name` is used in messages."""
    if encoding := _wide_encoding(raw):
        where = f"byte {raw.index(0)} is NUL" if encoding.endswith("E") else "byte 0"
        raise UserError(
            f"the file is {encoding[:6]} ({where}), not UTF-8",
            Place(name, 1),
            f"iconv -f {encoding} -t UTF-8 {shlex.quote(name)} > utf8-copy",
        )
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        first = error.start + len(raw) - len(error.object)
        line = raw.count(b"\n", 0, first) + 1
        is_windows = any(0x80 <= byte <= 0x9F for byte in raw)
        likely, name_of_it = ("Windows-1252", "WINDOWS-1252") if is_windows else ("Latin-1", "LATIN1")
        raise UserError(
            f"byte {first} (0x{raw[first]:02x}) is not UTF-8",
            Place(name, line),
            f"if the file is {likely}: iconv -f {name_of_it} -t UTF-8 {shlex.quote(name)} > utf8-copy",
        ) from None
    if "\0" in text:
        at = raw.index(b"\0")
        fix = f"remove such bytes where they are noise: tr -d '\\000' < {shlex.quote(name)} > clean-copy"
        raise UserError(
            f"byte {at} is a NUL byte, so this is not plain text", Place(name, raw.count(b"\n", 0, at) + 1), fix
        )
    return text.replace("\r\n", "\n")


def byte_order_note(name: str) -> str:
    """What is said of a file that begins with a byte order mark; the mark itself is passed over."""
    return f"{name} begins with a byte order mark, which is not part of the text"


def _wide_encoding(raw: bytes) -> str | None:
    """UTF-16 or UTF-32, told by its mark, or UTF-16 by a NUL beside nearly every Latin letter."""
    if raw.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    if len(raw) % 2:
        return None
    even, odd = raw[:4096:2], raw[1:4096:2]
    for encoding, zeros, others in (("UTF-16LE", odd, even), ("UTF-16BE", even, odd)):
        if zeros.count(0) > 0.6 * len(zeros) and others.count(0) < 0.1 * max(1, len(others)):
            return encoding
    return None


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """Each non-blank line of a JSONL file as (line number, object), or (line number, what is wrong with it)."""
    text = read_text(path)
    opening = text.lstrip()[:1]
    if opening == "[":
        raise DataError(
            f"{path} holds one JSON array, not one object a line",
            Place(str(path), 1),
            f"jq -c '.[]' {path} > lines.jsonl",
        )
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, parse_json_object(line, Place(str(path), number))


def parse_json_object(line: str, place: Place) -> dict[str, Any] | Problem:
    """One JSON object, strictly: no duplicate keys, no NaN, no lone surrogates, bounded size and depth."""
    if len(line) > MAX_LINE_BYTES or (len(line) > MAX_LINE_BYTES // 4 and len(line.encode()) > MAX_LINE_BYTES):
        message = f"the line is {len(line):,} characters long, past {MAX_LINE_BYTES:,} bytes: {shown(line)}"
        return Problem(message, place, "keep one example below 8 MB")
    try:
        value = json.loads(
            line, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_int=_whole_number
        )
        _check_tree(value)
    except json.JSONDecodeError as error:
        where = Place(place.file, place.line, error.colno)
        return Problem(f"not valid JSON: {error.msg}: {shown(line)}", where, "one complete JSON object a line")
    except RecursionError:
        message = f"the JSON is nested too deeply: {shown(line)}"
        return Problem(message, place, f"keep it below {MAX_JSON_DEPTH} levels")
    except _UnusableError as error:
        return Problem(f"not usable JSON: {error.args[0]}", place, error.args[1])
    if not isinstance(value, dict):
        return Problem(f"expected a JSON object, found {shown(value)}", place, 'write {"messages": [...]} or the like')
    return value


class _UnusableError(ValueError):
    """JSON by the letter that cannot be used: (what is wrong, what to do)."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _UnusableError(f"the key {shown(key)} stands twice in one object", "remove one of the two")
        found[key] = value
    return found


def _refuse_constant(name: str) -> float:
    raise _UnusableError(f"{name} is not a JSON number", "write null, or leave the key out")


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        message = f"the whole number {shown(digits)} has {len(digits):,} digits"
        raise _UnusableError(message, "put it in quotes if it is a name")
    return int(digits)


def _check_tree(value: Any, depth: int = 0) -> None:
    if depth > MAX_JSON_DEPTH:
        raise _UnusableError(f"nested deeper than {MAX_JSON_DEPTH} levels", "flatten it, or leave that column out")
    if isinstance(value, str):
        if lone := LONE_SURROGATE.search(value):
            part = value[max(lone.start() - 20, 0) :]
            fix = "write the whole character (\\ud83d\\ude00 has two halves), or remove it"
            raise _UnusableError(f"a lone surrogate, half of a character, in {shown(part)}", fix)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _UnusableError("a number too large for JSON", "put it in quotes if it is a name")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_tree(key, depth)
            _check_tree(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_tree(item, depth + 1)


def usable_path(name: str) -> Path | None:
    """The path that a name stands for, `~` expanded; None where no file can be called so.

    A name may be too long, hold a NUL, or begin with the home of a user who is not there.
    """
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError):
        return None
    return path


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new, never a part; flushed to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(staged).chmod(0o644)
        Path(staged).replace(path)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """`write_whole` for a JSON value, indented, accents kept."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def append_json_line(path: Path, row: dict[str, Any]) -> None:
    """Add one object to a JSONL file in one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write((json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"))


def sha256_of(path: Path) -> str:
    """Content hash of a file, or of a folder's files by relative name."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for item in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(f"{item.relative_to(path).as_posix()}\0{sha256_of(item)}\n".encode())
    return digest.hexdigest()
