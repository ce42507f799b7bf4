"""Which file of a world's folder stands for what; keys and names that would be passed over are found here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eterna.config.reading import Marked
from eterna.errors import Place, Problem
from eterna.text import shown
from eterna.world.schema import NARRATOR, PLAYER

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# A turn's speaker is one of these or an NPC.
SPEAKERS = (PLAYER, NARRATOR)
# Keys of a World that world.yaml does not hold, and where they come from.
READ_FROM = {
    "books": "books/ID.md",
    "npcs": "npcs/ID.yaml",
    "places": "places/ID.yaml",
    "revelaciones": "revelaciones.yaml",
    "canon": "canon.yaml",
    "examples": "examples/*.jsonl",
    "sha256": "the files themselves",
}


def unread_files(folder: Path) -> Iterator[Problem]:
    """One problem for each file that looks like a part of the world and is none."""
    for path in sorted(folder.rglob("*.yml")):
        yield Problem(f"{path.name} is not read", Place(str(path)), f"rename it to {path.stem}.yaml")


def misplaced_keys(head: Marked) -> Iterator[Problem]:
    """One problem for each key of world.yaml that belongs into a file of its own."""
    for key in READ_FROM:
        if isinstance(head.values, dict) and key in head.values:
            fix = f"remove it; it comes from {READ_FROM[key]}"
            yield Problem(f"{key} does not belong into world.yaml", head.place_of((key,)), fix)


def name_problem(kind: str, name: str, place: Place) -> Problem | None:
    """What is wrong with a file's name, which is the id of what it holds. kind: npcs, places or books."""
    if not ID.fullmatch(name):
        return Problem(f"the file name {shown(name)} is not an id", place, "lower-case letters, digits, _ and -")
    if kind == "npcs" and name in SPEAKERS:
        return Problem(f"an NPC cannot be called {shown(name)}", place, "rename the file; turns name that speaker")
    return None


def id_problem(name: str, marked: Marked) -> Problem | None:
    """An id inside a file that is not the file's own name."""
    if marked.values.get("id", name) == name:
        return None
    message = f"id is {shown(marked.values['id'])}, but the file is called {name}"
    return Problem(message, marked.place_of(("id",)), "remove it, or rename the file; the file's name is the id")
