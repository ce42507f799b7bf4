"""A world ends at its own folder: no links that lead out of it, no devices, and not without end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from eterna.errors import Place, Problem, WorldError

MAX_FILES = 20_000
MAX_FILE_BYTES = 100_000_000


def check_boundaries(folder: Path) -> None:
    """Look at every name in a world's folder before any of it is read. Raises WorldError listing every problem."""
    if problems := list(_problems(folder)):
        raise WorldError(problems)


def _problems(folder: Path) -> Iterator[Problem]:
    root, count = folder.resolve(), 0
    for parent, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        if count > MAX_FILES:
            yield Problem(
                f"the folder holds more than {MAX_FILES:,} files",
                Place(str(folder)),
                "name the world's own folder; keep other data outside of it",
            )
            return
        for name in sorted([*folders, *files]):
            if problem := _problem_of(Path(parent) / name, root):
                yield problem


def _problem_of(path: Path, root: Path) -> Problem | None:
    place = Place(str(path))
    if path.is_symlink():
        target = path.resolve()
        if not target.is_relative_to(root):
            message = f"it is a link to {path.readlink()}, outside of the world's folder"
            return Problem(message, place, "copy the file into the world")
        if not target.exists():
            return Problem(f"it is a link to {path.readlink()}, which does not exist", place, "remove the link")
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return Problem("it is a device or a pipe, not a file", place, "remove it from the world")
    if stat.S_ISREG(found.st_mode) and found.st_size > MAX_FILE_BYTES:
        message = f"the file is {found.st_size:,} bytes large, past {MAX_FILE_BYTES:,}"
        return Problem(message, place, "divide it, or keep it outside of the world")
    return None
