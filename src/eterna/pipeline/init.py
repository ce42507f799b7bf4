"""`eterna init`: a folder to edit, with a small world and a run file that trains as it is."""

from __future__ import annotations

from pathlib import Path

from eterna.config import json_schema
from eterna.errors import UserError
from eterna.files import write_json, write_whole

STARTER = Path(__file__).parents[1] / "recipes" / "starter"


def init_folder(folder: Path) -> list[Path]:
    """Fill a new or empty folder. Returns the files written. Raises UserError, and writes nothing, for any other."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, not a folder", fix="name a new folder")
    if folder.is_dir() and (found := sorted(item.name for item in folder.iterdir())):
        raise UserError(f"{folder} is not empty: it holds {found[0]}", fix="name a new folder, or empty this one")
    written = []
    for source in sorted(item for item in STARTER.rglob("*") if item.is_file()):
        written.append(folder / source.relative_to(STARTER))
        write_whole(written[-1], source.read_bytes())
    written.append(folder / "run.schema.json")
    write_json(written[-1], json_schema())
    return written
