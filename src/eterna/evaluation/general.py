"""General text that no world has to do with: where a tuned model expects it less than before, it has forgotten.

The text in the package, `general.txt`, holds plain prose in English, then in Spanish, written for this purpose. Known
weakness: it is short, so a small loss stays within the interval; a text of one's own is the better test.
"""

from __future__ import annotations

import re
from pathlib import Path

from eterna.errors import DataError, Place
from eterna.files import read_text

PACKAGED = Path(__file__).parent / "general.txt"


def general_path(given: str | None) -> Path:
    """The file given, else the packaged one."""
    return Path(given) if given else PACKAGED


def general_paragraphs(path: Path = PACKAGED) -> list[tuple[str, str]]:
    """(id, text) of each paragraph of a UTF-8 text file.

    Paragraphs are separated by blank lines; a line break inside one becomes a space. Raises DataError for a file
    without text.
    """
    blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", read_text(path)))
    paragraphs = [(f"{path.stem}:{number}", block) for number, block in enumerate(filter(None, blocks), start=1)]
    if not paragraphs:
        raise DataError("the file holds no text", Place(str(path), 1), "general prose, paragraphs apart by blank lines")
    return paragraphs
