"""Character cards: one person of a chat program as JSON, or as JSON inside a PNG picture.

V1 is flat; V2 (malfoyslastname/character-card-spec-v2) and V3 (kwaroran/character-card-spec-v3) say `spec` and hold the
same fields and more under `data`. A PNG keeps the JSON as base64 in the text chunk `chara`, V3 in `ccv3`, which goes
first where both exist.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eterna.errors import Place, Problem, UserError, WorldError
from eterna.files import decode, parse_json_object
from eterna.text import name_hint, shown
from eterna.world.png_text import MAX_FILE_BYTES, SIGNATURE, read_png_texts

SPECS = {"chara_card_v2": "V2", "chara_card_v3": "V3"}
TEXTS = ("name", "description", "personality", "scenario", "first_mes", "mes_example", "nickname")
TAKEN = ("name", "description", "personality", "first_mes", "mes_example", "nickname", "character_book")
MARKS = ("chat", "create_date", "avatar", "talkativeness", "fav", "metadata", "spec", "spec_version", "data")
"""What chat programs write beside a flat card for themselves."""
EXPORT = "export the character as a .json or .png card (spec V2 or V3)"


@dataclass(frozen=True)
class Entry:
    """A piece of knowledge from a card's book."""

    content: str
    enabled: bool
    has_keys: bool
    """Whether it is meant to be shown only when certain words are said."""


@dataclass(frozen=True)
class Card:
    """What a card says, checked; a missing text is empty."""

    version: str
    """V1, V2 or V3."""
    name: str
    nickname: str
    description: str
    personality: str
    first_mes: str
    mes_example: str
    entries: tuple[Entry, ...]
    untaken: tuple[str, ...]
    """Names of the other fields that hold something."""


def read_card(path: Path) -> Card:
    """Read and check a card. Raises WorldError or UserError with the file and what is wrong in it."""
    place = Place(str(path))
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(len(SIGNATURE))
    except FileNotFoundError:
        raise UserError(f"no such file: {path}", fix="check the path; it is read from the folder you run in") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if size > MAX_FILE_BYTES:
        raise WorldError(f"the card has {size:,} bytes, at most {MAX_FILE_BYTES:,} are read", place, EXPORT)
    text = _from_png(path) if head == SIGNATURE else _from_json(path)
    found = parse_json_object(text, place)
    if isinstance(found, Problem):
        raise WorldError(Problem(found.message, place, EXPORT))
    return _checked(found, place)


def _from_png(path: Path) -> str:
    texts = read_png_texts(path, ("ccv3", "chara"))
    if not texts:
        fix = "take the original file of the card, or its .json; sites and editors often strip the text from pictures"
        raise WorldError("the picture holds no character card (no text chara or ccv3)", Place(str(path)), fix)
    keyword = "ccv3" if "ccv3" in texts else "chara"
    try:
        raw = base64.b64decode("".join(texts[keyword].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WorldError(f"the text {keyword} is not base64: {error}", Place(str(path)), EXPORT) from None
    return decode(raw, f"{path} ({keyword})")


def _from_json(path: Path) -> str:
    raw = path.read_bytes()
    if not raw.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        kind = " but a .charx archive or another zip" if raw.startswith(b"PK") else f", it begins {shown(raw[:12])}"
        raise WorldError(f"{path} is neither a PNG file nor a JSON object" + kind, fix=EXPORT)
    return decode(raw, str(path))


def _checked(found: dict[str, Any], place: Place) -> Card:
    spec = found.get("spec")
    if spec is not None and spec not in SPECS:
        raise WorldError(f"spec is {shown(spec)}", place, f"known: {', '.join(SPECS)}; {EXPORT}")
    fields = found.get("data") if spec else {key: value for key, value in found.items() if key not in MARKS}
    if not isinstance(fields, dict):
        raise WorldError(f"data is {shown(fields)}", place, f"a card with a spec holds its fields under data; {EXPORT}")
    problems = [
        Problem(f"{name} is {shown(fields[name])}", place, "expected text")
        for name in TEXTS
        if not isinstance(fields.get(name, ""), str | None)
    ]
    if not problems and not (fields.get("name") or "").strip():
        problems.append(Problem("the card has no name", place, name_hint("name", fields) if fields else EXPORT))
    entries = _entries(fields.get("character_book"), place, problems)
    if problems:
        raise WorldError(problems)
    texts = {name: (fields.get(name) or "").strip() for name in TEXTS if name != "scenario"}
    return Card(SPECS.get(str(spec), "V1"), **texts, entries=entries, untaken=tuple(_untaken(fields)))


def _entries(book: Any, place: Place, problems: list[Problem]) -> tuple[Entry, ...]:
    if book is None:
        return ()
    listed = book.get("entries", []) if isinstance(book, dict) else None
    entries = list(listed.values()) if isinstance(listed, dict) else listed
    if not isinstance(entries, list):
        problems.append(Problem(f"character_book is {shown(book)}", place, 'expected {"entries": [...]}'))
        return ()
    found = []
    for number, entry in enumerate(entries, start=1):
        content = entry.get("content", "") if isinstance(entry, dict) else None
        if not isinstance(content, str):
            problems.append(Problem(f"entry {number} of character_book is {shown(entry)}", place, "expected content"))
        elif _without_decorators(content):
            enabled = entry.get("enabled", True) is not False
            found.append(Entry(_without_decorators(content), enabled, bool(entry.get("keys"))))
    return tuple(found)


def _without_decorators(content: str) -> str:
    """V3 entries may begin with lines such as `@@depth 4`, which steer the chat program."""
    lines = content.strip().split("\n")
    while lines and lines[0].lstrip().startswith("@@"):
        lines.pop(0)
    return " ".join(" ".join(lines).split())


def _untaken(fields: dict[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if name in TAKEN or value in (None, "", [], {}):
            continue
        if name == "extensions" and isinstance(value, dict):
            yield from (f"extensions.{inner}" for inner, held in value.items() if held not in (None, "", [], {}))
        else:
            yield name
