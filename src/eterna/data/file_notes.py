"""What is accepted in a data file, but should be said."""

from __future__ import annotations

from pathlib import Path

from eterna.config import DataSection
from eterna.files import BYTE_ORDER_MARK, byte_order_note


def file_notes(data: DataSection) -> list[str]:
    """One line for each file that begins with a byte order mark."""
    paths = [Path(source.path) for source in (*data.train, *data.eval) if source.path]
    return [byte_order_note(str(path)) for path in dict.fromkeys(paths) if path.is_file() and _is_marked(path)]


def _is_marked(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK
